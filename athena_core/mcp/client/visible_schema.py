"""Schemas of servers without characters that models read and people do not see."""

from typing import Any

from athena_core.text import visible

WORDS = frozenset({"title", "description"})
"""The members of a schema that are words."""
NAMES = frozenset({"enumNames"})
"""The members of a schema that are lists of words."""
DEPTH_MAX = 128


def visible_schema(schema: Any, depth: int = 0) -> Any:
    """Return a schema whose words are visible. Raise ValueError if a name is not, or if it is nested too deeply."""
    if depth > DEPTH_MAX:
        raise ValueError("too many levels")
    match schema:
        case dict():
            return {_name(name): _member(name, value, depth) for name, value in schema.items()}
        case list():
            return [visible_schema(value, depth + 1) for value in schema]
        case _:
            return schema


def _member(name: str, value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return visible(value) if name in WORDS else value
    if name in NAMES and isinstance(value, list):
        return [visible(one) if isinstance(one, str) else one for one in value]
    return visible_schema(value, depth + 1)


def _name(name: str) -> str:
    if visible(name) != name:
        raise ValueError("a name with hidden characters")
    return name
