// One run: input and answer first, then waterfall, timeline, limits and usage, evidence, transcript and events.

import { type Signal, useSignal } from "@preact/signals";
import type { AthenaError, Evidence, EvidenceRecord, Explanation, HarnessSpec, Run, TranscriptEntry } from "@projectathena/client";
import { explainRun, getRun, getRunEvidence, listAsks, listEvents, listRunEvidence, listRuns, listWorkers, resumeRun } from "@projectathena/client/operations";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { Action, type ActionSpec } from "../components/actions";
import { Activity } from "../components/activity";
import { AskCards, AskKeys } from "../components/ask";
import { cancelAction, retryAction } from "../components/run_actions";
import { Rows } from "../components/run_rows";
import { type LiveTranscript, Transcript, useTranscript } from "../components/transcript";
import { Bar, Copy, Empty, ErrorMessage, Facts, Json, Loaded, Panel, RunLink, SessionLink, Status, Table, Time } from "../components/ui";
import { Waterfall } from "../components/waterfall";
import { between, clock, count, dollars, duration, plain, profileText, short, words } from "../format";
import { at, href } from "../route";
import type { Snapshot } from "../server";
import { foldAsks } from "../state/asks";
import { caller, isAllowed } from "../state/caller";
import { now } from "../state/clock";
import { eventSummary, SESSIONS } from "../state/event_text";
import { eventsOf, positionOf, type SeenEvent, text } from "../state/events";
import { request } from "../state/instant";
import { reloadWhen, useLiveQuery } from "../state/live_query";
import { foldRuns } from "../state/run_list";
import { entryOf, outcomeOf, titleOf } from "../state/run_outcome";
import { ENDINGS, OPEN } from "../state/run_status";
import { type RunTimeline, runTimeline, type Span } from "../state/run_timeline";
import { AttachedServerLine } from "./mcp_servers";
import { Changes } from "./workspace_diff";
import { WorkspaceLink } from "./workspaces";

const EVENTS_MAX = 5_000;
const UNSUCCESSFUL = new Set(["failed", "timed-out", "crashed"]);

export function RunDetail({ id }: { id: string }): JSX.Element {
  const isOfRun = (event: SeenEvent): boolean => event.runId === id;
  const run = useLiveQuery(`run ${id}`, () => request(getRun, { path: { runId: id } }), reloadWhen(isOfRun));
  const events = useLiveQuery<readonly SeenEvent[]>(
    `events ${id}`,
    () => readEvents(id),
    (had, more) => {
      const newEvents = more.filter(isOfRun);
      return newEvents.length ? [...had, ...newEvents] : had;
    },
  );
  const step = useSignal<number | undefined>(undefined); // the number of events to show; undefined for all
  const all = events.data.value ?? [];
  const until = step.value === undefined || step.value >= all.length ? undefined : step.value;
  const folded = useMemo(() => (until === undefined ? all : all.slice(0, until)), [all, until]);
  const timeline = useMemo(() => runTimeline(folded), [folded]);
  const explanation = useLiveQuery(`explanation ${id}`, () => request(explainRun, { path: { runId: id } }), reloadWhen(isOfRun));
  const transcript = useTranscript(run.data.value, all[0]?.position ?? 0);
  const record = run.data.value;
  if (run.error.value && !record) return <NoRun error={run.error.value} />;
  if (!record || !all.length) return <p class="empty">Loading …</p>;
  const horizon = folded[folded.length - 1];
  const past = until === undefined ? undefined : horizon;
  const input = inputOf(record, transcript.entries.value);
  const opens = (span: Span): (() => void) | undefined => {
    const entry = entryOf(span, transcript.entries.value, positionOf);
    return entry && (() => (transcript.shown.value = entry.id));
  };
  return (
    <>
      <h1 class="run-title">
        <span>{input ? titleOf(input) : `Run ${short(id)}`}</span> <Status is={record.status} />
        {OPEN.has(record.status) && <Action action={cancelAction(record, input)} />}
        {record.status === "paused" && record.waiting === undefined && <Action action={resumeAction(id)} />}
        {!OPEN.has(record.status) && <Action action={retryAction(record, input)} />}
      </h1>
      <Essentials record={record} timeline={timeline} />
      <Banner record={record} />
      {OPEN.has(record.status) && <RunAsks id={id} />}
      {record.status !== "paused" && record.waiting?.reason !== "ask" && <WaitingFor explanation={explanation.data.value} />}
      <div class="columns">
        {record.status === "running" && !past && at.value === undefined && (record.agent || transcript.activity.value) && (
          <Activity of={transcript.activity.value} agent={record.agent ?? "MCP server"} />
        )}
        <Panel title="Input">{input ? <pre class="prose">{input}</pre> : <Empty>{record.redacted ? "Redacted" : "Recorded when the run starts"}</Empty>}</Panel>
        <Answer record={record} transcript={transcript} />
        <Children id={id} />
      </div>
      <Slider events={all} step={step} status={timeline.status} />
      <div class="columns">
        <Panel title="Waterfall" wide>
          <Waterfall timeline={timeline} events={folded} past={until !== undefined} opens={opens} />
        </Panel>
        <Panel title={until === undefined && UNSUCCESSFUL.has(record.status) ? "Why it failed" : "Timeline"}>
          <Loaded live={explanation}>
            {(found) => <Causes of={found} entries={transcript.entries.value} until={past?.position} author={authorOf(record)} />}
          </Loaded>
        </Panel>
        <div class="stack">
          <Panel title="Limits & usage">
            <Budgets record={record} timeline={timeline} past={past} ownWorkspace={profileOf(all)?.workspace ?? undefined} />
          </Panel>
          <Panel title="Evidence" aside={!past && <Verification record={record} events={all} />}>
            <EvidenceList run={record} seen={timeline.evidence} until={past?.position} />
          </Panel>
        </div>
        {timeline.workspaceId && <Changes runId={id} workspaceId={timeline.workspaceId} recorded={timeline.changed} />}
        <Panel title="Transcript" wide>
          <Transcript of={transcript} until={past?.position} author={authorOf(record)} />
        </Panel>
        <Panel title={`Events (${folded.length})`} wide>
          <EventList events={folded} />
        </Panel>
      </div>
    </>
  );
}

