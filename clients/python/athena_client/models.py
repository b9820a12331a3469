"""The values that the API takes and answers.

Generated from the API document by `python -m docs.generate`; do not edit.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An immutable value: camelCase in JSON, snake_case in Python. Unknown fields are ignored."""


def _variant(value: Any, tag: str, kinds: dict[str, type[Model]]) -> Any:
    """Return an object as the type that its tag names; as it is if a newer server sent another tag."""
    members: dict[str, Any] = value if isinstance(value, dict) else {}
    kind = kinds.get(str(members.get(tag)))
    return value if kind is None else msgspec.convert(members, kind)


if TYPE_CHECKING:
    ApprovalOnExpiry: TypeAlias = Literal["approve", "reject"] | str
    ApproverRole: TypeAlias = Literal["Admin", "Operator"] | str
    ArtifactKind: TypeAlias = Literal["run-result"] | str
    ArtifactRefKind: TypeAlias = Literal["run-result"] | str
    AuditKind: TypeAlias = (
        Literal[
            "anchor",
            "approval",
            "cancel",
            "clock",
            "dead-letter",
            "denial",
            "fork",
            "policy",
            "redaction",
            "rejection",
            "resume",
            "roles",
            "schedule",
            "server",
            "suppression",
        ]
        | str
    )
    AuthzMode: TypeAlias = Literal["enforce", "observe", "off", "soft-enforce"] | str
    BinaryContentKind: TypeAlias = Literal["binary"] | str
    CancelledStatus: TypeAlias = Literal["cancelled", "not-running"] | str
    CapabilitiesDurability: TypeAlias = Literal["fsync"] | str
    CapabilitiesExecutionBackend: TypeAlias = Literal["local"] | str
    CapabilitiesScheduler: TypeAlias = Literal["off", "on"] | str
    CapabilitiesStateStore: TypeAlias = Literal["postgres", "sqlite"] | str
    CatchUp: TypeAlias = Literal["all", "latest", "none"] | str
    ConditionOperator: TypeAlias = Literal["contains", "eq", "exists", "ge", "gt", "le", "lt", "ne"] | str
    ContextFileKind: TypeAlias = Literal["changed", "diff", "doc", "prompt", "skill", "workspace-doc"] | str
    ContextStepKind: TypeAlias = Literal["summary", "tool-result-truncation"] | str
    ContextStrategy: TypeAlias = Literal["raw", "summary"] | str
    CurrentWaitReason: TypeAlias = (
        Literal[
            "budget",
            "cancel",
            "concurrency",
            "daily-budget",
            "executor",
            "key-limit",
            "model",
            "session-busy",
            "tool",
            "unpriced-model",
        ]
        | str
    )
    DeadLetterReason: TypeAlias = (
        Literal["attempts-exhausted", "cancelled", "hop-limit", "not-allowed", "unknown-persona", "unrunnable"] | str
    )
    DeadLetterSource: TypeAlias = Literal["a2a", "work"] | str
    DeadLetterStatus: TypeAlias = Literal["discarded", "pending", "requeued"] | str
    DependencyInspectionStatus: TypeAlias = Literal["ok", "skipped"] | str
    DrainResultStatus: TypeAlias = Literal["already-draining", "ok"] | str
    EtaSource: TypeAlias = Literal["completed", "historical-average", "insufficient-history"] | str
    EvidenceContent: TypeAlias = "TextContent | JsonContent | BinaryContent | dict[str, Any]"
    EvidenceSource: TypeAlias = Literal["model", "tool", "verifier"] | str
    EvidenceType: TypeAlias = Literal["binary", "json", "text"] | str
    ExplainedRunStatus: TypeAlias = (
        Literal["cancelled", "completed", "crashed", "failed", "paused", "queued", "rejected", "running", "timed-out"]
        | str
    )
    FailureAction: TypeAlias = Literal["audit", "enforce"] | str
    FindingPriority: TypeAlias = Literal["P1", "P2", "P3"] | str
    HarnessProfileVersion: TypeAlias = Literal["v1", "v2"] | str
    HealthStatus: TypeAlias = Literal["degraded", "ok"] | str
    HttpMethod: TypeAlias = Literal["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"] | str
    JsonContentKind: TypeAlias = Literal["json"] | str
    LimitScope: TypeAlias = Literal["harness-profile", "provider", "session"] | str
    LimitStrategy: TypeAlias = Literal["enqueue", "reject"] | str
    MergeGate: TypeAlias = Literal["fail", "pass"] | str
    MessageStatus: TypeAlias = Literal["completed", "failed", "sent", "started"] | str
    OverlapPolicy: TypeAlias = (
        Literal["allow-all", "buffer-all", "buffer-latest", "buffer-one", "cancel-other", "skip", "terminate-other"]
        | str
    )
    PauseCause: TypeAlias = Literal["failure", "requested"] | str
    PauseReason: TypeAlias = Literal["budget", "daily-budget", "unpriced-model"] | str
    PersonaRunDetailsStatus: TypeAlias = Literal["failed", "ok", "running"] | str
    PersonaRunStatus: TypeAlias = Literal["failed", "ok", "running"] | str
    PolicyEngine: TypeAlias = Literal["athena", "kyverno"] | str
    PolicyRuleType: TypeAlias = Literal["concurrency", "generate", "mutate", "validate"] | str
    PolicyType: TypeAlias = Literal["CONCURRENCY", "COST"] | str
    QueueMode: TypeAlias = Literal["collect", "followup"] | str
    RedriveDecision: TypeAlias = Literal["failed", "requeued", "skipped"] | str
    RedriveStatus: TypeAlias = Literal["cancelled", "completed", "dry-run", "running"] | str
    RejectionReason: TypeAlias = (
        Literal[
            "daily-cost-budget-exceeded",
            "key-limit-exceeded",
            "lock-acquisition-failed",
            "max-concurrent-runs-exceeded",
            "unpriced-model",
        ]
        | str
    )
    ReviewResultBaseRefResolvedFrom: TypeAlias = Literal["flag", "main", "origin-head"] | str
    ReviewResultStatus: TypeAlias = Literal["failed", "ok"] | str
    Role: TypeAlias = Literal["Admin", "None", "Operator", "Viewer"] | str
    RunEndStatus: TypeAlias = Literal["cancelled", "completed", "crashed", "failed", "timed-out"] | str
    RunErrorRetryWith: TypeAlias = Literal["new-key", "same-key"] | str
    RunStatus: TypeAlias = (
        Literal["cancelled", "completed", "crashed", "failed", "paused", "queued", "running", "timed-out"] | str
    )
    ScheduleRunReason: TypeAlias = (
        Literal[
            "buffer-full",
            "cancelled",
            "catchup-latest",
            "catchup-none",
            "catchup-window-exceeded",
            "disabled",
            "outside-start-end",
            "overlap-skip",
            "paused",
            "policy-rejected",
            "removed",
            "superseded",
        ]
        | str
    )
    ScheduleRunStatus: TypeAlias = Literal["already-running", "buffered", "failed", "ok", "running", "skipped"] | str
    SessionStrategy: TypeAlias = Literal["enqueue", "interrupt", "reject"] | str
    SimulationLimit: TypeAlias = (
        Literal["attempts", "callers", "children", "pauses", "retries", "strategies", "timeouts"] | str
    )
    StepItemStatus: TypeAlias = Literal["cancelled", "failed", "ok", "pending", "running"] | str
    StepStatus: TypeAlias = Literal["cancelled", "failed", "ok", "pending", "running", "skipped", "waiting"] | str
    TextContentKind: TypeAlias = Literal["text"] | str
    TranscriptKind: TypeAlias = Literal["message", "tool-call", "tool-result"] | str
    TranscriptRole: TypeAlias = Literal["assistant", "system", "tool", "user"] | str
    TriggerRule: TypeAlias = Literal["all-done", "all-succeeded", "one-failed"] | str
    VerificationKind: TypeAlias = Literal["command", "contains", "json-schema", "require-evidence"] | str
    VerificationStatus: TypeAlias = Literal["passed", "verification-failed"] | str
    WaitReason: TypeAlias = Literal["concurrency", "executor", "key-limit", "session-busy"] | str
    WorkDrainStatus: TypeAlias = Literal["failed", "ok", "running"] | str
    WorkerKind: TypeAlias = Literal["command", "server", "worker"] | str
    WorkerStatus: TypeAlias = Literal["alive", "lost"] | str
    WorkflowLogLineLevel: TypeAlias = Literal["error", "info"] | str
    WorkflowRunStatus: TypeAlias = Literal["cancelled", "failed", "ok", "running", "waiting"] | str
