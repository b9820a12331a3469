// The tabs of a run beside its steps: events, evidence, limits, and why it ended as it did.

import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import type { Evidence, EvidenceRecord, Explanation, HarnessSpec, ProvenEvent, Run, TranscriptEntry } from "@projectathena/client";
import { getRunEvidence, getRunProof, listRunEvidence, listWorkers } from "@projectathena/client/operations";
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect } from "preact/hooks";
import { Bar, Command, Empty, Facts, Json, Loaded, MorePages, RunLink, Status, Table, Time } from "../components/ui";
import { Windowed } from "../components/windowed";
import { clock, count, dollars, duration, profileText } from "../format";
import { href } from "../route";
import { caller, isAllowed } from "../state/caller";
import { now } from "../state/clock";
import { eventSummary, SESSIONS } from "../state/event_text";
import { positionOf, type SeenEvent, text } from "../state/events";
import { request } from "../state/instant";
import { useRead } from "../state/live_query";
import { ENDINGS, OPEN } from "../state/run_status";
import type { RunTimeline } from "../state/run_timeline";
import { AttachedServerLine } from "./mcp_servers";
import { WorkspaceLink } from "./workspaces";

const CAUSES_FIRST = 10;
const CAUSES_LAST = 40;

export function Causes(props: { of: Explanation; entries: readonly TranscriptEntry[]; until: number | undefined; author: string }): JSX.Element {
  const { omitted = 0 } = props.of;
  const causes = props.of.causes.filter((cause) => props.until === undefined || positionOf(cause.eventId) <= props.until);
  const middle = Math.max(0, causes.length - CAUSES_FIRST - CAUSES_LAST);
  causes.splice(CAUSES_FIRST, middle);
  const addresses = useWorkerAddresses();
  const entries = new Map(props.entries.map((entry) => [entry.id, entry]));
  return (
    <>
      <ol class="causes">
        {causes.map((cause) => (
          <li key={cause.eventId}>
            <time dateTime={cause.at}>{clock(cause.at)}</time>
            <span>
              {quote(entries.get(cause.eventId), props.author) ?? withAddress(cause.says, addresses)}
              {cause.waitedMs ? <span class="quiet"> after {duration(cause.waitedMs)}</span> : null}
              {cause.after && (
                <span class="quiet">
                  {" "}
                  when <RunLink id={cause.after} /> ended
                </span>
              )}
            </span>
          </li>
        ))}
      </ol>
      {omitted + middle > 0 && <p class="quiet">{omitted + middle} entries in the middle are not shown.</p>}
    </>
  );
}

/** Return `host:pid` of the registered workers, by their executor id. */
function useWorkerAddresses(): ReadonlyMap<string, string> {
  const addresses = useSignal<ReadonlyMap<string, string>>(new Map());
  useLayoutEffect(() => {
    if (!isAllowed(listWorkers) || caller.value?.scope) return; // a scope hides workers, and each denial is recorded
    void request(listWorkers)
      .then(({ data }) => (addresses.value = new Map(data.items.map((worker) => [worker.id, `${worker.host}:${worker.pid}`]))))
      .catch(() => undefined); // then ids are shown
  }, []);
  return addresses.value;
}

/** Replace the executor ids of registered workers. */
function withAddress(text: string, addresses: ReadonlyMap<string, string>): string {
  return text.replace(/(exe_\w+)( \(process \d+\))?/g, (found, id: string) => (addresses.has(id) ? `worker ${addresses.get(id)}` : found));
}

const QUOTE_CHARS = 80;

/** Return the beginning of a message of the user or the writer; undefined for other entries. */
function quote(entry: TranscriptEntry | undefined, writer: string): string | undefined {
  const author = entry?.kind === "message" ? { user: "User", assistant: writer }[entry.role as string] : undefined;
  const text = entry?.content?.replace(/\s+/g, " ").trim();
  if (!author || !text) return undefined;
  return `${author}: "${text.slice(0, QUOTE_CHARS)}${text.length > QUOTE_CHARS ? "…" : ""}"`;
}

function tokensText(record: Run, { inputTokens, outputTokens }: RunTimeline): string {
  if (!inputTokens && !outputTokens) return OPEN.has(record.status) ? "none yet" : "none";
  return `${record.usage?.estimated ? "about " : ""}${count(inputTokens)} in, ${count(outputTokens)} out${record.usage?.estimated ? " (estimated)" : ""}`;
}

