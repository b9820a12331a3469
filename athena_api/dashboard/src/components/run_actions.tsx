// The actions of runs: start, cancel and run again.

import type { Run } from "@projectathena/client";
import { cancelRunByRunId, createRun, resumeRun, retryRun } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { isGenerated, short, words } from "../format";
import { href } from "../route";
import { ENDINGS, UNSUCCESSFUL } from "../state/run_status";
import { type Schema, textLine } from "../state/schema";
import { Action, type ActionSpec } from "./actions";
import { Facts } from "./ui";

const INPUT_CHARS = 160;
const area = (description = ""): Schema => ({ type: "string", description });
/** The reason of an act. */
export const AUDITED = textLine("Recorded in the audit log");

/** Return the action that cancels a run. */
export function cancelAction({ runId, sessionId }: Run, input: string | undefined): ActionSpec<{ status: string }> {
  return {
    operation: cancelRunByRunId,
    label: "Cancel run",
    danger: true,
    question: "Stops the run with its child runs, model call and tool processes. Its history is kept.",
    subject: () => (
      <Facts
        of={[
          ["Run", <span class="mono">{runId}</span>],
          ["Session", sessionId],
          ["Input", input && `${input.slice(0, INPUT_CHARS)}${input.length > INPUT_CHARS ? "…" : ""}`],
        ]}
      />
    ),
    fields: { reason: AUDITED },
    request: (values) => ({ path: { runId }, body: values }),
    done: (data) => (data.status === "cancelled" ? "Cancel requested." : "The run had already ended."),
  };
}

/** Return the action that resumes a paused run. */
export function resumeAction(runId: string): ActionSpec<Run> {
  return {
    operation: resumeRun,
    label: "Resume run",
    question: "Continues the run with a new total budget.",
    fields: {
      budgetUsd: { type: "number", title: "Total budget in USD", minimum: 0, description: "Includes what the run has spent. Leave empty for no limit" },
    },
    request: (body) => ({ path: { runId }, body, respondAsync: true }),
    done: () => "Run resumed.",
    failure: () => (event) => {
      if (event.runId !== runId) return undefined;
      if (event.type === "run.paused") return "The run paused again.";
      return UNSUCCESSFUL.has(ENDINGS[event.type] ?? "") ? `The run ${words(ENDINGS[event.type] ?? "")} after it was resumed.` : undefined;
    },
  };
}

/** Return the action that starts a run again, with the same request except for the changes. `input` is the whole one, if known. */
export function retryAction({ runId, harnessProfileId, agentName, provider, model }: Run, input?: string): ActionSpec<unknown> {
  const agent = isGenerated(harnessProfileId) ? "none" : (agentName ?? short(harnessProfileId));
  return {
    operation: retryRun,
    label: "Run again",
    question: "Starts a new run with the same request. Change what should be different.",
    subject: () => <Facts of={[["Run", <span class="mono">{runId}</span>]]} />,
    fields: {
      input: area(input === undefined ? "Leave empty for the same input" : ""),
      harnessProfileId: textLine(`Leave empty for the same: ${agent}`),
      provider: textLine(`Leave empty for the same: ${provider}`),
      model: textLine(`Leave empty for the same: ${model}`),
      budgetUsd: { type: "number", minimum: 0, description: "Leave empty for the same" },
    },
    start: input === undefined ? {} : { input },
    request: ({ input: text, ...values }) => ({
      path: { runId },
      body: text === input ? values : { input: text, ...values },
      respondAsync: true,
    }),
    done: () => "Started again.",
    after: (data, { body = {} }) => {
      const again = (data as { runId: string }).runId;
      const other = ["harnessProfileId", "provider", "model"].some((name) => name in body);
      location.hash = other ? href("runs", runId, { compare: again }) : href("runs", again);
    },
  };
}

/** Return the action that starts a run. */
export function startAction(session: string | undefined): ActionSpec<unknown> {
  return {
    operation: createRun,
    label: "Start a run",
    fields: {
      input: area(),
      sessionId: textLine("Leave empty for a new session"),
      harnessProfileId: textLine("Leave empty for none"),
      provider: textLine("Without an agent. Leave empty for the default"),
      model: textLine("Without an agent. Leave empty for the default"),
    },
    required: ["input"],
    start: session ? { sessionId: session } : {},
    request: (body) => ({ body, respondAsync: true }),
    done: () => "Run accepted.",
    after: (data) => {
      const { runId } = data as { runId: string }; // with `respond-async`, the response is the run record
      location.hash = href("runs", runId);
    },
  };
}

export const StartRun = ({ session }: { session?: string | undefined }): JSX.Element => <Action action={startAction(session)} />;
