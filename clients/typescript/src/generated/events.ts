// Generated from the table of operations by `python -m docs.generate`; do not edit.

import type {
  ContextMeta,
  EventRecord,
  HarnessSpec,
  KeyLimit,
  PersonaArtifacts,
  RefusedPlan,
  Reliability,
  Usage,
  VerificationFailure,
  WorkflowDefinition,
} from "./types.js";

/** What all events have in common. */
export type EventBase = Omit<EventRecord, "type" | "payload">;

/** A resolved reference in a run's context. `sha256` is the hash of the run's salt and the referenced text. */
export interface ContextReference {
  readonly ref: string;
  readonly sha256: string;
  readonly chars: number;
}

/** A failed run of the work: its id, time (ISO-8601) and error code. */
export interface DeadLetterAttempt {
  readonly runId: string;
  readonly at: string;
  readonly code: string;
}

/** A work item in a dead letter. */
export interface LetterItem {
  readonly itemId: string;
  readonly mode: "collect" | "followup" | (string & {});
  readonly chars: number;
}

/** The hash of an output that a condition or map read: SHA-256 of a salt and the text, which may be erased. */
export interface OutputHash {
  readonly stepId: string;
  readonly sha256: string;
}

/**
 * A policy document. An absent limit does not limit.
 *
 * `max_run_attempts` is the number of executors that a run may lose before it ends as crashed; 3 if absent.
 */
export interface Policy {
  readonly schemaVersion: number;
  readonly maxConcurrentRuns?: number | undefined;
  readonly limits?: readonly KeyLimit[] | undefined;
  readonly defaultRunTimeoutMs?: number | undefined;
  readonly defaultScheduleTimeoutMs?: number | undefined;
  readonly retryBudgetPerRun?: number | undefined;
  readonly costBudgetDailyUsd?: number | undefined;
  readonly maxRunAttempts?: number | undefined;
}

/** The rule that refused a run, and its engine. */
export interface PolicyOrigin {
  readonly schemaVersion: number;
  readonly engine: "athena" | "kyverno" | (string & {});
  readonly ruleType: "concurrency" | "generate" | "mutate" | "validate" | (string & {});
  readonly policyName?: string | undefined;
  readonly ruleName?: string | undefined;
  readonly failureAction?: "audit" | "enforce" | (string & {}) | undefined;
  readonly message?: string | undefined;
}

/** A filter of pending dead letters. Times are in milliseconds since 1970 UTC, inclusive. */
export interface RedriveSelection {
  readonly sessionId?: string | undefined;
  readonly source?: string | undefined;
  readonly sourcePersona?: string | undefined;
  readonly targetPersona?: string | undefined;
  readonly reason?: string | undefined;
  readonly createdAfter?: number | undefined;
  readonly createdBefore?: number | undefined;
}

/** The session and persona of a refused run. */
export interface RejectedRunDetails {
  readonly sessionId: string;
  readonly personaName?: string | undefined;
}

/** The reason why a granted approval is requested again: changed inputs, and earlier steps that restart. */
export interface ReopenedApproval {
  readonly stepId: string;
  readonly inputNames?: readonly string[] | undefined;
  readonly stepIds?: readonly string[] | undefined;
}

/**
 * The audit record of a refusal.
 *
 * With type `COST` it has the sums of the UTC day, and `limit`, a number of runs, is 0.
 */
export interface RunRejection {
  readonly schemaVersion: number;
  readonly timestamp: string;
  readonly policyType: "CONCURRENCY" | "COST" | (string & {});
  readonly limit: number;
  readonly rejectedRunDetails: RejectedRunDetails;
  readonly reason: "daily-cost-budget-exceeded" | "key-limit-exceeded" | "lock-acquisition-failed" | "max-concurrent-runs-exceeded" | "unpriced-model" | (string & {});
  readonly activeRuns: number;
  readonly policy?: PolicyOrigin | undefined;
  readonly spentMicroUsd?: number | undefined;
  readonly budgetMicroUsd?: number | undefined;
}

/** The stored definition of a schedule. No field has a default, because a later release could change it. */
export interface ScheduleDefinition {
  readonly trigger: Trigger;
  readonly target: ScheduleTarget;
  readonly overlapPolicy: "allow-all" | "buffer-all" | "buffer-latest" | "buffer-one" | "cancel-other" | "skip" | "terminate-other" | (string & {});
  readonly catchUp: "all" | "latest" | "none" | (string & {});
  readonly catchUpWindowSeconds: number;
  readonly pauseOnFailure: boolean;
}

/** The work that a schedule starts: the stored input, a directive, a template or a workflow. */
export interface ScheduleTarget {
  readonly sessionId?: string | undefined;
  readonly directiveId?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  readonly runTemplateId?: string | undefined;
  readonly workflowId?: string | undefined;
}

