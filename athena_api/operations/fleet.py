"""Operations on the fleet: its summary."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply
from projections import fleet

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


async def get_fleet_summary(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get run counts, durations, waiting work and this month's cost."""
    now = plane.clock.now()
    summary, position = await plane.query(("fleet",), lambda rows: fleet.fleet_summary(rows, now))
    return Reply(data=summary, position=position)


row = Noun("fleet", reads=("fleet",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row("fleet.summary", "GET /fleet/summary", get_fleet_summary, answer=fleet.FleetSummary, command="fleet"),
)
