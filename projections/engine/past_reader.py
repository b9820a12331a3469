"""Reads of the views as of earlier positions."""

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar

from athena_core.errors import AthenaError, PastTooLarge, StoreUnreachable
from athena_core.event import Position
from athena_core.protocols import Cell, Connection, DatabaseDamaged, LogReader, PastConnection
from projections.engine import past
from projections.engine.projection import BLOCK_EVENTS, Projection
from projections.engine.views import Views, ViewsReader

T = TypeVar("T")
L = TypeVar("L", bound=LogReader)

READERS_MAX = 4
"""Number of readers that stay open between two reads."""
KEPT_BYTES_MAX = 16 << 20
"""Largest overlays that stay in memory between two reads, in bytes of events."""
OVERLAY_BYTES_MAX = 256 << 20
"""Largest overlays, in bytes of events."""


class PastReader(ViewsReader):
    """Reader of the current generation as of earlier positions, for one thread at a time.

    It keeps its overlays. Another read of the same position needs no fold, and a later position of the same block folds
    only the events between.
    """

    def __init__(self, views: Views, log: LogReader, block_events: int = BLOCK_EVENTS) -> None:
        super().__init__(views, log)
        self._block_events = block_events
        self._by_name = {projection.name: projection for projection in views.projections}
        self._past: PastConnection | None = None
        self._shadowed: set[str] = set()
        self._block = -1
        self._state: tuple[Cell, ...] = ()
        self._sizes: dict[str, int] = {}
        """The bytes of the events in the overlays of each projection. Projections share what they read together."""
        self._folded: dict[str, Position] = {}
        """The projections whose overlays are of the block, with their positions."""

    @property
    def held(self) -> int:
        """The bytes of the events in the overlays."""
        return sum(self._sizes.values())

    def distance(self, names: Collection[str], position: Position) -> int:
        """Return the number of events that a read would fold, for the choice between readers."""
        begun = position - position % self._block_events
        return sum(position - self._start(name, begun, position) for name in names)

    def helps(self, names: Collection[str], position: Position) -> bool:
        """Return True if an overlay can be used for a read."""
        return self._block == position // self._block_events and not self._folded.keys().isdisjoint(names)

    def _start(self, name: str, begun: Position, position: Position) -> Position:
        """Return the position from which a projection has to be folded."""
        folded = self._folded.get(name, 0) if self._block * self._block_events == begun else 0
        return folded if begun <= folded <= position else begun

    def query_at(self, position: Position, names: Collection[str], read: Callable[[Connection], T]) -> T:
        """Return the result of ``read`` as of a position. Raise NotCaughtUp if a projection has not reached it."""
        usable = False  # True while only the read can fail, which leaves the overlays as they are
        try:
            while self._covers(names, position) and (connection := self._past) is not None:
                self._go(connection, position, names)
                with connection.snapshot():
                    if self._state == past.state_of(connection):
                        usable = True
                        return read(connection)
                self.close()  # an erasure, or the first earlier versions: begin again
        except DatabaseDamaged as error:
            self._set_aside(error)
        except BaseException as error:
            if not usable or not isinstance(error, AthenaError) or isinstance(error, StoreUnreachable):
                self.close()
            raise
        raise self._not_caught_up(names)

    def _go(self, connection: PastConnection, position: Position, names: Collection[str]) -> None:
        """Bring the overlays of projections to a position."""
        block = position // self._block_events
        begun = block * self._block_events
        with connection.transaction():
            if not self._state:
                self._state = past.state_of(connection)
            if block != self._block:
                for name in self._folded:
                    self._clear(connection, name)
                self._block, self._folded, self._sizes = block, {}, {}
                connection.begin(block)
            groups: dict[Position, list[Projection]] = {}
            for name in names:
                start = self._start(name, begun, position)
                groups.setdefault(start, []).append(self._by_name[name])
                if name not in self._shadowed:
                    self._shadow(connection, name)
                elif start == begun:
                    self._clear(connection, name)
            for start, projections in groups.items():
                for size in past.fold(connection, projections, self._log, self._views.decode, start, position):
                    self._hold(projections, size, begun)
        self._folded |= dict.fromkeys(names, position)

    def _hold(self, projections: Sequence[Projection], size: int, begun: Position) -> None:
        for projection in projections:
            self._sizes[projection.name] = self._sizes.get(projection.name, 0) + size // len(projections)
        if self.held > OVERLAY_BYTES_MAX:
            raise PastTooLarge(
                f"The events since position {begun} have more than {OVERLAY_BYTES_MAX >> 20} MiB. "
                f"Ask for an earlier position, or for {begun}.",
                {"position": begun},
            )

    def _shadow(self, connection: PastConnection, name: str) -> None:
        for table in self._by_name[name].tables:
            past.shadow(connection, table, self._block_events, has_past=bool(self._state[0]))
        self._shadowed.add(name)

    def _clear(self, connection: PastConnection, name: str) -> None:
        self._sizes.pop(name, None)
        for table in self._by_name[name].tables:
            past.clear(connection, table)

    def _connect(self, name: str) -> Connection:
        self._past = self._views.generations.past(name)
        return self._past

    def close(self) -> None:
        """Close the connection, and drop the overlays."""
        super().close()
        self._past, self._state, self._shadowed, self._block, self._folded, self._sizes = None, (), set(), -1, {}, {}


class PastReaders(Generic[L]):
    """The readers of a process, shared by its threads. Those that were used last are kept."""

    def __init__(self, views: Views, logs: Callable[[], L]) -> None:
        """Opens nothing yet. ``logs`` opens a reader of the log."""
        self._views = views
        self._logs = logs
        self._lock = threading.Lock()
        self._free: list[tuple[PastReader, L]] = []

    def query(self, position: Position, names: Collection[str], read: Callable[[Connection, L], T]) -> T:
        """Return the result of ``read`` as of a position. Raise NotCaughtUp if a projection has not reached it."""
        with self._lock:
            near = min(self._free, key=lambda pair: pair[0].distance(names, position), default=None)
            if near is not None and len(self._free) < READERS_MAX and not near[0].helps(names, position):
                near = None
            if near is not None:
                self._free.remove(near)
        if near is None:
            log = self._logs()
            near = PastReader(self._views, log), log
        try:
            reader, log = near
            return reader.query_at(position, names, lambda rows: read(rows, log))
        finally:
            if near[0].held > KEPT_BYTES_MAX:
                near[0].close()
            with self._lock:
                self._free.append(near)
                spare = self._free.pop(0) if len(self._free) > READERS_MAX else None
            if spare is not None:
                _close(spare)

    def forget(self) -> None:
        """Drop all overlays, except where a read is under way."""
        with self._lock:
            free, self._free = self._free, []
        for pair in free:
            _close(pair)


def _close(pair: tuple[PastReader, LogReader]) -> None:
    reader, log = pair
    reader.close()
    log.close()
