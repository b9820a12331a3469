"""Queues: what goes in and out of the operations on work, messages and dead letters, and who handles them."""

from typing import TYPE_CHECKING, Literal

import msgspec

from athena_api.endpoint.body import Time
from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Reply, existing
from athena_core.domain import redrive
from athena_core.errors import AthenaError
from athena_core.event import Position, Value
from athena_core.services.queues.dead_letters import NoteBody
from athena_core.services.queues.messages import MessageBody
from athena_core.services.queues.queues import DrainBody, EnqueueBody
from athena_core.services.queues.redrives import RATE_DEFAULT, MatchedLetter, RedriveBody
from athena_core.values import PAGE_ITEMS_DEFAULT, ClientId, Label
from projections import dead_letters, messages, queues, redrives

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.port import StoreReader
    from athena_core.log.writer import Committed
    from projections.engine.views import ViewsReader

DRAIN_WAIT_SECONDS_MAX = 300
"""How long whoever asked for a drain waits for its end, before the answer is its record as it is then."""


PENDING_SECONDS_MAX = 5.0
"""How long a redrive waits for the read model of dead letters."""


class LettersQuery(Value):
    """Which dead letters; times are inclusive."""

    status: dead_letters.Status | None = None
    session_id: ClientId | None = None
    source_persona: Label | None = None
    target_persona: Label | None = None
    reason: Label | None = None
    created_after: Time | None = None
    created_before: Time | None = None


class MessagesQuery(Value):
    """Which messages."""

    from_persona: Label | None = None
    to_persona: Label | None = None
    status: Literal["sent", "started", "completed", "failed"] | None = None


class DecidedLetter(Value):
    """A dead letter about which something was decided; ``updated`` is false where it had been decided before."""

    id: str
    status: str
    updated: bool
    item: dead_letters.DeadLetter


async def enqueue_work(plane: "ControlPlane", call: ApiCall[EnqueueBody, NoQuery]) -> Reply:
    """Put an item into a queue; the answer is the queue."""
    session_id = call.body.session_id
    done = await plane.work.enqueue(call.body, call.who, call.meta, call.key)
    queue, position = await plane.read(
        ("work",), done.position, lambda rows: queues.queue_by_session(rows, session_id, done.at)
    )
    return Reply(data=queue, position=position, replayed=done.replayed)


