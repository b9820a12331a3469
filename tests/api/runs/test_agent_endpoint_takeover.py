"""Calls at the endpoint of a run whose server is killed: nothing is made twice, and answers still count."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_model import Calls
from tests.support.api import Json, soon
from tests.support.asks import answer
from tests.support.mcp_servers import fake_server, mcp_servers_file
from tests.support.outside_agents import AgentSite, agent_site

pytestmark = pytest.mark.heavy

ASKS = Calls("athena_ask_user", {"question": "Which color?", "options": ["red", "blue"]})
SLOW = Calls("athena_slow__echo", {"text": "hi"})
CONFIG: Json = {"provider": "openai", "model": "gpt-4o-mini", "tools": ["ask_user"]}
FROM_SLOW: Json = {"slow": {"tools": ["*"], "approval": "allow"}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSite]:
    directory = tmp_path_factory.mktemp("killed")
    log = directory / "received.jsonl"
    file = mcp_servers_file(directory, {"slow": fake_server("silence", f"log={log}")})
    with agent_site(directory, {"fake": ()}, mcp_servers=str(file)) as made:
        yield made


def killed(site: AgentSite) -> None:
    """Kill the server, and start it again once nothing of its agents is left."""
    site.server.kill()
    for _ in soon():
        if not site.processes():
            break
    site.server.start()


def received(site: AgentSite) -> list[str]:
    """Return the calls that the MCP server received."""
    path = Path(site.server.state_dir).parent / "received.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if "tools/call" in line]


def test_a_call_of_a_killed_server_is_recorded_as_interrupted_and_not_repeated(site: AgentSite) -> None:
    task = "is killed in a call"
    run_id = site.start(task, SLOW, "Done.", profile=site.profile(config=CONFIG, mcp=FROM_SLOW))
    for _ in soon():
        if received(site):
            break
    killed(site)
    assert site.server.api.await_ending(run_id) == "run.completed"
    results = [one for one in site.payloads(run_id, "transcript.appended") if one["kind"] == "tool-result"]
    assert [one.get("interrupted") for one in results] == [True]
    assert (len(received(site)), len(site.payloads(run_id, "tool.called"))) == (1, 1)
    prompt = site.model.models[task].asked[-1].raw
    assert "These calls were interrupted" in prompt and "slow__echo" in prompt


@pytest.mark.parametrize("hold_ms", [60_000, 0])
def test_a_question_outlives_a_killed_server(site: AgentSite, hold_ms: int) -> None:
    task = f"is killed with a question {hold_ms}"
    run_id = site.start(task, ASKS, "Done.", profile=site.profile(config=CONFIG, asks={"holdMs": hold_ms}))
    site.server.api.await_event("run.asked" if hold_ms else "run.paused", runId=run_id)
    site.model.script(task, "", ASKS, "Done.")  # the agent remembers the interrupted turn
    killed(site)
    answer(site.server.api, run_id, "2")
    assert site.server.api.await_ending(run_id) == "run.completed"
    (asked,), (answered,) = site.payloads(run_id, "run.asked"), site.payloads(run_id, "run.answered")
    assert (asked["askId"], answered["cause"]) == (answered["askId"], "person")
    assert "blue" in site.model.models[task].asked[-1].raw
    assert site.payloads(run_id, "tool.called") == []
