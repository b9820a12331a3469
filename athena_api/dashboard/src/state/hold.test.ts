import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { SeenEvent } from "./events";
import { HeldList } from "./hold";

interface Row {
  readonly id: string;
  readonly status: string;
}

const row = (id: string, status = "running"): Row => ({ id, status });
const ended = (runId: string): SeenEvent => ({ runId }) as SeenEvent;

function list(): HeldList<Row> {
  return new HeldList<Row>(
    ({ id }) => id,
    (had, event) => (event.runId === had.id ? row(had.id, "completed") : had),
  );
}

test("a list that is not held is the live list", () => {
  deepEqual(list().rows([row("b"), row("a")], false, 0), { rows: [row("b"), row("a")], fresh: 0 });
});

test("a held list keeps its rows, counts new ones, and follows changes of its own", () => {
  const held = list();
  held.rows([row("b"), row("a")], true, 0);
  deepEqual(held.rows([row("c"), row("b", "failed"), row("a")], true, 0), { rows: [row("b", "failed"), row("a")], fresh: 1 });
  deepEqual(held.rows([row("c"), row("b"), row("a")], false, 0), { rows: [row("c"), row("b"), row("a")], fresh: 0 });
});

test("a row that left the live list keeps its place and its status", () => {
  const held = list();
  held.rows([row("b"), row("a")], true, 0);
  deepEqual([held.apply([ended("a")]), held.apply([ended("z")])], [true, false]);
  deepEqual(held.rows([row("c")], true, 0), { rows: [row("b"), row("a", "completed")], fresh: 1 });
});

test("older rows are added at the end of a held list", () => {
  const held = list();
  held.rows([row("c"), row("b")], true, 0);
  deepEqual(held.rows([row("d"), row("c"), row("b"), row("a")], true, 0), { rows: [row("c"), row("b"), row("a")], fresh: 1 });
});

test("a new edition shows what was gathered", () => {
  const held = list();
  held.rows([row("a")], true, 0);
  deepEqual(held.rows([row("b"), row("a")], true, 1), { rows: [row("b"), row("a")], fresh: 0 });
});
