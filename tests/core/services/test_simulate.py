"""The simulation: what requests would have met under other limits, as a function of them."""

from typing import Any

import pytest

from athena_core.domain import policy
from athena_core.services.simulate import CLIENTS_CHOICE, Request, Simulation, estimate, simulate

FULL = "max-concurrent-runs-exceeded"


def asked(number: int, at: int, session: str | None = None, **fields: Any) -> Request:
    """The request of a run, which took a second and a dollar unless told otherwise."""
    provider = fields.get("provider", "mock")
    profile = fields.get("profile", "hp_1")
    places = (session or f"s{number}", f"harness-profile:{profile}", f"provider:{provider}")
    told: dict[str, Any] = {"duration_ms": 1_000, "cost_micro_usd": 1_000_000, "provider": provider, "profile": profile}
    return Request(run_id=f"run_{number}", at=at, places=places, **(told | fields))


def under(requests: list[Request], *limits: tuple[str, int, str, str | None], **fields: Any) -> Simulation:
    """What they would have met under limits by key (scope, max, strategy, key) and others."""
    keys = tuple(policy.KeyLimit(scope=s, max=m, strategy=how, key=k) for s, m, how, k in limits)  # type: ignore[arg-type]
    after = policy.Policy(schema_version=1, limits=keys or None, **fields)
    state = policy.evolve(policy.PolicyState(), policy.PolicyUpdated(schema_version=1, updated_at="", after=after))
    return simulate(requests, state, 0, 9, truncated=False)


def test_without_limits_everybody_is_admitted() -> None:
    refused = asked(2, 0, refused=FULL, duration_ms=0, cost_micro_usd=0)
    found = under([asked(1, 0), refused])
    assert (found.recorded.admitted, found.recorded.refused, found.recorded.cost_usd) == (1, 1, 1.0)
    assert (found.simulated.admitted, found.simulated.refused, found.simulated.cost_usd) == (2, 0, 2.0)
    assert (found.newly_allowed.runs, found.newly_allowed.cost_usd, found.estimated) == (1, 1.0, 1)
    assert [(share.name, share.runs) for share in found.newly_allowed.by_reason] == [(FULL, 1)]
    assert found.newly_rejected.runs == 0


def test_the_fleets_limit_refuses_who_comes_while_it_is_reached() -> None:
    found = under([asked(1, 0), asked(2, 500, "two"), asked(3, 1_000)], max_concurrent_runs=1)
    assert found.newly_rejected.runs == 1
    assert [share.name for share in found.newly_rejected.by_session] == ["two"]
    assert [share.name for share in found.newly_rejected.by_reason] == ["policy.maxConcurrentRuns"]
    assert found.newly_rejected.cost_usd == 1.0


def test_a_limit_by_key_refuses_or_lets_wait() -> None:
    runs = [asked(1, 0), asked(2, 100), asked(3, 200, provider="openai"), asked(4, 1_500)]
    refused = under(runs, ("provider", 1, "reject", None))
    assert [share.name for share in refused.newly_rejected.by_reason] == ["policy.limits provider:mock"]
    assert refused.newly_rejected.runs == 1
    waiting = under(runs, ("provider", 1, "enqueue", "mock"))
    assert (waiting.newly_rejected.runs, waiting.waited) == (0, 2)  # the second, and the fourth behind it


def test_whoever_waits_goes_on_in_turn_when_every_limit_is_free() -> None:
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
    day = 86_400_000
    runs = [asked(1, 0), asked(2, 2_000), asked(3, 4_000), asked(4, day)]
    found = under(runs, cost_budget_daily_usd=2.0)
    assert [share.name for share in found.newly_rejected.by_session] == ["s3"]
    assert [share.name for share in found.newly_rejected.by_reason] == ["policy.costBudgetDailyUsd"]


def test_what_a_client_chose_is_not_changed_by_a_policy() -> None:
    found = under([asked(1, 0, refused=CLIENTS_CHOICE)])
    assert (found.newly_allowed.runs, found.simulated.refused) == (0, 1)


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
    estimated = estimate([*known, asked(6, 5, refused=FULL, **refused)])
    assert estimated[:-1] == known
    assert estimated[-1].duration_ms == duration


def test_many_who_wait_are_simulated_in_time() -> None:
    found = under([asked(number, number) for number in range(10_000)], ("provider", 1, "enqueue", None))
    assert found.waited == 9_999
