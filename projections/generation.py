"""The generation: one complete set of views in one database file, and the pointers that say which one serves."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from athena_core.event import Position
from athena_core.protocols import Connection, LogReader
from projections.lock import FileLock
from projections.projection import Projection

CREATE = (
    "CREATE TABLE generation (log_id TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (log_id))"
    " STRICT, WITHOUT ROWID",
    "CREATE TABLE checkpoint (projection TEXT NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL,"
    " chain BLOB NOT NULL, error TEXT, error_position INTEGER, PRIMARY KEY (projection)) STRICT, WITHOUT ROWID",
)
INSERT_GENERATION = "INSERT INTO generation (log_id, created_at) VALUES (?, ?)"
SELECT_LOG_ID = "SELECT log_id FROM generation"
SELECT_CHECKPOINTS = "SELECT projection, version, position, chain, error, error_position FROM checkpoint"
UPSERT_CHECKPOINT = (
    "INSERT INTO checkpoint (projection, version, position, chain, error, error_position) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (projection) DO UPDATE SET version = excluded.version, position = excluded.position,"
    " chain = excluded.chain, error = excluded.error, error_position = excluded.error_position"
)

FILE = re.compile(r"views-([1-9][0-9]{0,14})\.db")


class Checkpoint(msgspec.Struct, frozen=True):
    """How far a projection is: the last position applied, the log's chain there, and what stopped it, if anything."""

    version: int
    position: Position = 0
    chain: bytes = b""
    error: str | None = None
    error_position: Position | None = None


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
        save(connection, {projection.name: Checkpoint(projection.version) for projection in projections})


def load(connection: Connection) -> dict[str, Checkpoint]:
    """The checkpoints by projection."""
    rows = list(connection.execute(SELECT_CHECKPOINTS))
    return {str(name): Checkpoint(*cast("list[Any]", values)) for name, *values in rows}


def save(connection: Connection, checkpoints: Mapping[str, Checkpoint]) -> None:
    """Write checkpoints, inside the transaction of the rows that they speak for."""
    rows = [(name, *msgspec.structs.astuple(checkpoint)) for name, checkpoint in checkpoints.items()]
    connection.executemany(UPSERT_CHECKPOINT, rows)


def is_of(connection: Connection, log: LogReader) -> bool:
    """Whether a generation can be read and was made from this history of this log (decisions E6)."""
    try:
        if list(connection.execute(SELECT_LOG_ID)) != [(log.log_id,)]:
            return False
        furthest = max(load(connection).values(), key=lambda checkpoint: checkpoint.position)
    except Exception:  # whatever is wrong with it: views are disposable
        return False
    row = log.row(furthest.position) if furthest.position else None
    return furthest.position == 0 or (row is not None and row.chain == furthest.chain)


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """A read transaction: every statement inside sees the same rows."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


class Files:
    """The files of a state directory that belong to views: generations, pointers, locks."""

    def __init__(self, directory: Path) -> None:
        """Name them; nothing is opened yet."""
        self.directory = directory
        self.current = directory / "current"
        self.candidate = directory / "candidate"

    def keeper(self) -> FileLock:
        """The lock of whoever brings the current generation up to the head and switches to another."""
        return FileLock(self.directory / "projector.lock")

    def builder(self) -> FileLock:
        """The lock of whoever builds a generation or a scratch set; only its holder removes leftovers."""
        return FileLock(self.directory / "rebuild.lock")

    def named(self, pointer: Path) -> Path | None:
        """The generation that a pointer names, if there is one."""
        try:
            name = pointer.read_text("ascii").strip()
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        path = self.directory / name
        return path if FILE.fullmatch(name) and path.exists() else None

    def point(self, pointer: Path, generation: Path) -> None:
        """Let a pointer name a generation: wholly or, after a crash, not at all."""
        beside = pointer.with_suffix(".new")
        with beside.open("w", encoding="ascii") as file:
            file.write(generation.name + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(pointer)
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def switch(self, generation: Path) -> None:
        """Let a complete generation serve. Call with the keeper's lock; a newer candidate stays."""
        self.point(self.current, generation)
        if self.named(self.candidate) == generation:
            self.candidate.unlink(missing_ok=True)

    def generations(self) -> list[Path]:
        """Every generation file, oldest first."""
        found = [(int(match[1]), path) for path in self.directory.iterdir() if (match := FILE.fullmatch(path.name))]
        return [path for _, path in sorted(found)]

    def fresh(self) -> Path:
        """The path of the next generation."""
        newest = self.generations()[-1:]
        number = int(newest[0].stem.removeprefix("views-")) + 1 if newest else 1
        return self.directory / f"views-{number}.db"

    def remove(self, generation: Path) -> None:
        """Delete a generation; whoever still has it open goes on reading it."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{generation}{suffix}").unlink(missing_ok=True)

    def leftovers(self) -> list[Path]:
        """Generations that no pointer names: replaced ones, and those whose building was cut short."""
        kept = (self.named(self.current), self.named(self.candidate))
        return [path for path in self.generations() if path not in kept]

    def scratch(self) -> Path:
        """A new empty directory for views that will never serve. Call with the builder's lock."""
        self.discard_scratch()
        path = self.directory / "scratch"
        path.mkdir()
        return path

    def discard_scratch(self) -> None:
        """Delete that directory, also what a killed process left in it. Call with the builder's lock."""
        if (self.directory / "scratch").exists():
            shutil.rmtree(self.directory / "scratch")
