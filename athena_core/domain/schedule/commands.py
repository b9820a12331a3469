"""Commands of a schedule: define it, and decide which of its slots run."""

from typing import Literal, TypeAlias

from msgspec.structs import replace

from athena_core.decider import Context
from athena_core.definitions.schedule_definition import ScheduleDefinition
from athena_core.definitions.slots import check_ahead, count_slots, due_at, last_slot, next_slot, slots_between
from athena_core.definitions.trigger import INSTANT_MAX, Trigger
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
    ScheduleUpserted,
)
from athena_core.domain.schedule.state import ScheduleState, evolve
from athena_core.enums import MissedSlotsReason, SlotSkipReason
from athena_core.errors import ConfigError, NotFound
from athena_core.event import Event, Value
from athena_core.values import PinnedScope

SCHEDULES_MAX = 10_000
BUFFERED_SLOTS_MAX = 100
RUNS_IN_FLIGHT_MAX = 100
ON_TIME_SECONDS = 60  # a slot that is later than this was missed
ScheduledOutcome: TypeAlias = Literal["ok", "failed", "cancelled", "policy-rejected"]


class UpsertSchedule(Value):
    """Create or replace the schedule. With ``start_now`` an interval has a slot at once.

    If ``enabled`` or ``paused`` is None, it does not change; a new schedule is enabled. ``text_of`` is the revision
    known to have the same text, so that an identical definition changes nothing. ``others`` is the number of other
    schedules, ``most`` the limit.
    """

    id: str
    definition: ScheduleDefinition
    input: str | None = None
    params: dict[str, str] | None = None
    enabled: bool | None = None
    start_now: bool = False
    paused: bool | None = None
    note: str | None = None
    text_of: int | None = None
    scope: PinnedScope | None = None
    others: int = 0
    most: int = SCHEDULES_MAX


class RemoveSchedule(Value):
    """Remove the schedule. Its active runs continue."""

    id: str


class EnableSchedule(Value):
    """Let slots come due from now on."""

    id: str


class DisableSchedule(Value):
    """Let no more slots come due."""

    id: str


class PauseSchedule(Value):
    """Keep due slots from running."""

    id: str
    note: str | None = None


class ResumeSchedule(Value):
    """Let slots that come due from now on run again."""

    id: str
    note: str | None = None


class RunSchedule(Value):
    """Run the schedule now, by hand, even if it is disabled or paused. The slots do not move.

    ``target_run_id`` is the id of the run, if one starts.
    """

    id: str
    target_run_id: str


class TickSchedule(Value):
    """Do the next action that is due at a time. Repeat it until it returns no events.

    Each tick starts at most one run, with ``target_run_id``. A time in the future runs at most the next slot, so do not
    repeat it. ``halted`` is the interval of the last halt. Slots in it that are not caught up get that reason.
    """

    at: int
    target_run_id: str
    halted: tuple[int, int] | None = None


class FinishScheduledRun(Value):
    """Record the end of a scheduled run. ``code`` and ``message`` are set unless it is ``ok``."""

    target_run_id: str
    outcome: ScheduledOutcome
    code: str = ""
    message: str = ""


ScheduleCommand = (
    UpsertSchedule
    | RemoveSchedule
    | EnableSchedule
    | DisableSchedule
    | PauseSchedule
    | ResumeSchedule
    | RunSchedule
    | TickSchedule
    | FinishScheduledRun
)


def next_due(state: ScheduleState) -> int | None:
    """Return the time of the next action of a tick (0: now); None if there is none."""
    if not state.live or state.definition is None:
        return None
    if _may_start_buffered(state, state.definition):
        return 0
    slot = next_slot(state.definition.trigger, state.cursor_ms)
    return None if slot is None else due_at(state.definition.trigger, state.id, slot)


