"""The port: what the log asks of a database. ``sqlite/`` and ``postgres/`` answer it alike.

A store has one writing connection, which is the writer's alone. Everything else is read through readers, each with a
connection of its own for one thread.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from athena_core.errors import ConfigError, StoreMoved
from athena_core.event import Guard, Position
from athena_core.log.chain import GENESIS
from athena_core.protocols import LogReader, Row, StoredKey

FORMAT = 2
"""The format of the logs that this release writes (docs/log-format.md). It reads all below."""

KEY_CLOCK = "key_clock"
"""In the description of a log: the stamp of the clock of its keys (``key_clock.py``)."""

MOVED_TO = "moved"
"""In the description of a log: where it was moved to; here it is not to be used any more."""

ROW_BYTES_MAX = 256 << 20
"""The largest row of the log in bytes, and the largest of its columns; what is larger was not written by Athena."""

ABOUT_BYTES_MAX = 4_096 - 8
"""The largest description of a process in bytes: with its counter of 8 bytes it fills one block of a file."""

READ_BYTES_MAX = 64 << 20
"""The bytes of payloads and texts after which a page of rows ends."""

REHEARSAL_BYTES = 1 << 20
"""The space of a full batch: a writer whose last write failed has to find it before it takes writes for possible."""

StoredGuard: TypeAlias = tuple[str, str, tuple[str | int, ...]]
"""Kind, key and value of a guard row."""

ErrorKind: TypeAlias = Literal["IntegrityError", "OperationalError", "InterfaceError", "DataError", "DatabaseError"]
"""The name of an error in eventsourcing."""

ErrorKinds: TypeAlias = tuple[tuple[tuple[type[Exception], ...], ErrorKind], ...]
"""Kinds of exceptions, and what they mean; the first that fits."""

KeyRow: TypeAlias = tuple[bytes, bytes, int, int, int, str | None, bytes | None]
"""A stored key: its hash, fingerprint, time on the clock of keys, first position, count, subject, answer."""


class LogHead(NamedTuple):
    """The last row of a log: its position, time and chain; before the first row those of an empty log."""

    position: Position = 0
    recorded_at: int = 0
    chain: bytes = GENESIS


class BoundKey(NamedTuple):
    """The command stored under an idempotency key, with the time and ``extra`` of its last event."""

    fingerprint: bytes
    bound_at: int
    """In milliseconds on the clock of keys (``key_clock.py``)."""
    first: Position
    events: int
    subject: str | None
    answer: bytes | None
    recorded_at: int
    extra: bytes | None


_to_json = msgspec.json.Encoder().encode


class SchemaReport(NamedTuple):
    """The schema of a log, compared with the one that this release creates."""

    strays: tuple[str, ...] = ()
    """A line for each object that is changed, unknown or missing, in this order."""
    readable: bool = True
    """True if the tables are those of a log, so that reading them runs no foreign SQL."""


def check_schema(schema: SchemaReport, place: str) -> None:
    """Raise ConfigError for a log whose schema is not that of this release."""
    if schema.strays:
        more = "" if len(schema.strays) == 1 else f" and {len(schema.strays) - 1} more"
        raise ConfigError(
            f"{place} holds what Athena did not create: {schema.strays[0]}{more}; find out who put it there, then drop"
            " it or restore a backup (athena verify lists all)"
        )


def check_format(stored: str | None, place: str) -> int:
    """Return the format of a log. Raise ConfigError for one that this release does not know."""
    if stored is None or not stored.isdigit() or not 1 <= int(stored) <= FORMAT:
        raise ConfigError(f"{place} has format {stored}; this release reads {FORMAT}: upgrade")
    return int(stored)


def check_still(stored: str) -> int:
    """Return the format of a log that is open. Raise StoreMoved if a newer release has raised it since."""
    if int(stored) > FORMAT:
        raise StoreMoved(f"a newer release has raised the log's format to {stored}; this release writes {FORMAT}")
    return int(stored)


def guard_rows(
    changes: Sequence[tuple[Guard, Position]],
) -> tuple[list[tuple[str, str]], list[tuple[str, str, str, Position]]]:
    """Return kind and key of rows to delete, and rows to put; of several changes to one row the last counts."""
    last = {(guard.kind, guard.key): (guard.value, position) for guard, position in changes}
    gone = [row for row, (value, _) in last.items() if value is None]
    put = [(*row, _to_json(value).decode(), position) for row, (value, position) in last.items() if value is not None]
    return gone, put


class StoreReader(LogReader, Protocol):
    """Reads the log through a connection of its own; one thread at a time."""

    def stream(self, stream: str, after: int = 0, until: int | None = None) -> list[Row]:
        """The rows of one stream with ``after < version <= until``."""

    def session(self, session_id: str, before: Position, after: Position = 0) -> Iterator[Row]:
        """The rows of one session, ``after < position < before``, newest first; close the iterator to stop early."""

    def guards(self, *kinds: str) -> list[StoredGuard]:
        """Return the guard rows of these kinds, or all, oldest first."""

    def keys(self) -> Iterator[StoredKey]:
        """All bound idempotency keys."""

    def checkpoint(self, name: str) -> Position | None:
        """Return the checkpoint of a reactor or a foreign follower, if any."""

    def part(self, stream: str, after: int, until: int, limit: int, *, backwards: bool) -> list[Row]:
        """At most ``limit`` rows of one stream with ``after < version <= until``, from one end or the other."""

    def of_types(self, types: Sequence[str], after: Position, until: Position, limit: int) -> list[Row]:
        """The first rows of some types with ``after < position <= until``."""

    def holding(self, words: bytes, after: Position, until: Position) -> list[tuple[Position, bool]]:
        """Find the rows with ``after < position <= until`` that hold some bytes; True if the public payload does."""

    def last_version(self, stream: str) -> int | None:
        """The version of the last row of a stream."""

    def schema(self) -> SchemaReport:
        """Compare the schema with the one that this release creates."""

    def key_stamp(self) -> str | None:
        """Return the stored stamp of the clock of keys."""


StoredSnapshot: TypeAlias = tuple[str, int, str, bytes]
"""Whose it is, its version, its topic and what it holds."""


class SnapshotStore(Protocol):
    """Stores snapshots of foreign applications beside a log: they have versions, but no place in its order."""

    troubles: ErrorKinds
    """The meaning of its exceptions."""

    def put(self, rows: Sequence[StoredSnapshot]) -> None:
        """Store all or none."""

    def part(self, owner: str, after: int, until: int, limit: int, *, backwards: bool) -> list[StoredSnapshot]:
        """At most ``limit`` of one owner's with ``after < version <= until``, from one end or the other."""

    def close(self) -> None:
        """Close it."""


