"""The fleet in counters, compared with a plain count of the history."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_core.clock import iso
from athena_core.domain.policy import Policy, PolicyUpdated
from athena_core.domain.run import BudgetReserved, RunPaused, RunResumed, UsageRecorded
from athena_core.values import Usage
from projections.fleet import fleet_counts, fleet_summary
from projections.fleet_rows import TIME_BOUNDS_MS, bucket_of, longest_of
from tests.projections.history import BEGINNING, CODEC, MOVES, History
from tests.projections.support import shown
from tests.scale import sized

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MOVED = st.lists(st.tuples(st.integers(0, MOVES), st.integers(0, 99)), max_size=120)


def summary(tmp_path: Path, history: History, now: int | None = None) -> Any:
    with tempfile.TemporaryDirectory(dir=tmp_path) as directory:
        connection = shown(Path(directory), history)
        return msgspec.json.decode(msgspec.json.encode(fleet_summary(connection, now or history.now, 0, None)))


def durations(tmp_path: Path, history: History) -> set[tuple[str, int | None, int, int]]:
    """Return the buckets of durations: kind, bound in milliseconds, number and sum in milliseconds."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as directory:
        times = fleet_counts(shown(Path(directory), history)).times
    bounds = (*TIME_BOUNDS_MS, None)
    return {(row.kind, bounds[row.bucket], row.number, row.sum_ms) for row in times}


def test_an_empty_fleet_has_every_field(tmp_path: Path) -> None:
    found = summary(tmp_path, History())
    assert found == {
        "total": 0,
        "running": 0,
        "paused": 0,
        "pending": 0,
        "succeeded": 0,
        "failed": 0,
        "cancelled": 0,
        "uptime": 0,
        "errorRate": 0,
        "capabilities": {"supportsPodStatus": False, "supportsCpuMemMetrics": False},
        "operationalSummary": {
            "totalActiveRuns": 0,
            "totalActiveSessions": 0,
            "aggregateResourceUsage": {"cpuUsage": 0, "memoryUsage": 0},
            "recentFailureRejectionCount": 0,
        },
        "costSummary": {
            "month": "2026-01",
            "windowStart": "2026-01-01T00:00:00.000Z",
            "windowEnd": iso(BEGINNING),
            "totalEstimatedSpendUsd": 0,
            "personaBreakdown": [],
            "providerBreakdown": [],
            "profileBreakdown": [],
            "sessionBreakdown": [],
            "tokenMix": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0, "inputRatio": 0, "outputRatio": 0},
            "unpricedCalls": 0,
            "today": {"day": "2026-01-01", "spentUsd": 0, "reservedUsd": 0},
        },
        "outcomes": {"completed": 0, "failed": 0, "cancelled": 0, "timedOut": 0, "crashed": 0},
        "withdrawn": 0,
        "queue": {"waiting": 0, "withoutExecutor": 0, "sessions": 0, "items": 0, "deadLetters": 0},
        "recent": {
            "windowStart": iso(BEGINNING - 23 * HOUR_MS),
            "admitted": 0,
            "outcomes": {"completed": 0, "failed": 0, "cancelled": 0, "timedOut": 0, "crashed": 0},
            "refused": 0,
            "denied": 0,
            "suppressed": 0,
            "runTimes": {"runs": 0},
        },
        "openAsks": 0,
        "halted": False,
    }


def test_runs_are_counted_where_they_are_and_how_they_ended(tmp_path: Path) -> None:
    history = History()
    for how in ("completed", "completed", "completed", "failed", "cancelled", "timed-out", "crashed"):
        history.end(history.request("s"), how)
    history.request("running")
    paused = history.request("paused")
    history.in_run(paused, RunPaused(reason="budget", elapsed_ms=1, spent_micro_usd=5, budget_micro_usd=5))
    first = history.request("busy", "session-busy")
    history.now += 1_000
    for _ in range(2):
        history.request("busy", "session-busy")
    history.request("other", "concurrency")
    history.end(first, "withdrawn")
    found = summary(tmp_path, history)
    assert (found["total"], found["running"], found["paused"]) == (9, 1, 1)
    assert (found["succeeded"], found["failed"], found["cancelled"], found["withdrawn"]) == (3, 3, 1, 1)
    assert (found["errorRate"], found["uptime"]) == (0.3333, 0.6667)
    assert found["outcomes"] == {"completed": 3, "failed": 1, "cancelled": 1, "timedOut": 1, "crashed": 1}
    assert found["pending"] == 2
    since = iso(BEGINNING + 1_000)
    assert found["queue"] == {
        "waiting": 3,
        "withoutExecutor": 2,
        "sessions": 2,
        "items": 0,
        "deadLetters": 0,
        "oldestWaitingSince": since,
    }
    assert found["operationalSummary"]["totalActiveRuns"] == 1
    assert found["operationalSummary"]["totalActiveSessions"] == 2


