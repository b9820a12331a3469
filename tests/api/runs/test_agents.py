"""Agents over HTTP: turns and tools, limits, budgets and pauses, against a server that speaks OpenAI's protocol."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Json, Refused, opened, until
from tests.support.model import Model, Profile, Step, acting, call, turn_of
from tests.support.server import Server
from tests.support.stub import OPENAI, Stub, data, says, standing

READ = call("files", action="read", path="notes.txt")
NOTE = call("files", action="write", path="done.txt", content="yes", evidence="Proof")
SLOW = call("shell", command=["/bin/sh", "-c", "echo begun >> begun.txt; sleep 1000"])
TURN_MICRO_USD = 210
"""What a turn of the model costs: 1,000 tokens in and 100 out of ``gpt-4o-mini``."""

AGENT = Profile()
Agent = Callable[..., Any]


@pytest.fixture
def at_work(serve: Serve) -> Callable[..., Any]:
    """A server with a model that follows a script."""

    @contextmanager
    def begin(*script: Step, **settings: str) -> Iterator[tuple[Server, Model]]:
        with acting(script) as model:
            server = serve(openai_base_url=model.url, **settings)
            (server.workspace / "notes.txt").write_text("remember the milk")
            yield server, model

    return begin


def profile_of(api: Api, profile: Profile = AGENT) -> str:
    return str(api.post("/harness-profiles", profile.body)["id"])


def begin(api: Api, profile: Profile = AGENT, **fields: Any) -> Json:
    """Start a run of an agent. Return its record."""
    return dict(api.start("go", harnessProfileId=profile_of(api, profile), **fields))


def payloads(api: Api, run_id: str, *types: str) -> list[Json]:
    """Return the payloads of a run's events."""
    return [event["payload"] for event in api.events(runId=run_id, types=",".join(types))]


# Turns


def test_an_agent_calls_tools_and_answers(at_work: Agent) -> None:
    with at_work(READ, NOTE, "all done") as (server, model):
        answer = opened(server.api.send("/runs", {"input": "go", "harnessProfileId": profile_of(server.api)}))
        assert (answer["output"], answer["evidenceCount"]) == ("all done", 1)
        assert answer["usage"] == {"inputTokens": 3_000, "outputTokens": 300, "totalTokens": 3_300}
        assert (server.workspace / "done.txt").read_text() == "yes"
        assert server.api.types(runId=answer["runId"]) == [
            *("run.created", "run.leased", "run.started", "transcript.appended"),
            *("tool.called", "usage.recorded", "transcript.appended"),
            *("tool.called", "usage.recorded", "transcript.appended", "evidence.attached"),
            *("transcript.appended", "usage.recorded", "run.completed"),
        ]
        assert [usage["turn"] for usage in payloads(server.api, answer["runId"], "usage.recorded")] == [1, 2, 3]
        record = server.api.get(f"/runs/{answer['runId']}")
        assert record["costMicroUsd"] == 3 * TURN_MICRO_USD
        last = model.requests[-1]["messages"]
        assert [message["role"] for message in last] == ["user", "assistant", "tool", "assistant", "tool"]
        assert "remember the milk" in last[2]["content"]
        assert {tool["function"]["name"] for tool in model.requests[0]["tools"]} == set(Profile().tools)


def test_an_invalid_tool_call_is_recorded_and_answered_with_an_error(at_work: Agent) -> None:
    wrong: Step = (("http", {"url": "http://example.org"}), ("files", "{broken"), ("files", {"action": "fly"}))
    with at_work(wrong, "I see") as (server, model):
        run = begin(server.api)
        assert server.api.await_ending(run["runId"]) == "run.completed"
        calls = payloads(server.api, run["runId"], "tool.called")
        assert [one.get("refused") for one in calls] == ["unknown-tool", "bad-arguments", "bad-arguments"]
        told = [message for message in model.requests[-1]["messages"] if message["role"] == "tool"]
        assert "no tool 'http'" in told[0]["content"]
        assert "not JSON" in told[1]["content"]
        assert "schema" in told[2]["content"]


# Budgets


TWO_TURNS = Profile(budget_usd=(2 * TURN_MICRO_USD - 1) / 1e6)


def test_a_run_that_spent_its_budget_is_paused_and_its_caller_gets_202(at_work: Agent) -> None:
    with at_work(READ, NOTE, "all done") as (server, model):
        api = server.api
        answer = api.send("/runs", {"input": "go", "harnessProfileId": profile_of(api, TWO_TURNS)}, key="k")
        record = opened(answer)
        assert (answer.status_code, record["status"], record["paused"]["reason"]) == (202, "paused", "budget")
        assert (record["costMicroUsd"], record["budgetMicroUsd"]) == (2 * TURN_MICRO_USD, 2 * TURN_MICRO_USD - 1)
        assert model.requests[1]["max_tokens"] < model.requests[0]["max_tokens"]
        assert api.items("/runs/active") == []
        run_id = record["runId"]
        (paused,) = payloads(api, run_id, "run.paused")
        assert paused["spentMicroUsd"] == 2 * TURN_MICRO_USD
        again = api.send("/runs", {"input": "go", "harnessProfileId": record["harnessProfileId"]}, key="k")
        assert (again.status_code, opened(again)["runId"]) == (202, run_id)
        resumed = api.send(f"/runs/{run_id}/resume", {"budgetUsd": 1})
        assert (resumed.status_code, opened(resumed)["status"]) == (200, "completed")
        assert (opened(resumed)["output"], opened(resumed)["attempt"]) == ("all done", 1)
        assert model.turns == {1: 1, 2: 1, 3: 1}
        finished = opened(api.send("/runs", {"input": "go", "harnessProfileId": record["harnessProfileId"]}, key="k"))
        assert finished["output"] == "all done"


