"""Read model of the memory: entries that were recorded through the API, and erasures."""

import msgspec

from athena_core.clock import iso
from athena_core.domain.memory import MemoryRecorded
from athena_core.domain.plane import PayloadRedacted
from athena_core.event import Position, Recorded, Value
from athena_core.protocols import Cell, Connection
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json_or_null


class MemoryRow(msgspec.Struct, gc=False):
    """A memory entry. Its text is NULL once redacted. ``changed_position`` is the position of its last change."""

    position: int
    entry_id: str
    changed_position: int
    created_at: int
    chars: int
    text: str | None
    metadata: str | None


class ErasureRow(msgspec.Struct, gc=False):
    """An event whose text was erased, by the position of the erasure. Search indexes follow these rows."""

    position: int
    target: int


MEMORY_ENTRY = Table(
    "memory_entry", MemoryRow, key=("position",), indexes=(("entry_id",), ("changed_position", "position"))
)
ERASURE = Table("memory_erased", ErasureRow, key=("position",))
MEMORY = Projection("memory", version=1, tables=(MEMORY_ENTRY, ERASURE))

KNOWN = "text IS NOT NULL"
SELECT_ENTRY = f"{MEMORY_ENTRY.all} WHERE entry_id = ? AND {KNOWN}"
SELECT_CHANGED = (
    "SELECT changed_position, entry_id, text FROM memory_entry WHERE changed_position > ?"
    " ORDER BY changed_position, position LIMIT ?"
)
SELECT_ERASED = "SELECT position, target FROM memory_erased WHERE position > ? ORDER BY position LIMIT ?"


@MEMORY.handler
def memory_recorded(rows: Rows, recorded: Recorded[MemoryRecorded]) -> None:
    event = recorded.event
    rows.append(
        MEMORY_ENTRY,
        MemoryRow(
            position=recorded.position,
            entry_id=event.entry_id,
            changed_position=recorded.position,
            created_at=recorded.at,
            chars=event.chars,
            text=event.text,
            metadata=to_json_or_null(event.metadata),
        ),
    )


@MEMORY.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase the text of an entry, and record the erasure for search indexes."""
    target = recorded.event.target
    rows.append(ERASURE, ErasureRow(recorded.position, target))
    row = rows.erase(MEMORY_ENTRY, target, "text", "metadata")
    if row is not None:
        row.changed_position = recorded.position


class MemoryEntry(Value):
    """A memory entry. ``citation`` is its name in search results and in the metadata of transcripts."""

    id: str
    text: str
    chars: int
    created_at: str
    citation: str
    metadata: dict[str, str] | None = None


NEWEST = Keyset(kind="memory")


def list_entries(connection: Connection, *, cursor: str | None, limit: int) -> Page[MemoryEntry]:
    """Return a page of entries that are not forgotten, newest first."""
    known = ((f"{KNOWN} AND position > ?", 0),)
    return NEWEST.page(connection, MEMORY_ENTRY.all, known, cursor=cursor, limit=limit, show=_to_view)


def entry_by_id(connection: Connection, entry_id: str) -> MemoryEntry | None:
    """Return an entry, or None if it is forgotten."""
    return first(connection, SELECT_ENTRY, (entry_id,), _to_view)


def changed_after(connection: Connection, position: Position, limit: int) -> list[tuple[Position, str, str | None]]:
    """Return the entries that changed after a position, with their current text, or None if they are forgotten."""
    return [(int(at), str(name), text) for at, name, text in connection.execute(SELECT_CHANGED, (position, limit))]  # type: ignore[arg-type, misc]


def erased_after(connection: Connection, position: Position, limit: int) -> list[tuple[Position, Position]]:
    """Return the erasures after a position: their positions, and the positions of the erased events."""
    return [(int(at), int(target)) for at, target in connection.execute(SELECT_ERASED, (position, limit))]  # type: ignore[arg-type]


def place_of(entry_id: str) -> str:
    """Return the citation of an entry."""
    return f"entries/{entry_id}"


def _to_view(values: tuple[Cell, ...]) -> MemoryEntry:
    row = MEMORY_ENTRY.load(values)
    return MemoryEntry(
        id=row.entry_id,
        text=row.text or "",
        chars=row.chars,
        created_at=iso(row.created_at),
        citation=place_of(row.entry_id),
        metadata=None if row.metadata is None else msgspec.json.decode(row.metadata),
    )
