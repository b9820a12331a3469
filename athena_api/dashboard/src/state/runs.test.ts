import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Run } from "@projectathena/client";
import type { SeenEvent } from "./events";
import { applyEvent, newRun } from "./runs";

type Step = readonly [type: string, payload?: Readonly<Record<string, unknown>>];

/** Return the record of a run after its first event and more. */
function runAfter(...steps: Step[]): Run {
  const events = ([["run.created", {}], ...steps] as readonly Step[]).map(([type, payload = {}], index): SeenEvent => {
    const common = { id: `e${index}`, position: index + 1, runId: "run_1", sessionId: "s", traceId: "t", schemaVersion: 1 };
    return { ...common, type, payload, createdAt: new Date(1_000 * index).toISOString() };
  });
  const [first, ...more] = events as [SeenEvent, ...SeenEvent[]];
  return more.reduce(applyEvent, newRun(first));
}

const waitOf = (...steps: Step[]): unknown => {
  const { status, waiting } = runAfter(...steps);
  return [status, waiting === undefined ? undefined : { ...waiting }];
};

const ASKED: Step = ["run.asked", { askId: "ask_1" }];
const ALSO: Step = ["run.asked", { askId: "ask_2" }];
const ANSWERED: Step = ["run.answered", { askId: "ask_1" }];
const PARKED: Step = ["run.paused", { reason: "ask" }];

test("a held run waits for its asks, and runs after the last answer", () => {
  deepEqual(waitOf(ASKED, ALSO), ["running", { reason: "ask", asks: ["ask_1", "ask_2"], parked: false }]);
  deepEqual(waitOf(ASKED, ALSO, ANSWERED), ["running", { reason: "ask", asks: ["ask_2"], parked: false }]);
  deepEqual(waitOf(ASKED, ANSWERED), ["running", undefined]);
});

test("a parked run waits until it is resumed, also in line", () => {
  deepEqual(waitOf(ASKED, PARKED), ["paused", { reason: "ask", asks: ["ask_1"], parked: true }]);
  deepEqual(waitOf(ASKED, PARKED, ANSWERED, ["run.requeued", { reason: "concurrency" }]), ["paused", { reason: "concurrency", parked: true }]);
  deepEqual(waitOf(ASKED, PARKED, ANSWERED, ["run.resumed"]), ["running", undefined]);
});

test("the end of a run ends its wait, and a budget is kept over an ask", () => {
  deepEqual(waitOf(ASKED, ["run.cancelled"]), ["cancelled", undefined]);
  deepEqual(waitOf(["run.paused", { reason: "budget" }]), ["paused", undefined]);
  equal(runAfter(["run.resumed", { budgetMicroUsd: 7 }], ASKED, PARKED, ANSWERED, ["run.resumed"]).budgetMicroUsd, 7);
});
