"""Asks of a run: their answers, races between answers, and the end of the run."""

import pytest
from msgspec.structs import replace

from athena_core.decider import fold
from athena_core.domain import run
from athena_core.errors import AskChanged, AskDecided, AskEnded, AskExpired, AthenaError, ConfigError, LeaseLost
from athena_core.event import Event, Guard
from tests.core.domain.given import NOW, Given
from tests.support.events.run import ASKED as CANCEL_ASKED
from tests.support.events.run import COMPLETED, CREATED, LEASED, PAID, SAID, STARTED, TAKE, recorded

HASH = "6b" * 32
ASK = run.RunAsked(
    ask_id="ask_1",
    kind="tool-permission",
    origin="loop",
    turn=1,
    chars=20,
    options=(run.AskOption(id="allow", kind="allow_once"), run.AskOption(id="deny", kind="reject_once")),
    subject_sha256=HASH,
    expires_at_ms=NOW + 1_000,
    on_expiry="deny",
    hold_until_ms=NOW + 100,
    tool_call_id="call_1",
    tool_name="shell",
    arguments='{"command":["ls"]}',
)
OTHER = replace(ASK, ask_id="ask_2", tool_call_id="call_2", expires_at_ms=NOW - 1)
OPEN = (CREATED, LEASED, STARTED, ASK)
PARKED = (*OPEN, run.RunPaused(reason="ask", elapsed_ms=400))
ANSWER = run.AnswerAsk(ask_id="ask_1", subject_sha256=HASH, option_id="allow", by="ada")
ALLOWED = run.RunAnswered(ask_id="ask_1", subject_sha256=HASH, cause="person", by="ada", option_id="allow")
ENDED = run.RunAnswered(ask_id="ask_1", subject_sha256=HASH, cause="run-ended")
REQUEUED = run.RunRequeued(reason="concurrency", provider="mock")


def given(*events: Event) -> Given[run.RunState]:
    return Given(run.DECIDER, run.decide, *events)


@pytest.mark.parametrize("past", [OPEN, PARKED], ids=["held", "parked"])
def test_the_first_answer_wins_and_the_second_learns_who_was_first(past: tuple[Event, ...]) -> None:
    given(*past).when(ANSWER).then(ALLOWED)
    later = replace(ANSWER, by="bob", option_id="deny")
    given(*past, ALLOWED).when(later).then_rejected(AskDecided, "ada chose 'allow'")


@pytest.mark.parametrize(
    ("past", "command", "error"),
    [
        (OPEN, replace(ANSWER, subject_sha256="00" * 32), AskChanged),
        (OPEN, replace(ANSWER, option_id="maybe"), ConfigError),
        ((*OPEN[:3], replace(ASK, expires_at_ms=NOW)), ANSWER, AskExpired),
        ((*OPEN, replace(ALLOWED, cause="expiry", option_id=None)), ANSWER, AskExpired),
        ((*OPEN, ENDED, run.RunCancelled(cause="requested")), ANSWER, AskEnded),
        ((*OPEN, CANCEL_ASKED), ANSWER, AskEnded),
    ],
)
def test_an_answer_that_comes_too_late_or_is_about_something_else_is_refused(
    past: tuple[Event, ...], command: run.AnswerAsk, error: type[AthenaError]
) -> None:
    given(*past).when(command).then_rejected(error)


def test_only_asks_whose_time_is_over_expire() -> None:
    expired = run.RunAnswered(ask_id="ask_2", subject_sha256=HASH, cause="expiry")
    given(*OPEN, OTHER).when(run.ExpireAsks()).then(expired)
    given(*OPEN).when(run.ExpireAsks()).then_nothing()


ENDS: list[tuple[tuple[Event, ...], run.RunCommand]] = [
    (OPEN, run.EndRun(token=1, last=(), ending=run.RunFailed(code="STUCK", retryable=False))),
    ((*OPEN, CANCEL_ASKED), run.RecordStep(token=1, steps=(SAID,))),
    ((*OPEN, CANCEL_ASKED), run.ForceCancel()),
    ((*OPEN, CANCEL_ASKED), TAKE),
    (OPEN, replace(TAKE, attempts_max=1)),
    (PARKED, run.CancelRun(by_run="run_1")),
    ((*PARKED, ALLOWED, REQUEUED), run.CancelRun(by_run="run_1")),
]


