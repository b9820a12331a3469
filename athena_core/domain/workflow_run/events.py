"""Stored events of a workflow run."""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from athena_core.definitions.workflow_graph import OutputHash
from athena_core.enums import SkipReason
from athena_core.event import EXTRA, TEXT, Event, Shows, Text, Value, says
from athena_core.values import PinnedScope

ApprovalCause: TypeAlias = Literal["identity", "expiry"]
"""The decider of an approval: an identity, or the expiry."""


# Stored events. Their TYPE is storage: never rename one.


class WorkflowRunCreated(Event):
    """A workflow run started. The values of ``input_names`` fill placeholders of its directives.

    ``requesters`` requested it, ``requested_by`` first; without them it alone did.
    """

    TYPE: ClassVar[str] = "workflow.run.created"
    SHOWS: ClassVar[Shows] = Shows()
    BEGINS: ClassVar[bool] = True
    workflow_id: str
    requested_by: str
    input_names: tuple[str, ...]
    resumed_from_run_id: str | None = None
    requesters: tuple[str, ...] | None = None
    scope: Annotated[PinnedScope | None, EXTRA] = None
    input: Annotated[dict[str, Any] | None, TEXT] = None


class ReopenedApproval(Value):
    """The reason why a granted approval is requested again: changed inputs, and earlier steps that restart."""

    step_id: str
    input_names: tuple[str, ...] = ()
    step_ids: tuple[str, ...] = ()


class WorkflowResumed(Event):
    """A workflow run was resumed. The steps in ``reset`` restart, with new attempts.

    ``reopened`` lists granted approvals among them, with the reasons. Steps in ``held`` have items and wait for these
    approvals.
    """

    TYPE: ClassVar[str] = "workflow.resumed"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    BEGINS: ClassVar[bool] = True
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
    """A step has a run, admitted or queued in the same commit. ``item`` is set if the run is for one map item."""

    TYPE: ClassVar[str] = "workflow.step.started"
    SHOWS: ClassVar[Shows] = Shows()
    BEGINS: ClassVar[bool] = True
    workflow_id: str
    step_id: str
    attempt: int
    step_run_id: str
    item: int | None = None
    condition: OutputHash | None = None
    condition_salt: Text = None


class WorkflowStepExpanded(Event):
    """A map step got its items; it runs once for each."""

    TYPE: ClassVar[str] = "workflow.step.expanded"
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str
    step_id: str
    items: int
    condition: OutputHash | None = None
    condition_salt: Text = None


class WorkflowStepCompleted(Event):
    """A step or one of its items completed. Without ``step_run_id`` all items of the step did."""

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
    """An attempt of a step or of one of its items failed. It is retried if ``will_retry`` is true."""

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
    """A step was skipped."""

    TYPE: ClassVar[str] = "workflow.step.skipped"
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str
    step_id: str
    reason: Annotated[SkipReason, says("Why it was skipped.")]
    condition: OutputHash | None = None
    condition_salt: Text = None


class WorkflowStepCancelled(Event):
    """A step was cancelled with its workflow run."""

    TYPE: ClassVar[str] = "workflow.step.cancelled"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    workflow_id: str
    step_id: str
    attempt: int
    step_run_id: str | None = None
    item: int | None = None


class WorkflowApprovalRequested(Event):
    """An approval was requested. ``subject_sha256`` is the hash of the salt and the subject of the approval."""

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
    """An approval was granted."""

    TYPE: ClassVar[str] = "workflow.approval.granted"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    workflow_id: str
    step_id: str
    subject_sha256: str
    cause: Annotated[ApprovalCause, says("An identity's decision, or the end of its time.")]
    by: Annotated[str | None, says("Identity that decided; absent if its time ended.")] = None
    note: Text = None


class WorkflowApprovalRejected(Event):
    """An approval was rejected."""

    TYPE: ClassVar[str] = "workflow.approval.rejected"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    workflow_id: str
    step_id: str
    subject_sha256: str
    cause: Annotated[ApprovalCause, says("An identity's decision, or the end of its time.")]
    by: Annotated[str | None, says("Identity that decided; absent if its time ended.")] = None
    note: Text = None


class WorkflowRunSuspended(Event):
    """The workflow run waits for these approvals."""

    TYPE: ClassVar[str] = "workflow.run.suspended"
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str
    step_ids: tuple[str, ...]


class WorkflowRunCancelRequested(Event):
    """The cancel of a workflow run was requested. ``note`` is the caller's reason."""

    TYPE: ClassVar[str] = "workflow.run.cancel.requested"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    workflow_id: str
    note: Text = None


class WorkflowRunCompleted(Event):
    """The workflow run completed: every step is ok or skipped."""

    TYPE: ClassVar[str] = "workflow.run.completed"
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str


class WorkflowRunFailed(Event):
    """The workflow run failed: because of failed steps no other step can start."""

    TYPE: ClassVar[str] = "workflow.run.failed"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    workflow_id: str
    failed_steps: tuple[str, ...]


class WorkflowRunCancelled(Event):
    """The workflow run was cancelled. The request before it has the reason."""

    TYPE: ClassVar[str] = "workflow.run.cancelled"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows()
    workflow_id: str


ENDING_TYPES = frozenset((WorkflowRunCompleted.TYPE, WorkflowRunFailed.TYPE, WorkflowRunCancelled.TYPE))
SETTLING_TYPES = ENDING_TYPES | {WorkflowRunSuspended.TYPE}
