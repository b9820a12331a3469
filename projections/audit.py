"""Read model of the audit trail: changes and attempted changes, with actor, time and reason.

A new kind of entry is one line in ``ENTRIES``, and ``Shows.audit`` of its event.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec

from athena_core.clock import iso
from athena_core.domain.anchor import AnchorConflicted
from athena_core.domain.bulk_request import BulkRequested
from athena_core.domain.dead_letter import DeadLetterDiscarded, DeadLetterRequeued, DeadLetterRestored
from athena_core.domain.halt import HaltLifted, HaltStarted
from athena_core.domain.mcp_server import McpServerAccepted
from athena_core.domain.permission_rule import PermissionRuleCreated, PermissionRuleRevoked
from athena_core.domain.plane import (
    AuthnFailed,
    AuthzDenied,
    AuthzModeActive,
    ClockAccepted,
    GroupsChanged,
    LogForked,
    PayloadRedacted,
    RequestsSuppressed,
    RolesLoaded,
)
from athena_core.domain.policy import PolicyUpdated
from athena_core.domain.redrive import RedriveCancelled, RedriveStarted
from athena_core.domain.run import PolicyRejected, RunAnswered, RunAskOpened, RunCancelRequested, RunResumed
from athena_core.domain.schedule import (
    ScheduleDisabled,
    ScheduleEnabled,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleUpserted,
)
from athena_core.domain.token import TokenCreated, TokenRevoked
from athena_core.domain.workflow_run import (
    WorkflowApprovalGranted,
    WorkflowApprovalRejected,
    WorkflowResumed,
    WorkflowRunCancelRequested,
)
from athena_core.domain.workspace import ExactDiffOpened, WorkspaceApplied, WorkspaceCleaned, WorkspaceRetained
from athena_core.event import Event, Recorded, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.values import PAGE_BYTES_MAX
from projections.engine.cursor import event_id
from projections.engine.page import Keyset, Page
from projections.engine.projection import Projection, Rows, Table, to_json_or_null

AuditKind: TypeAlias = Literal[
    "policy",
    "cancel",
    "resume",
    "approval",
    "ask",
    "denial",
    "rejection",
    "suppression",
    "server",
    "roles",
    "redaction",
    "fork",
    "dead-letter",
    "schedule",
    "clock",
    "anchor",
    "mcp-server",
    "permission-rule",
    "halt",
    "bulk",
    "token",
    "authentication",
    "workspace",
]
"""Subjects of entries."""

REQUEST, PEER = "request", "peer"
TEXT_DETAILS: dict[str, str] = {PolicyRejected.TYPE: REQUEST, AuthnFailed.TYPE: PEER}
"""The details that are text, by event type. Of other events, the reason is."""


class AuditContent(NamedTuple):
    """The content of an entry beside the envelope of its event. Values become JSON."""

    kind: AuditKind
    target: str | None = None
    """The affected run, session, operation or document."""
    reason: str | None = None
    before: object = None
    after: object = None
    details: object = None


Describe: TypeAlias = Callable[[Recorded[Any]], AuditContent | None]
"""Returns the entry of an event; None if this one is none."""


def _policy(recorded: Recorded[PolicyUpdated]) -> AuditContent:
    event = recorded.event
    return AuditContent("policy", "policy", event.audit_comment, before=event.before, after=event.after)


def _cancel(recorded: Recorded[RunCancelRequested]) -> AuditContent:
    event = recorded.event
    details = {"status": event.status} | ({"cause": event.cause} if event.cause else {})
    return AuditContent("cancel", event.run_id or recorded.run_id or recorded.session_id, event.note, details=details)


def _resume(recorded: Recorded[RunResumed]) -> AuditContent:
    return AuditContent("resume", recorded.run_id, after={"budgetMicroUsd": recorded.event.budget_micro_usd})


def _denial(recorded: Recorded[AuthzDenied]) -> AuditContent:
    event = recorded.event
    details = {"role": event.role, "requiredRoles": event.required_roles}
    return AuditContent("denial", event.operation, event.deny_reason, details=details)


def _authentication(recorded: Recorded[AuthnFailed]) -> AuditContent:
    event = recorded.event
    peer = {} if event.peer is None else {PEER: event.peer}
    details = {"code": event.code, "count": event.count, "since": event.since, **peer}
    return AuditContent("authentication", event.token_id, details=details)


def _token_created(recorded: Recorded[TokenCreated]) -> AuditContent:
    event = recorded.event
    after: dict[str, object] = {"identity": event.identity, "role": event.role, "expiresAt": iso(event.expires_at_ms)}
    after |= {} if event.scope is None else {"scope": event.scope}
    after |= {} if event.parent is None else {"parentId": event.parent}
    return AuditContent("token", event.token_id, event.note, after=after)


def _token_revoked(recorded: Recorded[TokenRevoked]) -> AuditContent:
    return AuditContent("token", recorded.event.token_id, details={"cause": recorded.event.cause})


def _rejection(recorded: Recorded[PolicyRejected]) -> AuditContent:
    event = recorded.event
    request = {} if event.request is None else {REQUEST: event.request}
    plan = {} if event.plan is None else {"plan": event.plan}
    return AuditContent("rejection", recorded.run_id, event.rejection.reason, details={**plan, **request} or None)


def _suppression(recorded: Recorded[RequestsSuppressed]) -> AuditContent:
    event = recorded.event
    since = {} if event.since is None else {"since": event.since}
    return AuditContent("suppression", event.operation, details={"count": event.count, **since})


def _server(recorded: Recorded[AuthzModeActive]) -> AuditContent:
    return AuditContent("server", after={"mode": recorded.event.mode})


def _roles(recorded: Recorded[RolesLoaded]) -> AuditContent:
    event = recorded.event
    counts = {"viewers": event.viewers, "operators": event.operators, "admins": event.admins}
    return AuditContent(
        "roles", event.source, after={**counts, "everybodyElse": event.everybody_else, "sha256": event.sha256}
    )


def _groups(recorded: Recorded[GroupsChanged]) -> AuditContent:
    return AuditContent("roles", recorded.event.identity, after={"groups": recorded.event.groups})


def _redaction(recorded: Recorded[PayloadRedacted]) -> AuditContent:
    return AuditContent("redaction", reason=recorded.event.note, details={"position": recorded.event.target})


def _fork(recorded: Recorded[LogForked]) -> AuditContent:
    event = recorded.event
    details = None if event.anchor is None else {"anchor": event.anchor}
    return AuditContent("fork", before={"head": event.expected}, after={"head": event.head}, details=details)


def _anchor(recorded: Recorded[AnchorConflicted]) -> AuditContent:
    event = recorded.event
    details = {"position": event.position, "from": event.sender}
    return AuditContent(
        "anchor", event.log_id, before={"chain": event.kept}, after={"chain": event.chain}, details=details
    )


def _clock(recorded: Recorded[ClockAccepted]) -> AuditContent:
    event = recorded.event
    return AuditContent("clock", after={"clock": iso(event.clock_ms)}, details={"aheadMs": event.ahead_ms})


def _halt(recorded: Recorded[HaltStarted]) -> AuditContent:
    event = recorded.event
    details = None if event.cancelled is None else {"cancelled": event.cancelled}
    return AuditContent("halt", reason=event.reason, after={"halted": True}, details=details)


def _lift(recorded: Recorded[HaltLifted]) -> AuditContent:
    return AuditContent("halt", after={"halted": False}, details={"since": iso(recorded.event.since_ms)})


def _requeue(recorded: Recorded[DeadLetterRequeued]) -> AuditContent:
    return AuditContent("dead-letter", recorded.event.id, details={"decision": "requeued"})


def _discard(recorded: Recorded[DeadLetterDiscarded]) -> AuditContent:
    return AuditContent("dead-letter", recorded.event.id, recorded.event.note, details={"decision": "discarded"})


def _restore(recorded: Recorded[DeadLetterRestored]) -> AuditContent:
    return AuditContent("dead-letter", recorded.event.id, recorded.event.note, details={"decision": "restored"})


def _redrive(recorded: Recorded[RedriveStarted]) -> AuditContent:
    event = recorded.event
    details = {"decision": "redrive", "filter": event.filter, "total": event.total}
    return AuditContent("dead-letter", event.redrive_id, details=details)


def _bulk(recorded: Recorded[BulkRequested]) -> AuditContent:
    event = recorded.event
    details = {"decision": event.act, "filter": event.filter, "total": event.total, "changes": event.changes}
    return AuditContent("bulk", event.bulk_id, details=details)


def _stop(recorded: Recorded[RedriveCancelled]) -> AuditContent:
    return AuditContent("dead-letter", recorded.event.redrive_id, details={"decision": "redrive-cancelled"})


def _approval(recorded: Recorded[WorkflowApprovalGranted | WorkflowApprovalRejected]) -> AuditContent:
    event = recorded.event
    verdict = "approved" if isinstance(event, WorkflowApprovalGranted) else "rejected"
    details = {"stepId": event.step_id, "cause": event.cause, "subjectHash": event.subject_sha256}
    return AuditContent("approval", recorded.stream, after={"verdict": verdict}, details=details)


def _mcp_accepted(recorded: Recorded[McpServerAccepted]) -> AuditContent:
    return AuditContent("mcp-server", recorded.event.server, after={"tools": recorded.event.tools})


def _rule_created(recorded: Recorded[PermissionRuleCreated]) -> AuditContent:
    event = recorded.event
    after = {"scope": event.scope, "target": event.target, "toolName": event.tool_name, "askId": event.ask_id}
    return AuditContent("permission-rule", event.rule_id, after=after | {"expiresAt": iso(event.expires_at_ms)})


def _rule_revoked(recorded: Recorded[PermissionRuleRevoked]) -> AuditContent:
    return AuditContent("permission-rule", recorded.event.rule_id, details={"cause": recorded.event.cause})


def _workspace_retained(recorded: Recorded[WorkspaceRetained]) -> AuditContent:
    event = recorded.event
    return AuditContent("workspace", event.workspace_id, before={"keep": not event.keep}, after={"keep": event.keep})


def _workspace_applied(recorded: Recorded[WorkspaceApplied]) -> AuditContent:
    event = recorded.event
    return AuditContent("workspace", event.workspace_id, details={"applied": event.run_id, "files": event.files})


def _exact_diff(recorded: Recorded[ExactDiffOpened]) -> AuditContent:
    event = recorded.event
    details = {"opened": event.run_id, "subjectHash": event.subject_sha256}
    return AuditContent("workspace", event.workspace_id, details=details)


def _workspace_cleaned(recorded: Recorded[WorkspaceCleaned]) -> AuditContent:
    event = recorded.event
    owner = "sessionId" if event.kind == "session" else "workflowRunId"
    return AuditContent("workspace", event.workspace_id, details={"cleaned": event.cause, owner: event.owner})


def _answer(recorded: Recorded[RunAnswered]) -> AuditContent | None:
    """Describe an answer by a person or a rule, or an expiry. The end of a run decides nothing about its asks."""
    event = recorded.event
    if event.cause == "run-ended":
        return None
    named = {"ruleId": event.rule_id, "editedHash": event.edited_sha256}
    details = {"askId": event.ask_id, "cause": event.cause, "subjectHash": event.subject_sha256} | {
        name: value for name, value in named.items() if value is not None
    }
    after = None if event.option_id is None else {"optionId": event.option_id}
    return AuditContent("ask", recorded.stream, event.note, after=after, details=details)


def _opening(recorded: Recorded[RunAskOpened]) -> AuditContent:
    event = recorded.event
    details = {"askId": event.ask_id, "opened": "exact", "subjectHash": event.subject_sha256}
    return AuditContent("ask", recorded.stream, details=details)


def _workflow_cancel(recorded: Recorded[WorkflowRunCancelRequested]) -> AuditContent:
    return AuditContent("cancel", recorded.stream, recorded.event.note)


def _workflow_resume(recorded: Recorded[WorkflowResumed]) -> AuditContent:
    return AuditContent("resume", recorded.stream, details={"reset": recorded.event.reset})


def _schedule_put(recorded: Recorded[ScheduleUpserted]) -> AuditContent:
    event = recorded.event
    return AuditContent("schedule", event.id, after={"enabled": event.enabled, "definition": event.definition})


def _schedule_removed(recorded: Recorded[ScheduleRemoved]) -> AuditContent:
    return AuditContent("schedule", recorded.event.id, details={"removed": recorded.event.removed})


def _schedule_switched(recorded: Recorded[ScheduleEnabled | ScheduleDisabled]) -> AuditContent:
    event = recorded.event
    enabled = isinstance(event, ScheduleEnabled)
    if not event.updated:
        return AuditContent("schedule", event.id, details={"updated": False})
    return AuditContent("schedule", event.id, before={"enabled": not enabled}, after={"enabled": enabled})


def _schedule_paused(recorded: Recorded[SchedulePaused | ScheduleResumed]) -> AuditContent:
    event = recorded.event
    paused = isinstance(event, SchedulePaused)
    details: dict[str, str] = {}
    if isinstance(event, SchedulePaused):
        details = {"cause": event.cause} | ({"runId": event.target_run_id} if event.target_run_id else {})
    return AuditContent(
        "schedule",
        event.id,
        event.note,
        before={"paused": not paused},
        after={"paused": paused},
        details=details or None,
    )


ENTRIES: dict[type[Event], Describe] = {
    PolicyUpdated: _policy,
    HaltStarted: _halt,
    HaltLifted: _lift,
    RunCancelRequested: _cancel,
    WorkflowRunCancelRequested: _workflow_cancel,
    WorkflowResumed: _workflow_resume,
    WorkflowApprovalGranted: _approval,
    WorkflowApprovalRejected: _approval,
    RunAnswered: _answer,
    RunAskOpened: _opening,
    RunResumed: _resume,
    McpServerAccepted: _mcp_accepted,
    PermissionRuleCreated: _rule_created,
    PermissionRuleRevoked: _rule_revoked,
    TokenCreated: _token_created,
    TokenRevoked: _token_revoked,
    WorkspaceRetained: _workspace_retained,
    WorkspaceApplied: _workspace_applied,
    ExactDiffOpened: _exact_diff,
    WorkspaceCleaned: _workspace_cleaned,
    AuthnFailed: _authentication,
    AuthzDenied: _denial,
    PolicyRejected: _rejection,
    RequestsSuppressed: _suppression,
    AuthzModeActive: _server,
    RolesLoaded: _roles,
    GroupsChanged: _groups,
    PayloadRedacted: _redaction,
    LogForked: _fork,
    ClockAccepted: _clock,
    AnchorConflicted: _anchor,
    DeadLetterRequeued: _requeue,
    DeadLetterDiscarded: _discard,
    DeadLetterRestored: _restore,
    RedriveStarted: _redrive,
    BulkRequested: _bulk,
    RedriveCancelled: _stop,
    ScheduleUpserted: _schedule_put,
    ScheduleRemoved: _schedule_removed,
    ScheduleEnabled: _schedule_switched,
    ScheduleDisabled: _schedule_switched,
    SchedulePaused: _schedule_paused,
    ScheduleResumed: _schedule_paused,
}
"""The events in the trail, with their content."""


class AuditRow(msgspec.Struct, gc=False):
    """An entry, by the position of its event. ``before``, ``after`` and ``details`` are JSON."""

    position: int
    mark: bytes
    created_at: int
    kind: AuditKind
    type: str
    actor: str
    trace_id: str
    session_id: str | None
    run_id: str | None
    target: str | None
    reason: str | None
    before: str | None
    after: str | None
    details: str | None
    redacted: bool = False


AUDIT_ENTRY = Table(
    "audit",
    AuditRow,
    key=("position",),
    indexes=(("created_at",), ("actor", "position"), ("kind", "position")),
)
AUDIT = Projection("audit", version=11, tables=(AUDIT_ENTRY,))


def _handler(of: Describe) -> Callable[[Rows, Recorded[Any]], None]:
    """Return the handler of an event that is an entry."""

    def keep(rows: Rows, recorded: Recorded[Any]) -> None:
        entry = of(recorded)
        if entry is None:
            return
        rows.append(
            AUDIT_ENTRY,
            AuditRow(
                position=recorded.position,
                mark=recorded.mark,
                created_at=recorded.at,
                kind=entry.kind,
                type=recorded.type,
                actor=recorded.actor,
                trace_id=recorded.correlation,
                session_id=recorded.session_id,
                run_id=recorded.run_id,
                target=entry.target,
                reason=entry.reason,
                before=to_json_or_null(entry.before),
                after=to_json_or_null(entry.after),
                details=to_json_or_null(entry.details),
            ),
        )

    return keep


@AUDIT.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Add an erasure, and erase the text of the target's entry: its reason, or one of its details."""
    _handler(ENTRIES[PayloadRedacted])(rows, recorded)
    erased = rows.get(AUDIT_ENTRY, recorded.event.target)
    if erased is None:
        return
    if erased.type in TEXT_DETAILS:
        details = msgspec.json.decode(erased.details or "{}")
        details.pop(TEXT_DETAILS[erased.type], None)
        erased.details = to_json_or_null(details or None)
    else:
        erased.reason = None
    erased.redacted = True
    rows.put(AUDIT_ENTRY, erased)


