"""Tests of poolers, several hosts and half-made schemas between a process and PostgreSQL."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from athena_core.clock import CountingIds
from athena_core.errors import ConfigError, StoreUnreachable
from athena_core.log.engine import open_archive
from athena_core.log.port import ExecutorHeartbeat
from athena_core.log.postgres import session as session_module
from athena_core.log.postgres.executor_registry import RESTART_SECONDS, UP, PostgresExecutorRegistry
from athena_core.log.postgres.reader import ReaderPool
from athena_core.log.postgres.schema import TABLES
from athena_core.log.postgres.session import SCHEMA, PostgresSession, connect
from athena_core.log.postgres.store import PostgresStore
from athena_core.log.postgres.views import PostgresGenerations
from athena_core.log.tools.move_ends import open_move
from tests.core.log.pots import commit, fill, new_log
from tests.support import pgbouncer, postgres
from tests.support.api import soon
from tests.support.nginx import free_port

SCHEMAS = r"SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)' ORDER BY 1"
TABLES_LEFT = "SELECT count(*) FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema$)'"
END_SESSIONS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
TAKING_TURNS = "server_round_robin = 1\nmin_pool_size = 3"

pooled = pytest.mark.skipif(pgbouncer.PGBOUNCER is None, reason=pgbouncer.MISSING)


def settings_of(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url, autocommit=True) as session:
        found: list[tuple[str, ...]] = session.execute("SELECT name, setting FROM pg_settings ORDER BY name").fetchall()
        return found


def refusals(url: str, directory: Path) -> Iterator[str]:
    """Return the one line with which each way to open a database is refused."""
    for open_it in (
        lambda: PostgresStore(url, directory, CountingIds()),
        lambda: open_archive(directory, url),
        lambda: open_move(directory, url, str(directory / "files")),
    ):
        with pytest.raises(ConfigError) as caught:
            open_it()
        (line,) = caught.value.message.splitlines()
        yield line


@pooled
@pytest.mark.parametrize("more", ["", "ignore_startup_parameters = options", TAKING_TURNS])
def test_a_pooler_in_transaction_mode_is_refused_in_one_line_and_nothing_is_left(
    database: str, tmp_path: Path, more: str
) -> None:
    with pgbouncer.pgbouncer(tmp_path, database, "transaction", more) as url:
        before = settings_of(url)
        for line in refusals(url, tmp_path):
            assert line.startswith("ATHENA_DATABASE_URL: a pooler in transaction mode is in front of the database")
            assert "pool_mode = session" in line
        assert settings_of(url) == before
    with psycopg.connect(database) as session:
        assert session.execute(SCHEMAS).fetchall() == [("public",)]
        assert session.execute(TABLES_LEFT).fetchall() == [(0,)]


@pooled
async def test_a_pooler_in_session_mode_does_and_a_process_does_not_hear_of_its_own_commits(
    database: str, tmp_path: Path
) -> None:
    with pgbouncer.pgbouncer(tmp_path, database, "session") as url:
        store = PostgresStore(url, tmp_path, CountingIds())
        log, other = (
            new_log(tmp_path, store=store),
            new_log(tmp_path, store=PostgresStore(url, tmp_path, CountingIds())),
        )
        notifier = store.notifier()
        server = (await notifier._listening()).pgconn
        assert commit(log, fill(), fill())[-1].position == 2
        await anyio.wait_readable(server.socket)
        assert notifier._only_own(server)
        assert commit(other, fill())[0].position == 3
        await anyio.wait_readable(server.socket)
        assert not notifier._only_own(server)
        await notifier.close()
        other.close()
        log.close()


@pytest.mark.parametrize("schema", ["public", "athena_views_1"])
def test_the_leftovers_of_a_start_of_0_1_through_such_a_pooler_are_described_with_the_remedy(
    database: str, tmp_path: Path, schema: Literal["public", "athena_views_1"]
) -> None:
    with psycopg.connect(database, autocommit=True) as session:
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
        session.execute(f"SET search_path TO {schema}".encode())
        for statement in TABLES:
            session.execute(statement.encode())
        session.execute("INSERT INTO meta VALUES ('log_id', '0123456789abcdef'), ('format', '1')")
        try:
            for line in refusals(database, tmp_path):
                assert line.startswith(f"ATHENA_DATABASE_URL: schema {schema} contains the tables of a log")
                assert "drop them, or move them to schema athena" in line
            assert (SCHEMA,) not in session.execute(SCHEMAS).fetchall()
            session.execute(f"CREATE SCHEMA {SCHEMA}".encode())
            for table in ("meta", "log", "command", "guard", "checkpoint", "executor", "views"):
                session.execute(f"ALTER TABLE {table} SET SCHEMA {SCHEMA}".encode())
        finally:
            for table in ("meta", "log", "command", "guard", "checkpoint", "executor", "views"):
                session.execute(f"DROP TABLE IF EXISTS {schema}.{table}".encode())
    with closing(PostgresStore(database, tmp_path, CountingIds())) as store:
        assert store.log_id == "0123456789abcdef"


@pytest.mark.parametrize("wanted", ["", "any", "primary", "read-write"])
def test_the_primary_is_found_among_several_hosts(database: str, tmp_path: Path, wanted: str) -> None:
    there = make_conninfo(database)
    with psycopg.connect(database) as session:
        host, port = session.info.host, session.info.port
    more = {"target_session_attrs": wanted} if wanted else {}
    url = make_conninfo(there, host=f"127.0.0.1,{host}", port=f"{free_port()},{port}", **more)
    with closing(PostgresStore(url, tmp_path, CountingIds())) as store, closing(store.reader()) as reader:
        assert reader.head() == 0
        log = new_log(tmp_path, store=store)
        assert commit(log, fill())[0].position == 1
        assert reader.head() == 1
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader._session.read("DELETE FROM log RETURNING position")


@pytest.mark.parametrize("wanted", ["standby", "prefer-standby", "read-only"])
def test_a_standby_that_is_asked_for_is_refused_with_the_reason(database: str, tmp_path: Path, wanted: str) -> None:
    url = make_conninfo(database, target_session_attrs=wanted)
    with pytest.raises(ConfigError, match=f"target_session_attrs={wanted} may select a read-only server.*or use"):
        PostgresStore(url, tmp_path, CountingIds())


def test_each_host_is_named_when_none_answers(tmp_path: Path) -> None:
    ports = free_port(), free_port()
    line = PostgresSession(f"postgresql://athena@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/athena", {})
    with pytest.raises(StoreUnreachable) as caught:
        line.connection()
    assert "\n" not in caught.value.message
    for port in ports:
        assert f"port: '{port}'" in caught.value.message


@pytest.mark.heavy  # the server has to be up for five seconds
def test_a_process_that_lost_its_session_waits_for_the_sessions_of_the_others(database: str, tmp_path: Path) -> None:
    """A promoted standby holds no locks of other processes and may have been up for long."""
    PostgresStore(database, tmp_path, CountingIds()).close()
    one, other = (PostgresExecutorRegistry(database, name, b"") for name in ("exe_one", "exe_other"))
    with psycopg.connect(database, autocommit=True) as session:
        for _ in soon():  # a server that was just started takes no process for dead
            if session.execute(f"SELECT {UP}".encode(), (RESTART_SECONDS,)).fetchone() == (True,):
                break
        assert one.heartbeat("exe_other") == ExecutorHeartbeat(0, free=False)
        session.execute(END_SESSIONS)
        with suppress(StoreUnreachable):
            one.beat(1, b"now")
        assert one.heartbeat("exe_other") == ExecutorHeartbeat(0, free=False)
        one.forget(set())
        assert {seen.executor: seen.free for seen in one.registered()} == {"exe_one": False, "exe_other": False}
        one.beat(2, b"now")
        assert {seen.executor: seen.about for seen in one.registered()} == {"exe_one": b"now", "exe_other": b""}
    other.leave()
    one.leave()


def test_no_session_outlives_what_it_belongs_to(
    database: str, cluster: postgres.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = urlsplit(database).path.removeprefix("/")

    def sessions() -> int:
        return int(cluster.ask(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")[0][0])

    pool, views = ReaderPool(database), PostgresGenerations(database)
    session, give_back = pool.take()
    rows = views.read("public")
    assert (session.read("SELECT 1"), list(rows.execute("SELECT 1")), sessions()) == ([(1,)], [(1,)], 2)
    pool.close()
    views.close()
    give_back()
    rows.close()
    with pytest.raises(psycopg.InterfaceError):
        pool.take()[0].read("SELECT 1")
    late = PostgresSession(database, {})

    def connect_while_it_is_closed(url: str, options: Mapping[str, str]) -> Any:
        connection = connect(url, options)
        late.close()
        return connection

    monkeypatch.setattr(session_module, "connect", connect_while_it_is_closed)
    with pytest.raises(psycopg.InterfaceError):
        late.connection()
    for _ in soon():
        if sessions() == 0:
            break


def test_threads_that_share_a_session_open_one_connection(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first_connects, opened = threading.Event(), list[Any]()

    def connect_slowly(url: str, options: Mapping[str, str]) -> Any:
        opened.append(connect(url, options))
        first_connects.set()
        other.join(0.2)  # time for the other thread to connect as well
        return opened[-1]

    monkeypatch.setattr(session_module, "connect", connect_slowly)
    session = PostgresSession(database, {})
    other = threading.Thread(target=lambda: (first_connects.wait(), session.connection()))
    other.start()
    session.connection()
    other.join()
    session.close()
    assert len(opened) == 1
    assert opened[0].closed
