"""The simulation over HTTP: the recorded requests under another policy; nothing is changed by it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.examples import PROFILE
from tests.support.api import Api, Json, Refused
from tests.support.gate import Gates
from tests.support.server import Server

ONE = {"max": 1, "strategy": "reject"}


def simulated(api: Api, since: str | None = None, **policy: Any) -> Json:
    """Simulate the recorded requests under another policy."""
    body: Json = {"policy": {"schemaVersion": 1, **policy}}
    found: Json = api.post("/policy/simulate", body if since is None else body | {"since": since})
    return found


def test_what_was_asked_for_meets_another_policy(shared: Server, shared_gates: Gates) -> None:
    api, gate = shared.api, shared_gates["simulated"]
    profile = {**PROFILE, "config": {**PROFILE["config"], "provider": "local-exec", "model": "script"}}
    profile_id = str(api.post("/harness-profiles", profile)["id"])
    start = str(api.head())
    held = [api.start(gate.order, harnessProfileId=profile_id, sessionId=f"held-{n}")["runId"] for n in range(2)]
    api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 2})
    with pytest.raises(Refused) as refused:
        api.run("too many", sessionId="refused")
    gate.release(2)
    for run_id in held:
        api.await_ending(run_id)
    head = api.head()

    none = simulated(api, start)
    assert f'"{none["policyVersion"]}"' == api.http.get("/policy").headers["etag"]
    assert (none["requests"], none["recorded"]["admitted"], none["recorded"]["refused"]) == (3, 2, 1)
    assert (none["newlyAllowed"]["runs"], none["newlyRejected"]["runs"], none["estimated"]) == (1, 0, 1)
    assert [share["name"] for share in none["newlyAllowed"]["bySession"]] == ["refused"]
    assert none["newlyAllowed"]["byReason"] == [{"name": "max-concurrent-runs-exceeded", "runs": 1, "costUsd": 0.0}]
    assert (none["since"], none["to"], none["truncated"]) == (int(start), head, False)

    strict = simulated(api, start, limits=[{"scope": "harness-profile", "max": 1, "strategy": "reject"}])
    assert [share["name"] for share in strict["newlyRejected"]["byProfile"]] == [profile_id]
    assert [share["name"] for share in strict["newlyRejected"]["bySession"]] == ["held-1"]

    patient = simulated(api, start, limits=[{"scope": "provider", "max": 1, "strategy": "enqueue"}])
    assert (patient["waited"], patient["newlyRejected"]["runs"]) == (1, 0)

    asked = {"policy": {"schemaVersion": 1}, "since": start, "runId": refused.value.error["details"]["runId"]}
    assert api.post("/policy/simulate", asked)["run"] == {
        "runId": asked["runId"],
        "waited": False,
        "recorded": "max-concurrent-runs-exceeded",
    }
    still = {**asked, "policy": {"schemaVersion": 1, "maxConcurrentRuns": 2}}
    assert api.post("/policy/simulate", still)["run"]["simulated"] == "policy.maxConcurrentRuns"
    assert "run" not in api.post("/policy/simulate", {**asked, "runId": "run_elsewhere"})

    assert simulated(api, str(head))["requests"] == 0
    assert simulated(api)["requests"] >= 3  # since yesterday
    assert simulated(api, "2026-01-01T00:00:00Z")["requests"] >= 3
    assert api.get("/policy")["maxConcurrentRuns"] == 2
    assert api.head() == head, "nothing was changed"
    api.put("/policy", {"schemaVersion": 1})


def test_a_rejected_run_of_a_template_names_its_template(shared: Server, shared_gates: Gates) -> None:
    api, gate = shared.api, shared_gates["templates"]
    profile_id = api.post("/harness-profiles", PROFILE | {"verificationPolicies": None})["id"]
    body = {"harnessProfileId": profile_id, "directiveTemplate": "say {{what}}", "defaultParams": {"what": "hello"}}
    template_id = api.post("/run-templates", body)["id"]
    api.put(f"/run-templates/{template_id}", body | {"directiveTemplate": "shout {{what}}"})
    start = str(api.head())
    held = api.start(gate.order, provider="local-exec", sessionId="held-by-another")["runId"]
    api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1})
    with pytest.raises(Refused) as refused:
        api.post(f"/templates/{template_id}/run", {"sessionId": "refused-of-a-template"})
    gate.release()
    api.await_ending(held)
    (rejection,) = api.items("/policy/rejections", sessionId="refused-of-a-template")
    assert rejection["runId"] == refused.value.error["details"]["runId"]
    assert (rejection["runTemplateId"], rejection["runTemplateVersion"]) == (template_id, 2)
    (event,) = api.events(types="policy.rejected", runId=rejection["runId"])
    assert (event["payload"]["runTemplateId"], event["payload"]["runTemplateVersion"]) == (template_id, 2)
    newly = simulated(api, start)["newlyAllowed"]
    assert newly["byTemplate"] == [{"name": template_id, "runs": 1, "costUsd": 0.0}]
    api.put("/policy", {"schemaVersion": 1})


@pytest.mark.parametrize(
    ("fields", "limits", "field"),
    [({"since": "yesterday"}, [], "since"), ({}, [{"scope": "provider", "key": "x", **ONE}], "policy.limits[0].key")],
)
def test_a_wrong_one_is_refused_with_its_field(shared: Server, fields: Json, limits: list[Json], field: str) -> None:
    with pytest.raises(Refused) as refused:
        shared.api.post("/policy/simulate", {"policy": {"schemaVersion": 1, "limits": limits}, **fields})
    assert (refused.value.code, refused.value.error["details"][0]["field"]) == ("CONFIG_ERROR", field)


def test_it_may_be_asked_beside_runs_that_go_on(shared: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(shared.api.run, str(number)) for number in range(20)]
        found = [simulated(shared.api, maxConcurrentRuns=1) for _ in range(3)]
        assert all(run.result()["output"] for run in runs)
    assert all(one["requests"] >= one["simulated"]["admitted"] for one in found)
