"""Run templates over HTTP: versions, parameters, runs that remember what they were started from."""

import pytest

from tests.api.examples import PROFILE
from tests.support.api import Json, Refused, refused_by
from tests.support.server import Server


@pytest.fixture(scope="module")
def profile(shared: Server) -> str:
    return str(shared.api.post("/harness-profiles", PROFILE | {"verificationPolicies": None})["id"])


def made(shared: Server, profile: str, **changes: object) -> Json:
    body = {"harnessProfileId": profile, "directiveTemplate": "say {{what}}", "defaultParams": {"what": "hello"}}
    found: Json = shared.api.post("/run-templates", body | changes)
    return found


def test_a_template_is_run_with_its_defaults_overlaid_by_parameters(shared: Server, profile: str) -> None:
    template = made(shared, profile)
    assert set(template) == {
        *("id", "version", "harnessProfileId", "directiveTemplate", "defaultParams", "createdAt", "updatedAt")
    }
    path = f"/templates/{template['id']}/run"
    first = shared.api.post(path)
    assert first["output"] == "Echo: user: say hello"
    assert first["template"] == {
        "id": template["id"],
        "version": 1,
        "harnessProfileId": profile,
        "effectiveParams": {"what": "hello"},
    }
    assert first["sessionId"].startswith(f"template-{template['id']}-")
    second = shared.api.post(path, {"params": {" what": " bye ", "extra": "x"}, "sessionId": "mine"}, key="k")
    assert second["template"]["effectiveParams"] == {"what": "bye", "extra": "x"}
    assert (second["sessionId"], second["output"]) == ("mine", "Echo: user: say bye")
    assert shared.api.post(path, {"params": {" what": " bye ", "extra": "x"}, "sessionId": "mine"}, key="k") == second
    event = next(e for e in shared.api.events(types="run-template.run", runId=second["runId"]))
    assert event["payload"] == {
        "runTemplateId": template["id"],
        "version": 1,
        "directiveId": second["directiveId"],
        "harnessProfileId": profile,
        "provider": "mock",
        "model": "mock-model",
        "paramNames": ["what", "extra"],
    }
    assert shared.api.get(f"/runs/{second['runId']}")["template"] == {"id": template["id"], "version": 1}


def test_an_edit_makes_a_version_and_a_run_says_which_it_used(shared: Server, profile: str) -> None:
    template = made(shared, profile)
    path = f"/run-templates/{template['id']}"
    changed = {"harnessProfileId": profile, "directiveTemplate": "shout {{what}}", "defaultParams": {"what": "hi"}}
    before = shared.api.post(f"/templates/{template['id']}/run")
    assert shared.api.put(path, changed)["version"] == 2
    assert shared.api.put(path, changed)["version"] == 2, "nothing changed"
    after = shared.api.post(f"/templates/{template['id']}/run")
    assert [run["template"]["version"] for run in (before, after)] == [1, 2]
    assert after["output"] == "Echo: user: shout hi"
    assert shared.api.get(path)["directiveTemplate"] == "shout {{what}}"
    assert shared.api.get(path, version=1)["directiveTemplate"] == "say {{what}}"
    assert shared.api.get("/run-templates")["items"][0] == shared.api.get(path)
    stale = shared.api.send(path, changed | {"defaultParams": {"what": "x"}}, method="PUT", if_match='"1"')
    assert stale.status_code == 412
    assert refused_by(shared.api.get, path, version=3)[1] == "NOT_FOUND"


def test_typed_parameters_need_a_schema_and_are_refused_with_their_path(shared: Server, profile: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    template = made(
        shared,
        profile,
        directiveTemplate="{{n}} x {{what}}, {{list}}",
        paramsSchema=schema,
        defaultParams={"what": "hello", "list": [1, True]},
    )
    path = f"/templates/{template['id']}/run"
    result = shared.api.post(path, {"params": {"n": 3}})
    assert result["output"] == "Echo: user: 3 x hello, [1,true]"
    assert result["template"]["effectiveParams"] == {"what": "hello", "list": [1, True], "n": 3}
    before = shared.api.head()
    for params in ({}, {"n": 0}, {"n": "3"}):
        with pytest.raises(Refused) as caught:
            shared.api.post(path, {"params": params})
        assert (caught.value.status, caught.value.code) == (400, "CONFIG_ERROR")
        assert "n" in caught.value.error["details"][0]["reason"]
    assert shared.api.head() == before


def test_a_run_may_be_started_without_waiting(shared: Server, profile: str) -> None:
    template = made(shared, profile)
    record = shared.api.post(f"/templates/{template['id']}/run", respond_async=True)
    assert record["template"] == {"id": template["id"], "version": 1}
    assert shared.api.await_ending(record["runId"]) == "run.completed"


def test_what_a_template_refers_to_exists(shared: Server) -> None:
    with pytest.raises(Refused) as caught:
        made(shared, "hp_nobody")
    assert caught.value.error["details"][0]["field"] == "harnessProfileId"
