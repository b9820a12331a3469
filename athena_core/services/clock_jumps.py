"""The clock of the machine: a jump ahead that an operator accepts, for every process on the log."""

from collections.abc import Sequence

from athena_core.clock import Clock, iso
from athena_core.decider import Key, Outcome, facts_of
from athena_core.domain import plane
from athena_core.event import Meta, Value
from athena_core.log.submission import Committed
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row


class AcceptedClock(Value):
    """What the machine's clock said, and how many milliseconds it was ahead of the server's time (0: in step)."""

    clock: str
    ahead_ms: int


class ClockJumps:
    """Accepts the machine's clock on request, here and wherever the request is read in the log."""

    def __init__(self, log: Log, tail: Tail, clock: Clock) -> None:
        """Follow the log."""
        self._log = log
        self._clock = clock
        tail.subscribe(self._on_rows, frozenset((plane.ClockAccepted.TYPE,)))

    def _on_rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            event = self._log.codec.decode(row, text=False).event
            if isinstance(event, plane.ClockAccepted):
                self._clock.accept(event.clock_ms)

    async def accept(self, meta: Meta, key: Key | None) -> Committed[AcceptedClock]:
        """Record that the machine's clock is right, and go by it from now on."""
        now, ahead = self._clock.now(), self._clock.ahead
        event = plane.ClockAccepted(clock_ms=now + ahead, ahead_ms=ahead)
        answer = AcceptedClock(clock=iso(event.clock_ms), ahead_ms=ahead)
        outcome = Outcome(facts=facts_of(plane.STREAM, (event,)), answer=answer)
        committed = await self._log.submit(lambda reader, context: outcome, meta, key, answers=AcceptedClock)
        if not committed.replayed:
            self._clock.accept(event.clock_ms)
        return committed
