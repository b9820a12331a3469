"""The work queue of a session: its waiting items, and the drain that processes them."""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.decider import Context, Decider
from athena_core.enums import DeadLetterReason, QueueMode
from athena_core.errors import RetryWith, WorkQueueFull, retry_with
from athena_core.event import EXTRA, Event, Guard, Recorded, Shows, Text, Value, says
from athena_core.values import PinnedScope

QUEUE_ITEMS_MAX = 1_000
BATCH_ITEMS_MAX = 100
DRAIN_RUNS_MAX = 1_000
"""Maximum runs of a drain. Without it, a drain might never end while new items are enqueued."""

PAYLOAD_SEPARATOR = "\n\n"
"""The separator between the payloads in one run: a blank line."""

# Stored events. Their TYPE is storage: never rename one.


class WorkEnqueued(Event):
    """An item was added to the queue. It may deliver a message or come from a dead letter."""

    TYPE: ClassVar[str] = "work.enqueued"
    SHOWS: ClassVar[Shows] = Shows()
    queue_depth: int
    item_id: str
    mode: Annotated[QueueMode, says("`followup`: a run of its own. `collect`: consecutive items share one run.")]
    chars: int
    enqueued_by: str
    message_id: str | None = None
    dead_letter_id: str | None = None
    scope: Annotated[PinnedScope | None, EXTRA] = None
    payload: Text = None


class WorkDrainStarted(Event):
    """A drain started: on request, or ``automatic``."""

    TYPE: ClassVar[str] = "work.drain.started"
    SHOWS: ClassVar[Shows] = Shows()
    BEGINS: ClassVar[bool] = True
    drain_id: str
    queue_depth_before: int
    requested_by: str
    automatic: bool | None = None
    provider: str | None = None
    model: str | None = None
    scope: Annotated[PinnedScope | None, EXTRA] = None


class WorkBatchStarted(Event):
    """Items were leased to a run, which was admitted in the same transaction."""

    TYPE: ClassVar[str] = "work.batch.started"
    SHOWS: ClassVar[Shows] = Shows()
    BEGINS: ClassVar[bool] = True
    drain_id: str
    run_id: str
    item_ids: tuple[str, ...]


class WorkItemDrained(Event):
    """An item left the queue because its run completed."""

    TYPE: ClassVar[str] = "work.item.drained"
    SHOWS: ClassVar[Shows] = Shows()
    drain_id: str
    run_id: str
    item_id: str
    queue_depth: int


class WorkBatchReturned(Event):
    """Items were put back because their run did not complete. ``counted`` is true if this counts as an attempt."""

    TYPE: ClassVar[str] = "work.batch.returned"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows()
    drain_id: str
    run_id: str
    item_ids: tuple[str, ...]
    code: str
    failed_at: str
    counted: bool
    error_text: Text = None


class WorkBatchDeadLettered(Event):
    """Items left the queue as one dead letter. ``run_id`` is absent if there was no run."""

    TYPE: ClassVar[str] = "work.batch.dead-lettered"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows()
    drain_id: str
    dead_letter_id: str
    item_ids: tuple[str, ...]
    reason: Annotated[DeadLetterReason, says("Why they could not be done.")]
    code: str
    queue_depth: int
    run_id: str | None = None
    error_text: Text = None


class WorkDrained(Event):
    """A drain ended: the queue was empty, or the drain reached its maximum number of runs."""

    TYPE: ClassVar[str] = "work.drained"
    SHOWS: ClassVar[Shows] = Shows()
    status: Literal["ok"]
    drained_items: int
    queue_depth_before: int
    queue_depth_after: int
    drain_id: str


class WorkDrainFailed(Event):
    """A drain stopped with an error: the run failed, or none could start."""

    TYPE: ClassVar[str] = "work.drain.failed"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows()
    drain_id: str
    code: str
    drained_items: int
    queue_depth_before: int
    queue_depth_after: int
    run_id: str | None = None
    retryable: bool | None = None
    retry_with: RetryWith | None = None
    error_text: Text = None


# State


class ItemAttempt(Value):
    """A failed run: its id, time (ISO-8601) and error code."""

    run_id: str
    at: str
    code: str


class QueueItem(Value):
    """A waiting item. Its payload is text, stored only in the event with this ``version``."""

    id: str
    version: int
    mode: QueueMode
    chars: int
    enqueued_by: str
    message_id: str | None = None
    dead_letter_id: str | None = None
    scope: PinnedScope | None = None
    attempts: tuple[ItemAttempt, ...] = ()


