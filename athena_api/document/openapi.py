"""The OpenAPI 3.1 document, computed from the table of operations, the same each time."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import Any, TypeAlias, get_args

import msgspec
from msgspec import inspect

from athena_api.edge.replies import status_of
from athena_api.endpoint.body import is_time, query_kind
from athena_api.endpoint.operation import PREFIX, NoBody, NoQuery, Operation
from athena_api.streams.lines import LINES_TYPE
from athena_core import errors
from athena_core.errors import AthenaError, Fault, RetryWith
from athena_core.statuses import PHRASES
from athena_core.values import (
    CLIENT_ID_CHARS_MAX,
    ID_PATTERN,
    INTEGER_MAX,
    KEY_CHARS_MAX,
    PAGE_ITEMS_DEFAULT,
    PAGE_ITEMS_MAX,
    TAIL_ITEMS_DEFAULT,
    Role,
)

Json: TypeAlias = dict[str, Any]
Row: TypeAlias = Operation[Any, Any]

SCHEMAS = "#/components/schemas/"
NULL: Json = {"type": "null"}
BLANK: Json = {"$ref": SCHEMAS + "Blank"}
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
)
SPACE = r"\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""A character class of whitespace. Dialects of regular expressions disagree about ``\\s``."""
BLANK_SCHEMA: Json = {
    "description": "Blank: counts as absent.",
    "type": "string",
    "pattern": f"^[{SPACE}]*$",
}
NOT_BLANK = f"[^{SPACE}]"
FIELD = re.compile(r"(?<=`)[a-z]+(_[a-z]+)+(?=`)")
FAILURE: Json = {
    "description": "The envelope of an error.",
    "type": "object",
    "required": ["ok", "error"],
    "properties": {"ok": {"const": False}, "error": {"$ref": SCHEMAS + "Error"}},
}
ERROR: Json = {
    "description": "An error: a stable code for programs, and a message for people.",
    "type": "object",
    "required": ["code", "message", "retryable", "traceId"],
    "properties": {
        "code": {"enum": sorted(CODES)},
        "message": {"type": "string"},
        "retryable": {"type": "boolean", "description": "True if the cause may pass, so a retry may succeed."},
        "retryWith": {
            "enum": list(get_args(RetryWith)),
            "description": (
                "The idempotency key of a retry; absent if `retryable` is false. `same-key`: nothing was decided. "
                "`new-key`: the key is bound to the failed run, so the same key gets this error again."
            ),
        },
        "traceId": {"type": "string", "description": "The id of this request, as in the `x-trace-id` header."},
        "details": {
            "anyOf": [{"type": "array", "items": {"$ref": SCHEMAS + "Fault"}}, {"type": "object"}],
            "description": "The invalid fields of the input, or other details of the error.",
        },
    },
}
PARAMETERS: Mapping[str, Json] = {
    "After": {
        "name": "after",
        "in": "query",
        "schema": {"type": "string"},
        "description": "The id of the last entry received.",
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
        "schema": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": INTEGER_MAX}, BLANK]},
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
}
HEADERS: Mapping[str, Json] = {
    "NextCursor": {
        "schema": {"type": "string"},
        "description": "The cursor of the next CSV page, if there is one.",
    },
    "ETag": {"schema": {"type": "string"}, "description": "The current version. Send it as `If-Match` with a write."},
    "Position": {"schema": {"type": "integer"}, "description": "The log position that the answer reflects."},
    "Replayed": {
        "schema": {"const": "true"},
        "description": "Present in a repeated answer to the same key.",
    },
    "RetryAfter": {"schema": {"type": "integer"}, "description": "Seconds to wait before a retry, if known."},
    "TraceId": {
        "schema": {"type": "string"},
        "description": "The id of this request in logs and events.",
    },
}
IDENTITY: Json = {
    "type": "apiKey",
    "in": "header",
    "name": "x-athena-identity",
    "description": "Set by a trusted proxy. Its name is a setting. Not needed if authentication is off.",
}
ABOUT = """A control plane for AI-agent runs, kept in an append-only log.

Every answer is an envelope, `{"ok": true, "data": …}` or `{"ok": false, "error": …}`. Bodies are read as JSON,
whatever their content type, and an empty body counts as `{}`. Strings are trimmed. For an optional field, null and
blank strings count as absent. Unknown body fields are errors. Unknown query parameters are ignored."""


def document(operations: Sequence[Row], version: str) -> Json:
    """Return the document. Raise ValueError for types that share a name, KeyError for an error code without a class."""
    rows = sorted(operations, key=lambda row: (row.path, row.method))
    schemas, components = _schemas(rows)
    paths: dict[str, Json] = {}
    for row in rows:
        paths.setdefault(_path(row), {})[row.method.lower()] = _operation(row, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Athena",
            "version": version,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"identity": []}, {}],
        "tags": [{"name": tag} for tag in sorted({row.tag for row in rows})],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "parameters": {**PARAMETERS, **{name: _limit(default) for name, default in LIMITS.values()}},
            "headers": dict(HEADERS),
            "securitySchemes": {"identity": IDENTITY},
        },
    }


