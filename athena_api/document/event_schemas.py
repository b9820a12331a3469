"""The JSON Schema of events as the feed shows them: one shape for each type, from the registered events."""

import re
from collections.abc import Mapping
from typing import Any

from athena_api.document.schemas import SCHEMAS, Json, Schemas, reachable
from athena_api.operations.events import EventRecord
from athena_core.domain import EVENTS
from athena_core.event import Event, parts_of
from athena_core.log.codec import MOVED_WORDS

REFERRING = {"ViolationSource": "position", "PayloadRedacted": "target"}
"""Records with the position of another event, and the field that holds it. The feed shows the id of that event."""
EVENT_ID: Json = {"type": "string", "description": "The id of the event that this one is about."}
ABOUT = """An event of `GET /api/v1/events` and `GET /api/v1/events/stream`. `type` decides the shape of `payload`.

The set is open. An event of a newer server may have a type that is not listed here; it has the shape of `EventRecord`,
as do events that are `undecodable`. A payload may have members that are not listed here.

A type has one shape for all schema versions of its stored events. Members that not all versions have are optional."""


def payloads() -> tuple[dict[str, Json], dict[str, Json]]:
    """Return the schema of each type's public payload, and the components that they refer to.

    A field is required if every version of the event has it.
    """
    components = Schemas([EventRecord, *EVENTS], ()).components
    for name, member in REFERRING.items():
        kind = components[name]
        kind["properties"] = {"eventId": EVENT_ID, **kind["properties"]}
        del kind["properties"][member]
        kind["required"] = ["eventId", *(one for one in kind["required"] if one != member)]
    return {event.TYPE: _payload(event, components.pop(event.__name__)) for event in EVENTS}, components


def event_document() -> Json:
    """Return a JSON Schema of one event."""
    found, components = payloads()
    names = {type_: "".join(map(str.capitalize, re.split(r"[._-]", type_))) for type_ in found}
    record, definitions = components["EventRecord"], dict(components)
    for type_, name in names.items():
        payload = {key: value for key, value in found[type_].items() if key != "description"}
        definitions[f"{name}Payload"] = {"description": f"The payload of `{type_}`.", "type": "object", **payload}
        definitions[name] = {
            **record,
            "description": found[type_]["description"],
            "properties": record["properties"]
            | {"type": {"type": "string", "const": type_}, "payload": {"$ref": f"{SCHEMAS}{name}Payload"}},
        }
    variants = {type_: {"$ref": SCHEMAS + name} for type_, name in names.items()}
    needed = {"EventRecord"} | reachable(variants.values(), definitions)
    document: Json = _local(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Event",
            "description": ABOUT,
            "oneOf": list(variants.values()),
            "discriminator": {
                "propertyName": "type",
                "mapping": {type_: f"#/$defs/{name}" for type_, name in names.items()},
            },
            "$defs": {name: schema for name, schema in sorted(definitions.items()) if name in needed},
        }
    )
    return document


def _payload(event: type[Event], schema: Json) -> Json:
    """Return an event's schema without the fields that are not in the public payload."""
    parts = parts_of(event)
    public = {"eventId"} | {
        encoded
        for name, encoded in zip(event.__struct_fields__, event.__struct_encode_fields__, strict=True)
        if parts[name] == "data"
    }
    properties = {name: part for name, part in schema["properties"].items() if name in public}
    for old in MOVED_WORDS.get((event.TYPE, 1), ()):
        properties.setdefault(old, {"type": "string", "description": "Only in events of schema version 1."})
    required = [name for name in schema.get("required", ()) if name in public]
    return {
        "description": schema.get("description", ""),
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _local(part: Any) -> Any:
    """Return a part with its references as in a JSON Schema."""
    if isinstance(part, list):
        return [_local(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    return {
        key: "#/$defs/" + value.removeprefix(SCHEMAS) if key == "$ref" else _local(value) for key, value in part.items()
    }
