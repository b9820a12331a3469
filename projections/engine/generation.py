"""The generation: one complete set of views in a database.

If that is a file, pointers name the current one.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import msgspec

from athena_core.errors import StoreUnreachable
from athena_core.event import Position
from athena_core.protocols import Connection, DatabaseDamaged, Databases, LeaderLock, LogReader, PastConnection
from athena_core.system import private_file
from projections.engine.file_lock import FileLock
from projections.engine.projection import Projection

CREATE = (
    "CREATE TABLE generation (log_id TEXT NOT NULL, created_at INTEGER NOT NULL, checkpoints BLOB NOT NULL,"
    " has_past INTEGER NOT NULL, erased_at INTEGER NOT NULL, PRIMARY KEY (log_id)) STRICT"
)
INSERT_GENERATION = (
    "INSERT INTO generation (log_id, created_at, checkpoints, has_past, erased_at) VALUES (?, ?, ?, 0, 0)"
)
SELECT_LOG_ID = "SELECT log_id FROM generation WHERE has_past >= 0"
SELECT_CHECKPOINTS = "SELECT checkpoints FROM generation"
UPDATE_CHECKPOINTS = "UPDATE generation SET checkpoints = ?"

GONE = (FileNotFoundError, NotADirectoryError)
FILE = re.compile(r"views-([1-9][0-9]{0,14})\.db")


class ProjectionCheckpoint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The state of a projection: last applied position, the chain there, and the error that stopped it, if any."""

    version: int
    position: Position = 0
    chain: bytes = b""
    error: str | None = None
    error_position: Position | None = None


# one cell for all checkpoints: a page writes them together, and a reader decodes them in 4 µs
_to_cell = msgspec.msgpack.Encoder().encode
_from_cell = msgspec.msgpack.Decoder(dict[str, ProjectionCheckpoint]).decode


def create(
    connection: Connection, projections: Iterable[Projection], log_id: str, created_at: int, *, indexed: bool = True
) -> None:
    """Create the empty tables of a generation, with or without their indexes."""
    checkpoints = {projection.name: ProjectionCheckpoint(projection.version) for projection in projections}
    with connection.transaction():
        connection.execute(CREATE)
        connection.execute(INSERT_GENERATION, (log_id, created_at, _to_cell(checkpoints)))
        for projection in projections:
            for table in projection.tables:
                for statement in table.create if indexed else table.create[:1]:
                    connection.execute(statement)


def index(connection: Connection, projections: Iterable[Projection]) -> None:
    """Create the indexes of filled tables. Sorting all keys at once is cheaper than to insert each in its place."""
    for projection in projections:
        with connection.transaction():
            for table in projection.tables:
                for statement in table.create[1:]:
                    connection.execute(statement)


def cell_of(connection: Connection) -> bytes:
    """Return the cell of all checkpoints, which differs after each change. Raise DatabaseDamaged without one."""
    for (cell,) in connection.execute(SELECT_CHECKPOINTS):
        return cast("bytes", cell)
    raise DatabaseDamaged("there are no checkpoints")


def checkpoints_in(cell: bytes) -> dict[str, ProjectionCheckpoint]:
    """Return the checkpoints by projection. Raise DatabaseDamaged if they cannot be read."""
    try:
        return _from_cell(cell)
    except msgspec.MsgspecError as error:
        raise DatabaseDamaged(f"the checkpoints cannot be read: {error}") from error


def load(connection: Connection) -> dict[str, ProjectionCheckpoint]:
    """Return the stored checkpoints by projection. Raise DatabaseDamaged if they cannot be read."""
    return checkpoints_in(cell_of(connection))


def save(connection: Connection, checkpoints: Mapping[str, ProjectionCheckpoint]) -> None:
    """Write all checkpoints, in the transaction that writes their rows."""
    connection.execute(UPDATE_CHECKPOINTS, (_to_cell(checkpoints),))


def is_of(connection: Connection, log: LogReader) -> bool:
    """Return True if a generation can be read and was made from this history of this log.

    Raise StoreUnreachable, or Damaged if the generation may have been.
    """
    try:
        if list(connection.execute(SELECT_LOG_ID)) != [(log.log_id,)]:
            return False
        furthest = max(load(connection).values(), key=lambda checkpoint: checkpoint.position)
    except (StoreUnreachable, DatabaseDamaged):
        raise
    except Exception:  # views are disposable, so any error means that another generation is needed
        return False
    row = log.row(furthest.position) if furthest.position else None
    return furthest.position == 0 or (row is not None and row.chain == furthest.chain)


