"""Time and ids: the only module that reads a clock or draws random bytes.

The wall clock may be set at any moment. The boot clock counts since the machine started, including suspends; it is
used for deadlines and to detect jumps of the wall clock. The monotonic clock excludes suspends; it measures how long
this process could have observed something.
"""

import functools
import os
import platform
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as ULIDs use it
DIGITS = bytes(ord(ALPHABET[byte & 31]) for byte in range(256))
"""The base-32 digit of each random byte: five of its bits."""

VARIANT = "89ab"
BLOCK_BYTES = 16
POOL_BYTES = 4_096
TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(?P<offset>Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)
FRACTIONS = tuple(f".{rest:03d}Z" for rest in range(1000))
"""The end of a formatted time, by milliseconds. A table, because every record in an answer has several times."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # on macOS CLOCK_MONOTONIC includes suspends

JUMP_MS = 300_000
"""A larger distance of the wall clock from its expected course is a jump."""

STEP_MS = 600_000
"""Time that the wall clock has to follow a new course before the course is accepted."""


class Clock(Protocol):
    """A source of time."""

    def now(self) -> int:
        """Return milliseconds since 1970 UTC, without unaccepted jumps ahead. It may go back."""

    def monotonic(self) -> float:
        """Return seconds that never go back, excluding suspends."""

    def elapsed(self) -> float:
        """Return seconds that never go back, including suspends."""

    boot_id: str
    """An id of the machine and of its last start, from which ``elapsed`` counts."""

    @property
    def ahead(self) -> int:
        """Milliseconds that the machine's clock is ahead of ``now`` because of an unaccepted jump."""

    def accept(self, wall: int) -> None:
        """Accept the machine's clock if it is within five minutes of ``wall`` (milliseconds since 1970 UTC)."""


def wall_ms() -> int:
    """Return milliseconds since 1970 UTC by the machine's clock."""
    return time.time_ns() // 1_000_000


def boot_id() -> str:
    """Return an id of this start of the machine; where there is none (macOS), of the machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


def boot_ms() -> int:
    """Return milliseconds since the machine started, including suspends."""
    return time.clock_gettime_ns(BOOT) // 1_000_000


class WallOffset(NamedTuple):
    """A new course of the wall clock: wall minus boot clock, and its start on the boot clock, in milliseconds."""

    offset: int
    since: int


class Ids(Protocol):
    """A source of ids and random bytes."""

    def new(self, prefix: str) -> str:
        """Return a new id, ``<prefix>_<ULID>``."""

    def trace(self) -> str:
        """Return a new trace id, formatted as a UUID."""

    def salt(self, size: int) -> bytes:
        """Return random bytes."""

    def fraction(self) -> float:
        """Return a random number from 0 up to 1, for jitter."""


class SystemClock:
    """The machine's clock without unaccepted jumps ahead. Safe from any thread.

    The expected time is the boot clock plus an offset that is measured at the start. If the wall clock is more than
    five minutes ahead of it, that is a jump: ``now`` continues on the expected course. If the wall clock is behind,
    ``now`` follows it. The wall clock's new course is accepted after ten minutes, or by ``accept``.
    """

    def __init__(self, wall: Callable[[], int] = wall_ms, boot: Callable[[], int] = boot_ms) -> None:
        """Accept the clock as it is. ``wall`` and ``boot`` return milliseconds."""
        self._wall = wall
        self._boot = boot
        self.boot_id = boot_id()
        self._lock = threading.Lock()
        self._line = self._offset()[0]
        self._other: WallOffset | None = None

    def now(self) -> int:
        """Return milliseconds since 1970 UTC."""
        boot = self._boot()  # read first, so that a stop between the two reads looks like a jump of the wall clock
        wall = self._wall()
        offset = wall - boot
        if self._other is None and -JUMP_MS <= offset - self._line <= JUMP_MS:
            self._line = offset
            return wall
        with self._lock:
            return self._judged()

    def _judged(self) -> int:
        offset, boot = self._offset()
        other = self._other
        if -JUMP_MS <= offset - self._line <= JUMP_MS:
            self._line, self._other = offset, None
        elif other is None or not -JUMP_MS <= offset - other.offset <= JUMP_MS:
            self._other = WallOffset(offset, boot)
        elif boot - other.since >= STEP_MS:
            self._line, self._other = offset, None
        else:
            self._other = WallOffset(offset, other.since)
        return boot + min(offset, self._line)

    def _offset(self) -> tuple[int, int]:
        """Return wall clock minus boot clock, and the boot clock, read within a second of each other."""
        while True:
            before, wall, boot = self._boot(), self._wall(), self._boot()
            if boot - before < 1_000:
                return wall - boot, boot

    monotonic = staticmethod(time.monotonic)
    """Return seconds that never go back, excluding suspends."""

    def elapsed(self) -> float:
        """Return seconds since the machine started, including suspends."""
        return self._boot() / 1_000

    @property
    def ahead(self) -> int:
        """Milliseconds of a jump that is not accepted."""
        other = self._other
        return 0 if other is None else max(other.offset - self._line, 0)

    def accept(self, wall: int) -> None:
        """Accept the machine's clock if it is within five minutes of ``wall``."""
        with self._lock:
            offset, boot = self._offset()
            if -JUMP_MS <= offset + boot - wall <= JUMP_MS:
                self._line, self._other = offset, None


