"""The how-to pages of the real agents: their blocks run with the real program, or the fake agent stands in for it."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.support.agent_model import AgentModel, Writes
from tests.support.outside_agents import stand_in, write_agents
from tests.support.pages import PROFILE, RUN, Page, Shell, served
from tests.support.programs import BOXED
from tests.support.real_agents import LOCKS, PLACE, REAL_AGENTS, RealAgent
from tests.support.stub import standing

PAGES = {
    "codex": "docs/how-to/agent-codex.md",
    "opencode": "docs/how-to/agent-opencode.md",
    "claude": "docs/how-to/agent-claude.md",
    "gemini": "docs/how-to/agent-gemini.md",
}
TEXT = "PEARS = 3\n"


def registered(agent: RealAgent, text: str) -> str:
    """Return the file of agents of a page, with the program that npm installed here, or with the fake agent."""
    shown = f"/opt/agents/{agent.name}"
    if agent.installed:
        return text.replace(shown, str(PLACE / agent.name))
    entry = tomllib.loads(text)["agents"][agent.name]
    kept = [f"[agents.{agent.name}]", *(f"{member} = {json.dumps(entry[member])}" for member in ("template", "model"))]
    asks = () if agent.name != "codex" else ("never-asks",)  # as it does in a sandbox
    return stand_in("\n".join(kept), f"wire={agent.wire}", *asks)


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_install_the_tested_versions(name: str) -> None:
    with Page(PAGES[name]) as page:
        words = page.take("sh").split()
        wanted = json.loads((LOCKS / name / "package.json").read_text())
        locked = wanted.get("dependencies", {}) | wanted.get("optionalDependencies", {})
        shown = dict(word.rpartition("@")[::2] for word in words if "@" in word)
        assert shown.items() <= locked.items()
        assert words[:4] == ["npm", "install", "--prefix", f"/opt/agents/{name}"]
        page.leave()


@pytest.mark.heavy
@BOXED
@pytest.mark.parametrize("name", PAGES)
def test_an_agent_works_as_its_page_says(name: str, tmp_path: Path) -> None:
    agent = REAL_AGENTS[name]
    model = AgentModel((Writes("pears.py", TEXT), "I fixed it."))
    with standing(model.choose) as stub, Page(PAGES[name]) as page:
        page.take("sh")  # installed already, or the fake agent stands in
        shell = Shell(tmp_path, **{f"{provider}_base_url": stub.url for provider in ("openai", "anthropic", "gemini")})
        write_agents(tmp_path / "agents.toml", registered(agent, page.take("toml")))
        (tmp_path / ".env").write_text(page.take("ini"))
        (tmp_path / ".env").chmod(0o600)
        checked = json.loads(shell.run(page.take("sh").strip() + " --only edits --sandbox required"))
        assert checked["ok"]
        with served(shell, page.take("sh")):
            run = json.loads(shell.run(page.take("sh")))
            assert run["output"] == "I fixed it."
            assert not (tmp_path / "pears.py").exists()
            assert "+PEARS = 3" in shell.run(page.take("sh").replace(RUN, run["runId"]))
            assert (tmp_path / "pears.py").read_text() == TEXT
            (tmp_path / f"{name}.json").write_text(page.take("json"))
            profile = json.loads(shell.run(page.take("sh")))
            assert profile["id"].startswith(PROFILE[:3])
            again = json.loads(shell.run(f"athena run --agent {name} 'fix it again'"))
            assert profile["id"] in shell.run(f"athena runs get {again['runId']}")
