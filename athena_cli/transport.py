"""The transport: sends requests by operation id, over HTTP or to the application in this process."""

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2
import msgspec

from athena_api.endpoint.operation import PREFIX, Operation
from athena_api.operations import OPERATIONS
from athena_cli.exit_codes import Failed, Misused, Unreachable, advice_of
from athena_core import retry
from athena_core.clock import Ids, SystemIds
from athena_core.errors import IdentityMissing
from athena_core.roles import IDENTITY, RESERVED_PREFIX, is_reserved
from athena_core.settings import Settings

ATTEMPTS_MAX = 4
SILENCE_SECONDS_MAX = 45.0  # a stream sends a heartbeat every 15 s
FRAME_BYTES_MAX = 16 << 20
RETRIED = frozenset({"OVERLOADED", "OUTCOME_UNKNOWN"})
PASSING = frozenset({"transcript.delta"})
MARKS = frozenset({"bookmark", "caught-up"})
LOCAL_URL = "http://127.0.0.1"

OPERATIONS_BY_ID: Mapping[str, Operation[Any, Any]] = {operation.id: operation for operation in OPERATIONS}


class ErrorBody(msgspec.Struct, rename="camel"):
    """The error of a response."""

    code: str
    message: str
    retryable: bool = False
    retry_with: str | None = None
    trace_id: str = ""
    details: object = None


class Envelope(msgspec.Struct):
    """The envelope of a response; ``data`` stays undecoded JSON."""

    ok: bool
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorBody | None = None


class StreamItem(NamedTuple):
    """An item of a stream: a JSON record and its cursor.

    ``record`` is None if the item only advances the cursor. ``cursor`` is None for live text, which is not recorded.
    """

    cursor: str | None
    record: bytes | None


class RequestError(Failed):
    """The server returned an error."""

    def __init__(self, place: str, error_body: ErrorBody) -> None:
        """Build the message: ``place``, code, message, remedies and trace id."""
        advice = [*advice_of(error_body.message, error_body.details), f"trace id {error_body.trace_id}"]
        if error_body.code == IdentityMissing.code:
            advice.insert(0, "remedy: --identity NAME")
        super().__init__(f"{place}: {error_body.code}: {error_body.message} ({'; '.join(advice)})")
        self.error_body = error_body


class StreamInterrupted(Exception):
    """A stream was interrupted and can be resumed from its last cursor."""


_envelope = msgspec.json.Decoder(Envelope).decode


