// The steps of a run as a tree: each turn of the model with its tool calls, asks and child runs.

import type { Run } from "@projectathena/client";
import type { Span } from "./run_timeline";

export interface Step {
  readonly key: string;
  readonly span: Span;
  readonly children: readonly Step[];
}

/** A visible row of the tree. */
export interface StepRow {
  readonly step: Step;
  readonly level: number;
  /** Its place among its neighbours, from 1, and their number. */
  readonly place: number;
  readonly of: number;
  /** Absent for a row without children. */
  readonly open?: boolean;
  readonly parent?: string;
}

/** The key of the first row: the run itself. */
export const WHOLE = "run";

const ROWS_OPEN_MAX = 40;

/** Return the key of a step, which stays the same while the step goes on. */
export const keyOf = ({ kind, position, callId = "" }: Span): string => (kind === "child" ? callId : `${kind}-${position}`);

/** Return child runs as steps of their parent. */
export function childSpans(runs: readonly Run[]): readonly Span[] {
  return runs.map(({ runId, createdAt, finishedAt, status, inputPreview }) => ({
    ...{ kind: "child", name: `run: ${inputPreview ?? runId}`, from: Date.parse(createdAt), position: -1, callId: runId, detail: status },
    ...(finishedAt && { to: Date.parse(finishedAt), failed: status !== "completed" }),
  }));
}

/** Return the steps in the order of their starts. A turn has what follows it until the next one, but waits and pauses. */
export function stepsOf(spans: readonly Span[], children: readonly Span[] = []): readonly Step[] {
  const steps: { key: string; span: Span; children: Step[] }[] = [];
  const all = children.length ? [...spans, ...children].sort((one, other) => one.from - other.from) : spans;
  let turn: { children: Step[] } | undefined;
  for (const span of all) {
    const step = { key: keyOf(span), span, children: [] };
    if (turn && ["tool", "ask", "child"].includes(span.kind)) turn.children.push(step);
    else steps.push(step);
    if (span.kind === "model") turn = step;
  }
  return steps;
}

/** Return the visible rows. Of a long run, only the last turn and the one with the selected step are open at first. */
export function rowsOf(steps: readonly Step[], toggled: ReadonlyMap<string, boolean>, selected: string): readonly StepRow[] {
  const long = steps.reduce((sum, { children }) => sum + 1 + children.length, 0) > ROWS_OPEN_MAX;
  const last = steps.findLast(({ children }) => children.length);
  return steps.flatMap((step, index): readonly StepRow[] => {
    const row = { step, level: 1, place: index + 1, of: steps.length };
    const { key, children } = step;
    if (!children.length) return [row];
    const open = toggled.get(key) ?? (!long || step === last || children.some((child) => child.key === selected));
    const inner = children.map((child, at): StepRow => ({ step: child, level: 2, place: at + 1, of: children.length, parent: key }));
    return [{ ...row, open }, ...(open ? inner : [])];
  });
}

/** Return all steps, children after their turn. */
export const flatten = (steps: readonly Step[]): readonly Step[] => steps.flatMap((step) => [step, ...step.children]);
