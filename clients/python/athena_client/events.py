"""The events of the feed, a class for each type.

Generated from the registered events by `python -m docs.generate`; do not edit.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from athena_client import models
from athena_client.models import Model

if TYPE_CHECKING:
    A2aMessageCompletedPayloadStatus: TypeAlias = Literal["completed"] | str
    A2aMessageFailedPayloadStatus: TypeAlias = Literal["failed"] | str
    A2aMessageSentPayloadStatus: TypeAlias = Literal["sent"] | str
    A2aMessageStartedPayloadStatus: TypeAlias = Literal["started"] | str
    AgentAttachedHow: TypeAlias = Literal["new", "replayed", "resumed"] | str
    AskOptionKind: TypeAlias = Literal["allow_once", "reject_once"] | str
    AuthnFailedCode: TypeAlias = Literal["AUTH_TOKEN_EXPIRED", "AUTH_TOKEN_INVALID", "RATE_LIMITED"] | str
    AuthzDeniedDenyReason: TypeAlias = Literal["ROLE_MISSING", "SCOPED_ACCESS_VIOLATION"] | str
    BulkRequestedAct: TypeAlias = Literal["cancel", "retry"] | str
    LogForkedAnchor: TypeAlias = Literal["foreign", "missing", "unreadable"] | str
    McpAttachedTransport: TypeAlias = Literal["http", "stdio"] | str
    PermissionRuleRevokedCause: TypeAlias = Literal["expiry", "requested"] | str
    PersonaRunCompletedStatus: TypeAlias = Literal["failed", "ok"] | str
    PersonaRunStartedBaseRefResolvedFrom: TypeAlias = Literal["flag", "main", "origin-head"] | str
    RolesLoadedSource: TypeAlias = Literal["file", "settings"] | str
    RunAnsweredCause: TypeAlias = Literal["expiry", "person", "rule", "run-ended"] | str
    RunAskedKind: TypeAlias = Literal["choice", "question", "tool-permission"] | str
    RunAskedOnExpiry: TypeAlias = Literal["cancel", "deny"] | str
    RunAskedOrigin: TypeAlias = Literal["agent", "loop", "mcp"] | str
    RunCancelRequestedCause: TypeAlias = (
        Literal["executor", "interrupted", "key-limit", "parent", "requested", "session-busy"] | str
    )
    RunCancelRequestedStatus: TypeAlias = Literal["cancelled", "not-running"] | str
    RunCancelledCause: TypeAlias = (
        Literal["executor", "interrupted", "key-limit", "parent", "requested", "session-busy"] | str
    )
    RunLeasedBecause: TypeAlias = Literal["dead", "frozen", "left"] | str
    RunQueuedReason: TypeAlias = Literal["agent-memory", "concurrency", "executor", "key-limit", "session-busy"] | str
    RunRequeuedReason: TypeAlias = Literal["agent-memory", "concurrency", "executor", "halted", "key-limit"] | str
    SafetyViolationCategory: TypeAlias = Literal["authorization", "policy", "sandbox"] | str
    SafetyViolationOutcome: TypeAlias = Literal["blocked", "denied", "failed", "violated"] | str
    SafetyViolationSeverity: TypeAlias = Literal["critical", "high"] | str
    ScheduleRunFailedReason: TypeAlias = Literal["cancelled", "policy-rejected"] | str
    ScheduleRunSkippedReason: TypeAlias = (
        Literal[
            "buffer-full",
            "catchup-latest",
            "catchup-window-exceeded",
            "disabled",
            "outside-start-end",
            "overlap-skip",
            "paused",
            "removed",
            "superseded",
        ]
        | str
    )
    ScheduleRunTriggeredStatus: TypeAlias = Literal["already-running", "failed", "ok"] | str
    ScheduleSlotsMissedReason: TypeAlias = (
        Literal[
            "buffer-full",
            "catchup-latest",
            "catchup-none",
            "catchup-window-exceeded",
            "disabled",
            "halted",
            "outside-start-end",
            "overlap-skip",
            "paused",
            "removed",
            "superseded",
        ]
        | str
    )
    TokenRevokedCause: TypeAlias = Literal["expiry", "requested", "superseded"] | str
    ToolCalledOrigin: TypeAlias = Literal["agent", "mcp"] | str
    ToolCalledRefused: TypeAlias = (
        Literal["bad-arguments", "changed-tool", "denied", "too-many-asks", "unknown-tool"] | str
    )
    TranscriptAppendedKind: TypeAlias = Literal["message", "tool-call", "tool-result"] | str
    WorkDrainedPayloadStatus: TypeAlias = Literal["ok"] | str
    WorkflowApprovalGrantedCause: TypeAlias = Literal["expiry", "identity"] | str
    WorkflowApprovalRejectedCause: TypeAlias = Literal["expiry", "identity"] | str
    WorkflowStepSkippedReason: TypeAlias = Literal["condition", "no-failure", "upstream-skipped"] | str
    WorkspaceCleanedCause: TypeAlias = Literal["erasure", "policy", "requested"] | str
    WorkspaceCleanedKind: TypeAlias = Literal["session", "workflow-run"] | str
    WorkspaceCreatedKind: TypeAlias = Literal["session", "workflow-run"] | str
    WorkspaceCreatedSource: TypeAlias = Literal["clone", "copy", "empty"] | str
else:  # a newer server may send others
    A2aMessageCompletedPayloadStatus = str
    A2aMessageFailedPayloadStatus = str
    A2aMessageSentPayloadStatus = str
    A2aMessageStartedPayloadStatus = str
    AgentAttachedHow = str
    AskOptionKind = str
    AuthnFailedCode = str
    AuthzDeniedDenyReason = str
    BulkRequestedAct = str
    LogForkedAnchor = str
    McpAttachedTransport = str
    PermissionRuleRevokedCause = str
    PersonaRunCompletedStatus = str
    PersonaRunStartedBaseRefResolvedFrom = str
    RolesLoadedSource = str
    RunAnsweredCause = str
    RunAskedKind = str
    RunAskedOnExpiry = str
    RunAskedOrigin = str
    RunCancelRequestedCause = str
    RunCancelRequestedStatus = str
    RunCancelledCause = str
    RunLeasedBecause = str
    RunQueuedReason = str
    RunRequeuedReason = str
    SafetyViolationCategory = str
    SafetyViolationOutcome = str
    SafetyViolationSeverity = str
    ScheduleRunFailedReason = str
    ScheduleRunSkippedReason = str
    ScheduleRunTriggeredStatus = str
    ScheduleSlotsMissedReason = str
    TokenRevokedCause = str
    ToolCalledOrigin = str
    ToolCalledRefused = str
    TranscriptAppendedKind = str
    WorkDrainedPayloadStatus = str
    WorkflowApprovalGrantedCause = str
    WorkflowApprovalRejectedCause = str
    WorkflowStepSkippedReason = str
    WorkspaceCleanedCause = str
    WorkspaceCleanedKind = str
    WorkspaceCreatedKind = str
    WorkspaceCreatedSource = str

if TYPE_CHECKING:
    EventType: TypeAlias = (
        Literal[
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
        ]
        | str
    )
    """The type of an event: one that this client knows, or another one."""
else:
    EventType = str


class EventRecord(Model, frozen=True, kw_only=True):
    """A recorded event as it is published. `id` is the cursor of the events that follow it."""

    id: str
    """Id of the event, and cursor of the events after it."""
    trace_id: str
    """Trace id of the request that caused it."""
    created_at: datetime
    """When it was created."""
    session_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    """Task of the sender; absent without one."""
    parent_run_id: str | None = None
    """The run that started it; absent without one."""
    retry_of: str | None = None
    """Run whose request it makes again; absent if it is not a retry."""
    policy: dict[str, Any] | None = None
    """Rule of a rejection; absent otherwise."""
    sandbox: dict[str, Any] | None = None
    """Phase of the sandbox of a run, in `sandbox.lifecycle`; absent otherwise."""
    scope: dict[str, list[str]] | None = None
    """Scope that the event stores, as names by kind; absent without one."""
    undecodable: bool | None = None
    """True if the payload cannot be read here; else absent."""


class AskOption(Model, frozen=True, kw_only=True):
    """A possible answer to an ask. Its name is text of the ask."""

    id: str
    kind: AskOptionKind
    """Whether it allows the call or refuses it."""


class ContextReference(Model, frozen=True, kw_only=True):
    """A resolved reference in a run's context. `sha256` is the hash of the run's salt and the referenced text."""

    ref: str
    sha256: str
    """SHA-256 in hex."""
    chars: int
    """Length in characters."""


class DeadLetterAttempt(Model, frozen=True, kw_only=True):
    """A failed run of the work: its id, time (ISO-8601) and error code."""

    run_id: str
    at: datetime
    """When it failed."""
    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""


class HarnessSpec(Model, frozen=True, kw_only=True):
    """A harness profile as a client writes it."""

    display_name: str
    """Name for people."""
    version: models.HarnessVersion
    """Version of this shape."""
    config: models.HarnessConfig
    """Model, tools, and names of credentials."""
    policies: models.HarnessPolicies
    """Limits of a run."""
    tool_policies: models.ToolPolicies | None = None
    """Rules of the tools; absent: `shell` runs nothing and `files` reads."""
    allowed_egress: list[models.Egress] | None = None
    """Hosts that tool `http` may reach; absent: none."""
    verification_policies: list[models.VerificationPolicy] | None = None
    """Conditions of a verified answer; absent: none."""
    asks: models.AskPolicy | None = None
    """How its runs ask a person; absent: the defaults."""
    sandbox: models.SandboxPolicy | None = None
    """Sandbox of the commands of its runs; absent: none."""
    workspace: models.HarnessSpecWorkspace | None = None
    """Where its runs work; absent: in the shared workspace."""
    agent: models.AgentPolicy | None = None
    """Outside agent that works on its runs; absent: the loop of Athena."""
    mcp: dict[str, models.McpPolicy] | None = None
    """Tools of MCP servers that its runs may call, by server; absent: none."""


class HashedTool(Model, frozen=True, kw_only=True):
    """A listed tool. `sha256` covers its name, description, schemas and annotations; `read_only` is a hint."""

    name: str
    sha256: str
    """SHA-256 in hex."""
    read_only: bool | None = None
    """Absolute paths that commands may read beside the system and the workspace."""


class LetterItem(Model, frozen=True, kw_only=True):
    """A work item in a dead letter."""

    item_id: str
    mode: models.QueueMode
    """`followup`: a run of its own. `collect`: consecutive items share one run."""
    chars: int
    """Length in characters."""


class OutputHash(Model, frozen=True, kw_only=True):
    """The hash of an output that a condition or map read: SHA-256 of a salt and the text, which may be erased."""

    step_id: str
    """Id of the step; absent without one."""
    sha256: str
    """SHA-256 in hex."""


class Policy(Model, frozen=True, kw_only=True):
    """A policy document. An absent limit does not limit.

    `max_run_attempts` is the number of executors that a run may lose before it ends as crashed; 3 if absent.
    """

    schema_version: int
    """Version of this shape."""
    max_concurrent_runs: int | None = None
    """Most active runs; absent: no limit."""
    limits: list[models.KeyLimit] | None = None
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


class PolicyOrigin(Model, frozen=True, kw_only=True):
    """The rule that refused a run, and its engine."""

    schema_version: int
    """Version of this shape."""
    engine: models.PolicyEngine
    """Engine of the rule."""
    rule_type: models.PolicyRuleType
    policy_name: str | None = None
    """Name of the policy; absent without one."""
    rule_name: str | None = None
    """Name of the rule; absent without one."""
    failure_action: models.FailureAction | None = None
    """What the rule does; absent if unknown."""
    message: str | None = None
    """Text for people."""


class RedriveSelection(Model, frozen=True, kw_only=True):
    """A filter of pending dead letters. Times are in milliseconds since 1970 UTC, inclusive."""

    session_id: str | None = None
    source: str | None = None
    """Only dead letters of this source."""
    source_persona: str | None = None
    """Persona that sent the message; absent for queue items."""
    target_persona: str | None = None
    """Persona that the message is for; absent for queue items."""
    reason: str | None = None
    """Only dead letters with this reason."""
    created_after: int | None = None
    """Only what was created at this time or later."""
    created_before: int | None = None
    """Only what was created at this time or earlier."""


class RejectedRunDetails(Model, frozen=True, kw_only=True):
    """The session and persona of a refused run."""

    session_id: str
    persona_name: str | None = None


class ReopenedApproval(Model, frozen=True, kw_only=True):
    """The reason why a granted approval is requested again: changed inputs, and earlier steps that restart."""

    step_id: str
    """Id of the step; absent without one."""
    input_names: list[str] | None = None
    step_ids: list[str] | None = None


class RunFilter(Model, frozen=True, kw_only=True):
    """A filter of runs, for lists and for bulk acts. Times are milliseconds since 1970 UTC, inclusive.

    `cost_over_micro_usd` selects runs that cost more, and `duration_over_ms` ended runs that took longer.
    """

    session_id: str | None = None
    status: models.RunStatus | None = None
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
    created_after: int | None = None
    """Only what was created at this time or later."""
    created_before: int | None = None
    """Only what was created at this time or earlier."""
    cost_over_micro_usd: int | None = None
    duration_over_ms: int | None = None
    """Only ended runs that took longer, in milliseconds."""


class RunRejection(Model, frozen=True, kw_only=True):
    """The audit record of a refusal.

    With type `COST` it has the sums of the UTC day, and `limit`, a number of runs, is 0.
    """

    schema_version: int
    """Version of this shape."""
    timestamp: datetime
    """When it was rejected."""
    policy_type: models.PolicyType
    """Whether runs or costs were limited."""
    limit: int
    rejected_run_details: RejectedRunDetails
    """Session and persona of the run."""
    reason: models.RejectionReason
    """Limit that the run would have exceeded."""
    active_runs: int
    """Active runs when it was decided."""
    policy: PolicyOrigin | None = None
    """The policy. Its fields can also be in the body itself."""
    spent_micro_usd: int | None = None
    """Spent on the UTC day, in millionths of a dollar; absent for run limits."""
    budget_micro_usd: int | None = None
    """Budget in millionths of a dollar; absent without one."""


class ScheduleDefinition(Model, frozen=True, kw_only=True):
    """The stored definition of a schedule. No field has a default, because a later release could change it."""

    trigger: Trigger
    target: ScheduleTarget
    """Run, template or workflow that it starts."""
    overlap_policy: models.OverlapPolicy
    """What to do if a run is active when another is due; absent: `skip`."""
    catch_up: models.CatchUp
    """Which missed times run; absent: `latest`."""
    catch_up_window_seconds: int
    """How late a missed time may run, in seconds; absent: a year."""
    pause_on_failure: bool
    """True: a failed run pauses the schedule."""


class ScheduleTarget(Model, frozen=True, kw_only=True):
    """The work that a schedule starts: the stored input, a directive, a template or a workflow."""

    session_id: str | None = None
    directive_id: str | None = None
    """Id of the directive; absent if there is none."""
    harness_profile_id: str | None = None
    run_template_id: str | None = None
    """Id of the run template; absent without one."""
    workflow_id: str | None = None
    """Id of the workflow; absent without one."""


class Trigger(Model, frozen=True, kw_only=True):
    """The times of a schedule: exactly one of `every_minutes`, `cron` with `timezone`, and `run_at_ms`.

    The slots of an interval are `anchor_ms` + k × interval, k from 0, in real time. Slots lie between `start_at_ms` and
    `end_at_ms`, both included.
    """

    every_minutes: int | None = None
    """Interval in minutes."""
    anchor_ms: int = 0
    cron: str | None = None
    """Cron expression with five fields, or a macro such as `@daily`."""
    timezone: str | None = None
    """IANA time zone of `cron`; absent: UTC."""
    run_at_ms: int | None = None
    start_at_ms: int | None = None
    end_at_ms: int | None = None
    jitter_seconds: int = 0
    """Largest delay of a start, in seconds; the same for the same time."""


class ViolationActor(Model, frozen=True, kw_only=True):
    """The identity that caused a violation."""

    subject: str
    role: str
    """Role of the identity."""


class ViolationSource(Model, frozen=True, kw_only=True):
    """The event from which a violation is derived. The feed adds its id."""

    event_id: str
    """The id of the event that this one is about."""
    trace_id: str
    """Trace id of the request that caused it."""
    type: str
    """Type of the event."""
    created_at: datetime
    """When it was created."""


class RunQueuedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.queued`."""

    session_id: str
    directive_id: str
    """Id of the directive; absent if there is none."""
    harness_profile_id: str
    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    harness_profile_snapshot: HarnessSpec
    """Profile as the run used it."""
    profile_named: bool
    timeout_ms: int
    """Timeout in milliseconds."""
    requested_by: str
    """Identity that requested it."""
    fallbacks: list[str] | None = None
    """Fallback models, as `provider/model`."""
    budget_micro_usd: int | None = None
    """Budget in millionths of a dollar; absent without one."""
    retry_budget: int | None = None
    context_refs: list[ContextReference] | None = None
    """Files and URLs that the run's context names."""
    persona_name: str | None = None
    workflow_run_id: str | None = None
    """Id of the workflow run; absent for a session."""
    mcp_tools: dict[str, dict[str, str]] | None = None
    requesters: list[str] | None = None
    reason: RunQueuedReason
    """Why it has no slot yet."""


