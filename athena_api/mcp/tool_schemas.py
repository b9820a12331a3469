"""The input schemas of tools, computed from what the API document has: path, query and body of an operation in one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from athena_api.document.parameters import parameters
from athena_api.document.schemas import SCHEMAS, Json, Schemas
from athena_api.endpoint.operation import NoBody, NoQuery, Operation
from athena_core.values import INTEGER_MAX, PAGE_ITEMS_DEFAULT

CHECKED_BY_THE_ENDPOINT = frozenset(
    {"minLength", "maxLength", "pattern", "propertyNames", "maxProperties", "minItems", "maxItems", "uniqueItems"}
)
"""Keywords that cost a model's context and help it little. The endpoint checks them all the same."""
BESIDE = frozenset({"minPosition", "stale"})
"""Shared parameters that tools do not have."""
SAYS_NOTHING = "Id of the "
"""Beginning of descriptions that repeat the name of a parameter, such as ``runId``."""
PAGE_ITEMS_TOOL = 20
"""Default number of items of a page."""
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


def slim(schema: Any, components: Mapping[str, Json]) -> Any:
    """Return a schema with its references resolved, without what only the endpoint needs."""
    if isinstance(schema, list):
        return [slim(item, components) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {name: part for name, part in schema.items() if name != "$ref"}
        found = slim(components[schema["$ref"].removeprefix(SCHEMAS)], components)
        return {**_without(found, "description"), **rest} if rest else found
    thin: Json = {}
    for name, part in schema.items():
        if name in CHECKED_BY_THE_ENDPOINT or (name == "additionalProperties" and part in (True, False)):
            continue
        if name in ("minimum", "maximum") and abs(part) >= INTEGER_MAX:
            continue
        if name == "properties":
            thin[name] = {field: slim(one, components) for field, one in part.items()}
        else:
            thin[name] = slim(part, components)
    return thin if thin.get("additionalProperties") != {} else _without(thin, "additionalProperties")


def _without(schema: Json, name: str) -> Json:
    return {key: value for key, value in schema.items() if key != name}
