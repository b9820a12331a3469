"""The state at the head, in memory: the last row, the guards, and the states of recently used streams.

The writer's thread changes it (``writer.py`` has the rules). Any thread may read ``head``.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

from athena_core.decider import Decider, category
from athena_core.errors import InternalError
from athena_core.event import Position
from athena_core.log.chain import follows
from athena_core.log.codec import Codec
from athena_core.log.guards import Guards
from athena_core.log.port import Store
from athena_core.protocols import Row

CATCH_UP_EVENTS_MAX = 10_000
CACHE_BYTES_MAX = 64 << 20
CACHED_STATE_BYTES = 1_024


class CachedState(NamedTuple):
    """A cached stream; ``size`` estimates its memory: stored bytes plus a fixed overhead."""

    decider: Decider[Any]
    state: Any
    version: int
    size: int = CACHED_STATE_BYTES


class StateCache:
    """An LRU cache of committed states by stream, bounded by bytes."""

    def __init__(self, limit: int = CACHE_BYTES_MAX) -> None:
        """Start empty; ``limit`` in bytes."""
        self._entries: OrderedDict[str, CachedState] = OrderedDict()
        self._limit = limit
        self._size = 0

    def get(self, stream: str) -> CachedState | None:
        """Return the entry and mark it as the most recently used."""
        entry = self._entries.get(stream)
        if entry is not None:
            self._entries.move_to_end(stream)
        return entry

    def put(self, stream: str, entry: CachedState) -> None:
        """Add an entry; evict others above the limit."""
        old = self._entries.pop(stream, None)
        self._size += entry.size - (old.size if old else 0)
        self._entries[stream] = entry
        while self._size > self._limit and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self._size -= dropped.size

    def drop(self, stream: str) -> None:
        """Remove an entry, if present."""
        entry = self._entries.pop(stream, None)
        if entry is not None:
            self._size -= entry.size

    def clear(self) -> None:
        self._entries.clear()
        self._size = 0


class CommittedState:
    """The committed state known to this process. A failed batch leaves nothing here."""

    def __init__(self, store: Store, codec: Codec, deciders: Iterable[Decider[Any]]) -> None:
        """Read the head and the guards."""
        self.codec = codec
        self.guards = Guards()
        self.cache = StateCache()
        self._store = store
        self._deciders = {decider.category: decider for decider in deciders}
        self.checks = tuple(decider.check for decider in self._deciders.values() if decider.check is not None)
        self.head, guards = store.snapshot()
        self.guards.load(guards)
        self._forgetful = False

    def decider(self, stream: str) -> Decider[Any]:
        """Return the decider of a stream, by the prefix of its name. Raise InternalError if there is none."""
        decider = self._deciders.get(category(stream))
        if decider is None:
            raise InternalError(f"stream {stream!r} has no category in this release")
        return decider

    def load(self, stream: str, decider: Decider[Any] | None = None) -> CachedState:
        """Fold a stream from its stored rows, and cache its state."""
        decider = decider or self.decider(stream)
        entry = CachedState(decider, decider.initial, 0)
        for row in self._store.stream(stream):
            entry = self._advance(entry, row)
        self.remember(stream, entry)  # the batch is not stored yet, so all rows read are committed
        return entry

    def _advance(self, entry: CachedState, row: Row) -> CachedState:
        decider = entry.decider
        state = decider.evolve(entry.state, self.codec.decode(row, text=False).event)
        return CachedState(decider, state, row.version, entry.size + len(row.data) + len(row.text or b""))

    def remember(self, stream: str, entry: CachedState) -> None:
        """Cache a committed state; drop it if its stream has ended."""
        if entry.decider.over(entry.state):
            self.cache.drop(stream)
        else:
            self.cache.put(stream, entry)

    def forget(self) -> None:
        """Reload the committed state before the next batch. A failed batch may have changed the guards."""
        self._forgetful = True

    def catch_up(self) -> None:
        """Apply rows that other processes appended since the last batch. Raise InternalError if the log lost events."""
        found, known = self._store.head(), self.head
        missed = found.position - known.position
        fold = not self._forgetful and missed <= CATCH_UP_EVENTS_MAX
        rows = self._store.rows(known.position, missed if fold else 1) if missed > 0 else []
        if not (follows(known.chain, rows) if missed > 0 else found.chain == known.chain):
            raise fork_error(found.position, known.position)
        if not fold:
            self.cache.clear()
            self.guards.load(self._store.guards())
        elif missed:
            for row in rows:
                self._take_in(row)
        self.head, self._forgetful = found, False

    def _take_in(self, row: Row) -> None:
        decider = self._deciders.get(category(row.stream))
        if decider is None:  # from a newer release
            return
        entry = self.cache.get(row.stream)
        if entry is not None:
            self.remember(row.stream, self._advance(entry, row))
        if row.type in decider.guarded:
            for guard in decider.guards(self.codec.decode(row, text=False)):
                self.guards.apply(guard)


def fork_error(head: Position, known: Position) -> InternalError:
    """Return the error for a log that lost acknowledged events."""
    if head < known:
        return InternalError(f"the log ends at position {head} but position {known} was acknowledged")
    return InternalError(
        f"the log ends at position {head} but does not continue the event acknowledged at position {known}"
    )