class ExecutorHeartbeat(NamedTuple):
    """The counter of an executor when it was read, and whether its lock is free."""

    counter: int
    free: bool


class RegisteredExecutor(NamedTuple):
    """An executor: its description, when it counted last, and whether its lock is free."""

    executor: str
    about: bytes
    counted_at: int
    """In milliseconds since 1970, by the clock of the database or the file system."""
    free: bool


class ExecutorRegistry(Protocol):
    """The executors of a log: for each a lock, free as soon as its process is gone, and a counter beside it."""

    executor: str
    """The executor of this process."""

    def beat(self, counter: int, about: bytes) -> None:
        """Write the counter and the description, JSON of at most ``ABOUT_BYTES_MAX`` bytes. Raise OSError."""

    def heartbeat(self, executor: str) -> ExecutorHeartbeat | None:
        """Return the heartbeat of another executor, or None if it left in order."""

    def registered(self) -> list[RegisteredExecutor]:
        """Return all executors, with those that are lost and not forgotten yet."""

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
        """A new reader."""

    def bytes(self) -> int:
        """Return the space that it takes, in bytes."""

    def close(self) -> None:
        """Close what is open."""


class CommitNotifier(Protocol):
    """Wakes a process when others may have committed."""

    async def pause(self, *, found: bool) -> None:
        """Return when it is time to read the head again; ``found`` is True if something was new the last time."""

    async def close(self) -> None:
        """Stop listening."""


class Channel(Protocol):
    """Carries short texts between the processes on a log. Nothing is stored; an absent process misses it."""

    async def send(self, texts: Sequence[str]) -> None:
        """Send texts to the others, in order. Raise OSError."""

    async def receive(self) -> list[str]:
        """Wait for texts of others. Raise OSError."""

    async def close(self) -> None:
        """Close it."""


