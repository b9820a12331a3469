"""Commands of a run: request, lease, record, pause, resume and end it."""

from collections.abc import Collection
from typing import Literal

from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.decider import Context
from athena_core.domain.run.attached import AgentAttached, McpAttached
from athena_core.domain.run.events import (
    ENDING_TYPES,
    BudgetReserved,
    CancelCause,
    EvidenceAttached,
    LossReason,
    RunAnswered,
    RunAsked,
    RunAskOpened,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunCrashed,
    RunCreated,
    RunFailed,
    RunLeased,
    RunPaused,
    RunQueued,
    RunRequest,
    RunRequeued,
    RunResumed,
    RunStarted,
    RunStep,
    RunTimedOut,
    SandboxLifecycle,
    ToolCalled,
    TranscriptAppended,
    UsageRecorded,
    WorkspaceChanged,
    WorkspaceOpened,
)
from athena_core.domain.run.state import RunState, evolve, request_fields
from athena_core.enums import RequeueReason, WaitReason
from athena_core.errors import (
    AskChanged,
    AskDecided,
    AskEnded,
    AskExpired,
    ConfigError,
    ExactNotOpened,
    LeaseLost,
    NotFound,
)
from athena_core.event import Event, Value


class RequestRun(Value):
    """Admit the run, or queue it if it has to wait."""

    request: RunRequest
    wait: WaitReason | None = None


class AdmitRun(Value):
    """Admit a queued run, or resume a requeued one, which ``executor`` will lease."""

    executor: str = ""


class LeaseRun(Value):
    """Lease a run that no executor has. The first lease also records the user's input, ``said``."""

    executor: str
    pid: int
    said: str


class TakeRun(Value):
    """Take a run over from a lost executor, which holds ``token``.

    If ``attempts_max`` executors already lost the run, it ends as crashed. If a cancel was requested, it ends as
    cancelled.
    """

    executor: str
    pid: int
    token: int
    because: LossReason
    attempts_max: int


class RecordStep(Value):
    """Record steps of the executor that holds ``token``: transcript entries, tool calls, asks, evidence, usage."""

    token: int
    steps: tuple[RunStep, ...]


class ReserveBudget(Value):
    """Reserve budget for a model call, which costs at most ``reserved_micro_usd``."""

    token: int
    turn: int
    provider: str
    model: str
    reserved_micro_usd: int


class PauseRun(Value):
    """Pause a run whose budget is used up, or park one that asks a person, at ``elapsed_ms`` of its timeout.

    Without ``reached`` it is the run's own budget, else the daily budget. ``last`` are steps to record before. During
    a halt (``halted``) a run is also parked if its asks were answered.
    """

    token: int
    elapsed_ms: int
    reached: "DayReached | None" = None
    asking: bool = False
    halted: bool = False
    last: tuple[RunStep, ...] = ()


class DayReached(Value):
    """The reason why the daily budget allows no model call, with the sums of the UTC day."""

    reason: Literal["daily-budget", "unpriced-model"]
    spent_micro_usd: int
    budget_micro_usd: int


class ResumeRun(Value):
    """Resume a paused run with a new budget, or with none. ``executor`` will lease it."""

    executor: str
    budget_micro_usd: int | None = None


class AnswerAsk(Value):
    """Answer an open ask with one of its options. The caller has checked the right, the values and edited arguments.

    ``subject_sha256`` is the hash that ``by`` saw. With ``remembers`` a permission rule follows from the answer. The
    other members are recorded in the event.
    """

    ask_id: str
    subject_sha256: str
    option_id: str
    by: str
    remembers: bool = False
    edited_sha256: str | None = None
    arguments: str | None = None
    edited_salt: str | None = None
    values: str | None = None
    note: str | None = None


class OpenAskText(Value):
    """Record that an identity, which may answer an open ask, opened its exact text; once for each identity."""

    ask_id: str
    by: str


class ExpireAsks(Value):
    """Decide the open asks whose time is over."""


class RequeueRun(Value):
    """Let a parked run, all of whose asks are answered, wait in line."""

    reason: RequeueReason


