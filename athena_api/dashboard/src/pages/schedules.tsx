// What runs by itself: when next, what became of each time that came due, and why.

import type { JSX } from "preact";
import { ask } from "../api";
import type { Happened } from "../state/event_stream";
import { duration } from "../format";
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
  type ScheduledTask,
  type UpdatedSchedule,
} from "../generated";
import { useLive, whenever } from "../state/live_query";
import { href, place } from "../route";
import { text } from "../state/runs";
import { Action, Empty, Facts, now, Panel, RunLink, said, SessionLink, Shown, Status, Table, Time, type Deed } from "../components/ui";

const SLOTS_MAX = 500; // one page

const about = (event: Happened, id?: string): boolean => event.type.startsWith("schedule.") && (id === undefined || text(event, "id") === id);

export function Schedules(): JSX.Element {
  const { id } = place.value;
  if (id !== undefined) return <OneSchedule key={id} id={id} />;
  const live = useLive("schedules", () => ask(listSchedules, { query: { limit: 500 } }), whenever((event) => about(event)));
  return (
    <>
      <h1>Schedules</h1>
      <Shown live={live}>
        {({ items }) =>
          items.length ? (
            <Table label="Schedules" heads={["Schedule", "State", "When", "Next", "~Last", "~What"]}>
              {items.map((one) => (
                <tr key={one.id}>
                  <td>
                    <a href={href("schedules", one.id)}>{one.id}</a>
                  </td>
                  <td>
                    <Status is={stateOf(one)} title={one.note ?? undefined} />
                  </td>
                  <td class="mono">{trigger(one)}</td>
                  <td>{one.nextRunAt ? <Time at={one.nextRunAt} /> : <span class="quiet">{one.paused ? "while paused, none" : "not again"}</span>}</td>
                  <td class="opt">
                    <Time at={one.lastRunAt} />
                  </td>
                  <td class="opt cut">{target(one)}</td>
                </tr>
              ))}
            </Table>
          ) : (
            <Empty>No schedule. One is made with: athena schedule add --id nightly --session-id reports --input hello --cron "0 2 * * *"</Empty>
          )
        }
      </Shown>
    </>
  );
}

function stateOf(one: ScheduledTask): string {
  if (!one.enabled) return "disabled";
  if (one.paused) return "paused";
  return one.running ? "running" : "enabled";
}

function trigger(one: ScheduledTask): string {
  if (one.cron) return `${one.cron}${one.timezone ? ` (${one.timezone})` : ""}`;
  if (one.everyMinutes) return `every ${duration(one.everyMinutes * 60_000)}`;
  return one.runAt ? `once, ${one.runAt}` : "";
}

function target(one: ScheduledTask): string {
  if (one.workflowId) return `workflow ${one.workflowId}`;
  if (one.runTemplateId) return `template ${one.runTemplateId}`;
  return one.directiveId ? `directive ${one.directiveId}` : (one.input ?? "(erased)");
}

function OneSchedule({ id }: { id: string }): JSX.Element {
  const schedule = useLive(`schedule ${id}`, () => ask(getSchedule, { path: { scheduleId: id } }), whenever((event) => about(event, id)));
  return (
    <>
      <p>
        <a href={href("schedules")}>All schedules</a>
      </p>
      <Shown live={schedule}>
        {(one) => (
          <>
            <h1>
              {id} <Status is={stateOf(one)} />
              <Action deed={running(id)} />
              <Action deed={one.paused ? going(id) : pausing(id)} />
              <Action deed={one.enabled ? switching(id, disableSchedule, "Disable", "No slot comes due while it is disabled.") : switching(id, enableSchedule, "Enable")} />
              <Action deed={removing(id)} />
            </h1>
            <div class="columns">
              <Panel title="The schedule">
                <Facts
                  of={[
                    ["When", <span class="mono">{trigger(one)}</span>],
                    ["Next", one.nextRunAt ? <Time at={one.nextRunAt} /> : one.paused ? "while paused, none" : "not again"],
                    ["What", target(one)],
                    ["Session", one.sessionId ? <SessionLink id={one.sessionId} /> : undefined],
                    ["While one runs", one.overlapPolicy],
                    ["Missed slots", one.catchUp],
                    ["Jitter", one.jitterSeconds ? `${one.jitterSeconds} s` : undefined],
                    ["Pauses on failure", one.pauseOnFailure ? "yes" : undefined],
                    ["Note", one.note],
                    ["Acts for", one.updatedBy],
                    ["Revision", String(one.revision)],
                  ]}
                />
              </Panel>
              <Panel title="The next ten times">
                <Preview id={id} zone={one.timezone ?? "UTC"} revision={one.revision} paused={one.paused || !one.enabled} />
              </Panel>
              <Panel title="What became of each slot" wide>
                <Slots id={id} />
              </Panel>
            </div>
          </>
        )}
      </Shown>
    </>
  );
}