def test_the_day_has_its_spend_reservations_and_budget(tmp_path: Path) -> None:
    history = History()
    after = Policy(schema_version=1, cost_budget_daily_usd=20)
    history.write("policy", PolicyUpdated(schema_version=1, updated_at="", after=after))

    def reserve(run_id: str, dollars: int) -> None:
        reserved = BudgetReserved(turn=1, provider="mock", model="m", reserved_micro_usd=dollars * 1_000_000)
        history.in_run(run_id, reserved)

    def today(name: str, now: int | None = None) -> object:
        directory = tmp_path / name
        directory.mkdir()
        return summary(directory, history, now)["costSummary"]["today"]

    first, second, third = (history.request(name) for name in ("a", "b", "c"))
    reserve(first, 4)
    reserve(first, 5)  # in place of the one before
    reserve(second, 3)
    one_of_two = UsageRecorded(
        provider="mock", model="m", usage=Usage(), cost_micro_usd=1_000_000, reserved_micro_usd=4_000_000
    )
    history.in_run(first, one_of_two)
    assert today("kept") == {"day": "2026-01-01", "spentUsd": 1, "reservedUsd": 7, "budgetUsd": 20}
    history.pay(first, 1_000_000)
    assert today("settled") == {"day": "2026-01-01", "spentUsd": 2, "reservedUsd": 3, "budgetUsd": 20}
    history.end(second, "crashed")
    history.pay(third, -1_000_000)  # a negative count is 0
    assert today("released") == {"day": "2026-01-01", "spentUsd": 2, "reservedUsd": 0, "budgetUsd": 20}
    assert today("tomorrow", BEGINNING + 24 * HOUR_MS)["spentUsd"] == 0  # type: ignore[index]
    history.now += 24 * HOUR_MS
    history.pay(third, 1_000_000)
    assert today("next") == {"day": "2026-01-02", "spentUsd": 1, "reservedUsd": 0, "budgetUsd": 20}


def test_the_month_is_summed_by_persona(tmp_path: Path) -> None:
    history = History()
    for persona, cost in (("reviewer", 2_000_000), ("writer", 3_000_000), ("reviewer", 2_000_000)):
        run_id = history.request(persona, persona=persona)
        history.pay(run_id, cost)
        history.end(run_id)
    found = summary(tmp_path, history)["costSummary"]["personaBreakdown"]
    assert [(row["personaName"], row["estimatedSpendUsd"]) for row in found] == [("reviewer", 4), ("writer", 3)]


