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
    ActiveStepKind: TypeAlias = Literal["ask", "executor", "model", "tool"] | str
    AgentRuleApproval: TypeAlias = Literal["allow", "ask", "deny"] | str
    AgentToolKind: TypeAlias = (
        Literal["delete", "edit", "execute", "fetch", "move", "other", "read", "search", "think"] | str
    )
    AnsweredAskStatus: TypeAlias = Literal["answered", "failed"] | str
    ApplyResult: TypeAlias = Literal["already", "conflict", "deleted", "merged", "written"] | str
    ApprovalOnExpiry: TypeAlias = Literal["approve", "reject"] | str
    ApproverRole: TypeAlias = Literal["Admin", "Operator"] | str
    ArtifactKind: TypeAlias = Literal["run-result"] | str
    ArtifactRefKind: TypeAlias = Literal["run-result"] | str
    AskChoiceKind: TypeAlias = Literal["allow_once", "reject_once"] | str
    AskKind: TypeAlias = Literal["choice", "question", "tool-permission", "workflow-approval"] | str
    AskOnExpiry: TypeAlias = Literal["cancel", "deny"] | str
    AskOrigin: TypeAlias = Literal["agent", "loop", "mcp"] | str
    AskPolicyOnExpiry: TypeAlias = Literal["cancel", "deny"] | str
    AskStatus: TypeAlias = Literal["answered", "approved", "cancelled", "expired", "open", "rejected"] | str
    AuditKind: TypeAlias = (
        Literal[
            "anchor",
            "approval",
            "ask",
            "authentication",
            "bulk",
            "cancel",
            "clock",
            "dead-letter",
            "denial",
            "fork",
            "halt",
            "mcp-server",
            "permission-rule",
            "policy",
            "redaction",
            "rejection",
            "resume",
            "roles",
            "schedule",
            "server",
            "suppression",
            "token",
            "workspace",
        ]
        | str
    )
    AuthzMode: TypeAlias = Literal["enforce", "observe", "off", "soft-enforce"] | str
    BinaryContentKind: TypeAlias = Literal["binary"] | str
    BulkItemStatus: TypeAlias = Literal["cancelled", "failed", "not-running", "retried", "selected"] | str
    CancelledStatus: TypeAlias = Literal["cancelled", "not-running"] | str
    CapabilitiesDurability: TypeAlias = Literal["fsync"] | str
    CapabilitiesExecutionBackend: TypeAlias = Literal["local"] | str
    CapabilitiesScheduler: TypeAlias = Literal["off", "on"] | str
    CapabilitiesStateStore: TypeAlias = Literal["postgres", "sqlite"] | str
    CatchUp: TypeAlias = Literal["all", "latest", "none"] | str
    ChangedKind: TypeAlias = (
        Literal[
            "anchor",
            "bulk-request",
            "dead-letter",
            "directive",
            "halt",
            "harness-profile",
            "mcp-server",
            "memory",
            "message",
            "other",
            "permission-rule",
            "plane",
            "policy",
            "queue",
            "redrive",
            "rejection",
            "review",
            "run",
            "run-template",
            "schedule",
            "session",
            "token",
            "workflow",
            "workflow-run",
            "workspace",
        ]
        | str
    )
    ConditionOperator: TypeAlias = Literal["contains", "eq", "exists", "ge", "gt", "le", "lt", "ne"] | str
    ContextFileKind: TypeAlias = Literal["changed", "diff", "doc", "prompt", "skill", "workspace-doc"] | str
    ContextStepKind: TypeAlias = Literal["summary", "tool-result-truncation"] | str
    ContextStrategy: TypeAlias = Literal["raw", "summary"] | str
    CurrentWaitReason: TypeAlias = (
        Literal[
            "agent-memory",
            "ask",
            "budget",
            "cancel",
            "concurrency",
            "daily-budget",
            "executor",
            "halted",
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
    EvidenceSource: TypeAlias = Literal["model", "tool", "verifier", "workspace"] | str
    EvidenceType: TypeAlias = Literal["binary", "json", "text"] | str
    ExplainedRunStatus: TypeAlias = (
        Literal["cancelled", "completed", "crashed", "failed", "paused", "queued", "rejected", "running", "timed-out"]
        | str
    )
    FailureAction: TypeAlias = Literal["audit", "enforce"] | str
    FilesMatchActions: TypeAlias = Literal["delete", "list", "read", "replace", "write"] | str
    FilesPolicyApproval: TypeAlias = Literal["allow", "ask", "deny"] | str
    FilesRuleApproval: TypeAlias = Literal["allow", "ask", "deny"] | str
    FindingPriority: TypeAlias = Literal["P1", "P2", "P3"] | str
    HarnessProfileWorkspace: TypeAlias = Literal["session", "shared", "workflow-run"] | str
    HarnessSpecWorkspace: TypeAlias = Literal["session", "shared", "workflow-run"] | str
    HarnessVersion: TypeAlias = Literal["v1", "v2"] | str
    HealthStatus: TypeAlias = Literal["degraded", "ok"] | str
    HttpMethod: TypeAlias = Literal["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"] | str
    HttpPolicyApproval: TypeAlias = Literal["allow", "ask", "deny"] | str
    HttpRuleApproval: TypeAlias = Literal["allow", "ask", "deny"] | str
    JsonContentKind: TypeAlias = Literal["json"] | str
    LimitScope: TypeAlias = Literal["agent", "harness-profile", "provider", "session"] | str
    LimitStrategy: TypeAlias = Literal["enqueue", "reject"] | str
    McpPolicyApproval: TypeAlias = Literal["allow", "ask", "deny"] | str
    McpRuleApproval: TypeAlias = Literal["allow", "ask", "deny"] | str
    McpServerEntryState: TypeAlias = Literal["changed", "current", "unlisted"] | str
    McpServerEntryTransport: TypeAlias = Literal["http", "stdio"] | str
    McpToolEntryState: TypeAlias = Literal["accepted", "changed", "new", "removed"] | str
    MergeGate: TypeAlias = Literal["fail", "pass"] | str
    MessageStatus: TypeAlias = Literal["completed", "failed", "sent", "started"] | str
    OpenCallStatus: TypeAlias = Literal["in_progress", "pending"] | str
    OverlapPolicy: TypeAlias = (
        Literal["allow-all", "buffer-all", "buffer-latest", "buffer-one", "cancel-other", "skip", "terminate-other"]
        | str
    )
    PauseCause: TypeAlias = Literal["failure", "requested"] | str
    PauseReason: TypeAlias = Literal["ask", "budget", "daily-budget", "unpriced-model"] | str
    PermissionRuleStatus: TypeAlias = Literal["expired", "in-force", "revoked"] | str
    PersonaRunDetailsStatus: TypeAlias = Literal["failed", "ok", "running"] | str
    PersonaRunStatus: TypeAlias = Literal["failed", "ok", "running"] | str
    PersonaStdout: TypeAlias = Literal["json", "md", "none", "summary"] | str
    PlanStepStatus: TypeAlias = Literal["completed", "in_progress", "pending"] | str
    PolicyEngine: TypeAlias = Literal["athena", "kyverno"] | str
    PolicyRuleType: TypeAlias = Literal["concurrency", "generate", "mutate", "validate"] | str
    PolicyType: TypeAlias = Literal["CONCURRENCY", "COST"] | str
    QueueMode: TypeAlias = Literal["collect", "followup"] | str
    RecordKind: TypeAlias = (
        Literal[
            "ask",
            "dead-letter",
            "directive",
            "drain",
            "evidence",
            "harness-profile",
            "memory",
            "message",
            "permission-rule",
            "persona",
            "redrive",
            "run",
            "run-template",
            "schedule",
            "token",
            "workflow",
            "workflow-run",
            "workspace",
        ]
        | str
    )
    RedriveDecision: TypeAlias = Literal["failed", "requeued", "skipped"] | str
    RedriveStatus: TypeAlias = Literal["cancelled", "completed", "dry-run", "running"] | str
    RegisteredAgentResume: TypeAlias = Literal["exact", "idle", "none"] | str
    RegisteredAgentWire: TypeAlias = Literal["anthropic", "gemini", "openai-chat", "openai-responses"] | str
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
    RetryWith: TypeAlias = Literal["same-key", "new-key"] | str
    ReviewResultBaseRefResolvedFrom: TypeAlias = Literal["flag", "main", "origin-head"] | str
    ReviewResultStatus: TypeAlias = Literal["failed", "ok"] | str
    Role: TypeAlias = Literal["Admin", "None", "Operator", "Viewer"] | str
    RuleBoundNetwork: TypeAlias = Literal["egress", "none"] | str
    RuleBoundSandbox: TypeAlias = Literal["off", "preferred", "required"] | str
    RuleBoundWorkspace: TypeAlias = Literal["session", "shared", "workflow-run"] | str
    RuleScope: TypeAlias = Literal["profile", "run", "session"] | str
    RunDiffFileChange: TypeAlias = Literal["added", "deleted", "modified", "retyped"] | str
    RunEndStatus: TypeAlias = Literal["cancelled", "completed", "crashed", "failed", "timed-out"] | str
    RunStatus: TypeAlias = (
        Literal["cancelled", "completed", "crashed", "failed", "paused", "queued", "running", "timed-out"] | str
    )
    SandboxPolicyMode: TypeAlias = Literal["off", "preferred", "required"] | str
    SandboxPolicyNetwork: TypeAlias = Literal["egress", "none"] | str
    ScheduleRunReason: TypeAlias = (
        Literal[
            "buffer-full",
            "cancelled",
            "catchup-latest",
            "catchup-none",
            "catchup-window-exceeded",
            "disabled",
            "halted",
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
    SentAnchorKind: TypeAlias = Literal["athena", "file", "git", "http"] | str
    SessionStrategy: TypeAlias = Literal["enqueue", "interrupt", "reject"] | str
    ShellPolicyApproval: TypeAlias = Literal["allow", "ask", "deny"] | str
    ShellRuleApproval: TypeAlias = Literal["allow", "ask", "deny"] | str
    SimulationLimit: TypeAlias = (
        Literal["asks", "attempts", "callers", "children", "pauses", "retries", "strategies", "timeouts"] | str
    )
    StepItemStatus: TypeAlias = Literal["cancelled", "failed", "ok", "pending", "running"] | str
    StepStatus: TypeAlias = Literal["cancelled", "failed", "ok", "pending", "running", "skipped", "waiting"] | str
    TextContentKind: TypeAlias = Literal["text"] | str
    TokenKind: TypeAlias = Literal["session", "token"] | str
    TokenRole: TypeAlias = Literal["Admin", "Operator", "Viewer"] | str
    TokenStatus: TypeAlias = Literal["active", "expired", "revoked"] | str
    ToolPolicyApproval: TypeAlias = Literal["allow", "ask", "deny"] | str
    TranscriptKind: TypeAlias = Literal["answer", "ask", "message", "tool-call", "tool-result"] | str
    TranscriptRole: TypeAlias = Literal["assistant", "system", "tool", "user"] | str
    TriggerRule: TypeAlias = Literal["all-done", "all-succeeded", "one-failed"] | str
    VerificationKind: TypeAlias = Literal["command", "contains", "json-schema", "require-evidence"] | str
    VerificationStatus: TypeAlias = Literal["passed", "verification-failed"] | str
    WaitReason: TypeAlias = (
        Literal["agent-memory", "ask", "concurrency", "executor", "halted", "key-limit", "session-busy"] | str
    )
    WorkDrainStatus: TypeAlias = Literal["failed", "ok", "running"] | str
    WorkerKind: TypeAlias = Literal["command", "server", "worker"] | str
    WorkerStatus: TypeAlias = Literal["alive", "lost"] | str
    WorkflowLogLineLevel: TypeAlias = Literal["error", "info"] | str
    WorkflowRunStatus: TypeAlias = Literal["cancelled", "failed", "ok", "running", "waiting"] | str
    WorkspaceRecordCause: TypeAlias = Literal["erasure", "policy", "requested"] | str
    WorkspaceRecordKind: TypeAlias = Literal["session", "workflow-run"] | str
    WorkspaceRecordSource: TypeAlias = Literal["clone", "copy", "empty"] | str
    WorkspaceStatus: TypeAlias = Literal["active", "cleaned"] | str
else:  # a newer server may send others
    ActiveStepKind = str
    AgentRuleApproval = str
    AgentToolKind = str
    AnsweredAskStatus = str
    ApplyResult = str
    ApprovalOnExpiry = str
    ApproverRole = str
    ArtifactKind = str
    ArtifactRefKind = str
    AskChoiceKind = str
    AskKind = str
    AskOnExpiry = str
    AskOrigin = str
    AskPolicyOnExpiry = str
    AskStatus = str
    AuditKind = str
    AuthzMode = str
    BinaryContentKind = str
    BulkItemStatus = str
    CancelledStatus = str
    CapabilitiesDurability = str
    CapabilitiesExecutionBackend = str
    CapabilitiesScheduler = str
    CapabilitiesStateStore = str
    CatchUp = str
    ChangedKind = str
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
    FilesMatchActions = str
    FilesPolicyApproval = str
    FilesRuleApproval = str
    FindingPriority = str
    HarnessProfileWorkspace = str
    HarnessSpecWorkspace = str
    HarnessVersion = str
    HealthStatus = str
    HttpMethod = str
    HttpPolicyApproval = str
    HttpRuleApproval = str
    JsonContentKind = str
    LimitScope = str
    LimitStrategy = str
    McpPolicyApproval = str
    McpRuleApproval = str
    McpServerEntryState = str
    McpServerEntryTransport = str
    McpToolEntryState = str
    MergeGate = str
    MessageStatus = str
    OpenCallStatus = str
    OverlapPolicy = str
    PauseCause = str
    PauseReason = str
    PermissionRuleStatus = str
    PersonaRunDetailsStatus = str
    PersonaRunStatus = str
    PersonaStdout = str
    PlanStepStatus = str
    PolicyEngine = str
    PolicyRuleType = str
    PolicyType = str
    QueueMode = str
    RecordKind = str
    RedriveDecision = str
    RedriveStatus = str
    RegisteredAgentResume = str
    RegisteredAgentWire = str
    RejectionReason = str
    RetryWith = str
    ReviewResultBaseRefResolvedFrom = str
    ReviewResultStatus = str
    Role = str
    RuleBoundNetwork = str
    RuleBoundSandbox = str
    RuleBoundWorkspace = str
    RuleScope = str
    RunDiffFileChange = str
    RunEndStatus = str
    RunStatus = str
    SandboxPolicyMode = str
    SandboxPolicyNetwork = str
    ScheduleRunReason = str
    ScheduleRunStatus = str
    SentAnchorKind = str
    SessionStrategy = str
    ShellPolicyApproval = str
    ShellRuleApproval = str
    SimulationLimit = str
    StepItemStatus = str
    StepStatus = str
    TextContentKind = str
    TokenKind = str
    TokenRole = str
    TokenStatus = str
    ToolPolicyApproval = str
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
    WorkspaceRecordCause = str
    WorkspaceRecordKind = str
    WorkspaceRecordSource = str
    WorkspaceStatus = str


class AcceptedClock(Model, frozen=True, kw_only=True):
    """The machine's time, and how many milliseconds it was ahead of the server's (0: in step)."""

    clock: datetime
    """Time of the machine."""
    ahead_ms: int
    """Milliseconds that it was ahead of the server's time."""


class ActiveRun(Model, frozen=True, kw_only=True):
    """An admitted run that has not ended and is not paused. `pid` is 0 until an executor takes it.

    `turn` is the number of the current call of the model, or of the one that requested the current tool call. The time
    of the run counts since `clock_from`, without pauses. While it waits for a person, that is absent, and `elapsed_ms`
    stands.
    """

    session_id: str
    pid: int
    """Process that runs it; 0 before one does."""
    started_at: datetime
    """When it started, or was admitted."""
    run_id: str
    trace_id: str
    """Trace id of the request that caused it."""
    turn: int
    """Number of the current model call, or of the one that requested the current tool call."""
    step: ActiveStep
    """What it does now."""
    timeout_ms: int
    """Longest time that it may take, in milliseconds."""
    harness_profile_id: str
    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    clock_from: str | None = None
    """When its time would have begun without pauses; absent while it waits for a person."""
    elapsed_ms: int | None = None
    """Milliseconds that it ran; absent unless it waits for a person."""
    agent_name: str | None = None
    """Display name of its profile; absent without one."""
    agent: str | None = None
    """Outside agent of its profile; absent without one."""
    input_preview: str | None = None
    """First 160 characters of the input, on one line."""
    cost_micro_usd: int | None = None
    """Cost of its priced model calls, in millionths of a dollar; absent before one."""
    budget_micro_usd: int | None = None
    """Budget in millionths of a dollar; absent without one."""


class ActiveStep(Model, frozen=True, kw_only=True):
    """The current step of an active run. It waits for an executor, a person, the answer of a model, or a tool.

    `position` is the event of the open call. `preview` is the beginning of its arguments, unless they were erased.
    """

    kind: ActiveStepKind
    """What it waits for: an executor, a model, a tool or a person."""
    since: str
    """When the step began."""
    position: int | None = None
    """Event of the open call; absent without one."""
    tool_name: str | None = None
    """Tool of the open call; absent if unknown."""
    tool_call_id: str | None = None
    """Id of the open call; absent without one."""
    preview: str | None = None
    """Beginning of the arguments of the call; absent without one, or once erased."""


class AgentActivity(Model, frozen=True, kw_only=True):
    """The reasoning, plan and open calls that an outside agent shows now. Nothing of it is recorded.

    `thoughts` is the end of its newest reasoning.
    """

    thoughts: str | None = None
    """End of its newest reasoning; absent without one."""
    plan: list[PlanStep] | None = None
    """Steps of its plan; absent without one."""
    calls: list[OpenCall] | None = None
    """Newest calls that have not ended, oldest first; absent without one."""


class AgentList(Model, frozen=True, kw_only=True):
    """The outside agents of this server, and their processes, oldest first.

    `memory_bytes` is the memory of all processes, `memory_bytes_max` its limit, if there is one.
    """

    agents: list[RegisteredAgent]
    """The registered agents, by name."""
    live: list[LiveAgentProcess]
    """Processes of agents that work on runs of this server, oldest first."""
    memory_bytes: int
    """Memory of all processes, a few seconds ago."""
    memory_bytes_max: int | None = None
    """Limit of this memory; absent without one."""


class AgentMatch(Model, frozen=True, kw_only=True):
    """Tool calls of this kind, or commands that begin with these words; without a field, all calls."""

    kind: AgentToolKind | None = None
    """Kind of the call, as the agent says; absent: any."""
    command: list[str] | None = None
    """First words of the command; absent: any call."""


class AgentPolicy(Model, frozen=True, kw_only=True):
    """The outside agent that works on the runs of the profile, and its rights.

    `mode` is ordered after each opening of a session. `models` maps the models that the agent asks for to the ones that
    serve it; without it only `config.model` does. The first of `permissions` that matches a call decides, else a person
    is asked.
    """

    name: str
    """A registered agent."""
    mode: str | None = None
    """Mode of its sessions; absent: the mode of the operator's file."""
    models: dict[str, str] | None = None
    """Models that it may ask for, and the models that serve them; absent: only the model of `config`."""
    permissions: list[AgentRule] | None = None
    """Approval of its tool calls; the first rule that matches decides, else a person."""


class AgentRule(Model, frozen=True, kw_only=True):
    """The approval of the tool calls that match."""

    match: AgentMatch
    """Calls that the rule is about."""
    approval: AgentRuleApproval
    """`allow`, `ask` a person before a call, or `deny`."""


class AnchorReceipt(Model, frozen=True, kw_only=True):
    """An anchor of another log that is kept here. `from` is the identity that first sent it."""

    log_id: str
    position: int
    """Position in the log."""
    chain: str
    """Chain value at the position, in hex."""
    at: str
    """When the anchor was taken."""
    from_: str
    """Identity that sent it first."""


class AnswerItem(Model, frozen=True, kw_only=True):
    """An ask to answer, with one of its options."""

    ask_id: str
    subject_hash: str
    """Hash that was shown, `subject_hash` of the ask."""
    option_id: str
    """An option of the ask."""
    note: str | None = None
    """Reason, for auditors."""


class AnsweredAsk(Model, frozen=True, kw_only=True):
    """The outcome for one ask."""

    ask_id: str
    status: AnsweredAskStatus
    """Outcome."""
    error: ItemError | None = None
    """Why it failed; absent if it did not."""


class AnsweredAsks(Model, frozen=True, kw_only=True):
    """The outcome for each ask. `more` is true if the filter covers further open asks."""

    items: list[AnsweredAsk]
    """Outcomes, in the order of the request or oldest first."""
    more: bool | None = None
    """True if the filter covers further asks; else absent."""


class AppliedChanges(Model, frozen=True, kw_only=True):
    """An apply of a run's changes: when, by which identity, and the number of files that were written."""

    at: datetime
    """When it was applied."""
    by: str
    """Identity that applied it."""
    files: int
    """Number of files written or deleted."""


class AppliedFile(Model, frozen=True, kw_only=True):
    """A file of an apply: its path, what was done with it, and the reason of a conflict."""

    path: str
    """Path in the shared workspace."""
    result: ApplyResult
    """What was done, or in a dry run would be done."""
    reason: str | None = None
    """Why it conflicts; absent otherwise."""


class AppliedRedriveFilter(Model, frozen=True, kw_only=True):
    """The filter of a redrive. Times are inclusive."""

    session_id: str | None = None
    """Only dead letters of this session."""
    source: str | None = None
    """Only dead letters of this source."""
    source_persona: str | None = None
    """Persona that sent the message; absent for queue items."""
    target_persona: str | None = None
    """Persona that the message is for; absent for queue items."""
    reason: str | None = None
    """Only dead letters with this reason."""
    created_after: datetime | None = None
    """Only what was created at this time or later."""
    created_before: datetime | None = None
    """Only what was created at this time or earlier."""


class AppliedRun(Model, frozen=True, kw_only=True):
    """An apply of a run's changes: the result for each file. The answer to a repeated key lacks the files.

    A `merged` file also has changes of the shared workspace, so it differs from the diff that was shown.
    """

    run_id: str
    workspace_id: str
    dry_run: bool
    """True if nothing was written."""
    files_changed: int
    """Number of files written or deleted."""
    files: list[AppliedFile]
    """Each file with its result; empty for a repeated key."""
    subject_hash: str
    """Hash of the changes of the run."""


class Approval(Model, frozen=True, kw_only=True):
    """A manual approval. Approvers need at least `role` and, if `approvers` is given, must be listed there.

    With `not_requester` the identities that requested or resumed the workflow run cannot approve.
    """

    message: str | None = None
    """Text for the approver."""
    approvers: list[str] | None = None
    """Identities that may decide; absent: all with the role."""
    role: ApproverRole | None = None
    """Least role of an approver; absent: `Operator`."""
    expires_after_ms: int | None = None
    """Milliseconds until it expires; absent: never."""
    on_expiry: ApprovalOnExpiry | None = None
    """Decision at expiry; absent: reject."""
    not_requester: bool | None = None
    """True: who requested or resumed the run may not approve."""


class Artifact(Model, frozen=True, kw_only=True):
    """The output of a step, which is null once redacted; then `redacted` is true.

    With `output_truncated` it is a preview, or a list of previews of the first items. The whole outputs are in the
    step's runs.
    """

    kind: ArtifactKind
    """Kind of the output."""
    output: str | None
    """Text of the output; null once redacted."""
    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    created_at: datetime
    """When it was created."""
    output_truncated: bool | None = None
    """True if it is a preview; else absent."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class ArtifactRef(Model, frozen=True, kw_only=True):
    """A reference to the output of a step."""

    step_id: str
    """Step that made it."""
    artifact_ref: str
    """Name of the output or evidence."""
    kind: ArtifactRefKind
    """Kind of the output."""
    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    created_at: datetime
    """When it was created."""
    output_chars: int
    """Length of the output in characters."""


class Ask(Model, frozen=True, kw_only=True):
    """A question to a person, open or decided.

    Of a run: `arguments` belong to the call, as JSON text, and `form` is a JSON Schema of `values`. An `editable` ask
    takes other arguments. It is `parked` if the run gave its slot back and waits for the answer. `requested_by`
    requested the run, the first one if there are more. `credentials` are the names of those that the call would carry.

    The texts are those that a person reads. `hidden` are the parts that they do not have, in the order of their marks
    in the texts: the length, and the SHA-256 of the salt and the part. Such an ask is allowed by a person only after
    `?exact=true` was read, which adds `exact`: the arguments, or the question with its form, as JSON text. `secrets`
    are the names that stand in a text in place of secrets of Athena. A character that people cannot see stands as a
    mark such as `[U+202E]`. `subject_hash` covers the exact text.

    Of a workflow approval: `subject` is the text to approve, the outputs of the steps before it, and `input` the input
    values of the workflow run. Both are absent once the run repeated such a step.

    `truncated` is true if a part is cut or left out; a list shows 4,096 characters of a text. `redacted` is true if a
    part was erased.
    """

    id: str
    kind: AskKind
    """Kind of the ask."""
    status: AskStatus
    question: str
    """Text that a person decides about."""
    subject_hash: str
    """Hash of the subject to approve."""
    options: list[AskChoice]
    """Possible answers."""
    role: ApproverRole
    """Least role that may decide; questions also take an answer of `requested_by`."""
    parked: bool
    """True if the run gave its slot back to wait for the answer."""
    editable: bool
    """True if the call may be allowed with other arguments."""
    asked_at: datetime
    """When it was asked."""
    session_id: str | None = None
    """Session that asks; absent for a workflow."""
    run_id: str | None = None
    """Run that asks; absent for a workflow."""
    harness_profile_id: str | None = None
    agent_name: str | None = None
    """Display name of its profile; absent without one."""
    requested_by: str | None = None
    """Identity that requested the run, the first one if there are more."""
    origin: AskOrigin | None = None
    """Who asks: the loop, an outside agent, or an MCP server or endpoint."""
    turn: int | None = None
    """Turn of the model that asks."""
    tool_call_id: str | None = None
    """Id of the tool call; absent without one."""
    tool_name: str | None = None
    """Name of the tool; absent without one."""
    arguments: str | None = None
    """Arguments of the call, as JSON text."""
    form: dict[str, Any] | None = None
    """JSON Schema of `values`; absent without a form."""
    credentials: list[str] | None = None
    """Names of the credentials that the call would carry; absent: none."""
    hidden: list[HiddenSpan] | None = None
    """The parts that the shown texts do not have, in the order of their marks."""
    secrets: list[str] | None = None
    """Names that stand in a text in place of secrets of Athena."""
    exact: str | None = None
    """The exact arguments, or the question with its form, as JSON text; only with `exact=true`."""
    workflow_id: str | None = None
    """Its workflow; absent for a run."""
    workflow_run_id: str | None = None
    """Workflow run that waits; absent for a run."""
    step_id: str | None = None
    """Step that waits; absent for a run."""
    subject: str | None = None
    """Text to approve: the outputs of the steps before; absent once they were replaced."""
    input: dict[str, Any] | None = None
    """Input values of the workflow run; absent without any."""
    approvers: list[str] | None = None
    """Identities that may decide; absent: all with the role."""
    not_requester: bool | None = None
    """True: who requested or resumed the run may not approve."""
    expires_at: datetime | None = None
    """When it expires; absent: never."""
    on_expiry: AskOnExpiry | None = None
    """Consequence of no answer in time: the call is refused, or the run is cancelled."""
    decided_at: datetime | None = None
    """When it was decided, expired or was cancelled; absent while open."""
    decided_by: str | None = None
    """Identity that decided; absent while open and at its expiry."""
    option_id: str | None = None
    """Option that was chosen."""
    rule_id: str | None = None
    """Permission rule that decided."""
    values: dict[str, Any] | None = None
    """Answers to the form, by field."""
    edited_arguments: str | None = None
    """Arguments that were allowed instead, as JSON text."""
    note: str | None = None
    """Note of the decision; absent without one."""
    truncated: bool | None = None
    """True if a text is cut or left out; else absent."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class AskChoice(Model, frozen=True, kw_only=True):
    """A possible answer to an ask. `name` is text: it is absent in rows, and once erased."""

    id: str
    """Id of the option."""
    kind: AskChoiceKind
    """`allow_once` allows or answers, `reject_once` refuses."""
    name: str | None = None
    """Name of the option; absent once redacted."""


class AskFilter(Model, frozen=True, kw_only=True):
    """Open asks to reject, the oldest 100."""

    kind: AskKind | None = None
    """Only asks of this kind."""
    session_id: str | None = None
    """Only asks of this session."""
    run_id: str | None = None
    """Only asks of this run."""
    harness_profile_id: str | None = None
    """Only asks of this profile."""


class AskPolicy(Model, frozen=True, kw_only=True):
    """The rules by which runs ask a person: how long they hold their slot, the expiry of an ask, and who may answer.

    Defaults: 60 seconds, one day, `deny`, and the role Operator. `not_requester` excludes who requested the run.
    """

    hold_ms: int | None = None
    """Milliseconds that a run holds its slot while it asks; 60,000 by default."""
    expires_after_ms: int | None = None
    """Milliseconds until an ask expires; one day by default."""
    on_expiry: AskPolicyOnExpiry | None = None
    """Refuse the call (`deny`, the default), or cancel the run."""
    role: ApproverRole | None = None
    """Least role of who answers; `Operator` by default."""
    approvers: list[str] | None = None
    """Identities that may answer; absent: all with the role."""
    not_requester: bool | None = None
    """True if who requested the run may not answer."""


class AuditEntry(Model, frozen=True, kw_only=True):
    """A change or an attempted change. `id` is the id of its event in the feed.

    `target` is the affected run, session, operation or document. `redacted` is true if its text was erased.
    """

    id: str
    created_at: datetime
    """When it was created."""
    kind: AuditKind
    """Kind of the entry."""
    type: str
    """Type of the event."""
    actor: str
    """Identity that did it, or a `system:` actor of the server."""
    trace_id: str
    """Trace id of the request that caused it."""
    target: str | None = None
    """Run, session, operation or document; absent without one."""
    reason: str | None = None
    """Reason that the client gave; absent without one."""
    before: dict[str, Any] | None = None
    """State before the change; absent if nothing existed."""
    after: dict[str, Any] | None = None
    """State after the change; absent for other entries."""
    details: dict[str, Any] | None = None
    """Further facts; absent without them."""
    session_id: str | None = None
    run_id: str | None = None
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class AuthCapabilities(Model, frozen=True, kw_only=True):
    """Authentication and authorization of the server."""

    enabled: bool
    """True if callers need an identity."""
    mode: AuthzMode
    """How strictly roles are enforced."""
    identity_header: str
    """Header with the identity of the caller."""


class BackgroundProblem(Model, frozen=True, kw_only=True):
    """A background loop that is failing: since when, its last error, and the number of failures since then."""

    loop: str
    """Name of the background loop."""
    since: datetime
    """Since when it fails."""
    message: str
    """Text for people."""
    count: int
    """Number of failures."""


class BinaryContent(Model, frozen=True, kw_only=True):
    """Binary content of evidence, in base64."""

    kind: BinaryContentKind
    """Bytes, in base64."""
    base64: str
    """Bytes in base64."""


class BulkItem(Model, frozen=True, kw_only=True):
    """The result for one run. `retry_run_id` is the new run of a retry.

    `status` is `selected` in a dry run. `not-running` is a run that ended before its cancellation.
    """

    run_id: str
    """Run of the filter."""
    status: BulkItemStatus
    """Result for the run."""
    retry_run_id: str | None = None
    """The new run of a retry; absent otherwise."""
    error: ItemError | None = None
    """Why it failed; absent otherwise."""


class BulkResult(Model, frozen=True, kw_only=True):
    """The result of a bulk request: counts, and the result for each run, the oldest first.

    `id` is absent in a dry run. `position` is where the request was recorded. `subject_hash` of a dry run names the
    runs that it selected.
    """

    dry_run: bool
    """True if nothing was done."""
    total: int
    """Runs of the filter."""
    done: int
    """Runs that were cancelled or retried."""
    failed: int
    """Runs whose request failed."""
    items: list[BulkItem]
    """The runs, the oldest first."""
    id: str | None = None
    """Id of the request; absent in a dry run."""
    subject_hash: str | None = None
    """Hash of the runs that a dry run selected; absent otherwise."""


class Caller(Model, frozen=True, kw_only=True):
    """The identity of the caller, its role and the operations that the role allows. `scope` narrows them further.

    `groups` are those that its proxy named and that have a role.
    """

    identity: str
    """Name of the caller."""
    role: Role
    """Role of the caller."""
    operations: list[str]
    """Ids of the operations that the role allows."""
    scope: dict[str, list[str]] | None = None
    """Names that the caller may see, by kind; absent: all."""
    token: CallerToken | None = None
    """The token that the caller sent; absent without one."""
    groups: list[str] | None = None
    """Groups that its proxy named and that have a role, highest role first; absent without one."""


class CallerToken(Model, frozen=True, kw_only=True):
    """The token of the caller: its id and expiry, if it is stored, and whether it is a session of the console."""

    session: bool
    """True for a session of the console."""
    token_id: str | None = None
    """Its id; absent for `ATHENA_AUTH_API_TOKEN`."""
    expires_at: datetime | None = None
    """When it expires; absent for `ATHENA_AUTH_API_TOKEN`."""


class CancelRequest(Model, frozen=True, kw_only=True):
    """A request to cancel a run that has not ended. `redacted` is true if its reason was erased."""

    session_id: str
    requested_at: datetime
    """When it was requested."""
    run_id: str
    reason: str | None = None
    """Reason that the client gave; absent without one or once redacted."""
    trace_id: str | None = None
    """Trace id of the request that caused it."""
    started_at: datetime | None = None
    """When the run started; absent before that."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class Cancelled(Model, frozen=True, kw_only=True):
    """The answer to a cancel."""

    status: CancelledStatus
    """`not-running`: there was nothing to cancel."""
    run_id: str | None = None
    """Run that was cancelled; absent without one."""
    session_id: str | None = None
    """Session of the request; absent without one."""


class Capabilities(Model, frozen=True, kw_only=True):
    """Features, providers, event types and limits of the server.

    `event_types` lists every event type that the server records. A browser needs the names, because `EventSource`
    delivers an event only to listeners of its type.
    """

    execution_backend: CapabilitiesExecutionBackend
    """Where runs execute."""
    state_store: CapabilitiesStateStore
    """Database of the log."""
    supports_pods: bool
    """True if runs execute in pods."""
    supports_cpu_mem_metrics: bool
    """True if CPU and memory are measured."""
    supports_sandbox: bool
    """True if this server executes runs, and a sandbox works for their commands."""
    supports_a2_abus: bool = msgspec.field(name="supportsA2ABus")
    """True if personas can send messages."""
    version: str
    """Release of the server."""
    log_id: str
    durability: CapabilitiesDurability
    """When a write is acknowledged: after `fsync`."""
    scheduler: CapabilitiesScheduler
    """Whether this server starts due schedules."""
    auth: AuthCapabilities
    """Authentication and authorization."""
    providers: list[str]
    """Names of the providers that need no key, or have one."""
    event_types: list[str]
    """All event types that this server records."""
    limits: LimitCapabilities
    """Limits of this server."""
    demo: bool | None = None
    """True on the server of `athena demo`; absent otherwise."""
    credentials: list[str] | None = None
    """Names in the credentials file, for Operators and Admins; absent without a file."""
    agents: list[str] | None = None
    """Outside agents that are registered; absent without a file."""
    sandbox: SandboxCapabilities | None = None
    """Whether a sandbox works, for Operators and Admins; absent if the server executes no runs."""


class Cause(Model, frozen=True, kw_only=True):
    """One event of the run, as a sentence.

    `after` is the run whose end admitted this one. It is absent if that run is outside of the caller's scope.
    `waited_ms` is how long the run had waited for this event.
    """

    event_id: str
    """Id of the event in the feed."""
    type: str
    """Type of the event."""
    at: datetime
    """When it happened."""
    actor: str
    """Identity that did it, or a `system:` actor of the server."""
    trace_id: str
    """Trace id of the request that caused it."""
    says: str
    """The event, in a sentence for people."""
    caused_by: str | None = None
    """Id of the event that caused it; absent without one."""
    turn: int | None = None
    """Number of the model call, from 1."""
    waited_ms: int | None = None
    """Milliseconds that the run had waited; absent if none."""
    after: str | None = None
    """Run whose end admitted this one; absent without one, or outside of the caller's scope."""


class ChangeCount(Model, frozen=True, kw_only=True):
    """The numbers of records of a kind that appeared, ended or changed. One that appeared and ended counts in both."""

    kind: ChangedKind
    """Kind of the records."""
    appeared: int
    """Number that appeared."""
    ended: int
    """Number that ended, those that appeared included."""
    changed: int
    """Number that neither appeared nor ended."""


class ChangeEvent(Model, frozen=True, kw_only=True):
    """An event of a change, without its payload."""

    id: str
    """Id of the event."""
    type: str
    """Type of the event."""
    created_at: datetime
    """When it was created."""
    trace_id: str
    """Trace id of the request that caused it."""
    actor: str | None = None
    """Identity that caused the event."""


class ChangeShare(Model, frozen=True, kw_only=True):
    """The part of a change that falls on one session, profile, template or rule."""

    name: str
    runs: int
    """Number of runs."""
    cost_usd: float
    """Cost in dollars."""


class ChangedRecord(Model, frozen=True, kw_only=True):
    """A record that appeared, ended or changed, with the number of its events and the last of them."""

    kind: ChangedKind
    """Kind of the record."""
    id: str
    """Id or name of the record."""
    events: int
    """Number of its events between the moments."""
    last: ChangeEvent
    """Its last event until the second moment."""
    appeared: ChangeEvent | None = None
    """Event that began it; absent if it was there before."""
    ended: ChangeEvent | None = None
    """Event that ended it; absent if it did not end."""


class Checkpoint(Model, frozen=True, kw_only=True):
    """The last attempt of a step."""

    attempt: int
    """Number of the attempt, from 1; 0 before the first."""
    started_at: datetime | None = None
    """When it started; absent before that."""
    finished_at: datetime | None = None
    """When it ended; absent before that."""
    artifact: Artifact | None = None
    """Output of the attempt; absent without one."""
    error: str | None = None
    """Error, as `CODE: text`; absent without one."""


class Condition(Model, frozen=True, kw_only=True):
    """A condition on an earlier step's output. If it does not hold, the step is skipped.

    `path` is a JSON pointer into the output, which must be JSON. Without `path` the output is compared as text.
    """

    step: str
    """Id of the earlier step."""
    op: ConditionOperator
    """Comparison."""
    path: str | None = None
    """JSON pointer into the output; absent: compared as text."""
    value: Any = None
    """Value to compare with."""


class ContextFile(Model, frozen=True, kw_only=True):
    """A file that the persona was shown."""

    path: str
    """Path of the file, relative to its root."""
    kind: ContextFileKind
    """Why the persona was shown it."""
    chars: int
    """Length in characters."""
    sha256: str
    """SHA-256 in hex."""
    truncated: bool
    """True if it was cut."""


class ContextMeta(Model, frozen=True, kw_only=True):
    """Report of how the context of a run was compiled. Sizes are in characters."""

    initial_strategy: ContextStrategy
    """Strategy at the start."""
    final_strategy: ContextStrategy
    """Strategy at the end."""
    overflow_recovered: bool
    """True if it was too large and was made to fit."""
    overflow_attempts: int
    """Attempts to shrink the context."""
    initial_chars: int
    """Size before shrinking, in characters."""
    final_chars: int
    """Size at the end, in characters."""
    effective_max_chars: int
    """Largest allowed context, in characters."""
    steps: list[ContextStep]
    """Steps, in order."""


class ContextStep(Model, frozen=True, kw_only=True):
    """An attempt to shrink a context, with the sizes before and after in characters."""

    kind: ContextStepKind
    """How the context was made smaller."""
    applied: bool
    """True if the smaller context was used."""
    before_chars: int | None = None
    """Size before it, in characters."""
    after_chars: int | None = None
    """Size after it, in characters."""
    details: str | None = None
    """What was shortened; absent if nothing."""


class CostSummary(Model, frozen=True, kw_only=True):
    """Consumption since the start of the month (UTC). Breakdowns have the 50 highest costs."""

    month: str
    """UTC month, as `2026-01`."""
    window_start: datetime
    window_end: datetime
    total_estimated_spend_usd: float
    """Cost of the month in dollars."""
    persona_breakdown: list[PersonaSpend]
    """By persona, highest cost first."""
    provider_breakdown: list[ProviderSpend]
    """By provider, highest cost first."""
    profile_breakdown: list[ProfileSpend]
    """By harness profile, highest cost first."""
    session_breakdown: list[SessionSpend]
    """By session, highest cost first."""
    token_mix: TokenMix
    """Tokens of the month."""
    unpriced_calls: int
    """Model calls without a known price."""
    today: DaySpend
    """Costs of the day."""


class CreatedToken(Model, frozen=True, kw_only=True):
    """A new token. `token` is its text: it is answered once, and the answer to a repeated key lacks it."""

    token_id: str
    """Id of the token or session."""
    kind: TokenKind
    """A token, or a session of the console."""
    status: TokenStatus
    identity: str
    """Identity of its requests."""
    role: Role
    """Highest role of its requests."""
    created_by: str
    """Identity that created it."""
    created_at: datetime
    """When it was created."""
    expires_at: datetime
    """When it expires."""
    scope: dict[str, list[str]] | None = None
    """Names that it may concern, by kind; absent: all."""
    note: str | None = None
    """Note of the Admin who created it; absent once redacted."""
    parent_id: str | None = None
    """Token that opened the session; absent for a token."""
    revoked_at: datetime | None = None
    """When it was revoked; absent while it is not."""
    revoked_by: str | None = None
    """Identity that revoked it; absent otherwise."""
    last_used_at: datetime | None = None
    """When it was last used, exact to a minute; absent before that."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""
    token: str | None = None
    """The text of the token, answered once."""


class CurrentWait(Model, frozen=True, kw_only=True):
    """The one thing that a run waits for now, and since when. `asks` are its open asks, if it waits for answers."""

    reason: CurrentWaitReason
    """What the run waits for."""
    since: datetime
    """Since when it waits."""
    says: str
    """The event, in a sentence for people."""
    position: int | None = None
    """Place in the queue, from 1; absent if not queued."""
    blocked_by: str | None = None
    """Run ahead of it; absent without one, or outside of the caller's scope."""
    turn: int | None = None
    """Number of the model call; absent outside of one."""
    tool_name: str | None = None
    """Name of the tool; absent without one."""
    tool_call_id: str | None = None
    """Id of the tool call; absent without one."""
    asks: list[str] | None = None
    """Ids of the open asks that it waits for."""


class DaySpend(Model, frozen=True, kw_only=True):
    """Cost of the UTC day so far, the amount reserved by runs, and the daily budget of the policy, if any."""

    day: str
    """UTC day, as `2026-01-31`."""
    spent_usd: float
    """Dollars spent on the day."""
    reserved_usd: float
    """Dollars that running runs have reserved."""
    budget_usd: float | None = None
    """Daily budget of the policy in dollars; absent without one."""


class DeadLetter(Model, frozen=True, kw_only=True):
    """Work that failed for good, and the decision about it.

    `retry_count` is the number of retries, including a requeue that has not run yet. `attempts` lists the errors,
    oldest first; `first_error` and `last_error` are its ends.

    `requeued_item_ids` or `requeued_message_id` name the work that a requeue created. `requeued_from` is the dead
    letter that this work was requeued from.
    """

    id: str
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When it last changed."""
    status: DeadLetterStatus
    payload: dict[str, Any]
    """The work; empty once redacted."""
    source: DeadLetterSource
    """`work`: a queue item. `a2a`: a message."""
    session_id: str
    reason: DeadLetterReason
    """Why the work could not be done."""
    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    error: str
    """Text of the error; `(erased)` once redacted."""
    retry_count: int
    """Attempts and requeues after the first attempt."""
    items: list[DeadLetterItem]
    """Queue items that it holds."""
    attempts: list[DeadLetterError]
    """Errors of the attempts, oldest first."""
    first_error: DeadLetterError
    """Error of the first attempt."""
    last_error: DeadLetterError
    """Error of the last attempt."""
    source_persona: str | None = None
    """Persona that sent the message; absent for queue items."""
    target_persona: str | None = None
    """Persona that the message is for; absent for queue items."""
    message_id: str | None = None
    """Id of the message; absent if it is not from one."""
    requeued_from: str | None = None
    """Dead letter that it was requeued from; absent otherwise."""
    requeued_item_ids: list[str] | None = None
    """Items that a requeue created; absent before one."""
    requeued_message_id: str | None = None
    """Message that a requeue created; absent otherwise."""
    decided_by: str | None = None
    """Identity of the last decision; absent before one."""
    audit_note: str | None = None
    """Reason of the decision, for auditors."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class DeadLetterError(Model, frozen=True, kw_only=True):
    """The error of an attempt. `run_id` is absent if there was no run."""

    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    message: str
    """Text for people."""
    at: datetime
    """When it happened."""
    run_id: str | None = None


class DeadLetterItem(Model, frozen=True, kw_only=True):
    """A work item of a dead letter."""

    item_id: str
    mode: QueueMode
    """`followup`: a run of its own. `collect`: consecutive items share one run."""
    chars: int
    """Length in characters."""


class DecidedDeadLetter(Model, frozen=True, kw_only=True):
    """A dead letter after a decision. `updated` is false if it was already in this state."""

    id: str
    status: DeadLetterStatus
    updated: bool
    """False if it already was in this state."""
    item: DeadLetter
    """The dead letter."""


class Dependency(Model, frozen=True, kw_only=True):
    """An edge of the graph: `to` starts after `from`."""

    from_: str
    """Step that ends first."""
    to: str
    """Step that starts after it."""
    mappings: list[OutputMapping] | None = None
    """Outputs that fill placeholders."""


class DependencyInspection(Model, frozen=True, kw_only=True):
    """The changes of dependencies."""

    status: DependencyInspectionStatus
    detected_ecosystem: str | None = None
    """Package ecosystem; absent if unknown."""
    notes: str | None = None
    """Remarks."""
    added_imports: list[str] | None = None
    """Imports that were added."""
    changed_manifests: list[str] | None = None
    """Manifests that changed."""


class DependencyReadiness(Model, frozen=True, kw_only=True):
    """The number of dependencies of a step that are ok, and the ids of the others."""

    total_dependencies: int
    """Number of dependencies."""
    ready_dependencies: int
    """Dependencies that are ok."""
    blocking_step_ids: list[str]
    """Dependencies that are not ok."""


class Diff(Model, frozen=True, kw_only=True):
    """The difference between two moments. The counts are of the whole difference, the items of one page.

    Without counts, a page may have fewer items than its limit although another one follows.
    """

    from_: DiffEnd
    """The first moment."""
    to: DiffEnd
    """The second moment."""
    items: list[ChangedRecord]
    """Records with events between the moments, last changed first."""
    counts: list[ChangeCount] | None = None
    """Numbers of all records, by kind; absent without `counts`."""
    next_cursor: str | None = None
    """Cursor of the next page; absent on the last."""


class DiffEnd(Model, frozen=True, kw_only=True):
    """A moment: a position, with the id and the time of its event. Before the first event it has only a position."""

    position: int
    """Its position; 0 is before the first event."""
    id: str | None = None
    """Id of the event; absent before the first one."""
    created_at: datetime | None = None
    """Time of the event; absent before the first one."""


class Directive(Model, frozen=True, kw_only=True):
    """A directive. `input` is null once redacted. `shadow` is true if a run created it from plain input.

    `redacted` is true if its text was erased.
    """

    id: str
    input: str | None
    """Text of the task; null once redacted."""
    created_at: datetime
    """When it was created."""
    context_refs: list[str] | None = None
    """Files and URLs that the run's context names."""
    metadata: dict[str, str] | None = None
    """Names and values of the client."""
    shadow: bool | None = None
    """True if a run created it from plain input; else absent."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class DrainError(Model, frozen=True, kw_only=True):
    """The error that stopped a drain."""

    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    message: str
    """Text for people."""


class DrainResult(Model, frozen=True, kw_only=True):
    """The result of a drain."""

    status: DrainResultStatus
    """`already-draining`: another drain does the work."""
    drained_items: int
    """Items done."""
    queue_depth_before: int
    """Waiting items at the start."""
    queue_depth_after: int
    """Waiting items at the end."""


class DryRun(Model, frozen=True, kw_only=True):
    """The effect of a resume: the steps that would restart, those that would be kept, or a new run."""

    resets: list[str]
    """Steps that would start again."""
    keeps: list[str]
    """Steps that would stay as they are."""
    starts_new_run: bool
    """True if a new run would start."""


class Egress(Model, frozen=True, kw_only=True):
    """A host, and optionally a port, that tool `http` may reach."""

    host: str
    """Host name."""
    port: int | None = None
    """Port; absent: any."""


class Eta(Model, frozen=True, kw_only=True):
    """The estimated end of a run, from earlier durations of its steps, along the longest path."""

    computed_at: datetime
    """When it was estimated."""
    source: EtaSource
    """What the estimate is based on."""
    historical_sample_size: int
    """Durations that the estimate uses."""
    estimated_remaining_ms: int | None = None
    """Mean remaining time in milliseconds; absent without history."""
    estimated_completion_at: datetime | None = None
    """When it should end; absent without history."""
    remaining_ms: dict[str, int] | None = None
    """Remaining milliseconds by quantile: `p50`, `p80`, `p95`."""
    held: EtaAccuracy | None = None
    """How good earlier estimates were; absent without runs."""


class EtaAccuracy(Model, frozen=True, kw_only=True):
    """The accuracy of estimates: the number of recent runs, and the share that ended within each quantile."""

    runs: int
    """Number of runs."""
    p50: float
    """Share of runs within the 50 % estimate, 0 to 1."""
    p80: float
    """Share of runs within the 80 % estimate, 0 to 1."""
    p95: float
    """Share of runs within the 95 % estimate, 0 to 1."""


class Evidence(Model, frozen=True, kw_only=True):
    """Evidence of a run with its content, which is null once redacted.

    `sha256` is the hash of the bytes of `content_salt` and the content, in this order. JSON is hashed as it was
    recorded.
    """

    schema_version: int
    """Version of this shape."""
    id: str
    run_id: str
    trace_id: str
    """Trace id of the request that caused it."""
    label: str
    """Label of the evidence."""
    type: EvidenceType
    """Type of the content."""
    size_bytes: int
    """Size in bytes."""
    sha256: str
    """SHA-256 in hex of the salt and the content."""
    source: EvidenceSource
    """Part of the run that attached it."""
    stale: bool
    """True if the workspace changed afterwards."""
    position: int
    """Position in the log."""
    event_id: str
    """Id of the event in the feed."""
    created_at: datetime
    """When it was created."""
    artifact_ref: str
    """Name of the output or evidence."""
    session_id: str | None = None
    tool_call_id: str | None = None
    """Id of the tool call; absent without one."""
    policy_id: str | None = None
    """Verification policy that made it; absent without one."""
    exit_code: int | None = None
    """Exit code of the command; absent without one."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""
    content: EvidenceContent | None
    """The content; null once redacted."""
    content_salt: str | None = None
    """Salt of `sha256`; absent once redacted."""

    def __post_init__(self) -> None:
        value = _variant(self.content, "kind", {"text": TextContent, "json": JsonContent, "binary": BinaryContent})
        msgspec.structs.force_setattr(self, "content", value)


class EvidenceFile(Model, frozen=True, kw_only=True):
    """A file of the review that serves as evidence."""

    id: str
    label: str
    """Label of the evidence."""
    sha256: str
    """SHA-256 in hex."""
    artifact_path: str
    """Path of the file."""
    type: EvidenceType
    """Type of the content."""
    size_bytes: int
    """Size in bytes."""
    created_at: datetime
    """When it was created."""


class EvidenceRecord(Model, frozen=True, kw_only=True):
    """Evidence of a run without its content.

    `stale` is true if the run changed the workspace afterwards. `label` is empty if the model chose it and it was
    redacted.
    """

    schema_version: int
    """Version of this shape."""
    id: str
    run_id: str
    trace_id: str
    """Trace id of the request that caused it."""
    label: str
    """Label of the evidence."""
    type: EvidenceType
    """Type of the content."""
    size_bytes: int
    """Size in bytes."""
    sha256: str
    """SHA-256 in hex of the salt and the content."""
    source: EvidenceSource
    """Part of the run that attached it."""
    stale: bool
    """True if the workspace changed afterwards."""
    position: int
    """Position in the log."""
    event_id: str
    """Id of the event in the feed."""
    created_at: datetime
    """When it was created."""
    artifact_ref: str
    """Name of the output or evidence."""
    session_id: str | None = None
    tool_call_id: str | None = None
    """Id of the tool call; absent without one."""
    policy_id: str | None = None
    """Verification policy that made it; absent without one."""
    exit_code: int | None = None
    """Exit code of the command; absent without one."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class Explanation(Model, frozen=True, kw_only=True):
    """The account of how a run got its status.

    In a long history the middle is left out; `omitted` counts the events left out. For a `rejected` run, `plan` and
    `request` are present if they were recorded. `redacted` is true if the request was erased.
    """

    run_id: str
    session_id: str
    status: ExplainedRunStatus
    causes: list[Cause]
    """Events of the run, oldest first."""
    waits_for: CurrentWait | None
    """What it waits for now; null after its end."""
    omitted: int = 0
    """Events left out in the middle."""
    parent_run_id: str | None = None
    """The run that started it; absent without one."""
    plan: RefusedPlan | None = None
    """What the refusal depended on; absent in old logs."""
    request: RefusedRequest | None = None
    """The refused request; absent in old logs and once redacted."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class FileSnapshot(Model, frozen=True, kw_only=True):
    """A changed file as it is at the head commit."""

    path: str
    """Path of the file, relative to its root."""
    content: str
    """Text of the file."""
    truncated: bool
    """True if it was cut."""


class FilesMatch(Model, frozen=True, kw_only=True):
    """Calls on a path or below it, relative to the tool's directory, with one of these actions; any without a field."""

    path: str | None = None
    """The path, or a directory above it; absent: any."""
    actions: list[FilesMatchActions] | None = None
    """Only these actions; absent: all."""


class FilesPolicy(Model, frozen=True, kw_only=True):
    """The rights of tool `files` below `directory` in the workspace: read, and with `write` also change.

    Approval is decided as for `shell`.
    """

    approval: FilesPolicyApproval | None = None
    """`allow` (the default), `ask` a person before a call, or `deny`."""
    directory: str | None = None
    """Directory in the workspace; absent: its root."""
    write: bool = False
    """True to allow changes."""
    file_bytes_max: int | None = None
    """Largest file, in bytes."""
    rules: list[FilesRule] | None = None
    """Approval of some calls; the first that matches decides."""


class FilesRule(Model, frozen=True, kw_only=True):
    """The approval of the calls that match."""

    match: FilesMatch
    """Calls that the rule is about."""
    approval: FilesRuleApproval
    """`allow` (the default), `ask` a person before a call, or `deny`."""


class Finding(Model, frozen=True, kw_only=True):
    """A finding of a review; P1 forbids a merge."""

    priority: FindingPriority
    """P1 forbids the merge."""
    confidence: float
    """Confidence, 0 to 1."""
    title: str
    """Title of the finding."""
    message: str
    """Text for people."""
    suggestion: str | None = None
    """Suggested change; absent without one."""
    file: str | None = None
    """File of the finding; absent without one."""
    line: int | None = None
    """Line of the finding; absent without one."""


class FindingCounts(Model, frozen=True, kw_only=True):
    """The number of findings by priority."""

    p1: int
    """Findings of priority P1."""
    p2: int
    """Findings of priority P2."""
    p3: int
    """Findings of priority P3."""


class FireTime(Model, frozen=True, kw_only=True):
    """A scheduled time, in UTC and in local time of the schedule's timezone (UTC by default)."""

    utc: datetime
    """Time in UTC."""
    local: datetime
    """Local time with its offset."""


class FireTimePage(Model, frozen=True, kw_only=True):
    """Part of a list. `next_cursor` is present if more follows."""

    items: list[FireTime]
    """Items of this page."""
    next_cursor: str | None = None
    """Cursor of the next page; absent on the last."""


class FleetCapabilities(Model, frozen=True, kw_only=True):
    """The metrics that are available for the machines."""

    supports_pod_status: bool
    """True if the state of pods is known."""
    supports_cpu_mem_metrics: bool
    """True if CPU and memory are measured."""


class FleetQueue(Model, frozen=True, kw_only=True):
    """Waiting work: runs and the age of the oldest, queue items, their sessions, and dead letters.

    `without_executor` counts running runs that no executor has taken.
    """

    waiting: int
    """Queued runs."""
    without_executor: int
    """Running runs that no executor has taken."""
    sessions: int
    """Sessions with waiting work."""
    items: int
    """Waiting queue items."""
    dead_letters: int
    """Dead letters without a decision."""
    oldest_waiting_since: datetime | None = None
    """When the oldest waiting run was queued; absent without one."""


class FleetSeries(Model, frozen=True, kw_only=True):
    """The fleet over time, in intervals of equal length from `start` to `end`.

    `all` counts everything. `lines` are the busiest models, profiles or error codes, at most 10, and `other` is the
    rest. Only runs that failed, timed out or crashed have an error code.
    """

    start: str
    """Start of the first interval."""
    end: str
    """End of the last interval."""
    step_seconds: int
    """Length of an interval, in seconds."""
    intervals: int
    """Number of intervals."""
    all: SeriesLine
    """Counts of everything."""
    lines: list[SeriesLine]
    """Counts by name, the busiest first, at most 10."""
    other: SeriesLine | None = None
    """Counts of all further names; absent without any."""


class FleetSummary(Model, frozen=True, kw_only=True):
    """Summary of the fleet.

    `total` counts all runs ever admitted. `failed` counts those that failed, timed out or crashed, and `cancelled`
    those that were cancelled; `outcomes` has each number. `pending` counts sessions with waiting runs or queue items,
    and `open_asks` what waits for a person. `paused` counts runs that wait for money or a person, also in line after
    the answer. `halted` is true while no work may begin. `error_rate` is failed divided by total, and `uptime` is 1
    minus that.
    """

    total: int
    """Runs ever admitted."""
    running: int
    """Runs that are active."""
    paused: int
    """Runs that are paused."""
    pending: int
    """Sessions with waiting work."""
    succeeded: int
    """Runs that completed."""
    failed: int
    """Runs that ended without an answer."""
    cancelled: int
    """Number that were cancelled."""
    uptime: float
    """1 minus `error_rate`."""
    error_rate: float
    """`failed` divided by `total`, 0 to 1."""
    capabilities: FleetCapabilities
    """Measurements that exist."""
    operational_summary: OperationalSummary
    """Active runs and recent failures."""
    cost_summary: CostSummary
    """Costs of the month."""
    outcomes: RunOutcomes
    """Runs by outcome."""
    withdrawn: int
    """Queued runs that ended before they were admitted."""
    queue: FleetQueue
    """Waiting work."""
    recent: FleetWindow
    """The last 24 hours."""
    open_asks: int
    """Asks that wait for a person."""
    halted: bool
    """True while no work may begin."""
    oldest_ask_since: str | None = None
    """Time of the oldest open ask; absent if none is open."""


class FleetWindow(Model, frozen=True, kw_only=True):
    """Events of the window: the current hour and the 23 before it."""

    window_start: datetime
    admitted: int
    """Number that were admitted."""
    outcomes: RunOutcomes
    """Runs by outcome."""
    refused: int
    """Runs that the policy refused."""
    denied: int
    """Requests that a role did not allow."""
    suppressed: int
    """Refusals that were only counted."""
    run_times: RunTimes
    """Durations of completed runs."""


class ForgottenEntry(Model, frozen=True, kw_only=True):
    """The answer to a request to forget an entry; `removed` is False if it was forgotten before.

    `left` names the places that may still hold its text.
    """

    id: str
    removed: bool
    """False if it did not exist."""
    left: list[TextTrace] | None = None
    """Places that may still hold the text; absent if none."""


class FoundId(Model, frozen=True, kw_only=True):
    """The id of a record, and its kind. Evidence also has its run, and a record found by its name has that."""

    kind: RecordKind
    """Kind of the record."""
    id: str
    """Id of the record."""
    run_id: str | None = None
    """Run of the evidence; else absent."""
    name: str | None = None
    """Name that the record was found by; else absent."""


class FoundIds(Model, frozen=True, kw_only=True):
    """At most ten ids that begin or end with the given part, or whose records have it in their names."""

    items: list[FoundId]
    """The ids."""


class HaltRecord(Model, frozen=True, kw_only=True):
    """The halt of the plane, if there is one: who halted it, when, and why.

    `running` counts the admitted runs, which go on, and `waiting` the runs in line. `cancelled` counts the runs whose
    cancellation this request asked for.
    """

    halted: bool
    """True while no work may begin."""
    running: int
    """Runs that hold a slot and go on."""
    waiting: int
    """Runs in line."""
    by: str | None = None
    """Identity that halted all work; absent without a halt."""
    since: str | None = None
    """When the halt began; absent without one."""
    reason: str | None = None
    """Why all work is halted; absent without a halt."""
    cancelled: int | None = None
    """Runs whose cancellation was requested; only in answers to `cancel_running`."""


class HarnessConfig(Model, frozen=True, kw_only=True):
    """The model and the tools of a harness profile, and the names of the credentials that its requests may carry."""

    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    tools: list[str]
    """Names of the tools that the run may use."""
    credentials: list[str] | None = None
    """Names of credentials that requests of `http` to their hosts carry; absent: none."""


class HarnessPolicies(Model, frozen=True, kw_only=True):
    """The limits of a run: milliseconds, attempts of a model call, dollars (0: no budget), and model calls."""

    timeout_ms: int
    """Timeout of a run in milliseconds."""
    retry_limit: int
    """Most attempts of a model call."""
    budget_usd: float
    """Budget of a run in dollars; 0: none."""
    max_turns: int | None = None
    """Most model calls of a run; absent: the default."""


class HarnessProfile(Model, frozen=True, kw_only=True):
    """A harness profile with its id."""

    display_name: str
    """Name for people."""
    version: HarnessVersion
    """Version of this shape."""
    config: HarnessConfig
    """Model, tools, and names of credentials."""
    policies: HarnessPolicies
    """Limits of a run."""
    tool_policies: ToolPolicies | None = None
    """Rules of the tools; absent: `shell` runs nothing and `files` reads."""
    allowed_egress: list[Egress] | None = None
    """Hosts that tool `http` may reach; absent: none."""
    verification_policies: list[VerificationPolicy] | None = None
    """Conditions of a verified answer; absent: none."""
    asks: AskPolicy | None = None
    """How its runs ask a person; absent: the defaults."""
    sandbox: SandboxPolicy | None = None
    """Sandbox of the commands of its runs; absent: none."""
    workspace: HarnessProfileWorkspace | None = None
    """Where its runs work; absent: in the shared workspace."""
    agent: AgentPolicy | None = None
    """Outside agent that works on its runs; absent: the loop of Athena."""
    mcp: dict[str, McpPolicy] | None = None
    """Tools of MCP servers that its runs may call, by server; absent: none."""
    id: str
    created_at: datetime
    """When it was created."""


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
    now: datetime
    """Time of the server."""
    head: int
    """Position of the last event."""
    lag: int
    """Events that the views are behind."""
    queue: int
    """Transactions that wait to be written."""
    streams: int
    """Open streams."""
    executor: str
    """Id of this server in the list of workers."""
    loop_block_ms: float
    """Longest block of the event loop in the last minutes, in milliseconds; 0 below 20."""
    clock_ahead_ms: int
    """Milliseconds that the machine's clock has jumped ahead, until it is accepted."""
    clock_behind_log_ms: int
    """Milliseconds that the server's time is behind the last event."""
    projections: dict[str, ProjectionHealth]
    """State of each projection, by name."""
    problems: list[BackgroundProblem]
    """Background loops that are failing."""
    generation: str | None = None
    """File of the views that serve reads; absent before the first."""
    candidate: str | None = None
    """File of the views that will replace `generation`; absent without one."""
    reason: str | None = None
    """Why reads or writes fail; absent if they do not."""


class HiddenSpan(Model, frozen=True, kw_only=True):
    """A part that a shown text hides. `sha256` is the hash of the salt and the part."""

    chars: int
    """Length of the part, in characters."""
    sha256: str
    """Hash of a secret salt and the part, hex. Its first 12 characters stand in the mark."""


class HttpMatch(Model, frozen=True, kw_only=True):
    """Requests to a host (or `*.` and its parent) with one of these methods; without a field, to any."""

    host: str | None = None
    """Host name, or `*.` and its parent; absent: any."""
    methods: list[HttpMethod] | None = None
    """Only these methods; absent: all."""


class HttpPolicy(Model, frozen=True, kw_only=True):
    """The methods and limits of tool `http` on the hosts of `allowed_egress`. The limits apply to one call.

    Approval is decided as for `shell`.
    """

    approval: HttpPolicyApproval | None = None
    """`allow` (the default), `ask` a person before a call, or `deny`."""
    methods: list[HttpMethod] | None = None
    """Allowed HTTP methods."""
    timeout_ms: int | None = None
    """Timeout in milliseconds."""
    response_bytes_max: int | None = None
    """Largest response, in bytes."""
    rules: list[HttpRule] | None = None
    """Approval of some calls; the first that matches decides."""


class HttpRule(Model, frozen=True, kw_only=True):
    """The approval of the requests that match."""

    match: HttpMatch
    """Calls that the rule is about."""
    approval: HttpRuleApproval
    """`allow` (the default), `ask` a person before a call, or `deny`."""


class ItemCounts(Model, frozen=True, kw_only=True):
    """The number of items of a step, in total and by status."""

    total: int
    """Number in all."""
    pending: int
    """Number that are pending."""
    running: int
    """Number that are running."""
    ok: int
    """Number that are ok."""
    failed: int
    """Number that failed."""
    cancelled: int
    """Number that were cancelled."""


class ItemError(Model, frozen=True, kw_only=True):
    """The reason why an item was not changed."""

    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    message: str
    """Text for people."""


class JsonContent(Model, frozen=True, kw_only=True):
    """JSON content of evidence."""

    kind: JsonContentKind
    """JSON as text."""
    value: Any
    """Any JSON value."""


class KeptAnchor(Model, frozen=True, kw_only=True):
    """A kept anchor: the chain value (hex) of another log at `position`.

    `at` is when the anchor was taken, by the sender's clock. `from` is the sender's identity. `kept_at` is when this
    server recorded the anchor.
    """

    log_id: str
    position: int
    """Position in the log."""
    chain: str
    """Chain value at the position, in hex."""
    at: str
    """When the anchor was taken."""
    from_: str
    """Identity that sent it first."""
    kept_at: datetime
    """When it was stored here."""


class KeyLimit(Model, frozen=True, kw_only=True):
    """A limit of concurrent runs of one session, provider, harness profile or agent; without `key` one for each.

    Runs above `max` are refused or queued. A limit with a key replaces the general one. A run counts at every provider
    that it may call, including its fallbacks.
    """

    scope: LimitScope
    """What the limit counts by."""
    max: int
    """Most active runs."""
    strategy: LimitStrategy
    """What happens to runs above the limit."""
    key: str | None = None
    """Session, provider or profile; absent: each of them."""


class LimitCapabilities(Model, frozen=True, kw_only=True):
    """The limits that apply to requests, runs and streams."""

    body_bytes_max: int
    """Largest request body, in bytes."""
    json_depth_max: int
    """Deepest nesting of JSON in a body."""
    page_items_max: int
    """Most items of a page."""
    page_bytes_max: int
    """Largest items of a page, in bytes."""
    feed_scan_events_max: int
    """Most events that one page of the feed reads."""
    diff_events_max: int
    """Most events between the two moments of a diff."""
    run_timeout_ms: int
    """Default timeout of a run, in milliseconds."""
    context_chars_max: int
    """Largest context, in characters."""
    idempotency_hours: int
    """Hours that a key is kept."""
    idempotency_key_chars_max: int
    """Longest `Idempotency-Key`, in characters."""
    reason_chars_max: int
    """Longest reason, note or comment, in characters."""
    header_bytes_max: int
    """Largest header fields, in bytes."""
    headers_max: int
    """Most header fields."""
    url_bytes_max: int
    """Longest path and query, in bytes."""
    header_timeout_ms: int
    """Longest time to receive a head, in milliseconds."""
    body_timeout_ms: int
    """Longest time to receive a body, in milliseconds."""
    bodies_in_flight_bytes_max: int
    """Most bytes of all bodies being received."""
    answers_in_flight_bytes_max: int
    """Most bytes of all large answers being sent."""
    send_timeout_ms: int
    """Milliseconds until a client that stops reading is cut off."""
    streams_max: int
    """Most open streams."""
    streams_per_identity_max: int
    """Most open streams of an identity."""
    refusals_per_second: int
    """Refusals of an identity and operation, per second."""
    refusals_per_day: int
    """Refusals of an identity that are recorded one by one, per day."""
    refusals_per_day_in_all: int
    """Refusals of all that are recorded one by one, per day."""
    requests_per_second: int | None = None
    """Requests of an identity, per second; absent without authentication."""


class LiveAgentProcess(Model, frozen=True, kw_only=True):
    """A process of an outside agent that works on a run of this server.

    `memory_bytes` is its resident memory with all that it started, a few seconds ago. A process that is `waiting` waits
    for answers of people.
    """

    agent: str
    """Name of the agent."""
    run_id: str
    session_id: str
    since: str
    """When the process started."""
    memory_bytes: int
    """Resident memory of the process and all that it started, a few seconds ago."""
    waiting: bool
    """True if it waits for answers of people."""


class LoggedOut(Model, frozen=True, kw_only=True):
    """The session that ended; absent if the caller had none."""

    token_id: str | None = None
    """The session that ended; absent if there was none."""


class MapOver(Model, frozen=True, kw_only=True):
    """A list from an earlier step's output or from the workflow's input. The step runs once for each item.

    `path` is a JSON pointer to the list. The item fills the placeholder `item` (or `item_name`), its index fills
    `index`.
    """

    step: str | None = None
    """Step whose output has the list."""
    input: str | None = None
    """Workflow input with the list."""
    path: str | None = None
    """JSON pointer to the list; absent: the whole value."""
    item_name: str | None = None
    """Placeholder for the item; absent: `item`."""
    max_parallel: int | None = None
    """Most items at once."""


class McpDefinition(Model, frozen=True, kw_only=True):
    """A tool in the words of its server. If its text was erased, only the hash is left."""

    sha256: str
    """Hash of the definition, hex."""
    title: str | None = None
    """Name for people."""
    description: str | None = None
    """Description for models."""
    input_schema: dict[str, Any] | None = None
    """JSON Schema of the arguments."""
    output_schema: dict[str, Any] | None = None
    """JSON Schema of the structured result."""
    annotations: dict[str, Any] | None = None
    """Hints of the server, such as `read_only_hint`."""


class McpMatch(Model, frozen=True, kw_only=True):
    """Tools whose name matches a pattern."""

    tool: str
    """A name, or a pattern with `*`."""


class McpPolicy(Model, frozen=True, kw_only=True):
    """The tools of an MCP server that runs may call, as names or patterns with `*`.

    The first of `rules` that matches a tool decides whether its calls need approval, else `approval` does. Without it a
    person is asked.
    """

    tools: list[str]
    """Names of tools, or patterns with `*`."""
    approval: McpPolicyApproval | None = None
    """`allow`, `ask` a person before a call (the default), or `deny`."""
    rules: list[McpRule] | None = None
    """Approval of some calls; the first that matches decides."""


class McpRule(Model, frozen=True, kw_only=True):
    """The approval of the tools that match."""

    match: McpMatch
    """Calls that the rule is about."""
    approval: McpRuleApproval
    """`allow`, `ask` a person before a call, or `deny`."""


class McpServerDetails(Model, frozen=True, kw_only=True):
    """An MCP server with its tools."""

    server: McpServerEntry
    """The server as lists show it."""
    tools: list[McpToolEntry]
    """Its tools, as listed last; then removed ones."""
    subject_hash: str | None = None
    """Hash of the last list, hex. An acceptance names it."""
    listing_sha256: str | None = None
    """The same as `subject_hash`, under its name of release 0.2."""
    note: str | None = None
    """Note of the last acceptance."""


class McpServerEntry(Model, frozen=True, kw_only=True):
    """An MCP server that is registered here, or that was listed once."""

    server: str
    """Name of the server in the operator's file."""
    registered: bool
    """True if it is in the file of this server."""
    state: McpServerEntryState
    """`unlisted`, `current` if it listed what was accepted, else `changed`."""
    tools: int
    """Number of tools that it listed last."""
    changed: int
    """Number of tools that are changed, new or removed since."""
    transport: McpServerEntryTransport | None = None
    """`stdio` for a program, `http` for a URL; absent if it is not registered here."""
    server_info: McpServerWords | None = None
    """Its name and version, in its own words."""
    protocol_version: str | None = None
    """Version of the protocol of the last list."""
    listed_at: datetime | None = None
    """When its tools were recorded last."""
    accepted_at: datetime | None = None
    """When tools were accepted last; absent: only the first list."""
    accepted_by: str | None = None
    """Who accepted them."""
    missing: list[str] | None = None
    """What this machine lacks for it; absent: nothing, or for other roles."""


class McpServerList(Model, frozen=True, kw_only=True):
    """The MCP servers."""

    servers: list[McpServerEntry]
    """The servers, by name."""


class McpServerWords(Model, frozen=True, kw_only=True):
    """The name and the version of an MCP server, in its own words."""

    name: str | None = None
    """Name of the program."""
    version: str | None = None
    """Version of the program."""


class McpToolEntry(Model, frozen=True, kw_only=True):
    """A tool of an MCP server, as it was listed last and as it was accepted."""

    name: str
    """Name of the tool by its server."""
    public_name: str
    """Name of the tool for models and outside agents."""
    state: McpToolEntryState
    """`accepted`, `changed` or `new` since the acceptance, or `removed` from the list."""
    read_only: bool | None = None
    """True if the server says that calls change nothing."""
    listed: McpDefinition | None = None
    """The tool as it was listed last."""
    accepted: McpDefinition | None = None
    """The tool as it was accepted, if that differs."""


class MemoryEntry(Model, frozen=True, kw_only=True):
    """A memory entry. `citation` is its name in search results and in the metadata of transcripts."""

    id: str
    text: str
    chars: int
    """Length in characters."""
    created_at: datetime
    """When it was created."""
    citation: str
    """Name of the passage, for a transcript."""
    metadata: dict[str, str] | None = None
    """Names and values of the client."""


class Message(Model, frozen=True, kw_only=True):
    """A message between personas. `payload` is null once redacted.

    `status` is `sent`, `started`, `completed` or `failed`. `hops` is the length of the chain of messages up to this
    one. `attempts` is the number of runs that processed it. `redacted` is true if its text was erased.
    """

    message_id: str
    """Id of the message; absent if it is not from one."""
    from_persona: str
    """Persona that sends the message."""
    to_persona: str
    """Persona that receives the message."""
    session_id: str
    status: MessageStatus
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When it last changed."""
    payload: str | None
    """Text of the message, or JSON as text; null once redacted."""
    hops: int
    """Messages in the chain up to this one."""
    attempts: int
    """Number of runs that processed it."""
    sent_by: str
    """Identity that sent it."""
    task_id: str | None = None
    """Task of the sender; absent without one."""
    step_id: str | None = None
    """Id of the step; absent without one."""
    parent_run_id: str | None = None
    """The run that started it; absent without one."""
    run_id: str | None = None
    """Last run that processed it; absent before one."""
    dead_letter_id: str | None = None
    """The dead letter that it became or came from."""
    requeued_from: str | None = None
    """Dead letter that it was requeued from; absent otherwise."""
    error: MessageError | None = None
    """Why it was not delivered; absent otherwise."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class MessageError(Model, frozen=True, kw_only=True):
    """The error of a message that was not delivered."""

    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    message: str
    """Text for people."""


class ModelMessage(Model, frozen=True, kw_only=True):
    """One message of the conversation.

    An assistant message may have `calls`. A message of role `tool` answers the call `tool_call_id`.
    """

    role: TranscriptRole
    """Role of the message."""
    content: str
    """Text of the message."""
    calls: list[ToolCall] | None = None
    """Tool calls that the model requested; absent without any."""
    tool_call_id: str | None = None
    """Call that a result answers; absent otherwise."""
    is_error: bool = False
    """True if the result is an error."""


class NoteText(Model, frozen=True, kw_only=True):
    """Lines of a note."""

    path: str
    """Path of the file, relative to its root."""
    text: str
    line_start: int
    """First line, from 1."""
    line_end: int
    """Last line, from 1."""


class OpenCall(Model, frozen=True, kw_only=True):
    """A tool call of an agent that has not ended. It is `pending` until it begins; a person may be asked meanwhile.

    `output` is the end of the output so far, `diff` the changes of files that the agent shows.
    """

    tool_call_id: str
    """Id of the tool call; absent without one."""
    title: str
    """Title of the call."""
    kind: AgentToolKind
    """Kind of the call."""
    status: OpenCallStatus
    """`pending` until it begins."""
    output: str | None = None
    """End of its output so far; absent without one."""
    diff: str | None = None
    """Changes of files that it shows, as a unified diff; absent without one."""


class OperationalSummary(Model, frozen=True, kw_only=True):
    """Active runs now, and failures and rejections in the last 24 hours."""

    total_active_runs: int
    """Active runs of all sessions."""
    total_active_sessions: int
    """Sessions with an active run."""
    aggregate_resource_usage: ResourceUsage
    """CPU and memory of all."""
    recent_failure_rejection_count: int
    """Failures and rejections of the last 24 hours."""


class OutcomeChange(Model, frozen=True, kw_only=True):
    """The runs whose outcome would change, grouped; each group lists the 50 names with most runs."""

    runs: int
    """Number of runs."""
    cost_usd: float
    """Cost in dollars."""
    by_session: list[ChangeShare]
    """By session, most runs first."""
    by_profile: list[ChangeShare]
    """By harness profile, most runs first."""
    by_template: list[ChangeShare]
    """By template, most runs first."""
    by_reason: list[ChangeShare]
    """By rule, most runs first."""


class OutputMapping(Model, frozen=True, kw_only=True):
    """An output of one step that fills a placeholder in the directive of another."""

    from_output: str
    """Name of the output."""
    to_input: str
    """Name of the placeholder."""


class Passage(Model, frozen=True, kw_only=True):
    """A passage found by a search. A higher `score` is a better match."""

    id: str
    source_path: str
    """File or entry of the passage."""
    snippet: str
    """Text of the passage."""
    score: float
    """Match with the query; higher is better."""
    line_start: int | None = None
    """First line, from 1."""
    line_end: int | None = None
    """Last line, from 1."""
    citation: str | None = None
    """Name of the passage, for a transcript."""


class PendingApproval(Model, frozen=True, kw_only=True):
    """A requested approval. A decision must name `subject_hash`, so that it applies to this subject only."""

    ask_id: str
    subject_hash: str
    """Hash of the subject to approve."""
    requested_at: datetime
    """When it was requested."""
    expires_at: datetime | None = None
    """When it expires; absent: never."""
    message: str | None = None
    """Text for the approver; absent without one."""
    approvers: list[str] | None = None
    """Identities that may decide; absent: all with the role."""
    role: ApproverRole | None = None
    """Least role of an approver."""
    not_requester: bool | None = None
    """True: who requested or resumed the run may not approve."""


class PermissionRule(Model, frozen=True, kw_only=True):
    """A permission for one exact call, given with the answer to an ask. It is for one run, session or profile.

    `arguments` is the JSON text of the call. A rule with `redacted` lost it, and allows nothing any more. `bound` is
    what else has to be the same. Without it, the rule is from an older release: it allows the call where all is the
    same as in the run that asked.
    """

    id: str
    status: PermissionRuleStatus
    scope: RuleScope
    """Where it is in force."""
    tool_name: str
    """Tool whose calls it allows."""
    ask_id: str
    """The ask whose answer created it."""
    created_by: str
    """Identity that created it."""
    created_at: datetime
    """When it was created."""
    expires_at: datetime
    """When it expires."""
    uses: int
    """Number of calls that it allowed."""
    run_id: str | None = None
    """Its run; absent for another scope."""
    session_id: str | None = None
    """Its session; absent for another scope."""
    harness_profile_id: str | None = None
    """Its profile; absent for another scope."""
    arguments: str | None = None
    """JSON text of the call's arguments; absent once redacted."""
    credentials: list[str] | None = None
    """Names of the credentials that the call carries; absent: none."""
    secrets: list[str] | None = None
    """Names that stand in the arguments in place of secrets; absent: none."""
    bound: RuleBound | None = None
    """What else has to be the same; absent for a rule of release 0.2."""
    last_used_at: datetime | None = None
    """When it last allowed a call; absent before that."""
    revoked_at: datetime | None = None
    """When it was revoked or expired; absent while in force."""
    revoked_by: str | None = None
    """Identity that revoked it; absent otherwise."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class PersonaArtifacts(Model, frozen=True, kw_only=True):
    """The files of a review, in the state directory (written as `.athena`) and in the workspace."""

    audit_dir: str
    """Directory of the review in the state directory."""
    result_json_path: str
    """Where the result is stored."""
    report_markdown_path: str
    """Where the report is stored."""
    out_json_path: str | None = None
    """Copy of the result in the workspace."""
    out_markdown_path: str | None = None
    """Copy of the report in the workspace."""


class PersonaRun(Model, frozen=True, kw_only=True):
    """A review by a persona. `status` is running, ok or failed."""

    run_id: str
    persona_name: str
    session_id: str
    status: PersonaRunStatus
    repo_path: str
    """Path of the repository in the workspace."""
    head_ref: str
    """Commit, branch or tag to review."""
    base_ref: str
    """Commit, branch or tag to compare with."""
    created_at: datetime
    """When it was created."""
    finished_at: datetime | None = None
    """When it ended; absent before that."""
    repair_run_id: str | None = None
    """Run of the second request; absent without one."""
    merge_gate: MergeGate | None = None
    """Whether the change may be merged."""
    findings: FindingCounts | None = None
    """Number of findings; absent before the end."""
    artifacts: dict[str, Any] | None = None
    """Files of the review."""


class PersonaRunDetails(Model, frozen=True, kw_only=True):
    """A review by a persona with its result, which is null while it is running and once redacted.

    `redacted` is true if the result was erased.
    """

    run_id: str
    persona_name: str
    session_id: str
    status: PersonaRunDetailsStatus
    repo_path: str
    """Path of the repository in the workspace."""
    head_ref: str
    """Commit, branch or tag to review."""
    base_ref: str
    """Commit, branch or tag to compare with."""
    created_at: datetime
    """When it was created."""
    finished_at: datetime | None = None
    """When it ended; absent before that."""
    repair_run_id: str | None = None
    """Run of the second request; absent without one."""
    merge_gate: MergeGate | None = None
    """Whether the change may be merged."""
    findings: FindingCounts | None = None
    """Number of findings; absent before the end."""
    artifacts: dict[str, Any] | None = None
    """Files of the review."""
    result: dict[str, Any] | None = None
    """The result; absent while it runs and once redacted."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class PersonaRunOutput(Model, frozen=True, kw_only=True):
    """The result of a review, and its printed form."""

    result: ReviewResult
    stdout: str
    """Printed form of the result."""


class PersonaSpend(Model, frozen=True, kw_only=True):
    """Consumption of a persona."""

    estimated_spend_usd: float
    """Cost in dollars, by the price table."""
    input_tokens: int
    """Input tokens, with cached ones; absent if unknown."""
    output_tokens: int
    """Output tokens, with reasoning ones; absent if unknown."""
    total_tokens: int
    """Input and output tokens; absent if unknown."""
    persona_name: str


class PlanStep(Model, frozen=True, kw_only=True):
    """A step of an agent's plan."""

    text: str
    """The step."""
    status: PlanStepStatus
    """Progress of the step."""


class PolicyDocument(Model, frozen=True, kw_only=True):
    """The current policy and the time of its last change."""

    schema_version: int
    """Version of this shape."""
    max_concurrent_runs: int | None = None
    """Most active runs; absent: no limit."""
    limits: list[KeyLimit] | None = None
    """Limits of active runs by session, provider or profile."""
    default_run_timeout_ms: int | None = None
    """Timeout of a run without a profile, in milliseconds."""
    default_schedule_timeout_ms: int | None = None
    """Timeout of a scheduled run without a profile, in milliseconds."""
    retry_budget_per_run: int | None = None
    """Most retries of model calls of a run; absent: no limit."""
    cost_budget_daily_usd: float | None = None
    """Budget of a UTC day in dollars; absent: none."""
    max_run_attempts: int | None = None
    """Executors that a run may lose before it ends as crashed; absent: 3."""
    updated_at: datetime
    """When it last changed."""
    etag: str | None = None
    """The version as the header of the answer has it. Pass it as `if_match`."""


class PolicyInput(Model, frozen=True, kw_only=True):
    """A policy as a client sends it. `updated_at` is accepted and ignored, so a client may send back what it read."""

    schema_version: int
    """Version of this shape."""
    max_concurrent_runs: int | None = None
    """Most active runs; absent: no limit."""
    limits: list[KeyLimit] | None = None
    """Limits of active runs by session, provider or profile."""
    default_run_timeout_ms: int | None = None
    """Timeout of a run without a profile, in milliseconds."""
    default_schedule_timeout_ms: int | None = None
    """Timeout of a scheduled run without a profile, in milliseconds."""
    retry_budget_per_run: int | None = None
    """Most retries of model calls of a run; absent: no limit."""
    cost_budget_daily_usd: float | None = None
    """Budget of a UTC day in dollars; absent: none."""
    max_run_attempts: int | None = None
    """Executors that a run may lose before it ends as crashed; absent: 3."""
    updated_at: Any = None
    """Accepted and ignored."""


class PolicyRule(Model, frozen=True, kw_only=True):
    """The policy rule that rejected a run."""

    schema_version: int
    """Version of this shape."""
    engine: PolicyEngine
    """Engine of the rule."""
    rule_type: PolicyRuleType
    policy_name: str | None = None
    """Name of the policy; absent without one."""
    rule_name: str | None = None
    """Name of the rule; absent without one."""
    failure_action: FailureAction | None = None
    """What the rule does; absent if unknown."""
    message: str | None = None
    """Text for people."""


class ProfileSpend(Model, frozen=True, kw_only=True):
    """Consumption of the runs of a harness profile; `agent_name` is its display name, if it has one."""

    estimated_spend_usd: float
    """Cost in dollars, by the price table."""
    input_tokens: int
    """Input tokens, with cached ones; absent if unknown."""
    output_tokens: int
    """Output tokens, with reasoning ones; absent if unknown."""
    total_tokens: int
    """Input and output tokens; absent if unknown."""
    harness_profile_id: str
    agent_name: str | None = None
    """Display name of its profile; absent without one."""


class ProjectionHealth(Model, frozen=True, kw_only=True):
    """State of one projection: its position, its lag behind the log, its version, and the error that stopped it."""

    position: int
    """Last position that it has applied."""
    lag: int
    """Events that the views are behind."""
    version: int
    """Version of its tables."""
    error: str | None = None
    """Why it stopped; absent if it runs."""


class ProvenEvent(Model, frozen=True, kw_only=True):
    """An event in the chain. `chain` is its chain value, in hex."""

    id: str
    position: int
    """Position in the log."""
    chain: str
    """Chain value at the event, in hex."""
    created_at: datetime
    """When it was created."""


class ProviderSpend(Model, frozen=True, kw_only=True):
    """Consumption of the calls of a provider."""

    estimated_spend_usd: float
    """Cost in dollars, by the price table."""
    input_tokens: int
    """Input tokens, with cached ones; absent if unknown."""
    output_tokens: int
    """Output tokens, with reasoning ones; absent if unknown."""
    total_tokens: int
    """Input and output tokens; absent if unknown."""
    provider: str
    """Name of the provider."""


class QueueCounts(Model, frozen=True, kw_only=True):
    """The number of waiting items by mode."""

    followup: int
    """Waiting items of mode `followup`."""
    collect: int
    """Waiting items of mode `collect`."""


class ReachedLimit(Model, frozen=True, kw_only=True):
    """A limit of the policy by session, provider or profile that is reached: `active` runs of at most `max`."""

    scope: LimitScope
    """What the limit counts by."""
    key: str
    """Name that the limit is for."""
    max: int
    """Most active runs."""
    active: int
    """Active runs that the limit counts."""


class RecordedCall(Model, frozen=True, kw_only=True):
    """The call that answered a turn, as it was paid for. `attempts` counts the calls until the answer."""

    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    usage: Usage
    """Tokens used."""
    attempts: int
    """Calls of providers until the answer."""
    request_id: str | None = None
    """Id that the provider gave the request; absent without one."""
    first_token_ms: int | None = None
    """Milliseconds to the first output; absent if not measured."""
    cost_micro_usd: int | None = None
    """Cost of its priced model calls, in millionths of a dollar; absent before one."""
    estimated: bool | None = None
    """True if the provider did not report all tokens; absent otherwise."""


class Redrive(Model, frozen=True, kw_only=True):
    """A job that requeues dead letters. `status` is `running`, `completed`, `cancelled` or `dry-run`.

    `total` is the number of dead letters that matched at the start. `subject_hash` of a dry run names them. `results`
    is a page of the results, oldest first.
    """

    id: str | None
    """Id; null for a dry run."""
    status: RedriveStatus
    filter: AppliedRedriveFilter
    """Which dead letters to requeue."""
    rate_per_second: int
    """Dead letters to requeue per second."""
    total: int
    """Number in all."""
    done: int
    """Dead letters decided so far."""
    requeued: int
    """Number that were requeued."""
    skipped: int
    """Number that were skipped."""
    failed: int
    """Number that failed."""
    requested_by: str
    """Identity that requested it."""
    results: list[RedriveResult]
    """Page of the results, oldest first."""
    started_at: datetime | None = None
    """When it started; absent for a dry run."""
    finished_at: datetime | None = None
    """When it ended; absent before that."""
    next_cursor: str | None = None
    """Cursor of the next page; absent on the last."""
    subject_hash: str | None = None
    """Hash of the dead letters that a dry run counted; absent otherwise."""


class RedriveFilter(Model, frozen=True, kw_only=True):
    """A filter for pending dead letters; times in ISO-8601, inclusive. An empty filter matches all."""

    session_id: str | None = None
    """Only dead letters of this session."""
    source: str | None = None
    """Only dead letters of this source, `work` or `a2a`."""
    source_persona: str | None = None
    """Persona that sent the message; absent for queue items."""
    target_persona: str | None = None
    """Persona that the message is for; absent for queue items."""
    reason: str | None = None
    """Only dead letters with this reason."""
    created_after: datetime | None = None
    """Only what was created at this time or later."""
    created_before: datetime | None = None
    """Only what was created at this time or earlier."""


class RedriveResult(Model, frozen=True, kw_only=True):
    """The result for one dead letter.

    `result` is `requeued`, `skipped` (another decision came first) or `failed`.
    """

    dead_letter_id: str
    """The dead letter that it became or came from."""
    result: RedriveDecision
    at: datetime
    """When the dead letter was decided."""
    code: str | None = None
    """Why it failed; absent otherwise."""


class RefusedPlan(Model, frozen=True, kw_only=True):
    """The plan of a refused run: everything that the refusal depended on, except provider and profile.

    `patient` runs (workflow steps) wait for a free slot. `least_micro_usd` is the lowest possible cost of a model call,
    absent if the model has no price. `input_chars` is the length of the input.
    """

    model: str
    """Name of the model."""
    input_chars: int
    """Length of the input in characters."""
    requested_by: str
    """Executor of the server that took the request."""
    patient: bool | None = None
    """True if the request waits for a free slot; else absent."""
    session_strategy: SessionStrategy | None = None
    """What to do if the session is busy; absent: `enqueue`."""
    fallbacks: list[str] | None = None
    """Fallback models, as `provider/model`."""
    budget_micro_usd: int | None = None
    """Budget in millionths of a dollar; absent without one."""
    least_micro_usd: int | None = None
    """Lowest cost of a model call in millionths of a dollar; absent without a price."""
    timeout_ms: int | None = None
    """Timeout in milliseconds."""
    parent_run_id: str | None = None
    """The run that started it; absent without one."""
    agent: str | None = None
    """Outside agent of the profile; absent: the loop of Athena."""


class RefusedRequest(Model, frozen=True, kw_only=True):
    """The request of a refused run. If it is over 4 KiB, only its size as JSON and its SHA-256 are kept.

    A directive is represented by its id.
    """

    input: str | None = None
    """Text of the task; absent if too long."""
    directive_id: str | None = None
    """Id of the directive; absent if there is none."""
    context_refs: list[str] | None = None
    """Files and URLs that the run's context names."""
    metadata: dict[str, str] | None = None
    """Names and values of the client."""
    size_bytes: int | None = None
    """Size as JSON, in bytes, of a request above 4 KiB."""
    sha256: str | None = None
    """SHA-256 in hex of a request above 4 KiB."""


class RegisteredAgent(Model, frozen=True, kw_only=True):
    """An outside agent in this server's file.

    `provider` serves its model calls. Athena orders `mode`, and in a sandbox `boxed_mode` if it is given. `model` is
    the model of profiles that `athena run --agent` makes. `missing` is what this machine lacks to start the agent, for
    roles that may create profiles.
    """

    name: str
    wire: RegisteredAgentWire
    """API that it asks models with."""
    provider: str
    """Provider that serves its model calls."""
    resume: RegisteredAgentResume
    """Whether it takes up a session of a killed process: always, if it was idle, or never."""
    installed: bool
    """True if this machine can start it."""
    mode: str | None = None
    """Mode that Athena orders."""
    boxed_mode: str | None = None
    """Mode that Athena orders in a sandbox; absent if it is the same."""
    model: str | None = None
    """Model of profiles that `athena run --agent` makes; absent if none is set."""
    missing: list[str] | None = None
    """What this machine lacks to start it, for who may create profiles; absent if nothing."""


class RejectedRun(Model, frozen=True, kw_only=True):
    """The session and persona of a rejected run."""

    session_id: str
    persona_name: str | None = None


class Rejection(Model, frozen=True, kw_only=True):
    """A run that the policy rejected. `id` is `rej_` and the id of its event in the feed.

    `provider` is the one that the run would have used, and `run_template_id` the template of its request. `plan` and
    `request` describe the requested run. Both are absent in rejections of release 0.1, and `request` once redacted;
    then `redacted` is true.
    """

    id: str
    created_at: datetime
    """When it was created."""
    session_id: str
    active_runs: int
    """Active runs when it was decided."""
    max_concurrent_runs: int
    """Limit that was reached; 0 for a budget."""
    reason: RejectionReason
    """Why the policy rejected the run."""
    event: RejectionEvent
    """The rejection as it was recorded."""
    actor: str
    """Identity that did it, or a `system:` actor of the server."""
    trace_id: str
    """Trace id of the request that caused it."""
    policy: PolicyRule | None = None
    """Rule that rejected it; absent in old logs."""
    run_id: str | None = None
    directive_id: str | None = None
    """Id of the directive; absent if there is none."""
    harness_profile_id: str | None = None
    provider: str | None = None
    """Name of the provider."""
    run_template_id: str | None = None
    """Id of the run template; absent without one."""
    run_template_version: int | None = None
    """Version of the template; absent without one."""
    plan: RefusedPlan | None = None
    """What the refusal depended on; absent in old logs."""
    request: RefusedRequest | None = None
    """The refused request; absent in old logs and once redacted."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class RejectionEvent(Model, frozen=True, kw_only=True):
    """A rejection as it was recorded.

    For the policy type `COST` it has the sums of the UTC day. Then `limit`, which counts runs, is 0.
    """

    schema_version: int
    """Version of this shape."""
    timestamp: datetime
    """When it was rejected."""
    policy_type: PolicyType
    """Whether runs or costs were limited."""
    limit: int
    """Limit of active runs; 0 for a budget."""
    rejected_run_details: RejectedRun
    """Session and persona of the run."""
    reason: RejectionReason
    """Why it was rejected."""
    active_runs: int
    """Active runs when it was decided."""
    policy: PolicyRule | None = None
    """Rule that rejected it; absent in old logs."""
    spent_micro_usd: int | None = None
    """Spent on the UTC day, in millionths of a dollar; absent for run limits."""
    budget_micro_usd: int | None = None
    """Daily budget in millionths of a dollar; absent for run limits."""


class Reliability(Model, frozen=True, kw_only=True):
    """Attempts, retries and fallbacks that an answer took."""

    provider_attempts: int
    """Requests to providers."""
    provider_retries: int
    """Requests that were repeated."""
    fallback_hops: int
    """Changes to a fallback model."""
    turn_latency_ms: int | None = None
    """Time of the last model call, in milliseconds; absent if unknown."""


class RemovedSchedule(Model, frozen=True, kw_only=True):
    """Result of a delete: `removed` is false if the schedule did not exist."""

    id: str
    """Id of the schedule."""
    removed: bool
    """False if it did not exist."""


class RequestCounts(Model, frozen=True, kw_only=True):
    """Counts of requests by outcome; `cost_usd` is the cost of the admitted runs."""

    admitted: int
    """Number that were admitted."""
    refused: int
    """Number that were refused."""
    cost_usd: float
    """Cost in dollars."""


class ResourceUsage(Model, frozen=True, kw_only=True):
    """CPU cores and memory bytes; 0 if they cannot be measured."""

    cpu_usage: float
    """CPU cores; 0 if not measured."""
    memory_usage: float
    """Bytes of memory; 0 if not measured."""


class ReviewAnswer(Model, frozen=True, kw_only=True):
    """The answer that a model must give."""

    schema_version: int
    """Version of this shape."""
    merge_gate: MergeGate
    """Whether the change may be merged."""
    report_markdown: str
    """Report in Markdown."""
    findings: list[Finding]
    dependency_inspection: DependencyInspection | None = None
    """Changes of dependencies."""


class ReviewError(Model, frozen=True, kw_only=True):
    """The reason why a review failed."""

    message: str
    """Text for people."""


class ReviewResult(Model, frozen=True, kw_only=True):
    """The result of a persona run.

    `not_seen` are the parts of the change that the persona was not shown, such as closed files. With any of them the
    merge gate is `fail`, because a review approves only what it read. `hidden` are masked parts.
    """

    schema_version: int
    """Version of this shape."""
    run_id: str
    persona_name: str
    session_id: str
    status: ReviewResultStatus
    started_at: datetime
    """When it started."""
    finished_at: datetime
    """When it ended."""
    findings: list[Finding]
    merge_gate: MergeGate
    """Whether the change may be merged."""
    report_markdown: str
    """Report in Markdown."""
    repo_path: str
    """Path of the repository in the workspace."""
    head_ref: str
    """Commit, branch or tag to review."""
    base_ref: str
    """Commit, branch or tag to compare with."""
    base_ref_resolved_from: ReviewResultBaseRefResolvedFrom
    """How the base was found."""
    artifacts: PersonaArtifacts
    """Files of the review."""
    context_manifest: list[ContextFile]
    """Files that the persona was shown."""
    referenced_file_meta: list[ContextFile]
    """Changed files that the persona was shown."""
    referenced_file_snapshots: list[FileSnapshot]
    """Contents of those files."""
    evidence_manifest: list[EvidenceFile]
    """Files that serve as evidence."""
    dependency_inspection: DependencyInspection
    """Changes of dependencies."""
    model_output_raw: str
    """Text of the model."""
    parse_retry_attempted: bool
    """True if the model was asked once more."""
    model_output_parsed: ReviewAnswer | None = None
    """Answer of the model; absent if it is not valid."""
    parse_error: str | None = None
    """Why the answer is not valid; absent if it is."""
    repair_run_id: str | None = None
    """Run of the second request; absent without one."""
    usage: Usage | None = None
    """Tokens used."""
    context_meta: ContextMeta | None = None
    """How the context was compiled; absent without a run."""
    error: ReviewError | None = None
    """Why it failed; absent otherwise."""
    hidden: list[HiddenSpan] | None = None
    """The first 100 masked parts of the diff; absent if there are none."""
    not_seen: list[str] | None = None
    """Parts of the change that were not shown, so that the gate is `fail`; absent if all was."""


class RuleBound(Model, frozen=True, kw_only=True):
    """The conditions of a permission rule beside the call: it allows the call only where all of them are the same.

    `profile_sha256` is the hash of the profile without its model. `workspace` is the kind of workspace that the run
    worked in. `role`, `approvers` and `not_requester` are who may allow the call. `mcp_tool_sha256` is the hash of the
    tool as an operator accepted it, if it is a tool of an MCP server.
    """

    harness_profile_id: str
    """Profile of the run that asked."""
    profile_sha256: str
    """Hash of that profile without its model, hex."""
    sandbox: RuleBoundSandbox
    """Mode of its sandbox."""
    workspace: RuleBoundWorkspace
    """Kind of the workspace."""
    network: RuleBoundNetwork | None = None
    """Network of its sandbox; absent: the default."""
    role: ApproverRole | None = None
    """Least role that may allow the call; absent: Operator."""
    approvers: list[str] | None = None
    """The only identities that may allow it; absent: all with the role."""
    not_requester: bool | None = None
    """True if who requested the run may not allow it."""
    mcp_tool_sha256: str | None = None
    """Hash of the MCP tool as it was accepted; absent for other tools."""


class Run(Model, frozen=True, kw_only=True):
    """A run. In lists, `input_preview` and `output_preview` replace the input and the output.

    A preview has at most 160 characters. `output_chars` is the length of the output in characters. `include=output`
    adds the output. `partial` is true if the output is not a whole answer: the run ended or paused while the model was
    writing. `duration_ms` is the time from the start to the end, with pauses. `retries` counts the runs that retry this
    one. It and `child_count` are absent for a caller with a scope. `redacted` is true if a text of the run was erased.

    `requested_by` caused the run: its caller, or the author of its schedule, who started its workflow run, or who
    drained or sent its item. `requesters` are all who did, if there are more: also the author of a schedule that was
    run manually, who resumed the workflow run, who sent the items, and the requesters of the parent run.
    """

    run_id: str
    session_id: str
    status: RunStatus
    """`queued`, `running` or `paused` until the run ends; then its outcome, which is final."""
    created_at: datetime
    """When it was created."""
    directive_id: str
    """Id of the directive; absent if there is none."""
    harness_profile_id: str
    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""
    evidence_count: int
    """Pieces of evidence attached; 0 until the run completed."""
    links: RunLinks
    """Paths of related resources."""
    started_at: datetime | None = None
    """When an executor started it; absent before that."""
    finished_at: datetime | None = None
    """When it ended; absent before that."""
    waiting: RunWait | None = None
    """Why it waits; present while it is queued."""
    paused: RunPause | None = None
    """Why and since when it is paused; absent if it is not."""
    parent_run_id: str | None = None
    """The run that started it; absent without one."""
    template: TemplateVersion | None = None
    """Template version of the run; absent without one."""
    output: str | None = None
    """Text of the answer; absent before the end, once redacted, and in lists without `include=output`."""
    partial: bool | None = None
    """True if the output is not a whole answer: the run was cut off. Else absent."""
    usage: RunUsage | None = None
    """Tokens of all its model calls; absent before the first."""
    cost_micro_usd: int | None = None
    """Cost of its priced model calls, in millionths of a dollar; absent before one."""
    budget_micro_usd: int | None = None
    """Budget in millionths of a dollar; absent without one."""
    error: RunError | None = None
    """Why it did not complete; absent otherwise."""
    verification_status: VerificationStatus | None = None
    """Whether it met its verification policies; absent before it completed."""
    verification_failures: list[VerificationFailure] | None = None
    """Verification policies that it did not meet; absent if it met all."""
    input_preview: str | None = None
    """First 160 characters of the input, on one line."""
    output_preview: str | None = None
    """First 160 characters of the output on one line, in lists only."""
    output_chars: int | None = None
    """Length of the output in characters."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""
    agent_name: str | None = None
    """Display name of its profile; absent without one."""
    agent: str | None = None
    """Outside agent of its profile; absent without one."""
    agent_version: str | None = None
    """Version of the agent; absent before its session is open."""
    agent_mode: str | None = None
    """Mode of the agent's session that Athena ordered; absent if none, or before it."""
    duration_ms: int | None = None
    """Milliseconds from start to end; absent before the end."""
    child_count: int | None = None
    """Number of runs that name it as their parent; absent without any."""
    retry_of: str | None = None
    """Run whose request it makes again; absent if it is not a retry."""
    retries: int | None = None
    """Number of runs that retry it; absent without any."""
    requested_by: str | None = None
    """Identity that caused the run; absent for runs of releases before 0.3."""
    requesters: list[str] | None = None
    """All identities that requested the run; absent if there is only one."""


class RunChanges(Model, frozen=True, kw_only=True):
    """Changes to the requests of runs that are retried. An absent member keeps its value."""

    harness_profile_id: str | None = None
    """Another profile; absent, the same."""
    provider: str | None = None
    """Another provider; absent, the same."""
    model: str | None = None
    """Another model; absent, the same."""
    budget_usd: float | None = None
    """Budget in dollars, 0: none; absent, the same."""


class RunDiff(Model, frozen=True, kw_only=True):
    """The changes of a run in its workspace.

    `recorded` is false until the run ends or pauses, and if it crashed. `diff` is a unified diff, absent if nothing
    changed or if its text was erased. With `truncated`, the diff lacks some changes. `files` are those in the diff, and
    `files_total` counts all. `applied` lists the newest applies of the run's changes to the shared workspace.

    `subject_hash` names the changes, for an apply. `hidden` are the first of the `hidden_total` parts that the recorded
    diff hides. With `exact_needed` it does not show all that an apply writes. An `exact` diff shows it, except files in
    `not_shown`. In both, names in `secrets` stand for secrets of the server.
    """

    run_id: str
    workspace_id: str
    workspace_status: WorkspaceStatus
    """Whether the workspace still exists."""
    recorded: bool
    """False until the run ends or pauses, and if it crashed."""
    files: list[RunDiffFile]
    """Changed files in the diff."""
    files_total: int
    """Number of changed files."""
    binary_files: int
    """Number of changed binary files."""
    added_lines: int
    """Number of added lines."""
    removed_lines: int
    """Number of removed lines."""
    truncated: bool
    """True if the diff is cut."""
    applied: list[AppliedChanges]
    """The newest applies, newest first."""
    hidden: list[HiddenSpan]
    """The first 100 parts that the recorded diff hides, in its order."""
    hidden_total: int
    """Number of parts that the recorded diff hides."""
    exact_needed: bool
    """True if the recorded diff does not show all that an apply writes."""
    diff: str | None = None
    """Unified diff; absent if nothing changed, and once redacted."""
    evidence_id: str | None = None
    """Evidence with the diff; absent if nothing changed."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""
    subject_hash: str | None = None
    """Hash of the changes, for an apply; absent until they are recorded."""
    exact: bool | None = None
    """True if the diff is the exact one; absent for the recorded one."""
    secrets: list[str] | None = None
    """Names of secrets of the server that stand in the exact diff; absent if there are none."""
    not_shown: list[str] | None = None
    """Files that the exact diff does not show as they are; absent if there are none."""


class RunDiffFile(Model, frozen=True, kw_only=True):
    """A file that a run changed, with its added and removed lines. A binary file has none."""

    path: str
    """Path in the workspace."""
    change: RunDiffFileChange
    """Kind of the change."""
    added: int
    """Number of added lines."""
    removed: int
    """Number of removed lines."""
    binary: bool
    """True if its lines are not compared."""


class RunError(Model, frozen=True, kw_only=True):
    """The error of a run without an answer."""

    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    message: str
    """Text for people; `(erased)` once redacted."""
    retryable: bool
    """True if a retry may succeed."""
    retry_with: RetryWith | None = None
    """Idempotency key of a retry: the same one, or a new one; present if `retryable` is true."""


class RunFacet(Model, frozen=True, kw_only=True):
    """A value of a field, and how many runs have it."""

    value: str
    """Value of the field."""
    count: int
    """Number of runs."""


class RunFacets(Model, frozen=True, kw_only=True):
    """Counts of the runs of a filter, by status, profile, model, error code and session, the most frequent first.

    Each list has at most 100 values. Only the newest 100,000 runs of the filter are counted: `complete` is false if
    there are more.
    """

    total: int
    """Number of runs that were counted."""
    complete: bool
    """False if only the newest 100,000 runs of the filter were counted."""
    status: list[RunFacet]
    """Counts by status."""
    harness_profile_id: list[RunFacet]
    """Counts by profile."""
    model: list[RunFacet]
    """Counts by model."""
    error_code: list[RunFacet]
    """Counts by error code, of runs with an error."""
    session_id: list[RunFacet]
    """Counts by session."""


class RunFilterBody(Model, frozen=True, kw_only=True):
    """A filter of runs, as in `GET /runs`. An empty filter matches all. Times in ISO-8601, inclusive."""

    session_id: str | None = None
    status: RunStatus | None = None
    provider: str | None = None
    """Name of the provider."""
    model: str | None = None
    """Name of the model."""
    harness_profile_id: str | None = None
    error_code: str | None = None
    """Code of the error; absent without one."""
    parent_run_id: str | None = None
    """The run that started it; absent without one."""
    retry_of: str | None = None
    """Run whose request it makes again; absent if it is not a retry."""
    created_after: datetime | None = None
    """Only what was created at this time or later."""
    created_before: datetime | None = None
    """Only what was created at this time or earlier."""
    cost_over_usd: float | None = None
    """Only runs that cost more, in dollars."""
    duration_over_ms: int | None = None
    """Only ended runs that took longer, in milliseconds."""


class RunLinks(Model, frozen=True, kw_only=True):
    """Paths of resources related to a run."""

    self: str
    """Path of the run."""
    session: str
    """Path of its session."""
    events: str
    """Path of its events."""
    cancel: str
    """Path that cancels the run."""


class RunOutcomes(Model, frozen=True, kw_only=True):
    """Number of runs by outcome."""

    completed: int
    """Number that completed."""
    failed: int
    """Number that failed."""
    cancelled: int
    """Number that were cancelled."""
    timed_out: int
    """Number that timed out."""
    crashed: int
    """Number that crashed."""


class RunPause(Model, frozen=True, kw_only=True):
    """Why and since when a run is paused. `POST /runs/:runId/resume` resumes it, an answer if it asked a person."""

    reason: PauseReason
    """Why the run is paused."""
    since: datetime
    """When it was paused."""


class RunProof(Model, frozen=True, kw_only=True):
    """The place of a run in the chain, and how to prove it.

    A chain value depends on all events up to its position. So an anchor at or after `last` that is kept elsewhere
    proves every event of the run. `anchor` is the newest one that this server has sent. `covered` is false if there is
    none at or after `last`. `links` counts the events from `first` to that anchor, or else to `head`: a bundle that
    reaches it has that many hashes. `commands` export the bundle and verify it; PLACE stands for a destination of
    anchors.
    """

    run_id: str
    log_id: str
    events: int
    """Number of events of the run."""
    first: ProvenEvent
    """First event of the run."""
    last: ProvenEvent
    """Last event of the run."""
    head: ProvenEvent
    """Last event of the log."""
    sent: list[SentAnchor]
    """Destinations of anchors, with the last position that each received."""
    covered: bool
    """True if that anchor is at or after the last event of the run."""
    links: int
    """Events from the first one to the anchor, or else to the head."""
    commands: list[str]
    """Commands that export the run as a bundle, and verify it."""
    anchor: ProvenEvent | None = None
    """Newest anchor that this server has sent; absent without one."""


class RunResult(Model, frozen=True, kw_only=True):
    """The answer to a synchronous caller whose run completed.

    `redacted` is true if the output or the parameters of the template were erased since. They are then empty.
    """

    session_id: str
    run_id: str
    output: str
    """Text of the answer."""
    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    created_at: datetime
    """When it was created."""
    directive_id: str
    """Id of the directive; absent if there is none."""
    harness_profile_id: str
    harness_profile_snapshot: HarnessProfile
    """Profile as the run used it."""
    evidence_count: int
    """Pieces of evidence attached; 0 until the run completed."""
    verification_status: VerificationStatus
    """Whether it met its verification policies. `passed` also without any."""
    context_meta: ContextMeta
    """How the context was compiled; absent without a run."""
    reliability: Reliability
    """Attempts that the answer took."""
    verification_failures: list[VerificationFailure] | None = None
    """Verification policies that it did not meet; absent if it met all."""
    usage: Usage | None = None
    """Tokens used."""
    template: TemplateUse | None = None
    """Template version of the run; absent without one."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class RunTemplate(Model, frozen=True, kw_only=True):
    """A version of a run template. `directive_template` and `default_params` are null once redacted.

    `redacted` is true if its text was erased. `created_at` is when the template was created, `updated_at` when this
    version was.
    """

    id: str
    version: int
    """Version number, from 1."""
    harness_profile_id: str
    directive_template: str | None
    """Text with placeholders; null once redacted."""
    default_params: dict[str, Any] | None
    """Values of parameters that a run does not give; null once redacted."""
    created_at: datetime
    """When the template was created."""
    updated_at: datetime
    """When this version was created."""
    params_schema: dict[str, Any] | None = None
    """JSON Schema of the parameters; absent: all are strings."""
    display_name: str | None = None
    """Name for people."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""
    etag: str | None = None
    """The version as the header of the answer has it. Pass it as `if_match`."""


class RunTimes(Model, frozen=True, kw_only=True):
    """Durations of the runs that completed in the window, in milliseconds, at most an eighth too high."""

    runs: int
    """Number of runs."""
    p50_ms: int | None = None
    """Median time in milliseconds; absent without runs."""
    p95_ms: int | None = None
    """95th percentile in milliseconds; absent without runs."""


class RunUsage(Model, frozen=True, kw_only=True):
    """The tokens that a run used. `estimated` is true if a provider did not report all of them."""

    input_tokens: int | None = None
    """Input tokens, with cached ones; absent if unknown."""
    output_tokens: int | None = None
    """Output tokens, with reasoning ones; absent if unknown."""
    total_tokens: int | None = None
    """Input and output tokens; absent if unknown."""
    cached_input_tokens: int | None = None
    """Input tokens read from a cache; absent if unknown."""
    cache_write_tokens: int | None = None
    """Input tokens that were written to a cache; absent if unknown."""
    reasoning_tokens: int | None = None
    """Output tokens of reasoning; absent if unknown."""
    estimated: bool | None = None
    """True if a provider did not report all tokens; else absent."""


class RunWait(Model, frozen=True, kw_only=True):
    """Why a run is waiting, and its place in the queue of its session, limit or server.

    A running run is waiting for an `executor` if none has taken it since it was admitted or resumed. `blocked_by` is
    the run that holds the session, or the oldest run that the limit counts. It is absent if the caller's scope does not
    cover that run. A run that waits for answers to its open `asks` has no place. It is `parked` if it gave its slot
    back; then it also waits for a slot after the last answer.
    """

    reason: WaitReason
    """Why the run waits."""
    position: int | None = None
    """Place in the queue, from 1; absent if it waits for answers."""
    blocked_by: str | None = None
    """Run ahead of it; absent without one, or outside of the caller's scope."""
    limit: ReachedLimit | None = None
    """The limit that is reached, if that is the reason."""
    asks: list[str] | None = None
    """Ids of the open asks that it waits for."""
    parked: bool | None = None
    """True if it gave its slot back to wait for a person; absent for a queued run."""


class SandboxCapabilities(Model, frozen=True, kw_only=True):
    """The sandbox for commands of this server's runs: if it works, and else the reason and the remedy."""

    available: bool
    """True if it works."""
    reason: str | None = None
    """Why none works; absent if one does."""
    remedy: str | None = None
    """What to do about it; absent if one works."""


class SandboxPolicy(Model, frozen=True, kw_only=True):
    """The sandbox of the commands of a run, whether tool `shell` or a verification policy starts them.

    `preferred`: commands run without a sandbox where none works, which is recorded. `required`: the run is refused
    there. Network `egress`: the hosts of `allowed_egress` can be reached through a proxy. `read_only`: absolute paths
    that commands may read beside the system and the workspace.
    """

    mode: SandboxPolicyMode
    """Run commands without a sandbox (`off`), in one where it works, or only in one."""
    network: SandboxPolicyNetwork | None = None
    """`none` (the default), or `egress`: the hosts of `allowed_egress`, through a proxy."""
    read_only: list[str] | None = None
    """Absolute paths that commands may read beside the system and the workspace."""


class SchedulePause(Model, frozen=True, kw_only=True):
    """Why and since when a schedule is paused. `run_id` is the run that failed, if the cause is `failure`."""

    cause: PauseCause
    """Why it is paused."""
    since: datetime
    """When it was paused."""
    run_id: str | None = None
    """Run that failed, if that is the cause."""


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
    """Session of the run; null without one."""
    started_at: datetime
    """When it ran, or when it was decided that it would not."""
    status: ScheduleRunStatus
    finished_at: datetime | None = None
    """When it ended; absent before that."""
    nominal_time: datetime | None = None
    """When it was due; absent for a manual run."""
    reason: ScheduleRunReason | None = None
    """Why it did not end with `ok`; absent otherwise."""
    run_id: str | None = None
    """Its run or workflow run; absent without one."""
    error: str | None = None
    """Text of the error; absent without one."""
    error_code: str | None = None
    """Code of the error; absent without one."""


class ScheduleRunResult(Model, frozen=True, kw_only=True):
    """Result of one run of a schedule.

    `status` is ok, failed, already-running, or running if the answer did not wait for the end. `reason` says why a run
    failed for a cause outside of the schedule.
    """

    status: ScheduleRunStatus
    id: str
    """Id of the schedule."""
    session_id: str | None
    """Session of the run; null without one."""
    started_at: datetime
    """When it ran, or when it was refused."""
    finished_at: datetime | None = None
    """When it ended; absent before that."""
    error: str | None = None
    """Text of the error; absent without one."""
    error_code: str | None = None
    """Code of the error; absent without one."""
    reason: ScheduleRunReason | None = None
    """Why it did not end with `ok`; absent otherwise."""
    run_id: str | None = None
    """Its run or workflow run; absent without one."""


class ScheduledTask(Model, frozen=True, kw_only=True):
    """A schedule: its trigger, its target and its state.

    `next_run_at` is null if no run is planned. `buffered` counts scheduled times that wait for a run to end. `revision`
    counts writes. `input` is null if the target is a directive, and once redacted. `paused_because` is present while it
    is paused. `redacted` is true if a text of it was erased.
    """

    schema_version: int
    """Version of this shape."""
    id: str
    session_id: str | None
    """Session of its runs; null without one."""
    input: str | None
    """Text of the task; null if the target is another, and once redacted."""
    enabled: bool
    """False switches it off."""
    paused: bool
    """Whether it is paused."""
    running: bool
    """True while a run is active."""
    overlap_policy: OverlapPolicy
    """What to do if a run is active when another is due; absent: `skip`."""
    catch_up: CatchUp
    """Which missed times run; absent: `latest`."""
    catch_up_window_seconds: int
    """How late a missed time may run, in seconds; absent: a year."""
    pause_on_failure: bool
    """True: a failed run pauses the schedule."""
    jitter_seconds: int
    """Largest delay of a start, in seconds; the same for the same time."""
    buffered: int
    """Scheduled times that wait for a run to end."""
    revision: int
    """Number of writes."""
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When it last changed."""
    updated_by: str
    """Identity that changed it last."""
    next_run_at: datetime | None
    """When it runs next; null if no run is planned."""
    last_run_at: datetime | None = None
    """When a run last completed; absent before one."""
    every_minutes: int | None = None
    """Interval in minutes."""
    cron: str | None = None
    """Cron expression with five fields, or a macro such as `@daily`."""
    timezone: str | None = None
    """IANA time zone of `cron`; absent: UTC."""
    run_at: datetime | None = None
    """The only time, instead of an interval or cron."""
    start_at: datetime | None = None
    """No times before this."""
    end_at: datetime | None = None
    """No times after this."""
    directive_id: str | None = None
    """Id of the directive; absent if there is none."""
    harness_profile_id: str | None = None
    run_template_id: str | None = None
    """Id of the run template; absent without one."""
    params: dict[str, str] | None = None
    """Values of the template's parameters; absent without them."""
    workflow_id: str | None = None
    """Id of the workflow; absent without one."""
    note: str | None = None
    """Reason of the last pause or resume; absent without one."""
    paused_because: SchedulePause | None = None
    """Why it is paused; absent if it is not."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class SentAnchor(Model, frozen=True, kw_only=True):
    """The last anchor that this server has sent to a destination since it started."""

    kind: SentAnchorKind
    """Kind of the destination."""
    position: int
    """Position of the anchor."""


class SentRequest(Model, frozen=True, kw_only=True):
    """The request of one turn of a run to a model.

    `call` is absent if no answer is recorded: then the request may be under way, or was never answered. `withheld` is
    true if the scope of the caller hides some of the messages: recalled notes, referenced files, and the history of a
    session of which it covers only some runs. `schema` is the JSON Schema that the answer must match. `tools` are the
    tools of the run's MCP servers as they were accepted then, and the tools of this release. `erased_tools` are tools
    whose descriptions were erased since.
    """

    run_id: str
    turn: int
    """Number of the turn, from 1."""
    turns: int
    """Number of turns that are recorded."""
    messages: list[ModelMessage]
    """The messages in their order."""
    context: ContextMeta
    """How the messages were made to fit."""
    tools: list[ToolSpec] | None = None
    """The tools that the model may call, as they are described to it."""
    call: RecordedCall | None = None
    """The call that answered the turn; absent if none is recorded."""
    schema: dict[str, Any] | None = None
    """JSON Schema that the answer must match; absent without one."""
    withheld: bool | None = None
    """True if the scope of the caller hides some of the messages; absent otherwise."""
    erased_tools: list[str] | None = None
    """Tools whose descriptions were erased since; absent if there are none."""


class SeriesLine(Model, frozen=True, kw_only=True):
    """The counts of each interval, oldest first, and their total. Counts that are all 0 are absent.

    The model of an outcome is the one that the run asked for, and the model of a call the one that answered. A
    percentile is null in an interval in which no run completed.
    """

    total: SeriesTotal
    """Counts of the whole time."""
    name: str | None = None
    """Model, id of the profile, or error code; absent in `all` and `other`."""
    started: list[int] | None = None
    """Runs that were admitted in each interval; absent if 0."""
    completed: list[int] | None = None
    """Runs that completed in each interval; absent if 0."""
    failed: list[int] | None = None
    """Runs that failed in each interval; absent if 0."""
    cancelled: list[int] | None = None
    """Runs that were cancelled in each interval; absent if 0."""
    timed_out: list[int] | None = None
    """Runs that timed out in each interval; absent if 0."""
    crashed: list[int] | None = None
    """Runs that crashed in each interval; absent if 0."""
    rejected: list[int] | None = None
    """Runs that the policy rejected in each interval; absent if 0."""
    calls: list[int] | None = None
    """Model calls in each interval; absent if 0."""
    input_tokens: list[int] | None = None
    """Input tokens in each interval; absent if 0."""
    output_tokens: list[int] | None = None
    """Output tokens in each interval; absent if 0."""
    cost_micro_usd: list[int] | None = None
    """Cost in each interval, in millionths of a dollar; absent if 0."""
    p50_ms: list[int | None] | None = None
    """Median duration of the runs that completed in each interval, or null; absent without any."""
    p95_ms: list[int | None] | None = None
    """95th percentile of these durations, or null; absent without any."""


class SeriesTotal(Model, frozen=True, kw_only=True):
    """Counts of the whole window. Percentiles are of the runs that completed, at most an eighth too high."""

    started: int
    """Runs that were admitted."""
    completed: int
    """Number that completed."""
    failed: int
    """Runs that failed."""
    cancelled: int
    """Number that were cancelled."""
    timed_out: int
    """Number that timed out."""
    crashed: int
    """Number that crashed."""
    rejected: int
    """Runs that the policy rejected."""
    calls: int
    """Model calls."""
    input_tokens: int
    """Input tokens, with cached ones; absent if unknown."""
    output_tokens: int
    """Output tokens, with reasoning ones; absent if unknown."""
    cost_micro_usd: int
    """Cost, in millionths of a dollar."""
    p50_ms: int | None = None
    """Median time in milliseconds; absent without runs."""
    p95_ms: int | None = None
    """95th percentile in milliseconds; absent without runs."""


class Session(Model, frozen=True, kw_only=True):
    """A session: a sequence of runs with one transcript. `transcript_path` is a label, not a file."""

    id: str
    schema_version: int
    """Version of this shape."""
    transcript_path: str
    """Label of the transcript. No file has this path."""
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When it last changed."""
    model: str | None = None
    """Model of the last run; absent before one."""
    provider: str | None = None
    """Provider of the last run; absent before one."""


class SessionSpend(Model, frozen=True, kw_only=True):
    """Consumption of the runs of a session."""

    estimated_spend_usd: float
    """Cost in dollars, by the price table."""
    input_tokens: int
    """Input tokens, with cached ones; absent if unknown."""
    output_tokens: int
    """Output tokens, with reasoning ones; absent if unknown."""
    total_tokens: int
    """Input and output tokens; absent if unknown."""
    session_id: str


class ShellMatch(Model, frozen=True, kw_only=True):
    """Commands that begin with these words."""

    command: list[str]
    """First words of the command."""


class ShellPolicy(Model, frozen=True, kw_only=True):
    """The commands that tool `shell` may start. Each one is a prefix of the command line, word by word.

    `directory` is relative to the workspace. The limits apply to one call. The first of `rules` that matches a command
    decides whether it needs approval, else `approval` does.
    """

    approval: ShellPolicyApproval | None = None
    """`allow` (the default), `ask` a person before a call, or `deny`."""
    commands: list[list[str]]
    """Allowed commands, each as a prefix of words."""
    directory: str | None = None
    """Directory in the workspace; absent: its root."""
    timeout_ms: int | None = None
    """Timeout in milliseconds."""
    output_bytes_max: int | None = None
    """Largest output of a call, in bytes."""
    rules: list[ShellRule] | None = None
    """Approval of some calls; the first that matches decides."""


class ShellRule(Model, frozen=True, kw_only=True):
    """The approval of the commands that match."""

    match: ShellMatch
    """Calls that the rule is about."""
    approval: ShellRuleApproval
    """`allow` (the default), `ask` a person before a call, or `deny`."""


class SimulatedOutcome(Model, frozen=True, kw_only=True):
    """The outcome of one request, recorded and simulated: the reason of a refusal, and whether it would wait."""

    run_id: str
    waited: bool
    """True if it would wait."""
    recorded: str | None = None
    """Rule that refused it; absent if admitted."""
    simulated: str | None = None
    """Rule that would refuse it; absent if admitted."""


class Simulation(Model, frozen=True, kw_only=True):
    """The requests since a position, as they were decided and as another policy would have decided them.

    `truncated` is true above 10,000 requests or 500,000 events; `to` is the last position that was read. `estimated`
    counts runs that never ran and now would, with the time and cost of similar runs. `waited` counts runs that the
    other policy would have queued. `paused` counts runs that its daily budget would have paused; they stay paused.
    `not_simulated` names what stays as recorded. `policy_version` is the policy in force, for the `If-Match` of an
    update. `run` is present if a run was asked for and is among them.
    """

    since: int
    """First position."""
    to: int
    """Last position that was read."""
    truncated: bool
    """True if there are more events."""
    requests: int
    """Requests that were simulated."""
    recorded: RequestCounts
    """Totals as the requests were decided."""
    simulated: RequestCounts
    """Totals as the simulated policy decides."""
    waited: int
    """Runs that would wait."""
    paused: int
    """Runs that the daily budget would pause."""
    newly_rejected: OutcomeChange
    """Runs that would be refused now."""
    newly_allowed: OutcomeChange
    """Runs that would be admitted now."""
    estimated: int
    """Runs with an estimated time and cost."""
    not_simulated: list[SimulationLimit]
    """What stays as recorded."""
    policy_version: int | None = None
    """Version of the policy in force, for the `If-Match` of an update."""
    run: SimulatedOutcome | None = None
    """Outcome of the run asked for; absent without one."""


class Step(Model, frozen=True, kw_only=True):
    """A step of a workflow: a directive with the profile that runs it, or an approval."""

    id: str
    directive_id: str | None = None
    """Id of the directive; absent if there is none."""
    harness_profile_id: str | None = None
    outputs: list[str] | None = None
    """Names of the outputs."""
    execution: StepExecution | None = None
    """Attempts and timeout of the step."""
    trigger_rule: TriggerRule | None = None
    """When the step starts; absent: `all-succeeded`."""
    when: Condition | None = None
    """Condition of the step; absent: none."""
    map: MapOver | None = None
    """List for whose items the step runs."""
    approval: Approval | None = None


class StepExecution(Model, frozen=True, kw_only=True):
    """The execution of a step: attempts, milliseconds for each attempt, and metadata of its runs."""

    max_attempts: int | None = None
    """Most attempts of the step."""
    timeout_ms: int | None = None
    """Timeout of an attempt in milliseconds."""
    metadata: dict[str, str] | None = None
    """Names and values of the client."""


class StepItem(Model, frozen=True, kw_only=True):
    """State of one item of a mapped step."""

    item: int
    """Number of the item, from 0."""
    status: StepItemStatus
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""
    run_id: str | None = None
    """Its last run; absent before one."""
    error: str | None = None
    """Error, as `CODE: text`; absent without one."""


class StepState(Model, frozen=True, kw_only=True):
    """State of a step.

    With `items_truncated` only the first items are included. `GET /workflows/run/:id/steps/:step/items` pages all of
    them.
    """

    step_id: str
    """Id of the step in the graph of the workflow."""
    status: StepStatus
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""
    ready: bool
    """True if nothing blocks the step."""
    dependency_readiness: DependencyReadiness
    """State of its dependencies."""
    updated_at: datetime
    """When it last changed."""
    checkpoint: Checkpoint | None = None
    """Last attempt; absent before one."""
    run_id: str | None = None
    """Its last run; absent before one."""
    note: str | None = None
    """Why it was skipped or who decided; absent otherwise."""
    items: list[StepItem] | None = None
    """First items; absent without `map`."""
    item_counts: ItemCounts | None = None
    """Number of items by kind."""
    items_truncated: bool | None = None
    """True if more items exist; else absent."""
    approval: PendingApproval | None = None


class TemplateUse(Model, frozen=True, kw_only=True):
    """The template version and parameters from which a run was started."""

    id: str
    version: int
    """Version number, from 1."""
    harness_profile_id: str
    effective_params: dict[str, Any]
    """Parameters with the defaults of the template."""


class TemplateVersion(Model, frozen=True, kw_only=True):
    """The template version that a run was started from."""

    id: str
    version: int
    """Version number, from 1."""


class TextContent(Model, frozen=True, kw_only=True):
    """Text content of evidence."""

    kind: TextContentKind
    """Text."""
    text: str


class TextTrace(Model, frozen=True, kw_only=True):
    """A place that may still hold erased text: why, and how to remove it."""

    place: str
    """Where the text may remain."""
    reason: str
    """Why it may remain."""
    remedy: str
    """What to do."""


class TickResult(Model, frozen=True, kw_only=True):
    """Result of a tick: the runs that it started, and the number of schedules that it skipped."""

    at: datetime
    """Time of the tick."""
    run: list[ScheduleRunResult]
    """Runs that it started."""
    skipped: int
    """Number that were skipped."""


class Token(Model, frozen=True, kw_only=True):
    """An API token or a console session, without its secret. A session is a token with `parent_id`.

    `role` is the highest role that its requests may have. `parent_id` is the token that logged in, or names
    `ATHENA_AUTH_API_TOKEN` by its fingerprint. `last_used_at` is exact to a minute. A token with `redacted` lost its
    note.
    """

    token_id: str
    """Id of the token or session."""
    kind: TokenKind
    """A token, or a session of the console."""
    status: TokenStatus
    identity: str
    """Identity of its requests."""
    role: Role
    """Highest role of its requests."""
    created_by: str
    """Identity that created it."""
    created_at: datetime
    """When it was created."""
    expires_at: datetime
    """When it expires."""
    scope: dict[str, list[str]] | None = None
    """Names that it may concern, by kind; absent: all."""
    note: str | None = None
    """Note of the Admin who created it; absent once redacted."""
    parent_id: str | None = None
    """Token that opened the session; absent for a token."""
    revoked_at: datetime | None = None
    """When it was revoked; absent while it is not."""
    revoked_by: str | None = None
    """Identity that revoked it; absent otherwise."""
    last_used_at: datetime | None = None
    """When it was last used, exact to a minute; absent before that."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class TokenMix(Model, frozen=True, kw_only=True):
    """Tokens of all calls. Ratios are shares of the sum of input and output tokens, 0 to 1."""

    input_tokens: int
    """Input tokens, with cached ones; absent if unknown."""
    output_tokens: int
    """Output tokens, with reasoning ones; absent if unknown."""
    total_tokens: int
    """Input and output tokens; absent if unknown."""
    input_ratio: float
    """Share of input tokens, 0 to 1."""
    output_ratio: float
    """Share of output tokens, 0 to 1."""


class TokenScopeBody(Model, frozen=True, kw_only=True):
    """The sessions, runs and personas that a token is restricted to. All kinds must match."""

    sessions: list[str] | None = None
    """Sessions that it may concern; absent: all."""
    runs: list[str] | None = None
    """Runs that it may concern; absent: all."""
    personas: list[str] | None = None
    """Personas that it may concern; absent: all."""


class ToolCall(Model, frozen=True, kw_only=True):
    """A tool call requested by a model. `arguments` is JSON as the model wrote it, possibly malformed."""

    id: str
    """Id of the call."""
    name: str
    """Name of the tool."""
    arguments: str
    """Arguments as the model wrote them, as JSON text."""


class ToolPolicies(Model, frozen=True, kw_only=True):
    """The rules of the tools. Without them `shell` starts nothing, `files` only reads, and nothing is asked."""

    shell: ShellPolicy | None = None
    """Rules of tool `shell`."""
    http: HttpPolicy | None = None
    """Rules of tool `http`."""
    files: FilesPolicy | None = None
    """Rules of tool `files`."""
    memory: ToolPolicy | None = None
    """Rules of tool `memory`."""
    evidence: ToolPolicy | None = None
    """Rules of tool `evidence`."""


class ToolPolicy(Model, frozen=True, kw_only=True):
    """The approval of a tool's calls; `allow` by default."""

    approval: ToolPolicyApproval | None = None
    """`allow` (the default), `ask` a person before a call, or `deny`."""


class ToolSpec(Model, frozen=True, kw_only=True):
    """A tool as it is described to a model. `parameters` is the JSON Schema of an object."""

    name: str
    """Name of the tool."""
    description: str
    """What the tool does."""
    parameters: dict[str, Any]
    """JSON Schema of its arguments."""


class TranscriptDelta(Model, frozen=True, kw_only=True):
    """The text since the last delta, from character `offset` of its turn on.

    A `reset` has no text: the client discards what it showed of the turn. An `activity` has no text either: it replaces
    the one before. After the last entry of a run that ended or is paused, one delta without text is `settled`; its turn
    is 0.
    """

    run_id: str
    turn: int
    """Number of the model call, from 1."""
    offset: int | None = None
    """First character of this text in its turn."""
    text: str | None = None
    """Text to append; absent with `reset` and `activity`."""
    reset: bool = False
    """True: discard the text of this turn."""
    settled: bool = False
    """True if the log has all text of the turn."""
    activity: AgentActivity | None = None
    """Replaces the activity before; absent if unchanged."""


class TranscriptEntry(Model, frozen=True, kw_only=True):
    """A transcript entry. It is `provisional` until its run ends; then `run_status` is the outcome of the run.

    `partial`: the model had not finished when the run ended or paused; later runs do not get it as context. `content`
    is null once redacted; then `redacted` is true. An `ask` and its `answer` name each other by `metadata.askId`.
    """

    id: str
    role: TranscriptRole
    """Author of the entry."""
    content: str | None
    """Text; null once redacted."""
    kind: TranscriptKind
    """Kind of the entry."""
    metadata: dict[str, str]
    """Facts about the entry, such as `truncated`."""
    created_at: datetime
    """When it was created."""
    run_id: str
    tool_call_id: str | None = None
    """Id of the tool call; absent without one."""
    tool_name: str | None = None
    """Name of the tool; absent without one."""
    is_error: bool | None = None
    """True if the tool failed or the call was refused; else absent."""
    provisional: bool | None = None
    """True until the run of the entry ends; then absent."""
    run_status: RunEndStatus | None = None
    """How its run ended; absent before that."""
    partial: bool | None = None
    """True if the model had not finished when the run was cut off; else absent."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class UpdatedSchedule(Model, frozen=True, kw_only=True):
    """Result of a change: `updated` is false if nothing changed, and `schedule` is absent if there is none."""

    id: str
    updated: bool
    """False if it already was in this state."""
    schedule: ScheduledTask | None = None
    """The schedule; absent if it does not exist."""


class Usage(Model, frozen=True, kw_only=True):
    """The tokens that a model call used (the mock provider counts characters).

    `input_tokens` includes cached and cache-writing tokens, `output_tokens` includes reasoning tokens.
    """

    input_tokens: int | None = None
    """Input tokens, with cached ones; absent if unknown."""
    output_tokens: int | None = None
    """Output tokens, with reasoning ones; absent if unknown."""
    total_tokens: int | None = None
    """Input and output tokens; absent if unknown."""
    cached_input_tokens: int | None = None
    """Input tokens read from a cache; absent if unknown."""
    cache_write_tokens: int | None = None
    """Input tokens that were written to a cache; absent if unknown."""
    reasoning_tokens: int | None = None
    """Output tokens of reasoning; absent if unknown."""


class VerificationFailure(Model, frozen=True, kw_only=True):
    """A verification policy that the run did not meet."""

    policy_id: str
    """Id of the verification policy."""
    kind: VerificationKind
    """Kind of the policy."""
    message: str
    """Text for people."""
    details: dict[str, str]
    """Names and values, such as an exit code."""


class VerificationPolicy(Model, frozen=True, kw_only=True):
    """A condition that a run must meet to pass verification. `label` is the label of the evidence.

    `require-evidence`: evidence with the label is attached. `command`: `command` (allowed for `shell`) exits with 0.
    `json-schema`: the output is JSON valid against `schema`. `contains`: the output contains the text.
    """

    id: str
    kind: VerificationKind
    """What it checks."""
    label: str
    """Label of the evidence."""
    evidence_type: EvidenceType | None = None
    """Type that the evidence must have; absent: any."""
    command: list[str] | None = None
    """Command and arguments that must exit with 0."""
    schema: dict[str, Any] | None = None
    """JSON Schema that the output must match."""
    contains: str | None = None
    """Text that the output must contain."""


class ViewDigest(Model, frozen=True, kw_only=True):
    """SHA-256 of the rows of a view at a position. Servers with the same log have the same digest."""

    position: int
    """Position that the rows reflect."""
    rows: int
    """Number of rows."""
    sha256: str
    """SHA-256 of the rows in hex."""


class ViewDigests(Model, frozen=True, kw_only=True):
    """Digests of the views that serve reads, all taken at one moment."""

    generation: str | None
    """File of the views that serve reads."""
    views: dict[str, ViewDigest]
    """Digest of each view, by name."""


class WorkDrain(Model, frozen=True, kw_only=True):
    """A drain of a queue. `status` is `running`, `ok` or `failed`.

    `automatic` is true if a message started it.
    """

    drain_id: str
    session_id: str
    status: WorkDrainStatus
    requested_by: str
    """Identity that requested it."""
    automatic: bool
    """True if a message started it."""
    started_at: datetime
    """When it started."""
    queue_depth_before: int
    """Waiting items at the start."""
    drained_items: int
    """Items done."""
    queue_depth_after: int | None = None
    """Waiting items at the end; absent before that."""
    finished_at: datetime | None = None
    """When it ended; absent before that."""
    provider: str | None = None
    """Name of the provider."""
    model: str | None = None
    """Name of the model."""
    run_id: str | None = None
    """Its last run; absent before one."""
    error: DrainError | None = None
    """Why it stopped; absent otherwise."""


class WorkItem(Model, frozen=True, kw_only=True):
    """A waiting work item. `payload` is null once redacted. `run_id` is present while a run processes it.

    `redacted` is true if its text was erased.
    """

    id: str
    session_id: str
    payload: str | None
    """Text of the work; null once redacted."""
    mode: QueueMode
    """`followup`: a run of its own. `collect`: consecutive items share one run."""
    created_at: datetime
    """When it was created."""
    attempts: int
    """Number of runs that processed it."""
    run_id: str | None = None
    """Run that processes it; absent while it waits."""
    message_id: str | None = None
    """Id of the message; absent if it is not from one."""
    dead_letter_id: str | None = None
    """The dead letter that it became or came from."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class WorkQueueState(Model, frozen=True, kw_only=True):
    """The work queue of a session, oldest item first. `items` is a page of the items that `item_counts` counts."""

    schema_version: int
    """Version of this shape."""
    session_id: str
    items: list[WorkItem]
    """Items of this page."""
    item_counts: QueueCounts
    """Number of items by kind."""
    draining: bool
    """True while a drain runs."""
    updated_at: datetime
    """When it last changed."""
    next_cursor: str | None = None
    """Cursor of the next page; absent on the last."""


class WorkQueueSummary(Model, frozen=True, kw_only=True):
    """The queue of a session with waiting items, in a list. `drain_id` is present while a drain runs."""

    session_id: str
    item_count: int
    """Number of waiting items."""
    oldest_item_since: str
    """When the oldest item was enqueued."""
    updated_at: datetime
    """When it last changed."""
    drain_id: str | None = None
    """The drain that runs; else absent."""


class Worker(Model, frozen=True, kw_only=True):
    """A process attached to the log: a server, a worker, or a command that runs without a server.

    `concurrency` is the number of runs that it executes at a time (0: none), and `providers` lists the providers that
    it can use. `running` is the number of runs that it is executing now. A worker that is `lost` no longer holds its
    lock, and other workers take over its runs. `problems` lists the background loops that were failing at its last
    heartbeat. `agents` lists the outside agents that are registered there, unless they are not known.
    """

    id: str
    kind: WorkerKind
    """What the process does."""
    status: WorkerStatus
    """`lost`: others take over its runs."""
    host: str
    """Host that it runs on."""
    pid: int
    """Process id on its host."""
    providers: list[str]
    """Providers that it can use."""
    concurrency: int
    """Runs that it executes at a time; 0: none."""
    running: int
    """Runs that it executes now."""
    since: datetime
    """When it started."""
    heartbeat: datetime
    """When it last reported."""
    problems: list[BackgroundProblem]
    """Background loops that are failing."""
    agents: list[str] | None = None
    """Outside agents that are registered there; absent without one, or if they are not known."""


class Workers(Model, frozen=True, kw_only=True):
    """The processes attached to the log, oldest first."""

    items: list[Worker]
    """The processes, oldest first."""


class Workflow(Model, frozen=True, kw_only=True):
    """A workflow: a graph of steps. `redacted` is true if the metadata of its steps was erased."""

    id: str
    definition: WorkflowDefinition
    """Steps and dependencies."""
    created_at: datetime
    """When it was created."""
    created_by: str
    """Identity that created it."""
    redacted: bool | None = None
    """True if the content was erased; else absent."""


class WorkflowDefinition(Model, frozen=True, kw_only=True):
    """The steps of a workflow and their dependencies."""

    steps: list[Step]
    """Steps, in order."""
    dependencies: list[Dependency]
    """Edges of the graph."""


class WorkflowLogLine(Model, frozen=True, kw_only=True):
    """A line of the log of a workflow run."""

    id: str
    level: WorkflowLogLineLevel
    """Level of the line."""
    message: str
    """Text for people."""
    created_at: datetime
    """When it was created."""
    step_id: str | None = None
    """Id of the step; absent without one."""


class WorkflowProgress(Model, frozen=True, kw_only=True):
    """The number of steps by status, and the percentage of steps that are finished."""

    total_steps: int
    """Number of steps."""
    completed_steps: int
    """Steps that are ok."""
    running_steps: int
    """Steps that are running."""
    failed_steps: int
    """Steps that failed or were cancelled."""
    pending_steps: int
    """Steps that are pending."""
    skipped_steps: int
    """Steps that were skipped."""
    waiting_steps: int
    """Steps that wait for an approval."""
    percent_complete: float
    """Share of steps that are ok or skipped, 0 to 100."""


class WorkflowRun(Model, frozen=True, kw_only=True):
    """A run of a workflow.

    With `execution_log_truncated` the log has the newest lines only. All events of the run are in the feed.
    """

    schema_version: int
    """Version of this shape."""
    id: str
    workflow_id: str
    """Id of the workflow; absent without one."""
    status: WorkflowRunStatus
    step_order: list[str]
    """Ids of the steps, in the order of the definition."""
    step_states: dict[str, StepState]
    """State of each step, by id."""
    execution_log: list[WorkflowLogLine]
    """Log of the run, oldest line first."""
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When it last changed."""
    requested_by: str
    """Identity that requested it."""
    resumed_from_run_id: str | None = None
    """Run that it was resumed from; absent otherwise."""
    started_at: datetime | None = None
    """When it started; absent before that."""
    finished_at: datetime | None = None
    """When it ended; absent before that."""
    execution_log_truncated: bool | None = None
    """True if older lines are left out; else absent."""
    dry_run: DryRun | None = None
    """What the resume would do; only in answers to a dry run."""


class WorkflowRunDetails(Model, frozen=True, kw_only=True):
    """A workflow, with the state of a run. Without a run, `run` is null and the related fields are empty."""

    workflow: Workflow
    """The workflow that it runs."""
    run: WorkflowRun | None
    """The run; null without one."""
    nodes: list[StepState]
    """Steps in the order of the definition."""
    progress: WorkflowProgress
    """Steps by status."""
    artifact_refs: list[ArtifactRef]
    """Outputs of the steps."""
    eta: Eta
    """Estimated end."""


class WorkflowRunSummary(Model, frozen=True, kw_only=True):
    """A run of a workflow, in a list."""

    id: str
    workflow_id: str
    """Id of the workflow; absent without one."""
    status: WorkflowRunStatus
    created_at: datetime
    """When it was created."""
    updated_at: datetime
    """When it last changed."""
    requested_by: str
    """Identity that requested it."""
    resumed_from_run_id: str | None = None
    """Run that it was resumed from; absent otherwise."""
    started_at: datetime | None = None
    """When it started; absent before that."""
    finished_at: datetime | None = None
    """When it ended; absent before that."""


class WorkspaceRecord(Model, frozen=True, kw_only=True):
    """The workspace of a session or of a workflow run: a directory tree in which its runs work.

    `commit` is the commit of a clone. A workspace with `keep` is not cleaned because it is unused. `runs` counts the
    runs that worked in it. `cleaned_by` is absent if an age limit or an erasure cleaned it, as `cause` says.
    `size_bytes` is only in the record of one workspace, and only if its directory is on the server's machine.
    """

    workspace_id: str
    kind: WorkspaceRecordKind
    """Owner: a session or a workflow run."""
    source: WorkspaceRecordSource
    """Source of its first files."""
    status: WorkspaceStatus
    keep: bool
    """True if it is kept though unused."""
    runs: int
    """Number of runs that worked in it."""
    created_at: datetime
    """When it was created."""
    last_used_at: datetime
    """When a run last began or ended in it."""
    session_id: str | None = None
    """Its session; absent for a workflow run."""
    workflow_run_id: str | None = None
    """Id of the workflow run; absent for a session."""
    commit: str | None = None
    """Commit that it was cloned at; absent for another source."""
    cleaned_at: datetime | None = None
    """When it was cleaned; absent before."""
    cleaned_by: str | None = None
    """Identity that cleaned it; absent if it was not requested."""
    cause: WorkspaceRecordCause | None = None
    """Why it was cleaned; absent before."""
    size_bytes: int | None = None
    """Size on disk in bytes; absent in lists, and if this machine does not have it."""
