// Two runs, turn by turn.

import type { TranscriptEntry } from "@projectathena/client";
import { number, type SeenEvent } from "./events";
import { turnsOf } from "./run_outcome";

export interface ComparedCall {
  readonly name: string;
  readonly arguments: string;
  readonly result: string;
  readonly failed: boolean;
}

/** A turn of a model: what it wrote and called, and what that took. */
export interface ComparedTurn {
  readonly text: string;
  readonly calls: readonly ComparedCall[];
  readonly tokens: number;
  readonly costMicroUsd: number;
}

/** Return the turns of a run. The first is what stood before the model's own: the input. */
export function comparedTurns(entries: readonly TranscriptEntry[], events: readonly SeenEvent[]): readonly ComparedTurn[] {
  const turns = turnsOf(entries);
  const used = new Map<number, { tokens: number; costMicroUsd: number }>();
  for (const event of events) {
    if (event.type !== "usage.recorded") continue;
    const turn = number(event, "turn") ?? 1;
    const { inputTokens = 0, outputTokens = 0 } = (event.payload.usage ?? {}) as { inputTokens?: number; outputTokens?: number };
    const had = used.get(turn) ?? { tokens: 0, costMicroUsd: 0 };
    used.set(turn, { tokens: had.tokens + inputTokens + outputTokens, costMicroUsd: had.costMicroUsd + (number(event, "costMicroUsd") ?? 0) });
  }
  const byTurn = new Map<number, TranscriptEntry[]>([[0, []]]);
  entries.forEach((entry, index) => {
    const turn = turns[index] ?? 0;
    byTurn.set(turn, [...(byTurn.get(turn) ?? []), entry]);
  });
  return [...byTurn].map(([turn, found]) => ({
    text: textOf(found.filter(({ kind }) => kind === "message")),
    calls: found.filter(({ kind }) => kind === "tool-call").map((call) => comparedCall(call, found)),
    ...(used.get(turn) ?? { tokens: 0, costMicroUsd: 0 }),
  }));
}

const textOf = (entries: readonly TranscriptEntry[]): string => entries.map(({ content }) => content ?? "(redacted)").join("\n\n");

function comparedCall({ toolName, content, toolCallId }: TranscriptEntry, entries: readonly TranscriptEntry[]): ComparedCall {
  const results = entries.filter((entry) => entry.kind === "tool-result" && entry.toolCallId === toolCallId);
  return { name: toolName ?? "", arguments: content ?? "", result: textOf(results), failed: results.some(({ isError }) => isError) };
}

/** Return in which parts two turns differ: text, calls or results. A turn that only one run has differs as a whole. */
export function differences(one: ComparedTurn | undefined, other: ComparedTurn | undefined): readonly string[] {
  if (!one || !other) return ["only one run has it"];
  const calls = ({ calls: all }: ComparedTurn): string => JSON.stringify(all.map(({ name, arguments: given }) => [name, given]));
  const results = ({ calls: all }: ComparedTurn): string => JSON.stringify(all.map(({ result }) => result));
  const parts: readonly (readonly [string, boolean])[] = [
    ["text", one.text !== other.text],
    ["calls", calls(one) !== calls(other)],
    ["results", results(one) !== results(other)],
  ];
  return parts.filter(([, differs]) => differs).map(([name]) => name);
}

/** Return the index of the first turn that differs; -1 if none does. */
export function firstDifference(one: readonly ComparedTurn[], other: readonly ComparedTurn[]): number {
  const length = Math.max(one.length, other.length);
  return Array.from({ length }, (_, index) => index).findIndex((index) => differences(one[index], other[index]).length);
}
