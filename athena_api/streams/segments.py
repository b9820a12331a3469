"""Segments: stretches of the feed as bytes, rendered once for all pages and streams that show them.

The log never changes behind its head. So a stretch that is aligned to a multiple of ``SEGMENT_EVENTS`` is kept in
memory once it is complete, and pages are slices of it. The newest events are in the segments of the ring.
"""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Literal, TypeAlias

from athena_api.streams.sse import frame
from athena_core.event import Position
from athena_core.protocols import LogReader, PublicCells
from projections.feed import event_id, event_ids, render

SEGMENT_EVENTS = 250
"""Half of a GET's page. A request waits for up to two segments of streams."""
SEGMENTS_BYTES_MAX = 64 << 20
SEGMENT_BYTES = 2_000
"""The estimated memory of a kept segment beside its content."""
UNDECODABLE = b'"undecodable":true'
ID = slice(7, 35)
"""The place of the id in a record."""

Form: TypeAlias = Literal["item", "line", "event", "message"]
"""A record with a comma, a record with a line end, a frame with an ``event`` line, or a frame without one."""
ReadSegment: TypeAlias = Callable[[Form, Position], list[bytes]]
"""Returns up to ``SEGMENT_EVENTS`` records after a position."""


def cursor_at(reader: LogReader, position: Position) -> str:
    """Return the cursor of the events after a position; ``0`` before the first event."""
    row = reader.row(position) if position else None
    return "0" if row is None else event_id(reader.log_id, row.position, row.chain)


def rendered(form: Form, rows: Sequence[PublicCells], reader: LogReader) -> list[bytes]:
    """Return the records of rows in a form."""
    ids = event_ids(reader.log_id, rows)
    records = render(rows, ids, partial(cursor_at, reader))
    if form == "item":
        return [record + b"," for record in records]
    if form == "line":
        return [record + b"\n" for record in records]
    return [frame(row[1], record, its_id, form) for row, record, its_id in zip(rows, records, ids, strict=True)]


class Segment:
    """The records of consecutive events in one form, joined."""

    __slots__ = ("_ends", "after", "content", "until")

    def __init__(self, after: Position, records: Sequence[bytes]) -> None:
        """Join the records of the events that follow ``after``."""
        self.content = b"".join(records)
        self._ends = array("Q", accumulate(map(len, records), initial=0))
        self.after = after
        self.until: Position = after + len(records)

    def cut(self, after: Position, until: Position) -> bytes:
        """Return the records with ``after < position <= until`` that it holds."""
        ends, last = self._ends, len(self._ends) - 1
        return self.content[ends[max(after - self.after, 0)] : ends[min(until - self.after, last)]]

    def one(self, index: int) -> bytes:
        return self.content[self._ends[index] : self._ends[index + 1]]


class Segments:
    """The kept segments by form and place. Above the size limit, the least recently used ones are dropped.

    ``forget`` is safe from any thread.
    """

    def __init__(self, read: ReadSegment) -> None:
        """Render segments with ``read``."""
        self._read = read
        self._kept: OrderedDict[tuple[Form, Position], Segment | None] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def forget(self) -> None:
        with self._lock:
            self._kept = OrderedDict()
            self._bytes = 0

    def find(
        self, form: Form, after: Position, until: Position, head: Position, *, build: bool = True
    ) -> list[Segment] | None:
        """Return the segments with the events ``after < position <= until``.

        Return None if one of them is incomplete, too large, damaged, or not kept unless ``build``.
        """
        if until > head - head % SEGMENT_EVENTS:
            return None
        found = []
        for place in range(after - after % SEGMENT_EVENTS, until, SEGMENT_EVENTS):
            segment = self._segment(form, place, build)
            if segment is None:
                return None
            found.append(segment)
        return found

    def rest(self, form: Form, after: Position, head: Position) -> tuple[bytes, Position] | None:
        """Return the records after a position up to the end of its segment, and that position. None as ``find``."""
        until = after - after % SEGMENT_EVENTS + SEGMENT_EVENTS
        found = self.find(form, after, until, head)
        return None if found is None else (found[0].cut(after, until), until)

    def _segment(self, form: Form, place: Position, build: bool) -> Segment | None:
        key = form, place
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            kept = self._kept
        if not build:
            return None
        records = self._read(form, place)
        segment = Segment(place, records)
        damaged = UNDECODABLE in segment.content
        found = segment if len(records) == SEGMENT_EVENTS and not damaged else None
        if not damaged:  # a repaired log shows the event
            with self._lock:
                if kept is self._kept:  # nothing was erased meanwhile
                    kept[key] = found
                    self._bytes += _size(found)
                    while self._bytes > SEGMENTS_BYTES_MAX:
                        self._bytes -= _size(kept.popitem(last=False)[1])
        return found


def _size(segment: Segment | None) -> int:
    return SEGMENT_BYTES if segment is None else SEGMENT_BYTES + len(segment.content)