# Operations


def _path(row: Row) -> str:
    return PREFIX + re.sub(r":(\w+)", r"{\1}", row.path)


def _operation(row: Row, schemas: Mapping[Any, Json]) -> Json:
    operation: Json = {
        "operationId": row.id,
        "tags": [row.tag],
        "summary": row.summary,
        "x-roles": [role.value for role in Role if role in row.roles],
    }
    if row.successor is not None:
        operation |= {
            "deprecated": True,
            "description": f"Deprecated: use `{PREFIX}{row.successor}`.",
            "x-successor": PREFIX + row.successor,
        }
    operation["parameters"] = [*_parameters(row, schemas)]
    if row.body is not NoBody:
        required = any(field.required for field in msgspec.structs.fields(row.body))
        operation["requestBody"] = {"required": required, "content": _json(schemas[row.body])}
    operation["responses"] = _answers(row, schemas) | _failures(row)
    return operation


def _parameters(row: Row, schemas: Mapping[Any, Json]) -> Iterator[Json]:
    for name in re.findall(r":(\w+)", row.path):
        schema = {"type": "string", "minLength": 1, "maxLength": CLIENT_ID_CHARS_MAX, "pattern": ID_PATTERN}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if row.query is not NoQuery:
        for field in msgspec.structs.fields(row.query):
            schema = schemas[field.type]
            if field.required:
                yield {"name": field.encode_name, "in": "query", "required": True, "schema": _input(schema, {})}
            else:
                yield {"name": field.encode_name, "in": "query", **_query_schema(field.type, schema)}
    if row.paging is not None:
        yield _shared("After" if row.paging == "tail" else "Cursor")
        yield _shared(LIMITS[row.paging][0])
    if row.stream:
        yield _shared("LastEventId")
    elif row.method == "GET":
        if row.reads:
            yield _shared("MinPosition")
            yield _shared("Stale")
    else:
        yield _shared("IdempotencyKey")
        if row.versioned:
            yield _shared("IfMatch")
        if row.accepted is not None:
            yield _shared("Prefer")


def _query_schema(type_: Any, schema: Json) -> Json:
    """Return the schema of a query parameter. A blank one counts as absent; lists are separated by commas."""
    info = query_kind(inspect.type_info(type_))
    if is_time(info):
        return {"schema": {"anyOf": [{"type": "string", "format": "date-time"}, BLANK]}}
    options = [option for option in schema.get("anyOf", [schema]) if option != NULL]
    plain = options[0]
    if plain.get("type") == "array":
        array = {**plain, "items": _blankable(plain["items"])}
        return {"schema": _blankable(array), "style": "form", "explode": False}
    if plain.get("type") == "string" and "pattern" not in plain:
        return {"schema": _blankable(plain)}
    return {"schema": {"anyOf": [plain, BLANK]}}