class RunQueued(EventRecord, frozen=True, kw_only=True):
    """The run waits and holds no slot. `requested_by` is the executor that will lease it."""

    type: Literal["run.queued"]
    payload: RunQueuedPayload


class RunCreatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.created`."""

    session_id: str
    directive_id: str
    """Id of the directive; absent if there is none."""
    harness_profile_id: str
    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    harness_profile_snapshot: HarnessSpec
    """Profile as the run used it."""
    profile_named: bool
    timeout_ms: int
    """Timeout in milliseconds."""
    requested_by: str
    """Identity that requested it."""
    fallbacks: list[str] | None = None
    """Fallback models, as `provider/model`."""
    budget_micro_usd: int | None = None
    """Budget in millionths of a dollar; absent without one."""
    retry_budget: int | None = None
    context_refs: list[ContextReference] | None = None
    """Files and URLs that the run's context names."""
    persona_name: str | None = None
    workflow_run_id: str | None = None
    """Id of the workflow run; absent for a session."""
    mcp_tools: dict[str, dict[str, str]] | None = None
    requesters: list[str] | None = None


class RunCreated(EventRecord, frozen=True, kw_only=True):
    """The run was admitted: it holds a slot and its session, and its timeout has started."""

    type: Literal["run.created"]
    payload: RunCreatedPayload


class RunLeasedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.leased`."""

    executor: str
    """Id of this server in the list of workers."""
    token: int
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""
    pid: int
    """Process id on its host."""
    taken_from: str | None = None
    because: RunLeasedBecause | None = None


class RunLeased(EventRecord, frozen=True, kw_only=True):
    """An executor leased the run. `token` invalidates earlier leases.

    `attempt` is the number of executors that the run has lost, plus this one.
    """

    type: Literal["run.leased"]
    payload: RunLeasedPayload


class RunStartedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.started`."""

    attempt: int
    """Number of the attempt, from 1; 0 before the first."""


class RunStarted(EventRecord, frozen=True, kw_only=True):
    """The execution started."""

    type: Literal["run.started"]
    payload: RunStartedPayload


class MemoryRecalledPayload(Model, frozen=True, kw_only=True):
    """The payload of `memory.recalled`."""

    citations: list[str]
    chars: int
    """Length in characters."""


class MemoryRecalled(EventRecord, frozen=True, kw_only=True):
    """The run was given notes before its first model call. `chars` is their size in characters."""

    type: Literal["memory.recalled"]
    payload: MemoryRecalledPayload


class AgentAttachedPayload(Model, frozen=True, kw_only=True):
    """The payload of `agent.attached`."""

    agent: str
    """Name of the agent."""
    agent_version: str
    """Version of the agent; absent before its session is open."""
    protocol_version: int
    """Version of the protocol of the last list."""
    agent_session_id: str
    how: AgentAttachedHow
    model: str
    """Name of the model."""
    mode: str | None = None
    """Mode of the session, in the agent's words; absent without one."""


class AgentAttached(EventRecord, frozen=True, kw_only=True):
    """An outside agent took up the run: in a session of its own that is new, or that it resumed.

    `replayed`: its old session could not be resumed, so a new one was given the recorded conversation. `mode` is the
    mode that Athena ordered, `model` the model that the agent was given.
    """

    type: Literal["agent.attached"]
    payload: AgentAttachedPayload


class McpAttachedPayload(Model, frozen=True, kw_only=True):
    """The payload of `mcp.attached`."""

    server: str
    """Name of the MCP server."""
    transport: McpAttachedTransport
    """`stdio` for a program, `http` for a URL; absent if it is not registered here."""
    protocol_version: str
    """Version of the protocol of the last list."""
    tools: int
    """Names of the tools that the run may use."""
    shared: bool | None = None
    refused: list[str] | None = None
    """Number that were refused."""


class McpAttached(EventRecord, frozen=True, kw_only=True):
    """An MCP server was started for the run, or contacted, once for each start.

    `tools` is the number of tools that it listed. `shared`: one process works for all runs of its executor. `refused`
    are the listed tools of the profile that changed since they were accepted, or are new.
    """

    type: Literal["mcp.attached"]
    payload: McpAttachedPayload


class TranscriptAppendedPayload(Model, frozen=True, kw_only=True):
    """The payload of `transcript.appended`."""

    role: models.TranscriptRole
    """Author of the entry."""
    kind: TranscriptAppendedKind
    """Kind of the entry."""
    chars: int
    """Length in characters."""
    tool_call_id: str | None = None
    """Id of the tool call; absent without one."""
    tool_name: str | None = None
    """Name of the tool; absent without one."""
    is_error: bool | None = None
    """True if the tool failed or the call was refused; else absent."""
    sanitized: bool | None = None
    truncated: bool | None = None
    """True if it was cut."""
    changed: bool | None = None
    interrupted: bool | None = None
    partial: bool | None = None


class TranscriptAppended(EventRecord, frozen=True, kw_only=True):
    """An entry was added to the transcript of the run's session.

    Model output is `truncated` if a token limit cut it, and also `interrupted` if the run's budget did; then it is not
    an answer. Neither is `partial` output: its run ended or paused before the model had finished. A tool result is
    `interrupted` if the effect of the call is unknown.
    """

    type: Literal["transcript.appended"]
    payload: TranscriptAppendedPayload


class ToolCalledPayload(Model, frozen=True, kw_only=True):
    """The payload of `tool.called`."""

    turn: int
    """Number of the model call, from 1."""
    tool_call_id: str
    """Id of the tool call; absent without one."""
    chars: int
    """Length in characters."""
    repeatable: bool
    tool_name: str | None = None
    """Name of the tool; absent without one."""
    refused: ToolCalledRefused | None = None
    """Number that were refused."""
    ask_id: str | None = None
    credentials: list[str] | None = None
    origin: ToolCalledOrigin | None = None
    kind: models.AgentToolKind | None = None
    """Kind of the call, in the agent's words; absent for tools of Athena."""
    asked: bool | None = None


class ToolCalled(EventRecord, frozen=True, kw_only=True):
    """A model requested a tool call. It is recorded before the call. `refused` is set if the call will not be made.

    If the tool does not exist, the model's text is in `unknown_name`. `ask_id` is the ask that allowed the call.
    `credentials` are the names of the credentials that the call carries.

    `origin`: the call is one of an outside agent. With `agent` the agent makes it. It is recorded after the agent asked
    (`asked`), or else once the agent shows that it began. `kind` is the agent's word for it. With `mcp` Athena makes
    the call, which the agent requested at the MCP endpoint of its run.

    `changed-tool`: an MCP server describes the tool otherwise than when it was accepted.
    """

    type: Literal["tool.called"]
    payload: ToolCalledPayload