class EndRun(Value):
    """End the run, after recording the last steps of the executor that holds ``token``."""

    token: int
    last: tuple[RunStep, ...]
    ending: RunCompleted | RunFailed | RunCancelled | RunTimedOut


class CancelRun(Value):
    """Request a cancel, by run or by session. A run without a lease ends at once."""

    reason: str | None = None
    by_run: str | None = None
    cause: CancelCause = "requested"


class ForceCancel(Value):
    """Cancel a run whose executor did not end it in time after a cancel request."""


class WithdrawRun(Value):
    """Withdraw a queued run whose caller stopped waiting."""

    cause: CancelCause


RunCommand = (
    RequestRun
    | AdmitRun
    | LeaseRun
    | TakeRun
    | RecordStep
    | ReserveBudget
    | PauseRun
    | ResumeRun
    | AnswerAsk
    | OpenAskText
    | ExpireAsks
    | RequeueRun
    | EndRun
    | CancelRun
    | ForceCancel
    | WithdrawRun
)


def decide(command: RunCommand, state: RunState, context: Context) -> tuple[Event, ...]:
    """Return the events of a command; none if it came too late.

    Raise LeaseLost if its token is not the current one. An answer that came too late raises AskDecided, AskExpired or
    AskEnded, one to another subject AskChanged.
    """
    events = _decide(command, state, context)
    if not events or events[-1].TYPE not in ENDING_TYPES:
        return events
    if not state.asks and RunAsked not in map(type, events):
        return events
    for event in events[:-1]:
        state = evolve(state, event)
    return (*events[:-1], *_closed(state), events[-1])


def _closed(state: RunState) -> tuple[RunAnswered, ...]:
    """Return the answers to the open asks of a run that ends."""
    return tuple(
        RunAnswered(ask_id=ask.ask_id, subject_sha256=ask.subject_sha256, cause="run-ended") for ask in state.asks
    )


def _decide(command: RunCommand, state: RunState, context: Context) -> tuple[Event, ...]:
    match command:
        case RequestRun():
            return () if state.status else (_request(command),)
        case LeaseRun():
            return _lease(command, state)
        case EndRun() | RecordStep() | ReserveBudget() | PauseRun():
            if not state.open:
                return ()
            if state.token != command.token or state.executor is None:
                raise LeaseLost("The lease is lost: another executor took the run over.")
            return _continue(command, state)
        case AdmitRun():
            if state.requeued:
                return _resume(ResumeRun(executor=command.executor), state)
            return (state.request,) if state.status == "queued" and state.request else ()
        case TakeRun():
            return _take_over(command, state)
        case ResumeRun():
            return _resume(command, state)
        case AnswerAsk():
            return (_answer(command, state, context.now),)
        case OpenAskText():
            return _open_text(command, state)
        case ExpireAsks():
            return tuple(
                RunAnswered(ask_id=ask.ask_id, subject_sha256=ask.subject_sha256, cause="expiry")
                for ask in state.asks
                if ask.expires_at_ms <= context.now
            )
        case RequeueRun():
            return _requeue(command, state)
        case CancelRun():
            return _cancel(command, state)
        case ForceCancel():
            return (_cancelled(state.cancel, forced=True),) if state.open and state.cancel else ()
        case WithdrawRun():
            return (RunCancelled(cause=command.cause),) if state.status == "queued" else ()


def _resume(command: ResumeRun, state: RunState) -> tuple[Event, ...]:
    request = state.request
    if state.status != "paused" or request is None or state.asks:
        return ()
    budget = command.budget_micro_usd
    if budget is None and state.paused != "budget":  # it did not pause for its own budget, so that stays
        budget = state.budget_micro_usd
    resumed = RunResumed(
        requested_by=command.executor,
        budget_micro_usd=budget,
        harness_profile_id=request.harness_profile_id if request.profile_named else None,
        provider=request.provider,
        fallbacks=request.fallbacks,
        agent=request.agent,
    )
    return (resumed,)


