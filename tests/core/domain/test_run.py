"""The run: the events of each command in each state."""

from contextlib import suppress

from hypothesis import given as given_random
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.domain import run
from athena_core.enums import WorkspaceMode
from athena_core.errors import LeaseLost
from athena_core.event import Event, Guard
from tests.core.domain.given import Given
from tests.support.events.agent import AGENT_CALLED, ATTACHED, CREATED_FOR_AGENT
from tests.support.events.ask import PARKED, PERMISSION, REQUEUED, answered, asked, without_a_choice
from tests.support.events.run import (
    ASKED,
    BUDGETED,
    CALLED,
    COMPLETED,
    CREATED,
    DEAR,
    LEASED,
    PAID,
    PARTIAL,
    PAUSED,
    QUEUED,
    RESULT,
    RESUMED,
    SAID,
    STARTED,
    TAKE,
    TAKEN,
    recorded,
)

END = run.EndRun(token=1, last=(SAID, PAID), ending=COMPLETED)
PAUSE = run.PauseRun(token=1, elapsed_ms=400)


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


def test_a_cancel_that_was_acknowledged_wins_over_success_and_keeps_costs_and_a_partial_answer() -> None:
    ended = run.RunCancelled(cause="requested")
    given(CREATED, LEASED, ASKED).when(END).then(PARTIAL, PAID, ended)
    silent = replace(END, last=(replace(SAID, chars=0, content=""), PAID))
    given(CREATED, LEASED, ASKED).when(silent).then(PAID, ended)


def test_partial_output_is_recorded_with_the_end_and_never_after_it() -> None:
    late = run.RunTimedOut(timeout_ms=1_000)
    stopped = run.EndRun(token=1, last=(PARTIAL, PAID), ending=late)
    given(CREATED, LEASED, STARTED).when(stopped).then(PARTIAL, PAID, late)
    given(CREATED, LEASED, STARTED, ASKED).when(stopped).then(PARTIAL, PAID, run.RunCancelled(cause="requested"))
    forced = run.RunCancelled(cause="requested", forced=True)
    given(CREATED, LEASED, STARTED, ASKED, forced).when(stopped).then_nothing()
    given(CREATED, LEASED, STARTED, TAKEN).when(stopped).then_rejected(LeaseLost)


def test_a_run_without_executor_is_cancelled_at_once() -> None:
    ended = run.RunCancelled(cause="requested")
    for first in (QUEUED, CREATED):
        given(first).when(run.CancelRun(reason="enough", by_run="run_1")).then(ASKED, ended)


def test_a_cancel_of_a_run_that_ended_is_recorded_as_not_running() -> None:
    asked = run.RunCancelRequested(status="not-running", note=None, run_id="run_1")
    given(CREATED, LEASED, COMPLETED).when(run.CancelRun(by_run="run_1")).then(asked)
    given().when(run.CancelRun(by_run="run_1")).then(asked)


def test_only_a_queued_run_is_withdrawn() -> None:
    given(QUEUED).when(run.WithdrawRun(cause="session-busy")).then(run.RunCancelled(cause="session-busy"))
    given(CREATED).when(run.WithdrawRun(cause="session-busy")).then_nothing()
    assert given(QUEUED, run.RunCancelled(cause="session-busy")).state.withdrawn


def test_the_run_of_a_dead_executor_goes_on_with_another_under_the_next_token() -> None:
    given(CREATED, LEASED, STARTED).when(TAKE).then(TAKEN, run.RunStarted(attempt=2))


def test_a_take_over_with_an_old_token_changes_nothing() -> None:
    given(CREATED, LEASED, STARTED, TAKEN).when(TAKE).then_nothing()
    given(CREATED, LEASED, STARTED, COMPLETED).when(TAKE).then_nothing()
    given(CREATED).when(TAKE).then_nothing()


def test_a_run_that_lost_as_many_executors_as_it_may_crashes_once() -> None:
    crashed = run.RunCrashed(executor="exe_2", attempt=2)
    last = replace(TAKE, token=2, attempts_max=2)
    given(CREATED, LEASED, STARTED, TAKEN).when(last).then(crashed)
    given(CREATED, LEASED, STARTED, TAKEN, crashed).when(last).then_nothing()


def test_an_executor_that_left_in_order_costs_no_attempt() -> None:
    left = replace(TAKE, because="left", attempts_max=1)
    taken = replace(TAKEN, because="left", attempt=1)
    given(CREATED, LEASED, STARTED).when(left).then(taken, STARTED)