class EvidenceAttachedPayload(Model, frozen=True, kw_only=True):
    """The payload of `evidence.attached`."""

    evidence_id: str
    evidence_type: models.EvidenceType
    """Type that the evidence must have; absent: any."""
    size_bytes: int
    """Size in bytes."""
    sha256: str
    """SHA-256 in hex."""
    source: models.EvidenceSource
    """Part of the run that attached it."""
    workspace: bool
    label: str | None = None
    """Label of the evidence."""
    tool_call_id: str | None = None
    """Id of the tool call; absent without one."""
    policy_id: str | None = None
    """Verification policy that made it; absent without one."""
    exit_code: int | None = None
    """Exit code of the command; absent without one."""


class EvidenceAttached(EventRecord, frozen=True, kw_only=True):
    """The run attached evidence. `sha256` covers the salt and the content, so erasing both leaves no trace.

    `label` is a label from the profile's policies. Any other label is the model's text: `free_label`. Evidence with
    `workspace` becomes stale when the workspace changes later.
    """

    type: Literal["evidence.attached"]
    payload: EvidenceAttachedPayload


class SandboxLifecyclePayload(Model, frozen=True, kw_only=True):
    """The payload of `sandbox.lifecycle`."""


class SandboxLifecycle(EventRecord, frozen=True, kw_only=True):
    """The sandbox of the run's commands reached a phase, or does not work on the executor.

    `ready`: a lease started its first command in it. `fallback`: none works, so commands run without one. `required-
    unavailable`: none works, so the run fails. `cleaned`: the run ended, and nothing of it is left.
    """

    type: Literal["sandbox.lifecycle"]
    payload: SandboxLifecyclePayload


class WorkspaceOpenedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workspace.opened`."""

    workspace_id: str
    tree: str


class WorkspaceOpened(EventRecord, frozen=True, kw_only=True):
    """The run works in the workspace of its session or workflow run, which has the content `tree` before."""

    type: Literal["workspace.opened"]
    payload: WorkspaceOpenedPayload


class WorkspaceChangedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workspace.changed`."""

    workspace_id: str
    tree: str
    files: int
    """Rules of tool `files`."""
    binary_files: int
    added_lines: int
    removed_lines: int
    truncated: bool | None = None
    """True if it was cut."""
    evidence_id: str | None = None
    hidden: int | None = None
    hidden_spans: list[models.HiddenSpan] | None = None


class WorkspaceChanged(EventRecord, frozen=True, kw_only=True):
    """The run left its workspace with the content `tree`. The evidence is the diff, unless nothing changed.

    `files` counts the changed files, `binary_files` the ones without lines in the diff. `hidden` counts the parts that
    the recorded diff hides, and is None before 0.3. `hidden_spans` are the first of them.
    """

    type: Literal["workspace.changed"]
    payload: WorkspaceChangedPayload


class UsageRecordedPayload(Model, frozen=True, kw_only=True):
    """The payload of `usage.recorded`."""

    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    usage: models.Usage
    """Tokens used."""
    turn: int | None = None
    """Number of the model call, from 1."""
    attempts: int | None = None
    """Number of runs that processed it."""
    request_id: str | None = None
    estimated: bool | None = None
    """Runs with an estimated time and cost."""
    unpriced: bool | None = None
    failed: bool | None = None
    """Number that failed."""
    cost_micro_usd: int | None = None
    """Cost of its priced model calls, in millionths of a dollar; absent before one."""
    price_version: str | None = None
    first_token_ms: int | None = None
    reserved_micro_usd: int | None = None


class UsageRecorded(EventRecord, frozen=True, kw_only=True):
    """A model call was paid for. The cost is absent, and `unpriced` set, if the model has no price.

    `estimated`: the provider reported no usage, so characters were counted. `failed`: the call failed or was cancelled
    after the first output or report of usage. `first_token_ms`: time to the first piece of the output.
    `reserved_micro_usd`: the part of the daily budget that stays reserved for other open calls of the run.
    """

    type: Literal["usage.recorded"]
    payload: UsageRecordedPayload


class BudgetReservedPayload(Model, frozen=True, kw_only=True):
    """The payload of `budget.reserved`."""

    turn: int
    """Number of the model call, from 1."""
    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    reserved_micro_usd: int


class BudgetReserved(EventRecord, frozen=True, kw_only=True):
    """The maximum cost of the open model calls of a run was reserved from the daily budget.

    The sum includes the unrecorded cost of failed calls, and replaces the one before. The next recorded usage settles
    it, except for the part that the usage keeps for other open calls. A pause or the end of the run releases it.
    """

    type: Literal["budget.reserved"]
    payload: BudgetReservedPayload


class RunAskedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.asked`."""

    ask_id: str
    kind: RunAskedKind
    """Kind of the ask."""
    origin: RunAskedOrigin
    turn: int
    """Number of the model call, from 1."""
    chars: int
    """Length in characters."""
    options: list[AskOption]
    subject_sha256: str
    expires_at_ms: int
    on_expiry: RunAskedOnExpiry
    """Decision at expiry; absent: reject."""
    hold_until_ms: int
    tool_call_id: str | None = None
    """Id of the tool call; absent without one."""
    tool_name: str | None = None
    """Name of the tool; absent without one."""
    tool_kind: models.AgentToolKind | None = None
    role: models.ApproverRole | None = None
    """Lowest role that may answer; absent: Operator."""
    approvers: list[str] | None = None
    """Identities that may decide; absent: all with the role."""
    not_requester: bool | None = None
    """True: who requested or resumed the run may not approve."""
    credentials: list[str] | None = None
    tool_sha256: str | None = None
    server: str | None = None
    """Name of the MCP server."""
    hidden: list[models.HiddenSpan] | None = None
    secrets: list[str] | None = None


class RunAsked(EventRecord, frozen=True, kw_only=True):
    """The run asks a person and waits. Its time stands until no ask is open.

    `subject_sha256` is the hash of the salt and the subject of the decision. `chars` is the length of the call's
    arguments. After `hold_until_ms` the run is parked. `on_expiry` is the consequence of no answer in time.
    `credentials` are the names of the credentials that the call would carry. `tool_kind` is an outside agent's word for
    the call. `server` is the MCP server that asks during the call `tool_call_id`, which goes on afterwards.
    `tool_sha256` is the hash of a tool of an MCP server, as an operator accepted it.

    `hidden` are the parts that the shown text does not have. Then `exact` is the whole subject as canonical JSON: the
    arguments, or the question with its form. It is what the hash covers. `secrets` are the names that stand in the text
    in place of secrets.
    """

    type: Literal["run.asked"]
    payload: RunAskedPayload


class RunAskOpenedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.ask.opened`."""

    ask_id: str
    subject_sha256: str
    by: str
    """Identity that opened the exact text."""


class RunAskOpened(EventRecord, frozen=True, kw_only=True):
    """A person who may answer an ask opened its exact text, because the shown text hides a part of it.

    Without it the person cannot allow the call or answer the question.
    """

    type: Literal["run.ask.opened"]
    payload: RunAskOpenedPayload


class RunAnsweredPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.answered`."""

    ask_id: str
    subject_sha256: str
    cause: RunAnsweredCause
    """What decided the ask."""
    by: str | None = None
    """Identity that answered; absent if no person did."""
    option_id: str | None = None
    rule_id: str | None = None
    """Id of the permission rule."""
    edited_sha256: str | None = None


class RunAnswered(EventRecord, frozen=True, kw_only=True):
    """An ask was decided: by a person, by a permission rule, by its expiry, or by the end of the run.

    `edited_sha256` is the hash of the salt and of the call that was approved instead, with these `arguments`. `values`
    are the answers to a form, as JSON.
    """

    type: Literal["run.answered"]
    payload: RunAnsweredPayload


class RunPausedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.paused`."""

    reason: models.PauseReason
    """Money or the person that it waits for."""
    elapsed_ms: int
    spent_micro_usd: int | None = None
    """Spent on the UTC day, in millionths of a dollar; absent for run limits."""
    budget_micro_usd: int | None = None
    """Budget in millionths of a dollar; absent without one."""


class RunPaused(EventRecord, frozen=True, kw_only=True):
    """The run waits for money or for a person. It keeps its session but frees its slot.

    Its timeout stops at `elapsed_ms`. `budget` is the run's own budget. `daily-budget` is the policy's, with the sums
    of the UTC day. `unpriced-model` means that the cost of the next call is unknown. `ask` has no sums.
    """

    type: Literal["run.paused"]
    payload: RunPausedPayload


class RunRequeuedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.requeued`."""

    reason: RunRequeuedReason
    """Why it has no slot yet."""
    harness_profile_id: str | None = None
    provider: str | None = None
    """Name of the provider."""
    fallbacks: list[str] | None = None
    """Fallback models, as `provider/model`."""
    agent: str | None = None
    """Outside agent of its profile; absent: the loop of Athena."""


class RunRequeued(EventRecord, frozen=True, kw_only=True):
    """A parked run, all of whose asks are answered, waits in line for a slot. Its limit keys are in the event."""

    type: Literal["run.requeued"]
    payload: RunRequeuedPayload


class RunResumedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.resumed`."""

    requested_by: str
    """Identity that requested it."""
    budget_micro_usd: int | None = None
    """Budget in millionths of a dollar; absent without one."""
    harness_profile_id: str | None = None
    provider: str | None = None
    """Name of the provider."""
    fallbacks: list[str] | None = None
    """Fallback models, as `provider/model`."""
    agent: str | None = None
    """Outside agent of its profile; absent: the loop of Athena."""


class RunResumed(EventRecord, frozen=True, kw_only=True):
    """A paused run was resumed and holds a slot again. Without `budget_micro_usd` it has no budget any more.

    `requested_by` is the executor that will lease it. The run counts again at its profile (if it named one) and at its
    providers and its outside agent.
    """

    type: Literal["run.resumed"]
    payload: RunResumedPayload


class RunCancelRequestedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.cancel.requested`."""

    status: RunCancelRequestedStatus
    run_id: str | None = None
    cause: RunCancelRequestedCause | None = None
    """Why a cancel was requested."""
    reason: str | None = None
    """Only in events of schema version 1."""


class RunCancelRequested(EventRecord, frozen=True, kw_only=True):
    """A cancel was requested. `run_id` is set if the request named the run. `note` is the caller's reason."""

    type: Literal["run.cancel.requested"]
    payload: RunCancelRequestedPayload


class RunCompletedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.completed`."""

    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    harness_profile_id: str
    evidence_count: int
    """Pieces of evidence attached; 0 until the run completed."""
    verification_status: models.VerificationStatus
    """Whether it met its verification policies. `passed` also without any."""
    reliability: models.Reliability
    """Attempts that the answer took."""
    context_meta: models.ContextMeta
    """How the context was compiled; absent without a run."""
    verification_failures: list[models.VerificationFailure] | None = None
    """Verification policies that it did not meet; absent if it met all."""
    usage: models.Usage | None = None
    """Tokens used."""


class RunCompleted(EventRecord, frozen=True, kw_only=True):
    """The run ended with an answer."""

    type: Literal["run.completed"]
    payload: RunCompletedPayload


class RunFailedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.failed`."""

    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    retryable: bool
    """True if a retry may succeed."""
    retry_with: models.RetryWith | None = None
    """Idempotency key of a retry: the same one, or a new one; present if `retryable` is true."""
    message: str | None = None
    """Only in events of schema version 1."""


class RunFailed(EventRecord, frozen=True, kw_only=True):
    """The run ended with an error."""

    type: Literal["run.failed"]
    payload: RunFailedPayload


class RunCancelledPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.cancelled`."""

    cause: RunCancelledCause
    """Why it was cancelled."""
    forced: bool | None = None
    reason: str | None = None
    """Only in events of schema version 1."""


class RunCancelled(EventRecord, frozen=True, kw_only=True):
    """The run was cancelled, or withdrawn before it started. An earlier cancel request has the reason."""

    type: Literal["run.cancelled"]
    payload: RunCancelledPayload


class RunTimedOutPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.timed-out`."""

    timeout_ms: int
    """Timeout in milliseconds."""


class RunTimedOut(EventRecord, frozen=True, kw_only=True):
    """The run took longer than its timeout."""

    type: Literal["run.timed-out"]
    payload: RunTimedOutPayload


class RunCrashedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run.crashed`."""

    executor: str
    """Id of this server in the list of workers."""
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""


class RunCrashed(EventRecord, frozen=True, kw_only=True):
    """The run lost as many executors as the policy allows."""

    type: Literal["run.crashed"]
    payload: RunCrashedPayload


class PolicyConcurrencyRejectedPayload(Model, frozen=True, kw_only=True):
    """The payload of `policy.concurrency.rejected`."""

    rejection: RunRejection
    active_runs: int
    """Active runs when it was decided."""
    max_concurrent_runs: int
    """Most active runs; absent: no limit."""
    reason: str
    """Why the run was refused."""
    directive_id: str | None = None
    """Id of the directive; absent if there is none."""
    harness_profile_id: str | None = None
    provider: str | None = None
    """Name of the provider."""


class PolicyConcurrencyRejected(EventRecord, frozen=True, kw_only=True):
    """A run was refused because too many runs were active."""

    type: Literal["policy.concurrency.rejected"]
    payload: PolicyConcurrencyRejectedPayload


class PolicyRejectedPayload(Model, frozen=True, kw_only=True):
    """The payload of `policy.rejected`."""

    rejection: RunRejection
    directive_id: str | None = None
    """Id of the directive; absent if there is none."""
    harness_profile_id: str | None = None
    provider: str | None = None
    """Name of the provider."""
    run_template_id: str | None = None
    """Id of the run template; absent without one."""
    run_template_version: int | None = None
    """Version of the template; absent without one."""
    plan: models.RefusedPlan | None = None
    """What the refusal depended on; absent in old logs."""


class PolicyRejected(EventRecord, frozen=True, kw_only=True):
    """The policy refused a run. The event before it has the limit. The template is the requested one.

    If the resume of a run was refused, `plan` and `request` are absent.
    """

    type: Literal["policy.rejected"]
    payload: PolicyRejectedPayload


class SessionCreatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `session.created`."""

    session_id: str


class SessionCreated(EventRecord, frozen=True, kw_only=True):
    """A session was created with its first accepted run."""

    type: Literal["session.created"]
    payload: SessionCreatedPayload


class DirectiveCreatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `directive.created`."""

    directive_id: str
    """Id of the directive; absent if there is none."""
    has_context_refs: bool
    has_metadata: bool
    shadow: bool | None = None
    """True if a run created it from plain input; else absent."""


class DirectiveCreated(EventRecord, frozen=True, kw_only=True):
    """A directive was created. With `shadow` it was created for a run with plain input."""

    type: Literal["directive.created"]
    payload: DirectiveCreatedPayload


class HarnessProfileCreatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `harness-profile.created`."""

    harness_profile_id: str
    version: str
    """Version number, from 1."""
    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    profile: HarnessSpec


class HarnessProfileCreated(EventRecord, frozen=True, kw_only=True):
    """A harness profile was created."""

    type: Literal["harness-profile.created"]
    payload: HarnessProfileCreatedPayload


class PermissionRuleCreatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `permission-rule.created`."""

    rule_id: str
    """Id of the permission rule."""
    scope: models.RuleScope
    """Where it is in force."""
    tool_name: str
    """Name of the tool; absent without one."""
    call_sha256: str
    ask_id: str
    by: str
    """Identity whose answer created it."""
    expires_at_ms: int
    run_id: str | None = None
    session_id: str | None = None
    harness_profile_id: str | None = None
    credentials: list[str] | None = None
    secrets: list[str] | None = None
    bound: models.RuleBound | None = None


class PermissionRuleCreated(EventRecord, frozen=True, kw_only=True):
    """A person allowed an exact call until `expires_at_ms`: in a run, a session, or every run of a profile.

    `call_sha256` is the hash of the salt and the call. `ask_id` is the ask that was answered with "always".
    `credentials` are the names of the credentials that the call carries, no others. `secrets` are the names that stand
    in the arguments in place of secrets. `bound` is what else has to be the same; a rule without it is from an older
    release, and allows the call only under the conditions of the run that asked.
    """

    type: Literal["permission-rule.created"]
    payload: PermissionRuleCreatedPayload


class PermissionRuleRevokedPayload(Model, frozen=True, kw_only=True):
    """The payload of `permission-rule.revoked`."""

    rule_id: str
    """Id of the permission rule."""
    cause: PermissionRuleRevokedCause
    """Why it ended."""
    by: str | None = None
    """Identity that revoked it; absent if it expired."""


class PermissionRuleRevoked(EventRecord, frozen=True, kw_only=True):
    """A permission rule ended: an identity revoked it, or it expired."""

    type: Literal["permission-rule.revoked"]
    payload: PermissionRuleRevokedPayload


class TokenCreatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `token.created`."""

    token_id: str
    """Id of the token or session."""
    identity: str
    """Identity of its requests."""
    role: models.Role
    """Highest role of its requests."""
    expires_at_ms: int
    sha256: str
    """SHA-256 in hex."""
    by: str
    """Identity that created it."""
    scope: dict[str, list[str]] | None = None
    """Names that it may concern, by kind; absent: all."""
    parent: str | None = None


class TokenCreated(EventRecord, frozen=True, kw_only=True):
    """An Admin created a token for an identity, or an identity logged in with the token `parent`.

    `sha256` is the hash of the whole token in hex; the token itself is not stored. `parent` is a token id, or `api-
    token:` and a fingerprint of the token in the settings.
    """

    type: Literal["token.created"]
    payload: TokenCreatedPayload


class TokenRevokedPayload(Model, frozen=True, kw_only=True):
    """The payload of `token.revoked`."""

    token_id: str
    """Id of the token or session."""
    cause: TokenRevokedCause
    """Why it ended."""
    by: str | None = None
    """Identity that revoked it; absent if it expired."""


class TokenRevoked(EventRecord, frozen=True, kw_only=True):
    """A token ended: an identity revoked it or logged out, it expired, or a newer login replaced it."""

    type: Literal["token.revoked"]
    payload: TokenRevokedPayload


class WorkspaceCreatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workspace.created`."""

    workspace_id: str
    kind: WorkspaceCreatedKind
    """Whether it belongs to a session or to a workflow run."""
    owner: str
    source: WorkspaceCreatedSource
    """How it was made from the shared workspace."""
    run_id: str
    commit: str | None = None


class WorkspaceCreated(EventRecord, frozen=True, kw_only=True):
    """The first run of `owner`, a session or a workflow run, got a workspace.

    `commit` is the commit of a clone. `run_id` is that run.
    """

    type: Literal["workspace.created"]
    payload: WorkspaceCreatedPayload


class WorkspaceRetainedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workspace.retained`."""

    workspace_id: str
    keep: bool
    by: str
    """Identity that decided it."""


class WorkspaceRetained(EventRecord, frozen=True, kw_only=True):
    """An identity decided whether the workspace is kept: not cleaned because it is unused."""

    type: Literal["workspace.retained"]
    payload: WorkspaceRetainedPayload


class WorkspaceAppliedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workspace.applied`."""

    workspace_id: str
    run_id: str
    files: int
    """Rules of tool `files`."""
    by: str
    """Identity that applied the changes."""
    subject_sha256: str | None = None


class WorkspaceApplied(EventRecord, frozen=True, kw_only=True):
    """An identity wrote the changes of a run into the shared workspace; `files` is the number of files written.

    `subject_sha256` is the hash of the changes, None before 0.3.
    """

    type: Literal["workspace.applied"]
    payload: WorkspaceAppliedPayload


class WorkspaceExactOpenedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workspace.exact-opened`."""

    workspace_id: str
    run_id: str
    subject_sha256: str
    by: str
    """Identity that opened it."""


class WorkspaceExactOpened(EventRecord, frozen=True, kw_only=True):
    """An identity opened the exact diff of a run. It may apply the changes although the shown diff hides parts."""

    type: Literal["workspace.exact-opened"]
    payload: WorkspaceExactOpenedPayload


class WorkspaceCleanedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workspace.cleaned`."""

    workspace_id: str
    kind: WorkspaceCleanedKind
    """Whether it belonged to a session or to a workflow run."""
    owner: str
    cause: WorkspaceCleanedCause
    """Why it was deleted."""
    by: str | None = None
    """Identity that requested it; absent if no person did."""


class WorkspaceCleaned(EventRecord, frozen=True, kw_only=True):
    """The workspace is deleted: on request, because it was unused for too long, or with the text of its owner."""

    type: Literal["workspace.cleaned"]
    payload: WorkspaceCleanedPayload


class McpServerListedPayload(Model, frozen=True, kw_only=True):
    """The payload of `mcp-server.listed`."""

    server: str
    """Name of the MCP server."""
    protocol_version: str
    """Version of the protocol of the last list."""
    tools: list[HashedTool]
    """Names of the tools that the run may use."""


class McpServerListed(EventRecord, frozen=True, kw_only=True):
    """An MCP server listed other tools than before.

    The first list counts as accepted, as the operator registered it.

    `definitions` are the tools, and `server_info` the name and version of the server, both as JSON by the server.
    """

    type: Literal["mcp-server.listed"]
    payload: McpServerListedPayload


class McpServerAcceptedPayload(Model, frozen=True, kw_only=True):
    """The payload of `mcp-server.accepted`."""

    server: str
    """Name of the MCP server."""
    tools: dict[str, str]
    """Names of the tools that the run may use."""
    by: str
    """Identity that accepted the tools."""


class McpServerAccepted(EventRecord, frozen=True, kw_only=True):
    """An identity accepted tools of an MCP server. `tools` are all that are accepted since, as SHA-256 by name."""

    type: Literal["mcp-server.accepted"]
    payload: McpServerAcceptedPayload


class RunTemplateCreatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run-template.created`."""

    run_template_id: str
    """Id of the run template; absent without one."""
    harness_profile_id: str
    version: int
    """Version number, from 1."""
    param_names: list[str]
    params_schema: dict[str, Any] | None = None
    """JSON Schema of the parameters; absent: all are strings."""
    display_name: str | None = None
    """Name for people."""


class RunTemplateCreated(EventRecord, frozen=True, kw_only=True):
    """A run template was created in its first version. `param_names` are the parameters with a default."""

    type: Literal["run-template.created"]
    payload: RunTemplateCreatedPayload


class RunTemplateUpdatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `run-template.updated`."""

    run_template_id: str
    """Id of the run template; absent without one."""
    harness_profile_id: str
    version: int
    """Version number, from 1."""
    param_names: list[str]
    params_schema: dict[str, Any] | None = None
    """JSON Schema of the parameters; absent: all are strings."""
    display_name: str | None = None
    """Name for people."""


class RunTemplateUpdated(EventRecord, frozen=True, kw_only=True):
    """A run template has a new version, which replaces all fields. Runs of earlier versions do not change."""

    type: Literal["run-template.updated"]
    payload: RunTemplateUpdatedPayload


class RunTemplateRunPayload(Model, frozen=True, kw_only=True):
    """The payload of `run-template.run`."""

    run_template_id: str
    """Id of the run template; absent without one."""
    version: int
    """Version number, from 1."""
    directive_id: str
    """Id of the directive; absent if there is none."""
    harness_profile_id: str
    provider: str
    """Name of the provider."""
    model: str
    """Name of the model."""
    param_names: list[str]


class RunTemplateRun(EventRecord, frozen=True, kw_only=True):
    """A run was started from a version of a template. The event is in the stream of that run.

    `param_names` are the names of its parameters. Their values are text.
    """

    type: Literal["run-template.run"]
    payload: RunTemplateRunPayload


class WorkflowCreatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.created`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_count: int
    dependency_count: int
    created_by: str
    """Identity that created it."""
    definition: models.WorkflowDefinition
    """Steps and dependencies."""


class WorkflowCreated(EventRecord, frozen=True, kw_only=True):
    """A workflow was created. Its steps run on behalf of `created_by`. `metadata` is keyed by step id."""

    type: Literal["workflow.created"]
    payload: WorkflowCreatedPayload


class WorkflowRunCreatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.run.created`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    requested_by: str
    """Identity that requested it."""
    input_names: list[str]
    resumed_from_run_id: str | None = None
    """Run that it was resumed from; absent otherwise."""
    requesters: list[str] | None = None


class WorkflowRunCreated(EventRecord, frozen=True, kw_only=True):
    """A workflow run started. The values of `input_names` fill placeholders of its directives.

    `requesters` requested it, `requested_by` first; without them it alone did.
    """

    type: Literal["workflow.run.created"]
    payload: WorkflowRunCreatedPayload


class WorkflowResumedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.resumed`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    workflow_run_id: str
    """Id of the workflow run; absent for a session."""
    status: str
    requested_by: str
    """Identity that requested it."""
    reset: list[str]
    """True: discard the text of this turn."""
    input_names: list[str]
    reopened: list[ReopenedApproval] | None = None
    held: list[str] | None = None
    """How good earlier estimates were; absent without runs."""


class WorkflowResumed(EventRecord, frozen=True, kw_only=True):
    """A workflow run was resumed. The steps in `reset` restart, with new attempts.

    `reopened` lists granted approvals among them, with the reasons. Steps in `held` have items and wait for these
    approvals.
    """

    type: Literal["workflow.resumed"]
    payload: WorkflowResumedPayload


class WorkflowStepStartedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.step.started`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_id: str
    """Id of the step; absent without one."""
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""
    step_run_id: str
    item: int | None = None
    """Number of the item, from 0."""
    condition: OutputHash | None = None


class WorkflowStepStarted(EventRecord, frozen=True, kw_only=True):
    """A step has a run, admitted or queued in the same commit. `item` is set if the run is for one map item."""

    type: Literal["workflow.step.started"]
    payload: WorkflowStepStartedPayload


class WorkflowStepExpandedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.step.expanded`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_id: str
    """Id of the step; absent without one."""
    items: int
    """Items of this page."""
    condition: OutputHash | None = None


class WorkflowStepExpanded(EventRecord, frozen=True, kw_only=True):
    """A map step got its items; it runs once for each."""

    type: Literal["workflow.step.expanded"]
    payload: WorkflowStepExpandedPayload


class WorkflowStepCompletedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.step.completed`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_id: str
    """Id of the step; absent without one."""
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""
    output_chars: int
    """Length of the output in characters."""
    step_run_id: str | None = None
    item: int | None = None
    """Number of the item, from 0."""
    provider: str | None = None
    """Name of the provider."""
    model: str | None = None
    """Name of the model."""


class WorkflowStepCompleted(EventRecord, frozen=True, kw_only=True):
    """A step or one of its items completed. Without `step_run_id` all items of the step did."""

    type: Literal["workflow.step.completed"]
    payload: WorkflowStepCompletedPayload


class WorkflowStepFailedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.step.failed`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_id: str
    """Id of the step; absent without one."""
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""
    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    will_retry: bool
    step_run_id: str | None = None
    item: int | None = None
    """Number of the item, from 0."""
    condition: OutputHash | None = None
    message: str | None = None
    """Only in events of schema version 1."""


class WorkflowStepFailed(EventRecord, frozen=True, kw_only=True):
    """An attempt of a step or of one of its items failed. It is retried if `will_retry` is true."""

    type: Literal["workflow.step.failed"]
    payload: WorkflowStepFailedPayload


class WorkflowStepSkippedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.step.skipped`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_id: str
    """Id of the step; absent without one."""
    reason: WorkflowStepSkippedReason
    """Why it was skipped."""
    condition: OutputHash | None = None


class WorkflowStepSkipped(EventRecord, frozen=True, kw_only=True):
    """A step was skipped."""

    type: Literal["workflow.step.skipped"]
    payload: WorkflowStepSkippedPayload


class WorkflowStepCancelledPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.step.cancelled`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_id: str
    """Id of the step; absent without one."""
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""
    step_run_id: str | None = None
    item: int | None = None
    """Number of the item, from 0."""


class WorkflowStepCancelled(EventRecord, frozen=True, kw_only=True):
    """A step was cancelled with its workflow run."""

    type: Literal["workflow.step.cancelled"]
    payload: WorkflowStepCancelledPayload


class WorkflowApprovalRequestedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.approval.requested`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_id: str
    """Id of the step; absent without one."""
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""
    subject_sha256: str
    expires_at_ms: int | None = None
    condition: OutputHash | None = None


class WorkflowApprovalRequested(EventRecord, frozen=True, kw_only=True):
    """An approval was requested. `subject_sha256` is the hash of the salt and the subject of the approval."""

    type: Literal["workflow.approval.requested"]
    payload: WorkflowApprovalRequestedPayload


class WorkflowApprovalGrantedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.approval.granted`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_id: str
    """Id of the step; absent without one."""
    subject_sha256: str
    cause: WorkflowApprovalGrantedCause
    """An identity's decision, or the end of its time."""
    by: str | None = None
    """Identity that decided; absent if its time ended."""


class WorkflowApprovalGranted(EventRecord, frozen=True, kw_only=True):
    """An approval was granted."""

    type: Literal["workflow.approval.granted"]
    payload: WorkflowApprovalGrantedPayload


class WorkflowApprovalRejectedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.approval.rejected`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_id: str
    """Id of the step; absent without one."""
    subject_sha256: str
    cause: WorkflowApprovalRejectedCause
    """An identity's decision, or the end of its time."""
    by: str | None = None
    """Identity that decided; absent if its time ended."""


class WorkflowApprovalRejected(EventRecord, frozen=True, kw_only=True):
    """An approval was rejected."""

    type: Literal["workflow.approval.rejected"]
    payload: WorkflowApprovalRejectedPayload


class WorkflowRunSuspendedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.run.suspended`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    step_ids: list[str]


class WorkflowRunSuspended(EventRecord, frozen=True, kw_only=True):
    """The workflow run waits for these approvals."""

    type: Literal["workflow.run.suspended"]
    payload: WorkflowRunSuspendedPayload


class WorkflowRunCancelRequestedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.run.cancel.requested`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    reason: str | None = None
    """Only in events of schema version 1."""


class WorkflowRunCancelRequested(EventRecord, frozen=True, kw_only=True):
    """The cancel of a workflow run was requested. `note` is the caller's reason."""

    type: Literal["workflow.run.cancel.requested"]
    payload: WorkflowRunCancelRequestedPayload


class WorkflowRunCompletedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.run.completed`."""

    workflow_id: str
    """Id of the workflow; absent without one."""


class WorkflowRunCompleted(EventRecord, frozen=True, kw_only=True):
    """The workflow run completed: every step is ok or skipped."""

    type: Literal["workflow.run.completed"]
    payload: WorkflowRunCompletedPayload


class WorkflowRunFailedPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.run.failed`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    failed_steps: list[str]
    """Steps that failed or were cancelled."""


class WorkflowRunFailed(EventRecord, frozen=True, kw_only=True):
    """The workflow run failed: because of failed steps no other step can start."""

    type: Literal["workflow.run.failed"]
    payload: WorkflowRunFailedPayload


class WorkflowRunCancelledPayload(Model, frozen=True, kw_only=True):
    """The payload of `workflow.run.cancelled`."""

    workflow_id: str
    """Id of the workflow; absent without one."""
    reason: str | None = None
    """Only in events of schema version 1."""


class WorkflowRunCancelled(EventRecord, frozen=True, kw_only=True):
    """The workflow run was cancelled. The request before it has the reason."""

    type: Literal["workflow.run.cancelled"]
    payload: WorkflowRunCancelledPayload


class PolicyUpdatedPayload(Model, frozen=True, kw_only=True):
    """The payload of `policy.updated`."""

    schema_version: int
    """Version of this shape."""
    updated_at: datetime
    """When it last changed."""
    after: Policy
    """Start after this id or position, at `latest`, or at a time; absent: from the beginning."""
    before: Policy | None = None
    """State before the change; absent if nothing existed."""
    audit_comment: str | None = None
    """Reason of the change, for auditors."""
    updated_by: str | None = None
    """Identity that changed it last."""


class PolicyUpdated(EventRecord, frozen=True, kw_only=True):
    """The policy was replaced as a whole."""

    type: Literal["policy.updated"]
    payload: PolicyUpdatedPayload


class HaltStartedPayload(Model, frozen=True, kw_only=True):
    """The payload of `halt.started`."""

    by: str
    """Identity that halted all work."""
    cancelled: int | None = None
    """Number that were cancelled."""


class HaltStarted(EventRecord, frozen=True, kw_only=True):
    """An Operator halted the plane. `cancelled` counts the runs whose cancellation was requested with it."""

    type: Literal["halt.started"]
    payload: HaltStartedPayload


class HaltLiftedPayload(Model, frozen=True, kw_only=True):
    """The payload of `halt.lifted`."""

    by: str
    """Identity that lifted the halt."""
    since_ms: int


class HaltLifted(EventRecord, frozen=True, kw_only=True):
    """An Admin lifted the halt that began at `since_ms`."""

    type: Literal["halt.lifted"]
    payload: HaltLiftedPayload


class ScheduleUpsertedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.upserted`."""

    id: str
    enabled: bool
    """False switches it off."""
    definition: ScheduleDefinition
    """Steps and dependencies."""
    after_ms: int
    updated_by: str
    """Identity that changed it last."""


class ScheduleUpserted(EventRecord, frozen=True, kw_only=True):
    """A schedule was created or replaced by `updated_by`. Its slots are those after `after_ms`."""

    type: Literal["schedule.upserted"]
    payload: ScheduleUpsertedPayload


class ScheduleRemovedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.removed`."""

    id: str
    removed: bool
    """False if it did not exist."""


class ScheduleRemoved(EventRecord, frozen=True, kw_only=True):
    """The removal of a schedule was requested. `removed` is false if it did not exist."""

    type: Literal["schedule.removed"]
    payload: ScheduleRemovedPayload


class ScheduleEnabledPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.enabled`."""

    id: str
    updated: bool
    """False if it already was in this state."""
    anchor_ms: int | None = None
    after_ms: int | None = None


class ScheduleEnabled(EventRecord, frozen=True, kw_only=True):
    """The enabling of a schedule was requested. Its slots are after `after_ms`, from `anchor_ms`.

    `updated` is false if the schedule did not exist.
    """

    type: Literal["schedule.enabled"]
    payload: ScheduleEnabledPayload


class ScheduleDisabledPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.disabled`."""

    id: str
    updated: bool
    """False if it already was in this state."""


class ScheduleDisabled(EventRecord, frozen=True, kw_only=True):
    """The disabling of a schedule was requested. `updated` is false if it did not exist."""

    type: Literal["schedule.disabled"]
    payload: ScheduleDisabledPayload


class SchedulePausedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.paused`."""

    id: str
    cause: models.PauseCause
    """Why it is paused."""
    target_run_id: str | None = None


class SchedulePaused(EventRecord, frozen=True, kw_only=True):
    """A schedule was paused, on request or because a run failed. Its slots do not run until it is resumed.

    `target_run_id` is the run that failed.
    """

    type: Literal["schedule.paused"]
    payload: SchedulePausedPayload


class ScheduleResumedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.resumed`."""

    id: str


class ScheduleResumed(EventRecord, frozen=True, kw_only=True):
    """A schedule was resumed. Its slots run again."""

    type: Literal["schedule.resumed"]
    payload: ScheduleResumedPayload


class ScheduleTickExecutedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.tick.executed`."""

    at: datetime
    """Time of the tick."""
    run: int
    skipped: int
    """Number that were skipped."""


class ScheduleTickExecuted(EventRecord, frozen=True, kw_only=True):
    """A client ran a tick for the time `at`. `run` counts slots that ran, `skipped` schedules without one."""

    type: Literal["schedule.tick.executed"]
    payload: ScheduleTickExecutedPayload


class ScheduleRunStartedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.run.started`."""

    id: str
    target_run_id: str
    slot_ms: int | None = None
    terminates: list[str] | None = None


class ScheduleRunStarted(EventRecord, frozen=True, kw_only=True):
    """A slot started a run; without `slot_ms` a client did by hand. The runs in `terminates` are stopped for it."""

    type: Literal["schedule.run.started"]
    payload: ScheduleRunStartedPayload


class ScheduleRunBufferedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.run.buffered`."""

    id: str
    slot_ms: int
    cancels: list[str] | None = None


class ScheduleRunBuffered(EventRecord, frozen=True, kw_only=True):
    """A slot waits for active runs to end. The runs in `cancels` are cancelled for it."""

    type: Literal["schedule.run.buffered"]
    payload: ScheduleRunBufferedPayload


class ScheduleRunSkippedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.run.skipped`."""

    id: str
    slot_ms: int
    reason: ScheduleRunSkippedReason
    """Why the time does not run."""


class ScheduleRunSkipped(EventRecord, frozen=True, kw_only=True):
    """A slot will not run."""

    type: Literal["schedule.run.skipped"]
    payload: ScheduleRunSkippedPayload


class ScheduleSlotsMissedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.slots.missed`."""

    id: str
    from_ms: int
    to_ms: int
    count: int
    """Number of times that do not run."""
    reason: ScheduleSlotsMissedReason
    """Why they do not run."""


class ScheduleSlotsMissed(EventRecord, frozen=True, kw_only=True):
    """The slots from `from_ms` to `to_ms`, both included, will not run."""

    type: Literal["schedule.slots.missed"]
    payload: ScheduleSlotsMissedPayload


class ScheduleRunCompletedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.run.completed`."""

    id: str
    target_run_id: str
    slot_ms: int | None = None


class ScheduleRunCompleted(EventRecord, frozen=True, kw_only=True):
    """A run of the schedule ended with an answer."""

    type: Literal["schedule.run.completed"]
    payload: ScheduleRunCompletedPayload


class ScheduleRunFailedPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.run.failed`."""

    id: str
    target_run_id: str
    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    slot_ms: int | None = None
    reason: ScheduleRunFailedReason | None = None
    """Set if the run was cancelled or rejected."""
    message: str | None = None
    """Only in events of schema version 1."""


class ScheduleRunFailed(EventRecord, frozen=True, kw_only=True):
    """A run of the schedule ended without an answer. `reason` is set if it was cancelled or refused."""

    type: Literal["schedule.run.failed"]
    payload: ScheduleRunFailedPayload


class ScheduleRunTriggeredPayload(Model, frozen=True, kw_only=True):
    """The payload of `schedule.run.triggered`."""

    id: str
    status: ScheduleRunTriggeredStatus


class ScheduleRunTriggered(EventRecord, frozen=True, kw_only=True):
    """The result of a run that a client started by hand."""

    type: Literal["schedule.run.triggered"]
    payload: ScheduleRunTriggeredPayload


class WorkEnqueuedPayload(Model, frozen=True, kw_only=True):
    """The payload of `work.enqueued`."""

    queue_depth: int
    item_id: str
    mode: models.QueueMode
    """`followup`: a run of its own. `collect`: consecutive items share one run."""
    chars: int
    """Length in characters."""
    enqueued_by: str
    message_id: str | None = None
    """Id of the message; absent if it is not from one."""
    dead_letter_id: str | None = None
    """The dead letter that it became or came from."""


class WorkEnqueued(EventRecord, frozen=True, kw_only=True):
    """An item was added to the queue. It may deliver a message or come from a dead letter."""

    type: Literal["work.enqueued"]
    payload: WorkEnqueuedPayload


class WorkDrainStartedPayload(Model, frozen=True, kw_only=True):
    """The payload of `work.drain.started`."""

    drain_id: str
    queue_depth_before: int
    """Waiting items at the start."""
    requested_by: str
    """Identity that requested it."""
    automatic: bool | None = None
    """True if a message started it."""
    provider: str | None = None
    """Name of the provider."""
    model: str | None = None
    """Name of the model."""


class WorkDrainStarted(EventRecord, frozen=True, kw_only=True):
    """A drain started: on request, or `automatic`."""

    type: Literal["work.drain.started"]
    payload: WorkDrainStartedPayload


class WorkBatchStartedPayload(Model, frozen=True, kw_only=True):
    """The payload of `work.batch.started`."""

    drain_id: str
    run_id: str
    item_ids: list[str]


class WorkBatchStarted(EventRecord, frozen=True, kw_only=True):
    """Items were leased to a run, which was admitted in the same transaction."""

    type: Literal["work.batch.started"]
    payload: WorkBatchStartedPayload


class WorkItemDrainedPayload(Model, frozen=True, kw_only=True):
    """The payload of `work.item.drained`."""

    drain_id: str
    run_id: str
    item_id: str
    queue_depth: int


class WorkItemDrained(EventRecord, frozen=True, kw_only=True):
    """An item left the queue because its run completed."""

    type: Literal["work.item.drained"]
    payload: WorkItemDrainedPayload


class WorkBatchReturnedPayload(Model, frozen=True, kw_only=True):
    """The payload of `work.batch.returned`."""

    drain_id: str
    run_id: str
    item_ids: list[str]
    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    failed_at: datetime
    counted: bool
    message: str | None = None
    """Only in events of schema version 1."""


class WorkBatchReturned(EventRecord, frozen=True, kw_only=True):
    """Items were put back because their run did not complete. `counted` is true if this counts as an attempt."""

    type: Literal["work.batch.returned"]
    payload: WorkBatchReturnedPayload


class WorkBatchDeadLetteredPayload(Model, frozen=True, kw_only=True):
    """The payload of `work.batch.dead-lettered`."""

    drain_id: str
    dead_letter_id: str
    """The dead letter that it became or came from."""
    item_ids: list[str]
    reason: models.DeadLetterReason
    """Why they could not be done."""
    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    queue_depth: int
    run_id: str | None = None
    message: str | None = None
    """Only in events of schema version 1."""


class WorkBatchDeadLettered(EventRecord, frozen=True, kw_only=True):
    """Items left the queue as one dead letter. `run_id` is absent if there was no run."""

    type: Literal["work.batch.dead-lettered"]
    payload: WorkBatchDeadLetteredPayload


class WorkDrainedPayload(Model, frozen=True, kw_only=True):
    """The payload of `work.drained`."""

    status: WorkDrainedPayloadStatus
    drained_items: int
    """Items done."""
    queue_depth_before: int
    """Waiting items at the start."""
    queue_depth_after: int
    """Waiting items at the end; absent before that."""
    drain_id: str


class WorkDrained(EventRecord, frozen=True, kw_only=True):
    """A drain ended: the queue was empty, or the drain reached its maximum number of runs."""

    type: Literal["work.drained"]
    payload: WorkDrainedPayload


class WorkDrainFailedPayload(Model, frozen=True, kw_only=True):
    """The payload of `work.drain.failed`."""

    drain_id: str
    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    drained_items: int
    """Items done."""
    queue_depth_before: int
    """Waiting items at the start."""
    queue_depth_after: int
    """Waiting items at the end; absent before that."""
    run_id: str | None = None
    retryable: bool | None = None
    """True if a retry may succeed."""
    retry_with: models.RetryWith | None = None
    """Idempotency key of a retry: the same one, or a new one; present if `retryable` is true."""
    message: str | None = None
    """Only in events of schema version 1."""


class WorkDrainFailed(EventRecord, frozen=True, kw_only=True):
    """A drain stopped with an error: the run failed, or none could start."""

    type: Literal["work.drain.failed"]
    payload: WorkDrainFailedPayload


class A2aDlqAddedPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.dlq.added`."""

    id: str
    source: models.DeadLetterSource
    """`work`: a queue item. `a2a`: a message."""
    session_id: str
    reason: models.DeadLetterReason
    """Why it could not be done."""
    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    retry_count: int
    """Attempts and requeues after the first attempt."""
    items: list[LetterItem]
    """Items of this page."""
    attempts: list[DeadLetterAttempt]
    """Number of runs that processed it."""
    message_id: str | None = None
    """Id of the message; absent if it is not from one."""
    source_persona: str | None = None
    """Persona that sent the message; absent for queue items."""
    target_persona: str | None = None
    """Persona that the message is for; absent for queue items."""
    previous_id: str | None = None
    error: str | None = None
    """Only in events of schema version 1."""


class A2aDlqAdded(EventRecord, frozen=True, kw_only=True):
    """Work could not be done. `retry_count` counts its requeues. `payload` is a JSON object.

    `previous_id` is the dead letter that the work was requeued from. `attempt_errors` has one text for each of the
    `attempts`.
    """

    type: Literal["a2a.dlq.added"]
    payload: A2aDlqAddedPayload


class A2aDlqRequeuedPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.dlq.requeued`."""

    id: str
    retry_count: int
    """Attempts and requeues after the first attempt."""
    item_ids: list[str]
    message_id: str | None = None
    """Id of the message; absent if it is not from one."""


class A2aDlqRequeued(EventRecord, frozen=True, kw_only=True):
    """The work was put back into its queue, as new items or as a new message."""

    type: Literal["a2a.dlq.requeued"]
    payload: A2aDlqRequeuedPayload


class A2aDlqDiscardedPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.dlq.discarded`."""

    id: str
    audit_note: str | None = None
    """Only in events of schema version 1."""


class A2aDlqDiscarded(EventRecord, frozen=True, kw_only=True):
    """The dead letter was discarded; its work will not be done."""

    type: Literal["a2a.dlq.discarded"]
    payload: A2aDlqDiscardedPayload


class A2aDlqRestoredPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.dlq.restored`."""

    id: str
    audit_note: str | None = None
    """Only in events of schema version 1."""


class A2aDlqRestored(EventRecord, frozen=True, kw_only=True):
    """The dead letter was restored after it had been discarded."""

    type: Literal["a2a.dlq.restored"]
    payload: A2aDlqRestoredPayload


class A2aMessageSentPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.message.sent`."""

    message_id: str
    """Id of the message; absent if it is not from one."""
    from_agent: str
    to_agent: str
    step_id: str | None = None
    """Id of the step; absent without one."""
    status: A2aMessageSentPayloadStatus
    hops: int
    """Messages in the chain up to this one."""
    sent_by: str
    """Identity that sent it."""
    item_id: str | None = None
    dead_letter_id: str | None = None
    """The dead letter that it became or came from."""


class A2aMessageSent(EventRecord, frozen=True, kw_only=True):
    """A message was accepted and, within the hop limit, queued. `hops` is the number of messages that led to it."""

    type: Literal["a2a.message.sent"]
    payload: A2aMessageSentPayload


class A2aMessageStartedPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.message.started`."""

    message_id: str
    """Id of the message; absent if it is not from one."""
    from_agent: str
    to_agent: str
    step_id: str | None = None
    """Id of the step; absent without one."""
    status: A2aMessageStartedPayloadStatus
    attempt: int
    """Number of the attempt, from 1; 0 before the first."""


class A2aMessageStarted(EventRecord, frozen=True, kw_only=True):
    """A run started to work on the message."""

    type: Literal["a2a.message.started"]
    payload: A2aMessageStartedPayload


