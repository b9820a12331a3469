// The actions of runs: start, cancel and run again.

import type { Run } from "@projectathena/client";
import { cancelRunByRunId, createRun, listHarnessProfiles, listRuns, retryRun } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { isGenerated, plain, short } from "../format";
import { href } from "../route";
import { capabilities } from "../state/event_stream";
import { request } from "../state/instant";
import { Action, type ActionSpec, type Option, withoutEmpty } from "./actions";
import { Facts } from "./ui";

const INPUT_CHARS = 160;

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
    fields: [{ name: "reason", label: "Reason", hint: "Recorded in the audit log" }],
    request: (values) => ({ path: { runId }, body: withoutEmpty({ reason: values.reason }) }),
    done: (data) => (data.status === "cancelled" ? "Cancel requested." : "The run had already ended."),
  };
}

/** Return the action that starts a run again, with the same request except for the changes. `input` is the whole one, if known. */
export function retryAction({ runId, harnessProfileId, agentName, provider, model }: Run, input?: string): ActionSpec<unknown> {
  const agent = isGenerated(harnessProfileId) ? "none" : plain(agentName ?? short(harnessProfileId));
  return {
    operation: retryRun,
    label: "Run again",
    question: "Starts a new run with the same request. Change what should be different.",
    subject: () => <Facts of={[["Run", <span class="mono">{runId}</span>]]} />,
    fields: [
      { name: "input", label: "Input", kind: "area", value: input ?? "", hint: input === undefined ? "Leave empty for the same input" : "" },
      { name: "harnessProfileId", label: "Agent (profile)", kind: "choice", options: () => profiles(`As before (${agent})`) },
      { name: "provider", label: "Provider", hint: `Leave empty for the same: ${provider}`, options: capabilities.value?.providers ?? [] },
      { name: "model", label: "Model", hint: `Leave empty for the same: ${model}`, options: models },
      { name: "budgetUsd", label: "Budget in USD", kind: "number", hint: "Leave empty for the same" },
    ],
    request: ({ input: text, budgetUsd, ...values }) => ({
      path: { runId },
      body: withoutEmpty({ ...values, input: text === input ? undefined : text, budgetUsd: budgetUsd ? Number(budgetUsd) : undefined }),
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

/** Return the agents by name, newest first; the first option is none of them. */
async function profiles(first: string): Promise<readonly Option[]> {
  const none = { value: "", text: first };
  const { items } = (await request(listHarnessProfiles, { query: { limit: OPTIONS_MAX } })).data;
  return [none, ...items.map(({ id, displayName, agent }) => ({ value: id, text: `${displayName}${agent ? ` by ${agent.name}` : ""} (…${id.slice(-6)})` }))];
}

/** Return the models of agents and recent runs. */
async function models(): Promise<readonly Option[]> {
  const profiles = (await request(listHarnessProfiles, { query: { limit: OPTIONS_MAX } })).data.items;
  const runs = (await request(listRuns, { query: { limit: 50 } })).data.items;
  return [...new Set([...profiles.map(({ config }) => config.model), ...runs.map(({ model }) => model)])].filter(Boolean).sort();
}

/** Return recent sessions. */
async function sessions(): Promise<readonly Option[]> {
  const { items } = (await request(listRuns, { query: { limit: 50 } })).data;
  return [...new Set(items.map(({ sessionId }) => sessionId))];
}

const OPTIONS_MAX = 200;

/** Return the action that starts a run. */
export function startAction(session: string | undefined): ActionSpec<unknown> {
  return {
    operation: createRun,
    label: "Start a run",
    fields: [
      { name: "input", label: "Input", kind: "area", required: true },
      { name: "sessionId", label: "Session", value: session ?? "", hint: "Leave empty for a new session", options: sessions },
      { name: "harnessProfileId", label: "Agent (profile)", kind: "choice", options: () => profiles("None") },
      { name: "provider", label: "Provider", hint: "Without an agent. Leave empty for the default", options: capabilities.value?.providers ?? [] },
      { name: "model", label: "Model", hint: "Without an agent. Leave empty for the default", options: models },
    ],
    request: (values) => ({ body: withoutEmpty(values), respondAsync: true }),
    done: () => "Run accepted.",
    after: (data) => {
      const { runId } = data as { runId: string }; // with `respond-async`, the response is the run record
      location.hash = href("runs", runId);
    },
  };
}

export const StartRun = ({ session }: { session?: string | undefined }): JSX.Element => <Action action={startAction(session)} />;
