"""The filters, the order and the facets of lists of runs, against the same rows picked by hand."""

import random
import time
import timeit
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from athena_core.enums import RunStatus
from athena_core.errors import CursorInvalid
from athena_core.log.sqlite.views import SqliteDatabases
from athena_core.protocols import Connection
from athena_core.values import RunFilter, Scope
from projections.engine.projection import during
from projections.run_answer import RunRow, answer_of
from projections.run_rows import RUN, RUNS
from projections.runs import ALL, INDEXED, SCANNED, RunSort, conditions, is_indexed, run_facets
from tests.projections.answers import list_runs
from tests.projections.history import BEGINNING
from tests.scale import sized

STATUSES: tuple[RunStatus, ...] = ("completed", "failed", "cancelled", "crashed", "paused")
CODES = {"failed": ("PROVIDER_ERROR", "STUCK"), "cancelled": ("RUN_CANCELLED",), "crashed": ("RUN_CRASHED",)}


def rows_of(count: int, seed: int = 1) -> Iterator[RunRow]:
    """Yield runs with every combination of values, the oldest first."""
    dice = random.Random(seed)
    for number in range(count):
        status = dice.choices(STATUSES, (80, 10, 5, 1, 4))[0]
        begun = BEGINNING + number * 10
        ended = status != "paused"
        yield RunRow(
            position=number * 7 + 3,
            run_id=f"run_{number:06}",
            session_id=f"s{dice.randrange(max(count // 50, 2))}",
            status=status,
            created_at=begun,
            directive_id="dir_1",
            harness_profile_id=f"hp_{dice.randrange(40)}",
            provider=(provider := dice.choice(("openai", "anthropic", "mock"))),
            model=f"{provider}-{dice.randrange(4)}",
            trace_id="t",
            started_at=begun,
            finished_at=begun + 5 if ended else None,
            duration_ms=dice.randrange(50) if ended else None,
            cost_micro_usd=dice.choice((None, 0, dice.randrange(1_000))),
            error_code=dice.choice(CODES[status]) if status in CODES else None,
            parent_run_id="run_000001" if dice.random() < 0.1 else None,
            retry_of="run_000002" if dice.random() < 0.1 else None,
            input_preview="p" * 150,
        )


def stored(path: Path, rows: list[RunRow]) -> Connection:
    connection = SqliteDatabases().write(path)
    for table in RUNS.tables:
        for statement in table.create:
            connection.execute(statement)
    for row in rows:
        row.answer = answer_of(row)
    with connection.transaction():
        connection.executemany(during(RUN, 0).insert, map(msgspec.structs.astuple, rows))
    return connection


PICKS: dict[str, Callable[[RunRow, Any], bool]] = {
    "created_after": lambda row, value: row.created_at >= value,
    "created_before": lambda row, value: row.created_at <= value,
    "cost_over_micro_usd": lambda row, value: (row.cost_micro_usd or 0) > value,
    "duration_over_ms": lambda row, value: row.duration_ms is not None and row.duration_ms > value,
}


def picked(rows: list[RunRow], wanted: RunFilter) -> list[RunRow]:
    """Return the rows of a filter, by the names of its fields."""
    given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    return [
        row
        for row in rows
        if all(
            PICKS.get(name, lambda row, value, name=name: getattr(row, name) == value)(row, value)
            for name, value in given.items()
        )
    ]


def filters(rows: list[RunRow], count: int) -> Iterator[RunFilter]:
    """Yield filters with up to three fields, with values of some row."""
    dice, names = random.Random(2), RunFilter.__struct_fields__
    for _ in range(count):
        row = dice.choice(rows)
        values: dict[str, Any] = {
            "created_after": row.created_at - 100,
            "created_before": row.created_at + 100,
            "cost_over_micro_usd": dice.randrange(900),
            "duration_over_ms": dice.randrange(40),
        }
        chosen = dice.sample(names, dice.randrange(4))
        yield RunFilter(**{name: values[name] if name in values else getattr(row, name) for name in chosen})


def only(name: str, value: Any) -> RunFilter:
    return msgspec.structs.replace(ALL, **{name: value})


