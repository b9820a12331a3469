"""Outside agents whose executor is lost: another one goes on from the log, and repeats nothing that was recorded."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.agent_model import Step, shell
from tests.support.api import Json, soon
from tests.support.outside_agents import AgentSite, agent_site
from tests.support.worker import Worker

pytestmark = pytest.mark.heavy

ALLOW_ALL = ({"match": {}, "approval": "allow"},)
LONG = shell("echo begun >> long.txt; sleep 1000")
STEPS: tuple[Step, ...] = (shell("echo once >> made.txt"), LONG, "Done.")


@pytest.fixture
def site(tmp_path: Path, store: dict[str, str]) -> Iterator[AgentSite]:
    with agent_site(tmp_path, {"fake": ()}, **store) as found:
        yield found


def await_long(site: AgentSite, run_id: str) -> None:
    """Return once the long call runs."""
    for _ in soon():
        opened = site.payloads(run_id, "workspace.opened")
        if opened and (site.files(run_id) / "long.txt").exists():
            return


def check(site: AgentSite, run_id: str, leases: int) -> None:
    """Check that a run that lost its executor in the long call went on and repeated nothing."""
    assert site.server.api.await_ending(run_id) == "run.completed"
    assert (site.files(run_id) / "made.txt").read_text() == "once\n"
    assert (site.files(run_id) / "long.txt").read_text() == "begun\n"
    assert len(site.payloads(run_id, "run.leased")) == leases
    assert [one["how"] for one in site.payloads(run_id, "agent.attached")] == ["new", *["resumed"] * (leases - 1)]
    results = [one for one in site.payloads(run_id, "transcript.appended") if one["kind"] == "tool-result"]
    assert [one.get("interrupted", False) for one in results] == [False, True]
    assert len(site.payloads(run_id, "tool.called")) == 2
    (changed,) = site.payloads(run_id, "workspace.changed")
    assert changed["files"] == 2
    assert site.processes() == []


def test_a_server_that_was_killed_goes_on_after_its_start(site: AgentSite) -> None:
    run_id = site.start("outlives its server", *STEPS, profile=site.profile(permissions=ALLOW_ALL))
    await_long(site, run_id)
    site.server.kill()
    for _ in soon():
        if not site.processes():
            break
    site.server.start()
    check(site, run_id, 2)
    assert site.server.api.get(f"/runs/{run_id}")["attempt"] == 2


def test_a_server_that_stops_leaves_the_run_to_the_next_one(site: AgentSite) -> None:
    run_id = site.start("outlives its stop", *STEPS, profile=site.profile(permissions=ALLOW_ALL))
    await_long(site, run_id)
    assert site.server.stop() == 0
    assert site.processes() == []
    site.server.start()
    check(site, run_id, 2)


def test_another_worker_takes_the_run_over(tmp_path: Path, store: dict[str, str]) -> None:
    with agent_site(tmp_path, {"fake": ()}, executor="off", **store) as site, ExitStack() as stack:
        settings = {"openai_base_url": site.model.url, "agents": str(tmp_path / "agents.toml"), **store}
        words = ("--concurrency", "1")
        workers = [stack.enter_context(Worker(tmp_path, *words, **settings)) for _ in range(2)]
        run_id = site.start("changes hands", *STEPS, profile=site.profile(permissions=ALLOW_ALL))
        await_long(site, run_id)
        lease: Json = site.payloads(run_id, "run.leased")[0]
        next(worker for worker in workers if worker.told["id"] == lease["executor"]).kill()
        check(site, run_id, 2)
