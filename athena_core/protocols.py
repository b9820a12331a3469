"""Interfaces between read models, the log and the view database."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol, TypeAlias

from athena_core.event import Event, Position, Recorded, Value, says
from athena_core.values import PAGE_BYTES_MAX

Cell: TypeAlias = int | str | bytes | None


class Row(NamedTuple):
    """A stored row of the log, in column order. ``text`` is the erasable column: JSON with a salt inside."""

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
"""A faster ``Row._make``."""

PublicCells: TypeAlias = tuple[Position, str, int, str, str | None, str | None, bytes, bytes | None, bytes]
"""The cells of a ``PublicRow`` without its names, as the database returns them: 500 to a page."""


class PublicRow(NamedTuple):
    """The public columns of a log row: no erasable text and no hash except the chain's."""

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
        """Return the public columns of a row."""
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
    """A bound idempotency key: its hash, the positions that its command wrote, and its time.

    ``last`` is ``first - 1`` if the command wrote nothing. ``subject`` is the id of the record that answers a repeated
    key.
    """

    key_hash: bytes
    first: Position
    last: Position
    recorded_at: int
    subject: str | None


class DatabaseDamaged(Exception):
    """A view database is damaged. It can be rebuilt from the log."""


class Connection(Protocol):
    """A connection to a view database. Statements use ``?`` for their values."""

    def execute(self, statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        """Run a statement and iterate over its rows."""

    def stream(self, statement: str, values: Sequence[Cell] = ()) -> Iterator[tuple[Cell, ...]]:
        """Run a statement and fetch its rows lazily. The caller may stop early."""

    def executemany(self, statement: str, rows: Iterable[Sequence[Cell]]) -> object:
        """Run a statement for many rows."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit at the end of the block; roll back if it raises."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all statements in the block read the same snapshot."""

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Interrupt statements in the block after ``seconds``. Raise TimeoutError."""

    def close(self) -> None:
        """Close the connection."""


class PastConnection(Connection, Protocol):
    """A connection that may make temporary tables and views. Their names hide names of the view database.

    ``source`` qualifies the names of the database itself. ``block`` is the SQL of the number that ``begin`` sets.
    """

    source: str
    block: str

    def begin(self, block: int) -> None:
        """Set the block, inside a transaction."""


class Databases(Protocol):
    """A store of databases in files."""

    def write(self, path: Path) -> Connection:
        """Open for writing; create the file if needed."""

    def read(self, path: Path) -> Connection:
        """Open read-only. The file must exist."""

    def past(self, path: Path) -> PastConnection:
        """Open read-only, with temporary tables in memory. The file must exist."""

    def scrub(self, path: Path, seconds: float) -> None:
        """Rewrite a database so that its files hold no erased text. Raise OSError after ``seconds``."""


class LeaderLock(Protocol):
    """A lock between processes: held by one at a time, released when its holder ends."""

    @property
    def held(self) -> bool:
        """True if this object holds the lock. Raise OSError if it was lost."""

    def acquire(self) -> bool:
        """Try to take the lock without waiting. Return True if this object holds it now."""

    def release(self) -> None:
        """Release the lock if it is held."""


class Generations(Protocol):
    """The generations of views by name: the current one and the candidate for its place.

    Changes need a lock, which the caller passes along, so a caller that lost it changes nothing.
    """

    def updater_lock(self) -> LeaderLock:
        """Return the lock for updating the current generation and for switching to another one."""

    def builder_lock(self) -> LeaderLock:
        """Return the lock for building a generation or scratch set. Only its holder removes leftovers."""

    def stamp(self) -> object:
        """Return a value that changes whenever another generation becomes current; None if there is none."""

    def current(self) -> str | None:
        """Return the name of the current generation."""

    def identity(self, name: str) -> object:
        """Return a value that differs between generations with the same name; None if it is gone."""

    def candidate(self) -> str | None:
        """Return a complete generation that the holder of the updater lock should switch to."""

    def condemned(self) -> str | None:
        """Return the current generation if a reader found it damaged."""

    def condemn(self, name: str) -> None:
        """Ask the holder of the updater lock to replace a damaged generation. Raise OSError."""

    def switch(self, name: str, lock: LeaderLock) -> None:
        """Make a complete generation current. Needs the updater lock. A newer candidate stays."""

    def offer(self, name: str, lock: LeaderLock) -> None:
        """Make a generation the candidate."""

    def withdraw(self, lock: LeaderLock) -> None:
        """Remove the candidate."""

    def all(self) -> list[str]:
        """Return all generations, oldest first."""

    def fresh(self) -> str:
        """Return the name of the next generation."""

    def remove(self, name: str, lock: LeaderLock) -> None:
        """Delete a generation. Readers that have it open are not affected."""

    def leftovers(self) -> list[str]:
        """Return generations that are neither current nor candidate: replaced or unfinished ones."""

    def write(self, name: str, lock: LeaderLock) -> Connection:
        """Open for writing; create the generation if needed."""

    def read(self, name: str) -> Connection:
        """Open read-only. The generation must exist."""

    def past(self, name: str) -> PastConnection:
        """Open read-only, with temporary tables. The generation must exist."""

    def scratch(self, lock: LeaderLock) -> AbstractContextManager[Connection]:
        """Open an empty database for views that never become current. Needs the builder lock."""

    def scrub(self, name: str, seconds: float) -> None:
        """Rewrite a generation so that its files hold no erased text. Raise OSError after ``seconds``."""

    def close(self) -> None:
        """Close unused connections."""


class LogReader(Protocol):
    """A reader of the log with its own connection. Use one per thread."""

    @property
    def log_id(self) -> str:
        """The id of the log, 16 hex digits."""

    def head(self) -> Position:
        """Return the last committed position, by any process."""

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Return rows with ``after < position <= until`` in order, at most ``limit``; fewer if they are large."""

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = PAGE_BYTES_MAX
    ) -> Sequence[PublicCells]:
        """Return the public columns of the same rows, at most ``bytes_max`` bytes; at least one row."""

    def row(self, position: Position) -> Row | None:
        """Return one row."""

    def close(self) -> None:
        """Close the connection."""


