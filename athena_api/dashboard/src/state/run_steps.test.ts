import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Run } from "@projectathena/client";
import { childSpans, flatten, rowsOf, stepsOf, WHOLE } from "./run_steps";
import type { Span } from "./run_timeline";

const span = (kind: Span["kind"], position: number): Span => ({ kind, name: `${kind} ${position}`, from: position * 10, to: position * 10 + 5, position });
const SHORT = [span("wait", 1), span("model", 2), span("tool", 3), span("ask", 4), span("pause", 5), span("model", 6), span("check", 7)];
const LONG = Array.from({ length: 60 }, (_, index) => span(index % 3 ? "tool" : "model", index));
const none = new Map<string, boolean>();
const keys = (spans: readonly Span[], toggled = none, selected = WHOLE): string[] => rowsOf(stepsOf(spans), toggled, selected).map(({ step }) => step.key);

test("a turn has its calls and asks", () => {
  const rows = rowsOf(stepsOf(SHORT), none, WHOLE);
  deepEqual(
    rows.map(({ step, level, place, of, open }) => [step.key, level, place, of, open]),
    [
      ["wait-1", 1, 1, 5, undefined],
      ["model-2", 1, 2, 5, true],
      ["tool-3", 2, 1, 2, undefined],
      ["ask-4", 2, 2, 2, undefined],
      ["pause-5", 1, 3, 5, undefined],
      ["model-6", 1, 4, 5, undefined],
      ["check-7", 1, 5, 5, undefined],
    ],
  );
});

test("the turns of a long run are closed, but the last, the selected and the opened ones", () => {
  equal(keys(LONG).length, 20 + 2);
  deepEqual(keys(LONG, new Map([["model-57", false]])).length, 20);
  deepEqual(keys(LONG, new Map([["model-0", true]]), "tool-10").slice(0, 8), [
    "model-0",
    "tool-1",
    "tool-2",
    "model-3",
    "model-6",
    "model-9",
    "tool-10",
    "tool-11",
  ]);
  equal(flatten(stepsOf(LONG)).length, 60);
});

test("a child run is a step of the turn that started it", () => {
  const at = (ms: number): string => new Date(ms).toISOString();
  const child = { runId: "run_c", createdAt: at(31), finishedAt: at(55), status: "failed", inputPreview: "a part" } as Run;
  const [, turn] = stepsOf(SHORT, childSpans([child]));
  deepEqual(
    turn?.children.map(({ key, span }) => [key, span.name, span.failed]),
    [
      ["tool-3", "tool 3", undefined],
      ["run_c", "run: a part", true],
      ["ask-4", "ask 4", undefined],
    ],
  );
});
