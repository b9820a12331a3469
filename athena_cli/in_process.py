"""The plane in this process: the server's application, answering the client of a command without a socket.

What follows from a command (the steps of a workflow, the delivery of a message) is done in its process before it ends,
unless a server does it. Ctrl-C cancels what the command began: its caller did not mean to leave it behind.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from athena_api.app import AthenaApp, build
from athena_api.edge.access_log import AccessLog, AccessRecord, JsonLines
from athena_api.lifespan import plane_lifespan
from athena_api.plane import ControlPlane
from athena_cli.render import note
from athena_core.clock import SystemClock
from athena_core.domain import workflow_run
from athena_core.errors import AthenaError
from athena_core.event import Meta
from athena_core.settings import Settings
from athena_core.system.problems import LOGGER

CHUNKS_MAX = 64
REST_SECONDS = 0.01
GIVE_UP_SECONDS = 30.0
FOLLOW_UP_REACTORS = ("workflows", "drains", "redrives")
"""The reactors whose work a command names where it leaves some; schedules are always there."""

Message = MutableMapping[str, Any]


class ErrorsOnly(AccessLog):
    """An access log without lines about requests; a bug still gets one."""

    def request(self, request: AccessRecord) -> None:
        """Write no line."""


@asynccontextmanager
async def in_process(settings: Settings) -> AsyncIterator["InProcess"]:
    """The application of the state directory, in this event loop, while the context lasts. Raises ConfigError."""
    app = build(settings, access_log=ErrorsOnly(SystemClock()), serving=False)
    transport = InProcess(app)
    begun, over = asyncio.Event(), asyncio.Event()
    interrupted = False

    async def live() -> None:
        """Beside the command, in a task of its own, so that neither's errors are the other's."""
        async with plane_lifespan(app.plane, serving=False):
            begun.set()
            await over.wait()
            await transport.aclose()
            if interrupted:
                await cancel_workflow_runs(app.plane)

    handler = logging.StreamHandler()  # Python's own would not hide secrets
    handler.setFormatter(JsonLines(app.plane.mask))
    LOGGER.addHandler(handler)
    life = asyncio.create_task(live())
    starting = asyncio.create_task(begun.wait())
    try:
        await asyncio.wait((life, starting), return_when=asyncio.FIRST_COMPLETED)
        if not life.done():
            life.add_done_callback(lambda _: transport.abandon())
            yield transport
            await finish_follow_up_work(app.plane, life)
    except asyncio.CancelledError:
        interrupted = True
        raise
    finally:
        starting.cancel()
        over.set()
        try:
            await _wait_for(life)
        finally:
            LOGGER.removeHandler(handler)


async def _wait_for(life: "asyncio.Task[None]") -> None:
    """Wait for a task; raise its error without the group around it."""
    try:
        await life
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def finish_follow_up_work(plane: ControlPlane, life: "asyncio.Task[None]") -> None:
    """Wait until all follow-up work is done that needs no approval and no time. Print what is left for a server."""
    while not (is_idle(plane) or life.done()):
        await asyncio.sleep(REST_SECONDS)
    left = [key for name in FOLLOW_UP_REACTORS for key in plane.reactors.left(name)]
    waiting = [key for key in left if workflow_run.DECIDER.owns(key) and await plane.workflows.waits(key)]
    left = [key for key in left if key not in waiting]
    if left:
        note(f"Left for a server on this state directory: {', '.join(left)}")


def is_idle(plane: ControlPlane) -> bool:
    """Return True if every recorded event was handled and nothing runs in this process."""
    return plane.tail.caught_up and plane.reactors.idle and plane.runner.idle


async def cancel_workflow_runs(plane: ControlPlane) -> None:
    """Cancel the workflow runs that run in this process."""
    meta = Meta(actor="system:executor", correlation=plane.ids.trace())
    try:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            left = plane.reactors.left("workflows")
            going = [run_id for run_id in left if not await plane.workflows.waits(run_id)]
            for run_id in going:
                await plane.workflows.cancel(run_id, "the command that executed the run was ended", meta, None)
            while going and not is_idle(plane):
                await asyncio.sleep(REST_SECONDS)
    except (TimeoutError, AthenaError):  # the next process finds it
        return


class InProcess(httpx2.AsyncBaseTransport):
    """Calls an ASGI application, one task for each request; answers stream as they are sent."""

    def __init__(self, app: AthenaApp) -> None:
        """Take the application."""
        self._app = app
        self.plane = app.plane
        self._ended = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Call the application; return once the answer has begun."""
        if self._ended:
            raise httpx2.ConnectError("the application has ended", request=request)
        exchange = Exchange(await request.aread())
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": None,
            "server": None,  # only this process can send requests
        }
        task = asyncio.create_task(self._call(scope, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        exchange.task = task
        try:
            status, headers = await exchange.started
        except asyncio.CancelledError:
            task.cancel()
            raise
        return httpx2.Response(status, headers=headers, stream=exchange)

    async def _call(self, scope: dict[str, Any], exchange: "Exchange") -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if not exchange.started.done():
                exchange.started.set_exception(error)
        finally:
            if not exchange.started.done():
                exchange.started.set_exception(httpx2.ReadError("the application has ended"))
            exchange.end()

    def abandon(self) -> None:
        """Answer no more: the application has ended."""
        self._ended = True
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Cancel the requests that are still open."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Exchange(httpx2.AsyncByteStream):
    """One request and its answer, between the application and the client."""

    def __init__(self, body: bytes) -> None:
        """Nothing happened yet."""
        self.started: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = asyncio.get_running_loop().create_future()
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(CHUNKS_MAX)
        self.task: asyncio.Task[None] | None = None
        self._body: bytes | None = body
        self._closed = asyncio.Event()

    async def receive(self) -> Message:
        """The body, then the end of the connection."""
        if self._body is None:
            await self._closed.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Take a part of the answer; wait while the client has not taken the ones before."""
        if message["type"] == "http.response.start":
            self.started.set_result((message["status"], list(message.get("headers", ()))))
        elif message.get("body") and not self._closed.is_set():
            await self._room.acquire()
            self._chunks.put_nowait(message["body"])

    def end(self) -> None:
        """No more will come."""
        self._chunks.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body of the answer."""
        while (chunk := await self._chunks.get()) is not None:
            self._room.release()
            yield chunk

    async def aclose(self) -> None:
        """The client has gone."""
        self._closed.set()
        if self.task is not None and not self.task.done():
            self.task.cancel()
