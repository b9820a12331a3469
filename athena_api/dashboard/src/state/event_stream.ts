// The one stream of a page: every event after a position, in order, once; and whether it is cut or behind.

import { signal } from "@preact/signals";
import { request, head, ApiError } from "../api";
import { ENDINGS, stateAfter, type RunState } from "./runs";
import { getAdminHealth, getCapabilities, listEvents, type Capabilities, type EventRecord, type Health } from "../generated";

/** An event, its place in the log, and what its run was before, where this page saw that. */
export interface SeenEvent extends EventRecord {
  readonly position: number;
  readonly was?: RunState | undefined;
}

/** `live`: at the head; `behind`: events wait; `cut`: no connection; `resting`: the page was out of sight. */
export type StreamState = "opening" | "live" | "behind" | "cut" | "resting";

export const state = signal<StreamState>("opening");
export const position = signal(0);
/** What the server can do, and the names of its events. */
export const capabilities = signal<Capabilities | undefined>(undefined);
export const health = signal<Health | undefined>(undefined);
/** Counts how often everything had to be read anew: whoever holds a snapshot takes another one then. */
export const resets = signal(0);

const BATCH_MS = 100;
const BATCH_EVENTS = 200; // parsed and folded at a time, so that no task is long
const QUEUE_EVENTS_MAX = 20_000; // beyond it a new snapshot is quicker than what waits
const HEALTH_MS = 3_000;
const BEHIND_MS = 3_000;
const STILL_MS = 12_000;
const TIMEOUT_MS = 4_000; // a server that takes longer for its health is as good as gone
const REST_MS = 60_000;
const RETRY_MS = 2_000;

type EventsHandler = (events: readonly SeenEvent[]) => void;

const handlers = new Set<EventsHandler>();
const runs = new Map<string, RunState>();
let source: EventSource | undefined;
let queue: string[] = [];
let flushing = false;
let behindSince = 0;
let rest: number | undefined;
let dense = true;
let generation = 0;

/** The position in an event's id: version, log id, position (big-endian), mark, in base64url (docs/log-format.md). */
export function positionOf(id: string): number {
  const bytes = atob(id.replaceAll("-", "+").replaceAll("_", "/"));
  let found = 0;
  for (let index = 9; index < 17; index++) found = found * 256 + bytes.charCodeAt(index);
  return found;
}

/** Hears every batch of events from now on; returns how to stop. */
export function subscribe(handler: EventsHandler): () => void {
  handlers.add(handler);
  return () => handlers.delete(handler);
}

/** Begins after a position; `all` tells that this identity sees every event, so that a hole is an error. */
export function begin(after: number, all: boolean, found: Capabilities): void {
  dense = all;
  position.value = after;
  capabilities.value = found;
  open();
  void watch();
  document.addEventListener("visibilitychange", sight);
}

function open(): void {
  source?.close();
  const mine = ++generation;
  const stream = (source = new EventSource(`/api/v1/events/stream?after=${position.value}`));
  const take = (message: MessageEvent<string>): void => {
    if (mine !== generation) return;
    queue.push(message.data);
    if (!flushing) {
      flushing = true;
      setTimeout(flush, BATCH_MS);
    }
  };
  for (const type of capabilities.value?.eventTypes ?? []) stream.addEventListener(type, take);
  for (const mark of ["bookmark", "caught-up"]) {
    stream.addEventListener(mark, (message: MessageEvent<string>) => {
      const { data } = JSON.parse(message.data) as { data: { cursor: string; head: number } };
      if (data.head > head.value) head.value = data.head;
      if (!dense && data.cursor !== "0") position.value = Math.max(position.value, positionOf(data.cursor));
    });
  }
  stream.onopen = () => {
    if (mine !== generation) return;
    if (state.value === "cut") void renew().catch(() => undefined);
    judge();
  };
  stream.onerror = () => {
    if (mine !== generation) return;
    state.value = "cut";
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => void reload(mine), RETRY_MS);
  };
}

