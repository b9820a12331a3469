"""The feed for clients: its pages, and subscriptions from any cursor."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from types import TracebackType
from typing import Self

import msgspec

from athena_api.streams.ring import EVENT_BYTES, FrameRing, RingPiece
from athena_api.streams.segments import ID, SEGMENT_EVENTS, Form, Segment, Segments, cursor_at, rendered
from athena_api.streams.sse import CHUNK_BYTES_MAX, FrameNames, Subscription, frame
from athena_core.errors import StoreUnreachable
from athena_core.event import Position
from athena_core.log.port import StoreReader
from athena_core.log.tail import Tail
from athena_core.protocols import LogReader, PublicCells, PublicRow, Row
from projections.engine.page import INLINE_BYTES_MAX
from projections.feed import (
    FeedFilter,
    FeedPage,
    FeedRecords,
    event_ids,
    parse_cursor,
    position_before,
    records,
    resolve,
)

GATHER_SECONDS_EACH = 0.00002
"""Batching delay per subscriber, about the time that one delivery takes.

With few subscribers frames go out at once. With many they are batched, so that delivery leaves time for other work.
"""
GATHER_SECONDS_MAX = 0.004
HIDDEN_EVENTS_MAX = 10_000
NO_FILTER = FeedFilter()

_public: Callable[[Row], PublicCells] = itemgetter(*map(Row._fields.index, PublicRow._fields))


def records_of(page: FeedPage, reader: LogReader) -> FeedRecords:
    """Return a page in its JSON form. ``next_cursor`` is absent at the head."""
    ids = event_ids(reader.log_id, page.rows)
    full = bool(ids) and page.rows[-1][0] == page.scanned
    cursor = ids[-1] if full else cursor_at(reader, page.scanned)
    return FeedRecords(
        events=records(page.rows, ids, partial(cursor_at, reader)),
        cursor=cursor,
        head=page.head,
        next_cursor=cursor if page.scanned < page.head else None,
    )


class Feed:
    """Pages and streams of the public records."""

    def __init__(self, tail: Tail, reader: StoreReader) -> None:
        """Use ``reader`` in this event loop only."""
        self._tail = tail
        self._reader = reader
        self.ring = FrameRing(tail.position)
        self.segments = Segments(lambda form, after: rendered(form, self._rows(after), reader))
        self._followers: Counter[Form] = Counter()
        self._new: list[Row] = []
        self._waking = False
        tail.subscribe(self._notice)

    def _rows(self, after: Position) -> Sequence[PublicCells]:
        return self._reader.shown(after, SEGMENT_EVENTS, bytes_max=INLINE_BYTES_MAX)

    def _notice(self, rows: Sequence[Row]) -> None:
        """Note new rows if there is a subscriber, and schedule one wake-up for the whole batch."""
        if not self._followers:
            self.ring.restart(rows[-1].position)
            return
        self._new += rows
        if not self._waking:
            self._waking = True
            seconds = min(self._followers.total() * GATHER_SECONDS_EACH, GATHER_SECONDS_MAX)
            asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        """Render the new rows, and wake the subscribers."""
        self._waking = False
        rows, self._new = [_public(row) for row in self._new], []
        if rows:
            try:
                self._render(rows)
            except StoreUnreachable:  # the payloads cannot be read now: subscribers will read pages of the log later
                self.ring.restart(rows[-1][0])
        self.ring.wake(self._tail.position)

    def _render(self, rows: Sequence[PublicCells]) -> None:
        forms = {form: Segment(rows[0][0] - 1, rendered(form, rows, self._reader)) for form in self._followers}
        bare = [(*row[:6], b"", None, row[8]) for row in rows]
        size = sum(len(segment.content) for segment in forms.values()) + EVENT_BYTES * len(rows)
        self.ring.add(RingPiece(bare, rows[-1][0], forms, size))

    def start_of(self, after: str | None, last_event_id: str | None) -> Position:
        """Return the start of a stream: ``Last-Event-ID``, else ``after`` (a cursor, ``latest`` or a time), else 0."""
        text = last_event_id or after
        if text is None:
            return 0
        if text == "latest":
            return self._reader.head()
        if last_event_id is None and "T" in text and "-" in text and ":" in text:
            return position_before(text, self._reader)
        return resolve(parse_cursor(text), self._reader)

    def open(
        self, matches: FeedFilter, after: str | None, last_event_id: str | None, frames: FrameNames = "event"
    ) -> "FeedSubscription":
        """Return a subscription. Raise CURSOR errors here, before the first byte is sent."""
        return FeedSubscription(self, self.start_of(after, last_event_id), matches, frames)

    def page(self, after: Position, limit: int, head: Position) -> bytes | None:
        """Return a full page behind the head as the body of an answer; None if no segments hold it."""
        until = after + limit
        found = self.segments.find("item", after, until, head, build=limit >= SEGMENT_EVENTS // 2)
        if not found:
            return None
        cursor = found[-1].one(until - found[-1].after - 1)[ID]
        pieces = [memoryview(segment.cut(after, until)) for segment in found]
        pieces[-1] = pieces[-1][:-1]  # without the last comma
        end = b'],"cursor":"%b","head":%d,"nextCursor":"%b"}}' % (cursor, head, cursor)
        return b"".join((b'{"ok":true,"data":{"events":[', *pieces, end))

    def follow(self, form: Form) -> None:
        """Register a subscriber, and keep new frames from now on."""
        if not self._followers:
            self._new.clear()
            self.ring.restart(self._tail.position)
        self._followers[form] += 1

    def leave(self, form: Form) -> None:
        self._followers[form] -= 1
        self._followers += Counter()  # without the forms that have no subscriber

    def frames(
        self, form: Form, after: Position, wanted: Callable[[PublicCells], bool] | None
    ) -> tuple[list[bytes], Position]:
        """Return the wanted frames of the next events after a position, and the position of the last event."""
        pieces = self.ring.pieces(form, after)
        if pieces is not None:
            last = pieces[-1].until if pieces else after
            if wanted is None:
                return [piece.forms[form].cut(after, last) for piece in pieces], last
            every = ((piece, index, row) for piece in pieces for index, row in enumerate(piece.rows))
            return [piece.forms[form].one(index) for piece, index, row in every if row[0] > after and wanted(row)], last
        if wanted is None and (rest := self.segments.rest(form, after, self._tail.position)) is not None:
            return [rest[0]], rest[1]
        rows = self._rows(after)
        shown = rows if wanted is None else list(filter(wanted, rows))
        return rendered(form, shown, self._reader), rows[-1][0] if rows else after

    def mark(self, name: str, position: Position, frames: FrameNames) -> bytes:
        """Return a frame without an event, which carries the position of the stream."""
        cursor = cursor_at(self._reader, position)
        return frame(name, msgspec.json.encode({"cursor": cursor, "head": self._tail.position}), cursor, frames)


class FeedSubscription(Subscription):
    """The events after a position that match a filter."""

    retry = b"retry: 2000\n"

    def __init__(self, feed: Feed, position: Position, matches: FeedFilter, frames: FrameNames) -> None:
        self._frames: FrameNames = frames
        self._feed = feed
        self._position = position
        self._wanted = None if matches == NO_FILTER else matches.matches
        self._hidden = 0
        self._caught_up = False

    def __enter__(self) -> Self:
        self._feed.follow(self._frames)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._feed.leave(self._frames)

    def take(self) -> tuple[list[bytes], bool]:
        """Return the matching events of the next page, and marks of the position."""
        before = self._position
        shown, self._position = self._feed.frames(self._frames, before, self._wanted)
        if self._position > before:
            self._hidden = 0 if shown else self._hidden + self._position - before
        elif not self._caught_up:
            shown.append(self._feed.mark("caught-up", before, self._frames))
            self._caught_up = True
        if self._hidden >= HIDDEN_EVENTS_MAX:
            shown.append(self._feed.mark("bookmark", self._position, self._frames))
            self._hidden = 0
        return shown, self._position < self._feed.ring.position or not self._caught_up

    async def wait(self) -> None:
        """Wait until an event is recorded."""
        await self._feed.ring.wait(self._position, self._push)

    def _push(self, piece: RingPiece) -> bool:
        """Send a piece that follows the last event at once. Return False if the task has to take it."""
        segment, wanted = piece.forms.get(self._frames), self._wanted
        if segment is None or segment.after != self._position or self._hidden:
            return False
        content = segment.content
        if wanted is not None:
            content = b"".join([segment.one(index) for index, row in enumerate(piece.rows) if wanted(row)])
        if not content or len(content) > CHUNK_BYTES_MAX or not self.push(content):
            return False
        self._position = piece.until
        return True
