import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { TranscriptEntry } from "@projectathena/client";
import { comparedTurns, differences, firstDifference } from "./comparison";
import type { SeenEvent } from "./events";

const entry = (role: string, kind: string, content: string, toolCallId?: string): TranscriptEntry =>
  ({ role, kind, content, toolCallId, toolName: toolCallId && "shell", metadata: {} }) as unknown as TranscriptEntry;
const used = (turn: number, costMicroUsd: number): SeenEvent =>
  ({ type: "usage.recorded", payload: { turn, costMicroUsd, usage: { inputTokens: 3, outputTokens: 2 } } }) as unknown as SeenEvent;

const INPUT = entry("user", "message", "count pears");
const CALL = [entry("assistant", "tool-call", '{"command":["wc"]}', "a"), entry("tool", "tool-result", "40", "a")];
const turns = (answer: string, result = "40"): ReturnType<typeof comparedTurns> =>
  comparedTurns(
    [INPUT, ...CALL.slice(0, 1), entry("tool", "tool-result", result, "a"), entry("assistant", "message", answer)],
    [used(1, 7), used(1, 2), used(2, 9)],
  );

test("a turn has its text, its calls with their results, and the tokens and the cost of all its model calls", () => {
  deepEqual(turns("forty"), [
    { text: "count pears", calls: [], tokens: 0, costMicroUsd: 0 },
    { text: "", calls: [{ name: "shell", arguments: '{"command":["wc"]}', result: "40", failed: false }], tokens: 10, costMicroUsd: 9 },
    { text: "forty", calls: [], tokens: 5, costMicroUsd: 9 },
  ]);
});

test("the first difference is a text, a result, or a turn that one run has more", () => {
  equal(firstDifference(turns("forty"), turns("forty")), -1);
  equal(firstDifference(turns("forty"), turns("40")), 2);
  equal(firstDifference(turns("forty"), turns("forty", "41")), 1);
  equal(firstDifference(turns("forty"), turns("forty").slice(0, 2)), 2);
  deepEqual(differences(turns("a")[2], turns("b")[2]), ["text"]);
  deepEqual(differences(turns("a")[1], turns("a", "41")[1]), ["results"]);
});
