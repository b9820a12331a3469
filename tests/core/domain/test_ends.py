"""Every requested end is reached: commands, ends of runs and crashes in any order, beyond the limits of starts.

The machines act as the reactors: they read a state and start runs as these do. Whenever nothing runs, a look starts
something or ends it, or it waits for a decision of a person.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from msgspec.structs import replace

from athena_core.definitions.slots import MINUTE
from athena_core.definitions.workflow_graph import Approval, Condition, MapOver, WorkflowGraph
from athena_core.domain import queue, redrive, review, run, schedule
from athena_core.domain import workflow_run as wr
from athena_core.enums import DeadLetterReason, OverlapPolicy, QueueMode, RedriveDecision, WaitReason
from athena_core.errors import Contradicted, LeaseLost
from athena_core.event import Event
from athena_core.services.workflows.step_inputs import StepInputs
from athena_core.services.workflows.stepper import DueStart, WorkflowStepper, _fail_step, _stalled
from tests.core.domain.story import DATA, LOOKS_MAX, Story, case
from tests.scale import sized
from tests.support.events import redrive as sample_redrive
from tests.support.events import review as sample_review
from tests.support.events import run as sample_run
from tests.support.events import schedule as sample_schedule
from tests.support.workflow_graphs import approval, graph, step

# Workflow runs

STEPS_MAX = sized(8, 80, 80)
ITEMS_MAX = sized(3, 20, 100)
HOUR = 60 * MINUTE

SHAPES = st.tuples(
    st.sampled_from(["map", "map", "plain", "approval"]),
    st.integers(0, ITEMS_MAX),  # items, or the hours after which an approval expires
    st.sampled_from([None, None, "all-done", "one-failed"]),
    st.one_of(st.just({1}), st.sets(st.integers(1, 3), max_size=2)),  # the distance of its parents before it
    st.integers(1, 12),  # items at once; 12 is above the number of attempts
    st.sampled_from([None, None, 0, 1]),  # the resumes at which its condition holds: even, odd
)


class CountedItems(StepInputs):
    """A mapping of lists of which only the lengths are known."""

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts

    def items(
        self, key: str, graph: WorkflowGraph, state: wr.WorkflowRunState, over: MapOver
    ) -> tuple[list[Any], None]:
        return [None] * self._counts[over.input or ""], None


class Looking(WorkflowStepper):
    """The stepper's view of due work, over lists and approvals that the test makes up."""

    def __init__(self, items: dict[str, int]) -> None:
        self._inputs = CountedItems(items)

    def _holds(
        self, key: str, graph: WorkflowGraph, state: wr.WorkflowRunState, condition: Condition
    ) -> tuple[bool, wr.SaltedOutputHash | None]:
        if state.step(condition.step).status != "ok":
            return super()._holds(key, graph, state, condition)
        return state.resumed % 2 == condition.value, None

    def _approval(
        self, key: str, graph: WorkflowGraph, state: wr.WorkflowRunState, step: Any, approval: Approval, looked: Any
    ) -> wr.RequestApproval:
        return wr.RequestApproval(
            step_id=step.id,
            subject="subject",
            subject_sha256=f"sha{state.resumed}",
            subject_salt="00",
            expires_after_ms=approval.expires_after_ms,
            resumed=state.resumed,
        )


