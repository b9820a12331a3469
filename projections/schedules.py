"""Read model of schedules, and of the outcome of each of their slots."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Annotated, cast

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.definitions.cron import zone
from athena_core.definitions.slots import AHEAD, due_at, last_slot, next_slot, slots_between
from athena_core.definitions.trigger import Trigger
from athena_core.enums import CatchUp, OverlapPolicy, PauseCause
from athena_core.event import Value, says
from athena_core.protocols import Connection
from projections.engine.cursor import event_id
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import to_json
from projections.schedule_rows import (
    SCHEDULE,
    SLOT,
    ScheduleRow,
    ScheduleRunReason,
    ScheduleRunStatus,
    SlotRow,
    definition_in,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SchedulePause(Value):
    """Why and since when a schedule is paused. ``runId`` is the run that failed, if the cause is ``failure``."""

    cause: Annotated[PauseCause, says("Why it is paused.")]
    since: Annotated[str, says("When it was paused.")]
    run_id: Annotated[str | None, says("Run that failed, if that is the cause.")] = None


class ScheduledTask(Value):
    """A schedule: its trigger, its target and its state.

    ``nextRunAt`` is null if no run is planned. ``buffered`` counts scheduled times that wait for a run to end.
    ``revision`` counts writes. ``input`` is null if the target is a directive, and once redacted. ``pausedBecause``
    is present while it is paused. ``redacted`` is true if a text of it was erased.
    """

    schema_version: int
    id: str
    session_id: Annotated[str | None, says("Session of its runs; null without one.")]
    input: Annotated[str | None, says("Text of the task; null if the target is another, and once redacted.")]
    enabled: bool
    paused: bool
    running: Annotated[bool, says("True while a run is active.")]
    overlap_policy: OverlapPolicy
    catch_up: CatchUp
    catch_up_window_seconds: int
    pause_on_failure: bool
    jitter_seconds: int
    buffered: Annotated[int, says("Scheduled times that wait for a run to end.")]
    revision: Annotated[int, says("Number of writes.")]
    created_at: str
    updated_at: str
    updated_by: str
    next_run_at: Annotated[str | None, says("When it runs next; null if no run is planned.")]
    last_run_at: Annotated[str | None, says("When a run last completed; absent before one.")] = None
    every_minutes: int | None = None
    cron: str | None = None
    timezone: str | None = None
    run_at: str | None = None
    start_at: str | None = None
    end_at: str | None = None
    directive_id: str | None = None
    harness_profile_id: str | None = None
    run_template_id: str | None = None
    params: Annotated[dict[str, str] | None, says("Values of the template's parameters; absent without them.")] = None
    workflow_id: str | None = None
    note: Annotated[str | None, says("Reason of the last pause or resume; absent without one.")] = None
    paused_because: Annotated[SchedulePause | None, says("Why it is paused; absent if it is not.")] = None
    redacted: bool | None = None


class ScheduleRunLog(Value):
    """The outcome of one scheduled time, or of a manual run, which has no ``nominalTime``.

    ``nominalTime`` is when it was due. ``startedAt`` is when it ran, or when it was decided that it would not.
    ``status`` is one of running, buffered, ok, failed, already-running, skipped. ``reason`` explains a status other
    than ok. Times that come due during a pause are recorded when it ends. Until then ``startedAt`` equals
    ``nominalTime``, and ``id`` is valid as a cursor only.
    """

    id: str
    schedule_id: str
    session_id: Annotated[str | None, says("Session of the run; null without one.")]
    started_at: Annotated[str, says("When it ran, or when it was decided that it would not.")]
    status: ScheduleRunStatus
    finished_at: str | None = None
    nominal_time: Annotated[str | None, says("When it was due; absent for a manual run.")] = None
    reason: Annotated[ScheduleRunReason | None, says("Why it did not end with `ok`; absent otherwise.")] = None
    run_id: Annotated[str | None, says("Its run or workflow run; absent without one.")] = None
    error: Annotated[str | None, says("Text of the error; absent without one.")] = None
    error_code: str | None = None


class FireTime(Value):
    """A scheduled time, in UTC and in local time of the schedule's timezone (UTC by default)."""

    utc: Annotated[str, says("Time in UTC.")]
    local: Annotated[str, says("Local time with its offset.")]


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
SELECT_LAST = "SELECT position, mark FROM schedule_slot WHERE schedule_id = ? ORDER BY position DESC LIMIT 1"
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
    return times_of(definition_in(row).trigger, begin, count)