for _event, _of in ENTRIES.items():
    if _event is not PayloadRedacted:
        AUDIT.on(_event, _handler(_of))


class AuditEntry(Value):
    """A change or an attempted change. ``id`` is the id of its event in the feed.

    ``target`` is the affected run, session, operation or document. ``redacted`` is true if its text was erased.
    """

    id: str
    created_at: str
    kind: Annotated[AuditKind, says("Kind of the entry.")]
    type: Annotated[str, says("Type of the event.")]
    actor: str
    trace_id: str
    target: Annotated[str | None, says("Run, session, operation or document; absent without one.")] = None
    reason: Annotated[str | None, says("Reason that the client gave; absent without one.")] = None
    before: dict[str, Any] | None = None
    after: Annotated[dict[str, Any] | None, says("State after the change; absent for other entries.")] = None
    details: Annotated[dict[str, Any] | None, says("Further facts; absent without them.")] = None
    session_id: str | None = None
    run_id: str | None = None
    redacted: bool | None = None


TRAIL = Keyset(kind="audit")


def audit_trail(
    connection: Connection,
    log_id: str,
    *,
    actor: str | None = None,
    kind: str | None = None,
    created_after: int | None = None,
    created_before: int | None = None,
    cursor: str | None,
    limit: int,
    bytes_max: int = PAGE_BYTES_MAX,
) -> Page[AuditEntry]:
    """Return a page of the trail, newest first. Times are milliseconds since 1970 UTC, inclusive."""
    where = (
        ("actor = ?", actor),
        ("kind = ?", kind),
        ("created_at >= ?", created_after),
        ("created_at <= ?", created_before),
    )
    return TRAIL.page(
        connection,
        AUDIT_ENTRY.all,
        where,
        cursor=cursor,
        limit=limit,
        show=lambda values: _to_view(values, log_id),
        bytes_max=bytes_max,
    )


def _to_view(values: tuple[Cell, ...], log_id: str) -> AuditEntry:
    row = AUDIT_ENTRY.load(values)
    return AuditEntry(
        id=event_id(log_id, row.position, row.mark),
        created_at=iso(row.created_at),
        kind=row.kind,
        type=row.type,
        actor=row.actor,
        trace_id=row.trace_id,
        target=row.target,
        reason=row.reason,
        before=_object(row.before),
        after=_object(row.after),
        details=_object(row.details),
        session_id=row.session_id,
        run_id=row.run_id,
        redacted=row.redacted or None,
    )


def _object(text: str | None) -> dict[str, Any] | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, Any])
