"""The schedule: the events of each command in each state, and the fate of each slot under any clock."""

from collections.abc import Iterable

import pytest
from hypothesis import given as given_random
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import Context
from athena_core.definitions.schedule_definition import ScheduleDefinition
from athena_core.definitions.slots import MINUTE, due_at
from athena_core.definitions.trigger import Trigger
from athena_core.domain import schedule
from athena_core.enums import CatchUp, OverlapPolicy, SlotSkipReason
from athena_core.errors import ConfigError, NotFound
from athena_core.event import Event, Guard, Meta
from tests.core.domain.given import NOW, Given
from tests.core.log.made import made
from tests.scale import sized
from tests.support.events.run import recorded
from tests.support.events.schedule import (
    CATCH_UPS,
    HOUR,
    HOURLY,
    POLICIES,
    buffered,
    missed,
    skipped,
    started,
    upserted,
)

DAY = 24 * HOUR

PUT = schedule.UpsertSchedule(id="a", definition=HOURLY, input="hello")
EVERY = replace(HOURLY, trigger=Trigger(every_minutes=60))


RUN_ID = f"run_{1:026d}"


def anchored(minutes: int, anchor: int = NOW) -> ScheduleDefinition:
    return replace(HOURLY, trigger=Trigger(every_minutes=minutes, anchor_ms=anchor))


def given(*events: Event, now: int = NOW) -> Given[schedule.ScheduleState]:
    def decide(command: schedule.ScheduleCommand, state: schedule.ScheduleState, context: Context) -> tuple[Event, ...]:
        return schedule.decide(command, state, replace(context, now=now))

    return Given(schedule.DECIDER, decide, *events)


def tick(at: int) -> schedule.TickSchedule:
    return schedule.TickSchedule(at=at, target_run_id=RUN_ID)


# Putting


def test_a_schedule_is_put_with_its_text_and_the_last_writer() -> None:
    given().when(PUT).then(upserted())


def test_putting_the_same_again_changes_nothing_and_starves_no_interval() -> None:
    given(upserted(), now=NOW + MINUTE).when(replace(PUT, text_of=1)).then_nothing()
    same = replace(PUT, definition=EVERY, text_of=1)
    given(upserted(anchored(60)), now=NOW + MINUTE).when(same).then_nothing()


def test_another_text_is_a_change() -> None:
    given(upserted(), now=NOW + MINUTE).when(replace(PUT, input="other")).then(replace(upserted(), input="other"))


def test_a_change_that_leaves_the_trigger_alone_loses_no_slot_that_is_due() -> None:
    patient = replace(HOURLY, overlap_policy="allow-all")
    past = (upserted(), replace(upserted(), definition=patient))
    given(upserted(), now=NOW + HOUR + 5).when(replace(PUT, definition=patient)).then(past[1])
    given(*past, now=NOW + HOUR + 5).when(tick(NOW + HOUR + 5)).then(started(NOW + HOUR))


def test_a_changed_interval_begins_anew_and_says_what_was_not_run() -> None:
    change = replace(PUT, definition=replace(EVERY, catch_up="none"))
    now = NOW + 2 * HOUR + 5
    given(upserted(anchored(60)), now=now).when(change).then(
        missed(NOW + HOUR, NOW + 2 * HOUR, 2, "superseded"),
        upserted(replace(anchored(60, now), catch_up="none"), after=now),
    )


def test_an_interval_has_its_first_slot_after_one_interval_or_at_once() -> None:
    given().when(replace(PUT, definition=EVERY)).then(upserted(anchored(60)))
    given().when(replace(PUT, definition=EVERY, start_now=True)).then(upserted(anchored(60), after=NOW - 1))
    given(upserted(anchored(60)), now=NOW + 59 * MINUTE).when(tick(NOW + 59 * MINUTE)).then_nothing()
    given(upserted(anchored(60)), now=NOW + HOUR).when(tick(NOW + HOUR)).then(started(NOW + HOUR))
    given(upserted(anchored(60), after=NOW - 1)).when(tick(NOW)).then(started(NOW))


def test_starting_now_twice_before_anything_started_starts_once() -> None:
    again = replace(PUT, definition=EVERY, start_now=True, text_of=1)
    given(upserted(anchored(60), after=NOW - 1), now=NOW + 5).when(again).then_nothing()