class Store(Protocol):
    """A log's database. What changes it needs ``exclusive`` around it, in the thread of the writer."""

    log_id: str
    format: int
    """The log's format when it was opened, or in the last block of ``exclusive``."""
    anchor: Path
    """The anchor file of this machine."""
    wal_pages: int
    """The pages that wait for ``checkpoint_wal``; always 0 where the database does that itself."""
    remote: bool
    """True if each statement goes over the network, so that the keys of a batch are better fetched at once."""
    full: tuple[type[Exception], ...]
    """Raised where there is no space: nothing was written."""
    read_only: tuple[type[Exception], ...]
    """Raised where the database takes no writes at present: nothing was written."""
    busy: tuple[type[Exception], ...]
    """Raised where the lock was not free in time: nothing was written."""
    fatal: tuple[type[Exception], ...]
    """Raised where it is unknown what the disk holds, until the log is opened again."""
    lost: tuple[type[Exception], ...]
    """Raised where the connection was lost: the batch may be there wholly, or not at all."""
    damaged: tuple[type[Exception], ...]
    """Raised where a part of the database cannot be read."""

    troubles: ErrorKinds
    """The meaning of its exceptions; the first that fits."""

    @property
    def name(self) -> str:
        """A name that no other log on this machine has."""

    def reader(self) -> StoreReader:
        """A new reader."""

    def notifier(self) -> CommitNotifier:
        """A new notifier."""

    def channel(self) -> Channel | None:
        """A new channel; None where processes have none between them."""

    def exclusive(self) -> AbstractContextManager[None]:
        """A write transaction alone in the world: committed at the end of the block, rolled back if it raises.

        Raise StoreMoved if a newer release has raised the format.
        """

    def raise_format(self) -> None:
        """Set the format to that of this release."""

    def confirm(self) -> None:
        """Make what earlier transactions wrote as durable as what this one writes, even if it writes nothing."""

    def head(self) -> LogHead:
        """Return the last row's position, time and chain."""

    def snapshot(self) -> tuple[LogHead, list[StoredGuard]]:
        """The head and the guards of one moment."""

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Rows with ``after < position <= until`` in order, at most ``limit``."""

    def stream(self, stream: str, after: int = 0, until: int | None = None) -> list[Row]:
        """The rows of one stream with ``after < version <= until``."""

    def guards(self, *kinds: str) -> list[StoredGuard]:
        """Return the guard rows of these kinds, or all, oldest first."""

    def expect(self, hashes: Sequence[bytes]) -> None:
        """These keys are about to be looked up."""

    def key(self, key_hash: bytes) -> BoundKey | None:
        """Return the command that is stored under a key, if any."""

    def insert(self, rows: Sequence[Row]) -> None:
        """Add rows at the positions they carry."""

    def put_keys(self, keys: Sequence[KeyRow]) -> None:
        """Bind keys."""

    def expire_keys(self, before: int) -> None:
        """Forget up to a thousand keys that were bound before a time on the clock of keys."""

    def newest_key(self) -> int:
        """Return the time of the newest key, 0 without one."""

    def key_stamp(self) -> str | None:
        """Return the stored stamp of the clock of keys, inside ``exclusive``."""

    def put_key_stamp(self, stamp: str) -> None:
        """Store the stamp of the clock of keys."""

    def put_guards(self, changes: Sequence[tuple[Guard, Position]]) -> None:
        """Apply guard changes in order."""

    def put_checkpoint(self, name: str, position: Position) -> bool:
        """Move a checkpoint forward. Return True if it moved."""

    def erase_text(self, position: Position) -> None:
        """Erase the text of one row."""

    def rehearse(self, size: int) -> None:
        """Take space, in bytes, and give it back; nothing stays. Raises what a commit of as much would raise."""

    def drop_unkeyed(self, positions: Sequence[Position]) -> None:
        """Forget the keys with a plain hash of their input, if they led to one of these positions."""

    def checkpoint_wal(self, truncate: bool) -> None:
        """Move what was written into the database itself, where that is the store's own business."""

    def scrub(self, seconds: float) -> None:
        """Leave nothing of erased text in the store's files; any thread may. Raises OSError after ``seconds``."""

    def check_place(self) -> None:
        """Raise StoreMoved if the database is no longer the one that was opened."""

    def close(self) -> None:
        """Close the writing connection and give up the locks."""
