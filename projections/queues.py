"""Read model of session queues: waiting items, and drains with their outcomes."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.queue import (
    WorkBatchDeadLettered,
    WorkBatchReturned,
    WorkBatchStarted,
    WorkDrained,
    WorkDrainFailed,
    WorkDrainStarted,
    WorkEnqueued,
    WorkItemDrained,
)
from athena_core.enums import QueueMode
from athena_core.event import Event, Recorded, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.text import ERASED, or_erased
from athena_core.values import PAGE_ITEMS_MAX, Scope
from projections.engine.page import Keyset, Page
from projections.engine.projection import Projection, Rows, Table

DrainStatus: TypeAlias = Literal["running", "ok", "failed"]


class QueueRow(msgspec.Struct, gc=False):
    """The queue of a session. ``drain_id`` is set while it is drained."""

    session_id: str
    updated_at: int
    drain_id: str | None = None


class WorkItemRow(msgspec.Struct, gc=False):
    """A waiting item. ``run_id`` is set while a run processes it. The payload is NULL once redacted."""

    item_id: str
    session_id: str
    position: int
    mode: QueueMode
    created_at: int
    payload: str | None
    message_id: str | None
    dead_letter_id: str | None
    attempts: int = 0
    run_id: str | None = None


class ItemPositionRow(msgspec.Struct, gc=False):
    """The item that an event enqueued, while it waits."""

    position: int
    item_id: str


class DrainFailureRow(msgspec.Struct, gc=False):
    """The drain that failed with an event."""

    position: int
    drain_id: str


class DrainRow(msgspec.Struct, gc=False):
    """A drain. ``run_id`` is its last run. ``queue_depth_after``, ``finished_at`` and the error are set at its end."""

    drain_id: str
    session_id: str
    status: DrainStatus
    requested_by: str
    automatic: bool
    provider: str | None
    model: str | None
    queue_depth_before: int
    started_at: int
    drained_items: int = 0
    queue_depth_after: int | None = None
    finished_at: int | None = None
    run_id: str | None = None
    code: str | None = None
    message: str | None = None


QUEUE = Table("work_queue", QueueRow, key=("session_id",))
ITEM = Table("work_item", WorkItemRow, key=("item_id",), indexes=(("session_id", "position"),))
PLACE = Table("work_place", ItemPositionRow, key=("position",))
DRAIN = Table("work_drain", DrainRow, key=("drain_id",))
FAILURE = Table("work_failure", DrainFailureRow, key=("position",))
QUEUES = Projection("work", version=2, tables=(QUEUE, ITEM, PLACE, DRAIN, FAILURE))

SELECT_ITEMS = f"SELECT position, {', '.join(ITEM.columns)} FROM work_item"
COUNT_ITEMS = "SELECT mode, count(*) FROM work_item WHERE session_id = ? GROUP BY mode"


SELECT_WAITING = (
    "SELECT session_id, (SELECT count(*) FROM work_item AS item WHERE item.session_id = oldest.session_id),"
    " drain_id, updated_at, created_at"
    " FROM (SELECT session_id, created_at FROM work_item AS one WHERE NOT EXISTS (SELECT 1 FROM work_item AS earlier"
    " WHERE earlier.session_id = one.session_id AND earlier.position < one.position)) AS oldest"
    " JOIN work_queue USING (session_id)"
)
"""The queues that hold items, by their oldest item. A page reads the items of its queues, and no empty queue."""


@QUEUES.handler
def work_enqueued(rows: Rows, recorded: Recorded[WorkEnqueued]) -> None:
    event = recorded.event
    row = WorkItemRow(
        item_id=event.item_id,
        session_id=recorded.session_id or "",
        position=recorded.position,
        mode=event.mode,
        created_at=recorded.at,
        payload=event.payload,
        message_id=event.message_id,
        dead_letter_id=event.dead_letter_id,
    )
    rows.append(ITEM, row)
    rows.append(PLACE, ItemPositionRow(recorded.position, event.item_id))
    _touch(rows, recorded)


@QUEUES.handler
def drain_started(rows: Rows, recorded: Recorded[WorkDrainStarted]) -> None:
    event = recorded.event
    row = DrainRow(
        drain_id=event.drain_id,
        session_id=recorded.session_id or "",
        status="running",
        requested_by=event.requested_by,
        automatic=bool(event.automatic),
        provider=event.provider,
        model=event.model,
        queue_depth_before=event.queue_depth_before,
        started_at=recorded.at,
    )
    rows.append(DRAIN, row)
    _touch(rows, recorded).drain_id = event.drain_id


@QUEUES.handler
def batch_started(rows: Rows, recorded: Recorded[WorkBatchStarted]) -> None:
    event = recorded.event
    for item_id in event.item_ids:
        _lease(rows, item_id, event.run_id)
    drain = rows.change(DRAIN, event.drain_id)
    drain.run_id = event.run_id
    _touch(rows, recorded)


@QUEUES.handler
def item_drained(rows: Rows, recorded: Recorded[WorkItemDrained]) -> None:
    event = recorded.event
    _remove(rows, event.item_id)
    drain = rows.change(DRAIN, event.drain_id)
    drain.drained_items += 1
    _touch(rows, recorded)


@QUEUES.handler
def batch_returned(rows: Rows, recorded: Recorded[WorkBatchReturned]) -> None:
    event = recorded.event
    for item_id in event.item_ids:
        row = _lease(rows, item_id, None)
        row.attempts += event.counted
    _touch(rows, recorded)


@QUEUES.handler
def batch_buried(rows: Rows, recorded: Recorded[WorkBatchDeadLettered]) -> None:
    for item_id in recorded.event.item_ids:
        _remove(rows, item_id)
    _touch(rows, recorded)


@QUEUES.handler
def drain_ended(rows: Rows, recorded: Recorded[WorkDrained | WorkDrainFailed]) -> None:
    event = recorded.event
    drain = rows.change(DRAIN, event.drain_id)
    drain.status = "ok"
    if isinstance(event, WorkDrainFailed):
        drain.status, drain.code, drain.message = "failed", event.code, or_erased(event.error_text)
        rows.append(FAILURE, DrainFailureRow(recorded.position, event.drain_id))
        drain.run_id = event.run_id
    drain.queue_depth_after, drain.finished_at = event.queue_depth_after, recorded.at
    _touch(rows, recorded).drain_id = None


@QUEUES.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase the payload of an item, or the error of a drain."""
    failure = rows.get(FAILURE, recorded.event.target)
    if failure is not None:
        rows.change(DRAIN, failure.drain_id).message = ERASED
    place = rows.get(PLACE, recorded.event.target)
    if place is not None:
        row = rows.change(ITEM, place.item_id)
        row.payload = None


