"""Arguments that HTTP requests of 2026-07-28 repeat as header fields, so that proxies can read them."""

import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

Path: TypeAlias = tuple[str, ...]

MARK: Final = "x-mcp-header"
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
KINDS: Final = frozenset({"string", "integer", "boolean"})
ONE: Final = frozenset(
    (
        "items", "contains", "unevaluatedItems", "additionalProperties", "propertyNames", "unevaluatedProperties",
        "not", "if", "then", "else", "contentSchema",
    )
)  # fmt: skip
"""Keywords whose value is a schema."""
LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
MAPS: Final = frozenset({"patternProperties", "dependentSchemas", "$defs", "definitions"})


def param_headers(schema: Any) -> tuple[tuple[Path, str], ...] | None:
    """Return the path and the header field ``Mcp-Param-NAME`` of each marked property; None if a mark is not valid.

    A mark belongs to a text, an integer or a boolean that only ``properties`` lead to.
    """
    found: list[tuple[Path, str]] = []
    for path, node in _schemas(schema):
        if MARK not in node:
            continue
        name, kind = node[MARK], node.get("type")
        valid = isinstance(name, str) and TOKEN.fullmatch(name) and isinstance(kind, str) and kind in KINDS
        if not path or not valid:
            return None
        found.append((path, f"mcp-param-{name.lower()}"))
    names = {name for _, name in found}
    return tuple(found) if len(names) == len(found) else None


def _schemas(root: Any) -> Iterator[tuple[Path | None, dict[str, Any]]]:
    """Yield each schema inside of a schema, with the path of properties to it; None if other keywords lead to it."""
    pending: list[tuple[Path | None, Any]] = [((), root)]
    while pending:
        path, node = pending.pop()
        if not isinstance(node, dict):
            continue
        yield path, node
        for keyword, value in node.items():
            if keyword == "properties" and isinstance(value, dict):
                pending += [(None if path is None else (*path, name), inner) for name, inner in value.items()]
            elif keyword in ONE:
                pending.append((None, value))
            elif keyword in LISTS and isinstance(value, list):
                pending += [(None, inner) for inner in value]
            elif keyword in MAPS and isinstance(value, dict):
                pending += [(None, inner) for inner in value.values()]