/**
 * The times of a schedule: exactly one of `every_minutes`, `cron` with `timezone`, and `run_at_ms`.
 *
 * The slots of an interval are `anchor_ms` + k × interval, k from 0, in real time. Slots lie between `start_at_ms` and
 * `end_at_ms`, both included.
 */
export interface Trigger {
  readonly everyMinutes?: number | undefined;
  readonly anchorMs?: number | undefined;
  readonly cron?: string | undefined;
  readonly timezone?: string | undefined;
  readonly runAtMs?: number | undefined;
  readonly startAtMs?: number | undefined;
  readonly endAtMs?: number | undefined;
  readonly jitterSeconds?: number | undefined;
}

/** The identity that caused a violation. */
export interface ViolationActor {
  readonly subject: string;
  readonly role: string;
}

/** The event from which a violation is derived. The feed adds its id. */
export interface ViolationSource {
  /** The id of the event that this one is about. */
  readonly eventId: string;
  readonly traceId: string;
  readonly type: string;
  readonly createdAt: string;
}

/** The run waits and holds no slot. `requested_by` is the executor that will lease it. */
export interface RunQueuedEvent extends EventBase {
  readonly type: "run.queued";
  readonly payload: {
    readonly sessionId: string;
    readonly directiveId: string;
    readonly harnessProfileId: string;
    readonly provider: string;
    readonly model: string;
    readonly harnessProfileSnapshot: HarnessSpec;
    readonly profileNamed: boolean;
    readonly timeoutMs: number;
    readonly requestedBy: string;
    readonly fallbacks?: readonly string[] | undefined;
    readonly budgetMicroUsd?: number | undefined;
    readonly retryBudget?: number | undefined;
    readonly contextRefs?: readonly ContextReference[] | undefined;
    readonly personaName?: string | undefined;
    readonly reason: "concurrency" | "executor" | "key-limit" | "session-busy" | (string & {});
  };
}

/** The run was admitted: it holds a slot and its session, and its timeout has started. */
export interface RunCreatedEvent extends EventBase {
  readonly type: "run.created";
  readonly payload: {
    readonly sessionId: string;
    readonly directiveId: string;
    readonly harnessProfileId: string;
    readonly provider: string;
    readonly model: string;
    readonly harnessProfileSnapshot: HarnessSpec;
    readonly profileNamed: boolean;
    readonly timeoutMs: number;
    readonly requestedBy: string;
    readonly fallbacks?: readonly string[] | undefined;
    readonly budgetMicroUsd?: number | undefined;
    readonly retryBudget?: number | undefined;
    readonly contextRefs?: readonly ContextReference[] | undefined;
    readonly personaName?: string | undefined;
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
    readonly executor: string;
    readonly token: number;
    readonly attempt: number;
    readonly pid: number;
    readonly takenFrom?: string | undefined;
    readonly because?: "dead" | "frozen" | "left" | (string & {}) | undefined;
  };
}

/** The execution started. */
export interface RunStartedEvent extends EventBase {
  readonly type: "run.started";
  readonly payload: {
    readonly attempt: number;
  };
}

/** The run was given notes before its first model call. `chars` is their size in characters. */
export interface MemoryRecalledEvent extends EventBase {
  readonly type: "memory.recalled";
  readonly payload: {
    readonly citations: readonly string[];
    readonly chars: number;
  };
}

/**
 * An entry was added to the transcript of the run's session.
 *
 * Model output is `truncated` if a token limit cut it, and also `interrupted` if the run's budget did; then it is not
 * an answer. A tool result is `interrupted` if the effect of the call is unknown.
 */
export interface TranscriptAppendedEvent extends EventBase {
  readonly type: "transcript.appended";
  readonly payload: {
    readonly role: "assistant" | "system" | "tool" | "user" | (string & {});
    readonly kind: "message" | "tool-call" | "tool-result" | (string & {});
    readonly chars: number;
    readonly toolCallId?: string | undefined;
    readonly toolName?: string | undefined;
    readonly isError?: boolean | undefined;
    readonly sanitized?: boolean | undefined;
    readonly truncated?: boolean | undefined;
    readonly changed?: boolean | undefined;
    readonly interrupted?: boolean | undefined;
  };
}

/**
 * A model requested a tool call. It is recorded before the call. `refused` is set if the call will not be made.
 *
 * If the tool does not exist, the model's text is in `unknown_name`.
 */
export interface ToolCalledEvent extends EventBase {
  readonly type: "tool.called";
  readonly payload: {
    readonly turn: number;
    readonly toolCallId: string;
    readonly chars: number;
    readonly repeatable: boolean;
    readonly toolName?: string | undefined;
    readonly refused?: "bad-arguments" | "unknown-tool" | (string & {}) | undefined;
  };
}

/**
 * The run attached evidence. `sha256` covers the salt and the content, so erasing both leaves no trace.
 *
 * `label` is a label from the profile's policies. Any other label is the model's text: `free_label`. Evidence with
 * `workspace` becomes stale when the workspace changes later.
 */
