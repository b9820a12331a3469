"""Operations on memory: search and read notes, record and forget entries."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from athena_api.endpoint.operation import EVERYBODY, ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.domain.memory import MemoryBody
from athena_core.event import Value, says
from athena_core.protocols import Connection, Passage
from athena_core.services.memory import ForgottenEntry, NoteText
from athena_core.values import Body, Count, Label
from projections import memory
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane

SCRUB_SECONDS = 1.5
"""How long a forget waits for readers of the erased text, before its answer names where the text may remain."""


class SearchQuery(Value):
    """Words to search for, the maximum number of passages (default 6), and the minimum score from 0 to 1."""

    query: Annotated[Label, says("Words to search for.")]
    max_results: Annotated[Count | None, says("Most passages; absent: 6.")] = None
    min_score: Annotated[
        Annotated[float, msgspec.Meta(ge=0)] | None, says("Lowest `score` of a passage; absent: no limit.")
    ] = None


class ReadMemoryBody(Body):
    """A range of lines of a note. ``path`` is ``MEMORY.md`` or ``memory/<name>.md``; ``from`` is the first line."""

    path: Annotated[Label, says("`MEMORY.md` or `memory/<name>.md`.")]
    from_line: Annotated[Count, says("First line, from 1.")] = msgspec.field(name="from", default=1)
    lines: Annotated[Count | None, says("Number of lines; absent: all.")] = None


async def search_memory(plane: "ControlPlane", call: ApiCall[NoBody, SearchQuery]) -> Reply:
    """Search notes and entries for passages that contain words of the query, those with every word first."""
    query = call.query
    passages = await plane.memory.search(query.query, query.max_results, query.min_score or 0.0, plane.in_thread)
    return Reply(data=passages, position=call.position)


async def get_memory(plane: "ControlPlane", call: ApiCall[ReadMemoryBody, NoQuery]) -> Reply:
    """Read lines of a note in the workspace, `MEMORY.md` or `memory/**.md`."""
    body = call.body
    return Reply(data=await plane.memory.get(body.path, body.from_line, body.lines), position=plane.reader.head())


async def record_memory(plane: "ControlPlane", call: ApiCall[MemoryBody, NoQuery]) -> Reply:
    """Record a memory entry."""
    done = await plane.memory.record(call.body, call.meta, call.key)
    entry_id = done.subject or ""
    entry, position = await plane.read(("memory",), done.position, lambda rows: memory.entry_by_id(rows, entry_id))
    return Reply(data=existing(entry, "memory entry", entry_id), position=position, replayed=done.replayed)


async def list_memory(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List memory entries, newest first."""
    page, position = await plane.query(
        ("memory",), lambda rows: memory.list_entries(rows, cursor=call.cursor, limit=call.limit)
    )
    return Reply(data=page, position=position)


async def get_memory_entry(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a memory entry."""
    entry_id = call.path["entryId"]

    def read(rows: Connection) -> memory.MemoryEntry | None:
        return memory.entry_by_id(rows, entry_id)

    entry, position = await plane.query(("memory",), read)
    return Reply(data=existing(entry, "memory entry", entry_id), position=position)


async def forget_memory(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Forget a memory entry and erase its text, also from the log. `left` lists where the text may remain."""
    entry_id = call.path["entryId"]
    done = await plane.memory.forget(entry_id, call.meta, call.key)
    left = await plane.scrub(done.position, SCRUB_SECONDS) + await plane.memory.repeated(entry_id)
    answer = ForgottenEntry(id=entry_id, removed=done.answer.removed, left=left or None)
    return Reply(data=answer, position=done.position, replayed=done.replayed)


row = Noun("memory", reads=("memory",)).row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "memory.search",
        "GET /memory/search",
        search_memory,
        answer=list[Passage],
        reads=("memory", "sessions"),
        past=False,
        mcp="search_memory",
        price_ms=10,
    ),
    row("memory.get", "POST /memory/get", get_memory, answer=NoteText, roles=EVERYBODY),
    row("memory.list", "GET /memory", list_memory, answer=Page[memory.MemoryEntry], paging="cursor"),
    row(
        "memory.record",
        "POST /memory",
        record_memory,
        answer=memory.MemoryEntry,
        errors=("NOT_FOUND",),
    ),
    row("memory.entry.get", "GET /memory/:entryId", get_memory_entry, answer=memory.MemoryEntry, command="memory get"),
    row(
        "memory.forget",
        "DELETE /memory/:entryId",
        forget_memory,
        answer=ForgottenEntry,
        errors=("NOT_FOUND",),
        command="memory delete",
    ),
)
