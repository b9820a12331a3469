"""Commands that list and follow recorded events."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from athena_cli.client import PAGE_ITEMS_MAX, ConnectionOptions, ReadOptions, follow, request, request_all, show_list
from athena_cli.exit_codes import Misused
from athena_cli.output.options import ListOptions, since_time

if TYPE_CHECKING:
    from athena_cli.transport import Transport

PAGE_EVENTS = 50


@Parameter(name="*", group="Filters")
@dataclass(frozen=True)
class Filters:
    """Filters of events."""

    types: str | None = None
    """Only these event types, separated by commas."""

    session: str | None = None
    """Only events of this session."""

    run: str | None = None
    """Only events of this run."""

    since: str | None = None
    """Only since then: a span such as 30m, 1h or 2d, or a time such as 2026-01-31T12:00:00Z."""

    def query(self) -> dict[str, str | None]:
        """Return the filters as query parameters."""
        return {"types": self.types, "sessionId": self.session, "runId": self.run}


def list_events(
    *,
    filters: Filters | None = None,
    cursor: str | None = None,
    limit: int | None = None,
    listing: ListOptions | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    connection: ReadOptions | None = None,
) -> None:
    """List the newest events, newest first. With `--cursor` or `--all`, list events from a place on, oldest first.

    Args:
        filters: Filters of events.
        cursor: Start after this event (its id or position).
        limit: Maximum number of events, up to 500; 50 if absent.
        listing: Options of the list.
        everything: Fetch all pages up to the head and print one list.
        connection: Connection options.
    """
    query = {**(filters or Filters()).query(), "cursor": cursor, "limit": None if limit is None else str(limit)}
    if filters is not None and filters.since is not None:
        query["createdAfter"] = since_time(filters.since)
    if everything:
        request_all(connection, "listEvents", query=query, options=listing)
    elif cursor is not None:
        request(connection, "listEvents", query=query, options=listing)
    else:
        show_list(connection, partial(_newest, query=query, limit=limit or PAGE_EVENTS), "listEvents", listing)


async def _newest(transport: "Transport", query: dict[str, str | None], limit: int) -> bytes:
    """Return the last page of events, newest first: the feed is read from further and further before the head."""
    import msgspec

    async def read(**at: str) -> tuple[list[msgspec.Raw], dict[str, msgspec.Raw]]:
        data = await transport.request("listEvents", query=query | at)
        page = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        return msgspec.json.decode(page["events"], type=list[msgspec.Raw]), page

    events, page = await read()
    head, behind = transport.position, limit
    start = head if "nextCursor" in page else 0
    while start and (len(events) < limit or start == head):
        start, behind = max(head - behind, 0), behind * 8
        events, cursor = [], str(start)
        while cursor:
            more, page = await read(cursor=cursor, limit=str(PAGE_ITEMS_MAX))
            events, cursor = events + more, msgspec.json.decode(page.get("nextCursor", b'""'))
    return msgspec.json.encode({**page, "events": events[-limit:][::-1]})


def tail_events(
    *, filters: Filters | None = None, cursor: str | None = None, connection: ConnectionOptions | None = None
) -> None:
    """Print events as they are recorded, one a line, until Ctrl-C. Reconnects automatically.

    A line is text on a terminal, and JSON in a pipe or with `-o json`.

    Args:
        filters: Filters of events.
        cursor: Start after this event (its id or position), at `latest`, or at a time; from the beginning if absent.
        connection: Connection options.
    """
    if filters is not None and filters.since is not None:
        if cursor is not None:
            raise Misused("--since and --cursor exclude each other")
        cursor = since_time(filters.since)
    follow(connection, "streamEvents", query={**(filters or Filters()).query(), "after": cursor})
