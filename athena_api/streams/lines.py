"""Bulk answers: records as lines of JSON, without pages."""

from collections.abc import AsyncGenerator
from typing import NamedTuple

from athena_api.edge.fields import accepted

LINES_TYPE = "application/x-ndjson"
JSON_TYPE = "application/json"


class Lines(NamedTuple):
    """An answer of many lines. Each page is a number of whole lines, ready to be sent."""

    pages: AsyncGenerator[bytes, None]


def prefers_lines(accept: str | None) -> bool:
    """Return True if a field ``Accept`` names lines of JSON, and not JSON before them."""
    wanted = (name for name, welcome in accepted(accept).items() if welcome and name in (LINES_TYPE, JSON_TYPE))
    return next(wanted, None) == LINES_TYPE
