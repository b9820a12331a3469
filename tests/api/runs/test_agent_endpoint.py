"""Outside agents at the MCP endpoint of their run: its tools, their records, asks and limits."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.support.agent_model import Calls, shell
from tests.support.api import Json, soon
from tests.support.asks import answer
from tests.support.mcp_servers import fake_server, mcp_servers_file
from tests.support.outside_agents import AgentSite, agent_site

SHOWN = Calls("athena_attach_evidence", {"label": "Report", "type": "text", "content": "All is well."})
ASKS = Calls("athena_ask_user", {"question": "Which color?", "options": ["red", "blue"]})
SEARCHES = Calls("athena_memory", {"action": "search", "query": "color"})
TOOLS = ("evidence", "ask_user", "memory", "shell")
ALLOW_ALL: Sequence[Json] = ({"match": {}, "approval": "allow"},)
AGENTS = {
    "fake": (),
    "asks": ("mcp-asks",),
    "silent": ("mcp-silent",),
    "lies": ("mcp-lies", "never-asks"),
    "twice": ("mcp-once=2",),
    "many": ("mcp-at-once=20",),
    "impatient": ("mcp-hangs-up=0.3",),
    "never": ("mcp-never",),
    "forgets": ("forgets",),
}
SERVERS = {
    "plain": fake_server(),
    "asker": fake_server("asks=1"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSite]:
    directory = tmp_path_factory.mktemp("endpoint")
    file = mcp_servers_file(directory, SERVERS)
    with agent_site(directory, AGENTS, mcp_servers=str(file)) as made:
        yield made


def profile(site: AgentSite, agent: str = "fake", tools: Sequence[str] = TOOLS, **fields: Any) -> str:
    config = {"provider": "openai", "model": "gpt-4o-mini", "tools": list(tools)}
    return site.profile(agent, config=config, **fields)


def calls(site: AgentSite, run_id: str) -> list[Json]:
    return site.payloads(run_id, "tool.called")


SECRET = "ghp_" + "a1" * 18


@pytest.mark.parametrize("agent", ["fake", "silent", "asks"])
def test_a_call_is_recorded_once_whatever_the_agent_reports(site: AgentSite, agent: str) -> None:
    report = [{"id": "r", "kind": "require-evidence", "label": "Report"}]
    profile_id = profile(site, agent, verificationPolicies=report, permissions=ALLOW_ALL)
    run_id = site.start(f"attach as {agent}", SHOWN, "Done.", profile=profile_id)
    assert site.server.api.await_ending(run_id) == "run.completed"
    assert site.server.api.get(f"/runs/{run_id}")["verificationStatus"] == "passed"
    (called,) = calls(site, run_id)
    if agent == "asks":
        assert (called["kind"], called["origin"], called["asked"]) == ("other", "agent", True)
    else:
        assert (called["toolName"], called["origin"], called["repeatable"]) == ("evidence", "mcp", False)
    assert site.results(run_id) == ["Attached as 'Report'."]
    (shown,) = site.payloads(run_id, "evidence.attached")
    assert (shown["source"], shown["toolCallId"], shown["label"]) == ("tool", called["toolCallId"], "Report")
    order = [kind for kind in site.types(run_id) if kind in {"tool.called", "evidence.attached", "run.completed"}]
    assert order == ["tool.called", "evidence.attached", "run.completed"]


def test_a_question_is_answered_while_the_run_is_held(site: AgentSite) -> None:
    api = site.server.api
    run_id = site.start("asks a color", ASKS, "Blue it is.", profile=profile(site))
    api.await_event("run.asked", runId=run_id)
    (asked,) = site.payloads(run_id, "run.asked")
    assert (asked["kind"], asked["origin"], asked["toolName"]) == ("choice", "mcp", "ask_user")
    answer(api, run_id, "2")
    assert api.await_ending(run_id) == "run.completed"
    assert site.results(run_id) == ['{"choice":"blue"}']
    assert (calls(site, run_id), site.model.models["asks a color"].asked[-1].raw.count("blue")) == ([], 2)


def test_a_command_under_the_name_of_a_tool_is_recorded_as_a_command(site: AgentSite) -> None:
    run_id = site.start("lies", SEARCHES, shell("echo done > effects.txt"), "Done.", profile=profile(site, "lies"))
    assert site.server.api.await_ending(run_id) == "run.completed"
    first, second = calls(site, run_id)
    assert (first["toolName"], first["origin"]) == ("memory", "mcp")
    assert (second["origin"], second["kind"], second["asked"]) == ("agent", "other", False)
    assert (site.files(run_id) / "effects.txt").exists()


def test_a_second_report_of_a_call_is_a_call_of_its_own(site: AgentSite) -> None:
    run_id = site.start("reports twice", SEARCHES, "Done.", profile=profile(site, "twice"))
    assert site.server.api.await_ending(run_id) == "run.completed"
    assert [one["origin"] for one in calls(site, run_id)] == ["mcp", "agent"]


def test_at_most_16_calls_are_open_at_a_time(site: AgentSite) -> None:
    api = site.server.api
    run_id = site.start("asks at once", ASKS, "Done.", profile=profile(site, "many"))
    for _ in soon():
        if len(site.payloads(run_id, "run.asked")) == 16:
            break
    for asked in site.payloads(run_id, "run.asked"):
        api.post(f"/asks/{asked['askId']}/answer", {"subjectHash": asked["subjectSha256"], "optionId": "1"})
    assert api.await_ending(run_id) == "run.completed"
    assert (len(site.payloads(run_id, "run.asked")), len(site.results(run_id))) == (16, 16)


@pytest.mark.parametrize(
    "name, arguments, refused, tool",
    [
        ("shell", {"command": ["true"]}, "unknown-tool", "shell"),
        ("nothing", {}, "unknown-tool", None),
        (SECRET, {}, "unknown-tool", None),
        ("attach_evidence", {"label": "x"}, "bad-arguments", "evidence"),
        ("ask_user", {"question": "?", "form": {"type": "object", "properties": {}}}, "bad-arguments", "ask_user"),
    ],
)
def test_a_call_that_the_run_may_not_make_is_refused_and_recorded(
    site: AgentSite, name: str, arguments: Json, refused: str, tool: str | None
) -> None:
    task = f"calls {name[:12]} {len(arguments)}"
    run_id = site.start(task, Calls(f"athena_{name}", arguments), "Done.", profile=profile(site))
    assert site.server.api.await_ending(run_id) == "run.completed"
    (called,) = calls(site, run_id)
    assert (called["refused"], called.get("toolName"), called["origin"]) == (refused, tool, "mcp")
    transcript = site.server.api.items(f"/sessions/{site.server.api.get(f'/runs/{run_id}')['sessionId']}/transcript")
    assert SECRET[:20] not in str(transcript)
    if refused == "unknown-tool":
        assert "Unknown tool" in site.model.models[task].asked[-1].raw


@pytest.mark.parametrize(
    "agent, tools, offered",
    [
        ("fake", TOOLS, ["athena_attach_evidence", "athena_ask_user", "athena_memory"]),
        ("fake", ["memory", "http"], ["athena_memory"]),
        ("fake", ["shell"], []),
        ("never", TOOLS, []),
    ],
)
def test_the_tools_of_the_profile_are_offered(
    site: AgentSite, agent: str, tools: Sequence[str], offered: list[str]
) -> None:
    task = f"looks as {agent} for {len(tools)}"
    run_id = site.start(task, "Done.", profile=profile(site, agent, tools))
    assert site.server.api.await_ending(run_id) == "run.completed"
    body = site.model.models[task].asked[-1].body
    assert [one["function"]["name"] for one in body["tools"]][2:] == offered


# Tools of MCP servers


def served(site: AgentSite, server: str, agent: str = "fake", approval: str = "allow", **fields: Any) -> str:
    """Create a profile whose agent has the tools of a server."""
    return profile(site, agent, ("files",), mcp={server: {"tools": ["echo"], "approval": approval}}, **fields)


def echo(server: str, **arguments: Any) -> Calls:
    return Calls(f"athena_{server}__echo", {"text": "hi", **arguments})


@pytest.mark.heavy
def test_a_tool_of_a_server_is_offered_called_and_recorded(site: AgentSite) -> None:
    profile_id = served(site, "plain")
    run_id = site.start("calls a server", echo("plain", evidence="Echo"), "Done.", profile=profile_id)
    assert site.server.api.await_ending(run_id) == "run.completed"
    body = site.model.models["calls a server"].asked[-1].body
    assert [one["function"]["name"] for one in body["tools"]][2:] == ["athena_plain__echo"]
    (called,) = calls(site, run_id)
    assert (called["toolName"], called["origin"], called.get("refused")) == ("plain__echo", "mcp", None)
    assert site.results(run_id) == ["hi"]
    (attached,), (shown,) = site.payloads(run_id, "mcp.attached"), site.payloads(run_id, "evidence.attached")
    assert (attached["server"], shown["toolCallId"]) == ("plain", called["toolCallId"])
    assert site.processes() == []
