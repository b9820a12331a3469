"""Vacuum of the tables of a schema after an erasure, in attempts that block writers only briefly."""

import time
from typing import Any

import psycopg
from psycopg import errors as pg

from athena_core.log.postgres.session import connect, connection_errors, error_text, scalar

VACUUM_RETRY_SECONDS = 0.05
VACUUM_LOCK_TIMEOUT = "200ms"
"""The time for which one attempt to lock a table may block other transactions."""

REWRITE_RETRY_SECONDS = 2.0
"""The pause after a failed attempt to rewrite a table, so that writers are blocked for at most a tenth of the time."""

REWRITE_BYTES_MAX = 64 << 20
"""The maximum size of a table that is rewritten after an erasure. The rewrite blocks it for about a second."""
SELECT_TABLES = """
    SELECT tablename, pg_total_relation_size(format('%%I.%%I', schemaname, tablename)::regclass)
    FROM pg_tables WHERE schemaname = %s
"""
SELECT_OLDER = """
    SELECT 'the transaction of process ' || pid FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND age(backend_xmin) > age(%(horizon)s::text::xid)
    UNION ALL
    SELECT 'the replication slot ' || slot_name FROM pg_replication_slots WHERE age(xmin) > age(%(horizon)s::text::xid)
    UNION ALL
    SELECT 'the prepared transaction ' || gid FROM pg_prepared_xacts
    WHERE age(transaction) > age(%(horizon)s::text::xid)
    LIMIT 1
"""
"""A reader that may still see rows replaced before a transaction id."""

SELECT_HOLDERS = f"""
    SELECT locked.pid FROM pg_locks locked JOIN pg_stat_activity USING (pid)
    JOIN pg_database ON pg_database.oid = locked.database AND pg_database.datname = current_database()
    WHERE locked.relation = %(table)s::text::regclass AND locked.granted AND pid <> pg_backend_pid()
    AND coalesce(xact_start < clock_timestamp() - interval '{VACUUM_LOCK_TIMEOUT}', TRUE) LIMIT 1
"""
"""A session that has held a lock on a table for so long that an attempt to lock it would probably fail."""


def vacuum(url: str, schema: str, seconds: float, *emptied: str) -> None:
    """Vacuum the tables of a schema once no transaction can see erased rows. First delete all rows of ``emptied``.

    Tables up to ``REWRITE_BYTES_MAX`` are rewritten. In larger tables, free space may hold erased text until PostgreSQL
    reuses it, or ``VACUUM FULL`` rewrites the table. Raise TimeoutError if a transaction or lock lasts longer than
    ``seconds``, OSError if the disk is full.
    """
    until = time.monotonic() + seconds
    with connection_errors(), connect(url, {"lock_timeout": VACUUM_LOCK_TIMEOUT}) as connection:
        tables = {str(name): int(size) for name, size in connection.execute(SELECT_TABLES, (schema,)).fetchall()}
        for name in set(tables).intersection(emptied):
            connection.execute(f"DELETE FROM {schema}.{name}".encode())
        horizon = scalar(connection.execute("SELECT pg_current_xact_id()::xid::text").fetchone())
        while holder := connection.execute(SELECT_OLDER, {"horizon": horizon}).fetchone():
            if time.monotonic() >= until:
                raise TimeoutError(f"{holder[0]} kept old rows of the database for longer than {seconds:g} s")
            time.sleep(VACUUM_RETRY_SECONDS)
        try:
            for table, size in tables.items():
                _vacuum(connection, f"{schema}.{table}", until, full=size <= REWRITE_BYTES_MAX)
        except pg.LockNotAvailable:
            raise TimeoutError(f"{table} of the database was in use for longer than {seconds:g} s") from None
        except pg.DiskFull as error:
            raise OSError(error_text(error)) from error


def _vacuum(connection: psycopg.Connection[tuple[Any, ...]], table: str, until: float, *, full: bool) -> None:
    """Vacuum a table, with retries while it is in use. Raise LockNotAvailable at ``until``.

    ``full`` rewrites it. Writers queue behind such an attempt, so it waits until no session holds the table for long.
    """
    while True:
        pause = VACUUM_RETRY_SECONDS
        if not full or connection.execute(SELECT_HOLDERS.encode(), {"table": table}).fetchone() is None:
            try:
                connection.execute(f"VACUUM {'FULL ' * full}{table}".encode())
                return
            except pg.LockNotAvailable:
                pause = REWRITE_RETRY_SECONDS if full else VACUUM_RETRY_SECONDS
        left = until - time.monotonic()
        if left <= 0:
            raise pg.LockNotAvailable(table)
        time.sleep(min(pause, left))
