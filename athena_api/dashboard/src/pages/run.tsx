// One run: its waterfall, what was said, what it called and showed, what it may spend, why it is where it is.

import { type Signal, signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { ApiError, type ApiResponse, request } from "../api";
import { Action, type ActionSpec } from "../components/actions";
import { Bar, Copy, Empty, ErrorMessage, Facts, Json, Loaded, now, Panel, RunLink, SessionLink, Status, Table, Time } from "../components/ui";
import { clock, count, dollars, duration, short } from "../format";
import {
  type Evidence,
  type EvidenceRecord,
  explainRun,
  getRun,
  getRunEvidence,
  getSessionTranscript,
  listEvents,
  listRunEvidence,
  type Run,
  resumeRun,
  type TranscriptDelta,
  type TranscriptEntry,
} from "../generated";
import { href } from "../route";
import { caller } from "../state/caller";
import { eventSummary } from "../state/event_text";
import { eventsOf, positionOf, type SeenEvent, text } from "../state/events";
import { reloadWhen, useLiveQuery } from "../state/live_query";
import { ENDINGS, OPEN } from "../state/run_status";
import { type RunTimeline, runTimeline, type Span } from "../state/run_timeline";
import { cancelAction } from "./runs";

const EVENTS_MAX = 5_000;

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
  const at = useSignal<number | undefined>(undefined); // how many events are folded; all, unless the slider says so
  const all = events.data.value ?? [];
  const until = at.value === undefined || at.value >= all.length ? undefined : at.value;
  const folded = useMemo(() => (until === undefined ? all : all.slice(0, until)), [all, until]);
  const timeline = useMemo(() => runTimeline(folded), [folded]);
  const record = run.data.value;
  if (run.error.value && !record) return <NoRun error={run.error.value} />;
  if (!record || !all.length) return <p class="empty">Loading …</p>;
  const horizon = folded[folded.length - 1];
  return (
    <>
      <h1>
        Run <span class="mono">{short(id)}</span> <Status is={timeline.status} /> <Copy text={id} label="Copy id" />
        {OPEN.has(record.status) && <Action action={cancelAction(id)} />}
        {record.status === "paused" && <Action action={resumeAction(id)} />}
      </h1>
      <Slider events={all} at={at} />
      <div class="columns">
        <Panel title="Waterfall" wide>
          <Waterfall timeline={timeline} events={folded} past={until !== undefined} />
        </Panel>
        <Panel title="Why it is where it is">
          <Causes id={id} until={until === undefined ? undefined : horizon?.position} />
        </Panel>
        <div class="stack">
          <Panel title="What it may take">
            <Budgets record={record} timeline={timeline} past={until === undefined ? undefined : horizon} />
          </Panel>
          <Panel title="Evidence" aside={record.verificationStatus && until === undefined ? <Status is={record.verificationStatus} /> : undefined}>
            <EvidenceList run={record} seen={timeline.evidence} until={until === undefined ? undefined : horizon?.position} />
          </Panel>
        </div>
        <Panel title="Transcript" wide>
          <Transcript run={record} from={all[0]?.position ?? 0} until={until === undefined ? undefined : horizon?.position} />
        </Panel>
        <Panel title={`Events (${folded.length})`} wide>
          <EventList events={folded} />
        </Panel>
      </div>
    </>
  );
}

function NoRun({ error }: { error: ApiError }): JSX.Element {
  return (
    <>
      <h1>Run</h1>
      <ErrorMessage error={error} />
      <p>
        A run that was refused never existed: <a href={href("rejections")}>the rejections</a> tell why.
      </p>
    </>
  );
}

async function readEvents(runId: string): Promise<ApiResponse<readonly SeenEvent[]>> {
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
    question: "The run goes on with the budget below, what it spent so far included; with none it has no budget of its own any more.",
    fields: [{ name: "budgetUsd", label: "Budget in dollars", kind: "number" }],
    request: (values) => ({
      path: { runId },
      body: values.budgetUsd ? { budgetUsd: Number(values.budgetUsd) } : {},
      detached: true,
    }),
    done: () => "The run goes on.",
  };
}

function Slider({ events, at }: { events: readonly SeenEvent[]; at: Signal<number | undefined> }): JSX.Element {
  const value = at.value ?? events.length;
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
            at.value = chosen >= events.length ? undefined : chosen;
          }}
        />
      </label>
      <output>
        {event && (
          <>
            {Math.min(value, events.length)} of {events.length} · <b>{event.type}</b> · {clock(event.createdAt)}
          </>
        )}
        {at.value !== undefined && (
          <>
            {" "}
            <strong class="past">the past</strong>{" "}
            <button type="button" class="small" onClick={() => (at.value = undefined)}>
              To the present
            </button>
          </>
        )}
      </output>
    </div>
  );
}

