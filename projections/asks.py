"""Read model of asks: the open and decided questions to people, now the approvals of workflow runs.

A list of open asks reads an index, so its cost grows neither with events nor with decided asks. The text that is
approved is not stored here: the operation reads it from the outputs of the steps before the approval.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.definitions.workflow_graph import Approval
from athena_core.domain.plane import PayloadRedacted
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
from athena_core.enums import ApproverRole
from athena_core.event import Recorded, Value
from athena_core.protocols import Cell, Connection
from athena_core.values import Scope
from projections.engine.cursor import id_from
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import ONLY_ROW, Projection, Rows, Table, to_json

AskKind: TypeAlias = Literal["workflow-approval"]
AskStatus: TypeAlias = Literal["open", "approved", "rejected", "expired", "cancelled"]


class AskRow(msgspec.Struct, gc=False):
    """An ask, by the position of its request."""

    position: int
    ask_id: str
    kind: AskKind
    status: AskStatus
    asked_at: int
    session_id: str | None
    workflow_id: str
    workflow_run_id: str
    step_id: str
    subject_sha256: str
    expires_at: int | None
    decided_at: int | None = None
    decided_by: str | None = None
    note: str | None = None
    redacted: bool = False


class OpenAsksRow(msgspec.Struct, gc=False):
    """The open asks of a workflow run: the positions of their requests by step, as JSON."""

    workflow_run_id: str
    positions: str


class AskNoteRow(msgspec.Struct, gc=False):
    """The ask whose note comes from the event at a position."""

    position: int
    ask_position: int


class AskingWorkflowRow(msgspec.Struct, gc=False):
    """A workflow with approvals. The inputs of runs of other workflows are not stored."""

    workflow_id: str


class AskInputRow(msgspec.Struct, gc=False):
    """Input values of a workflow run as JSON, from its start or a resume; NULL if there are none, and once redacted."""

    position: int
    workflow_run_id: str
    given: str | None
    redacted: bool = False


class AskCountRow(msgspec.Struct, gc=False):
    """The number of open asks (one row)."""

    row: int
    open: int = 0


ASK = Table("ask", AskRow, key=("position",), indexes=(("status", "position"), ("ask_id",)))
OPEN = Table("ask_open", OpenAsksRow, key=("workflow_run_id",))
NOTE = Table("ask_note", AskNoteRow, key=("position",))
ASKING = Table("ask_workflow", AskingWorkflowRow, key=("workflow_id",))
INPUT = Table("ask_input", AskInputRow, key=("position",), indexes=(("workflow_run_id", "position"),))
COUNT = Table("ask_count", AskCountRow, key=("row",))
ASKS = Projection("asks", version=1, tables=(ASK, OPEN, NOTE, ASKING, INPUT, COUNT))

SELECT_INPUT = "SELECT given, redacted FROM ask_input WHERE workflow_run_id = ? ORDER BY position"


@ASKS.handler
def workflow_created(rows: Rows, recorded: Recorded[WorkflowCreated]) -> None:
    if any(step.approval is not None for step in recorded.event.definition.steps):
        rows.put(ASKING, AskingWorkflowRow(recorded.event.workflow_id))


@ASKS.handler
def input_given(rows: Rows, recorded: Recorded[WorkflowRunCreated | WorkflowResumed]) -> None:
    """Store the input for the people who are asked. A resume closes the open asks of the steps that it resets."""
    event = recorded.event
    if rows.get(ASKING, event.workflow_id) is None:
        return
    given = to_json(event.input) if event.input else None  # a replay does not know whether erased text was there
    rows.append(INPUT, AskInputRow(recorded.position, recorded.stream, given))
    if isinstance(event, WorkflowResumed):
        for step_id in event.reset:
            _close(rows, recorded, step_id, "cancelled")


@ASKS.handler
def approval_requested(rows: Rows, recorded: Recorded[WorkflowApprovalRequested]) -> None:
    event = recorded.event
    row = AskRow(
        position=recorded.position,
        ask_id=id_from("ask", recorded),
        kind="workflow-approval",
        status="open",
        asked_at=recorded.at,
        session_id=None,
        workflow_id=event.workflow_id,
        workflow_run_id=recorded.stream,
        step_id=event.step_id,
        subject_sha256=event.subject_sha256,
        expires_at=event.expires_at_ms,
    )
    rows.append(ASK, row)
    rows.tally(COUNT, ONLY_ROW).open += 1
    _put_open(rows, recorded.stream, _open(rows, recorded.stream) | {event.step_id: recorded.position})


@ASKS.handler
def approval_decided(rows: Rows, recorded: Recorded[WorkflowApprovalGranted | WorkflowApprovalRejected]) -> None:
    """Record a decision by an identity, or the expiry."""
    event = recorded.event
    expired = event.cause == "expiry"
    granted = isinstance(event, WorkflowApprovalGranted)
    row = _close(rows, recorded, event.step_id, "approved" if granted else "expired" if expired else "rejected")
    if row is not None:
        row.decided_by, row.note = event.by, event.note
        rows.append(NOTE, AskNoteRow(recorded.position, row.position))


@ASKS.handler
def step_cancelled(rows: Rows, recorded: Recorded[WorkflowStepCancelled]) -> None:
    if recorded.event.item is None:
        _close(rows, recorded, recorded.event.step_id, "cancelled")


@ASKS.handler
def run_ended(rows: Rows, recorded: Recorded[WorkflowRunCompleted | WorkflowRunFailed | WorkflowRunCancelled]) -> None:
    """Close what an older release left open."""
    for step_id in _open(rows, recorded.stream):
        _close(rows, recorded, step_id, "cancelled")


@ASKS.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase the note of a decision, or input values."""
    target = recorded.event.target
    given = rows.erase(INPUT, target, "given")
    if given is not None:
        given.redacted = True
    note = rows.get(NOTE, target)
    if note is not None:
        row = rows.change(ASK, note.ask_position)
        row.note, row.redacted = None, True


