// Generated from the table of operations by `python -m docs.generate`; do not edit.

import type {
  AgentToolKind,
  ApproverRole,
  CatchUp,
  ContextMeta,
  DeadLetterReason,
  DeadLetterSource,
  EventRecord,
  EvidenceSource,
  EvidenceType,
  FailureAction,
  HarnessSpec,
  HiddenSpan,
  KeyLimit,
  MergeGate,
  OverlapPolicy,
  PauseCause,
  PauseReason,
  PersonaArtifacts,
  PersonaStdout,
  PolicyEngine,
  PolicyRuleType,
  PolicyType,
  QueueMode,
  RedriveDecision,
  RefusedPlan,
  RejectionReason,
  Reliability,
  RetryWith,
  Role,
  RuleBound,
  RuleScope,
  RunChanges,
  RunStatus,
  TranscriptRole,
  Usage,
  VerificationFailure,
  VerificationStatus,
  WorkflowDefinition,
} from "./types.js";

/** What all events have in common. */
export type EventBase = Omit<EventRecord, "type" | "payload">;

export type AgentAttachedHow = "new" | "replayed" | "resumed";

/** A possible answer to an ask. Its name is text of the ask. */
export interface AskOption {
  readonly id: string;
  /** Whether it allows the call or refuses it. */
  readonly kind: AskOptionKind | (string & {});
}

export type AskOptionKind = "allow_once" | "reject_once";

export type AuthnFailedCode = "AUTH_TOKEN_EXPIRED" | "AUTH_TOKEN_INVALID" | "RATE_LIMITED";

export type AuthzDeniedDenyReason = "ROLE_MISSING" | "SCOPED_ACCESS_VIOLATION";

export type BulkRequestedAct = "cancel" | "retry";

/** A resolved reference in a run's context. `sha256` is the hash of the run's salt and the referenced text. */
export interface ContextReference {
  readonly ref: string;
  /** SHA-256 in hex. */
  readonly sha256: string;
  /** Length in characters. */
  readonly chars: number;
}

/** A failed run of the work: its id, time (ISO-8601) and error code. */
export interface DeadLetterAttempt {
  readonly runId: string;
  /** When it failed. */
  readonly at: string;
  /** Error code, as in `ErrorCode`; older logs may hold others. */
  readonly code: string;
}

/** A listed tool. `sha256` covers its name, description, schemas and annotations; `readOnly` is a hint. */
export interface HashedTool {
  readonly name: string;
  /** SHA-256 in hex. */
  readonly sha256: string;
  /** Absolute paths that commands may read beside the system and the workspace. */
  readonly readOnly?: boolean | undefined;
}

/** A work item in a dead letter. */
export interface LetterItem {
  readonly itemId: string;
  /** `followup`: a run of its own. `collect`: consecutive items share one run. */
  readonly mode: QueueMode | (string & {});
  /** Length in characters. */
  readonly chars: number;
}

export type LogForkedAnchor = "foreign" | "missing" | "unreadable";

export type McpAttachedTransport = "http" | "stdio";

/** The hash of an output that a condition or map read: SHA-256 of a salt and the text, which may be erased. */
export interface OutputHash {
  /** Id of the step; absent without one. */
  readonly stepId: string;
  /** SHA-256 in hex. */
  readonly sha256: string;
}

export type PermissionRuleRevokedCause = "expiry" | "requested";

export type PersonaRunCompletedStatus = "failed" | "ok";

export type PersonaRunStartedBaseRefResolvedFrom = "flag" | "main" | "origin-head";

/**
 * A policy document. An absent limit does not limit.
 *
 * `maxRunAttempts` is the number of executors that a run may lose before it ends as crashed; 3 if absent.
 */
export interface Policy {
  /** Version of this shape. */
  readonly schemaVersion: number;
  /** Most active runs; absent: no limit. */
  readonly maxConcurrentRuns?: number | undefined;
  /** Limits of active runs by session, provider or profile. */
  readonly limits?: readonly KeyLimit[] | undefined;
  /** Timeout of a run without a profile, in milliseconds. */
  readonly defaultRunTimeoutMs?: number | undefined;
  /** Timeout of a scheduled run without a profile, in milliseconds. */
  readonly defaultScheduleTimeoutMs?: number | undefined;
  /** Most retries of model calls of a run; absent: no limit. */
  readonly retryBudgetPerRun?: number | undefined;
  /** Budget of a UTC day in dollars; absent: none. */
  readonly costBudgetDailyUsd?: number | undefined;
  /** Executors that a run may lose before it ends as crashed; absent: 3. */
  readonly maxRunAttempts?: number | undefined;
}

/** The rule that refused a run, and its engine. */
export interface PolicyOrigin {
  /** Version of this shape. */
  readonly schemaVersion: number;
  /** Engine of the rule. */
  readonly engine: PolicyEngine | (string & {});
  readonly ruleType: PolicyRuleType | (string & {});
  /** Name of the policy; absent without one. */
  readonly policyName?: string | undefined;
  /** Name of the rule; absent without one. */
  readonly ruleName?: string | undefined;
  /** What the rule does; absent if unknown. */
  readonly failureAction?: FailureAction | (string & {}) | undefined;
  /** Text for people. */
  readonly message?: string | undefined;
}

/** A filter of pending dead letters. Times are in milliseconds since 1970 UTC, inclusive. */
export interface RedriveSelection {
  readonly sessionId?: string | undefined;
  /** Only dead letters of this source. */
  readonly source?: string | undefined;
  /** Persona that sent the message; absent for queue items. */
  readonly sourcePersona?: string | undefined;
  /** Persona that the message is for; absent for queue items. */
  readonly targetPersona?: string | undefined;
  /** Only dead letters with this reason. */
  readonly reason?: string | undefined;
  /** Only what was created at this time or later. */
  readonly createdAfter?: number | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: number | undefined;
}

/** The session and persona of a refused run. */
export interface RejectedRunDetails {
  readonly sessionId: string;
  readonly personaName?: string | undefined;
}

/** The reason why a granted approval is requested again: changed inputs, and earlier steps that restart. */
export interface ReopenedApproval {
  /** Id of the step; absent without one. */
  readonly stepId: string;
  readonly inputNames?: readonly string[] | undefined;
  readonly stepIds?: readonly string[] | undefined;
}

export type RolesLoadedSource = "file" | "settings";

export type RunAnsweredCause = "expiry" | "person" | "rule" | "run-ended";

export type RunAskedKind = "choice" | "question" | "tool-permission";

export type RunAskedOnExpiry = "cancel" | "deny";

export type RunAskedOrigin = "agent" | "loop" | "mcp";

export type RunCancelRequestedCause = "executor" | "interrupted" | "key-limit" | "parent" | "requested" | "session-busy";

export type RunCancelRequestedStatus = "cancelled" | "not-running";

export type RunCancelledCause = "executor" | "interrupted" | "key-limit" | "parent" | "requested" | "session-busy";

/**
 * A filter of runs, for lists and for bulk acts. Times are milliseconds since 1970 UTC, inclusive.
 *
 * `costOverMicroUsd` selects runs that cost more, and `durationOverMs` ended runs that took longer.
 */
export interface RunFilter {
  readonly sessionId?: string | undefined;
  readonly status?: RunStatus | (string & {}) | undefined;
  /** Name of the provider. */
  readonly provider?: string | undefined;
  /** Name of the model. */
  readonly model?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  /** Code of the error; absent without one. */
  readonly errorCode?: string | undefined;
  /** The run that started it; absent without one. */
  readonly parentRunId?: string | undefined;
  /** Run whose request it makes again; absent if it is not a retry. */
  readonly retryOf?: string | undefined;
  /** Only what was created at this time or later. */
  readonly createdAfter?: number | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: number | undefined;
  readonly costOverMicroUsd?: number | undefined;
  /** Only ended runs that took longer, in milliseconds. */
  readonly durationOverMs?: number | undefined;
}

export type RunLeasedBecause = "dead" | "frozen" | "left";

export type RunQueuedReason = "agent-memory" | "concurrency" | "executor" | "key-limit" | "session-busy";

/**
 * The audit record of a refusal.
 *
 * With type `COST` it has the sums of the UTC day, and `limit`, a number of runs, is 0.
 */
export interface RunRejection {
  /** Version of this shape. */
  readonly schemaVersion: number;
  /** When it was rejected. */
  readonly timestamp: string;
  /** Whether runs or costs were limited. */
  readonly policyType: PolicyType | (string & {});
  readonly limit: number;
  /** Session and persona of the run. */
  readonly rejectedRunDetails: RejectedRunDetails;
  /** Limit that the run would have exceeded. */
  readonly reason: RejectionReason | (string & {});
  /** Active runs when it was decided. */
  readonly activeRuns: number;
  /** The policy. Its fields can also be in the body itself. */
  readonly policy?: PolicyOrigin | undefined;
  /** Spent on the UTC day, in millionths of a dollar; absent for run limits. */
  readonly spentMicroUsd?: number | undefined;
  /** Budget in millionths of a dollar; absent without one. */
  readonly budgetMicroUsd?: number | undefined;
}

export type RunRequeuedReason = "agent-memory" | "concurrency" | "executor" | "halted" | "key-limit";

export type SafetyViolationCategory = "authorization" | "policy" | "sandbox";

export type SafetyViolationOutcome = "blocked" | "denied" | "failed" | "violated";

export type SafetyViolationSeverity = "critical" | "high";

/** The stored definition of a schedule. No field has a default, because a later release could change it. */
export interface ScheduleDefinition {
  readonly trigger: Trigger;
  /** Run, template or workflow that it starts. */
  readonly target: ScheduleTarget;
  /** What to do if a run is active when another is due; absent: `skip`. */
  readonly overlapPolicy: OverlapPolicy | (string & {});
  /** Which missed times run; absent: `latest`. */
  readonly catchUp: CatchUp | (string & {});
  /** How late a missed time may run, in seconds; absent: a year. */
  readonly catchUpWindowSeconds: number;
  /** True: a failed run pauses the schedule. */
  readonly pauseOnFailure: boolean;
}

export type ScheduleRunFailedReason = "cancelled" | "policy-rejected";

export type ScheduleRunSkippedReason = "buffer-full" | "catchup-latest" | "catchup-window-exceeded" | "disabled" | "outside-start-end" | "overlap-skip" | "paused" | "removed" | "superseded";

export type ScheduleRunTriggeredStatus = "already-running" | "failed" | "ok";

export type ScheduleSlotsMissedReason = "buffer-full" | "catchup-latest" | "catchup-none" | "catchup-window-exceeded" | "disabled" | "halted" | "outside-start-end" | "overlap-skip" | "paused" | "removed" | "superseded";

/** The work that a schedule starts: the stored input, a directive, a template or a workflow. */
export interface ScheduleTarget {
  readonly sessionId?: string | undefined;
  /** Id of the directive; absent if there is none. */
  readonly directiveId?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  /** Id of the run template; absent without one. */
  readonly runTemplateId?: string | undefined;
  /** Id of the workflow; absent without one. */
  readonly workflowId?: string | undefined;
}

