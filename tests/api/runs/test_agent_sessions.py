"""Sessions of outside agents across the runs of a session: an agent takes up its own one, if it knows what happened."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from shutil import rmtree

import pytest

from athena_core.agents.homes import AgentHomes
from athena_core.event import Meta
from athena_core.services.erasure import redaction
from tests.support.agent_model import Refuses, Step
from tests.support.outside_agents import AgentSite, agent_site

pytestmark = pytest.mark.heavy

ALLOW_ALL = ({"match": {}, "approval": "allow"},)
AGENTS = {
    "fake": (),
    "other": (),
    "loads": ("no-resume",),
    "forgets": ("forgets",),
    "refuses": ("resume-refused", "load-refused"),
}


class Sessions(AgentSite):
    """A site whose runs go on in a session."""

    def go_on(self, session: str, task: str, agent: str = "fake", *steps: Step, **profile: object) -> tuple[str, str]:
        """Run in a session. Return how the agent's session was opened, and the last prompt."""
        named = self.profile(agent, permissions=ALLOW_ALL, **profile)
        run_id = self.start(task, *(steps or ("Done.",)), profile=named, sessionId=session)
        self.server.api.await_ending(run_id)
        (attached,) = self.payloads(run_id, "agent.attached")
        asked = next(one for one in reversed(self.model.asked) if task in str(one.body))
        return attached["how"], str(asked.body["messages"][-1]["content"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Sessions]:
    with agent_site(tmp_path_factory.mktemp("agents"), AGENTS, **shared_store) as found:
        yield Sessions(*found)


@pytest.mark.parametrize("agent", ["fake", "loads"])
def test_the_next_run_takes_up_the_session_and_gets_no_history_as_text(site: Sessions, agent: str) -> None:
    assert site.go_on(f"on-{agent}", f"first of {agent}", agent) == ("new", f"first of {agent}")
    assert site.go_on(f"on-{agent}", f"second of {agent}", agent) == ("resumed", f"second of {agent}")
    assert site.go_on(f"on-{agent}", f"third of {agent}", agent)[0] == "resumed"


@pytest.mark.parametrize("agent", ["forgets", "refuses"])
def test_an_agent_without_the_session_gets_the_history_as_text(site: Sessions, agent: str) -> None:
    site.go_on(f"off-{agent}", f"begins with {agent}", agent)
    how, prompt = site.go_on(f"off-{agent}", f"asks {agent} again", agent)
    assert how == "new"
    assert f"begins with {agent}" in prompt and prompt.endswith(f"asks {agent} again")


def test_a_session_that_lacks_a_run_of_another_agent_is_not_taken_up(site: Sessions) -> None:
    site.go_on("mixed", "by one")
    assert site.go_on("mixed", "by another", "other")[0] == "new"
    how, prompt = site.go_on("mixed", "by the first again")
    assert how == "new" and "by one" in prompt and "by another" in prompt


def test_a_session_with_a_run_that_failed_is_not_taken_up(site: Sessions) -> None:
    site.go_on("failed", "goes well")
    assert site.go_on("failed", "goes wrong", "fake", Refuses())[0] == "resumed"
    how, prompt = site.go_on("failed", "is tried again")
    assert how == "new" and "goes well" in prompt and "goes wrong" not in prompt
    assert site.go_on("failed", "goes on")[0] == "resumed"


def test_a_session_of_another_model_is_not_taken_up(site: Sessions) -> None:
    site.go_on("models", "by the small model")
    config = {"provider": "openai", "model": "gpt-4o", "tools": ["evidence"]}
    assert site.go_on("models", "by the large model", config=config)[0] == "new"


def test_a_session_is_not_taken_up_after_a_text_of_it_was_erased(site: Sessions) -> None:
    site.go_on("erased", "with a secret word")
    with site.server.opened_log() as log, closing(log.reader()) as reader:
        found = redaction.text_of_session(reader, log.codec, "erased")
        meta = Meta(actor="ada", correlation="trace")
        asyncio.run(redaction.redact(log, reader, found, "asked", meta))
    how, prompt = site.go_on("erased", "without it")
    assert how == "new" and "secret word" not in prompt


# Homes


def test_an_agent_that_lives_on_keeps_its_home_and_the_next_one_gets_another(site: Sessions) -> None:
    site.go_on("busy", "settles in")
    homes = AgentHomes(site.server.state_dir, rmtree)
    taken = homes.take("busy", 1)
    assert taken.path == homes.at("busy")
    how, prompt = site.go_on("busy", "finds the home taken")
    assert how == "new" and "settles in" in prompt
    assert [path.name for path in taken.path.parent.iterdir() if path.is_dir()] == ["home"], "the spare one is gone"
    taken.leave()
