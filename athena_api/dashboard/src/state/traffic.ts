// Counts of ten minutes in steps of five seconds, and the newest events: of now, or of a moment in the past.

import { effect, signal, untracked } from "@preact/signals";
import { AthenaError } from "@projectathena/client";
import { listEvents } from "@projectathena/client/operations";
import { useEffect } from "preact/hooks";
import { at } from "../route";
import { requestNow } from "../server";
import { eventStream, resets, position as streamPosition } from "./event_stream";
import { eventsOf, type SeenEvent } from "./events";
import { instant, request } from "./instant";
import { ENDINGS } from "./run_status";

const STEP_MS = 5_000;
const STEPS = 120;
const SEED_EVENTS = 500; // a page of the feed
const PAST_EVENTS_MAX = 5_000; // with more events in ten minutes, the chart starts later
const COUNTED = ["run.created", ...Object.keys(ENDINGS), "policy.rejected"];
const TICKER_EVENTS = 14;
const TICKER_TYPES = new Set([
  ...["run.queued", "run.created", "run.paused", "run.resumed", "run.cancel.requested", "policy.rejected", "policy.updated"],
  ...["tool.called", "schedule.run.started", "schedule.run.skipped", "a2a.dlq.added", "authz.denied"],
  ...["workflow.run.created", "workflow.approval.requested", "workflow.step.failed", "workflow.run.completed"],
  ...["workflow.run.failed", "a2a.message.sent", "run.asked", "run.answered", "halt.started", "halt.lifted", ...Object.keys(ENDINGS)],
]);

export const SERIES = ["started", "completed", "failed", "rejected"] as const;

/** Increases when the chart must be drawn again. */
export const redraws = signal(0);

const stepOf = (ms: number): number => Math.floor(ms / STEP_MS);

function seriesOf(event: SeenEvent): number {
  if (event.type === "run.created") return 0;
  if (event.type === "run.completed") return 1;
  if (event.type in ENDINGS) return event.statusBefore === "queued" ? -1 : 2;
  return event.type === "policy.rejected" ? 3 : -1;
}

/** Counts of events per series and step, up to a moment. */
class Counts {
  private readonly series = SERIES.map(() => new Array<number>(STEPS).fill(0));
  private last: number;

  /** The time since which the counts are complete, in milliseconds. */
  since: number;

  constructor(private readonly end: () => number) {
    this.last = stepOf(end());
    this.since = end();
  }

  clear(): void {
    for (const counts of this.series) counts.fill(0);
    this.since = this.end();
  }

  add(events: readonly SeenEvent[]): void {
    this.advance();
    for (const event of events) {
      const counts = this.series[seriesOf(event)];
      const index = STEPS - 1 - (this.last - stepOf(new Date(event.createdAt).getTime()));
      if (counts && index >= 0 && index < STEPS) counts[index] = (counts[index] ?? 0) + 1;
    }
  }

  /** Return times in seconds, then the series, each from the first complete step on. */
  chart(): [number[], ...number[][]] {
    this.advance();
    const times = Array.from({ length: STEPS }, (_, index) => ((this.last - STEPS + 1 + index) * STEP_MS) / 1_000);
    const known = Math.min(Math.max(0, STEPS - 1 - (this.last - Math.ceil(this.since / STEP_MS))), STEPS - 2);
    return [times, ...this.series.map((counts) => counts.slice(known))];
  }

  private advance(): void {
    const step = stepOf(this.end());
    for (const counts of this.series) {
      for (let index = 0; index < Math.min(step - this.last, STEPS); index++) {
        counts.shift();
        counts.push(0);
      }
    }
    this.last = Math.max(this.last, step);
  }
}

/** The ten minutes before a moment: counts for the chart, and the newest events for the activity list. */
class Traffic {
  readonly ticker = signal<readonly SeenEvent[]>([]);
  private readonly counts: Counts;

  constructor(
    private readonly end: () => number,
    private readonly send: typeof request,
    private readonly isWanted: () => boolean = () => true,
  ) {
    this.counts = new Counts(end);
  }

  chart(): [number[], ...number[][]] {
    return this.counts.chart();
  }

  add(events: readonly SeenEvent[]): void {
    this.counts.add(events);
    this.addToTicker(events);
    redraws.value++;
  }

  /** Read the events up to a position. */
  async read(position: number): Promise<void> {
    const cursor = Math.max(0, position - SEED_EVENTS);
    const newest = (await this.send(listEvents, { query: { cursor, limit: SEED_EVENTS } })).data;
    this.addToTicker(eventsOf(newest).filter((event) => event.position <= position));
    await this.count(position, this.end() - STEPS * STEP_MS);
  }

  /** Count again after a reset of the stream, which skips events. */
  async recount(position: number): Promise<void> {
    this.counts.clear();
    await this.count(position, this.counts.since - STEPS * STEP_MS);
  }

  private addToTicker(events: readonly SeenEvent[]): void {
    const shown = events.filter((event) => TICKER_TYPES.has(event.type));
    if (!shown.length) return;
    this.ticker.value = [...this.ticker.value, ...shown.slice(-TICKER_EVENTS)].sort((a, b) => b.position - a.position).slice(0, TICKER_EVENTS);
  }

  /** Count events from a time to a position; with too many events, start later. */
  private async count(position: number, from: number): Promise<void> {
    const query = { types: COUNTED.join(","), createdAfter: new Date(from).toISOString(), limit: SEED_EVENTS };
    let page = (await this.send(listEvents, { query })).data;
    const first = eventsOf(page);
    const [begin, end] = [first[0]?.position ?? position, first[first.length - 1]?.position ?? position];
    const expected = page.nextCursor ? (first.length * (position - begin)) / Math.max(1, end - begin) : first.length;
    if (expected > 1.5 * PAST_EVENTS_MAX) return this.count(position, this.end() - ((this.end() - from) * PAST_EVENTS_MAX) / expected);
    for (;;) {
      const events = eventsOf(page);
      this.counts.add(events.filter((event) => event.position <= position));
      if (!page.nextCursor || (events[events.length - 1]?.position ?? 0) > position || !this.isWanted()) break;
      page = (await this.send(listEvents, { query: { ...query, cursor: page.nextCursor } })).data;
    }
    this.counts.since = from;
    redraws.value++;
  }
}

const live = new Traffic(Date.now, requestNow);
const past = signal(new Traffic(() => 0, request));

/** Return the traffic up to the moment of the page. */
export const shownTraffic = (): Traffic => (at.value === undefined ? live : past.value);

/** Follow the stream from a position, and read the events just before it once the page shows now. */
export function startTraffic(position: number): void {
  eventStream.subscribe((events) => live.add(events));
  setInterval(() => redraws.value++, STEP_MS);
  resets.subscribe((times) => {
    if (times) void live.recount(streamPosition.value).catch(() => undefined); // on failure, the chart starts now
  });
  let isRead = false;
  effect(() => {
    if (at.value !== undefined || isRead) return;
    isRead = true;
    void untracked(() => live.read(position)).catch(ignore);
  });
}

/** Read the traffic of the moment that the page shows. */
export function usePastTraffic(): void {
  const shown = instant.value;
  useEffect(() => {
    if (!shown) return;
    const end = Date.parse(shown.time);
    const found = new Traffic(
      () => end,
      request,
      () => instant.peek() === shown,
    );
    const show = (): void => {
      if (instant.peek() === shown) past.value = found;
    };
    found.read(shown.position).then(show, ignore);
  }, [shown]);
}

/** A scope may hide past events, and the page works without them. */
function ignore(error: unknown): void {
  if (!(error instanceof AthenaError)) throw error;
}
