import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { HeldList } from "./hold";

interface Row {
  readonly id: string;
}

const row = (id: string): Row => ({ id });
const list = (): HeldList<Row> => new HeldList<Row>(({ id }) => id);

test("a list that is not held is the live list", () => {
  deepEqual(list().rows([row("b"), row("a")], false, 0), { rows: [row("b"), row("a")], fresh: 0 });
});

test("a held list keeps its rows, and counts new ones", () => {
  const held = list();
  held.rows([row("b"), row("a")], true, 0);
  deepEqual(held.rows([row("c"), row("b"), row("a")], true, 0), { rows: [row("b"), row("a")], fresh: 1 });
  deepEqual(held.rows([row("c"), row("b"), row("a")], false, 0), { rows: [row("c"), row("b"), row("a")], fresh: 0 });
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
