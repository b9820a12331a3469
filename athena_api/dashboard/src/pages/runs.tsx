// The list of runs, newest first. Its rows stay in place, and its filters are in the URL.

import { useSignal } from "@preact/signals";
import type { BulkResult, Run, RunFacet, RunFacets } from "@projectathena/client";
import { cancelRuns, getRunFacets, listRuns, retryRuns } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { Action, type ActionSpec, Tried } from "../components/actions";
import { openPalette } from "../components/palette";
import { AUDITED, cancelAction, retryAction, StartRun } from "../components/run_actions";
import { RunTable, type Selection } from "../components/run_rows";
import { CopyAs, Empty, Filter, Loaded } from "../components/ui";
import { count, isGenerated, short } from "../format";
import { at, FILTERS, href, route } from "../route";
import { agents, readAgents } from "../state/agents";
import { isAllowed } from "../state/caller";
import { now } from "../state/clock";
import { request } from "../state/instant";
import { zone } from "../state/preferences";
import { type RunFilters, RunList } from "../state/run_list";
import { parsed, resolved, TIMES, written } from "../state/run_query";
import { OPEN } from "../state/run_status";
import { textLine } from "../state/schema";

export function Runs(): JSX.Element {
  const { filters: given } = route.value;
  const filters: RunFilters = Object.fromEntries((FILTERS.runs ?? []).flatMap((name) => (given[name] ? [[name, given[name]]] : [])));
  const key = JSON.stringify(filters);
  const query = useMemo(() => resolved(filters, now.peek(), zone.peek() === "UTC"), [key]);
  const list = useMemo(() => new RunList(query), [key]);
  const selected: Selection = useSignal<ReadonlySet<string>>(new Set());
  useLayoutEffect(() => {
    selected.value = new Set();
    return () => list.close();
  }, [list]);
  const fresh = list.fresh();
  const items = list.live.data.value?.items ?? [];
  useLayoutEffect(() => {
    if (fresh && !items.length) list.live.reload(); // nothing moves
  }, [fresh]);
  const edition = useSignal(0);
  const show = (): void => {
    edition.value++;
    list.live.reload();
    scrollTo({ top: 0 });
  };
  return (
    <>
      <h1>
        Runs <StartRun session={filters.sessionId} />{" "}
        {at.value === undefined && (
          <button type="button" class={`small hold ${fresh ? "fresh" : ""}`} data-refresh onClick={show}>
            {fresh ? `${count(fresh)} new ↑` : "Refresh"}
          </button>
        )}
        <CopyAs operation={listRuns} request={{ query }} />
      </h1>
      <Search filters={filters} />
      <div class="faceted">
        <Facets filters={filters} query={query} edition={`${edition.value} ${at.value}`} />
        <div>
          <Loaded live={list.live}>
            {() =>
              items.length ? (
                <RunTable list={list} runs={items} selected={selected} />
              ) : Object.keys(filters).length ? (
                <Empty>
                  No runs match. <a href={href("runs")}>Show all runs</a>
                </Empty>
              ) : (
                <Empty>
                  No runs yet. Start one above, or with <code>athena run hello</code>. An <a href={href("fleet")}>empty fleet</a> shows the first steps.
                </Empty>
              )
            }
          </Loaded>
          <Selected runs={items} selected={selected} query={query} />
        </div>
      </div>
    </>
  );
}

/** The filters as a line of words. Other words are searched for in the palette: an end of a run id, or a text. */
function Search({ filters }: { filters: RunFilters }): JSX.Element {
  const set = (changes: RunFilters): void => {
    location.hash = href("runs", undefined, changes);
  };
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const query = String(new FormData(event.currentTarget as HTMLFormElement).get("query"));
    if (!agents.value.length) await readAgents();
    const { filters: wanted, words: others } = parsed(query, agents.value);
    if (others.length) openPalette(others.join(" "));
    else set(wanted);
  };
  const text = written(filters, agents.value);
  return (
    <form class="filters" role="search" onSubmit={(event) => void submit(event)}>
      <label class="filter grow">
        <span>Search runs</span>
        <input
          key={text}
          type="search"
          name="query"
          spellcheck={false}
          autocomplete="off"
          data-first
          defaultValue={text}
          placeholder="failed agent:Reviewer cost:>0.05 since:24h, or an end of a run id"
        />
      </label>
      <label class="filter">
        <span>Time</span>
        <select value={filters.since ?? ""} onChange={({ currentTarget: { value } }) => set({ ...filters, since: value })}>
          <option value="">Any time</option>
          {Object.entries(TIMES).map(([name, text]) => (
            <option key={name} value={name}>
              {text}
            </option>
          ))}
          {filters.since && !(filters.since in TIMES) && <option value={filters.since}>Last {filters.since}</option>}
        </select>
      </label>
    </form>
  );
}

