"""Runs of outside agents in this process: silence, stubborn agents, and live text."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from athena_api.lifespan import plane_lifespan
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.agents.acp import AcpDeadlines
from athena_core.clock import SystemClock, SystemIds
from athena_core.definitions.profile import HarnessSpec
from athena_core.domain import run
from athena_core.event import Event, Meta
from athena_core.services.execution.outside.agent_process import AgentTiming
from athena_core.settings import load
from athena_core.values import LOCAL, RunBody
from tests.support.agent_model import AgentModel, Hangs, Step, agent_model, shell
from tests.support.outside_agents import agents_file

PATIENCE_SECONDS = 60.0
META = Meta(actor="alice", correlation="trace")
ALLOW_ALL = [{"match": {}, "approval": "allow"}]
TIMING = AgentTiming(
    silence_seconds=0.5, cancel_seconds=0.5, deadlines=AcpDeadlines(initialize=0.5, open=20, resume=20, mode=20)
)


class Plane:
    """A plane in this process with one fake agent."""

    def __init__(self, parts: ControlPlane, model: AgentModel) -> None:
        self.parts = parts
        self.model = model

    async def start(self) -> str:
        """Start a run of the agent. Return its id."""
        body = {
            "displayName": "Outside agent",
            "version": "v1",
            "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["evidence"]},
            "policies": {"timeoutMs": 600_000, "retryLimit": 1, "budgetUsd": 0},
            "sandbox": {"mode": "off"},
            "agent": {"name": "fake", "permissions": ALLOW_ALL},
        }
        spec = msgspec.convert(body, HarnessSpec)
        profile = (await self.parts.catalog.create_profile(spec, META, None)).subject
        run_body = RunBody(input="do it", harness_profile_id=profile)
        return str((await self.parts.runs.start(run_body, LOCAL, META, None, wait=False)).subject)

    def events(self, run_id: str) -> list[Event]:
        return [row.event for row in self.parts.runs.recorded(run_id)]

    async def ending(self, run_id: str) -> Event:
        """Return the terminal event of a run."""
        with anyio.fail_after(PATIENCE_SECONDS):
            while not isinstance(self.events(run_id)[-1], run.RunEnding):
                await anyio.sleep(0.01)
        return self.events(run_id)[-1]


@asynccontextmanager
async def plane(
    directory: Path, switches: tuple[str, ...], *steps: Step, timing: AgentTiming = TIMING
) -> AsyncIterator[Plane]:
    async with agent_model(*steps) as model:
        settings = {
            "ATHENA_STATE_DIR": str(directory / "state"),
            "ATHENA_OPENAI_BASE_URL": model.url,
            "ATHENA_AGENTS": str(agents_file(directory, {"fake": switches})),
        }
        parts = wire(load(settings, directory), SystemClock(), SystemIds())
        performers: Any = parts.runner._performers
        performers._outside._parts = performers._outside._parts._replace(timing=timing)
        async with plane_lifespan(parts, serving=True):
            yield Plane(parts, model)


@pytest.mark.heavy
@pytest.mark.parametrize("switch", ["silence", "silence=start"])
async def test_an_agent_that_says_nothing_fails_its_run(tmp_path: Path, switch: str) -> None:
    async with plane(tmp_path, (switch,), "Done.") as site:
        ending = await site.ending(await site.start())
    assert isinstance(ending, run.RunFailed)
    assert (ending.code, ending.retryable) == ("AGENT_SILENT", True)


@pytest.mark.heavy
async def test_a_long_call_and_a_long_answer_of_the_model_are_not_silence(tmp_path: Path) -> None:
    timing = TIMING._replace(silence_seconds=0.4, deadlines=AcpDeadlines())
    async with plane(tmp_path, ("never-asks",), shell("sleep 1.5"), "Done.", timing=timing) as site:
        ending = await site.ending(await site.start())
    assert isinstance(ending, run.RunCompleted)


@pytest.mark.heavy
async def test_words_are_live_while_the_agent_speaks_and_kept_when_it_is_cancelled(tmp_path: Path) -> None:
    timing = TIMING._replace(silence_seconds=60, deadlines=AcpDeadlines())
    async with plane(tmp_path, ("ignores-cancel",), Hangs("Half an answer"), timing=timing) as site:
        run_id = await site.start()
        session_id = next(event.session_id for event in site.events(run_id) if isinstance(event, run.RunCreated))
        with anyio.fail_after(PATIENCE_SECONDS):
            while (turn := site.parts.live.writing(session_id)) is None or turn.end < len("Half an answer"):
                await anyio.sleep(0.01)
        assert (turn.run_id, turn.number, turn.since(0)) == (run_id, 1, "Half an answer")
        await site.parts.runs.cancel_run(run_id, None, META, None)
        ending = await site.ending(run_id)
        events = site.events(run_id)
        with anyio.fail_after(PATIENCE_SECONDS):
            while site.parts.live.writing(session_id) is not None:  # it follows the log
                await anyio.sleep(0.01)
    assert isinstance(ending, run.RunCancelled)
    (said,) = [one for one in events if isinstance(one, run.TranscriptAppended) and one.role == "assistant"]
    assert (said.content, said.partial) == ("Half an answer", True)
