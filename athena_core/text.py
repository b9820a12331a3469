"""Text from outside (models, tools, servers), made storable."""

import re

UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
ACTIVE = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f"
"""Characters beyond the C0 controls that a terminal may obey: DEL, C1 controls, line separators, bidi controls.

JSON may hold them raw.
"""
CONTROL = re.compile(rf"[\x00-\x1f{ACTIVE}]+")
UNPRINTABLE = re.compile(rf"[\x00-\x09\x0b-\x1f{ACTIVE}]")
ACTIVE_BYTES = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xaf]"  # ACTIVE in UTF-8
)


ERASED = "(erased)"
"""What is shown in place of words that were erased."""


def or_erased(text: str | None) -> str:
    """Return the words of an event that always has some, or ``ERASED``."""
    return ERASED if text is None else text


def clean(text: str) -> str:
    """Replace what cannot be stored (NUL, lone surrogates) with U+FFFD."""
    if text.isascii() and "\0" not in text:  # most is
        return text
    return UNSTORABLE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Clean text without line breaks and other control characters."""
    return text.strip() if text.isprintable() else CONTROL.sub(" ", clean(text)).strip()


def printable(text: str) -> str:
    """Replace all that a terminal may obey, except line feeds, with U+FFFD."""
    return UNPRINTABLE.sub("\ufffd", text)


def escape_json(data: bytes) -> bytes:
    r"""Write the characters of encoded JSON that a terminal may obey as ``\uXXXX``; its value stays the same."""
    if data.isascii() and b"\x7f" not in data:  # most is
        return data
    return ACTIVE_BYTES.sub(_escaped, data)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())
