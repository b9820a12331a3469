"""Commands of a workflow run: start, resume, advance, approve and cancel."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from athena_core.clock import iso
from athena_core.decider import Context
from athena_core.definitions.workflow_graph import OutputHash, WorkflowGraph
from athena_core.domain.workflow_run.events import (
    ReopenedApproval,
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
from athena_core.domain.workflow_run.state import WorkflowRunState, WorkflowStepState, evolve
from athena_core.enums import SkipReason
from athena_core.errors import ConfigError, Contradicted, NotFound
from athena_core.event import Event, Value
from athena_core.values import RUN_ITEMS_MAX, PinnedScope


class CreateWorkflowRun(Value):
    """Start a workflow run."""

    workflow_id: str
    requested_by: str
    input: dict[str, Any]
    resumed_from_run_id: str | None = None
    requesters: tuple[str, ...] | None = None
    scope: PinnedScope | None = None


class ResumeWorkflowRun(Value):
    """Restart the failed and cancelled steps. Steps that are ok are not repeated.

    ``uses`` has the inputs that each step may use. ``same`` has the inputs with an unchanged value, valid while the run
    was resumed ``seen`` times.
    """

    workflow_run_id: str
    requested_by: str
    graph: WorkflowGraph
    input: dict[str, Any]
    uses: Mapping[str, frozenset[str]] = {}
    same: frozenset[str] = frozenset()
    seen: int = 0
    scope: PinnedScope | None = None


class StepRunEnded(Value):
    """Record the end of a step's run, with an output or an error."""

    step_id: str
    run_id: str
    item: int | None = None
    code: str | None = None
    message: str = ""
    cancelled: bool = False
    output_chars: int = 0
    provider: str | None = None
    model: str | None = None


class SaltedOutputHash(Value):
    """The hash of an output that was read before a step was started or skipped, and its salt."""

    held: OutputHash
    salt: str


class StartStep(Value):
    """Start a step, or one of its items, with a run."""

    step_id: str
    run_id: str
    item: int | None = None
    looked: SaltedOutputHash | None = None


class ExpandStep(Value):
    """Start a map step with the number of its items."""

    step_id: str
    items: int
    looked: SaltedOutputHash | None = None


class SkipStep(Value):
    """Skip a step."""

    step_id: str
    reason: SkipReason
    looked: SaltedOutputHash | None = None


class RequestApproval(Value):
    """Request an approval. Its subject was made when the run had been resumed ``resumed`` times."""

    step_id: str
    subject: str
    subject_sha256: str
    subject_salt: str
    expires_after_ms: int | None = None
    looked: SaltedOutputHash | None = None
    resumed: int = 0


class FailStep(Value):
    """Fail a step, or one of its items, that cannot start."""

    step_id: str
    code: str
    message: str
    item: int | None = None
    looked: SaltedOutputHash | None = None


StepCommand = StartStep | ExpandStep | SkipStep | RequestApproval | FailStep


class AdvanceWorkflowRun(Value):
    """Record ended runs and expired approvals, make moves, and end the run unless ``close`` is False.

    A map fails if the run would have more than ``items_max`` items.
    """

    graph: WorkflowGraph
    ended: tuple[StepRunEnded, ...] = ()
    moves: tuple[StepCommand, ...] = ()
    close: bool = True
    items_max: int = RUN_ITEMS_MAX


class DecideApproval(Value):
    """Approve or reject a step if its subject hash still matches."""

    step_id: str
    subject_sha256: str
    approve: bool
    by: str
    note: str | None = None


class CancelWorkflowRun(Value):
    """Request the cancel of a workflow run."""

    reason: str | None = None


WorkflowRunCommand = CreateWorkflowRun | ResumeWorkflowRun | AdvanceWorkflowRun | DecideApproval | CancelWorkflowRun


