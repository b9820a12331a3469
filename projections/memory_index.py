"""Index of the memory: full-text search over notes, entries and transcripts, in a cache that may be deleted.

It belongs to no generation and no digest. Files are compared by their stamps; entries and transcripts are followed by
position in the views. So it is as fresh as the views, and at most a second behind files.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from heapq import nlargest
from pathlib import Path
from typing import Any, NamedTuple

from athena_core.definitions.memory_chunks import cited, stretches
from athena_core.definitions.memory_words import forms
from athena_core.errors import NotCaughtUp
from athena_core.event import Position
from athena_core.protocols import Connection, DatabaseDamaged, Databases, NoteSource, Passage
from athena_core.text import clean
from projections import memory
from projections.engine.projection import to_json
from projections.engine.views import Views, ViewsReader

VERSION = 1
WALK_SECONDS = 1.0
"""How long a listing of the files is reused."""

CANDIDATES_MAX = 1_000
"""Number of passages with a word, or with every word, that are ranked, the newest in the index.

This keeps common words fast.
"""

PAGE_ROWS = 500
OPEN, CLOSE = "\x02", "\x03"
"""Delimiters of a match in a passage. Notes contain no control characters."""

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS source (
        name TEXT PRIMARY KEY, kind TEXT NOT NULL, place TEXT NOT NULL, stamp TEXT NOT NULL, settled INTEGER NOT NULL,
        hash BLOB
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS chunk (
        id INTEGER PRIMARY KEY, source TEXT NOT NULL, number INTEGER NOT NULL, first INTEGER NOT NULL,
        last INTEGER NOT NULL
    ) STRICT""",
    """CREATE INDEX IF NOT EXISTS chunk_by_source ON chunk (source)""",
    """CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5 (text, tokenize = 'porter unicode61')""",
    """INSERT INTO search (search, rank) VALUES ('secure-delete', 1)""",
)
SELECT_META = "SELECT value FROM meta WHERE name = ?"
PUT_META = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"
SELECT_FILES = "SELECT name, stamp, settled, hash FROM source WHERE kind = 'file'"
PUT_SOURCE = "INSERT OR REPLACE INTO source (name, kind, place, stamp, settled, hash) VALUES (?, ?, ?, ?, ?, ?)"
TOUCH_SOURCE = "UPDATE source SET stamp = ?, settled = ? WHERE name = ?"
DELETE_SOURCE = "DELETE FROM source WHERE name = ?"
DELETE_SEARCH = "DELETE FROM search WHERE rowid IN (SELECT id FROM chunk WHERE source = ?)"
DELETE_CHUNKS = "DELETE FROM chunk WHERE source = ?"
INSERT_CHUNK = "INSERT INTO chunk (source, number, first, last) VALUES (?, ?, ?, ?) RETURNING id"
INSERT_SEARCH = "INSERT INTO search (rowid, text) VALUES (?, ?)"
SELECT_MATCHING = """
    SELECT rowid, -bm25(search) FROM search WHERE search MATCH ?1{within} ORDER BY rowid DESC LIMIT ?2
"""
COUNT_MATCHING = "SELECT count(*) FROM (SELECT 1 FROM search WHERE search MATCH ?1{within} LIMIT ?2)"
COUNT_PASSAGES = "SELECT count(*) FROM chunk"
COUNT_PASSAGES_WITHIN = """
    SELECT count(*) FROM chunk JOIN source ON name = source WHERE kind = 'transcript'
    AND substr(place, 1, instr(place, '#') - 1) IN (SELECT value FROM json_each(?1))
"""
SELECT_MARKED = "SELECT highlight(search, 0, ?1, ?2) FROM search WHERE search MATCH ?3 AND rowid = ?4"
WITHIN = """
    AND EXISTS (
        SELECT 1 FROM chunk JOIN source ON name = source WHERE chunk.id = search.rowid AND kind = 'transcript'
        AND substr(place, 1, instr(place, '#') - 1) IN (SELECT value FROM json_each(?3)))
"""
"""An extra condition of a match: it is in one of these transcripts. It applies before ranking, so that passages of
other transcripts neither displace a match nor reveal by its absence that they exist.
"""
SELECT_CHUNK = "SELECT number, first, last, kind, place, source FROM chunk JOIN source ON name = source WHERE id = ?"

