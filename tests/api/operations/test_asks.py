"""Asks over HTTP: what waits for a decision, with the text to approve, however many events follow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_core.decider import Outcome, facts_of
from athena_core.domain import plane
from athena_core.event import Meta
from tests.support.api import Json, refused_by
from tests.support.inside import Inside
from tests.support.workflow_builder import Builder, settled

CONSOLE_LOOKED_AT = 50_000  # the newest events that the fleet page of 0.1.0 searched for approvals
FURTHER_EVENTS = 2 * CONSOLE_LOOKED_AT


def approval(**fields: Any) -> Json:
    return {"id": "ask", "approval": {"message": "Publish the report?", **fields}}


def asked_by(build: Builder, run: Json, status: str = "open") -> list[Json]:
    return [ask for ask in build.api.items("/asks", status=status) if ask["workflowRunId"] == run["id"]]


def decide(build: Builder, ask: Json, verb: str, **fields: Any) -> None:
    path = f"/workflows/run/{ask['workflowRunId']}/steps/{ask['stepId']}/{verb}"
    build.api.post(path, {"subjectHash": ask["subjectHash"], **fields})


def test_an_ask_shows_all_that_is_approved_until_it_is_decided(build: Builder) -> None:
    steps = [build.step("a", "say {{word}}"), approval(approvers=["ada", "bob"], expiresAfterMs=86_400_000)]
    run = build.run(build.workflow([*steps, build.step("b")], "a>ask", "ask>b"), word="pears")
    (ask,) = asked_by(build, run)
    state = run["stepStates"]["ask"]["approval"]
    assert ask == {
        "id": state["askId"],
        "kind": "workflow-approval",
        "status": "open",
        "question": "Publish the report?",
        "subject": "Echo: user: say pears",
        "input": {"word": "pears"},
        "subjectHash": state["subjectHash"],
        "workflowId": run["workflowId"],
        "workflowRunId": run["id"],
        "stepId": "ask",
        "approvers": ["ada", "bob"],
        "role": "Operator",
        "options": [
            {"id": "approve", "kind": "allow_once", "name": "Approve"},
            {"id": "reject", "kind": "reject_once", "name": "Reject"},
        ],
        "parked": False,
        "editable": False,
        "askedAt": state["requestedAt"],
        "expiresAt": state["expiresAt"],
    }
    assert build.api.get(f"/asks/{ask['id']}") == ask
    assert refused_by(build.api.get, "/asks/ask_unknown") == (404, "NOT_FOUND")
    decide(build, ask, "approve", note="well said")
    settled(build, run["id"])
    assert asked_by(build, run) == []
    (decided,) = asked_by(build, run, "approved")
    assert decided["id"] == ask["id"]
    assert (decided["subject"], decided["note"], decided["decidedBy"]) == (ask["subject"], "well said", "local")
    assert decided["decidedAt"] >= decided["askedAt"]


def test_asks_are_paged_oldest_first_and_filtered(build: Builder) -> None:
    workflow_id = build.workflow([approval(), build.step("b")], "ask>b")
    runs = [build.run(workflow_id)["id"] for _ in range(3)]
    every = build.api.items("/asks", limit=1)
    assert [ask["workflowRunId"] for ask in every][-3:] == runs
    assert every == build.api.get("/asks", kind="workflow-approval")["items"]
    assert build.api.get("/asks", sessionId="s")["items"] == []
    assert refused_by(build.api.get, "/asks", status="waiting") == (400, "CONFIG_ERROR")
    assert refused_by(build.api.get, "/asks", kind="mail") == (400, "CONFIG_ERROR")
    for filtered in ({"kind": "question"}, {"runId": "run_1"}, {"harnessProfileId": "hp_01KB2M8Q4T7V9X1Z3A5C6E8G0H"}):
        assert build.api.get("/asks", **filtered)["items"] == []
    assert build.api.items("/asks", answerable=True) == every
    for hostile in ("%00", "x" * 3_000, "eyJraW5kIjoicnVucyJ9", "\N{PILE OF POO}"):
        assert refused_by(build.api.get, "/asks", cursor=hostile)[0] == 400


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    found = Inside(tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.mark.heavy
def test_an_ask_is_shown_after_100_000_further_events(inside: Inside) -> None:
    """The fleet page of 0.1.0 searched the newest 50,000 events, and lost the ask."""
    definition = {"steps": [approval()], "dependencies": []}
    workflow_id = inside.data("POST", "/workflows", {"definition": definition})["id"]
    run = inside.data("POST", f"/workflows/{workflow_id}/run", {})
    before = inside.data("GET", "/asks")
    _write_further_events(inside, FURTHER_EVENTS)
    head = inside.data("GET", "/events?limit=1")["head"]
    search = f"/events?types=workflow.approval.requested&cursor={head - CONSOLE_LOOKED_AT}&limit=500"
    assert inside.data("GET", search)["events"] == []
    assert inside.data("GET", "/asks") == before
    assert [ask["workflowRunId"] for ask in before["items"]] == [run["id"]]


def _write_further_events(inside: Inside, count: int) -> None:
    """Write events to the log, 500 a commit, without the requests that cause them."""
    mode = plane.AuthzModeActive(mode="off")
    facts = facts_of(plane.STREAM, (mode,) * 500)
    meta = Meta(actor="local", correlation="t", quiet=True)
    for _ in range(count // len(facts)):
        inside.call(inside.app.plane.log.submit, lambda *_: Outcome(facts=facts), meta)
