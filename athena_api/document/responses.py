"""Answers and errors of operations."""

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, TypeAlias, get_args

from athena_api.document.parameters import header
from athena_api.document.schemas import SCHEMAS, Json, Schemas
from athena_api.edge.replies import status_of
from athena_api.endpoint.names import takes_names
from athena_api.endpoint.operation import Operation
from athena_api.streams.lines import LINES_TYPE
from athena_core import errors
from athena_core.errors import AthenaError, RetryWith
from athena_core.statuses import PHRASES

Row: TypeAlias = Operation[Any, Any]

CODES: Mapping[str, type[AthenaError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AthenaError) and "code" in vars(kind)
}
EVERY = (
    "CONFIG_ERROR",
    "AUTH_IDENTITY_AMBIGUOUS",
    "AUTH_IDENTITY_INVALID",
    "AUTH_IDENTITY_MISSING",
    "AUTH_PROXY_UNTRUSTED",
    "AUTHZ_DENIED",
    "ORIGIN_FORBIDDEN",
    "URI_TOO_LONG",
    "HOST_FORBIDDEN",
    "RATE_LIMITED",
    "SHARE_LIMIT",
    "HEADERS_TOO_LARGE",
    "OVERLOADED",
    "STORE_DAMAGED",
)
WRITING = (
    "REQUEST_TIMEOUT",
    "PAYLOAD_TOO_LARGE",
    "IDEMPOTENCY_IN_PROGRESS",
    "IDEMPOTENCY_MISMATCH",
    "OUTCOME_UNKNOWN",
    "STORE_FULL",
    "STORE_MOVED",
    "WAL_FULL",
)
RETRY_WITH = (
    "`same-key`: repeat the request with its idempotency key. `new-key`: send it with another key. "
    "Present if `retryable` is true."
)
COMPONENTS: Mapping[str, Json] = {
    "ApiError": {
        "description": "An error: a stable code for programs, and a message for people.",
        "type": "object",
        "required": ["code", "message", "retryable", "traceId"],
        "properties": {
            "code": {"$ref": SCHEMAS + "ErrorCode", "description": "A stable code, for programs."},
            "message": {"type": "string", "description": "The fault, for people. The words may change."},
            "retryable": {"type": "boolean", "description": "True if the cause may pass, so a retry may succeed."},
            "retryWith": {"$ref": SCHEMAS + "RetryWith", "description": RETRY_WITH},
            "traceId": {"type": "string", "description": "The id of this request, as in the `x-trace-id` header."},
            "details": {
                "anyOf": [{"type": "array", "items": {"$ref": SCHEMAS + "Fault"}}, {"type": "object"}],
                "description": "The invalid fields of the input, or other details of the error.",
            },
        },
    },
    "ErrorCode": {"type": "string", "description": "The kind of error, for programs.", "enum": sorted(CODES)},
    "Failure": {
        "description": "The envelope of an error.",
        "type": "object",
        "required": ["ok", "error"],
        "properties": {
            "ok": {"const": False},
            "error": {"$ref": SCHEMAS + "ApiError", "description": "What failed, and what helps."},
        },
    },
    "RetryWith": {
        "type": "string",
        "description": (
            "The idempotency key of a retry; absent if `retryable` is false. `same-key`: nothing was decided. "
            "`new-key`: the key is bound to the failed run, so the same key gets this error again."
        ),
        "enum": list(get_args(RetryWith)),
    },
}


def codes_of(row: Row) -> tuple[str, ...]:
    """Return the codes of all errors that an operation may answer, except bugs."""
    codes = [*EVERY, *row.errors]
    if ":" in row.path:
        codes.append("UNKNOWN_ERROR")
    if row.method != "GET":
        codes += WRITING
        if row.versioned:
            codes.append("PRECONDITION_FAILED")
    if row.paging is not None:
        codes.append("CURSOR_INVALID")
    if row.reads:
        codes += ("CURSOR_AHEAD", "NOT_CAUGHT_UP")  # of minPosition
    if row.past:
        codes += ("CURSOR_AHEAD", "CURSOR_FOREIGN", "PAST_TOO_LARGE")
    if takes_names(row):
        codes += ("AMBIGUOUS_NAME", "NOT_CAUGHT_UP", *(("NOT_FOUND",) if row.method == "GET" else ()))
    if row.stream or row.lines:
        codes.append("STREAM_LIMIT")
    return tuple(codes)