MessagesAfter = Callable[[Connection, Position, int], list[tuple[Position, str, str, str | None]]]
"""Returns messages of transcripts after a position: position, session, id of the entry, text (None: erased)."""


class MemoryIndex:
    """Full-text search in the memory (``protocols.Recall``). Safe from several threads and processes."""

    def __init__(
        self,
        path: Path,
        databases: Databases,
        views: Views,
        notes: NoteSource,
        messages_after: MessagesAfter | None,
        *,
        snippet_chars_max: int,
    ) -> None:
        """Opens nothing yet. Without ``messages_after``, transcripts are not searched."""
        self._path = path
        self._databases = databases
        self._views = views
        self._notes = notes
        self._messages_after = messages_after
        self._snippet_chars_max = snippet_chars_max
        self._lock = threading.Lock()
        self._writing: Connection | None = None
        self._reader: ViewsReader | None = None
        self._close_log: Callable[[], None] = lambda: None
        self._idle: list[Connection] = []
        self._walked: float | None = None
        self._closed = False

    # Search

    def search(
        self,
        terms: Sequence[str],
        *,
        least: int,
        limit: int,
        seconds: float,
        sessions: frozenset[str] | None = None,
    ) -> list[Passage]:
        """Return the passages with at least ``least`` of the terms, best first, from transcripts of ``sessions``.

        Passages with every term come first. The score of the others is the share of the terms that they contain, a
        rare term counting more. Equal scores are ordered by BM25.
        """
        until = time.monotonic() + seconds
        patterns = [match(term) for term in terms if term.strip()]
        if not patterns:
            return []
        places = None if sessions is None else to_json([transcript_of(session_id) for session_id in sessions])
        try:
            self._refresh(until)
            with self._reading() as connection, connection.within(max(until - time.monotonic(), 0.0)):
                hits = _ranked(_Matches(connection, places), patterns, least=least, limit=limit)
                either = " OR ".join(patterns)
                passages = [self._passage(connection, either, hit) for hit in hits]
        except DatabaseDamaged:
            self._discard()
            raise NotCaughtUp("The memory index was damaged and is being rebuilt. Retry later.") from None
        return [passage for passage in passages if passage is not None]

    def _passage(self, connection: Connection, either: str, hit: "_Hit") -> Passage | None:
        """Return a passage with its place, or None if it is gone."""
        rows: Iterator[tuple[Any, ...]] = connection.execute(SELECT_CHUNK, (hit.chunk,))
        for number, first, last, kind, place, source in rows:
            texts: Iterator[tuple[Any, ...]] = connection.execute(SELECT_MARKED, (OPEN, CLOSE, either, hit.chunk))
            marked = next((str(text) for (text,) in texts), "")
            whole = kind == "transcript"
            return Passage(
                id=f"{source}:{number}:{first}",
                source_path=place.partition("#")[0] if whole else place,
                snippet=snippet(marked, self._snippet_chars_max),
                score=round(hit.score, 3),
                line_start=None if whole else first,
                line_end=None if whole else last,
                citation=place if whole else cited(place, first, last),
            )
        return None

    # Updates

    def refresh(self) -> None:
        """Update the index completely, without a time limit."""
        with suppress(NotCaughtUp):
            try:
                self._refresh(None)
            except DatabaseDamaged:
                self._discard()

    def scrub(self, seconds: float) -> None:
        """Remove erased text and rewrite the file, if there is one. Raise OSError after ``seconds``.

        The views must reflect the erasure.
        """
        if not self._path.exists():
            return
        try:
            with self._lock:
                self._follow_views(None)
        except DatabaseDamaged:
            self._discard()
        else:
            self._databases.scrub(self._path, seconds)

    def _follow_views(self, until: float | None) -> Connection:
        if self._closed:
            raise NotCaughtUp("The server is shutting down. Retry later.")
        connection = self._open()
        reader = self._reader
        assert reader is not None
        names = ("memory",) if self._messages_after is None else ("memory", "sessions")
        reader.query(names, lambda rows: self._follow(connection, rows, until))
        return connection

    def _refresh(self, until: float | None) -> None:
        with self._lock:
            connection = self._follow_views(until)
            if self._walked is None or time.monotonic() - self._walked >= WALK_SECONDS:
                began = time.monotonic()
                self._compare_files(connection, until)
                self._walked = began

    def _follow(self, connection: Connection, rows: Connection, until: float | None) -> None:
        """Index the changes in the views: entries, messages of transcripts, and erasures."""
        position = _number(connection, "entries")
        while changed := memory.changed_after(rows, position, PAGE_ROWS):
            with connection.transaction():
                for _, entry_id, text in changed:
                    _put(connection, entry_id, "entry", memory.place_of(entry_id), "", text)
                position = changed[-1][0]
                connection.execute(PUT_META, ("entries", str(position)))
            self._in_time(until)
        if self._messages_after is None:
            return
        position = _number(connection, "said")
        while messages := self._messages_after(rows, position, PAGE_ROWS):
            with connection.transaction():
                for at, session_id, entry_id, text in messages:
                    place = f"{transcript_of(session_id)}#{entry_id}"
                    _put(connection, f"said:{at}", "transcript", place, "", text)
                position = messages[-1][0]
                connection.execute(PUT_META, ("said", str(position)))
            self._in_time(until)
        position = _number(connection, "erased")
        while erased := memory.erased_after(rows, position, PAGE_ROWS):
            with connection.transaction():
                for _, target in erased:
                    _drop(connection, f"said:{target}")
                position = erased[-1][0]
                connection.execute(PUT_META, ("erased", str(position)))
            self._in_time(until)

    def _compare_files(self, connection: Connection, until: float | None) -> None:
        files: Iterator[tuple[Any, ...]] = connection.execute(SELECT_FILES)
        known = {name: (stamp, settled, mark) for name, stamp, settled, mark in files}
        for note in self._notes.list():
            stamp, settled, mark = known.pop(note.path, (None, 0, None))
            if stamp == note.stamp and settled:
                continue
            text = self._notes.read(note.path)
            now = None if text is None else hashlib.sha256(text.encode()).digest()
            with connection.transaction():
                if stamp is not None and now == mark:
                    connection.execute(TOUCH_SOURCE, (note.stamp, int(note.settled), note.path))
                else:
                    _put(connection, note.path, "file", note.path, note.stamp, text, settled=note.settled, mark=now)
            self._in_time(until)
        if known:
            with connection.transaction():
                for name in known:
                    _drop(connection, name)

    def _in_time(self, until: float | None) -> None:
        if self._closed or (until is not None and time.monotonic() > until):
            raise NotCaughtUp("The memory is being indexed. Retry later; completed work is kept.")

    # Connections

    def _open(self) -> Connection:
        if self._reader is None:
            log = self._views.logs()
            self._reader, self._close_log = self._views.reader(log), log.close
            self._log_id = log.log_id
        if self._writing is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._writing = self._prepared()
            except (DatabaseDamaged, LookupError):
                self._delete()
                self._writing = self._prepared()
        return self._writing

    def _prepared(self) -> Connection:
        """Return the index of this log. Raise LookupError if it was made for another log or release."""
        connection = self._databases.write(self._path)
        try:
            with connection.transaction():
                for statement in SCHEMA:
                    connection.execute(statement)
                owner = f"{self._log_id} {VERSION} {self._messages_after is not None}"
                if (_meta(connection, "belongs") or owner) != owner:
                    raise LookupError(self._path)
                connection.execute(PUT_META, ("belongs", owner))
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._databases.read(self._path)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _discard(self) -> None:
        """Delete the index and start again."""
        with self._lock:
            self._close_connections()
            self._delete()
            self._walked = None

    def _delete(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _close_connections(self) -> None:
        while self._idle:
            self._idle.pop().close()
        if self._writing is not None:
            self._writing.close()
            self._writing = None

    def close(self) -> None:
        """Stop updates, and close all connections."""
        self._closed = True
        with self._lock:
            self._close_connections()
            if self._reader is not None:
                self._reader.close()
                self._close_log()
                self._reader = None


def transcript_of(session_id: str) -> str:
    """Return the citation of the transcript of a session."""
    return f".athena/transcripts/{session_id}.jsonl"


class _Hit(NamedTuple):
    """A passage with its score (1: it contains every term) and, for equal scores, its BM25."""

    score: float
    bm25: float
    chunk: int


class _Matches(NamedTuple):
    """The passages of an index, or of some transcripts, by the terms that they contain."""

    connection: Connection
    places: str | None
    """A JSON list of transcripts."""

    def matching(self, pattern: str) -> dict[int, float]:
        """Return the newest passages that match, each with its BM25."""
        return dict(self._rows(SELECT_MATCHING, pattern, CANDIDATES_MAX))

    def count(self, pattern: str) -> int:
        """Return how many passages match."""
        return next(int(count) for (count,) in self._rows(COUNT_MATCHING, pattern, -1))

    def total(self) -> int:
        """Return the number of passages."""
        rows: Iterator[tuple[Any, ...]] = (
            self.connection.execute(COUNT_PASSAGES)
            if self.places is None
            else self.connection.execute(COUNT_PASSAGES_WITHIN, (self.places,))
        )
        return next(int(count) for (count,) in rows)

    def _rows(self, statement: str, pattern: str, most: int) -> Iterator[tuple[Any, ...]]:
        values = (pattern, most) if self.places is None else (pattern, most, self.places)
        return self.connection.execute(statement.format(within="" if self.places is None else WITHIN), values)


def _ranked(matches: _Matches, patterns: Sequence[str], *, least: int, limit: int) -> list[_Hit]:
    """Return the best passages with at least ``least`` of the patterns."""
    every = matches.matching(" AND ".join(patterns))
    hits = [_Hit(1.0, bm25, chunk) for chunk, bm25 in every.items()]
    if least < len(patterns) and len(hits) < limit:
        total = max(matches.total(), 1)
        found, weights = dict[int, tuple[int, float, float]](), 0.0  # number of terms, weight and BM25 by passage
        for pattern in patterns:
            rows = matches.matching(pattern)
            count = len(rows) if len(rows) < CANDIDATES_MAX else matches.count(pattern)
            weight = math.log1p(total / count) / math.log1p(total) if count else 1.0
            weights += weight
            for chunk, bm25 in rows.items():
                number, share, rank = found.get(chunk, (0, 0.0, 0.0))
                found[chunk] = number + 1, share + weight, rank + bm25
        hits += [
            _Hit(share / weights, bm25, chunk)
            for chunk, (number, share, bm25) in found.items()
            if number >= least and chunk not in every
        ]
    return nlargest(limit, hits)


def match(term: str) -> str:
    """Return a term as an FTS5 query. Quotes keep operators from having an effect."""
    quoted = ['"' + clean(form).replace('"', '""') + '"' for form in forms(term)]
    return quoted[0] if len(quoted) == 1 else f"({' OR '.join(quoted)})"


def snippet(marked: str, chars_max: int) -> str:
    """Return the part of a passage around the first match."""
    place = max(marked.find(OPEN), 0)
    text = marked.replace(OPEN, "").replace(CLOSE, "")
    start = max(min(place - chars_max // 4, len(text) - chars_max), 0)
    return text[start : start + chars_max]


def _meta(connection: Connection, name: str) -> str | None:
    for (value,) in connection.execute(SELECT_META, (name,)):
        return str(value)
    return None


def _number(connection: Connection, name: str) -> int:
    return int(_meta(connection, name) or 0)


def _drop(connection: Connection, name: str) -> None:
    for statement in (DELETE_SEARCH, DELETE_CHUNKS, DELETE_SOURCE):
        connection.execute(statement, (name,))


def _put(
    connection: Connection,
    name: str,
    kind: str,
    place: str,
    stamp: str,
    text: str | None,
    *,
    settled: bool = True,
    mark: bytes | None = None,
) -> None:
    """Replace a source in the index. A source without text is only recorded."""
    _drop(connection, name)
    if text is None and kind != "file":
        return
    connection.execute(PUT_SOURCE, (name, kind, place, stamp, int(settled), mark))
    for stretch in stretches((text or "").replace(OPEN, " ").replace(CLOSE, " ")):
        values = (name, stretch.number, stretch.first, stretch.last)
        ((chunk,),) = connection.execute(INSERT_CHUNK, values)
        connection.execute(INSERT_SEARCH, (chunk, stretch.text))
