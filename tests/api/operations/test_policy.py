"""The policy over HTTP: put as a whole by Admins, one author at a time; and the refusals by it."""

from typing import Any

import pytest

from athena_core.decider import Outcome, facts_of
from athena_core.domain.policy import STREAM, Policy, PolicyUpdated
from tests.api.examples import PROFILE
from tests.conftest import Serve
from tests.support.api import Api, Json, Refused, opened, refused_by
from tests.support.gate import Gates
from tests.support.records import META
from tests.support.server import Server
from tests.support.vouched import VOUCHED

FLAT: Json = {"schemaVersion": 1, "maxConcurrentRuns": 3, "defaultRunTimeoutMs": 5_000, "costBudgetDailyUsd": 12.5}


@pytest.fixture
def api(serve: Serve) -> Api:
    return serve().api


def etag(api: Api) -> str:
    return str(api.http.get("/policy").headers["etag"])


def test_before_the_first_one_the_policy_is_null(api: Api) -> None:
    answer = api.http.get("/policy")
    assert (answer.status_code, answer.json(), answer.headers["etag"]) == (200, {"ok": True, "data": None}, '"0"')


def test_a_policy_is_put_in_either_form_and_read_back(api: Api) -> None:
    document = api.put("/policy", FLAT)
    assert document == {**FLAT, "updatedAt": document["updatedAt"]}
    assert api.get("/policy") == document
    wrapped = {"policy": {"schemaVersion": 2, "retryBudgetPerRun": 0}, "auditComment": "less"}
    second = api.put("/policy", wrapped)
    assert second == {"schemaVersion": 2, "retryBudgetPerRun": 0, "updatedAt": second["updatedAt"]}
    assert api.get("/policy") == second, "what is left out is no longer limited"


def test_the_event_says_who_changed_what_and_why(serve: Serve) -> None:
    api = serve(auth_enabled="true", auth_identity_role_map="ada:Admin").client("ada")
    api.put("/policy", FLAT)
    api.put("/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 9}, "auditComment": "more machines"})
    first, second = [event["payload"] for event in api.events(types="policy.updated")]
    assert (first["after"], first.get("before"), first.get("auditComment")) == (FLAT, None, None)
    assert second == {
        "schemaVersion": 1,
        "updatedAt": api.get("/policy")["updatedAt"],
        "before": FLAT,
        "after": {"schemaVersion": 1, "maxConcurrentRuns": 9},
        "auditComment": "more machines",
        "updatedBy": "ada",
    }


@pytest.mark.parametrize("updated_at", [None, 7, "yesterday", {"a": [1]}, [True]])
def test_what_was_read_may_be_sent_back(api: Api, updated_at: Any) -> None:
    document = api.put("/policy", {**FLAT, "updatedAt": updated_at})
    head = api.head()
    assert api.put("/policy", document) == document
    assert api.put("/policy", {"policy": document, "auditComment": "the same"}) == document
    assert api.head() == head, "nothing changed, so nothing was recorded"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"policy": {"schemaVersion": 1}}, "auditComment"),
        ({"policy": {"schemaVersion": 1}, "auditComment": " "}, "auditComment"),
        ({"policy": {}, "auditComment": "x"}, "policy.schemaVersion"),
        ({"policy": {"schemaVersion": 1}, "auditComment": "x", "maxConcurrentRuns": 2}, "maxConcurrentRuns"),
        (
            {"policy": {"schemaVersion": 1, "limits": [{"scope": "all", "max": 1}]}, "auditComment": "x"},
            "policy.limits[0].scope",
        ),
        ({"schemaVersion": 1, "costBudgetDailyUsd": 0}, "costBudgetDailyUsd"),
        (
            {"policy": {"schemaVersion": 1, "costBudgetDailyUsd": -0.0}, "auditComment": "x"},
            "policy.costBudgetDailyUsd",
        ),
    ],
)
def test_a_wrong_policy_is_refused_with_its_field(shared: Server, body: Json, field: str) -> None:
    head = shared.api.head()
    with pytest.raises(Refused) as refused:
        shared.api.put("/policy", body)
    assert (refused.value.status, refused.value.code) == (400, "CONFIG_ERROR")
    assert refused.value.error["details"][0]["field"] == field
    assert f"policy.put.{field}" in refused.value.error["message"]
    assert shared.api.head() == head


