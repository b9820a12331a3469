"""Pages of a log that may be damaged: unreadable rows are skipped."""

from collections.abc import Sequence

from athena_core.event import Position
from athena_core.protocols import LogReader, Row
from athena_core.services.proof.rule import Violation

UNREADABLE_MAX = 20
"""How many rows may be unreadable before the pass ends; beyond that the whole database is damaged."""


class Pages:
    """The rows of a log up to a position, page by page. A page that cannot be read is read again row by row."""

    def __init__(self, log: LogReader, until: Position, size: int) -> None:
        self._log = log
        self._until = until
        self._size = size
        self._unreadable = self._single = 0

    def after(self, position: Position) -> Sequence[Row] | Violation:
        """Return the rows after a position, none at the end. Return a violation if the next row cannot be read."""
        while self._unreadable < UNREADABLE_MAX:
            limit = 1 if position < self._single else self._size
            try:
                return self._log.rows(position, limit, self._until)
            except Exception as error:  # any error of a damaged database
                self._single = max(self._single, position + self._size)
                if limit == 1:
                    self._unreadable += 1
                    return Violation(rule="readable", reason=f"the row cannot be read: {error}", position=position + 1)
        return ()
