"""Sample events of a workflow run."""

from typing import Any

from athena_core.domain import workflow_run as wr

CREATED = wr.WorkflowRunCreated(workflow_id="wf_1", requested_by="ada", input_names=())


def started(step_id: str = "a", attempt: int = 1, **fields: Any) -> wr.WorkflowStepStarted:
    run_id = f"run_{step_id}{attempt}"
    return wr.WorkflowStepStarted(workflow_id="wf_1", step_id=step_id, attempt=attempt, step_run_id=run_id, **fields)


def completed(step_id: str = "a", attempt: int = 1) -> wr.WorkflowStepCompleted:
    run_id = f"run_{step_id}{attempt}"
    return wr.WorkflowStepCompleted(
        workflow_id="wf_1", step_id=step_id, attempt=attempt, output_chars=0, step_run_id=run_id
    )


def failed(step_id: str = "a", attempt: int = 1, *, again: bool = False) -> wr.WorkflowStepFailed:
    return wr.WorkflowStepFailed(
        workflow_id="wf_1",
        step_id=step_id,
        attempt=attempt,
        code="X",
        error_text="no",
        will_retry=again,
        step_run_id=f"run_{step_id}{attempt}",
    )


ENDED = wr.WorkflowRunFailed(workflow_id="wf_1", failed_steps=("a",))


def resumed(*reset: str) -> wr.WorkflowResumed:
    return wr.WorkflowResumed(
        workflow_id="wf_1",
        workflow_run_id="wfr_1",
        status="running",
        requested_by="bob",
        reset=reset,
        input_names=(),
    )
