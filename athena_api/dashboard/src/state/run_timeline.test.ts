import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { SeenEvent } from "./events";
import { type RunTimeline, runTimeline } from "./run_timeline";

type Step = readonly [ms: number, type: string, payload?: Readonly<Record<string, unknown>>];

/** Return events of a run; each step has its milliseconds since the start. */
function eventsOf(steps: readonly Step[]): SeenEvent[] {
  return steps.map(([ms, type, payload = {}], index) => ({
    ...{ id: `e${index}`, type, payload, position: index + 1, runId: "run_1", sessionId: "s", traceId: "t", schemaVersion: 1 },
    createdAt: new Date(1_000_000 + ms).toISOString(),
  }));
}

function timelineOf(...steps: Step[]): RunTimeline {
  return runTimeline(eventsOf(steps));
}

/** Return the spans as text: kind, name, from-to in milliseconds, and whether it failed. */
function spansOf(timeline: RunTimeline): string[] {
  return timeline.spans.map(({ kind, name, from, to, failed }) => {
    const end = to === undefined ? "…" : String(to - 1_000_000);
    return `${kind} ${name} ${from - 1_000_000}-${end}${failed ? " failed" : ""}`;
  });
}

const CREATED: Step = [0, "run.created", { budgetMicroUsd: 500, timeoutMs: 60_000 }];
const LEASED: Step = [10, "run.leased", { attempt: 1 }];
const STARTED: Step = [20, "run.started"];
const answered = (ms: number): Step => [ms, "transcript.appended", { role: "assistant", kind: "message" }];
const called = (ms: number, id: string, turn: number): Step => [ms, "tool.called", { toolCallId: id, toolName: "shell", turn }];
const toolAnswered = (ms: number, id: string, isError = false): Step => [ms, "transcript.appended", { role: "tool", toolCallId: id, isError }];
const used = (ms: number, turn: number, failed = false): Step => [
  ms,
  "usage.recorded",
  { turn, failed, provider: "mock", model: "m", usage: { inputTokens: 3, outputTokens: 2 }, costMicroUsd: 7 },
];

test("a queued run has no elapsed time", () => {
  const timeline = timelineOf([0, "run.queued", { reason: "session-busy", budgetMicroUsd: 9, timeoutMs: 5 }]);
  deepEqual(spansOf(timeline), ["wait queued: session busy 0-…"]);
  deepEqual([timeline.status, timeline.elapsedMs, timeline.runningSince, timeline.budgetMicroUsd, timeline.timeoutMs], ["queued", 0, undefined, 9, 5]);
});

test("a turn spans request to response, and its usage names the model", () => {
  const timeline = timelineOf(CREATED, LEASED, STARTED, used(120, 1), answered(121), [150, "run.completed"]);
  deepEqual(spansOf(timeline), ["start start 0-10", "start start 10-20", "model turn 1 20-120", "check verification 121-150"]);
  equal(timeline.spans[2]?.detail, "mock m");
  deepEqual([timeline.status, timeline.turns, timeline.elapsedMs, timeline.runningSince], ["completed", 1, 150, undefined]);
  deepEqual([timeline.inputTokens, timeline.outputTokens, timeline.costMicroUsd], [3, 2, 7]);
});

test("the turn of a model call in progress is open", () => {
  deepEqual(spansOf(timelineOf(CREATED, STARTED)), ["start start 0-20", "model turn 1 20-…"]);
});

test("verification starts after the answer and lasts until the run ends", () => {
  deepEqual(spansOf(timelineOf(CREATED, STARTED, answered(100))).slice(1), ["model turn 1 20-100", "check verification 100-…"]);
});

test("the next turn starts when the last tool has finished", () => {
  const steps = [CREATED, STARTED, used(100, 1), called(101, "a", 1), called(102, "b", 1), toolAnswered(200, "a")];
  deepEqual(spansOf(timelineOf(...steps)).slice(1), ["model turn 1 20-100", "tool shell 101-200", "tool shell 102-…"]);
  const timeline = timelineOf(...steps, toolAnswered(300, "b", true));
  deepEqual(spansOf(timeline).slice(2), ["tool shell 101-200", "tool shell 102-300 failed", "model turn 2 300-…"]);
  equal(timeline.toolCalls, 2);
});

test("a rejected tool call is marked as failed", () => {
  const timeline = timelineOf(CREATED, STARTED, [50, "tool.called", { toolCallId: "a", refused: "no-egress", turn: 1 }]);
  deepEqual(spansOf(timeline).slice(1), ["model turn 1 20-50", "tool unknown tool 50-… failed"]);
  equal(timeline.spans[2]?.detail, "rejected: no-egress");
});