def test_a_run_that_is_to_be_cancelled_is_not_taken_over_but_ended() -> None:
    given(CREATED, LEASED, STARTED, ASKED).when(TAKE).then(run.RunCancelled(cause="requested"))


def test_the_holder_of_the_lease_records_what_it_does() -> None:
    given(CREATED, LEASED, STARTED).when(run.RecordStep(token=1, steps=(SAID, CALLED, PAID))).then(SAID, CALLED, PAID)


def test_no_other_executor_does() -> None:
    step = run.RecordStep(token=1, steps=(RESULT,))
    given(CREATED, LEASED, STARTED, TAKEN).when(step).then_rejected(LeaseLost)
    given(CREATED, LEASED, STARTED, COMPLETED).when(step).then_nothing()
    given(BUDGETED, LEASED, STARTED, DEAR, DEAR, PAUSED).when(step).then_rejected(LeaseLost)


def test_after_an_acknowledged_cancel_a_step_ends_the_run_and_what_was_done_stays() -> None:
    ended = run.RunCancelled(cause="requested")
    given(CREATED, LEASED, STARTED, ASKED).when(run.RecordStep(token=1, steps=(SAID, CALLED, PAID))).then(
        PARTIAL, PAID, ended
    )
    given(CREATED, LEASED, STARTED, CALLED, ASKED).when(run.RecordStep(token=1, steps=(RESULT,))).then(RESULT, ended)


def test_a_run_that_spent_its_budget_is_paused() -> None:
    given(BUDGETED, LEASED, STARTED, DEAR, DEAR).when(PAUSE).then(PAUSED)


def test_a_run_whose_budget_cut_its_answer_off_is_paused() -> None:
    cut, paused = replace(SAID, truncated=True, interrupted=True), replace(PAUSED, spent_micro_usd=600)
    given(BUDGETED, LEASED, STARTED, cut, DEAR).when(PAUSE).then(paused)
    given(BUDGETED, LEASED, STARTED, cut, SAID, DEAR).when(PAUSE).then_nothing()


def test_a_run_with_budget_left_or_without_one_is_not_paused() -> None:
    given(BUDGETED, LEASED, STARTED, DEAR).when(PAUSE).then_nothing()
    given(CREATED, LEASED, STARTED, DEAR, DEAR).when(PAUSE).then_nothing()


def test_a_run_that_is_to_be_cancelled_is_not_paused_but_ended() -> None:
    ended = run.RunCancelled(cause="requested")
    given(BUDGETED, LEASED, STARTED, DEAR, DEAR, ASKED).when(PAUSE).then(ended)


def test_a_paused_run_is_resumed_with_a_new_budget_and_leased_again_without_saying_anything() -> None:
    past = (BUDGETED, LEASED, STARTED, DEAR, DEAR, PAUSED)
    given(*past).when(run.ResumeRun(executor="exe_2", budget_micro_usd=2_000)).then(RESUMED)
    leased = run.RunLeased(executor="exe_2", token=2, attempt=1, pid=8)
    given(*past, RESUMED).when(run.LeaseRun(executor="exe_2", pid=8, said="hi")).then(leased, STARTED)
    assert given(*past, RESUMED).state.budget_micro_usd == 2_000


def test_only_a_paused_run_is_resumed() -> None:
    resume = run.ResumeRun(executor="exe_2")
    given(CREATED, LEASED, STARTED).when(resume).then_nothing()
    given(BUDGETED, LEASED, STARTED, PAUSED, RESUMED).when(resume).then_nothing()


def test_a_paused_run_is_cancelled_at_once() -> None:
    ended = run.RunCancelled(cause="requested")
    past = (BUDGETED, LEASED, STARTED, DEAR, DEAR, PAUSED)
    given(*past).when(run.CancelRun(reason="enough", by_run="run_1")).then(ASKED, ended)


def test_a_cancel_is_forced_only_where_one_was_acknowledged() -> None:
    forced = run.RunCancelled(cause="requested", forced=True)
    given(CREATED, LEASED, STARTED, ASKED).when(run.ForceCancel()).then(forced)
    given(CREATED, LEASED, STARTED, ASKED, forced).when(run.ForceCancel()).then_nothing()
    given(CREATED, LEASED, STARTED).when(run.ForceCancel()).then_nothing()