export type TokenRevokedCause = "expiry" | "requested" | "superseded";

export type ToolCalledOrigin = "agent" | "mcp";

export type ToolCalledRefused = "bad-arguments" | "changed-tool" | "denied" | "too-many-asks" | "unknown-tool";

export type TranscriptAppendedKind = "message" | "tool-call" | "tool-result";

/**
 * The times of a schedule: exactly one of `everyMinutes`, `cron` with `timezone`, and `runAtMs`.
 *
 * The slots of an interval are `anchorMs` + k × interval, k from 0, in real time. Slots lie between `startAtMs` and
 * `endAtMs`, both included.
 */
export interface Trigger {
  /** Interval in minutes. */
  readonly everyMinutes?: number | undefined;
  readonly anchorMs?: number | undefined;
  /** Cron expression with five fields, or a macro such as `@daily`. */
  readonly cron?: string | undefined;
  /** IANA time zone of `cron`; absent: UTC. */
  readonly timezone?: string | undefined;
  readonly runAtMs?: number | undefined;
  readonly startAtMs?: number | undefined;
  readonly endAtMs?: number | undefined;
  /** Largest delay of a start, in seconds; the same for the same time. */
  readonly jitterSeconds?: number | undefined;
}

/** The identity that caused a violation. */
export interface ViolationActor {
  readonly subject: string;
  /** Role of the identity. */
  readonly role: string;
}

/** The event from which a violation is derived. The feed adds its id. */
export interface ViolationSource {
  /** The id of the event that this one is about. */
  readonly eventId: string;
  /** Trace id of the request that caused it. */
  readonly traceId: string;
  /** Type of the event. */
  readonly type: string;
  /** When it was created. */
  readonly createdAt: string;
}

export type WorkflowApprovalGrantedCause = "expiry" | "identity";

export type WorkflowApprovalRejectedCause = "expiry" | "identity";

export type WorkflowStepSkippedReason = "condition" | "no-failure" | "upstream-skipped";

export type WorkspaceCleanedCause = "erasure" | "policy" | "requested";

export type WorkspaceCleanedKind = "session" | "workflow-run";

export type WorkspaceCreatedKind = "session" | "workflow-run";

export type WorkspaceCreatedSource = "clone" | "copy" | "empty";

/** The run waits and holds no slot. `requestedBy` is the executor that will lease it. */
export interface RunQueuedEvent extends EventBase {
  readonly type: "run.queued";
  readonly payload: {
    readonly sessionId: string;
    /** Id of the directive; absent if there is none. */
    readonly directiveId: string;
    readonly harnessProfileId: string;
    /** Name of the provider. */
    readonly provider: string;
    /** Name of the model. */
    readonly model: string;
    /** Profile as the run used it. */
    readonly harnessProfileSnapshot: HarnessSpec;
    readonly profileNamed: boolean;
    /** Timeout in milliseconds. */
    readonly timeoutMs: number;
    /** Identity that requested it. */
    readonly requestedBy: string;
    /** Fallback models, as `provider/model`. */
    readonly fallbacks?: readonly string[] | undefined;
    /** Budget in millionths of a dollar; absent without one. */
    readonly budgetMicroUsd?: number | undefined;
    readonly retryBudget?: number | undefined;
    /** Files and URLs that the run's context names. */
    readonly contextRefs?: readonly ContextReference[] | undefined;
    readonly personaName?: string | undefined;
    /** Id of the workflow run; absent for a session. */
    readonly workflowRunId?: string | undefined;
    readonly mcpTools?: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined;
    readonly requesters?: readonly string[] | undefined;
    /** Why it has no slot yet. */
    readonly reason: RunQueuedReason | (string & {});
  };
}

/** The run was admitted: it holds a slot and its session, and its timeout has started. */
export interface RunCreatedEvent extends EventBase {
  readonly type: "run.created";
  readonly payload: {
    readonly sessionId: string;
    /** Id of the directive; absent if there is none. */
    readonly directiveId: string;
    readonly harnessProfileId: string;
    /** Name of the provider. */
    readonly provider: string;
    /** Name of the model. */
    readonly model: string;
    /** Profile as the run used it. */
    readonly harnessProfileSnapshot: HarnessSpec;
    readonly profileNamed: boolean;
    /** Timeout in milliseconds. */
    readonly timeoutMs: number;
    /** Identity that requested it. */
    readonly requestedBy: string;
    /** Fallback models, as `provider/model`. */
    readonly fallbacks?: readonly string[] | undefined;
    /** Budget in millionths of a dollar; absent without one. */
    readonly budgetMicroUsd?: number | undefined;
    readonly retryBudget?: number | undefined;
    /** Files and URLs that the run's context names. */
    readonly contextRefs?: readonly ContextReference[] | undefined;
    readonly personaName?: string | undefined;
    /** Id of the workflow run; absent for a session. */
    readonly workflowRunId?: string | undefined;
    readonly mcpTools?: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined;
    readonly requesters?: readonly string[] | undefined;
  };
}

/**
 * An executor leased the run. `token` invalidates earlier leases.
 *
 * `attempt` is the number of executors that the run has lost, plus this one.
 */
export interface RunLeasedEvent extends EventBase {
  readonly type: "run.leased";
  readonly payload: {
    /** Id of this server in the list of workers. */
    readonly executor: string;
    readonly token: number;
    /** Number of the attempt, from 1; 0 before the first. */
    readonly attempt: number;
    /** Process id on its host. */
    readonly pid: number;
    readonly takenFrom?: string | undefined;
    readonly because?: RunLeasedBecause | (string & {}) | undefined;
  };
}

/** The execution started. */
export interface RunStartedEvent extends EventBase {
  readonly type: "run.started";
  readonly payload: {
    /** Number of the attempt, from 1; 0 before the first. */
    readonly attempt: number;
  };
}

/** The run was given notes before its first model call. `chars` is their size in characters. */
export interface MemoryRecalledEvent extends EventBase {
  readonly type: "memory.recalled";
  readonly payload: {
    readonly citations: readonly string[];
    /** Length in characters. */
    readonly chars: number;
  };
}

/**
 * An outside agent took up the run: in a session of its own that is new, or that it resumed.
 *
 * `replayed`: its old session could not be resumed, so a new one was given the recorded conversation. `mode` is the
 * mode that Athena ordered, `model` the model that the agent was given.
 */
export interface AgentAttachedEvent extends EventBase {
  readonly type: "agent.attached";
  readonly payload: {
    /** Name of the agent. */
    readonly agent: string;
    /** Version of the agent; absent before its session is open. */
    readonly agentVersion: string;
    /** Version of the protocol of the last list. */
    readonly protocolVersion: number;
    readonly agentSessionId: string;
    readonly how: AgentAttachedHow | (string & {});
    /** Name of the model. */
    readonly model: string;
    /** Mode of the session, in the agent's words; absent without one. */
    readonly mode?: string | undefined;
  };
}

/**
 * An MCP server was started for the run, or contacted, once for each start.
 *
 * `tools` is the number of tools that it listed. `shared`: one process works for all runs of its executor. `refused`
 * are the listed tools of the profile that changed since they were accepted, or are new.
 */
export interface McpAttachedEvent extends EventBase {
  readonly type: "mcp.attached";
  readonly payload: {
    /** Name of the MCP server. */
    readonly server: string;
    /** `stdio` for a program, `http` for a URL; absent if it is not registered here. */
    readonly transport: McpAttachedTransport | (string & {});
    /** Version of the protocol of the last list. */
    readonly protocolVersion: string;
    /** Names of the tools that the run may use. */
    readonly tools: number;
    readonly shared?: boolean | undefined;
    /** Number that were refused. */
    readonly refused?: readonly string[] | undefined;
  };
}

/**
 * An entry was added to the transcript of the run's session.
 *
 * Model output is `truncated` if a token limit cut it, and also `interrupted` if the run's budget did; then it is not
 * an answer. Neither is `partial` output: its run ended or paused before the model had finished. A tool result is
 * `interrupted` if the effect of the call is unknown.
 */
export interface TranscriptAppendedEvent extends EventBase {
  readonly type: "transcript.appended";
  readonly payload: {
    /** Author of the entry. */
    readonly role: TranscriptRole | (string & {});
    /** Kind of the entry. */
    readonly kind: TranscriptAppendedKind | (string & {});
    /** Length in characters. */
    readonly chars: number;
    /** Id of the tool call; absent without one. */
    readonly toolCallId?: string | undefined;
    /** Name of the tool; absent without one. */
    readonly toolName?: string | undefined;
    /** True if the tool failed or the call was refused; else absent. */
    readonly isError?: boolean | undefined;
    readonly sanitized?: boolean | undefined;
    /** True if it was cut. */
    readonly truncated?: boolean | undefined;
    readonly changed?: boolean | undefined;
    readonly interrupted?: boolean | undefined;
    readonly partial?: boolean | undefined;
  };
}

/**
 * A model requested a tool call. It is recorded before the call. `refused` is set if the call will not be made.
 *
 * If the tool does not exist, the model's text is in `unknownName`. `askId` is the ask that allowed the call.
 * `credentials` are the names of the credentials that the call carries.
 *
 * `origin`: the call is one of an outside agent. With `agent` the agent makes it. It is recorded after the agent asked
 * (`asked`), or else once the agent shows that it began. `kind` is the agent's word for it. With `mcp` Athena makes the
 * call, which the agent requested at the MCP endpoint of its run.
 *
 * `changed-tool`: an MCP server describes the tool otherwise than when it was accepted.
 */
export interface ToolCalledEvent extends EventBase {
  readonly type: "tool.called";
  readonly payload: {
    /** Number of the model call, from 1. */
    readonly turn: number;
    /** Id of the tool call; absent without one. */
    readonly toolCallId: string;
    /** Length in characters. */
    readonly chars: number;
    readonly repeatable: boolean;
    /** Name of the tool; absent without one. */
    readonly toolName?: string | undefined;
    /** Number that were refused. */
    readonly refused?: ToolCalledRefused | (string & {}) | undefined;
    readonly askId?: string | undefined;
    readonly credentials?: readonly string[] | undefined;
    readonly origin?: ToolCalledOrigin | (string & {}) | undefined;
    /** Kind of the call, in the agent's words; absent for tools of Athena. */
    readonly kind?: AgentToolKind | (string & {}) | undefined;
    readonly asked?: boolean | undefined;
  };
}

/**
 * The run attached evidence. `sha256` covers the salt and the content, so erasing both leaves no trace.
 *
 * `label` is a label from the profile's policies. Any other label is the model's text: `freeLabel`. Evidence with
 * `workspace` becomes stale when the workspace changes later.
 */
export interface EvidenceAttachedEvent extends EventBase {
  readonly type: "evidence.attached";
  readonly payload: {
    readonly evidenceId: string;
    /** Type that the evidence must have; absent: any. */
    readonly evidenceType: EvidenceType | (string & {});
    /** Size in bytes. */
    readonly sizeBytes: number;
    /** SHA-256 in hex. */
    readonly sha256: string;
    /** Part of the run that attached it. */
    readonly source: EvidenceSource | (string & {});
    readonly workspace: boolean;
    /** Label of the evidence. */
    readonly label?: string | undefined;
    /** Id of the tool call; absent without one. */
    readonly toolCallId?: string | undefined;
    /** Verification policy that made it; absent without one. */
    readonly policyId?: string | undefined;
    /** Exit code of the command; absent without one. */
    readonly exitCode?: number | undefined;
  };
}

