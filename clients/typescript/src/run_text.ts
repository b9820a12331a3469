// The parts of a run: text, messages, tool calls, and the end.

import type { AgentActivity, Run, TranscriptDelta, TranscriptEntry } from "./generated/types.js";

/**
 * A part of a run.
 *
 * - `text` follows the text so far of the current message.
 * - `text-reset`: discard the text so far of the current message, because its model call failed.
 * - `message`: the message is recorded. Its `text` parts add up to its text. `entry.partial` is true if the run was cut
 *   off before the model had finished.
 * - `tool-call`: `arguments` is JSON as the model wrote it; null if it was redacted.
 * - `tool-result`: `content` is null if it was redacted.
 * - `activity`: an outside agent shows its reasoning, its plan or its open calls. It replaces the activity before, and is
 *   live only.
 * - `end` is the last part: the run has ended or is paused.
 */
export type RunPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "text-reset" }
  | { readonly type: "message"; readonly text: string; readonly entry: TranscriptEntry }
  | {
      readonly type: "tool-call";
      readonly name: string;
      readonly arguments: string | null;
      readonly entry: TranscriptEntry;
    }
  | {
      readonly type: "tool-result";
      readonly name: string;
      readonly content: string | null;
      readonly isError: boolean;
      readonly entry: TranscriptEntry;
    }
  | { readonly type: "activity"; readonly activity: AgentActivity }
  | { readonly type: "end"; readonly run: Run };

/**
 * Turns live text and recorded entries into parts, each exactly once. Live text may come twice or with a gap after a
 * reconnection. The recorded message settles it: the text since the last reset always adds up to the message.
 */
export class RunText {
  private readonly seen = new Set<string>();
  private turn = 0;
  private text: string[] = []; // by code point, as the server counts

  constructor(private readonly runId: string) {}

  /** Yield the parts that live text adds. */
  *delta(delta: TranscriptDelta): Generator<RunPart> {
    if (delta.runId !== this.runId || delta.settled) return;
    if (delta.activity) {
      yield { type: "activity", activity: delta.activity };
      return;
    }
    if (delta.reset || delta.turn !== this.turn) yield* this.reset();
    this.turn = delta.turn;
    const offset = delta.offset ?? 0;
    const points = Array.from(delta.text ?? "");
    if (offset > this.text.length) return; // a gap: the recorded message fills it
    const shown = this.text.length - offset;
    const differs = points.slice(0, shown).some((point, index) => point !== this.text[offset + index]);
    if (differs) yield* this.reset(); // another attempt of the turn
    if (differs && offset) return;
    yield* this.add(differs ? points : points.slice(shown));
  }

  /** Yield the parts that a recorded entry adds. */
  *entry(entry: TranscriptEntry): Generator<RunPart> {
    if (entry.runId !== this.runId || this.seen.has(entry.id)) return;
    this.seen.add(entry.id);
    const { content, toolName: name = "" } = entry;
    if (entry.kind === "tool-call") yield { type: "tool-call", name, arguments: content, entry };
    else if (entry.kind === "tool-result")
      yield { type: "tool-result", name, content, isError: entry.isError ?? false, entry };
    else if (entry.role === "assistant") {
      const text = content ?? "";
      const shown = this.text.join("");
      if (!text.startsWith(shown)) yield* this.reset();
      yield* this.add(Array.from(text).slice(this.text.length));
      this.text = [];
      yield { type: "message", text, entry };
    }
  }

  /** Yield the last parts. */
  *end(run: Run): Generator<RunPart> {
    yield* this.reset();
    yield { type: "end", run };
  }

  private *add(points: readonly string[]): Generator<RunPart> {
    if (!points.length) return;
    for (const point of points) this.text.push(point);
    yield { type: "text", text: points.join("") };
  }

  private *reset(): Generator<RunPart> {
    if (!this.text.length) return;
    this.text = [];
    yield { type: "text-reset" };
  }
}
