// The list of runs, newest first, live, with filters in the URL.

import type { Run, RunPage } from "@projectathena/client";
import { cancelRunByRunId, createRun, listRuns } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { Action, type ActionSpec, withoutEmpty } from "../components/actions";
import { Empty, Filter, Loaded, Memo, MorePages, now, RunLink, SessionLink, Status, Table, Time } from "../components/ui";
import { between, dollars, duration, words } from "../format";
import { href, route } from "../route";
import { request } from "../server";
import { capabilities } from "../state/event_stream";
import type { SeenEvent } from "../state/events";
import { type Fold, useLiveQuery } from "../state/live_query";
import { ENDINGS, OPEN, STATUSES, statusAfter } from "../state/run_status";
import { applyEvent, newRun } from "../state/runs";

const ROWS_MAX = 100;

type RunFilters = Readonly<Record<string, string>>;

function matches(run: Run, filters: RunFilters): boolean {
  return (
    (!filters.status || run.status === filters.status) &&
    (!filters.sessionId || run.sessionId === filters.sessionId) &&
    (!filters.provider || run.provider === filters.provider)
  );
}

/** Return a fold of a page of runs: new runs are added on top, and runs that no longer match are removed. */
export function foldRuns(filters: RunFilters): Fold<RunPage> {
  return (page, events, reload) => {
    const rows = new Map(page.items.map((run) => [run.runId, run]));
    const fresh: Run[] = [];
    let changed = false;
    for (const event of events) {
      const runId = event.runId ?? "";
      const row = rows.get(runId);
      if (row) {
        const next = applyEvent(row, event);
        changed ||= next !== row;
        if (next !== row && next.error?.message === "") reload(); // events carry no error message
        rows.set(runId, next);
      } else if (event.type === "run.queued" || (event.type === "run.created" && event.statusBefore === undefined)) {
        const run = newRun(event);
        rows.set(runId, run);
        fresh.push(run);
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
  return status !== undefined && filters.status === status;
}

export function Runs(): JSX.Element {
  const { status, sessionId, provider } = route.value.filters;
  const filters: RunFilters = { status: status ?? "", sessionId: sessionId ?? "", provider: provider ?? "" };
  const key = JSON.stringify(filters);
  const live = useLiveQuery(key, () => request(listRuns, { query: { ...filters, limit: 50 } }), foldRuns(filters));
  return (
    <>
      <h1>
        Runs <StartRun session={sessionId} />
      </h1>
      <div class="filters">
        <Filter name="status" label="Status" options={STATUSES} />
        <Filter name="sessionId" label="Session" first />
        <Filter name="provider" label="Provider" />
        <Find />
      </div>
      <Loaded live={live}>
        {(page) =>
          page.items.length ? (
            <>
              <Rows runs={page.items} />
              <MorePages key={key} next={page.nextCursor} what="runs" read={(cursor) => request(listRuns, { query: { ...filters, limit: 100, cursor } })}>
                {(runs) => <Rows runs={runs} />}
              </MorePages>
            </>
          ) : (
            <Empty>
              {Object.values(filters).some(Boolean) ? "No runs match these filters." : "No runs yet. Start one here, or with: athena run --input hello"}
            </Empty>
          )
        }
      </Loaded>
    </>
  );
}

function Find(): JSX.Element {
  return (
    <label class="filter">
      <span>Run id</span>
      <input
        type="search"
        spellcheck={false}
        placeholder="run_…"
        onChange={(event) => {
          const id = event.currentTarget.value.trim();
          if (id) location.hash = href("runs", id);
        }}
      />
    </label>
  );
}

function Rows({ runs }: { runs: readonly Run[] }): JSX.Element {
  return (
    <Table label="Runs" heads={["Run", "Status", "Session", "~Input and output", "~Model", "~Started", "~#Duration", "~#Cost", "~#"]}>
      {runs.map((run) => (
        <Memo key={run.runId} of={run}>
          {() => <Row run={run} />}
        </Memo>
      ))}
    </Table>
  );
}

function Row({ run }: { run: Run }): JSX.Element {
  return (
    <tr data-run={run.runId}>
      <td>
        <RunLink id={run.runId} />{" "}
        <small class="narrow quiet">
          <Time at={run.createdAt} />
        </small>
      </td>
      <td>
        <Status is={run.status} title={run.error?.message} />
        <small class="quiet"> {reasonOf(run)}</small>
      </td>
      <td>
        <SessionLink id={run.sessionId} />
      </td>
      <td class="opt cut">
        <span title={run.inputPreview ?? undefined}>{run.inputPreview}</span>
        {run.outputPreview && (
          <small class="quiet" title={`${run.outputPreview}${(run.outputChars ?? 0) > run.outputPreview.length ? "…" : ""}`}>
            {" "}
            → {run.outputPreview}
          </small>
        )}
      </td>
      <td class="opt cut" title={run.model}>
        {run.provider} <span class="quiet">{run.model}</span>
      </td>
      <td class="opt">
        <Time at={run.createdAt} />
      </td>
      <td class="num opt">
        <Duration run={run} />
      </td>
      <td class="num opt">{run.costMicroUsd ? dollars(run.costMicroUsd) : ""}</td>
      <td class="num opt">{OPEN.has(run.status) && <Action action={cancelAction(run.runId)} label="Cancel" />}</td>
    </tr>
  );
}

/** Return the reason for the status of a run: why it waits, is paused or failed. */
function reasonOf(run: Run): string {
  if (run.waiting) return words(run.waiting.reason);
  if (run.paused) return words(run.paused.reason);
  if (run.error) return run.error.code;
  return run.verificationStatus === "verification-failed" ? "verification failed" : "";
}

function Duration({ run }: { run: Run }): JSX.Element {
  return <>{duration(between(run.createdAt, run.finishedAt ?? now.value))}</>;
}

/** Return the action that cancels a run. */
export function cancelAction(runId: string): ActionSpec<{ status: string }> {
  return {
    operation: cancelRunByRunId,
    label: "Cancel run",
    danger: true,
    question: "Stops the run with its child runs, model call and tool processes. Its history is kept.",
    fields: [{ name: "reason", label: "Reason", hint: "Recorded in the audit log" }],
    request: (values) => ({ path: { runId }, body: withoutEmpty({ reason: values.reason }) }),
    done: (data) => (data.status === "cancelled" ? "Cancel requested." : "The run had already ended."),
  };
}

export function StartRun({ session }: { session?: string | undefined }): JSX.Element {
  const action: ActionSpec<unknown> = {
    operation: createRun,
    label: "Start a run",
    fields: [
      { name: "input", label: "Input", kind: "area", required: true },
      { name: "sessionId", label: "Session", value: session ?? "", hint: "Leave empty for a new session" },
      { name: "provider", label: "Provider", hint: "Leave empty for the default", options: capabilities.value?.providers ?? [] },
      { name: "model", label: "Model" },
      { name: "harnessProfileId", label: "Agent profile", hint: "Id of a profile (hp_…), instead of provider and model" },
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
