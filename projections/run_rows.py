"""Rows of runs: all runs, the admitted and the waiting ones, and cancel requests."""

from typing import Literal

import msgspec
from msgspec.structs import asdict

from athena_core import errors
from athena_core.domain.halt import HaltLifted, HaltStarted
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.policy import PolicyUpdated
from athena_core.domain.run import (
    AgentAttached,
    RunAnswered,
    RunAsked,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunCrashed,
    RunCreated,
    RunFailed,
    RunLeased,
    RunPaused,
    RunQueued,
    RunRequeued,
    RunResumed,
    RunStarted,
    RunTimedOut,
    ToolCalled,
    TranscriptAppended,
    UsageRecorded,
)
from athena_core.domain.template import RunTemplateRun
from athena_core.enums import RequeueReason, RunStatus, WaitReason
from athena_core.event import Event, Recorded
from athena_core.text import ERASED, or_erased, preview, took_longer
from athena_core.values import PREVIEW_CHARS, Usage
from projections.engine.projection import ONLY_ROW, Projection, Rows, Table, to_json
from projections.run_answer import RunError, RunRow, RunUsage, answer_of


class RunInputRow(msgspec.Struct, gc=False):
    """The run whose input preview comes from a transcript entry."""

    entry_position: int
    run_id: str


class RunTextRow(msgspec.Struct, gc=False):
    """The run whose error or cancel has text from an event."""

    position: int
    run_id: str


class RunOutputRow(msgspec.Struct, gc=False):
    """The text of the last assistant entry of a run, by the position of the entry; NULL once redacted."""

    entry_position: int
    run_id: str
    text: str | None


class ActiveCall(msgspec.Struct, array_like=True, gc=False):
    """A tool call without a result, by the position of its event. ``asked`` is True until a person has decided."""

    position: int
    tool_name: str | None
    asked: bool


class ActiveCalls(msgspec.Struct, array_like=True, gc=False):
    """The open calls of the last turn of a run, by their ids, in their order."""

    by_id: dict[str, ActiveCall] = msgspec.field(default_factory=dict)


class ActiveRunRow(msgspec.Struct, gc=False):
    """A run that was admitted and has not ended. ``pid`` is 0 before its lease, ``paused`` is 1 while it is paused.

    ``places`` lists its limit keys, separated by spaces. ``slot_position`` is where it was admitted or resumed last.
    ``turn`` is the last one that a model answered. The current step began at ``step_at``.
    """

    started_at: int
    session_id: str
    run_id: str
    pid: int
    trace_id: str
    paused: int = 0
    places: str = ""
    slot_position: int = 0
    timeout_ms: int = 0
    turn: int = 0
    step_at: int = 0
    calls: ActiveCalls = msgspec.field(default_factory=ActiveCalls)


class QueuedRunRow(msgspec.Struct, gc=False):
    """A run that waits for a slot: a queued one, or a parked one whose asks are answered.

    The latter holds its session, so that ``session_id`` is empty.
    """

    run_id: str
    position: int
    session_id: str
    reason: Literal[WaitReason, RequeueReason]
    places: str = ""


class HaltRow(msgspec.Struct, gc=False):
    """The position of the current halt."""

    row: int
    position: int


class LimitsRow(msgspec.Struct, gc=False):
    """The limits by key of the current policy, as JSON (one row)."""

    row: int
    limits: str


class CancelRequestRow(msgspec.Struct, gc=False):
    """A request to cancel a run that has not ended, by the position of its event."""

    position: int
    requested_at: int
    session_id: str
    run_id: str
    reason: str | None
    trace_id: str
    started_at: int | None
    redacted: bool | None = None


