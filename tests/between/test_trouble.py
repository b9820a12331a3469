"""What must hold after trouble: commits that are refused or lost from sight cost no work and double none."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from athena_core.log.port import Store
from athena_core.protocols import Row
from tests.support.api import soon
from tests.support.inside import Inside, plane_on
from tests.support.model import Profile, acting, call

Trouble: TypeAlias = Callable[[Store, Callable[[], bool], pytest.MonkeyPatch], None]

pytestmark = pytest.mark.both

EVERY = 3
"""One commit in three fails; with three beginnings each of them is hit."""

WRITE = call("files", action="write", path="done.txt", content="yes", evidence="Proof")
AGAIN = Counter({"run.leased": 99, "run.started": 99})
"""What an executor records once more where it could not know whether a step was recorded."""


def refused(store: Store, failing: Callable[[], bool], patch: pytest.MonkeyPatch) -> None:
    """Let the disk be full when rows are written."""
    insert = store.insert

    def insert_or_fail(rows: Sequence[Row]) -> None:
        if failing():
            raise store.full[0]("the disk is full")
        insert(rows)

    patch.setattr(store, "insert", insert_or_fail)


def lost(store: Store, failing: Callable[[], bool], patch: pytest.MonkeyPatch) -> None:
    """Let the connection be lost before a commit, and nothing of it be stored."""
    insert = store.insert

    def insert_or_fail(rows: Sequence[Row]) -> None:
        if failing():
            raise store.lost[0]("the connection was lost")
        insert(rows)

    patch.setattr(store, "insert", insert_or_fail)


def unseen(store: Store, failing: Callable[[], bool], patch: pytest.MonkeyPatch) -> None:
    """Let the connection be lost after a commit, which is stored."""
    exclusive, insert, written = store.exclusive, store.insert, list[bool]()

    def noted(rows: Sequence[Row]) -> None:
        written.append(failing())
        insert(rows)

    @contextmanager
    def exclusive_and_fail() -> Iterator[None]:
        written.clear()
        with exclusive():
            yield
        if any(written):
            raise store.lost[0]("the connection was lost")

    def entered() -> AbstractContextManager[None]:
        return exclusive_and_fail()

    patch.setattr(store, "insert", noted)
    patch.setattr(store, "exclusive", entered)


class Client:
    """A client of a plane in trouble: it sends each command with a key until it gets an answer."""

    def __init__(self, plane: Inside) -> None:
        self._plane = plane
        self._keys = 0
        self.failures = 0

    def __call__(self, path: str, body: Any = None, method: str = "POST", **headers: str) -> Any:
        """Return the data of a command that was done once."""
        self._keys += 1
        for _ in soon():
            answer = self._plane.ask(method, path, body, idempotency_key=f"key-{self._keys}", **headers)
            if answer.status_code < 500:
                assert answer.is_success, answer.text
                return answer.json()["data"]
            assert answer.json()["error"]["code"] in {"STORE_FULL", "OVERLOADED", "STORE_UNREACHABLE"}, answer.text
            self.failures += 1
        raise AssertionError


def lived(plane: Inside) -> tuple[list[Any], Counter[str]]:
    """Do a bit of everything; return what came of it, and how often each type of event was recorded."""
    command, until = Client(plane), plane.until
    profile = command("/harness-profiles", Profile().body)["id"]
    came = [command("/runs", {"input": "go", "harnessProfileId": profile})["output"]]

    directive = command("/directives", {"input": "step"})["id"]
    steps = [
        {"id": "first", "directiveId": directive, "harnessProfileId": profile},
        {"id": "ask", "approval": {"message": "ship?"}},
        {"id": "last", "directiveId": directive, "harnessProfileId": profile},
    ]
    edges = [{"from": "first", "to": "ask"}, {"from": "ask", "to": "last"}]
    workflow = command("/workflows", {"definition": {"steps": steps, "dependencies": edges}})["id"]
    path = f"/workflows/run/{command(f'/workflows/{workflow}/run', {}, prefer='respond-async')['id']}"
    asked = until(path, "status", "waiting")["stepStates"]["ask"]["approval"]["subjectHash"]
    command(f"{path}/steps/ask/approve", {"subjectHash": asked})
    came.append({step: one["status"] for step, one in until(path, "status", "ok")["stepStates"].items()})

    for payload in ("one", "two"):
        command("/work/enqueue", {"sessionId": "queue", "payload": payload, "mode": "followup"})
    came.append(command("/work/queue/drain", {})["drainedItems"])

    sent = command("/a2a/messages", {"fromPersona": "ada", "toPersona": "bob", "payload": "hello"})["messageId"]
    came.append(until(f"/a2a/messages/{sent}", "status", "completed")["attempts"])

    command("/schedules", {"id": "often", "sessionId": "s", "input": "slot", "everyMinutes": 60})
    command("/schedules/often/run", {})
    came.append([entry["status"] for entry in plane.data("GET", "/schedules/often/logs")])

    budget = command("/harness-profiles", Profile(budget_usd=0.0001).body)["id"]
    run_id = command("/runs", {"input": "go", "harnessProfileId": budget}, prefer="respond-async")["runId"]
    until(f"/runs/{run_id}", "status", "paused")
    command(f"/run-control/by-run/{run_id}/cancel", {})
    came.append(until(f"/runs/{run_id}", "status", "cancelled")["costMicroUsd"])

    types = Counter(event["type"] for event in plane.data("GET", "/events?limit=500")["events"])
    return came, types


def with_personas(directory: Path) -> str:
    folder = directory / "workspace" / "personas"
    folder.mkdir(parents=True)
    for name in ("ada", "bob"):
        (folder / f"{name}.json").write_text(json.dumps({"schemaVersion": 1, "id": name}))
    return str(folder.parent)


SETTINGS = {"a2a_retry_ms": "1"}


@pytest.fixture(scope="module")
def untroubled(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Counter[str]]:
    """What comes of it where no commit fails."""
    directory = tmp_path_factory.mktemp("untroubled")
    root = with_personas(directory)
    with (
        acting([WRITE, "done"]) as model,
        plane_on(directory, None, openai_base_url=model.url, workspace_root=root, **SETTINGS) as plane,
    ):
        return lived(plane)


def survive(
    trouble: Trouble, first: int, directory: Path, expected: tuple[list[Any], Counter[str]], **settings: str
) -> None:
    """Live with one commit in three failing, and see that the same came of it."""
    root, commits = with_personas(directory), first

    def failing() -> bool:
        nonlocal commits
        commits += 1
        return commits % EVERY == 0

    settings |= SETTINGS | {"workspace_root": root}
    with (
        acting([WRITE, "done"]) as model,
        plane_on(directory, None, openai_base_url=model.url, **settings) as plane,
        pytest.MonkeyPatch.context() as patch,
    ):
        trouble(plane.app.plane.log.store, failing, patch)
        came, types = lived(plane)
    assert commits > 10 * EVERY
    assert came == expected[0]
    assert types - AGAIN == expected[1] - AGAIN


@pytest.mark.parametrize("first", range(EVERY))
def test_commits_that_are_refused_cost_no_work_and_double_none(
    first: int, store: dict[str, str], tmp_path: Path, untroubled: tuple[list[Any], Counter[str]]
) -> None:
    survive(refused, first, tmp_path, untroubled, **store)


@pytest.mark.parametrize("first", range(EVERY))
@pytest.mark.parametrize("trouble", [lost, unseen])
def test_commits_that_are_lost_from_sight_cost_no_work_and_double_none(
    trouble: Trouble, first: int, database: str, tmp_path: Path, untroubled: tuple[list[Any], Counter[str]]
) -> None:
    """On files an unknown outcome ends the process: see ``tests/reliability/test_syscalls.py``."""
    survive(trouble, first, tmp_path, untroubled, database_url=database)
