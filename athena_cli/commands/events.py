"""Commands that list and follow recorded events."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from athena_cli.client import ConnectionOptions, ReadOptions, follow, request, request_all
from athena_cli.exit_codes import Misused
from athena_cli.output.options import ListOptions, since_time


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
    """List recorded events, oldest first.

    Args:
        filters: Filters of events.
        cursor: Start after this event (its id or position).
        limit: Maximum number of events, up to 500.
        listing: Options of the list.
        everything: Fetch all pages up to the head and print one list.
        connection: Connection options.
    """
    query = {**(filters or Filters()).query(), "cursor": cursor, "limit": None if limit is None else str(limit)}
    if filters is not None and filters.since is not None:
        query["createdAfter"] = since_time(filters.since)
    if everything:
        request_all(connection, "listEvents", query=query, options=listing)
    else:
        request(connection, "listEvents", query=query, options=listing)


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
