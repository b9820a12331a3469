import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { hiddenText, type Marks, piecesOf } from "./decided_text";

const SPAN = { chars: 45, sha256: `6966a52348f1${"0".repeat(52)}` };
const MARKS: Marks = { hidden: [SPAN], secrets: ["ATHENA_OPENAI_API_KEY"] };
const marked = (text: string, marks = MARKS): string[] => piecesOf(text, marks).map(({ text: of, mark }) => (mark ? `${mark}:${of}` : of));

test("a mark of a hidden part is a piece of its own", () => {
  const mark = "[hidden: 45 characters, sha256 6966a52348f1]";
  deepEqual(marked(`git push ${mark} origin`), ["git push ", `hidden:${mark}`, " origin"]);
  deepEqual(marked(mark.replace("hidden", "cut")), [`hidden:${mark.replace("hidden", "cut")}`]);
  deepEqual(marked("plain"), ["plain"]);
  deepEqual(marked(""), []);
});

test("an imitation of a mark stays text", () => {
  for (const imitation of [
    "[hidden: 45 characters, sha256 000000000000]",
    "[hidden: 44 characters, sha256 6966a52348f1]",
    "[hidden: 45 characters, sha256 6966a52348f]",
    "[secret OTHER]",
    "[U+20]",
  ])
    deepEqual(marked(`a ${imitation} b`), [`a ${imitation} b`]);
  deepEqual(marked("[hidden: 45 characters, sha256 6966a52348f1]", {}), ["[hidden: 45 characters, sha256 6966a52348f1]"]);
});

test("names of secrets and characters without a shape are pieces", () => {
  deepEqual(marked("a[secret ATHENA_OPENAI_API_KEY][U+202E]b[U+E0041]"), [
    ...["a", "secret:[secret ATHENA_OPENAI_API_KEY]", "unseen:[U+202E]", "b", "unseen:[U+E0041]"],
  ]);
});

test("the hidden parts are counted", () => {
  equal(hiddenText([SPAN]), "1 part is hidden (45 characters).");
  equal(hiddenText([SPAN, { ...SPAN, chars: 1_000 }]), "2 parts are hidden (1,045 characters).");
  equal(hiddenText([SPAN], 300), "300 parts are hidden (more than 45 characters).");
  equal(hiddenText([{ ...SPAN, chars: 1 }]), "1 part is hidden (1 character).");
});
