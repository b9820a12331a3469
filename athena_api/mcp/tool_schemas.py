"""The schemas of tools, computed from what the API document has.

An input has path, query and body of an operation in one. An output is the answer of an operation.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from athena_api.document.parameters import parameters
from athena_api.document.schemas import SCHEMAS, Json, Schemas
from athena_api.endpoint.operation import NoBody, NoQuery, Operation
from athena_api.mcp.bounded import NEXT
from athena_core.values import INTEGER_MAX, PAGE_ITEMS_DEFAULT

CHECKED_BY_THE_ENDPOINT = frozenset(
    {"minLength", "maxLength", "pattern", "propertyNames", "maxProperties", "minItems", "maxItems", "uniqueItems"}
)
"""Keywords that cost a model's context and help it little. The endpoint checks them all the same."""
NOT_IN_OUTPUTS = CHECKED_BY_THE_ENDPOINT | {"description", "format", "discriminator", "default"}
"""Keywords that programs do not need, and those that a cut text does not fulfil."""
BESIDE = frozenset({"minPosition", "stale"})
"""Shared parameters that tools do not have."""
SAYS_NOTHING = "Id of the "
"""Beginning of descriptions that repeat the name of a parameter, such as ``runId``."""
PAGE_ITEMS_TOOL = 20
"""Default number of items of a page."""
SCALARS = ("string", "integer", "number", "boolean")
SHARED: Mapping[str, Json] = {
    "cursor": {"type": "string", "description": "`nextCursor` of the page before."},
    "after": {"type": "string", "description": "Id of the last entry that was read."},
    "limit": {"type": "integer", "minimum": 1, "maximum": PAGE_ITEMS_DEFAULT, "default": PAGE_ITEMS_TOOL},
}


class ToolInput(msgspec.Struct, frozen=True):
    """The input of a tool: its schema, and the place of each argument in the request."""

    schema: Json
    path: tuple[str, ...]
    query: frozenset[str]
    body: frozenset[str]


def inputs_of(rows: Sequence[Operation[Any, Any]]) -> Mapping[str, ToolInput]:
    """Return the input of each operation, by its id. Raise ValueError for arguments that share a name."""
    types = [row.body for row in rows if row.body is not NoBody]
    types += [field.type for row in rows if row.query is not NoQuery for field in msgspec.structs.fields(row.query)]
    schemas = Schemas(list(dict.fromkeys(types)), ())
    return {row.id: _input(row, schemas) for row in rows}


def outputs_of(rows: Mapping[str, Operation[Any, Any]]) -> Mapping[str, Json]:
    """Return the schema of each operation's answer, by the name of its tool."""
    schemas = Schemas(list(dict.fromkeys(row.answer for row in rows.values())), ())
    return {name: slim(schemas.of(row.answer), schemas.components, NOT_IN_OUTPUTS) for name, row in rows.items()}


def output_of(answer: Json) -> Json:
    """Return the schema of an answer as ``bounded`` shows it: it requires only members that are never left out."""
    properties = answer.get("properties") or {"items": answer}
    kept = {name for name, part in properties.items() if part.get("type") in SCALARS} - {"cursor", "nextCursor"}
    required = [name for name in answer.get("required", ()) if name in kept]
    return {"type": "object", "properties": {**properties, NEXT: {"type": "string"}}, "required": required}


def _input(row: Operation[Any, Any], schemas: Schemas) -> ToolInput:
    properties: Json = {}
    required: list[str] = []
    for name, part, needed in _parameters(row, schemas):
        properties[name] = part
        if needed:
            required.append(name)
    path = tuple(re.findall(r":(\w+)", row.path))
    query = properties.keys() - set(path)
    body: Json = {} if row.body is NoBody else slim(schemas.of(row.body), schemas.components)
    members: Json = body.get("properties", {})
    if shared := properties.keys() & members.keys():
        raise ValueError(f"{row.id} has two arguments named {sorted(shared)}")
    schema: Json = {"type": "object", "properties": properties | members}
    if required := [*required, *body.get("required", ())]:
        schema["required"] = required
    return ToolInput(schema, path, frozenset(query), frozenset(members))


def _parameters(row: Operation[Any, Any], schemas: Schemas) -> Iterator[tuple[str, Json, bool]]:
    """Yield the name and schema of each parameter of the path and the query, and True if it is required."""
    for parameter in parameters(row, schemas):
        if "$ref" in parameter:
            name = str(parameter["$ref"]).rpartition("/")[2]
            name = "limit" if name.endswith("Limit") else name.lower()
            if name in SHARED:
                yield name, dict(SHARED[name]), False
        elif parameter["in"] != "header" and parameter["name"] not in BESIDE:
            schema = slim(parameter["schema"], schemas.components)
            text = parameter.get("description", "")
            described = {**schema, "description": text} if text and not text.startswith(SAYS_NOTHING) else schema
            yield parameter["name"], described, parameter.get("required", False)


def slim(schema: Any, components: Mapping[str, Json], without: frozenset[str] = CHECKED_BY_THE_ENDPOINT) -> Any:
    """Return a schema with its references resolved, without some keywords."""
    if isinstance(schema, list):
        return [slim(item, components, without) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {name: part for name, part in schema.items() if name not in ("$ref", *without)}
        found = slim(components[schema["$ref"].removeprefix(SCHEMAS)], components, without)
        return {**_without(found, "description"), **rest} if rest else found
    thin: Json = {}
    for name, part in schema.items():
        if name in without or (name == "additionalProperties" and part in (True, False)):
            continue
        if name in ("minimum", "maximum") and abs(part) >= INTEGER_MAX:
            continue
        if name == "properties":
            thin[name] = {field: slim(one, components, without) for field, one in part.items()}
        else:
            thin[name] = slim(part, components, without)
    return thin if thin.get("additionalProperties") != {} else _without(thin, "additionalProperties")


def _without(schema: Json, name: str) -> Json:
    return {key: value for key, value in schema.items() if key != name}
