// What is on the screen: a snapshot of the API, and every event after it folded in.

import { batch, effect, type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { ApiError, type ApiResponse } from "../api";
import { eventStream, resets } from "./event_stream";
import type { SeenEvent } from "./events";

/**
 * Takes events into a state; the same state where nothing changes. `again` asks for another snapshot, where the events
 * alone do not tell what the server would answer now.
 */
export type Fold<T> = (state: T, events: readonly SeenEvent[], reload: () => void) => T;

const AGAIN_MS = 700; // between two snapshots
const RETRY_MS = 3_000; // after one that did not come

/** A snapshot and its fold. */
export class LiveQuery<T> {
  readonly data: Signal<T | undefined> = signal(undefined);
  readonly error: Signal<ApiError | undefined> = signal(undefined);
  private position = -1;
  private pending: SeenEvent[] = [];
  private loading = false;
  private wanted = false;
  private readAt = 0;
  private timer: number | undefined;
  private closed = false;
  private readonly stops: (() => void)[];

  constructor(
    private readonly read: () => Promise<ApiResponse<T>>,
    private readonly fold: Fold<T>,
  ) {
    this.stops = [eventStream.subscribe((events) => this.take(events))];
    let first = true;
    this.stops.push(
      effect(() => {
        void resets.value;
        if (first) first = false;
        else this.reload();
      }),
    );
    void this.load();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    for (const stop of this.stops) stop();
  }

  /** Reads anew, soon and once, however often it is asked. */
  reload = (): void => {
    if (this.error.value?.code === "AUTHZ_DENIED") return; // each refusal is recorded: one is enough
    if (this.loading) {
      this.wanted = true;
      return;
    }
    clearTimeout(this.timer);
    const pause = this.error.value ? RETRY_MS : AGAIN_MS;
    this.timer = setTimeout(() => void this.load(), Math.max(0, this.readAt + pause - performance.now()));
  };

  private take(events: readonly SeenEvent[]): void {
    if (this.loading) this.pending.push(...events);
    if (this.data.value !== undefined) this.apply(events);
  }

  private apply(events: readonly SeenEvent[]): void {
    const state = this.data.value;
    const newEvents = events.filter((event) => event.position > this.position);
    if (state === undefined || !newEvents.length) return;
    this.data.value = this.fold(state, newEvents, this.reload);
  }

  private async load(): Promise<void> {
    if (this.loading || this.closed) return;
    this.loading = true;
    this.wanted = false;
    this.pending = [];
    try {
      const answer = await this.read();
      if (this.closed) return;
      batch(() => {
        this.position = answer.position;
        this.data.value = answer.data;
        this.error.value = undefined;
        this.apply(this.pending);
      });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error.value = error;
      if (error.code === "UNREACHABLE" || error.code === "NOT_CAUGHT_UP") this.wanted = true;
    } finally {
      this.loading = false;
      this.pending = [];
      this.readAt = performance.now();
      if (this.wanted && !this.closed) this.reload();
    }
  }
}

/** A live value for as long as a component shows it; another key is another value. */
export function useLiveQuery<T>(key: string, read: () => Promise<ApiResponse<T>>, fold: Fold<T>): LiveQuery<T> {
  const live = useMemo(() => new LiveQuery(read, fold), [key]);
  useEffect(() => () => live.close(), [live]);
  return live;
}

/** A fold that reads anew whenever something happened that it concerns. */
export function reloadWhen<T>(concerns: (event: SeenEvent) => boolean): Fold<T> {
  return (state, events, reload) => {
    if (events.some(concerns)) reload();
    return state;
  };
}

/** Reads a live value anew at an interval, where it changes without an event. */
export function useReloadEvery(live: Pick<LiveQuery<unknown>, "reload">, ms: number): void {
  useEffect(() => {
    const timer = setInterval(live.reload, ms);
    return () => clearInterval(timer);
  }, [live, ms]);
}
