"""The life of a plane: one of each kind of work, and its results."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.api import soon
from tests.support.inside import Inside
from tests.support.machine import HOUR
from tests.support.model import Profile, call

WRITE = call("files", action="write", path="done.txt", content="yes", evidence="Proof")
SCRIPT = (WRITE, "done")


class Client:
    """A client that repeats each command with its key until it is answered."""

    def __init__(self, plane: Inside) -> None:
        self._plane = plane
        self._keys = 0
        self.failures = 0

    def __call__(self, path: str, body: Any = None, method: str = "POST", **headers: str) -> Any:
        """Return the data of a command."""
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
    """Do one of each kind of work. Return the results, and how often each type of event was recorded."""
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


def asking(plane: Inside, decision: str) -> tuple[str, dict[str, str]]:
    """Start a workflow run that waits for an approval; return its path and the body of an answer."""
    step = {"id": "ask", "approval": {"message": "ship?", "expiresAfterMs": HOUR, "onExpiry": decision}}
    workflow = plane.data("POST", "/workflows", {"definition": {"steps": [step], "dependencies": []}})["id"]
    run_id = plane.data("POST", f"/workflows/{workflow}/run", {}, prefer="respond-async")["id"]
    path = f"/workflows/run/{run_id}"
    asked = plane.until(path, "status", "waiting")["stepStates"]["ask"]["approval"]
    return path, {"subjectHash": asked["subjectHash"]}
