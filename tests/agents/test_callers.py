"""Real coding agents as callers: each starts a run of Athena at ``/mcp`` and reads its answer."""

import asyncio
from pathlib import Path

import pytest

from athena_cli.agent_check.scripted.model import AgentModel, Offers
from athena_cli.agent_check.scripted.model_server import ScriptedServer
from tests.support.calling_agents import CONFIGURE, Doorway, run_agent
from tests.support.programs import lack
from tests.support.real_agents import REAL_AGENTS
from tests.support.server import Server, server_of_module
from tests.support.token_server import TOKENS_ONLY, put_token

LAST_WORDS = "answered"


server = server_of_module(**TOKENS_ONLY)


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("stdio", [False, True], ids=["http", "stdio"])
@pytest.mark.parametrize("name", CONFIGURE)
def test_an_agent_starts_a_run_and_reads_its_answer(server: Server, tmp_path: Path, name: str, stdio: bool) -> None:
    if not REAL_AGENTS[name].installed:
        pytest.skip(lack(name, remedy=f"make .agents/{name}/.ready"))
    task = f"pears for {name} by {'stdio' if stdio else 'http'}"
    model = AgentModel((Offers("start_run", {"input": task}), LAST_WORDS))
    door = Doorway(server.url, put_token(server).text, stdio)

    async def work() -> str:
        async with ScriptedServer(model.answer) as scripts:
            ended = await asyncio.to_thread(run_agent, name, tmp_path, door, scripts.url)
        assert ended.returncode == 0, ended.stderr[-2_000:]
        assert not scripts.problems
        return ended.stdout

    said = asyncio.run(work())
    assert any(f"Echo: user: {task}" in asked.raw for asked in model.asked), "its model never saw the answer"
    assert LAST_WORDS in said
    token = put_token(server, "ann").text
    runs = server.client(authorization=f"Bearer {token}").items("/runs")
    (run,) = [run for run in runs if run.get("inputPreview") == task]
    (created,) = server.client(authorization=f"Bearer {token}").events(runId=run["runId"], types="run.created")
    assert run["status"] == "completed"
    assert created
