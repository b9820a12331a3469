"""The agent as a fold: the next step after any events of a run, in any process."""

import pytest
from msgspec.structs import replace

from athena_core.domain import run
from athena_core.enums import AnswerCause, AskExpiry
from athena_core.event import Event, Recorded
from athena_core.services.context.conversation import to_messages
from athena_core.services.execution.progress import (
    ERASED,
    INTERRUPTED_ASKING,
    REFUSED,
    STUCK_CALLS,
    UNANSWERED,
    AllowCall,
    AnswerCall,
    AskModel,
    AwaitAnswers,
    CallTool,
    CancelExpired,
    GiveUp,
    JudgeAnswer,
    PauseForBudget,
    RunProgress,
    assignment_of,
    evolve,
    next_step,
)
from athena_core.services.runs.results import held_seconds
from athena_core.values import ContextReference, Usage
from tests.core.domain.given import NOW
from tests.support.events.agent import AGENT_ALLOWED, AGENT_ASKED, AGENT_PERMITTED
from tests.support.events.ask import answered, without_a_choice
from tests.support.events.mcp import ELICITED
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


def elicited(number: int, ask: int, on_expiry: AskExpiry = "deny") -> run.RunAsked:
    """Return the question of a server during a call."""
    return replace(ELICITED, ask_id=f"ask_{ask}", tool_call_id=f"call_{number}", on_expiry=on_expiry)


def test_a_question_of_a_server_is_not_a_call_of_the_model_and_parks_a_run_that_was_lost() -> None:
    asked = (*BEGUN, call(1), paid(1), elicited(1, 1))
    progress = after(*asked, TAKEN)
    assert [event for event in progress.events if isinstance(event, run.RunAsked)] == []
    assert next_step(progress, 9) == AwaitAnswers(asks=frozenset({"ask_1"}), hold_until_ms=0)
    assert [len(message.calls) for message in to_messages(after(*asked, result(1)).events)] == [1, 0]


@pytest.mark.parametrize("repeatable", [True, False])
def test_an_interrupted_call_whose_server_asked_is_repeated_only_if_that_does_no_harm(repeatable: bool) -> None:
    made = call(1, repeatable=repeatable)
    reply = answered("answer", elicited(1, 1))
    step = next_step(after(*BEGUN, made, paid(1), elicited(1, 1), reply, TAKEN), 9)
    if repeatable:
        assert step == CallTool(call=made)
    else:
        assert step == AnswerCall(call=made, content=INTERRUPTED_ASKING, interrupted=True)


def test_an_expired_question_of_a_server_cancels_the_run_if_the_profile_says_so() -> None:
    choices: tuple[tuple[AskExpiry, type], ...] = (("cancel", CancelExpired), ("deny", CallTool))
    for on_expiry, kind in choices:
        question = elicited(1, 1, on_expiry)
        events = (*BEGUN, call(1), paid(1), question, without_a_choice("expiry", question), TAKEN)
        assert isinstance(next_step(after(*events), 9), kind)


def test_a_question_is_forgotten_with_its_call() -> None:
    events = (*BEGUN, call(1), paid(1), elicited(1, 1))
    assert after(*events).elicited
    assert not after(*events, result(1)).elicited, "the call has ended"


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


# Asks


def ask(number: int, *, turn: int = 1) -> run.RunAsked:
    return run.RunAsked(
        ask_id=f"ask_{number}",
        kind="tool-permission",
        origin="loop",
        turn=turn,
        chars=2,
        options=(run.AskOption(id="allow", kind="allow_once"), run.AskOption(id="deny", kind="reject_once")),
        subject_sha256="00",
        expires_at_ms=NOW + 2_000,
        on_expiry="deny",
        hold_until_ms=NOW + 1_000,
        tool_call_id=f"call_{number}",
        tool_name="shell",
        arguments="{}",
    )


def answer(number: int, option: str | None = "allow", cause: AnswerCause = "person") -> run.RunAnswered:
    return run.RunAnswered(ask_id=f"ask_{number}", subject_sha256="00", cause=cause, option_id=option)


def waits(*numbers: int, until: int = NOW + 1_000) -> AwaitAnswers:
    return AwaitAnswers(asks=frozenset(f"ask_{number}" for number in numbers), hold_until_ms=until)


ALLOWED = replace(call(1, repeatable=False), ask_id="ask_1")
PARKED = run.RunPaused(reason="ask", elapsed_ms=400)


def test_calls_before_an_ask_are_made_and_then_the_run_waits_for_all_its_asks() -> None:
    events = (*BEGUN, call(1), ask(2), ask(3), paid(1))
    assert next_step(after(*events), 9) == CallTool(call=call(1))
    assert next_step(after(*events, result(1)), 9) == waits(2, 3)
    assert next_step(after(*events, result(1), answer(3)), 9) == waits(2)
    assert next_step(after(*events, result(1), answer(2)), 9) == AllowCall(ask=ask(2), arguments="{}")


def test_an_allowed_call_is_recorded_then_made_and_never_made_twice() -> None:
    events = (*BEGUN, ask(1), paid(1), answer(1))
    assert next_step(after(*events, TAKEN), 9) == AllowCall(ask=ask(1), arguments="{}")
    assert next_step(after(*events, ALLOWED), 9) == CallTool(call=ALLOWED)
    step = next_step(after(*events, ALLOWED, TAKEN), 9)
    assert isinstance(step, AnswerCall)
    assert step.interrupted
    assert next_step(after(*events, ALLOWED, result(1)), 9) == AskModel()


