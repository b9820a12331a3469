// The event list: newest matching events, live, with older ones on request.

import { signal, useSignal } from "@preact/signals";
import { AthenaError, type EventsPage } from "@projectathena/client";
import { listEvents } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { BeforeAndAfter, Copy, Empty, ErrorMessage, Filter, HoldButton, Json, Memo, RunLink, Time } from "../components/ui";
import { count } from "../format";
import { href, route } from "../route";
import type { Snapshot } from "../server";
import { capabilities, eventStream, position, resets } from "../state/event_stream";
import { eventSummary, eventTone } from "../state/event_text";
import { eventsOf, positionOf, type SeenEvent } from "../state/events";
import { Hold, useHeld } from "../state/hold";
import { instant, request } from "../state/instant";

const SHOWN_MAX = 200;
const SHOWN_ON_REQUEST_MAX = 2_000;
const WANTED = 60;
const RETRY_MS = 2_000;
const WINDOW = 400;
const WINDOW_MAX = 40_000; // one API page scans at most 50,000 events

interface EventFilters {
  readonly types: string;
  readonly sessionId: string;
  readonly runId: string;
  readonly traceId: string;
}

function matches(event: SeenEvent, filters: EventFilters): boolean {
  return (
    (!filters.types || filters.types.split(",").includes(event.type)) &&
    (!filters.sessionId || event.sessionId === filters.sessionId) &&
    (!filters.runId || event.runId === filters.runId) &&
    (!filters.traceId || event.traceId === filters.traceId)
  );
}

/** The events of the page, newest first, and the position they reach back to. */
class EventReader {
  readonly shown = signal<readonly SeenEvent[]>([]);
  readonly from = signal(0);
  readonly error = signal<AthenaError | undefined>(undefined);
  readonly busy = signal(false);
  /** Unsubscribe from the event stream. */
  readonly stop: () => void;
  #most = SHOWN_MAX;
  #stopped = false;

  constructor(private readonly filters: EventFilters) {
    const unsubscribe = eventStream.subscribe((events) => this.#take(events)); // first, so that no event falls between history and stream
    this.stop = () => {
      this.#stopped = true;
      unsubscribe();
    };
    this.from.value = instant.peek()?.position ?? position.value;
    void this.back();
  }

  #take(events: readonly SeenEvent[]): void {
    const matching = events.filter((event) => matches(event, this.filters)).reverse();
    if (matching.length) this.#show([...matching, ...this.shown.value]);
  }

