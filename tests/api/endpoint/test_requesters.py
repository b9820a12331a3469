"""The requesters of a run: recorded with its request for every way in, and read by the rights to answer its asks."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Json, soon
from tests.support.inside import Inside
from tests.support.mcp_posts import modern, post
from tests.support.model import Profile, acting, call
from tests.support.repository import branch, make
from tests.support.server import NO_FLOOD
from tests.support.vouched import VOUCHED

PEOPLE = ("ada", "olga", "otto", "root")
ROLES = ",".join(f"{name}:{'Admin' if name == 'root' else 'Operator'}" for name in PEOPLE)
TOUCH = call("shell", command=["touch", "made"])


class World:
    """A plane with people, whose runs ask before a call if they name the profile.

    ``name`` is the session, schedule and persona of the next run; ``seen`` are the runs before it.
    """

    def __init__(self, inside: Inside, workspace: Path) -> None:
        self.inside = inside
        self.workspace = workspace
        self.name = ""
        self.seen: set[str] = set()
        asks = {"holdMs": 0, "notRequester": True}
        self.asking = {
            "harnessProfileId": self("root", "/harness-profiles", Profile(approval="ask", asks=asks).body)["id"]
        }

    def __call__(self, who: str, path: str, body: Any = None, method: str = "POST", **headers: str) -> Any:
        return self.inside.data(method, path, body, x_athena_identity=who, **headers)

    def get(self, path: str) -> Any:
        return self("root", path, method="GET")

    def go_on(self, name: str) -> None:
        """Take another name, and count all runs as seen."""
        self.name = name
        self.seen = {one["runId"] for one in self.get("/runs?limit=500")["items"]}
        persona = {"schemaVersion": 1, "id": name, **self.asking}
        (self.workspace / "personas" / f"{name}.json").write_text(json.dumps(persona))

    def begin(self, who: str, session: str = "", **fields: Any) -> str:
        body = {"input": "go", "sessionId": session or self.name, **self.asking, **fields}
        return str(self(who, "/runs", body, prefer="respond-async")["runId"])

    def ended(self, who: str) -> str:
        """Return a run that was cancelled while it asked."""
        run_id = self.begin(who)
        self.asked(run_id)
        self("root", f"/run-control/by-run/{run_id}/cancel", {})
        self.until(f"/runs/{run_id}", lambda found: found["status"] == "cancelled")
        return run_id

    def asked(self, run_id: str) -> Json:
        """Return the ask of a run, once it is parked."""
        self.until(f"/runs/{run_id}", lambda found: found["status"] == "paused")
        (ask,) = self.get(f"/asks?runId={run_id}&status=open")["items"]
        return dict(ask)

    def until(self, path: str, done: Callable[[Any], bool]) -> Any:
        for _ in soon():
            found = self.get(path)
            if done(found):
                break
        assert done(found), found
        return found

    def newest(self, *without: str) -> str:
        """Return the newest run, once there is one that was not seen and is none of some."""
        known = self.seen | set(without)
        page = self.until("/runs", lambda found: any(one["runId"] not in known for one in found["items"]))
        return str(next(one["runId"] for one in page["items"] if one["runId"] not in known))

    def may_answer(self, ask: Json, who: str) -> bool:
        """Return True if an identity may answer an ask, by the right and by the list of what it may answer."""
        body = {"subjectHash": "0" * 64, "optionId": ask["options"][-1]["id"]}
        found = self.inside.ask("POST", f"/asks/{ask['id']}/answer", body, x_athena_identity=who)
        assert found.status_code in {403, 409}, found.text
        listed = self(who, "/asks?answerable=true&status=open", method="GET")["items"]
        assert (ask["id"] in [one["id"] for one in listed]) is (found.status_code == 409)
        return found.status_code == 409


def posted(plane: World) -> str:
    return plane.begin("ada")


def retried(plane: World) -> str:
    return str(plane("ada", f"/runs/{plane.ended('olga')}/retry", {}, prefer="respond-async")["runId"])


def retried_in_bulk(plane: World) -> str:
    first = plane.ended("olga")
    plane("ada", "/runs/retry", {"filter": {"sessionId": plane.name}})
    return plane.newest(first)


def schedule(plane: World, who: str, said: str) -> str:
    """Put the schedule of a way to begin a run. Return its path."""
    path = f"/schedules/{plane.name}"
    plane(who, path, {"everyMinutes": 60, "input": said, "sessionId": plane.name, **plane.asking}, "PUT")
    return path


def scheduled(plane: World) -> str:
    path = schedule(plane, "ada", "go")
    plane("otto", "/schedules/tick", {"at": plane.get(path)["nextRunAt"]}, prefer="respond-async")
    run_id = plane.newest()
    schedule(plane, "olga", "something else")
    return run_id


def scheduled_manually(plane: World) -> str:
    path = schedule(plane, "olga", "go")
    plane("ada", f"{path}/run", {}, prefer="respond-async")
    run_id = plane.newest()
    schedule(plane, "otto", "something else")
    return run_id


def from_template(plane: World) -> str:
    made = plane("olga", "/run-templates", {"directiveTemplate": "go", "defaultParams": {}, **plane.asking})
    return str(plane("ada", f"/templates/{made['id']}/run", {}, prefer="respond-async")["runId"])


def workflow(plane: World, approved: bool = False) -> str:
    """Return the id of a workflow of one step, which needs an approval of another person if that is wanted."""
    directive = plane("root", "/directives", {"input": "go"})["id"]
    step = {"id": "a", "directiveId": directive, **plane.asking}
    graph: Json = {"steps": [step], "dependencies": []}
    if approved:
        approval = {"id": "gate", "approval": {"message": "Go?", "notRequester": True}}
        graph = {"steps": [approval, step], "dependencies": [{"from": "gate", "to": "a"}]}
    return str(plane("root", "/workflows", {"definition": graph})["id"])


def from_workflow(plane: World) -> str:
    plane("ada", f"/workflows/{workflow(plane)}/run", {}, prefer="respond-async")
    return plane.newest()


def scheduled_workflow(plane: World, approved: bool = False) -> None:
    """Run the schedule of a workflow, and change it afterwards."""
    path, body = f"/schedules/{plane.name}", {"everyMinutes": 60, "workflowId": workflow(plane, approved)}
    plane("olga", path, body, "PUT")
    plane("ada", f"{path}/run", {}, prefer="respond-async")
    plane("otto", path, body | {"everyMinutes": 90}, "PUT")


def from_scheduled_workflow(plane: World) -> str:
    scheduled_workflow(plane)
    return plane.newest()


def drained(plane: World) -> str:
    plane("ada", "/work/enqueue", {"sessionId": plane.name, "payload": "go", "mode": "followup"})
    plane("olga", f"/work/{plane.name}/drain", {}, prefer="respond-async")
    return plane.newest()


def sent(plane: World) -> str:
    plane("ada", "/a2a/messages", {"fromPersona": plane.name, "toPersona": plane.name, "payload": "go"})
    return plane.newest()


def redriven(plane: World) -> str:
    plane("olga", "/a2a/messages", {"fromPersona": plane.name, "toPersona": plane.name, "payload": "go"})
    first = plane.newest()
    plane.asked(first)
    plane("root", f"/run-control/by-run/{first}/cancel", {})
    (letter,) = plane.until("/a2a/dlq", lambda found: found["items"])["items"]
    plane("ada", f"/a2a/dlq/{letter['id']}/requeue", {})
    return plane.newest(first)


def child(plane: World) -> str:
    parent = plane.begin("olga", "parent")
    plane.asked(parent)
    return plane.begin("ada", parentRunId=parent)


def reviewed(plane: World) -> str:
    library = make(plane.workspace / "library")
    branch(library, "good", a_py="def add(a, b):\n    return a - b\n")
    body = {"name": plane.name, "repoPath": "library", "headRef": "good"}
    return str(plane("ada", "/personas/run", body, prefer="respond-async")["runId"])


def by_mcp(plane: World) -> str:
    given = {"input": "go", "sessionId": plane.name, **plane.asking}
    call = modern("tools/call", name="start_run", arguments=given)
    assert post(plane.inside, call, x_athena_identity="ada").status_code == 200
    return plane.newest()


WAYS: dict[Callable[[World], str], tuple[str, ...]] = {
    posted: ("ada",),
    retried: ("ada",),
    retried_in_bulk: ("ada",),
    scheduled: ("ada",),
    scheduled_manually: ("ada", "olga"),
    from_template: ("ada",),
    from_workflow: ("ada",),
    from_scheduled_workflow: ("ada", "olga"),
    drained: ("olga", "ada"),
    sent: ("ada",),
    redriven: ("ada",),
    child: ("ada", "olga"),
    reviewed: ("ada",),
    by_mcp: ("ada",),
}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("requesters")
    workspace = directory / "work"
    (workspace / "personas").mkdir(parents=True)
    with acting([TOUCH, "done"]) as model:
        settings = {"workspace_root": str(workspace), "auth_identity_role_map": ROLES, "openai_base_url": model.url}
        inside = Inside(directory, **(settings | VOUCHED | NO_FLOOD | shared_store), openai_api_key="sk-of-tests")
        inside.start()
        try:
            yield World(inside, workspace)
        finally:
            inside.stop()


@pytest.fixture(scope="module")
def runs(plane: World) -> dict[str, tuple[str, Json | None]]:
    """The run that each way began, and its ask; a drained one has no profile, so it asks nothing."""
    found: dict[str, tuple[str, Json | None]] = {}
    for way in WAYS:
        plane.go_on(way.__name__.replace("_", "-"))
        run_id = way(plane)
        found[way.__name__] = run_id, plane.asked(run_id) if way is not drained else None
    return found


def check(plane: World, run_id: str, ask: Json | None, requesters: tuple[str, ...]) -> None:
    record = plane.get(f"/runs/{run_id}")
    found = (record["requestedBy"], tuple(record.get("requesters", requesters[:1])))
    assert found == (requesters[0], requesters)
    if ask is not None:
        assert ask["requestedBy"] == requesters[0]
        answerers = [who for who in PEOPLE if plane.may_answer(ask, who)]
        assert answerers == [who for who in PEOPLE if who not in requesters]


@pytest.mark.both
@pytest.mark.parametrize(("way", "requesters"), WAYS.items(), ids=[way.__name__ for way in WAYS])
def test_who_requested_a_run_is_recorded_with_it_and_may_not_answer_where_that_is_excluded(
    plane: World,
    runs: dict[str, tuple[str, Json | None]],
    way: Callable[[World], str],
    requesters: tuple[str, ...],
) -> None:
    check(plane, *runs[way.__name__], requesters)


@pytest.mark.both
def test_requesters_outlast_a_restart(plane: World, runs: dict[str, tuple[str, Json | None]]) -> None:
    plane.inside.stop()
    plane.inside.start()
    for way, requesters in WAYS.items():
        check(plane, *runs[way.__name__], requesters)


@pytest.mark.both
def test_an_approval_excludes_all_who_requested_its_workflow_run(plane: World) -> None:
    plane.go_on("approved")
    scheduled_workflow(plane, approved=True)
    (ask,) = plane.until("/asks?kind=workflow-approval", lambda found: found["items"])["items"]
    assert [who for who in PEOPLE if plane.may_answer(ask, who)] == ["otto", "root"]
