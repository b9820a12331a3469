// Schedules: their triggers, upcoming times and recent executions.

import type { Fault, FireTime, ScheduledTask, ScheduleRunLog } from "@projectathena/client";
import { getScheduleLogs, previewSchedule } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import type { Cells } from "../components/rows";
import { Empty, Loaded, Panel, RunLink, Status, Table, Time } from "../components/ui";
import { duration } from "../format";
import { href } from "../route";
import { isAllowed } from "../state/caller";
import { now } from "../state/clock";
import { type SeenEvent, text } from "../state/events";
import { request } from "../state/instant";
import { reloadWhen, useLiveQuery, useRead } from "../state/live_query";
import { faultsOf, type Members } from "../state/schema";

const SLOTS_MAX = 500; // one page

const isAbout = (event: SeenEvent, id: string): boolean => event.type.startsWith("schedule.") && text(event, "id") === id;

/** The cells of a list of schedules. */
export const SCHEDULE_CELLS: Cells = {
  status: ({ enabled, paused, running }) => <Status is={!enabled ? "disabled" : paused ? "paused" : running ? "running" : "enabled"} />,
  trigger: ({ cron, timezone, everyMinutes, runAt }) => (
    <span class="mono">
      {cron ? `${cron}${timezone ? ` (${timezone})` : ""}` : everyMinutes ? `every ${duration(Number(everyMinutes) * 60_000)}` : runAt ? `once, ${runAt}` : ""}
    </span>
  ),
  nextRunAt: ({ nextRunAt, paused }) => (nextRunAt ? <Time at={String(nextRunAt)} upcoming /> : <span class="quiet">{paused ? "paused" : "none"}</span>),
  target: ({ workflowId, runTemplateId, directiveId, input }) => (
    <span class="cut">{String(workflowId ?? runTemplateId ?? directiveId ?? input ?? "(redacted)")}</span>
  ),
};

/** When a schedule runs next, and when it ran. */
export function ScheduleTimes({ schedule: { id, timezone, revision, paused, enabled } }: { schedule: ScheduledTask }): JSX.Element {
  return (
    <>
      <Panel title="Next 10 runs" wide>
        <Preview id={id} zone={timezone ?? "UTC"} revision={revision} paused={paused || !enabled} />
      </Panel>
      <Panel title="Recent executions" wide>
        <Slots id={id} />
      </Panel>
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
            <Times items={items} zone={zone} />
          </>
        ) : (
          <Empty>No upcoming runs.</Empty>
        )
      }
    </Loaded>
  );
}

function Times({ items, zone }: { items: readonly FireTime[]; zone: string }): JSX.Element {
  return (
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
  );
}

const TIMES = ["everyMinutes", "cron", "timezone", "runAt", "startAt", "endAt"];
const TYPING_MS = 300;

/** When a schedule would run that is not saved yet. `mark` gets its faults. */
export function NextTimes({ of, mark }: { of: Members; mark: (faults: readonly Fault[]) => void }): JSX.Element | null {
  const [items, setItems] = useState<readonly FireTime[]>([]);
  const query = Object.fromEntries(TIMES.flatMap((name) => (of[name] ? [[name, of[name] as string]] : [])));
  const key = JSON.stringify(query);
  useLayoutEffect(() => {
    let current = true;
    const show = (times: readonly FireTime[], faults: readonly Fault[]): void => {
      if (!current) return;
      setItems(times);
      mark(faults);
    };
    const timer = setTimeout(() => {
      if (key === "{}" || !isAllowed(previewSchedule)) return show([], []);
      request(previewSchedule, { path: { scheduleId: "new" }, query: { ...query, count: 5 } }).then(
        ({ data }) => show(data.items, []),
        (error) => show([], faultsOf(error)),
      );
      return undefined;
    }, TYPING_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [key]);
  if (!items.length) return null;
  return (
    <Panel title={`Next ${items.length} runs`}>
      <Times items={items} zone={query.timezone ?? "UTC"} />
    </Panel>
  );
}

/** The run of an execution. One that the policy rejected has none. */
function SlotRun({ of: { reason, runId, sessionId } }: { of: ScheduleRunLog }): JSX.Element | null {
  if (reason === "policy-rejected") return <a href={href("rejections", undefined, { sessionId: sessionId ?? undefined })}>rejected runs</a>;
  if (!runId) return null;
  return runId.startsWith("run_") ? <RunLink id={runId} /> : <a href={href("workflows", runId)}>{runId.slice(-8)}</a>;
}

function Slots({ id }: { id: string }): JSX.Element {
  const live = useRead(getScheduleLogs, { path: { scheduleId: id }, query: { limit: SLOTS_MAX } }, (event) => isAbout(event, id));
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
                    <SlotRun of={row} />
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
