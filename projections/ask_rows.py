"""Rows of asks: the questions of runs to people, the approvals of workflow runs, and their answers.

Texts have rows of their own, by the position of their event, so that a decision does not write them again.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from athena_core.definitions.workflow_graph import Approval
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.run import (
    RunAnswered,
    RunAsked,
    RunCreated,
    RunQueued,
)
from athena_core.domain.workflow import WorkflowCreated
from athena_core.domain.workflow_run import (
    WorkflowApprovalGranted,
    WorkflowApprovalRejected,
    WorkflowApprovalRequested,
    WorkflowResumed,
    WorkflowRunCancelled,
    WorkflowRunCompleted,
    WorkflowRunCreated,
    WorkflowRunFailed,
    WorkflowStepCancelled,
)
from athena_core.enums import ApproverRole, AskExpiry, AskOptionKind, AskOrigin, RunAskKind
from athena_core.event import Recorded, Value, says
from projections.engine.cursor import id_from
from projections.engine.projection import Projection, Rows, Table, to_json, to_json_or_null

AskKind: TypeAlias = Literal[RunAskKind, "workflow-approval"]
AskStatus: TypeAlias = Literal["open", "approved", "rejected", "answered", "expired", "cancelled"]

DEFAULT_ROLE: ApproverRole = "Operator"
ASK_TOOL = "ask_user"


class AskChoice(Value):
    """A possible answer to an ask. ``name`` is text: it is absent in rows, and once erased."""

    id: Annotated[str, says("Id of the option.")]
    kind: Annotated[AskOptionKind, says("`allow_once` allows or answers, `reject_once` refuses.")]
    name: Annotated[str | None, says("Name of the option; absent once redacted.")] = None


APPROVAL_OPTIONS = (AskChoice(id="approve", kind="allow_once"), AskChoice(id="reject", kind="reject_once"))


class AskRow(msgspec.Struct, gc=False):
    """An ask, by the position of its request. Lists are JSON.

    ``requester`` is the first one of the run that asks. ``answer_position`` is the event of the decision.
    """

    position: int
    ask_id: str
    kind: AskKind
    status: AskStatus
    asked_at: int
    subject_sha256: str
    role: ApproverRole
    options: str
    approvers: str | None = None
    not_requester: bool = False
    session_id: str | None = None
    run_id: str | None = None
    harness_profile_id: str | None = None
    agent_name: str | None = None
    requester: str | None = None
    origin: AskOrigin | None = None
    turn: int | None = None
    tool_call_id: str | None = None
    tool_name: str | None = None
    workflow_id: str | None = None
    workflow_run_id: str | None = None
    step_id: str | None = None
    expires_at: int | None = None
    on_expiry: AskExpiry | None = None
    decided_at: int | None = None
    decided_by: str | None = None
    option_id: str | None = None
    rule_id: str | None = None
    answer_position: int | None = None
    redacted: bool = False
    credentials: str | None = None
    hidden: str | None = None
    secrets: str | None = None


class AskRequesterRow(msgspec.Struct, gc=False):
    """An identity that requested the run that asks, by the position of the open ask."""

    position: int
    requester: str


class AskTextRow(msgspec.Struct, gc=False):
    """The texts of an ask of a run, by its position: NULL once redacted. Names of options and the form are JSON."""

    position: int
    title: str | None
    arguments: str | None
    option_names: str | None
    form: str | None


class AnswerTextRow(msgspec.Struct, gc=False):
    """The texts of a decision, by its position: NULL once redacted. ``given`` are the values of a form, as JSON."""

    position: int
    ask_position: int
    arguments: str | None = None
    given: str | None = None
    note: str | None = None


class OpenAsksRow(msgspec.Struct, gc=False):
    """The open asks of a run or a workflow run: their positions by ask id or step, as JSON."""

    stream: str
    positions: str


class AskingRunRow(msgspec.Struct, gc=False):
    """A run that may ask: of an outside agent, or with rules for tools, MCP or ``ask_user``. Others are not stored.

    ``requesters`` are JSON.
    """

    run_id: str
    requesters: str
    harness_profile_id: str
    agent_name: str | None


class AskingWorkflowRow(msgspec.Struct, gc=False):
    """A workflow with approvals, which are JSON by step. The inputs of runs of other workflows are not stored."""

    workflow_id: str
    approvals: str


class AskInputRow(msgspec.Struct, gc=False):
    """Input values of a workflow run as JSON, from its start or a resume; NULL if there are none, and once redacted.

    ``requesters`` started or resumed the workflow run, as JSON.
    """

    position: int
    workflow_run_id: str
    requesters: str
    given: str | None
    redacted: bool = False


class AskCountRow(msgspec.Struct, gc=False):
    """The number of open asks of a kind."""

    kind: AskKind
    open: int = 0


ASK = Table(
    "ask",
    AskRow,
    key=("position",),
    indexes=(
        ("status", "position"),
        ("status", "kind", "position"),
        ("status", "session_id", "position"),
        ("status", "harness_profile_id", "position"),
        ("status", "run_id", "position"),
        ("ask_id",),
    ),
)
REQUESTER = Table("ask_requester", AskRequesterRow, key=("position", "requester"), indexes=(("requester", "position"),))
TEXT = Table("ask_text", AskTextRow, key=("position",))
ANSWER = Table("ask_answer", AnswerTextRow, key=("position",))
OPEN = Table("ask_open", OpenAsksRow, key=("stream",))
ASKING_RUN = Table("ask_run", AskingRunRow, key=("run_id",), cached=True)
ASKING = Table("ask_workflow", AskingWorkflowRow, key=("workflow_id",))
INPUT = Table("ask_input", AskInputRow, key=("position",), indexes=(("workflow_run_id", "position"),))
COUNT = Table("ask_count", AskCountRow, key=("kind",))
ASKS = Projection("asks", version=5, tables=(ASK, REQUESTER, TEXT, ANSWER, OPEN, ASKING_RUN, ASKING, INPUT, COUNT))

# Asks of runs


@ASKS.handler
def run_requested(rows: Rows, recorded: Recorded[RunQueued | RunCreated]) -> None:
    """Add a run with its first event, unless its profile lets it ask nothing."""
    event = recorded.event
    profile = event.harness_profile_snapshot
    asks = profile.tool_policies is not None or profile.agent is not None or profile.mcp is not None
    if recorded.version == 1 and (asks or ASK_TOOL in profile.config.tools):
        name = profile.display_name if event.profile_named else None
        requesters = to_json(event.requesters or (recorded.actor,))
        rows.append(ASKING_RUN, AskingRunRow(recorded.stream, requesters, event.harness_profile_id, name))


@ASKS.handler
def run_asked(rows: Rows, recorded: Recorded[RunAsked]) -> None:
    event = recorded.event
    run = rows.get(ASKING_RUN, recorded.stream)
    requesters = _requesters(run)
    row = AskRow(
        position=recorded.position,
        ask_id=event.ask_id,
        kind=event.kind,
        status="open",
        asked_at=recorded.at,
        subject_sha256=event.subject_sha256,
        role=event.role or DEFAULT_ROLE,
        options=to_json(event.options),
        approvers=to_json_or_null(event.approvers),
        not_requester=event.not_requester is True,
        session_id=recorded.session_id,
        run_id=recorded.stream,
        harness_profile_id=None if run is None else run.harness_profile_id,
        agent_name=None if run is None else run.agent_name,
        requester=next(iter(requesters), None),
        origin=event.origin,
        turn=event.turn,
        tool_call_id=event.tool_call_id,
        tool_name=event.tool_name,
        expires_at=event.expires_at_ms,
        on_expiry=event.on_expiry,
        credentials=to_json_or_null(event.credentials),
        hidden=to_json_or_null(event.hidden),
        secrets=to_json_or_null(event.secrets),
    )
    _add(rows, recorded, event.ask_id, row)
    for requester in requesters:
        rows.append(REQUESTER, AskRequesterRow(recorded.position, requester))
    names = to_json_or_null(event.option_names)
    rows.append(TEXT, AskTextRow(recorded.position, event.title, event.arguments, names, event.form))


@ASKS.handler
def run_answered(rows: Rows, recorded: Recorded[RunAnswered]) -> None:
    """Record an answer by a person or a permission rule, the expiry, or the end of the run."""
    event = recorded.event
    row = _close(rows, recorded, event.ask_id, "expired" if event.cause == "expiry" else "cancelled")
    if row is None:
        return
    row.decided_by, row.option_id, row.rule_id = event.by, event.option_id, event.rule_id
    if event.option_id is not None:
        kinds = {option.id: option.kind for option in msgspec.json.decode(row.options, type=tuple[AskChoice, ...])}
        given: AskStatus = "approved" if row.kind == "tool-permission" else "answered"
        row.status = given if kinds.get(event.option_id) == "allow_once" else "rejected"
    answer = AnswerTextRow(recorded.position, row.position, event.arguments, event.values, event.note)
    _add_answer(rows, row, answer)


# Approvals of workflow runs


@ASKS.handler
def workflow_created(rows: Rows, recorded: Recorded[WorkflowCreated]) -> None:
    event = recorded.event
    approvals = {step.id: step.approval for step in event.definition.steps if step.approval is not None}
    if approvals:
        rows.append(ASKING, AskingWorkflowRow(event.workflow_id, to_json(approvals)))


@ASKS.handler
def input_given(rows: Rows, recorded: Recorded[WorkflowRunCreated | WorkflowResumed]) -> None:
    """Store the input for the people who are asked. A resume closes the open asks of the steps that it resets."""
    event = recorded.event
    if rows.get(ASKING, event.workflow_id) is None:
        return
    given = to_json(event.input) if event.input else None  # a replay does not know whether erased text was there
    started_by = event.requesters if isinstance(event, WorkflowRunCreated) else None
    requesters = to_json(started_by or (event.requested_by,))
    rows.append(INPUT, AskInputRow(recorded.position, recorded.stream, requesters, given))
    if isinstance(event, WorkflowResumed):
        for step_id in event.reset:
            _close(rows, recorded, step_id, "cancelled")


@ASKS.handler
def approval_requested(rows: Rows, recorded: Recorded[WorkflowApprovalRequested]) -> None:
    event = recorded.event
    workflow = rows.get(ASKING, event.workflow_id)
    approvals = {} if workflow is None else msgspec.json.decode(workflow.approvals, type=dict[str, Approval])
    approval = approvals.get(event.step_id, Approval())
    row = AskRow(
        position=recorded.position,
        ask_id=id_from("ask", recorded),
        kind="workflow-approval",
        status="open",
        asked_at=recorded.at,
        subject_sha256=event.subject_sha256,
        role=approval.role or DEFAULT_ROLE,
        options=to_json(APPROVAL_OPTIONS),
        approvers=to_json_or_null(approval.approvers),
        not_requester=approval.not_requester is True,
        workflow_id=event.workflow_id,
        workflow_run_id=recorded.stream,
        step_id=event.step_id,
        expires_at=event.expires_at_ms,
    )
    _add(rows, recorded, event.step_id, row)


@ASKS.handler
def approval_decided(rows: Rows, recorded: Recorded[WorkflowApprovalGranted | WorkflowApprovalRejected]) -> None:
    """Record a decision by an identity, or the expiry."""
    event = recorded.event
    expired = event.cause == "expiry"
    granted = isinstance(event, WorkflowApprovalGranted)
    row = _close(rows, recorded, event.step_id, "approved" if granted else "expired" if expired else "rejected")
    if row is not None:
        row.decided_by = event.by
        if not expired:
            row.option_id = "approve" if granted else "reject"
        _add_answer(rows, row, AnswerTextRow(recorded.position, row.position, note=event.note))


@ASKS.handler
def step_cancelled(rows: Rows, recorded: Recorded[WorkflowStepCancelled]) -> None:
    if recorded.event.item is None:
        _close(rows, recorded, recorded.event.step_id, "cancelled")


@ASKS.handler
def workflow_run_ended(
    rows: Rows, recorded: Recorded[WorkflowRunCompleted | WorkflowRunFailed | WorkflowRunCancelled]
) -> None:
    """Close what an older release left open."""
    for step_id in _open(rows, recorded.stream):
        _close(rows, recorded, step_id, "cancelled")


@ASKS.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase the texts of an ask or of a decision, or input values."""
    target = recorded.event.target
    given = rows.erase(INPUT, target, "given")
    if given is not None:
        given.redacted = True
    if rows.erase(TEXT, target, "title", "arguments", "option_names", "form") is not None:
        rows.change(ASK, target).redacted = True
    answer = rows.erase(ANSWER, target, "arguments", "given", "note")
    if answer is not None:
        rows.change(ASK, answer.ask_position).redacted = True