class A2aMessageCompletedPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.message.completed`."""

    message_id: str
    """Id of the message; absent if it is not from one."""
    from_agent: str
    to_agent: str
    step_id: str | None = None
    """Id of the step; absent without one."""
    status: A2aMessageCompletedPayloadStatus


class A2aMessageCompleted(EventRecord, frozen=True, kw_only=True):
    """The run of the message completed."""

    type: Literal["a2a.message.completed"]
    payload: A2aMessageCompletedPayload


class A2aMessageFailedPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.message.failed`."""

    message_id: str
    """Id of the message; absent if it is not from one."""
    from_agent: str
    to_agent: str
    step_id: str | None = None
    """Id of the step; absent without one."""
    status: A2aMessageFailedPayloadStatus
    reason: str
    """Why it could not be delivered."""
    code: str
    """Error code, as in `ErrorCode`; older logs may hold others."""
    dead_letter_id: str
    """The dead letter that it became or came from."""
    error: str | None = None
    """Only in events of schema version 1."""


class A2aMessageFailed(EventRecord, frozen=True, kw_only=True):
    """The message could not be delivered and became a dead letter."""

    type: Literal["a2a.message.failed"]
    payload: A2aMessageFailedPayload


class MemoryRecordedPayload(Model, frozen=True, kw_only=True):
    """The payload of `memory.recorded`."""

    entry_id: str
    """Id of the memory entry."""
    chars: int
    """Length in characters."""
    has_metadata: bool


class MemoryRecorded(EventRecord, frozen=True, kw_only=True):
    """A note was recorded."""

    type: Literal["memory.recorded"]
    payload: MemoryRecordedPayload


class MemoryForgottenPayload(Model, frozen=True, kw_only=True):
    """The payload of `memory.forgotten`."""

    entry_id: str
    """Id of the memory entry."""


class MemoryForgotten(EventRecord, frozen=True, kw_only=True):
    """A note was forgotten. Its text was erased in the same transaction."""

    type: Literal["memory.forgotten"]
    payload: MemoryForgottenPayload


class A2aDlqRedriveStartedPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.dlq.redrive.started`."""

    redrive_id: str
    filter: RedriveSelection
    """Which dead letters to requeue."""
    filter_hash: str
    rate_per_second: int
    """Dead letters to requeue per second."""
    total: int
    """Number in all."""
    until: int
    requested_by: str
    """Identity that requested it."""


class A2aDlqRedriveStarted(EventRecord, frozen=True, kw_only=True):
    """A redrive was requested for `total` letters, all added up to position `until`."""

    type: Literal["a2a.dlq.redrive.started"]
    payload: A2aDlqRedriveStartedPayload


class A2aDlqRedriveAdvancedPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.dlq.redrive.advanced`."""

    redrive_id: str
    dead_letter_id: str
    """The dead letter that it became or came from."""
    letter_position: int
    result: models.RedriveDecision
    code: str | None = None
    """Error code, as in `ErrorCode`; older logs may hold others."""


class A2aDlqRedriveAdvanced(EventRecord, frozen=True, kw_only=True):
    """One letter was processed. It was added at `letter_position`. `code` is the reason if it failed."""

    type: Literal["a2a.dlq.redrive.advanced"]
    payload: A2aDlqRedriveAdvancedPayload


class A2aDlqRedriveCompletedPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.dlq.redrive.completed`."""

    redrive_id: str
    filter_hash: str
    requeued: int
    """Number that were requeued."""
    skipped: int
    """Number that were skipped."""
    failed: int
    """Number that failed."""


class A2aDlqRedriveCompleted(EventRecord, frozen=True, kw_only=True):
    """The redrive processed all letters."""

    type: Literal["a2a.dlq.redrive.completed"]
    payload: A2aDlqRedriveCompletedPayload


class A2aDlqRedriveCancelledPayload(Model, frozen=True, kw_only=True):
    """The payload of `a2a.dlq.redrive.cancelled`."""

    redrive_id: str
    filter_hash: str
    requeued: int
    """Number that were requeued."""
    skipped: int
    """Number that were skipped."""
    failed: int
    """Number that failed."""


class A2aDlqRedriveCancelled(EventRecord, frozen=True, kw_only=True):
    """The redrive was cancelled. Letters that were requeued stay requeued."""

    type: Literal["a2a.dlq.redrive.cancelled"]
    payload: A2aDlqRedriveCancelledPayload


class BulkRequestedPayload(Model, frozen=True, kw_only=True):
    """The payload of `bulk.requested`."""

    bulk_id: str
    act: BulkRequestedAct
    filter: RunFilter
    """Filter that selected the runs."""
    total: int
    """Number in all."""
    until: int
    changes: models.RunChanges | None = None


class BulkRequested(EventRecord, frozen=True, kw_only=True):
    """A cancellation or a retry was requested for `total` runs, all created up to position `until`."""

    type: Literal["bulk.requested"]
    payload: BulkRequestedPayload


class PersonaRunStartedPayload(Model, frozen=True, kw_only=True):
    """The payload of `persona.run.started`."""

    persona_name: str
    repo_path: str
    """Path of the repository in the workspace."""
    head_ref: str
    """Commit, branch or tag to review."""
    base_ref: str
    """Commit, branch or tag to compare with."""
    base_ref_resolved_from: PersonaRunStartedBaseRefResolvedFrom
    """How the base was found."""
    head_commit: str
    base_commit: str
    files: int
    """Rules of tool `files`."""
    requested_by: str
    """Identity that requested it."""
    stdout: models.PersonaStdout
    """Printed form of the result."""
    harness_profile_id: str | None = None
    provider: str | None = None
    """Name of the provider."""
    model: str | None = None
    """Name of the model."""
    out_json_path: str | None = None
    """Copy of the result in the workspace."""
    out_markdown_path: str | None = None
    """Copy of the report in the workspace."""


class PersonaRunStarted(EventRecord, frozen=True, kw_only=True):
    """A review started. Its first run has the id of the stream. `prepared` is the material for the model."""

    type: Literal["persona.run.started"]
    payload: PersonaRunStartedPayload


class PersonaRunRepairRequestedPayload(Model, frozen=True, kw_only=True):
    """The payload of `persona.run.repair-requested`."""

    persona_name: str
    repair_run_id: str
    """Run of the second request; absent without one."""


class PersonaRunRepairRequested(EventRecord, frozen=True, kw_only=True):
    """The answer could not be parsed. The model is asked again in another run."""

    type: Literal["persona.run.repair-requested"]
    payload: PersonaRunRepairRequestedPayload


class PersonaRunCompletedPayload(Model, frozen=True, kw_only=True):
    """The payload of `persona.run.completed`."""

    persona_name: str
    status: PersonaRunCompletedStatus
    merge_gate: models.MergeGate
    """Whether the change may be merged."""
    p1: int
    """Findings of priority P1."""
    p2: int
    """Findings of priority P2."""
    p3: int
    """Findings of priority P3."""
    repaired: bool
    artifacts: models.PersonaArtifacts
    """Files of the review."""
    provider: str | None = None
    """Name of the provider."""
    model: str | None = None
    """Name of the model."""
    usage: models.Usage | None = None
    """Tokens used."""


class PersonaRunCompleted(EventRecord, frozen=True, kw_only=True):
    """A review ended: `ok` with findings, counted by priority, or `failed` without a readable answer."""

    type: Literal["persona.run.completed"]
    payload: PersonaRunCompletedPayload


class PersonaRunFailedPayload(Model, frozen=True, kw_only=True):
    """The payload of `persona.run.failed`."""

    persona_name: str
    repo_path: str
    """Path of the repository in the workspace."""
    head_ref: str
    """Commit, branch or tag to review."""
    base_ref: str | None = None
    """Commit, branch or tag to compare with."""
    error: str | None = None
    """Only in events of schema version 1."""


class PersonaRunFailed(EventRecord, frozen=True, kw_only=True):
    """A review could not start."""

    type: Literal["persona.run.failed"]
    payload: PersonaRunFailedPayload


class AnchorKeptPayload(Model, frozen=True, kw_only=True):
    """The payload of `anchor.kept`."""

    log_id: str
    position: int
    """Position in the log."""
    chain: str
    """Chain value at the position, in hex."""
    at: datetime
    """When the other log reported it."""
    from_: str


class AnchorKept(EventRecord, frozen=True, kw_only=True):
    """An anchor of another log was stored: `from` reported `chain` (hex) at `position` at the time `at`."""

    type: Literal["anchor.kept"]
    payload: AnchorKeptPayload


class AnchorConflictedPayload(Model, frozen=True, kw_only=True):
    """The payload of `anchor.conflicted`."""

    log_id: str
    position: int
    """Position in the log."""
    chain: str
    """Chain value at the position, in hex."""
    kept: str
    from_: str


class AnchorConflicted(EventRecord, frozen=True, kw_only=True):
    """An anchor was refused because its position has another chain value. One of the histories was rewritten."""

    type: Literal["anchor.conflicted"]
    payload: AnchorConflictedPayload


class AuthzModeActivePayload(Model, frozen=True, kw_only=True):
    """The payload of `AUTHZ_MODE_ACTIVE`."""

    mode: str
    """Mode of the setting `ATHENA_AUTHZ_MODE`."""


class AuthzModeActive(EventRecord, frozen=True, kw_only=True):
    """A server started with this authorization mode."""

    type: Literal["AUTHZ_MODE_ACTIVE"]
    payload: AuthzModeActivePayload


class RbacRolesLoadedPayload(Model, frozen=True, kw_only=True):
    """The payload of `rbac.roles.loaded`."""

    source: RolesLoadedSource
    """Whether the map is from the settings or from a file."""
    viewers: int
    operators: int
    admins: int
    everybody_else: str
    sha256: str
    """SHA-256 in hex."""
    locked_out: int | None = None
    groups: int | None = None


class RbacRolesLoaded(EventRecord, frozen=True, kw_only=True):
    """A server loaded the role map, at its start or again: the number of identities of each role, and a hash.

    `locked_out` is the number of identities with the role None, and `groups` of groups with a role, if there are any.
    """

    type: Literal["rbac.roles.loaded"]
    payload: RbacRolesLoadedPayload


class RbacGroupsChangedPayload(Model, frozen=True, kw_only=True):
    """The payload of `rbac.groups.changed`."""

    identity: str
    """Identity whose groups changed."""
    groups: list[str]


class RbacGroupsChanged(EventRecord, frozen=True, kw_only=True):
    """A proxy named other groups of an identity than before. Only those with a role are listed, highest role first.

    Work that goes on later in the name of the identity has the role of these groups.
    """

    type: Literal["rbac.groups.changed"]
    payload: RbacGroupsChangedPayload


class AuthzDeniedPayload(Model, frozen=True, kw_only=True):
    """The payload of `authz.denied`."""

    subject: str
    role: str
    """Role of the identity."""
    operation: str
    required_roles: list[str]
    deny_reason: AuthzDeniedDenyReason


class AuthzDenied(EventRecord, frozen=True, kw_only=True):
    """An identity was denied an operation."""

    type: Literal["authz.denied"]
    payload: AuthzDeniedPayload


class AuthnFailedPayload(Model, frozen=True, kw_only=True):
    """The payload of `authn.failed`."""

    count: int
    """Refused requests since then."""
    code: AuthnFailedCode
    """Error code, as in `ErrorCode`; older logs may hold others."""
    since: str
    """When the count began."""
    token_id: str | None = None
    """Id of the token or session."""


class AuthnFailed(EventRecord, frozen=True, kw_only=True):
    """Requests with a token were refused: their number since `since`, and the code of the last one.

    `token_id` is set if all of them named a token that exists. `peer` is their address. Without it, they are the rest:
    from several addresses.
    """

    type: Literal["authn.failed"]
    payload: AuthnFailedPayload


class RequestsSuppressedPayload(Model, frozen=True, kw_only=True):
    """The payload of `requests.suppressed`."""

    count: int
    """Requests without an event of their own."""
    subject: str
    operation: str
    since: str | None = None
    """When the count began."""


class RequestsSuppressed(EventRecord, frozen=True, kw_only=True):
    """Requests of an identity for an operation were stopped or refused without an event for each one.

    A limit of recorded refusals was exceeded. `*` means several identities or operations. `since` is the time of the
    first of these requests.
    """

    type: Literal["requests.suppressed"]
    payload: RequestsSuppressedPayload


class SafetyViolationPayload(Model, frozen=True, kw_only=True):
    """The payload of `safety.violation`."""

    schema_version: int
    """Version of this shape."""
    source: ViolationSource
    category: SafetyViolationCategory
    severity: SafetyViolationSeverity
    outcome: SafetyViolationOutcome
    violation_code: str
    actor: ViolationActor
    """Identity that did it, or a `system:` actor of the server."""


class SafetyViolation(EventRecord, frozen=True, kw_only=True):
    """An audit record, derived from a denial or a rejection."""

    type: Literal["safety.violation"]
    payload: SafetyViolationPayload


class LogForkedPayload(Model, frozen=True, kw_only=True):
    """The payload of `log.forked`."""

    head: int
    """Position of the last event."""
    expected: int
    anchor: LogForkedAnchor | None = None


class LogForked(EventRecord, frozen=True, kw_only=True):
    """An operator accepted that acknowledged events are lost, by a restored backup, a failover or a truncation.

    `anchor` is set if a loss is only possible, because the anchor was missing, unreadable, or of another log. Then
    `expected` is the head.
    """

    type: Literal["log.forked"]
    payload: LogForkedPayload


class PayloadRedactedPayload(Model, frozen=True, kw_only=True):
    """The payload of `payload.redacted`."""

    event_id: str
    """The id of the event that this one is about."""
    copies: list[int] | None = None
    public: list[int] | None = None
    more: bool | None = None
    reason: str | None = None
    """Only in events of schema version 1."""


class PayloadRedacted(EventRecord, frozen=True, kw_only=True):
    """The text of one event was erased; the chain still verifies. `note` is the reason.

    `copies` are the positions of other events whose text repeats the erased text; `public` are the positions of events
    that have it in their public payload. With `more` there may be others: not all were searched or listed. The first
    event of a command has these lists, and keeps them when its own `note` is erased.
    """

    type: Literal["payload.redacted"]
    payload: PayloadRedactedPayload


class ClockAcceptedPayload(Model, frozen=True, kw_only=True):
    """The payload of `clock.accepted`."""

    clock_ms: int
    ahead_ms: int
    """Milliseconds that it was ahead of the server's time."""


