// The list of runs, newest first, live, with filters in the URL.

import { useSignal } from "@preact/signals";
import { AthenaError, type Run, type RunFacets, type RunPage } from "@projectathena/client";
import { cancelRunByRunId, createRun, findIds, getRunFacets, listHarnessProfiles, listRuns, retryRun } from "@projectathena/client/operations";
import type { JSX, TargetedEvent } from "preact";
import { useMemo } from "preact/hooks";
import { Action, type ActionSpec, type Option, withoutEmpty } from "../components/actions";
import { Empty, ErrorMessage, Facts, Filter, HoldButton, Loaded, Memo, MorePages, RunLink, SessionLink, Status, Table, Time } from "../components/ui";
import { between, count, dollars, duration, isGenerated, plain, short, words } from "../format";
import { FILTERS, href, route } from "../route";
import { isAllowed } from "../state/caller";
import { now } from "../state/clock";
import { capabilities } from "../state/event_stream";
import { type SeenEvent, text } from "../state/events";
import { Hold, useHeld } from "../state/hold";
import { request } from "../state/instant";
import { type Fold, useLiveQuery } from "../state/live_query";
import { ENDINGS, OPEN, STATUSES, statusAfter } from "../state/run_status";
import { applyEvent, newRun } from "../state/runs";

const ROWS_MAX = 100;

const PREVIEWS_MS = 2_000;

type RunFilters = Readonly<Record<string, string>>;

/** The filters that a run's own fields answer. */
const SAME = ["status", "sessionId", "provider", "parentRunId", "retryOf", "harnessProfileId", "model"] as const;

function matches(run: Run, filters: RunFilters): boolean {
  return (
    SAME.every((name) => !filters[name] || run[name] === filters[name]) &&
    (!filters.errorCode || run.error?.code === filters.errorCode) &&
    (!filters.createdAfter || run.createdAt >= filters.createdAfter) &&
    (!filters.createdBefore || run.createdAt < filters.createdBefore) &&
    (!filters.costOverUsd || (run.costMicroUsd ?? 0) > Number(filters.costOverUsd) * 1e6)
  );
}

/** Return a fold of a page of runs: new runs are added on top, and runs that no longer match are removed. */
export function foldRuns(filters: RunFilters): Fold<RunPage> {
  let completing = false;
  return (page, events, reload) => {
    const rows = new Map(page.items.map((run) => [run.runId, run]));
    const fresh: Run[] = [];
    const complete = (): void => {
      if (completing) return;
      completing = true;
      setTimeout(() => {
        completing = false;
        reload(); // events carry no input and no output
      }, PREVIEWS_MS);
    };
    let changed = false;
    for (const event of events) {
      const runId = event.runId ?? "";
      const row = rows.get(runId);
      if (row) {
        const next = applyEvent(row, event);
        changed ||= next !== row;
        if (next !== row && next.error?.message === "") reload(); // events carry no error message
        if (next.finishedAt !== row.finishedAt) complete();
        rows.set(runId, next);
      } else if (event.type === "run.queued" || (event.type === "run.created" && event.statusBefore === undefined)) {
        const run = newRun(event);
        rows.set(runId, run);
        fresh.push(run);
        complete();
        changed = true;
      } else if (mayBelong(event, filters)) reload();
    }
    if (!changed) return page;
    const all = [...fresh.reverse().map((run) => run.runId), ...page.items.map((run) => run.runId)];
    const items = all.map((id) => rows.get(id)).filter((run): run is Run => run !== undefined && matches(run, filters));
    return { ...page, items: items.slice(0, ROWS_MAX) };
  };
}

/** Return true if a run that is not listed may match the filters now. */
function mayBelong(event: SeenEvent, filters: RunFilters): boolean {
  const status = ENDINGS[event.type] ?? statusAfter(event.type);
  return (
    (status !== undefined && filters.status === status) ||
    (event.type in ENDINGS && text(event, "code") !== "" && filters.errorCode === text(event, "code")) ||
    (event.type === "usage.recorded" && Boolean(filters.costOverUsd))
  );
}

const NO_RUNS: readonly Run[] = [];
const idOf = (run: Run): string => run.runId;
const follow = (run: Run, event: SeenEvent): Run => (event.runId === run.runId ? applyEvent(run, event) : run);

