"""JSON Schema, bounded: what a schema may be, and whether a value fits one; the door of jsonschema-rs."""

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
"""Parts of a schema, with every reference replaced by what it refers to."""
SCHEMA_DEPTH_MAX = 128
WORK_MAX = 50_000_000
"""Parts of the schema times parts of the value (its bytes, with patterns): about a second in the worst case."""
PATTERN_BYTES_MAX = 1_000_000
"""What a compiled pattern may take in memory; patterns are matched in linear time."""
PROBLEMS_MAX = 8
PROBLEM_CHARS_MAX = 300
NOT_TAKEN = frozenset({"$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef"})
"""What would let a reference mean something else than its JSON pointer says; a schema as a whole may have an $id."""


class SchemaRefused(Exception):
    """The schema is malformed or over a limit; the text says what is wrong and how to mend it."""


class Schema:
    """A compiled schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Compile it (cached). Raises SchemaRefused."""
        if _size(schema)[1] > SCHEMA_DEPTH_MAX:
            raise SchemaRefused(f"it is nested deeper than {SCHEMA_DEPTH_MAX}")
        try:
            text = msgspec.json.encode(schema)
        except (TypeError, ValueError) as error:
            raise SchemaRefused(f"it is no JSON ({one_line(str(error))})") from error
        self._validator, self._parts = _compiled(text)
        self._has_patterns = b'"pattern' in text

    def problems(self, value: object) -> tuple[str, ...]:
        """What keeps a JSON value from fitting: short lines with a JSON pointer, none if it fits.

        They name members of the value, but never quote its contents.
        """
        size, depth = _size(value)
        if depth > JSON_DEPTH_MAX:
            return (f"/: it is nested deeper than {JSON_DEPTH_MAX}",)
        if self._has_patterns:
            try:
                size = len(msgspec.json.encode(value))
            except (TypeError, ValueError):
                return ("/: it is no JSON",)
        if self._parts * size > WORK_MAX:
            return (f"/: it is too large ({size}) for a schema of {self._parts} parts; at most {WORK_MAX} in product",)
        found = islice(self._validator.iter_errors(value), PROBLEMS_MAX)
        return tuple(
            one_line(f"{_pointer(error.instance_path)}: {error.message}")[:PROBLEM_CHARS_MAX] for error in found
        )


def check(schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a schema and how to mend it; None if it may be used."""
    try:
        Schema(schema)
    except SchemaRefused as refusal:
        return str(refusal)
    return None


def problems(schema: Mapping[str, Any], value: object) -> tuple[str, ...]:
    """What keeps a JSON value from fitting a schema (see ``Schema.problems``). Raises SchemaRefused."""
    return Schema(schema).problems(value)


@lru_cache(maxsize=128)
def _compiled(text: bytes) -> tuple[jsonschema_rs.Validator, int]:
    if len(text) > SCHEMA_BYTES_MAX:
        raise SchemaRefused(f"it has {len(text)} bytes; at most {SCHEMA_BYTES_MAX} are taken")
    parts = _parts(msgspec.json.decode(text))
    try:
        validator = jsonschema_rs.validator_for(
            text.decode(),
            mask="it",
            offline=True,
            validate_formats=False,  # as the standard has it: a format is a remark
            pattern_options=jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES_MAX, dfa_size_limit=PATTERN_BYTES_MAX),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        place = _pointer(getattr(error, "instance_path", []))
        problem = one_line(str(getattr(error, "message", error)))[:PROBLEM_CHARS_MAX]
        raise SchemaRefused(
            f"{place}: {problem} (patterns may not look around or refer back; $schema names a published draft)"
        ) from None
    return validator, parts


def _parts(schema: Any) -> int:
    """The size of a schema with its references followed. Raises SchemaRefused: for what is endless, far away, huge."""
    known: dict[int, tuple[int, int]] = {}  # of each object and array: its parts, its depth
    open_: set[int] = set()

    def measure(node: Any, above: int) -> tuple[int, int]:
        if not isinstance(node, dict | list):
            return 1, 1
        if id(node) in known:
            return known[id(node)]
        if id(node) in open_:
            raise SchemaRefused("it refers to itself; write the levels that are needed out one by one")
        if above > SCHEMA_DEPTH_MAX:
            raise SchemaRefused(f"it is nested deeper than {SCHEMA_DEPTH_MAX}, references followed")
        open_.add(id(node))
        parts, depth = 1, 0
        for child in _children(schema, node):
            more, deep = measure(child, above + 1)
            parts, depth = parts + more, max(depth, deep)
        open_.remove(id(node))
        if parts > SCHEMA_NODES_MAX or above + depth > SCHEMA_DEPTH_MAX:
            raise SchemaRefused(
                f"it has over {SCHEMA_NODES_MAX} parts or {SCHEMA_DEPTH_MAX} levels, references followed"
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
                raise SchemaRefused(f"{key} is not taken; refer with $ref to #/$defs/<name>")
            elif key == "$schema" and "draft-04" in child:
                raise SchemaRefused("draft 4 is not taken; say $schema of draft 6 or later, or nothing")
        yield child


def _target(schema: Any, reference: str) -> Any:
    """What a reference leads to, inside the schema."""
    if not reference.startswith("#") or not (reference == "#" or reference.startswith("#/")):
        raise SchemaRefused(f"$ref {reference[:100]!r} leads out of the schema; copy what it names to #/$defs/<name>")
    node = schema
    for step in unquote(reference[1:]).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        try:
            node = node[int(name)] if isinstance(node, list) else node[name]
        except (KeyError, IndexError, ValueError, TypeError):
            raise SchemaRefused(f"$ref {reference[:100]!r} leads nowhere") from None
    return node


def _size(value: object) -> tuple[int, int]:
    """How many parts a value has, and how deep they are nested (not counted beyond what is allowed)."""
    level, parts, depth = [value], 0, 0
    while level and depth <= SCHEMA_DEPTH_MAX:
        parts += len(level)
        inner = [node for node in level if isinstance(node, dict | list)]
        level = [child for node in inner for child in (node.values() if isinstance(node, dict) else node)]
        depth += bool(inner)
    return parts, depth


def _pointer(path: list[str | int]) -> str:
    return "/" + "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in path)
