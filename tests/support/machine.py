"""A machine whose clocks tests set by hand."""

from athena_core.clock import SystemClock

MINUTE, HOUR, DAY, YEAR = 60_000, 3_600_000, 86_400_000, 31_536_000_000
START = 1_767_225_600_000
"""2026-01-01T00:00:00Z"""


class Machine:
    """Wall clock and boot clock of a machine, in milliseconds; ``clock`` is the clock of a process on it."""

    def __init__(self, wall: int = START) -> None:
        self.wall, self.boot = wall, 5_000_000
        self.clock = self.process()

    def process(self) -> SystemClock:
        """Return the clock of a process that starts now."""
        return SystemClock(lambda: self.wall, lambda: self.boot)

    def go(self, milliseconds: int) -> int:
        """Let time pass, including suspended time. Return the time that the clock shows."""
        self.wall += milliseconds
        self.boot += milliseconds
        return self.clock.now()

    def jump(self, milliseconds: int) -> int:
        """Set the wall clock. Return the time that the clock shows."""
        self.wall += milliseconds
        return self.clock.now()

    def still(self) -> SystemClock:
        """Return the clock of a process whose monotonic seconds also pass only when the test lets them."""
        return StillClock(lambda: self.wall, lambda: self.boot)


class StillClock(SystemClock):
    """A clock that takes its monotonic seconds from the boot clock."""

    def monotonic(self) -> float:
        """Seconds since the machine started."""
        return self.elapsed()
