"""Permissions of an outside agent's calls over HTTP: a person decides, while the run is held or parked."""

import pytest

from tests.support.agent_model import Calls
from tests.support.api import Json, Refused
from tests.support.asks import answer
from tests.support.outside_agents import AgentSite, site_of_module

EDIT = Calls("edit", {"path": "out.txt", "text": "hi\n"})
ALLOW_ALL: tuple[Json, ...] = ({"match": {}, "approval": "allow"},)
PARKS: Json = {"asks": {"holdMs": 0}}
ASKER: Json = {"config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["ask_user"]}}
"""A profile whose agent may ask questions."""
AGENTS = {
    "fake": (),
    "ends": ("reject-ends",),
    "cancels": ("reject-cancels",),
    "only-always": ("only-always",),
    "forgets": ("forgets",),
    "asker": ("question",),
    "forgetful-asker": ("question", "forgets"),
}

site = site_of_module(AGENTS)


def order(site: AgentSite, run_id: str) -> list[str]:
    """Return the types of a run's events about its calls."""
    wanted = ("run.asked", "run.answered", "tool.called", "run.paused", "run.resumed", "agent.attached")
    return [kind for kind in site.types(run_id) if kind in wanted]


def test_an_allowed_call_is_recorded_after_the_answer_and_made(site: AgentSite) -> None:
    api = site.server.api
    run_id = site.start("asks first", EDIT, "Done.", profile=site.profile())
    api.await_event("run.asked", runId=run_id)
    record = api.get(f"/runs/{run_id}")
    assert (record["status"], record["waiting"]["reason"], record["waiting"]["parked"]) == ("running", "ask", False)
    (asked,) = site.payloads(run_id, "run.asked")
    assert (asked["origin"], asked["toolKind"], asked["toolName"]) == ("agent", "edit", "fake:edit")
    shown = api.get(f"/asks/{asked['askId']}")
    assert (shown["question"], shown["editable"]) == ("Allow edit: out.txt", False)
    assert shown["arguments"] == '{"path":"out.txt","text":"hi\\n"}'
    assert not (site.files(run_id) / "out.txt").exists()
    with pytest.raises(Refused, match="ASK_NOT_EDITABLE"):
        answer(api, run_id, editedArguments={"path": "other.txt", "text": ""})
    answer(api, run_id)
    assert api.await_ending(run_id) == "run.completed"
    assert order(site, run_id) == ["agent.attached", "run.asked", "run.answered", "tool.called"]
    (called,) = site.payloads(run_id, "tool.called")
    assert (called["askId"], called["toolCallId"]) == (asked["askId"], asked["toolCallId"])
    assert (site.files(run_id) / "out.txt").read_text() == "hi\n"


@pytest.mark.heavy
@pytest.mark.parametrize("agent", ["fake", "forgets"])
def test_a_parked_run_uses_its_answer_once_the_agent_asks_again(site: AgentSite, agent: str) -> None:
    api = site.server.api
    task = f"parks as {agent}"
    run_id = site.start(task, EDIT, "Done.", profile=site.profile(agent, **PARKS))
    api.await_event("run.paused", runId=run_id)
    assert site.processes() == []
    record = api.get(f"/runs/{run_id}")
    assert (record["status"], record["waiting"]["parked"]) == ("paused", True)
    if agent == "fake":  # it remembers the interrupted turn, so the next one stands at another place of the script
        site.model.script(task, "", EDIT, "Done.")
    answer(api, run_id)
    assert api.await_ending(run_id) == "run.completed"
    assert order(site, run_id) == [
        *("agent.attached", "run.asked", "run.paused", "run.answered", "run.resumed"),
        *("agent.attached", "tool.called"),
    ]
    assert (site.files(run_id) / "out.txt").read_text() == "hi\n"
    (asked,), (called,) = site.payloads(run_id, "run.asked"), site.payloads(run_id, "tool.called")
    assert (called["askId"], called["asked"]) == (asked["askId"], True)
    how = [one["how"] for one in site.payloads(run_id, "agent.attached")]
    assert how == ["new", "resumed" if agent == "fake" else "replayed"]


@pytest.mark.heavy
def test_an_agent_that_offers_no_single_permission_makes_no_call(site: AgentSite) -> None:
    run_id = site.start("always only", EDIT, "Not done.", profile=site.profile("only-always", ALLOW_ALL))
    site.server.api.await_ending(run_id)
    (called,) = site.payloads(run_id, "tool.called")
    assert called["refused"] == "denied"
    assert not (site.files(run_id) / "out.txt").exists()


# A call that was refused, and is made again

BEFORE = " This was decided earlier in the run, so no person was asked again."


@pytest.mark.parametrize(
    ("agent", "asks", "why"),
    [
        pytest.param("fake", {}, "refused", id="held"),
        pytest.param("fake", {"holdMs": 0}, "refused", id="parked"),
        pytest.param("forgets", {"holdMs": 0}, "refused", id="parked-forgets", marks=pytest.mark.heavy),
        pytest.param("fake", {"holdMs": 0, "expiresAfterMs": 1_000}, "in time", id="expired"),
    ],
)
def test_a_refusal_answers_the_same_call_for_the_rest_of_the_run(
    site: AgentSite, agent: str, asks: Json, why: str, request: pytest.FixtureRequest
) -> None:
    api, parked = site.server.api, "holdMs" in asks
    run_id = site.start(
        f"insists {request.node.callspec.id}", *[EDIT] * 5, "Not done.", profile=site.profile(agent, asks=asks)
    )
    api.await_event("run.paused" if parked else "run.asked", runId=run_id)
    if why == "refused":
        answer(api, run_id, "deny", note="not this file")
    assert api.await_ending(run_id) == "run.completed"
    assert len(site.payloads(run_id, "run.asked")) == 1, "the person was asked once"
    assert len(site.payloads(run_id, "agent.attached")) == 1 + parked, "the agent was started once more at most"
    calls = site.payloads(run_id, "tool.called")
    assert {one["refused"] for one in calls} == {"denied"}
    first, *others = site.results(run_id)
    assert why in first
    assert len(others) == len(calls) >= 3
    assert set(others) == {first + BEFORE}
    assert not (site.files(run_id) / "out.txt").exists()


def outcome(site: AgentSite, run_id: str) -> str:
    """Return what the agent said about its question."""
    return str(site.server.api.get(f"/runs/{run_id}")["output"])


def test_a_question_of_an_agent_is_answered_with_values(site: AgentSite) -> None:
    api = site.server.api
    run_id = site.start("asks for a color", "Done.", profile=site.profile("asker", **ASKER))
    asked = api.await_event("run.asked", runId=run_id)["payload"]
    assert (asked["kind"], asked["origin"], asked["toolName"]) == ("question", "agent", "ask_user")
    ask = api.get(f"/asks/{asked['askId']}")
    assert (ask["question"], ask["form"]["required"]) == ("Which color?", ["color"])
    with pytest.raises(Refused, match="color"):
        answer(api, run_id, "answer", values={"colour": "red"})
    answer(api, run_id, "answer", values={"color": "red"})
    assert api.await_ending(run_id) == "run.completed"
    assert outcome(site, run_id) == '{"action": "accept", "content": {"color": "red"}}Done.'
    session = api.get(f"/runs/{run_id}")["sessionId"]
    (result,) = [one for one in api.items(f"/sessions/{session}/transcript") if one["kind"] == "tool-result"]
    assert (result["content"], result.get("isError")) == ('{"color":"red"}', None)


@pytest.mark.heavy
@pytest.mark.parametrize("agent", ["asker", "forgetful-asker"])
def test_a_parked_question_is_used_once_the_agent_asks_again(site: AgentSite, agent: str) -> None:
    api = site.server.api
    run_id = site.start(f"parks its question as {agent}", "Done.", profile=site.profile(agent, **PARKS, **ASKER))
    api.await_event("run.paused", runId=run_id)
    assert site.processes() == []
    answer(api, run_id, "answer", values={"color": "blue"})
    assert api.await_ending(run_id) == "run.completed"
    assert outcome(site, run_id) == '{"action": "accept", "content": {"color": "blue"}}Done.'
    assert order(site, run_id) == [
        *("agent.attached", "run.asked", "run.paused", "run.answered", "run.resumed", "agent.attached"),
    ]
    prompt = site.model.models[f"parks its question as {agent}"].asked[-1].raw
    assert "A person was asked these questions." in prompt
