import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Run } from "@projectathena/client";
import type { SeenEvent } from "./events";
import { foldRows, matches, type RunRows } from "./run_list";
import { newRun } from "./runs";

let position = 0;

function event(runId: string, type: string, payload: Readonly<Record<string, unknown>> = {}): SeenEvent {
  position++;
  const common = { id: `e${position}`, position, sessionId: "s", traceId: "t", schemaVersion: 1 };
  return { ...common, runId, type, payload: { sessionId: "s", ...payload }, createdAt: new Date(position).toISOString() };
}

const run = (runId: string): Run => newRun(event(runId, "run.created"));

/** Return the page after events, and what the fold asked for. */
function after(filters: Readonly<Record<string, string>>, ...events: SeenEvent[]): [RunRows, string[]] {
  const missing: string[] = [];
  const fold = foldRows(filters, { ended: (runId) => missing.push(runId), unknown: () => missing.push("unknown") });
  const page: RunRows = { items: [run("b"), run("a")] };
  return [events.reduce((rows, one) => fold(rows, [one], () => undefined), page), missing];
}

const ids = ({ items }: RunRows): string[] => items.map(({ runId }) => runId);

test("new runs are gathered, and rows stay in place and change", () => {
  const [page, missing] = after({}, event("c", "run.created"), event("b", "run.completed"), event("c", "run.failed"), event("z", "run.failed"));
  deepEqual(ids(page), ["b", "a"]);
  deepEqual(
    page.items.map(({ status }) => status),
    ["completed", "running"],
  );
  deepEqual(
    [...(page.fresh?.values() ?? [])].map(({ runId, status }) => [runId, status]),
    [["c", "failed"]],
  );
  deepEqual(missing, ["b"]);
});

test("a page that no event concerns stays the same object", () => {
  const page: RunRows = { items: [run("a")] };
  const fold = foldRows({}, { ended: () => undefined, unknown: () => undefined });
  equal(
    fold(page, [event("z", "run.completed"), event("y", "turn.completed")], () => undefined),
    page,
  );
});

test("a run that is not listed and may match now is asked for", () => {
  deepEqual(after({ status: "failed" }, event("z", "run.failed"))[1], ["unknown"]);
  deepEqual(after({ errorCode: "STUCK" }, event("z", "run.failed", { code: "STUCK" }))[1], ["unknown"]);
  deepEqual(after({ costOverUsd: "0.05" }, event("z", "usage.recorded"))[1], ["unknown"]);
  deepEqual(after({ sort: "cost" }, event("z", "run.completed"))[1], ["unknown"]);
  deepEqual(after({ status: "failed" }, event("z", "run.completed"), event("z", "usage.recorded"))[1], []);
});

test("a run matches filters by its cost, times and error", () => {
  const dear: Run = { ...run("d"), costMicroUsd: 50_001, createdAt: "2026-01-02T00:00:00.000Z" };
  deepEqual(
    [{ costOverUsd: "0.05" }, { costOverUsd: "0.06" }, { createdBefore: dear.createdAt }, { createdAfter: "2026-01-02T00:00:00.001Z" }, { errorCode: "X" }].map(
      (filters) => matches(dear, filters as Readonly<Record<string, string>>),
    ),
    [true, false, true, false, false],
  );
});