def decide(command: WorkflowRunCommand, state: WorkflowRunState, context: Context) -> tuple[Event, ...]:
    """Return the events of a command; none if it came too late. Raise NotFound or Contradicted."""
    match command:
        case CreateWorkflowRun():
            if state.status:
                return ()
            return (
                WorkflowRunCreated(
                    workflow_id=command.workflow_id,
                    requested_by=command.requested_by,
                    input_names=tuple(command.input),
                    resumed_from_run_id=command.resumed_from_run_id,
                    requesters=command.requesters,
                    scope=command.scope,
                    input=command.input or None,
                ),
            )
        case ResumeWorkflowRun():
            return _resume(command, state)
        case AdvanceWorkflowRun():
            return _advance(command, state, context) if state.open else ()
        case DecideApproval():
            return _decide_approval(command, state, context.now)
        case CancelWorkflowRun():
            if not state.open or state.cancel is not None:
                return ()
            return (WorkflowRunCancelRequested(workflow_id=state.workflow_id, note=command.reason),)


def _resume(command: ResumeWorkflowRun, state: WorkflowRunState) -> tuple[Event, ...]:
    if state.status not in {"failed", "cancelled"}:
        check_overrides(command.input, state)
        return ()
    graph = command.graph
    for step_id, step in state.steps.items():
        over = graph.steps[step_id].map if step_id in graph.steps else None
        if over is not None and over.input in command.input and step.items is not None:
            reason = f"the items of step {step_id!r} come from it, and some have started"
            raise ConfigError.of(f"inputOverrides.{over.input}", reason, "start a new run of the workflow")
    lost = [step_id for step_id, step in state.steps.items() if step.status in {"failed", "cancelled"}]
    reopened = _reopen(command, state, lost)
    lost += [one.step_id for one in reopened]
    below = graph.after(lost)
    reset = tuple(
        step_id
        for step_id in graph.ids
        if step_id in state.steps and (step_id in lost or (step_id in below and state.step(step_id).status != "ok"))
    )
    behind = graph.after(one.step_id for one in reopened)
    held = tuple(step_id for step_id in reset if step_id in behind and state.step(step_id).items is not None)
    return (
        WorkflowResumed(
            workflow_id=state.workflow_id,
            workflow_run_id=command.workflow_run_id,
            status="running",
            requested_by=command.requested_by,
            reset=reset,
            input_names=tuple(command.input),
            reopened=reopened or None,
            held=held or None,
            scope=command.scope,
            input=command.input or None,
        ),
    )


def check_overrides(values: Mapping[str, Any], state: WorkflowRunState) -> None:
    """Raise Contradicted if input values are given for a run that accepts none now."""
    if values:
        how = "ended" if state.status == "ok" else f"is {state.status}"
        raise Contradicted(
            f"inputOverrides were not applied: the workflow run {how}. Only a failed or cancelled run accepts"
            " them. Cancel it first, or start a new run with this input."
        )


def _reopen(command: ResumeWorkflowRun, state: WorkflowRunState, lost: Sequence[str]) -> tuple[ReopenedApproval, ...]:
    """Return the granted approvals that must be requested again: values changed, or earlier steps restart.

    An approval stays granted if no step behind it is still to start.
    """
    graph = command.graph
    same = command.same if command.seen == state.resumed else frozenset()
    changed = command.input.keys() - same
    begins = {step_id for step_id in {*lost, *graph.after(lost)} if state.step(step_id).status != "ok"}
    found: list[ReopenedApproval] = []
    for step_id in graph.order:
        if graph.steps[step_id].approval is None or state.step(step_id).status != "ok":
            continue
        ahead = [
            other
            for other in graph.after((step_id,))
            if other in begins or state.step(other).status not in {"ok", "skipped"}
        ]
        names = {name for other in ahead for name in command.uses.get(other, ()) if name in changed}
        steps = tuple(parent for parent in graph.parents[step_id] if parent in begins)
        if ahead and (names or steps):
            begins.add(step_id)
            found.append(ReopenedApproval(step_id=step_id, input_names=tuple(sorted(names)), step_ids=steps))
    return tuple(found)


class _Decision:
    """The events of one command, and the state after them."""

    def __init__(self, graph: WorkflowGraph, state: WorkflowRunState, now: int) -> None:
        self.graph = graph
        self.state = state
        self.now = now
        self.events: list[Event] = []

    def add(self, event: Event) -> None:
        """Append an event and apply it."""
        self.events.append(event)
        self.state = evolve(self.state, event)


