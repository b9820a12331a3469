"""Limits of runs over HTTP: one at a time in a session, the limit of the policy, and the order of waiting runs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.scale import sized
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


def test_a_run_that_waited_knows_what_was_said_meanwhile(shared: Server, shared_gates: Gates) -> None:
    gate = shared_gates["meanwhile"]
    shared.api.start(gate.order, provider="local-exec", sessionId="meanwhile")
    second = shared.api.start("what was that", sessionId="meanwhile")
    gate.release()
    shared.api.await_ending(second["runId"])
    output = shared.api.get(f"/runs/{second['runId']}")["output"]
    assert output == "Echo: user: hold meanwhile\nassistant: released by meanwhile\nuser: what was that"


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


def test_who_does_not_wait_for_the_answer_is_not_withdrawn(serve: Serve, gates: Gates) -> None:
    api, gate = serve(session_wait_ms="1", **gates.settings).api, gates["patient"]
    runs = [api.start(gate.order, sessionId="busy") for _ in range(2)]
    with pytest.raises(Refused):
        api.run("impatient", sessionId="busy")
    gate.release(2)
    assert [api.await_ending(run["runId"]) for run in runs] == ["run.completed"] * 2


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


@pytest.mark.heavy
def test_racing_starts_never_exceed_the_limit(limited: Server, gates: Gates) -> None:
    api, gate = limited.api, gates["race"]
    for turn in range(sized(2, 10, 50)):
        with ThreadPoolExecutor(40) as pool:
            answers = list(
                pool.map(
                    lambda number, turn=turn: api.send(
                        "/runs", {"input": gate.order, "sessionId": f"{turn}-{number}"}, respond_async=True
                    ),
                    range(40),
                )
            )
        admitted = [opened(answer)["runId"] for answer in answers if answer.status_code == 202]
        assert len(admitted) == LIMIT
        assert [answer.status_code for answer in answers].count(429) == 40 - LIMIT
        assert len(api.items("/runs/active")) == LIMIT
        gate.release(LIMIT)
        assert {api.await_ending(run_id) for run_id in admitted} == {"run.completed"}
    refusals = api.types(types=",".join(REFUSAL))
    assert refusals == REFUSAL * (len(refusals) // 3)
    # that the limit held at every position is judged over the whole log when the server is gone


def test_the_slot_of_a_run_that_ended_is_free_for_the_next_one(limited: Server, gates: Gates) -> None:
    api, gate = limited.api, gates["next"]
    runs = [api.start(gate.order)["runId"] for _ in range(LIMIT)]
    with pytest.raises(Refused):
        api.run("too early")
    api.post(f"/run-control/by-run/{runs[0]}/cancel")
    api.await_ending(runs[0])
    assert api.run("now")["output"] == "said: now"
    gate.release(LIMIT)


def test_the_end_of_a_run_admits_the_one_that_waits_in_the_same_commit(limited: Server, gates: Gates) -> None:
    api, gate = limited.api, gates["hand-over"]
    first, second = (api.start(gate.order, sessionId="one")["runId"] for _ in range(2))
    others = [api.start(gate.order)["runId"] for _ in range(LIMIT - 1)]
    with pytest.raises(Refused):  # every slot is taken, and one run waits without a slot
        api.run("too many")
    api.post(f"/run-control/by-run/{first}/cancel")
    api.await_ending(first)
    events = api.events(sessionId="one")
    (end,) = [place for place, event in enumerate(events) if event["type"] == "run.cancelled"]
    follower = events[end + 1]
    assert (follower["type"], follower["runId"]) == ("run.created", second)
    assert follower["traceId"] == events[end]["traceId"]
    gate.release(LIMIT)
    assert {api.await_ending(run_id) for run_id in (second, *others)} == {"run.completed"}


@pytest.mark.parametrize("risen", [False, True], ids=["the limit fell", "and rose again"])
def test_an_end_admits_as_many_of_the_queued_as_the_limit_leaves_room_for(
    limited: Server, gates: Gates, risen: bool
) -> None:
    api = limited.api
    gate = {name: gates[name] for name in ("a", "b")}
    holders = {name: api.start(gate[name].order, sessionId=name)["runId"] for name in gate}
    waiters = {name: api.start(gate[name].order, sessionId=name)["runId"] for name in gate}
    api.put_policy(maxConcurrentRuns=1)
    gate["a"].release()
    api.await_ending(holders["a"])
    record = api.get(f"/runs/{waiters['a']}")
    assert (record["status"], record["waiting"]["reason"]) == ("queued", "concurrency"), "it is not rejected"
    if risen:
        api.put_policy(maxConcurrentRuns=2)
    gate["b"].release()
    api.await_ending(holders["b"])
    api.await_event("run.started", runId=waiters["a"])  # the oldest one
    assert status(api, waiters["b"]) == ("running" if risen else "queued")
    for one in gate.values():
        one.release()
    assert {api.await_ending(run_id) for run_id in waiters.values()} == {"run.completed"}
