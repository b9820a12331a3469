"""Placeholders: ``{{name}}`` in a text is replaced by a value, once, without logic or escaping."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from athena_core.errors import ConfigError
from athena_core.values import BODY_BYTES_MAX

FILLED_CHARS_MAX = BODY_BYTES_MAX
"""Maximum size of a text after its placeholders are filled, in characters."""

PLACEHOLDER = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")


MALFORMED = re.compile(r"\{\{[^{}\n]*\}\}")


def malformed_in(text: str) -> tuple[str, ...]:
    """Return the unique ``{{…}}`` of a text that are no placeholders, in order."""
    return tuple(dict.fromkeys(one for one in MALFORMED.findall(text) if PLACEHOLDER.fullmatch(one) is None))


def names_in(text: str) -> tuple[str, ...]:
    """Return the unique names of the placeholders in a text, in order."""
    return tuple(dict.fromkeys(match[1] for match in PLACEHOLDER.finditer(text)))


def fill(text: str, values: Mapping[str, Any], field: str) -> Any:
    """Replace the placeholders in a text by their values. Values are not searched for placeholders.

    If the whole text is one placeholder, return its value with its type. Inside a text a string is inserted as it
    is, and any other value as compact JSON. A name without a value stays unchanged. Raise ConfigError for ``field``
    if the result is too large.
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
            remedy = f"use at most {FILLED_CHARS_MAX} characters"
            raise ConfigError.of(field, "is too large after its placeholders are filled", remedy)
    return "".join((*parts, text[end:]))


def as_text(value: Any) -> str:
    """Return a value for use inside a text: a string as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