class QueueDrain(Value):
    """The active drain. ``version`` is its first event's; ``runs`` counts batches."""

    id: str
    version: int
    requested_by: str
    automatic: bool
    provider: str | None
    model: str | None
    queue_depth_before: int
    drained_items: int = 0
    runs: int = 0
    scope: PinnedScope | None = None


class QueueBatch(Value):
    """The items that are leased to a run."""

    run_id: str
    item_ids: tuple[str, ...]


class QueueState(Value):
    """The waiting items, oldest first, and the active drain. Items of ``batch`` wait until their run has completed.

    ``version`` counts the events of the stream.
    """

    version: int = 0
    items: tuple[QueueItem, ...] = ()
    drain: QueueDrain | None = None
    batch: QueueBatch | None = None

    def named(self, item_ids: tuple[str, ...]) -> tuple[QueueItem, ...]:
        """Return the waiting items with these ids, in queue order."""
        return tuple(item for item in self.items if item.id in item_ids)

    @property
    def automatic(self) -> bool:
        """True if an item delivers a message, so the queue is drained automatically."""
        return any(item.message_id is not None for item in self.items)


def evolve(state: QueueState, event: Event) -> QueueState:
    state = replace(state, version=state.version + 1)
    match event:
        case WorkEnqueued():
            item = QueueItem(
                id=event.item_id,
                version=state.version,
                mode=event.mode,
                chars=event.chars,
                enqueued_by=event.enqueued_by,
                message_id=event.message_id,
                dead_letter_id=event.dead_letter_id,
                scope=event.scope,
            )
            return replace(state, items=(*state.items, item))
        case WorkDrainStarted():
            drain = QueueDrain(
                id=event.drain_id,
                version=state.version,
                requested_by=event.requested_by,
                automatic=bool(event.automatic),
                provider=event.provider,
                model=event.model,
                queue_depth_before=event.queue_depth_before,
                scope=event.scope,
            )
            return replace(state, drain=drain)
        case WorkBatchStarted():
            batch = QueueBatch(run_id=event.run_id, item_ids=event.item_ids)
            return replace(state, drain=_count_up(state.drain, runs=1), batch=batch)
        case WorkItemDrained():
            return replace(_remove(state, (event.item_id,)), drain=_count_up(state.drain, items=1))
        case WorkBatchReturned():
            return replace(_add_attempts(state, event) if event.counted else state, batch=None)
        case WorkBatchDeadLettered():
            return replace(_remove(state, event.item_ids), batch=None)
        case WorkDrained() | WorkDrainFailed():
            return replace(state, drain=None, batch=None)
        case _:
            return state


def _count_up(drain: QueueDrain | None, *, items: int = 0, runs: int = 0) -> QueueDrain | None:
    return drain and replace(drain, drained_items=drain.drained_items + items, runs=drain.runs + runs)


def _remove(state: QueueState, item_ids: tuple[str, ...]) -> QueueState:
    """Remove items from the queue and from the batch, which ends with its last item."""
    items = tuple(item for item in state.items if item.id not in item_ids)
    batch = state.batch
    if batch is not None:
        left = tuple(item_id for item_id in batch.item_ids if item_id not in item_ids)
        batch = replace(batch, item_ids=left) if left else None
    return replace(state, items=items, batch=batch)


def _add_attempts(state: QueueState, event: WorkBatchReturned) -> QueueState:
    attempt = ItemAttempt(run_id=event.run_id, at=event.failed_at, code=event.code)
    items = (
        replace(item, attempts=(*item.attempts, attempt)) if item.id in event.item_ids else item for item in state.items
    )
    return replace(state, items=tuple(items))


# Guards: ``drain`` by session, until the drain ends.


def _started_guards(recorded: Recorded[WorkDrainStarted]) -> tuple[Guard, ...]:
    return (Guard(kind="drain", key=recorded.session_id or "", value=(recorded.event.drain_id,)),)


def _ended_guards(recorded: Recorded[WorkDrained | WorkDrainFailed]) -> tuple[Guard, ...]:
    return (Guard(kind="drain", key=recorded.session_id or "", value=None),)


# Commands


