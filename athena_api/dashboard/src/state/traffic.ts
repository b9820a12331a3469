// How often what happened lately: counts of the newest ten minutes, five seconds each.

import { signal } from "@preact/signals";
import { request } from "../api";
import { resets, subscribe, position as streamPosition, positionOf, type SeenEvent } from "./event_stream";
import { listEvents, type EventsPage } from "../generated";
import { ENDINGS } from "./runs";

const STEP_MS = 5_000;
const STEPS = 120;
const SEED_EVENTS = 500; // a page of the feed
const PAST_EVENTS_MAX = 5_000; // where more happened in ten minutes, the chart begins later
const COUNTED = ["run.created", ...Object.keys(ENDINGS), "policy.rejected"];

export const SERIES = ["admitted", "ended well", "ended otherwise", "refused"] as const;
const series = SERIES.map(() => new Array<number>(STEPS).fill(0));
let last = Math.floor(Date.now() / STEP_MS);

/** From when on everything is counted, in milliseconds. */
let since = Date.now();

/** Goes up whenever there is something new to draw. */
export const redraws = signal(0);
/** The newest events that a reader may want to know of. */
export const ticker = signal<readonly SeenEvent[]>([]);

const TICKER_EVENTS = 14;
const TICKER_TYPES = new Set([
  ...["run.queued", "run.created", "run.paused", "run.resumed", "run.cancel.requested", "policy.rejected", "policy.updated"],
  ...["tool.called", "schedule.run.started", "schedule.run.skipped", "a2a.dlq.added", "authz.denied"],
  ...["workflow.run.created", "workflow.approval.requested", "workflow.step.failed", "workflow.run.completed"],
  ...["workflow.run.failed", "a2a.message.sent", ...Object.keys(ENDINGS)],
]);

function seriesOf(event: SeenEvent): number {
  if (event.type === "run.created") return 0;
  if (event.type === "run.completed") return 1;
  if (event.type in ENDINGS) return event.was === "queued" ? -1 : 2;
  return event.type === "policy.rejected" ? 3 : -1;
}

function advance(): void {
  const step = Math.floor(Date.now() / STEP_MS);
  for (const counts of series) {
    for (let index = 0; index < Math.min(step - last, STEPS); index++) {
      counts.shift();
      counts.push(0);
    }
  }
  last = Math.max(last, step);
}

function onEvents(events: readonly SeenEvent[]): void {
  countEvents(events);
  addToTicker(events);
  redraws.value++;
}

function countEvents(events: readonly SeenEvent[]): void {
  advance();
  for (const event of events) {
    const which = series[seriesOf(event)];
    const index = STEPS - 1 - (last - Math.floor(new Date(event.createdAt).getTime() / STEP_MS));
    if (which && index >= 0 && index < STEPS) which[index] = (which[index] ?? 0) + 1;
  }
}

function addToTicker(events: readonly SeenEvent[]): void {
  const shown = events.filter((event) => TICKER_TYPES.has(event.type));
  if (shown.length) ticker.value = [...ticker.value, ...shown.slice(-TICKER_EVENTS)].sort((a, b) => b.position - a.position).slice(0, TICKER_EVENTS);
}

/** Times in seconds, then the series; a series begins where everything is counted. */
export function chartSeries(): [number[], ...number[][]] {
  advance();
  const times = Array.from({ length: STEPS }, (_, index) => ((last - STEPS + 1 + index) * STEP_MS) / 1_000);
  const known = Math.min(Math.max(0, STEPS - 1 - (last - Math.ceil(since / STEP_MS))), STEPS - 2);
  return [times, ...series.map((counts) => counts.slice(known))];
}

/** Follows the stream from a position, and begins with what came just before it. */
export async function startTraffic(position: number): Promise<void> {
  subscribe(onEvents);
  setInterval(() => redraws.value++, STEP_MS);
  resets.subscribe((times) => {
    if (times) void recount().catch(() => undefined); // then the chart begins now
  });
  const cursor = Math.max(0, position - SEED_EVENTS);
  const newest = (await request(listEvents, { query: { cursor, limit: SEED_EVENTS } })).data;
  addToTicker(withPositions(newest).filter((event) => event.position <= position));
  await count(position, Date.now() - STEPS * STEP_MS);
}

/** Counts again: some of what happened was not heard. */
async function recount(): Promise<void> {
  for (const counts of series) counts.fill(0);
  since = Date.now();
  await count(streamPosition.value, since - STEPS * STEP_MS);
}

/** Counts what happened from a time to a position; where that is too much, from a later time on. */
async function count(position: number, from: number): Promise<void> {
  const query = { types: COUNTED.join(","), createdAfter: new Date(from).toISOString(), limit: SEED_EVENTS };
  let page = (await request(listEvents, { query })).data;
  const first = withPositions(page);
  const [begin, end] = [first[0]?.position ?? position, first[first.length - 1]?.position ?? position];
  const expected = page.nextCursor ? (first.length * (position - begin)) / Math.max(1, end - begin) : first.length;
  if (expected > 1.5 * PAST_EVENTS_MAX) return count(position, Date.now() - ((Date.now() - from) * PAST_EVENTS_MAX) / expected);
  for (;;) {
    const events = withPositions(page);
    countEvents(events.filter((event) => event.position <= position));
    if (!page.nextCursor || (events[events.length - 1]?.position ?? 0) > position) break;
    page = (await request(listEvents, { query: { ...query, cursor: page.nextCursor } })).data;
  }
  since = from;
  redraws.value++;
}

function withPositions(page: EventsPage): SeenEvent[] {
  return page.events.map((event) => ({ ...event, position: positionOf(event.id) }));
}
