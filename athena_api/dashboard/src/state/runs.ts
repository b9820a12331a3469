// Runs as folds of their events: the row of a table, and a run at any moment of its life.

import type { SeenEvent } from "./event_stream";
import type { Run } from "../generated";

export const ENDINGS: Readonly<Record<string, string>> = {
  "run.completed": "completed",
  "run.failed": "failed",
  "run.cancelled": "cancelled",
  "run.timed-out": "timed-out",
  "run.crashed": "crashed",
};
export const OPEN = new Set(["queued", "running", "paused"]);
export const STATUSES = ["queued", "running", "paused", "completed", "failed", "cancelled", "timed-out", "crashed"];

export type RunState = "queued" | "running" | "paused";

/** What an event makes of a run that has not ended. */
export function stateAfter(type: string): RunState | undefined {
  switch (type) {
    case "run.queued":
      return "queued";
    case "run.created":
    case "run.resumed":
      return "running";
    case "run.paused":
      return "paused";
  }
  return undefined;
}

/** A field of a payload. */
export function text(event: SeenEvent, name: string): string {
  const value = event.payload[name];
  return typeof value === "string" ? value : "";
}

export function number(event: SeenEvent, name: string): number | undefined {
  const value = event.payload[name];
  return typeof value === "number" ? value : undefined;
}

/** The record of a run as it begins. */
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
    attempt: 0,
    evidenceCount: 0,
    links: { self, session: `/api/v1/sessions/${session}`, events: `/api/v1/events?runId=${runId}`, cancel: "" },
    budgetMicroUsd: number(event, "budgetMicroUsd") ?? null,
    waiting: event.type === "run.queued" ? { reason: text(event, "reason"), position: 0 } : null,
  };
}

/** The record after an event of the same run. */
export function applyEvent(run: Run, event: SeenEvent): Run {
  switch (event.type) {
    case "run.created":
      return { ...run, status: "running", waiting: null };
    case "run.leased":
      return { ...run, attempt: number(event, "attempt") ?? run.attempt };
    case "run.started":
      return { ...run, startedAt: run.startedAt ?? event.createdAt };
    case "usage.recorded":
      return { ...run, costMicroUsd: (run.costMicroUsd ?? 0) + (number(event, "costMicroUsd") ?? 0) };
    case "evidence.attached":
      return { ...run, evidenceCount: run.evidenceCount + 1 };
    case "run.paused":
      return { ...run, status: "paused", paused: { reason: text(event, "reason"), since: event.createdAt } };
    case "run.resumed":
      return { ...run, status: "running", paused: null, budgetMicroUsd: number(event, "budgetMicroUsd") ?? null };
  }
  const ended = ENDINGS[event.type];
  if (ended === undefined) return run;
  const code = text(event, "code");
  return {
    ...run,
    status: ended,
    finishedAt: event.createdAt,
    waiting: null,
    paused: null,
    verificationStatus: text(event, "verificationStatus") || null,
    error: code ? { code, message: text(event, "message"), retryable: event.payload["retryable"] === true } : null,
  };
}

/** A stretch of a run's life. */
export interface Span {
  readonly kind: "wait" | "start" | "model" | "tool" | "pause" | "check";
  readonly name: string;
  readonly from: number;
  /** Absent while it goes on. */
  to?: number;
  failed?: boolean;
  detail?: string;
  /** The event that began it. */
  readonly position: number;
}

/** A run as its events tell it, up to any of them. */
export interface RunTimeline {
  readonly status: string;
  readonly spans: readonly Span[];
  readonly turns: number;
  readonly toolCalls: number;
  readonly evidence: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly costMicroUsd: number;
  readonly budgetMicroUsd: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly cancelAsked: boolean;
  /** How long its clock ran, and since when it runs. */
  readonly elapsedMs: number;
  readonly runningSince: number | undefined;
}

const BRIEF_MS = 3; // what is shorter than that is a step between two events, not a stretch

