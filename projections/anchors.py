"""Read model of kept anchors: heads of other logs, as their operators sent them."""

from typing import Annotated

import msgspec

from athena_core.clock import iso
from athena_core.domain.anchor import AnchorKept
from athena_core.event import Recorded, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.values import Instant
from projections.engine.page import Keyset, Page
from projections.engine.projection import Projection, Rows, Table


class AnchorRow(msgspec.Struct, gc=False):
    """An anchor, by the position of its event. ``anchored`` is the position in the other log."""

    position: int
    log_id: str
    anchored: int
    chain: str
    at: str
    sender: str
    kept_at: int


ANCHOR = Table("anchor", AnchorRow, key=("position",), indexes=(("log_id", "position"),))
ANCHORS = Projection("anchors", version=1, tables=(ANCHOR,))


@ANCHORS.handler
def anchor_kept(rows: Rows, recorded: Recorded[AnchorKept]) -> None:
    event = recorded.event
    rows.append(
        ANCHOR,
        AnchorRow(
            position=recorded.position,
            log_id=event.log_id,
            anchored=event.position,
            chain=event.chain,
            at=event.at,
            sender=event.sender,
            kept_at=recorded.at,
        ),
    )


class KeptAnchor(Value):
    """A kept anchor: the chain value (hex) of another log at ``position``.

    ``at`` is when the anchor was taken, by the sender's clock. ``from`` is the sender's identity. ``keptAt`` is when
    this server recorded the anchor.
    """

    log_id: str
    position: int
    chain: str
    at: Annotated[Instant, says("When the anchor was taken.")]
    sender: Annotated[str, says("Identity that sent it first.")] = msgspec.field(name="from")
    kept_at: Annotated[str, says("When it was stored here.")]


OLDEST = Keyset(kind="anchors", oldest_first=True)


def list_anchors(connection: Connection, *, log_id: str | None, cursor: str | None, limit: int) -> Page[KeptAnchor]:
    """Return a page of kept anchors, oldest first."""
    where = (("log_id = ?", log_id),)
    return OLDEST.page(connection, ANCHOR.all, where, cursor=cursor, limit=limit, show=_to_view)


def _to_view(values: tuple[Cell, ...]) -> KeptAnchor:
    row = ANCHOR.load(values)
    return KeptAnchor(
        log_id=row.log_id,
        position=row.anchored,
        chain=row.chain,
        at=row.at,
        sender=row.sender,
        kept_at=iso(row.kept_at),
    )