def _answer(command: AnswerAsk, state: RunState, now: int) -> RunAnswered:
    ask = next((ask for ask in state.asks if ask.ask_id == command.ask_id), None)
    if ask is None:
        raise _answered_before(command.ask_id, state)
    if state.cancel is not None:
        raise AskEnded(f"ask {ask.ask_id} has ended: its run is being cancelled")
    if ask.subject_sha256 != command.subject_sha256:
        raise AskChanged(f"ask {ask.ask_id} is about something else than what you saw. Read it again, then decide.")
    if ask.expires_at_ms <= now:
        raise AskExpired(f"ask {ask.ask_id} expired at {iso(ask.expires_at_ms)}")
    ids = [option.id for option in ask.options]
    if command.option_id not in ids:
        raise ConfigError.of("optionId", f"the ask has no option {command.option_id!r}", f"one of {', '.join(ids)}")
    allows = ask.options[ids.index(command.option_id)].kind == "allow_once"
    if ask.hidden and command.remembers:
        reason = "the shown text of this call hides a part, so it can only be allowed once"
        raise ConfigError.of("remember", reason, "leave it out")
    if ask.hidden and allows and not _has_opened(state, ask.ask_id, command.by):
        raise ExactNotOpened(
            f"the shown text of ask {ask.ask_id} hides {sum(span.chars for span in ask.hidden)} characters, and "
            f"{command.by} has not opened the exact text. Read GET /asks/{ask.ask_id}?exact=true, then decide."
        )
    return RunAnswered(
        ask_id=ask.ask_id,
        subject_sha256=ask.subject_sha256,
        cause="person",
        by=command.by,
        option_id=command.option_id,
        edited_sha256=command.edited_sha256,
        arguments=command.arguments,
        edited_salt=command.edited_salt,
        values=command.values,
        note=command.note,
    )


def _open_text(command: OpenAskText, state: RunState) -> tuple[RunAskOpened, ...]:
    ask = next((ask for ask in state.asks if ask.ask_id == command.ask_id), None)
    if ask is None or not ask.hidden or _has_opened(state, ask.ask_id, command.by):
        return ()
    return (RunAskOpened(ask_id=ask.ask_id, subject_sha256=ask.subject_sha256, by=command.by),)


def _has_opened(state: RunState, ask_id: str, by: str) -> bool:
    return any((one.ask_id, one.by) == (ask_id, by) for one in state.opened)


def _answered_before(ask_id: str, state: RunState) -> Exception:
    """Return why an ask cannot be answered any more: the first answer, or the end of its run."""
    first = next((answer for answer in state.answers if answer.ask_id == ask_id), None)
    match first and first.cause:
        case "person" | "rule":
            who = f"{first.by} " if first is not None and first.by else "a permission rule "
            return AskDecided(f"ask {ask_id} was answered before: {who}chose {first and first.option_id!r}")
        case "expiry":
            return AskExpired(f"ask {ask_id} has expired")
    if first is not None or not state.open:
        return AskEnded(f"ask {ask_id} has ended with its run ({state.status})")
    return NotFound(f"run has no ask {ask_id!r}")


def _requeue(command: RequeueRun, state: RunState) -> tuple[Event, ...]:
    request = state.request
    if state.paused != "ask" or state.status != "paused" or state.asks or state.requeued or request is None:
        return ()
    requeued = RunRequeued(
        reason=command.reason,
        harness_profile_id=request.harness_profile_id if request.profile_named else None,
        provider=request.provider,
        fallbacks=request.fallbacks,
        agent=request.agent,
    )
    return (requeued,)


def _request(command: RequestRun) -> Event:
    request = command.request
    if command.wait is not None:
        return RunQueued(reason=command.wait, **request_fields(request))
    return request if isinstance(request, RunCreated) else RunCreated(**request_fields(request))


def _lease(command: LeaseRun, state: RunState) -> tuple[Event, ...]:
    if state.status != "running" or state.executor is not None:
        return ()
    attempt = state.attempt or 1
    leased = RunLeased(executor=command.executor, token=state.token + 1, attempt=attempt, pid=command.pid)
    started = RunStarted(attempt=attempt)
    if state.token:
        return leased, started
    said = TranscriptAppended(role="user", kind="message", chars=len(command.said), content=command.said)
    return leased, started, said


