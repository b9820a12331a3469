// The fleet on one screen: what needs a person, numbers over time, running agents, failures, and what comes next.

import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import type { ActiveRun, FleetSeries, FleetSummary, Run, SeriesTotal } from "@projectathena/client";
import {
  createSchedule,
  getFleetSeries,
  getFleetSummary,
  getPolicy,
  listA2aDlq,
  listActiveRuns,
  listRuns,
  listSchedules,
  redriveA2aDlq,
} from "@projectathena/client/operations";
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Action } from "../components/actions";
import { AskCards, AskKeys } from "../components/ask";
import { Chart, METRICS, Sparkline } from "../components/chart";
import { Guide } from "../components/guide";
import { ChangeLimits } from "../components/policy";
import { KINDS, type Kind } from "../components/record_rows";
import { Acts } from "../components/records";
import { cancelAction, resumeAction, StartRun } from "../components/run_actions";
import { TimeControl } from "../components/time_control";
import { Bar, Command, Empty, Loaded, Panel, Table, Time } from "../components/ui";
import { count, distance, dollars, duration, isGenerated, plain, short, words } from "../format";
import { at, filter, href, route } from "../route";
import { caller, isAllowed } from "../state/caller";
import { now, timeOfPage } from "../state/clock";
import { health } from "../state/event_stream";
import type { SeenEvent } from "../state/events";
import { FAILURES, failuresOf, intervalsOf, RANGES, type Range, type Span, total, windowOf } from "../state/fleet";
import { request } from "../state/instant";
import { type LiveQuery, reloadWhen, useLiveQuery, useRead, useReloadEvery } from "../state/live_query";
import { openAskCount, openAsks } from "../state/open_asks";

const OFTEN_MS = 2_000; // between two reads while events arrive
const MOVES_MS = 10_000; // between two reads of what moves without events
const BEFORE_MS = 60_000;

const counts = ({ type }: SeenEvent): boolean => /^(run|usage|policy|work|a2a|halt)\./.test(type);
const isScoped = (): boolean => caller.value?.scope !== undefined;

export function Fleet(): JSX.Element {
  return isScoped() ? <Page fleet={undefined} /> : <Whole />;
}

function Whole(): JSX.Element {
  const fleet = useRead(getFleetSummary, {}, counts, OFTEN_MS);
  useReloadEvery(fleet, MOVES_MS);
  return <Page fleet={fleet} />;
}

function Page({ fleet }: { fleet: LiveQuery<FleetSummary> | undefined }): JSX.Element {
  const summary = fleet?.data.value;
  const unused = at.value === undefined && summary !== undefined && isUnused(summary);
  return (
    <>
      <div class="head">
        <h1>
          Fleet <StartRun />
        </h1>
        {fleet && !unused && (
          <Choice
            label="Time range"
            names={Object.entries(RANGES).map(([id, { text }]) => [id, text])}
            chosen={rangeOf()}
            choose={(range) => filter({ range })}
          />
        )}
      </div>
      <TimeControl />
      <Guide />
      {unused && <FirstSteps />}
      <NeedsYou fleet={summary} />
      {fleet && !unused && <Loaded live={fleet}>{(found) => <OverTime fleet={found} />}</Loaded>}
      {!fleet && <Empty>The numbers of the whole fleet are not shown: your identity may see some of its sessions only.</Empty>}
      <div class="columns fleet">
        {!unused && <Running />}
        <Panel title="Upcoming" aside={<a href={href("schedules")}>All schedules</a>}>
          {isScoped() ? <Empty>Schedules are not shown to your identity.</Empty> : <Upcoming />}
        </Panel>
      </div>
    </>
  );
}

const isUnused = ({ total: runs, queue, recent }: FleetSummary): boolean => runs + queue.waiting + queue.items + recent.refused === 0;