/**
 * The sandbox of the run's commands reached a phase, or does not work on the executor.
 *
 * `ready`: a lease started its first command in it. `fallback`: none works, so commands run without one. `required-
 * unavailable`: none works, so the run fails. `cleaned`: the run ended, and nothing of it is left.
 */
export interface SandboxLifecycleEvent extends EventBase {
  readonly type: "sandbox.lifecycle";
  readonly payload: Readonly<Record<string, never>>;
}

/** The run works in the workspace of its session or workflow run, which has the content `tree` before. */
export interface WorkspaceOpenedEvent extends EventBase {
  readonly type: "workspace.opened";
  readonly payload: {
    readonly workspaceId: string;
    readonly tree: string;
  };
}

/**
 * The run left its workspace with the content `tree`. The evidence is the diff, unless nothing changed.
 *
 * `files` counts the changed files, `binaryFiles` the ones without lines in the diff. `hidden` counts the parts that
 * the recorded diff hides, and is None before 0.3. `hiddenSpans` are the first of them.
 */
export interface WorkspaceChangedEvent extends EventBase {
  readonly type: "workspace.changed";
  readonly payload: {
    readonly workspaceId: string;
    readonly tree: string;
    /** Rules of tool `files`. */
    readonly files: number;
    readonly binaryFiles: number;
    readonly addedLines: number;
    readonly removedLines: number;
    /** True if it was cut. */
    readonly truncated?: boolean | undefined;
    readonly evidenceId?: string | undefined;
    readonly hidden?: number | undefined;
    readonly hiddenSpans?: readonly HiddenSpan[] | undefined;
  };
}

/**
 * A model call was paid for. The cost is absent, and `unpriced` set, if the model has no price.
 *
 * `estimated`: the provider reported no usage, so characters were counted. `failed`: the call failed or was cancelled
 * after the first output or report of usage. `firstTokenMs`: time to the first piece of the output. `reservedMicroUsd`:
 * the part of the daily budget that stays reserved for other open calls of the run.
 */
export interface UsageRecordedEvent extends EventBase {
  readonly type: "usage.recorded";
  readonly payload: {
    /** Name of the provider. */
    readonly provider: string;
    /** Name of the model. */
    readonly model: string;
    /** Tokens used. */
    readonly usage: Usage;
    /** Number of the model call, from 1. */
    readonly turn?: number | undefined;
    /** Number of runs that processed it. */
    readonly attempts?: number | undefined;
    readonly requestId?: string | undefined;
    /** Runs with an estimated time and cost. */
    readonly estimated?: boolean | undefined;
    readonly unpriced?: boolean | undefined;
    /** Number that failed. */
    readonly failed?: boolean | undefined;
    /** Cost of its priced model calls, in millionths of a dollar; absent before one. */
    readonly costMicroUsd?: number | undefined;
    readonly priceVersion?: string | undefined;
    readonly firstTokenMs?: number | undefined;
    readonly reservedMicroUsd?: number | undefined;
  };
}

/**
 * The maximum cost of the open model calls of a run was reserved from the daily budget.
 *
 * The sum includes the unrecorded cost of failed calls, and replaces the one before. The next recorded usage settles
 * it, except for the part that the usage keeps for other open calls. A pause or the end of the run releases it.
 */
export interface BudgetReservedEvent extends EventBase {
  readonly type: "budget.reserved";
  readonly payload: {
    /** Number of the model call, from 1. */
    readonly turn: number;
    /** Name of the provider. */
    readonly provider: string;
    /** Name of the model. */
    readonly model: string;
    readonly reservedMicroUsd: number;
  };
}

/**
 * The run asks a person and waits. Its time stands until no ask is open.
 *
 * `subject_sha256` is the hash of the salt and the subject of the decision. `chars` is the length of the call's
 * arguments. After `holdUntilMs` the run is parked. `onExpiry` is the consequence of no answer in time. `credentials`
 * are the names of the credentials that the call would carry. `toolKind` is an outside agent's word for the call.
 * `server` is the MCP server that asks during the call `toolCallId`, which goes on afterwards. `tool_sha256` is the
 * hash of a tool of an MCP server, as an operator accepted it.
 *
 * `hidden` are the parts that the shown text does not have. Then `exact` is the whole subject as canonical JSON: the
 * arguments, or the question with its form. It is what the hash covers. `secrets` are the names that stand in the text
 * in place of secrets.
 */
export interface RunAskedEvent extends EventBase {
  readonly type: "run.asked";
  readonly payload: {
    readonly askId: string;
    /** Kind of the ask. */
    readonly kind: RunAskedKind | (string & {});
    readonly origin: RunAskedOrigin | (string & {});
    /** Number of the model call, from 1. */
    readonly turn: number;
    /** Length in characters. */
    readonly chars: number;
    readonly options: readonly AskOption[];
    readonly subjectSha256: string;
    readonly expiresAtMs: number;
    /** Decision at expiry; absent: reject. */
    readonly onExpiry: RunAskedOnExpiry | (string & {});
    readonly holdUntilMs: number;
    /** Id of the tool call; absent without one. */
    readonly toolCallId?: string | undefined;
    /** Name of the tool; absent without one. */
    readonly toolName?: string | undefined;
    readonly toolKind?: AgentToolKind | (string & {}) | undefined;
    /** Lowest role that may answer; absent: Operator. */
    readonly role?: ApproverRole | (string & {}) | undefined;
    /** Identities that may decide; absent: all with the role. */
    readonly approvers?: readonly string[] | undefined;
    /** True: who requested or resumed the run may not approve. */
    readonly notRequester?: boolean | undefined;
    readonly credentials?: readonly string[] | undefined;
    readonly toolSha256?: string | undefined;
    /** Name of the MCP server. */
    readonly server?: string | undefined;
    readonly hidden?: readonly HiddenSpan[] | undefined;
    readonly secrets?: readonly string[] | undefined;
  };
}

/**
 * A person who may answer an ask opened its exact text, because the shown text hides a part of it.
 *
 * Without it the person cannot allow the call or answer the question.
 */
export interface RunAskOpenedEvent extends EventBase {
  readonly type: "run.ask.opened";
  readonly payload: {
    readonly askId: string;
    readonly subjectSha256: string;
    /** Identity that opened the exact text. */
    readonly by: string;
  };
}

/**
 * An ask was decided: by a person, by a permission rule, by its expiry, or by the end of the run.
 *
 * `edited_sha256` is the hash of the salt and of the call that was approved instead, with these `arguments`. `values`
 * are the answers to a form, as JSON.
 */
export interface RunAnsweredEvent extends EventBase {
  readonly type: "run.answered";
  readonly payload: {
    readonly askId: string;
    readonly subjectSha256: string;
    /** What decided the ask. */
    readonly cause: RunAnsweredCause | (string & {});
    /** Identity that answered; absent if no person did. */
    readonly by?: string | undefined;
    readonly optionId?: string | undefined;
    /** Id of the permission rule. */
    readonly ruleId?: string | undefined;
    readonly editedSha256?: string | undefined;
  };
}

/**
 * The run waits for money or for a person. It keeps its session but frees its slot.
 *
 * Its timeout stops at `elapsedMs`. `budget` is the run's own budget. `daily-budget` is the policy's, with the sums of
 * the UTC day. `unpriced-model` means that the cost of the next call is unknown. `ask` has no sums.
 */
export interface RunPausedEvent extends EventBase {
  readonly type: "run.paused";
  readonly payload: {
    /** Money or the person that it waits for. */
    readonly reason: PauseReason | (string & {});
    readonly elapsedMs: number;
    /** Spent on the UTC day, in millionths of a dollar; absent for run limits. */
    readonly spentMicroUsd?: number | undefined;
    /** Budget in millionths of a dollar; absent without one. */
    readonly budgetMicroUsd?: number | undefined;
  };
}

/** A parked run, all of whose asks are answered, waits in line for a slot. Its limit keys are in the event. */
export interface RunRequeuedEvent extends EventBase {
  readonly type: "run.requeued";
  readonly payload: {
    /** Why it has no slot yet. */
    readonly reason: RunRequeuedReason | (string & {});
    readonly harnessProfileId?: string | undefined;
    /** Name of the provider. */
    readonly provider?: string | undefined;
    /** Fallback models, as `provider/model`. */
    readonly fallbacks?: readonly string[] | undefined;
    /** Outside agent of its profile; absent: the loop of Athena. */
    readonly agent?: string | undefined;
  };
}

/**
 * A paused run was resumed and holds a slot again. Without `budgetMicroUsd` it has no budget any more.
 *
 * `requestedBy` is the executor that will lease it. The run counts again at its profile (if it named one) and at its
 * providers and its outside agent.
 */
export interface RunResumedEvent extends EventBase {
  readonly type: "run.resumed";
  readonly payload: {
    /** Identity that requested it. */
    readonly requestedBy: string;
    /** Budget in millionths of a dollar; absent without one. */
    readonly budgetMicroUsd?: number | undefined;
    readonly harnessProfileId?: string | undefined;
    /** Name of the provider. */
    readonly provider?: string | undefined;
    /** Fallback models, as `provider/model`. */
    readonly fallbacks?: readonly string[] | undefined;
    /** Outside agent of its profile; absent: the loop of Athena. */
    readonly agent?: string | undefined;
  };
}

/** A cancel was requested. `runId` is set if the request named the run. `note` is the caller's reason. */
export interface RunCancelRequestedEvent extends EventBase {
  readonly type: "run.cancel.requested";
  readonly payload: {
    readonly status: RunCancelRequestedStatus | (string & {});
    readonly runId?: string | undefined;
    /** Why a cancel was requested. */
    readonly cause?: RunCancelRequestedCause | (string & {}) | undefined;
    /** Only in events of schema version 1. */
    readonly reason?: string | undefined;
  };
}

/** The run ended with an answer. */
export interface RunCompletedEvent extends EventBase {
  readonly type: "run.completed";
  readonly payload: {
    /** Name of the provider. */
    readonly provider: string;
    /** Name of the model. */
    readonly model: string;
    readonly harnessProfileId: string;
    /** Pieces of evidence attached; 0 until the run completed. */
    readonly evidenceCount: number;
    /** Whether it met its verification policies. `passed` also without any. */
    readonly verificationStatus: VerificationStatus | (string & {});
    /** Attempts that the answer took. */
    readonly reliability: Reliability;
    /** How the context was compiled; absent without a run. */
    readonly contextMeta: ContextMeta;
    /** Verification policies that it did not meet; absent if it met all. */
    readonly verificationFailures?: readonly VerificationFailure[] | undefined;
    /** Tokens used. */
    readonly usage?: Usage | undefined;
  };
}

