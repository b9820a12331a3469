"""The newest rows of this process, still in memory: a follower close behind the head need not read them back."""

import threading
from collections import deque
from collections.abc import Sequence

from athena_core.event import Position
from athena_core.protocols import LogReader, PublicCells, Row
from athena_core.values import PAGE_BYTES_MAX

BYTES_MAX = 4 << 20
ROW_BYTES = 1_024
"""The estimated memory of a row beside its payload and text."""


class RecentRows:
    """The rows of the last commits of this process, one after another without a gap, until they are taken.

    Safe from any thread.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._commits: deque[tuple[Sequence[Row], int]] = deque()
        self._size = 0
        self._lock = threading.Lock()

    def put(self, rows: Sequence[Row], stored: int) -> None:
        """Take the rows of a commit, of ``stored`` bytes; what comes before a gap, or is too much, is forgotten."""
        size = stored + ROW_BYTES * len(rows)
        with self._lock:
            while self._commits and (
                self._size + size > BYTES_MAX or self._commits[-1][0][-1].position + 1 != rows[0].position
            ):
                self._forget_oldest()
            self._commits.append((rows, size))
            self._size += size

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._commits.clear()
            self._size = 0

    def after(self, position: Position, limit: int) -> list[Row]:
        """The rows that follow a position, at most ``limit``; none if they are not here. Those before it are forgotten.

        A caller that asks for later ones has had those; others find them in the database.
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
    """Reads the log as another reader does (``protocols.LogReader``), but what is recent from memory."""

    def __init__(self, reader: LogReader, recent: RecentRows) -> None:
        """Take over a reader."""
        self.log_id = reader.log_id
        self._reader = reader
        self._recent = recent

    def head(self) -> Position:
        """The last position that is committed by any process."""
        return self._reader.head()

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Rows with ``after < position <= until`` in order, at most ``limit``."""
        return (until is None and self._recent.after(after, limit)) or self._reader.rows(after, limit, until)

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = PAGE_BYTES_MAX
    ) -> Sequence[PublicCells]:
        """Return the public columns of the same rows."""
        return self._reader.shown(after, limit, until, bytes_max)

    def row(self, position: Position) -> Row | None:
        """One row."""
        return self._reader.row(position)

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()
