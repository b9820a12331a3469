"""Values as people read them on a terminal: money, durations, ages, sizes and ids."""

import re
from datetime import UTC, datetime, tzinfo

from athena_core import text
from athena_core.text import one_line, printable

ZONE: tzinfo | None = None
"""The time zone of printed times; None is the one of this machine."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")
ULID = re.compile(r"[a-z]+[_-][0-9A-HJKMNP-TV-Z]{26}")
SHORT_CHARS = 8

COLOURS = {
    "ok": "green",
    "completed": "green",
    "passed": "green",
    "approved": "green",
    "running": "cyan",
    "queued": "yellow",
    "waiting": "yellow",
    "paused": "yellow",
    "pending": "yellow",
    "open": "yellow",
    "degraded": "yellow",
    "failed": "red",
    "crashed": "red",
    "timed-out": "red",
    "rejected": "red",
    "verification-failed": "red",
    "cancelled": "magenta",
}
"""The colours of statuses."""


def now() -> datetime:
    """Return the time of this machine."""
    from athena_core.clock import wall_ms

    return datetime.fromtimestamp(wall_ms() / 1_000, UTC)


def age(then: str, at: datetime | None = None) -> str:
    """Return how long ago a time was. A time that is ahead, for clocks differ, is 0 s ago."""
    return text.distance(min(_ahead_ms(then, at), 0))


def distance(then: str, at: datetime | None = None) -> str:
    """Return the distance of a time that may be ahead, such as a schedule's next one: in 5 min, or 2 min ago."""
    return text.distance(_ahead_ms(then, at))


def between(start: str, end: str) -> str:
    """Return the duration between two times."""
    return text.duration((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1_000)


def date_time(then: str, *, ahead: bool = False) -> str:
    """Return a time of the local time zone, with its distance."""
    return f"{local_time(then)} ({distance(then) if ahead else age(then)})"


def local_time(then: str) -> str:
    """Return a time of the local time zone."""
    return f"{datetime.fromisoformat(then).astimezone(ZONE):%Y-%m-%d %H:%M:%S %Z}"


def clock_time(then: str) -> str:
    """Return the time in the local time zone, with the day unless it is today."""
    at = datetime.fromisoformat(then).astimezone(ZONE)
    return f"{at:%H:%M:%S}" if at.date() == now().astimezone(ZONE).date() else f"{at:%Y-%m-%d %H:%M:%S}"


def _ahead_ms(then: str, at: datetime | None) -> float:
    return (datetime.fromisoformat(then) - (at or now())).total_seconds() * 1_000


def size(count: float) -> str:
    """Return a number of bytes with a unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1_000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:,.1f} TB"


def short(id: str) -> str:
    """Return the last characters of a generated id, which commands accept; any other id as it is."""
    return id[-SHORT_CHARS:] if ULID.fullmatch(id) else id


def line(words: str) -> str:
    """Return a text as one line without control characters."""
    return printable(" ".join(one_line(words).split()))


def plain(value: object) -> str:
    """Return a scalar as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
