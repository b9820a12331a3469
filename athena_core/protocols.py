"""The shapes through which read models meet the log and their own database (decisions E31)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from athena_core.event import Event, Position, Recorded, Value
from athena_core.values import PAGE_BYTES_MAX

Cell: TypeAlias = int | str | bytes | None


class Row(NamedTuple):
    """A row of the log as it is stored, in column order (``text`` is the erasable column, JSON with a salt inside)."""

    position: Position
    stream: str
    version: int
    type: str
    schema_version: int
    recorded_at: int
    command_id: str
    correlation: str
    causation: int | None
    actor: str
    session_id: str | None
    run_id: str | None
    data: bytes
    extra: bytes | None
    data_hash: bytes
    text_hash: bytes | None
    chain: bytes
    text: bytes | None


row_of: Callable[[tuple[Any, ...]], Row] = partial(tuple.__new__, Row)
"""What ``Row._make`` does, without a frame."""

PublicCells: TypeAlias = tuple[Position, str, int, str, str | None, str | None, bytes, bytes | None, bytes]
"""The cells of a ``PublicRow`` without its names, as the database gives them: five hundred to a page."""


class PublicRow(NamedTuple):
    """What of a row is published, and all that the feed reads of it: no text, none of the hashes but the chain's."""

    position: Position
    type: str
    recorded_at: int
    correlation: str
    session_id: str | None
    run_id: str | None
    data: bytes
    extra: bytes | None
    chain: bytes

    @classmethod
    def of(cls, row: Row) -> "PublicRow":
        """What of this row is published."""
        return cls(
            row.position,
            row.type,
            row.recorded_at,
            row.correlation,
            row.session_id,
            row.run_id,
            row.data,
            row.extra,
            row.chain,
        )


class StoredKey(NamedTuple):
    """A bound idempotency key: its hash, the positions that its command wrote (to ``first - 1`` where none), its time.

    ``subject`` is the id of the record that a repeated key is answered from.
    """

    key_hash: bytes
    first: Position
    last: Position
    recorded_at: int
    subject: str | None


class DatabaseDamaged(Exception):
    """A database that can be built anew is not one any more."""


