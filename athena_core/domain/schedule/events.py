"""Stored events of a schedule."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from athena_core.definitions.schedule_definition import ScheduleDefinition
from athena_core.event import EXTRA, TEXT, Event, Shows, Text
from athena_core.values import PinnedScope

SlotSkipReason: TypeAlias = Literal[
    "overlap-skip",  # a run was in flight
    "buffer-full",  # a run was in flight, and the buffer had no place for this one
    "catchup-latest",  # a later one was due too, and only the latest is caught up
    "catchup-window-exceeded",  # it was too late
    "paused",
    "outside-start-end",  # it was buffered when the start or the end moved
    "superseded",  # it was due, and before it ran, the trigger was changed
    "disabled",
    "removed",
]
"""Why a slot did not run."""


# Stored events. Their TYPE is storage: never rename one.


class ScheduleUpserted(Event):
    """A schedule was created or replaced by ``updated_by``; its slots are those after ``after_ms``."""

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
    """A schedule was to be removed; ``removed`` is false where none was."""

    TYPE: ClassVar[str] = "schedule.removed"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    removed: bool


class ScheduleEnabled(Event):
    """A schedule was to be enabled; unless none was, its slots are those after ``after_ms``, from ``anchor_ms`` on."""

    TYPE: ClassVar[str] = "schedule.enabled"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    updated: bool
    anchor_ms: int | None = None
    after_ms: int | None = None


class ScheduleDisabled(Event):
    """A schedule was to be disabled; ``updated`` is false where none was."""

    TYPE: ClassVar[str] = "schedule.disabled"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    updated: bool


class SchedulePaused(Event):
    """Slots do not run until the schedule is resumed: on request, or because a run failed."""

    TYPE: ClassVar[str] = "schedule.paused"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    cause: Literal["requested", "failure"]
    note: Text = None


class ScheduleResumed(Event):
    """Slots run again."""

    TYPE: ClassVar[str] = "schedule.resumed"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    note: Text = None


class ScheduleTickExecuted(Event):
    """Somebody had the clock looked at as if it were ``at``: how many slots ran, how many schedules had none."""

    TYPE: ClassVar[str] = "schedule.tick.executed"
    SHOWS: ClassVar[Shows] = Shows(views="the logs of the schedules show what their slots did")
    at: str
    run: int
    skipped: int


class ScheduleRunStarted(Event):
    """A slot runs, or without one somebody ran the schedule by hand; the runs that it ``terminates`` make way."""

    TYPE: ClassVar[str] = "schedule.run.started"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    id: str
    target_run_id: str
    slot_ms: int | None = None
    terminates: tuple[str, ...] | None = None


class ScheduleRunBuffered(Event):
    """A slot waits for the runs in flight; those that it ``cancels`` are asked to end."""

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
    reason: SlotSkipReason


class ScheduleSlotsMissed(Event):
    """The slots from one to another, both included, will not run."""

    TYPE: ClassVar[str] = "schedule.slots.missed"
    SHOWS: ClassVar[Shows] = Shows()
    id: str
    from_ms: int
    to_ms: int
    count: int
    reason: SlotSkipReason


class ScheduleRunCompleted(Event):
    """A run of the schedule ended with an answer."""

    TYPE: ClassVar[str] = "schedule.run.completed"
    SHOWS: ClassVar[Shows] = Shows()
    id: str
    target_run_id: str
    slot_ms: int | None = None


class ScheduleRunFailed(Event):
    """A run of the schedule ended without an answer; ``reason`` is there where the schedule is not to blame."""

    TYPE: ClassVar[str] = "schedule.run.failed"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(console=True)
    id: str
    target_run_id: str
    code: str
    slot_ms: int | None = None
    reason: Literal["cancelled", "policy-rejected"] | None = None
    error_text: Text = None


class ScheduleRunTriggered(Event):
    """Somebody ran the schedule by hand, and this came of it."""

    TYPE: ClassVar[str] = "schedule.run.triggered"
    SHOWS: ClassVar[Shows] = Shows()
    id: str
    status: Literal["ok", "failed", "already-running"]


def stream(schedule_id: str) -> str:
    """The stream of a schedule (its id is the client's, so a prefix outside its alphabet keeps it apart)."""
    return "schedule:" + schedule_id