export interface EvidenceAttachedEvent extends EventBase {
  readonly type: "evidence.attached";
  readonly payload: {
    readonly evidenceId: string;
    readonly evidenceType: "binary" | "json" | "text" | (string & {});
    readonly sizeBytes: number;
    readonly sha256: string;
    readonly source: "model" | "tool" | "verifier" | (string & {});
    readonly workspace: boolean;
    readonly label?: string | undefined;
    readonly toolCallId?: string | undefined;
    readonly policyId?: string | undefined;
    readonly exitCode?: number | undefined;
  };
}

/**
 * A model call was paid for. The cost is absent, and `unpriced` set, if the model has no price.
 *
 * `estimated`: the provider reported no usage, so characters were counted. `failed`: the call failed or was cancelled
 * after the provider had reported its usage. `first_token_ms`: time to the first piece of the output.
 */
export interface UsageRecordedEvent extends EventBase {
  readonly type: "usage.recorded";
  readonly payload: {
    readonly provider: string;
    readonly model: string;
    readonly usage: Usage;
    readonly turn?: number | undefined;
    readonly attempts?: number | undefined;
    readonly requestId?: string | undefined;
    readonly estimated?: boolean | undefined;
    readonly unpriced?: boolean | undefined;
    readonly failed?: boolean | undefined;
    readonly costMicroUsd?: number | undefined;
    readonly priceVersion?: string | undefined;
    readonly firstTokenMs?: number | undefined;
  };
}

/**
 * The maximum cost of a model call, and the cost of its turn so far, were reserved from the daily budget.
 *
 * The next recorded usage settles the reservation. A pause or the end of the run releases it.
 */
export interface BudgetReservedEvent extends EventBase {
  readonly type: "budget.reserved";
  readonly payload: {
    readonly turn: number;
    readonly provider: string;
    readonly model: string;
    readonly reservedMicroUsd: number;
  };
}

/**
 * A budget is used up. The run keeps its session but frees its slot; its timeout stops at `elapsed_ms`.
 *
 * `budget` is the run's own budget. `daily-budget` is the policy's, with the sums of the UTC day. `unpriced-model`
 * means that the cost of the next call is unknown.
 */
export interface RunPausedEvent extends EventBase {
  readonly type: "run.paused";
  readonly payload: {
    readonly reason: "budget" | "daily-budget" | "unpriced-model" | (string & {});
    readonly elapsedMs: number;
    readonly spentMicroUsd: number;
    readonly budgetMicroUsd: number;
  };
}

/**
 * A paused run was resumed and holds a slot again. Without `budget_micro_usd` it has no budget any more.
 *
 * `requested_by` is the executor that will lease it. The run counts again at its profile (if it named one) and at its
 * providers.
 */
export interface RunResumedEvent extends EventBase {
  readonly type: "run.resumed";
  readonly payload: {
    readonly requestedBy: string;
    readonly budgetMicroUsd?: number | undefined;
    readonly harnessProfileId?: string | undefined;
    readonly provider?: string | undefined;
    readonly fallbacks?: readonly string[] | undefined;
  };
}

/** A cancel was requested. `run_id` is set if the request named the run. `note` is the caller's reason. */
export interface RunCancelRequestedEvent extends EventBase {
  readonly type: "run.cancel.requested";
  readonly payload: {
    readonly status: "cancelled" | "not-running" | (string & {});
    readonly runId?: string | undefined;
    readonly cause?: "executor" | "interrupted" | "key-limit" | "parent" | "requested" | "session-busy" | (string & {}) | undefined;
    /** Only in events of schema version 1. */
    readonly reason?: string | undefined;
  };
}

/** The run ended with an answer. */
export interface RunCompletedEvent extends EventBase {
  readonly type: "run.completed";
  readonly payload: {
    readonly provider: string;
    readonly model: string;
    readonly harnessProfileId: string;
    readonly evidenceCount: number;
    readonly verificationStatus: "passed" | "verification-failed" | (string & {});
    readonly reliability: Reliability;
    readonly contextMeta: ContextMeta;
    readonly verificationFailures?: readonly VerificationFailure[] | undefined;
    readonly usage?: Usage | undefined;
  };
}

/** The run ended with an error. */
export interface RunFailedEvent extends EventBase {
  readonly type: "run.failed";
  readonly payload: {
    readonly code: string;
    readonly retryable: boolean;
    readonly retryWith?: "new-key" | "same-key" | (string & {}) | undefined;
    /** Only in events of schema version 1. */
    readonly message?: string | undefined;
  };
}

