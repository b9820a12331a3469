// The dialogs of an ask: allow always, and allow with changed arguments.

import type { Ask } from "@projectathena/client";
import { answerAsk } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { decisionOf, optionOfKey, rememberedText } from "../state/asks";
import { argumentsFault, callText, difference, pretty } from "../state/call_text";
import { type ActionSpec, withoutEmpty } from "./actions";
import { learn } from "./answering";
import { focusNext } from "./ask_keys";
import { Call } from "./call";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const SCOPES = [
  { value: "run", text: "This run" },
  { value: "session", text: "All runs of this session" },
  { value: "profile", text: "All runs of this agent (profile)" },
];

const DURATIONS = [
  { value: String(HOUR), text: "1 hour" },
  { value: String(8 * HOUR), text: "8 hours" },
  { value: String(DAY), text: "1 day" },
  { value: String(7 * DAY), text: "7 days" },
  { value: String(30 * DAY), text: "30 days" },
  { value: String(365 * DAY), text: "1 year" },
];

const NOTE = { name: "note", label: "Note", hint: "Recorded with the answer" };

function CallOf({ ask, json }: { ask: Ask; json: string }): JSX.Element {
  return <Call of={callText(ask.toolName ?? "", json)} toolName={ask.toolName} />;
}

const allowing = (ask: Ask): string => optionOfKey(ask, "y")?.id ?? "allow";

/** What follows an answer of a dialog. The dialog first gives the focus back to its button. */
function follow(ask: Ask): void {
  learn(ask);
  setTimeout(() => focusNext(ask.id), 0);
}

/** Return the action that allows a call, and the same calls to come. */
export function alwaysAction(ask: Ask): ActionSpec<Ask> {
  return {
    operation: answerAsk,
    label: "Allow always",
    subject: (values) => (
      <>
        <CallOf ask={ask} json={ask.arguments ?? ""} />
        <p>{rememberedText(ask, values.remember ?? "", Number(values.rememberForMs))}</p>
      </>
    ),
    fields: [
      { name: "remember", label: "Scope", kind: "choice", value: "run", options: SCOPES.filter(({ value }) => value !== "session" || ask.sessionId) },
      { name: "rememberForMs", label: "Duration", kind: "choice", value: String(8 * HOUR), options: DURATIONS },
      NOTE,
    ],
    request: ({ remember, rememberForMs, note }) => ({
      path: { askId: ask.id },
      body: { ...withoutEmpty({ note }), subjectHash: ask.subjectHash, optionId: allowing(ask), remember, rememberForMs: Number(rememberForMs) },
    }),
    done: () => "Allowed. A permission rule was created; the System page lists it.",
    after: follow,
  };
}

/** Return the action that allows a call with other arguments. */
export function editAction(ask: Ask): ActionSpec<Ask> {
  const asked = pretty(ask.arguments ?? "");
  return {
    operation: answerAsk,
    label: "Allow with changes",
    subject: ({ editedArguments = "" }) => (
      <>
        <p>The result that the agent gets says that a person changed the arguments.</p>
        {editedArguments !== asked && !argumentsFault(editedArguments) && (
          <Call of={{ line: "", parts: [{ title: "Changes", blocks: difference(asked, editedArguments) }], brief: true }} toolName={ask.toolName} />
        )}
      </>
    ),
    fields: [
      {
        ...{ name: "editedArguments", label: "Arguments (JSON)", kind: "json", rows: 12, value: asked, required: true },
        check: (text) => argumentsFault(text) ?? (text === asked ? "Nothing is changed yet." : undefined),
      },
      NOTE,
    ],
    request: ({ editedArguments = "", note }) => ({
      path: { askId: ask.id },
      body: { ...withoutEmpty({ note }), subjectHash: ask.subjectHash, optionId: allowing(ask), editedArguments: JSON.parse(editedArguments) },
    }),
    done: (data) => `${decisionOf(data) ?? "Allowed with changes"}.`,
    after: follow,
  };
}
