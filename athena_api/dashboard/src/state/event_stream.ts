// The event stream of the page: delivers every event after a position in order, exactly once, and tracks its own state.

import { effect, signal, untracked } from "@preact/signals";
import { AthenaError, type Capabilities, type EventRecord, type Health } from "@projectathena/client";
import { getAdminHealth, getCapabilities, streamEvents } from "@projectathena/client/operations";
import { at } from "../route";
import { follow, head, loggedOut, requestNow } from "../server";
import { setClock } from "./clock";
import { positionOf, type SeenEvent } from "./events";
import { ENDINGS, type OpenStatus, statusAfter } from "./run_status";

/** `live`: at the head; `behind`: events are pending; `cut`: disconnected; `resting`: closed while the page is hidden; `past`: closed while it shows the past. */
export type StreamState = "opening" | "live" | "behind" | "cut" | "resting" | "past";

export const state = signal<StreamState>("opening");
export const position = signal(0);
/** The capabilities of the server, including its event types. */
export const capabilities = signal<Capabilities | undefined>(undefined);
export const health = signal<Health | undefined>(undefined);
/** Increases when all snapshots must be read again. */
export const resets = signal(0);

const BATCH_MS = 100;
const BATCH_EVENTS = 200; // per task, to keep tasks short
const QUEUE_EVENTS_MAX = 20_000; // beyond it, a new snapshot is faster than applying the queue
const HEALTH_MS = 3_000;
const BEHIND_MS = 3_000;
const IDLE_MS = 12_000;
const TIMEOUT_MS = 4_000; // a server with a slower health check counts as disconnected
const REST_MS = 60_000;
const RETRY_MS = 2_000;

/** The data of a frame without an event. */
interface FeedMark {
  readonly cursor: string;
  readonly head: number;
}

type EventsHandler = (events: readonly SeenEvent[]) => void;

class EventStream {
  readonly #handlers = new Set<EventsHandler>();
  readonly #statuses = new Map<string, OpenStatus>(); // of open runs whose start this page has seen
  private connection: AbortController | undefined;
  #connected = false;
  #queue: EventRecord[] = [];
  #flushing = false;
  #behindSince = 0;
  #restTimer: number | undefined;
  #seesAll = true;

  /** Call the handler with every batch of events from now on. Return a function that unsubscribes. */
  subscribe(handler: EventsHandler): () => void {
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /** Start after a position. If the caller may see all events, a gap between positions triggers a reset. */
  begin(after: number, seesAll: boolean, found: Capabilities): void {
    this.#seesAll = seesAll;
    position.value = after;
    capabilities.value = found;
    effect(() => {
      const isPast = at.value !== undefined;
      untracked(() => this.#follows(!isPast));
    });
    void this.#watchHealth();
    document.addEventListener("visibilitychange", () => this.#restOutOfSight());
  }

  /** Continue at the position of the page, or stop there: a page that shows the past stands still. */
  #follows(live: boolean): void {
    if (live) {
      if (state.value === "past") state.value = "opening";
      this.#open();
    } else {
      this.#close();
      this.#queue = [];
      this.#behindSince = 0;
      state.value = "past";
    }
  }

  #open(): void {
    this.#close();
    if (at.peek() !== undefined) return;
    this.connection = new AbortController();
    void this.#follow(this.connection.signal);
  }

  #close(): void {
    this.connection?.abort();
    this.#connected = false;
  }

