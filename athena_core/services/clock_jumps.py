"""Jumps of the machine's clock: an operator accepts one for every process on the log."""

from collections.abc import Sequence
from typing import Annotated

from athena_core.clock import Clock, iso
from athena_core.decider import Key, Outcome, facts_of
from athena_core.domain import plane
from athena_core.event import Meta, Value, says
from athena_core.log.submission import Committed
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row


class AcceptedClock(Value):
    """The machine's time, and how many milliseconds it was ahead of the server's (0: in step)."""

    clock: Annotated[str, says("Time of the machine.")]
    ahead_ms: int


class ClockJumps:
    """Accepts the machine's clock on request, in every process that reads the request in the log."""

    def __init__(self, log: Log, tail: Tail, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        tail.subscribe(self._on_rows, frozenset((plane.ClockAccepted.TYPE,)))

    def _on_rows(self, rows: Sequence[Row]) -> None:
        for row in rows:
            event = self._log.codec.decode(row, text=False).event
            if isinstance(event, plane.ClockAccepted):
                self._clock.accept(event.clock_ms)

    async def accept(self, meta: Meta, key: Key | None) -> Committed[AcceptedClock]:
        """Record that the machine's clock is right, and use it from now on."""
        now, ahead = self._clock.now(), self._clock.ahead
        event = plane.ClockAccepted(clock_ms=now + ahead, ahead_ms=ahead)
        answer = AcceptedClock(clock=iso(event.clock_ms), ahead_ms=ahead)
        outcome = Outcome(facts=facts_of(plane.STREAM, (event,)), answer=answer)
        committed = await self._log.submit(lambda reader, context: outcome, meta, key, answers=AcceptedClock)
        if not committed.replayed:
            self._clock.accept(event.clock_ms)
        return committed
