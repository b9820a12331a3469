"""The control plane in this process: the server's application, called by a command without a socket.

Follow-up work of a command (workflow steps, message delivery) finishes before the command exits, unless a server takes
it. Ctrl-C cancels the workflow runs that the command started.
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
"""The reactors whose unfinished work a command reports. Schedules always have some."""

Message = MutableMapping[str, Any]


class ErrorsOnly(AccessLog):
    """An access log that writes errors only."""

    def request(self, request: AccessRecord) -> None:
        """Ignore the request."""


@asynccontextmanager
async def in_process(settings: Settings) -> AsyncIterator["InProcess"]:
    """Run the application of the state directory in this event loop while the context lasts. Raise ConfigError."""
    app = build(settings, access_log=ErrorsOnly(SystemClock()), serving=False)
    transport = InProcess(app)
    begun, over = asyncio.Event(), asyncio.Event()
    interrupted = False

    async def live() -> None:
        """Run the plane in its own task, to keep its errors apart from errors of the command."""
        async with plane_lifespan(app.plane, serving=False):
            begun.set()
            await over.wait()
            await transport.aclose()
            if interrupted:
                await cancel_workflow_runs(app.plane)

    handler = logging.StreamHandler()  # the default handler would not mask secrets
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
    """Wait for a task. Raise its error unwrapped from its exception group."""
    try:
        await life
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def finish_follow_up_work(plane: ControlPlane, life: "asyncio.Task[None]") -> None:
    """Wait until all follow-up work is done, except approvals and timers. Print the work left for a server."""
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
                await plane.workflows.cancel(run_id, "the command that executed the run was interrupted", meta, None)
            while going and not is_idle(plane):
                await asyncio.sleep(REST_SECONDS)
    except (TimeoutError, AthenaError):  # the next process continues the runs
        return


class InProcess(httpx2.AsyncBaseTransport):
    """An httpx transport that calls an ASGI application, with one task per request. Responses are streamed."""

    def __init__(self, app: AthenaApp) -> None:
        self._app = app
        self.plane = app.plane
        self._ended = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Call the application. Return when the response starts."""
        if self._ended:
            raise httpx2.ConnectError("the application has stopped", request=request)
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
                exchange.started.set_exception(httpx2.ReadError("the application has stopped"))
            exchange.end()

    def abandon(self) -> None:
        """Cancel all requests and reject new ones: the application has stopped."""
        self._ended = True
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Cancel open requests and wait for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Exchange(httpx2.AsyncByteStream):
    """One request and its response, between client and application."""

    def __init__(self, body: bytes) -> None:
        self.started: asyncio.Future[tuple[int, list[tuple[bytes, bytes]]]] = asyncio.get_running_loop().create_future()
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(CHUNKS_MAX)
        self.task: asyncio.Task[None] | None = None
        self._body: bytes | None = body
        self._closed = asyncio.Event()

    async def receive(self) -> Message:
        """Return the request body; then wait for the client and return a disconnect."""
        if self._body is None:
            await self._closed.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Queue a part of the response. Wait while the queue is full."""
        if message["type"] == "http.response.start":
            self.started.set_result((message["status"], list(message.get("headers", ()))))
        elif message.get("body") and not self._closed.is_set():
            await self._room.acquire()
            self._chunks.put_nowait(message["body"])

    def end(self) -> None:
        """Mark the end of the response."""
        self._chunks.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            self._room.release()
            yield chunk

    async def aclose(self) -> None:
        self._closed.set()
        if self.task is not None and not self.task.done():
            self.task.cancel()
