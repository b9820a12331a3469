"""The dialect: translates statements and values of the views from SQLite to PostgreSQL."""

import re
from functools import lru_cache
from typing import Any, TypeAlias

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader

from athena_core.protocols import Cell

DriverConnection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


class BoolDumper(Dumper):
    """Stores booleans as 0 or 1, like SQLite."""

    oid = psycopg.adapters.types["int8"].oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class BoolLoader(Loader):
    """Reads booleans as 0 or 1, like SQLite."""

    def load(self, data: Buffer) -> int:
        """Parse ``t`` or ``f``."""
        return int(bytes(data) == b"t")


class NumericLoader(Loader):
    """Reads sums of integers as integers."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text else int(text)


TYPES = {"INTEGER": "BIGINT", "BLOB": "BYTEA", "TEXT": 'TEXT COLLATE "C"'}
OF_SQLITE = re.compile(r"\b(INTEGER|BLOB|TEXT)\b")
TABLE_OPTIONS = re.compile(r"\) STRICT(, WITHOUT ROWID)?$")
INSERTING = re.compile(r"INSERT INTO (\w+) \(([\w, ]+)\) VALUES \([?, ]+?(?:, (\d+))?\)(.*)")
QUOTED = re.compile(r"'[^']*'|\?|%")


@lru_cache(maxsize=4_096)
def dialect(statement: str) -> str:
    """Translate a statement of the views for PostgreSQL and its driver."""
    if statement.startswith(("CREATE TABLE", "CREATE TEMP TABLE")):
        statement = TABLE_OPTIONS.sub(")", OF_SQLITE.sub(lambda found: TYPES[found[0]], statement))
    return QUOTED.sub(lambda found: {"?": "%s", "%": "%%"}.get(found[0], found[0].replace("%", "%%")), statement)


def as_number(cell: Cell) -> Cell:
    """Return a boolean as 0 or 1, other cells unchanged."""
    return int(cell) if cell is True or cell is False else cell


def prepared(session: DriverConnection) -> DriverConnection:
    """Make a session exchange values like SQLite."""
    session.adapters.register_dumper(bool, BoolDumper)
    session.adapters.register_loader("bool", BoolLoader)
    session.adapters.register_loader("numeric", NumericLoader)
    return session
