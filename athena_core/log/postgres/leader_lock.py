"""Leader locks: a session holds an advisory lock, and also does the protected work.

So a process that loses the lock cannot change anything: an updater that wakes after a long sleep finds its session and
its transaction gone.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

from athena_core.errors import StoreUnreachable
from athena_core.log.postgres.dialect import DriverConnection, prepared
from athena_core.log.postgres.session import LOCK_CLASS, PLANS, SCHEMA, connect, connection_errors

UPDATER_LOCK, BUILDER_LOCK, REACTOR_LOCK = 3, 4, 5

BEAT_SECONDS = 2.0
FROZEN_SECONDS = 10.0
"""The time without activity after which the session of a holder is terminated."""

LOOK_SECONDS_MAX = 2.0
OPTIONS = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "client_min_messages": "warning",
    "synchronous_commit": "off",
    **PLANS,
}
"""Settings of the session. Commits of views need not be durable, because views can be rebuilt."""
TRY_LOCK = f"SELECT pg_try_advisory_lock({LOCK_CLASS}, %s)"
SELECT_HOLDER = f"""
    SELECT pid, state_change::text FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND classid = {LOCK_CLASS} AND objid = %s AND objsubid = 2 AND granted
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
END_SESSION = "SELECT pg_terminate_backend(%s)"


class PostgresLeaderLock:
    """An advisory lock, held by the session that does the work (``protocols.LeaderLock``)."""

    def __init__(self, url: str, number: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Connect at the first ``acquire``."""
        self._url = url
        self._number = number
        self._monotonic = monotonic
        self._session: DriverConnection | None = None
        self._holds = False
        self._beat_at = 0.0
        self.path = SCHEMA
        """The search path of the session."""
        self._seen: tuple[Any, ...] | None = None
        self._looked_at = 0.0
        self._still_seconds = 0.0

    @property
    def session(self) -> DriverConnection:
        """The session that holds the lock. Raise StoreUnreachable if it has lost the lock."""
        if self._session is None or self._session.closed or not self._holds:
            raise StoreUnreachable("the session that held the lock has ended")
        return self._session

    @property
    def held(self) -> bool:
        """True if this object holds the lock. Also keeps the session active. Raise StoreUnreachable."""
        if not self._holds:
            return False
        now = self._monotonic()
        if now - self._beat_at >= BEAT_SECONDS:
            with connection_errors():
                self.session.execute("SELECT 1")
            self._beat_at = now
        return True

    def acquire(self) -> bool:
        """Try to take the lock, without waiting. Return True if this object holds it now."""
        if self._holds and self._session is not None and not self._session.closed:
            return True
        self._holds = False
        with connection_errors():
            if self._session is None or self._session.closed:
                self._session = prepared(connect(self._url, OPTIONS))
                self.path = SCHEMA
            self._holds = self._session.execute(TRY_LOCK, (self._number,)).fetchone() == (True,)
            if not self._holds:
                self._end_frozen(self._session)
        self._beat_at = self._monotonic()
        return self._holds

    def _end_frozen(self, session: DriverConnection) -> None:
        """Terminate the session of an inactive holder. This process measures the inactivity with its own clock."""
        now = self._monotonic()
        seen = session.execute(SELECT_HOLDER, (self._number,)).fetchone()
        if seen is None or seen != self._seen or seen[1] is None:
            self._seen, self._still_seconds = seen, 0.0
        else:
            self._still_seconds += min(now - self._looked_at, LOOK_SECONDS_MAX)
            if self._still_seconds >= FROZEN_SECONDS:
                session.execute(END_SESSION, (seen[0],))
        self._looked_at = now

    def release(self) -> None:
        """Release the lock, if held, and roll back an open transaction."""
        held, self._holds = self._holds, False
        if self._session is not None:
            with suppress(psycopg.Error):
                if held:
                    self._session.execute("ROLLBACK")
                    self._session.execute("SELECT pg_advisory_unlock_all()")  # the server ends a session with a delay
                self._session.close()
            self._session = None


def named_lock(url: str, name: str) -> PostgresLeaderLock:
    """Return the lock with this name."""
    return PostgresLeaderLock(url, {"reactor": REACTOR_LOCK}[name])