RUN = Table(
    "run",
    RunRow,
    key=("run_id",),
    place="position",
    answer=answer_of,
    indexes=(
        ("session_id", "position"),
        ("status", "position"),
        ("provider", "position"),
        ("parent_run_id", "position"),
        ("retry_of", "position"),
        ("harness_profile_id", "position"),
        ("model", "position"),
        ("error_code", "position"),
        ("cost_micro_usd", "position"),
        ("duration_ms", "position"),
    ),
    cached=True,
)
INPUT = Table("run_input", RunInputRow, key=("entry_position",))
TEXT = Table("run_words", RunTextRow, key=("position",))
OUTPUT = Table("run_output", RunOutputRow, key=("entry_position",))
ACTIVE = Table("run_active", ActiveRunRow, key=("run_id",), indexes=(("session_id",),), cached=True)
WAITING = Table("run_waiting", QueuedRunRow, key=("run_id",), indexes=(("position",), ("session_id", "position")))
CANCEL = Table("run_cancel", CancelRequestRow, key=("run_id",))
LIMITS = Table("run_limits", LimitsRow, key=("row",))
HALT = Table("run_halt", HaltRow, key=("row",))
RUNS = Projection("runs", version=18, tables=(RUN, INPUT, OUTPUT, ACTIVE, WAITING, CANCEL, LIMITS, HALT, TEXT))
CANCELLED = "the run was cancelled"
ESTIMATED = '"estimated":true}'
"""The end of the JSON of an estimated usage."""

# Handlers. A run's events are in the stream of its id. A rejected run has none of these.


@RUNS.handler
def run_queued(rows: Rows, recorded: Recorded[RunQueued]) -> None:
    event = recorded.event
    rows.append(RUN, _requested_row(recorded, event, "queued"))
    _count_in_others(rows, event)
    rows.append(
        WAITING,
        QueuedRunRow(
            run_id=recorded.stream,
            position=recorded.position,
            session_id=event.session_id,
            reason=event.reason,
            places=" ".join(event.places),
        ),
    )


@RUNS.handler
def run_created(rows: Rows, recorded: Recorded[RunCreated]) -> None:
    """Admit the run, at once or after it waited."""
    if recorded.version == 1:
        row = _requested_row(recorded, recorded.event, "running")
        rows.append(RUN, row)
        _count_in_others(rows, recorded.event)
    else:
        row = rows.change(RUN, recorded.stream)
        row.status = "running"
        rows.delete(WAITING, recorded.stream)
    places = " ".join(recorded.event.places)
    rows.append(
        ACTIVE,
        ActiveRunRow(
            started_at=recorded.at,
            session_id=row.session_id,
            run_id=row.run_id,
            pid=0,
            trace_id=row.trace_id,
            places=places,
            slot_position=recorded.position,
            timeout_ms=recorded.event.timeout_ms,
            step_at=recorded.at,
        ),
    )


@RUNS.handler
def run_template_run(rows: Rows, recorded: Recorded[RunTemplateRun]) -> None:
    row = rows.change(RUN, recorded.stream)
    row.template_id, row.template_version = recorded.event.run_template_id, recorded.event.version


@RUNS.handler
def run_leased(rows: Rows, recorded: Recorded[RunLeased]) -> None:
    row = rows.change(RUN, recorded.stream)
    row.attempt = recorded.event.attempt
    active = rows.change(ACTIVE, recorded.stream)
    active.pid, active.step_at = recorded.event.pid, recorded.at


@RUNS.handler
def run_started(rows: Rows, recorded: Recorded[RunStarted]) -> None:
    row = rows.change(RUN, recorded.stream)
    row.attempt = recorded.event.attempt
    if row.started_at is None:
        row.started_at = recorded.at
        active = rows.change(ACTIVE, recorded.stream)
        active.started_at = recorded.at


@RUNS.handler
def agent_attached(rows: Rows, recorded: Recorded[AgentAttached]) -> None:
    row = rows.change(RUN, recorded.stream)
    row.agent_version, row.agent_mode = recorded.event.agent_version, recorded.event.mode


