"""A jump of the machine's clock over HTTP: it is shown, nothing is refused, and an Admin accepts it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_core.clock import iso
from tests.support.api import soon
from tests.support.inside import Inside, plane_on
from tests.support.machine import DAY, HOUR, START, YEAR, Machine


@pytest.fixture
def plane(tmp_path: Path, machine: Machine) -> Iterator[Inside]:
    with plane_on(tmp_path, machine.clock, scheduler="off") as inside:
        yield inside


def data(plane: Inside, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = plane.ask(method, path, body)
    assert answer.status_code == status, answer.text
    return answer.json()["data"]


def health_with(plane: Inside, status: str) -> Any:
    """Return the health once it has a status; the clock is checked twice a second."""
    for _ in soon():
        found = data(plane, "GET", "/admin/health")
        if found["status"] == status:
            return found
    raise AssertionError


def test_a_jump_is_shown_and_left_out_until_an_admin_accepts_it(plane: Inside, machine: Machine) -> None:
    machine.jump(YEAR)
    found = health_with(plane, "degraded")
    (problem,) = found["problems"]
    assert problem["loop"] == "log.clock"
    assert "jumped 31536000 s ahead" in problem["message"]
    assert "athena clock accept" in problem["message"]
    assert (found["clockAheadMs"], found["clockBehindLogMs"], found["now"]) == (YEAR, 0, iso(START))
    metrics = plane.metrics()
    assert "athena_clock_jump_seconds 31536000" in metrics
    assert 'athena_background_failing{loop="log.clock"} 1' in metrics
    machine.go(HOUR // 60)
    assert data(plane, "POST", "/runs", {"input": "before"})["createdAt"] == iso(START + HOUR // 60)
    accepted = data(plane, "POST", "/admin/clock/accept")
    assert accepted == {"clock": iso(machine.wall), "aheadMs": YEAR}
    assert data(plane, "POST", "/runs", {"input": "after"})["createdAt"] == iso(machine.wall)
    found = health_with(plane, "ok")
    assert (found["clockAheadMs"], found["problems"]) == (0, [])
    (entry,) = data(plane, "GET", "/governance/audit-trail?kind=clock")["items"]
    assert (entry["type"], entry["actor"], entry["details"]) == ("clock.accepted", "local", {"aheadMs": YEAR})


def test_a_clock_behind_the_log_is_shown_and_used_as_it_is(plane: Inside, machine: Machine) -> None:
    data(plane, "POST", "/runs", {"input": "before"})
    machine.jump(-DAY)
    started = data(plane, "POST", "/runs", {"input": "after", "sessionId": "s"})
    assert started["createdAt"] == iso(START - DAY)
    run = data(plane, "GET", f"/runs/{started['runId']}")
    assert (run["createdAt"], run["finishedAt"]) == (iso(START - DAY), iso(START - DAY))
    (created,) = data(plane, "GET", f"/events?runId={started['runId']}&types=run.created")["events"]
    assert (created["createdAt"], created["decidedAt"]) == (iso(START), START - DAY)
    found = data(plane, "GET", "/admin/health")
    assert (found["status"], found["clockBehindLogMs"], found["clockAheadMs"]) == ("ok", DAY, 0)
    assert "athena_clock_behind_log_seconds 86400" in plane.metrics()


def test_what_was_accepted_elsewhere_is_accepted_by_every_process_on_that_machine(
    tmp_path: Path, plane: Inside, machine: Machine
) -> None:
    elsewhere = Machine()
    other, stranger = machine.process(), elsewhere.process()
    beside = [Inside(tmp_path, clock, scheduler="off") for clock in (other, stranger)]
    for one in beside:
        one.start()
    machine.jump(YEAR)
    elsewhere.jump(DAY)
    assert (other.ahead or other.now(), stranger.now()) == (START, START)
    data(plane, "POST", "/admin/clock/accept")
    for _ in soon():
        if other.now() == machine.wall:
            break
    assert stranger.now() == START, "its jump is another one"
    assert stranger.ahead == DAY
    for one in beside:
        one.stop()
