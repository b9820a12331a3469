"""Workflow runs as deciders: steps, attempts, items, approvals, resumes, ends."""

from typing import Any

import pytest
from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import Context
from athena_core.definitions.workflow_graph import WorkflowGraph
from athena_core.domain import workflow_run as wr
from athena_core.errors import ConfigError, Contradicted, NotFound
from athena_core.event import Event, Meta
from tests.core.domain.given import NOW, Given
from tests.support.counted import lines
from tests.support.events.workflow_run import CREATED, ENDED, completed, failed, resumed, started
from tests.support.workflow_graphs import approval, graph, step

PAIR = graph("ab", "a>b")


def given(*events: Event) -> Given[wr.WorkflowRunState]:
    return Given(wr.DECIDER, wr.decide, CREATED, *events)


def start(step_id: str, attempt: int = 1, **fields: Any) -> wr.StartStep:
    return wr.StartStep(step_id=step_id, run_id=f"run_{step_id}{attempt}", **fields)


def ended(step_id: str = "a", attempt: int = 1, **fields: Any) -> wr.StepRunEnded:
    return wr.StepRunEnded(step_id=step_id, run_id=f"run_{step_id}{attempt}", **fields)


def advance(
    of: WorkflowGraph = PAIR, *moves: wr.StepCommand, over: tuple[wr.StepRunEnded, ...] = ()
) -> wr.AdvanceWorkflowRun:
    return wr.AdvanceWorkflowRun(graph=of, ended=over, moves=moves)


def resume(of: WorkflowGraph = PAIR, **values: Any) -> wr.ResumeWorkflowRun:
    return wr.ResumeWorkflowRun(workflow_run_id="wfr_1", requested_by="bob", graph=of, input=values)


def test_a_run_is_created_once() -> None:
    command = wr.CreateWorkflowRun(workflow_id="wf_1", requested_by="ada", input={})
    Given(wr.DECIDER, wr.decide).when(command).then(CREATED)
    given().when(command).then_nothing()


def test_a_step_starts_once_and_only_after_its_parents() -> None:
    given().when(advance(PAIR, start("a"), start("b"))).then(started())
    given(started()).when(advance(PAIR, start("a", 2))).then_nothing()
    given(started(), completed()).when(advance(PAIR, start("a", 2), start("b"))).then(started("b"))


def test_an_end_and_the_next_start_are_one_decision_also_when_repeated() -> None:
    command = advance(PAIR, start("b"), over=(ended(output_chars=0),))
    given(started()).when(command).then(completed(), started("b"))
    given(started(), completed(), started("b")).when(command).then_nothing()


def test_attempts_are_used_up_before_a_step_fails() -> None:
    twice = graph([step("a", execution={"maxAttempts": 2})])
    over = ended(code="X", message="no")
    given(started()).when(advance(twice, over=(over,))).then(failed(again=True))
    second = (started(), failed(again=True), started(attempt=2))
    last = advance(twice, over=(ended(attempt=2, code="X", message="no"),))
    given(*second).when(last).then(failed(attempt=2), ENDED)


def test_a_cancelled_run_is_not_tried_again() -> None:
    twice = graph([step("a", execution={"maxAttempts": 2})])
    over = ended(code="RUN_CANCELLED", message="no", cancelled=True)
    given(started()).when(advance(twice, over=(over,))).then_types(wr.WorkflowStepFailed, wr.WorkflowRunFailed)


def test_a_run_ends_when_nothing_can_begin_any_more() -> None:
    done = (started(), completed(), started("b"))
    given(*done).when(advance(PAIR, over=(ended("b"),))).then_types(wr.WorkflowStepCompleted, wr.WorkflowRunCompleted)
    branches = graph("abc", "a>b")
    given(started(), started("c")).when(advance(branches, over=(ended(code="X", message="no"),))).then(failed())


