// The fleet: current and recent runs, rejected runs, upcoming schedules, and items that need attention.

import type { FleetSummary, RunPage } from "@projectathena/client";
import { getFleetSummary, getPolicy, listA2aDlq, listPolicyConcurrencyRejections, listRuns, listSchedules } from "@projectathena/client/operations";
import type { ComponentChildren, JSX } from "preact";
import { AskCards, AskKeys } from "../components/ask";
import { Sparkline, Traffic } from "../components/chart";
import { Guide } from "../components/guide";
import { StartRun } from "../components/run_actions";
import { TimeControl } from "../components/time_control";
import { Bar, Command, Empty, Loaded, Panel, RunLink, Time } from "../components/ui";
import { clock, count, distance, dollars, duration, plain, words } from "../format";
import { at, href } from "../route";
import { now } from "../state/clock";
import { health } from "../state/event_stream";
import { eventSummary, eventTone } from "../state/event_text";
import { foldFleet } from "../state/fleet";
import { request } from "../state/instant";
import { type Fold, reloadWhen, useLiveQuery, useReloadEvery } from "../state/live_query";
import { openAskCount, openAsks } from "../state/open_asks";
import { foldRuns } from "../state/run_list";
import { redraws, shownTraffic, usePastTraffic } from "../state/traffic";

const FLEET_MS = 30_000; // the 24-hour window moves, and events have no run times

export function Fleet(): JSX.Element {
  const fleet = useLiveQuery("fleet", () => request(getFleetSummary), foldFleet);
  useReloadEvery(fleet, FLEET_MS);
  usePastTraffic();
  const policy = useLiveQuery(
    "policy",
    () => request(getPolicy),
    reloadWhen((event) => event.type === "policy.updated"),
  );
  const unused = at.value === undefined && fleet.data.value !== undefined && isUnused(fleet.data.value);
  return (
    <>
      <h1>
        Fleet <StartRun />
      </h1>
      <TimeControl />
      <Guide />
      {unused ? (
        <FirstSteps />
      ) : (
        <Loaded live={fleet}>{(summary) => <Tiles fleet={summary} limit={policy.data.value?.maxConcurrentRuns ?? undefined} />}</Loaded>
      )}
      <Inbox />
      <div class="columns">
        {!unused && (
          <Panel title="Runs, last 10 minutes" wide>
            <Traffic />
          </Panel>
        )}
        <div class="stack">
          <Panel title="Needs attention">
            <Loaded live={fleet}>{(summary) => <NeedsAttention fleet={summary} />}</Loaded>
          </Panel>
          {!unused && (
            <Panel title={`Running (${count(fleet.data.value?.running ?? 0)})`} aside={<a href={href("runs", undefined, { status: "running" })}>View all</a>}>
              <RunningRuns />
            </Panel>
          )}
          {!unused && (
            <Panel title="Rejected" aside={<a href={href("rejections")}>View all</a>}>
              <LatestRejections />
            </Panel>
          )}
          <Panel title="Upcoming" aside={<a href={href("schedules")}>View all</a>}>
            <UpcomingSchedules />
          </Panel>
        </div>
        <Panel title="Activity">
          <Ticker />
        </Panel>
      </div>
    </>
  );
}

const isUnused = ({ total, queue, recent }: FleetSummary): boolean => total + queue.waiting + queue.items + recent.refused === 0;

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

function Tile(props: {
  label: string;
  value: ComponentChildren;
  text?: ComponentChildren;
  to: string;
  class?: string;
  spark?: readonly number[];
}): JSX.Element {
  return (
    <a class={`tile ${props.class ?? ""}`} href={props.to}>
      <span class="label">{props.label}</span>
      <strong>{props.value}</strong>
      <span class="quiet">{props.text}</span>
      {props.spark && <Sparkline values={props.spark} />}
    </a>
  );
}

