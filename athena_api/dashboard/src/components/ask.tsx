// An ask: what a person decides about, the buttons that answer it, and lists of asks.

import { useSignal } from "@preact/signals";
import type { Ask, AskChoice } from "@projectathena/client";
import { answerAsk } from "@projectathena/client/operations";
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { words } from "../format";
import { at, href } from "../route";
import { askingServer, asksInPlace, decisionOf, isAllowing, isLocked, isYesOrNo, optionOfKey, refusalOf } from "../state/asks";
import { type CallText, callText, exactText } from "../state/call_text";
import { caller, isAllowed } from "../state/caller";
import { touchOnly } from "../state/hold";
import { Action } from "./actions";
import { type AnswerBody, answer, latest, openExact, relearn, sending } from "./answering";
import { alwaysAction, editAction } from "./ask_actions";
import { AskForm } from "./ask_form";
import { focusNext, receiveKeys } from "./ask_keys";
import { Call } from "./call";
import { Hidden, Marked } from "./marked";
import { notify } from "./notices";
import { Json, RunLink, SessionLink, Status, Time } from "./ui";

/** What a person decides about, in full. */
export function AskBody({ ask, call, whole = true }: { ask: Ask; call: CallText | undefined; whole?: boolean }): JSX.Element {
  return (
    <>
      {call && <Call of={call} toolName={ask.toolName} marks={ask} />}
      {isLocked(ask) ? <Hidden spans={ask.hidden} /> : ask.hidden && <p class="quiet">This is the exact text: nothing is hidden.</p>}
      {ask.credentials && <p class="quiet">With the credentials: {ask.credentials.join(", ")}</p>}
      {whole && ask.kind === "workflow-approval" && <Approval ask={ask} />}
      {(!whole || ask.redacted) && <p class="quiet">{ask.redacted ? "The text was redacted." : "Open it to read all of it."}</p>}
    </>
  );
}

function Approval({ ask }: { ask: Ask }): JSX.Element {
  return (
    <div class="subject">
      {ask.subject ? (
        <pre tabIndex={0} aria-label="Text to approve">
          {ask.subject}
        </pre>
      ) : (
        <p class="quiet">{ask.redacted ? "The text was redacted." : ask.status === "open" ? "The steps before have no output." : "The text was replaced."}</p>
      )}
      {ask.truncated && <p class="quiet">A part is cut. The runs of the steps before show it in full.</p>}
      {ask.input && (
        <>
          <p class="quiet">Input of the workflow:</p>
          <Json value={ask.input} />
        </>
      )}
    </div>
  );
}

/** Return the call that an ask is about, or the exact text of a question that was opened. */
export function useCall({ toolName, arguments: given, kind, exact }: Ask): CallText | undefined {
  return useMemo(() => {
    if (kind === "tool-permission") return toolName && given !== undefined ? callText(toolName, given) : undefined;
    return exact === undefined ? undefined : exactText(exact);
  }, [toolName, given, kind, exact]);
}

const BRIEF_CHARS = 600;

/** Return true if a card shows all that an ask is about. */
function isShown(ask: Ask, call: CallText | undefined): boolean {
  if (ask.truncated || ask.redacted) return false;
  if (ask.kind === "tool-permission") return call?.brief ?? false;
  return ask.kind !== "workflow-approval" || ((ask.subject ?? "").length <= BRIEF_CHARS && !ask.input);
}

/** Return why the caller may not decide an ask, if this page knows. The past needs no words. */
function refusalHere(ask: Ask): string | undefined {
  if (at.value !== undefined) return "";
  if (!isAllowed(answerAsk)) return "Your role does not allow you to answer.";
  return caller.value && refusalOf(ask, caller.value);
}