class Flow(Story):
    """A workflow run whose stepper is interrupted between any two of its transactions."""

    DECIDER, DECIDE, STREAM = wr.DECIDER, wr.decide, "wfr_1"

    def __init__(self) -> None:
        super().__init__()
        self.at_work: dict[str, wr.StepRunEnded] = {}
        """The open runs of steps, with the kind of end that is recorded."""
        self.over: dict[str, wr.StepRunEnded] = {}
        """The ended runs that the stepper has not recorded."""
        self.wanted: list[DueStart] = []
        """The starts that the stepper still has to do in this look."""

    @initialize(shapes=st.lists(SHAPES, min_size=1, max_size=8), many=st.booleans())
    def create(self, shapes: list[tuple[str, int, str | None, set[int], int, int | None]], many: bool) -> None:
        steps, edges, items = [], [], {}
        shapes = (shapes * STEPS_MAX)[:STEPS_MAX] if many else shapes
        for number, (kind, size, trigger, back, most, parity) in enumerate(shapes):
            name, parents = f"s{number}", [number - far for far in back if far <= number]
            fields: dict[str, Any] = {}
            looked_at = [parent for parent in parents if shapes[parent][0] != "approval"]
            if parity is not None and looked_at:
                fields["when"] = {"step": f"s{looked_at[0]}", "op": "eq", "value": parity}
            if trigger is not None and (parents or trigger != "one-failed"):
                fields["triggerRule"] = trigger
            if kind == "approval":
                expiry = (
                    {"expiresAfterMs": size * HOUR, "onExpiry": "approve" if most % 2 else "reject"} if size else {}
                )
                steps.append({**approval(name, **expiry), **fields})
            else:
                if kind == "map":
                    fields["map"] = {"input": name, "maxParallel": most}
                    items[name] = size
                steps.append(step(name, execution={"maxAttempts": 1 + most % 2}, **fields))
            edges += [f"s{parent}>{name}" for parent in parents]
        self.graph = graph(steps, *edges)
        self.looking = Looking(items)
        self.do(wr.CreateWorkflowRun(workflow_id="wf_1", requested_by="ada", input={}))

    def follows(self, event: Event) -> None:
        if self.state.cancel is not None:
            begins = wr.WorkflowStepStarted | wr.WorkflowStepExpanded | wr.WorkflowApprovalRequested
            assert not isinstance(event, begins), "something began after the cancel"

    # The stepper

    def look(self) -> bool:
        """Look as ``WorkflowStepper.act`` does; return False if there was nothing to do."""
        ended, state = tuple(self.over.values()), self.state
        ahead = state
        for event in wr.decide(
            wr.AdvanceWorkflowRun(graph=self.graph, ended=ended, close=False), state, self.context()
        ):
            ahead = wr.evolve(ahead, event)
        moves, wanted = self.looking._due("wfr_1", self.graph, ahead)
        if not ended and not moves and not wanted and ahead == state and not _stalled(ahead):
            return False
        self.over.clear()
        self.wanted = wanted[1:]
        self.advance(ended, moves, wanted[0] if wanted else None)
        return True

    def advance(
        self,
        ended: tuple[wr.StepRunEnded, ...],
        moves: tuple[wr.StepCommand, ...],
        wanted: DueStart | None,
        *,
        refused: bool = False,
    ) -> None:
        if wanted is not None:
            name, run_id = wanted.step.id, self.ids.new("run")
            start: wr.StepCommand = wr.StartStep(step_id=name, run_id=run_id, item=wanted.item)
            moves = (*moves, _fail_step(wanted, "X", "no") if refused else start)
        for event in self.do(wr.AdvanceWorkflowRun(graph=self.graph, ended=ended, moves=moves)):
            if isinstance(event, wr.WorkflowStepStarted):
                self.at_work[event.step_run_id] = wr.StepRunEnded(
                    step_id=event.step_id, run_id=event.step_run_id, item=event.item
                )

    def rest(self) -> None:
        for _ in range(LOOKS_MAX):
            while self.wanted:
                self.advance((), (), self.wanted.pop(0))
            if not self.state.open or not self.look():
                return
        raise AssertionError("the walker never comes to rest")

    def crashed(self) -> None:
        self.wanted = []

    # Events

    @rule()
    @precondition(lambda self: self.state.open and not self.wanted)
    def the_walker_looks(self) -> None:
        self.look()

    @rule(count=st.integers(1, 70), refused=st.booleans())
    @precondition(lambda self: self.wanted)
    def more_starts(self, count: int, refused: bool) -> None:
        for one in self.wanted[:count]:
            self.advance((), (), one, refused=refused)
        self.wanted = self.wanted[count:]

    @rule()
    def the_walker_goes_on(self) -> None:
        self.rest()
        assert self.at_work or not self.state.open or self.state.status == "waiting", "it waits for nothing"

    @rule(data=DATA, how=st.sampled_from(["ok", "ok", "ok", "RUN_FAILED", "RUN_TIMED_OUT", "RUN_CANCELLED"]))
    @precondition(lambda self: self.at_work)
    def runs_end(self, data: st.DataObject, how: str) -> None:
        count = data.draw(st.integers(1, len(self.at_work)))
        for run_id in list(self.at_work)[:count]:
            self.end(run_id, how)

    def end(self, run_id: str, how: str) -> None:
        ended = self.at_work.pop(run_id)
        if how != "ok":
            ended = replace(ended, code=how, message="no", cancelled=how == "RUN_CANCELLED")
        self.over[run_id] = ended

    @rule(queued=st.integers(0, 3))
    @precondition(lambda self: self.state.open)
    def cancel(self, queued: int) -> None:
        if self.do(wr.CancelWorkflowRun(reason="enough")):
            for number, run_id in enumerate(list(self.at_work)):
                if number % 4 < queued:  # it had no executor, so it ends in the same commit
                    self.end(run_id, "RUN_CANCELLED")

    @rule(data=DATA, approve=st.booleans())
    def somebody_decides(self, data: st.DataObject, approve: bool) -> None:
        waiting = [step_id for step_id, one in self.state.steps.items() if one.status == "waiting"]
        if waiting:
            step_id = data.draw(st.sampled_from(waiting))
            one = self.state.steps[step_id]
            try:
                self.do(
                    wr.DecideApproval(step_id=step_id, subject_sha256=one.subject_sha256, approve=approve, by="ada")
                )
            except Contradicted:
                assert self.state.cancel is not None or one.expires_at_ms <= self.now

    @rule(times=st.integers(1, 4))
    def it_goes_well_for_a_while(self, times: int) -> None:
        for _ in range(times):
            self.rest()
            for step_id, one in self.state.steps.items():
                if one.status == "waiting" and self.state.cancel is None:
                    self.do(
                        wr.DecideApproval(step_id=step_id, subject_sha256=one.subject_sha256, approve=True, by="ada")
                    )
            for run_id in list(self.at_work):
                self.end(run_id, "ok")

    @rule(hours=st.integers(1, ITEMS_MAX))
    def time_passes(self, hours: int) -> None:
        self.now += hours * HOUR

    @rule(overridden=st.booleans())
    @precondition(lambda self: self.state.status in {"failed", "cancelled"})
    def resume(self, overridden: bool) -> None:
        uses = {step_id: frozenset({"x"}) for step_id in self.graph.ids}
        values = {"x": 1} if overridden else {}
        self.do(
            wr.ResumeWorkflowRun(
                workflow_run_id="wfr_1", requested_by="bob", graph=self.graph, input=values, uses=uses, seen=-1
            )
        )

    # Invariants

    @invariant()
    def what_was_cancelled_ends_once_nothing_runs(self) -> None:
        if self.state.open and self.state.cancel is not None and not self.at_work:
            self.rest()
            assert self.state.status == "cancelled"

    @invariant()
    def what_ended_well_left_no_step_behind(self) -> None:
        if self.state.status == "ok":
            left = {step_id for step_id in self.graph.ids if self.state.step(step_id).status not in {"ok", "skipped"}}
            assert not left, "they neither ran nor were skipped"

    @invariant()
    def what_is_over_occupies_nothing(self) -> None:
        if self.stored:
            assert self.occupied("flow") == (["wfr_1"] if self.state.open else [])
            assert set(self.occupied("step")) == self.at_work.keys() | self.over.keys()

    def teardown(self) -> None:
        """Check that the run ends or waits for a person once its runs have ended."""
        if not self.stored:
            return
        for _ in range(LOOKS_MAX):
            self.rest()
            if not self.at_work:
                assert not self.state.open or self.state.status == "waiting", "it waits for nothing"
                return
            for run_id in list(self.at_work):
                self.end(run_id, "ok")
        raise AssertionError("it never ends")