const MORE = ["model", "harnessProfileId", "errorCode", "costOverUsd", "createdAfter", "createdBefore"];

export function Runs(): JSX.Element {
  const { filters: given } = route.value;
  const filters: RunFilters = Object.fromEntries((FILTERS.runs ?? []).flatMap((name) => (given[name] ? [[name, given[name]]] : [])));
  const key = JSON.stringify(filters);
  const live = useLiveQuery(key, () => request(listRuns, { query: { ...filters, limit: 50 } }), foldRuns(filters));
  const hold = useMemo(() => new Hold(), [key]);
  const { rows, fresh } = useHeld(live, hold, live.data.value?.items ?? NO_RUNS, idOf, follow);
  return (
    <>
      <h1>
        Runs <StartRun session={filters.sessionId} /> <HoldButton hold={hold} fresh={fresh} most={ROWS_MAX} />
      </h1>
      <div class="filters">
        <Filter name="status" label="Status" options={STATUSES} />
        <Filter name="sessionId" label="Session" first />
        <Filter name="provider" label="Provider" />
        <Find />
      </div>
      <MoreFilters filters={filters} />
      <Loaded live={live}>
        {(page) =>
          rows.length ? (
            <>
              <div class="held" {...hold.handlers}>
                <Rows runs={rows} />
              </div>
              <MorePages key={key} next={page.nextCursor} what="runs" read={(cursor) => request(listRuns, { query: { ...filters, limit: 100, cursor } })}>
                {(runs) => <Rows runs={runs} />}
              </MorePages>
            </>
          ) : (
            <Empty>{Object.values(filters).some(Boolean) ? "No runs match these filters." : "No runs yet. Start one here, or with: athena run hello"}</Empty>
          )
        }
      </Loaded>
    </>
  );
}

/** The rarer filters, with the values that runs have. */
function MoreFilters({ filters }: { filters: RunFilters }): JSX.Element {
  const facets = useSignal<RunFacets | undefined>(undefined);
  const load = (): void => {
    if (isAllowed(getRunFacets))
      void request(getRunFacets, { query: filters }).then(
        ({ data }) => (facets.value = data),
        () => undefined,
      ); // then there are no suggestions
  };
  const { model, harnessProfileId, errorCode } = facets.value ?? {};
  return (
    <details open={MORE.some((name) => filters[name])} onToggle={load}>
      <summary>More filters</summary>
      <div class="filters">
        <Filter name="model" label="Model" facets={model} />
        <Filter name="harnessProfileId" label="Agent (profile id)" facets={harnessProfileId} />
        <Filter name="errorCode" label="Error code" facets={errorCode} />
        <Filter name="costOverUsd" label="Cost over (USD)" />
        <Filter name="createdAfter" label="Created after" time />
        <Filter name="createdBefore" label="Created before" time />
      </div>
    </details>
  );
}

const RUN_ID_CHARS = 30; // `run_` and 26 characters

/** Opens a run by its id, or by the beginning or end of it that a list or the command line shows. */
function Find(): JSX.Element {
  const result = useSignal<{ readonly part: string; readonly ids: readonly string[] } | undefined>(undefined);
  const error = useSignal<AthenaError | undefined>(undefined);
  const open = async (typed: string): Promise<void> => {
    const part = typed.replace(/^(run_)?…/, "").trim();
    result.value = error.value = undefined;
    if (!part) return;
    if (part.length === RUN_ID_CHARS) {
      location.hash = href("runs", part);
      return;
    }
    try {
      const { items } = (await request(findIds, { path: { part } })).data;
      const ids = items.filter(({ kind }) => kind === "run").map(({ id }) => id);
      if (ids.length === 1) location.hash = href("runs", ids[0]);
      else result.value = { part, ids };
    } catch (failure) {
      if (!(failure instanceof AthenaError)) throw failure;
      error.value = failure;
    }
  };
  return (
    <>
      <label class="filter">
        <span>Run id</span>
        <input
          type="search"
          spellcheck={false}
          placeholder="all of it, or an end"
          onChange={(event: TargetedEvent<HTMLInputElement>) => void open(event.currentTarget.value.trim())}
        />
      </label>
      {error.value && <ErrorMessage error={error.value} />}
      {result.value && (
        <p class="found" role="status">
          {result.value.ids.length ? "Several runs: " : `No run id begins or ends with ${result.value.part}.`}
          {result.value.ids.map((id) => (
            <RunLink key={id} id={id} full />
          ))}
        </p>
      )}
    </>
  );
}