function Tiles({ fleet, limit }: { fleet: FleetSummary; limit: number | undefined }): JSX.Element {
  void redraws.value;
  const [, started, completed, failed, rejected] = shownTraffic().chart();
  const { recent, queue, costSummary } = fleet;
  const others = recent.outcomes.failed + recent.outcomes.timedOut + recent.outcomes.crashed;
  const times = recent.runTimes;
  const requests = recent.admitted + recent.refused;
  return (
    <div class="tiles">
      <Tile
        label="Running"
        value={count(fleet.running)}
        text={queue.withoutExecutor ? `${count(queue.withoutExecutor)} without an executor` : limit === undefined ? "no limit" : `limit ${count(limit)}`}
        to={href("runs", undefined, { status: "running" })}
        class={queue.withoutExecutor ? "warn" : ""}
        spark={started ?? []}
      />
      <Tile
        label="Queued"
        value={count(queue.waiting)}
        text={
          queue.oldestWaitingSince
            ? `oldest ${distance(queue.oldestWaitingSince, now.value)}`
            : `${count(queue.items)} work ${queue.items === 1 ? "item" : "items"}`
        }
        to={queue.items && !queue.waiting ? href("letters") : href("runs", undefined, { status: "queued" })}
      />
      <Tile
        label="Completed, 24 h"
        value={count(recent.outcomes.completed)}
        text={times.p50Ms ? `p50 ${duration(times.p50Ms)}, p95 ${duration(times.p95Ms ?? 0)}` : "none yet"}
        to={href("runs", undefined, { status: "completed" })}
        spark={completed ?? []}
      />
      <Tile
        label="Failed, 24 h"
        value={count(others)}
        text={`${count(recent.outcomes.cancelled)} cancelled`}
        to={href("runs", undefined, { status: "failed" })}
        class={others ? "bad" : ""}
        spark={failed ?? []}
      />
      <Tile
        label="Rejected, 24 h"
        value={count(recent.refused)}
        text={requests ? `${((100 * recent.refused) / requests).toFixed(recent.refused ? 1 : 0)} % of requests` : "no requests"}
        to={href("rejections")}
        class={recent.refused ? "warn" : ""}
        spark={rejected ?? []}
      />
      <SpendTile summary={costSummary} />
    </div>
  );
}

function SpendTile({ summary }: { summary: FleetSummary["costSummary"] }): JSX.Element {
  const { today } = summary;
  return (
    <div class="tile">
      <span class="label">Cost today (UTC)</span>
      <strong>{dollars(today.spentUsd * 1e6)}</strong>
      {today.budgetUsd ? (
        <Bar
          label="Daily budget"
          limit
          value={today.spentUsd + today.reservedUsd}
          max={today.budgetUsd}
          text={`of ${dollars(today.budgetUsd * 1e6)}${today.reservedUsd ? `, ${dollars(today.reservedUsd * 1e6)} reserved` : ""}`}
        />
      ) : (
        <span class="quiet">{dollars(summary.totalEstimatedSpendUsd * 1e6)} this month, no budget</span>
      )}
    </div>
  );
}

function Ticker(): JSX.Element {
  const events = shownTraffic().ticker.value;
  if (!events.length) return <Empty>No activity yet. Start a run to see it here.</Empty>;
  return (
    <ol class="ticker moods">
      {events.map((event) => (
        <li key={event.position} class={eventTone(event)}>
          <time dateTime={event.createdAt}>{clock(event.createdAt).slice(-8)}</time>
          <span>
            {event.runId && !event.type.startsWith("schedule") && <RunLink id={event.runId} />} {eventSummary(event)}
          </span>
          <span class="quiet cut opt">{event.sessionId}</span>
        </li>
      ))}
    </ol>
  );
}

const RUNNING_MAX = 5;
const RUNNING = { status: "running", sessionId: "", provider: "" };

/** The newest running runs. */
function RunningRuns(): JSX.Element {
  const live = useLiveQuery<RunPage>("running", () => request(listRuns, { query: { ...RUNNING, limit: 50 } }), foldNewestRunning);
  return (
    <Loaded live={live}>
      {({ items }) =>
        items.length ? (
          <ul class="list">
            {items.slice(0, RUNNING_MAX).map((run) => (
              <li key={run.runId}>
                <span class="when">for {duration(Math.max(0, now.value - Date.parse(run.createdAt)))}</span>
                <RunLink id={run.runId} />
                <span class="cut grow">{run.inputPreview ?? run.sessionId}</span>
                {run.agent && <span class="quiet">{plain(run.agent)}</span>}
                <span class="quiet cut opt">{run.sessionId}</span>
              </li>
            ))}
          </ul>
        ) : (
          <Empty>No runs in progress.</Empty>
        )
      }
    </Loaded>
  );
}

const foldRunning = foldRuns(RUNNING);

/** Reload once too few runs of the page are still running. */
const foldNewestRunning: Fold<RunPage> = (page, events, reload) => {
  const next = foldRunning(page, events, reload);
  if (next.items.length < RUNNING_MAX && page.nextCursor) reload();
  return next;
};

function LatestRejections(): JSX.Element {
  const live = useLiveQuery(
    "rejections",
    () => request(listPolicyConcurrencyRejections, { query: { order: "newest", limit: 6 } }),
    reloadWhen((event) => event.type === "policy.rejected"),
  );
  return (
    <Loaded live={live}>
      {({ items }) =>
        items.length ? (
          <ul class="list">
            {items.map((rejection) => (
              <li key={rejection.id}>
                <Time at={rejection.createdAt} />
                <a href={href("rejections", rejection.id)}>{words(rejection.reason)}</a>
                <span class="quiet cut">{rejection.sessionId}</span>
              </li>
            ))}
          </ul>
        ) : (
          <Empty>No rejected runs. The policy sets the limits.</Empty>
        )
      }
    </Loaded>
  );
}