/** The run was cancelled, or withdrawn before it started. An earlier cancel request has the reason. */
export interface RunCancelledEvent extends EventBase {
  readonly type: "run.cancelled";
  readonly payload: {
    readonly cause: "executor" | "interrupted" | "key-limit" | "parent" | "requested" | "session-busy" | (string & {});
    readonly forced?: boolean | undefined;
    /** Only in events of schema version 1. */
    readonly reason?: string | undefined;
  };
}

/** The run took longer than its timeout. */
export interface RunTimedOutEvent extends EventBase {
  readonly type: "run.timed-out";
  readonly payload: {
    readonly timeoutMs: number;
  };
}

/** The run lost as many executors as the policy allows. */
export interface RunCrashedEvent extends EventBase {
  readonly type: "run.crashed";
  readonly payload: {
    readonly executor: string;
    readonly attempt: number;
  };
}

/** A run was refused because too many runs were active. */
export interface PolicyConcurrencyRejectedEvent extends EventBase {
  readonly type: "policy.concurrency.rejected";
  readonly payload: {
    readonly rejection: RunRejection;
    readonly activeRuns: number;
    readonly maxConcurrentRuns: number;
    readonly reason: string;
    readonly directiveId?: string | undefined;
    readonly harnessProfileId?: string | undefined;
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
    readonly directiveId?: string | undefined;
    readonly harnessProfileId?: string | undefined;
    readonly provider?: string | undefined;
    readonly runTemplateId?: string | undefined;
    readonly runTemplateVersion?: number | undefined;
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
    readonly directiveId: string;
    readonly hasContextRefs: boolean;
    readonly hasMetadata: boolean;
    readonly shadow?: boolean | undefined;
  };
}

/** A harness profile was created. */
export interface HarnessProfileCreatedEvent extends EventBase {
  readonly type: "harness-profile.created";
  readonly payload: {
    readonly harnessProfileId: string;
    readonly version: string;
    readonly provider: string;
    readonly model: string;
    readonly profile: HarnessSpec;
  };
}

/** A run template was created in its first version. `param_names` are the parameters with a default. */
export interface RunTemplateCreatedEvent extends EventBase {
  readonly type: "run-template.created";
  readonly payload: {
    readonly runTemplateId: string;
    readonly harnessProfileId: string;
    readonly version: number;
    readonly paramNames: readonly string[];
    readonly paramsSchema?: Readonly<Record<string, unknown>> | undefined;
  };
}

/** A run template has a new version, which replaces all fields. Runs of earlier versions do not change. */
export interface RunTemplateUpdatedEvent extends EventBase {
  readonly type: "run-template.updated";
  readonly payload: {
    readonly runTemplateId: string;
    readonly harnessProfileId: string;
    readonly version: number;
    readonly paramNames: readonly string[];
    readonly paramsSchema?: Readonly<Record<string, unknown>> | undefined;
  };
}

/**
 * A run was started from a version of a template. The event is in the stream of that run.
 *
 * `param_names` are the names of its parameters. Their values are text.
 */
export interface RunTemplateRunEvent extends EventBase {
  readonly type: "run-template.run";
  readonly payload: {
    readonly runTemplateId: string;
    readonly version: number;
    readonly directiveId: string;
    readonly harnessProfileId: string;
    readonly provider: string;
    readonly model: string;
    readonly paramNames: readonly string[];
  };
}

/** A workflow was created. Its steps run on behalf of `created_by`. `metadata` is keyed by step id. */
export interface WorkflowCreatedEvent extends EventBase {
  readonly type: "workflow.created";
  readonly payload: {
    readonly workflowId: string;
    readonly stepCount: number;
    readonly dependencyCount: number;
    readonly createdBy: string;
    readonly definition: WorkflowDefinition;
  };
}

/** A workflow run started. The values of `input_names` fill placeholders of its directives. */
export interface WorkflowRunCreatedEvent extends EventBase {
  readonly type: "workflow.run.created";
  readonly payload: {
    readonly workflowId: string;
    readonly requestedBy: string;
    readonly inputNames: readonly string[];
    readonly resumedFromRunId?: string | undefined;
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
    readonly workflowId: string;
    readonly workflowRunId: string;
    readonly status: string;
    readonly requestedBy: string;
    readonly reset: readonly string[];
    readonly inputNames: readonly string[];
    readonly reopened?: readonly ReopenedApproval[] | undefined;
    readonly held?: readonly string[] | undefined;
  };
}

/** A step has a run, admitted or queued in the same commit. `item` is set if the run is for one map item. */
export interface WorkflowStepStartedEvent extends EventBase {
  readonly type: "workflow.step.started";
  readonly payload: {
    readonly workflowId: string;
    readonly stepId: string;
    readonly attempt: number;
    readonly stepRunId: string;
    readonly item?: number | undefined;
    readonly condition?: OutputHash | undefined;
  };
}

/** A map step got its items; it runs once for each. */
export interface WorkflowStepExpandedEvent extends EventBase {
  readonly type: "workflow.step.expanded";
  readonly payload: {
    readonly workflowId: string;
    readonly stepId: string;
    readonly items: number;
    readonly condition?: OutputHash | undefined;
  };
}

