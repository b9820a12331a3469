// Run records as folds of events.

import type { Run, RunWait, Usage } from "@projectathena/client";
import { number, type SeenEvent, text } from "./events";
import { ENDINGS } from "./run_status";

/** Return the record of a new run. */
export function newRun(event: SeenEvent): Run {
  const runId = event.runId ?? "";
  const self = `/api/v1/runs/${runId}`;
  const session = text(event, "sessionId");
  return {
    runId,
    sessionId: session,
    status: event.type === "run.queued" ? "queued" : "running",
    createdAt: event.createdAt,
    directiveId: text(event, "directiveId"),
    harnessProfileId: text(event, "harnessProfileId"),
    provider: text(event, "provider"),
    model: text(event, "model"),
    agent: (event.payload.harnessProfileSnapshot as { agent?: { name: string } } | undefined)?.agent?.name,
    parentRunId: event.parentRunId,
    retryOf: event.retryOf,
    attempt: 0,
    evidenceCount: 0,
    links: { self, session: `/api/v1/sessions/${session}`, events: `/api/v1/events?runId=${runId}`, cancel: "" },
    budgetMicroUsd: number(event, "budgetMicroUsd"),
    waiting: event.type === "run.queued" ? { reason: text(event, "reason"), position: 0 } : undefined,
  };
}

function addUsage(had: Usage | undefined, event: SeenEvent): Usage {
  const { inputTokens = 0, outputTokens = 0 } = (event.payload.usage ?? {}) as Usage;
  return { ...had, inputTokens: (had?.inputTokens ?? 0) + inputTokens, outputTokens: (had?.outputTokens ?? 0) + outputTokens };
}

const asking = (asks: readonly string[], parked: boolean): RunWait => ({ reason: "ask", asks, parked });

/** A held run goes on with its last answer. A parked one waits to be resumed. */
function afterAnswer(run: Run, askId: string): Run {
  const { asks = [], parked = false } = run.waiting ?? {};
  const left = asks.filter((id) => id !== askId);
  return run.waiting?.reason === "ask" ? { ...run, waiting: left.length || parked ? asking(left, parked) : undefined } : run;
}

/** Return the record after an event of the same run. */
export function applyEvent(run: Run, event: SeenEvent): Run {
  switch (event.type) {
    case "run.created":
      return { ...run, status: "running", waiting: undefined };
    case "run.leased":
      return { ...run, waiting: undefined, attempt: number(event, "attempt") ?? run.attempt };
    case "run.started":
      return { ...run, startedAt: run.startedAt ?? event.createdAt };
    case "usage.recorded":
      return { ...run, costMicroUsd: (run.costMicroUsd ?? 0) + (number(event, "costMicroUsd") ?? 0), usage: addUsage(run.usage, event) };
    case "evidence.attached":
      return { ...run, evidenceCount: run.evidenceCount + 1 };
    case "run.asked":
      return { ...run, waiting: asking([...(run.waiting?.asks ?? []), text(event, "askId")], false) };
    case "run.answered":
      return afterAnswer(run, text(event, "askId"));
    case "run.paused": {
      const reason = text(event, "reason");
      const waiting = reason === "ask" ? asking(run.waiting?.asks ?? [], true) : undefined;
      return { ...run, status: "paused", paused: { reason, since: event.createdAt }, waiting };
    }
    case "run.requeued":
      return { ...run, waiting: { reason: text(event, "reason"), parked: true } };
    case "run.resumed":
      return { ...run, status: "running", paused: undefined, waiting: undefined, budgetMicroUsd: number(event, "budgetMicroUsd") ?? run.budgetMicroUsd };
  }
  const ended = ENDINGS[event.type];
  if (ended === undefined) return run;
  const code = text(event, "code");
  return {
    ...run,
    status: ended,
    finishedAt: event.createdAt,
    waiting: undefined,
    paused: undefined,
    verificationStatus: text(event, "verificationStatus") || undefined,
    error: code ? { code, message: text(event, "message"), retryable: event.payload.retryable === true } : undefined,
  };
}
