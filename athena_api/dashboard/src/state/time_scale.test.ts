import { equal } from "node:assert/strict";
import { test } from "node:test";
import { placeOf, timeAt, timeScale } from "./time_scale";

const END = Date.parse("2026-11-28T04:00:00.000Z");
const MINUTE = 60_000;

test("a place of the slider is a time, and a time is its place", () => {
  for (const range of [0, 1, 1_500, MINUTE, 90 * MINUTE, 7 * 1_440 * MINUTE, 4_000 * 1_440 * MINUTE]) {
    const scale = timeScale(END - range, END);
    equal(scale.last <= 1_000, true);
    equal(timeAt(scale, scale.last), undefined);
    equal(placeOf(scale, undefined), scale.last);
    for (let place = 1; place < scale.last; place++) equal(placeOf(scale, timeAt(scale, place)), place);
    equal(timeAt(scale, 0), new Date(END - range).toISOString());
  }
});

test("a step is a round time", () => {
  equal(timeScale(END - 10 * MINUTE, END).stepMs, 1_000);
  equal(timeScale(END - 1_440 * MINUTE, END).stepMs, 5 * MINUTE);
  equal(timeAt(timeScale(END - 1_440 * MINUTE, END), 266), "2026-11-28T02:10:00.000Z");
});

test("a time outside of the scale has a place on it, and only now is at the end", () => {
  const scale = timeScale(END - 60 * MINUTE, END);
  equal(placeOf(scale, "2020-01-01T00:00:00.000Z"), 0);
  equal(placeOf(scale, "2030-01-01T00:00:00.000Z"), scale.last - 1);
});