export function Budgets(props: { record: Run; timeline: RunTimeline; past: SeenEvent | undefined; ownWorkspace: string | undefined }): JSX.Element {
  const { record, timeline, past } = props;
  const at = past ? new Date(past.createdAt).getTime() : now.value;
  const elapsed = timeline.elapsedMs + (timeline.runningSince === undefined ? 0 : Math.max(0, at - timeline.runningSince));
  return (
    <>
      <Bar
        limit
        label="Time"
        value={elapsed}
        max={timeline.timeoutMs}
        text={timeline.timeoutMs ? `${duration(elapsed)} of ${duration(timeline.timeoutMs)}` : duration(elapsed)}
      />
      <Bar
        limit
        label="Cost"
        value={timeline.costMicroUsd}
        max={timeline.budgetMicroUsd}
        text={
          timeline.budgetMicroUsd ? `${dollars(timeline.costMicroUsd)} of ${dollars(timeline.budgetMicroUsd)}` : `${dollars(timeline.costMicroUsd)}, no limit`
        }
      />
      <Facts
        of={[
          ["Model", `${record.provider} ${record.model}`],
          ["Turns", count(timeline.turns)],
          ["Tool calls", count(timeline.toolCalls)],
          ["Tokens", tokensText(record, timeline)],
          ["Outside agent", record.agent && agentOf(record.agent, timeline)],
          ["Agent's session", sessionOf(timeline)],
          [
            "MCP servers",
            timeline.servers.size ? [...timeline.servers].map(([name, server]) => <AttachedServerLine key={name} name={name} of={server} />) : undefined,
          ],
          ["Sandbox", timeline.sandbox],
          ["Workspace", workspaceOf(timeline, props.ownWorkspace)],
          ["Agent (profile)", profileText(record.harnessProfileId, record.provider, record.model)],
          ["Template", record.template ? `${record.template.id} version ${record.template.version}` : undefined],
          ["Started", <Time at={record.createdAt} />],
          ["Ended", !past && record.finishedAt ? <Time at={record.finishedAt} /> : undefined],
        ]}
      />
    </>
  );
}

/** Return the outside agent of a run, with its version and mode once it works. */
function agentOf(name: string, { agent }: RunTimeline): string {
  return agent ? [`${name} (${agent.version})`, agent.mode && `mode ${agent.mode}`].filter(Boolean).join(", ") : name;
}

/** Return how the agent got its session, also after its process was started again. */
function sessionOf({ agent }: RunTimeline): string | undefined {
  if (!agent) return undefined;
  const again = agent.again && `started again ${agent.again === 1 ? "once" : `${count(agent.again)} times`}, then ${SESSIONS[agent.last] ?? agent.last}`;
  return [SESSIONS[agent.first] ?? agent.first, again].filter(Boolean).join("; ");
}

/** Return the workspace of a run; one of its own has no id before the run starts. */
function workspaceOf({ workspaceId }: RunTimeline, wanted: string | undefined): ComponentChildren {
  if (workspaceId) return <WorkspaceLink id={workspaceId} />;
  return !wanted || wanted === "shared" ? "shared" : "own";
}

/** The result of the verification. A run without rules was not verified. */
export function Verification({ record, events }: { record: Run; events: readonly SeenEvent[] }): JSX.Element | null {
  const { verificationStatus: is } = record;
  if (!is) return null;
  const profile = profileOf(events);
  if (is === "passed" && profile && !profile.verificationPolicies?.length) return <span class="quiet">no rules</span>;
  return <Status is={is} />;
}

/** Return the profile of a run once it has been accepted. */
export function profileOf(events: readonly SeenEvent[]): Partial<HarnessSpec> | undefined {
  const created = events.find(({ type }) => type === "run.created");
  return created?.payload.harnessProfileSnapshot as Partial<HarnessSpec> | undefined;
}

// Evidence

export function EvidenceList({ run, seen, until }: { run: Run; seen: number; until: number | undefined }): JSX.Element {
  const parts = { path: { runId: run.runId }, query: { limit: 100 } };
  const live = useRead(listRunEvidence, parts, (event) => event.runId === run.runId && (event.type === "evidence.attached" || event.type in ENDINGS));
  const open = useSignal<string | undefined>(undefined);
  return (
    <Loaded live={live}>
      {({ items, nextCursor }) => {
        const rows = (records: readonly EvidenceRecord[]): JSX.Element => {
          const shown = records.filter((record) => until === undefined || record.position <= until);
          if (!shown.length) return <Empty>{seen ? "" : "No evidence"}</Empty>;
          return (
            <Table label="Evidence" heads={["Label", "Type", "#Size", "~Recorded", "#"]}>
              {shown.map((record) => (
                <EvidenceRow key={record.id} record={record} open={open} />
              ))}
            </Table>
          );
        };
        return (
          <>
            {until === undefined &&
              run.verificationFailures?.map((failure) => (
                <p class="trouble" key={failure.policyId}>
                  <strong>{failure.policyId}</strong> {failure.message}
                </p>
              ))}
            {rows(items)}
            <MorePages next={nextCursor} what="evidence" read={(cursor) => request(listRunEvidence, { ...parts, query: { ...parts.query, cursor } })}>
              {rows}
            </MorePages>
          </>
        );
      }}
    </Loaded>
  );
}

