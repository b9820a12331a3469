import { equal } from "node:assert/strict";
import { test } from "node:test";
import { plain } from "./format";

test("controls of writing direction are shown", () => {
  equal(plain("pay \u202e05 EUR\u2066"), "pay <U+202E>05 EUR<U+2066>");
  equal(plain("Größe: 3\n\t✓ 家"), "Größe: 3\n\t✓ 家");
});
