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
    """An active run of the schedule. Without a slot it was started by hand."""

    target_run_id: str
    slot_ms: int | None = None


class ScheduleState(Value):
    """The definition and its slots. Each slot up to ``cursor_ms`` ran, waits in ``buffer``, or has a reason.

    The cursor never goes back, not even after a removal or a clock change, so no slot is decided twice. ``revision``
    counts the definitions. Runs are on behalf of the last author, ``updated_by``.
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
        """True if the schedule was created and not removed since."""
        return self.definition is not None

    @property
    def live(self) -> bool:
        """True if slots run."""
        return self.exists and self.enabled and not self.paused


def evolve(state: ScheduleState, event: Event) -> ScheduleState:
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
    """Move past a slot, which came from the clock or from the buffer."""
    if slot is None:
        return state
    buffer = tuple(waiting for waiting in state.buffer if waiting != slot)
    return replace(state, cursor_ms=max(state.cursor_ms, slot), buffer=buffer)


# Guards: ``schedule`` and ``fired`` (the last slot that ran) by schedule id; ``scheduled`` by run id until the run
# ends.


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
