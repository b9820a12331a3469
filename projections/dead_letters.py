"""Read model of dead letters: work that failed for good, its errors, and the decisions about it."""

from typing import Annotated, Any

import msgspec
from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.domain.dead_letter import DeadLetterAdded, DeadLetterDiscarded, DeadLetterRequeued, DeadLetterRestored
from athena_core.domain.plane import PayloadRedacted
from athena_core.enums import DeadLetterReason, DeadLetterSource, DeadLetterStatus, QueueMode
from athena_core.event import Position, Recorded, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.text import ERASED, or_erased
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json


class DeadLetterRow(msgspec.Struct, gc=False):
    """A dead letter. ``items``, ``attempts``, ``payload`` and ``item_ids`` (the requeued items) are JSON."""

    position: int
    id: str
    created_at: int
    updated_at: int
    status: DeadLetterStatus
    source: DeadLetterSource
    session_id: str
    reason: DeadLetterReason
    code: str
    error: str
    retry_count: int
    items: str
    attempts: str
    message_id: str | None
    source_persona: str | None
    target_persona: str | None
    previous_id: str | None
    payload: str | None
    decided_by: str | None = None
    audit_note: str | None = None
    item_ids: str | None = None
    new_message_id: str | None = None
    decided_at: int | None = None
    note_redacted: bool = False


class DecisionRow(msgspec.Struct, gc=False):
    """The dead letter that a decision concerns, by the position where it was added."""

    position: int
    letter: int


class DeadLetterPositionRow(msgspec.Struct, gc=False):
    """The position of the event that added a dead letter."""

    id: str
    position: int


LETTER = Table(
    "dead_letter",
    DeadLetterRow,
    key=("position",),
    indexes=(
        ("status", "position"),
        ("session_id", "position"),
        ("target_persona", "position"),
        ("source_persona", "position"),
    ),
)
POSITION = Table("dead_letter_place", DeadLetterPositionRow, key=("id",))
DECISION = Table("dead_letter_note", DecisionRow, key=("position",))
DEAD_LETTERS = Projection("dead_letters", version=3, tables=(LETTER, POSITION, DECISION))

SELECT_BY_ID = f"{LETTER.all} WHERE position = (SELECT position FROM dead_letter_place WHERE id = ?)"
COUNT = "SELECT count(*) FROM dead_letter"
SELECT_PLACES = "SELECT id, position FROM dead_letter"
LETTERS = Keyset(kind="dead-letters", oldest_first=True)


@DEAD_LETTERS.handler
def letter_added(rows: Rows, recorded: Recorded[DeadLetterAdded]) -> None:
    event, at = recorded.event, recorded.at
    row = DeadLetterRow(
        position=recorded.position,
        id=event.id,
        created_at=at,
        updated_at=at,
        status="pending",
        source=event.source,
        session_id=event.session_id,
        reason=event.reason,
        code=event.code,
        error=or_erased(event.error_text),
        retry_count=event.retry_count,
        items=to_json(event.items),
        attempts=to_json(_attempts(event)),
        message_id=event.message_id,
        source_persona=event.source_persona,
        target_persona=event.target_persona,
        previous_id=event.previous_id,
        payload=event.payload,
    )
    rows.append(LETTER, row)
    rows.append(POSITION, DeadLetterPositionRow(event.id, recorded.position))


@DEAD_LETTERS.handler
def letter_requeued(rows: Rows, recorded: Recorded[DeadLetterRequeued]) -> None:
    row = _decide(rows, recorded, "requeued", None)
    row.retry_count = recorded.event.retry_count
    row.item_ids, row.new_message_id = to_json(recorded.event.item_ids), recorded.event.message_id


@DEAD_LETTERS.handler
def letter_discarded(rows: Rows, recorded: Recorded[DeadLetterDiscarded]) -> None:
    _decide(rows, recorded, "discarded", recorded.event.note)


@DEAD_LETTERS.handler
def letter_restored(rows: Rows, recorded: Recorded[DeadLetterRestored]) -> None:
    _decide(rows, recorded, "pending", recorded.event.note)


