// Asks: what waits for a person, who may decide it, and what was decided.

import type { Ask, AskChoice, AskPage, Caller } from "@projectathena/client";
import { duration, words } from "../format";
import { type SeenEvent, text } from "./events";
import type { Fold } from "./live_query";

const CHANGES: ReadonlySet<string> = new Set([
  ...["run.asked", "run.answered", "run.paused", "run.resumed", "run.requeued"],
  ...["workflow.approval.requested", "workflow.approval.granted", "workflow.approval.rejected", "workflow.step.cancelled"],
]);

/** Return true if the list of open asks may differ after an event. */
export const changesAsks = ({ type }: SeenEvent): boolean => CHANGES.has(type);

const ALLOWS = "allow_once";

export const isAllowing = ({ kind }: AskChoice): boolean => kind === ALLOWS;

/** Return the option that `y` or `n` chooses; undefined if the ask needs more than a yes or a no. */
export function optionOfKey(ask: Ask, key: string): AskChoice | undefined {
  const options = ask.options;
  if (key === "n") return options.find((option) => !isAllowing(option));
  const allowing = options.filter(isAllowing);
  return key === "y" && isYesOrNo(ask) && allowing.length === 1 ? allowing[0] : undefined;
}

/** Return true if an ask is about an act: it is allowed or not. */
export const isYesOrNo = ({ kind }: Ask): boolean => kind === "tool-permission" || kind === "workflow-approval";

/** Return true if an ask hides a part that was not opened, so that it cannot be allowed yet. */
export const isLocked = ({ hidden, exact }: Ask): boolean => Boolean(hidden?.length) && exact === undefined;

/** Return an ask with its exact text: a call has its exact arguments. */
export function withExact(ask: Ask, exact: string | undefined): Ask {
  if (exact === undefined) return ask;
  return { ...ask, exact, ...(ask.kind === "tool-permission" && { arguments: exact }) };
}

const ROLES = ["Viewer", "Operator", "Admin"];

/** Return why a caller may not decide an ask; undefined if it may. Only the server knows all. */
export function refusalOf(ask: Ask, { identity, role }: Pick<Caller, "identity" | "role">): string | undefined {
  const { approvers, requestedBy } = ask;
  if (approvers?.length && !approvers.includes(identity)) return `Only ${approvers.join(", ")} may decide.`;
  const mine = requestedBy !== undefined && requestedBy === identity;
  if (ask.notRequester && mine) return "You started this run. Another person must decide.";
  const least = ask.role || "Operator";
  if (ROLES.indexOf(role) >= ROLES.indexOf(least) || (mine && !isYesOrNo(ask))) return undefined;
  return `This needs the role ${least}. You are ${role}.`;
}

/** Return in words who may decide an ask. */
export function decidersOf(ask: Ask): string {
  const least = ask.role || "Operator";
  const roles = least === "Admin" ? "An Admin" : `${least === "Operator" ? "An Operator or Admin" : `A ${least} or a higher role`}`;
  const asked = isYesOrNo(ask) ? "" : ", or who started the run";
  const named = ask.approvers?.length ? ` of: ${ask.approvers.join(", ")}` : "";
  return `${roles}${named}${asked}${ask.notRequester ? ", but not who started the run" : ""}`;
}

/** Return what became of an ask; undefined while it is open. */
export function decisionOf(ask: Ask): string | undefined {
  if (ask.status === "open") return undefined;
  if (ask.status === "expired") return ask.onExpiry === "cancel" ? "Expired: the run was cancelled" : "Expired: not allowed";
  if (ask.status === "cancelled") return "Closed: the run ended first";
  const chosen = ask.options.find(({ id }) => id === ask.optionId);
  const verb = verbOf(ask, chosen);
  return `${verb}${ask.ruleId ? " by a permission rule" : ask.decidedBy ? ` by ${ask.decidedBy}` : ""}`;
}

function verbOf(ask: Ask, chosen: AskChoice | undefined): string {
  const yes = chosen ? isAllowing(chosen) : ask.status !== "rejected";
  if (ask.kind === "tool-permission") return yes ? (ask.editedArguments === undefined ? "Allowed" : "Allowed with changes") : "Denied";
  if (ask.kind === "workflow-approval") return yes ? "Approved" : "Rejected";
  if (!yes) return "Declined";
  return ask.kind === "choice" && chosen?.name ? `"${chosen.name}" chosen` : "Answered";
}

/** Mark the answered asks of a page, and read it again. */
export const foldAsks: Fold<AskPage> = (page, events, reload) => {
  if (!events.some(changesAsks)) return page;
  reload();
  const answers = new Map(events.filter(({ type }) => type === "run.answered").map((event) => [text(event, "askId"), event]));
  if (!page.items.some(({ id }) => answers.has(id))) return page;
  return { ...page, items: page.items.map((ask) => afterAnswer(ask, answers.get(ask.id))) };
};

function afterAnswer(ask: Ask, event: SeenEvent | undefined): Ask {
  if (!event || ask.status !== "open") return ask;
  const optionId = text(event, "optionId");
  const chosen = ask.options.find(({ id }) => id === optionId);
  const cause = text(event, "cause");
  const ended = { expiry: "expired", "run-ended": "cancelled" }[cause];
  return {
    ...ask,
    status: ended ?? (chosen && !isAllowing(chosen) ? "rejected" : isYesOrNo(ask) ? "approved" : "answered"),
    decidedAt: event.createdAt,
    decidedBy: text(event, "by") || undefined,
    optionId,
    ...(text(event, "ruleId") && { ruleId: text(event, "ruleId") }),
  };
}

/** Return the asks to show, oldest first: the asks of the list, and some that left it but stay in place. */
export function asksInPlace(had: readonly Ask[], live: readonly Ask[], keeps: (id: string) => boolean): readonly Ask[] {
  const present = new Set(live.map(({ id }) => id));
  const staying = had.filter(({ id }) => !present.has(id) && keeps(id));
  return [...staying, ...live].sort((a, b) => a.askedAt.localeCompare(b.askedAt) || a.id.localeCompare(b.id));
}

const SCOPES: Readonly<Record<string, (ask: Ask) => string>> = {
  run: () => "in this run",
  session: ({ sessionId }) => `in all runs of the session ${sessionId ?? ""}`,
  profile: ({ agentName }) => `in all runs of the agent ${agentName ?? "with this profile"}`,
};

/** Return in words what a permission rule will allow. */
export function rememberedText(ask: Ask, scope: string, forMs: number): string {
  return (
    `Athena will allow ${ask.toolName ?? "the tool"} with exactly these arguments ${SCOPES[scope]?.(ask) ?? words(scope)}, ` +
    `without asking, for ${duration(forMs)}. Any other argument asks again. Each use is recorded.`
  );
}

/** Return the MCP server whose tool asks a person: it is not the model, and not Athena. */
export function askingServer({ kind, origin, toolName }: Ask): string | undefined {
  const end = kind === "tool-permission" || origin !== "mcp" ? -1 : (toolName ?? "").indexOf("__");
  return end > 0 ? toolName?.slice(0, end) : undefined;
}
