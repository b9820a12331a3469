"""Many parked runs: a start reads their guards and nothing else, and an answer costs what it costs beside a few."""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from msgspec.structs import replace

from athena_core.clock import SystemClock, SystemIds
from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import session
from athena_core.event import Event, Fact
from athena_core.log.engine import open_archive
from tests.scale import sized
from tests.support.events.ask import PARKED, PERMISSION
from tests.support.events.run import CREATED, LEASED, PAID, SAID, STARTED
from tests.support.inside import Inside
from tests.support.records import META, opened_log

FEW, MANY = 10, sized(2_000, 3_000, 10_000)
PAIRS = 5
ANSWERS = 400
START_US, ANSWER_RATIO = 20, 1.3
SLACK = 10
"""Times are asserted at ten times their value."""

DAY_MS = 86_400_000


def parked(ids: SystemIds, count: int) -> Iterator[Fact]:
    """Yield the events of runs that are parked for an ask."""
    expires_at_ms = SystemClock().now() + DAY_MS
    for _ in range(count):
        run_id, session_id = ids.new("run"), ids.new("ses")
        ask = replace(PERMISSION, ask_id=ids.new("ask"), expires_at_ms=expires_at_ms)
        opened = session.SessionCreated(session_id=session_id)
        yield Fact(stream=session.stream(session_id), event=opened, session_id=session_id)
        said = replace(SAID, role="user")
        begun = (replace(CREATED, session_id=session_id), LEASED, STARTED, said)
        events: tuple[Event, ...] = (*begun, ask, replace(PAID, turn=1), PARKED)
        for event in events:
            yield Fact(stream=run_id, event=event, session_id=session_id, run_id=run_id)


def with_parked(directory: Path, count: int) -> Path:
    directory.mkdir()
    facts = tuple(parked(SystemIds(), count))
    with opened_log(directory / "state") as log:
        for start in range(0, len(facts), 2_000):

            def record(
                reader: Reader, context: Context, page: tuple[Fact, ...] = facts[start : start + 2_000]
            ) -> Outcome:
                return Outcome(facts=page)

            log.submit_in_thread(record, META)
    plane = Inside(directory, executor="off")
    plane.start()  # the views are made once
    plane.until("/admin/health", "lag", 0)
    plane.stop()
    return directory


def guards_of(directory: Path) -> int:
    archive = open_archive(directory / "state", None)
    try:
        return len(archive.reader().guards())
    finally:
        archive.close()


def started(directory: Path) -> tuple[Inside, float]:
    """Return a plane that was started, and the CPU seconds that it took."""
    plane = Inside(directory, executor="off")
    began = time.process_time()
    plane.start()
    return plane, time.process_time() - began


def answered(plane: Inside) -> float:
    """Answer some asks. Return the CPU seconds that one takes."""
    first, *asks = plane.data("GET", f"/asks?status=open&limit={ANSWERS // PAIRS}")["items"]
    plane.data("POST", f"/asks/{first['id']}/answer", {"subjectHash": first["subjectHash"], "optionId": "deny"})
    plane.until("/admin/health", "lag", 0)  # a start is over
    began = time.process_time()
    for ask in asks:
        plane.data("POST", f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], "optionId": "deny"})
    return (time.process_time() - began) / len(asks)


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_a_start_and_an_answer_cost_the_same_beside_many_parked_runs(tmp_path: Path) -> None:
    few, many = with_parked(tmp_path / "few", FEW + ANSWERS), with_parked(tmp_path / "many", MANY)
    more = MANY - FEW - ANSWERS
    grown = guards_of(many) - guards_of(few)
    print(f"guard rows read at a start: {grown / more:.2f} for each parked run (its session's turn, and its ask)")
    assert grown == 2 * more
    starts: list[float] = []
    ratios: list[float] = []
    for number in range(PAIRS):
        (small, short), (large, long) = started(few), started(many)
        starts.append((long - short) / more * 1e6)
        in_turn = (large, small) if number % 2 else (small, large)
        took = {plane: answered(plane) for plane in in_turn}
        ratios.append(took[large] / took[small])
        small.stop()
        large.stop()
    print(f"start: {median(starts):.1f} µs for each parked run, of {START_US}; {[round(one, 1) for one in starts]}")
    print(f"an answer at {MANY:,} / at {FEW}: {median(ratios):.2f}; {[round(one, 2) for one in ratios]}")
    assert median(starts) <= START_US * SLACK
    assert median(ratios) <= ANSWER_RATIO
