"""A cache of answers at the head of the log, for callers that repeat a request before the log moves."""

import threading
from collections import OrderedDict
from typing import Any, Protocol, TypeAlias

from athena_core.event import Position
from athena_core.values import Scope

CACHE_BYTES_MAX = 4 << 20
ENTRY_BYTES = 500
"""Approximate size of an entry beside its body, in bytes."""

Question: TypeAlias = tuple[str, bytes, Scope | None, bool]
"""The path, the raw query, the scope of the caller, and whether it accepts a compressed answer."""


class CachedAnswer(Protocol):
    """An answer that can be cached. ``data`` is its encoded body."""

    @property
    def data(self) -> Any:
        """The encoded body."""


class AnswerCache:
    """Answers that depend only on the request and the log position.

    When an event arrives, all open consoles send the same requests. The cache is cleared when the head moves, so no
    entry is stale and writes never invalidate. Above the size limit, the least recently used entries are dropped. Safe
    from any thread.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[Question, CachedAnswer] = OrderedDict()
        self._position: Position = 0
        self._bytes = 0
        self._lock = threading.Lock()

    def forget(self, position: Position) -> None:
        """Drop all answers of earlier heads. Answers of earlier heads are not kept from now on."""
        with self._lock:
            if position > self._position:
                self._answers.clear()
                self._position, self._bytes = position, 0

    def find(self, question: Question, position: Position) -> Any:
        """Return the answer that is cached at this head of the log, or None."""
        self.forget(position)
        with self._lock:
            reply = self._answers.get(question) if position == self._position else None
            if reply is not None:
                self._answers.move_to_end(question)
            return reply

    def keep(self, question: Question, position: Position, reply: CachedAnswer) -> None:
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
    """Return the approximate size of an entry in bytes, including the request, which a client may make long."""
    path, query, *_ = question
    return len(reply.data) + len(path) + len(query) + ENTRY_BYTES
