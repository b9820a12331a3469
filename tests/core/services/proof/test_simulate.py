"""The simulation: the outcomes of requests under other limits, and the recorded ones under their own."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.decider import Reader
from athena_core.definitions.profile import AgentPolicy
from athena_core.domain import policy, run
from athena_core.event import Position
from athena_core.log.codec import Encoded
from athena_core.protocols import Row
from athena_core.services.proof.recorded_requests import (
    STRATEGY_REASON,
    HistoryReader,
    RecordedRequest,
    RequestHistory,
    RunCourse,
)
from athena_core.services.proof.simulate import NOT_SIMULATED, Simulation, simulate
from athena_core.services.proof.simulator import RunEstimates, Simulator
from tests.scale import sized
from tests.support.event_samples import row_of, samples
from tests.support.events.agent import AGENT_SPEC
from tests.support.simulated_plane import ACTS, CODEC, DAY_MS, POLICY, Plane, World, asked, step

FULL = "max-concurrent-runs-exceeded"
SETTINGS: Any = SimpleNamespace(
    schedule_run_timeout_ms=1_000,
    runtime_run_timeout_ms=1_000,
    provider_fallback_order=("openai",),
    default_model="mock-model",
    default_provider="mock",
)


def limited(*limits: tuple[str, int, str, str | None], **fields: Any) -> policy.PolicyState:
    """Return the state of a policy with limits by key (scope, max, strategy, key) and others."""
    keys = tuple(policy.KeyLimit(scope=s, max=m, strategy=how, key=k) for s, m, how, k in limits)  # type: ignore[arg-type]
    after = policy.Policy(schema_version=1, limits=keys or None, **fields)
    return policy.evolve(policy.PolicyState(), policy.PolicyUpdated(schema_version=1, updated_at="", after=after))


def under(requests: list[RecordedRequest], *limits: tuple[str, int, str, str | None], **fields: Any) -> Simulation:
    """Return the outcomes under limits by key (scope, max, strategy, key) and others."""
    return simulate(RequestHistory(0, 9, truncated=False, requests=requests), limited(*limits, **fields))


def names(shares: Any) -> list[str]:
    return [share.name for share in shares]


@pytest.mark.parametrize("limit", [None, 1])
def test_a_run_that_asked_resumes_when_it_did(limit: int | None) -> None:
    """Even if the simulated limit is reached then: answers are not simulated."""
    one = asked(1, 0, duration_ms=9_000)
    paused = run.RunPaused(reason="ask", elapsed_ms=5)
    resumed = run.RunResumed(requested_by="exe_1", provider="mock")
    steps = (one.steps[0], step(one, 1_000, paused), step(one, 3_000, resumed), *one.steps[1:])
    found = under([replace(one, steps=steps), asked(2, 2_000, duration_ms=5_000)], max_concurrent_runs=limit)
    assert (found.simulated.admitted, found.paused, found.simulated.cost_usd) == (2, 0, 2.0)
    assert "asks" in found.not_simulated


def test_without_limits_everybody_is_admitted() -> None:
    found = under([asked(1, 0), asked(2, 0, refused=FULL)])
    assert (found.recorded.admitted, found.recorded.refused, found.recorded.cost_usd) == (1, 1, 1.0)
    assert (found.simulated.admitted, found.simulated.refused, found.simulated.cost_usd) == (2, 0, 2.0)
    assert (found.newly_allowed.runs, found.newly_allowed.cost_usd, found.estimated) == (1, 1.0, 1)
    assert [(share.name, share.runs) for share in found.newly_allowed.by_reason] == [(FULL, 1)]
    assert (found.newly_rejected.runs, found.not_simulated) == (0, NOT_SIMULATED)


def test_the_fleets_limit_refuses_who_comes_while_it_is_reached() -> None:
    found = under([asked(1, 0), asked(2, 500, "two"), asked(3, 1_000)], max_concurrent_runs=1)
    assert found.newly_rejected.runs == 1
    assert names(found.newly_rejected.by_session) == ["two"]
    assert names(found.newly_rejected.by_reason) == ["policy.maxConcurrentRuns"]
    assert found.newly_rejected.cost_usd == 1.0


def test_steps_of_a_workflow_wait_where_others_are_refused() -> None:
    steps = [asked(number, number, patient=True) for number in (1, 2, 3, 4)]
    found = under([*steps, asked(5, 5)], max_concurrent_runs=1)
    assert (found.waited, names(found.newly_rejected.by_session)) == (3, ["s5"])


def test_a_limit_by_key_refuses_or_lets_wait() -> None:
    runs = [asked(1, 0), asked(2, 100), asked(3, 200, provider="openai"), asked(4, 1_500)]
    refused = under(runs, ("provider", 1, "reject", None))
    assert names(refused.newly_rejected.by_reason) == ["policy.limits provider:mock"]
    assert refused.newly_rejected.runs == 1
    waiting = under(runs, ("provider", 1, "enqueue", "mock"))
    assert (waiting.newly_rejected.runs, waiting.waited) == (0, 2)  # the second, and the fourth behind it


def test_a_limit_of_an_agent_counts_its_runs_and_no_others() -> None:
    agents = [
        replace(asked(n, n), pinned=of_agent(asked(n, n).pinned, name)) for n, name in ((1, "a"), (2, "a"), (3, "b"))
    ]
    found = under([*agents, asked(4, 4)], ("agent", 1, "reject", "a"))
    assert names(found.newly_rejected.by_reason) == ["policy.limits agent:a"]
    assert found.newly_rejected.runs == 1


def of_agent(pinned: run.RunCreated, name: str) -> run.RunCreated:
    return replace(pinned, harness_profile_snapshot=replace(AGENT_SPEC, agent=AgentPolicy(name=name)))


def test_a_refused_run_of_an_agent_counts_at_it() -> None:
    sample = next(one for one in samples() if one.type == run.PolicyRejected.TYPE and one.fields.get("plan"))
    row = row_of(Encoded(sample.type, sample.schema_version, sample.data.encode(), None, None))
    recorded = CODEC.decode(row)
    assert isinstance(recorded.event, run.PolicyRejected) and recorded.event.plan is not None
    event = replace(recorded.event, plan=replace(recorded.event.plan, agent="codex"))
    course = RunCourse(row)
    course.take(replace(recorded, event=event))
    request = course.request(0)
    assert request is not None
    assert "agent:codex" in request.pinned.places


def test_a_waiting_run_is_admitted_in_turn_when_every_limit_is_free() -> None:
    limits = (("provider", 1, "enqueue", "mock"), ("harness-profile", 1, "enqueue", "hp_2"))
    holder = asked(1, 0, profile="hp_2", provider="openai", duration_ms=5_000)
    late = asked(2, 10, profile="hp_2")  # waits for the profile
    first = asked(3, 20)  # mock is free, so it goes before the older one
    after = asked(4, 30)
    found = under([holder, late, first, after, asked(5, 3_000), asked(6, 5_500)], *limits)
    assert (found.waited, found.newly_rejected.runs) == (3, 0)


def test_a_session_has_one_run_at_a_time() -> None:
    assert under([asked(1, 0, "s"), asked(2, 1, "s"), asked(3, 2, "s")]).waited == 2
    assert under([asked(1, 0, "s"), asked(2, 1, "s")], ("session", 1, "reject", None)).newly_rejected.runs == 1


def test_a_day_that_is_spent_refuses_until_midnight_utc() -> None:
    runs = [asked(1, 0), asked(2, 2_000), asked(3, 4_000), asked(4, DAY_MS)]
    found = under(runs, cost_budget_daily_usd=2.0)
    assert names(found.newly_rejected.by_session) == ["s3"]
    assert names(found.newly_rejected.by_reason) == ["policy.costBudgetDailyUsd"]


def test_the_cost_of_a_call_counts_when_it_is_paid_and_not_at_the_end_of_its_run() -> None:
    dear = asked(1, 0, duration_ms=9_000)
    paid = replace(dear.steps[1], recorded_at=1_000)
    early = replace(dear, steps=(dear.steps[0], paid, dear.steps[2]))
    found = under([early, asked(2, 5_000)], cost_budget_daily_usd=1.0)
    assert names(found.newly_rejected.by_session) == ["s2"]


def test_a_call_that_the_day_does_not_buy_pauses_its_run() -> None:
    found = under([asked(1, 0), asked(2, 10, duration_ms=2_000)], cost_budget_daily_usd=1.5)
    assert (found.newly_rejected.runs, found.paused) == (0, 1)
    assert found.simulated.cost_usd == 1.0


def test_a_run_whose_model_has_no_price_is_refused_under_a_daily_budget() -> None:
    found = under([asked(1, 0, least=None)], cost_budget_daily_usd=1.0)
    assert names(found.newly_rejected.by_reason) == ["policy.costBudgetDailyUsd"]


def test_the_outcome_follows_the_choice_of_the_client() -> None:
    busy = asked(2, 500, "s1", refused=STRATEGY_REASON, strategy="reject")
    found = under([asked(1, 0), busy])
    assert (found.newly_allowed.runs, found.simulated.refused) == (0, 1)
    found = under([asked(1, 0), replace(busy, at=2_000, recorded_at=2_000)])
    assert found.newly_allowed.runs == 1


@pytest.mark.parametrize(
    ("refused", "duration"),
    [
        ({"template": "tpl_1"}, 30),
        ({"template": "tpl_9"}, 20),
        ({"profile": "hp_9"}, 20),
        ({"profile": "hp_9", "provider": "openai"}, 40),
    ],
)
def test_a_run_that_was_refused_takes_what_runs_like_it_took(refused: dict[str, str], duration: int) -> None:
    known = [
        asked(1, 0, duration_ms=10),
        asked(2, 1, duration_ms=20),
        asked(3, 2, duration_ms=30, template="tpl_1"),
        asked(4, 3, duration_ms=40, profile="hp_3", provider="openai"),
        asked(5, 4, duration_ms=90_000, ended=False),
    ]
    assert RunEstimates(known).like(asked(6, 5, refused=FULL, **refused)).duration_ms == duration


def test_many_who_wait_are_simulated_in_time() -> None:
    found = under([asked(number, number) for number in range(2_000)], ("provider", 1, "enqueue", None))
    assert found.waited == 1_999


# The recorded policy


class Archive:
    def __init__(self, world: World) -> None:
        self._world = world

    def head(self) -> Position:
        return self._world.head

    def row(self, position: Position) -> Row | None:
        return self._world.rows[position - 1] if 0 < position <= self._world.head else None

    def rows(self, after: Position, limit: int, until: Position) -> list[Row]:
        return self._world.rows[after:until][:limit]

    def stream(self, stream: str) -> list[Row]:
        return [row for row in self._world.rows if row.stream == stream]

    def of_types(self, types: Sequence[str], after: Position, until: Position, limit: int) -> list[Row]:
        return [row for row in self._world.rows[after:until] if row.type in types][:limit]

    def guards(self) -> list[tuple[str, str, tuple[str | int, ...]]]:
        kinds = ("slot", "waiting", "turn", "lease")
        return [(kind, key, value) for kind in kinds for key, value in self._world.guards(kind).items()]


def compared(plane: Plane, since: Position) -> tuple[object, object]:
    """Simulate a plane's own policy since a position. Return its result and what was recorded."""
    history = HistoryReader(Archive(plane.world), CODEC.decode, since).collect()
    state, runs_max = plane.world.state(policy.DECIDER, policy.STREAM), plane.world.capacity.runs_max
    found = simulate(history, state, runs_max=runs_max)
    fleet = Simulator(history, state, runs_max)
    fleet.play()
    first = [row for row in plane.world.rows[since:] if row.version == 1 and row.stream.startswith("run_")]
    queued = sum(row.type == run.RunQueued.TYPE for row in first)
    refused = len(first) - queued - sum(row.type == run.RunCreated.TYPE for row in first)
    met = (found.newly_rejected.runs, found.newly_allowed.runs, found.paused, found.waited, found.simulated.refused)
    return (met, left(fleet, plane.world.now)), ((0, 0, 0, queued, refused), left(plane.world, plane.world.now))


def left(reader: Reader, now: int) -> object:
    """Return the occupied places at the end, and the cost of the day."""
    kinds = ("slot", "waiting", "turn", "lease", "reserved")
    return [list(reader.guards(kind)) for kind in kinds], run.spent_on(reader.guards("spent"), now)


@settings(max_examples=sized(60, 500, 20_000))
@given(POLICY, st.integers(1, 4), st.lists(ACTS, min_size=5, max_size=60), st.integers(0, 200))
def test_the_policy_that_was_in_force_gives_what_was_recorded(
    limits: policy.Policy, runs_max: int, acts: list[tuple[Any, ...]], since: int
) -> None:
    plane = Plane(limits, runs_max)
    for name, *about in acts:
        getattr(plane, name)(*about)
    ends = [row.position for row in plane.world.rows if row.command_id != command_after(plane, row.position)]
    place = ends[since % len(ends)]
    for start in {1, place}:
        simulated, happened = compared(plane, start)
        assert simulated == happened


def command_after(plane: Plane, position: Position) -> str | None:
    return plane.world.rows[position].command_id if position < plane.world.head else None
