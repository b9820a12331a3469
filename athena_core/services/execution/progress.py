"""The progress of a run: a pure fold of its events into a conversation and the next step.

Any executor that folds the same events takes the same next step.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from athena_core.domain import run
from athena_core.errors import Stuck, TurnLimit
from athena_core.event import Event, Position, Recorded, Value
from athena_core.values import Usage

STUCK_CALLS = 5
"""How often in a row a model may make the same tool call before the run fails."""

INTERRUPTED = "The call was interrupted and its outcome is unknown. Check what it did before you make it again."
INTERRUPTED_ASKING = (
    "The call was interrupted while the MCP server waited for the answer of a person, and its outcome is unknown. "
    "Check what it did before you make it again."
)
ERASED = "The arguments of this call were erased before it was made."
EDITED = "A person changed the arguments of this call to: "
REFUSED = "A person refused this call. It was not made."
DECLINED = "The person declined to answer."
UNANSWERED = "No person answered in time."
BEFORE = " This was decided earlier in the run, so no person was asked again."

OpenCall: TypeAlias = run.ToolCalled | run.RunAsked
"""A call without a result. As an ask it was not begun, because a person has to allow or answer it."""


class RunProgress(Value):
    """The progress of a run: its conversation, open calls, and usage so far."""

    events: tuple[Event, ...] = ()
    recalled: run.MemoryRecalled | None = None
    turns: int = 0
    pending: tuple[OpenCall, ...] = ()
    answers: tuple[run.RunAnswered, ...] = ()
    """The answers to the asks of the last turn."""
    refused: tuple[tuple[run.RunAsked, run.RunAnswered], ...] = ()
    """The calls and questions that a person refused, or that expired, with that answer."""
    elicited: tuple[run.RunAsked, ...] = ()
    """The asks of MCP servers during the open calls."""
    in_doubt: bool = False
    """True if the first open call may have been started by an executor that was lost."""
    parks: bool = False
    """True if an executor was lost while the run waited for an answer."""
    answer: str | None = None
    repeats: int = 0
    usage: Usage | None = None
    attempts: int = 0
    calls: int = 0
    spent_micro_usd: int = 0
    budget_micro_usd: int | None = None
    cut: bool = False
    """True if the budget cut the last answer off."""
    opened: run.WorkspaceOpened | None = None
    changed: run.WorkspaceChanged | None = None
    """The last recorded change of the own workspace."""
    attached: run.AgentAttached | None = None
    """The last session of the outside agent of the run."""


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
        case run.ToolCalled(ask_id=str(ask_id)):
            pending = tuple(event if _asked(call, ask_id) else call for call in progress.pending)
            return replace(progress, pending=pending, in_doubt=False, answer=None)
        case run.RunAsked(server=str()):
            return replace(progress, elicited=(*progress.elicited, event))
        case run.ToolCalled() | run.RunAsked():
            return replace(
                progress,
                events=(*progress.events, event),
                turns=event.turn,
                pending=(*progress.pending, event),
                answers=() if not progress.pending else progress.answers,
                answer=None,
                repeats=progress.repeats + 1 if _same(progress.events, event) else 1,
            )
        case run.TranscriptAppended(kind="tool-result"):
            pending = tuple(call for call in progress.pending if call.tool_call_id != event.tool_call_id)
            elicited = tuple(ask for ask in progress.elicited if ask.tool_call_id != event.tool_call_id)
            return replace(
                progress, events=(*progress.events, event), pending=pending, elicited=elicited, in_doubt=False
            )
        case run.RunAnswered():
            return _decided_by(progress, event)
        case run.EvidenceAttached():
            return replace(progress, events=(*progress.events, event))
        case run.RunCreated():
            return replace(progress, budget_micro_usd=event.budget_micro_usd)
        case run.RunLeased():
            return replace(progress, in_doubt=bool(progress.pending), parks=bool(open_asks(progress)))
        case run.RunResumed():
            return replace(progress, budget_micro_usd=event.budget_micro_usd, cut=False)
        case run.MemoryRecalled():
            return replace(progress, recalled=event)
        case run.WorkspaceOpened():
            return replace(progress, opened=event)
        case run.WorkspaceChanged():
            return replace(progress, changed=event)
        case run.AgentAttached():
            return replace(progress, attached=event)
        case _:
            return progress


def after(progress: RunProgress, events: Iterable[Event]) -> RunProgress:
    """Return the progress after further events."""
    for event in events:
        progress = evolve(progress, event)
    return progress


def _asked(call: OpenCall, ask_id: str) -> bool:
    return isinstance(call, run.RunAsked) and call.ask_id == ask_id


def _decided_by(progress: RunProgress, answer: run.RunAnswered) -> RunProgress:
    calls = (*progress.pending, *progress.elicited)
    asked = (call for call in calls if isinstance(call, run.RunAsked) and _asked(call, answer.ask_id))
    refused = tuple((ask, answer) for ask in asked if not allows(ask, answer))
    return replace(progress, answers=(*progress.answers, answer), refused=(*progress.refused, *refused))


def _same(events: Sequence[Event], call: OpenCall) -> bool:
    """Return True if a call repeats the one before it."""
    before = next((event for event in reversed(events) if isinstance(event, OpenCall)), None)
    return (
        before is not None
        and before.arguments is not None
        and _name(before) == _name(call)
        and before.arguments == call.arguments
    )


def _name(call: OpenCall) -> tuple[str | None, str | None]:
    return call.tool_name, call.unknown_name if isinstance(call, run.ToolCalled) else None


def open_asks(progress: RunProgress) -> tuple[run.RunAsked, ...]:
    """Return the asks of a run that have no answer. Questions of servers have a pending call, too."""
    asks = (*progress.pending, *progress.elicited) if progress.pending else ()
    return tuple(ask for ask in asks if isinstance(ask, run.RunAsked) and not answer_to(progress, ask))


def allows(ask: run.RunAsked, answer: run.RunAnswered) -> bool:
    """Return True if an answer allows the call of an ask, or answers its question."""
    return any(option.id == answer.option_id and option.kind == "allow_once" for option in ask.options)


def refusal_text(ask: run.RunAsked, answer: run.RunAnswered) -> str:
    """Return the result of a call that was not allowed, or of a question without an answer."""
    called = ask.kind == "tool-permission"
    if answer.cause == "expiry":
        return f"{UNANSWERED} The call was not made." if called else UNANSWERED
    note = "" if answer.note is None else f" The person wrote: {answer.note}"
    return (REFUSED if called else DECLINED) + note


def refused_before(progress: RunProgress, tool: str, exact: str, secrets: tuple[str, ...] = ()) -> str | None:
    """Return the result of a call or question that was refused earlier in the run; None if it was not.

    The exact arguments are compared. An open ask for the same call, or an allowed one that is not made, comes first.
    """

    def same(ask: run.RunAsked) -> bool:
        given = (ask.server, ask.tool_name, ask.exact_arguments, ask.secrets or ())
        return given == (None, tool, exact, secrets)

    if any(isinstance(call, run.RunAsked) and same(call) for call in progress.pending):
        return None
    return next((refusal_text(ask, answer) + BEFORE for ask, answer in progress.refused if same(ask)), None)


def declined_before(progress: RunProgress, tool_call_id: str) -> list[tuple[run.RunAsked, run.RunAnswered]]:
    """Return the questions of MCP servers without an answer of a person, of this call and earlier ones like it."""
    calls = {
        call.tool_call_id: (_name(call), call.arguments)
        for call in progress.events
        if isinstance(call, OpenCall) and call.arguments is not None
    }
    like = calls.get(tool_call_id)
    return [pair for pair in progress.refused if pair[0].server and calls.get(pair[0].tool_call_id or "", ()) == like]


def answer_to(progress: RunProgress, call: OpenCall) -> run.RunAnswered | None:
    """Return the answer to the ask of a call; None if there is none so far, or the call needs none."""
    return next((answer for answer in progress.answers if answer.ask_id == call.ask_id), None)


class AskModel(Value):
    """Ask the model."""


class CallTool(Value):
    """Make a call. Its result begins with ``preface``."""

    call: run.ToolCalled
    preface: str = ""


class AllowCall(Value):
    """Record a call that a person or a rule has allowed, with the allowed arguments."""

    ask: run.RunAsked
    arguments: str


class AnswerCall(Value):
    """Answer a call without making it.

    It may have been made before, its arguments were erased, a person refused it, or the answer of a person is its
    result.
    """

    call: OpenCall
    content: str
    interrupted: bool = False
    is_error: bool = True


class AwaitAnswers(Value):
    """Wait for answers to these asks. The run is parked at ``hold_until_ms``, in milliseconds since 1970."""

    asks: frozenset[str]
    hold_until_ms: int


class CancelExpired(Value):
    """Cancel the run, because an ask expired that must not."""


class JudgeAnswer(Value):
    """Verify the answer."""

    answer: str


class PauseForBudget(Value):
    """Pause until there is more budget."""


class GiveUp(Value):
    """Fail the run."""

    code: str
    message: str


NextStep = (
    AskModel | CallTool | AllowCall | AnswerCall | AwaitAnswers | CancelExpired | JudgeAnswer | PauseForBudget | GiveUp
)


def next_step(progress: RunProgress, turns_max: int) -> NextStep:
    """Return the next step of a run."""
    if progress.answer is not None:
        return JudgeAnswer(answer=progress.answer)
    if progress.repeats >= STUCK_CALLS:
        call = next(event for event in reversed(progress.events) if isinstance(event, OpenCall))
        name = call.tool_name or "a tool that does not exist"
        message = f"the model called {name} {progress.repeats} times with the same arguments"
        return GiveUp(code=Stuck.code, message=message)
    if progress.turns >= turns_max:
        return GiveUp(code=TurnLimit.code, message=f"the model gave no answer within {progress.turns} turns (maxTurns)")
    if progress.pending:
        return _next_call(progress, progress.pending[0])
    return PauseForBudget() if spent(progress, ()) else AskModel()


def _next_call(progress: RunProgress, call: OpenCall) -> NextStep:
    """Return the next step of a run whose first open call is this one."""
    waits = open_asks(progress)
    if waits and progress.parks:
        return AwaitAnswers(asks=frozenset(ask.ask_id for ask in waits), hold_until_ms=0)
    answer = answer_to(progress, call)
    if isinstance(call, run.RunAsked):
        if answer is not None:
            return _decided(call, answer)
        hold_until_ms = min(ask.hold_until_ms for ask in waits)
        return AwaitAnswers(asks=frozenset(ask.ask_id for ask in waits), hold_until_ms=hold_until_ms)
    preface = ""
    if answer is not None and answer.edited_sha256 is not None:
        preface = f"{EDITED}{call.arguments}\n"
    questions = [ask for ask in progress.elicited if ask.tool_call_id == call.tool_call_id]
    if any(_cancels(ask, answer_to(progress, ask)) for ask in questions):
        return CancelExpired()
    if progress.in_doubt and not call.repeatable:
        interrupted = INTERRUPTED_ASKING if questions else INTERRUPTED
        return AnswerCall(call=call, content=preface + interrupted, interrupted=True)
    if call.arguments is None:
        return AnswerCall(call=call, content=ERASED)
    return CallTool(call=call, preface=preface)


def _cancels(ask: run.RunAsked, answer: run.RunAnswered | None) -> bool:
    """Return True if an ask expired, and that cancels its run."""
    return answer is not None and answer.cause == "expiry" and ask.on_expiry == "cancel"


def _decided(ask: run.RunAsked, answer: run.RunAnswered) -> NextStep:
    """Return the next step of a run once a person, a rule or its expiry has decided an ask."""
    if _cancels(ask, answer):
        return CancelExpired()
    if not allows(ask, answer):
        return AnswerCall(call=ask, content=refusal_text(ask, answer))
    if ask.kind != "tool-permission":
        return AnswerCall(call=ask, content=answer_text(ask, answer), is_error=False)
    arguments = ask.arguments if answer.edited_sha256 is None else answer.arguments
    return AnswerCall(call=ask, content=ERASED) if arguments is None else AllowCall(ask=ask, arguments=arguments)


def answer_text(ask: run.RunAsked, answer: run.RunAnswered) -> str:
    """Return the answer to a question as JSON: its values, or the name of the chosen option."""
    if answer.values is not None:
        return answer.values
    names = ask.option_names or tuple(option.id for option in ask.options)
    chosen = next(name for option, name in zip(ask.options, names, strict=False) if option.id == answer.option_id)
    return msgspec.json.encode({"choice": chosen}).decode()


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


def assignment_of(recorded: Iterable[Recorded[Event]], halted: tuple[int, int] = (0, 0)) -> RunAssignment | None:
    """Return the assignment of the run with these events, None if it was never admitted.

    ``halted`` is the interval of the last halt. A run that waited in it for an executor does not lose that time.
    """
    progress = RunProgress()
    admitted: Recorded[Event] | None = None
    request: run.RunRequest | None = None
    text, token, elapsed_ms = "", 0, 0
    last: Recorded[Event] | None = None  # since this event its time runs
    for row in recorded:
        event = row.event
        stood = bool(open_asks(progress))
        progress = evolve(progress, event)
        match event:
            case run.RunQueued():
                request = event
            case run.RunCreated():
                request, admitted, last = request or event, row, row
            case run.RunLeased():
                token = event.token
                elapsed_ms += 0 if last is None or stood else _apart_ms(last, row, halted)
                last = row  # on the clock of its executor
            case run.RunAsked():
                elapsed_ms += 0 if last is None or stood else _apart_ms(last, row)
            case run.RunAnswered():
                last = row
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


def _apart_ms(earlier: Recorded[Event], later: Recorded[Event], halted: tuple[int, int] = (0, 0)) -> int:
    """Return the time between two events that different clocks may have decided; the log's times bound it.

    Time in the interval ``halted`` does not count.
    """
    apart = min(later.at - earlier.at, later.recorded_at - earlier.recorded_at)
    return max(apart - max(min(later.at, halted[1]) - max(earlier.at, halted[0]), 0), 0)


def spent(progress: RunProgress, steps: Iterable[run.RunStep]) -> bool:
    """Return True if a run's budget is spent once these steps are recorded."""
    progress = after(progress, steps)
    budget = progress.budget_micro_usd
    return progress.cut or (budget is not None and progress.spent_micro_usd >= budget)
