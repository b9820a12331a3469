"""Limits by key over HTTP: runs of a session, a provider or a profile are rejected, or wait in order."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.examples import PROFILE
from tests.conftest import Serve
from tests.scale import sized
from tests.support.api import Api, Json, Refused, opened
from tests.support.gate import Gates
from tests.support.process import ROOT
from tests.support.records import REFUSAL, judge
from tests.support.server import NO_FLOOD, Server


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


def test_the_oldest_waiter_whose_every_limit_is_free_goes_first(api: Api, local: str, shared_gates: Gates) -> None:
    one, other = shared_gates["one"], shared_gates["other"]
    put(api, limit("harness-profile", key=local), limit("provider", key="local-exec", most=2))
    by_profile = api.start(one.order, harnessProfileId=local)["runId"]
    alone = api.start(other.order, provider="local-exec")["runId"]
    older = api.start(one.order, harnessProfileId=local)["runId"]
    younger = api.start(other.order, provider="local-exec")["runId"]
    other.release()
    assert api.await_ending(alone) == "run.completed"  # a place at the provider is free, none at the profile
    assert api.get(f"/runs/{younger}")["status"] == "running"
    assert waiting(api, older)["reason"] == "key-limit"
    one.release()
    assert api.await_ending(by_profile) == "run.completed"
    assert api.get(f"/runs/{older}")["status"] == "running"
    one.release()
    other.release()
    assert {api.await_ending(run_id) for run_id in (older, younger)} == {"run.completed"}


def test_a_limit_with_a_key_stands_in_place_of_the_one_of_each(api: Api, shared_gates: Gates) -> None:
    gate = shared_gates["instead"]
    put(api, limit("provider", "reject"), limit("provider", "reject", key="local-exec", most=2))
    runs = [api.start(gate.order, provider="local-exec")["runId"] for _ in range(2)]
    with pytest.raises(Refused):
        api.start(gate.order, provider="local-exec")
    gate.release(2)
    assert {api.await_ending(run_id) for run_id in runs} == {"run.completed"}


def test_a_session_that_rejects_does_not_let_a_second_run_wait(api: Api, shared_gates: Gates) -> None:
    gate = shared_gates["session"]
    put(api, limit("session", "reject"))
    run_id = api.start(gate.order, provider="local-exec", sessionId="strict")["runId"]
    with pytest.raises(Refused) as refused:
        api.start("me too", sessionId="strict")
    assert "of session:strict are active" in refused.value.error["message"]
    gate.release()
    assert api.await_ending(run_id) == "run.completed"


def test_a_policy_that_leaves_room_admits_who_waits(api: Api, shared_gates: Gates) -> None:
    gate = shared_gates["raised"]
    put(api, limit("provider"))
    holder, waiter, third = (api.start(gate.order, provider="local-exec")["runId"] for _ in range(3))
    put(api, limit("provider", most=2))
    assert api.get(f"/runs/{waiter}")["status"] == "running"
    assert waiting(api, third)["limit"]["max"] == 2
    put(api)
    assert api.get(f"/runs/{third}")["status"] == "running"
    gate.release(3)
    assert {api.await_ending(run_id) for run_id in (holder, waiter, third)} == {"run.completed"}


def test_a_run_that_may_fall_back_counts_at_the_providers_that_it_would_ask(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings, provider_fallback_order="mock")
    api, gate = server.api, gates["fallback"]
    put(api, limit("provider", key="mock"))
    holder = api.start(gate.order)["runId"]
    waiter = api.start("hello", provider="mock")["runId"]
    assert waiting(api, waiter)["blockedBy"] == holder
    gate.release()
    assert {api.await_ending(run_id) for run_id in (holder, waiter)} == {"run.completed"}


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


@pytest.mark.heavy
def test_racing_starts_at_two_processes_never_exceed_a_limit(
    tmp_path: Path, gates: Gates, store: dict[str, str]
) -> None:
    """Start twenty runs at once on two servers of one state directory, then check the log at every position."""
    settings = {**gates.settings, **NO_FLOOD, **store}
    gate = gates["race"]
    with Server(tmp_path / "plane", **settings) as one, Server(tmp_path / "plane", **settings) as two:
        api, apis = one.api, (one.api, two.api)

        def start(place: tuple[int, int]) -> str | None:
            turn, number = place
            body = {"input": gate.order, "sessionId": f"{turn}-{number}"}
            answer = apis[number % 2].send("/runs", body, respond_async=True)
            assert answer.status_code in {202, 429}
            return None if answer.status_code == 429 else str(opened(answer)["runId"])

        rounds = sized(1, 4, 200)
        for turn in range(2 * rounds):
            put(two.api, *([] if turn % 2 else [limit("provider", "enqueue", most=2)]), maxConcurrentRuns=3)
            with ThreadPoolExecutor(20) as pool:
                runs = [found for found in pool.map(start, [(turn, number) for number in range(20)]) if found]
            assert len(api.items("/runs/active")) == (3 if turn % 2 else 2)
            gate.release(len(runs))
            assert {api.await_ending(run_id) for run_id in runs} == {"run.completed"}
    state_dir = tmp_path / "plane" / "state"
    judge(state_dir)
    print(f"{rounds} races of 20 starts at two processes against maxConcurrentRuns: 3, as many under a limit by key")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATHENA_STATE_DIR": str(state_dir)}
    subprocess.run([sys.executable, "-m", "athena_cli", "verify"], cwd=tmp_path, env=environment, check=True)
