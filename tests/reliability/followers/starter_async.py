"""Start runs with our asynchronous client: URL, the name of the mark, and the first part of each mark."""

import asyncio
import sys
from itertools import count

from athena_client import AsyncAthena


async def start(url: str, name: str, prefix: str) -> None:
    """Start one run after the other until the process is killed."""
    async with AsyncAthena(url) as client:
        for number in count():
            mark = f"{prefix}-{number}"
            if number % 2:
                run_id = (await client.start(mark, metadata={name: mark})).id
            else:
                run_id = (await client.run(mark, metadata={name: mark})).run_id
            print(mark, run_id, flush=True)


asyncio.run(start(*sys.argv[1:]))
