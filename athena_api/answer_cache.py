"""Kept answers: what was answered at the head of the log, for whoever asks the same before it moves."""

import threading
from collections import OrderedDict
from typing import Any, Protocol, TypeAlias

from athena_core.event import Position
from athena_core.values import Scope

CACHE_BYTES_MAX = 4 << 20
ENTRY_BYTES = 500
"""What an answer takes beside its text, about."""

Question: TypeAlias = tuple[str, bytes, Scope | None]
"""Path, query as it was sent, and what the answer may show."""


class CachedAnswer(Protocol):
    """What is answered; ``data`` is its body."""

    @property
    def data(self) -> Any:
        """The bytes."""


class AnswerCache:
    """Answers that follow from the question and a position alone: consoles that hear of an event all ask the same.

    They are let go of together when the log moves on, so none is ever old, and writes cost no look at them. Over the
    limit, the least recently used go first. Safe from any thread.
    """

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._answers: OrderedDict[Question, CachedAnswer] = OrderedDict()
        self._position: Position = 0
        self._bytes = 0
        self._lock = threading.Lock()

    def forget(self, position: Position) -> None:
        """Let go of what was answered at older heads of the log, of which nothing is kept from now on."""
        with self._lock:
            if position > self._position:
                self._answers.clear()
                self._position, self._bytes = position, 0

    def find(self, question: Question, position: Position) -> Any:
        """Return the answer that was kept at this head of the log, or None."""
        self.forget(position)
        with self._lock:
            reply = self._answers.get(question) if position == self._position else None
            if reply is not None:
                self._answers.move_to_end(question)
            return reply

    def keep(self, question: Question, position: Position, reply: CachedAnswer) -> None:
        """Remember an answer."""
        size = _size(question, reply)
        with self._lock:
            if position != self._position or size > CACHE_BYTES_MAX:
                return
            known = self._answers.pop(question, None)
            self._bytes += size - (0 if known is None else _size(question, known))
            self._answers[question] = reply
            while self._bytes > CACHE_BYTES_MAX:
                self._bytes -= _size(*self._answers.popitem(last=False))


def _size(question: Question, reply: CachedAnswer) -> int:
    """About how many bytes an answer takes with its question, which a client may make long."""
    path, query, _ = question
    return len(reply.data) + len(path) + len(query) + ENTRY_BYTES
