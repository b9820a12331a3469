"""Read model of schedules, and of the outcome of each of their slots."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from athena_core.clock import iso, iso_or_none
from athena_core.definitions.cron import zone
from athena_core.definitions.schedule_definition import CatchUp, OverlapPolicy, ScheduleDefinition
from athena_core.definitions.slots import AHEAD, due_at, last_slot, next_slot, slots_between
from athena_core.definitions.trigger import Trigger
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
from athena_core.event import Event, Recorded, Value
from athena_core.protocols import Connection
from athena_core.text import ERASED, or_erased
from projections.engine.cursor import event_id
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json, to_json_or_null

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ScheduleRow(msgspec.Struct, gc=False):
    """A schedule. ``position`` is where it was created; slots up to ``cursor_ms`` are decided.

    Definition and parameters are JSON. The texts that ``put_at`` and ``note_at`` locate are NULL once redacted.
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
    status: str
    started_at: int
    finished_at: int | None = None
    slot_ms: int | None = None
    to_ms: int | None = None
    slots: int = 1
    trigger: str | None = None
    reason: str | None = None
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
SCHEDULES = Projection("schedules", version=2, tables=(SCHEDULE, TEXT, SLOT, FLIGHT, BUFFERED, FAILURE))


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
            definition = _definition(row)
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
        row.note, row.note_at = recorded.event.note, recorded.position
        rows.append(TEXT, ScheduleTextRow(recorded.position, recorded.event.id))


@SCHEDULES.handler
def schedule_run_started(rows: Rows, recorded: Recorded[ScheduleRunStarted]) -> None:
    event = recorded.event
    row = _change_slot(rows, recorded, event.id, event.slot_ms)
    row.status, row.run_id, row.started_at = "running", event.target_run_id, recorded.at
    rows.put(FLIGHT, RunningSlotRow(event.target_run_id, schedule_id=event.id, position=row.position))


@SCHEDULES.handler
def schedule_run_buffered(rows: Rows, recorded: Recorded[ScheduleRunBuffered]) -> None:
    event = recorded.event
    row = _change_slot(rows, recorded, event.id, event.slot_ms)
    row.status = "buffered"
    rows.put(BUFFERED, BufferedSlotRow(event.id, event.slot_ms, position=row.position))


@SCHEDULES.handler
def schedule_run_skipped(rows: Rows, recorded: Recorded[ScheduleRunSkipped]) -> None:
    row = _change_slot(rows, recorded, recorded.event.id, recorded.event.slot_ms)
    row.status, row.reason, row.finished_at = "skipped", recorded.event.reason, recorded.at


@SCHEDULES.handler
def schedule_slots_missed(rows: Rows, recorded: Recorded[ScheduleSlotsMissed]) -> None:
    """Add a range of slots that will not run. The current trigger determines which they are."""
    event = recorded.event
    known = rows.need(SCHEDULE, event.id)
    row = _change_slot(rows, recorded, event.id, event.to_ms)
    row.status, row.reason, row.finished_at = "skipped", event.reason, recorded.at
    row.slot_ms, row.to_ms, row.slots = event.from_ms, event.to_ms, event.count
    row.trigger = to_json(_definition(known).trigger)


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
        row = _change_slot(rows, recorded, recorded.event.id, None)
        row.status, row.finished_at = recorded.event.status, recorded.at


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
    if row.note_at == recorded.event.target:
        row.note = None
    rows.put(SCHEDULE, row)


def _change(rows: Rows, recorded: Recorded[Event], schedule_id: str) -> ScheduleRow | None:
    """Return the row of a schedule, marked as changed."""
    row = rows.get(SCHEDULE, schedule_id)
    if row is not None:
        row.updated_at = recorded.at
        rows.put(SCHEDULE, row)
    return row


def _change_slot(rows: Rows, recorded: Recorded[Event], schedule_id: str, slot: int | None) -> SlotRow:
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
            status="",
            started_at=recorded.at,
            slot_ms=slot,
        )
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


def _definition(row: ScheduleRow) -> ScheduleDefinition:
    return msgspec.json.decode(row.definition, type=ScheduleDefinition)


