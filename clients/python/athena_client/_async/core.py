"""The core of the client: one request with its retries, pages and streams."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from ssl import SSLContext
from types import TracebackType
from typing import Any, Generic, TypeVar

import httpx2

from athena_client import wire
from athena_client._async.clock import AsyncClock
from athena_client.errors import AthenaError, InvalidAnswer, Unreachable
from athena_client.frames import Frame, FrameParser, FrameTooLarge
from athena_client.wire import Answer, Page, StreamItem

T = TypeVar("T")
Self = TypeVar("Self", bound="AsyncCore")

IDENTITY_HEADER = "x-athena-identity"
TIMEOUT_SECONDS = 10.0
DEADLINE_SECONDS = 60.0
SILENCE_SECONDS_MAX = 45.0  # a stream sends a heartbeat every 15 s
PATIENCE_SECONDS_MAX = 60.0
WAITED_SECONDS = 1.0
"""A server that waited longer for a run before it refused the call was not overloaded: the deadline starts anew."""
ANSWER_SECONDS_MAX = 600.0
"""Maximum time from the first to the last byte of an answer."""
NOTHING: Mapping[str, Any] = {}
TRANSIENT = frozenset({"transcript.delta"})
"""Events of frames that a stream does not store, so that they have no cursor."""
MARKS = frozenset({"bookmark", "caught-up"})
"""Events of frames that only move the cursor."""

QUIET = (None,)
NEVER_SENT = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)
"""Faults of the request itself, such as a line break in a key. Repeating it cannot help."""


class AsyncCore:
    """A connection to a control plane: requests by method and path, pages and streams.

    Use it as a context manager, or call ``aclose``. Tasks may share a client.
    A cancelled call closes its connection; the server may still execute its command.

    Args:
        base_url: URL of the server, without ``/api/v1``. Raises ValueError if it is not an http or https URL.
        identity: Identity to send if the server asks for one, in printable ASCII characters; else raises ValueError.
        token: Token to send instead of an identity, which it contains. Errors and texts of the client never quote it,
            and it is never sent to another host: redirects are not followed.
        timeout: Seconds to wait for a connection, and for the next bytes of an answer. A call that waits for a run may
            take longer: after a silence the client asks if the server still answers.
        deadline: Seconds during which a failed request is repeated, from its first attempt.
        verify: TLS context for an https server whose certificate is from a private authority.
        transport: Transport of httpx2 to use instead of sockets.
        identity_header: Name of the identity header, if the server uses another one.
        answer_bytes_max: Maximum size of an answer in bytes.
        frame_bytes_max: Maximum size of one frame of a stream in bytes.
        clock: Source of time and random values, for tests.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8787",
        identity: str | None = None,
        *,
        token: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        deadline: float = DEADLINE_SECONDS,
        verify: SSLContext | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        identity_header: str = IDENTITY_HEADER,
        answer_bytes_max: int = wire.ANSWER_BYTES_MAX,
        frame_bytes_max: int = wire.FRAME_BYTES_MAX,
        clock: AsyncClock | None = None,
    ) -> None:
        headers = httpx2.Headers(wire.bearer_of(token, base_url, identity))  # its repr hides the token
        del token  # some tracebacks show the variables of a frame
        headers["user-agent"] = wire.USER_AGENT
        if identity is not None:
            headers[identity_header] = wire.header_text("identity", identity)
        self._http = httpx2.AsyncClient(
            base_url=wire.server_url(base_url),
            headers=headers,
            timeout=httpx2.Timeout(timeout, pool=None),
            verify=verify or wire.authorities(base_url),
            transport=transport,
            trust_env=False,  # the identity or token must not go to a proxy of the environment
            limits=httpx2.Limits(max_connections=None),
        )
        self._timeout = timeout
        self._deadline = deadline
        self._answer_bytes_max = answer_bytes_max
        self._frame_bytes_max = frame_bytes_max
        self._clock = clock or AsyncClock()

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def request(
        self,
        method: str,
        path: str,
        answer: Any = Any,
        *,
        parameters: Mapping[str, str] = NOTHING,
        query: Mapping[str, object] = NOTHING,
        body: object = None,
        headers: Mapping[str, str] = NOTHING,
        accepted: Any = None,
        key: str | None = None,
    ) -> Any:
        """Send a request and return the ``data`` of its answer, as type ``answer``; as ``accepted`` at 202.

        ``path`` is below ``/api/v1``, with ``{name}`` for each of ``parameters``. Members of ``query`` and ``body``
        that are None are left out. All attempts share one idempotency key: ``key``, or a new one.

        Raise AthenaError, Unreachable or InvalidAnswer.
        """
        got = await self.send(
            method,
            path,
            parameters=parameters,
            query=query,
            body=body,
            headers=headers,
            waits=accepted is not None,
            key=key,
        )
        kind = accepted if got.status == 202 and accepted is not None else answer
        value = wire.decode(kind, got.data, f"{method} {wire.PREFIX}{path}", got.status)
        return wire.with_etag(value, got.headers)

    async def send(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] = NOTHING,
        query: Mapping[str, object] = NOTHING,
        body: object = None,
        headers: Mapping[str, str] = NOTHING,
        waits: bool = False,
        key: str | None = None,
        patience: float = 0.0,
    ) -> Answer:
        """Send a request as ``request`` does and return its answer undecoded.

        ``waits`` is True if the server may wait for a run before it answers, except with ``Prefer: respond-async``.
        ``patience`` are seconds that the server may work on it without a sign of life.
        """
        call = _Call(method, wire.url_path(path, parameters), wire.query_of(query), dict(headers))
        if method != "GET":
            call.headers |= {"idempotency-key": key or self._clock.key(), "content-type": "application/json"}
            call.content = wire.body_of(body)
        if waits and "prefer" not in call.headers:
            return await self._send_and_wait(call)
        return await self._send_until(call, self._timeout + max(wire.wait_of(call.query), patience))

    async def _send_and_wait(self, call: "_Call") -> Answer:
        """Send a request whose answer may take long.

        After each silence, repeat it without waiting: a server that answers has it in hand, so wait for it again.
        """
        probe = call.with_headers({"prefer": "respond-async"})
        patience = self._timeout
        while True:
            try:
                return await self._send_until(call, patience, silence=True)
            except _Silence:
                await self._send_until(probe, self._timeout)
            patience = min(2 * patience, PATIENCE_SECONDS_MAX)

    async def _send_until(self, call: "_Call", patience: float, *, silence: bool = False) -> Answer:
        """Send a request until it is answered, and at most until the deadline.

        Wait ``patience`` seconds for bytes. With ``silence``, raise _Silence if none came.
        """
        begun, failures = self._clock.now(), 0
        while True:
            sent, pause = self._clock.now(), 0.0
            try:
                return await self._attempt(call, patience)
            except httpx2.ReadTimeout as error:
                if silence:
                    raise _Silence from error
                failed: AthenaError = self._unreachable(call.name, error)
                failed.__cause__ = error
            except httpx2.TransportError as error:
                failed = self._unreachable(call.name, error)
                failed.__cause__ = error
                if isinstance(error, NEVER_SENT) or wire.certificate_fault(error) is not None:
                    raise failed from error
            except _Refused as refused:
                failed, pause = refused.error, refused.pause
                if failed.retry_with != "same-key":
                    raise failed from None
                if silence and self._clock.now() - sent > WAITED_SECONDS:
                    begun, failures = self._clock.now(), 0
            failures += 1
            pause = max(pause, wire.backoff(failures, self._clock.fraction()))
            if self._clock.now() - begun + pause >= self._deadline:
                raise failed
            await self._clock.sleep(pause)

    async def _attempt(self, call: "_Call", patience: float) -> Answer:
        """Send a request once. Raise _Refused with the error in its answer."""
        request = self._http.build_request(
            call.method,
            call.path,
            params=call.query,
            content=call.content,
            headers=call.headers,
            timeout=httpx2.Timeout(self._timeout, read=patience, pool=None),
        )
        response = await self._http.send(request, stream=True)
        try:
            content = await self._read(response, call.name)
        except httpx2.DecodingError as error:
            raise _Refused(InvalidAnswer(str(error), request=call.name, status=response.status_code)) from error
        finally:
            await response.aclose()
        try:
            return wire.answer_of(response, content, call.name)
        except AthenaError as error:
            raise _Refused(error, wire.retry_after(response.headers)) from error

    async def _read(self, response: httpx2.Response, name: str) -> bytes:
        """Return the body of a response. Raise _Refused if it is too large, or does not end in time."""
        begun, content = self._clock.now(), bytearray()
        async with aclosing(_chunks(response)) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > self._answer_bytes_max:
                    problem = f"the answer is larger than {self._answer_bytes_max} bytes"
                    raise _Refused(InvalidAnswer(problem, request=name, status=response.status_code))
                if self._clock.now() - begun > ANSWER_SECONDS_MAX:
                    problem = f"the answer did not end within {ANSWER_SECONDS_MAX} seconds"
                    raise _Refused(InvalidAnswer(problem, request=name, status=response.status_code))
        return bytes(content)

    def _unreachable(self, name: str, error: Exception) -> Unreachable:
        reason = str(error) or type(error).__name__
        return Unreachable(f"{reason} (at {self._http.base_url})", request=name)

    def pages(
        self,
        path: str,
        item: Any,
        *,
        parameters: Mapping[str, str] = NOTHING,
        query: Mapping[str, object] = NOTHING,
        cursor: str = "cursor",
    ) -> "AsyncPages[Any]":
        """Return the items of a list, over all its pages. ``item`` is their type, or a function of their JSON bytes.

        ``cursor`` is the query parameter that continues the list.
        """
        return AsyncPages(self, path, item, parameters, query, cursor)

    def stream(
        self,
        path: str,
        item: Any,
        *,
        parameters: Mapping[str, str] = NOTHING,
        query: Mapping[str, object] = NOTHING,
        transient: Any = None,
        on_lost: Callable[[str], None] | None = None,
    ) -> "AsyncStream[Any]":
        """Return the records of a stream, live. ``item`` is their type, or a function of their JSON bytes.

        ``query`` may hold ``after``, the cursor to start after. ``transient`` is the type of records that are not
        stored; without it they are left out. ``on_lost`` is called with the reason each time a connection ends.
        """
        return AsyncStream(self, path, item, parameters, query, transient, on_lost)


