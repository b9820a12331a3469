// One run: waterfall, timeline, limits and usage, evidence, transcript and events.

import { type Signal, signal, useSignal } from "@preact/signals";
import { AthenaError, type Evidence, type EvidenceRecord, type Explanation, type Run, type TranscriptDelta, type TranscriptEntry } from "@projectathena/client";
import {
  explainRun,
  getRun,
  getRunEvidence,
  getSessionTranscript,
  listEvents,
  listRunEvidence,
  listWorkers,
  resumeRun,
  streamSessionTranscript,
} from "@projectathena/client/operations";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { Action, type ActionSpec } from "../components/actions";
import { Bar, Copy, Empty, ErrorMessage, Facts, Json, Loaded, Panel, RunLink, SessionLink, Status, Table, Time } from "../components/ui";
import { clock, count, dollars, duration, profileText, short } from "../format";
import { href } from "../route";
import { client, request, type Snapshot } from "../server";
import { caller, isAllowed } from "../state/caller";
import { now } from "../state/clock";
import { eventSummary } from "../state/event_text";
import { eventsOf, positionOf, type SeenEvent, text } from "../state/events";
import { reloadWhen, useLiveQuery } from "../state/live_query";
import { ENDINGS, OPEN } from "../state/run_status";
import { type RunTimeline, runTimeline, type Span } from "../state/run_timeline";
import { cancelAction } from "./runs";

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
  const at = useSignal<number | undefined>(undefined); // the number of events to show; undefined for all
  const all = events.data.value ?? [];
  const until = at.value === undefined || at.value >= all.length ? undefined : at.value;
  const folded = useMemo(() => (until === undefined ? all : all.slice(0, until)), [all, until]);
  const timeline = useMemo(() => runTimeline(folded), [folded]);
  const explanation = useLiveQuery(`explanation ${id}`, () => request(explainRun, { path: { runId: id } }), reloadWhen(isOfRun));
  const transcript = useTranscript(run.data.value, all[0]?.position ?? 0);
  const record = run.data.value;
  if (run.error.value && !record) return <NoRun error={run.error.value} />;
  if (!record || !all.length) return <p class="empty">Loading …</p>;
  const horizon = folded[folded.length - 1];
  return (
    <>
      <h1>
        Run <span class="mono">{short(id)}</span> <Status is={timeline.status} /> <Copy text={id} label="Copy id" />
        {OPEN.has(record.status) && <Action action={cancelAction(record, undefined)} />}
        {record.status === "paused" && <Action action={resumeAction(id)} />}
      </h1>
      <Slider events={all} at={at} />
      {until === undefined && <WaitingFor explanation={explanation.data.value} />}
      <div class="columns">
        <Panel title="Waterfall" wide>
          <Waterfall timeline={timeline} events={folded} past={until !== undefined} />
        </Panel>
        <Panel title={until === undefined && UNSUCCESSFUL.has(record.status) ? "Why it failed" : "Timeline"}>
          <Loaded live={explanation}>
            {(found) => <Causes of={found} entries={transcript.entries.value} until={until === undefined ? undefined : horizon?.position} />}
          </Loaded>
        </Panel>
        <div class="stack">
          <Panel title="Limits & usage">
            <Budgets record={record} timeline={timeline} past={until === undefined ? undefined : horizon} />
          </Panel>
          <Panel title="Evidence" aside={record.verificationStatus && until === undefined ? <Status is={record.verificationStatus} /> : undefined}>
            <EvidenceList run={record} seen={timeline.evidence} until={until === undefined ? undefined : horizon?.position} />
          </Panel>
        </div>
        <Panel title="Transcript" wide>
          <Transcript of={transcript} until={until === undefined ? undefined : horizon?.position} />
        </Panel>
        <Panel title={`Events (${folded.length})`} wide>
          <EventList events={folded} />
        </Panel>
      </div>
    </>
  );
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
            <strong class="past">Past state</strong>{" "}
            <button type="button" class="small" onClick={() => (at.value = undefined)}>
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

