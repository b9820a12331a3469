"""Removal of erased text from the files of a database."""

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import apsw

from athena_core.log.sqlite.connection import open_writer

TRY_MS = 50
"""The time for which one attempt to empty the WAL may block writers, in milliseconds."""


def scrub(path: Path, seconds: float, *statements: str) -> None:
    """Run statements on a database and empty its WAL, so that no old content remains in the files.

    A reader with an old snapshot prevents this. Each attempt is short, because it blocks all writers. Raise OSError
    after ``seconds``.
    """
    until = time.monotonic() + seconds
    try:
        with closing(open_writer(path, "FULL")) as connection:
            connection.set_busy_timeout(TRY_MS)
            for statement in statements:
                _retried(partial(connection.execute, statement), until)
            _retried(partial(connection.wal_checkpoint, mode=apsw.SQLITE_CHECKPOINT_TRUNCATE), until)
    except apsw.BusyError:
        raise TimeoutError(f"other processes used {path.name} without a pause of {seconds:g} s") from None
    except apsw.Error as error:
        raise OSError(f"{path.name}: {error}") from error


def _retried(attempt: Callable[[], object], until: float) -> None:
    """Repeat ``attempt`` while the database is busy. Raise BusyError once the time is up."""
    while True:
        try:
            attempt()
            return
        except apsw.BusyError:
            if time.monotonic() >= until:
                raise
        time.sleep(TRY_MS / 1_000)
