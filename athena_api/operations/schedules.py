"""Operations on schedules: write, run and preview them, and read their logs."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec.structs import replace

from athena_api.endpoint.body import Time
from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.definitions.schedule_definition import ScheduleBody, ScheduleSpec, parse_instant, trigger_of
from athena_core.definitions.slots import PREVIEW_SLOTS_MAX, check_ahead, check_distance
from athena_core.definitions.trigger import INSTANT_MAX, EveryMinutes, Expression, Trigger, ZoneName
from athena_core.domain import schedule, workflow_run
from athena_core.errors import CursorInvalid
from athena_core.event import Value, says
from athena_core.protocols import Connection
from athena_core.services.schedules.schedules import RunScheduleBody
from athena_core.values import Body, Label
from projections import feed, schedules
from projections.engine.page import Page
from projections.schedule_rows import ScheduleRunReason, ScheduleRunStatus

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.submission import Committed


class PreviewQuery(Value):
    """The number of scheduled times to compute, and the time to start from, now by default.

    The others are fields of a schedule as it would be written. With one of them, it need not exist.
    """

    count: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=PREVIEW_SLOTS_MAX)] | None, says("Times to compute; absent: 10.")
    ] = None
    begin: Annotated[Time | None, says("Time to start at; absent: now.")] = msgspec.field(default=None, name="from")
    every_minutes: EveryMinutes | None = None
    cron: Expression | None = None
    timezone: ZoneName | None = None
    run_at: Label | None = None
    start_at: Label | None = None
    end_at: Label | None = None


PREVIEW_SLOTS_DEFAULT = 10
UNWRITTEN = tuple(name for name in PreviewQuery.__struct_fields__ if name in ScheduleSpec.__struct_fields__)
"""The fields of a schedule that say when it runs."""


class ScheduleNote(Body):
    """The reason for pausing or resuming a schedule."""

    note: Label | None = None


class TickBody(RunScheduleBody, kw_only=True):
    """Overrides for the runs of a tick. ``at`` replaces the current time (ISO-8601 with an offset)."""

    at: Annotated[Label | None, says("Time to use instead of now.")] = None


class RemovedSchedule(Value):
    """Result of a delete: ``removed`` is false if the schedule did not exist."""

    id: Annotated[str, says("Id of the schedule.")]
    removed: bool


class UpdatedSchedule(Value):
    """Result of a change: ``updated`` is false if nothing changed, and ``schedule`` is absent if there is none."""

    id: str
    updated: bool
    schedule: Annotated[schedules.ScheduledTask | None, says("The schedule; absent if it does not exist.")] = None


class ScheduleRunResult(Value):
    """Result of one run of a schedule.

    ``status`` is ok, failed, already-running, or running if the answer did not wait for the end. ``reason`` says why a
    run failed for a cause outside of the schedule.
    """

    status: ScheduleRunStatus
    id: Annotated[str, says("Id of the schedule.")]
    session_id: Annotated[str | None, says("Session of the run; null without one.")]
    started_at: Annotated[str, says("When it ran, or when it was refused.")]
    finished_at: str | None = None
    error: Annotated[str | None, says("Text of the error; absent without one.")] = None
    error_code: str | None = None
    reason: Annotated[ScheduleRunReason | None, says("Why it did not end with `ok`; absent otherwise.")] = None
    run_id: Annotated[str | None, says("Its run or workflow run; absent without one.")] = None


class TickResult(Value):
    """Result of a tick: the runs that it started, and the number of schedules that it skipped."""

    at: Annotated[str, says("Time of the tick.")]
    run: Annotated[list[ScheduleRunResult], says("Runs that it started.")]
    skipped: int


async def create_schedule(plane: "ControlPlane", call: ApiCall[ScheduleBody, NoQuery]) -> Reply:
    """Create a schedule, or replace the one with this id. An identical schedule changes nothing."""
    return await _put(plane, call.body.id, call.body, call)


async def update_schedule(plane: "ControlPlane", call: ApiCall[ScheduleSpec, NoQuery]) -> Reply:
    """Replace a whole schedule, or create it. An identical schedule changes nothing."""
    return await _put(plane, call.path["scheduleId"], call.body, call)


async def _put(plane: "ControlPlane", schedule_id: str, spec: ScheduleSpec, call: ApiCall[Any, NoQuery]) -> Reply:
    done = await plane.schedules.put(schedule_id, spec, call.meta, call.key, call.scope)
    task, position = await _schedule_at(plane, schedule_id, done)
    return Reply(data=existing(task, "schedule", schedule_id), position=position, replayed=done.replayed)


async def _schedule_at(
    plane: "ControlPlane", schedule_id: str, done: "Committed[object]"
) -> tuple[schedules.ScheduledTask | None, int]:
    return await plane.read(("schedules",), done.position, lambda rows: schedules.schedule_by_id(rows, schedule_id))


async def delete_schedule(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Delete a schedule. Its runs in progress continue, and its log is kept."""
    schedule_id = call.path["scheduleId"]
    done = await plane.schedules.change(schedule_id, schedule.RemoveSchedule(id=schedule_id), call.meta, call.key)
    return Reply(
        data=RemovedSchedule(id=schedule_id, removed=done.answer.exists), position=done.position, replayed=done.replayed
    )


