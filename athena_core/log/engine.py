"""The engine: which database holds a log, that of a URL or one of its own; PostgreSQL's driver is loaded by need."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeAlias

from athena_core.clock import Ids
from athena_core.errors import ConfigError
from athena_core.log.port import Archive, ExecutorRegistry, SnapshotStore, Store
from athena_core.log.sqlite.files import check_regular
from athena_core.log.sqlite.locks import FileExecutorRegistry, FileLeaderLock
from athena_core.log.sqlite.reader import SqliteArchive
from athena_core.log.sqlite.snapshots import SqliteSnapshotStore
from athena_core.log.sqlite.store import SqliteStore
from athena_core.protocols import Generations, LeaderLock
from athena_core.system import private_file

LeaderLockName: TypeAlias = Literal["reactor"]

SCHEMES = ("postgresql://", "postgres://")


def is_url(text: str) -> bool:
    """Return True if a text names a database, not a directory."""
    return text.startswith(SCHEMES)


def open_store(directory: Path, url: str | None, ids: Ids) -> Store:
    """The log in the database of a URL, else in a state directory; made if it is not there. Raises ConfigError."""
    private_file.close_to_others(directory)
    if url is None:
        return SqliteStore(directory, ids)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    store: Store = needs_driver("postgres.store").PostgresStore(url, directory, ids)
    return store


def open_archive(directory: Path, url: str | None) -> Archive:
    """Open a log for reading only. Raise ConfigError where there is none."""
    if url is None:
        path = directory / "log.db"
        check_regular(path, "ATHENA_STATE_DIR")
        if not path.exists():
            raise ConfigError(f"ATHENA_STATE_DIR: {directory} holds no log")
        return SqliteArchive(path)
    archive: Archive = needs_driver("postgres.reader").PostgresArchive(url, directory)
    return archive


def open_snapshots(directory: Path, url: str | None, purpose: str) -> SnapshotStore:
    """The snapshots of foreign applications beside that log."""
    if url is None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return SqliteSnapshotStore(directory / "snapshots.db", purpose)
    snapshots: SnapshotStore = needs_driver("postgres.snapshots").PostgresSnapshotStore(url, purpose)
    return snapshots


def open_generations(url: str) -> Generations:
    """The views in the database of a URL."""
    generations: Generations = needs_driver("postgres.views").PostgresGenerations(url)
    return generations


def open_leader_lock(directory: Path, url: str | None, name: LeaderLockName) -> LeaderLock:
    """A lock between all processes that share a log."""
    if url is None:
        return FileLeaderLock(directory / f"{name}.lock")
    lock: LeaderLock = needs_driver("postgres.leader_lock").named_lock(url, name)
    return lock


def register_executor(directory: Path, url: str | None, executor: str, about: bytes) -> ExecutorRegistry:
    """Register an executor of a log; ``about`` is its description, JSON."""
    if url is None:
        return FileExecutorRegistry(directory, executor, about)
    registry: ExecutorRegistry = needs_driver("postgres.executor_registry").PostgresExecutorRegistry(
        url, executor, about
    )
    return registry


def needs_driver(module: str) -> ModuleType:
    """Import a module of the log that needs the driver, which is not installed everywhere. Raise ConfigError."""
    try:
        return import_module(f"athena_core.log.{module}")
    except ImportError as error:
        raise ConfigError(
            "ATHENA_DATABASE_URL: the driver of PostgreSQL is missing: pip install 'projectathena[postgres]'"
        ) from error