def test_the_month_is_summed_by_provider_profile_and_session(tmp_path: Path) -> None:
    history = History()

    def spend(session: str, provider: str, given: int, taken: int, cost: int | None) -> None:
        run_id = history.request(session)
        usage = Usage(input_tokens=given, output_tokens=taken)
        history.in_run(
            run_id, UsageRecorded(provider=provider, model="m", usage=usage, cost_micro_usd=cost, unpriced=cost is None)
        )
        history.end(run_id)

    history.now = BEGINNING - 1
    spend("last-year", "openai", 1_000, 1_000, 5_000_000)
    history.now = BEGINNING
    spend("a", "openai", 30, 10, 1_500_000)
    spend("b", "anthropic", 20, 20, 2_000_000)
    spend("a", "openai", 10, 0, 250_000)
    spend("c", "local", 0, 10, None)
    cost = summary(tmp_path, history)["costSummary"]
    assert (cost["month"], cost["totalEstimatedSpendUsd"], cost["unpricedCalls"]) == ("2026-01", 3.75, 1)
    assert cost["tokenMix"] == {
        "inputTokens": 60,
        "outputTokens": 40,
        "totalTokens": 100,
        "inputRatio": 0.6,
        "outputRatio": 0.4,
    }
    assert cost["providerBreakdown"] == [
        {"provider": "anthropic", "estimatedSpendUsd": 2, "inputTokens": 20, "outputTokens": 20, "totalTokens": 40},
        {"provider": "openai", "estimatedSpendUsd": 1.75, "inputTokens": 40, "outputTokens": 10, "totalTokens": 50},
        {"provider": "local", "estimatedSpendUsd": 0, "inputTokens": 0, "outputTokens": 10, "totalTokens": 10},
    ]
    assert [(row["sessionId"], row["estimatedSpendUsd"]) for row in cost["sessionBreakdown"]] == [
        ("b", 2),
        ("a", 1.75),
        ("c", 0),
    ]
    (profile,) = cost["profileBreakdown"]
    assert (profile["harnessProfileId"], profile["estimatedSpendUsd"]) == ("shadow-harness-0123456789ab", 3.75)
    before = summary(tmp_path, history, BEGINNING - 1)["costSummary"]
    assert (before["month"], before["totalEstimatedSpendUsd"]) == ("2025-12", 5)


def test_a_breakdown_holds_the_fifty_that_spent_most(tmp_path: Path) -> None:
    history = History()
    for number in range(60):
        run_id = history.request(f"s{number}")
        history.pay(run_id, number)
        history.end(run_id)
    rows = summary(tmp_path, history)["costSummary"]["sessionBreakdown"]
    assert [row["sessionId"] for row in rows] == [f"s{number}" for number in range(59, 9, -1)]


def test_the_window_is_this_hour_and_the_23_before(tmp_path: Path) -> None:
    history = History()
    for hours_ago in (24, 23, 22, 0):
        history.now = BEGINNING + DAY_MS - hours_ago * HOUR_MS
        history.refuse("s")
        history.deny("x")
        history.suppress(10)
        history.end(history.request("s"), "failed")
    history.now += HOUR_MS - 1
    found = summary(tmp_path, history)
    assert found["recent"]["windowStart"] == iso(BEGINNING + HOUR_MS)
    assert [found["recent"][name] for name in ("admitted", "refused", "denied", "suppressed")] == [3, 3, 3, 30]
    assert found["recent"]["outcomes"]["failed"] == 3
    assert found["operationalSummary"]["recentFailureRejectionCount"] == 36
    assert found["failed"] == 4


def test_run_times_are_percentiles_of_the_runs_that_completed_in_the_window(tmp_path: Path) -> None:
    history = History()
    long_ago = history.request("s")
    history.now += 1_000_000
    history.end(long_ago)
    history.now += 2 * DAY_MS
    for milliseconds in range(1, 101):
        run_id = history.request("s")
        history.now += milliseconds * 10
        history.end(run_id)
    history.end(history.request("s"), "failed")
    times = summary(tmp_path, history)["recent"]["runTimes"]
    assert times["runs"] == 100
    assert 500 <= times["p50Ms"] <= 500 * 9 // 8
    assert 950 <= times["p95Ms"] <= 950 * 9 // 8


@pytest.mark.parametrize("parked", [False, True])
def test_the_clock_of_a_run_stands_while_an_ask_is_open(tmp_path: Path, parked: bool) -> None:
    history = History()
    run_id = history.request("s")
    history.now += 5
    first = history.asks.ask(run_id)
    history.now += 50_000
    second = history.asks.ask(run_id)
    if parked:
        history.asks.park(run_id)  # at 5 ms of its time
    history.now += 50_000
    history.asks.answer(run_id, first)
    history.now += 50_000
    history.asks.answer(run_id, second)
    if parked:
        history.asks.requeue(run_id)
        history.now += 50_000
        history.asks.resume(run_id)
    history.now += 6
    history.asks.ask(run_id)
    history.now += 50_000
    history.end(run_id, "completed")
    assert {row for row in durations(tmp_path, history) if row[0] == "run"} == {("run", 50, 1, 11)}


