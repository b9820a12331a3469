"""Messages: work that one persona sends to another, through the queue of the receiver's session."""

from typing import Annotated, Any, NamedTuple

import msgspec

from athena_core.clock import Ids
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import dead_letter, message, queue, run
from athena_core.errors import ConfigError
from athena_core.event import Meta, Position, says
from athena_core.log.port import StoreReader
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.queues.dead_letters import HOPS_BEGIN, PERSONA_SESSION, letter_facts, payload_object
from athena_core.services.queues.queues import queue_facts
from athena_core.services.reviews.definitions import PersonaDefinition, PersonaFiles
from athena_core.services.runs.runs import Runs
from athena_core.values import (
    CLIENT_ID_CHARS_MAX,
    ID_PATTERN,
    Body,
    Identity,
    Label,
    PinnedScope,
    RecordId,
    narrower,
    pinned,
    unpinned,
)

ANCESTORS_MAX = 64
PERSONA_CHARS_MAX = CLIENT_ID_CHARS_MAX - len(PERSONA_SESSION)

PersonaName = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, min_length=1, max_length=PERSONA_CHARS_MAX)]


class MessageBody(Body):
    """A message from one persona to another: a text or an object, and the sender's task, step or run."""

    from_persona: PersonaName
    to_persona: PersonaName
    payload: Annotated[Any, says("A text or an object.")]
    task_id: Label | None = None
    step_id: Label | None = None
    parent_run_id: RecordId | None = None


class Delivery(NamedTuple):
    """A message to deliver: its position, correlation, and receiver (None if not defined any more)."""

    position: Position
    correlation: str
    persona: PersonaDefinition | None


class Messages:
    """Sends messages; the drainer delivers them."""

    def __init__(
        self, log: Log, reader: StoreReader, runs: Runs, personas: PersonaFiles, ids: Ids, *, hops_max: int
    ) -> None:
        """Connect the parts; messages beyond ``hops_max`` hops from the first are not delivered."""
        self._log = log
        self._runs = runs
        self._personas = personas
        self._ids = ids
        self._hops_max = hops_max
        self._reader = reader

    def knows(self, persona: str) -> bool:
        """Return True if a persona of this name is defined now. Blocking, for a small file."""
        try:
            self._personas.read(persona, "")
        except ConfigError:
            return False
        return True

    async def send(self, body: MessageBody, who: Identity, meta: Meta, key: Key | None) -> Committed:
        """Send a message, or make it a dead letter beyond the hop limit; the subject is its id.

        Raise ConfigError, ContextOverflow or WorkQueueFull.
        """
        text = _payload_text(body.payload)
        self._runs.compiler.check(text)
        self._personas.read(body.from_persona, "fromPersona")
        self._personas.read(body.to_persona, "toPersona")
        hops, scope = HOPS_BEGIN, who.scope
        if body.parent_run_id is not None:
            hops = self._hops(body.parent_run_id)
            scope = narrower(scope, unpinned(self._request(body.parent_run_id)[1].scope))
        session_id = PERSONA_SESSION + body.to_persona
        far = hops > self._hops_max
        sent = message.MessageSent(
            message_id=self._ids.new("msg"),
            from_agent=body.from_persona,
            to_agent=body.to_persona,
            status="sent",
            hops=hops,
            sent_by=who.subject,
            item_id=None if far else self._ids.new("wi"),
            step_id=body.step_id,
            task_id=body.task_id,
            parent_run_id=body.parent_run_id,
            payload=text,
        )
        letter = self._hop_limit_letter(sent, session_id, pinned(scope))

        def send(reader: Reader, context: Context) -> Outcome:
            events = message.decide(message.SendMessage(sent=sent), message.DECIDER.initial, context)
            if far:
                failed = message.FailMessage(
                    reason=letter.reason,
                    code=letter.code,
                    error=letter.error_text or "",
                    dead_letter_id=letter.id,
                )
                events += message.decide(failed, message.evolve(message.DECIDER.initial, events[0]), context)
            facts = facts_of(sent.message_id, events, session_id=session_id)
            if far:
                added = letter_facts(reader, context, dead_letter.AddDeadLetter(letter=letter), letter.id, session_id)
                return Outcome(facts=(facts[0], *added, *facts[1:]), subject=sent.message_id)
            enqueue = queue.EnqueueWork(
                item_id=sent.item_id or "",
                mode="followup",
                payload=text,
                enqueued_by=who.subject,
                message_id=sent.message_id,
                scope=pinned(scope),
            )
            enqueued = queue.decide(enqueue, reader.state(queue.DECIDER, queue.stream(session_id)), context)
            return Outcome(facts=facts + queue_facts(session_id, enqueued), subject=sent.message_id)

        return await self._log.submit(send, meta, key, frozenset((sent.message_id,)))

    def _hop_limit_letter(
        self, sent: message.MessageSent, session_id: str, scope: PinnedScope | None
    ) -> dead_letter.DeadLetterAdded:
        error = f"the message has {sent.hops} hops; messages with more than {self._hops_max} hops are not delivered"
        return dead_letter.DeadLetterAdded(
            id=self._ids.new("dlq"),
            source="a2a",
            session_id=session_id,
            reason="hop-limit",
            code="HOP_LIMIT",
            error_text=error,
            retry_count=0,
            items=(),
            attempts=(),
            message_id=sent.message_id,
            source_persona=sent.from_agent,
            target_persona=sent.to_agent,
            scope=scope,
            payload=msgspec.json.encode(payload_object(sent.payload)).decode(),
        )

    def _hops(self, run_id: str) -> int:
        """Return the hops of a message that this run sends: one more than the message that caused it or a parent.

        The cause of a message's run is the event that sent the message, which no redaction removes.
        """
        asked: str | None = run_id
        for _ in range(ANCESTORS_MAX):
            if asked is None:
                break
            row, event = self._request(asked)
            cause = self._reader.row(row.causation) if row.causation is not None else None
            if cause is not None and cause.type == message.MessageSent.TYPE:
                sent = self._log.codec.decode(cause, text=False).event
                if isinstance(sent, message.MessageSent):
                    return sent.hops + 1
            asked = event.parent_run_id
        return HOPS_BEGIN

    def _request(self, run_id: str) -> tuple[Row, run.RunRequest]:
        """Return the row and the event of a run's request. Raise ConfigError for an unknown run."""
        rows = self._reader.stream(run_id, 0, 1) if run.DECIDER.owns(run_id) else []
        event = self._log.codec.decode(rows[0], text=False).event if rows else None
        if not isinstance(event, run.RunRequest):
            raise ConfigError.of("parentRunId", f"no run {run_id!r} exists", "the id of a run")
        return rows[0], event

    def delivery(self, message_id: str) -> Delivery:
        """Return the data needed to deliver a message."""
        (row,) = self._reader.stream(message_id, 0, 1)
        sent = self._log.codec.decode(row, text=False).event
        assert isinstance(sent, message.MessageSent)
        try:
            persona = self._personas.read(sent.to_agent, "toPersona").persona
        except ConfigError:
            persona = None
        return Delivery(row.position, row.correlation, persona)


def _payload_text(payload: Any) -> str:
    """Return the text for the persona: a text as it is, an object as compact JSON. Raise ConfigError."""
    if isinstance(payload, str) and payload.strip():
        return payload.strip()
    if isinstance(payload, dict) and payload:
        return msgspec.json.encode(payload).decode()
    raise ConfigError.of("payload", "is neither a text nor an object, or is empty", "the work to do")
