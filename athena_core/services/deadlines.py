"""Deadlines: when work is due, and the alarm that makes a timer punctual."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from athena_core.clock import wall_ms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Deadlines:
    """Deadlines by key, in milliseconds since 1970 UTC."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def set(self, key: str, at: int | None) -> None:
        """Replace the deadline of a key; None removes it."""
        if at is None:
            self._at.pop(key, None)
        elif self._at.get(key) != at:
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))

    def advance(self, key: str, at: int) -> None:
        """Set the deadline of a key unless it has an earlier one."""
        self.set(key, min(at, self._at.get(key, at)))

    def first(self) -> int | None:
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, until: float) -> list[str]:
        """Return and remove the keys with a deadline up to a time, the earliest first."""
        keys = []
        while (first := self.first()) is not None and first <= until:
            keys.append(heapq.heappop(self._heap)[1])
            del self._at[keys[-1]]
        return keys


class Alarm:
    """Wakes timers punctually, by APScheduler. A ring that is late or lost does no harm: timers look again anyway."""

    def __init__(self) -> None:
        """Start; it needs a running event loop, in which it calls: a thread or task could outlive the alarm."""
        self._scheduler = AsyncIOScheduler(timezone=UTC, executors={"default": DebugExecutor()})
        self._scheduler.start()

    def set(self, name: str, milliseconds: int, ring: Callable[[], object]) -> None:
        """Call ``ring`` once after a time, instead of an earlier call of this name."""
        when = DateTrigger(EPOCH + timedelta(milliseconds=wall_ms() + milliseconds), timezone=UTC)
        self._scheduler.add_job(ring, when, id=name, replace_existing=True, misfire_grace_time=None)

    def close(self) -> None:
        self._scheduler.shutdown(wait=False)
