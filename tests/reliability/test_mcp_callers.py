"""Two servers on one PostgreSQL behind one MCP client: either answers any request, also in the place of the other."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.support import postgres
from tests.support.api import Json, soon
from tests.support.mcp_caller import FORMS, TASKS, McpWire, messages_of, result_of
from tests.support.model import Profile, acting, call
from tests.support.server import Server

QUESTION = call("ask_user", question="Which branch?", options=["main", "next"])

pytestmark = pytest.mark.heavy


class Pair(NamedTuple):
    """Two servers, and a profile whose runs ask a question."""

    first: Server
    second: Server
    profile: str

    def caller(self, server: Server, like: McpWire | None = None, **capabilities: Any) -> McpWire:
        """Return a client of one server, in the session of another client if there is one."""
        caller = McpWire(server.client(), capabilities)
        if like is not None:
            caller.session, caller.headers = like.session, dict(like.headers)
        return caller


@pytest.fixture(scope="module")
def pair(cluster: postgres.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    places = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    with acting([QUESTION, "It is main."]) as model, cluster.database() as database:
        settings = {"database_url": database, "openai_base_url": model.url, "openai_api_key": "sk-of-tests"}
        with Server(places[0], **settings) as first, Server(places[1], **settings) as second:
            body = Profile(tools=("shell", "files", "ask_user"), asks={"holdMs": 60_000}).body
            yield Pair(first, second, str(first.api.post("/harness-profiles", body)["id"]))


def start(caller: McpWire, request_id: int | str | None = None, **arguments: Any) -> Json:
    params = {"name": "start_run", "arguments": {"input": "go", **arguments}}
    return caller.message("tools/call", params, request_id)


def run_of(answer: httpx2.Response) -> Json:
    run: Json = json.loads(result_of(answer)["content"][0]["text"])
    return run


def choice(form: Json) -> Json:
    (option,) = [part for part in form["properties"]["optionId"]["oneOf"] if part["title"] == "main"]
    return {"action": "accept", "content": {"optionId": option["const"]}}


def test_a_request_repeated_at_the_other_server_starts_one_run(pair: Pair) -> None:
    here = pair.caller(pair.first)
    here.initialize()
    there = pair.caller(pair.second, here)
    runs = [run_of(caller.post(start(caller, 5, sessionId="twice"))) for caller in (here, there)]
    assert runs[0]["runId"] == runs[1]["runId"]
    assert len(pair.first.api.items("/runs", sessionId="twice")) == 1


def test_the_answer_to_a_form_may_reach_the_other_server(pair: Pair) -> None:
    here = pair.caller(pair.first, **FORMS)
    here.initialize()
    there = pair.caller(pair.second, here)
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[httpx2.Response] = pool.submit(here.post, start(here, harnessProfileId=pair.profile))
        for _ in soon():
            if asks := pair.second.api.items("/asks"):
                break
        (ask,) = asks
        (option,) = [option["id"] for option in ask["options"] if option.get("name") == "main"]
        answer = {"action": "accept", "content": {"optionId": option}}
        reply = {"jsonrpc": "2.0", "id": f"{ask['id']}.{ask['subjectHash']}", "result": answer}
        assert there.post(reply).status_code == 202
        answered = waiting.result()
    assert [one["method"] for one in messages_of(answered) if "method" in one].count("elicitation/create") == 1
    assert run_of(answered)["output"] == "It is main."


def test_a_call_that_needs_input_is_repeated_at_the_other_server(pair: Pair) -> None:
    here, there = pair.caller(pair.first, **FORMS), pair.caller(pair.second, **FORMS)
    first = result_of(here.post(start(here, harnessProfileId=pair.profile, sessionId="input")))
    assert first["resultType"] == "input_required"
    ((key, asked),) = first["inputRequests"].items()
    params = {
        "name": "start_run",
        "arguments": {"input": "go", "harnessProfileId": pair.profile, "sessionId": "input"},
        "inputResponses": {key: choice(asked["params"]["requestedSchema"])},
        "requestState": first["requestState"],
    }
    run = run_of(there.post(there.message("tools/call", params)))
    assert run["output"] == "It is main."
    assert len(pair.first.api.items("/runs", sessionId="input")) == 1


def test_a_task_of_a_server_that_is_killed_is_finished_at_the_other_one(pair: Pair) -> None:
    here, there = pair.caller(pair.first, **TASKS), pair.caller(pair.second, **TASKS)
    task = result_of(here.post(start(here, harnessProfileId=pair.profile)))
    assert task["resultType"] == "task"
    for _ in soon():
        if (found := here.ask("tasks/get", {"taskId": task["taskId"]}))["status"] == "input_required":
            break
    pair.first.kill()  # so this is the last test of the module
    ((key, asked),) = there.ask("tasks/get", {"taskId": task["taskId"]})["inputRequests"].items()
    assert found["inputRequests"].keys() == {key}
    answers = {key: choice(asked["params"]["requestedSchema"])}
    there.ask("tasks/update", {"taskId": task["taskId"], "inputResponses": answers})
    for _ in soon():
        if (found := there.ask("tasks/get", {"taskId": task["taskId"]}))["status"] == "completed":
            break
    assert "It is main." in found["result"]["content"][0]["text"]
