"""The views: the current generation, and reads that wait until it reflects a position."""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import TypeVar

from athena_core.clock import Clock
from athena_core.errors import NotCaughtUp, StoreUnreachable
from athena_core.event import Position
from athena_core.protocols import Connection, DatabaseDamaged, Decode, Generations, LogReader
from athena_core.system.signal import Signal
from projections.engine import generation
from projections.engine.context_block import ContextBlock
from projections.engine.generation import ProjectionCheckpoint
from projections.engine.projection import Projection

T = TypeVar("T")

WAIT_SECONDS = 2.0
POLL_SECONDS_MIN = 0.002
POLL_SECONDS_MAX = 0.05
DAMAGED = "{name} is damaged; another generation is being built beside it"

_least: ContextVar[Position] = ContextVar("least", default=0)


def at_least(position: Position) -> ContextBlock[Position]:
    """Make ``query`` raise NotCaughtUp below a position within the block, also in threads started by it.

    Before a thread opens the generation that the caller waited for, a new one that is still behind may replace it.
    """
    return ContextBlock(_least, position)


class Views:
    """State of the views of one log, shared by all threads of a process."""

    def __init__(
        self,
        generations: Generations,
        logs: Callable[[], LogReader],
        decode: Decode,
        clock: Clock,
        projections: Iterable[Projection],
        log_signal: Signal,
    ) -> None:
        """Opens nothing yet. ``logs`` opens a reader of the log; new events advance ``log_signal``."""
        self.generations = generations
        self.logs = logs
        self.decode = decode
        self.clock = clock
        self.projections = tuple(projections)
        self.log_signal = log_signal
        self.signal = Signal()
        """The position of the current generation, while this process updates it."""
        self.updated_here = False
        self.failure: str | None = None
        """The error of this process's updater, if any."""
        self.hurry = threading.Event()
        """Set while a reader of this process is waiting."""
        self._waiting = 0
        self._lock = threading.Lock()

    def condemn(self, name: str) -> None:
        """Request the replacement of a generation that cannot be read, if it is current."""
        with suppress(Exception):  # no space or connection: the next failing read tries again
            if self.generations.current() == name != self.generations.condemned():
                self.generations.condemn(name)
                self.log_signal.nudge()

    def condemned(self) -> str | None:
        """The reason why the current generation will be replaced, if any."""
        name = self.generations.condemned()
        return None if name is None or name != self.generations.current() else DAMAGED.format(name=name)

    def reader(self, log: LogReader) -> "ViewsReader":
        """Return a reader for one thread or event loop. ``log`` is that thread's reader of the log."""
        return ViewsReader(self, log)

    def wait_more(self, change: int) -> None:
        """Count a reader that starts (1) or stops (-1) waiting."""
        with self._lock:
            self._waiting += change
            if self._waiting:
                self.hurry.set()
            else:
                self.hurry.clear()
        if change > 0:
            self.log_signal.nudge()