def _open(rows: Rows, run_id: str) -> dict[str, int]:
    row = rows.get(OPEN, run_id)
    return {} if row is None else msgspec.json.decode(row.positions, type=dict[str, int])


def _put_open(rows: Rows, run_id: str, positions: dict[str, int]) -> None:
    if positions:
        rows.put(OPEN, OpenAsksRow(run_id, to_json(positions)))
    else:
        rows.delete(OPEN, run_id)


def _close(rows: Rows, recorded: Recorded[Any], step_id: str, status: AskStatus) -> AskRow | None:
    """Close the open ask of a step. Return None if there is none."""
    positions = _open(rows, recorded.stream)
    position = positions.pop(step_id, None)
    if position is None:
        return None
    _put_open(rows, recorded.stream, positions)
    rows.tally(COUNT, ONLY_ROW).open -= 1
    row = rows.change(ASK, position)
    row.status, row.decided_at = status, recorded.at
    return row


class Ask(Value):
    """A question to a person, open or decided.

    Of a workflow approval, ``subject`` is the text to approve: the outputs of the steps before it, and ``input`` the
    input values of the workflow run. Both are absent once the run repeated such a step. ``truncated`` is true if a part
    is cut to a preview or left out, ``redacted`` if a part was erased.
    """

    id: str
    kind: AskKind
    status: AskStatus
    question: str
    subject_hash: str
    workflow_id: str
    workflow_run_id: str
    step_id: str
    role: ApproverRole
    asked_at: str
    subject: str | None = None
    input: dict[str, Any] | None = None
    session_id: str | None = None
    approvers: tuple[str, ...] | None = None
    not_requester: bool | None = None
    expires_at: str | None = None
    decided_at: str | None = None
    decided_by: str | None = None
    note: str | None = None
    truncated: bool | None = None
    redacted: bool | None = None


class AskSubject(NamedTuple):
    """The approval of a step in its workflow, and the text to approve; None once it was replaced."""

    approval: Approval
    text: str | None
    truncated: bool
    redacted: bool


SubjectOf: TypeAlias = Callable[[str, str, str, int], AskSubject]
"""Returns the subject of an approval: of a workflow, its run, the step, and the time of the request."""

OLDEST = Keyset(kind="asks", oldest_first=True)
INPUT_CHARS_MAX = 100_000
"""Maximum number of characters of input values that are shown, as JSON."""


def list_asks(
    connection: Connection,
    subject_of: SubjectOf,
    *,
    status: AskStatus | None = None,
    kind: AskKind | None = None,
    session_id: str | None = None,
    scope: Scope | None = None,
    cursor: str | None,
    limit: int,
) -> Page[Ask]:
    """Return a page of asks, oldest first. Workflow approvals have no session, so a scope by session excludes them."""
    where = (("status = ?", status), ("kind = ?", kind), ("session_id = ?", session_id))
    within = None if scope is None else {"session_id": scope.sessions}
    show = partial(_to_view, connection, subject_of)
    return OLDEST.page(connection, ASK.all, where, within=within, cursor=cursor, limit=limit, show=show)


def ask_by_id(connection: Connection, subject_of: SubjectOf, ask_id: str, scope: Scope | None = None) -> Ask | None:
    """Return an ask that the scope covers."""
    found = first(connection, f"{ASK.all} WHERE ask_id = ?", (ask_id,), ASK.load)
    if found is None or not (scope is None or scope.sessions is None or found.session_id in scope.sessions):
        return None
    return _to_view(connection, subject_of, msgspec.structs.astuple(found))


def open_asks(connection: Connection) -> int:
    """Return the number of open asks."""
    row = COUNT.one(connection, ONLY_ROW)
    return 0 if row is None else row.open


def _to_view(connection: Connection, subject_of: SubjectOf, values: tuple[Cell, ...]) -> Ask:
    row = ASK.load(values)
    subject = subject_of(row.workflow_id, row.workflow_run_id, row.step_id, row.asked_at)
    given, cut, erased = (None, False, False) if subject.text is None else _input(connection, row.workflow_run_id)
    return Ask(
        id=row.ask_id,
        kind=row.kind,
        status=row.status,
        question=subject.approval.message or f"Approve step {row.step_id!r}?",
        subject=subject.text,
        input=given,
        subject_hash=row.subject_sha256,
        workflow_id=row.workflow_id,
        workflow_run_id=row.workflow_run_id,
        step_id=row.step_id,
        session_id=row.session_id,
        approvers=subject.approval.approvers,
        role=subject.approval.role or "Operator",
        not_requester=subject.approval.not_requester,
        asked_at=iso(row.asked_at),
        expires_at=iso_or_none(row.expires_at),
        decided_at=iso_or_none(row.decided_at),
        decided_by=row.decided_by,
        note=row.note,
        truncated=(subject.truncated or cut) or None,
        redacted=(row.redacted or subject.redacted or erased) or None,
    )


def _input(connection: Connection, run_id: str) -> tuple[dict[str, Any] | None, bool, bool]:
    """Return the input values of a workflow run, True if they are too long, and True if some were erased."""
    values: dict[str, Any] = {}
    chars, erased = 0, False
    for text, redacted in connection.execute(SELECT_INPUT, (run_id,)):
        erased = erased or bool(redacted)
        if text is None:
            continue
        chars += len(str(text))
        if chars > INPUT_CHARS_MAX:
            return None, True, erased
        values |= msgspec.json.decode(str(text))
    return values or None, False, erased
