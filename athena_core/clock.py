"""Time and ids: the only place that reads a clock or draws random bytes."""

import functools
import os
import re
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Protocol

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as ULIDs use it
DIGITS = bytes(ord(ALPHABET[byte & 31]) for byte in range(256))
"""What each random byte becomes as a digit: five of its bits."""

VARIANT = "89ab"
BLOCK_BYTES = 16
POOL_BYTES = 4_096
TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(?P<offset>Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)
FRACTIONS = tuple(f".{rest:03d}Z" for rest in range(1000))
"""How a time ends, by its milliseconds: a table, because every record of every answer has several."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


class FixedDate(FixedClock):
    """The same for a plane at work: the date is what is set, and seconds pass as they do, however that moves."""

    def monotonic(self) -> float:
        """Seconds of the machine."""
        return time.monotonic()


class SystemIds:
    """ULIDs of this machine's clock and random source; safe from any thread.

    Random bytes are drawn by the page: every call of the operating system would also give the interpreter away.
    """

    def __init__(self) -> None:
        """Draw nothing yet."""
        self._blocks: deque[bytes] = deque()
        os.register_at_fork(after_in_child=self._blocks.clear)

    def new(self, prefix: str) -> str:
        """``<prefix>_`` and 26 base-32 digits: 48 bits of milliseconds, 80 random bits."""
        return f"{prefix}_{_stamp(time.time_ns() // 1_000_000)}{self._block().translate(DIGITS).decode()}"

    def _block(self) -> bytes:
        """Sixteen random bytes that nobody else gets."""
        try:
            return self._blocks.popleft()
        except IndexError:
            page = os.urandom(POOL_BYTES)
            self._blocks.extend(
                page[start : start + BLOCK_BYTES] for start in range(BLOCK_BYTES, len(page), BLOCK_BYTES)
            )
            return page[:BLOCK_BYTES]

    def trace(self) -> str:
        """A version 4 UUID."""
        raw = self._block()
        digits = raw.hex()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{VARIANT[raw[8] & 3]}{digits[17:20]}-{digits[20:]}"

    def salt(self, size: int) -> bytes:
        """Random bytes from the operating system."""
        return self._block() if size == BLOCK_BYTES else os.urandom(size)

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


@functools.lru_cache(maxsize=4)
def _stamp(milliseconds: int) -> str:
    """Ten digits of time."""
    return "".join([ALPHABET[milliseconds >> shift & 31] for shift in range(45, -1, -5)])


def iso(milliseconds: int) -> str:
    """ISO-8601 UTC with milliseconds and ``Z`` (contract 5)."""
    return _second(milliseconds // 1000) + FRACTIONS[milliseconds % 1000]


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