/** The buttons of an ask, or why there are none. `note` is what to record with the answer. */
export function Answers(props: { ask: Ask; shown: boolean; note?: string; brief?: boolean }): JSX.Element | null {
  const { ask, shown, note, brief = false } = props;
  const decision = decisionOf(ask);
  const refusal = refusalHere(ask);
  if (decision) return <p class="decision">{decision}.</p>;
  if (refusal !== undefined) return refusal ? <p class="quiet">{refusal}</p> : null;
  const busy = sending.value.has(ask.id);
  const send = (body: AnswerBody): void => void answerAndMove(ask, note ? { ...body, note } : body);
  const locked = isLocked(ask);
  const buttons = ask.options
    .filter((option) => !isAllowing(option) || (shown && ask.kind !== "question"))
    .map((option) => <OptionButton key={option.id} ask={ask} option={option} busy={busy} choose={({ id }) => send({ optionId: id })} />);
  if (ask.kind === "question" && !brief && !locked)
    return (
      <AskForm ask={ask} disabled={busy} submit={(values) => send({ values })}>
        {buttons}
      </AskForm>
    );
  return (
    <p class="answers">
      {!shown && (
        <a class="button primary" href={href("asks", ask.id)}>
          Read and decide
        </a>
      )}
      {shown && locked && (
        <button type="button" class="primary" aria-keyshortcuts="e" title="Key: e. This is recorded." onClick={() => void openExact(ask)}>
          Show the exact text
        </button>
      )}
      {buttons}
      {shown && ask.kind === "tool-permission" && !ask.hidden && <Action action={alwaysAction(ask)} label="Always" />}
      {shown && ask.kind === "tool-permission" && !locked && ask.editable !== false && <Action action={editAction(ask)} label="Edit" />}
      {shown && ask.kind === "tool-permission" && ask.hidden && <span class="quiet">Not always: the shown text hides a part, so each such call is asked.</span>}
    </p>
  );
}

const NAMES: Readonly<Record<string, string>> = { allow: "Allow", deny: "Deny", approve: "Approve", reject: "Reject", decline: "Decline" };

function OptionButton(props: { ask: Ask; option: AskChoice; busy: boolean; choose: (option: AskChoice) => void }): JSX.Element {
  const { ask, option, busy, choose } = props;
  const key = ["y", "n"].find((one) => optionOfKey(ask, one)?.id === option.id);
  const locked = isAllowing(option) && isLocked(ask);
  const style = isAllowing(option) ? (isYesOrNo(ask) && !locked ? "primary" : "") : "danger";
  const title = locked ? "Show the exact text first" : key && `Key: ${key}`;
  const named = <Marked text={option.name ?? option.id} of={ask} />;
  return (
    <button type="button" class={style} disabled={busy || locked} aria-keyshortcuts={key} title={title} onClick={() => choose(option)}>
      {ask.kind === "choice" && isAllowing(option) ? named : (NAMES[option.id] ?? named)}
    </button>
  );
}

async function answerAndMove(ask: Ask, body: AnswerBody): Promise<void> {
  const inside = document.activeElement?.closest<HTMLElement>("[data-ask]")?.dataset.ask === ask.id;
  if ((await answer(ask, body)) && inside) setTimeout(() => focusNext(ask.id), 0); // by then the next card is shown
}

/** Return what a key does to an ask. What a card does not show in full is opened, not allowed. */
function keyOf(ask: Ask, shown: boolean, note: string): (key: string) => void {
  return (key) => {
    if (ask.status !== "open" || refusalHere(ask) !== undefined) return;
    const option = /\d/.test(key) ? (ask.kind === "choice" ? ask.options.find(({ id }) => id === key) : undefined) : optionOfKey(ask, key);
    const locked = isLocked(ask);
    if (key === "e" && locked && shown) void openExact(ask);
    else if (((key === "e" && locked) || (option && isAllowing(option))) && !shown) {
      location.hash = href("asks", ask.id);
      notify("The list does not show all of it. Read it here; then y allows it.");
    } else if (option && locked && isAllowing(option)) notify("A part is hidden. Show the exact text first: e.");
    else if (option) void answerAndMove(ask, { optionId: option.id, ...(note && { note }) });
    else if (key === "y" && ask.kind === "question") {
      const field = document.querySelector<HTMLElement>(`[data-ask="${ask.id}"] form :is(textarea, input, select)`);
      if (field) field.focus();
      else location.hash = href("asks", ask.id);
    }
  };
}

/** The element of an ask that receives keys. */
export function AskArticle(props: { ask: Ask; shown: boolean; children: ComponentChildren; class?: string; focused?: boolean; note?: string }): JSX.Element {
  const { ask, shown, note = "" } = props;
  const element = useRef<HTMLElement>(null);
  useLayoutEffect(() => receiveKeys(ask.id, keyOf(ask, shown, note)), [ask, shown, note]);
  useLayoutEffect(() => {
    if (props.focused) element.current?.focus({ preventScroll: true });
  }, [ask.id]);
  const open = ask.status === "open" && refusalHere(ask) === undefined;
  return (
    <article
      ref={element}
      class={`ask ${props.class ?? ""} ${ask.status === "open" ? "" : "over"}`}
      tabIndex={0}
      data-ask={ask.id}
      data-open={open ? "" : undefined}
      aria-labelledby={`ask-${ask.id}`}
    >
      {props.children}
    </article>
  );
}

