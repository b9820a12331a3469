"""The state of a workflow run, and what its events occupy."""

from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from athena_core.decider import Decider
from athena_core.definitions.workflow_graph import BLOCKED, StepVerdict, WorkflowGraph
from athena_core.domain.workflow_run.events import (
    WorkflowApprovalGranted,
    WorkflowApprovalRejected,
    WorkflowApprovalRequested,
    WorkflowResumed,
    WorkflowRunCancelled,
    WorkflowRunCancelRequested,
    WorkflowRunCompleted,
    WorkflowRunCreated,
    WorkflowRunFailed,
    WorkflowRunSuspended,
    WorkflowStepCancelled,
    WorkflowStepCompleted,
    WorkflowStepExpanded,
    WorkflowStepFailed,
    WorkflowStepSkipped,
    WorkflowStepStarted,
)
from athena_core.enums import StepStatus, WorkflowRunStatus
from athena_core.event import Event, Guard, Recorded, Value
from athena_core.values import Scope, narrower, unpinned


class WorkflowItemState(Value):
    """The progress of one map item. ``spent`` counts the attempts since the last reset."""

    status: StepStatus = "pending"
    attempt: int = 0
    spent: int = 0
    run_id: str | None = None


class WorkflowStepState(Value):
    """The progress of a step. ``items`` is set once a map is expanded, the approval's fields while it waits."""

    status: StepStatus = "pending"
    attempt: int = 0
    spent: int = 0
    run_id: str | None = None
    items: tuple[WorkflowItemState, ...] | None = None
    subject_sha256: str | None = None
    expires_at_ms: int | None = None

    def running(self) -> tuple[tuple[int | None, str], ...]:
        """Return the active runs of this step, with their items."""
        if self.items is None:
            return ((None, self.run_id),) if self.status == "running" and self.run_id else ()
        found = enumerate(self.items)
        return tuple((item, one.run_id) for item, one in found if one.status == "running" and one.run_id)

    def waits_for(self, run_id: str, item: int | None) -> bool:
        """Return True if the step waits for this run of this item."""
        if item is None:
            return self.items is None and self.status == "running" and self.run_id == run_id
        one = self.items[item] if self.items is not None and item < len(self.items) else None
        return one is not None and one.status == "running" and one.run_id == run_id


PENDING = WorkflowStepState()


class WorkflowRunState(Value):
    """The progress of a workflow run. ``steps`` has only steps with events. Do not mutate the mapping."""

    workflow_id: str = ""
    status: Literal["", WorkflowRunStatus] = ""
    steps: Mapping[str, WorkflowStepState] = {}
    cancel: WorkflowRunCancelRequested | None = None
    requesters: tuple[str, ...] = ()
    """The identities that started or resumed the run, in this order."""
    scope: Scope | None = None
    """The intersection of their scopes."""
    resumed: int = 0
    reopened: frozenset[str] = frozenset()
    """Approvals that were requested again after they were granted. Later steps wait until they are granted anew."""

    @property
    def open(self) -> bool:
        """True if the run is running or waits for an approval."""
        return self.status in {"running", "waiting"}

    def step(self, step_id: str) -> WorkflowStepState:
        """Return the progress of a step."""
        return self.steps.get(step_id, PENDING)

    def statuses(self) -> dict[str, StepStatus]:
        """Return the status of each step that is not pending."""
        return {step_id: step.status for step_id, step in self.steps.items() if step.status != "pending"}

    def due(self, graph: WorkflowGraph) -> list[tuple[str, StepVerdict]]:
        """Return the pending steps that may start or are skipped, in the order of the definition."""
        shut, statuses = self._behind_reopened(graph), self._statuses_now(graph)
        return [
            (step_id, verdict)
            for step_id, verdict in graph.due(statuses)
            if step_id not in shut and self.step(step_id).status == "pending"
        ]

    def verdict(self, graph: WorkflowGraph, step_id: str) -> StepVerdict:
        """Return the decision about a pending step."""
        return BLOCKED if step_id in self._behind_reopened(graph) else graph.verdict(step_id, self._statuses_now(graph))

    def _behind_reopened(self, graph: WorkflowGraph) -> set[str]:
        """Return the steps behind an open reopened approval. Their own parents may still be ok from before."""
        shut: set[str] = set()
        for step_id in self.reopened:
            if self.step(step_id).status not in {"ok", "skipped"}:
                shut |= graph.after((step_id,)).difference(graph.children[step_id])
        return shut

    def _statuses_now(self, graph: WorkflowGraph) -> dict[str, StepStatus]:
        """Return ``statuses`` adjusted for reopened approvals that were skipped.

        A step behind such an approval may be ok from before. It counts as skipped if it would be skipped now.
        """
        statuses = self.statuses()
        skipped = [step_id for step_id in self.reopened if self.step(step_id).status == "skipped"]
        behind = graph.after(skipped)
        for step_id in graph.order if behind else ():
            if step_id in behind and statuses.get(step_id) == "ok":
                what = graph.verdict(step_id, statuses).what
                if what == "skip":
                    statuses[step_id] = "skipped"
                elif what == "blocked":
                    del statuses[step_id]
        return statuses


