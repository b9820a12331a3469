"""The names under which models and outside agents know the tools of MCP servers."""

import hashlib
import re
from typing import Final

SEPARATOR: Final = "__"
NAME_CHARS_MAX: Final = 64
"""Longest name of a tool that every provider takes."""
DIGITS: Final = 8
PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
OTHER: Final = re.compile(r"[^A-Za-z0-9_-]")


def public_name(server: str, tool: str) -> str:
    """Return ``SERVER__TOOL``, or a name with digits of a hash in place of what providers do not take.

    Different tools get different names, also where only such characters, or the end, differ.
    """
    name = f"{server}{SEPARATOR}{tool}"
    if PLAIN.fullmatch(name):
        return name
    digits = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:DIGITS]
    return f"{OTHER.sub('_', name)[: NAME_CHARS_MAX - DIGITS - 1]}_{digits}"