  /** Receive the stream after the current position, over reconnections, until the signal is aborted. */
  async #follow(signal: AbortSignal): Promise<void> {
    const onConnection = (lost?: AthenaError): void => {
      if (signal.aborted) return;
      this.#connected = lost === undefined;
      if (lost) state.value = "cut";
      else if (state.value === "cut") void reloadIfReleaseChanged().catch(() => undefined);
      this.#updateState();
    };
    try {
      for await (const { name, data } of follow(streamEvents, position.value, { signal, onConnection })) {
        if (name === "bookmark" || name === "caught-up") this.#receiveMark(data as FeedMark);
        else {
          this.#queue.push(data as EventRecord);
          this.#flushLater(BATCH_MS);
        }
      }
    } catch (error) {
      if (!(error instanceof AthenaError)) throw error;
      if (!signal.aborted) this.#rejected(error);
    }
  }

  #receiveMark(mark: FeedMark): void {
    if (mark.head > head.value) head.value = mark.head;
    if (!this.#seesAll && mark.cursor !== "0") position.value = Math.max(position.value, positionOf(mark.cursor));
  }

  /** Handle an error that the server answered instead of a stream. */
  #rejected(error: AthenaError): void {
    const { connection } = this;
    state.value = "cut";
    if (error.code.startsWith("CURSOR_")) void this.#reset();
    else {
      if (error.status === 403) loggedOut.value ??= error;
      setTimeout(() => connection === this.connection && this.#open(), RETRY_MS);
    }
  }

  /** Read all snapshots again, because the log has changed or too many events are pending. */
  async #reset(): Promise<void> {
    this.#queue = [];
    this.#statuses.clear();
    this.#close();
    const { connection } = this;
    try {
      const answer = await requestNow(getAdminHealth);
      if (connection !== this.connection || at.peek() !== undefined) return;
      head.value = position.value = answer.data.head;
      this.#open();
      resets.value++;
    } catch {
      setTimeout(() => void this.#reset(), RETRY_MS);
    }
  }

  #flushLater(ms: number): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setTimeout(() => this.#flush(), ms);
  }

  #flush(): void {
    this.#flushing = false;
    const batch = this.#queue.length > QUEUE_EVENTS_MAX ? undefined : this.#nextBatch();
    if (batch === undefined) {
      void this.#reset();
      return;
    }
    if (position.value > head.value) head.value = position.value;
    if (batch.length) for (const handler of this.#handlers) handler(batch);
    this.#updateState();
    if (this.#queue.length) this.#flushLater(0);
  }

  /** Return the next events of the queue without duplicates, or undefined if one is missing. */
  #nextBatch(): readonly SeenEvent[] | undefined {
    const batch: SeenEvent[] = [];
    let last = position.value;
    let gap = false;
    for (const record of this.#queue.splice(0, BATCH_EVENTS)) {
      const at = positionOf(record.id);
      if (at <= last) continue; // a duplicate
      gap ||= this.#seesAll && at !== last + 1;
      last = at;
      batch.push({ ...record, position: at, statusBefore: this.#trackStatus(record) });
    }
    if (gap) return undefined;
    position.value = last;
    return batch;
  }

  /** Return the status of the run before this event, if known. */
  #trackStatus(event: EventRecord): OpenStatus | undefined {
    if (event.runId === undefined || event.runId === null) return undefined;
    const before = this.#statuses.get(event.runId);
    const after = statusAfter(event.type);
    if (after !== undefined) this.#statuses.set(event.runId, after);
    else if (event.type in ENDINGS) this.#statuses.delete(event.runId);
    return before;
  }

  /** Set the state of the stream from its position and the head. */
  #updateState(): void {
    if (!this.#connected) return;
    if (!this.#seesAll || position.value >= head.value) {
      this.#behindSince = 0;
      state.value = "live";
      return;
    }
    this.#behindSince ||= performance.now();
    if (performance.now() - this.#behindSince > BEHIND_MS) state.value = "behind";
    else if (state.value !== "behind") state.value = "live";
  }

  /** Poll the health of the server, to detect an open connection that delivers nothing. */
  async #watchHealth(): Promise<void> {
    for (; ; await new Promise((done) => setTimeout(done, HEALTH_MS))) {
      if (state.value === "resting" || state.value === "past") continue;
      const before = position.value;
      try {
        const sentAt = Date.now();
        health.value = (await requestNow(getAdminHealth, { timeoutMs: TIMEOUT_MS })).data;
        setClock(health.value.now, sentAt);
      } catch {
        if (at.peek() === undefined) state.value = "cut"; // even if the stream is still open
        continue;
      }
      this.#updateState();
      const idle = position.value === before && !this.#queue.length;
      if (idle && this.#behindSince && performance.now() - this.#behindSince > IDLE_MS) {
        this.#behindSince = 0;
        this.#open();
      }
    }
  }

  /** Close the stream of a hidden page: a browser opens at most six connections to a server. */
  #restOutOfSight(): void {
    clearTimeout(this.#restTimer);
    if (at.peek() !== undefined) return;
    if (document.visibilityState === "hidden") {
      this.#restTimer = setTimeout(() => {
        this.#close();
        this.#queue = [];
        state.value = "resting";
      }, REST_MS);
    } else if (state.value === "resting") {
      state.value = "opening";
      void this.#reset();
    }
  }
}

/** Reload the page if the server returns with another release. */
async function reloadIfReleaseChanged(): Promise<void> {
  const { data } = await requestNow(getCapabilities);
  if (data.version !== capabilities.value?.version) location.reload();
}

export const eventStream = new EventStream();
