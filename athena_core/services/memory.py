"""The memory: record and forget entries, read and search notes, recall them for a run."""

import os
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Annotated

import anyio
from anyio import to_thread

from athena_core.clock import Clock, Ids
from athena_core.decider import Context, Key, Outcome, Reader, facts_of, transact
from athena_core.definitions.memory_chunks import lines_of
from athena_core.definitions.memory_words import COMMON, WORD, query_words
from athena_core.domain import memory, plane
from athena_core.errors import ConfigError, Fault, NotCaughtUp, NotFound, Overloaded
from athena_core.event import Meta, Position, Value, says
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.mask import Mask
from athena_core.protocols import DatabaseDamaged, MemorySearch, NoteFile, Passage, Row
from athena_core.services.erasure.erasure import TextTrace
from athena_core.services.erasure.redaction import Copies, copies_of, note_late, noted_copies, remaining_copies
from athena_core.settings import Settings
from athena_core.text import CONTROL_BUT_BREAKS, clean
from athena_core.tools.memory import FILE_BYTES_MAX, TOO_LARGE, note_parts, notes_in
from athena_core.tools.refusal import PathRefused, ToolRefused
from athena_core.tools.workspace import Workspace

FILES_MAX = 10_000
RESULTS_MAX = 100
NOTE_REMEDY = "MEMORY.md or memory/<name>.md; GET /memory/search finds notes"
RETRY_SECONDS = 5.0
LOOP = "memory.index"
SETTLED_NS = 2_000_000_000
"""How old a file's change must be, so that a second change within the same clock tick cannot hide."""

RECALL_WORDS_MAX = 24
RECALL_WORD_CHARS_MIN = 3
RECALL_SECONDS_MAX = 0.5


class NoteText(Value):
    """Lines of a note."""

    path: str
    text: str
    line_start: int
    line_end: int


class ForgottenEntry(Value):
    """The answer to a request to forget an entry; ``removed`` is False if it was forgotten before.

    ``left`` names the places that may still hold its text.
    """

    id: str
    removed: bool
    left: Annotated[tuple[TextTrace, ...] | None, says("Places that may still hold the text; absent if none.")] = None


class NoteFiles:
    """The notes of the workspace (``protocols.Notes``). Links are not followed, and large files are left out."""

    def __init__(self, workspace: Workspace, clock: Clock, mask: Mask) -> None:
        self._workspace = workspace
        self._clock = clock
        self._mask = mask

    def list(self) -> Iterator[NoteFile]:
        """Yield the note files; at most 10,000 names are looked at."""
        now = self._clock.now() * 1_000_000
        for parts in islice(notes_in(self._workspace), FILES_MAX):
            try:
                with self._workspace.directory(parts[:-1]) as above:
                    status = os.stat(parts[-1], dir_fd=above, follow_symlinks=False)
            except (OSError, ToolRefused):
                continue
            if stat.S_ISREG(status.st_mode):
                changed = max(status.st_mtime_ns, status.st_ctime_ns)
                stamp = f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"
                yield NoteFile("/".join(parts), stamp, now - changed > SETTLED_NS)

    def read(self, path: str) -> str | None:
        """Return the text of a note without control characters and secrets; None if it is unreadable or too large."""
        try:
            text = self._workspace.read(note_parts(path), FILE_BYTES_MAX, TOO_LARGE).decode(errors="replace")
        except (OSError, ToolRefused):
            return None
        return CONTROL_BUT_BREAKS.sub(" ", self._mask.hide(clean(text), lines=True))

    def lines(self, path: str, first: int, count: int | None) -> NoteText:
        """Return lines of a note as in the file, without secrets. Raise ConfigError."""
        try:
            parts = note_parts(path)
            text = clean(self._workspace.read(parts, FILE_BYTES_MAX, TOO_LARGE).decode(errors="replace"))
        except PathRefused as refusal:
            raise ConfigError.of("path", refusal.problem, NOTE_REMEDY) from refusal
        except OSError as error:
            reason = f"{path!r} cannot be read: {error.strerror or 'unknown'}"
            raise ConfigError.of("path", reason, NOTE_REMEDY) from error
        lines = lines_of(self._mask.hide(text, lines=True))
        last = len(lines) if count is None else min(first + count - 1, len(lines))
        return NoteText(path="/".join(parts), text="\n".join(lines[first - 1 : last]), line_start=first, line_end=last)


