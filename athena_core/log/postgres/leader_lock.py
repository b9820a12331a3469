"""Locks between processes: a session that holds an advisory lock, and does the work under it.

So a process that lost the lock lost the means to change anything: an updater that slept and wakes finds its session
gone, and its transaction too.
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
"""The time without a sign of life after which the session of a holder is ended."""

LOOK_SECONDS_MAX = 2.0
OPTIONS = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "client_min_messages": "warning",
    "synchronous_commit": "off",
    **PLANS,
}
"""Views can be built anew: their commits need not wait for the disk."""
TRY_LOCK = f"SELECT pg_try_advisory_lock({LOCK_CLASS}, %s)"
SELECT_HOLDER = f"""
    SELECT pid, state_change::text FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND classid = {LOCK_CLASS} AND objid = %s AND objsubid = 2 AND granted
    AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
END_SESSION = "SELECT pg_terminate_backend(%s)"


class PostgresLeaderLock:
    """An advisory lock, held by a session that works under it (``protocols.LeaderLock``)."""

    def __init__(self, url: str, number: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Connect nothing yet."""
        self._url = url
        self._number = number
        self._monotonic = monotonic
        self._session: DriverConnection | None = None
        self._holds = False
        self._beat_at = 0.0
        self.path = SCHEMA
        """The schema in which the session finds tables."""
        self._seen: tuple[Any, ...] | None = None
        self._looked_at = 0.0
        self._still_seconds = 0.0

    @property
    def session(self) -> DriverConnection:
        """The session that holds the lock. Raises StoreUnreachable where it does not any more."""
        if self._session is None or self._session.closed or not self._holds:
            raise StoreUnreachable("the session that held a lock is over")
        return self._session

    @property
    def held(self) -> bool:
        """True if this object holds the lock; gives a sign of life from time to time. Raise StoreUnreachable."""
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
        """End the session of a holder that gives no sign of life; our own clock says for how long."""
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
        """Let go, if held; a transaction that is open is rolled back."""
        held, self._holds = self._holds, False
        if self._session is not None:
            with suppress(psycopg.Error):
                if held:
                    self._session.execute("ROLLBACK")
                    self._session.execute("SELECT pg_advisory_unlock_all()")  # the end of a session comes later
                self._session.close()
            self._session = None


def named_lock(url: str, name: str) -> PostgresLeaderLock:
    """The lock of that name."""
    return PostgresLeaderLock(url, {"reactor": REACTOR_LOCK}[name])
