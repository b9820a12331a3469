"""Read model of messages between personas, and of their delivery."""

from typing import Annotated

import msgspec

from athena_core.clock import iso
from athena_core.domain.message import MessageCompleted, MessageFailed, MessageSent, MessageStarted
from athena_core.domain.plane import PayloadRedacted
from athena_core.enums import MessageStatus
from athena_core.event import Recorded, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.text import ERASED, or_erased
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table


class MessageRow(msgspec.Struct, gc=False):
    """A message. ``run_id`` is the last run that processed it."""

    position: int
    message_id: str
    from_persona: str
    to_persona: str
    session_id: str
    status: MessageStatus
    created_at: int
    updated_at: int
    sent_by: str
    hops: int
    payload: str | None
    task_id: str | None
    step_id: str | None
    parent_run_id: str | None
    requeued_from: str | None
    attempts: int = 0
    run_id: str | None = None
    dead_letter_id: str | None = None
    code: str | None = None
    error: str | None = None


class MessagePositionRow(msgspec.Struct, gc=False):
    """The position of the event that sent a message."""

    message_id: str
    position: int


class MessageFailureRow(msgspec.Struct, gc=False):
    """The message that failed with an event, by the position where it was sent."""

    position: int
    message: int


MESSAGE = Table(
    "message",
    MessageRow,
    key=("position",),
    indexes=(("status", "position"), ("to_persona", "position"), ("from_persona", "position")),
)
POSITION = Table("message_place", MessagePositionRow, key=("message_id",))
FAILURE = Table("message_failure", MessageFailureRow, key=("position",))
MESSAGES = Projection("messages", version=2, tables=(MESSAGE, POSITION, FAILURE))

SELECT_BY_ID = f"{MESSAGE.all} WHERE position = (SELECT position FROM message_place WHERE message_id = ?)"
NEWEST = Keyset(kind="messages")


@MESSAGES.handler
def message_sent(rows: Rows, recorded: Recorded[MessageSent]) -> None:
    event, at = recorded.event, recorded.at
    row = MessageRow(
        position=recorded.position,
        message_id=event.message_id,
        from_persona=event.from_agent,
        to_persona=event.to_agent,
        session_id=recorded.session_id or "",
        status=event.status,
        created_at=at,
        updated_at=at,
        sent_by=event.sent_by,
        hops=event.hops,
        payload=event.payload,
        task_id=event.task_id,
        step_id=event.step_id,
        parent_run_id=event.parent_run_id,
        requeued_from=event.dead_letter_id,
    )
    rows.append(MESSAGE, row)
    rows.append(POSITION, MessagePositionRow(event.message_id, recorded.position))


@MESSAGES.handler
def message_moved(rows: Rows, recorded: Recorded[MessageStarted | MessageCompleted | MessageFailed]) -> None:
    event = recorded.event
    row = rows.change(MESSAGE, rows.need(POSITION, event.message_id).position)
    row.status, row.updated_at = event.status, recorded.at
    row.run_id = recorded.run_id or row.run_id
    if isinstance(event, MessageStarted):
        row.attempts = event.attempt
    if isinstance(event, MessageFailed):
        row.dead_letter_id, row.code, row.error = event.dead_letter_id, event.code, or_erased(event.error_text)
        rows.append(FAILURE, MessageFailureRow(recorded.position, row.position))


@MESSAGES.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase the payload of a message, or the text of its error."""
    rows.erase(MESSAGE, recorded.event.target, "payload")
    failure = rows.get(FAILURE, recorded.event.target)
    if failure is not None:
        rows.change(MESSAGE, failure.message).error = ERASED


class MessageError(Value):
    """The error of a message that was not delivered."""

    code: str
    message: str


class Message(Value):
    """A message between personas. ``payload`` is null once redacted.

    ``status`` is ``sent``, ``started``, ``completed`` or ``failed``. ``hops`` is the length of the chain of messages up
    to this one. ``attempts`` is the number of runs that processed it. ``redacted`` is true if its text was erased.
    """

    message_id: str
    from_persona: str
    to_persona: str
    session_id: str
    status: MessageStatus
    created_at: str
    updated_at: str
    payload: Annotated[str | None, says("Text of the message, or JSON as text; null once redacted.")]
    hops: int
    attempts: int
    sent_by: str
    task_id: str | None = None
    step_id: str | None = None
    parent_run_id: str | None = None
    run_id: Annotated[str | None, says("Last run that processed it; absent before one.")] = None
    dead_letter_id: str | None = None
    requeued_from: str | None = None
    error: Annotated[MessageError | None, says("Why it was not delivered; absent otherwise.")] = None
    redacted: bool | None = None


def list_messages(
    connection: Connection,
    *,
    from_persona: str | None = None,
    to_persona: str | None = None,
    status: str | None = None,
    cursor: str | None,
    limit: int,
) -> Page[Message]:
    where = (("from_persona = ?", from_persona), ("to_persona = ?", to_persona), ("status = ?", status))
    return NEWEST.page(connection, MESSAGE.all, where, cursor=cursor, limit=limit, show=_to_view)


def message_by_id(connection: Connection, message_id: str) -> Message | None:
    return first(connection, SELECT_BY_ID, (message_id,), _to_view)


def _to_view(values: tuple[Cell, ...]) -> Message:
    row = MESSAGE.load(values)
    return Message(
        message_id=row.message_id,
        from_persona=row.from_persona,
        to_persona=row.to_persona,
        session_id=row.session_id,
        status=row.status,
        created_at=iso(row.created_at),
        updated_at=iso(row.updated_at),
        payload=row.payload,
        hops=row.hops,
        attempts=row.attempts,
        sent_by=row.sent_by,
        task_id=row.task_id,
        step_id=row.step_id,
        parent_run_id=row.parent_run_id,
        run_id=row.run_id,
        dead_letter_id=row.dead_letter_id,
        requeued_from=row.requeued_from,
        error=None if row.code is None else MessageError(code=row.code, message=row.error or ""),
        redacted=True if row.payload is None else None,
    )
