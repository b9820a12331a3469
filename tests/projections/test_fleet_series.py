"""The series of the fleet, compared with a plain count of the history."""

import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_core.clock import iso
from athena_core.domain.run import RunCreated, UsageRecorded
from athena_core.errors import ConfigError
from athena_core.values import Usage
from projections.fleet_rows import bucket_of, longest_of
from projections.fleet_series import LINES_MAX, STEPS, fleet_series, window_of
from projections.fleet_series_rows import KEPT, NAMES_MAX, SPARE, NamedCounts
from tests.projections.history import BEGINNING, CODEC, History, folder
from tests.projections.support import Paged, catch_up, digests, new_generation, shown
from tests.scale import sized

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
PAUSES = (0, 1, 900, 4_999, 5_000, -2_000, 70 * SECOND, 59 * MINUTE, 25 * HOUR, 60 * DAY)
OUTCOMES = ("completed", "failed", "cancelled", "timed-out", "crashed")
CODES = {"failed": "PROVIDER_ERROR", "timed_out": "RUN_TIMEOUT", "crashed": "RUN_CRASHED"}
MOVED = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 99)), max_size=80)


def series(history: History, by: Any = None, start: int | None = None, step: Any = None) -> Any:
    """Return the answer as clients see it."""
    with tempfile.TemporaryDirectory() as directory:
        connection = shown(Path(directory), history)
        answer = fleet_series(connection, window_of(history.now, start, None, step), by)
    return msgspec.json.decode(msgspec.json.encode(answer))


def pay(history: History, run_id: str, model: str, cost: int | None) -> None:
    usage = Usage(input_tokens=2, output_tokens=3)
    history.in_run(run_id, UsageRecorded(provider="mock", model=model, usage=usage, cost_micro_usd=cost))


def played(moves: list[tuple[int, int]]) -> History:
    """Return a history of runs of three models and profiles, over seconds or months."""
    history = History()
    for kind, choice in moves:
        history.now = max(history.now + PAUSES[choice % len(PAUSES)], BEGINNING)
        runs = list(history.open)
        run_id = runs[choice % len(runs)] if runs else None
        if kind == 0:
            history.request(f"s{choice}", model=f"m{choice % 3}", profile_id=f"p{choice % 2}")
        elif kind == 1:
            history.refuse("s", profile_id=f"p{choice % 3}" if choice % 2 else None)
        elif kind == 2 and run_id:
            pay(history, run_id, f"m{choice % 4}", choice if choice % 2 else None)
        elif kind in {3, 4} and run_id:
            history.end(run_id, OUTCOMES[choice % 5])
    return history