def _blankable(schema: Json) -> Json:
    return {key: value for key, value in schema.items() if key not in ("minLength", "minItems")}


def _answers(row: Row, schemas: Mapping[Any, Json]) -> Json:
    headers = {"athena-position": _header("Position"), "x-trace-id": _header("TraceId")}
    envelope = _envelope(schemas[row.answer])
    if row.stream:
        # OpenAPI 3.1 cannot describe the items of a stream. The extension describes the data of each frame.
        transient = [] if row.transient is None else [_envelope(schemas[row.transient])]
        data = {"oneOf": [envelope, *transient]} if transient else envelope
        content = {"text/event-stream": {"schema": {"type": "string"}, "x-frame-data": data}}
        return {"200": {"description": "A stream of server-sent events.", "headers": headers, "content": content}}
    if row.versioned:
        headers["etag"] = _header("ETag")
    if row.method != "GET":
        headers["idempotency-replayed"] = _header("Replayed")
    content = _json(envelope)
    if row.csv:
        headers["athena-next-cursor"] = _header("NextCursor")
        content["text/csv"] = {"schema": {"type": "string"}}
    if row.lines:
        content[LINES_TYPE] = {"schema": {"type": "string"}}
    answers: Json = {"200": {"description": "Success.", "headers": headers, "content": content}}
    if row.accepted is not None:
        content = _json(_envelope(schemas[row.accepted]))
        answers["202"] = {"description": "Accepted. Returns the record so far.", "headers": headers, "content": content}
    return answers


def _failures(row: Row) -> Json:
    by_status: dict[int, set[str]] = {}
    for code in codes_of(row):
        by_status.setdefault(status_of(CODES[code]), set()).add(code)
    failures: Json = {}
    for status, codes in sorted(by_status.items()):
        headers = {"x-trace-id": _header("TraceId")}
        if any(CODES[code].retry_after is not None for code in codes):
            headers["retry-after"] = _header("RetryAfter")
        phrase = f"{PHRASES[status]}: {', '.join(f'`{code}`' for code in sorted(codes))}"
        content = _json({"$ref": SCHEMAS + "Failure"})
        failures[str(status)] = {"description": phrase, "headers": headers, "content": content}
    return failures


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
        codes.append("NOT_CAUGHT_UP")
    if row.stream or row.lines:
        codes.append("STREAM_LIMIT")
    return tuple(codes)


# Parts


LIMITS = {
    "cursor": ("PageLimit", PAGE_ITEMS_DEFAULT),
    "full": ("FullLimit", PAGE_ITEMS_MAX),
    "tail": ("TailLimit", TAIL_ITEMS_DEFAULT),
}


