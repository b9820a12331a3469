"""The service of queues: enqueue items, start a drain, wait for its result."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, Literal

from athena_core.clock import Ids
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import queue, run
from athena_core.enums import QueueMode
from athena_core.errors import (
    ProviderNotFound,
    recorded_error,
)
from athena_core.event import Event, Fact, Meta, Position, Recorded, Value, says
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
    """An item of work for a session; consecutive ``collect`` items are done in one run."""

    session_id: ClientId
    payload: Annotated[LongText, says("Text of the work.")]
    mode: Annotated[QueueMode, says("`followup`: a run of its own. `collect`: consecutive items share one run.")]


class DrainBody(Body):
    """The provider and model of a drain's runs, if not the defaults."""

    provider: Label | None = None
    model: Label | None = None


class DrainResult(Value):
    """The result of a drain."""

    status: Annotated[Literal["ok", "already-draining"], says("`already-draining`: another drain does the work.")]
    drained_items: int
    queue_depth_before: int
    queue_depth_after: Annotated[int, says("Waiting items at the end.")]


class PayloadsUnread(Exception):
    """Payloads of waiting items must be read before duplicates can be recognized."""


class Queues:
    """Enqueues items and starts drains; the drainer processes them."""

    def __init__(
        self, log: Log, reader: StoreReader, tail: Tail, runs: Runs, ids: Ids, providers: frozenset[str]
    ) -> None:
        self._log = log
        self._runs = runs
        self._ids = ids
        self._providers = providers
        self._reader = reader
        self._digests: OrderedDict[str, bytes] = OrderedDict()
        self._waiters = Waiters[str, OneShot](OneShot)
        tail.subscribe(self._on_rows, ENDED_TYPES | {run.RunPaused.TYPE})

    def _on_rows(self, rows: Sequence[Row]) -> None:
        """Wake the callers that wait for a drain that ended, or whose run was paused."""
        for row in rows:
            self._waiters.wake(row.session_id or "")

    # Enqueueing

    async def enqueue(self, body: EnqueueBody, who: Identity, meta: Meta, key: Key | None) -> Committed:
        """Enqueue an item, unless one with the same payload and mode is waiting.

        The subject is the id of the item. Raise ContextOverflow or WorkQueueFull.
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
                raise PayloadsUnread("a payload may have been erased since")
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
        """Return the waiting item with the same payload. Raise PayloadsUnread. Runs in the writer's thread."""
        for item in state.items:
            known = self._digests.get(item.id)
            if known is None:
                raise PayloadsUnread("payloads must be read first")
            if known == digest:
                return item.id
        return None

    def _read_payloads(self, session_id: str, items: tuple[queue.QueueItem, ...]) -> None:
        payloads = self.payloads(session_id, items)
        for item in items:
            payload = payloads.get(item.id)
            # an erased payload equals no other
            self._remember(item.id, b"" if payload is None else _digest(item.mode, payload))

    # Draining

    async def drain(
        self, session_id: str, body: DrainBody, who: Identity, meta: Meta, key: Key | None
    ) -> Committed[DrainResult | None]:
        """Start to drain a queue. The subject is the drain's id; if none was started, the answer is the result.

        Raise ProviderNotFound.
        """
        provider = body.provider
        if provider is not None and provider not in self._providers:
            known = ", ".join(sorted(self._providers))
            raise ProviderNotFound(f"provider {provider!r} is not registered; known: {known}")
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
        """Return once the drain that began at a position has ended or its run is paused, or after this many seconds."""
        with self._waiters.wait(session_id) as waiter:
            if self._ending(session_id, began) is None:
                await waiter.within(seconds)

    def result(self, session_id: str, began: Position) -> tuple[DrainResult, Position] | None:
        """Return the result of the drain that began at a position, and where it ended; None while it is open.

        Raise the error that stopped it.
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
                text = or_erased(failed.error_text)
                raise recorded_error(failed.code, text, details, retryable=failed.retryable)
        return None

    def _ending(self, session_id: str, began: Position) -> Recorded[Event] | None:
        """Return the end of the drain that began at a position."""
        first = self._reader.row(began)
        rows = self._reader.stream(queue.stream(session_id), first.version) if first else []
        row = next((row for row in rows if row.type in ENDED_TYPES), None)
        return None if row is None else self._log.codec.decode(row)

    # Reading, for the drainer

    async def state(self, session_id: str) -> queue.QueueState:
        """Return the queue's state at the head."""
        stream = queue.stream(session_id)
        return await at_head(self._log, lambda reader: reader.state(queue.DECIDER, stream))

    def cause(self, session_id: str, drain: queue.QueueDrain) -> tuple[Position, str]:
        """Return the position at which a drain began, and its correlation."""
        (row,) = self._reader.stream(queue.stream(session_id), drain.version - 1, drain.version)
        return row.position, row.correlation

    def payloads(self, session_id: str, items: Sequence[queue.QueueItem]) -> dict[str, str]:
        """Return the payloads of items by id, without erased ones."""
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
        """Return the errors of the items' failed attempts by run, without erased ones."""
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
    """Put the events of a queue into envelopes; events about a run name it."""
    return facts_of(queue.stream(session_id), events, session_id=session_id, run_field="run_id")


def _digest(mode: str, payload: str) -> bytes:
    return hashlib.sha256(f"{mode}\0{payload}".encode()).digest()


def _nothing_drained(status: Literal["ok", "already-draining"], depth: int) -> DrainResult:
    return DrainResult(status=status, drained_items=0, queue_depth_before=depth, queue_depth_after=depth)
