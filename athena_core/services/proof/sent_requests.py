"""Requests that runs sent to models, compiled again from the log.

The messages of a turn follow from the events before it, so they are not stored. An erased text is missing in them. The
limits of contexts are taken from the settings of today.
"""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from msgspec.structs import replace

from athena_core.domain import run
from athena_core.errors import NotFound
from athena_core.event import Event, Position, Recorded, Value, says
from athena_core.providers.provider import ModelMessage
from athena_core.services.context.compiler import ContextCompiler
from athena_core.services.execution.agent import compile_context, wanted_schema
from athena_core.services.execution.progress import AskModel, RunAssignment, assignment_of, next_step
from athena_core.values import INTEGER_MAX, ContextMeta, Scope, ToolSpec, Usage

READ = frozenset(
    event.TYPE
    for event in (
        run.RunQueued,
        run.RunCreated,
        run.TranscriptAppended,
        run.ToolCalled,
        run.RunAsked,
        run.RunAnswered,
        run.MemoryRecalled,
    )
)
"""The events whose texts are in requests."""


class RecordedCall(Value):
    """The call that answered a turn, as it was paid for. ``attempts`` counts the calls until the answer."""

    provider: str
    model: str
    usage: Usage
    attempts: Annotated[int, says("Calls of providers until the answer.")]
    request_id: Annotated[str | None, says("Id that the provider gave the request; absent without one.")] = None
    first_token_ms: Annotated[int | None, says("Milliseconds to the first output; absent if not measured.")] = None
    cost_micro_usd: int | None = None
    estimated: Annotated[bool | None, says("True if the provider did not report all tokens; absent otherwise.")] = None


class SentRequest(Value):
    """The request of one turn of a run to a model.

    ``call`` is absent if no answer is recorded: then the request may be under way, or was never answered. ``withheld``
    is true if the scope of the caller hides some of the messages: recalled notes, referenced files, and the history of
    a session of which it covers only some runs. ``schema`` is the JSON Schema that the answer must match. ``tools`` are
    the tools of the run's MCP servers as they were accepted then, and the tools of this release. ``erased_tools`` are
    tools whose descriptions were erased since.
    """

    run_id: str
    turn: Annotated[int, says("Number of the turn, from 1.")]
    turns: Annotated[int, says("Number of turns that are recorded.")]
    messages: Annotated[tuple[ModelMessage, ...], says("The messages in their order.")]
    context: Annotated[ContextMeta, says("How the messages were made to fit.")]
    tools: Annotated[tuple[ToolSpec, ...], says("The tools that the model may call, as they are described to it.")] = ()
    call: Annotated[RecordedCall | None, says("The call that answered the turn; absent if none is recorded.")] = None
    schema: Annotated[dict[str, Any] | None, says("JSON Schema that the answer must match; absent without one.")] = None
    withheld: Annotated[
        bool | None, says("True if the scope of the caller hides some of the messages; absent otherwise.")
    ] = None
    erased_tools: Annotated[
        tuple[str, ...] | None, says("Tools whose descriptions were erased since; absent if there are none.")
    ] = None


class CompiledTurn(NamedTuple):
    """The request of a turn, still without its tools, the request of its run, and the moments around it.

    It was made after the event at ``after``, and answered before ``until``.
    """

    sent: SentRequest
    of: run.RunCreated
    after: Position
    until: Position


def sent_request(
    recorded: Sequence[Recorded[Event]],
    turn: int,
    compiler: ContextCompiler,
    scope: Scope | None,
) -> CompiledTurn:
    """Return the request of a turn of a run with these events, as a caller with a scope may see it.

    Raise NotFound if the run has no such turn, or if an outside agent works on it. Raise ContextOverflow if the
    messages do not fit into the limits of today.
    """
    answer = next((one for one in recorded if _answers(one.event, turn)), None)
    before = recorded if answer is None else _before(recorded, answer)
    assignment = assignment_of(before)
    turns = max((one.event.turn or 0 for one in recorded if isinstance(one.event, run.UsageRecorded)), default=0)
    if assignment is None:
        raise NotFound("the run has not begun, so it has sent nothing to a model")
    request, progress = assignment.request, assignment.progress
    if request.agent is not None:
        raise NotFound(f"the outside agent {request.agent!r} works on the run and sends its own requests")
    if answer is None and not (turn == progress.turns + 1 and isinstance(next_step(progress, INTEGER_MAX), AskModel)):
        raise NotFound(f"the run has {turns} turns, and has not begun turn {turn}")
    shown = assignment if scope is None else _covered(assignment, scope)
    messages, context = compile_context(compiler, shown, shown.progress)
    profile = request.harness_profile_snapshot
    sent = SentRequest(
        run_id=assignment.run_id,
        turn=turn,
        turns=turns,
        messages=messages,
        context=context,
        call=None if answer is None else _call(answer.event),
        schema=wanted_schema(profile),
        withheld=None if shown == assignment else True,
    )
    made_after = max(one.position for one in before if answer is None or one.command_id != answer.command_id)
    return CompiledTurn(sent, request, made_after, INTEGER_MAX if answer is None else answer.position)


def _answers(event: Event, turn: int) -> bool:
    return isinstance(event, run.UsageRecorded) and event.turn == turn and not event.failed


def _before(recorded: Sequence[Recorded[Event]], answer: Recorded[Event]) -> list[Recorded[Event]]:
    """Return the events that a turn followed: all before its commit, and the notes recalled for it."""
    return [
        one
        for one in recorded
        if one.position < answer.position
        and (one.command_id != answer.command_id or isinstance(one.event, run.MemoryRecalled))
    ]


def _covered(assignment: RunAssignment, scope: Scope) -> RunAssignment:
    """Return the assignment without what the scope of a caller may hide."""
    recalled = assignment.progress.recalled
    return replace(
        assignment,
        contents=("",) * len(assignment.contents),
        progress=replace(assignment.progress, recalled=None if recalled is None else replace(recalled, snippets=None)),
        opens=assignment.opens or scope.runs is not None or scope.personas is not None,
    )


def _call(event: Event) -> RecordedCall:
    assert isinstance(event, run.UsageRecorded)
    return RecordedCall(
        provider=event.provider,
        model=event.model,
        usage=event.usage,
        attempts=event.attempts or 1,
        request_id=event.request_id,
        first_token_ms=event.first_token_ms,
        cost_micro_usd=event.cost_micro_usd,
        estimated=event.estimated,
    )
