"""Outside agents that only some executors have: runs go where their agent is, and wait where it is not."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import soon
from tests.support.outside_agents import AgentSite, agent_site, agents_file
from tests.support.worker import Worker

pytestmark = pytest.mark.heavy


def made(directory: Path) -> Path:
    directory.mkdir()
    return directory


@pytest.fixture
def site(tmp_path: Path, store: dict[str, str]) -> Iterator[AgentSite]:
    """A server that executes nothing."""
    with agent_site(made(tmp_path / "plane"), {"one": (), "two": (), "three": ()}, executor="off", **store) as found:
        yield found


def test_an_executor_takes_the_runs_of_its_agents_only(site: AgentSite, tmp_path: Path, store: dict[str, str]) -> None:
    api, directory = site.server.api, site.server.directory
    runs = {name: site.start(f"needs {name}", "Done.", profile=site.profile(name)) for name in ("one", "two", "three")}
    files = {name: agents_file(made(tmp_path / name), {name: ()}) for name in ("one", "two")}
    settings = {**store, "openai_base_url": site.model.url, "agents_memory_bytes_max": "1"}
    with (
        Worker(directory, agents=str(files["one"]), **settings) as first,
        Worker(directory, agents=str(files["two"]), **settings) as second,
    ):
        assert [api.await_ending(runs[name]) for name in ("one", "two")] == ["run.completed"] * 2
        executors = {name: site.payloads(runs[name], "run.leased")[0]["executor"] for name in ("one", "two")}
        agents = {one["id"]: one.get("agents") for one in api.get("/workers")["items"]}
        assert {name: agents[executor] for name, executor in executors.items()} == {"one": ["one"], "two": ["two"]}
        shown = api.get(f"/runs/{runs['three']}")
        assert (shown["status"], shown["waiting"]["reason"]) == ("running", "executor")
        explained = api.get(f"/runs/{runs['three']}/explain")["waitsFor"]
        assert explained["says"] == "an executor with room that has the agent three, and memory for it"
        agents_file(tmp_path / "two", {"two": (), "three": ()})
        second.signal(signal.SIGHUP)
        assert api.await_ending(runs["three"]) == "run.completed"
        assert site.payloads(runs["three"], "run.leased")[0]["executor"] == executors["two"]
        for _ in soon():
            if ["three", "two"] in [one.get("agents") for one in api.get("/workers")["items"]]:
                break
        first.signal(signal.SIGHUP)


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
