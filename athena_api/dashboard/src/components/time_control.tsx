// The control of time: a bar on every page that shows the past, and a slider over the times of the log.

import { signal, useSignal } from "@preact/signals";
import { AthenaError } from "@projectathena/client";
import { listEvents } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { useLayoutEffect } from "preact/hooks";
import { count, dateTime, distance, visible } from "../format";
import { at, href, hrefAt, showAt } from "../route";
import { requestNow } from "../server";
import { present } from "../state/clock";
import { BEFORE_LOG, instant, instantError, isSeeking, timeOf } from "../state/instant";
import { placeOf, timeAt, timeScale } from "../state/time_scale";
import { Copy, ErrorMessage, localTime, ofInput } from "./ui";

const DEBOUNCE_MS = 150;

/** Says that the page shows the past, and leads back. */
export function PastBar(): JSX.Element | null {
  if (at.value === undefined) return null;
  const shown = isSeeking.value ? undefined : instant.value;
  return (
    <div class="banner past-bar" role="status">
      <span>
        {instantError.value ? (
          <strong>This moment cannot be shown</strong>
        ) : shown ? (
          <>
            <strong>
              As it was at{" "}
              <time dateTime={shown.time} title={new Date(shown.time).toUTCString()}>
                {dateTime(shown.time)}
              </time>
            </strong>
            , {distance(shown.time, present.value)}, after <a href={href("events")}>event {count(shown.position)}</a>.
            <span class="opt"> Nothing moves, and nothing can be changed.</span>
          </>
        ) : (
          "Reading the past …"
        )}
      </span>
      <span>
        <Copy text={location.href} label="Copy link" />{" "}
        <a class="button" href={hrefAt("")}>
          Back to now
        </a>
      </span>
    </div>
  );
}

/** When the first event was recorded, in milliseconds; undefined until it is known, and in an empty log. */
const begin = signal<number | undefined>(undefined);

async function readBegin(): Promise<void> {
  try {
    const first = (await requestNow(listEvents, { query: { limit: 1 } })).data.events[0];
    begin.value = first && Date.parse(first.createdAt);
  } catch (error) {
    if (!(error instanceof AthenaError)) throw error;
  }
}

/** The slider, and a field for an exact time. */
export function TimeControl(): JSX.Element | null {
  const end = useSignal(present.peek());
  const chosen = useSignal<string | undefined>(undefined); // the address once the slider rests; empty for now
  useLayoutEffect(() => {
    if (begin.value === undefined) void readBegin();
  }, []);
  useLayoutEffect(() => {
    if (at.value === undefined) end.value = present.peek();
  }, [at.value]);
  useLayoutEffect(() => {
    if (chosen.value === undefined) return undefined;
    const timer = setTimeout(() => {
      if (chosen.value !== (at.value ?? "")) showAt(chosen.value ?? "");
      chosen.value = undefined;
    }, DEBOUNCE_MS);
    return () => clearTimeout(timer);
  }, [chosen.value]);
  if (begin.value === undefined) return null;
  const scale = timeScale(begin.value, end.value);
  const address = chosen.value ?? at.value ?? "";
  const time = address && (timeOf(address) ?? instant.value?.time);
  const place = placeOf(scale, time || undefined);
  const text = time ? `${dateTime(time)}, ${distance(time, present.value)}` : "Now";
  return (
    <div class="slider time-control">
      <label>
        <span>Time</span>
        <input
          type="range"
          min={0}
          max={scale.last}
          value={place}
          aria-valuetext={text}
          onInput={(event) => {
            chosen.value = timeAt(scale, Number(event.currentTarget.value)) ?? "";
          }}
        />
      </label>
      <input
        type="datetime-local"
        aria-label="Exact time"
        value={time ? localTime(time) : ""}
        min={localTime(new Date(scale.begin).toISOString())}
        onChange={(event) => {
          const ms = ofInput(event.currentTarget.value);
          chosen.value = Number.isNaN(ms) ? "" : new Date(ms).toISOString();
        }}
      />
      <output>{text}</output>
    </div>
  );
}

const CAUSES: Readonly<Record<string, string>> = {
  CURSOR_AHEAD: "The log does not reach that far yet. Choose an earlier moment.",
  CURSOR_FOREIGN: "The event belongs to another log.",
  CONFIG_ERROR: "It is neither the id of an event, a position, nor a time such as 2026-11-28T02:10 (UTC without an offset).",
  [BEFORE_LOG]: "The log begins later. Nothing had been recorded then.",
};

const SHOWN_CHARS = 60;

/** The page of a moment that cannot be shown. */
export function UnknownInstant({ error }: { error: AthenaError }): JSX.Element {
  const cause = CAUSES[error.code];
  const named = at.value ?? "";
  const nearest = error.code === BEFORE_LOG ? 1 : (error.details as { readonly head?: number } | undefined)?.head;
  return (
    <>
      <h1>No such moment</h1>
      <p>
        The address asks for the state at <b class="mono">{visible(named.slice(0, SHOWN_CHARS))}</b>
        {named.length > SHOWN_CHARS && "…"}. {cause}
      </p>
      {!cause && <ErrorMessage error={error} />}
      <p>
        <a class="button primary" href={hrefAt("")}>
          Back to now
        </a>{" "}
        {nearest !== undefined && <a href={hrefAt(String(nearest))}>Show {error.code === BEFORE_LOG ? "the first event" : "the last event"}</a>}
      </p>
    </>
  );
}
