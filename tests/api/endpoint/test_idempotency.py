"""Idempotency over HTTP: a command with a key is done once, whatever is repeated, raced or restarted."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from msgspec.structs import replace

from athena_api.endpoint.operation import Operation
from athena_api.lifespan import plane_lifespan
from athena_api.operations import OPERATIONS
from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds
from athena_core.decider import Key
from athena_core.definitions.profile import HarnessPolicies, HarnessSpec
from athena_core.errors import IdempotencyInProgress
from athena_core.providers.model_choice import ModelChoice
from athena_core.providers.prices import Prices
from athena_core.services.runs.runs import Runs
from athena_core.services.runs.waiting import RunWaiters
from athena_core.settings import load
from athena_core.values import LOCAL, RunBody
from tests.api.examples import EXAMPLES, PROFILE
from tests.conftest import Serve
from tests.support.api import Json, opened, refused_by
from tests.support.gate import Gates
from tests.support.records import META
from tests.support.server import Server

WORKING = [row for row in OPERATIONS if row.method != "GET" and EXAMPLES[row.id].status == 200]
"""Commands that succeed on an empty log; a refused command binds no key."""
READING = {"simulatePolicy", "redriveA2aDlq", "cancelRuns", "retryRuns", "answerAsks"}
"""What their examples ask changes nothing, and no key is bound: a simulation, dry runs, and a bulk answer to no ask."""
WITHOUT_INPUT = {"acceptClock", "liftHalt", "logOut"}
ONCE = frozenset({"token"})
"""Members that only the first answer has."""
COMMANDS = [row for row in WORKING if row.id not in READING]


def is_replay(answer: httpx2.Response) -> bool:
    """Return True if the answer is marked as a replay."""
    assert answer.headers.get("idempotency-replayed", "true") == "true"
    return "idempotency-replayed" in answer.headers


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.id)
def test_every_command_repeated_with_its_key_answers_the_same_and_does_nothing(
    shared: Server, row: Operation[Any, Any]
) -> None:
    example = EXAMPLES[row.id]
    first = shared.api.send(example.path, example.body, key=f"same-{row.id}", method=row.method)
    head = shared.api.head()
    second = shared.api.send(example.path, example.body, key=f"same-{row.id}", method=row.method)
    assert (is_replay(first), is_replay(second)) == (False, True)
    assert opened(second) == {name: value for name, value in opened(first).items() if name not in ONCE}
    assert (second.status_code, shared.api.head()) == (first.status_code, head)
    assert second.headers["athena-position"] == first.headers["athena-position"]


@pytest.mark.parametrize("row", [row for row in COMMANDS if row.id not in WITHOUT_INPUT], ids=lambda row: row.id)
def test_a_key_with_another_input_is_refused(shared: Server, row: Operation[Any, Any]) -> None:
    example = EXAMPLES[row.id]
    shared.api.send(example.path, example.body, key=f"other-{row.id}", method=row.method)
    head = shared.api.head()
    path, other = example.path, dict(example.body or {})
    changed = {"input", "reason", "displayName", "auditComment", "payload", "model", "note"} & other.keys()
    other |= dict.fromkeys(changed, "another")
    if row.id == "keepAnchor":
        other["position"] += 1
    elif not changed:  # where it works is a part of the input
        path = path.replace("unknown", "another")
        assert path != example.path
    answer = shared.api.send(path, other, key=f"other-{row.id}", method=row.method)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "IDEMPOTENCY_MISMATCH")
    assert shared.api.head() == head
    if row.id == "startHalt":
        shared.api.http.delete("/halt")


@pytest.mark.parametrize("operation", sorted(READING))
def test_what_only_reads_changes_nothing_with_a_key_either(shared: Server, operation: str) -> None:
    example, head = EXAMPLES[operation], shared.api.head()
    answers = [shared.api.send(example.path, example.body, key=f"read-{operation}") for _ in range(2)]
    assert [(answer.status_code, is_replay(answer)) for answer in answers] == [(200, False)] * 2
    assert shared.api.head() == head


def test_the_same_input_may_be_spelled_differently(shared: Server) -> None:
    body = b'{"input":"a","metadata":{"k":"v","l":"w"}}'
    same = b' { "metadata": {"l": " w ", "k": "v"}, "sessionId": null, "input": "  a  " } '
    answers = [
        shared.api.http.post("/directives", content=content, headers={"idempotency-key": "spelled"})
        for content in (body, same.replace(b'"sessionId": null, ', b""))
    ]
    assert [is_replay(answer) for answer in answers] == [False, True]


def test_a_key_belongs_to_its_operation_and_its_path(shared: Server) -> None:
    directive = shared.api.send("/directives", {"input": "one"}, key="scope")
    run = shared.api.send("/runs", {"input": "one"}, key="scope")
    assert not is_replay(directive)
    assert not is_replay(run)
    shared.api.post("/runs/one/cancel", key="path")
    assert refused_by(shared.api.post, "/runs/two/cancel", key="path")[1] == "IDEMPOTENCY_MISMATCH"


def test_a_key_belongs_to_an_identity(serve: Serve) -> None:
    server = serve(auth_enabled="true", auth_default_role="Operator")
    answers = [server.client(name).send("/directives", {"input": "one"}, key="mine") for name in ("ada", "otto")]
    assert [is_replay(answer) for answer in answers] == [False, False]
    assert opened(answers[0])["id"] != opened(answers[1])["id"]


@pytest.mark.parametrize("key", ["", "two words", "k" * 256, "a\tb", "\u00e9"])
def test_an_invalid_key_is_refused(shared: Server, key: str) -> None:
    head = shared.api.head()
    headers = {b"idempotency-key": key.encode("latin-1")}
    answer = shared.api.http.post("/directives", json={"input": "one"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, "idempotency-key")
    assert shared.api.head() == head


@pytest.mark.parametrize("key", ["!", "k" * 255, "~#%&/()=?\"'{}"])
def test_any_visible_characters_are_a_key(shared: Server, key: str) -> None:
    assert [is_replay(shared.api.send("/directives", {"input": "one"}, key=key)) for _ in range(2)] == [False, True]


def test_a_repeat_waits_with_the_first_caller_and_gets_his_answer(shared: Server, shared_gates: Gates) -> None:
    gate = shared_gates["attached"]
    body = {"input": gate.order, "provider": "local-exec"}
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(shared.api.send, "/runs", body, key="attached")
        gate.arrival()
        at_once = shared.api.send("/runs", body, key="attached", respond_async=True)
        assert (at_once.status_code, opened(at_once)["status"]) == (202, "running")
        assert is_replay(at_once)
        others = [pool.submit(shared.api.send, "/runs", body, key="attached") for _ in range(3)]
        assert opened(shared.api.send("/runs", body, key="attached", respond_async=True))["status"] == "running"
        gate.release()
        results = [opened(answer.result()) for answer in (first, *others)]
    assert [is_replay(answer.result()) for answer in (first, *others)] == [False, True, True, True]
    assert results == [results[0]] * 4
    assert results[0]["runId"] == opened(at_once)["runId"]


@pytest.mark.parametrize("ending", ["failed", "timed-out", "cancelled"])
def test_a_run_that_ended_badly_is_not_tried_again(shared: Server, shared_gates: Gates, ending: str) -> None:
    gate = shared_gates[f"bad-{ending}"]
    body: Json = {"input": "fail" if ending == "failed" else gate.order, "provider": "local-exec"}
    if ending == "timed-out":
        config = {"provider": "local-exec", "model": "script", "tools": ["none"]}
        policies = {"timeoutMs": 100, "retryLimit": 1, "budgetUsd": 0}
        spec = {**PROFILE, "config": config, "policies": policies, "toolPolicies": None}
        body = {"input": gate.order, "harnessProfileId": shared.api.post("/harness-profiles", spec)["id"]}
    with ThreadPoolExecutor(1) as pool:
        caller = pool.submit(shared.api.send, "/runs", body, key=ending)
        if ending == "cancelled":
            gate.arrival()
            (run,) = shared.api.items("/runs/active")
            shared.api.post(f"/run-control/by-run/{run['runId']}/cancel")
        first = caller.result()
    head = shared.api.head()
    second = shared.api.send("/runs", body, key=ending)
    errors = [{**answer.json()["error"], "traceId": None} for answer in (first, second)]
    assert errors[0] == errors[1]
    assert first.status_code == second.status_code == {"failed": 502, "timed-out": 408, "cancelled": 409}[ending]
    assert (is_replay(first), is_replay(second)) == (False, True)
    assert shared.api.head() == head


async def test_a_repeat_whose_run_does_not_end_in_time_is_in_progress(tmp_path: Path, gates: Gates) -> None:
    environment = {f"ATHENA_{name.upper()}": value for name, value in gates.settings.items()}
    settings = load({"ATHENA_STATE_DIR": str(tmp_path / "state"), **environment}, tmp_path)
    parts = wire(settings, SystemClock(), SystemIds())
    gate, key = gates["in-progress"], Key.of("local", "createRun", "key", b"")
    async with plane_lifespan(parts, serving=True):
        hasty = msgspec.convert(PROFILE, HarnessSpec)
        policies = HarnessPolicies(timeout_ms=1_000, retry_limit=1, budget_usd=0)
        created = await parts.catalog.create_profile(replace(hasty, policies=policies), META, None)
        holder = await parts.runs.start(RunBody(input=gate.order, session_id="one"), LOCAL, META, None, wait=False)
        body = RunBody(input="after you", session_id="one", harness_profile_id=created.subject)
        queued = await parts.runs.start(body, LOCAL, META, key, wait=False)
        others = (
            parts.log,
            parts.catalog,
            parts.access,
            parts.settings,
            parts.ids,
            frozenset(parts.providers),
            ModelChoice(parts.providers, parts.clock.monotonic),
            Prices.load(),
            parts.mask,
            parts.workspaces,
            parts.runs.compiler,
            RunWaiters(parts.tail),
            parts.runner,
        )
        impatient = Runs(*others, grace_seconds=0.0)
        with pytest.raises(IdempotencyInProgress):
            await impatient.start(body, LOCAL, META, key, wait=True)
        gate.release()
        patient = await parts.runs.start(body, LOCAL, META, key, wait=True)
        assert (patient.subject, patient.replayed) == (queued.subject, True)
        result, _ = parts.runs.result(queued.subject or "")
        assert result is not None
        assert result.output.endswith("assistant: released by in-progress\nuser: after you")
        assert holder.subject != queued.subject
        impatient.close()
