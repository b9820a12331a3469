"""Operations on dead letters: list, requeue, discard and restore them."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from athena_api.endpoint.body import Time
from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.enums import DeadLetterStatus
from athena_core.event import Value, says
from athena_core.services.queues.dead_letters import DeadLetterDecision, NoteBody
from athena_core.values import ClientId, Label
from projections import dead_letters
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.submission import Committed


class DeadLettersQuery(Value):
    """Filters of dead letters. Times are inclusive."""

    status: DeadLetterStatus | None = None
    session_id: ClientId | None = None
    source_persona: Annotated[Label | None, says("Only messages of this sender.")] = None
    target_persona: Annotated[Label | None, says("Only messages to this persona.")] = None
    reason: Annotated[Label | None, says("Only dead letters with this reason.")] = None
    created_after: Time | None = None
    created_before: Time | None = None


class DecidedDeadLetter(Value):
    """A dead letter after a decision. ``updated`` is false if it was already in this state."""

    id: str
    status: DeadLetterStatus
    updated: bool
    item: Annotated[dead_letters.DeadLetter, says("The dead letter.")]


async def list_a2a_dlq(plane: "ControlPlane", call: ApiCall[NoBody, DeadLettersQuery]) -> Reply:
    """List dead letters, which are work items and messages that could not be processed, oldest first."""
    wanted = dead_letters.DeadLetterFilter(**msgspec.structs.asdict(call.query))
    page, position = await plane.query(
        ("dead_letters",),
        lambda rows: dead_letters.list_dead_letters(rows, wanted, cursor=call.cursor, limit=call.limit),
    )
    return Reply(data=page, position=position)


async def get_a2a_dlq_item(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a dead letter."""
    letter_id = call.path["id"]
    letter, position = await plane.query(
        ("dead_letters",), lambda rows: dead_letters.dead_letter_by_id(rows, letter_id)
    )
    return Reply(data=existing(letter, "dead letter", letter_id), position=position)


async def requeue_a2a_dlq_item(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Requeue the work of a dead letter, once."""
    return await _decision_reply(
        plane, await plane.dead_letters.requeue(call.path["id"], call.who, call.meta, call.key)
    )


async def discard_a2a_dlq_item(plane: "ControlPlane", call: ApiCall[NoteBody, NoQuery]) -> Reply:
    """Discard a dead letter: its work will not be done."""
    note = call.body.audit_note
    return await _decision_reply(plane, await plane.dead_letters.discard(call.path["id"], note, call.meta, call.key))


async def restore_a2a_dlq_item(plane: "ControlPlane", call: ApiCall[NoteBody, NoQuery]) -> Reply:
    """Restore a discarded dead letter."""
    note = call.body.audit_note
    return await _decision_reply(plane, await plane.dead_letters.restore(call.path["id"], note, call.meta, call.key))


async def _decision_reply(plane: "ControlPlane", done: "Committed[DeadLetterDecision]") -> Reply:
    """Return the dead letter after the decision."""
    letter_id, answer = done.subject or "", done.answer
    item, position = await plane.read(
        ("dead_letters",), done.position, lambda rows: dead_letters.dead_letter_by_id(rows, letter_id)
    )
    letter = existing(item, "dead letter", letter_id)
    decided = DecidedDeadLetter(id=letter_id, status=answer.status, updated=answer.updated, item=letter)
    return Reply(data=decided, position=position, replayed=done.replayed)


row = Noun("a2a", reads=("dead_letters",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "a2a.dlq",
        "GET /a2a/dlq",
        list_a2a_dlq,
        answer=Page[dead_letters.DeadLetter],
        paging="cursor",
        command="dead-letters list",
    ),
    row("a2a.dlq", "GET /a2a/dlq/:id", get_a2a_dlq_item, answer=dead_letters.DeadLetter, command="dead-letters get"),
    row(
        "a2a.dlq",
        "POST /a2a/dlq/:id/requeue",
        requeue_a2a_dlq_item,
        answer=DecidedDeadLetter,
        errors=("NOT_FOUND", "CONFLICT", "WORK_QUEUE_FULL"),
        command="dead-letters requeue",
    ),
    row(
        "a2a.dlq",
        "POST /a2a/dlq/:id/discard",
        discard_a2a_dlq_item,
        answer=DecidedDeadLetter,
        errors=("NOT_FOUND", "CONFLICT"),
        command="dead-letters discard",
    ),
    row(
        "a2a.dlq",
        "POST /a2a/dlq/:id/restore",
        restore_a2a_dlq_item,
        answer=DecidedDeadLetter,
        errors=("NOT_FOUND", "CONFLICT"),
        command="dead-letters restore",
    ),
)