def test_starting_now_twice_with_a_run_between_starts_twice() -> None:
    again = replace(PUT, definition=EVERY, start_now=True, text_of=1)
    past = (upserted(anchored(60), after=NOW - 1), started(NOW))
    given(*past, now=NOW + 5).when(again).then(upserted(anchored(60, NOW + 5), after=NOW + 4))


def test_an_interval_that_starts_later_has_its_first_slot_then() -> None:
    later = replace(EVERY, trigger=replace(EVERY.trigger, start_at_ms=NOW + 90 * MINUTE))
    (put,) = given().when(replace(PUT, definition=later)).then_types(schedule.ScheduleUpserted)
    given(put, now=NOW + 90 * MINUTE).when(tick(NOW + 90 * MINUTE)).then(started(NOW + 90 * MINUTE))


@pytest.mark.parametrize(
    ("trigger", "field"),
    [
        (Trigger(cron="0 0 30 2 *", timezone="UTC"), "cron"),
        (Trigger(run_at_ms=NOW), "runAt"),
        (Trigger(every_minutes=1, end_at_ms=NOW), "endAt"),
    ],
)
def test_a_trigger_that_never_runs_is_refused(trigger: Trigger, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        given().when(replace(PUT, definition=replace(HOURLY, trigger=trigger))).decision()


def test_a_time_that_has_passed_may_be_put_again_as_it_was() -> None:
    once = replace(HOURLY, trigger=Trigger(run_at_ms=NOW + HOUR))
    past = (upserted(once), started(NOW + HOUR))
    change = replace(PUT, definition=replace(once, pause_on_failure=True))
    given(*past, now=NOW + DAY).when(change).then_types(schedule.ScheduleUpserted)


def test_the_number_of_schedules_is_limited() -> None:
    full = replace(PUT, others=schedule.SCHEDULES_MAX)
    with pytest.raises(ConfigError, match="id: "):
        given().when(full).decision()
    given(upserted()).when(replace(full, input="other")).then_types(schedule.ScheduleUpserted)


def test_a_schedule_is_put_paused_and_resumed_by_putting() -> None:
    paused = schedule.SchedulePaused(id="a", cause="requested", note="why")
    given().when(replace(PUT, paused=True, note="why")).then(upserted(), paused)
    given(upserted(), paused).when(replace(PUT, paused=True, text_of=1)).then_nothing()
    given(upserted(), paused).when(replace(PUT, text_of=1)).then_nothing()
    resume = replace(PUT, paused=False, text_of=1)
    given(upserted(), paused, now=NOW + HOUR).when(resume).then(
        missed(NOW + HOUR, NOW + HOUR, 1, "paused"), schedule.ScheduleResumed(id="a")
    )


def test_waiting_slots_are_dropped_when_the_schedule_is_disabled_or_its_bounds_move() -> None:
    past = (upserted(replace(HOURLY, overlap_policy="buffer-all")), started(NOW + HOUR), buffered(NOW + 2 * HOUR))
    off = replace(PUT, definition=replace(HOURLY, overlap_policy="buffer-all"), enabled=False)
    first, second = given(*past, now=NOW + 2 * HOUR).when(off).decision()
    assert first == skipped(NOW + 2 * HOUR, "disabled")
    assert isinstance(second, schedule.ScheduleUpserted)
    early = replace(HOURLY, trigger=replace(HOURLY.trigger, start_at_ms=NOW + 4 * HOUR))
    first, second = given(*past, now=NOW + 2 * HOUR).when(replace(PUT, definition=early)).decision()
    assert first == skipped(NOW + 2 * HOUR, "outside-start-end")


# Enabling, disabling, removing


def test_enabling_begins_anew_once() -> None:
    off = upserted(anchored(60), enabled=False)
    now = NOW + 90 * MINUTE
    on = schedule.ScheduleEnabled(id="a", updated=True, anchor_ms=now, after_ms=now)
    given(off, now=now).when(schedule.EnableSchedule(id="a")).then(on)
    given(off, on, now=now).when(schedule.EnableSchedule(id="a")).then_nothing()
    given(off, on, now=now + 59 * MINUTE).when(tick(now + 59 * MINUTE)).then_nothing()
    given(off, on, now=now + HOUR).when(tick(now + HOUR)).then(started(now + HOUR))


def test_disabling_says_what_was_due_once() -> None:
    off = schedule.ScheduleDisabled(id="a", updated=True)
    disable = schedule.DisableSchedule(id="a")
    given(upserted(), now=NOW + HOUR).when(disable).then(missed(NOW + HOUR, NOW + HOUR, 1, "disabled"), off)
    given(upserted(), off).when(disable).then_nothing()
    given(upserted(), off, now=NOW + DAY).when(tick(NOW + DAY)).then_nothing()


def test_removing_ends_it_and_its_runs_go_on() -> None:
    gone = schedule.ScheduleRemoved(id="a", removed=True)
    past = (upserted(), started(NOW + HOUR))
    given(*past, now=NOW + HOUR).when(schedule.RemoveSchedule(id="a")).then(gone)
    finish = schedule.FinishScheduledRun(target_run_id=started(None).target_run_id, outcome="ok")
    end = schedule.ScheduleRunCompleted(id="a", target_run_id=finish.target_run_id, slot_ms=NOW + HOUR)
    given(*past, gone).when(finish).then(end)


def test_a_removed_schedule_that_is_put_again_repeats_no_slot() -> None:
    past = (upserted(), started(NOW + HOUR), schedule.ScheduleRemoved(id="a", removed=True))
    (put,) = given(*past, now=NOW + 5).when(PUT).decision()  # the clock went back
    assert put == upserted(after=NOW + HOUR)
    ended = schedule.ScheduleRunCompleted(id="a", target_run_id=started(None).target_run_id)
    given(*past, put, ended, now=NOW + HOUR).when(tick(NOW + HOUR)).then_nothing()


def test_a_command_for_an_unknown_schedule_is_recorded_as_not_done() -> None:
    given().when(schedule.RemoveSchedule(id="x")).then(schedule.ScheduleRemoved(id="x", removed=False))
    given().when(schedule.EnableSchedule(id="x")).then(schedule.ScheduleEnabled(id="x", updated=False))
    given().when(schedule.DisableSchedule(id="x")).then(schedule.ScheduleDisabled(id="x", updated=False))


def test_an_unknown_one_is_not_run_paused_or_resumed() -> None:
    for command in (
        schedule.RunSchedule(id="x", target_run_id=RUN_ID),
        schedule.PauseSchedule(id="x"),
        schedule.ResumeSchedule(id="x"),
    ):
        given().when(command).then_rejected(NotFound, "no schedule 'x' exists")


# Pausing


def test_slots_of_a_pause_are_one_gap_at_its_end() -> None:
    paused = schedule.SchedulePaused(id="a", cause="requested", note="holidays")
    given(upserted()).when(schedule.PauseSchedule(id="a", note="holidays")).then(paused)
    given(upserted(), paused).when(schedule.PauseSchedule(id="a", note="again")).then_nothing()
    given(upserted(), paused, now=NOW + 3 * HOUR).when(tick(NOW + 3 * HOUR)).then_nothing()
    given(upserted(), paused, now=NOW + 3 * HOUR).when(schedule.ResumeSchedule(id="a", note="back")).then(
        missed(NOW + HOUR, NOW + 3 * HOUR, 3, "paused"), schedule.ScheduleResumed(id="a", note="back")
    )
    given(upserted()).when(schedule.ResumeSchedule(id="a")).then_nothing()


FAILED = schedule.FinishScheduledRun(
    target_run_id=started(None).target_run_id, outcome="failed", code="PROVIDER_ERROR", message="no"
)


def failed(slot: int | None, reason: str | None = None) -> schedule.ScheduleRunFailed:
    return schedule.ScheduleRunFailed(
        id="a",
        target_run_id=FAILED.target_run_id,
        code="PROVIDER_ERROR",
        error_text="no",
        slot_ms=slot,
        reason=reason,  # type: ignore[arg-type]
    )


def test_a_failure_pauses_where_that_was_asked_for() -> None:
    careful = upserted(replace(HOURLY, pause_on_failure=True))
    slot = NOW + HOUR
    given(upserted(), started(slot)).when(FAILED).then(failed(slot))
    given(careful, started(slot)).when(FAILED).then(
        failed(slot),
        schedule.SchedulePaused(id="a", cause="failure", target_run_id=FAILED.target_run_id),
    )


def test_a_refusal_a_cancel_and_a_run_by_hand_pause_nothing() -> None:
    careful = upserted(replace(HOURLY, pause_on_failure=True))
    slot = NOW + HOUR
    given(careful, started(slot)).when(replace(FAILED, outcome="policy-rejected")).then(failed(slot, "policy-rejected"))
    given(careful, started(slot)).when(replace(FAILED, outcome="cancelled")).then(failed(slot, "cancelled"))
    given(careful, started(None)).when(FAILED).then(
        failed(None), schedule.ScheduleRunTriggered(id="a", status="failed")
    )


# Running by hand


def test_a_run_by_hand_asks_neither_whether_it_is_enabled_nor_the_clock() -> None:
    paused = schedule.SchedulePaused(id="a", cause="requested")
    for past in ((upserted(),), (upserted(enabled=False),), (upserted(), paused)):
        given(*past).when(schedule.RunSchedule(id="a", target_run_id=RUN_ID)).then(started(None))
    done = schedule.FinishScheduledRun(target_run_id=started(None).target_run_id, outcome="ok")
    given(upserted(), started(None)).when(done).then(
        schedule.ScheduleRunCompleted(id="a", target_run_id=done.target_run_id),
        schedule.ScheduleRunTriggered(id="a", status="ok"),
    )


def test_a_run_by_hand_beside_another_is_refused_unless_all_are_allowed() -> None:
    busy = schedule.ScheduleRunTriggered(id="a", status="already-running")
    given(upserted(), started(None, 7)).when(schedule.RunSchedule(id="a", target_run_id=RUN_ID)).then(busy)
    lax = upserted(replace(HOURLY, overlap_policy="allow-all"))
    given(lax, started(None, 7)).when(schedule.RunSchedule(id="a", target_run_id=RUN_ID)).then(started(None))


def test_a_run_ends_once() -> None:
    done = schedule.ScheduleRunCompleted(id="a", target_run_id=FAILED.target_run_id, slot_ms=NOW)
    given(upserted(), started(NOW), done).when(FAILED).then_nothing()
    given(upserted()).when(FAILED).then_nothing()


# Ticking


def test_a_slot_fires_once() -> None:
    given(upserted(), now=NOW + HOUR).when(tick(NOW + HOUR)).then(started(NOW + HOUR))
    ended = schedule.ScheduleRunCompleted(id="a", target_run_id=started(None).target_run_id)
    past = (upserted(), started(NOW + HOUR), ended)
    given(*past, now=NOW + HOUR).when(tick(NOW + HOUR)).then_nothing()
    given(*past, now=NOW - HOUR).when(tick(NOW - HOUR)).then_nothing()
    given(*past, now=NOW + HOUR + 1).when(tick(NOW + HOUR + 1)).then_nothing()


@pytest.mark.parametrize(
    ("catch_up", "window", "late", "events"),
    [
        ("none", 86_400, 0, (missed(NOW + HOUR, NOW + 2 * HOUR, 2, "catchup-none"), started(NOW + 3 * HOUR))),
        ("none", 86_400, 60_001, (missed(NOW + HOUR, NOW + 3 * HOUR, 3, "catchup-window-exceeded"),)),
        ("latest", 600, 600_000, (missed(NOW + HOUR, NOW + 2 * HOUR, 2, "catchup-latest"), started(NOW + 3 * HOUR))),
        ("latest", 600, 600_001, (missed(NOW + HOUR, NOW + 3 * HOUR, 3, "catchup-window-exceeded"),)),
        ("all", 86_400, 0, (started(NOW + HOUR),)),
        ("all", 5_400, 0, (missed(NOW + HOUR, NOW + HOUR, 1, "catchup-window-exceeded"), started(NOW + 2 * HOUR))),
        ("all", 7_200, 0, (started(NOW + HOUR),)),
        ("all", 7_200, 1, (missed(NOW + HOUR, NOW + HOUR, 1, "catchup-window-exceeded"), started(NOW + 2 * HOUR))),
        ("all", 600, 600_001, (missed(NOW + HOUR, NOW + 3 * HOUR, 3, "catchup-window-exceeded"),)),
    ],
)
def test_after_an_outage(catch_up: CatchUp, window: int, late: int, events: tuple[Event, ...]) -> None:
    definition = replace(HOURLY, catch_up=catch_up, catch_up_window_seconds=window)
    now = NOW + 3 * HOUR + late
    given(upserted(definition), now=now).when(tick(now)).then(*events)


@pytest.mark.parametrize(
    ("catch_up", "window", "halted", "events"),
    [
        ("latest", 86_400, (0, 9), (missed(NOW + HOUR, NOW + 5 * HOUR, 5, "halted"), started(NOW + 6 * HOUR))),
        ("none", 86_400, (0, 9), (missed(NOW + HOUR, NOW + 5 * HOUR, 5, "halted"), started(NOW + 6 * HOUR))),
        ("all", 86_400, (0, 9), (started(NOW + HOUR),)),
        (
            "latest",
            86_400,
            (2, 3),
            (
                missed(NOW + HOUR, NOW + HOUR, 1, "catchup-latest"),
                missed(NOW + 2 * HOUR, NOW + 3 * HOUR, 2, "halted"),
                missed(NOW + 4 * HOUR, NOW + 5 * HOUR, 2, "catchup-latest"),
                started(NOW + 6 * HOUR),
            ),
        ),
        (
            "all",
            7_200,
            (2, 9),
            (
                missed(NOW + HOUR, NOW + HOUR, 1, "catchup-window-exceeded"),
                missed(NOW + 2 * HOUR, NOW + 3 * HOUR, 2, "halted"),
                started(NOW + 4 * HOUR),
            ),
        ),
        ("latest", 86_400, (-9, 0), (missed(NOW + HOUR, NOW + 5 * HOUR, 5, "catchup-latest"), started(NOW + 6 * HOUR))),
    ],
)
def test_after_a_halt(catch_up: CatchUp, window: int, halted: tuple[int, int], events: tuple[Event, ...]) -> None:
    definition = replace(HOURLY, catch_up=catch_up, catch_up_window_seconds=window)
    began, lifted = halted
    now = NOW + 6 * HOUR
    command = replace(tick(now), halted=(NOW + began * HOUR, NOW + lifted * HOUR))
    given(upserted(definition), now=now).when(command).then(*events)


RUNNING = started(NOW + HOUR, 8)
BUSY = (RUNNING.target_run_id,)


@pytest.mark.parametrize(
    ("policy", "waiting", "events"),
    [
        ("skip", (), (skipped(NOW + 3 * HOUR, "overlap-skip"),)),
        ("buffer-one", (), (buffered(NOW + 3 * HOUR),)),
        ("buffer-one", (NOW + 2 * HOUR,), (skipped(NOW + 3 * HOUR, "buffer-full"),)),
        ("buffer-all", (NOW + 2 * HOUR,), (buffered(NOW + 3 * HOUR),)),
        ("buffer-latest", (NOW + 2 * HOUR,), (skipped(NOW + 2 * HOUR, "buffer-full"), buffered(NOW + 3 * HOUR))),
        ("cancel-other", (), (buffered(NOW + 3 * HOUR, BUSY),)),
        ("cancel-other", (NOW + 2 * HOUR,), (skipped(NOW + 2 * HOUR, "buffer-full"), buffered(NOW + 3 * HOUR, BUSY))),
        ("terminate-other", (), (started(NOW + 3 * HOUR, 1, BUSY),)),
        ("allow-all", (), (started(NOW + 3 * HOUR),)),
    ],
)
def test_a_slot_that_meets_a_run_in_flight(
    policy: OverlapPolicy, waiting: tuple[int, ...], events: tuple[Event, ...]
) -> None:
    before: list[Event] = [buffered(slot) for slot in waiting]
    before = before or [skipped(NOW + 2 * HOUR, "overlap-skip")]
    past = (upserted(replace(HOURLY, overlap_policy=policy)), RUNNING, *before)
    given(*past, now=NOW + 3 * HOUR).when(tick(NOW + 3 * HOUR)).then(*events)


def test_waiting_slots_run_in_order_when_the_run_in_flight_ends() -> None:
    waiting = (buffered(NOW + 2 * HOUR), buffered(NOW + 3 * HOUR))
    past = (upserted(replace(HOURLY, overlap_policy="buffer-all")), RUNNING, *waiting)
    given(*past, now=NOW + 3 * HOUR).when(tick(NOW + 3 * HOUR)).then_nothing()
    ended = schedule.ScheduleRunCompleted(id="a", target_run_id=RUNNING.target_run_id)
    given(*past, ended, now=NOW + 3 * HOUR).when(tick(NOW + 3 * HOUR)).then(started(NOW + 2 * HOUR))


@pytest.mark.parametrize("policy", ["buffer-all", "allow-all", "terminate-other"])
def test_even_the_generous_policies_have_limits(policy: OverlapPolicy) -> None:
    many: list[Event] = [upserted(replace(HOURLY, overlap_policy=policy))]
    last = NOW
    for number in range(schedule.RUNS_IN_FLIGHT_MAX if policy != "buffer-all" else schedule.BUFFERED_SLOTS_MAX + 1):
        last = NOW + (number + 1) * HOUR
        first = policy != "buffer-all" or number == 0
        many.append(started(last, number + 2) if first else buffered(last))
    reason: SlotSkipReason = "buffer-full" if policy == "buffer-all" else "overlap-skip"
    given(*many, now=last + HOUR).when(tick(last + HOUR)).then(skipped(last + HOUR, reason))


def test_a_tick_in_the_future_brings_the_next_slot_early_and_only_that() -> None:
    given(upserted()).when(tick(NOW + DAY)).then(started(NOW + HOUR))
    ended = schedule.ScheduleRunCompleted(id="a", target_run_id=started(None).target_run_id)
    past = (upserted(), started(NOW + HOUR), ended)
    given(*past, now=NOW + HOUR).when(tick(NOW + HOUR)).then_nothing()
    given(upserted()).when(tick(NOW + HOUR - 1)).then_nothing()


def test_a_tick_in_the_past_sees_what_was_due_then() -> None:
    given(upserted(), now=NOW + 3 * HOUR).when(tick(NOW + HOUR)).then(started(NOW + HOUR))


def test_jitter_delays_a_slot_and_does_not_make_it_late() -> None:
    definition = replace(HOURLY, catch_up="none", trigger=replace(HOURLY.trigger, jitter_seconds=1_800))
    due = due_at(definition.trigger, "a", NOW + HOUR)
    assert due > NOW + HOUR + 60_000  # else this test proves nothing
    given(upserted(definition), now=due - 1).when(tick(due - 1)).then_nothing()
    given(upserted(definition), now=due).when(tick(due)).then(started(NOW + HOUR))
    assert schedule.next_due(given(upserted(definition)).state) == due


def test_when_a_tick_will_next_have_something_to_do() -> None:
    paused = schedule.SchedulePaused(id="a", cause="requested")
    assert schedule.next_due(given(upserted()).state) == NOW + HOUR
    assert schedule.next_due(given(upserted(), started(NOW + HOUR)).state) == NOW + 2 * HOUR
    assert schedule.next_due(given(upserted(), buffered(NOW + HOUR)).state) == 0
    for past in ((), (upserted(), paused), (upserted(enabled=False),)):
        assert schedule.next_due(given(*past).state) is None


# Guards and states


def test_guards_name_what_exists_the_slot_that_ran_last_and_the_runs_in_flight() -> None:
    assert schedule.DECIDER.guards(recorded(upserted())) == (Guard(kind="schedule", key="a", value=(5,)),)
    flight = Guard(kind="scheduled", key=RUN_ID, value=("a",))
    assert schedule.DECIDER.guards(recorded(started(NOW))) == (flight, Guard(kind="fired", key="a", value=(NOW,)))
    assert schedule.DECIDER.guards(recorded(started(None))) == (flight,)
    done = schedule.ScheduleRunCompleted(id="a", target_run_id=RUN_ID)
    assert schedule.DECIDER.guards(recorded(done)) == (Guard(kind="scheduled", key=RUN_ID, value=None),)
    released = schedule.DECIDER.guards(recorded(schedule.ScheduleRemoved(id="a", removed=True)))
    assert released == (Guard(kind="schedule", key="a", value=None), Guard(kind="fired", key="a", value=None))
    assert schedule.DECIDER.guards(recorded(schedule.ScheduleRemoved(id="a", removed=False))) == ()


def test_states_never_hold_text() -> None:
    paused = schedule.SchedulePaused(id="a", cause="requested", note="a secret")
    state = given(replace(upserted(), input="a secret", params={"k": "a secret"}), paused).state
    assert "a secret" not in str(state)


def test_a_schedule_has_a_stream_of_its_own() -> None:
    assert schedule.stream("a") == "schedule:a"


@settings(deadline=None)
@given_random(st.lists(st.one_of([made(kind) for kind in schedule.DECIDER.events]), max_size=12))
def test_folding_never_raises_and_never_looks_back(events: list[Event]) -> None:
    state = schedule.DECIDER.initial
    cursor = 0
    for event in events:
        cursor = max(cursor, state.cursor_ms)
        state = schedule.evolve(state, event)
        assert state.cursor_ms >= cursor


# Any clock

TRIGGERS = (
    Trigger(every_minutes=45),
    Trigger(every_minutes=7, jitter_seconds=120),
    Trigger(cron="*/20 * * * *", timezone="UTC"),
    Trigger(cron="0 */2 * * *", timezone="UTC", jitter_seconds=3_600),
)
STEPS = {"*/20 * * * *": 20 * MINUTE, "0 */2 * * *": 120 * MINUTE}
JUMPS = (-2 * HOUR, -1, 0, HOUR, 3 * DAY)


def plainly(trigger: Trigger, after: int, until: int) -> list[int]:
    """Return the slots between two moments, counted from the anchor."""
    step = trigger.every_minutes * MINUTE if trigger.every_minutes else STEPS[trigger.cron or ""]
    slot = trigger.anchor_ms
    if slot <= after:
        slot += ((after - slot) // step + 1) * step
    return list(range(slot, until + 1, step))


class Slots(RuleBasedStateMachine):
    """A schedule under a clock that jumps, with a record of the fate of each slot."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.ids = CountingIds()
        self.state = schedule.DECIDER.initial
        self.fate: dict[int, str] = {}
        self.fired: list[int] = []
        self.open: tuple[Trigger, int] | None = None  # the trigger whose slots need a fate, and the moment from which
        self.seen = 0  # the last look at the open trigger

    def do(self, command: schedule.ScheduleCommand) -> tuple[Event, ...]:
        if isinstance(command, schedule.RunSchedule | schedule.TickSchedule):
            command = replace(command, target_run_id=self.ids.new("run"))
        context = Context(now=self.now, ids=self.ids, meta=Meta(actor="alice", correlation="trace"))
        events = schedule.decide(command, self.state, context)
        for event in events:
            self.keep(event)
            self.state = schedule.evolve(self.state, event)
        return events

    def keep(self, event: Event) -> None:
        """Check that each slot has one fate and belongs to the trigger in force."""
        match event:
            case schedule.ScheduleRunStarted(slot_ms=int(slot)):
                assert not self.fired or slot > self.fired[-1], "a slot ran twice, or after a later one"
                self.fired.append(slot)
                self.settle([slot], "fired")
            case schedule.ScheduleRunBuffered():
                self.settle([event.slot_ms], "buffered")
            case schedule.ScheduleRunSkipped():
                self.settle([event.slot_ms], event.reason)
            case schedule.ScheduleSlotsMissed():
                assert self.open is not None
                between = plainly(self.open[0], max(self.open[1], event.from_ms - 1), event.to_ms)
                assert between[0] == event.from_ms
                assert between[-1] == event.to_ms
                assert len(between) == event.count
                self.settle(between, event.reason)

    def settle(self, slots: Iterable[int], fate: str) -> None:
        for slot in slots:
            before = self.fate.get(slot)
            assert before is None or before == "buffered", f"{slot} was {before} and is {fate}"
            if before is None:
                assert self.open is not None
                assert plainly(self.open[0], slot - 1, slot) == [slot], "no slot of the trigger in force"
                assert slot > self.open[1]
            self.fate[slot] = fate

    def all_explained(self, until: int, *, due: bool) -> None:
        """Check that each slot that was due has a fate."""
        if self.open is None:
            return
        trigger, after = self.open
        for slot in plainly(trigger, after, until):
            if not due or due_at(trigger, "a", slot) <= until:
                assert slot in self.fate, f"{slot} is not explained"

    def begin(self) -> None:
        """Note that another trigger is in force, or that it began anew."""
        assert self.state.definition is not None
        self.open = (self.state.definition.trigger, self.state.cursor_ms) if self.state.enabled else None

    def put(self, definition: ScheduleDefinition, *, enabled: bool | None, start_now: bool) -> None:
        start_now = start_now and definition.trigger.every_minutes is not None
        put = schedule.UpsertSchedule(id="a", definition=definition, enabled=enabled, start_now=start_now)
        self.do(put)
        assert not self.do(replace(put, text_of=self.state.revision)), "the same again is a change"

    @initialize(index=st.integers(0, 3), policy=st.sampled_from(POLICIES), catch_up=st.sampled_from(CATCH_UPS))
    def create(self, index: int, policy: OverlapPolicy, catch_up: CatchUp) -> None:
        definition = replace(HOURLY, trigger=TRIGGERS[index], overlap_policy=policy, catch_up=catch_up)
        self.put(definition, enabled=None, start_now=False)
        self.begin()

    @rule(jump=st.integers(0, 180).map(lambda minutes: minutes * MINUTE + 17) | st.sampled_from(JUMPS))
    def time_passes_or_jumps(self, jump: int) -> None:
        self.now += jump

    @rule()
    def tick_until_nothing_follows(self) -> None:
        for _ in range(2_000):
            if not self.do(tick(self.now)):
                break
        else:
            raise AssertionError("ticks never come to an end")
        if self.state.live:
            self.all_explained(self.now, due=True)

    @rule()
    def tick_once(self) -> None:
        self.do(tick(self.now))

    @rule(ahead=st.integers(1, 300))
    def tick_in_the_future(self, ahead: int) -> None:
        starts = [e for e in self.do(tick(self.now + ahead * MINUTE)) if isinstance(e, schedule.ScheduleRunStarted)]
        assert len(starts) <= 1

    @rule(
        index=st.integers(0, 3),
        policy=st.sampled_from(POLICIES),
        catch_up=st.sampled_from(CATCH_UPS),
        enabled=st.sampled_from([None, None, True, False]),
        start_now=st.booleans(),
        window=st.sampled_from([60, 7_200, 31_536_000]),
    )
    def put_another(
        self, index: int, policy: OverlapPolicy, catch_up: CatchUp, enabled: bool | None, start_now: bool, window: int
    ) -> None:
        definition = replace(
            HOURLY,
            trigger=TRIGGERS[index],
            overlap_policy=policy,
            catch_up=catch_up,
            catch_up_window_seconds=window,
            pause_on_failure=window == 60,
        )
        was, before = self.state.enabled, self.state.definition
        self.put(definition, enabled=enabled, start_now=start_now)
        after = self.state.definition
        assert after is not None
        if before is None or before.trigger != after.trigger or was != self.state.enabled:
            self.all_explained(self.now - start_now, due=False)
            self.begin()

    @rule(does=st.sampled_from(["disable", "enable", "remove", "pause", "resume", "resume", "run"]))
    @precondition(lambda self: self.state.definition is not None)
    def somebody(self, does: str) -> None:
        enabled, paused = self.state.enabled, self.state.paused
        command: dict[str, schedule.ScheduleCommand] = {
            "disable": schedule.DisableSchedule(id="a"),
            "enable": schedule.EnableSchedule(id="a"),
            "remove": schedule.RemoveSchedule(id="a"),
            "pause": schedule.PauseSchedule(id="a"),
            "resume": schedule.ResumeSchedule(id="a"),
            "run": schedule.RunSchedule(id="a", target_run_id=RUN_ID),
        }
        self.do(command[does])
        if does in {"disable", "remove"} or does == "resume" and paused:
            self.all_explained(self.now, due=False)
        if does in {"disable", "remove"}:
            self.open = None
        if does == "enable" and not enabled:
            self.begin()

    @rule(outcome=st.sampled_from(["ok", "failed", "cancelled"]), data=st.data())
    @precondition(lambda self: bool(self.state.running))
    def a_run_ends(self, outcome: schedule.ScheduledOutcome, data: st.DataObject) -> None:
        flight = data.draw(st.sampled_from(self.state.running))
        finish = schedule.FinishScheduledRun(target_run_id=flight.target_run_id, outcome=outcome, code="X", message="x")
        assert self.do(finish)
        assert not self.do(finish)

    @invariant()
    def what_waits_is_what_the_book_says(self) -> None:
        assert list(self.state.buffer) == sorted(slot for slot, fate in self.fate.items() if fate == "buffered")
        assert self.state.cursor_ms >= max(self.fate, default=0)

    @invariant()
    def limits_hold(self) -> None:
        assert len(self.state.buffer) <= schedule.BUFFERED_SLOTS_MAX
        assert len(self.state.running) <= schedule.RUNS_IN_FLIGHT_MAX


TestSlots = pytest.mark.heavy(Slots.TestCase)
TestSlots.settings = settings(
    deadline=None, max_examples=sized(150, 300, 10_000), stateful_step_count=sized(30, 50, 100)
)
