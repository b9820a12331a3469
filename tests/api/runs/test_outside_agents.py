"""Runs that an outside agent executes, over HTTP, with the fake agent and a scripted model."""

import json
from itertools import takewhile

import pytest

from tests.support.agent_model import TOKENS, Calls, Cuts, shell
from tests.support.api import Json, until
from tests.support.asks import answer
from tests.support.outside_agents import AgentSite, site_of_module
from tests.support.programs import BOXED

ALLOW_ALL = ({"match": {}, "approval": "allow"},)
EDIT = Calls("edit", {"path": "out.txt", "text": "hi\n"})
SLEEP = shell("echo begun > begun.txt; sleep 1000")
AGENTS = {
    "fake": (),
    "silent": ("never-asks",),
    "titles": ("other-model",),
    "switches": ("other-model=turn", "end-turn-after-failure"),
    "open": ("shows-work",),
    "stubborn": ("ignores-cancel",),
}

site = site_of_module(AGENTS)


def test_an_agent_changes_a_file_and_answers(site: AgentSite) -> None:
    verifies: Json = {
        "verificationPolicies": [{"id": "c", "kind": "command", "label": "Made", "command": ["/bin/cat", "out.txt"]}],
        "toolPolicies": {"shell": {"commands": [["/bin/cat"]]}},
    }
    profile = site.profile(permissions=ALLOW_ALL, **verifies)
    run_id = site.start("makes a file", EDIT, shell("cat out.txt"), "It is done.", profile=profile)
    assert site.server.api.await_ending(run_id) == "run.completed"
    assert (site.files(run_id) / "out.txt").read_text() == "hi\n"
    assert site.types(run_id) == [
        *("run.created", "run.leased", "run.started", "transcript.appended", "workspace.created", "workspace.opened"),
        *("agent.attached", "usage.recorded", "tool.called", "transcript.appended"),
        *("usage.recorded", "tool.called", "transcript.appended", "usage.recorded", "transcript.appended"),
        *("evidence.attached", "evidence.attached", "workspace.changed", "run.completed"),
    ]
    record = site.server.api.get(f"/runs/{run_id}")
    assert (record["output"], record["verificationStatus"], record["evidenceCount"]) == ("It is done.", "passed", 2)
    assert record["usage"] == {"inputTokens": 3 * TOKENS[0], "outputTokens": 3 * TOKENS[1], "totalTokens": 81}
    (attached,) = site.payloads(run_id, "agent.attached")
    session = attached.pop("agentSessionId")
    assert session.startswith("fake-")
    assert attached == {
        "agent": "fake",
        "agentVersion": "fake 1.0",
        "protocolVersion": 1,
        "how": "new",
        "mode": "default",
        "model": "gpt-4o-mini",
    }
    edit, cat = site.payloads(run_id, "tool.called")
    assert (edit["origin"], edit["kind"], edit["asked"], edit["repeatable"]) == ("agent", "edit", True, False)
    assert (cat["kind"], cat["toolCallId"]) == ("execute", "call_1")
    assert site.processes() == []


def test_the_transcript_has_the_words_calls_and_results_of_the_agent(site: AgentSite) -> None:
    run_id = site.start("shows its work", EDIT, "Done now.", profile=site.profile(permissions=ALLOW_ALL))
    site.server.api.await_ending(run_id)
    session = site.server.api.get(f"/runs/{run_id}")["sessionId"]
    entries = site.server.api.items(f"/sessions/{session}/transcript")
    assert [(entry["role"], entry["kind"]) for entry in entries if entry["kind"] == "message"] == [
        ("user", "message"),
        ("assistant", "message"),
    ]
    (result,) = [entry for entry in entries if entry["kind"] == "tool-result"]
    assert result["content"] == "written\n--- /dev/null\n+++ out.txt\n@@ -0,0 +1 @@\n+hi"
    later = site.start("looks back", "I see.", profile=site.profile(permissions=ALLOW_ALL), sessionId=session)
    assert site.server.api.await_ending(later) == "run.completed"
    assert [one["how"] for one in site.payloads(later, "agent.attached")] == ["resumed"]
    messages = [str(one["content"]) for one in site.model.asked[-1].body["messages"]]
    assert "shows its work" in messages[0] and messages[-1] == "looks back", "the agent has the first run itself"


@pytest.mark.heavy
def test_an_agent_that_never_asks_is_recorded_at_the_first_sign_of_a_call(site: AgentSite) -> None:
    run_id = site.start("asks nothing", EDIT, "Done.", profile=site.profile("silent"))
    assert site.server.api.await_ending(run_id) == "run.completed"
    (called,) = site.payloads(run_id, "tool.called")
    assert called["asked"] is False
    assert site.payloads(run_id, "run.asked") == []


def test_a_denied_call_is_not_made(site: AgentSite) -> None:
    rules = ({"match": {"kind": "edit"}, "approval": "deny"}, *ALLOW_ALL)
    run_id = site.start("may not edit", EDIT, shell("true"), "Not done.", profile=site.profile(permissions=rules))
    assert site.server.api.await_ending(run_id) == "run.completed"
    assert not (site.files(run_id) / "out.txt").exists()
    denied, made = site.payloads(run_id, "tool.called")
    assert (denied["refused"], "refused" in made) == ("denied", False)