test("a failed model call belongs to its turn, which goes on", () => {
  const failed = [CREATED, STARTED, used(60, 1, true)] as const;
  deepEqual(spansOf(timelineOf(...failed)).slice(1), ["model turn 1, failed call 20-60 failed", "model turn 1 60-…"]);
  deepEqual(spansOf(timelineOf(...failed, [60, "run.failed"])).slice(1), ["model turn 1, failed call 20-60 failed"]);
  const repeated = timelineOf(CREATED, STARTED, answered(80), used(80, 1, true), used(80, 1), [90, "run.completed"]);
  deepEqual(spansOf(repeated).slice(1), ["model turn 1 20-80", "check verification 80-90"]);
  deepEqual([repeated.turns, repeated.spans[1]?.retries, repeated.inputTokens], [1, 1, 6]);
});

test("an answer that was cut off is not verified, and its turn failed", () => {
  const partial: Step = [70, "transcript.appended", { role: "assistant", kind: "message", partial: true }];
  deepEqual(spansOf(timelineOf(CREATED, STARTED, partial, used(70, 1, true), [75, "run.failed"])).slice(1), ["model turn 1 20-70 failed"]);
});

test("a pause does not count as elapsed time", () => {
  const paused = [CREATED, STARTED, [100, "run.paused", { reason: "budget-exhausted" }]] as const;
  const timeline = timelineOf(...paused);
  deepEqual(spansOf(timeline).slice(1), ["pause paused: budget exhausted 100-…"]);
  deepEqual([timeline.status, timeline.elapsedMs, timeline.runningSince], ["paused", 100, undefined]);
  const resumed = timelineOf(...paused, [400, "run.resumed", { budgetMicroUsd: 800 }]);
  deepEqual(spansOf(resumed).slice(1), ["pause paused: budget exhausted 100-400", "model turn 1 400-…"]);
  deepEqual([resumed.elapsedMs, resumed.runningSince, resumed.budgetMicroUsd], [100, 1_000_400, 800]);
});

test("the end of a run closes all open spans", () => {
  const timeline = timelineOf(CREATED, STARTED, used(50, 1), called(51, "a", 1), [60, "run.cancel.requested"], [90, "run.cancelled"]);
  deepEqual(spansOf(timeline).slice(1), ["model turn 1 20-50", "tool shell 51-90"]);
  deepEqual([timeline.status, timeline.cancelAsked], ["cancelled", true]);
  deepEqual(spansOf(timelineOf(CREATED, STARTED, [70, "run.timed-out"])).slice(1), ["model turn 1 20-70 failed"]);
  deepEqual(spansOf(timelineOf([0, "run.queued", { reason: "session-busy" }], [70, "run.cancelled"])), ["wait queued: session busy 0-70 failed"]);
});

test("a takeover by another executor is a new attempt", () => {
  const timeline = timelineOf(CREATED, LEASED, STARTED, [500, "run.leased", { attempt: 2 }]);
  deepEqual(spansOf(timeline), ["start start 0-10", "start start 10-20", "start attempt 2 500-…", "model turn 1 20-…"]);
});

test("very short steps are not spans", () => {
  deepEqual(spansOf(timelineOf(CREATED, [2, "run.leased"], [4, "run.started"], [5, "evidence.attached"])), ["model turn 1 4-…"]);
});

const ASKED: Step = [100, "run.asked", { askId: "ask_1", kind: "tool-permission", turn: 1, toolCallId: "c", toolName: "shell" }];
const DECIDED: Step = [400, "run.answered", { askId: "ask_1", cause: "person", by: "ada", optionId: "allow" }];
const DONE: readonly Step[] = [called(410, "c", 1), toolAnswered(500, "c"), answered(600), [610, "run.completed"]];

test("the time stands while a held run asks, and the call follows the answer", () => {
  const timeline = timelineOf(CREATED, STARTED, ASKED, used(100, 1), DECIDED, ...DONE);
  deepEqual(spansOf(timeline).slice(1), [
    "model turn 1 20-100",
    "ask asks: shell 100-400",
    "tool shell 410-500",
    "model turn 2 500-600",
    "check verification 600-610",
  ]);
  equal(timeline.spans[2]?.detail, "ada");
  equal(timeline.elapsedMs, 310);
});

test("a run that asks is not in a turn", () => {
  deepEqual(spansOf(timelineOf(CREATED, STARTED, ASKED, used(100, 1))).slice(1), ["model turn 1 20-100", "ask asks: shell 100-…"]);
});

