// The selected step of a run: what went in, what came out, and what decided.

import { useSignal } from "@preact/signals";
import type { Ask, Run, TranscriptEntry, Usage } from "@projectathena/client";
import { getAsk, getSentRequest } from "@projectathena/client/operations";
import type { ComponentChildren, JSX } from "preact";
import { useMemo } from "preact/hooks";
import { clock, count, dollars, duration, visible, words } from "../format";
import { href } from "../route";
import { decisionOf } from "../state/asks";
import { callText } from "../state/call_text";
import { divideResult } from "../state/diff";
import { eventSummary } from "../state/event_text";
import { number, positionOf, type SeenEvent, text } from "../state/events";
import { request } from "../state/instant";
import { useLiveQuery, useRead } from "../state/live_query";
import type { Step } from "../state/run_steps";
import type { Span } from "../state/run_timeline";
import { AskBody, useCall } from "./ask";
import { Call } from "./call";
import { FoldedDiff } from "./diff";
import { LongText, Markdown } from "./markdown";
import { Marked } from "./marked";
import type { LiveTranscript } from "./transcript";
import { Copy, Empty, Facts, Json, Loaded, RunLink, Status, Window } from "./ui";

const LINES_MAX = 30;
const MESSAGES_SHOWN = 20;

export interface DetailProps {
  readonly step: Step;
  readonly run: Run;
  /** The events until the shown moment. */
  readonly events: readonly SeenEvent[];
  /** The transcript until then. */
  readonly entries: readonly TranscriptEntry[];
  readonly writing: LiveTranscript["writing"]["value"];
  readonly children: readonly Run[];
  /** What the profile allows each tool. */
  readonly policies: Readonly<Record<string, unknown>>;
  readonly select: (key: string) => void;
}

export function StepDetail(props: DetailProps): JSX.Element {
  const { span } = props.step;
  const { kind } = span;
  const child = kind === "child" && props.children.find(({ runId }) => runId === span.callId);
  return (
    <>
      <header>
        <h2>{span.name}</h2>
        {span.failed && <span class="status failed">failed</span>}
        <a href={href("runs", props.run.runId, { tab: "conversation" })}>Conversation</a>
      </header>
      {kind === "model" ? (
        <TurnDetail {...props} />
      ) : kind === "tool" ? (
        <ToolDetail {...props} />
      ) : kind === "ask" ? (
        <AskDetail id={span.callId ?? ""} />
      ) : child ? (
        <ChildDetail run={child} />
      ) : (
        <Lines {...props} />
      )}
    </>
  );
}

const timeFacts = ({ from, to }: Span): readonly (readonly [string, ComponentChildren])[] => [
  ["Started", clock(new Date(from).toISOString())],
  ["Took", to === undefined ? undefined : duration(to - from)],
];

function Section({ title, children }: { title: ComponentChildren; children: ComponentChildren }): JSX.Element {
  return (
    <>
      <h3>{title}</h3>
      {children}
    </>
  );
}

function tokens({ inputTokens = 0, outputTokens = 0, cachedInputTokens, reasoningTokens }: Usage): string {
  const cached = cachedInputTokens ? ` (${count(cachedInputTokens)} cached)` : "";
  return `${count(inputTokens)} in${cached}, ${count(outputTokens)} out${reasoningTokens ? ` (${count(reasoningTokens)} reasoning)` : ""}`;
}

