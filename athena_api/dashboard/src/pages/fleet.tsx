// What the fleet is doing, what was refused and why, what comes next.

import type { ComponentChildren, JSX } from "preact";
import { ask, type Answer } from "../api";
import { Spark, Traffic } from "../components/chart";
import { health, position, positionOf, type Happened } from "../state/event_stream";
import { foldFleet, mood, sentence } from "../state/fleet";
import { clock, count, distance, dollars, duration, words } from "../format";
import {
  getFleetSummary,
  getPolicy,
  listEvents,
  listPolicyConcurrencyRejections,
  listRuns,
  listSchedules,
  type EventsPage,
  type FleetSummary,
  type RunPage,
} from "../generated";
import { useLive, whenever, type Fold } from "../state/live_query";
import { href } from "../route";
import { drawing, drawn, ticker } from "../state/traffic";
import { text } from "../state/runs";
import { Bar, Empty, now, Panel, RunLink, Shown, Time } from "../components/ui";
import { foldRuns, StartRun } from "./runs";

export function Fleet(): JSX.Element {
  const fleet = useLive("fleet", () => ask(getFleetSummary), foldFleet);
  const minute = Math.floor(now.value / 30_000); // the window of 24 hours moves, and times of runs are only in snapshots
  useMinutely(minute, fleet.again);
  const policy = useLive("policy", () => ask(getPolicy), whenever((event) => event.type === "policy.updated"));
  return (
    <>
      <h1>
        Fleet <StartRun />
      </h1>
      <Shown live={fleet}>
        {(summary) => <Tiles fleet={summary} most={policy.data.value?.maxConcurrentRuns ?? undefined} />}
      </Shown>
      <div class="columns">
        <Panel title="Runs, the last ten minutes" wide>
          <Traffic />
        </Panel>
        <div class="stack">
          <Panel title="At work" aside={<a href={href("runs", undefined, { status: "running" })}>all</a>}>
            <Working />
          </Panel>
          <Panel title="Waits for somebody">
            <Shown live={fleet}>{(summary) => <Waiting fleet={summary} />}</Shown>
          </Panel>
          <Panel title="Refused" aside={<a href={href("rejections")}>all</a>}>
            <Refusals />
          </Panel>
          <Panel title="Next" aside={<a href={href("schedules")}>all</a>}>
            <Next />
          </Panel>
        </div>
        <Panel title="Now">
          <Ticker />
        </Panel>
      </div>
    </>
  );
}

let readAt = 0;
function useMinutely(minute: number, again: () => void): void {
  if (minute !== readAt) {
    if (readAt) again();
    readAt = minute;
  }
}

function Tile(props: { label: string; value: ComponentChildren; told?: ComponentChildren; to: string; class?: string; spark?: readonly number[] }): JSX.Element {
  return (
    <a class={`tile ${props.class ?? ""}`} href={props.to}>
      <span class="label">{props.label}</span>
      <strong>{props.value}</strong>
      <span class="quiet">{props.told}</span>
      {props.spark && <Spark values={props.spark} />}
    </a>
  );
}