else:  # a newer server may send others
    ApprovalOnExpiry = str
    ApproverRole = str
    ArtifactKind = str
    ArtifactRefKind = str
    AuditKind = str
    AuthzMode = str
    BinaryContentKind = str
    CancelledStatus = str
    CapabilitiesDurability = str
    CapabilitiesExecutionBackend = str
    CapabilitiesScheduler = str
    CapabilitiesStateStore = str
    CatchUp = str
    ConditionOperator = str
    ContextFileKind = str
    ContextStepKind = str
    ContextStrategy = str
    CurrentWaitReason = str
    DeadLetterReason = str
    DeadLetterSource = str
    DeadLetterStatus = str
    DependencyInspectionStatus = str
    DrainResultStatus = str
    EtaSource = str
    EvidenceContent = Any
    EvidenceSource = str
    EvidenceType = str
    ExplainedRunStatus = str
    FailureAction = str
    FindingPriority = str
    HarnessProfileVersion = str
    HealthStatus = str
    HttpMethod = str
    JsonContentKind = str
    LimitScope = str
    LimitStrategy = str
    MergeGate = str
    MessageStatus = str
    OverlapPolicy = str
    PauseCause = str
    PauseReason = str
    PersonaRunDetailsStatus = str
    PersonaRunStatus = str
    PolicyEngine = str
    PolicyRuleType = str
    PolicyType = str
    QueueMode = str
    RedriveDecision = str
    RedriveStatus = str
    RejectionReason = str
    ReviewResultBaseRefResolvedFrom = str
    ReviewResultStatus = str
    Role = str
    RunEndStatus = str
    RunErrorRetryWith = str
    RunStatus = str
    ScheduleRunReason = str
    ScheduleRunStatus = str
    SessionStrategy = str
    SimulationLimit = str
    StepItemStatus = str
    StepStatus = str
    TextContentKind = str
    TranscriptKind = str
    TranscriptRole = str
    TriggerRule = str
    VerificationKind = str
    VerificationStatus = str
    WaitReason = str
    WorkDrainStatus = str
    WorkerKind = str
    WorkerStatus = str
    WorkflowLogLineLevel = str
    WorkflowRunStatus = str


class AcceptedClock(Model, frozen=True, kw_only=True):
    """The machine's time, and how many milliseconds it was ahead of the server's (0: in step)."""

    clock: str
    ahead_ms: int


class ActiveRun(Model, frozen=True, kw_only=True):
    """An admitted run that has not ended and is not paused. `pid` is 0 until an executor takes it."""

    session_id: str
    pid: int
    started_at: datetime
    run_id: str
    trace_id: str


class AnchorReceipt(Model, frozen=True, kw_only=True):
    """An anchor of another log that is kept here. `from` is the identity that first sent it."""

    log_id: str
    position: int
    chain: str
    at: str
    from_: str


class AppliedRedriveFilter(Model, frozen=True, kw_only=True):
    """The filter of a redrive. Times are inclusive."""

    session_id: str | None = None
    source: str | None = None
    source_persona: str | None = None
    target_persona: str | None = None
    reason: str | None = None
    created_after: str | None = None
    created_before: str | None = None


class Approval(Model, frozen=True, kw_only=True):
    """A manual approval. Approvers need at least `role` and, if `approvers` is given, must be listed there.

    With `not_requester` the identities that started or resumed the workflow run cannot approve.
    """

    message: str | None = None
    approvers: list[str] | None = None
    role: ApproverRole | None = None
    expires_after_ms: int | None = None
    on_expiry: ApprovalOnExpiry | None = None
    not_requester: bool | None = None


class Artifact(Model, frozen=True, kw_only=True):
    """The output of a step, which is null once redacted.

    With `output_truncated` it is a preview, or a list of previews of the first items. The whole outputs are in the
    step's runs.
    """

    kind: ArtifactKind
    output: str | None
    provider: str
    model: str
    created_at: datetime
    output_truncated: bool | None = None


class ArtifactRef(Model, frozen=True, kw_only=True):
    """A reference to the output of a step."""

    step_id: str
    artifact_ref: str
    kind: ArtifactRefKind
    provider: str
    model: str
    created_at: datetime
    output_chars: int


class AuditEntry(Model, frozen=True, kw_only=True):
    """A change or an attempted change. `id` is the id of its event in the feed.

    `target` is the affected run, session, operation or document.
    """

    id: str
    created_at: datetime
    kind: AuditKind
    type: str
    actor: str
    trace_id: str
    target: str | None = None
    reason: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    details: dict[str, Any] | None = None
    session_id: str | None = None
    run_id: str | None = None


class AuthCapabilities(Model, frozen=True, kw_only=True):
    """Authentication and authorization of the server."""

    enabled: bool
    mode: AuthzMode
    identity_header: str


class BackgroundProblem(Model, frozen=True, kw_only=True):
    """A background loop that is failing: since when, its last error, and the number of failures since then."""

    loop: str
    since: str
    message: str
    count: int


class BinaryContent(Model, frozen=True, kw_only=True):
    """Binary content of evidence, in base64."""

    kind: BinaryContentKind
    base64: str


class Caller(Model, frozen=True, kw_only=True):
    """The identity of the caller, its role and the operations that the role allows. `scope` narrows them further."""

    identity: str
    role: Role
    operations: list[str]
    scope: dict[str, list[str]] | None = None


class CancelRequest(Model, frozen=True, kw_only=True):
    """A request to cancel a run that has not ended."""

    session_id: str
    requested_at: datetime
    run_id: str
    reason: str | None = None
    trace_id: str | None = None
    started_at: datetime | None = None


class Cancelled(Model, frozen=True, kw_only=True):
    """The answer to a cancel."""

    status: CancelledStatus
    run_id: str | None = None
    session_id: str | None = None


class Capabilities(Model, frozen=True, kw_only=True):
    """Features, providers, event types and limits of the server.

    `event_types` lists every event type that the server records. A browser needs the names, because `EventSource`
    delivers an event only to listeners of its type.
    """

    execution_backend: CapabilitiesExecutionBackend
    state_store: CapabilitiesStateStore
    supports_pods: bool
    supports_cpu_mem_metrics: bool
    supports_sandbox: bool
    supports_a2_abus: bool = msgspec.field(name="supportsA2ABus")
    version: str
    log_id: str
    durability: CapabilitiesDurability
    scheduler: CapabilitiesScheduler
    auth: AuthCapabilities
    providers: list[str]
    event_types: list[str]
    limits: LimitCapabilities


