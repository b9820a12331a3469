"""Parameters of requests, and headers of answers."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from athena_api.document.fields import FIELDS
from athena_api.document.schemas import Json, Schemas, as_input, said
from athena_api.endpoint.body import is_time, query_kind
from athena_api.endpoint.names import takes_text
from athena_api.endpoint.operation import NoQuery, Operation
from athena_core.values import (
    CLIENT_ID_CHARS_MAX,
    ID_PATTERN,
    INTEGER_MAX,
    KEY_CHARS_MAX,
    PAGE_ITEMS_DEFAULT,
    PAGE_ITEMS_MAX,
    TAIL_ITEMS_DEFAULT,
)


def _limit(default: int) -> Json:
    return {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX, "default": default},
        "description": f"The maximum number of items, clamped to the range 1 to {PAGE_ITEMS_MAX}.",
    }


LIMITS = {
    "cursor": ("PageLimit", PAGE_ITEMS_DEFAULT),
    "full": ("FullLimit", PAGE_ITEMS_MAX),
    "tail": ("TailLimit", TAIL_ITEMS_DEFAULT),
}
PARAMETERS: Mapping[str, Json] = {
    "After": {
        "name": "after",
        "in": "query",
        "schema": {"type": "string"},
        "description": "The id of the last entry received.",
    },
    "AsOf": {
        "name": "asOf",
        "in": "query",
        "schema": {"type": "string"},
        "description": "Answer as of this event id, position or time (ISO-8601), without what was erased since.",
    },
    "Cursor": {
        "name": "cursor",
        "in": "query",
        "schema": {"type": "string"},
        "description": "The `nextCursor` of the previous page.",
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARS_MAX, "pattern": "^[!-~]+$"},
        "description": "A key of the client's choice. A repeated request with the same key gets the first answer.",
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "schema": {"type": "string"},
        "description": "An `ETag` of an earlier answer. The write fails if the version has changed; `*` matches any.",
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "schema": {"type": "string"},
        "description": "The id of the last event received. Takes precedence over `after`.",
    },
    "MinPosition": {
        "name": "minPosition",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "maximum": INTEGER_MAX},
        "description": "Wait until the views reflect this position of the log.",
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "schema": {"type": "string", "examples": ["respond-async"]},
        "description": "`respond-async` returns 202 at once with the record so far.",
    },
    "Stale": {
        "name": "stale",
        "in": "query",
        "schema": {"type": "string", "examples": ["allow"]},
        "description": "`allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.",
    },
    **{name: _limit(default) for name, default in LIMITS.values()},
}
HEADERS: Mapping[str, Json] = {
    "AsOf": {
        "schema": {"type": "string"},
        "description": "With `asOf`: when the last event that the answer reflects was recorded, if there is one.",
    },
    "NextCursor": {
        "schema": {"type": "string"},
        "description": "The cursor of the next CSV page, if there is one.",
    },
    "ETag": {
        "schema": {"type": "string"},
        "description": "The current version, to send as `If-Match` with a write. With `asOf` it names the answer, to "
        "send as `If-None-Match`.",
    },
    "Applied": {
        "schema": {"type": "string", "const": "respond-async"},
        "description": "Present if the request asked for it.",
    },
    "Location": {"schema": {"type": "string"}, "description": "The path of the record, to poll."},
    "Position": {"schema": {"type": "integer"}, "description": "The log position that the answer reflects."},
    "Replayed": {
        "schema": {"const": "true"},
        "description": "Present in a repeated answer to the same key.",
    },
    "Resolved": {
        "schema": {"type": "string"},
        "description": "Present if names were given for ids: each field and the id that was used, such as "
        "`harnessProfileId=hp_...`.",
    },
    "RetryAfter": {"schema": {"type": "integer"}, "description": "Seconds to wait before a retry, if known."},
    "TraceId": {
        "schema": {"type": "string"},
        "description": "The id of this request in logs and events.",
    },
}


def parameters(row: Operation[Any, Any], schemas: Schemas) -> Iterator[Json]:
    """Yield the parameters of an operation."""
    for name in re.findall(r":(\w+)", row.path):
        schema = {"type": "string", "minLength": 1, "maxLength": CLIENT_ID_CHARS_MAX}
        if not takes_text(row, name):
            schema["pattern"] = ID_PATTERN
        yield {"name": name, "in": "path", "required": True, "schema": schema, **_required(row.id, name)}
    if row.query is not NoQuery:
        for field in msgspec.structs.fields(row.query):
            name = field.encode_name
            needed = {"required": True} if field.required else {}
            query = _query(field.type, schemas)
            if isinstance(field.default, str | int):
                query["schema"] |= {"default": field.default}
            yield {"name": name, "in": "query", **needed, **query, **_described(row.id, name, said(field.type))}
    if row.paging is not None:
        yield _shared("After" if row.paging == "tail" else "Cursor")
        yield _shared(LIMITS[row.paging][0])
    if row.stream:
        yield _shared("LastEventId")
    elif row.method == "GET":
        if row.past:
            yield _shared("AsOf")
        if row.reads:
            yield _shared("MinPosition")
            yield _shared("Stale")
    else:
        yield _shared("IdempotencyKey")
        if row.versioned:
            yield _shared("IfMatch")
        if row.accepted is not None:
            yield _shared("Prefer")


def header(name: str) -> Json:
    """Return a reference to a header."""
    return {"$ref": "#/components/headers/" + name}


def _query(type_: Any, schemas: Schemas) -> Json:
    """Return the schema of a query parameter. Lists are separated by commas."""
    if is_time(query_kind(inspect.type_info(type_))):
        return {"schema": {"type": "string", "format": "date-time"}}
    schema = as_input(schemas.present(type_))
    if schema.get("type") == "array":
        return {"schema": schema, "style": "form", "explode": False}
    return {"schema": schema}


def _required(operation: str, name: str) -> Json:
    """Return the description of a parameter of the path. Most say all by their names."""
    text = FIELDS.get(f"{operation}.{name}")
    return {} if text is None else {"description": text}


def _described(operation: str, name: str, own: str | None) -> Json:
    text = own or FIELDS.get(f"{operation}.{name}", FIELDS.get(name))
    return {} if text is None else {"description": text}


def _shared(name: str) -> Json:
    return {"$ref": "#/components/parameters/" + name}
