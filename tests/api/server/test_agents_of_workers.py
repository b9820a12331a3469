"""Outside agents that only some executors have: runs go where their agent is, and wait where it is not."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import soon
from tests.support.outside_agents import AgentSite, agent_site, agents_file

pytestmark = pytest.mark.heavy


def made(directory: Path) -> Path:
    directory.mkdir()
    return directory


@pytest.fixture
def site(tmp_path: Path, store: dict[str, str]) -> Iterator[AgentSite]:
    """A server that executes nothing."""
    with agent_site(made(tmp_path / "plane"), {"one": (), "two": (), "three": ()}, executor="off", **store) as found:
        yield found


def test_a_run_of_an_agent_that_was_removed_is_refused(tmp_path: Path) -> None:
    with agent_site(tmp_path, {"one": (), "two": ()}) as site:
        profile = site.profile("two")
        agents_file(site.server.directory, {"one": ()})
        site.server.signal(signal.SIGHUP)
        for _ in soon():
            if site.server.api.get("/capabilities")["agents"] == ["one"]:
                break
        refused = site.server.api.send("/runs", {"input": "hi", "harnessProfileId": profile})
        assert refused.status_code == 400
        (fault,) = refused.json()["error"]["details"]
        assert (fault["field"], fault["reason"]) == ("harnessProfileId", "no agent 'two' is registered")
