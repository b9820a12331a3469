// How often what happened lately: counts of the newest ten minutes, five seconds each.

import { signal } from "@preact/signals";
import { ask } from "./api";
import { listen, positionOf, type Happened } from "./feed";
import { listEvents } from "./generated";
import { ENDINGS } from "./runs";

const STEP_MS = 5_000;
const STEPS = 120;
const SEED_EVENTS = 500;

export const SERIES = ["admitted", "ended well", "ended otherwise", "refused"] as const;
const series = SERIES.map(() => new Array<number>(STEPS).fill(0));
let last = Math.floor(Date.now() / STEP_MS);

/** Goes up whenever there is something new to draw. */
export const drawn = signal(0);
/** The newest events that a reader may want to know of. */
export const ticker = signal<readonly Happened[]>([]);

const TICKER_EVENTS = 14;
const TOLD = new Set([
  ...["run.queued", "run.created", "run.paused", "run.resumed", "run.cancel.requested", "policy.rejected", "policy.updated"],
  ...["tool.called", "schedule.run.started", "schedule.run.skipped", "a2a.dlq.added", "authz.denied"],
  ...["workflow.run.created", "workflow.approval.requested", "workflow.step.failed", "workflow.run.completed"],
  ...["workflow.run.failed", "a2a.message.sent", ...Object.keys(ENDINGS)],
]);

function kind(event: Happened): number {
  if (event.type === "run.created") return 0;
  if (event.type === "run.completed") return 1;
  if (event.type in ENDINGS) return event.was === "queued" ? -1 : 2;
  return event.type === "policy.rejected" ? 3 : -1;
}

function move(): void {
  const step = Math.floor(Date.now() / STEP_MS);
  for (const counts of series) {
    for (let index = 0; index < Math.min(step - last, STEPS); index++) {
      counts.shift();
      counts.push(0);
    }
  }
  last = Math.max(last, step);
}

function take(events: readonly Happened[]): void {
  move();
  for (const event of events) {
    const which = series[kind(event)];
    const index = STEPS - 1 - (last - Math.floor(new Date(event.createdAt).getTime() / STEP_MS));
    if (which && index >= 0 && index < STEPS) which[index] = (which[index] ?? 0) + 1;
  }
  const told = events.filter((event) => TOLD.has(event.type));
  if (told.length) ticker.value = [...told.slice(-TICKER_EVENTS).reverse(), ...ticker.value].slice(0, TICKER_EVENTS);
  drawn.value++;
}

/** Times in seconds, then the series. */
export function drawing(): [number[], ...number[][]] {
  move();
  const times = Array.from({ length: STEPS }, (_, index) => ((last - STEPS + 1 + index) * STEP_MS) / 1_000);
  return [times, ...series.map((counts) => [...counts])];
}

/** Follows the stream from a position, and begins with what came just before it. */
export async function follow(position: number): Promise<void> {
  listen(take);
  const from = Math.max(0, position - SEED_EVENTS);
  const { data } = await ask(listEvents, { query: { cursor: from, limit: SEED_EVENTS } });
  const before = data.events.map((event) => ({ ...event, position: positionOf(event.id) }));
  take(before.filter((event) => event.position <= position));
  setInterval(() => drawn.value++, STEP_MS);
}
