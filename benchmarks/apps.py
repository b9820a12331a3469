"""The HTTP ceilings: raw ASGI applications that each do one part of Athena's work.

``python -m benchmarks.apps NAME PORT DIRECTORY`` serves one of them with the server settings of Athena.
"""

import asyncio
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import apsw
import msgspec
import uvicorn

from athena_api.server import listen
from athena_core.clock import SystemIds

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

BATCH_ROWS_MAX = 512
CREATE = "CREATE TABLE event (position INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT"
INSERT = "INSERT INTO event (position, data) VALUES (?, ?)"


class Settable(Protocol):
    """A future, or an object that takes its result like one."""

    def done(self) -> bool:
        """Return True if the result is not wanted any more."""

    def set_result(self, result: int, /) -> None:
        """Take the position of the row."""


Waiting: TypeAlias = tuple[bytes, Settable]


async def body_of(receive: Receive) -> bytes:
    """Return the body of a request."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def answer(send: Send, body: bytes) -> None:
    """Send a complete response."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Gathering(ABC):
    """Hands rows to one writer thread, started by the first row."""

    def __init__(self) -> None:
        """Start without rows."""
        self._waiting: deque[Waiting] = deque()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def append(self, data: bytes) -> int:
        """Append a row. Return its position once it is durable."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.put(data, future)
        return await future

    def put(self, data: bytes, result: Settable) -> None:
        """Append a row. The result takes its position once it is durable."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._write, args=(self._loop,), daemon=True).start()
        self._waiting.append((data, result))
        self._ready.set()

    @abstractmethod
    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write waiting rows forever, and resolve their futures."""

    def _batch(self) -> list[Waiting]:
        """Return the oldest waiting rows."""
        batch: list[Waiting] = []
        while self._waiting and len(batch) < BATCH_ROWS_MAX:
            batch.append(self._waiting.popleft())
        return batch


class GroupCommit(Gathering):
    """One writer thread, WAL and FULL, all waiting rows in one transaction with one ``executemany``."""

    def __init__(self, directory: Path) -> None:
        """Create the database."""
        super().__init__()
        self._connection = apsw.Connection(str(directory / "event.db"))
        for name, value in (("journal_mode", "WAL"), ("synchronous", "FULL")):
            self._connection.pragma(name, value)
        assert self._connection.pragma("synchronous") == 2
        self._connection.execute(CREATE)
        self._position = 0

    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        execute, executemany = self._connection.execute, self._connection.executemany
        while True:
            self._ready.wait()
            self._ready.clear()
            while self._waiting:
                batch = self._batch()
                first = self._position + 1
                execute("BEGIN IMMEDIATE")
                executemany(INSERT, [(first + index, data) for index, (data, _) in enumerate(batch)])
                execute("COMMIT")
                self._position += len(batch)
                loop.call_soon_threadsafe(resolve, batch, first)


def resolve(batch: Sequence[Waiting], first: int) -> None:
    """Resolve the positions of a durable batch."""
    for index, (_, future) in enumerate(batch):
        if not future.done():
            future.set_result(first + index)


def nothing(directory: Path) -> App:
    """Read a body and respond: HTTP alone."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        data = await body_of(receive)
        await answer(send, b'{"ok":true,"data":{"size":%d}}' % len(data))

    return app


def group_commit(directory: Path) -> App:
    """Read a body, store it durably and respond: HTTP and the disk alone."""
    writer = GroupCommit(directory)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        data = await body_of(receive)
        position = await writer.append(data) if data else 0
        await answer(send, b'{"ok":true,"data":{"position":%d}}' % position)

    return app


