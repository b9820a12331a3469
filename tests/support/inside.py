"""The plane inside this process: the whole application without a socket, for tests that need many of them."""

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx2
from anyio.from_thread import start_blocking_portal

from athena_api.app import AthenaApp, build
from athena_api.edge.access_log import AccessLog
from athena_api.lifespan import plane_lifespan
from athena_core.clock import Clock, SystemClock
from athena_core.event import Meta
from athena_core.services.erasure import redaction
from athena_core.settings import load
from tests.support.api import PATIENCE_SECONDS, Refused, caught_up, soon
from tests.support.records import judge

T = TypeVar("T")


class Inside:
    """A plane on a state directory, on an event loop in a thread of its own. It can be restarted."""

    def __init__(self, directory: Path, clock: Clock | None = None, /, **settings: str) -> None:
        self._clock = clock
        names = {f"ATHENA_{name.upper()}": value for name, value in settings.items()}
        self.state_dir = directory / "state"
        self._settings = load({"ATHENA_STATE_DIR": str(self.state_dir), **names}, directory)
        self.log = bytearray()
        self._stack = ExitStack()

    def start(self) -> None:
        self._portal = self._stack.enter_context(start_blocking_portal())
        self.app = self._portal.call(self._build)
        self._stack.enter_context(self._portal.wrap_async_context_manager(plane_lifespan(self.app.plane, serving=True)))
        self.client = self._portal.call(self._connect)

    def stop(self) -> None:
        self._stack.close()
        assert b"raceback" not in self.log, self.log.decode()

    async def _build(self) -> AthenaApp:
        return build(self._settings, clock=self._clock, access_log=AccessLog(SystemClock(), self.log.extend))

    async def _connect(self) -> httpx2.AsyncClient:
        secrets = self._settings.auth_proxy_secret
        headers = {"x-athena-proxy-secret": secrets[0]} if secrets else {}
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://plane/api/v1", headers=headers)

    def call(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run a coroutine on the plane's event loop. Return its result."""
        return self._portal.call(function, *arguments)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        return self._portal.call(partial(self.send, method, path, body, **headers))

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with anyio.fail_after(PATIENCE_SECONDS):
            return await self.client.request(method, path, json=body, headers=named)

    def ask_tool(self, name: str, arguments: dict[str, Any], **headers: str) -> httpx2.Response:
        """Return the answer of ``/mcp`` to a call of a tool."""
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        return self.ask("POST", "http://plane/mcp", call, accept="application/json, text/event-stream", **headers)

    def erase(self) -> None:
        """Erase every text of the log."""
        plane = self.app.plane

        async def redact() -> None:
            rows = [row for row in plane.reader.rows(0, 100_000) if row.text is not None]
            found = redaction.ErasableText(tuple(rows), (), frozenset())
            with closing(plane.log.reader()) as reader:
                await redaction.redact(plane.log, reader, found, "asked", Meta(actor="a", correlation="c"))

        self.call(redact)

    def data(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the data of an answer. Raise Refused for an error."""
        answer = caught_up(partial(self.ask, method, path, body, **headers))
        if answer.status_code >= 300:
            raise Refused(answer)
        return answer.json()["data"]

    def begin(self, said: str, session: str, **fields: Any) -> str:
        """Start a run without waiting for it; return its id."""
        body = {"input": said, "sessionId": session, **fields}
        return str(self.data("POST", "/runs", body, prefer="respond-async")["runId"])

    def until(self, path: str, field: str, *expected: Any) -> Any:
        """Return the record at a path once a field of it has one of these values."""
        for _ in soon():
            record = self.data("GET", path)
            record = record.get("run", record)
            if record[field] in expected:
                return record
        raise AssertionError

    def metrics(self) -> str:
        async def ask() -> str:
            with anyio.fail_after(PATIENCE_SECONDS):
                return (await self.client.get("http://plane/metrics")).text

        return str(self._portal.call(ask))


def said_by_tool(answer: httpx2.Response) -> str:
    """Return the text of a tool's answer, also of one that was slow and became a stream with pings."""
    (text,) = (line for line in answer.text.splitlines() if line.startswith(("{", "data: ")))
    (said,) = json.loads(text.removeprefix("data: "))["result"]["content"]
    return str(said["text"])


@contextmanager
def plane_on(directory: Path, clock: Clock | None = None, /, **settings: str) -> Iterator[Inside]:
    """A plane on a directory, and what it wrote found to keep each promise."""
    inside = Inside(directory, clock, **settings)
    inside.start()
    try:
        yield inside
    finally:
        inside.stop()
    judge(inside.state_dir, settings.get("database_url", ""))
