"""Follow the events with our asynchronous client."""

import asyncio
import sys

from athena_client import AsyncAthena


async def follow(url: str) -> None:
    """Print ids until the process is killed."""
    async with AsyncAthena(url) as client:
        async for event in client.events():
            print(event.id, flush=True)


asyncio.run(follow(sys.argv[1]))
