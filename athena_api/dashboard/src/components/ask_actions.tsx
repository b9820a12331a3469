// The dialogs of an ask: allow always, and allow with changed arguments.

import type { Ask } from "@projectathena/client";
import { answerAsk } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { decisionOf, optionOfKey, rememberedText } from "../state/asks";
import { argumentsFault, callText, difference, pretty } from "../state/call_text";
import { type Members, type Schema, textLine } from "../state/schema";
import type { ActionSpec } from "./actions";
import { learn } from "./answering";
import { focusNext } from "./ask_keys";
import { Call } from "./call";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const NOTE = textLine("Recorded with the answer");

/** Return the schema of a choice. */
const choice = (title: string, texts: Readonly<Record<string, string>>): Schema => ({
  type: "string",
  title,
  enum: Object.keys(texts),
  enumNames: Object.values(texts),
});

const DURATION = choice("Duration", {
  ...{ [HOUR]: "1 hour", [8 * HOUR]: "8 hours", [DAY]: "1 day", [7 * DAY]: "7 days" },
  ...{ [30 * DAY]: "30 days", [365 * DAY]: "1 year" },
});

function CallOf({ ask, json }: { ask: Ask; json: string }): JSX.Element {
  return <Call of={callText(ask.toolName ?? "", json)} toolName={ask.toolName} marks={ask} />;
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
        <p>{rememberedText(ask, String(values.remember), Number(values.rememberForMs))}</p>
      </>
    ),
    fields: {
      remember: choice("Scope", {
        run: "This run",
        ...(ask.sessionId && { session: "All runs of this session" }),
        profile: "All runs of this agent (profile)",
      }),
      rememberForMs: DURATION,
      note: NOTE,
    },
    required: ["remember", "rememberForMs"],
    start: { remember: "run", rememberForMs: String(8 * HOUR) },
    request: (values) => ({
      path: { askId: ask.id },
      body: { ...values, subjectHash: ask.subjectHash, optionId: allowing(ask), rememberForMs: Number(values.rememberForMs) },
    }),
    done: () => "Allowed. A permission rule was created; the System page lists it.",
    after: follow,
  };
}

/** Return the action that allows a call with other arguments. */
export function editAction(ask: Ask): ActionSpec<Ask> {
  const asked = pretty(ask.arguments ?? "");
  const edited = ({ editedArguments }: Members): string => String(editedArguments ?? "");
  const faultOf = (values: Members): string | undefined => argumentsFault(edited(values)) ?? (edited(values) === asked ? "Nothing is changed yet." : undefined);
  return {
    operation: answerAsk,
    label: "Allow with changes",
    subject: (values) => (
      <>
        <p>The result that the agent gets says that a person changed the arguments.</p>
        {!faultOf(values) && (
          <Call of={{ line: "", parts: [{ title: "Changes", blocks: difference(asked, edited(values)) }], brief: true }} toolName={ask.toolName} />
        )}
      </>
    ),
    fields: { editedArguments: { type: "string", title: "Arguments (JSON)", format: "json" }, note: NOTE },
    required: ["editedArguments"],
    start: { editedArguments: asked },
    check: (values) => {
      const reason = faultOf(values);
      return reason ? [{ field: "editedArguments", reason }] : [];
    },
    request: (values) => ({
      path: { askId: ask.id },
      body: { ...values, subjectHash: ask.subjectHash, optionId: allowing(ask), editedArguments: JSON.parse(edited(values)) },
    }),
    done: (data) => `${decisionOf(data) ?? "Allowed with changes"}.`,
    after: follow,
  };
}