@RUNS.handler
def transcript_appended(rows: Rows, recorded: Recorded[TranscriptAppended]) -> None:
    """Store the last assistant message as the output, and a preview of the first user message."""
    event = recorded.event
    if event.kind != "message":
        if event.kind == "tool-result":
            _step(rows, recorded).calls.by_id.pop(event.tool_call_id or "", None)
        return
    row = rows.change(RUN, recorded.stream)
    content = event.content
    if event.role == "assistant":
        if row.output_position is not None:
            rows.delete(OUTPUT, row.output_position)
        row.output_position, row.partial = recorded.position, event.partial
        row.output_preview = None if content is None else preview(content, PREVIEW_CHARS)
        row.output_chars = None if content is None else len(content)
        rows.insert(OUTPUT, (recorded.position, row.run_id, content))
    elif row.input_position is None:
        row.input_position = recorded.position
        row.input_preview = None if content is None else preview(content, PREVIEW_CHARS)
        rows.insert(INPUT, (recorded.position, row.run_id))


@RUNS.handler
def usage_recorded(rows: Rows, recorded: Recorded[UsageRecorded]) -> None:
    """Add up usage and cost over the model calls of a run."""
    event = recorded.event
    active = _step(rows, recorded)
    if event.turn is not None and not event.failed:
        active.turn = event.turn
    row = rows.change(RUN, recorded.stream)
    if row.usage is None:
        row.usage = _usage(event.usage, estimated=event.estimated)
    else:
        before = msgspec.json.decode(row.usage, type=RunUsage)
        row.usage = _usage(before.plus(event.usage), estimated=before.estimated or event.estimated)
    if event.cost_micro_usd is not None:
        row.cost_micro_usd = (row.cost_micro_usd or 0) + event.cost_micro_usd


@RUNS.handler
def tool_called(rows: Rows, recorded: Recorded[ToolCalled]) -> None:
    event = recorded.event
    call = ActiveCall(recorded.position, event.tool_name or event.kind, asked=False)
    _step(rows, recorded).calls.by_id[event.tool_call_id] = call


@RUNS.handler
def run_paused(rows: Rows, recorded: Recorded[RunPaused]) -> None:
    """Pause the run. It holds its session but no slot, and has no executor."""
    row = rows.change(RUN, recorded.stream)
    row.status, row.paused_at, row.pause_reason = "paused", recorded.at, recorded.event.reason
    active = rows.change(ACTIVE, recorded.stream)
    active.pid, active.paused = 0, 1


@RUNS.handler
def run_asked(rows: Rows, recorded: Recorded[RunAsked]) -> None:
    row = rows.change(RUN, recorded.stream)
    event = recorded.event
    row.asks = event.ask_id if row.asks is None else f"{row.asks} {event.ask_id}"
    active = _step(rows, recorded)
    if event.server is None and event.tool_call_id is not None:  # a server asks during a call that goes on
        active.calls.by_id[event.tool_call_id] = ActiveCall(
            recorded.position, event.tool_kind or event.tool_name, asked=True
        )


@RUNS.handler
def run_answered(rows: Rows, recorded: Recorded[RunAnswered]) -> None:
    row = rows.change(RUN, recorded.stream)
    row.asks = " ".join(ask for ask in (row.asks or "").split() if ask != recorded.event.ask_id) or None
    _step(rows, recorded)


@RUNS.handler
def run_requeued(rows: Rows, recorded: Recorded[RunRequeued]) -> None:
    """Add a parked run to those that wait for a slot."""
    active = rows.need(ACTIVE, recorded.stream)
    waiter = QueuedRunRow(recorded.stream, recorded.position, "", recorded.event.reason, active.places)
    rows.append(WAITING, waiter)


@RUNS.handler
def run_resumed(rows: Rows, recorded: Recorded[RunResumed]) -> None:
    """Resume the run with another budget or none."""
    row = rows.change(RUN, recorded.stream)
    if row.pause_reason == "ask":
        rows.delete(WAITING, recorded.stream)
    row.status, row.paused_at, row.pause_reason = "running", None, None
    row.budget_micro_usd = recorded.event.budget_micro_usd
    active = rows.change(ACTIVE, recorded.stream)
    active.paused, active.slot_position, active.step_at = 0, recorded.position, recorded.at