class Transport:
    """A client of a control plane. Created by ``connect``."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        identity: Mapping[str, str],
        ids: Ids,
        go_local: Callable[[], Any] | None,
        local: bool,
    ) -> None:
        """Send requests by ``client``; if its first connection is refused, by the client that ``go_local`` returns."""
        self._client = client
        self._identity = identity
        self._ids = ids
        self._go_local = go_local
        self._has_connected = local
        self.local = local
        self.following: str | None = None
        """The next cursor of the last CSV response, which carries it in a header."""

    async def request(
        self,
        operation_id: str,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str | None] | None = None,
        body: Mapping[str, object] | None = None,
        if_match: str | None = None,
        wait: bool = True,
    ) -> bytes:
        """Send a request and return the ``data`` of the response as JSON, or CSV. Raise RequestError or Unreachable.

        ``wait=False`` asks a run-like operation to respond at once. All attempts share one idempotency key.
        """
        operation = OPERATIONS_BY_ID[operation_id]
        headers = dict(self._identity)
        content = None
        if operation.method != "GET":
            headers |= {"idempotency-key": self._ids.trace(), "content-type": "application/json"}
            content = msgspec.json.encode({name: value for name, value in (body or {}).items() if value is not None})
        if if_match is not None:
            headers["if-match"] = if_match
        if operation.accepted is not None and not wait:
            headers["prefer"] = "respond-async"
        place = url_path(operation, path or {})
        timeout: Any = httpx2.USE_CLIENT_DEFAULT
        if operation.accepted is not None and wait:
            timeout = self._client.timeout
            timeout = httpx2.Timeout(connect=timeout.connect, read=None, write=timeout.write, pool=None)

        def build() -> httpx2.Request:
            return self._client.build_request(
                operation.method, place, params=_without_none(query), content=content, headers=headers, timeout=timeout
            )

        for attempt in range(ATTEMPTS_MAX):
            response = await self._send(build, attempt)
            if response is None:
                continue
            if response.status_code == 200 and response.headers.get("content-type", "").startswith("text/csv"):
                self.following = response.headers.get("athena-next-cursor")
                return response.content.removesuffix(b"\n")
            envelope = _decode_envelope(response, f"{operation.method} {place}")
            if envelope.error is None:
                return bytes(envelope.data)
            refused = RequestError(f"{operation.method} {place}", envelope.error)
            if envelope.error.code not in RETRIED or attempt + 1 == ATTEMPTS_MAX:
                raise refused
            await asyncio.sleep(self._pause(attempt, response.headers.get("retry-after")))
        raise AssertionError("the last attempt returns or raises")

    async def _send(self, build: Callable[[], httpx2.Request], attempt: int) -> httpx2.Response | None:
        """Send a request. Return None if the connection failed and another attempt may succeed."""
        request = build()
        try:
            response = await self._client.send(request)
        except httpx2.ConnectError as error:
            if await self._fall_back(error):
                return await self._send(build, attempt)
            if attempt + 1 == ATTEMPTS_MAX:
                raise Unreachable(self._failure(request.method, request.url.path, error)) from error
            await asyncio.sleep(self._pause(attempt, None))
            return None
        except httpx2.TransportError as error:
            raise Unreachable(self._failure(request.method, request.url.path, error)) from error
        self._answered()
        return response

    def _answered(self) -> None:
        """Note that a server responded: from now on, never fall back, and let streams wait for its return."""
        self._go_local, self._has_connected = None, True

    async def _fall_back(self, error: httpx2.ConnectError) -> bool:
        """Switch to the application in this process if the connection was refused. Return True if switched."""
        if self._go_local is None or not connection_was_refused(error):
            return False
        go_local, self._go_local = self._go_local, None
        self._client = await go_local()
        self.local = self._has_connected = True
        return True

    def _pause(self, attempt: int, retry_after: str | None) -> float:
        """Return the seconds before the next attempt: the server's Retry-After, or a backoff with full jitter."""
        if retry_after is not None and retry_after.isdigit():
            return min(float(retry_after), retry.REQUEST.most)
        return self._ids.fraction() * retry.REQUEST.after(attempt + 1)

    async def follow(
        self,
        operation_id: str,
        *,
        query: Mapping[str, str | None],
        cursor: str | None,
        path: Mapping[str, str] | None = None,
        lost: Callable[[str], None],
    ) -> AsyncGenerator[StreamItem, None]:
        """Yield the items of a stream after a cursor until cancelled, and reconnect as needed.

        Call ``lost`` with the reason when a connection ends. Raise Unreachable only before the first connection, and
        RequestError if the server rejects the stream.
        """
        last: str | None = None
        failures = 0
        while True:
            try:
                parameters = {**query, "after": cursor if last is None else last}
                async for frame in self._frames(operation_id, path or {}, parameters, last):
                    last, failures = frame.cursor or last, 0
                    yield frame
                reason = "the server ended the stream"
            except StreamInterrupted as cut:
                reason = str(cut)
            except Unreachable as error:
                if not self._has_connected and failures + 1 >= ATTEMPTS_MAX:
                    raise
                reason = str(error)
            if failures == 0 and self._has_connected:
                lost(reason)
            await asyncio.sleep(self._pause(failures, None))
            failures += 1

    async def _frames(
        self, operation_id: str, path: Mapping[str, str], query: Mapping[str, str | None], last: str | None
    ) -> AsyncIterator[StreamItem]:
        """Yield the items of one connection."""
        operation = OPERATIONS_BY_ID[operation_id]
        place = url_path(operation, path)
        headers = {**self._identity, **({} if last is None else {"last-event-id": last})}
        patience = self._client.timeout
        timeout = httpx2.Timeout(connect=patience.connect, read=SILENCE_SECONDS_MAX, write=patience.write, pool=None)
        stream = self._client.sse(
            place, params=_without_none(query), headers=headers, timeout=timeout, max_event_size=FRAME_BYTES_MAX
        )
        try:
            async with stream as source:
                if source.response.status_code != 200:
                    await source.response.aread()
                    answer = _decode_envelope(source.response, f"{operation.method} {place}")
                    self._answered()
                    raise _not_streamed(answer, operation, place)
                self._answered()
                async for sse in source:
                    if sse.event in PASSING:  # carries the id of the previous frame
                        yield StreamItem(None, bytes(_envelope(sse.data).data))
                    elif sse.id:
                        envelope = _envelope(sse.data)
                        yield StreamItem(sse.id, None if sse.event in MARKS else bytes(envelope.data))
        except httpx2.ConnectError as error:
            if await self._fall_back(error):
                raise StreamInterrupted("no server answers; continuing in this process") from error
            raise Unreachable(self._failure(operation.method, place, error)) from error
        except httpx2.TransportError as error:
            if not self._has_connected:
                raise Unreachable(self._failure(operation.method, place, error)) from error
            raise StreamInterrupted(self._failure(operation.method, place, error)) from error

    def _failure(self, method: str, path: str, error: Exception) -> str:
        reason = str(error) or type(error).__name__
        return f"API transport failed for {method} {path}: {reason} (at {self._client.base_url})"