class AsyncPages(Generic[T]):
    """The items of a list, in order. Each iteration reads from the first page on."""

    def __init__(
        self,
        core: AsyncCore,
        path: str,
        item: Any,
        parameters: Mapping[str, str],
        query: Mapping[str, object],
        cursor: str,
    ) -> None:
        self._core = core
        self._path = path
        self._item = item
        self._parameters = parameters
        self._query = query
        self._cursor = cursor

    async def __aiter__(self) -> AsyncIterator[T]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page.items:
                    yield item

    async def pages(self) -> AsyncGenerator[Page[T], None]:
        """Yield the pages: each with its items and the cursor of the next one."""
        query, name = dict(self._query), f"GET {wire.PREFIX}{self._path}"
        while True:
            answer = await self._core.send("GET", self._path, parameters=self._parameters, query=query)
            page = wire.page_of(self._item, answer.data, name)
            yield page
            if page.next_cursor is None or page.next_cursor == query.get(self._cursor):
                return
            query[self._cursor] = page.next_cursor


class AsyncStream(Generic[T]):
    """The records of a stream, each once and in order, over all reconnections.

    It ends only when it is closed, or with an error that a reconnection cannot mend. Before the first connection it
    gives up at the client's deadline. One task may iterate at a time; a new iteration continues after ``cursor``.
    """

    def __init__(
        self,
        core: AsyncCore,
        path: str,
        item: Any,
        parameters: Mapping[str, str],
        query: Mapping[str, object],
        transient: Any,
        on_lost: Callable[[str], None] | None,
    ) -> None:
        self.cursor: str | None = None
        """The cursor of the last record that was yielded, or of a later mark. Start a new stream after it."""
        self._core = core
        self._path = path
        self._item = item
        self._parameters = parameters
        self._query = query
        self._transient = transient
        self._on_lost = on_lost

    async def __aiter__(self) -> AsyncIterator[T]:
        async with aclosing(self.items()) as items:
            async for item in items:
                yield item.item

    async def items(self) -> AsyncGenerator[StreamItem[T], None]:
        """Yield the records with their cursors."""
        async with aclosing(self.read()) as items:
            async for item in items:
                if item is not None:
                    yield item

    async def read(self) -> AsyncGenerator[StreamItem[T] | None, None]:
        """Yield the records with their cursors, and None when a connection is open, was quiet, or moved the cursor."""
        core, clock = self._core, self._core._clock
        begun, failures, connected = clock.now(), 0, False
        call = _Call("GET", wire.url_path(self._path, self._parameters), {}, {"accept": "text/event-stream"})
        while True:
            pause = 0.0
            try:
                async with aclosing(self._frames(call)) as frames:
                    async for frame in frames:
                        connected, failures = True, 0
                        yield None if frame is None else self._item_of(frame, call.name)
                failed: AthenaError = Unreachable("the server ended the stream", request=call.name)
            except httpx2.TransportError as error:
                failed = core._unreachable(call.name, error)
                failed.__cause__ = error
                if isinstance(error, NEVER_SENT) or wire.certificate_fault(error) is not None:
                    raise failed from error
            except (FrameTooLarge, httpx2.DecodingError) as error:
                raise InvalidAnswer(str(error), request=call.name, status=200) from error
            except _Refused as refused:
                failed, pause = refused.error, refused.pause
                if failed.retry_with != "same-key":
                    raise failed from None
            if failures == 0 and connected and self._on_lost is not None:
                self._on_lost(failed.message)
            failures += 1
            pause = max(pause, wire.backoff(failures, clock.fraction()))
            if not connected and clock.now() - begun + pause >= core._deadline:
                raise failed
            await clock.sleep(pause)

    def _item_of(self, frame: Frame, name: str) -> "StreamItem[T] | None":
        """Return the record of a frame, or None if it has none that is new. Move the cursor."""
        if frame.event in TRANSIENT:
            if self._transient is None:
                return None
            return StreamItem(None, wire.decode(self._transient, wire.frame_data(frame.data, name), name))
        if frame.id is None:
            return None
        repeated, self.cursor = frame.id == self.cursor, frame.id
        if repeated or frame.event in MARKS or not frame.data:
            return None
        return StreamItem(frame.id, wire.decode(self._item, wire.frame_data(frame.data, name), name))

    async def _frames(self, call: "_Call") -> AsyncGenerator[Frame | None, None]:
        """Yield the frames of one connection, and None once it is open and for each heartbeat. Raise _Refused."""
        core = self._core
        query, headers = dict(self._query), dict(call.headers)
        if self.cursor is not None:
            query["after"] = headers["last-event-id"] = self.cursor
        request = core._http.build_request(
            "GET",
            call.path,
            params=wire.query_of(query),
            headers=headers,
            timeout=httpx2.Timeout(core._timeout, pool=None),
        )
        response = await core._http.send(request, stream=True)
        request.extensions["timeout"]["read"] = max(SILENCE_SECONDS_MAX, core._timeout)  # from now on heartbeats come
        try:
            if response.status_code != 200 or wire.media_type(response) != "text/event-stream":
                raise await self._refused(response, call.name)
            yield None
            parser = FrameParser(core._frame_bytes_max)
            async with aclosing(_chunks(response)) as chunks:
                async for chunk in chunks:
                    for frame in parser.feed(chunk) or (QUIET if parser.idle else ()):
                        yield frame
        finally:
            await response.aclose()

    async def _refused(self, response: httpx2.Response, name: str) -> "_Refused":
        """Return the error of a response that is not a stream."""
        content = await self._core._read(response, name)
        try:
            wire.answer_of(response, content, name)
        except AthenaError as error:
            return _Refused(error, wire.retry_after(response.headers))
        return _Refused(wire.not_athena(response, name))


def _chunks(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Yield the body of a response, decompressed."""
    return response.aiter_bytes()


class _Call:
    """A request: the same for all its attempts."""

    def __init__(self, method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.content: bytes | None = None
        self.name = f"{method} {path}"

    def with_headers(self, headers: Mapping[str, str]) -> "_Call":
        """Return the same request with more headers."""
        call = _Call(self.method, self.path, self.query, {**self.headers, **headers})
        call.content = self.content
        return call


class _Silence(Exception):
    """A server that has the request did not send anything for a while."""


class _Refused(Exception):
    """An attempt was answered with an error; ``pause`` is how many seconds the server asks to wait."""

    def __init__(self, error: AthenaError, pause: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause = pause
