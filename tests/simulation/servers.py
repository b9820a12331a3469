"""Simulated servers on one log: the real plane without sockets and threads, which starts, crashes and freezes."""

import asyncio
import contextvars
import fcntl
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode

import anyio

from athena_api import wiring
from athena_api.app import build
from athena_api.edge.access_log import AccessLog
from athena_api.lifespan import plane_lifespan
from athena_core.log.port import Store
from athena_core.log.sqlite import notify
from athena_core.log.writer_threads import Turns
from athena_core.providers.prices import Prices
from athena_core.providers.provider import Provider
from athena_core.services import reactors
from athena_core.services.execution import live_relay, liveness, runner
from athena_core.services.execution.outside import agent_memory
from athena_core.settings import Settings
from athena_core.system.watchdog import Watchdog
from projections.engine import updater
from projections.engine.updater import ViewUpdater
from tests.simulation.loop import LoopTurns, Process, SimClock, SimIds, SimLoop, simulate_threads
from tests.support.vouched import VOUCHED

COMMIT_SECONDS = 0.001
"""The mean delay of a commit."""

NOTICE_SECONDS = 30.0
"""The time after which a commit of another process is found, if nothing said so."""

VIEW_SECONDS = 0.1
"""The mean time after which the views take in a commit."""

WATCH_SECONDS = 20.0
IDLE_SECONDS = 60.0
"""The time between two looks at a log, and at one that has nothing left to do."""

BUSY_SECONDS = 1.0
"""A log that wants to be looked at so soon has something left to do."""

PATIENCE_SECONDS = 600.0
"""A caller gives up after this time; the answer of a started run takes as long as the run."""

PRICES = functools.cache(Prices.load)
"""Reads the table once: it never changes."""

LOCKED: dict[int, tuple[Process | None, tuple[int, int]]] = {}
"""The process of each locked descriptor, with the device and number of its file."""


class StepDriver(LoopTurns):
    """The driver of a server's log: it also looks for others' commits, and says what was committed."""

    def __init__(self, loop: SimLoop, committed: Callable[[], None]) -> None:
        super().__init__(loop, COMMIT_SECONDS)
        self._committed = committed

    def start(self, log: Turns) -> None:
        super().start(log)
        self._loop.call_later(WATCH_SECONDS, self._watch)

    def _turn(self) -> None:
        super()._turn()
        self._committed()

    def _watch(self) -> None:
        assert self._log is not None
        if self._log.turn(idle=True) and self._log.watch():
            busy = self._log.idle_seconds <= BUSY_SECONDS
            self._loop.call_later(WATCH_SECONDS if busy else IDLE_SECONDS, self._watch)

    def close(self) -> None:
        while self._log is not None and self._log.turn(idle=False):
            pass
        self._committed()


class LoopAlarm:
    """Stands for APScheduler, which reads the clock of the machine."""

    def __init__(self) -> None:
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def set(self, name: str, milliseconds: int, ring: Callable[[], object]) -> None:
        if name in self._handles:
            self._handles[name].cancel()
        self._handles[name] = asyncio.get_running_loop().call_later(max(milliseconds, 0) / 1000, ring)

    def close(self) -> None:
        for handle in self._handles.values():
            handle.cancel()


def _wake(sleeper: Any) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