def _advance(command: AdvanceWorkflowRun, state: WorkflowRunState, context: Context) -> tuple[Event, ...]:
    decision = _Decision(command.graph, state, context.now)
    for step_id, step in state.steps.items():
        if step.status == "waiting" and step.expires_at_ms is not None and step.expires_at_ms <= context.now:
            decision.add(_expire(decision, step_id, step))
    for ended in command.ended:
        _end_step_run(decision, ended)
    for step_id in _steps_to_finish(command, decision.state):
        _finish_items(decision, step_id)
    for move in command.moves if decision.state.cancel is None else ():
        _move(decision, move, command.items_max)
    if command.close:
        _finish_run(decision)
    return tuple(decision.events)


def _steps_to_finish(command: AdvanceWorkflowRun, state: WorkflowRunState) -> Iterable[str]:
    """Return the steps whose items may all have ended.

    The end of an item may end its step. After a cancel every step is checked: one without a running item gets no other
    event. So is it for a command without ends and moves, because release 0.1 left steps behind that wait for nothing.
    """
    if state.cancel is not None or (command.close and not command.ended and not command.moves):
        return tuple(state.steps)
    return dict.fromkeys(ended.step_id for ended in command.ended if ended.item is not None)


def _expire(decision: _Decision, step_id: str, step: WorkflowStepState) -> Event:
    approval = decision.graph.steps[step_id].approval
    granted = approval is not None and approval.on_expiry == "approve"
    kind = WorkflowApprovalGranted if granted else WorkflowApprovalRejected
    workflow_id, sha256 = decision.state.workflow_id, step.subject_sha256 or ""
    return kind(workflow_id=workflow_id, step_id=step_id, subject_sha256=sha256, cause="expiry")


def _end_step_run(decision: _Decision, ended: StepRunEnded) -> None:
    """Record the end of a step's run."""
    step = decision.state.step(ended.step_id)
    if not step.waits_for(ended.run_id, ended.item):
        return
    one = step if ended.item is None or step.items is None else step.items[ended.item]
    fields: dict[str, Any] = {
        "workflow_id": decision.state.workflow_id,
        "step_id": ended.step_id,
        "attempt": one.attempt,
        "step_run_id": ended.run_id,
        "item": ended.item,
    }
    if ended.code is None:
        fields |= {"output_chars": ended.output_chars, "provider": ended.provider, "model": ended.model}
        decision.add(WorkflowStepCompleted(**fields))
    elif ended.cancelled and decision.state.cancel is not None:
        decision.add(WorkflowStepCancelled(**fields))
    else:
        execution = decision.graph.steps[ended.step_id].execution
        most = (execution and execution.max_attempts) or 1
        again = one.spent < most and not ended.cancelled and decision.state.cancel is None
        decision.add(WorkflowStepFailed(**fields, code=ended.code, error_text=ended.message, will_retry=again))


def _finish_items(decision: _Decision, step_id: str) -> None:
    """End a step if all its items have ended."""
    step = decision.state.step(step_id)
    if step.status != "running" or step.items is None or any(one.status == "running" for one in step.items):
        return
    statuses = [one.status for one in step.items]
    fields: dict[str, Any] = {"workflow_id": decision.state.workflow_id, "step_id": step_id, "attempt": step.attempt}
    if all(status == "ok" for status in statuses):
        decision.add(WorkflowStepCompleted(**fields, output_chars=0))
    elif "failed" in statuses:
        failed = [str(index) for index, status in enumerate(statuses) if status == "failed"]
        message = f"{len(failed)} of {len(statuses)} items failed: {', '.join(failed[:20])}"
        decision.add(WorkflowStepFailed(**fields, code="ITEMS_FAILED", error_text=message, will_retry=False))
    elif decision.state.cancel is not None:
        decision.add(WorkflowStepCancelled(**fields))


