"""Waiting for a run: the caller's answer when the log cannot store the withdrawal."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from athena_api.wiring import wire
from athena_core.clock import FixedClock, SystemIds
from athena_core.errors import OutcomeUnknown
from athena_core.event import Meta
from athena_core.services.runs.waiting import RunWaiter
from athena_core.services.waiters import OneShot
from athena_core.settings import load
from tests.support.events.run import CREATED


async def test_a_run_that_could_not_be_withdrawn_is_not_called_undone(tmp_path: Path) -> None:
    settings = load({"ATHENA_STATE_DIR": str(tmp_path / "state"), "ATHENA_SESSION_WAIT_MS": "1"}, tmp_path)
    parts = wire(settings, FixedClock(), SystemIds())
    parts.log.close()  # from now on it refuses: nothing was written
    meta = Meta(actor="alice", correlation="trace")
    with pytest.raises(OutcomeUnknown, match="run_1 is still queued"):
        await parts.runs._see_through("run_1", RunWaiter(), meta, None)
    parts.close()


async def test_a_caller_waits_on_while_the_run_asks_a_person_and_not_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load({"ATHENA_STATE_DIR": str(tmp_path / "state")}, tmp_path)
    parts = wire(settings, FixedClock(), SystemIds())
    held = iter((0.002, 0.004, 0.004))
    monkeypatch.setattr(parts.runs, "_grace_seconds", 0.001)
    monkeypatch.setattr(parts.runs, "recorded", lambda run_id: [])
    monkeypatch.setattr("athena_core.services.runs.runs.held_seconds", lambda recorded: next(held))
    request = replace(CREATED, timeout_ms=1)
    assert not await parts.runs._settled("run_1", RunWaiter(), request)
    assert not list(held), "it waited for each ask, and once more for the last one"
    parked = RunWaiter()
    held = iter((0.002,))
    monkeypatch.setattr(parts.runs, "recorded", lambda run_id: parked.happen())
    assert await parts.runs._settled("run_1", parked, request)
    parts.close()


LONG_SECONDS = 600.0


async def test_a_moment_that_came_is_not_waited_for() -> None:
    moment = OneShot()
    moment.happen()
    assert await moment.within(0)
    assert await moment.within(LONG_SECONDS)


async def test_a_moment_is_waited_for_until_it_comes() -> None:
    moment = OneShot()
    waiting = asyncio.create_task(moment.within(LONG_SECONDS))
    await asyncio.sleep(0)
    assert not waiting.done()
    moment.happen()
    moment.happen()
    assert await waiting


async def test_a_moment_that_does_not_come_is_not_waited_for_any_longer() -> None:
    moment = OneShot()
    assert not await moment.within(0.001)
    assert not await moment.within(0)
    moment.happen()
    assert await moment.within(0)


async def test_a_cancelled_wait_for_a_moment_disturbs_no_other() -> None:
    moment = OneShot()
    waiting = asyncio.create_task(moment.within(LONG_SECONDS))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    moment.happen()
    assert await moment.within(LONG_SECONDS)