function Causes({ id, until }: { id: string; until: number | undefined }): JSX.Element {
  const live = useLiveQuery(
    `why ${id}`,
    () => request(explainRun, { path: { runId: id } }),
    reloadWhen((event) => event.runId === id),
  );
  return (
    <Loaded live={live}>
      {({ causes, waitsFor, omitted, parentRunId }) => (
        <>
          {waitsFor && until === undefined && (
            <p class="waits">
              Waits for <b>{waitsFor.says}</b> <span class="quiet">since</span> <Time at={waitsFor.since} />
              {waitsFor.blockedBy && (
                <>
                  , behind <RunLink id={waitsFor.blockedBy} />
                </>
              )}
            </p>
          )}
          <ol class="causes">
            {causes
              .filter((cause) => until === undefined || positionOf(cause.eventId) <= until)
              .map((cause) => (
                <li key={cause.eventId}>
                  <time dateTime={cause.at}>{clock(cause.at)}</time>
                  <span>
                    {cause.says}
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
          {omitted ? <p class="quiet">{omitted} causes in the middle are left out.</p> : null}
          {parentRunId && (
            <p>
              Child of <RunLink id={parentRunId} />
            </p>
          )}
        </>
      )}
    </Loaded>
  );
}

function Budgets({ record, timeline, past }: { record: Run; timeline: RunTimeline; past: SeenEvent | undefined }): JSX.Element {
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
        label="Money"
        value={timeline.costMicroUsd}
        max={timeline.budgetMicroUsd}
        text={
          timeline.budgetMicroUsd
            ? `${dollars(timeline.costMicroUsd)} of ${dollars(timeline.budgetMicroUsd)}`
            : `${dollars(timeline.costMicroUsd)}, no budget of its own`
        }
      />
      <Facts
        of={[
          ["Session", <SessionLink id={record.sessionId} />],
          ["Model", `${record.provider} ${record.model}`],
          ["Turns", count(timeline.turns)],
          ["Tool calls", count(timeline.toolCalls)],
          ["Tokens", timeline.inputTokens || timeline.outputTokens ? `${count(timeline.inputTokens)} in, ${count(timeline.outputTokens)} out` : "none yet"],
          ["Profile", <span class="mono">{short(record.harnessProfileId)}</span>],
          ["Template", record.template ? `${record.template.id} version ${record.template.version}` : undefined],
          ["Parent", record.parentRunId ? <RunLink id={record.parentRunId} /> : undefined],
          ["Began", <Time at={record.createdAt} />],
          ["Ended", !past && record.finishedAt ? <Time at={record.finishedAt} /> : undefined],
          ["Error", !past && record.error ? `${record.error.code}: ${record.error.message}` : undefined],
        ]}
      />
    </>
  );
}

function Waterfall({ timeline, events, past }: { timeline: RunTimeline; events: readonly SeenEvent[]; past: boolean }): JSX.Element {
  const first = new Date(events[0]?.createdAt ?? 0).getTime();
  const newest = new Date(events[events.length - 1]?.createdAt ?? 0).getTime();
  const open = OPEN.has(timeline.status) && !past;
  const end = Math.max(first + 1, open ? Math.max(newest, now.value) : newest);
  if (!timeline.spans.length) return <Empty>Nothing took any time yet.</Empty>;
  return (
    <ol class="waterfall">
      {timeline.spans.map((span) => (
        <WaterfallRow key={span.position + span.kind} span={span} first={first} end={end} />
      ))}
      <li class="scale" aria-hidden="true">
        <span />
        <span class="track">
          <i>0</i>
          <i>{duration((end - first) / 2)}</i>
          <i>{duration(end - first)}</i>
        </span>
        <span />
      </li>
    </ol>
  );
}

function WaterfallRow({ span, first, end }: { span: Span; first: number; end: number }): JSX.Element {
  const whole = end - first;
  const to = span.to ?? end;
  const left = (100 * (span.from - first)) / whole;
  const width = Math.max(0.4, (100 * (to - span.from)) / whole);
  return (
    <li class={`${span.kind} ${span.failed ? "failed" : ""} ${span.to === undefined ? "open" : ""}`}>
      <span class="cut" title={span.detail}>
        {span.name}
      </span>
      <span class="track">
        <i style={{ left: `${Math.min(left, 99.6)}%`, width: `${Math.min(width, 100 - Math.min(left, 99.6))}%` }} />
      </span>
      <span class="num">
        {duration(to - span.from)}
        {span.to === undefined ? " …" : ""}
      </span>
    </li>
  );
}

// The transcript

interface WritingText {
  readonly turn: number;
  readonly text: string;
}

function useTranscript(
  run: Run,
  from: number,
): { entries: Signal<readonly TranscriptEntry[]>; writing: Signal<WritingText | undefined>; error: Signal<ApiError | undefined> } {
  const transcript = useMemo(
    () => ({
      entries: signal<readonly TranscriptEntry[]>([]),
      writing: signal<WritingText | undefined>(undefined),
      error: signal<ApiError | undefined>(undefined),
    }),
    [run.runId],
  );
  const live = OPEN.has(run.status);
  useEffect(() => {
    if (!from) return undefined;
    if (!live) {
      transcript.writing.value = undefined;
      void readTranscript(run, from)
        .then((found) => (transcript.entries.value = found))
        .catch((error: unknown) => {
          if (error instanceof ApiError) transcript.error.value = error;
        });
      return undefined;
    }
    // beside the stream of events: what a model writes is no event, and is kept nowhere
    const stream = new EventSource(`/api/v1/sessions/${encodeURIComponent(run.sessionId)}/transcript/stream?after=${from - 1}`);
    stream.addEventListener("transcript.entry", (message: MessageEvent<string>) => {
      const { data } = JSON.parse(message.data) as { data: TranscriptEntry };
      if (data.runId !== run.runId) return;
      if (!transcript.entries.value.some((record) => record.id === data.id)) transcript.entries.value = [...transcript.entries.value, data];
      if (data.role === "assistant" || data.kind === "tool-call") transcript.writing.value = undefined;
    });
    stream.addEventListener("transcript.delta", (message: MessageEvent<string>) => {
      const { data } = JSON.parse(message.data) as { data: TranscriptDelta };
      if (data.runId !== run.runId) return;
      const had = transcript.writing.value?.turn === data.turn && !data.reset ? transcript.writing.value.text.slice(0, data.offset ?? undefined) : "";
      transcript.writing.value = data.text ? { turn: data.turn, text: had + data.text } : undefined;
    });
    return () => stream.close();
  }, [run.runId, live, from > 0]);
  return transcript;
}

/** The entries of a run that has ended: its session from its first event on. */
async function readTranscript(run: Run, from: number): Promise<readonly TranscriptEntry[]> {
  const entries: TranscriptEntry[] = [];
  let cursor = String(from - 1);
  for (;;) {
    const { items, nextCursor } = (await request(getSessionTranscript, { path: { sessionId: run.sessionId }, query: { after: cursor, limit: 500 } })).data;
    entries.push(...items.filter((entry) => entry.runId === run.runId));
    const last = items[items.length - 1];
    if (!nextCursor || !last || (run.finishedAt && last.createdAt > run.finishedAt)) return entries;
    cursor = nextCursor;
  }
}

function Transcript({ run, from, until }: { run: Run; from: number; until: number | undefined }): JSX.Element {
  const { entries, writing, error } = useTranscript(run, from);
  const shown = until === undefined ? entries.value : entries.value.filter((entry) => positionOf(entry.id) <= until);
  const text = until === undefined ? writing.value : undefined;
  if (error.value) return <ErrorMessage error={error.value} />;
  return (
    <div class="transcript">
      {shown.map((entry) => (
        <TranscriptItem key={entry.id} entry={entry} />
      ))}
      {text && (
        <article class="assistant writing" aria-live="polite">
          <header>assistant writes · turn {text.turn}</header>
          <pre>{text.text}</pre>
        </article>
      )}
      {!shown.length && !text && <Empty>Nothing was said {until === undefined ? "yet" : "until then"}.</Empty>}
    </div>
  );
}

function TranscriptItem({ entry }: { entry: TranscriptEntry }): JSX.Element {
  const who = entry.kind === "tool-call" ? `calls ${entry.toolName ?? "a tool"}` : entry.role === "tool" ? `${entry.toolName ?? "tool"} answers` : entry.role;
  return (
    <article class={`${entry.role} ${entry.kind} ${entry.isError ? "failed" : ""}`}>
      <header>
        {who} <time dateTime={entry.createdAt}>{clock(entry.createdAt)}</time>
        {entry.isError && <b> failed</b>}
      </header>
      <pre>{entry.content ?? "(erased)"}</pre>
    </article>
  );
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
              <Empty>{seen ? "" : "It showed nothing so far."}</Empty>
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
              from {record.source}, sha256 <span class="mono">{record.sha256}</span>
            </p>
          </td>
        </tr>
      )}
    </>
  );
}

function EvidenceContent({ of }: { of: Evidence }): JSX.Element {
  const { content } = of;
  if (!content) return <p class="quiet">It was erased.</p>;
  if (content.kind === "text") return <Json value={content.text} />;
  if (content.kind === "json") return <Json value={content.value} />;
  return <Json value={content.base64} />;
}

function EventList({ events }: { events: readonly SeenEvent[] }): JSX.Element {
  return (
    <details>
      <summary>What was recorded, event by event</summary>
      <ol class="ticker">
        {events.map((event) => (
          <li key={event.position}>
            <time dateTime={event.createdAt}>{clock(event.createdAt)}</time>
            <span>
              <a href={href("events", undefined, { runId: event.runId ?? "", at: String(event.position) })}>{event.type}</a>{" "}
              <span class="quiet">{eventSummary(event) === event.type ? text(event, "toolName") : eventSummary(event)}</span>
            </span>
          </li>
        ))}
      </ol>
      <p class="quiet">
        {caller.value?.scope ? "Only what your scope covers. " : ""}The feed tells the payloads:{" "}
        <a href={href("events", undefined, { runId: events[0]?.runId ?? "" })}>events of this run</a>.
      </p>
    </details>
  );
}