/** A step or one of its items completed. Without `step_run_id` all items of the step did. */
export interface WorkflowStepCompletedEvent extends EventBase {
  readonly type: "workflow.step.completed";
  readonly payload: {
    readonly workflowId: string;
    readonly stepId: string;
    readonly attempt: number;
    readonly outputChars: number;
    readonly stepRunId?: string | undefined;
    readonly item?: number | undefined;
    readonly provider?: string | undefined;
    readonly model?: string | undefined;
  };
}

/** An attempt of a step or of one of its items failed. It is retried if `will_retry` is true. */
export interface WorkflowStepFailedEvent extends EventBase {
  readonly type: "workflow.step.failed";
  readonly payload: {
    readonly workflowId: string;
    readonly stepId: string;
    readonly attempt: number;
    readonly code: string;
    readonly willRetry: boolean;
    readonly stepRunId?: string | undefined;
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
    readonly workflowId: string;
    readonly stepId: string;
    readonly reason: "condition" | "no-failure" | "upstream-skipped" | (string & {});
    readonly condition?: OutputHash | undefined;
  };
}

/** A step was cancelled with its workflow run. */
export interface WorkflowStepCancelledEvent extends EventBase {
  readonly type: "workflow.step.cancelled";
  readonly payload: {
    readonly workflowId: string;
    readonly stepId: string;
    readonly attempt: number;
    readonly stepRunId?: string | undefined;
    readonly item?: number | undefined;
  };
}

/** An approval was requested. `subject_sha256` is the hash of the salt and the subject of the approval. */
export interface WorkflowApprovalRequestedEvent extends EventBase {
  readonly type: "workflow.approval.requested";
  readonly payload: {
    readonly workflowId: string;
    readonly stepId: string;
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
    readonly workflowId: string;
    readonly stepId: string;
    readonly subjectSha256: string;
    readonly cause: "expiry" | "identity" | (string & {});
    readonly by?: string | undefined;
  };
}

/** An approval was rejected. */
export interface WorkflowApprovalRejectedEvent extends EventBase {
  readonly type: "workflow.approval.rejected";
  readonly payload: {
    readonly workflowId: string;
    readonly stepId: string;
    readonly subjectSha256: string;
    readonly cause: "expiry" | "identity" | (string & {});
    readonly by?: string | undefined;
  };
}

/** The workflow run waits for these approvals. */
export interface WorkflowRunSuspendedEvent extends EventBase {
  readonly type: "workflow.run.suspended";
  readonly payload: {
    readonly workflowId: string;
    readonly stepIds: readonly string[];
  };
}

/** The cancel of a workflow run was requested. `note` is the caller's reason. */
export interface WorkflowRunCancelRequestedEvent extends EventBase {
  readonly type: "workflow.run.cancel.requested";
  readonly payload: {
    readonly workflowId: string;
    /** Only in events of schema version 1. */
    readonly reason?: string | undefined;
  };
}

/** The workflow run completed: every step is ok or skipped. */
export interface WorkflowRunCompletedEvent extends EventBase {
  readonly type: "workflow.run.completed";
  readonly payload: {
    readonly workflowId: string;
  };
}

/** The workflow run failed: because of failed steps no other step can start. */
export interface WorkflowRunFailedEvent extends EventBase {
  readonly type: "workflow.run.failed";
  readonly payload: {
    readonly workflowId: string;
    readonly failedSteps: readonly string[];
  };
}

/** The workflow run was cancelled. The request before it has the reason. */
export interface WorkflowRunCancelledEvent extends EventBase {
  readonly type: "workflow.run.cancelled";
  readonly payload: {
    readonly workflowId: string;
    /** Only in events of schema version 1. */
    readonly reason?: string | undefined;
  };
}

/** The policy was replaced as a whole. */
export interface PolicyUpdatedEvent extends EventBase {
  readonly type: "policy.updated";
  readonly payload: {
    readonly schemaVersion: number;
    readonly updatedAt: string;
    readonly after: Policy;
    readonly before?: Policy | undefined;
    readonly auditComment?: string | undefined;
    readonly updatedBy?: string | undefined;
  };
}

/** A schedule was created or replaced by `updated_by`. Its slots are those after `after_ms`. */
export interface ScheduleUpsertedEvent extends EventBase {
  readonly type: "schedule.upserted";
  readonly payload: {
    readonly id: string;
    readonly enabled: boolean;
    readonly definition: ScheduleDefinition;
    readonly afterMs: number;
    readonly updatedBy: string;
  };
}

/** The removal of a schedule was requested. `removed` is false if it did not exist. */
export interface ScheduleRemovedEvent extends EventBase {
  readonly type: "schedule.removed";
  readonly payload: {
    readonly id: string;
    readonly removed: boolean;
  };
}

