"""Dead letters: how they are made, and the operators' decisions about them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from athena_core.clock import Ids, iso
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import dead_letter, message, queue
from athena_core.enums import DeadLetterStatus, QueueMode
from athena_core.errors import Contradicted, NotFound
from athena_core.event import Event, Fact, Meta, Value
from athena_core.log.port import StoreReader
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.services.queues.queues import queue_facts
from athena_core.text import or_erased
from athena_core.values import Body, Identity, Label, narrower, pinned, unpinned

PERSONA_SESSION = "persona-"
HOPS_BEGIN = 1


class NoteBody(Body):
    """The reason for a decision, for auditors."""

    audit_note: Label | None = None


class DeadLetterDecision(Value):
    """The status of a dead letter after a decision; ``updated`` is false if it was decided before."""

    status: DeadLetterStatus
    updated: bool


# Making dead letters


def message_facts(
    reader: Reader, context: Context, message_id: str | None, command: message.MessageCommand, run_id: str | None
) -> tuple[Fact, ...]:
    """Apply a command to the message that an item delivers, if any, and return its events."""
    if message_id is None:
        return ()
    state = reader.state(message.DECIDER, message_id)
    session_id = PERSONA_SESSION + state.sent.to_agent if state.sent else None
    return facts_of(message_id, message.decide(command, state, context), session_id=session_id, run_id=run_id)


def give_up_facts(
    reader: Reader,
    context: Context,
    session_id: str,
    event: queue.WorkBatchDeadLettered,
    items: Sequence[queue.QueueItem],
    payloads: Mapping[str, str],
    errors: Mapping[str, str],
) -> tuple[Fact, ...]:
    """Return the dead letter of items that left their queue undone, and the failure of their message."""
    attempts = list(queue.attempts_of(items))
    if event.run_id is not None and event.run_id not in {attempt.run_id for attempt in attempts}:
        last = queue.ItemAttempt(run_id=event.run_id, at=iso(context.now), code=event.code)
        attempts.append(last)
    words: dict[str | None, str | None] = {event.run_id: event.error_text}
    words.update(errors)
    message_id = items[0].message_id
    sent = reader.state(message.DECIDER, message_id).sent if message_id else None
    previous = next((item.dead_letter_id for item in items if item.dead_letter_id), None)
    before = reader.state(dead_letter.DECIDER, previous).retry_count if previous else 0
    holds: dict[str, Any]
    if sent is not None:
        holds = payload_object(payloads.get(items[0].id))
    else:
        said = [{"itemId": item.id, "mode": item.mode, "payload": payloads.get(item.id)} for item in items]
        holds = {"sessionId": session_id, "items": said}
    letter = dead_letter.DeadLetterAdded(
        id=event.dead_letter_id,
        source="work" if sent is None else "a2a",
        session_id=session_id,
        reason=event.reason,
        code=event.code,
        error_text=event.error_text,
        retry_count=before + max(len(attempts) - 1, 0),
        items=tuple(dead_letter.LetterItem(item_id=item.id, mode=item.mode, chars=item.chars) for item in items),
        attempts=tuple(dead_letter.DeadLetterAttempt(run_id=one.run_id, at=one.at, code=one.code) for one in attempts),
        attempt_errors=tuple(or_erased(words.get(one.run_id)) for one in attempts) or None,
        message_id=message_id,
        source_persona=sent.from_agent if sent else None,
        target_persona=sent.to_agent if sent else None,
        previous_id=previous,
        scope=pinned(narrower(*(unpinned(item.scope) for item in items))),
        payload=msgspec.json.encode(holds).decode(),
    )
    added = letter_facts(reader, context, dead_letter.AddDeadLetter(letter=letter), letter.id, session_id, event.run_id)
    failed = message.FailMessage(
        reason=event.reason,
        code=event.code,
        error=or_erased(event.error_text),
        dead_letter_id=event.dead_letter_id,
    )
    return added + message_facts(reader, context, message_id, failed, event.run_id)


def payload_object(text: str | None) -> dict[str, Any]:
    """Return the payload of a message as an object; a text becomes the member ``text``."""
    try:
        value = msgspec.json.decode(text or "")
    except msgspec.DecodeError:
        value = None
    return value if isinstance(value, dict) else {"text": text}


def letter_facts(
    reader: Reader,
    context: Context,
    command: dead_letter.DeadLetterCommand,
    letter_id: str,
    session_id: str | None = None,
    run_id: str | None = None,
) -> tuple[Fact, ...]:
    """Apply a command to a dead letter and return its events."""
    state = reader.state(dead_letter.DECIDER, letter_id)
    if state.added is not None:
        session_id = state.added.session_id
    events = dead_letter.decide(command, state, context)
    return facts_of(letter_id, events, session_id=session_id, run_id=run_id)


# Decisions


class RequeuePlan(NamedTuple):
    """The items that a requeue enqueues: their modes and payloads, and their new ids."""

    letter: dead_letter.DeadLetterAdded
    said: tuple[tuple[QueueMode, str], ...]
    item_ids: tuple[str, ...]
    message_id: str | None


class DeadLetters:
    """Requeues, discards and restores dead letters."""

    def __init__(self, log: Log, reader: StoreReader, ids: Ids) -> None:
        self._log = log
        self._ids = ids
        self._reader = reader

    async def requeue(
        self, letter_id: str, who: Identity, meta: Meta, key: Key | None
    ) -> Committed[DeadLetterDecision]:
        """Requeue the items, once.

        Raise NotFound, Contradicted if it was discarded or its text is gone, or WorkQueueFull.
        """
        plan = self.plan(letter_id)

        def requeue(reader: Reader, context: Context) -> Outcome[DeadLetterDecision]:
            facts = requeue_facts(reader, context, plan, who)
            return _decided(reader, letter_id, facts, "requeued")

        return await self._log.submit(requeue, meta, key, answers=DeadLetterDecision)

    async def discard(
        self, letter_id: str, note: str | None, meta: Meta, key: Key | None
    ) -> Committed[DeadLetterDecision]:
        """Discard a dead letter. Raise NotFound or Contradicted."""
        command = dead_letter.DiscardDeadLetter(id=letter_id, audit_note=note)
        return await self._decide(letter_id, command, "discarded", meta, key)

    async def restore(
        self, letter_id: str, note: str | None, meta: Meta, key: Key | None
    ) -> Committed[DeadLetterDecision]:
        """Restore a discarded dead letter. Raise NotFound or Contradicted."""
        command = dead_letter.RestoreDeadLetter(id=letter_id, audit_note=note)
        return await self._decide(letter_id, command, "pending", meta, key)

    async def _decide(
        self,
        letter_id: str,
        command: dead_letter.DeadLetterCommand,
        status: DeadLetterStatus,
        meta: Meta,
        key: Key | None,
    ) -> Committed[DeadLetterDecision]:
        _check(letter_id)

        def decide(reader: Reader, context: Context) -> Outcome[DeadLetterDecision]:
            return _decided(reader, letter_id, letter_facts(reader, context, command, letter_id), status)

        return await self._log.submit(decide, meta, key, answers=DeadLetterDecision)

    def plan(self, letter_id: str) -> RequeuePlan:
        """Return the items that a requeue would enqueue. Raise NotFound or Contradicted."""
        _check(letter_id)
        rows = self._reader.stream(letter_id, 0, 1)
        added = self._log.codec.decode(rows[0]).event if rows else None
        if not isinstance(added, dead_letter.DeadLetterAdded):
            raise _unknown(letter_id)
        message_id = None
        if added.source == "a2a":
            message_id = self._ids.new("msg")
            text = None if added.payload is None else self._message_payload(added.message_id or "")
            said: list[tuple[QueueMode, str | None]] = [("followup", text)]
        else:
            holds = msgspec.json.decode(added.payload) if added.payload is not None else {"items": [{}]}
            said = [(one.get("mode", "followup"), one.get("payload")) for one in holds["items"]]
        texts = tuple((mode, text) for mode, text in said if text is not None)
        if len(texts) < len(said):
            raise Contradicted(f"the payload of {letter_id} was redacted, so it cannot be requeued", {"id": letter_id})
        return RequeuePlan(added, texts, tuple(self._ids.new("wi") for _ in texts), message_id)

    def _message_payload(self, message_id: str) -> str | None:
        for row in self._reader.stream(message_id, 0, 1):
            event = self._log.codec.decode(row).event
            if isinstance(event, message.MessageSent):
                return event.payload
        return None


def requeue_facts(reader: Reader, context: Context, plan: RequeuePlan, who: Identity) -> tuple[Fact, ...]:
    """Return the events of a requeue; none if it was requeued before. Raise Contradicted or WorkQueueFull."""
    letter, subject = plan.letter, who.subject
    scope = pinned(narrower(who.scope, unpinned(letter.scope)))
    command = dead_letter.RequeueDeadLetter(id=letter.id, item_ids=plan.item_ids, message_id=plan.message_id)
    facts = letter_facts(reader, context, command, letter.id)
    if not facts:
        return ()
    state = reader.state(queue.DECIDER, queue.stream(letter.session_id))
    enqueued: tuple[Event, ...] = ()
    for item_id, (mode, text) in zip(plan.item_ids, plan.said, strict=True):
        enqueue = queue.EnqueueWork(
            item_id=item_id,
            mode=mode,
            payload=text,
            enqueued_by=subject,
            message_id=plan.message_id,
            dead_letter_id=letter.id,
            scope=scope,
        )
        for event in queue.decide(enqueue, state, context):
            state = queue.evolve(state, event)
            enqueued += (event,)
    facts += queue_facts(letter.session_id, enqueued)
    if plan.message_id is None:
        return facts
    old = reader.state(message.DECIDER, letter.message_id or "").sent
    sent = message.MessageSent(
        message_id=plan.message_id,
        from_agent=letter.source_persona or "",
        to_agent=letter.target_persona or "",
        status="sent",
        hops=HOPS_BEGIN,
        sent_by=subject,
        item_id=plan.item_ids[0],
        dead_letter_id=letter.id,
        step_id=old.step_id if old else None,
        task_id=old.task_id if old else None,
        parent_run_id=old.parent_run_id if old else None,
        payload=plan.said[0][1],
    )
    events = message.decide(message.SendMessage(sent=sent), message.DECIDER.initial, context)
    return facts + facts_of(plan.message_id, events, session_id=letter.session_id)


def _decided(
    reader: Reader, letter_id: str, facts: tuple[Fact, ...], status: DeadLetterStatus
) -> Outcome[DeadLetterDecision]:
    return Outcome(facts=facts, subject=letter_id, answer=DeadLetterDecision(status=status, updated=bool(facts)))


def _check(letter_id: str) -> None:
    if not dead_letter.DECIDER.owns(letter_id):
        raise _unknown(letter_id)


def _unknown(letter_id: str) -> NotFound:
    return NotFound(f"no dead letter {letter_id!r} exists")