def _requesters(run: AskingRunRow | None) -> tuple[str, ...]:
    return () if run is None else msgspec.json.decode(run.requesters, type=tuple[str, ...])


def _open(rows: Rows, stream: str) -> dict[str, int]:
    row = rows.get(OPEN, stream)
    return {} if row is None else msgspec.json.decode(row.positions, type=dict[str, int])


def _put_open(rows: Rows, stream: str, positions: dict[str, int]) -> None:
    if positions:
        rows.put(OPEN, OpenAsksRow(stream, to_json(positions)))
    else:
        rows.delete(OPEN, stream)


def _add(rows: Rows, recorded: Recorded[Any], name: str, row: AskRow) -> None:
    rows.append(ASK, row)
    rows.tally(COUNT, row.kind).open += 1
    _put_open(rows, recorded.stream, _open(rows, recorded.stream) | {name: recorded.position})


def _close(rows: Rows, recorded: Recorded[Any], name: str, status: AskStatus) -> AskRow | None:
    """Close the open ask of an ask id or a step. Return None if there is none."""
    positions = _open(rows, recorded.stream)
    position = positions.pop(name, None)
    if position is None:
        return None
    _put_open(rows, recorded.stream, positions)
    row = rows.change(ASK, position)
    for requester in _requesters(rows.get(ASKING_RUN, row.run_id or "")):
        rows.delete(REQUESTER, position, requester)
    rows.tally(COUNT, row.kind).open -= 1
    row.status, row.decided_at = status, recorded.at
    return row


def _add_answer(rows: Rows, row: AskRow, answer: AnswerTextRow) -> None:
    """Add the texts of a decision. Whether there are any is not looked at: a replay does not know it."""
    row.answer_position = answer.position
    rows.append(ANSWER, answer)