function Tiles({ fleet, most }: { fleet: FleetSummary; most: number | undefined }): JSX.Element {
  void drawn.value;
  const [, admitted, well, ended, refused] = drawing();
  const { recent, queue, costSummary } = fleet;
  const { today } = costSummary;
  const others = recent.outcomes.failed + recent.outcomes.timedOut + recent.outcomes.crashed;
  const times = recent.runTimes;
  const asked = recent.admitted + recent.refused;
  return (
    <div class="tiles">
      <Tile
        label="Running"
        value={count(fleet.running)}
        told={most === undefined ? "no limit" : `of ${count(most)} at a time`}
        to={href("runs", undefined, { status: "running" })}
        spark={admitted ?? []}
      />
      <Tile
        label="Waiting"
        value={count(queue.waiting)}
        told={queue.oldestWaitingSince ? `oldest since ${distance(queue.oldestWaitingSince, now.value)}` : `${count(queue.items)} in queues`}
        to={href("runs", undefined, { status: "queued" })}
      />
      <Tile
        label="Completed, 24 h"
        value={count(recent.outcomes.completed)}
        told={times.p50Ms ? `p50 ${duration(times.p50Ms)}, p95 ${duration(times.p95Ms ?? 0)}` : "none yet"}
        to={href("runs", undefined, { status: "completed" })}
        spark={well ?? []}
      />
      <Tile
        label="Failed, 24 h"
        value={count(others)}
        told={`${count(recent.outcomes.cancelled)} cancelled`}
        to={href("runs", undefined, { status: "failed" })}
        class={others ? "bad" : ""}
        spark={ended ?? []}
      />
      <Tile
        label="Refused, 24 h"
        value={count(recent.refused)}
        told={asked ? `${((100 * recent.refused) / asked).toFixed(recent.refused ? 1 : 0)} % of requests` : "nothing was asked"}
        to={href("rejections")}
        class={recent.refused ? "warn" : ""}
        spark={refused ?? []}
      />
      <div class="tile">
        <span class="label">Spend today (UTC)</span>
        <strong>{dollars(today.spentUsd * 1e6)}</strong>
        {today.budgetUsd ? (
          <Bar
            label="of the day's budget"
            limit
            value={today.spentUsd + today.reservedUsd}
            max={today.budgetUsd}
            told={`of ${dollars(today.budgetUsd * 1e6)}${today.reservedUsd ? `, ${dollars(today.reservedUsd * 1e6)} set aside` : ""}`}
          />
        ) : (
          <span class="quiet">{dollars(costSummary.totalEstimatedSpendUsd * 1e6)} this month, no budget</span>
        )}
      </div>
    </div>
  );
}

function Ticker(): JSX.Element {
  const events = ticker.value;
  if (!events.length) return <Empty>Nothing has happened yet. Start a run, and it shows here at once.</Empty>;
  return (
    <ol class="ticker moods">
      {events.map((event) => (
        <li key={event.position} class={mood(event)}>
          <time dateTime={event.createdAt}>{clock(event.createdAt).slice(-8)}</time>
          <span>
            {event.runId && !event.type.startsWith("schedule") && <RunLink id={event.runId} />} {sentence(event)}
          </span>
          <span class="quiet cut opt">{event.sessionId}</span>
        </li>
      ))}
    </ol>
  );
}

const AT_WORK = 5;
const RUNNING = { status: "running", sessionId: "", provider: "" };

/** The newest runs that are at work. */
function Working(): JSX.Element {
  const live = useLive<RunPage>("at work", () => ask(listRuns, { query: { ...RUNNING, limit: 50 } }), foldWorking);
  return (
    <Shown live={live}>
      {({ items }) =>
        items.length ? (
          <ul class="list">
            {items.slice(0, AT_WORK).map((run) => (
              <li key={run.runId}>
                <span class="when">for {duration(Math.max(0, now.value - Date.parse(run.createdAt)))}</span>
                <RunLink id={run.runId} />
                <span class="cut">{run.sessionId}</span>
                <span class="quiet cut opt">{run.model}</span>
              </li>
            ))}
          </ul>
        ) : (
          <Empty>No run is at work.</Empty>
        )
      }
    </Shown>
  );
}

const foldRunning = foldRuns(RUNNING);

/** Where the newest have ended, older ones come into sight. */
const foldWorking: Fold<RunPage> = (page, events, again) => {
  const next = foldRunning(page, events, again);
  if (next.items.length < AT_WORK && page.nextCursor) again();
  return next;
};

function Refusals(): JSX.Element {
  const live = useLive(
    "refusals",
    () => ask(listPolicyConcurrencyRejections, { query: { order: "newest", limit: 6 } }),
    whenever((event) => event.type === "policy.rejected"),
  );
  return (
    <Shown live={live}>
      {({ items }) =>
        items.length ? (
          <ul class="list">
            {items.map((one) => (
              <li key={one.id}>
                <Time at={one.createdAt} />
                <a href={href("rejections", one.id)}>{words(one.reason)}</a>
                <span class="quiet cut">{one.sessionId}</span>
              </li>
            ))}
          </ul>
        ) : (
          <Empty>Nothing was refused. Limits are set by the policy.</Empty>
        )
      }
    </Shown>
  );
}

