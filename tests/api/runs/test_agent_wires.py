"""The money of outside agents in each wire: the record has the sums that the model counted, to the token."""

from typing import Any, NamedTuple

import pytest

from tests.support.agent_model import TOKENS, Cuts, Refuses, Step, shell
from tests.support.api import Json
from tests.support.outside_agents import AgentSite, site_of_module

PROVIDERS = {"openai-chat": "openai", "openai-responses": "openai", "anthropic": "anthropic", "gemini": "gemini"}
MODELS = {
    "openai-chat": "gpt-4o",
    "openai-responses": "gpt-4o",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
}
AGENTS = {
    **{wire: (f"wire={wire}", "title-call") for wire in PROVIDERS},
    **{f"late-{wire}": (f"wire={wire}", "late-call") for wire in PROVIDERS},
}
ALLOW_ALL = ({"match": {}, "approval": "allow"},)
BUDGET_USD = 0.001
SAID = "Half of an answer"
STEPS: tuple[Step, ...] = (*(shell(f"echo {number} >> made.txt") for number in range(3)), "All done.")


class Counted(NamedTuple):
    """The sums of a run's usage."""

    input_tokens: int
    output_tokens: int
    estimated: int


site = site_of_module(AGENTS)


def start(site: AgentSite, task: str, agent: str, *steps: Step, **policies: Any) -> str:
    wire = agent.removeprefix("late-")
    config: Json = {"provider": PROVIDERS[wire], "model": MODELS[wire], "tools": ["evidence"]}
    profile = site.profile(agent, permissions=ALLOW_ALL, policies=policies, config=config)
    return site.start(task, *steps, profile=profile)


def counted(site: AgentSite, run_id: str) -> Counted:
    usages = site.payloads(run_id, "usage.recorded")
    record = site.server.api.get(f"/runs/{run_id}")
    assert record.get("costMicroUsd", 0) == sum(one["costMicroUsd"] for one in usages)
    return Counted(
        sum(one["usage"]["inputTokens"] for one in usages),
        sum(one["usage"]["outputTokens"] for one in usages),
        sum(one.get("estimated", False) for one in usages),
    )


def tokens_in(size: int) -> int:
    return -(-size // 4)


@pytest.mark.heavy
@pytest.mark.parametrize("wire", PROVIDERS)
def test_a_thousandth_of_a_dollar_pauses_a_run_and_a_resume_finishes_it(site: AgentSite, wire: str) -> None:
    api, task = site.server.api, f"is poor in {wire}"
    run_id = start(site, task, wire, *STEPS, budgetUsd=BUDGET_USD)
    paused = api.await_event("run.paused", "run.completed", "run.failed", runId=run_id)
    assert (paused["type"], paused["payload"].get("reason")) == ("run.paused", "budget")
    assert paused["payload"]["spentMicroUsd"] <= paused["payload"]["budgetMicroUsd"] == BUDGET_USD * 1e6
    assert site.processes() == []
    api.post(f"/runs/{run_id}/resume", {"budgetUsd": 1})
    assert api.await_ending(run_id) == "run.completed"
    assert (site.files(run_id) / "made.txt").read_text() == "0\n1\n2\n"
    assert counted(site, run_id) == (*site.model.models[task].spent, 0)


@pytest.mark.heavy
@pytest.mark.parametrize("wire", PROVIDERS)
def test_a_call_that_was_cut_off_is_counted_by_the_bytes_that_passed(site: AgentSite, wire: str) -> None:
    task = f"is cut off in {wire}"
    run_id = start(site, task, f"late-{wire}", shell("echo 0 >> made.txt"), Cuts(SAID))
    assert site.server.api.await_ending(run_id) == "run.failed"
    whole, cut = site.model.models[task].asked
    given = TOKENS[0] if wire == "anthropic" else tokens_in(len(cut.raw.encode()))  # it counts the input first
    assert counted(site, run_id) == (TOKENS[0] + given, TOKENS[1] + tokens_in(len(SAID)), 1)
    assert whole.raw != cut.raw


@pytest.mark.heavy
@pytest.mark.parametrize("wire", PROVIDERS)
def test_a_refused_call_costs_nothing(site: AgentSite, wire: str) -> None:
    task = f"is refused in {wire}"
    run_id = start(site, task, f"late-{wire}", shell("echo 0 >> made.txt"), Refuses(500, {"error": {"message": "no"}}))
    assert site.server.api.await_ending(run_id) == "run.failed"
    assert counted(site, run_id) == (*TOKENS, 0)


@pytest.mark.heavy
@pytest.mark.parametrize("wire", PROVIDERS)
def test_a_late_call_is_counted_or_estimated(site: AgentSite, wire: str) -> None:
    task = f"asks late in {wire}"
    run_id = start(site, task, f"late-{wire}", "All done.")
    assert site.server.api.await_ending(run_id) == "run.completed"
    usages = site.payloads(run_id, "usage.recorded")
    whole = [one for one in usages if not one.get("estimated")]
    assert [(one["usage"]["inputTokens"], one["usage"]["outputTokens"]) for one in whole] == [TOKENS] * len(whole)
    assert 1 <= len(whole) <= len(usages) <= 2
