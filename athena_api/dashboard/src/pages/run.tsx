// One run: what it is and whether it is fine, then its steps beside the selected one, and tabs for all else.

import { useSignal } from "@preact/signals";
import type { AthenaError, Explanation, Run, TranscriptEntry } from "@projectathena/client";
import { explainRun, listAsks, listRuns, retryRun } from "@projectathena/client/operations";
import type { ComponentChildren, JSX } from "preact";
import { useMemo } from "preact/hooks";
import { Action, openDialog } from "../components/actions";
import { Activity } from "../components/activity";
import { AskCards, AskKeys } from "../components/ask";
import { LongText, Markdown } from "../components/markdown";
import { notify } from "../components/notices";
import { usePageKeys } from "../components/page_keys";
import { cancelAction, resumeAction, retryAction } from "../components/run_actions";
import { Rows } from "../components/run_rows";
import { type RunView, useRunView } from "../components/run_view";
import { StepDetail } from "../components/step_detail";
import { StepTree } from "../components/step_tree";
import { type LiveTranscript, Transcript } from "../components/transcript";
import { Copy, copy, Empty, ErrorMessage, Loaded, Panel, RunLink, SessionLink, Status, Time } from "../components/ui";
import { between, clock, count, dollars, duration, plain, profileText, short } from "../format";
import { at, href } from "../route";
import { type AddressPart, useAddress } from "../state/address";
import { foldAsks, isLocked } from "../state/asks";
import { isAllowed } from "../state/caller";
import { now } from "../state/clock";
import { positionOf, type SeenEvent } from "../state/events";
import { request } from "../state/instant";
import { type LiveQuery, useLiveQuery, useRead } from "../state/live_query";
import { foldRuns } from "../state/run_list";
import { outcomeOf, titleOf } from "../state/run_outcome";
import { OPEN, UNSUCCESSFUL } from "../state/run_status";
import { childSpans, flatten, rowsOf, type Step, stepsOf, WHOLE } from "../state/run_steps";
import { type RunTimeline, runTimeline } from "../state/run_timeline";
import { Budgets, Causes, EventList, EvidenceList, Proof, profileOf, Verification } from "./run_tabs";
import { Changes } from "./workspace_diff";

const CHILDREN_MAX = 50;

export function RunDetail({ id }: { id: string }): JSX.Element {
  const view = useRunView(id);
  const record = view.run.data.value;
  const events = view.events.data.value ?? [];
  if (view.run.error.value && !record) return <NoRun error={view.run.error.value} />;
  if (!record || !events.length) return <p class="empty">Loading …</p>;
  return <RunPage view={view} record={record} all={events} />;
}

/** A run as it is shown: now, or where the slider is. */
interface ShownRun {
  readonly record: Run;
  readonly all: readonly SeenEvent[];
  /** The events until then. */
  readonly events: readonly SeenEvent[];
  readonly timeline: RunTimeline;
  readonly entries: readonly TranscriptEntry[];
  readonly transcript: LiveTranscript;
  readonly explanation: LiveQuery<Explanation>;
  readonly children: readonly Run[];
  readonly input: string | undefined;
  /** The last one of them, where the slider is; absent for now. */
  readonly past: SeenEvent | undefined;
}

function useShownRun({ transcript }: RunView, record: Run, all: readonly SeenEvent[], step: string | undefined): ShownRun {
  const { runId } = record;
  const isOfRun = (event: SeenEvent): boolean => event.runId === runId;
  const chosen = Math.max(1, Number(step) || all.length);
  const until = chosen < all.length ? chosen : undefined;
  const events = useMemo(() => (until === undefined ? all : all.slice(0, until)), [all, until]);
  const timeline = useMemo(() => runTimeline(events), [events]);
  const explanation = useRead(explainRun, { path: { runId } }, isOfRun);
  const filters = { parentRunId: runId };
  const children = useLiveQuery(`children ${runId}`, () => request(listRuns, { query: { ...filters, limit: CHILDREN_MAX } }), foldRuns(filters));
  const past = until === undefined ? undefined : events[events.length - 1];
  const entries = transcript.entries.value.filter(({ id }) => !past || positionOf(id) <= past.position);
  const begun = (child: Run): boolean => child.parentRunId === runId && (!past || child.createdAt <= past.createdAt);
  return {
    ...{ record, all, events, timeline, entries, transcript, explanation, past },
    children: (children.data.value?.items ?? []).filter(begun),
    input: inputOf(record, transcript.entries.value),
  };
}

