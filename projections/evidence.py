"""Read model of the evidence that runs attached."""

from typing import Annotated, Any

import msgspec

from athena_core.clock import iso
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.run import EvidenceAttached, TranscriptAppended
from athena_core.enums import EvidenceSource, EvidenceType
from athena_core.event import Position, Recorded, Value, says
from athena_core.protocols import Cell, Connection
from projections.engine.cursor import event_id
from projections.engine.page import Keyset, Page
from projections.engine.projection import Projection, Rows, Table


class EvidenceRow(msgspec.Struct, gc=False):
    """Evidence that a run attached. ``mark`` belongs to the event's id. Text and salt are NULL once redacted."""

    position: int
    mark: bytes
    evidence_id: str
    run_id: str
    session_id: str | None
    trace_id: str
    label: str | None
    evidence_type: EvidenceType
    size_bytes: int
    sha256: str
    source: EvidenceSource
    workspace: bool
    redacted: bool
    created_at: int
    tool_call_id: str | None
    policy_id: str | None
    exit_code: int | None
    free_label: str | None
    content: str | None
    content_salt: str | None


class WorkspaceChangeRow(msgspec.Struct, gc=False):
    """The position where a run last changed the workspace. Older evidence of the workspace is stale."""

    run_id: str
    changed_position: int


EVIDENCE = Table("evidence", EvidenceRow, key=("position",), indexes=(("run_id", "position"),))
CHANGE = Table("evidence_change", WorkspaceChangeRow, key=("run_id",))
EVIDENCES = Projection("evidence", version=2, tables=(EVIDENCE, CHANGE))

RECORD = EVIDENCE.columns[: EVIDENCE.columns.index("content")]
CHANGED = CHANGE.look_up("changed_position", "evidence.run_id")
STALE = f"workspace = 1 AND position < coalesce({CHANGED}, 0)"
SELECT_RECORDS = f"SELECT {', '.join(RECORD)}, {STALE} FROM evidence"
SELECT_ONE = f"SELECT {', '.join(EVIDENCE.columns)}, {STALE} FROM evidence WHERE run_id = ? AND evidence_id = ?"


@EVIDENCES.handler
def evidence_attached(rows: Rows, recorded: Recorded[EvidenceAttached]) -> None:
    event = recorded.event
    rows.append(
        EVIDENCE,
        EvidenceRow(
            position=recorded.position,
            mark=recorded.mark,
            evidence_id=event.evidence_id,
            run_id=recorded.stream,
            session_id=recorded.session_id,
            trace_id=recorded.correlation,
            label=event.label,
            evidence_type=event.evidence_type,
            size_bytes=event.size_bytes,
            sha256=event.sha256,
            source=event.source,
            workspace=event.workspace,
            redacted=False,
            created_at=recorded.at,
            tool_call_id=event.tool_call_id,
            policy_id=event.policy_id,
            exit_code=event.exit_code,
            free_label=event.free_label,
            content=event.content,
            content_salt=event.content_salt,
        ),
    )


@EVIDENCES.handler
def transcript_appended(rows: Rows, recorded: Recorded[TranscriptAppended]) -> None:
    """Mark the evidence of the workspace as stale if a tool changed it."""
    if recorded.event.changed:
        rows.put(CHANGE, WorkspaceChangeRow(recorded.stream, recorded.position))


@EVIDENCES.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase the content, and the salt, so that the hash does not reveal the content."""
    row = rows.erase(EVIDENCE, recorded.event.target, "free_label", "content", "content_salt")
    if row is not None:
        row.redacted = True


class EvidenceRecord(Value):
    """Evidence of a run without its content.

    ``stale`` is true if the run changed the workspace afterwards. ``label`` is empty if the model chose it and it was
    redacted.
    """

    schema_version: int
    id: str
    run_id: str
    trace_id: str
    label: str
    type: Annotated[EvidenceType, says("Type of the content.")]
    size_bytes: int
    sha256: Annotated[str, says("SHA-256 in hex of the salt and the content.")]
    source: Annotated[EvidenceSource, says("Part of the run that attached it.")]
    stale: bool
    position: Position
    event_id: str
    created_at: str
    artifact_ref: str
    session_id: str | None = None
    tool_call_id: str | None = None
    policy_id: str | None = None
    exit_code: int | None = None
    redacted: bool | None = None


class TextContent(Value, tag_field="kind", tag="text"):
    """Text content of evidence."""

    text: str


class JsonContent(Value, tag_field="kind", tag="json"):
    """JSON content of evidence."""

    value: Annotated[Any, says("Any JSON value.")]


class BinaryContent(Value, tag_field="kind", tag="binary"):
    """Binary content of evidence, in base64."""

    base64: Annotated[str, says("Bytes in base64.")]


class Evidence(EvidenceRecord, kw_only=True):
    """Evidence of a run with its content, which is null once redacted.

    ``sha256`` is the hash of the bytes of ``contentSalt`` and the content, in this order. JSON is hashed as it was
    recorded.
    """

    content: Annotated[TextContent | JsonContent | BinaryContent | None, says("The content; null once redacted.")]
    content_salt: Annotated[str | None, says("Salt of `sha256`; absent once redacted.")] = None


NEWEST = Keyset(kind="evidence")


def list_evidence(
    connection: Connection, log_id: str, run_id: str, *, cursor: str | None, limit: int
) -> Page[EvidenceRecord]:
    """Return a page of the evidence of a run, newest first."""
    return NEWEST.page(
        connection,
        SELECT_RECORDS,
        (("run_id = ?", run_id),),
        cursor=cursor,
        limit=limit,
        show=lambda values: EvidenceRecord(**_fields(EVIDENCE.load((*values[:-1], None, None)), values[-1], log_id)),
    )


def evidence_by_id(connection: Connection, log_id: str, run_id: str, evidence_id: str) -> Evidence | None:
    """Return a piece of evidence of a run with its content."""
    for values in connection.execute(SELECT_ONE, (run_id, evidence_id)):
        row = EVIDENCE.load(values[:-1])
        return Evidence(**_fields(row, values[-1], log_id), content=_content(row), content_salt=row.content_salt)
    return None


def _fields(row: EvidenceRow, stale: Cell, log_id: str) -> dict[str, Any]:
    """Return the fields of a record."""
    return {
        "schema_version": 1,
        "id": row.evidence_id,
        "run_id": row.run_id,
        "session_id": row.session_id,
        "trace_id": row.trace_id,
        "label": row.label or row.free_label or "",
        "type": row.evidence_type,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256,
        "source": row.source,
        "stale": bool(stale),
        "position": row.position,
        "event_id": event_id(log_id, row.position, row.mark),
        "created_at": iso(row.created_at),
        "artifact_ref": f"run-evidence/{row.run_id}/{row.evidence_id}.json",
        "tool_call_id": row.tool_call_id,
        "policy_id": row.policy_id,
        "exit_code": row.exit_code,
        "redacted": row.redacted or None,
    }


def _content(row: EvidenceRow) -> TextContent | JsonContent | BinaryContent | None:
    if row.content is None:
        return None
    match row.evidence_type:
        case "json":
            return JsonContent(value=msgspec.json.decode(row.content))
        case "binary":
            return BinaryContent(base64=row.content)
        case _:
            return TextContent(text=row.content)