def test_reasoning_the_plan_and_open_calls_are_live_and_not_recorded(site: AgentSite) -> None:
    api = site.server.api
    rules = ({"match": {"kind": "execute"}, "approval": "allow"},)
    run_id = site.start("shows its plan", EDIT, SLEEP, profile=site.profile("open", rules), sessionId="live")
    with api.stream("/sessions/live/transcript/stream") as frames:
        shown = (frame.data["data"] for frame in frames if frame.event == "transcript.delta")
        before = next(one["activity"] for one in shown if one.get("activity", {}).get("calls"))
        assert before["thoughts"] == "I should do this first."
        assert before["plan"] == [
            {"text": "Change the file", "status": "in_progress"},
            {"text": "Run the tests", "status": "pending"},
        ]
        (edit,) = before["calls"]
        assert edit.pop("toolCallId")
        diff = "--- /dev/null\n+++ out.txt\n@@ -0,0 +1 @@\n+hi"
        assert edit == {"title": "out.txt", "kind": "edit", "status": "pending", "diff": diff}
        api.await_event("run.asked", runId=run_id)
        answer(api, run_id)
        begun = (one["activity"]["calls"][0] for one in shown if one.get("activity", {}).get("calls"))
        sleep = next(call for call in begun if call.get("output") == "begun")
        assert (sleep["kind"], sleep["status"]) == ("execute", "in_progress")
        api.post(f"/run-control/by-run/{run_id}/cancel")
        rest = list(takewhile(lambda one: not one.get("settled"), shown))
    assert rest[-1] == {"runId": run_id, "turn": rest[-1]["turn"], "activity": {}}
    assert "this first" not in json.dumps(api.events(runId=run_id))
    kept = [path for path in site.server.state_dir.rglob("*") if path.is_file()]
    assert [path for path in kept if b"this first" in path.read_bytes()] == []


# How it ends


@pytest.mark.heavy
def test_a_cancelled_run_leaves_no_process_and_its_open_call_is_interrupted(site: AgentSite) -> None:
    api = site.server.api
    run_id = site.start("never ends", SLEEP, "Done.", profile=site.profile(permissions=ALLOW_ALL))
    api.await_event("tool.called", runId=run_id)
    begun = site.files(run_id) / "begun.txt"
    until(begun.exists)
    api.post(f"/run-control/by-run/{run_id}/cancel")
    assert api.await_ending(run_id) == "run.cancelled"
    assert site.processes() == []
    (result,) = [one for one in site.payloads(run_id, "transcript.appended") if one["kind"] == "tool-result"]
    assert result["isError"]
    assert site.types(run_id)[-3:] == ["evidence.attached", "workspace.changed", "run.cancelled"]


@pytest.mark.heavy
def test_a_title_of_a_model_that_the_profile_does_not_allow_decides_nothing(site: AgentSite) -> None:
    profile = site.profile("titles", permissions=ALLOW_ALL)
    run_id = site.start("has no title", EDIT, "Done.", profile=profile)
    assert site.server.api.await_ending(run_id) == "run.completed"
    assert len(site.payloads(run_id, "usage.recorded")) == 2


@pytest.mark.heavy
def test_a_turn_that_goes_on_with_such_a_model_fails(site: AgentSite) -> None:
    profile = site.profile("switches", permissions=ALLOW_ALL)
    run_id = site.start("changes its model", EDIT, "Done.", profile=profile)
    assert site.server.api.await_ending(run_id) == "run.failed"
    assert site.failure(run_id)[0] == "PROVIDER_ERROR"


@pytest.mark.heavy
def test_an_answer_that_is_cut_off_fails_the_run(site: AgentSite) -> None:
    run_id = site.start("is cut", Cuts("Half"), profile=site.profile())
    assert site.server.api.await_ending(run_id) == "run.failed"
    assert site.failure(run_id)[0] == "PROVIDER_ERROR"


@pytest.mark.heavy
def test_a_server_that_stops_leaves_the_run_to_the_next_one(site: AgentSite) -> None:
    api, task = site.server.api, "outlives its server"
    run_id = site.start(task, SLEEP, "Done after all.", profile=site.profile(permissions=ALLOW_ALL))
    api.await_event("tool.called", runId=run_id)
    begun = site.files(run_id) / "begun.txt"
    until(begun.exists)
    assert site.server.stop() == 0
    assert site.processes() == []
    site.server.start()
    assert site.server.api.await_ending(run_id) == "run.completed"
    assert [one["how"] for one in site.payloads(run_id, "agent.attached")] == ["new", "resumed"]
    (result,) = [one for one in site.payloads(run_id, "transcript.appended") if one["kind"] == "tool-result"]
    assert result["interrupted"]
    prompt = str(site.model.asked[-1].body["messages"][-1]["content"])
    assert "outcome is unknown" in prompt and "sleep 1000" in prompt


# In a sandbox


@pytest.mark.heavy
@BOXED
def test_an_agent_in_a_sandbox_reaches_its_model_and_its_workspace_only(site: AgentSite) -> None:
    look = shell(f"ls -A {site.server.state_dir}; ls -A $HOME; echo $HOME; echo made > made.txt")
    profile = site.profile(permissions=ALLOW_ALL, sandbox={"mode": "required"})
    run_id = site.start("looks around", look, "Seen.", profile=profile)
    assert site.server.api.await_ending(run_id) == "run.completed"
    assert (site.files(run_id) / "made.txt").read_text() == "made\n"
    session = site.server.api.get(f"/runs/{run_id}")["sessionId"]
    (result,) = [
        one for one in site.server.api.items(f"/sessions/{session}/transcript") if one["kind"] == "tool-result"
    ]
    assert "/tmp/home" in result["content"] and "log.db" not in result["content"]
    assert [one["sandbox"]["phase"] for one in site.server.api.events(runId=run_id) if "sandbox" in one] == [
        "ready",
        "cleaned",
    ]
    assert len(site.payloads(run_id, "usage.recorded")) == 2
    assert site.processes() == []