/** Return the input of a run; undefined before it has started, and once redacted. */
function inputOf(record: Run, entries: readonly TranscriptEntry[]): string | undefined {
  const entry = entries.find(({ role, kind }) => role === "user" && kind === "message");
  const text = entry?.content ?? record.inputPreview;
  return text === undefined || text === null ? undefined : plain(text);
}

/** What identifies the run, and what it took so far, on one line. */
function Essentials({ record, timeline }: { record: Run; timeline: RunTimeline }): JSX.Element {
  const { inputTokens, outputTokens, costMicroUsd } = timeline;
  const about = record.usage?.estimated ? "about " : "";
  return (
    <p class="essentials">
      <b>{plain(record.agentName ?? profileText(record.harnessProfileId, record.provider, record.model))}</b>
      {record.agent && <span>by {plain(record.agent)}</span>}
      <span>
        <span class="mono">{short(record.runId)}</span> <Copy text={record.runId} label="Copy id" />
      </span>
      <span>
        session <SessionLink id={record.sessionId} />
      </span>
      {record.parentRunId && (
        <span>
          child of <RunLink id={record.parentRunId} />
        </span>
      )}
      <Retries record={record} />
      <Time at={record.createdAt} />
      <span>{duration(between(record.createdAt, record.finishedAt ?? now.value))}</span>
      {inputTokens + outputTokens > 0 && (
        <span>
          {about}
          {count(inputTokens + outputTokens)} tokens
        </span>
      )}
      {costMicroUsd > 0 && (
        <span>
          {about}
          {dollars(costMicroUsd)}
        </span>
      )}
    </p>
  );
}

/** The run that this one repeats, and the ones that repeat it. */
function Retries({ record: { runId, retryOf, retries } }: { record: Run }): JSX.Element {
  return (
    <>
      {retryOf && (
        <span>
          run again after <RunLink id={retryOf} />
        </span>
      )}
      {retries ? (
        <span>
          run again <a href={href("runs", undefined, { retryOf: runId })}>{retries === 1 ? "once" : `${count(retries)} times`}</a>
        </span>
      ) : null}
    </>
  );
}

/** The open asks of the run, to be answered in place. */
function RunAsks({ id }: { id: string }): JSX.Element | null {
  const query = { runId: id, limit: 50 };
  const live = useLiveQuery(`asks of ${id}`, () => request(listAsks, { query }), foldAsks);
  const asks = live.data.value?.items ?? [];
  const open = asks.filter(({ status }) => status === "open").length;
  return (
    <section class={asks.length ? "panel inbox" : "inbox"} aria-label="Asks of this run">
      {asks.length > 0 && (
        <header>
          <h2>Waiting for a decision ({open})</h2> <AskKeys />
        </header>
      )}
      <AskCards asks={asks} />
    </section>
  );
}

