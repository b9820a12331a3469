"""Tasks that have to be finished once they have begun."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import anyio


async def to_its_end(act: Coroutine[Any, Any, None]) -> None:
    """Run to the end, also if this task is cancelled meanwhile, or was. Its error comes before the cancellation."""
    task = asyncio.create_task(act)
    cancelled = False
    while not task.done():
        try:
            with anyio.CancelScope(shield=cancelled):  # otherwise a cancelled scope would cancel again at once
                await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
