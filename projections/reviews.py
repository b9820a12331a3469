"""Read model of reviews by personas."""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.review import PersonaRunCompleted, PersonaRunRepairRequested, PersonaRunStarted
from athena_core.enums import MergeGate
from athena_core.event import Recorded, Value, says
from athena_core.protocols import Cell, Connection
from projections.engine.page import Keyset, Page
from projections.engine.projection import Projection, Rows, Table, to_json

PREFIX = "persona:"


PersonaRunStatus: TypeAlias = Literal["running", "ok", "failed"]


class ReviewRow(msgspec.Struct, gc=False):
    """A review. ``began`` is the position of its first event; ``artifacts`` is JSON."""

    run_id: str
    began: int
    persona_name: str
    session_id: str
    status: PersonaRunStatus
    repo_path: str
    head_ref: str
    base_ref: str
    created_at: int
    repair_run_id: str | None = None
    finished_at: int | None = None
    merge_gate: MergeGate | None = None
    p1: int | None = None
    p2: int | None = None
    p3: int | None = None
    artifacts: str | None = None


class ReviewResultRow(msgspec.Struct, gc=False):
    """The result of a review as JSON, by the position of its end; NULL once redacted."""

    position: int
    run_id: str
    result: str | None


REVIEW = Table("persona_run", ReviewRow, key=("run_id",), indexes=(("began",), ("persona_name", "began")))
RESULT = Table("persona_result", ReviewResultRow, key=("position",), indexes=(("run_id",),))
REVIEWS = Projection("personas", version=1, tables=(REVIEW, RESULT))

SELECT_RUNS = f"SELECT began, {', '.join(REVIEW.columns)} FROM persona_run"
SELECT_RESULT = "SELECT result FROM persona_result WHERE run_id = ?"


@REVIEWS.handler
def review_started(rows: Rows, recorded: Recorded[PersonaRunStarted]) -> None:
    event = recorded.event
    rows.append(
        REVIEW,
        ReviewRow(
            run_id=recorded.stream.removeprefix(PREFIX),
            began=recorded.position,
            persona_name=event.persona_name,
            session_id=recorded.session_id or "",
            status="running",
            repo_path=event.repo_path,
            head_ref=event.head_ref,
            base_ref=event.base_ref,
            created_at=recorded.at,
        ),
    )


@REVIEWS.handler
def repair_requested(rows: Rows, recorded: Recorded[PersonaRunRepairRequested]) -> None:
    row = rows.change(REVIEW, recorded.stream.removeprefix(PREFIX))
    row.repair_run_id = recorded.event.repair_run_id


@REVIEWS.handler
def review_completed(rows: Rows, recorded: Recorded[PersonaRunCompleted]) -> None:
    event = recorded.event
    row = rows.change(REVIEW, recorded.stream.removeprefix(PREFIX))
    row.status, row.merge_gate, row.finished_at = event.status, event.merge_gate, recorded.at
    row.p1, row.p2, row.p3 = event.p1, event.p2, event.p3
    row.artifacts = to_json(event.artifacts)
    rows.append(RESULT, ReviewResultRow(position=recorded.position, run_id=row.run_id, result=event.result))


@REVIEWS.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    rows.erase(RESULT, recorded.event.target, "result")


class FindingCounts(Value):
    """The number of findings by priority."""

    p1: int
    p2: int
    p3: int


class PersonaRun(Value):
    """A review by a persona. ``status`` is running, ok or failed."""

    run_id: str
    persona_name: str
    session_id: str
    status: PersonaRunStatus
    repo_path: str
    head_ref: str
    base_ref: str
    created_at: str
    finished_at: str | None = None
    repair_run_id: str | None = None
    merge_gate: MergeGate | None = None
    findings: Annotated[FindingCounts | None, says("Number of findings; absent before the end.")] = None
    artifacts: dict[str, Any] | None = None


class PersonaRunDetails(PersonaRun, kw_only=True):
    """A review by a persona with its result, which is null while it is running and once redacted.

    ``redacted`` is true if the result was erased.
    """

    result: Annotated[dict[str, Any] | None, says("The result; absent while it runs and once redacted.")] = None
    redacted: bool | None = None


NEWEST = Keyset(kind="persona-runs", columns=(("began", "began", int),))


def list_reviews(
    connection: Connection, *, persona_name: str | None, status: str | None, cursor: str | None, limit: int
) -> Page[PersonaRun]:
    where = (("persona_name = ?", persona_name), ("status = ?", status))
    return NEWEST.page(
        connection, SELECT_RUNS, where, cursor=cursor, limit=limit, show=lambda row: PersonaRun(**_fields(row[1:]))
    )


def review_by_id(connection: Connection, run_id: str) -> PersonaRunDetails | None:
    for values in connection.execute(REVIEW.select, (run_id,)):
        result = redacted = None
        for (text,) in connection.execute(SELECT_RESULT, (run_id,)):
            result = None if text is None else msgspec.json.decode(str(text))
            redacted = True if text is None else None
        return PersonaRunDetails(**_fields(values), result=result, redacted=redacted)
    return None


def _fields(values: tuple[Cell, ...]) -> dict[str, Any]:
    row = REVIEW.load(values)
    findings = None if row.p1 is None else FindingCounts(p1=row.p1, p2=row.p2 or 0, p3=row.p3 or 0)
    return {
        "run_id": row.run_id,
        "persona_name": row.persona_name,
        "session_id": row.session_id,
        "status": row.status,
        "repo_path": row.repo_path,
        "head_ref": row.head_ref,
        "base_ref": row.base_ref,
        "created_at": iso(row.created_at),
        "finished_at": iso_or_none(row.finished_at),
        "repair_run_id": row.repair_run_id,
        "merge_gate": row.merge_gate,
        "findings": findings,
        "artifacts": None if row.artifacts is None else msgspec.json.decode(row.artifacts),
    }
