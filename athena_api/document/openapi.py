"""The OpenAPI 3.1 document, computed from the table of operations, the same each time."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from athena_api.document.descriptions import TAGS
from athena_api.document.examples import EXAMPLES
from athena_api.document.parameters import HEADERS, PARAMETERS, parameters
from athena_api.document.responses import COMPONENTS, Failures, Row, answers
from athena_api.document.schemas import Json, Schemas
from athena_api.endpoint.operation import PREFIX, NoBody, NoQuery
from athena_core.errors import Fault
from athena_core.values import Role

IDENTITY: Json = {
    "type": "apiKey",
    "in": "header",
    "name": "x-athena-identity",
    "description": "Set by a trusted proxy. Its name is a setting. Not needed if authentication is off.",
}
ABOUT = """A control plane for AI-agent runs, kept in an append-only log.

Every answer is an envelope, `{"ok": true, "data": …}` or `{"ok": false, "error": …}`. Every GET also answers HEAD.

Sets of values are open: a newer server may send values, event types, error codes and fields that are not listed here.
Clients should keep values that they do not know, and ignore fields that they do not know.

The server accepts more than this document says. Bodies are read as JSON, whatever their content type, and an empty body
counts as `{}`. Strings are trimmed. For an optional field, null and blank strings count as absent. Unknown body fields
are errors. Unknown query parameters are ignored."""


def document(operations: Sequence[Row], version: str) -> Json:
    """Return the document. Raise ValueError for types that share a name, KeyError for an error code without a class."""
    rows = sorted(operations, key=lambda row: (row.path, row.method))
    schemas, failures = _schemas(rows), Failures(rows)
    paths: dict[str, Json] = {}
    for row in rows:
        path = PREFIX + _template(row.path)
        paths.setdefault(path, {})[row.method.lower()] = _operation(row, schemas, failures)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Athena API",
            "version": version,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"identity": []}, {}],
        "tags": [_tag(name) for name in sorted({row.tag for row in rows})],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(_with_examples({**schemas.components, **COMPONENTS}).items())),
            "responses": dict(sorted(failures.components.items())),
            "parameters": dict(PARAMETERS),
            "headers": dict(HEADERS),
            "securitySchemes": {"identity": IDENTITY},
        },
    }


def _schemas(rows: Sequence[Row]) -> Schemas:
    bodies = [type_ for row in rows for type_ in (row.forms or (row.body,)) if type_ is not NoBody]
    queries = [field.type for row in rows if row.query is not NoQuery for field in msgspec.structs.fields(row.query)]
    others = [type_ for row in rows for type_ in (row.accepted, row.transient) if type_ is not None]
    types = list(dict.fromkeys([*bodies, *queries, *(row.answer for row in rows), *others, Fault]))
    return Schemas(types, bodies)


def _operation(row: Row, schemas: Schemas, failures: Failures) -> Json:
    title = re.split(r"(?<=\.) ", row.summary)[0]
    parts = [row.summary, row.details]
    if row.successor is not None:
        parts.append(f"Deprecated: use `{PREFIX}{_template(row.successor)}`.")
    text = "\n\n".join(filter(None, parts))
    operation: Json = {
        "operationId": row.id,
        "tags": [row.tag],
        "summary": title.removesuffix("."),
        "description": text,
        "x-roles": [role.value for role in Role if role in row.roles],
    }
    if row.successor is not None:
        operation |= {"deprecated": True, "x-successor": PREFIX + row.successor}
    operation["parameters"] = [*parameters(row, schemas)]
    if row.body is not NoBody:
        operation["requestBody"] = _body(row, schemas)
    operation["responses"] = answers(row, schemas) | failures.of(row)
    return operation


def _template(path: str) -> str:
    """Return a path with its parameters in braces."""
    return re.sub(r":(\w+)", r"{\1}", path)


def _body(row: Row, schemas: Schemas) -> Json:
    schema = schemas.union(row.body.__name__, row.forms) if row.forms else schemas.of(row.body)
    required = bool(row.forms) or any(field.required for field in msgspec.structs.fields(row.body))
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _with_examples(components: Mapping[str, Json]) -> Mapping[str, Json]:
    return {
        name: {**schema, "examples": [EXAMPLES[name]]} if name in EXAMPLES else schema
        for name, schema in components.items()
    }


def _tag(name: str) -> Mapping[str, str]:
    return {"name": name, "description": TAGS[name]} if name in TAGS else {"name": name}
