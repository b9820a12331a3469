"""The state of a schedule, and what its events occupy."""

from msgspec.structs import replace

from athena_core.decider import Decider
from athena_core.definitions.schedule_definition import ScheduleDefinition
from athena_core.domain.schedule.events import (
    ScheduleDisabled,
    ScheduleEnabled,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleRunBuffered,
    ScheduleRunCompleted,
    ScheduleRunFailed,
    ScheduleRunSkipped,
    ScheduleRunStarted,
    ScheduleRunTriggered,
    ScheduleSlotsMissed,
    ScheduleTickExecuted,
    ScheduleUpserted,
)
from athena_core.event import Event, Guard, Recorded, Value
from athena_core.values import PinnedScope


class RunInFlight(Value):
    """A run of the schedule that has not ended; without a slot it was started by hand."""

    target_run_id: str
    slot_ms: int | None = None


class ScheduleState(Value):
    """The rule, and what became of its slots: each up to ``cursor_ms`` ran, waits in ``buffer`` or was explained.

    The cursor never goes back, whatever the clock does, so no slot is looked at twice; it outlives a removal.
    ``revision`` counts what was put; who put it last is who the runs are on behalf of.
    """

    id: str = ""
    definition: ScheduleDefinition | None = None
    enabled: bool = False
    paused: bool = False
    revision: int = 0
    updated_by: str = ""
    scope: PinnedScope | None = None
    cursor_ms: int = 0
    running: tuple[RunInFlight, ...] = ()
    buffer: tuple[int, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether there is a schedule: it was put and not removed since."""
        return self.definition is not None

    @property
    def live(self) -> bool:
        """Whether slots run."""
        return self.exists and self.enabled and not self.paused


def evolve(state: ScheduleState, event: Event) -> ScheduleState:
    """Follow one event."""
    match event:
        case ScheduleUpserted():
            return replace(
                state,
                id=event.id,
                definition=event.definition,
                enabled=event.enabled,
                revision=state.revision + 1,
                updated_by=event.updated_by,
                scope=event.scope,
                cursor_ms=max(state.cursor_ms, event.after_ms),
            )
        case ScheduleRemoved(removed=True):
            return ScheduleState(id=state.id, revision=state.revision, cursor_ms=state.cursor_ms, running=state.running)
        case ScheduleEnabled(updated=True):
            return _enable(state, event)
        case ScheduleDisabled(updated=True):
            return replace(state, enabled=False)
        case SchedulePaused():
            return replace(state, paused=True)
        case ScheduleResumed():
            return replace(state, paused=False)
        case ScheduleRunStarted(slot_ms=slot):
            flight = RunInFlight(target_run_id=event.target_run_id, slot_ms=slot)
            return replace(_pass_slot(state, slot), running=(*state.running, flight))
        case ScheduleRunBuffered(slot_ms=slot):
            return replace(_pass_slot(state, slot), buffer=(*state.buffer, slot))
        case ScheduleRunSkipped(slot_ms=slot):
            return _pass_slot(state, slot)
        case ScheduleSlotsMissed():
            return replace(state, cursor_ms=max(state.cursor_ms, event.to_ms))
        case ScheduleRunCompleted() | ScheduleRunFailed():
            running = tuple(flight for flight in state.running if flight.target_run_id != event.target_run_id)
            return replace(state, running=running)
        case _:
            return state


def _enable(state: ScheduleState, event: ScheduleEnabled) -> ScheduleState:
    definition = state.definition
    if definition is not None and event.anchor_ms is not None:
        definition = replace(definition, trigger=replace(definition.trigger, anchor_ms=event.anchor_ms))
    cursor = max(state.cursor_ms, event.after_ms or 0)
    return replace(state, definition=definition, enabled=True, cursor_ms=cursor)


def _pass_slot(state: ScheduleState, slot: int | None) -> ScheduleState:
    """The slot is behind, whether it came from the clock or from the buffer."""
    if slot is None:
        return state
    buffer = tuple(waiting for waiting in state.buffer if waiting != slot)
    return replace(state, cursor_ms=max(state.cursor_ms, slot), buffer=buffer)


# Guards: ``schedule`` and ``fired``, the slot that ran last, by the id of the schedule; ``scheduled`` by that of a run
# until the run ends.


def _put_guards(recorded: Recorded[ScheduleUpserted]) -> tuple[Guard, ...]:
    return (Guard(kind="schedule", key=recorded.event.id, value=(recorded.position,)),)


def _started_guards(recorded: Recorded[ScheduleRunStarted]) -> tuple[Guard, ...]:
    key, slot = recorded.event.id, recorded.event.slot_ms
    flight = Guard(kind="scheduled", key=recorded.event.target_run_id, value=(key,))
    return (flight,) if slot is None else (flight, Guard(kind="fired", key=key, value=(slot,)))


def _ended_guards(recorded: Recorded[ScheduleRunCompleted | ScheduleRunFailed]) -> tuple[Guard, ...]:
    return (Guard(kind="scheduled", key=recorded.event.target_run_id, value=None),)


def _removed_guards(recorded: Recorded[ScheduleRemoved]) -> tuple[Guard, ...]:
    if not recorded.event.removed:
        return ()
    return tuple(Guard(kind=kind, key=recorded.event.id, value=None) for kind in ("schedule", "fired"))


DECIDER: Decider[ScheduleState] = Decider(
    category="schedule",
    events=(
        ScheduleUpserted,
        ScheduleRemoved,
        ScheduleEnabled,
        ScheduleDisabled,
        SchedulePaused,
        ScheduleResumed,
        ScheduleTickExecuted,
        ScheduleRunStarted,
        ScheduleRunBuffered,
        ScheduleRunSkipped,
        ScheduleSlotsMissed,
        ScheduleRunCompleted,
        ScheduleRunFailed,
        ScheduleRunTriggered,
    ),
    initial=ScheduleState(),
    evolve=evolve,
    occupies={
        ScheduleUpserted: _put_guards,
        ScheduleRunStarted: _started_guards,
        ScheduleRunCompleted: _ended_guards,
        ScheduleRunFailed: _ended_guards,
        ScheduleRemoved: _removed_guards,
    },
)
