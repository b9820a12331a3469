"""Workflows over HTTP: branches, failures, resumes, conditions, lists, approvals, cancels, limits."""

from typing import Any

import pytest

from tests.support.api import Json, Refused, refused_by
from tests.support.gate import Gates
from tests.support.workflow_builder import Builder, attempts, settled, statuses


def output(run: Json, step_id: str) -> str:
    return str(run["stepStates"][step_id]["checkpoint"]["artifact"]["output"])


def test_a_workflow_is_what_was_written(build: Builder) -> None:
    step = build.step("a", outputs=["output"], execution={"maxAttempts": 2, "metadata": {"team": "red"}})
    workflow_id = build.workflow([step])
    made = build.api.get(f"/workflows/{workflow_id}")
    assert made["definition"] == {"steps": [step], "dependencies": []}
    assert build.api.get("/workflows")["items"][0] == made
    observed = build.api.get(f"/workflows/run/{workflow_id}")
    assert (observed["run"], observed["nodes"], observed["workflow"]) == (None, [], made)
    progress = observed["progress"]
    assert (progress["totalSteps"], progress["pendingSteps"], progress["percentComplete"]) == (1, 1, 0)
    (event,) = build.api.events(types="workflow.created")[-1:]
    assert (event["payload"]["workflowId"], event["payload"]["stepCount"]) == (workflow_id, 1)
    assert "red" not in str(event)


def test_resume_starts_a_workflow_and_answers_its_run_once_it_is_through(build: Builder) -> None:
    workflow_id = build.chain("a", "b", "c")
    run = build.resume(workflow_id)
    assert (run["status"], run["stepOrder"], run["schemaVersion"]) == ("ok", ["a", "b", "c"], 1)
    assert statuses(run) == {"a": "ok", "b": "ok", "c": "ok"}
    state = run["stepStates"]["b"]
    assert state["dependencyReadiness"] == {"totalDependencies": 1, "readyDependencies": 1, "blockingStepIds": []}
    assert (state["attempt"], state["ready"], state["checkpoint"]["artifact"]["kind"]) == (1, True, "run-result")
    assert output(run, "b") == "Echo: user: hello"
    types = build.api.types(types="workflow.run.created,workflow.resumed,workflow.run.completed")[-3:]
    assert types == ["workflow.run.created", "workflow.resumed", "workflow.run.completed"]
    observed = build.api.get(f"/workflows/run/{run['id']}")
    assert observed["run"] == run
    assert observed["progress"]["percentComplete"] == 100
    assert observed["eta"]["source"] == "completed"
    ref = f"workflow-run:{run['id']}:step:a:artifact:run-result"
    assert observed["artifactRefs"][0]["artifactRef"] == ref
    step_run = build.api.get(f"/runs/{state['runId']}")
    assert step_run["sessionId"].startswith("wf-")
    assert build.resume(run["id"]) == run, "what is through stays as it is"
    second = build.resume(workflow_id)
    assert (second["resumedFromRunId"], second["status"]) == (run["id"], "ok")
    assert build.api.get(f"/workflows/run/{workflow_id}")["run"]["id"] == second["id"]
    assert [one["id"] for one in build.api.items(f"/workflows/{workflow_id}/runs")] == [second["id"], run["id"]]


def test_the_same_key_starts_one_run(build: Builder) -> None:
    workflow_id = build.chain("a")
    first = build.api.post(f"/workflows/{workflow_id}/run", key="wf-once")
    assert build.api.post(f"/workflows/{workflow_id}/run", key="wf-once") == first
    assert len(build.api.items(f"/workflows/{workflow_id}/runs")) == 1


def test_branches_run_at_once_and_a_failed_one_does_not_stop_the_other(build: Builder, shared_gates: Gates) -> None:
    gate = shared_gates["both"]
    workflow_id = build.workflow(
        [
            build.step("a"),
            build.step("left", gate.order, gated=True),
            build.step("right", gate.order, gated=True),
            build.step("bad", "fail", gated=True),
            build.step("after-left"),
            build.step("after-bad"),
        ],
        *("a>left", "a>right", "a>bad", "left>after-left", "bad>after-bad"),
    )
    record = build.api.post(f"/workflows/{workflow_id}/run", respond_async=True)
    gate.arrival(), gate.arrival()
    again = build.resume(workflow_id)
    assert (again["id"], again["status"]) == (record["id"], "running"), "one at a time: it is the one in progress"
    gate.release(2)
    run = settled(build, record["id"])
    assert run["status"] == "failed"
    assert statuses(run) == {
        **{"a": "ok", "left": "ok", "right": "ok", "bad": "failed", "after-left": "ok", "after-bad": "pending"}
    }
    blocked = run["stepStates"]["after-bad"]
    assert (blocked["ready"], blocked["dependencyReadiness"]["blockingStepIds"]) == (False, ["bad"])
    assert "PROVIDER_ERROR" in run["stepStates"]["bad"]["checkpoint"]["error"]


