"""The service of workflows: create them; start, resume, cancel and approve their runs; wait for runs."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from athena_core.clock import Ids
from athena_core.decider import Context, Key, Outcome, Reader, Rejected, facts_of, transact
from athena_core.definitions import workflow_graph
from athena_core.definitions.placeholder import names_in
from athena_core.definitions.workflow_graph import WorkflowDefinition
from athena_core.domain import run, workflow, workflow_run
from athena_core.errors import NotFound
from athena_core.event import Event, Fact, Meta
from athena_core.log.submission import Committed
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.access.access import Access, decision_denied
from athena_core.services.catalog import Catalog
from athena_core.services.runs.admission import RunTransaction
from athena_core.services.runs.runs import Runs
from athena_core.services.states import at_head
from athena_core.services.waiters import OneShot, Waiters
from athena_core.values import Identity, Role, pinned


class WorkflowLaunch:
    """A workflow run to start: its id, and what was checked outside of the log."""

    def __init__(self, workflow_id: str, run_id: str, who: Identity, values: dict[str, Any]) -> None:
        self.run_id = run_id
        self._command = workflow_run.CreateWorkflowRun(
            workflow_id=workflow_id, requested_by=who.subject, input=values, scope=pinned(who.scope)
        )

    def admit(self, reader: Reader, context: Context, requesters: tuple[str, ...] | None = None) -> tuple[Fact, ...]:
        """Return the events that begin it; the stepper starts its steps. ``requesters`` are all if more than one."""
        state = reader.state(workflow_run.DECIDER, self.run_id)
        command = replace(self._command, requesters=requesters)
        return workflow_run_facts(self.run_id, workflow_run.decide(command, state, context))


def workflow_run_facts(run_id: str, events: Sequence[Event]) -> tuple[Fact, ...]:
    """Put the events of a workflow run into envelopes, which name the run of a step."""
    return facts_of(run_id, events, run_field="step_run_id")


def cancel_workflow_run(
    draft: RunTransaction, reader: Reader, context: Context, run_id: str, reason: str | None
) -> bool:
    """Cancel a workflow run and the runs of its steps within a transaction. Return True if it was open."""
    state = reader.state(workflow_run.DECIDER, run_id)
    events = workflow_run.decide(workflow_run.CancelWorkflowRun(reason=reason), state, context)
    draft.add(workflow_run_facts(run_id, events))
    if events:
        command = run.CancelRun(reason=reason, cause="parent")
        for step in state.steps.values():
            for _, step_run in step.running():
                if draft.state(step_run).open:
                    draft.cancel(step_run, command)
    return bool(events)


class Workflows:
    """Creates workflows and commands their runs."""

    def __init__(self, log: Log, tail: Tail, catalog: Catalog, runs: Runs, access: Access, ids: Ids) -> None:
        self._log = log
        self._catalog = catalog
        self._runs = runs
        self._access = access
        self._ids = ids
        self._reader = log.reader()
        self._waiters = Waiters[str, OneShot](OneShot)
        tail.subscribe(self._on_rows, workflow_run.SETTLING_TYPES)

    def _on_rows(self, rows: Sequence[Row]) -> None:
        """Wake the callers that wait for a workflow run that ended or waits for an approval."""
        for row in rows:
            self._waiters.wake(row.stream)

    # Definitions

    async def create(self, definition: WorkflowDefinition, who: Identity, meta: Meta, key: Key | None) -> Committed:
        """Create a workflow; the subject of the commit is its id. Raise ConfigError."""
        self._check(definition)
        workflow_id = self._ids.new("wf")
        command = workflow.CreateWorkflow(
            workflow_id=workflow_id, definition=definition, by=who.subject, scope=pinned(who.scope)
        )
        create = transact(workflow, workflow_id, command, subject=workflow_id)
        return await self._log.submit(create, meta, key, frozenset((workflow_id,)))

    def _check(self, definition: WorkflowDefinition) -> None:
        faults = workflow_graph.DefinitionFaults()
        graph = workflow_graph.graph_of(definition, faults)
        texts: dict[str, tuple[str, ...]] = {}
        profiles: set[str] = set()
        for index, step in enumerate(definition.steps):
            field = f"definition.steps[{index}]"
            if step.directive_id is not None and step.directive_id not in texts:
                with faults.collected():
                    directive, _ = self._catalog.directive(step.directive_id, f"{field}.directiveId")
                    texts[step.directive_id] = names_in(directive.input or "")
            if step.harness_profile_id is not None and step.harness_profile_id not in profiles:
                with faults.collected():
                    self._catalog.profile(step.harness_profile_id, f"{field}.harnessProfileId")
                    profiles.add(step.harness_profile_id)
        faults.settle()
        assert graph is not None, "a definition without faults has a graph"
        for index, edge in enumerate(definition.dependencies):
            target = graph.steps[edge.target]
            names = texts.get(target.directive_id or "", ())
            for place, mapping in enumerate(edge.mappings or ()):
                if mapping.to_input not in names:
                    reason = f"the directive of step {target.id!r} has no placeholder {mapping.to_input!r}"
                    where = f"definition.dependencies[{index}].mappings[{place}].toInput"
                    faults.add(
                        where, reason, f"one of {', '.join(names)}" if names else "a directive with placeholders"
                    )
        faults.settle()

    def exists(self, workflow_id: str) -> bool:
        """Return True if the workflow exists."""
        return bool(workflow.DECIDER.owns(workflow_id) and self._reader.stream(workflow_id))

    # Commands

    def prepare(
        self, workflow_id: str, values: Mapping[str, Any] | None, who: Identity, run_id: str | None = None
    ) -> WorkflowLaunch:
        """Return a run of a workflow for a transaction to start; nothing is stored yet. Raise NotFound."""
        if not self.exists(workflow_id):
            raise NotFound(f"no workflow {workflow_id!r} exists")
        return WorkflowLaunch(workflow_id, run_id or self._ids.new("wfr"), who, dict(values or {}))

    async def start(
        self, workflow_id: str, values: Mapping[str, Any] | None, who: Identity, meta: Meta, key: Key | None
    ) -> Committed:
        """Start a run of a workflow; the subject of the commit is its id. Raise NotFound."""
        launch = self.prepare(workflow_id, values, who)
        run_id = launch.run_id

        def start(reader: Reader, context: Context) -> Outcome:
            return Outcome(facts=launch.admit(reader, context), subject=run_id)

        return await self._log.submit(start, meta, key, frozenset((run_id,)))

    async def resume(
        self,
        workflow_id: str,
        run_id: str | None,
        values: Mapping[str, Any] | None,
        who: Identity,
        meta: Meta,
        key: Key | None,
        *,
        exactly: bool,
        after: str | None = None,
    ) -> Committed[bool]:
        """Resume a run, or start one if ``run_id`` is None; the subject of the commit is its id.

        The answer is True if anything was started. Unless ``exactly`` this run is meant, an open run of the same
        workflow is used instead. ``after`` is the run that a new one follows. Raise NotFound, ConfigError, or
        Contradicted for values that the run can no longer take.
        """
        fresh = self._ids.new("wfr")
        given = dict(values or {})
        uses, same, seen = self._overridden(workflow_id, run_id, given)

        def resume(reader: Reader, context: Context) -> Outcome[bool]:
            if not exactly:
                active = [key for key, (of,) in reader.guards("flow").items() if of == workflow_id]
                if active:
                    workflow_run.check_overrides(given, reader.state(workflow_run.DECIDER, active[-1]))
                    return Outcome(subject=active[-1], answer=False)
            state = reader.state(workflow_run.DECIDER, run_id) if run_id else workflow_run.DECIDER.initial
            graph = reader.state(workflow.DECIDER, workflow_id).graph
            if graph is None or (run_id is not None and not state.status):
                raise NotFound(f"no workflow run {run_id or workflow_id!r} exists")
            if run_id is None:
                events = self._begin(workflow_id, fresh, given, who, after, context)
                return Outcome(facts=workflow_run_facts(fresh, events), subject=fresh, answer=True)
            command = workflow_run.ResumeWorkflowRun(
                workflow_run_id=run_id,
                requested_by=who.subject,
                graph=graph,
                input=given,
                uses=uses,
                same=same,
                seen=seen,
                scope=pinned(who.scope),
            )
            events = workflow_run.decide(command, state, context)
            return Outcome(facts=workflow_run_facts(run_id, events), subject=run_id, answer=bool(events))

        return await self._log.submit(resume, meta, key, answers=bool)

    @staticmethod
    def _begin(
        workflow_id: str, run_id: str, given: dict[str, Any], who: Identity, after: str | None, context: Context
    ) -> tuple[Event, ...]:
        """Return the events of a resume that starts a new run."""
        create = workflow_run.CreateWorkflowRun(
            workflow_id=workflow_id,
            requested_by=who.subject,
            input=given,
            resumed_from_run_id=after,
            scope=pinned(who.scope),
        )
        resumed = workflow_run.WorkflowResumed(
            workflow_id=workflow_id,
            workflow_run_id=run_id,
            status="running",
            requested_by=who.subject,
            reset=(),
            input_names=(),
        )
        return (*workflow_run.decide(create, workflow_run.DECIDER.initial, context), resumed)

    async def load(self, run_id: str) -> tuple[workflow_run.WorkflowRunState, workflow.WorkflowState]:
        """Return the committed state of a run, and its workflow. Raise NotFound."""

        def read(reader: Reader) -> tuple[workflow_run.WorkflowRunState, workflow.WorkflowState]:
            state = reader.state(workflow_run.DECIDER, run_id)
            definition = reader.state(workflow.DECIDER, state.workflow_id) if state.status else workflow.DECIDER.initial
            return state, definition

        if not workflow_run.DECIDER.owns(run_id):
            raise NotFound(f"no workflow run {run_id!r} exists")
        state, definition = await at_head(self._log, read)
        if not state.status:
            raise NotFound(f"no workflow run {run_id!r} exists")
        return state, definition

    async def would_reset(self, run_id: str, values: Mapping[str, Any] | None) -> tuple[str, ...]:
        """Return the steps that a resume would begin again. Raise NotFound or ConfigError."""
        state, definition = await self.load(run_id)
        if definition.graph is None:
            return ()
        given = dict(values or {})
        uses, same, seen = self._overridden(state.workflow_id, run_id, given)
        command = workflow_run.ResumeWorkflowRun(
            workflow_run_id=run_id,
            requested_by="",
            graph=definition.graph,
            input=given,
            uses=uses,
            same=same,
            seen=seen,
        )
        context = Context(now=0, ids=self._ids, meta=Meta(actor="", correlation=""))
        events = workflow_run.decide(command, state, context)
        return tuple(
            step for event in events if isinstance(event, workflow_run.WorkflowResumed) for step in event.reset
        )

    def uses(self, step: workflow_graph.Step) -> frozenset[str]:
        """Return the names of the inputs that a step may use: its placeholders, and the list of its map."""
        names: tuple[str, ...] = ()
        if step.directive_id is not None:
            directive, _ = self._catalog.directive(step.directive_id, "directiveId")
            names = names_in(directive.input or "")
        over = step.map.input if step.map is not None else None
        return frozenset(names if over is None else (*names, over))

    def _overridden(
        self, workflow_id: str, run_id: str | None, given: Mapping[str, Any]
    ) -> tuple[dict[str, frozenset[str]], frozenset[str], int]:
        """Return what each step uses, the values that the run already has, and how often it was resumed."""
        if not given or run_id is None:
            return {}, frozenset(), 0
        uses: dict[str, frozenset[str]] = {}
        for row in self._reader.stream(workflow_id):
            created = self._log.codec.decode(row).event
            if isinstance(created, workflow.WorkflowCreated):
                uses = {step.id: self.uses(step) for step in created.definition.steps}
        values: dict[str, Any] = {}
        seen = 0
        for row in self._reader.stream(run_id):
            if row.type in (workflow_run.WorkflowRunCreated.TYPE, workflow_run.WorkflowResumed.TYPE):
                event = self._log.codec.decode(row).event
                if isinstance(event, workflow_run.WorkflowRunCreated | workflow_run.WorkflowResumed):
                    values = {name: value for name, value in values.items() if name not in event.input_names}
                    values |= event.input or {}
                    seen += isinstance(event, workflow_run.WorkflowResumed)
        same = {name for name, value in given.items() if name in values and _equal(values[name], value)}
        return uses, frozenset(same), seen

    async def cancel(self, run_id: str, reason: str | None, meta: Meta, key: Key | None) -> Committed:
        """Cancel a run and the runs of its steps; the subject of the commit is its id. Raise NotFound."""
        await self.load(run_id)
        capacity = self._runs.capacity

        def cancel(reader: Reader, context: Context) -> Outcome:
            draft = RunTransaction(reader, context, capacity)
            if cancel_workflow_run(draft, reader, context, run_id, reason):
                draft.admit_waiting()
            return Outcome(facts=tuple(draft.facts), subject=run_id)

        return await self._log.submit(cancel, meta, key)

    async def judge(
        self,
        run_id: str,
        command: workflow_run.DecideApproval,
        who: Identity,
        operation: str,
        meta: Meta,
        key: Key | None,
    ) -> Committed:
        """Approve or reject a step; the subject of the commit is the run's id.

        Raise NotFound, Contradicted, or AuthzDenied for a caller who may not decide.
        """
        await self.load(run_id)
        enabled = self._access.roster.enabled

        def judge(reader: Reader, context: Context) -> Outcome:
            state = reader.state(workflow_run.DECIDER, run_id)
            graph = reader.state(workflow.DECIDER, state.workflow_id).graph
            step = graph.steps.get(command.step_id) if graph is not None else None
            if step is None or step.approval is None:
                raise NotFound(f"no approval {command.step_id!r} exists")
            if enabled and not may_judge(step.approval, who, state.requesters):
                raise approval_denied(reader, context, who, operation, step.approval)
            return Outcome(
                facts=workflow_run_facts(run_id, workflow_run.decide(command, state, context)), subject=run_id
            )

        return await self._log.submit(judge, meta, key)

    # Waiting

    async def settled(self, run_id: str, seconds: float) -> bool:
        """Return once a run has ended or waits for an approval, or after this many seconds.

        Return False at the timeout.
        """
        with self._waiters.wait(run_id) as waiter:
            state, _ = await self.load(run_id)
            return state.status != "running" or await waiter.within(seconds)

    async def waits(self, run_id: str) -> bool:
        """Return True if a run waits for an approval. Raise NotFound."""
        state, _ = await self.load(run_id)
        return state.status == "waiting"

    def close(self) -> None:
        self._reader.close()


def _equal(left: Any, right: Any) -> bool:
    """Return True for the same JSON: 1 is neither true nor 1.0."""
    first, second = (msgspec.json.encode(value, order="deterministic") for value in (left, right))
    return first == second


def may_judge(approval: workflow_graph.Approval, who: Identity, requesters: Collection[str]) -> bool:
    """Return True if an identity may decide: an approver, with the role, and not a requester if that is excluded."""
    if approval.not_requester and who.subject in requesters:
        return False
    if approval.approvers is not None and who.subject not in approval.approvers:
        return False
    return who.role.reaches(Role(approval.role or Role.OPERATOR))


def approval_denied(
    reader: Reader, context: Context, who: Identity, operation: str, approval: workflow_graph.Approval
) -> Rejected:
    """Return the denial of an approval, with the violation that is derived from it."""
    least = approval.role or Role.OPERATOR.value
    other = ", who neither started nor resumed the workflow run," if approval.not_requester else ""
    allowed = " or ".join(approval.approvers or (least,))
    message = f"{operation}: only {allowed}{other} may decide; {who.subject} is {who.role}"
    return decision_denied(reader, context, who, operation, least, message)
