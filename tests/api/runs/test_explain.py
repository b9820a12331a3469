"""``GET /runs/:runId/explain`` over HTTP: the reason why a run is not done."""

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Json, Refused
from tests.support.gate import Gates
from tests.support.server import Server


def explained(api: Api, run_id: str) -> Json:
    found: Json = api.get(f"/runs/{run_id}/explain")
    return found


def test_every_step_is_an_event_of_the_run(shared: Server) -> None:
    run_id = shared.api.run("hello", sessionId="told")["runId"]
    found = explained(shared.api, run_id)
    events = {event["id"]: event for event in shared.api.events(runId=run_id)}
    assert (found["runId"], found["sessionId"], found["status"]) == (run_id, "told", "completed")
    assert found["waitsFor"] is None
    for cause in found["causes"]:
        event = events[cause["eventId"]]
        assert (cause["type"], cause["at"], cause["traceId"]) == (event["type"], event["createdAt"], event["traceId"])
    assert [cause["type"] for cause in found["causes"]] == [
        event["type"] for event in events.values() if event["type"] != "run.started"
    ]
    assert found["causes"][-1]["causedBy"] in events


def test_runs_beyond_a_scope_are_not_named(serve: Serve, gates: Gates) -> None:
    server = serve(auth_enabled="true", auth_identity_role_map="ada:Admin,otto:Operator", **gates.settings)
    ada, otto = server.client("ada"), server.client("otto", **{"x-athena-scope-sessions": "mine"})
    ada.put("/policy", {"schemaVersion": 1, "limits": [{"scope": "provider", "max": 1, "strategy": "enqueue"}]})
    gate = gates["theirs"]
    holder, behind = (ada.start(gate.order, sessionId="theirs")["runId"] for _ in range(2))
    gate.arrival()
    answer = otto.start("mine", sessionId="mine")
    run_id = answer["runId"]
    reached = {"scope": "provider", "key": "local-exec", "max": 1, "active": 1}
    found = otto.get(f"/runs/{run_id}")
    (listed,) = otto.items("/runs")
    for shown in (answer, found, listed):
        assert shown["waiting"] == {"reason": "key-limit", "position": 2, "limit": reached}
    assert explained(otto, run_id)["waitsFor"] == {
        "reason": "key-limit",
        "since": found["createdAt"],
        "says": "its turn: 1 of 1 runs of provider local-exec are active",
        "position": 2,
    }
    for scope in ({"x-athena-scope-sessions": "mine,theirs"}, {}):
        wider = server.client("otto", **scope)
        assert wider.get(f"/runs/{run_id}")["waiting"]["blockedBy"] == holder
        assert explained(wider, run_id)["waitsFor"]["blockedBy"] == holder
    one = server.client("otto", **{"x-athena-scope-runs": behind})
    assert one.get(f"/runs/{behind}")["waiting"] == {"reason": "session-busy", "position": 1}
    assert "blockedBy" not in explained(one, behind)["waitsFor"]
    gate.release(2)
    assert ada.await_ending(run_id) == "run.completed"
    cause, known = (explained(api, run_id)["causes"][1] for api in (otto, ada))
    assert known["after"] in {holder, behind}
    assert known["says"].endswith(f", when {known['after']} ended")
    assert "after" not in cause
    assert cause["says"].endswith(", when another run ended")


def test_a_rejected_run_has_an_explanation_and_no_record(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    server.api.put_policy(maxConcurrentRuns=1)
    gate = gates["full"]
    server.api.start(gate.order, sessionId="one")
    gate.arrival()
    with pytest.raises(Refused) as refused:
        server.api.start("more", sessionId="two", metadata={"ticket": "42"})
    run_id = refused.value.error["details"]["runId"]
    with pytest.raises(Refused, match=run_id) as missing:
        server.api.get(f"/runs/{run_id}")
    assert (missing.value.status, missing.value.code) == (404, "NOT_FOUND")
    asked = {"input": "more", "metadata": {"ticket": "42"}}
    found = explained(server.api, run_id)
    assert (found["status"], found["sessionId"], found["request"]) == ("rejected", "two", asked)
    assert (found["plan"]["model"], found["plan"]["inputChars"]) == ("script", 4)
    (cause,) = found["causes"]
    assert cause["says"] == "requested by local; rejected, because 1 of 1 runs were active"
    (entry,) = server.api.items("/governance/audit-trail", kind="rejection")
    assert (entry["target"], entry["reason"]) == (run_id, "max-concurrent-runs-exceeded")
    assert entry["details"] == {"plan": found["plan"], "request": asked}
    gate.release()


def test_a_rejection_keeps_what_was_asked_for_as_inputs_are_kept(shared: Server, shared_gates: Gates) -> None:
    api, gate = shared.api, shared_gates["asked"]
    secret = "sk-" + "a1B2" * 12
    directive = api.post("/directives", {"input": "what a directive says"})["id"]
    held = api.start(gate.order, provider="local-exec")["runId"]
    api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1})
    bodies: list[Json] = [{"input": f"use {secret}"}, {"input": "x" * 5_000}, {"directiveId": directive}]
    for body in bodies:
        with pytest.raises(Refused):
            api.post("/runs", body | {"sessionId": "asked"})
    api.put("/policy", {"schemaVersion": 1})
    gate.release()
    api.await_ending(held)
    masked, long, named = api.items("/policy/rejections", sessionId="asked")
    assert masked["request"]["input"].startswith("use ")
    assert secret not in str(masked)
    assert (long["request"].keys(), long["plan"]["inputChars"]) == ({"sizeBytes", "sha256"}, 5_000)
    assert named["request"] == {"directiveId": directive}
    events = api.events(types="policy.rejected", sessionId="asked")
    assert all("request" not in event["payload"] and event["payload"]["plan"] for event in events)


@pytest.mark.parametrize("name", ["run_unknown", "plane", "policy"])
def test_only_runs_are_explained(shared: Server, name: str) -> None:
    with pytest.raises(Refused) as missing:
        explained(shared.api, name)
    assert (missing.value.status, missing.value.code) == (404, "NOT_FOUND")
    assert "policy/rejections" not in missing.value.error["message"]
