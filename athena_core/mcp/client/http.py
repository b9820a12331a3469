"""A server behind a URL: streamable HTTP, with an answer as JSON or as a stream of events.

Redirects are not followed, no cookie is kept, and no proxy of the environment is used. Answers must not be compressed.
"""

import asyncio
import base64
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from functools import cached_property
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import httpx2
import msgspec
from msgspec import UNSET, Raw

from athena_core.mask import Mask
from athena_core.mcp.client.failure import FailureCode, McpFailure
from athena_core.mcp.client.param_headers import param_headers
from athena_core.mcp.client.server_side import ServerSide
from athena_core.mcp.client.streams import ServerStream
from athena_core.mcp.client.wire import (
    CANCELLED,
    CLOSE_SECONDS,
    LIMITS,
    Receiver,
    Transport,
)
from athena_core.mcp.listed_tool import McpTool
from athena_core.mcp.versions import MODERN
from athena_core.rpc.peer import (
    PARSE_ERRORS,
    ProtocolBroken,
    RequestFailed,
    RpcError,
    RpcMessage,
    read_message,
)

CONNECT_SECONDS = 10.0
ADDRESSES_TRIED_MAX = 3
RESUMES_MAX = 16
"""How often a stream is taken up again."""
EVENTS: Final = "text/event-stream"
STREAM: Final = {"accept": EVENTS}
SESSION_CHARS_MAX = 1_024
ERROR_BODY_BYTES_MAX = 1 << 20
CODES: Final[dict[str, FailureCode]] = {"invalid-json": "invalid-json", "unknown-answer": "unknown-answer"}
NAMED: Final = {"tools/call": "name"}
"""The parameter that the header ``Mcp-Name`` repeats, by method."""
VERSION_HEADER: Final = "mcp-protocol-version"
SESSION_HEADER: Final = "mcp-session-id"
VISIBLE = re.compile(r"[ -~]*")
SESSION = re.compile(rf"[!-~]{{1,{SESSION_CHARS_MAX}}}")

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host and port that may be connected to. It may raise OSError and McpFailure."""
Sign: TypeAlias = Callable[[dict[str, str], str], Awaitable[tuple[dict[str, str], str]]]
"""Returns the headers and the path of a request with the credential of the server. It may raise McpFailure."""


class HttpWire:
    """A wire to a URL. ``resolve`` and ``sign`` are called for each request."""

    transport: Transport = "http"

    def __init__(self, url: str, *, resolve: Resolve, sign: Sign | None = None) -> None:
        parts = urlsplit(url)
        self.version: str | None = None
        self.ended: McpFailure | None = None
        self._scheme = parts.scheme
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._authority = parts.netloc.rpartition("@")[2]
        self._resolve = resolve
        self._sign = sign
        self._name = ""
        self._changed: Callable[[], None] = lambda: None
        self._side = ServerSide(self._changed)
        self._session: str | None = None
        self._next = 0
        self._open = 0
        self._params: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]] = {}
        self._notices: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        tls: ssl.SSLContext = httpx2.create_ssl_context(trust_env=False)
        return httpx2.AsyncClient(
            verify=tls,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=4),
        )

    async def open(self, name: str, mask: Mask, changed: Callable[[], None]) -> None:
        """Note whom it is about. The first request connects. No failure quotes a word of the server."""
        self._name, self._side = name, ServerSide(changed)
        self._changed = changed

    async def reopen(self) -> bool:
        """Return True: nothing ended."""
        return True

    def note_tools(self, tools: Sequence[McpTool]) -> None:
        """Note which arguments the headers of calls repeat."""
        self._params = {tool.name: marked for tool in tools if (marked := param_headers(tool.input_schema))}

    async def request(self, method: str, params: dict[str, Any], receiver: Receiver | None = None) -> Raw:
        """Send a request and return its result."""
        if self.ended is not None:
            raise self.ended
        if self._open >= LIMITS.requests:
            raise self._failure("busy", f"It has {self._open} calls at a time.")
        number = self._next
        self._next += 1
        self._open += 1
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        receivers = [receiver] if receiver is not None else []
        stream = self._stream(ServerSide(self._changed, receivers))
        self._side.receivers += receivers
        try:
            async with self._post(message, self._routing(method, params)) as response:
                found = await self._answer(response, number, method, stream)
            return found if found is not None else await self._resumed(number, method, stream)
        except asyncio.CancelledError:
            if receiver is not None:
                self._side.give_up()
            if self.version != MODERN and method != "initialize":
                self._say_later(CANCELLED, {"requestId": number})
            raise
        finally:
            self._open -= 1
            stream.close()
            for one in receivers:
                self._side.receivers.remove(one)
            if self._closing is not None and not self._open:
                await self._disconnect()

    async def _resumed(self, number: int, method: str, stream: ServerStream) -> Raw:
        """Take up a stream that ended without the answer, as servers may close it meanwhile (2025-11-25)."""
        for _ in range(RESUMES_MAX):
            if not stream.last_id or self.version == MODERN:
                break
            await stream.wait()
            async with self._exchange("GET", None, STREAM | {"last-event-id": stream.last_id}) as response:
                if (found := await self._answer(response, number, method, stream)) is not None:
                    return found
        raise self._failure("ended", f"It closed the stream without an answer to {method}.")

    def listen(self) -> None:
        """Open the stream on which a server says what concerns no request. Servers may refuse it."""
        self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        stream = self._stream(self._side)
        try:
            with suppress(McpFailure, RequestFailed, ProtocolBroken):
                for _ in range(RESUMES_MAX):
                    headers = STREAM | ({"last-event-id": stream.last_id} if stream.last_id else {})
                    async with self._exchange("GET", None, headers) as response:
                        if response.status_code != 200 or _kind(response) != EVENTS or _is_compressed(response):
                            return
                        async with aclosing(stream.messages(_pieces(response))) as messages:
                            async for message in messages:
                                if message.method is not UNSET:
                                    await stream.take(message)
                    await stream.wait()
        finally:
            stream.close()

    def _stream(self, side: ServerSide) -> ServerStream:
        return ServerStream(self._name, side, self._send)

    async def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        await self._send({"jsonrpc": "2.0", "method": method, "params": params or {}})

    async def close(self) -> None:
        """End the session. If the server forgot it, requests that are open may still get their answers."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._end())
        await asyncio.shield(self._closing)

    async def _end(self) -> None:
        with suppress(TimeoutError, McpFailure, OSError, httpx2.HTTPError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*self._notices)
                if self._session is not None and self.ended is None:
                    async with self._exchange("DELETE", None, {}):
                        pass
        self.ended = self.ended or self._failure("ended", "Athena ended it.")
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if not (self._open and self.ended.code == "session-lost"):
            await self._disconnect()

    async def _disconnect(self) -> None:
        if "_client" in self.__dict__:
            with suppress(httpx2.HTTPError, OSError):
                await self._client.aclose()

    # Requests

    def _routing(self, method: str, params: dict[str, Any]) -> dict[str, str]:
        """Return the headers of 2026-07-28 that repeat parts of the body."""
        if self.version != MODERN:
            return {}
        headers = {"mcp-method": method}
        named = params.get(NAMED.get(method, ""))
        if isinstance(named, str):
            headers["mcp-name"] = header_value(named)
            for path, header in self._params.get(named, ()):
                value = _at(params.get("arguments"), path)
                if value is not None:
                    headers[header] = header_value(value)
        return headers

    async def _send(self, message: dict[str, Any]) -> None:
        """Send a message that has no answer."""
        async with self._post(message, {}) as response:
            self._check_status(response, b"")

    def _say_later(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification without a wait for it."""

        async def say() -> None:
            with suppress(TimeoutError, McpFailure):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.notify(method, params)

        task = asyncio.get_running_loop().create_task(say())
        self._notices.add(task)
        task.add_done_callback(self._notices.discard)

    @asynccontextmanager
    async def _post(self, message: dict[str, Any], routing: dict[str, str]) -> AsyncIterator[httpx2.Response]:
        headers = {"accept": "application/json, text/event-stream", "content-type": "application/json", **routing}
        async with self._exchange("POST", msgspec.json.encode(message), headers) as response:
            yield response

    @asynccontextmanager
    async def _exchange(self, verb: str, body: bytes | None, headers: dict[str, str]) -> AsyncIterator[httpx2.Response]:
        """Send one HTTP request and yield its response, without redirects. Raise McpFailure."""
        headers = {**headers, "host": self._authority, "accept-encoding": "identity", "user-agent": "athena"}
        if self.version is not None:
            headers[VERSION_HEADER] = self.version
        if self._session is not None:
            headers[SESSION_HEADER] = self._session
        path = self._path
        if self._sign is not None:
            headers, path = await self._sign(headers, path)
        try:
            response = await self._connected(verb, path, headers, body)
            try:
                yield response
            finally:
                await response.aclose()
        except httpx2.HTTPError as error:
            raise self._failure("connection", _words(error)) from None
        except OSError as error:
            raise self._failure("connection", f"It cannot be reached: {error.strerror or 'no address'}.") from None

    async def _connected(self, verb: str, path: str, headers: dict[str, str], body: bytes | None) -> httpx2.Response:
        """Try the addresses in turn until one accepts the connection."""
        addresses = list(await self._resolve(self._host, self._port))[:ADDRESSES_TRIED_MAX]
        for left, address in reversed(list(enumerate(reversed(addresses)))):
            if self._client.is_closed:
                raise self._failure("ended", "Athena ended it.")
            self._client.cookies.clear()
            host = f"[{address}]" if ":" in address else address
            url = httpx2.URL(scheme=self._scheme, host=host, port=self._port, raw_path=path.encode())
            request = self._client.build_request(
                verb, url, headers=headers, content=body, extensions={"sni_hostname": self._host}
            )
            try:
                return await self._client.send(request, stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if not left:
                    raise
        raise OSError

    # Answers

    async def _answer(self, response: httpx2.Response, number: int, method: str, stream: ServerStream) -> Raw | None:
        """Return the answer to a request; None if a stream ended without it."""
        status, kind = response.status_code, _kind(response)
        if _is_compressed(response):
            raise self._failure("invalid-message", "It compressed its answer, which was not offered.")
        if not 200 <= status < 300:
            body = await self._body(response, ERROR_BODY_BYTES_MAX) if kind == "application/json" else b""
            self._check_status(response, body)
        if method == "initialize":
            self._keep_session(response)
        with _Reading(self._name):
            if kind == EVENTS:
                async with aclosing(stream.messages(_pieces(response))) as messages:
                    async for message in messages:
                        if (found := _result(message, number)) is not None:
                            return found
                        await stream.take(message)
                return None
            if kind != "application/json":
                detail = f"Its answer to {method} has status {status} and is neither JSON nor a stream of events."
                raise self._failure("invalid-message", detail)
            found = _result(read_message(await self._body(response, LIMITS.line_bytes), LIMITS), number)
        if found is None:
            raise self._failure("invalid-message", f"It sent another message than an answer to {method}.")
        return found

    def _keep_session(self, response: httpx2.Response) -> None:
        session = response.headers.get(SESSION_HEADER)
        if session is not None:
            if not SESSION.fullmatch(session):
                raise self._failure("invalid-message", "Its session id is not visible ASCII, or too long.")
            self._session = session

    async def _body(self, response: httpx2.Response, bytes_max: int) -> bytes:
        body = bytearray()
        async with aclosing(response.aiter_raw()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > bytes_max:
                    raise self._failure("line-too-long", f"It sent an answer of more than {bytes_max} bytes.")
        return bytes(body)

    def _check_status(self, response: httpx2.Response, body: bytes) -> None:
        """Raise McpFailure or RequestFailed for a status other than success."""
        status = response.status_code
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            detail = f"It redirects with status {status}, which is not followed. Register the URL that it names."
            raise self._failure("redirect", detail)
        if status in {401, 403}:
            raise self._failure("unauthorized", f"It refused access with status {status}. Check its credential.")
        if status == 404 and self._session is not None:
            self.ended = self._failure("session-lost", "It forgot the session. The call was not carried out.")
            if response.request.method == "GET":  # of a call that it had taken
                raise self._failure("ended", "It forgot the session before its answer. What the call did is unknown.")
            raise self.ended
        error = _error_of(body)
        if error is not None:
            raise RequestFailed(error.code, error.message, error.data)
        raise self._failure("http-status", f"It answered with status {status}.")

    def _failure(self, code: FailureCode, detail: str) -> McpFailure:
        return McpFailure(self._name, code, detail)


class _Reading:
    """Turns a broken message into a failure."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ProtocolBroken):
            code: FailureCode = CODES.get(error.ending.state, "invalid-message")
            raise McpFailure(self._name, code, error.ending.detail) from None


def _kind(response: httpx2.Response) -> str:
    """Return the media type of a response."""
    kind: str = response.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower()


async def _pieces(response: httpx2.Response) -> AsyncGenerator[bytes]:
    """Yield a stream of events. A lost connection ends it, so that it can be taken up again."""
    with suppress(httpx2.TransportError):
        async with aclosing(response.aiter_raw()) as pieces:
            async for piece in pieces:
                yield piece


def _is_compressed(response: httpx2.Response) -> bool:
    return response.headers.get("content-encoding", "").strip().lower() not in {"", "identity"}


def _result(message: RpcMessage, number: int) -> Raw | None:
    """Return the result if the message answers the request, None if it is a request or notification."""
    if message.method is not UNSET:
        return None
    error = message.error if isinstance(message.error, RpcError) else None
    known = message.id == number and not isinstance(message.id, bool)
    if not known and (message.id is not None or error is None):
        raise ProtocolBroken("unknown-answer", "It answered a request that was never sent.")
    if error is not None:
        raise RequestFailed(error.code, error.message, error.data)
    if message.result is UNSET:
        raise ProtocolBroken("invalid-message", "It sent an answer without a result.")
    return Raw(bytes(message.result))


def header_value(value: str) -> str:
    """Return a header value; in Base64 unless it is visible ASCII and unmistakable."""
    if VISIBLE.fullmatch(value) and value == value.strip() and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode(errors='replace')).decode()}?="


def _at(arguments: Any, path: tuple[str, ...]) -> str | None:
    """Return an argument as the text of a header; None if it is absent."""
    for name in path:
        arguments = arguments.get(name) if isinstance(arguments, dict) else None
    match arguments:
        case bool():
            return "true" if arguments else "false"
        case str() | int():
            return str(arguments)
        case _:
            return None


def _error_of(body: bytes) -> RpcError | None:
    try:
        error = msgspec.json.decode(body, type=RpcMessage).error
    except PARSE_ERRORS:
        return None
    return error if isinstance(error, RpcError) else None


def _words(error: httpx2.HTTPError) -> str:
    """Return a sentence for a network failure, without texts of libraries."""
    match error:
        case httpx2.ConnectTimeout():
            return f"It accepted no connection within {CONNECT_SECONDS:g} s."
        case httpx2.ConnectError():
            return "It cannot be reached, or its certificate is not valid."
        case _:
            return f"The connection broke ({type(error).__name__})."
