"""The wire format: requests, answers in the envelope, and pauses between attempts; no input or output."""

import errno
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast
from urllib.parse import quote

import httpx2
import msgspec

from athena_client.errors import AthenaError, InvalidAnswer, Unreachable

VERSION = "0.3.0"
USER_AGENT = f"athena-client/{VERSION}"
PREFIX = "/api/v1"
ANSWER_BYTES_MAX = 256 << 20
"""Maximum size of an answer, in bytes after decompression."""
FRAME_BYTES_MAX = 16 << 20
"""Maximum size of a frame of a stream, in bytes."""
BACKOFF_FIRST_SECONDS = 0.2
BACKOFF_SECONDS_MAX = 5.0
DOUBLINGS_MAX = 16
PAUSE_SECONDS_MAX = 3_600.0
"""Longest pause that a server may ask for. Clocks overflow at larger ones."""
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for JSON that is malformed, not UTF-8, of another shape, or nested too deep."""
GATEWAY_STATUSES = frozenset({429, 502, 503, 504})
"""Statuses of a proxy whose server is away. A repeated request may reach the server."""

T = TypeVar("T")
Decode: TypeAlias = Callable[[bytes], Any]


class Answer(NamedTuple):
    """An answer without an error: ``data`` as JSON (or CSV), the HTTP status, and the headers."""

    data: bytes
    status: int
    headers: Mapping[str, str]


class Page(NamedTuple, Generic[T]):
    """A page of a list. ``next_cursor`` is None on the last one."""

    items: list[T]
    next_cursor: str | None


class StreamItem(NamedTuple, Generic[T]):
    """An item of a stream, and the cursor after it: None for live text, which is not recorded."""

    cursor: str | None
    item: T


class ErrorBody(msgspec.Struct, rename="camel"):
    """The error of an envelope."""

    code: str
    message: str
    retryable: bool = False
    retry_with: str | None = None
    trace_id: str = ""
    details: object = None


class Envelope(msgspec.Struct):
    """The envelope of an answer or a frame; ``data`` stays undecoded JSON."""

    ok: bool
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorBody | None = None


class RawPage(msgspec.Struct, rename="camel"):
    """A page whose items stay undecoded JSON. The feed calls them events."""

    items: list[msgspec.Raw] = []
    events: list[msgspec.Raw] = []
    next_cursor: str | None = None


_decode_envelope = msgspec.json.Decoder(Envelope).decode


def authorities(url: str) -> ssl.SSLContext | bool:
    """Return the TLS authorities of a server: the machine's, but none for plain HTTP, because loading takes 5 ms."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.startswith("http:") else True


def server_url(url: str) -> str:
    """Return the URL of a server. Raise ValueError if it is none, or a URL of the API below it."""
    begin, found, place = url.partition("://")
    if begin.lower() not in {"http", "https"} or not found or not place.strip("/"):
        raise ValueError(f"base_url: {url!r} is not a URL such as http://127.0.0.1:8787")
    if url.rstrip("/").endswith(PREFIX):
        raise ValueError(f"base_url: {url!r} must not include {PREFIX}, which the client adds")
    return url


def bearer_of(token: str | None, base_url: str, identity: str | None) -> dict[str, str]:
    """Return the header that sends a token, if there is one. Raise ValueError, which does not quote the token."""
    if token is None:
        return {}
    if not (token.isascii() and token.isprintable()) or not token or " " in token:
        raise ValueError("token: it is empty, or has characters other than visible ASCII, such as a line end")
    if identity is not None:
        raise ValueError("token: give it or an identity, not both: a token contains its identity")
    if "@" in server_url(base_url).partition("://")[2].partition("/")[0]:
        raise ValueError("token: give it or a user in base_url, not both")
    return {"authorization": f"Bearer {token}"}


def header_text(name: str, value: str) -> str:
    """Return the value of a header. Raise ValueError if a header cannot carry it."""
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"{name}: {value!r} has characters other than printable ASCII")
    return value


def url_path(path: str, parameters: Mapping[str, str]) -> str:
    """Return the path of a request, with ``{name}`` filled in.

    Raise ValueError for an empty or dot segment, which would turn it into the path of another operation.
    """
    for name, value in parameters.items():
        if value in {"", ".", ".."}:
            raise ValueError(f"{name}: {value!r} is not a valid id")
    return PREFIX + path.format_map({name: quote(value, safe="") for name, value in parameters.items()})


