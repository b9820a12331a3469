"""The schema of a log from elsewhere: unknown, changed or missing parts are found, on both stores."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import psycopg
import pytest

from athena_core.clock import CountingIds, FixedClock
from athena_core.errors import ConfigError
from athena_core.log import chain
from athena_core.log.engine import is_url, open_archive, open_store
from athena_core.log.port import ROW_BYTES_MAX
from athena_core.log.postgres import schema
from athena_core.log.postgres.session import SCHEMA
from athena_core.log.postgres.snapshots import PostgresSnapshotStore
from athena_core.log.postgres.store import PostgresStore
from athena_core.log.sqlite.connection import open_reader, open_writer
from athena_core.log.sqlite.files import check_regular
from athena_core.log.sqlite.store import SqliteStore
from athena_core.log.tools.backup import open_log_file, restore_log
from athena_core.log.tools.move_database import DatabaseMoveSource
from athena_core.log.tools.move_files import FileMoveSource
from athena_core.protocols import Row
from athena_core.services.proof import verify as verifying
from athena_core.services.proof.verify import VerifyReport
from tests.scale import some_quick
from tests.support.records import CODEC

FILES = {
    "a trigger that forges": (
        "an unknown trigger, forger, on log",
        "CREATE TRIGGER forger AFTER INSERT ON log BEGIN UPDATE log SET actor = 'root'; END",
    ),
    "a trigger that drops": (
        "an unknown trigger, dropper, on log",
        "CREATE TRIGGER dropper BEFORE INSERT ON log BEGIN SELECT RAISE(IGNORE); END",
    ),
    "a trigger under a name of SQLite": (
        "an unknown trigger, sqlite_stat1, on log",
        "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema VALUES ('trigger', 'sqlite_stat1', 'log', 0,"
        " 'CREATE TRIGGER sqlite_stat1 AFTER INSERT ON log BEGIN DELETE FROM log; END')",
    ),
    "a view instead of the log": (
        "a changed view, log, on log",
        "ALTER TABLE log RENAME TO hidden; CREATE VIEW log AS SELECT * FROM hidden",
    ),
    "a view instead of the description": (
        "a changed view, meta, on meta",
        "ALTER TABLE meta RENAME TO hidden; CREATE VIEW meta AS WITH RECURSIVE endless (name) AS"
        " (SELECT 'format' UNION ALL SELECT name FROM endless) SELECT name, max(name) AS value FROM endless",
    ),
    "another table": ("an unknown table, copy, on copy", "CREATE TABLE copy (text BLOB)"),
    "another index": ("an unknown index, mine, on log", "CREATE INDEX mine ON log (length(text))"),
    "no index": ("no index log_stream", "DROP INDEX log_stream"),
    "an index that is not unique": (
        "a changed index, log_stream, on log",
        "DROP INDEX log_stream; CREATE INDEX log_stream ON log (stream, version)",
    ),
    "a default": (
        "a changed table, checkpoint, on checkpoint",
        "DROP TABLE checkpoint;"
        " CREATE TABLE checkpoint (name TEXT PRIMARY KEY, position INTEGER DEFAULT 1) STRICT, WITHOUT ROWID",
    ),
    "a computed column": (
        "a changed table, guard, on guard",
        "ALTER TABLE guard ADD COLUMN more TEXT AS (hex(zeroblob(1000000)))",
    ),
    "no table": ("no table command", "DROP TABLE command"),
}
FUNCTION = "CREATE FUNCTION athena.forge() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
DATABASE = {
    "a trigger": (
        "an unknown trigger, forger, on log",
        FUNCTION + "CREATE TRIGGER forger BEFORE INSERT ON athena.log FOR EACH ROW EXECUTE FUNCTION athena.forge()",
    ),
    "a function": ("an unknown function, forge, on ", FUNCTION),
    "an operator": (
        "an unknown operator, =, on",
        "CREATE FUNCTION athena.same(text, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
        "CREATE OPERATOR athena.= (LEFTARG = text, RIGHTARG = bigint, FUNCTION = athena.same)",
    ),
    "a rule": (
        "an unknown rule, dropper, on log",
        "CREATE RULE dropper AS ON UPDATE TO athena.log DO INSTEAD NOTHING",
    ),
    "a view instead of the log": (
        "a changed view, log, on",
        "ALTER TABLE athena.log RENAME TO hidden; CREATE VIEW athena.log AS SELECT * FROM athena.hidden",
    ),
    "a view instead of the description": (
        "a changed view, meta, on",
        "ALTER TABLE athena.meta RENAME TO hidden; CREATE VIEW athena.meta AS"
        " SELECT name, value FROM athena.hidden, pg_sleep(600)",
    ),
    "a policy": (
        "an unknown policy, hidden, on log",
        "ALTER TABLE athena.log ENABLE ROW LEVEL SECURITY; CREATE POLICY hidden ON athena.log USING (position > 1)",
    ),
    "row security": (
        "a changed unlogged or guarded table, log",
        "ALTER TABLE athena.log ENABLE ROW LEVEL SECURITY",
    ),
    "a table that is not logged": (
        "a changed unlogged or guarded table, log",
        "ALTER TABLE athena.log SET UNLOGGED",
    ),
    "another table": ("an unknown table, copy", "CREATE TABLE athena.copy (text bytea)"),
    "an heir": ("an unknown heir, heir, on log", "CREATE TABLE athena.heir () INHERITS (athena.log)"),
    "an heir elsewhere": ("an unknown heir, public.heir, on log", "CREATE TABLE public.heir () INHERITS (athena.log)"),
    "another index": ("an unknown index, mine, on log", "CREATE INDEX mine ON athena.log (length(text))"),
    "no index": ("no unique index log_stream", "DROP INDEX athena.log_stream"),
    "an index that is not unique": (
        "a changed index, log_stream, on log",
        "DROP INDEX athena.log_stream; CREATE INDEX log_stream ON athena.log (stream, version)",
    ),
    "a constraint": (
        "an unknown constraint, never, on log",
        "ALTER TABLE athena.log ADD CONSTRAINT never CHECK (position < 100)",
    ),
    "a computed column": (
        "a changed table, guard",
        "ALTER TABLE athena.guard ADD COLUMN more text GENERATED ALWAYS AS (upper(value)) STORED",
    ),
    "a default": ("a changed table, log", "ALTER TABLE athena.log ALTER COLUMN actor SET DEFAULT 'root'"),
    "a sequence": ("an unknown relation, counter", "CREATE SEQUENCE athena.counter"),
    "no table": ("no table checkpoint", "DROP TABLE athena.checkpoint"),
}


def filled(directory: Path, url: str | None) -> None:
    store = open_store(directory, url, CountingIds())
    try:
        with store.exclusive():
            who = ("cmd_1", "trace", None, "ada", None, None)
            row = Row(
                1, "dream_1", 1, "dream.dreamt", 1, 1_000, *who, b"{}", None, chain.digest(b"{}"), None, b"", None
            )
            store.insert([row._replace(chain=chain.link(chain.GENESIS, row[: chain.LEAF_COLUMNS]))])
    finally:
        store.close()


def report_of(directory: Path, url: str | None) -> VerifyReport:
    archive = open_archive(directory, url)
    reader = archive.reader()
    try:
        *_, last = verifying.verify(reader, CODEC, FixedClock(), meta=archive.meta, keys=reader.keys())
        assert last.report is not None
        return last.report
    finally:
        reader.close()
        archive.close()


def refused(act: Callable[[], object], words: str) -> None:
    """Fail unless the log is refused in one line that names it and the remedy."""
    with pytest.raises(ConfigError) as refusal:
        act()
    assert words in refusal.value.message
    assert "\n" not in refusal.value.message
    assert "restore a backup" in refusal.value.message


@pytest.mark.parametrize("case", some_quick(FILES, 4))
def test_foreign_objects_in_a_log_file_are_found(case: str, tmp_path: Path) -> None:
    words, statements = FILES[case]
    filled(tmp_path, None)
    with closing(apsw.Connection(str(tmp_path / "log.db"))) as connection:
        connection.execute(statements)
    report = report_of(tmp_path, None)
    assert (report.ok, report.violations[0].rule) == (False, "schema")
    assert any(words in violation.reason for violation in report.violations), report.violations
    refused(lambda: SqliteStore(tmp_path, CountingIds()), "ATHENA_STATE_DIR")
    refused(lambda: FileMoveSource(tmp_path), "contains something that Athena did not create")


@pytest.mark.parametrize("case", some_quick(DATABASE, 5))
def test_foreign_objects_in_the_schema_of_a_database_are_found(case: str, tmp_path: Path, database: str) -> None:
    words, statements = DATABASE[case]
    filled(tmp_path, database)
    with psycopg.connect(database, autocommit=True) as session:
        session.execute(statements.encode())
    report = report_of(tmp_path, database)
    assert (report.ok, report.violations[0].rule) == (False, "schema")
    assert any(words in violation.reason for violation in report.violations), report.violations
    refused(lambda: PostgresStore(database, tmp_path, CountingIds()), "ATHENA_DATABASE_URL")
    refused(lambda: DatabaseMoveSource(database, tmp_path), "contains something that Athena did not create")


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_log_of_ours_has_nothing_beside_it(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url: str | None = request.getfixturevalue("database") if engine == "postgres" else None
    filled(tmp_path, url)
    if url is None:
        with closing(apsw.Connection(str(tmp_path / "log.db"))) as connection:
            connection.execute("ANALYZE")  # SQLite's own table: it holds no SQL that runs
    else:
        PostgresSnapshotStore(url, "applications").close()
    archive = open_archive(tmp_path, url)
    assert (archive.schema.strays, archive.schema.readable) == ((), True)
    archive.close()
    open_store(tmp_path, url, CountingIds()).close()


def test_the_shapes_of_a_database_match_its_tables(tmp_path: Path, database: str) -> None:
    filled(tmp_path, database)
    PostgresSnapshotStore(database, "applications").close()
    store = PostgresStore(database, tmp_path, CountingIds())
    with closing(store):
        found = store.reader()._session.read(schema.SELECT_SCHEMA, {"schema": SCHEMA})
    assert {name: (kind, words) for kind, name, words in found} == schema.SHAPES
    assert is_url(database)


@pytest.mark.parametrize("case", ["a trigger that forges", "a trigger that drops"])
def test_no_trigger_of_a_file_runs_even_if_it_appears_under_a_store(case: str, tmp_path: Path) -> None:
    filled(tmp_path, None)
    with closing(SqliteStore(tmp_path, CountingIds())) as store:
        with closing(apsw.Connection(str(tmp_path / "log.db"))) as connection:
            connection.execute(FILES[case][1])
        before = store.rows(0, 10)
        with store.exclusive():
            store.insert([before[0]._replace(position=2, version=2)])
        assert [row.actor for row in store.rows(0, 10)] == ["ada", "ada"]


def test_a_view_of_a_file_is_not_read(tmp_path: Path) -> None:
    filled(tmp_path, None)
    with closing(apsw.Connection(str(tmp_path / "log.db"))) as connection:
        connection.execute(FILES["a view instead of the log"][1])
    with closing(open_reader(tmp_path / "log.db")) as reader, pytest.raises(apsw.SQLError, match="prohibited"):
        reader.execute("SELECT * FROM log")


def test_every_connection_distrusts_its_file(tmp_path: Path) -> None:
    filled(tmp_path, None)
    for opening in (open_reader, lambda path: open_writer(path, "FULL")):
        with closing(opening(tmp_path / "log.db")) as connection:
            assert connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, -1) == 1
            assert connection.pragma("trusted_schema") == 0
            assert connection.pragma("cell_size_check") == 1
            assert connection.limit(apsw.SQLITE_LIMIT_LENGTH) == ROW_BYTES_MAX


@pytest.mark.parametrize("case", ["a trigger that forges", "a view instead of the log"])
def test_a_copy_with_foreign_sql_is_not_read_on(case: str, tmp_path: Path) -> None:
    filled(tmp_path / "state", None)
    with closing(apsw.Connection(str(tmp_path / "state" / "log.db"))) as connection:
        connection.execute(FILES[case][1])
    refused(
        lambda: restore_log(tmp_path / "state" / "log.db", tmp_path / "other"),
        "contains something that Athena did not create",
    )
    assert not (tmp_path / "other" / "log.db").exists()


PLACES: dict[str, Callable[[Path], object]] = {
    "a directory": Path.mkdir,
    "a link to nothing": lambda path: path.symlink_to(path.with_name("nothing")),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("name", ["log.db", "log.db-wal"])
@pytest.mark.parametrize("case", some_quick(PLACES, 2))
def test_only_a_file_is_opened(case: str, name: str, tmp_path: Path) -> None:
    PLACES[case](tmp_path / name)
    for act in (lambda: SqliteStore(tmp_path, CountingIds()), lambda: check_regular(tmp_path / name, "--to")):
        with pytest.raises(ConfigError, match="not a regular file|broken link"):
            act()
    with pytest.raises(ConfigError, match="not a regular file|broken link|contains no log"):
        open_archive(tmp_path, None)


def test_another_file_is_not_a_log(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"[" * 100_000)
    for act in (
        lambda: SqliteStore(tmp_path, CountingIds()),
        lambda: open_archive(tmp_path, None),
        lambda: open_log_file(tmp_path / "log.db"),
    ):
        with pytest.raises(ConfigError, match="not a database"):
            act()
