"""Due schedules: when each schedule is due next; a cache in memory beside the log."""

from collections.abc import Sequence
from typing import NamedTuple

import anyio

from athena_core.domain import run, schedule, workflow_run
from athena_core.errors import InternalError
from athena_core.event import Event
from athena_core.log.port import StoreReader
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.runs.results import cancel_note

PREFIX = schedule.stream("")
ENDING_TYPES = run.ENDING_TYPES | workflow_run.ENDING_TYPES
"""The events that end a run of a schedule."""

READ_AT_ONCE = 50
"""Schedules that are read in one iteration of the event loop."""


class KnownSchedule(NamedTuple):
    """A schedule as read from the log: its state after ``version`` events."""

    state: schedule.ScheduleState = schedule.DECIDER.initial
    version: int = 0
    put_at: int = 0
    """The position of its last put, which has its text."""


def schedule_ids(reader: StoreReader) -> list[str]:
    """Return the existing schedules, in the order of their creation."""
    return [key for _, key, _ in reader.guards("schedule")]


def runs_in_flight(reader: StoreReader) -> dict[str, str]:
    """Return the runs in flight, with the schedule of each."""
    return {key: str(value[0]) for _, key, value in reader.guards("scheduled")}


class DueSchedules:
    """When each schedule is due next, as this process knows it; the callers keep it up to date."""

    def __init__(self, log: Log, tail: Tail) -> None:
        self._codec = log.codec
        self._reader = log.reader()
        self._tail = tail
        self._known: dict[str, KnownSchedule] = {}
        self._due: dict[str, int] = {}
        self._changed: set[str] = set()
        self._complete = False
        tail.subscribe(self._on_rows, frozenset(event.TYPE for event in schedule.DECIDER.events))

    def _on_rows(self, rows: Sequence[Row]) -> None:
        if self._complete:
            self._changed.update(row.stream[len(PREFIX) :] for row in rows if row.stream.startswith(PREFIX))

    def read(self, key: str) -> KnownSchedule:
        """Return the current state of a schedule."""
        known = self._known.get(key) or KnownSchedule()
        state, version, put_at = known
        for row in self._reader.stream(schedule.stream(key), version):
            state, version = schedule.evolve(state, self._codec.decode(row, text=False).event), row.version
            if row.type == schedule.ScheduleUpserted.TYPE:
                put_at = row.position
        if version == known.version:
            return known
        fresh = KnownSchedule(state, version, put_at)
        if state.exists or state.running:
            self._known[key] = fresh
        else:
            self._known.pop(key, None)
        self.set_due(key, schedule.next_due(state))
        return fresh

    def set_due(self, key: str, due: int | None) -> None:
        """Record when a schedule is due next."""
        if due is None:
            self._due.pop(key, None)
        else:
            self._due[key] = due

    async def refresh(self) -> None:
        """Read the schedules that changed; the first time, all of them."""
        self._tail.refresh()
        if not self._complete:
            self._changed.update(schedule_ids(self._reader))
            self._complete = True
        for count, key in enumerate(list(self._changed), 1):
            if count % READ_AT_ONCE == 0:
                await anyio.sleep(0)  # there may be many
            self.read(key)
            self._changed.discard(key)  # only once it was read: the database may be unavailable

    def of(self, key: str) -> int | None:
        """Return when a schedule is due next."""
        return self._due.get(key)

    def due_at(self, at: int) -> list[str]:
        """Return the schedules that are due at a time, the earliest first."""
        return [key for _, key in sorted((due, key) for key, due in self._due.items() if due <= at)]

    def text_of(self, known: KnownSchedule) -> schedule.ScheduleUpserted | None:
        """Return the last put of a schedule, with its text."""
        row = self._reader.row(known.put_at) if known.put_at else None
        event = None if row is None else self._codec.decode(row).event
        return event if isinstance(event, schedule.ScheduleUpserted) else None

    def ending(self, run_id: str) -> tuple[Event, Row, str | None] | None:
        """Return the ending of a run and the reason of its cancellation; None while it is open."""
        rows = self._reader.stream(run_id)
        for row in reversed(rows):
            if row.type in ENDING_TYPES:
                cancels = [one for one in rows if one.type == run.RunCancelRequested.TYPE]
                note = cancel_note(self._codec.decode(one).event for one in cancels)
                return self._codec.decode(row).event, row, note
        return None

    def step_failure(self, run_id: str) -> str:
        """Return the code of the last failed step of a workflow run."""
        for row in reversed(self._reader.stream(run_id)):
            event = self._codec.decode(row, text=False).event
            if isinstance(event, workflow_run.WorkflowStepFailed):
                return event.code
        return InternalError.code

    def close(self) -> None:
        self._reader.close()
