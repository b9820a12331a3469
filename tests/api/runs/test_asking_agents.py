"""Asks over HTTP: a model of another program asks for ``shell``, and a person decides."""

import threading
from collections.abc import Iterator
from itertools import product

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Json, opened
from tests.support.asks import answer
from tests.support.model import Profile, Step, acting, call
from tests.support.server import Server

ECHO: Step = call("shell", command=["/bin/sh", "-c", "echo done >> effects.txt"])


@pytest.fixture
def at_work(serve: Serve) -> Iterator[Server]:
    """A server with a model that asks for a command and then answers."""
    with acting((ECHO, "all done")) as model:
        yield serve(openai_base_url=model.url)


def profile_of(api: Api, **asks: object) -> str:
    return str(api.post("/harness-profiles", Profile(approval="ask", asks=asks).body)["id"])


def effects(server: Server) -> list[str]:
    path = server.workspace / "effects.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_a_caller_gets_the_result_if_the_answer_comes_during_the_hold(at_work: Server) -> None:
    profile_id = profile_of(at_work.api)
    person = threading.Thread(
        target=lambda: answer(at_work.api, at_work.api.await_event("run.asked")["runId"]), daemon=True
    )
    person.start()
    result = at_work.api.run("go", harnessProfileId=profile_id)
    person.join()
    assert (result["output"], effects(at_work)) == ("all done", ["done"])


def test_a_caller_gets_the_record_of_a_parked_run_and_the_answer_resumes_it(at_work: Server) -> None:
    started = at_work.api.send("/runs", {"input": "go", "harnessProfileId": profile_of(at_work.api, holdMs=0)})
    record: Json = opened(started)
    assert (started.status_code, record["status"]) == (202, "paused")
    assert (record["waiting"]["reason"], record["waiting"]["parked"]) == ("ask", True)
    assert effects(at_work) == []
    answer(at_work.api, record["runId"])
    assert at_work.api.await_ending(record["runId"]) == "run.completed"
    assert effects(at_work) == ["done"]


def test_always_answers_the_same_call_of_later_runs_and_each_use_names_the_rule(at_work: Server) -> None:
    profile_id = profile_of(at_work.api, holdMs=0)
    first = at_work.api.start("go", harnessProfileId=profile_id)["runId"]
    at_work.api.await_event("run.paused", runId=first)
    answer(at_work.api, first, remember="profile")
    at_work.api.await_ending(first)
    (rule,) = at_work.api.items("/permission-rules")
    for _ in range(2):
        run_id = at_work.api.run("go", harnessProfileId=profile_id)["runId"]
        (used,) = at_work.api.events(runId=run_id, types="run.answered")
        assert (used["payload"]["cause"], used["payload"]["ruleId"]) == ("rule", rule["id"])
    assert effects(at_work) == ["done"] * 3
    at_work.api.send(f"/permission-rules/{rule['id']}", method="DELETE")
    later = at_work.api.send("/runs", {"input": "go", "harnessProfileId": profile_id})
    assert later.status_code == 202


def test_an_ask_that_expires_refuses_the_call_or_cancels_the_run(at_work: Server) -> None:
    ends = {"deny": "run.completed", "cancel": "run.cancelled"}
    started = []
    for on_expiry, hold_ms in product(ends, (0, 60_000)):
        profile_id = profile_of(at_work.api, holdMs=hold_ms, expiresAfterMs=1_000, onExpiry=on_expiry)
        started.append((at_work.api.start("go", harnessProfileId=profile_id)["runId"], ends[on_expiry]))
    for run_id, ending in started:
        assert at_work.api.await_ending(run_id) == ending
        (decided,) = at_work.api.events(runId=run_id, types="run.answered")
        assert decided["payload"]["cause"] == "expiry"
    assert effects(at_work) == []