@DEAD_LETTERS.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase the payload and the texts of errors of a dead letter, or the note of a decision."""
    row = rows.get(LETTER, recorded.event.target)
    if row is not None:
        row.payload, row.error = None, ERASED
        attempts = msgspec.json.decode(row.attempts, type=tuple[DeadLetterError, ...])
        row.attempts = to_json([replace(attempt, message=ERASED) for attempt in attempts])
        rows.put(LETTER, row)
    note = rows.get(DECISION, recorded.event.target)
    if note is not None:
        letter = rows.change(LETTER, note.letter)
        if letter.decided_at == note.position:
            letter.audit_note, letter.note_redacted = None, True


def _decide(
    rows: Rows,
    recorded: Recorded[DeadLetterRequeued | DeadLetterDiscarded | DeadLetterRestored],
    status: DeadLetterStatus,
    note: str | None,
) -> DeadLetterRow:
    row = rows.change(LETTER, rows.need(POSITION, recorded.event.id).position)
    row.status, row.updated_at = status, recorded.at
    row.decided_by, row.audit_note, row.decided_at = recorded.actor, note, recorded.position
    row.note_redacted = False
    rows.append(DECISION, DecisionRow(recorded.position, row.position))
    return row


def _attempts(event: DeadLetterAdded) -> list["DeadLetterError"]:
    texts = event.attempt_errors or (ERASED,) * len(event.attempts)
    return [
        DeadLetterError(code=attempt.code, message=text, at=attempt.at, run_id=attempt.run_id)
        for attempt, text in zip(event.attempts, texts, strict=True)
    ]


class DeadLetterError(Value):
    """The error of an attempt. ``runId`` is absent if there was no run."""

    code: str
    message: str
    at: Annotated[str, says("When it happened.")]
    run_id: str | None = None


class DeadLetterItem(Value):
    """A work item of a dead letter."""

    item_id: str
    mode: Annotated[QueueMode, says("`followup`: a run of its own. `collect`: consecutive items share one run.")]
    chars: int


class DeadLetter(Value):
    """Work that failed for good, and the decision about it.

    ``retryCount`` is the number of retries, including a requeue that has not run yet. ``attempts`` lists the errors,
    oldest first; ``firstError`` and ``lastError`` are its ends.

    ``requeuedItemIds`` or ``requeuedMessageId`` name the work that a requeue created. ``requeuedFrom`` is the dead
    letter that this work was requeued from.
    """

    id: str
    created_at: str
    updated_at: str
    status: DeadLetterStatus
    payload: Annotated[dict[str, Any], says("The work; empty once redacted.")]
    source: Annotated[DeadLetterSource, says("`work`: a queue item. `a2a`: a message.")]
    session_id: str
    reason: Annotated[DeadLetterReason, says("Why the work could not be done.")]
    code: str
    error: Annotated[str, says("Text of the error; `(erased)` once redacted.")]
    retry_count: int
    items: Annotated[tuple[DeadLetterItem, ...], says("Queue items that it holds.")]
    attempts: Annotated[tuple[DeadLetterError, ...], says("Errors of the attempts, oldest first.")]
    first_error: Annotated[DeadLetterError, says("Error of the first attempt.")]
    last_error: Annotated[DeadLetterError, says("Error of the last attempt.")]
    source_persona: str | None = None
    target_persona: str | None = None
    message_id: str | None = None
    requeued_from: str | None = None
    requeued_item_ids: Annotated[tuple[str, ...] | None, says("Items that a requeue created; absent before one.")] = (
        None
    )
    requeued_message_id: Annotated[str | None, says("Message that a requeue created; absent otherwise.")] = None
    decided_by: Annotated[str | None, says("Identity of the last decision; absent before one.")] = None
    audit_note: str | None = None
    redacted: bool | None = None


class DeadLetterFilter(Value):
    """Filter of dead letters. Times are milliseconds since 1970 UTC, inclusive."""

    status: DeadLetterStatus | None = None
    session_id: str | None = None
    source: str | None = None
    source_persona: str | None = None
    target_persona: str | None = None
    reason: str | None = None
    created_after: int | None = None
    created_before: int | None = None

    def where(self) -> tuple[tuple[str, Cell], ...]:
        """Return the conditions of a query."""
        return (
            ("status = ?", self.status),
            ("session_id = ?", self.session_id),
            ("source = ?", self.source),
            ("source_persona = ?", self.source_persona),
            ("target_persona = ?", self.target_persona),
            ("reason = ?", self.reason),
            ("created_at >= ?", self.created_after),
            ("created_at <= ?", self.created_before),
        )


def list_dead_letters(
    connection: Connection, wanted: DeadLetterFilter, *, cursor: str | None, limit: int
) -> Page[DeadLetter]:
    return LETTERS.page(connection, LETTER.all, wanted.where(), cursor=cursor, limit=limit, show=_to_view)


def pending_ids(connection: Connection, wanted: DeadLetterFilter) -> list[str]:
    """Return the ids of the pending dead letters that match."""
    conditions, values = _pending(wanted)
    return [str(letter_id) for letter_id, _ in connection.execute(f"{SELECT_PLACES} WHERE {conditions}", values)]


def next_pending(
    connection: Connection, wanted: DeadLetterFilter, after: Position, until: Position
) -> tuple[str, Position] | None:
    """Return the oldest pending dead letter that was added between two positions."""
    conditions, values = _pending(wanted)
    statement = f"{SELECT_PLACES} WHERE {conditions} AND position > ? AND position <= ? ORDER BY position LIMIT 1"
    for letter_id, position in connection.execute(statement, (*values, after, until)):
        return str(letter_id), int(position or 0)
    return None


def _pending(wanted: DeadLetterFilter) -> tuple[str, list[Cell]]:
    where = [(condition, value) for condition, value in wanted.where() if value is not None]
    conditions = ["status = 'pending'", *(condition for condition, _ in where)]
    return " AND ".join(conditions), [value for _, value in where]


def dead_letter_by_id(connection: Connection, letter_id: str) -> DeadLetter | None:
    return first(connection, SELECT_BY_ID, (letter_id,), _to_view)


def _to_view(values: tuple[Cell, ...]) -> DeadLetter:
    row = LETTER.load(values)
    attempts = msgspec.json.decode(row.attempts, type=tuple[DeadLetterError, ...])
    last = DeadLetterError(code=row.code, message=row.error, at=iso(row.created_at))
    return DeadLetter(
        id=row.id,
        created_at=iso(row.created_at),
        updated_at=iso(row.updated_at),
        status=row.status,
        payload={} if row.payload is None else msgspec.json.decode(row.payload),
        source=row.source,
        session_id=row.session_id,
        reason=row.reason,
        code=row.code,
        error=row.error,
        retry_count=row.retry_count,
        items=msgspec.json.decode(row.items, type=tuple[DeadLetterItem, ...]),
        attempts=attempts,
        first_error=attempts[0] if attempts else last,
        last_error=attempts[-1] if attempts else last,
        source_persona=row.source_persona,
        target_persona=row.target_persona,
        message_id=row.message_id,
        requeued_from=row.previous_id,
        requeued_item_ids=None if row.item_ids is None else msgspec.json.decode(row.item_ids, type=tuple[str, ...]),
        requeued_message_id=row.new_message_id,
        decided_by=row.decided_by,
        audit_note=row.audit_note,
        redacted=row.payload is None or row.note_redacted or None,
    )