function Preview(props: { id: string; zone: string; revision: number; paused: boolean }): JSX.Element {
  const { id, zone } = props;
  const live = useLive(
    `preview ${id} ${props.revision} ${Math.floor(now.value / 60_000)}`,
    () => ask(previewSchedule, { path: { scheduleId: id }, query: { count: 10 } }),
    whenever((event) => about(event, id)),
  );
  return (
    <Shown live={live}>
      {({ items }) =>
        items.length ? (
          <>
            {props.paused && <p class="quiet">It does not run at these times unless that changes.</p>}
            <Table label="The next times" heads={["~", "UTC", zone === "UTC" ? "~here" : zone, ...(zone === "UTC" ? [] : ["~here"])]}>
              {items.map((time) => (
                <tr key={time.utc}>
                  <td class="opt">
                    <Time at={time.utc} />
                  </td>
                  <td class="mono">{time.utc.slice(0, 16).replace("T", " ")}</td>
                  {zone !== "UTC" && <td class="mono">{time.local.slice(0, 16).replace("T", " ")}</td>}
                  <td class="mono opt">{new Date(time.utc).toLocaleString("sv").slice(0, 16)}</td>
                </tr>
              ))}
            </Table>
          </>
        ) : (
          <Empty>It is not due again.</Empty>
        )
      }
    </Shown>
  );
}

function Slots({ id }: { id: string }): JSX.Element {
  const live = useLive(
    `logs ${id}`,
    () => ask(getScheduleLogs, { path: { scheduleId: id }, query: { limit: SLOTS_MAX } }),
    whenever((event) => about(event, id)),
  );
  return (
    <Shown live={live}>
      {(rows) =>
        rows.length ? (
          <>
            <Table label="Slots" heads={["Slot", "What became of it", "Why", "Run", "~#Took"]}>
              {rows.map((row) => (
                <tr key={row.id}>
                  <td>{row.nominalTime ? <Time at={row.nominalTime} /> : <span class="quiet">by hand</span>}</td>
                  <td>
                    <Status is={row.status} />
                  </td>
                  <td>{row.reason?.replaceAll("-", " ") ?? row.error ?? ""}</td>
                  <td>{row.runId ? row.runId.startsWith("run_") ? <RunLink id={row.runId} /> : <a href={href("workflows", row.runId)}>{row.runId.slice(-8)}</a> : ""}</td>
                  <td class="num opt">{row.finishedAt ? duration(Date.parse(row.finishedAt) - Date.parse(row.startedAt)) : ""}</td>
                </tr>
              ))}
            </Table>
            {rows.length === SLOTS_MAX && <p class="quiet">These are the newest {SLOTS_MAX}.</p>}
          </>
        ) : (
          <Empty>No slot came due yet.</Empty>
        )
      }
    </Shown>
  );
}

// What can be done with one

function running(id: string): Deed<unknown> {
  return {
    operation: runSchedule,
    label: "Run now",
    asked: () => ({ path: { scheduleId: id }, body: {}, detached: true }),
    done: () => "It runs; no slot has moved.",
  };
}

function pausing(id: string): Deed<UpdatedSchedule> {
  return {
    operation: pauseSchedule,
    label: "Pause",
    question: "Slots come due and are noted, but nothing runs until it is resumed. Runs in flight go on.",
    fields: [{ name: "note", label: "Why" }],
    asked: (values) => ({ path: { scheduleId: id }, body: said({ note: values["note"] }) }),
    done: () => `${id} is paused.`,
  };
}

function going(id: string): Deed<UpdatedSchedule> {
  return {
    operation: resumeSchedule,
    label: "Resume",
    asked: () => ({ path: { scheduleId: id }, body: {} }),
    done: () => `${id} runs again, from now on.`,
  };
}

function switching(id: string, operation: typeof enableSchedule, label: string, question?: string): Deed<UpdatedSchedule> {
  return {
    operation,
    label,
    ...(question ? { question, danger: true } : {}),
    asked: () => ({ path: { scheduleId: id } }),
    done: () => `${id}: ${label.toLowerCase()}d.`,
  };
}

function removing(id: string): Deed<unknown> {
  return {
    operation: deleteSchedule,
    label: "Remove",
    danger: true,
    question: "The schedule is removed. Its runs in flight go on, and its log stays.",
    asked: () => ({ path: { scheduleId: id } }),
    done: () => `${id} was removed.`,
    then: () => {
      location.hash = href("schedules");
    },
  };
}
