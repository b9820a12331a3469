"""Agents over HTTP: turns and tools, limits, budgets and pauses, against a server that speaks OpenAI's protocol."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Json, Refused, opened, refused_by, soon
from tests.support.gate import Gates
from tests.support.model import Model, Profile, Step, acting, call, turn_of
from tests.support.server import Server
from tests.support.stub import ANTHROPIC, OPENAI, Asked, Behaviour, Stub, data, says, says_and_waits, standing

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


def test_tools_of_one_turn_are_called_one_after_another(at_work: Agent) -> None:
    both: Step = (
        ("files", {"action": "write", "path": "a.txt", "content": "first"}),
        ("files", {"action": "read", "path": "a.txt"}),
    )
    with at_work(both, "done") as (server, model):
        server.api.await_ending(begin(server.api)["runId"])
        assert "first" in model.requests[-1]["messages"][-1]["content"]


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


def test_a_run_without_a_profile_has_no_tools(at_work: Agent) -> None:
    with at_work("hello") as (server, model):
        assert server.api.run("hi", provider="openai", model="gpt-4o-mini")["output"] == "hello"
        assert "tools" not in model.requests[0]


def test_a_run_has_as_many_turns_as_its_profile_says(at_work: Agent) -> None:
    script = [call("files", action="list", path=str(number)) for number in range(9)]
    with at_work(*script) as (server, model):
        profile = profile_of(server.api, Profile(max_turns=3))
        assert refused_by(server.api.run, "go", harnessProfileId=profile) == (502, "TURN_LIMIT")
        assert sum(model.turns.values()) == 3


def test_what_a_command_verifies_is_judged_after_the_answer_was_recorded(at_work: Agent) -> None:
    checks = ({"id": "v", "kind": "command", "label": "Checked", "command": ["/bin/sh", "-c", "test -f done.txt"]},)
    with at_work(NOTE, "done") as (server, _):
        run = begin(server.api, Profile(verification=checks))
        assert server.api.await_ending(run["runId"]) == "run.completed"
        record = server.api.get(f"/runs/{run['runId']}")
        assert (record["verificationStatus"], record["evidenceCount"]) == ("passed", 2)
        assert server.api.types(runId=run["runId"])[-4:] == [
            *("transcript.appended", "usage.recorded", "evidence.attached", "run.completed")
        ]


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


def test_a_paused_run_keeps_its_session_and_not_its_slot(at_work: Agent) -> None:
    with at_work(READ, NOTE, "all done") as (server, _):
        server.api.put_policy(maxConcurrentRuns=1)
        api, run_id = server.api, paused(server.api, sessionId="kept")
        waiting = api.start("me too", sessionId="kept")
        assert waiting["waiting"] == {"reason": "session-busy", "position": 1, "blockedBy": run_id}
        assert api.run("elsewhere")["output"]
        opened(api.send(f"/runs/{run_id}/resume", {"budgetUsd": 1}))
        assert api.await_ending(waiting["runId"]) == "run.completed"


def test_without_a_free_slot_a_run_stays_paused(at_work: Agent, gates: Gates) -> None:
    local = {name: value for name, value in gates.settings.items() if name.startswith("local")}
    with at_work(READ, NOTE, "all done", **local) as (server, _):
        server.api.put_policy(maxConcurrentRuns=1)
        api, run_id, gate = server.api, paused(server.api), gates["slot"]
        other = api.start(gate.order, provider="local-exec")
        assert refusal(api, run_id, {"budgetUsd": 1}) == (429, "POLICY_CONCURRENCY_LIMIT_EXCEEDED")
        assert api.get(f"/runs/{run_id}")["status"] == "paused"
        gate.release()
        api.await_ending(other["runId"])
        assert opened(api.send(f"/runs/{run_id}/resume", {"budgetUsd": 1}))["status"] == "completed"


def test_a_paused_run_is_cancelled_at_once_and_who_waits_for_its_session_is_admitted(at_work: Agent) -> None:
    with at_work(READ, NOTE, "all done") as (server, _):
        api, run_id = server.api, paused(server.api, sessionId="kept")
        waiting = api.start("me too", sessionId="kept")
        api.post(f"/run-control/by-run/{run_id}/cancel")
        assert api.get(f"/runs/{run_id}")["status"] == "cancelled"
        assert api.await_ending(waiting["runId"]) == "run.completed"


def test_a_paused_run_stays_paused_across_a_restart_and_goes_on_from_there(at_work: Agent) -> None:
    with at_work(READ, NOTE, "all done") as (server, model):
        run_id = paused(server.api)
        server.kill()
        server.start()
        assert server.api.get(f"/runs/{run_id}")["status"] == "paused"
        assert opened(server.api.send(f"/runs/{run_id}/resume", {"budgetUsd": 1}))["output"] == "all done"
        assert model.turns == {1: 1, 2: 1, 3: 1}


def test_a_budget_for_a_model_without_a_price_is_refused(at_work: Agent) -> None:
    with at_work("hi") as (server, _):
        body = Profile(budget_usd=1).body
        body["config"]["model"] = "somebodys-own-model"
        profile = server.api.post("/harness-profiles", body)["id"]
        with pytest.raises(Refused) as refused:
            server.api.run("go", harnessProfileId=profile)
        assert (refused.value.status, refused.value.code) == (400, "CONFIG_ERROR")
        assert "unpriced-model" in refused.value.error["message"]


def as_long_as_it_may(asked: Asked) -> Behaviour:
    """Answer with 1,000 tokens, or fewer if ``max_tokens`` is lower."""
    may = int(asked.body.get("max_tokens", 10_000))
    words, end = ("all of it", OPENAI.end(1_000, 1_000)) if may >= 1_000 else ("a part", OPENAI.end(900, may))
    end = end if may >= 1_000 else end.replace(b'"finish_reason": "stop"', b'"finish_reason": "length"')
    return says(OPENAI.head, OPENAI.start, OPENAI.text(words), end)


def test_words_that_the_budget_cuts_off_are_no_answer(serve: Serve) -> None:
    with standing(as_long_as_it_may) as stub:
        api = serve(openai_base_url=stub.url).api
        profile = profile_of(api, Profile(budget_usd=300 / 1e6))
        paused = opened(api.send("/runs", {"input": "go", "harnessProfileId": profile, "sessionId": "s"}))
        assert (paused["status"], paused["paused"]["reason"]) == ("paused", "budget")
        said = api.get("/sessions/s/transcript")["items"][-1]
        assert (said["content"], said["metadata"]["truncated"], said["metadata"]["interrupted"]) == (
            "a part",
            "true",
            "true",
        )
        done = opened(api.send(f"/runs/{paused['runId']}/resume", {}))
        assert (done["status"], done["output"]) == ("completed", "all of it")
        assert [message["role"] for message in stub.asked[-1].body["messages"]] == ["user"], "it is asked anew"
        assert [one["turn"] for one in payloads(api, paused["runId"], "usage.recorded")] == [1, 2]


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


def test_an_attempt_in_vain_that_spent_the_budget_pauses_the_run(breaking: tuple[Api, Stub]) -> None:
    api, stub = breaking
    profile = profile_of(api, Profile(retry_limit=5, budget_usd=TURN_MICRO_USD / 1e6))
    paused = opened(api.send("/runs", {"input": "go", "harnessProfileId": profile}))
    assert (paused["status"], paused["costMicroUsd"], len(stub.asked)) == ("paused", TURN_MICRO_USD, 1)
    done = opened(api.send(f"/runs/{paused['runId']}/resume", {"budgetUsd": 1}))
    assert (done["status"], done["output"], done["costMicroUsd"]) == ("completed", "all done", 2 * TURN_MICRO_USD)


@pytest.mark.parametrize(("retry_limit", "policy"), [(1, {}), (5, {"retryBudgetPerRun": 0})])
def test_the_last_failure_ends_the_run_with_its_cost(
    breaking: tuple[Api, Stub], retry_limit: int, policy: Json
) -> None:
    api, stub = breaking
    api.put("/policy", {"schemaVersion": 1, **policy})
    profile = profile_of(api, Profile(retry_limit=retry_limit))
    with pytest.raises(Refused, match="truncated") as refused:
        api.run("go", harnessProfileId=profile)
    record = api.get(f"/runs/{refused.value.error['details']['runId']}")
    assert (record["status"], record["costMicroUsd"], len(stub.asked)) == ("failed", TURN_MICRO_USD, 1)


@pytest.mark.parametrize("how", ["run.cancelled", "run.timed-out"])
def test_a_call_that_is_stopped_in_mid_stream_is_paid(serve: Serve, how: str) -> None:
    says_some = says_and_waits(ANTHROPIC.head, ANTHROPIC.start, ANTHROPIC.text("some words of it"))
    with standing(lambda asked: says_some) as stub:
        timeout = "3000" if how == "run.timed-out" else "600000"  # the call has to begin first
        api = serve(anthropic_base_url=stub.url, runtime_run_timeout_ms=timeout).api
        run_id = api.start("go", provider="anthropic", model="claude-haiku-4-5", sessionId="s")["runId"]
        if how == "run.cancelled":
            with api.stream("/sessions/s/transcript/stream") as frames:
                next(frame for frame in frames if frame.event == "transcript.delta")
            api.post(f"/run-control/by-run/{run_id}/cancel")
        assert api.await_ending(run_id) == how
        (usage,) = payloads(api, run_id, "usage.recorded")
        assert (usage["failed"], usage["turn"], usage["estimated"]) == (True, 1, True)
        assert usage["usage"] == {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13}
        assert api.get(f"/runs/{run_id}")["costMicroUsd"] == usage["costMicroUsd"] > 0


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
        for _ in soon():
            if begun.exists():
                break
        server.kill()
        server.start()
        assert server.api.await_ending(run["runId"]) == "run.completed"
        assert begun.read_text() == "begun\n"
        (told,) = [message for message in model.requests[-1]["messages"] if message["role"] == "tool"]
        assert "outcome is unknown" in told["content"]
        results = [one for one in payloads(server.api, run["runId"], "transcript.appended") if one["role"] == "tool"]
        assert [one["interrupted"] for one in results] == [True]
