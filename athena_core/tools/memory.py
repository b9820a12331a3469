"""The tool memory: searches and reads notes in the workspace."""

import stat
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import anyio

from athena_core.definitions.memory_chunks import cited, lines_of, stretches
from athena_core.definitions.memory_words import WORD, query_words
from athena_core.text import clean
from athena_core.tools.refusal import PathRefused, ToolRefused
from athena_core.tools.tool import EVIDENCE, ToolContext, ToolResult, parameters, tool_evidence
from athena_core.tools.workspace import Parts, Workspace, parts_of
from athena_core.values import ToolSpec

FILE = "MEMORY.md"
FOLDER = "memory"
FILES_MAX = 1_000
ENTRIES_MAX = 10_000
FILE_BYTES_MAX = 1_000_000
SEARCH_BYTES_MAX = 10_000_000
RESULTS = 6
RESULTS_MAX = 50
SNIPPET_CHARS = 700
TOO_LARGE = "Split it into several notes."

SPEC = ToolSpec(
    name="memory",
    description=(
        f"Notes for later use: {FILE} and the .md files in {FOLDER}/. search: passages that contain words of query, "
        "those with the most words first. get: a note, or lines of it."
    ),
    parameters=parameters(
        "action",
        action={"enum": ["search", "get"]},
        query={"type": "string", "minLength": 1, "maxLength": 1_000, "description": "search: words."},
        max_results={"type": "integer", "minimum": 1, "maximum": RESULTS_MAX, "description": "search."},
        path={"type": "string", "description": f"get: {FILE} or {FOLDER}/<name>.md."},
        from_line={
            "type": "integer",
            "minimum": 1,
            "maximum": 1_000_000_000,
            "description": "get: the first line, from 1.",
        },
        lines={"type": "integer", "minimum": 1, "maximum": 1_000_000_000, "description": "get: number of lines."},
        evidence=EVIDENCE,
    ),
)


class NoteExcerpt(NamedTuple):
    """A chunk of a note: how many of the words of a search it contains, and how often in total."""

    words: int
    score: int
    path: str
    first: int
    last: int
    text: str


class MemoryTool:
    """A tool that searches ``MEMORY.md`` and ``memory/**.md`` of the shared workspace as they are now.

    Chunks of 40 lines (10 overlap) are ranked by how many of the words they contain, then by how often, ignoring
    case, without an index.
    It only reads.
    """

    spec = SPEC

    def repeatable(self, arguments: Mapping[str, Any]) -> bool:
        """Return True."""
        return True

    async def call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        """Run the call in a thread. Raise ToolRefused."""
        if bench.scoped:
            raise ToolRefused(
                "Notes are shared by all callers, and this run is restricted by a scope. Continue without them."
            )
        work = _search if arguments["action"] == "search" else _get
        return await anyio.to_thread.run_sync(work, arguments, bench)


def _search(arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
    words = query_words(" ".join(WORD.findall(arguments.get("query", ""))))
    if not words:
        raise ToolRefused("memory search needs a query with at least one word. Add one and call it again.")
    found: list[NoteExcerpt] = []
    read, left_out = 0, 0
    for parts in islice(notes_in(_notes(bench)), FILES_MAX):
        try:
            data = _notes(bench).read(parts, min(FILE_BYTES_MAX, SEARCH_BYTES_MAX - read), TOO_LARGE)
        except FileNotFoundError:
            continue
        except (OSError, ToolRefused):
            left_out += 1  # too large, or not readable for the server
            continue
        read += len(data)
        best = max(_passages("/".join(parts), _text(data, bench), words), default=None)
        if best:
            found.append(best)
    found.sort(key=lambda passage: (-passage.words, -passage.score, passage.path))
    told = [_excerpt(passage, words) for passage in found[: int(arguments.get("max_results", RESULTS))]]
    if left_out:
        told.append(f"[{left_out} notes could not be searched]")
    content = clean("\n\n".join(told)) or "Nothing was found."
    return ToolResult(
        content=content, truncated=left_out > 0, shown=tool_evidence(arguments.get("evidence"), content, workspace=True)
    )


def _notes(bench: ToolContext) -> Workspace:
    return bench.notes or bench.workspace


def note_parts(path: str) -> Parts:
    """Return the names in the path of a note. Raise ToolRefused if it is not a note's path."""
    parts = parts_of(path)
    if parts != (FILE,) and not (len(parts) > 1 and parts[0] == FOLDER and parts[-1].endswith(".md")):
        raise PathRefused(
            f"Memory holds {FILE} and the .md files in {FOLDER}/", "Give the path of one of these, or use tool files."
        )
    return parts


def notes_in(workspace: Workspace) -> Iterator[Parts]:
    """Yield the notes of a workspace, by name. ``MEMORY.md`` is included even if it does not exist."""
    yield (FILE,)
    try:
        for entry in islice(workspace.walk((FOLDER,), deep=True), ENTRIES_MAX):
            if stat.S_ISREG(entry.mode) and entry.parts[-1].endswith(".md"):
                yield (FOLDER, *entry.parts)
    except (OSError, ToolRefused):
        return  # the folder does not exist


def _passages(path: str, text: str, words: Sequence[str]) -> Iterator[NoteExcerpt]:
    for stretch in stretches(text):
        folded = stretch.text.casefold()
        counts = [folded.count(word) for word in words]
        if any(counts):
            yield NoteExcerpt(sum(map(bool, counts)), sum(counts), path, stretch.first, stretch.last, stretch.text)


def _excerpt(passage: NoteExcerpt, words: Sequence[str]) -> str:
    text, folded = passage.text, passage.text.casefold()
    first = min(place for word in words if (place := folded.find(word)) >= 0)
    place = max(first - SNIPPET_CHARS // 4, 0)
    citation = cited(passage.path, passage.first, passage.last)
    return f"{citation} (score {passage.score})\n{text[place : place + SNIPPET_CHARS]}"


def _text(data: bytes, bench: ToolContext) -> str:
    """Return a note as text, with secrets hidden before any part of it is used."""
    return bench.mask.hide(clean(data.decode(errors="replace")), lines=True)


def _get(arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
    if "path" not in arguments:
        raise ToolRefused("memory get needs path. Add it and call it again.")
    parts = note_parts(arguments["path"])
    try:
        data = _notes(bench).read(parts, FILE_BYTES_MAX, TOO_LARGE)
    except OSError as error:
        return ToolResult(content=f"{'/'.join(parts)}: {error.strerror or 'cannot be read'}", is_error=True)
    first = int(arguments.get("from_line", 1)) - 1
    lines = lines_of(_text(data, bench))
    text = "\n".join(lines[first : first + int(arguments.get("lines", len(lines)))])
    return ToolResult(content=text, shown=tool_evidence(arguments.get("evidence"), text, workspace=True))
