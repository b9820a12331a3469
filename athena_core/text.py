"""Text from outside (models, tools, servers), made storable."""

import re

UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def clean(text: str) -> str:
    """Replace what cannot be stored (NUL, lone surrogates) with U+FFFD."""
    if text.isascii() and "\0" not in text:  # most is
        return text
    return UNSTORABLE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Clean text without line breaks and other control characters."""
    return text.strip() if text.isprintable() else CONTROL.sub(" ", clean(text)).strip()
