"""Operations on events: read pages of the feed, stream it, and compare two moments."""

from collections.abc import AsyncGenerator
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from athena_api.edge.replies import JSON_TYPE, encode
from athena_api.endpoint.body import Time
from athena_api.endpoint.operation import ApiCall, NoBody, Noun, Operation, Reply
from athena_api.operations.core import EVENT_TYPES
from athena_api.streams.feed import NO_FILTER, records_of
from athena_api.streams.lines import LINES_TYPE, Lines
from athena_api.streams.segments import SEGMENT_EVENTS, rendered
from athena_api.streams.sse import FrameNames
from athena_core.errors import ConfigError, Fault
from athena_core.event import Position, Value, says
from athena_core.protocols import Connection
from athena_core.values import ClientId, Label, Role
from projections import diff, feed
from projections.engine.page import INLINE_BYTES_MAX
from projections.engine.views import at_least

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.port import BoundedReader, StoreReader

EventTypes: TypeAlias = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...], msgspec.Meta(max_length=64)
]
"""Names of event types: at most 64, each of at most 64 characters."""


CONTRACT_TYPES = frozenset(
    (
        "events.pruned",
        "policy.generated",
        "policy.mutated",
        "sandbox.egress-policy",
        "sandbox.quota-exceeded",
        "specialist.run.completed",
        "specialist.run.failed",
        "specialist.run.started",
    )
)
"""Event types of the original that this server does not record. A client of the original may filter by them."""
KNOWN_TYPES = CONTRACT_TYPES.union(EVENT_TYPES)
SUGGESTED_TYPES_MAX = 5
"""Unknown types whose nearest ones are searched, which takes up to 3 ms of the event loop for each."""
LISTED = "one of eventTypes of GET /capabilities"


class EventsQuery(Value):
    """Filters of events. Times are inclusive."""

    types: EventTypes | None = None
    session_id: ClientId | None = None
    run_id: Label | None = None
    trace_id: Label | None = None
    created_after: Time | None = None
    created_before: Time | None = None


class StreamQuery(Value):
    """Filters of the stream, its start (a cursor, ``latest`` or a time), and where its frames have their names."""

    types: EventTypes | None = None
    session_id: ClientId | None = None
    run_id: Label | None = None
    frames: FrameNames = "event"
    after: Label | None = None


class DiffQuery(Value):
    """Two moments, each an event id, a position or a time, and filters of the records."""

    from_: Annotated[Label, says("First moment: event id, position or time.")] = msgspec.field(name="from")
    to: Annotated[Label | None, says("Second moment: event id, position or time; absent: now.")] = None
    kind: Annotated[diff.ChangedKind | None, says("Only records of this kind.")] = None
    change: Annotated[diff.Change | None, says("Only records with this change.")] = None
    counts: Annotated[bool | None, says("True: with the counts; absent: without `limit` and `cursor` only.")] = None


class EventRecord(Value):
    """A recorded event as it is published. ``id`` is the cursor of the events that follow it."""

    id: Annotated[str, says("Id of the event, and cursor of the events after it.")]
    trace_id: str
    type: Annotated[str, says("Event type; new types may be added.")]
    created_at: str
    payload: Annotated[
        dict[str, Any], says("Fields of the event. `/events.schema.json` describes them for each `type`.")
    ]
    session_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    parent_run_id: str | None = None
    retry_of: str | None = None
    policy: Annotated[dict[str, Any] | None, says("Rule of a rejection; absent otherwise.")] = None
    sandbox: Annotated[
        dict[str, Any] | None, says("Phase of the sandbox of a run, in `sandbox.lifecycle`; absent otherwise.")
    ] = None
    scope: Annotated[
        dict[str, tuple[str, ...]] | None, says("Scope that the event stores, as names by kind; absent without one.")
    ] = None
    undecodable: Annotated[bool | None, says("True if the payload cannot be read here; else absent.")] = None


