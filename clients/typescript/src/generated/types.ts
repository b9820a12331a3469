// Generated from the table of operations by `python -m docs.generate`; do not edit.

/** The tools to accept. `subjectHash`, or `listing_sha256` as in release 0.2, names the list that was shown. */
export interface AcceptanceBody {
  /** Hash of the list that was shown. */
  readonly subjectHash?: string | null | undefined;
  /** The same as `subjectHash`, under its name of release 0.2. */
  readonly listingSha256?: string | null | undefined;
  /** Names of the tools; absent: all of the list. */
  readonly tools?: readonly string[] | null | undefined;
  /** Reason, for the audit trail. */
  readonly note?: string | null | undefined;
}

/** The machine's time, and how many milliseconds it was ahead of the server's (0: in step). */
export interface AcceptedClock {
  /** Time of the machine. */
  readonly clock: string;
  /** Milliseconds that it was ahead of the server's time. */
  readonly aheadMs: number;
}

/**
 * An admitted run that has not ended and is not paused. `pid` is 0 until an executor takes it.
 *
 * `turn` is the number of the current call of the model, or of the one that requested the current tool call. The time
 * of the run counts since `clockFrom`, without pauses. While it waits for a person, that is absent, and `elapsedMs`
 * stands.
 */
export interface ActiveRun {
  readonly sessionId: string;
  /** Process that runs it; 0 before one does. */
  readonly pid: number;
  /** When it started, or was admitted. */
  readonly startedAt: string;
  readonly runId: string;
  /** Trace id of the request that caused it. */
  readonly traceId: string;
  /** Number of the current model call, or of the one that requested the current tool call. */
  readonly turn: number;
  /** What it does now. */
  readonly step: ActiveStep;
  /** Longest time that it may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly harnessProfileId: string;
  /** Name of the provider. */
  readonly provider: string;
  /** Name of the model. */
  readonly model: string;
  /** When its time would have begun without pauses; absent while it waits for a person. */
  readonly clockFrom?: string | undefined;
  /** Milliseconds that it ran; absent unless it waits for a person. */
  readonly elapsedMs?: number | undefined;
  /** Display name of its profile; absent without one. */
  readonly agentName?: string | undefined;
  /** Outside agent of its profile; absent without one. */
  readonly agent?: string | undefined;
  /** First 160 characters of the input, on one line. */
  readonly inputPreview?: string | undefined;
  /** Cost of its priced model calls, in millionths of a dollar; absent before one. */
  readonly costMicroUsd?: number | undefined;
  /** Budget in millionths of a dollar; absent without one. */
  readonly budgetMicroUsd?: number | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface ActiveRunPage {
  /** Items of this page. */
  readonly items: readonly ActiveRun[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/**
 * The current step of an active run. It waits for an executor, a person, the answer of a model, or a tool.
 *
 * `position` is the event of the open call. `preview` is the beginning of its arguments, unless they were erased.
 */
export interface ActiveStep {
  /** What it waits for: an executor, a model, a tool or a person. */
  readonly kind: ActiveStepKind | (string & {});
  /** When the step began. */
  readonly since: string;
  /** Event of the open call; absent without one. */
  readonly position?: number | undefined;
  /** Tool of the open call; absent if unknown. */
  readonly toolName?: string | undefined;
  /** Id of the open call; absent without one. */
  readonly toolCallId?: string | undefined;
  /** Beginning of the arguments of the call; absent without one, or once erased. */
  readonly preview?: string | undefined;
}

export type ActiveStepKind = "ask" | "executor" | "model" | "tool";

/**
 * The reasoning, plan and open calls that an outside agent shows now. Nothing of it is recorded.
 *
 * `thoughts` is the end of its newest reasoning.
 */
export interface AgentActivity {
  /** End of its newest reasoning; absent without one. */
  readonly thoughts?: string | undefined;
  /** Steps of its plan; absent without one. */
  readonly plan?: readonly PlanStep[] | undefined;
  /** Newest calls that have not ended, oldest first; absent without one. */
  readonly calls?: readonly OpenCall[] | undefined;
}

/**
 * The outside agents of this server, and their processes, oldest first.
 *
 * `memoryBytes` is the memory of all processes, `memoryBytesMax` its limit, if there is one.
 */
export interface AgentList {
  /** The registered agents, by name. */
  readonly agents: readonly RegisteredAgent[];
  /** Processes of agents that work on runs of this server, oldest first. */
  readonly live: readonly LiveAgentProcess[];
  /** Memory of all processes, a few seconds ago. */
  readonly memoryBytes: number;
  /** Limit of this memory; absent without one. */
  readonly memoryBytesMax?: number | undefined;
}

/** Tool calls of this kind, or commands that begin with these words; without a field, all calls. */
export interface AgentMatch {
  /** Kind of the call, as the agent says; absent: any. */
  readonly kind?: AgentToolKind | (string & {}) | undefined;
  /** First words of the command; absent: any call. */
  readonly command?: readonly string[] | undefined;
}

/**
 * The outside agent that works on the runs of the profile, and its rights.
 *
 * `mode` is ordered after each opening of a session. `models` maps the models that the agent asks for to the ones that
 * serve it; without it only `config.model` does. The first of `permissions` that matches a call decides, else a person
 * is asked.
 */
export interface AgentPolicy {
  /** A registered agent. */
  readonly name: string;
  /** Mode of its sessions; absent: the mode of the operator's file. */
  readonly mode?: string | undefined;
  /** Models that it may ask for, and the models that serve them; absent: only the model of `config`. */
  readonly models?: Readonly<Record<string, string>> | undefined;
  /** Approval of its tool calls; the first rule that matches decides, else a person. */
  readonly permissions?: readonly AgentRule[] | undefined;
}

/** The approval of the tool calls that match. */
export interface AgentRule {
  /** Calls that the rule is about. */
  readonly match: AgentMatch;
  /** `allow`, `ask` a person before a call, or `deny`. */
  readonly approval: AgentRuleApproval | (string & {});
}

export type AgentRuleApproval = "allow" | "ask" | "deny";

export type AgentToolKind = "delete" | "edit" | "execute" | "fetch" | "move" | "other" | "read" | "search" | "think";

/** An anchor of another log: its id, a position, the chain value there in hex, and the time it was taken. */
export interface AnchorBody {
  readonly logId: string;
  /** Position in the log. */
  readonly position: number;
  /** Chain value at the position, in hex. */
  readonly chain: string;
  /** When the anchor was taken. */
  readonly at: string;
}

/** An anchor of another log that is kept here. `from` is the identity that first sent it. */
export interface AnchorReceipt {
  readonly logId: string;
  /** Position in the log. */
  readonly position: number;
  /** Chain value at the position, in hex. */
  readonly chain: string;
  /** When the anchor was taken. */
  readonly at: string;
  /** Identity that sent it first. */
  readonly from: string;
}

/**
 * An answer to an ask: one of its options, or the values of its form.
 *
 * `subjectHash` is the hash that was shown. `editedArguments` replaces the arguments of the call. `remember` also
 * allows the same call in the future, in the run, its session or all runs of its profile.
 */
export interface AnswerBody {
  /** Hash that was shown, `subjectHash` of the ask. */
  readonly subjectHash: string;
  /** An option of the ask; needless with `values`. */
  readonly optionId?: string | null | undefined;
  /** Values that fit the `form` of a question. */
  readonly values?: Readonly<Record<string, unknown>> | null | undefined;
  /** Reason, for auditors. */
  readonly note?: string | null | undefined;
  /** Arguments of the call to make instead; only where the ask is `editable`. */
  readonly editedArguments?: Readonly<Record<string, unknown>> | null | undefined;
  /** Also allow this exact call from now on, there. */
  readonly remember?: RuleScope | null | undefined;
  /** How long; by default 1 day in a run, 7 in a session, 30 in a profile. */
  readonly rememberForMs?: number | null | undefined;
}

/** An ask to answer, with one of its options. */
export interface AnswerItem {
  readonly askId: string;
  /** Hash that was shown, `subjectHash` of the ask. */
  readonly subjectHash: string;
  /** An option of the ask. */
  readonly optionId: string;
  /** Reason, for auditors. */
  readonly note?: string | null | undefined;
}

/** The outcome for one ask. */
export interface AnsweredAsk {
  readonly askId: string;
  /** Outcome. */
  readonly status: AnsweredAskStatus | (string & {});
  /** Why it failed; absent if it did not. */
  readonly error?: ItemError | undefined;
}

export type AnsweredAskStatus = "answered" | "failed";

/** The outcome for each ask. `more` is true if the filter covers further open asks. */
export interface AnsweredAsks {
  /** Outcomes, in the order of the request or oldest first. */
  readonly items: readonly AnsweredAsk[];
  /** True if the filter covers further asks; else absent. */
  readonly more?: boolean | undefined;
}

/** Answers to several asks: `items`, or a `filter` with an `optionId` that rejects. */
export interface AnswersBody {
  /** Asks to answer. */
  readonly items?: readonly AnswerItem[] | null | undefined;
  /** Open asks to reject instead, the oldest 100. */
  readonly filter?: AskFilter | null | undefined;
  /** With `filter`: `deny`, `decline` or `reject`, which all reject. */
  readonly optionId?: string | null | undefined;
  /** Reason, for auditors. */
  readonly note?: string | null | undefined;
}

/** An error: a stable code for programs, and a message for people. */
export interface ApiError {
  /** A stable code, for programs. */
  readonly code: ErrorCode | (string & {});
  /** The fault, for people. The words may change. */
  readonly message: string;
  /** True if the cause may pass, so a retry may succeed. */
  readonly retryable: boolean;
  /**
   * `same-key`: repeat the request with its idempotency key. `new-key`: send it with another key. Present if
   * `retryable` is true.
   */
  readonly retryWith?: RetryWith | (string & {}) | undefined;
  /** The id of this request, as in the `x-trace-id` header. */
  readonly traceId: string;
  /** The invalid fields of the input, or other details of the error. */
  readonly details?: readonly Fault[] | Readonly<Record<string, unknown>> | undefined;
}

/** An apply of a run's changes: when, by which identity, and the number of files that were written. */
export interface AppliedChanges {
  /** When it was applied. */
  readonly at: string;
  /** Identity that applied it. */
  readonly by: string;
  /** Number of files written or deleted. */
  readonly files: number;
}

/** A file of an apply: its path, what was done with it, and the reason of a conflict. */
export interface AppliedFile {
  /** Path in the shared workspace. */
  readonly path: string;
  /** What was done, or in a dry run would be done. */
  readonly result: ApplyResult | (string & {});
  /** Why it conflicts; absent otherwise. */
  readonly reason?: string | undefined;
}

/** The filter of a redrive. Times are inclusive. */
export interface AppliedRedriveFilter {
  /** Only dead letters of this session. */
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
  readonly createdAfter?: string | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: string | undefined;
}

/**
 * An apply of a run's changes: the result for each file. The answer to a repeated key lacks the files.
 *
 * A `merged` file also has changes of the shared workspace, so it differs from the diff that was shown.
 */
export interface AppliedRun {
  readonly runId: string;
  readonly workspaceId: string;
  /** True if nothing was written. */
  readonly dryRun: boolean;
  /** Number of files written or deleted. */
  readonly filesChanged: number;
  /** Each file with its result; empty for a repeated key. */
  readonly files: readonly AppliedFile[];
  /** Hash of the changes of the run. */
  readonly subjectHash: string;
}

/**
 * An apply of the changes of a run; with `dryRun`, only a report.
 *
 * `subjectHash` is the hash of the changes that were shown. Other changes are not applied.
 */
export interface ApplyBody {
  /** True to only report what would be done. */
  readonly dryRun?: boolean | null | undefined;
  /** Hash of the changes that were shown; required if the diff hides a part of them. */
  readonly subjectHash?: string | null | undefined;
}

export type ApplyResult = "already" | "conflict" | "deleted" | "merged" | "written";

/**
 * A manual approval. Approvers need at least `role` and, if `approvers` is given, must be listed there.
 *
 * With `notRequester` the identities that requested or resumed the workflow run cannot approve.
 */
export interface Approval {
  /** Text for the approver. */
  readonly message?: string | undefined;
  /** Identities that may decide; absent: all with the role. */
  readonly approvers?: readonly string[] | undefined;
  /** Least role of an approver; absent: `Operator`. */
  readonly role?: ApproverRole | (string & {}) | undefined;
  /** Milliseconds until it expires; absent: never. */
  readonly expiresAfterMs?: number | undefined;
  /** Decision at expiry; absent: reject. */
  readonly onExpiry?: ApprovalOnExpiry | (string & {}) | undefined;
  /** True: who requested or resumed the run may not approve. */
  readonly notRequester?: boolean | undefined;
}

/** The hash of the subject to approve or reject, as the step's node shows it, and a note. */
export interface ApprovalBody {
  /** Hash of the subject to approve. */
  readonly subjectHash: string;
  /** Reason, for auditors. */
  readonly note?: string | null | undefined;
}

export type ApprovalOnExpiry = "approve" | "reject";

export type ApproverRole = "Admin" | "Operator";

/**
 * The output of a step, which is null once redacted; then `redacted` is true.
 *
 * With `outputTruncated` it is a preview, or a list of previews of the first items. The whole outputs are in the step's
 * runs.
 */
export interface Artifact {
  /** Kind of the output. */
  readonly kind: "run-result";
  /** Text of the output; null once redacted. */
  readonly output: string | null;
  /** Name of the provider. */
  readonly provider: string;
  /** Name of the model. */
  readonly model: string;
  /** When it was created. */
  readonly createdAt: string;
  /** True if it is a preview; else absent. */
  readonly outputTruncated?: boolean | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** A reference to the output of a step. */
export interface ArtifactRef {
  /** Step that made it. */
  readonly stepId: string;
  /** Name of the output or evidence. */
  readonly artifactRef: string;
  /** Kind of the output. */
  readonly kind: "run-result";
  /** Name of the provider. */
  readonly provider: string;
  /** Name of the model. */
  readonly model: string;
  /** When it was created. */
  readonly createdAt: string;
  /** Length of the output in characters. */
  readonly outputChars: number;
}

/**
 * A question to a person, open or decided.
 *
 * Of a run: `arguments` belong to the call, as JSON text, and `form` is a JSON Schema of `values`. An `editable` ask
 * takes other arguments. It is `parked` if the run gave its slot back and waits for the answer. `requestedBy` requested
 * the run, the first one if there are more. `credentials` are the names of those that the call would carry.
 *
 * The texts are those that a person reads. `hidden` are the parts that they do not have, in the order of their marks in
 * the texts: the length, and the SHA-256 of the salt and the part. Such an ask is allowed by a person only after
 * `?exact=true` was read, which adds `exact`: the arguments, or the question with its form, as JSON text. `secrets` are
 * the names that stand in a text in place of secrets of Athena. A character that people cannot see stands as a mark
 * such as `[U+202E]`. `subjectHash` covers the exact text.
 *
 * Of a workflow approval: `subject` is the text to approve, the outputs of the steps before it, and `input` the input
 * values of the workflow run. Both are absent once the run repeated such a step.
 *
 * `truncated` is true if a part is cut or left out; a list shows 4,096 characters of a text. `redacted` is true if a
 * part was erased.
 */
export interface Ask {
  readonly id: string;
  /** Kind of the ask. */
  readonly kind: AskKind | (string & {});
  readonly status: AskStatus | (string & {});
  /** Text that a person decides about. */
  readonly question: string;
  /** Hash of the subject to approve. */
  readonly subjectHash: string;
  /** Possible answers. */
  readonly options: readonly AskChoice[];
  /** Least role that may decide; questions also take an answer of `requestedBy`. */
  readonly role: ApproverRole | (string & {});
  /** True if the run gave its slot back to wait for the answer. */
  readonly parked: boolean;
  /** True if the call may be allowed with other arguments. */
  readonly editable: boolean;
  /** When it was asked. */
  readonly askedAt: string;
  /** Session that asks; absent for a workflow. */
  readonly sessionId?: string | undefined;
  /** Run that asks; absent for a workflow. */
  readonly runId?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  /** Display name of its profile; absent without one. */
  readonly agentName?: string | undefined;
  /** Identity that requested the run, the first one if there are more. */
  readonly requestedBy?: string | undefined;
  /** Who asks: the loop, an outside agent, or an MCP server or endpoint. */
  readonly origin?: AskOrigin | (string & {}) | undefined;
  /** Turn of the model that asks. */
  readonly turn?: number | undefined;
  /** Id of the tool call; absent without one. */
  readonly toolCallId?: string | undefined;
  /** Name of the tool; absent without one. */
  readonly toolName?: string | undefined;
  /** Arguments of the call, as JSON text. */
  readonly arguments?: string | undefined;
  /** JSON Schema of `values`; absent without a form. */
  readonly form?: Readonly<Record<string, unknown>> | undefined;
  /** Names of the credentials that the call would carry; absent: none. */
  readonly credentials?: readonly string[] | undefined;
  /** The parts that the shown texts do not have, in the order of their marks. */
  readonly hidden?: readonly HiddenSpan[] | undefined;
  /** Names that stand in a text in place of secrets of Athena. */
  readonly secrets?: readonly string[] | undefined;
  /** The exact arguments, or the question with its form, as JSON text; only with `exact=true`. */
  readonly exact?: string | undefined;
  /** Its workflow; absent for a run. */
  readonly workflowId?: string | undefined;
  /** Workflow run that waits; absent for a run. */
  readonly workflowRunId?: string | undefined;
  /** Step that waits; absent for a run. */
  readonly stepId?: string | undefined;
  /** Text to approve: the outputs of the steps before; absent once they were replaced. */
  readonly subject?: string | undefined;
  /** Input values of the workflow run; absent without any. */
  readonly input?: Readonly<Record<string, unknown>> | undefined;
  /** Identities that may decide; absent: all with the role. */
  readonly approvers?: readonly string[] | undefined;
  /** True: who requested or resumed the run may not approve. */
  readonly notRequester?: boolean | undefined;
  /** When it expires; absent: never. */
  readonly expiresAt?: string | undefined;
  /** Consequence of no answer in time: the call is refused, or the run is cancelled. */
  readonly onExpiry?: AskOnExpiry | (string & {}) | undefined;
  /** When it was decided, expired or was cancelled; absent while open. */
  readonly decidedAt?: string | undefined;
  /** Identity that decided; absent while open and at its expiry. */
  readonly decidedBy?: string | undefined;
  /** Option that was chosen. */
  readonly optionId?: string | undefined;
  /** Permission rule that decided. */
  readonly ruleId?: string | undefined;
  /** Answers to the form, by field. */
  readonly values?: Readonly<Record<string, unknown>> | undefined;
  /** Arguments that were allowed instead, as JSON text. */
  readonly editedArguments?: string | undefined;
  /** Note of the decision; absent without one. */
  readonly note?: string | undefined;
  /** True if a text is cut or left out; else absent. */
  readonly truncated?: boolean | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** A possible answer to an ask. `name` is text: it is absent in rows, and once erased. */
export interface AskChoice {
  /** Id of the option. */
  readonly id: string;
  /** `allow_once` allows or answers, `reject_once` refuses. */
  readonly kind: AskChoiceKind | (string & {});
  /** Name of the option; absent once redacted. */
  readonly name?: string | undefined;
}

export type AskChoiceKind = "allow_once" | "reject_once";

/** Open asks to reject, the oldest 100. */
export interface AskFilter {
  /** Only asks of this kind. */
  readonly kind?: AskKind | null | undefined;
  /** Only asks of this session. */
  readonly sessionId?: string | null | undefined;
  /** Only asks of this run. */
  readonly runId?: string | null | undefined;
  /** Only asks of this profile. */
  readonly harnessProfileId?: string | null | undefined;
}

export type AskKind = "choice" | "question" | "tool-permission" | "workflow-approval";

export type AskOnExpiry = "cancel" | "deny";

export type AskOrigin = "agent" | "loop" | "mcp";

/** Part of a list. `nextCursor` is present if more follows. */
export interface AskPage {
  /** Items of this page. */
  readonly items: readonly Ask[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/**
 * The rules by which runs ask a person: how long they hold their slot, the expiry of an ask, and who may answer.
 *
 * Defaults: 60 seconds, one day, `deny`, and the role Operator. `notRequester` excludes who requested the run.
 */
export interface AskPolicy {
  /** Milliseconds that a run holds its slot while it asks; 60,000 by default. */
  readonly holdMs?: number | undefined;
  /** Milliseconds until an ask expires; one day by default. */
  readonly expiresAfterMs?: number | undefined;
  /** Refuse the call (`deny`, the default), or cancel the run. */
  readonly onExpiry?: AskPolicyOnExpiry | (string & {}) | undefined;
  /** Least role of who answers; `Operator` by default. */
  readonly role?: ApproverRole | (string & {}) | undefined;
  /** Identities that may answer; absent: all with the role. */
  readonly approvers?: readonly string[] | undefined;
  /** True if who requested the run may not answer. */
  readonly notRequester?: boolean | undefined;
}

export type AskPolicyOnExpiry = "cancel" | "deny";

export type AskStatus = "answered" | "approved" | "cancelled" | "expired" | "open" | "rejected";

/**
 * A change or an attempted change. `id` is the id of its event in the feed.
 *
 * `target` is the affected run, session, operation or document. `redacted` is true if its text was erased.
 */
export interface AuditEntry {
  readonly id: string;
  /** When it was created. */
  readonly createdAt: string;
  /** Kind of the entry. */
  readonly kind: AuditKind | (string & {});
  /** Type of the event. */
  readonly type: string;
  /** Identity that did it, or a `system:` actor of the server. */
  readonly actor: string;
  /** Trace id of the request that caused it. */
  readonly traceId: string;
  /** Run, session, operation or document; absent without one. */
  readonly target?: string | undefined;
  /** Reason that the client gave; absent without one. */
  readonly reason?: string | undefined;
  /** State before the change; absent if nothing existed. */
  readonly before?: Readonly<Record<string, unknown>> | undefined;
  /** State after the change; absent for other entries. */
  readonly after?: Readonly<Record<string, unknown>> | undefined;
  /** Further facts; absent without them. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly sessionId?: string | undefined;
  readonly runId?: string | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface AuditEntryPage {
  /** Items of this page. */
  readonly items: readonly AuditEntry[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type AuditKind = "anchor" | "approval" | "ask" | "authentication" | "bulk" | "cancel" | "clock" | "dead-letter" | "denial" | "fork" | "halt" | "mcp-server" | "permission-rule" | "policy" | "redaction" | "rejection" | "resume" | "roles" | "schedule" | "server" | "suppression" | "token" | "workspace";

/** Authentication and authorization of the server. */
export interface AuthCapabilities {
  /** True if callers need an identity. */
  readonly enabled: boolean;
  /** How strictly roles are enforced. */
  readonly mode: AuthzMode | (string & {});
  /** Header with the identity of the caller. */
  readonly identityHeader: string;
}

export type AuthzMode = "enforce" | "observe" | "off" | "soft-enforce";

/** A background loop that is failing: since when, its last error, and the number of failures since then. */
export interface BackgroundProblem {
  /** Name of the background loop. */
  readonly loop: string;
  /** Since when it fails. */
  readonly since: string;
  /** Text for people. */
  readonly message: string;
  /** Number of failures. */
  readonly count: number;
}

/** Binary content of evidence, in base64. */
export interface BinaryContent {
  /** Bytes, in base64. */
  readonly kind: "binary";
  /** Bytes in base64. */
  readonly base64: string;
}

/** The runs to cancel, and the reason. `dryRun` only lists them. With `subjectHash`, cancel only those runs. */
export interface BulkCancelBody {
  /** Open runs to cancel. */
  readonly filter: RunFilterBody;
  /** Reason of the cancellations. */
  readonly reason: string;
  /** True to only list the runs. */
  readonly dryRun?: boolean | null | undefined;
  /** Hash of a dry run: cancel only if the same runs are selected. */
  readonly subjectHash?: string | null | undefined;
}

/**
 * The result for one run. `retryRunId` is the new run of a retry.
 *
 * `status` is `selected` in a dry run. `not-running` is a run that ended before its cancellation.
 */
export interface BulkItem {
  /** Run of the filter. */
  readonly runId: string;
  /** Result for the run. */
  readonly status: BulkItemStatus | (string & {});
  /** The new run of a retry; absent otherwise. */
  readonly retryRunId?: string | undefined;
  /** Why it failed; absent otherwise. */
  readonly error?: ItemError | undefined;
}

export type BulkItemStatus = "cancelled" | "failed" | "not-running" | "retried" | "selected";

/**
 * The result of a bulk request: counts, and the result for each run, the oldest first.
 *
 * `id` is absent in a dry run. `position` is where the request was recorded. `subjectHash` of a dry run names the runs
 * that it selected.
 */
export interface BulkResult {
  /** True if nothing was done. */
  readonly dryRun: boolean;
  /** Runs of the filter. */
  readonly total: number;
  /** Runs that were cancelled or retried. */
  readonly done: number;
  /** Runs whose request failed. */
  readonly failed: number;
  /** The runs, the oldest first. */
  readonly items: readonly BulkItem[];
  /** Id of the request; absent in a dry run. */
  readonly id?: string | undefined;
  /** Hash of the runs that a dry run selected; absent otherwise. */
  readonly subjectHash?: string | undefined;
}

/**
 * The ended runs to retry, with changes to their requests. `dryRun` only lists them.
 *
 * With `subjectHash`, retry only those runs.
 */
export interface BulkRetryBody {
  /** Ended runs to retry. */
  readonly filter: RunFilterBody;
  /** Changes to every request; absent: none. */
  readonly changes?: RunChanges | null | undefined;
  /** True to only list the runs. */
  readonly dryRun?: boolean | null | undefined;
  /** Hash of a dry run: retry only if the same runs are selected. */
  readonly subjectHash?: string | null | undefined;
}

/**
 * The identity of the caller, its role and the operations that the role allows. `scope` narrows them further.
 *
 * `groups` are those that its proxy named and that have a role.
 */
export interface Caller {
  /** Name of the caller. */
  readonly identity: string;
  /** Role of the caller. */
  readonly role: Role | (string & {});
  /** Ids of the operations that the role allows. */
  readonly operations: readonly string[];
  /** Names that the caller may see, by kind; absent: all. */
  readonly scope?: Readonly<Record<string, readonly string[]>> | undefined;
  /** The token that the caller sent; absent without one. */
  readonly token?: CallerToken | undefined;
  /** Groups that its proxy named and that have a role, highest role first; absent without one. */
  readonly groups?: readonly string[] | undefined;
}

/** The token of the caller: its id and expiry, if it is stored, and whether it is a session of the console. */
export interface CallerToken {
  /** True for a session of the console. */
  readonly session: boolean;
  /** Its id; absent for `ATHENA_AUTH_API_TOKEN`. */
  readonly tokenId?: string | undefined;
  /** When it expires; absent for `ATHENA_AUTH_API_TOKEN`. */
  readonly expiresAt?: string | undefined;
}

/** The reason for cancelling a run. */
export interface CancelBody {
  /** Reason, for auditors. */
  readonly reason?: string | null | undefined;
}

/** A request to cancel a run that has not ended. `redacted` is true if its reason was erased. */
export interface CancelRequest {
  readonly sessionId: string;
  /** When it was requested. */
  readonly requestedAt: string;
  readonly runId: string;
  /** Reason that the client gave; absent without one or once redacted. */
  readonly reason?: string | undefined;
  /** Trace id of the request that caused it. */
  readonly traceId?: string | undefined;
  /** When the run started; absent before that. */
  readonly startedAt?: string | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface CancelRequestPage {
  /** Items of this page. */
  readonly items: readonly CancelRequest[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/** The reason for cancelling a workflow run. */
export interface CancelWorkflowBody {
  /** Reason, for auditors. */
  readonly reason?: string | null | undefined;
}

/** The answer to a cancel. */
export interface Cancelled {
  /** `not-running`: there was nothing to cancel. */
  readonly status: CancelledStatus | (string & {});
  /** Run that was cancelled; absent without one. */
  readonly runId?: string | undefined;
  /** Session of the request; absent without one. */
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
  /** Where runs execute. */
  readonly executionBackend: "local";
  /** Database of the log. */
  readonly stateStore: CapabilitiesStateStore | (string & {});
  /** True if runs execute in pods. */
  readonly supportsPods: boolean;
  /** True if CPU and memory are measured. */
  readonly supportsCpuMemMetrics: boolean;
  /** True if this server executes runs, and a sandbox works for their commands. */
  readonly supportsSandbox: boolean;
  /** True if personas can send messages. */
  readonly supportsA2ABus: boolean;
  /** Release of the server. */
  readonly version: string;
  readonly logId: string;
  /** When a write is acknowledged: after `fsync`. */
  readonly durability: "fsync";
  /** Whether this server starts due schedules. */
  readonly scheduler: CapabilitiesScheduler | (string & {});
  /** Authentication and authorization. */
  readonly auth: AuthCapabilities;
  /** Names of the providers that need no key, or have one. */
  readonly providers: readonly string[];
  /** All event types that this server records. */
  readonly eventTypes: readonly string[];
  /** Limits of this server. */
  readonly limits: LimitCapabilities;
  /** True on the server of `athena demo`; absent otherwise. */
  readonly demo?: boolean | undefined;
  /** Names in the credentials file, for Operators and Admins; absent without a file. */
  readonly credentials?: readonly string[] | undefined;
  /** Outside agents that are registered; absent without a file. */
  readonly agents?: readonly string[] | undefined;
  /** Whether a sandbox works, for Operators and Admins; absent if the server executes no runs. */
  readonly sandbox?: SandboxCapabilities | undefined;
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
  /** Id of the event in the feed. */
  readonly eventId: string;
  /** Type of the event. */
  readonly type: string;
  /** When it happened. */
  readonly at: string;
  /** Identity that did it, or a `system:` actor of the server. */
  readonly actor: string;
  /** Trace id of the request that caused it. */
  readonly traceId: string;
  /** The event, in a sentence for people. */
  readonly says: string;
  /** Id of the event that caused it; absent without one. */
  readonly causedBy?: string | undefined;
  /** Number of the model call, from 1. */
  readonly turn?: number | undefined;
  /** Milliseconds that the run had waited; absent if none. */
  readonly waitedMs?: number | undefined;
  /** Run whose end admitted this one; absent without one, or outside of the caller's scope. */
  readonly after?: string | undefined;
}

export type Change = "appeared" | "changed" | "ended";

/** The numbers of records of a kind that appeared, ended or changed. One that appeared and ended counts in both. */
export interface ChangeCount {
  /** Kind of the records. */
  readonly kind: ChangedKind | (string & {});
  /** Number that appeared. */
  readonly appeared: number;
  /** Number that ended, those that appeared included. */
  readonly ended: number;
  /** Number that neither appeared nor ended. */
  readonly changed: number;
}

/** An event of a change, without its payload. */
export interface ChangeEvent {
  /** Id of the event. */
  readonly id: string;
  /** Type of the event. */
  readonly type: string;
  /** When it was created. */
  readonly createdAt: string;
  /** Trace id of the request that caused it. */
  readonly traceId: string;
  /** Identity that caused the event. */
  readonly actor?: string | undefined;
}

/** The part of a change that falls on one session, profile, template or rule. */
export interface ChangeShare {
  readonly name: string;
  /** Number of runs. */
  readonly runs: number;
  /** Cost in dollars. */
  readonly costUsd: number;
}

export type ChangedKind = "anchor" | "bulk-request" | "dead-letter" | "directive" | "halt" | "harness-profile" | "mcp-server" | "memory" | "message" | "other" | "permission-rule" | "plane" | "policy" | "queue" | "redrive" | "rejection" | "review" | "run" | "run-template" | "schedule" | "session" | "token" | "workflow" | "workflow-run" | "workspace";

/** A record that appeared, ended or changed, with the number of its events and the last of them. */
export interface ChangedRecord {
  /** Kind of the record. */
  readonly kind: ChangedKind | (string & {});
  /** Id or name of the record. */
  readonly id: string;
  /** Number of its events between the moments. */
  readonly events: number;
  /** Its last event until the second moment. */
  readonly last: ChangeEvent;
  /** Event that began it; absent if it was there before. */
  readonly appeared?: ChangeEvent | undefined;
  /** Event that ended it; absent if it did not end. */
  readonly ended?: ChangeEvent | undefined;
}

/** The last attempt of a step. */
export interface Checkpoint {
  /** Number of the attempt, from 1; 0 before the first. */
  readonly attempt: number;
  /** When it started; absent before that. */
  readonly startedAt?: string | undefined;
  /** When it ended; absent before that. */
  readonly finishedAt?: string | undefined;
  /** Output of the attempt; absent without one. */
  readonly artifact?: Artifact | undefined;
  /** Error, as `CODE: text`; absent without one. */
  readonly error?: string | undefined;
}

/** A new policy, and why it changes. */
export interface CommentedPolicyBody {
  /** The policy. Its fields can also be in the body itself. */
  readonly policy: PolicyInput;
  /** Reason of the change, for auditors. */
  readonly auditComment: string;
}

/**
 * A condition on an earlier step's output. If it does not hold, the step is skipped.
 *
 * `path` is a JSON pointer into the output, which must be JSON. Without `path` the output is compared as text.
 */
export interface Condition {
  /** Id of the earlier step. */
  readonly step: string;
  /** Comparison. */
  readonly op: ConditionOperator | (string & {});
  /** JSON pointer into the output; absent: compared as text. */
  readonly path?: string | undefined;
  /** Value to compare with. */
  readonly value?: unknown | undefined;
}

export type ConditionOperator = "contains" | "eq" | "exists" | "ge" | "gt" | "le" | "lt" | "ne";

/** A file that the persona was shown. */
export interface ContextFile {
  /** Path of the file, relative to its root. */
  readonly path: string;
  /** Why the persona was shown it. */
  readonly kind: ContextFileKind | (string & {});
  /** Length in characters. */
  readonly chars: number;
  /** SHA-256 in hex. */
  readonly sha256: string;
  /** True if it was cut. */
  readonly truncated: boolean;
}

export type ContextFileKind = "changed" | "diff" | "doc" | "prompt" | "skill" | "workspace-doc";

/** Report of how the context of a run was compiled. Sizes are in characters. */
export interface ContextMeta {
  /** Strategy at the start. */
  readonly initialStrategy: ContextStrategy | (string & {});
  /** Strategy at the end. */
  readonly finalStrategy: ContextStrategy | (string & {});
  /** True if it was too large and was made to fit. */
  readonly overflowRecovered: boolean;
  /** Attempts to shrink the context. */
  readonly overflowAttempts: number;
  /** Size before shrinking, in characters. */
  readonly initialChars: number;
  /** Size at the end, in characters. */
  readonly finalChars: number;
  /** Largest allowed context, in characters. */
  readonly effectiveMaxChars: number;
  /** Steps, in order. */
  readonly steps: readonly ContextStep[];
}

/** An attempt to shrink a context, with the sizes before and after in characters. */
export interface ContextStep {
  /** How the context was made smaller. */
  readonly kind: ContextStepKind | (string & {});
  /** True if the smaller context was used. */
  readonly applied: boolean;
  /** Size before it, in characters. */
  readonly beforeChars?: number | undefined;
  /** Size after it, in characters. */
  readonly afterChars?: number | undefined;
  /** What was shortened; absent if nothing. */
  readonly details?: string | undefined;
}

export type ContextStepKind = "summary" | "tool-result-truncation";

export type ContextStrategy = "raw" | "summary";

/** Consumption since the start of the month (UTC). Breakdowns have the 50 highest costs. */
export interface CostSummary {
  /** UTC month, as `2026-01`. */
  readonly month: string;
  readonly windowStart: string;
  readonly windowEnd: string;
  /** Cost of the month in dollars. */
  readonly totalEstimatedSpendUsd: number;
  /** By persona, highest cost first. */
  readonly personaBreakdown: readonly PersonaSpend[];
  /** By provider, highest cost first. */
  readonly providerBreakdown: readonly ProviderSpend[];
  /** By harness profile, highest cost first. */
  readonly profileBreakdown: readonly ProfileSpend[];
  /** By session, highest cost first. */
  readonly sessionBreakdown: readonly SessionSpend[];
  /** Tokens of the month. */
  readonly tokenMix: TokenMix;
  /** Model calls without a known price. */
  readonly unpricedCalls: number;
  /** Costs of the day. */
  readonly today: DaySpend;
}

/** A new token. `token` is its text: it is answered once, and the answer to a repeated key lacks it. */
export interface CreatedToken {
  /** Id of the token or session. */
  readonly tokenId: string;
  /** A token, or a session of the console. */
  readonly kind: TokenKind | (string & {});
  readonly status: TokenStatus | (string & {});
  /** Identity of its requests. */
  readonly identity: string;
  /** Highest role of its requests. */
  readonly role: Role | (string & {});
  /** Identity that created it. */
  readonly createdBy: string;
  /** When it was created. */
  readonly createdAt: string;
  /** When it expires. */
  readonly expiresAt: string;
  /** Names that it may concern, by kind; absent: all. */
  readonly scope?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Note of the Admin who created it; absent once redacted. */
  readonly note?: string | undefined;
  /** Token that opened the session; absent for a token. */
  readonly parentId?: string | undefined;
  /** When it was revoked; absent while it is not. */
  readonly revokedAt?: string | undefined;
  /** Identity that revoked it; absent otherwise. */
  readonly revokedBy?: string | undefined;
  /** When it was last used, exact to a minute; absent before that. */
  readonly lastUsedAt?: string | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
  /** The text of the token, answered once. */
  readonly token?: string | undefined;
}

/** The one thing that a run waits for now, and since when. `asks` are its open asks, if it waits for answers. */
export interface CurrentWait {
  /** What the run waits for. */
  readonly reason: CurrentWaitReason | (string & {});
  /** Since when it waits. */
  readonly since: string;
  /** The event, in a sentence for people. */
  readonly says: string;
  /** Place in the queue, from 1; absent if not queued. */
  readonly position?: number | undefined;
  /** Run ahead of it; absent without one, or outside of the caller's scope. */
  readonly blockedBy?: string | undefined;
  /** Number of the model call; absent outside of one. */
  readonly turn?: number | undefined;
  /** Name of the tool; absent without one. */
  readonly toolName?: string | undefined;
  /** Id of the tool call; absent without one. */
  readonly toolCallId?: string | undefined;
  /** Ids of the open asks that it waits for. */
  readonly asks?: readonly string[] | undefined;
}

export type CurrentWaitReason = "agent-memory" | "ask" | "budget" | "cancel" | "concurrency" | "daily-budget" | "executor" | "halted" | "key-limit" | "model" | "session-busy" | "tool" | "unpriced-model";

/** Cost of the UTC day so far, the amount reserved by runs, and the daily budget of the policy, if any. */
export interface DaySpend {
  /** UTC day, as `2026-01-31`. */
  readonly day: string;
  /** Dollars spent on the day. */
  readonly spentUsd: number;
  /** Dollars that running runs have reserved. */
  readonly reservedUsd: number;
  /** Daily budget of the policy in dollars; absent without one. */
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
  /** When it was created. */
  readonly createdAt: string;
  /** When it last changed. */
  readonly updatedAt: string;
  readonly status: DeadLetterStatus | (string & {});
  /** The work; empty once redacted. */
  readonly payload: Readonly<Record<string, unknown>>;
  /** `work`: a queue item. `a2a`: a message. */
  readonly source: DeadLetterSource | (string & {});
  readonly sessionId: string;
  /** Why the work could not be done. */
  readonly reason: DeadLetterReason | (string & {});
  /** Error code, as in `ErrorCode`; older logs may hold others. */
  readonly code: string;
  /** Text of the error; `(erased)` once redacted. */
  readonly error: string;
  /** Attempts and requeues after the first attempt. */
  readonly retryCount: number;
  /** Queue items that it holds. */
  readonly items: readonly DeadLetterItem[];
  /** Errors of the attempts, oldest first. */
  readonly attempts: readonly DeadLetterError[];
  /** Error of the first attempt. */
  readonly firstError: DeadLetterError;
  /** Error of the last attempt. */
  readonly lastError: DeadLetterError;
  /** Persona that sent the message; absent for queue items. */
  readonly sourcePersona?: string | undefined;
  /** Persona that the message is for; absent for queue items. */
  readonly targetPersona?: string | undefined;
  /** Id of the message; absent if it is not from one. */
  readonly messageId?: string | undefined;
  /** Dead letter that it was requeued from; absent otherwise. */
  readonly requeuedFrom?: string | undefined;
  /** Items that a requeue created; absent before one. */
  readonly requeuedItemIds?: readonly string[] | undefined;
  /** Message that a requeue created; absent otherwise. */
  readonly requeuedMessageId?: string | undefined;
  /** Identity of the last decision; absent before one. */
  readonly decidedBy?: string | undefined;
  /** Reason of the decision, for auditors. */
  readonly auditNote?: string | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** The error of an attempt. `runId` is absent if there was no run. */
export interface DeadLetterError {
  /** Error code, as in `ErrorCode`; older logs may hold others. */
  readonly code: string;
  /** Text for people. */
  readonly message: string;
  /** When it happened. */
  readonly at: string;
  readonly runId?: string | undefined;
}

/** A work item of a dead letter. */
export interface DeadLetterItem {
  readonly itemId: string;
  /** `followup`: a run of its own. `collect`: consecutive items share one run. */
  readonly mode: QueueMode | (string & {});
  /** Length in characters. */
  readonly chars: number;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface DeadLetterPage {
  /** Items of this page. */
  readonly items: readonly DeadLetter[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type DeadLetterReason = "attempts-exhausted" | "cancelled" | "hop-limit" | "not-allowed" | "unknown-persona" | "unrunnable";

export type DeadLetterSource = "a2a" | "work";

export type DeadLetterStatus = "discarded" | "pending" | "requeued";

/** A dead letter after a decision. `updated` is false if it was already in this state. */
export interface DecidedDeadLetter {
  readonly id: string;
  readonly status: DeadLetterStatus | (string & {});
  /** False if it already was in this state. */
  readonly updated: boolean;
  /** The dead letter. */
  readonly item: DeadLetter;
}

/** An edge of the graph: `to` starts after `from`. */
export interface Dependency {
  /** Step that ends first. */
  readonly from: string;
  /** Step that starts after it. */
  readonly to: string;
  /** Outputs that fill placeholders. */
  readonly mappings?: readonly OutputMapping[] | undefined;
}

/** The changes of dependencies. */
export interface DependencyInspection {
  readonly status: DependencyInspectionStatus | (string & {});
  /** Package ecosystem; absent if unknown. */
  readonly detectedEcosystem?: string | undefined;
  /** Remarks. */
  readonly notes?: string | undefined;
  /** Imports that were added. */
  readonly addedImports?: readonly string[] | undefined;
  /** Manifests that changed. */
  readonly changedManifests?: readonly string[] | undefined;
}

export type DependencyInspectionStatus = "ok" | "skipped";

/** The number of dependencies of a step that are ok, and the ids of the others. */
export interface DependencyReadiness {
  /** Number of dependencies. */
  readonly totalDependencies: number;
  /** Dependencies that are ok. */
  readonly readyDependencies: number;
  /** Dependencies that are not ok. */
  readonly blockingStepIds: readonly string[];
}

/**
 * The difference between two moments. The counts are of the whole difference, the items of one page.
 *
 * Without counts, a page may have fewer items than its limit although another one follows.
 */
export interface Diff {
  /** The first moment. */
  readonly from: DiffEnd;
  /** The second moment. */
  readonly to: DiffEnd;
  /** Records with events between the moments, last changed first. */
  readonly items: readonly ChangedRecord[];
  /** Numbers of all records, by kind; absent without `counts`. */
  readonly counts?: readonly ChangeCount[] | undefined;
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/** A moment: a position, with the id and the time of its event. Before the first event it has only a position. */
export interface DiffEnd {
  /** Its position; 0 is before the first event. */
  readonly position: number;
  /** Id of the event; absent before the first one. */
  readonly id?: string | undefined;
  /** Time of the event; absent before the first one. */
  readonly createdAt?: string | undefined;
}

/**
 * A directive. `input` is null once redacted. `shadow` is true if a run created it from plain input.
 *
 * `redacted` is true if its text was erased.
 */
export interface Directive {
  readonly id: string;
  /** Text of the task; null once redacted. */
  readonly input: string | null;
  /** When it was created. */
  readonly createdAt: string;
  /** Files and URLs that the run's context names. */
  readonly contextRefs?: readonly string[] | undefined;
  /** Names and values of the client. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** True if a run created it from plain input; else absent. */
  readonly shadow?: boolean | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface DirectivePage {
  /** Items of this page. */
  readonly items: readonly Directive[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/** A directive as a client writes it. */
export interface DirectiveSpec {
  /** Text of the task. */
  readonly input: string;
  /** Files and URLs that the run's context names. */
  readonly contextRefs?: readonly string[] | null | undefined;
  /** Names and values of the client. */
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
}

/** The provider and model of a drain's runs, if not the defaults. */
export interface DrainBody {
  /** Name of the provider. */
  readonly provider?: string | null | undefined;
  /** Name of the model. */
  readonly model?: string | null | undefined;
}

/** The error that stopped a drain. */
export interface DrainError {
  /** Error code, as in `ErrorCode`; older logs may hold others. */
  readonly code: string;
  /** Text for people. */
  readonly message: string;
}

/** The result of a drain. */
export interface DrainResult {
  /** `already-draining`: another drain does the work. */
  readonly status: DrainResultStatus | (string & {});
  /** Items done. */
  readonly drainedItems: number;
  /** Waiting items at the start. */
  readonly queueDepthBefore: number;
  /** Waiting items at the end. */
  readonly queueDepthAfter: number;
}

export type DrainResultStatus = "already-draining" | "ok";

/** The effect of a resume: the steps that would restart, those that would be kept, or a new run. */
export interface DryRun {
  /** Steps that would start again. */
  readonly resets: readonly string[];
  /** Steps that would stay as they are. */
  readonly keeps: readonly string[];
  /** True if a new run would start. */
  readonly startsNewRun: boolean;
}

/** A host, and optionally a port, that tool `http` may reach. */
export interface Egress {
  /** Host name. */
  readonly host: string;
  /** Port; absent: any. */
  readonly port?: number | undefined;
}

/** An item of work for a session; consecutive `collect` items are done in one run. */
export interface EnqueueBody {
  readonly sessionId: string;
  /** Text of the work. */
  readonly payload: string;
  /** `followup`: a run of its own. `collect`: consecutive items share one run. */
  readonly mode: QueueMode;
}

/** The kind of error, for programs. */
export type ErrorCode = "AGENT_BROKEN" | "AGENT_GONE" | "AGENT_MODE_CHANGED" | "AGENT_REFUSED" | "AGENT_SILENT" | "AGENT_UNAVAILABLE" | "AMBIGUOUS_NAME" | "ANCHOR_CONFLICT" | "ANCHOR_LIMIT" | "ANCHOR_NOT_SENT" | "ASK_CHANGED" | "ASK_DECIDED" | "ASK_ENDED" | "ASK_EXPIRED" | "ASK_LIMIT" | "ASK_NOT_EDITABLE" | "ASK_REJECTED" | "AUTHZ_DENIED" | "AUTH_IDENTITY_AMBIGUOUS" | "AUTH_IDENTITY_INVALID" | "AUTH_IDENTITY_MISSING" | "AUTH_PROXY_UNTRUSTED" | "AUTH_TOKEN_EXPIRED" | "AUTH_TOKEN_INVALID" | "AUTH_TOKEN_MISSING" | "CLOCK_JUMPED" | "CONFIG_ERROR" | "CONFLICT" | "CONTEXT_OVERFLOW" | "CURSOR_AHEAD" | "CURSOR_FOREIGN" | "CURSOR_INVALID" | "DIFF_TOO_LARGE" | "EXACT_NOT_OPENED" | "HALTED" | "HEADERS_TOO_LARGE" | "HOST_FORBIDDEN" | "HTTP_VERSION_UNKNOWN" | "IDEMPOTENCY_IN_PROGRESS" | "IDEMPOTENCY_MISMATCH" | "INTERNAL_ERROR" | "LEASE_LOST" | "MCP_LISTING_CHANGED" | "MCP_SERVER_FAILED" | "NOT_CAUGHT_UP" | "NOT_FOUND" | "ORIGIN_FORBIDDEN" | "OUTCOME_UNKNOWN" | "OVERLOADED" | "PAST_TOO_LARGE" | "PAYLOAD_TOO_LARGE" | "PERMISSION_RULE_LIMIT" | "POLICY_BUDGET_EXCEEDED" | "POLICY_CONCURRENCY_LIMIT_EXCEEDED" | "PRECONDITION_FAILED" | "PROVIDER_ERROR" | "PROVIDER_NOT_FOUND" | "RATE_LIMITED" | "REQUEST_TIMEOUT" | "RUN_CANCELLED" | "RUN_CRASHED" | "RUN_NOT_ENDED" | "RUN_NOT_PAUSED" | "RUN_TIMEOUT" | "SANDBOX_UNAVAILABLE" | "SESSION_LOCK_TIMEOUT" | "SHARE_LIMIT" | "STORE_DAMAGED" | "STORE_FULL" | "STORE_MOVED" | "STORE_UNREACHABLE" | "STREAM_LIMIT" | "STUCK" | "SUBJECT_CHANGED" | "TOKEN_LIMIT" | "TRANSFER_CODING_UNKNOWN" | "TURN_LIMIT" | "UNKNOWN_ERROR" | "URI_TOO_LONG" | "WAL_FULL" | "WORKSPACE_BUSY" | "WORKSPACE_CONFLICT" | "WORKSPACE_DISK_FULL" | "WORKSPACE_LIMIT" | "WORKSPACE_MISSING" | "WORK_QUEUE_FULL";

/** The estimated end of a run, from earlier durations of its steps, along the longest path. */
export interface Eta {
  /** When it was estimated. */
  readonly computedAt: string;
  /** What the estimate is based on. */
  readonly source: EtaSource | (string & {});
  /** Durations that the estimate uses. */
  readonly historicalSampleSize: number;
  /** Mean remaining time in milliseconds; absent without history. */
  readonly estimatedRemainingMs?: number | undefined;
  /** When it should end; absent without history. */
  readonly estimatedCompletionAt?: string | undefined;
  /** Remaining milliseconds by quantile: `p50`, `p80`, `p95`. */
  readonly remainingMs?: Readonly<Record<string, number>> | undefined;
  /** How good earlier estimates were; absent without runs. */
  readonly held?: EtaAccuracy | undefined;
}

/** The accuracy of estimates: the number of recent runs, and the share that ended within each quantile. */
export interface EtaAccuracy {
  /** Number of runs. */
  readonly runs: number;
  /** Share of runs within the 50 % estimate, 0 to 1. */
  readonly p50: number;
  /** Share of runs within the 80 % estimate, 0 to 1. */
  readonly p80: number;
  /** Share of runs within the 95 % estimate, 0 to 1. */
  readonly p95: number;
}

export type EtaSource = "completed" | "historical-average" | "insufficient-history";

/** A recorded event as it is published. `id` is the cursor of the events that follow it. */
export interface EventRecord {
  /** Id of the event, and cursor of the events after it. */
  readonly id: string;
  /** Trace id of the request that caused it. */
  readonly traceId: string;
  /** Event type; new types may be added. */
  readonly type: string;
  /** When it was created. */
  readonly createdAt: string;
  /** Fields of the event. `/events.schema.json` describes them for each `type`. */
  readonly payload: Readonly<Record<string, unknown>>;
  readonly sessionId?: string | undefined;
  readonly runId?: string | undefined;
  /** Task of the sender; absent without one. */
  readonly taskId?: string | undefined;
  /** The run that started it; absent without one. */
  readonly parentRunId?: string | undefined;
  /** Run whose request it makes again; absent if it is not a retry. */
  readonly retryOf?: string | undefined;
  /** Rule of a rejection; absent otherwise. */
  readonly policy?: Readonly<Record<string, unknown>> | undefined;
  /** Phase of the sandbox of a run, in `sandbox.lifecycle`; absent otherwise. */
  readonly sandbox?: Readonly<Record<string, unknown>> | undefined;
  /** Scope that the event stores, as names by kind; absent without one. */
  readonly scope?: Readonly<Record<string, readonly string[]>> | undefined;
  /** True if the payload cannot be read here; else absent. */
  readonly undecodable?: boolean | undefined;
}

/** A page of the feed. `cursor` follows the last scanned position. `nextCursor` is absent at the log's head. */
export interface EventsPage {
  /** Events, oldest first. */
  readonly events: readonly EventRecord[];
  /** Cursor of what follows the last scanned event. */
  readonly cursor: string;
  /** Position of the last event. */
  readonly head: number;
  /** Cursor of the next page; absent at the head. */
  readonly nextCursor?: string | undefined;
}

/**
 * Evidence of a run with its content, which is null once redacted.
 *
 * `sha256` is the hash of the bytes of `contentSalt` and the content, in this order. JSON is hashed as it was recorded.
 */
export interface Evidence {
  /** Version of this shape. */
  readonly schemaVersion: number;
  readonly id: string;
  readonly runId: string;
  /** Trace id of the request that caused it. */
  readonly traceId: string;
  /** Label of the evidence. */
  readonly label: string;
  /** Type of the content. */
  readonly type: EvidenceType | (string & {});
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** SHA-256 in hex of the salt and the content. */
  readonly sha256: string;
  /** Part of the run that attached it. */
  readonly source: EvidenceSource | (string & {});
  /** True if the workspace changed afterwards. */
  readonly stale: boolean;
  /** Position in the log. */
  readonly position: number;
  /** Id of the event in the feed. */
  readonly eventId: string;
  /** When it was created. */
  readonly createdAt: string;
  /** Name of the output or evidence. */
  readonly artifactRef: string;
  readonly sessionId?: string | undefined;
  /** Id of the tool call; absent without one. */
  readonly toolCallId?: string | undefined;
  /** Verification policy that made it; absent without one. */
  readonly policyId?: string | undefined;
  /** Exit code of the command; absent without one. */
  readonly exitCode?: number | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
  /** The content; null once redacted. */
  readonly content: EvidenceContent | null;
  /** Salt of `sha256`; absent once redacted. */
  readonly contentSalt?: string | undefined;
}

export type EvidenceContent = TextContent | JsonContent | BinaryContent;

/** A file of the review that serves as evidence. */
export interface EvidenceFile {
  readonly id: string;
  /** Label of the evidence. */
  readonly label: string;
  /** SHA-256 in hex. */
  readonly sha256: string;
  /** Path of the file. */
  readonly artifactPath: string;
  /** Type of the content. */
  readonly type: EvidenceType | (string & {});
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** When it was created. */
  readonly createdAt: string;
}

/**
 * Evidence of a run without its content.
 *
 * `stale` is true if the run changed the workspace afterwards. `label` is empty if the model chose it and it was
 * redacted.
 */
export interface EvidenceRecord {
  /** Version of this shape. */
  readonly schemaVersion: number;
  readonly id: string;
  readonly runId: string;
  /** Trace id of the request that caused it. */
  readonly traceId: string;
  /** Label of the evidence. */
  readonly label: string;
  /** Type of the content. */
  readonly type: EvidenceType | (string & {});
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** SHA-256 in hex of the salt and the content. */
  readonly sha256: string;
  /** Part of the run that attached it. */
  readonly source: EvidenceSource | (string & {});
  /** True if the workspace changed afterwards. */
  readonly stale: boolean;
  /** Position in the log. */
  readonly position: number;
  /** Id of the event in the feed. */
  readonly eventId: string;
  /** When it was created. */
  readonly createdAt: string;
  /** Name of the output or evidence. */
  readonly artifactRef: string;
  readonly sessionId?: string | undefined;
  /** Id of the tool call; absent without one. */
  readonly toolCallId?: string | undefined;
  /** Verification policy that made it; absent without one. */
  readonly policyId?: string | undefined;
  /** Exit code of the command; absent without one. */
  readonly exitCode?: number | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface EvidenceRecordPage {
  /** Items of this page. */
  readonly items: readonly EvidenceRecord[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type EvidenceSource = "model" | "tool" | "verifier" | "workspace";

export type EvidenceType = "binary" | "json" | "text";

export type ExplainedRunStatus = "cancelled" | "completed" | "crashed" | "failed" | "paused" | "queued" | "rejected" | "running" | "timed-out";

/**
 * The account of how a run got its status.
 *
 * In a long history the middle is left out; `omitted` counts the events left out. For a `rejected` run, `plan` and
 * `request` are present if they were recorded. `redacted` is true if the request was erased.
 */
export interface Explanation {
  readonly runId: string;
  readonly sessionId: string;
  readonly status: ExplainedRunStatus | (string & {});
  /** Events of the run, oldest first. */
  readonly causes: readonly Cause[];
  /** What it waits for now; null after its end. */
  readonly waitsFor: CurrentWait | null;
  /** Events left out in the middle. */
  readonly omitted?: number | undefined;
  /** The run that started it; absent without one. */
  readonly parentRunId?: string | undefined;
  /** What the refusal depended on; absent in old logs. */
  readonly plan?: RefusedPlan | undefined;
  /** The refused request; absent in old logs and once redacted. */
  readonly request?: RefusedRequest | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** The envelope of an error. */
export interface Failure {
  readonly ok: false;
  /** What failed, and what helps. */
  readonly error: ApiError;
}

export type FailureAction = "audit" | "enforce";

/** A wrong field: its path, the problem and the remedy. */
export interface Fault {
  /** Path of the field. */
  readonly field: string;
  /** The fault. */
  readonly reason: string;
  /** What to do; absent if unknown. */
  readonly remedy?: string | undefined;
}

/** A changed file as it is at the head commit. */
export interface FileSnapshot {
  /** Path of the file, relative to its root. */
  readonly path: string;
  /** Text of the file. */
  readonly content: string;
  /** True if it was cut. */
  readonly truncated: boolean;
}

/** Calls on a path or below it, relative to the tool's directory, with one of these actions; any without a field. */
export interface FilesMatch {
  /** The path, or a directory above it; absent: any. */
  readonly path?: string | undefined;
  /** Only these actions; absent: all. */
  readonly actions?: readonly (FilesMatchActions | (string & {}))[] | undefined;
}

export type FilesMatchActions = "delete" | "list" | "read" | "replace" | "write";

/**
 * The rights of tool `files` below `directory` in the workspace: read, and with `write` also change.
 *
 * Approval is decided as for `shell`.
 */
export interface FilesPolicy {
  /** `allow` (the default), `ask` a person before a call, or `deny`. */
  readonly approval?: FilesPolicyApproval | (string & {}) | undefined;
  /** Directory in the workspace; absent: its root. */
  readonly directory?: string | undefined;
  /** True to allow changes. */
  readonly write?: boolean | undefined;
  /** Largest file, in bytes. */
  readonly fileBytesMax?: number | undefined;
  /** Approval of some calls; the first that matches decides. */
  readonly rules?: readonly FilesRule[] | undefined;
}

export type FilesPolicyApproval = "allow" | "ask" | "deny";

/** The approval of the calls that match. */
export interface FilesRule {
  /** Calls that the rule is about. */
  readonly match: FilesMatch;
  /** `allow` (the default), `ask` a person before a call, or `deny`. */
  readonly approval: FilesRuleApproval | (string & {});
}

export type FilesRuleApproval = "allow" | "ask" | "deny";

/** A finding of a review; P1 forbids a merge. */
export interface Finding {
  /** P1 forbids the merge. */
  readonly priority: FindingPriority | (string & {});
  /** Confidence, 0 to 1. */
  readonly confidence: number;
  /** Title of the finding. */
  readonly title: string;
  /** Text for people. */
  readonly message: string;
  /** Suggested change; absent without one. */
  readonly suggestion?: string | undefined;
  /** File of the finding; absent without one. */
  readonly file?: string | undefined;
  /** Line of the finding; absent without one. */
  readonly line?: number | undefined;
}

/** The number of findings by priority. */
export interface FindingCounts {
  /** Findings of priority P1. */
  readonly p1: number;
  /** Findings of priority P2. */
  readonly p2: number;
  /** Findings of priority P3. */
  readonly p3: number;
}

export type FindingPriority = "P1" | "P2" | "P3";

/** A scheduled time, in UTC and in local time of the schedule's timezone (UTC by default). */
export interface FireTime {
  /** Time in UTC. */
  readonly utc: string;
  /** Local time with its offset. */
  readonly local: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface FireTimePage {
  /** Items of this page. */
  readonly items: readonly FireTime[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/** The metrics that are available for the machines. */
export interface FleetCapabilities {
  /** True if the state of pods is known. */
  readonly supportsPodStatus: boolean;
  /** True if CPU and memory are measured. */
  readonly supportsCpuMemMetrics: boolean;
}

/**
 * Waiting work: runs and the age of the oldest, queue items, their sessions, and dead letters.
 *
 * `withoutExecutor` counts running runs that no executor has taken.
 */
export interface FleetQueue {
  /** Queued runs. */
  readonly waiting: number;
  /** Running runs that no executor has taken. */
  readonly withoutExecutor: number;
  /** Sessions with waiting work. */
  readonly sessions: number;
  /** Waiting queue items. */
  readonly items: number;
  /** Dead letters without a decision. */
  readonly deadLetters: number;
  /** When the oldest waiting run was queued; absent without one. */
  readonly oldestWaitingSince?: string | undefined;
}

/**
 * The fleet over time, in intervals of equal length from `start` to `end`.
 *
 * `all` counts everything. `lines` are the busiest models, profiles or error codes, at most 10, and `other` is the
 * rest. Only runs that failed, timed out or crashed have an error code.
 */
export interface FleetSeries {
  /** Start of the first interval. */
  readonly start: string;
  /** End of the last interval. */
  readonly end: string;
  /** Length of an interval, in seconds. */
  readonly stepSeconds: number;
  /** Number of intervals. */
  readonly intervals: number;
  /** Counts of everything. */
  readonly all: SeriesLine;
  /** Counts by name, the busiest first, at most 10. */
  readonly lines: readonly SeriesLine[];
  /** Counts of all further names; absent without any. */
  readonly other?: SeriesLine | undefined;
}

/**
 * Summary of the fleet.
 *
 * `total` counts all runs ever admitted. `failed` counts those that failed, timed out or crashed, and `cancelled` those
 * that were cancelled; `outcomes` has each number. `pending` counts sessions with waiting runs or queue items, and
 * `openAsks` what waits for a person. `paused` counts runs that wait for money or a person, also in line after the
 * answer. `halted` is true while no work may begin. `errorRate` is failed divided by total, and `uptime` is 1 minus
 * that.
 */
export interface FleetSummary {
  /** Runs ever admitted. */
  readonly total: number;
  /** Runs that are active. */
  readonly running: number;
  /** Runs that are paused. */
  readonly paused: number;
  /** Sessions with waiting work. */
  readonly pending: number;
  /** Runs that completed. */
  readonly succeeded: number;
  /** Runs that ended without an answer. */
  readonly failed: number;
  /** Number that were cancelled. */
  readonly cancelled: number;
  /** 1 minus `errorRate`. */
  readonly uptime: number;
  /** `failed` divided by `total`, 0 to 1. */
  readonly errorRate: number;
  /** Measurements that exist. */
  readonly capabilities: FleetCapabilities;
  /** Active runs and recent failures. */
  readonly operationalSummary: OperationalSummary;
  /** Costs of the month. */
  readonly costSummary: CostSummary;
  /** Runs by outcome. */
  readonly outcomes: RunOutcomes;
  /** Queued runs that ended before they were admitted. */
  readonly withdrawn: number;
  /** Waiting work. */
  readonly queue: FleetQueue;
  /** The last 24 hours. */
  readonly recent: FleetWindow;
  /** Asks that wait for a person. */
  readonly openAsks: number;
  /** True while no work may begin. */
  readonly halted: boolean;
  /** Time of the oldest open ask; absent if none is open. */
  readonly oldestAskSince?: string | undefined;
}

/** Events of the window: the current hour and the 23 before it. */
export interface FleetWindow {
  readonly windowStart: string;
  /** Number that were admitted. */
  readonly admitted: number;
  /** Runs by outcome. */
  readonly outcomes: RunOutcomes;
  /** Runs that the policy refused. */
  readonly refused: number;
  /** Requests that a role did not allow. */
  readonly denied: number;
  /** Refusals that were only counted. */
  readonly suppressed: number;
  /** Durations of completed runs. */
  readonly runTimes: RunTimes;
}

/**
 * The answer to a request to forget an entry; `removed` is False if it was forgotten before.
 *
 * `left` names the places that may still hold its text.
 */
export interface ForgottenEntry {
  readonly id: string;
  /** False if it did not exist. */
  readonly removed: boolean;
  /** Places that may still hold the text; absent if none. */
  readonly left?: readonly TextTrace[] | undefined;
}

/** The id of a record, and its kind. Evidence also has its run, and a record found by its name has that. */
export interface FoundId {
  /** Kind of the record. */
  readonly kind: RecordKind | (string & {});
  /** Id of the record. */
  readonly id: string;
  /** Run of the evidence; else absent. */
  readonly runId?: string | undefined;
  /** Name that the record was found by; else absent. */
  readonly name?: string | undefined;
}

/** At most ten ids that begin or end with the given part, or whose records have it in their names. */
export interface FoundIds {
  /** The ids. */
  readonly items: readonly FoundId[];
}

/** Why all work stops. `cancelRunning` also requests the cancellation of every admitted run. */
export interface HaltBody {
  /** Why all work is halted. */
  readonly reason: string;
  /** True to request the cancellation of every run that holds a slot, and of its children. */
  readonly cancelRunning?: boolean | null | undefined;
}

/**
 * The halt of the plane, if there is one: who halted it, when, and why.
 *
 * `running` counts the admitted runs, which go on, and `waiting` the runs in line. `cancelled` counts the runs whose
 * cancellation this request asked for.
 */
export interface HaltRecord {
  /** True while no work may begin. */
  readonly halted: boolean;
  /** Runs that hold a slot and go on. */
  readonly running: number;
  /** Runs in line. */
  readonly waiting: number;
  /** Identity that halted all work; absent without a halt. */
  readonly by?: string | undefined;
  /** When the halt began; absent without one. */
  readonly since?: string | undefined;
  /** Why all work is halted; absent without a halt. */
  readonly reason?: string | undefined;
  /** Runs whose cancellation was requested; only in answers to `cancelRunning`. */
  readonly cancelled?: number | undefined;
}

/** The model and the tools of a harness profile, and the names of the credentials that its requests may carry. */
export interface HarnessConfig {
  /** Name of the provider. */
  readonly provider: string;
  /** Name of the model. */
  readonly model: string;
  /** Names of the tools that the run may use. */
  readonly tools: readonly string[];
  /** Names of credentials that requests of `http` to their hosts carry; absent: none. */
  readonly credentials?: readonly string[] | undefined;
}

/** The limits of a run: milliseconds, attempts of a model call, dollars (0: no budget), and model calls. */
export interface HarnessPolicies {
  /** Timeout of a run in milliseconds. */
  readonly timeoutMs: number;
  /** Most attempts of a model call. */
  readonly retryLimit: number;
  /** Budget of a run in dollars; 0: none. */
  readonly budgetUsd: number;
  /** Most model calls of a run; absent: the default. */
  readonly maxTurns?: number | undefined;
}

/** A harness profile with its id. */
export interface HarnessProfile {
  /** Name for people. */
  readonly displayName: string;
  /** Version of this shape. */
  readonly version: HarnessVersion | (string & {});
  /** Model, tools, and names of credentials. */
  readonly config: HarnessConfig;
  /** Limits of a run. */
  readonly policies: HarnessPolicies;
  /** Rules of the tools; absent: `shell` runs nothing and `files` reads. */
  readonly toolPolicies?: ToolPolicies | undefined;
  /** Hosts that tool `http` may reach; absent: none. */
  readonly allowedEgress?: readonly Egress[] | undefined;
  /** Conditions of a verified answer; absent: none. */
  readonly verificationPolicies?: readonly VerificationPolicy[] | undefined;
  /** How its runs ask a person; absent: the defaults. */
  readonly asks?: AskPolicy | undefined;
  /** Sandbox of the commands of its runs; absent: none. */
  readonly sandbox?: SandboxPolicy | undefined;
  /** Where its runs work; absent: in the shared workspace. */
  readonly workspace?: HarnessProfileWorkspace | (string & {}) | undefined;
  /** Outside agent that works on its runs; absent: the loop of Athena. */
  readonly agent?: AgentPolicy | undefined;
  /** Tools of MCP servers that its runs may call, by server; absent: none. */
  readonly mcp?: Readonly<Record<string, McpPolicy>> | undefined;
  readonly id: string;
  /** When it was created. */
  readonly createdAt: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface HarnessProfilePage {
  /** Items of this page. */
  readonly items: readonly HarnessProfile[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type HarnessProfileWorkspace = "session" | "shared" | "workflow-run";

/** A harness profile as a client writes it. */
export interface HarnessSpec {
  /** Name for people. */
  readonly displayName: string;
  /** Version of this shape. */
  readonly version: HarnessVersion | (string & {});
  /** Model, tools, and names of credentials. */
  readonly config: HarnessConfig;
  /** Limits of a run. */
  readonly policies: HarnessPolicies;
  /** Rules of the tools; absent: `shell` runs nothing and `files` reads. */
  readonly toolPolicies?: ToolPolicies | undefined;
  /** Hosts that tool `http` may reach; absent: none. */
  readonly allowedEgress?: readonly Egress[] | undefined;
  /** Conditions of a verified answer; absent: none. */
  readonly verificationPolicies?: readonly VerificationPolicy[] | undefined;
  /** How its runs ask a person; absent: the defaults. */
  readonly asks?: AskPolicy | undefined;
  /** Sandbox of the commands of its runs; absent: none. */
  readonly sandbox?: SandboxPolicy | undefined;
  /** Where its runs work; absent: in the shared workspace. */
  readonly workspace?: HarnessSpecWorkspace | (string & {}) | undefined;
  /** Outside agent that works on its runs; absent: the loop of Athena. */
  readonly agent?: AgentPolicy | undefined;
  /** Tools of MCP servers that its runs may call, by server; absent: none. */
  readonly mcp?: Readonly<Record<string, McpPolicy>> | undefined;
}

export type HarnessSpecWorkspace = "session" | "shared" | "workflow-run";

export type HarnessVersion = "v1" | "v2";

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
  /** Time of the server. */
  readonly now: string;
  /** Position of the last event. */
  readonly head: number;
  /** Events that the views are behind. */
  readonly lag: number;
  /** Transactions that wait to be written. */
  readonly queue: number;
  /** Open streams. */
  readonly streams: number;
  /** Id of this server in the list of workers. */
  readonly executor: string;
  /** Longest block of the event loop in the last minutes, in milliseconds; 0 below 20. */
  readonly loopBlockMs: number;
  /** Milliseconds that the machine's clock has jumped ahead, until it is accepted. */
  readonly clockAheadMs: number;
  /** Milliseconds that the server's time is behind the last event. */
  readonly clockBehindLogMs: number;
  /** State of each projection, by name. */
  readonly projections: Readonly<Record<string, ProjectionHealth>>;
  /** Background loops that are failing. */
  readonly problems: readonly BackgroundProblem[];
  /** File of the views that serve reads; absent before the first. */
  readonly generation?: string | undefined;
  /** File of the views that will replace `generation`; absent without one. */
  readonly candidate?: string | undefined;
  /** Why reads or writes fail; absent if they do not. */
  readonly reason?: string | undefined;
}

export type HealthStatus = "degraded" | "ok";

/** A part that a shown text hides. `sha256` is the hash of the salt and the part. */
export interface HiddenSpan {
  /** Length of the part, in characters. */
  readonly chars: number;
  /** Hash of a secret salt and the part, hex. Its first 12 characters stand in the mark. */
  readonly sha256: string;
}

/** Requests to a host (or `*.` and its parent) with one of these methods; without a field, to any. */
export interface HttpMatch {
  /** Host name, or `*.` and its parent; absent: any. */
  readonly host?: string | undefined;
  /** Only these methods; absent: all. */
  readonly methods?: readonly (HttpMethod | (string & {}))[] | undefined;
}

export type HttpMethod = "DELETE" | "GET" | "HEAD" | "PATCH" | "POST" | "PUT";

/**
 * The methods and limits of tool `http` on the hosts of `allowedEgress`. The limits apply to one call.
 *
 * Approval is decided as for `shell`.
 */
export interface HttpPolicy {
  /** `allow` (the default), `ask` a person before a call, or `deny`. */
  readonly approval?: HttpPolicyApproval | (string & {}) | undefined;
  /** Allowed HTTP methods. */
  readonly methods?: readonly (HttpMethod | (string & {}))[] | undefined;
  /** Timeout in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Largest response, in bytes. */
  readonly responseBytesMax?: number | undefined;
  /** Approval of some calls; the first that matches decides. */
  readonly rules?: readonly HttpRule[] | undefined;
}

export type HttpPolicyApproval = "allow" | "ask" | "deny";

/** The approval of the requests that match. */
export interface HttpRule {
  /** Calls that the rule is about. */
  readonly match: HttpMatch;
  /** `allow` (the default), `ask` a person before a call, or `deny`. */
  readonly approval: HttpRuleApproval | (string & {});
}

export type HttpRuleApproval = "allow" | "ask" | "deny";

/** The number of items of a step, in total and by status. */
export interface ItemCounts {
  /** Number in all. */
  readonly total: number;
  /** Number that are pending. */
  readonly pending: number;
  /** Number that are running. */
  readonly running: number;
  /** Number that are ok. */
  readonly ok: number;
  /** Number that failed. */
  readonly failed: number;
  /** Number that were cancelled. */
  readonly cancelled: number;
}

/** The reason why an item was not changed. */
export interface ItemError {
  /** Error code, as in `ErrorCode`; older logs may hold others. */
  readonly code: string;
  /** Text for people. */
  readonly message: string;
}

/** JSON content of evidence. */
export interface JsonContent {
  /** JSON as text. */
  readonly kind: "json";
  /** Any JSON value. */
  readonly value: unknown;
}

/** The decision about a workspace: to keep it even if it is unused. */
export interface KeepBody {
  /** True to keep it though unused. */
  readonly keep: boolean;
}

/**
 * A kept anchor: the chain value (hex) of another log at `position`.
 *
 * `at` is when the anchor was taken, by the sender's clock. `from` is the sender's identity. `keptAt` is when this
 * server recorded the anchor.
 */
export interface KeptAnchor {
  readonly logId: string;
  /** Position in the log. */
  readonly position: number;
  /** Chain value at the position, in hex. */
  readonly chain: string;
  /** When the anchor was taken. */
  readonly at: string;
  /** Identity that sent it first. */
  readonly from: string;
  /** When it was stored here. */
  readonly keptAt: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface KeptAnchorPage {
  /** Items of this page. */
  readonly items: readonly KeptAnchor[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/**
 * A limit of concurrent runs of one session, provider, harness profile or agent; without `key` one for each.
 *
 * Runs above `max` are refused or queued. A limit with a key replaces the general one. A run counts at every provider
 * that it may call, including its fallbacks.
 */
export interface KeyLimit {
  /** What the limit counts by. */
  readonly scope: LimitScope | (string & {});
  /** Most active runs. */
  readonly max: number;
  /** What happens to runs above the limit. */
  readonly strategy: LimitStrategy | (string & {});
  /** Session, provider or profile; absent: each of them. */
  readonly key?: string | undefined;
}

/** The limits that apply to requests, runs and streams. */
export interface LimitCapabilities {
  /** Largest request body, in bytes. */
  readonly bodyBytesMax: number;
  /** Deepest nesting of JSON in a body. */
  readonly jsonDepthMax: number;
  /** Most items of a page. */
  readonly pageItemsMax: number;
  /** Largest items of a page, in bytes. */
  readonly pageBytesMax: number;
  /** Most events that one page of the feed reads. */
  readonly feedScanEventsMax: number;
  /** Most events between the two moments of a diff. */
  readonly diffEventsMax: number;
  /** Default timeout of a run, in milliseconds. */
  readonly runTimeoutMs: number;
  /** Largest context, in characters. */
  readonly contextCharsMax: number;
  /** Hours that a key is kept. */
  readonly idempotencyHours: number;
  /** Longest `Idempotency-Key`, in characters. */
  readonly idempotencyKeyCharsMax: number;
  /** Longest reason, note or comment, in characters. */
  readonly reasonCharsMax: number;
  /** Largest header fields, in bytes. */
  readonly headerBytesMax: number;
  /** Most header fields. */
  readonly headersMax: number;
  /** Longest path and query, in bytes. */
  readonly urlBytesMax: number;
  /** Longest time to receive a head, in milliseconds. */
  readonly headerTimeoutMs: number;
  /** Longest time to receive a body, in milliseconds. */
  readonly bodyTimeoutMs: number;
  /** Most bytes of all bodies being received. */
  readonly bodiesInFlightBytesMax: number;
  /** Most bytes of all large answers being sent. */
  readonly answersInFlightBytesMax: number;
  /** Milliseconds until a client that stops reading is cut off. */
  readonly sendTimeoutMs: number;
  /** Most open streams. */
  readonly streamsMax: number;
  /** Most open streams of an identity. */
  readonly streamsPerIdentityMax: number;
  /** Refusals of an identity and operation, per second. */
  readonly refusalsPerSecond: number;
  /** Refusals of an identity that are recorded one by one, per day. */
  readonly refusalsPerDay: number;
  /** Refusals of all that are recorded one by one, per day. */
  readonly refusalsPerDayInAll: number;
  /** Requests of an identity, per second; absent without authentication. */
  readonly requestsPerSecond?: number | undefined;
}

export type LimitScope = "agent" | "harness-profile" | "provider" | "session";

export type LimitStrategy = "enqueue" | "reject";

/**
 * A process of an outside agent that works on a run of this server.
 *
 * `memoryBytes` is its resident memory with all that it started, a few seconds ago. A process that is `waiting` waits
 * for answers of people.
 */
export interface LiveAgentProcess {
  /** Name of the agent. */
  readonly agent: string;
  readonly runId: string;
  readonly sessionId: string;
  /** When the process started. */
  readonly since: string;
  /** Resident memory of the process and all that it started, a few seconds ago. */
  readonly memoryBytes: number;
  /** True if it waits for answers of people. */
  readonly waiting: boolean;
}

/** The session that ended; absent if the caller had none. */
export interface LoggedOut {
  /** The session that ended; absent if there was none. */
  readonly tokenId?: string | undefined;
}

/**
 * A list from an earlier step's output or from the workflow's input. The step runs once for each item.
 *
 * `path` is a JSON pointer to the list. The item fills the placeholder `item` (or `itemName`), its index fills `index`.
 */
export interface MapOver {
  /** Step whose output has the list. */
  readonly step?: string | undefined;
  /** Workflow input with the list. */
  readonly input?: string | undefined;
  /** JSON pointer to the list; absent: the whole value. */
  readonly path?: string | undefined;
  /** Placeholder for the item; absent: `item`. */
  readonly itemName?: string | undefined;
  /** Most items at once. */
  readonly maxParallel?: number | undefined;
}

/** A tool in the words of its server. If its text was erased, only the hash is left. */
export interface McpDefinition {
  /** Hash of the definition, hex. */
  readonly sha256: string;
  /** Name for people. */
  readonly title?: string | undefined;
  /** Description for models. */
  readonly description?: string | undefined;
  /** JSON Schema of the arguments. */
  readonly inputSchema?: Readonly<Record<string, unknown>> | undefined;
  /** JSON Schema of the structured result. */
  readonly outputSchema?: Readonly<Record<string, unknown>> | undefined;
  /** Hints of the server, such as `readOnlyHint`. */
  readonly annotations?: Readonly<Record<string, unknown>> | undefined;
}

/** Tools whose name matches a pattern. */
export interface McpMatch {
  /** A name, or a pattern with `*`. */
  readonly tool: string;
}

/**
 * The tools of an MCP server that runs may call, as names or patterns with `*`.
 *
 * The first of `rules` that matches a tool decides whether its calls need approval, else `approval` does. Without it a
 * person is asked.
 */
export interface McpPolicy {
  /** Names of tools, or patterns with `*`. */
  readonly tools: readonly string[];
  /** `allow`, `ask` a person before a call (the default), or `deny`. */
  readonly approval?: McpPolicyApproval | (string & {}) | undefined;
  /** Approval of some calls; the first that matches decides. */
  readonly rules?: readonly McpRule[] | undefined;
}

export type McpPolicyApproval = "allow" | "ask" | "deny";

/** The approval of the tools that match. */
export interface McpRule {
  /** Calls that the rule is about. */
  readonly match: McpMatch;
  /** `allow`, `ask` a person before a call, or `deny`. */
  readonly approval: McpRuleApproval | (string & {});
}

export type McpRuleApproval = "allow" | "ask" | "deny";

/** An MCP server with its tools. */
export interface McpServerDetails {
  /** The server as lists show it. */
  readonly server: McpServerEntry;
  /** Its tools, as listed last; then removed ones. */
  readonly tools: readonly McpToolEntry[];
  /** Hash of the last list, hex. An acceptance names it. */
  readonly subjectHash?: string | undefined;
  /** The same as `subjectHash`, under its name of release 0.2. */
  readonly listingSha256?: string | undefined;
  /** Note of the last acceptance. */
  readonly note?: string | undefined;
}

/** An MCP server that is registered here, or that was listed once. */
export interface McpServerEntry {
  /** Name of the server in the operator's file. */
  readonly server: string;
  /** True if it is in the file of this server. */
  readonly registered: boolean;
  /** `unlisted`, `current` if it listed what was accepted, else `changed`. */
  readonly state: McpServerEntryState | (string & {});
  /** Number of tools that it listed last. */
  readonly tools: number;
  /** Number of tools that are changed, new or removed since. */
  readonly changed: number;
  /** `stdio` for a program, `http` for a URL; absent if it is not registered here. */
  readonly transport?: McpServerEntryTransport | (string & {}) | undefined;
  /** Its name and version, in its own words. */
  readonly serverInfo?: McpServerWords | undefined;
  /** Version of the protocol of the last list. */
  readonly protocolVersion?: string | undefined;
  /** When its tools were recorded last. */
  readonly listedAt?: string | undefined;
  /** When tools were accepted last; absent: only the first list. */
  readonly acceptedAt?: string | undefined;
  /** Who accepted them. */
  readonly acceptedBy?: string | undefined;
  /** What this machine lacks for it; absent: nothing, or for other roles. */
  readonly missing?: readonly string[] | undefined;
}

export type McpServerEntryState = "changed" | "current" | "unlisted";

export type McpServerEntryTransport = "http" | "stdio";

/** The MCP servers. */
export interface McpServerList {
  /** The servers, by name. */
  readonly servers: readonly McpServerEntry[];
}

/** The name and the version of an MCP server, in its own words. */
export interface McpServerWords {
  /** Name of the program. */
  readonly name?: string | undefined;
  /** Version of the program. */
  readonly version?: string | undefined;
}

/** A tool of an MCP server, as it was listed last and as it was accepted. */
export interface McpToolEntry {
  /** Name of the tool by its server. */
  readonly name: string;
  /** Name of the tool for models and outside agents. */
  readonly publicName: string;
  /** `accepted`, `changed` or `new` since the acceptance, or `removed` from the list. */
  readonly state: McpToolEntryState | (string & {});
  /** True if the server says that calls change nothing. */
  readonly readOnly?: boolean | undefined;
  /** The tool as it was listed last. */
  readonly listed?: McpDefinition | undefined;
  /** The tool as it was accepted, if that differs. */
  readonly accepted?: McpDefinition | undefined;
}

export type McpToolEntryState = "accepted" | "changed" | "new" | "removed";

/** A note with optional metadata. */
export interface MemoryBody {
  /** Text to remember. */
  readonly text: string;
  /** Names and values of the client. */
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
}

/** A memory entry. `citation` is its name in search results and in the metadata of transcripts. */
export interface MemoryEntry {
  readonly id: string;
  readonly text: string;
  /** Length in characters. */
  readonly chars: number;
  /** When it was created. */
  readonly createdAt: string;
  /** Name of the passage, for a transcript. */
  readonly citation: string;
  /** Names and values of the client. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface MemoryEntryPage {
  /** Items of this page. */
  readonly items: readonly MemoryEntry[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type MergeGate = "fail" | "pass";

/**
 * A message between personas. `payload` is null once redacted.
 *
 * `status` is `sent`, `started`, `completed` or `failed`. `hops` is the length of the chain of messages up to this one.
 * `attempts` is the number of runs that processed it. `redacted` is true if its text was erased.
 */
export interface Message {
  /** Id of the message; absent if it is not from one. */
  readonly messageId: string;
  /** Persona that sends the message. */
  readonly fromPersona: string;
  /** Persona that receives the message. */
  readonly toPersona: string;
  readonly sessionId: string;
  readonly status: MessageStatus | (string & {});
  /** When it was created. */
  readonly createdAt: string;
  /** When it last changed. */
  readonly updatedAt: string;
  /** Text of the message, or JSON as text; null once redacted. */
  readonly payload: string | null;
  /** Messages in the chain up to this one. */
  readonly hops: number;
  /** Number of runs that processed it. */
  readonly attempts: number;
  /** Identity that sent it. */
  readonly sentBy: string;
  /** Task of the sender; absent without one. */
  readonly taskId?: string | undefined;
  /** Id of the step; absent without one. */
  readonly stepId?: string | undefined;
  /** The run that started it; absent without one. */
  readonly parentRunId?: string | undefined;
  /** Last run that processed it; absent before one. */
  readonly runId?: string | undefined;
  /** The dead letter that it became or came from. */
  readonly deadLetterId?: string | undefined;
  /** Dead letter that it was requeued from; absent otherwise. */
  readonly requeuedFrom?: string | undefined;
  /** Why it was not delivered; absent otherwise. */
  readonly error?: MessageError | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** A message from one persona to another: a text or an object, and the sender's task, step or run. */
export interface MessageBody {
  /** Persona that sends the message. */
  readonly fromPersona: string;
  /** Persona that receives the message. */
  readonly toPersona: string;
  /** A text or an object. */
  readonly payload: unknown;
  /** Task of the sender; absent without one. */
  readonly taskId?: string | null | undefined;
  /** Id of the step; absent without one. */
  readonly stepId?: string | null | undefined;
  /** The run that started it; absent without one. */
  readonly parentRunId?: string | null | undefined;
}

/** The error of a message that was not delivered. */
export interface MessageError {
  /** Error code, as in `ErrorCode`; older logs may hold others. */
  readonly code: string;
  /** Text for people. */
  readonly message: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface MessagePage {
  /** Items of this page. */
  readonly items: readonly Message[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type MessageStatus = "completed" | "failed" | "sent" | "started";

/**
 * One message of the conversation.
 *
 * An assistant message may have `calls`. A message of role `tool` answers the call `toolCallId`.
 */
export interface ModelMessage {
  /** Role of the message. */
  readonly role: TranscriptRole | (string & {});
  /** Text of the message. */
  readonly content: string;
  /** Tool calls that the model requested; absent without any. */
  readonly calls?: readonly ToolCall[] | undefined;
  /** Call that a result answers; absent otherwise. */
  readonly toolCallId?: string | undefined;
  /** True if the result is an error. */
  readonly isError?: boolean | undefined;
}

/** The reason for a decision, for auditors. */
export interface NoteBody {
  /** Reason of the decision, for auditors. */
  readonly auditNote?: string | null | undefined;
}

/** Lines of a note. */
export interface NoteText {
  /** Path of the file, relative to its root. */
  readonly path: string;
  readonly text: string;
  /** First line, from 1. */
  readonly lineStart: number;
  /** Last line, from 1. */
  readonly lineEnd: number;
}

/**
 * A tool call of an agent that has not ended. It is `pending` until it begins; a person may be asked meanwhile.
 *
 * `output` is the end of the output so far, `diff` the changes of files that the agent shows.
 */
export interface OpenCall {
  /** Id of the tool call; absent without one. */
  readonly toolCallId: string;
  /** Title of the call. */
  readonly title: string;
  /** Kind of the call. */
  readonly kind: AgentToolKind | (string & {});
  /** `pending` until it begins. */
  readonly status: OpenCallStatus | (string & {});
  /** End of its output so far; absent without one. */
  readonly output?: string | undefined;
  /** Changes of files that it shows, as a unified diff; absent without one. */
  readonly diff?: string | undefined;
}

export type OpenCallStatus = "in_progress" | "pending";

/** Active runs now, and failures and rejections in the last 24 hours. */
export interface OperationalSummary {
  /** Active runs of all sessions. */
  readonly totalActiveRuns: number;
  /** Sessions with an active run. */
  readonly totalActiveSessions: number;
  /** CPU and memory of all. */
  readonly aggregateResourceUsage: ResourceUsage;
  /** Failures and rejections of the last 24 hours. */
  readonly recentFailureRejectionCount: number;
}

/** The runs whose outcome would change, grouped; each group lists the 50 names with most runs. */
export interface OutcomeChange {
  /** Number of runs. */
  readonly runs: number;
  /** Cost in dollars. */
  readonly costUsd: number;
  /** By session, most runs first. */
  readonly bySession: readonly ChangeShare[];
  /** By harness profile, most runs first. */
  readonly byProfile: readonly ChangeShare[];
  /** By template, most runs first. */
  readonly byTemplate: readonly ChangeShare[];
  /** By rule, most runs first. */
  readonly byReason: readonly ChangeShare[];
}

/** An output of one step that fills a placeholder in the directive of another. */
export interface OutputMapping {
  /** Name of the output. */
  readonly fromOutput: string;
  /** Name of the placeholder. */
  readonly toInput: string;
}

export type OverlapPolicy = "allow-all" | "buffer-all" | "buffer-latest" | "buffer-one" | "cancel-other" | "skip" | "terminate-other";

/** A passage found by a search. A higher `score` is a better match. */
export interface Passage {
  readonly id: string;
  /** File or entry of the passage. */
  readonly sourcePath: string;
  /** Text of the passage. */
  readonly snippet: string;
  /** Match with the query; higher is better. */
  readonly score: number;
  /** First line, from 1. */
  readonly lineStart?: number | undefined;
  /** Last line, from 1. */
  readonly lineEnd?: number | undefined;
  /** Name of the passage, for a transcript. */
  readonly citation?: string | undefined;
}

export type PauseCause = "failure" | "requested";

export type PauseReason = "ask" | "budget" | "daily-budget" | "unpriced-model";

/** A requested approval. A decision must name `subjectHash`, so that it applies to this subject only. */
export interface PendingApproval {
  readonly askId: string;
  /** Hash of the subject to approve. */
  readonly subjectHash: string;
  /** When it was requested. */
  readonly requestedAt: string;
  /** When it expires; absent: never. */
  readonly expiresAt?: string | undefined;
  /** Text for the approver; absent without one. */
  readonly message?: string | undefined;
  /** Identities that may decide; absent: all with the role. */
  readonly approvers?: readonly string[] | undefined;
  /** Least role of an approver. */
  readonly role?: ApproverRole | (string & {}) | undefined;
  /** True: who requested or resumed the run may not approve. */
  readonly notRequester?: boolean | undefined;
}

/**
 * A permission for one exact call, given with the answer to an ask. It is for one run, session or profile.
 *
 * `arguments` is the JSON text of the call. A rule with `redacted` lost it, and allows nothing any more. `bound` is
 * what else has to be the same. Without it, the rule is from an older release: it allows the call where all is the same
 * as in the run that asked.
 */
export interface PermissionRule {
  readonly id: string;
  readonly status: PermissionRuleStatus | (string & {});
  /** Where it is in force. */
  readonly scope: RuleScope | (string & {});
  /** Tool whose calls it allows. */
  readonly toolName: string;
  /** The ask whose answer created it. */
  readonly askId: string;
  /** Identity that created it. */
  readonly createdBy: string;
  /** When it was created. */
  readonly createdAt: string;
  /** When it expires. */
  readonly expiresAt: string;
  /** Number of calls that it allowed. */
  readonly uses: number;
  /** Its run; absent for another scope. */
  readonly runId?: string | undefined;
  /** Its session; absent for another scope. */
  readonly sessionId?: string | undefined;
  /** Its profile; absent for another scope. */
  readonly harnessProfileId?: string | undefined;
  /** JSON text of the call's arguments; absent once redacted. */
  readonly arguments?: string | undefined;
  /** Names of the credentials that the call carries; absent: none. */
  readonly credentials?: readonly string[] | undefined;
  /** Names that stand in the arguments in place of secrets; absent: none. */
  readonly secrets?: readonly string[] | undefined;
  /** What else has to be the same; absent for a rule of release 0.2. */
  readonly bound?: RuleBound | undefined;
  /** When it last allowed a call; absent before that. */
  readonly lastUsedAt?: string | undefined;
  /** When it was revoked or expired; absent while in force. */
  readonly revokedAt?: string | undefined;
  /** Identity that revoked it; absent otherwise. */
  readonly revokedBy?: string | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface PermissionRulePage {
  /** Items of this page. */
  readonly items: readonly PermissionRule[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type PermissionRuleStatus = "expired" | "in-force" | "revoked";

/** The files of a review, in the state directory (written as `.athena`) and in the workspace. */
export interface PersonaArtifacts {
  /** Directory of the review in the state directory. */
  readonly auditDir: string;
  /** Where the result is stored. */
  readonly resultJsonPath: string;
  /** Where the report is stored. */
  readonly reportMarkdownPath: string;
  /** Copy of the result in the workspace. */
  readonly outJsonPath?: string | undefined;
  /** Copy of the report in the workspace. */
  readonly outMarkdownPath?: string | undefined;
}

/** A review by a persona. `status` is running, ok or failed. */
export interface PersonaRun {
  readonly runId: string;
  readonly personaName: string;
  readonly sessionId: string;
  readonly status: PersonaRunStatus | (string & {});
  /** Path of the repository in the workspace. */
  readonly repoPath: string;
  /** Commit, branch or tag to review. */
  readonly headRef: string;
  /** Commit, branch or tag to compare with. */
  readonly baseRef: string;
  /** When it was created. */
  readonly createdAt: string;
  /** When it ended; absent before that. */
  readonly finishedAt?: string | undefined;
  /** Run of the second request; absent without one. */
  readonly repairRunId?: string | undefined;
  /** Whether the change may be merged. */
  readonly mergeGate?: MergeGate | (string & {}) | undefined;
  /** Number of findings; absent before the end. */
  readonly findings?: FindingCounts | undefined;
  /** Files of the review. */
  readonly artifacts?: Readonly<Record<string, unknown>> | undefined;
}

/** A review request: the persona and the commits to compare; paths are relative to the workspace. */
export interface PersonaRunBody {
  /** Name of the persona. */
  readonly name: string;
  /** Path of the repository in the workspace. */
  readonly repoPath: string;
  /** Commit, branch or tag to review. */
  readonly headRef: string;
  /** What to compare with; absent, the main branch. */
  readonly baseRef?: string | null | undefined;
  readonly sessionId?: string | null | undefined;
  /** Name of the provider. */
  readonly provider?: string | null | undefined;
  /** Name of the model. */
  readonly model?: string | null | undefined;
  /** Copy of the result in the workspace. */
  readonly outJsonPath?: string | null | undefined;
  /** Copy of the report in the workspace. */
  readonly outMarkdownPath?: string | null | undefined;
  /** Form of `stdout` in the answer; absent: `summary`. */
  readonly stdout?: PersonaStdout | null | undefined;
}

/**
 * A review by a persona with its result, which is null while it is running and once redacted.
 *
 * `redacted` is true if the result was erased.
 */
export interface PersonaRunDetails {
  readonly runId: string;
  readonly personaName: string;
  readonly sessionId: string;
  readonly status: PersonaRunDetailsStatus | (string & {});
  /** Path of the repository in the workspace. */
  readonly repoPath: string;
  /** Commit, branch or tag to review. */
  readonly headRef: string;
  /** Commit, branch or tag to compare with. */
  readonly baseRef: string;
  /** When it was created. */
  readonly createdAt: string;
  /** When it ended; absent before that. */
  readonly finishedAt?: string | undefined;
  /** Run of the second request; absent without one. */
  readonly repairRunId?: string | undefined;
  /** Whether the change may be merged. */
  readonly mergeGate?: MergeGate | (string & {}) | undefined;
  /** Number of findings; absent before the end. */
  readonly findings?: FindingCounts | undefined;
  /** Files of the review. */
  readonly artifacts?: Readonly<Record<string, unknown>> | undefined;
  /** The result; absent while it runs and once redacted. */
  readonly result?: Readonly<Record<string, unknown>> | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

export type PersonaRunDetailsStatus = "failed" | "ok" | "running";

/** The result of a review, and its printed form. */
export interface PersonaRunOutput {
  readonly result: ReviewResult;
  /** Printed form of the result. */
  readonly stdout: string;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface PersonaRunPage {
  /** Items of this page. */
  readonly items: readonly PersonaRun[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type PersonaRunStatus = "failed" | "ok" | "running";

/** Consumption of a persona. */
export interface PersonaSpend {
  /** Cost in dollars, by the price table. */
  readonly estimatedSpendUsd: number;
  /** Input tokens, with cached ones; absent if unknown. */
  readonly inputTokens: number;
  /** Output tokens, with reasoning ones; absent if unknown. */
  readonly outputTokens: number;
  /** Input and output tokens; absent if unknown. */
  readonly totalTokens: number;
  readonly personaName: string;
}

export type PersonaStdout = "json" | "md" | "none" | "summary";

/** A new policy: the document itself. */
export interface PlainPolicyBody {
  /** Version of this shape. */
  readonly schemaVersion: number;
  /** Most active runs; absent: no limit. */
  readonly maxConcurrentRuns?: number | null | undefined;
  /** Limits of active runs by session, provider or profile. */
  readonly limits?: readonly KeyLimit[] | null | undefined;
  /** Timeout of a run without a profile, in milliseconds. */
  readonly defaultRunTimeoutMs?: number | null | undefined;
  /** Timeout of a scheduled run without a profile, in milliseconds. */
  readonly defaultScheduleTimeoutMs?: number | null | undefined;
  /** Most retries of model calls of a run; absent: no limit. */
  readonly retryBudgetPerRun?: number | null | undefined;
  /** Budget of a UTC day in dollars; absent: none. */
  readonly costBudgetDailyUsd?: number | null | undefined;
  /** Executors that a run may lose before it ends as crashed; absent: 3. */
  readonly maxRunAttempts?: number | null | undefined;
  /** Accepted and ignored. */
  readonly updatedAt?: unknown | null | undefined;
  /** Reason of the change, for auditors. */
  readonly auditComment?: string | null | undefined;
}

/** A step of an agent's plan. */
export interface PlanStep {
  /** The step. */
  readonly text: string;
  /** Progress of the step. */
  readonly status: PlanStepStatus | (string & {});
}

export type PlanStepStatus = "completed" | "in_progress" | "pending";

/** The current policy and the time of its last change. */
export interface PolicyDocument {
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
  /** When it last changed. */
  readonly updatedAt: string;
}

export type PolicyEngine = "athena" | "kyverno";

/** A policy as a client sends it. `updatedAt` is accepted and ignored, so a client may send back what it read. */
export interface PolicyInput {
  /** Version of this shape. */
  readonly schemaVersion: number;
  /** Most active runs; absent: no limit. */
  readonly maxConcurrentRuns?: number | null | undefined;
  /** Limits of active runs by session, provider or profile. */
  readonly limits?: readonly KeyLimit[] | null | undefined;
  /** Timeout of a run without a profile, in milliseconds. */
  readonly defaultRunTimeoutMs?: number | null | undefined;
  /** Timeout of a scheduled run without a profile, in milliseconds. */
  readonly defaultScheduleTimeoutMs?: number | null | undefined;
  /** Most retries of model calls of a run; absent: no limit. */
  readonly retryBudgetPerRun?: number | null | undefined;
  /** Budget of a UTC day in dollars; absent: none. */
  readonly costBudgetDailyUsd?: number | null | undefined;
  /** Executors that a run may lose before it ends as crashed; absent: 3. */
  readonly maxRunAttempts?: number | null | undefined;
  /** Accepted and ignored. */
  readonly updatedAt?: unknown | null | undefined;
}

/** The policy rule that rejected a run. */
export interface PolicyRule {
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

export type PolicyRuleType = "concurrency" | "generate" | "mutate" | "validate";

export type PolicyType = "CONCURRENCY" | "COST";

/** Consumption of the runs of a harness profile; `agentName` is its display name, if it has one. */
export interface ProfileSpend {
  /** Cost in dollars, by the price table. */
  readonly estimatedSpendUsd: number;
  /** Input tokens, with cached ones; absent if unknown. */
  readonly inputTokens: number;
  /** Output tokens, with reasoning ones; absent if unknown. */
  readonly outputTokens: number;
  /** Input and output tokens; absent if unknown. */
  readonly totalTokens: number;
  readonly harnessProfileId: string;
  /** Display name of its profile; absent without one. */
  readonly agentName?: string | undefined;
}

/** State of one projection: its position, its lag behind the log, its version, and the error that stopped it. */
export interface ProjectionHealth {
  /** Last position that it has applied. */
  readonly position: number;
  /** Events that the views are behind. */
  readonly lag: number;
  /** Version of its tables. */
  readonly version: number;
  /** Why it stopped; absent if it runs. */
  readonly error?: string | undefined;
}

/** An event in the chain. `chain` is its chain value, in hex. */
export interface ProvenEvent {
  readonly id: string;
  /** Position in the log. */
  readonly position: number;
  /** Chain value at the event, in hex. */
  readonly chain: string;
  /** When it was created. */
  readonly createdAt: string;
}

/** Consumption of the calls of a provider. */
export interface ProviderSpend {
  /** Cost in dollars, by the price table. */
  readonly estimatedSpendUsd: number;
  /** Input tokens, with cached ones; absent if unknown. */
  readonly inputTokens: number;
  /** Output tokens, with reasoning ones; absent if unknown. */
  readonly outputTokens: number;
  /** Input and output tokens; absent if unknown. */
  readonly totalTokens: number;
  /** Name of the provider. */
  readonly provider: string;
}

export type PutPolicyBody = PlainPolicyBody | CommentedPolicyBody;

/** The number of waiting items by mode. */
export interface QueueCounts {
  /** Waiting items of mode `followup`. */
  readonly followup: number;
  /** Waiting items of mode `collect`. */
  readonly collect: number;
}

export type QueueMode = "collect" | "followup";

/** A limit of the policy by session, provider or profile that is reached: `active` runs of at most `max`. */
export interface ReachedLimit {
  /** What the limit counts by. */
  readonly scope: LimitScope | (string & {});
  /** Name that the limit is for. */
  readonly key: string;
  /** Most active runs. */
  readonly max: number;
  /** Active runs that the limit counts. */
  readonly active: number;
}

/** A range of lines of a note. `path` is `MEMORY.md` or `memory/<name>.md`; `from` is the first line. */
export interface ReadMemoryBody {
  /** `MEMORY.md` or `memory/<name>.md`. */
  readonly path: string;
  /** First line, from 1. */
  readonly from?: number | null | undefined;
  /** Number of lines; absent: all. */
  readonly lines?: number | null | undefined;
}

export type RecordKind = "ask" | "dead-letter" | "directive" | "drain" | "evidence" | "harness-profile" | "memory" | "message" | "permission-rule" | "persona" | "redrive" | "run" | "run-template" | "schedule" | "token" | "workflow" | "workflow-run" | "workspace";

/** The call that answered a turn, as it was paid for. `attempts` counts the calls until the answer. */
export interface RecordedCall {
  /** Name of the provider. */
  readonly provider: string;
  /** Name of the model. */
  readonly model: string;
  /** Tokens used. */
  readonly usage: Usage;
  /** Calls of providers until the answer. */
  readonly attempts: number;
  /** Id that the provider gave the request; absent without one. */
  readonly requestId?: string | undefined;
  /** Milliseconds to the first output; absent if not measured. */
  readonly firstTokenMs?: number | undefined;
  /** Cost of its priced model calls, in millionths of a dollar; absent before one. */
  readonly costMicroUsd?: number | undefined;
  /** True if the provider did not report all tokens; absent otherwise. */
  readonly estimated?: boolean | undefined;
}

/**
 * A job that requeues dead letters. `status` is `running`, `completed`, `cancelled` or `dry-run`.
 *
 * `total` is the number of dead letters that matched at the start. `subjectHash` of a dry run names them. `results` is
 * a page of the results, oldest first.
 */
export interface Redrive {
  /** Id; null for a dry run. */
  readonly id: string | null;
  readonly status: RedriveStatus | (string & {});
  /** Which dead letters to requeue. */
  readonly filter: AppliedRedriveFilter;
  /** Dead letters to requeue per second. */
  readonly ratePerSecond: number;
  /** Number in all. */
  readonly total: number;
  /** Dead letters decided so far. */
  readonly done: number;
  /** Number that were requeued. */
  readonly requeued: number;
  /** Number that were skipped. */
  readonly skipped: number;
  /** Number that failed. */
  readonly failed: number;
  /** Identity that requested it. */
  readonly requestedBy: string;
  /** Page of the results, oldest first. */
  readonly results: readonly RedriveResult[];
  /** When it started; absent for a dry run. */
  readonly startedAt?: string | undefined;
  /** When it ended; absent before that. */
  readonly finishedAt?: string | undefined;
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
  /** Hash of the dead letters that a dry run counted; absent otherwise. */
  readonly subjectHash?: string | undefined;
}

/**
 * A redrive request: a filter, a rate per second, and `dryRun` to only count the dead letters.
 *
 * With `subjectHash`, requeue only the dead letters that a dry run counted.
 */
export interface RedriveBody {
  /** Which dead letters to requeue. */
  readonly filter: RedriveFilter;
  /** Dead letters to requeue per second. */
  readonly ratePerSecond?: number | null | undefined;
  /** True to only report what would happen. */
  readonly dryRun?: boolean | null | undefined;
  /** Hash of a dry run: requeue only if the same dead letters match. */
  readonly subjectHash?: string | null | undefined;
}

export type RedriveDecision = "failed" | "requeued" | "skipped";

/** A filter for pending dead letters; times in ISO-8601, inclusive. An empty filter matches all. */
export interface RedriveFilter {
  /** Only dead letters of this session. */
  readonly sessionId?: string | null | undefined;
  /** Only dead letters of this source, `work` or `a2a`. */
  readonly source?: string | null | undefined;
  /** Persona that sent the message; absent for queue items. */
  readonly sourcePersona?: string | null | undefined;
  /** Persona that the message is for; absent for queue items. */
  readonly targetPersona?: string | null | undefined;
  /** Only dead letters with this reason. */
  readonly reason?: string | null | undefined;
  /** Only what was created at this time or later. */
  readonly createdAfter?: string | null | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: string | null | undefined;
}

/**
 * The result for one dead letter.
 *
 * `result` is `requeued`, `skipped` (another decision came first) or `failed`.
 */
export interface RedriveResult {
  /** The dead letter that it became or came from. */
  readonly deadLetterId: string;
  readonly result: RedriveDecision | (string & {});
  /** When the dead letter was decided. */
  readonly at: string;
  /** Why it failed; absent otherwise. */
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
  /** Name of the model. */
  readonly model: string;
  /** Length of the input in characters. */
  readonly inputChars: number;
  /** Executor of the server that took the request. */
  readonly requestedBy: string;
  /** True if the request waits for a free slot; else absent. */
  readonly patient?: boolean | undefined;
  /** What to do if the session is busy; absent: `enqueue`. */
  readonly sessionStrategy?: SessionStrategy | (string & {}) | undefined;
  /** Fallback models, as `provider/model`. */
  readonly fallbacks?: readonly string[] | undefined;
  /** Budget in millionths of a dollar; absent without one. */
  readonly budgetMicroUsd?: number | undefined;
  /** Lowest cost of a model call in millionths of a dollar; absent without a price. */
  readonly leastMicroUsd?: number | undefined;
  /** Timeout in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** The run that started it; absent without one. */
  readonly parentRunId?: string | undefined;
  /** Outside agent of the profile; absent: the loop of Athena. */
  readonly agent?: string | undefined;
}

/**
 * The request of a refused run. If it is over 4 KiB, only its size as JSON and its SHA-256 are kept.
 *
 * A directive is represented by its id.
 */
export interface RefusedRequest {
  /** Text of the task; absent if too long. */
  readonly input?: string | undefined;
  /** Id of the directive; absent if there is none. */
  readonly directiveId?: string | undefined;
  /** Files and URLs that the run's context names. */
  readonly contextRefs?: readonly string[] | undefined;
  /** Names and values of the client. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Size as JSON, in bytes, of a request above 4 KiB. */
  readonly sizeBytes?: number | undefined;
  /** SHA-256 in hex of a request above 4 KiB. */
  readonly sha256?: string | undefined;
}

/**
 * An outside agent in this server's file.
 *
 * `provider` serves its model calls. Athena orders `mode`, and in a sandbox `boxedMode` if it is given. `model` is the
 * model of profiles that `athena run --agent` makes. `missing` is what this machine lacks to start the agent, for roles
 * that may create profiles.
 */
export interface RegisteredAgent {
  readonly name: string;
  /** API that it asks models with. */
  readonly wire: RegisteredAgentWire | (string & {});
  /** Provider that serves its model calls. */
  readonly provider: string;
  /** Whether it takes up a session of a killed process: always, if it was idle, or never. */
  readonly resume: RegisteredAgentResume | (string & {});
  /** True if this machine can start it. */
  readonly installed: boolean;
  /** Mode that Athena orders. */
  readonly mode?: string | undefined;
  /** Mode that Athena orders in a sandbox; absent if it is the same. */
  readonly boxedMode?: string | undefined;
  /** Model of profiles that `athena run --agent` makes; absent if none is set. */
  readonly model?: string | undefined;
  /** What this machine lacks to start it, for who may create profiles; absent if nothing. */
  readonly missing?: readonly string[] | undefined;
}

export type RegisteredAgentResume = "exact" | "idle" | "none";

export type RegisteredAgentWire = "anthropic" | "gemini" | "openai-chat" | "openai-responses";

/** The session and persona of a rejected run. */
export interface RejectedRun {
  readonly sessionId: string;
  readonly personaName?: string | undefined;
}

/**
 * A run that the policy rejected. `id` is `rej_` and the id of its event in the feed.
 *
 * `provider` is the one that the run would have used, and `runTemplateId` the template of its request. `plan` and
 * `request` describe the requested run. Both are absent in rejections of release 0.1, and `request` once redacted; then
 * `redacted` is true.
 */
export interface Rejection {
  readonly id: string;
  /** When it was created. */
  readonly createdAt: string;
  readonly sessionId: string;
  /** Active runs when it was decided. */
  readonly activeRuns: number;
  /** Limit that was reached; 0 for a budget. */
  readonly maxConcurrentRuns: number;
  /** Why the policy rejected the run. */
  readonly reason: RejectionReason | (string & {});
  /** The rejection as it was recorded. */
  readonly event: RejectionEvent;
  /** Identity that did it, or a `system:` actor of the server. */
  readonly actor: string;
  /** Trace id of the request that caused it. */
  readonly traceId: string;
  /** Rule that rejected it; absent in old logs. */
  readonly policy?: PolicyRule | undefined;
  readonly runId?: string | undefined;
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
  /** The refused request; absent in old logs and once redacted. */
  readonly request?: RefusedRequest | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/**
 * A rejection as it was recorded.
 *
 * For the policy type `COST` it has the sums of the UTC day. Then `limit`, which counts runs, is 0.
 */
export interface RejectionEvent {
  /** Version of this shape. */
  readonly schemaVersion: number;
  /** When it was rejected. */
  readonly timestamp: string;
  /** Whether runs or costs were limited. */
  readonly policyType: PolicyType | (string & {});
  /** Limit of active runs; 0 for a budget. */
  readonly limit: number;
  /** Session and persona of the run. */
  readonly rejectedRunDetails: RejectedRun;
  /** Why it was rejected. */
  readonly reason: RejectionReason | (string & {});
  /** Active runs when it was decided. */
  readonly activeRuns: number;
  /** Rule that rejected it; absent in old logs. */
  readonly policy?: PolicyRule | undefined;
  /** Spent on the UTC day, in millionths of a dollar; absent for run limits. */
  readonly spentMicroUsd?: number | undefined;
  /** Daily budget in millionths of a dollar; absent for run limits. */
  readonly budgetMicroUsd?: number | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface RejectionPage {
  /** Items of this page. */
  readonly items: readonly Rejection[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type RejectionReason = "daily-cost-budget-exceeded" | "key-limit-exceeded" | "lock-acquisition-failed" | "max-concurrent-runs-exceeded" | "unpriced-model";

/** Attempts, retries and fallbacks that an answer took. */
export interface Reliability {
  /** Requests to providers. */
  readonly providerAttempts: number;
  /** Requests that were repeated. */
  readonly providerRetries: number;
  /** Changes to a fallback model. */
  readonly fallbackHops: number;
  /** Time of the last model call, in milliseconds; absent if unknown. */
  readonly turnLatencyMs?: number | undefined;
}

/** Result of a delete: `removed` is false if the schedule did not exist. */
export interface RemovedSchedule {
  /** Id of the schedule. */
  readonly id: string;
  /** False if it did not exist. */
  readonly removed: boolean;
}

/** Counts of requests by outcome; `costUsd` is the cost of the admitted runs. */
export interface RequestCounts {
  /** Number that were admitted. */
  readonly admitted: number;
  /** Number that were refused. */
  readonly refused: number;
  /** Cost in dollars. */
  readonly costUsd: number;
}

/** CPU cores and memory bytes; 0 if they cannot be measured. */
export interface ResourceUsage {
  /** CPU cores; 0 if not measured. */
  readonly cpuUsage: number;
  /** Bytes of memory; 0 if not measured. */
  readonly memoryUsage: number;
}

/** The total budget of a run in dollars, including what it has spent so far. Without it the run has no budget. */
export interface ResumeBody {
  /** New total budget in dollars, including the money spent; absent: no budget. */
  readonly budgetUsd?: number | null | undefined;
}

/** Values that replace earlier ones. `dryRun` only reports what a resume would do. */
export interface ResumeWorkflowBody {
  /** Inputs that replace earlier ones, by name. */
  readonly inputOverrides?: Readonly<Record<string, unknown>> | null | undefined;
  /** True to only report what would happen. */
  readonly dryRun?: boolean | null | undefined;
}

/** Changes to the request of a run that is retried. An absent member keeps its value. */
export interface RetryBody {
  /** Another profile; absent, the same. */
  readonly harnessProfileId?: string | null | undefined;
  /** Another provider; absent, the same. */
  readonly provider?: string | null | undefined;
  /** Another model; absent, the same. */
  readonly model?: string | null | undefined;
  /** Budget in dollars, 0: none; absent, the same. */
  readonly budgetUsd?: number | null | undefined;
  /** Another text of the task; absent, the same. */
  readonly input?: string | null | undefined;
}

/**
 * The idempotency key of a retry; absent if `retryable` is false. `same-key`: nothing was decided. `new-key`: the key
 * is bound to the failed run, so the same key gets this error again.
 */
export type RetryWith = "same-key" | "new-key";

/** The answer that a model must give. */
export interface ReviewAnswer {
  /** Version of this shape. */
  readonly schemaVersion: 1;
  /** Whether the change may be merged. */
  readonly mergeGate: MergeGate | (string & {});
  /** Report in Markdown. */
  readonly reportMarkdown: string;
  readonly findings: readonly Finding[];
  /** Changes of dependencies. */
  readonly dependencyInspection?: DependencyInspection | undefined;
}

/** The reason why a review failed. */
export interface ReviewError {
  /** Text for people. */
  readonly message: string;
}

/**
 * The result of a persona run.
 *
 * `notSeen` are the parts of the change that the persona was not shown, such as closed files. With any of them the
 * merge gate is `fail`, because a review approves only what it read. `hidden` are masked parts.
 */
export interface ReviewResult {
  /** Version of this shape. */
  readonly schemaVersion: number;
  readonly runId: string;
  readonly personaName: string;
  readonly sessionId: string;
  readonly status: ReviewResultStatus | (string & {});
  /** When it started. */
  readonly startedAt: string;
  /** When it ended. */
  readonly finishedAt: string;
  readonly findings: readonly Finding[];
  /** Whether the change may be merged. */
  readonly mergeGate: MergeGate | (string & {});
  /** Report in Markdown. */
  readonly reportMarkdown: string;
  /** Path of the repository in the workspace. */
  readonly repoPath: string;
  /** Commit, branch or tag to review. */
  readonly headRef: string;
  /** Commit, branch or tag to compare with. */
  readonly baseRef: string;
  /** How the base was found. */
  readonly baseRefResolvedFrom: ReviewResultBaseRefResolvedFrom | (string & {});
  /** Files of the review. */
  readonly artifacts: PersonaArtifacts;
  /** Files that the persona was shown. */
  readonly contextManifest: readonly ContextFile[];
  /** Changed files that the persona was shown. */
  readonly referencedFileMeta: readonly ContextFile[];
  /** Contents of those files. */
  readonly referencedFileSnapshots: readonly FileSnapshot[];
  /** Files that serve as evidence. */
  readonly evidenceManifest: readonly EvidenceFile[];
  /** Changes of dependencies. */
  readonly dependencyInspection: DependencyInspection;
  /** Text of the model. */
  readonly modelOutputRaw: string;
  /** True if the model was asked once more. */
  readonly parseRetryAttempted: boolean;
  /** Answer of the model; absent if it is not valid. */
  readonly modelOutputParsed?: ReviewAnswer | undefined;
  /** Why the answer is not valid; absent if it is. */
  readonly parseError?: string | undefined;
  /** Run of the second request; absent without one. */
  readonly repairRunId?: string | undefined;
  /** Tokens used. */
  readonly usage?: Usage | undefined;
  /** How the context was compiled; absent without a run. */
  readonly contextMeta?: ContextMeta | undefined;
  /** Why it failed; absent otherwise. */
  readonly error?: ReviewError | undefined;
  /** The first 100 masked parts of the diff; absent if there are none. */
  readonly hidden?: readonly HiddenSpan[] | undefined;
  /** Parts of the change that were not shown, so that the gate is `fail`; absent if all was. */
  readonly notSeen?: readonly string[] | undefined;
}

export type ReviewResultBaseRefResolvedFrom = "flag" | "main" | "origin-head";

export type ReviewResultStatus = "failed" | "ok";

/** A role of an identity. Each one may do what the roles before it may. `NONE` locks an identity out. */
export type Role = "Admin" | "None" | "Operator" | "Viewer";

/**
 * The conditions of a permission rule beside the call: it allows the call only where all of them are the same.
 *
 * `profile_sha256` is the hash of the profile without its model. `workspace` is the kind of workspace that the run
 * worked in. `role`, `approvers` and `notRequester` are who may allow the call. `mcp_tool_sha256` is the hash of the
 * tool as an operator accepted it, if it is a tool of an MCP server.
 */
export interface RuleBound {
  /** Profile of the run that asked. */
  readonly harnessProfileId: string;
  /** Hash of that profile without its model, hex. */
  readonly profileSha256: string;
  /** Mode of its sandbox. */
  readonly sandbox: RuleBoundSandbox | (string & {});
  /** Kind of the workspace. */
  readonly workspace: RuleBoundWorkspace | (string & {});
  /** Network of its sandbox; absent: the default. */
  readonly network?: RuleBoundNetwork | (string & {}) | undefined;
  /** Least role that may allow the call; absent: Operator. */
  readonly role?: ApproverRole | (string & {}) | undefined;
  /** The only identities that may allow it; absent: all with the role. */
  readonly approvers?: readonly string[] | undefined;
  /** True if who requested the run may not allow it. */
  readonly notRequester?: boolean | undefined;
  /** Hash of the MCP tool as it was accepted; absent for other tools. */
  readonly mcpToolSha256?: string | undefined;
}

export type RuleBoundNetwork = "egress" | "none";

export type RuleBoundSandbox = "off" | "preferred" | "required";

export type RuleBoundWorkspace = "session" | "shared" | "workflow-run";

export type RuleScope = "profile" | "run" | "session";

/**
 * A run. In lists, `inputPreview` and `outputPreview` replace the input and the output.
 *
 * A preview has at most 160 characters. `outputChars` is the length of the output in characters. `include=output` adds
 * the output. `partial` is true if the output is not a whole answer: the run ended or paused while the model was
 * writing. `durationMs` is the time from the start to the end, with pauses. `retries` counts the runs that retry this
 * one. It and `childCount` are absent for a caller with a scope. `redacted` is true if a text of the run was erased.
 *
 * `requestedBy` caused the run: its caller, or the author of its schedule, who started its workflow run, or who drained
 * or sent its item. `requesters` are all who did, if there are more: also the author of a schedule that was run
 * manually, who resumed the workflow run, who sent the items, and the requesters of the parent run.
 */
export interface Run {
  readonly runId: string;
  readonly sessionId: string;
  /** `queued`, `running` or `paused` until the run ends; then its outcome, which is final. */
  readonly status: RunStatus | (string & {});
  /** When it was created. */
  readonly createdAt: string;
  /** Id of the directive; absent if there is none. */
  readonly directiveId: string;
  readonly harnessProfileId: string;
  /** Name of the provider. */
  readonly provider: string;
  /** Name of the model. */
  readonly model: string;
  /** Number of the attempt, from 1; 0 before the first. */
  readonly attempt: number;
  /** Pieces of evidence attached; 0 until the run completed. */
  readonly evidenceCount: number;
  /** Paths of related resources. */
  readonly links: RunLinks;
  /** When an executor started it; absent before that. */
  readonly startedAt?: string | undefined;
  /** When it ended; absent before that. */
  readonly finishedAt?: string | undefined;
  /** Why it waits; present while it is queued. */
  readonly waiting?: RunWait | undefined;
  /** Why and since when it is paused; absent if it is not. */
  readonly paused?: RunPause | undefined;
  /** The run that started it; absent without one. */
  readonly parentRunId?: string | undefined;
  /** Template version of the run; absent without one. */
  readonly template?: TemplateVersion | undefined;
  /** Text of the answer; absent before the end, once redacted, and in lists without `include=output`. */
  readonly output?: string | undefined;
  /** True if the output is not a whole answer: the run was cut off. Else absent. */
  readonly partial?: boolean | undefined;
  /** Tokens of all its model calls; absent before the first. */
  readonly usage?: RunUsage | undefined;
  /** Cost of its priced model calls, in millionths of a dollar; absent before one. */
  readonly costMicroUsd?: number | undefined;
  /** Budget in millionths of a dollar; absent without one. */
  readonly budgetMicroUsd?: number | undefined;
  /** Why it did not complete; absent otherwise. */
  readonly error?: RunError | undefined;
  /** Whether it met its verification policies; absent before it completed. */
  readonly verificationStatus?: VerificationStatus | (string & {}) | undefined;
  /** Verification policies that it did not meet; absent if it met all. */
  readonly verificationFailures?: readonly VerificationFailure[] | undefined;
  /** First 160 characters of the input, on one line. */
  readonly inputPreview?: string | undefined;
  /** First 160 characters of the output on one line, in lists only. */
  readonly outputPreview?: string | undefined;
  /** Length of the output in characters. */
  readonly outputChars?: number | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
  /** Display name of its profile; absent without one. */
  readonly agentName?: string | undefined;
  /** Outside agent of its profile; absent without one. */
  readonly agent?: string | undefined;
  /** Version of the agent; absent before its session is open. */
  readonly agentVersion?: string | undefined;
  /** Mode of the agent's session that Athena ordered; absent if none, or before it. */
  readonly agentMode?: string | undefined;
  /** Milliseconds from start to end; absent before the end. */
  readonly durationMs?: number | undefined;
  /** Number of runs that name it as their parent; absent without any. */
  readonly childCount?: number | undefined;
  /** Run whose request it makes again; absent if it is not a retry. */
  readonly retryOf?: string | undefined;
  /** Number of runs that retry it; absent without any. */
  readonly retries?: number | undefined;
  /** Identity that caused the run; absent for runs of releases before 0.3. */
  readonly requestedBy?: string | undefined;
  /** All identities that requested the run; absent if there is only one. */
  readonly requesters?: readonly string[] | undefined;
}

/** The request to start a run. A child run is cancelled with its parent. */
export interface RunBody {
  /** Session to run in; absent, a new one. */
  readonly sessionId?: string | null | undefined;
  /** Text of the task, instead of `directiveId`. */
  readonly input?: string | null | undefined;
  /** Directive to run, instead of `input`. */
  readonly directiveId?: string | null | undefined;
  /** Profile that runs it; absent, the default profile with `provider` and `model`. */
  readonly harnessProfileId?: string | null | undefined;
  /** Provider, without a profile; absent, the default. */
  readonly provider?: string | null | undefined;
  /** Model, without a profile; absent, the default. */
  readonly model?: string | null | undefined;
  /** Names and values of the client. `persona` names the persona of the run. */
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
  /** What to do if the session is busy; absent: `enqueue`. */
  readonly sessionStrategy?: SessionStrategy | null | undefined;
  /** Run that starts it. Its cancel also cancels this run. */
  readonly parentRunId?: string | null | undefined;
}

/** Changes to the requests of runs that are retried. An absent member keeps its value. */
export interface RunChanges {
  /** Another profile; absent, the same. */
  readonly harnessProfileId?: string | undefined;
  /** Another provider; absent, the same. */
  readonly provider?: string | undefined;
  /** Another model; absent, the same. */
  readonly model?: string | undefined;
  /** Budget in dollars, 0: none; absent, the same. */
  readonly budgetUsd?: number | undefined;
}

/**
 * The changes of a run in its workspace.
 *
 * `recorded` is false until the run ends or pauses, and if it crashed. `diff` is a unified diff, absent if nothing
 * changed or if its text was erased. With `truncated`, the diff lacks some changes. `files` are those in the diff, and
 * `filesTotal` counts all. `applied` lists the newest applies of the run's changes to the shared workspace.
 *
 * `subjectHash` names the changes, for an apply. `hidden` are the first of the `hiddenTotal` parts that the recorded
 * diff hides. With `exactNeeded` it does not show all that an apply writes. An `exact` diff shows it, except files in
 * `notShown`. In both, names in `secrets` stand for secrets of the server.
 */
export interface RunDiff {
  readonly runId: string;
  readonly workspaceId: string;
  /** Whether the workspace still exists. */
  readonly workspaceStatus: WorkspaceStatus | (string & {});
  /** False until the run ends or pauses, and if it crashed. */
  readonly recorded: boolean;
  /** Changed files in the diff. */
  readonly files: readonly RunDiffFile[];
  /** Number of changed files. */
  readonly filesTotal: number;
  /** Number of changed binary files. */
  readonly binaryFiles: number;
  /** Number of added lines. */
  readonly addedLines: number;
  /** Number of removed lines. */
  readonly removedLines: number;
  /** True if the diff is cut. */
  readonly truncated: boolean;
  /** The newest applies, newest first. */
  readonly applied: readonly AppliedChanges[];
  /** The first 100 parts that the recorded diff hides, in its order. */
  readonly hidden: readonly HiddenSpan[];
  /** Number of parts that the recorded diff hides. */
  readonly hiddenTotal: number;
  /** True if the recorded diff does not show all that an apply writes. */
  readonly exactNeeded: boolean;
  /** Unified diff; absent if nothing changed, and once redacted. */
  readonly diff?: string | undefined;
  /** Evidence with the diff; absent if nothing changed. */
  readonly evidenceId?: string | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
  /** Hash of the changes, for an apply; absent until they are recorded. */
  readonly subjectHash?: string | undefined;
  /** True if the diff is the exact one; absent for the recorded one. */
  readonly exact?: boolean | undefined;
  /** Names of secrets of the server that stand in the exact diff; absent if there are none. */
  readonly secrets?: readonly string[] | undefined;
  /** Files that the exact diff does not show as they are; absent if there are none. */
  readonly notShown?: readonly string[] | undefined;
}

/** A file that a run changed, with its added and removed lines. A binary file has none. */
export interface RunDiffFile {
  /** Path in the workspace. */
  readonly path: string;
  /** Kind of the change. */
  readonly change: RunDiffFileChange | (string & {});
  /** Number of added lines. */
  readonly added: number;
  /** Number of removed lines. */
  readonly removed: number;
  /** True if its lines are not compared. */
  readonly binary: boolean;
}

export type RunDiffFileChange = "added" | "deleted" | "modified" | "retyped";

export type RunEndStatus = "cancelled" | "completed" | "crashed" | "failed" | "timed-out";

/** The error of a run without an answer. */
export interface RunError {
  /** Error code, as in `ErrorCode`; older logs may hold others. */
  readonly code: string;
  /** Text for people; `(erased)` once redacted. */
  readonly message: string;
  /** True if a retry may succeed. */
  readonly retryable: boolean;
  /** Idempotency key of a retry: the same one, or a new one; present if `retryable` is true. */
  readonly retryWith?: RetryWith | (string & {}) | undefined;
}

/** A value of a field, and how many runs have it. */
export interface RunFacet {
  /** Value of the field. */
  readonly value: string;
  /** Number of runs. */
  readonly count: number;
}

/**
 * Counts of the runs of a filter, by status, profile, model, error code and session, the most frequent first.
 *
 * Each list has at most 100 values. Only the newest 100,000 runs of the filter are counted: `complete` is false if
 * there are more.
 */
export interface RunFacets {
  /** Number of runs that were counted. */
  readonly total: number;
  /** False if only the newest 100,000 runs of the filter were counted. */
  readonly complete: boolean;
  /** Counts by status. */
  readonly status: readonly RunFacet[];
  /** Counts by profile. */
  readonly harnessProfileId: readonly RunFacet[];
  /** Counts by model. */
  readonly model: readonly RunFacet[];
  /** Counts by error code, of runs with an error. */
  readonly errorCode: readonly RunFacet[];
  /** Counts by session. */
  readonly sessionId: readonly RunFacet[];
}

/** A filter of runs, as in `GET /runs`. An empty filter matches all. Times in ISO-8601, inclusive. */
export interface RunFilterBody {
  readonly sessionId?: string | null | undefined;
  readonly status?: RunStatus | null | undefined;
  /** Name of the provider. */
  readonly provider?: string | null | undefined;
  /** Name of the model. */
  readonly model?: string | null | undefined;
  readonly harnessProfileId?: string | null | undefined;
  /** Code of the error; absent without one. */
  readonly errorCode?: string | null | undefined;
  /** The run that started it; absent without one. */
  readonly parentRunId?: string | null | undefined;
  /** Run whose request it makes again; absent if it is not a retry. */
  readonly retryOf?: string | null | undefined;
  /** Only what was created at this time or later. */
  readonly createdAfter?: string | null | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: string | null | undefined;
  /** Only runs that cost more, in dollars. */
  readonly costOverUsd?: number | null | undefined;
  /** Only ended runs that took longer, in milliseconds. */
  readonly durationOverMs?: number | null | undefined;
}

/** Paths of resources related to a run. */
export interface RunLinks {
  /** Path of the run. */
  readonly self: string;
  /** Path of its session. */
  readonly session: string;
  /** Path of its events. */
  readonly events: string;
  /** Path that cancels the run. */
  readonly cancel: string;
}

/** Number of runs by outcome. */
export interface RunOutcomes {
  /** Number that completed. */
  readonly completed: number;
  /** Number that failed. */
  readonly failed: number;
  /** Number that were cancelled. */
  readonly cancelled: number;
  /** Number that timed out. */
  readonly timedOut: number;
  /** Number that crashed. */
  readonly crashed: number;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface RunPage {
  /** Items of this page. */
  readonly items: readonly Run[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/** Why and since when a run is paused. `POST /runs/:runId/resume` resumes it, an answer if it asked a person. */
export interface RunPause {
  /** Why the run is paused. */
  readonly reason: PauseReason | (string & {});
  /** When it was paused. */
  readonly since: string;
}

/**
 * The place of a run in the chain, and how to prove it.
 *
 * A chain value depends on all events up to its position. So an anchor at or after `last` that is kept elsewhere proves
 * every event of the run. `anchor` is the newest one that this server has sent. `covered` is false if there is none at
 * or after `last`. `links` counts the events from `first` to that anchor, or else to `head`: a bundle that reaches it
 * has that many hashes. `commands` export the bundle and verify it; PLACE stands for a destination of anchors.
 */
export interface RunProof {
  readonly runId: string;
  readonly logId: string;
  /** Number of events of the run. */
  readonly events: number;
  /** First event of the run. */
  readonly first: ProvenEvent;
  /** Last event of the run. */
  readonly last: ProvenEvent;
  /** Last event of the log. */
  readonly head: ProvenEvent;
  /** Destinations of anchors, with the last position that each received. */
  readonly sent: readonly SentAnchor[];
  /** True if that anchor is at or after the last event of the run. */
  readonly covered: boolean;
  /** Events from the first one to the anchor, or else to the head. */
  readonly links: number;
  /** Commands that export the run as a bundle, and verify it. */
  readonly commands: readonly string[];
  /** Newest anchor that this server has sent; absent without one. */
  readonly anchor?: ProvenEvent | undefined;
}

/**
 * The answer to a synchronous caller whose run completed.
 *
 * `redacted` is true if the output or the parameters of the template were erased since. They are then empty.
 */
export interface RunResult {
  readonly sessionId: string;
  readonly runId: string;
  /** Text of the answer. */
  readonly output: string;
  /** Name of the provider. */
  readonly provider: string;
  /** Name of the model. */
  readonly model: string;
  /** When it was created. */
  readonly createdAt: string;
  /** Id of the directive; absent if there is none. */
  readonly directiveId: string;
  readonly harnessProfileId: string;
  /** Profile as the run used it. */
  readonly harnessProfileSnapshot: HarnessProfile;
  /** Pieces of evidence attached; 0 until the run completed. */
  readonly evidenceCount: number;
  /** Whether it met its verification policies. `passed` also without any. */
  readonly verificationStatus: VerificationStatus | (string & {});
  /** How the context was compiled; absent without a run. */
  readonly contextMeta: ContextMeta;
  /** Attempts that the answer took. */
  readonly reliability: Reliability;
  /** Verification policies that it did not meet; absent if it met all. */
  readonly verificationFailures?: readonly VerificationFailure[] | undefined;
  /** Tokens used. */
  readonly usage?: Usage | undefined;
  /** Template version of the run; absent without one. */
  readonly template?: TemplateUse | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** The provider and model for a schedule that names no harness profile. */
export interface RunScheduleBody {
  /** Name of the provider. */
  readonly provider?: string | null | undefined;
  /** Name of the model. */
  readonly model?: string | null | undefined;
}

export type RunStatus = "cancelled" | "completed" | "crashed" | "failed" | "paused" | "queued" | "running" | "timed-out";

/**
 * A version of a run template. `directiveTemplate` and `defaultParams` are null once redacted.
 *
 * `redacted` is true if its text was erased. `createdAt` is when the template was created, `updatedAt` when this
 * version was.
 */
export interface RunTemplate {
  readonly id: string;
  /** Version number, from 1. */
  readonly version: number;
  readonly harnessProfileId: string;
  /** Text with placeholders; null once redacted. */
  readonly directiveTemplate: string | null;
  /** Values of parameters that a run does not give; null once redacted. */
  readonly defaultParams: Readonly<Record<string, unknown>> | null;
  /** When the template was created. */
  readonly createdAt: string;
  /** When this version was created. */
  readonly updatedAt: string;
  /** JSON Schema of the parameters; absent: all are strings. */
  readonly paramsSchema?: Readonly<Record<string, unknown>> | undefined;
  /** Name for people. */
  readonly displayName?: string | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** Parameters of a run, and its session, a new one by default. */
export interface RunTemplateBody {
  /** Values of the parameters, by name. */
  readonly params?: Readonly<Record<string, unknown>> | null | undefined;
  /** Session to run in; absent, a new one. */
  readonly sessionId?: string | null | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface RunTemplatePage {
  /** Items of this page. */
  readonly items: readonly RunTemplate[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/** Durations of the runs that completed in the window, in milliseconds, at most an eighth too high. */
export interface RunTimes {
  /** Number of runs. */
  readonly runs: number;
  /** Median time in milliseconds; absent without runs. */
  readonly p50Ms?: number | undefined;
  /** 95th percentile in milliseconds; absent without runs. */
  readonly p95Ms?: number | undefined;
}

/** The tokens that a run used. `estimated` is true if a provider did not report all of them. */
export interface RunUsage {
  /** Input tokens, with cached ones; absent if unknown. */
  readonly inputTokens?: number | undefined;
  /** Output tokens, with reasoning ones; absent if unknown. */
  readonly outputTokens?: number | undefined;
  /** Input and output tokens; absent if unknown. */
  readonly totalTokens?: number | undefined;
  /** Input tokens read from a cache; absent if unknown. */
  readonly cachedInputTokens?: number | undefined;
  /** Input tokens that were written to a cache; absent if unknown. */
  readonly cacheWriteTokens?: number | undefined;
  /** Output tokens of reasoning; absent if unknown. */
  readonly reasoningTokens?: number | undefined;
  /** True if a provider did not report all tokens; else absent. */
  readonly estimated?: boolean | undefined;
}

/**
 * Why a run is waiting, and its place in the queue of its session, limit or server.
 *
 * A running run is waiting for an `executor` if none has taken it since it was admitted or resumed. `blockedBy` is the
 * run that holds the session, or the oldest run that the limit counts. It is absent if the caller's scope does not
 * cover that run. A run that waits for answers to its open `asks` has no place. It is `parked` if it gave its slot
 * back; then it also waits for a slot after the last answer.
 */
export interface RunWait {
  /** Why the run waits. */
  readonly reason: WaitReason | (string & {});
  /** Place in the queue, from 1; absent if it waits for answers. */
  readonly position?: number | undefined;
  /** Run ahead of it; absent without one, or outside of the caller's scope. */
  readonly blockedBy?: string | undefined;
  /** The limit that is reached, if that is the reason. */
  readonly limit?: ReachedLimit | undefined;
  /** Ids of the open asks that it waits for. */
  readonly asks?: readonly string[] | undefined;
  /** True if it gave its slot back to wait for a person; absent for a queued run. */
  readonly parked?: boolean | undefined;
}

/** Values of the placeholders in the directives, by name. */
export interface RunWorkflowBody {
  /** Values of placeholders, by name. */
  readonly input?: Readonly<Record<string, unknown>> | null | undefined;
}

/** The sandbox for commands of this server's runs: if it works, and else the reason and the remedy. */
export interface SandboxCapabilities {
  /** True if it works. */
  readonly available: boolean;
  /** Why none works; absent if one does. */
  readonly reason?: string | undefined;
  /** What to do about it; absent if one works. */
  readonly remedy?: string | undefined;
}

/**
 * The sandbox of the commands of a run, whether tool `shell` or a verification policy starts them.
 *
 * `preferred`: commands run without a sandbox where none works, which is recorded. `required`: the run is refused
 * there. Network `egress`: the hosts of `allowedEgress` can be reached through a proxy. `readOnly`: absolute paths that
 * commands may read beside the system and the workspace.
 */
export interface SandboxPolicy {
  /** Run commands without a sandbox (`off`), in one where it works, or only in one. */
  readonly mode: SandboxPolicyMode | (string & {});
  /** `none` (the default), or `egress`: the hosts of `allowedEgress`, through a proxy. */
  readonly network?: SandboxPolicyNetwork | (string & {}) | undefined;
  /** Absolute paths that commands may read beside the system and the workspace. */
  readonly readOnly?: readonly string[] | undefined;
}

export type SandboxPolicyMode = "off" | "preferred" | "required";

export type SandboxPolicyNetwork = "egress" | "none";

/** A schedule with its id, which the client chooses. */
export interface ScheduleBody {
  readonly sessionId?: string | null | undefined;
  /** Text of the task. */
  readonly input?: string | null | undefined;
  /** Id of the directive; absent if there is none. */
  readonly directiveId?: string | null | undefined;
  readonly harnessProfileId?: string | null | undefined;
  /** Id of the run template; absent without one. */
  readonly runTemplateId?: string | null | undefined;
  /** Values of the parameters, by name. */
  readonly params?: Readonly<Record<string, string>> | null | undefined;
  /** Id of the workflow; absent without one. */
  readonly workflowId?: string | null | undefined;
  /** Interval in minutes. */
  readonly everyMinutes?: number | null | undefined;
  /** Cron expression with five fields, or a macro such as `@daily`. */
  readonly cron?: string | null | undefined;
  /** IANA time zone of `cron`; absent: UTC. */
  readonly timezone?: string | null | undefined;
  /** The only time, instead of an interval or cron. */
  readonly runAt?: string | null | undefined;
  /** No times before this. */
  readonly startAt?: string | null | undefined;
  /** No times after this. */
  readonly endAt?: string | null | undefined;
  /** Largest delay of a start, in seconds; the same for the same time. */
  readonly jitterSeconds?: number | null | undefined;
  /** What to do if a run is active when another is due; absent: `skip`. */
  readonly overlapPolicy?: OverlapPolicy | null | undefined;
  /** Which missed times run; absent: `latest`. */
  readonly catchUp?: CatchUp | null | undefined;
  /** How late a missed time may run, in seconds; absent: a year. */
  readonly catchUpWindowSeconds?: number | null | undefined;
  /** True: a failed run pauses the schedule. */
  readonly pauseOnFailure?: boolean | null | undefined;
  /** False switches it off. */
  readonly enabled?: boolean | null | undefined;
  /** True: the first run is now. */
  readonly startNow?: boolean | null | undefined;
  /** Whether it is paused. */
  readonly paused?: boolean | null | undefined;
  /** Reason, for auditors. */
  readonly note?: string | null | undefined;
  readonly id: string;
}

/** The reason for pausing or resuming a schedule. */
export interface ScheduleNote {
  /** Reason, for auditors. */
  readonly note?: string | null | undefined;
}

/** Why and since when a schedule is paused. `runId` is the run that failed, if the cause is `failure`. */
export interface SchedulePause {
  /** Why it is paused. */
  readonly cause: PauseCause | (string & {});
  /** When it was paused. */
  readonly since: string;
  /** Run that failed, if that is the cause. */
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
  /** Session of the run; null without one. */
  readonly sessionId: string | null;
  /** When it ran, or when it was decided that it would not. */
  readonly startedAt: string;
  readonly status: ScheduleRunStatus | (string & {});
  /** When it ended; absent before that. */
  readonly finishedAt?: string | undefined;
  /** When it was due; absent for a manual run. */
  readonly nominalTime?: string | undefined;
  /** Why it did not end with `ok`; absent otherwise. */
  readonly reason?: ScheduleRunReason | (string & {}) | undefined;
  /** Its run or workflow run; absent without one. */
  readonly runId?: string | undefined;
  /** Text of the error; absent without one. */
  readonly error?: string | undefined;
  /** Code of the error; absent without one. */
  readonly errorCode?: string | undefined;
}

export type ScheduleRunReason = "buffer-full" | "cancelled" | "catchup-latest" | "catchup-none" | "catchup-window-exceeded" | "disabled" | "halted" | "outside-start-end" | "overlap-skip" | "paused" | "policy-rejected" | "removed" | "superseded";

/**
 * Result of one run of a schedule.
 *
 * `status` is ok, failed, already-running, or running if the answer did not wait for the end. `reason` says why a run
 * failed for a cause outside of the schedule.
 */
export interface ScheduleRunResult {
  readonly status: ScheduleRunStatus | (string & {});
  /** Id of the schedule. */
  readonly id: string;
  /** Session of the run; null without one. */
  readonly sessionId: string | null;
  /** When it ran, or when it was refused. */
  readonly startedAt: string;
  /** When it ended; absent before that. */
  readonly finishedAt?: string | undefined;
  /** Text of the error; absent without one. */
  readonly error?: string | undefined;
  /** Code of the error; absent without one. */
  readonly errorCode?: string | undefined;
  /** Why it did not end with `ok`; absent otherwise. */
  readonly reason?: ScheduleRunReason | (string & {}) | undefined;
  /** Its run or workflow run; absent without one. */
  readonly runId?: string | undefined;
}

export type ScheduleRunStatus = "already-running" | "buffered" | "failed" | "ok" | "running" | "skipped";

/** A schedule as a client writes it. Times are ISO-8601 with an offset. */
export interface ScheduleSpec {
  readonly sessionId?: string | null | undefined;
  /** Text of the task. */
  readonly input?: string | null | undefined;
  /** Id of the directive; absent if there is none. */
  readonly directiveId?: string | null | undefined;
  readonly harnessProfileId?: string | null | undefined;
  /** Id of the run template; absent without one. */
  readonly runTemplateId?: string | null | undefined;
  /** Values of the parameters, by name. */
  readonly params?: Readonly<Record<string, string>> | null | undefined;
  /** Id of the workflow; absent without one. */
  readonly workflowId?: string | null | undefined;
  /** Interval in minutes. */
  readonly everyMinutes?: number | null | undefined;
  /** Cron expression with five fields, or a macro such as `@daily`. */
  readonly cron?: string | null | undefined;
  /** IANA time zone of `cron`; absent: UTC. */
  readonly timezone?: string | null | undefined;
  /** The only time, instead of an interval or cron. */
  readonly runAt?: string | null | undefined;
  /** No times before this. */
  readonly startAt?: string | null | undefined;
  /** No times after this. */
  readonly endAt?: string | null | undefined;
  /** Largest delay of a start, in seconds; the same for the same time. */
  readonly jitterSeconds?: number | null | undefined;
  /** What to do if a run is active when another is due; absent: `skip`. */
  readonly overlapPolicy?: OverlapPolicy | null | undefined;
  /** Which missed times run; absent: `latest`. */
  readonly catchUp?: CatchUp | null | undefined;
  /** How late a missed time may run, in seconds; absent: a year. */
  readonly catchUpWindowSeconds?: number | null | undefined;
  /** True: a failed run pauses the schedule. */
  readonly pauseOnFailure?: boolean | null | undefined;
  /** False switches it off. */
  readonly enabled?: boolean | null | undefined;
  /** True: the first run is now. */
  readonly startNow?: boolean | null | undefined;
  /** Whether it is paused. */
  readonly paused?: boolean | null | undefined;
  /** Reason, for auditors. */
  readonly note?: string | null | undefined;
}

/**
 * A schedule: its trigger, its target and its state.
 *
 * `nextRunAt` is null if no run is planned. `buffered` counts scheduled times that wait for a run to end. `revision`
 * counts writes. `input` is null if the target is a directive, and once redacted. `pausedBecause` is present while it
 * is paused. `redacted` is true if a text of it was erased.
 */
export interface ScheduledTask {
  /** Version of this shape. */
  readonly schemaVersion: number;
  readonly id: string;
  /** Session of its runs; null without one. */
  readonly sessionId: string | null;
  /** Text of the task; null if the target is another, and once redacted. */
  readonly input: string | null;
  /** False switches it off. */
  readonly enabled: boolean;
  /** Whether it is paused. */
  readonly paused: boolean;
  /** True while a run is active. */
  readonly running: boolean;
  /** What to do if a run is active when another is due; absent: `skip`. */
  readonly overlapPolicy: OverlapPolicy | (string & {});
  /** Which missed times run; absent: `latest`. */
  readonly catchUp: CatchUp | (string & {});
  /** How late a missed time may run, in seconds; absent: a year. */
  readonly catchUpWindowSeconds: number;
  /** True: a failed run pauses the schedule. */
  readonly pauseOnFailure: boolean;
  /** Largest delay of a start, in seconds; the same for the same time. */
  readonly jitterSeconds: number;
  /** Scheduled times that wait for a run to end. */
  readonly buffered: number;
  /** Number of writes. */
  readonly revision: number;
  /** When it was created. */
  readonly createdAt: string;
  /** When it last changed. */
  readonly updatedAt: string;
  /** Identity that changed it last. */
  readonly updatedBy: string;
  /** When it runs next; null if no run is planned. */
  readonly nextRunAt: string | null;
  /** When a run last completed; absent before one. */
  readonly lastRunAt?: string | undefined;
  /** Interval in minutes. */
  readonly everyMinutes?: number | undefined;
  /** Cron expression with five fields, or a macro such as `@daily`. */
  readonly cron?: string | undefined;
  /** IANA time zone of `cron`; absent: UTC. */
  readonly timezone?: string | undefined;
  /** The only time, instead of an interval or cron. */
  readonly runAt?: string | undefined;
  /** No times before this. */
  readonly startAt?: string | undefined;
  /** No times after this. */
  readonly endAt?: string | undefined;
  /** Id of the directive; absent if there is none. */
  readonly directiveId?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  /** Id of the run template; absent without one. */
  readonly runTemplateId?: string | undefined;
  /** Values of the template's parameters; absent without them. */
  readonly params?: Readonly<Record<string, string>> | undefined;
  /** Id of the workflow; absent without one. */
  readonly workflowId?: string | undefined;
  /** Reason of the last pause or resume; absent without one. */
  readonly note?: string | undefined;
  /** Why it is paused; absent if it is not. */
  readonly pausedBecause?: SchedulePause | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface ScheduledTaskPage {
  /** Items of this page. */
  readonly items: readonly ScheduledTask[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/** The last anchor that this server has sent to a destination since it started. */
export interface SentAnchor {
  /** Kind of the destination. */
  readonly kind: SentAnchorKind | (string & {});
  /** Position of the anchor. */
  readonly position: number;
}

export type SentAnchorKind = "athena" | "file" | "git" | "http";

/**
 * The request of one turn of a run to a model.
 *
 * `call` is absent if no answer is recorded: then the request may be under way, or was never answered. `withheld` is
 * true if the scope of the caller hides some of the messages: recalled notes, referenced files, and the history of a
 * session of which it covers only some runs. `schema` is the JSON Schema that the answer must match. `tools` are the
 * tools of the run's MCP servers as they were accepted then, and the tools of this release. `erasedTools` are tools
 * whose descriptions were erased since.
 */
export interface SentRequest {
  readonly runId: string;
  /** Number of the turn, from 1. */
  readonly turn: number;
  /** Number of turns that are recorded. */
  readonly turns: number;
  /** The messages in their order. */
  readonly messages: readonly ModelMessage[];
  /** How the messages were made to fit. */
  readonly context: ContextMeta;
  /** The tools that the model may call, as they are described to it. */
  readonly tools?: readonly ToolSpec[] | undefined;
  /** The call that answered the turn; absent if none is recorded. */
  readonly call?: RecordedCall | undefined;
  /** JSON Schema that the answer must match; absent without one. */
  readonly schema?: Readonly<Record<string, unknown>> | undefined;
  /** True if the scope of the caller hides some of the messages; absent otherwise. */
  readonly withheld?: boolean | undefined;
  /** Tools whose descriptions were erased since; absent if there are none. */
  readonly erasedTools?: readonly string[] | undefined;
}

/**
 * The counts of each interval, oldest first, and their total. Counts that are all 0 are absent.
 *
 * The model of an outcome is the one that the run asked for, and the model of a call the one that answered. A
 * percentile is null in an interval in which no run completed.
 */
export interface SeriesLine {
  /** Counts of the whole time. */
  readonly total: SeriesTotal;
  /** Model, id of the profile, or error code; absent in `all` and `other`. */
  readonly name?: string | undefined;
  /** Runs that were admitted in each interval; absent if 0. */
  readonly started?: readonly number[] | undefined;
  /** Runs that completed in each interval; absent if 0. */
  readonly completed?: readonly number[] | undefined;
  /** Runs that failed in each interval; absent if 0. */
  readonly failed?: readonly number[] | undefined;
  /** Runs that were cancelled in each interval; absent if 0. */
  readonly cancelled?: readonly number[] | undefined;
  /** Runs that timed out in each interval; absent if 0. */
  readonly timedOut?: readonly number[] | undefined;
  /** Runs that crashed in each interval; absent if 0. */
  readonly crashed?: readonly number[] | undefined;
  /** Runs that the policy rejected in each interval; absent if 0. */
  readonly rejected?: readonly number[] | undefined;
  /** Model calls in each interval; absent if 0. */
  readonly calls?: readonly number[] | undefined;
  /** Input tokens in each interval; absent if 0. */
  readonly inputTokens?: readonly number[] | undefined;
  /** Output tokens in each interval; absent if 0. */
  readonly outputTokens?: readonly number[] | undefined;
  /** Cost in each interval, in millionths of a dollar; absent if 0. */
  readonly costMicroUsd?: readonly number[] | undefined;
  /** Median duration of the runs that completed in each interval, or null; absent without any. */
  readonly p50Ms?: readonly (number | null)[] | undefined;
  /** 95th percentile of these durations, or null; absent without any. */
  readonly p95Ms?: readonly (number | null)[] | undefined;
}

/** Counts of the whole window. Percentiles are of the runs that completed, at most an eighth too high. */
export interface SeriesTotal {
  /** Runs that were admitted. */
  readonly started: number;
  /** Number that completed. */
  readonly completed: number;
  /** Runs that failed. */
  readonly failed: number;
  /** Number that were cancelled. */
  readonly cancelled: number;
  /** Number that timed out. */
  readonly timedOut: number;
  /** Number that crashed. */
  readonly crashed: number;
  /** Runs that the policy rejected. */
  readonly rejected: number;
  /** Model calls. */
  readonly calls: number;
  /** Input tokens, with cached ones; absent if unknown. */
  readonly inputTokens: number;
  /** Output tokens, with reasoning ones; absent if unknown. */
  readonly outputTokens: number;
  /** Cost, in millionths of a dollar. */
  readonly costMicroUsd: number;
  /** Median time in milliseconds; absent without runs. */
  readonly p50Ms?: number | undefined;
  /** 95th percentile in milliseconds; absent without runs. */
  readonly p95Ms?: number | undefined;
}

/** A session: a sequence of runs with one transcript. `transcriptPath` is a label, not a file. */
export interface Session {
  readonly id: string;
  /** Version of this shape. */
  readonly schemaVersion: number;
  /** Label of the transcript. No file has this path. */
  readonly transcriptPath: string;
  /** When it was created. */
  readonly createdAt: string;
  /** When it last changed. */
  readonly updatedAt: string;
  /** Model of the last run; absent before one. */
  readonly model?: string | undefined;
  /** Provider of the last run; absent before one. */
  readonly provider?: string | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface SessionPage {
  /** Items of this page. */
  readonly items: readonly Session[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/** Consumption of the runs of a session. */
export interface SessionSpend {
  /** Cost in dollars, by the price table. */
  readonly estimatedSpendUsd: number;
  /** Input tokens, with cached ones; absent if unknown. */
  readonly inputTokens: number;
  /** Output tokens, with reasoning ones; absent if unknown. */
  readonly outputTokens: number;
  /** Input and output tokens; absent if unknown. */
  readonly totalTokens: number;
  readonly sessionId: string;
}

export type SessionStrategy = "enqueue" | "interrupt" | "reject";

/** Commands that begin with these words. */
export interface ShellMatch {
  /** First words of the command. */
  readonly command: readonly string[];
}

/**
 * The commands that tool `shell` may start. Each one is a prefix of the command line, word by word.
 *
 * `directory` is relative to the workspace. The limits apply to one call. The first of `rules` that matches a command
 * decides whether it needs approval, else `approval` does.
 */
export interface ShellPolicy {
  /** `allow` (the default), `ask` a person before a call, or `deny`. */
  readonly approval?: ShellPolicyApproval | (string & {}) | undefined;
  /** Allowed commands, each as a prefix of words. */
  readonly commands: readonly (readonly string[])[];
  /** Directory in the workspace; absent: its root. */
  readonly directory?: string | undefined;
  /** Timeout in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Largest output of a call, in bytes. */
  readonly outputBytesMax?: number | undefined;
  /** Approval of some calls; the first that matches decides. */
  readonly rules?: readonly ShellRule[] | undefined;
}

export type ShellPolicyApproval = "allow" | "ask" | "deny";

/** The approval of the commands that match. */
export interface ShellRule {
  /** Calls that the rule is about. */
  readonly match: ShellMatch;
  /** `allow` (the default), `ask` a person before a call, or `deny`. */
  readonly approval: ShellRuleApproval | (string & {});
}

export type ShellRuleApproval = "allow" | "ask" | "deny";

/**
 * A policy to simulate, and the start: an ISO-8601 time, a position or an event id; absent, 24 hours ago.
 *
 * `runId` requests the result of one run, which may be a refused one.
 */
export interface SimulateBody {
  /** Policy to simulate. */
  readonly policy: PolicyInput;
  /** Time, position or event id; absent: 24 hours ago. */
  readonly since?: string | null | undefined;
  /** Run to report on. */
  readonly runId?: string | null | undefined;
}

/** The outcome of one request, recorded and simulated: the reason of a refusal, and whether it would wait. */
export interface SimulatedOutcome {
  readonly runId: string;
  /** True if it would wait. */
  readonly waited: boolean;
  /** Rule that refused it; absent if admitted. */
  readonly recorded?: string | undefined;
  /** Rule that would refuse it; absent if admitted. */
  readonly simulated?: string | undefined;
}

/**
 * The requests since a position, as they were decided and as another policy would have decided them.
 *
 * `truncated` is true above 10,000 requests or 500,000 events; `to` is the last position that was read. `estimated`
 * counts runs that never ran and now would, with the time and cost of similar runs. `waited` counts runs that the other
 * policy would have queued. `paused` counts runs that its daily budget would have paused; they stay paused.
 * `notSimulated` names what stays as recorded. `policyVersion` is the policy in force, for the `If-Match` of an update.
 * `run` is present if a run was asked for and is among them.
 */
export interface Simulation {
  /** First position. */
  readonly since: number;
  /** Last position that was read. */
  readonly to: number;
  /** True if there are more events. */
  readonly truncated: boolean;
  /** Requests that were simulated. */
  readonly requests: number;
  /** Totals as the requests were decided. */
  readonly recorded: RequestCounts;
  /** Totals as the simulated policy decides. */
  readonly simulated: RequestCounts;
  /** Runs that would wait. */
  readonly waited: number;
  /** Runs that the daily budget would pause. */
  readonly paused: number;
  /** Runs that would be refused now. */
  readonly newlyRejected: OutcomeChange;
  /** Runs that would be admitted now. */
  readonly newlyAllowed: OutcomeChange;
  /** Runs with an estimated time and cost. */
  readonly estimated: number;
  /** What stays as recorded. */
  readonly notSimulated: readonly (SimulationLimit | (string & {}))[];
  /** Version of the policy in force, for the `If-Match` of an update. */
  readonly policyVersion?: number | undefined;
  /** Outcome of the run asked for; absent without one. */
  readonly run?: SimulatedOutcome | undefined;
}

export type SimulationLimit = "asks" | "attempts" | "callers" | "children" | "pauses" | "retries" | "strategies" | "timeouts";

/** A step of a workflow: a directive with the profile that runs it, or an approval. */
export interface Step {
  readonly id: string;
  /** Id of the directive; absent if there is none. */
  readonly directiveId?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  /** Names of the outputs. */
  readonly outputs?: readonly string[] | undefined;
  /** Attempts and timeout of the step. */
  readonly execution?: StepExecution | undefined;
  /** When the step starts; absent: `all-succeeded`. */
  readonly triggerRule?: TriggerRule | (string & {}) | undefined;
  /** Condition of the step; absent: none. */
  readonly when?: Condition | undefined;
  /** List for whose items the step runs. */
  readonly map?: MapOver | undefined;
  readonly approval?: Approval | undefined;
}

/** The execution of a step: attempts, milliseconds for each attempt, and metadata of its runs. */
export interface StepExecution {
  /** Most attempts of the step. */
  readonly maxAttempts?: number | undefined;
  /** Timeout of an attempt in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Names and values of the client. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** State of one item of a mapped step. */
export interface StepItem {
  /** Number of the item, from 0. */
  readonly item: number;
  readonly status: StepItemStatus | (string & {});
  /** Number of the attempt, from 1; 0 before the first. */
  readonly attempt: number;
  /** Its last run; absent before one. */
  readonly runId?: string | undefined;
  /** Error, as `CODE: text`; absent without one. */
  readonly error?: string | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface StepItemPage {
  /** Items of this page. */
  readonly items: readonly StepItem[];
  /** Cursor of the next page; absent on the last. */
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
  /** Id of the step in the graph of the workflow. */
  readonly stepId: string;
  readonly status: StepStatus | (string & {});
  /** Number of the attempt, from 1; 0 before the first. */
  readonly attempt: number;
  /** True if nothing blocks the step. */
  readonly ready: boolean;
  /** State of its dependencies. */
  readonly dependencyReadiness: DependencyReadiness;
  /** When it last changed. */
  readonly updatedAt: string;
  /** Last attempt; absent before one. */
  readonly checkpoint?: Checkpoint | undefined;
  /** Its last run; absent before one. */
  readonly runId?: string | undefined;
  /** Why it was skipped or who decided; absent otherwise. */
  readonly note?: string | undefined;
  /** First items; absent without `map`. */
  readonly items?: readonly StepItem[] | undefined;
  /** Number of items by kind. */
  readonly itemCounts?: ItemCounts | undefined;
  /** True if more items exist; else absent. */
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
  /** Text with placeholders such as `{{name}}`. */
  readonly directiveTemplate: string;
  /** Values of parameters that a run does not give. */
  readonly defaultParams: Readonly<Record<string, unknown>>;
  /** JSON Schema of the parameters; absent: all are strings. */
  readonly paramsSchema?: Readonly<Record<string, unknown>> | null | undefined;
  /** Name for people. */
  readonly displayName?: string | null | undefined;
}

/** The template version and parameters from which a run was started. */
export interface TemplateUse {
  readonly id: string;
  /** Version number, from 1. */
  readonly version: number;
  readonly harnessProfileId: string;
  /** Parameters with the defaults of the template. */
  readonly effectiveParams: Readonly<Record<string, unknown>>;
}

/** The template version that a run was started from. */
export interface TemplateVersion {
  readonly id: string;
  /** Version number, from 1. */
  readonly version: number;
}

/** Text content of evidence. */
export interface TextContent {
  /** Text. */
  readonly kind: "text";
  readonly text: string;
}

/** A place that may still hold erased text: why, and how to remove it. */
export interface TextTrace {
  /** Where the text may remain. */
  readonly place: string;
  /** Why it may remain. */
  readonly reason: string;
  /** What to do. */
  readonly remedy: string;
}

/** Overrides for the runs of a tick. `at` replaces the current time (ISO-8601 with an offset). */
export interface TickBody {
  /** Name of the provider. */
  readonly provider?: string | null | undefined;
  /** Name of the model. */
  readonly model?: string | null | undefined;
  /** Time to use instead of now. */
  readonly at?: string | null | undefined;
}

/** Result of a tick: the runs that it started, and the number of schedules that it skipped. */
export interface TickResult {
  /** Time of the tick. */
  readonly at: string;
  /** Runs that it started. */
  readonly run: readonly ScheduleRunResult[];
  /** Number that were skipped. */
  readonly skipped: number;
}

/**
 * An API token or a console session, without its secret. A session is a token with `parentId`.
 *
 * `role` is the highest role that its requests may have. `parentId` is the token that logged in, or names
 * `ATHENA_AUTH_API_TOKEN` by its fingerprint. `lastUsedAt` is exact to a minute. A token with `redacted` lost its note.
 */
export interface Token {
  /** Id of the token or session. */
  readonly tokenId: string;
  /** A token, or a session of the console. */
  readonly kind: TokenKind | (string & {});
  readonly status: TokenStatus | (string & {});
  /** Identity of its requests. */
  readonly identity: string;
  /** Highest role of its requests. */
  readonly role: Role | (string & {});
  /** Identity that created it. */
  readonly createdBy: string;
  /** When it was created. */
  readonly createdAt: string;
  /** When it expires. */
  readonly expiresAt: string;
  /** Names that it may concern, by kind; absent: all. */
  readonly scope?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Note of the Admin who created it; absent once redacted. */
  readonly note?: string | undefined;
  /** Token that opened the session; absent for a token. */
  readonly parentId?: string | undefined;
  /** When it was revoked; absent while it is not. */
  readonly revokedAt?: string | undefined;
  /** Identity that revoked it; absent otherwise. */
  readonly revokedBy?: string | undefined;
  /** When it was last used, exact to a minute; absent before that. */
  readonly lastUsedAt?: string | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** A new token: its identity, its highest role, its scope, and its age in milliseconds (90 days by default). */
export interface TokenBody {
  /** Identity of its requests. */
  readonly identity: string;
  /** Highest role of its requests; at most the identity's role. */
  readonly role: TokenRole;
  /** Names that it may concern, by kind; absent: all. */
  readonly scope?: TokenScopeBody | null | undefined;
  /** Milliseconds until it expires; 90 days by default. */
  readonly expiresAfterMs?: number | null | undefined;
  /** Purpose of the token. */
  readonly note?: string | null | undefined;
}

export type TokenKind = "session" | "token";

/** Tokens of all calls. Ratios are shares of the sum of input and output tokens, 0 to 1. */
export interface TokenMix {
  /** Input tokens, with cached ones; absent if unknown. */
  readonly inputTokens: number;
  /** Output tokens, with reasoning ones; absent if unknown. */
  readonly outputTokens: number;
  /** Input and output tokens; absent if unknown. */
  readonly totalTokens: number;
  /** Share of input tokens, 0 to 1. */
  readonly inputRatio: number;
  /** Share of output tokens, 0 to 1. */
  readonly outputRatio: number;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface TokenPage {
  /** Items of this page. */
  readonly items: readonly Token[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type TokenRole = "Admin" | "Operator" | "Viewer";

/** The sessions, runs and personas that a token is restricted to. All kinds must match. */
export interface TokenScopeBody {
  /** Sessions that it may concern; absent: all. */
  readonly sessions?: readonly string[] | null | undefined;
  /** Runs that it may concern; absent: all. */
  readonly runs?: readonly string[] | null | undefined;
  /** Personas that it may concern; absent: all. */
  readonly personas?: readonly string[] | null | undefined;
}

export type TokenStatus = "active" | "expired" | "revoked";

/** A tool call requested by a model. `arguments` is JSON as the model wrote it, possibly malformed. */
export interface ToolCall {
  /** Id of the call. */
  readonly id: string;
  /** Name of the tool. */
  readonly name: string;
  /** Arguments as the model wrote them, as JSON text. */
  readonly arguments: string;
}

/** The rules of the tools. Without them `shell` starts nothing, `files` only reads, and nothing is asked. */
export interface ToolPolicies {
  /** Rules of tool `shell`. */
  readonly shell?: ShellPolicy | undefined;
  /** Rules of tool `http`. */
  readonly http?: HttpPolicy | undefined;
  /** Rules of tool `files`. */
  readonly files?: FilesPolicy | undefined;
  /** Rules of tool `memory`. */
  readonly memory?: ToolPolicy | undefined;
  /** Rules of tool `evidence`. */
  readonly evidence?: ToolPolicy | undefined;
}

/** The approval of a tool's calls; `allow` by default. */
export interface ToolPolicy {
  /** `allow` (the default), `ask` a person before a call, or `deny`. */
  readonly approval?: ToolPolicyApproval | (string & {}) | undefined;
}

export type ToolPolicyApproval = "allow" | "ask" | "deny";

/** A tool as it is described to a model. `parameters` is the JSON Schema of an object. */
export interface ToolSpec {
  /** Name of the tool. */
  readonly name: string;
  /** What the tool does. */
  readonly description: string;
  /** JSON Schema of its arguments. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/**
 * The text since the last delta, from character `offset` of its turn on.
 *
 * A `reset` has no text: the client discards what it showed of the turn. An `activity` has no text either: it replaces
 * the one before. After the last entry of a run that ended or is paused, one delta without text is `settled`; its turn
 * is 0.
 */
export interface TranscriptDelta {
  readonly runId: string;
  /** Number of the model call, from 1. */
  readonly turn: number;
  /** First character of this text in its turn. */
  readonly offset?: number | undefined;
  /** Text to append; absent with `reset` and `activity`. */
  readonly text?: string | undefined;
  /** True: discard the text of this turn. */
  readonly reset?: boolean | undefined;
  /** True if the log has all text of the turn. */
  readonly settled?: boolean | undefined;
  /** Replaces the activity before; absent if unchanged. */
  readonly activity?: AgentActivity | undefined;
}

/**
 * A transcript entry. It is `provisional` until its run ends; then `runStatus` is the outcome of the run.
 *
 * `partial`: the model had not finished when the run ended or paused; later runs do not get it as context. `content` is
 * null once redacted; then `redacted` is true. An `ask` and its `answer` name each other by `metadata.askId`.
 */
export interface TranscriptEntry {
  readonly id: string;
  /** Author of the entry. */
  readonly role: TranscriptRole | (string & {});
  /** Text; null once redacted. */
  readonly content: string | null;
  /** Kind of the entry. */
  readonly kind: TranscriptKind | (string & {});
  /** Facts about the entry, such as `truncated`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** When it was created. */
  readonly createdAt: string;
  readonly runId: string;
  /** Id of the tool call; absent without one. */
  readonly toolCallId?: string | undefined;
  /** Name of the tool; absent without one. */
  readonly toolName?: string | undefined;
  /** True if the tool failed or the call was refused; else absent. */
  readonly isError?: boolean | undefined;
  /** True until the run of the entry ends; then absent. */
  readonly provisional?: boolean | undefined;
  /** How its run ended; absent before that. */
  readonly runStatus?: RunEndStatus | (string & {}) | undefined;
  /** True if the model had not finished when the run was cut off; else absent. */
  readonly partial?: boolean | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface TranscriptEntryPage {
  /** Items of this page. */
  readonly items: readonly TranscriptEntry[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type TranscriptKind = "answer" | "ask" | "message" | "tool-call" | "tool-result";

export type TranscriptRole = "assistant" | "system" | "tool" | "user";

export type TriggerRule = "all-done" | "all-succeeded" | "one-failed";

/** Result of a change: `updated` is false if nothing changed, and `schedule` is absent if there is none. */
export interface UpdatedSchedule {
  readonly id: string;
  /** False if it already was in this state. */
  readonly updated: boolean;
  /** The schedule; absent if it does not exist. */
  readonly schedule?: ScheduledTask | undefined;
}

/**
 * The tokens that a model call used (the mock provider counts characters).
 *
 * `inputTokens` includes cached and cache-writing tokens, `outputTokens` includes reasoning tokens.
 */
export interface Usage {
  /** Input tokens, with cached ones; absent if unknown. */
  readonly inputTokens?: number | undefined;
  /** Output tokens, with reasoning ones; absent if unknown. */
  readonly outputTokens?: number | undefined;
  /** Input and output tokens; absent if unknown. */
  readonly totalTokens?: number | undefined;
  /** Input tokens read from a cache; absent if unknown. */
  readonly cachedInputTokens?: number | undefined;
  /** Input tokens that were written to a cache; absent if unknown. */
  readonly cacheWriteTokens?: number | undefined;
  /** Output tokens of reasoning; absent if unknown. */
  readonly reasoningTokens?: number | undefined;
}

/** A verification policy that the run did not meet. */
export interface VerificationFailure {
  /** Id of the verification policy. */
  readonly policyId: string;
  /** Kind of the policy. */
  readonly kind: VerificationKind | (string & {});
  /** Text for people. */
  readonly message: string;
  /** Names and values, such as an exit code. */
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
  /** What it checks. */
  readonly kind: VerificationKind | (string & {});
  /** Label of the evidence. */
  readonly label: string;
  /** Type that the evidence must have; absent: any. */
  readonly evidenceType?: EvidenceType | (string & {}) | undefined;
  /** Command and arguments that must exit with 0. */
  readonly command?: readonly string[] | undefined;
  /** JSON Schema that the output must match. */
  readonly schema?: Readonly<Record<string, unknown>> | undefined;
  /** Text that the output must contain. */
  readonly contains?: string | undefined;
}

export type VerificationStatus = "passed" | "verification-failed";

/** SHA-256 of the rows of a view at a position. Servers with the same log have the same digest. */
export interface ViewDigest {
  /** Position that the rows reflect. */
  readonly position: number;
  /** Number of rows. */
  readonly rows: number;
  /** SHA-256 of the rows in hex. */
  readonly sha256: string;
}

/** Digests of the views that serve reads, all taken at one moment. */
export interface ViewDigests {
  /** File of the views that serve reads. */
  readonly generation: string | null;
  /** Digest of each view, by name. */
  readonly views: Readonly<Record<string, ViewDigest>>;
}

export type WaitReason = "agent-memory" | "ask" | "concurrency" | "executor" | "halted" | "key-limit" | "session-busy";

/**
 * A drain of a queue. `status` is `running`, `ok` or `failed`.
 *
 * `automatic` is true if a message started it.
 */
export interface WorkDrain {
  readonly drainId: string;
  readonly sessionId: string;
  readonly status: WorkDrainStatus | (string & {});
  /** Identity that requested it. */
  readonly requestedBy: string;
  /** True if a message started it. */
  readonly automatic: boolean;
  /** When it started. */
  readonly startedAt: string;
  /** Waiting items at the start. */
  readonly queueDepthBefore: number;
  /** Items done. */
  readonly drainedItems: number;
  /** Waiting items at the end; absent before that. */
  readonly queueDepthAfter?: number | undefined;
  /** When it ended; absent before that. */
  readonly finishedAt?: string | undefined;
  /** Name of the provider. */
  readonly provider?: string | undefined;
  /** Name of the model. */
  readonly model?: string | undefined;
  /** Its last run; absent before one. */
  readonly runId?: string | undefined;
  /** Why it stopped; absent otherwise. */
  readonly error?: DrainError | undefined;
}

export type WorkDrainStatus = "failed" | "ok" | "running";

/**
 * A waiting work item. `payload` is null once redacted. `runId` is present while a run processes it.
 *
 * `redacted` is true if its text was erased.
 */
export interface WorkItem {
  readonly id: string;
  readonly sessionId: string;
  /** Text of the work; null once redacted. */
  readonly payload: string | null;
  /** `followup`: a run of its own. `collect`: consecutive items share one run. */
  readonly mode: QueueMode | (string & {});
  /** When it was created. */
  readonly createdAt: string;
  /** Number of runs that processed it. */
  readonly attempts: number;
  /** Run that processes it; absent while it waits. */
  readonly runId?: string | undefined;
  /** Id of the message; absent if it is not from one. */
  readonly messageId?: string | undefined;
  /** The dead letter that it became or came from. */
  readonly deadLetterId?: string | undefined;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** The work queue of a session, oldest item first. `items` is a page of the items that `itemCounts` counts. */
export interface WorkQueueState {
  /** Version of this shape. */
  readonly schemaVersion: number;
  readonly sessionId: string;
  /** Items of this page. */
  readonly items: readonly WorkItem[];
  /** Number of items by kind. */
  readonly itemCounts: QueueCounts;
  /** True while a drain runs. */
  readonly draining: boolean;
  /** When it last changed. */
  readonly updatedAt: string;
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/** The queue of a session with waiting items, in a list. `drainId` is present while a drain runs. */
export interface WorkQueueSummary {
  readonly sessionId: string;
  /** Number of waiting items. */
  readonly itemCount: number;
  /** When the oldest item was enqueued. */
  readonly oldestItemSince: string;
  /** When it last changed. */
  readonly updatedAt: string;
  /** The drain that runs; else absent. */
  readonly drainId?: string | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface WorkQueueSummaryPage {
  /** Items of this page. */
  readonly items: readonly WorkQueueSummary[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/**
 * A process attached to the log: a server, a worker, or a command that runs without a server.
 *
 * `concurrency` is the number of runs that it executes at a time (0: none), and `providers` lists the providers that it
 * can use. `running` is the number of runs that it is executing now. A worker that is `lost` no longer holds its lock,
 * and other workers take over its runs. `problems` lists the background loops that were failing at its last heartbeat.
 * `agents` lists the outside agents that are registered there, unless they are not known.
 */
export interface Worker {
  readonly id: string;
  /** What the process does. */
  readonly kind: WorkerKind | (string & {});
  /** `lost`: others take over its runs. */
  readonly status: WorkerStatus | (string & {});
  /** Host that it runs on. */
  readonly host: string;
  /** Process id on its host. */
  readonly pid: number;
  /** Providers that it can use. */
  readonly providers: readonly string[];
  /** Runs that it executes at a time; 0: none. */
  readonly concurrency: number;
  /** Runs that it executes now. */
  readonly running: number;
  /** When it started. */
  readonly since: string;
  /** When it last reported. */
  readonly heartbeat: string;
  /** Background loops that are failing. */
  readonly problems: readonly BackgroundProblem[];
  /** Outside agents that are registered there; absent without one, or if they are not known. */
  readonly agents?: readonly string[] | undefined;
}

export type WorkerKind = "command" | "server" | "worker";

export type WorkerStatus = "alive" | "lost";

/** The processes attached to the log, oldest first. */
export interface Workers {
  /** The processes, oldest first. */
  readonly items: readonly Worker[];
}

/** A workflow: a graph of steps. `redacted` is true if the metadata of its steps was erased. */
export interface Workflow {
  readonly id: string;
  /** Steps and dependencies. */
  readonly definition: WorkflowDefinition;
  /** When it was created. */
  readonly createdAt: string;
  /** Identity that created it. */
  readonly createdBy: string;
  /** True if the content was erased; else absent. */
  readonly redacted?: boolean | undefined;
}

/** The definition of a workflow. */
export interface WorkflowBody {
  /** Steps and dependencies. */
  readonly definition: WorkflowDefinition;
}

/** The steps of a workflow and their dependencies. */
export interface WorkflowDefinition {
  /** Steps, in order. */
  readonly steps: readonly Step[];
  /** Edges of the graph. */
  readonly dependencies: readonly Dependency[];
}

/** A line of the log of a workflow run. */
export interface WorkflowLogLine {
  readonly id: string;
  /** Level of the line. */
  readonly level: WorkflowLogLineLevel | (string & {});
  /** Text for people. */
  readonly message: string;
  /** When it was created. */
  readonly createdAt: string;
  /** Id of the step; absent without one. */
  readonly stepId?: string | undefined;
}

export type WorkflowLogLineLevel = "error" | "info";

/** Part of a list. `nextCursor` is present if more follows. */
export interface WorkflowPage {
  /** Items of this page. */
  readonly items: readonly Workflow[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/** The number of steps by status, and the percentage of steps that are finished. */
export interface WorkflowProgress {
  /** Number of steps. */
  readonly totalSteps: number;
  /** Steps that are ok. */
  readonly completedSteps: number;
  /** Steps that are running. */
  readonly runningSteps: number;
  /** Steps that failed or were cancelled. */
  readonly failedSteps: number;
  /** Steps that are pending. */
  readonly pendingSteps: number;
  /** Steps that were skipped. */
  readonly skippedSteps: number;
  /** Steps that wait for an approval. */
  readonly waitingSteps: number;
  /** Share of steps that are ok or skipped, 0 to 100. */
  readonly percentComplete: number;
}

/**
 * A run of a workflow.
 *
 * With `executionLogTruncated` the log has the newest lines only. All events of the run are in the feed.
 */
export interface WorkflowRun {
  /** Version of this shape. */
  readonly schemaVersion: number;
  readonly id: string;
  /** Id of the workflow; absent without one. */
  readonly workflowId: string;
  readonly status: WorkflowRunStatus | (string & {});
  /** Ids of the steps, in the order of the definition. */
  readonly stepOrder: readonly string[];
  /** State of each step, by id. */
  readonly stepStates: Readonly<Record<string, StepState>>;
  /** Log of the run, oldest line first. */
  readonly executionLog: readonly WorkflowLogLine[];
  /** When it was created. */
  readonly createdAt: string;
  /** When it last changed. */
  readonly updatedAt: string;
  /** Identity that requested it. */
  readonly requestedBy: string;
  /** Run that it was resumed from; absent otherwise. */
  readonly resumedFromRunId?: string | undefined;
  /** When it started; absent before that. */
  readonly startedAt?: string | undefined;
  /** When it ended; absent before that. */
  readonly finishedAt?: string | undefined;
  /** True if older lines are left out; else absent. */
  readonly executionLogTruncated?: boolean | undefined;
  /** What the resume would do; only in answers to a dry run. */
  readonly dryRun?: DryRun | undefined;
}

/** A workflow, with the state of a run. Without a run, `run` is null and the related fields are empty. */
export interface WorkflowRunDetails {
  /** The workflow that it runs. */
  readonly workflow: Workflow;
  /** The run; null without one. */
  readonly run: WorkflowRun | null;
  /** Steps in the order of the definition. */
  readonly nodes: readonly StepState[];
  /** Steps by status. */
  readonly progress: WorkflowProgress;
  /** Outputs of the steps. */
  readonly artifactRefs: readonly ArtifactRef[];
  /** Estimated end. */
  readonly eta: Eta;
}

export type WorkflowRunStatus = "cancelled" | "failed" | "ok" | "running" | "waiting";

/** A run of a workflow, in a list. */
export interface WorkflowRunSummary {
  readonly id: string;
  /** Id of the workflow; absent without one. */
  readonly workflowId: string;
  readonly status: WorkflowRunStatus | (string & {});
  /** When it was created. */
  readonly createdAt: string;
  /** When it last changed. */
  readonly updatedAt: string;
  /** Identity that requested it. */
  readonly requestedBy: string;
  /** Run that it was resumed from; absent otherwise. */
  readonly resumedFromRunId?: string | undefined;
  /** When it started; absent before that. */
  readonly startedAt?: string | undefined;
  /** When it ended; absent before that. */
  readonly finishedAt?: string | undefined;
}

/** Part of a list. `nextCursor` is present if more follows. */
export interface WorkflowRunSummaryPage {
  /** Items of this page. */
  readonly items: readonly WorkflowRunSummary[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

/**
 * The workspace of a session or of a workflow run: a directory tree in which its runs work.
 *
 * `commit` is the commit of a clone. A workspace with `keep` is not cleaned because it is unused. `runs` counts the
 * runs that worked in it. `cleanedBy` is absent if an age limit or an erasure cleaned it, as `cause` says. `sizeBytes`
 * is only in the record of one workspace, and only if its directory is on the server's machine.
 */
export interface WorkspaceRecord {
  readonly workspaceId: string;
  /** Owner: a session or a workflow run. */
  readonly kind: WorkspaceRecordKind | (string & {});
  /** Source of its first files. */
  readonly source: WorkspaceRecordSource | (string & {});
  readonly status: WorkspaceStatus | (string & {});
  /** True if it is kept though unused. */
  readonly keep: boolean;
  /** Number of runs that worked in it. */
  readonly runs: number;
  /** When it was created. */
  readonly createdAt: string;
  /** When a run last began or ended in it. */
  readonly lastUsedAt: string;
  /** Its session; absent for a workflow run. */
  readonly sessionId?: string | undefined;
  /** Id of the workflow run; absent for a session. */
  readonly workflowRunId?: string | undefined;
  /** Commit that it was cloned at; absent for another source. */
  readonly commit?: string | undefined;
  /** When it was cleaned; absent before. */
  readonly cleanedAt?: string | undefined;
  /** Identity that cleaned it; absent if it was not requested. */
  readonly cleanedBy?: string | undefined;
  /** Why it was cleaned; absent before. */
  readonly cause?: WorkspaceRecordCause | (string & {}) | undefined;
  /** Size on disk in bytes; absent in lists, and if this machine does not have it. */
  readonly sizeBytes?: number | undefined;
}

export type WorkspaceRecordCause = "erasure" | "policy" | "requested";

export type WorkspaceRecordKind = "session" | "workflow-run";

/** Part of a list. `nextCursor` is present if more follows. */
export interface WorkspaceRecordPage {
  /** Items of this page. */
  readonly items: readonly WorkspaceRecord[];
  /** Cursor of the next page; absent on the last. */
  readonly nextCursor?: string | undefined;
}

export type WorkspaceRecordSource = "clone" | "copy" | "empty";

export type WorkspaceStatus = "active" | "cleaned";
