"""The state at the head, in memory: the last row, the guards, and the states of the streams that were used last.

The writer's thread changes it (``log.py`` has the rules). Any thread may read ``head``.
"""

from collections.abc import Iterable
from typing import Any

from athena_core.decider import Decider, category
from athena_core.errors import InternalError
from athena_core.event import Position
from athena_core.log.chain import follows
from athena_core.log.codec import Codec
from athena_core.log.guards import Guards
from athena_core.log.port import Store
from athena_core.log.state_cache import CachedState, StateCache
from athena_core.protocols import Row

CATCH_UP_EVENTS_MAX = 10_000


class CommittedState:
    """What is committed, as this process knows it. No batch that failed leaves anything here."""

    def __init__(self, store: Store, codec: Codec, deciders: Iterable[Decider[Any]]) -> None:
        """Read the head and the guards."""
        self.codec = codec
        self.guards = Guards()
        self.cache = StateCache()
        self._store = store
        self._deciders = {decider.category: decider for decider in deciders}
        self.head, guards = store.snapshot()
        self.guards.load(guards)
        self._forgetful = False

    def decider(self, stream: str) -> Decider[Any]:
        """Return the decider of a stream, by the prefix of its name. Raise InternalError if there is none."""
        decider = self._deciders.get(category(stream))
        if decider is None:
            raise InternalError(f"the stream {stream!r} belongs to no category of this release")
        return decider

    def load(self, stream: str, decider: Decider[Any] | None = None) -> CachedState:
        """Fold a stream from what is stored, by its own decider, and cache it."""
        decider = decider or self.decider(stream)
        entry = CachedState(decider, decider.initial, 0)
        for row in self._store.stream(stream):
            entry = self._advance(entry, row)
        self.remember(stream, entry)  # nothing of a batch is stored yet, so what was read is committed
        return entry

    def _advance(self, entry: CachedState, row: Row) -> CachedState:
        decider = entry.decider
        state = decider.evolve(entry.state, self.codec.decode(row, text=False).event)
        return CachedState(decider, state, row.version, entry.size + len(row.data) + len(row.text or b""))

    def remember(self, stream: str, entry: CachedState) -> None:
        """Cache a committed state, unless its stream is over."""
        if entry.decider.over(entry.state):
            self.cache.drop(stream)
        else:
            self.cache.put(stream, entry)

    def forget(self) -> None:
        """Read again what is committed, before the next batch: one failed, and it may have changed the guards."""
        self._forgetful = True

    def catch_up(self) -> None:
        """Take in what other processes appended since the last batch. Raise InternalError if the log lost events."""
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
        if decider is None:  # of a newer release
            return
        entry = self.cache.get(row.stream)
        if entry is not None:
            self.remember(row.stream, self._advance(entry, row))
        if row.type in decider.guarded:
            for guard in decider.guards(self.codec.decode(row, text=False)):
                self.guards.apply(guard)


def fork_error(head: Position, known: Position) -> InternalError:
    """Return the error of a log that lost events which this process knows up to a position."""
    if head < known:
        return InternalError(f"the log ends at position {head}; {known} was acknowledged")
    return InternalError(f"the log ends at position {head}, but does not continue what was acknowledged at {known}")
