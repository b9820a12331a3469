"""Read model of sessions and their transcripts."""

from typing import Annotated, Literal, TypeAlias, cast

import msgspec

from athena_core.clock import iso
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.run import (
    MemoryRecalled,
    RunAnswered,
    RunAsked,
    RunCancelled,
    RunCompleted,
    RunCrashed,
    RunCreated,
    RunFailed,
    RunQueued,
    RunStarted,
    RunTimedOut,
    ToolCalled,
    TranscriptAppended,
)
from athena_core.domain.session import SessionCreated
from athena_core.enums import RunEndStatus, TranscriptKind, TranscriptRole
from athena_core.event import Event, Position, Recorded, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.values import PAGE_BYTES_MAX, Scope
from projections.engine.cursor import event_id
from projections.engine.page import Keyset, Page, fill_page, first
from projections.engine.projection import Projection, Rows, Table

TranscriptEntryKind: TypeAlias = Literal[TranscriptKind, "ask", "answer"]


class SessionRow(msgspec.Struct, gc=False):
    """A session. Provider and model belong to the run that last started or completed. ``answer`` is its JSON."""

    updated_at: int
    session_id: str
    created_at: int
    provider: str | None = None
    model: str | None = None
    answer: bytes = b""


class SessionRunRow(msgspec.Struct, gc=False):
    """A run as its transcript needs it. ``status`` is set once it has ended.

    ``citations`` name the passages of memory that were added to its context.
    """

    run_id: str
    session_id: str
    provider: str
    model: str
    trace_id: str
    status: RunEndStatus | None = None
    citations: str | None = None


class TranscriptEntryRow(msgspec.Struct, gc=False):
    """A message, tool call, ask or answer of a transcript. ``mark`` belongs to the event's id.

    Content and unknown tool names are NULL once redacted. ``remarks`` are words separated by spaces, each a flag or
    ``name=value``.
    """

    position: int
    mark: bytes
    session_id: str
    run_id: str
    role: TranscriptRole
    kind: TranscriptEntryKind
    content: str | None
    redacted: bool
    tool_call_id: str | None
    tool_name: str | None
    unknown_name: str | None
    is_error: bool | None
    remarks: str | None
    created_at: int
    partial: bool | None = None


class Session(Value):
    """A session: a sequence of runs with one transcript. ``transcriptPath`` is a label, not a file."""

    id: str
    schema_version: int
    transcript_path: Annotated[str, says("Label of the transcript. No file has this path.")]
    created_at: str
    updated_at: str
    model: Annotated[str | None, says("Model of the last run; absent before one.")] = None
    provider: Annotated[str | None, says("Provider of the last run; absent before one.")] = None


def _answer_of(row: SessionRow) -> bytes:
    session = Session(
        id=row.session_id,
        schema_version=1,
        transcript_path=f".athena/transcripts/{row.session_id}.jsonl",
        created_at=iso(row.created_at),
        updated_at=iso(row.updated_at),
        model=row.model,
        provider=row.provider,
    )
    return msgspec.json.encode(session)


SESSION = Table(
    "session",
    SessionRow,
    key=("session_id",),
    indexes=(("updated_at", "session_id"),),
    cached=True,
    answer=_answer_of,
)
SESSION_RUN = Table("session_run", SessionRunRow, key=("run_id",), cached=True)
ENTRY = Table("session_entry", TranscriptEntryRow, key=("position",), indexes=(("session_id", "position"),))
SESSIONS = Projection("sessions", version=7, tables=(SESSION, SESSION_RUN, ENTRY))

REMARKS = ("sanitized", "truncated", "changed", "interrupted")
"""Flags of an entry that are shown in its metadata. A refused call also has the reason of the refusal."""

STATUSES: dict[str, RunEndStatus] = {
    RunCompleted.TYPE: "completed",
    RunFailed.TYPE: "failed",
    RunCancelled.TYPE: "cancelled",
    RunTimedOut.TYPE: "timed-out",
    RunCrashed.TYPE: "crashed",
}