/** What to do on a server without runs. */
function FirstSteps(): JSX.Element {
  return (
    <section class="panel first">
      <h2>First steps</h2>
      <p class="quiet">This server has no runs yet.</p>
      <ol>
        <li>
          <b>Choose a model.</b> The command finds local models and keys, and writes <code>.env</code> and a first agent profile.
          <Command line="athena init" />
        </li>
        <li>
          <b>Start a run</b> with the button above, or in a terminal.
          <Command line={'athena run "Hello, Athena"'} />
        </li>
        <li>
          <b>See a busy fleet.</b> The demo runs beside this server with scripted models. It needs no key and no network.
          <Command line="athena demo" />
        </li>
      </ol>
    </section>
  );
}

// What needs a person

const CARDS_MAX = 6;
const RUNS_MAX = 3;
const DEAD_LETTERS_MAX = 2;

interface CardProps {
  readonly title: ComponentChildren;
  readonly to: string;
  readonly children: ComponentChildren;
  readonly acts?: ComponentChildren;
}

function Card({ title, to, children, acts }: CardProps): JSX.Element {
  return (
    <article class="need">
      <h3>
        <a href={to}>{title}</a>
      </h3>
      <p class="context quiet">{children}</p>
      {at.value === undefined && <p class="answers">{acts}</p>}
    </article>
  );
}

function NeedsYou({ fleet }: { fleet: FleetSummary | undefined }): JSX.Element {
  const asks = openAsks()?.data.value?.items ?? [];
  const paused = usePaused();
  const deadLetters = fleet?.queue.deadLetters ?? 0;
  const checked = at.value === undefined ? health.value : undefined; // health has no past
  const problems = checked?.problems ?? [];
  const stopped = Object.entries(checked?.projections ?? {}).filter(([, view]) => view.error);
  const { budgetUsd, spentUsd = 0, reservedUsd = 0 } = fleet?.costSummary.today ?? {};
  const isSpent = budgetUsd !== undefined && budgetUsd !== null && spentUsd + reservedUsd >= budgetUsd;
  const wasHalted = at.value !== undefined && fleet?.halted; // now a banner says it
  const some = wasHalted || isSpent || asks.length + paused.length + deadLetters + problems.length + stopped.length > 0;
  return (
    <section class="needs" aria-label="Needs you">
      <header>
        <h2>Needs you</h2>
        {some ? asks.length > 0 && <AskKeys /> : <span class="quiet">Nothing needs you.</span>}
        {asks.length > 0 && <a href={href("asks")}>{`All asks (${openAskCount() || 0})`}</a>}
      </header>
      <div>
        {wasHalted && (
          <Card title="Halted" to={href("events", undefined, { types: "halt.started" })}>
            Nothing started or continued
          </Card>
        )}
        {problems.map((problem) => (
          <Card key={problem.loop} title={`${problem.loop} is failing`} to={href("system")}>
            since <Time at={problem.since} />
          </Card>
        ))}
        {stopped.map(([view]) => (
          <Card key={view} title={`View ${view} has stopped`} to={href("system")}>
            The System page has its error
          </Card>
        ))}
        <AskCards key={at.value} asks={asks} most={CARDS_MAX} brief />
        {isSpent && (
          <Card title={`Daily budget used up: ${dollars(spentUsd * 1e6)} of ${dollars(budgetUsd * 1e6)}`} to={href("policy")} acts={<ChangeLimits />}>
            Runs that cost are rejected until tomorrow (UTC)
          </Card>
        )}
        {paused.slice(0, RUNS_MAX).map((run) => (
          <PausedRun key={run.runId} run={run} />
        ))}
        {paused.length > RUNS_MAX && (
          <Card title="More paused runs" to={href("runs", undefined, { status: "paused" })}>
            {count(fleet?.paused ?? paused.length)} in all
          </Card>
        )}
        {deadLetters > 0 && <DeadLetters many={deadLetters} />}
      </div>
    </section>
  );
}

