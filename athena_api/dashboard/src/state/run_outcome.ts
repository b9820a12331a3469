// The outcome of a run: the banner of one that is not fine, and the turns of its transcript.

import type { Run, TranscriptEntry } from "@projectathena/client";
import { between, dollars, duration, words } from "../format";

/** The headline of a run that is not fine, and the reason. */
export interface Outcome {
  readonly tone: "bad" | "warn";
  readonly headline: string;
  readonly reason: string;
  readonly code?: string;
}

const ENDED: Readonly<Record<string, string>> = { failed: "Failed", "timed-out": "Timed out", crashed: "Crashed", cancelled: "Cancelled" };

/** Return why a run is not fine; undefined if it is, or waits. */
export function outcomeOf(run: Run): Outcome | undefined {
  const ended = ENDED[run.status];
  if (ended) {
    const after = run.finishedAt ? ` after ${duration(between(run.createdAt, run.finishedAt))}` : "";
    const tone = run.status === "cancelled" ? "warn" : "bad";
    return { tone, headline: `${ended}${after}`, reason: run.error?.message ?? "", ...(run.error && { code: run.error.code }) };
  }
  if (run.waiting?.reason === "ask") return undefined; // the ask itself is shown
  if (run.status === "paused" && run.waiting) return { tone: "warn", headline: "Answered", reason: `waits in line: ${words(run.waiting.reason)}` };
  if (run.status === "paused") return { tone: "warn", headline: "Paused", reason: pauseOf(run) };
  const failures = run.verificationFailures ?? [];
  if (!failures.length) return undefined;
  return { tone: "bad", headline: "Completed, but not verified", reason: failures.map(({ message }) => message).join("; ") };
}

function pauseOf({ paused, costMicroUsd, budgetMicroUsd }: Run): string {
  if (paused?.reason !== "budget" || budgetMicroUsd === undefined) return words(paused?.reason ?? "");
  return `${dollars(costMicroUsd ?? 0)} of its budget of ${dollars(budgetMicroUsd)} is spent. To continue, resume it with a higher one.`;
}

const TITLE_CHARS = 100;

/** Return the first line of an input, cut to the length of a title. */
export function titleOf(input: string): string {
  const line = input.trim().split("\n", 1)[0] ?? "";
  return line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS).trimEnd()}…` : line;
}

const byModel = ({ role, kind }: TranscriptEntry): boolean => role === "assistant" || ["tool-call", "ask", "answer"].includes(kind);

/** Return the number of the model's turn that each entry belongs to; 0 before the first. */
export function turnsOf(entries: readonly TranscriptEntry[]): readonly number[] {
  let turn = 0;
  return entries.map((entry, index) => {
    const previous = entries[index - 1];
    if (byModel(entry) && !(previous && byModel(previous))) turn++;
    return turn;
  });
}