def application_save(directory: Path) -> App:
    """Read a body, decode it, and save a new aggregate of one event with the library's ``Application.save``."""
    from uuid import UUID  # noqa: PLC0415 - the other ceilings do not pay for the library

    from eventsourcing.application import Application  # noqa: PLC0415
    from eventsourcing.domain import Aggregate  # noqa: PLC0415

    class Directive(Aggregate):
        def __init__(self, text: str) -> None:
            self.text = text

    place = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(directory / "events.db")}
    application: Application[UUID] = Application(env=place)
    thread = ThreadPoolExecutor(1)

    def save(data: bytes) -> str:
        directive = Directive(msgspec.json.decode(data)["input"])
        application.save(directive)
        return str(directive.id)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        data = await body_of(receive)
        made = await asyncio.get_running_loop().run_in_executor(thread, save, data) if data else ""
        await answer(send, b'{"ok":true,"data":{"id":"%b"}}' % made.encode())

    return app


class Made:
    """Directives that are created in memory only."""

    def __init__(self) -> None:
        """Use a source of ids."""
        self._ids = SystemIds()

    def directive(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the stream frame of a new directive, and the response to its creator."""
        made = self._ids.new("dir").encode()
        record = b'{"id":"%b","traceId":"%b","payload":{"directiveId":"%b"}}' % (
            made,
            os.urandom(18).hex().encode(),
            made,
        )
        frame = b'id: %b\nevent: directive.created\ndata: {"ok":true,"data":%b}\n\n' % (made, record)
        return frame, b'{"ok":true,"data":{"id":"%b","size":%d}}' % (made, len(data))


async def stream_while_there(receive: Receive, send: Send, pump: Coroutine[Any, Any, None]) -> None:
    """Respond with a stream of events, which the pump fills until the client disconnects."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"retry: 2000\n", "more_body": True})
    task = asyncio.ensure_future(pump)
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
    await asyncio.wait([task])


def fan_out(directory: Path) -> App:
    """Deliver every body to every subscriber at once, through a queue each: fan-out without storage."""
    queues: set[asyncio.Queue[bytes]] = set()
    made = Made()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/stream"):
            await stream_while_there(receive, send, subscribe(send))
            return
        frame, body = made.directive(await body_of(receive))
        for queue in queues:
            queue.put_nowait(frame)
        await answer(send, body)

    async def subscribe(send: Send) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        queues.add(queue)
        try:
            while True:
                await send({"type": "http.response.body", "body": await queue.get(), "more_body": True})
        finally:
            queues.discard(queue)

    return app


def fan_out_joined(directory: Path) -> App:
    """Fan out without queues: each subscriber gets all pending events in one write."""
    made = Made()
    waiting: dict[asyncio.Future[None], None] = {}
    frames: list[bytes] = []
    newest = first = 0

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal newest, first
        if scope["path"].endswith("/stream"):
            await stream_while_there(receive, send, subscribe(send))
            return
        frame, body = made.directive(await body_of(receive))
        if len(frames) >= 2 * BATCH_ROWS_MAX:
            del frames[:BATCH_ROWS_MAX]
            first += BATCH_ROWS_MAX
        frames.append(frame)
        newest += 1
        for future in waiting:
            if not future.done():
                future.set_result(None)
        waiting.clear()
        await answer(send, body)

    async def subscribe(send: Send) -> None:
        loop = asyncio.get_running_loop()
        seen = newest
        while True:
            if seen == newest:
                future = loop.create_future()
                waiting[future] = None
                await future
            content = b"".join(frames[seen - first :])
            seen = newest
            await send({"type": "http.response.body", "body": content, "more_body": True})

    return app


def page(directory: Path) -> App:
    """Respond to every request with the file ``page`` of the directory: HTTP alone, at the size of a page."""
    content = (directory / "page").read_bytes()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await answer(send, content)

    return app


APPS: dict[str, Callable[[Path], App]] = {
    "nothing": nothing,
    "group-commit": group_commit,
    "application-save": application_save,
    "fan-out": fan_out,
    "fan-out-joined": fan_out_joined,
    "page": page,
}


def main() -> None:
    """Serve until terminated."""
    from benchmarks import apps_postgres  # noqa: PLC0415 - it imports this module

    name, port, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    directory.mkdir(parents=True, exist_ok=True)
    config = uvicorn.Config(
        (APPS | apps_postgres.APPS)[name](directory),
        http="httptools",
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listen("127.0.0.1", port, send_timeout_ms=10_000)])


if __name__ == "__main__":
    main()