class Memory:
    """The recorded entries and notes, and the recall for runs. Off unless the settings enable it."""

    def __init__(self, log: Log, ids: Ids, settings: Settings, notes: NoteFiles, recall: MemorySearch) -> None:
        self._log = log
        self._ids = ids
        self._settings = settings
        self._notes = notes
        self._recall = recall
        self._seconds = settings.memory_search_timeout_ms / 1_000

    # Recording and forgetting

    async def record(self, body: memory.MemoryBody, meta: Meta, key: Key | None) -> Committed:
        """Record an entry; the subject of the commit is its id. Raise ConfigError."""
        self._enabled()
        entry_id = self._ids.new("mem")
        command = memory.RecordMemory(entry_id=entry_id, body=body)
        record = transact(memory, entry_id, command, subject=entry_id)
        return await self._log.submit(record, meta, key, frozenset((entry_id,)))

    async def forget(self, entry_id: str, meta: Meta, key: Key | None) -> Committed[ForgottenEntry]:
        """Forget an entry and erase its text. Raise NotFound."""

        def forget(reader: Reader, context: Context) -> Outcome[ForgottenEntry]:
            known = memory.DECIDER.owns(entry_id)
            state = reader.state(memory.DECIDER, entry_id) if known else memory.DECIDER.initial
            if not state.exists:
                raise NotFound(f"no memory entry {entry_id!r} exists")
            events = memory.decide(memory.ForgetMemory(entry_id=entry_id), state, context)
            if not events:
                return Outcome(answer=ForgottenEntry(id=entry_id, removed=False))
            erased = copies.noted(plane.PayloadRedacted(target=position, note="forgotten"))
            facts = facts_of(entry_id, events) + facts_of(plane.STREAM, (erased,))
            return Outcome(facts=facts, answer=ForgottenEntry(id=entry_id, removed=True), erase=(position,))

        rows, copies, begun = await to_thread.run_sync(self._copies, entry_id)
        position = rows[0].position if rows else 0
        done = await self._log.submit(forget, meta, key, answers=ForgottenEntry)
        await note_late(self._log, rows, begun, done.position, meta)
        return done

    def _copies(self, entry_id: str) -> tuple[list[Row], Copies, Position]:
        """Return the first row of an entry, the events that repeat its text, and the position searched up to."""
        with closing(self._log.reader()) as reader:
            rows, head = reader.stream(entry_id)[:1], reader.head()
            return rows, copies_of(reader, rows, 0, head), head

    async def repeated(self, entry_id: str) -> tuple[TextTrace, ...]:
        """Return the events that still repeat the text of a forgotten entry."""

        def find() -> tuple[TextTrace, ...]:
            with closing(self._log.reader()) as reader:
                erased = {row.position for row in reader.stream(entry_id)[:1]}
                return tuple(remaining_copies(reader, noted_copies(reader, self._log.codec, erased)))

        return await to_thread.run_sync(find)

    # Reading

    async def get(self, path: str, first: int, count: int | None) -> NoteText:
        """Return lines of a note. Raise ConfigError."""
        self._enabled()
        return await to_thread.run_sync(self._notes.lines, path, first, count)

    async def search(
        self,
        query: str,
        limit: int | None,
        score_min: float,
        in_thread: Callable[[Callable[[], list[Passage]]], Awaitable[list[Passage]]],
    ) -> list[Passage]:
        """Return passages that match a query, those with every word first; none while the memory is off.

        ``in_thread`` calls a function in a thread. Raise NotCaughtUp, or Overloaded if it takes too long.
        """
        if not self._settings.memory_enabled:
            return []
        words = query_words(query)
        wanted = min(limit or self._settings.memory_max_results, RESULTS_MAX)

        def search() -> list[Passage]:
            return self._recall.search(words, least=1, limit=wanted, seconds=self._seconds)

        try:
            passages = await in_thread(search)
        except TimeoutError:
            message = (
                f"the search took longer than {self._settings.memory_search_timeout_ms} ms; search for rarer words"
            )
            raise Overloaded(message) from None
        return [passage for passage in passages if passage.score >= score_min]

    # Recall

    async def recall(self, text: str, chars_max: int, sessions: frozenset[str] | None = None) -> tuple[Passage, ...]:
        """Return passages to recall for a user message, within ``chars_max``; none if the search is slow.

        With ``sessions``, only their transcripts are searched, not the notes and entries shared by all.
        """
        words = recall_words(text)
        if not self._settings.memory_enabled or not words or sessions == frozenset():
            return ()
        least = min(2, len(words))

        def search() -> list[Passage]:
            limit, seconds = self._settings.memory_max_results, min(self._seconds, RECALL_SECONDS_MAX)
            return self._recall.search(words, least=least, limit=limit, seconds=seconds, sessions=sessions)

        try:
            passages = await to_thread.run_sync(search)
        except (TimeoutError, NotCaughtUp):
            return ()
        except (DatabaseDamaged, OSError) as error:
            self._log.problems.report(LOOP, error)
            return ()
        self._log.problems.recovered(LOOP)
        kept: list[Passage] = []
        left = min(chars_max, self._settings.memory_max_injected_chars)
        for passage in passages:
            left -= len(passage.snippet)
            if left < 0:
                break
            kept.append(passage)
        return tuple(kept)

    # Lifecycle

    async def serve(self) -> None:
        """Prepare the index before the first search, and retry until that succeeds."""
        ready = not self._settings.memory_enabled
        while not ready:
            try:
                await to_thread.run_sync(self._recall.refresh, abandon_on_cancel=True)  # ``close`` stops it
            except Exception as error:
                self._log.problems.report(LOOP, error)
                await anyio.sleep(RETRY_SECONDS)
            else:
                self._log.problems.recovered(LOOP)
                ready = True

    def close(self) -> None:
        self._recall.close()

    def _enabled(self) -> None:
        if not self._settings.memory_enabled:
            setting, remedy = "ATHENA_MEMORY_ENABLED", "the operator sets it to true"
            raise ConfigError(
                f"The memory of this server is switched off. Ask its operator to set {setting}=true.",
                Fault(field=setting, reason="is false on this server", remedy=remedy),
            )


def recall_words(text: str) -> Sequence[str]:
    """Return the words that recall notes: long enough, not too common, distinct, the first ones."""
    words = (word.casefold() for word in WORD.findall(text))
    fit = (word for word in words if len(word) >= RECALL_WORD_CHARS_MIN and word not in COMMON)
    return list(islice(dict.fromkeys(fit), RECALL_WORDS_MAX))
