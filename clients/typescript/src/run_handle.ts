// A run on the server: wait for it, stream it, cancel it.

import type { Operations } from "./generated/methods.js";
import { getSessionTranscript, streamSessionTranscript } from "./generated/operations.js";
import type { Cancelled, Run, TranscriptDelta, TranscriptEntry } from "./generated/types.js";
import type { WriteOptions } from "./options.js";
import { Pages } from "./pages.js";
import { type RunPart, RunText } from "./run_text.js";
import { Cutoff } from "./timing.js";
import type { CallOptions } from "./transport.js";

const WAIT_SECONDS = 30;
const PAGE_ENTRIES = 500;
const OPEN: ReadonlySet<string> = new Set(["queued", "running"]);

/** A run. Several programs may wait for it and stream it. */
export class RunHandle {
  constructor(
    private readonly client: Operations,
    /** The id of the run. */
    readonly id: string,
    private begin?: string | number, // a cursor before the first text of the run
  ) {}

  /** Return the record of the run as it is now. */
  get(options: CallOptions = {}): Promise<Run> {
    return this.client.getRun(this.id, {}, options);
  }

  /** Wait until the run ends or is paused, and return its record. The run may have failed: read `status`. */
  async wait(options: CallOptions = {}): Promise<Run> {
    for (;;) {
      const run = await this.client.getRun(this.id, { wait: WAIT_SECONDS }, options);
      if (!OPEN.has(run.status)) return run;
    }
  }

  /** Request the cancellation of the run. `status` is `not-running` if it has already ended. Then `wait` for its end. */
  cancel(reason?: string, options: WriteOptions = {}): Promise<Cancelled> {
    return this.client.cancelRunByRunId(this.id, { reason }, options);
  }

  /**
   * Yield the parts of the run from its beginning, live: each once and in order, over lost connections and restarts of
   * the server. The last one is `end`. Ends without it if the signal is aborted.
   */
  async *stream(options: CallOptions = {}): AsyncGenerator<RunPart, void, undefined> {
    const { signal } = options;
    const { sessionId } = await this.get(options);
    const text = new RunText(this.id);
    const stop = new Cutoff(signal);
    let failure: unknown;
    let cursor = await this.beginning(options);
    const endIfSettled = async (): Promise<void> => {
      const { status } = await this.get(options);
      if (!OPEN.has(status)) stop.controller.abort(); // the stream does not repeat that the run ended
    };
    const onConnection = (lost: unknown): void => {
      if (lost) return;
      endIfSettled().catch((error: unknown) => {
        failure = error;
        stop.controller.abort();
      });
    };
    const parts = { ...options, path: { sessionId }, signal: stop.signal, onConnection };
    try {
      for await (const item of this.client.stream(streamSessionTranscript, cursor, parts)) {
        cursor = item.cursor ?? cursor;
        const record = item.data as TranscriptEntry | TranscriptDelta;
        if ("id" in record) yield* text.entry(record);
        else if (record.settled && record.runId === this.id) break;
        else yield* text.delta(record);
      }
    } finally {
      stop.close();
    }
    if (signal?.aborted) return;
    if (failure) throw failure;
    const rest = { ...options, path: { sessionId }, query: { after: String(cursor), limit: PAGE_ENTRIES } };
    for await (const entry of new Pages(this.client, getSessionTranscript, rest, (page) => page.items, "after")) {
      yield* text.entry(entry);
    }
    yield* text.end(await this.get(options));
  }

  /** Return a cursor before the first text of the run: its first event. */
  private async beginning(options: CallOptions): Promise<string | number> {
    if (this.begin === undefined) {
      const { events } = await this.client.listEvents({ runId: this.id, limit: 1 }, options).page();
      this.begin = events[0]?.id ?? 0;
    }
    return this.begin;
  }
}
