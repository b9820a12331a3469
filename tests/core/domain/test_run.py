"""The run: what follows from each command in each state."""

from contextlib import suppress

from hypothesis import given as given_random
from hypothesis import strategies as st

from athena_core.domain import run
from athena_core.errors import LeaseLost
from athena_core.event import Event, Guard, Recorded
from athena_core.values import (
    ContextMeta,
    HarnessConfig,
    HarnessPolicies,
    HarnessSpec,
    Reliability,
    Usage,
)
from tests.core.domain.given import NOW, Given

SPEC = HarnessSpec(
    display_name="Profile",
    version="v1",
    config=HarnessConfig(provider="mock", model="mock-model", tools=("none",)),
    policies=HarnessPolicies(timeout_ms=1_000, retry_limit=1, budget_usd=0.0),
)
CREATED = run.RunCreated(
    session_id="s",
    directive_id="dir_1",
    harness_profile_id="hp_1",
    provider="mock",
    model="mock-model",
    harness_profile_snapshot=SPEC,
    profile_named=False,
    timeout_ms=1_000,
    requested_by="exe_1",
    contents=("what a file held",),
    metadata={"k": "v"},
)
QUEUED = run.RunQueued(
    reason="session-busy", **{name: getattr(CREATED, name) for name in run.RunRequest.__struct_fields__}
)
LEASED = run.RunLeased(executor="exe_1", token=1, attempt=1, pid=7)
STARTED = run.RunStarted(attempt=1)
ASKED = run.RunCancelRequested(status="cancelled", reason="enough", run_id="run_1")
SAID = run.TranscriptAppended(role="assistant", kind="message", chars=2, content="ok")
PAID = run.UsageRecorded(provider="mock", model="mock-model", usage=Usage(total_tokens=3), cost_micro_usd=0)
COMPLETED = run.RunCompleted(
    provider="mock",
    model="mock-model",
    harness_profile_id="hp_1",
    evidence_count=0,
    verification_status="passed",
    reliability=Reliability(provider_attempts=1, provider_retries=0, fallback_hops=0),
    context_meta=ContextMeta(
        initial_strategy="raw",
        final_strategy="raw",
        overflow_recovered=False,
        overflow_attempts=0,
        initial_chars=2,
        final_chars=2,
        effective_max_chars=30_000,
        steps=(),
    ),
)
END = run.EndRun(token=1, last=(SAID, PAID), ending=COMPLETED)


def given(*events: Event) -> Given[run.RunState]:
    return Given(run.DECIDER, run.decide, *events)


def test_a_request_is_admitted_with_its_text() -> None:
    given().when(run.RequestRun(request=CREATED)).then(CREATED)


def test_a_request_that_has_to_wait_is_queued_with_its_text() -> None:
    given().when(run.RequestRun(request=CREATED, wait="session-busy")).then(QUEUED)


def test_the_same_request_twice_makes_one_run() -> None:
    given(CREATED).when(run.RequestRun(request=CREATED)).then_nothing()


def test_states_never_hold_text() -> None:
    for first in (CREATED, QUEUED):
        request = given(first).state.request
        assert request is not None
        assert request.contents is None
        assert request.metadata is None


def test_a_queued_run_is_admitted_without_its_text() -> None:
    given(QUEUED).when(run.AdmitRun()).then(run.without_text(CREATED))


def test_a_run_is_admitted_once() -> None:
    given(QUEUED, CREATED).when(run.AdmitRun()).then_nothing()


def test_a_lease_starts_the_run_with_what_the_user_said() -> None:
    said = run.TranscriptAppended(role="user", kind="message", chars=2, content="hi")
    given(CREATED).when(run.LeaseRun(executor="exe_1", pid=7, said="hi")).then(LEASED, STARTED, said)


def test_two_executors_cannot_lease_one_run() -> None:
    given(CREATED, LEASED).when(run.LeaseRun(executor="exe_2", pid=8, said="hi")).then_nothing()


def test_a_queued_run_is_not_leased() -> None:
    given(QUEUED).when(run.LeaseRun(executor="exe_1", pid=7, said="hi")).then_nothing()


def test_the_executor_ends_its_run() -> None:
    given(CREATED, LEASED, STARTED).when(END).then(SAID, PAID, COMPLETED)


def test_a_run_ends_once() -> None:
    given(CREATED, LEASED, STARTED, COMPLETED).when(END).then_nothing()


def test_an_executor_that_lost_its_lease_cannot_end_the_run() -> None:
    taken = run.RunLeased(executor="exe_2", token=2, attempt=2, pid=8)
    given(CREATED, LEASED, taken).when(END).then_rejected(LeaseLost)


def test_a_terminal_event_wins_over_a_lost_lease() -> None:
    taken = run.RunLeased(executor="exe_2", token=2, attempt=2, pid=8)
    given(CREATED, LEASED, taken, COMPLETED).when(END).then_nothing()