/** The fields with facets, in their order. */
const FACETS: readonly (readonly [name: string, title: string])[] = [
  ["status", "Status"],
  ["harnessProfileId", "Agent"],
  ["model", "Model"],
  ["errorCode", "Error"],
];
const COSTS = ["0.01", "0.05", "0.25", "1"];
const VALUES_MAX = 8;
const FACETS_MS = 10_000; // between two counts
const wide = matchMedia("(min-width: 64rem)").matches;

/** The values that the runs of the filters have, with their numbers. Each is a link that sets or removes its filter. */
function Facets({ filters, query, edition }: { filters: RunFilters; query: RunFilters; edition: string }): JSX.Element {
  const facets = useSignal<RunFacets | undefined>(undefined);
  useLayoutEffect(() => {
    const { sort, ...wanted } = query;
    if (!isAllowed(getRunFacets)) return;
    const load = (): void => {
      void request(getRunFacets, { query: wanted }).then(
        ({ data }) => {
          facets.value = data;
        },
        () => undefined, // the list shows the error
      );
    };
    load();
    void readAgents();
    const timer = at.value === undefined ? setInterval(load, FACETS_MS) : undefined;
    return () => clearInterval(timer);
  }, [query, edition]);
  const found = facets.value as (RunFacets & Readonly<Record<string, readonly RunFacet[]>>) | undefined;
  return (
    <details class="facets" open={wide}>
      <summary>Filters {found && <span class="quiet">· {`${count(found.total)}${found.complete ? "" : "+"} runs`}</span>}</summary>
      {FACETS.map(([name, title]) => (
        <Facet key={name} name={name} title={title} values={found?.[name] ?? []} filters={filters} />
      ))}
      <Facet name="costOverUsd" title="Cost over" values={COSTS.map((value) => ({ value }))} filters={filters} />
      <Filter name="createdAfter" label="Created after" time />
      <Filter name="createdBefore" label="Created before" time />
    </details>
  );
}

