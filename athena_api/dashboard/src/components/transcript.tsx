// The transcript of a run: read once it has ended, followed live before.

import { type Signal, signal, useSignal } from "@preact/signals";
import { type AgentActivity, AthenaError, type Run, type TranscriptDelta, type TranscriptEntry } from "@projectathena/client";
import { getSessionTranscript, streamSessionTranscript } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { clock, visibleLine } from "../format";
import { at } from "../route";
import { follow } from "../server";
import { callText, isAgentTool } from "../state/call_text";
import { divideResult } from "../state/diff";
import { state } from "../state/event_stream";
import { positionOf } from "../state/events";
import { request } from "../state/instant";
import { OPEN } from "../state/run_status";
import { Call } from "./call";
import { FoldedDiff } from "./diff";
import { LongText, Markdown } from "./markdown";
import { Empty, ErrorMessage, Window } from "./ui";

const ENTRIES_SHOWN = 50;

interface WritingText {
  readonly turn: number;
  readonly text: string;
}

/** The entries of a run, what the model is writing, and what an outside agent shows beside that. */
export interface LiveTranscript {
  readonly entries: Signal<readonly TranscriptEntry[]>;
  readonly writing: Signal<WritingText | undefined>;
  readonly activity: Signal<AgentActivity | undefined>;
  readonly error: Signal<AthenaError | undefined>;
}

/** Load the transcript of a run; while the run is open and the page shows now, follow it live. `from` is the position of its first event. */
export function useTranscript(run: Run | undefined, from: number): LiveTranscript {
  const transcript = useMemo(
    () => ({
      entries: signal<readonly TranscriptEntry[]>([]),
      writing: signal<WritingText | undefined>(undefined),
      activity: signal<AgentActivity | undefined>(undefined),
      error: signal<AthenaError | undefined>(undefined),
    }),
    [run?.runId],
  );
  const live = run !== undefined && OPEN.has(run.status) && at.value === undefined;
  const again = transcript.error.value?.code === "UNREACHABLE" && state.value === "live"; // the server is back
  useLayoutEffect(() => {
    if (!run || !from) return undefined;
    transcript.error.value = transcript.activity.value = undefined;
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
  }, [run?.runId, live, from > 0, again]);
  return transcript;
}