/** The run ended with an error. */
export interface RunFailedEvent extends EventBase {
  readonly type: "run.failed";
  readonly payload: {
    /** Error code, as in `ErrorCode`; older logs may hold others. */
    readonly code: string;
    /** True if a retry may succeed. */
    readonly retryable: boolean;
    /** Idempotency key of a retry: the same one, or a new one; present if `retryable` is true. */
    readonly retryWith?: RetryWith | (string & {}) | undefined;
    /** Only in events of schema version 1. */
    readonly message?: string | undefined;
  };
}

/** The run was cancelled, or withdrawn before it started. An earlier cancel request has the reason. */
export interface RunCancelledEvent extends EventBase {
  readonly type: "run.cancelled";
  readonly payload: {
    /** Why it was cancelled. */
    readonly cause: RunCancelledCause | (string & {});
    readonly forced?: boolean | undefined;
    /** Only in events of schema version 1. */
    readonly reason?: string | undefined;
  };
}

/** The run took longer than its timeout. */
export interface RunTimedOutEvent extends EventBase {
  readonly type: "run.timed-out";
  readonly payload: {
    /** Timeout in milliseconds. */
    readonly timeoutMs: number;
  };
}

/** The run lost as many executors as the policy allows. */
export interface RunCrashedEvent extends EventBase {
  readonly type: "run.crashed";
  readonly payload: {
    /** Id of this server in the list of workers. */
    readonly executor: string;
    /** Number of the attempt, from 1; 0 before the first. */
    readonly attempt: number;
  };
}

/** A run was refused because too many runs were active. */
export interface PolicyConcurrencyRejectedEvent extends EventBase {
  readonly type: "policy.concurrency.rejected";
  readonly payload: {
    readonly rejection: RunRejection;
    /** Active runs when it was decided. */
    readonly activeRuns: number;
    /** Most active runs; absent: no limit. */
    readonly maxConcurrentRuns: number;
    /** Why the run was refused. */
    readonly reason: string;
    /** Id of the directive; absent if there is none. */
    readonly directiveId?: string | undefined;
    readonly harnessProfileId?: string | undefined;
    /** Name of the provider. */
    readonly provider?: string | undefined;
  };
}

/**
 * The policy refused a run. The event before it has the limit. The template is the requested one.
 *
 * If the resume of a run was refused, `plan` and `request` are absent.
 */
export interface PolicyRejectedEvent extends EventBase {
  readonly type: "policy.rejected";
  readonly payload: {
    readonly rejection: RunRejection;
    /** Id of the directive; absent if there is none. */
    readonly directiveId?: string | undefined;
    readonly harnessProfileId?: string | undefined;
    /** Name of the provider. */
    readonly provider?: string | undefined;
    /** Id of the run template; absent without one. */
    readonly runTemplateId?: string | undefined;
    /** Version of the template; absent without one. */
    readonly runTemplateVersion?: number | undefined;
    /** What the refusal depended on; absent in old logs. */
    readonly plan?: RefusedPlan | undefined;
  };
}

/** A session was created with its first accepted run. */
export interface SessionCreatedEvent extends EventBase {
  readonly type: "session.created";
  readonly payload: {
    readonly sessionId: string;
  };
}

/** A directive was created. With `shadow` it was created for a run with plain input. */
export interface DirectiveCreatedEvent extends EventBase {
  readonly type: "directive.created";
  readonly payload: {
    /** Id of the directive; absent if there is none. */
    readonly directiveId: string;
    readonly hasContextRefs: boolean;
    readonly hasMetadata: boolean;
    /** True if a run created it from plain input; else absent. */
    readonly shadow?: boolean | undefined;
  };
}

/** A harness profile was created. */
export interface HarnessProfileCreatedEvent extends EventBase {
  readonly type: "harness-profile.created";
  readonly payload: {
    readonly harnessProfileId: string;
    /** Version number, from 1. */
    readonly version: string;
    /** Name of the provider. */
    readonly provider: string;
    /** Name of the model. */
    readonly model: string;
    readonly profile: HarnessSpec;
  };
}

/**
 * A person allowed an exact call until `expiresAtMs`: in a run, a session, or every run of a profile.
 *
 * `call_sha256` is the hash of the salt and the call. `askId` is the ask that was answered with "always". `credentials`
 * are the names of the credentials that the call carries, no others. `secrets` are the names that stand in the
 * arguments in place of secrets. `bound` is what else has to be the same; a rule without it is from an older release,
 * and allows the call only under the conditions of the run that asked.
 */
export interface PermissionRuleCreatedEvent extends EventBase {
  readonly type: "permission-rule.created";
  readonly payload: {
    /** Id of the permission rule. */
    readonly ruleId: string;
    /** Where it is in force. */
    readonly scope: RuleScope | (string & {});
    /** Name of the tool; absent without one. */
    readonly toolName: string;
    readonly callSha256: string;
    readonly askId: string;
    /** Identity whose answer created it. */
    readonly by: string;
    readonly expiresAtMs: number;
    readonly runId?: string | undefined;
    readonly sessionId?: string | undefined;
    readonly harnessProfileId?: string | undefined;
    readonly credentials?: readonly string[] | undefined;
    readonly secrets?: readonly string[] | undefined;
    readonly bound?: RuleBound | undefined;
  };
}

/** A permission rule ended: an identity revoked it, or it expired. */
export interface PermissionRuleRevokedEvent extends EventBase {
  readonly type: "permission-rule.revoked";
  readonly payload: {
    /** Id of the permission rule. */
    readonly ruleId: string;
    /** Why it ended. */
    readonly cause: PermissionRuleRevokedCause | (string & {});
    /** Identity that revoked it; absent if it expired. */
    readonly by?: string | undefined;
  };
}

/**
 * An Admin created a token for an identity, or an identity logged in with the token `parent`.
 *
 * `sha256` is the hash of the whole token in hex; the token itself is not stored. `parent` is a token id, or `api-
 * token:` and a fingerprint of the token in the settings.
 */
export interface TokenCreatedEvent extends EventBase {
  readonly type: "token.created";
  readonly payload: {
    /** Id of the token or session. */
    readonly tokenId: string;
    /** Identity of its requests. */
    readonly identity: string;
    /** Highest role of its requests. */
    readonly role: Role | (string & {});
    readonly expiresAtMs: number;
    /** SHA-256 in hex. */
    readonly sha256: string;
    /** Identity that created it. */
    readonly by: string;
    /** Names that it may concern, by kind; absent: all. */
    readonly scope?: Readonly<Record<string, readonly string[]>> | undefined;
    readonly parent?: string | undefined;
  };
}

/** A token ended: an identity revoked it or logged out, it expired, or a newer login replaced it. */
export interface TokenRevokedEvent extends EventBase {
  readonly type: "token.revoked";
  readonly payload: {
    /** Id of the token or session. */
    readonly tokenId: string;
    /** Why it ended. */
    readonly cause: TokenRevokedCause | (string & {});
    /** Identity that revoked it; absent if it expired. */
    readonly by?: string | undefined;
  };
}

/**
 * The first run of `owner`, a session or a workflow run, got a workspace.
 *
 * `commit` is the commit of a clone. `runId` is that run.
 */
export interface WorkspaceCreatedEvent extends EventBase {
  readonly type: "workspace.created";
  readonly payload: {
    readonly workspaceId: string;
    /** Whether it belongs to a session or to a workflow run. */
    readonly kind: WorkspaceCreatedKind | (string & {});
    readonly owner: string;
    /** How it was made from the shared workspace. */
    readonly source: WorkspaceCreatedSource | (string & {});
    readonly runId: string;
    readonly commit?: string | undefined;
  };
}

/** An identity decided whether the workspace is kept: not cleaned because it is unused. */
export interface WorkspaceRetainedEvent extends EventBase {
  readonly type: "workspace.retained";
  readonly payload: {
    readonly workspaceId: string;
    readonly keep: boolean;
    /** Identity that decided it. */
    readonly by: string;
  };
}

/**
 * An identity wrote the changes of a run into the shared workspace; `files` is the number of files written.
 *
 * `subject_sha256` is the hash of the changes, None before 0.3.
 */
export interface WorkspaceAppliedEvent extends EventBase {
  readonly type: "workspace.applied";
  readonly payload: {
    readonly workspaceId: string;
    readonly runId: string;
    /** Rules of tool `files`. */
    readonly files: number;
    /** Identity that applied the changes. */
    readonly by: string;
    readonly subjectSha256?: string | undefined;
  };
}

/** An identity opened the exact diff of a run. It may apply the changes although the shown diff hides parts. */
export interface WorkspaceExactOpenedEvent extends EventBase {
  readonly type: "workspace.exact-opened";
  readonly payload: {
    readonly workspaceId: string;
    readonly runId: string;
    readonly subjectSha256: string;
    /** Identity that opened it. */
    readonly by: string;
  };
}

/** The workspace is deleted: on request, because it was unused for too long, or with the text of its owner. */
export interface WorkspaceCleanedEvent extends EventBase {
  readonly type: "workspace.cleaned";
  readonly payload: {
    readonly workspaceId: string;
    /** Whether it belonged to a session or to a workflow run. */
    readonly kind: WorkspaceCleanedKind | (string & {});
    readonly owner: string;
    /** Why it was deleted. */
    readonly cause: WorkspaceCleanedCause | (string & {});
    /** Identity that requested it; absent if no person did. */
    readonly by?: string | undefined;
  };
}

/**
 * An MCP server listed other tools than before. The first list counts as accepted, as the operator registered it.
 *
 * `definitions` are the tools, and `serverInfo` the name and version of the server, both as JSON by the server.
 */
export interface McpServerListedEvent extends EventBase {
  readonly type: "mcp-server.listed";
  readonly payload: {
    /** Name of the MCP server. */
    readonly server: string;
    /** Version of the protocol of the last list. */
    readonly protocolVersion: string;
    /** Names of the tools that the run may use. */
    readonly tools: readonly HashedTool[];
  };
}

/** An identity accepted tools of an MCP server. `tools` are all that are accepted since, as SHA-256 by name. */
export interface McpServerAcceptedEvent extends EventBase {
  readonly type: "mcp-server.accepted";
  readonly payload: {
    /** Name of the MCP server. */
    readonly server: string;
    /** Names of the tools that the run may use. */
    readonly tools: Readonly<Record<string, string>>;
    /** Identity that accepted the tools. */
    readonly by: string;
  };
}

/** A run template was created in its first version. `paramNames` are the parameters with a default. */
export interface RunTemplateCreatedEvent extends EventBase {
  readonly type: "run-template.created";
  readonly payload: {
    /** Id of the run template; absent without one. */
    readonly runTemplateId: string;
    readonly harnessProfileId: string;
    /** Version number, from 1. */
    readonly version: number;
    readonly paramNames: readonly string[];
    /** JSON Schema of the parameters; absent: all are strings. */
    readonly paramsSchema?: Readonly<Record<string, unknown>> | undefined;
    /** Name for people. */
    readonly displayName?: string | undefined;
  };
}

