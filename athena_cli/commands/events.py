"""Events: a page of them, all of them, or as they come."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from athena_cli.client import ConnectionOptions, follow, request, request_all


@Parameter(name="*", group="Filters")
@dataclass(frozen=True)
class Filters:
    """Which events."""

    types: str | None = None
    """Only these types, separated by commas."""

    session: str | None = None
    """Only of this session."""

    run: str | None = None
    """Only of this run."""

    def query(self) -> dict[str, str | None]:
        """As parameters of a request."""
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
        filters: Which events.
        cursor: Begin after this event (its id, or a position).
        limit: How many, at most 500.
        everything: All pages up to the head, as one list.
        connection: How to reach the plane.
    """
    query = {**(filters or Filters()).query(), "cursor": cursor, "limit": None if limit is None else str(limit)}
    if everything:
        request_all(connection, "listEvents", query=query)
    else:
        request(connection, "listEvents", query=query)


def tail_events(
    *, filters: Filters | None = None, cursor: str | None = None, connection: ConnectionOptions | None = None
) -> None:
    """Print recorded events as they come, a line of JSON each, until Ctrl-C; reconnects by itself.

    Args:
        filters: Which events.
        cursor: Begin after this event (its id, or a position), at `latest`, or at a time; else with the first.
        connection: How to reach the plane.
    """
    follow(connection, "streamEvents", query={**(filters or Filters()).query(), "after": cursor})
