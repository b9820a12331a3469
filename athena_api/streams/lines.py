"""Bulk answers: records as lines of JSON, without pages."""

from collections.abc import AsyncGenerator
from typing import NamedTuple

LINES_TYPE = "application/x-ndjson"
JSON_TYPE = "application/json"


class Lines(NamedTuple):
    """An answer of many lines. Each page is a number of whole lines, ready to be sent."""

    pages: AsyncGenerator[bytes, None]


def prefers_lines(accept: bytes | None) -> bool:
    """Return True if a field ``Accept`` names lines of JSON, and not JSON before them."""
    for part in (accept or b"").decode("latin-1").lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        if name in (LINES_TYPE, JSON_TYPE) and not any(word.strip("0.") == "q=" for word in parameters):
            return name == LINES_TYPE
    return False
