"""Answers over HTTP: an agent asks before a call, a person decides, and the run goes on, or does not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.callers import ROLES
from tests.support.api import Json, Refused, soon
from tests.support.inside import Inside, plane_on
from tests.support.model import Model, Profile, Step, acting, call
from tests.support.vouched import VOUCHED

TOUCH: Step = call("shell", command=["touch", "made"])
SOON: dict[str, Any] = {"holdMs": 0}


class Asked:
    """A plane whose agents ask, as a person sees it."""

    def __init__(self, inside: Inside, directory: Path) -> None:
        self.inside = inside
        self.made = directory / "made"
        self.profile = ""

    def run(self, session: str = "session") -> Json:
        """Start a run, and return its first ask once the run is parked."""
        run_id = self.inside.begin("go", session, harnessProfileId=self.profile)
        self.inside.until(f"/runs/{run_id}", "status", "paused")
        (ask,) = self.inside.data("GET", f"/asks?runId={run_id}")["items"]
        return dict(ask)

    def answer(self, ask: Json, option: str = "allow", **fields: Any) -> Json:
        body = {"subjectHash": ask["subjectHash"], "optionId": option, **fields}
        return dict(self.inside.data("POST", f"/asks/{ask['id']}/answer", body))

    def ended(self, ask: Json) -> str:
        return str(self.inside.until(f"/runs/{ask['runId']}", "status", "completed", "failed", "cancelled")["status"])

    def types(self, ask: Json) -> list[str]:
        events = self.inside.data("GET", f"/events?runId={ask['runId']}&limit=500")["events"]
        return [event["type"] for event in events]


@contextmanager
def asking(directory: Path, *script: Step, **profile: Any) -> Iterator[Asked]:
    with acting([*script, "done"]) as model, plane_on(directory, **settings_of(model, directory)) as inside:
        found = Asked(inside, directory)
        body = Profile(tools=("shell", "files", "ask_user"), approval="ask", asks={**SOON, **profile}).body
        found.profile = inside.data("POST", "/harness-profiles", body)["id"]
        yield found


@contextmanager
def refused(code: str, status: int) -> Iterator[pytest.ExceptionInfo[Refused]]:
    with pytest.raises(Refused) as found:
        yield found
    assert (found.value.code, found.value.status) == (code, status)


def settings_of(model: Model, directory: Path) -> dict[str, str]:
    return {"openai_base_url": model.url, "openai_api_key": "sk-of-tests", "workspace_root": str(directory)}


def test_an_allowed_call_is_made_and_a_denied_one_is_not(tmp_path: Path) -> None:
    with asking(tmp_path, TOUCH) as plane:
        ask = plane.run()
        assert (ask["status"], ask["toolName"], ask["arguments"]) == ("open", "shell", '{"command":["touch","made"]}')
        denied = plane.answer(ask, "deny", note="not now")
        assert (denied["status"], denied["decidedBy"], denied["note"]) == ("rejected", "local", "not now")
        plane.ended(ask)
        assert not plane.made.exists()
        ask = plane.run("another")
        assert plane.answer(ask)["status"] == "approved"
        plane.ended(ask)
        assert plane.made.exists()
        types = plane.types(ask)
        assert types.index("run.answered") < types.index("run.resumed") < types.index("tool.called")


def test_always_answers_the_same_call_of_the_next_run_until_it_is_revoked(tmp_path: Path) -> None:
    with asking(tmp_path, TOUCH) as plane:
        ask = plane.run()
        plane.answer(ask, remember="profile")
        plane.ended(ask)
        (rule,) = plane.inside.data("GET", "/permission-rules?status=in-force")["items"]
        assert (rule["scope"], rule["harnessProfileId"], rule["askId"]) == ("profile", plane.profile, ask["id"])
        run_id = plane.inside.begin("go", "another", harnessProfileId=plane.profile)
        plane.inside.until(f"/runs/{run_id}", "status", "completed")
        (again,) = plane.inside.data("GET", f"/asks?runId={run_id}&status=approved")["items"]
        assert again["ruleId"] == rule["id"]
        assert plane.inside.data("GET", f"/permission-rules/{rule['id']}")["uses"] == 1
        revoked = plane.inside.data("DELETE", f"/permission-rules/{rule['id']}")
        assert (revoked["status"], revoked["revokedBy"]) == ("revoked", "local")
        assert plane.run("third")["status"] == "open"


def test_a_second_answer_says_who_was_first_and_when(tmp_path: Path) -> None:
    with asking(tmp_path, TOUCH) as plane:
        ask = plane.run()
        plane.answer(ask)
        with refused("ASK_DECIDED", 409) as second:
            plane.answer(ask, "deny")
        error = second.value.error
        assert (error["details"]["by"], error["details"]["optionId"]) == ("local", "allow")
        assert error["details"]["at"] in error["message"]


@pytest.mark.parametrize(
    ("fields", "code", "status"),
    [
        ({"subjectHash": "00"}, "ASK_CHANGED", 409),
        ({"optionId": "always"}, "CONFIG_ERROR", 400),
        ({"optionId": 1}, "CONFIG_ERROR", 400),
        ({"optionId": None, "values": {"answer": "x"}}, "CONFIG_ERROR", 400),
        ({"values": []}, "CONFIG_ERROR", 400),
        ({"editedArguments": "touch"}, "CONFIG_ERROR", 400),
        ({"editedArguments": {"command": {"$ref": "#"}}}, "CONFIG_ERROR", 400),
        ({"editedArguments": {"command": ["touch"], "command\u0000": 1}}, "CONFIG_ERROR", 400),
        ({"remember": "plane"}, "CONFIG_ERROR", 400),
        ({"remember": "run", "rememberForMs": 10**15}, "CONFIG_ERROR", 400),
        ({"note": "x" * 2_000}, "CONFIG_ERROR", 400),
        ({"more": 1}, "CONFIG_ERROR", 400),
    ],
)
def test_hostile_answers_change_nothing(shared_ask: tuple[Asked, Json], fields: Json, code: str, status: int) -> None:
    plane, ask = shared_ask
    body = {"subjectHash": ask["subjectHash"], "optionId": "allow", **fields}
    with refused(code, status):
        plane.inside.data("POST", f"/asks/{ask['id']}/answer", {k: v for k, v in body.items() if v is not None})
    assert plane.inside.data("GET", f"/asks/{ask['id']}")["status"] == "open"


def test_deep_json_and_asks_that_do_not_exist_are_refused(shared_ask: tuple[Asked, Json]) -> None:
    plane, ask = shared_ask
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    with pytest.raises(Refused, match="JSON_TOO_DEEP|nested"):
        plane.answer(ask, editedArguments={"command": deep})
    for other in ("ask_unknown", ask["runId"], "rule_1"):
        with refused("NOT_FOUND", 404):
            plane.answer({**ask, "id": other})


@pytest.fixture(scope="module")
def shared_ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Asked, Json]]:
    with asking(tmp_path_factory.mktemp("asks"), TOUCH) as plane:
        yield plane, plane.run()


def test_many_are_answered_by_name_and_rejected_by_filter(tmp_path: Path) -> None:
    with asking(tmp_path, TOUCH) as plane:
        first, second, third = (plane.run(f"session-{number}") for number in range(3))
        items = [
            {"askId": ask["id"], "subjectHash": digest, "optionId": "deny"}
            for ask, digest in ((first, first["subjectHash"]), (second, "00"), ({"id": "ask_unknown"}, "00"))
        ]
        answered = plane.inside.data("POST", "/asks/answer", {"items": items}, idempotency_key="one")["items"]
        assert [(one["status"], one.get("error", {}).get("code")) for one in answered] == [
            ("answered", None),
            ("failed", "ASK_CHANGED"),
            ("failed", "NOT_FOUND"),
        ]
        again = plane.inside.data("POST", "/asks/answer", {"items": items}, idempotency_key="one")["items"]
        assert again == answered, "each item has a key derived from the request's"
        wanted = {"sessionId": second["sessionId"]}
        with refused("CONFIG_ERROR", 400):
            plane.inside.data("POST", "/asks/answer", {"filter": wanted, "optionId": "allow"})
        rejected = plane.inside.data("POST", "/asks/answer", {"filter": wanted, "optionId": "deny"})
        assert rejected == {"items": [{"askId": second["id"], "status": "answered"}]}
        assert plane.inside.data("GET", f"/asks/{third['id']}")["status"] == "open"
        bodies: list[Json] = [{}, {"items": items, "filter": {}}, {"items": []}, {"items": items * 50}]
        for body in bodies:
            with refused("CONFIG_ERROR", 400):
                plane.inside.data("POST", "/asks/answer", body)


def test_a_repeated_rejection_rejects_what_was_selected(tmp_path: Path) -> None:
    with asking(tmp_path, TOUCH) as plane:
        first, body = plane.run("first"), {"filter": {}, "optionId": "deny"}
        rejected = plane.inside.data("POST", "/asks/answer", body, idempotency_key="k")
        assert rejected == {"items": [{"askId": first["id"], "status": "answered"}]}
        later = plane.run("later")
        again = plane.inside.ask("POST", "/asks/answer", body, idempotency_key="k")
        assert (again.json()["data"], again.headers["idempotency-replayed"]) == (rejected, "true")
        assert plane.inside.data("GET", f"/asks/{later['id']}")["status"] == "open"


def test_roles_and_scopes_decide_who_answers(tmp_path: Path) -> None:
    roles = {**VOUCHED, "auth_identity_role_map": ROLES, "refusals_per_second": "1000"}
    with acting([TOUCH, "done"]) as model, plane_on(tmp_path, **settings_of(model, tmp_path), **roles) as inside:
        otto = {"x_athena_identity": "otto"}
        body = Profile(tools=("shell", "files"), approval="ask", asks=SOON).body
        profile = inside.data("POST", "/harness-profiles", body, **otto)["id"]
        fields = {"input": "go", "sessionId": "session", "harnessProfileId": profile}
        run_id = inside.data("POST", "/runs", fields, prefer="respond-async", **otto)["runId"]
        for _ in soon():
            if inside.data("GET", f"/runs/{run_id}", **otto)["status"] == "paused":
                break
        (ask,) = inside.data("GET", "/asks", **otto)["items"]
        wrong = {"subjectHash": "00", "optionId": "allow"}

        def refusal(**headers: str) -> str:
            with pytest.raises(Refused) as found:
                inside.data("POST", f"/asks/{ask['id']}/answer", wrong, **headers)
            return found.value.code

        own, other = {"x_athena_scope_sessions": "session"}, {"x_athena_scope_sessions": "elsewhere"}
        assert refusal(x_athena_identity="vera") == "AUTHZ_DENIED"
        assert refusal(**otto) == refusal(x_athena_identity="ada") == refusal(**otto, **own) == "ASK_CHANGED"
        assert refusal(**otto, **other) == "NOT_FOUND"
        assert refusal(**otto, x_athena_scope_runs=run_id) == "ASK_CHANGED"
        assert refusal(**otto, x_athena_scope_runs="run_other") == "NOT_FOUND"
        assert refusal(**otto, x_athena_scope_personas="researcher") == "AUTHZ_DENIED"
        assert refusal() == "AUTH_IDENTITY_MISSING"