def test_a_resume_begins_what_failed_and_counts_on() -> None:
    over = (started(), failed(), ENDED)
    given(*over).when(resume()).then(resumed("a"))
    given(*over, resumed("a")).when(resume()).then_nothing()
    given(*over, resumed("a")).when(advance(PAIR, start("a", 2))).then(started(attempt=2))
    through = (started(), completed(), started("b"), completed("b"), wr.WorkflowRunCompleted(workflow_id="wf_1"))
    given(*through).when(resume()).then_nothing()


def test_steps_skipped_after_a_failure_begin_again_with_it() -> None:
    three = graph([step("a"), step("b"), step("c", triggerRule="one-failed")], "a>b", "a>c")
    skipped = wr.WorkflowStepSkipped(workflow_id="wf_1", step_id="b", reason="upstream-skipped")
    over = (started(), failed(), started("c"), completed("c"), skipped, ENDED)
    (event,) = given(*over).when(resume(three)).then_types(wr.WorkflowResumed)
    assert getattr(event, "reset", None) == ("a", "b"), "c is ok and stays so"


EACH = graph([step("a", map={"input": "list"})])


def test_items_start_end_and_are_gathered() -> None:
    expand = wr.ExpandStep(step_id="a", items=2)
    expanded = wr.WorkflowStepExpanded(workflow_id="wf_1", step_id="a", items=2)
    given().when(advance(EACH, expand)).then(expanded)
    given(expanded).when(advance(EACH, expand)).then_nothing()
    first, second = started(item=0), started(attempt=1, item=1)
    second = wr.WorkflowStepStarted(workflow_id="wf_1", step_id="a", attempt=1, step_run_id="run_x", item=1)
    over = (ended(item=0), wr.StepRunEnded(step_id="a", run_id="run_x", item=1))
    types = (
        given(expanded, first, second)
        .when(advance(EACH, over=over))
        .then_types(*(wr.WorkflowStepCompleted,) * 3, wr.WorkflowRunCompleted)
    )
    assert [getattr(event, "item", None) for event in types] == [0, 1, None, None]
    bad = (over[0], wr.StepRunEnded(step_id="a", run_id="run_x", item=1, code="X", message="no"))
    events = (
        given(expanded, first, second)
        .when(advance(EACH, over=bad))
        .then_types(wr.WorkflowStepCompleted, wr.WorkflowStepFailed, wr.WorkflowStepFailed, wr.WorkflowRunFailed)
    )
    again = given(expanded, first, second, *events)
    again.when(resume(EACH, list=[])).then_rejected(ConfigError)
    (event,) = again.when(resume(EACH)).then_types(wr.WorkflowResumed)
    state = wr.evolve(again.state, event)
    assert [one.status for one in state.step("a").items or ()] == ["ok", "pending"]
    given().when(advance(EACH, wr.ExpandStep(step_id="a", items=0))).then_types(
        wr.WorkflowStepExpanded, wr.WorkflowStepCompleted, wr.WorkflowRunCompleted
    )


EXPANDED = wr.WorkflowStepExpanded(workflow_id="wf_1", step_id="a", items=2)
ASKED_TO_STOP = wr.WorkflowRunCancelRequested(workflow_id="wf_1")


def test_a_cancel_ends_a_step_none_of_whose_items_runs() -> None:
    begun = (EXPANDED, started(item=0))
    first = wr.WorkflowStepCompleted(
        workflow_id="wf_1", step_id="a", attempt=1, output_chars=0, step_run_id="run_a1", item=0
    )
    for past in ((EXPANDED,), (*begun, first)):
        given(*past, ASKED_TO_STOP).when(advance(EACH)).then_types(wr.WorkflowStepCancelled, wr.WorkflowRunCancelled)
    given(*begun, ASKED_TO_STOP).when(advance(EACH)).then_nothing()


def test_the_last_item_that_ends_after_a_cancel_ends_the_steps_that_had_none() -> None:
    other = wr.WorkflowStepExpanded(workflow_id="wf_1", step_id="b", items=2)
    past = (wr.WorkflowStepExpanded(workflow_id="wf_1", step_id="a", items=1), other, started(item=0), ASKED_TO_STOP)
    over = ended(item=0, code="RUN_CANCELLED", message="no", cancelled=True)
    given(*past).when(advance(MAPS, over=(over,))).then_types(*(wr.WorkflowStepCancelled,) * 3, wr.WorkflowRunCancelled)