def test_a_resume_repeats_what_failed_and_nothing_else(build: Builder) -> None:
    mend = "{{order}}"
    workflow_id = build.workflow(
        [build.step("a"), build.step("b", mend, gated=True), build.step("c"), build.step("d")], "a>b", "b>c", "a>d"
    )
    run = build.run(workflow_id, order="fail")
    assert (run["status"], statuses(run)) == ("failed", {"a": "ok", "b": "failed", "c": "pending", "d": "ok"})
    plan = build.resume(workflow_id, dryRun=True)
    assert plan["dryRun"] == {"resets": ["b"], "keeps": ["a", "d"], "startsNewRun": False}
    assert build.api.get(f"/workflows/run/{run['id']}")["run"] == run, "a rehearsal changes nothing"
    still = build.resume(workflow_id)
    assert (still["status"], attempts(still)["b"]) == ("failed", 2)
    mended = build.resume(workflow_id, inputOverrides={"order": "fine"})
    assert (mended["id"], mended["status"]) == (run["id"], "ok")
    assert attempts(mended) == {"a": 1, "b": 3, "c": 1, "d": 1}
    assert output(mended, "b") == "said: fine"
    assert "finishedAt" in mended


def test_outputs_fill_the_directives_of_later_steps(build: Builder) -> None:
    steps = [
        build.step("a", 'json {"score": 7, "words": ["x", "y"]}', gated=True),
        build.step("b", "{{all}} / {{topic}}"),
    ]
    edge = {"from": "a", "to": "b", "mappings": [{"fromOutput": "output", "toInput": "all"}]}
    run = build.run(build.workflow(steps, edge), topic="pears")
    assert output(run, "b") == 'Echo: user: said: json {"score": 7, "words": ["x", "y"]} / pears'


def test_outputs_that_are_declared_have_to_be_there(build: Builder) -> None:
    steps = [build.step("a", outputs=["score"]), build.step("b", "{{score}}")]
    edge = {"from": "a", "to": "b", "mappings": [{"fromOutput": "score", "toInput": "score"}]}
    run = build.run(build.workflow(steps, edge))
    assert run["stepStates"]["a"]["checkpoint"]["error"].startswith("OUTPUT_MISSING: the output is not a JSON object")
    wrong = {"from": "a", "to": "b", "mappings": [{"fromOutput": "score", "toInput": "nothing"}]}
    with pytest.raises(Refused, match="has no placeholder 'nothing'"):
        build.workflow(steps, wrong)


def test_rules_and_conditions_say_which_steps_run(build: Builder) -> None:
    on = {"op": "contains", "value": "hello"}
    steps = [
        build.step("bad", "fail", gated=True),
        build.step("good"),
        build.step("yes", when={"step": "good", **on}),
        build.step("no", when={"step": "good", **on, "value": "bye"}),
        build.step("below-no"),
        build.step("clean-up", triggerRule="all-done"),
        build.step("alarm", triggerRule="one-failed"),
        build.step("calm", triggerRule="one-failed"),
        build.step("puzzled", when={"step": "good", "op": "eq", "path": "/x", "value": 1}),
    ]
    edges = ("good>yes", "good>no", "no>below-no", "bad>clean-up", "good>clean-up", "bad>alarm", "good>calm")
    run = build.run(build.workflow(steps, *edges, "good>puzzled"))
    assert run["status"] == "failed"
    assert statuses(run) == {
        "bad": "failed",
        "good": "ok",
        "yes": "ok",
        "no": "skipped",
        "below-no": "skipped",
        "clean-up": "ok",
        "alarm": "ok",
        "calm": "skipped",
        "puzzled": "failed",
    }
    assert run["stepStates"]["no"]["note"] == "condition"
    assert run["stepStates"]["puzzled"]["checkpoint"]["error"].startswith("CONDITION_ERROR")