def test_a_budget_of_0_that_release_0_1_stored_may_be_sent_back_and_still_means_no_limit(serve: Serve) -> None:
    server = serve()
    stored = PolicyUpdated(
        schema_version=1, updated_at="2026-01-01T00:00:00.000Z", after=Policy(schema_version=1, cost_budget_daily_usd=0)
    )
    with server.opened_log() as log:
        outcome = Outcome[None](facts=facts_of(STREAM, (stored,)))
        log.submit_in_thread(lambda reader, context: outcome, META)
    document = server.api.get("/policy")
    assert document["costBudgetDailyUsd"] == 0
    assert server.api.put("/policy", document) == document
    assert "budgetUsd" not in server.api.get("/fleet/summary")["costSummary"]["today"]
    assert refused_by(server.api.put, "/policy", {**document, "maxConcurrentRuns": 5}) == (400, "CONFIG_ERROR")


# Limits by key


def limit(scope: str, key: str | None = None, **fields: Any) -> Json:
    found = {"scope": scope, "key": key, "max": 2, "strategy": "reject", **fields}
    return {name: value for name, value in found.items() if value is not None}


def test_limits_by_key_are_kept_as_they_were_put(api: Api) -> None:
    profile_id = api.post("/harness-profiles", PROFILE)["id"]
    limits = [
        limit("session"),
        limit("session", "nightly", strategy="enqueue"),
        limit("provider", "mock", max=40),
        limit("provider"),
        limit("harness-profile", profile_id, strategy="enqueue"),
    ]
    api.put("/policy", {"schemaVersion": 1, "limits": limits})
    assert api.get("/policy")["limits"] == limits
    assert "limits" not in api.put("/policy", {"schemaVersion": 1, "limits": []})


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ([limit("provider", "nobody")], "limits[0].key"),
        ([limit("session"), limit("session", "a b")], "limits[1].key"),
        ([limit("harness-profile", "hp_unknown")], "limits[0].key"),
        ([limit("provider", "mock"), limit("provider"), limit("provider", "mock", max=9)], "limits[2]"),
        ([limit("session"), limit("session")], "limits[1]"),
    ],
)
def test_a_limit_that_can_never_apply_is_refused(shared: Server, limits: list[Json], field: str) -> None:
    for body, place in (
        ({"schemaVersion": 1, "limits": limits}, ""),
        ({"policy": {"schemaVersion": 1, "limits": limits}, "auditComment": "x"}, "policy."),
    ):
        with pytest.raises(Refused) as refused:
            shared.api.put("/policy", body)
        assert refused.value.error["details"][0]["field"] == place + field


# One author at a time


def test_a_policy_that_was_replaced_meanwhile_is_not_overwritten(api: Api) -> None:
    api.put("/policy", FLAT)
    seen = etag(api)
    done = api.send("/policy", {**FLAT, "maxConcurrentRuns": 4}, method="PUT", if_match=seen)
    assert opened(done)["maxConcurrentRuns"] == 4
    assert done.headers["etag"] == etag(api) != seen
    head = api.head()
    late = api.send("/policy", {**FLAT, "maxConcurrentRuns": 5}, method="PUT", if_match=seen)
    assert (late.status_code, late.json()["error"]["code"]) == (412, "PRECONDITION_FAILED")
    assert late.json()["error"]["details"] == {"version": 2}
    assert (api.head(), api.get("/policy")["maxConcurrentRuns"]) == (head, 4)


