"""The daily budget as the writer decides it: reservations, waiting and refused runs, and the next day."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.clock import CountingIds, milliseconds
from athena_core.decider import Context, Decider, Rejected
from athena_core.domain import policy, run
from athena_core.errors import DailyBudgetExceeded
from athena_core.event import Meta
from athena_core.log.guards import Guards
from athena_core.services.runs.admission import BudgetGrant, BudgetRequest, day_totals, reserve, resume
from athena_core.services.runs.prepared import ExecutorCapacity
from athena_core.values import LOCAL
from tests.core.domain.given import NOW, Given
from tests.support.events.run import CREATED, DEAR, LEASED, PAUSED, STARTED, recorded

DAY_MS = 86_400_000
BUDGET = 1_000
RUNNING = Given(run.DECIDER, run.decide, CREATED, LEASED, STARTED).state
TODAY = run.day_of(NOW)
PAID_BY_DAY = recorded(DEAR)


class Head:
    """The state at the head: a policy, an open run, and guards."""

    head = 9
    run = RUNNING

    def __init__(self, budget_usd: float | None, **guards: Mapping[str, tuple[str | int, ...]]) -> None:
        self._policy = policy.evolve(
            policy.PolicyState(),
            policy.PolicyUpdated(
                schema_version=1,
                updated_at="",
                after=policy.Policy(schema_version=1, cost_budget_daily_usd=budget_usd),
            ),
        )
        self._guards = guards

    def state(self, decider: Decider[Any], stream: str) -> Any:
        return self._policy if stream == policy.STREAM else self.run

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        return MappingProxyType(dict(self._guards.get(kind, {})))

    def count(self, kind: str, word: str) -> int:
        return 0


def context(now: int = NOW) -> Context:
    return Context(now=now, ids=CountingIds(), meta=Meta(actor="system:executor", correlation="trace"))


def asked(
    head: Head, *, least: int = 100, most: int | None = 400, lost: int = 0, now: int = NOW
) -> tuple[BudgetGrant, int]:
    """Return the answer to a caller about to ask a model, and the reserved amount."""
    outcome = reserve(
        head, context(now), ExecutorCapacity(), "run_1", 1, BudgetRequest(1, "openai", "gpt-4o", lost, least, most)
    )
    amounts = [fact.event.reserved_micro_usd for fact in outcome.facts if isinstance(fact.event, run.BudgetReserved)]
    assert isinstance(outcome.answer, BudgetGrant)
    return outcome.answer, sum(amounts)


def spent(amount: int, on: str = TODAY) -> Mapping[str, tuple[str | int, ...]]:
    return {run.spent_key(milliseconds(on)): (on, amount)}


@pytest.mark.parametrize("budget", [None, 0])
def test_without_a_daily_budget_any_sum_may_be_spent(budget: float | None) -> None:
    assert asked(Head(budget, spent=spent(10**9))) == (BudgetGrant(), 0)


def test_the_highest_cost_of_a_call_is_reserved() -> None:
    assert asked(Head(0.001, spent=spent(500))) == (BudgetGrant(micro_usd=400), 400)


def test_the_last_call_gets_the_rest() -> None:
    assert asked(Head(0.001, spent=spent(750))) == (BudgetGrant(micro_usd=250), 250)


def test_the_cost_of_failed_calls_of_the_turn_stays_reserved() -> None:
    assert asked(Head(0.001, spent=spent(500)), lost=300) == (BudgetGrant(micro_usd=200), 500)


def test_an_own_reservation_is_replaced_and_other_ones_count() -> None:
    others = {"run_1": (400,), "run_2": (300,)}
    assert asked(Head(0.001, spent=spent(500), reserved=others)) == (BudgetGrant(micro_usd=200), 200)


def test_reservations_of_others_may_be_released_soon() -> None:
    granted, amount = asked(Head(0.001, spent=spent(500), reserved={"run_2": (450,)}))
    assert (granted.wait, granted.micro_usd, amount) == (True, None, 0)


def test_a_run_is_paused_once_the_budget_is_spent() -> None:
    granted, amount = asked(Head(0.001, spent=spent(901)))
    assert granted.reached == run.DayReached(reason="daily-budget", spent_micro_usd=901, budget_micro_usd=BUDGET)
    assert (granted.wait, amount) == (False, 0)


def test_a_call_of_unknown_price_is_not_made() -> None:
    granted, _ = asked(Head(0.001), most=None)
    assert granted.reached == run.DayReached(reason="unpriced-model", spent_micro_usd=0, budget_micro_usd=BUDGET)
    assert not granted.wait


def test_a_new_day_begins_at_midnight_utc_and_reservations_stay() -> None:
    head = Head(0.001, spent=spent(1_000), reserved={"run_2": (700,)})
    last = NOW + DAY_MS - 1
    assert day_totals(head, last) == (1_000, 700)
    assert day_totals(head, last + 1) == (0, 700)
    assert asked(head, now=last)[0].reached
    assert asked(head, now=last + 1) == (BudgetGrant(micro_usd=300), 300)


def test_the_spending_row_of_release_0_1_0_counts_on_its_last_day_only() -> None:
    head = Head(0.001, spent={"day": (TODAY, 600), **spent(300)})
    assert day_totals(head, NOW).spent == 900
    assert day_totals(head, NOW + DAY_MS).spent == 0


@given(st.lists(st.tuples(st.integers(-39, 39), st.integers(1, 999)), max_size=50))
def test_no_day_within_forty_is_forgotten_wherever_the_clock_goes_meanwhile(payments: list[tuple[int, int]]) -> None:
    days = [number for number, _ in payments]
    if days and max(days) - min(days) >= run.SPENT_DAYS:
        payments = [(abs(number), cost) for number, cost in payments]
    rows = Guards()
    total: Counter[int] = Counter()
    for number, cost in payments:
        total[number] += cost
        paid = replace(PAID_BY_DAY, decided_at=NOW + number * DAY_MS, event=replace(DEAR, cost_micro_usd=cost))
        for guard in run.DECIDER.guards(paid):
            rows.apply(guard)
    for number, cost in total.items():
        assert run.spent_on(rows.of("spent"), NOW + number * DAY_MS) == cost
    assert len(rows.of("spent")) <= run.SPENT_DAYS


@pytest.mark.parametrize(("paid", "refused"), [(BUDGET - 1, False), (BUDGET, True)])
def test_a_run_is_resumed_while_any_of_the_budget_is_left(paid: int, refused: bool) -> None:
    head = Head(0.001, spent=spent(paid))
    head.run = Given(run.DECIDER, run.decide, CREATED, LEASED, STARTED, PAUSED).state
    try:
        outcome = resume(head, context(), ExecutorCapacity(), "run_1", None, LOCAL)
    except Rejected as rejected:
        assert refused
        assert isinstance(rejected.error, DailyBudgetExceeded)
    else:
        assert not refused
        assert [type(fact.event) for fact in outcome.facts] == [run.RunResumed]
