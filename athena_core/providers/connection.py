"""HTTP client for model servers: one POST per call, with failures as ProviderFailure."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Annotated, Any, NoReturn

import httpcore2  # noqa: F401 - httpx2 would import it with the first call
import httpx2
import msgspec

from athena_core.mask import Mask
from athena_core.outside_text import OutsideText
from athena_core.providers.provider import ProviderFailure
from athena_core.values import MEMBER_CHARS_MAX

CONNECT_SECONDS = 10.0
WRITE_SECONDS = 30.0
ERROR_BODY_SECONDS = 5.0
MAX_ERROR_BODY_BYTES = 65_536
MAX_EVENT_BYTES = 1_048_576
MAX_BODY_BYTES = 8_388_608
LIST_SECONDS = 5.0
MAX_LIST_BYTES = 2_097_152
"""Limits of a list of models: for the whole request, and for the answer."""
MAX_EXCERPT_CHARS = 200
MAX_WAIT_SECONDS = 86_400.0
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""Statuses after which a retry may succeed."""
LASTING = frozenset({"insufficient_quota", "billing_error"})
"""Error codes after which no retry can succeed, whatever the status."""


class ListedModel(msgspec.Struct):
    """A model in a list of OpenAI's or Anthropic's API."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=MEMBER_CHARS_MAX)]


class ModelList(msgspec.Struct):
    """A list of models."""

    data: list[ListedModel]


class ConnectionBroken(ProviderFailure):
    """The connection failed. The part of the answer received before is valid."""


class ServerSilent(ConnectionBroken):
    """The server sent nothing for too long."""


class ProviderResponse:
    """The response to a call, while it is read."""

    def __init__(self, response: httpx2.Response, connection: "ProviderClient") -> None:
        """Take a response with status 200."""
        self._response = response
        self._connection = connection
        self.headers: Mapping[str, str] = response.headers
        self.media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def events(self) -> AsyncGenerator[dict[str, Any]]:
        """Yield the JSON objects of a server-sent event stream, up to its end or ``[DONE]``."""
        async for event in httpx2.EventSource(self._response, max_event_size=MAX_EVENT_BYTES):
            if event.data.strip() == "[DONE]":
                break
            if event.data:
                yield self._connection.table(event.data)

    async def lines(self) -> AsyncGenerator[dict[str, Any]]:
        """Yield the JSON objects of a stream with one per line."""
        rest = b""
        async for piece in self._response.aiter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > MAX_EVENT_BYTES or any(len(line) > MAX_EVENT_BYTES for line in lines):
                raise self._connection.failure("a line of the answer is larger than 1 MiB", worth_retrying=False)
            for line in lines:
                if line.strip():
                    yield self._connection.table(line)
        if rest.strip():
            yield self._connection.table(rest)

    async def body(self) -> dict[str, Any]:
        """Return the whole answer, a JSON object."""
        body = bytearray()
        async for piece in self._response.aiter_bytes():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise self._connection.failure("the answer is larger than 8 MiB", worth_retrying=False)
        return self._connection.table(bytes(body))


class ProviderClient:
    """A client of one URL. ``silence_seconds`` is the read timeout; the caller limits the whole call."""

    def __init__(
        self,
        provider: str,
        url: str,
        headers: Mapping[str, str],
        *,
        mask: Mask,
        silence_seconds: float,
        list_seconds: float = LIST_SECONDS,
    ) -> None:
        """Prepare the client without a request. ``mask`` hides keys in error texts of the server."""
        self._provider = provider
        self._url = url
        self._headers = httpx2.Headers({"accept-encoding": "identity", "content-type": "application/json", **headers})
        self._mask = mask
        self._silence_seconds = silence_seconds
        self._list_seconds = list_seconds

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        """The client of the library. It reads the certificates of the system, which takes 20 ms."""
        return httpx2.AsyncClient(
            headers=self._headers,
            timeout=httpx2.Timeout(self._silence_seconds, connect=CONNECT_SECONDS, write=WRITE_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            follow_redirects=False,
            trust_env=False,
        )

    @asynccontextmanager
    async def post(self, body: bytes) -> AsyncIterator[ProviderResponse]:
        """Send a request and yield its response. Raise ProviderFailure, or ConnectionBroken for a network failure."""
        with translated(self._provider):
            async with self._client.stream("POST", self._url, content=body) as response:
                if response.status_code != 200:
                    await self._refuse(response)
                response.encoding = "utf-8"
                yield ProviderResponse(response, self)

    async def models(self, url: str) -> tuple[str, ...]:
        """Return the names in a list of models, within time and size limits. Raise ProviderFailure."""
        body = bytearray()
        try:
            with translated(self._provider):
                async with asyncio.timeout(self._list_seconds), self._client.stream("GET", url) as response:
                    if response.status_code != 200:
                        await self._refuse(response)
                    async for piece in response.aiter_bytes():
                        body += piece
                        if len(body) > MAX_LIST_BYTES:
                            raise self.failure("the list of models is larger than 2 MiB", worth_retrying=False)
        except TimeoutError:
            raise self.failure(f"no list of models within {self._list_seconds:g} s", worth_retrying=True) from None
        try:
            names = [one.id for one in msgspec.json.decode(body, type=ModelList).data]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self.failure("the server's list of models is malformed", worth_retrying=False) from None
        if not all(map(str.isprintable, names)):
            raise self.failure("the server's list of models is malformed", worth_retrying=False)
        return tuple(dict.fromkeys(names))

    async def close(self) -> None:
        if "_client" in self.__dict__:
            await self._client.aclose()

    def failure(self, problem: str, *, worth_retrying: bool, wait_seconds: float | None = None) -> ProviderFailure:
        """Return a failure that names the provider."""
        return ProviderFailure(f"{self._provider}: {problem}", worth_retrying=worth_retrying, wait_seconds=wait_seconds)

    def broken_off(self, error: object) -> ProviderFailure:
        """Return the failure for an error that the server reports inside of its answer."""
        code = table(error).get("code")
        lasting = _lasting(error) or isinstance(code, int) and 400 <= code < 500 and code not in PASSING
        return self.failure(f"the server ended the stream{self.excerpt(error)}", worth_retrying=not lasting)

    def excerpt(self, error: object) -> str:
        """Return the server's error text, shortened and without keys."""
        message = text(error) or text(table(error).get("message"))
        return ": " + OutsideText(message).line(self._mask, MAX_EXCERPT_CHARS) if message else ""

    def table(self, data: str | bytes) -> dict[str, Any]:
        """Decode a JSON object from the server. Raise ProviderFailure."""
        found = decoded(data)
        if not isinstance(found, dict):
            raise self.failure("a chunk of the stream is not a JSON object", worth_retrying=True)
        return found

    async def _refuse(self, response: httpx2.Response) -> NoReturn:
        """Raise the failure for a status other than 200."""
        body = bytearray()
        try:
            async with asyncio.timeout(ERROR_BODY_SECONDS):
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > MAX_ERROR_BODY_BYTES:
                        break
        except (TimeoutError, httpx2.HTTPError):
            pass  # the status is enough
        status = response.status_code
        error = table(decoded(bytes(body))).get("error")
        passing = status in PASSING and not _lasting(error)
        wait = _wait(response.headers) if passing else None
        raise self.failure(f"HTTP {status}{self.excerpt(error)}", worth_retrying=passing, wait_seconds=wait)


