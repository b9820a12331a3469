"""The placeholder: ``{{name}}`` in a text, and what takes its place; no logic, no escaping, filled once."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from athena_core.errors import ConfigError
from athena_core.values import BODY_BYTES_MAX

FILLED_CHARS_MAX = BODY_BYTES_MAX
"""The size of a text once its placeholders are filled, in characters."""

PLACEHOLDER = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")


def names_in(text: str) -> tuple[str, ...]:
    """The names of the placeholders in a text, once each, in order."""
    return tuple(dict.fromkeys(match[1] for match in PLACEHOLDER.finditer(text)))


def fill(text: str, values: Mapping[str, Any], field: str) -> Any:
    """A text with values in place of its placeholders; what is filled in is not looked at again.

    A placeholder that is the whole text becomes its value, of whatever type; inside a text a string stands as it is,
    and everything else as compact JSON. A name without a value stays as it was written. Raises ConfigError naming
    ``field`` where the result would be too large.
    """
    whole = PLACEHOLDER.fullmatch(text)
    if whole is not None and whole[1] in values:
        return values[whole[1]]
    parts: list[str] = []
    written: dict[str, str] = {}
    size, end = 0, 0
    for match in PLACEHOLDER.finditer(text):
        name = match[1]
        if name not in values:
            continue
        if name not in written:
            written[name] = as_text(values[name])
        for part in (text[end : match.start()], written[name]):
            parts.append(part)
            size += len(part)
        end = match.end()
        if size > FILLED_CHARS_MAX:
            remedy = f"at most {FILLED_CHARS_MAX} characters"
            raise ConfigError.of(field, "is too large once its placeholders are filled", remedy)
    return "".join((*parts, text[end:]))


def as_text(value: Any) -> str:
    """A value inside a text: a string as it is, everything else as compact JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
