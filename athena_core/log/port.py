"""The port: the interface of the log to a database, implemented by ``sqlite/`` and ``postgres/``.

A store has one writing connection, used only by the writer. All other reads go through readers; each has its own
connection, for one thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from athena_core.errors import ConfigError, StoreMoved
from athena_core.event import Guard, Position
from athena_core.log.chain import GENESIS
from athena_core.protocols import LogReader, Row, StoredKey, StreamReader

FORMAT = 2
"""The format of the logs that this release writes (docs/reference/log-format.md). It also reads all earlier ones."""

KEY_CLOCK = "key_clock"
"""The ``meta`` entry with the stamp of the key clock (``key_clock.py``)."""

MOVED_TO = "moved"
"""The ``meta`` entry of a log that was moved: its new place. The log must not be used here any more."""

ROW_BYTES_MAX = 256 << 20
"""The maximum size of a row, and of a column, in bytes. Athena writes no larger ones."""

ABOUT_BYTES_MAX = 4_096 - 8
"""The maximum size of an executor's description in bytes. With its 8-byte counter it fills one block of a file."""

READ_BYTES_MAX = 64 << 20
"""The maximum size of payloads and texts in a page of rows, in bytes."""

USES_KEPT_MS = 400 * 86_400_000
"""The time for which the last use of a token is kept, in milliseconds."""

REHEARSAL_BYTES = 1 << 20
"""The size of a full batch. After a failed write, this much space must be free before writes count as working."""

StoredGuard: TypeAlias = tuple[str, str, tuple[str | int, ...]]
"""Kind, key and value of a guard row."""

ErrorKind: TypeAlias = Literal["IntegrityError", "OperationalError", "InterfaceError", "DataError", "DatabaseError"]
"""The name of an error class of eventsourcing."""

ErrorKinds: TypeAlias = tuple[tuple[tuple[type[Exception], ...], ErrorKind], ...]
"""Exception types and their meaning; the first match applies."""

KeyRow: TypeAlias = tuple[bytes, bytes, int, int, int, str | None, bytes | None]
"""A stored key: hash, fingerprint, time on the key clock, first position, count, subject, answer."""


class LogHead(NamedTuple):
    """The last row of a log: position, time and chain value; the defaults describe an empty log."""

    position: Position = 0
    recorded_at: int = 0
    chain: bytes = GENESIS


class BoundKey(NamedTuple):
    """The command stored under an idempotency key, with the time and ``extra`` of its last event."""

    fingerprint: bytes
    bound_at: int
    """In milliseconds on the key clock (``key_clock.py``)."""
    first: Position
    events: int
    subject: str | None
    answer: bytes | None
    recorded_at: int
    extra: bytes | None


_to_json = msgspec.json.Encoder().encode


class SchemaReport(NamedTuple):
    """The result of comparing a log's schema with the one that this release creates."""

    strays: tuple[str, ...] = ()
    """One line per changed, unknown or missing object, in this order."""
    readable: bool = True
    """True if the tables match, so that reading them runs no foreign SQL."""


class StoreFault(NamedTuple):
    """A damaged table or index of the database, and the first finding about it."""

    table: str
    index_name: str | None
    """None if the table itself is damaged."""
    reason: str

    def __str__(self) -> str:
        """Name the table or index, and the reason."""
        index = "" if self.index_name is None else f"index {self.index_name} of "
        return f"{index}table {self.table} is damaged: {self.reason}"


class Inspection(NamedTuple):
    """The result of a check of all tables and indexes; ``unchecked`` is the reason why it is not complete."""

    faults: tuple[StoreFault, ...] = ()
    unchecked: str = ""

    @property
    def only_indexes(self) -> bool:
        """True if a repair loses nothing: indexes are built from their tables."""
        return all(fault.index_name is not None for fault in self.faults)


def check_schema(schema: SchemaReport, place: str) -> None:
    """Raise ConfigError if the schema differs from the one of this release."""
    if schema.strays:
        more = "" if len(schema.strays) == 1 else f" and {len(schema.strays) - 1} more"
        raise ConfigError(
            f"{place} contains something that Athena did not create: {schema.strays[0]}{more}. Find out where it comes"
            " from, then drop it or restore a backup (athena verify lists all)"
        )


def check_format(stored: str | None, place: str) -> int:
    """Return the format of a log. Raise ConfigError for an unknown format."""
    if stored is None or not stored.isdigit() or not 1 <= int(stored) <= FORMAT:
        raise ConfigError(f"{place} has format {stored}, but this release reads {FORMAT}: upgrade Athena")
    return int(stored)


def check_still(stored: str) -> int:
    """Return the format of an open log. Raise StoreMoved if a newer release has raised it."""
    if int(stored) > FORMAT:
        raise StoreMoved(
            f"a newer release has raised the log's format to {stored}, but this release writes {FORMAT}: upgrade Athena"
        )
    return int(stored)


