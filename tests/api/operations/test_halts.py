"""The halt over HTTP: no work begins, whichever way, nothing is lost, and what waited goes on in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_api.operations import OPERATIONS
from athena_core.domain import DECIDERS
from tests.api.examples import PROFILE
from tests.support.api import soon
from tests.support.gate import Gates
from tests.support.inside import Inside, plane_on
from tests.support.repository import branch, make

WHY = {"reason": "wrong prices"}

REFUSED = {
    "createRun",
    "drainWork",
    "redriveA2aDlq",
    "requeueA2aDlqItem",
    "resumeRun",
    "resumeWorkflow",
    "retryRun",
    "retryRuns",
    "runPersona",
    "runSchedule",
    "runTemplate",
    "runWorkflow",
    "tickSchedules",
}
"""The operations that begin work."""
MEANWHILE = {
    *("applyRun", "cleanWorkspace", "keepWorkspace"),
    *("acceptMcpTools", "checkMcpServer"),
    *("acceptClock", "answerAsk", "answerAsks", "approveWorkflowStep", "cancelA2aDlqRedrive", "cancelRun"),
    *("cancelRunByRunId", "cancelRuns", "createToken", "logIn", "logOut", "revokeToken"),
    *("cancelWorkflowRun", "createDirective", "createHarnessProfile", "createRunTemplate", "createSchedule"),
    *("createWorkflow", "deleteSchedule", "disableSchedule", "discardA2aDlqItem", "enableSchedule", "enqueueWork"),
    *(
        "forgetMemory",
        "getMemory",
        "keepAnchor",
        "liftHalt",
        "pauseSchedule",
        "putPolicy",
        "recordMemory",
    ),
    *("rejectWorkflowStep", "restoreA2aDlqItem", "resumeSchedule", "sendA2aMessage", "simulatePolicy", "startHalt"),
    *("revokePermissionRule", "updateRunTemplate", "updateSchedule"),
}
"""The operations that begin no work. What they put into a queue waits."""


@pytest.fixture
def plane(tmp_path: Path, gates: Gates) -> Iterator[Inside]:
    with plane_on(tmp_path, **gates.settings, executor_max_runs="2", scheduler="off") as inside:
        yield inside


def refused(plane: Inside, method: str, path: str, body: Any = None, **headers: str) -> Any:
    answer = plane.ask(method, path, body, **headers)
    assert answer.status_code == 503, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["details"]["reason"], error["details"]["by"]) == ("HALTED", WHY["reason"], "local")
    return error


def types(plane: Inside, *named: str) -> list[str]:
    page = plane.data("GET", f"/events?limit=500&types={','.join(named)}")
    return [event["type"] for event in page["events"]]


def status(plane: Inside, run_id: str) -> str:
    record = plane.data("GET", f"/runs/{run_id}")
    return str(record.get("run", record)["status"])


def test_every_command_says_if_it_begins_work() -> None:
    """A new operation belongs in one of the two sets, and a new event that begins work in the third."""
    assert {row.id for row in OPERATIONS if row.method != "GET"} == REFUSED | MEANWHILE
    assert not REFUSED & MEANWHILE
    assert {kind.TYPE for decider in DECIDERS for kind in decider.events if kind.BEGINS} == {
        "a2a.dlq.redrive.started",
        "a2a.dlq.requeued",
        "persona.run.repair-requested",
        "persona.run.started",
        "run.created",
        "run.leased",
        "run.queued",
        "run.resumed",
        "schedule.run.started",
        "work.batch.started",
        "work.drain.started",
        "workflow.resumed",
        "workflow.run.created",
        "workflow.step.started",
    }


def test_a_halt_is_read_answered_twice_and_lifted(plane: Inside) -> None:
    assert plane.data("GET", "/halt") == {"halted": False, "running": 0, "waiting": 0}
    first = plane.data("POST", "/halt", WHY)
    assert (first["halted"], first["by"], first["reason"]) == (True, "local", "wrong prices")
    assert plane.data("POST", "/halt", {"reason": "another"}) == first == plane.data("GET", "/halt")
    error = refused(plane, "POST", "/runs", {"input": "x"}, idempotency_key="one")
    assert error["message"].startswith(f"local halted all work at {first['since']}: wrong prices.")
    assert (error["retryable"], error["retryWith"]) == (True, "same-key")
    assert plane.data("GET", "/fleet/summary")["halted"] is True
    assert "athena_halted 1\n" in plane.metrics()
    assert plane.data("DELETE", "/halt") == {"halted": False, "running": 0, "waiting": 0} == plane.data("GET", "/halt")
    assert plane.data("DELETE", "/halt")["halted"] is False
    assert plane.data("POST", "/runs", {"input": "x"}, idempotency_key="one")["output"] == "said: x"
    assert types(plane, "halt.started", "halt.lifted", "policy.rejected") == ["halt.started", "halt.lifted"]
    entries = plane.data("GET", "/governance/audit-trail?kind=halt")["items"]
    assert [entry["after"] for entry in entries] == [{"halted": False}, {"halted": True}]
    assert entries[1]["reason"] == "wrong prices"


def test_refusals_by_a_halt_are_counted_and_not_recorded_one_by_one(plane: Inside) -> None:
    plane.data("POST", "/halt", WHY)
    for _ in range(5):
        refused(plane, "POST", "/runs", {"input": "x"})
    for _ in soon():
        if found := plane.data("GET", "/events?types=requests.suppressed")["events"]:
            break
    assert sum(event["payload"]["count"] for event in found) == 5
    assert found[0]["payload"]["operation"] == "runs.create"
    assert types(plane) == [*["AUTHZ_MODE_ACTIVE"], "halt.started", *["requests.suppressed"] * len(found)]


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"reason": None},
        {"reason": ""},
        {"reason": " \t"},
        {"reason": "x" * 10_000},
        {"reason": 7},
        {"reason": ["x"]},
        {"reason": "a\0b"},
        {"reason": "x", "cancelRunning": "true"},
        {"reason": "x", "cancelRunning": 1},
        {"reason": "x", "more": 1},
        ["x"],
        "x",
    ],
    ids=str,
)
def test_a_hostile_body_halts_nothing(plane: Inside, body: Any) -> None:
    answer = plane.ask("POST", "/halt", body)
    assert answer.status_code == 400, answer.text
    assert plane.data("GET", "/halt")["halted"] is False


def test_running_runs_and_their_children_are_cancelled_with_it_and_waiting_ones_stay(
    plane: Inside, gates: Gates
) -> None:
    held = gates["held"]
    running = plane.begin(held.order, "holder")
    held.arrival()
    child = plane.begin("child", "holder", parentRunId=running)
    waiting = plane.begin("later", "holder")
    halted = plane.data("POST", "/halt", {**WHY, "cancelRunning": True})
    assert halted["cancelled"] == 2
    for run_id in (running, child):
        ended = plane.until(f"/runs/{run_id}", "status", "cancelled")
        assert ended["status"] == "cancelled"
    assert status(plane, waiting) == "queued"
    (event,) = plane.data("GET", "/events?types=halt.started")["events"]
    assert event["payload"] == {"by": "local", "cancelled": 2}
    again = plane.data("POST", "/halt", {"reason": "x", "cancelRunning": True})
    assert (again["cancelled"], again["reason"]) == (0, "wrong prices")
    plane.data("DELETE", "/halt")
    plane.until(f"/runs/{waiting}", "status", "completed")


def test_a_paused_run_is_not_resumed(plane: Inside) -> None:
    plane.data("POST", "/halt", WHY)
    assert plane.ask("POST", "/runs/run_unknown/resume", {}).status_code == 404


class World:
    """A plane with something behind every operation that begins work."""

    def __init__(self, plane: Inside, directory: Path) -> None:
        data = plane.data
        make(directory / "workspace" / "library")
        branch(directory / "workspace" / "library", "change", b_py="x = 1\n")
        ended = data("POST", "/runs", {"input": "x", "sessionId": "retried"})["runId"]
        profile = data("POST", "/harness-profiles", PROFILE)["id"]
        text = {"harnessProfileId": profile, "directiveTemplate": "Write.", "defaultParams": {}, "paramsSchema": None}
        template = data("POST", "/run-templates", text)["id"]
        directive = data("POST", "/directives", {"input": "look"})["id"]
        step = {"id": "a", "directiveId": directive, "harnessProfileId": profile}
        definition = {"steps": [step], "dependencies": []}
        workflow = data("POST", "/workflows", {"definition": definition})["id"]
        data("POST", "/schedules", {"id": "nightly", "sessionId": "s", "input": "x", "everyMinutes": 60})
        data("POST", "/work/enqueue", {"sessionId": "dead", "payload": "fail", "mode": "followup"})
        plane.ask("POST", "/work/dead/drain", {})
        (letter,) = data("GET", "/a2a/dlq")["items"]
        data("POST", "/work/enqueue", {"sessionId": "full", "payload": "x", "mode": "followup"})
        persona = {"name": "code-review", "repoPath": "library", "headRef": "change", "baseRef": "main"}
        self.requests: dict[str, tuple[str, Any]] = {
            "createRun": ("/runs", {"input": "x"}),
            "drainWork": ("/work/full/drain", {}),
            "redriveA2aDlq": ("/a2a/dlq/redrive", {"filter": {}}),
            "requeueA2aDlqItem": (f"/a2a/dlq/{letter['id']}/requeue", {}),
            "resumeRun": (f"/runs/{ended}/resume", {}),
            "resumeWorkflow": (f"/workflows/run/{workflow}/resume", {}),
            "retryRun": (f"/runs/{ended}/retry", {}),
            "retryRuns": ("/runs/retry", {"filter": {"sessionId": "retried"}}),
            "runPersona": ("/personas/run", persona),
            "runSchedule": ("/schedules/nightly/run", {}),
            "runTemplate": (f"/templates/{template}/run", {}),
            "runWorkflow": (f"/workflows/{workflow}/run", {}),
            "tickSchedules": ("/schedules/tick", {}),
        }


def test_every_way_to_begin_work_is_refused_with_the_reason_and_possible_after_the_halt(
    tmp_path: Path, gates: Gates
) -> None:
    settings = gates.settings | {"workspace_root": str(tmp_path / "workspace"), "work_max_attempts": "1"}
    (tmp_path / "workspace").mkdir()
    with plane_on(tmp_path, **settings, scheduler="off", refusals_per_second="1000") as plane:
        world = World(plane, tmp_path)
        assert world.requests.keys() == REFUSED
        plane.data("POST", "/halt", WHY)
        before = plane.data("GET", "/events?limit=1")["head"]
        for operation, (path, body) in world.requests.items():
            refused(plane, "POST", path, body, idempotency_key=f"one-{operation}", prefer="respond-async")
        page = plane.data("GET", f"/events?limit=500&cursor={before}")
        assert {event["type"] for event in page["events"]} <= {"requests.suppressed"}
        plane.data("DELETE", "/halt")
        for operation, (path, body) in world.requests.items():
            answer = plane.ask("POST", path, body, idempotency_key=f"one-{operation}", prefer="respond-async")
            assert answer.status_code in ({409} if operation == "resumeRun" else {200, 202}), answer.text