class EventsPage(Value):
    """A page of the feed. ``cursor`` follows the last scanned position. ``nextCursor`` is absent at the log's head."""

    events: Annotated[tuple[EventRecord, ...], says("Events, oldest first.")]
    cursor: Annotated[str, says("Cursor of what follows the last scanned event.")]
    head: int
    next_cursor: Annotated[str | None, says("Cursor of the next page; absent at the head.")] = None


def _types(query: EventsQuery | StreamQuery) -> frozenset[str] | None:
    """Return the types to filter by. Raise ConfigError for unknown ones, with the nearest known types."""
    if not query.types:
        return None
    unknown = [name for name in dict.fromkeys(query.types) if name not in KNOWN_TYPES]
    if unknown:
        faults = [
            Fault(
                field="types",
                reason=f"{name!r} is not an event type",
                remedy=_nearest(name) if place < SUGGESTED_TYPES_MAX else LISTED,
            )
            for place, name in enumerate(unknown)
        ]
        raise ConfigError(f"types: {'; '.join(fault.reason for fault in faults)}", *faults)
    return frozenset(query.types)


def _nearest(name: str) -> str:
    similar = get_close_matches(name, EVENT_TYPES, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(similar)}?" if similar else LISTED


async def list_events(plane: "ControlPlane", call: ApiCall[NoBody, EventsQuery]) -> Reply:
    """List events from a cursor, oldest first.

    The payload of an event has the shape that `/events.schema.json` gives for its `type`.

    With `Accept: application/x-ndjson` the answer has all events up to the head, one on each line, whatever the
    `limit`. An error on the way is the last line.
    """
    query = call.query
    matches = feed.FeedFilter(
        types=_types(query),
        session_id=query.session_id,
        run_id=query.run_id,
        trace_id=query.trace_id,
        created_after=query.created_after,
        created_before=query.created_before,
        scope=call.scope,
    )
    after = 0 if call.cursor is None else feed.resolve(feed.parse_cursor(call.cursor), plane.reader)
    indexed = any(True for _ in matches.conditions())
    if indexed:
        await plane.caught_up(("feed",), call.position)
    if call.lines:
        pages = _lines(plane, matches, after, call.position)
        return Reply(data=Lines(pages), position=call.position, content_type=LINES_TYPE)
    if indexed:
        with at_least(call.position):
            (data, head), _ = await plane.search(
                ("feed",), lambda rows, log: _page(matches, after, call.limit, log, rows)
            )
        return Reply(data=data, position=head)
    if matches == NO_FILTER and (kept := plane.feed.page(after, call.limit, call.position)) is not None:
        return Reply(data=kept, position=call.position, content_type=JSON_TYPE)
    page = feed.page(matches, after, call.limit, plane.reader, None, bytes_max=INLINE_BYTES_MAX)
    if page.scanned < page.head and len(page.rows) < call.limit:  # the page is too large to be read here
        data, head = await plane.scan(lambda log: _page(matches, after, call.limit, log, None))
        return Reply(data=data, position=head)
    return Reply(data=records_of(page, plane.reader), position=page.head)


def _page(
    matches: feed.FeedFilter, after: Position, limit: int, log: "BoundedReader", rows: Connection | None
) -> tuple[bytes, Position]:
    """Return a page of the feed as JSON, with its head."""
    page = feed.page(matches, after, limit, log, rows)
    return encode(records_of(page, log)), page.head


async def _lines(
    plane: "ControlPlane", matches: feed.FeedFilter, after: Position, end: Position
) -> AsyncGenerator[bytes, None]:
    """Yield the matching events up to a position as lines of JSON, a page at a time."""
    indexed = any(True for _ in matches.conditions())
    whole = matches == NO_FILTER
    while after < end:
        if indexed:
            await plane.caught_up(("feed",), end)
            with at_least(end):
                (lines, after), _ = await plane.search(("feed",), partial(_page_of_lines, matches, after, end))
        else:
            rest = plane.feed.segments.rest("line", after, end) if whole else None
            lines, after = rest or _page_of_lines(matches, after, end, None, plane.reader)
        if lines:
            yield lines