function AskCard({ ask: given, brief }: { ask: Ask; brief: boolean }): JSX.Element {
  const ask = latest(given);
  const call = useCall(ask);
  const shown = isShown(ask, call) && !(brief && ask.kind === "question");
  return (
    <AskArticle ask={ask} shown={shown}>
      <header>
        <h3 id={`ask-${ask.id}`}>
          <a href={href("asks", ask.id)}>
            <Marked text={ask.question} of={ask} />
          </a>
        </h3>
        {ask.status !== "open" && <Status is={ask.status} />}
      </header>
      {(shown || ask.kind !== "question") && <AskBody ask={ask} call={shown || !call ? call : { ...call, parts: [] }} whole={shown} />}
      <AskContext ask={ask} />
      <Answers ask={ask} shown={shown} brief={brief} />
    </AskArticle>
  );
}

/** Who asks, where, since when, and until when. */
export function AskContext({ ask }: { ask: Ask }): JSX.Element {
  const server = askingServer(ask);
  return (
    <p class="context quiet">
      {server && <b title="The model did not write this question.">asked by the MCP server {server}</b>}
      {ask.agentName && <span>{ask.agentName}</span>}
      {ask.runId && (
        <span>
          run <RunLink id={ask.runId} />
        </span>
      )}
      {ask.workflowRunId && (
        <span>
          <a href={href("workflows", ask.workflowRunId)}>workflow step {ask.stepId}</a>
        </span>
      )}
      {ask.sessionId && (
        <span class="more">
          session <SessionLink id={ask.sessionId} />
        </span>
      )}
      {ask.requestedBy && <span class="more">started by {ask.requestedBy}</span>}
      <span>
        asked <Time at={ask.askedAt} />
      </span>
      {ask.expiresAt && ask.status === "open" && (
        <span>
          expires <Time at={ask.expiresAt} upcoming />
        </span>
      )}
      {ask.parked && (
        <span class="more" title="The run gave its slot back. It continues after the answer.">
          parked
        </span>
      )}
    </p>
  );
}

/** Asks as cards, oldest first. They keep their places while the pointer is over the list. A `brief` one has no form. */
export function AskCards({ asks, most, brief = false }: { asks: readonly Ask[]; most?: number; brief?: boolean }): JSX.Element {
  const over = useSignal(false);
  const inside = useSignal<string | undefined>(undefined);
  const had = useRef<readonly Ask[]>([]);
  const open = asks.filter((ask) => latest(ask).status === "open").slice(0, most);
  const seen = new Map(asks.map((ask) => [ask.id, ask]));
  const before = had.current.map((ask) => seen.get(ask.id) ?? ask);
  const rows = asksInPlace(before, open, (id) => over.value || touchOnly || inside.value === id);
  had.current = rows;
  const gone = rows.find((ask) => !seen.has(ask.id) && latest(ask).status === "open")?.id;
  useLayoutEffect(() => {
    if (gone) void relearn(gone); // the list does not say what became of it
  }, [gone]);
  return (
    <div
      class={brief ? "asks tight" : "asks"}
      onPointerEnter={(event: PointerEvent) => {
        over.value = event.pointerType !== "touch";
      }}
      onPointerLeave={() => {
        over.value = false;
      }}
      onFocusIn={(event: FocusEvent) => {
        inside.value = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-ask]")?.dataset.ask : undefined;
      }}
      onFocusOut={() => {
        inside.value = undefined;
      }}
    >
      {rows.map((ask) => (
        <AskCard key={ask.id} ask={ask} brief={brief} />
      ))}
    </div>
  );
}

/** The keys of a list of asks, or of `one`. */
export function AskKeys({ one }: { one?: Ask | undefined }): JSX.Element | null {
  if (at.value !== undefined) return null;
  return (
    <span class="quiet opt">
      {!one && (
        <>
          <kbd>j</kbd> <kbd>k</kbd> move,{" "}
        </>
      )}
      {one && isLocked(latest(one)) && (
        <>
          <kbd>e</kbd> exact text,{" "}
        </>
      )}
      <kbd>y</kbd> allow, <kbd>n</kbd> deny
    </span>
  );
}

export const kindText = ({ kind }: Ask): string => words(kind);
