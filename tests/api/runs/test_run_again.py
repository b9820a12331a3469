"""``POST /runs/:runId/retry`` over HTTP: the request of an ended run, made again with changes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Json
from tests.support.gate import Gates
from tests.support.inside import Inside
from tests.support.model import Profile
from tests.support.vouched import VOUCHED

ROLES = "ada:Admin,otto:Operator,vera:Viewer"


class World:
    """A plane in this process, used by several people."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside

    def ask(self, who: str, path: str, body: Any = None, *, method: str = "POST", **headers: str) -> tuple[int, Json]:
        """Return the status of an answer, and its data or error."""
        answer = self.inside.ask(method, path, body, x_athena_identity=who, **headers)
        envelope: Json = answer.json()
        return answer.status_code, envelope.get("data") or envelope["error"]

    def run(self, **fields: Any) -> Json:
        status, run = self.ask("ada", "/runs", {"sessionId": "s", "input": "hello", **fields})
        assert status == 200, run
        return run

    def get(self, path: str, who: str = "ada", **headers: str) -> Json:
        return self.ask(who, path, method="GET", **headers)[1]

    def first_event(self, run_id: str) -> Json:
        event: Json = self.get(f"/events?runId={run_id}")["events"][0]
        return event

    def profile(self, **fields: Any) -> str:
        body = Profile(**fields).body
        body["config"] |= {"provider": "mock", "model": "mock-model"}
        return str(self.ask("ada", "/harness-profiles", body)[1]["id"])


@pytest.fixture
def world(tmp_path: Path, gates: Gates) -> Iterator[World]:
    (tmp_path / "plan.txt").write_text("a file")
    settings = gates.settings | {"auth_identity_role_map": ROLES} | VOUCHED
    inside = Inside(tmp_path / "plane", workspace_root=str(tmp_path), **settings)
    inside.start()
    yield World(inside)
    inside.stop()


def test_a_retry_makes_the_same_request_again(world: World) -> None:
    directive = {"input": "read it", "contextRefs": ["file:plan.txt"]}
    directive_id = world.ask("ada", "/directives", directive)[1]["id"]
    metadata = {"personaName": "critic", "team": "red"}
    first = world.run(input=None, directiveId=directive_id, harnessProfileId=world.profile(), metadata=metadata)
    before = world.first_event(first["runId"])

    status, again = world.ask("vera", f"/runs/{first['runId']}/retry", {})
    assert (status, again["sessionId"], again["directiveId"]) == (200, "s", directive_id)
    after = world.first_event(again["runId"])
    assert (after["retryOf"], "retryOf" in before) == (first["runId"], False)
    for event in (before, after):
        assert len(event["payload"]["contextRefs"][0].pop("sha256")) == 64, "salted, so it differs"
    assert (before["payload"].pop("requesters"), after["payload"].pop("requesters")) == (["ada"], ["vera"])
    assert after["payload"] == before["payload"], "profile, references and persona are the same"
    new, old = world.get(f"/runs/{again['runId']}"), world.get(f"/runs/{first['runId']}")
    assert (new["retryOf"], old["retries"], "retries" in new, "retryOf" in old) == (first["runId"], 1, False, False)
    assert [run["runId"] for run in world.get(f"/runs?retryOf={first['runId']}")["items"]] == [again["runId"]]
    causes = world.get(f"/runs/{again['runId']}/explain")["causes"]
    assert causes[0]["says"] == f"requested by vera as a retry of {first['runId']}; accepted at once"
    assert old["status"] == "completed", "the first run stays as it was"


def test_a_retry_changes_what_it_names(world: World) -> None:
    first = world.run(provider="mock", model="mock-model", metadata={"team": "red"})
    profile_id = world.profile()

    def changed(body: Json, run_id: str = first["runId"], who: str = "otto") -> Json:
        status, run = world.ask(who, f"/runs/{run_id}/retry", body)
        assert status == 200, run
        return world.get(f"/runs/{run['runId']}")

    text = changed({"input": "good night"})
    assert (text["inputPreview"], text["provider"], text["model"]) == ("good night", "mock", "mock-model")
    other = changed({"provider": "local-exec", "model": "script"})
    assert (other["provider"], other["model"], other["inputPreview"]) == ("local-exec", "script", "hello")
    named = changed({"harnessProfileId": profile_id})
    assert (named["harnessProfileId"], named["provider"]) == (profile_id, "mock")
    of_profile = changed({"provider": "local-exec"}, named["runId"])
    assert (of_profile["harnessProfileId"], of_profile["provider"]) == (profile_id, "local-exec")
    snapshot = world.first_event(of_profile["runId"])["payload"]["harnessProfileSnapshot"]
    assert (snapshot["config"]["provider"], snapshot["config"]["model"]) == ("local-exec", "script")
    again = changed({}, other["runId"])
    assert (again["provider"], again["model"], again["retryOf"]) == ("local-exec", "script", other["runId"])