def _take_over(command: TakeRun, state: RunState) -> tuple[Event, ...]:
    if state.status != "running" or state.executor is None or state.token != command.token:
        return ()
    if state.cancel is not None:
        return (_cancelled(state.cancel),)
    attempt = state.attempt + (command.because != "left")
    if attempt > command.attempts_max:
        return (RunCrashed(executor=state.executor, attempt=state.attempt),)
    leased = RunLeased(
        executor=command.executor,
        token=state.token + 1,
        attempt=attempt,
        pid=command.pid,
        taken_from=state.executor,
        because=command.because,
    )
    return leased, RunStarted(attempt=attempt)


def _continue(command: RecordStep | ReserveBudget | PauseRun | EndRun, state: RunState) -> tuple[Event, ...]:
    """Return the executor's events. A cancel that was requested wins, but work, costs and model output are kept."""
    match command:
        case EndRun(ending=RunTimedOut()) if state.asks and state.cancel is None:
            # its time stands; the timeout met the commit of the ask
            return tuple(step for step in command.last if isinstance(step, UsageRecorded))
        case EndRun():
            steps: tuple[RunStep, ...] = command.last
            end: tuple[Event, ...] = (command.ending,)
        case RecordStep():
            steps, end = command.steps, ()
        case ReserveBudget():
            reserved = BudgetReserved(
                turn=command.turn,
                provider=command.provider,
                model=command.model,
                reserved_micro_usd=command.reserved_micro_usd,
            )
            steps, end = (), (reserved,)
        case PauseRun():
            paused = _pause(command, state)
            if paused is None and state.cancel is None:
                return ()
            steps, end = command.last, () if paused is None else (paused,)
    if state.cancel is None:
        return (*steps, *end)
    unmade = {step.tool_call_id for step in steps if isinstance(step, ToolCalled | RunAsked) and not _began(step)}
    kept = (_despite_cancel(step, unmade) for step in steps)
    return (*(step for step in kept if step is not None), _cancelled(state.cancel))


def _pause(command: PauseRun, state: RunState) -> RunPaused | None:
    if state.asks or command.asking:
        return RunPaused(reason="ask", elapsed_ms=command.elapsed_ms) if state.asks or command.halted else None
    reached, spent, budget = command.reached, state.spent_micro_usd, state.budget_micro_usd
    if reached is not None:
        return RunPaused(
            reason=reached.reason,
            elapsed_ms=command.elapsed_ms,
            spent_micro_usd=reached.spent_micro_usd,
            budget_micro_usd=reached.budget_micro_usd,
        )
    if budget is None or (spent < budget and not state.cut):
        return None
    return RunPaused(reason="budget", elapsed_ms=command.elapsed_ms, spent_micro_usd=spent, budget_micro_usd=budget)


def _began(step: ToolCalled | RunAsked) -> bool:
    """Return True if the step records a call that an outside agent began before it was recorded."""
    return isinstance(step, ToolCalled) and step.origin is not None and not step.asked


def _despite_cancel(step: RunStep, unmade: Collection[str | None]) -> RunStep | None:
    """Return what a cancelled run keeps of a step: work, costs, and model output as a partial answer.

    Calls are not kept, nor the results of calls that are ``unmade``. A call that an outside agent began without a
    permission is work that was done.
    """
    match step:
        case ToolCalled() if step.tool_call_id not in unmade:
            return step
        case TranscriptAppended(kind="tool-result", tool_call_id=call) if call in unmade:
            return None
        case UsageRecorded() | EvidenceAttached() | SandboxLifecycle() | TranscriptAppended(kind="tool-result"):
            return step
        case WorkspaceOpened() | WorkspaceChanged() | AgentAttached() | McpAttached():
            return step
        case TranscriptAppended(role="assistant") if step.chars:
            return replace(step, partial=True)
        case _:
            return None


def _cancel(command: CancelRun, state: RunState) -> tuple[Event, ...]:
    status: Literal["cancelled", "not-running"] = "cancelled" if state.open else "not-running"
    cause = None if command.cause == "requested" else command.cause
    request = RunCancelRequested(status=status, run_id=command.by_run, cause=cause, note=command.reason)
    return (request, _cancelled(request)) if state.open and state.executor is None else (request,)


def _cancelled(request: RunCancelRequested, *, forced: bool = False) -> RunCancelled:
    return RunCancelled(cause=request.cause or "requested", forced=forced or None)