def test_the_end_has_the_reason_of_the_cancel() -> None:
    asked = run.RunCancelRequested(status="cancelled", cause="parent")
    given(CREATED, LEASED, STARTED).when(run.CancelRun(cause="parent")).then(asked)
    given(CREATED, LEASED, STARTED, asked).when(END).then(PARTIAL, PAID, run.RunCancelled(cause="parent"))


def test_states_keep_everything_of_a_request_but_text() -> None:
    full = replace(CREATED, parent_run_id="run_0", retry_budget=3, budget_micro_usd=7, fallbacks=("openai",))
    for first in (full, run.RunQueued(reason="executor", **{n: getattr(full, n) for n in full.__struct_fields__})):
        assert given(first).state.request == replace(full, contents=None, metadata=None)


def test_a_queued_run_waits_and_an_admitted_one_holds_slot_and_turn() -> None:
    assert run.DECIDER.guards(recorded(QUEUED)) == (
        Guard(kind="waiting", key="run_1", value=(5, "s", "provider:mock")),
    )
    assert run.DECIDER.guards(recorded(CREATED)) == (
        Guard(kind="waiting", key="run_1", value=None),
        Guard(kind="slot", key="run_1", value=(5, "s", "provider:mock")),
        Guard(kind="turn", key="s", value=("run_1",)),
    )


def test_a_run_counts_at_its_session_at_a_profile_that_it_named_and_at_every_provider_that_it_may_ask() -> None:
    named = replace(CREATED, profile_named=True)
    falling_back = replace(CREATED, fallbacks=("mock", "openai"))
    assert named.places == ("s", "harness-profile:hp_1", "provider:mock")
    assert falling_back.places == ("s", "provider:mock", "provider:openai")
    for first in (named, falling_back):
        paused = (replace(first, budget_micro_usd=1_000), LEASED, STARTED, DEAR, PAUSED)
        (resumed,) = given(*paused).when(run.ResumeRun(executor="exe_2")).decision()
        _, slot = run.DECIDER.guards(recorded(resumed))
        assert slot.value == (5, *first.places)


def test_a_run_of_an_agent_counts_at_it_also_when_it_is_resumed() -> None:
    assert CREATED_FOR_AGENT.places == ("s", "provider:mock", "agent:codex")
    parked = (replace(CREATED_FOR_AGENT, budget_micro_usd=1_000), LEASED, STARTED, DEAR, PAUSED)
    (resumed,) = given(*parked).when(run.ResumeRun(executor="exe_2")).decision()
    _, slot = run.DECIDER.guards(recorded(resumed))
    assert slot.value == (5, "s", "provider:mock", "agent:codex")


def test_a_cancel_keeps_the_calls_that_an_agent_had_begun_and_no_others() -> None:
    begun = (CREATED_FOR_AGENT, LEASED, STARTED, ASKED)
    allowed = replace(AGENT_CALLED, tool_call_id="call_2", asked=True)
    steps = (ATTACHED, AGENT_CALLED, RESULT, allowed, replace(RESULT, tool_call_id="call_2"))
    kept = (ATTACHED, AGENT_CALLED, RESULT, run.RunCancelled(cause="requested"))
    given(*begun).when(run.RecordStep(token=1, steps=steps)).then(*kept)


def test_an_end_releases_everything_but_the_turn_of_another_run() -> None:
    for ending in (COMPLETED, run.RunCancelled(cause="requested"), run.RunCrashed(executor="exe_1", attempt=1)):
        released = run.DECIDER.guards(recorded(ending))
        kinds = {"waiting", "slot", "turn", "lease", "child", "reserved", "workspace-run"}
        assert {guard.kind for guard in released} == kinds
        assert all(guard.value is None for guard in released)
        assert next(guard for guard in released if guard.kind == "turn").held == ("run_1",)


def test_a_pause_records_the_last_steps_before_it_and_a_cancel_loses_none_of_its_changes() -> None:
    opened = run.WorkspaceOpened(workspace_id="wsp_1", tree="0" * 64)
    changed = run.WorkspaceChanged(
        workspace_id="wsp_1", tree="1" * 64, files=0, binary_files=0, added_lines=0, removed_lines=0
    )
    begun = (BUDGETED, LEASED, STARTED, opened, DEAR, DEAR)
    pause = replace(PAUSE, last=(changed,))
    given(*begun).when(pause).then(changed, PAUSED)
    cancel = run.RunCancelRequested(status="cancelled", run_id="run_1")
    given(*begun, cancel).when(pause).then(changed, run.RunCancelled(cause="requested"))
    given(BUDGETED, LEASED, STARTED, opened).when(pause).then_nothing()


