"""Rows of schedules: their definitions and pauses, and the outcome of each slot."""

from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from athena_core.definitions.schedule_definition import ScheduleDefinition
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.schedule import (
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
from athena_core.enums import MissedSlotsReason, RunEndReason
from athena_core.event import Event, Recorded
from athena_core.text import ERASED, or_erased
from projections.engine.projection import Projection, Rows, Table, to_json, to_json_or_null

ScheduleRunStatus: TypeAlias = Literal["running", "buffered", "ok", "failed", "already-running", "skipped"]
ScheduleRunReason: TypeAlias = Literal[MissedSlotsReason, RunEndReason]


class ScheduleRow(msgspec.Struct, gc=False):
    """A schedule. ``position`` is where it was created; slots up to ``cursor_ms`` are decided.

    Definition and parameters are JSON. The texts that ``put_at`` and ``note_at`` locate are NULL once redacted. The
    columns of a pause describe the last one.
    """

    schedule_id: str
    position: int
    created_at: int
    updated_at: int
    updated_by: str
    revision: int
    definition: str
    input: str | None
    params: str | None
    enabled: bool
    paused: bool
    note: str | None
    cursor_ms: int
    put_at: int
    note_at: int | None = None
    last_run_at: int | None = None
    pause_position: int = 0
    pause_mark: bytes = b""
    pause_at: int = 0
    pause_cause: str = ""
    pause_run_id: str | None = None
    put_redacted: bool = False
    note_redacted: bool = False


class ScheduleTextRow(msgspec.Struct, gc=False):
    """The schedule that shows the text of an event, for erasure."""

    position: int
    schedule_id: str


class SlotRow(msgspec.Struct, gc=False):
    """The outcome of a slot, or of ``slots`` missed ones in a range (then with the trigger as JSON).

    ``position`` is the position of its first event. A manual run has no slot.
    """

    position: int
    mark: bytes
    schedule_id: str
    session_id: str | None
    status: ScheduleRunStatus
    started_at: int
    finished_at: int | None = None
    slot_ms: int | None = None
    to_ms: int | None = None
    slots: int = 1
    trigger: str | None = None
    reason: ScheduleRunReason | None = None
    run_id: str | None = None
    error: str | None = None
    error_code: str | None = None


class SlotFailureRow(msgspec.Struct, gc=False):
    """The slot that failed with an event, by the position of its row."""

    position: int
    slot: int


class RunningSlotRow(msgspec.Struct, gc=False):
    """A run in progress, and the position of its slot."""

    run_id: str
    schedule_id: str
    position: int


class BufferedSlotRow(msgspec.Struct, gc=False):
    """A buffered slot, and the position of its row."""

    schedule_id: str
    slot_ms: int
    position: int


SCHEDULE = Table("schedule", ScheduleRow, key=("schedule_id",), indexes=(("position",),))
TEXT = Table("schedule_text", ScheduleTextRow, key=("position",))
FAILURE = Table("schedule_failure", SlotFailureRow, key=("position",))
SLOT = Table("schedule_slot", SlotRow, key=("position",), indexes=(("schedule_id", "position"), ("run_id",)))
FLIGHT = Table("schedule_flight", RunningSlotRow, key=("run_id",), indexes=(("schedule_id",),))
BUFFERED = Table("schedule_buffered", BufferedSlotRow, key=("schedule_id", "slot_ms"))
SCHEDULES = Projection("schedules", version=4, tables=(SCHEDULE, TEXT, SLOT, FLIGHT, BUFFERED, FAILURE))


@SCHEDULES.handler
def schedule_upserted(rows: Rows, recorded: Recorded[ScheduleUpserted]) -> None:
    event = recorded.event
    row = rows.get(SCHEDULE, event.id)
    if row is None:
        row = ScheduleRow(
            schedule_id=event.id,
            position=recorded.position,
            created_at=recorded.at,
            updated_at=0,
            updated_by="",
            revision=0,
            definition="",
            input=None,
            params=None,
            enabled=True,
            paused=False,
            note=None,
            cursor_ms=0,
            put_at=0,
        )
    row.put_at = recorded.position
    row.updated_at, row.updated_by, row.revision = recorded.at, event.updated_by, row.revision + 1
    row.definition, row.enabled = to_json(event.definition), event.enabled
    row.input, row.params = event.input, to_json_or_null(event.params)
    row.put_redacted = False
    row.cursor_ms = max(row.cursor_ms, event.after_ms)
    rows.put(SCHEDULE, row)
    rows.append(TEXT, ScheduleTextRow(recorded.position, event.id))


@SCHEDULES.handler
def schedule_removed(rows: Rows, recorded: Recorded[ScheduleRemoved]) -> None:
    """Remove the schedule. Its log stays."""
    rows.delete(SCHEDULE, recorded.event.id)


@SCHEDULES.handler
def schedule_enabled(rows: Rows, recorded: Recorded[ScheduleEnabled]) -> None:
    event = recorded.event
    row = _change(rows, recorded, event.id) if event.updated else None
    if row is not None:
        row.enabled = True
        row.cursor_ms = max(row.cursor_ms, event.after_ms or 0)
        if event.anchor_ms is not None:
            definition = definition_in(row)
            trigger = replace(definition.trigger, anchor_ms=event.anchor_ms)
            row.definition = to_json(replace(definition, trigger=trigger))


@SCHEDULES.handler
def schedule_disabled(rows: Rows, recorded: Recorded[ScheduleDisabled]) -> None:
    row = _change(rows, recorded, recorded.event.id) if recorded.event.updated else None
    if row is not None:
        row.enabled = False


@SCHEDULES.handler
def schedule_paused(rows: Rows, recorded: Recorded[SchedulePaused | ScheduleResumed]) -> None:
    row = _change(rows, recorded, recorded.event.id)
    if row is not None:
        row.paused = isinstance(recorded.event, SchedulePaused)
        row.note, row.note_at, row.note_redacted = recorded.event.note, recorded.position, False
        if isinstance(recorded.event, SchedulePaused):
            row.pause_position, row.pause_mark, row.pause_at = recorded.position, recorded.mark, recorded.at
            row.pause_cause, row.pause_run_id = recorded.event.cause, recorded.event.target_run_id
        rows.append(TEXT, ScheduleTextRow(recorded.position, recorded.event.id))


@SCHEDULES.handler
def schedule_run_started(rows: Rows, recorded: Recorded[ScheduleRunStarted]) -> None:
    event = recorded.event
    row = _change_slot(rows, recorded, event.id, event.slot_ms, "running")
    row.run_id, row.started_at = event.target_run_id, recorded.at
    rows.put(FLIGHT, RunningSlotRow(event.target_run_id, schedule_id=event.id, position=row.position))


@SCHEDULES.handler
def schedule_run_buffered(rows: Rows, recorded: Recorded[ScheduleRunBuffered]) -> None:
    event = recorded.event
    row = _change_slot(rows, recorded, event.id, event.slot_ms, "buffered")
    rows.put(BUFFERED, BufferedSlotRow(event.id, event.slot_ms, position=row.position))


@SCHEDULES.handler
def schedule_run_skipped(rows: Rows, recorded: Recorded[ScheduleRunSkipped]) -> None:
    row = _change_slot(rows, recorded, recorded.event.id, recorded.event.slot_ms, "skipped")
    row.reason, row.finished_at = recorded.event.reason, recorded.at


@SCHEDULES.handler
def schedule_slots_missed(rows: Rows, recorded: Recorded[ScheduleSlotsMissed]) -> None:
    """Add a range of slots that will not run. The current trigger determines which they are."""
    event = recorded.event
    known = rows.need(SCHEDULE, event.id)
    row = _change_slot(rows, recorded, event.id, event.to_ms, "skipped")
    row.reason, row.finished_at = event.reason, recorded.at
    row.slot_ms, row.to_ms, row.slots = event.from_ms, event.to_ms, event.count
    row.trigger = to_json(definition_in(known).trigger)


@SCHEDULES.handler
def schedule_run_completed(rows: Rows, recorded: Recorded[ScheduleRunCompleted]) -> None:
    row = _finish_slot(rows, recorded, recorded.event.target_run_id)
    row.status = "ok"
    known = rows.get(SCHEDULE, recorded.event.id)
    if known is not None:
        known.last_run_at = recorded.at
        rows.put(SCHEDULE, known)


@SCHEDULES.handler
def schedule_run_failed(rows: Rows, recorded: Recorded[ScheduleRunFailed]) -> None:
    event = recorded.event
    row = _finish_slot(rows, recorded, event.target_run_id)
    row.status, row.reason, row.error_code = "failed", event.reason, event.code
    row.error = or_erased(event.error_text)
    rows.append(FAILURE, SlotFailureRow(recorded.position, row.position))


@SCHEDULES.handler
def schedule_run_triggered(rows: Rows, recorded: Recorded[ScheduleRunTriggered]) -> None:
    """Add a refusal of a manual run because another one is active. Other runs are in the row of their run."""
    if recorded.event.status == "already-running":
        row = _change_slot(rows, recorded, recorded.event.id, None, "already-running")
        row.finished_at = recorded.at


@SCHEDULES.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    failure = rows.get(FAILURE, recorded.event.target)
    if failure is not None:
        rows.change(SLOT, failure.slot).error = ERASED
    text = rows.get(TEXT, recorded.event.target)
    row = rows.get(SCHEDULE, text.schedule_id) if text else None
    if row is None:
        return
    if row.put_at == recorded.event.target:
        row.input = row.params = None
        row.put_redacted = True
    if row.note_at == recorded.event.target:
        row.note, row.note_redacted = None, True
    rows.put(SCHEDULE, row)


def _change(rows: Rows, recorded: Recorded[Event], schedule_id: str) -> ScheduleRow | None:
    """Return the row of a schedule, marked as changed."""
    row = rows.get(SCHEDULE, schedule_id)
    if row is not None:
        row.updated_at = recorded.at
        rows.put(SCHEDULE, row)
    return row


def _change_slot(
    rows: Rows, recorded: Recorded[Event], schedule_id: str, slot: int | None, status: ScheduleRunStatus
) -> SlotRow:
    """Return the row of a slot, marked as changed: the buffered one, or a new one."""
    waiting = rows.get(BUFFERED, schedule_id, slot) if slot is not None else None
    if waiting is not None:
        rows.delete(BUFFERED, schedule_id, slot)
        row = rows.need(SLOT, waiting.position)
    else:
        row = SlotRow(
            position=recorded.position,
            mark=recorded.mark,
            schedule_id=schedule_id,
            session_id=recorded.session_id,
            status=status,
            started_at=recorded.at,
            slot_ms=slot,
        )
    row.status = status
    rows.put(SLOT, row)
    known = rows.get(SCHEDULE, schedule_id)
    if known is not None and slot is not None and slot > known.cursor_ms:
        known.cursor_ms = slot
        rows.put(SCHEDULE, known)
    return row


def _finish_slot(rows: Rows, recorded: Recorded[Event], run_id: str) -> SlotRow:
    """Return the row of the slot whose run has ended, marked as changed."""
    flight = rows.need(FLIGHT, run_id)
    rows.delete(FLIGHT, run_id)
    row = rows.change(SLOT, flight.position)
    row.finished_at = recorded.at
    return row


def definition_in(row: ScheduleRow) -> ScheduleDefinition:
    """Return the definition of a row."""
    return msgspec.json.decode(row.definition, type=ScheduleDefinition)