  /** Show the newest events up to the limit; older ones can be loaded again. */
  #show(events: readonly SeenEvent[]): void {
    this.shown.value = events.slice(0, this.#most);
    const oldest = this.shown.value[this.#most - 1];
    if (oldest && events.length > this.#most) this.from.value = oldest.position - 1;
  }

  /** Load older events, and keep more of them on the page. */
  older = (): void => {
    this.#most = SHOWN_ON_REQUEST_MAX;
    void this.back();
  };

  /** Read back in growing windows until enough matching events are found. */
  back = async (): Promise<void> => {
    if (this.busy.value) return;
    this.busy.value = true;
    const begin = this.from.value;
    let from = begin;
    try {
      const events: SeenEvent[] = [];
      const narrow = Object.values(this.filters).some(Boolean);
      for (let window = WINDOW; events.length < WANTED && from > 0; window = Math.min(window * 4, WINDOW_MAX)) {
        const before = Math.max(0, from - (narrow ? window : WANTED));
        events.unshift(...(await this.#between(before, from)));
        from = before;
      }
      if (this.from.value !== begin) return; // the list was cut by new events meanwhile
      this.from.value = from;
      this.shown.value = [...this.shown.value, ...events.reverse()];
      this.error.value = undefined;
    } catch (error) {
      if (!(error instanceof AthenaError)) throw error;
      this.error.value = error;
      if (error.code === "UNREACHABLE" && !this.#stopped) setTimeout(() => void this.back(), RETRY_MS);
    } finally {
      this.busy.value = false;
    }
  };

  async #between(from: number, to: number): Promise<readonly SeenEvent[]> {
    const events: SeenEvent[] = [];
    let cursor: string | number | undefined = from;
    while (cursor !== undefined) {
      const { data }: Snapshot<EventsPage> = await request(listEvents, { query: { ...this.filters, cursor, limit: 500 } });
      events.push(...eventsOf(data));
      const seen = data.cursor === "0" ? 0 : positionOf(data.cursor);
      cursor = data.nextCursor && seen < to ? data.nextCursor : undefined;
    }
    return events.filter((event) => event.position <= to);
  }
}

const positionAsId = (event: SeenEvent): string => String(event.position);

export function Events(): JSX.Element {
  const given = route.value.filters;
  const filters: EventFilters = {
    types: given.types ?? "",
    sessionId: given.sessionId ?? "",
    runId: given.runId ?? "",
    traceId: given.traceId ?? "",
  };
  const key = JSON.stringify(filters);
  const reader = useMemo(() => new EventReader(filters), [key, resets.value]);
  useLayoutEffect(() => reader.stop, [reader]);
  const { shown, error, busy, from } = reader;
  const hold = useMemo(() => new Hold(), [reader]);
  const { rows, fresh } = useHeld(reader, hold, shown.value, positionAsId);
  const opened = Number(given.event ?? 0);
  return (
    <>
      <h1>
        Events <HoldButton hold={hold} fresh={fresh} most={SHOWN_MAX} />
      </h1>
      <p class="quiet">
        All recorded events, newest first. They do not contain the text of prompts and responses. The id of an event is a cursor: a request with it returns the
        events that follow.
      </p>
      <div class="filters">
        <label class="filter">
          <span>Types</span>
          <TypesFilter value={filters.types} />
        </label>
        <Filter name="sessionId" label="Session" />
        <Filter name="runId" label="Run" first />
        <Filter name="traceId" label="Trace" />
      </div>
      {error.value && <ErrorMessage error={error.value} />}
      <ol class="events" {...hold.handlers}>
        {rows.map((event) => (
          <Memo key={event.position} of={event}>
            {() => <EventRow event={event} open={event.position === opened} />}
          </Memo>
        ))}
      </ol>
      {!shown.value.length && !busy.value && !error.value && <Empty>No events match these filters.</Empty>}
      {from.value > 0 && (
        <p>
          <button type="button" disabled={busy.value} onClick={reader.older}>
            Load older events
          </button>{" "}
          <span class="quiet">{busy.value ? "Loading …" : `${count(from.value)} older events`}</span>
        </p>
      )}
    </>
  );
}

function TypesFilter({ value }: { value: string }): JSX.Element {
  return (
    <>
      <input
        type="search"
        list="types"
        spellcheck={false}
        value={value}
        placeholder="run.failed,run.crashed"
        onChange={(event) => {
          location.hash = href("events", undefined, { ...route.value.filters, types: event.currentTarget.value.replaceAll(" ", "") });
        }}
      />
      <datalist id="types">
        {capabilities.value?.eventTypes.map((type) => (
          <option key={type} value={type} />
        ))}
      </datalist>
    </>
  );
}

function EventRow({ event, open }: { event: SeenEvent; open: boolean }): JSX.Element {
  const shown = useSignal(open);
  const summary = eventSummary(event);
  return (
    <li data-position={event.position} data-type={event.type}>
      <button type="button" class="row" aria-expanded={shown.value} onClick={() => (shown.value = !shown.value)}>
        <span class="num quiet">{event.position}</span>
        <span>
          <b class={eventTone(event)}>{event.type}</b> {summary !== event.type && <span class="quiet">{summary}</span>}
        </span>
        <span class="quiet opt cut">{event.sessionId}</span>
        <Time at={event.createdAt} />
      </button>
      {shown.value && (
        <div class="inner">
          <p>
            <Copy text={event.id} label="Copy as cursor" /> <Copy text={JSON.stringify(event)} label="Copy as JSON" />{" "}
            {event.runId && <RunLink id={event.runId} />} <a href={href("events", undefined, { traceId: event.traceId })}>View this trace</a> Fleet{" "}
            <BeforeAndAfter position={event.position} />
          </p>
          <Json value={publishedRecord(event)} />
        </div>
      )}
    </li>
  );
}

/** Return the published record. */
function publishedRecord(event: SeenEvent): unknown {
  const { position: _, statusBefore: __, ...record } = event;
  return record;
}
