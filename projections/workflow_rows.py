"""Rows of workflows: definitions, the state of each run, and durations of steps."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from athena_core.definitions.workflow_graph import WorkflowDefinition, WorkflowGraph
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.workflow import WorkflowCreated
from athena_core.domain.workflow_run import (
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
from athena_core.event import Event, Recorded
from athena_core.text import ERASED, or_erased
from projections.engine.cursor import id_from
from projections.engine.projection import Projection, Rows, Table, to_json, to_json_or_null

SAMPLES_MAX = 50
"""Number of durations stored for a step, the most recent ones."""
QUANTILES = (50, 80, 95)


StepItemStatus: TypeAlias = Literal["pending", "running", "ok", "failed", "cancelled"]
LogLevel: TypeAlias = Literal["info", "error"]


class WorkflowRow(msgspec.Struct, gc=False):
    """A workflow; ``definition`` is JSON."""

    position: int
    workflow_id: str
    created_at: int
    created_by: str
    definition: str


class WorkflowMetadataRow(msgspec.Struct, gc=False):
    """The metadata of the steps of a workflow as JSON, by its position; NULL if there is none, and once redacted."""

    position: int
    metadata: str | None
    redacted: bool = False


class WorkflowRunRow(msgspec.Struct, gc=False):
    """A run of a workflow. ``estimates`` is JSON in milliseconds, computed when the run was created."""

    position: int
    run_id: str
    workflow_id: str
    status: WorkflowRunStatus
    created_at: int
    updated_at: int
    requested_by: str
    began_at: int | None
    resumed_from: str | None
    finished_at: int | None
    estimates: str | None
    resumed: int


class StepRow(msgspec.Struct, gc=False):
    """The state of a step of a run. A step without a row is pending."""

    run_id: str
    step_id: str
    status: StepStatus = "pending"
    attempt: int = 0
    updated_at: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    step_run_id: str | None = None
    error: str | None = None
    provider: str | None = None
    model: str | None = None
    output_chars: int = 0
    items: int | None = None
    note: str | None = None
    approval: str | None = None
    error_at: int | None = None


class StepItemRow(msgspec.Struct, gc=False):
    """The state of one item of a step."""

    run_id: str
    step_id: str
    item: int
    status: StepItemStatus = "pending"
    attempt: int = 0
    step_run_id: str | None = None
    error: str | None = None
    error_at: int | None = None


class WorkflowRunTextRow(msgspec.Struct, gc=False):
    """The owner of the text of an event: a failed step or item, or the cancel of a run."""

    position: int
    run_id: str
    code: str | None = None
    step_id: str | None = None
    item: int | None = None


class LogLineRow(msgspec.Struct, gc=False):
    """A log line of a run, by the position of its event."""

    position: int
    run_id: str
    level: LogLevel
    message: str
    created_at: int
    step_id: str | None


class StepDurationsRow(msgspec.Struct, gc=False):
    """The last durations of a step, as a JSON list of milliseconds."""

    workflow_id: str
    step_id: str
    durations: str


WORKFLOW = Table("workflow", WorkflowRow, key=("workflow_id",), indexes=(("position",),))
METADATA = Table("workflow_text", WorkflowMetadataRow, key=("position",))
RUN = Table("workflow_run", WorkflowRunRow, key=("run_id",), indexes=(("workflow_id", "position"), ("position",)))
STEP = Table("workflow_step", StepRow, key=("run_id", "step_id"))
ITEM = Table("workflow_item", StepItemRow, key=("run_id", "step_id", "item"))
LINE = Table("workflow_line", LogLineRow, key=("position",), indexes=(("run_id", "position"),))
DURATIONS = Table("workflow_history", StepDurationsRow, key=("workflow_id", "step_id"))
RUN_TEXT = Table("workflow_words", WorkflowRunTextRow, key=("position",))
WORKFLOWS = Projection("workflows", version=4, tables=(WORKFLOW, METADATA, RUN, STEP, ITEM, LINE, DURATIONS, RUN_TEXT))

TO_CANCEL = "to be cancelled"
ENDED_STATUS: dict[type[Event], WorkflowRunStatus] = {
    WorkflowRunCompleted: "ok",
    WorkflowRunFailed: "failed",
    WorkflowRunCancelled: "cancelled",
}


@WORKFLOWS.handler
def workflow_created(rows: Rows, recorded: Recorded[WorkflowCreated]) -> None:
    event = recorded.event
    rows.append(
        WORKFLOW,
        WorkflowRow(
            position=recorded.position,
            workflow_id=event.workflow_id,
            created_at=recorded.at,
            created_by=event.created_by,
            definition=to_json(event.definition),
        ),
    )
    rows.append(METADATA, WorkflowMetadataRow(recorded.position, to_json_or_null(event.metadata)))


@WORKFLOWS.handler
def run_created(rows: Rows, recorded: Recorded[WorkflowRunCreated]) -> None:
    """Add the run with an estimate of its duration."""
    event = recorded.event
    graph = graph_of(rows.need(WORKFLOW, event.workflow_id))
    history = {step_id: _durations(rows.get(DURATIONS, event.workflow_id, step_id)) for step_id in graph.ids}
    estimates = estimate(graph, history)
    rows.append(
        RUN,
        WorkflowRunRow(
            position=recorded.position,
            run_id=recorded.stream,
            workflow_id=event.workflow_id,
            status="running",
            created_at=recorded.at,
            updated_at=recorded.at,
            requested_by=event.requested_by,
            began_at=None,
            resumed_from=event.resumed_from_run_id,
            finished_at=None,
            estimates=to_json_or_null(estimates),
            resumed=0,
        ),
    )
    _log(rows, recorded, "info", "the run was created")


@WORKFLOWS.handler
def run_resumed(rows: Rows, recorded: Recorded[WorkflowResumed]) -> None:
    row = _touch(rows, recorded)
    row.status, row.finished_at = "running", None
    failed = None
    for step_id in recorded.event.reset:
        step = rows.change(STEP, recorded.stream, step_id)
        if step.status == "failed" and failed is None:
            failed = step_id
        for item in range(step.items or 0):
            item_row = rows.need(ITEM, recorded.stream, step_id, item)
            if item_row.status != "ok":
                item_row.status, item_row.error = "pending", None
                rows.put(ITEM, item_row)
        stays_pending = step.items is None or step_id in (recorded.event.held or ())
        step.status = "pending" if stays_pending else "running"
        step.updated_at, step.finished_at, step.error, step.note = recorded.at, None, None, None
        step.approval = None
    row.resumed += 1 if recorded.event.reset else 0
    parts = [f"resumed at step {failed!r}" if failed else "resumed"]
    for reopened in recorded.event.reopened or ():
        why = [f"input {name!r} has another value" for name in reopened.input_names]
        why += [f"step {step_id!r} begins again" for step_id in reopened.step_ids]
        parts.append(f"{reopened.step_id!r} is to be approved again: {', '.join(why)}")
    _log(rows, recorded, "info", "; ".join(parts), failed)


@WORKFLOWS.handler
def step_started(rows: Rows, recorded: Recorded[WorkflowStepStarted]) -> None:
    event = recorded.event
    row = _touch(rows, recorded)
    if row.began_at is None:
        row.began_at = recorded.at
    step = _step(rows, recorded, event.step_id)
    if event.item is None:
        step.status, step.started_at, step.finished_at = "running", recorded.at, None
        step.attempt, step.step_run_id, step.error = event.attempt, event.step_run_id, None
        _log(rows, recorded, "info", f"attempt {event.attempt} started as {event.step_run_id}", event.step_id)
        return
    step.attempt = max(step.attempt, event.attempt)
    item_row = rows.change(ITEM, recorded.stream, event.step_id, event.item)
    item_row.status, item_row.attempt, item_row.step_run_id = "running", event.attempt, event.step_run_id
    message = f"attempt {event.attempt} of item {event.item} started as {event.step_run_id}"
    _log(rows, recorded, "info", message, event.step_id)


@WORKFLOWS.handler
def step_expanded(rows: Rows, recorded: Recorded[WorkflowStepExpanded]) -> None:
    event = recorded.event
    row = _touch(rows, recorded)
    if row.began_at is None:
        row.began_at = recorded.at
    step = _step(rows, recorded, event.step_id)
    known = step.items == event.items  # an expansion of the same list: keep the items that are ok
    step.status, step.started_at, step.items = "running", recorded.at, event.items
    for item in () if known else range(event.items):
        rows.put(ITEM, StepItemRow(recorded.stream, event.step_id, item))
    _log(rows, recorded, "info", f"runs for {event.items} items", event.step_id)


@WORKFLOWS.handler
def step_completed(rows: Rows, recorded: Recorded[WorkflowStepCompleted]) -> None:
    event = recorded.event
    row = _touch(rows, recorded)
    step = _step(rows, recorded, event.step_id)
    if event.item is not None:
        item_row = rows.change(ITEM, recorded.stream, event.step_id, event.item)
        item_row.status = "ok"
        step.output_chars += event.output_chars
        step.provider, step.model = event.provider, event.model
        _log(rows, recorded, "info", f"item {event.item} is ok", event.step_id)
        return
    step.status, step.finished_at = "ok", recorded.at
    if event.step_run_id is not None:
        step.output_chars, step.provider, step.model = event.output_chars, event.provider, event.model
    if step.started_at is not None:
        history = rows.get(DURATIONS, row.workflow_id, event.step_id)
        durations = [*_durations(history), recorded.at - step.started_at][-SAMPLES_MAX:]
        rows.put(DURATIONS, StepDurationsRow(row.workflow_id, event.step_id, durations=to_json(durations)))
    _log(rows, recorded, "info", "ok", event.step_id)


@WORKFLOWS.handler
def step_failed(rows: Rows, recorded: Recorded[WorkflowStepFailed]) -> None:
    event = recorded.event
    _touch(rows, recorded)
    step = _step(rows, recorded, event.step_id)
    error = f"{event.code}: {or_erased(event.error_text)}"
    status: Literal["pending", "failed"] = "pending" if event.will_retry else "failed"
    rows.append(
        RUN_TEXT,
        WorkflowRunTextRow(
            position=recorded.position,
            run_id=recorded.stream,
            code=event.code,
            step_id=event.step_id,
            item=event.item,
        ),
    )
    if event.item is not None:
        item_row = rows.change(ITEM, recorded.stream, event.step_id, event.item)
        item_row.status, item_row.attempt = status, event.attempt
        item_row.error, item_row.error_at = error, recorded.position
        _log(rows, recorded, "error", f"item {event.item}: {error}", event.step_id)
        return
    step.status, step.attempt, step.error, step.error_at = status, event.attempt, error, recorded.position
    step.finished_at = None if event.will_retry else recorded.at
    _log(rows, recorded, "error", error, event.step_id)


@WORKFLOWS.handler
def step_skipped(rows: Rows, recorded: Recorded[WorkflowStepSkipped]) -> None:
    event = recorded.event
    _touch(rows, recorded)
    step = _step(rows, recorded, event.step_id)
    step.status, step.finished_at, step.note = "skipped", recorded.at, event.reason
    _log(rows, recorded, "info", f"skipped: {event.reason}", event.step_id)


@WORKFLOWS.handler
def step_cancelled(rows: Rows, recorded: Recorded[WorkflowStepCancelled]) -> None:
    event = recorded.event
    _touch(rows, recorded)
    if event.item is not None:
        item_row = rows.change(ITEM, recorded.stream, event.step_id, event.item)
        item_row.status = "cancelled"
        return
    step = _step(rows, recorded, event.step_id)
    step.status, step.finished_at = "cancelled", recorded.at
    _log(rows, recorded, "info", "cancelled", event.step_id)


@WORKFLOWS.handler
def approval_requested(rows: Rows, recorded: Recorded[WorkflowApprovalRequested]) -> None:
    event = recorded.event
    _touch(rows, recorded)
    step = _step(rows, recorded, event.step_id)
    step.status, step.attempt, step.started_at = "waiting", event.attempt, recorded.at
    step.approval = to_json(
        ApprovalRequest(
            ask_id=id_from("ask", recorded),
            subject_sha256=event.subject_sha256,
            requested_at=recorded.at,
            expires_at=event.expires_at_ms,
        )
    )
    _log(rows, recorded, "info", "waits for an approval", event.step_id)


@WORKFLOWS.handler
def approval_decided(rows: Rows, recorded: Recorded[WorkflowApprovalGranted | WorkflowApprovalRejected]) -> None:
    """Record a decision by an identity, or the expiry."""
    event = recorded.event
    row = _touch(rows, recorded)
    row.status = "running" if row.status == "waiting" else row.status
    step = _step(rows, recorded, event.step_id)
    granted = isinstance(event, WorkflowApprovalGranted)
    by = event.by if event.cause == "identity" else "its expiry"
    says = f"{'approved' if granted else 'rejected'} by {by}"
    step.status, step.finished_at, step.note = "ok" if granted else "failed", recorded.at, says
    if not granted:
        step.error = f"{'APPROVAL_EXPIRED' if event.cause == 'expiry' else 'APPROVAL_REJECTED'}: {says}"
        step.error_at = None
    _log(rows, recorded, "info" if granted else "error", says, event.step_id)


@WORKFLOWS.handler
def run_suspended(rows: Rows, recorded: Recorded[WorkflowRunSuspended]) -> None:
    _touch(rows, recorded).status = "waiting"


@WORKFLOWS.handler
def cancel_requested(rows: Rows, recorded: Recorded[WorkflowRunCancelRequested]) -> None:
    _touch(rows, recorded)
    reason = recorded.event.note
    _log(rows, recorded, "info", TO_CANCEL if reason is None else f"{TO_CANCEL}: {reason}")
    rows.append(RUN_TEXT, WorkflowRunTextRow(recorded.position, recorded.stream))


@WORKFLOWS.handler
def run_ended(rows: Rows, recorded: Recorded[WorkflowRunCompleted | WorkflowRunFailed | WorkflowRunCancelled]) -> None:
    row = _touch(rows, recorded)
    row.status, row.finished_at = ENDED_STATUS[type(recorded.event)], recorded.at
    _log(rows, recorded, "error" if row.status == "failed" else "info", f"the run is {row.status}")


@WORKFLOWS.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase the metadata of steps, or the text of an error or a cancel."""
    target = recorded.event.target
    metadata = rows.erase(METADATA, target, "metadata")
    if metadata is not None:
        metadata.redacted = True
    words = rows.get(RUN_TEXT, target)
    if words is None:
        return
    line = rows.change(LINE, target)
    if words.code is None or words.step_id is None:
        line.message = f"{TO_CANCEL}: {ERASED}"
        return
    error = f"{words.code}: {ERASED}"
    line.message = error if words.item is None else f"item {words.item}: {error}"
    row: StepRow | StepItemRow
    if words.item is None:
        row = rows.change(STEP, words.run_id, words.step_id)
    else:
        row = rows.change(ITEM, words.run_id, words.step_id, words.item)
    if row.error_at == target and row.error is not None:
        row.error = error