def times_of(trigger: Trigger, begin: int, count: int) -> list[FireTime]:
    """Return the next slots of a trigger from a time on, within ten years."""
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
    connection: Connection, log_id: str, schedule_id: str, now: int, *, after: tuple[int, int] | None, limit: int
) -> list[ScheduleRunLog]:
    """Return log entries: the newest ones, newest first, or those that follow an entry.

    ``after`` is a position, and for one of several missed slots the slot (otherwise 0). Slots that came due during a
    pause until ``now`` (milliseconds since 1970 UTC) are the newest.
    """
    open_pause = _open_pause(connection, schedule_id, now)
    if after is None:
        newest = (SLOT.load(values) for values in connection.execute(SELECT_NEWEST, (schedule_id, limit)))
        rows = chain(() if open_pause is None else (open_pause,), newest)
        return list(islice((entry for row in rows for entry in _newest_first(row, log_id)), limit))
    position, slot = after
    entries: list[ScheduleRunLog] = []
    following = (SLOT.load(values) for values in connection.execute(SELECT_AFTER, (schedule_id, position, limit + 1)))
    for row in chain(following, () if open_pause is None else (open_pause,)):
        if row.position > position or (slot and row.to_ms is not None) or row is open_pause:
            entries += _oldest_first(row, log_id, slot, limit - len(entries))
        if len(entries) >= limit:
            break
    return entries[::-1]


def _open_pause(connection: Connection, schedule_id: str, now: int) -> SlotRow | None:
    """Return the slots that came due during a pause until ``now``, as a row that is not stored.

    It has the id of the newest entry or, if that is later, of the pause: the place after which these slots follow.
    """
    known = SCHEDULE.one(connection, schedule_id)
    if known is None or not known.enabled or not known.paused:
        return None
    trigger = definition_in(known).trigger
    last = last_slot(trigger, known.cursor_ms, now)
    if last is None:
        return None
    position, mark = known.pause_position, known.pause_mark
    for newest, its_mark in connection.execute(SELECT_LAST, (schedule_id,)):
        if int(newest or 0) > position:
            position, mark = int(newest or 0), bytes(its_mark)  # type: ignore[arg-type]
    return SlotRow(
        position=position,
        mark=mark,
        schedule_id=schedule_id,
        session_id=definition_in(known).target.session_id,
        status="skipped",
        started_at=0,
        slot_ms=known.cursor_ms + 1,
        to_ms=last,
        trigger=to_json(trigger),
        reason="paused",
    )


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
    decided = row.started_at or nominal or 0
    return ScheduleRunLog(
        id=event_id(log_id, row.position, row.mark) + of_many,
        schedule_id=row.schedule_id,
        session_id=row.session_id,
        started_at=iso(decided),
        status=row.status,
        finished_at=iso_or_none(row.finished_at if row.started_at else decided),
        nominal_time=iso_or_none(nominal),
        reason=row.reason,
        run_id=row.run_id,
        error=row.error,
        error_code=row.error_code,
    )


def _to_view(connection: Connection, row: ScheduleRow) -> ScheduledTask:
    definition = definition_in(row)
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
        paused_because=_to_pause(row) if row.paused else None,
        redacted=row.put_redacted or row.note_redacted or None,
    )


def _to_pause(row: ScheduleRow) -> SchedulePause:
    return SchedulePause(cause=cast(PauseCause, row.pause_cause), since=iso(row.pause_at), run_id=row.pause_run_id)


def _count(connection: Connection, statement: str, row: ScheduleRow) -> int:
    (values,) = connection.execute(statement, (row.schedule_id,))
    return int(values[0])  # type: ignore[arg-type]
