"""Slots: the instants at which a trigger is due, as pure functions on integer milliseconds since 1970 UTC.

A slot is its nominal time and never depends on when somebody looks. Jitter moves only the moment at which a slot may
run, the same way each time, and never to the next slot or beyond.
"""

import hashlib
from collections.abc import Iterator
from itertools import islice

from athena_core.clock import iso
from athena_core.definitions.cron import cron_of
from athena_core.definitions.trigger import INSTANT_MAX, Trigger
from athena_core.errors import ConfigError

PREVIEW_SLOTS_MAX = 500
SLOT_YEARS_MAX = 10
SECOND = 1_000
MINUTE = 60_000
AHEAD = SLOT_YEARS_MAX * 31_557_600_000


def check_ahead(trigger: Trigger, after: int) -> None:
    """Refuse a trigger without a slot in the ten years after a moment. Raises ConfigError for the field to blame."""
    slot = next_slot(trigger, after)
    if slot is not None and slot <= after + AHEAD:
        return
    if trigger.run_at_ms is not None and trigger.run_at_ms <= after:
        raise ConfigError.of("runAt", f"{iso(trigger.run_at_ms)} has passed", "a time in the future")
    if trigger.end_at_ms is not None and trigger.end_at_ms <= after:
        raise ConfigError.of("endAt", f"{iso(trigger.end_at_ms)} has passed", "a time in the future")
    bare = Trigger(
        every_minutes=trigger.every_minutes,
        anchor_ms=trigger.anchor_ms,
        cron=trigger.cron,
        timezone=trigger.timezone,
        run_at_ms=trigger.run_at_ms,
    )
    first = next_slot(bare, after)
    if first is None or first > after + AHEAD:
        field = "runAt" if trigger.cron is None else "cron"
        raise ConfigError.of(field, f"never comes within {SLOT_YEARS_MAX} years", "a date that the calendar has")
    field = "startAt" if trigger.end_at_ms is None else "endAt"
    raise ConfigError.of(field, f"no slot within {SLOT_YEARS_MAX} years lies between startAt and endAt", "a wider span")


def next_slot(trigger: Trigger, after: int) -> int | None:
    """The first slot after a moment, looking ten years ahead of it (of the start, where that is later)."""
    begin = max(after, (trigger.start_at_ms or 0) - 1, trigger.anchor_ms - 1)
    return next(_walk(trigger, after, begin + AHEAD), None)


def slots_between(trigger: Trigger, after: int, until: int, limit: int) -> list[int]:
    """The first ``limit`` slots after one moment and up to another."""
    return list(islice(_walk(trigger, after, until), limit))


def last_slot(trigger: Trigger, after: int, until: int) -> int | None:
    """The last slot after one moment and up to another."""
    span = 60 * MINUTE
    while True:  # twice as far back each time: little is walked however dense or sparse the slots are
        begin = max(after, until - span)
        last = None
        for slot in _walk(trigger, begin, until):
            last = slot
        if last is not None or begin <= after or span > AHEAD:
            return last
        span *= 2


def count_slots(trigger: Trigger, after: int, until: int) -> int:
    """How many slots there are after one moment and up to another."""
    after, until = _within(trigger, after, until)
    if until <= after:
        return 0
    if trigger.cron is not None:
        return cron_of(trigger.cron, trigger.timezone or "UTC").count(after // SECOND, until // SECOND)
    if trigger.every_minutes is not None:
        step = trigger.every_minutes * MINUTE
        return max(0, (until - trigger.anchor_ms) // step - max(-1, (after - trigger.anchor_ms) // step))
    return sum(1 for _ in _walk(trigger, after, until))


def due_at(trigger: Trigger, key: str, slot: int) -> int:
    """When a slot may run: at once, or later by a jitter that follows from ``key`` and the slot."""
    if not trigger.jitter_seconds:
        return slot
    most = trigger.jitter_seconds * SECOND
    following = next(_walk(trigger, slot, slot + most), None)
    if following is not None:
        most = following - slot - 1
    digest = hashlib.sha256(f"{key}\0{slot}".encode()).digest()
    return slot + int.from_bytes(digest[:8], "big") % (most + 1)


def _within(trigger: Trigger, after: int, until: int) -> tuple[int, int]:
    start = 0 if trigger.start_at_ms is None else trigger.start_at_ms
    end = INSTANT_MAX if trigger.end_at_ms is None else trigger.end_at_ms
    return max(after, start - 1), min(until, end, INSTANT_MAX)


def _walk(trigger: Trigger, after: int, until: int) -> Iterator[int]:
    """The slots after one moment and up to another, ascending."""
    after, until = _within(trigger, after, until)
    if until <= after:
        return
    if trigger.cron is not None:
        cron = cron_of(trigger.cron, trigger.timezone or "UTC")
        for second in cron.walk(after // SECOND, until // SECOND):
            yield second * SECOND
    elif trigger.every_minutes is not None:
        step = trigger.every_minutes * MINUTE
        first = trigger.anchor_ms + max(0, (after - trigger.anchor_ms) // step + 1) * step
        yield from range(first, until + 1, step)
    elif trigger.run_at_ms is not None and after < trigger.run_at_ms <= until:
        yield trigger.run_at_ms
