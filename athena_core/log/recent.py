"""A cache of the newest rows of this process, so that followers near the head need not read the database."""

import threading
from collections import deque
from collections.abc import Sequence

from athena_core.event import Position
from athena_core.protocols import LogReader, PublicCells, Row
from athena_core.values import PAGE_BYTES_MAX

BYTES_MAX = 4 << 20
ROW_BYTES = 1_024
"""The estimated memory of a row, without payload and text."""


class RecentRows:
    """The rows of the latest commits of this process, without gaps, until they are taken. Thread-safe."""

    def __init__(self) -> None:
        self._commits: deque[tuple[Sequence[Row], int]] = deque()
        self._size = 0
        self._lock = threading.Lock()

    def put(self, rows: Sequence[Row], stored: int) -> None:
        """Add the rows of a commit, of ``stored`` bytes. Drop rows before a gap or above the limit."""
        size = stored + ROW_BYTES * len(rows)
        with self._lock:
            while self._commits and (
                self._size + size > BYTES_MAX or self._commits[-1][0][-1].position + 1 != rows[0].position
            ):
                self._forget_oldest()
            self._commits.append((rows, size))
            self._size += size

    def clear(self) -> None:
        with self._lock:
            self._commits.clear()
            self._size = 0

    def after(self, position: Position, limit: int) -> list[Row]:
        """Return up to ``limit`` rows after a position, or none if they are not cached. Drop earlier rows.

        The caller has read the dropped rows; other readers find them in the database.
        """
        found: list[Row] = []
        with self._lock:
            if self._commits and self._commits[0][0][0].position <= position + 1:
                while self._commits and self._commits[0][0][-1].position <= position:
                    self._forget_oldest()
                for rows, _ in self._commits:
                    start = max(position + 1 - rows[0].position, 0)
                    found += rows[start : start + limit - len(found)]
        return found

    def _forget_oldest(self) -> None:
        _, size = self._commits.popleft()
        self._size -= size


class RecentReader:
    """A reader (``protocols.LogReader``) that serves recent rows from memory."""

    def __init__(self, reader: LogReader, recent: RecentRows) -> None:
        """Wrap ``reader``, and own it."""
        self.log_id = reader.log_id
        self._reader = reader
        self._recent = recent

    def head(self) -> Position:
        """Return the last position committed by any process."""
        return self._reader.head()

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Return at most ``limit`` rows with ``after < position <= until``, in order."""
        most = limit if until is None else min(limit, max(until - after, 0))
        return self._recent.after(after, most) or self._reader.rows(after, limit, until)

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = PAGE_BYTES_MAX
    ) -> Sequence[PublicCells]:
        """Return the public columns of these rows."""
        return self._reader.shown(after, limit, until, bytes_max)

    def row(self, position: Position) -> Row | None:
        """Return one row, if present."""
        return self._reader.row(position)

    def close(self) -> None:
        self._reader.close()