class FixedClock:
    """A clock for tests. It moves only when it is advanced."""

    def __init__(self, now: int = 1_767_225_600_000) -> None:
        """Start at ``now`` (default: 2026-01-01T00:00:00Z)."""
        self.time = now
        self.boot_id = "fixed"

    def now(self) -> int:
        """Return the time that was set."""
        return self.time

    def monotonic(self) -> float:
        """Return the time that was set, in seconds."""
        return self.time / 1000

    def elapsed(self) -> float:
        """Return the time that was set, in seconds."""
        return self.time / 1000

    @property
    def ahead(self) -> int:
        """Always 0, because every time that is set is accepted."""
        return 0

    def accept(self, wall: int) -> None:
        """Do nothing, because every time that is set is accepted."""

    def advance(self, milliseconds: int) -> None:
        self.time += milliseconds


class FixedDate(FixedClock):
    """A clock for tests of a running plane: the date is set by hand, but seconds pass as usual."""

    def monotonic(self) -> float:
        """Return seconds of the machine's clock."""
        return time.monotonic()


class SystemIds:
    """ULIDs from this machine's clock and random source. Safe from any thread.

    Random bytes are drawn in pages, because each system call also releases the interpreter lock.
    """

    def __init__(self, wall: Callable[[], int] = wall_ms) -> None:
        """Stamp ids with ``wall``, in milliseconds since 1970 UTC."""
        self._wall = wall
        self._blocks: deque[bytes] = deque()
        os.register_at_fork(after_in_child=self._blocks.clear)

    def new(self, prefix: str) -> str:
        """Return ``<prefix>_`` and 26 base-32 digits: 48 bits of milliseconds, 80 random bits."""
        return f"{prefix}_{_stamp(self._wall())}{self._block().translate(DIGITS).decode()}"

    def _block(self) -> bytes:
        """Return sixteen random bytes that no other caller gets."""
        try:
            return self._blocks.popleft()
        except IndexError:
            page = os.urandom(POOL_BYTES)
            self._blocks.extend(
                [page[start : start + BLOCK_BYTES] for start in range(BLOCK_BYTES, len(page), BLOCK_BYTES)]
            )
            return page[:BLOCK_BYTES]

    def trace(self) -> str:
        """Return a version 4 UUID."""
        raw = self._block()
        digits = raw.hex()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{VARIANT[raw[8] & 3]}{digits[17:20]}-{digits[20:]}"

    def salt(self, size: int) -> bytes:
        """Return random bytes from the operating system."""
        return self._block() if size == BLOCK_BYTES else os.urandom(size)

    def fraction(self) -> float:
        """Return 53 random bits as a number below 1."""
        return (int.from_bytes(os.urandom(7), "big") >> 3) / 2**53


class CountingIds:
    """Ids for tests: ``run_00000000000000000000000001`` and so on."""

    def __init__(self) -> None:
        self.count = 0

    def new(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count:026d}"

    def trace(self) -> str:
        """Return the next trace id."""
        self.count += 1
        return f"00000000-0000-4000-8000-{self.count:012d}"

    def salt(self, size: int) -> bytes:
        """Return the counter, padded with zero bytes."""
        self.count += 1
        return self.count.to_bytes(size, "big")

    def fraction(self) -> float:
        """Return 0.5."""
        return 0.5


@functools.lru_cache(maxsize=4)
def _stamp(milliseconds: int) -> str:
    return "".join([ALPHABET[milliseconds >> shift & 31] for shift in range(45, -1, -5)])


def ulid(milliseconds: int, rest: int) -> str:
    """Return a ULID with a time since 1970 UTC and 80 given bits."""
    return _stamp(milliseconds) + "".join([ALPHABET[rest >> shift & 31] for shift in range(75, -1, -5)])


def iso(milliseconds: int) -> str:
    """Return a time as ISO-8601 UTC with milliseconds and ``Z``."""
    return _second(milliseconds // 1000) + FRACTIONS[milliseconds % 1000]


def iso_or_none(milliseconds: int | None) -> str | None:
    """Return a time as ISO-8601 UTC; None if there is none."""
    return None if milliseconds is None else iso(milliseconds)


@functools.lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    parts = time.gmtime(seconds)
    return (
        f"{parts.tm_year:04d}-{parts.tm_mon:02d}-{parts.tm_mday:02d}"
        f"T{parts.tm_hour:02d}:{parts.tm_min:02d}:{parts.tm_sec:02d}"
    )


def milliseconds(text: str, *, absolute: bool = False) -> int:
    """Parse an ISO-8601 date or time; without an offset it is UTC. Raise ValueError.

    With ``absolute`` a text without an offset is refused, too.
    """
    match = TIME.fullmatch(text)
    if match is None or absolute and match["offset"] is None:
        raise ValueError("expected a time in ISO-8601")
    moment = datetime.fromisoformat(text.upper())
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // timedelta(milliseconds=1)
