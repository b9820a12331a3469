"""The command that lists all schedules at once."""

from typing import TYPE_CHECKING, Any

from athena_cli import render
from athena_cli.client import PAGE_ITEMS_MAX, ConnectionOptions, call, output_of

if TYPE_CHECKING:
    from athena_cli.transport import Transport


def list_schedules(*, connection: ConnectionOptions | None = None) -> None:
    """List all schedules, oldest first.

    Args:
        connection: Connection options.
    """
    import msgspec

    tasks: list[Any] = []

    async def work(transport: "Transport") -> None:
        query: dict[str, str | None] = {"limit": str(PAGE_ITEMS_MAX)}
        while True:
            page = msgspec.json.decode(await transport.request("listSchedules", query=query))
            tasks.extend(page["items"])
            if "nextCursor" not in page:
                return
            query["cursor"] = page["nextCursor"]

    call(connection, work)
    render.show(msgspec.json.encode({"count": len(tasks), "tasks": tasks}), output_of(connection))