def test_an_admitted_run_occupies_its_own_workspace_until_its_end() -> None:
    def occupied(workspace: WorkspaceMode | None, workflow_run_id: str | None = None) -> list[Guard]:
        profile = replace(CREATED.harness_profile_snapshot, workspace=workspace)
        request = replace(CREATED, harness_profile_snapshot=profile, workflow_run_id=workflow_run_id)
        return [guard for guard in run.DECIDER.guards(recorded(request)) if guard.kind == run.WORKSPACE_RUN]

    def row(place: str) -> list[Guard]:
        return [Guard(kind="workspace-run", key="run_1", value=(place,))]

    assert occupied(None) == occupied("shared") == occupied("shared", "wfr_1") == []
    assert occupied("session") == occupied("session", "wfr_1") == occupied("workflow-run") == row("session:s")
    assert occupied("workflow-run", "wfr_1") == row("workflow-run:wfr_1")
    assert not any(guard.kind == run.WORKSPACE_RUN for guard in run.DECIDER.guards(recorded(PAUSED)))


def test_a_pause_gives_up_slot_and_lease_and_keeps_the_turn() -> None:
    assert run.DECIDER.guards(recorded(PAUSED)) == (
        Guard(kind="slot", key="run_1", value=None),
        Guard(kind="lease", key="run_1", value=None),
        Guard(kind="reserved", key="run_1", value=None),
    )
    assert run.DECIDER.guards(recorded(RESUMED)) == (
        Guard(kind="waiting", key="run_1", value=None),
        Guard(kind="slot", key="run_1", value=(5, "s", "provider:mock")),
    )


RESERVED = run.BudgetReserved(turn=1, provider="openai", model="gpt-4o", reserved_micro_usd=900)
DAY_SPENT = run.DayReached(reason="daily-budget", spent_micro_usd=5_000, budget_micro_usd=6_000)


def test_a_reservation_is_set_aside_until_usage_settles_it_and_cost_counts_on_the_day() -> None:
    assert run.DECIDER.guards(recorded(RESERVED)) == (Guard(kind="reserved", key="run_1", value=(900,)),)
    settled = Guard(kind="reserved", key="run_1", value=None)
    kept = Guard(kind="reserved", key="run_1", value=(300,))
    assert run.DECIDER.guards(recorded(replace(PAID, reserved_micro_usd=300)))[0] == kept
    day = Guard(kind="spent", key="14", value=("2026-01-01", 600), adds=True)
    assert run.DECIDER.guards(recorded(DEAR)) == (settled, day)
    for cost in (None, 0, -600):  # negative usage from a provider refunds nothing
        assert run.DECIDER.guards(recorded(replace(DEAR, cost_micro_usd=cost))) == (settled,)


def test_a_run_without_a_budget_is_not_charged_less_than_nothing() -> None:
    spent = given(CREATED, LEASED, STARTED, DEAR, replace(DEAR, cost_micro_usd=-10_000)).state.spent_micro_usd
    assert spent == DEAR.cost_micro_usd


def test_the_holder_of_the_lease_reserves_and_pauses_for_the_day() -> None:
    running = given(CREATED, LEASED, STARTED)
    reserve = run.ReserveBudget(token=1, turn=1, provider="openai", model="gpt-4o", reserved_micro_usd=900)
    running.when(reserve).then(RESERVED)
    running.when(replace(reserve, token=2)).then_rejected(LeaseLost)
    given(CREATED, LEASED, STARTED, ASKED).when(reserve).then_types(run.RunCancelled)
    given(CREATED, LEASED, STARTED, COMPLETED).when(reserve).then_nothing()
    paused = run.RunPaused(reason="daily-budget", elapsed_ms=400, spent_micro_usd=5_000, budget_micro_usd=6_000)
    running.when(replace(PAUSE, reached=DAY_SPENT)).then(paused)


def test_a_run_that_waited_for_the_day_keeps_its_own_budget() -> None:
    paused = run.RunPaused(reason="daily-budget", elapsed_ms=400, spent_micro_usd=5_000, budget_micro_usd=6_000)
    waited = given(BUDGETED, LEASED, STARTED, paused)
    (resumed,) = waited.when(run.ResumeRun(executor="exe_2")).decision()
    assert resumed == replace(RESUMED, budget_micro_usd=BUDGETED.budget_micro_usd)