def guard_rows(
    changes: Sequence[tuple[Guard, Position]],
) -> tuple[list[tuple[str, str]], list[tuple[str, str, str, Position]]]:
    """Return the keys of rows to delete, and the rows to put. The last change of a row wins."""
    last = {(guard.kind, guard.key): (guard.value, position) for guard, position in changes}
    gone = [row for row, (value, _) in last.items() if value is None]
    put = [(*row, _to_json(value).decode(), position) for row, (value, position) in last.items() if value is not None]
    return gone, put


class BoundedReader(LogReader, Protocol):
    """The reads that can end at a position in the past. A connection of its own, for one thread at a time."""

    def stream(self, stream: str, after: int = 0, until: int | None = None) -> list[Row]:
        """Return the rows of one stream with ``after < version <= until``."""

    def session(self, session_id: str, before: Position, after: Position = 0) -> Iterator[Row]:
        """Yield the rows of one session with ``after < position < before``, newest first. Close it to stop early."""

    def part(self, stream: str, after: int, until: int, limit: int, *, backwards: bool) -> list[Row]:
        """Return at most ``limit`` rows of one stream with ``after < version <= until``, from one end or the other."""

    def of_types(self, types: Sequence[str], after: Position, until: Position, limit: int) -> list[Row]:
        """Return the first rows of some types with ``after < position <= until``."""


class StoreReader(BoundedReader, StreamReader, Protocol):
    """A reader with its own connection, for one thread at a time. Reads that only it has show the present."""

    def guards(self, *kinds: str) -> list[StoredGuard]:
        """Return the guard rows of these kinds, or all, oldest first."""

    def keys(self) -> Iterator[StoredKey]:
        """Yield all bound idempotency keys."""

    def checkpoint(self, name: str) -> Position | None:
        """Return the checkpoint of a reactor or a foreign follower, if any."""

    def token_uses(self, token_ids: Sequence[str]) -> dict[str, int]:
        """Return the stored last uses of tokens, in milliseconds since 1970."""

    def holding(self, words: bytes, after: Position, until: Position) -> list[tuple[Position, bool]]:
        """Find the rows with ``after < position <= until`` that hold some bytes; True if the public payload does."""

    def last_version(self, stream: str) -> int | None:
        """Return the version of the last row of a stream."""

    def schema(self) -> SchemaReport:
        """Compare the schema with the one that this release creates."""

    def inspect(self, seconds: float | None = None) -> Inspection:
        """Check the pages of all tables, and each index against its table. Stop after ``seconds``."""

    def key_stamp(self) -> str | None:
        """Return the stored stamp of the key clock."""


StoredSnapshot: TypeAlias = tuple[str, int, str, bytes]
"""Owner, version, topic and state of a snapshot."""


class SnapshotStore(Protocol):
    """The snapshots of foreign applications beside a log. They have versions, but no positions."""

    troubles: ErrorKinds
    """The meaning of the store's exceptions."""

    def put(self, rows: Sequence[StoredSnapshot]) -> None:
        """Store all rows or none."""

    def part(self, owner: str, after: int, until: int, limit: int, *, backwards: bool) -> list[StoredSnapshot]:
        """Return at most ``limit`` snapshots of an owner with ``after < version <= until``, from either end."""

    def close(self) -> None:
        """Close the connection."""


class ExecutorHeartbeat(NamedTuple):
    """The counter of an executor, and whether its lock is free."""

    counter: int
    free: bool


class RegisteredExecutor(NamedTuple):
    """A registered executor: description, time of the last heartbeat, and whether its lock is free."""

    executor: str
    about: bytes
    counted_at: int
    """In milliseconds since 1970, by the clock of the database or the file system."""
    free: bool


class ExecutorRegistry(Protocol):
    """The executors of a log. Each has a counter and a lock, which is free once its process has ended."""

    executor: str
    """The executor of this process."""

    def beat(self, counter: int, about: bytes) -> None:
        """Write the counter and the description, JSON of at most ``ABOUT_BYTES_MAX`` bytes. Raise OSError."""

    def heartbeat(self, executor: str) -> ExecutorHeartbeat | None:
        """Return the heartbeat of another executor, or None if it has deregistered."""

    def registered(self) -> list[RegisteredExecutor]:
        """Return all registered executors, including lost ones until they are forgotten."""

    def forget(self, kept: set[str]) -> None:
        """Forget executors whose locks are free, except ``kept``."""

    def alone(self) -> bool:
        """Return True if no other executor is registered, or it does not matter."""

    def leave(self) -> None:
        """Leave in order."""


class Archive(Protocol):
    """A log as commands read it, that do not write it."""

    meta: Mapping[str, str]
    """Its id (``log_id``) and the format that it was written in (``format``)."""
    schema: SchemaReport
    """Its schema, compared with the one that this release creates."""
    anchor: Path
    """The anchor file of this machine."""

    def reader(self) -> StoreReader:
        """Open a reader."""

    def bytes(self) -> int:
        """Return the size of the log in bytes."""

    def close(self) -> None:
        """Close all connections."""