class Cause(Model, frozen=True, kw_only=True):
    """One event of the run, as a sentence.

    `after` is the run whose end admitted this one. It is absent if that run is outside of the caller's scope.
    `waited_ms` is how long the run had waited for this event.
    """

    event_id: str
    type: str
    at: str
    actor: str
    trace_id: str
    says: str
    caused_by: str | None = None
    turn: int | None = None
    waited_ms: int | None = None
    after: str | None = None


class ChangeShare(Model, frozen=True, kw_only=True):
    """The part of a change that falls on one session, profile, template or rule."""

    name: str
    runs: int
    cost_usd: float


class Checkpoint(Model, frozen=True, kw_only=True):
    """The last attempt of a step."""

    attempt: int
    started_at: datetime | None = None
    finished_at: datetime | None = None
    artifact: Artifact | None = None
    error: str | None = None


class Condition(Model, frozen=True, kw_only=True):
    """A condition on an earlier step's output. If it does not hold, the step is skipped.

    `path` is a JSON pointer into the output, which must be JSON. Without `path` the output is compared as text.
    """

    step: str
    op: ConditionOperator
    path: str | None = None
    value: Any = None


class ContextFile(Model, frozen=True, kw_only=True):
    """A file that the persona was shown."""

    path: str
    kind: ContextFileKind
    chars: int
    sha256: str
    truncated: bool


class ContextMeta(Model, frozen=True, kw_only=True):
    """Report of how the context of a run was compiled. Sizes are in characters."""

    initial_strategy: ContextStrategy
    final_strategy: ContextStrategy
    overflow_recovered: bool
    overflow_attempts: int
    initial_chars: int
    final_chars: int
    effective_max_chars: int
    steps: list[ContextStep]


class ContextStep(Model, frozen=True, kw_only=True):
    """An attempt to shrink a context, with the sizes before and after in characters."""

    kind: ContextStepKind
    applied: bool
    before_chars: int | None = None
    after_chars: int | None = None
    details: str | None = None


class CostSummary(Model, frozen=True, kw_only=True):
    """Consumption since the start of the month (UTC). Breakdowns have the 50 highest costs."""

    month: str
    window_start: str
    window_end: str
    total_estimated_spend_usd: float
    persona_breakdown: list[PersonaSpend]
    provider_breakdown: list[ProviderSpend]
    profile_breakdown: list[ProfileSpend]
    session_breakdown: list[SessionSpend]
    token_mix: TokenMix
    unpriced_calls: int
    today: DaySpend


class CurrentWait(Model, frozen=True, kw_only=True):
    """The one thing that a run waits for now, and since when."""

    reason: CurrentWaitReason
    since: str
    says: str
    position: int | None = None
    blocked_by: str | None = None
    turn: int | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class DaySpend(Model, frozen=True, kw_only=True):
    """Cost of the UTC day so far, the amount reserved by runs, and the daily budget of the policy, if any."""

    day: str
    spent_usd: float
    reserved_usd: float
    budget_usd: float | None = None


class DeadLetter(Model, frozen=True, kw_only=True):
    """Work that failed for good, and the decision about it.

    `retry_count` is the number of retries, including a requeue that has not run yet. `attempts` lists the errors,
    oldest first; `first_error` and `last_error` are its ends.

    `requeued_item_ids` or `requeued_message_id` name the work that a requeue created. `requeued_from` is the dead
    letter that this work was requeued from.
    """

    id: str
    created_at: datetime
    updated_at: datetime
    status: DeadLetterStatus
    payload: dict[str, Any]
    source: DeadLetterSource
    session_id: str
    reason: DeadLetterReason
    code: str
    error: str
    retry_count: int
    items: list[DeadLetterItem]
    attempts: list[DeadLetterError]
    first_error: DeadLetterError
    last_error: DeadLetterError
    source_persona: str | None = None
    target_persona: str | None = None
    message_id: str | None = None
    requeued_from: str | None = None
    requeued_item_ids: list[str] | None = None
    requeued_message_id: str | None = None
    decided_by: str | None = None
    audit_note: str | None = None
    redacted: bool | None = None


class DeadLetterError(Model, frozen=True, kw_only=True):
    """The error of an attempt. `run_id` is absent if there was no run."""

    code: str
    message: str
    at: str
    run_id: str | None = None


class DeadLetterItem(Model, frozen=True, kw_only=True):
    """A work item of a dead letter."""

    item_id: str
    mode: QueueMode
    chars: int


class DecidedDeadLetter(Model, frozen=True, kw_only=True):
    """A dead letter after a decision. `updated` is false if it was already in this state."""

    id: str
    status: DeadLetterStatus
    updated: bool
    item: DeadLetter


class Dependency(Model, frozen=True, kw_only=True):
    """An edge of the graph: `to` starts after `from`."""

    from_: str
    to: str
    mappings: list[OutputMapping] | None = None


class DependencyInspection(Model, frozen=True, kw_only=True):
    """The changes of dependencies."""

    status: DependencyInspectionStatus
    detected_ecosystem: str | None = None
    notes: str | None = None
    added_imports: list[str] | None = None
    changed_manifests: list[str] | None = None


class DependencyReadiness(Model, frozen=True, kw_only=True):
    """The number of dependencies of a step that are ok, and the ids of the others."""

    total_dependencies: int
    ready_dependencies: int
    blocking_step_ids: list[str]


class Directive(Model, frozen=True, kw_only=True):
    """A directive. `input` is null once redacted. `shadow` is true if a run created it from plain input."""

    id: str
    input: str | None
    created_at: datetime
    context_refs: list[str] | None = None
    metadata: dict[str, str] | None = None
    shadow: bool | None = None


class DrainError(Model, frozen=True, kw_only=True):
    """The error that stopped a drain."""

    code: str
    message: str


class DrainResult(Model, frozen=True, kw_only=True):
    """The result of a drain."""

    status: DrainResultStatus
    drained_items: int
    queue_depth_before: int
    queue_depth_after: int


class DryRun(Model, frozen=True, kw_only=True):
    """The effect of a resume: the steps that would restart, those that would be kept, or a new run."""

    resets: list[str]
    keeps: list[str]
    starts_new_run: bool


class Egress(Model, frozen=True, kw_only=True):
    """A host, and optionally a port, that tool `http` may reach."""

    host: str
    port: int | None = None


class Eta(Model, frozen=True, kw_only=True):
    """The estimated end of a run, from earlier durations of its steps, along the longest path."""

    computed_at: datetime
    source: EtaSource
    historical_sample_size: int
    estimated_remaining_ms: int | None = None
    estimated_completion_at: datetime | None = None
    remaining_ms: dict[str, int] | None = None
    held: EtaAccuracy | None = None


class EtaAccuracy(Model, frozen=True, kw_only=True):
    """The accuracy of estimates: the number of recent runs, and the share that ended within each quantile."""

    runs: int
    p50: float
    p80: float
    p95: float


class Evidence(Model, frozen=True, kw_only=True):
    """Evidence of a run with its content, which is null once redacted.

    `sha256` is the hash of the bytes of `content_salt` and the content, in this order. JSON is hashed as it was
    recorded.
    """

    schema_version: int
    id: str
    run_id: str
    trace_id: str
    label: str
    type: EvidenceType
    size_bytes: int
    sha256: str
    source: EvidenceSource
    stale: bool
    position: int
    event_id: str
    created_at: datetime
    artifact_ref: str
    session_id: str | None = None
    tool_call_id: str | None = None
    policy_id: str | None = None
    exit_code: int | None = None
    redacted: bool | None = None
    content: EvidenceContent | None
    content_salt: str | None = None

    def __post_init__(self) -> None:
        value = _variant(self.content, "kind", {"text": TextContent, "json": JsonContent, "binary": BinaryContent})
        msgspec.structs.force_setattr(self, "content", value)