def _page_of_lines(
    matches: feed.FeedFilter, after: Position, end: Position, rows: Connection | None, log: "BoundedReader"
) -> tuple[bytes, Position]:
    """Return the next matching events up to a position as lines of JSON, and the last scanned position."""
    page = feed.page(matches, after, SEGMENT_EVENTS, log, rows, bytes_max=INLINE_BYTES_MAX)
    return b"".join(rendered("line", [row for row in page.rows if row[0] <= end], log)), page.scanned


async def stream_events(plane: "ControlPlane", call: ApiCall[NoBody, StreamQuery]) -> Reply:
    """Stream events from a cursor, live, as server-sent events.

    The `event` of a frame is the `type` of its record, one of `eventTypes` of `GET /api/v1/capabilities`. Its payload
    has the shape that `/events.schema.json` gives for the type. Two more frames have `{cursor, head}` as their data:
    `caught-up` at the head, and `bookmark` after 10,000 events that the filters hide. A newer server may send others.
    """
    query = call.query
    matches = feed.FeedFilter(
        types=_types(query),
        session_id=query.session_id,
        run_id=query.run_id,
        scope=call.scope,
    )
    return Reply(data=plane.feed.open(matches, query.after, call.last_event_id, query.frames), position=call.position)


async def get_diff(plane: "ControlPlane", call: ApiCall[NoBody, DiffQuery]) -> Reply:
    """Compare two moments: list the records that appeared, ended or changed, with their events, last changed first.

    `from` and `to` are event ids, positions or times; a time means the last event until then. Between them there may be
    as many events as `diffEventsMax` of `GET /capabilities` says. The answer holds no texts, and actors only for an
    Admin.

    `counts` are of the whole difference, so all of its events are read for them. With `limit` or `cursor` they are
    absent, unless `counts=true`. Such a page reads 50 events for each record of its limit, so it may have fewer records
    although `nextCursor` is there.
    """
    query = call.query
    wanted = diff.DiffFilter(
        kind=query.kind,
        change=query.change,
        scope=call.scope,
        actors=call.who.role.reaches(Role.ADMIN),  # like the audit trail
        counts=query.counts if query.counts is not None else not call.limited and call.cursor is None,
    )

    def read(log: "StoreReader") -> bytes:
        end = log.head() if query.to is None else feed.position_of(query.to, log, "to")
        start = feed.position_of(query.from_, log, "from")
        if start > end:
            raise ConfigError.of("from", "is after `to`", "an earlier moment")
        return encode(diff.diff(log, start, end, wanted, call.cursor, call.limit))

    return Reply(data=await plane.scan_now(read), position=call.position)


row = Noun("events").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "events.list",
        "GET /events",
        list_events,
        answer=EventsPage,
        errors=("CURSOR_FOREIGN", "CURSOR_AHEAD"),
        paging="cursor",
        lines=True,
        narrows={"sessions", "runs"},
        past=True,
        mcp="read_events",
        price_ms=5,
    ),
    row(
        "events.diff",
        "GET /diff",
        get_diff,
        answer=diff.Diff,
        errors=("CURSOR_FOREIGN", "CURSOR_AHEAD", "DIFF_TOO_LARGE"),
        paging="cursor",
        narrows={"sessions", "runs"},
        command="diff",
        price_ms=100,
    ),
    row(
        "events.stream",
        "GET /events/stream",
        stream_events,
        answer=EventRecord,
        errors=("CURSOR_INVALID", "CURSOR_FOREIGN", "CURSOR_AHEAD"),
        narrows={"sessions", "runs"},
        command="events tail",
        stream=True,
    ),
)