class ScheduledTask(Value):
    """A schedule: its trigger, its target and its state.

    ``nextRunAt`` is null if no run is planned. ``buffered`` counts scheduled times that wait for a run to end.
    ``revision`` counts writes. ``input`` is null if the target is a directive, and once redacted.
    """

    schema_version: int
    id: str
    session_id: str | None
    input: str | None
    enabled: bool
    paused: bool
    running: bool
    overlap_policy: OverlapPolicy
    catch_up: CatchUp
    catch_up_window_seconds: int
    pause_on_failure: bool
    jitter_seconds: int
    buffered: int
    revision: int
    created_at: str
    updated_at: str
    updated_by: str
    next_run_at: str | None
    last_run_at: str | None = None
    every_minutes: int | None = None
    cron: str | None = None
    timezone: str | None = None
    run_at: str | None = None
    start_at: str | None = None
    end_at: str | None = None
    directive_id: str | None = None
    harness_profile_id: str | None = None
    run_template_id: str | None = None
    params: dict[str, str] | None = None
    workflow_id: str | None = None
    note: str | None = None


class ScheduleRunLog(Value):
    """The outcome of one scheduled time, or of a manual run, which has no ``nominalTime``.

    ``nominalTime`` is when it was due. ``startedAt`` is when it ran, or when it was decided that it would not.
    ``status`` is one of running, buffered, ok, failed, already-running, skipped. ``reason`` explains a status other
    than ok.
    """

    id: str
    schedule_id: str
    session_id: str | None
    started_at: str
    status: str
    finished_at: str | None = None
    nominal_time: str | None = None
    reason: str | None = None
    run_id: str | None = None
    error: str | None = None
    error_code: str | None = None


class FireTime(Value):
    """A scheduled time, in UTC and in local time of the schedule's timezone (UTC by default)."""

    utc: str
    local: str


class ScheduleCounts(Value):
    """The number of schedules by state. A disabled one is not counted as paused."""

    enabled: int
    paused: int
    disabled: int


LIST = Keyset(kind="schedules", oldest_first=True)
SELECT_LIST = SCHEDULE.all.replace("SELECT schedule_id", "SELECT position, schedule_id", 1)
SELECT_FLIGHTS = "SELECT count(*) FROM schedule_flight WHERE schedule_id = ?"
SELECT_WAITING = "SELECT count(*) FROM schedule_buffered WHERE schedule_id = ?"
SELECT_NEWEST = f"{SLOT.all} WHERE schedule_id = ? ORDER BY position DESC LIMIT ?"
SELECT_AFTER = f"{SLOT.all} WHERE schedule_id = ? AND position >= ? ORDER BY position LIMIT ?"
SELECT_BY_RUN = f"{SLOT.all} WHERE run_id = ?"
SELECT_COUNTS = (
    "SELECT coalesce(sum(enabled * (1 - paused)), 0), coalesce(sum(enabled * paused), 0),"
    " coalesce(sum(1 - enabled), 0) FROM schedule"
)


def schedule_by_id(connection: Connection, schedule_id: str) -> ScheduledTask | None:
    row = SCHEDULE.one(connection, schedule_id)
    return None if row is None else _to_view(connection, row)


def list_schedules(connection: Connection, *, cursor: str | None, limit: int) -> Page[ScheduledTask]:
    """Return a page of schedules in the order of their creation."""
    return LIST.page(
        connection,
        SELECT_LIST,
        (),
        cursor=cursor,
        limit=limit,
        show=lambda values: _to_view(connection, SCHEDULE.load(values[1:])),
    )


def preview(connection: Connection, schedule_id: str, begin: int, count: int) -> list[FireTime] | None:
    """Return the next slots of a schedule from a time on, within ten years; None if it does not exist."""
    row = SCHEDULE.one(connection, schedule_id)
    if row is None:
        return None
    trigger = _definition(row).trigger
    wall = zone(trigger.timezone or "UTC")
    return [
        FireTime(utc=iso(slot), local=(EPOCH + timedelta(milliseconds=slot)).astimezone(wall).isoformat())
        for slot in slots_between(trigger, begin - 1, begin + AHEAD, count)
    ]


def schedule_counts(connection: Connection) -> ScheduleCounts:
    (values,) = connection.execute(SELECT_COUNTS)
    enabled, paused, disabled = map(int, values)  # type: ignore[arg-type]
    return ScheduleCounts(enabled=enabled, paused=paused, disabled=disabled)


def slot_by_run(connection: Connection, log_id: str, run_id: str) -> ScheduleRunLog | None:
    """Return the log entry of a run."""
    return first(connection, SELECT_BY_RUN, (run_id,), lambda values: _to_log(SLOT.load(values), log_id))


