"""The stepper: the reactor that advances workflow runs from step to step."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import anyio
import msgspec

from athena_core.clock import Clock, Ids
from athena_core.decider import Context, Outcome, Reader, Rejected
from athena_core.definitions import workflow_graph
from athena_core.definitions.placeholder import as_text, fill, names_in
from athena_core.definitions.workflow_graph import OutputMismatch, Step, WorkflowGraph
from athena_core.domain import run, workflow_run
from athena_core.domain.workflow_run import (
    ExpandStep,
    FailStep,
    RequestApproval,
    SaltedOutputHash,
    SkipStep,
    StartStep,
    StepCommand,
    StepRunEnded,
    WorkflowRunState,
)
from athena_core.errors import AthenaError, Halted
from athena_core.event import Meta
from athena_core.log.codec import SALT_BYTES
from athena_core.log.port import StoreReader
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.access.access import Access
from athena_core.services.catalog import Catalog
from athena_core.services.reactors import NOW
from athena_core.services.runs.admission import Admission
from athena_core.services.runs.prepared import PreparedRun
from athena_core.services.runs.results import cancel_note, run_error
from athena_core.services.runs.runs import Runs
from athena_core.services.workflows.step_inputs import StepInputs, StepRefused, input_erased, missing_outputs, output_of
from athena_core.services.workflows.workflows import Workflows, workflow_run_facts
from athena_core.values import RunBody, Scope, narrower, unpinned

OPERATION = "runWorkflow"
"""The operation that a workflow's author must still be allowed when one of its steps begins."""
STARTS_AT_ONCE = 64
HALTED_LOOK_MS = 1_000
"""The longest pause while a halt holds steps up and an approval may expire."""
FROM_OUTSIDE = frozenset(
    event.TYPE
    for event in (
        workflow_run.WorkflowRunCreated,
        workflow_run.WorkflowResumed,
        workflow_run.WorkflowApprovalGranted,
        workflow_run.WorkflowApprovalRejected,
        workflow_run.WorkflowRunCancelRequested,
    )
)
"""Events recorded by clients, after which the stepper looks at a workflow run."""


class DueStart(NamedTuple):
    """A run to start, for a step or one of its items."""

    step: Step
    item: int | None = None
    looked: SaltedOutputHash | None = None


class LoadedWorkflowRun(NamedTuple):
    """A workflow run's state, and its workflow."""

    state: WorkflowRunState
    graph: WorkflowGraph
    author: str
    scope: Scope | None
    """The author's scope when the workflow was created."""


