"""Operations on the fleet: its summary."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply
from athena_core.protocols import Connection
from projections import asks, fleet

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane

VIEWS = ("fleet", "asks")


async def get_fleet_summary(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get run counts, durations, waiting work, open asks, the halt and this month's cost."""
    now = plane.clock.now()
    halted = plane.halts.active

    def read(rows: Connection) -> fleet.FleetSummary:
        open_asks, oldest = sum(asks.open_asks(rows).values()), asks.oldest_open_ask(rows)
        return fleet.fleet_summary(rows, now, open_asks, oldest, halted=halted)

    summary, position = await plane.query(VIEWS, read)
    return Reply(data=summary, position=position)


row = Noun("fleet", reads=VIEWS).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row("fleet.summary", "GET /fleet/summary", get_fleet_summary, answer=fleet.FleetSummary, command="fleet"),
)
