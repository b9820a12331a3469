"""What PostgreSQL does for the statements of the log: none of them reads a table from end to end."""

import os
from pathlib import Path

import psycopg
import pytest

from athena_core.clock import CountingIds
from athena_core.protocols import Row
from athena_core.store import postgres

EVENTS, KEYS = 5_000, 20_000
STATEMENTS = {
    "a page": (postgres.SELECT_PAGE, "bigint, bigint, bigint", "4000, 5000, 500"),
    "what is shown of a page": (postgres.SELECT_SHOWN, "bigint, bigint, bigint", "4000, 5000, 500"),
    "a stream": (postgres.SELECT_STREAM, "text, bigint, bigint", "'dir_7', 0, 100"),
    "a session": (postgres.SELECT_SESSION, "text, bigint, bigint", "'s_7', 5000, 500"),
    "the head": (postgres.SELECT_HEAD, "", ""),
    "the last position": (postgres.SELECT_POSITION, "", ""),
    "some keys": (postgres.SELECT_BOUND, "bytea[]", "ARRAY['\\x00'::bytea]"),
    "keys that are too old": (postgres.EXPIRE_KEYS, "bigint", "5"),
}


@pytest.fixture
def filled(database: str, tmp_path: Path) -> str:
    """A database whose log and keys are many, none of them old."""
    store = postgres.PostgresStore(database, tmp_path, CountingIds())
    columns = [
        (*(number, f"dir_{number}", 1, "x", 1, number, "cmd", "t", None, "a", f"s_{number}", None), b"{}", None, b"h")
        for number in range(1, EVENTS + 1)
    ]
    with store.exclusive():
        store.insert([Row(*row, None, os.urandom(32), None) for row in columns])
        store.put_keys([(os.urandom(32), b"f", 10**12 + number, 1, 1, None, None) for number in range(KEYS)])
    store.close()
    return database


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_statement_reads_a_table_from_end_to_end(filled: str, statement: str) -> None:
    text, kinds, values = STATEMENTS[statement]
    numbered = text.replace("%b::bytea[]", "%s")
    for number in range(1, kinds.count(",") + 2 if kinds else 1):
        numbered = numbered.replace("%s", f"${number}", 1)
    with psycopg.connect(filled, autocommit=True, options="-c search_path=athena") as session:
        session.execute("SET plan_cache_mode = force_generic_plan")  # that of a statement that is often run
        session.execute(f"PREPARE plan{f'({kinds})' if kinds else ''} AS {numbered}".encode())
        for _ in range(2):
            rows = session.execute(f"EXPLAIN EXECUTE plan{f'({values})' if values else ''}".encode()).fetchall()
            plan = "\n".join(line for (line,) in rows)
            assert "Seq Scan" not in plan, plan
            session.execute("ANALYZE")