SELECT_SESSION = "SELECT answer FROM session WHERE session_id = ?"
SELECT_SESSIONS = "SELECT updated_at, session_id, answer FROM session"
OF_RUN = ("trace_id", "status", "citations")
"""The columns of its run that are shown with an entry."""
SELECT_ENTRIES = (
    f"SELECT {', '.join((*ENTRY.columns, *(SESSION_RUN.look_up(column, 'session_entry.run_id') for column in OF_RUN)))}"
    " FROM session_entry WHERE session_id = ?"
)
ENTRIES_AFTER = f"{SELECT_ENTRIES} AND position > ? ORDER BY position LIMIT ?"
SELECT_MESSAGES = (
    f"{ENTRY.all} WHERE position > ? AND kind = 'message' AND role IN ('user', 'assistant') AND partial IS NULL"
    " ORDER BY position LIMIT ?"
)
ENTRIES_LAST = f"{SELECT_ENTRIES} ORDER BY position DESC LIMIT ?"


@SESSIONS.handler
def session_created(rows: Rows, recorded: Recorded[SessionCreated]) -> None:
    at = recorded.at
    rows.append(SESSION, SessionRow(updated_at=at, session_id=recorded.event.session_id, created_at=at))


@SESSIONS.handler
def run_requested(rows: Rows, recorded: Recorded[RunQueued | RunCreated]) -> None:
    """Add the run once. A run that was queued has a second event when it is admitted."""
    event = recorded.event
    if recorded.version == 1:
        row = SessionRunRow(
            run_id=recorded.stream,
            session_id=event.session_id,
            provider=event.provider,
            model=event.model,
            trace_id=recorded.correlation,
        )
        rows.append(SESSION_RUN, row)


@SESSIONS.handler
def run_started(rows: Rows, recorded: Recorded[RunStarted]) -> None:
    run = rows.need(SESSION_RUN, recorded.stream)
    _touch(rows, recorded, run.session_id, run.provider, run.model)


@SESSIONS.handler
def memory_recalled(rows: Rows, recorded: Recorded[MemoryRecalled]) -> None:
    run = rows.change(SESSION_RUN, recorded.stream)
    run.citations = ", ".join(recorded.event.citations)


@SESSIONS.handler
def transcript_appended(rows: Rows, recorded: Recorded[TranscriptAppended]) -> None:
    event = recorded.event
    noted = event.sanitized or event.truncated or event.changed or event.interrupted
    remarks = " ".join(name for name in REMARKS if getattr(event, name)) if noted else None
    _append(rows, recorded, event.role, event.kind, event.content, remarks)


@SESSIONS.handler
def tool_called(rows: Rows, recorded: Recorded[ToolCalled]) -> None:
    """Add a tool call. A refused attempt is an error."""
    event = recorded.event
    remarks: list[str] = [event.refused] if event.refused and event.ask_id is None else []
    remarks += [f"askId={event.ask_id}"] if event.ask_id else []
    remarks += _carried(event)
    if event.origin == "agent":
        remarks += ["origin=agent", f"kind={event.kind}", *(["asked=false"] if event.asked is False else ())]
    _append(rows, recorded, "assistant", "tool-call", event.arguments, " ".join(remarks) or None)


@SESSIONS.handler
def run_asked(rows: Rows, recorded: Recorded[RunAsked]) -> None:
    """Add a question, or the arguments of a call that needs permission."""
    event = recorded.event
    content = event.arguments if event.kind == "tool-permission" else event.title
    asking = [f"server={event.server}"] if event.server else []
    remarks = " ".join((f"askId={event.ask_id}", f"ask={event.kind}", *asking, *_carried(event)))
    rows.append(ENTRY, _entry(rows, recorded, "ask", content, remarks, event.tool_call_id, event.tool_name))


