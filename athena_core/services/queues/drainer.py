"""The drainer: the reactor that processes queues, one run after another."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from athena_core.clock import Clock, Ids
from athena_core.decider import Context, Outcome, Reader, Rejected, transact
from athena_core.domain import halt, message, queue, run
from athena_core.enums import DeadLetterReason
from athena_core.errors import AthenaError, AuthzDeniedError, ConfigError, ContextOverflow, StoreUnreachable
from athena_core.event import Event, Fact, Meta, Position
from athena_core.log.port import StoreReader
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.retry import Backoff
from athena_core.services.access.access import Access
from athena_core.services.queues.dead_letters import give_up_facts, message_facts
from athena_core.services.queues.messages import Messages
from athena_core.services.queues.queues import ENDED_TYPES, Queues, queue_facts
from athena_core.services.reactors import NOW
from athena_core.services.runs.admission import Admission
from athena_core.services.runs.prepared import PreparedRun
from athena_core.services.runs.results import cancel_note, run_error
from athena_core.services.runs.runs import Runs
from athena_core.values import Identity, RunBody, narrower, unpinned

RETRY_SECONDS_MAX = 60.0
NOTHING = Admission(())
ENQUEUE, DRAIN, SEND = "enqueueWork", "drainWork", "sendA2aMessage"
"""The operations that the requester must still be allowed."""


class UnrunnableItems(Exception):
    """Items that no run can be made of."""

    def __init__(self, items: tuple[queue.QueueItem, ...], error: AthenaError, grave: DeadLetterReason | None) -> None:
        """Raise for some items; ``grave`` is the reason to give them up for good, None if a retry may succeed."""
        super().__init__(error.message)
        self.items = items
        self.error = error
        self.grave = grave


class QueueBackoff(NamedTuple):
    """The pause of an automatic drain after failures in a row, until a time of the monotonic clock."""

    failures: int
    until: float


class QueueDrainer:
    """Leases the next items of a queue to a run, and acknowledges or returns them after its end."""

    name = "drains"
    types = run.ENDING_TYPES | ENDED_TYPES | {queue.WorkDrainStarted.TYPE, message.MessageSent.TYPE}

    def __init__(
        self,
        log: Log,
        reader: StoreReader,
        runs: Runs,
        queues: Queues,
        messages: Messages,
        access: Access,
        clock: Clock,
        ids: Ids,
        *,
        attempts_max: int,
        retry_seconds: float,
    ) -> None:
        """Connect the parts; ``retry_seconds`` is how long a message waits after its first failure."""
        self._log = log
        self._runs = runs
        self._queues = queues
        self._messages = messages
        self._access = access
        self._clock = clock
        self._ids = ids
        self._attempts_max = attempts_max
        self._retry_seconds = retry_seconds
        self._reader = reader
        self._meta = Meta(actor="system:drains", correlation=ids.trace())
        self._draining: set[str] = set()
        self._backoffs: dict[str, QueueBackoff] = {}

    def open(self, reader: StoreReader) -> Mapping[str, int]:
        """Return the sessions with an open drain or a waiting message."""
        guards = reader.guards("drain", "message")
        draining = {key for kind, key, _ in guards if kind == "drain"}
        self._draining |= draining  # some may have been added meanwhile
        return dict.fromkeys((*draining, *(str(value[0]) for kind, _, value in guards if kind == "message")), NOW)

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """Return the sessions with a new drain or message, or with a run of a drain that ended."""
        sessions = []
        for row in rows:
            if row.session_id is None:
                continue
            if row.type == queue.WorkDrainStarted.TYPE:
                self._draining.add(row.session_id)
                sessions.append(row.session_id)
            elif row.type == message.MessageSent.TYPE or (
                row.type in run.ENDING_TYPES and row.session_id in self._draining
            ):
                sessions.append(row.session_id)
            elif row.type in ENDED_TYPES:
                self._draining.discard(row.session_id)
        return sessions

    async def act(self, key: str) -> int | None:
        """Advance the drain of a session, or start one if a message waits."""
        session_id = key
        while True:
            state = await self._queues.state(session_id)
            if state.drain is None:
                if not state.automatic:
                    self._backoffs.pop(session_id, None)
                    return None
                rest = self._backoffs.get(session_id)
                if rest is not None and (left := rest.until - self._clock.monotonic()) > 0:
                    return self._clock.now() + round(left * 1_000)
                await self._start(session_id, state)
            elif state.batch is None:
                await self._advance(session_id, state, None)
            else:
                ended = self._ending(state.batch.run_id)
                if ended is None:
                    return None  # its end is reported
                ending, note = ended
                if isinstance(ending, run.RunCompleted):
                    self._backoffs.pop(session_id, None)
                    await self._advance(session_id, state, state.batch.run_id)
                else:
                    await self._give_back(session_id, state, state.batch, ending, note)

    def _ending(self, run_id: str) -> tuple[Event, str | None] | None:
        """Return the ending of a run and the reason of its cancellation; None while it is open."""
        telling = run.ENDING_TYPES | {run.RunCancelRequested.TYPE}
        events = [self._log.codec.decode(row).event for row in self._reader.stream(run_id) if row.type in telling]
        ending = next((event for event in events if event.TYPE in run.ENDING_TYPES), None)
        return None if ending is None else (ending, cancel_note(events))

    async def _start(self, session_id: str, state: queue.QueueState) -> None:
        """Start an automatic drain, because a message waits."""
        sender = next(item.enqueued_by for item in state.items if item.message_id is not None)
        command = queue.StartDrain(drain_id=self._ids.new("drn"), requested_by=sender, automatic=True)
        await self._log.submit(transact(queue, queue.stream(session_id), command, session_id=session_id), self._meta)

    # The next batch

    async def _advance(self, session_id: str, state: queue.QueueState, completed: str | None) -> None:
        """Acknowledge the items of a completed run and start the next run, or end the drain, in one transaction."""
        after = queue.acknowledged(state) if completed else state
        items = queue.next_batch(after, self._runs.compiler.chars_max) if queue.has_more(after) else ()
        payloads = self._queues.payloads(session_id, items)
        prepared: PreparedRun | None = None
        errors = self._queues.errors(session_id, items)
        otherwise: queue.QueueCommand = queue.FinishDrain()
        meta = self._meta
        if items:
            try:
                body, who, meta = self._batch_run(session_id, after, items, payloads)
                senders = (item.enqueued_by for item in items)
                prepared = replace(await self._runs.prepare(body, who), requesters=(who.subject, *senders))
            except UnrunnableItems as unfit:
                otherwise = self._refusal(unfit.items, unfit.error, unfit.grave)
            except (ConfigError, ContextOverflow) as error:
                otherwise = self._refusal(items, error, "unrunnable")
            except StoreUnreachable:  # it is retried
                raise
            except AthenaError as error:
                otherwise = self._refusal(items, error)

        def go_on(reader: Reader, context: Context) -> Outcome[bool]:
            transaction = QueueTransaction(reader, context, session_id, payloads, errors)
            if completed is not None and not transaction.decide(queue.CompleteBatch(run_id=completed)):
                return Outcome(answer=False)
            if items and halt.current(reader) is not None:  # the completed batch counts, the others wait
                if completed is None:
                    halt.refuse(reader)
                return transaction.outcome()
            if prepared is None:
                transaction.decide(otherwise)
                return transaction.outcome()
            start = queue.StartBatch(
                run_id=prepared.run_id,
                item_ids=tuple(item.id for item in items),
                chars_max=self._runs.compiler.chars_max,
            )
            if not transaction.decide(start):
                return transaction.outcome()
            try:
                return transaction.outcome(
                    then=self._runs.admit(reader, context, prepared, behind=len(transaction.facts))
                )
            except Rejected as rejected:
                transaction = QueueTransaction(reader, context, session_id, payloads, errors)
                if completed is not None:
                    transaction.decide(queue.CompleteBatch(run_id=completed))
                transaction.decide(self._refusal(items, rejected.error))
                return transaction.outcome(first=rejected.facts)  # a violation refers to the first event

        if prepared is None:
            committed = await self._log.submit(go_on, self._meta)
        else:
            committed = await self._runs.launch(prepared, meta, None, go_on, bool)
        if committed.answer:
            self._back_off(session_id)

    def _batch_run(
        self, session_id: str, state: queue.QueueState, items: tuple[queue.QueueItem, ...], payloads: Mapping[str, str]
    ) -> tuple[RunBody, Identity, Meta]:
        """Return the run for some items, its identity and its cause. Raise UnrunnableItems or ConfigError."""
        drain, first = state.drain, items[0]
        assert drain is not None
        erased = tuple(item for item in items if item.id not in payloads)
        if erased:
            raise UnrunnableItems(erased, ConfigError("the payload of the item was redacted"), "unrunnable")
        text = queue.PAYLOAD_SEPARATOR.join(payloads[item.id] for item in items)
        if first.message_id is not None:
            return self._delivery(first, session_id, text)
        subject = first.enqueued_by if drain.automatic else drain.requested_by
        scopes = (drain.scope, *(item.scope for item in items))
        who = self._access.on_behalf(subject, narrower(*map(unpinned, scopes)))
        operation = ENQUEUE if drain.automatic else DRAIN
        if not self._access.allows(who, operation):
            raise UnrunnableItems(items, _denied(who, operation), "not-allowed" if drain.automatic else None)
        body = RunBody(session_id=session_id, input=text, provider=drain.provider, model=drain.model)
        position, correlation = self._queues.cause(session_id, drain)
        return body, who, self._caused(position, correlation)

    def _caused(self, position: Position, correlation: str) -> Meta:
        return Meta(actor=self._meta.actor, correlation=correlation, causation=position)

    def _delivery(self, item: queue.QueueItem, session_id: str, text: str) -> tuple[RunBody, Identity, Meta]:
        """Return the run of a message, with the profile of its persona."""
        who = self._access.on_behalf(item.enqueued_by, unpinned(item.scope))
        if not self._access.allows(who, SEND):
            raise UnrunnableItems((item,), _denied(who, SEND), "not-allowed")
        delivery = self._messages.delivery(item.message_id or "")
        if delivery.persona is None:
            gone = ConfigError("the persona of the message is not defined any more")
            raise UnrunnableItems((item,), gone, "unknown-persona")
        body = RunBody(
            session_id=session_id,
            input=text,
            harness_profile_id=delivery.persona.harness_profile_id,
            metadata={"personaName": delivery.persona.id},
        )
        return body, who, self._caused(delivery.position, delivery.correlation)

    def _refusal(
        self, items: tuple[queue.QueueItem, ...], error: AthenaError, grave: DeadLetterReason | None = None
    ) -> queue.RefuseBatch:
        return queue.RefuseBatch(
            item_ids=tuple(item.id for item in items),
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            dead_letter_id=self._ids.new("dlq"),
            grave=grave,
        )

    # Failed batches

    async def _give_back(
        self, session_id: str, state: queue.QueueState, batch: queue.QueueBatch, ending: Event, note: str | None
    ) -> None:
        """Return the items of a failed run to the queue, or give them up after enough attempts."""
        assert state.drain is not None
        error = run_error(batch.run_id, ending, note)
        cancelled = isinstance(ending, run.RunCancelled)
        meant = isinstance(ending, run.RunCancelled) and ending.cause in {"requested", "parent"}
        command = queue.FailBatch(
            run_id=batch.run_id,
            code=error.code,
            message=error.message,
            retryable=error.retryable,
            counted=not cancelled,
            attempts_max=self._attempts_max,
            dead_letter_id=self._ids.new("dlq"),
            grave="cancelled" if meant and state.drain.automatic else None,
        )
        items = state.named(batch.item_ids)
        payloads, errors = self._queues.payloads(session_id, items), self._queues.errors(session_id, items)

        def give_back(reader: Reader, context: Context) -> Outcome[bool]:
            transaction = QueueTransaction(reader, context, session_id, payloads, errors)
            transaction.decide(command)
            return transaction.outcome()

        committed = await self._log.submit(give_back, self._meta)
        if committed.answer:
            self._back_off(session_id)
        else:
            self._backoffs.pop(session_id, None)

    def _back_off(self, session_id: str) -> None:
        """Double the pause before the next automatic drain of the queue."""
        failures = self._backoffs[session_id].failures + 1 if session_id in self._backoffs else 1
        seconds = Backoff(self._retry_seconds, RETRY_SECONDS_MAX).after(failures)
        self._backoffs[session_id] = QueueBackoff(failures, self._clock.monotonic() + seconds)


class QueueTransaction:
    """The decisions of one transaction about a queue, with the events of its items' messages and dead letters."""

    def __init__(
        self,
        reader: Reader,
        context: Context,
        session_id: str,
        payloads: Mapping[str, str],
        errors: Mapping[str, str],
    ) -> None:
        """Begin without events; ``payloads`` by item and ``errors`` by run are the texts for dead letters."""
        self.facts: list[Fact] = []
        self.state = reader.state(queue.DECIDER, queue.stream(session_id))
        self._reader = reader
        self._context = context
        self._session_id = session_id
        self._payloads = payloads
        self._errors = errors

    def decide(self, command: queue.QueueCommand) -> tuple[Event, ...]:
        events = queue.decide(command, self.state, self._context)
        for event, fact in zip(events, queue_facts(self._session_id, events), strict=True):
            self.facts.append(fact)
            self.facts += self._consequences(event)
            self.state = queue.evolve(self.state, event)
        return events

    def _consequences(self, event: Event) -> Iterable[Fact]:
        """Yield the events of messages and dead letters that follow from an event of the queue."""
        reader, context = self._reader, self._context
        match event:
            case queue.WorkBatchStarted():
                for item in self.state.named(event.item_ids):
                    command = message.StartMessage(attempt=len(item.attempts) + 1)
                    yield from message_facts(reader, context, item.message_id, command, event.run_id)
            case queue.WorkItemDrained():
                for item in self.state.named((event.item_id,)):
                    yield from message_facts(reader, context, item.message_id, message.CompleteMessage(), event.run_id)
            case queue.WorkBatchDeadLettered():
                items = self.state.named(event.item_ids)
                yield from give_up_facts(reader, context, self._session_id, event, items, self._payloads, self._errors)

    def outcome(self, *, first: tuple[Fact, ...] = (), then: Admission = NOTHING) -> Outcome[bool]:
        """Return all events. The answer is True if the drain stopped with items left."""
        kinds = {type(fact.event) for fact in self.facts}
        stopped = queue.WorkDrainFailed in kinds and queue.WorkBatchDeadLettered not in kinds
        return Outcome(facts=(*first, *self.facts, *then.facts), answer=stopped, handover=then.lease)


def _denied(who: Identity, operation: str) -> AuthzDeniedError:
    return AuthzDeniedError(f"{who.subject} now has the role {who.role}, which may not call {operation}")
