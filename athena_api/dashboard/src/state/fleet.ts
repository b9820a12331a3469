// The fleet's counters as a fold of events over a snapshot.

import type { SeenEvent } from "./event_stream";
import { count, dollars } from "../format";
import type { FleetSummary } from "../generated";
import type { Fold } from "./live_query";
import { number, text } from "./runs";

type Draft<T> = { -readonly [K in keyof T]: T[K] extends object | null | undefined ? Draft<T[K]> : T[K] };

const OUTCOMES: Readonly<Record<string, "completed" | "failed" | "cancelled" | "timedOut" | "crashed">> = {
  "run.completed": "completed",
  "run.failed": "failed",
  "run.cancelled": "cancelled",
  "run.timed-out": "timedOut",
  "run.crashed": "crashed",
};

/** Folds events into a summary. */
export const foldFleet: Fold<FleetSummary> = (state, events, reload) => {
  const next = structuredClone(state) as Draft<FleetSummary>;
  let known = true;
  for (const event of events) known = applyEvent(next, event) && known;
  next.errorRate = next.total ? next.failed / next.total : 0;
  next.operationalSummary.totalActiveRuns = next.running;
  if (!known) reload();
  return next as FleetSummary;
};

/** Takes one event in; false where the events do not tell all of it. */
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
      if (event.was === "queued") stopWaiting(state);
      return event.was !== undefined || state.queue.waiting === 0;
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
    case "policy.updated":
      return false;
  }
  const outcome = OUTCOMES[event.type];
  if (outcome === undefined) return true;
  if (event.was === "queued") {
    state.withdrawn++;
    stopWaiting(state);
    return true;
  }
  state[event.was === "paused" ? "paused" : "running"]--;
  state.outcomes[outcome]++;
  state.recent.outcomes[outcome]++;
  if (outcome === "completed") state.succeeded++;
  else state.failed++;
  return event.was !== undefined;
}

/** A run waits no longer; since when the oldest does is known only where none is left. */
function stopWaiting(state: Draft<FleetSummary>): void {
  state.queue.waiting--;
  if (state.queue.waiting === 0) delete state.queue.oldestWaitingSince;
}

/** What an event says, in a few words. */
export function eventSummary(event: SeenEvent): string {
  const code = text(event, "code");
  const cost = number(event, "costMicroUsd");
  switch (event.type) {
    case "run.queued":
      return `waits: ${text(event, "reason").replaceAll("-", " ")}`;
    case "run.created":
      return `was admitted: ${text(event, "provider")} ${text(event, "model")}`;
    case "run.started":
      return "started";
    case "run.completed":
      return text(event, "verificationStatus") === "verification-failed" ? "completed, but did not pass" : "completed";
    case "run.failed":
    case "schedule.run.failed":
    case "a2a.message.failed":
      return `failed: ${code}`;
    case "run.timed-out":
      return "timed out";
    case "run.crashed":
      return "crashed";
    case "run.cancelled":
      return `was cancelled: ${text(event, "reason") || text(event, "cause").replaceAll("-", " ")}`;
    case "run.cancel.requested":
      return "was asked to stop";
    case "run.paused":
      return `was paused: ${text(event, "reason").replaceAll("-", " ")}`;
    case "policy.rejected": {
      const { reason } = event.payload["rejection"] as { reason: string };
      return `was refused: ${reason.replaceAll("-", " ")}`;
    }
    case "tool.called":
      return `called ${text(event, "toolName") || "a tool"}`;
    case "policy.updated":
      return `policy replaced${text(event, "updatedBy") ? ` by ${text(event, "updatedBy")}` : ""}`;
    case "schedule.run.started":
      return `schedule ${text(event, "id")} fired`;
    case "schedule.run.skipped":
      return `schedule ${text(event, "id")} skipped a slot: ${text(event, "reason").replaceAll("-", " ")}`;
    case "a2a.dlq.added":
      return `dead letter: ${text(event, "reason").replaceAll("-", " ")}`;
    case "authz.denied":
      return `${text(event, "subject")} was denied ${text(event, "operation")}`;
    case "workflow.approval.requested":
      return `step ${text(event, "stepId")} waits for approval`;
    case "workflow.step.failed":
      return `step ${text(event, "stepId")} failed: ${code}`;
    case "transcript.appended":
      return `${text(event, "role")}, ${count(number(event, "chars") ?? 0)} characters`;
    case "usage.recorded":
      return `${text(event, "model")}${cost === undefined ? "" : `, ${dollars(cost)}`}`;
    case "evidence.attached":
      return `showed ${text(event, "label") || text(event, "evidenceType")}`;
    case "run.leased":
      return `attempt ${number(event, "attempt") ?? 1}`;
  }
  return text(event, "stepId") ? `step ${text(event, "stepId")}` : event.type;
}

/** How an event ends for whoever asked for it. */
export function eventTone(event: SeenEvent): string {
  if (event.type.endsWith(".completed")) return "good";
  if (event.type === "policy.rejected" || event.type === "authz.denied") return "warn";
  return /\.(failed|crashed|timed-out|dlq\.added)$/.test(event.type) ? "bad" : "";
}
