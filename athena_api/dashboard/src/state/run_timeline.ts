// The timeline of a run, folded from its events up to any point.

import { words } from "../format";
import { number, type SeenEvent, text } from "./events";
import { ENDINGS, OPEN } from "./run_status";

/** A step of a run, with its time. */
export interface Span {
  readonly kind: "wait" | "start" | "model" | "tool" | "ask" | "pause" | "check" | "child";
  readonly name: string;
  readonly from: number;
  /** Absent while in progress. */
  to?: number;
  failed?: boolean;
  detail?: string;
  /** The position of the first event. */
  readonly position: number;
  /** The id of a tool call, an ask or a child run. */
  readonly callId?: string;
  /** The number of the model's turn. */
  readonly turn?: number;
  /** The number of calls of the turn that failed before the one that answered. */
  retries?: number;
  /** The event with the facts of the step: the usage of a turn, or the call of a tool. */
  fact?: SeenEvent;
}

/** The outside agent of a run. */
export interface AttachedAgent {
  readonly name: string;
  readonly version: string;
  readonly mode: string;
  /** How its first process in this run got its session, and how often it was attached again, and how the last time. */
  readonly first: string;
  readonly again: number;
  readonly last: string;
}

/** An MCP server that the run uses. */
export interface AttachedServer {
  readonly protocol: string;
  readonly tools: number;
  /** The names of tools that were refused because they changed. */
  readonly refused: readonly string[];
}

/** The state of a run after some of its events. */
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
  /** The last phase of the sandbox of its commands, in words. */
  readonly sandbox: string | undefined;
  /** The id of its own workspace. */
  readonly workspaceId: string | undefined;
  /** True once its changes are recorded. */
  readonly changed: boolean;
  /** The outside agent, once its session is open. */
  readonly agent: AttachedAgent | undefined;
  /** The MCP servers that were started for it, by name. */
  readonly servers: Map<string, AttachedServer>;
  /** The time spent running, without the current interval, and the start of that interval. */
  readonly elapsedMs: number;
  readonly runningSince: number | undefined;
}

const PHASES: Readonly<Record<string, string>> = {
  fallback: "none works on the worker: commands ran without one",
  "required-unavailable": "none works on the worker, so the run failed",
};
const LACKS: Readonly<Record<string, string>> = {
  "not-supported": " (the machine is not supported)",
  "not-installed": " (bubblewrap is not installed)",
  failed: " (bubblewrap or the egress proxy failed)",
};

/** Say how the commands of a run were isolated. */
export function sandboxText({ sandbox }: SeenEvent): string {
  const phase = PHASES[String(sandbox?.phase)];
  return phase !== undefined
    ? phase + (LACKS[String(sandbox?.reason)] ?? "")
    : sandbox?.network === "egress"
      ? "bubblewrap, with allowed hosts"
      : "bubblewrap, without a network";
}

function serverOf(event: SeenEvent): AttachedServer {
  const { refused } = event.payload;
  const protocol = [text(event, "transport"), text(event, "protocolVersion")].filter(Boolean).join(" ");
  return { protocol, tools: number(event, "tools") ?? 0, refused: Array.isArray(refused) ? refused.map(String) : [] };
}

const BRIEF_MS = 3; // shorter spans are not shown

/** Fold the events of a run. */
export function runTimeline(events: readonly SeenEvent[]): RunTimeline {
  const builder = new TimelineBuilder();
  for (const event of events) builder.apply(event);
  return builder.build();
}

interface ModelCall {
  readonly since: number;
  readonly position: number;
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

class TimelineBuilder {
  readonly #run: Writable<Omit<RunTimeline, "spans" | "turns">> = {
    ...{ status: "queued", toolCalls: 0, evidence: 0, inputTokens: 0, outputTokens: 0, costMicroUsd: 0, elapsedMs: 0 },
    ...{ cancelAsked: false, changed: false, budgetMicroUsd: undefined, timeoutMs: undefined, sandbox: undefined },
    ...{ workspaceId: undefined, agent: undefined, runningSince: undefined },
    servers: new Map<string, AttachedServer>(),
  };
  #turns = 0;
  readonly #spans: Span[] = [];
  readonly #tools = new Map<string, Span>(); // by the id of the call
  #open: Span | undefined; // of kind wait, start or pause
  #call: ModelCall | undefined; // while in progress
  #answeredAt: number | undefined; // the start of the verification
  readonly #asks = new Map<string, Span>(); // open ones, by their id
  readonly #askedCalls = new Set<string>(); // ids of tool calls that wait for an answer, or for their result after it

