"""Slots: the instants at which a trigger is due, as pure functions on integer milliseconds since 1970 UTC.

A slot is its nominal time, independent of when it is computed. Jitter only delays when a slot may run, always by the
same amount and never until the next slot.
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
YEAR_MS = 366 * 24 * 60 * MINUTE
AHEAD = SLOT_YEARS_MAX * 31_557_600_000


def check_ahead(trigger: Trigger, after: int) -> None:
    """Raise ConfigError if a trigger has no slot in the ten years after a moment."""
    slot = next_slot(trigger, after)
    if slot is not None and slot <= after + AHEAD:
        return
    if trigger.run_at_ms is not None and trigger.run_at_ms <= after:
        raise ConfigError.of("runAt", f"{iso(trigger.run_at_ms)} has passed", "use a time in the future")
    if trigger.end_at_ms is not None and trigger.end_at_ms <= after:
        raise ConfigError.of("endAt", f"{iso(trigger.end_at_ms)} has passed", "use a time in the future")
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
        raise ConfigError.of(field, f"has no slot within {SLOT_YEARS_MAX} years", "use a date that exists")
    field = "startAt" if trigger.end_at_ms is None else "endAt"
    raise ConfigError.of(
        field, f"no slot within {SLOT_YEARS_MAX} years lies between startAt and endAt", "use a longer interval"
    )


def check_distance(trigger: Trigger, after: int, minutes_min: int) -> None:
    """Raise ConfigError if slots of the following year are less than ``minutes_min`` apart."""
    slots = slots_between(trigger, after, after + YEAR_MS, PREVIEW_SLOTS_MAX) if minutes_min > 1 else []
    if any(later - slot < minutes_min * MINUTE for slot, later in zip(slots, slots[1:], strict=False)):
        field = "everyMinutes" if trigger.every_minutes is not None else "cron"
        raise ConfigError.of(field, "is due more often than this server allows", f"{minutes_min} minutes apart or more")


def next_slot(trigger: Trigger, after: int) -> int | None:
    """Return the first slot after a moment, within ten years of it or, if later, of the trigger's start."""
    begin = max(after, (trigger.start_at_ms or 0) - 1, trigger.anchor_ms - 1)
    return next(_walk(trigger, after, begin + AHEAD), None)


def slots_between(trigger: Trigger, after: int, until: int, limit: int) -> list[int]:
    """Return the first ``limit`` slots with ``after < slot <= until``."""
    return list(islice(_walk(trigger, after, until), limit))


def last_slot(trigger: Trigger, after: int, until: int) -> int | None:
    """Return the last slot with ``after < slot <= until``."""
    span = 60 * MINUTE
    while True:  # search twice as far back each time: few slots are walked, whether they are dense or sparse
        begin = max(after, until - span)
        last = None
        for slot in _walk(trigger, begin, until):
            last = slot
        if last is not None or begin <= after or span > AHEAD:
            return last
        span *= 2


def count_slots(trigger: Trigger, after: int, until: int) -> int:
    """Return the number of slots with ``after < slot <= until``."""
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
    """Return when a slot may run: at its time plus a jitter derived from ``key`` and the slot."""
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
    """Yield the slots with ``after < slot <= until``, ascending."""
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
