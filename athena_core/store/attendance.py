"""Who is at work on a log in PostgreSQL: a row for each, and a lock that its session holds (``port.Attendance``)."""

from contextlib import suppress

import psycopg

from athena_core.store.port import Seen
from athena_core.store.postgres import LOCK_CLASS, Line, translated

ATTENDANCE_CLASS = LOCK_CLASS + 1
"""The first half of the locks of those who attend; the second is the number of their row."""

RESTART_SECONDS = 5.0
"""How long after a start of the server, which ends all sessions, a free lock does not mean that anybody is dead."""

INSERT = (
    "INSERT INTO executor (name, number, count)"
    " SELECT %s, coalesce(max(number), 0) + 1, 0 FROM executor RETURNING number"
)
TAKE = f"SELECT pg_try_advisory_lock({ATTENDANCE_CLASS}, %s)"
COUNT = "UPDATE executor SET count = %s WHERE name = %s"
HELD = f"""EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = {ATTENDANCE_CLASS} AND objid = number::oid
    AND objsubid = 2 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)"""
UP = "now() - pg_postmaster_start_time() > make_interval(secs => %s)"
LOOK = f"SELECT count, NOT {HELD} AND {UP} FROM executor WHERE name = %s"
FORGET = f"DELETE FROM executor WHERE name <> %s AND name <> ALL(%s::text[]) AND NOT {HELD} AND {UP}"
AT_WORK = f"SELECT name FROM executor WHERE {HELD} LIMIT 1"
LEAVE = "DELETE FROM executor WHERE name = %s"
LOCK_TABLE = "LOCK TABLE executor IN SHARE ROW EXCLUSIVE MODE"


class SessionAttendance:
    """One of those who attend, as long as its session lasts; a new one takes the lock again, if it is not too late."""

    def __init__(self, url: str, executor: str) -> None:
        """Take a row and its lock. Raises StoreUnreachable."""
        self.executor = executor
        self._line = Line(url, {"statement_timeout": "10s"})
        self._session: psycopg.Connection[tuple[object, ...]] | None = None
        with translated():
            connection = self._line.connection()
            with connection.transaction():
                connection.execute(LOCK_TABLE)  # two who come at once take two numbers
                row = connection.execute(INSERT, (executor,)).fetchone()
        assert row is not None
        self._number = int(row[0])
        self._hold()

    def _hold(self) -> psycopg.Connection[tuple[object, ...]]:
        """The session that holds the lock."""
        connection = self._line.connection()
        if connection is not self._session:
            connection.execute(TAKE, (self._number,))
            self._session = connection
        return connection

    def count(self, count: int) -> None:
        """Write one's counter. Raises StoreUnreachable."""
        with translated():
            self._hold().execute(COUNT, (count, self.executor))

    def look(self, executor: str) -> Seen | None:
        """How somebody else is; None where they left in order."""
        with translated():
            row = self._hold().execute(LOOK, (RESTART_SECONDS, executor)).fetchone()
        return None if row is None else Seen(int(str(row[0])), bool(row[1]))

    def forget(self, kept: set[str]) -> None:
        """Forget those whose locks are free, but for some."""
        with translated():
            self._hold().execute(FORGET, (self.executor, sorted(kept), RESTART_SECONDS))

    def alone(self) -> bool:
        """Nobody counts on it: what several processes share is not gathered."""
        return False

    def leave(self) -> None:
        """Leave in order."""
        with suppress(OSError, psycopg.Error), translated():
            self._hold().execute(LEAVE, (self.executor,))
        self._line.close()