TestFlow = case(Flow, 40, 40, 1_000)


def test_the_walker_goes_on_behind_a_step_that_release_0_1_left_waiting_for_nothing() -> None:
    flow = Flow()
    flow.create([("map", 1, None, set(), 1, None), ("plain", 0, None, {1}, 1, None)], False)
    flow.rest()
    (run_id,) = flow.at_work
    step: dict[str, Any] = {"workflow_id": "wf_1", "step_id": "s0", "attempt": 1}
    flow.at_work.clear()
    flow.happens(wr.WorkflowStepCompleted(**step, output_chars=0, step_run_id=run_id, item=0))
    flow.happens(wr.WorkflowStepCancelled(**step))
    flow.happens(wr.WorkflowRunCancelled(workflow_id="wf_1"))
    flow.resume(False)
    flow.teardown()
    assert flow.state.status == "ok"


def test_steps_behind_a_reopened_approval_that_is_skipped_are_skipped() -> None:
    flow = Flow()
    shapes = [("plain", 0, None, set(), 1, None), ("approval", 0, None, {1}, 1, 0)]
    flow.create([*shapes, ("plain", 0, None, {1}, 1, None), ("plain", 0, None, {1}, 2, None)], False)
    for how in ("ok", "approved", "ok", "RUN_FAILED"):
        flow.rest()
        if how == "approved":
            (one,) = [one for one in flow.state.steps.values() if one.status == "waiting"]
            flow.do(wr.DecideApproval(step_id="s1", subject_sha256=one.subject_sha256 or "", approve=True, by="ada"))
        else:
            (run_id,) = flow.at_work
            flow.end(run_id, how)
    flow.rest()
    flow.resume(True)
    flow.teardown()
    assert flow.state.status == "ok"
    assert [flow.state.step(f"s{number}").status for number in range(4)] == ["ok", "skipped", "ok", "skipped"]


