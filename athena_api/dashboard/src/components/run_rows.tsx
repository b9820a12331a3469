// The rows of lists of runs.

import type { Signal } from "@preact/signals";
import type { Run } from "@projectathena/client";
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect } from "preact/hooks";
import { between, count, dollars, duration, isGenerated, short, words } from "../format";
import { href, route } from "../route";
import { now } from "../state/clock";
import type { RunList } from "../state/run_list";
import { OPEN } from "../state/run_status";
import { Action } from "./actions";
import { cancelAction, retryAction } from "./run_actions";
import { Memo, SessionLink, Status, Table, Time } from "./ui";
import { useWindow } from "./window";

/** The ids of selected runs. */
export type Selection = Signal<ReadonlySet<string>>;

const HEADS = ["Status", "Run", "~Session", "~#Cost", "~#Duration", "~#Started", "#"];
const ROW_PX = 52;
const AHEAD = 10; // rows left below the screen when the next page is read

/** A table of a few runs. */
export function Rows({ runs }: { runs: readonly Run[] }): JSX.Element {
  return (
    <Table label="Runs" heads={HEADS} class="runs">
      {runs.map((run) => (
        <Memo key={run.runId} of={run}>
          {() => <Row run={run} />}
        </Memo>
      ))}
    </Table>
  );
}

/** The sort that a head chooses. */
const SORTS: Readonly<Record<string, string>> = { "~#Cost": "cost", "~#Duration": "duration", "~#Started": "" };

/** A table of a list of any length: only the rows near the screen are in the document. */
export function RunTable({ list, runs, selected }: { list: RunList; runs: readonly Run[]; selected: Selection }): JSX.Element {
  const { first, last, seen, before, after, box } = useWindow<HTMLTableSectionElement>(runs.length, ROW_PX);
  useLayoutEffect(() => {
    if (seen > runs.length - AHEAD) void list.more();
  }, [seen, runs.length]);
  const all = runs.length > 0 && runs.every(({ runId }) => selected.value.has(runId));
  const { page, filters } = route.value;
  const heads = HEADS.map((head) => {
    const sort = SORTS[head];
    if (sort === undefined) return head;
    const text = head.replace(/^~#/, "");
    const sorted = (filters.sort ?? "") === sort;
    return { head, sorted, content: <a href={href(page, undefined, { ...filters, sort })}>{`${text}${sorted ? " ↓" : ""}`}</a> };
  });
  const check = (
    <input
      type="checkbox"
      aria-label="Select all shown runs"
      checked={all}
      onChange={() => {
        selected.value = new Set(all ? [] : runs.map(({ runId }) => runId));
      }}
    />
  );
  return (
    <Table label="Runs" heads={[{ head: "check", content: check }, ...heads]} class="runs picked" rows={runs.length + 1} body={box}>
      {before > 0 && <Space of={before} />}
      {runs.slice(first, last).map((run, index) => (
        <Memo key={run.runId} of={run}>
          {() => (
            <Row run={run} at={first + index + 2}>
              <td>
                <Check run={run} selected={selected} />
              </td>
            </Row>
          )}
        </Memo>
      ))}
      {after > 0 && <Space of={after} />}
    </Table>
  );
}

/** The height of rows that are not in the document. */
function Space({ of }: { of: number }): JSX.Element {
  return <tr aria-hidden="true" class="space" style={{ height: `${of}px` }} />;
}

function Check({ run, selected }: { run: Run; selected: Selection }): JSX.Element {
  const toggle = (): void => {
    const next = new Set(selected.value);
    if (!next.delete(run.runId)) next.add(run.runId);
    selected.value = next;
  };
  return <input type="checkbox" aria-label={`Select run …${run.runId.slice(-8)}`} checked={selected.value.has(run.runId)} onChange={toggle} />;
}

/** A row of two lines: its height never changes, so that the rows below do not move. All of it is a link. */
function Row({ run, at, children }: { run: Run; at?: number; children?: ComponentChildren }): JSX.Element {
  const tokens = (run.usage?.inputTokens ?? 0) + (run.usage?.outputTokens ?? 0);
  const agent = agentOf(run);
  return (
    <tr data-run={run.runId} data-row aria-rowindex={at} class="run-row">
      {children}
      <td>
        <Status is={run.status} title={run.error?.message} />
        <small class="quiet">{reasonOf(run)}</small>
      </td>
      <td class="main">
        <a href={href("runs", run.runId)} title={run.runId}>
          {agent && <b>{agent} · </b>}
          {(run.inputPreview ?? "") || (run.redacted ? "Redacted" : `…${run.runId.slice(-8)}`)}
        </a>
        <small class={run.error ? "bad" : "quiet"}>
          <span class="narrow">
            <Time at={run.createdAt} />{" "}
          </span>
          {outcomeOf(run) || <span class="mono">…{run.runId.slice(-8)}</span>}
        </small>
      </td>
      <td class="opt" title={`${run.provider} ${run.model}`}>
        <SessionLink id={run.sessionId} />
        <small class="quiet">{run.model}</small>
      </td>
      <td class="num opt">
        {run.costMicroUsd ? dollars(run.costMicroUsd) : ""}
        <small class="quiet">{tokens > 0 && `${count(tokens)} tokens`}</small>
      </td>
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
  const profile = (run.agentName ?? "") || (isGenerated(run.harnessProfileId) ? "" : short(run.harnessProfileId));
  return [profile, run.agent && `by ${run.agent}`].filter(Boolean).join(" · ");
}

/** Return the beginning of the answer, or the error. */
function outcomeOf(run: Run): string {
  const { outputPreview = "", outputChars = 0 } = run;
  return outputPreview ? `${outputPreview}${outputChars > outputPreview.length ? "…" : ""}` : (run.error?.message ?? "");
}

function Duration({ run }: { run: Run }): JSX.Element {
  return <>{duration(between(run.createdAt, run.finishedAt ?? now.value))}</>;
}
