// The places of steps in a graph.

import type { WorkflowDefinition } from "@projectathena/client";

export interface Place {
  readonly column: number;
  readonly row: number;
}

export interface Layout {
  readonly places: ReadonlyMap<string, Place>;
  readonly columns: number;
  readonly rows: number;
}

/** Return the place of each step: a column after the last of its dependencies, near the rows of those, in the middle of the height. */
export function placesOf({ steps, dependencies }: WorkflowDefinition): Layout {
  const needs = new Map<string, string[]>();
  for (const { from, to } of dependencies) needs.set(to, [...(needs.get(to) ?? []), from]);
  const places = new Map<string, Place>();
  const needsOf = (id: string): readonly string[] => needs.get(id) ?? [];
  const mean = (id: string): number => needsOf(id).reduce((sum, need) => sum + (places.get(need)?.row ?? 0), 0) / (needsOf(id).length || 1);
  let left = steps.map(({ id }) => id);
  const sizes: number[] = [];
  let [columns, rows] = [0, 0];
  for (; left.length; columns++) {
    const ready = left.filter((id) => needsOf(id).every((need) => places.has(need)));
    if (!ready.length) break; // definitions have no cycles
    const sorted = ready.map((id) => ({ id, wanted: mean(id) })).sort((one, other) => one.wanted - other.wanted);
    for (const [row, { id }] of sorted.entries()) places.set(id, { column: columns, row });
    rows = Math.max(rows, sorted.length);
    sizes.push(sorted.length);
    left = left.filter((id) => !places.has(id));
  }
  for (const [id, { column, row }] of places) places.set(id, { column, row: row + (rows - (sizes[column] ?? 0)) / 2 });
  return { places, columns, rows };
}
