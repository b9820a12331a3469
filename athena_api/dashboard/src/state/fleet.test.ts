import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { FleetSeries } from "@projectathena/client";
import { failuresOf, intervalsOf, RANGES, type Range, ticksOf, windowOf } from "./fleet";

const NOW = Date.parse("2026-11-29T01:20:17Z");

test("a range ends with the interval of now, and the time before it ends where it begins", () => {
  const hour = RANGES["1h"] as Range;
  deepEqual(windowOf(hour, NOW), { step: "1m", from: "2026-11-29T00:21:00.000Z", to: "2026-11-29T01:20:17.000Z" });
  deepEqual(windowOf(hour, NOW, true), { step: "1m", from: "2026-11-28T23:21:00.000Z", to: "2026-11-29T00:20:59.999Z" });
});

test("a chosen time that leaves the range is cut, and then gone", () => {
  const series = { start: "2026-11-29T00:21:00Z", stepSeconds: 60, intervals: 60 } as FleetSeries;
  const begin = Date.parse(series.start);
  const span = (from: number, to: number): readonly [number, number] | undefined =>
    intervalsOf(series, { from: begin + from * 60_000, to: begin + to * 60_000 });
  deepEqual(span(3, 5), [3, 4]);
  deepEqual(span(-5, 2), [0, 1]);
  deepEqual(span(58, 70), [58, 59]);
  equal(span(-5, 0), undefined);
  equal(intervalsOf(series, undefined), undefined);
});

test("failures are the runs that failed, timed out or crashed", () => {
  const total = {} as FleetSeries["all"]["total"];
  deepEqual(failuresOf({ total, failed: [1, 0, 2], crashed: [0, 4, 1], cancelled: [9, 9, 9] }, 3), [1, 4, 3]);
});

test("a chart has few lines at round values", () => {
  deepEqual(ticksOf(0), [0]);
  deepEqual(ticksOf(1), [0, 1, 2, 3, 4]);
  deepEqual(ticksOf(35), [0, 10, 20, 30, 40]);
  deepEqual(ticksOf(115_000), [0, 50_000, 100_000, 150_000]);
  for (let highest = 1; highest < 1e7; highest = Math.ceil(highest * 1.3)) {
    const ticks = ticksOf(highest);
    deepEqual([highest, ticks.length <= 5, (ticks.at(-1) ?? 0) >= highest], [highest, true, true]);
  }
});
