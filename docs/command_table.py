"""The table ``athena_cli/operations.json``: what commands need of the server's table of operations."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import inspect as shapes

from athena_api.endpoint.operation import NoBody, Operation
from athena_api.operations import OPERATIONS
from athena_cli.output.shapes import LISTS

Row = Operation[Any, Any]
VERBS: Mapping[str, str] = {"POST": "create", "PUT": "update", "DELETE": "delete"}
SCALARS: Mapping[type[shapes.Type], str] = {
    shapes.IntType: "int",
    shapes.FloatType: "float",
    shapes.BoolType: "bool",
    shapes.StrType: "text",
}


def table() -> str:
    """Return the table as JSON, one operation a line."""
    return "[\n" + ",\n".join(json.dumps(entry(row), ensure_ascii=False) for row in OPERATIONS) + "\n]\n"


def entry(row: Row) -> dict[str, object]:
    """Return the members of an operation that differ from their defaults."""
    members: dict[str, object] = {
        "id": row.id,
        "method": row.method,
        "path": row.path,
        "words": words_of(row),
        "summary": row.summary.replace("`Prefer: respond-async` is sent", "`--async` is given"),
        "roles": sorted(role.value for role in row.roles),
        "query": [member(field, query=True) for field in fields_of(row.query)],
        "records": [field.encode_name for field in msgspec.structs.fields(kind)] if (kind := record_type(row)) else [],
        "narrows": sorted(row.narrows),
        "paging": row.paging,
        "accepted": row.accepted is not None,
        "past": row.past,
        "stream": row.stream,
        "versioned": row.versioned,
    }
    body = {} if row.body is NoBody else {"body": [member(field) for field in fields_of(row.body)]}
    return {name: value for name, value in members.items() if value or name == "words"} | body


def words_of(row: Row) -> str:
    """Return the words of a row's command: its own, or a noun and a verb derived from its path and method."""
    if row.command is not None:
        return row.command
    segments = row.path.strip("/").split("/")
    noun, *rest = [segment for segment in segments if not segment.startswith(":")]
    if rest:
        return f"{noun} {'-'.join(rest)}"
    if row.method != "GET":
        return f"{noun} {VERBS[row.method]}"
    return f"{noun} {'list' if row.paging and ':' not in row.path else 'get'}"


def member(field: shapes.Field, *, query: bool = False) -> list[object]:
    """Return a member as name, kind and, if it is required, True. In a query the server validates all but literals."""
    bare = unwrap(field.type)
    kind = kind_of(bare) if not query or isinstance(bare, shapes.LiteralType) else "text"
    return [field.encode_name, kind, *([True] if field.required else [])]


def kind_of(bare: shapes.Type) -> str | list[Any]:
    """Return the kind of a value: scalars and lists of strings as they are, anything else as a JSON string."""
    match bare:
        case shapes.LiteralType():
            return list(bare.values)
        case shapes.EnumType():
            return [member.value for member in bare.cls]
        case shapes.VarTupleType() | shapes.ListType() if isinstance(unwrap(bare.item_type), shapes.StrType):
            return "texts"
        case _:
            return SCALARS.get(type(bare), "json")


def fields_of(kind: type) -> Iterator[shapes.Field]:
    """Yield the fields of a struct; any other type has none."""
    info = shapes.type_info(kind)
    while isinstance(info, shapes.Metadata):
        info = info.type
    if isinstance(info, shapes.StructType):
        yield from info.fields


def unwrap(info: shapes.Type) -> shapes.Type:
    """Return the type without metadata and without None."""
    while True:
        if isinstance(info, shapes.Metadata):
            info = info.type
        elif isinstance(info, shapes.UnionType):
            parts = [part for part in info.types if not isinstance(part, shapes.NoneType)]
            if len(parts) != 1:
                return info
            (info,) = parts
        else:
            return info


def record_type(row: Row) -> Any:
    """Return the struct of the records in the answer of a list; None if it is not known."""
    return _struct_in(row.answer)


def _struct_in(answer: object) -> Any:
    if isinstance(answer, type) and issubclass(answer, msgspec.Struct):
        hints = get_type_hints(answer)
        lists = (hints[field.name] for field in msgspec.structs.fields(answer) if field.encode_name in LISTS)
        return next((kind for found in lists if (kind := _struct_in(found)) is not None), None)
    kinds = (part for part in get_args(answer) if isinstance(part, type) and issubclass(part, msgspec.Struct))
    return next(kinds, None)
