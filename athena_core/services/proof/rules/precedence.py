"""The table of events that only ever follow another event, and the rule that proves it where no other one does.

``PRECEDENCES`` has a row for each such type, and ``BEGINNINGS`` the types that follow nothing; a test requires that
each type is in one of them. ``docs/reference/log-format.md`` lists the rows.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from athena_core.domain import (
    anchor,
    bulk_request,
    dead_letter,
    directive,
    halt,
    mcp_server,
    memory,
    message,
    permission_rule,
    plane,
    policy,
    profile,
    queue,
    redrive,
    review,
    run,
    schedule,
    session,
    template,
    token,
    workflow,
    workflow_run,
    workspace,
)
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule
from athena_core.services.proof.rules.log import LogRules
from athena_core.services.proof.rules.run import RunRules

Where: TypeAlias = Literal["stream", "command", "both", "named", "ended"]
"""Where the other event stands: earlier in the stream, in the command, in both, or in a stream that is named.

``ended``: in the named stream of a run, which has ended.
"""


class Precedence(NamedTuple):
    """An event that follows one of the types ``after``; ``where`` that stands, and the ``rule`` that proves it.

    ``by`` pairs fields of both events that are equal, or a field and the prefix of the stream that it names. The row is
    for events that have these fields.
    """

    kind: type[Event]
    after: tuple[type[Event], ...]
    where: Where
    by: tuple[tuple[str, str], ...] = ()
    rule: str = "precedence"


def _proved(name: str, after: type[Event], *kinds: type[Event]) -> Iterator[Precedence]:
    """Yield the rows that a rule of a noun proves with more than the order: the types follow one of their stream."""
    return (Precedence(kind, (after,), "stream", (), name) for kind in kinds)


STEP = (("step_id", "step_id"),)
PRECEDENCES: tuple[Precedence, ...] = (
    # same command
    Precedence(permission_rule.PermissionRuleCreated, (run.RunAnswered,), "command", (("ask_id", "ask_id"),)),
    Precedence(template.RunTemplateRun, (run.RunCreated, run.RunQueued), "both"),
    Precedence(
        dead_letter.DeadLetterAdded,
        (queue.WorkBatchDeadLettered, message.MessageSent),
        "command",
    ),
    Precedence(message.MessageStarted, (queue.WorkBatchStarted,), "command"),
    Precedence(message.MessageCompleted, (queue.WorkItemDrained,), "command"),
    Precedence(message.MessageFailed, (dead_letter.DeadLetterAdded,), "command", (("dead_letter_id", "id"),)),
    Precedence(message.MessageSent, (dead_letter.DeadLetterRequeued,), "command", (("dead_letter_id", "id"),)),
    Precedence(schedule.SchedulePaused, (schedule.ScheduleRunFailed,), "both", (("target_run_id", "target_run_id"),)),
    Precedence(plane.RolesLoaded, (plane.AuthzModeActive,), "stream"),
    Precedence(
        plane.SafetyViolation,
        (plane.AuthzDenied, plane.AuthnFailed, run.PolicyConcurrencyRejected, run.SandboxLifecycle),
        "command",
    ),
    # same stream
    Precedence(memory.MemoryForgotten, (memory.MemoryRecorded,), "stream"),
    Precedence(schedule.ScheduleRunTriggered, (schedule.ScheduleUpserted,), "stream"),
    *(
        Precedence(kind, (workflow_run.WorkflowApprovalRequested,), "stream", STEP)
        for kind in (workflow_run.WorkflowApprovalGranted, workflow_run.WorkflowApprovalRejected)
    ),
    Precedence(workflow_run.WorkflowRunSuspended, (workflow_run.WorkflowApprovalRequested,), "stream"),
    Precedence(
        workflow_run.WorkflowStepCompleted,
        (workflow_run.WorkflowStepStarted, workflow_run.WorkflowStepExpanded),
        "stream",
        STEP,
    ),
    Precedence(
        workflow_run.WorkflowStepCancelled,
        (
            workflow_run.WorkflowStepStarted,
            workflow_run.WorkflowStepExpanded,
            workflow_run.WorkflowApprovalRequested,
        ),
        "stream",
        STEP,
    ),
    Precedence(workflow_run.WorkflowRunCancelled, (workflow_run.WorkflowRunCancelRequested,), "stream"),
    Precedence(workflow_run.WorkflowResumed, (workflow_run.WorkflowRunCreated,), "stream"),
    # what a field names
    *(
        Precedence(kind, (after,), "named", ((field, prefix),))
        for kind in (run.RunQueued, run.RunCreated)
        for after, field, prefix in (
            (session.SessionCreated, "session_id", "session:"),
            (directive.DirectiveCreated, "directive_id", ""),
            (workflow_run.WorkflowRunCreated, "workflow_run_id", ""),
        )
    ),
    Precedence(run.RunAsked, (mcp_server.McpServerListed,), "named", (("server", "mcp:"),)),
    Precedence(run.McpAttached, (mcp_server.McpServerListed,), "named", (("server", "mcp:"),)),
    Precedence(template.RunTemplateRun, (template.RunTemplateCreated,), "named", (("run_template_id", ""),)),
    Precedence(workflow_run.WorkflowRunCreated, (workflow.WorkflowCreated,), "named", (("workflow_id", ""),)),
    Precedence(dead_letter.DeadLetterAdded, (message.MessageSent,), "named", (("message_id", ""),)),
    Precedence(dead_letter.DeadLetterAdded, (dead_letter.DeadLetterRequeued,), "named", (("previous_id", ""),)),
    Precedence(plane.AuthnFailed, (token.TokenCreated,), "named", (("token_id", ""),)),
    *(
        Precedence(kind, run.ENDINGS, "ended", (("step_run_id", ""),))
        for kind in (
            workflow_run.WorkflowStepCompleted,
            workflow_run.WorkflowStepFailed,
            workflow_run.WorkflowStepCancelled,
        )
    ),
    *(
        Precedence(kind, run.ENDINGS, "ended", (("run_id", ""),))
        for kind in (queue.WorkDrainFailed, queue.WorkBatchDeadLettered)
    ),
    Precedence(schedule.ScheduleRunCompleted, run.ENDINGS, "ended", (("target_run_id", ""),)),
    # what rules of the nouns prove, with more than the order
    *_proved("transitions", run.RunCreated, run.RunLeased),
    Precedence(run.RunCancelled, (run.RunCreated, run.RunQueued), "stream", rule="transitions"),
    *_proved("transitions", run.RunLeased, run.RunStarted, run.RunCrashed),
    *_proved(
        *("transitions", run.RunStarted, run.MemoryRecalled, run.AgentAttached, run.McpAttached),
        *(run.TranscriptAppended, run.ToolCalled, run.EvidenceAttached, run.SandboxLifecycle, run.WorkspaceOpened),
        *(run.WorkspaceChanged, run.UsageRecorded, run.BudgetReserved, run.RunAsked, run.RunPaused),
        *(run.RunCompleted, run.RunFailed, run.RunTimedOut),
    ),
    *_proved("transitions", run.RunPaused, run.RunRequeued, run.RunResumed),
    *_proved("answers", run.RunAsked, run.RunAnswered),
    *_proved("openings", run.RunAsked, run.RunAskOpened),
    *_proved("changes", run.WorkspaceOpened, run.WorkspaceChanged),
    *_proved("permission_rules", permission_rule.PermissionRuleCreated, permission_rule.PermissionRuleRevoked),
    *_proved("revocations", token.TokenCreated, token.TokenRevoked),
    *_proved(
        *("workspace_uses", workspace.WorkspaceCreated, workspace.WorkspaceRetained, workspace.WorkspaceApplied),
        *(workspace.ExactDiffOpened, workspace.WorkspaceCleaned),
    ),
    *_proved("mcp_servers", mcp_server.McpServerListed, mcp_server.McpServerAccepted),
    *_proved("templates", template.RunTemplateCreated, template.RunTemplateUpdated),
    *_proved(
        *(
            "flows",
            workflow_run.WorkflowRunCreated,
            workflow_run.WorkflowStepStarted,
            workflow_run.WorkflowStepExpanded,
        ),
        *(workflow_run.WorkflowStepFailed, workflow_run.WorkflowStepSkipped, workflow_run.WorkflowApprovalRequested),
        *(workflow_run.WorkflowRunCancelRequested, workflow_run.WorkflowRunCompleted, workflow_run.WorkflowRunFailed),
    ),
    *_proved("lifts", halt.HaltStarted, halt.HaltLifted),
    *_proved(
        *("schedules", schedule.ScheduleUpserted, schedule.ScheduleRemoved, schedule.ScheduleEnabled),
        *(schedule.ScheduleDisabled, schedule.SchedulePaused, schedule.ScheduleResumed, schedule.ScheduleRunStarted),
        *(schedule.ScheduleRunBuffered, schedule.ScheduleRunSkipped, schedule.ScheduleSlotsMissed),
    ),
    *_proved("schedules", schedule.ScheduleRunStarted, schedule.ScheduleRunCompleted, schedule.ScheduleRunFailed),
    *_proved("queues", queue.WorkEnqueued, queue.WorkDrainStarted),
    *_proved("queues", queue.WorkDrainStarted, queue.WorkBatchStarted, queue.WorkBatchDeadLettered),
    *_proved("queues", queue.WorkDrainStarted, queue.WorkDrained, queue.WorkDrainFailed),
    *_proved("queues", queue.WorkBatchStarted, queue.WorkItemDrained, queue.WorkBatchReturned),
    *_proved(
        *("letters", dead_letter.DeadLetterAdded, dead_letter.DeadLetterRequeued, dead_letter.DeadLetterDiscarded),
    ),
    *_proved("letters", dead_letter.DeadLetterDiscarded, dead_letter.DeadLetterRestored),
    *_proved(
        *("messages", message.MessageSent, message.MessageStarted, message.MessageCompleted, message.MessageFailed),
    ),
    *_proved(
        *("redrives", redrive.RedriveStarted, redrive.RedriveAdvanced, redrive.RedriveCompleted),
        redrive.RedriveCancelled,
    ),
    *_proved("reviews", review.PersonaRunStarted, review.PersonaRunRepairRequested, review.PersonaRunCompleted),
    *_proved("anchors", anchor.AnchorKept, anchor.AnchorConflicted),
)
"""Every event that only ever follows another one."""

BEGINNINGS: tuple[type[Event], ...] = (
    *(run.PolicyConcurrencyRejected, run.PolicyRejected),
    run.RunCancelRequested,  # one for an unknown run is recorded in the plane's stream
    *(session.SessionCreated, directive.DirectiveCreated, profile.HarnessProfileCreated, token.TokenCreated),
    *(workspace.WorkspaceCreated, mcp_server.McpServerListed, template.RunTemplateCreated, workflow.WorkflowCreated),
    *(policy.PolicyUpdated, halt.HaltStarted, schedule.ScheduleUpserted, schedule.ScheduleTickExecuted),
    *(queue.WorkEnqueued, memory.MemoryRecorded, redrive.RedriveStarted, bulk_request.BulkRequested),
    *(review.PersonaRunStarted, review.PersonaRunFailed, anchor.AnchorKept),
    *(plane.AuthzModeActive, plane.GroupsChanged, plane.AuthzDenied, plane.RequestsSuppressed),
    *(plane.LogForked, plane.PayloadRedacted, plane.ClockAccepted),
)
"""The types that follow nothing: what a client, an operator or the server began."""

PLACES = {
    "stream": "earlier in its stream",
    "command": "earlier in its command",
    "both": "earlier in its stream and command",
    "named": "in the stream that it names",
    "ended": "in the stream that it names",
}
OWN = tuple(one for one in PRECEDENCES if one.rule == "precedence")
BY_KIND = {one.kind: tuple(other for other in OWN if other.kind is one.kind) for one in OWN}
EARLIER = tuple(one for one in OWN if one.where in {"stream", "command", "both"})
BY_EARLIER = {kind: tuple(other for other in EARLIER if kind in other.after) for one in EARLIER for kind in one.after}


class PrecedenceRules(RuleSet):
    """The events that the current command, and the earlier events of each stream, allow to follow."""

    def __init__(self, log: LogRules, runs: RunRules) -> None:
        self._log = log
        self._runs = runs
        self._streams: set[tuple[object, ...]] = set()
        self._now: set[tuple[object, ...]] = set()
        self._command = ""

    @rule(*BY_KIND)
    def precedence(self, row: Row, event: Event) -> str | None:
        """An event stands only behind the event that it follows, as the table says."""
        for one in BY_KIND[type(event)]:
            values = tuple(getattr(event, name) for name, _ in one.by)
            if None not in values and not self._stands(one, row, values):
                names = " or ".join(kind.TYPE for kind in one.after)
                return f"{row.type} of {row.stream} has no {names} {PLACES[one.where]}"
        return None

    def _stands(self, one: Precedence, row: Row, values: tuple[str, ...]) -> bool:
        if one.where in {"named", "ended"}:
            named = one.by[0][1] + values[0]
            return named in self._log.versions and (one.where == "named" or named not in self._runs.open)
        pool = self._streams if one.where == "stream" else self._now if row.command_id == self._command else ()
        return _key(one, row, values) in pool

    @follow(*BY_EARLIER)
    def allow(self, row: Row, event: Event) -> None:
        """Record what may follow the event."""
        if row.command_id != self._command:
            self._command = row.command_id
            self._now.clear()
        for one in BY_EARLIER[type(event)]:
            values = tuple(getattr(event, name) for _, name in one.by)
            (self._streams if one.where == "stream" else self._now).add(_key(one, row, values))


def _key(one: Precedence, row: Row, values: tuple[str, ...]) -> tuple[object, ...]:
    return (one.kind, "" if one.where == "command" else row.stream, *values)
