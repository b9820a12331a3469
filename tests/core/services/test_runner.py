"""The runner: what it makes of the rows that it is shown."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from athena_api.app import running, wire
from athena_api.plane import ControlPlane
from athena_core.clock import SystemClock, SystemIds
from athena_core.domain import run
from athena_core.event import Meta
from athena_core.settings import load
from athena_core.values import LOCAL, RunBody

META = Meta(actor="alice", correlation="trace")


@asynccontextmanager
async def plane_at_work(directory: Path) -> AsyncIterator[ControlPlane]:
    parts = wire(load({"ATHENA_STATE_DIR": str(directory / "state")}, directory), SystemClock(), SystemIds())
    async with running(parts, serving=True):
        yield parts


async def test_a_run_that_was_leased_in_the_commit_that_created_it_is_not_looked_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plane_at_work(tmp_path) as parts:
        looked_up: list[str] = []
        asked = anyio.Event()

        async def look_up(run_id: str) -> None:
            looked_up.append(run_id)
            asked.set()

        committed = await parts.runs.start(RunBody(input="hello"), LOCAL, META, None, wait=True)
        run_id = committed.subject
        assert run_id is not None
        monkeypatch.setattr(parts.runner, "_lease", look_up)
        rows = parts.reader.rows(committed.position - 100, 200)
        created = [row for row in rows if row.stream == run_id and row.type == run.RunCreated.TYPE]
        parts.runner._notice(rows)
        parts.runner._notice(created)  # this one alone, as if it had been queued
        await asked.wait()
    assert looked_up == [run_id]
