"""Results of runs, as their callers get them, rendered from events."""

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec.structs import asdict, replace

from athena_core.clock import iso
from athena_core.decider import fold
from athena_core.definitions.profile import HarnessProfile
from athena_core.domain import run, template
from athena_core.enums import VerificationStatus
from athena_core.errors import (
    AthenaError,
    ConcurrencyLimitExceeded,
    IdempotencyInProgress,
    Overloaded,
    RunCancelledError,
    RunCrashedError,
    RunTimeout,
    SessionLockTimeout,
    recorded_error,
)
from athena_core.event import Event, Recorded, Value, says
from athena_core.log.codec import Codec
from athena_core.log.port import StoreReader
from athena_core.text import or_erased, took_longer
from athena_core.values import ContextMeta, Reliability, TemplateUse, Usage, VerificationFailure


class RunResult(Value):
    """The answer to a synchronous caller whose run completed.

    ``redacted`` is true if the output or the parameters of the template were erased since. They are then empty.
    """

    session_id: str
    run_id: str
    output: Annotated[str, says("Text of the answer.")]
    provider: str
    model: str
    created_at: str
    directive_id: str
    harness_profile_id: str
    harness_profile_snapshot: HarnessProfile
    evidence_count: int
    verification_status: VerificationStatus
    context_meta: ContextMeta
    reliability: Reliability
    verification_failures: tuple[VerificationFailure, ...] | None = None
    usage: Usage | None = None
    template: TemplateUse | None = None
    redacted: bool | None = None


def run_state(reader: StoreReader, codec: Codec, run_id: str) -> run.RunState:
    """Return the state of a run as committed."""
    return fold(run.DECIDER, (codec.decode(row, text=False).event for row in reader.stream(run_id)))


def run_events(reader: StoreReader, codec: Codec, run_id: str) -> list[Recorded[Event]]:
    """Return the events of a run with their text."""
    return [codec.decode(row) for row in reader.stream(run_id)]


def run_result(run_id: str, recorded: Sequence[Recorded[Event]]) -> RunResult | None:
    """Return the result of a completed run, None if it is paused or was; otherwise raise the error that ended it."""
    created: run.RunCreated | None = None
    used: TemplateUse | None = None
    created_at, paused = 0, False
    output: str | None = ""
    params_erased = False
    note: str | None = None
    for row in recorded:
        match row.event:
            case run.RunCreated():
                created, created_at = row.event, row.at
            case template.RunTemplateRun():
                used, params_erased = template_use(row.event), row.event.effective_params is None
            case run.TranscriptAppended(role="assistant", kind="message", partial=None):
                output = row.event.content
            case run.RunPaused():
                paused = True  # also once it is resumed, because its caller was not going to wait for that
            case run.RunCompleted() if created is not None:
                result = completed_result(run_id, created, created_at, output or "", row.event, used)
                return replace(result, redacted=output is None or params_erased or None)
            case run.RunFailed() | run.RunCancelled() | run.RunTimedOut() | run.RunCrashed():
                raise run_error(run_id, row.event, note)
            case run.RunCancelRequested(status="cancelled"):
                note = row.event.note
    if paused:
        return None
    raise IdempotencyInProgress(f"run {run_id} is still in progress; retry later")


def held_seconds(recorded: Sequence[Recorded[Event]]) -> float:
    """Return how long a run has waited for persons without being parked, and will before it is."""
    held_ms, since, until = 0, 0, 0
    asks = set[str]()
    for row in recorded:
        match row.event:
            case run.RunAsked():
                since, until = (since, until) if asks else (row.at, row.event.hold_until_ms)
                asks.add(row.event.ask_id)
            case run.RunAnswered() if row.event.ask_id in asks:
                asks.discard(row.event.ask_id)
                held_ms += 0 if asks else max(min(row.at, until) - since, 0)
    return (held_ms + (max(until - since, 0) if asks else 0)) / 1000


def template_use(event: template.RunTemplateRun) -> TemplateUse:
    """Return the template of a run for its caller; redacted parameters are omitted."""
    return TemplateUse(
        id=event.run_template_id,
        version=event.version,
        harness_profile_id=event.harness_profile_id,
        effective_params=event.effective_params or {},
    )


def completed_result(
    run_id: str, created: run.RunCreated, at: int, output: str, end: run.RunCompleted, used: TemplateUse | None
) -> RunResult:
    """Return the result of a completed run; it was created at ``at``, in milliseconds since 1970."""
    fields = asdict(created.harness_profile_snapshot)
    return RunResult(
        session_id=created.session_id,
        run_id=run_id,
        output=output,
        provider=end.provider,
        model=end.model,
        created_at=iso(at),
        directive_id=created.directive_id,
        harness_profile_id=created.harness_profile_id,
        harness_profile_snapshot=HarnessProfile(id=created.harness_profile_id, created_at=iso(at), **fields),
        evidence_count=end.evidence_count,
        verification_status=end.verification_status,
        verification_failures=end.verification_failures,
        context_meta=end.context_meta,
        reliability=end.reliability,
        usage=end.usage,
        template=used,
    )


def cancel_note(events: Iterable[Event]) -> str | None:
    """Return the reason of a run's cancellation; None if there was none or it was erased."""
    note = None
    for event in events:
        if isinstance(event, run.RunCancelRequested) and event.status == "cancelled":
            note = event.note
    return note


def run_error(run_id: str, ending: Event, note: str | None = None) -> AthenaError:
    """Return the error of a run that did not complete; ``note`` is the reason of its cancellation."""
    error = _run_error(run_id, ending, note)
    error.key_bound = True
    return error


def _run_error(run_id: str, ending: Event, note: str | None) -> AthenaError:
    details = {"runId": run_id}
    match ending:
        case run.RunTimedOut():
            return RunTimeout(f"run {run_id} {took_longer(f'{ending.timeout_ms} ms')}", details)
        case run.RunCancelled(cause="session-busy"):
            return SessionLockTimeout(
                "the session stayed busy with another run, so the run was withdrawn; retry later", details
            )
        case run.RunCancelled(cause="executor"):
            return Overloaded("no executor had room for the run in time, so it was withdrawn; retry later", details)
        case run.RunCancelled(cause="key-limit"):
            return ConcurrencyLimitExceeded(
                "policy.limits left no room for the run in time, so it was withdrawn", details
            )
        case run.RunCancelled():
            reason = f": {note}" if note else ""
            return RunCancelledError(f"run {run_id} was cancelled{reason}", details)
        case run.RunCrashed():
            return RunCrashedError(f"run {run_id} crashed because its executor was lost; retry with a new key", details)
        case run.RunFailed():
            return recorded_error(ending.code, or_erased(ending.error_text), details, retryable=ending.retryable)
        case _:
            raise TypeError(ending)
