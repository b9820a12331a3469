"""The timer: wakes schedules when they are due, with APScheduler as its alarm clock.

There is one alarm, for the next due time. APScheduler knows neither schedules nor triggers nor slots: ``DueSchedules``
knows the due slots, and the log's transactions decide what follows.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import anyio
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from athena_core.clock import Clock
from athena_core.domain import schedule
from athena_core.errors import Halted
from athena_core.log.port import StoreReader
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.schedules.due_schedules import ENDING_TYPES, PREFIX, runs_in_flight, schedule_ids
from athena_core.services.schedules.schedules import Schedules
from athena_core.system.problems import Problems

LOOK_SECONDS = 1.0
"""How often the alarm is set again by our clock, because a running alarm does not follow changes of it."""

REST_MS = 20
"""The least time to the next alarm, so that it never rings without a pause."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALARM = "next"
LOOP = "schedules.alarm"


class Alarm:
    """Calls a function at a time of our clock, even if that clock or the machine's is changed."""

    def __init__(self, ring: Callable[[], None], clock: Clock, problems: Problems) -> None:
        self._ring = ring
        self._clock = clock
        self._problems = problems
        self._scheduler: AsyncIOScheduler | None = None
        self._at: int | None = None

    async def serve(self) -> None:
        """Call the function at each time that is set, until cancelled."""
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._scheduler.start()
        try:
            while True:
                self.set(self._at, again=True)
                await anyio.sleep(LOOK_SECONDS)
        finally:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    def set(self, at: int | None, *, again: bool = False) -> None:
        """Set the only alarm (milliseconds since 1970 UTC); a time in the past rings at once."""
        unchanged = at == self._at and not again
        self._at = at
        if self._scheduler is None or unchanged:
            return
        if at is None:
            if self._scheduler.get_job(ALARM) is not None:
                self._scheduler.remove_job(ALARM)
            return
        # The alarm reads the machine's clock, which differs from ours while a jump is not accepted.
        when = DateTrigger(EPOCH + timedelta(milliseconds=at + self._clock.ahead), timezone=UTC)
        self._scheduler.add_job(self._rings, when, id=ALARM, replace_existing=True, misfire_grace_time=None)

    async def _rings(self) -> None:
        due, self._at = self._at, None
        try:
            self._ring()
        except Exception as error:  # APScheduler would only log it, and the alarm would never be set again
            self._problems.report(LOOP, error)
            await anyio.sleep(LOOK_SECONDS)
            if self._at is None:
                self.set(due)
        else:
            self._problems.recovered(LOOP)


class Timer:
    """The reactor of schedules: starts due slots, and records the ends of their runs.

    Without ``ticking``, time alone starts nothing: with the scheduler off, and in commands that work alone.
    """

    name = "schedules"
    types = ENDING_TYPES | {event.TYPE for event in schedule.DECIDER.events}

    def __init__(self, log: Log, schedules: Schedules, clock: Clock) -> None:
        self._codec = log.codec
        self._schedules = schedules
        self._due = schedules.due
        self._clock = clock
        self._flights: dict[str, str] = {}
        self._alarm = Alarm(self._ring, clock, log.problems)
        self.ticking = False
        self._ask: Callable[[str], None] | None = None

    async def serve(self, ask: Callable[[str], None]) -> None:
        """Follow the clock from now on; ``ask`` makes the reactor look at a schedule if this process leads."""
        self.ticking = True
        self._ask = ask
        await self._alarm.serve()

    def open(self, reader: StoreReader) -> Iterable[str]:
        """Return all schedules, and removed ones with a run in flight."""
        flights = runs_in_flight(reader)
        self._flights.update(flights)  # some may have been added meanwhile
        return [*schedule_ids(reader), *flights.values()]

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """Return the schedules that changed, and those with a run that ended."""
        keys: list[str] = []
        for row in rows:
            if row.stream.startswith(PREFIX):
                key = row.stream[len(PREFIX) :]
                if row.type == schedule.ScheduleRunStarted.TYPE and row.run_id is not None:
                    self._flights[row.run_id] = key
                keys.append(key)
            elif row.stream in self._flights:
                keys.append(self._flights.pop(row.stream))
        return keys

    async def act(self, key: str) -> None:
        """Record ended runs, then start due slots."""
        await self._schedules.bring_back(key)
        if self.ticking:
            try:
                await self._schedules.advance(key, self._clock.now())
            except Halted:
                self._due.set_due(key, None)  # the reactors ask again once it is lifted
                raise
            finally:
                self._wind()

    def _ring(self) -> None:
        assert self._ask is not None
        for key in self._due.pop_due(self._clock.now()):
            self._ask(key)
        self._wind()

    def _wind(self) -> None:
        first = self._due.first()
        self._alarm.set(None if first is None else max(first, self._clock.now() + REST_MS))