/** Why a run is not fine. */
function Banner({ record }: { record: Run }): JSX.Element | null {
  const outcome = outcomeOf(record);
  if (!outcome) return null;
  return (
    <p class={`outcome ${outcome.tone}`}>
      <strong>{outcome.headline}</strong>
      {outcome.reason && `: ${outcome.reason}`} {outcome.code && <span class="mono">{outcome.code}</span>}
    </p>
  );
}

/** The answer: as the model writes it, whole, or cut off. */
function Answer({ record, transcript }: { record: Run; transcript: LiveTranscript }): JSX.Element {
  const open = OPEN.has(record.status);
  const said = transcript.entries.value.findLast(({ role, kind }) => role === "assistant" && kind === "message");
  const text = open ? (transcript.writing.value?.text ?? said?.content) : (record.output ?? (record.status === "completed" ? said?.content : undefined));
  return (
    <Panel title={record.partial ? "Partial answer" : open && text ? "Answer so far" : "Answer"} aside={record.partial && <span class="warn">cut off</span>}>
      {text ? <pre class="prose">{plain(text)}</pre> : <Empty>{record.redacted ? "Redacted" : open ? "None yet" : "No answer"}</Empty>}
    </Panel>
  );
}

/** The runs that this run has started; nothing without one. */
function Children({ id }: { id: string }): JSX.Element | null {
  const filters = { parentRunId: id };
  const live = useLiveQuery(`children ${id}`, () => request(listRuns, { query: { ...filters, limit: 50 } }), foldRuns(filters));
  const children = (live.data.value?.items ?? []).filter((run) => run.parentRunId === id);
  if (!children.length) return null;
  return (
    <Panel title={`Child runs (${children.length})`} wide aside={<a href={href("runs", undefined, filters)}>View all</a>}>
      <Rows runs={children} />
    </Panel>
  );
}

/** The result of the verification. A run without rules was not verified. */
function Verification({ record, events }: { record: Run; events: readonly SeenEvent[] }): JSX.Element | null {
  const { verificationStatus: is } = record;
  if (!is) return null;
  const profile = profileOf(events);
  if (is === "passed" && profile && !profile.verificationPolicies?.length) return <span class="quiet">no rules</span>;
  return <Status is={is} />;
}

/** Return the profile of a run once it has been accepted. */
function profileOf(events: readonly SeenEvent[]): Partial<HarnessSpec> | undefined {
  const created = events.find(({ type }) => type === "run.created");
  return created?.payload.harnessProfileSnapshot as Partial<HarnessSpec> | undefined;
}

function NoRun({ error }: { error: AthenaError }): JSX.Element {
  return (
    <>
      <h1>Run</h1>
      <ErrorMessage error={error} />
      <p>
        If the run was rejected, see <a href={href("rejections")}>rejected runs</a> for the reason.
      </p>
    </>
  );
}

async function readEvents(runId: string): Promise<Snapshot<readonly SeenEvent[]>> {
  const events: SeenEvent[] = [];
  let cursor: string | undefined;
  let position = 0;
  do {
    const page = await request(listEvents, { query: { runId, limit: 500, cursor } });
    position = page.data.head;
    events.push(...eventsOf(page.data));
    cursor = page.data.nextCursor ?? undefined;
  } while (cursor !== undefined && events.length < EVENTS_MAX);
  return { data: events, position };
}

function resumeAction(runId: string): ActionSpec<Run> {
  return {
    operation: resumeRun,
    label: "Resume run",
    question: "Continues the run with a new total budget.",
    fields: [{ name: "budgetUsd", label: "Total budget in USD", kind: "number", hint: "Includes what the run has spent. Leave empty for no limit" }],
    request: (values) => ({
      path: { runId },
      body: values.budgetUsd ? { budgetUsd: Number(values.budgetUsd) } : {},
      respondAsync: true,
    }),
    done: () => "Run resumed.",
    failure: () => (event) => {
      if (event.runId !== runId) return undefined;
      if (event.type === "run.paused") return "The run paused again.";
      return UNSUCCESSFUL.has(ENDINGS[event.type] ?? "") ? `The run ${words(ENDINGS[event.type] ?? "")} after it was resumed.` : undefined;
    },
  };
}

