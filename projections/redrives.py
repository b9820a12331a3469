"""Read model of redrives: jobs that requeue dead letters, and the result for each."""

from typing import Annotated, Literal

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.domain.redrive import RedriveAdvanced, RedriveCancelled, RedriveCompleted, RedriveStarted
from athena_core.enums import RedriveDecision, RedriveStatus
from athena_core.event import Recorded, Value, says
from athena_core.protocols import Cell, Connection
from projections.engine.page import Keyset
from projections.engine.projection import Projection, Rows, Table, to_json


class RedriveRow(msgspec.Struct, gc=False):
    """A redrive. ``wanted`` is its filter as JSON."""

    redrive_id: str
    status: RedriveStatus
    wanted: str
    rate_per_second: int
    total: int
    requested_by: str
    started_at: int
    requeued: int = 0
    skipped: int = 0
    failed: int = 0
    finished_at: int | None = None


class RedriveResultRow(msgspec.Struct, gc=False):
    """The result for one dead letter, by the position of its event."""

    position: int
    redrive_id: str
    dead_letter_id: str
    result: RedriveDecision
    code: str | None
    at: int


REDRIVE = Table("redrive", RedriveRow, key=("redrive_id",))
RESULT = Table("redrive_result", RedriveResultRow, key=("position",), indexes=(("redrive_id", "position"),))
REDRIVES = Projection("redrives", version=1, tables=(REDRIVE, RESULT))

RESULTS = Keyset(kind="redrive-results", oldest_first=True)


@REDRIVES.handler
def redrive_started(rows: Rows, recorded: Recorded[RedriveStarted]) -> None:
    event = recorded.event
    row = RedriveRow(
        redrive_id=event.redrive_id,
        status="running",
        wanted=to_json(event.filter),
        rate_per_second=event.rate_per_second,
        total=event.total,
        requested_by=event.requested_by,
        started_at=recorded.at,
    )
    rows.append(REDRIVE, row)


@REDRIVES.handler
def redrive_advanced(rows: Rows, recorded: Recorded[RedriveAdvanced]) -> None:
    event = recorded.event
    row = rows.change(REDRIVE, event.redrive_id)
    setattr(row, event.result, getattr(row, event.result) + 1)
    rows.append(
        RESULT,
        RedriveResultRow(
            position=recorded.position,
            redrive_id=event.redrive_id,
            dead_letter_id=event.dead_letter_id,
            result=event.result,
            code=event.code,
            at=recorded.at,
        ),
    )


@REDRIVES.handler
def redrive_ended(rows: Rows, recorded: Recorded[RedriveCompleted | RedriveCancelled]) -> None:
    row = rows.change(REDRIVE, recorded.event.redrive_id)
    row.status = "completed" if isinstance(recorded.event, RedriveCompleted) else "cancelled"
    row.finished_at = recorded.at


class AppliedRedriveFilter(Value):
    """The filter of a redrive. Times are inclusive."""

    session_id: Annotated[str | None, says("Only dead letters of this session.")] = None
    source: Annotated[str | None, says("Only dead letters of this source.")] = None
    source_persona: str | None = None
    target_persona: str | None = None
    reason: Annotated[str | None, says("Only dead letters with this reason.")] = None
    created_after: str | None = None
    created_before: str | None = None


class RedriveResult(Value):
    """The result for one dead letter.

    ``result`` is ``requeued``, ``skipped`` (another decision came first) or ``failed``.
    """

    dead_letter_id: str
    result: RedriveDecision
    at: Annotated[str, says("When the dead letter was decided.")]
    code: Annotated[str | None, says("Why it failed; absent otherwise.")] = None


class Redrive(Value):
    """A job that requeues dead letters. ``status`` is ``running``, ``completed``, ``cancelled`` or ``dry-run``.

    ``total`` is the number of dead letters that matched at the start. ``subjectHash`` of a dry run names them.
    ``results`` is a page of the results, oldest first.
    """

    id: Annotated[str | None, says("Id; null for a dry run.")]
    status: Literal[RedriveStatus, "dry-run"]
    filter: Annotated[AppliedRedriveFilter, says("Which dead letters to requeue.")]
    rate_per_second: int
    total: int
    done: Annotated[int, says("Dead letters decided so far.")]
    requeued: int
    skipped: int
    failed: int
    requested_by: str
    results: Annotated[tuple[RedriveResult, ...], says("Page of the results, oldest first.")]
    started_at: Annotated[str | None, says("When it started; absent for a dry run.")] = None
    finished_at: str | None = None
    next_cursor: str | None = None
    subject_hash: Annotated[str | None, says("Hash of the dead letters that a dry run counted; absent otherwise.")] = (
        None
    )


def redrive_by_id(connection: Connection, redrive_id: str, *, cursor: str | None, limit: int) -> Redrive | None:
    """Return a redrive with a page of its results."""
    for values in connection.execute(REDRIVE.select, (redrive_id,)):
        row = REDRIVE.load(values)
        page = RESULTS.page(
            connection, RESULT.all, (("redrive_id = ?", redrive_id),), cursor=cursor, limit=limit, show=_to_result
        )
        return Redrive(
            id=row.redrive_id,
            status=row.status,
            filter=wanted_letters(row.wanted.encode()),
            rate_per_second=row.rate_per_second,
            total=row.total,
            done=row.requeued + row.skipped + row.failed,
            requeued=row.requeued,
            skipped=row.skipped,
            failed=row.failed,
            requested_by=row.requested_by,
            results=tuple(page.items),
            started_at=iso(row.started_at),
            finished_at=iso_or_none(row.finished_at),
            next_cursor=page.next_cursor,
        )
    return None


def wanted_letters(text: bytes) -> AppliedRedriveFilter:
    """Return the filter in its JSON form."""
    fields = msgspec.json.decode(text)
    for name in ("createdAfter", "createdBefore"):
        if name in fields:
            fields[name] = iso(fields[name])
    return msgspec.convert(fields, AppliedRedriveFilter)


def _to_result(values: tuple[Cell, ...]) -> RedriveResult:
    row = RESULT.load(values)
    return RedriveResult(dead_letter_id=row.dead_letter_id, result=row.result, at=iso(row.at), code=row.code)
