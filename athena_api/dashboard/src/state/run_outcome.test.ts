import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Run, TranscriptEntry } from "@projectathena/client";
import { outcomeOf, titleOf, turnsOf } from "./run_outcome";

const run = (fields: Partial<Run>): Run => ({ createdAt: "2026-01-01T00:00:00.000Z", finishedAt: "2026-01-01T00:00:00.006Z", ...fields }) as Run;
const error = { code: "PROVIDER_ERROR", message: "cannot read this input", retryable: false };

test("a failed run says after how long and why", () => {
  deepEqual(outcomeOf(run({ status: "failed", error })), {
    ...{ tone: "bad", headline: "Failed after 6 ms", reason: "cannot read this input", code: "PROVIDER_ERROR" },
  });
});

test("a run that is fine has no banner, and one that was not verified has", () => {
  equal(outcomeOf(run({ status: "completed", verificationStatus: "passed" })), undefined);
  equal(outcomeOf(run({ status: "running" })), undefined);
  const verificationFailures = [{ policyId: "p", kind: "require-evidence", message: "no report", details: {} }];
  deepEqual(outcomeOf(run({ status: "completed", verificationFailures }))?.reason, "no report");
  deepEqual(outcomeOf(run({ status: "paused", paused: { reason: "budget", since: "" } }))?.headline, "Paused");
});

test("a title is the first line of the input, and short", () => {
  equal(titleOf("\n Report how pears sold.\nIn detail."), "Report how pears sold.");
  equal(titleOf("x".repeat(101)), `${"x".repeat(100)}…`);
});

function entry(position: number, role: string, kind = "message", toolCallId?: string): TranscriptEntry {
  return { id: String(position), role, kind, toolCallId } as TranscriptEntry;
}

const ENTRIES = [
  ...[entry(1, "user"), entry(3, "assistant"), entry(4, "assistant", "tool-call", "a"), entry(5, "assistant", "tool-call", "b")],
  ...[entry(7, "tool", "tool-result", "a"), entry(8, "tool", "tool-result", "b"), entry(10, "assistant")],
];

test("a turn is what the model wrote, with the results of its calls", () => {
  deepEqual(turnsOf(ENTRIES), [0, 1, 1, 1, 1, 1, 2]);
});