def test_a_step_all_of_whose_items_are_ok_is_ok_whenever_the_cancel_comes() -> None:
    begun = (wr.WorkflowStepExpanded(workflow_id="wf_1", step_id="a", items=1), started(item=0), ASKED_TO_STOP)
    given(*begun).when(advance(EACH, over=(ended(item=0),))).then_types(
        wr.WorkflowStepCompleted, wr.WorkflowStepCompleted, wr.WorkflowRunCancelled
    )


def test_a_resume_goes_on_behind_a_step_that_release_0_1_cancelled_though_its_items_were_ok() -> None:
    past = (
        wr.WorkflowStepExpanded(workflow_id="wf_1", step_id="a", items=1),
        started(item=0),
        ASKED_TO_STOP,
        wr.WorkflowStepCompleted(
            workflow_id="wf_1", step_id="a", attempt=1, output_chars=0, step_run_id="run_a1", item=0
        ),
        wr.WorkflowStepCancelled(workflow_id="wf_1", step_id="a", attempt=1),
        wr.WorkflowRunCancelled(workflow_id="wf_1"),
        resumed("a"),
    )
    given(*past).when(advance(EACH)).then_types(wr.WorkflowStepCompleted, wr.WorkflowRunCompleted)


MAPS = graph([step("a", map={"input": "list"}), step("b", map={"input": "list"})])


def test_the_items_of_all_maps_of_a_run_are_limited_together() -> None:
    both = (wr.ExpandStep(step_id="a", items=6), wr.ExpandStep(step_id="b", items=5))
    first, second = (
        given()
        .when(wr.AdvanceWorkflowRun(graph=MAPS, moves=both, items_max=10))
        .then_types(wr.WorkflowStepExpanded, wr.WorkflowStepFailed)
    )
    assert isinstance(first, wr.WorkflowStepExpanded)
    assert isinstance(second, wr.WorkflowStepFailed)
    assert (first.step_id, second.step_id, second.code, second.will_retry) == ("a", "b", "MAP_ERROR", False)
    for said in ("5 items", "have 6", "ATHENA_WORKFLOW_ITEMS_MAX", "10"):
        assert said in str(second.error_text)
    fitting = wr.AdvanceWorkflowRun(graph=MAPS, moves=both, items_max=11)
    given().when(fitting).then_types(wr.WorkflowStepExpanded, wr.WorkflowStepExpanded)


def test_a_run_that_was_expanded_beyond_the_limit_goes_on() -> None:
    expanded = wr.WorkflowStepExpanded(workflow_id="wf_1", step_id="a", items=6)
    begin = wr.AdvanceWorkflowRun(graph=EACH, moves=(start("a", item=0),), items_max=5)
    given(expanded).when(begin).then_types(wr.WorkflowStepStarted)
    held = wr.WorkflowRunState(
        workflow_id="wf_1", status="running", steps={"a": wr.WorkflowStepState(items=(wr.WorkflowItemState(),) * 6)}
    )
    again = wr.AdvanceWorkflowRun(graph=EACH, moves=(wr.ExpandStep(step_id="a", items=6),), items_max=5)
    (event,) = wr.decide(again, held, Context(now=NOW, ids=CountingIds(), meta=Meta(actor="", correlation="")))
    assert isinstance(event, wr.WorkflowStepExpanded)


ASKING = graph([approval("a", expiresAfterMs=1000), step("b")], "a>b")
ASK = wr.RequestApproval(step_id="a", subject="s", subject_sha256="aa", subject_salt="00", expires_after_ms=1000)


def asked(expires_at: int) -> wr.WorkflowApprovalRequested:
    return wr.WorkflowApprovalRequested(
        workflow_id="wf_1", step_id="a", attempt=1, subject_sha256="aa", expires_at_ms=expires_at
    )


