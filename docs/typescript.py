"""The generator of the console's types: the records and rows of the table of operations."""

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

from athena_api.document import openapi
from athena_api.endpoint.operation import Operation
from athena_api.operations import OPERATIONS
from athena_cli.operation_command import words_of
from athena_core import __version__

Json: TypeAlias = dict[str, Any]

HEAD = """\
// Generated from the table of operations by `python -m docs.generate`; do not edit.

/** A row of the table: a request, and the command that sends it. `Answer` is the type of `data`. */
export interface Operation<Answer> {
  readonly id: string;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly command: string;
  readonly answer?: Answer;
}
"""


def module() -> str:
    """Return the whole file."""
    document = openapi.document(OPERATIONS, __version__)
    schemas = document["components"]["schemas"]
    parts = [HEAD]
    parts += [declaration(name, schema) for name, schema in sorted(schemas.items())]
    described = {item["operationId"]: item for path in document["paths"].values() for item in path.values()}
    parts += [operation(row, described[row.id]) for row in OPERATIONS]
    return "\n".join(parts)


def declaration(name: str, schema: Json) -> str:
    """Return an interface, or an alias of a type."""
    if "properties" not in schema:
        return f"export type {name} = {type_of(schema)};\n"
    return f"export interface {name} {{\n" + "".join(members(schema)) + "}\n"


def members(schema: Json) -> Iterator[str]:
    """Yield the fields of a record. The server omits fields that are null, so these are optional."""
    required = set(schema.get("required", ()))
    for field, kind in schema["properties"].items():
        optional = "" if field in required else "?"
        yield f"  {json.dumps(field) if not field.isidentifier() else field}{optional}: {type_of(kind)};\n"


def operation(row: Operation[Any, Any], described: Json) -> str:
    """Return a row. Streams have no answer type; their readers declare their own."""
    content = described["responses"]["200"]["content"]
    answer = "never"
    if "application/json" in content:
        answer = type_of(content["application/json"]["schema"]["properties"]["data"])
    fields = {"id": row.id, "method": row.method, "path": row.path, "command": words_of(row)}
    pairs = ", ".join(f"{name}: {json.dumps(value)}" for name, value in fields.items())
    return f"export const {row.id}: Operation<{answer}> = {{ {pairs} }};\n"


def type_of(schema: Json) -> str:
    """Return a schema as a TypeScript type."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " | ".join(dict.fromkeys(type_of(part) for part in schema[union]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(type_of({**schema, "type": one}) for one in kind)
    match kind:
        case "array":
            return f"readonly ({type_of(schema.get('items', {}))})[]"
        case "object" if "properties" in schema:
            return "{ " + " ".join(line.strip() for line in members(schema)) + " }"
        case "object":
            values = schema.get("additionalProperties")
            return f"Readonly<Record<string, {type_of(values) if isinstance(values, dict) else 'unknown'}>>"
        case "integer" | "number":
            return "number"
        case "string" | "boolean" | "null":
            return str(kind)
    return "unknown"
