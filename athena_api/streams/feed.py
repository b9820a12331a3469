"""The feed for clients: its pages, the ring of newest frames, and subscriptions from any cursor."""

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from athena_api.streams.sse import FrameNames, Subscription, frame, some_at_a_time
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
    event_id,
    event_ids,
    parse_cursor,
    position_before,
    records,
    render,
    resolve,
)

RING_BYTES_MAX = 64 << 20
PAGE_EVENTS = 250
"""Events of a stream's page: half of a GET's page. A request waits for up to two of them. Costs 4 % more CPU."""
GATHER_SECONDS_EACH = 0.00002
"""Batching delay per subscriber, about the time that one delivery takes.

With few subscribers frames go out at once. With many they are batched, so that delivery leaves time for other work.
"""
GATHER_SECONDS_MAX = 0.004
HIDDEN_EVENTS_MAX = 10_000


class EventFrame(NamedTuple):
    """A rendered event: its row without payload, and the bytes to send."""

    row: PublicCells
    content: bytes


class FrameRing:
    """The newest frames, rendered once for all subscribers. Filled only while there is a subscriber."""

    def __init__(self, position: Position) -> None:
        """Start empty after a position."""
        self._frames: deque[EventFrame] = deque()
        self._size = 0
        self._waiting: dict[asyncio.Future[None], None] = {}
        self.position = position
        self.first = position + 1

    def restart(self, position: Position) -> None:
        """Drop all frames and continue after a position."""
        self._frames.clear()
        self._size = 0
        self.first = position + 1

    def add(self, frames: Sequence[EventFrame]) -> None:
        """Append frames, and drop the oldest above the size limit."""
        self._frames.extend(frames)
        self._size += sum(len(frame.content) for frame in frames)
        while self._size > RING_BYTES_MAX:
            self._size -= len(self._frames.popleft().content)
            self.first += 1

    def after(self, position: Position, limit: int) -> list[EventFrame] | None:
        """Return up to ``limit`` frames after a position, or None if the ring no longer holds them."""
        start = position + 1 - self.first
        if start < 0:
            return None
        return [self._frames[index] for index in range(start, min(start + limit, len(self._frames)))]

    def wake(self, position: Position) -> None:
        """Wake all waiting subscribers, for the events up to a position."""
        self.position = position
        woken, self._waiting = self._waiting, {}
        some_at_a_time(iter(woken), _resolve)

    async def wait(self, position: Position) -> None:
        """Wait until there is an event after a position."""
        if self.position <= position:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[future] = None
            try:
                await future
            finally:
                self._waiting.pop(future, None)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def cursor_at(reader: LogReader, position: Position) -> str:
    """Return the cursor of the events after a position; ``0`` before the first event."""
    row = reader.row(position) if position else None
    return "0" if row is None else event_id(reader.log_id, row.position, row.chain)


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
        self._followers = 0
        self._waking = False
        tail.subscribe(self._notice)

    def cursor_at(self, position: Position) -> str:
        """Return the cursor of the events after a position; ``0`` before the first event."""
        return cursor_at(self._reader, position)

    def _frames(self, rows: Sequence[PublicCells]) -> list[EventFrame]:
        ids = event_ids(self._reader.log_id, rows)
        rendered = render(rows, ids, self.cursor_at)
        return [
            EventFrame((*row[:6], b"", None, row[8]), frame(row[1], content, its_id))
            for row, content, its_id in zip(rows, rendered, ids, strict=True)
        ]

    def _notice(self, rows: Sequence[Row]) -> None:
        """Render new rows if there is a subscriber, and schedule one wake-up for the whole batch."""
        if not self._followers:
            self.ring.restart(rows[-1].position)
            return
        try:
            self.ring.add(self._frames([PublicRow.of(row) for row in rows]))
        except StoreUnreachable:  # the payloads cannot be read now: subscribers will read pages of the log later
            self.ring.restart(rows[-1].position)
        if not self._waking:
            self._waking = True
            seconds = min(self._followers * GATHER_SECONDS_EACH, GATHER_SECONDS_MAX)
            asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._waking = False
        self.ring.wake(self._tail.position)

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

    def follow(self) -> None:
        """Register a subscriber, and keep new frames from now on."""
        if not self._followers:
            self.ring.restart(self._tail.position)
        self._followers += 1

    def leave(self) -> None:
        """Unregister a subscriber."""
        self._followers -= 1

    def frames(self, position: Position) -> list[EventFrame]:
        """Return the next frames after a position."""
        frames = self.ring.after(position, PAGE_EVENTS)
        if frames is None:
            return self._frames(self._reader.shown(position, PAGE_EVENTS, bytes_max=INLINE_BYTES_MAX))
        return frames

    def mark(self, name: str, position: Position) -> bytes:
        """Return a frame without an event, which carries the position of the stream."""
        cursor = self.cursor_at(position)
        return frame(name, msgspec.json.encode({"cursor": cursor, "head": self._tail.position}), cursor)


class FeedSubscription(Subscription):
    """The events after a position that match a filter."""

    retry = b"retry: 2000\n"

    def __init__(self, feed: Feed, position: Position, matches: FeedFilter, frames: FrameNames) -> None:
        self.unnamed = frames == "message"
        self._feed = feed
        self._position = position
        self._wanted = None if matches == FeedFilter() else matches.matches
        self._hidden = 0
        self._caught_up = False

    def __enter__(self) -> Self:
        """Register with the feed."""
        self._feed.follow()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Unregister."""
        self._feed.leave()

    def take(self) -> tuple[list[bytes], bool]:
        """Return the matching events of the next page, and marks of the position."""
        frames = self._feed.frames(self._position)
        wanted = self._wanted
        shown = [frame.content for frame in frames if wanted is None or wanted(frame.row)]
        if frames:
            self._position = frames[-1].row[0]
            self._hidden = 0 if shown else self._hidden + len(frames)
        if self._hidden >= HIDDEN_EVENTS_MAX:
            shown.append(self._feed.mark("bookmark", self._position))
            self._hidden = 0
        if not frames and not self._caught_up:
            shown.append(self._feed.mark("caught-up", self._position))
            self._caught_up = True
        return shown, len(frames) == PAGE_EVENTS or not self._caught_up

    async def wait(self) -> None:
        """Wait until an event is recorded."""
        await self._feed.ring.wait(self._position)