/** Return the newest paused runs that wait for no ask. */
function usePaused(): readonly Run[] {
  const live = useRead(
    listRuns,
    { query: { status: "paused", limit: 20 } },
    (event) => event.type === "run.paused" || event.statusBefore === "paused" || event.type === "run.resumed",
    OFTEN_MS,
  );
  return (live.data.value?.items ?? []).filter(({ paused, status }) => status === "paused" && paused?.reason !== "ask");
}

function PausedRun({ run }: { run: Run }): JSX.Element {
  const { paused, costMicroUsd = 0, budgetMicroUsd } = run;
  const why =
    paused?.reason === "budget" && budgetMicroUsd
      ? `Out of budget: ${dollars(costMicroUsd)} of ${dollars(budgetMicroUsd)}`
      : `Paused: ${words(paused?.reason ?? "")}`;
  return (
    <Card
      title={why}
      to={href("runs", run.runId)}
      acts={
        <>
          <Action action={resumeAction(run.runId)} label="Resume" />
          <Action action={cancelAction(run, run.inputPreview)} label="Cancel run" />
        </>
      }
    >
      {run.agentName && <span>{plain(run.agentName)}</span>}
      <span class="cut">{plain(run.inputPreview ?? run.sessionId)}</span>
      <span>
        paused <Time at={paused?.since ?? run.createdAt} />
      </span>
    </Card>
  );
}

/** The dead letters: a few of them one by one. */
function DeadLetters({ many }: { many: number }): JSX.Element {
  const live = useRead(listA2aDlq, { query: { status: "pending", limit: DEAD_LETTERS_MAX } }, ({ type }) => type.startsWith("a2a.dlq."), OFTEN_MS);
  const deadLetters = live.data.value?.items ?? [];
  const [oldest] = deadLetters;
  if (many > DEAD_LETTERS_MAX)
    return (
      <Card
        title={`${count(many)} dead letters`}
        to={href("letters", undefined, { status: "pending" })}
        acts={
          isAllowed(redriveA2aDlq) && (
            <a class="button" href={href("form", redriveA2aDlq.id)}>
              Requeue many
            </a>
          )
        }
      >
        {oldest && (
          <span>
            oldest <Time at={oldest.createdAt} />
          </span>
        )}
      </Card>
    );
  return (
    <>
      {deadLetters.map((letter) => (
        <Card
          key={letter.id}
          title={`Dead letter: ${words(letter.reason)}`}
          to={href("letters", letter.id, { status: "pending" })}
          acts={<Acts kind={KINDS.letters as Kind} record={letter as unknown as Record<string, unknown>} id={letter.id} />}
        >
          <span class="cut">{plain(letter.lastError.message)}</span>
          <span>{plain(letter.sessionId)}</span>
          <Time at={letter.createdAt} />
        </Card>
      ))}
    </>
  );
}

// Numbers over time

const DEFAULT_RANGE = "1h";

/** Return the name of the range in the address. */
function rangeOf(): string {
  const { range = "" } = route.value.filters;
  return range in RANGES ? range : DEFAULT_RANGE;
}

/** Return the counts of the range of the page, or of the same time before it. The last ones stay until others are read. */
function useSeries(name: string, range: Range, before: boolean): { live: LiveQuery<FleetSeries>; data: FleetSeries | undefined } {
  const read = async (): ReturnType<typeof request<FleetSeries>> =>
    request(getFleetSeries, { query: { ...windowOf(range, await timeOfPage(), before), ...(before ? {} : { by: "error" }) } });
  const live = useLiveQuery(
    `${name} ${before}`,
    read,
    reloadWhen((event) => !before && counts(event)),
    OFTEN_MS,
  );
  useReloadEvery(live, before ? BEFORE_MS : MOVES_MS);
  const last = useRef<FleetSeries | undefined>(undefined);
  last.current = live.data.value ?? last.current;
  return { live, data: last.current };
}