@pytest.mark.parametrize(("past", "command"), ENDS)
def test_the_end_of_a_run_closes_its_open_asks_before_it(past: tuple[Event, ...], command: run.RunCommand) -> None:
    before = given(*past)
    events = before.when(command).decision()
    assert events[-1].TYPE in run.ENDING_TYPES
    closed = [event for event in events if isinstance(event, run.RunAnswered)]
    assert [answer.ask_id for answer in closed] == [ask.ask_id for ask in before.state.asks]
    assert events[-1 - len(closed) : -1] == tuple(closed)
    assert not fold(run.DECIDER, (*past, *events)).asks


def test_a_cancelled_run_asks_nothing_more() -> None:
    past = (CREATED, LEASED, STARTED, CANCEL_ASKED)
    events = given(*past).when(run.RecordStep(token=1, steps=(ASK, PAID))).decision()
    assert [type(event) for event in events] == [run.UsageRecorded, run.RunCancelled]


def test_a_run_is_parked_only_while_an_ask_is_open() -> None:
    park = run.PauseRun(token=1, elapsed_ms=400, asking=True)
    given(*OPEN).when(park).then(run.RunPaused(reason="ask", elapsed_ms=400))
    given(*OPEN, ALLOWED).when(park).then_nothing()
    given(*OPEN).when(replace(park, token=7)).then_rejected(LeaseLost)


def test_a_parked_run_is_resumed_or_waits_in_line_once_nothing_is_open() -> None:
    resume, wait = run.ResumeRun(executor="exe_2"), run.RequeueRun(reason="concurrency")
    given(*PARKED).when(resume).then_nothing()
    given(*PARKED).when(wait).then_nothing()
    given(*PARKED, ALLOWED).when(resume).then_types(run.RunResumed)
    given(*PARKED, ALLOWED).when(wait).then(REQUEUED)
    given(*PARKED, ALLOWED, REQUEUED).when(wait).then_nothing()
    resumed = run.RunResumed(requested_by="exe_2", provider="mock")
    given(*PARKED, ALLOWED, REQUEUED).when(run.AdmitRun(executor="exe_2")).then(resumed)
    given(*PARKED, ALLOWED, REQUEUED, resumed).when(run.AdmitRun()).then_nothing()


def test_an_open_ask_is_a_guard_and_a_requeued_run_waits_with_its_keys() -> None:
    assert run.DECIDER.guards(recorded(ASK)) == (Guard(kind="ask", key="ask_1", value=("run_1", NOW + 1_000)),)
    assert run.DECIDER.guards(recorded(ALLOWED)) == (Guard(kind="ask", key="ask_1", value=None),)
    waiting = Guard(kind="waiting", key="run_1", value=(5, "s", "provider:mock"))
    assert run.DECIDER.guards(recorded(REQUEUED)) == (waiting,)


def test_states_keep_no_text_of_asks_and_only_the_newest_answers() -> None:
    state = given(*OPEN, replace(ALLOWED, note="fine", arguments="{}")).state
    assert not state.asks
    assert state.answers == (ALLOWED,)
    assert given(*OPEN).state.asks == (replace(ASK, arguments=None),)
    answers = [replace(ALLOWED, ask_id=f"ask_{number}") for number in range(run.ANSWERS_KEPT + 1)]
    assert [one.ask_id for one in given(*OPEN, *answers).state.answers][0] == "ask_1"


def test_a_run_that_was_answered_completes() -> None:
    given(*OPEN, ALLOWED).when(run.EndRun(token=1, last=(SAID, PAID), ending=COMPLETED)).then(SAID, PAID, COMPLETED)


def test_a_run_that_waits_for_a_person_cannot_time_out() -> None:
    late = run.EndRun(token=1, last=(), ending=run.RunTimedOut(timeout_ms=1_000))
    given(*OPEN).when(late).then_nothing()
    given(*OPEN, ALLOWED).when(late).then(late.ending)


def test_a_timeout_that_meets_an_ask_records_the_costs_only() -> None:
    late = run.EndRun(token=1, last=(SAID, PAID), ending=run.RunTimedOut(timeout_ms=1_000))
    given(*OPEN).when(late).then(PAID)