# Runs, including queued ones


WORDS: tuple[Any, ...] = (
    run.RecordStep(token=0, steps=(sample_run.SAID, replace(sample_run.PAID, cost_micro_usd=2))),
    run.ReserveBudget(token=0, turn=1, provider="mock", model="m", reserved_micro_usd=1),
    run.PauseRun(token=0, elapsed_ms=1),
    run.EndRun(token=0, last=(sample_run.SAID,), ending=sample_run.COMPLETED),
    run.EndRun(token=0, last=(), ending=run.RunTimedOut(timeout_ms=1)),
    run.EndRun(token=0, last=(sample_run.PARTIAL, sample_run.PAID), ending=run.RunTimedOut(timeout_ms=1)),
)
"""The events that the holder of a lease may record."""


class Running(Story):
    """A run that waits, loses executors, pauses and is cancelled at any moment."""

    DECIDER, DECIDE, STREAM = run.DECIDER, run.decide, "run_1"

    def __init__(self) -> None:
        super().__init__()
        self.asked = False

    def follows(self, event: Event) -> None:
        partial = isinstance(event, run.TranscriptAppended) and event.partial
        if self.asked:
            done = (run.UsageRecorded, run.EvidenceAttached, run.RunCancelRequested, *run.ENDINGS)
            assert partial or isinstance(event, done), "something began after the cancel"
        assert not partial or self.state.open, "output came after the end"

    @initialize(wait=st.sampled_from([None, "session-busy"]), begun=st.booleans())
    def request(self, wait: WaitReason | None, begun: bool) -> None:
        self.do(run.RequestRun(request=replace(sample_run.CREATED, budget_micro_usd=1), wait=wait))
        if begun:
            self.is_admitted()
            self.is_leased()

    @rule()
    def is_admitted(self) -> None:
        self.do(run.AdmitRun())

    @rule()
    def is_leased(self) -> None:
        self.do(run.LeaseRun(executor="exe_1", pid=7, said="hello"))

    @rule(because=st.sampled_from(["dead", "frozen", "left"]))
    def loses_its_executor(self, because: run.LossReason) -> None:
        self.do(replace(sample_run.TAKE, token=self.state.token, because=because))

    @rule(command=st.sampled_from(WORDS), late=st.booleans())
    def its_executor_goes_on(self, command: Any, late: bool) -> None:
        held = self.state.executor is not None
        try:
            self.do(replace(command, token=self.state.token - late))
        except LeaseLost:
            assert self.state.open and (not held or late)

    @rule()
    def is_resumed(self) -> None:
        self.do(run.ResumeRun(executor="exe_1", budget_micro_usd=1_000))

    @rule(cause=st.sampled_from(["requested", "parent"]))
    def is_cancelled(self, cause: run.CancelCause) -> None:
        was_open = self.state.open
        self.do(run.CancelRun(reason="enough", cause=cause))
        self.asked |= was_open

    @rule(how=st.sampled_from([run.ForceCancel(), run.WithdrawRun(cause="session-busy")]))
    def is_given_up(self, how: Any) -> None:
        self.do(how)

    @invariant()
    def what_was_cancelled_ends_with_the_next_word_of_who_has_it_or_with_its_loss(self) -> None:
        if self.asked and self.state.open:
            assert self.state.executor is not None, "nobody has it, so it was to end at once"
            for command in (
                *(replace(one, token=self.state.token) for one in (*WORDS, sample_run.TAKE)),
                run.ForceCancel(),
            ):
                state = self.state
                for event in run.decide(command, state, self.context()):
                    self.follows(event)
                    state = run.evolve(state, event)
                assert not state.open, command

    @invariant()
    def what_is_over_occupies_nothing(self) -> None:
        if self.stored and not self.state.open:
            for kind in ("waiting", "slot", "turn", "lease", "child", "reserved"):
                assert self.occupied(kind) == [], kind