class WorkflowStepper:
    """Starts ready steps, records the ends of their runs, and ends workflow runs."""

    name = "workflows"
    types = run.ENDING_TYPES | FROM_OUTSIDE | {workflow_run.WorkflowStepStarted.TYPE}

    def __init__(
        self,
        log: Log,
        catalog: Catalog,
        runs: Runs,
        workflows: Workflows,
        access: Access,
        clock: Clock,
        ids: Ids,
        items_max: int,
    ) -> None:
        """Connect the parts; ``items_max`` limits the items of all maps of a run."""
        self._log = log
        self._catalog = catalog
        self._runs = runs
        self._workflows = workflows
        self._access = access
        self._clock = clock
        self._ids = ids
        self._items_max = items_max
        self._reader = log.reader()
        self._known: set[str] = set()
        self._owners: dict[str, tuple[str, str, int | None]] = {}
        self._over: dict[str, dict[str, tuple[str, int | None]]] = {}
        self._inputs = StepInputs(log, self._reader, runs, ids)
        self._limit = anyio.CapacityLimiter(STARTS_AT_ONCE)

    # Keys

    def open(self, reader: StoreReader) -> Mapping[str, int]:
        """Return the workflow runs that have not ended. All their steps are looked at again."""
        self.forget()  # another leader may have resumed one meanwhile
        self._known.clear()
        return {key: NOW for _, key, _ in reader.guards("flow")}

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """Return the workflow runs that a client changed, or with a step's run that ended."""
        for row in rows:
            if row.type == workflow_run.WorkflowStepStarted.TYPE:
                started = self._log.codec.decode(row, text=False).event
                if isinstance(started, workflow_run.WorkflowStepStarted):
                    self._owners[started.step_run_id] = (row.stream, started.step_id, started.item)
            elif row.type in FROM_OUTSIDE:
                self._inputs.forget(row.stream)
                yield row.stream
            elif row.stream in self._owners:
                key, step_id, item = self._owners.pop(row.stream)
                self._over.setdefault(key, {})[row.stream] = (step_id, item)
                yield key

    # Advancing

    async def act(self, key: str) -> int | None:
        """Advance a workflow run until it blocks. Return when its next approval expires."""
        try:
            loaded = await self._load(key)
            while loaded is not None and loaded.state.open:
                ended = self._ended_steps(key, loaded)
                after = self._state_after(loaded, ended)
                moves, wanted = self._due(key, loaded.graph, after)
                changed = bool(ended or moves or after != loaded.state)
                if not changed and not wanted and not _stalled(after):
                    return self._expiry(loaded.state)
                seen = loaded
                try:
                    loaded = await self._commit(key, seen, ended, moves, wanted)
                except Halted:
                    if changed:
                        loaded = await self._commit(key, seen, ended, moves, [])
                        continue
                    expiry = self._expiry(seen.state)
                    if expiry is None:
                        raise
                    return min(expiry, self._clock.now() + HALTED_LOOK_MS)
        except BaseException:
            self._known.discard(key)  # a reported end may have been consumed: look at everything again
            raise
        self._forget(key)
        return None

    def forget(self) -> None:
        """Forget the inputs of all runs, because text was erased; they are read again."""
        self._inputs.forget_all()

    def _forget(self, key: str) -> None:
        self._known.discard(key)
        self._over.pop(key, None)
        self._inputs.forget(key)

    async def _load(self, key: str) -> LoadedWorkflowRun | None:
        state, definition = await self._workflows.load(key)
        if definition.graph is None:
            return None
        return LoadedWorkflowRun(state, definition.graph, definition.created_by, unpinned(definition.scope))

    @staticmethod
    def _expiry(state: WorkflowRunState) -> int | None:
        times = (step.expires_at_ms for step in state.steps.values() if step.expires_at_ms is not None)
        return min(times, default=None)

    def _ended_steps(self, key: str, loaded: LoadedWorkflowRun) -> tuple[StepRunEnded, ...]:
        """Return the ends of the step runs that are over."""
        over = self._over.pop(key, {})
        if key not in self._known:
            self._known.add(key)
            for step_id, step in loaded.state.steps.items():
                for item, run_id in step.running():
                    self._owners[run_id] = (key, step_id, item)
                    over[run_id] = (step_id, item)
        steps = []
        for run_id, (step_id, item) in over.items():
            ended = self._end_of(loaded.graph.steps[step_id], item, run_id)
            if ended is not None:
                self._owners.pop(run_id, None)
                steps.append(ended)
        return tuple(steps)

    def _end_of(self, step: Step, item: int | None, run_id: str) -> StepRunEnded | None:
        recorded = self._runs.recorded(run_id)
        ending = next((one.event for one in reversed(recorded) if one.type in run.ENDING_TYPES), None)
        if ending is None:
            return None
        if not isinstance(ending, run.RunCompleted):
            error = run_error(run_id, ending, cancel_note(one.event for one in recorded))
            cancelled = isinstance(ending, run.RunCancelled)
            return StepRunEnded(
                step_id=step.id, run_id=run_id, item=item, code=error.code, message=error.message, cancelled=cancelled
            )
        output = output_of(recorded)
        missing = missing_outputs(step, output)
        if missing:
            return StepRunEnded(step_id=step.id, run_id=run_id, item=item, code="OUTPUT_MISSING", message=missing)
        return StepRunEnded(
            step_id=step.id,
            run_id=run_id,
            item=item,
            output_chars=len(output or ""),
            provider=ending.provider,
            model=ending.model,
        )

    def _state_after(self, loaded: LoadedWorkflowRun, ended: tuple[StepRunEnded, ...]) -> WorkflowRunState:
        """Return the state after ``ended`` is applied."""
        context = Context(now=self._clock.now(), ids=self._ids, meta=Meta(actor="", correlation=""))
        state = loaded.state
        command = workflow_run.AdvanceWorkflowRun(graph=loaded.graph, ended=ended, close=False)
        for event in workflow_run.decide(command, state, context):
            state = workflow_run.evolve(state, event)
        return state

    # Due moves

    def _due(
        self, key: str, graph: WorkflowGraph, state: WorkflowRunState
    ) -> tuple[tuple[StepCommand, ...], list[DueStart]]:
        """Return the moves to make, and the runs to start."""
        moves: list[StepCommand] = []
        wanted: list[DueStart] = []
        if state.cancel is not None:
            return (), []
        for step_id, verdict in state.due(graph):
            step = graph.steps[step_id]
            if verdict.reason is not None:
                moves.append(SkipStep(step_id=step_id, reason=verdict.reason))
                continue
            looked: SaltedOutputHash | None = None
            try:
                if step.when is not None:
                    held, looked = self._holds(key, graph, state, step.when)
                    if not held:
                        moves.append(SkipStep(step_id=step_id, reason="condition", looked=looked))
                        continue
                if step.approval is not None:
                    moves.append(self._approval(key, graph, state, step, step.approval, looked))
                elif step.map is not None:
                    items, seen = self._inputs.items(key, graph, state, step.map)
                    moves.append(ExpandStep(step_id=step_id, items=len(items), looked=looked or seen))
                else:
                    wanted.append(DueStart(step, looked=looked))
            except StepRefused as refused:
                failed = FailStep(step_id=step_id, code=refused.code, message=refused.message, looked=looked)
                moves.append(failed)
        for step_id, one in state.steps.items():
            if one.status == "running" and one.items is not None:
                wanted += _due_items(graph.steps[step_id], one)
        return tuple(moves), wanted

    def _holds(
        self, key: str, graph: WorkflowGraph, state: WorkflowRunState, condition: workflow_graph.Condition
    ) -> tuple[bool, SaltedOutputHash | None]:
        if state.step(condition.step).status != "ok":
            if condition.op == "exists":
                return condition.value is False, None
            raise StepRefused("CONDITION_ERROR", f"step {condition.step!r} has no output")
        output = self._inputs.output(graph, state, condition.step)
        looked = self._inputs.hashed(condition.step, output)
        try:
            return workflow_graph.condition_holds(condition, output), looked
        except OutputMismatch as unfit:
            raise StepRefused("CONDITION_ERROR", f"the output of step {condition.step!r}: {unfit}") from None

    def _approval(
        self,
        key: str,
        graph: WorkflowGraph,
        state: WorkflowRunState,
        step: Step,
        approval: workflow_graph.Approval,
        looked: SaltedOutputHash | None,
    ) -> RequestApproval:
        """Return a request for approval.

        Its hash covers the outputs before the step, and the steps behind it with their input.

        Directives and harness profiles never change under one id, so their ids stand for them.
        """
        salt = self._ids.salt(SALT_BYTES)
        inputs = []
        for parent in graph.parents[step.id]:
            before = state.step(parent)
            shown: dict[str, Any] = {"stepId": parent, "status": before.status}
            if before.status == "ok" and graph.steps[parent].approval is None:
                output = self._inputs.output(graph, state, parent)
                shown["outputSha256"] = hashlib.sha256(salt + output.encode()).hexdigest()
            inputs.append(shown)
        after = graph.after((step.id,))
        behind = [graph.steps[step_id] for step_id in graph.ids if step_id in after]
        asked = self._inputs.given(key)
        names = sorted({name for later in behind for name in self._workflows.uses(later)})
        values = {name: asked.values[name] for name in names if name in asked.values}
        runs = [[later.id, later.directive_id, later.harness_profile_id] for later in behind]
        content = {
            "stepId": step.id,
            "message": approval.message,
            "inputs": inputs,
            "valuesSha256": _salted(salt, values),
            "stepsBehindSha256": _salted(salt, runs),
        }
        subject = msgspec.json.encode(content, order="deterministic").decode()
        return RequestApproval(
            step_id=step.id,
            subject=subject,
            subject_sha256=hashlib.sha256(salt + subject.encode()).hexdigest(),
            subject_salt=salt.hex(),
            expires_after_ms=approval.expires_after_ms,
            looked=looked,
            resumed=state.resumed,
        )

    # Committing

    def _meta(self, key: str) -> Meta:
        given = self._inputs.given(key)
        return Meta(actor="system:workflows", correlation=given.correlation, causation=given.causation)

    async def _commit(
        self,
        key: str,
        seen: LoadedWorkflowRun,
        ended: tuple[StepRunEnded, ...],
        moves: tuple[StepCommand, ...],
        wanted: list[DueStart],
    ) -> LoadedWorkflowRun | None:
        """Commit the ended steps, the moves and the first start in one transaction, every other start in its own."""
        first = await self._start(key, seen, ended, moves, wanted[0] if wanted else None)
        if len(wanted) < 2:
            return seen._replace(state=first.answer)

        async def start(one: DueStart) -> None:
            async with self._limit:
                with suppress(Halted):  # the next look finds it pending
                    await self._start(key, seen, (), (), one)

        seen = seen._replace(state=first.answer)
        async with anyio.create_task_group() as tasks:
            for one in wanted[1:]:
                tasks.start_soon(start, one)
        return await self._load(key)

    async def _start(
        self,
        key: str,
        seen: LoadedWorkflowRun,
        ended: tuple[StepRunEnded, ...],
        moves: tuple[StepCommand, ...],
        wanted: DueStart | None,
    ) -> Committed[WorkflowRunState]:
        """Commit the ended steps, the moves and at most one start. The answer is the state after them."""
        launch: PreparedRun | None = None
        if wanted is not None:
            try:
                launch = await self._launch(key, seen, self._state_after(seen, ended), wanted)
            except StepRefused as refused:
                moves = (*moves, _fail_step(wanted, refused.code, refused.message))
        advance = workflow_run.AdvanceWorkflowRun(graph=seen.graph, ended=ended, moves=moves, items_max=self._items_max)

        def go_on(reader: Reader, context: Context) -> Outcome[WorkflowRunState]:
            state = reader.state(workflow_run.DECIDER, key)
            refusal: Rejected | None = None
            admission = Admission(())
            events = workflow_run.decide(_with(advance, launch, wanted), state, context)
            if launch is not None and wanted is not None and _starts(events, launch.run_id):
                try:
                    asked = msgspec.structs.replace(launch, requesters=state.requesters)
                    admission = self._runs.admit(reader, context, asked, behind=len(events))
                except Rejected as rejected:
                    refusal = rejected
            if refusal is not None and wanted is not None:
                failed = _fail_step(wanted, refusal.error.code, refusal.error.message)
                events = workflow_run.decide(_plus(advance, failed), state, context)
                facts = (*refusal.facts, *workflow_run_facts(key, events))
            else:
                facts = (*workflow_run_facts(key, events), *admission.facts)
            for event in events:
                state = workflow_run.evolve(state, event)
            return Outcome(facts=facts, answer=state, handover=admission.lease)

        meta = self._meta(key)
        if launch is None:
            return await self._log.submit(go_on, meta)
        return await self._runs.launch(launch, meta, None, go_on, WorkflowRunState)

    async def _launch(
        self, key: str, seen: LoadedWorkflowRun, state: WorkflowRunState, wanted: DueStart
    ) -> PreparedRun:
        """Return the run of a step, checked. Raise StepRefused, or AthenaError if a retry may succeed."""
        step = wanted.step
        who = self._access.on_behalf(seen.author, narrower(seen.scope, seen.state.scope))
        if not self._access.allows(who, OPERATION):
            raise StepRefused(
                "AUTHZ_DENIED",
                f"the workflow's author {who.subject} now has the role {who.role}, which may not run workflows",
            )
        timeout_ms = None if step.execution is None else step.execution.timeout_ms
        try:
            directive, _ = self._catalog.directive(step.directive_id or "", "directiveId")
            if directive.input is None:
                raise StepRefused(
                    "INPUT_REDACTED",
                    f"input-redacted: the text of directive {step.directive_id} was erased; use another directive",
                )
            names = names_in(directive.input)
            values = self._inputs.values(key, seen.graph, state, step, wanted.item) if names else {}
            for name in names:
                if name not in values and name in self._inputs.given(key).erased:
                    raise input_erased(name)
            metadata = {"workflowId": seen.state.workflow_id, "workflowRunId": key, "workflowStepId": step.id}
            body = RunBody(
                session_id=self._ids.new("wf").replace("_", "-"),
                directive_id=step.directive_id,
                harness_profile_id=step.harness_profile_id,
                metadata={**self._inputs.metadata(seen.state.workflow_id, step), **metadata},
            )
            if any(name in values for name in names):
                said = as_text(fill(directive.input, values, f"steps.{step.id}"))
                if not said.strip():
                    raise StepRefused("INPUT_BLANK", "the directive is blank once its placeholders are filled")
                body = msgspec.structs.replace(body, directive_id=None, input=said)
            return await self._runs.prepare(
                body,
                who,
                references=directive.context_refs,
                patient=True,
                timeout_ms=timeout_ms,
                workflow_run_id=key,
            )
        except AthenaError as error:
            if error.retryable:
                raise
            raise StepRefused(error.code, error.message) from error

    def close(self) -> None:
        self._reader.close()


