"""The flood: an identity that is refused again and again is stopped before it costs a commit each time."""

import anyio

from athena_core.clock import Clock, Ids
from athena_core.decider import Context, Outcome, Reader, Transaction
from athena_core.domain import plane
from athena_core.errors import AthenaError, RateLimited
from athena_core.event import Fact, Meta
from athena_core.store.log import Log

WINDOW_SECONDS = 1.0


class Count:
    """The refusals of an identity in one operation since the first of them, within the window."""

    __slots__ = ("refusals", "since")

    def __init__(self, since: float) -> None:
        """Begin at a moment of the monotonic clock."""
        self.since = since
        self.refusals = 0


class Flood:
    """Counts refusals that were recorded; above a number a second the next requests are stopped unrecorded.

    They are counted by identity and operation, so that whoever may not start another run can still cancel one. What
    was stopped is recorded once a second, with its number; a process that is killed takes the last second with it.
    """

    def __init__(self, log: Log, clock: Clock, ids: Ids, refusals_max: int) -> None:
        """Let through ``refusals_max`` refusals a second of each identity and operation."""
        self._log = log
        self._clock = clock
        self._ids = ids
        self._refusals_max = refusals_max
        self._counts: dict[tuple[str, str], Count] = {}
        self._suppressed: dict[tuple[str, str], int] = {}

    def check(self, subject: str, operation: str) -> None:
        """Return, or raise RateLimited if this identity was refused this operation too often just now."""
        if self._counts and not self.spares(subject, operation):
            limit = f"{self._refusals_max} refusals a second"
            raise RateLimited(f"{subject} was refused {operation} more often than {limit}; nothing was tried")

    def spares(self, subject: str, operation: str) -> bool:
        """Whether one more refusal may be recorded by itself; if not, it is counted."""
        key = (subject, operation)
        count = self._counts.get(key)
        if count is None or count.refusals < self._refusals_max:
            return True
        if self._clock.monotonic() - count.since >= WINDOW_SECONDS:
            del self._counts[key]
            return True
        self.suppress(subject, operation)
        return False

    def suppress(self, subject: str, operation: str) -> None:
        """A request was stopped and is to be counted."""
        key = (subject, operation)
        self._suppressed[key] = self._suppressed.get(key, 0) + 1

    def refused(self, subject: str, operation: str) -> None:
        """A refusal was recorded."""
        now = self._clock.monotonic()
        count = self._counts.get((subject, operation))
        if count is None or now - count.since >= WINDOW_SECONDS:
            count = self._counts[subject, operation] = Count(now)
        count.refusals += 1

    async def serve(self) -> None:
        """Record once a second what was stopped, for ever."""
        while True:
            await anyio.sleep(WINDOW_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Record what was stopped, and forget what is over; what cannot be recorded now is kept for the next time."""
        now = self._clock.monotonic()
        self._counts = {key: count for key, count in self._counts.items() if now - count.since < WINDOW_SECONDS}
        for key in list(self._suppressed):
            subject, operation = key
            count = self._suppressed[key]
            event = plane.RequestsSuppressed(count=count, subject=subject, operation=operation)
            try:
                await self._log.submit(_record(event), Meta(actor=subject, correlation=self._ids.trace()))
            except AthenaError:
                return
            self._suppressed[key] -= count
            if not self._suppressed[key]:
                del self._suppressed[key]


def _record(event: plane.RequestsSuppressed) -> Transaction:
    outcome = Outcome(facts=(Fact(stream=plane.STREAM, event=event),))

    def record(reader: Reader, context: Context) -> Outcome:
        return outcome

    return record
