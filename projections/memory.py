"""The memory: entries that were noted down through the API, and what of the log was erased since."""

import msgspec

from athena_core.clock import iso
from athena_core.domain.memory import MemoryRecorded
from athena_core.domain.plane import PayloadRedacted
from athena_core.event import Position, Recorded, Value
from athena_core.protocols import Cell, Connection
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json_or_null


class MemoryRow(msgspec.Struct, gc=False):
    """An entry; its text is gone once it was redacted. ``changed_position`` is that of the event that said so."""

    position: int
    entry_id: str
    changed_position: int
    created_at: int
    chars: int
    text: str | None
    metadata: str | None


class ErasureRow(msgspec.Struct, gc=False):
    """An event whose text was erased, by the event that says so; who searches elsewhere has to forget it too."""

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
    """Forget what an entry said, and have it forgotten where it is searched."""
    target = recorded.event.target
    rows.append(ERASURE, ErasureRow(recorded.position, target))
    row = rows.erase(MEMORY_ENTRY, target, "text", "metadata")
    if row is not None:
        row.changed_position = recorded.position


class MemoryEntry(Value):
    """Something that was noted down."""

    id: str
    text: str
    chars: int
    created_at: str
    citation: str
    metadata: dict[str, str] | None = None


NEWEST = Keyset(kind="memory")


def list_entries(connection: Connection, *, cursor: str | None, limit: int) -> Page[MemoryEntry]:
    """What is known, newest first."""
    known = ((f"{KNOWN} AND position > ?", 0),)
    return NEWEST.page(connection, MEMORY_ENTRY.all, known, cursor=cursor, limit=limit, show=_to_view)


def entry_by_id(connection: Connection, entry_id: str) -> MemoryEntry | None:
    """One entry; None once it was forgotten."""
    return first(connection, SELECT_ENTRY, (entry_id,), _to_view)


def changed_after(connection: Connection, position: Position, limit: int) -> list[tuple[Position, str, str | None]]:
    """Which entries changed after a position, and what they say since; None if they were forgotten."""
    return [(int(at), str(name), text) for at, name, text in connection.execute(SELECT_CHANGED, (position, limit))]  # type: ignore[arg-type, misc]


def erased_after(connection: Connection, position: Position, limit: int) -> list[tuple[Position, Position]]:
    """What was erased after a position: where that was recorded, and of which event."""
    return [(int(at), int(target)) for at, target in connection.execute(SELECT_ERASED, (position, limit))]  # type: ignore[arg-type]


def place_of(entry_id: str) -> str:
    """How an entry is cited."""
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