function TurnDetail({ step, run, events, entries, writing, select }: DetailProps): JSX.Element {
  const { span, children } = step;
  const { fact } = span;
  const next = nextTurn(events, span);
  const said = entries.filter(({ id, role, kind }) => role === "assistant" && kind === "message" && positionOf(id) > span.position && positionOf(id) <= next);
  const cost = fact && number(fact, "costMicroUsd");
  const requestId = fact && text(fact, "requestId");
  const first = fact && number(fact, "firstTokenMs");
  return (
    <>
      {said.map(({ id, content, partial }) => (
        <Section key={id} title={partial ? "Written until it was cut off" : "Written"}>
          {content ? <Markdown text={content} /> : <Empty>Redacted</Empty>}
        </Section>
      ))}
      {span.to === undefined && writing && (
        <article class="assistant writing" aria-live="polite">
          <h3>Writing …</h3>
          <pre class="prose">{writing.text}</pre>
        </article>
      )}
      {children.length > 0 && (
        <Section title="Calls">
          <ul class="list">
            {children.map(({ key, span: { name, failed } }) => (
              <li key={key}>
                <button type="button" class={`small ${failed ? "bad" : ""}`} onClick={() => select(key)}>
                  {name}
                </button>
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Facts
        of={[
          ["Model", span.detail],
          ...timeFacts(span),
          ["First token after", first && duration(first)],
          ["Tokens", fact && `${fact.payload.estimated ? "about " : ""}${tokens(fact.payload.usage as Usage)}`],
          ["Cost", cost !== undefined ? dollars(cost) : fact?.payload.unpriced ? "the model has no price" : undefined],
          ["Attempts", fact && number(fact, "attempts")],
          [
            "Request id",
            requestId && (
              <>
                <span class="mono">{visible(requestId)}</span> <Copy text={requestId} />
              </>
            ),
          ],
        ]}
      />
      {fact && span.turn && !run.agent && <Sent runId={run.runId} turn={span.turn} />}
    </>
  );
}

/** The request of a turn, compiled again from the log: read once it is opened. */
function Sent({ runId, turn }: { runId: string; turn: number }): JSX.Element {
  const open = useSignal(false);
  return (
    <details onToggle={({ currentTarget }) => (open.value = currentTarget.open)}>
      <summary>Messages as sent</summary>
      {open.value && <Messages runId={runId} turn={turn} />}
    </details>
  );
}

function Messages({ runId, turn }: { runId: string; turn: number }): JSX.Element {
  const live = useLiveQuery(
    `request ${runId} ${turn}`,
    () => request(getSentRequest, { path: { runId, turn: String(turn) } }),
    (had) => had,
  );
  const first = useSignal<number | undefined>(undefined);
  return (
    <Loaded live={live}>
      {({ messages, tools = [], withheld }) => {
        const from = first.value ?? Math.max(0, messages.length - MESSAGES_SHOWN);
        return (
          <>
            <Window of={messages} size={MESSAGES_SHOWN} first={from} what="messages" move={(to) => (first.value = to)} />
            {messages.slice(from, from + MESSAGES_SHOWN).map(({ role, content, calls }, index) => (
              <Section key={from + index} title={role}>
                {content && <LongText text={content} />}
                {calls?.map((call) => (
                  <Json key={call.id} value={`${call.name} ${call.arguments}`} />
                ))}
              </Section>
            ))}
            {withheld && <p class="warn">Your scope hides some of the messages.</p>}
            {tools.length > 0 && <p class="quiet">Tools: {tools.map(({ name }) => name).join(", ")}</p>}
          </>
        );
      }}
    </Loaded>
  );
}

/** Return the position at which the next turn begins. */
function nextTurn(events: readonly SeenEvent[], { turn = 0 }: Span): number {
  const next = events.find((event) => (number(event, "turn") ?? 0) > turn);
  return next?.position ?? Number.POSITIVE_INFINITY;
}

function ToolDetail({ step, run, events, entries, policies }: DetailProps): JSX.Element {
  const { span } = step;
  const call = entries.find(({ kind, toolCallId }) => kind === "tool-call" && toolCallId === span.callId);
  const result = entries.find(({ role, toolCallId }) => role === "tool" && toolCallId === span.callId);
  const { output, diff } = useMemo(() => divideResult(result?.content ?? ""), [result?.content]);
  const name = span.fact ? text(span.fact, "toolName") : "";
  const given = call?.content;
  const shown = useMemo(() => given && callText(call?.metadata.origin === "agent" ? `agent:${call.metadata.kind}` : name, given), [given, name]);
  return (
    <>
      <Decision step={step} events={events} policy={policies[name]} />
      <Section title="Arguments">{shown ? <Call of={shown} toolName={undefined} /> : <Empty>{run.redacted ? "Redacted" : "None"}</Empty>}</Section>
      <Section title={result?.isError ? <span class="bad">Result: failed</span> : "Result"}>
        {result ? result.content === null && <Empty>Redacted</Empty> : <Empty>{span.to === undefined ? "None yet" : "None"}</Empty>}
        {output && <LongText text={output} label="Result" />}
        {diff && <FoldedDiff diff={diff} open={60} />}
      </Section>
      <Facts of={[...timeFacts(span), ["Credentials", call?.metadata.credentials], ["Call id", <span class="mono">{visible(span.callId ?? "")}</span>]]} />
    </>
  );
}

/** The rule or the person that allowed a call, or refused it. */
function Decision({ step, events, policy }: { step: Step; events: readonly SeenEvent[]; policy: unknown }): JSX.Element {
  const { fact } = step.span;
  const refused = fact && text(fact, "refused");
  const askId = fact && text(fact, "askId");
  const answer = askId ? events.find((event) => event.type === "run.answered" && text(event, "askId") === askId) : undefined;
  const ruleId = answer && text(answer, "ruleId");
  const unasked = fact?.payload.origin === "agent" && fact.payload.asked === false;
  return (
    <>
      <p class={`decided ${refused ? "bad" : ""}`}>
        {refused
          ? `Refused: ${words(refused)}`
          : answer
            ? capital(eventSummary(answer))
            : unasked
              ? "The agent made this call without asking"
              : "The profile asks for no approval"}
        {ruleId && (
          <>
            : <a href={href("system")}>{ruleId}</a>
          </>
        )}
        {askId && (
          <>
            {" "}
            (<a href={href("asks", askId)}>the ask</a>)
          </>
        )}
      </p>
      {policy !== undefined && (
        <details>
          <summary>Policy of the profile for this tool</summary>
          <Json value={policy} />
        </details>
      )}
    </>
  );
}

const capital = (sentence: string): string => sentence.charAt(0).toUpperCase() + sentence.slice(1);

function AskDetail({ id }: { id: string }): JSX.Element {
  const live = useRead(getAsk, { path: { askId: id } }, (event) => event.payload.askId === id);
  return <Loaded live={live}>{(ask) => <AskText ask={ask} />}</Loaded>;
}

function AskText({ ask }: { ask: Ask }): JSX.Element {
  const call = useCall(ask);
  const decision = decisionOf(ask);
  return (
    <>
      <p class="decided">{decision ? `${decision}.` : "Waiting for a decision."}</p>
      <p>
        <strong>
          <Marked text={ask.question} of={ask} />
        </strong>
      </p>
      <AskBody ask={ask} call={call} />
      <Facts
        of={[
          ["Rule", ask.ruleId && <a href={href("system")}>{ask.ruleId}</a>],
          ["Note", ask.note && visible(ask.note)],
          ["Role", ask.role],
        ]}
      />
      <p>
        <a class={`button ${decision ? "" : "primary"}`} href={href("asks", ask.id)}>
          {decision ? "View the ask" : "Read and decide"}
        </a>
      </p>
    </>
  );
}

function ChildDetail({ run }: { run: Run }): JSX.Element {
  return (
    <>
      <p>
        <RunLink id={run.runId} /> <Status is={run.status} />
      </p>
      {run.inputPreview && <Section title="Input">{run.inputPreview}</Section>}
      <Section title="Answer">{run.outputPreview || run.error?.message || "None yet"}</Section>
      <Facts
        of={[
          ["Cost", run.costMicroUsd && dollars(run.costMicroUsd)],
          ["Model", run.model],
        ]}
      />
    </>
  );
}

/** The events of a step without a form of its own: a wait, a pause, a start. */
function Lines({ step: { span }, events }: DetailProps): JSX.Element {
  const shown = events.filter(({ position, createdAt }) => position >= span.position && Date.parse(createdAt) <= (span.to ?? Number.POSITIVE_INFINITY));
  return (
    <>
      <Facts of={[["Why", span.detail], ...timeFacts(span)]} />
      <ol class="ticker">
        {shown.slice(0, LINES_MAX).map((event) => (
          <li key={event.position}>
            <time dateTime={event.createdAt}>{clock(event.createdAt)}</time>
            <span>{eventSummary(event)}</span>
          </li>
        ))}
      </ol>
    </>
  );
}
