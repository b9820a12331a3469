"""Stored events of a workflow run."""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from athena_core.definitions.workflow_graph import OutputHash, SkipReason
from athena_core.event import EXTRA, TEXT, Event, Shows, Text, Value
from athena_core.values import PinnedScope

ApprovalCause: TypeAlias = Literal["identity", "expiry"]
"""Who decided about an approval: somebody, or its expiry."""


# Stored events. Their TYPE is storage: never rename one.


class WorkflowRunCreated(Event):
    """A workflow is walked; the values of ``input_names`` fill placeholders of its directives."""

    TYPE: ClassVar[str] = "workflow.run.created"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    workflow_id: str
    requested_by: str
    input_names: tuple[str, ...]
    resumed_from_run_id: str | None = None
    scope: Annotated[PinnedScope | None, EXTRA] = None
    input: Annotated[dict[str, Any] | None, TEXT] = None


class ReopenedApproval(Value):
    """An approval that is asked for again: inputs with another value, and steps before it that begin again."""

    step_id: str
    input_names: tuple[str, ...] = ()
    step_ids: tuple[str, ...] = ()


class WorkflowResumed(Event):
    """Somebody had a workflow go on; the steps of ``reset`` begin again, with attempts of their own.

    ``reopened`` says why approvals that were granted are among them. Steps of ``held`` have items and wait for these.
    """

    TYPE: ClassVar[str] = "workflow.resumed"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    workflow_id: str
    workflow_run_id: str
    status: str
    requested_by: str
    reset: tuple[str, ...]
    input_names: tuple[str, ...]
    reopened: tuple[ReopenedApproval, ...] | None = None
    held: tuple[str, ...] | None = None
    scope: Annotated[PinnedScope | None, EXTRA] = None
    input: Annotated[dict[str, Any] | None, TEXT] = None


class WorkflowStepStarted(Event):
    """A step has a run, which was admitted or queued in the same commit; ``item`` is there where it is one of many."""

    TYPE: ClassVar[str] = "workflow.step.started"
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str
    step_id: str
    attempt: int
    step_run_id: str
    item: int | None = None
    condition: OutputHash | None = None
    condition_salt: Text = None


class WorkflowStepExpanded(Event):
    """A step runs once for each item of a list."""

    TYPE: ClassVar[str] = "workflow.step.expanded"
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str
    step_id: str
    items: int
    condition: OutputHash | None = None
    condition_salt: Text = None


class WorkflowStepCompleted(Event):
    """A step came to an output, or one of its items did; without a run: all of its items did."""

    TYPE: ClassVar[str] = "workflow.step.completed"
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str
    step_id: str
    attempt: int
    output_chars: int
    step_run_id: str | None = None
    item: int | None = None
    provider: str | None = None
    model: str | None = None


class WorkflowStepFailed(Event):
    """An attempt of a step, or of one of its items, came to nothing; it may be tried again (``will_retry``)."""

    TYPE: ClassVar[str] = "workflow.step.failed"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(console=True)
    workflow_id: str
    step_id: str
    attempt: int
    code: str
    will_retry: bool
    step_run_id: str | None = None
    item: int | None = None
    condition: OutputHash | None = None
    condition_salt: Text = None
    error_text: Text = None


class WorkflowStepSkipped(Event):
    """A step was left out."""

    TYPE: ClassVar[str] = "workflow.step.skipped"
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str
    step_id: str
    reason: SkipReason
    condition: OutputHash | None = None
    condition_salt: Text = None


class WorkflowStepCancelled(Event):
    """A step was stopped with its workflow run."""

    TYPE: ClassVar[str] = "workflow.step.cancelled"
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str
    step_id: str
    attempt: int
    step_run_id: str | None = None
    item: int | None = None


class WorkflowApprovalRequested(Event):
    """Somebody has to approve; ``subject_sha256`` is that of the salt and of what is to be approved."""

    TYPE: ClassVar[str] = "workflow.approval.requested"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    workflow_id: str
    step_id: str
    attempt: int
    subject_sha256: str
    expires_at_ms: int | None = None
    condition: OutputHash | None = None
    condition_salt: Text = None
    subject: Text = None
    subject_salt: Text = None


class WorkflowApprovalGranted(Event):
    """What was to be approved was approved."""

    TYPE: ClassVar[str] = "workflow.approval.granted"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    workflow_id: str
    step_id: str
    subject_sha256: str
    cause: ApprovalCause
    by: str | None = None
    note: Text = None


class WorkflowApprovalRejected(Event):
    """What was to be approved was rejected."""

    TYPE: ClassVar[str] = "workflow.approval.rejected"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    workflow_id: str
    step_id: str
    subject_sha256: str
    cause: ApprovalCause
    by: str | None = None
    note: Text = None


class WorkflowRunSuspended(Event):
    """Nothing goes on until somebody has decided about these approvals."""

    TYPE: ClassVar[str] = "workflow.run.suspended"
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str
    step_ids: tuple[str, ...]


class WorkflowRunCancelRequested(Event):
    """A workflow run is to stop. ``note`` is the caller's reason."""

    TYPE: ClassVar[str] = "workflow.run.cancel.requested"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    workflow_id: str
    note: Text = None


class WorkflowRunCompleted(Event):
    """Every step is ok, or was skipped."""

    TYPE: ClassVar[str] = "workflow.run.completed"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    workflow_id: str


class WorkflowRunFailed(Event):
    """No step can begin any more, because of those that failed."""

    TYPE: ClassVar[str] = "workflow.run.failed"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    workflow_id: str
    failed_steps: tuple[str, ...]


class WorkflowRunCancelled(Event):
    """A workflow run was stopped. The request that came before says why."""

    TYPE: ClassVar[str] = "workflow.run.cancelled"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(console=True)
    workflow_id: str


ENDING_TYPES = frozenset((WorkflowRunCompleted.TYPE, WorkflowRunFailed.TYPE, WorkflowRunCancelled.TYPE))
SETTLING_TYPES = ENDING_TYPES | {WorkflowRunSuspended.TYPE}
