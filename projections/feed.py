"""The feed: all events as public records in log order, from any cursor.

Hot: ``records`` is one loop over tuples. An event of a page costs 1.6 µs where scanning it costs 0.9
(docs/why/performance.md).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TypeAlias

import msgspec

from athena_core.clock import iso
from athena_core.errors import ConfigError, CursorAhead, CursorInvalid
from athena_core.event import Position, Value
from athena_core.protocols import Cell, Connection, LogReader, PublicCells, Row
from athena_core.values import FEED_SCAN_EVENTS_MAX, PAGE_BYTES_MAX, Scope
from projections.engine.cursor import Cursor, event_id, event_ids, parse_cursor, resolve
from projections.engine.page import is_one_of
from projections.engine.projection import Projection, Rows, Table

__all__ = [
    "FEED",
    "Cursor",
    "FeedFilter",
    "FeedPage",
    "FeedRecord",
    "FeedRecords",
    "event_id",
    "event_ids",
    "page",
    "parse_cursor",
    "position_before",
    "records",
    "render",
    "resolve",
]

SELECT_NEWEST = "SELECT max(position) FROM feed"
SELECT_POSITIONS = "SELECT position FROM feed WHERE position > ? AND position <= ?"
GAP_EVENTS_MAX = 8

IdOf: TypeAlias = Callable[[Position], str]
"""Returns the id of the event at a position."""


# Records


class FeedRecord(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """A public record. The payload is the stored bytes."""

    id: str
    trace_id: str
    type: str
    created_at: str
    payload: msgspec.Raw
    session_id: str | None = None
    run_id: str | None = None
    undecodable: bool = False


class FeedRecords(Value):
    """A page of the feed. ``cursor`` follows the last scanned event; ``next_cursor`` is absent at the head."""

    events: list[FeedRecord | msgspec.Raw]
    cursor: str
    head: Position
    next_cursor: str | None = None


_encode = msgspec.json.Encoder().encode
_raw = msgspec.json.Decoder(msgspec.Raw).decode
EMPTY = b"{}"
BRACE = ord("{")


def records(rows: Sequence[PublicCells], ids: Sequence[str], id_of: IdOf) -> list[FeedRecord | msgspec.Raw]:
    """Return the public records of rows, with their stored payloads. Damaged payloads are left out and marked.

    One loop without function calls for ordinary rows.
    """
    made: list[FeedRecord | msgspec.Raw] = []
    time_of, time = -1, ""
    for row, its_id in zip(rows, ids, strict=True):
        _, kind, recorded_at, correlation, session_id, run_id, data, extra, _ = row
        if recorded_at != time_of:
            time_of, time = recorded_at, iso(recorded_at)
        beside, undecodable = EMPTY, False
        try:
            if kind in REFERRING:
                data = REFERRING[kind](data, id_of)
            payload = _raw(data)
            if data[0] != BRACE or not (data.isascii() or data.decode()):
                raise ValueError("no object")
            if extra is not None:
                beside = _object(extra)
        except (msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError):
            payload, beside, undecodable = msgspec.Raw(EMPTY), EMPTY, True
        record = FeedRecord(its_id, correlation, kind, time, payload, session_id, run_id, undecodable)
        made.append(record if beside == EMPTY else msgspec.Raw(_encode(record)[:-1] + b"," + beside[1:]))
    return made


def render(rows: Sequence[PublicCells], ids: Sequence[str], id_of: IdOf) -> list[bytes]:
    """Return the public records of rows, each as JSON."""
    return [_encode(record) for record in records(rows, ids, id_of)]


def _object(data: bytes) -> bytes:
    """Return the bytes if they are a JSON object. Raise ValueError otherwise."""
    _raw(data)
    if data[0] != BRACE or not (data.isascii() or data.decode()):
        raise ValueError("no object")
    return data


def _violation(data: bytes, id_of: IdOf) -> bytes:
    """Replace the position of the source in ``safety.violation`` by its id."""
    payload = msgspec.json.decode(data)
    source = payload["source"]
    payload["source"] = {"eventId": id_of(source.pop("position")), **source}
    return _encode(payload)


def _redaction(data: bytes, id_of: IdOf) -> bytes:
    """Replace the position of the target in ``payload.redacted`` by its id."""
    payload = msgspec.json.decode(data)
    return _encode({"eventId": id_of(payload.pop("target")), **payload})


REFERRING: dict[str, Callable[[bytes, IdOf], bytes]] = {
    "safety.violation": _violation,
    "payload.redacted": _redaction,
}
"""The types that refer to other events."""


# The index of filtered columns


class FeedRow(msgspec.Struct, gc=False):
    """The filtered columns of an event."""

    position: int
    type: str
    session_id: str | None
    run_id: str | None
    trace_id: str


FEED_EVENT = Table("feed", FeedRow, key=("position",))
FEED = Projection("feed", version=1, tables=(FEED_EVENT,))


_cells = itemgetter(*map(Row._fields.index, ("position", "type", "session_id", "run_id", "correlation")))


@FEED.on_every_row
def every_row(rows: Rows, page: Sequence[Row]) -> None:
    """Index all events, including those that cannot be decoded."""
    rows.extend(FEED_EVENT, map(_cells, page))


# Pages


class FeedFilter(Value):
    """Filter of the feed. Times are milliseconds since 1970 UTC, inclusive."""

    types: frozenset[str] | None = None
    session_id: str | None = None
    run_id: str | None = None
    trace_id: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    scope: Scope | None = None
    """The scope of the client. It hides events without a session or run from scoped clients."""

    def matches(self, row: PublicCells) -> bool:
        """Return True if a row matches."""
        _, kind, recorded_at, correlation, session_id, run_id, *_ = row
        return (
            (self.types is None or kind in self.types)
            and (self.session_id is None or session_id == self.session_id)
            and (self.run_id is None or run_id == self.run_id)
            and (self.trace_id is None or correlation == self.trace_id)
            and (self.created_after is None or recorded_at >= self.created_after)
            and (self.created_before is None or recorded_at <= self.created_before)
            and (self.scope is None or self._covers(session_id, run_id))
        )

    def _covers(self, session_id: str | None, run_id: str | None) -> bool:
        assert self.scope is not None
        sessions, runs = self.scope.sessions, self.scope.runs
        return (sessions is None or session_id in sessions) and (runs is None or run_id in runs)

    def conditions(self) -> Iterator[tuple[str, tuple[Cell, ...]]]:
        """Return the conditions that the index can apply, as SQL with values."""
        if self.types is not None:
            yield is_one_of("type", self.types)
        if self.session_id is not None:
            yield "session_id = ?", (self.session_id,)
        if self.run_id is not None:
            yield "run_id = ?", (self.run_id,)
        kinds = () if self.scope is None else (("session_id", self.scope.sessions), ("run_id", self.scope.runs))
        for column, names in kinds:
            if names is not None:
                yield is_one_of(column, names)
        if self.trace_id is not None:
            yield "trace_id = ?", (self.trace_id,)


class FeedPage(Value):
    """The rows of a page, the last scanned position and the head. More may follow if they differ."""

    rows: Sequence[PublicCells]
    scanned: Position
    head: Position


def page(
    wanted: FeedFilter,
    after: Position,
    limit: int,
    log: LogReader,
    views: Connection | None,
    scan: int = FEED_SCAN_EVENTS_MAX,
    bytes_max: int = PAGE_BYTES_MAX,
) -> FeedPage:
    """Return the first matching rows after a position. With a filter at most ``scan`` events are scanned.

    The rows are cut at ``PAGE_BYTES_MAX`` bytes, or at ``bytes_max`` for a filter without ``conditions``; one row
    always fits. Such a filter needs no views, so ``views`` may be None.
    """
    head = log.head()
    first, last = after, head
    if wanted.created_after is not None:
        first = max(first, _last_before(wanted.created_after, log, head))
    if wanted.created_before is not None:
        last = _last_before(wanted.created_before + 1, log, head)
    conditions = list(wanted.conditions())
    if not conditions:
        rows = log.shown(first, limit, last, bytes_max)
        scanned = rows[-1][0] if rows and rows[-1][0] < last else max(head, after)
        return FeedPage(rows=rows, scanned=scanned, head=head)
    assert views is not None
    ((newest,),) = list(views.execute(SELECT_NEWEST))
    indexed = int(newest or 0)
    end = min(last, indexed, first + scan)
    statement = " AND ".join([SELECT_POSITIONS, *(condition for condition, _ in conditions)])
    values = [value for _, some in conditions for value in some]
    found = list(views.execute(f"{statement} ORDER BY position LIMIT ?", (first, end, *values, limit)))
    rows = _rows([int(position or 0) for (position,) in found], log)
    whole = min(head, indexed) if end == last else end
    scanned = rows[-1][0] if len(rows) == limit or len(rows) < len(found) else whole
    return FeedPage(rows=rows, scanned=max(scanned, after), head=head)


def _rows(positions: list[Position], log: LogReader) -> Sequence[PublicCells]:
    """Read rows at ascending positions in ranges, as many as fit into a page."""
    rows: list[PublicCells] = []
    left = PAGE_BYTES_MAX
    start = 0
    for index in range(1, len(positions) + 1):
        if index == len(positions) or positions[index] - positions[index - 1] > GAP_EVENTS_MAX:
            stretch = positions[start:index]
            wanted = set(stretch)
            found = log.shown(stretch[0] - 1, stretch[-1] - stretch[0] + 1, stretch[-1])
            for row in found:
                if row[0] in wanted:
                    left -= len(row[6]) + len(row[7] or b"")
                    if left < 0 and rows:
                        return rows
                    rows.append(row)
            if found[-1][0] < stretch[-1]:
                return rows
            start = index
    return rows


def _last_before(milliseconds: int, log: LogReader, head: Position) -> Position:
    """Return the last position recorded before a time (0: none). Times never decrease with the position."""
    low, high = 0, head
    while low < high:
        middle = (low + high + 1) // 2
        row = log.row(middle)
        if row is not None and row.recorded_at < milliseconds:
            low = middle
        else:
            high = middle - 1
    return low


def position_before(time: str, log: LogReader) -> Position:
    """Return the position before the first event recorded at or after an ISO-8601 time. Raise CursorInvalid."""
    return _last_before(-(-_microseconds(time) // 1000), log, log.head())


def position_at(time: str, log: LogReader) -> Position:
    """Return the position of the last event recorded at or before an ISO-8601 time (0: none). Raise CursorInvalid."""
    return _last_before(_microseconds(time) // 1000 + 1, log, log.head())


def position_of(text: str, log: LogReader, field: str) -> Position:
    """Return the position that an event id, a position or a time names. A time means the last event until then.

    Raise CursorAhead, CursorForeign or, about ``field``, ConfigError.
    """
    try:
        cursor = parse_cursor(text)
    except CursorInvalid:
        try:
            return position_at(text, log)
        except CursorInvalid as error:
            raise ConfigError.of(field, error.message, "an event id, a position, or a time in ISO 8601") from error
    try:
        return resolve(cursor, log)
    except CursorAhead as error:
        raise CursorAhead("The moment is beyond the head of the log. Give an earlier one.", error.details) from error


def _microseconds(time: str) -> int:
    """Return a time in ISO-8601, UTC without a zone, in microseconds since 1970 UTC. Raise CursorInvalid."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as error:
        raise CursorInvalid(f"{time[:40]!r} is neither a cursor nor a time in ISO-8601") from error
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
