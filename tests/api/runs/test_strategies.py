"""Runs over HTTP whose session is busy, whose parent is cancelled, or that wait for an executor."""

import signal
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Refused, opened, soon
from tests.support.gate import Gate, Gates, gone
from tests.support.server import Server


@pytest.fixture
def server(serve: Serve, gates: Gates) -> Server:
    """A server whose model stops at gates."""
    return serve(**gates.settings)


def held(api: Api, gate: Gate, **fields: str) -> str:
    """Start a run and return its id once its model is at the gate."""
    run_id = str(api.start(gate.order, **fields)["runId"])
    gate.arrival()
    return run_id


def ending(api: Api, run_id: str) -> dict[str, object]:
    """Return the type and payload of a run's terminal event."""
    api.await_ending(run_id)
    event = api.events(runId=run_id)[-1]
    return {"type": event["type"], **event["payload"]}


# A busy session


def test_who_would_rather_be_refused_than_wait_is_refused_at_once_and_on_record(server: Server, gates: Gates) -> None:
    api, gate = server.api, gates["reject"]
    held(api, gate, sessionId="busy")
    answer = api.send("/runs", {"input": "now", "sessionId": "busy", "sessionStrategy": "reject"}, key="k")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "SESSION_LOCK_TIMEOUT")
    (event,) = api.events(traceId=answer.headers["x-trace-id"])
    assert (event["type"], event["runId"], event["sessionId"]) == ("policy.rejected", error["details"]["runId"], "busy")
    assert event["payload"]["rejection"]["reason"] == "lock-acquisition-failed"
    assert event["policy"]["policyName"] == "sessionStrategy"
    assert api.http.get(f"/runs/{event['runId']}").status_code == 404
    gate.release()
    fields = {"input": "now", "sessionId": "free", "sessionStrategy": "reject"}
    assert opened(api.send("/runs", fields, key="k2"))["output"] == "said: now"


def test_an_interrupting_run_replaces_the_running_one(server: Server, gates: Gates) -> None:
    api, gate = server.api, gates["interrupted"]
    first = str(api.start(gate.order, sessionId="busy")["runId"])
    process = gate.arrival()
    second = api.run("now", sessionId="busy", sessionStrategy="interrupt")
    assert second["output"].endswith("said: now")
    assert ending(api, first) == {"type": "run.cancelled", "cause": "interrupted"}
    assert (
        api.get(f"/runs/{first}")["error"]["message"] == f"the run was cancelled: interrupted by run {second['runId']}"
    )
    assert gone(process)
    assert api.types(runId=second["runId"])[:3] == ["run.queued", "run.created", "run.leased"]


# Children


def test_children_are_cancelled_with_their_parent_and_theirs_as_well(server: Server, gates: Gates) -> None:
    api, gate = server.api, gates["family"]
    parent = held(api, gate)
    child = held(api, gate, parentRunId=parent)
    grandchild = held(api, gate, parentRunId=child)
    api.run("done before", parentRunId=child)
    stranger = held(api, gate)
    assert api.get(f"/runs/{child}")["parentRunId"] == parent
    assert api.events(runId=child)[0]["parentRunId"] == parent
    answer = api.send(f"/run-control/by-run/{parent}/cancel", {"reason": "enough"})
    trace = answer.headers["x-trace-id"]
    asked = [event["runId"] for event in api.events(traceId=trace, types="run.cancel.requested")]
    assert asked == [parent, child, grandchild]
    assert ending(api, parent) == {"type": "run.cancelled", "cause": "requested"}
    for run_id in (child, grandchild):
        assert ending(api, run_id) == {"type": "run.cancelled", "cause": "parent"}
    assert api.get(f"/runs/{grandchild}")["error"]["message"] == "the run was cancelled: enough"
    assert api.get(f"/runs/{stranger}")["status"] == "running"
    gate.release(4)


@pytest.mark.parametrize("parent", ["run_unknown", "nobody", "ended"])
def test_a_parent_has_to_be_there_and_open(server: Server, parent: str) -> None:
    api = server.api
    if parent == "ended":
        parent = api.run("hello")["runId"]
    with pytest.raises(Refused) as refused:
        api.run("hello", parentRunId=parent)
    assert (refused.value.status, refused.value.code) == (400, "CONFIG_ERROR")
    assert refused.value.error["details"][0]["field"] == "parentRunId"


# Executors


def test_runs_of_a_server_without_an_executor_are_executed_by_another_one(
    serve: Serve, gates: Gates, tmp_path: Path
) -> None:
    api = serve(tmp_path / "plane", executor="off", **gates.settings).api
    run = api.start("hello")
    assert (run["status"], run["attempt"]) == ("running", 0)
    worker = serve(tmp_path / "plane", **gates.settings)
    assert api.await_ending(run["runId"]) == "run.completed"
    assert api.run("and now?")["output"].endswith("said: and now?")
    (lease,) = api.events(runId=run["runId"], types="run.leased")
    assert lease["payload"]["pid"] == worker.pid


@pytest.mark.heavy
def test_a_server_that_stands_still_loses_its_runs_and_lets_go_of_them_when_it_goes_on(
    serve: Serve, gates: Gates, tmp_path: Path
) -> None:
    settings = {**gates.settings, "runtime_run_timeout_ms": "600000", "test_frozen_seconds": "3"}
    other, frozen = serve(tmp_path / "plane", **settings), serve(tmp_path / "plane", **settings)
    gate = gates["frozen"]
    run_id = str(frozen.api.start(gate.order)["runId"])
    process = gate.arrival()
    frozen.freeze()
    gate.arrival()  # at the other server
    frozen.signal(signal.SIGCONT)
    for _ in soon():
        if gone(process):
            break
    gate.release()
    assert other.api.await_ending(run_id) == "run.completed"
    (_, lease) = other.api.events(runId=run_id, types="run.leased")
    taken = lease["payload"]
    assert (taken["because"], taken["attempt"], taken["pid"]) == ("frozen", 2, other.pid)
    assert other.api.types(runId=run_id) == [
        *("run.created", "run.leased", "run.started", "transcript.appended"),
        *("run.leased", "run.started", "transcript.appended", "usage.recorded", "run.completed"),
    ]
    assert frozen.api.run("are you well?")["output"].endswith("said: are you well?")
