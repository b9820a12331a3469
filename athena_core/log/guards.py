"""The guard rows at the head, in memory."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec.structs import replace

from athena_core.event import Guard
from athena_core.log.port import StoredGuard

NO_ROWS: Mapping[str, tuple[str | int, ...]] = MappingProxyType({})


class Guards:
    """The guard rows at the head, in memory, by kind and key, oldest first."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, tuple[str | int, ...]]] = {}
        self._views: dict[str, Mapping[str, tuple[str | int, ...]]] = {}
        self._words: dict[str, dict[str, int]] = {}

    def load(self, rows: Iterable[StoredGuard]) -> None:
        """Replace all rows with the stored ones."""
        for known in (self._kinds, self._views, self._words):
            known.clear()
        for kind, key, value in rows:
            self.apply(Guard(kind=kind, key=key, value=value))

    def of(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        """Return a read-only view of the rows of a kind by key, oldest first."""
        return self._views.get(kind, NO_ROWS)

    def count(self, kind: str, word: str) -> int:
        """Return the number of rows of a kind that contain a word."""
        words = self._words.get(kind)
        return words.get(word, 0) if words else 0

    def apply(self, guard: Guard) -> Guard | None:
        """Apply one change. Return it with the resulting value, or None if nothing changed."""
        kind, key, rows = guard.kind, guard.key, self._kinds.get(guard.kind)
        if rows is None:
            rows = self._kinds[kind] = {}
            self._views[kind], self._words[kind] = MappingProxyType(rows), {}
        old, words = rows.get(key), self._words[kind]
        if guard.value is None and (old is None or guard.held not in (None, old)):
            return None
        if guard.adds:
            guard = _added(guard, old)
        if old is not None:
            del rows[key]
            for word in old:
                if type(word) is str:
                    words[word] -= 1
                    if not words[word]:
                        del words[word]
        if guard.value is not None:
            rows[key] = guard.value
            for word in guard.value:
                if type(word) is str:
                    words[word] = words.get(word, 0) + 1
        return guard


def _added(guard: Guard, old: tuple[str | int, ...] | None) -> Guard:
    """Return the change with the old count added."""
    if guard.value is None or old is None or old[:-1] != guard.value[:-1]:
        return guard
    return replace(guard, value=(*old[:-1], int(old[-1]) + int(guard.value[-1])))
