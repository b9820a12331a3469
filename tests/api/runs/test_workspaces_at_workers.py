"""Own workspaces where several processes execute runs, and one of them is killed."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support import repository
from tests.support.api import Json
from tests.support.directed import DirectedModel, directed
from tests.support.model import Profile
from tests.support.own_workspaces import sh
from tests.support.server import Server
from tests.support.worker import Worker

pytestmark = pytest.mark.heavy


def profile(server: Server, workspace: str) -> str:
    return str(server.api.post("/harness-profiles", Profile().body | {"workspace": workspace})["id"])


def payloads(server: Server, kind: str, **query: str) -> list[Json]:
    return [event["payload"] for event in server.api.events(types=kind, **query)]


@pytest.fixture
def model() -> Iterator[DirectedModel]:
    with directed() as found:
        yield found


@pytest.fixture
def server(serve: Serve, model: DirectedModel, tmp_path: Path) -> Server:
    """A server that executes nothing, whose shared workspace is a repository."""
    repository.make(tmp_path / "plane" / "workspace")
    return serve(tmp_path / "plane", executor="off", openai_base_url=model.url)


@pytest.fixture
def workers(server: Server, model: DirectedModel, store: dict[str, str]) -> Iterator[list[Worker]]:
    """Two workers that execute one run at a time."""
    with ExitStack() as stack:
        settings = {"openai_base_url": model.url, **store}
        yield [stack.enter_context(Worker(server.directory, "--concurrency", "1", **settings)) for _ in range(2)]


def test_a_run_that_another_worker_takes_over_records_all_that_it_changed(
    server: Server, workers: list[Worker], model: DirectedModel
) -> None:
    api = server.api
    said = model.script("long", sh("echo before > before.txt"), sh("echo half > half.txt; sleep 300"), "done")
    run_id = api.start(said, harnessProfileId=profile(server, "session"))["runId"]
    while len(payloads(server, "tool.called", runId=run_id)) < 2:
        api.await_event("tool.called", runId=run_id)
    (lease,) = payloads(server, "run.leased", runId=run_id)
    directory = server.state_dir / "workspaces"
    (opened,) = payloads(server, "workspace.opened", runId=run_id)
    half = directory / opened["workspaceId"] / "files" / "half.txt"
    while not (half.exists() and half.read_text()):
        api.head()
    next(worker for worker in workers if worker.told["id"] == lease["executor"]).kill()
    assert api.await_ending(run_id) == "run.completed"
    assert len(payloads(server, "run.leased", runId=run_id)) == 2
    assert payloads(server, "workspace.opened", runId=run_id) == [opened]
    (changed,) = payloads(server, "workspace.changed", runId=run_id)
    assert changed["files"] == 2
    diff = api.get(f"/runs/{run_id}/evidence/{changed['evidenceId']}")["content"]["text"]
    assert "+before\n" in diff and "+half\n" in diff
    assert [path.name for path in directory.iterdir()] == [opened["workspaceId"]]