def _touch(rows: Rows, recorded: Recorded[Event]) -> QueueRow:
    session_id = recorded.session_id or ""
    row = rows.get(QUEUE, session_id) or QueueRow(session_id, recorded.at)
    row.updated_at = recorded.at
    rows.put(QUEUE, row)
    return row


def _lease(rows: Rows, item_id: str, run_id: str | None) -> WorkItemRow:
    row = rows.change(ITEM, item_id)
    row.run_id = run_id
    return row


def _remove(rows: Rows, item_id: str) -> None:
    row = rows.need(ITEM, item_id)
    rows.delete(PLACE, row.position)
    rows.delete(ITEM, item_id)


class WorkItem(Value):
    """A waiting work item. ``payload`` is null once redacted. ``runId`` is present while a run processes it.

    ``redacted`` is true if its text was erased.
    """

    id: str
    session_id: str
    payload: Annotated[str | None, says("Text of the work; null once redacted.")]
    mode: Annotated[QueueMode, says("`followup`: a run of its own. `collect`: consecutive items share one run.")]
    created_at: str
    attempts: int
    run_id: Annotated[str | None, says("Run that processes it; absent while it waits.")] = None
    message_id: str | None = None
    dead_letter_id: str | None = None
    redacted: bool | None = None


class QueueCounts(Value):
    """The number of waiting items by mode."""

    followup: Annotated[int, says("Waiting items of mode `followup`.")]
    collect: Annotated[int, says("Waiting items of mode `collect`.")]


class WorkQueueState(Value):
    """The work queue of a session, oldest item first. ``items`` is a page of the items that ``itemCounts`` counts."""

    schema_version: int
    session_id: str
    items: tuple[WorkItem, ...]
    item_counts: QueueCounts
    draining: Annotated[bool, says("True while a drain runs.")]
    updated_at: str
    next_cursor: str | None = None


