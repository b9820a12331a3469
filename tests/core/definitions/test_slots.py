"""Slots: the instants of a trigger, invalid triggers, and jitter that never passes the next slot."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.clock import iso, milliseconds
from athena_core.definitions.slots import (
    AHEAD,
    MINUTE,
    PREVIEW_SLOTS_MAX,
    check_ahead,
    count_slots,
    due_at,
    last_slot,
    next_slot,
    slots_between,
)
from athena_core.definitions.trigger import INSTANT_MAX, Trigger, check_trigger
from athena_core.errors import ConfigError
from tests.scale import sized

NOW = milliseconds("2026-01-01T00:00:00Z")
HOURLY = Trigger(every_minutes=60, anchor_ms=NOW + 5)
NIGHTLY = Trigger(cron="30 2 * * *", timezone="Europe/Berlin")


def test_an_interval_follows_real_time_from_its_anchor() -> None:
    assert slots_between(HOURLY, NOW, NOW + 180 * MINUTE, 9) == [NOW + 5, NOW + 5 + 60 * MINUTE, NOW + 5 + 120 * MINUTE]
    assert next_slot(HOURLY, NOW + 5) == NOW + 5 + 60 * MINUTE
    assert next_slot(HOURLY, NOW - AHEAD) == NOW + 5


def test_a_time_comes_once() -> None:
    once = Trigger(run_at_ms=NOW)
    assert next_slot(once, NOW - 1) == NOW
    assert next_slot(once, NOW) is None
    assert count_slots(once, 0, INSTANT_MAX) == 1


def test_start_and_end_are_included() -> None:
    bounded = replace(HOURLY, start_at_ms=NOW + 5 + 60 * MINUTE, end_at_ms=NOW + 5 + 120 * MINUTE)
    assert slots_between(bounded, 0, INSTANT_MAX, 9) == [NOW + 5 + 60 * MINUTE, NOW + 5 + 120 * MINUTE]
    assert count_slots(bounded, 0, INSTANT_MAX) == 2


def test_cron_is_in_its_zone() -> None:
    assert [iso(slot) for slot in slots_between(NIGHTLY, NOW, INSTANT_MAX, 2)] == [
        "2026-01-01T01:30:00.000Z",
        "2026-01-02T01:30:00.000Z",
    ]


def test_a_slot_that_was_just_met_is_not_met_again_within_its_second() -> None:
    slot = next_slot(NIGHTLY, NOW)
    assert slot is not None
    assert next_slot(NIGHTLY, slot - 1) == slot
    assert next_slot(NIGHTLY, slot + 1) == next_slot(NIGHTLY, slot) != slot


def test_instants_more_than_ten_years_ahead_are_not_searched() -> None:
    sunday = Trigger(cron="0 0 29 2 */7", timezone="UTC")  # a Sunday that is a leap day: 2032, then 2060
    assert next_slot(sunday, NOW) == milliseconds("2032-02-29T00:00Z")
    assert next_slot(sunday, milliseconds("2032-03-01T00:00Z")) is None


@pytest.mark.parametrize(
    ("trigger", "field"),
    [
        (Trigger(), "everyMinutes"),
        (Trigger(every_minutes=1, cron="* * * * *"), "cron"),
        (Trigger(every_minutes=1, run_at_ms=NOW), "runAt"),
        (Trigger(cron="* * * *"), "cron"),
        (Trigger(cron="* * * * *", timezone="../../etc/passwd"), "timezone"),
        (Trigger(every_minutes=1, timezone="UTC"), "timezone"),
        (Trigger(every_minutes=1, start_at_ms=NOW, end_at_ms=NOW - 1), "endAt"),
    ],
)
def test_parts_that_do_not_fit_are_refused(trigger: Trigger, field: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: "):
        check_trigger(trigger)


@pytest.mark.parametrize(
    ("trigger", "field"),
    [
        (Trigger(cron="0 0 30 2 *"), "cron"),
        (Trigger(run_at_ms=NOW), "runAt"),
        (Trigger(run_at_ms=NOW + AHEAD + 1), "runAt"),
        (Trigger(every_minutes=1, end_at_ms=NOW), "endAt"),
        (Trigger(every_minutes=1, start_at_ms=NOW + AHEAD + MINUTE), "startAt"),
        (Trigger(cron="0 0 1 1 *", end_at_ms=NOW + MINUTE), "endAt"),
    ],
)
def test_an_expression_without_an_instant_within_ten_years_is_refused(trigger: Trigger, field: str) -> None:
    check_trigger(trigger)
    with pytest.raises(ConfigError, match=f"^{field}: "):
        check_ahead(trigger, NOW)


def test_an_expression_with_an_instant_within_ten_years_is_accepted() -> None:
    for trigger in (HOURLY, NIGHTLY, Trigger(run_at_ms=NOW + AHEAD), Trigger(cron="0 0 29 2 *")):
        check_trigger(trigger)
        check_ahead(trigger, NOW)


def test_a_preview_is_as_long_as_it_may_be() -> None:
    slots = slots_between(NIGHTLY, NOW, NOW + AHEAD, PREVIEW_SLOTS_MAX)
    assert len(slots) == PREVIEW_SLOTS_MAX
    assert slots == sorted(set(slots))


def test_without_jitter_a_slot_runs_at_once() -> None:
    assert due_at(HOURLY, "a", NOW + 5) == NOW + 5


def test_jitter_depends_on_schedule_and_slot_alone_and_uses_its_room() -> None:
    jittered = replace(HOURLY, jitter_seconds=600)
    slots = slots_between(jittered, NOW, INSTANT_MAX, 500)
    late = [due_at(jittered, "a", slot) - slot for slot in slots]
    assert late == [due_at(jittered, "a", slot) - slot for slot in slots]
    assert late != [due_at(jittered, "b", slot) - slot for slot in slots]
    assert 0 <= min(late) < 60_000
    assert 540_000 < max(late) <= 600_000


TRIGGERS = st.builds(
    Trigger,
    anchor_ms=st.just(NOW),
    every_minutes=st.integers(1, 10_000),
    start_at_ms=st.none() | st.integers(NOW - 10**9, NOW + 10**9),
    end_at_ms=st.none() | st.integers(NOW - 10**9, NOW + 10**10),
    jitter_seconds=st.sampled_from([0, 1, 59, 3_600, 86_400]),
) | st.builds(
    Trigger,
    cron=st.sampled_from(["* * * * *", "*/7 3 * * *", "30 2 * * *", "0 0 1 * *", "0 9 * * MON-FRI", "0 0 29 2 *"]),
    timezone=st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "America/Santiago"]),
    start_at_ms=st.none() | st.integers(NOW - 10**9, NOW + 10**9),
    jitter_seconds=st.sampled_from([0, 1, 59, 3_600, 86_400]),
)


@pytest.mark.heavy
@settings(deadline=None, max_examples=sized(80, 400, 10_000))
@given(TRIGGERS, st.integers(NOW - 10**10, NOW + 10**10), st.integers(0, 10**9))
def test_next_last_count_and_between_tell_one_story(trigger: Trigger, after: int, length: int) -> None:
    until = after + length
    slots = slots_between(trigger, after, until, 10**9)
    assert slots == sorted(set(slots))
    assert count_slots(trigger, after, until) == len(slots)
    assert last_slot(trigger, after, until) == (slots[-1] if slots else None)
    if slots:
        assert next_slot(trigger, after) == slots[0]
    for one, following in zip(slots[:20], slots[1:21], strict=False):
        assert next_slot(trigger, one) == following
        assert one <= due_at(trigger, "key", one) < following
        assert due_at(trigger, "key", one) - one <= trigger.jitter_seconds * 1_000
