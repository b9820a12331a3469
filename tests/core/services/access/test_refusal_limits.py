"""The flood of refusals: which callers are stopped and for how long, and what a day records of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import msgspec
import pytest

from athena_core.clock import CountingIds, FixedClock
from athena_core.decider import Context, Reader, Rejected, Transaction
from athena_core.domain.plane import AuthzDenied, RequestsSuppressed
from athena_core.errors import AthenaError, Overloaded, RateLimited
from athena_core.event import Event, Fact, Meta
from athena_core.log.writer import Log
from athena_core.roles import Roster
from athena_core.services.access.access import Access
from athena_core.services.access.refusal_limits import (
    SUMMARIES_BURST,
    SUMMARY_EVENTS_MAX,
    SUPPRESSED_MAX,
    RefusalLimits,
)
from athena_core.system.problems import Problems
from athena_core.values import Identity, Role
from tests.support.records import CODEC, opened_log

CLOCK_TURN_MS = 1_000


@contextmanager
def flood_of(log: Log, refusals_max: int = 3) -> Iterator[tuple[RefusalLimits, FixedClock]]:
    clock = FixedClock()
    yield RefusalLimits(log, clock, CountingIds(), refusals_max), clock


def stopped(flood: RefusalLimits, subject: str = "olga", operation: str = "createRun") -> bool:
    try:
        flood.check(subject, operation)
    except RateLimited:
        return True
    return False


def recorded(log: Log) -> list[tuple[str, str, int, str]]:
    """Return what the log holds of suppressed requests."""
    reader = log.reader()
    events = [CODEC.decode(row) for row in reader.rows(0, 100)]
    reader.close()
    assert all(one.event.since for one in events)  # type: ignore[attr-defined]
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


def test_rare_refusals_stop_no_caller(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log, flood_of(log) as (flood, clock):
        for _ in range(20):
            flood.refused("olga", "createRun")
            assert not stopped(flood)
            clock.advance(CLOCK_TURN_MS // 2)


async def test_stopped_requests_are_recorded_with_their_number(tmp_path: Path) -> None:
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


async def test_a_record_that_fails_is_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


# The bytes that refusals may write

PER_DAY, IN_ALL = 50, 200
EVENTS_OF_A_DENIAL = 2
SUMMARIES_OF_A_DAY = SUMMARIES_BURST + 24 * 60
BYTES_OF_AN_EVENT = 400


class Book:
    """An in-memory log that keeps appended events."""

    def __init__(self, clock: FixedClock) -> None:
        self.head = 0
        self.events: list[Event] = []
        self._clock = clock
        self.problems = Problems(clock)

    async def submit(self, transaction: Transaction, meta: Meta) -> None:
        """Append what a transaction decides, or what its refusal records."""
        context = Context(now=self._clock.now(), ids=CountingIds(), meta=meta)
        try:
            facts = transaction(cast(Reader, self), context).facts
        except Rejected as rejected:
            rejected.error.recorded = not meta.quiet
            self.append(() if meta.quiet else rejected.facts)
            raise rejected.error from None
        self.append(facts)

    def append(self, facts: tuple[Fact, ...]) -> None:
        self.events += [fact.event for fact in facts]
        self.head += len(facts)

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


class Denied:
    """Callers whose every request is denied, as the endpoint answers them."""

    def __init__(self, refusals_per_second: int = 100) -> None:
        self.clock = FixedClock()
        self.book = Book(self.clock)
        log = cast(Log, self.book)
        self.flood = RefusalLimits(log, self.clock, CountingIds(), refusals_per_second, PER_DAY, IN_ALL)
        roster = Roster(enabled=True, roles={}, default=Role.VIEWER)
        self._access = Access(log, {}, roster, self.flood)
        self.requests = 0

    async def ask(self, subject: str, operation: str = "putPolicy") -> str:
        """Return the error code of one request."""
        self.requests += 1
        meta = Meta(actor=subject, correlation="trace", quiet=self.flood.exhausted(subject))
        try:
            self.flood.check(subject, operation)
            await self._access.require(Identity(subject=subject, role=Role.VIEWER), operation, meta)
        except AthenaError as error:
            if error.recorded is not None:
                self.flood.refused(subject, operation, recorded=error.recorded)
            return error.code
        raise AssertionError("it was allowed")

    async def step(self) -> None:
        self.clock.advance(10_000)
        await self.flood.tick()

    async def check(self, denials_max: int) -> None:
        """Check that every request is recorded or counted, with few events."""
        await self.flood.flush()
        suppressed = [event for event in self.book.events if isinstance(event, RequestsSuppressed)]
        denied = self.book.count(AuthzDenied)
        assert denied + sum(event.count for event in suppressed) == self.requests
        assert denied <= denials_max
        assert len(suppressed) <= SUMMARY_EVENTS_MAX * (SUMMARIES_OF_A_DAY + 1)
        assert all(event.since for event in suppressed)
        assert len(self.book.events) == EVENTS_OF_A_DENIAL * denied + len(suppressed)
        size = sum(len(msgspec.json.encode(event)) for event in self.book.events)
        assert size <= BYTES_OF_AN_EVENT * len(self.book.events)


DAY_STEPS = 86_400 // 10


async def test_a_day_of_refusals_of_one_caller_is_a_burst_and_one_event_a_minute() -> None:
    denied = Denied(refusals_per_second=2)
    for _ in range(DAY_STEPS):
        assert [await denied.ask("vera") for _ in range(3)] == ["AUTHZ_DENIED", "AUTHZ_DENIED", "RATE_LIMITED"]
        await denied.step()
    await denied.check(2 * PER_DAY)
    assert denied.book.count(RequestsSuppressed) <= SUMMARIES_OF_A_DAY + 1


async def test_ten_thousand_refused_callers_record_no_more_a_day_than_a_few() -> None:
    denied = Denied()
    for step in range(DAY_STEPS):
        for number in (2 * step, 2 * step + 1):
            assert await denied.ask(f"vera{number % 10_000}", f"operation{number % 7}") == "AUTHZ_DENIED"
        await denied.step()
    await denied.check(2 * IN_ALL)
    summaries = [event for event in denied.book.events if isinstance(event, RequestsSuppressed)]
    assert denied.book.events.index(summaries[0]) >= EVENTS_OF_A_DENIAL * IN_ALL, "the first ones stand by themselves"
    assert {event.subject for event in summaries} > {"*"}, "some have names, the others have one together"


async def test_a_caller_who_used_up_its_records_is_still_answered_the_truth_and_others_are_recorded() -> None:
    denied = Denied()
    for _ in range(PER_DAY + 5):
        assert await denied.ask("vera") == "AUTHZ_DENIED"
    assert denied.book.count(AuthzDenied) == PER_DAY
    assert await denied.ask("otto") == "AUTHZ_DENIED"
    assert denied.book.count(AuthzDenied) == PER_DAY + 1
    denied.clock.advance(2 * 86_400_000 // PER_DAY)
    await denied.ask("vera")
    assert denied.book.count(AuthzDenied) == PER_DAY + 2, "what a day allows comes back evenly"
    await denied.check(PER_DAY + 2)


async def test_summaries_name_the_largest_counts_and_one_rest(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log, flood_of(log) as (flood, _):
        for number in range(SUPPRESSED_MAX + 30):
            for _ in range(3 if number < 4 else 1):
                flood.suppress(f"caller{number}", "putPolicy")
        await flood.flush()
        found = recorded(log)
        assert len(found) == SUMMARY_EVENTS_MAX
        assert ("*", "*", 30, "*") in found, "more than can be counted apart are counted together"
        assert [(f"caller{number}", "putPolicy", 3, f"caller{number}") for number in range(4)] == found[1:5]
        assert sum(count for _, _, count, _ in found) == SUPPRESSED_MAX + 30 + 8