class EvidenceFile(Model, frozen=True, kw_only=True):
    """A file of the review that serves as evidence."""

    id: str
    label: str
    sha256: str
    artifact_path: str
    type: EvidenceType
    size_bytes: int
    created_at: datetime


class EvidenceRecord(Model, frozen=True, kw_only=True):
    """Evidence of a run without its content.

    `stale` is true if the run changed the workspace afterwards. `label` is empty if the model chose it and it was
    redacted.
    """

    schema_version: int
    id: str
    run_id: str
    trace_id: str
    label: str
    type: EvidenceType
    size_bytes: int
    sha256: str
    source: EvidenceSource
    stale: bool
    position: int
    event_id: str
    created_at: datetime
    artifact_ref: str
    session_id: str | None = None
    tool_call_id: str | None = None
    policy_id: str | None = None
    exit_code: int | None = None
    redacted: bool | None = None


class Explanation(Model, frozen=True, kw_only=True):
    """The account of how a run got its status.

    In a long history the middle is left out; `omitted` counts the events left out. For a `rejected` run, `plan` and
    `request` are present if they were recorded and not erased.
    """

    run_id: str
    session_id: str
    status: ExplainedRunStatus
    causes: list[Cause]
    waits_for: CurrentWait | None
    omitted: int = 0
    parent_run_id: str | None = None
    plan: RefusedPlan | None = None
    request: RefusedRequest | None = None


class FileSnapshot(Model, frozen=True, kw_only=True):
    """A changed file as it is at the head commit."""

    path: str
    content: str
    truncated: bool


class FilesPolicy(Model, frozen=True, kw_only=True):
    """The rights of tool `files` below `directory` in the workspace: read, and with `write` also change."""

    directory: str | None = None
    write: bool = False
    file_bytes_max: int | None = None


class Finding(Model, frozen=True, kw_only=True):
    """A finding of a review; P1 forbids a merge."""

    priority: FindingPriority
    confidence: float
    title: str
    message: str
    suggestion: str | None = None
    file: str | None = None
    line: int | None = None


class FindingCounts(Model, frozen=True, kw_only=True):
    """The number of findings by priority."""

    p1: int
    p2: int
    p3: int


class FireTime(Model, frozen=True, kw_only=True):
    """A scheduled time, in UTC and in local time of the schedule's timezone (UTC by default)."""

    utc: str
    local: str


class FireTimePage(Model, frozen=True, kw_only=True):
    """Part of a list. `next_cursor` is present if more follows."""

    items: list[FireTime]
    next_cursor: str | None = None


class FleetCapabilities(Model, frozen=True, kw_only=True):
    """The metrics that are available for the machines."""

    supports_pod_status: bool
    supports_cpu_mem_metrics: bool


class FleetQueue(Model, frozen=True, kw_only=True):
    """Waiting work: runs and the age of the oldest, queue items, their sessions, and dead letters.

    `without_executor` counts running runs that no executor has taken.
    """

    waiting: int
    without_executor: int
    sessions: int
    items: int
    dead_letters: int
    oldest_waiting_since: str | None = None


class FleetSummary(Model, frozen=True, kw_only=True):
    """Summary of the fleet.

    `total` counts all runs ever admitted, and `failed` those that ended without an answer. `pending` counts sessions
    with waiting runs or queue items. `error_rate` is failed divided by total, and `uptime` is 1 minus that.
    """

    total: int
    running: int
    paused: int
    pending: int
    succeeded: int
    failed: int
    uptime: float
    error_rate: float
    capabilities: FleetCapabilities
    operational_summary: OperationalSummary
    cost_summary: CostSummary
    outcomes: RunOutcomes
    withdrawn: int
    queue: FleetQueue
    recent: FleetWindow


class FleetWindow(Model, frozen=True, kw_only=True):
    """Events of the window: the current hour and the 23 before it."""

    window_start: str
    admitted: int
    outcomes: RunOutcomes
    refused: int
    denied: int
    suppressed: int
    run_times: RunTimes


class ForgottenEntry(Model, frozen=True, kw_only=True):
    """The answer to a request to forget an entry; `removed` is False if it was forgotten before.

    `left` names the places that may still hold its text.
    """

    id: str
    removed: bool
    left: list[TextTrace] | None = None


class HarnessConfig(Model, frozen=True, kw_only=True):
    """The model and the tools of a harness profile."""

    provider: str
    model: str
    tools: list[str]


class HarnessPolicies(Model, frozen=True, kw_only=True):
    """The limits of a run: milliseconds, attempts of a model call, dollars (0: no budget), and model calls."""

    timeout_ms: int
    retry_limit: int
    budget_usd: float
    max_turns: int | None = None


class HarnessProfile(Model, frozen=True, kw_only=True):
    """A harness profile with its id."""

    display_name: str
    version: HarnessProfileVersion
    config: HarnessConfig
    policies: HarnessPolicies
    tool_policies: ToolPolicies | None = None
    allowed_egress: list[Egress] | None = None
    verification_policies: list[VerificationPolicy] | None = None
    id: str
    created_at: datetime


class Health(Model, frozen=True, kw_only=True):
    """Health of the server and state of each projection.

    `status` is `degraded` if `reason`, `problems` or an error of a projection is present. `reason` says why views
    cannot be read or written, or why writes fail. `problems` lists the background loops that are failing.

    `generation` is the file of the views that serve reads, and `candidate` the file that will replace it. `executor` is
    the id of this server in the list of workers.

    `clock_ahead_ms` is how far the machine's clock has jumped ahead of the server's time, until the jump is accepted.
    `clock_behind_log_ms` is how far the server's time is behind the last event. `loop_block_ms` is the longest block of
    the event loop in the last one to two minutes, or 0 if none exceeded 20 ms.
    """

    status: HealthStatus
    now: str
    head: int
    lag: int
    queue: int
    streams: int
    executor: str
    loop_block_ms: float
    clock_ahead_ms: int
    clock_behind_log_ms: int
    projections: dict[str, ProjectionHealth]
    problems: list[BackgroundProblem]
    generation: str | None = None
    candidate: str | None = None
    reason: str | None = None


class HttpPolicy(Model, frozen=True, kw_only=True):
    """The methods and limits of tool `http` on the hosts of `allowed_egress`. The limits apply to one call."""

    methods: list[HttpMethod] | None = None
    timeout_ms: int | None = None
    response_bytes_max: int | None = None


class ItemCounts(Model, frozen=True, kw_only=True):
    """The number of items of a step, in total and by status."""

    total: int
    pending: int
    running: int
    ok: int
    failed: int
    cancelled: int


class JsonContent(Model, frozen=True, kw_only=True):
    """JSON content of evidence."""

    kind: JsonContentKind
    value: Any


class KeptAnchor(Model, frozen=True, kw_only=True):
    """A kept anchor: the chain value (hex) of another log at `position`.

    `at` is when the anchor was taken, by the sender's clock. `from` is the sender's identity. `kept_at` is when this
    server recorded the anchor.
    """

    log_id: str
    position: int
    chain: str
    at: str
    from_: str
    kept_at: datetime


class KeyLimit(Model, frozen=True, kw_only=True):
    """A limit of concurrent runs of one session, provider or harness profile.

    Without `key` a limit for each of them.

    Runs above `max` are refused or queued. A limit with a key replaces the general one. A run counts at every provider
    that it may call, including its fallbacks.
    """

    scope: LimitScope
    max: int
    strategy: LimitStrategy
    key: str | None = None