  apply(event: SeenEvent): void {
    const at = new Date(event.createdAt).getTime();
    switch (event.type) {
      case "run.queued":
        this.#limit(event);
        this.#begin("wait", `queued: ${words(text(event, "reason"))}`, event, at);
        break;
      case "run.created":
        this.#limit(event);
        this.#startClock(at);
        this.#begin("start", "start", event, at);
        break;
      case "run.leased": {
        const attempt = number(event, "attempt") ?? 1;
        this.#begin("start", attempt > 1 ? `attempt ${attempt}` : "start", event, at);
        break;
      }
      case "run.started":
      case "memory.recalled":
        this.#callModel(event, at);
        break;
      case "usage.recorded":
        this.#addUsage(event, at);
        break;
      case "tool.called":
        this.#callTool(event, at);
        break;
      case "run.asked":
        this.#ask(event, at);
        break;
      case "run.answered":
        this.#answer(event, at);
        break;
      case "run.requeued":
        this.#begin("wait", `queued: ${words(text(event, "reason"))}`, event, at);
        break;
      case "transcript.appended":
        this.#takeEntry(event, at);
        break;
      case "evidence.attached":
        this.#run.evidence++;
        break;
      case "run.cancel.requested":
        this.#run.cancelAsked = true;
        break;
      case "run.paused":
        this.#run.status = "paused";
        this.#call = this.#answeredAt = undefined;
        this.#stopClock(at);
        this.#begin("pause", text(event, "reason") === "ask" ? "parked" : `paused: ${words(text(event, "reason"))}`, event, at);
        break;
      case "run.resumed":
        this.#run.budgetMicroUsd = number(event, "budgetMicroUsd") ?? this.#run.budgetMicroUsd;
        this.#startClock(at);
        this.#callModel(event, at);
        break;
      default:
        this.#takePlace(event);
        this.#end(ENDINGS[event.type], event, at);
    }
  }

  build(): RunTimeline {
    const spans = this.#spans.filter((span) => !(["start", "check"].includes(span.kind) && span.to !== undefined && span.to - span.from < BRIEF_MS));
    if (OPEN.has(this.#run.status) && !this.#toolRuns()) {
      if (this.#answeredAt !== undefined) spans.push({ kind: "check", name: "verification", from: this.#answeredAt, position: -1 });
      else if (this.#call) spans.push(this.#turn(this.#call, false));
    }
    const turns = this.#turns + (spans.at(-1)?.to === undefined && spans.at(-1)?.kind === "model" ? 1 : 0);
    return { ...this.#run, spans, turns };
  }

  /** Take what an event says about where the run works. */
  #takePlace(event: SeenEvent): void {
    if (event.type === "sandbox.lifecycle") this.#run.sandbox = sandboxText(event);
    if (event.type === "workspace.opened") this.#run.workspaceId = text(event, "workspaceId");
    if (event.type === "workspace.changed") this.#run.changed = true;
    if (event.type === "agent.attached") this.#attach(event);
    if (event.type === "mcp.attached") this.#run.servers.set(text(event, "server"), serverOf(event));
  }

  #attach(event: SeenEvent): void {
    const [name, version, mode, how] = ["agent", "agentVersion", "mode", "how"].map((field) => text(event, field)) as [string, string, string, string];
    this.#run.agent = { name, version, mode, first: this.#run.agent?.first ?? how, again: this.#run.agent ? this.#run.agent.again + 1 : 0, last: how };
  }

  #limit(event: SeenEvent): void {
    this.#run.budgetMicroUsd = number(event, "budgetMicroUsd");
    this.#run.timeoutMs = number(event, "timeoutMs");
  }

  #startClock(at: number): void {
    this.#run.status = "running";
    this.#run.runningSince = at;
  }

  #stopClock(at: number): void {
    if (this.#run.runningSince !== undefined) this.#run.elapsedMs += at - this.#run.runningSince;
    this.#run.runningSince = undefined;
  }