/** A run template has a new version, which replaces all fields. Runs of earlier versions do not change. */
export interface RunTemplateUpdatedEvent extends EventBase {
  readonly type: "run-template.updated";
  readonly payload: {
    /** Id of the run template; absent without one. */
    readonly runTemplateId: string;
    readonly harnessProfileId: string;
    /** Version number, from 1. */
    readonly version: number;
    readonly paramNames: readonly string[];
    /** JSON Schema of the parameters; absent: all are strings. */
    readonly paramsSchema?: Readonly<Record<string, unknown>> | undefined;
    /** Name for people. */
    readonly displayName?: string | undefined;
  };
}

/**
 * A run was started from a version of a template. The event is in the stream of that run.
 *
 * `paramNames` are the names of its parameters. Their values are text.
 */
export interface RunTemplateRunEvent extends EventBase {
  readonly type: "run-template.run";
  readonly payload: {
    /** Id of the run template; absent without one. */
    readonly runTemplateId: string;
    /** Version number, from 1. */
    readonly version: number;
    /** Id of the directive; absent if there is none. */
    readonly directiveId: string;
    readonly harnessProfileId: string;
    /** Name of the provider. */
    readonly provider: string;
    /** Name of the model. */
    readonly model: string;
    readonly paramNames: readonly string[];
  };
}

/** A workflow was created. Its steps run on behalf of `createdBy`. `metadata` is keyed by step id. */
export interface WorkflowCreatedEvent extends EventBase {
  readonly type: "workflow.created";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    readonly stepCount: number;
    readonly dependencyCount: number;
    /** Identity that created it. */
    readonly createdBy: string;
    /** Steps and dependencies. */
    readonly definition: WorkflowDefinition;
  };
}

/**
 * A workflow run started. The values of `inputNames` fill placeholders of its directives.
 *
 * `requesters` requested it, `requestedBy` first; without them it alone did.
 */
export interface WorkflowRunCreatedEvent extends EventBase {
  readonly type: "workflow.run.created";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Identity that requested it. */
    readonly requestedBy: string;
    readonly inputNames: readonly string[];
    /** Run that it was resumed from; absent otherwise. */
    readonly resumedFromRunId?: string | undefined;
    readonly requesters?: readonly string[] | undefined;
  };
}

/**
 * A workflow run was resumed. The steps in `reset` restart, with new attempts.
 *
 * `reopened` lists granted approvals among them, with the reasons. Steps in `held` have items and wait for these
 * approvals.
 */
export interface WorkflowResumedEvent extends EventBase {
  readonly type: "workflow.resumed";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Id of the workflow run; absent for a session. */
    readonly workflowRunId: string;
    readonly status: string;
    /** Identity that requested it. */
    readonly requestedBy: string;
    /** True: discard the text of this turn. */
    readonly reset: readonly string[];
    readonly inputNames: readonly string[];
    readonly reopened?: readonly ReopenedApproval[] | undefined;
    /** How good earlier estimates were; absent without runs. */
    readonly held?: readonly string[] | undefined;
  };
}

/** A step has a run, admitted or queued in the same commit. `item` is set if the run is for one map item. */
export interface WorkflowStepStartedEvent extends EventBase {
  readonly type: "workflow.step.started";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Id of the step; absent without one. */
    readonly stepId: string;
    /** Number of the attempt, from 1; 0 before the first. */
    readonly attempt: number;
    readonly stepRunId: string;
    /** Number of the item, from 0. */
    readonly item?: number | undefined;
    readonly condition?: OutputHash | undefined;
  };
}

/** A map step got its items; it runs once for each. */
export interface WorkflowStepExpandedEvent extends EventBase {
  readonly type: "workflow.step.expanded";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Id of the step; absent without one. */
    readonly stepId: string;
    /** Items of this page. */
    readonly items: number;
    readonly condition?: OutputHash | undefined;
  };
}

/** A step or one of its items completed. Without `stepRunId` all items of the step did. */
export interface WorkflowStepCompletedEvent extends EventBase {
  readonly type: "workflow.step.completed";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Id of the step; absent without one. */
    readonly stepId: string;
    /** Number of the attempt, from 1; 0 before the first. */
    readonly attempt: number;
    /** Length of the output in characters. */
    readonly outputChars: number;
    readonly stepRunId?: string | undefined;
    /** Number of the item, from 0. */
    readonly item?: number | undefined;
    /** Name of the provider. */
    readonly provider?: string | undefined;
    /** Name of the model. */
    readonly model?: string | undefined;
  };
}

/** An attempt of a step or of one of its items failed. It is retried if `willRetry` is true. */
export interface WorkflowStepFailedEvent extends EventBase {
  readonly type: "workflow.step.failed";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Id of the step; absent without one. */
    readonly stepId: string;
    /** Number of the attempt, from 1; 0 before the first. */
    readonly attempt: number;
    /** Error code, as in `ErrorCode`; older logs may hold others. */
    readonly code: string;
    readonly willRetry: boolean;
    readonly stepRunId?: string | undefined;
    /** Number of the item, from 0. */
    readonly item?: number | undefined;
    readonly condition?: OutputHash | undefined;
    /** Only in events of schema version 1. */
    readonly message?: string | undefined;
  };
}

/** A step was skipped. */
export interface WorkflowStepSkippedEvent extends EventBase {
  readonly type: "workflow.step.skipped";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Id of the step; absent without one. */
    readonly stepId: string;
    /** Why it was skipped. */
    readonly reason: WorkflowStepSkippedReason | (string & {});
    readonly condition?: OutputHash | undefined;
  };
}

/** A step was cancelled with its workflow run. */
export interface WorkflowStepCancelledEvent extends EventBase {
  readonly type: "workflow.step.cancelled";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Id of the step; absent without one. */
    readonly stepId: string;
    /** Number of the attempt, from 1; 0 before the first. */
    readonly attempt: number;
    readonly stepRunId?: string | undefined;
    /** Number of the item, from 0. */
    readonly item?: number | undefined;
  };
}

/** An approval was requested. `subject_sha256` is the hash of the salt and the subject of the approval. */
export interface WorkflowApprovalRequestedEvent extends EventBase {
  readonly type: "workflow.approval.requested";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Id of the step; absent without one. */
    readonly stepId: string;
    /** Number of the attempt, from 1; 0 before the first. */
    readonly attempt: number;
    readonly subjectSha256: string;
    readonly expiresAtMs?: number | undefined;
    readonly condition?: OutputHash | undefined;
  };
}

/** An approval was granted. */
export interface WorkflowApprovalGrantedEvent extends EventBase {
  readonly type: "workflow.approval.granted";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Id of the step; absent without one. */
    readonly stepId: string;
    readonly subjectSha256: string;
    /** An identity's decision, or the end of its time. */
    readonly cause: WorkflowApprovalGrantedCause | (string & {});
    /** Identity that decided; absent if its time ended. */
    readonly by?: string | undefined;
  };
}

/** An approval was rejected. */
export interface WorkflowApprovalRejectedEvent extends EventBase {
  readonly type: "workflow.approval.rejected";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Id of the step; absent without one. */
    readonly stepId: string;
    readonly subjectSha256: string;
    /** An identity's decision, or the end of its time. */
    readonly cause: WorkflowApprovalRejectedCause | (string & {});
    /** Identity that decided; absent if its time ended. */
    readonly by?: string | undefined;
  };
}

/** The workflow run waits for these approvals. */
export interface WorkflowRunSuspendedEvent extends EventBase {
  readonly type: "workflow.run.suspended";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    readonly stepIds: readonly string[];
  };
}

/** The cancel of a workflow run was requested. `note` is the caller's reason. */
export interface WorkflowRunCancelRequestedEvent extends EventBase {
  readonly type: "workflow.run.cancel.requested";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Only in events of schema version 1. */
    readonly reason?: string | undefined;
  };
}

/** The workflow run completed: every step is ok or skipped. */
export interface WorkflowRunCompletedEvent extends EventBase {
  readonly type: "workflow.run.completed";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
  };
}

/** The workflow run failed: because of failed steps no other step can start. */
export interface WorkflowRunFailedEvent extends EventBase {
  readonly type: "workflow.run.failed";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Steps that failed or were cancelled. */
    readonly failedSteps: readonly string[];
  };
}

/** The workflow run was cancelled. The request before it has the reason. */
export interface WorkflowRunCancelledEvent extends EventBase {
  readonly type: "workflow.run.cancelled";
  readonly payload: {
    /** Id of the workflow; absent without one. */
    readonly workflowId: string;
    /** Only in events of schema version 1. */
    readonly reason?: string | undefined;
  };
}

/** The policy was replaced as a whole. */
export interface PolicyUpdatedEvent extends EventBase {
  readonly type: "policy.updated";
  readonly payload: {
    /** Version of this shape. */
    readonly schemaVersion: number;
    /** When it last changed. */
    readonly updatedAt: string;
    /** Start after this id or position, at `latest`, or at a time; absent: from the beginning. */
    readonly after: Policy;
    /** State before the change; absent if nothing existed. */
    readonly before?: Policy | undefined;
    /** Reason of the change, for auditors. */
    readonly auditComment?: string | undefined;
    /** Identity that changed it last. */
    readonly updatedBy?: string | undefined;
  };
}

/** An Operator halted the plane. `cancelled` counts the runs whose cancellation was requested with it. */
export interface HaltStartedEvent extends EventBase {
  readonly type: "halt.started";
  readonly payload: {
    /** Identity that halted all work. */
    readonly by: string;
    /** Number that were cancelled. */
    readonly cancelled?: number | undefined;
  };
}

/** An Admin lifted the halt that began at `sinceMs`. */
export interface HaltLiftedEvent extends EventBase {
  readonly type: "halt.lifted";
  readonly payload: {
    /** Identity that lifted the halt. */
    readonly by: string;
    readonly sinceMs: number;
  };
}

/** A schedule was created or replaced by `updatedBy`. Its slots are those after `afterMs`. */
export interface ScheduleUpsertedEvent extends EventBase {
  readonly type: "schedule.upserted";
  readonly payload: {
    readonly id: string;
    /** False switches it off. */
    readonly enabled: boolean;
    /** Steps and dependencies. */
    readonly definition: ScheduleDefinition;
    readonly afterMs: number;
    /** Identity that changed it last. */
    readonly updatedBy: string;
  };
}

/** The removal of a schedule was requested. `removed` is false if it did not exist. */
export interface ScheduleRemovedEvent extends EventBase {
  readonly type: "schedule.removed";
  readonly payload: {
    readonly id: string;
    /** False if it did not exist. */
    readonly removed: boolean;
  };
}

/**
 * The enabling of a schedule was requested. Its slots are after `afterMs`, from `anchorMs`.
 *
 * `updated` is false if the schedule did not exist.
 */
export interface ScheduleEnabledEvent extends EventBase {
  readonly type: "schedule.enabled";
  readonly payload: {
    readonly id: string;
    /** False if it already was in this state. */
    readonly updated: boolean;
    readonly anchorMs?: number | undefined;
    readonly afterMs?: number | undefined;
  };
}

