// Lines over time: a large chart, and a small one in a line of text.

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { drawing, drawn, SERIES } from "./rates";

const COLOURS = ["--accent", "--good", "--bad", "--warn"];
const DASHES = [[], [], [6, 3], [2, 3]]; // told apart without colours as well
const HEIGHT = 160;
const REDRAW_MS = 300;

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(width: number): uPlot.Options {
  const axis = { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    cursor: { show: false },
    legend: { live: false },
    axes: [
      { ...axis, space: 70, size: 26, values: (_, times) => times.map((time) => new Date(time * 1_000).toLocaleTimeString("en-GB").slice(0, 5)) },
      { ...axis, size: 40, space: 24, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000] },
    ],
    scales: { y: { range: (_, __, max) => [0, Math.max(4, max)] } },
    series: [
      {},
      ...SERIES.map((label, index) => ({
        label,
        stroke: () => colour(`${COLOURS[index]}`),
        dash: DASHES[index] ?? [],
        width: 1.5,
        points: { show: false },
      })),
    ],
  };
}

export function Traffic(): JSX.Element {
  const element = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  void drawn.value;
  useEffect(() => {
    const box = element.current;
    if (!box) return undefined;
    const made = new uPlot(options(box.clientWidth), drawing(), box);
    plot.current = made;
    const sized = new ResizeObserver(() => made.setSize({ width: box.clientWidth, height: HEIGHT }));
    sized.observe(box);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const redraw = (): void => made.redraw(false, true);
    scheme.addEventListener("change", redraw);
    return () => {
      scheme.removeEventListener("change", redraw);
      sized.disconnect();
      made.destroy();
    };
  }, []);
  const next = useRef<number | undefined>(undefined);
  useEffect(() => {
    next.current ??= setTimeout(() => {
      next.current = undefined;
      plot.current?.setData(drawing());
    }, REDRAW_MS);
  });
  const [, ...series] = drawing();
  const told = SERIES.map((name, index) => `${sum(series[index])} ${name}`).join(", ");
  return <div ref={element} class="chart" role="img" aria-label={`Runs in the last ten minutes: ${told}`} />;
}

function sum(values: readonly number[] | undefined): number {
  return (values ?? []).reduce((total, value) => total + value, 0);
}

/** A line of a few counts, beside the number that tells what it shows. */
export function Spark({ values }: { values: readonly number[] }): JSX.Element {
  const most = Math.max(1, ...values);
  const points = values.map((value, index) => `${(index * 100) / Math.max(1, values.length - 1)},${23 - (value * 22) / most}`).join(" ");
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points} />
    </svg>
  );
}
