"""The key clock: measures the age of idempotency keys in real time, independent of the dates of servers.

A key binds for a number of hours. Dates cannot measure them, because the date of a server may be wrong by a year. Boot
clocks can. The log stores one stamp: its time, the boot id of the machine that wrote it, and the boot clock there. A
process under the same boot reads the time from the stamp exactly, even after a restart. Other processes (on another
machine, after a reboot, or after a move of the log) count from the moment they first read the stamp.

The clock never runs faster than real time, except for ``SLACK_MS``. Time that no process could measure is not counted,
so a key may bind for longer, but never for less.
"""

from typing import NamedTuple

import msgspec

from athena_core.clock import Clock
from athena_core.event import Value

SLACK_MS = 600_000
"""The maximum age of a stamp, and of a process's last read of it; longer gaps are not counted."""

KEPT_MS = 3_600_000
"""The extra time for which a key binds; longer than all slack together."""

LOOK_SECONDS = 60.0
"""The interval at which a process reads the stamp, because other machines may write it."""


class KeyClockStamp(Value):
    """The key clock's time, the boot id of the machine that wrote it, and its boot clock, in milliseconds."""

    time: int
    boot_id: str
    boot: int


class SeenStamp(NamedTuple):
    """A stamp, and the boot clock in milliseconds when this process first and last read it."""

    stamp: KeyClockStamp
    first: int
    last: int


_decode = msgspec.json.Decoder(KeyClockStamp).decode


def _stamp_of(stored: str | None) -> KeyClockStamp | None:
    """Decode the stored stamp; None if it is missing or damaged."""
    try:
        return None if stored is None else _decode(stored)
    except msgspec.MsgspecError:
        return None


class KeyClock:
    """The key clock of a log, as read by one process."""

    def __init__(self, clock: Clock) -> None:
        """Read boot times from ``clock``."""
        self._clock = clock
        self._seen: SeenStamp | None = None

    def look(self, stored: str | None, newest: int = 0) -> int:
        """Return the time in milliseconds, given the stored stamp.

        Without a stamp (release 0.1), use the date, or the time of the newest key if later.
        """
        stamp = _stamp_of(stored)
        if stamp is None:
            return max(self._clock.now(), newest)
        boot, seen = self._boot(), self._seen
        same = seen is not None and seen.stamp == stamp
        first = seen.first if seen is not None and same else boot
        self._seen = SeenStamp(stamp, first, boot)
        if stamp.boot_id == self._clock.boot_id:
            passed = boot - stamp.boot
        elif seen is None or same:
            passed = boot - first
        else:  # written since the last read, perhaps by a process that measured less time
            passed = seen.stamp.time + min(boot - seen.last, SLACK_MS) - stamp.time
        return stamp.time + max(passed, 0)

    def stamp(self, stored: str | None, time: int, *, binds: bool) -> str | None:
        """Return the stamp to store with a commit, or None to keep the stored one.

        A process that ``binds`` a key also replaces a stamp of another machine, so that others measure from here.
        """
        last = _stamp_of(stored)
        due = binds
        if last is not None:
            due = time - last.time >= SLACK_MS or (binds and last.boot_id != self._clock.boot_id)
            time = max(time, last.time)
        if not due:
            return None
        found = KeyClockStamp(time=time, boot_id=self._clock.boot_id, boot=self._boot())
        return msgspec.json.encode(found).decode()

    def _boot(self) -> int:
        return int(self._clock.elapsed() * 1_000)