class CommitNotifier(Protocol):
    """Wakes a process when another one may have committed."""

    async def pause(self, *, found: bool) -> None:
        """Wait until the head should be read again; ``found`` is True if the last read found new rows."""

    async def close(self) -> None:
        """Stop listening."""


class Channel(Protocol):
    """Carries short texts between the processes on a log. Nothing is stored, so an absent process misses them."""

    async def send(self, texts: Sequence[str]) -> None:
        """Send texts to the other processes, in order. Raise OSError."""

    async def receive(self) -> list[str]:
        """Wait for texts from other processes. Raise OSError."""

    async def close(self) -> None:
        """Close the connection."""


class Store(Protocol):
    """The database of a log. Writes require ``exclusive``, in the writer's thread."""

    log_id: str
    format: int
    """The format of the log when it was opened or last locked by ``exclusive``."""
    anchor: Path
    """The anchor file of this machine."""
    wal_pages: int
    """The number of WAL pages that need ``checkpoint_wal``; always 0 if the database checkpoints itself."""
    remote: bool
    """True if statements go over the network, so that the keys of a batch should be fetched at once."""
    full: tuple[type[Exception], ...]
    """Raised if the disk is full; nothing was written."""
    read_only: tuple[type[Exception], ...]
    """Raised if the database is read-only; nothing was written."""
    busy: tuple[type[Exception], ...]
    """Raised if the lock was not free in time; nothing was written."""
    fatal: tuple[type[Exception], ...]
    """Raised if the state of the disk is unknown until the log is reopened."""
    lost: tuple[type[Exception], ...]
    """Raised if the connection was lost; the batch is stored completely or not at all."""
    damaged: tuple[type[Exception], ...]
    """Raised if a part of the database is unreadable."""

    troubles: ErrorKinds
    """The meaning of the store's exceptions; the first match applies."""

    @property
    def name(self) -> str:
        """The name of the log, unique on this machine."""

    def reader(self) -> StoreReader:
        """Open a reader."""

    def notifier(self) -> CommitNotifier:
        """Open a notifier."""

    def channel(self) -> Channel | None:
        """Open a channel; None if the database has none."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the exclusive write transaction. Commit at the end of the block; roll back if it raises.

        Raise StoreMoved if a newer release has raised the format.
        """

    def raise_format(self) -> None:
        """Raise the format to the one of this release."""

    def confirm(self) -> None:
        """Make earlier transactions as durable as this one, even if this one writes nothing."""

    def head(self) -> LogHead:
        """Return the last row's position, time and chain."""

    def snapshot(self) -> tuple[LogHead, list[StoredGuard]]:
        """Return the head and the guards in one snapshot."""

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Return at most ``limit`` rows with ``after < position <= until``, in order."""

    def stream(self, stream: str, after: int = 0, until: int | None = None) -> list[Row]:
        """Return the rows of one stream with ``after < version <= until``."""

    def guards(self, *kinds: str) -> list[StoredGuard]:
        """Return the guard rows of these kinds, or all, oldest first."""

    def expect(self, hashes: Sequence[bytes]) -> None:
        """Prefetch keys that will be looked up."""

    def key(self, key_hash: bytes) -> BoundKey | None:
        """Return the command stored under a key, if any."""

    def insert(self, rows: Sequence[Row]) -> None:
        """Insert rows at their positions."""

    def put_keys(self, keys: Sequence[KeyRow]) -> None:
        """Store keys."""

    def expire_keys(self, before: int) -> None:
        """Delete up to a thousand keys bound before a time on the key clock."""

    def newest_key(self) -> int:
        """Return the time of the newest key, 0 without one."""

    def key_stamp(self) -> str | None:
        """Return the stored stamp of the key clock, inside ``exclusive``."""

    def put_key_stamp(self, stamp: str) -> None:
        """Store the stamp of the key clock."""

    def put_guards(self, changes: Sequence[tuple[Guard, Position]]) -> None:
        """Apply guard changes in order."""

    def put_token_uses(self, uses: Mapping[str, int]) -> None:
        """Store last uses of tokens by token id, and drop old ones (``USES_KEPT_MS``)."""

    def put_checkpoint(self, name: str, position: Position) -> bool:
        """Move a checkpoint forward. Return True if it moved."""

    def erase_text(self, position: Position) -> None:
        """Erase the text of one row."""

    def rehearse(self, size: int) -> None:
        """Allocate ``size`` bytes and release them. Raise the error that a commit of this size would raise."""

    def drop_unkeyed(self, positions: Sequence[Position]) -> None:
        """Delete keys with an unkeyed hash of their input whose events are at these positions."""

    def checkpoint_wal(self, truncate: bool) -> None:
        """Checkpoint the WAL, if the store does this itself."""

    def scrub(self, seconds: float) -> None:
        """Remove all traces of erased text from the store's files. Raise OSError after ``seconds``. Thread-safe."""

    def check_place(self) -> None:
        """Raise StoreMoved if the database was replaced since it was opened."""

    def close(self) -> None:
        """Close the writing connection and release the locks."""
