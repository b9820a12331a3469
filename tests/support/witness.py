"""Named pipes through which processes of a test report that they run and that they have ended."""

import asyncio
import os
from pathlib import Path


class Witness:
    """A pipe that ends with the last process that holds its writing end: scripts open it with ``exec 3>"$0"``."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    async def all_gone(self) -> bool:
        try:
            while True:
                try:
                    return os.read(self._reader, 1) == b""
                except BlockingIOError:
                    await readable(self._reader)
        finally:
            os.close(self._reader)


class Knock:
    """A pipe through which a process reports: ``echo > "$1"``."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    async def heard(self) -> None:
        try:
            await readable(self._pipe)
        finally:
            os.close(self._pipe)


async def readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)
