"""Operations on redrives, which requeue dead letters in bulk."""

from typing import TYPE_CHECKING, Any

import msgspec

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.domain import redrive
from athena_core.event import Position
from athena_core.services.queues.redrives import RATE_DEFAULT, MatchedDeadLetter, RedriveBody
from athena_core.values import PAGE_ITEMS_DEFAULT
from projections import dead_letters, redrives

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.port import StoreReader
    from athena_core.log.submission import Committed
    from projections.engine.views import ViewsReader

PENDING_SECONDS_MAX = 5.0
"""How long a redrive waits for the read model of dead letters."""


class DeadLetterFinder:
    """Lookup of dead letters for redrives, in the read model."""

    def __init__(self, views: "ViewsReader", log: "StoreReader") -> None:
        self._views = views
        self._log = log

    async def matches(self, wanted: redrive.RedriveSelection) -> tuple[list[str], Position]:
        """Return the ids of the pending dead letters that match, and the position that they reflect."""
        head = self._log.head()
        await self._views.wait(("dead_letters",), head, PENDING_SECONDS_MAX)
        which = dead_letters.DeadLetterFilter(**msgspec.structs.asdict(wanted))
        return self._views.query(("dead_letters",), lambda rows: dead_letters.pending_ids(rows, which))

    async def next(
        self, wanted: redrive.RedriveSelection, after: Position, until: Position
    ) -> MatchedDeadLetter | None:
        """Return the oldest pending dead letter that matches and was added between two positions."""
        await self._views.wait(("dead_letters",), until, PENDING_SECONDS_MAX)
        which = dead_letters.DeadLetterFilter(**msgspec.structs.asdict(wanted))
        match, _ = self._views.query(
            ("dead_letters",), lambda rows: dead_letters.next_pending(rows, which, after, until)
        )
        return None if match is None else MatchedDeadLetter(*match)


async def redrive_a2a_dlq(plane: "ControlPlane", call: ApiCall[RedriveBody, NoQuery]) -> Reply:
    """Requeue matching dead letters at a fixed rate. `dryRun` only counts them."""
    body = call.body
    if body.dry_run:
        plan = await plane.redrives.plan(body)
        shown = redrives.Redrive(
            id=None,
            status="dry-run",
            filter=msgspec.convert(msgspec.to_builtins(body.filter), redrives.AppliedRedriveFilter),
            rate_per_second=body.rate_per_second or RATE_DEFAULT,
            total=plan.total,
            done=0,
            requeued=0,
            skipped=0,
            failed=0,
            requested_by=call.who.subject,
            results=(),
            subject_hash=plan.subject_hash,
        )
        return Reply(data=shown, position=plan.position)
    return await _redrive_reply(plane, await plane.redrives.start(body, call.who, call.meta, call.key))


async def get_a2a_dlq_redrive(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get the progress of a redrive and the result for each dead letter."""
    redrive_id = call.path["id"]
    job, position = await plane.query(
        ("redrives",),
        lambda rows: redrives.redrive_by_id(rows, redrive_id, cursor=call.cursor, limit=call.limit),
    )
    return Reply(data=existing(job, "redrive", redrive_id), position=position)


async def cancel_a2a_dlq_redrive(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Cancel a redrive. Dead letters that it has requeued stay requeued."""
    return await _redrive_reply(plane, await plane.redrives.cancel(call.path["id"], call.meta, call.key))


async def _redrive_reply(plane: "ControlPlane", done: "Committed") -> Reply:
    """Return the current record of the redrive."""
    redrive_id = done.subject or ""
    job, position = await plane.read(
        ("redrives",),
        done.position,
        lambda rows: redrives.redrive_by_id(rows, redrive_id, cursor=None, limit=PAGE_ITEMS_DEFAULT),
    )
    return Reply(data=existing(job, "redrive", redrive_id), position=position, replayed=done.replayed)


row = Noun("a2a", reads=("redrives",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "a2a.dlq.redrive",
        "POST /a2a/dlq/redrive",
        redrive_a2a_dlq,
        answer=redrives.Redrive,
        errors=("CONFLICT", "SUBJECT_CHANGED"),
        command="redrives create",
    ),
    row(
        "a2a.dlq.redrive",
        "GET /a2a/dlq/redrive/:id",
        get_a2a_dlq_redrive,
        answer=redrives.Redrive,
        paging="cursor",
        command="redrives get",
    ),
    row(
        "a2a.dlq.redrive",
        "DELETE /a2a/dlq/redrive/:id",
        cancel_a2a_dlq_redrive,
        answer=redrives.Redrive,
        errors=("NOT_FOUND",),
        command="redrives cancel",
    ),
)