/**
 * The enabling of a schedule was requested. Its slots are after `after_ms`, from `anchor_ms`.
 *
 * `updated` is false if the schedule did not exist.
 */
export interface ScheduleEnabledEvent extends EventBase {
  readonly type: "schedule.enabled";
  readonly payload: {
    readonly id: string;
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
    readonly updated: boolean;
  };
}

/**
 * A schedule was paused, on request or because a run failed. Its slots do not run until it is resumed.
 *
 * `target_run_id` is the run that failed.
 */
export interface SchedulePausedEvent extends EventBase {
  readonly type: "schedule.paused";
  readonly payload: {
    readonly id: string;
    readonly cause: "failure" | "requested" | (string & {});
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
    readonly at: string;
    readonly run: number;
    readonly skipped: number;
  };
}

/** A slot started a run; without `slot_ms` a client did by hand. The runs in `terminates` are stopped for it. */
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
    readonly reason: "buffer-full" | "catchup-latest" | "catchup-window-exceeded" | "disabled" | "outside-start-end" | "overlap-skip" | "paused" | "removed" | "superseded" | (string & {});
  };
}

/** The slots from `from_ms` to `to_ms`, both included, will not run. */
export interface ScheduleSlotsMissedEvent extends EventBase {
  readonly type: "schedule.slots.missed";
  readonly payload: {
    readonly id: string;
    readonly fromMs: number;
    readonly toMs: number;
    readonly count: number;
    readonly reason: "buffer-full" | "catchup-latest" | "catchup-none" | "catchup-window-exceeded" | "disabled" | "outside-start-end" | "overlap-skip" | "paused" | "removed" | "superseded" | (string & {});
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
    readonly code: string;
    readonly slotMs?: number | undefined;
    readonly reason?: "cancelled" | "policy-rejected" | (string & {}) | undefined;
    /** Only in events of schema version 1. */
    readonly message?: string | undefined;
  };
}

/** The result of a run that a client started by hand. */
export interface ScheduleRunTriggeredEvent extends EventBase {
  readonly type: "schedule.run.triggered";
  readonly payload: {
    readonly id: string;
    readonly status: "already-running" | "failed" | "ok" | (string & {});
  };
}

/** An item was added to the queue. It may deliver a message or come from a dead letter. */
export interface WorkEnqueuedEvent extends EventBase {
  readonly type: "work.enqueued";
  readonly payload: {
    readonly queueDepth: number;
    readonly itemId: string;
    readonly mode: "collect" | "followup" | (string & {});
    readonly chars: number;
    readonly enqueuedBy: string;
    readonly messageId?: string | undefined;
    readonly deadLetterId?: string | undefined;
  };
}

/** A drain started: on request, or `automatic`. */
export interface WorkDrainStartedEvent extends EventBase {
  readonly type: "work.drain.started";
  readonly payload: {
    readonly drainId: string;
    readonly queueDepthBefore: number;
    readonly requestedBy: string;
    readonly automatic?: boolean | undefined;
    readonly provider?: string | undefined;
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
    readonly code: string;
    readonly failedAt: string;
    readonly counted: boolean;
    /** Only in events of schema version 1. */
    readonly message?: string | undefined;
  };
}

/** Items left the queue as one dead letter. `run_id` is absent if there was no run. */
export interface WorkBatchDeadLetteredEvent extends EventBase {
  readonly type: "work.batch.dead-lettered";
  readonly payload: {
    readonly drainId: string;
    readonly deadLetterId: string;
    readonly itemIds: readonly string[];
    readonly reason: "attempts-exhausted" | "cancelled" | "hop-limit" | "not-allowed" | "unknown-persona" | "unrunnable" | (string & {});
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
    readonly drainedItems: number;
    readonly queueDepthBefore: number;
    readonly queueDepthAfter: number;
    readonly drainId: string;
  };
}

/** A drain stopped with an error: the run failed, or none could start. */
export interface WorkDrainFailedEvent extends EventBase {
  readonly type: "work.drain.failed";
  readonly payload: {
    readonly drainId: string;
    readonly code: string;
    readonly drainedItems: number;
    readonly queueDepthBefore: number;
    readonly queueDepthAfter: number;
    readonly runId?: string | undefined;
    readonly retryable?: boolean | undefined;
    readonly retryWith?: "new-key" | "same-key" | (string & {}) | undefined;
    /** Only in events of schema version 1. */
    readonly message?: string | undefined;
  };
}

/**
 * Work could not be done. `retry_count` counts its requeues. `payload` is a JSON object.
 *
 * `previous_id` is the dead letter that the work was requeued from. `attempt_errors` has one text for each of the
 * `attempts`.
 */