class GenerationFiles:
    """The files of a views directory: generations, pointers, locks (``protocols.Generations``)."""

    def __init__(self, directory: Path, databases: Databases) -> None:
        self.directory = directory
        self._databases = databases
        self._current = directory / "current"
        self._candidate = directory / "candidate"
        self._damaged = directory / "damaged"
        self._pointed: tuple[tuple[int, int], str] | None = None
        """The file identity of the pointer when it was last read, and the path of the generation that it named."""
        self._pointer = str(self._current)

    def updater_lock(self) -> FileLock:
        """Return the lock for updating the current generation and for switching to another one."""
        return FileLock(self.directory / "projector.lock")

    def builder_lock(self) -> FileLock:
        """Return the lock for building a generation or scratch set. Only its holder removes leftovers."""
        return FileLock(self.directory / "rebuild.lock")

    def path(self, name: str) -> Path:
        """Return the path of a generation."""
        return self.directory / name

    def stamp(self) -> object:
        """Return a value that changes whenever another generation becomes current; None without one."""
        try:
            status = os.stat(self._pointer)  # noqa: PTH116 - for each read, and paths as objects cost 10 µs
            pointer = (status.st_ino, status.st_mtime_ns)
            if self._pointed is None or self._pointed[0] != pointer:
                name = self.current()
                self._pointed = None if name is None else (pointer, str(self.path(name)))
            if self._pointed is None:
                return None
            status = os.stat(self._pointed[1])  # noqa: PTH116
        except GONE:
            return None
        return pointer, (status.st_dev, status.st_ino)

    def identity(self, name: str) -> tuple[int, int] | None:
        """Return the file identity of a generation, or None if it is gone."""
        try:
            status = self.path(name).stat()
        except GONE:
            return None
        return (status.st_dev, status.st_ino)

    def current(self) -> str | None:
        """Return the generation that serves reads."""
        return self._named(self._current)

    def candidate(self) -> str | None:
        """Return the complete generation that the holder of the updater lock will switch to."""
        return self._named(self._candidate)

    def condemned(self) -> str | None:
        """Return the generation that a reader found damaged, until another one replaces it."""
        return self._named(self._damaged)

    def condemn(self, name: str) -> None:
        """Request the replacement of a damaged generation by the holder of the updater lock. Raise OSError."""
        self._point(self._damaged, name)

    def _named(self, pointer: Path) -> str | None:
        try:
            name = pointer.read_text("ascii").strip()
        except (*GONE, UnicodeDecodeError):
            return None
        return name if FILE.fullmatch(name) and self.path(name).exists() else None

    def _point(self, pointer: Path, name: str) -> None:
        """Let a pointer name a generation, atomically even after a crash."""
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
        """Make a complete generation current. Requires the updater lock. A newer candidate is kept."""
        self._point(self._current, name)
        self._damaged.unlink(missing_ok=True)
        if self.candidate() == name:
            self._candidate.unlink(missing_ok=True)

    def offer(self, name: str, lock: LeaderLock) -> None:
        """Make a generation the candidate."""
        self._point(self._candidate, name)

    def withdraw(self, lock: LeaderLock) -> None:
        self._candidate.unlink(missing_ok=True)

    def all(self) -> list[str]:
        """Return all generation files, oldest first."""
        numbered = [
            (int(match[1]), path.name) for path in self.directory.iterdir() if (match := FILE.fullmatch(path.name))
        ]
        return [name for _, name in sorted(numbered)]

    def fresh(self) -> str:
        """Return the name of the next generation."""
        newest = self.all()[-1:]
        number = int(newest[0].removeprefix("views-").removesuffix(".db")) + 1 if newest else 1
        return f"views-{number}.db"

    def remove(self, name: str, lock: LeaderLock) -> None:
        """Delete a generation. Readers that have it open can continue."""
        for suffix in ("", "-wal", "-shm"):
            self.path(name + suffix).unlink(missing_ok=True)

    def leftovers(self) -> list[str]:
        """Return the generations without a pointer: replaced ones, and leftovers of interrupted builds."""
        in_use = (self.current(), self.candidate())
        return [name for name in self.all() if name not in in_use]

    def write(self, name: str, lock: LeaderLock) -> Connection:
        """Open a generation for writing, and create it if needed."""
        return self._databases.write(self.path(name))

    def read(self, name: str) -> Connection:
        """Open an existing generation read-only."""
        return self._databases.read(self.path(name))

    def past(self, name: str) -> PastConnection:
        """Open an existing generation read-only, with temporary tables."""
        return self._databases.past(self.path(name))

    @contextmanager
    def scratch(self, lock: LeaderLock) -> Iterator[Connection]:
        """Yield a connection to an empty scratch set that never serves. Requires the builder lock."""
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
        """Delete the scratch directory, including files of a killed process."""
        if (self.directory / "scratch").exists():
            shutil.rmtree(self.directory / "scratch")

    def scrub(self, name: str, seconds: float) -> None:
        """Rewrite a generation, so that its files contain no erased text. Raise OSError after ``seconds``."""
        self._databases.scrub(self.path(name), seconds)

    def close(self) -> None:
        """No-op: nothing is open."""