function OverTime({ fleet }: { fleet: FleetSummary }): JSX.Element {
  const name = rangeOf();
  const range = RANGES[name] as Range;
  const { live, data } = useSeries(name, range, false);
  const before = useSeries(name, range, true).data;
  const metric = useSignal("runs");
  const brush = useSignal<Span | undefined>(undefined);
  useLayoutEffect(() => {
    brush.value = undefined; // of another range, or of another moment
  }, [name, at.value]);
  const shown = METRICS[metric.value] ?? METRICS.runs;
  const link = (span: Span): string => {
    const [createdAfter, createdBefore] = [span.from, span.to - 1].map((ms) => new Date(ms).toISOString());
    return href("runs", undefined, { createdAfter, createdBefore, sort: shown?.sort });
  };
  return (
    <>
      {live.error.value && <Loaded live={live}>{() => undefined}</Loaded>}
      {data && <Numbers fleet={fleet} is={data.all.total} was={before?.all.total} since={name} range={range} />}
      {data && (
        <div class="columns fleet">
          <Panel
            title={shown?.title ?? ""}
            aside={
              <Choice
                label="Shown in the chart"
                names={Object.entries(METRICS).map(([id, { title }]) => [id, title])}
                chosen={metric.value}
                choose={(id) => {
                  metric.value = id;
                }}
              />
            }
          >
            {shown && <Chart series={data} metric={shown} brush={brush} link={link} />}
          </Panel>
          <Failures series={data} brush={brush} since={name} />
        </div>
      )}
    </>
  );
}

/** Buttons of which one is chosen. */
function Choice(props: { label: string; names: readonly (readonly [id: string, text: string])[]; chosen: string; choose: (id: string) => void }): JSX.Element {
  return (
    <div class="choice" role="group" aria-label={props.label}>
      {props.names.map(([id, text]) => (
        <button key={id} type="button" class="small" aria-pressed={id === props.chosen} onClick={() => props.choose(id)}>
          {text}
        </button>
      ))}
    </div>
  );
}

interface TileProps {
  readonly label: string;
  readonly value: string;
  /** The limit of the value. */
  readonly of?: ComponentChildren;
  readonly to: string;
  readonly class?: string;
  readonly children: ComponentChildren;
}

function Tile({ label, value, of, to, class: look = "", children }: TileProps): JSX.Element {
  return (
    <a class={`tile ${look}`} href={to}>
      <span class="label">{label}</span>
      <span>
        <strong>{value}</strong> {of && <small>{of}</small>}
      </span>
      <span class="quiet">{children}</span>
    </a>
  );
}

/** A number of the time before, and whether there are more now. */
function Change({ is, was, text, before }: { is: number; was: number | undefined; text: (value: number) => string; before: string }): JSX.Element {
  if (was === undefined) return <>{"\u00a0"}</>;
  const [sign, word] = is > was ? ["↑", "up"] : is < was ? ["↓", "down"] : ["=", "as in"];
  return (
    <>
      <span role="img" aria-label={word}>
        {sign}
      </span>{" "}
      {is !== was && `from ${text(was)} `}
      {before}
    </>
  );
}

const STATUS_OF: Readonly<Record<string, string>> = { failed: "failed", timedOut: "timed-out", crashed: "crashed" };