/** The disabling of a schedule was requested. `updated` is false if it did not exist. */
export interface ScheduleDisabledEvent extends EventBase {
  readonly type: "schedule.disabled";
  readonly payload: {
    readonly id: string;
    /** False if it already was in this state. */
    readonly updated: boolean;
  };
}

/**
 * A schedule was paused, on request or because a run failed. Its slots do not run until it is resumed.
 *
 * `targetRunId` is the run that failed.
 */
export interface SchedulePausedEvent extends EventBase {
  readonly type: "schedule.paused";
  readonly payload: {
    readonly id: string;
    /** Why it is paused. */
    readonly cause: PauseCause | (string & {});
    readonly targetRunId?: string | undefined;
  };
}

/** A schedule was resumed. Its slots run again. */
export interface ScheduleResumedEvent extends EventBase {
  readonly type: "schedule.resumed";
  readonly payload: {
    readonly id: string;
  };
}

/** A client ran a tick for the time `at`. `run` counts slots that ran, `skipped` schedules without one. */
export interface ScheduleTickExecutedEvent extends EventBase {
  readonly type: "schedule.tick.executed";
  readonly payload: {
    /** Time of the tick. */
    readonly at: string;
    readonly run: number;
    /** Number that were skipped. */
    readonly skipped: number;
  };
}

/** A slot started a run; without `slotMs` a client did by hand. The runs in `terminates` are stopped for it. */
export interface ScheduleRunStartedEvent extends EventBase {
  readonly type: "schedule.run.started";
  readonly payload: {
    readonly id: string;
    readonly targetRunId: string;
    readonly slotMs?: number | undefined;
    readonly terminates?: readonly string[] | undefined;
  };
}

/** A slot waits for active runs to end. The runs in `cancels` are cancelled for it. */
export interface ScheduleRunBufferedEvent extends EventBase {
  readonly type: "schedule.run.buffered";
  readonly payload: {
    readonly id: string;
    readonly slotMs: number;
    readonly cancels?: readonly string[] | undefined;
  };
}

/** A slot will not run. */
export interface ScheduleRunSkippedEvent extends EventBase {
  readonly type: "schedule.run.skipped";
  readonly payload: {
    readonly id: string;
    readonly slotMs: number;
    /** Why the time does not run. */
    readonly reason: ScheduleRunSkippedReason | (string & {});
  };
}

/** The slots from `fromMs` to `toMs`, both included, will not run. */
export interface ScheduleSlotsMissedEvent extends EventBase {
  readonly type: "schedule.slots.missed";
  readonly payload: {
    readonly id: string;
    readonly fromMs: number;
    readonly toMs: number;
    /** Number of times that do not run. */
    readonly count: number;
    /** Why they do not run. */
    readonly reason: ScheduleSlotsMissedReason | (string & {});
  };
}

/** A run of the schedule ended with an answer. */
export interface ScheduleRunCompletedEvent extends EventBase {
  readonly type: "schedule.run.completed";
  readonly payload: {
    readonly id: string;
    readonly targetRunId: string;
    readonly slotMs?: number | undefined;
  };
}

/** A run of the schedule ended without an answer. `reason` is set if it was cancelled or refused. */
export interface ScheduleRunFailedEvent extends EventBase {
  readonly type: "schedule.run.failed";
  readonly payload: {
    readonly id: string;
    readonly targetRunId: string;
    /** Error code, as in `ErrorCode`; older logs may hold others. */
    readonly code: string;
    readonly slotMs?: number | undefined;
    /** Set if the run was cancelled or rejected. */
    readonly reason?: ScheduleRunFailedReason | (string & {}) | undefined;
    /** Only in events of schema version 1. */
    readonly message?: string | undefined;
  };
}

/** The result of a run that a client started by hand. */
export interface ScheduleRunTriggeredEvent extends EventBase {
  readonly type: "schedule.run.triggered";
  readonly payload: {
    readonly id: string;
    readonly status: ScheduleRunTriggeredStatus | (string & {});
  };
}

/** An item was added to the queue. It may deliver a message or come from a dead letter. */
export interface WorkEnqueuedEvent extends EventBase {
  readonly type: "work.enqueued";
  readonly payload: {
    readonly queueDepth: number;
    readonly itemId: string;
    /** `followup`: a run of its own. `collect`: consecutive items share one run. */
    readonly mode: QueueMode | (string & {});
    /** Length in characters. */
    readonly chars: number;
    readonly enqueuedBy: string;
    /** Id of the message; absent if it is not from one. */
    readonly messageId?: string | undefined;
    /** The dead letter that it became or came from. */
    readonly deadLetterId?: string | undefined;
  };
}

/** A drain started: on request, or `automatic`. */
export interface WorkDrainStartedEvent extends EventBase {
  readonly type: "work.drain.started";
  readonly payload: {
    readonly drainId: string;
    /** Waiting items at the start. */
    readonly queueDepthBefore: number;
    /** Identity that requested it. */
    readonly requestedBy: string;
    /** True if a message started it. */
    readonly automatic?: boolean | undefined;
    /** Name of the provider. */
    readonly provider?: string | undefined;
    /** Name of the model. */
    readonly model?: string | undefined;
  };
}

/** Items were leased to a run, which was admitted in the same transaction. */
export interface WorkBatchStartedEvent extends EventBase {
  readonly type: "work.batch.started";
  readonly payload: {
    readonly drainId: string;
    readonly runId: string;
    readonly itemIds: readonly string[];
  };
}

/** An item left the queue because its run completed. */
export interface WorkItemDrainedEvent extends EventBase {
  readonly type: "work.item.drained";
  readonly payload: {
    readonly drainId: string;
    readonly runId: string;
    readonly itemId: string;
    readonly queueDepth: number;
  };
}

/** Items were put back because their run did not complete. `counted` is true if this counts as an attempt. */
export interface WorkBatchReturnedEvent extends EventBase {
  readonly type: "work.batch.returned";
  readonly payload: {
    readonly drainId: string;
    readonly runId: string;
    readonly itemIds: readonly string[];
    /** Error code, as in `ErrorCode`; older logs may hold others. */
    readonly code: string;
    readonly failedAt: string;
    readonly counted: boolean;
    /** Only in events of schema version 1. */
    readonly message?: string | undefined;
  };
}

/** Items left the queue as one dead letter. `runId` is absent if there was no run. */
export interface WorkBatchDeadLetteredEvent extends EventBase {
  readonly type: "work.batch.dead-lettered";
  readonly payload: {
    readonly drainId: string;
    /** The dead letter that it became or came from. */
    readonly deadLetterId: string;
    readonly itemIds: readonly string[];
    /** Why they could not be done. */
    readonly reason: DeadLetterReason | (string & {});
    /** Error code, as in `ErrorCode`; older logs may hold others. */
    readonly code: string;
    readonly queueDepth: number;
    readonly runId?: string | undefined;
    /** Only in events of schema version 1. */
    readonly message?: string | undefined;
  };
}

/** A drain ended: the queue was empty, or the drain reached its maximum number of runs. */
export interface WorkDrainedEvent extends EventBase {
  readonly type: "work.drained";
  readonly payload: {
    readonly status: "ok";
    /** Items done. */
    readonly drainedItems: number;
    /** Waiting items at the start. */
    readonly queueDepthBefore: number;
    /** Waiting items at the end; absent before that. */
    readonly queueDepthAfter: number;
    readonly drainId: string;
  };
}

/** A drain stopped with an error: the run failed, or none could start. */
export interface WorkDrainFailedEvent extends EventBase {
  readonly type: "work.drain.failed";
  readonly payload: {
    readonly drainId: string;
    /** Error code, as in `ErrorCode`; older logs may hold others. */
    readonly code: string;
    /** Items done. */
    readonly drainedItems: number;
    /** Waiting items at the start. */
    readonly queueDepthBefore: number;
    /** Waiting items at the end; absent before that. */
    readonly queueDepthAfter: number;
    readonly runId?: string | undefined;
    /** True if a retry may succeed. */
    readonly retryable?: boolean | undefined;
    /** Idempotency key of a retry: the same one, or a new one; present if `retryable` is true. */
    readonly retryWith?: RetryWith | (string & {}) | undefined;
    /** Only in events of schema version 1. */
    readonly message?: string | undefined;
  };
}

/**
 * Work could not be done. `retryCount` counts its requeues. `payload` is a JSON object.
 *
 * `previousId` is the dead letter that the work was requeued from. `attemptErrors` has one text for each of the
 * `attempts`.
 */
export interface A2aDlqAddedEvent extends EventBase {
  readonly type: "a2a.dlq.added";
  readonly payload: {
    readonly id: string;
    /** `work`: a queue item. `a2a`: a message. */
    readonly source: DeadLetterSource | (string & {});
    readonly sessionId: string;
    /** Why it could not be done. */
    readonly reason: DeadLetterReason | (string & {});
    /** Error code, as in `ErrorCode`; older logs may hold others. */
    readonly code: string;
    /** Attempts and requeues after the first attempt. */
    readonly retryCount: number;
    /** Items of this page. */
    readonly items: readonly LetterItem[];
    /** Number of runs that processed it. */
    readonly attempts: readonly DeadLetterAttempt[];
    /** Id of the message; absent if it is not from one. */
    readonly messageId?: string | undefined;
    /** Persona that sent the message; absent for queue items. */
    readonly sourcePersona?: string | undefined;
    /** Persona that the message is for; absent for queue items. */
    readonly targetPersona?: string | undefined;
    readonly previousId?: string | undefined;
    /** Only in events of schema version 1. */
    readonly error?: string | undefined;
  };
}

/** The work was put back into its queue, as new items or as a new message. */
export interface A2aDlqRequeuedEvent extends EventBase {
  readonly type: "a2a.dlq.requeued";
  readonly payload: {
    readonly id: string;
    /** Attempts and requeues after the first attempt. */
    readonly retryCount: number;
    readonly itemIds: readonly string[];
    /** Id of the message; absent if it is not from one. */
    readonly messageId?: string | undefined;
  };
}

/** The dead letter was discarded; its work will not be done. */
export interface A2aDlqDiscardedEvent extends EventBase {
  readonly type: "a2a.dlq.discarded";
  readonly payload: {
    readonly id: string;
    /** Only in events of schema version 1. */
    readonly auditNote?: string | undefined;
  };
}

/** The dead letter was restored after it had been discarded. */
export interface A2aDlqRestoredEvent extends EventBase {
  readonly type: "a2a.dlq.restored";
  readonly payload: {
    readonly id: string;
    /** Only in events of schema version 1. */
    readonly auditNote?: string | undefined;
  };
}

/** A message was accepted and, within the hop limit, queued. `hops` is the number of messages that led to it. */
export interface A2aMessageSentEvent extends EventBase {
  readonly type: "a2a.message.sent";
  readonly payload: {
    /** Id of the message; absent if it is not from one. */
    readonly messageId: string;
    readonly fromAgent: string;
    readonly toAgent: string;
    /** Id of the step; absent without one. */
    readonly stepId?: string | undefined;
    readonly status: "sent";
    /** Messages in the chain up to this one. */
    readonly hops: number;
    /** Identity that sent it. */
    readonly sentBy: string;
    readonly itemId?: string | undefined;
    /** The dead letter that it became or came from. */
    readonly deadLetterId?: string | undefined;
  };
}

