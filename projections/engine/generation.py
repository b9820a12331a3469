"""The generation: one complete set of views in a database; where that is a file, pointers say which one serves."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from athena_core.errors import StoreUnreachable
from athena_core.event import Position
from athena_core.protocols import Connection, DatabaseDamaged, Databases, LeaderLock, LogReader
from athena_core.system import private_file
from projections.engine.file_lock import FileLock
from projections.engine.projection import Projection

CREATE = (
    "CREATE TABLE generation (log_id TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (log_id))"
    " STRICT, WITHOUT ROWID",
    "CREATE TABLE checkpoint (projection TEXT NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL,"
    " chain BLOB NOT NULL, error TEXT, error_position INTEGER, PRIMARY KEY (projection)) STRICT, WITHOUT ROWID",
)
INSERT_GENERATION = "INSERT INTO generation (log_id, created_at) VALUES (?, ?)"
SELECT_LOG_ID = "SELECT log_id FROM generation"

GONE = (FileNotFoundError, NotADirectoryError)
FILE = re.compile(r"views-([1-9][0-9]{0,14})\.db")


class ProjectionCheckpoint(msgspec.Struct, frozen=True):
    """How far a projection is: the last position applied, the log's chain there, and what stopped it, if anything."""

    version: int
    position: Position = 0
    chain: bytes = b""
    error: str | None = None
    error_position: Position | None = None


COLUMNS = ProjectionCheckpoint.__struct_fields__
SELECT_CHECKPOINTS = f"SELECT projection, {', '.join(COLUMNS)} FROM checkpoint"
UPSERT_CHECKPOINT = (
    f"INSERT INTO checkpoint (projection, {', '.join(COLUMNS)}) VALUES (?{', ?' * len(COLUMNS)})"
    f" ON CONFLICT (projection) DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in COLUMNS)}"
)


def create(connection: Connection, projections: Iterable[Projection], log_id: str, created_at: int) -> None:
    """Make the empty tables of a generation."""
    with connection.transaction():
        for statement in CREATE:
            connection.execute(statement)
        connection.execute(INSERT_GENERATION, (log_id, created_at))
        for projection in projections:
            for table in projection.tables:
                for statement in table.create:
                    connection.execute(statement)
        save(connection, {projection.name: ProjectionCheckpoint(projection.version) for projection in projections})


def load(connection: Connection) -> dict[str, ProjectionCheckpoint]:
    """The checkpoints by projection."""
    rows = list(connection.execute(SELECT_CHECKPOINTS))
    return {str(name): ProjectionCheckpoint(*cast("list[Any]", values)) for name, *values in rows}


def save(connection: Connection, checkpoints: Mapping[str, ProjectionCheckpoint]) -> None:
    """Write checkpoints, inside the transaction of the rows that they speak for."""
    rows = [(name, *msgspec.structs.astuple(checkpoint)) for name, checkpoint in checkpoints.items()]
    connection.executemany(UPSERT_CHECKPOINT, rows)


def is_of(connection: Connection, log: LogReader) -> bool:
    """Whether a generation can be read and was made from this history of this log (decisions E6).

    Raises StoreUnreachable, and Damaged for one that may have been.
    """
    try:
        if list(connection.execute(SELECT_LOG_ID)) != [(log.log_id,)]:
            return False
        furthest = max(load(connection).values(), key=lambda checkpoint: checkpoint.position)
    except (StoreUnreachable, DatabaseDamaged):
        raise
    except Exception:  # whatever is wrong with it: views are disposable
        return False
    row = log.row(furthest.position) if furthest.position else None
    return furthest.position == 0 or (row is not None and row.chain == furthest.chain)


