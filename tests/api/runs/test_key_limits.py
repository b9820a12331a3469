"""Limits by key over HTTP: runs of a session, a provider or a profile are rejected, or wait in order."""

from collections.abc import Iterator

import pytest

from tests.api.examples import PROFILE
from tests.conftest import Serve
from tests.support.api import Api, Json, Refused
from tests.support.gate import Gates
from tests.support.records import REFUSAL
from tests.support.server import Server


def limit(scope: str, strategy: str = "enqueue", *, most: int = 1, key: str | None = None) -> Json:
    """Return a limit as a client writes it."""
    return {"scope": scope, "max": most, "strategy": strategy, **({} if key is None else {"key": key})}


def put(api: Api, *limits: Json, **fields: int) -> None:
    api.put("/policy", {"schemaVersion": 1, "limits": list(limits), **fields})


@pytest.fixture
def api(shared: Server) -> Iterator[Api]:
    """The shared server; afterwards nothing is limited."""
    yield shared.api
    put(shared.api)


@pytest.fixture
def local(api: Api) -> str:
    profile = {**PROFILE, "config": {**PROFILE["config"], "provider": "local-exec", "model": "script"}}
    return str(api.post("/harness-profiles", profile)["id"])


def waiting(api: Api, run_id: str) -> Json:
    found: Json = api.get(f"/runs/{run_id}")["waiting"]
    return found


def test_a_run_over_a_limit_that_rejects_is_refused_with_the_rule(api: Api, shared_gates: Gates) -> None:
    gate = shared_gates["refused"]
    put(api, limit("provider", "reject", key="local-exec"))
    holder = api.start(gate.order, provider="local-exec")["runId"]
    with pytest.raises(Refused) as refused:
        api.run(gate.order, provider="local-exec", sessionId="refused-by-key")
    error = refused.value.error
    assert (refused.value.status, refused.value.code) == (429, "POLICY_CONCURRENCY_LIMIT_EXCEEDED")
    assert "policy.limits exceeded: 1 of 1 runs of provider:local-exec are active" in error["message"]
    assert api.run("mock is not limited")["provider"] == "mock"
    events = api.events(runId=error["details"]["runId"])
    assert [event["type"] for event in events] == REFUSAL
    assert events[0]["policy"]["policyName"] == "policy.limits"
    assert events[0]["policy"]["ruleName"] == "provider:local-exec"
    (found,) = api.items("/policy/rejections", provider="local-exec", sessionId="refused-by-key")
    assert (found["reason"], found["activeRuns"], found["maxConcurrentRuns"]) == ("key-limit-exceeded", 1, 1)
    assert found["policy"]["ruleName"] == "provider:local-exec"
    gate.release()
    assert api.await_ending(holder) == "run.completed"


def test_a_run_over_a_limit_that_enqueues_waits_and_knows_why(api: Api, local: str, shared_gates: Gates) -> None:
    gate = shared_gates["enqueued"]
    put(api, limit("harness-profile"))
    holder, first, second = (api.start(gate.order, harnessProfileId=local)["runId"] for _ in range(3))
    reached = {"scope": "harness-profile", "key": local, "max": 1, "active": 1}
    for run_id, place in ((first, 1), (second, 2)):
        expected = {"reason": "key-limit", "position": place, "blockedBy": holder, "limit": reached}
        assert waiting(api, run_id) == expected
    listed = {run["runId"]: run.get("waiting", {}).get("reason") for run in api.items("/runs", status="queued")}
    assert listed == {first: "key-limit", second: "key-limit"}
    told = api.get(f"/runs/{second}/explain")["waitsFor"]
    assert (told["reason"], told["position"], told["blockedBy"]) == ("key-limit", 2, holder)
    assert told["says"] == f"its turn: 1 of 1 runs of harness-profile {local} are active"
    for run_id in (holder, first, second):
        gate.release()
        assert api.await_ending(run_id) == "run.completed"
    admitted = api.events(types="run.created", runId=first)
    assert len(admitted) == 1


def test_a_caller_that_waits_too_long_at_a_limit_is_refused(serve: Serve, gates: Gates) -> None:
    api, gate = serve(session_wait_ms="50", **gates.settings).api, gates["late"]
    put(api, limit("provider"))
    holder = api.start(gate.order)["runId"]
    with pytest.raises(Refused) as refused:
        api.run("me too", key="key")
    assert (refused.value.status, refused.value.code) == (429, "POLICY_CONCURRENCY_LIMIT_EXCEEDED")
    withdrawn = refused.value.error["details"]["runId"]
    assert api.types(runId=withdrawn) == ["run.queued", "run.cancelled"]
    assert api.get(f"/runs/{withdrawn}")["error"]["code"] == "POLICY_CONCURRENCY_LIMIT_EXCEEDED"
    gate.release()
    api.await_ending(holder)
    assert api.run("me too", key="key")["runId"] != withdrawn, "the key of a withdrawn run is free"
