"""The generator of the Python client's events: a class for each type, with a typed payload."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from athena_api.document import event_schemas
from athena_api.document.schemas import Json, reachable
from athena_core.domain import EVENTS
from athena_core.event import Event
from docs.python_client import document, model_names
from docs.python_source import (
    HEAD,
    Scope,
    aliases,
    docstring,
    imported,
    is_class,
    literal,
    member,
    pascal,
    quoted,
    record,
)
from docs.python_sync import CLIENT, formatted

EVENTS_HEAD = (
    HEAD.format(source="the registered events", about="The events of the feed, a class for each type")
    + """
from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from athena_client import models
from athena_client.models import Model

"""
)
DECODING = '''

class UnknownEvent(EventRecord, frozen=True, kw_only=True):
    """An event of a type that this client does not know, or with a payload of a shape that it does not know."""

    type: str
    payload: dict[str, Any]


Event: TypeAlias = {union}
"""Any event."""

CLASSES: dict[str, type[Event]] = {{
{classes}
}}
"""The class of each type."""


class _Type(msgspec.Struct, frozen=True):
    type: str


_type_of = msgspec.json.Decoder(_Type).decode
_decoders: dict[str, msgspec.json.Decoder[Event]] = {{}}
_unknown = msgspec.json.Decoder(UnknownEvent).decode


def decode_event(data: bytes) -> Event:
    """Return an event from its JSON: as the class of its type, or as UnknownEvent.

    Raise msgspec.MsgspecError if the JSON is not an event.
    """
    name = _type_of(data).type
    decoder = _decoders.get(name)
    if decoder is None and name in CLASSES:
        decoder = _decoders[name] = msgspec.json.Decoder(CLASSES[name])
    if decoder is not None:
        try:
            return decoder.decode(data)
        except msgspec.ValidationError:  # a newer server, or a damaged row
            pass
    return _unknown(data)
'''


def files() -> Iterator[tuple[Path, str]]:
    """Yield each file with its text."""
    yield CLIENT / "events.py", events()


def events() -> str:
    """Return the module of all events."""
    described = document()
    payloads, components = event_schemas.payloads()
    schemas = {**components, **described["components"]["schemas"]}
    scope = Scope(schemas, "models.", frozenset(model_names(described)))
    names = sorted(reachable(payloads.values(), schemas) - scope.elsewhere)
    parts = [base(described["components"]["schemas"]["EventRecord"], scope)]
    parts += [record(name, schemas[name], scope) for name in names if is_class(schemas[name])]
    parts += [classes(event, payloads[event.TYPE], scope) for event in EVENTS]
    kinds = {event.TYPE: pascal(event.TYPE) for event in EVENTS}
    union = " | ".join([*kinds.values(), "UnknownEvent"])
    table = DECODING.format(
        union=union, classes="\n".join(f"    {quoted(name)}: {kind}," for name, kind in kinds.items())
    )
    names_of_types = event_types(kinds)
    return formatted(imported(EVENTS_HEAD + aliases(scope) + names_of_types + "\n\n" + "\n\n".join(parts) + table))


def event_types(kinds: Mapping[str, str]) -> str:
    """Return the alias for the name of a type."""
    return (
        f"if TYPE_CHECKING:\n    EventType: TypeAlias = {literal(kinds)} | str\n    "
        '"""The type of an event: one that this client knows, or another one."""\n'
        "else:\n    EventType = str\n"
    )


def base(schema: Json, scope: Scope) -> str:
    """Return the class of all that events have in common."""
    shared = {name: part for name, part in schema["properties"].items() if name not in ("type", "payload")}
    required = [name for name in schema["required"] if name in shared]
    about = schema["description"]
    return record("EventRecord", {"description": about, "properties": shared, "required": required}, scope)


def classes(event: type[Event], payload: Json, scope: Scope) -> str:
    """Return the classes of an event and of its payload."""
    name = pascal(event.TYPE)
    about = payload.get("description", "")
    whole = f"class {name}(EventRecord, frozen=True, kw_only=True):\n{docstring(about, 4)}\n"
    whole += member(name, "type", {"const": event.TYPE}, scope, required=True)
    whole += f"    payload: {name}Payload\n"
    content = record(f"{name}Payload", {**payload, "description": f"The payload of `{event.TYPE}`."}, scope)
    return content + "\n\n" + whole