def test_a_child_is_known_by_its_parent() -> None:
    child = Guard(kind="child", key="run_1", value=("run_0",))
    for first in (replace(CREATED, parent_run_id="run_0"), replace(QUEUED, parent_run_id="run_0")):
        assert run.DECIDER.guards(recorded(first))[-1] == child


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
        *(
            command
            for token in (1, 2, 3)
            for command in (
                replace(TAKE, token=token),
                replace(TAKE, token=token, because="left"),
                run.RecordStep(token=token, steps=(SAID, CALLED, DEAR)),
                run.RecordStep(token=token, steps=(RESULT, PAID)),
                run.PauseRun(token=token, elapsed_ms=1),
            )
        ),
        run.RequestRun(request=BUDGETED),
        run.ResumeRun(executor="exe_2"),
        run.ResumeRun(executor="exe_1", budget_micro_usd=5_000),
        run.ForceCancel(),
    ]
)
EVERY_EVENT = st.sampled_from(
    [
        *(QUEUED, CREATED, LEASED, STARTED, ASKED, SAID, PAID, COMPLETED, run.RunTimedOut(timeout_ms=1)),
        *(TAKEN, CALLED, RESULT, DEAR, BUDGETED, PAUSED, RESUMED, run.RunCrashed(executor="exe_1", attempt=1)),
    ]
)


@given_random(st.lists(COMMANDS, max_size=40))
def test_under_any_commands_a_run_ends_at_most_once_and_nothing_executes_after(commands: list[object]) -> None:
    events: list[Event] = []
    for command in commands:
        with suppress(LeaseLost):
            events += given(*events).when(command).decision()
    endings = [index for index, event in enumerate(events) if isinstance(event, run.ENDINGS)]
    assert len(endings) <= 1
    after = events[endings[0] + 1 :] if endings else []
    assert all(event == run.RunCancelRequested(status="not-running", note="enough") for event in after)


@given_random(st.lists(COMMANDS, max_size=40))
def test_under_any_commands_tokens_are_dense_attempts_are_capped_and_a_pause_lasts(commands: list[object]) -> None:
    events: list[Event] = []
    for command in commands:
        with suppress(LeaseLost):
            events += given(*events).when(command).decision()
    leases = [event for event in events if isinstance(event, run.RunLeased)]
    assert [lease.token for lease in leases] == list(range(1, len(leases) + 1))
    assert all(lease.attempt <= TAKE.attempts_max for lease in leases)
    paused = False
    for event in events:
        assert not (paused and isinstance(event, run.UsageRecorded | run.ToolCalled | run.RunLeased))
        paused = isinstance(event, run.RunPaused) or (paused and not isinstance(event, run.RunResumed))


@given_random(st.lists(EVERY_EVENT, max_size=20))
def test_folding_never_raises(events: list[Event]) -> None:
    given(*events)


def test_a_cancelled_run_keeps_no_result_of_a_call_that_it_does_not_keep() -> None:
    refused = replace(CALLED, refused="denied")
    steps = (refused, replace(RESULT, is_error=True), PAID)
    given(CREATED, LEASED, STARTED, ASKED).when(run.RecordStep(token=1, steps=steps)).then(
        PAID, run.RunCancelled(cause="requested")
    )


def test_an_end_closes_the_asks_that_are_open_after_its_last_steps() -> None:
    other = asked("ask_2", "call_2")
    by_rule = answered(cause="rule", by=None, rule_id="rule_1")
    failed = run.RunFailed(code="X", retryable=False)
    given(CREATED, LEASED, STARTED, PERMISSION).when(run.EndRun(token=1, last=(by_rule, other), ending=failed)).then(
        by_rule, other, without_a_choice("run-ended", other), failed
    )


def test_a_run_that_asks_is_parked_for_its_ask_whatever_it_wanted() -> None:
    given(CREATED, LEASED, STARTED, PERMISSION).when(PAUSE).then(PARKED)


def test_a_run_that_ends_in_line_waits_no_more() -> None:
    ended = given(
        CREATED, LEASED, STARTED, PERMISSION, PARKED, answered(), REQUEUED, ASKED, run.RunCancelled(cause="requested")
    )
    assert not ended.state.requeued
