"""The executors of a log in PostgreSQL (``port.ExecutorRegistry``): each has a row, and a lock held by its session."""

import time
from contextlib import suppress

import psycopg

from athena_core.log.port import ExecutorHeartbeat, RegisteredExecutor
from athena_core.log.postgres.session import LOCK_CLASS, PostgresSession, connection_errors

EXECUTOR_LOCK_CLASS = LOCK_CLASS + 1
"""The class of executor locks; the object is the number of the executor's row."""

RESTART_SECONDS = 5.0
"""The time after a restart or failover, which ends all sessions, in which a free lock does not prove a loss."""
NEVER_SECONDS = 1e9

NEXT_NUMBER = (
    "INSERT INTO meta (name, value) VALUES ('executor', '1')"
    " ON CONFLICT (name) DO UPDATE SET value = (meta.value::bigint + 1)::text RETURNING value"
)
INSERT = (
    "INSERT INTO executor (name, number, count, about, counted_at) VALUES (%s, %s, %s, %s, now())"
    " ON CONFLICT (name) DO NOTHING"
)
TAKE = f"SELECT pg_try_advisory_lock({EXECUTOR_LOCK_CLASS}, %s)"
COUNT = "UPDATE executor SET count = %s, about = %s, counted_at = now() WHERE name = %s"
HELD = f"""EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = {EXECUTOR_LOCK_CLASS} AND objid = number::oid
    AND objsubid = 2 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)"""
UP = "now() - pg_postmaster_start_time() > make_interval(secs => %s)"
LOOK = f"SELECT count, NOT {HELD} AND {UP} FROM executor WHERE name = %s"
EVERYBODY = (
    f"SELECT name, about, (extract(epoch FROM counted_at) * 1000)::bigint, NOT {HELD} AND {UP}"
    " FROM executor ORDER BY number"
)
FORGET = f"DELETE FROM executor WHERE name <> %s AND name <> ALL(%s::text[]) AND NOT {HELD} AND {UP}"
SELECT_RUNNING = f"SELECT name FROM executor WHERE {HELD} LIMIT 1"
COUNT_ALL = "SELECT count(*) FROM executor"
ALONE_SECONDS = 1.0
"""The time for which the last result of ``alone`` is reused."""

LEAVE = "DELETE FROM executor WHERE name = %s"


class PostgresExecutorRegistry:
    """An executor, registered while its session lasts. A new session takes the lock and the row again."""

    def __init__(self, url: str, executor: str, about: bytes) -> None:
        """Register the executor. Raise StoreUnreachable."""
        self.executor = executor
        self._about = about
        self._count = 0
        self._alone = False
        self._counted_at = -ALONE_SECONDS
        # heartbeats need not be durable or replicated
        self._session = PostgresSession(url, {"statement_timeout": "10s", "synchronous_commit": "off"})
        self._holder: psycopg.Connection[tuple[object, ...]] | None = None
        self._lost_at = -RESTART_SECONDS
        """The time of the last reconnect. After a failover, other executors may not have reconnected yet."""
        with connection_errors():
            connection = self._session.connection()
            with connection.transaction():
                connection.execute("SET LOCAL synchronous_commit TO local")
                row = connection.execute(NEXT_NUMBER).fetchone()
            assert row is not None
            self._number = int(str(row[0]))  # unique, because a lost session may still hold the lock of its number
            self._hold()

    def _hold(self) -> psycopg.Connection[tuple[object, ...]]:
        """Return the session that holds the lock.

        After a reconnect, write the row again under the lock, because another executor may have deleted it.
        """
        connection = self._session.connection()
        if connection is not self._holder and connection.execute(TAKE, (self._number,)).fetchone() == (True,):
            connection.execute(INSERT, (self.executor, self._number, self._count, self._about))
            if self._holder is not None:
                self._lost_at = time.monotonic()
            self._holder = connection
        return connection

    def _quiet(self) -> float:
        """Return the uptime of the server, in seconds, from which a free lock proves that its holder has ended."""
        return RESTART_SECONDS if time.monotonic() - self._lost_at > RESTART_SECONDS else NEVER_SECONDS

    def beat(self, counter: int, about: bytes) -> None:
        """Write the counter and the description (JSON) of this executor. Raise StoreUnreachable."""
        with connection_errors():
            self._count, self._about = counter, about
            if self._hold().execute(COUNT, (counter, about, self.executor)).rowcount == 0:
                self._holder = None  # deleted just before the lock was taken again; register again

    def heartbeat(self, executor: str) -> ExecutorHeartbeat | None:
        """Return the heartbeat of another executor, or None if it has deregistered."""
        with connection_errors():
            row = self._hold().execute(LOOK, (self._quiet(), executor)).fetchone()
        return None if row is None else ExecutorHeartbeat(int(str(row[0])), bool(row[1]))

    def registered(self) -> list[RegisteredExecutor]:
        """Return all registered executors, including lost ones until they are forgotten."""
        with connection_errors():
            rows = self._hold().execute(EVERYBODY, (self._quiet(),)).fetchall()
        return [
            RegisteredExecutor(str(name), about, int(str(at)), bool(free))
            for name, about, at, free in rows
            if isinstance(about, bytes)
        ]

    def forget(self, kept: set[str]) -> None:
        """Forget executors whose locks are free, except ``kept``."""
        with connection_errors():
            self._hold().execute(FORGET, (self.executor, sorted(kept), self._quiet()))

    def alone(self) -> bool:
        """Return True if no other executor is registered. The result may be a second old."""
        now, session = time.monotonic(), self._holder
        if now - self._counted_at >= ALONE_SECONDS and session is not None:
            self._counted_at, self._alone = now, False
            with suppress(psycopg.Error):
                self._alone = session.execute(COUNT_ALL).fetchone() == (1,)
        return self._alone

    def leave(self) -> None:
        with suppress(OSError, psycopg.Error), connection_errors():
            self._hold().execute(LEAVE, (self.executor,))
        self._session.close()