def test_an_answered_call_behind_an_open_ask_was_not_begun() -> None:
    events = (*BEGUN, ask(1), call(2, repeatable=False), paid(1), PARKED, answer(1), RESUMED, replace(LEASED, token=2))
    assert next_step(after(*events, ALLOWED), 9) == CallTool(call=ALLOWED)
    assert next_step(after(*events, ALLOWED, result(1)), 9) == CallTool(call=call(2, repeatable=False))


def test_a_run_that_is_taken_over_while_it_asks_is_parked_and_its_call_is_in_doubt_later() -> None:
    events = (*BEGUN, call(1, repeatable=False), ask(2), paid(1), TAKEN)
    assert next_step(after(*events), 9) == waits(2, until=0)
    resumed = after(*events, PARKED, answer(2), RESUMED, replace(LEASED, token=3))
    step = next_step(resumed, 9)
    assert isinstance(step, AnswerCall)
    assert step.interrupted
    assert next_step(evolve(resumed, result(1)), 9) == AllowCall(ask=ask(2), arguments="{}")


@pytest.mark.parametrize(
    ("answered", "content"),
    [
        (answer(1, "deny"), REFUSED),
        (replace(answer(1, "deny"), note="no"), f"{REFUSED} The person wrote: no"),
        (answer(1, None, "expiry"), f"{UNANSWERED} The call was not made."),
        (replace(answer(1), edited_sha256="00"), ERASED),
    ],
)
def test_a_call_that_was_not_allowed_is_answered_without_being_made(answered: run.RunAnswered, content: str) -> None:
    step = next_step(after(*BEGUN, ask(1), paid(1), answered), 9)
    assert step == AnswerCall(call=ask(1), content=content)


def test_words_before_a_call_that_was_allowed_are_not_the_answer() -> None:
    assert after(AGENT_ASKED, AGENT_ALLOWED, SAID).answer == SAID.content
    assert after(AGENT_ASKED, AGENT_ALLOWED, SAID, AGENT_PERMITTED).answer is None


def test_an_ask_that_must_not_expire_cancels_the_run() -> None:
    events = (*BEGUN, replace(ask(1), on_expiry="cancel"), paid(1), answer(1, None, "expiry"))
    assert next_step(after(*events), 9) == CancelExpired()


def test_the_same_ask_again_and_again_is_given_up() -> None:
    events: list[Event] = [*BEGUN]
    for number in range(1, STUCK_CALLS + 1):
        assert not isinstance(next_step(after(*events), 99), GiveUp)
        events += [ask(number, turn=number), paid(number), answer(number, "deny"), result(number)]
    assert isinstance(next_step(after(*events), 99), GiveUp)


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


def test_the_clock_of_a_run_stands_from_its_first_ask_to_its_last_answer() -> None:
    held = (CREATED, LEASED, STARTED, HELLO, ask(1), ask(2), answer(2), answer(1), ALLOWED, result(1))
    work = assignment_of(recorded(*held, TAKEN, at=(0, 0, 0, 0, 300, 300, 500, 900, 900, 950, 1_000)))
    assert work is not None
    assert work.clock_from == NOW + 600
    taken = (*held[:6], TAKEN)
    work = assignment_of(recorded(*taken, at=(0, 0, 0, 0, 300, 300, 90_000)))
    assert work is not None
    assert work.clock_from == NOW + 90_000 - 300
    parked = (*held[:6], replace(PARKED, elapsed_ms=310), answer(2), answer(1), RESUMED, replace(LEASED, token=2))
    work = assignment_of(recorded(*parked, at=(0, 0, 0, 0, 300, 300, 400, 500, 90_000, 90_001, 90_011)))
    assert work is not None
    assert work.clock_from == NOW + 90_001 - 310


def test_a_caller_waits_as_long_as_a_run_is_held_and_not_while_it_is_parked() -> None:
    held = (CREATED, LEASED, ask(1), ask(2), answer(2), answer(1), replace(ask(3), hold_until_ms=NOW + 9_000))
    times = (0, 0, 100, 100, 200, 400, 5_000)
    assert held_seconds(recorded(*held[:5], at=times)) == 0.9
    assert held_seconds(recorded(*held[:6], at=times)) == 0.3
    assert held_seconds(recorded(*held, at=times)) == 0.3 + 4
    late = (*held[:4], PARKED, answer(1), answer(2))
    assert held_seconds(recorded(*late, at=(0, 0, 100, 100, 1_000, 90_000, 90_000))) == 0.9


HOUR = 3_600_000


@pytest.mark.parametrize(("decided", "order"), [(-HOUR, (0, 0)), (HOUR, (HOUR, HOUR)), (-HOUR, (0, 500))])
def test_a_run_that_another_clock_admitted_has_its_whole_time(decided: int, order: tuple[int, int]) -> None:
    created, leased = recorded(CREATED, LEASED, at=order)
    admitted = replace(created, decided_at=NOW + decided)
    work = assignment_of([admitted, replace(leased, decided_at=NOW)])
    assert work is not None
    assert NOW - 500 <= work.clock_from <= NOW


def test_the_time_of_a_halt_in_which_a_run_waits_for_an_executor_does_not_count() -> None:
    events, at = recorded(CREATED, LEASED, at=(0, 1_000)), recorded(CREATED, at=(0,))[0].at
    for halted, took in (((0, 0), 1_000), ((100, 900), 200), ((-500, 600), 400), ((400, 9_000), 400), ((-9, 2_000), 0)):
        work = assignment_of(events, (at + halted[0], at + halted[1]) if halted[1] else halted)
        assert work is not None
        assert events[-1].at - work.clock_from == took


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