def evolve(state: WorkflowRunState, event: Event) -> WorkflowRunState:
    match event:
        case WorkflowRunCreated():
            return replace(
                state,
                workflow_id=event.workflow_id,
                status="running",
                requesters=event.requesters or (event.requested_by,),
                scope=unpinned(event.scope),
            )
        case WorkflowResumed():
            return _resume(state, event)
        case WorkflowStepStarted() | WorkflowStepCompleted() | WorkflowStepFailed() | WorkflowStepCancelled():
            step = state.step(event.step_id)
            step = _step_after(step, event) if event.item is None else _item_after(step, event)
            return _with(state, event.step_id, step)
        case WorkflowStepExpanded():
            step = state.step(event.step_id)
            items = (WorkflowItemState(),) * event.items
            if step.items is not None and len(step.items) == event.items:  # it was held: items that are ok stay ok
                items = step.items
            return _with(state, event.step_id, replace(step, status="running", items=items))
        case WorkflowStepSkipped():
            return _with(state, event.step_id, replace(state.step(event.step_id), status="skipped"))
        case WorkflowApprovalRequested():
            step = replace(
                state.step(event.step_id),
                status="waiting",
                attempt=event.attempt,
                subject_sha256=event.subject_sha256,
                expires_at_ms=event.expires_at_ms,
            )
            return _with(state, event.step_id, step)
        case WorkflowApprovalGranted() | WorkflowApprovalRejected():
            status: StepStatus = "ok" if isinstance(event, WorkflowApprovalGranted) else "failed"
            decided = _with(state, event.step_id, replace(state.step(event.step_id), status=status, expires_at_ms=None))
            return replace(decided, status="running") if state.status == "waiting" else decided
        case WorkflowRunSuspended():
            return replace(state, status="waiting")
        case WorkflowRunCancelRequested():
            return replace(state, cancel=replace(event, note=None))
        case WorkflowRunCompleted():
            return replace(state, status="ok")
        case WorkflowRunFailed():
            return replace(state, status="failed")
        case WorkflowRunCancelled():
            return replace(state, status="cancelled")
        case _:
            return state


def _resume(state: WorkflowRunState, event: WorkflowResumed) -> WorkflowRunState:
    held = event.held or ()
    reset = {step_id: _reset(state.step(step_id), held=step_id in held) for step_id in event.reset}
    return replace(
        state,
        status="running",
        steps={**state.steps, **reset},
        cancel=None,
        requesters=tuple(dict.fromkeys((*state.requesters, event.requested_by))),
        scope=narrower(state.scope, unpinned(event.scope)),
        resumed=state.resumed + 1,
        reopened=state.reopened.union(one.step_id for one in event.reopened or ()),
    )


def _with(state: WorkflowRunState, step_id: str, step: WorkflowStepState) -> WorkflowRunState:
    return replace(state, steps={**state.steps, step_id: step})


