"""The stream: server-sent events from any cursor, live, to many subscribers, none of whom can hold up another."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import anyio
import msgspec

from athena_api.edge.asgi import Receive, Send
from athena_api.edge.byte_budget import ByteBudget
from athena_core.errors import StoreUnreachable, StreamLimit
from athena_core.event import Position
from athena_core.log.port import StoreReader
from athena_core.log.tail import Tail
from athena_core.protocols import LogReader, PublicCells, PublicRow, Row
from athena_core.values import LOCAL, Identity
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

T = TypeVar("T")

RING_BYTES_MAX = 64 << 20
PAGE_EVENTS = 250
"""Events of a page of a stream: half of those of a GET, because a request waits for two of them, and 4 % more CPU."""
CHUNK_BYTES_MAX = 64 << 10
ANSWERS_BYTES_MAX = 128 << 20
GATHER_SECONDS_EACH = 0.00002
"""For how long what is committed is gathered, for each subscriber: about as long as it takes to tell him of it.

Few are told at once. Many are told less often, of more at a time, so that telling them leaves time for other things.
"""
GATHER_SECONDS_MAX = 0.004
HEARTBEAT_SECONDS = 15.0
QUIET_TICKS = 15
"""How often it is looked, in that time, who was quiet for all of it."""
HIDDEN_EVENTS_MAX = 10_000
WOKEN_AT_ONCE = 100
"""How many subscribers are woken in one iteration of the event loop, so that a request waits 5 ms for them at most."""
LAST_SEND_SECONDS = 0.2
AWAY_SECONDS = 0.25
"""How long a stream rests that cannot be read on, before it looks again whether the database is back."""

HEARTBEAT = b": heartbeat\n\n"
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class EventFrame(NamedTuple):
    """A rendered event: the row it shows (without its payload), and what is sent."""

    row: PublicCells
    content: bytes


class FrameRing:
    """The newest frames, rendered once for everybody; filled only while somebody listens."""

    def __init__(self, position: Position) -> None:
        """Start empty after a position."""
        self._frames: deque[EventFrame] = deque()
        self._size = 0
        self._waiting: dict[asyncio.Future[None], None] = {}
        self.told = position
        self.first = position + 1

    def restart(self, position: Position) -> None:
        """Forget the frames and go on after a position."""
        self._frames.clear()
        self._size = 0
        self.first = position + 1

    def add(self, frames: Sequence[EventFrame]) -> None:
        """Append frames, and let go of the oldest over the limit."""
        self._frames.extend(frames)
        self._size += sum(len(frame.content) for frame in frames)
        while self._size > RING_BYTES_MAX:
            self._size -= len(self._frames.popleft().content)
            self.first += 1

    def after(self, position: Position, limit: int) -> list[EventFrame] | None:
        """Up to ``limit`` frames after a position; None if the ring does not reach back so far."""
        start = position + 1 - self.first
        if start < 0:
            return None
        return [self._frames[index] for index in range(start, min(start + limit, len(self._frames)))]

    def wake(self, position: Position) -> None:
        """Wake everybody who waits, for what there is up to a position."""
        self.told = position
        woken, self._waiting = self._waiting, {}
        _some_at_a_time(iter(woken), _resolve)

    async def wait(self, position: Position) -> None:
        """Return once everybody was woken for something after a position."""
        if self.told <= position:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[future] = None
            try:
                await future
            finally:
                self._waiting.pop(future, None)


def _some_at_a_time(things: Iterator[T], act: Callable[[T], None]) -> None:
    """Act on the first ``WOKEN_AT_ONCE`` things, and on the others in later iterations of the event loop."""
    some = list(islice(things, WOKEN_AT_ONCE))
    for thing in some:
        act(thing)
    if some:
        asyncio.get_running_loop().call_soon(_some_at_a_time, things, act)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Pacer:
    """Lets one caller go on in each iteration of the event loop, in the order in which they asked.

    However many streams catch up, a request waits for one page of one of them before the loop looks at its socket.
    """

    def __init__(self) -> None:
        """Create it without callers."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._scheduled = False

    async def next(self) -> None:
        """Return when it is the caller's turn, in a later iteration."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append(future)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._give)
        await future

    def _give(self) -> None:
        """Let the first caller go on that was not cancelled."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                asyncio.get_running_loop().call_soon(self._give)
                return
        self._scheduled = False