/** A run started to work on the message. */
export interface A2aMessageStartedEvent extends EventBase {
  readonly type: "a2a.message.started";
  readonly payload: {
    /** Id of the message; absent if it is not from one. */
    readonly messageId: string;
    readonly fromAgent: string;
    readonly toAgent: string;
    /** Id of the step; absent without one. */
    readonly stepId?: string | undefined;
    readonly status: "started";
    /** Number of the attempt, from 1; 0 before the first. */
    readonly attempt: number;
  };
}

/** The run of the message completed. */
export interface A2aMessageCompletedEvent extends EventBase {
  readonly type: "a2a.message.completed";
  readonly payload: {
    /** Id of the message; absent if it is not from one. */
    readonly messageId: string;
    readonly fromAgent: string;
    readonly toAgent: string;
    /** Id of the step; absent without one. */
    readonly stepId?: string | undefined;
    readonly status: "completed";
  };
}

/** The message could not be delivered and became a dead letter. */
export interface A2aMessageFailedEvent extends EventBase {
  readonly type: "a2a.message.failed";
  readonly payload: {
    /** Id of the message; absent if it is not from one. */
    readonly messageId: string;
    readonly fromAgent: string;
    readonly toAgent: string;
    /** Id of the step; absent without one. */
    readonly stepId?: string | undefined;
    readonly status: "failed";
    /** Why it could not be delivered. */
    readonly reason: string;
    /** Error code, as in `ErrorCode`; older logs may hold others. */
    readonly code: string;
    /** The dead letter that it became or came from. */
    readonly deadLetterId: string;
    /** Only in events of schema version 1. */
    readonly error?: string | undefined;
  };
}

/** A note was recorded. */
export interface MemoryRecordedEvent extends EventBase {
  readonly type: "memory.recorded";
  readonly payload: {
    /** Id of the memory entry. */
    readonly entryId: string;
    /** Length in characters. */
    readonly chars: number;
    readonly hasMetadata: boolean;
  };
}

/** A note was forgotten. Its text was erased in the same transaction. */
export interface MemoryForgottenEvent extends EventBase {
  readonly type: "memory.forgotten";
  readonly payload: {
    /** Id of the memory entry. */
    readonly entryId: string;
  };
}

/** A redrive was requested for `total` letters, all added up to position `until`. */
export interface A2aDlqRedriveStartedEvent extends EventBase {
  readonly type: "a2a.dlq.redrive.started";
  readonly payload: {
    readonly redriveId: string;
    /** Which dead letters to requeue. */
    readonly filter: RedriveSelection;
    readonly filterHash: string;
    /** Dead letters to requeue per second. */
    readonly ratePerSecond: number;
    /** Number in all. */
    readonly total: number;
    readonly until: number;
    /** Identity that requested it. */
    readonly requestedBy: string;
  };
}

/** One letter was processed. It was added at `letterPosition`. `code` is the reason if it failed. */
export interface A2aDlqRedriveAdvancedEvent extends EventBase {
  readonly type: "a2a.dlq.redrive.advanced";
  readonly payload: {
    readonly redriveId: string;
    /** The dead letter that it became or came from. */
    readonly deadLetterId: string;
    readonly letterPosition: number;
    readonly result: RedriveDecision | (string & {});
    /** Error code, as in `ErrorCode`; older logs may hold others. */
    readonly code?: string | undefined;
  };
}

/** The redrive processed all letters. */
export interface A2aDlqRedriveCompletedEvent extends EventBase {
  readonly type: "a2a.dlq.redrive.completed";
  readonly payload: {
    readonly redriveId: string;
    readonly filterHash: string;
    /** Number that were requeued. */
    readonly requeued: number;
    /** Number that were skipped. */
    readonly skipped: number;
    /** Number that failed. */
    readonly failed: number;
  };
}

/** The redrive was cancelled. Letters that were requeued stay requeued. */
export interface A2aDlqRedriveCancelledEvent extends EventBase {
  readonly type: "a2a.dlq.redrive.cancelled";
  readonly payload: {
    readonly redriveId: string;
    readonly filterHash: string;
    /** Number that were requeued. */
    readonly requeued: number;
    /** Number that were skipped. */
    readonly skipped: number;
    /** Number that failed. */
    readonly failed: number;
  };
}

/** A cancellation or a retry was requested for `total` runs, all created up to position `until`. */
export interface BulkRequestedEvent extends EventBase {
  readonly type: "bulk.requested";
  readonly payload: {
    readonly bulkId: string;
    readonly act: BulkRequestedAct | (string & {});
    /** Filter that selected the runs. */
    readonly filter: RunFilter;
    /** Number in all. */
    readonly total: number;
    readonly until: number;
    readonly changes?: RunChanges | undefined;
  };
}

/** A review started. Its first run has the id of the stream. `prepared` is the material for the model. */
export interface PersonaRunStartedEvent extends EventBase {
  readonly type: "persona.run.started";
  readonly payload: {
    readonly personaName: string;
    /** Path of the repository in the workspace. */
    readonly repoPath: string;
    /** Commit, branch or tag to review. */
    readonly headRef: string;
    /** Commit, branch or tag to compare with. */
    readonly baseRef: string;
    /** How the base was found. */
    readonly baseRefResolvedFrom: PersonaRunStartedBaseRefResolvedFrom | (string & {});
    readonly headCommit: string;
    readonly baseCommit: string;
    /** Rules of tool `files`. */
    readonly files: number;
    /** Identity that requested it. */
    readonly requestedBy: string;
    /** Printed form of the result. */
    readonly stdout: PersonaStdout | (string & {});
    readonly harnessProfileId?: string | undefined;
    /** Name of the provider. */
    readonly provider?: string | undefined;
    /** Name of the model. */
    readonly model?: string | undefined;
    /** Copy of the result in the workspace. */
    readonly outJsonPath?: string | undefined;
    /** Copy of the report in the workspace. */
    readonly outMarkdownPath?: string | undefined;
  };
}

/** The answer could not be parsed. The model is asked again in another run. */
export interface PersonaRunRepairRequestedEvent extends EventBase {
  readonly type: "persona.run.repair-requested";
  readonly payload: {
    readonly personaName: string;
    /** Run of the second request; absent without one. */
    readonly repairRunId: string;
  };
}

/** A review ended: `ok` with findings, counted by priority, or `failed` without a readable answer. */
export interface PersonaRunCompletedEvent extends EventBase {
  readonly type: "persona.run.completed";
  readonly payload: {
    readonly personaName: string;
    readonly status: PersonaRunCompletedStatus | (string & {});
    /** Whether the change may be merged. */
    readonly mergeGate: MergeGate | (string & {});
    /** Findings of priority P1. */
    readonly p1: number;
    /** Findings of priority P2. */
    readonly p2: number;
    /** Findings of priority P3. */
    readonly p3: number;
    readonly repaired: boolean;
    /** Files of the review. */
    readonly artifacts: PersonaArtifacts;
    /** Name of the provider. */
    readonly provider?: string | undefined;
    /** Name of the model. */
    readonly model?: string | undefined;
    /** Tokens used. */
    readonly usage?: Usage | undefined;
  };
}

/** A review could not start. */
export interface PersonaRunFailedEvent extends EventBase {
  readonly type: "persona.run.failed";
  readonly payload: {
    readonly personaName: string;
    /** Path of the repository in the workspace. */
    readonly repoPath: string;
    /** Commit, branch or tag to review. */
    readonly headRef: string;
    /** Commit, branch or tag to compare with. */
    readonly baseRef?: string | undefined;
    /** Only in events of schema version 1. */
    readonly error?: string | undefined;
  };
}

/** An anchor of another log was stored: `from` reported `chain` (hex) at `position` at the time `at`. */
export interface AnchorKeptEvent extends EventBase {
  readonly type: "anchor.kept";
  readonly payload: {
    readonly logId: string;
    /** Position in the log. */
    readonly position: number;
    /** Chain value at the position, in hex. */
    readonly chain: string;
    /** When the other log reported it. */
    readonly at: string;
    readonly from: string;
  };
}

/** An anchor was refused because its position has another chain value. One of the histories was rewritten. */
export interface AnchorConflictedEvent extends EventBase {
  readonly type: "anchor.conflicted";
  readonly payload: {
    readonly logId: string;
    /** Position in the log. */
    readonly position: number;
    /** Chain value at the position, in hex. */
    readonly chain: string;
    readonly kept: string;
    readonly from: string;
  };
}

/** A server started with this authorization mode. */
export interface Authz_mode_activeEvent extends EventBase {
  readonly type: "AUTHZ_MODE_ACTIVE";
  readonly payload: {
    /** Mode of the setting `ATHENA_AUTHZ_MODE`. */
    readonly mode: string;
  };
}

/**
 * A server loaded the role map, at its start or again: the number of identities of each role, and a hash.
 *
 * `lockedOut` is the number of identities with the role None, and `groups` of groups with a role, if there are any.
 */
export interface RbacRolesLoadedEvent extends EventBase {
  readonly type: "rbac.roles.loaded";
  readonly payload: {
    /** Whether the map is from the settings or from a file. */
    readonly source: RolesLoadedSource | (string & {});
    readonly viewers: number;
    readonly operators: number;
    readonly admins: number;
    readonly everybodyElse: string;
    /** SHA-256 in hex. */
    readonly sha256: string;
    readonly lockedOut?: number | undefined;
    readonly groups?: number | undefined;
  };
}

/**
 * A proxy named other groups of an identity than before. Only those with a role are listed, highest role first.
 *
 * Work that goes on later in the name of the identity has the role of these groups.
 */
export interface RbacGroupsChangedEvent extends EventBase {
  readonly type: "rbac.groups.changed";
  readonly payload: {
    /** Identity whose groups changed. */
    readonly identity: string;
    readonly groups: readonly string[];
  };
}

/** An identity was denied an operation. */
export interface AuthzDeniedEvent extends EventBase {
  readonly type: "authz.denied";
  readonly payload: {
    readonly subject: string;
    /** Role of the identity. */
    readonly role: string;
    readonly operation: string;
    readonly requiredRoles: readonly string[];
    readonly denyReason: AuthzDeniedDenyReason | (string & {});
  };
}

/**
 * Requests with a token were refused: their number since `since`, and the code of the last one.
 *
 * `tokenId` is set if all of them named a token that exists. `peer` is their address. Without it, they are the rest:
 * from several addresses.
 */
export interface AuthnFailedEvent extends EventBase {
  readonly type: "authn.failed";
  readonly payload: {
    /** Refused requests since then. */
    readonly count: number;
    /** Error code, as in `ErrorCode`; older logs may hold others. */
    readonly code: AuthnFailedCode | (string & {});
    /** When the count began. */
    readonly since: string;
    /** Id of the token or session. */
    readonly tokenId?: string | undefined;
  };
}

