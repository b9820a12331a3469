// A text that a person decides about: what stands in it in place of hidden parts, secrets, and characters without a shape.

import type { HiddenSpan } from "@projectathena/client";
import { count } from "../format";

/** What the marks in a text stand for. An imitation of a mark stands for nothing, and stays text. */
export interface Marks {
  readonly hidden?: readonly HiddenSpan[] | undefined;
  readonly secrets?: readonly string[] | undefined;
}

/** A piece of a text. A `mark` stands in the place of something that is not shown. */
export interface Piece {
  readonly text: string;
  readonly mark?: "hidden" | "secret" | "unseen";
}

const MARK = /\[(?:hidden|cut): (?<chars>\d+) characters, sha256 (?<hash>[0-9a-f]{12})\]|\[secret (?<secret>[^\]\n]+)\]|\[U\+[0-9A-F]{4,6}\]/g;

/** Return the pieces of a text. The hash of a hidden part has a secret salt, so no text can name it. */
export function piecesOf(text: string, { hidden = [], secrets = [] }: Marks): readonly Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const found of text.matchAll(MARK)) {
    const { chars, hash, secret } = found.groups ?? {};
    const isMark = hash ? hidden.some((span) => span.sha256.startsWith(hash) && span.chars === Number(chars)) : !secret || secrets.includes(secret);
    if (!isMark) continue;
    if (found.index > from) pieces.push({ text: text.slice(from, found.index) });
    pieces.push({ text: found[0], mark: hash ? "hidden" : secret ? "secret" : "unseen" });
    from = found.index + found[0].length;
  }
  return from < text.length ? [...pieces, { text: text.slice(from) }] : pieces;
}

/** What to do about the refusal of a decision, by error code. */
export const REMEDIES: Readonly<Record<string, string>> = {
  ASK_CHANGED: "The ask is not the one that was shown. Load the page again, read it, then decide.",
  EXACT_NOT_OPENED: "A part of it is hidden. Show the exact text first, then decide.",
  SUBJECT_CHANGED: "It changed since it was shown. Look at it again, then decide.",
};

/** Return how much of a text is hidden: `2 parts are hidden (45 characters).` The first of `total` parts are given. */
export function hiddenText(hidden: readonly HiddenSpan[], total = hidden.length): string {
  const chars = hidden.reduce((sum, span) => sum + span.chars, 0);
  const more = total > hidden.length ? "more than " : "";
  return `${count(total)} ${total === 1 ? "part is" : "parts are"} hidden (${more}${count(chars)} ${chars === 1 ? "character" : "characters"}).`;
}
