"""Names where ids are meant: replaces a name in a request by the id of the only record that has it.

An id always wins. DELETE, PUT of a path and bulk acts take ids only, because a name may change hands between two
requests. A scoped caller names only what every scoped caller may list.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from athena_api.endpoint.operation import ApiCall, Operation
from athena_api.endpoint.past import PastPlane
from athena_api.plane import ControlPlane
from athena_core.errors import AmbiguousName, ConfigError, NotFound
from athena_core.protocols import Connection
from projections.names import FOUND_MAX, SCOPED_KINDS, NamedKind, NameRow, find_names, nearest_names

KINDS: Mapping[str, NamedKind] = {
    "harnessProfileId": "harness-profile",
    **dict.fromkeys(("templateId", "runTemplateId"), "run-template"),
    "scheduleId": "schedule",
    **dict.fromkeys(("fromPersona", "toPersona", "sourcePersona", "targetPersona", "persona_name"), "persona"),
}
"""The kind of record that a path parameter or a field names."""
NESTED, BULK = frozenset(("definition", "steps")), ("filter", "changes")
"""Fields of bodies with such fields in them: of one act, and of a bulk act."""
WORDS: Mapping[NamedKind, str] = {
    "harness-profile": "harness profile",
    "persona": "persona",
    "run-template": "run template",
    "schedule": "schedule",
}
TEXTS = frozenset(("harnessProfileId", "templateId"))
"""Parameters of paths whose names need not have the form of an id. Names of schedules have it."""
ID = re.compile(r"[a-z]+_[0-9A-HJKMNP-TV-Z]{26}|shadow-harness-[0-9a-f]{12}")
SHOWN_CHARS = 80


class Given(NamedTuple):
    """A text in a request that may be a name. ``put`` replaces it. ``filters`` is True in a query."""

    field: str
    kind: NamedKind
    text: str
    put: Callable[[str], None]
    filters: bool = False


def takes_name(operation: Operation[Any, Any], parameter: str) -> bool:
    """Return True if a parameter of the path may be a name."""
    return parameter in KINDS and operation.method in {"GET", "POST"}


def takes_text(operation: Operation[Any, Any], parameter: str) -> bool:
    """Return True if a parameter of the path need not have the form of an id."""
    return parameter == "part" or (parameter in TEXTS and takes_name(operation, parameter))


def takes_names(row: Operation[Any, Any]) -> bool:
    """Return True if a request to an operation may have a name where an id is meant."""
    types: tuple[Any, ...] = (row.query, row.body)
    parts = [part[1:] for part in row.path.split("/") if part.startswith(":")]
    return any(_fields(type_) for type_ in types) or any(takes_name(row, part) for part in parts)


def looks_up(row: Operation[Any, Any]) -> bool:
    """Return True if ``resolve`` has anything to do for an operation: also to refuse a name in a bulk act."""
    return takes_names(row) or "filter" in row.body.__struct_fields__


async def resolve(plane: ControlPlane, operation: Operation[Any, Any], call: ApiCall[Any, Any]) -> None:
    """Replace names by ids. Raise AmbiguousName, and NotFound for a filter; handlers refuse other unknown names."""
    where = plane if call.as_of is None else PastPlane.of(plane, call.as_of)
    bulk = hasattr(call.body, "filter")
    for one in _given(operation, call):
        if (bulk or call.scope is not None) and one.kind not in SCOPED_KINDS:
            continue
        if one.kind == "persona" and plane.messages.knows(one.text):
            continue
        shown = one.text[:SHOWN_CHARS]
        position = 0 if call.stale else call.position or plane.reader.head()
        (found, nearest), _ = await where.read(("names",), position, functools.partial(_look_up, one))
        if bulk and [row.id for row in found] != [one.text]:
            ids = ", ".join(row.id for row in found) or "the id of a harness profile"
            raise ConfigError.of(one.field, f"{shown!r} is not an id, and a bulk act takes no name", ids)
        if len(found) > 1:
            raise _ambiguous(one, found)
        if found:
            one.put(found[0].id)
            if found[0].id != one.text:
                call.resolved.append(f"{one.field}={found[0].id}")
                call.personal = True
        elif one.filters:
            raise NotFound(f"{one.field}: no {WORDS[one.kind]} has the id or name {shown!r}.{_question(nearest)}")
        elif nearest:
            call.unknown[one.field] = nearest


def _look_up(one: Given, rows: Connection) -> tuple[list[NameRow], list[NameRow]]:
    """Return the records with this id or name, and the nearest names if there is none."""
    found = find_names(rows, one.kind, one.text)
    return found, [] if found else nearest_names(rows, one.kind, one.text)


def _ambiguous(one: Given, found: list[NameRow]) -> AmbiguousName:
    ids = [row.id for row in found[:FOUND_MAX]]
    more = " and more" if len(found) > FOUND_MAX else ""
    message = f"{one.field}: the name {one.text!r} has several ids: {', '.join(ids)}{more}. Use one of them."
    return AmbiguousName(message, {"field": one.field, "ids": ids})


def _question(nearest: list[NameRow]) -> str:
    return f" Did you mean {' or '.join(map(str, nearest))}?" if nearest else ""


def with_nearest(error: Exception, call: ApiCall[Any, Any] | None) -> Exception:
    """Add the nearest names to the error about a name that no record has."""
    if call is not None and isinstance(error, NotFound | ConfigError):
        faults: Any = error.details if isinstance(error, ConfigError) else ()
        fields = call.path.keys() if isinstance(error, NotFound) else {fault.field for fault in faults or ()}
        nearest = {field: rows for field, rows in call.unknown.items() if field in fields}
        error.message += "".join(f".{_question(rows)}" for rows in nearest.values())
        if nearest and faults:
            remedies = {field: " or ".join(map(str, rows)) for field, rows in nearest.items()}
            error.details = [replace(one, remedy=remedies.get(one.field, one.remedy)) for one in faults]
    return error


def _given(operation: Operation[Any, Any], call: ApiCall[Any, Any]) -> Iterator[Given]:
    """Yield the texts of a call that may be names."""
    for name, text in call.path.items():
        if takes_name(operation, name) and not ID.fullmatch(text):
            yield Given(name, KINDS[name], text, functools.partial(call.path.__setitem__, name))
    yield from _in_value(call.query, "", filters=True)
    for name in BULK if hasattr(call.body, "filter") else ("",):
        part = getattr(call.body, name, None) if name else call.body
        if part is not None:
            yield from _in_value(part, name and f"{name}.")


def _in_value(value: msgspec.Struct, place: str, *, filters: bool = False) -> Iterator[Given]:
    for attribute, name, kind in _fields(type(value)):
        found = getattr(value, attribute)
        if kind is None:
            for index, part in enumerate(found if isinstance(found, tuple) else ()):
                yield from _in_value(part, f"{place}{name}[{index}].")
            if isinstance(found, msgspec.Struct):
                yield from _in_value(found, f"{place}{name}.")
        elif found is not None and not ID.fullmatch(found):
            put = functools.partial(msgspec.structs.force_setattr, value, attribute)
            yield Given(place + name, kind, found, put, filters)


@functools.cache
def _fields(type_: Any) -> tuple[tuple[str, str, NamedKind | None], ...]:
    """Return the fields of a type that may hold names, with their kind; without one, those with such fields in them."""
    found = ((field.name, field.encode_name) for field in msgspec.structs.fields(type_))
    kinds = ((name, sent, KINDS.get(sent, KINDS.get(name))) for name, sent in found)
    return tuple(one for one in kinds if one[2] is not None or one[1] in NESTED)