def _salted(salt: bytes, value: Any) -> str:
    """Return the SHA-256 of a salt and a value as JSON."""
    return hashlib.sha256(salt + msgspec.json.encode(value, order="deterministic")).hexdigest()


def _stalled(state: WorkflowRunState) -> bool:
    """Return True if the run is marked running but no step is, or a step but none of its items; it must then end."""
    running = [step for step in state.steps.values() if step.status == "running"]
    if any(step.items is not None and not step.running() for step in running):
        return True
    return not running and (state.status == "running" or state.cancel is not None)


def _due_items(step: Step, state: workflow_run.WorkflowStepState) -> Iterable[DueStart]:
    """Return the items that may start beside the running ones; none once one has failed."""
    items = state.items or ()
    statuses = [one.status for one in items]
    if "failed" in statuses:
        return []
    most = (step.map and step.map.max_parallel) or workflow_graph.PARALLEL_DEFAULT
    pending = [index for index, status in enumerate(statuses) if status == "pending"]
    return [DueStart(step, item=index) for index in pending[: max(most - statuses.count("running"), 0)]]


def _fail_step(wanted: DueStart, code: str, message: str) -> FailStep:
    return FailStep(step_id=wanted.step.id, item=wanted.item, code=code, message=message, looked=wanted.looked)


def _with(
    advance: workflow_run.AdvanceWorkflowRun, launch: PreparedRun | None, wanted: DueStart | None
) -> workflow_run.AdvanceWorkflowRun:
    if launch is None or wanted is None:
        return advance
    start = StartStep(step_id=wanted.step.id, run_id=launch.run_id, item=wanted.item, looked=wanted.looked)
    return _plus(advance, start)


def _plus(advance: workflow_run.AdvanceWorkflowRun, move: StepCommand) -> workflow_run.AdvanceWorkflowRun:
    return msgspec.structs.replace(advance, moves=(*advance.moves, move))


def _starts(events: Sequence[Any], run_id: str) -> bool:
    return any(isinstance(one, workflow_run.WorkflowStepStarted) and one.step_run_id == run_id for one in events)
