"""The states of the streams that were used last, in memory."""

from collections import OrderedDict
from typing import Any, NamedTuple

from athena_core.decider import Decider

CACHE_BYTES_MAX = 64 << 20
CACHED_STATE_BYTES = 1_024


class CachedState(NamedTuple):
    """A cached stream; ``size`` is what it takes in memory, by a guess: its stored bytes and what an entry needs."""

    decider: Decider[Any]
    state: Any
    version: int
    size: int = CACHED_STATE_BYTES


class StateCache:
    """Committed states by stream, least recently used out first, bounded by their bytes."""

    def __init__(self, limit: int = CACHE_BYTES_MAX) -> None:
        """Start empty; ``limit`` in bytes."""
        self._entries: OrderedDict[str, CachedState] = OrderedDict()
        self._limit = limit
        self._size = 0

    def get(self, stream: str) -> CachedState | None:
        """The entry, which becomes the most recently used."""
        entry = self._entries.get(stream)
        if entry is not None:
            self._entries.move_to_end(stream)
        return entry

    def put(self, stream: str, entry: CachedState) -> None:
        """Keep an entry, and let go of others if the limit is passed."""
        old = self._entries.pop(stream, None)
        self._size += entry.size - (old.size if old else 0)
        self._entries[stream] = entry
        while self._size > self._limit and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self._size -= dropped.size

    def drop(self, stream: str) -> None:
        """Forget an entry, if there is one."""
        entry = self._entries.pop(stream, None)
        if entry is not None:
            self._size -= entry.size

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size = 0
