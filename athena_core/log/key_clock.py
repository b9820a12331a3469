"""The clock of idempotency keys: real time that has passed for a log, whatever date any server believes.

A key binds for a number of hours. Dates cannot measure them, because the date of a server may be wrong by a year. The
boot clocks of machines can. The log stores one stamp: its time, the boot of the machine that wrote it, and the boot
clock there. A process under the same boot reads the time from the stamp exactly, also after a restart of the process.
Others count from their first look at the stamp: on another machine, after a reboot, or where a log was moved to.

The time runs no faster than real time, but for ``SLACK_MS``. Time that no process on the log could measure is left out.
A key then binds for longer, never for less.
"""

from typing import NamedTuple

import msgspec

from athena_core.clock import Clock
from athena_core.event import Value

SLACK_MS = 600_000
"""How stale a stamp may be, and how long ago the last look of a process, before that time is not counted."""

KEPT_MS = 3_600_000
"""For how long after its hours a key still binds: more than all slack together."""

LOOK_SECONDS = 60.0
"""The interval at which a process reads the stamp, which other machines may write."""


class KeyClockStamp(Value):
    """Time of a log, with the boot of the machine that wrote it and the boot clock there, in milliseconds."""

    time: int
    boot_id: str
    boot: int


class SeenStamp(NamedTuple):
    """A stamp, and when this process saw it first and last, by its boot clock in milliseconds."""

    stamp: KeyClockStamp
    first: int
    last: int


_decode = msgspec.json.Decoder(KeyClockStamp).decode


def _stamp_of(stored: str | None) -> KeyClockStamp | None:
    """Return the stored stamp; None where there is none, or it is damaged, so that the next one is stored."""
    try:
        return None if stored is None else _decode(stored)
    except msgspec.MsgspecError:
        return None


class KeyClock:
    """The clock of a log's keys as one process reads it."""

    def __init__(self, clock: Clock) -> None:
        """Take the clock of the process."""
        self._clock = clock
        self._seen: SeenStamp | None = None

    def look(self, stored: str | None, newest: int = 0) -> int:
        """Return the time, in milliseconds, by the stored stamp.

        A log without a stamp (of release 0.1) is at the date, or at the time of its newest key if that is later.
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
        else:  # it was written since the last look, perhaps by a process that knew less than this one
            passed = seen.stamp.time + min(boot - seen.last, SLACK_MS) - stamp.time
        return stamp.time + max(passed, 0)

    def stamp(self, stored: str | None, time: int, *, binds: bool) -> str | None:
        """Return the stamp to store with a commit, or None to keep the stored one.

        A process that ``binds`` a key stores one if the last is another machine's: others must see that it was there.
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
