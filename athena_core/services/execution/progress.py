"""The progress of a run: a pure fold of its events into a conversation and the next step.

Any executor that folds the same events takes the same next step.
"""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from athena_core.domain import run
from athena_core.errors import Stuck, TurnLimit
from athena_core.event import Event, Position, Recorded, Value
from athena_core.values import Usage

STUCK_CALLS = 5
"""How often in a row a model may make the same tool call before the run fails."""

INTERRUPTED = "The call was interrupted and its outcome is unknown. Check what it did before you make it again."
ERASED = "The arguments of this call were erased before it was made."


class RunProgress(Value):
    """The progress of a run: its conversation, open calls, and usage so far."""

    events: tuple[Event, ...] = ()
    recalled: run.MemoryRecalled | None = None
    turns: int = 0
    pending: tuple[run.ToolCalled, ...] = ()
    in_doubt: bool = False
    """True if the first open call may have been started by an executor that was lost."""
    answer: str | None = None
    repeats: int = 0
    usage: Usage | None = None
    attempts: int = 0
    calls: int = 0
    spent_micro_usd: int = 0
    budget_micro_usd: int | None = None
    cut: bool = False
    """True if the budget cut the last answer off."""


def evolve(progress: RunProgress, event: Event) -> RunProgress:
    """Apply one event of the run, with its text."""
    match event:
        case run.TranscriptAppended(partial=True):
            return progress
        case run.TranscriptAppended(role="assistant", interrupted=True):
            return replace(progress, cut=True)
        case run.TranscriptAppended(role="assistant"):
            return replace(progress, events=(*progress.events, event), answer=event.content or "")
        case run.UsageRecorded():
            answered = 0 if event.failed else 1  # its attempts include the failed ones
            return replace(
                progress,
                usage=event.usage if progress.usage is None else progress.usage.plus(event.usage),
                attempts=progress.attempts + (event.attempts or 1) * answered,
                turns=(event.turn or progress.turns) if answered else progress.turns,
                calls=progress.calls + answered,
                spent_micro_usd=progress.spent_micro_usd + (event.cost_micro_usd or 0),
            )
        case run.ToolCalled():
            return replace(
                progress,
                events=(*progress.events, event),
                turns=event.turn,
                pending=(*progress.pending, event),
                answer=None,
                repeats=progress.repeats + 1 if _same(progress.events, event) else 1,
            )
        case run.TranscriptAppended(kind="tool-result"):
            pending = tuple(call for call in progress.pending if call.tool_call_id != event.tool_call_id)
            return replace(progress, events=(*progress.events, event), pending=pending, in_doubt=False)
        case run.EvidenceAttached():
            return replace(progress, events=(*progress.events, event))
        case run.RunCreated():
            return replace(progress, budget_micro_usd=event.budget_micro_usd)
        case run.RunLeased():
            return replace(progress, in_doubt=bool(progress.pending))
        case run.RunResumed():
            return replace(progress, budget_micro_usd=event.budget_micro_usd, cut=False)
        case run.MemoryRecalled():
            return replace(progress, recalled=event)
        case _:
            return progress


def _same(events: Sequence[Event], call: run.ToolCalled) -> bool:
    """Return True if a call repeats the one before it."""
    before = next((event for event in reversed(events) if isinstance(event, run.ToolCalled)), None)
    return (
        before is not None
        and before.arguments is not None
        and (before.tool_name, before.unknown_name) == (call.tool_name, call.unknown_name)
        and before.arguments == call.arguments
    )


class AskModel(Value):
    """Ask the model."""


class CallTool(Value):
    """Make a call."""

    call: run.ToolCalled


class AnswerCall(Value):
    """Answer a call without making it, because it may have been made before or its arguments were erased."""

    call: run.ToolCalled
    content: str
    interrupted: bool


class JudgeAnswer(Value):
    """Verify the answer."""

    answer: str


class PauseForBudget(Value):
    """Pause until there is more budget."""


class GiveUp(Value):
    """Fail the run."""

    code: str
    message: str


NextStep = AskModel | CallTool | AnswerCall | JudgeAnswer | PauseForBudget | GiveUp


def next_step(progress: RunProgress, turns_max: int) -> NextStep:
    """Return the next step of a run."""
    if progress.answer is not None:
        return JudgeAnswer(answer=progress.answer)
    if progress.repeats >= STUCK_CALLS:
        call = next(event for event in reversed(progress.events) if isinstance(event, run.ToolCalled))
        name = call.tool_name or "a tool that does not exist"
        message = f"the model called {name} {progress.repeats} times with the same arguments"
        return GiveUp(code=Stuck.code, message=message)
    if progress.turns >= turns_max:
        return GiveUp(code=TurnLimit.code, message=f"the model gave no answer within {progress.turns} turns (maxTurns)")
    if progress.pending:
        call = progress.pending[0]
        if progress.in_doubt and not call.repeatable:
            return AnswerCall(call=call, content=INTERRUPTED, interrupted=True)
        if call.arguments is None:
            return AnswerCall(call=call, content=ERASED, interrupted=False)
        return CallTool(call=call)
    return PauseForBudget() if spent(progress, ()) else AskModel()


class RunAssignment(Value):
    """A run for this process to execute, with its recorded progress.

    ``clock_from`` is when its time would have begun without pauses, in milliseconds since 1970. ``position`` is the
    position of its admission. Earlier entries of the session are its history, unless it ``opens`` the session.
    """

    run_id: str
    request: run.RunCreated
    token: int
    correlation: str
    clock_from: int
    position: Position
    text: str
    """The user message for the model."""
    contents: tuple[str, ...]
    progress: RunProgress
    opens: bool = False


def assignment_of(recorded: Iterable[Recorded[Event]]) -> RunAssignment | None:
    """Return the assignment of the run with these events, None if it was never admitted."""
    progress = RunProgress()
    admitted: Recorded[Event] | None = None
    request: run.RunRequest | None = None
    text, token, elapsed_ms = "", 0, 0
    last: Recorded[Event] | None = None  # since this event its time runs
    for row in recorded:
        event = row.event
        progress = evolve(progress, event)
        match event:
            case run.RunQueued():
                request = event
            case run.RunCreated():
                request, admitted, last = request or event, row, row
            case run.RunLeased():
                token = event.token
                elapsed_ms += 0 if last is None else _apart_ms(last, row)
                last = row  # on the clock of its executor
            case run.TranscriptAppended(role="user"):
                text = event.content or ""  # redacted meanwhile; the run still has to end
            case run.RunPaused():
                elapsed_ms = event.elapsed_ms
            case run.RunResumed():
                last = row
    if request is None or admitted is None or last is None:
        return None
    references = request.context_refs or ()
    return RunAssignment(
        run_id=admitted.stream,
        request=run.without_text(request),
        token=token,
        correlation=admitted.correlation,
        clock_from=last.at - elapsed_ms,
        position=admitted.position,
        text=text,
        contents=request.contents or ("",) * len(references),
        progress=progress,
    )


def _apart_ms(earlier: Recorded[Event], later: Recorded[Event]) -> int:
    """Return the time between two events that different clocks may have decided; the log's times bound it."""
    return max(min(later.at - earlier.at, later.recorded_at - earlier.recorded_at), 0)


def spent(progress: RunProgress, steps: Iterable[run.RunStep]) -> bool:
    """Return True if a run's budget is spent once these steps are recorded."""
    for event in steps:
        progress = evolve(progress, event)
    budget = progress.budget_micro_usd
    return progress.cut or (budget is not None and progress.spent_micro_usd >= budget)
