"""Operations on the fleet: its summary, and its series over time."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from athena_api.endpoint.body import Time
from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply
from athena_core.event import Value, says
from athena_core.protocols import Connection
from projections import asks, fleet, fleet_series, runs

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane

VIEWS = ("fleet", "asks", "runs", "catalog")
INTERVALS_INLINE_MAX = 200
"""The number of intervals that are read on the event loop."""


class SeriesQuery(Value):
    """The time to show, the length of its intervals, and whether to count by model, profile or error code as well."""

    from_: Annotated[Time | None, says("Beginning; absent: an hour before the end.")] = msgspec.field(
        name="from", default=None
    )
    to: Annotated[Time | None, says("End; absent: now.")] = None
    step: Annotated[
        fleet_series.SeriesStep | None, says("Length of an interval; absent: the shortest that suits the time.")
    ] = None
    by: Annotated[fleet_series.SeriesNames | None, says("Also count by model, profile or error code.")] = None


async def get_fleet_summary(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get run counts, durations, waiting work, open asks, the halt and this month's cost."""
    now = plane.clock.now()

    def read(rows: Connection) -> fleet.FleetSummary:
        open_asks, oldest = sum(asks.open_asks(rows).values()), asks.oldest_open_ask(rows)
        return fleet.fleet_summary(rows, now, open_asks, oldest, halted=runs.halted(rows))

    summary, position = await plane.query(VIEWS, read)
    return Reply(data=summary, position=position)


async def get_fleet_series(plane: "ControlPlane", call: ApiCall[NoBody, SeriesQuery]) -> Reply:
    """Get outcomes, cost, tokens and durations over time, also by model, profile or error code.

    Without `from`, the answer covers the hour before `to`, and without `to` it ends now. Intervals of 5 seconds are
    kept for 66 minutes, of a minute for 25 hours, and of an hour for 91 days. Without `step`, the answer has the
    shortest intervals that are kept, if 400 of them suffice. `asOf` shows what was kept then. Each interval names 30
    models, profiles and error codes; further ones are in `other`.
    """
    query = call.query
    window = fleet_series.window_of(plane.clock.now(), query.from_, query.to, query.step)

    def read(rows: Connection) -> fleet_series.FleetSeries:
        return fleet_series.fleet_series(rows, window, query.by)

    if window.intervals <= INTERVALS_INLINE_MAX:
        answer, position = await plane.query(("fleet",), read)
    else:
        answer, position = await plane.search(("fleet",), lambda rows, _: read(rows))
    return Reply(data=answer, position=position)


row = Noun("fleet", reads=VIEWS).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row("fleet.summary", "GET /fleet/summary", get_fleet_summary, answer=fleet.FleetSummary, command="fleet"),
    row(
        "fleet.series",
        "GET /fleet/series",
        get_fleet_series,
        answer=fleet_series.FleetSeries,
        reads=("fleet",),
        command="series",
        price_ms=20,
    ),
)
