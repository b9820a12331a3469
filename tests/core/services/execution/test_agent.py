"""The agent as a fold: the next step after any events of a run, in any process."""

import pytest
from msgspec.structs import replace

from athena_core.domain import run
from athena_core.event import Event, Recorded
from athena_core.services.context.conversation import to_messages
from athena_core.services.execution.progress import (
    STUCK_CALLS,
    AnswerCall,
    AskModel,
    CallTool,
    GiveUp,
    JudgeAnswer,
    PauseForBudget,
    RunProgress,
    assignment_of,
    evolve,
    next_step,
)
from athena_core.values import ContextReference, Usage
from tests.core.domain.given import NOW
from tests.support.events.run import (
    BUDGETED,
    CREATED,
    DEAR,
    LEASED,
    PARTIAL,
    PAUSED,
    QUEUED,
    RESUMED,
    SAID,
    STARTED,
    TAKEN,
)

HELLO = run.TranscriptAppended(role="user", kind="message", chars=5, content="hello")
BEGUN = (CREATED, LEASED, STARTED, HELLO)


def call(number: int, *, turn: int = 1, arguments: str | None = "{}", repeatable: bool = True) -> run.ToolCalled:
    return run.ToolCalled(
        turn=turn,
        tool_call_id=f"call_{number}",
        tool_name="shell",
        chars=2,
        repeatable=repeatable,
        arguments=arguments,
    )


def result(number: int) -> run.TranscriptAppended:
    return run.TranscriptAppended(
        role="tool", kind="tool-result", chars=2, tool_call_id=f"call_{number}", tool_name="shell", content="ok"
    )


def paid(turn: int, cost: int | None = None, attempts: int | None = None) -> run.UsageRecorded:
    usage = Usage(input_tokens=turn, output_tokens=1)
    return run.UsageRecorded(
        provider="mock", model="mock-model", usage=usage, turn=turn, cost_micro_usd=cost, attempts=attempts
    )


def after(*events: Event) -> RunProgress:
    progress = RunProgress()
    for event in events:
        progress = evolve(progress, event)
    return progress


def test_a_run_that_was_begun_asks_the_model() -> None:
    assert next_step(after(*BEGUN), 9) == AskModel()


def test_calls_are_made_one_after_another_and_then_the_model_is_asked_again() -> None:
    calls = (*BEGUN, SAID, call(1), call(2), paid(1))
    assert next_step(after(*calls), 9) == CallTool(call=call(1))
    assert next_step(after(*calls, result(1)), 9) == CallTool(call=call(2))
    assert next_step(after(*calls, result(1), result(2)), 9) == AskModel()


def test_words_without_calls_are_the_answer() -> None:
    assert next_step(after(*BEGUN, SAID, paid(1)), 9) == JudgeAnswer(answer="ok")


def test_a_call_that_was_interrupted_is_made_again_only_if_that_does_no_harm() -> None:
    harmless, harmful = call(1), call(1, repeatable=False)
    assert next_step(after(*BEGUN, harmless, paid(1), TAKEN), 9) == CallTool(call=harmless)
    step = next_step(after(*BEGUN, harmful, paid(1), TAKEN), 9)
    assert isinstance(step, AnswerCall)
    assert (step.call, step.interrupted) == (harmful, True)


def test_a_call_that_was_not_begun_is_made() -> None:
    first, second = call(1, repeatable=False), call(2, repeatable=False)
    progress = after(*BEGUN, first, second, paid(1), TAKEN, replace(result(1), interrupted=True))
    assert next_step(progress, 9) == CallTool(call=second)


def test_a_call_whose_arguments_were_erased_is_not_made() -> None:
    step = next_step(after(*BEGUN, call(1, arguments=None), paid(1)), 9)
    assert isinstance(step, AnswerCall)
    assert not step.interrupted


def test_the_same_call_again_and_again_is_given_up() -> None:
    events: list[Event] = [*BEGUN]
    for number in range(1, STUCK_CALLS + 1):
        assert not isinstance(next_step(after(*events), 99), GiveUp)
        events += [call(number, turn=number), paid(number), result(number)]
    step = next_step(after(*events), 99)
    assert isinstance(step, GiveUp)
    assert step.code == "STUCK"


def test_other_arguments_in_between_are_progress() -> None:
    events: list[Event] = [*BEGUN]
    for number in range(1, 3 * STUCK_CALLS):
        arguments = "{}" if number % STUCK_CALLS else '{"other":1}'
        events += [call(number, turn=number, arguments=arguments), paid(number), result(number)]
    assert next_step(after(*events), 99) == AskModel()


def test_a_run_has_limited_turns_and_does_not_begin_what_it_cannot_use() -> None:
    events = (*BEGUN, call(1, turn=1), paid(1), result(1), call(2, turn=2, arguments="[]"), paid(2))
    assert next_step(after(*events), 3) == CallTool(call=call(2, turn=2, arguments="[]"))
    step = next_step(after(*events), 2)
    assert isinstance(step, GiveUp)
    assert step.code == "TURN_LIMIT"


def test_a_run_that_spent_its_budget_pauses_after_its_calls_until_there_is_more() -> None:
    events = (BUDGETED, *BEGUN[1:], call(1), paid(1, cost=1_000))
    assert next_step(after(*events), 9) == CallTool(call=call(1))
    spent = (*events, result(1))
    assert next_step(after(*spent), 9) == PauseForBudget()
    assert next_step(after(*spent, PAUSED, RESUMED), 9) == AskModel()
    assert next_step(after(*spent, PAUSED, replace(RESUMED, budget_micro_usd=None)), 9) == AskModel()
    assert next_step(after(*spent, PAUSED, replace(RESUMED, budget_micro_usd=1_000)), 9) == PauseForBudget()