SUSPENDED = wr.WorkflowRunSuspended(workflow_id="wf_1", step_ids=("a",))


def judge(*, approve: bool = True, sha256: str = "aa") -> wr.DecideApproval:
    return wr.DecideApproval(step_id="a", subject_sha256=sha256, approve=approve, by="ada")


def test_twice_as_many_items_that_end_at_once_take_twice_as_much() -> None:
    def ending(count: int) -> int:
        of = graph([step("a", map={"input": "list"})])
        starts = [started(item=item) for item in range(count)]
        past = given(wr.WorkflowStepExpanded(workflow_id="wf_1", step_id="a", items=count), *starts)
        over = tuple(ended(item=item) for item in range(count))
        return lines(lambda: past.when(advance(of, over=over)).decision())

    assert ending(200) < 2.2 * ending(100)


def test_an_approval_is_asked_for_once_and_the_run_waits() -> None:
    first, _ = given().when(advance(ASKING, ASK)).then_types(wr.WorkflowApprovalRequested, wr.WorkflowRunSuspended)
    assert getattr(first, "expires_at_ms", None) == NOW + 1000
    given(asked(NOW + 1000), SUSPENDED).when(advance(ASKING, ASK)).then_nothing()


def test_an_approval_is_given_once_for_what_it_is_about() -> None:
    waiting = given(asked(NOW + 1000), SUSPENDED)
    (granted,) = waiting.when(judge()).then_types(wr.WorkflowApprovalGranted)
    waiting.when(judge(sha256="bb")).then_rejected(Contradicted)
    given().when(judge()).then_rejected(NotFound)
    after = given(asked(NOW + 1000), SUSPENDED, granted)
    after.when(judge()).then_nothing()
    after.when(judge(approve=False)).then_rejected(Contradicted)
    after.when(advance(ASKING, start("b"))).then(started("b"))


@pytest.mark.parametrize("expires_at", [NOW, NOW - 1])
def test_an_answer_at_the_moment_of_expiry_or_later_is_refused(expires_at: int) -> None:
    given(CREATED, asked(expires_at)).when(judge(approve=True)).then_rejected(Contradicted, "expired at")
    given(CREATED, asked(NOW + 1)).when(judge(approve=True)).then_types(wr.WorkflowApprovalGranted)


@pytest.mark.parametrize(
    ("default", "kind"), [("approve", wr.WorkflowApprovalGranted), ("reject", wr.WorkflowApprovalRejected)]
)
def test_an_approval_that_expires_is_decided_by_its_default(default: str, kind: type[Event]) -> None:
    of = graph([approval("a", expiresAfterMs=1, onExpiry=default)])
    end = wr.WorkflowRunCompleted if default == "approve" else wr.WorkflowRunFailed
    given(asked(NOW), SUSPENDED).when(advance(of)).then_types(kind, end)
    given(asked(NOW + 1), SUSPENDED).when(advance(of)).then_nothing()


def test_a_cancel_lets_nothing_begin_and_ends_what_waits() -> None:
    stop = wr.WorkflowRunCancelRequested(workflow_id="wf_1", note="enough")
    given(started()).when(wr.CancelWorkflowRun(reason="enough")).then(stop)
    given(started(), stop).when(wr.CancelWorkflowRun()).then_nothing()
    over = ended(code="RUN_CANCELLED", message="no", cancelled=True)
    given(started(), stop).when(advance(PAIR, start("b"), over=(over,))).then_types(
        wr.WorkflowStepCancelled, wr.WorkflowRunCancelled
    )
    given(asked(NOW + 1000), SUSPENDED, stop).when(advance(ASKING)).then_types(
        wr.WorkflowStepCancelled, wr.WorkflowRunCancelled
    )


def test_an_ended_workflow_run_does_not_continue() -> None:
    over = (started(), failed(), ENDED)
    given(*over).when(advance(PAIR, start("a", 2))).then_nothing()
    given(*over).when(wr.CancelWorkflowRun()).then_nothing()


