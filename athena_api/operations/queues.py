"""Operations on work queues: enqueue work in a session's queue, and drain it."""

from typing import TYPE_CHECKING, Any

import msgspec

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Replayed, Reply, existing
from athena_api.operations.runs import RUN_ERRORS
from athena_core.errors import AthenaError
from athena_core.services.queues.queues import DrainBody, DrainResult, EnqueueBody
from projections import queues
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane

DRAIN_WAIT_SECONDS_MAX = 300
"""How long a drain request waits for its end, before it is answered with the record so far."""


async def enqueue_work(plane: "ControlPlane", call: ApiCall[EnqueueBody, NoQuery]) -> Reply:
    """Enqueue a work item in a session's queue, unless an item with the same payload and mode is waiting."""
    session_id = call.body.session_id
    done = await plane.queues.enqueue(call.body, call.who, call.meta, call.key)
    queue, position = await plane.read(
        ("work",), done.position, lambda rows: queues.queue_by_session(rows, session_id, done.at)
    )
    return Reply(data=queue, position=position, replayed=done.replayed)


async def get_session_work_queue(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List the waiting items of a session's queue, oldest first."""
    session_id, now = call.path["sessionId"], plane.clock.now()
    queue, position = await plane.query(
        ("work",), lambda rows: queues.queue_by_session(rows, session_id, now, cursor=call.cursor, limit=call.limit)
    )
    return Reply(data=queue, position=position)


async def list_work_queues(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List the queues of sessions that hold items, by session."""
    page, position = await plane.query(
        ("work",), lambda rows: queues.list_queues(rows, scope=call.scope, cursor=call.cursor, limit=call.limit)
    )
    return Reply(data=page, position=position, steady=True)


async def drain_work(plane: "ControlPlane", call: ApiCall[DrainBody, NoQuery]) -> Reply:
    """Drain a session's queue. Waits for the end unless `Prefer: respond-async` is sent."""
    session_id = call.path["sessionId"]
    began = await plane.queues.drain(session_id, call.body, call.who, call.meta, call.key)
    if began.answer is not None:
        return Reply(data=began.answer, position=began.position, replayed=began.replayed)
    if call.wait:
        with plane.streams.client_wait(call.receive):
            await plane.queues.settled(session_id, began.position, DRAIN_WAIT_SECONDS_MAX)
        try:
            ended = plane.queues.result(session_id, began.position)
        except AthenaError as error:
            if began.replayed:
                raise Replayed(error) from error
            raise
        if ended is not None:
            return Reply(data=ended[0], position=ended[1], replayed=began.replayed)
        began = msgspec.structs.replace(began, position=plane.reader.head())
    drain_id = began.subject or ""
    drain, position = await plane.read(("work",), began.position, lambda rows: queues.drain_by_id(rows, drain_id))
    location = f"/work/drains/{drain_id}"
    return Reply(data=drain, position=position, status=202, location=location, replayed=began.replayed)


async def get_work_drain(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a drain."""
    drain_id = call.path["drainId"]
    drain, position = await plane.query(("work",), lambda rows: queues.drain_by_id(rows, drain_id))
    return Reply(data=existing(drain, "drain", drain_id), position=position)


row = Noun("work", reads=("work",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "work.enqueue",
        "POST /work/enqueue",
        enqueue_work,
        answer=queues.WorkQueueState,
        errors=("CONTEXT_OVERFLOW", "WORK_QUEUE_FULL"),
        narrows={"sessions"},
        command="queues add",
    ),
    row(
        "work.queues",
        "GET /work/queues",
        list_work_queues,
        answer=Page[queues.WorkQueueSummary],
        paging="cursor",
        command="queues list",
        narrows={"sessions"},
    ),
    row(
        "work.status",
        "GET /sessions/:sessionId/work-queue",
        get_session_work_queue,
        answer=queues.WorkQueueState,
        paging="full",
        command="queues get",
    ),
    row(
        "work.drain",
        "POST /work/:sessionId/drain",
        drain_work,
        answer=DrainResult,
        accepted=queues.WorkDrain,
        errors=RUN_ERRORS,
        narrows={"sessions"},
        command="queues drain",
    ),
    row(
        "work.drains.get",
        "GET /work/drains/:drainId",
        get_work_drain,
        answer=queues.WorkDrain,
        command="drains get",
    ),
)
