"""Stored events of a schedule."""

from typing import Annotated, ClassVar, Literal

from athena_core.definitions.schedule_definition import ScheduleDefinition
from athena_core.enums import MissedSlotsReason, PauseCause, RunEndReason, SlotSkipReason
from athena_core.event import EXTRA, TEXT, Event, Shows, Text, says
from athena_core.values import PinnedScope

# Stored events. Their TYPE is storage: never rename one.


class ScheduleUpserted(Event):
    """A schedule was created or replaced by ``updated_by``. Its slots are those after ``after_ms``."""

    TYPE: ClassVar[str] = "schedule.upserted"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    enabled: bool
    definition: ScheduleDefinition
    after_ms: int
    updated_by: str
    scope: Annotated[PinnedScope | None, EXTRA] = None
    input: Text = None
    params: Annotated[dict[str, str] | None, TEXT] = None


class ScheduleRemoved(Event):
    """The removal of a schedule was requested. ``removed`` is false if it did not exist."""

    TYPE: ClassVar[str] = "schedule.removed"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    removed: bool


class ScheduleEnabled(Event):
    """The enabling of a schedule was requested. Its slots are after ``after_ms``, from ``anchor_ms``.

    ``updated`` is false if the schedule did not exist.
    """

    TYPE: ClassVar[str] = "schedule.enabled"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    updated: bool
    anchor_ms: int | None = None
    after_ms: int | None = None


class ScheduleDisabled(Event):
    """The disabling of a schedule was requested. ``updated`` is false if it did not exist."""

    TYPE: ClassVar[str] = "schedule.disabled"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    updated: bool


class SchedulePaused(Event):
    """A schedule was paused, on request or because a run failed. Its slots do not run until it is resumed.

    ``target_run_id`` is the run that failed.
    """

    TYPE: ClassVar[str] = "schedule.paused"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    cause: Annotated[PauseCause, says("Why it is paused.")]
    target_run_id: str | None = None
    note: Text = None


class ScheduleResumed(Event):
    """A schedule was resumed. Its slots run again."""

    TYPE: ClassVar[str] = "schedule.resumed"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    note: Text = None


class ScheduleTickExecuted(Event):
    """A client ran a tick for the time ``at``. ``run`` counts slots that ran, ``skipped`` schedules without one."""

    TYPE: ClassVar[str] = "schedule.tick.executed"
    SHOWS: ClassVar[Shows] = Shows(views="the logs of the schedules show their slots")
    at: Annotated[str, says("Time of the tick.")]
    run: int
    skipped: int


class ScheduleRunStarted(Event):
    """A slot started a run; without ``slot_ms`` a client did by hand. The runs in ``terminates`` are stopped for it."""

    TYPE: ClassVar[str] = "schedule.run.started"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    BEGINS: ClassVar[bool] = True
    id: str
    target_run_id: str
    slot_ms: int | None = None
    terminates: tuple[str, ...] | None = None


class ScheduleRunBuffered(Event):
    """A slot waits for active runs to end. The runs in ``cancels`` are cancelled for it."""

    TYPE: ClassVar[str] = "schedule.run.buffered"
    SHOWS: ClassVar[Shows] = Shows()
    id: str
    slot_ms: int
    cancels: tuple[str, ...] | None = None


class ScheduleRunSkipped(Event):
    """A slot will not run."""

    TYPE: ClassVar[str] = "schedule.run.skipped"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    id: str
    slot_ms: int
    reason: Annotated[SlotSkipReason, says("Why the time does not run.")]


class ScheduleSlotsMissed(Event):
    """The slots from ``from_ms`` to ``to_ms``, both included, will not run."""

    TYPE: ClassVar[str] = "schedule.slots.missed"
    SCHEMA: ClassVar[int] = 3
    SHOWS: ClassVar[Shows] = Shows()
    id: str
    from_ms: int
    to_ms: int
    count: Annotated[int, says("Number of times that do not run.")]
    reason: Annotated[MissedSlotsReason, says("Why they do not run.")]


class ScheduleRunCompleted(Event):
    """A run of the schedule ended with an answer."""

    TYPE: ClassVar[str] = "schedule.run.completed"
    SHOWS: ClassVar[Shows] = Shows()
    id: str
    target_run_id: str
    slot_ms: int | None = None


class ScheduleRunFailed(Event):
    """A run of the schedule ended without an answer. ``reason`` is set if it was cancelled or refused."""

    TYPE: ClassVar[str] = "schedule.run.failed"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(console=True)
    id: str
    target_run_id: str
    code: str
    slot_ms: int | None = None
    reason: Annotated[RunEndReason | None, says("Set if the run was cancelled or rejected.")] = None
    error_text: Text = None


class ScheduleRunTriggered(Event):
    """The result of a run that a client started by hand."""

    TYPE: ClassVar[str] = "schedule.run.triggered"
    SHOWS: ClassVar[Shows] = Shows()
    id: str
    status: Literal["ok", "failed", "already-running"]


def stream(schedule_id: str) -> str:
    """Return the stream of a schedule. The prefix keeps client-chosen ids apart from other streams."""
    return "schedule:" + schedule_id
