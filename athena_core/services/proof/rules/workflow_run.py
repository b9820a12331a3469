"""Rules of workflow runs: what their steps may do."""

from athena_core.domain import workflow_run
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule

EVENTS = workflow_run.DECIDER.events
STEPPED = (
    workflow_run.WorkflowStepStarted,
    workflow_run.WorkflowStepCompleted,
    workflow_run.WorkflowStepFailed,
    workflow_run.WorkflowStepCancelled,
)


class WorkflowRunRules(RuleSet):
    """The workflow runs before an event."""

    def __init__(self) -> None:
        self._states: dict[str, workflow_run.WorkflowRunState] = {}

    @rule(*EVENTS)
    def flows(self, row: Row, event: Event) -> str | None:
        """A workflow run has events only while open; a step starts only if pending, and ends with its own run."""
        state = self._states.get(row.stream, workflow_run.DECIDER.initial)
        if not isinstance(event, workflow_run.WorkflowRunCreated | workflow_run.WorkflowResumed) and not state.open:
            return f"{row.type} of {row.stream}, which is {state.status or 'new'}"
        if not isinstance(event, STEPPED):
            return None
        step = state.step(event.step_id)
        one = step if event.item is None else (step.items or ())[event.item : event.item + 1]
        found = one[0] if isinstance(one, tuple) and one else step
        if isinstance(event, workflow_run.WorkflowStepStarted):
            if found.status != "pending":
                return f"step {event.step_id} of {row.stream} was started while it was {found.status}"
        elif event.step_run_id is not None and found.run_id != event.step_run_id:
            return f"{row.type} of {row.stream} by {event.step_run_id}, which is not the run of step {event.step_id}"
        return None

    @follow(*EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        state = self._states.get(row.stream, workflow_run.DECIDER.initial)
        self._states[row.stream] = workflow_run.evolve(state, event)