def paused(api: Api, **fields: Any) -> str:
    """Return the id of a run that spent its budget."""
    run_id = str(begin(api, TWO_TURNS, **fields)["runId"])
    api.await_event("run.paused", runId=run_id)
    return run_id


def refusal(api: Api, run_id: str, body: Json) -> tuple[int, str]:
    """Return status and code of a rejected resume."""
    with pytest.raises(Refused) as refused:
        api.post(f"/runs/{run_id}/resume", body)
    return refused.value.status, refused.value.code


def test_only_a_paused_run_is_resumed_and_only_with_a_budget_that_is_not_spent(at_work: Agent) -> None:
    with at_work(READ, NOTE, "all done") as (server, model):
        api, run_id = server.api, paused(server.api)
        assert refusal(api, "run_unknown", {}) == (404, "NOT_FOUND")
        assert refusal(api, run_id, {"budgetUsd": 2 * TURN_MICRO_USD / 1e6}) == (400, "CONFIG_ERROR")
        assert refusal(api, run_id, {"budgetUsd": 0}) == (400, "CONFIG_ERROR")
        answer = api.send(f"/runs/{run_id}/resume", {}, respond_async=True)
        assert (answer.status_code, opened(answer)["runId"]) == (202, run_id)
        assert api.await_ending(run_id) == "run.completed"
        assert "budgetMicroUsd" not in api.get(f"/runs/{run_id}")
        assert refusal(api, run_id, {}) == (409, "RUN_NOT_PAUSED")


def test_a_budget_for_a_model_without_a_price_is_refused(at_work: Agent) -> None:
    with at_work("hi") as (server, _):
        body = Profile(budget_usd=1).body
        body["config"]["model"] = "somebodys-own-model"
        profile = server.api.post("/harness-profiles", body)["id"]
        with pytest.raises(Refused) as refused:
            server.api.run("go", harnessProfileId=profile)
        assert (refused.value.status, refused.value.code) == (400, "CONFIG_ERROR")
        assert "unpriced-model" in refused.value.error["message"]


# The cost of failed attempts


TRUNCATED = says(
    OPENAI.head + OPENAI.start + OPENAI.text("half an ans"),
    data({"choices": [], "usage": {"prompt_tokens": 1_000, "completion_tokens": 100}}),
)
"""An answer that breaks off after its server has counted it."""


@pytest.fixture
def breaking(serve: Serve) -> Iterator[tuple[Api, Stub]]:
    """A server with a model whose first answer breaks off."""
    good = turn_of("all done", 1)
    with standing(lambda asked: TRUNCATED if len(stub.asked) == 1 else good) as stub:
        yield serve(openai_base_url=stub.url).api, stub


def test_a_failed_attempt_is_on_the_runs_account(breaking: tuple[Api, Stub]) -> None:
    api, _ = breaking
    profile = profile_of(api, Profile(retry_limit=2, budget_usd=1))
    result = api.run("go", harnessProfileId=profile)
    usages = payloads(api, result["runId"], "usage.recorded")
    assert [(one.get("failed"), one["turn"], one.get("attempts"), one["costMicroUsd"]) for one in usages] == [
        (True, 1, None, TURN_MICRO_USD),
        (None, 1, 2, TURN_MICRO_USD),
    ]
    record = api.get(f"/runs/{result['runId']}")
    assert (record["output"], record["costMicroUsd"]) == ("all done", 2 * TURN_MICRO_USD)
    assert result["usage"] == {"inputTokens": 2_000, "outputTokens": 200, "totalTokens": 2_200}
    assert result["reliability"]["providerAttempts"] == 2


# Stopping


def test_a_cancel_ends_the_running_tool(at_work: Agent) -> None:
    with at_work(SLOW, "done") as (server, _):
        run = begin(server.api)
        server.api.await_event("tool.called", runId=run["runId"])
        server.api.post(f"/run-control/by-run/{run['runId']}/cancel", {"reason": "enough"})
        assert server.api.await_ending(run["runId"]) == "run.cancelled"
        assert payloads(server.api, run["runId"], "run.cancelled") == [{"cause": "requested"}]
        assert server.api.get(f"/runs/{run['runId']}")["error"]["message"] == "the run was cancelled: enough"


@pytest.mark.heavy
def test_an_interrupted_call_that_might_do_harm_is_not_made_again(at_work: Agent) -> None:
    with at_work(SLOW, "I will look") as (server, model):
        run = begin(server.api)
        begun = server.workspace / "begun.txt"
        server.api.await_event("tool.called", runId=run["runId"])
        until(lambda: begun.exists() and begun.read_text() == "begun\n")
        server.kill()
        server.start()
        assert server.api.await_ending(run["runId"]) == "run.completed"
        assert begun.read_text() == "begun\n"
        (told,) = [message for message in model.requests[-1]["messages"] if message["role"] == "tool"]
        assert "outcome is unknown" in told["content"]
        results = [one for one in payloads(server.api, run["runId"], "transcript.appended") if one["role"] == "tool"]
        assert [one["interrupted"] for one in results] == [True]