  #begin(kind: Span["kind"], name: string, event: SeenEvent, at: number): void {
    this.#close(at);
    this.#open = { kind, name, from: at, position: event.position };
    this.#spans.push(this.#open);
  }

  #close(at: number): void {
    if (this.#open) this.#open.to = at;
    this.#open = undefined;
  }

  #callModel(event: SeenEvent, at: number): void {
    this.#close(at);
    if (this.#askedCalls.size) return; // a call that was asked about comes first
    this.#call = { since: at, position: event.position };
    this.#answeredAt = undefined;
  }

  /** End the current model call. */
  #endTurn(at: number, failed = false): void {
    if (this.#call) this.#spans.push({ ...this.#turn(this.#call, failed), to: at });
    if (this.#call) this.#turns++;
    this.#call = undefined;
  }

  #turn(call: ModelCall, failed: boolean): Span {
    const turn = this.#turns + 1;
    return { kind: "model", name: `turn ${turn}`, from: call.since, position: call.position, failed, turn };
  }

  /** Take a model call that failed. The turn goes on with the next one, unless that has answered already. */
  #failCall(event: SeenEvent, at: number): void {
    const last = this.#lastTurn();
    if (this.#call) {
      this.#spans.push({ ...this.#turn(this.#call, true), name: `turn ${this.#turns + 1}, failed call`, to: at, fact: event });
      this.#callModel(event, at);
    } else if (last) last.retries = (last.retries ?? 0) + 1;
  }

  #lastTurn(): Span | undefined {
    return this.#spans.findLast(({ kind }) => kind === "model");
  }

  /** Return true for the first event of a turn; it ends the model call. */
  #isNewTurn(event: SeenEvent): boolean {
    const turn = number(event, "turn");
    return turn === undefined || turn > this.#turns;
  }

  #addUsage(event: SeenEvent, at: number): void {
    const usage = (event.payload.usage ?? {}) as { inputTokens?: number; outputTokens?: number };
    this.#run.inputTokens += usage.inputTokens ?? 0;
    this.#run.outputTokens += usage.outputTokens ?? 0;
    this.#run.costMicroUsd += number(event, "costMicroUsd") ?? 0;
    if (event.payload.failed === true) {
      this.#failCall(event, at);
      return;
    }
    if (this.#isNewTurn(event)) this.#endTurn(at);
    const span = this.#lastTurn();
    if (!span) return;
    span.detail = `${text(event, "provider")} ${text(event, "model")}`;
    span.fact = event;
  }

  #callTool(event: SeenEvent, at: number): void {
    if (this.#isNewTurn(event)) this.#endTurn(at);
    this.#answeredAt = undefined;
    const callId = text(event, "toolCallId");
    const name = text(event, "toolName") || text(event, "kind") || "unknown tool";
    const span: Span = { kind: "tool", name, from: at, position: event.position, callId, turn: this.#turns, fact: event };
    const refused = text(event, "refused");
    if (refused) {
      span.detail = `rejected: ${refused}`;
      span.failed = true;
    }
    this.#run.toolCalls++;
    this.#tools.set(callId, span);
    this.#spans.push(span);
  }

  /** A person is asked. The time of the run stands until nothing is asked. */
  #ask(event: SeenEvent, at: number): void {
    if (this.#isNewTurn(event)) this.#endTurn(at);
    this.#answeredAt = undefined;
    const callId = text(event, "toolCallId");
    const name = `asks: ${text(event, "toolName") || words(text(event, "kind"))}`;
    const span: Span = { kind: "ask", name, from: at, position: event.position, callId: text(event, "askId"), turn: this.#turns };
    if (!this.#asks.size) this.#stopClock(at);
    this.#asks.set(text(event, "askId"), span);
    if (callId) this.#askedCalls.add(callId);
    this.#spans.push(span);
  }

  #answer(event: SeenEvent, at: number): void {
    const id = text(event, "askId");
    const span = this.#asks.get(id);
    if (!span) return;
    span.to = at;
    span.detail = text(event, "by") || words(text(event, "cause"));
    this.#asks.delete(id);
    if (!this.#asks.size && this.#run.status === "running") this.#run.runningSince = at;
  }

  #takeEntry(event: SeenEvent, at: number): void {
    const role = text(event, "role");
    if (role === "tool") {
      const span = this.#tools.get(text(event, "toolCallId"));
      this.#askedCalls.delete(text(event, "toolCallId"));
      if (span) span.to = at;
      if (span && event.payload.isError === true) span.failed = true;
      if (!this.#toolRuns()) this.#callModel(event, at);
    } else if (role === "assistant" && text(event, "kind") === "message") {
      const partial = event.payload.partial === true;
      this.#endTurn(at, partial);
      this.#answeredAt = partial ? undefined : at;
    }
  }

  #toolRuns(): boolean {
    return this.#askedCalls.size > 0 || [...this.#tools.values()].some((tool) => tool.to === undefined);
  }

  #end(status: string | undefined, event: SeenEvent, at: number): void {
    if (status === undefined) return; // an event of another kind
    this.#run.status = status;
    this.#stopClock(at);
    if (this.#open && status !== "completed") this.#open.failed = true;
    this.#close(at);
    if (this.#call && this.#lastTurn()?.to === at && this.#call.since === at) this.#call = undefined; // it was to repeat a failed call
    this.#endTurn(at, true);
    for (const span of [...this.#tools.values(), ...this.#asks.values()]) span.to ??= at;
    if (this.#answeredAt !== undefined) this.#spans.push({ kind: "check", name: "verification", from: this.#answeredAt, to: at, position: event.position });
  }
}
