"""The fleet: its summary."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import EVERYBODY, ApiCall, NoBody, NoQuery, Operation, Reply
from projections import fleet

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


async def get_fleet_summary(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """The fleet at a glance."""
    now = plane.clock.now()
    summary, position = await plane.query(("fleet",), lambda rows: fleet.fleet_summary(rows, now))
    return Reply(data=summary, position=position)


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(
        id="getFleetSummary",
        command="fleet",
        context="fleet.summary",
        method="GET",
        path="/fleet/summary",
        tag="fleet",
        summary="How many runs there are and were, how long they take, what waits, and what this month costs.",
        roles=EVERYBODY,
        reads=("fleet",),
        answer=fleet.FleetSummary,
        handle=get_fleet_summary,
    ),
)