/** Links that set or remove the values of a filter. */
function Facet(props: {
  name: string;
  title: string;
  values: readonly (Omit<RunFacet, "count"> & Partial<RunFacet>)[];
  filters: RunFilters;
}): JSX.Element | null {
  const { name, title, values, filters } = props;
  const chosen = filters[name];
  const shown = values.slice(0, VALUES_MAX);
  if (chosen && !shown.some(({ value }) => value === chosen)) shown.unshift(values.find(({ value }) => value === chosen) ?? { value: chosen });
  if (!shown.length) return null;
  return (
    <section>
      <h2>{title}</h2>
      <ul>
        {shown.map(({ value, count: many }) => (
          <li key={value}>
            <a
              class="cut"
              title={value}
              aria-current={value === chosen ? "true" : undefined}
              href={href("runs", undefined, { ...filters, [name]: value === chosen ? "" : value })}
            >
              {textOf(name, value)}
            </a>
            {many && <span class="quiet">{count(many)}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function textOf(name: string, value: string): string {
  if (name === "costOverUsd") return `$${value}`;
  if (name !== "harnessProfileId") return value;
  return agents.value.find(({ id }) => id === value)?.displayName ?? (isGenerated(value) ? `none …${value.slice(-3)}` : short(value));
}

/** What to do with the selected runs, or with all that match. */
function Selected({ runs, selected, query }: { runs: readonly Run[]; selected: Selection; query: RunFilters }): JSX.Element | null {
  const chosen = selected.value.size ? runs.filter(({ runId }) => selected.value.has(runId)) : [];
  if (!chosen.length) return null;
  const open = chosen.filter(({ status }) => OPEN.has(status));
  const ended = chosen.filter(({ status }) => !OPEN.has(status));
  const all = chosen.length === runs.length;
  return (
    <div class="selected" role="region" aria-label="Selected runs">
      <b>{count(chosen.length)} selected</b>
      {open.length > 0 && <Action action={eachOf(open, cancelAction)} label={`Cancel ${count(open.length)}`} />}
      {ended.length > 0 && <Action action={eachOf(ended, retryAction)} label={`Run ${count(ended.length)} again`} />}
      {chosen.length === 2 && (
        <a class="button" href={href("runs", chosen[1]?.runId, { compare: chosen[0]?.runId })}>
          Compare
        </a>
      )}
      {all && <Tried operation={cancelRuns} label="Cancel all that match" tried={() => cancelAll(query)} />}
      {all && <Tried operation={retryRuns} label="Run all that match again" tried={() => retryAll(query)} />}
      <button
        type="button"
        onClick={() => {
          selected.value = new Set();
        }}
      >
        Clear
      </button>
    </div>
  );
}

/** Return the action of one run for several: a request for each. */
function eachOf<T>(runs: readonly Run[], action: (run: Run, input: string | undefined) => ActionSpec<T>): ActionSpec<T> {
  const specs = runs.map((run) => action(run, run.inputPreview));
  const [first] = specs as [ActionSpec<T>];
  const { after, fields, start: _own, ...spec } = first; // each run has its own input
  const { input: _, ...others } = fields ?? {};
  return {
    ...spec,
    label: runs.length === 1 ? first.label : `${first.label}: ${count(runs.length)} runs`,
    subject: () => (
      <ul class="list subjects">
        {runs.map((run) => (
          <li key={run.runId}>
            <span class="mono">…{run.runId.slice(-8)}</span> <span class="cut">{run.inputPreview ?? ""}</span>
          </li>
        ))}
      </ul>
    ),
    fields: others,
    each: (values) => specs.map(({ request: of }) => of(values)),
  };
}

/** Return the filter of a bulk act. */
function bulkFilter({ costOverUsd, sort, ...others }: RunFilters): Readonly<Record<string, unknown>> {
  return { ...others, ...(costOverUsd && { costOverUsd: Number(costOverUsd) }) };
}

const matching = (query: RunFilters): string => written(query, agents.value) || "all runs";

/** Return the action that cancels the runs which a dry run found, and no others. */
async function cancelAll(query: RunFilters): Promise<ActionSpec<BulkResult>> {
  const filter = bulkFilter(query);
  const { data: found } = await request(cancelRuns, { body: { filter, reason: "dry run", dryRun: true } });
  return {
    operation: cancelRuns,
    label: "Cancel all that match",
    danger: true,
    question: `Stops ${runsOf(found)} that match: ${matching(query)}. At most 10,000.`,
    fields: { reason: AUDITED },
    required: ["reason"],
    blocked: !found.total,
    request: ({ reason }) => ({ body: { filter, reason, subjectHash: found.subjectHash } }),
    done: ({ done, failed }) => `${count(done)} cancelled${failed ? `, ${count(failed)} failed` : ""}.`,
  };
}

/** Return the action that repeats the runs which a dry run found, and no others. */
async function retryAll(query: RunFilters): Promise<ActionSpec<BulkResult>> {
  const filter = bulkFilter(query);
  const { data: found } = await request(retryRuns, { body: { filter, dryRun: true } });
  return {
    operation: retryRuns,
    label: "Run all that match again",
    question: `Runs ${runsOf(found)} again that match: ${matching(query)}. At most 10,000.`,
    fields: { model: textLine("Leave empty for the same") },
    blocked: !found.total,
    request: ({ model }) => ({ body: { filter, subjectHash: found.subjectHash, ...(model ? { changes: { model } } : {}) } }),
    done: ({ done, failed }) => `${count(done)} started again${failed ? `, ${count(failed)} failed` : ""}.`,
  };
}

const runsOf = ({ total }: BulkResult): string => (total === 1 ? "1 run" : `${count(total)} runs`);
