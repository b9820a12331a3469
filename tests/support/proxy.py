"""The proxy: stands between processes and PostgreSQL, in a process of its own, and cuts connections at random.

The worst case is a commit whose answer is lost: the server has committed, and the client only sees the connection end.
"""

import asyncio
import random
import socket
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from types import TracebackType
from typing import Any, Self

from tests.support.process import FORKS

COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
"""The message of the server that a transaction is committed."""

CHUNK_BYTES = 65_536


class Proxy:
    """A proxy in front of a server's socket; while armed, it drops a ``share`` of the answers to commits."""

    def __init__(self, path: str, seed: int, share: float) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = int(self._listener.getsockname()[1])
        self._armed = FORKS.Value("b", 0)
        self._cuts = FORKS.Value("q", 0)
        arguments = (self._listener, path, seed, share, self._armed, self._cuts)
        self._process: ForkServerProcess = FORKS.Process(target=serve, args=arguments, daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._listener.close()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.join()

    def arm(self, *, armed: bool) -> None:
        """Drop answers from now on, or stop doing so."""
        self._armed.value = int(armed)

    @property
    def cuts(self) -> int:
        """Return the number of connections that were cut after a commit."""
        return int(self._cuts.value)


def serve(listener: socket.socket, path: str, seed: int, share: float, armed: Any, cuts: Any) -> None:
    rng = random.Random(seed)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        ways = [asyncio.create_task(pump(reader, back, None)), asyncio.create_task(pump(there, writer, cut))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (writer, back):
            end.transport.abort()

    def cut(chunk: bytes) -> bool:
        if not armed.value or COMMITTED not in chunk or rng.random() >= share:
            return False
        cuts.value += 1
        return True

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut: Any) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if cut is not None and cut(chunk):
                    return
                writer.write(chunk)
                await writer.drain()

    async def main() -> None:
        server = await asyncio.start_server(connected, sock=listener)
        await server.serve_forever()

    asyncio.run(main())
