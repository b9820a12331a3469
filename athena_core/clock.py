"""Time and ids: the only place that reads a clock or draws random bytes.

Three clocks. The wall clock may be set at any moment. The boot clock counts since the machine started, also while it
is suspended; deadlines and the judgement on the wall clock use it. The monotonic clock stands during a suspend; it
measures for how long this process could have looked at something.
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
BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS has only the second, which counts a suspend too

JUMP_MS = 300_000
"""How far the wall clock may be from its line before that is a jump."""

STEP_MS = 600_000
"""For how long the wall clock keeps step before another line is accepted."""


class Clock(Protocol):
    """A source of time."""

    def now(self) -> int:
        """Milliseconds since 1970 UTC; may go back, and leaves out jumps ahead that are not accepted."""

    def monotonic(self) -> float:
        """Seconds that never go back; a suspend does not count."""

    def elapsed(self) -> float:
        """Seconds that never go back; a suspend counts."""

    boot_id: str
    """The machine, and its start, that ``elapsed`` counts from."""

    @property
    def ahead(self) -> int:
        """Milliseconds that the machine's clock is ahead of ``now``, because of a jump that is not accepted."""

    def accept(self, wall: int) -> None:
        """Accept the machine's clock, if it is within five minutes of ``wall`` (milliseconds since 1970 UTC)."""


def wall_ms() -> int:
    """Milliseconds since 1970 UTC, as the machine has them."""
    return time.time_ns() // 1_000_000


def boot_id() -> str:
    """Return an id of this machine since it started; of the machine alone where it has none (macOS)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


def boot_ms() -> int:
    """Milliseconds since the machine started, with suspends."""
    return time.clock_gettime_ns(BOOT) // 1_000_000


class WallOffset(NamedTuple):
    """Another course of the wall clock: wall clock less boot clock, and since when (boot clock), in milliseconds."""

    offset: int
    since: int


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
    """The machine's clock, without unaccepted jumps ahead. Safe from any thread.

    The wall clock follows a line: the boot clock plus an offset, which is taken as it is found at the start. More than
    five minutes ahead of the line is a jump: time goes on along the line. Behind the line the wall clock is used as it
    is. Either way the line moves there once the wall clock has kept step for ten minutes, or is accepted.
    """

    def __init__(self, wall: Callable[[], int] = wall_ms, boot: Callable[[], int] = boot_ms) -> None:
        """Accept the clock as it is; ``wall`` and ``boot`` give milliseconds."""
        self._wall = wall
        self._boot = boot
        self.boot_id = boot_id()
        self._lock = threading.Lock()
        self._line = self._offset()[0]
        self._other: WallOffset | None = None

    def now(self) -> int:
        """Milliseconds since 1970 UTC."""
        boot = self._boot()  # first: a process that is stopped between the two sees no jump below five minutes
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
        """Wall clock less boot clock, and the boot clock, read so close together that a stop between them is seen."""
        while True:
            before, wall, boot = self._boot(), self._wall(), self._boot()
            if boot - before < 1_000:
                return wall - boot, boot

    def monotonic(self) -> float:
        """Seconds that never go back; a suspend does not count."""
        return time.monotonic()

    def elapsed(self) -> float:
        """Seconds since the machine started, with suspends."""
        return self._boot() / 1_000

    @property
    def ahead(self) -> int:
        """Milliseconds of a jump that is not accepted."""
        other = self._other
        return 0 if other is None else max(other.offset - self._line, 0)

    def accept(self, wall: int) -> None:
        """Accept the machine's clock, if it is within five minutes of ``wall``."""
        with self._lock:
            offset, boot = self._offset()
            if -JUMP_MS <= offset + boot - wall <= JUMP_MS:
                self._line, self._other = offset, None


class FixedClock:
    """A clock for tests: it stands still until told to move."""

    def __init__(self, now: int = 1_767_225_600_000) -> None:
        """Start at ``now`` (default: 2026-01-01T00:00:00Z)."""
        self.time = now
        self.boot_id = "fixed"

    def now(self) -> int:
        """The time that was set."""
        return self.time

    def monotonic(self) -> float:
        """The time that was set, in seconds."""
        return self.time / 1000

    def elapsed(self) -> float:
        """The time that was set, in seconds."""
        return self.time / 1000

    @property
    def ahead(self) -> int:
        """Whatever is set is accepted."""
        return 0

    def accept(self, wall: int) -> None:
        """Whatever is set is accepted."""

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


def iso_or_none(milliseconds: int | None) -> str | None:
    """ISO-8601 UTC of a moment, if there is one."""
    return None if milliseconds is None else iso(milliseconds)


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
