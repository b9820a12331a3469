"""Options of lists: columns, ids only, a start time, and repetition."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from athena_cli.exit_codes import Misused

SPAN = re.compile(r"([0-9]{1,9})\s*(s|m|min|h|d|w)")
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
SPANS = "a span such as 30m, 1h or 2d, or a time such as 2026-01-31T12:00:00Z"


LATEST = "latest"
"""The newest run, wherever a run is named."""
NEWEST_FIRST = frozenset({"listRuns"})
"""Lists in order of time, newest first, that the server cannot limit to recent records; a command cuts their pages."""


@Parameter(name="*", group="Output")
@dataclass(frozen=True)
class ListOptions:
    """Options of commands that print a list."""

    columns: Annotated[str | None, Parameter(metavar="NAMES")] = None
    """Columns of the table, separated by commas: its columns, or members of the records such as `error.code`."""

    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", show_default=False)] = False
    """Print only the ids, one a line."""

    watch: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Print the list again every two seconds, until Ctrl-C. Needs a terminal."""


def since_time(text: str, flag: str = "--since") -> str:
    """Return the time of a flag, as ISO 8601: a span before now, or a time as it is. Raise Misused."""
    from athena_cli.output.values import now

    span = SPAN.fullmatch(text.strip())
    try:
        if span is None:
            then = datetime.fromisoformat(text.strip())
            then = then if then.tzinfo else then.replace(tzinfo=UTC)
        else:
            then = now() - timedelta(seconds=int(span[1]) * SECONDS[span[2]])
        return f"{then.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{then.microsecond // 1_000:03d}Z"
    except (ValueError, OverflowError) as error:
        raise Misused(f"{flag}: {text[:80]!r} is not {SPANS}") from error


def past_of(text: str) -> str:
    """Return the moment of ``--as-of``: a span before now as ISO 8601, anything else as it is. Raise Misused."""
    if SPAN.fullmatch(text.strip()) is None:
        return text.strip()
    return since_time(text, "--as-of")


def span_ms(text: str) -> int:
    """Return a span such as 30m, 8h or 2d in milliseconds. Raise ValueError."""
    span = SPAN.fullmatch(text.strip())
    if span is None:
        raise ValueError(f"{text[:80]!r} is not a span such as 30m, 8h or 2d")
    return int(span[1]) * SECONDS[span[2]] * 1_000


def cut_page(data: bytes, since: str) -> bytes:
    """Return a page of a list, newest first, without records from before ``since``; then it is the last page."""
    import msgspec

    page = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    records = msgspec.json.decode(page["items"], type=list[msgspec.Raw])
    kept = [record for record in records if msgspec.json.decode(record)["createdAt"] >= since]
    if len(kept) == len(records):
        return data
    page.pop("nextCursor", None)
    return msgspec.json.encode({**page, "items": kept})
