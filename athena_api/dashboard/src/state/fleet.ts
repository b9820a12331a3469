// The fleet summary as a fold of events over a snapshot.

import type { FleetSummary } from "@projectathena/client";
import { changesAsks } from "./asks";
import { number, type SeenEvent } from "./events";
import type { Fold } from "./live_query";
import type { OpenStatus } from "./run_status";

type Draft<T> = { -readonly [K in keyof T]: T[K] extends object | null | undefined ? Draft<T[K]> : T[K] };

type Outcome = keyof FleetSummary["outcomes"];

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  "run.completed": "completed",
  "run.failed": "failed",
  "run.cancelled": "cancelled",
  "run.timed-out": "timedOut",
  "run.crashed": "crashed",
};

/** Apply events to a summary. */
export const foldFleet: Fold<FleetSummary> = (state, events, reload) => {
  const next = structuredClone(state) as Draft<FleetSummary>;
  let known = true;
  for (const event of events) known = applyEvent(next, event) && !changesAsks(event) && known;
  next.errorRate = next.total ? next.failed / next.total : 0;
  next.operationalSummary.totalActiveRuns = next.running;
  if (!known) reload();
  return next as FleetSummary;
};

/** Apply one event. Return false if the summary must be read again. */
function applyEvent(state: Draft<FleetSummary>, event: SeenEvent): boolean {
  switch (event.type) {
    case "run.queued":
      state.queue.waiting++;
      state.queue.oldestWaitingSince ??= event.createdAt;
      return true;
    case "run.created":
      state.total++;
      state.running++;
      state.recent.admitted++;
      if (event.statusBefore === "queued") stopWaiting(state);
      return event.statusBefore !== undefined || state.queue.waiting === 0;
    case "run.leased":
      return state.queue.withoutExecutor === 0;
    case "run.paused":
      state.running--;
      state.paused++;
      return true;
    case "run.resumed":
      state.running++;
      state.paused--;
      return true;
    case "usage.recorded": {
      const cost = number(event, "costMicroUsd") ?? 0;
      state.costSummary.totalEstimatedSpendUsd += cost / 1e6;
      state.costSummary.today.spentUsd += cost / 1e6;
      return true;
    }
    case "policy.rejected":
      state.recent.refused++;
      return true;
    case "authz.denied":
      state.recent.denied++;
      return true;
    case "requests.suppressed":
      state.recent.suppressed += number(event, "count") ?? 0;
      return true;
    case "work.enqueued":
      state.queue.items++;
      return true;
    case "work.item.drained":
      state.queue.items--;
      return true;
    case "a2a.dlq.restored":
      state.queue.deadLetters++;
      return true;
    case "a2a.dlq.requeued":
    case "a2a.dlq.discarded":
      state.queue.deadLetters--;
      return true;
    case "a2a.dlq.added":
    case "run.requeued":
    case "policy.updated":
      return false;
  }
  const outcome = OUTCOMES[event.type];
  return outcome === undefined || applyEnding(state, outcome, event.statusBefore);
}

/** Apply the end of a run. Return false if the previous status of the run is unknown. */
function applyEnding(state: Draft<FleetSummary>, outcome: Outcome, statusBefore: OpenStatus | undefined): boolean {
  if (statusBefore === "queued") {
    state.withdrawn++;
    stopWaiting(state);
    return true;
  }
  state[statusBefore === "paused" ? "paused" : "running"]--;
  state.outcomes[outcome]++;
  state.recent.outcomes[outcome]++;
  if (outcome === "completed") state.succeeded++;
  else state.failed++;
  return statusBefore !== undefined;
}

/** Remove a run from the queue. The age of the oldest one stays unknown until the queue is empty. */
function stopWaiting(state: Draft<FleetSummary>): void {
  state.queue.waiting--;
  if (state.queue.waiting === 0) delete state.queue.oldestWaitingSince;
}
