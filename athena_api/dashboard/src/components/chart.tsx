// The chart of the fleet and sparklines, as plain SVG in the colours of the page.

import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import type { FleetSeries } from "@projectathena/client";
import type { HTMLAttributes, JSX, TargetedPointerEvent } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { count, dateTime, dollars, duration } from "../format";
import { intervalsOf, type SeriesField, type Span, ticksOf, total } from "../state/fleet";

/** What the chart shows: parts in a stack, or lines. */
interface Metric {
  readonly title: string;
  readonly parts: readonly (readonly [field: SeriesField, name: string])[];
  readonly format: (value: number) => string;
  readonly isLine?: boolean;
  /** The order of the runs that a chosen time opens. */
  readonly sort?: string;
}

export const METRICS: Readonly<Record<string, Metric>> = {
  runs: {
    title: "Runs",
    parts: [
      ["completed", "completed"],
      ["failed", "failed"],
      ["timedOut", "timed out"],
      ["crashed", "crashed"],
      ["cancelled", "cancelled"],
      ["rejected", "rejected"],
    ],
    format: count,
  },
  cost: { title: "Cost", parts: [["costMicroUsd", "spent"]], format: dollars, sort: "cost" },
  tokens: {
    title: "Tokens",
    parts: [
      ["inputTokens", "input"],
      ["outputTokens", "output"],
    ],
    format: count,
  },
  latency: {
    title: "Latency",
    parts: [
      ["p50Ms", "p50"],
      ["p95Ms", "p95"],
    ],
    format: duration,
    isLine: true,
    sort: "duration",
  },
};

interface ChartProps {
  readonly series: FleetSeries;
  readonly metric: Metric;
  readonly brush: Signal<Span | undefined>;
  /** The runs of a time. */
  readonly link: (span: Span) => string;
}

type Values = readonly (number | null)[];

/** Return the bars of a part of the stack, as one path. */
function bars(values: Values, below: readonly number[], top: number): string {
  return values.map((value, index) => (value ? `M${index + 0.06} ${100 - (100 * (below[index] ?? 0)) / top}h.88v${(-100 * value) / top}h-.88z` : "")).join("");
}

/** Return a line with gaps; a value between two gaps is a dot. */
function line(values: Values, top: number): string {
  return values
    .map((value, index) => (value === null ? "" : `${(values[index - 1] ?? null) === null ? "M" : "L"}${index + 0.5} ${100 - (100 * value) / top}h0`))
    .join("");
}

/** Return the paths of a metric, and the values of the lines behind them. */
function drawing({ all, intervals }: FleetSeries, { parts, isLine = false }: Metric): { readonly paths: readonly string[]; readonly ticks: readonly number[] } {
  const values = parts.map(([field]): Values => all[field] ?? []);
  const sums = Array.from({ length: intervals }, () => 0);
  const belows = values.map((of) => {
    const below = [...sums];
    for (const [index, value] of of.entries()) sums[index] = isLine ? Math.max(sums[index] ?? 0, value ?? 0) : (sums[index] ?? 0) + (value ?? 0);
    return below;
  });
  const ticks = ticksOf(Math.max(0, ...sums));
  const top = ticks.at(-1) || 1;
  return { ticks, paths: values.map((of, index) => (isLine ? line(of, top) : bars(of, belows[index] ?? [], top))) };
}

type Interval = readonly [first: number, last: number];

/** The chosen time of a chart, and how the pointer and keys choose it. */
function useBrush({ series, brush, link }: ChartProps): {
  chosen: Interval | undefined;
  shown: Interval | undefined;
  handlers: HTMLAttributes<HTMLDivElement>;
} {
  const { intervals } = series;
  const step = 1_000 * series.stepSeconds;
  const begin = Date.parse(series.start);
  const last = begin + (intervals - 1) * step;
  const hover = useSignal<number | undefined>(undefined);
  const ends = useRef([0, 0]); // of the chosen time, in milliseconds: the fixed and the moved one
  const drags = useRef(false);
  const chosen = intervalsOf(series, brush.value);
  const [fixed = 0, moved = 0] = ends.current;
  const choose = (from: number, to: number): void => {
    ends.current = [from, to];
    brush.value = { from: Math.min(from, to), to: Math.max(from, to) + step };
  };
  const timeAt = ({ currentTarget, clientX }: TargetedPointerEvent<HTMLElement>): number => {
    const { left, width } = currentTarget.getBoundingClientRect();
    return begin + step * Math.max(0, Math.min(intervals - 1, Math.floor((intervals * (clientX - left)) / width)));
  };
  return {
    chosen,
    shown: chosen ?? (hover.value === undefined || hover.value >= intervals ? undefined : [hover.value, hover.value]),
    handlers: {
      onKeyDown: (event) => {
        const { key, shiftKey } = event;
        const from = chosen ? moved : last + step;
        const to = new Map([
          ["ArrowLeft", from - step],
          ["ArrowRight", from + step],
          ["Home", begin],
          ["End", last],
        ]).get(key);
        if (to !== undefined) {
          const next = Math.max(begin, Math.min(last, to));
          choose(shiftKey && chosen ? fixed : next, next);
        } else if (key === "Escape") brush.value = undefined;
        else if (key === "Enter" && brush.value) location.hash = link(brush.value);
        else return;
        event.preventDefault();
      },
      onPointerDown: (event) => {
        if (event.button) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        drags.current = true;
        choose(timeAt(event), timeAt(event));
      },
      onPointerMove: (event) => {
        if (drags.current) choose(ends.current[0] ?? 0, timeAt(event));
        else hover.value = (timeAt(event) - begin) / step;
      },
      onLostPointerCapture: () => {
        drags.current = false;
      },
      onPointerLeave: () => {
        hover.value = undefined;
      },
    },
  };
}

