// Schedules: upcoming times and recent executions.

import type { ScheduledTask, SchedulePause, UpdatedSchedule } from "@projectathena/client";
import {
  deleteSchedule,
  disableSchedule,
  enableSchedule,
  getSchedule,
  getScheduleLogs,
  listSchedules,
  pauseSchedule,
  previewSchedule,
  resumeSchedule,
  runSchedule,
} from "@projectathena/client/operations";
import type { JSX } from "preact";
import { Action, type ActionSpec, withoutEmpty } from "../components/actions";
import { Empty, Facts, Loaded, Panel, RunLink, SessionLink, Status, Table, Time } from "../components/ui";
import { duration } from "../format";
import { href, route } from "../route";
import { now } from "../state/clock";
import { type SeenEvent, text } from "../state/events";
import { request } from "../state/instant";
import { reloadWhen, useLiveQuery } from "../state/live_query";

const SLOTS_MAX = 500; // one page

const isAbout = (event: SeenEvent, id?: string): boolean => event.type.startsWith("schedule.") && (id === undefined || text(event, "id") === id);

export function Schedules(): JSX.Element {
  const { id } = route.value;
  if (id !== undefined) return <ScheduleDetail key={id} id={id} />;
  const live = useLiveQuery(
    "schedules",
    () => request(listSchedules, { query: { limit: 500 } }),
    reloadWhen((event) => isAbout(event)),
  );
  return (
    <>
      <h1>Schedules</h1>
      <Loaded live={live}>
        {({ items }) =>
          items.length ? (
            <Table label="Schedules" heads={["Schedule", "Status", "Trigger", "Next run", "~Last run", "~Target"]}>
              {items.map((schedule) => (
                <tr key={schedule.id}>
                  <td>
                    <a href={href("schedules", schedule.id)}>{schedule.id}</a>
                  </td>
                  <td>
                    <Status is={stateOf(schedule)} title={schedule.note ?? undefined} />
                  </td>
                  <td class="mono">{trigger(schedule)}</td>
                  <td>{schedule.nextRunAt ? <Time at={schedule.nextRunAt} upcoming /> : <span class="quiet">{schedule.paused ? "paused" : "none"}</span>}</td>
                  <td class="opt">
                    <Time at={schedule.lastRunAt} />
                  </td>
                  <td class="opt cut">{target(schedule)}</td>
                </tr>
              ))}
            </Table>
          ) : (
            <Empty>No schedules yet. Create one with: athena schedules create --id nightly --session reports --input hello --cron "0 2 * * *"</Empty>
          )
        }
      </Loaded>
    </>
  );
}

function stateOf(schedule: ScheduledTask): string {
  if (!schedule.enabled) return "disabled";
  if (schedule.paused) return "paused";
  return schedule.running ? "running" : "enabled";
}

function trigger(schedule: ScheduledTask): string {
  if (schedule.cron) return `${schedule.cron}${schedule.timezone ? ` (${schedule.timezone})` : ""}`;
  if (schedule.everyMinutes) return `every ${duration(schedule.everyMinutes * 60_000)}`;
  return schedule.runAt ? `once, ${schedule.runAt}` : "";
}

function target(schedule: ScheduledTask): string {
  if (schedule.workflowId) return `workflow ${schedule.workflowId}`;
  if (schedule.runTemplateId) return `template ${schedule.runTemplateId}`;
  return schedule.directiveId ? `directive ${schedule.directiveId}` : (schedule.input ?? "(redacted)");
}