function UpcomingSchedules(): JSX.Element {
  const live = useLiveQuery(
    "upcoming",
    () => request(listSchedules, { query: { limit: 500 } }),
    reloadWhen((event) => event.type.startsWith("schedule.")),
  );
  return (
    <Loaded live={live}>
      {({ items }) => {
        const due = items.filter((schedule) => schedule.nextRunAt && schedule.enabled).sort((a, b) => (a.nextRunAt ?? "").localeCompare(b.nextRunAt ?? ""));
        if (!due.length) return <Empty>No upcoming schedules.</Empty>;
        return (
          <ul class="list">
            {due.slice(0, 6).map((schedule) => (
              <li key={schedule.id}>
                <Time at={schedule.nextRunAt} upcoming />
                <a href={href("schedules", schedule.id)}>{schedule.id}</a>
                <span class="quiet">{schedule.paused ? "paused" : schedule.running ? "running now" : ""}</span>
              </li>
            ))}
          </ul>
        );
      }}
    </Loaded>
  );
}

const INBOX_MAX = 5;

/** The asks that have waited longest. */
function Inbox(): JSX.Element | null {
  const page = openAsks()?.data.value;
  const asks = page?.items ?? [];
  const hidden = asks.length > INBOX_MAX || page?.nextCursor;
  return (
    <section class={asks.length ? "panel inbox" : "inbox"} aria-label="Asks">
      {asks.length > 0 && (
        <header>
          <h2>Waiting for a decision ({openAskCount() || "none"})</h2> <AskKeys />
          <a href={href("asks")}>{hidden ? `View all ${openAskCount()}` : "View all"}</a>
        </header>
      )}
      <AskCards key={at.value} asks={asks} most={INBOX_MAX} />
    </section>
  );
}

const NEWEST_MAX = 3;

function NeedsAttention({ fleet }: { fleet: FleetSummary }): JSX.Element {
  const { queue, openAsks: waiting, paused } = fleet;
  const checked = at.value === undefined ? health.value : undefined; // health has no past
  const problems = checked?.problems ?? [];
  const stopped = Object.entries(checked?.projections ?? {}).filter(([, view]) => view.error);
  const wasHalted = at.value !== undefined && fleet.halted; // now a banner says it
  const parts = [wasHalted, waiting, paused, queue.deadLetters, problems.length, stopped.length];
  if (!parts.some(Boolean)) return <Empty>Nothing needs attention.</Empty>;
  return (
    <ul class="list">
      {wasHalted && (
        <li>
          <span class="when" />
          <span class="bad">Halted: nothing started or continued</span>
        </li>
      )}
      {waiting > 0 && (
        <li>
          <span class="when" />
          <a href={href("asks")}>
            {count(waiting)} open {waiting === 1 ? "ask" : "asks"}
          </a>
        </li>
      )}
      {paused > 0 && <PausedRuns total={paused} />}
      {queue.deadLetters > 0 && <DeadLetters total={queue.deadLetters} />}
      {problems.map((problem) => (
        <li key={problem.loop}>
          <Time at={problem.since} />
          <a href={href("system")}>{problem.loop} is failing</a>
        </li>
      ))}
      {stopped.map(([view]) => (
        <li key={view}>
          <span class="when">stopped</span>
          <a href={href("system")}>view {view}</a>
        </li>
      ))}
    </ul>
  );
}

/** The newest paused runs. */
function PausedRuns({ total }: { total: number }): JSX.Element {
  const live = useLiveQuery(
    "paused",
    () => request(listRuns, { query: { status: "paused", limit: NEWEST_MAX } }),
    reloadWhen((event) => event.type === "run.paused" || event.statusBefore === "paused" || event.type === "run.resumed"),
  );
  const runs = live.data.value?.items ?? [];
  return (
    <>
      {runs.map((run) => (
        <li key={run.runId}>
          <Time at={run.paused?.since ?? run.createdAt} />
          <RunLink id={run.runId} />
          <span class="cut">paused: {words(run.paused?.reason ?? "")}</span>
          <span class="quiet cut opt">{run.sessionId}</span>
        </li>
      ))}
      {total > runs.length && (
        <li>
          <span class="when" />
          <a href={href("runs", undefined, { status: "paused" })}>
            {count(total)} paused {total === 1 ? "run" : "runs"}
          </a>
        </li>
      )}
    </>
  );
}

/** The number of pending dead letters and the age of the oldest. */
function DeadLetters({ total }: { total: number }): JSX.Element {
  const live = useLiveQuery(
    "oldest letter",
    () => request(listA2aDlq, { query: { status: "pending", limit: 1 } }),
    reloadWhen((event) => event.type.startsWith("a2a.dlq.")),
  );
  const oldest = live.data.value?.items[0];
  return (
    <li>
      {oldest ? <Time at={oldest.createdAt} /> : <span class="when" />}
      <a href={href("letters", undefined, { status: "pending" })}>
        {count(total)} {total === 1 ? "dead letter" : "dead letters"}
      </a>
      {total > 1 && <span class="quiet">the oldest</span>}
    </li>
  );
}