function EvidenceRow({ record, open }: { record: EvidenceRecord; open: Signal<string | undefined> }): JSX.Element {
  const content = useSignal<Evidence | undefined>(undefined);
  const shown = open.value === record.id;
  const toggle = (): void => {
    open.value = shown ? undefined : record.id;
    if (!shown && !content.value) {
      void request(getRunEvidence, { path: { runId: record.runId, evidenceId: record.id } }).then(({ data }) => (content.value = data));
    }
  };
  return (
    <>
      <tr>
        <td>
          {record.label}
          {record.stale && <small class="warn"> stale</small>}
        </td>
        <td>{record.type}</td>
        <td class="num">{count(record.sizeBytes)} B</td>
        <td class="opt">
          <Time at={record.createdAt} />
        </td>
        <td class="num">
          <button type="button" class="small" aria-expanded={shown} onClick={toggle}>
            {shown ? "Hide" : "Show"}
          </button>
        </td>
      </tr>
      {shown && (
        <tr class="inner">
          <td colSpan={5}>
            {content.value ? <EvidenceContent of={content.value} /> : "Loading …"}
            <p class="quiet">
              Source: {record.source}, SHA-256 <span class="mono">{record.sha256}</span>
            </p>
          </td>
        </tr>
      )}
    </>
  );
}

function EvidenceContent({ of }: { of: Evidence }): JSX.Element {
  const { content } = of;
  if (!content) return <p class="quiet">Redacted</p>;
  if (content.kind === "text") return <Json value={content.text} />;
  if (content.kind === "json") return <Json value={content.value} />;
  return <Json value={content.base64} />;
}

/** Where the run is in the log, what proves it, and the commands that check it. */
export function Proof({ runId }: { runId: string }): JSX.Element {
  const live = useRead(getRunProof, { path: { runId } }, (event) => event.runId === runId);
  const event = ({ position, chain }: ProvenEvent): JSX.Element => (
    <>
      {count(position)} <small class="mono path">{chain}</small>
    </>
  );
  return (
    <Loaded live={live}>
      {(proof) => (
        <>
          <p class={proof.covered ? "good" : "warn"}>
            {proof.covered ? "A sent anchor covers all events of this run." : "No sent anchor covers the last event of this run yet."}
          </p>
          <Facts
            of={[
              ["Events", count(proof.events)],
              ["Log", <span class="mono path">{proof.logId}</span>],
              ["First event, chain", event(proof.first)],
              ["Last event, chain", event(proof.last)],
              ["Newest anchor", proof.anchor && event(proof.anchor)],
              ["Head of the log", event(proof.head)],
              ["Links to check", count(proof.links)],
            ]}
          />
          {proof.commands.map((line) => (
            <Command key={line} line={line} />
          ))}
        </>
      )}
    </Loaded>
  );
}

/** All events, of which only the visible ones are in the page. */
export function EventList({ events }: { events: readonly SeenEvent[] }): JSX.Element {
  const row = (index: number): JSX.Element => {
    const event = events[index] as SeenEvent;
    const summary = eventSummary(event);
    return (
      <li key={event.position}>
        <time dateTime={event.createdAt}>{clock(event.createdAt)}</time>
        <span class="cut">
          <a href={href("events", undefined, { runId: event.runId ?? "", event: String(event.position) })}>{event.type}</a>{" "}
          <span class="quiet">{summary === event.type ? text(event, "toolName") : summary}</span>
        </span>
      </li>
    );
  };
  return (
    <>
      <Windowed class="ticker" aria-label="Events" tabIndex={0} count={events.length} row={row} />
      <p class="quiet">
        {caller.value?.scope ? "Limited to your scope. " : ""}
        <a href={href("events", undefined, { runId: events[0]?.runId ?? "" })}>View payloads</a>
      </p>
    </>
  );
}