export interface A2aDlqAddedEvent extends EventBase {
  readonly type: "a2a.dlq.added";
  readonly payload: {
    readonly id: string;
    readonly source: "a2a" | "work" | (string & {});
    readonly sessionId: string;
    readonly reason: "attempts-exhausted" | "cancelled" | "hop-limit" | "not-allowed" | "unknown-persona" | "unrunnable" | (string & {});
    readonly code: string;
    readonly retryCount: number;
    readonly items: readonly LetterItem[];
    readonly attempts: readonly DeadLetterAttempt[];
    readonly messageId?: string | undefined;
    readonly sourcePersona?: string | undefined;
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
    readonly retryCount: number;
    readonly itemIds: readonly string[];
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
    readonly messageId: string;
    readonly fromAgent: string;
    readonly toAgent: string;
    readonly stepId?: string | undefined;
    readonly status: "sent";
    readonly hops: number;
    readonly sentBy: string;
    readonly itemId?: string | undefined;
    readonly deadLetterId?: string | undefined;
  };
}

/** A run started to work on the message. */
export interface A2aMessageStartedEvent extends EventBase {
  readonly type: "a2a.message.started";
  readonly payload: {
    readonly messageId: string;
    readonly fromAgent: string;
    readonly toAgent: string;
    readonly stepId?: string | undefined;
    readonly status: "started";
    readonly attempt: number;
  };
}

/** The run of the message completed. */
export interface A2aMessageCompletedEvent extends EventBase {
  readonly type: "a2a.message.completed";
  readonly payload: {
    readonly messageId: string;
    readonly fromAgent: string;
    readonly toAgent: string;
    readonly stepId?: string | undefined;
    readonly status: "completed";
  };
}

/** The message could not be delivered and became a dead letter. */
export interface A2aMessageFailedEvent extends EventBase {
  readonly type: "a2a.message.failed";
  readonly payload: {
    readonly messageId: string;
    readonly fromAgent: string;
    readonly toAgent: string;
    readonly stepId?: string | undefined;
    readonly status: "failed";
    readonly reason: string;
    readonly code: string;
    readonly deadLetterId: string;
    /** Only in events of schema version 1. */
    readonly error?: string | undefined;
  };
}

/** A note was recorded. */
export interface MemoryRecordedEvent extends EventBase {
  readonly type: "memory.recorded";
  readonly payload: {
    readonly entryId: string;
    readonly chars: number;
    readonly hasMetadata: boolean;
  };
}

/** A note was forgotten. Its text was erased in the same transaction. */
export interface MemoryForgottenEvent extends EventBase {
  readonly type: "memory.forgotten";
  readonly payload: {
    readonly entryId: string;
  };
}

/** A redrive was requested for `total` letters, all added up to position `until`. */
export interface A2aDlqRedriveStartedEvent extends EventBase {
  readonly type: "a2a.dlq.redrive.started";
  readonly payload: {
    readonly redriveId: string;
    readonly filter: RedriveSelection;
    readonly filterHash: string;
    readonly ratePerSecond: number;
    readonly total: number;
    readonly until: number;
    readonly requestedBy: string;
  };
}

/** One letter was processed. It was added at `letter_position`. `code` is the reason if it failed. */
export interface A2aDlqRedriveAdvancedEvent extends EventBase {
  readonly type: "a2a.dlq.redrive.advanced";
  readonly payload: {
    readonly redriveId: string;
    readonly deadLetterId: string;
    readonly letterPosition: number;
    readonly result: "failed" | "requeued" | "skipped" | (string & {});
    readonly code?: string | undefined;
  };
}

/** The redrive processed all letters. */
export interface A2aDlqRedriveCompletedEvent extends EventBase {
  readonly type: "a2a.dlq.redrive.completed";
  readonly payload: {
    readonly redriveId: string;
    readonly filterHash: string;
    readonly requeued: number;
    readonly skipped: number;
    readonly failed: number;
  };
}

/** The redrive was cancelled. Letters that were requeued stay requeued. */
export interface A2aDlqRedriveCancelledEvent extends EventBase {
  readonly type: "a2a.dlq.redrive.cancelled";
  readonly payload: {
    readonly redriveId: string;
    readonly filterHash: string;
    readonly requeued: number;
    readonly skipped: number;
    readonly failed: number;
  };
}

/** A review started. Its first run has the id of the stream. `prepared` is the material for the model. */
export interface PersonaRunStartedEvent extends EventBase {
  readonly type: "persona.run.started";
  readonly payload: {
    readonly personaName: string;
    readonly repoPath: string;
    readonly headRef: string;
    readonly baseRef: string;
    readonly baseRefResolvedFrom: "flag" | "main" | "origin-head" | (string & {});
    readonly headCommit: string;
    readonly baseCommit: string;
    readonly files: number;
    readonly requestedBy: string;
    readonly stdout: "json" | "md" | "none" | "summary" | (string & {});
    readonly harnessProfileId?: string | undefined;
    readonly provider?: string | undefined;
    readonly model?: string | undefined;
    readonly outJsonPath?: string | undefined;
    readonly outMarkdownPath?: string | undefined;
  };
}

