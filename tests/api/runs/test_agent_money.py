"""The money of outside agents: each call of their models is metered, and budgets pause their runs."""

import pytest

from tests.support.agent_model import TOKENS, Refuses, shell
from tests.support.api import Json
from tests.support.outside_agents import AgentSite, site_of_module

ALLOW_ALL = ({"match": {}, "approval": "allow"},)
AGENTS = {
    "fake": (),
    "titles": ("title-call", "late-call"),
    "pretends": ("end-turn-after-failure", "retries=1"),
}
LEFT_MICRO_USD = 600
"""The rest of the daily budget: some calls of the model, but not sixty."""
STEPS = (shell("echo one >> made.txt"), shell("echo two >> made.txt"), "All done.")

site = site_of_module(AGENTS)


@pytest.mark.heavy
def test_calls_beside_the_answer_are_metered_too(site: AgentSite) -> None:
    run_id = site.start("is titled", "Done.", profile=site.profile("titles"))
    assert site.server.api.await_ending(run_id) == "run.completed", site.failure(run_id)
    usages = site.payloads(run_id, "usage.recorded")
    assert len(usages) >= 2
    record = site.server.api.get(f"/runs/{run_id}")
    assert record["costMicroUsd"] == sum(usage["costMicroUsd"] for usage in usages)
    assert usages[0]["usage"] == {"inputTokens": TOKENS[0], "outputTokens": TOKENS[1], "totalTokens": sum(TOKENS)}


@pytest.mark.heavy
@pytest.mark.parametrize("agent", ["fake", "pretends"])
def test_a_run_whose_own_budget_is_spent_is_paused_and_goes_on_with_a_higher_one(site: AgentSite, agent: str) -> None:
    api = site.server.api
    task = f"is poor as {agent}"
    profile = site.profile(agent, permissions=ALLOW_ALL, policies={"budgetUsd": 0.000001})
    run_id = site.start(task, *STEPS, profile=profile)
    paused = api.await_event("run.paused", runId=run_id)["payload"]
    assert (paused["reason"], paused["budgetMicroUsd"]) == ("budget", 1)
    assert site.processes() == []
    assert site.model.models[task].asked == []
    api.post(f"/runs/{run_id}/resume", {"budgetUsd": 1})
    assert api.await_ending(run_id) == "run.completed"
    assert (site.files(run_id) / "made.txt").read_text() == "one\ntwo\n"
    assert [one["how"] for one in site.payloads(run_id, "agent.attached")] == ["new", "resumed"]


@pytest.mark.heavy
def test_a_run_may_make_as_many_calls_as_its_profile_says(site: AgentSite) -> None:
    profile = site.profile(permissions=ALLOW_ALL, policies={"maxTurns": 2})
    run_id = site.start("talks much", *STEPS, profile=profile)
    assert site.server.api.await_ending(run_id) == "run.failed"
    assert site.failure(run_id)[0] == "TURN_LIMIT"
    assert len(site.payloads(run_id, "usage.recorded")) == 2


@pytest.mark.heavy
def test_a_refused_model_call_fails_the_run(site: AgentSite) -> None:
    refused: Json = {"error": {"message": "no such thing", "type": "invalid_request_error"}}
    run_id = site.start("is refused", Refuses(400, refused), profile=site.profile("pretends"))
    assert site.server.api.await_ending(run_id) == "run.failed"
    code, message = site.failure(run_id)
    assert code == "PROVIDER_ERROR"
    assert "no such thing" in message


@pytest.mark.heavy
def test_a_daily_budget_pauses_the_run_and_a_higher_one_lets_it_go_on(site: AgentSite) -> None:
    api = site.server.api
    api.put_policy(costBudgetDailyUsd=1)
    profile = site.profile(permissions=ALLOW_ALL)
    first = site.start("pays a little", *STEPS, profile=profile)
    assert api.await_ending(first) == "run.completed"
    assert site.types(first).count("budget.reserved") == site.types(first).count("usage.recorded")
    spent = sum(one["payload"]["costMicroUsd"] for one in api.events(types="usage.recorded"))
    api.put_policy(costBudgetDailyUsd=(spent + LEFT_MICRO_USD) / 1e6)
    try:
        steps = (shell(f"echo {number} >> made.txt") for number in range(60))
        run_id = site.start("spends the day", *steps, "All done.", profile=profile)
        paused = api.await_event("run.paused", "run.completed", "run.failed", runId=run_id)
        assert (paused["type"], paused["payload"].get("reason")) == ("run.paused", "daily-budget")
        assert site.processes() == []
        made = (site.files(run_id) / "made.txt").read_text()
        assert (
            made
            and sum(one["payload"]["costMicroUsd"] for one in api.events(types="usage.recorded"))
            < spent + LEFT_MICRO_USD
        )
    finally:
        api.put_policy()
    api.post(f"/runs/{run_id}/resume", {})
    assert api.await_ending(run_id) == "run.completed"
    assert (site.files(run_id) / "made.txt").read_text() == "".join(f"{number}\n" for number in range(60))
