// Short summaries of events.

import { count, dollars, visibleLine, words } from "../format";
import { number, type SeenEvent, text } from "./events";

const failed = (event: SeenEvent): string => `failed: ${text(event, "code")}`;

const by = (event: SeenEvent): string => (text(event, "by") ? ` by ${text(event, "by")}` : "");

function credentials({ payload }: SeenEvent): string {
  const names = payload.credentials;
  return Array.isArray(names) && names.length ? ` with the credentials ${names.join(", ")}` : "";
}

const tools = (event: SeenEvent): string => (number(event, "tools") === 1 ? "1 tool" : `${count(number(event, "tools") ?? 0)} tools`);

function refusedOf({ payload }: SeenEvent): string {
  const names = payload.refused;
  return Array.isArray(names) && names.length ? `; changed, so refused: ${names.map(String).map(visibleLine).join(", ")}` : "";
}

function changesOf(event: SeenEvent): string {
  const [files, added, removed] = ["files", "addedLines", "removedLines"].map((name) => count(number(event, name) ?? 0));
  return files === "0" ? "changed no files" : `changed ${files} ${files === "1" ? "file" : "files"}: +${added} −${removed} lines`;
}

const OPTIONS: Readonly<Record<string, string>> = { allow: "allowed", deny: "denied", decline: "declined" };

function answerOf(event: SeenEvent): string {
  const cause = text(event, "cause");
  if (cause === "expiry") return "the ask expired";
  if (cause === "run-ended") return "the ask was closed";
  const said = OPTIONS[text(event, "optionId")] ?? "answered";
  return cause === "rule" ? `${said} by a permission rule` : `${said}${event.payload.editedSha256 ? " with changes" : ""}${by(event)}`;
}

/** How an agent got its session. */
export const SESSIONS: Readonly<Record<string, string>> = {
  new: "opened a new session",
  resumed: "resumed its session",
  replayed: "opened a new session, with the recorded conversation as its input",
};

/** The summary by event type. Other events are shown by their type. */
const SUMMARIES: Readonly<Record<string, (event: SeenEvent) => string>> = {
  "run.queued": (event) => `queued: ${words(text(event, "reason"))}`,
  "run.created": (event) => `accepted: ${text(event, "provider")} ${text(event, "model")}`,
  "run.leased": (event) => `attempt ${number(event, "attempt") ?? 1}`,
  "run.started": () => "started",
  "run.completed": (event) => (text(event, "verificationStatus") === "verification-failed" ? "completed, verification failed" : "completed"),
  "run.failed": failed,
  "run.timed-out": () => "timed out",
  "run.crashed": () => "crashed",
  "run.cancelled": (event) => `cancelled: ${text(event, "reason") || words(text(event, "cause"))}`,
  "run.cancel.requested": () => "cancel requested",
  "run.paused": (event) => `paused: ${words(text(event, "reason"))}`,
  "run.asked": (event) =>
    text(event, "kind") === "tool-permission" ? `asks: may it call ${text(event, "toolName")}${credentials(event)}?` : `asks a ${text(event, "kind")}`,
  "run.answered": answerOf,
  "run.requeued": (event) => `waits in line again: ${words(text(event, "reason"))}`,
  "halt.started": (event) => `halted${by(event)}`,
  "halt.lifted": (event) => `halt lifted${by(event)}`,
  "permission-rule.created": (event) => `allowed from now on: ${text(event, "toolName")}, this ${text(event, "scope")}`,
  "permission-rule.revoked": (event) => (text(event, "cause") === "expiry" ? "permission rule expired" : `permission rule revoked${by(event)}`),
  "policy.rejected": (event) => `rejected: ${words((event.payload.rejection as { reason: string }).reason)}`,
  "policy.updated": (event) => `policy updated${text(event, "updatedBy") ? ` by ${text(event, "updatedBy")}` : ""}`,
  "agent.attached": (event) => `agent ${text(event, "agent")} (${text(event, "agentVersion")}) ${SESSIONS[text(event, "how")] ?? text(event, "how")}`,
  "mcp.attached": (event) => `MCP server ${text(event, "server")}: ${tools(event)}${refusedOf(event)}`,
  "mcp-server.listed": (event) => `MCP server ${text(event, "server")} lists other tools`,
  "mcp-server.accepted": (event) => `tools of MCP server ${text(event, "server")} accepted${by(event)}`,
  "tool.called": (event) =>
    event.payload.origin === "agent"
      ? `the agent's call: ${text(event, "kind")}${event.payload.refused ? ", refused" : event.payload.asked === false ? ", without asking" : ""}`
      : `called ${text(event, "toolName") || "a tool"}${credentials(event)}`,
  "sandbox.lifecycle": (event) => `sandbox: ${words(String(event.sandbox?.phase))}`,
  "workspace.created": (event) => `new workspace of the ${words(text(event, "kind"))}`,
  "workspace.opened": () => "works in its own workspace",
  "workspace.changed": changesOf,
  "workspace.retained": (event) => `workspace ${event.payload.keep ? "kept" : "released"}${by(event)}`,
  "workspace.applied": (event) => `changes applied to the shared workspace${by(event)}`,
  "workspace.exact-opened": (event) => `exact diff opened${by(event)}`,
  "workspace.cleaned": (event) => `workspace cleaned${by(event)}`,
  "schedule.run.started": (event) => `schedule ${text(event, "id")} started a run`,
  "schedule.run.skipped": (event) => `schedule ${text(event, "id")} skipped: ${words(text(event, "reason"))}`,
  "schedule.run.failed": failed,
  "a2a.message.failed": failed,
  "a2a.dlq.added": (event) => `dead letter: ${words(text(event, "reason"))}`,
  "authz.denied": (event) => `access denied: ${text(event, "subject")}, ${text(event, "operation")}`,
  "workflow.approval.requested": (event) => `step ${text(event, "stepId")} needs approval`,
  "workflow.step.failed": (event) => `step ${text(event, "stepId")} failed: ${text(event, "code")}`,
  "transcript.appended": (event) => `${text(event, "role")}, ${count(number(event, "chars") ?? 0)} characters`,
  "usage.recorded": (event) => {
    const cost = number(event, "costMicroUsd");
    return `${text(event, "model")}${cost === undefined ? "" : `, ${dollars(cost)}`}`;
  },
  "evidence.attached": (event) => `attached evidence ${text(event, "label") ? `"${text(event, "label")}"` : `(${text(event, "evidenceType")})`}`,
};

export function eventSummary(event: SeenEvent): string {
  return SUMMARIES[event.type]?.(event) ?? (text(event, "stepId") ? `step ${text(event, "stepId")}` : event.type);
}

/** Return the CSS class for the colour of an event. */
export function eventTone(event: SeenEvent): string {
  if (event.type.endsWith(".completed")) return "good";
  if (event.type === "run.asked" || event.type === "halt.started" || event.type === "policy.rejected" || event.type === "authz.denied") return "warn";
  return /\.(failed|crashed|timed-out|dlq\.added)$/.test(event.type) ? "bad" : "";
}