class Failures:
    """The error responses of the document.

    Errors that every read or write may answer are the ``default`` response. A status with codes of an operation's own
    is a response for each set of codes, shared by the operations that have the same set.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        """Collect the sets of codes. Raise KeyError for a code without a class."""
        self._by_row = {row: _by_status(row) for row in rows}
        sets: dict[int, set[frozenset[str]]] = {}
        for found in self._by_row.values():
            for status, codes in found.items():
                sets.setdefault(status, set()).add(codes)
        self._common = {status: reduce(frozenset.intersection, found) for status, found in sets.items()}
        self.components = {
            self._name(status, codes): _failure(f"{PHRASES[status]}: {_list(codes)}.", codes)
            for status, found in sets.items()
            for codes in found
        }
        reads, writes = frozenset(EVERY), frozenset(EVERY + WRITING)
        self.components["AnyRead"] = _failure(f"An error that every read may answer: {_list(reads, True)}.", reads)
        self.components["AnyWrite"] = _failure(f"An error that every write may answer: {_list(writes, True)}.", writes)

    def of(self, row: Row) -> Json:
        """Return the error responses of an operation, by status."""
        names = {str(status): self._name(status, codes) for status, codes in sorted(self._by_row[row].items())}
        any_error = "AnyRead" if row.method == "GET" else "AnyWrite"
        if not any(status.startswith("4") for status in names):
            names["400"] = any_error  # linters do not count the default response, and generators not ranges
        names["default"] = any_error
        return {status: {"$ref": "#/components/responses/" + name} for status, name in names.items()}

    def _name(self, status: int, codes: frozenset[str]) -> str:
        """Return the name of a response: its phrase, or the codes that not every response of the status has."""
        words = [code.title().replace("_", "") for code in sorted(codes - self._common[status])]
        return "Or".join(words) or PHRASES[status].title().replace(" ", "")


def _by_status(row: Row) -> dict[int, frozenset[str]]:
    """Return the codes of the statuses for which an operation has codes of its own."""
    codes = frozenset(codes_of(row))
    own = {status_of(CODES[code]) for code in codes.difference(EVERY, WRITING)}
    return {status: frozenset(code for code in codes if status_of(CODES[code]) == status) for status in own}


def _list(codes: Iterable[str], with_status: bool = False) -> str:
    return ", ".join(f"`{code}`" + (f" ({status_of(CODES[code])})" if with_status else "") for code in sorted(codes))


def _failure(text: str, codes: Iterable[str]) -> Json:
    headers = {"x-trace-id": header("TraceId")}
    if any(CODES[code].retry_after is not None for code in codes):
        headers["retry-after"] = header("RetryAfter")
    content = {"application/json": {"schema": {"$ref": SCHEMAS + "Failure"}}}
    return {"description": text, "headers": headers, "content": content}


def answers(row: Row, schemas: Schemas) -> Json:
    """Return the successful responses of an operation, by status."""
    headers = {"athena-position": header("Position"), "x-trace-id": header("TraceId")}
    if row.stream:
        # OpenAPI 3.1 cannot describe the items of a stream. The extension describes the data of each frame.
        frames = [schemas.frame(type_) for type_ in (row.answer, row.transient) if type_ is not None]
        data = frames[0] if len(frames) == 1 else {"oneOf": frames}
        content = {"text/event-stream": {"schema": {"type": "string"}, "x-frame-data": data}}
        text = "A stream of server-sent events. The data of each is JSON, as `x-frame-data` describes it."
        return {"200": {"description": text, "headers": headers, "content": content}}
    if row.past:
        headers |= {"athena-as-of": header("AsOf"), "etag": header("ETag")}
    if takes_names(row):
        headers["athena-resolved"] = header("Resolved")
    if row.versioned:
        headers["etag"] = header("ETag")
    if row.method != "GET":
        headers["idempotency-replayed"] = header("Replayed")
    content = _json(schemas.envelope(row.answer))
    found: Json = {"200": {"description": "Success.", "headers": headers, "content": content}}
    if row.past:
        found["304"] = {"description": "Not modified."}
    if row.csv:
        found["200"]["headers"] = headers | {"athena-next-cursor": header("NextCursor")}
        content["text/csv"] = {"schema": {"type": "string"}}
    if row.lines:
        content[LINES_TYPE] = {"schema": {"type": "string"}}
    if row.accepted is not None:
        content = _json(schemas.envelope(row.accepted))
        text = "Accepted. Returns the record so far."
        headers = headers | {"location": header("Location"), "preference-applied": header("Applied")}
        found["202"] = {"description": text, "headers": headers, "content": content}
    return found


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}