def test_a_cancel_is_requested_while_the_run_is_executed() -> None:
    given(CREATED, LEASED).when(run.CancelRun(reason="enough", by_run="run_1")).then(ASKED)


def test_a_cancel_that_was_acknowledged_wins_over_success_and_what_was_paid_stays() -> None:
    ended = run.RunCancelled(cause="requested", reason="enough")
    given(CREATED, LEASED, ASKED).when(END).then(PAID, ended)


def test_a_run_without_executor_is_cancelled_at_once() -> None:
    ended = run.RunCancelled(cause="requested", reason="enough")
    for first in (QUEUED, CREATED):
        given(first).when(run.CancelRun(reason="enough", by_run="run_1")).then(ASKED, ended)


def test_a_cancel_of_a_run_that_ended_is_recorded_as_not_running() -> None:
    asked = run.RunCancelRequested(status="not-running", reason=None, run_id="run_1")
    given(CREATED, LEASED, COMPLETED).when(run.CancelRun(by_run="run_1")).then(asked)
    given().when(run.CancelRun(by_run="run_1")).then(asked)


def test_only_a_queued_run_is_withdrawn() -> None:
    given(QUEUED).when(run.WithdrawRun(cause="session-busy")).then(run.RunCancelled(cause="session-busy"))
    given(CREATED).when(run.WithdrawRun(cause="session-busy")).then_nothing()
    assert given(QUEUED, run.RunCancelled(cause="session-busy")).state.withdrawn


def test_the_run_of_a_dead_executor_crashes_once() -> None:
    crashed = run.RunCrashed(executor="exe_1", attempt=1)
    given(CREATED, LEASED).when(run.CrashRun(token=1)).then(crashed)
    given(CREATED, LEASED, crashed).when(run.CrashRun(token=1)).then_nothing()


def test_a_crash_with_an_old_token_changes_nothing() -> None:
    taken = run.RunLeased(executor="exe_2", token=2, attempt=2, pid=8)
    given(CREATED, LEASED, taken).when(run.CrashRun(token=1)).then_nothing()


def recorded(event: Event, position: int = 5) -> Recorded[Event]:
    return Recorded(
        position=position,
        stream="run_1",
        version=1,
        type=event.TYPE,
        recorded_at=NOW,
        command_id="cmd_1",
        correlation="trace",
        causation=None,
        actor="alice",
        session_id="s",
        run_id="run_1",
        mark=b"mark",
        event=event,
    )


def test_a_queued_run_waits_and_an_admitted_one_holds_slot_and_turn() -> None:
    assert run.guards(recorded(QUEUED)) == (Guard(kind="waiting", key="run_1", value=(5, "s")),)
    assert run.guards(recorded(CREATED)) == (
        Guard(kind="waiting", key="run_1", value=None),
        Guard(kind="slot", key="run_1", value=(5, "s")),
        Guard(kind="turn", key="s", value=("run_1",)),
    )


def test_an_end_releases_everything_but_the_turn_of_another_run() -> None:
    for ending in (COMPLETED, run.RunCancelled(cause="requested"), run.RunCrashed(executor="exe_1", attempt=1)):
        released = run.guards(recorded(ending))
        assert {guard.kind for guard in released} == {"waiting", "slot", "turn", "lease"}
        assert all(guard.value is None for guard in released)
        assert next(guard for guard in released if guard.kind == "turn").held == ("run_1",)


COMMANDS = st.sampled_from(
    [
        run.RequestRun(request=CREATED),
        run.RequestRun(request=CREATED, wait="session-busy"),
        run.AdmitRun(),
        run.LeaseRun(executor="exe_1", pid=7, said="hi"),
        run.LeaseRun(executor="exe_2", pid=8, said="hi"),
        END,
        run.EndRun(token=2, last=(), ending=run.RunTimedOut(timeout_ms=1_000)),
        run.CancelRun(reason="enough"),
        run.WithdrawRun(cause="session-busy"),
        run.CrashRun(token=1),
    ]
)
EVERY_EVENT = st.sampled_from(
    [QUEUED, CREATED, LEASED, STARTED, ASKED, SAID, PAID, COMPLETED, run.RunTimedOut(timeout_ms=1)]
)


@given_random(st.lists(COMMANDS, max_size=30))
def test_whatever_is_asked_a_run_ends_at_most_once_and_nothing_executes_after(commands: list[object]) -> None:
    events: list[Event] = []
    for command in commands:
        with suppress(LeaseLost):
            events += given(*events).when(command).decision()
    endings = [index for index, event in enumerate(events) if isinstance(event, run.ENDINGS)]
    assert len(endings) <= 1
    after = events[endings[0] + 1 :] if endings else []
    assert all(event == run.RunCancelRequested(status="not-running", reason="enough") for event in after)
    assert sum(isinstance(event, run.RunLeased) for event in events) <= 1


@given_random(st.lists(EVERY_EVENT, max_size=20))
def test_folding_never_raises(events: list[Event]) -> None:
    given(*events)
