"""Operations on sessions: read them, and read or stream their transcripts."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_api.streams.sse import FrameNames
from athena_core.event import Value
from athena_core.services.execution.live_text import TranscriptDelta
from athena_core.values import Label
from projections import feed, sessions
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


class TranscriptQuery(Value):
    """The start of the stream (an entry, ``latest`` or a time), and where its frames have their names."""

    frames: FrameNames = "event"
    after: Label | None = None


async def list_sessions(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List sessions, most recently used first."""
    page, position = await plane.query(
        ("sessions",),
        lambda rows: sessions.list_sessions(rows, scope=call.scope, cursor=call.cursor, limit=call.limit),
    )
    return Reply(data=page, position=position, steady=True)


async def get_session(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a session."""
    session_id = call.path["sessionId"]
    session, position = await plane.query(("sessions",), lambda rows: sessions.session_by_id(rows, session_id))
    return Reply(data=existing(session, "session", session_id), position=position, steady=True)


async def get_session_transcript(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List the newest transcript entries of a session, or those after a cursor, in order of time."""
    session_id = call.path["sessionId"]
    after = None if call.cursor is None else feed.resolve(feed.parse_cursor(call.cursor), plane.reader)
    page, position = await plane.query(
        ("sessions",),
        lambda rows: sessions.transcript(rows, plane.log.log_id, session_id, after=after, limit=call.limit),
    )
    return Reply(data=page, position=position)


async def stream_session_transcript(plane: "ControlPlane", call: ApiCall[NoBody, TranscriptQuery]) -> Reply:
    """Stream a transcript from any entry, live, as server-sent events, with the text that a model is writing."""
    query = call.query
    subscription = plane.transcripts.open(call.path["sessionId"], query.after, call.last_event_id, query.frames)
    return Reply(data=subscription, position=call.position)


row = Noun("sessions", reads=("sessions",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "sessions.list",
        "GET /sessions",
        list_sessions,
        answer=Page[sessions.Session],
        paging="cursor",
        narrows={"sessions"},
        mcp="list_sessions",
    ),
    row("sessions.get", "GET /sessions/:sessionId", get_session, answer=sessions.Session),
    row(
        "sessions.transcript",
        "GET /sessions/:sessionId/transcript",
        get_session_transcript,
        answer=Page[sessions.TranscriptEntry],
        errors=("CURSOR_FOREIGN", "CURSOR_AHEAD"),
        paging="tail",
        mcp="get_transcript",
    ),
    row(
        "sessions.transcript.stream",
        "GET /sessions/:sessionId/transcript/stream",
        stream_session_transcript,
        answer=sessions.TranscriptEntry,
        transient=TranscriptDelta,
        errors=("CURSOR_INVALID", "CURSOR_FOREIGN", "CURSOR_AHEAD"),
        command="sessions tail",
        stream=True,
    ),
)