class LimitCapabilities(Model, frozen=True, kw_only=True):
    """The limits that apply to requests, runs and streams."""

    body_bytes_max: int
    json_depth_max: int
    page_items_max: int
    page_bytes_max: int
    feed_scan_events_max: int
    run_timeout_ms: int
    context_chars_max: int
    idempotency_hours: int
    idempotency_key_chars_max: int
    reason_chars_max: int
    header_bytes_max: int
    headers_max: int
    url_bytes_max: int
    header_timeout_ms: int
    body_timeout_ms: int
    bodies_in_flight_bytes_max: int
    answers_in_flight_bytes_max: int
    send_timeout_ms: int
    streams_max: int
    streams_per_identity_max: int
    refusals_per_second: int
    refusals_per_day: int
    refusals_per_day_in_all: int
    requests_per_second: int | None = None


class MapOver(Model, frozen=True, kw_only=True):
    """A list from an earlier step's output or from the workflow's input. The step runs once for each item.

    `path` is a JSON pointer to the list. The item fills the placeholder `item` (or `item_name`), its index fills
    `index`.
    """

    step: str | None = None
    input: str | None = None
    path: str | None = None
    item_name: str | None = None
    max_parallel: int | None = None


class MemoryEntry(Model, frozen=True, kw_only=True):
    """A memory entry. `citation` is its name in search results and in the metadata of transcripts."""

    id: str
    text: str
    chars: int
    created_at: datetime
    citation: str
    metadata: dict[str, str] | None = None


class Message(Model, frozen=True, kw_only=True):
    """A message between personas. `payload` is null once redacted.

    `status` is `sent`, `started`, `completed` or `failed`. `hops` is the length of the chain of messages up to this
    one. `attempts` is the number of runs that processed it.
    """

    message_id: str
    from_persona: str
    to_persona: str
    session_id: str
    status: MessageStatus
    created_at: datetime
    updated_at: datetime
    payload: str | None
    hops: int
    attempts: int
    sent_by: str
    task_id: str | None = None
    step_id: str | None = None
    parent_run_id: str | None = None
    run_id: str | None = None
    dead_letter_id: str | None = None
    requeued_from: str | None = None
    error: MessageError | None = None


class MessageError(Model, frozen=True, kw_only=True):
    """The error of a message that was not delivered."""

    code: str
    message: str


class NoteText(Model, frozen=True, kw_only=True):
    """Lines of a note."""

    path: str
    text: str
    line_start: int
    line_end: int


class OperationalSummary(Model, frozen=True, kw_only=True):
    """Active runs now, and failures and rejections in the last 24 hours."""

    total_active_runs: int
    total_active_sessions: int
    aggregate_resource_usage: ResourceUsage
    recent_failure_rejection_count: int


class OutcomeChange(Model, frozen=True, kw_only=True):
    """The runs whose outcome would change, grouped; each group lists the 50 names with most runs."""

    runs: int
    cost_usd: float
    by_session: list[ChangeShare]
    by_profile: list[ChangeShare]
    by_template: list[ChangeShare]
    by_reason: list[ChangeShare]


class OutputMapping(Model, frozen=True, kw_only=True):
    """An output of one step that fills a placeholder in the directive of another."""

    from_output: str
    to_input: str


class Passage(Model, frozen=True, kw_only=True):
    """A passage found by a search. A higher `score` is a better match."""

    id: str
    source_path: str
    snippet: str
    score: float
    line_start: int | None = None
    line_end: int | None = None
    citation: str | None = None


class PendingApproval(Model, frozen=True, kw_only=True):
    """A requested approval. A decision must name `subject_hash`, so that it applies to this subject only."""

    subject_hash: str
    requested_at: datetime
    expires_at: datetime | None = None
    message: str | None = None
    approvers: list[str] | None = None
    role: ApproverRole | None = None
    not_requester: bool | None = None


class PersonaArtifacts(Model, frozen=True, kw_only=True):
    """The files of a review, in the state directory (written as `.athena`) and in the workspace."""

    audit_dir: str
    result_json_path: str
    report_markdown_path: str
    out_json_path: str | None = None
    out_markdown_path: str | None = None


class PersonaRun(Model, frozen=True, kw_only=True):
    """A review by a persona. `status` is running, ok or failed."""

    run_id: str
    persona_name: str
    session_id: str
    status: PersonaRunStatus
    repo_path: str
    head_ref: str
    base_ref: str
    created_at: datetime
    finished_at: datetime | None = None
    repair_run_id: str | None = None
    merge_gate: MergeGate | None = None
    findings: FindingCounts | None = None
    artifacts: dict[str, Any] | None = None


class PersonaRunDetails(Model, frozen=True, kw_only=True):
    """A review by a persona with its result, which is null while it is running and once redacted."""

    run_id: str
    persona_name: str
    session_id: str
    status: PersonaRunDetailsStatus
    repo_path: str
    head_ref: str
    base_ref: str
    created_at: datetime
    finished_at: datetime | None = None
    repair_run_id: str | None = None
    merge_gate: MergeGate | None = None
    findings: FindingCounts | None = None
    artifacts: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


class PersonaRunOutput(Model, frozen=True, kw_only=True):
    """The result of a review, and its printed form."""

    result: ReviewResult
    stdout: str


class PersonaSpend(Model, frozen=True, kw_only=True):
    """Consumption of a persona."""

    estimated_spend_usd: float
    input_tokens: int
    output_tokens: int
    total_tokens: int
    persona_name: str


class PolicyDocument(Model, frozen=True, kw_only=True):
    """The current policy and the time of its last change."""

    schema_version: int
    max_concurrent_runs: int | None = None
    limits: list[KeyLimit] | None = None
    default_run_timeout_ms: int | None = None
    default_schedule_timeout_ms: int | None = None
    retry_budget_per_run: int | None = None
    cost_budget_daily_usd: float | None = None
    max_run_attempts: int | None = None
    updated_at: datetime
    etag: str | None = None
    """The version as the header of the answer has it. Pass it as `if_match`."""


class PolicyInput(Model, frozen=True, kw_only=True):
    """A policy as a client sends it. `updated_at` is accepted and ignored, so a client may send back what it read."""

    schema_version: int
    max_concurrent_runs: int | None = None
    limits: list[KeyLimit] | None = None
    default_run_timeout_ms: int | None = None
    default_schedule_timeout_ms: int | None = None
    retry_budget_per_run: int | None = None
    cost_budget_daily_usd: float | None = None
    max_run_attempts: int | None = None
    updated_at: Any = None


class PolicyRule(Model, frozen=True, kw_only=True):
    """The policy rule that rejected a run."""

    schema_version: int
    engine: PolicyEngine
    rule_type: PolicyRuleType
    policy_name: str | None = None
    rule_name: str | None = None
    failure_action: FailureAction | None = None
    message: str | None = None


class ProfileSpend(Model, frozen=True, kw_only=True):
    """Consumption of the runs of a harness profile."""

    estimated_spend_usd: float
    input_tokens: int
    output_tokens: int
    total_tokens: int
    harness_profile_id: str


class ProjectionHealth(Model, frozen=True, kw_only=True):
    """State of one projection: its position, its lag behind the log, its version, and the error that stopped it."""

    position: int
    lag: int
    version: int
    error: str | None = None


class ProviderSpend(Model, frozen=True, kw_only=True):
    """Consumption of the calls of a provider."""

    estimated_spend_usd: float
    input_tokens: int
    output_tokens: int
    total_tokens: int
    provider: str


class QueueCounts(Model, frozen=True, kw_only=True):
    """The number of waiting items by mode."""

    followup: int
    collect: int


class ReachedLimit(Model, frozen=True, kw_only=True):
    """A limit of the policy by session, provider or profile that is reached: `active` runs of at most `max`."""

    scope: LimitScope
    key: str
    max: int
    active: int


