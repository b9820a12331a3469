"""The reactor of asks: it returns the next deadline at each look, whatever the clock does between two looks."""

from contextlib import closing
from pathlib import Path

import pytest

from athena_core.clock import CountingIds
from athena_core.domain import run
from athena_core.services.asks.expiry import AskExpiry
from tests.core.services.asks.plane import AskingPlane

MINUTE = 60_000


@pytest.mark.parametrize("step", [-1, -3_600_000, 0, 59_999])
async def test_each_look_returns_the_deadline(tmp_path: Path, step: int) -> None:
    plane = AskingPlane(tmp_path)
    expiry = AskExpiry(plane.log, plane.rules, plane.executor, plane.clock, CountingIds())
    due = plane.clock.now() + MINUTE
    await plane.parked()
    with closing(plane.log.reader()) as reader:
        assert expiry.open(reader) == {"run_1": due}
    assert await expiry.act("run_1") == due
    plane.clock.advance(step)
    assert await expiry.act("run_1") == due
    plane.clock.advance(MINUTE - step)
    assert await expiry.act("run_1") is None
    assert plane.types()[:1] == ["run.answered"]
    plane.close()


async def test_the_earliest_deadline_of_a_run_counts(tmp_path: Path) -> None:
    plane = AskingPlane(tmp_path)
    expiry = AskExpiry(plane.log, plane.rules, plane.executor, plane.clock, CountingIds())
    due = plane.clock.now() + MINUTE
    await plane.begin("run_1", "s")
    for number, later in enumerate((2 * MINUTE, 0, MINUTE)):
        await plane.ask("run_1", "s", f"ask_{number}", expires_at_ms=due + later)
    with closing(plane.log.reader()) as reader:
        assert expiry.open(reader) == {"run_1": due}
    for later in (0, MINUTE, 2 * MINUTE):
        assert await expiry.act("run_1") == due + later
        plane.clock.time = due + later
    assert await expiry.act("run_1") is None
    plane.close()


async def test_a_fatal_expiry_admits_the_run_behind(tmp_path: Path) -> None:
    plane = AskingPlane(tmp_path)
    expiry = AskExpiry(plane.log, plane.rules, plane.executor, plane.clock, CountingIds())
    await plane.parked(on_expiry="cancel")
    fields = {name: getattr(plane.recorded("run_1")[0], name) for name in run.RunRequest.__struct_fields__}
    await plane.record("run_2", "s", run.RunQueued(reason="session-busy", **fields))
    plane.clock.advance(MINUTE)
    assert await expiry.act("run_1") is None
    assert plane.types()[-1] == "run.cancelled"
    assert "run.created" in plane.types("run_2", "run.queued")
    plane.close()
