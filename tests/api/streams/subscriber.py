"""A subscriber without a socket: takes what a stream sends, or holds it up."""

from typing import Any

import anyio
import msgspec

from athena_api.edge.exchange import AnswerPort
from tests.support.api import Json


class Line(AnswerPort):
    """A client of a stream. It reads nothing until ``free`` is set."""

    def __init__(self) -> None:
        self.content = b""
        self.free = anyio.Event()
        self.free.set()
        self._more = anyio.Event()

    async def respond(self, status: int, head: bytes, body: bytes) -> None:
        """Fail: a stream sends parts."""
        raise AssertionError(status)

    async def send(self, message: Any) -> None:
        """Receive what the stream sends."""
        await self.free.wait()
        self.content += message["body"]
        self._more.set()
        await anyio.sleep(0)

    async def receive(self) -> Any:
        """Stay connected."""
        await anyio.sleep_forever()

    async def until(self, wanted: bytes, count: int = 1) -> None:
        """Return once something was received this often."""
        while self.content.count(wanted) < count:
            self._more = anyio.Event()
            await self._more.wait()

    def data(self, event: str) -> list[Json]:
        """Return the data of the frames of one event."""
        found = []
        for block in self.content.decode().split("\n\n"):
            fields = dict(line.partition(": ")[::2] for line in block.splitlines())
            if fields.get("event") == event:
                found.append(msgspec.json.decode(fields["data"])["data"])
        return found