StepEvent = WorkflowStepStarted | WorkflowStepCompleted | WorkflowStepFailed | WorkflowStepCancelled


def _step_after(step: WorkflowStepState, event: StepEvent) -> WorkflowStepState:
    match event:
        case WorkflowStepStarted():
            spent = step.spent + 1
            return replace(step, status="running", attempt=event.attempt, spent=spent, run_id=event.step_run_id)
        case WorkflowStepCompleted():
            return replace(step, status="ok")
        case WorkflowStepFailed():
            return replace(step, status="pending" if event.will_retry else "failed", attempt=event.attempt)
        case WorkflowStepCancelled():
            return replace(step, status="cancelled")


def _item_after(step: WorkflowStepState, event: StepEvent) -> WorkflowStepState:
    items = list(step.items or ())
    index = event.item or 0
    if not 0 <= index < len(items):
        return step
    item = items[index]
    before = WorkflowStepState(status=item.status, attempt=item.attempt, spent=item.spent, run_id=item.run_id)
    after = _step_after(before, event)
    items[index] = WorkflowItemState(status=after.status, attempt=after.attempt, spent=after.spent, run_id=after.run_id)
    attempt = max(step.attempt, after.attempt)
    return replace(step, items=tuple(items), attempt=attempt)


def _reset(step: WorkflowStepState, *, held: bool) -> WorkflowStepState:
    """Reset a step. The attempt count and the items that are ok stay."""
    if step.items is None:
        return replace(step, status="pending", spent=0, subject_sha256=None, expires_at_ms=None)
    items = tuple(one if one.status == "ok" else replace(one, status="pending", spent=0) for one in step.items)
    return replace(step, status="pending" if held else "running", spent=0, items=items)


# Guards: ``flow`` by workflow run while it is open, ``step`` by the run of a step.


def _begun_guards(recorded: Recorded[WorkflowRunCreated | WorkflowResumed]) -> tuple[Guard, ...]:
    return (Guard(kind="flow", key=recorded.stream, value=(recorded.event.workflow_id,)),)


def _ended_guards(recorded: Recorded[Event]) -> tuple[Guard, ...]:
    return (Guard(kind="flow", key=recorded.stream, value=None),)


def _step_guards(recorded: Recorded[WorkflowStepStarted]) -> tuple[Guard, ...]:
    return (Guard(kind="step", key=recorded.event.step_run_id, value=(recorded.stream, recorded.event.step_id)),)


def _step_ended_guards(
    recorded: Recorded[WorkflowStepCompleted | WorkflowStepFailed | WorkflowStepCancelled],
) -> tuple[Guard, ...]:
    run_id = recorded.event.step_run_id
    return (Guard(kind="step", key=run_id, value=None),) if run_id else ()


DECIDER: Decider[WorkflowRunState] = Decider(
    category="wfr",
    events=(
        WorkflowRunCreated,
        WorkflowResumed,
        WorkflowStepStarted,
        WorkflowStepExpanded,
        WorkflowStepCompleted,
        WorkflowStepFailed,
        WorkflowStepSkipped,
        WorkflowStepCancelled,
        WorkflowApprovalRequested,
        WorkflowApprovalGranted,
        WorkflowApprovalRejected,
        WorkflowRunSuspended,
        WorkflowRunCancelRequested,
        WorkflowRunCompleted,
        WorkflowRunFailed,
        WorkflowRunCancelled,
    ),
    initial=WorkflowRunState(),
    evolve=evolve,
    occupies={
        WorkflowRunCreated: _begun_guards,
        WorkflowResumed: _begun_guards,
        WorkflowRunCompleted: _ended_guards,
        WorkflowRunFailed: _ended_guards,
        WorkflowRunCancelled: _ended_guards,
        WorkflowStepStarted: _step_guards,
        WorkflowStepCompleted: _step_ended_guards,
        WorkflowStepFailed: _step_ended_guards,
        WorkflowStepCancelled: _step_ended_guards,
    },
    over=lambda state: not state.open,
)
