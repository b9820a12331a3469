// The client: the generated operations, and the methods that are written by hand.

import { Operations } from "./generated/methods.js";
import { streamEvents } from "./generated/operations.js";
import type { EventRecord } from "./generated/types.js";
import type { StreamParts } from "./transport.js";

/** What to follow. */
export interface EventsOptions extends Pick<StreamParts, "signal" | "headers" | "deadlineMs" | "onConnection"> {
  /** A cursor (the `id` of an event), `latest`, a time or a log position. Default: from the first event on. */
  readonly after?: string | number | undefined;
  /** Only these types. */
  readonly types?: readonly string[];
  readonly sessionId?: string;
  readonly runId?: string;
}

const MARKS: ReadonlySet<string> = new Set(["bookmark", "caught-up"]);

/** A client of an Athena server. */
export class Athena extends Operations {
  /**
   * Yield events: each once and in order, over lost connections and restarts of the server. Ends when the signal is
   * aborted. To continue later, pass the `id` of the last event as `after`. Throws AthenaError if the server rejects the
   * request, or is not reached before the deadline.
   */
  async *events(options: EventsOptions = {}): AsyncGenerator<EventRecord, void, undefined> {
    const { after, types, sessionId, runId, ...parts } = options;
    const query = { types, sessionId, runId };
    for await (const { name, data } of this.stream(streamEvents, after, { ...parts, query })) {
      if (!MARKS.has(name)) yield data as EventRecord;
    }
  }
}
