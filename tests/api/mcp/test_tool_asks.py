"""Asks of runs that were started at ``/mcp``: who is shown them, and how the answer comes back."""

from collections.abc import Iterator

import pytest

from tests.api.callers import ROLES
from tests.support.mcp_caller import FORMS
from tests.support.model import Profile, acting, call
from tests.support.server import Server
from tests.support.tool_caller import ToolCaller
from tests.support.vouched import VOUCHED

pytestmark = pytest.mark.sqlite

ECHO = call("shell", command=["echo", "hi"])
MODERN = pytest.mark.parametrize("modern", [False, True], ids=["2025-11-25", "2026-07-28"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with acting([ECHO, "done"]) as model:
        settings = {"openai_base_url": model.url, "openai_api_key": "sk-of-tests"}
        roles = {"auth_identity_role_map": ROLES} | VOUCHED
        with Server(tmp_path_factory.mktemp("asks"), **settings, **roles) as started:
            yield started


@pytest.fixture(scope="module")
def profile(server: Server) -> str:
    body = Profile(tools=("shell", "files"), commands=(("echo",),), approval="ask", asks={"holdMs": 0}).body
    return str(server.client("ada").post("/harness-profiles", body)["id"])


def caller(server: Server, identity: str, *, modern: bool, forms: bool = False) -> ToolCaller:
    return ToolCaller(server.client(identity), FORMS if forms else None, modern=modern)


@MODERN
def test_who_may_not_answer_waits_and_is_shown_no_form(server: Server, profile: str, modern: bool) -> None:
    viewer = caller(server, "vera", modern=modern, forms=True)
    run_id = viewer.use("start_run", input="go", harnessProfileId=profile, waitSeconds=0).data["runId"]
    server.client("ada").await_event("run.paused", runId=run_id)
    called = viewer.use("wait_for_run", runId=run_id, waitSeconds=1)
    run = called.data
    assert "asks" not in run
    assert "you may not answer" in run["next"]
    assert not [one for one in called.messages if one["method"] == "elicitation/create"]
    (ask,) = viewer.use("list_asks", runId=run["runId"]).data["items"]
    chosen = {"askId": ask["id"], "subjectHash": ask["subjectHash"], "optionId": "allow"}
    assert viewer.use("answer_ask", **chosen).failed["error"]["code"] == "AUTHZ_DENIED"
    assert caller(server, "otto", modern=modern).use("answer_ask", **{**chosen, "optionId": "deny"}).data
    viewer.use("wait_for_run", runId=run["runId"])


def test_a_repeated_start_with_answers_starts_nothing(server: Server, profile: str) -> None:
    operator = caller(server, "otto", modern=True, forms=True)
    first = operator.use("start_run", input="once", harnessProfileId=profile).result
    assert first["resultType"] == "input_required"
    ((key, form),) = first["inputRequests"].items()
    assert form["params"]["requestedSchema"]["properties"]["optionId"]["oneOf"]
    answers = {key: {"action": "accept", "content": {"optionId": "allow"}}}
    more = {"inputResponses": answers, "requestState": first["requestState"]}
    run = operator.use("start_run", more=more, input="once", harnessProfileId=profile).data
    assert (run["runId"], run["output"]) == (first["requestState"], "done")
    started = [one for one in server.client("otto").items("/runs") if one.get("inputPreview") == "once"]
    assert len(started) == 1


def test_a_changed_state_shows_no_run_of_others(server: Server, profile: str) -> None:
    operator = caller(server, "otto", modern=True, forms=True)
    failed = operator.use("start_run", more={"requestState": "run_of_others"}, input="x", harnessProfileId=profile)
    assert failed.failed["error"]["code"] == "NOT_FOUND"
