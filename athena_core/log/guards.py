"""The guard rows at the head, in memory."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec.structs import replace

from athena_core.event import Guard
from athena_core.log.port import StoredGuard


class Guards:
    """The guard rows at the head, in memory, by kind and key, oldest first."""

    def __init__(self) -> None:
        """Start empty."""
        self._kinds: dict[str, dict[str, tuple[str | int, ...]]] = {}
        self._words: dict[str, dict[str, int]] = {}

    def load(self, rows: Iterable[StoredGuard]) -> None:
        """Replace all rows with the stored ones."""
        self._kinds.clear()
        self._words.clear()
        for kind, key, value in rows:
            self._kinds.setdefault(kind, {})[key] = value
            self._tally(kind, value, 1)

    def of(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        """Return a read-only view of the rows of a kind by key, oldest first."""
        return MappingProxyType(self._kinds.get(kind) or {})

    def count(self, kind: str, word: str) -> int:
        """Return the number of rows of a kind that contain a word."""
        words = self._words.get(kind)
        return words.get(word, 0) if words else 0

    def apply(self, guard: Guard) -> Guard | None:
        """Apply one change. Return it with the resulting value, or None if nothing changed."""
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
        """Add ``change`` to the counts of a row's words."""
        words = self._words.setdefault(kind, {})
        for word in value:
            if type(word) is str:
                count = words.get(word, 0) + change
                if count:
                    words[word] = count
                else:
                    del words[word]


def _added(guard: Guard, old: tuple[str | int, ...] | None) -> Guard:
    """Return the change with the old count added."""
    if guard.value is None or old is None or old[:-1] != guard.value[:-1]:
        return guard
    return replace(guard, value=(*old[:-1], int(old[-1]) + int(guard.value[-1])))