/** Follow the transcript of an open run by a second stream, because live text is not an event. */
async function followTranscript(run: Run, from: number, transcript: LiveTranscript, signal: AbortSignal): Promise<void> {
  const { entries, writing, activity, error } = transcript;
  const onConnection = (lost?: AthenaError): void => {
    if (lost) activity.value = undefined; // the server does not repeat that it ended
  };
  try {
    for await (const item of follow(streamSessionTranscript, from - 1, { path: { sessionId: run.sessionId }, signal, onConnection })) {
      const record = item.data as TranscriptEntry | TranscriptDelta;
      if (record.runId !== run.runId) continue;
      if ("id" in record) {
        if (!entries.value.some((entry) => entry.id === record.id)) entries.value = [...entries.value, record];
        if (record.role === "assistant" || record.kind === "tool-call") writing.value = undefined;
      } else if (record.settled || record.activity) {
        activity.value = record.activity;
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

export function Transcript({ of, until, author }: { of: LiveTranscript; until: number | undefined; author: string }): JSX.Element {
  const { entries, writing, error } = of;
  const chosen = useSignal<number | undefined>(undefined);
  const present = until === undefined ? entries.value : entries.value.filter((entry) => positionOf(entry.id) <= until);
  const text = until === undefined ? writing.value : undefined;
  if (error.value) return <ErrorMessage error={error.value} />;
  const first = Math.min(chosen.value ?? (text ? present.length : 0), Math.max(0, present.length - ENTRIES_SHOWN));
  const calls = new Map(present.filter(({ kind }) => kind === "tool-call").map((entry) => [entry.toolCallId, entry]));
  return (
    <div class="transcript">
      <Window of={present} size={ENTRIES_SHOWN} first={first} what="entries" move={(to) => (chosen.value = to)} />
      {present.slice(first, first + ENTRIES_SHOWN).map((entry) => (
        <TranscriptItem key={entry.id} entry={entry} author={author} call={calls.get(entry.toolCallId)} />
      ))}
      {text && (
        <article class="assistant writing" aria-live="polite">
          <header>
            {author}, turn {text.turn}, writing …
          </header>
          <pre>{text.text}</pre>
        </article>
      )}
      {!present.length && !text && <Empty>No entries {until === undefined ? "" : "at this time"}</Empty>}
    </div>
  );
}

const AUTHORS: Readonly<Record<string, string>> = { user: "User", system: "System" };

const OPTIONS: Readonly<Record<string, string>> = { allow: "Allowed", deny: "Denied", decline: "Declined" };
const CAUSES: Readonly<Record<string, string>> = { expiry: "The ask expired", "run-ended": "The ask was closed" };

function answerText({ metadata }: TranscriptEntry): string {
  const { cause = "", optionId = "", by, ruleId } = (metadata ?? {}) as Readonly<Record<string, string | undefined>>;
  return CAUSES[cause] ?? `${OPTIONS[optionId] ?? "Answered"} by ${ruleId ? "a permission rule" : (by ?? "a person")}`;
}

/** Return true for a call that an outside agent made with a tool of its own. */
const isOfAgent = (call: TranscriptEntry | undefined): boolean => call?.metadata?.origin === "agent";

/** An entry. `call` is the tool call of a result, or the entry itself. `author` writes the messages of the run. */
function TranscriptItem(props: { entry: TranscriptEntry; author: string; call: TranscriptEntry | undefined }): JSX.Element {
  const { entry, author, call } = props;
  const tool = visibleLine(call?.toolName ?? entry.toolName ?? "unknown");
  const who =
    entry.kind === "ask"
      ? `Asks a person${entry.toolName ? `: ${entry.toolName}` : ""}`
      : entry.kind === "answer"
        ? answerText(entry)
        : entry.kind === "tool-call"
          ? `Tool call${isOfAgent(call) ? ` (${entry.metadata?.kind})` : ""}: ${tool}`
          : entry.role === "tool"
            ? `Tool result: ${tool}`
            : (AUTHORS[entry.role] ?? author);
  return (
    <article class={`${entry.role} ${entry.kind} ${entry.isError ? "failed" : ""}`}>
      <header>
        {who} <time dateTime={entry.createdAt}>{clock(entry.createdAt)}</time>
        {entry.metadata?.asked === "false" && <b title="The agent made this call without asking."> not asked</b>}
        {entry.isError && <b> failed</b>}
        {entry.metadata?.credentials && <span> with the credentials: {entry.metadata.credentials}</span>}
        {entry.partial && <b> partial: it was cut off</b>}
      </header>
      {(isOfAgent(call) || (entry.kind === "ask" && isAgentTool(entry.toolName ?? ""))) && entry.content ? (
        <AgentsCall entry={entry} content={entry.content} />
      ) : entry.kind === "message" && entry.content ? (
        <Markdown text={entry.content} />
      ) : (
        <LongText text={entry.content ?? "(redacted)"} />
      )}
    </article>
  );
}

/** A call of an outside agent, or its result: changes of files are folded. */
function AgentsCall({ entry, content }: { entry: TranscriptEntry; content: string }): JSX.Element {
  const { output, diff } = useMemo(() => divideResult(content), [content]);
  const call = useMemo(
    () => (entry.kind === "tool-result" ? undefined : callText(entry.kind === "ask" ? "agent:ask" : `agent:${entry.metadata?.kind}`, content)),
    [content],
  );
  if (call && !call.parts.length) return <pre>{call.line}</pre>;
  if (call)
    return (
      <details>
        <summary class="mono">{call.line}</summary>
        <Call of={{ ...call, line: "" }} toolName={undefined} />
      </details>
    );
  return (
    <>
      {output && <LongText text={output} />}
      {diff && <FoldedDiff diff={diff} />}
    </>
  );
}