def test_words_that_the_budget_cut_off_are_no_answer_until_there_is_more() -> None:
    cut = replace(SAID, truncated=True, interrupted=True)
    events = (BUDGETED, *BEGUN[1:], cut, paid(1, cost=900))
    assert next_step(after(*events), 9) == PauseForBudget()
    assert next_step(after(*events, TAKEN), 9) == PauseForBudget()
    assert next_step(after(*events, PAUSED, RESUMED), 9) == AskModel()
    assert next_step(after(*events, PAUSED, RESUMED, SAID, paid(2)), 9) == JudgeAnswer(answer="ok")
    assert isinstance(next_step(after(*events, PAUSED, RESUMED), 1), GiveUp), "it was a turn"
    assert to_messages(after(*events, PAUSED, RESUMED).events) == []


def test_partial_output_is_neither_an_answer_nor_context() -> None:
    events = (*BEGUN, PARTIAL, replace(paid(1, cost=5), failed=True, estimated=True))
    assert next_step(after(*events), 9) == AskModel()
    assert [message.role for message in to_messages(after(*events).events)] == []
    assert [message.content for message in to_messages([HELLO, PARTIAL, SAID])] == ["hello", "ok"]
    assert next_step(after(*events, SAID), 9) == JudgeAnswer(answer="ok")


def test_an_answer_that_another_limit_ended_is_one() -> None:
    assert next_step(after(*BEGUN, replace(SAID, truncated=True), paid(1)), 9) == JudgeAnswer(answer="ok")


def test_the_usage_of_a_run_adds_up() -> None:
    progress = after(*BEGUN, call(1), paid(1, cost=3, attempts=2), result(1), SAID, paid(2, cost=4))
    assert progress.usage == Usage(input_tokens=3, output_tokens=2)
    assert (progress.attempts, progress.calls, progress.spent_micro_usd) == (3, 2, 7)


def test_wasted_calls_add_up_and_do_not_count_as_turns() -> None:
    vain = replace(paid(1, cost=5), failed=True)
    progress = after(*BEGUN, SAID, vain, vain, paid(1, cost=4, attempts=3))
    assert progress.usage == Usage(input_tokens=3, output_tokens=3)
    assert (progress.attempts, progress.calls, progress.spent_micro_usd) == (3, 1, 14)
    budgeted = (BUDGETED, *BEGUN[1:], replace(vain, cost_micro_usd=1_000))
    assert next_step(after(*budgeted), 9) == PauseForBudget()


# From a stream to the next step


def recorded(*events: Event, at: tuple[int, ...] = ()) -> list[Recorded[Event]]:
    times = at or (0,) * len(events)
    return [
        Recorded(
            position=10 + number,
            stream="run_1",
            version=number,
            type=event.TYPE,
            recorded_at=NOW + times[number - 1],
            command_id="cmd",
            correlation="trace",
            causation=None,
            actor="alice",
            session_id="s",
            run_id="run_1",
            mark=b"mark",
            event=event,
        )
        for number, event in enumerate(events, 1)
    ]


def test_the_work_of_a_run_is_what_its_stream_says() -> None:
    queued = replace(QUEUED, contents=("what a file held",))
    work = assignment_of(recorded(queued, run.without_text(CREATED), LEASED, STARTED, HELLO, TAKEN))
    assert work is not None
    assert (work.run_id, work.token, work.position, work.text) == ("run_1", 2, 12, "hello")
    assert work.contents == ("what a file held",)
    assert work.request == run.without_text(CREATED)


def test_the_clock_of_a_run_stands_while_it_is_paused() -> None:
    events = (BUDGETED, LEASED, STARTED, HELLO, DEAR, DEAR, PAUSED, RESUMED)
    work = assignment_of(recorded(*events, at=(0, 0, 0, 0, 300, 390, 400, 90_400)))
    assert work is not None
    assert work.clock_from == NOW + 90_000


HOUR = 3_600_000


@pytest.mark.parametrize(("decided", "order"), [(-HOUR, (0, 0)), (HOUR, (HOUR, HOUR)), (-HOUR, (0, 500))])
def test_a_run_that_another_clock_admitted_has_its_whole_time(decided: int, order: tuple[int, int]) -> None:
    created, leased = recorded(CREATED, LEASED, at=order)
    admitted = replace(created, decided_at=NOW + decided)
    work = assignment_of([admitted, replace(leased, decided_at=NOW)])
    assert work is not None
    assert NOW - 500 <= work.clock_from <= NOW


def test_the_time_of_an_executor_that_was_lost_counts() -> None:
    taken_over = replace(LEASED, token=3)
    work = assignment_of(recorded(CREATED, LEASED, STARTED, taken_over, at=(0, 10, 20, 900)))
    assert work is not None
    assert (work.token, work.clock_from) == (3, NOW)


def test_a_run_whose_references_were_erased_still_has_a_context() -> None:
    reference = ContextReference(ref="file:a", sha256="0", chars=1)
    work = assignment_of(recorded(replace(CREATED, context_refs=(reference,), contents=None), LEASED))
    assert work is not None
    assert work.contents == ("",)


def test_a_waiting_run_is_not_executed() -> None:
    assert assignment_of(recorded(QUEUED)) is None
