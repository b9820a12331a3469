"""The daily budget over HTTP: parallel runs never exceed it; runs are rejected, paused and resumed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Json, Refused, opened, soon
from tests.support.model import Model, Profile, Step, acting, call
from tests.support.server import Server

TURN_MICRO_USD = 210
"""What a turn of the model costs: 1,000 tokens in and 100 out of ``gpt-4o-mini``."""

READ = call("files", action="read", path="notes.txt")
At = Callable[..., Any]


@pytest.fixture
def at_work(serve: Serve) -> At:
    """A server with a model that follows a script, and a profile of it."""

    @contextmanager
    def begin(*script: Step, pause_seconds: float = 0.0) -> Iterator[tuple[Server, Model, str]]:
        with acting(script, pause_seconds) as model:
            server = serve(openai_base_url=model.url)
            (server.workspace / "notes.txt").write_text("remember the milk")
            profile = str(server.api.post("/harness-profiles", Profile().body)["id"])
            yield server, model, profile

    return begin


def put(api: Api, dollars: float) -> None:
    api.put("/policy", {"schemaVersion": 1, "costBudgetDailyUsd": dollars})


def spent(api: Api) -> int:
    """Return the cost of all runs, in micro-USD."""
    return sum(int(usage["payload"]["costMicroUsd"]) for usage in api.events(types="usage.recorded"))


def refusal(api: Api, path: str, body: Json) -> Refused:
    with pytest.raises(Refused) as refused:
        opened(api.send(path, body))
    return refused.value


def test_a_run_that_reaches_it_is_paused_and_is_resumed_under_a_higher_one(at_work: At) -> None:
    with at_work(READ, "all done") as (server, model, profile):
        api = server.api
        put(api, 0.0009)
        answer = api.send("/runs", {"input": "go", "harnessProfileId": profile})
        assert answer.status_code == 202
        run_id = opened(answer)["runId"]
        record = api.get(f"/runs/{run_id}")
        assert (record["status"], record["paused"]["reason"]) == ("paused", "daily-budget")
        (paused,) = [event["payload"] for event in api.events(types="run.paused")]
        assert (paused["spentMicroUsd"], paused["budgetMicroUsd"]) == (TURN_MICRO_USD, 900)
        told = api.get(f"/runs/{run_id}/explain")["waitsFor"]
        assert told["reason"] == "daily-budget"
        assert "the next UTC day, or a higher daily budget: $0.00021 of $0.0009" in told["says"]
        types = api.types(runId=run_id)
        assert types.index("budget.reserved") < types.index("tool.called") < types.index("usage.recorded")
        assert model.turns == {1: 1}, "a call that nobody could pay was not made"
        again = api.send(f"/runs/{run_id}/resume", {}, respond_async=True)
        assert again.status_code == 202  # the budget is not spent: what a call takes is asked before it
        for _ in soon():
            if api.types(runId=run_id).count("run.paused") == 2:
                break
        put(api, 0.0001)
        refused = refusal(api, f"/runs/{run_id}/resume", {})
        assert (refused.status, refused.code) == (429, "POLICY_BUDGET_EXCEEDED")
        assert api.get(f"/runs/{run_id}")["status"] == "paused"
        put(api, 1)
        assert opened(api.send(f"/runs/{run_id}/resume", {}))["output"] == "all done"


def test_a_run_that_the_day_cannot_pay_is_refused_and_recorded(at_work: At) -> None:
    with at_work("all done") as (server, _, profile):
        api = server.api
        put(api, 1)
        api.run("go", harnessProfileId=profile)
        put(api, 0.0003)
        refused = refusal(api, "/runs", {"input": "go", "harnessProfileId": profile, "sessionId": "refused"})
        assert (refused.status, refused.code) == (429, "POLICY_BUDGET_EXCEEDED")
        assert (
            "policy.costBudgetDailyUsd exceeded: 0.000210 of 0.000300 were spent this UTC day"
            in refused.error["message"]
        )
        assert int(refused.response.headers["retry-after"]) >= 1
        (found,) = api.items("/policy/rejections", reason="daily-cost-budget-exceeded")
        assert (found["sessionId"], found["provider"], found["maxConcurrentRuns"]) == ("refused", "openai", 0)
        event = found["event"]
        assert (event["policyType"], event["spentMicroUsd"], event["budgetMicroUsd"]) == ("COST", TURN_MICRO_USD, 300)
        assert found["policy"]["policyName"] == "policy.costBudgetDailyUsd"
        assert api.types(runId=found["runId"]) == ["policy.rejected"]
        assert api.run("free")["provider"] == "mock"


def test_a_model_without_a_price_is_refused_under_a_daily_budget(at_work: At) -> None:
    with at_work("all done") as (server, _, _):
        api = server.api
        put(api, 1)
        refused = refusal(api, "/runs", {"input": "go", "provider": "openai", "model": "somebodys-own-model"})
        assert (refused.status, refused.code) == (400, "CONFIG_ERROR")
        assert refused.error["details"][0]["field"] == "model"
        assert "unpriced-model" in refused.error["message"]
        assert [found["provider"] for found in api.items("/policy/rejections", reason="unpriced-model")] == ["openai"]


def test_what_was_set_aside_by_a_process_that_died_is_released_by_the_end_of_the_run(at_work: At) -> None:
    with at_work("all done", pause_seconds=0.3) as (server, _, profile):
        put(server.api, 1)
        run_id = server.api.start("go", harnessProfileId=profile)["runId"]
        server.api.await_event("budget.reserved", runId=run_id)
        server.kill()
        with server.opened_log() as log:
            assert list(log.guards.of("reserved")) == [run_id]
        server.start()
        assert server.api.await_ending(run_id) == "run.completed"
        assert server.api.types(runId=run_id).count("budget.reserved") == 2
    with server.opened_log() as log:
        assert dict(log.guards.of("reserved")) == {}