export function Rows({ runs }: { runs: readonly Run[] }): JSX.Element {
  return (
    <Table label="Runs" heads={["Status", "Run", "~Session", "~Model", "~#Tokens", "~#Cost", "~#Duration", "~#Started", "#"]}>
      {runs.map((run) => (
        <Memo key={run.runId} of={run}>
          {() => <Row run={run} />}
        </Memo>
      ))}
    </Table>
  );
}

/** A row of two lines: its height never changes, so that the rows below do not move. */
function Row({ run }: { run: Run }): JSX.Element {
  const { inputTokens, outputTokens } = run.usage ?? {};
  return (
    <tr data-run={run.runId} class="run-row">
      <td>
        <Status is={run.status} title={run.error?.message} />
        <small class="quiet">{reasonOf(run)}</small>
      </td>
      <td class="main">
        <a href={href("runs", run.runId)} title={run.runId}>
          {run.inputPreview || (run.redacted ? "Redacted" : `…${run.runId.slice(-8)}`)}
        </a>
        <small class="quiet">
          <span class="narrow">
            <Time at={run.createdAt} />
          </span>
          <span class="opt">
            <span class="mono">…{run.runId.slice(-8)}</span>
            {agentOf(run) && ` · ${agentOf(run)}`}
          </span>
          {outcomeOf(run) && ` → ${outcomeOf(run)}`}
        </small>
      </td>
      <td class="opt">
        <SessionLink id={run.sessionId} />
      </td>
      <td class="opt" title={`${run.provider} ${run.model}`}>
        <span class="cut">{run.model}</span>
        <small class="quiet">{run.provider}</small>
      </td>
      <td class="num opt">{inputTokens || outputTokens ? count((inputTokens ?? 0) + (outputTokens ?? 0)) : ""}</td>
      <td class="num opt">{run.costMicroUsd ? dollars(run.costMicroUsd) : ""}</td>
      <td class="num opt">
        <Duration run={run} />
      </td>
      <td class="num opt">
        <Time at={run.createdAt} />
      </td>
      <td class="num">
        {OPEN.has(run.status) ? <Action action={cancelAction(run, run.inputPreview)} label="Cancel" /> : <Action action={retryAction(run)} label="Again" />}
      </td>
    </tr>
  );
}

/** Return the reason for the status of a run: why it waits, is paused or failed. */
function reasonOf(run: Run): string {
  if (run.waiting) return run.waiting.reason === "ask" ? "asks a person" : words(run.waiting.reason);
  if (run.paused) return words(run.paused.reason);
  if (run.error) return run.error.code;
  return run.verificationStatus === "verification-failed" ? "verification failed" : "";
}

/** Return the profile of a run, whose name is not in events, and its outside agent. */
function agentOf(run: Run): string {
  const profile = plain(run.agentName ?? "") || (isGenerated(run.harnessProfileId) ? "" : short(run.harnessProfileId));
  return [profile, run.agent && `by ${plain(run.agent)}`].filter(Boolean).join(" · ");
}

/** Return the beginning of the answer, or the error. */
function outcomeOf(run: Run): string {
  const { outputPreview = "", outputChars = 0 } = run;
  return outputPreview ? `${outputPreview}${outputChars > outputPreview.length ? "…" : ""}` : (run.error?.message ?? "");
}

function Duration({ run }: { run: Run }): JSX.Element {
  return <>{duration(between(run.createdAt, run.finishedAt ?? now.value))}</>;
}

const INPUT_CHARS = 160;