class StreamRow(NamedTuple):
    """The place of a row in its stream and in the log, and its type."""

    stream: str
    version: int
    position: Position
    type: str


class TouchedStream(NamedTuple):
    """A stream with rows between two positions: versions and positions of the first and the last, and their number.

    ``created_as`` is the type of its very first row, if that is one of them. ``begun`` and ``ended`` are the positions
    of the last rows of two sets of types.
    """

    stream: str
    first_version: int
    last_version: int
    first: Position
    last: Position
    events: int
    created_as: str | None
    begun: Position | None
    ended: Position | None


Envelope: TypeAlias = tuple[Position, str, int, str, str, bytes]
"""Position, type, time in milliseconds, trace id, actor and chain value of an event."""


class StreamReader(LogReader, Protocol):
    """A reader of the log that also looks at streams between two positions."""

    def touched(
        self,
        after: Position,
        until: Position,
        begins: Sequence[str],
        ends: Sequence[str],
        sessions: Collection[str] | None,
        runs: Collection[str] | None,
    ) -> list[TouchedStream]:
        """Return the streams with rows in ``after < position <= until``, of these sessions and runs; None is all."""

    def part_touched(
        self,
        stream: str,
        first: int,
        last: int,
        begins: Sequence[str],
        ends: Sequence[str],
        sessions: Collection[str] | None,
        runs: Collection[str] | None,
    ) -> TouchedStream:
        """Return the same of the rows of one stream with ``first <= version <= last``, and read each of them."""

    def latest(
        self,
        after: Position,
        until: Position,
        end: Position,
        limit: int,
        sessions: Collection[str] | None,
        runs: Collection[str] | None,
    ) -> list[StreamRow]:
        """Return the rows with ``after < position <= until`` that are the last of their streams up to ``end``.

        The newest comes first. Rows of other sessions and runs do not count; None is all.
        """

    def firsts(self, positions: Sequence[Position], after: Position) -> dict[Position, StreamRow]:
        """Return, for each of some rows, the first row of its stream after a position.

        Reads as many rows of a stream as the logarithm of their number.
        """

    def turns(
        self, stream: str, after: int, until: int, types: Sequence[str], limit: int
    ) -> list[tuple[Position, str]]:
        """Return positions and types of the last rows of some types with ``after < version <= until``, newest first."""

    def envelopes(self, positions: Sequence[Position]) -> list[Envelope]:
        """Return the envelopes of events."""


class NoteFile(NamedTuple):
    """A note file: its path, a stamp that changes with it, and True if the stamp is old enough to rely on."""

    path: str
    stamp: str
    settled: bool


class NoteSource(Protocol):
    """The notes in files. Calls block."""

    def list(self) -> Iterator[NoteFile]:
        """Yield all note files."""

    def read(self, path: str) -> str | None:
        """Return the text of a note; None if it cannot be read or is too large."""


class Passage(Value):
    """A passage found by a search. A higher ``score`` is a better match."""

    id: str
    source_path: Annotated[str, says("File or entry of the passage.")]
    snippet: Annotated[str, says("Text of the passage.")]
    score: Annotated[float, says("Match with the query; higher is better.")]
    line_start: int | None = None
    line_end: int | None = None
    citation: str | None = None


class MemorySearch(Protocol):
    """A search over notes and transcripts. Calls block."""

    def search(
        self,
        terms: Sequence[str],
        *,
        least: int,
        limit: int,
        seconds: float,
        sessions: frozenset[str] | None = None,
    ) -> list[Passage]:
        """Return the passages that contain at least ``least`` of the terms, best first.

        With ``sessions`` return only passages from their transcripts.

        Raise TimeoutError, or NotCaughtUp while the index is not ready.
        """

    def refresh(self) -> None:
        """Update the index, however long that takes."""

    def scrub(self, seconds: float) -> None:
        """Remove erased text from the index. Raise OSError after ``seconds``."""

    def close(self) -> None:
        """Stop updating and close the index."""


class Decode(Protocol):
    """A function that turns a row into an event in its envelope."""

    def __call__(self, row: Row, *, text: bool = True) -> Recorded[Event]:
        """Decode a row; an unknown type becomes ``Unknown``. Raise ValueError if the bytes are damaged."""
