"""Replies: the envelopes of answers and errors, and the only mapping of errors to statuses."""

import re
from typing import Any

import msgspec

from athena_core import errors
from athena_core.errors import AthenaError, Fault
from athena_core.mask import Mask
from athena_core.text import ACTIVE
from projections.engine.page import Page, page_json

STATUS: dict[type[AthenaError], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.Missing: 404,
    errors.TimedOut: 408,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.Outdated: 412,
    errors.TooLarge: 413,
    errors.UriTooLarge: 414,
    errors.Misdirected: 421,
    errors.Unprocessable: 422,
    errors.Throttled: 429,
    errors.HeadTooLarge: 431,
    errors.Unimplemented: 501,
    errors.Upstream: 502,
    errors.Unavailable: 503,
    errors.OtherVersion: 505,
    errors.Full: 507,
    AthenaError: 500,
}
JSON_TYPE = "application/json; charset=utf-8"
MESSAGE_CHARS_MAX = 1_000
UNPRINTABLE = re.compile(rf"[\x00-\x1f{ACTIVE}\ud800-\udfff]")

encode = msgspec.json.Encoder().encode
hide = Mask().hide


def status_of(error: AthenaError | type[AthenaError]) -> int:
    """Return the HTTP status of an error's family."""
    kind = error if isinstance(error, type) else type(error)
    return next(STATUS[family] for family in kind.__mro__ if family in STATUS)


class _Success(msgspec.Struct):
    """The envelope of an answer, encoded together with its data so that large data is not copied."""

    ok: bool
    data: Any


def success(data: Any) -> bytes:
    """Return ``{"ok":true,"data":…}``. Bytes and ``Raw`` are JSON already."""
    if isinstance(data, bytes):
        data = msgspec.Raw(data)
    elif isinstance(data, Page) and (pieces := page_json(data)) is not None:
        return b"".join((b'{"ok":true,"data":', *pieces, b"}"))  # one copy, however large
    return encode(_Success(True, data))


def failure(error: AthenaError, trace_id: str, context: str | None = None) -> bytes:
    """Return ``{"ok":false,"error":{…}}``. ``context`` is put before the message, which often begins with a field."""
    body = {
        "code": error.code,
        "message": clean(error.message if context is None else _in_context(error, context)),
        "retryable": error.retryable,
    }
    if error.retryable:
        body["retryWith"] = error.retry_with
    body["traceId"] = trace_id
    if error.details is not None:
        body["details"] = clean(msgspec.to_builtins(error.details))
    return encode({"ok": False, "error": body})


def _in_context(error: AthenaError, context: str) -> str:
    """Return the message after ``context``, joined by a dot if it begins with its first wrong field."""
    first = error.details[0] if isinstance(error.details, list) and error.details else None
    has_field = isinstance(first, Fault) and error.message.startswith(f"{first.field}:")
    return f"{context}.{error.message}" if has_field else f"{context}: {error.message}"


def clean(value: Any) -> Any:
    """Return the value with its strings on one line, without secrets, cut at 1,000 characters."""
    match value:
        case str():
            return UNPRINTABLE.sub(" ", hide(value)[:MESSAGE_CHARS_MAX])
        case list():
            return [clean(item) for item in value]
        case dict():
            return {clean(key): clean(item) for key, item in value.items()}
        case _:
            return value