@SESSIONS.handler
def run_answered(rows: Rows, recorded: Recorded[RunAnswered]) -> None:
    """Add an answer: the values of a form, other arguments or the note, in this order; empty without them."""
    event = recorded.event
    content = event.values or event.arguments or event.note or ""
    named = {"askId": event.ask_id, "cause": event.cause, "optionId": event.option_id, "by": event.by}
    named["ruleId"] = event.rule_id
    remarks = " ".join(f"{name}={value}" for name, value in named.items() if value is not None)
    rows.append(ENTRY, _entry(rows, recorded, "answer", content, remarks))


@SESSIONS.handler
def run_completed(rows: Rows, recorded: Recorded[RunCompleted]) -> None:
    run = _finish(rows, recorded)
    _touch(rows, recorded, run.session_id, recorded.event.provider, recorded.event.model)


@SESSIONS.handler
def run_unsuccessful(rows: Rows, recorded: Recorded[RunFailed | RunCancelled | RunTimedOut | RunCrashed]) -> None:
    """Set the status. The entries of the run stay in the transcript."""
    _finish(rows, recorded)


@SESSIONS.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    row = rows.erase(ENTRY, recorded.event.target, "content", "unknown_name")
    if row is not None:
        row.redacted = True


def _carried(event: ToolCalled | RunAsked) -> list[str]:
    """Return the remark about the credentials of a call."""
    return [f"credentials={','.join(event.credentials)}"] if event.credentials else []


def _append(
    rows: Rows,
    recorded: Recorded[TranscriptAppended] | Recorded[ToolCalled],
    role: TranscriptRole,
    kind: TranscriptKind,
    content: str | None,
    remarks: str | None,
) -> None:
    event = recorded.event
    if isinstance(event, TranscriptAppended):
        unknown_name, failed, partial = None, event.is_error, event.partial
    else:
        unknown_name, failed, partial = event.unknown_name, event.refused is not None or None, None
    rows.insert(
        ENTRY,
        (
            recorded.position,
            recorded.mark,
            rows.need(SESSION_RUN, recorded.stream).session_id,
            recorded.stream,
            role,
            kind,
            content,
            False,
            event.tool_call_id,
            event.tool_name,
            unknown_name,
            failed,
            remarks,
            recorded.at,
            partial,
        ),
    )


def _entry(
    rows: Rows,
    recorded: Recorded[RunAsked] | Recorded[RunAnswered],
    kind: TranscriptEntryKind,
    content: str | None,
    remarks: str,
    tool_call_id: str | None = None,
    tool_name: str | None = None,
) -> TranscriptEntryRow:
    """Return the entry of an ask or an answer. Neither is a message of the model."""
    return TranscriptEntryRow(
        position=recorded.position,
        mark=recorded.mark,
        session_id=rows.need(SESSION_RUN, recorded.stream).session_id,
        run_id=recorded.stream,
        role="system",
        kind=kind,
        content=content,
        redacted=False,
        tool_call_id=tool_call_id,
        tool_name=tool_name,
        unknown_name=None,
        is_error=None,
        remarks=remarks,
        created_at=recorded.at,
    )


def _touch(rows: Rows, recorded: Recorded[Event], session_id: str, provider: str, model: str) -> None:
    row = rows.change(SESSION, session_id)
    row.updated_at, row.provider, row.model = recorded.at, provider, model


def _finish(rows: Rows, recorded: Recorded[Event]) -> SessionRunRow:
    row = rows.change(SESSION_RUN, recorded.stream)
    row.status = STATUSES[recorded.type]
    return row


class TranscriptEntry(Value):
    """A transcript entry. It is ``provisional`` until its run ends; then ``runStatus`` is the outcome of the run.

    ``partial``: the model had not finished when the run ended or paused; later runs do not get it as context.
    ``content`` is null once redacted; then ``redacted`` is true. An ``ask`` and its ``answer`` name each other by
    ``metadata.askId``.
    """

    id: str
    role: Annotated[TranscriptRole, says("Author of the entry.")]
    content: Annotated[str | None, says("Text; null once redacted.")]
    kind: Annotated[TranscriptEntryKind, says("Kind of the entry.")]
    metadata: Annotated[dict[str, str], says("Facts about the entry, such as `truncated`.")]
    created_at: str
    run_id: str
    tool_call_id: str | None = None
    tool_name: str | None = None
    is_error: bool | None = None
    provisional: Annotated[bool | None, says("True until the run of the entry ends; then absent.")] = None
    run_status: Annotated[RunEndStatus | None, says("How its run ended; absent before that.")] = None
    partial: Annotated[
        bool | None, says("True if the model had not finished when the run was cut off; else absent.")
    ] = None
    redacted: bool | None = None