/** The fold of a run's events. */
export function runTimeline(events: readonly SeenEvent[]): RunTimeline {
  const spans: Span[] = [];
  const tools = new Map<string, Span>();
  let open: Span | undefined; // a wait, a start or a pause
  let askedAt: number | undefined; // since when the model has been asked
  let askedBy = 0;
  let answeredAt: number | undefined; // since when its answer is looked at
  let status = "queued";
  let turns = 0;
  let toolCalls = 0;
  let evidence = 0;
  let inputTokens = 0;
  let outputTokens = 0;
  let costMicroUsd = 0;
  let budgetMicroUsd: number | undefined;
  let timeoutMs: number | undefined;
  let cancelAsked = false;
  let elapsedMs = 0;
  let runningSince: number | undefined;

  const close = (at: number): void => {
    if (open) open.to = at;
    open = undefined;
  };
  const begin = (kind: Span["kind"], name: string, event: SeenEvent, at: number): void => {
    close(at);
    open = { kind, name, from: at, position: event.position };
    spans.push(open);
  };
  const asking = (event: SeenEvent, at: number): void => {
    close(at);
    askedAt = at;
    askedBy = event.position;
    answeredAt = undefined;
  };
  const turned = (at: number | undefined, failed = false): void => {
    if (askedAt === undefined) return;
    const span: Span = { kind: "model", name: `turn ${++turns}`, from: askedAt, position: askedBy, failed };
    if (at !== undefined) span.to = at;
    spans.push(span);
    askedAt = undefined;
  };
  const working = (): boolean => [...tools.values()].some((tool) => tool.to === undefined);

  for (const event of events) {
    const at = new Date(event.createdAt).getTime();
    const turn = number(event, "turn");
    switch (event.type) {
      case "run.queued":
        budgetMicroUsd = number(event, "budgetMicroUsd");
        timeoutMs = number(event, "timeoutMs");
        begin("wait", `waits: ${text(event, "reason").replaceAll("-", " ")}`, event, at);
        break;
      case "run.created":
        status = "running";
        runningSince = at;
        budgetMicroUsd = number(event, "budgetMicroUsd");
        timeoutMs = number(event, "timeoutMs");
        begin("start", "starts", event, at);
        break;
      case "run.leased": {
        const attempt = number(event, "attempt") ?? 1;
        begin("start", attempt > 1 ? `attempt ${attempt}` : "starts", event, at);
        break;
      }
      case "run.started":
      case "memory.recalled":
        asking(event, at);
        break;
      case "usage.recorded": {
        const usage = (event.payload["usage"] ?? {}) as { inputTokens?: number; outputTokens?: number };
        inputTokens += usage.inputTokens ?? 0;
        outputTokens += usage.outputTokens ?? 0;
        costMicroUsd += number(event, "costMicroUsd") ?? 0;
        const failed = event.payload["failed"] === true;
        if (turn === undefined || turn > turns) turned(at, failed);
        const span = spans.findLast((one) => one.kind === "model");
        if (span) span.detail = `${text(event, "provider")} ${text(event, "model")}`;
        if (failed) asking(event, at);
        break;
      }
      case "tool.called": {
        if (turn === undefined || turn > turns) turned(at);
        answeredAt = undefined;
        const span: Span = { kind: "tool", name: text(event, "toolName") || "unknown tool", from: at, position: event.position };
        if (text(event, "refused")) {
          span.detail = `refused: ${text(event, "refused")}`;
          span.failed = true;
        }
        toolCalls++;
        tools.set(text(event, "toolCallId"), span);
        spans.push(span);
        break;
      }
      case "transcript.appended":
        if (text(event, "role") === "tool") {
          const span = tools.get(text(event, "toolCallId"));
          if (span) {
            span.to = at;
            if (event.payload["isError"] === true) span.failed = true;
          }
          if (!working()) asking(event, at);
        } else if (text(event, "role") === "assistant" && text(event, "kind") === "message") {
          turned(at);
          answeredAt = at;
        }
        break;
      case "evidence.attached":
        evidence++;
        break;
      case "run.cancel.requested":
        cancelAsked = true;
        break;
      case "run.paused":
        status = "paused";
        askedAt = answeredAt = undefined;
        if (runningSince !== undefined) elapsedMs += at - runningSince;
        runningSince = undefined;
        begin("pause", `paused: ${text(event, "reason").replaceAll("-", " ")}`, event, at);
        break;
      case "run.resumed":
        status = "running";
        runningSince = at;
        budgetMicroUsd = number(event, "budgetMicroUsd");
        asking(event, at);
        break;
      default: {
        const ended = ENDINGS[event.type];
        if (ended === undefined) break;
        status = ended;
        if (runningSince !== undefined) elapsedMs += at - runningSince;
        runningSince = undefined;
        if (open && ended !== "completed") open.failed = true;
        close(at);
        turned(at, true);
        for (const span of tools.values()) span.to ??= at;
        if (answeredAt !== undefined) spans.push({ kind: "check", name: "verification", from: answeredAt, to: at, position: event.position });
      }
    }
  }
  if (OPEN.has(status) && !working()) {
    if (answeredAt !== undefined) spans.push({ kind: "check", name: "verification", from: answeredAt, position: -1 });
    else turned(undefined);
  }
  const shown = spans.filter((span) => !(["start", "check"].includes(span.kind) && span.to !== undefined && span.to - span.from < BRIEF_MS));
  return {
    ...{ status, spans: shown, turns, toolCalls, evidence, inputTokens, outputTokens, costMicroUsd },
    ...{ budgetMicroUsd, timeoutMs, cancelAsked, elapsedMs, runningSince },
  };
}