class GenerationFiles:
    """The files of a directory that belong to views: generations, pointers, locks (``protocols.Generations``)."""

    def __init__(self, directory: Path, databases: Databases) -> None:
        """Name them; nothing is opened yet."""
        self.directory = directory
        self._databases = databases
        self._current = directory / "current"
        self._candidate = directory / "candidate"
        self._damaged = directory / "damaged"
        self._pointed: tuple[tuple[int, int], str] | None = None
        """What the pointer named when it was read last, and by what it is known that it is the same."""

    def updater_lock(self) -> FileLock:
        """Return the lock under which the current generation is updated and another one begins to serve."""
        return FileLock(self.directory / "projector.lock")

    def builder_lock(self) -> FileLock:
        """Return the lock under which a generation or scratch set is built; only its holder removes leftovers."""
        return FileLock(self.directory / "rebuild.lock")

    def path(self, name: str) -> Path:
        """The file of a generation."""
        return self.directory / name

    def stamp(self) -> object:
        """Something that changes whenever another generation serves; None while none does."""
        try:
            status = self._current.stat()
        except GONE:
            return None
        pointer = (status.st_ino, status.st_mtime_ns)
        if self._pointed is None or self._pointed[0] != pointer:
            name = self.current()
            self._pointed = None if name is None else (pointer, name)
        if self._pointed is None:
            return None
        identity = self.identity(self._pointed[1])
        return None if identity is None else (pointer, identity)

    def identity(self, name: str) -> tuple[int, int] | None:
        """Return what distinguishes a generation from another one of its name; None where it is gone."""
        try:
            status = self.path(name).stat()
        except GONE:
            return None
        return (status.st_dev, status.st_ino)

    def current(self) -> str | None:
        """The generation that serves."""
        return self._named(self._current)

    def candidate(self) -> str | None:
        """A complete generation that the holder of the updater lock is to take up."""
        return self._named(self._candidate)

    def condemned(self) -> str | None:
        """The generation that a reader found damaged, until another one serves."""
        return self._named(self._damaged)

    def condemn(self, name: str) -> None:
        """Have the holder of the updater lock replace a damaged generation. Raises OSError."""
        self._point(self._damaged, name)

    def _named(self, pointer: Path) -> str | None:
        try:
            name = pointer.read_text("ascii").strip()
        except (*GONE, UnicodeDecodeError):
            return None
        return name if FILE.fullmatch(name) and self.path(name).exists() else None

    def _point(self, pointer: Path, name: str) -> None:
        """Let a pointer name a generation: wholly or, after a crash, not at all."""
        beside = pointer.with_suffix(".new")
        with open(beside, "w", encoding="ascii", opener=private_file.opener) as file:  # noqa: PTH123 - Path.open takes none
            file.write(name + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(pointer)
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def switch(self, name: str, lock: LeaderLock) -> None:
        """Let a complete generation serve. Call with the updater lock; a newer candidate stays."""
        self._point(self._current, name)
        self._damaged.unlink(missing_ok=True)
        if self.candidate() == name:
            self._candidate.unlink(missing_ok=True)

    def offer(self, name: str, lock: LeaderLock) -> None:
        """Let a generation be the candidate."""
        self._point(self._candidate, name)

    def withdraw(self, lock: LeaderLock) -> None:
        """Let there be no candidate."""
        self._candidate.unlink(missing_ok=True)

    def all(self) -> list[str]:
        """Every generation file, oldest first."""
        numbered = [
            (int(match[1]), path.name) for path in self.directory.iterdir() if (match := FILE.fullmatch(path.name))
        ]
        return [name for _, name in sorted(numbered)]

    def fresh(self) -> str:
        """The name of the next generation."""
        newest = self.all()[-1:]
        number = int(newest[0].removeprefix("views-").removesuffix(".db")) + 1 if newest else 1
        return f"views-{number}.db"

    def remove(self, name: str, lock: LeaderLock) -> None:
        """Delete a generation; readers that have it open can go on."""
        for suffix in ("", "-wal", "-shm"):
            self.path(name + suffix).unlink(missing_ok=True)

    def leftovers(self) -> list[str]:
        """Generations that no pointer names: replaced ones, and those whose building was cut short."""
        in_use = (self.current(), self.candidate())
        return [name for name in self.all() if name not in in_use]

    def write(self, name: str, lock: LeaderLock) -> Connection:
        """Open for writing, creating it if needed."""
        return self._databases.write(self.path(name))

    def read(self, name: str) -> Connection:
        """Open read-only; the file must exist."""
        return self._databases.read(self.path(name))

    @contextmanager
    def scratch(self, lock: LeaderLock) -> Iterator[Connection]:
        """A new empty place for views that will never serve. Call with the builder lock."""
        self._discard_scratch()
        path = self.directory / "scratch"
        path.mkdir(mode=private_file.DIRECTORY_MODE)
        connection = self._databases.write(path / "views.db")
        try:
            yield connection
        finally:
            connection.close()
            self._discard_scratch()

    def _discard_scratch(self) -> None:
        """Delete that directory, also what a killed process left in it."""
        if (self.directory / "scratch").exists():
            shutil.rmtree(self.directory / "scratch")

    def scrub(self, name: str, seconds: float) -> None:
        """Rewrite a generation, so that no erased text is left in its files. Raises OSError after ``seconds``."""
        self._databases.scrub(self.path(name), seconds)

    def close(self) -> None:
        """There is nothing to close."""
