// Lists of runs: the fold that keeps one current, and a list that keeps its rows in place.

import { signal } from "@preact/signals";
import type { Run, RunPage } from "@projectathena/client";
import { listRuns } from "@projectathena/client/operations";
import { eventStream } from "./event_stream";
import { type SeenEvent, text } from "./events";
import { request } from "./instant";
import { type Fold, LiveQuery } from "./live_query";
import { ENDINGS, statusAfter } from "./run_status";
import { applyEvent, newRun } from "./runs";

export type RunFilters = Readonly<Record<string, string>>;

/** The filters that a run's own fields answer. */
const SAME = ["status", "sessionId", "provider", "parentRunId", "retryOf", "harnessProfileId", "model"] as const;

export function matches(run: Run, filters: RunFilters): boolean {
  return (
    SAME.every((name) => !filters[name] || run[name] === filters[name]) &&
    (!filters.errorCode || run.error?.code === filters.errorCode) &&
    (!filters.createdAfter || run.createdAt >= filters.createdAfter) &&
    (!filters.createdBefore || run.createdAt <= filters.createdBefore) &&
    (!filters.costOverUsd || (run.costMicroUsd ?? 0) > Number(filters.costOverUsd) * 1e6)
  );
}

/** Return true if a run that is not listed may match the filters now. */
function mayBelong(event: SeenEvent, filters: RunFilters): boolean {
  const status = ENDINGS[event.type] ?? statusAfter(event.type);
  return (
    (status !== undefined && filters.status === status) ||
    (event.type in ENDINGS && ((text(event, "code") !== "" && filters.errorCode === text(event, "code")) || (filters.sort ?? "createdAt") !== "createdAt")) ||
    (event.type === "usage.recorded" && Boolean(filters.costOverUsd))
  );
}

/** Runs of a list, and new ones that are not in it yet. */
export interface RunRows extends RunPage {
  readonly fresh?: ReadonlyMap<string, Run>;
}

const FRESH_MAX = 1_000;

/** What a fold leaves to a request: events carry no input and no output, and a run that is not listed only its event. */
interface Missing {
  /** A listed run has ended. */
  readonly ended: (runId: string) => void;
  /** A run that is not listed may match now. */
  readonly unknown: () => void;
}

/** Return a fold that applies events to the rows in place, and gathers new runs in `fresh`. Its cost depends on the events. */
export function foldRows(filters: RunFilters, missing: Missing): Fold<RunRows> {
  const index = new Map<string, number>();
  let indexed: readonly Run[] = [];
  return (page, events) => {
    if (indexed !== page.items) {
      index.clear();
      for (const [at, run] of page.items.entries()) index.set(run.runId, at);
    }
    let items: Run[] | undefined;
    let fresh: Map<string, Run> | undefined;
    for (const event of events) {
      const runId = event.runId ?? "";
      const at = index.get(runId);
      const row = at === undefined ? (fresh ?? page.fresh)?.get(runId) : (items ?? page.items)[at];
      if (row) {
        const next = applyEvent(row, event);
        if (next === row) continue;
        if (at === undefined) {
          fresh ??= new Map(page.fresh);
          fresh.set(runId, next);
        } else {
          items ??= [...page.items];
          items[at] = next;
          if (next.finishedAt !== row.finishedAt) missing.ended(runId);
        }
      } else if (event.type === "run.queued" || (event.type === "run.created" && event.statusBefore === undefined)) {
        fresh ??= new Map(page.fresh);
        if (fresh.size < FRESH_MAX) fresh.set(runId, newRun(event));
      } else if (mayBelong(event, filters)) missing.unknown();
    }
    indexed = items ?? page.items;
    return items || fresh ? { ...page, items: indexed, fresh: fresh ?? page.fresh ?? new Map() } : page;
  };
}

/** Return a fold of the newest runs: new ones are added on top, and runs that no longer match are removed. */
export function foldRuns(filters: RunFilters): Fold<RunPage> {
  let reload = (): void => undefined;
  let completing = false;
  const later = (): void => {
    if (completing) return;
    completing = true;
    setTimeout(() => {
      completing = false;
      reload();
    }, COMPLETED_MS);
  };
  const fold = foldRows(filters, { ended: later, unknown: () => reload() });
  return (page, events, again) => {
    reload = again;
    const { fresh, items, ...rest }: RunRows = fold(page, events, again);
    if (items === page.items && !fresh?.size) return page;
    if (fresh?.size) later();
    const all = [...(fresh?.values() ?? [])].reverse().concat(items);
    return { ...rest, items: all.filter((run) => matches(run, filters)).slice(0, PAGE_ROWS) };
  };
}

