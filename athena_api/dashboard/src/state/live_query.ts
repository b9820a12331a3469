// Live queries: a snapshot of the API, kept current by folding in events.

import { batch, effect, type Signal, signal } from "@preact/signals";
import { AthenaError, type Operation, type RequestParts } from "@projectathena/client";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { at } from "../route";
import type { Snapshot } from "../server";
import { eventStream, resets } from "./event_stream";
import type { SeenEvent } from "./events";
import { request } from "./instant";

/**
 * Apply events to a state; return the same object if nothing changes. Call `reload` to request a new snapshot if the
 * events do not contain enough.
 */
export type Fold<T> = (state: T, events: readonly SeenEvent[], reload: () => void) => T;

const AGAIN_MS = 700; // between two snapshots, where a query names no other time
const RETRY_MS = 3_000; // after a failed one

/** A snapshot and the fold that keeps it current. */
export class LiveQuery<T> {
  readonly data: Signal<T | undefined> = signal(undefined);
  readonly error: Signal<AthenaError | undefined> = signal(undefined);
  #position = -1;
  #at = at.peek(); // the moment of the last answer
  #pending: SeenEvent[] = [];
  #loading = false;
  #reloadRequested = false;
  #readAt = 0;
  #timer: number | undefined;
  #closed = false;
  readonly #unsubscribers: (() => void)[];

  constructor(
    private readonly read: () => Promise<Snapshot<T>>,
    private readonly fold: Fold<T>,
    private readonly againMs = AGAIN_MS,
  ) {
    this.#unsubscribers = [eventStream.subscribe((events) => this.#receive(events))];
    let first = true;
    this.#unsubscribers.push(
      effect(() => {
        void resets.value;
        void at.value;
        if (first) first = false;
        else this.reload();
      }),
    );
    void this.#load();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const unsubscribe of this.#unsubscribers) unsubscribe();
  }

  /** Schedule a new snapshot. Repeated calls are merged. */
  reload = (): void => {
    const moved = this.#at !== at.peek();
    if (this.error.value?.code === "AUTHZ_DENIED") return; // each denial is recorded as an event; do not repeat it
    if (this.#at !== undefined && !moved && !this.error.value) return; // the past does not change
    if (this.#loading) {
      this.#reloadRequested = true;
      return;
    }
    clearTimeout(this.#timer);
    const pause = moved ? 0 : this.error.value ? RETRY_MS : this.againMs;
    this.#timer = setTimeout(() => void this.#load(), Math.max(0, this.#readAt + pause - performance.now()));
  };

  #receive(events: readonly SeenEvent[]): void {
    if (this.#loading) this.#pending.push(...events);
    if (this.data.value !== undefined) this.#apply(events);
  }

  #apply(events: readonly SeenEvent[]): void {
    const state = this.data.value;
    const newEvents = events.filter((event) => event.position > this.#position);
    if (state === undefined || !newEvents.length || at.peek() !== undefined) return;
    this.data.value = this.fold(state, newEvents, this.reload);
  }

  /** Return true, and read again, if the page has moved to another moment since a request. */
  #isLate(asked: string | undefined): boolean {
    this.#reloadRequested ||= at.peek() !== asked;
    return at.peek() !== asked;
  }

  async #load(): Promise<void> {
    if (this.#loading || this.#closed) return;
    this.#loading = true;
    this.#reloadRequested = false;
    this.#pending = [];
    const asked = at.peek();
    try {
      const answer = await this.read();
      if (this.#closed || this.#isLate(asked)) return;
      batch(() => {
        this.#at = asked;
        this.#position = answer.position;
        this.data.value = answer.data;
        this.error.value = undefined;
        this.#apply(this.#pending);
      });
    } catch (error) {
      if (!(error instanceof AthenaError)) throw error;
      if (this.#isLate(asked)) return;
      batch(() => {
        if (this.#at !== asked) this.data.value = undefined; // of another moment
        this.#at = asked;
        this.error.value = error;
      });
      if (error.code === "UNREACHABLE" || error.code === "NOT_CAUGHT_UP") this.#reloadRequested = true;
    } finally {
      this.#loading = false;
      this.#pending = [];
      this.#readAt = performance.now();
      if (this.#reloadRequested && !this.#closed) this.reload();
    }
  }
}

/** Use a live query while the component is shown. A new key creates a new query; `againMs` is the time between two snapshots. */
export function useLiveQuery<T>(key: string, read: () => Promise<Snapshot<T>>, fold: Fold<T>, againMs?: number): LiveQuery<T> {
  const live = useMemo(() => new LiveQuery(read, fold, againMs), [key]);
  useLayoutEffect(() => () => live.close(), [live]);
  return live;
}

/** Use the answer of an operation while the component is shown. Read again after an event that concerns it. */
export function useRead<T>(operation: Operation<T>, parts: RequestParts, concerns: (event: SeenEvent) => boolean, againMs?: number): LiveQuery<T> {
  return useLiveQuery(operation.id + JSON.stringify(parts), () => request(operation, parts), reloadWhen(concerns), againMs);
}

/** Return a fold that reloads the snapshot when a matching event arrives. */
export function reloadWhen<T>(concerns: (event: SeenEvent) => boolean): Fold<T> {
  return (state, events, reload) => {
    if (events.some(concerns)) reload();
    return state;
  };
}

/** Reload a live query at an interval, for data that changes without an event. */
export function useReloadEvery(live: Pick<LiveQuery<unknown>, "reload">, ms: number): void {
  useLayoutEffect(() => {
    const timer = setInterval(live.reload, ms);
    return () => clearInterval(timer);
  }, [live, ms]);
}