function ScheduleDetail({ id }: { id: string }): JSX.Element {
  const live = useLiveQuery(
    `schedule ${id}`,
    () => request(getSchedule, { path: { scheduleId: id } }),
    reloadWhen((event) => isAbout(event, id)),
  );
  return (
    <>
      <p>
        <a href={href("schedules")}>All schedules</a>
      </p>
      <Loaded live={live}>
        {(schedule) => (
          <>
            <h1>
              {id} <Status is={stateOf(schedule)} />
              <Action action={runAction(id)} />
              <Action action={schedule.paused ? resumeAction(id) : pauseAction(id)} />
              <Action
                action={
                  schedule.enabled
                    ? switchAction(id, disableSchedule, "Disable", "A disabled schedule starts no runs and skips its scheduled times.")
                    : switchAction(id, enableSchedule, "Enable")
                }
              />
              <Action action={removeAction(id)} />
            </h1>
            <div class="columns">
              <Panel title="Schedule">
                <Facts
                  of={[
                    ["Trigger", <span class="mono">{trigger(schedule)}</span>],
                    ["Next run", schedule.nextRunAt ? <Time at={schedule.nextRunAt} upcoming /> : schedule.paused ? "paused" : "none"],
                    ["Target", target(schedule)],
                    ["Session", schedule.sessionId ? <SessionLink id={schedule.sessionId} /> : undefined],
                    ["Overlap policy", schedule.overlapPolicy],
                    ["Catch-up", schedule.catchUp === "latest" ? "latest only" : schedule.catchUp],
                    ["Jitter", schedule.jitterSeconds ? `${schedule.jitterSeconds} s` : undefined],
                    ["Pause on failure", schedule.pauseOnFailure ? "yes" : undefined],
                    ["Paused", schedule.pausedBecause && <PauseCause pause={schedule.pausedBecause} />],
                    ["Note", schedule.note],
                    ["Runs as", schedule.updatedBy],
                    ["Revision", String(schedule.revision)],
                  ]}
                />
              </Panel>
              <Panel title="Next 10 runs">
                <Preview id={id} zone={schedule.timezone ?? "UTC"} revision={schedule.revision} paused={schedule.paused || !schedule.enabled} />
              </Panel>
              <Panel title="Recent executions" wide>
                <Slots id={id} />
              </Panel>
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

function PauseCause({ pause }: { pause: SchedulePause }): JSX.Element {
  return (
    <>
      {pause.cause === "failure" ? "after a failed run" : "on request"} <Time at={pause.since} /> {pause.runId && <RunLink id={pause.runId} />}
    </>
  );
}

function Preview(props: { id: string; zone: string; revision: number; paused: boolean }): JSX.Element {
  const { id, zone } = props;
  const live = useLiveQuery(
    `preview ${id} ${props.revision} ${Math.floor(now.value / 60_000)}`,
    () => request(previewSchedule, { path: { scheduleId: id }, query: { count: 10 } }),
    reloadWhen((event) => isAbout(event, id)),
  );
  return (
    <Loaded live={live}>
      {({ items }) =>
        items.length ? (
          <>
            {props.paused && <p class="quiet">Resume or enable the schedule to run at these times.</p>}
            <Table label="Next runs" heads={["~", "UTC", zone === "UTC" ? "~Local time" : zone, ...(zone === "UTC" ? [] : ["~Local time"])]}>
              {items.map((time) => (
                <tr key={time.utc}>
                  <td class="opt">
                    <Time at={time.utc} upcoming />
                  </td>
                  <td class="mono">{time.utc.slice(0, 16).replace("T", " ")}</td>
                  {zone !== "UTC" && <td class="mono">{time.local.slice(0, 16).replace("T", " ")}</td>}
                  <td class="mono opt">{new Date(time.utc).toLocaleString("sv").slice(0, 16)}</td>
                </tr>
              ))}
            </Table>
          </>
        ) : (
          <Empty>No upcoming runs.</Empty>
        )
      }
    </Loaded>
  );
}

function Slots({ id }: { id: string }): JSX.Element {
  const live = useLiveQuery(
    `logs ${id}`,
    () => request(getScheduleLogs, { path: { scheduleId: id }, query: { limit: SLOTS_MAX } }),
    reloadWhen((event) => isAbout(event, id)),
  );
  return (
    <Loaded live={live}>
      {(rows) =>
        rows.length ? (
          <>
            <Table label="Executions" heads={["Scheduled time", "Status", "Reason", "Run", "~#Duration"]}>
              {rows.map((row) => (
                <tr key={row.id}>
                  <td>
                    <Time at={row.nominalTime ?? row.startedAt} /> {!row.nominalTime && <span class="quiet">manual</span>}
                  </td>
                  <td>
                    <Status is={row.status} />
                  </td>
                  <td>{row.reason?.replaceAll("-", " ") ?? row.error ?? ""}</td>
                  <td>
                    {row.runId ? (
                      row.runId.startsWith("run_") ? (
                        <RunLink id={row.runId} />
                      ) : (
                        <a href={href("workflows", row.runId)}>{row.runId.slice(-8)}</a>
                      )
                    ) : (
                      ""
                    )}
                  </td>
                  <td class="num opt">{row.finishedAt ? duration(Date.parse(row.finishedAt) - Date.parse(row.startedAt)) : ""}</td>
                </tr>
              ))}
            </Table>
            {rows.length === SLOTS_MAX && <p class="quiet">Showing the newest {SLOTS_MAX}.</p>}
          </>
        ) : (
          <Empty>No executions yet.</Empty>
        )
      }
    </Loaded>
  );
}

// Actions

function runAction(id: string): ActionSpec<unknown> {
  return {
    operation: runSchedule,
    label: "Run now",
    request: () => ({ path: { scheduleId: id }, body: {}, respondAsync: true }),
    done: () => "Started. The schedule is unchanged.",
  };
}

function pauseAction(id: string): ActionSpec<UpdatedSchedule> {
  return {
    operation: pauseSchedule,
    label: "Pause",
    question: "Scheduled times are recorded as skipped until you resume. Current runs continue.",
    fields: [{ name: "note", label: "Reason" }],
    request: (values) => ({ path: { scheduleId: id }, body: withoutEmpty({ note: values.note }) }),
    done: () => `Paused ${id}.`,
  };
}

function resumeAction(id: string): ActionSpec<UpdatedSchedule> {
  return {
    operation: resumeSchedule,
    label: "Resume",
    request: () => ({ path: { scheduleId: id }, body: {} }),
    done: () => `Resumed ${id}.`,
  };
}

function switchAction(id: string, operation: typeof enableSchedule, label: string, question?: string): ActionSpec<UpdatedSchedule> {
  return {
    operation,
    label,
    ...(question ? { question, danger: true } : {}),
    request: () => ({ path: { scheduleId: id } }),
    done: () => `${label}d ${id}.`,
  };
}

function removeAction(id: string): ActionSpec<unknown> {
  return {
    operation: deleteSchedule,
    label: "Remove",
    danger: true,
    question: "Removes the schedule. Current runs continue, and its history is kept.",
    request: () => ({ path: { scheduleId: id } }),
    done: () => `Removed ${id}.`,
    after: () => {
      location.hash = href("schedules");
    },
  };
}
