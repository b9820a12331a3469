"""The watch: checks for problems that writes do not reveal."""

from contextlib import closing, suppress

from athena_core.clock import Clock
from athena_core.errors import ClockJumped, StoreMoved
from athena_core.log.key_clock import LOOK_SECONDS, KeyClock
from athena_core.log.port import Store
from athena_core.system.problems import Problems

JUMPED = (
    "the machine's clock jumped {seconds} s ahead. Until this is resolved, events use elapsed time. If the clock is"
    " right, run 'athena clock accept', or wait until it is stable for ten minutes. If it is wrong, set it back."
)


class StoreWatch:
    """Checks the place of the database and the clocks. For one thread, other than the writer's."""

    def __init__(self, store: Store, clock: Clock, key_clock: KeyClock, problems: Problems) -> None:
        """Report failures to ``problems``."""
        self._store = store
        self._clock = clock
        self._key_clock = key_clock
        self._problems = problems
        self._keys_checked_at: float | None = None

    def check(self) -> None:
        """Run all checks once and report failures. Raise StoreMoved if the database was moved or replaced."""
        try:
            self._store.check_place()
            self._check_keys()
        except StoreMoved:
            raise
        except Exception as error:
            self._problems.report("log.keeper", error)
        else:
            self._problems.recovered("log.keeper")
        try:
            self._check_clock()
        except Exception as error:
            self._problems.report("log.clock", error)
        else:
            self._problems.recovered("log.clock")

    def _check_keys(self) -> None:
        """Read the key clock once a minute if other machines may set it."""
        now = self._clock.monotonic()
        if self._store.remote and (self._keys_checked_at is None or now - self._keys_checked_at >= LOOK_SECONDS):
            self._keys_checked_at = now
            with suppress(*self._store.lost), closing(self._store.reader()) as reader:  # the writer reports these
                self._key_clock.look(reader.key_stamp())

    def _check_clock(self) -> None:
        """Raise ClockJumped while a jump of the machine's clock is not accepted, even if nothing is written."""
        self._clock.now()
        ahead = self._clock.ahead
        if ahead:
            raise ClockJumped(JUMPED.format(seconds=ahead // 1000))
