"""Bounded JSON Schema: checks of schemas and validation of values; the only module that imports jsonschema-rs."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import msgspec

from athena_core.text import one_line
from athena_core.values import JSON_DEPTH_MAX

SCHEMA_BYTES_MAX = 65_536
SCHEMA_NODES_MAX = 20_000
"""Maximum number of parts of a schema, counting each reference as its target."""
SCHEMA_DEPTH_MAX = 128
WORK_MAX = 50_000_000
"""Maximum product of the schema's parts and the value's parts (its bytes, with patterns): about one second."""
PATTERN_BYTES_MAX = 1_000_000
"""Maximum memory of a compiled pattern. Patterns are matched in linear time."""
PROBLEMS_MAX = 8
PROBLEM_CHARS_MAX = 300
NOT_TAKEN = frozenset({"$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef"})
"""Keywords that would give references another meaning than their JSON pointer. The root may have an $id."""


class SchemaRefused(Exception):
    """The schema is malformed or over a limit. The message names the problem and the remedy."""


class Schema:
    """A compiled schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compile the schema (cached). Raise SchemaRefused."""
        if _size(schema)[1] > SCHEMA_DEPTH_MAX:
            raise SchemaRefused(f"nested deeper than {SCHEMA_DEPTH_MAX} levels")
        try:
            text = msgspec.json.encode(schema)
        except (TypeError, ValueError) as error:
            raise SchemaRefused(f"not JSON ({one_line(str(error))})") from error
        self._validator, self._parts = _compiled(text)
        self._has_patterns = b'"pattern' in text

    def problems(self, value: object) -> tuple[str, ...]:
        """Return why a JSON value is invalid: short lines with a JSON pointer; none if it is valid.

        They name members of the value but never quote its contents.
        """
        size, depth = _size(value)
        if depth > JSON_DEPTH_MAX:
            return (f"/: nested deeper than {JSON_DEPTH_MAX} levels",)
        if self._has_patterns:
            try:
                size = len(msgspec.json.encode(value))
            except (TypeError, ValueError):
                return ("/: not JSON",)
        if self._parts * size > WORK_MAX:
            return (f"/: too large ({size}) for a schema of {self._parts} parts; at most {WORK_MAX} as their product",)
        found = islice(self._validator.iter_errors(value), PROBLEMS_MAX)
        return tuple(
            one_line(f"{_pointer(error.instance_path)}: {error.message}")[:PROBLEM_CHARS_MAX] for error in found
        )


def check(schema: Mapping[str, Any]) -> str | None:
    """Return the problem of a schema and its remedy; None if the schema is usable."""
    try:
        Schema(schema)
    except SchemaRefused as refusal:
        return str(refusal)
    return None


def problems(schema: Mapping[str, Any], value: object) -> tuple[str, ...]:
    """Return why a JSON value is invalid (see ``Schema.problems``). Raise SchemaRefused."""
    return Schema(schema).problems(value)


@lru_cache(maxsize=128)
def _compiled(text: bytes) -> tuple[jsonschema_rs.Validator, int]:
    if len(text) > SCHEMA_BYTES_MAX:
        raise SchemaRefused(f"larger than allowed ({len(text)} bytes; at most {SCHEMA_BYTES_MAX})")
    parts = _parts(msgspec.json.decode(text))
    try:
        validator = jsonschema_rs.validator_for(
            text.decode(),
            mask="it",
            offline=True,
            validate_formats=False,  # in the standard a format is only an annotation
            pattern_options=jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES_MAX, dfa_size_limit=PATTERN_BYTES_MAX),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        place = _pointer(getattr(error, "instance_path", []))
        problem = one_line(str(getattr(error, "message", error)))[:PROBLEM_CHARS_MAX]
        raise SchemaRefused(
            f"{place}: {problem} (no look-arounds or back-references; $schema must name a published draft)"
        ) from None
    return validator, parts


def _parts(schema: Any) -> int:
    """Return the number of parts with references followed. Raise SchemaRefused if it is too large or recursive."""
    known: dict[int, tuple[int, int]] = {}  # parts and depth by the id of an object or array
    open_: set[int] = set()

    def measure(node: Any, above: int) -> tuple[int, int]:
        if not isinstance(node, dict | list):
            return 1, 1
        if id(node) in known:
            return known[id(node)]
        if id(node) in open_:
            raise SchemaRefused("recursive references are not supported; write out the levels that you need")
        if above > SCHEMA_DEPTH_MAX:
            raise SchemaRefused(f"nested deeper than {SCHEMA_DEPTH_MAX} levels, with references followed")
        open_.add(id(node))
        parts, depth = 1, 0
        for child in _children(schema, node):
            more, deep = measure(child, above + 1)
            parts, depth = parts + more, max(depth, deep)
        open_.remove(id(node))
        if parts > SCHEMA_NODES_MAX or above + depth > SCHEMA_DEPTH_MAX:
            raise SchemaRefused(
                f"more than {SCHEMA_NODES_MAX} parts or {SCHEMA_DEPTH_MAX} levels, with references followed"
            )
        known[id(node)] = parts, depth + 1
        return known[id(node)]

    return measure(schema, 0)[0]


def _children(schema: Any, node: dict[str, Any] | list[Any]) -> Iterator[Any]:
    if isinstance(node, list):
        yield from node
        return
    for key, child in node.items():
        if isinstance(child, str):
            if key == "$ref":
                yield _target(schema, child)
            elif key in NOT_TAKEN and not (key == "$id" and node is schema):
                raise SchemaRefused(f"{key} is not supported; use $ref to #/$defs/<name>")
            elif key == "$schema" and "draft-04" in child:
                raise SchemaRefused("draft 4 is not supported; set $schema to draft 6 or later, or remove it")
        yield child


def _target(schema: Any, reference: str) -> Any:
    """Return the part of the schema that a reference points to."""
    if not reference.startswith("#") or not (reference == "#" or reference.startswith("#/")):
        raise SchemaRefused(f"$ref {reference[:100]!r} points outside the schema; copy its target to #/$defs/<name>")
    node = schema
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        try:
            node = node[int(name)] if isinstance(node, list) else node[name]
        except (KeyError, IndexError, ValueError, TypeError):
            raise SchemaRefused(f"$ref {reference[:100]!r} points to nothing in the schema") from None
    return node


def _size(value: object) -> tuple[int, int]:
    """Return the number of parts of a value and their depth, counted up to ``SCHEMA_DEPTH_MAX`` levels."""
    level, parts, depth = [value], 0, 0
    while level and depth <= SCHEMA_DEPTH_MAX:
        parts += len(level)
        inner = [node for node in level if isinstance(node, dict | list)]
        level = [child for node in inner for child in (node.values() if isinstance(node, dict) else node)]
        depth += bool(inner)
    return parts, depth


def _pointer(path: list[str | int]) -> str:
    return "/" + "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in path)
