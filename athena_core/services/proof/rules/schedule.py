"""Rules of schedules: every slot is decided once, and every run that a schedule starts exists."""

from collections.abc import Iterator
from typing import NamedTuple

from athena_core.clock import iso
from athena_core.definitions.slots import count_slots, next_slot
from athena_core.definitions.trigger import INSTANT_MAX
from athena_core.domain import plane, run, schedule, workflow_run
from athena_core.errors import ConfigError
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, Violation, follow, rule
from athena_core.services.proof.rules.log import LogRules

EVENTS = schedule.DECIDER.events
LASTING_ZONES = {None, "UTC"}
"""The time zones whose slots can be recounted years later; the rules of all others change."""

BEGINNINGS = (
    run.RunQueued,
    run.RunCreated,
    run.PolicyConcurrencyRejected,
    run.PolicyRejected,
    workflow_run.WorkflowRunCreated,
)
"""The first events of a run or workflow run that a schedule starts."""


class PendingLaunch(NamedTuple):
    """A run that a schedule started and that has no events yet."""

    schedule: str
    position: int
    command: str


class ScheduleRules(RuleSet):
    """The schedules before an event."""

    def __init__(self, log: LogRules) -> None:
        self._log = log
        self._states: dict[str, schedule.ScheduleState] = {}
        self._launching: dict[str, PendingLaunch] = {}
        """The runs that schedules started, until they exist or are refused."""

    def _state(self, row: Row) -> schedule.ScheduleState:
        return self._states.get(row.stream, schedule.DECIDER.initial)

    @rule(*EVENTS)
    def schedules(self, row: Row, event: Event) -> str | None:
        """A schedule's events are possible in its state."""
        state = self._state(row)
        match event:
            case schedule.ScheduleEnabled(updated=True):
                legal = state.exists and not state.enabled
            case schedule.ScheduleDisabled(updated=True):
                legal = state.exists and state.enabled
            case schedule.ScheduleRemoved(removed=True) | schedule.ScheduleRunStarted(slot_ms=None):
                legal = state.exists
            case schedule.SchedulePaused() | schedule.ScheduleResumed():
                legal = state.exists and state.paused == isinstance(event, schedule.ScheduleResumed)
            case schedule.ScheduleRunStarted() | schedule.ScheduleRunBuffered():
                legal = state.live
            case schedule.ScheduleRunSkipped() | schedule.ScheduleSlotsMissed():
                legal = state.exists and state.enabled
            case schedule.ScheduleRunCompleted() | schedule.ScheduleRunFailed():
                legal = any(flight.target_run_id == event.target_run_id for flight in state.running)
            case _:
                return None
        return None if legal else f"{row.type} of {row.stream}, which is impossible in its state"

    @rule(
        schedule.ScheduleRunStarted,
        schedule.ScheduleRunSkipped,
        schedule.ScheduleRunBuffered,
        schedule.ScheduleSlotsMissed,
    )
    def fired(self, row: Row, event: Event) -> str | None:
        """Each slot is decided once; an earlier slot can only come from the buffer."""
        state = self._state(row)
        match event:
            case schedule.ScheduleRunStarted(slot_ms=int(slot)) | schedule.ScheduleRunSkipped(slot_ms=slot):
                decided = slot <= state.cursor_ms and slot not in state.buffer
            case schedule.ScheduleRunBuffered(slot_ms=slot) | schedule.ScheduleSlotsMissed(from_ms=slot):
                decided = slot <= state.cursor_ms
            case _:
                return None
        if not decided:
            return None
        return f"{row.type} of {row.stream} for the slot {_time(slot)}, which was already decided"

    @rule(
        schedule.ScheduleRunStarted,
        schedule.ScheduleRunSkipped,
        schedule.ScheduleRunBuffered,
        schedule.ScheduleSlotsMissed,
        schedule.ScheduleUpserted,
    )
    def explained(self, row: Row, event: Event) -> str | None:
        """No slot is skipped without an event, and the number of missed slots is right."""
        state = self._state(row)
        if state.definition is None or not state.enabled or state.definition.trigger.timezone not in LASTING_ZONES:
            return None
        trigger, cursor = state.definition.trigger, state.cursor_ms
        match event:
            case (
                schedule.ScheduleRunStarted(slot_ms=int(last))
                | schedule.ScheduleRunBuffered(slot_ms=last)
                | schedule.ScheduleRunSkipped(slot_ms=last)
            ) if last > cursor:
                claimed: tuple[int | None, int] = (last, 1)
            case schedule.ScheduleSlotsMissed(from_ms=first, to_ms=last) if first > cursor:
                claimed = (first, event.count)
            case schedule.ScheduleUpserted(after_ms=last) if last > cursor:
                claimed = (None, 0)
            case _:
                return None
        try:
            count = count_slots(trigger, cursor, last)
            due = (next_slot(trigger, cursor) if count else None, count)
        except ConfigError as error:
            return f"{row.type} of {row.stream}, whose trigger {error.message}"
        if due == claimed:
            return None
        slots = f"{claimed[1]} of {due[1]} slots" if claimed[1] != due[1] else f"the slot {_time(last)}"
        return f"{row.type} of {row.stream} claims {slots} after {_time(cursor)}"

    @rule(*BEGINNINGS, schedule.ScheduleRunStarted)
    def launches(self, row: Row, event: Event) -> str | None:
        """A schedule starts a new run, which is admitted, queued or refused in the same command."""
        launching = self._launching.get(row.stream)
        if launching is not None and launching.command != row.command_id:
            return f"{row.stream} did not begin in the command in which {launching.schedule} started it"
        if isinstance(event, schedule.ScheduleRunStarted):
            run_id, log = event.target_run_id, self._log
            new = run_id not in log.versions or (row.command_id == log.command and run_id in log.began)
            if not new or run_id in self._launching:
                return f"{row.stream} started {run_id}, which already existed"
        return None

    @follow(*BEGINNINGS)
    def begin(self, row: Row, event: Event) -> None:
        """Record that a started run exists."""
        self._launching.pop(row.stream, None)

    @follow(*EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        """Apply the event. Requests about unknown schedules are in the plane's stream and are ignored."""
        if row.stream == plane.STREAM:
            return
        match event:
            case schedule.ScheduleRunStarted(target_run_id=run_id) if run_id not in self._log.versions:
                self._launching[run_id] = PendingLaunch(row.stream, row.position, row.command_id)
            case schedule.ScheduleRunFailed(target_run_id=run_id) if run_id in self._launching:
                if self._launching[run_id].command == row.command_id:
                    del self._launching[run_id]
        self._states[row.stream] = schedule.evolve(self._state(row), event)

    def finish(self) -> Iterator[Violation]:
        """Yield started runs that never began."""
        for run_id, launching in self._launching.items():
            reason = f"{launching.schedule} started {run_id}, which was neither admitted nor refused"
            yield Violation(rule="launches", reason=reason, position=launching.position)


def _time(instant: int) -> str:
    return iso(min(max(instant, 0), INSTANT_MAX))  # damaged values may be any number