class Redrive(Model, frozen=True, kw_only=True):
    """A job that requeues dead letters. `status` is `running`, `completed`, `cancelled` or `dry-run`.

    `total` is the number of dead letters that matched at the start. `results` is a page of the results, oldest first.
    """

    id: str | None
    status: RedriveStatus
    filter: AppliedRedriveFilter
    rate_per_second: int
    total: int
    done: int
    requeued: int
    skipped: int
    failed: int
    requested_by: str
    results: list[RedriveResult]
    started_at: datetime | None = None
    finished_at: datetime | None = None
    next_cursor: str | None = None


class RedriveFilter(Model, frozen=True, kw_only=True):
    """A filter for pending dead letters; times in ISO-8601, inclusive. An empty filter matches all."""

    session_id: str | None = None
    source: str | None = None
    source_persona: str | None = None
    target_persona: str | None = None
    reason: str | None = None
    created_after: str | None = None
    created_before: str | None = None


class RedriveResult(Model, frozen=True, kw_only=True):
    """The result for one dead letter.

    `result` is `requeued`, `skipped` (another decision came first) or `failed`.
    """

    dead_letter_id: str
    result: RedriveDecision
    at: str
    code: str | None = None


class RefusedPlan(Model, frozen=True, kw_only=True):
    """The plan of a refused run: everything that the refusal depended on, except provider and profile.

    `patient` runs (workflow steps) wait for a free slot. `least_micro_usd` is the lowest possible cost of a model call,
    absent if the model has no price. `input_chars` is the length of the input.
    """

    model: str
    input_chars: int
    requested_by: str
    patient: bool | None = None
    session_strategy: SessionStrategy | None = None
    fallbacks: list[str] | None = None
    budget_micro_usd: int | None = None
    least_micro_usd: int | None = None
    timeout_ms: int | None = None
    parent_run_id: str | None = None


class RefusedRequest(Model, frozen=True, kw_only=True):
    """The request of a refused run. If it is over 4 KiB, only its size as JSON and its SHA-256 are kept.

    A directive is represented by its id.
    """

    input: str | None = None
    directive_id: str | None = None
    context_refs: list[str] | None = None
    metadata: dict[str, str] | None = None
    size_bytes: int | None = None
    sha256: str | None = None


class RejectedRun(Model, frozen=True, kw_only=True):
    """The session and persona of a rejected run."""

    session_id: str
    persona_name: str | None = None


class Rejection(Model, frozen=True, kw_only=True):
    """A run that the policy rejected. `id` is `rej_` and the id of its event in the feed.

    `provider` is the one that the run would have used, and `run_template_id` the template of its request. `plan` and
    `request` describe the requested run. Both are absent in rejections of release 0.1, and `request` once redacted.
    """

    id: str
    created_at: datetime
    session_id: str
    active_runs: int
    max_concurrent_runs: int
    reason: RejectionReason
    event: RejectionEvent
    actor: str
    trace_id: str
    policy: PolicyRule | None = None
    run_id: str | None = None
    directive_id: str | None = None
    harness_profile_id: str | None = None
    provider: str | None = None
    run_template_id: str | None = None
    run_template_version: int | None = None
    plan: RefusedPlan | None = None
    request: RefusedRequest | None = None


class RejectionEvent(Model, frozen=True, kw_only=True):
    """A rejection as it was recorded.

    For the policy type `COST` it has the sums of the UTC day. Then `limit`, which counts runs, is 0.
    """

    schema_version: int
    timestamp: str
    policy_type: PolicyType
    limit: int
    rejected_run_details: RejectedRun
    reason: RejectionReason
    active_runs: int
    policy: PolicyRule | None = None
    spent_micro_usd: int | None = None
    budget_micro_usd: int | None = None


class Reliability(Model, frozen=True, kw_only=True):
    """Attempts, retries and fallbacks that an answer took."""

    provider_attempts: int
    provider_retries: int
    fallback_hops: int
    turn_latency_ms: int | None = None


class RemovedSchedule(Model, frozen=True, kw_only=True):
    """Result of a delete: `removed` is false if the schedule did not exist."""

    id: str
    removed: bool


class RequestCounts(Model, frozen=True, kw_only=True):
    """Counts of requests by outcome; `cost_usd` is the cost of the admitted runs."""

    admitted: int
    refused: int
    cost_usd: float


class ResourceUsage(Model, frozen=True, kw_only=True):
    """CPU cores and memory bytes; 0 if they cannot be measured."""

    cpu_usage: float
    memory_usage: float


class ReviewAnswer(Model, frozen=True, kw_only=True):
    """The answer that a model must give."""

    schema_version: int
    merge_gate: MergeGate
    report_markdown: str
    findings: list[Finding]
    dependency_inspection: DependencyInspection | None = None


class ReviewError(Model, frozen=True, kw_only=True):
    """The reason why a review failed."""

    message: str


class ReviewResult(Model, frozen=True, kw_only=True):
    """The result of a persona run."""

    schema_version: int
    run_id: str
    persona_name: str
    session_id: str
    status: ReviewResultStatus
    started_at: datetime
    finished_at: datetime
    findings: list[Finding]
    merge_gate: MergeGate
    report_markdown: str
    repo_path: str
    head_ref: str
    base_ref: str
    base_ref_resolved_from: ReviewResultBaseRefResolvedFrom
    artifacts: PersonaArtifacts
    context_manifest: list[ContextFile]
    referenced_file_meta: list[ContextFile]
    referenced_file_snapshots: list[FileSnapshot]
    evidence_manifest: list[EvidenceFile]
    dependency_inspection: DependencyInspection
    model_output_raw: str
    parse_retry_attempted: bool
    model_output_parsed: ReviewAnswer | None = None
    parse_error: str | None = None
    repair_run_id: str | None = None
    usage: Usage | None = None
    context_meta: ContextMeta | None = None
    error: ReviewError | None = None


class Run(Model, frozen=True, kw_only=True):
    """A run. In lists, `input_preview` and `output_preview` replace the input and the output.

    A preview has at most 160 characters. `output_chars` is the length of the output in characters. `include=output`
    adds the output.
    """

    run_id: str
    session_id: str
    status: RunStatus
    created_at: datetime
    directive_id: str
    harness_profile_id: str
    provider: str
    model: str
    attempt: int
    evidence_count: int
    links: RunLinks
    started_at: datetime | None = None
    finished_at: datetime | None = None
    waiting: RunWait | None = None
    paused: RunPause | None = None
    parent_run_id: str | None = None
    template: TemplateVersion | None = None
    output: str | None = None
    usage: Usage | None = None
    cost_micro_usd: int | None = None
    budget_micro_usd: int | None = None
    error: RunError | None = None
    verification_status: VerificationStatus | None = None
    verification_failures: list[VerificationFailure] | None = None
    input_preview: str | None = None
    output_preview: str | None = None
    output_chars: int | None = None


class RunError(Model, frozen=True, kw_only=True):
    """The error of a run without an answer."""

    code: str
    message: str
    retryable: bool
    retry_with: RunErrorRetryWith | None = None


class RunLinks(Model, frozen=True, kw_only=True):
    """Paths of resources related to a run."""

    self: str
    session: str
    events: str
    cancel: str


class RunOutcomes(Model, frozen=True, kw_only=True):
    """Number of runs by outcome."""

    completed: int
    failed: int
    cancelled: int
    timed_out: int
    crashed: int


class RunPause(Model, frozen=True, kw_only=True):
    """Why and since when a run is paused. `POST /runs/:runId/resume` resumes it."""

    reason: PauseReason
    since: str


