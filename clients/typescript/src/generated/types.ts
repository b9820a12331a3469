// Generated from the table of operations by `python -m docs.generate`; do not edit.

/** The machine's time, and how many milliseconds it was ahead of the server's (0: in step). */
export interface AcceptedClock {
  readonly clock: string;
  readonly aheadMs: number;
}

/** An admitted run that has not ended and is not paused. `pid` is 0 until an executor takes it. */
export interface ActiveRun {
  readonly sessionId: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly runId: string;
  readonly traceId: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface ActiveRunPage {
  readonly items: readonly ActiveRun[];
  readonly nextCursor?: string | undefined;
}

/** An anchor of another log: its id, a position, the chain value there in hex, and the time it was taken. */
export interface AnchorBody {
  readonly logId: string;
  readonly position: number;
  readonly chain: string;
  readonly at: string;
}

/** An anchor of another log that is kept here. `from` is the identity that first sent it. */
export interface AnchorReceipt {
  readonly logId: string;
  readonly position: number;
  readonly chain: string;
  readonly at: string;
  readonly from: string;
}

/** An error: a stable code for programs, and a message for people. */
export interface ApiError {
  readonly code: ErrorCode | (string & {});
  /** The fault in words, for people. They may change. */
  readonly message: string;
  /** True if the cause may pass, so a retry may succeed. */
  readonly retryable: boolean;
  readonly retryWith?: RetryWith | (string & {}) | undefined;
  /** The id of this request, as in the `x-trace-id` header. */
  readonly traceId: string;
  /** The invalid fields of the input, or other details of the error. */
  readonly details?: readonly Fault[] | Readonly<Record<string, unknown>> | undefined;
}

/** The filter of a redrive. Times are inclusive. */
export interface AppliedRedriveFilter {
  readonly sessionId?: string | undefined;
  readonly source?: string | undefined;
  readonly sourcePersona?: string | undefined;
  readonly targetPersona?: string | undefined;
  readonly reason?: string | undefined;
  readonly createdAfter?: string | undefined;
  readonly createdBefore?: string | undefined;
}

/**
 * A manual approval. Approvers need at least `role` and, if `approvers` is given, must be listed there.
 *
 * With `notRequester` the identities that started or resumed the workflow run cannot approve.
 */
export interface Approval {
  readonly message?: string | undefined;
  readonly approvers?: readonly string[] | undefined;
  readonly role?: ApproverRole | (string & {}) | undefined;
  readonly expiresAfterMs?: number | undefined;
  readonly onExpiry?: ApprovalOnExpiry | (string & {}) | undefined;
  readonly notRequester?: boolean | undefined;
}

/** The hash of the subject to approve or reject, as the step's node shows it, and a note. */
export interface ApprovalBody {
  readonly subjectHash: string;
  readonly note?: string | null | undefined;
}

export type ApprovalOnExpiry = "approve" | "reject";

export type ApproverRole = "Admin" | "Operator";

/**
 * The output of a step, which is null once redacted.
 *
 * With `outputTruncated` it is a preview, or a list of previews of the first items. The whole outputs are in the step's
 * runs.
 */
export interface Artifact {
  readonly kind: "run-result";
  readonly output: string | null;
  readonly provider: string;
  readonly model: string;
  readonly createdAt: string;
  readonly outputTruncated?: boolean | undefined;
}

/** A reference to the output of a step. */
export interface ArtifactRef {
  readonly stepId: string;
  readonly artifactRef: string;
  readonly kind: "run-result";
  readonly provider: string;
  readonly model: string;
  readonly createdAt: string;
  readonly outputChars: number;
}

/**
 * A change or an attempted change. `id` is the id of its event in the feed.
 *
 * `target` is the affected run, session, operation or document.
 */
export interface AuditEntry {
  readonly id: string;
  readonly createdAt: string;
  readonly kind: AuditKind | (string & {});
  readonly type: string;
  readonly actor: string;
  readonly traceId: string;
  readonly target?: string | undefined;
  readonly reason?: string | undefined;
  readonly before?: Readonly<Record<string, unknown>> | undefined;
  readonly after?: Readonly<Record<string, unknown>> | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly sessionId?: string | undefined;
  readonly runId?: string | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface AuditEntryPage {
  readonly items: readonly AuditEntry[];
  readonly nextCursor?: string | undefined;
}

export type AuditKind = "anchor" | "approval" | "cancel" | "clock" | "dead-letter" | "denial" | "fork" | "policy" | "redaction" | "rejection" | "resume" | "roles" | "schedule" | "server" | "suppression";

/** Authentication and authorization of the server. */
export interface AuthCapabilities {
  readonly enabled: boolean;
  readonly mode: AuthzMode | (string & {});
  readonly identityHeader: string;
}

export type AuthzMode = "enforce" | "observe" | "off" | "soft-enforce";

/** A background loop that is failing: since when, its last error, and the number of failures since then. */
export interface BackgroundProblem {
  readonly loop: string;
  readonly since: string;
  readonly message: string;
  readonly count: number;
}

/** Binary content of evidence, in base64. */
export interface BinaryContent {
  readonly kind: "binary";
  readonly base64: string;
}

/** The identity of the caller, its role and the operations that the role allows. `scope` narrows them further. */
export interface Caller {
  readonly identity: string;
  readonly role: Role | (string & {});
  readonly operations: readonly string[];
  readonly scope?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** The reason for cancelling a run. */
export interface CancelBody {
  readonly reason?: string | null | undefined;
}

/** A request to cancel a run that has not ended. */
export interface CancelRequest {
  readonly sessionId: string;
  readonly requestedAt: string;
  readonly runId: string;
  readonly reason?: string | undefined;
  readonly traceId?: string | undefined;
  readonly startedAt?: string | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface CancelRequestPage {
  readonly items: readonly CancelRequest[];
  readonly nextCursor?: string | undefined;
}

/** The reason for cancelling a workflow run. */
export interface CancelWorkflowBody {
  readonly reason?: string | null | undefined;
}

/** The answer to a cancel. */
export interface Cancelled {
  readonly status: CancelledStatus | (string & {});
  readonly runId?: string | undefined;
  readonly sessionId?: string | undefined;
}

export type CancelledStatus = "cancelled" | "not-running";

/**
 * Features, providers, event types and limits of the server.
 *
 * `eventTypes` lists every event type that the server records. A browser needs the names, because `EventSource`
 * delivers an event only to listeners of its type.
 */
export interface Capabilities {
  readonly executionBackend: "local";
  readonly stateStore: CapabilitiesStateStore | (string & {});
  readonly supportsPods: boolean;
  readonly supportsCpuMemMetrics: boolean;
  readonly supportsSandbox: boolean;
  readonly supportsA2ABus: boolean;
  readonly version: string;
  readonly logId: string;
  readonly durability: "fsync";
  readonly scheduler: CapabilitiesScheduler | (string & {});
  readonly auth: AuthCapabilities;
  readonly providers: readonly string[];
  readonly eventTypes: readonly string[];
  readonly limits: LimitCapabilities;
}

export type CapabilitiesScheduler = "off" | "on";

export type CapabilitiesStateStore = "postgres" | "sqlite";

export type CatchUp = "all" | "latest" | "none";

/**
 * One event of the run, as a sentence.
 *
 * `after` is the run whose end admitted this one. It is absent if that run is outside of the caller's scope. `waitedMs`
 * is how long the run had waited for this event.
 */
export interface Cause {
  readonly eventId: string;
  readonly type: string;
  readonly at: string;
  readonly actor: string;
  readonly traceId: string;
  readonly says: string;
  readonly causedBy?: string | undefined;
  readonly turn?: number | undefined;
  readonly waitedMs?: number | undefined;
  readonly after?: string | undefined;
}

/** The part of a change that falls on one session, profile, template or rule. */
export interface ChangeShare {
  readonly name: string;
  readonly runs: number;
  readonly costUsd: number;
}

/** The last attempt of a step. */
export interface Checkpoint {
  readonly attempt: number;
  readonly startedAt?: string | undefined;
  readonly finishedAt?: string | undefined;
  readonly artifact?: Artifact | undefined;
  readonly error?: string | undefined;
}

/** A new policy, and why it changes. */
export interface CommentedPolicyBody {
  readonly policy: PolicyInput;
  readonly auditComment: string;
}

/**
 * A condition on an earlier step's output. If it does not hold, the step is skipped.
 *
 * `path` is a JSON pointer into the output, which must be JSON. Without `path` the output is compared as text.
 */
export interface Condition {
  readonly step: string;
  readonly op: ConditionOperator | (string & {});
  readonly path?: string | undefined;
  readonly value?: unknown | undefined;
}

export type ConditionOperator = "contains" | "eq" | "exists" | "ge" | "gt" | "le" | "lt" | "ne";

/** A file that the persona was shown. */
export interface ContextFile {
  readonly path: string;
  readonly kind: ContextFileKind | (string & {});
  readonly chars: number;
  readonly sha256: string;
  readonly truncated: boolean;
}

export type ContextFileKind = "changed" | "diff" | "doc" | "prompt" | "skill" | "workspace-doc";

/** Report of how the context of a run was compiled. Sizes are in characters. */
export interface ContextMeta {
  readonly initialStrategy: ContextStrategy | (string & {});
  readonly finalStrategy: ContextStrategy | (string & {});
  readonly overflowRecovered: boolean;
  readonly overflowAttempts: number;
  readonly initialChars: number;
  readonly finalChars: number;
  readonly effectiveMaxChars: number;
  readonly steps: readonly ContextStep[];
}

/** An attempt to shrink a context, with the sizes before and after in characters. */
export interface ContextStep {
  readonly kind: ContextStepKind | (string & {});
  readonly applied: boolean;
  readonly beforeChars?: number | undefined;
  readonly afterChars?: number | undefined;
  readonly details?: string | undefined;
}

export type ContextStepKind = "summary" | "tool-result-truncation";

export type ContextStrategy = "raw" | "summary";

/** Consumption since the start of the month (UTC). Breakdowns have the 50 highest costs. */
export interface CostSummary {
  readonly month: string;
  readonly windowStart: string;
  readonly windowEnd: string;
  readonly totalEstimatedSpendUsd: number;
  readonly personaBreakdown: readonly PersonaSpend[];
  readonly providerBreakdown: readonly ProviderSpend[];
  readonly profileBreakdown: readonly ProfileSpend[];
  readonly sessionBreakdown: readonly SessionSpend[];
  readonly tokenMix: TokenMix;
  readonly unpricedCalls: number;
  readonly today: DaySpend;
}

/** The one thing that a run waits for now, and since when. */
export interface CurrentWait {
  readonly reason: CurrentWaitReason | (string & {});
  readonly since: string;
  readonly says: string;
  readonly position?: number | undefined;
  readonly blockedBy?: string | undefined;
  readonly turn?: number | undefined;
  readonly toolName?: string | undefined;
  readonly toolCallId?: string | undefined;
}

export type CurrentWaitReason = "budget" | "cancel" | "concurrency" | "daily-budget" | "executor" | "key-limit" | "model" | "session-busy" | "tool" | "unpriced-model";

/** Cost of the UTC day so far, the amount reserved by runs, and the daily budget of the policy, if any. */
export interface DaySpend {
  readonly day: string;
  readonly spentUsd: number;
  readonly reservedUsd: number;
  readonly budgetUsd?: number | undefined;
}

/**
 * Work that failed for good, and the decision about it.
 *
 * `retryCount` is the number of retries, including a requeue that has not run yet. `attempts` lists the errors, oldest
 * first; `firstError` and `lastError` are its ends.
 *
 * `requeuedItemIds` or `requeuedMessageId` name the work that a requeue created. `requeuedFrom` is the dead letter that
 * this work was requeued from.
 */
export interface DeadLetter {
  readonly id: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly status: DeadLetterStatus | (string & {});
  readonly payload: Readonly<Record<string, unknown>>;
  readonly source: DeadLetterSource | (string & {});
  readonly sessionId: string;
  readonly reason: DeadLetterReason | (string & {});
  readonly code: string;
  readonly error: string;
  readonly retryCount: number;
  readonly items: readonly DeadLetterItem[];
  readonly attempts: readonly DeadLetterError[];
  readonly firstError: DeadLetterError;
  readonly lastError: DeadLetterError;
  readonly sourcePersona?: string | undefined;
  readonly targetPersona?: string | undefined;
  readonly messageId?: string | undefined;
  readonly requeuedFrom?: string | undefined;
  readonly requeuedItemIds?: readonly string[] | undefined;
  readonly requeuedMessageId?: string | undefined;
  readonly decidedBy?: string | undefined;
  readonly auditNote?: string | undefined;
  readonly redacted?: boolean | undefined;
}

/** The error of an attempt. `runId` is absent if there was no run. */
export interface DeadLetterError {
  readonly code: string;
  readonly message: string;
  readonly at: string;
  readonly runId?: string | undefined;
}

/** A work item of a dead letter. */
export interface DeadLetterItem {
  readonly itemId: string;
  readonly mode: QueueMode | (string & {});
  readonly chars: number;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface DeadLetterPage {
  readonly items: readonly DeadLetter[];
  readonly nextCursor?: string | undefined;
}

export type DeadLetterReason = "attempts-exhausted" | "cancelled" | "hop-limit" | "not-allowed" | "unknown-persona" | "unrunnable";

export type DeadLetterSource = "a2a" | "work";

export type DeadLetterStatus = "discarded" | "pending" | "requeued";

/** A dead letter after a decision. `updated` is false if it was already in this state. */
export interface DecidedDeadLetter {
  readonly id: string;
  readonly status: DeadLetterStatus | (string & {});
  readonly updated: boolean;
  readonly item: DeadLetter;
}

/** An edge of the graph: `to` starts after `from`. */
export interface Dependency {
  readonly from: string;
  readonly to: string;
  readonly mappings?: readonly OutputMapping[] | undefined;
}

/** The changes of dependencies. */
export interface DependencyInspection {
  readonly status: DependencyInspectionStatus | (string & {});
  readonly detectedEcosystem?: string | undefined;
  readonly notes?: string | undefined;
  readonly addedImports?: readonly string[] | undefined;
  readonly changedManifests?: readonly string[] | undefined;
}

export type DependencyInspectionStatus = "ok" | "skipped";

/** The number of dependencies of a step that are ok, and the ids of the others. */
export interface DependencyReadiness {
  readonly totalDependencies: number;
  readonly readyDependencies: number;
  readonly blockingStepIds: readonly string[];
}

/** A directive. `input` is null once redacted. `shadow` is true if a run created it from plain input. */
export interface Directive {
  readonly id: string;
  readonly input: string | null;
  readonly createdAt: string;
  readonly contextRefs?: readonly string[] | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly shadow?: boolean | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface DirectivePage {
  readonly items: readonly Directive[];
  readonly nextCursor?: string | undefined;
}

/** A directive as a client writes it. */
export interface DirectiveSpec {
  readonly input: string;
  readonly contextRefs?: readonly string[] | null | undefined;
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
}

/** The provider and model of a drain's runs, if not the defaults. */
export interface DrainBody {
  readonly provider?: string | null | undefined;
  readonly model?: string | null | undefined;
}

/** The error that stopped a drain. */
export interface DrainError {
  readonly code: string;
  readonly message: string;
}

/** The result of a drain. */
export interface DrainResult {
  readonly status: DrainResultStatus | (string & {});
  readonly drainedItems: number;
  readonly queueDepthBefore: number;
  readonly queueDepthAfter: number;
}

export type DrainResultStatus = "already-draining" | "ok";

/** The effect of a resume: the steps that would restart, those that would be kept, or a new run. */
export interface DryRun {
  readonly resets: readonly string[];
  readonly keeps: readonly string[];
  readonly startsNewRun: boolean;
}

/** A host, and optionally a port, that tool `http` may reach. */
export interface Egress {
  readonly host: string;
  readonly port?: number | undefined;
}

/** An item of work for a session; consecutive `collect` items are done in one run. */
export interface EnqueueBody {
  readonly sessionId: string;
  readonly payload: string;
  readonly mode: QueueMode;
}

/** The kind of error, for programs. */
export type ErrorCode = "ANCHOR_CONFLICT" | "ANCHOR_LIMIT" | "ANCHOR_NOT_SENT" | "AUTHZ_DENIED" | "AUTH_IDENTITY_AMBIGUOUS" | "AUTH_IDENTITY_INVALID" | "AUTH_IDENTITY_MISSING" | "AUTH_PROXY_UNTRUSTED" | "CLOCK_JUMPED" | "CONFIG_ERROR" | "CONFLICT" | "CONTEXT_OVERFLOW" | "CURSOR_AHEAD" | "CURSOR_FOREIGN" | "CURSOR_INVALID" | "HEADERS_TOO_LARGE" | "HOST_FORBIDDEN" | "IDEMPOTENCY_IN_PROGRESS" | "IDEMPOTENCY_MISMATCH" | "INTERNAL_ERROR" | "LEASE_LOST" | "NOT_CAUGHT_UP" | "NOT_FOUND" | "ORIGIN_FORBIDDEN" | "OUTCOME_UNKNOWN" | "OVERLOADED" | "PAYLOAD_TOO_LARGE" | "POLICY_BUDGET_EXCEEDED" | "POLICY_CONCURRENCY_LIMIT_EXCEEDED" | "PRECONDITION_FAILED" | "PROVIDER_ERROR" | "PROVIDER_NOT_FOUND" | "RATE_LIMITED" | "REQUEST_TIMEOUT" | "RUN_CANCELLED" | "RUN_CRASHED" | "RUN_NOT_PAUSED" | "RUN_TIMEOUT" | "SESSION_LOCK_TIMEOUT" | "STORE_DAMAGED" | "STORE_FULL" | "STORE_MOVED" | "STORE_UNREACHABLE" | "STREAM_LIMIT" | "STUCK" | "TURN_LIMIT" | "UNKNOWN_ERROR" | "URI_TOO_LONG" | "WORK_QUEUE_FULL";

/** The estimated end of a run, from earlier durations of its steps, along the longest path. */
export interface Eta {
  readonly computedAt: string;
  readonly source: EtaSource | (string & {});
  readonly historicalSampleSize: number;
  readonly estimatedRemainingMs?: number | undefined;
  readonly estimatedCompletionAt?: string | undefined;
  readonly remainingMs?: Readonly<Record<string, number>> | undefined;
  readonly held?: EtaAccuracy | undefined;
}

/** The accuracy of estimates: the number of recent runs, and the share that ended within each quantile. */
export interface EtaAccuracy {
  readonly runs: number;
  readonly p50: number;
  readonly p80: number;
  readonly p95: number;
}

export type EtaSource = "completed" | "historical-average" | "insufficient-history";

/** A recorded event as it is published. `id` is the cursor of the events that follow it. */
export interface EventRecord {
  readonly id: string;
  readonly traceId: string;
  readonly type: string;
  readonly createdAt: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly sessionId?: string | undefined;
  readonly runId?: string | undefined;
  readonly taskId?: string | undefined;
  readonly parentRunId?: string | undefined;
  readonly policy?: Readonly<Record<string, unknown>> | undefined;
  readonly scope?: Readonly<Record<string, readonly string[]>> | undefined;
  readonly undecodable?: boolean | undefined;
}

/** A page of the feed. `cursor` follows the last scanned position. `nextCursor` is absent at the log's head. */
export interface EventsPage {
  readonly events: readonly EventRecord[];
  readonly cursor: string;
  readonly head: number;
  readonly nextCursor?: string | undefined;
}

/**
 * Evidence of a run with its content, which is null once redacted.
 *
 * `sha256` is the hash of the bytes of `contentSalt` and the content, in this order. JSON is hashed as it was recorded.
 */
export interface Evidence {
  readonly schemaVersion: number;
  readonly id: string;
  readonly runId: string;
  readonly traceId: string;
  readonly label: string;
  readonly type: EvidenceType | (string & {});
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly source: EvidenceSource | (string & {});
  readonly stale: boolean;
  readonly position: number;
  readonly eventId: string;
  readonly createdAt: string;
  readonly artifactRef: string;
  readonly sessionId?: string | undefined;
  readonly toolCallId?: string | undefined;
  readonly policyId?: string | undefined;
  readonly exitCode?: number | undefined;
  readonly redacted?: boolean | undefined;
  readonly content: EvidenceContent | null;
  readonly contentSalt?: string | undefined;
}

export type EvidenceContent = TextContent | JsonContent | BinaryContent;

/** A file of the review that serves as evidence. */
export interface EvidenceFile {
  readonly id: string;
  readonly label: string;
  readonly sha256: string;
  readonly artifactPath: string;
  readonly type: EvidenceType | (string & {});
  readonly sizeBytes: number;
  readonly createdAt: string;
}

/**
 * Evidence of a run without its content.
 *
 * `stale` is true if the run changed the workspace afterwards. `label` is empty if the model chose it and it was
 * redacted.
 */
export interface EvidenceRecord {
  readonly schemaVersion: number;
  readonly id: string;
  readonly runId: string;
  readonly traceId: string;
  readonly label: string;
  readonly type: EvidenceType | (string & {});
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly source: EvidenceSource | (string & {});
  readonly stale: boolean;
  readonly position: number;
  readonly eventId: string;
  readonly createdAt: string;
  readonly artifactRef: string;
  readonly sessionId?: string | undefined;
  readonly toolCallId?: string | undefined;
  readonly policyId?: string | undefined;
  readonly exitCode?: number | undefined;
  readonly redacted?: boolean | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface EvidenceRecordPage {
  readonly items: readonly EvidenceRecord[];
  readonly nextCursor?: string | undefined;
}

export type EvidenceSource = "model" | "tool" | "verifier";

export type EvidenceType = "binary" | "json" | "text";

export type ExplainedRunStatus = "cancelled" | "completed" | "crashed" | "failed" | "paused" | "queued" | "rejected" | "running" | "timed-out";

/**
 * The account of how a run got its status.
 *
 * In a long history the middle is left out; `omitted` counts the events left out. For a `rejected` run, `plan` and
 * `request` are present if they were recorded and not erased.
 */
export interface Explanation {
  readonly runId: string;
  readonly sessionId: string;
  readonly status: ExplainedRunStatus | (string & {});
  readonly causes: readonly Cause[];
  readonly waitsFor: CurrentWait | null;
  readonly omitted?: number | undefined;
  readonly parentRunId?: string | undefined;
  readonly plan?: RefusedPlan | undefined;
  readonly request?: RefusedRequest | undefined;
}

/** The envelope of an error. */
export interface Failure {
  readonly ok: false;
  readonly error: ApiError;
}

export type FailureAction = "audit" | "enforce";

/** A wrong field: its path, the problem and the remedy. */
export interface Fault {
  readonly field: string;
  readonly reason: string;
  readonly remedy?: string | undefined;
}

/** A changed file as it is at the head commit. */
export interface FileSnapshot {
  readonly path: string;
  readonly content: string;
  readonly truncated: boolean;
}

/** The rights of tool `files` below `directory` in the workspace: read, and with `write` also change. */
export interface FilesPolicy {
  readonly directory?: string | undefined;
  readonly write?: boolean | undefined;
  readonly fileBytesMax?: number | undefined;
}

/** A finding of a review; P1 forbids a merge. */
export interface Finding {
  readonly priority: FindingPriority | (string & {});
  readonly confidence: number;
  readonly title: string;
  readonly message: string;
  readonly suggestion?: string | undefined;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
}

/** The number of findings by priority. */
export interface FindingCounts {
  readonly p1: number;
  readonly p2: number;
  readonly p3: number;
}

export type FindingPriority = "P1" | "P2" | "P3";

/** A scheduled time, in UTC and in local time of the schedule's timezone (UTC by default). */
export interface FireTime {
  readonly utc: string;
  readonly local: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface FireTimePage {
  readonly items: readonly FireTime[];
  readonly nextCursor?: string | undefined;
}

/** The metrics that are available for the machines. */
export interface FleetCapabilities {
  readonly supportsPodStatus: boolean;
  readonly supportsCpuMemMetrics: boolean;
}

/**
 * Waiting work: runs and the age of the oldest, queue items, their sessions, and dead letters.
 *
 * `withoutExecutor` counts running runs that no executor has taken.
 */
export interface FleetQueue {
  readonly waiting: number;
  readonly withoutExecutor: number;
  readonly sessions: number;
  readonly items: number;
  readonly deadLetters: number;
  readonly oldestWaitingSince?: string | undefined;
}

/**
 * Summary of the fleet.
 *
 * `total` counts all runs ever admitted, and `failed` those that ended without an answer. `pending` counts sessions
 * with waiting runs or queue items. `errorRate` is failed divided by total, and `uptime` is 1 minus that.
 */
export interface FleetSummary {
  readonly total: number;
  readonly running: number;
  readonly paused: number;
  readonly pending: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly uptime: number;
  readonly errorRate: number;
  readonly capabilities: FleetCapabilities;
  readonly operationalSummary: OperationalSummary;
  readonly costSummary: CostSummary;
  readonly outcomes: RunOutcomes;
  readonly withdrawn: number;
  readonly queue: FleetQueue;
  readonly recent: FleetWindow;
}

/** Events of the window: the current hour and the 23 before it. */
export interface FleetWindow {
  readonly windowStart: string;
  readonly admitted: number;
  readonly outcomes: RunOutcomes;
  readonly refused: number;
  readonly denied: number;
  readonly suppressed: number;
  readonly runTimes: RunTimes;
}

/**
 * The answer to a request to forget an entry; `removed` is False if it was forgotten before.
 *
 * `left` names the places that may still hold its text.
 */
export interface ForgottenEntry {
  readonly id: string;
  readonly removed: boolean;
  readonly left?: readonly TextTrace[] | undefined;
}

/** The model and the tools of a harness profile. */
export interface HarnessConfig {
  readonly provider: string;
  readonly model: string;
  readonly tools: readonly string[];
}

/** The limits of a run: milliseconds, attempts of a model call, dollars (0: no budget), and model calls. */
export interface HarnessPolicies {
  readonly timeoutMs: number;
  readonly retryLimit: number;
  readonly budgetUsd: number;
  readonly maxTurns?: number | undefined;
}

/** A harness profile with its id. */
export interface HarnessProfile {
  readonly displayName: string;
  readonly version: HarnessProfileVersion | (string & {});
  readonly config: HarnessConfig;
  readonly policies: HarnessPolicies;
  readonly toolPolicies?: ToolPolicies | undefined;
  readonly allowedEgress?: readonly Egress[] | undefined;
  readonly verificationPolicies?: readonly VerificationPolicy[] | undefined;
  readonly id: string;
  readonly createdAt: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface HarnessProfilePage {
  readonly items: readonly HarnessProfile[];
  readonly nextCursor?: string | undefined;
}

export type HarnessProfileVersion = "v1" | "v2";

/** A harness profile as a client writes it. */
export interface HarnessSpec {
  readonly displayName: string;
  readonly version: HarnessSpecVersion | (string & {});
  readonly config: HarnessConfig;
  readonly policies: HarnessPolicies;
  readonly toolPolicies?: ToolPolicies | undefined;
  readonly allowedEgress?: readonly Egress[] | undefined;
  readonly verificationPolicies?: readonly VerificationPolicy[] | undefined;
}

export type HarnessSpecVersion = "v1" | "v2";

/**
 * Health of the server and state of each projection.
 *
 * `status` is `degraded` if `reason`, `problems` or an error of a projection is present. `reason` says why views cannot
 * be read or written, or why writes fail. `problems` lists the background loops that are failing.
 *
 * `generation` is the file of the views that serve reads, and `candidate` the file that will replace it. `executor` is
 * the id of this server in the list of workers.
 *
 * `clockAheadMs` is how far the machine's clock has jumped ahead of the server's time, until the jump is accepted.
 * `clockBehindLogMs` is how far the server's time is behind the last event. `loopBlockMs` is the longest block of the
 * event loop in the last one to two minutes, or 0 if none exceeded 20 ms.
 */
export interface Health {
  readonly status: HealthStatus | (string & {});
  readonly now: string;
  readonly head: number;
  readonly lag: number;
  readonly queue: number;
  readonly streams: number;
  readonly executor: string;
  readonly loopBlockMs: number;
  readonly clockAheadMs: number;
  readonly clockBehindLogMs: number;
  readonly projections: Readonly<Record<string, ProjectionHealth>>;
  readonly problems: readonly BackgroundProblem[];
  readonly generation?: string | undefined;
  readonly candidate?: string | undefined;
  readonly reason?: string | undefined;
}

export type HealthStatus = "degraded" | "ok";

export type HttpMethod = "DELETE" | "GET" | "HEAD" | "PATCH" | "POST" | "PUT";

/** The methods and limits of tool `http` on the hosts of `allowedEgress`. The limits apply to one call. */
export interface HttpPolicy {
  readonly methods?: readonly (HttpMethod | (string & {}))[] | undefined;
  readonly timeoutMs?: number | undefined;
  readonly responseBytesMax?: number | undefined;
}

/** The number of items of a step, in total and by status. */
export interface ItemCounts {
  readonly total: number;
  readonly pending: number;
  readonly running: number;
  readonly ok: number;
  readonly failed: number;
  readonly cancelled: number;
}

/** JSON content of evidence. */
export interface JsonContent {
  readonly kind: "json";
  readonly value: unknown;
}

/**
 * A kept anchor: the chain value (hex) of another log at `position`.
 *
 * `at` is when the anchor was taken, by the sender's clock. `from` is the sender's identity. `keptAt` is when this
 * server recorded the anchor.
 */
export interface KeptAnchor {
  readonly logId: string;
  readonly position: number;
  readonly chain: string;
  readonly at: string;
  readonly from: string;
  readonly keptAt: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface KeptAnchorPage {
  readonly items: readonly KeptAnchor[];
  readonly nextCursor?: string | undefined;
}

/**
 * A limit of concurrent runs of one session, provider or harness profile; without `key` a limit for each of them.
 *
 * Runs above `max` are refused or queued. A limit with a key replaces the general one. A run counts at every provider
 * that it may call, including its fallbacks.
 */
export interface KeyLimit {
  readonly scope: LimitScope | (string & {});
  readonly max: number;
  readonly strategy: LimitStrategy | (string & {});
  readonly key?: string | undefined;
}

/** The limits that apply to requests, runs and streams. */
export interface LimitCapabilities {
  readonly bodyBytesMax: number;
  readonly jsonDepthMax: number;
  readonly pageItemsMax: number;
  readonly pageBytesMax: number;
  readonly feedScanEventsMax: number;
  readonly runTimeoutMs: number;
  readonly contextCharsMax: number;
  readonly idempotencyHours: number;
  readonly idempotencyKeyCharsMax: number;
  readonly reasonCharsMax: number;
  readonly headerBytesMax: number;
  readonly headersMax: number;
  readonly urlBytesMax: number;
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly bodiesInFlightBytesMax: number;
  readonly answersInFlightBytesMax: number;
  readonly sendTimeoutMs: number;
  readonly streamsMax: number;
  readonly streamsPerIdentityMax: number;
  readonly refusalsPerSecond: number;
  readonly refusalsPerDay: number;
  readonly refusalsPerDayInAll: number;
  readonly requestsPerSecond?: number | undefined;
}

export type LimitScope = "harness-profile" | "provider" | "session";

export type LimitStrategy = "enqueue" | "reject";

/**
 * A list from an earlier step's output or from the workflow's input. The step runs once for each item.
 *
 * `path` is a JSON pointer to the list. The item fills the placeholder `item` (or `itemName`), its index fills `index`.
 */
export interface MapOver {
  readonly step?: string | undefined;
  readonly input?: string | undefined;
  readonly path?: string | undefined;
  readonly itemName?: string | undefined;
  readonly maxParallel?: number | undefined;
}

/** A note with optional metadata. */
export interface MemoryBody {
  readonly text: string;
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
}

/** A memory entry. `citation` is its name in search results and in the metadata of transcripts. */
export interface MemoryEntry {
  readonly id: string;
  readonly text: string;
  readonly chars: number;
  readonly createdAt: string;
  readonly citation: string;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface MemoryEntryPage {
  readonly items: readonly MemoryEntry[];
  readonly nextCursor?: string | undefined;
}

export type MergeGate = "fail" | "pass";

/**
 * A message between personas. `payload` is null once redacted.
 *
 * `status` is `sent`, `started`, `completed` or `failed`. `hops` is the length of the chain of messages up to this one.
 * `attempts` is the number of runs that processed it.
 */
export interface Message {
  readonly messageId: string;
  readonly fromPersona: string;
  readonly toPersona: string;
  readonly sessionId: string;
  readonly status: MessageStatus | (string & {});
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly payload: string | null;
  readonly hops: number;
  readonly attempts: number;
  readonly sentBy: string;
  readonly taskId?: string | undefined;
  readonly stepId?: string | undefined;
  readonly parentRunId?: string | undefined;
  readonly runId?: string | undefined;
  readonly deadLetterId?: string | undefined;
  readonly requeuedFrom?: string | undefined;
  readonly error?: MessageError | undefined;
}

/** A message from one persona to another: a text or an object, and the sender's task, step or run. */
export interface MessageBody {
  readonly fromPersona: string;
  readonly toPersona: string;
  readonly payload: unknown;
  readonly taskId?: string | null | undefined;
  readonly stepId?: string | null | undefined;
  readonly parentRunId?: string | null | undefined;
}

/** The error of a message that was not delivered. */
export interface MessageError {
  readonly code: string;
  readonly message: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface MessagePage {
  readonly items: readonly Message[];
  readonly nextCursor?: string | undefined;
}

export type MessageStatus = "completed" | "failed" | "sent" | "started";

/** The reason for a decision, for auditors. */
export interface NoteBody {
  readonly auditNote?: string | null | undefined;
}

/** Lines of a note. */
export interface NoteText {
  readonly path: string;
  readonly text: string;
  readonly lineStart: number;
  readonly lineEnd: number;
}

/** Active runs now, and failures and rejections in the last 24 hours. */
export interface OperationalSummary {
  readonly totalActiveRuns: number;
  readonly totalActiveSessions: number;
  readonly aggregateResourceUsage: ResourceUsage;
  readonly recentFailureRejectionCount: number;
}

/** The runs whose outcome would change, grouped; each group lists the 50 names with most runs. */
export interface OutcomeChange {
  readonly runs: number;
  readonly costUsd: number;
  readonly bySession: readonly ChangeShare[];
  readonly byProfile: readonly ChangeShare[];
  readonly byTemplate: readonly ChangeShare[];
  readonly byReason: readonly ChangeShare[];
}

/** An output of one step that fills a placeholder in the directive of another. */
export interface OutputMapping {
  readonly fromOutput: string;
  readonly toInput: string;
}

export type OverlapPolicy = "allow-all" | "buffer-all" | "buffer-latest" | "buffer-one" | "cancel-other" | "skip" | "terminate-other";

/** A passage found by a search. A higher `score` is a better match. */
export interface Passage {
  readonly id: string;
  readonly sourcePath: string;
  readonly snippet: string;
  readonly score: number;
  readonly lineStart?: number | undefined;
  readonly lineEnd?: number | undefined;
  readonly citation?: string | undefined;
}

export type PauseCause = "failure" | "requested";

export type PauseReason = "budget" | "daily-budget" | "unpriced-model";

/** A requested approval. A decision must name `subjectHash`, so that it applies to this subject only. */
export interface PendingApproval {
  readonly subjectHash: string;
  readonly requestedAt: string;
  readonly expiresAt?: string | undefined;
  readonly message?: string | undefined;
  readonly approvers?: readonly string[] | undefined;
  readonly role?: ApproverRole | (string & {}) | undefined;
  readonly notRequester?: boolean | undefined;
}

/** The files of a review, in the state directory (written as `.athena`) and in the workspace. */
export interface PersonaArtifacts {
  readonly auditDir: string;
  readonly resultJsonPath: string;
  readonly reportMarkdownPath: string;
  readonly outJsonPath?: string | undefined;
  readonly outMarkdownPath?: string | undefined;
}

/** A review by a persona. `status` is running, ok or failed. */
export interface PersonaRun {
  readonly runId: string;
  readonly personaName: string;
  readonly sessionId: string;
  readonly status: PersonaRunStatus | (string & {});
  readonly repoPath: string;
  readonly headRef: string;
  readonly baseRef: string;
  readonly createdAt: string;
  readonly finishedAt?: string | undefined;
  readonly repairRunId?: string | undefined;
  readonly mergeGate?: MergeGate | (string & {}) | undefined;
  readonly findings?: FindingCounts | undefined;
  readonly artifacts?: Readonly<Record<string, unknown>> | undefined;
}

/** A review request: the persona and the commits to compare; paths are relative to the workspace. */
export interface PersonaRunBody {
  readonly name: string;
  readonly repoPath: string;
  readonly headRef: string;
  readonly baseRef?: string | null | undefined;
  readonly sessionId?: string | null | undefined;
  readonly provider?: string | null | undefined;
  readonly model?: string | null | undefined;
  readonly outJsonPath?: string | null | undefined;
  readonly outMarkdownPath?: string | null | undefined;
  readonly stdout?: PersonaStdout | null | undefined;
}

/** A review by a persona with its result, which is null while it is running and once redacted. */
export interface PersonaRunDetails {
  readonly runId: string;
  readonly personaName: string;
  readonly sessionId: string;
  readonly status: PersonaRunDetailsStatus | (string & {});
  readonly repoPath: string;
  readonly headRef: string;
  readonly baseRef: string;
  readonly createdAt: string;
  readonly finishedAt?: string | undefined;
  readonly repairRunId?: string | undefined;
  readonly mergeGate?: MergeGate | (string & {}) | undefined;
  readonly findings?: FindingCounts | undefined;
  readonly artifacts?: Readonly<Record<string, unknown>> | undefined;
  readonly result?: Readonly<Record<string, unknown>> | undefined;
}

export type PersonaRunDetailsStatus = "failed" | "ok" | "running";

/** The result of a review, and its printed form. */
export interface PersonaRunOutput {
  readonly result: ReviewResult;
  readonly stdout: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface PersonaRunPage {
  readonly items: readonly PersonaRun[];
  readonly nextCursor?: string | undefined;
}

export type PersonaRunStatus = "failed" | "ok" | "running";

/** Consumption of a persona. */
export interface PersonaSpend {
  readonly estimatedSpendUsd: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  readonly personaName: string;
}

export type PersonaStdout = "json" | "md" | "none" | "summary";

/** A new policy: the document itself. */
export interface PlainPolicyBody {
  readonly schemaVersion: number;
  readonly maxConcurrentRuns?: number | null | undefined;
  readonly limits?: readonly KeyLimit[] | null | undefined;
  readonly defaultRunTimeoutMs?: number | null | undefined;
  readonly defaultScheduleTimeoutMs?: number | null | undefined;
  readonly retryBudgetPerRun?: number | null | undefined;
  readonly costBudgetDailyUsd?: number | null | undefined;
  readonly maxRunAttempts?: number | null | undefined;
  readonly updatedAt?: unknown | null | undefined;
  readonly auditComment?: string | null | undefined;
}

/** The current policy and the time of its last change. */
export interface PolicyDocument {
  readonly schemaVersion: number;
  readonly maxConcurrentRuns?: number | undefined;
  readonly limits?: readonly KeyLimit[] | undefined;
  readonly defaultRunTimeoutMs?: number | undefined;
  readonly defaultScheduleTimeoutMs?: number | undefined;
  readonly retryBudgetPerRun?: number | undefined;
  readonly costBudgetDailyUsd?: number | undefined;
  readonly maxRunAttempts?: number | undefined;
  readonly updatedAt: string;
}

export type PolicyEngine = "athena" | "kyverno";

/** A policy as a client sends it. `updatedAt` is accepted and ignored, so a client may send back what it read. */
export interface PolicyInput {
  readonly schemaVersion: number;
  readonly maxConcurrentRuns?: number | null | undefined;
  readonly limits?: readonly KeyLimit[] | null | undefined;
  readonly defaultRunTimeoutMs?: number | null | undefined;
  readonly defaultScheduleTimeoutMs?: number | null | undefined;
  readonly retryBudgetPerRun?: number | null | undefined;
  readonly costBudgetDailyUsd?: number | null | undefined;
  readonly maxRunAttempts?: number | null | undefined;
  readonly updatedAt?: unknown | null | undefined;
}

/** The policy rule that rejected a run. */
export interface PolicyRule {
  readonly schemaVersion: number;
  readonly engine: PolicyEngine | (string & {});
  readonly ruleType: PolicyRuleType | (string & {});
  readonly policyName?: string | undefined;
  readonly ruleName?: string | undefined;
  readonly failureAction?: FailureAction | (string & {}) | undefined;
  readonly message?: string | undefined;
}

export type PolicyRuleType = "concurrency" | "generate" | "mutate" | "validate";

export type PolicyType = "CONCURRENCY" | "COST";

/** Consumption of the runs of a harness profile. */
export interface ProfileSpend {
  readonly estimatedSpendUsd: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  readonly harnessProfileId: string;
}

/** State of one projection: its position, its lag behind the log, its version, and the error that stopped it. */
export interface ProjectionHealth {
  readonly position: number;
  readonly lag: number;
  readonly version: number;
  readonly error?: string | undefined;
}

/** Consumption of the calls of a provider. */
export interface ProviderSpend {
  readonly estimatedSpendUsd: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  readonly provider: string;
}

export type PutPolicyBody = PlainPolicyBody | CommentedPolicyBody;

/** The number of waiting items by mode. */
export interface QueueCounts {
  readonly followup: number;
  readonly collect: number;
}

export type QueueMode = "collect" | "followup";

/** A limit of the policy by session, provider or profile that is reached: `active` runs of at most `max`. */
export interface ReachedLimit {
  readonly scope: LimitScope | (string & {});
  readonly key: string;
  readonly max: number;
  readonly active: number;
}

/** A range of lines of a note. `path` is `MEMORY.md` or `memory/<name>.md`; `from` is the first line. */
export interface ReadMemoryBody {
  readonly path: string;
  readonly from?: number | null | undefined;
  readonly lines?: number | null | undefined;
}

/**
 * A job that requeues dead letters. `status` is `running`, `completed`, `cancelled` or `dry-run`.
 *
 * `total` is the number of dead letters that matched at the start. `results` is a page of the results, oldest first.
 */
export interface Redrive {
  readonly id: string | null;
  readonly status: RedriveStatus | (string & {});
  readonly filter: AppliedRedriveFilter;
  readonly ratePerSecond: number;
  readonly total: number;
  readonly done: number;
  readonly requeued: number;
  readonly skipped: number;
  readonly failed: number;
  readonly requestedBy: string;
  readonly results: readonly RedriveResult[];
  readonly startedAt?: string | undefined;
  readonly finishedAt?: string | undefined;
  readonly nextCursor?: string | undefined;
}

/** A redrive request: a filter, a rate per second, and `dryRun` to only count the dead letters. */
export interface RedriveBody {
  readonly filter: RedriveFilter;
  readonly ratePerSecond?: number | null | undefined;
  readonly dryRun?: boolean | null | undefined;
}

export type RedriveDecision = "failed" | "requeued" | "skipped";

/** A filter for pending dead letters; times in ISO-8601, inclusive. An empty filter matches all. */
export interface RedriveFilter {
  readonly sessionId?: string | null | undefined;
  readonly source?: string | null | undefined;
  readonly sourcePersona?: string | null | undefined;
  readonly targetPersona?: string | null | undefined;
  readonly reason?: string | null | undefined;
  readonly createdAfter?: string | null | undefined;
  readonly createdBefore?: string | null | undefined;
}

/**
 * The result for one dead letter.
 *
 * `result` is `requeued`, `skipped` (another decision came first) or `failed`.
 */
export interface RedriveResult {
  readonly deadLetterId: string;
  readonly result: RedriveDecision | (string & {});
  readonly at: string;
  readonly code?: string | undefined;
}

export type RedriveStatus = "cancelled" | "completed" | "dry-run" | "running";

/**
 * The plan of a refused run: everything that the refusal depended on, except provider and profile.
 *
 * `patient` runs (workflow steps) wait for a free slot. `leastMicroUsd` is the lowest possible cost of a model call,
 * absent if the model has no price. `inputChars` is the length of the input.
 */
export interface RefusedPlan {
  readonly model: string;
  readonly inputChars: number;
  readonly requestedBy: string;
  readonly patient?: boolean | undefined;
  readonly sessionStrategy?: SessionStrategy | (string & {}) | undefined;
  readonly fallbacks?: readonly string[] | undefined;
  readonly budgetMicroUsd?: number | undefined;
  readonly leastMicroUsd?: number | undefined;
  readonly timeoutMs?: number | undefined;
  readonly parentRunId?: string | undefined;
}

/**
 * The request of a refused run. If it is over 4 KiB, only its size as JSON and its SHA-256 are kept.
 *
 * A directive is represented by its id.
 */
export interface RefusedRequest {
  readonly input?: string | undefined;
  readonly directiveId?: string | undefined;
  readonly contextRefs?: readonly string[] | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly sizeBytes?: number | undefined;
  readonly sha256?: string | undefined;
}

/** The session and persona of a rejected run. */
export interface RejectedRun {
  readonly sessionId: string;
  readonly personaName?: string | undefined;
}

/**
 * A run that the policy rejected. `id` is `rej_` and the id of its event in the feed.
 *
 * `provider` is the one that the run would have used, and `runTemplateId` the template of its request. `plan` and
 * `request` describe the requested run. Both are absent in rejections of release 0.1, and `request` once redacted.
 */
export interface Rejection {
  readonly id: string;
  readonly createdAt: string;
  readonly sessionId: string;
  readonly activeRuns: number;
  readonly maxConcurrentRuns: number;
  readonly reason: RejectionReason | (string & {});
  readonly event: RejectionEvent;
  readonly actor: string;
  readonly traceId: string;
  readonly policy?: PolicyRule | undefined;
  readonly runId?: string | undefined;
  readonly directiveId?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  readonly provider?: string | undefined;
  readonly runTemplateId?: string | undefined;
  readonly runTemplateVersion?: number | undefined;
  readonly plan?: RefusedPlan | undefined;
  readonly request?: RefusedRequest | undefined;
}

/**
 * A rejection as it was recorded.
 *
 * For the policy type `COST` it has the sums of the UTC day. Then `limit`, which counts runs, is 0.
 */
export interface RejectionEvent {
  readonly schemaVersion: number;
  readonly timestamp: string;
  readonly policyType: PolicyType | (string & {});
  readonly limit: number;
  readonly rejectedRunDetails: RejectedRun;
  readonly reason: RejectionReason | (string & {});
  readonly activeRuns: number;
  readonly policy?: PolicyRule | undefined;
  readonly spentMicroUsd?: number | undefined;
  readonly budgetMicroUsd?: number | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface RejectionPage {
  readonly items: readonly Rejection[];
  readonly nextCursor?: string | undefined;
}

export type RejectionReason = "daily-cost-budget-exceeded" | "key-limit-exceeded" | "lock-acquisition-failed" | "max-concurrent-runs-exceeded" | "unpriced-model";

/** Attempts, retries and fallbacks that an answer took. */
export interface Reliability {
  readonly providerAttempts: number;
  readonly providerRetries: number;
  readonly fallbackHops: number;
  readonly turnLatencyMs?: number | undefined;
}

/** Result of a delete: `removed` is false if the schedule did not exist. */
export interface RemovedSchedule {
  readonly id: string;
  readonly removed: boolean;
}

/** Counts of requests by outcome; `costUsd` is the cost of the admitted runs. */
export interface RequestCounts {
  readonly admitted: number;
  readonly refused: number;
  readonly costUsd: number;
}

/** CPU cores and memory bytes; 0 if they cannot be measured. */
export interface ResourceUsage {
  readonly cpuUsage: number;
  readonly memoryUsage: number;
}

/** The total budget of a run in dollars, including what it has spent so far. Without it the run has no budget. */
export interface ResumeBody {
  readonly budgetUsd?: number | null | undefined;
}

/** Values that replace earlier ones. `dryRun` only reports what a resume would do. */
export interface ResumeWorkflowBody {
  readonly inputOverrides?: Readonly<Record<string, unknown>> | null | undefined;
  readonly dryRun?: boolean | null | undefined;
}

/**
 * The idempotency key of a retry; absent if `retryable` is false. `same-key`: nothing was decided. `new-key`: the key
 * is bound to the failed run, so the same key gets this error again.
 */
export type RetryWith = "same-key" | "new-key";

/** The answer that a model must give. */
export interface ReviewAnswer {
  readonly schemaVersion: 1;
  readonly mergeGate: MergeGate | (string & {});
  readonly reportMarkdown: string;
  readonly findings: readonly Finding[];
  readonly dependencyInspection?: DependencyInspection | undefined;
}

/** The reason why a review failed. */
export interface ReviewError {
  readonly message: string;
}

/** The result of a persona run. */
export interface ReviewResult {
  readonly schemaVersion: number;
  readonly runId: string;
  readonly personaName: string;
  readonly sessionId: string;
  readonly status: ReviewResultStatus | (string & {});
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly findings: readonly Finding[];
  readonly mergeGate: MergeGate | (string & {});
  readonly reportMarkdown: string;
  readonly repoPath: string;
  readonly headRef: string;
  readonly baseRef: string;
  readonly baseRefResolvedFrom: ReviewResultBaseRefResolvedFrom | (string & {});
  readonly artifacts: PersonaArtifacts;
  readonly contextManifest: readonly ContextFile[];
  readonly referencedFileMeta: readonly ContextFile[];
  readonly referencedFileSnapshots: readonly FileSnapshot[];
  readonly evidenceManifest: readonly EvidenceFile[];
  readonly dependencyInspection: DependencyInspection;
  readonly modelOutputRaw: string;
  readonly parseRetryAttempted: boolean;
  readonly modelOutputParsed?: ReviewAnswer | undefined;
  readonly parseError?: string | undefined;
  readonly repairRunId?: string | undefined;
  readonly usage?: Usage | undefined;
  readonly contextMeta?: ContextMeta | undefined;
  readonly error?: ReviewError | undefined;
}

export type ReviewResultBaseRefResolvedFrom = "flag" | "main" | "origin-head";

export type ReviewResultStatus = "failed" | "ok";

/** A role of an identity. Each one may do what the roles before it may. `NONE` locks an identity out. */
export type Role = "Admin" | "None" | "Operator" | "Viewer";

/**
 * A run. In lists, `inputPreview` and `outputPreview` replace the input and the output.
 *
 * A preview has at most 160 characters. `outputChars` is the length of the output in characters. `include=output` adds
 * the output.
 */
export interface Run {
  readonly runId: string;
  readonly sessionId: string;
  readonly status: RunStatus | (string & {});
  readonly createdAt: string;
  readonly directiveId: string;
  readonly harnessProfileId: string;
  readonly provider: string;
  readonly model: string;
  readonly attempt: number;
  readonly evidenceCount: number;
  readonly links: RunLinks;
  readonly startedAt?: string | undefined;
  readonly finishedAt?: string | undefined;
  readonly waiting?: RunWait | undefined;
  readonly paused?: RunPause | undefined;
  readonly parentRunId?: string | undefined;
  readonly template?: TemplateVersion | undefined;
  readonly output?: string | undefined;
  readonly usage?: Usage | undefined;
  readonly costMicroUsd?: number | undefined;
  readonly budgetMicroUsd?: number | undefined;
  readonly error?: RunError | undefined;
  readonly verificationStatus?: VerificationStatus | (string & {}) | undefined;
  readonly verificationFailures?: readonly VerificationFailure[] | undefined;
  readonly inputPreview?: string | undefined;
  readonly outputPreview?: string | undefined;
  readonly outputChars?: number | undefined;
}

/** The request to start a run. A child run is cancelled with its parent. */
export interface RunBody {
  readonly sessionId?: string | null | undefined;
  readonly input?: string | null | undefined;
  readonly directiveId?: string | null | undefined;
  readonly harnessProfileId?: string | null | undefined;
  readonly provider?: string | null | undefined;
  readonly model?: string | null | undefined;
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
  readonly sessionStrategy?: SessionStrategy | null | undefined;
  readonly parentRunId?: string | null | undefined;
}

export type RunEndStatus = "cancelled" | "completed" | "crashed" | "failed" | "timed-out";

/** The error of a run without an answer. */
export interface RunError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly retryWith?: RunErrorRetryWith | (string & {}) | undefined;
}

export type RunErrorRetryWith = "new-key" | "same-key";

/** Paths of resources related to a run. */
export interface RunLinks {
  readonly self: string;
  readonly session: string;
  readonly events: string;
  readonly cancel: string;
}

/** Number of runs by outcome. */
export interface RunOutcomes {
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly timedOut: number;
  readonly crashed: number;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface RunPage {
  readonly items: readonly Run[];
  readonly nextCursor?: string | undefined;
}

/** Why and since when a run is paused. `POST /runs/:runId/resume` resumes it. */
export interface RunPause {
  readonly reason: PauseReason | (string & {});
  readonly since: string;
}

/** The answer to a synchronous caller whose run completed. */
export interface RunResult {
  readonly sessionId: string;
  readonly runId: string;
  readonly output: string;
  readonly provider: string;
  readonly model: string;
  readonly createdAt: string;
  readonly directiveId: string;
  readonly harnessProfileId: string;
  readonly harnessProfileSnapshot: HarnessProfile;
  readonly evidenceCount: number;
  readonly verificationStatus: VerificationStatus | (string & {});
  readonly contextMeta: ContextMeta;
  readonly reliability: Reliability;
  readonly verificationFailures?: readonly VerificationFailure[] | undefined;
  readonly usage?: Usage | undefined;
  readonly template?: TemplateUse | undefined;
}

/** The provider and model for a schedule that names no harness profile. */
export interface RunScheduleBody {
  readonly provider?: string | null | undefined;
  readonly model?: string | null | undefined;
}

export type RunStatus = "cancelled" | "completed" | "crashed" | "failed" | "paused" | "queued" | "running" | "timed-out";

/**
 * A version of a run template. `directiveTemplate` and `defaultParams` are null once redacted.
 *
 * `createdAt` is when the template was created, `updatedAt` when this version was.
 */
export interface RunTemplate {
  readonly id: string;
  readonly version: number;
  readonly harnessProfileId: string;
  readonly directiveTemplate: string | null;
  readonly defaultParams: Readonly<Record<string, unknown>> | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly paramsSchema?: Readonly<Record<string, unknown>> | undefined;
}

/** Parameters of a run, and its session, a new one by default. */
export interface RunTemplateBody {
  readonly params?: Readonly<Record<string, unknown>> | null | undefined;
  readonly sessionId?: string | null | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface RunTemplatePage {
  readonly items: readonly RunTemplate[];
  readonly nextCursor?: string | undefined;
}

/** Durations of the runs that completed in the window, in milliseconds, at most an eighth too high. */
export interface RunTimes {
  readonly runs: number;
  readonly p50Ms?: number | undefined;
  readonly p95Ms?: number | undefined;
}

/**
 * Why a run is waiting, and its place in the queue of its session, limit or server.
 *
 * A running run is waiting for an `executor` if none has taken it since it was admitted or resumed. `blockedBy` is the
 * run that holds the session, or the oldest run that the limit counts. It is absent if the caller's scope does not
 * cover that run.
 */
export interface RunWait {
  readonly reason: WaitReason | (string & {});
  readonly position: number;
  readonly blockedBy?: string | undefined;
  readonly limit?: ReachedLimit | undefined;
}

/** Values of the placeholders in the directives, by name. */
export interface RunWorkflowBody {
  readonly input?: Readonly<Record<string, unknown>> | null | undefined;
}

/** A schedule with its id, which the client chooses. */
export interface ScheduleBody {
  readonly sessionId?: string | null | undefined;
  readonly input?: string | null | undefined;
  readonly directiveId?: string | null | undefined;
  readonly harnessProfileId?: string | null | undefined;
  readonly runTemplateId?: string | null | undefined;
  readonly params?: Readonly<Record<string, string>> | null | undefined;
  readonly workflowId?: string | null | undefined;
  readonly everyMinutes?: number | null | undefined;
  readonly cron?: string | null | undefined;
  readonly timezone?: string | null | undefined;
  readonly runAt?: string | null | undefined;
  readonly startAt?: string | null | undefined;
  readonly endAt?: string | null | undefined;
  readonly jitterSeconds?: number | null | undefined;
  readonly overlapPolicy?: OverlapPolicy | null | undefined;
  readonly catchUp?: CatchUp | null | undefined;
  readonly catchUpWindowSeconds?: number | null | undefined;
  readonly pauseOnFailure?: boolean | null | undefined;
  readonly enabled?: boolean | null | undefined;
  readonly startNow?: boolean | null | undefined;
  readonly paused?: boolean | null | undefined;
  readonly note?: string | null | undefined;
  readonly id: string;
}

/** The reason for pausing or resuming a schedule. */
export interface ScheduleNote {
  readonly note?: string | null | undefined;
}

/** Why and since when a schedule is paused. `runId` is the run that failed, if the cause is `failure`. */
export interface SchedulePause {
  readonly cause: PauseCause | (string & {});
  readonly since: string;
  readonly runId?: string | undefined;
}

/**
 * The outcome of one scheduled time, or of a manual run, which has no `nominalTime`.
 *
 * `nominalTime` is when it was due. `startedAt` is when it ran, or when it was decided that it would not. `status` is
 * one of running, buffered, ok, failed, already-running, skipped. `reason` explains a status other than ok. Times that
 * come due during a pause are recorded when it ends. Until then `startedAt` equals `nominalTime`, and `id` is valid as
 * a cursor only.
 */
export interface ScheduleRunLog {
  readonly id: string;
  readonly scheduleId: string;
  readonly sessionId: string | null;
  readonly startedAt: string;
  readonly status: ScheduleRunStatus | (string & {});
  readonly finishedAt?: string | undefined;
  readonly nominalTime?: string | undefined;
  readonly reason?: ScheduleRunReason | (string & {}) | undefined;
  readonly runId?: string | undefined;
  readonly error?: string | undefined;
  readonly errorCode?: string | undefined;
}

export type ScheduleRunReason = "buffer-full" | "cancelled" | "catchup-latest" | "catchup-none" | "catchup-window-exceeded" | "disabled" | "outside-start-end" | "overlap-skip" | "paused" | "policy-rejected" | "removed" | "superseded";

/**
 * Result of one run of a schedule.
 *
 * `status` is ok, failed, already-running, or running if the answer did not wait for the end. `reason` says why a run
 * failed for a cause outside of the schedule.
 */
export interface ScheduleRunResult {
  readonly status: ScheduleRunStatus | (string & {});
  readonly id: string;
  readonly sessionId: string | null;
  readonly startedAt: string;
  readonly finishedAt?: string | undefined;
  readonly error?: string | undefined;
  readonly errorCode?: string | undefined;
  readonly reason?: ScheduleRunReason | (string & {}) | undefined;
  readonly runId?: string | undefined;
}

export type ScheduleRunStatus = "already-running" | "buffered" | "failed" | "ok" | "running" | "skipped";

/** A schedule as a client writes it. Times are ISO-8601 with an offset. */
export interface ScheduleSpec {
  readonly sessionId?: string | null | undefined;
  readonly input?: string | null | undefined;
  readonly directiveId?: string | null | undefined;
  readonly harnessProfileId?: string | null | undefined;
  readonly runTemplateId?: string | null | undefined;
  readonly params?: Readonly<Record<string, string>> | null | undefined;
  readonly workflowId?: string | null | undefined;
  readonly everyMinutes?: number | null | undefined;
  readonly cron?: string | null | undefined;
  readonly timezone?: string | null | undefined;
  readonly runAt?: string | null | undefined;
  readonly startAt?: string | null | undefined;
  readonly endAt?: string | null | undefined;
  readonly jitterSeconds?: number | null | undefined;
  readonly overlapPolicy?: OverlapPolicy | null | undefined;
  readonly catchUp?: CatchUp | null | undefined;
  readonly catchUpWindowSeconds?: number | null | undefined;
  readonly pauseOnFailure?: boolean | null | undefined;
  readonly enabled?: boolean | null | undefined;
  readonly startNow?: boolean | null | undefined;
  readonly paused?: boolean | null | undefined;
  readonly note?: string | null | undefined;
}

/**
 * A schedule: its trigger, its target and its state.
 *
 * `nextRunAt` is null if no run is planned. `buffered` counts scheduled times that wait for a run to end. `revision`
 * counts writes. `input` is null if the target is a directive, and once redacted. `pausedBecause` is present while it
 * is paused.
 */
export interface ScheduledTask {
  readonly schemaVersion: number;
  readonly id: string;
  readonly sessionId: string | null;
  readonly input: string | null;
  readonly enabled: boolean;
  readonly paused: boolean;
  readonly running: boolean;
  readonly overlapPolicy: OverlapPolicy | (string & {});
  readonly catchUp: CatchUp | (string & {});
  readonly catchUpWindowSeconds: number;
  readonly pauseOnFailure: boolean;
  readonly jitterSeconds: number;
  readonly buffered: number;
  readonly revision: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly updatedBy: string;
  readonly nextRunAt: string | null;
  readonly lastRunAt?: string | undefined;
  readonly everyMinutes?: number | undefined;
  readonly cron?: string | undefined;
  readonly timezone?: string | undefined;
  readonly runAt?: string | undefined;
  readonly startAt?: string | undefined;
  readonly endAt?: string | undefined;
  readonly directiveId?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  readonly runTemplateId?: string | undefined;
  readonly params?: Readonly<Record<string, string>> | undefined;
  readonly workflowId?: string | undefined;
  readonly note?: string | undefined;
  readonly pausedBecause?: SchedulePause | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface ScheduledTaskPage {
  readonly items: readonly ScheduledTask[];
  readonly nextCursor?: string | undefined;
}

/** A session: a sequence of runs with one transcript. `transcriptPath` is a label, not a file. */
export interface Session {
  readonly id: string;
  readonly schemaVersion: number;
  readonly transcriptPath: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly model?: string | undefined;
  readonly provider?: string | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface SessionPage {
  readonly items: readonly Session[];
  readonly nextCursor?: string | undefined;
}

/** Consumption of the runs of a session. */
export interface SessionSpend {
  readonly estimatedSpendUsd: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  readonly sessionId: string;
}

export type SessionStrategy = "enqueue" | "interrupt" | "reject";

/**
 * The commands that tool `shell` may start. Each one is a prefix of the command line, word by word.
 *
 * `directory` is relative to the workspace. The limits apply to one call.
 */
export interface ShellPolicy {
  readonly commands: readonly (readonly string[])[];
  readonly directory?: string | undefined;
  readonly timeoutMs?: number | undefined;
  readonly outputBytesMax?: number | undefined;
}

/**
 * A policy to simulate, and the start: an ISO-8601 time, a position or an event id; absent, 24 hours ago.
 *
 * `runId` requests the result of one run, which may be a refused one.
 */
export interface SimulateBody {
  readonly policy: PolicyInput;
  readonly since?: string | null | undefined;
  readonly runId?: string | null | undefined;
}

/** The outcome of one request, recorded and simulated: the reason of a refusal, and whether it would wait. */
export interface SimulatedOutcome {
  readonly runId: string;
  readonly waited: boolean;
  readonly recorded?: string | undefined;
  readonly simulated?: string | undefined;
}

/**
 * The requests since a position, as they were decided and as another policy would have decided them.
 *
 * `truncated` is true above 10,000 requests or 500,000 events; `to` is the last position that was read. `estimated`
 * counts runs that never ran and now would, with the time and cost of similar runs. `waited` counts runs that the other
 * policy would have queued. `paused` counts runs that its daily budget would have paused; they stay paused.
 * `notSimulated` names what stays as recorded. `run` is present if a run was asked for and is among them.
 */
export interface Simulation {
  readonly since: number;
  readonly to: number;
  readonly truncated: boolean;
  readonly requests: number;
  readonly recorded: RequestCounts;
  readonly simulated: RequestCounts;
  readonly waited: number;
  readonly paused: number;
  readonly newlyRejected: OutcomeChange;
  readonly newlyAllowed: OutcomeChange;
  readonly estimated: number;
  readonly notSimulated: readonly (SimulationLimit | (string & {}))[];
  readonly run?: SimulatedOutcome | undefined;
}

export type SimulationLimit = "attempts" | "callers" | "children" | "pauses" | "retries" | "strategies" | "timeouts";

/** A step of a workflow: a directive with the profile that runs it, or an approval. */
export interface Step {
  readonly id: string;
  readonly directiveId?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  readonly outputs?: readonly string[] | undefined;
  readonly execution?: StepExecution | undefined;
  readonly triggerRule?: TriggerRule | (string & {}) | undefined;
  readonly when?: Condition | undefined;
  readonly map?: MapOver | undefined;
  readonly approval?: Approval | undefined;
}

/** The execution of a step: attempts, milliseconds for each attempt, and metadata of its runs. */
export interface StepExecution {
  readonly maxAttempts?: number | undefined;
  readonly timeoutMs?: number | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** State of one item of a mapped step. */
export interface StepItem {
  readonly item: number;
  readonly status: StepItemStatus | (string & {});
  readonly attempt: number;
  readonly runId?: string | undefined;
  readonly error?: string | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface StepItemPage {
  readonly items: readonly StepItem[];
  readonly nextCursor?: string | undefined;
}

export type StepItemStatus = "cancelled" | "failed" | "ok" | "pending" | "running";

/**
 * State of a step.
 *
 * With `itemsTruncated` only the first items are included. `GET /workflows/run/:id/steps/:step/items` pages all of
 * them.
 */
export interface StepState {
  readonly stepId: string;
  readonly status: StepStatus | (string & {});
  readonly attempt: number;
  readonly ready: boolean;
  readonly dependencyReadiness: DependencyReadiness;
  readonly updatedAt: string;
  readonly checkpoint?: Checkpoint | undefined;
  readonly runId?: string | undefined;
  readonly note?: string | undefined;
  readonly items?: readonly StepItem[] | undefined;
  readonly itemCounts?: ItemCounts | undefined;
  readonly itemsTruncated?: boolean | undefined;
  readonly approval?: PendingApproval | undefined;
}

export type StepStatus = "cancelled" | "failed" | "ok" | "pending" | "running" | "skipped" | "waiting";

/**
 * A run template as a client writes it.
 *
 * Parameters are strings, unless `paramsSchema` defines them: a JSON Schema of an object with all parameters.
 */
export interface TemplateSpec {
  readonly harnessProfileId: string;
  readonly directiveTemplate: string;
  readonly defaultParams: Readonly<Record<string, unknown>>;
  readonly paramsSchema?: Readonly<Record<string, unknown>> | null | undefined;
}

/** The template version and parameters from which a run was started. */
export interface TemplateUse {
  readonly id: string;
  readonly version: number;
  readonly harnessProfileId: string;
  readonly effectiveParams: Readonly<Record<string, unknown>>;
}

/** The template version that a run was started from. */
export interface TemplateVersion {
  readonly id: string;
  readonly version: number;
}

/** Text content of evidence. */
export interface TextContent {
  readonly kind: "text";
  readonly text: string;
}

/** A place that may still hold erased text: why, and how to remove it. */
export interface TextTrace {
  readonly place: string;
  readonly reason: string;
  readonly remedy: string;
}

/** Overrides for the runs of a tick. `at` replaces the current time (ISO-8601 with an offset). */
export interface TickBody {
  readonly provider?: string | null | undefined;
  readonly model?: string | null | undefined;
  readonly at?: string | null | undefined;
}

/** Result of a tick: the runs that it started, and the number of schedules that it skipped. */
export interface TickResult {
  readonly at: string;
  readonly run: readonly ScheduleRunResult[];
  readonly skipped: number;
}

/** Tokens of all calls. Ratios are shares of the sum of input and output tokens, 0 to 1. */
export interface TokenMix {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  readonly inputRatio: number;
  readonly outputRatio: number;
}

/** The rules of the tools. Without them `shell` starts nothing and `files` only reads. */
export interface ToolPolicies {
  readonly shell?: ShellPolicy | undefined;
  readonly http?: HttpPolicy | undefined;
  readonly files?: FilesPolicy | undefined;
}

/**
 * The text since the last delta, from character `offset` of its turn on.
 *
 * A `reset` has no text: the client discards what it showed of the turn. After the last entry of a run that ended or is
 * paused, one delta without text is `settled`; its turn is 0.
 */
export interface TranscriptDelta {
  readonly runId: string;
  readonly turn: number;
  readonly offset?: number | undefined;
  readonly text?: string | undefined;
  readonly reset?: boolean | undefined;
  readonly settled?: boolean | undefined;
}

/**
 * A transcript entry. It is `provisional` until its run ends; then `runStatus` is the outcome of the run.
 *
 * `content` is null once redacted.
 */
export interface TranscriptEntry {
  readonly id: string;
  readonly role: TranscriptRole | (string & {});
  readonly content: string | null;
  readonly kind: TranscriptKind | (string & {});
  readonly metadata: Readonly<Record<string, string>>;
  readonly createdAt: string;
  readonly runId: string;
  readonly toolCallId?: string | undefined;
  readonly toolName?: string | undefined;
  readonly isError?: boolean | undefined;
  readonly provisional?: boolean | undefined;
  readonly runStatus?: RunEndStatus | (string & {}) | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface TranscriptEntryPage {
  readonly items: readonly TranscriptEntry[];
  readonly nextCursor?: string | undefined;
}

export type TranscriptKind = "message" | "tool-call" | "tool-result";

export type TranscriptRole = "assistant" | "system" | "tool" | "user";

export type TriggerRule = "all-done" | "all-succeeded" | "one-failed";

/** Result of a change: `updated` is false if nothing changed, and `schedule` is absent if there is none. */
export interface UpdatedSchedule {
  readonly id: string;
  readonly updated: boolean;
  readonly schedule?: ScheduledTask | undefined;
}

/**
 * The tokens that a model call used (the mock provider counts characters).
 *
 * `inputTokens` includes cached and cache-writing tokens, `outputTokens` includes reasoning tokens.
 */
export interface Usage {
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  readonly totalTokens?: number | undefined;
  readonly cachedInputTokens?: number | undefined;
  readonly cacheWriteTokens?: number | undefined;
  readonly reasoningTokens?: number | undefined;
}

/** A verification policy that the run did not meet. */
export interface VerificationFailure {
  readonly policyId: string;
  readonly kind: VerificationKind | (string & {});
  readonly message: string;
  readonly details: Readonly<Record<string, string>>;
}

export type VerificationKind = "command" | "contains" | "json-schema" | "require-evidence";

/**
 * A condition that a run must meet to pass verification. `label` is the label of the evidence.
 *
 * `require-evidence`: evidence with the label is attached. `command`: `command` (allowed for `shell`) exits with 0.
 * `json-schema`: the output is JSON valid against `schema`. `contains`: the output contains the text.
 */
export interface VerificationPolicy {
  readonly id: string;
  readonly kind: VerificationKind | (string & {});
  readonly label: string;
  readonly evidenceType?: EvidenceType | (string & {}) | undefined;
  readonly command?: readonly string[] | undefined;
  readonly schema?: Readonly<Record<string, unknown>> | undefined;
  readonly contains?: string | undefined;
}

export type VerificationStatus = "passed" | "verification-failed";

/** SHA-256 of the rows of a view at a position. Servers with the same log have the same digest. */
export interface ViewDigest {
  readonly position: number;
  readonly rows: number;
  readonly sha256: string;
}

/** Digests of the views that serve reads, all taken at one moment. */
export interface ViewDigests {
  readonly generation: string | null;
  readonly views: Readonly<Record<string, ViewDigest>>;
}

export type WaitReason = "concurrency" | "executor" | "key-limit" | "session-busy";

/**
 * A drain of a queue. `status` is `running`, `ok` or `failed`.
 *
 * `automatic` is true if a message started it.
 */
export interface WorkDrain {
  readonly drainId: string;
  readonly sessionId: string;
  readonly status: WorkDrainStatus | (string & {});
  readonly requestedBy: string;
  readonly automatic: boolean;
  readonly startedAt: string;
  readonly queueDepthBefore: number;
  readonly drainedItems: number;
  readonly queueDepthAfter?: number | undefined;
  readonly finishedAt?: string | undefined;
  readonly provider?: string | undefined;
  readonly model?: string | undefined;
  readonly runId?: string | undefined;
  readonly error?: DrainError | undefined;
}

export type WorkDrainStatus = "failed" | "ok" | "running";

/** A waiting work item. `payload` is null once redacted. `runId` is present while a run processes it. */
export interface WorkItem {
  readonly id: string;
  readonly sessionId: string;
  readonly payload: string | null;
  readonly mode: QueueMode | (string & {});
  readonly createdAt: string;
  readonly attempts: number;
  readonly runId?: string | undefined;
  readonly messageId?: string | undefined;
  readonly deadLetterId?: string | undefined;
}

/** The work queue of a session, oldest item first. `items` is a page of the items that `itemCounts` counts. */
export interface WorkQueueState {
  readonly schemaVersion: number;
  readonly sessionId: string;
  readonly items: readonly WorkItem[];
  readonly itemCounts: QueueCounts;
  readonly draining: boolean;
  readonly updatedAt: string;
  readonly nextCursor?: string | undefined;
}

/**
 * A process attached to the log: a server, a worker, or a command that runs without a server.
 *
 * `concurrency` is the number of runs that it executes at a time (0: none), and `providers` lists the providers that it
 * can use. `running` is the number of runs that it is executing now. A worker that is `lost` no longer holds its lock,
 * and other workers take over its runs. `problems` lists the background loops that were failing at its last heartbeat.
 */
export interface Worker {
  readonly id: string;
  readonly kind: WorkerKind | (string & {});
  readonly status: WorkerStatus | (string & {});
  readonly host: string;
  readonly pid: number;
  readonly providers: readonly string[];
  readonly concurrency: number;
  readonly running: number;
  readonly since: string;
  readonly heartbeat: string;
  readonly problems: readonly BackgroundProblem[];
}

export type WorkerKind = "command" | "server" | "worker";

export type WorkerStatus = "alive" | "lost";

/** The processes attached to the log, oldest first. */
export interface Workers {
  readonly items: readonly Worker[];
}

/** A workflow: a graph of steps. */
export interface Workflow {
  readonly id: string;
  readonly definition: WorkflowDefinition;
  readonly createdAt: string;
  readonly createdBy: string;
}

/** The definition of a workflow. */
export interface WorkflowBody {
  readonly definition: WorkflowDefinition;
}

/** The steps of a workflow and their dependencies. */
export interface WorkflowDefinition {
  readonly steps: readonly Step[];
  readonly dependencies: readonly Dependency[];
}

/** A line of the log of a workflow run. */
export interface WorkflowLogLine {
  readonly id: string;
  readonly level: WorkflowLogLineLevel | (string & {});
  readonly message: string;
  readonly createdAt: string;
  readonly stepId?: string | undefined;
}

export type WorkflowLogLineLevel = "error" | "info";

/** Part of a list. `nextCursor` is present if more follows. */
export interface WorkflowPage {
  readonly items: readonly Workflow[];
  readonly nextCursor?: string | undefined;
}

/** The number of steps by status, and the percentage of steps that are finished. */
export interface WorkflowProgress {
  readonly totalSteps: number;
  readonly completedSteps: number;
  readonly runningSteps: number;
  readonly failedSteps: number;
  readonly pendingSteps: number;
  readonly skippedSteps: number;
  readonly waitingSteps: number;
  readonly percentComplete: number;
}

/**
 * A run of a workflow.
 *
 * With `executionLogTruncated` the log has the newest lines only. All events of the run are in the feed.
 */
export interface WorkflowRun {
  readonly schemaVersion: number;
  readonly id: string;
  readonly workflowId: string;
  readonly status: WorkflowRunStatus | (string & {});
  readonly stepOrder: readonly string[];
  readonly stepStates: Readonly<Record<string, StepState>>;
  readonly executionLog: readonly WorkflowLogLine[];
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly requestedBy: string;
  readonly resumedFromRunId?: string | undefined;
  readonly startedAt?: string | undefined;
  readonly finishedAt?: string | undefined;
  readonly executionLogTruncated?: boolean | undefined;
  readonly dryRun?: DryRun | undefined;
}

/** A workflow, with the state of a run. Without a run, `run` is null and the related fields are empty. */
export interface WorkflowRunDetails {
  readonly workflow: Workflow;
  readonly run: WorkflowRun | null;
  readonly nodes: readonly StepState[];
  readonly progress: WorkflowProgress;
  readonly artifactRefs: readonly ArtifactRef[];
  readonly eta: Eta;
}

export type WorkflowRunStatus = "cancelled" | "failed" | "ok" | "running" | "waiting";

/** A run of a workflow, in a list. */
export interface WorkflowRunSummary {
  readonly id: string;
  readonly workflowId: string;
  readonly status: WorkflowRunStatus | (string & {});
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly requestedBy: string;
  readonly resumedFromRunId?: string | undefined;
  readonly startedAt?: string | undefined;
  readonly finishedAt?: string | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface WorkflowRunSummaryPage {
  readonly items: readonly WorkflowRunSummary[];
  readonly nextCursor?: string | undefined;
}