def query_of(query: Mapping[str, object]) -> dict[str, str]:
    """Return query parameters as text, without None. Items of a list are joined by commas."""
    return {name: _text(value) for name, value in query.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    encoded = msgspec.to_builtins(value)
    return encoded if isinstance(encoded, str) else str(encoded)


def wait_of(query: Mapping[str, str]) -> float:
    """Return the seconds that a query asks the server to wait before it answers."""
    wait = query.get("wait", "")
    return float(wait[:4]) if wait.isascii() and wait.isdigit() else 0.0


def body_of(body: object) -> bytes:
    """Return a request body as JSON. Members of a mapping that are None are left out."""
    if isinstance(body, Mapping):
        body = {name: value for name, value in body.items() if value is not None}
    return msgspec.json.encode({} if body is None else body)


def answer_of(response: httpx2.Response, content: bytes, request: str) -> Answer:
    """Return the answer in a response. Raise AthenaError, Unreachable for a proxy's page, or InvalidAnswer."""
    status = response.status_code
    if status == 200 and media_type(response) == "text/csv":
        return Answer(content, status, response.headers)
    try:
        envelope = _decode_envelope(content)
    except UNREADABLE as error:
        raise not_athena(response, request) from error
    if envelope.error is None and envelope.ok and response.is_success:
        return Answer(bytes(envelope.data), status, response.headers)
    raise error_of(envelope.error, request, status)


def not_athena(response: httpx2.Response, request: str) -> AthenaError:
    """Return the error of a response that is not from an Athena server."""
    status = response.status_code
    message = f"the response is not from an Athena server (status {status})"
    kind = Unreachable if status in GATEWAY_STATUSES else InvalidAnswer
    return kind(message, request=request, status=status)


def error_of(body: ErrorBody | None, request: str, status: int) -> AthenaError:
    """Return the error of an envelope."""
    body = body or ErrorBody(code="UNKNOWN_ERROR", message="the server returned an error without a reason")
    return AthenaError(
        body.code,
        body.message,
        retryable=body.retryable,
        retry_with=body.retry_with,
        trace_id=body.trace_id,
        status=status,
        details=body.details,
        request=request,
    )


def frame_data(data: bytes, request: str) -> bytes:
    """Return the record in a frame, as JSON. Raise the error in it, or InvalidAnswer."""
    try:
        envelope = _decode_envelope(data)
    except UNREADABLE as error:
        raise InvalidAnswer("a frame of the stream is not valid JSON", request=request, status=200) from error
    if not envelope.ok or envelope.error is not None:
        raise error_of(envelope.error, request, 200)
    return bytes(envelope.data)


def media_type(response: httpx2.Response) -> str:
    """Return the media type of a response in lower case, without parameters."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


@cache
def decoder_of(kind: Any) -> Decode:
    """Return the decoder of a type, or ``kind`` itself if it is one: a function of JSON bytes, or ``bytes``."""
    if kind is bytes or (callable(kind) and not isinstance(kind, type) and not hasattr(kind, "__origin__")):
        return cast(Decode, kind)
    return msgspec.json.Decoder(kind).decode


def decode(kind: Any, data: bytes, request: str, status: int = 200) -> Any:
    """Return JSON decoded as a type. Raise InvalidAnswer if it does not fit."""
    try:
        return decoder_of(kind)(data)
    except UNREADABLE as error:
        raise InvalidAnswer(f"the answer has another shape: {error}", request=request, status=status) from error


def with_etag(value: Any, headers: Mapping[str, str]) -> Any:
    """Return a decoded answer with the version in its header, if its type has a field for it."""
    if "etag" in headers and "etag" in getattr(value, "__struct_fields__", ()):
        msgspec.structs.force_setattr(value, "etag", headers["etag"])
    return value


def page_of(kind: Any, data: bytes, request: str) -> Page[Any]:
    """Return a page with its items decoded as a type. Raise InvalidAnswer if they do not fit."""
    page: RawPage = decode(RawPage, data, request)
    return Page([decode(kind, bytes(item), request) for item in page.items or page.events], page.next_cursor)


def backoff(failures: int, fraction: float) -> float:
    """Return the seconds before the next attempt after ``failures`` (at least 1), with full jitter."""
    doubled = BACKOFF_FIRST_SECONDS * 2.0 ** min(failures - 1, DOUBLINGS_MAX)
    return fraction * min(doubled, BACKOFF_SECONDS_MAX)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of ``Retry-After``, at most an hour; 0 if it has none.

    A date is relative to the server's own ``Date``.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), PAUSE_SECONDS_MAX)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(wait.total_seconds(), 0.0), PAUSE_SECONDS_MAX)


def certificate_fault(error: BaseException | None) -> str | None:
    """Return the reason why the server's certificate was not accepted, if that is the cause of an error."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None


def was_refused(error: BaseException | None) -> bool:
    """Return True if the connection was refused, at every address of the host: no byte was sent."""
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            return all(was_refused(one) for one in error.exceptions)
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno == errno.ECONNREFUSED
        error = error.__cause__ or error.__context__
    return False