/** A server that came back may be another release, with other pages and other events. */
async function renew(): Promise<void> {
  const { data } = await request(getCapabilities);
  if (data.version !== capabilities.value?.version) location.reload();
}

/** A stream that a browser has given up: what stands against it is told by a page of the feed. */
async function reload(mine: number): Promise<void> {
  if (mine !== generation) return;
  try {
    await request(listEvents, { query: { cursor: position.value, limit: 1 } });
    open();
  } catch (error) {
    if (error instanceof ApiError && error.code.startsWith("CURSOR_")) await anew();
    else if (error instanceof ApiError && (error.status === 401 || error.status === 403)) location.reload();
    else setTimeout(() => void reload(mine), RETRY_MS);
  }
}

/** Reads everything anew: the log is another one, or too much has happened meanwhile. */
async function anew(): Promise<void> {
  queue = [];
  runs.clear();
  const mine = ++generation;
  source?.close();
  try {
    const found = await request(getAdminHealth);
    if (mine !== generation) return;
    head.value = position.value = found.data.head;
    open();
    resets.value++;
  } catch {
    setTimeout(() => void anew(), RETRY_MS);
  }
}

function flush(): void {
  flushing = false;
  if (queue.length > QUEUE_EVENTS_MAX) {
    void anew();
    return;
  }
  const batch: SeenEvent[] = [];
  let last = position.value;
  let hole = false;
  for (const data of queue.splice(0, BATCH_EVENTS)) {
    const record = (JSON.parse(data) as { data: EventRecord }).data;
    const place = positionOf(record.id);
    if (place <= last) continue; // had before
    hole ||= dense && place !== last + 1;
    last = place;
    batch.push({ ...record, position: place, was: track(record) });
  }
  if (hole) {
    void anew();
    return;
  }
  position.value = last;
  if (last > head.value) head.value = last;
  if (batch.length) for (const handler of handlers) handler(batch);
  judge();
  if (queue.length) {
    flushing = true;
    setTimeout(flush, 0);
  }
}

/** What a run was before an event, as far as this page has seen it. */
function track(event: EventRecord): RunState | undefined {
  if (event.runId === undefined || event.runId === null) return undefined;
  const before = runs.get(event.runId);
  const now = stateAfter(event.type);
  if (now !== undefined) runs.set(event.runId, now);
  else if (event.type in ENDINGS) runs.delete(event.runId);
  return before;
}

/** Whether the page shows what the server knows. */
function judge(): void {
  if (source?.readyState !== EventSource.OPEN) return;
  if (!dense || position.value >= head.value) {
    behindSince = 0;
    state.value = "live";
    return;
  }
  behindSince ||= performance.now();
  if (performance.now() - behindSince > BEHIND_MS) state.value = "behind";
  else if (state.value !== "behind") state.value = "live";
}

/** Looks at the server now and then: that is how a connection is noticed which is open and says nothing. */
async function watch(): Promise<void> {
  for (;;) {
    await new Promise((done) => setTimeout(done, HEALTH_MS));
    if (state.value === "resting") continue;
    const before = position.value;
    try {
      health.value = (await request(getAdminHealth, { timeoutMs: TIMEOUT_MS })).data;
    } catch {
      state.value = "cut"; // also where the connection is open, and says nothing
      continue;
    }
    judge();
    if (behindSince && performance.now() - behindSince > STILL_MS && position.value === before && !queue.length) {
      behindSince = 0;
      open();
    }
  }
}

/** A page out of sight gives its connection to others, of which a browser has six for a server. */
function sight(): void {
  clearTimeout(rest);
  if (document.visibilityState === "hidden") {
    rest = setTimeout(() => {
      generation++;
      source?.close();
      queue = [];
      state.value = "resting";
    }, REST_MS);
  } else if (state.value === "resting") {
    state.value = "opening";
    void anew();
  }
}
