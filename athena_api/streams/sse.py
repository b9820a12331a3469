"""Server-sent events: the open streams, their heartbeats and their ends.

No subscriber delays another.

Hot: an open stream holds two tasks and no cancel scope, and one timer serves all heartbeats. That halved the memory of
an idle stream, of which there may be thousands.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar

import anyio

from athena_api.edge.asgi import Receive, Send
from athena_api.edge.byte_budget import ByteBudget
from athena_api.edge.exchange import AnswerPort
from athena_api.streams.lines import Lines
from athena_core.errors import Overloaded, StoreUnreachable, StreamLimit
from athena_core.values import Identity

T = TypeVar("T")

CHUNK_BYTES_MAX = 64 << 10
ANSWERS_BYTES_MAX = 128 << 20
HEARTBEAT_SECONDS = 15.0
QUIET_TICKS = 15
"""Ticks of the timer per heartbeat. A stream without frames for this long gets a heartbeat."""
WOKEN_AT_ONCE = 100
"""Subscribers that are woken in one iteration of the event loop, so that a request waits at most 5 ms for them."""
LAST_SEND_SECONDS = 0.2
AWAY_SECONDS = 0.25
"""Pause of a stream that cannot read, before it tries the database again."""

HEARTBEAT = b": heartbeat\n"
"""A comment, without a blank line. There some clients (httpx-sse) would report an empty event."""

DATA = b'data: {"ok":true,'
FrameNames: TypeAlias = Literal["event", "message"]
"""Where frames have their name: in an ``event`` line, or in the envelope, for ``EventSource.onmessage``."""

SSE = (b"content-type", b"text/event-stream")
HEADERS = [(b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]


def some_at_a_time(things: Iterator[T], act: Callable[[T], None]) -> None:
    """Act on the first ``WOKEN_AT_ONCE`` things now, and on the others in later iterations of the event loop."""
    some = list(islice(things, WOKEN_AT_ONCE))
    for thing in some:
        act(thing)
    if some:
        asyncio.get_running_loop().call_soon(some_at_a_time, things, act)


class Pacer:
    """A queue that lets one caller proceed in each iteration of the event loop, first come, first served.

    Even if many streams catch up, a request waits for only one page of one stream.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._scheduled = False

    async def next(self) -> None:
        """Wait for the caller's turn, in a later iteration."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append(future)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._give)
        await future

    def _give(self) -> None:
        """Let the first caller proceed that has not been cancelled."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                asyncio.get_running_loop().call_soon(self._give)
                return
        self._scheduled = False


