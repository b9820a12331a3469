"""A recorded stream, replayed at a rate for as long as wanted: ever new runs, whatever reads are asked for answered."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from athena_api.server import listen
from athena_api.static_files import SECURITY_HEADERS, StaticFile, console_page, static_file
from athena_core.clock import SystemClock, iso
from projections.engine.cursor import event_id
from tests.support.api import Api, Json

RUN = re.compile(rb"run_[0-9A-Z]{26}")
SESSIONS = 20
TURN_SECONDS = 0.05
DIGITS = 6


def record(api: Api, runs: int) -> list[Json]:
    """Return the events of a number of runs."""
    begin = api.head()
    for number in range(runs):
        api.run("How are you?", sessionId=f"replayed-{number % SESSIONS}")
    return api.events(cursor=begin)


class Replay:
    """A server whose log grows by ``rate`` events a second while its stream is read; the rest goes to ``url``."""

    def __init__(self, url: str, events: list[Json], log_id: str, rate: int) -> None:
        self.position = 0
        self.last = 0
        self.withheld = 0
        """The number of events that the server reports and does not send."""
        self._url = url
        self._events = [msgspec.json.encode(event) for event in events]
        self._log_id = log_id
        self._rate = rate
        self._clock = SystemClock()
        self._first = 0

    def app(self, position: int) -> Starlette:
        """Answer a request; the recorded log ends at a position."""
        self.position = self._first = position
        routes = [
            Route("/", self._page),
            Route("/static/{path:path}", self._static),
            Route("/api/v1/events/stream", self._stream),
            Route("/api/v1/{path:path}", self._read, methods=["GET", "POST"]),
        ]
        return Starlette(routes=routes)

    def frame(self, position: int) -> bytes:
        """Return the event at a position: a recorded one, in a run of its own."""
        cycle, index = divmod(position - self._first - 1, len(self._events))
        mark = b"%0*d" % (DIGITS, cycle)
        content = RUN.sub(lambda found: found[0][:-DIGITS] + mark, self._events[index])
        event: Json = msgspec.json.decode(content)
        event |= {"id": event_id(self._log_id, position, bytes(32)), "createdAt": iso(self._clock.now())}
        data = msgspec.json.encode(event)
        return b'id: %b\nevent: %b\ndata: {"ok":true,"data":%b}\n\n' % (
            event["id"].encode(),
            event["type"].encode(),
            data,
        )

    async def _stream(self, request: Request) -> Response:
        async def frames() -> AsyncIterator[bytes]:
            loop = asyncio.get_running_loop()
            at, begun = self.position, loop.time()
            yield b"retry: 2000\n"
            while not self.last or self.position < self.last:
                due = at + int((loop.time() - begun) * self._rate)
                due = min(due, self.last) if self.last else due
                yield b"".join(self.frame(position) for position in range(self.position + 1, due + 1))
                self.position = max(due, self.position)
                await asyncio.sleep(TURN_SECONDS)
            while True:
                yield b": heartbeat\n"
                await asyncio.sleep(1)

        return StreamingResponse(frames(), media_type="text/event-stream")

    async def _read(self, request: Request) -> Response:
        async with httpx2.AsyncClient() as client:
            asked = f"{self._url}{request.url.path}?{request.url.query}"
            answer = await client.request(request.method, asked, content=await request.body())
        content = answer.content
        if request.url.path.endswith("/health"):
            said = answer.json()
            said["data"]["head"] = self.position + self.withheld
            content = msgspec.json.encode(said)
        headers = {"athena-position": str(self.position + self.withheld)}
        return Response(content, answer.status_code, headers, media_type="application/json")

    async def _page(self, request: Request) -> Response:
        return file(console_page())

    async def _static(self, request: Request) -> Response:
        found = static_file(request.path_params["path"])
        assert found is not None
        return file(found)


def file(found: StaticFile) -> Response:
    """Return a file of the real server."""
    return Response(found.content, 200, dict(SECURITY_HEADERS), media_type=found.content_type)


@contextmanager
def replaying(replay: Replay, position: int) -> Iterator[str]:
    """Run the server in a thread. Yield its URL."""
    listener = listen("127.0.0.1", 0, send_timeout_ms=10_000)
    settings: dict[str, Any] = {"log_level": "error", "timeout_graceful_shutdown": 1}
    server = uvicorn.Server(uvicorn.Config(replay.app(position), **settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