@RUNS.handler
def run_cancel_requested(rows: Rows, recorded: Recorded[RunCancelRequested]) -> None:
    """Add the request, unless there was nothing to cancel."""
    if recorded.event.status == "cancelled":
        row = rows.need(RUN, recorded.stream)
        cancel = CancelRequestRow(
            position=recorded.position,
            requested_at=recorded.at,
            session_id=row.session_id,
            run_id=row.run_id,
            reason=recorded.event.note,
            trace_id=row.trace_id,
            started_at=row.started_at,
        )
        rows.put(CANCEL, cancel)
        rows.append(TEXT, RunTextRow(recorded.position, row.run_id))


@RUNS.handler
def run_completed(rows: Rows, recorded: Recorded[RunCompleted]) -> None:
    event = recorded.event
    row = _finish(rows, recorded, "completed")
    row.provider, row.model = event.provider, event.model
    row.evidence_count = event.evidence_count
    row.verification_status = event.verification_status
    if event.verification_failures:
        row.verification_failures = to_json(event.verification_failures)
    if event.usage is not None:
        estimated = row.usage is not None and row.usage.endswith(ESTIMATED)
        row.usage = _usage(event.usage, estimated=estimated)


@RUNS.handler
def run_failed(rows: Rows, recorded: Recorded[RunFailed]) -> None:
    event = recorded.event
    row = _finish(rows, recorded, "failed")
    row.error_code, row.error = event.code, _error(event.code, or_erased(event.error_text), retryable=event.retryable)
    row.error_position = recorded.position
    rows.append(TEXT, RunTextRow(recorded.position, row.run_id))


@RUNS.handler
def run_cancelled(rows: Rows, recorded: Recorded[RunCancelled]) -> None:
    """Mark the run as cancelled, or as withdrawn before it started."""
    event = recorded.event
    request = rows.get(CANCEL, recorded.stream)
    row = _finish(rows, recorded, "cancelled")
    kind: type[errors.AthenaError] = errors.RunCancelledError
    message = CANCELLED
    if request is not None:
        row.error_position = request.position
        message = CANCELLED if request.reason is None else f"{CANCELLED}: {request.reason}"
    if event.cause == "session-busy":
        kind, message = errors.SessionLockTimeout, "another run held the session"
    elif event.cause == "executor":
        kind, message = errors.Overloaded, "no executor had room for the run"
    elif event.cause == "key-limit":
        kind, message = errors.ConcurrencyLimitExceeded, "policy.limits left no room for the run in time"
    row.error_code, row.error = kind.code, _error(kind.code, message, retryable=kind.retryable)


@RUNS.handler
def run_timed_out(rows: Rows, recorded: Recorded[RunTimedOut]) -> None:
    row = _finish(rows, recorded, "timed-out")
    kind, message = errors.RunTimeout, f"the run {took_longer(f'{recorded.event.timeout_ms} ms')}"
    row.error_code, row.error = kind.code, _error(kind.code, message, retryable=kind.retryable)


@RUNS.handler
def run_crashed(rows: Rows, recorded: Recorded[RunCrashed]) -> None:
    row = _finish(rows, recorded, "crashed")
    kind, message = errors.RunCrashedError, "the executor of the run was lost"
    row.error_code, row.error = kind.code, _error(kind.code, message, retryable=kind.retryable)


@RUNS.handler
def halt_started(rows: Rows, recorded: Recorded[HaltStarted]) -> None:
    """Store the halt, which is then why every run in line waits."""
    rows.put(HALT, HaltRow(ONLY_ROW, recorded.position))


@RUNS.handler
def halt_lifted(rows: Rows, recorded: Recorded[HaltLifted]) -> None:
    rows.delete(HALT, ONLY_ROW)


@RUNS.handler
def policy_updated(rows: Rows, recorded: Recorded[PolicyUpdated]) -> None:
    """Store the limits by key, which determine why a run waits."""
    rows.put(LIMITS, LimitsRow(ONLY_ROW, to_json(recorded.event.after.limits or ())))