function Slider({ events, step, status }: { events: readonly SeenEvent[]; step: Signal<number | undefined>; status: string }): JSX.Element {
  const value = step.value ?? events.length;
  const event = events[Math.min(value, events.length) - 1];
  return (
    <div class="slider">
      <label>
        <span>Time</span>
        <input
          type="range"
          min={1}
          max={events.length}
          value={value}
          aria-valuetext={event ? `${event.type}, ${clock(event.createdAt)}` : ""}
          onInput={(input) => {
            const chosen = Number(input.currentTarget.value);
            step.value = chosen >= events.length ? undefined : chosen;
          }}
        />
      </label>
      <output>
        {event && (
          <>
            <Status is={status} /> {Math.min(value, events.length)} of {events.length} · <b>{event.type}</b> · {clock(event.createdAt)}
          </>
        )}
        {event && (
          <>
            {" "}
            <a href={href("fleet", undefined, {}, String(event.position))}>The fleet at this moment</a>
          </>
        )}
        {step.value !== undefined && (
          <>
            {" "}
            <strong class="past">Past state</strong>{" "}
            <button type="button" class="small" onClick={() => (step.value = undefined)}>
              Back to now
            </button>
          </>
        )}
      </output>
    </div>
  );
}

function WaitingFor({ explanation }: { explanation: Explanation | undefined }): JSX.Element | null {
  const waitsFor = explanation?.waitsFor;
  if (!waitsFor) return null;
  return (
    <p class="waits">
      Waiting for <b>{waitsFor.says}</b> <span class="quiet">since</span> <Time at={waitsFor.since} />
      {waitsFor.blockedBy && (
        <>
          , behind <RunLink id={waitsFor.blockedBy} />
        </>
      )}
    </p>
  );
}

function Causes(props: { of: Explanation; entries: readonly TranscriptEntry[]; until: number | undefined; author: string }): JSX.Element {
  const { causes, omitted } = props.of;
  const addresses = useWorkerAddresses();
  const entries = new Map(props.entries.map((entry) => [entry.id, entry]));
  return (
    <>
      <ol class="causes">
        {causes
          .filter((cause) => props.until === undefined || positionOf(cause.eventId) <= props.until)
          .map((cause) => (
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
      {omitted ? <p class="quiet">{omitted} entries in the middle are not shown.</p> : null}
    </>
  );
}

/** Return `host:pid` of the registered workers, by their executor id. */
function useWorkerAddresses(): ReadonlyMap<string, string> {
  const addresses = useSignal<ReadonlyMap<string, string>>(new Map());
  useEffect(() => {
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

/** Return the name of the writer of the messages of a run. */
const authorOf = ({ agent }: Run): string => (agent ? "Agent" : "Model");

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

function Budgets(props: { record: Run; timeline: RunTimeline; past: SeenEvent | undefined; ownWorkspace: string | undefined }): JSX.Element {
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

// Evidence

function EvidenceList({ run, seen, until }: { run: Run; seen: number; until: number | undefined }): JSX.Element {
  const live = useLiveQuery(
    `evidence ${run.runId}`,
    () => request(listRunEvidence, { path: { runId: run.runId }, query: { limit: 200 } }),
    reloadWhen((event) => event.runId === run.runId && (event.type === "evidence.attached" || event.type in ENDINGS)),
  );
  const open = useSignal<string | undefined>(undefined);
  return (
    <Loaded live={live}>
      {({ items }) => {
        const shown = items.filter((record) => until === undefined || record.position <= until);
        return (
          <>
            {until === undefined &&
              run.verificationFailures?.map((failure) => (
                <p class="trouble" key={failure.policyId}>
                  <strong>{failure.policyId}</strong> {failure.message}
                </p>
              ))}
            {shown.length ? (
              <Table label="Evidence" heads={["Label", "Type", "#Size", "~Recorded", "#"]}>
                {shown.map((record) => (
                  <EvidenceRow key={record.id} record={record} open={open} />
                ))}
              </Table>
            ) : (
              <Empty>{seen ? "" : "No evidence"}</Empty>
            )}
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

function EventList({ events }: { events: readonly SeenEvent[] }): JSX.Element {
  return (
    <details>
      <summary>Show all events</summary>
      <ol class="ticker">
        {events.map((event) => (
          <li key={event.position}>
            <time dateTime={event.createdAt}>{clock(event.createdAt)}</time>
            <span>
              <a href={href("events", undefined, { runId: event.runId ?? "", event: String(event.position) })}>{event.type}</a>{" "}
              <span class="quiet">{eventSummary(event) === event.type ? text(event, "toolName") : eventSummary(event)}</span>
            </span>
          </li>
        ))}
      </ol>
      <p class="quiet">
        {caller.value?.scope ? "Limited to your scope. " : ""}
        <a href={href("events", undefined, { runId: events[0]?.runId ?? "" })}>View payloads</a>
      </p>
    </details>
  );
}
