"""The history of a session: the messages of its last completed runs, cached between runs."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice
from operator import attrgetter
from typing import NamedTuple

from msgspec.structs import replace

from athena_core.domain import plane
from athena_core.domain.run import RunAsked, RunCompleted, RunRequest, ToolCalled, TranscriptAppended
from athena_core.event import Position
from athena_core.log.codec import Codec
from athena_core.log.port import BoundedReader
from athena_core.protocols import Row
from athena_core.providers.provider import ModelMessage
from athena_core.services.context.conversation import cut_message, to_messages, without_controls
from athena_core.values import INTEGER_MAX

ROWS_MAX = 10_000
"""The most rows of a session that one history reads."""
ADDED_ROWS_MAX = 500
"""If more rows were added to a session, its history is read again from the start."""
KEPT_MAX = 1_000
"""The most histories in memory; the least recently used go first."""
KEPT_BYTES_MAX = 16 << 20
"""Their estimated memory, in bytes."""
ENTRY_BYTES = 500
"""The estimated memory of an entry without its text."""

SpokenEvent = TranscriptAppended | ToolCalled | RunAsked
SPOKEN_TYPES = frozenset({TranscriptAppended.TYPE, ToolCalled.TYPE, RunAsked.TYPE})
ERASING_TYPES = frozenset({plane.PayloadRedacted.TYPE})

HistoryKey = tuple[str, frozenset[str] | None]
"""A session, and the personas whose runs its history is limited to, if any."""


class HistoryLimits(NamedTuple):
    """Limits of a session history."""

    entries_max: int
    entry_chars_max: int
    chars_max: int
    """Reading ends once the entries have more characters."""
    strip: bool
    """True to remove control characters."""
    rows_max: int = ROWS_MAX
    added_rows_max: int = ADDED_ROWS_MAX
    kept_max: int = KEPT_MAX
    kept_bytes_max: int = KEPT_BYTES_MAX


class HistoryEntry:
    """A relevant row of a session: a message, a call, or the end of a completed run."""

    __slots__ = ("begins", "chars", "ends", "event", "number", "position", "size", "stream")

    def __init__(self, row: Row, number: int) -> None:
        """Wrap a row; ``number`` rises by one with each row of its session."""
        self.position = row.position
        self.stream = row.stream
        self.number = number
        self.ends = row.type == RunCompleted.TYPE
        self.event: SpokenEvent | None = None
        """Decoded only when needed (like the two below), which never happens for messages of failed runs."""
        self.begins = False
        """True for a user message."""
        self.chars = 0
        self.size = ENTRY_BYTES


class CachedHistory:
    """A history as it was read: the relevant rows of a session before a position, back to the oldest that it needs."""

    __slots__ = ("before", "entries", "messages", "newest", "size", "texts")

    def __init__(self, before: Position) -> None:
        self.before = before
        self.newest = 0
        """The number of the last row before that position."""
        self.entries: list[HistoryEntry] = []
        """The newest first."""
        self.texts: dict[tuple[Position, ...], tuple[ModelMessage, ...]] = {}
        """The messages of each run, by the positions of their events."""
        self.messages: tuple[ModelMessage, ...] = ()
        self.size = ENTRY_BYTES


class HistoryCache:
    """Reads histories, and caches them: the next run of a session only reads the new rows.

    A cached history equals one that is read again. All are dropped after any text of the log is erased. ``forget`` is
    called for erasures up to ``followed()``; later rows are searched for erasures. Belongs to the event loop, but
    ``forget`` may be called from any thread.
    """

    def __init__(
        self, limits: HistoryLimits, codec: Codec, reader: BoundedReader, followed: Callable[[], Position] = lambda: 0
    ) -> None:
        self._limits = limits
        self._codec = codec
        self._reader = reader
        self._followed = followed
        self._kept: OrderedDict[HistoryKey, CachedHistory] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._checked: Position = 0
        """No cached history has text that was erased up to here."""

    def forget(self) -> None:
        """Drop all cached histories, because text was erased."""
        with self._lock:
            self._kept, self._bytes = OrderedDict(), 0

    def messages(self, session_id: str, before: Position, personas: frozenset[str] | None) -> Sequence[ModelMessage]:
        """Return the messages of a session's last completed runs, oldest first, beginning with a user message.

        Reading ends at the limits of entries, characters and rows. Of the run at that limit, only the user message and
        the entries after the limit are included. With ``personas``, only runs that name one of them count.
        """
        self._check()
        question, cached = (session_id, personas), self._kept
        known = cached.get(question)
        if known is not None and known.before == before:
            cached.move_to_end(question)
            return known.messages
        if known is not None and (known.before > before or not known.entries):
            known = None
        new = CachedHistory(before)
        rows: dict[Position, Row] = {}
        selected = self._select(self._entries(question, known, new, rows), new, rows)
        messages: list[ModelMessage] = []
        for _, group in groupby(reversed(selected), key=attrgetter("stream")):
            entries = list(group)
            positions = tuple(entry.position for entry in entries)
            text = None if known is None else known.texts.get(positions)
            if text is None:
                messages_of_run = to_messages(entry.event for entry in entries if entry.event is not None)
                text = tuple(map(self._shortened, messages_of_run))
            new.texts[positions] = text
            messages += text
        while messages and messages[0].role != "user":
            del messages[0]
        new.messages = tuple(messages)
        self._keep(cached, question, new)
        return new.messages

    @property
    def size(self) -> tuple[int, int]:
        """The number of cached histories, and their estimated bytes."""
        return len(self._kept), self._bytes

    def _check(self) -> None:
        """Drop everything if a text was erased that may be cached."""
        self._checked = max(self._checked, self._followed())
        if self._kept and self._reader.of_types(tuple(ERASING_TYPES), self._checked, INTEGER_MAX, 1):
            self._checked = self._reader.head()
            self.forget()

    def _entries(
        self, question: HistoryKey, known: CachedHistory | None, new: CachedHistory, rows: dict[Position, Row]
    ) -> Iterable[HistoryEntry]:
        """Yield the relevant entries, newest first: new rows and then the known entries, or all rows.

        Entries older than the known ones are not needed, because new rows only move the start of a history forward.
        """
        session_id, personas = question
        if known is not None:
            added = self._reader.session(session_id, new.before, known.before - 1)
            page = list(islice(added, self._limits.added_rows_max + 1))
            if len(page) <= self._limits.added_rows_max:
                new.newest = known.newest + len(page)
                oldest, kept = new.newest - self._limits.rows_max, known.entries
                if kept[-1].number <= oldest:
                    kept = [entry for entry in kept if entry.number > oldest]
                numbered = zip(range(new.newest, max(known.newest, oldest), -1), page, strict=False)
                return chain(self._relevant(numbered, personas, rows), kept)
        numbers = range(0, -self._limits.rows_max, -1)
        every = self._reader.session(session_id, new.before)
        return self._relevant(zip(numbers, every, strict=False), personas, rows)

    def _relevant(
        self, numbered: Iterable[tuple[int, Row]], personas: frozenset[str] | None, rows: dict[Position, Row]
    ) -> Iterator[HistoryEntry]:
        for number, row in numbered:
            ends = row.type == RunCompleted.TYPE and (personas is None or self._persona(row.stream) in personas)
            if ends or row.type in SPOKEN_TYPES:
                rows[row.position] = row
                yield HistoryEntry(row, number)

    def _select(
        self, entries: Iterable[HistoryEntry], new: CachedHistory, rows: Mapping[Position, Row]
    ) -> list[HistoryEntry]:
        """Return the entries of a history, newest first; ``new`` keeps every entry that was looked at."""
        entries_max, _, chars_max, *_ = self._limits
        completed: set[str] = set()
        selected: list[HistoryEntry] = []
        chars, last = 0, None
        for entry in entries:
            new.entries.append(entry)
            if entry.ends:
                completed.add(entry.stream)
            if entry.ends or entry.stream not in completed:
                continue
            if last is not None and entry.stream != last:
                break
            if entry.event is None:
                self._read(entry, rows.get(entry.position))
            if last is None or entry.begins:
                selected.append(entry)
                chars += entry.chars
            if last is None and (len(selected) >= entries_max or chars > chars_max):
                last = entry.stream
            if entry.begins and last is not None:
                break
        return selected

    def _read(self, entry: HistoryEntry, row: Row | None) -> None:
        """Decode the event of an entry. Its row is read again if it was not needed before."""
        row = row or self._reader.row(entry.position)
        assert row is not None
        event = self._codec.decode(row).event
        assert isinstance(event, SpokenEvent)
        text = event.content if isinstance(event, TranscriptAppended) else event.arguments
        entry.event = event
        entry.begins = isinstance(event, TranscriptAppended) and event.role == "user"
        entry.chars = min(event.chars, self._limits.entry_chars_max)
        entry.size = ENTRY_BYTES + 2 * sys.getsizeof(text)  # as recorded, and as sent

    def _persona(self, run_id: str) -> str | None:
        """Return the persona of a run, None without one."""
        for row in self._reader.stream(run_id, 0, 1):
            event = self._codec.decode(row, text=False).event
            return event.persona_name if isinstance(event, RunRequest) else None
        return None

    def _shortened(self, message: ModelMessage) -> ModelMessage:
        shorter = cut_message(message, self._limits.entry_chars_max)
        return replace(shorter, content=without_controls(shorter.content)) if self._limits.strip else shorter

    def _keep(self, cached: OrderedDict[HistoryKey, CachedHistory], question: HistoryKey, new: CachedHistory) -> None:
        """Cache a history, unless all were dropped since it was read."""
        new.size += sum(map(attrgetter("size"), new.entries))
        with self._lock:
            if cached is not self._kept:
                return
            known = cached.pop(question, None)
            self._bytes += new.size - (0 if known is None else known.size)
            cached[question] = new
            while self._bytes > self._limits.kept_bytes_max or len(cached) > self._limits.kept_max:
                _, oldest = cached.popitem(last=False)
                self._bytes -= oldest.size
