"""Unsafe settings of PostgreSQL: every way to open a log refuses them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

from athena_core.clock import SystemIds
from athena_core.errors import ConfigError
from athena_core.log.engine import open_store
from athena_core.log.tools.move_ends import open_move
from tests.support import postgres
from tests.support.api import Refused, soon
from tests.support.server import Server

Open: TypeAlias = Callable[[str, Path], object]


def start(url: str, directory: Path) -> object:
    return open_store(directory, url, SystemIds())


def move(url: str, directory: Path) -> object:
    return open_move(directory, url, str(directory / "files"))


WAYS = pytest.mark.parametrize("way", [start, move])


def refusal(way: Open, url: str, directory: Path) -> str:
    """Return the one-line error of a way to open the log."""
    with pytest.raises(ConfigError) as refused:
        way(url, directory)
    (line,) = refused.value.message.splitlines()
    assert line.startswith("ATHENA_DATABASE_URL: ")
    with psycopg.connect(url, autocommit=True) as session:
        left = session.execute("SELECT count(*) FROM pg_tables WHERE schemaname LIKE 'athena%'").fetchone()
    assert left == (0,), "it left something behind"
    return line


@pytest.fixture(scope="module")
def careless() -> Iterator[postgres.Cluster]:
    """Start a server whose settings tests may change."""
    with postgres.own_cluster() as cluster:
        yield cluster


@contextmanager
def set_to(cluster: postgres.Cluster, name: str, value: str) -> Iterator[None]:
    """Change a setting of the whole server for the block."""
    for statement, wanted in ((f"ALTER SYSTEM SET {name} = {value}", value), (f"ALTER SYSTEM RESET {name}", "on")):
        cluster.execute(statement)
        cluster.execute("SELECT pg_reload_conf()")
        for _ in soon():
            if cluster.ask(f"SHOW {name}") == [(wanted,)]:
                break
        if wanted == value:
            yield


@WAYS
@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_may_lose_acknowledged_writes_is_refused(
    name: str, way: Open, careless: postgres.Cluster, tmp_path: Path
) -> None:
    with careless.database() as url, set_to(careless, name, "off"):
        assert f"{name} is off" in refusal(way, url, tmp_path)


@WAYS
@pytest.mark.parametrize("owner", ["DATABASE {}", "ROLE athena"])
def test_a_database_or_role_without_synchronous_commits_is_refused(
    owner: str, way: Open, careless: postgres.Cluster, tmp_path: Path
) -> None:
    with careless.database() as url:
        whose = owner.format(urlsplit(url).path.removeprefix("/"))
        careless.execute(f"ALTER {whose} SET synchronous_commit = off")
        try:
            assert "synchronous_commit is off" in refusal(way, url, tmp_path)
        finally:
            careless.execute(f"ALTER {whose} RESET synchronous_commit")


@WAYS
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_text_is_refused(
    encoding: str, way: Open, careless: postgres.Cluster, tmp_path: Path
) -> None:
    name = f"of_{encoding.lower()}"
    careless.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        assert f"has encoding {encoding}" in refusal(way, careless.of(name), tmp_path)
    finally:
        careless.execute(f"DROP DATABASE {name}")


def test_nothing_is_acknowledged_after_a_reconnection_to_such_a_server(
    careless: postgres.Cluster, tmp_path: Path
) -> None:
    with careless.database() as url:
        server = Server(tmp_path, database_url=url)
        server.start()
        server.api.run("before")
        with set_to(careless, "fsync", "off"):
            careless.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                f" WHERE datname = '{urlsplit(url).path.removeprefix('/')}'"
            )
            with suppress(httpx2.HTTPError, Refused):  # it is cut off, or hears that the outcome is unknown
                server.api.run("after")
            assert server.wait() == 1
        assert "fsync is off, not on: acknowledged writes could be lost" in server.log_path.read_text()
        server.kill()
