"""Outside agents at the MCP endpoint of their run: the tools of Athena, their records, asks and limits."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.agent_model import Calls, shell
from tests.support.api import Json
from tests.support.asks import answer
from tests.support.outside_agents import AgentSite, agent_site

SHOWN = Calls("athena_attach_evidence", {"label": "Report", "type": "text", "content": "All is well."})
ASKS = Calls("athena_ask_user", {"question": "Which color?", "options": ["red", "blue"]})
TOOLS = ["evidence", "ask_user", "memory", "shell"]
AGENTS = {
    "fake": (),
    "asks": ("mcp-asks",),
    "silent": ("mcp-silent",),
    "lies": ("mcp-lies", "never-asks"),
    "twice": ("mcp-once=2",),
    "many": ("mcp-at-once=20",),
    "impatient": ("mcp-hangs-up=0.3",),
    "never": ("mcp-never",),
    "lists": ("mcp-lists",),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSite]:
    with agent_site(tmp_path_factory.mktemp("endpoint"), AGENTS) as made:
        yield made


def profile(site: AgentSite, agent: str = "fake", tools: list[str] | None = None, **fields: Any) -> str:
    config = {"provider": "openai", "model": "gpt-4o-mini", "tools": TOOLS if tools is None else tools}
    return site.profile(agent, config=config, **fields)


def calls(site: AgentSite, run_id: str) -> list[Json]:
    return site.payloads(run_id, "tool.called")


def results(site: AgentSite, run_id: str) -> list[Json]:
    return [one for one in site.payloads(run_id, "transcript.appended") if one["kind"] == "tool-result"]


@pytest.mark.parametrize("agent", ["fake", "silent"])
def test_evidence_is_attached_and_recorded_once(site: AgentSite, agent: str) -> None:
    report = [{"id": "r", "kind": "require-evidence", "label": "Report"}]
    profile_id = profile(site, agent, verificationPolicies=report)
    run_id = site.start(f"attach as {agent}", SHOWN, "Done.", profile=profile_id)
    assert site.server.api.await_ending(run_id) == "run.completed"
    assert site.server.api.get(f"/runs/{run_id}")["verificationStatus"] == "passed"
    (called,) = calls(site, run_id)
    assert (called["toolName"], called["origin"], called["repeatable"]) == ("evidence", "mcp", False)
    (result,) = results(site, run_id)
    assert (result["toolName"], result["content"]) == ("evidence", "Attached as 'Report'.")
    (shown,) = site.payloads(run_id, "evidence.attached")
    assert (shown["source"], shown["toolCallId"], shown["label"]) == ("tool", called["toolCallId"], "Report")
    order = [kind for kind in site.types(run_id) if kind in {"tool.called", "evidence.attached", "run.completed"}]
    assert order == ["tool.called", "evidence.attached", "run.completed"]