class ViewsReader:
    """Reader of the generation that is current at the time of a read. Use one per thread or event loop."""

    def __init__(self, views: Views, log: LogReader) -> None:
        self._views = views
        self._log = log
        self._versions = {projection.name: projection.version for projection in views.projections}
        self._pointer: object = None
        self._name: str | None = None
        self._connection: Connection | None = None
        self._cell = b""
        self._checkpoints: dict[str, ProjectionCheckpoint] = {}
        """The checkpoints in ``_cell``, as they were last read from the open generation. Positions only grow."""
        self._unreachable: str | None = None

    def checkpoints(self) -> Mapping[str, ProjectionCheckpoint]:
        """Return the checkpoints of the current projections."""
        connection = self._open()
        try:
            return {} if connection is None else self._load(connection)
        except DatabaseDamaged as error:
            self._set_aside(error)
            return {}

    def position(self, names: Collection[str]) -> Position:
        """Return the lowest position of these projections; 0 if one is missing."""
        checkpoints = self.checkpoints()
        return min(checkpoints[name].position if name in checkpoints else 0 for name in names)

    def _covers(self, names: Collection[str], position: Position) -> bool:
        """Return True if all of these projections have reached a position.

        An empty log has views once they are created. The database is read only if the known positions do not suffice.
        """
        connection = self._open()
        if connection is None or _cover(self._checkpoints, names, position):
            return connection is not None
        try:
            self._load(connection)
        except DatabaseDamaged as error:
            self._set_aside(error)
        return _cover(self._checkpoints, names, position)

    def error(self, names: Collection[str]) -> str | None:
        """Return the error that stopped one of these projections, if any."""
        checkpoints = self.checkpoints()
        for name in names:
            if name in checkpoints and checkpoints[name].error is not None:
                return f"{name} stopped at position {checkpoints[name].error_position}: {checkpoints[name].error}"
        return self._views.failure

    @property
    def trouble(self) -> str | None:
        """The reason why the views are not updated or cannot be read here, if any."""
        return self._views.failure or self._unreachable or self._views.condemned()

    def query(self, names: Collection[str], read: Callable[[Connection], T]) -> tuple[T, Position]:
        """Return the result of ``read`` and the position that it reflects.

        Raise NotCaughtUp if a projection is missing, or is below the position of ``at_least``. The caller of that has
        waited, so the generation that is open is not older than its request.
        """
        least = _least.get()
        connection = (self._connection if least else None) or self._open()
        if connection is not None:
            try:
                with connection.snapshot():
                    checkpoints = self._load(connection)
                    if _cover(checkpoints, names, least):
                        return read(connection), min([checkpoints[name].position for name in names])
            except DatabaseDamaged as error:
                self._set_aside(error)
        raise self._not_caught_up(names)

    async def wait(self, names: Collection[str], position: Position, timeout: float = WAIT_SECONDS) -> None:
        """Wait until these projections have reached ``position``. Raise NotCaughtUp after ``timeout`` seconds."""
        if self._covers(names, position):
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        pause = POLL_SECONDS_MIN
        self._views.wait_more(1)
        try:
            while not self._covers(names, position):
                left = deadline - loop.time()
                if left <= 0 or self.error(names) is not None:
                    raise self._not_caught_up(names)
                if self._views.updated_here and self._views.signal.position < position:
                    await self._signalled(position, min(left, POLL_SECONDS_MAX))
                else:
                    await asyncio.sleep(min(pause, left))
                    pause = min(pause * 2, POLL_SECONDS_MAX)
        finally:
            self._views.wait_more(-1)

    async def _signalled(self, position: Position, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._views.signal.wait(position)
        except TimeoutError:
            pass  # the updater may have moved to another process: check again

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._pointer = None, None
        self._cell, self._checkpoints = b"", {}

    def _not_caught_up(self, names: Collection[str]) -> NotCaughtUp:
        error = self.error(names) or self.trouble
        details = {"position": self.position(names), "head": self._log.head()}
        return NotCaughtUp(
            "The views lag behind the log. Retry later." if error is None else f"The views are not updated: {error}",
            details if error is None else details | {"error": error},
        )

    def _open(self) -> Connection | None:
        """Return the connection to the current generation, or None if there is none of this log."""
        pointer = self._views.generations.stamp()
        if pointer is None:
            self.close()
            return None
        if pointer != self._pointer:
            self.close()
            self._connection = self._opened()
            self._pointer = None if self._connection is None else pointer
        return self._connection

    def _opened(self) -> Connection | None:
        name = self._views.generations.current()
        if name is None:
            return None
        try:
            connection = self._connect(name)
        except Exception:  # replaced and deleted since the pointer was read, or out of files: check again
            return None
        self._name = name
        try:
            ours = generation.is_of(connection, self._log)
            self._unreachable = None
            if ours:
                return connection
        except StoreUnreachable as error:
            self._unreachable = f"{type(error).__name__}: {error}"
        except DatabaseDamaged as error:
            self._set_aside(error)
        connection.close()
        return None

    def _connect(self, name: str) -> Connection:
        return self._views.generations.read(name)

    def _set_aside(self, error: DatabaseDamaged) -> None:
        """Stop reading a damaged generation and request its replacement. The next read tries again."""
        self.close()
        self._unreachable = f"{type(error).__name__}: {error}"
        if self._name is not None:
            self._views.condemn(self._name)

    def _load(self, connection: Connection) -> dict[str, ProjectionCheckpoint]:
        """Read the checkpoints, and decode them if they have changed. Raise Damaged."""
        cell = generation.cell_of(connection)
        if cell != self._cell:
            loaded, versions = generation.checkpoints_in(cell), self._versions
            self._checkpoints = {name: point for name, point in loaded.items() if point.version == versions.get(name)}
            self._cell = cell
        return self._checkpoints


def _cover(checkpoints: Mapping[str, ProjectionCheckpoint], names: Collection[str], position: Position) -> bool:
    """Return True if all of these projections have reached a position."""
    return all([name in checkpoints and checkpoints[name].position >= position for name in names])