def decide(command: ScheduleCommand, state: ScheduleState, context: Context) -> tuple[Event, ...]:
    """Return the events of a command; none if nothing changes. Raise ConfigError, or NotFound without a schedule."""
    match command:
        case UpsertSchedule():
            return _upsert(command, state, context)
        case RemoveSchedule(id=key):
            gone = _close_slots(state, context.now, "removed") if state.exists else ()
            return (*gone, ScheduleRemoved(id=key, removed=state.exists))
        case EnableSchedule(id=key):
            return _enable(key, state, context.now)
        case DisableSchedule(id=key):
            if state.definition is None:
                return (ScheduleDisabled(id=key, updated=False),)
            if not state.enabled:
                return ()
            return (*_close_slots(state, context.now, "disabled"), ScheduleDisabled(id=key, updated=True))
        case PauseSchedule():
            _must_exist(state, command.id)
            return () if state.paused else (SchedulePaused(id=state.id, cause="requested", note=command.note),)
        case ResumeSchedule():
            _must_exist(state, command.id)
            return _resume(command, state, context.now)
        case RunSchedule():
            _must_exist(state, command.id)
            return _run_by_hand(command, state)
        case TickSchedule():
            return _tick(command, state, context)
        case FinishScheduledRun():
            return _finish(command, state)


def _must_exist(state: ScheduleState, key: str) -> None:
    if state.definition is None:
        raise NotFound(f"no schedule {key!r} exists")


# Defining


def _upsert(command: UpsertSchedule, state: ScheduleState, context: Context) -> tuple[Event, ...]:
    if not state.exists and command.others >= command.most:
        raise ConfigError.of("id", f"the limit of {command.most} schedules is reached", "remove a schedule first")
    events = _put(command, state, context)
    if command.paused is None:
        return events
    wish = (PauseSchedule if command.paused else ResumeSchedule)(id=command.id, note=command.note)
    return (*events, *decide(wish, _state_after(state, events), context))


def _put(command: UpsertSchedule, state: ScheduleState, context: Context) -> tuple[Event, ...]:
    before, definition, trigger = state.definition, command.definition, command.definition.trigger
    enabled = (state.enabled if before else True) if command.enabled is None else command.enabled
    kept = before is not None and replace(trigger, anchor_ms=before.trigger.anchor_ms) == before.trigger
    if before is not None and kept:
        definition = replace(definition, trigger=before.trigger)
    changed = (definition, enabled, command.text_of) != (before, state.enabled, state.revision)
    if not changed and (not command.start_now or state.cursor_ms < definition.trigger.anchor_ms):
        return ()  # also while the slot of an earlier start_now waits
    # Slots start anew with another trigger, with every change of an interval, and when the schedule was disabled.
    anew = not kept or trigger.every_minutes is not None or enabled and not state.enabled
    events: tuple[Event, ...] = ()
    if anew or not enabled:
        events = _explain_slots(state, context.now, "superseded" if enabled else "disabled")
    events += _drop_outside(state, trigger) if enabled else _drop_buffer(state, "disabled")
    after = _state_after(state, events).cursor_ms
    if anew:
        after, anchor = from_now_on(trigger, after, context.now, start_now=command.start_now)
        definition = replace(definition, trigger=replace(trigger, anchor_ms=anchor))
        if not kept:
            check_ahead(definition.trigger, after)
    put = ScheduleUpserted(
        id=command.id,
        enabled=enabled,
        definition=definition,
        after_ms=after,
        updated_by=context.meta.actor,
        scope=command.scope,
        input=command.input,
        params=command.params,
    )
    return (*events, put)


def _enable(key: str, state: ScheduleState, now: int) -> tuple[Event, ...]:
    if state.definition is None:
        return (ScheduleEnabled(id=key, updated=False),)
    if state.enabled:
        return ()
    after, anchor = from_now_on(state.definition.trigger, state.cursor_ms, now)
    return (ScheduleEnabled(id=key, updated=True, anchor_ms=anchor, after_ms=after),)


def from_now_on(trigger: Trigger, cursor: int, now: int, *, start_now: bool = False) -> tuple[int, int]:
    """Return the time after which slots count, and the anchor of an interval. Earlier slots are already decided."""
    after = max(now - start_now, cursor)
    if trigger.every_minutes is None:
        return after, 0
    return after, max(after + start_now, trigger.start_at_ms or 0)