def test_a_step_runs_once_for_each_item_and_again_only_for_those_that_failed(build: Builder) -> None:
    steps = [
        build.step("each", "{{item}} {{index}}", gated=True, map={"input": "orders", "maxParallel": 2}),
        build.step("sum", "{{all}}"),
    ]
    edge = {"from": "each", "to": "sum", "mappings": [{"fromOutput": "output", "toInput": "all"}]}
    workflow_id = build.workflow(steps, edge)
    run = build.run(workflow_id, orders=["x", "y", "z"])
    assert run["status"] == "ok"
    assert [item["status"] for item in run["stepStates"]["each"]["items"]] == ["ok"] * 3
    assert output(run, "each") == '["said: x 0","said: y 1","said: z 2"]'
    assert output(run, "sum") == 'Echo: user: ["said: x 0","said: y 1","said: z 2"]'
    assert build.run(workflow_id, orders=[])["status"] == "ok"
    failing = build.run(workflow_id, orders=["x", "fail"])
    assert [item["status"] for item in failing["stepStates"]["each"]["items"]] == ["ok", "failed"]
    again = build.resume(failing["id"])
    assert [item["attempt"] for item in again["stepStates"]["each"]["items"]] == [1, 2]
    with pytest.raises(Refused, match="the items of step 'each' come from it"):
        build.resume(failing["id"], inputOverrides={"orders": ["x", "y"]})
    assert build.run(workflow_id, orders="none")["stepStates"]["each"]["checkpoint"]["error"].startswith("MAP_ERROR")


def approval(**fields: Any) -> Json:
    return {"id": "ask", "approval": {"message": "ship it?", **fields}}


def test_an_approval_is_waited_for_and_binds_to_its_subject(build: Builder) -> None:
    workflow_id = build.workflow([build.step("a"), approval(), build.step("b")], "a>ask", "ask>b")
    run = build.run(workflow_id)
    assert (run["status"], statuses(run)) == ("waiting", {"a": "ok", "ask": "waiting", "b": "pending"})
    asked = run["stepStates"]["ask"]["approval"]
    assert asked["message"] == "ship it?"
    path = f"/workflows/run/{run['id']}/steps/ask"
    assert refused_by(build.api.post, f"{path}/approve", {"subjectHash": "0" * 64}) == (409, "CONFLICT")
    build.api.post(f"{path}/approve", {"subjectHash": asked["subjectHash"], "note": "fine"})
    assert settled(build, run["id"])["status"] == "ok"
    build.api.post(f"{path}/approve", {"subjectHash": asked["subjectHash"]})
    assert refused_by(build.api.post, f"{path}/reject", {"subjectHash": asked["subjectHash"]})[1] == "CONFLICT"


def test_errors_in_a_definition_name_their_steps(build: Builder) -> None:
    steps = [build.step("a"), build.step("b")]
    with pytest.raises(Refused) as caught:
        build.workflow(steps, "a>b", "b>a")
    assert "the steps a, b form a cycle" in caught.value.error["message"]
    with pytest.raises(Refused) as caught:
        build.workflow([{**steps[0], "directiveId": "dir_none"}, {**steps[1], "harnessProfileId": "hp_none"}])
    fields = [fault["field"] for fault in caught.value.error["details"]]
    assert fields == ["definition.steps[0].directiveId", "definition.steps[1].harnessProfileId"]


def test_an_estimate_comes_from_history_and_says_how_often_it_held(build: Builder) -> None:
    workflow_id = build.workflow([build.step("a"), approval(), build.step("b")], "a>ask", "ask>b")
    for count in range(3):
        run = build.run(workflow_id)
        observed = build.api.get(f"/workflows/run/{run['id']}")
        if count:
            eta = observed["eta"]
            assert eta["source"] == "historical-average"
            assert set(eta["remainingMs"]) == {"p50", "p80", "p95"}
        asked = run["stepStates"]["ask"]["approval"]["subjectHash"]
        build.api.post(f"/workflows/run/{run['id']}/steps/ask/approve", {"subjectHash": asked})
        settled(build, run["id"])
    held = build.api.get(f"/workflows/run/{workflow_id}")["eta"]["held"]
    assert held["runs"] == 2