def test_a_viewer_cannot_exceed_the_profile_that_an_operator_wrote(world: World) -> None:
    first = world.run(harnessProfileId=world.profile(budget_usd=0.5))["runId"]
    for body, why in (
        ({"budgetUsd": 0.6}, "a retry with a higher budget than its profile has: resumeRun needs the role"),
        ({"budgetUsd": 0}, "a retry with a higher budget than its profile has: resumeRun needs the role"),
        ({"model": "dear"}, "a retry with another model than its profile has: createHarnessProfile needs the role"),
    ):
        status, error = world.ask("vera", f"/runs/{first}/retry", body)
        assert (status, error["code"]) == (403, "AUTHZ_DENIED")
        assert error["message"].startswith(why)
    assert len(world.get("/runs")["items"]) == 1


def test_only_an_ended_run_that_exists_and_has_its_text_is_retried(world: World, gates: Gates) -> None:
    gate = gates["held"]
    held = world.ask("ada", "/runs", {"sessionId": "a", "input": gate.order}, prefer="respond-async")[1]["runId"]
    gate.arrival()
    queued = world.ask("ada", "/runs", {"sessionId": "a", "input": "x"}, prefer="respond-async")[1]["runId"]
    for run_id in (held, queued):
        status, error = world.ask("ada", f"/runs/{run_id}/retry", {})
        assert (status, error["code"], error["details"]) == (409, "RUN_NOT_ENDED", {"runId": run_id})
    gate.release()
    for run_id in ("run_unknown", "session:a", "policy", "run_", "run_%00"):
        assert world.ask("ada", f"/runs/{run_id}/retry", {})[0] in {400, 404}, run_id
    done = world.run(metadata={"team": "red"})["runId"]
    plain = world.run(sessionId="plain")["runId"]
    kept = world.ask("ada", f"/runs/{done}/retry", {}, idempotency_key="k")[1]["runId"]
    world.inside.erase()
    for run_id, field in ((done, "runId"), (plain, "directiveId")):
        status, error = world.ask("ada", f"/runs/{run_id}/retry", {})
        assert (status, error["details"][0]["field"]) == (400, field)
        assert "erased" in error["message"] or "redacted" in error["message"]
    assert world.ask("ada", f"/runs/{plain}/retry", {"input": "new"})[0] == 200
    assert world.ask("ada", f"/runs/{done}/retry", {}, idempotency_key="k")[1]["runId"] == kept


def test_a_retry_answers_as_a_new_run_does(world: World) -> None:
    first = world.run(provider="mock", model="mock-model")["runId"]
    path = f"/runs/{first}/retry"
    status, run = world.ask("ada", path, {}, prefer="respond-async", idempotency_key="k")
    assert (status, run["retryOf"]) == (202, first)
    again = world.ask("ada", path, {}, idempotency_key="k")[1]
    assert again["runId"] == run["runId"]
    assert world.ask("ada", path, {"input": "x"}, idempotency_key="k")[1]["code"] == "IDEMPOTENCY_MISMATCH"
    failed = world.ask("ada", path, {"provider": "local-exec", "input": "fail"})
    assert (failed[0], failed[1]["code"]) == (502, "PROVIDER_ERROR")
    assert world.get(f"/runs/{failed[1]['details']['runId']}")["retryOf"] == first
    hostile: tuple[Any, ...] = (
        {"harnessProfileId": "hp_01KB2M8Q4T7V9X1Z3A5C6E8G0H"},
        {"harnessProfileId": world.profile(), "model": "x"},
        {"provider": "nobody"},
        {"sessionId": "another"},
        {"budgetUsd": -1},
        {"input": 7},
        [],
        "x",
    )
    for body in hostile:
        assert world.ask("ada", path, body)[0] in {400, 404}, body


def test_a_scope_must_cover_the_session_and_persona_and_stays_with_the_retry(world: World) -> None:
    mine = world.run(metadata={"personaName": "p"}, sessionId="mine")["runId"]
    theirs = world.run(metadata={"personaName": "q"}, sessionId="theirs")["runId"]
    for scope, own, other in (
        ({"x_athena_scope_sessions": "mine"}, 200, 403),
        ({"x_athena_scope_personas": "p"}, 200, 403),
        ({"x_athena_scope_runs": f"{mine},{theirs}"}, 403, 403),
    ):
        for run_id, expected in ((mine, own), (theirs, other), ("run_unknown", 403)):
            status, _ = world.ask("vera", f"/runs/{run_id}/retry", {}, **scope)
            assert status == expected, (scope, run_id)
    seen = world.get(f"/runs/{mine}", "otto", x_athena_scope_sessions="mine")
    assert "retries" not in seen, "retries may lie outside of a scope"
    retried = world.get(f"/runs?retryOf={mine}")["items"][-1]["runId"]
    assert world.first_event(retried)["scope"] == {"sessions": ["mine"]}
    again = world.ask("ada", f"/runs/{retried}/retry", {})[1]["runId"]
    assert world.first_event(again)["scope"] == {"sessions": ["mine"]}, "who may do more does not widen it"