class RunResult(Model, frozen=True, kw_only=True):
    """The answer to a synchronous caller whose run completed."""

    session_id: str
    run_id: str
    output: str
    provider: str
    model: str
    created_at: datetime
    directive_id: str
    harness_profile_id: str
    harness_profile_snapshot: HarnessProfile
    evidence_count: int
    verification_status: VerificationStatus
    context_meta: ContextMeta
    reliability: Reliability
    verification_failures: list[VerificationFailure] | None = None
    usage: Usage | None = None
    template: TemplateUse | None = None


class RunTemplate(Model, frozen=True, kw_only=True):
    """A version of a run template. `directive_template` and `default_params` are null once redacted.

    `created_at` is when the template was created, `updated_at` when this version was.
    """

    id: str
    version: int
    harness_profile_id: str
    directive_template: str | None
    default_params: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    params_schema: dict[str, Any] | None = None
    etag: str | None = None
    """The version as the header of the answer has it. Pass it as `if_match`."""


class RunTimes(Model, frozen=True, kw_only=True):
    """Durations of the runs that completed in the window, in milliseconds, at most an eighth too high."""

    runs: int
    p50_ms: int | None = None
    p95_ms: int | None = None


class RunWait(Model, frozen=True, kw_only=True):
    """Why a run is waiting, and its place in the queue of its session, limit or server.

    A running run is waiting for an `executor` if none has taken it since it was admitted or resumed. `blocked_by` is
    the run that holds the session, or the oldest run that the limit counts. It is absent if the caller's scope does not
    cover that run.
    """

    reason: WaitReason
    position: int
    blocked_by: str | None = None
    limit: ReachedLimit | None = None


class SchedulePause(Model, frozen=True, kw_only=True):
    """Why and since when a schedule is paused. `run_id` is the run that failed, if the cause is `failure`."""

    cause: PauseCause
    since: str
    run_id: str | None = None


class ScheduleRunLog(Model, frozen=True, kw_only=True):
    """The outcome of one scheduled time, or of a manual run, which has no `nominal_time`.

    `nominal_time` is when it was due. `started_at` is when it ran, or when it was decided that it would not. `status`
    is one of running, buffered, ok, failed, already-running, skipped. `reason` explains a status other than ok. Times
    that come due during a pause are recorded when it ends. Until then `started_at` equals `nominal_time`, and `id` is
    valid as a cursor only.
    """

    id: str
    schedule_id: str
    session_id: str | None
    started_at: datetime
    status: ScheduleRunStatus
    finished_at: datetime | None = None
    nominal_time: str | None = None
    reason: ScheduleRunReason | None = None
    run_id: str | None = None
    error: str | None = None
    error_code: str | None = None


class ScheduleRunResult(Model, frozen=True, kw_only=True):
    """Result of one run of a schedule.

    `status` is ok, failed, already-running, or running if the answer did not wait for the end. `reason` says why a run
    failed for a cause outside of the schedule.
    """

    status: ScheduleRunStatus
    id: str
    session_id: str | None
    started_at: datetime
    finished_at: datetime | None = None
    error: str | None = None
    error_code: str | None = None
    reason: ScheduleRunReason | None = None
    run_id: str | None = None


class ScheduledTask(Model, frozen=True, kw_only=True):
    """A schedule: its trigger, its target and its state.

    `next_run_at` is null if no run is planned. `buffered` counts scheduled times that wait for a run to end. `revision`
    counts writes. `input` is null if the target is a directive, and once redacted. `paused_because` is present while it
    is paused.
    """

    schema_version: int
    id: str
    session_id: str | None
    input: str | None
    enabled: bool
    paused: bool
    running: bool
    overlap_policy: OverlapPolicy
    catch_up: CatchUp
    catch_up_window_seconds: int
    pause_on_failure: bool
    jitter_seconds: int
    buffered: int
    revision: int
    created_at: datetime
    updated_at: datetime
    updated_by: str
    next_run_at: datetime | None
    last_run_at: datetime | None = None
    every_minutes: int | None = None
    cron: str | None = None
    timezone: str | None = None
    run_at: datetime | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    directive_id: str | None = None
    harness_profile_id: str | None = None
    run_template_id: str | None = None
    params: dict[str, str] | None = None
    workflow_id: str | None = None
    note: str | None = None
    paused_because: SchedulePause | None = None


class Session(Model, frozen=True, kw_only=True):
    """A session: a sequence of runs with one transcript. `transcript_path` is a label, not a file."""

    id: str
    schema_version: int
    transcript_path: str
    created_at: datetime
    updated_at: datetime
    model: str | None = None
    provider: str | None = None


class SessionSpend(Model, frozen=True, kw_only=True):
    """Consumption of the runs of a session."""

    estimated_spend_usd: float
    input_tokens: int
    output_tokens: int
    total_tokens: int
    session_id: str


class ShellPolicy(Model, frozen=True, kw_only=True):
    """The commands that tool `shell` may start. Each one is a prefix of the command line, word by word.

    `directory` is relative to the workspace. The limits apply to one call.
    """

    commands: list[list[str]]
    directory: str | None = None
    timeout_ms: int | None = None
    output_bytes_max: int | None = None


class SimulatedOutcome(Model, frozen=True, kw_only=True):
    """The outcome of one request, recorded and simulated: the reason of a refusal, and whether it would wait."""

    run_id: str
    waited: bool
    recorded: str | None = None
    simulated: str | None = None


class Simulation(Model, frozen=True, kw_only=True):
    """The requests since a position, as they were decided and as another policy would have decided them.

    `truncated` is true above 10,000 requests or 500,000 events; `to` is the last position that was read. `estimated`
    counts runs that never ran and now would, with the time and cost of similar runs. `waited` counts runs that the
    other policy would have queued. `paused` counts runs that its daily budget would have paused; they stay paused.
    `not_simulated` names what stays as recorded. `run` is present if a run was asked for and is among them.
    """

    since: int
    to: int
    truncated: bool
    requests: int
    recorded: RequestCounts
    simulated: RequestCounts
    waited: int
    paused: int
    newly_rejected: OutcomeChange
    newly_allowed: OutcomeChange
    estimated: int
    not_simulated: list[SimulationLimit]
    run: SimulatedOutcome | None = None


class Step(Model, frozen=True, kw_only=True):
    """A step of a workflow: a directive with the profile that runs it, or an approval."""

    id: str
    directive_id: str | None = None
    harness_profile_id: str | None = None
    outputs: list[str] | None = None
    execution: StepExecution | None = None
    trigger_rule: TriggerRule | None = None
    when: Condition | None = None
    map: MapOver | None = None
    approval: Approval | None = None


class StepExecution(Model, frozen=True, kw_only=True):
    """The execution of a step: attempts, milliseconds for each attempt, and metadata of its runs."""

    max_attempts: int | None = None
    timeout_ms: int | None = None
    metadata: dict[str, str] | None = None


class StepItem(Model, frozen=True, kw_only=True):
    """State of one item of a mapped step."""

    item: int
    status: StepItemStatus
    attempt: int
    run_id: str | None = None
    error: str | None = None


class StepState(Model, frozen=True, kw_only=True):
    """State of a step.

    With `items_truncated` only the first items are included. `GET /workflows/run/:id/steps/:step/items` pages all of
    them.
    """

    step_id: str
    status: StepStatus
    attempt: int
    ready: bool
    dependency_readiness: DependencyReadiness
    updated_at: datetime
    checkpoint: Checkpoint | None = None
    run_id: str | None = None
    note: str | None = None
    items: list[StepItem] | None = None
    item_counts: ItemCounts | None = None
    items_truncated: bool | None = None
    approval: PendingApproval | None = None


class TemplateUse(Model, frozen=True, kw_only=True):
    """The template version and parameters from which a run was started."""

    id: str
    version: int
    harness_profile_id: str
    effective_params: dict[str, Any]


