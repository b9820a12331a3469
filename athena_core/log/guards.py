"""The guard rows at the head, in memory."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec.structs import replace

from athena_core.event import Guard
from athena_core.log.port import StoredGuard


class Guards:
    """The guard rows at the head, in memory: what is occupied, by kind and key, oldest first."""

    def __init__(self) -> None:
        """Start empty."""
        self._kinds: dict[str, dict[str, tuple[str | int, ...]]] = {}
        self._words: dict[str, dict[str, int]] = {}

    def load(self, rows: Iterable[StoredGuard]) -> None:
        """Replace everything by what is stored."""
        self._kinds.clear()
        self._words.clear()
        for kind, key, value in rows:
            self._kinds.setdefault(kind, {})[key] = value
            self._tally(kind, value, 1)

    def of(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        """The rows of a kind by key, oldest first; read-only."""
        return MappingProxyType(self._kinds.get(kind) or {})

    def count(self, kind: str, word: str) -> int:
        """Return how many rows of a kind hold a word."""
        words = self._words.get(kind)
        return words.get(word, 0) if words else 0

    def apply(self, guard: Guard) -> Guard | None:
        """Make one change; the change as the row has it then, None if it changed nothing."""
        rows = self._kinds.setdefault(guard.kind, {})
        old = rows.get(guard.key)
        if guard.value is None and (old is None or guard.held not in (None, old)):
            return None
        if guard.adds:
            guard = _added(guard, old)
        if old is not None:
            del rows[guard.key]
            self._tally(guard.kind, old, -1)
        if guard.value is not None:
            rows[guard.key] = guard.value
            self._tally(guard.kind, guard.value, 1)
        return guard

    def _tally(self, kind: str, value: tuple[str | int, ...], change: int) -> None:
        """Count the words of a row in or out."""
        words = self._words.setdefault(kind, {})
        for word in value:
            if type(word) is str:
                count = words.get(word, 0) + change
                if count:
                    words[word] = count
                else:
                    del words[word]


def _added(guard: Guard, old: tuple[str | int, ...] | None) -> Guard:
    """The change that sets a row to its sum."""
    if guard.value is None or old is None or old[:-1] != guard.value[:-1]:
        return guard
    return replace(guard, value=(*old[:-1], int(old[-1]) + int(guard.value[-1])))