TestRunning = case(Running, 60, 60, 3_000)


# Drains


CHARS_MAX = 400


class Draining(Story):
    """The queue of a session, with its reactor and the runs of its items."""

    DECIDER, DECIDE, STREAM = queue.DECIDER, queue.decide, "work:s"

    def __init__(self) -> None:
        super().__init__()
        self.run: str | None = None
        """The status of the run of the batch: running, or its end."""

    def follows(self, event: Event) -> None:
        if isinstance(event, queue.WorkBatchStarted):
            assert self.run is None, "two runs at a time"

    @rule(
        count=st.integers(1, sized(5, 120, 120)), mode=st.sampled_from(["followup", "collect"]), message=st.booleans()
    )
    def work_comes(self, count: int, mode: QueueMode, message: bool) -> None:
        for _ in range(min(count, queue.QUEUE_ITEMS_MAX - len(self.state.items))):
            item_id = self.ids.new("wi")
            sent = f"msg_{item_id}" if message else None
            self.do(queue.EnqueueWork(item_id=item_id, mode=mode, payload="xxxx", enqueued_by="ada", message_id=sent))

    @rule()
    def a_drain_is_asked_for(self) -> None:
        self.do(queue.StartDrain(drain_id=self.ids.new("drn"), requested_by="ada"))

    @rule(refused=st.sampled_from([None, None, "later", "unrunnable", "not-allowed"]))
    @precondition(lambda self: self.run != "at work")
    def the_reactor_looks(self, refused: Any) -> None:
        self.look(refused)

    @rule(how=st.sampled_from(["ok", "ok", "failed", "cancelled"]))
    @precondition(lambda self: self.run == "at work")
    def the_run_ends(self, how: str) -> None:
        self.run = how

    def look(self, refused: Any = None) -> None:
        """Act as ``Drains.act`` does until a run is in progress or nothing is due."""
        state = self.state
        if state.drain is None:
            if state.automatic:
                self.do(queue.StartDrain(drain_id=self.ids.new("drn"), requested_by="ada", automatic=True))
            return
        if state.batch is None or self.run == "ok":
            done, self.run = state.batch, None
            if done is not None:
                assert self.do(queue.CompleteBatch(run_id=done.run_id))
            items = queue.next_batch(self.state, CHARS_MAX) if queue.has_more(self.state) else ()
            names = tuple(item.id for item in items)
            if not items:
                assert self.do(queue.FinishDrain())
            elif refused is not None:
                assert self.do(self.refusal(names, None if refused == "later" else refused))
            else:
                assert self.do(queue.StartBatch(run_id=self.ids.new("run"), item_ids=names, chars_max=CHARS_MAX))
                self.run = "at work"
        elif self.run != "at work":
            counted, self.run = self.run == "failed", None
            command = queue.FailBatch(
                run_id=state.batch.run_id,
                code="X",
                message="no",
                counted=counted,
                attempts_max=2,
                dead_letter_id=self.ids.new("dlq"),
                grave="cancelled" if not counted and state.drain.automatic else None,
            )
            self.do(command)
            assert self.state.drain is None, "it goes on though its run did not complete"

    def refusal(self, names: tuple[str, ...], grave: DeadLetterReason | None) -> queue.RefuseBatch:
        return queue.RefuseBatch(
            item_ids=names, code="X", message="no", dead_letter_id=self.ids.new("dlq"), grave=grave
        )

    @invariant()
    def a_drain_is_at_work_or_over(self) -> None:
        assert self.occupied("drain") == ([] if self.state.drain is None else ["s"])

    def teardown(self) -> None:
        """Check that a drain ends once its runs do, though each of them adds work."""
        self.run = "ok" if self.state.batch is not None else None
        looks = 0
        while self.state.drain is not None:
            if self.run == "at work":
                self.run = "ok"
                if looks < sized(20, LOOKS_MAX, LOOKS_MAX):
                    self.work_comes(1, "followup", False)
            self.look()
            looks += 1
            assert looks < LOOKS_MAX, "it never ends"