function Causes(props: { of: Explanation; entries: readonly TranscriptEntry[]; until: number | undefined }): JSX.Element {
  const { causes, omitted, parentRunId } = props.of;
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
                {quote(entries.get(cause.eventId)) ?? withAddress(cause.says, addresses)}
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
      {parentRunId && (
        <p>
          Child of <RunLink id={parentRunId} />
        </p>
      )}
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
const AUTHORS: Readonly<Record<string, string>> = { user: "User", assistant: "Model" };

/** Return the beginning of a message; undefined for other entries. */
function quote(entry: TranscriptEntry | undefined): string | undefined {
  const author = entry?.kind === "message" ? AUTHORS[entry.role] : undefined;
  const text = entry?.content?.replace(/\s+/g, " ").trim();
  if (!author || !text) return undefined;
  return `${author}: "${text.slice(0, QUOTE_CHARS)}${text.length > QUOTE_CHARS ? "…" : ""}"`;
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
        label="Cost"
        value={timeline.costMicroUsd}
        max={timeline.budgetMicroUsd}
        text={
          timeline.budgetMicroUsd ? `${dollars(timeline.costMicroUsd)} of ${dollars(timeline.budgetMicroUsd)}` : `${dollars(timeline.costMicroUsd)}, no limit`
        }
      />
      <Facts
        of={[
          ["Session", <SessionLink id={record.sessionId} />],
          ["Model", `${record.provider} ${record.model}`],
          ["Turns", count(timeline.turns)],
          ["Tool calls", count(timeline.toolCalls)],
          ["Tokens", timeline.inputTokens || timeline.outputTokens ? `${count(timeline.inputTokens)} in, ${count(timeline.outputTokens)} out` : "none yet"],
          ["Agent profile", profileText(record.harnessProfileId, record.provider, record.model)],
          ["Template", record.template ? `${record.template.id} version ${record.template.version}` : undefined],
          ["Parent", record.parentRunId ? <RunLink id={record.parentRunId} /> : undefined],
          ["Started", <Time at={record.createdAt} />],
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
  if (!timeline.spans.length) return <Empty>Nothing to show yet.</Empty>;
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

interface LiveTranscript {
  readonly entries: Signal<readonly TranscriptEntry[]>;
  readonly writing: Signal<WritingText | undefined>;
  readonly error: Signal<AthenaError | undefined>;
}

/** Load the transcript of a run; while the run is open, follow it live. `from` is the position of its first event. */
function useTranscript(run: Run | undefined, from: number): LiveTranscript {
  const transcript = useMemo(
    () => ({
      entries: signal<readonly TranscriptEntry[]>([]),
      writing: signal<WritingText | undefined>(undefined),
      error: signal<AthenaError | undefined>(undefined),
    }),
    [run?.runId],
  );
  const live = run !== undefined && OPEN.has(run.status);
  useEffect(() => {
    if (!run || !from) return undefined;
    if (!live) {
      transcript.writing.value = undefined;
      void readTranscript(run, from)
        .then((found) => (transcript.entries.value = found))
        .catch((error: unknown) => {
          if (error instanceof AthenaError) transcript.error.value = error;
        });
      return undefined;
    }
    const stop = new AbortController();
    void followTranscript(run, from, transcript, stop.signal);
    return () => stop.abort();
  }, [run?.runId, live, from > 0]);
  return transcript;
}

/** Follow the transcript of an open run by a second stream, because live text is not an event. */
async function followTranscript(run: Run, from: number, transcript: LiveTranscript, signal: AbortSignal): Promise<void> {
  const { entries, writing, error } = transcript;
  const parts = { path: { sessionId: run.sessionId }, signal, deadlineMs: Number.POSITIVE_INFINITY };
  try {
    for await (const item of client.stream(streamSessionTranscript, from - 1, parts)) {
      const record = item.data as TranscriptEntry | TranscriptDelta;
      if (record.runId !== run.runId) continue;
      if ("id" in record) {
        if (!entries.value.some((entry) => entry.id === record.id)) entries.value = [...entries.value, record];
        if (record.role === "assistant" || record.kind === "tool-call") writing.value = undefined;
      } else {
        const same = writing.value?.turn === record.turn && !record.reset;
        const had = same
          ? Array.from(writing.value?.text ?? "")
              .slice(0, record.offset ?? 0)
              .join("")
          : ""; // offsets count code points
        writing.value = record.text ? { turn: record.turn, text: had + record.text } : undefined;
      }
    }
  } catch (failure) {
    if (failure instanceof AthenaError) error.value = failure;
  }
}

/** Read the entries of an ended run from the transcript of its session. */
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

function Transcript({ of, until }: { of: LiveTranscript; until: number | undefined }): JSX.Element {
  const { entries, writing, error } = of;
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
          <header>assistant, turn {text.turn}, writing …</header>
          <pre>{text.text}</pre>
        </article>
      )}
      {!shown.length && !text && <Empty>No entries {until === undefined ? "yet" : "at this time"}.</Empty>}
    </div>
  );
}

function TranscriptItem({ entry }: { entry: TranscriptEntry }): JSX.Element {
  const who =
    entry.kind === "tool-call"
      ? `tool call: ${entry.toolName ?? "unknown"}`
      : entry.role === "tool"
        ? `tool result: ${entry.toolName ?? "unknown"}`
        : entry.role;
  return (
    <article class={`${entry.role} ${entry.kind} ${entry.isError ? "failed" : ""}`}>
      <header>
        {who} <time dateTime={entry.createdAt}>{clock(entry.createdAt)}</time>
        {entry.isError && <b> failed</b>}
      </header>
      <pre>{entry.content ?? "(redacted)"}</pre>
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
              <a href={href("events", undefined, { runId: event.runId ?? "", at: String(event.position) })}>{event.type}</a>{" "}
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
