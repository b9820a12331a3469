// Counts of the last ten minutes in steps of five seconds, and the newest events.

import { signal } from "@preact/signals";
import { listEvents } from "@projectathena/client/operations";
import { request } from "../server";
import { eventStream, resets, position as streamPosition } from "./event_stream";
import { eventsOf, type SeenEvent } from "./events";
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
/** The newest events for the activity list. */
export const ticker = signal<readonly SeenEvent[]>([]);

const stepOf = (ms: number): number => Math.floor(ms / STEP_MS);

function seriesOf(event: SeenEvent): number {
  if (event.type === "run.created") return 0;
  if (event.type === "run.completed") return 1;
  if (event.type in ENDINGS) return event.statusBefore === "queued" ? -1 : 2;
  return event.type === "policy.rejected" ? 3 : -1;
}

/** Counts of events per series and step. */
class Counts {
  private readonly series = SERIES.map(() => new Array<number>(STEPS).fill(0));
  private last = stepOf(Date.now());

  /** The time since which the counts are complete, in milliseconds. */
  since = Date.now();

  clear(): void {
    for (const counts of this.series) counts.fill(0);
    this.since = Date.now();
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
    const step = stepOf(Date.now());
    for (const counts of this.series) {
      for (let index = 0; index < Math.min(step - this.last, STEPS); index++) {
        counts.shift();
        counts.push(0);
      }
    }
    this.last = Math.max(this.last, step);
  }
}

const counts = new Counts();

export const chartSeries = (): [number[], ...number[][]] => counts.chart();

function addToTicker(events: readonly SeenEvent[]): void {
  const shown = events.filter((event) => TICKER_TYPES.has(event.type));
  if (shown.length) ticker.value = [...ticker.value, ...shown.slice(-TICKER_EVENTS)].sort((a, b) => b.position - a.position).slice(0, TICKER_EVENTS);
}

/** Follow the stream from a position, and load the events just before it. */
export async function startTraffic(position: number): Promise<void> {
  eventStream.subscribe((events) => {
    counts.add(events);
    addToTicker(events);
    redraws.value++;
  });
  setInterval(() => redraws.value++, STEP_MS);
  resets.subscribe((times) => {
    if (times) void recount().catch(() => undefined); // on failure, the chart starts now
  });
  const cursor = Math.max(0, position - SEED_EVENTS);
  const newest = (await request(listEvents, { query: { cursor, limit: SEED_EVENTS } })).data;
  addToTicker(eventsOf(newest).filter((event) => event.position <= position));
  await countPast(position, Date.now() - STEPS * STEP_MS);
}

/** Count again after a reset of the stream, which skips events. */
async function recount(): Promise<void> {
  counts.clear();
  await countPast(streamPosition.value, counts.since - STEPS * STEP_MS);
}

/** Count events from a time to a position; with too many events, start later. */
async function countPast(position: number, from: number): Promise<void> {
  const query = { types: COUNTED.join(","), createdAfter: new Date(from).toISOString(), limit: SEED_EVENTS };
  let page = (await request(listEvents, { query })).data;
  const first = eventsOf(page);
  const [begin, end] = [first[0]?.position ?? position, first[first.length - 1]?.position ?? position];
  const expected = page.nextCursor ? (first.length * (position - begin)) / Math.max(1, end - begin) : first.length;
  if (expected > 1.5 * PAST_EVENTS_MAX) return countPast(position, Date.now() - ((Date.now() - from) * PAST_EVENTS_MAX) / expected);
  for (;;) {
    const events = eventsOf(page);
    counts.add(events.filter((event) => event.position <= position));
    if (!page.nextCursor || (events[events.length - 1]?.position ?? 0) > position) break;
    page = (await request(listEvents, { query: { ...query, cursor: page.nextCursor } })).data;
  }
  counts.since = from;
  redraws.value++;
}