# Approvals that no longer cover what follows them

CHAIN = graph([step("a"), approval("ask"), step("b"), step("c")], "a>ask", "ask>b", "b>c")
USES = {"b": frozenset({"x"}), "c": frozenset({"y"})}


def requested(step_id: str = "ask", attempt: int = 1) -> wr.WorkflowApprovalRequested:
    return wr.WorkflowApprovalRequested(
        workflow_id="wf_1", step_id=step_id, attempt=attempt, subject_sha256=f"hash{attempt}"
    )


def approved(step_id: str = "ask", attempt: int = 1) -> wr.WorkflowApprovalGranted:
    return wr.WorkflowApprovalGranted(
        workflow_id="wf_1", step_id=step_id, subject_sha256=f"hash{attempt}", cause="identity", by="carl"
    )


def question(step_id: str = "ask", attempt: int = 1, resumed: int = 0) -> wr.RequestApproval:
    return wr.RequestApproval(
        step_id=step_id, subject="{}", subject_sha256=f"hash{attempt}", subject_salt="00", resumed=resumed
    )


APPROVED = (started(), completed(), requested(), approved())
B_FAILED = (*APPROVED, started("b"), failed("b"), ENDED)
C_FAILED = (*APPROVED, started("b"), completed("b"), started("c"), failed("c"), ENDED)


@pytest.mark.parametrize(
    ("history", "values", "same", "seen", "reopened"),
    [
        (B_FAILED, {"x": 1}, set(), 0, True),
        (B_FAILED, {"y": 1}, set(), 0, True),
        (C_FAILED, {"y": 1}, set(), 0, True),
        (C_FAILED, {"x": 1}, set(), 0, False),  # the step that uses it is done
        (B_FAILED, {"z": 1}, set(), 0, False),
        (B_FAILED, {"x": 1}, {"x"}, 0, False),
        (B_FAILED, {"x": 1}, {"x"}, 1, True),  # it was compared with values of another time
        (B_FAILED, {}, set(), 0, False),
    ],
)
def test_a_value_that_a_step_behind_an_approval_uses_reopens_it(
    history: tuple[Event, ...], values: dict[str, int], same: set[str], seen: int, reopened: bool
) -> None:
    command = replace(resume(CHAIN, **values), uses=USES, same=frozenset(same), seen=seen)
    (event,) = given(*history).when(command).then_types(wr.WorkflowResumed)
    assert isinstance(event, wr.WorkflowResumed)
    assert ("ask" in event.reset) == reopened
    names = tuple(values)
    assert event.reopened == ((wr.ReopenedApproval(step_id="ask", input_names=names),) if reopened else None)
    assert "b" in event.reset or history is C_FAILED


def reopening(*reset: str, held: tuple[str, ...] | None = None) -> wr.WorkflowResumed:
    return replace(resumed(*reset), reopened=(wr.ReopenedApproval(step_id="ask", input_names=("y",)),), held=held)


def test_nothing_behind_a_reopened_approval_begins_though_its_own_parents_are_ok() -> None:
    again = (*C_FAILED, reopening("ask", "c"))
    given(*again).when(advance(CHAIN, start("c", 2), question(attempt=2, resumed=1))).then_types(
        wr.WorkflowApprovalRequested, wr.WorkflowRunSuspended
    )
    waiting = (*again, requested(attempt=2))
    given(*waiting).when(advance(CHAIN, start("c", 2))).then_types(wr.WorkflowRunSuspended)
    given(*waiting, approved(attempt=2)).when(advance(CHAIN, start("c", 2))).then(started("c", 2))
    rejected = wr.WorkflowApprovalRejected(
        workflow_id="wf_1", step_id="ask", subject_sha256="hash2", cause="identity", by="carl"
    )
    given(*waiting, rejected).when(advance(CHAIN, start("c", 2))).then_types(wr.WorkflowRunFailed)


def test_an_approval_prepared_before_a_resume_is_not_requested_after_it() -> None:
    again = (*B_FAILED, reopening("ask", "b"))
    given(*again).when(advance(CHAIN, question(attempt=2, resumed=0))).then_nothing()


