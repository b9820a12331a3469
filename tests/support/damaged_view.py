"""Damage to a database of views."""

import os
from pathlib import Path

import apsw


def damage(database: Path, table: str, *, first: bool = False) -> None:
    """Overwrite the last or first page of a table while others have the database open."""
    connection = apsw.Connection(str(database))
    connection.set_busy_timeout(10_000)  # a reader may be in the middle of a page
    page_bytes = connection.execute("PRAGMA page_size").get
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    file = os.open(database, os.O_RDWR)  # stays open: to close it would drop the locks that SQLite has here
    root = os.pread(file, page_bytes, (page - 1) * page_bytes)
    if root[0] in (2, 5):  # it has children
        place = int.from_bytes(root[12:14], "big") if first else 8
        page = int.from_bytes(root[place : place + 4], "big")
    os.pwrite(file, b"\xff" * page_bytes, (page - 1) * page_bytes)
    connection.close()