class EnqueueWork(Value):
    """Append an item. ``duplicate`` means that an item with the same payload and mode is already waiting."""

    item_id: str
    mode: QueueMode
    payload: str
    enqueued_by: str
    duplicate: bool = False
    message_id: str | None = None
    dead_letter_id: str | None = None
    scope: PinnedScope | None = None


class StartDrain(Value):
    """Start a drain unless one is active or the queue is empty."""

    drain_id: str
    requested_by: str
    automatic: bool = False
    provider: str | None = None
    model: str | None = None
    scope: PinnedScope | None = None


class StartBatch(Value):
    """Lease items to a run if they are the next ones."""

    run_id: str
    item_ids: tuple[str, ...]
    chars_max: int


class CompleteBatch(Value):
    """Acknowledge the items of a completed run."""

    run_id: str


class FailBatch(Value):
    """Return the items of a run that did not complete; make a dead letter of the exhausted ones, or of all.

    ``counted`` means that this was an attempt. ``grave`` is the reason to give up on all items.
    """

    run_id: str
    code: str
    message: str
    counted: bool
    attempts_max: int
    dead_letter_id: str
    retryable: bool = False
    grave: DeadLetterReason | None = None


class RefuseBatch(Value):
    """Handle items that no run could start with. With ``grave`` they become a dead letter, else they keep waiting."""

    item_ids: tuple[str, ...]
    code: str
    message: str
    dead_letter_id: str
    retryable: bool = False
    grave: DeadLetterReason | None = None


class FinishDrain(Value):
    """End the drain if it has nothing left to do."""


QueueCommand = EnqueueWork | StartDrain | StartBatch | CompleteBatch | FailBatch | RefuseBatch | FinishDrain


def next_batch(state: QueueState, chars_max: int) -> tuple[QueueItem, ...]:
    """Return the items for the next run: one ``followup``, or all ``collect`` items up to the next ``followup``.

    The batch has at most ``chars_max`` characters and 100 items; the first item always fits.
    """
    if not state.items or state.items[0].mode == "followup":
        return state.items[:1]
    count, chars = 1, state.items[0].chars
    for item in state.items[1:BATCH_ITEMS_MAX]:
        chars += len(PAYLOAD_SEPARATOR) + item.chars
        if item.mode != "collect" or chars > chars_max:
            break
        count += 1
    return state.items[:count]


def acknowledged(state: QueueState) -> QueueState:
    """Return the queue as it is after the batch's run has completed."""
    if state.batch is None:
        return state
    item_ids = state.batch.item_ids
    return replace(_remove(state, item_ids), drain=_count_up(state.drain, items=len(item_ids)))


def has_more(state: QueueState) -> bool:
    """Return True if the drain continues after its batch."""
    return bool(state.items) and state.drain is not None and state.drain.runs < DRAIN_RUNS_MAX


def decide(command: QueueCommand, state: QueueState, context: Context) -> tuple[Event, ...]:
    """Return the events of a command; none if it came too late. Raise WorkQueueFull."""
    drain, batch = state.drain, state.batch
    match command:
        case EnqueueWork():
            return () if command.duplicate else (_enqueue(command, state),)
        case StartDrain():
            return () if drain is not None or not state.items else (_start_drain(command, state),)
        case StartBatch():
            following = tuple(item.id for item in next_batch(state, command.chars_max))
            asked = command.item_ids
            if drain is None or batch is not None or not asked or following[: len(asked)] != asked:
                return ()
            return (WorkBatchStarted(drain_id=drain.id, run_id=command.run_id, item_ids=asked),)
        case CompleteBatch():
            if drain is None or batch is None or batch.run_id != command.run_id:
                return ()
            return tuple(
                WorkItemDrained(
                    drain_id=drain.id,
                    run_id=batch.run_id,
                    item_id=item_id,
                    queue_depth=len(state.items) - count,
                )
                for count, item_id in enumerate(batch.item_ids, start=1)
            )
        case FailBatch():
            if drain is None or batch is None or batch.run_id != command.run_id:
                return ()
            return _fail(command, state, drain, batch, iso(context.now))
        case RefuseBatch():
            if drain is None or batch is not None or state.named(command.item_ids) == ():
                return ()
            return _refuse(command, state, drain)
        case FinishDrain():
            if drain is None or batch is not None or has_more(state):
                return ()
            return (WorkDrained(status="ok", **_summary(drain, len(state.items))),)


