"""Many large agents at once on an executor whose memory is limited: some are parked, all go on, and nothing is lost."""

from collections.abc import Iterator

import pytest

from tests.scale import sized
from tests.support.agent_model import shell
from tests.support.api import Json, soon
from tests.support.asks import answer
from tests.support.outside_agents import AgentSite, agent_site

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

RUNS = sized(4, 5, 20)
MIB = sized(40, 40, 300)
AT_ONCE = sized(2, 2, 4)
OWN_MIB = 30
"""The most that an agent takes beside its ballast."""
BYTES_MAX = AT_ONCE * (MIB + OWN_MIB) << 20
PATIENCE_SECONDS = 600.0
TASK = "does task {} of many"
ONCE = shell("echo once >> once.txt")


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentSite]:
    directory, agents = tmp_path_factory.mktemp("agents"), {"large": (f"memory={MIB}",)}
    with agent_site(directory, agents, agents_memory_bytes_max=str(BYTES_MAX)) as found:
        yield found


def listed(site: AgentSite) -> Json:
    """Return the living agents. Fail if they take more than they may, and one that just began."""
    found: Json = site.server.api.get("/agents")
    assert found["memoryBytesMax"] == BYTES_MAX
    assert found["memoryBytes"] <= BYTES_MAX + (MIB + OWN_MIB << 20)
    assert len(found["live"]) <= AT_ONCE + 1
    return found


def test_large_agents_are_parked_and_resumed_and_nothing_is_lost(site: AgentSite) -> None:
    api, profile = site.server.api, site.profile("large", policies={"timeoutMs": 600_000}, asks={"holdMs": 600_000})
    tasks = {site.start(task, ONCE, "Done.", profile=profile): task for task in map(TASK.format, range(RUNS))}
    waiting = api.get(f"/runs/{(runs := list(tasks))[-1]}")
    assert (waiting["status"], waiting["waiting"]["reason"]) == ("queued", "agent-memory")
    explained = api.get(f"/runs/{runs[-1]}/explain")["waitsFor"]
    assert explained["says"] == "its turn: the outside agents of the executor take as much memory as they may"
    for _ in soon(PATIENCE_SECONDS):
        listed(site)
        if len(api.items("/asks", status="open")) == RUNS:
            break
    parked = {event["runId"] for event in api.events(types="run.paused")}
    assert len(parked) >= RUNS - AT_ONCE, "those that waited longest gave way to others"
    for run_id in tasks.keys() - parked:  # first, because the others wait for memory once they are answered
        answer(api, run_id)
    for run_id in parked:
        site.model.script(tasks[run_id], ONCE, ONCE, "Done.")  # the agent remembers the interrupted turn
        answer(api, run_id)
    for run_id in runs:
        for _ in soon(PATIENCE_SECONDS):
            listed(site)
            if api.get(f"/runs/{run_id}")["status"] != "running":
                break
        assert api.await_ending(run_id) == "run.completed"
        assert (site.files(run_id) / "once.txt").read_text() == "once\n"
        types = site.types(run_id)
        assert [types.count(kind) for kind in ("run.asked", "run.answered", "tool.called")] == [1, 1, 1]
    assert site.processes() == []
    assert listed(site)["live"] == []
