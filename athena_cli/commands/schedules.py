"""Schedules: all of them as one list."""

from typing import Any

from athena_cli.client import PAGE_ITEMS_MAX, ConnectionOptions, settings_of


def list_schedules(*, connection: ConnectionOptions | None = None) -> None:
    """List all schedules, in the order in which they were created.

    Args:
        connection: How to reach the plane.
    """
    import asyncio

    import msgspec

    from athena_cli import render
    from athena_cli.transport import connect

    tasks: list[Any] = []

    async def work() -> None:
        query: dict[str, str | None] = {"limit": str(PAGE_ITEMS_MAX)}
        async with connect(settings_of(connection)) as transport:
            while True:
                page = msgspec.json.decode(await transport.request("listSchedules", query=query))
                tasks.extend(page["items"])
                if "nextCursor" not in page:
                    return
                query["cursor"] = page["nextCursor"]

    asyncio.run(work())
    render.show(msgspec.json.encode({"count": len(tasks), "tasks": tasks}), connection.output if connection else None)