@RUNS.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase an output, a preview, or the text of an error or a cancel."""
    target = recorded.event.target
    text = rows.get(TEXT, target)
    if text is not None:
        _erase_text(rows, text)
    output = rows.erase(OUTPUT, target, "text")
    if output is not None:
        run = rows.change(RUN, output.run_id)
        run.output_preview = run.output_chars = None
        run.redacted = True
    source = rows.get(INPUT, target)
    if source is not None:
        run = rows.change(RUN, source.run_id)
        run.input_preview, run.redacted = None, True


def _step(rows: Rows, recorded: Recorded[Event]) -> ActiveRunRow:
    """Return the row of an active run, whose next step begins with an event."""
    active = rows.change(ACTIVE, recorded.stream)
    active.step_at = recorded.at
    return active


def _erase_text(rows: Rows, text: RunTextRow) -> None:
    request = rows.get(CANCEL, text.run_id)
    if request is not None and request.position == text.position:
        request.reason, request.redacted = None, True
        rows.put(CANCEL, request)
    run = rows.change(RUN, text.run_id)
    run.redacted = True
    if run.error is not None and run.error_position == text.position:
        error = msgspec.json.decode(run.error, type=RunError)
        message = ERASED if run.status == "failed" else f"{CANCELLED}: {ERASED}"
        run.error = _error(error.code, message, retryable=error.retryable)


def _requested_row(recorded: Recorded[Event], event: RunQueued | RunCreated, status: RunStatus) -> RunRow:
    return _row(recorded.stream, event, recorded.at, status, position=recorded.position, trace_id=recorded.correlation)


def _count_in_others(rows: Rows, event: RunQueued | RunCreated) -> None:
    """Count the run at its parent, and at the run that it retries."""
    for run_id, count in ((event.parent_run_id, "child_count"), (event.retry_of, "retries")):
        other = None if run_id is None else rows.get(RUN, run_id)
        if other is not None:
            setattr(other, count, getattr(other, count) + 1)
            rows.put(RUN, other)


def admitted_row(run_id: str, event: RunCreated, at: int) -> RunRow:
    """Return the row of a run after the commit that admitted and leased it, at ``at`` (milliseconds since 1970 UTC).

    It has neither a position nor a trace id.
    """
    row = _row(run_id, event, at, "running", position=0, trace_id="")
    row.attempt, row.started_at = 1, at
    return row


def _row(
    run_id: str, event: RunQueued | RunCreated, at: int, status: RunStatus, *, position: int, trace_id: str
) -> RunRow:
    return RunRow(
        position=position,
        run_id=run_id,
        session_id=event.session_id,
        status=status,
        created_at=at,
        directive_id=event.directive_id,
        harness_profile_id=event.harness_profile_id,
        provider=event.provider,
        model=event.model,
        trace_id=trace_id,
        parent_run_id=event.parent_run_id,
        retry_of=event.retry_of,
        budget_micro_usd=event.budget_micro_usd,
        agent_name=event.harness_profile_snapshot.display_name if event.profile_named else None,
        agent=None if (agent := event.harness_profile_snapshot.agent) is None else agent.name,
        requested_by=None if event.requesters is None else event.requesters[0],
        requesters=to_json(event.requesters) if event.requesters and len(event.requesters) > 1 else None,
    )


def _usage(usage: Usage, *, estimated: bool | None) -> str:
    return to_json(RunUsage(**asdict(usage), estimated=True) if estimated else usage)


def _finish(rows: Rows, recorded: Recorded[Event], status: RunStatus) -> RunRow:
    row = rows.change(RUN, recorded.stream)
    rows.delete(WAITING if row.status == "queued" else ACTIVE, recorded.stream)
    if row.pause_reason == "ask":
        rows.delete(WAITING, recorded.stream)
    rows.delete(CANCEL, recorded.stream)
    row.status, row.paused_at, row.pause_reason = status, None, None
    row.finished_at = recorded.at
    if row.started_at is not None:
        row.duration_ms = recorded.at - row.started_at
    return row


def _error(code: str, message: str, *, retryable: bool) -> str:
    """Return the error of a run as JSON. The idempotency key is bound to the run, so a retry needs a new one."""
    with_key = errors.retry_with(retryable=retryable)
    return to_json(RunError(code=code, message=message, retryable=retryable, retry_with=with_key))
