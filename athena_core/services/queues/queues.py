"""Queues: enqueueing items, beginning a drain, its result, and waiting for it."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from athena_core.clock import Ids
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import queue, run
from athena_core.errors import (
    ProviderNotFound,
    recorded_error,
)
from athena_core.event import Event, Fact, Meta, Position, Recorded, Value
from athena_core.log.port import StoreReader
from athena_core.log.submission import Committed
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.runs.runs import Runs
from athena_core.services.states import at_head
from athena_core.services.waiters import OneShot, Waiters
from athena_core.text import or_erased
from athena_core.values import Body, ClientId, Identity, Label, LongText, pinned

KNOWN_PAYLOADS_MAX = 50_000
ENDED_TYPES = frozenset({queue.WorkDrained.TYPE, queue.WorkDrainFailed.TYPE})


class EnqueueBody(Body):
    """What is to be done in a session; ``collect`` items that follow each other are done together."""

    session_id: ClientId
    payload: LongText
    mode: queue.QueueMode


class DrainBody(Body):
    """Who is to do it, unless as the settings say."""

    provider: Label | None = None
    model: Label | None = None


class DrainResult(Value):
    """What a drain came to (contract 4.7)."""

    status: str
    drained_items: int
    queue_depth_before: int
    queue_depth_after: int


class PayloadsUnread(Exception):
    """Items wait whose payloads have to be read, so that it can be told whether one is the same."""


class Queues:
    """Enqueues items and begins drains; the drainer works them off."""

    def __init__(
        self, log: Log, reader: StoreReader, tail: Tail, runs: Runs, ids: Ids, providers: frozenset[str]
    ) -> None:
        """Take the parts."""
        self._log = log
        self._runs = runs
        self._ids = ids
        self._providers = providers
        self._reader = reader
        self._digests: OrderedDict[str, bytes] = OrderedDict()
        self._waiters = Waiters[str, OneShot](OneShot)
        tail.subscribe(self._on_rows, ENDED_TYPES | {run.RunPaused.TYPE})

    def _on_rows(self, rows: Sequence[Row]) -> None:
        """Wake whoever waits for a drain that ended, or for a run of its session that was paused."""
        for row in rows:
            self._waiters.wake(row.session_id or "")

    # Enqueueing

    async def enqueue(self, body: EnqueueBody, who: Identity, meta: Meta, key: Key | None) -> Committed:
        """Put an item at the end of a queue, unless one with the same payload and mode waits in it.

        The subject is the id of the item. Raises ContextOverflow, WorkQueueFull.
        """
        self._runs.compiler.check(body.payload)
        session_id, item_id = body.session_id, self._ids.new("wi")
        stream, digest = queue.stream(session_id), _digest(body.mode, body.payload)
        self._remember(item_id, digest)
        compared = False

        def enqueue(reader: Reader, context: Context) -> Outcome:
            state = reader.state(queue.DECIDER, stream)
            same = self._item_like(state, digest)
            if same is not None and not compared:
                raise PayloadsUnread("it may have been erased since")
            command = queue.EnqueueWork(
                item_id=item_id,
                mode=body.mode,
                payload=body.payload,
                enqueued_by=who.subject,
                duplicate=same is not None,
                scope=pinned(who.scope),
            )
            events = queue.decide(command, state, context)
            return Outcome(facts=queue_facts(session_id, events), subject=same or item_id)

        while True:
            try:
                return await self._log.submit(enqueue, meta, key)
            except PayloadsUnread:
                self._read_payloads(session_id, (await self.state(session_id)).items)
                compared = True

    def _remember(self, item_id: str, digest: bytes) -> None:
        self._digests[item_id] = digest
        while len(self._digests) > KNOWN_PAYLOADS_MAX:
            self._digests.popitem(last=False)

    def _item_like(self, state: queue.QueueState, digest: bytes) -> str | None:
        """The item that holds the same. Raises PayloadsUnread; called in the thread of the writer."""
        for item in state.items:
            known = self._digests.get(item.id)
            if known is None:
                raise PayloadsUnread("payloads have to be read first")
            if known == digest:
                return item.id
        return None

    def _read_payloads(self, session_id: str, items: tuple[queue.QueueItem, ...]) -> None:
        payloads = self.payloads(session_id, items)
        for item in items:
            payload = payloads.get(item.id)
            # what was erased is the same as nothing
            self._remember(item.id, b"" if payload is None else _digest(item.mode, payload))

    # Draining

    async def drain(
        self, session_id: str, body: DrainBody, who: Identity, meta: Meta, key: Key | None
    ) -> Committed[DrainResult | None]:
        """Begin to work off a queue. The subject is the id of the drain; where none began, the answer is the result.

        Raises ProviderNotFound.
        """
        provider = body.provider
        if provider is not None and provider not in self._providers:
            known = ", ".join(sorted(self._providers))
            raise ProviderNotFound(f"no provider {provider!r} is registered; known: {known}")
        drain_id = self._ids.new("drn")
        command = queue.StartDrain(
            drain_id=drain_id,
            requested_by=who.subject,
            provider=provider,
            model=body.model,
            scope=pinned(who.scope),
        )

        def drain(reader: Reader, context: Context) -> Outcome[DrainResult | None]:
            state = reader.state(queue.DECIDER, queue.stream(session_id))
            depth = len(state.items)
            if state.drain is not None:
                return Outcome(answer=_nothing_drained("already-draining", depth))
            if not depth:
                return Outcome(answer=_nothing_drained("ok", 0))
            return Outcome(facts=queue_facts(session_id, queue.decide(command, state, context)), subject=drain_id)

        return await self._log.submit(drain, meta, key, answers=DrainResult)

    async def settled(self, session_id: str, began: Position, seconds: float) -> None:
        """Return once the drain that began at a position has ended or its run is paused, or after so many seconds."""
        with self._waiters.wait(session_id) as waiter:
            if self._ending(session_id, began) is None:
                await waiter.within(seconds)

    def result(self, session_id: str, began: Position) -> tuple[DrainResult, Position] | None:
        """What the drain that began at a position came to, and where it ended; None while it is at work.

        Raises the error that it stopped with.
        """
        ended = self._ending(session_id, began)
        match ended and ended.event:
            case queue.WorkDrained() as done if ended is not None:
                result = DrainResult(
                    status=done.status,
                    drained_items=done.drained_items,
                    queue_depth_before=done.queue_depth_before,
                    queue_depth_after=done.queue_depth_after,
                )
                return result, ended.position
            case queue.WorkDrainFailed() as failed:
                details = {"drainId": failed.drain_id} | ({"runId": failed.run_id} if failed.run_id else {})
                raise recorded_error(failed.code, or_erased(failed.error_text), details)
        return None

    def _ending(self, session_id: str, began: Position) -> Recorded[Event] | None:
        """The end of the drain that began at a position."""
        first = self._reader.row(began)
        rows = self._reader.stream(queue.stream(session_id), first.version) if first else []
        row = next((row for row in rows if row.type in ENDED_TYPES), None)
        return None if row is None else self._log.codec.decode(row)

    # Reading, for those who work it off

    async def state(self, session_id: str) -> queue.QueueState:
        """The queue as it is at the head."""
        stream = queue.stream(session_id)
        return await at_head(self._log, lambda reader: reader.state(queue.DECIDER, stream))

    def cause(self, session_id: str, drain: queue.QueueDrain) -> tuple[Position, str]:
        """Where a drain began, and on whose request."""
        (row,) = self._reader.stream(queue.stream(session_id), drain.version - 1, drain.version)
        return row.position, row.correlation

    def payloads(self, session_id: str, items: Sequence[queue.QueueItem]) -> dict[str, str]:
        """What items say, by their ids; an item whose payload was erased is left out."""
        if not items:
            return {}
        versions = [item.version for item in items]
        rows = self._reader.stream(queue.stream(session_id), min(versions) - 1, max(versions))
        payloads = {}
        for row in rows:
            if row.type == queue.WorkEnqueued.TYPE:
                event = self._log.codec.decode(row).event
                if isinstance(event, queue.WorkEnqueued) and event.payload is not None:
                    payloads[event.item_id] = event.payload
        return {item.id: payloads[item.id] for item in items if item.id in payloads}

    def errors(self, session_id: str, items: Sequence[queue.QueueItem]) -> dict[str, str]:
        """Return what the failed attempts of items said, by run; an attempt whose words were erased is left out."""
        if not any(item.attempts for item in items):
            return {}
        rows = self._reader.stream(queue.stream(session_id), min(item.version for item in items))
        returned = (self._log.codec.decode(row).event for row in rows if row.type == queue.WorkBatchReturned.TYPE)
        return {
            event.run_id: event.error_text
            for event in returned
            if isinstance(event, queue.WorkBatchReturned) and event.error_text is not None
        }


def queue_facts(session_id: str, events: Sequence[Event]) -> tuple[Fact, ...]:
    """The events of a queue in their envelope; those about a run name it."""
    return facts_of(queue.stream(session_id), events, session_id=session_id, run_field="run_id")


def _digest(mode: str, payload: str) -> bytes:
    return hashlib.sha256(f"{mode}\0{payload}".encode()).digest()


def _nothing_drained(status: str, depth: int) -> DrainResult:
    return DrainResult(status=status, drained_items=0, queue_depth_before=depth, queue_depth_after=depth)
