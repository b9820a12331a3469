"""Operations on anchors of other logs: keep and list them."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply
from athena_core.domain.anchor import AnchorBody
from athena_core.event import Value
from athena_core.services.proof.anchors import AnchorReceipt
from athena_core.values import LogId
from projections import anchors
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


class AnchorsQuery(Value):
    """Filter of anchors by their log."""

    log_id: LogId | None = None


async def keep_anchor(plane: "ControlPlane", call: ApiCall[AnchorBody, NoQuery]) -> Reply:
    """Store an anchor of another log, so that a rewrite of its history is detected."""
    done = await plane.anchors.keep(call.body, call.who, call.meta, call.key)
    return Reply(data=done.answer, position=done.position, replayed=done.replayed)


async def list_anchors(plane: "ControlPlane", call: ApiCall[NoBody, AnchorsQuery]) -> Reply:
    """List the kept anchors of other logs, oldest first."""
    page, position = await plane.query(
        ("anchors",),
        lambda rows: anchors.list_anchors(rows, log_id=call.query.log_id, cursor=call.cursor, limit=call.limit),
    )
    return Reply(data=page, position=position)


row = Noun("governance", reads=("anchors",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row("anchors.list", "GET /anchors", list_anchors, answer=Page[anchors.KeptAnchor], paging="cursor"),
    row(
        "anchors.keep",
        "POST /anchors",
        keep_anchor,
        answer=AnchorReceipt,
        errors=("ANCHOR_CONFLICT", "ANCHOR_LIMIT"),
    ),
)
