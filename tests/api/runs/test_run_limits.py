"""Limits of runs over HTTP: one at a time in a session, the limit of the policy, and the order of waiting runs."""

from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Refused, opened
from tests.support.gate import Gates
from tests.support.records import REFUSAL
from tests.support.server import NO_FLOOD, Server

LIMIT = 3


@pytest.fixture
def limited(serve: Serve, gates: Gates, tmp_path: Path) -> Server:
    """A server whose policy allows three runs. Its flood limit is never reached."""
    server = serve(**NO_FLOOD, **gates.settings)
    server.api.put_policy(maxConcurrentRuns=LIMIT)
    return server


def status(api: Api, run_id: str) -> str:
    return str(api.get(f"/runs/{run_id}")["status"])


# One run at a time in a session


def test_a_run_in_a_busy_session_waits_for_its_turn(shared: Server, shared_gates: Gates) -> None:
    api, gate = shared.api, shared_gates["turn"]
    runs = [api.start(gate.order, provider="local-exec", sessionId="turn")["runId"] for _ in range(3)]
    gate.arrival()
    assert [status(api, run_id) for run_id in runs] == ["running", "queued", "queued"]
    waiting = [api.get(f"/runs/{run_id}")["waiting"] for run_id in runs[1:]]
    assert waiting == [{"reason": "session-busy", "position": place, "blockedBy": runs[0]} for place in (1, 2)]
    for run_id in runs:
        gate.release()
        assert api.await_ending(run_id) == "run.completed"
    positions = [event["runId"] for event in api.events(sessionId="turn", types="run.created")]
    assert positions == runs, "first come, first served"
    assert api.types(runId=runs[1])[:3] == ["run.queued", "run.created", "run.leased"]


def test_a_caller_who_waited_long_enough_gets_his_run_back(serve: Serve, gates: Gates) -> None:
    server = serve(session_wait_ms="50", **gates.settings)
    api, gate = server.api, gates["held"]
    first = api.start(gate.order, sessionId="busy")
    with pytest.raises(Refused) as refused:
        api.run("me too", sessionId="busy", key="key")
    assert (refused.value.status, refused.value.code) == (409, "SESSION_LOCK_TIMEOUT")
    withdrawn = refused.value.error["details"]["runId"]
    ending = api.events(runId=withdrawn)[-1]
    assert (ending["type"], ending["payload"]["cause"]) == ("run.cancelled", "session-busy")
    gate.release()
    assert api.await_ending(first["runId"]) == "run.completed"
    answer = api.send("/runs", {"input": "me too", "sessionId": "busy"}, key="key")
    assert "idempotency-replayed" not in answer.headers, "the key of a withdrawn run is free"
    assert opened(answer)["runId"] != withdrawn
    assert api.types(runId=withdrawn) == ["run.queued", "run.cancelled"]


# The limit of the policy


def test_a_run_over_the_limit_is_refused_and_the_refusal_is_recorded_first(limited: Server, gates: Gates) -> None:
    api, gate = limited.api, gates["full"]
    for number in range(LIMIT):
        api.start(gate.order, sessionId=f"holder-{number}")
    answer = api.send("/runs", {"input": "one more", "sessionId": "refused"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["retryable"]) == (429, "POLICY_CONCURRENCY_LIMIT_EXCEEDED", False)
    assert "policy.maxConcurrentRuns exceeded" in error["message"]
    assert int(answer.headers["retry-after"]) >= 1
    run_id = error["details"]["runId"]
    concurrency, violation, rejected = api.events(traceId=answer.headers["x-trace-id"])
    assert [event["type"] for event in (concurrency, violation, rejected)] == REFUSAL
    for event in (concurrency, violation, rejected):
        assert (event["runId"], event["sessionId"]) == (run_id, "refused")
    assert int(answer.headers["athena-position"]) == api.head()
    payload = concurrency["payload"]
    assert (payload["activeRuns"], payload["maxConcurrentRuns"]) == (LIMIT, LIMIT)
    assert payload["reason"] == "max-concurrent-runs-exceeded"
    assert payload["rejection"]["rejectedRunDetails"] == {"sessionId": "refused"}
    assert rejected["payload"]["rejection"] == payload["rejection"]
    assert concurrency["policy"] == rejected["policy"] == payload["rejection"]["policy"]
    policy = concurrency["policy"]
    assert (policy["policyName"], policy["schemaVersion"]) == ("policy.maxConcurrentRuns", 1)
    assert violation["payload"]["source"]["eventId"] == concurrency["id"]
    assert violation["payload"]["violationCode"] == "POLICY_CONCURRENCY_REJECTED"
    with pytest.raises(Refused) as refused:
        api.get(f"/runs/{run_id}")
    assert refused.value.code == "NOT_FOUND", "a refused run never existed"
    assert run_id not in {run["runId"] for run in api.items("/runs")}
    assert "refused" not in {session["id"] for session in api.items("/sessions")}
    gate.release(LIMIT)

    # that the limit held at every position is judged over the whole log when the server is gone