async def get_work_queue(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """What waits in a session."""
    session_id, now = call.path["sessionId"], plane.clock.now()
    queue, position = await plane.query(
        ("work",), lambda rows: queues.queue_by_session(rows, session_id, now, cursor=call.cursor, limit=call.limit)
    )
    return Reply(data=queue, position=position)


async def drain_work(plane: "ControlPlane", call: ApiCall[DrainBody, NoQuery]) -> Reply:
    """Work off a queue, and wait for the end unless the caller would rather not."""
    session_id = call.path["sessionId"]
    began, result = await plane.work.drain(session_id, call.body, call.who, call.meta, call.key)
    if result is not None:
        return Reply(data=result, position=began.position, replayed=began.replayed)
    if call.wait:
        with plane.streams.wanted(call.receive):
            await plane.work.settled(session_id, began.position, DRAIN_WAIT_SECONDS_MAX)
        try:
            ended = plane.work.result(session_id, began.position)
        except AthenaError as error:
            error.replayed = began.replayed
            raise
        if ended is not None:
            return Reply(data=ended[0], position=ended[1], replayed=began.replayed)
        began = msgspec.structs.replace(began, position=plane.reader.head())
    drain_id = began.subject or ""
    drain, position = await plane.read(("work",), began.position, lambda rows: queues.drain_by_id(rows, drain_id))
    return Reply(data=drain, position=position, status=202, replayed=began.replayed)


async def get_drain(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """One drain."""
    drain_id = call.path["drainId"]
    drain, position = await plane.query(("work",), lambda rows: queues.drain_by_id(rows, drain_id))
    return Reply(data=existing(drain, "drain", drain_id), position=position)


async def send_message(plane: "ControlPlane", call: ApiCall[MessageBody, NoQuery]) -> Reply:
    """Hand a message to a persona."""
    done = await plane.messages.send(call.body, call.who, call.meta, call.key)
    message_id = done.subject or ""
    message, position = await plane.read(
        ("messages",), done.position, lambda rows: messages.message_by_id(rows, message_id)
    )
    return Reply(data=message, position=position, replayed=done.replayed)


async def list_messages(plane: "ControlPlane", call: ApiCall[NoBody, MessagesQuery]) -> Reply:
    """Messages, newest first."""
    query = call.query
    page, position = await plane.query(
        ("messages",),
        lambda rows: messages.list_messages(
            rows,
            from_persona=query.from_persona,
            to_persona=query.to_persona,
            status=query.status,
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    return Reply(data=page, position=position)


async def get_message(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """One message."""
    message_id = call.path["messageId"]
    message, position = await plane.query(("messages",), lambda rows: messages.message_by_id(rows, message_id))
    return Reply(data=existing(message, "message", message_id), position=position)


async def list_letters(plane: "ControlPlane", call: ApiCall[NoBody, LettersQuery]) -> Reply:
    """Dead letters, oldest first."""
    wanted = dead_letters.DeadLetterFilter(**msgspec.structs.asdict(call.query))
    page, position = await plane.query(
        ("dead_letters",),
        lambda rows: dead_letters.list_dead_letters(rows, wanted, cursor=call.cursor, limit=call.limit),
    )
    return Reply(data=page, position=position)


async def get_letter(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """One dead letter."""
    letter_id = call.path["id"]
    letter, position = await plane.query(
        ("dead_letters",), lambda rows: dead_letters.dead_letter_by_id(rows, letter_id)
    )
    return Reply(data=existing(letter, "dead letter", letter_id), position=position)


async def requeue_letter(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Put its work back."""
    return await _decided(plane, await plane.letters.requeue(call.path["id"], call.who, call.meta, call.key))


async def discard_letter(plane: "ControlPlane", call: ApiCall[NoteBody, NoQuery]) -> Reply:
    """Decide that its work will not be done."""
    note = call.body.audit_note
    return await _decided(plane, await plane.letters.discard(call.path["id"], note, call.meta, call.key))


async def restore_letter(plane: "ControlPlane", call: ApiCall[NoteBody, NoQuery]) -> Reply:
    """Take a discard back."""
    note = call.body.audit_note
    return await _decided(plane, await plane.letters.restore(call.path["id"], note, call.meta, call.key))


async def _decided(plane: "ControlPlane", done: "Committed") -> Reply:
    """The letter, and what became of it."""
    letter_id, answer = done.subject or "", msgspec.to_builtins(done.answer)
    item, position = await plane.read(
        ("dead_letters",), done.position, lambda rows: dead_letters.dead_letter_by_id(rows, letter_id)
    )
    letter = existing(item, "dead letter", letter_id)
    decided = DecidedLetter(id=letter_id, status=answer["status"], updated=answer["updated"], item=letter)
    return Reply(data=decided, position=position, replayed=done.replayed)


# Redrives


class PendingLetters:
    """Finds dead letters for redrives, in the read model."""

    def __init__(self, views: "ViewsReader", log: "StoreReader") -> None:
        """Take the read model, and the log for its head."""
        self._views = views
        self._log = log

    async def count(self, wanted: redrive.RedriveSelection) -> tuple[int, Position]:
        """How many pending ones match, and the position that this reflects."""
        head = self._log.head()
        await self._views.wait(("dead_letters",), head, PENDING_SECONDS_MAX)
        which = dead_letters.DeadLetterFilter(**msgspec.structs.asdict(wanted))
        return self._views.query(("dead_letters",), lambda rows: dead_letters.count_pending(rows, which))

    async def next(self, wanted: redrive.RedriveSelection, after: Position, until: Position) -> MatchedLetter | None:
        """The oldest pending one that was added after one position and up to another."""
        await self._views.wait(("dead_letters",), until, PENDING_SECONDS_MAX)
        which = dead_letters.DeadLetterFilter(**msgspec.structs.asdict(wanted))
        found, _ = self._views.query(
            ("dead_letters",), lambda rows: dead_letters.next_pending(rows, which, after, until)
        )
        return None if found is None else MatchedLetter(*found)


async def redrive_letters(plane: "ControlPlane", call: ApiCall[RedriveBody, NoQuery]) -> Reply:
    """Put dead letters back in bulk, or say how many there are."""
    body = call.body
    if body.dry_run:
        plan = await plane.redrives.plan(body)
        shown = redrives.Redrive(
            id=None,
            status="dry-run",
            filter=msgspec.convert(msgspec.to_builtins(body.filter), redrives.WantedLetters),
            rate_per_second=body.rate_per_second or RATE_DEFAULT,
            total=plan.total,
            done=0,
            requeued=0,
            skipped=0,
            failed=0,
            requested_by=call.who.subject,
            results=(),
        )
        return Reply(data=shown, position=plan.position)
    return await _redrive(plane, await plane.redrives.start(body, call.who, call.meta, call.key))


async def get_redrive(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """One redrive, with a page of its results."""
    redrive_id = call.path["id"]
    job, position = await plane.query(
        ("redrives",),
        lambda rows: redrives.redrive_by_id(rows, redrive_id, cursor=call.cursor, limit=call.limit),
    )
    return Reply(data=existing(job, "redrive", redrive_id), position=position)


async def cancel_redrive(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Stop a redrive."""
    return await _redrive(plane, await plane.redrives.cancel(call.path["id"], call.meta, call.key))


async def _redrive(plane: "ControlPlane", done: "Committed") -> Reply:
    """The job as it is now."""
    redrive_id = done.subject or ""
    job, position = await plane.read(
        ("redrives",),
        done.position,
        lambda rows: redrives.redrive_by_id(rows, redrive_id, cursor=None, limit=PAGE_ITEMS_DEFAULT),
    )
    return Reply(data=existing(job, "redrive", redrive_id), position=position, replayed=done.replayed)
