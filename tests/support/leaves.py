"""The texts of a JSON body, by their paths."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any


def leaves(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of texts in JSON."""
    match value:
        case str():
            yield path
        case dict() | list():
            for name, part in value.items() if isinstance(value, dict) else enumerate(value):
                yield from leaves(part, *path, name)


def put(value: Any, path: tuple[str | int, ...], text: str) -> Any:
    """Return a copy of JSON with another text in one place."""
    changed = deepcopy(value)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = text
    return changed