function RunPage({ view, record, all }: { view: RunView; record: Run; all: readonly SeenEvent[] }): JSX.Element {
  const [tab, step, select] = [useAddress("tab"), useAddress("step"), useAddress("select")];
  const shown = useShownRun(view, record, all, step.value.value);
  const { input, timeline, past, transcript } = shown;
  const place = Math.min(Number(step.value.value) || all.length, all.length);
  const share = (): void => {
    const address = href("runs", record.runId, { tab: tab.value.value, step: String(place), select: select.value.value });
    void copy(location.origin + location.pathname + address).then(() => notify("Link to this moment copied."));
  };
  const slide = (to: number): void => step.set(to >= all.length ? undefined : String(Math.max(1, to)));
  const again = !OPEN.has(record.status) && isAllowed(retryRun);
  usePageKeys({
    s: share,
    r: again ? () => openDialog(retryAction(record, input)) : undefined,
    "[": () => slide(place - 1),
    "]": () => slide(place + 1),
  });
  return (
    <>
      <h1 class="run-title">
        <span>{input ? titleOf(input) : `Run ${short(record.runId)}`}</span> <Status is={record.status} />
        {OPEN.has(record.status) && <Action action={cancelAction(record, input)} />}
        {record.status === "completed" && !outcomeOf(record) && <Action action={retryAction(record, input)} />}
        <button type="button" aria-keyshortcuts="s" title="Key: s" onClick={share}>
          Share this moment
        </button>
      </h1>
      <Essentials record={record} timeline={timeline} />
      <Banner record={record} input={input} />
      {OPEN.has(record.status) && <RunAsks id={record.runId} />}
      {record.status !== "paused" && record.waiting?.reason !== "ask" && !transcript.writing.value && <WaitingFor explanation={shown.explanation.data.value} />}
      <Slider events={all} place={place} slide={slide} status={timeline.status} past={past !== undefined} />
      <Tabs tab={tab} names={{ events: ` (${count(shown.events.length)})`, evidence: ` (${count(timeline.evidence)})` }} />
      {record.status === "running" && !past && at.value === undefined && (record.agent || transcript.activity.value) && (
        <Activity of={transcript.activity.value} agent={record.agent ?? "MCP server"} />
      )}
      <Tab of={shown} tab={tab.value.value ?? "steps"} select={select} />
    </>
  );
}

const TABS: Readonly<Record<string, string>> = {
  steps: "Steps",
  conversation: "Conversation",
  events: "Events",
  evidence: "Evidence",
  limits: "Limits",
  proof: "Proof",
};

function Tabs({ tab, names }: { tab: AddressPart; names: Readonly<Record<string, string>> }): JSX.Element {
  const shown = tab.value.value ?? "steps";
  return (
    <nav class="tabs" aria-label="Parts of the run">
      {Object.entries(TABS).map(([name, title]) => (
        <button type="button" key={name} aria-current={name === shown ? "page" : undefined} onClick={() => tab.set(name === "steps" ? undefined : name)}>
          {title}
          {names[name]}
        </button>
      ))}
    </nav>
  );
}

function Tab({ of: shown, tab, select }: { of: ShownRun; tab: string; select: AddressPart }): JSX.Element {
  const { record, all, events, timeline, past } = shown;
  if (tab === "conversation")
    return (
      <Panel title="Conversation">
        <Transcript of={shown.transcript} until={past?.position} author={authorOf(record)} />
      </Panel>
    );
  if (tab === "events")
    return (
      <Panel title={`Events (${count(events.length)})`}>
        <EventList events={events} />
      </Panel>
    );
  if (tab === "evidence")
    return (
      <Panel title="Evidence" aside={!past && <Verification record={record} events={all} />}>
        <EvidenceList run={record} seen={timeline.evidence} until={past?.position} />
      </Panel>
    );
  if (tab === "limits")
    return (
      <Panel title="Limits & usage">
        <Budgets record={record} timeline={timeline} past={past} ownWorkspace={profileOf(all)?.workspace ?? undefined} />
      </Panel>
    );
  if (tab === "proof")
    return (
      <Panel title="Proof">
        <Proof runId={record.runId} />
      </Panel>
    );
  return <Steps of={shown} select={select} />;
}

