// The time that the fleet page shows: its range, the intervals of it, and the same time before.

import type { FleetSeries, SeriesLine } from "@projectathena/client";

const STEPS = { "5s": 5_000, "1m": 60_000, "1h": 3_600_000 } as const;

/** A time before now. Its name is a `since` of the list of runs. */
export interface Range {
  readonly text: string;
  readonly before: string;
  readonly ms: number;
  readonly step: keyof typeof STEPS;
}

export const RANGES: Readonly<Record<string, Range>> = {
  "15m": { text: "15 min", before: "the 15 min before", ms: 900_000, step: "5s" },
  "1h": { text: "1 h", before: "the hour before", ms: 3_600_000, step: "1m" },
  "6h": { text: "6 h", before: "the 6 h before", ms: 21_600_000, step: "1m" },
  "24h": { text: "24 h", before: "the 24 h before", ms: 86_400_000, step: "1h" },
  "7d": { text: "7 d", before: "the 7 days before", ms: 604_800_000, step: "1h" },
};

/** Return the query of a range that ends now, or of the same time before it. The intervals do not overlap. */
export function windowOf({ ms, step }: Range, now: number, before = false): Readonly<Record<string, string>> {
  const length = STEPS[step];
  const start = Math.floor(now / length) * length + length - ms;
  const [from, to] = before ? [start - ms, start - 1] : [start, now];
  return { step, from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

/** A chosen time, in milliseconds. The end is exclusive. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Return the first and the last interval of a time; undefined if none is in it. */
export function intervalsOf({ start, stepSeconds, intervals }: FleetSeries, span: Span | undefined): readonly [number, number] | undefined {
  if (!span) return undefined;
  const index = (ms: number): number => Math.round((ms - Date.parse(start)) / (1_000 * stepSeconds));
  const [first, last] = [Math.max(0, index(span.from)), Math.min(intervals, index(span.to)) - 1];
  return first <= last ? [first, last] : undefined;
}

/** A list of a line: a value for each interval. */
export type SeriesField = Exclude<keyof SeriesLine, "total" | "name">;

export const FAILURES = ["failed", "timedOut", "crashed"] as const;

/** Return the failures of each interval. */
export function failuresOf(line: SeriesLine, intervals: number): readonly number[] {
  return Array.from({ length: intervals }, (_, index) => FAILURES.reduce((sum, field) => sum + (line[field]?.[index] ?? 0), 0));
}

export const total = (values: readonly (number | null)[]): number => values.reduce<number>((sum, value) => sum + (value ?? 0), 0);

const TICKS = 4; // the maximum, without 0

/** Return the values of the lines of a chart from 0 to at least its highest value. */
export function ticksOf(highest: number): readonly number[] {
  if (!highest) return [0];
  const least = Math.max(TICKS, highest);
  const unit = 10 ** Math.floor(Math.log10(least / TICKS));
  const step = unit * ([1, 2, 5].find((factor) => least <= TICKS * factor * unit) ?? 10);
  return Array.from({ length: Math.ceil(least / step) + 1 }, (_, index) => index * step);
}