def test_every_filter_and_order_lists_the_runs_that_it_says(tmp_path: Path) -> None:
    rows = list(rows_of(400))
    connection = stored(tmp_path / "views.db", rows)
    orders: dict[RunSort, Callable[[RunRow], Any]] = {
        "createdAt": lambda row: row.position,
        "cost": lambda row: (row.cost_micro_usd, row.position),
        "duration": lambda row: (row.duration_ms, row.position),
    }
    values = {"createdAt": "position", "cost": "cost_micro_usd", "duration": "duration_ms"}
    for wanted in filters(rows, sized(100, 300, 3_000)):
        for sort, order in orders.items():
            found, cursor = [], None
            while True:
                page = list_runs(connection, wanted, sort=sort, cursor=cursor, limit=7)
                found += [run.run_id for run in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break
            expected = [row for row in picked(rows, wanted) if getattr(row, values[sort]) is not None]
            assert found == [row.run_id for row in sorted(expected, key=order, reverse=True)], (wanted, sort)


def test_facets_count_the_runs_of_a_filter_within_a_scope(tmp_path: Path) -> None:
    rows = list(rows_of(400))
    connection = stored(tmp_path / "views.db", rows)
    for scope in (None, Scope(sessions=frozenset(("s1", "s2")))):
        covered = [row for row in rows if scope is None or row.session_id in {"s1", "s2"}]
        for wanted in filters(rows, 100):
            expected = picked(covered, wanted)
            facets = run_facets(connection, wanted, scope)
            assert (facets.total, facets.complete) == (len(expected), True)
            for name in ("status", "harness_profile_id", "model", "error_code", "session_id"):
                counts = Counter(value for row in expected if (value := getattr(row, name)) is not None)
                found = getattr(facets, name)
                assert {facet.value: facet.count for facet in found} == counts, (wanted, name)
                assert [facet.count for facet in found] == sorted(counts.values(), reverse=True)


def test_facets_of_more_runs_than_they_count_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.runs.FACET_RUNS_MAX", 10)
    facets = run_facets(stored(tmp_path / "views.db", list(rows_of(50))), ALL, None)
    assert (facets.total, facets.complete) == (10, False)


def test_a_cursor_of_one_order_is_refused_by_another(tmp_path: Path) -> None:
    connection = stored(tmp_path / "views.db", list(rows_of(50)))
    orders: tuple[RunSort, ...] = ("createdAt", "cost", "duration")
    for sort in orders:
        cursor = list_runs(connection, sort=sort, cursor=None, limit=1).next_cursor
        for other in set(orders) - {sort}:
            with pytest.raises(CursorInvalid):
                list_runs(connection, sort=other, cursor=cursor, limit=1)


def test_each_field_is_known_to_have_an_index_or_none(tmp_path: Path) -> None:
    assert set(RunFilter.__struct_fields__) == INDEXED | SCANNED
    connection = stored(tmp_path / "views.db", [])
    for name in INDEXED:
        (condition,) = [text for text, value in conditions(only(name, "failed")) if value is not None]
        plan = list(
            connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM run WHERE {condition} ORDER BY position DESC", ("x",))
        )
        assert [f"USING INDEX run_by_{name}_position" in str(step[3]) for step in plan] == [True], plan
        assert is_indexed(only(name, "failed"))
    for column in ("cost_micro_usd", "duration_ms"):
        plan = list(
            connection.execute(
                f"EXPLAIN QUERY PLAN SELECT * FROM run WHERE {column} >= 0 ORDER BY {column} DESC, position DESC"
            )
        )
        assert [f"run_by_{column}_position" in str(step[3]) for step in plan] == [True], plan
    assert not is_indexed(RunFilter(created_after=1))
    assert not is_indexed(RunFilter(status="failed", provider="x"))
    assert not is_indexed(RunFilter(status="failed"), "cost")
    assert is_indexed(ALL, "cost")


@pytest.mark.heavy
def test_a_page_of_100_000_runs_by_an_indexed_filter_takes_a_fraction_of_a_search(tmp_path: Path) -> None:
    connection = stored(tmp_path / "views.db", list(rows_of(100_000)))
    nothing = {name: "failed" if name == "status" else "none" for name in INDEXED}
    cases: list[tuple[RunFilter, RunSort]] = [(only(name, value), "createdAt") for name, value in nothing.items()]
    cases += [
        (RunFilter(status="completed", model="none"), "createdAt"),
        (RunFilter(provider="mock", error_code="none"), "cost"),
    ]
    cases += [(RunFilter(created_before=0), "createdAt"), (RunFilter(cost_over_micro_usd=10**9), "createdAt")]
    cases += [(ALL, "cost"), (ALL, "duration"), (RunFilter(status="completed", model="none"), "duration")]
    took: dict[bool, list[float]] = {True: [], False: []}
    for wanted, sort in cases:
        page = partial(list_runs, connection, wanted, sort=sort, cursor=None, limit=50)
        seconds = min(timeit.repeat(page, number=1, repeat=3))
        took[is_indexed(wanted, sort)].append(seconds)
        print(f"{seconds * 1e3:7.1f} ms  {sort:9}  {msgspec.json.encode(wanted).decode()}")
    # Two filters of which one has an index are quick as well, so the slowest is what a search costs.
    assert max(took[True]) < max(took[False]) / 5, "measured: a hundredth"
    for wanted in (ALL, RunFilter(status="completed"), RunFilter(model="none")):
        begun = time.perf_counter()
        run_facets(connection, wanted, None)
        print(f"{(time.perf_counter() - begun) * 1e3:7.1f} ms  facets  {msgspec.json.encode(wanted).decode()}")
