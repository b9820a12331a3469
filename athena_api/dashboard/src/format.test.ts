import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { distance, dollars, duration, plain, visible, visibleLine } from "./format";
import cases from "./format.cases.json";

test("controls of writing direction are shown", () => {
  equal(plain("pay \u202e05 EUR\u2066"), "pay [U+202E]05 EUR[U+2066]");
  equal(plain("Größe: 3\n\t✓ 家"), "Größe: 3\n\t✓ 家");
});

test("what cannot be seen is shown in a text to approve", () => {
  equal(
    visible("rm\u0000 \u001b[2K\r-f\u200b \u202ecod.x\ufeff\u00a0\u{e0041}"),
    "rm[U+0000] [U+001B][2K[U+000D]-f[U+200B] [U+202E]cod.x[U+FEFF][U+00A0][U+E0041]",
  );
  equal(visible("half \ud83d pair \u3164 \u2800 a\ufe0f"), "half [U+D83D] pair [U+3164] [U+2800] a[U+FE0F]");
  equal(visible("Größe: 3 €\n\t✓ 家 😀 <b>&amp;</b>"), "Größe: 3 €\n\t✓ 家 😀 <b>&amp;</b>");
  equal(visibleLine("one\n\ttwo"), "one[U+000A][U+0009]two");
});

test("money and times read as on the command line", () => {
  const shown = {
    money: cases.money.map(([micro]) => [micro, dollars(Number(micro))]),
    duration: cases.duration.map(([ms]) => [ms, duration(Number(ms))]),
    distance: cases.distance.map(([ms]) => [ms, distance(new Date(Number(ms)).toISOString(), 0, true)]),
  };
  deepEqual(shown, cases);
});