def test_the_old_hash_approves_nothing_once_it_is_asked_anew_and_one_from_before_the_upgrade_does() -> None:
    old = wr.DecideApproval(step_id="ask", subject_sha256="hash1", approve=True, by="carl")
    given(started(), completed(), requested()).when(old).then(granted_by("carl"))
    given(*B_FAILED, reopening("ask", "b")).when(old).then_rejected(NotFound)
    given(*B_FAILED, reopening("ask", "b"), requested(attempt=2)).when(old).then_rejected(Contradicted)


def granted_by(name: str) -> wr.WorkflowApprovalGranted:
    return replace(approved(), by=name)


def test_items_behind_a_reopened_approval_wait_for_it_and_those_that_are_ok_stay_so() -> None:
    mapped = graph([approval("ask"), step("m", map={"input": "list"})], "ask>m")
    one = {"item": 0}
    history = (
        *(requested(), approved()),
        wr.WorkflowStepExpanded(workflow_id="wf_1", step_id="m", items=2),
        *(started("m", **one), replace(completed("m"), item=0)),
        replace(failed("m"), item=1, step_run_id=None),
        replace(failed("m"), step_run_id=None),
        ENDED,
    )
    command = replace(resume(mapped, x=1), uses={"m": frozenset({"x", "list"})})
    (event,) = given(*history).when(command).then_types(wr.WorkflowResumed)
    assert isinstance(event, wr.WorkflowResumed)
    assert (event.reset, event.held) == (("ask", "m"), ("m",))
    again = (*history, event)
    item = start("m", 2, item=1)
    given(*again).when(advance(mapped, item)).then_nothing()
    given(*again, requested(attempt=2)).when(advance(mapped, item)).then_types(wr.WorkflowRunSuspended)
    expand = wr.ExpandStep(step_id="m", items=2)
    anew = (*again, requested(attempt=2), approved(attempt=2))
    given(*anew).when(advance(mapped, expand, start("m", 2, item=0), item)).then_types(
        wr.WorkflowStepExpanded, wr.WorkflowStepStarted
    )


def test_an_approval_whose_parent_begins_again_is_asked_again() -> None:
    late = graph([step("a"), {**approval("ask"), "triggerRule": "all-done"}, step("b")], "a>ask", "ask>b")
    history = (started(), failed(), requested(), approved(), started("b"), failed("b"), ENDED)
    (event,) = given(*history).when(resume(late)).then_types(wr.WorkflowResumed)
    assert isinstance(event, wr.WorkflowResumed)
    assert event.reopened == (wr.ReopenedApproval(step_id="ask", step_ids=("a",)),)
    assert event.reset == ("a", "ask", "b")


def test_a_reopened_approval_reopens_the_approval_behind_it() -> None:
    two = graph([approval("ask"), approval("again"), step("b")], "ask>again", "again>b")
    history = (requested(), approved(), requested("again"), approved("again"), started("b"), failed("b"), ENDED)
    command = replace(resume(two, x=1), uses={"b": frozenset({"x"})})
    (event,) = given(*history).when(command).then_types(wr.WorkflowResumed)
    assert isinstance(event, wr.WorkflowResumed)
    assert event.reopened == (
        wr.ReopenedApproval(step_id="ask", input_names=("x",)),
        wr.ReopenedApproval(step_id="again", input_names=("x",), step_ids=("ask",)),
    )


@pytest.mark.parametrize("history", [(started(),), (started(), completed(), requested())])
def test_values_that_nothing_takes_are_refused(history: tuple[Event, ...]) -> None:
    given(*history).when(resume(CHAIN, x=1)).then_rejected(Contradicted)
    given(*history).when(resume(CHAIN)).then_nothing()


def test_the_callers_that_started_and_resumed_a_run_are_its_requesters() -> None:
    state = given(*B_FAILED, resumed("b")).state
    assert state.requesters == ("ada", "bob")
