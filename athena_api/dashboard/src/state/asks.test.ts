import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Ask } from "@projectathena/client";
import { askingServer, asksInPlace, decidersOf, decisionOf, foldAsks, isLocked, optionOfKey, refusalOf, rememberedText, withExact } from "./asks";
import type { SeenEvent } from "./events";

function asked(changes: Partial<Ask> = {}): Ask {
  return {
    ...{ id: "ask_1", kind: "tool-permission", status: "open", question: "May the agent call shell?", subjectHash: "h1" },
    ...{ role: "Operator", askedAt: "2026-01-01T00:00:00.000Z", toolName: "shell", sessionId: "s", agentName: "Mechanic" },
    ...{ parked: false, editable: true },
    options: [
      { id: "allow", kind: "allow_once", name: "Allow" },
      { id: "deny", kind: "reject_once", name: "Deny" },
    ],
    ...changes,
  };
}

const CHOICE: Partial<Ask> = {
  kind: "choice",
  options: [
    { id: "1", kind: "allow_once", name: "main" },
    { id: "2", kind: "allow_once", name: "next" },
    { id: "decline", kind: "reject_once" },
  ],
};
const QUESTION: Partial<Ask> = {
  kind: "question",
  options: [
    { id: "answer", kind: "allow_once" },
    { id: "decline", kind: "reject_once" },
  ],
};

function answered(payload: Readonly<Record<string, unknown>>): SeenEvent {
  return {
    ...{ id: "e", type: "run.answered", payload: { askId: "ask_1", ...payload }, position: 9, runId: "run_1", sessionId: "s", traceId: "t" },
    ...{ schemaVersion: 1, createdAt: "2026-01-01T00:01:00.000Z" },
  };
}

test("y allows and n denies an act, and no key answers a question", () => {
  deepEqual([optionOfKey(asked(), "y")?.id, optionOfKey(asked(), "n")?.id, optionOfKey(asked(), "x")], ["allow", "deny", undefined]);
  deepEqual([optionOfKey(asked(QUESTION), "y"), optionOfKey(asked(QUESTION), "n")?.id], [undefined, "decline"]);
  deepEqual([optionOfKey(asked(CHOICE), "y"), optionOfKey(asked(CHOICE), "n")?.id], [undefined, "decline"]);
  equal(optionOfKey(asked({ kind: "workflow-approval" }), "y")?.id, "allow");
});

test("an ask that hides a part is locked until its exact text is there", () => {
  const hidden = asked({ hidden: [{ chars: 5, sha256: "6966" }], arguments: "[hidden]" });
  deepEqual([isLocked(asked()), isLocked(asked({ hidden: [] })), isLocked(hidden), isLocked(withExact(hidden, undefined))], [false, false, true, true]);
  const open = withExact(hidden, "all of it");
  deepEqual([isLocked(open), open.arguments, open.hidden?.length], [false, "all of it", 1]);
  equal(withExact(asked({ ...QUESTION, arguments: undefined }), "all of it").arguments, undefined);
});

test("who may decide is said, and why a caller may not", () => {
  const refusal = (changes: Partial<Ask>, identity: string, role: string): string => refusalOf(asked(changes), { identity, role }) ?? "";
  equal(refusal({}, "vera", "Viewer"), "This needs the role Operator. You are Viewer.");
  equal(refusal({}, "otto", "Operator"), "");
  equal(refusal({ role: "Admin" }, "otto", "Operator"), "This needs the role Admin. You are Operator.");
  equal(refusal({ approvers: ["ada"] }, "otto", "Operator"), "Only ada may decide.");
  equal(refusal({ requestedBy: "vera" }, "vera", "Viewer"), "This needs the role Operator. You are Viewer.");
  equal(refusal({ ...QUESTION, requestedBy: "vera" }, "vera", "Viewer"), "");
  equal(refusal({ notRequester: true, requestedBy: "otto" }, "otto", "Operator"), "You started this run. Another person must decide.");
  equal(decidersOf(asked({ notRequester: true, approvers: ["ada", "otto"] })), "An Operator or Admin of: ada, otto, but not who started the run");
  equal(decidersOf(asked(QUESTION)), "An Operator or Admin, or who started the run");
});

test("an answer marks the ask of the list, and the list is read again", () => {
  let reloads = 0;
  const page = { items: [asked(), asked({ id: "ask_2" })] };
  const after = (payload: Readonly<Record<string, unknown>>): (string | undefined)[] =>
    foldAsks(page, [answered(payload)], () => reloads++).items.map(decisionOf);
  deepEqual(after({ cause: "person", by: "ada", optionId: "deny" }), ["Denied by ada", undefined]);
  deepEqual(after({ cause: "person", by: "ada", optionId: "allow" }), ["Allowed by ada", undefined]);
  deepEqual(after({ cause: "rule", optionId: "allow", ruleId: "rule_1" }), ["Allowed by a permission rule", undefined]);
  deepEqual(after({ cause: "expiry" }), ["Expired: not allowed", undefined]);
  deepEqual(after({ cause: "run-ended" }), ["Closed: the run ended first", undefined]);
  equal(reloads, 5);
  equal(
    foldAsks(page, [{ ...answered({}), type: "usage.recorded" }], () => reloads++),
    page,
  );
  equal(reloads, 5);
});

test("decisions of every kind are said", () => {
  const said = (changes: Partial<Ask>): string | undefined => decisionOf(asked({ decidedBy: "ada", ...changes }));
  equal(said({ status: "approved", optionId: "allow", editedArguments: "{}" }), "Allowed with changes by ada");
  equal(said({ ...CHOICE, status: "answered", optionId: "2" }), '"next" chosen by ada');
  equal(said({ ...QUESTION, status: "answered", optionId: "answer" }), "Answered by ada");
  equal(said({ ...QUESTION, status: "rejected", optionId: "decline" }), "Declined by ada");
  equal(said({ kind: "workflow-approval", status: "approved" }), "Approved by ada");
  equal(said({ status: "expired", onExpiry: "cancel" }), "Expired: the run was cancelled");
});

test("asks stay in place while they are kept, oldest first", () => {
  const at = (id: string, second: number): Ask => asked({ id, askedAt: `2026-01-01T00:00:0${second}.000Z` });
  const had = [at("a", 1), at("b", 2), at("c", 3)];
  const ids = (keeps: (id: string) => boolean): string =>
    asksInPlace(had, [at("c", 3), at("d", 4)], keeps)
      .map(({ id }) => id)
      .join("");
  equal(
    ids(() => true),
    "abcd",
  );
  equal(
    ids((id) => id === "b"),
    "bcd",
  );
  equal(
    ids(() => false),
    "cd",
  );
});

test("the sentence about a rule is exact", () => {
  const hour = 3_600_000;
  equal(
    rememberedText(asked(), "session", 8 * hour),
    "Athena will allow shell with exactly these arguments in all runs of the session s, without asking, for 8 h. " +
      "Any other argument asks again. Each use is recorded.",
  );
});

test("a question of an MCP server names it, and no other ask does", () => {
  const question = { ...QUESTION, origin: "mcp", toolName: "git__git_commit" };
  equal(askingServer(asked(question)), "git");
  equal(askingServer(asked({ ...question, toolName: "ask_user" })), undefined);
  equal(askingServer(asked({ ...question, origin: "loop" })), undefined);
  equal(askingServer(asked({ origin: "mcp", toolName: "git__git_commit" })), undefined);
});