test("a parked run waits in line after the answer, and continues with the call", () => {
  const parked: readonly Step[] = [[200, "run.paused", { reason: "ask" }], DECIDED, [401, "run.requeued", { reason: "concurrency" }]];
  const resumed: readonly Step[] = [
    [405, "run.resumed"],
    [406, "run.leased", { attempt: 1 }],
    [407, "run.started", { attempt: 1 }],
  ];
  const timeline = timelineOf(CREATED, STARTED, ASKED, used(100, 1), ...parked, ...resumed, ...DONE);
  deepEqual(spansOf(timeline).slice(1), [
    "model turn 1 20-100",
    "ask asks: shell 100-400",
    "pause parked 200-401",
    "wait queued: concurrency 401-405",
    "tool shell 410-500",
    "model turn 2 500-600",
    "check verification 600-610",
  ]);
  deepEqual([timeline.elapsedMs, timeline.budgetMicroUsd], [305, 500]);
});

test("a denied call has no bar of a tool, and the model goes on", () => {
  const timeline = timelineOf(CREATED, STARTED, ASKED, DECIDED, toolAnswered(401, "c", true));
  deepEqual(spansOf(timeline).slice(1), ["model turn 1 20-100", "ask asks: shell 100-400", "model turn 2 401-…"]);
});

test("the end of a run closes its asks", () => {
  deepEqual(spansOf(timelineOf(CREATED, STARTED, ASKED, [300, "run.cancelled"])).slice(1), ["model turn 1 20-100", "ask asks: shell 100-300"]);
});

test("a run in a workspace of its own says which, and when its changes are recorded", () => {
  const opened: Step = [25, "workspace.opened", { workspaceId: "wsp_1" }];
  const workspaceOf = (...steps: Step[]): unknown[] => [timelineOf(...steps).workspaceId, timelineOf(...steps).changed];
  deepEqual(workspaceOf(CREATED, STARTED), [undefined, false]);
  deepEqual(workspaceOf(CREATED, STARTED, opened), ["wsp_1", false]);
  deepEqual(workspaceOf(CREATED, STARTED, opened, [40, "workspace.changed", { workspaceId: "wsp_1", files: 0 }]), ["wsp_1", true]);
});

test("the last phase of the sandbox says how commands ran", () => {
  const phase = (phase: string, network = "none", reason?: string): string | undefined => {
    const [created, at] = eventsOf([CREATED, [30, "sandbox.lifecycle"]]);
    return created && at && runTimeline([created, { ...at, sandbox: { phase, network, reason } }]).sandbox;
  };
  equal(timelineOf(CREATED).sandbox, undefined);
  deepEqual([phase("ready"), phase("cleaned", "egress")], ["bubblewrap, without a network", "bubblewrap, with allowed hosts"]);
  equal(phase("fallback"), "none works on the worker: commands ran without one");
  equal(phase("fallback", "none", "not-installed"), "none works on the worker: commands ran without one (bubblewrap is not installed)");
  equal(phase("required-unavailable", "egress", "failed"), "none works on the worker, so the run failed (bubblewrap or the egress proxy failed)");
});

test("the MCP servers of a run are listed as they were started last", () => {
  const attached = (ms: number, more: object = {}): Step => [ms, "mcp.attached", { server: "git", transport: "stdio", protocolVersion: "2025-11-25", ...more }];
  const timeline = timelineOf(CREATED, LEASED, STARTED, attached(30, { tools: 12 }), attached(60, { tools: 11, refused: ["git_log"] }));
  deepEqual([...timeline.servers], [["git", { protocol: "stdio 2025-11-25", tools: 11, refused: ["git_log"] }]]);
  equal(timelineOf(CREATED).servers.size, 0);
});

test("an outside agent is shown with its restarts, and its calls by their kind", () => {
  const attached = (ms: number, how: string): Step => [ms, "agent.attached", { agent: "codex", agentVersion: "codex-acp 2.6.0", mode: "ask", how }];
  const agents: Step = [50, "tool.called", { toolCallId: "c", kind: "execute", origin: "agent", asked: false, turn: 1 }];
  const timeline = timelineOf(CREATED, LEASED, STARTED, attached(30, "new"), agents, attached(60, "resumed"), attached(70, "resumed"));
  deepEqual(timeline.agent, { name: "codex", version: "codex-acp 2.6.0", mode: "ask", first: "new", again: 2, last: "resumed" });
  equal(timeline.spans.find(({ kind }) => kind === "tool")?.name, "execute");
  equal(timelineOf(CREATED).agent, undefined);
});
