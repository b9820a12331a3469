import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { WorkflowDefinition } from "@projectathena/client";
import { placesOf } from "./workflow_layout";

const graph = (ids: string, ...edges: string[]): WorkflowDefinition =>
  ({
    steps: [...ids].map((id) => ({ id })),
    dependencies: edges.map(([from = "", to = ""]) => ({ from, to })),
  }) as WorkflowDefinition;

const shown = (definition: WorkflowDefinition): readonly string[] => [...placesOf(definition).places].map(([id, { column, row }]) => `${id}${column}${row}`);

test("a step stands one column after the last of its dependencies", () => {
  deepEqual(shown(graph("abcd", "ab", "bc", "ac", "cd")), ["a00", "b10", "c20", "d30"]);
});

test("steps of a column stand near the rows of their dependencies", () => {
  deepEqual(shown(graph("abcd", "ad", "bc")), ["a00", "b01", "d10", "c11"]);
});

test("a column with fewer steps stands in the middle", () => {
  deepEqual(shown(graph("abcd", "ab", "ac", "bd", "cd")), ["a00.5", "b10", "c11", "d20.5"]);
});

test("the size of a graph is its longest path and its widest column", () => {
  const { columns, rows } = placesOf(graph("abcde", "ab", "ac", "ad", "be"));
  deepEqual([columns, rows], [3, 3]);
});

test("a graph with a cycle ends, without the steps of the cycle", () => {
  deepEqual(shown(graph("abc", "bc", "cb")), ["a00"]);
});
