"""The command that lists all schedules at once."""

from typing import TYPE_CHECKING, Any

from athena_cli.client import PAGE_ITEMS_MAX, ReadOptions, show_list
from athena_cli.output.options import ListOptions

if TYPE_CHECKING:
    from athena_cli.transport import Transport


def list_schedules(*, listing: ListOptions | None = None, connection: ReadOptions | None = None) -> None:
    """List all schedules, oldest first.

    Args:
        listing: Options of the list.
        connection: Connection options.
    """
    import msgspec

    async def read(transport: "Transport") -> bytes:
        tasks: list[Any] = []
        query: dict[str, str | None] = {"limit": str(PAGE_ITEMS_MAX)}
        while True:
            page = msgspec.json.decode(await transport.request("listSchedules", query=query))
            tasks.extend(page["items"])
            if "nextCursor" not in page:
                return msgspec.json.encode({"count": len(tasks), "tasks": tasks})
            query["cursor"] = page["nextCursor"]

    show_list(connection, read, "listSchedules", listing)