@asynccontextmanager
async def connect(settings: Settings, *, detached: bool = False) -> AsyncIterator[Transport]:
    """Yield the transport that the settings choose: ``api``, ``local``, or ``auto`` (local if nothing listens there).

    ``detached`` requires a server, because the work outlives the command. Raise Misused.
    """
    if detached and settings.cli_transport == "local":
        raise Misused("--async requires a server to continue the run; it cannot be combined with --transport local")
    if settings.cli_identity and not IDENTITY.fullmatch(settings.cli_identity):
        raise Misused(f"ATHENA_CLI_IDENTITY: {settings.cli_identity!r} is not a valid identity")
    if is_reserved(settings.cli_identity):
        raise Misused(
            f"ATHENA_CLI_IDENTITY: {settings.cli_identity!r} begins with {RESERVED_PREFIX}, as the server's own actors "
            "do. Use another identity."
        )
    seconds = settings.cli_api_timeout_ms / 1000
    identity = {settings.auth_identity_header: settings.cli_identity} if settings.cli_identity else {}
    ids = SystemIds()
    async with AsyncExitStack() as stack:

        async def local() -> httpx2.AsyncClient:
            from athena_cli.in_process import in_process

            inside = await stack.enter_async_context(in_process(settings))
            return await stack.enter_async_context(
                httpx2.AsyncClient(base_url=LOCAL_URL, transport=inside, timeout=seconds, trust_env=False)
            )

        if settings.cli_transport == "local":
            yield Transport(await local(), identity, ids, None, local=True)
            return
        try:
            client = httpx2.AsyncClient(base_url=settings.api_base_url, timeout=seconds, trust_env=False)
        except httpx2.InvalidURL as error:
            raise Misused(f"ATHENA_API_BASE_URL: {error} (it is {settings.api_base_url!r})") from error
        await stack.enter_async_context(client)
        may_fall_back = settings.cli_transport == "auto" and not detached
        yield Transport(client, identity, ids, local if may_fall_back else None, local=False)


def url_path(operation: Operation[Any, Any], path: Mapping[str, str]) -> str:
    """Return the path of an operation with its parameters filled in.

    Raise Misused for an empty or dot segment, which would turn it into the path of another operation.
    """
    for name, value in path.items():
        if value in {"", ".", ".."}:
            raise Misused(f"{name}: {value!r} is not a valid id")
    segments = operation.path.strip("/").split("/")
    filled = [quote(path[part[1:]], safe="") if part.startswith(":") else part for part in segments]
    return "/".join([PREFIX, *filled])


def connection_was_refused(error: BaseException | None) -> bool:
    """Return True if the connection was refused, at every address of the host."""
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            return all(connection_was_refused(one) for one in error.exceptions)
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno == errno.ECONNREFUSED
        error = error.__cause__ or error.__context__
    return False


def _without_none(query: Mapping[str, str | None] | None) -> dict[str, str]:
    return {name: value for name, value in (query or {}).items() if value is not None}


def _decode_envelope(response: httpx2.Response, place: str) -> Envelope:
    try:
        envelope = _envelope(response.content)
    except msgspec.MsgspecError as error:
        status = response.status_code
        raise Unreachable(f"{place}: the response is not from an Athena server (status {status})") from error
    if not envelope.ok and envelope.error is None:
        envelope.error = ErrorBody(code="UNKNOWN_ERROR", message="the server returned an error without a reason")
    return envelope


def _not_streamed(envelope: Envelope, operation: Operation[Any, Any], place: str) -> Exception:
    error_body = envelope.error or ErrorBody(code="UNKNOWN_ERROR", message="the response is not a stream")
    refused = RequestError(f"{operation.method} {place}", error_body)
    return StreamInterrupted(str(refused)) if error_body.retryable else refused
