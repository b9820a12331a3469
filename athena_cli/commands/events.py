"""Commands that list and follow recorded events."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from athena_cli.client import ConnectionOptions, follow, request, request_all


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

    def query(self) -> dict[str, str | None]:
        """Return the filters as query parameters."""
        return {"types": self.types, "sessionId": self.session, "runId": self.run}


def list_events(
    *,
    filters: Filters | None = None,
    cursor: str | None = None,
    limit: int | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    connection: ConnectionOptions | None = None,
) -> None:
    """List recorded events, oldest first.

    Args:
        filters: Filters of events.
        cursor: Start after this event (its id or position).
        limit: Maximum number of events, up to 500.
        everything: Fetch all pages up to the head and print one list.
        connection: Connection options.
    """
    query = {**(filters or Filters()).query(), "cursor": cursor, "limit": None if limit is None else str(limit)}
    if everything:
        request_all(connection, "listEvents", query=query)
    else:
        request(connection, "listEvents", query=query)


def tail_events(
    *, filters: Filters | None = None, cursor: str | None = None, connection: ConnectionOptions | None = None
) -> None:
    """Print events as they are recorded, one JSON line each, until Ctrl-C. Reconnects automatically.

    Args:
        filters: Filters of events.
        cursor: Start after this event (its id or position), at `latest`, or at a time; from the beginning if absent.
        connection: Connection options.
    """
    follow(connection, "streamEvents", query={**(filters or Filters()).query(), "after": cursor})