def _enqueue(command: EnqueueWork, state: QueueState) -> Event:
    if len(state.items) >= QUEUE_ITEMS_MAX:
        raise WorkQueueFull(f"The queue is full: {QUEUE_ITEMS_MAX} items are waiting. Drain it, then retry.")
    return WorkEnqueued(
        queue_depth=len(state.items) + 1,
        item_id=command.item_id,
        mode=command.mode,
        chars=len(command.payload),
        enqueued_by=command.enqueued_by,
        message_id=command.message_id,
        dead_letter_id=command.dead_letter_id,
        scope=command.scope,
        payload=command.payload,
    )


def _start_drain(command: StartDrain, state: QueueState) -> Event:
    return WorkDrainStarted(
        drain_id=command.drain_id,
        queue_depth_before=len(state.items),
        requested_by=command.requested_by,
        automatic=command.automatic or None,
        provider=command.provider,
        model=command.model,
        scope=command.scope,
    )


def _fail(command: FailBatch, state: QueueState, drain: QueueDrain, batch: QueueBatch, at: str) -> tuple[Event, ...]:
    """Return the events of a failed run: the attempt, a dead letter for exhausted items, the end of the drain."""
    events: tuple[Event, ...] = (
        WorkBatchReturned(
            drain_id=drain.id,
            run_id=batch.run_id,
            item_ids=batch.item_ids,
            code=command.code,
            error_text=command.message,
            failed_at=at,
            counted=command.counted,
        ),
    )
    after = evolve(state, events[0])
    worn = (item for item in after.named(batch.item_ids) if len(item.attempts) >= command.attempts_max)
    dead = batch.item_ids if command.grave else tuple(item.id for item in worn) if command.counted else ()
    if dead:
        buried = WorkBatchDeadLettered(
            drain_id=drain.id,
            dead_letter_id=command.dead_letter_id,
            item_ids=dead,
            reason=command.grave or "attempts-exhausted",
            code=command.code,
            error_text=command.message,
            queue_depth=len(state.items) - len(dead),
            run_id=batch.run_id,
        )
        events += (buried,)
    return (*events, _stop_drain(drain, command, len(state.items) - len(dead), batch.run_id))


def _refuse(command: RefuseBatch, state: QueueState, drain: QueueDrain) -> tuple[Event, ...]:
    dead = tuple(item.id for item in state.named(command.item_ids)) if command.grave else ()
    depth = len(state.items) - len(dead)
    events: tuple[Event, ...] = (_stop_drain(drain, command, depth, None),)
    if command.grave is None:
        return events
    buried = WorkBatchDeadLettered(
        drain_id=drain.id,
        dead_letter_id=command.dead_letter_id,
        item_ids=dead,
        reason=command.grave,
        code=command.code,
        error_text=command.message,
        queue_depth=depth,
    )
    return (buried, *events)


def _stop_drain(drain: QueueDrain, command: FailBatch | RefuseBatch, depth: int, run_id: str | None) -> Event:
    return WorkDrainFailed(
        code=command.code,
        error_text=command.message,
        run_id=run_id,
        retryable=command.retryable,
        retry_with=retry_with(retryable=command.retryable),
        **_summary(drain, depth),
    )


def _summary(drain: QueueDrain, depth: int) -> dict[str, Any]:
    return {
        "drain_id": drain.id,
        "drained_items": drain.drained_items,
        "queue_depth_before": drain.queue_depth_before,
        "queue_depth_after": depth,
    }


def attempts_of(items: Iterable[QueueItem]) -> tuple[ItemAttempt, ...]:
    """Return the failed runs of items, each once, in order."""
    found = {attempt.run_id: attempt for item in items for attempt in item.attempts}
    return tuple(sorted(found.values(), key=lambda attempt: attempt.at))


def stream(session_id: str) -> str:
    """Return the stream of a session's queue. The prefix keeps client-chosen ids apart from other streams."""
    return "work:" + session_id


DECIDER: Decider[QueueState] = Decider(
    category="work",
    events=(
        WorkEnqueued,
        WorkDrainStarted,
        WorkBatchStarted,
        WorkItemDrained,
        WorkBatchReturned,
        WorkBatchDeadLettered,
        WorkDrained,
        WorkDrainFailed,
    ),
    initial=QueueState(),
    evolve=evolve,
    occupies={WorkDrainStarted: _started_guards, WorkDrained: _ended_guards, WorkDrainFailed: _ended_guards},
)
