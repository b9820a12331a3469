"""The money of outside agents: budgets pause their runs, and calls of their models have limits."""

import pytest

from tests.support.agent_model import Refuses, shell
from tests.support.api import Json
from tests.support.outside_agents import AgentSite, site_of_module

ALLOW_ALL = ({"match": {}, "approval": "allow"},)
AGENTS = {
    "fake": (),
    "pretends": ("end-turn-after-failure", "retries=1"),
}
STEPS = (shell("echo one >> made.txt"), shell("echo two >> made.txt"), "All done.")

site = site_of_module(AGENTS)


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