def _resume(command: ResumeSchedule, state: ScheduleState, now: int) -> tuple[Event, ...]:
    if not state.paused:
        return ()
    return (*_explain_slots(state, now, "paused"), ScheduleResumed(id=state.id, note=command.note))


def _close_slots(state: ScheduleState, now: int, reason: SlotSkipReason) -> tuple[Event, ...]:
    """Return the events for slots that are still open when the schedule is disabled or removed."""
    return (*_explain_slots(state, now, reason), *_drop_buffer(state, reason))


def _explain_slots(state: ScheduleState, now: int, reason: SlotSkipReason) -> tuple[Event, ...]:
    """Return the reason for slots up to now that did not run although the schedule was enabled."""
    if state.definition is None or not state.enabled:
        return ()
    last = last_slot(state.definition.trigger, state.cursor_ms, now)
    return _miss_slots(state, state.definition.trigger, last, "paused" if state.paused else reason)


def _miss_slots(
    state: ScheduleState, trigger: Trigger, last: int | None, reason: MissedSlotsReason
) -> tuple[Event, ...]:
    """Return one event for all slots from the cursor to ``last``."""
    if last is None:
        return ()
    (first,) = slots_between(trigger, state.cursor_ms, last, 1)
    count = count_slots(trigger, state.cursor_ms, last)
    return (ScheduleSlotsMissed(id=state.id, from_ms=first, to_ms=last, count=count, reason=reason),)


def _drop_buffer(state: ScheduleState, reason: SlotSkipReason) -> tuple[Event, ...]:
    return tuple(ScheduleRunSkipped(id=state.id, slot_ms=slot, reason=reason) for slot in state.buffer)


def _drop_outside(state: ScheduleState, trigger: Trigger) -> tuple[Event, ...]:
    """Return the events for buffered slots that are outside of a changed start or end."""
    start = 0 if trigger.start_at_ms is None else trigger.start_at_ms
    end = INSTANT_MAX if trigger.end_at_ms is None else trigger.end_at_ms
    return tuple(
        ScheduleRunSkipped(id=state.id, slot_ms=slot, reason="outside-start-end")
        for slot in state.buffer
        if not start <= slot <= end
    )


def _state_after(state: ScheduleState, events: tuple[Event, ...]) -> ScheduleState:
    for event in events:
        state = evolve(state, event)
    return state


# Running


def _run_by_hand(command: RunSchedule, state: ScheduleState) -> tuple[Event, ...]:
    assert state.definition is not None
    anyway = state.definition.overlap_policy == "allow-all" and len(state.running) < RUNS_IN_FLIGHT_MAX
    if state.running and not anyway:
        return (ScheduleRunTriggered(id=state.id, status="already-running"),)
    return (ScheduleRunStarted(id=state.id, target_run_id=command.target_run_id),)


def _tick(command: TickSchedule, state: ScheduleState, context: Context) -> tuple[Event, ...]:
    definition, at = state.definition, command.at
    if definition is None or not state.live:
        return ()
    if _may_start_buffered(state, definition):
        return (ScheduleRunStarted(id=state.id, target_run_id=command.target_run_id, slot_ms=state.buffer[0]),)
    trigger, now = definition.trigger, min(at, context.now)
    last = _last_due(state, trigger, now)
    if last is None:
        slot = next_slot(trigger, state.cursor_ms) if at > now else None
        if slot is None or due_at(trigger, state.id, slot) > at:
            return ()
        return _start_or_wait(state, definition, slot, command.target_run_id)
    # Older slots were missed.
    window = ON_TIME_SECONDS if definition.catch_up == "none" else definition.catch_up_window_seconds
    oldest = now - (window + trigger.jitter_seconds) * 1_000
    late: MissedSlotsReason = "catchup-window-exceeded"
    if last < oldest:
        return _miss_late(state, trigger, last, late, command.halted)
    slot = last
    if definition.catch_up == "all":
        (slot,) = slots_between(trigger, max(state.cursor_ms, oldest - 1), last, 1)
    else:
        late = "catchup-none" if definition.catch_up == "none" else "catchup-latest"
    events = _miss_late(state, trigger, slot - 1, late, command.halted)
    return (*events, *_start_or_wait(_state_after(state, events), definition, slot, command.target_run_id))