class RawAnswer:
    """The answer of a server with any status, as bytes. Names of headers are in lower case."""

    def __init__(self, response: httpx2.Response) -> None:
        """Take a response that was not read yet."""
        self._response = response
        self.status = response.status_code
        self.headers = [(name.lower(), value) for name, value in response.headers.raw]
        self.media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()

    def header(self, name: str) -> str:
        """Return the value of a header; empty if it is absent."""
        value: str = self._response.headers.get(name, "")
        return value

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Compressed ones are not decompressed."""
        return self._response.aiter_raw()


class RawClient:
    """A client of one server that sends prepared requests and changes no byte of their answers."""

    def __init__(self, provider: str, *, silence_seconds: float) -> None:
        """Prepare the client without a request. ``silence_seconds`` is the read timeout."""
        self._provider = provider
        self._silence_seconds = silence_seconds

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        """The client of the library. It reads the certificates of the system, which takes 20 ms."""
        return httpx2.AsyncClient(
            timeout=httpx2.Timeout(self._silence_seconds, connect=CONNECT_SECONDS, write=WRITE_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            follow_redirects=False,
            trust_env=False,
        )

    @asynccontextmanager
    async def post(self, url: str, headers: list[tuple[bytes, bytes]], body: bytes) -> AsyncIterator[RawAnswer]:
        """Send a request and yield its answer. Raise ProviderFailure, or ConnectionBroken for a network failure."""
        with translated(self._provider):
            async with self._client.stream("POST", url, headers=headers, content=body) as response:
                yield RawAnswer(response)

    async def close(self) -> None:
        if "_client" in self.__dict__:
            await self._client.aclose()


@contextmanager
def translated(provider: str) -> Iterator[None]:
    """Replace exceptions of the library, whose texts may quote headers."""
    try:
        yield
    except httpx2.SSEError:
        problem = "the answer is not an event stream, or has an event larger than 1 MiB"
        raise ProviderFailure(f"{provider}: {problem}", worth_retrying=False) from None
    except httpx2.UnsupportedProtocol:
        problem = "the base URL does not start with http:// or https://; correct it in the settings"
        raise ProviderFailure(f"{provider}: {problem}", worth_retrying=False) from None
    except httpx2.HTTPError as error:
        silent = isinstance(error, httpx2.ReadTimeout)
        raise (ServerSilent if silent else ConnectionBroken)(
            f"{provider}: {_words(error)}", worth_retrying=True
        ) from None
    except httpx2.InvalidURL:
        problem = "the base URL is malformed; correct it in the settings"
        raise ProviderFailure(f"{provider}: {problem}", worth_retrying=False) from None


def decoded(data: str | bytes) -> object:
    """Decode JSON, including the NaN that some servers send; return None if it is not JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def text(value: object) -> str | None:
    """Return the value if it is text."""
    return value if isinstance(value, str) else None


