"""Text from models, tools and servers, made safe to store and to print."""

import re

UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
ACTIVE = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f"
"""Characters beyond the C0 controls that a terminal may interpret: DEL, C1, line separators, bidi controls.

JSON may contain them unescaped.
"""
CONTROL = re.compile(rf"[\x00-\x1f{ACTIVE}]+")
UNPRINTABLE = re.compile(rf"[\x00-\x09\x0b-\x1f{ACTIVE}]")
ACTIVE_BYTES = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xaf]"  # ACTIVE in UTF-8
)


HIDDEN = re.compile(
    rf"[\x00-\x08\x0b\x0c\x0e-\x1f{ACTIVE}\u00ad\u180e\u200b-\u200d\u2060-\u2065\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff\ud800-\udfff]"
)
"""Characters that models read and people do not see, and those that terminals interpret, but no tab or line break."""


ERASED = "(erased)"
"""Placeholder shown for an erased text."""


def or_erased(text: str | None) -> str:
    """Return the text of an event that always has one, or ``ERASED``."""
    return ERASED if text is None else text


def clean(text: str) -> str:
    """Replace characters that cannot be stored (NUL, lone surrogates) with U+FFFD."""
    if "\0" not in text and (text.isascii() or len(text.encode(errors="ignore").decode()) == len(text)):
        return text  # the usual case, a tenth of the pattern
    return UNSTORABLE.sub("\ufffd", text)


def visible(text: str) -> str:
    """Remove characters that people cannot see. Line breaks and tabs stay."""
    return text if text.isascii() and text.isprintable() else HIDDEN.sub("", text)


def one_line(text: str) -> str:
    """Replace line breaks and other control characters with a space."""
    return text.strip() if text.isprintable() else CONTROL.sub(" ", clean(text)).strip()


def preview(text: str, chars_max: int) -> str:
    """Return the beginning of a text on one line, without control characters and repeated blanks."""
    return " ".join(one_line(text[: 4 * chars_max]).split())[:chars_max]


def printable(text: str) -> str:
    """Replace characters that a terminal may interpret, except line feeds, with U+FFFD."""
    return UNPRINTABLE.sub("\ufffd", text)


def escape_json(data: bytes) -> bytes:
    r"""Escape characters of encoded JSON that a terminal may interpret as ``\uXXXX``. The value stays the same."""
    if data.isascii() and b"\x7f" not in data:  # the usual case
        return data
    return ACTIVE_BYTES.sub(_escaped, data)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def took_longer(timeout: str) -> str:
    """Return the end of the sentence "the run …" for a run that timed out."""
    return f"took longer than {timeout}"
