"""The reactor of schedules: starts due slots, and records the ends of their runs."""

from collections.abc import Iterable, Mapping, Sequence

from athena_core.clock import Clock
from athena_core.domain import schedule
from athena_core.log.port import StoreReader
from athena_core.protocols import Row
from athena_core.services.reactors import NOW
from athena_core.services.schedules.due_schedules import ENDING_TYPES, PREFIX, runs_in_flight, schedule_ids
from athena_core.services.schedules.schedules import Schedules


class ScheduleTimer:
    """Starts due slots, and records the ends of their runs.

    Without ``ticking``, time alone starts nothing: with the scheduler off, and in commands that work alone.
    """

    name = "schedules"
    types = ENDING_TYPES | {event.TYPE for event in schedule.DECIDER.events}

    def __init__(self, schedules: Schedules, clock: Clock) -> None:
        self._schedules = schedules
        self._clock = clock
        self._flights: dict[str, str] = {}
        self.ticking = False

    def open(self, reader: StoreReader) -> Mapping[str, int]:
        """Return all schedules, and removed ones with a run in flight."""
        flights = runs_in_flight(reader)
        self._flights.update(flights)  # some may have been added meanwhile
        return dict.fromkeys((*schedule_ids(reader), *flights.values()), NOW)

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

    async def act(self, key: str) -> int | None:
        """Record ended runs, then start due slots. Return when the next slot is due."""
        await self._schedules.bring_back(key)
        if not self.ticking:
            return None
        await self._schedules.advance(key, self._clock.now())
        return self._schedules.due.of(key)
