// The parts of a run, from live text and recorded entries.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TranscriptDelta, TranscriptEntry } from "../src/index.js";
import { type RunPart, RunText } from "../src/run_text.js";

const RUN = "run_1";
const said = (id: string, content: string, more: Partial<TranscriptEntry> = {}): TranscriptEntry => ({
  ...{
    id,
    content,
    role: "assistant",
    kind: "message",
    runId: RUN,
    createdAt: "2026-01-01T00:00:00.000Z",
    metadata: {},
  },
  ...more,
});
const live = (turn: number, offset: number, text: string): TranscriptDelta => ({ runId: RUN, turn, offset, text });

function parts(...records: readonly (TranscriptDelta | TranscriptEntry)[]): RunPart[] {
  const text = new RunText(RUN);
  return records.flatMap((record) => [...("id" in record ? text.entry(record) : text.delta(record))]);
}

const short = (all: readonly RunPart[]): string[] =>
  all.map((part) => ("text" in part ? `${part.type} ${part.text}` : part.type));

test("live text adds up to the recorded message, which comes once", () => {
  const records = [live(1, 0, "Hel"), live(1, 3, "lo"), said("a", "Hello!"), said("a", "Hello!")];
  assert.deepEqual(short(parts(...records)), ["text Hel", "text lo", "text !", "message Hello!"]);
});

test("text that comes twice is given once, and a gap waits for the message", () => {
  const records = [live(1, 0, "Hel"), live(1, 0, "Hello"), live(1, 9, "…"), said("a", "Hello, you")];
  assert.deepEqual(short(parts(...records)), ["text Hel", "text lo", "text , you", "message Hello, you"]);
});

test("offsets count code points", () => {
  const records = [live(1, 0, "🦉🦉"), live(1, 2, "🦉"), live(1, 1, "🦉🦉!"), said("a", "🦉🦉🦉!")];
  assert.deepEqual(short(parts(...records)), ["text 🦉🦉", "text 🦉", "text !", "message 🦉🦉🦉!"]);
});

test("text of a failed call is withdrawn", () => {
  const again = [live(1, 0, "Wrong"), { runId: RUN, turn: 1, reset: true }, live(1, 0, "Right"), said("a", "Right")];
  assert.deepEqual(short(parts(...again)), ["text Wrong", "text-reset", "text Right", "message Right"]);
  assert.deepEqual(short(parts(live(1, 0, "Wrong"), live(1, 0, "Right"))), ["text Wrong", "text-reset", "text Right"]);
  assert.deepEqual(short(parts(live(1, 0, "Wrong"), live(2, 0, "Right"))), ["text Wrong", "text-reset", "text Right"]);
  assert.deepEqual(short(parts(live(1, 0, "Wrong"), said("a", "Right"))), [
    "text Wrong",
    "text-reset",
    "text Right",
    "message Right",
  ]);
});

test("an activity takes no text back", () => {
  const shown: TranscriptDelta = { runId: RUN, turn: 1, activity: { thoughts: "Perhaps" } };
  assert.deepEqual(short(parts(live(2, 0, "Hel"), shown, live(2, 3, "lo"))), ["text Hel", "activity", "text lo"]);
});

test("tools come as calls and results, other runs not at all", () => {
  const call = said("a", "{}", { role: "tool", kind: "tool-call", toolName: "files" });
  const result = said("b", "no", { role: "tool", kind: "tool-result", toolName: "files", isError: true });
  assert.deepEqual(parts(call, result, said("c", "x", { runId: "run_2" }), { ...live(1, 0, "x"), runId: "run_2" }), [
    { type: "tool-call", name: "files", arguments: "{}", entry: call },
    { type: "tool-result", name: "files", content: "no", isError: true, entry: result },
  ]);
});

test("however text is cut, repeated and lost, it adds up to the message", () => {
  const whole = Array.from("Sales of 🍐 rose by 12 % against last week.");
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let round = 0; round < 500; round++) {
    const records: (TranscriptDelta | TranscriptEntry)[] = [];
    for (let index = 0; index < 6; index++) {
      const begin = random(whole.length);
      records.push(live(1, begin, whole.slice(begin, begin + random(12)).join("")));
    }
    let text = "";
    for (const part of parts(...records, said("a", whole.join("")))) {
      if (part.type === "text") text += part.text;
      if (part.type === "text-reset") text = "";
      if (part.type === "message") assert.equal(text, part.text);
    }
    assert.equal(text, whole.join(""));
  }
});