/**
 * Requests of an identity for an operation were stopped or refused without an event for each one.
 *
 * A limit of recorded refusals was exceeded. `*` means several identities or operations. `since` is the time of the
 * first of these requests.
 */
export interface RequestsSuppressedEvent extends EventBase {
  readonly type: "requests.suppressed";
  readonly payload: {
    /** Requests without an event of their own. */
    readonly count: number;
    readonly subject: string;
    readonly operation: string;
    /** When the count began. */
    readonly since?: string | undefined;
  };
}

/** An audit record, derived from a denial or a rejection. */
export interface SafetyViolationEvent extends EventBase {
  readonly type: "safety.violation";
  readonly payload: {
    /** Version of this shape. */
    readonly schemaVersion: number;
    readonly source: ViolationSource;
    readonly category: SafetyViolationCategory | (string & {});
    readonly severity: SafetyViolationSeverity | (string & {});
    readonly outcome: SafetyViolationOutcome | (string & {});
    readonly violationCode: string;
    /** Identity that did it, or a `system:` actor of the server. */
    readonly actor: ViolationActor;
  };
}

/**
 * An operator accepted that acknowledged events are lost, by a restored backup, a failover or a truncation.
 *
 * `anchor` is set if a loss is only possible, because the anchor was missing, unreadable, or of another log. Then
 * `expected` is the head.
 */
export interface LogForkedEvent extends EventBase {
  readonly type: "log.forked";
  readonly payload: {
    /** Position of the last event. */
    readonly head: number;
    readonly expected: number;
    readonly anchor?: LogForkedAnchor | (string & {}) | undefined;
  };
}

/**
 * The text of one event was erased; the chain still verifies. `note` is the reason.
 *
 * `copies` are the positions of other events whose text repeats the erased text; `public` are the positions of events
 * that have it in their public payload. With `more` there may be others: not all were searched or listed. The first
 * event of a command has these lists, and keeps them when its own `note` is erased.
 */
export interface PayloadRedactedEvent extends EventBase {
  readonly type: "payload.redacted";
  readonly payload: {
    /** The id of the event that this one is about. */
    readonly eventId: string;
    readonly copies?: readonly number[] | undefined;
    readonly public?: readonly number[] | undefined;
    readonly more?: boolean | undefined;
    /** Only in events of schema version 1. */
    readonly reason?: string | undefined;
  };
}

/** An Admin accepted the machine's clock, which was `aheadMs` ahead of the server's time. */
export interface ClockAcceptedEvent extends EventBase {
  readonly type: "clock.accepted";
  readonly payload: {
    readonly clockMs: number;
    /** Milliseconds that it was ahead of the server's time. */
    readonly aheadMs: number;
  };
}

/** An event of a type that this client knows. */
export type KnownEvent =
  | RunQueuedEvent
  | RunCreatedEvent
  | RunLeasedEvent
  | RunStartedEvent
  | MemoryRecalledEvent
  | AgentAttachedEvent
  | McpAttachedEvent
  | TranscriptAppendedEvent
  | ToolCalledEvent
  | EvidenceAttachedEvent
  | SandboxLifecycleEvent
  | WorkspaceOpenedEvent
  | WorkspaceChangedEvent
  | UsageRecordedEvent
  | BudgetReservedEvent
  | RunAskedEvent
  | RunAskOpenedEvent
  | RunAnsweredEvent
  | RunPausedEvent
  | RunRequeuedEvent
  | RunResumedEvent
  | RunCancelRequestedEvent
  | RunCompletedEvent
  | RunFailedEvent
  | RunCancelledEvent
  | RunTimedOutEvent
  | RunCrashedEvent
  | PolicyConcurrencyRejectedEvent
  | PolicyRejectedEvent
  | SessionCreatedEvent
  | DirectiveCreatedEvent
  | HarnessProfileCreatedEvent
  | PermissionRuleCreatedEvent
  | PermissionRuleRevokedEvent
  | TokenCreatedEvent
  | TokenRevokedEvent
  | WorkspaceCreatedEvent
  | WorkspaceRetainedEvent
  | WorkspaceAppliedEvent
  | WorkspaceExactOpenedEvent
  | WorkspaceCleanedEvent
  | McpServerListedEvent
  | McpServerAcceptedEvent
  | RunTemplateCreatedEvent
  | RunTemplateUpdatedEvent
  | RunTemplateRunEvent
  | WorkflowCreatedEvent
  | WorkflowRunCreatedEvent
  | WorkflowResumedEvent
  | WorkflowStepStartedEvent
  | WorkflowStepExpandedEvent
  | WorkflowStepCompletedEvent
  | WorkflowStepFailedEvent
  | WorkflowStepSkippedEvent
  | WorkflowStepCancelledEvent
  | WorkflowApprovalRequestedEvent
  | WorkflowApprovalGrantedEvent
  | WorkflowApprovalRejectedEvent
  | WorkflowRunSuspendedEvent
  | WorkflowRunCancelRequestedEvent
  | WorkflowRunCompletedEvent
  | WorkflowRunFailedEvent
  | WorkflowRunCancelledEvent
  | PolicyUpdatedEvent
  | HaltStartedEvent
  | HaltLiftedEvent
  | ScheduleUpsertedEvent
  | ScheduleRemovedEvent
  | ScheduleEnabledEvent
  | ScheduleDisabledEvent
  | SchedulePausedEvent
  | ScheduleResumedEvent
  | ScheduleTickExecutedEvent
  | ScheduleRunStartedEvent
  | ScheduleRunBufferedEvent
  | ScheduleRunSkippedEvent
  | ScheduleSlotsMissedEvent
  | ScheduleRunCompletedEvent
  | ScheduleRunFailedEvent
  | ScheduleRunTriggeredEvent
  | WorkEnqueuedEvent
  | WorkDrainStartedEvent
  | WorkBatchStartedEvent
  | WorkItemDrainedEvent
  | WorkBatchReturnedEvent
  | WorkBatchDeadLetteredEvent
  | WorkDrainedEvent
  | WorkDrainFailedEvent
  | A2aDlqAddedEvent
  | A2aDlqRequeuedEvent
  | A2aDlqDiscardedEvent
  | A2aDlqRestoredEvent
  | A2aMessageSentEvent
  | A2aMessageStartedEvent
  | A2aMessageCompletedEvent
  | A2aMessageFailedEvent
  | MemoryRecordedEvent
  | MemoryForgottenEvent
  | A2aDlqRedriveStartedEvent
  | A2aDlqRedriveAdvancedEvent
  | A2aDlqRedriveCompletedEvent
  | A2aDlqRedriveCancelledEvent
  | BulkRequestedEvent
  | PersonaRunStartedEvent
  | PersonaRunRepairRequestedEvent
  | PersonaRunCompletedEvent
  | PersonaRunFailedEvent
  | AnchorKeptEvent
  | AnchorConflictedEvent
  | Authz_mode_activeEvent
  | RbacRolesLoadedEvent
  | RbacGroupsChangedEvent
  | AuthzDeniedEvent
  | AuthnFailedEvent
  | RequestsSuppressedEvent
  | SafetyViolationEvent
  | LogForkedEvent
  | PayloadRedactedEvent
  | ClockAcceptedEvent;

const TYPES: ReadonlySet<string> = new Set<KnownEvent["type"]>([
  "run.queued",
  "run.created",
  "run.leased",
  "run.started",
  "memory.recalled",
  "agent.attached",
  "mcp.attached",
  "transcript.appended",
  "tool.called",
  "evidence.attached",
  "sandbox.lifecycle",
  "workspace.opened",
  "workspace.changed",
  "usage.recorded",
  "budget.reserved",
  "run.asked",
  "run.ask.opened",
  "run.answered",
  "run.paused",
  "run.requeued",
  "run.resumed",
  "run.cancel.requested",
  "run.completed",
  "run.failed",
  "run.cancelled",
  "run.timed-out",
  "run.crashed",
  "policy.concurrency.rejected",
  "policy.rejected",
  "session.created",
  "directive.created",
  "harness-profile.created",
  "permission-rule.created",
  "permission-rule.revoked",
  "token.created",
  "token.revoked",
  "workspace.created",
  "workspace.retained",
  "workspace.applied",
  "workspace.exact-opened",
  "workspace.cleaned",
  "mcp-server.listed",
  "mcp-server.accepted",
  "run-template.created",
  "run-template.updated",
  "run-template.run",
  "workflow.created",
  "workflow.run.created",
  "workflow.resumed",
  "workflow.step.started",
  "workflow.step.expanded",
  "workflow.step.completed",
  "workflow.step.failed",
  "workflow.step.skipped",
  "workflow.step.cancelled",
  "workflow.approval.requested",
  "workflow.approval.granted",
  "workflow.approval.rejected",
  "workflow.run.suspended",
  "workflow.run.cancel.requested",
  "workflow.run.completed",
  "workflow.run.failed",
  "workflow.run.cancelled",
  "policy.updated",
  "halt.started",
  "halt.lifted",
  "schedule.upserted",
  "schedule.removed",
  "schedule.enabled",
  "schedule.disabled",
  "schedule.paused",
  "schedule.resumed",
  "schedule.tick.executed",
  "schedule.run.started",
  "schedule.run.buffered",
  "schedule.run.skipped",
  "schedule.slots.missed",
  "schedule.run.completed",
  "schedule.run.failed",
  "schedule.run.triggered",
  "work.enqueued",
  "work.drain.started",
  "work.batch.started",
  "work.item.drained",
  "work.batch.returned",
  "work.batch.dead-lettered",
  "work.drained",
  "work.drain.failed",
  "a2a.dlq.added",
  "a2a.dlq.requeued",
  "a2a.dlq.discarded",
  "a2a.dlq.restored",
  "a2a.message.sent",
  "a2a.message.started",
  "a2a.message.completed",
  "a2a.message.failed",
  "memory.recorded",
  "memory.forgotten",
  "a2a.dlq.redrive.started",
  "a2a.dlq.redrive.advanced",
  "a2a.dlq.redrive.completed",
  "a2a.dlq.redrive.cancelled",
  "bulk.requested",
  "persona.run.started",
  "persona.run.repair-requested",
  "persona.run.completed",
  "persona.run.failed",
  "anchor.kept",
  "anchor.conflicted",
  "AUTHZ_MODE_ACTIVE",
  "rbac.roles.loaded",
  "rbac.groups.changed",
  "authz.denied",
  "authn.failed",
  "requests.suppressed",
  "safety.violation",
  "log.forked",
  "payload.redacted",
  "clock.accepted",
]);

/** An event of a type or a version that this client does not know. */
export interface UnknownEvent extends EventBase {
  readonly type: "unknown";
  /** The recorded type. */
  readonly unknownType: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** An event. `type` is its kind. */
export type AthenaEvent = KnownEvent | UnknownEvent;

/** The name of a type, as the feed filters by it. */
export type EventType = KnownEvent["type"] | (string & {});

/** Return a record of the feed as a typed event. */
export function eventOf(record: EventRecord): AthenaEvent {
  if (TYPES.has(record.type) && !record.undecodable) return record as KnownEvent;
  return { ...record, type: "unknown", unknownType: record.type };
}
