"""Cron expressions and time zones: the instants that match, as integer seconds since 1970 UTC.

This module follows Debian's cron. Day of the month and day of the week are alternatives if both are
restricted; a field that starts with ``*`` is not restricted. If the minute or the hour starts with ``*``, the
expression follows real time: it runs whenever the wall clock shows a matching time. Otherwise each matching time
runs once a day: the first time if the wall clock goes back, and right after the gap if it jumps ahead.

Zones come from the ``tzdata`` package, not from the machine, so that a schedule means the same everywhere. This
module reads no clock; zone files are constants that are read once.
"""

import functools
import io
import pkgutil
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from athena_core.errors import ConfigError

CRON_CHARS_MAX = 256
CRON_CACHED_MAX = 4_096
ZONE_YEARS_CACHED_MAX = 16_384

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
TERM = re.compile(r"(\*|([A-Z]{3}|[0-9]{1,2})(-([A-Z]{3}|[0-9]{1,2}))?)(/([0-9]{1,2}))?", re.ASCII)

DAY = 86_400
HOUR = 3_600
YEAR_LAST = 9_990  # the search ends here; dates end at 9999
EPOCH_DAY = date(1970, 1, 1).toordinal()


class Field:
    """One of the five fields of an expression, with its range and the names of its values."""

    def __init__(self, name: str, first: int, last: int, names: tuple[str, ...] = (), names_from: int = 0) -> None:
        """Take the range of values. The first of ``names`` is the value ``names_from``."""
        self.name = name
        self.first = first
        self.last = last
        self.names = {text: names_from + index for index, text in enumerate(names)}

    def wrong(self, reason: str, remedy: str | None = None) -> ConfigError:
        """Return the error about this field."""
        wants = f"{self.first}-{self.last}, or a list, range or step of these" + (
            f", or {next(iter(self.names))} and so on" if self.names else ""
        )
        return ConfigError.of("cron", f"the {self.name} {reason}", remedy or wants)

    def values(self, text: str) -> frozenset[int]:
        """Return the values that a list of terms matches. Raise ConfigError."""
        found: set[int] = set()
        for term in text.split(","):
            match = TERM.fullmatch(term)
            if match is None:
                raise self.wrong(f"cannot be {term!r}" if term else "has an empty term")
            every, start, end, step = match[1] == "*", match[2], match[4], match[6]
            low = self.first if every else self._value(start)
            high = self.last if every or (step and not end) else self._value(end or start)
            if high < low:
                raise self.wrong(f"has the range {term}, whose end is before its start")
            if step and not 1 <= int(step) <= self.last - self.first + 1:
                raise self.wrong(
                    f"has the step {step}", "use a step within the range, or everyMinutes for other intervals"
                )
            found.update(range(low, high + 1, int(step or 1)))
        return frozenset(found)

    def _value(self, text: str) -> int:
        value = self.names.get(text, -1) if text.isalpha() else int(text)
        if not self.first <= value <= self.last:
            raise self.wrong(f"cannot be {text}")
        return value


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, MONTHS, 1),
    Field("day of the week", 0, 7, WEEKDAYS),
)