/** The tree of the steps, and the selected one. While the run goes on and none is selected, the newest one is shown. */
function Steps({ of: shown, select }: { of: ShownRun; select: AddressPart }): JSX.Element {
  const { record, all, events, timeline, past, children } = shown;
  const toggled = useSignal<ReadonlyMap<string, boolean>>(new Map());
  const steps = useMemo(() => stepsOf(timeline.spans, childSpans(children)), [timeline, children]);
  const every = flatten(steps);
  const follows = OPEN.has(record.status) && !past && at.value === undefined;
  const chosen = select.value.value ?? (follows ? (every.findLast(({ span }) => span.to === undefined) ?? every.at(-1))?.key : WHOLE) ?? WHOLE;
  const step = every.find(({ key }) => key === chosen);
  const whole = wholeOf(all, events, follows);
  return (
    <div class="run-panes">
      <Panel title="Steps" aside={<Following select={select} follows={follows} />}>
        <StepTree
          run={{ step: whole, level: 1, place: 1, of: 1 }}
          rows={rowsOf(steps, toggled.value, chosen)}
          selected={step?.key ?? WHOLE}
          select={select.set}
          toggle={(key, open) => (toggled.value = new Map(toggled.value).set(key, open))}
        />
      </Panel>
      {step ? (
        <section class="panel detail" aria-label="Selected step">
          <StepDetail
            {...{ step, run: record, events, entries: shown.entries, children, select: select.set }}
            key={step.key}
            writing={past ? undefined : shown.transcript.writing.value}
            policies={(profileOf(all)?.toolPolicies ?? {}) as Readonly<Record<string, unknown>>}
          />
        </section>
      ) : (
        <Whole of={shown} />
      )}
    </div>
  );
}

/** Return the run itself as a step. */
function wholeOf(all: readonly SeenEvent[], events: readonly SeenEvent[], open: boolean): Step {
  const at = (event: SeenEvent | undefined): number => Date.parse(event?.createdAt ?? "");
  const from = at(all[0]);
  return { key: WHOLE, span: { kind: "start", name: "Run", from, position: 0, ...(!open && { to: at(events[events.length - 1]) }) }, children: [] };
}

function Following({ select, follows }: { select: AddressPart; follows: boolean }): JSX.Element | null {
  if (!follows) return <AskHint />;
  const off = select.value.value !== undefined;
  return (
    <button type="button" class="small" aria-pressed={!off} onClick={() => select.set(off ? undefined : WHOLE)}>
      {off ? "Follow" : "Following"}
    </button>
  );
}

const AskHint = (): JSX.Element => (
  <span class="quiet opt">
    <kbd>j</kbd> <kbd>k</kbd> move
  </span>
);

/** The run as a whole: input, answer, child runs, changes, and why it is as it is. */
function Whole({ of: shown }: { of: ShownRun }): JSX.Element {
  const { record, input, timeline, past, explanation } = shown;
  const failed = !past && UNSUCCESSFUL.has(record.status);
  return (
    <div class="stack">
      <Panel title="Input">{input ? <Markdown text={input} /> : <Empty>{record.redacted ? "Redacted" : "Recorded when the run starts"}</Empty>}</Panel>
      {!past && <Answer record={record} transcript={shown.transcript} />}
      <Children id={record.runId} runs={shown.children} />
      {timeline.workspaceId && <Changes runId={record.runId} workspaceId={timeline.workspaceId} recorded={timeline.changed} />}
      <Panel title={failed ? "Why it failed" : "Timeline"}>
        <Loaded live={explanation}>
          {(found) => <Causes of={found} entries={shown.transcript.entries.value} until={past?.position} author={authorOf(record)} />}
        </Loaded>
      </Panel>
    </div>
  );
}