class TemplateVersion(Model, frozen=True, kw_only=True):
    """The template version that a run was started from."""

    id: str
    version: int


class TextContent(Model, frozen=True, kw_only=True):
    """Text content of evidence."""

    kind: TextContentKind
    text: str


class TextTrace(Model, frozen=True, kw_only=True):
    """A place that may still hold erased text: why, and how to remove it."""

    place: str
    reason: str
    remedy: str


class TickResult(Model, frozen=True, kw_only=True):
    """Result of a tick: the runs that it started, and the number of schedules that it skipped."""

    at: str
    run: list[ScheduleRunResult]
    skipped: int


class TokenMix(Model, frozen=True, kw_only=True):
    """Tokens of all calls. Ratios are shares of the sum of input and output tokens, 0 to 1."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_ratio: float
    output_ratio: float


class ToolPolicies(Model, frozen=True, kw_only=True):
    """The rules of the tools. Without them `shell` starts nothing and `files` only reads."""

    shell: ShellPolicy | None = None
    http: HttpPolicy | None = None
    files: FilesPolicy | None = None


class TranscriptDelta(Model, frozen=True, kw_only=True):
    """The text since the last delta, from character `offset` of its turn on.

    A `reset` has no text: the client discards what it showed of the turn. After the last entry of a run that ended or
    is paused, one delta without text is `settled`; its turn is 0.
    """

    run_id: str
    turn: int
    offset: int | None = None
    text: str | None = None
    reset: bool = False
    settled: bool = False


class TranscriptEntry(Model, frozen=True, kw_only=True):
    """A transcript entry. It is `provisional` until its run ends; then `run_status` is the outcome of the run.

    `content` is null once redacted.
    """

    id: str
    role: TranscriptRole
    content: str | None
    kind: TranscriptKind
    metadata: dict[str, str]
    created_at: datetime
    run_id: str
    tool_call_id: str | None = None
    tool_name: str | None = None
    is_error: bool | None = None
    provisional: bool | None = None
    run_status: RunEndStatus | None = None


class UpdatedSchedule(Model, frozen=True, kw_only=True):
    """Result of a change: `updated` is false if nothing changed, and `schedule` is absent if there is none."""

    id: str
    updated: bool
    schedule: ScheduledTask | None = None


class Usage(Model, frozen=True, kw_only=True):
    """The tokens that a model call used (the mock provider counts characters).

    `input_tokens` includes cached and cache-writing tokens, `output_tokens` includes reasoning tokens.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class VerificationFailure(Model, frozen=True, kw_only=True):
    """A verification policy that the run did not meet."""

    policy_id: str
    kind: VerificationKind
    message: str
    details: dict[str, str]


class VerificationPolicy(Model, frozen=True, kw_only=True):
    """A condition that a run must meet to pass verification. `label` is the label of the evidence.

    `require-evidence`: evidence with the label is attached. `command`: `command` (allowed for `shell`) exits with 0.
    `json-schema`: the output is JSON valid against `schema`. `contains`: the output contains the text.
    """

    id: str
    kind: VerificationKind
    label: str
    evidence_type: EvidenceType | None = None
    command: list[str] | None = None
    schema: dict[str, Any] | None = None
    contains: str | None = None


class ViewDigest(Model, frozen=True, kw_only=True):
    """SHA-256 of the rows of a view at a position. Servers with the same log have the same digest."""

    position: int
    rows: int
    sha256: str


class ViewDigests(Model, frozen=True, kw_only=True):
    """Digests of the views that serve reads, all taken at one moment."""

    generation: str | None
    views: dict[str, ViewDigest]


class WorkDrain(Model, frozen=True, kw_only=True):
    """A drain of a queue. `status` is `running`, `ok` or `failed`.

    `automatic` is true if a message started it.
    """

    drain_id: str
    session_id: str
    status: WorkDrainStatus
    requested_by: str
    automatic: bool
    started_at: datetime
    queue_depth_before: int
    drained_items: int
    queue_depth_after: int | None = None
    finished_at: datetime | None = None
    provider: str | None = None
    model: str | None = None
    run_id: str | None = None
    error: DrainError | None = None


class WorkItem(Model, frozen=True, kw_only=True):
    """A waiting work item. `payload` is null once redacted. `run_id` is present while a run processes it."""

    id: str
    session_id: str
    payload: str | None
    mode: QueueMode
    created_at: datetime
    attempts: int
    run_id: str | None = None
    message_id: str | None = None
    dead_letter_id: str | None = None


class WorkQueueState(Model, frozen=True, kw_only=True):
    """The work queue of a session, oldest item first. `items` is a page of the items that `item_counts` counts."""

    schema_version: int
    session_id: str
    items: list[WorkItem]
    item_counts: QueueCounts
    draining: bool
    updated_at: datetime
    next_cursor: str | None = None


class Worker(Model, frozen=True, kw_only=True):
    """A process attached to the log: a server, a worker, or a command that runs without a server.

    `concurrency` is the number of runs that it executes at a time (0: none), and `providers` lists the providers that
    it can use. `running` is the number of runs that it is executing now. A worker that is `lost` no longer holds its
    lock, and other workers take over its runs. `problems` lists the background loops that were failing at its last
    heartbeat.
    """

    id: str
    kind: WorkerKind
    status: WorkerStatus
    host: str
    pid: int
    providers: list[str]
    concurrency: int
    running: int
    since: str
    heartbeat: str
    problems: list[BackgroundProblem]


class Workers(Model, frozen=True, kw_only=True):
    """The processes attached to the log, oldest first."""

    items: list[Worker]


class Workflow(Model, frozen=True, kw_only=True):
    """A workflow: a graph of steps."""

    id: str
    definition: WorkflowDefinition
    created_at: datetime
    created_by: str


class WorkflowDefinition(Model, frozen=True, kw_only=True):
    """The steps of a workflow and their dependencies."""

    steps: list[Step]
    dependencies: list[Dependency]


class WorkflowLogLine(Model, frozen=True, kw_only=True):
    """A line of the log of a workflow run."""

    id: str
    level: WorkflowLogLineLevel
    message: str
    created_at: datetime
    step_id: str | None = None


class WorkflowProgress(Model, frozen=True, kw_only=True):
    """The number of steps by status, and the percentage of steps that are finished."""

    total_steps: int
    completed_steps: int
    running_steps: int
    failed_steps: int
    pending_steps: int
    skipped_steps: int
    waiting_steps: int
    percent_complete: float


class WorkflowRun(Model, frozen=True, kw_only=True):
    """A run of a workflow.

    With `execution_log_truncated` the log has the newest lines only. All events of the run are in the feed.
    """

    schema_version: int
    id: str
    workflow_id: str
    status: WorkflowRunStatus
    step_order: list[str]
    step_states: dict[str, StepState]
    execution_log: list[WorkflowLogLine]
    created_at: datetime
    updated_at: datetime
    requested_by: str
    resumed_from_run_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    execution_log_truncated: bool | None = None
    dry_run: DryRun | None = None


class WorkflowRunDetails(Model, frozen=True, kw_only=True):
    """A workflow, with the state of a run. Without a run, `run` is null and the related fields are empty."""

    workflow: Workflow
    run: WorkflowRun | None
    nodes: list[StepState]
    progress: WorkflowProgress
    artifact_refs: list[ArtifactRef]
    eta: Eta


class WorkflowRunSummary(Model, frozen=True, kw_only=True):
    """A run of a workflow, in a list."""

    id: str
    workflow_id: str
    status: WorkflowRunStatus
    created_at: datetime
    updated_at: datetime
    requested_by: str
    resumed_from_run_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