def schedule_logs(
    connection: Connection, log_id: str, schedule_id: str, *, after: tuple[int, int] | None, limit: int
) -> list[ScheduleRunLog]:
    """Return log entries: the newest ones, newest first, or those that follow an entry.

    ``after`` is a position, and for one of several missed slots the slot (otherwise 0).
    """
    entries: list[ScheduleRunLog] = []
    if after is None:
        for values in connection.execute(SELECT_NEWEST, (schedule_id, limit)):
            for entry in _newest_first(SLOT.load(values), log_id):
                entries.append(entry)
                if len(entries) == limit:
                    return entries
        return entries
    position, slot = after
    for values in connection.execute(SELECT_AFTER, (schedule_id, position, limit + 1)):
        row = SLOT.load(values)
        if row.position > position:
            entries += _oldest_first(row, log_id, 0, limit - len(entries))
        elif slot and row.to_ms is not None:
            entries += _oldest_first(row, log_id, slot, limit)
        if len(entries) >= limit:
            break
    return entries[:limit][::-1]


def _newest_first(row: SlotRow, log_id: str) -> Iterator[ScheduleRunLog]:
    """Yield the entries of a row, newest first."""
    if row.trigger is None or row.slot_ms is None or row.to_ms is None:
        yield _to_log(row, log_id)
        return
    trigger = msgspec.json.decode(row.trigger, type=Trigger)
    slot = last_slot(trigger, row.slot_ms - 1, row.to_ms)
    while slot is not None:
        yield _to_log(row, log_id, slot)
        slot = last_slot(trigger, row.slot_ms - 1, slot - 1)


def _oldest_first(row: SlotRow, log_id: str, after: int, limit: int) -> list[ScheduleRunLog]:
    """Return the first entries of a row after a slot, oldest first."""
    if row.trigger is None or row.slot_ms is None or row.to_ms is None:
        return [_to_log(row, log_id)]
    trigger = msgspec.json.decode(row.trigger, type=Trigger)
    slots = slots_between(trigger, max(after, row.slot_ms - 1), row.to_ms, limit)
    return [_to_log(row, log_id, slot) for slot in slots]


def _to_log(row: SlotRow, log_id: str, slot: int | None = None) -> ScheduleRunLog:
    of_many = "" if slot is None else f".{slot}"
    nominal = row.slot_ms if slot is None else slot
    return ScheduleRunLog(
        id=event_id(log_id, row.position, row.mark) + of_many,
        schedule_id=row.schedule_id,
        session_id=row.session_id,
        started_at=iso(row.started_at),
        status=row.status,
        finished_at=iso_or_none(row.finished_at),
        nominal_time=iso_or_none(nominal),
        reason=row.reason,
        run_id=row.run_id,
        error=row.error,
        error_code=row.error_code,
    )


def _to_view(connection: Connection, row: ScheduleRow) -> ScheduledTask:
    definition = _definition(row)
    trigger, target = definition.trigger, definition.target
    slot = next_slot(trigger, row.cursor_ms) if row.enabled and not row.paused else None
    return ScheduledTask(
        schema_version=1,
        id=row.schedule_id,
        session_id=target.session_id,
        input=row.input,
        enabled=row.enabled,
        paused=row.paused,
        running=_count(connection, SELECT_FLIGHTS, row) > 0,
        overlap_policy=definition.overlap_policy,
        catch_up=definition.catch_up,
        catch_up_window_seconds=definition.catch_up_window_seconds,
        pause_on_failure=definition.pause_on_failure,
        jitter_seconds=trigger.jitter_seconds,
        buffered=_count(connection, SELECT_WAITING, row),
        revision=row.revision,
        created_at=iso(row.created_at),
        updated_at=iso(row.updated_at),
        updated_by=row.updated_by,
        next_run_at=None if slot is None else iso(due_at(trigger, row.schedule_id, slot)),
        last_run_at=iso_or_none(row.last_run_at),
        every_minutes=trigger.every_minutes,
        cron=trigger.cron,
        timezone=trigger.timezone,
        run_at=iso_or_none(trigger.run_at_ms),
        start_at=iso_or_none(trigger.start_at_ms),
        end_at=iso_or_none(trigger.end_at_ms),
        directive_id=target.directive_id,
        harness_profile_id=target.harness_profile_id,
        run_template_id=target.run_template_id,
        params=None if row.params is None else msgspec.json.decode(row.params, type=dict[str, str]),
        workflow_id=target.workflow_id,
        note=row.note,
    )


def _count(connection: Connection, statement: str, row: ScheduleRow) -> int:
    (values,) = connection.execute(statement, (row.schedule_id,))
    return int(values[0])  # type: ignore[arg-type]