function Numbers(props: { fleet: FleetSummary; is: SeriesTotal; was: SeriesTotal | undefined; since: string; range: Range }): JSX.Element {
  const { fleet, is, was, since, range } = props;
  const policy = useRead(getPolicy, {}, ({ type }) => type === "policy.updated");
  const { queue, costSummary } = fleet;
  const limit = policy.data.value?.maxConcurrentRuns;
  const failed = (of: SeriesTotal): number => total(FAILURES.map((field) => of[field]));
  const [most] = [...FAILURES].sort((a, b) => is[b] - is[a]);
  const to = (filters: Readonly<Record<string, string>>): string => href("runs", undefined, { ...filters, since });
  const change = (of: (line: SeriesTotal) => number | undefined, text: (value: number) => string, before = range.before): JSX.Element => (
    <Change is={of(is) ?? 0} was={was && of(was)} text={text} before={before} />
  );
  const { budgetUsd, spentUsd, reservedUsd } = costSummary.today;
  return (
    <div class="tiles">
      <Tile
        label="Running now"
        value={count(fleet.running)}
        of={limit && `of ${count(limit)}`}
        to={href("runs", undefined, { status: queue.waiting && !fleet.running ? "queued" : "running" })}
        class={queue.withoutExecutor ? "warn" : ""}
      >
        {queue.withoutExecutor ? (
          `${count(queue.withoutExecutor)} without an executor`
        ) : queue.waiting ? (
          `${count(queue.waiting)} queued${queue.oldestWaitingSince ? `, oldest ${distance(queue.oldestWaitingSince, now.value)}` : ""}`
        ) : (
          <>
            {count(is.started)} started, {change(({ started }) => started, count, "before")}
          </>
        )}
      </Tile>
      <Tile label="Completed" value={count(is.completed)} to={to({ status: "completed" })}>
        {change(({ completed }) => completed, count)}
      </Tile>
      <Tile label="Failed" value={count(failed(is))} to={to({ status: STATUS_OF[most ?? ""] ?? "" })} class={failed(is) ? "bad" : ""}>
        {change(failed, count)}
      </Tile>
      <Tile label="Cost" value={dollars(is.costMicroUsd)} to={to({ sort: "cost" })}>
        {change(({ costMicroUsd }) => costMicroUsd, dollars)}
        {budgetUsd ? (
          <Bar
            label="Daily budget"
            limit
            value={spentUsd + reservedUsd}
            max={budgetUsd}
            text={`${dollars(spentUsd * 1e6)} of ${dollars(budgetUsd * 1e6)} today`}
          />
        ) : null}
      </Tile>
      <Tile label="Duration, p95" value={is.p95Ms ? duration(is.p95Ms) : "–"} to={to({ status: "completed", sort: "duration" })}>
        {change(({ p95Ms }) => p95Ms, duration)}
      </Tile>
    </div>
  );
}

// Failures

interface Group {
  readonly name: string;
  readonly values: readonly number[];
  /** The list of its runs. */
  readonly to?: string;
}

function Failures({ series, brush, since }: { series: FleetSeries; brush: Signal<Span | undefined>; since: string }): JSX.Element {
  const { start, stepSeconds, intervals, all, lines, other } = series;
  const chosen = intervalsOf(series, brush.value);
  const time = chosen ? { createdBefore: new Date(brush.value?.to ?? 0).toISOString() } : { since };
  const errors = lines.map((line): Group => {
    const errorCode = line.name ?? "";
    return { name: errorCode, values: failuresOf(line, intervals), to: href("runs", undefined, { errorCode, ...time }) };
  });
  const within = (values: readonly number[]): readonly number[] => (chosen ? values.slice(chosen[0], chosen[1] + 1) : values);
  const groups = [...errors, { name: "Other errors", values: other ? failuresOf(other, intervals) : [] }].flatMap((group: Group) => {
    const values = within(group.values);
    return total(values) ? [{ ...group, many: total(values), last: (chosen?.[0] ?? 0) + values.findLastIndex(Boolean) }] : [];
  });
  return (
    <Panel title="Failed runs" aside={<a href={href("rejections")}>{count(total(within(all.rejected ?? [])))} rejected</a>}>
      {groups.length ? (
        <ul class="list failures">
          {groups.map(({ name, values, to, many, last }) => (
            <li key={name}>
              {to ? (
                <a class="cut" href={to}>
                  {plain(name)}
                </a>
              ) : (
                <span>{name}</span>
              )}
              <b class="num">{count(many)}</b>
              <Sparkline values={values} hue="c1" />
              {stepSeconds < 3_600 && <Time at={new Date(Date.parse(start) + last * 1_000 * stepSeconds).toISOString()} />}
            </li>
          ))}
        </ul>
      ) : (
        <Empty>{chosen ? "No run failed then." : "No run failed in this time."}</Empty>
      )}
    </Panel>
  );
}

// Running agents

const RUNNING_MAX = 10;