class WorkQueueSummary(Value):
    """The queue of a session with waiting items, in a list. ``drainId`` is present while a drain runs."""

    session_id: str
    item_count: Annotated[int, says("Number of waiting items.")]
    oldest_item_since: Annotated[str, says("When the oldest item was enqueued.")]
    updated_at: str
    drain_id: Annotated[str | None, says("The drain that runs; else absent.")] = None


class DrainError(Value):
    """The error that stopped a drain."""

    code: str
    message: str


class WorkDrain(Value):
    """A drain of a queue. ``status`` is ``running``, ``ok`` or ``failed``.

    ``automatic`` is true if a message started it.
    """

    drain_id: str
    session_id: str
    status: DrainStatus
    requested_by: str
    automatic: bool
    started_at: Annotated[str, says("When it started.")]
    queue_depth_before: int
    drained_items: int
    queue_depth_after: int | None = None
    finished_at: str | None = None
    provider: str | None = None
    model: str | None = None
    run_id: Annotated[str | None, says("Its last run; absent before one.")] = None
    error: Annotated[DrainError | None, says("Why it stopped; absent otherwise.")] = None


ITEMS = Keyset(kind="work-items", oldest_first=True)
BY_SESSION = Keyset(kind="work-queues", columns=(("sessionId", "session_id", str),), oldest_first=True)


def list_queues(
    connection: Connection, *, scope: Scope | None = None, cursor: str | None, limit: int
) -> Page[WorkQueueSummary]:
    """Return a page of the queues that hold items, by session."""
    within = None if scope is None else {"session_id": scope.sessions}
    return BY_SESSION.page(connection, SELECT_WAITING, (), within=within, cursor=cursor, limit=limit, show=_to_summary)


def _to_summary(values: tuple[Cell, ...]) -> WorkQueueSummary:
    session_id, items, drain_id, updated_at, oldest = values
    return WorkQueueSummary(
        session_id=str(session_id),
        item_count=int(items or 0),
        oldest_item_since=iso(int(oldest or 0)),
        updated_at=iso(int(updated_at or 0)),
        drain_id=None if drain_id is None else str(drain_id),
    )


def queue_by_session(
    connection: Connection, session_id: str, now: int, *, cursor: str | None = None, limit: int = PAGE_ITEMS_MAX
) -> WorkQueueState:
    """Return the queue of a session with a page of its items.

    A queue that never had work is empty, and updated at ``now`` (milliseconds since 1970 UTC).
    """
    queue = QUEUE.one(connection, session_id)
    where = (("session_id = ?", session_id),)
    page = ITEMS.page(connection, SELECT_ITEMS, where, cursor=cursor, limit=limit, show=_to_item)
    counts = {str(mode): int(count or 0) for mode, count in connection.execute(COUNT_ITEMS, (session_id,))}
    return WorkQueueState(
        schema_version=1,
        session_id=session_id,
        items=tuple(page.items),
        item_counts=QueueCounts(followup=counts.get("followup", 0), collect=counts.get("collect", 0)),
        next_cursor=page.next_cursor,
        draining=queue is not None and queue.drain_id is not None,
        updated_at=iso(now if queue is None else queue.updated_at),
    )


def drain_by_id(connection: Connection, drain_id: str) -> WorkDrain | None:
    row = DRAIN.one(connection, drain_id)
    if row is None:
        return None
    return WorkDrain(
        drain_id=row.drain_id,
        session_id=row.session_id,
        status=row.status,
        requested_by=row.requested_by,
        automatic=row.automatic,
        started_at=iso(row.started_at),
        queue_depth_before=row.queue_depth_before,
        drained_items=row.drained_items,
        queue_depth_after=row.queue_depth_after,
        finished_at=iso_or_none(row.finished_at),
        provider=row.provider,
        model=row.model,
        run_id=row.run_id,
        error=None if row.code is None else DrainError(code=row.code, message=row.message or ""),
    )


def _to_item(values: tuple[Cell, ...]) -> WorkItem:
    row = ITEM.load(values[1:])
    return WorkItem(
        id=row.item_id,
        session_id=row.session_id,
        payload=row.payload,
        mode=row.mode,
        created_at=iso(row.created_at),
        attempts=row.attempts,
        run_id=row.run_id,
        message_id=row.message_id,
        dead_letter_id=row.dead_letter_id,
        redacted=True if row.payload is None else None,
    )
