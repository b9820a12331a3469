"""Schemas of the types in the table of operations, named and described so that generators make good types of them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import Any, TypeAlias

import msgspec

from athena_api.document.descriptions import TIMES
from athena_api.document.enums import NAMES
from athena_api.document.fields import FIELDS
from athena_core.values import INTEGER_MAX

Json: TypeAlias = dict[str, Any]

SCHEMAS = "#/components/schemas/"
NULL: Json = {"type": "null"}
NOT_BLANK = r"\S"
FIELD = re.compile(r"(?<=`)[a-z]+(_[a-z]+)+(?=`)")


class Schemas:
    """The components of the document, and the schema of each type that its operations use.

    A union, and a choice of several values, is a component of its own. Its name is in ``enums.py``, else it is made of
    its struct and its field.
    """

    def __init__(self, types: Sequence[Any], inputs: Iterable[Any]) -> None:
        """Collect the types. ``inputs`` are those that clients send. Raise ValueError for types that share a name."""
        inline, parts = msgspec.json.schema_components(types, ref_template=SCHEMAS + "{name}")
        self.components: dict[str, Json] = {}
        self._names = {name: _readable(name) for name in parts}
        for name, part in parts.items():
            place = self._names[name] if "properties" in part else ""
            schema = self._tidy({key: value for key, value in part.items() if key != "title"}, place)
            self._add(self._names[name], schema)
        self._by_type = {type_: self._tidy(_apart(schema)[1], "") for type_, schema in zip(types, inline, strict=True)}
        for name in reachable((self._by_type[type_] for type_ in inputs), self.components):
            self.components[name] = as_input(self.components[name])

    def of(self, type_: Any) -> Json:
        """Return the schema of a type."""
        schema: Json = self._by_type[type_]
        return schema

    def envelope(self, type_: Any) -> Json:
        """Return the named envelope of an answer with data of this type."""
        return self._envelope(type_, "Answer", {})

    def frame(self, type_: Any) -> Json:
        """Return the named envelope of a stream's frame with data of this type."""
        event = {"type": "string", "description": "The name of the frame, with `frames=message`."}
        return self._envelope(type_, "Frame", {"event": event})

    def _envelope(self, type_: Any, kind: str, more: Json) -> Json:
        data = self.of(type_)
        fields = {"ok": {"const": True}, **more, "data": data}
        name = _name_of(data) + kind
        self._add(name, {"type": "object", "required": ["ok", "data"], "properties": fields})
        return {"$ref": SCHEMAS + name}

    def present(self, type_: Any) -> Json:
        """Return the schema of a type without null."""
        return _without_null(self._by_type[type_])

    def union(self, name: str, types: Sequence[Any]) -> Json:
        """Return the named schema of a value that has one of these types."""
        self._add(name, {"oneOf": [self.of(type_) for type_ in types]})
        return {"$ref": SCHEMAS + name}

    def _add(self, name: str, schema: Json) -> None:
        if self.components.setdefault(name, schema) != schema:
            raise ValueError(f"two schemas of the document are named {name}; rename one")

    def _tidy(self, schema: Any, place: str) -> Any:
        """Return the schema with readable names and Markdown, and without null for fields that may be absent."""
        if isinstance(schema, (list, tuple)):
            return [self._tidy(item, place) for item in schema]
        if not isinstance(schema, dict):
            return schema
        tidy: Json = {}
        for key, value in schema.items():
            if key == "$ref":
                tidy[key] = SCHEMAS + self._names[value.removeprefix(SCHEMAS)]
            elif key == "description":
                # Python strips the indentation itself from 3.13 on.
                tidy[key] = FIELD.sub(_camel, cleandoc(value.replace("``", "`")))
            elif key == "properties":
                required = schema.get("required", ())
                tidy[key] = {
                    name: self._property(part if name in required else _without_null(part), place, name)
                    for name, part in value.items()
                }
            elif key == "discriminator":
                targets = {
                    tag: SCHEMAS + self._names[ref.removeprefix(SCHEMAS)] for tag, ref in value["mapping"].items()
                }
                tidy[key] = {**value, "mapping": targets}
            elif not (key in ("title", "default") and value is None):
                tidy[key] = self._tidy(value, place)
        if not tidy.get("required", True):
            del tidy["required"]
        return self._named(_two_types(tidy), place)

    def _property(self, schema: Json, struct: str, name: str) -> Json:
        """Return the schema of a field, with its description and its format."""
        own, schema = _apart(schema)
        tidy: Json = self._tidy(schema, struct + name[0].upper() + name[1:])
        text = own or FIELDS.get(f"{struct}.{name}", FIELDS.get(name))
        if text is not None and "description" not in tidy:
            tidy = {**tidy, "description": text}
        return dated(tidy) if is_time(struct, name) else tidy

    def _named(self, schema: Json, place: str) -> Json:
        """Return a reference to a schema that has a name of its own, else the schema."""
        union = "discriminator" in schema
        choice = len(schema.get("enum", ())) > 1
        name = schema.pop("title", None) or NAMES.get(frozenset(schema.get("enum", ())))
        if name is None and not (place and (union or choice)):
            return schema
        if union:
            schema["oneOf"] = schema.pop("anyOf")
        if choice:
            schema = {"type": "string", **schema}
        self._add(name or place, schema)
        return {"$ref": SCHEMAS + (name or place)}