/** Return the name of the writer of the messages of a run. */
const authorOf = ({ agent }: Run): string => (agent ? "Agent" : "Model");

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
      <b>{record.agentName ?? profileText(record.harnessProfileId, record.provider, record.model)}</b>
      {record.agent && <span>by {record.agent}</span>}
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
          run again after <RunLink id={retryOf} /> (<a href={href("runs", retryOf, { compare: runId })}>compare</a>)
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
          <h2>Waiting for a decision ({open})</h2> <AskKeys one={asks.find(isLocked) ?? asks[0]} />
        </header>
      )}
      <AskCards asks={asks} />
    </section>
  );
}

/** Why a run is not fine, and what to do about it. */
function Banner({ record, input }: { record: Run; input: string | undefined }): JSX.Element | null {
  const outcome = outcomeOf(record);
  if (!outcome) return null;
  const { runId, status, error } = record;
  const acts: ComponentChildren =
    status === "paused" ? (
      record.waiting === undefined && <Action action={resumeAction(runId)} />
    ) : (
      <>
        {!OPEN.has(status) && <Action action={retryAction(record, input)} />}
        {error && status !== "cancelled" && <a href={href("runs", undefined, { errorCode: error.code })}>See others like this</a>}
      </>
    );
  return (
    <p class={`outcome ${outcome.tone}`}>
      <span>
        <strong>{outcome.headline}</strong>
        {outcome.reason && `: ${outcome.reason}`} {outcome.code && <span class="mono">{outcome.code}</span>}
      </span>
      {acts}
    </p>
  );
}

/** The answer: as the model writes it, whole, or cut off. */
function Answer({ record, transcript }: { record: Run; transcript: LiveTranscript }): JSX.Element {
  const open = OPEN.has(record.status);
  const said = transcript.entries.value.findLast(({ role, kind }) => role === "assistant" && kind === "message");
  const live = open ? transcript.writing.value?.text : undefined;
  const text = open ? said?.content : (record.output ?? (record.status === "completed" ? said?.content : undefined));
  return (
    <Panel
      title={record.partial ? "Partial answer" : open && (live || text) ? "Answer so far" : "Answer"}
      aside={record.partial && <span class="warn">cut off</span>}
    >
      {live ? <LongText text={live} /> : text ? <Markdown text={text} /> : <Empty>{record.redacted ? "Redacted" : open ? "None yet" : "No answer"}</Empty>}
    </Panel>
  );
}

/** The runs that this run has started; nothing without one. */
function Children({ id, runs }: { id: string; runs: readonly Run[] }): JSX.Element | null {
  if (!runs.length) return null;
  return (
    <Panel title={`Child runs (${runs.length})`} aside={<a href={href("runs", undefined, { parentRunId: id })}>View all</a>}>
      <Rows runs={runs} />
    </Panel>
  );
}

function NoRun({ error }: { error: AthenaError }): JSX.Element {
  return (
    <>
      <h1>Run</h1>
      <ErrorMessage error={error} />
      <p>
        It may never have begun. If it was rejected, see <a href={href("rejections")}>rejected runs</a> for the reason.
      </p>
    </>
  );
}

function Slider(props: { events: readonly SeenEvent[]; place: number; slide: (to: number) => void; status: string; past: boolean }): JSX.Element {
  const { events, place, slide, status, past } = props;
  const event = events[place - 1];
  return (
    <div class="slider">
      <label>
        <span>Time</span>
        <input
          type="range"
          min={1}
          max={events.length}
          value={place}
          aria-valuetext={event ? `${event.type}, ${clock(event.createdAt)}` : ""}
          aria-keyshortcuts="[ ]"
          onInput={(input) => slide(Number(input.currentTarget.value))}
        />
      </label>
      <output>
        {event && (
          <>
            <Status is={status} /> {place} of {events.length} · <b>{event.type}</b> · {clock(event.createdAt)}
          </>
        )}
        {event && (
          <>
            {" "}
            <a href={href("fleet", undefined, {}, String(event.position))}>The fleet at this moment</a>
          </>
        )}
        {past && (
          <>
            {" "}
            <strong class="past">Past state</strong>{" "}
            <button type="button" class="small" onClick={() => slide(events.length)}>
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
      Waiting for <b>{waitsFor.says}</b> <span class="quiet">{duration(between(waitsFor.since, now.value))}</span>
      {waitsFor.blockedBy && (
        <>
          , behind <RunLink id={waitsFor.blockedBy} />
        </>
      )}
    </p>
  );
}
