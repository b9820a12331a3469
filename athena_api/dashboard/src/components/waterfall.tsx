// The waterfall of a run: a bar for each wait, turn of the model and tool call.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { count, duration } from "../format";
import { now } from "../state/clock";
import type { SeenEvent } from "../state/events";
import { foldOf } from "../state/run_outcome";
import { OPEN } from "../state/run_status";
import type { RunTimeline, Span } from "../state/run_timeline";
import { Empty } from "./ui";

const SPANS_MAX = 24;
const FIRST = 6;
const LAST = 12;

export function Waterfall(props: {
  timeline: RunTimeline;
  events: readonly SeenEvent[];
  past: boolean;
  /** Return what a click on a bar opens, if anything. */
  opens: (span: Span) => (() => void) | undefined;
}): JSX.Element {
  const { timeline, events, past } = props;
  const whole = useSignal(false);
  const first = new Date(events[0]?.createdAt ?? 0).getTime();
  const newest = new Date(events[events.length - 1]?.createdAt ?? 0).getTime();
  const open = OPEN.has(timeline.status) && !past;
  const end = Math.max(first + 1, open ? Math.max(newest, now.value) : newest);
  if (!timeline.spans.length) return <Empty>Nothing to show yet.</Empty>;
  const fold = whole.value ? undefined : foldOf(timeline.spans.length, SPANS_MAX, FIRST, LAST);
  const row = (span: Span): JSX.Element => <WaterfallRow key={span.position + span.kind} span={span} first={first} end={end} open={props.opens(span)} />;
  return (
    <ol class="waterfall">
      {timeline.spans.slice(0, fold?.[0]).map(row)}
      {fold && (
        <li class="folded">
          <button type="button" class="small" onClick={() => (whole.value = true)}>
            Show {count(fold[1] - fold[0] + 1)} more
          </button>
        </li>
      )}
      {fold && timeline.spans.slice(fold[1] + 1).map(row)}
      <li class="scale" aria-hidden="true">
        <div class="row">
          <span />
          <span class="track">
            <i>0</i>
            <i>{duration((end - first) / 2)}</i>
            <i>{duration(end - first)}</i>
          </span>
          <span />
        </div>
      </li>
    </ol>
  );
}

function WaterfallRow({ span, first, end, open }: { span: Span; first: number; end: number; open: (() => void) | undefined }): JSX.Element {
  const whole = end - first;
  const to = span.to ?? end;
  const left = (100 * (span.from - first)) / whole;
  const width = Math.max(0.4, (100 * (to - span.from)) / whole);
  const parts = (
    <>
      <span class="cut" title={span.detail}>
        {span.name}
      </span>
      <span class="track">
        <i style={{ left: `${Math.min(left, 99.6)}%`, width: `${Math.min(width, 100 - Math.min(left, 99.6))}%` }} />
      </span>
      <span class="num">
        {duration(to - span.from)}
        {span.to === undefined ? " …" : ""}
      </span>
    </>
  );
  return (
    <li class={`${span.kind} ${span.failed ? "failed" : ""} ${span.to === undefined ? "open" : ""}`}>
      {open ? (
        <button type="button" class="row" title="Show in the transcript" onClick={open}>
          {parts}
        </button>
      ) : (
        <div class="row">{parts}</div>
      )}
    </li>
  );
}