def said(type_: Any) -> str | None:
    """Return the description that a field of a struct says itself."""
    notes = (note for note in getattr(type_, "__metadata__", ()) if isinstance(note, msgspec.Meta))
    return next((note.description for note in notes if note.description), None)


def _apart(schema: Json) -> tuple[str | None, Json]:
    """Return the description that a field says itself, and its schema without it: a set of values is a component."""
    return schema.get("description"), {key: value for key, value in schema.items() if key != "description"}


def is_time(struct: str, name: str) -> bool:
    """Return True if a text field of this name is a time."""
    return name.endswith("At") or name in TIMES or f"{struct}.{name}" in TIMES


def dated(schema: Json) -> Json:
    """Return the schema of a time: a text as in RFC 3339."""
    kinds = schema.get("type")
    if "string" not in (kinds if isinstance(kinds, list) else [kinds]) or "pattern" in schema:
        return schema
    return {**schema, "format": "date-time"}


def as_input(schema: Json) -> Json:
    """Return the schema of what ``shapes.py`` accepts: no blank required strings, exact integers."""
    result = dict(schema)
    if schema.get("type") == "string" and not schema.keys() & {"pattern", "enum", "format"}:
        result |= {"minLength": 1, "pattern": NOT_BLANK}
    if schema.get("type") == "integer":
        result = {"type": "integer", "minimum": -INTEGER_MAX, "maximum": INTEGER_MAX} | result
    if "properties" in schema:
        result["properties"] = {name: as_input(part) for name, part in schema["properties"].items()}
    if "propertyNames" in schema:
        result["propertyNames"] = {"pattern": NOT_BLANK} | schema["propertyNames"]
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = as_input(schema[key])
    return result


# Parts


def _readable(name: str) -> str:
    """Return the name of a component: ``Page_Run_``, as msgspec names ``Page[Run]``, becomes RunPage."""
    if "." in name:
        raise ValueError(f"two types of the table are named {name.rpartition('.')[2]}; rename one")
    return re.sub(r"^(\w+?)_(\w+)_$", r"\2\1", name)


def _name_of(data: Json) -> str:
    """Return the word for a schema in the name of its envelope."""
    if "$ref" in data:
        return str(data["$ref"]).removeprefix(SCHEMAS)
    if data.get("type") == "array":
        return _name_of(data["items"]) + "List"
    (present,) = [part for part in data["anyOf"] if part != NULL]
    return "Optional" + _name_of(present)


def _without_null(schema: Json) -> Json:
    """Return the schema of an optional field without null. A field without a value is absent."""
    parts = [part for part in schema.get("anyOf", ()) if part != NULL]
    if isinstance(schema.get("type"), list):
        return {**schema, "type": schema["type"][0]}
    if not parts:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**rest, **parts[0]} if len(parts) == 1 else {**rest, "anyOf": parts}


def _two_types(schema: Json) -> Json:
    """Return a scalar or null as a schema with two types."""
    parts = [part for part in schema.get("anyOf", ()) if part != NULL]
    if len(parts) != 1 or len(schema["anyOf"]) != 2 or not isinstance(parts[0].get("type"), str):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**rest, **parts[0], "type": [parts[0]["type"], "null"]}


def _camel(name: re.Match[str]) -> str:
    """Return the JSON name of a field that a docstring names as in Python."""
    first, *words = name[0].split("_")
    return first + "".join(map(str.capitalize, words))


def reachable(roots: Iterable[Json], components: Mapping[str, Json]) -> set[str]:
    """Return the names of the components that some schemas refer to, also indirectly."""
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


def properties(components: Mapping[str, Json]) -> Iterator[tuple[str, str, Json]]:
    """Yield each field of the components: the name of its component, its own name and its schema."""
    for name, schema in components.items():
        for field, part in schema.get("properties", {}).items():
            yield name, field, part
