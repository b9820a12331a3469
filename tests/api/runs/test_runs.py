"""Runs over HTTP: started, watched, listed, cancelled, and every way in which one ends."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from tests.api.examples import PROFILE
from tests.support.api import Refused, opened, refused_by
from tests.support.gate import Gates, gone
from tests.support.server import Server

LIFE = ["run.created", "run.leased", "run.started", "transcript.appended"]
ANSWER = ["transcript.appended", "usage.recorded", "run.completed"]


def profile(server: Server, **policies: Any) -> str:
    config = {"provider": "local-exec", "model": "script", "tools": ["none"]}
    body = {**PROFILE, "config": config, "policies": PROFILE["policies"] | policies, "toolPolicies": None}
    return str(server.api.post("/harness-profiles", body)["id"])


# A run that works


@pytest.mark.parametrize(("respond_async", "status"), [(False, "200"), (True, "202")])
def test_the_answer_of_a_run_is_what_the_document_says(shared: Server, respond_async: bool, status: str) -> None:
    document = shared.api.http.get(shared.url + "/openapi.json").json()
    answer = document["paths"]["/api/v1/runs"]["post"]["responses"][status]
    schema = answer["content"]["application/json"]["schema"] | {"components": document["components"]}
    found = shared.api.send("/runs", {"input": "hello"}, respond_async=respond_async)
    assert found.status_code == int(status)
    assert set(answer["headers"]) - {"idempotency-replayed", "athena-resolved"} <= set(found.headers)
    Draft202012Validator(schema).validate(found.json())


def test_a_run_answers_with_everything_that_a_caller_wants_to_know(shared: Server) -> None:
    result = shared.api.run("hello", sessionId="whole", metadata={"team": "red"})
    assert result["output"] == "Echo: user: hello"
    assert (result["provider"], result["model"], result["sessionId"]) == ("mock", "mock-model", "whole")
    assert result["harnessProfileId"] == result["harnessProfileSnapshot"]["id"]
    assert result["harnessProfileId"].startswith("shadow-harness-")
    assert (result["evidenceCount"], result["verificationStatus"]) == (0, "passed")
    assert result["usage"] == {"inputTokens": 11, "outputTokens": 17, "totalTokens": 28}
    assert result["reliability"]["providerAttempts"] == 1
    directive = shared.api.get(f"/directives/{result['directiveId']}")
    assert (directive["input"], directive["shadow"], directive["metadata"]) == ("hello", True, {"team": "red"})


def test_every_step_of_a_run_is_an_event(shared: Server) -> None:
    answer = shared.api.send("/runs", {"input": "tell", "sessionId": "story"})
    run = opened(answer)
    assert shared.api.types(runId=run["runId"]) == LIFE + ANSWER
    told = shared.api.events(traceId=answer.headers["x-trace-id"])
    assert [event["type"] for event in told][:2] == ["session.created", "directive.created"]
    assert {event["runId"] for event in told[2:]} == {run["runId"]}
    assert {event["sessionId"] for event in told if event["type"] != "directive.created"} == {"story"}
    created = told[2]["payload"]
    assert created["directiveId"] == run["directiveId"]
    assert created["harnessProfileId"] == run["harnessProfileId"]
    assert (created["provider"], created["model"]) == ("mock", "mock-model")
    assert "tell" not in str(told), "what people wrote is in no payload"


def test_the_position_of_the_answer_is_where_the_run_ended(shared: Server) -> None:
    answer = shared.api.send("/runs", {"input": "where"})
    page = shared.api.get("/events", cursor=int(answer.headers["athena-position"]) - 1, limit=1)
    assert page["events"][0]["type"] == "run.completed"
    assert page["events"][0]["runId"] == opened(answer)["runId"]


def test_a_run_that_is_not_waited_for_is_answered_at_once_with_its_record(shared: Server, shared_gates: Gates) -> None:
    gate = shared_gates["async"]
    answer = shared.api.send(
        "/runs", {"input": gate.order, "provider": "local-exec", "sessionId": "async"}, respond_async=True
    )
    record = opened(answer)
    assert (answer.status_code, record["status"]) == (202, "running")
    assert int(answer.headers["athena-position"]) > 0
    later = {"minPosition": answer.headers["athena-position"]}
    found = shared.api.http.get(shared.url + record["links"]["self"], params=later).json()["data"]
    assert found == record | {"inputPreview": gate.order}
    gate.release()
    assert shared.api.await_ending(record["runId"]) == "run.completed"
    ended = shared.api.get(f"/runs/{record['runId']}")
    assert (ended["status"], ended["output"]) == ("completed", "released by async")
    assert ended["startedAt"] <= ended["finishedAt"]


def test_the_record_says_what_the_answer_said(shared: Server) -> None:
    result = shared.api.run("same")
    record = shared.api.get(f"/runs/{result['runId']}")
    shown = ("runId", "sessionId", "output", "provider", "model", "directiveId", "harnessProfileId", "usage")
    assert {name: record[name] for name in shown} == {name: result[name] for name in shown}
    assert (record["status"], record["attempt"], record["costMicroUsd"]) == ("completed", 1, 0)


# Lists


def test_runs_are_listed_newest_first_in_pages_of_any_size(shared: Server) -> None:
    ids = [shared.api.run(str(number), sessionId="pages")["runId"] for number in range(5)]
    for limit in (1, 2, 3, 4, 5, 6, 500):
        pages = list(shared.api.pages("/runs", sessionId="pages", limit=limit))
        assert [item["runId"] for page in pages for item in page["items"]] == ids[::-1]
        assert len(pages) == -(-len(ids) // limit)


@pytest.mark.parametrize("path", ["/runs", "/runs/active", "/runs/cancel-requests", "/sessions", "/directives"])
@pytest.mark.parametrize("cursor", ["MQ", "!", "e30", "eyJraW5kIjoib3RoZXIifQ", "x" * 3000])
def test_a_cursor_that_is_not_of_the_list_is_refused(shared: Server, path: str, cursor: str) -> None:
    assert refused_by(shared.api.get, path, cursor=cursor) == (400, "CURSOR_INVALID")


# Cancelling


def test_a_cancelled_run_is_stopped_for_real(shared: Server, shared_gates: Gates) -> None:
    gate = shared_gates["cancelled"]
    with ThreadPoolExecutor(1) as pool:
        # a timeout of an hour, so that nothing but the cancel can end it
        body = {"input": gate.order, "harnessProfileId": profile(shared, timeoutMs=3_600_000), "sessionId": "cancelled"}
        caller = pool.submit(shared.api.send, "/runs", body)
        process = gate.arrival()
        (active,) = shared.api.items("/runs/active", sessionId="cancelled")
        path = f"/run-control/by-run/{active['runId']}/cancel"
        done = shared.api.post(path, {"reason": "no longer needed"})
        assert done == {"runId": active["runId"], "sessionId": "cancelled", "status": "cancelled"}
        with pytest.raises(Refused) as refused:
            opened(caller.result())
    assert (refused.value.status, refused.value.code) == (409, "RUN_CANCELLED")
    assert "no longer needed" in refused.value.error["message"]
    assert gone(process)
    assert shared.api.types(runId=active["runId"]) == [*LIFE, "run.cancel.requested", "run.cancelled"]
    assert shared.api.post(path) == {"runId": active["runId"], "status": "not-running"}
    record = shared.api.get(f"/runs/{active['runId']}")
    assert (record["status"], "output" in record) == ("cancelled", False)


def test_a_run_is_cancelled_by_its_session_on_the_old_path(shared: Server, shared_gates: Gates) -> None:
    gate = shared_gates["by-session"]
    runs = [shared.api.start(gate.order, provider="local-exec", sessionId="by-session") for _ in range(2)]
    process = gate.arrival()
    answer = shared.api.send("/runs/by-session/cancel", {})
    assert opened(answer) == {"sessionId": "by-session", "status": "cancelled"}
    assert answer.headers["deprecation"].startswith("@")
    successor = f"/api/v1/run-control/by-run/{runs[0]['runId']}/cancel"
    assert answer.headers["link"] == f'<{successor}>; rel="successor-version"'
    assert shared.api.await_ending(runs[0]["runId"]) == "run.cancelled"
    assert gone(process)
    gate.arrival()  # the second one has its turn
    gate.release()
    assert shared.api.await_ending(runs[1]["runId"]) == "run.completed"


def test_what_does_not_run_cannot_be_cancelled_and_the_wish_is_recorded(shared: Server) -> None:
    after = shared.api.head()
    assert shared.api.post("/run-control/by-run/nothing/cancel") == {"runId": "nothing", "status": "not-running"}
    assert shared.api.post("/runs/nobody/cancel") == {"sessionId": "nobody", "status": "not-running"}
    by_run, by_session = shared.api.events(cursor=after)
    assert by_run["type"] == by_session["type"] == "run.cancel.requested"
    assert by_run["payload"] == {"status": "not-running", "runId": "nothing"}
    assert (by_session["payload"], by_session["sessionId"]) == ({"status": "not-running"}, "nobody")


# Failures and timeouts


def test_a_run_that_takes_too_long_is_stopped(shared: Server, shared_gates: Gates) -> None:
    order = shared_gates["slow"].order  # its process may not have begun by then
    with pytest.raises(Refused) as refused:
        shared.api.run(order, harnessProfileId=profile(shared, timeoutMs=300), sessionId="slow")
    assert (refused.value.status, refused.value.code, refused.value.error["retryable"]) == (408, "RUN_TIMEOUT", False)
    ending = shared.api.events(runId=refused.value.error["details"]["runId"])[-1]
    assert (ending["type"], ending["payload"]) == ("run.timed-out", {"timeoutMs": 300})


def test_a_failure_of_the_provider_is_reported_and_recorded(shared: Server) -> None:
    with pytest.raises(Refused) as refused:
        shared.api.run("fail", provider="local-exec", sessionId="failing")
    assert (refused.value.status, refused.value.code, refused.value.error["retryable"]) == (
        502,
        "PROVIDER_ERROR",
        False,
    )
    assert "told to fail" in refused.value.error["message"]
    run_id = refused.value.error["details"]["runId"]
    assert shared.api.types(runId=run_id) == [*LIFE, "run.failed"]
    record = shared.api.get(f"/runs/{run_id}")
    assert (record["status"], record["error"]["code"]) == ("failed", "PROVIDER_ERROR")
    (entry,) = shared.api.get("/sessions/failing/transcript")["items"]
    assert (entry["content"], entry["runStatus"]) == ("fail", "failed")


def test_an_unknown_provider_is_not_found_and_nothing_is_written(shared: Server) -> None:
    before = shared.api.head()
    assert refused_by(shared.api.run, "hello", provider="nobody") == (404, "PROVIDER_NOT_FOUND")
    assert shared.api.head() == before


# The order in which a request is checked


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"harnessProfileId": "hp_x", "provider": "mock"}, "input"),
        ({"input": "a", "directiveId": "dir_x", "harnessProfileId": "hp_x", "model": "m"}, "harnessProfileId"),
        ({"input": "a", "directiveId": "dir_x", "sessionId": "no id"}, "sessionId"),
        ({"input": "a", "directiveId": "dir_x"}, "directiveId"),
        ({"directiveId": "dir_x", "provider": "nobody"}, "directiveId"),
        ({"directiveId": "dir_x", "harnessProfileId": "hp_x"}, "directiveId"),
        ({"input": "a", "harnessProfileId": "hp_x"}, "harnessProfileId"),
    ],
)
def test_of_several_faults_the_first_in_the_order_is_reported(shared: Server, body: dict[str, str], field: str) -> None:
    before = shared.api.head()
    with pytest.raises(Refused) as refused:
        shared.api.post("/runs", body)
    assert (refused.value.status, refused.value.code) == (400, "CONFIG_ERROR")
    assert refused.value.error["details"][0]["field"] == field
    assert shared.api.head() == before


def test_a_run_without_input_names_the_fields_that_it_needs(shared: Server) -> None:
    with pytest.raises(Refused, match="requires either input or directiveId"):
        shared.api.post("/runs", {"input": "  "})


# Context


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("http://localhost/x", "is not a valid context reference"),
        ("nonsense", "is not a valid context reference"),
        ("file:a.txt#L1-L2-L3", "is not a valid context reference"),
        ("file:../../etc/passwd", "is absolute or contains '..'"),
        ("memory:../../etc/passwd", "is absolute or contains '..'"),
        ("file:/etc/passwd", "is absolute or contains '..'"),
    ],
)
def test_a_reference_that_no_run_can_read_is_refused_with_its_directive(
    shared: Server, reference: str, problem: str
) -> None:
    before = shared.api.head()
    with pytest.raises(Refused) as refused:
        shared.api.post("/directives", {"input": "read", "contextRefs": ["file:may-come-later.txt", reference]})
    (fault,) = refused.value.error["details"]
    assert (refused.value.status, fault["field"]) == (400, "contextRefs[1]")
    assert problem in fault["reason"]
    assert shared.api.head() == before


@pytest.mark.parametrize("size", [30_001, 900_000])
def test_an_input_that_does_not_fit_into_the_context_is_refused(shared: Server, size: int) -> None:
    assert refused_by(shared.api.run, "x" * size) == (413, "CONTEXT_OVERFLOW")


# Profiles


def test_a_run_under_a_profile_carries_a_copy_of_it(shared: Server) -> None:
    created = shared.api.post("/harness-profiles", PROFILE)
    result = shared.api.run("under", harnessProfileId=created["id"])
    assert result["harnessProfileId"] == created["id"]
    snapshot = {name: value for name, value in result["harnessProfileSnapshot"].items() if name != "createdAt"}
    assert snapshot == {name: value for name, value in created.items() if name != "createdAt"}
