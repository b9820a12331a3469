"""The trigger of a schedule as it is stored, with times in milliseconds since 1970 UTC."""

from typing import Annotated, TypeAlias

import msgspec

from athena_core.definitions.cron import CRON_CHARS_MAX, cron_of
from athena_core.errors import ConfigError
from athena_core.event import Value

EVERY_MINUTES_MAX = 525_600  # a year of 365 days
JITTER_SECONDS_MAX = 86_400
ZONE_CHARS_MAX = 64
INSTANT_MAX = 253_370_764_800_000  # the year 9999
InstantMs: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=INSTANT_MAX)]
"""Milliseconds since 1970 UTC."""

EveryMinutes: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=EVERY_MINUTES_MAX)]
Expression: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=CRON_CHARS_MAX)]
ZoneName: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=ZONE_CHARS_MAX)]
JitterSeconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=JITTER_SECONDS_MAX)]


class Trigger(Value):
    """The times of a schedule: exactly one of ``every_minutes``, ``cron`` with ``timezone``, and ``run_at_ms``.

    The slots of an interval are ``anchor_ms`` + k × interval, k from 0, in real time. Slots lie between ``start_at_ms``
    and ``end_at_ms``, both included.
    """

    every_minutes: EveryMinutes | None = None
    anchor_ms: InstantMs = 0
    cron: Expression | None = None
    timezone: ZoneName | None = None
    run_at_ms: InstantMs | None = None
    start_at_ms: InstantMs | None = None
    end_at_ms: InstantMs | None = None
    jitter_seconds: JitterSeconds = 0


def check_trigger(trigger: Trigger) -> None:
    """Raise ConfigError if the fields of a trigger do not fit together. The error has the field's JSON name."""
    kinds = {"everyMinutes": trigger.every_minutes, "cron": trigger.cron, "runAt": trigger.run_at_ms}
    given = [name for name, value in kinds.items() if value is not None]
    if len(given) != 1:
        reason = f"cannot be combined with {given[0]}" if given else "the schedule has no trigger"
        raise ConfigError.of(given[-1] if given else "everyMinutes", reason, f"give one of {', '.join(kinds)}")
    if trigger.cron is not None:
        cron_of(trigger.cron, trigger.timezone or "UTC")
    elif trigger.timezone is not None:
        raise ConfigError.of("timezone", "requires cron", "remove it; other times carry their offset")
    if trigger.start_at_ms is not None and trigger.end_at_ms is not None and trigger.end_at_ms < trigger.start_at_ms:
        raise ConfigError.of("endAt", "is before startAt", "use an end after the start")
