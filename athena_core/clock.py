"""Time and ids: the only place that reads a clock or draws random bytes."""

import functools
import os
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as ULIDs use it
TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(?P<offset>Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PAIRS = [high + low for high in ALPHABET for low in ALPHABET]


class Clock(Protocol):
    """A source of time."""

    def now(self) -> int:
        """Milliseconds since 1970 UTC; may jump."""

    def monotonic(self) -> float:
        """Seconds that never go back."""


class Ids(Protocol):
    """A source of ids and random bytes."""

    def new(self, prefix: str) -> str:
        """A new id, ``<prefix>_<ULID>``."""

    def trace(self) -> str:
        """A new trace id (32 hex digits with dashes, as UUIDs are written)."""

    def salt(self, size: int) -> bytes:
        """Random bytes."""

    def fraction(self) -> float:
        """A random number from 0 up to 1, for jitter."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


class FixedClock:
    """A clock for tests: it stands still until told to move."""

    def __init__(self, now: int = 1_767_225_600_000) -> None:
        """Start at ``now`` (default: 2026-01-01T00:00:00Z)."""
        self.time = now

    def now(self) -> int:
        """The time that was set."""
        return self.time

    def monotonic(self) -> float:
        """The time that was set, in seconds."""
        return self.time / 1000

    def advance(self, milliseconds: int) -> None:
        """Move on."""
        self.time += milliseconds


class SystemIds:
    """ULIDs of this machine's clock and random source."""

    def new(self, prefix: str) -> str:
        """``<prefix>_`` and 26 base-32 digits: 48 bits of milliseconds, 80 random bits."""
        number = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
        return prefix + "_" + "".join([PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])

    def trace(self) -> str:
        """A version 4 UUID."""
        raw = bytearray(os.urandom(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        digits = raw.hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def salt(self, size: int) -> bytes:
        """Random bytes from the operating system."""
        return os.urandom(size)

    def fraction(self) -> float:
        """53 random bits below 1."""
        return (int.from_bytes(os.urandom(7), "big") >> 3) / 2**53


class CountingIds:
    """Ids for tests: ``run_00000000000000000000000001`` and so on."""

    def __init__(self) -> None:
        """Start at 1."""
        self.count = 0

    def new(self, prefix: str) -> str:
        """The next id."""
        self.count += 1
        return f"{prefix}_{self.count:026d}"

    def trace(self) -> str:
        """The next trace id."""
        self.count += 1
        return f"00000000-0000-4000-8000-{self.count:012d}"

    def salt(self, size: int) -> bytes:
        """The counter, padded."""
        self.count += 1
        return self.count.to_bytes(size, "big")

    def fraction(self) -> float:
        """Always the middle."""
        return 0.5


def iso(milliseconds: int) -> str:
    """ISO-8601 UTC with milliseconds and ``Z`` (contract 5)."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@functools.lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    parts = time.gmtime(seconds)
    return (
        f"{parts.tm_year:04d}-{parts.tm_mon:02d}-{parts.tm_mday:02d}"
        f"T{parts.tm_hour:02d}:{parts.tm_min:02d}:{parts.tm_sec:02d}"
    )


def milliseconds(text: str, *, absolute: bool = False) -> int:
    """The inverse of ``iso`` for any ISO-8601 date or time; without an offset it is UTC. Raises ValueError.

    With ``absolute`` a text without an offset is refused too.
    """
    match = TIME.fullmatch(text)
    if match is None or absolute and match["offset"] is None:
        raise ValueError("no time in ISO-8601")
    moment = datetime.fromisoformat(text.upper())
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(milliseconds=1)