def test_the_clock_of_a_run_stands_while_it_waits_and_while_it_is_paused(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s", "concurrency")
    history.now += 50_000
    history.admit(run_id)
    history.now += 3
    history.in_run(run_id, RunPaused(reason="budget", elapsed_ms=3, spent_micro_usd=5, budget_micro_usd=5))
    history.now += 70_000
    history.in_run(run_id, RunResumed(requested_by="ex_1"))
    history.now += 4
    history.end(run_id)
    assert summary(tmp_path, history)["recent"]["runTimes"] == {"runs": 1, "p50Ms": 7, "p95Ms": 7}
    assert durations(tmp_path, history) == {("wait", 60_000, 1, 50_000), ("run", 50, 1, 7)}


def test_durations_are_counted_by_bucket_since_the_log_began(tmp_path: Path) -> None:
    history = History()
    for milliseconds in (50, 51, 100, 3_600_001):
        run_id = history.request("s")
        history.pay(run_id, first_token_ms=milliseconds)
        history.pay(run_id)
        history.now += milliseconds
        history.end(run_id, "failed")
    assert durations(tmp_path, history) == {
        ("wait", 50, 4, 0),
        *(
            time
            for kind in ("run", "first-token")
            for time in ((kind, 50, 1, 50), (kind, 100, 2, 151), (kind, None, 1, 3_600_001))
        ),
    }


@given(st.integers(-5, 2**50))
def test_a_bucket_is_at_most_an_eighth_too_long(milliseconds: int) -> None:
    length = max(milliseconds, 0)
    longest = longest_of(bucket_of(milliseconds))
    assert length <= longest <= length * 9 // 8
    assert bucket_of(longest) == bucket_of(length)
    assert bucket_of(longest + 1) == bucket_of(length) + 1, "buckets follow each other without a gap"


@settings(max_examples=sized(25, 60, 500), deadline=None)
@given(MOVED)
def test_the_counters_say_what_a_plain_count_says(moves: list[tuple[int, int]]) -> None:
    history = History().play(moves)
    events = [CODEC.decode(row) for row in history.written]
    admitted = {one.stream for one in events if one.type == "run.created"}
    ends = {one.stream: one.type for one in events if one.type in ENDINGS}
    with tempfile.TemporaryDirectory() as directory:
        connection = shown(Path(directory), history)
        found = fleet_summary(connection, history.now, 0, None)
        counts = fleet_counts(connection)
    assert found.total == len(admitted)
    assert found.running + found.paused == len(history.open)
    assert found.queue.waiting == len(history.waiting)
    last = {
        one.stream: one.type for one in events if one.type in {"run.created", "run.resumed", "run.leased", *ENDINGS}
    }
    assert found.queue.without_executor == sum(kind in {"run.created", "run.resumed"} for kind in last.values())
    queues = {name: items for name, items in history.queues.items.items() if items}
    assert found.pending == found.queue.sessions == len(set(history.waiting.values()) | queues.keys())
    assert found.queue.items == sum(map(len, queues.values()))
    assert found.queue.dead_letters == list(history.queues.letters.values()).count("pending")
    assert found.succeeded == sum(ends[run] == "run.completed" for run in ends if run in admitted)
    assert found.failed == sum(ends[run] not in {"run.completed", "run.cancelled"} for run in ends if run in admitted)
    assert found.cancelled == sum(ends[run] == "run.cancelled" for run in ends if run in admitted)
    assert found.withdrawn == len(ends.keys() - admitted)
    paid = [one.event for one in events if isinstance(one.event, UsageRecorded)]
    spent = sum(event.cost_micro_usd or 0 for event in paid)
    assert found.cost_summary.total_estimated_spend_usd == pytest.approx(spent / 1_000_000)
    assert sum(row.cost_micro_usd for row in counts.providers) == spent
    assert found.recent.refused == sum(row.runs for row in counts.refusals)
    assert found.recent.denied == sum(one.type == "authz.denied" for one in events)


ENDINGS = {"run.completed", "run.failed", "run.cancelled", "run.timed-out", "run.crashed"}
