"""Server-sent events: the open streams, their heartbeats and their ends; no subscriber can hold up another.

Hot: an open stream holds two tasks and no cancel scope, and one timer serves all heartbeats. That halved the memory of
an idle stream, of which there may be thousands.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio

from athena_api.edge.asgi import Receive, Send
from athena_api.edge.byte_budget import ByteBudget
from athena_core.errors import StoreUnreachable, StreamLimit
from athena_core.values import LOCAL, Identity

T = TypeVar("T")

CHUNK_BYTES_MAX = 64 << 10
ANSWERS_BYTES_MAX = 128 << 20
HEARTBEAT_SECONDS = 15.0
QUIET_TICKS = 15
"""Ticks of the timer within that time: a stream that was quiet for all of them gets a heartbeat."""
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


def some_at_a_time(things: Iterator[T], act: Callable[[T], None]) -> None:
    """Act on the first ``WOKEN_AT_ONCE`` things, and on the others in later iterations of the event loop."""
    some = list(islice(things, WOKEN_AT_ONCE))
    for thing in some:
        act(thing)
    if some:
        asyncio.get_running_loop().call_soon(some_at_a_time, things, act)


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
        """Return the next page of frames, and whether there may be more without a wait."""

    @abstractmethod
    async def wait(self) -> None:
        """Return once there may be more."""


class Cancellation:
    """Cancels the enclosed block from another task without raising.

    Lighter than a cancel scope, of which every open stream would hold two.
    """

    __slots__ = ("_asked", "_task")

    def __init__(self) -> None:
        """Begin without a task."""
        self._asked = False
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        """Enter."""
        self._asked = False
        self._task = asyncio.current_task()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        """Leave; the error is raised if the task was cancelled by another caller, too."""
        task, self._task = self._task, None
        return self._asked and task is not None and task.uncancel() == 0 and kind is asyncio.CancelledError

    def cancel(self) -> None:
        """Cancel the block, if a task is in it. Not for use from inside."""
        if self._task is not None and not self._asked:
            self._asked = True
            self._task.cancel()


class ClientWait(Cancellation):
    """A block that is cancelled as well once the client has gone or the server drains.

    A task of its own waits for the disconnect, because the request's task waits for something else.
    """

    __slots__ = ("_receive", "_streams", "_watch")

    def __init__(self, streams: "Streams", receive: Receive) -> None:
        """Take the streams, whose drain ends the wait, and the messages of the client."""
        super().__init__()
        self._streams = streams
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        """Enter, and wait for the disconnect."""
        self._streams.waits.add(self)
        self._watch = asyncio.create_task(self._until_disconnect())
        if self._streams.draining:
            asyncio.get_running_loop().call_soon(self.cancel)
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        """Leave, and stop waiting for the disconnect."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
        self._streams.waits.discard(self)
        return super().__exit__(kind, error, at)

    async def _until_disconnect(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
        finally:
            self.cancel()


class OpenStream(ClientWait):
    """An open stream: who reads what, its nap until there is more to tell, and for how many ticks it was quiet."""

    __slots__ = ("nap", "operation", "quiet", "who")

    def __init__(self, streams: "Streams", receive: Receive, who: Identity, operation: str) -> None:
        """Begin before the first frame."""
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
        """Begin without open streams."""
        self._answers = answers_in_flight or ByteBudget(ANSWERS_BYTES_MAX)
        self._streams_max = streams_max
        self._per_identity_max = per_identity_max
        self._tick_seconds = heartbeat_seconds / QUIET_TICKS
        self._ticking: asyncio.TimerHandle | None = None
        self._open = Counter[str]()
        self._open_streams: set[OpenStream] = set()
        self._turns = Pacer()
        self.waits: set[ClientWait] = set()
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
        with subscription, OpenStream(self, receive, who, operation) as stream:
            self.count += 1
            self._open[who.subject] += 1
            self._open_streams.add(stream)
            if self._ticking is None:
                self._tick()
            try:
                await self._pump(subscription, send, stream)
            finally:
                self._open_streams.discard(stream)
                self.count -= 1
                self._open[who.subject] -= 1
                if not self._open[who.subject]:
                    del self._open[who.subject]
        with anyio.move_on_after(LAST_SEND_SECONDS):
            await send({"type": "http.response.body", "body": b""})

    def review(self, may_read: Callable[[Identity, str], bool]) -> int:
        """End the streams of those who may no longer read, by identity and operation; how many there were."""
        ended = [stream for stream in self._open_streams if not may_read(stream.who, stream.operation)]
        for stream in ended:
            stream.cancel()
        return len(ended)

    def drain(self) -> None:
        """End everything that is wanted now, and whatever is wanted from now on."""
        self.draining = True
        for wait in self.waits:
            wait.cancel()

    def client_wait(self, receive: Receive) -> ClientWait:
        """Return a block that is cancelled, without an error, once the client has gone or the server drains."""
        return ClientWait(self, receive)

    def _tick(self) -> None:
        """Wake whoever has been quiet for so many ticks: one timer for the heartbeats of all."""
        self._ticking = None
        for stream in self._open_streams:
            stream.quiet += 1
        quiet = [stream for stream in self._open_streams if stream.quiet >= QUIET_TICKS]
        some_at_a_time(iter(quiet), lambda stream: stream.nap.cancel())
        if self._open_streams:
            self._ticking = asyncio.get_running_loop().call_later(self._tick_seconds, self._tick)

    async def _pump(self, subscription: Subscription, send: Send, stream: OpenStream) -> None:
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
                stream.quiet = 0
            elif stream.quiet >= QUIET_TICKS:  # also while something happens that is not shown
                await _send(send, HEARTBEAT)
                stream.quiet = 0
            if not more:
                with stream.nap:
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