def _move(decision: _Decision, move: StepCommand, items_max: int) -> None:
    """Make a move if it is still possible."""
    step = decision.state.step(move.step_id)
    item = move.item if isinstance(move, StartStep | FailStep) else None
    if item is None:
        what = decision.state.verdict(decision.graph, move.step_id).what
        if step.status != "pending" or what != ("skip" if _is_upstream(move) else "ready"):
            return
        attempt = step.attempt
    else:
        if step.status != "running" or not step.items or step.items[item].status != "pending":
            return
        attempt = step.items[item].attempt
    fields: dict[str, Any] = {"workflow_id": decision.state.workflow_id, "step_id": move.step_id}
    if move.looked is not None:
        fields |= {"condition": move.looked.held, "condition_salt": move.looked.salt}
    match move:
        case StartStep():
            decision.add(WorkflowStepStarted(**fields, attempt=attempt + 1, step_run_id=move.run_id, item=item))
        case ExpandStep():
            every = sum(len(one.items) for one in decision.state.steps.values() if one.items is not None)
            known = len(step.items or ())  # it may have been held after its expansion
            others = every - known
            if others + move.items > items_max and move.items > known:
                message = (
                    f"the map has {move.items} items: the other steps of the run have {others}, and"
                    f" ATHENA_WORKFLOW_ITEMS_MAX allows {items_max} for the whole run"
                )
                fields |= {"code": "MAP_ERROR", "error_text": message, "attempt": attempt + 1}
                decision.add(WorkflowStepFailed(**fields, will_retry=False))
                return
            decision.add(WorkflowStepExpanded(**fields, items=move.items))
            _finish_items(decision, move.step_id)
        case SkipStep():
            decision.add(WorkflowStepSkipped(**fields, reason=move.reason))
        case RequestApproval(resumed=resumed) if resumed == decision.state.resumed:
            expires = None if move.expires_after_ms is None else decision.now + move.expires_after_ms
            asked = WorkflowApprovalRequested(
                **fields,
                attempt=attempt + 1,
                subject_sha256=move.subject_sha256,
                expires_at_ms=expires,
                subject=move.subject,
                subject_salt=move.subject_salt,
            )
            decision.add(asked)
        case FailStep():
            fields |= {"code": move.code, "error_text": move.message, "attempt": attempt + 1, "item": item}
            decision.add(WorkflowStepFailed(**fields, will_retry=False))
            if item is not None:
                _finish_items(decision, move.step_id)


def _is_upstream(move: StepCommand) -> bool:
    return isinstance(move, SkipStep) and move.reason != "condition"


def _finish_run(decision: _Decision) -> None:
    """End the run if no step is active, or suspend it if it waits for approvals."""
    state = decision.state
    statuses = [step.status for step in state.steps.values()]
    if "running" in statuses:
        return
    workflow_id = state.workflow_id
    waiting = tuple(step_id for step_id, step in state.steps.items() if step.status == "waiting")
    if state.cancel is not None:
        for step_id in waiting:
            attempt = state.step(step_id).attempt
            decision.add(WorkflowStepCancelled(workflow_id=workflow_id, step_id=step_id, attempt=attempt))
        decision.add(WorkflowRunCancelled(workflow_id=workflow_id))
        return
    if state.due(decision.graph):
        return
    if waiting:
        if state.status != "waiting":
            decision.add(WorkflowRunSuspended(workflow_id=workflow_id, step_ids=waiting))
        return
    failed = tuple(step_id for step_id, step in state.steps.items() if step.status in {"failed", "cancelled"})
    if failed:
        decision.add(WorkflowRunFailed(workflow_id=workflow_id, failed_steps=failed))
    else:
        decision.add(WorkflowRunCompleted(workflow_id=workflow_id))


def _decide_approval(command: DecideApproval, state: WorkflowRunState, now: int) -> tuple[Event, ...]:
    step = state.steps.get(command.step_id)
    if step is None or step.subject_sha256 is None:
        raise NotFound(f"step {command.step_id!r} does not wait for an approval")
    decided = {True: "ok", False: "failed"}[command.approve]
    if step.subject_sha256 != command.subject_sha256:
        raise Contradicted("the subject of the approval has changed. Read it again, then decide.")
    if step.status == decided:
        return ()
    if step.status != "waiting" or not state.open or state.cancel is not None:
        raise Contradicted(
            f"step {command.step_id!r} is {step.status}. The approval was already decided or has expired."
        )
    if step.expires_at_ms is not None and step.expires_at_ms <= now:
        raise Contradicted(f"the approval of step {command.step_id!r} expired at {iso(step.expires_at_ms)}")
    kind = WorkflowApprovalGranted if command.approve else WorkflowApprovalRejected
    return (
        kind(
            workflow_id=state.workflow_id,
            step_id=command.step_id,
            subject_sha256=command.subject_sha256,
            cause="identity",
            by=command.by,
            note=command.note,
        ),
    )