class Cron:
    """A parsed cron expression in a time zone."""

    def __init__(self, expression: str, timezone: str) -> None:
        """Parse an expression. Raise ConfigError. Prefer ``cron_of``, which caches."""
        self.zone = timezone
        zone(timezone)
        texts = _fields(expression)
        minutes, hours, days, months, weekdays = (field.values(text) for field, text in zip(FIELDS, texts, strict=True))
        self._minutes = tuple(sorted(minutes))
        self._hours = tuple(sorted(hours))
        self._months = months
        self._follows_real_time = texts[0].startswith("*") or texts[1].startswith("*")
        self._alternatives = not texts[2].startswith("*") and not texts[4].startswith("*")
        self._days = sum(1 << day for day in days)
        wanted = {(weekday - 1) % 7 for weekday in weekdays}  # Monday is 0, as in datetime; cron's Sunday is 0 or 7
        self._weekdays = (
            tuple(  # indexed by the weekday of the first of a month: the days that fall on a wanted weekday
                sum(1 << day for day in range(1, 32) if (first + day - 1) % 7 in wanted) for first in range(7)
            )
        )

    def walk(self, after: int, until: int) -> Iterator[int]:
        """Yield the instants with ``after < instant <= until``, ascending and unique."""
        reached: int | None = None  # all fixed times up to this wall time have run
        last = after
        for start, end, offset in segments(self.zone, after, until + 1):
            low = start + offset if self._follows_real_time or reached is None else reached
            high = end + offset
            reached = high if reached is None else max(reached, high)
            if start <= after:
                low = max(low, after + 1 + offset)
            for wall in self._walls(low, high):
                instant = max(wall - offset, start)  # a skipped wall time runs right after the gap
                if instant > last:
                    last = instant
                    yield instant

    def count(self, after: int, until: int) -> int:
        """Return the number of instants that ``walk`` yields, computed from the calendar where possible."""
        total = 0
        for start, end, offset in segments(self.zone, after, until + 1):
            if end <= after:
                continue
            # Around a change of the offset each instant is walked; the whole days between are counted.
            low = max(start, after + 1)
            first = (low + offset) // DAY + 2
            beyond = (end + offset) // DAY
            if beyond <= first:
                total += sum(1 for _ in self.walk(low - 1, end - 1))
                continue
            total += sum(1 for _ in self.walk(low - 1, first * DAY - offset - 1))
            total += self._days_between(first, beyond) * len(self._minutes) * len(self._hours)
            total += sum(1 for _ in self.walk(beyond * DAY - offset - 1, end - 1))
        return total

    def _walls(self, low: int, high: int) -> Iterator[int]:
        """Yield the matching wall times with ``low <= wall < high``, in seconds since 1970 on the wall clock."""
        if low >= high:
            return
        for day in self._dates(low // DAY, (high - 1) // DAY):
            for hour in self._hours:
                base = day * DAY + hour * HOUR
                if base + HOUR <= low:
                    continue
                if base >= high:
                    return
                for minute in self._minutes:
                    wall = base + minute * 60
                    if low <= wall < high:
                        yield wall

    def _dates(self, first: int, last: int) -> Iterator[int]:
        """Yield the matching days from ``first`` to ``last``, counted from 1970 on the wall clock."""
        for start, bits in self._month_days(first, last):
            for day in range(1, 32):
                if bits >> day & 1 and first <= start + day <= last:
                    yield start + day

    def _days_between(self, first: int, beyond: int) -> int:
        """Return the number of matching days with ``first <= day < beyond``."""
        total = 0
        for start, bits in self._month_days(first, beyond - 1):
            inside = bits
            if start + 1 < first:
                inside &= -1 << (first - start)
            if start + 31 >= beyond:
                inside &= (1 << (beyond - start)) - 1
            total += inside.bit_count()
        return total

    def _month_days(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield months with matching days: the day before the month starts, and a bit for each matching day."""
        begin = date.fromordinal(EPOCH_DAY + first)
        year, month = begin.year, begin.month
        opening = date(year, month, 1)
        while (start := opening.toordinal() - EPOCH_DAY) <= last and year < YEAR_LAST:
            weekdays = self._weekdays[opening.weekday()]
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
            following = date(year, month, 1)
            if opening.month in self._months:
                length = following.toordinal() - opening.toordinal()
                bits = self._days | weekdays if self._alternatives else self._days & weekdays
                bits &= (2 << length) - 1
                if bits:
                    yield start - 1, bits
            opening = following


@functools.lru_cache(maxsize=CRON_CACHED_MAX)
def cron_of(expression: str, timezone: str) -> Cron:
    """Return the parsed expression, cached. Raise ConfigError for field ``cron`` or ``timezone``."""
    return Cron(expression, timezone)


def _fields(expression: str) -> list[str]:
    if len(expression) > CRON_CHARS_MAX:
        raise ConfigError.of("cron", f"has {len(expression)} characters", f"use at most {CRON_CHARS_MAX} characters")
    text = expression.strip(" \t")
    if text.startswith("@"):
        if text.lower() not in MACROS:
            raise ConfigError.of("cron", f"{text!r} is not a macro", "use one of " + ", ".join(MACROS))
        text = MACROS[text.lower()]
    texts = re.split(r"[ \t]+", text.upper()) if text.isascii() else []
    if len(texts) != len(FIELDS):
        names = ", ".join(field.name for field in FIELDS)
        raise ConfigError.of(
            "cron", f"{expression!r} does not have five fields", f"use {names}; or a macro like @daily"
        )
    return texts


# Zones


@functools.cache
def zone_names() -> frozenset[str]:
    """Return the names of the IANA database, in their original spelling."""
    return frozenset((pkgutil.get_data("tzdata", "zones") or b"").decode().split())


@functools.cache
def zone(name: str) -> ZoneInfo:
    """Return a zone of the IANA database. Raise ConfigError. Only a listed name becomes part of a path."""
    if name not in zone_names():
        spelled = [known for known in zone_names() if known.casefold() == name.casefold()]
        remedy = f"use {spelled[0]}" if spelled else "use a name of the IANA database, such as Europe/Berlin"
        raise ConfigError.of("timezone", f"{name[:64]!r} is not a time zone", remedy)
    return ZoneInfo.from_file(io.BytesIO(pkgutil.get_data("tzdata", f"zoneinfo/{name}") or b""), key=name)


def segments(name: str, after: int, until: int) -> Iterator[tuple[int, int, int]]:
    """Yield intervals of constant offset (start, end, offset) up to ``until``, from two days before ``after``.

    The two days show what the wall clock had reached before it went back. No zone goes back further.
    """
    start = after - 2 * DAY
    offset = _offset(zone(name), start)
    for year in range(_year(start), min(_year(until), YEAR_LAST) + 1):
        for instant, following in _changes(name, year):
            if start < instant < until:
                yield start, instant, offset
                start, offset = instant, following
    if start < until:
        yield start, until, offset


@functools.lru_cache(maxsize=ZONE_YEARS_CACHED_MAX)
def _changes(name: str, year: int) -> tuple[tuple[int, int], ...]:
    """Return the changes of the offset in a UTC year, as (instant, offset). Assumes at most one change a day."""
    info = zone(name)
    start = (date(year, 1, 1).toordinal() - EPOCH_DAY) * DAY
    end = (date(year + 1, 1, 1).toordinal() - EPOCH_DAY) * DAY
    found = []
    offset = _offset(info, start)
    for instant in range(start, end, DAY):
        following = _offset(info, instant + DAY)
        if following != offset:
            low, high = instant, instant + DAY  # invariant: old offset at low, new offset at high
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if _offset(info, middle) == following else (middle, high)
            found.append((high, following))
            offset = following
    return tuple(found)


def _offset(info: ZoneInfo, instant: int) -> int:
    """Return the zone's offset from UTC at an instant, in seconds."""
    difference = datetime.fromtimestamp(instant, info).utcoffset()
    return 0 if difference is None else difference.days * DAY + difference.seconds


def _year(instant: int) -> int:
    return datetime.fromtimestamp(instant, UTC).year