function Next(): JSX.Element {
  const live = useLive(
    "next",
    () => ask(listSchedules, { query: { limit: 500 } }),
    whenever((event) => event.type.startsWith("schedule.")),
  );
  return (
    <Shown live={live}>
      {({ items }) => {
        const due = items.filter((one) => one.nextRunAt && one.enabled).sort((a, b) => (a.nextRunAt ?? "").localeCompare(b.nextRunAt ?? ""));
        if (!due.length) return <Empty>No schedule has a time that is due.</Empty>;
        return (
          <ul class="list">
            {due.slice(0, 6).map((one) => (
              <li key={one.id}>
                <Time at={one.nextRunAt} />
                <a href={href("schedules", one.id)}>{one.id}</a>
                <span class="quiet">{one.paused ? "paused: it will not run" : one.running ? "running now" : ""}</span>
              </li>
            ))}
          </ul>
        );
      }}
    </Shown>
  );
}

function Waiting({ fleet }: { fleet: FleetSummary }): JSX.Element {
  const { queue, paused } = fleet;
  const stopped = Object.entries(health.value?.projections ?? {}).filter(([, one]) => one.error);
  const failing = health.value?.problems?.length ?? 0;
  const things: readonly (readonly [number, string, string])[] = [
    [queue.deadLetters, queue.deadLetters === 1 ? "dead letter" : "dead letters", href("letters", undefined, { status: "pending" })],
    [paused, paused === 1 ? "paused run" : "paused runs", href("runs", undefined, { status: "paused" })],
    [stopped.length, stopped.length === 1 ? "view that stands still" : "views that stand still", href("system")],
    [failing, failing === 1 ? "background problem" : "background problems", href("system")],
  ];
  const there = things.filter(([many]) => many);
  const asked = useLive("approvals", approvals, foldApprovals).data.value ?? [];
  if (!there.length && !asked.length) return <Empty>Nothing.</Empty>;
  return (
    <ul class="list">
      {asked.map((event) => (
        <li key={event.position}>
          <Time at={event.createdAt} />
          <span>
            approval of <a href={href("workflows", text(event, "workflowId"))}>step {text(event, "stepId")}</a>
          </span>
        </li>
      ))}
      {there.map(([many, what, to]) => (
        <li key={what}>
          <span class="when">now</span>
          <a href={to}>
            {count(many)} {what}
          </a>
        </li>
      ))}
    </ul>
  );
}

const APPROVALS = ["workflow.approval.requested", "workflow.approval.granted", "workflow.approval.rejected", "workflow.run.cancelled"];
const LOOKED_AT = 50_000; // events back

/** Approvals that were asked for lately and not decided. */
async function approvals(): Promise<Answer<readonly Happened[]>> {
  let cursor: string | undefined = String(Math.max(0, position.value - LOOKED_AT));
  let asked: readonly Happened[] = [];
  let head = 0;
  while (cursor !== undefined) {
    const page: Answer<EventsPage> = await ask(listEvents, { query: { types: APPROVALS.join(","), cursor, limit: 500 } });
    const events = page.data.events.map((event) => ({ ...event, position: positionOf(event.id) }));
    asked = foldApprovals(asked, events, () => undefined);
    head = page.data.head;
    cursor = page.data.nextCursor ?? undefined;
  }
  return { data: asked, position: head };
}

const foldApprovals: Fold<readonly Happened[]> = (asked, events) => {
  let open = asked;
  for (const event of events) {
    if (!APPROVALS.includes(event.type)) continue;
    open = open.filter((one) => !decides(event, one));
    if (event.type === "workflow.approval.requested") open = [...open, event];
  }
  return open;
};

function decides(event: Happened, asked: Happened): boolean {
  if (text(event, "workflowId") !== text(asked, "workflowId")) return false;
  return event.type === "workflow.run.cancelled" || text(event, "stepId") === text(asked, "stepId");
}