class ClockAccepted(EventRecord, frozen=True, kw_only=True):
    """An Admin accepted the machine's clock, which was `ahead_ms` ahead of the server's time."""

    type: Literal["clock.accepted"]
    payload: ClockAcceptedPayload


class UnknownEvent(EventRecord, frozen=True, kw_only=True):
    """An event of a type that this client does not know, or with a payload of a shape that it does not know."""

    type: str
    payload: dict[str, Any]


Event: TypeAlias = (
    RunQueued
    | RunCreated
    | RunLeased
    | RunStarted
    | MemoryRecalled
    | AgentAttached
    | McpAttached
    | TranscriptAppended
    | ToolCalled
    | EvidenceAttached
    | SandboxLifecycle
    | WorkspaceOpened
    | WorkspaceChanged
    | UsageRecorded
    | BudgetReserved
    | RunAsked
    | RunAskOpened
    | RunAnswered
    | RunPaused
    | RunRequeued
    | RunResumed
    | RunCancelRequested
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunTimedOut
    | RunCrashed
    | PolicyConcurrencyRejected
    | PolicyRejected
    | SessionCreated
    | DirectiveCreated
    | HarnessProfileCreated
    | PermissionRuleCreated
    | PermissionRuleRevoked
    | TokenCreated
    | TokenRevoked
    | WorkspaceCreated
    | WorkspaceRetained
    | WorkspaceApplied
    | WorkspaceExactOpened
    | WorkspaceCleaned
    | McpServerListed
    | McpServerAccepted
    | RunTemplateCreated
    | RunTemplateUpdated
    | RunTemplateRun
    | WorkflowCreated
    | WorkflowRunCreated
    | WorkflowResumed
    | WorkflowStepStarted
    | WorkflowStepExpanded
    | WorkflowStepCompleted
    | WorkflowStepFailed
    | WorkflowStepSkipped
    | WorkflowStepCancelled
    | WorkflowApprovalRequested
    | WorkflowApprovalGranted
    | WorkflowApprovalRejected
    | WorkflowRunSuspended
    | WorkflowRunCancelRequested
    | WorkflowRunCompleted
    | WorkflowRunFailed
    | WorkflowRunCancelled
    | PolicyUpdated
    | HaltStarted
    | HaltLifted
    | ScheduleUpserted
    | ScheduleRemoved
    | ScheduleEnabled
    | ScheduleDisabled
    | SchedulePaused
    | ScheduleResumed
    | ScheduleTickExecuted
    | ScheduleRunStarted
    | ScheduleRunBuffered
    | ScheduleRunSkipped
    | ScheduleSlotsMissed
    | ScheduleRunCompleted
    | ScheduleRunFailed
    | ScheduleRunTriggered
    | WorkEnqueued
    | WorkDrainStarted
    | WorkBatchStarted
    | WorkItemDrained
    | WorkBatchReturned
    | WorkBatchDeadLettered
    | WorkDrained
    | WorkDrainFailed
    | A2aDlqAdded
    | A2aDlqRequeued
    | A2aDlqDiscarded
    | A2aDlqRestored
    | A2aMessageSent
    | A2aMessageStarted
    | A2aMessageCompleted
    | A2aMessageFailed
    | MemoryRecorded
    | MemoryForgotten
    | A2aDlqRedriveStarted
    | A2aDlqRedriveAdvanced
    | A2aDlqRedriveCompleted
    | A2aDlqRedriveCancelled
    | BulkRequested
    | PersonaRunStarted
    | PersonaRunRepairRequested
    | PersonaRunCompleted
    | PersonaRunFailed
    | AnchorKept
    | AnchorConflicted
    | AuthzModeActive
    | RbacRolesLoaded
    | RbacGroupsChanged
    | AuthzDenied
    | AuthnFailed
    | RequestsSuppressed
    | SafetyViolation
    | LogForked
    | PayloadRedacted
    | ClockAccepted
    | UnknownEvent
)
"""Any event."""

CLASSES: dict[str, type[Event]] = {
    "run.queued": RunQueued,
    "run.created": RunCreated,
    "run.leased": RunLeased,
    "run.started": RunStarted,
    "memory.recalled": MemoryRecalled,
    "agent.attached": AgentAttached,
    "mcp.attached": McpAttached,
    "transcript.appended": TranscriptAppended,
    "tool.called": ToolCalled,
    "evidence.attached": EvidenceAttached,
    "sandbox.lifecycle": SandboxLifecycle,
    "workspace.opened": WorkspaceOpened,
    "workspace.changed": WorkspaceChanged,
    "usage.recorded": UsageRecorded,
    "budget.reserved": BudgetReserved,
    "run.asked": RunAsked,
    "run.ask.opened": RunAskOpened,
    "run.answered": RunAnswered,
    "run.paused": RunPaused,
    "run.requeued": RunRequeued,
    "run.resumed": RunResumed,
    "run.cancel.requested": RunCancelRequested,
    "run.completed": RunCompleted,
    "run.failed": RunFailed,
    "run.cancelled": RunCancelled,
    "run.timed-out": RunTimedOut,
    "run.crashed": RunCrashed,
    "policy.concurrency.rejected": PolicyConcurrencyRejected,
    "policy.rejected": PolicyRejected,
    "session.created": SessionCreated,
    "directive.created": DirectiveCreated,
    "harness-profile.created": HarnessProfileCreated,
    "permission-rule.created": PermissionRuleCreated,
    "permission-rule.revoked": PermissionRuleRevoked,
    "token.created": TokenCreated,
    "token.revoked": TokenRevoked,
    "workspace.created": WorkspaceCreated,
    "workspace.retained": WorkspaceRetained,
    "workspace.applied": WorkspaceApplied,
    "workspace.exact-opened": WorkspaceExactOpened,
    "workspace.cleaned": WorkspaceCleaned,
    "mcp-server.listed": McpServerListed,
    "mcp-server.accepted": McpServerAccepted,
    "run-template.created": RunTemplateCreated,
    "run-template.updated": RunTemplateUpdated,
    "run-template.run": RunTemplateRun,
    "workflow.created": WorkflowCreated,
    "workflow.run.created": WorkflowRunCreated,
    "workflow.resumed": WorkflowResumed,
    "workflow.step.started": WorkflowStepStarted,
    "workflow.step.expanded": WorkflowStepExpanded,
    "workflow.step.completed": WorkflowStepCompleted,
    "workflow.step.failed": WorkflowStepFailed,
    "workflow.step.skipped": WorkflowStepSkipped,
    "workflow.step.cancelled": WorkflowStepCancelled,
    "workflow.approval.requested": WorkflowApprovalRequested,
    "workflow.approval.granted": WorkflowApprovalGranted,
    "workflow.approval.rejected": WorkflowApprovalRejected,
    "workflow.run.suspended": WorkflowRunSuspended,
    "workflow.run.cancel.requested": WorkflowRunCancelRequested,
    "workflow.run.completed": WorkflowRunCompleted,
    "workflow.run.failed": WorkflowRunFailed,
    "workflow.run.cancelled": WorkflowRunCancelled,
    "policy.updated": PolicyUpdated,
    "halt.started": HaltStarted,
    "halt.lifted": HaltLifted,
    "schedule.upserted": ScheduleUpserted,
    "schedule.removed": ScheduleRemoved,
    "schedule.enabled": ScheduleEnabled,
    "schedule.disabled": ScheduleDisabled,
    "schedule.paused": SchedulePaused,
    "schedule.resumed": ScheduleResumed,
    "schedule.tick.executed": ScheduleTickExecuted,
    "schedule.run.started": ScheduleRunStarted,
    "schedule.run.buffered": ScheduleRunBuffered,
    "schedule.run.skipped": ScheduleRunSkipped,
    "schedule.slots.missed": ScheduleSlotsMissed,
    "schedule.run.completed": ScheduleRunCompleted,
    "schedule.run.failed": ScheduleRunFailed,
    "schedule.run.triggered": ScheduleRunTriggered,
    "work.enqueued": WorkEnqueued,
    "work.drain.started": WorkDrainStarted,
    "work.batch.started": WorkBatchStarted,
    "work.item.drained": WorkItemDrained,
    "work.batch.returned": WorkBatchReturned,
    "work.batch.dead-lettered": WorkBatchDeadLettered,
    "work.drained": WorkDrained,
    "work.drain.failed": WorkDrainFailed,
    "a2a.dlq.added": A2aDlqAdded,
    "a2a.dlq.requeued": A2aDlqRequeued,
    "a2a.dlq.discarded": A2aDlqDiscarded,
    "a2a.dlq.restored": A2aDlqRestored,
    "a2a.message.sent": A2aMessageSent,
    "a2a.message.started": A2aMessageStarted,
    "a2a.message.completed": A2aMessageCompleted,
    "a2a.message.failed": A2aMessageFailed,
    "memory.recorded": MemoryRecorded,
    "memory.forgotten": MemoryForgotten,
    "a2a.dlq.redrive.started": A2aDlqRedriveStarted,
    "a2a.dlq.redrive.advanced": A2aDlqRedriveAdvanced,
    "a2a.dlq.redrive.completed": A2aDlqRedriveCompleted,
    "a2a.dlq.redrive.cancelled": A2aDlqRedriveCancelled,
    "bulk.requested": BulkRequested,
    "persona.run.started": PersonaRunStarted,
    "persona.run.repair-requested": PersonaRunRepairRequested,
    "persona.run.completed": PersonaRunCompleted,
    "persona.run.failed": PersonaRunFailed,
    "anchor.kept": AnchorKept,
    "anchor.conflicted": AnchorConflicted,
    "AUTHZ_MODE_ACTIVE": AuthzModeActive,
    "rbac.roles.loaded": RbacRolesLoaded,
    "rbac.groups.changed": RbacGroupsChanged,
    "authz.denied": AuthzDenied,
    "authn.failed": AuthnFailed,
    "requests.suppressed": RequestsSuppressed,
    "safety.violation": SafetyViolation,
    "log.forked": LogForked,
    "payload.redacted": PayloadRedacted,
    "clock.accepted": ClockAccepted,
}
"""The class of each type."""


class _Type(msgspec.Struct, frozen=True):
    type: str


_type_of = msgspec.json.Decoder(_Type).decode
_decoders: dict[str, msgspec.json.Decoder[Event]] = {}
_unknown = msgspec.json.Decoder(UnknownEvent).decode


def decode_event(data: bytes) -> Event:
    """Return an event from its JSON: as the class of its type, or as UnknownEvent.

    Raise msgspec.MsgspecError if the JSON is not an event.
    """
    name = _type_of(data).type
    decoder = _decoders.get(name)
    if decoder is None and name in CLASSES:
        decoder = _decoders[name] = msgspec.json.Decoder(CLASSES[name])
    if decoder is not None:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError:  # a newer server, or a damaged row
            pass
    return _unknown(data)
