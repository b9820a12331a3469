"""The choice of the database: PostgreSQL, with its optional driver, if a URL is set, else SQLite."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeAlias

from athena_core.clock import Ids
from athena_core.errors import ConfigError
from athena_core.log.port import Archive, ExecutorRegistry, SnapshotStore, Store
from athena_core.log.sqlite.files import check_regular, check_space
from athena_core.log.sqlite.locks import FileExecutorRegistry, FileLeaderLock
from athena_core.log.sqlite.reader import SqliteArchive
from athena_core.log.sqlite.snapshots import SqliteSnapshotStore
from athena_core.log.sqlite.store import SqliteStore
from athena_core.protocols import Generations, LeaderLock
from athena_core.system import private_file

LeaderLockName: TypeAlias = Literal["reactor"]

SCHEMES = ("postgresql://", "postgres://")


def is_url(text: str) -> bool:
    """Return True if a text is the URL of a database, not a directory."""
    return text.startswith(SCHEMES)


def open_store(directory: Path, url: str | None, ids: Ids) -> Store:
    """Open the log in a database or a state directory. Create it if missing. Raise ConfigError."""
    private_file.close_to_others(directory)
    if url is None:
        return SqliteStore(directory, ids)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_space(directory)
    store: Store = needs_driver("postgres.store").PostgresStore(url, directory, ids)
    return store


def open_archive(directory: Path, url: str | None) -> Archive:
    """Open a log read-only. Raise ConfigError if there is none."""
    if url is None:
        path = directory / "log.db"
        check_regular(path, "ATHENA_STATE_DIR")
        if not path.exists():
            raise ConfigError(f"ATHENA_STATE_DIR: {directory} contains no log")
        return SqliteArchive(path)
    archive: Archive = needs_driver("postgres.reader").PostgresArchive(url, directory)
    return archive


def open_snapshots(directory: Path, url: str | None, purpose: str) -> SnapshotStore:
    """Open the snapshots of foreign applications beside a log."""
    if url is None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return SqliteSnapshotStore(directory / "snapshots.db", purpose)
    snapshots: SnapshotStore = needs_driver("postgres.snapshots").PostgresSnapshotStore(url, purpose)
    return snapshots


def open_generations(url: str) -> Generations:
    """Open the views in a database."""
    generations: Generations = needs_driver("postgres.views").PostgresGenerations(url)
    return generations


def open_leader_lock(directory: Path, url: str | None, name: LeaderLockName) -> LeaderLock:
    """Return a named lock between all processes that share a log."""
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
    """Import a module that needs the PostgreSQL driver. Raise ConfigError if the driver is not installed."""
    try:
        return import_module(f"athena_core.log.{module}")
    except ImportError as error:
        raise ConfigError(
            "ATHENA_DATABASE_URL: the PostgreSQL driver is not installed; see docs/how-to/install.md"
        ) from error