TestDraining = case(Draining, 30, 8, 300)


# Redrives


class Redriving(Story):
    """A job that requeues dead letters one after another while a client may stop it."""

    DECIDER, DECIDE, STREAM = redrive.DECIDER, redrive.decide, "rdr_1"

    @initialize(total=st.integers(0, sized(10, 500, 500)))
    def start(self, total: int) -> None:
        self.left = list(range(1, total + 1))
        self.asked = False
        started = replace(sample_redrive.STARTED, total=total, until=total)
        assert self.do(redrive.StartRedrive(started=started))

    def follows(self, event: Event) -> None:
        if isinstance(event, redrive.RedriveAdvanced):
            assert not self.asked, "a letter was put back after the cancel"

    @rule(count=st.integers(1, sized(3, 100, 100)), result=st.sampled_from(["requeued", "skipped", "failed"]))
    def the_reactor_goes_on(self, count: int, result: RedriveDecision) -> None:
        for _ in range(count):
            self.look(result)

    def look(self, result: RedriveDecision = "requeued") -> None:
        """Act as ``Redrives.act`` does."""
        left = [letter for letter in self.left if letter > self.state.after]
        if left:
            self.do(sample_redrive.advance(left[0], result))
            assert not self.do(sample_redrive.advance(left[0], result)), "a letter was put back twice"
        else:
            self.do(redrive.CompleteRedrive())

    @rule()
    def is_cancelled(self) -> None:
        self.asked |= bool(self.do(redrive.CancelRedrive()))

    @invariant()
    def what_was_asked_to_end_is_over_and_occupies_nothing(self) -> None:
        if self.stored:
            assert self.state.status == "cancelled" or not self.asked
            assert bool(self.occupied("redrive")) == (self.state.status == "running")

    def teardown(self) -> None:
        if self.stored:
            for _ in range(len(self.left) + 1):
                self.look()
            assert self.state.status != "running"
            assert self.state.requeued + self.state.skipped + self.state.failed <= len(self.left)


TestRedriving = case(Redriving, 10, 10, 1_000)


# Reviews


class Reviewing(Story):
    """A review whose run answers well, badly or not at all, and is asked once more."""

    DECIDER, DECIDE, STREAM = review.DECIDER, review.decide, review.stream("run_1")

    @initialize()
    def start(self) -> None:
        self.runs = {"run_1": "at work"}
        self.do(sample_review.STARTED)

    @rule(how=st.sampled_from(["good", "bad", "none"]))
    def its_run_ends(self, how: str) -> None:
        self.runs = {key: how if known == "at work" else known for key, known in self.runs.items()}

    @rule(refused=st.booleans())
    def the_reactor_looks(self, refused: bool) -> None:
        self.look(refused=refused)

    def look(self, *, refused: bool = False) -> None:
        """Act as ``Reviews.act`` does."""
        known = self.runs[self.state.run_id or "run_1"]
        if self.state.status != "running" or known == "at work":
            return
        if known == "bad" and not self.state.repaired and not refused:
            run_id = self.ids.new("run")
            if self.do(replace(sample_review.REPAIR, repair_run_id=run_id)):
                self.runs[run_id] = "at work"
        else:
            assert self.do(sample_review.COMPLETED)

    @invariant()
    def it_has_two_runs_at_most_and_occupies_nothing_once_it_is_over(self) -> None:
        if self.stored:
            assert len(self.runs) <= 2
            assert self.occupied("review") == (["run_1"] if self.state.status == "running" else [])

    def teardown(self) -> None:
        if self.stored:
            for _ in range(2):
                self.its_run_ends("bad")
                self.look()
            assert self.state.status == "ended"