@pytest.mark.parametrize(
    ("before", "sent", "status"),
    [
        ([], '"0"', 200),
        ([], "*", 412),
        ([FLAT], "*", 200),
        ([FLAT], '"0"', 412),
        ([FLAT], '"7", "1"', 200),
        ([FLAT], 'W/"1"', 412),
        ([FLAT], "1", 412),
        ([FLAT], "", 200),
    ],
)
def test_if_match_names_the_version_that_may_be_replaced(api: Api, before: list[Json], sent: str, status: int) -> None:
    for body in before:
        api.put("/policy", body)
    assert api.send("/policy", {"schemaVersion": 5}, method="PUT", if_match=sent).status_code == status


def test_a_repeated_key_is_answered_though_the_policy_moved_on(api: Api) -> None:
    first = api.send("/policy", FLAT, key="k", method="PUT", if_match='"0"')
    api.put("/policy", {"schemaVersion": 9})
    again = api.send("/policy", FLAT, key="k", method="PUT", if_match='"0"')
    assert (again.json(), again.headers["etag"]) == (first.json(), first.headers["etag"])
    assert again.headers["idempotency-replayed"] == "true"
    assert api.get("/policy")["schemaVersion"] == 9


# Refusals


def refused_run(api: Api, **fields: Any) -> Json:
    """Return the error of a rejected run."""
    with pytest.raises(Refused) as refused:
        api.run("me too", **fields)
    assert refused.value.status == 429
    return refused.value.error


def test_refusals_are_listed_with_the_rule_and_the_event_in_the_feed(serve: Serve, gates: Gates) -> None:
    server = serve(auth_identity_role_map="ada:Admin,otto:Operator,olga:Operator", **VOUCHED, **gates.settings)
    ada, otto, olga = (server.client(name) for name in ("ada", "otto", "olga"))
    ada.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1})
    gate = gates["held"]
    holder = otto.start(gate.order, sessionId="holder")
    profile_id = ada.post("/harness-profiles", PROFILE)["id"]
    errors = [
        refused_run(otto, sessionId="a"),
        refused_run(olga, sessionId="b"),
        refused_run(olga, sessionId="b", harnessProfileId=profile_id),
    ]
    gate.release()
    otto.await_ending(holder["runId"])
    found = server.client("vera").items("/policy/rejections", limit=2)
    assert [item["runId"] for item in found] == [error["details"]["runId"] for error in errors]
    assert [item["sessionId"] for item in found] == ["a", "b", "b"]
    assert [item["actor"] for item in found] == ["otto", "olga", "olga"]
    events = {event["id"]: event for event in ada.events(types="policy.rejected")}
    for item, error in zip(found, errors, strict=True):
        event = events[item["id"].removeprefix("rej_")]
        assert item["event"] == event["payload"]["rejection"]
        assert item["policy"] == event["policy"]
        assert (item["createdAt"], item["traceId"]) == (event["createdAt"], error["traceId"])
        assert (item["activeRuns"], item["maxConcurrentRuns"]) == (1, 1)
        assert item["reason"] == "max-concurrent-runs-exceeded"
    assert [item["runId"] for item in ada.items("/policy/rejections", actor="olga", sessionId="b")] == [
        error["details"]["runId"] for error in errors[1:]
    ]
    assert (
        ada.items("/policy/rejections", provider="mock")
        == ada.items("/policy/rejections", harnessProfileId=profile_id)
        == found[2:]
    )
    moments = {"createdAfter": found[1]["createdAt"], "createdBefore": found[2]["createdAt"]}
    assert found[1] in ada.items("/policy/rejections", **moments), "both ends are inclusive"
    assert ada.items("/policy/rejections", offset=1) == found[1:]
    first = ada.get("/policy/rejections", limit=1)
    assert ada.get("/policy/rejections", offset=2, cursor=first["nextCursor"])["items"] == found[1:]
    assert ada.items("/policy/rejections", order="newest", limit=2) == found[::-1]
    wrong = refused_by(ada.get, "/policy/rejections", order="newest", cursor=first["nextCursor"])
    assert wrong[1] == "CURSOR_INVALID", "a cursor belongs to its order"