async def _pause(self: Any, *, found: bool) -> None:
    """Poll soon after another process wrote, else rarely, so that an idle hour is cheap."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    if not found:
        wake = loop.create_future()
        Server.sleepers.append(wake)
        late = loop.call_later(NOTICE_SECONDS, _wake, wake)
        try:
            await wake
        finally:
            late.cancel()
    await asyncio.sleep(loop.chance.uniform(0.001, 0.05))


def _flock(descriptor: int, operation: int, plain: Any = fcntl.flock) -> None:
    plain(descriptor, operation)
    if operation & fcntl.LOCK_UN:
        LOCKED.pop(descriptor, None)
    else:
        about = os.fstat(descriptor)
        LOCKED[descriptor] = (Process.current.get(), (about.st_dev, about.st_ino))


def unlock(process: Process, plain: Any = fcntl.flock) -> None:
    """Release the locks of a process that has ended."""
    for descriptor, (holder, file) in list(LOCKED.items()):
        if holder is process:
            del LOCKED[descriptor]
            with suppress(OSError):
                about = os.fstat(descriptor)
                if (about.st_dev, about.st_ino) == file:
                    plain(descriptor, fcntl.LOCK_UN)


def open_seams() -> None:
    """Replace what the product takes from the machine, until this process ends."""
    Server.sleepers.clear()
    LOCKED.clear()
    simulate_threads()
    notify.SqliteCommitNotifier.pause = _pause  # type: ignore[method-assign]
    Watchdog.start = lambda self: None  # type: ignore[method-assign]
    replaced: tuple[tuple[Any, str, Any], ...] = (
        (fcntl, "flock", _flock),
        (reactors, "Alarm", LoopAlarm),
        (Prices, "load", PRICES),
        # idle polls, slowed down, because most of the time of a history is idle
        (runner, "SWEEP_SECONDS", 10.0),
        (liveness, "SWEEP_SECONDS", 10.0),
        (reactors, "LEADER_SECONDS", 10.0),
        (reactors, "LOOK_SECONDS", 10.0),
        (agent_memory, "LOOK_SECONDS", 60.0),
        (updater, "CHECK_SECONDS", 20.0),
        (updater, "LOCK_SECONDS", 10.0),
        (live_relay, "GATHER_SECONDS", 0.5),
    )
    for module, name, value in replaced:
        setattr(module, name, value)


@contextmanager
def in_loop(views: ViewUpdater, nudge: Callable[[], None]) -> Iterator[None]:
    """Update the views in the loop."""

    async def update() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        while True:
            rest = views.step()
            if rest is None:
                await asyncio.sleep(0)
                continue
            with anyio.move_on_after(rest.seconds):
                await views._views.log_signal.wait(rest.position)
            await asyncio.sleep(loop.chance.expovariate(1 / VIEW_SECONDS))

    task = asyncio.get_running_loop().create_task(update())
    try:
        yield
    finally:
        task.cancel()
        views.close()


class Answer(NamedTuple):
    """The answer to a request: status, data, headers, and the code of an error."""

    status: int
    data: Any
    headers: Mapping[str, str]
    code: str | None = None


class Hooks(NamedTuple):
    """Parts that a world gives to its servers: providers, and functions for commits, stores, problems and log lines."""

    providers: Callable[[], Mapping[str, Provider]]
    committed: Callable[[], None]
    store: Callable[[Store], None]
    problem: Callable[[str], None]
    line: Callable[[bytes], None]


class Server(Process):
    """A server. ``start`` it, and it serves until it leaves or crashes; then make another one of the same name."""

    sleepers: list[Any] = []

    def __init__(self, name: str, loop: SimLoop, settings: Settings, seed: str, hooks: Hooks) -> None:
        super().__init__(name)
        self.loop, self.settings, self.hooks = loop, settings, hooks
        self.clock = SimClock(loop)
        self.ids = SimIds(seed, self.clock)
        self.ready = loop.create_future()
        self.left = loop.create_future()
        self.requests: set[asyncio.Task[Any]] = set()
        self.task: asyncio.Task[None] | None = None
        self.app: Any = None

    @property
    def serves(self) -> bool:
        return self.task is not None and not self.task.done() and not self.left.done()

    def start(self) -> None:
        self.task = self.loop.create_task(self._serve(), context=self.context)

    def _committed(self) -> None:
        self.hooks.committed()
        for sleeper in Server.sleepers:
            _wake(sleeper)
        Server.sleepers.clear()

    async def _serve(self) -> None:
        try:
            wiring.providers_of = lambda settings, mask, serves: self.hooks.providers()
            driver = StepDriver(self.loop, self._committed)
            lines = AccessLog(self.clock, self.hooks.line)
            self.app = build(self.settings, clock=self.clock, ids=self.ids, access_log=lines, driver=driver)
            self.plane = self.app.plane
            self.hooks.store(self.plane.log.store)
            for part in (self.plane.refusal_limits, self.plane.authentication_limits, self.plane.tokens):
                part.timer.seconds = 20.0
            self.plane.workspace_cleaner.timer.seconds = 300.0
            async with plane_lifespan(self.plane, serving=True, updates=in_loop):
                self.ready.set_result(None)
                await self.left
        except BaseException as error:
            if not self.ready.done():
                self.ready.set_exception(error)
            elif not self.dead and not isinstance(error, asyncio.CancelledError):
                self.hooks.problem(f"server {self.name} ended: {type(error).__name__}: {error}")
            raise
        finally:
            unlock(self)

    def crash(self) -> None:
        super().crash()
        unlock(self)

    async def leave(self) -> None:
        """Stop in order."""
        for request in list(self.requests):
            request.cancel()
        if not self.left.done():
            self.left.set_result(None)
        assert self.task is not None
        await asyncio.wait([self.task])

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        caller: str = "ada",
        headers: Mapping[str, str | None] | None = None,
        seconds: float = PATIENCE_SECONDS,
        **query: Any,
    ) -> Answer | None:
        """Send one request. Return None if the server ended before it answered, or nothing came in time."""
        raw = b"" if body is None else json.dumps(body).encode()
        fields: dict[str, str | None] = {
            "host": "127.0.0.1:8787",
            "x-athena-proxy-secret": VOUCHED["auth_proxy_secret"],
            "x-athena-identity": caller,
        }
        fields |= headers or {}
        if body is not None:
            fields |= {"content-type": "application/json", "content-length": str(len(raw))}
        text = urlencode({name: value for name, value in query.items() if value is not None}, doseq=True)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": f"/api/v1{path}",
            "raw_path": f"/api/v1{path}".encode(),
            "query_string": text.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in fields.items() if value is not None],
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 8787),
        }
        exchange = Exchange(self.loop, raw)
        task = self.loop.create_task(self.app(scope, exchange.receive, exchange.send), context=self.context.copy())
        self.requests.add(task)
        outside = contextvars.Context()
        task.add_done_callback(self.requests.discard, context=outside)
        task.add_done_callback(exchange.ended, context=outside)
        try:
            async with asyncio.timeout(seconds):
                error = await exchange.done
        except TimeoutError:
            exchange.hang_up()
            return exchange.answer  # only a stream has one
        if error is not None:
            self.hooks.problem(f"{method} {path}: {type(error).__name__}: {error}")
        return exchange.answer


class Exchange:
    """One request and its answer, as ASGI messages."""

    def __init__(self, loop: SimLoop, body: bytes) -> None:
        self.done = loop.create_future()
        self._body: bytes | None = body
        self._gone = loop.create_future()
        self._status = 0
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []

    async def receive(self) -> dict[str, Any]:
        if self._body is None:
            await self._gone
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self._parts.append(message.get("body", b""))
        if not message.get("more_body") and not self.done.done():
            self.done.set_result(None)

    def hang_up(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    def ended(self, task: asyncio.Task[Any]) -> None:
        if not self.done.done():
            self.done.set_result(None if task.cancelled() else task.exception())

    @property
    def answer(self) -> Answer | None:
        if not self._status:
            return None
        text = b"".join(self._parts)
        try:
            data = json.loads(text) if text else None
        except ValueError:
            data = text.decode(errors="replace")
        if isinstance(data, dict) and set(data) & {"data", "error"}:
            error = data.get("error") or {}
            return Answer(self._status, error or data.get("data"), self._headers, error.get("code"))
        return Answer(self._status, data, self._headers)