class Connection(Protocol):
    """A connection to a database of views; statements use ``?`` for their values."""

    def execute(self, statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        """Run one statement and iterate its rows."""

    def stream(self, statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        """Run one statement and fetch its rows as they are asked for; it may end early."""

    def executemany(self, statement: str, rows: Iterable[Sequence[Cell]]) -> object:
        """Run one statement for many rows."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit at the end of the block, roll back if it raises."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Every statement in the block sees the same rows."""

    def changed(self) -> int:
        """A number that changes when another connection has committed (cheap: about 4 µs)."""

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Interrupt what runs in the block once the time is up; then raises TimeoutError."""

    def close(self) -> None:
        """Close it."""


class Databases(Protocol):
    """Opens databases in files."""

    def write(self, path: Path) -> Connection:
        """Open for writing, creating it if needed."""

    def read(self, path: Path) -> Connection:
        """Open read-only; the file must exist."""

    def scrub(self, path: Path, seconds: float) -> None:
        """Rewrite one, so that no erased text is left in its files. Raises OSError after ``seconds``."""


class LeaderLock(Protocol):
    """A lock between processes: held by one at a time, and free as soon as its holder is gone."""

    @property
    def held(self) -> bool:
        """Whether this object holds it. Raises OSError where it was lost."""

    def acquire(self) -> bool:
        """Try to take it, without waiting; tell whether this object holds it now."""

    def release(self) -> None:
        """Let go, if held."""


class Generations(Protocol):
    """Keeps whole sets of views by their names, and which one serves, and which one waits to.

    What changes them is done under a lock, which its holder gives along: so who has lost it can change nothing.
    """

    def updater_lock(self) -> LeaderLock:
        """Return the lock under which the current generation is updated and another one begins to serve."""

    def builder_lock(self) -> LeaderLock:
        """Return the lock under which a generation or scratch set is built; only its holder removes leftovers."""

    def stamp(self) -> object:
        """Something that changes whenever another generation serves; None while none does."""

    def current(self) -> str | None:
        """The generation that serves."""

    def identity(self, name: str) -> object:
        """Return what tells a generation from another one of its name; None where it is gone."""

    def candidate(self) -> str | None:
        """A complete generation that the holder of the updater lock is to take up."""

    def condemned(self) -> str | None:
        """The generation that a reader found damaged, until another one serves."""

    def condemn(self, name: str) -> None:
        """Have the holder of the updater lock replace a damaged generation. Raises OSError."""

    def switch(self, name: str, lock: LeaderLock) -> None:
        """Let a complete generation serve. Call with the updater lock; a newer candidate stays."""

    def offer(self, name: str, lock: LeaderLock) -> None:
        """Let a generation be the candidate."""

    def withdraw(self, lock: LeaderLock) -> None:
        """Let there be no candidate."""

    def all(self) -> list[str]:
        """Every generation, oldest first."""

    def fresh(self) -> str:
        """The name of the next generation."""

    def remove(self, name: str, lock: LeaderLock) -> None:
        """Delete a generation; whoever is reading it is not hindered."""

    def leftovers(self) -> list[str]:
        """Generations that do not serve and do not wait to: replaced ones, and those that were not finished."""

    def write(self, name: str, lock: LeaderLock) -> Connection:
        """Open for writing, creating it if needed."""

    def read(self, name: str) -> Connection:
        """Open read-only; it must exist."""

    def scratch(self, lock: LeaderLock) -> AbstractContextManager[Connection]:
        """An empty place for views that will never serve. Call with the builder lock."""

    def scrub(self, name: str, seconds: float) -> None:
        """Rewrite a generation, so that no erased text is left in its files. Raises OSError after ``seconds``."""

    def close(self) -> None:
        """Close what is open and nobody uses."""


class LogReader(Protocol):
    """Reads the log through a connection of its own; use one per thread."""

    @property
    def log_id(self) -> str:
        """The log's id, 16 hex digits."""

    def head(self) -> Position:
        """The last position that is committed by any process."""

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Rows with ``after < position <= until`` in order, at most ``limit``; fewer where they are large."""

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = PAGE_BYTES_MAX
    ) -> Sequence[PublicCells]:
        """Return what is published of the same rows, in at most ``bytes_max`` bytes; one row always fits."""

    def row(self, position: Position) -> Row | None:
        """One row."""

    def close(self) -> None:
        """Close the connection."""


class NoteFile(NamedTuple):
    """A note in a file: its path, what changes when it does, and whether that can be relied on already."""

    path: str
    stamp: str
    settled: bool


class NoteSource(Protocol):
    """The notes in files; blocking."""

    def list(self) -> Iterator[NoteFile]:
        """Those that there are."""

    def read(self, path: str) -> str | None:
        """What one says; None if it cannot be read, or holds too much."""


class Passage(Value):
    """A place where something was found (contract 4.8); ``score`` is higher the better it fits."""

    id: str
    source_path: str
    snippet: str
    score: float
    line_start: int | None = None
    line_end: int | None = None
    citation: str | None = None


class MemorySearch(Protocol):
    """Finds what was noted down; blocking."""

    def search(
        self,
        terms: Sequence[str],
        *,
        least: int,
        limit: int,
        seconds: float,
        sessions: frozenset[str] | None = None,
    ) -> list[Passage]:
        """The passages that hold ``least`` of the terms at least, best first.

        With ``sessions`` only passages of their transcripts are found.

        Raises TimeoutError, and NotCaughtUp while what is searched is not ready.
        """

    def refresh(self) -> None:
        """Make ready what is searched, however long it takes."""

    def scrub(self, seconds: float) -> None:
        """Leave nothing of erased text in what is searched. Raises OSError after ``seconds``."""

    def close(self) -> None:
        """Stop getting ready, and close what is open."""


class Decode(Protocol):
    """Turns a row into an event in its envelope."""

    def __call__(self, row: Row, *, text: bool = True) -> Recorded[Event]:
        """Decode; an unknown type becomes ``Unknown``; raises ValueError if the bytes are damaged."""