class Subscription(ABC):
    """The frames for one subscriber. A context manager, entered while its stream is open."""

    retry: bytes
    """The line that sets the browser's reconnection delay. It becomes part of the first frame."""

    push: Callable[[bytes], bool] = staticmethod(lambda content: False)
    """Sends frames at once, outside the task of the stream. Returns False if the client has to read first."""

    @abstractmethod
    def __enter__(self) -> Self:
        """Acquire what the subscriber needs."""

    @abstractmethod
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Release what was held for the subscriber."""

    @abstractmethod
    def take(self) -> tuple[list[bytes], bool]:
        """Return the next page of frames, and True if more may be available without a wait."""

    @abstractmethod
    async def wait(self) -> None:
        """Wait until more frames may be available."""


class Cancellation:
    """A context manager that another task can cancel, without raising.

    Lighter than a cancel scope, of which every open stream would hold two.
    """

    __slots__ = ("_asked", "_task")

    def __init__(self) -> None:
        self._asked = False
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        self._asked = False
        self._task = asyncio.current_task()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        """Leave. The error is raised if another caller cancelled the task, too."""
        task, self._task = self._task, None
        return self._asked and task is not None and task.uncancel() == 0 and kind is asyncio.CancelledError

    def cancel(self) -> None:
        """Cancel the block if a task is in it. Do not call it from inside."""
        if self._task is not None and not self._asked:
            self._asked = True
            self._task.cancel()


class ClientWait(Cancellation):
    """A block that is also cancelled when the client disconnects or the server drains.

    A task of its own waits for the disconnect, because the request's task waits for something else.
    """

    __slots__ = ("_receive", "_streams", "_watch")

    def __init__(self, streams: "Streams", receive: Receive) -> None:
        super().__init__()
        self._streams = streams
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        """Enter, and watch for the disconnect."""
        self._streams.waits.add(self)
        self._watch = asyncio.create_task(self._until_disconnect())
        if self._streams.draining:
            asyncio.get_running_loop().call_soon(self.cancel)
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        """Leave, and stop watching for the disconnect."""
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


class CallerWait(Cancellation):
    """A wait of a caller for a run or other work, which ends with the right of the caller."""

    __slots__ = ("operation", "who")

    def __init__(self, who: Identity, operation: str) -> None:
        super().__init__()
        self.who = who
        self.operation = operation


class OpenStream(ClientWait):
    """An open stream: its reader and operation, its current wait, and the number of ticks without frames.

    It counts while the block lasts. With ``counts`` False it counts once ``count`` is called, for an answer that may
    become a stream.
    """

    __slots__ = ("counts", "nap", "operation", "quiet", "who")

    def __init__(
        self, streams: "Streams", receive: Receive, who: Identity, operation: str, *, counts: bool = True
    ) -> None:
        super().__init__(streams, receive)
        self.who = who
        self.operation = operation
        self.counts = counts
        self.nap = Cancellation()
        self.quiet = 0

    def push(self, push: Callable[[bytes], bool], content: bytes) -> bool:
        """Send frames at once. Return False if the client has to read first."""
        self.quiet = 0
        return push(content)

    def count(self) -> None:
        """Count from now on. Raise StreamLimit or Overloaded."""
        self._streams.admit(self.who.subject)
        self.counts = True
        self._streams.take(self)

    def __enter__(self) -> Self:
        self._streams.begin(self)
        if not self._streams.may_read(self.who, self.operation):
            asyncio.get_running_loop().call_soon(self.cancel)
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        """Leave, and count no more."""
        self._streams.end(self)
        return super().__exit__(kind, error, at)


class Streams:
    """The open streams. ``drain`` ends all of them cleanly."""

    def __init__(
        self,
        answers_in_flight: ByteBudget | None = None,
        *,
        streams_max: int = 10_000,
        per_identity_max: int = 1_000,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._answers = answers_in_flight or ByteBudget(ANSWERS_BYTES_MAX)
        self._streams_max = streams_max
        self._per_identity_max = per_identity_max
        self._tick_seconds = heartbeat_seconds / QUIET_TICKS
        self._ticking: asyncio.TimerHandle | None = None
        self._open = Counter[str]()
        self._open_streams: set[OpenStream] = set()
        self._callers: set[CallerWait] = set()
        self._left: set[asyncio.Future[Any]] = set()
        """Work whose caller waits no longer."""
        self._turns = Pacer()
        self.waits: set[ClientWait] = set()
        """The open streams and all other waits for clients."""
        self.count = 0
        self.draining = False
        self.may_read: Callable[[Identity, str], bool] = lambda who, operation: True
        """Return True if a caller may read now, which a stream that opens late may no longer."""

    def admit(self, subject: str) -> None:
        """Check that this identity may open another stream. Raise StreamLimit or Overloaded."""
        if self.count >= self._streams_max:
            raise StreamLimit(f"The limit of {self._streams_max} open streams is reached. Retry later.")
        if self._open[subject] >= self._per_identity_max:
            raise StreamLimit(f"{subject} has reached the limit of {self._per_identity_max} open streams. Close one.")
        self._answers.release(self._answers.hold(CHUNK_BYTES_MAX))

    async def serve(
        self, subscription: Subscription, receive: Receive, channel: AnswerPort, who: Identity, operation: str
    ) -> None:
        """Serve one subscriber until it disconnects, loses its permission, or the server drains."""
        with subscription, OpenStream(self, receive, who, operation) as stream:
            subscription.push = partial(stream.push, channel.push)
            await self._pump(subscription, channel.send, stream)
        with anyio.move_on_after(LAST_SEND_SECONDS):
            await channel.send({"type": "http.response.body", "body": b""})

    async def serve_lines(
        self,
        lines: Lines,
        receive: Receive,
        send: Send,
        who: Identity,
        operation: str,
        failed: Callable[[Exception], bytes],
    ) -> None:
        """Send lines at the client's pace. If they are cut off, the last line is ``failed`` of the error."""
        error: Exception | None = Overloaded("The answer was cut off. Continue after the id of its last record.")
        try:
            with OpenStream(self, receive, who, operation):
                async with aclosing(lines.pages) as pages:
                    async for page in pages:
                        if not await self._send_page(send, [page]):
                            break
                        await self._turns.next()
                    else:
                        error = None
        except Exception as broken:
            error = broken
        with anyio.move_on_after(LAST_SEND_SECONDS):
            await send({"type": "http.response.body", "body": b"" if error is None else failed(error)})

    def begin(self, stream: OpenStream) -> None:
        """Follow a stream, and count it unless it counts later."""
        if stream.counts:
            self.take(stream)
        self._open_streams.add(stream)
        if self._ticking is None:
            self._tick()

    def take(self, stream: OpenStream) -> None:
        self.count += 1
        self._open[stream.who.subject] += 1

    def end(self, stream: OpenStream) -> None:
        """Follow and count a stream no more."""
        subject = stream.who.subject
        self._open_streams.discard(stream)
        if not stream.counts:
            return
        self.count -= 1
        self._open[subject] -= 1
        if not self._open[subject]:
            del self._open[subject]

    def review(self, may_read: Callable[[Identity, str], bool]) -> int:
        """End the streams of callers that may no longer read. Return the number of ended streams."""
        ended = [stream for stream in self._open_streams if not may_read(stream.who, stream.operation)]
        for stream in ended:
            stream.cancel()
        for wait in [wait for wait in self._callers if not may_read(wait.who, wait.operation)]:
            wait.cancel()
        return len(ended)

    async def while_allowed(self, work: Coroutine[Any, Any, T], who: Identity, operation: str) -> T | None:
        """Return the result of work that may take long, or None once the caller has lost its right.

        The work goes on then: what it began may be recorded already.
        """
        task = asyncio.ensure_future(work)
        wait = CallerWait(who, operation)
        self._callers.add(wait)
        try:
            with wait:
                if self.may_read(who, operation):
                    await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            self._callers.discard(wait)
        if task.done():
            return task.result()
        self._left.add(task)
        task.add_done_callback(self._over)
        return None

    def _over(self, task: asyncio.Future[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # the caller was answered already

    def drain(self) -> None:
        """End all current and future streams and waits."""
        self.draining = True
        for wait in self.waits:
            wait.cancel()
        for task in self._left:
            task.cancel()

    def client_wait(self, receive: Receive) -> ClientWait:
        """Return a block that is cancelled, without an error, when the client disconnects or the server drains."""
        return ClientWait(self, receive)

    def _tick(self) -> None:
        """Wake the streams that are due for a heartbeat. One timer serves all of them."""
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
            except StoreUnreachable:  # wait, as if there were no new events
                frames, more, away = [], False, True
            if frames:
                if not await self._send_page(send, frames):
                    return
                stream.quiet = 0
            elif stream.quiet >= QUIET_TICKS:  # also while there are only events that the filter drops
                await _send(send, HEARTBEAT)
                stream.quiet = 0
            if not more:
                with stream.nap:
                    try:
                        await (anyio.sleep(AWAY_SECONDS) if away else subscription.wait())
                    except StoreUnreachable:  # it is unknown if there are more frames
                        await anyio.sleep(AWAY_SECONDS)
            else:
                await self._turns.next()  # neither frames nor a fast socket may delay other tasks

    async def _send_page(self, send: Send, frames: Sequence[bytes]) -> bool:
        """Send frames. Return False if they are large and exceed the budget; the client resumes once there is room."""
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


def frame(name: str, data: bytes, event_id: str | None = None, frames: FrameNames = "event") -> bytes:
    """Return a frame: its name, JSON data in the envelope, and an id if the stream can resume from here."""
    head = "" if event_id is None else f"id: {event_id}\n"
    if frames == "event":
        return b'%bevent: %b\n%b"data":%b}\n\n' % (head.encode(), name.encode(), DATA, data)
    return b'%b%b"event":"%b","data":%b}\n\n' % (head.encode(), DATA, name.encode(), data)


async def _send(send: Send, content: bytes) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def _send_all(send: Send, contents: Sequence[bytes]) -> None:
    """Send frames in as few writes as their size allows."""
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
