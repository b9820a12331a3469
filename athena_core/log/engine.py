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
from athena_core.log.tools.move import MoveSource, MoveTarget
from athena_core.log.tools.move_files import FileMoveSource, FileMoveTarget
from athena_core.protocols import Generations, LeaderLock
from athena_core.system import private_file

LeaderLockName: TypeAlias = Literal["reactor"]

SCHEMES = ("postgresql://", "postgres://")


def is_url(text: str) -> bool:
    """Whether a text names a database, not a directory."""
    return text.startswith(SCHEMES)


def open_store(directory: Path, url: str | None, ids: Ids) -> Store:
    """The log in the database of a URL, else in a state directory; made if it is not there. Raises ConfigError."""
    private_file.close_to_others(directory)
    if url is None:
        return SqliteStore(directory, ids)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    store: Store = _postgres("postgres.store").PostgresStore(url, directory, ids)
    return store


def open_archive(directory: Path, url: str | None) -> Archive:
    """The same log for reading only. Raises ConfigError where there is none."""
    if url is None:
        path = directory / "log.db"
        check_regular(path, "ATHENA_STATE_DIR")
        if not path.exists():
            raise ConfigError(f"ATHENA_STATE_DIR: {directory} holds no log")
        return SqliteArchive(path)
    archive: Archive = _postgres("postgres.reader").PostgresArchive(url, directory)
    return archive


def open_snapshots(directory: Path, url: str | None, purpose: str) -> SnapshotStore:
    """A shelf beside that log."""
    if url is None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return SqliteSnapshotStore(directory / "snapshots.db", purpose)
    shelf: SnapshotStore = _postgres("postgres.snapshots").PostgresSnapshotStore(url, purpose)
    return shelf


def open_generations(url: str) -> Generations:
    """The views in the database of a URL."""
    generations: Generations = _postgres("postgres.views").PostgresGenerations(url)
    return generations


def open_leader_lock(directory: Path, url: str | None, name: LeaderLockName) -> LeaderLock:
    """A lock between all processes that share a log."""
    if url is None:
        return FileLeaderLock(directory / f"{name}.lock")
    latch: LeaderLock = _postgres("postgres.leader_lock").named_lock(url, name)
    return latch


def register_executor(directory: Path, url: str | None, executor: str, about: bytes) -> ExecutorRegistry:
    """Be among those who are at work on a log; ``about`` is what others are told."""
    if url is None:
        return FileExecutorRegistry(directory, executor, about)
    attendance: ExecutorRegistry = _postgres("postgres.executor_registry").PostgresExecutorRegistry(
        url, executor, about
    )
    return attendance


def open_move(directory: Path, url: str | None, to: str) -> tuple[MoveSource, MoveTarget]:
    """Both ends of a move of that log: from files to a database, or back. Raises ConfigError."""
    if is_url(to) == (url is not None):
        how = "pg_dump and pg_restore" if url is not None else "athena backup and restore"
        raise ConfigError(f"--to: a move is from files to a database or back; copy from like to like with {how}")
    if url is None:
        origin: MoveSource = FileMoveSource(directory)
    else:
        origin = _postgres("tools.move_database").DatabaseMoveSource(url, directory)
    try:
        target: MoveTarget = (
            FileMoveTarget(Path(to))
            if url is not None
            else _postgres("tools.move_database").DatabaseMoveTarget(to, directory)
        )
    except BaseException:
        origin.close()
        raise
    return origin, target


def _postgres(part: str) -> ModuleType:
    """A part that needs the driver, which is not installed everywhere. Raises ConfigError."""
    try:
        return import_module(f"athena_core.log.{part}")
    except ImportError as error:
        raise ConfigError(
            "ATHENA_DATABASE_URL: the driver of PostgreSQL is missing: pip install 'projectathena[postgres]'"
        ) from error
