"""The flood of refusals: who is stopped, for how long, and what is recorded of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from athena_core.clock import CountingIds, FixedClock
from athena_core.errors import AthenaError, Overloaded, RateLimited
from athena_core.services.flood import Flood
from athena_core.store.log import Log
from tests.support.records import CODEC, opened_log

CLOCK_TURN_MS = 1_000


@contextmanager
def flood_of(log: Log, refusals_max: int = 3) -> Iterator[tuple[Flood, FixedClock]]:
    clock = FixedClock()
    yield Flood(log, clock, CountingIds(), refusals_max), clock


def stopped(flood: Flood, subject: str = "olga", operation: str = "createRun") -> bool:
    try:
        flood.check(subject, operation)
    except RateLimited:
        return True
    return False


def recorded(log: Log) -> list[tuple[str, str, int, str]]:
    """What the log holds of suppressed requests."""
    reader = log.reader()
    events = [CODEC.decode(row) for row in reader.rows(0, 100)]
    reader.close()
    return [(one.event.subject, one.event.operation, one.event.count, one.actor) for one in events]  # type: ignore[attr-defined]


def test_only_the_identity_and_the_operation_that_were_refused_too_often_are_stopped(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log, flood_of(log) as (flood, _):
        for _ in range(3):
            assert not stopped(flood)
            flood.refused("olga", "createRun")
        assert stopped(flood)
        assert not stopped(flood, subject="otto")
        assert not stopped(flood, operation="cancelRun"), "who may not start a run may still cancel one"


def test_a_second_later_it_is_tried_again(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log, flood_of(log) as (flood, clock):
        for _ in range(3):
            flood.refused("olga", "createRun")
        clock.advance(CLOCK_TURN_MS - 1)
        assert stopped(flood)
        clock.advance(1)
        assert not stopped(flood)
        flood.refused("olga", "createRun")
        assert not stopped(flood), "the count began anew"


def test_seldom_refusals_stop_nobody(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log, flood_of(log) as (flood, clock):
        for _ in range(20):
            flood.refused("olga", "createRun")
            assert not stopped(flood)
            clock.advance(CLOCK_TURN_MS // 2)


async def test_what_was_stopped_is_recorded_with_its_number(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log, flood_of(log, 1) as (flood, clock):
        flood.refused("olga", "createRun")
        flood.refused("vera", "putPolicy")
        assert all(stopped(flood) for _ in range(7))
        assert stopped(flood, "vera", "putPolicy")
        await flood.flush()
        assert recorded(log) == [("olga", "createRun", 7, "olga"), ("vera", "putPolicy", 1, "vera")]
        await flood.flush()
        assert len(recorded(log)) == 2, "nothing is recorded where nothing was stopped"
        assert stopped(flood)
        clock.advance(CLOCK_TURN_MS)
        await flood.flush()
        assert recorded(log)[2:] == [("olga", "createRun", 1, "olga")]


async def test_what_cannot_be_recorded_now_is_recorded_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened_log(tmp_path) as log, flood_of(log, 1) as (flood, _):
        flood.refused("olga", "createRun")
        assert stopped(flood)

        async def full(*_: object) -> None:
            raise Overloaded("no")

        with monkeypatch.context() as patch:
            patch.setattr(log, "submit", full)
            await flood.flush()
        assert stopped(flood)
        await flood.flush()
        assert recorded(log) == [("olga", "createRun", 2, "olga")]
        assert issubclass(RateLimited, AthenaError)