/** Return the value of each part in a time, or in all of it. */
function legendOf(
  { all }: FleetSeries,
  { parts, format, isLine }: Metric,
  shown: Interval | undefined,
): readonly (readonly [name: string, text: string, index: number])[] {
  const textOf = (field: SeriesField): string => {
    const values = (all[field] ?? []).slice(...(shown ? [shown[0], shown[1] + 1] : []));
    if (!isLine) return format(total(values));
    const highest = shown ? Math.max(0, ...values.map(Number)) : (all.total[field as "p50Ms"] ?? 0);
    return highest ? format(highest) : "–";
  };
  return parts.flatMap(([field, name], index) => (index < 2 || all[field] ? [[name, textOf(field), index] as const] : []));
}

/** Return the colour of a part; red means failure only. */
const hueOf = ({ parts }: Metric, index: number): string => `c${parts.length > 2 ? index : 3 * index}`;

const PARTS = [0, 0.25, 0.5, 0.75, 1];
const DAY_MS = 86_400_000;

/** A stacked chart. A time is chosen by dragging or by the arrow keys; Enter opens its runs. */
export function Chart(props: ChartProps): JSX.Element {
  const { series, metric, brush, link } = props;
  const { intervals, stepSeconds } = series;
  const { chosen, shown, handlers } = useBrush(props);
  const { paths, ticks } = useMemo(() => drawing(series, metric), [series, metric]);
  const length = 1_000 * stepSeconds * intervals;
  const clockOf = (index: number): string =>
    dateTime(new Date(Date.parse(series.start) + 1_000 * stepSeconds * index).toISOString()).slice(length < DAY_MS ? 11 : 5, stepSeconds < 60 ? 19 : 16);
  const [first, end] = shown ?? [0, intervals - 1];
  const when = `${clockOf(first)} – ${clockOf(end + 1)}`;
  const legend = legendOf(series, metric, shown);
  return (
    <figure class="chart">
      <div
        class="plot"
        role="slider"
        tabIndex={0}
        aria-label={`${metric.title} over time. Arrow keys choose a time, Shift extends it, Enter opens its runs`}
        aria-valuemin={0}
        aria-valuemax={intervals - 1}
        aria-valuenow={chosen?.[1] ?? intervals - 1}
        aria-valuetext={`${when}: ${legend.map(([name, text]) => `${text} ${name}`).join(", ")}`}
        {...handlers}
      >
        {ticks.map((value) => (
          <span key={value} style={{ bottom: `${(100 * value) / (ticks.at(-1) || 1)}%` }}>
            <i>{metric.format(value)}</i>
          </span>
        ))}
        <svg viewBox={`0 0 ${intervals} 100`} preserveAspectRatio="none" aria-hidden="true">
          {shown && <rect class={chosen ? "chosen" : ""} x={shown[0]} width={shown[1] - shown[0] + 1} height="100" />}
          {paths.map((path, index) => (
            <path key={index} class={`${hueOf(metric, index)} ${metric.isLine ? "line" : ""}`} d={path} />
          ))}
        </svg>
      </div>
      <div class="times" aria-hidden="true">
        {PARTS.map((part) => (
          <span key={part}>{clockOf(part * intervals)}</span>
        ))}
      </div>
      <figcaption>
        <b>{when}</b>
        {legend.map(([name, text, index]) => (
          <span key={name}>
            <i class={hueOf(metric, index)} /> {text} {name}
          </span>
        ))}
        {brush.value && chosen ? (
          <span class="grow">
            <a class="button small" href={link(brush.value)}>
              Runs started then
            </a>{" "}
            <button
              type="button"
              class="small"
              onClick={() => {
                brush.value = undefined;
              }}
            >
              Clear
            </button>
          </span>
        ) : (
          <span class="grow quiet opt">Drag to choose a time</span>
        )}
      </figcaption>
    </figure>
  );
}

/** A small chart of bars without axes. */
export function Sparkline({ values, hue }: { values: readonly number[]; hue: string }): JSX.Element {
  return (
    <svg class={`spark ${hue}`} viewBox={`0 0 ${values.length} 100`} preserveAspectRatio="none" aria-hidden="true">
      <path d={bars(values, [], Math.max(1, ...values))} />
    </svg>
  );
}