const PAGE_ROWS = 100;
const FIRST_ROWS = 40; // more than a screen shows
const COMPLETED_MS = 2_000; // between two reads of what events do not carry

/** A list of runs that keeps its rows in place. */
export class RunList {
  readonly live: LiveQuery<RunRows>;
  readonly loading = signal(false);
  readonly #ended = new Set<string>();
  #unknown = false;
  #timer: number | undefined;

  constructor(private readonly filters: RunFilters) {
    const missing = {
      ended: (runId: string): void => {
        this.#ended.add(runId);
        this.#complete();
      },
      unknown: (): void => {
        this.#unknown = true;
        this.#complete();
      },
    };
    this.live = new LiveQuery<RunRows>(() => request(listRuns, { query: { ...filters, limit: FIRST_ROWS } }), foldRows(filters, missing));
  }

  close(): void {
    clearTimeout(this.#timer);
    this.live.close();
  }

  /** Return the number of new runs that match. */
  fresh(): number {
    const { fresh } = this.live.data.value ?? {};
    return fresh ? [...fresh.values()].filter((run) => matches(run, this.filters)).length : 0;
  }

  /** Append the next page, with the events that arrived meanwhile. */
  more = async (): Promise<void> => {
    const { nextCursor: cursor } = this.live.data.value ?? {};
    if (!cursor || this.loading.value) return;
    this.loading.value = true;
    const seen: SeenEvent[] = [];
    const stop = eventStream.subscribe((events) => seen.push(...events));
    try {
      const { data, position } = await request(listRuns, { query: { ...this.filters, limit: PAGE_ROWS, cursor } });
      const page = this.live.data.value;
      if (page?.nextCursor !== cursor) return; // the list was read again
      const since = seen.filter((event) => event.position > position);
      const current = (run: Run): Run => since.reduce((row, event) => (event.runId === run.runId ? applyEvent(row, event) : row), run);
      this.live.data.value = { ...page, items: [...page.items, ...data.items.map(current)], nextCursor: data.nextCursor };
    } catch {
      // the state of the stream says that the server is away; scrolling tries again
    } finally {
      stop();
      this.loading.value = false;
    }
  };

  /** Read what events do not carry, at most every two seconds. */
  #complete(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#ended.size) void this.#readEnded();
      if (this.#unknown) void this.#readFirst();
    }, COMPLETED_MS);
  }

  /** Read the ended runs among the rows: the range of times that holds them. The rest of them is read next. */
  async #readEnded(): Promise<void> {
    const { items = [] } = this.live.data.value ?? {};
    const times = items.filter(({ runId }) => this.#ended.has(runId)).map(({ createdAt }) => createdAt);
    const { status, errorCode, costOverUsd, sort, ...others } = this.filters;
    times.sort();
    const range = { createdAfter: times[0], createdBefore: times.at(-1) };
    const found = times.length ? await read({ ...others, ...range }) : [];
    if (found.length < PAGE_ROWS) this.#ended.clear();
    for (const { runId } of found) this.#ended.delete(runId);
    this.#merge(found);
    if (this.#ended.size) this.#complete();
  }

  /** Read the first page, and gather the runs of it that are not listed. */
  async #readFirst(): Promise<void> {
    this.#unknown = false;
    this.#merge(await read(this.filters, FIRST_ROWS), true);
  }

  /** Take the newer runs. */
  #merge(found: readonly Run[], gather = false): void {
    const page = this.live.data.value;
    if (!page || !found.length) return;
    const byId = new Map(found.map((run) => [run.runId, run]));
    const newer = (row: Run): Run => {
      const run = byId.get(row.runId);
      byId.delete(row.runId);
      return run && (run.finishedAt || run.status === row.status) ? run : row;
    };
    const items = page.items.map(newer);
    this.live.data.value = { ...page, items, fresh: new Map([...(page.fresh ?? []), ...(gather ? byId : [])]) };
  }
}

async function read(query: RunFilters | { readonly createdAfter: string | undefined }, limit = PAGE_ROWS): Promise<readonly Run[]> {
  try {
    return (await request(listRuns, { query: { ...query, limit } })).data.items;
  } catch {
    return []; // the next event tries again
  }
}
