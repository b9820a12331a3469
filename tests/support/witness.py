"""Pipes with names, through which processes that a test started tell that they are there, and that they are gone."""

import asyncio
import os
from pathlib import Path


class Witness:
    """Knows when every process that holds a pipe's writing end is gone: the script opens it with ``exec 3>"$0"``."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    async def all_gone(self) -> bool:
        """Wait for the end of the pipe."""
        try:
            while True:
                try:
                    return os.read(self._reader, 1) == b""
                except BlockingIOError:
                    await readable(self._reader)
        finally:
            os.close(self._reader)


class Knock:
    """Hears a process that writes into a pipe: ``echo > "$1"``."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    async def heard(self) -> None:
        """Wait for it."""
        try:
            await readable(self._pipe)
        finally:
            os.close(self._pipe)


async def readable(fd: int) -> None:
    """Wait until there is something to read, or the end."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