def _touch(rows: Rows, recorded: Recorded[Any]) -> WorkflowRunRow:
    row = rows.change(RUN, recorded.stream)
    row.updated_at = recorded.at
    return row


def _step(rows: Rows, recorded: Recorded[Any], step_id: str) -> StepRow:
    """Return the row of a step, marked as changed."""
    row = rows.get(STEP, recorded.stream, step_id)
    if row is None:
        row = StepRow(recorded.stream, step_id)
    row.updated_at = recorded.at
    rows.put(STEP, row)
    return row


def _log(rows: Rows, recorded: Recorded[Any], level: LogLevel, message: str, step_id: str | None = None) -> None:
    line = LogLineRow(
        position=recorded.position,
        run_id=recorded.stream,
        level=level,
        message=message,
        created_at=recorded.at,
        step_id=step_id,
    )
    rows.append(LINE, line)


class ApprovalRequest(msgspec.Struct, rename="camel"):
    """The ask of an approval, the hash of its subject, and its expiry."""

    ask_id: str
    subject_sha256: str
    requested_at: int
    expires_at: int | None


# Estimates


def graph_of(row: WorkflowRow) -> WorkflowGraph:
    """Return the graph of a workflow."""
    return WorkflowGraph(msgspec.json.decode(row.definition, type=WorkflowDefinition))


def _durations(row: StepDurationsRow | None) -> list[int]:
    return [] if row is None else msgspec.json.decode(row.durations, type=list[int])


def estimate(
    graph: WorkflowGraph, history: Mapping[str, Sequence[int]], elapsed: Mapping[str, float] | None = None
) -> dict[str, int] | None:
    """Return the duration of the longest path by quantile, and on average; None without any history.

    ``elapsed`` is how long each step has been running already. Finished steps are not in ``history``.
    """
    every = sorted(duration for durations in history.values() for duration in durations)
    if not every:
        return None
    estimates: dict[str, int] = {}
    for name, measure in (
        *((f"p{quantile}", _quantile(quantile)) for quantile in QUANTILES),
        ("mean", lambda durations: sum(durations) / len(durations)),
    ):
        lengths = {
            step_id: max(measure(sorted(durations) or every) - (elapsed or {}).get(step_id, 0.0), 0.0)
            for step_id, durations in history.items()
        }
        estimates[name] = round(graph.longest(lengths))
    return estimates


def _quantile(percent: int) -> Any:
    """Return a function that computes the percentile of sorted durations."""
    return lambda durations: float(durations[min(len(durations) * percent // 100, len(durations) - 1)])