/** The answer could not be parsed. The model is asked again in another run. */
export interface PersonaRunRepairRequestedEvent extends EventBase {
  readonly type: "persona.run.repair-requested";
  readonly payload: {
    readonly personaName: string;
    readonly repairRunId: string;
  };
}

/** A review ended: `ok` with findings, counted by priority, or `failed` without a readable answer. */
export interface PersonaRunCompletedEvent extends EventBase {
  readonly type: "persona.run.completed";
  readonly payload: {
    readonly personaName: string;
    readonly status: "failed" | "ok" | (string & {});
    readonly mergeGate: "fail" | "pass" | (string & {});
    readonly p1: number;
    readonly p2: number;
    readonly p3: number;
    readonly repaired: boolean;
    readonly artifacts: PersonaArtifacts;
    readonly provider?: string | undefined;
    readonly model?: string | undefined;
    readonly usage?: Usage | undefined;
  };
}

/** A review could not start. */
export interface PersonaRunFailedEvent extends EventBase {
  readonly type: "persona.run.failed";
  readonly payload: {
    readonly personaName: string;
    readonly repoPath: string;
    readonly headRef: string;
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
    readonly position: number;
    readonly chain: string;
    readonly at: string;
    readonly from: string;
  };
}

/** An anchor was refused because its position has another chain value. One of the histories was rewritten. */
export interface AnchorConflictedEvent extends EventBase {
  readonly type: "anchor.conflicted";
  readonly payload: {
    readonly logId: string;
    readonly position: number;
    readonly chain: string;
    readonly kept: string;
    readonly from: string;
  };
}

/** A server started with this authorization mode. */
export interface Authz_mode_activeEvent extends EventBase {
  readonly type: "AUTHZ_MODE_ACTIVE";
  readonly payload: {
    readonly mode: string;
  };
}

/**
 * A server loaded the role map, at its start or again: the number of identities of each role, and a hash.
 *
 * `locked_out` is the number of identities with the role None, if there are any.
 */
export interface RbacRolesLoadedEvent extends EventBase {
  readonly type: "rbac.roles.loaded";
  readonly payload: {
    readonly source: "file" | "settings" | (string & {});
    readonly viewers: number;
    readonly operators: number;
    readonly admins: number;
    readonly everybodyElse: string;
    readonly sha256: string;
    readonly lockedOut?: number | undefined;
  };
}

/** An identity was denied an operation. */
export interface AuthzDeniedEvent extends EventBase {
  readonly type: "authz.denied";
  readonly payload: {
    readonly subject: string;
    readonly role: string;
    readonly operation: string;
    readonly requiredRoles: readonly string[];
    readonly denyReason: "ROLE_MISSING" | "SCOPED_ACCESS_VIOLATION" | (string & {});
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
    readonly count: number;
    readonly subject: string;
    readonly operation: string;
    readonly since?: string | undefined;
  };
}

/** An audit record, derived from a denial or a rejection. */
export interface SafetyViolationEvent extends EventBase {
  readonly type: "safety.violation";
  readonly payload: {
    readonly schemaVersion: number;
    readonly source: ViolationSource;
    readonly category: "authorization" | "policy" | "sandbox" | (string & {});
    readonly severity: "critical" | "high" | (string & {});
    readonly outcome: "blocked" | "denied" | "failed" | "violated" | (string & {});
    readonly violationCode: string;
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
    readonly head: number;
    readonly expected: number;
    readonly anchor?: "foreign" | "missing" | "unreadable" | (string & {}) | undefined;
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

/** An Admin accepted the machine's clock, which was `ahead_ms` ahead of the server's time. */
export interface ClockAcceptedEvent extends EventBase {
  readonly type: "clock.accepted";
  readonly payload: {
    readonly clockMs: number;
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
  | TranscriptAppendedEvent
  | ToolCalledEvent
  | EvidenceAttachedEvent
  | UsageRecordedEvent
  | BudgetReservedEvent
  | RunPausedEvent
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
  | PersonaRunStartedEvent
  | PersonaRunRepairRequestedEvent
  | PersonaRunCompletedEvent
  | PersonaRunFailedEvent
  | AnchorKeptEvent
  | AnchorConflictedEvent
  | Authz_mode_activeEvent
  | RbacRolesLoadedEvent
  | AuthzDeniedEvent
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
  "transcript.appended",
  "tool.called",
  "evidence.attached",
  "usage.recorded",
  "budget.reserved",
  "run.paused",
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
  "persona.run.started",
  "persona.run.repair-requested",
  "persona.run.completed",
  "persona.run.failed",
  "anchor.kept",
  "anchor.conflicted",
  "AUTHZ_MODE_ACTIVE",
  "rbac.roles.loaded",
  "authz.denied",
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