TestReviewing = case(Reviewing, 20, 20, 1_000)


# Schedules

POLICIES: tuple[OverlapPolicy, ...] = sample_schedule.POLICIES


class Scheduling(Story):
    """A schedule whose runs are asked to make way, and which is paused, disabled, removed and put again."""

    DECIDER, DECIDE, STREAM = schedule.DECIDER, schedule.decide, schedule.stream("a")

    @initialize(policy=st.sampled_from(POLICIES))
    def create(self, policy: OverlapPolicy) -> None:
        self.put(policy)

    @rule(policy=st.sampled_from(POLICIES))
    def put(self, policy: OverlapPolicy) -> None:
        definition = replace(sample_schedule.HOURLY, overlap_policy=policy, catch_up="all")
        self.do(schedule.UpsertSchedule(id="a", definition=definition))

    def follows(self, event: Event) -> None:
        if isinstance(event, schedule.ScheduleRunStarted) and event.slot_ms is not None:
            assert self.state.live, "a slot ran though it was to run no more"

    @rule(hours=st.integers(1, sized(5, 120, 120)))
    def time_passes(self, hours: int) -> None:
        self.now += hours * HOUR
        self.tick()

    def tick(self) -> None:
        for _ in range(LOOKS_MAX):
            if not self.do(schedule.TickSchedule(at=self.now, target_run_id=self.ids.new("run"))):
                break
        else:
            raise AssertionError("ticks never come to an end")
        if self.state.live and self.state.buffer:
            assert self.state.running, "a slot waits for nothing"
            assert schedule.next_due(self.state) != 0

    @rule(count=st.integers(1, schedule.RUNS_IN_FLIGHT_MAX), how=st.sampled_from(["ok", "failed", "cancelled"]))
    def runs_end(self, count: int, how: schedule.ScheduledOutcome) -> None:
        for flight in self.state.running[:count]:
            self.do(
                schedule.FinishScheduledRun(target_run_id=flight.target_run_id, outcome=how, code="X", message="no")
            )

    @rule(kind=st.sampled_from([schedule.DisableSchedule, schedule.PauseSchedule, schedule.RemoveSchedule]))
    @precondition(lambda self: self.state.exists)
    def is_to_end(self, kind: Any) -> None:
        self.do(kind(id="a"))
        assert not self.state.live
        assert schedule.next_due(self.state) is None
        assert not self.do(schedule.TickSchedule(at=self.now + HOUR, target_run_id="run_x"))

    @rule(kind=st.sampled_from([schedule.EnableSchedule, schedule.ResumeSchedule]))
    @precondition(lambda self: self.state.exists)
    def goes_on(self, kind: Any) -> None:
        self.do(kind(id="a"))

    @rule()
    @precondition(lambda self: self.state.exists)
    def is_run_by_hand(self) -> None:
        self.do(schedule.RunSchedule(id="a", target_run_id=self.ids.new("run")))

    @invariant()
    def it_occupies_what_is_in_flight(self) -> None:
        assert set(self.occupied("scheduled")) == {flight.target_run_id for flight in self.state.running}
        assert bool(self.occupied("schedule")) == self.state.exists

    def teardown(self) -> None:
        """Check that the next waiting slot begins after the runs, and that a removed schedule leaves nothing."""
        self.tick()
        while self.state.running:
            self.runs_end(schedule.RUNS_IN_FLIGHT_MAX, "ok")
            self.tick()
        assert not (self.state.live and self.state.buffer)
        if self.state.exists:
            self.do(schedule.RemoveSchedule(id="a"))
            assert (self.state.buffer, schedule.next_due(self.state)) == ((), None)
            assert [self.occupied(kind) for kind in ("schedule", "scheduled", "fired")] == [[], [], []]


TestScheduling = case(Scheduling, 20, 25, 700)
