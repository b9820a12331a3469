"""The HTTP ceilings without uvicorn and ASGI: a protocol on httptools, in uvloop, that writes each answer at once.

``python -m benchmarks.protocols NAME PORT DIRECTORY`` serves one of them.
"""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

import httptools
import uvloop

from athena_api.server import listen
from benchmarks.apps import GroupCommit

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

Respond: TypeAlias = "Callable[[Connection, bytes], None]"


class Connection(asyncio.Protocol):
    """A connection that reads complete requests, one at a time."""

    def __init__(self, respond: Respond) -> None:
        """Pass each body to a callback."""
        self._respond = respond
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._body = b""
        self._last = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's class does not inherit from it

    def data_received(self, data: bytes) -> None:
        """Parse what was sent."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Pass the body on."""
        body, self._body = self._body, b""
        self._last = not self._parser.should_keep_alive()
        self._respond(self, body)

    def answer(self, content: bytes) -> None:
        """Write the complete answer."""
        assert self._transport is not None
        self._transport.write(HEAD % len(content) + content)
        if self._last:
            self._transport.close()

    def done(self) -> bool:
        """Return True if the client is gone."""
        return self._transport is None or self._transport.is_closing()

    def set_result(self, position: int) -> None:
        """Answer with the position of the durable row."""
        self.answer(b'{"ok":true,"data":{"position":%d}}' % position)


def nothing(directory: Path) -> Respond:
    """Read a body and respond."""

    def respond(connection: Connection, body: bytes) -> None:
        connection.answer(b'{"ok":true,"data":{"size":%d}}' % len(body))

    return respond


def group_commit(directory: Path) -> Respond:
    """Read a body, store it durably and respond."""
    writer = GroupCommit(directory)

    def respond(connection: Connection, body: bytes) -> None:
        if body:
            writer.put(body, connection)
        else:
            connection.set_result(0)

    return respond


def page(directory: Path) -> Respond:
    """Respond to every request with the file ``page`` of the directory."""
    content = (directory / "page").read_bytes()

    def respond(connection: Connection, body: bytes) -> None:
        connection.answer(content)

    return respond


PROTOCOLS: dict[str, Callable[[Path], Respond]] = {
    "protocol-nothing": nothing,
    "protocol-group-commit": group_commit,
    "protocol-page": page,
}


async def serve(respond: Respond, port: int) -> None:
    """Serve until terminated."""
    socket = listen("127.0.0.1", port, send_timeout_ms=10_000)
    server = await asyncio.get_running_loop().create_server(partial(Connection, respond), sock=socket)
    await server.serve_forever()


def main() -> None:
    """Serve the protocol of the arguments."""
    name, port, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    directory.mkdir(parents=True, exist_ok=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(PROTOCOLS[name](directory), port))


if __name__ == "__main__":
    main()