class Subscription(ABC):
    """What one subscriber is shown. It is a context while its stream is open."""

    retry: bytes
    """What tells a browser how long to wait before it comes back."""

    @abstractmethod
    def __enter__(self) -> Self:
        """Begin."""

    @abstractmethod
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let go of what was held for the subscriber."""

    @abstractmethod
    def take(self) -> tuple[list[bytes], bool]:
        """The next frames, no more than a page of them; whether there may be more without a wait."""

    @abstractmethod
    async def wait(self) -> None:
        """Return once there may be more."""


class Cancellation:
    """Ends what is done inside from outside, where it waits for something, and without an error.

    Lighter than a cancel scope, of which every open stream would hold two.
    """

    __slots__ = ("_asked", "_task")

    def __init__(self) -> None:
        """Nobody is inside."""
        self._asked = False
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        """Go in."""
        self._asked = False
        self._task = asyncio.current_task()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        """Come out; the error goes on if somebody else wants the task to end, too."""
        task, self._task = self._task, None
        return self._asked and task is not None and task.uncancel() == 0 and kind is asyncio.CancelledError

    def now(self) -> None:
        """End it, if somebody is inside; not from inside."""
        if self._task is not None and not self._asked:
            self._asked = True
            self._task.cancel()


class ClientWait(Cancellation):
    """The same, and it ends once the client has gone or the server drains.

    A task of its own sees the client go: the request's has something else to wait for.
    """

    __slots__ = ("_receive", "_streams", "_watch")

    def __init__(self, streams: "Streams", receive: Receive) -> None:
        """Take who drains, and who tells of the client."""
        super().__init__()
        self._streams = streams
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        """Go in, and begin to watch."""
        self._streams.inside.add(self)
        self._watch = asyncio.create_task(self._until_disconnect())
        if self._streams.draining:
            asyncio.get_running_loop().call_soon(self.now)
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        """Come out, and watch no more."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
        self._streams.inside.discard(self)
        return super().__exit__(kind, error, at)

    async def _until_disconnect(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        finally:
            self.now()


class OpenStream(ClientWait):
    """An open stream: who reads what, its nap until there is more to tell, and for how many ticks it was quiet."""

    __slots__ = ("nap", "operation", "quiet", "who")

    def __init__(self, streams: "Streams", receive: Receive, who: Identity, operation: str) -> None:
        """Nothing was sent yet."""
        super().__init__(streams, receive)
        self.who = who
        self.operation = operation
        self.nap = Cancellation()
        self.quiet = 0


class Streams:
    """The open streams. ``drain`` ends every one cleanly."""

    def __init__(
        self,
        answers_in_flight: ByteBudget | None = None,
        *,
        streams_max: int = 10_000,
        per_identity_max: int = 1_000,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        """None is open."""
        self._answers = answers_in_flight or ByteBudget(ANSWERS_BYTES_MAX)
        self._streams_max = streams_max
        self._per_identity_max = per_identity_max
        self._tick_seconds = heartbeat_seconds / QUIET_TICKS
        self._ticking: asyncio.TimerHandle | None = None
        self._open = Counter[str]()
        self._readings: set[OpenStream] = set()
        self._turns = Pacer()
        self.inside: set[ClientWait] = set()
        """The streams, and whatever else is done for clients who wait."""
        self.count = 0
        self.draining = False

    def admit(self, subject: str) -> None:
        """Return if one more may open, for this identity. Raises StreamLimit, Overloaded."""
        if self.count >= self._streams_max:
            raise StreamLimit(f"{self._streams_max} streams are open")
        if self._open[subject] >= self._per_identity_max:
            raise StreamLimit(f"{self._per_identity_max} streams of {subject} are open")
        self._answers.release(self._answers.hold(CHUNK_BYTES_MAX))

    async def serve(
        self, subscription: Subscription, receive: Receive, send: Send, who: Identity = LOCAL, operation: str = ""
    ) -> None:
        """Stream to one subscriber until it leaves, may no longer read, or the server drains."""
        with subscription, OpenStream(self, receive, who, operation) as reading:
            self.count += 1
            self._open[who.subject] += 1
            self._readings.add(reading)
            if self._ticking is None:
                self._tick()
            try:
                await self._pump(subscription, send, reading)
            finally:
                self._readings.discard(reading)
                self.count -= 1
                self._open[who.subject] -= 1
                if not self._open[who.subject]:
                    del self._open[who.subject]
        with anyio.move_on_after(LAST_SEND_SECONDS):
            await send({"type": "http.response.body", "body": b""})

    def review(self, may_read: Callable[[Identity, str], bool]) -> int:
        """End the streams of those who may no longer read, by identity and operation; how many there were."""
        ended = [reading for reading in self._readings if not may_read(reading.who, reading.operation)]
        for reading in ended:
            reading.now()
        return len(ended)

    def drain(self) -> None:
        """End everything that is wanted now, and whatever is wanted from now on."""
        self.draining = True
        for wanted in self.inside:
            wanted.now()

    def wanted(self, receive: Receive) -> ClientWait:
        """What is done inside ends early, without an error, once the client has gone or the server drains."""
        return ClientWait(self, receive)

    def _tick(self) -> None:
        """Wake whoever has been quiet for so many ticks: one timer for the heartbeats of all."""
        self._ticking = None
        for reading in self._readings:
            reading.quiet += 1
        quiet = [reading for reading in self._readings if reading.quiet >= QUIET_TICKS]
        _some_at_a_time(iter(quiet), lambda reading: reading.nap.now())
        if self._readings:
            self._ticking = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    async def _pump(self, subscription: Subscription, send: Send, reading: OpenStream) -> None:
        await _send(send, subscription.retry)
        while True:
            away = False
            try:
                frames, more = subscription.take()
            except StoreUnreachable:  # whoever listens waits, as for something to happen
                frames, more, away = [], False, True
            if frames:
                if not await self._send_page(send, frames):
                    return
                reading.quiet = 0
            elif reading.quiet >= QUIET_TICKS:  # also while something happens that is not shown
                await _send(send, HEARTBEAT)
                reading.quiet = 0
            if not more:
                with reading.nap:
                    try:
                        await (anyio.sleep(AWAY_SECONDS) if away else subscription.wait())
                    except StoreUnreachable:  # nobody can tell whether there is more
                        await anyio.sleep(AWAY_SECONDS)
            else:
                await self._turns.next()  # neither frames nor a socket that takes them may hold up the others

    async def _send_page(self, send: Send, frames: Sequence[bytes]) -> bool:
        """Send frames. Return False if they are large and not in the budget: the client resumes once there is room."""
        size = sum(map(len, frames))
        if size <= CHUNK_BYTES_MAX:
            await _send_all(send, frames)
            return True
        if not self._answers.take(size):
            return False
        try:
            await _send_all(send, frames)
        finally:
            self._answers.release(size)
        return True


def cursor_at(reader: LogReader, position: Position) -> str:
    """The cursor that continues after a position; ``0`` before the first event."""
    row = reader.row(position) if position else None
    return "0" if row is None else event_id(reader.log_id, row.position, row.chain)


def records_of(found: FeedPage, reader: LogReader) -> FeedRecords:
    """A page as it is answered; ``next_cursor`` is there unless the head was reached."""
    ids = event_ids(reader.log_id, found.rows)
    full = bool(ids) and found.rows[-1][0] == found.scanned
    cursor = ids[-1] if full else cursor_at(reader, found.scanned)
    return FeedRecords(
        events=records(found.rows, ids, partial(cursor_at, reader)),
        cursor=cursor,
        head=found.head,
        next_cursor=cursor if found.scanned < found.head else None,
    )


class Feed:
    """Serves pages and streams of the public records."""

    def __init__(self, tail: Tail, reader: StoreReader) -> None:
        """Take the tail of the log, and a reader of this event loop."""
        self._tail = tail
        self._reader = reader
        self.ring = FrameRing(tail.position)
        self._followers = 0
        self._waking = False
        tail.subscribe(self._notice)

    def cursor_at(self, position: Position) -> str:
        """The cursor that continues after a position; ``0`` before the first event."""
        return cursor_at(self._reader, position)

    def _frames(self, rows: Sequence[PublicCells]) -> list[EventFrame]:
        ids = event_ids(self._reader.log_id, rows)
        rendered = render(rows, ids, self.cursor_at)
        return [
            EventFrame((*row[:6], b"", None, row[8]), frame(row[1], content, its_id))
            for row, content, its_id in zip(rows, rendered, ids, strict=True)
        ]

    def _notice(self, rows: Sequence[Row]) -> None:
        """Render what was committed, if anybody listens; wake everybody once for what gathers."""
        if not self._followers:
            self.ring.restart(rows[-1].position)
            return
        try:
            self.ring.add(self._frames([PublicRow.of(row) for row in rows]))
        except StoreUnreachable:  # what some of them refer to cannot be read now: whoever listens reads pages later
            self.ring.restart(rows[-1].position)
        if not self._waking:
            self._waking = True
            seconds = min(self._followers * GATHER_SECONDS_EACH, GATHER_SECONDS_MAX)
            asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._waking = False
        self.ring.wake(self._tail.position)

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

    def open(self, matches: FeedFilter, after: str | None, last_event_id: str | None) -> "FeedSubscription":
        """Prepare a stream. Raises CURSOR errors, so that they are answered before any byte."""
        return FeedSubscription(self, self.start_of(after, last_event_id), matches)

    def follow(self) -> None:
        """Somebody follows: keep what happens from now on."""
        if not self._followers:
            self.ring.restart(self._tail.position)
        self._followers += 1

    def leave(self) -> None:
        """Somebody follows no more."""
        self._followers -= 1

    def frames(self, position: Position) -> list[EventFrame]:
        """The next frames after a position."""
        found = self.ring.after(position, PAGE_EVENTS)
        if found is None:
            return self._frames(self._reader.shown(position, PAGE_EVENTS, bytes_max=INLINE_BYTES_MAX))
        return found

    def mark(self, name: str, position: Position) -> bytes:
        """A frame that tells where the stream is, without an event."""
        cursor = self.cursor_at(position)
        return frame(name, msgspec.json.encode({"cursor": cursor, "head": self._tail.position}), cursor)


class FeedSubscription(Subscription):
    """The events after a position that a filter wants."""

    retry = b"retry: 2000\n\n"

    def __init__(self, feed: Feed, position: Position, matches: FeedFilter) -> None:
        """Take where to begin."""
        self._feed = feed
        self._position = position
        self._wanted = None if matches == FeedFilter() else matches.matches
        self._hidden = 0
        self._caught_up = False

    def __enter__(self) -> Self:
        """Have the newest frames kept."""
        self._feed.follow()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """They are no longer needed."""
        self._feed.leave()

    def take(self) -> tuple[list[bytes], bool]:
        """A page of the feed as far as it is wanted, and the marks."""
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
        """Return once something was recorded."""
        await self._feed.ring.wait(self._position)


def frame(name: str, data: bytes, event_id: str | None = None) -> bytes:
    """A frame: its event's name, its data (JSON) in the envelope, and with an id where a stream can be resumed."""
    head = f"event: {name}\n" if event_id is None else f"id: {event_id}\nevent: {name}\n"
    return b'%bdata: {"ok":true,"data":%b}\n\n' % (head.encode(), data)


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
