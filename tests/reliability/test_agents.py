"""Agents that lose their server at every moment of their work, and runs that are cancelled while they end."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from athena_api.lifespan import plane_lifespan
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds
from athena_core.domain import run
from athena_core.event import Event, Meta
from athena_core.settings import load
from athena_core.values import LOCAL, RunBody
from tests.reliability.history import events_of, killed_after
from tests.reliability.seed import fresh_seed
from tests.scale import SCALE, sized
from tests.support.model import Model, Profile, acting, call
from tests.support.records import judge, verified
from tests.support.server import Server

SCRIPT = (
    call("files", action="read", path="notes.txt"),
    call("shell", command=["/bin/sh", "-c", "echo done >> effects.txt"]),
    call("files", action="write", path="report.txt", content="written", evidence="Report"),
    "all done",
)
EVENTS = (
    *("run.created", "run.leased", "run.started", "transcript.appended"),
    *("tool.called", "usage.recorded", "transcript.appended"),
    *("tool.called", "usage.recorded", "transcript.appended"),
    *("tool.called", "usage.recorded", "transcript.appended", "evidence.attached"),
    *("transcript.appended", "usage.recorded", "run.completed"),
)
"""The records of the script when no process is killed."""

FIRST, LAST = 4, len(EVENTS)
KILLS = sized((5, 9, 12), tuple(range(FIRST, LAST + 1, 2)), tuple(range(FIRST, LAST + 1)) * 5)
TURN_SECONDS = 0.02
RACES = sized(40, 200, 2_000)


def turns_recorded(events: list[Event]) -> set[int]:
    return {event.turn for event in events if isinstance(event, run.UsageRecorded) and event.turn}


def journey(directory: Path, model: Model, count: int) -> str:
    """Run an agent whose server is killed after this many events. Return where it was then."""
    model.forget()
    server = Server(directory, openai_base_url=model.url)
    (server.workspace / "notes.txt").write_text("remember the milk")
    with server:
        profile = server.api.post("/harness-profiles", Profile().body)["id"]
        run_id = server.api.start("go", harnessProfileId=profile)["runId"]
        killed_after(server, run_id, count)
        before = events_of(server.state_dir, run_id)
        asked = Counter(model.turns)
        server.start()
        assert server.api.await_ending(run_id) == "run.completed"
        record = server.api.get(f"/runs/{run_id}")
        assert (record["output"], record["evidenceCount"]) == ("all done", 1)
    after = events_of(server.state_dir, run_id)
    assert after[: len(before)] == before
    assert sum(isinstance(event, run.ENDINGS) for event in after) == 1
    again = {turn for turn in turns_recorded(before) if model.turns[turn] != asked[turn]}
    assert not again, f"recorded, and asked for again: {again}"
    assert sorted(event.turn or 0 for event in after if isinstance(event, run.UsageRecorded)) == [1, 2, 3, 4]
    effects = server.workspace / "effects.txt"
    interrupted = any(isinstance(event, run.TranscriptAppended) and event.interrupted for event in after)
    assert interrupted or effects.read_text() == "done\n"
    assert not effects.exists() or effects.read_text() == "done\n"
    judge(server.state_dir)
    report = verified(server.state_dir)
    assert report.ok, report.violations
    return f"killed after {len(before)} events ({before[-1].TYPE}){', interrupted' if interrupted else ''}"


@pytest.mark.heavy
@pytest.mark.timeout(3_600)
def test_an_agent_whose_server_is_killed_after_any_event_ends_once_and_pays_nothing_twice(tmp_path: Path) -> None:
    with acting(SCRIPT, pause_seconds=TURN_SECONDS) as model:
        places = Counter(journey(tmp_path / f"journey-{number}", model, count) for number, count in enumerate(KILLS))
    print("\n".join(f"{count} x {place}" for place, count in sorted(places.items())))


@asynccontextmanager
async def plane(directory: Path, **settings: str) -> AsyncIterator[ControlPlane]:
    named = {f"ATHENA_{name.upper()}": value for name, value in settings.items()}
    parts = wire(load({"ATHENA_STATE_DIR": str(directory / "state")} | named, directory), SystemClock(), SystemIds())
    async with plane_lifespan(parts, serving=True):
        yield parts


@pytest.mark.heavy
@pytest.mark.timeout(600)
async def test_a_run_that_is_cancelled_while_it_ends_ends_once_and_as_answered(tmp_path: Path) -> None:
    rng = random.Random(fresh_seed("cancels"))
    told: dict[str, str] = {}
    meta = Meta(actor="alice", correlation="trace")
    model = tmp_path / "model.sh"
    model.write_text("sleep 0.02; cat")
    settings = {"local_provider_cmd": "/bin/sh", "local_provider_args": str(model)}
    async with plane(tmp_path, **settings) as parts:
        body = RunBody(input="hello", provider="local-exec")

        async def race(delay: float) -> None:
            started = await parts.runs.start(body, LOCAL, meta, None, wait=False)
            run_id = started.subject or ""
            await anyio.sleep(delay)
            told[run_id] = (await parts.runs.cancel_run(run_id, None, meta, None)).answer.status

        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(partial(parts.runs.start, body, LOCAL, meta, None, wait=True))
        whole = anyio.current_time() - began  # the time of this many runs without a cancel
        for _ in range(0, RACES, 20):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(race, rng.uniform(0, 1.5 * whole))
        ended = anyio.Event()
        parts.tail.subscribe(lambda rows: ended.set())
        while any(parts.runs.state(run_id).open for run_id in told):
            await ended.wait()
            ended = anyio.Event()
    for run_id, status in told.items():
        endings = [event for event in events_of(tmp_path / "state", run_id) if isinstance(event, run.ENDINGS)]
        assert len(endings) == 1
        assert isinstance(endings[0], run.RunCancelled if status == "cancelled" else run.RunCompleted)
    outcomes = Counter(told.values())
    print(f"{len(told)} races: {dict(outcomes)}")
    assert len(outcomes) == 2 or SCALE == "quick", "only one side ever won: this is no race"
    judge(tmp_path / "state")
    assert verified(tmp_path / "state").ok