def _limit(default: int) -> Json:
    number = {"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_MAX, "default": default}
    return {
        "name": "limit",
        "in": "query",
        "schema": {"anyOf": [number, {"type": "string"}]},
        "description": (
            f"The maximum number of items, clamped to the range 1 to {PAGE_ITEMS_MAX}. "
            f"Text that is not a number counts as {default}."
        ),
    }


def _shared(name: str) -> Json:
    return {"$ref": "#/components/parameters/" + name}


def _header(name: str) -> Json:
    return {"$ref": "#/components/headers/" + name}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _envelope(data: Json) -> Json:
    return {"type": "object", "required": ["ok", "data"], "properties": {"ok": {"const": True}, "data": data}}


# Schemas


def _schemas(rows: Iterable[Row]) -> tuple[dict[Any, Json], dict[str, Json]]:
    """Return the schema of every type in the rows, and the components that they refer to."""
    bodies = [row.body for row in rows if row.body is not NoBody]
    queries = [field.type for row in rows if row.query is not NoQuery for field in msgspec.structs.fields(row.query)]
    others = [type_ for row in rows for type_ in (row.accepted, row.transient) if type_ is not None]
    types = list(dict.fromkeys([*bodies, *queries, *(row.answer for row in rows), *others, Fault]))
    inline, parts = msgspec.json.schema_components(types, ref_template=SCHEMAS + "{name}")
    names = {name: _readable(name) for name in parts}
    components = {names[name]: _tidy(schema, names) for name, schema in parts.items()}
    schemas = {type_: _tidy(schema, names) for type_, schema in zip(types, inline, strict=True)}
    for name in _reachable((schemas[body] for body in bodies), components):
        components[name] = _input(components[name], components)
    components |= {"Blank": BLANK_SCHEMA, "Error": ERROR, "Failure": FAILURE}
    return schemas, components


def _readable(name: str) -> str:
    """Return the name of a component: ``Page_Run_``, as msgspec names ``Page[Run]``, becomes RunPage."""
    if "." in name:
        raise ValueError(f"two types of the table are named {name.rpartition('.')[2]}; rename one")
    return re.sub(r"^(\w+?)_(\w+)_$", r"\2\1", name)


def _tidy(schema: Any, names: Mapping[str, str]) -> Any:
    """Return the schema with readable names, Markdown descriptions, no titles and no null defaults."""
    if isinstance(schema, (list, tuple)):
        return [_tidy(item, names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy: Json = {}
    for key, value in schema.items():
        if key == "$ref":
            tidy[key] = SCHEMAS + names[value.removeprefix(SCHEMAS)]
        elif key == "description":
            # Python strips the indentation itself from 3.13 on.
            tidy[key] = FIELD.sub(_camel, cleandoc(value.replace("``", "`")))
        elif key == "properties":
            tidy[key] = {name: _tidy(part, names) for name, part in value.items()}
        elif not (key == "title" or key == "default" and value is None):
            tidy[key] = _tidy(value, names)
    return tidy


def _camel(name: re.Match[str]) -> str:
    """Return the JSON name of a field that a docstring names as in Python."""
    first, *words = name[0].split("_")
    return first + "".join(map(str.capitalize, words))


def _reachable(roots: Iterable[Json], components: Mapping[str, Json]) -> set[str]:
    seen: set[str] = set()
    waiting: list[Any] = list(roots)
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            name = part.get("$ref", "").removeprefix(SCHEMAS) if isinstance(part.get("$ref"), str) else ""
            if name and name not in seen:
                seen.add(name)
                waiting.append(components[name])
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return seen


def _input(schema: Json, components: Mapping[str, Json]) -> Json:
    """Return the schema that ``shapes.py`` checks: no blank required strings, exact integers, null as absent."""
    options = [option for option in schema.get("anyOf", ()) if option != NULL]
    if len(options) == 1:
        return _optional(options[0], components)
    result = dict(schema)
    if schema.get("type") == "string" and "pattern" not in schema:
        result |= {"minLength": 1, "pattern": NOT_BLANK}
    if schema.get("type") == "integer":
        result = {"type": "integer", "minimum": -INTEGER_MAX, "maximum": INTEGER_MAX} | result
    if "properties" in schema:
        required = schema.get("required", ())
        result["properties"] = {
            name: _input(part, components) if name in required else _optional(part, components)
            for name, part in schema["properties"].items()
        }
    if "propertyNames" in schema:
        result["propertyNames"] = {"pattern": NOT_BLANK} | schema["propertyNames"]
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = _input(schema[key], components)
    return result


def _optional(schema: Json, components: Mapping[str, Json]) -> Json:
    (inner,) = [option for option in schema.get("anyOf", [schema]) if option != NULL] or [{}]
    resolved = components[inner["$ref"].removeprefix(SCHEMAS)] if "$ref" in inner else inner
    if not resolved:
        return schema
    if resolved.get("type") == "string" and "pattern" not in resolved:
        return {"type": ["string", "null"]} | {k: v for k, v in inner.items() if k not in ("type", "minLength")}
    if resolved.get("type") == "string" or all(isinstance(value, str) for value in resolved.get("enum", [None])):
        return {"anyOf": [inner, BLANK, NULL]}
    return {"anyOf": [_input(inner, components), NULL]}