def _miss_late(
    state: ScheduleState, trigger: Trigger, until: int, late: MissedSlotsReason, halted: tuple[int, int] | None
) -> tuple[Event, ...]:
    """Return one event for the slots before, one for those in, and one for those after a halt."""
    began, lifted = halted or (0, -1)
    events: tuple[Event, ...] = ()
    ranges: tuple[tuple[int, MissedSlotsReason], ...] = ((began - 1, late), (lifted, "halted"), (until, late))
    for end, reason in ranges:
        missed = _miss_slots(state, trigger, last_slot(trigger, state.cursor_ms, min(end, until)), reason)
        state = _state_after(state, missed)
        events += missed
    return events


def _last_due(state: ScheduleState, trigger: Trigger, now: int) -> int | None:
    last = last_slot(trigger, state.cursor_ms, now)
    if last is not None and due_at(trigger, state.id, last) > now:
        return last_slot(trigger, state.cursor_ms, last - 1)
    return last


def _may_start_buffered(state: ScheduleState, definition: ScheduleDefinition) -> bool:
    anyway = definition.overlap_policy == "allow-all" and len(state.running) < RUNS_IN_FLIGHT_MAX
    return bool(state.buffer) and (anyway or not state.running)


def _start_or_wait(state: ScheduleState, definition: ScheduleDefinition, slot: int, run_id: str) -> tuple[Event, ...]:
    """Return what to do with a due slot, depending on the active runs."""
    runs = tuple(flight.target_run_id for flight in state.running)
    started = ScheduleRunStarted(id=state.id, target_run_id=run_id, slot_ms=slot)
    if not runs:
        return (started,)
    buffered = ScheduleRunBuffered(id=state.id, slot_ms=slot)
    match definition.overlap_policy:
        case "buffer-one" | "buffer-all" as policy:
            places = 1 if policy == "buffer-one" else BUFFERED_SLOTS_MAX
            full = ScheduleRunSkipped(id=state.id, slot_ms=slot, reason="buffer-full")
            return (buffered,) if len(state.buffer) < places else (full,)
        case "buffer-latest":
            return (*_drop_buffer(state, "buffer-full"), buffered)
        case "cancel-other":
            return (*_drop_buffer(state, "buffer-full"), replace(buffered, cancels=runs))
        case "terminate-other" if len(runs) < RUNS_IN_FLIGHT_MAX:
            return (*_drop_buffer(state, "buffer-full"), replace(started, terminates=runs))
        case "allow-all" if len(runs) < RUNS_IN_FLIGHT_MAX:
            return (started,)
        case _:
            return (ScheduleRunSkipped(id=state.id, slot_ms=slot, reason="overlap-skip"),)


def _finish(command: FinishScheduledRun, state: ScheduleState) -> tuple[Event, ...]:
    ended = [flight for flight in state.running if flight.target_run_id == command.target_run_id]
    if not ended:
        return ()
    (flight,) = ended
    run_id, slot, outcome = flight.target_run_id, flight.slot_ms, command.outcome
    end: Event = ScheduleRunCompleted(id=state.id, target_run_id=run_id, slot_ms=slot)
    if outcome != "ok":
        end = ScheduleRunFailed(
            id=state.id,
            target_run_id=run_id,
            code=command.code,
            error_text=command.message,
            slot_ms=slot,
            reason=None if outcome == "failed" else outcome,
        )
    if slot is None:
        return (end, ScheduleRunTriggered(id=state.id, status="ok" if outcome == "ok" else "failed"))
    if outcome == "failed" and state.live and state.definition and state.definition.pause_on_failure:
        return (end, SchedulePaused(id=state.id, cause="failure", target_run_id=run_id))
    return (end,)
