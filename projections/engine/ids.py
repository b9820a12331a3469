"""Comparison of the event ids that a consumer stored with the log."""

from collections.abc import Callable
from typing import BinaryIO

import msgspec

from athena_core.errors import CursorInvalid
from athena_core.event import MARK_BYTES, Position, Value
from athena_core.protocols import LogReader, Row
from projections.engine.cursor import Cursor, parse_cursor

LINE_BYTES_MAX = 4 << 20
"""The longest line: an event as the feed returns it."""

UNKNOWN_MAX = 20
"""Number of unknown ids that are named."""

PAGE_EVENTS = 1_000
"""Number of rows that are read at once while ids are in order."""

SHOWN_CHARS = 80


class ConsumedEvent(msgspec.Struct):
    """The fields of an event that a consumer stored."""

    id: str
    type: str | None = None
    position: Position | None = None


class UnknownId(Value):
    """A line with an id that is not in the log, or differs from it."""

    line: int
    id: str
    reason: str


class IdComparison(Value):
    """The number of compared ids, and the first of the unknown ones."""

    checked: int
    unknown_count: int
    unknown: tuple[UnknownId, ...]


def compare_ids(lines: BinaryIO, log: LogReader) -> IdComparison:
    """Compare event ids with the log. A line is an id, or JSON with ``id``.

    Memory use is bounded by one page of rows.
    """
    rows_at = RowsByPosition(log)
    checked = unknown_count = number = 0
    unknown: list[UnknownId] = []
    while line := lines.readline(LINE_BYTES_MAX + 1):
        number += 1
        text = line.strip()
        if not text:
            continue
        checked += 1
        shown, reason = _compare(text, len(line) > LINE_BYTES_MAX, log.log_id, rows_at)
        if reason is not None:
            unknown_count += 1
            if len(unknown) < UNKNOWN_MAX:
                unknown.append(UnknownId(line=number, id=shown[:SHOWN_CHARS], reason=reason))
        while len(line) > LINE_BYTES_MAX and not line.endswith(b"\n"):
            line = lines.readline(LINE_BYTES_MAX + 1)
    return IdComparison(checked=checked, unknown_count=unknown_count, unknown=tuple(unknown))


class RowsByPosition:
    """Rows by position, read a page at a time while positions are in order, otherwise one by one."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._first = self._last = 0
        self._page: list[Row] = []

    def __call__(self, position: Position) -> Row | None:
        """Return a row, or None after the head."""
        if not self._first <= position < self._first + len(self._page):
            near = self._last < position <= self._last + PAGE_EVENTS
            self._first, self._page = position, self._log.rows(position - 1, PAGE_EVENTS if near else 1)
        self._last = position
        place = position - self._first
        return self._page[place] if place < len(self._page) and self._page[place].position == position else None


def _compare(text: bytes, long: bool, log_id: str, row_at: Callable[[Position], Row | None]) -> tuple[str, str | None]:
    """Return the id of a line, and the difference from the log, if any."""
    if long:
        return "", f"the line is longer than {LINE_BYTES_MAX} bytes"
    try:
        consumed = (
            msgspec.json.decode(text, type=ConsumedEvent) if text.startswith(b"{") else ConsumedEvent(id=text.decode())
        )
        cursor = parse_cursor(consumed.id)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return text[:SHOWN_CHARS].decode(errors="replace"), "the line is neither an event id nor JSON with one"
    except CursorInvalid:
        return consumed.id, "it is not an event id"
    return consumed.id, _difference(consumed, cursor, log_id, row_at)


def _difference(
    consumed: ConsumedEvent, cursor: Cursor, log_id: str, row_at: Callable[[Position], Row | None]
) -> str | None:
    """Return how a stored event differs from the log, or None."""
    if cursor.mark is None:
        return "it is a position, which proves nothing"
    if cursor.log_id != log_id:
        return f"it is of the log {cursor.log_id}; this one is {log_id}"
    row = row_at(cursor.position)
    if row is None:
        return f"the log has no position {cursor.position}"
    if row.chain[:MARK_BYTES] != cursor.mark:
        return f"the log holds another event at position {cursor.position}"
    if consumed.position not in {None, cursor.position}:
        return f"the id is of position {cursor.position}, not {consumed.position}"
    if consumed.type not in {None, row.type}:
        return f"the event at position {cursor.position} is {row.type}, not {consumed.type}"
    return None
