"""The plans of PostgreSQL for the statements of the log: none reads a whole table."""

import os
from pathlib import Path

import psycopg

from athena_core.clock import CountingIds
from athena_core.log.postgres import reader
from athena_core.log.postgres.statements import SQL
from athena_core.log.postgres.store import EXPIRE_KEYS, SELECT_BOUND, WRITER_OPTIONS, PostgresStore
from athena_core.protocols import Row

EVENTS, KEYS = 5_000, 20_000
SCOPE, NO_SCOPE = "text[], text[], text[], text[]", "NULL, NULL, NULL, NULL"
STATEMENTS = {
    "a page": (SQL.page, "bigint, bigint, bigint", "4000, 5000, 500"),
    "what is shown of a page": (
        reader.SELECT_SHOWN,
        "bigint, bigint, bigint, bigint, bigint",
        "4000, 5000, 500, 9999, 4001",
    ),
    "a stream": (SQL.stream, "text, bigint, bigint", "'dir_7', 0, 100"),
    "a session": (reader.SELECT_SESSION, "text, bigint, bigint, bigint", "'s_7', 5000, 0, 500"),
    "what a diff reads": (
        SQL.touched,
        f"text[], text[], bigint, bigint, {SCOPE}",
        f"ARRAY['x'], ARRAY['y'], 4000, 4500, {NO_SCOPE}",
    ),
    "the last rows of streams": (
        SQL.latest,
        f"bigint, bigint, {SCOPE}, bigint, {SCOPE}, bigint, bigint",
        f"4000, 4500, {NO_SCOPE}, 4500, {NO_SCOPE}, 4500, 2",
    ),
    "the first rows of streams": (SQL.firsts, "bigint[], bigint, bigint", "ARRAY[7, 4000], 3, 3"),
    "a part of a stream": (
        SQL.part_touched,
        f"text[], text[], text, bigint, bigint, {SCOPE}",
        f"ARRAY['x'], ARRAY['y'], 'dir_7', 1, 100, {NO_SCOPE}",
    ),
    "the turns of a stream": (
        SQL.turns,
        "text, bigint, bigint, text[], bigint",
        "'dir_7', 0, 100, ARRAY['x'], 1",
    ),
    "some envelopes": (SQL.envelopes, "bigint[]", "ARRAY[7, 4000]"),
    "the head": (SQL.head, "", ""),
    "the last position": (SQL.position, "", ""),
    "some keys": (SELECT_BOUND, "bytea[]", "ARRAY['\\x00'::bytea]"),
    "keys that are too old": (EXPIRE_KEYS, "bigint", "5"),
}


def fill(store: PostgresStore) -> None:
    """Fill the log and its keys with many recent rows."""
    columns = [
        (*(number, f"dir_{number}", 1, "x", 1, number, "cmd", "t", None, "a", f"s_{number}", None), b"{}", None, b"h")
        for number in range(1, EVENTS + 1)
    ]
    with store.exclusive():
        store.insert([Row(*row, None, os.urandom(32), None) for row in columns])
        store.put_keys([(os.urandom(32), b"f", 10**12 + number, 1, 1, None, None) for number in range(KEYS)])


def test_no_statement_reads_a_table_from_end_to_end(database: str, tmp_path: Path) -> None:
    """Also in a session that planned its statements while the tables were empty."""
    store = PostgresStore(database, tmp_path, CountingIds())
    options = " ".join(f"-c {name}={value}" for name, value in WRITER_OPTIONS.items())
    with psycopg.connect(database, autocommit=True, options=f"{options} -c search_path=athena") as session:
        session.execute("SET plan_cache_mode = force_generic_plan")  # the plan of a statement that runs often
        explained = {}
        for place, (name, (text, kinds, values)) in enumerate(STATEMENTS.items()):
            numbered = text.replace("%b::bytea[]", "%s")
            for number in range(1, kinds.count(",") + 2 if kinds else 1):
                numbered = numbered.replace("%s", f"${number}", 1)
            session.execute(f"PREPARE plan_{place}{f'({kinds})' if kinds else ''} AS {numbered}".encode())
            explained[name] = f"EXPLAIN EXECUTE plan_{place}{f'({values})' if values else ''}".encode()
            session.execute(explained[name])
        fill(store)
        for analyzed in (False, True):
            for name, statement in explained.items():
                plan = "\n".join(line for (line,) in session.execute(statement).fetchall())
                assert "Seq Scan" not in plan, (name, analyzed, plan)
            session.execute("ANALYZE")
    store.close()
