"""Handlers of policies: what another one would have done."""

from typing import TYPE_CHECKING

from athena_api.endpoint.operation import ApiCall, NoQuery, Reply
from athena_core.clock import iso
from athena_core.domain.policy import SimulateBody, supposed_policy
from athena_core.errors import ConfigError, CursorInvalid
from athena_core.event import Position
from athena_core.services.proof import simulate
from projections import feed

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.port import StoreReader

DAY_MS = 86_400_000


async def simulate_policy(plane: "ControlPlane", call: ApiCall[SimulateBody, NoQuery]) -> Reply:
    """What the recorded requests would have met under another policy."""
    limits = supposed_policy(call.body)
    plane.policies.check(call.body.policy.limits or (), "policy.")
    yesterday = iso(plane.clock.now() - DAY_MS)
    runs_max = plane.settings.executor_max_runs

    def read(log: "StoreReader") -> simulate.Simulation:
        since = _since(call.body.since or yesterday, log)
        history = simulate.HistoryReader(log, plane.log.codec.decode, since).collect()
        return simulate.simulate(history, limits, runs_max=runs_max, run_id=call.body.run_id)

    simulation = await plane.scan(read)
    return Reply(data=simulation, position=simulation.to)


def _since(text: str, log: "StoreReader") -> Position:
    """The position before a time, or of a cursor. Raises ConfigError."""
    try:
        return feed.resolve(feed.parse_cursor(text), log)
    except CursorInvalid:
        pass
    try:
        return feed.position_before(text, log)
    except (CursorInvalid, OverflowError) as error:
        remedy = "an ISO-8601 time, a position, or the id of an event"
        raise ConfigError.of("since", f"{text[:40]!r} is no time and no place in the log", remedy) from error
