// What an event says, in a few words.

import { count, dollars, words } from "../format";
import { number, type SeenEvent, text } from "./events";

const failed = (event: SeenEvent): string => `failed: ${text(event, "code")}`;

/** By type; an event of another type is called by its type. */
const SUMMARIES: Readonly<Record<string, (event: SeenEvent) => string>> = {
  "run.queued": (event) => `waits: ${words(text(event, "reason"))}`,
  "run.created": (event) => `was admitted: ${text(event, "provider")} ${text(event, "model")}`,
  "run.leased": (event) => `attempt ${number(event, "attempt") ?? 1}`,
  "run.started": () => "started",
  "run.completed": (event) => (text(event, "verificationStatus") === "verification-failed" ? "completed, but did not pass" : "completed"),
  "run.failed": failed,
  "run.timed-out": () => "timed out",
  "run.crashed": () => "crashed",
  "run.cancelled": (event) => `was cancelled: ${text(event, "reason") || words(text(event, "cause"))}`,
  "run.cancel.requested": () => "was asked to stop",
  "run.paused": (event) => `was paused: ${words(text(event, "reason"))}`,
  "policy.rejected": (event) => `was refused: ${words((event.payload.rejection as { reason: string }).reason)}`,
  "policy.updated": (event) => `policy replaced${text(event, "updatedBy") ? ` by ${text(event, "updatedBy")}` : ""}`,
  "tool.called": (event) => `called ${text(event, "toolName") || "a tool"}`,
  "schedule.run.started": (event) => `schedule ${text(event, "id")} fired`,
  "schedule.run.skipped": (event) => `schedule ${text(event, "id")} skipped a slot: ${words(text(event, "reason"))}`,
  "schedule.run.failed": failed,
  "a2a.message.failed": failed,
  "a2a.dlq.added": (event) => `dead letter: ${words(text(event, "reason"))}`,
  "authz.denied": (event) => `${text(event, "subject")} was denied ${text(event, "operation")}`,
  "workflow.approval.requested": (event) => `step ${text(event, "stepId")} waits for approval`,
  "workflow.step.failed": (event) => `step ${text(event, "stepId")} failed: ${text(event, "code")}`,
  "transcript.appended": (event) => `${text(event, "role")}, ${count(number(event, "chars") ?? 0)} characters`,
  "usage.recorded": (event) => {
    const cost = number(event, "costMicroUsd");
    return `${text(event, "model")}${cost === undefined ? "" : `, ${dollars(cost)}`}`;
  },
  "evidence.attached": (event) => `showed ${text(event, "label") || text(event, "evidenceType")}`,
};

export function eventSummary(event: SeenEvent): string {
  return SUMMARIES[event.type]?.(event) ?? (text(event, "stepId") ? `step ${text(event, "stepId")}` : event.type);
}

/** How an event ends for the caller who asked for it: the class of its colour. */
export function eventTone(event: SeenEvent): string {
  if (event.type.endsWith(".completed")) return "good";
  if (event.type === "policy.rejected" || event.type === "authz.denied") return "warn";
  return /\.(failed|crashed|timed-out|dlq\.added)$/.test(event.type) ? "bad" : "";
}
