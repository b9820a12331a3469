"""Sample events of a queue."""

from typing import Any

from athena_core.clock import iso
from athena_core.domain import queue
from athena_core.enums import DeadLetterReason, QueueMode
from athena_core.event import Event
from tests.core.domain.given import NOW


def enqueued(number: int, mode: QueueMode = "followup", depth: int | None = None, **fields: Any) -> queue.WorkEnqueued:
    """Return item ``wi_<number>`` as enqueued at ``depth``, by default its number."""
    return queue.WorkEnqueued(
        queue_depth=depth or number,
        item_id=f"wi_{number}",
        mode=mode,
        chars=4,
        enqueued_by="alice",
        **{"payload": f"do {number}", **fields},
    )


def draining(before: int, **fields: Any) -> queue.WorkDrainStarted:
    return queue.WorkDrainStarted(drain_id="drn_1", queue_depth_before=before, requested_by="alice", **fields)


def started(*numbers: int, run_id: str = "run_1") -> queue.WorkBatchStarted:
    return queue.WorkBatchStarted(drain_id="drn_1", run_id=run_id, item_ids=ids(*numbers))


def drained(number: int, depth: int, run_id: str = "run_1") -> queue.WorkItemDrained:
    return queue.WorkItemDrained(drain_id="drn_1", run_id=run_id, item_id=f"wi_{number}", queue_depth=depth)


def returned(*numbers: int, run_id: str = "run_1", counted: bool = True) -> queue.WorkBatchReturned:
    return queue.WorkBatchReturned(
        drain_id="drn_1",
        run_id=run_id,
        item_ids=ids(*numbers),
        code="PROVIDER_ERROR",
        error_text="no",
        failed_at=iso(NOW),
        counted=counted,
    )


def buried(
    *numbers: int, depth: int, reason: DeadLetterReason = "attempts-exhausted", run_id: str | None = "run_1"
) -> Event:
    return queue.WorkBatchDeadLettered(
        drain_id="drn_1",
        dead_letter_id="dlq_1",
        item_ids=ids(*numbers),
        reason=reason,
        code="PROVIDER_ERROR",
        error_text="no",
        queue_depth=depth,
        run_id=run_id,
    )


def stopped(before: int, after: int, items: int = 0, run_id: str | None = "run_1") -> queue.WorkDrainFailed:
    return queue.WorkDrainFailed(
        drain_id="drn_1",
        code="PROVIDER_ERROR",
        error_text="no",
        drained_items=items,
        queue_depth_before=before,
        queue_depth_after=after,
        run_id=run_id,
        retryable=False,
    )


def done(before: int, items: int, after: int = 0) -> queue.WorkDrained:
    return queue.WorkDrained(
        status="ok", drained_items=items, queue_depth_before=before, queue_depth_after=after, drain_id="drn_1"
    )


def ids(*numbers: int) -> tuple[str, ...]:
    return tuple(f"wi_{number}" for number in numbers)
