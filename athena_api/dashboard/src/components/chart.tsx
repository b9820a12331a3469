// Line charts and sparklines as plain SVG, in the colours of the page.

import type { JSX } from "preact";
import { count } from "../format";
import { redraws, SERIES, shownTraffic } from "../state/traffic";

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000];
const LINES = 4; // the maximum, without the line at 0
const CLASSES = ["started", "good", "bad", "warn"]; // one per series

/** Return the points of a line in a box of 100 by 100. Fewer values than steps are aligned right. */
function points(values: readonly number[], highest: number, steps = values.length): string {
  const last = Math.max(1, steps - 1);
  const skipped = steps - values.length;
  return values.map((value, index) => `${((100 * (skipped + index)) / last).toFixed(2)},${(100 - (100 * value) / highest).toFixed(2)}`).join(" ");
}

export function Traffic(): JSX.Element {
  void redraws.value;
  const [times, ...series] = shownTraffic().chart();
  const highest = Math.max(LINES, ...series.flat());
  const step = STEPS.find((candidate) => highest / candidate <= LINES) ?? highest;
  const top = Math.ceil(highest / step) * step;
  const lines = Array.from({ length: top / step + 1 }, (_, index) => index * step);
  const sums = series.map((values) => values.reduce((total, value) => total + value, 0));
  const legend = SERIES.map((name, index) => `${count(sums[index] ?? 0)} ${name}`);
  return (
    <figure class="chart">
      <div class="plot" role="img" aria-label={`Runs in the last ten minutes: ${legend.join(", ")}`}>
        <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
          {lines.map((value) => (
            <line key={value} x1="0" x2="100" y1={100 - (100 * value) / top} y2={100 - (100 * value) / top} />
          ))}
          {series.map((values, index) => (
            <polyline key={index} class={CLASSES[index]} points={points(values, top, times.length)} />
          ))}
        </svg>
        {lines.map((value) => (
          <span key={value} style={{ bottom: `${(100 * value) / top}%` }}>
            {count(value)}
          </span>
        ))}
      </div>
      <div class="times" aria-hidden="true">
        {[0, 0.25, 0.5, 0.75, 1].map((part) => (
          <span key={part}>{new Date(1_000 * (times[Math.round(part * (times.length - 1))] ?? 0)).toLocaleTimeString("en-GB").slice(0, 5)}</span>
        ))}
      </div>
      <figcaption>
        {legend.map((text, index) => (
          <span key={text.replace(/^\S+ /, "")} class={CLASSES[index]}>
            <svg viewBox="0 0 20 4" aria-hidden="true">
              <line class={CLASSES[index]} x1="0" x2="20" y1="2" y2="2" />
            </svg>
            {text}
          </span>
        ))}
        <span class="quiet">5 s per point</span>
      </figcaption>
    </figure>
  );
}

/** A small line chart without axes. */
export function Sparkline({ values }: { values: readonly number[] }): JSX.Element {
  return (
    <svg class="spark" viewBox="0 -4 100 108" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points(values, Math.max(1, ...values))} />
    </svg>
  );
}
