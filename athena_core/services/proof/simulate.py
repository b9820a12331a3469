"""The simulation: how the recorded run requests would be decided under another policy.

``recorded_requests`` reads a part of the log; ``simulate`` is a pure function of it and changes nothing.
``NOT_SIMULATED`` lists what it leaves out.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple

from athena_core.domain import policy
from athena_core.event import Position, Value, says
from athena_core.services.proof.recorded_requests import RequestHistory
from athena_core.services.proof.simulator import RUNS_MAX, SimulatedRun, Simulator
from athena_core.values import MICRO_USD

ROWS_MAX = 50
NotSimulated = Literal["timeouts", "attempts", "retries", "callers", "children", "pauses", "asks", "strategies"]
NOT_SIMULATED: tuple[NotSimulated, ...] = (
    *("timeouts", "attempts", "retries"),  # of the other policy: runs take as long as recorded
    "callers",  # callers cancel, resume, stop waiting and retry when they did
    "children",  # and workflow steps: requested even if their parent is refused
    "pauses",  # for money: recorded pauses stay
    "asks",  # are answered when they were, and their runs resume when they did
    "strategies",  # of sessions: runs that were not refused wait for their turn
)


class ChangeShare(Value):
    """The part of a change that falls on one session, profile, template or rule."""

    name: str
    runs: int
    cost_usd: float


class OutcomeChange(Value):
    """The runs whose outcome would change, grouped; each group lists the 50 names with most runs."""

    runs: int
    cost_usd: float
    by_session: Annotated[tuple[ChangeShare, ...], says("By session, most runs first.")]
    by_profile: Annotated[tuple[ChangeShare, ...], says("By harness profile, most runs first.")]
    by_template: Annotated[tuple[ChangeShare, ...], says("By template, most runs first.")]
    by_reason: Annotated[tuple[ChangeShare, ...], says("By rule, most runs first.")]


class RequestCounts(Value):
    """Counts of requests by outcome; ``costUsd`` is the cost of the admitted runs."""

    admitted: int
    refused: int
    cost_usd: float


class SimulatedOutcome(Value):
    """The outcome of one request, recorded and simulated: the reason of a refusal, and whether it would wait."""

    run_id: str
    waited: Annotated[bool, says("True if it would wait.")]
    recorded: Annotated[str | None, says("Rule that refused it; absent if admitted.")] = None
    simulated: Annotated[str | None, says("Rule that would refuse it; absent if admitted.")] = None


class Simulation(Value):
    """The requests since a position, as they were decided and as another policy would have decided them.

    ``truncated`` is true above 10,000 requests or 500,000 events; ``to`` is the last position that was read.
    ``estimated`` counts runs that never ran and now would, with the time and cost of similar runs. ``waited`` counts
    runs that the other policy would have queued. ``paused`` counts runs that its daily budget would have paused; they
    stay paused. ``notSimulated`` names what stays as recorded. ``policyVersion`` is the policy in
    force, for the `If-Match` of an update. ``run`` is present if a run was asked for and is among
    them.
    """

    since: Annotated[Position, says("First position.")]
    to: Annotated[Position, says("Last position that was read.")]
    truncated: Annotated[bool, says("True if there are more events.")]
    requests: Annotated[int, says("Requests that were simulated.")]
    recorded: Annotated[RequestCounts, says("Totals as the requests were decided.")]
    simulated: Annotated[RequestCounts, says("Totals as the simulated policy decides.")]
    waited: Annotated[int, says("Runs that would wait.")]
    paused: Annotated[int, says("Runs that the daily budget would pause.")]
    newly_rejected: Annotated[OutcomeChange, says("Runs that would be refused now.")]
    newly_allowed: Annotated[OutcomeChange, says("Runs that would be admitted now.")]
    estimated: int
    not_simulated: Annotated[tuple[NotSimulated, ...], says("What stays as recorded.")]
    policy_version: Annotated[int | None, says("Version of the policy in force, for the `If-Match` of an update.")] = (
        None
    )
    run: Annotated[SimulatedOutcome | None, says("Outcome of the run asked for; absent without one.")] = None


def simulate(
    history: RequestHistory, limits: policy.PolicyState, *, runs_max: int = RUNS_MAX, run_id: str | None = None
) -> Simulation:
    """Decide the recorded requests again under other limits; ``run_id`` names one to report on.

    ``runs_max`` is how many runs an executor takes at a time.
    """
    simulator = Simulator(history, limits, runs_max)
    simulator.play()
    verdict: SimulatedOutcome | None = None
    rejected: list[tuple[SimulatedRun, str]] = []
    allowed: list[tuple[SimulatedRun, str]] = []
    for simulated in simulator.runs:
        request = simulated.request
        if request.run_id == run_id:
            verdict = SimulatedOutcome(
                run_id=run_id, waited=simulated.waited, recorded=request.refused, simulated=simulated.refused
            )
        if simulated.refused is None and request.refused is not None:
            allowed.append((simulated, request.refused))
        elif simulated.refused is not None and request.refused is None:
            rejected.append((simulated, simulated.refused))
    recorded = [one for one in history.requests if one.refused is None]
    taken = [simulated for simulated in simulator.runs if simulated.refused is None]
    asked = len(history.requests)
    return Simulation(
        since=history.since,
        to=history.to,
        truncated=history.truncated,
        requests=asked,
        recorded=RequestCounts(
            admitted=len(recorded),
            refused=asked - len(recorded),
            cost_usd=sum(one.cost_micro_usd for one in recorded) / MICRO_USD,
        ),
        simulated=RequestCounts(
            admitted=len(taken),
            refused=asked - len(taken),
            cost_usd=sum(map(simulator.cost, taken)) / MICRO_USD,
        ),
        waited=sum(simulated.waited for simulated in simulator.runs),
        paused=sum(simulated.paused for simulated in simulator.runs),
        newly_rejected=_change(simulator, rejected),
        newly_allowed=_change(simulator, allowed),
        estimated=sum(simulated.estimated for simulated in simulator.runs),
        not_simulated=NOT_SIMULATED,
        run=verdict,
    )


class ChangedRun(NamedTuple):
    """A run whose outcome changed: the names to count it by, and its cost in micro-USD."""

    session: str
    profile: str
    template: str | None
    reason: str
    cost: int


def _change(simulator: Simulator, runs: Sequence[tuple[SimulatedRun, str]]) -> OutcomeChange:
    moved = [
        ChangedRun(
            session=simulated.request.pinned.session_id,
            profile=simulated.request.pinned.harness_profile_id,
            template=simulated.request.template,
            reason=reason,
            cost=simulator.cost(simulated),
        )
        for simulated, reason in runs
    ]
    return OutcomeChange(
        runs=len(moved),
        cost_usd=sum(one.cost for one in moved) / MICRO_USD,
        by_session=_shares((one.session, one) for one in moved),
        by_profile=_shares((one.profile, one) for one in moved),
        by_template=_shares((one.template, one) for one in moved if one.template is not None),
        by_reason=_shares((one.reason, one) for one in moved),
    )


def _shares(named: Iterable[tuple[str, ChangedRun]]) -> tuple[ChangeShare, ...]:
    groups: dict[str, list[int]] = defaultdict(list)
    for name, one in named:
        groups[name].append(one.cost)
    most = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))[:ROWS_MAX]
    return tuple(ChangeShare(name=name, runs=len(costs), cost_usd=sum(costs) / MICRO_USD) for name, costs in most)