async def enable_schedule(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Enable a schedule. Its next time is computed from now on."""
    schedule_id = call.path["scheduleId"]
    return await _change(plane, schedule_id, schedule.EnableSchedule(id=schedule_id), call)


async def disable_schedule(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Disable a schedule. Nothing is due or logged until it is enabled again."""
    schedule_id = call.path["scheduleId"]
    return await _change(plane, schedule_id, schedule.DisableSchedule(id=schedule_id), call)


async def pause_schedule(plane: "ControlPlane", call: ApiCall[ScheduleNote, NoQuery]) -> Reply:
    """Pause a schedule. Due times are logged as skipped. `note` records the reason."""
    schedule_id = call.path["scheduleId"]
    return await _change(plane, schedule_id, schedule.PauseSchedule(id=schedule_id, note=call.body.note), call)


async def resume_schedule(plane: "ControlPlane", call: ApiCall[ScheduleNote, NoQuery]) -> Reply:
    """Resume a paused schedule. Times that came due during the pause are not run."""
    schedule_id = call.path["scheduleId"]
    return await _change(plane, schedule_id, schedule.ResumeSchedule(id=schedule_id, note=call.body.note), call)


async def _change(
    plane: "ControlPlane", schedule_id: str, command: schedule.ScheduleCommand, call: ApiCall[Any, NoQuery]
) -> Reply:
    done = await plane.schedules.change(schedule_id, command, call.meta, call.key)
    task, position = await _schedule_at(plane, schedule_id, done)
    data = UpdatedSchedule(id=schedule_id, updated=done.answer.updated, schedule=task)
    return Reply(data=data, position=position, replayed=done.replayed)


async def run_schedule(plane: "ControlPlane", call: ApiCall[RunScheduleBody, NoQuery]) -> Reply:
    """Run a schedule once now, besides its regular times. Waits for the end unless `Prefer: respond-async` is sent."""
    schedule_id = call.path["scheduleId"]
    done = await plane.schedules.run(schedule_id, call.body, call.who, call.meta, call.key, wait=call.wait)
    run_id, log_id = done.subject or "", plane.log.log_id
    if not run_id:
        logs, position = await plane.read(
            ("schedules",),
            done.position,
            lambda rows: schedules.schedule_logs(rows, log_id, schedule_id, 0, after=(done.position - 1, 0), limit=1),
        )
        return Reply(data=_to_result(logs[0]), position=position, replayed=done.replayed)
    entry, position = await plane.read(
        ("schedules",), plane.reader.head(), lambda rows: schedules.slot_by_run(rows, log_id, run_id)
    )
    result = _to_result(existing(entry, "run", run_id))
    status = 200 if call.wait and result.status != "running" else 202
    location = f"/workflows/run/{run_id}" if workflow_run.DECIDER.owns(run_id) else f"/runs/{run_id}"
    return Reply(data=result, position=position, status=status, location=location, replayed=done.replayed)


async def tick_schedules(plane: "ControlPlane", call: ApiCall[TickBody, NoQuery]) -> Reply:
    """Run all schedules that are due, as the server's own timer does, and wait for these runs to end."""
    asked = RunScheduleBody(provider=call.body.provider, model=call.body.model)
    at = None if call.body.at is None else parse_instant("at", call.body.at)
    done = await plane.schedules.tick(at, asked, call.meta, call.key)
    ticked, log_id = done.answer, plane.log.log_id

    def read(rows: Connection) -> list[ScheduleRunResult]:
        entries = (schedules.slot_by_run(rows, log_id, run_id) for _, run_id in ticked.runs)
        return [_to_result(entry) for entry in entries if entry is not None]

    results, position = await plane.read(("schedules",), plane.reader.head(), read)
    data = TickResult(at=ticked.at, run=results, skipped=ticked.skipped)
    return Reply(data=data, position=position, replayed=done.replayed)


def _to_result(entry: schedules.ScheduleRunLog) -> ScheduleRunResult:
    return ScheduleRunResult(
        status=entry.status,
        id=entry.schedule_id,
        session_id=entry.session_id,
        started_at=entry.started_at,
        finished_at=entry.finished_at,
        error=entry.error,
        error_code=entry.error_code,
        reason=entry.reason,
        run_id=entry.run_id,
    )


async def list_schedules(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List schedules in the order of their creation."""
    page, position = await plane.query(
        ("schedules",), lambda rows: schedules.list_schedules(rows, cursor=call.cursor, limit=call.limit)
    )
    return Reply(data=page, position=position)


async def get_schedule(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a schedule."""
    schedule_id = call.path["scheduleId"]
    task, position = await plane.query(("schedules",), lambda rows: schedules.schedule_by_id(rows, schedule_id))
    return Reply(data=existing(task, "schedule", schedule_id), position=position)


async def get_schedule_logs(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List the executions of a schedule, including skipped ones, newest first."""
    schedule_id, log_id = call.path["scheduleId"], plane.log.log_id
    after = None if call.cursor is None else _parse_cursor(plane, call.cursor)
    logs, position = await plane.query(
        ("schedules",),
        lambda rows: schedules.schedule_logs(
            rows, log_id, schedule_id, plane.clock.now(), after=after, limit=call.limit
        ),
    )
    return Reply(data=logs, position=position)


def _parse_cursor(plane: "ControlPlane", text: str) -> tuple[int, int]:
    """Return the position of a log entry, and its scheduled time if its event has several. Raise CursorInvalid."""
    event, dot, slot = text.partition(".")
    if dot and not (slot.isascii() and slot.isdigit() and int(slot[:16]) <= INSTANT_MAX and len(slot) <= 16):
        raise CursorInvalid("The cursor is not the id of an entry of this log. Start without a cursor.")
    return feed.resolve(feed.parse_cursor(event), plane.reader), int(slot or 0)


async def preview_schedule(plane: "ControlPlane", call: ApiCall[NoBody, PreviewQuery]) -> Reply:
    """List the next times of a schedule, up to ten years ahead, even if it is disabled.

    With fields of a schedule, such as `cron`, these are the times that it would have if it were written now.
    """
    schedule_id, query = call.path["scheduleId"], call.query
    now = plane.clock.now()
    begin = now if query.begin is None else max(query.begin, 0)
    if trigger := _unwritten(query, now, plane.settings.schedule_minutes_min):
        drafted = schedules.times_of(trigger, max(begin, now + 1), query.count or PREVIEW_SLOTS_DEFAULT)
        return Reply(data=Page(items=drafted), position=call.position)
    times, position = await plane.query(
        ("schedules",),
        lambda rows: schedules.preview(rows, schedule_id, begin, query.count or PREVIEW_SLOTS_DEFAULT),
    )
    return Reply(data=Page(items=existing(times, "schedule", schedule_id)), position=position)


def _unwritten(query: PreviewQuery, now: int, minutes_min: int) -> Trigger | None:
    """Return the trigger that the query describes, if it does, as a write would store it. Raise ConfigError."""
    times = {name: getattr(query, name) for name in UNWRITTEN}
    if not any(times.values()):
        return None
    trigger = trigger_of(ScheduleSpec(**times))
    _, anchor = schedule.from_now_on(trigger, 0, now)
    trigger = replace(trigger, anchor_ms=anchor)
    check_ahead(trigger, now)
    check_distance(trigger, now, minutes_min)
    return trigger


row = Noun("schedules", reads=("schedules",), word="schedules").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "schedules.list",
        "GET /schedules",
        list_schedules,
        answer=Page[schedules.ScheduledTask],
        paging="cursor",
        mcp="list_schedules",
    ),
    row("schedules.create", "POST /schedules", create_schedule, answer=schedules.ScheduledTask),
    row("schedules.tick", "POST /schedules/tick", tick_schedules, answer=TickResult),
    row("schedules.get", "GET /schedules/:scheduleId", get_schedule, answer=schedules.ScheduledTask),
    row(
        "schedules.update",
        "PUT /schedules/:scheduleId",
        update_schedule,
        answer=schedules.ScheduledTask,
    ),
    row(
        "schedules.delete",
        "DELETE /schedules/:scheduleId",
        delete_schedule,
        answer=RemovedSchedule,
    ),
    row(
        "schedules.run",
        "POST /schedules/:scheduleId/run",
        run_schedule,
        answer=ScheduleRunResult,
        accepted=ScheduleRunResult,
        errors=("NOT_FOUND", "PROVIDER_NOT_FOUND"),
    ),
    row("schedules.enable", "POST /schedules/:scheduleId/enable", enable_schedule, answer=UpdatedSchedule),
    row("schedules.disable", "POST /schedules/:scheduleId/disable", disable_schedule, answer=UpdatedSchedule),
    row(
        "schedules.pause",
        "POST /schedules/:scheduleId/pause",
        pause_schedule,
        answer=UpdatedSchedule,
        errors=("NOT_FOUND",),
    ),
    row(
        "schedules.resume",
        "POST /schedules/:scheduleId/resume",
        resume_schedule,
        answer=UpdatedSchedule,
        errors=("NOT_FOUND",),
    ),
    row(
        "schedules.logs",
        "GET /schedules/:scheduleId/logs",
        get_schedule_logs,
        answer=list[schedules.ScheduleRunLog],
        errors=("CURSOR_FOREIGN", "CURSOR_AHEAD"),
        paging="tail",
    ),
    row(
        "schedules.preview",
        "GET /schedules/:scheduleId/preview",
        preview_schedule,
        answer=Page[schedules.FireTime],
        errors=("NOT_FOUND",),
    ),
)