def counted(history: History, step: int, names: str | None) -> dict[str | None, dict[int, Counter[str]]]:
    """Count the events of a history by name and start of the interval. None is all."""
    found: dict[str | None, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    runs: dict[str, tuple[RunCreated, int]] = {}
    for recorded in map(CODEC.decode, history.written):
        event: Any = recorded.event
        counts: dict[str, int] = {}
        about: dict[str, str | None] = {}
        outcome = recorded.type.removeprefix("run.").replace("-", "_")
        if recorded.type == "run.created":
            runs[recorded.stream] = event, recorded.at
            counts, about = {"started": 1}, {"model": event.model, "profile": event.harness_profile_id}
        elif recorded.type == "policy.rejected":
            counts, about = {"rejected": 1}, {"profile": event.harness_profile_id}
        elif recorded.type == "usage.recorded":
            created, _ = runs[recorded.stream]
            counts = {"calls": 1, "input_tokens": 2, "output_tokens": 3, "cost_micro_usd": event.cost_micro_usd or 0}
            about = {"model": event.model, "profile": created.harness_profile_id}
        elif outcome in {"completed", "failed", "cancelled", "timed_out", "crashed"}:
            created, began = runs[recorded.stream]
            counts = {outcome: 1}
            if outcome == "completed":
                counts[f"time {bucket_of(recorded.at - began)}"] = 1
            about = {"model": created.model, "profile": created.harness_profile_id, "error": CODES.get(outcome)}
        start = recorded.at // (step * SECOND) * step * SECOND
        for name in {None, about.get(names or "")}:
            if counts:
                found[name][start].update(counts)
    return found


def percentile(times: dict[int, int], percent: int) -> int | None:
    """Return a percentile of a sorted list."""
    ranked = sorted(bucket for bucket, runs in times.items() for _ in range(runs))
    return longest_of(ranked[-(-len(ranked) * percent // 100) - 1]) if ranked else None


def expected(intervals: dict[int, Counter[str]], starts: range) -> dict[str, Any]:
    """Return the line of counted intervals."""
    total = sum((intervals[start] for start in starts if start in intervals), Counter[str]())
    times = {start: _times(intervals.get(start, Counter())) for start in starts}
    line: dict[str, Any] = {"total": {}}
    names = ("started", "completed", "failed", "cancelled", "timed_out", "crashed", "rejected", "calls")
    for name in (*names, "input_tokens", "output_tokens", "cost_micro_usd"):
        line["total"][_camel(name)] = total[name]
        if total[name]:
            line[_camel(name)] = [intervals.get(start, Counter())[name] for start in starts]
    for name, percent in (("p50Ms", 50), ("p95Ms", 95)):
        if _times(total):
            line["total"][name] = percentile(_times(total), percent)
            line[name] = [percentile(times[start], percent) for start in starts]
    return line


def _times(counts: Counter[str]) -> dict[int, int]:
    return {int(name.removeprefix("time ")): runs for name, runs in counts.items() if name.startswith("time ")}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.title() for part in others)


@settings(max_examples=sized(25, 60, 500), deadline=None)
@given(MOVED, st.sampled_from(list(STEPS)), st.sampled_from([None, "model", "profile", "error"]))
def test_the_series_has_the_counts_of_a_plain_count(moves: list[tuple[int, int]], step: Any, names: Any) -> None:
    history = played(moves)
    length = STEPS[step] * SECOND
    found = series(history, names, history.now - (KEPT[STEPS[step]] - 1) * length, step)
    newest = history.now // length * length
    starts = range(newest - (KEPT[STEPS[step]] - 1) * length, newest + 1, length)
    assert (found["start"], found["end"]) == (iso(starts[0]), iso(newest + length))
    assert (found["stepSeconds"], found["intervals"]) == (STEPS[step], len(starts))
    counts = counted(history, STEPS[step], names)
    assert found["all"] == expected(counts.pop(None, {}), starts)
    lines = {line.pop("name"): line for line in found["lines"]}
    wanted = {name: expected(intervals, starts) for name, intervals in counts.items()}
    assert lines == {name: line for name, line in wanted.items() if any(line["total"].values())}
    assert "other" not in found


def test_names_above_the_limits_are_counted_together() -> None:
    history = History()
    for number in range(NAMES_MAX + 15):
        for _ in range(2 if number < 5 else 1):
            history.end(history.request("s", model=f"m{number:02}"), "failed")
    found = series(history, "model")
    assert [line["name"] for line in found["lines"]] == [f"m{number:02}" for number in range(LINES_MAX)]
    shown_runs = sum(line["total"]["failed"] for line in found["lines"])
    assert found["all"]["total"]["failed"] == NAMES_MAX + 20
    assert shown_runs + found["other"]["total"]["failed"] == NAMES_MAX + 20
    assert shown_runs == LINES_MAX + 5, "the busiest are named"


def test_a_view_holds_no_more_intervals_than_are_kept() -> None:
    history = History()
    for _ in range(KEPT[5] + 2 * SPARE):
        history.refuse("s")
        history.now += 5 * SECOND
    with tempfile.TemporaryDirectory() as directory:
        connection = shown(Path(directory), history)
        assert list(connection.execute("SELECT count(*) FROM fleet_series WHERE step = 5")) == [(KEPT[5] + SPARE,)]


def test_a_clock_that_goes_back_by_a_ring_gives_the_same_rows_in_pages_of_any_size() -> None:
    """Each interval takes the place of the one before it, so the counts of that are lost."""
    history = History()
    for at in (0, 1, 0, 0):
        history.now = BEGINNING + at * (KEPT[5] + SPARE) * 5 * SECOND
        history.refuse("s")
    with folder() as path:
        whole = new_generation(path / "whole.db", history)
        single = new_generation(path / "single.db", Paged(history.written, [1]))
        for projector in (whole, single):
            catch_up(projector)
        assert digests(whole.connection) == digests(single.connection)
        ((counts,),) = list(whole.connection.execute("SELECT counts FROM fleet_series WHERE step = 5"))
        assert msgspec.json.decode(str(counts), type=NamedCounts).all.rejected == 2
        whole.connection.close()
        single.connection.close()


@pytest.mark.parametrize(
    ("ago", "step", "length"),
    [(15 * MINUTE, None, 5), (HOUR, None, 60), (DAY, None, 3_600), (7 * DAY, None, 3_600), (DAY, "1m", 60)],
)
def test_the_intervals_suit_the_time(ago: int, step: Any, length: int) -> None:
    assert window_of(BEGINNING, BEGINNING - ago, None, step).step == length


@pytest.mark.parametrize(
    ("start", "end", "step", "remedy"),
    [
        (BEGINNING - 67 * MINUTE, None, "5s", "step=1m"),
        (BEGINNING - 26 * HOUR, None, "1m", "step=1h"),
        (BEGINNING - 92 * DAY, None, "1h", "a time in the last 91 days"),
        (BEGINNING - 92 * DAY, None, None, "a time in the last 91 days"),
        (BEGINNING + 1, None, None, "an earlier time"),
        (BEGINNING, BEGINNING - 1, None, "an earlier time"),
    ],
)
def test_a_time_that_is_not_kept_is_refused(start: int, end: int | None, step: Any, remedy: str) -> None:
    with pytest.raises(ConfigError) as refused:
        window_of(BEGINNING, start, end, step)
    assert refused.value.details[0].remedy == remedy  # type: ignore[index]