function Running(): JSX.Element {
  const live = useRead(listActiveRuns, { query: { limit: RUNNING_MAX } }, ({ runId }) => runId !== undefined, OFTEN_MS);
  const page = live.data.value;
  return (
    <Panel title="Running" aside={<a href={href("runs", undefined, { status: "running" })}>{page?.nextCursor ? "Newest ten. View all" : "View all"}</a>}>
      <Loaded live={live}>
        {({ items }) =>
          items.length ? (
            <Table label="Running agents" heads={["Run", "~#Turn", "Time", "~#Cost"]} class="active">
              {items.map((run) => (
                <RunningRow key={run.runId} run={run} />
              ))}
            </Table>
          ) : (
            <Empty>{at.value === undefined ? "No agent runs now. Start one above." : "No agent ran then."}</Empty>
          )
        }
      </Loaded>
    </Panel>
  );
}

const STEPS: Readonly<Record<string, string>> = { executor: "waits for an executor", model: "model call", ask: "asks a person" };

/** Return what a run does now. */
function stepOf({ step: { kind, toolName, preview } }: ActiveRun): ComponentChildren {
  if (kind !== "tool") return STEPS[kind] ?? words(kind);
  return (
    <>
      <b class="tool">{plain(toolName ?? "tool")}</b> <span class="mono">{plain(preview ?? "")}</span>
    </>
  );
}

function RunningRow({ run }: { run: ActiveRun }): JSX.Element {
  const { runId, agentName, agent, harnessProfileId, costMicroUsd, budgetMicroUsd, timeoutMs, clockFrom, elapsedMs } = run;
  const name = plain(agentName ?? agent ?? "") || (isGenerated(harnessProfileId) ? "" : short(harnessProfileId));
  const took = Math.max(0, clockFrom ? now.value - Date.parse(clockFrom) : (elapsedMs ?? 0));
  return (
    <tr class="run-row" data-run={runId} data-row>
      <td class="main">
        <a href={href("runs", runId)} title={runId}>
          {name && <b>{name} · </b>}
          {plain(run.inputPreview ?? run.sessionId)}
        </a>
        <small class="quiet now">
          {stepOf(run)}, {duration(Math.max(0, now.value - Date.parse(run.step.since)))}
        </small>
      </td>
      <td class="num opt">{run.turn}</td>
      <td class="num">
        <Bar label="Time" limit value={took} max={timeoutMs} text={`${duration(took)} of ${duration(timeoutMs)}`} />
      </td>
      <td class="num opt">
        {costMicroUsd || run.step.kind !== "model" ? dollars(costMicroUsd ?? 0) : <span title="Recorded at the end of each model call">not yet known</span>}
        {budgetMicroUsd !== undefined && <small class="quiet">of {dollars(budgetMicroUsd)}</small>}
      </td>
    </tr>
  );
}

// What comes next

const UPCOMING_MAX = 5;

function Upcoming(): JSX.Element {
  const live = useRead(listSchedules, { query: { limit: 500 } }, ({ type }) => type.startsWith("schedule."), OFTEN_MS);
  return (
    <Loaded live={live}>
      {({ items }) => {
        const due = items.filter(({ nextRunAt, enabled }) => nextRunAt && enabled).sort((a, b) => (a.nextRunAt ?? "").localeCompare(b.nextRunAt ?? ""));
        if (!due.length) return <Empty>No upcoming schedules. {isAllowed(createSchedule) && <a href={href("form", createSchedule.id)}>Create one</a>}</Empty>;
        return (
          <ul class="list">
            {due.slice(0, UPCOMING_MAX).map(({ id, nextRunAt, paused, running }) => (
              <li key={id}>
                <Time at={nextRunAt} upcoming />
                <a class="cut" href={href("schedules", id)}>
                  {id}
                </a>
                <span class="quiet">{paused ? "paused" : running ? "running now" : ""}</span>
              </li>
            ))}
          </ul>
        );
      }}
    </Loaded>
  );
}