def number(value: object) -> int | None:
    """Return the value if it is a whole number."""
    return value if isinstance(value, int) else None


def table(value: object) -> dict[str, Any]:
    """Return the value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[dict[str, Any]]:
    """Return the JSON objects in the value, if it is a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _lasting(error: object) -> bool:
    return any(text(table(error).get(field)) in LASTING for field in ("code", "type"))


def _wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After``. A date is relative to the server's own ``Date``."""
    value = headers.get("retry-after", "").strip()
    whole, _, part = value.partition(".")
    if value.isascii() and whole.isdigit() and (not part or part.isdigit()):
        return min(float(f"{whole[:9]}.{part[:9]}"), MAX_WAIT_SECONDS)
    try:
        until, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date", ""))
        return min(max((until - now).total_seconds(), 0.0), MAX_WAIT_SECONDS)
    except (ValueError, TypeError):
        return None


def _words(error: httpx2.HTTPError) -> str:
    """Return a short description of a network failure."""
    match error:
        case httpx2.ConnectTimeout():
            return f"no connection within {CONNECT_SECONDS:g} s"
        case httpx2.ConnectError():
            return "cannot connect"
        case httpx2.TimeoutException():
            return "the server stopped sending; the read timed out"
        case _:
            return f"the connection broke ({type(error).__name__})"
