// The client: the generated operations, and the methods that are written by hand.

import { AthenaError } from "./errors.js";
import { type AthenaEvent, type EventType, eventOf } from "./generated/events.js";
import { Operations } from "./generated/methods.js";
import { createRun, streamEvents } from "./generated/operations.js";
import type { EventRecord, Run, RunBody, RunResult } from "./generated/types.js";
import type { WriteOptions } from "./options.js";
import { RunHandle } from "./run_handle.js";
import type { StreamParts } from "./transport.js";

/** What to follow. */
export interface EventsOptions extends Pick<StreamParts, "signal" | "headers" | "deadlineMs" | "onConnection"> {
  /** A cursor (the `id` of an event), `latest`, a time or a log position. Default: from the first event on. */
  readonly after?: string | number | undefined;
  /** Only these types. */
  readonly types?: readonly EventType[] | undefined;
  readonly sessionId?: string | undefined;
  readonly runId?: string | undefined;
}

/** A run besides its input: its session, profile, model, or a directive instead of an input. */
export type RunSpec = Omit<RunBody, "input">;

const MARKS: ReadonlySet<string> = new Set(["bookmark", "caught-up"]);

/** A client of an Athena server. */
export class Athena extends Operations {
  /**
   * Start a run, wait for its end, and return its result. Throws the error that ended the run; its `runId` is the run.
   * `RUN_PAUSED` means that the run waits for a budget: resume it with `resumeRun`.
   */
  async run(input?: string, spec: RunSpec = {}, options: Omit<WriteOptions, "respondAsync"> = {}): Promise<RunResult> {
    const answer = await this.request(createRun, { ...options, body: { ...spec, input } });
    if (answer.status === 200) return answer.data as RunResult;
    const { runId, status } = answer.data as Run;
    const message = `Run ${runId} is ${status}. Resume it with another budget, or cancel it.`;
    throw new AthenaError({ code: "RUN_PAUSED", message, status: answer.status, traceId: answer.traceId, runId });
  }

  /** Start a run and return its handle at once. */
  async start(
    input?: string,
    spec: RunSpec = {},
    options: Omit<WriteOptions, "respondAsync"> = {},
  ): Promise<RunHandle> {
    const { data, position } = await this.request(createRun, {
      ...options,
      respondAsync: true,
      body: { ...spec, input },
    });
    return new RunHandle(this, data.runId, position);
  }

  /** Return the handle of a run that was started before, without a request. */
  follow(runId: string): RunHandle {
    return new RunHandle(this, runId);
  }

  /**
   * Yield events, first the recorded ones and then live: each once and in order, over lost connections and restarts of
   * the server. Ends when the signal is aborted. To continue after a restart of your program, store the `id` of the last
   * event that you have processed, and pass it as `after`. Throws AthenaError if the server rejects the request, or is
   * not reached before the deadline.
   */
  async *events(options: EventsOptions = {}): AsyncGenerator<AthenaEvent, void, undefined> {
    const { after, types, sessionId, runId, ...parts } = options;
    const query = { types, sessionId, runId };
    for await (const { name, data } of this.stream(streamEvents, after, { ...parts, query })) {
      if (!MARKS.has(name)) yield eventOf(data as EventRecord);
    }
  }
}
