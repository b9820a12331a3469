"""The stream: server-sent events from any cursor, live, to many subscribers, none of whom can hold up another."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import anyio
import msgspec

from athena_api.asgi import Receive, Send
from athena_core.errors import StreamLimit
from athena_core.event import MARK_BYTES, Position
from athena_core.protocols import Row, Shown
from athena_core.signal import Signal
from athena_core.store.sqlite import SqliteReader
from athena_core.store.tail import Tail
from projections.feed import FeedFilter, FeedPage, event_id, parse_cursor, position_before, render, resolve

RING_BYTES_MAX = 64 << 20
STREAMS_MAX = 10_000
PAGE_EVENTS = 500
CHUNK_BYTES_MAX = 64 << 10
GATHER_SECONDS = 0.004
HEARTBEAT_SECONDS = 15.0
HIDDEN_EVENTS_MAX = 10_000
LAST_SEND_SECONDS = 0.2
RETRY = b"retry: 2000\n\n"
HEARTBEAT = b": heartbeat\n\n"
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Frame(NamedTuple):
    """A rendered event: the row it shows (without its payload), and what is sent."""

    row: Shown
    content: bytes


class Ring:
    """The newest frames, rendered once for everybody; filled only while somebody listens."""

    def __init__(self, position: Position) -> None:
        """Start empty after a position."""
        self._frames: deque[Frame] = deque()
        self._size = 0
        self.signal = Signal(position)
        self.first = position + 1

    def restart(self, position: Position) -> None:
        """Forget the frames and go on after a position."""
        self._frames.clear()
        self._size = 0
        self.first = position + 1

    def add(self, frames: Sequence[Frame]) -> None:
        """Append frames, and let go of the oldest over the limit."""
        self._frames.extend(frames)
        self._size += sum(len(frame.content) for frame in frames)
        while self._size > RING_BYTES_MAX:
            self._size -= len(self._frames.popleft().content)
            self.first += 1

    def after(self, position: Position, limit: int) -> list[Frame] | None:
        """Up to ``limit`` frames after a position; None if the ring does not reach back so far."""
        start = position + 1 - self.first
        if start < 0:
            return None
        return [self._frames[index] for index in range(start, min(start + limit, len(self._frames)))]


class Subscription(NamedTuple):
    """A stream that is about to begin: after which position, with which events."""

    position: Position
    matches: FeedFilter


class Feed:
    """Serves pages and streams of the public records. ``drain`` ends every stream cleanly."""

    def __init__(self, tail: Tail, reader: SqliteReader, *, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        """Take the tail of the log, and a reader of this event loop."""
        self._tail = tail
        self._reader = reader
        self._heartbeat_seconds = heartbeat_seconds
        self._ring = Ring(tail.position)
        self.streams = 0
        self._waking = False
        self.drain = anyio.Event()
        tail.subscribe(self._notice)

    def record(self, shown: Shown) -> bytes:
        """The public record of a row, as JSON."""
        return render(shown, self._reader.log_id, self.cursor_at)

    def cursor_at(self, position: Position) -> str:
        """The cursor that continues after a position; ``0`` before the first event."""
        row = self._reader.row(position) if position else None
        return "0" if row is None else self._id(row)

    def _id(self, row: Row | Shown) -> str:
        return event_id(self._reader.log_id, row.position, row.chain[:MARK_BYTES])

    def _frame(self, shown: Shown) -> Frame:
        head = f'id: {self._id(shown)}\nevent: {shown.type}\ndata: {{"ok":true,"data":'.encode()
        content = head + self.record(shown) + b"}\n\n"
        return Frame(shown._replace(data=b"", extra=None), content)

    def _notice(self, rows: Sequence[Row]) -> None:
        """Render what was committed, if anybody listens; wake everybody once for what gathers in 4 ms."""
        if not self.streams:
            self._ring.restart(rows[-1].position)
            return
        self._ring.add([self._frame(Shown.of(row)) for row in rows])
        if not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._wake)

    def _wake(self) -> None:
        self._waking = False
        self._ring.signal.advance(self._tail.position)

    def start_of(self, after: str | None, last_event_id: str | None) -> Position:
        """Where a stream begins: ``Last-Event-ID``, else ``after`` (a cursor, ``latest`` or a time), else 0."""
        text = last_event_id or after
        if text is None:
            return 0
        if text == "latest":
            return self._reader.head()
        if last_event_id is None and "T" in text and "-" in text and ":" in text:
            return position_before(text, self._reader)
        return resolve(parse_cursor(text), self._reader)

    def page(self, found: FeedPage) -> bytes:
        """A page as JSON; ``nextCursor`` is there unless the head was reached."""
        events = b",".join([self.record(row) for row in found.rows])
        last = found.rows[-1] if found.rows else None
        cursor = self._id(last) if last and last.position == found.scanned else self.cursor_at(found.scanned)
        more = b',"nextCursor":"%b"' % cursor.encode() if found.scanned < found.head else b""
        return b'{"events":[%b],"cursor":"%b","head":%d%b}' % (events, cursor.encode(), found.head, more)

    def open(self, matches: FeedFilter, after: str | None, last_event_id: str | None) -> Subscription:
        """Prepare a stream. Raises CURSOR errors and StreamLimit, so that they are answered before any byte."""
        position = self.start_of(after, last_event_id)
        if self.streams >= STREAMS_MAX:
            raise StreamLimit(f"{STREAMS_MAX} streams are open")
        return Subscription(position, matches)

    async def serve(self, subscription: Subscription, receive: Receive, send: Send) -> None:
        """Stream to one subscriber until it leaves or the server drains."""
        if not self.streams:
            self._ring.restart(self._tail.position)
        self.streams += 1
        try:
            async with anyio.create_task_group() as tasks:
                leave = tasks.cancel_scope.cancel
                tasks.start_soon(_until_disconnect, receive, leave)
                tasks.start_soon(_until_drain, self.drain, leave)
                await self._pump(subscription.position, subscription.matches, send)
        finally:
            self.streams -= 1
        with anyio.move_on_after(LAST_SEND_SECONDS):
            await send({"type": "http.response.body", "body": b""})

    async def _pump(self, position: Position, matches: FeedFilter, send: Send) -> None:
        await _send(send, RETRY)
        hidden, caught_up = 0, False
        beat_at = anyio.current_time() + self._heartbeat_seconds
        while True:
            frames = self._ring.after(position, PAGE_EVENTS)
            if frames is None:
                frames = [self._frame(row) for row in self._reader.shown(position, PAGE_EVENTS)]
            shown = [frame.content for frame in frames if matches.matches(frame.row)]
            if frames:
                position = frames[-1].row.position
                hidden = 0 if shown else hidden + len(frames)
            if hidden >= HIDDEN_EVENTS_MAX:
                shown.append(self._mark("bookmark", position))
                hidden = 0
            if not frames and not caught_up:
                shown.append(self._mark("caught-up", position))
                caught_up = True
            await _send_all(send, shown)
            if shown:
                beat_at = anyio.current_time() + self._heartbeat_seconds
            if len(frames) < PAGE_EVENTS and caught_up:
                with anyio.move_on_after(beat_at - anyio.current_time()):
                    await self._ring.signal.wait(position + 1)
                if anyio.current_time() >= beat_at:  # also while events come that the filter hides
                    await _send(send, HEARTBEAT)
                    beat_at = anyio.current_time() + self._heartbeat_seconds
            elif not shown:
                await anyio.sleep(0)  # a long stretch that the filter hides must not hold up the others

    def _mark(self, name: str, position: Position) -> bytes:
        """A frame that tells where the stream is, without an event."""
        cursor = self.cursor_at(position)
        data = msgspec.json.encode({"ok": True, "data": {"cursor": cursor, "head": self._tail.position}})
        return f"id: {cursor}\nevent: {name}\ndata: ".encode() + data + b"\n\n"


async def _until_disconnect(receive: Receive, leave: Callable[[], Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    leave()


async def _until_drain(drain: anyio.Event, leave: Callable[[], Any]) -> None:
    await drain.wait()
    leave()


async def _send(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def _send_all(send: Send, contents: Sequence[bytes]) -> None:
    """Send frames joined into as few writes as their size allows."""
    chunk: list[bytes] = []
    size = 0
    for content in contents:
        chunk.append(content)
        size += len(content)
        if size >= CHUNK_BYTES_MAX:
            await _send(send, b"".join(chunk))
            chunk, size = [], 0
    if chunk:
        await _send(send, b"".join(chunk))