LATEST = Keyset(kind="sessions", columns=(("updatedAt", "updated_at", int), ("id", "session_id", str)))


def session_by_id(connection: Connection, session_id: str) -> bytes | None:
    """Return the JSON of a session."""
    return first(connection, SELECT_SESSION, (session_id,), lambda values: cast(bytes, values[0]))


def list_sessions(connection: Connection, *, scope: Scope | None = None, cursor: str | None, limit: int) -> Page[bytes]:
    """Return a page of sessions as JSON, latest first."""
    within = None if scope is None else {"session_id": scope.sessions}
    return LATEST.page(connection, SELECT_SESSIONS, (), within=within, cursor=cursor, limit=limit, show=_to_json)


def _to_json(values: tuple[Cell, ...]) -> bytes:
    return cast(bytes, values[-1])


def transcript(
    connection: Connection,
    log_id: str,
    session_id: str,
    *,
    after: Position | None,
    limit: int,
    bytes_max: int = PAGE_BYTES_MAX,
) -> Page[TranscriptEntry]:
    """Return the last entries of a session in order, or with ``after`` the first ones that follow that position.

    They have at most ``bytes_max`` bytes of JSON; one entry always fits. Only with ``after`` there is a
    ``next_cursor``, the id of the last entry.
    """

    def show(values: tuple[Cell, ...]) -> TranscriptEntry:
        return _to_entry(values, log_id)

    if after is None:
        items, _, _ = fill_page(connection.stream(ENTRIES_LAST, (session_id, limit)), limit, show, bytes_max)
        return Page(items=items.backwards())
    items, _, more = fill_page(connection.stream(ENTRIES_AFTER, (session_id, after, limit + 1)), limit, show, bytes_max)
    return Page(items=items, next_cursor=items[-1].id if more else None)


def messages_after(
    connection: Connection, position: Position, limit: int, *, log_id: str
) -> list[tuple[Position, str, str, str | None]]:
    """Return the messages of transcripts after a position: position, session, id, and text (None once redacted)."""
    entries = map(ENTRY.load, connection.execute(SELECT_MESSAGES, (position, limit)))
    return [(row.position, row.session_id, event_id(log_id, row.position, row.mark), _to_line(row)) for row in entries]


def _to_line(row: TranscriptEntryRow) -> str | None:
    return None if row.content is None else f"{row.role}: {row.content}"


def _to_entry(values: tuple[Cell, ...], log_id: str) -> TranscriptEntry:
    row, (trace_id, status, citations) = ENTRY.load(values[:-3]), values[-3:]
    metadata = {"runId": row.run_id, "runTraceId": str(trace_id)}
    if citations is not None and row.role == "assistant" and row.kind == "message":
        metadata["memoryCitations"] = str(citations)
    for remark in (row.remarks or "").split():
        name, _, value = remark.partition("=")
        metadata[name] = value or "true"
    return TranscriptEntry(
        id=event_id(log_id, row.position, row.mark),
        role=row.role,
        content=row.content,
        kind=row.kind,
        metadata=metadata | {"redacted": "true"} if row.redacted else metadata,
        created_at=iso(row.created_at),
        run_id=row.run_id,
        tool_call_id=row.tool_call_id,
        tool_name=row.tool_name or row.unknown_name,
        is_error=row.is_error,
        provisional=True if status is None else None,
        run_status=cast("RunEndStatus | None", status),
        partial=row.partial or None,
        redacted=row.redacted or None,
    )
