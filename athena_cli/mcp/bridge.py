"""The bridge between a program on standard input and output and ``/mcp`` of the plane: one message on each line.

Each message is one POST, and each message of its answer is one line, so nothing is kept here but the session id.
Both eras of the protocol pass.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias

import httpx2
import msgspec

from athena_cli.exit_codes import Exit, Unreachable
from athena_cli.render import note
from athena_cli.transport import RETRY_SECONDS, START
from athena_core.clock import SystemIds
from athena_core.errors import AthenaError
from athena_core.mcp.client.events import EventReader, EventTooLarge
from athena_core.mcp.client.http import header_value
from athena_core.mcp.requests import NAMED
from athena_core.mcp.versions import INTERNAL_ERROR, MODERN, PARSE_ERROR, VERSION_KEY

Json: TypeAlias = dict[str, Any]

PATH = "/mcp"
LINE_BYTES_MAX = 16 << 20
"""Size of a message in bytes."""
READ_BYTES = 65_536
OPEN_MAX = 64
"""Messages that are answered at a time. Further ones wait."""
GRACE_SECONDS = 2.0
"""How long open requests may still be answered after standard input ended."""
NONCE_BYTES = 16
PAUSE_SECONDS = 0.1
RESTART_SECONDS = 10.0
"""How long a server that has answered before may be away, while it starts again."""
ACCEPT = "application/json, text/event-stream"
STDIN, STDOUT = 0, 1


class BridgedMessage(NamedTuple):
    """A message of the client: its bytes, and what the header fields must repeat of it."""

    line: bytes
    id: int | str | None
    method: str | None
    params: Json
    answered: bool
    """True if it is a request, or so malformed that only the server can say what it is."""

    @property
    def modern(self) -> bool:
        """True if it is a request of 2026-07-28, which stands alone."""
        meta = self.params.get("_meta")
        return isinstance(meta, dict) and meta.get(VERSION_KEY) == MODERN


class ServerSaidNo(Exception):
    """An answer that is not of the protocol, such as one about a missing token. The message is for people."""


class McpBridge:
    """The bridge of one client.

    ``http`` sends to the plane, and ``write`` writes a whole line in a thread. ``lines`` yields the lines of the
    client, None for one that is too long.
    """

    def __init__(
        self, http: httpx2.AsyncClient, lines: AsyncGenerator[bytes | None, None], write: Callable[[bytes], None]
    ) -> None:
        self._http = http
        self._lines = lines
        self._write_line = write
        self._process = SystemIds().salt(NONCE_BYTES).hex()
        self._session: dict[str, str] = {}
        self._open: dict[int | str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()
        self._answered = False
        self._failure: Exit | None = None

    async def serve(self) -> None:
        """Pass on messages until standard input ends. Raise Exit if the plane answered none of them."""
        async with aclosing(self._lines) as lines:
            async for line in lines:
                if line is None:
                    await self._fail(None, PARSE_ERROR, f"A message is larger than {LINE_BYTES_MAX} bytes.")
                elif line.strip():
                    await self._take(line)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._writing:  # the last line is whole
            pass
        if self._failure is not None and not self._answered:
            raise self._failure

    async def _take(self, line: bytes) -> None:
        """Begin to pass on one message. The handshake is passed on to its end, because later messages need it."""
        message = _read(line)
        if message.method == "notifications/cancelled":
            await self._cancel(message)
            return
        if len(self._tasks) >= OPEN_MAX:
            await self._fail(message, INTERNAL_ERROR, f"{OPEN_MAX} requests are open. Wait for an answer.")
            return
        task = asyncio.create_task(self._pass_on(message))
        self._tasks.add(task)
        if message.id is not None and message.method is not None:
            self._open[message.id] = task
        task.add_done_callback(lambda done: self._ended(message, done))
        if message.method == "initialize":
            await asyncio.wait({task})

    def _ended(self, message: BridgedMessage, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if message.id is not None and self._open.get(message.id) is task:
            del self._open[message.id]

    async def _cancel(self, message: BridgedMessage) -> None:
        """Cancel a request. A server before 2026-07-28 gets the notification; later ones notice the closed stream."""
        task = self._open.get(message.params.get("requestId", ""))
        if self._session:
            await self._pass_on(message)
        if task is not None:
            task.cancel()

    async def _pass_on(self, message: BridgedMessage) -> None:
        """Send a message, and write what answers it. Any failure becomes an error that answers it."""
        try:
            await self._exchange_until_answered(message)
            self._answered = True
        except Exit as failed:
            self._failure = failed
            await self._fail(message, INTERNAL_ERROR, failed.sentence)
        except ServerSaidNo as failed:
            self._answered = True
            await self._fail(message, INTERNAL_ERROR, str(failed))
        except AthenaError as failed:  # the plane of this process did not start
            self._failure = Unreachable(failed.message)
            await self._fail(message, INTERNAL_ERROR, failed.message)
        except (httpx2.HTTPError, EventTooLarge) as failed:
            url, refused = self._http.base_url, isinstance(failed, httpx2.ConnectError)
            self._failure = Unreachable(f"no server at {url}" if refused else f"the server at {url} broke off", START)
            await self._fail(message, INTERNAL_ERROR, self._failure.sentence)

    async def _exchange_until_answered(self, message: BridgedMessage) -> None:
        """Send a message, and again if the connection breaks: each request has a key, so nothing is done twice."""
        failing: float | None = None
        while True:
            begun = time.monotonic()
            try:
                await self._exchange(message)
                return
            except httpx2.TransportError:
                now = time.monotonic()
                if failing is None or now - begun > RETRY_SECONDS:
                    failing = now
                if now - failing >= (RESTART_SECONDS if self._answered else RETRY_SECONDS):
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def _exchange(self, message: BridgedMessage) -> None:
        headers = self._headers(message)
        async with self._http.stream("POST", PATH, content=message.line, headers=headers) as response:
            if message.method == "initialize" and (session := response.headers.get("mcp-session-id")):
                self._session = {"mcp-session-id": session}
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                await self._follow(response, message)
            elif (body := await response.aread()) and message.answered:
                await self._write(_checked(response, body))

    async def _follow(self, response: httpx2.Response, message: BridgedMessage) -> None:
        """Write the messages of a stream. Raise ReadError if it ends before the answer."""
        events, answered = EventReader(LINE_BYTES_MAX), False
        async for piece in response.aiter_bytes():
            for event in events.more(piece):
                answered = answered or _read(event)[1:3] == (message.id, None)
                await self._write(event)
        if not answered:
            raise httpx2.ReadError("The stream ended before the answer.")

    def _headers(self, message: BridgedMessage) -> dict[str, str]:
        headers = {"accept": ACCEPT, "content-type": "application/json"}
        if not message.modern:
            return headers | self._session
        headers |= {"mcp-protocol-version": MODERN, "mcp-method": message.method or ""}
        name = message.params.get(NAMED.get(message.method or "", ""))
        if isinstance(name, str):
            headers["mcp-name"] = header_value(name)
        if message.id is not None:
            headers["idempotency-key"] = f"{self._process}-{sha256(repr(message.id).encode()).hexdigest()[:32]}"
        return headers

    async def _fail(self, message: BridgedMessage | None, code: int, said: str) -> None:
        """Report a failure: on standard error, and to the client if it waits for an answer."""
        note(said)
        if message is None or message.answered:
            error = {"code": code, "message": said}
            body = {"jsonrpc": "2.0", "id": None if message is None else message.id, "error": error}
            await self._write(msgspec.json.encode(body))

    async def _write(self, message: bytes) -> None:
        """Write a message on a line of its own, whole even if the request is cancelled meanwhile."""
        line = message.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"  # JSON has line ends between tokens only
        await asyncio.shield(self._write_in_turn(line))

    async def _write_in_turn(self, line: bytes) -> None:
        async with self._writing:
            with suppress(OSError):  # the client has gone, so its input will end
                await asyncio.to_thread(self._write_line, line)


def _read(line: bytes) -> BridgedMessage:
    """Return a message. The server judges one that is malformed."""
    found: Any = None
    with suppress(msgspec.MsgspecError, RecursionError):
        found = msgspec.json.decode(line)
    message = found if isinstance(found, dict) else {}
    number, method, params = message.get("id"), message.get("method"), message.get("params")
    return BridgedMessage(
        line.strip(),
        number if isinstance(number, int | str) and not isinstance(number, bool) else None,
        method if isinstance(method, str) else None,
        params if isinstance(params, dict) else {},
        answered="id" in message if "method" in message else not message.keys() & {"result", "error"},
    )


def _checked(response: httpx2.Response, body: bytes) -> bytes:
    """Return a body that is a message of the protocol. Raise ServerSaidNo."""
    answer: Any = None
    with suppress(msgspec.MsgspecError, RecursionError):
        answer = msgspec.json.decode(body)
    if isinstance(answer, dict) and answer.get("jsonrpc") == "2.0":
        return body
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        raise ServerSaidNo(f"{error.get('code')}: {error['message']}")
    raise ServerSaidNo(f"{response.url} is not an MCP server (HTTP {response.status_code}).")


def write_output(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(STDOUT, view) :]


async def input_lines() -> AsyncGenerator[bytes | None, None]:
    """Yield the lines of standard input, None for one that is too long.

    A thread reads, because standard input may be a file. It reads no more while its lines wait.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Queue[bytes | None] = asyncio.Queue(OPEN_MAX)
    ended = object()

    def put(item: Any) -> None:
        asyncio.run_coroutine_threadsafe(found.put(item), loop).result()

    def read() -> None:
        kept, skips = bytearray(), False
        with suppress(RuntimeError, asyncio.CancelledError):  # the loop has ended
            while piece := os.read(STDIN, READ_BYTES):
                *lines, rest = piece.split(b"\n")
                for line in lines:
                    put(None if skips or len(kept) + len(line) > LINE_BYTES_MAX else bytes(kept + line))
                    kept.clear()
                    skips = False
                kept += rest
                if len(kept) > LINE_BYTES_MAX:
                    kept.clear()
                    skips = True
            if kept and not skips:
                put(bytes(kept))
            put(ended)

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while (line := await found.get()) is not ended:
        yield line
