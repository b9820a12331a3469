"""The oracle: attempts and answers of clients, and a judge of the log that knows only the promise.

A client makes an *attempt* under a mark of its own, sends it any number of times, and records each result: an answer,
a refusal that promises that nothing was done, or an unknown outcome. The mark is in the input and so in the log.
Each finding of the judge begins with its kind, which ``KINDS`` explains.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

KINDS: Mapping[str, str] = {
    "gap": "positions are 1, 2, 3 and so on",
    "lost": "what was acknowledged is there",
    "moved": "what was acknowledged is at the position that was told, under the id that was told",
    "doubled": "an attempt is there at most once, however often it was sent",
    "invented": "whatever is there was attempted",
    "refused": "what was refused every time is not there",
    "changed": "a repeated key gets the first answer",
    "shared": "two attempts never get the same id",
    "misread": "a reader of the feed sees every event once, in order",
}


class Entry(NamedTuple):
    """An event of the log: its published id, the id of its subject, and the mark of the attempt it began."""

    position: int
    id: str
    subject: str
    mark: str | None = None


class Answer(NamedTuple):
    """An acknowledgement: the id of the new resource and the position of one of its events.

    ``exact`` answers name the position of their own event, others a position at or after it. ``content``
    is what a repeat has to return word for word.
    """

    id: str
    position: int
    exact: bool = True
    content: str = ""

    @property
    def lasting(self) -> tuple[object, ...]:
        """The content that a repeat has to return."""
        return self.id, self.content, self.position if self.exact else None


class Attempt:
    """An attempt: the answers it got, how often it was refused, and how often its outcome stayed unknown."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.answers: list[Answer] = []
        self.refusals: list[str] = []
        self.unknown = 0

    @property
    def surely_undone(self) -> bool:
        """Return True if it was refused each time it was sent."""
        return not self.answers and not self.unknown and bool(self.refusals)


class Reading(NamedTuple):
    """The events that a reader of the feed received after ``after``."""

    name: str
    after: int
    ids: Sequence[str]


class Record:
    """The record of all clients. Safe from any thread; note an attempt before it is sent."""

    def __init__(self) -> None:
        self._attempts: dict[str, Attempt] = {}
        self._lock = threading.Lock()

    def attempt(self, mark: str) -> None:
        """Record that an attempt is about to be sent, for the first time or again."""
        with self._lock:
            self._attempts.setdefault(mark, Attempt(mark))

    def acknowledge(self, mark: str, answer: Answer) -> None:
        with self._lock:
            self._attempts[mark].answers.append(answer)

    def refuse(self, mark: str, code: str) -> None:
        """Record a refusal that promises that nothing was done."""
        with self._lock:
            self._attempts[mark].refusals.append(code)

    def lose(self, mark: str) -> None:
        """Record that the outcome is unknown."""
        with self._lock:
            self._attempts[mark].unknown += 1

    def attempts(self) -> dict[str, Attempt]:
        with self._lock:
            return dict(self._attempts)

    def acknowledged(self) -> list[str]:
        return [mark for mark, attempt in self.attempts().items() if attempt.answers]

    def undecided(self) -> list[str]:
        return [mark for mark, attempt in self.attempts().items() if not attempt.answers and not attempt.surely_undone]

    def __str__(self) -> str:
        attempts = self.attempts().values()
        repeats = sum(max(len(attempt.answers) - 1, 0) for attempt in attempts)
        unknown = sum(attempt.unknown > 0 for attempt in attempts)
        return (
            f"{len(attempts)} attempts, {len(self.acknowledged())} acknowledged, {repeats} repeats,"
            f" {unknown} at some time unknown, {sum(attempt.surely_undone for attempt in attempts)} refused"
        )


def violations(record: Record, history: Sequence[Entry], readings: Sequence[Reading] = ()) -> list[str]:
    """Return every broken promise, each in one line that begins with its kind."""
    found = [*_density(history), *_attempts(record, history)]
    for reading in readings:
        found += _reading(reading, history)
    return found


def check(record: Record, history: Sequence[Entry], readings: Sequence[Reading] = (), place: str = "") -> None:
    """Fail if a promise was broken; ``place`` says how to reproduce the case."""
    found = violations(record, history, readings)
    assert not found, "\n".join([f"{len(found)} promises broken ({place or record})", *found[:20]])


def _density(history: Sequence[Entry]) -> Iterator[str]:
    for index, entry in enumerate(history, 1):
        if entry.position != index:
            yield f"gap: position {entry.position} where {index} is due"
            return


def _attempts(record: Record, history: Sequence[Entry]) -> Iterator[str]:
    attempts = record.attempts()
    begun: dict[str, list[Entry]] = {}
    for entry in history:
        if entry.mark is not None:
            begun.setdefault(entry.mark, []).append(entry)
    for mark, entries in begun.items():
        if mark not in attempts:
            yield f"invented: {mark} is at position {entries[0].position}, nobody sent it"
        if len(entries) > 1:
            yield f"doubled: {mark} is at positions {', '.join(str(entry.position) for entry in entries)}"
    by_position = {entry.position: entry for entry in history}
    owners: dict[str, str] = {}
    for mark, attempt in attempts.items():
        if attempt.surely_undone and mark in begun:
            reasons = ", ".join(sorted(set(attempt.refusals)))
            yield f"refused: {mark} is at position {begun[mark][0].position}, but every answer was {reasons}"
        for answer in dict.fromkeys(attempt.answers):
            yield from _answer(mark, answer, begun.get(mark, []), by_position)
        others = [answer for answer in attempt.answers if answer.lasting != attempt.answers[0].lasting]
        if others:
            yield f"changed: {mark} was answered {attempt.answers[0]}, later {others[0]}"
        if attempt.answers:
            owner = owners.setdefault(attempt.answers[0].id, mark)
            if owner != mark:
                yield f"shared: {mark} and {owner} both got {attempt.answers[0].id}"


def _answer(mark: str, answer: Answer, begun: Sequence[Entry], by_position: Mapping[int, Entry]) -> Iterator[str]:
    if not begun:
        yield f"lost: {mark} was acknowledged at position {answer.position}"
        return
    first = begun[0]
    if first.subject != answer.id:
        yield f"moved: {mark} began {first.subject} at position {first.position}, told was {answer.id}"
    at = by_position.get(answer.position)
    if at is None or first.position > answer.position:
        yield f"moved: {mark} began at position {first.position}, told was {answer.position} of {len(by_position)}"
    elif answer.exact and at.subject != answer.id:
        yield f"moved: {mark} was told position {answer.position}, which belongs to {at.subject}"


def _reading(reading: Reading, history: Sequence[Entry]) -> Iterator[str]:
    expected = [entry.id for entry in history[reading.after : reading.after + len(reading.ids)]]
    if list(reading.ids) == expected:
        return
    for index, seen in enumerate(reading.ids):
        position = reading.after + index + 1
        due = expected[index] if index < len(expected) else "nothing"
        if seen != due:
            told = "again" if seen in reading.ids[:index] else "instead"
            yield f"misread: {reading.name} saw {seen} {told} where position {position} ({due}) was due"
            return