/** Return the action that cancels a run. */
export function cancelAction({ runId, sessionId }: Run, input: string | undefined): ActionSpec<{ status: string }> {
  return {
    operation: cancelRunByRunId,
    label: "Cancel run",
    danger: true,
    question: "Stops the run with its child runs, model call and tool processes. Its history is kept.",
    subject: () => (
      <Facts
        of={[
          ["Run", <span class="mono">{runId}</span>],
          ["Session", sessionId],
          ["Input", input && `${input.slice(0, INPUT_CHARS)}${input.length > INPUT_CHARS ? "…" : ""}`],
        ]}
      />
    ),
    fields: [{ name: "reason", label: "Reason", hint: "Recorded in the audit log" }],
    request: (values) => ({ path: { runId }, body: withoutEmpty({ reason: values.reason }) }),
    done: (data) => (data.status === "cancelled" ? "Cancel requested." : "The run had already ended."),
  };
}

/** Return the action that starts a run again, with the same request except for the changes. `input` is the whole one, if known. */
export function retryAction({ runId, harnessProfileId, agentName, provider, model }: Run, input?: string): ActionSpec<unknown> {
  const agent = isGenerated(harnessProfileId) ? "none" : plain(agentName ?? short(harnessProfileId));
  return {
    operation: retryRun,
    label: "Run again",
    question: "Starts a new run with the same request. Change what should be different.",
    subject: () => <Facts of={[["Run", <span class="mono">{runId}</span>]]} />,
    fields: [
      { name: "input", label: "Input", kind: "area", value: input ?? "", hint: input === undefined ? "Leave empty for the same input" : "" },
      { name: "harnessProfileId", label: "Agent (profile)", kind: "choice", options: () => profiles(`As before (${agent})`) },
      { name: "provider", label: "Provider", hint: `Leave empty for the same: ${provider}`, options: capabilities.value?.providers ?? [] },
      { name: "model", label: "Model", hint: `Leave empty for the same: ${model}`, options: models },
      { name: "budgetUsd", label: "Budget in USD", kind: "number", hint: "Leave empty for the same" },
    ],
    request: ({ input: text, budgetUsd, ...values }) => ({
      path: { runId },
      body: withoutEmpty({ ...values, input: text === input ? undefined : text, budgetUsd: budgetUsd ? Number(budgetUsd) : undefined }),
      respondAsync: true,
    }),
    done: () => "Started again.",
    after: (data) => {
      location.hash = href("runs", (data as { runId: string }).runId);
    },
  };
}

/** Return the agents by name, newest first; the first option is none of them. */
async function profiles(first: string): Promise<readonly Option[]> {
  const none = { value: "", text: first };
  const { items } = (await request(listHarnessProfiles, { query: { limit: OPTIONS_MAX } })).data;
  return [none, ...items.map(({ id, displayName, agent }) => ({ value: id, text: `${displayName}${agent ? ` by ${agent.name}` : ""} (…${id.slice(-6)})` }))];
}

/** Return the models of agents and recent runs. */
async function models(): Promise<readonly Option[]> {
  const profiles = (await request(listHarnessProfiles, { query: { limit: OPTIONS_MAX } })).data.items;
  const runs = (await request(listRuns, { query: { limit: 50 } })).data.items;
  return [...new Set([...profiles.map(({ config }) => config.model), ...runs.map(({ model }) => model)])].filter(Boolean).sort();
}

/** Return recent sessions. */
async function sessions(): Promise<readonly Option[]> {
  const { items } = (await request(listRuns, { query: { limit: 50 } })).data;
  return [...new Set(items.map(({ sessionId }) => sessionId))];
}

const OPTIONS_MAX = 200;

export function StartRun({ session }: { session?: string | undefined }): JSX.Element {
  const action: ActionSpec<unknown> = {
    operation: createRun,
    label: "Start a run",
    fields: [
      { name: "input", label: "Input", kind: "area", required: true },
      { name: "sessionId", label: "Session", value: session ?? "", hint: "Leave empty for a new session", options: sessions },
      { name: "harnessProfileId", label: "Agent (profile)", kind: "choice", options: () => profiles("None") },
      { name: "provider", label: "Provider", hint: "Without an agent. Leave empty for the default", options: capabilities.value?.providers ?? [] },
      { name: "model", label: "Model", hint: "Without an agent. Leave empty for the default", options: models },
    ],
    request: (values) => ({ body: withoutEmpty(values), respondAsync: true }),
    done: () => "Run accepted.",
    after: (data) => {
      const { runId } = data as { runId: string }; // with `respond-async`, the response is the run record
      location.hash = href("runs", runId);
    },
  };
  return <Action action={action} />;
}
