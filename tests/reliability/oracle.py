"""The oracle: what clients tried and were told, and a judge of the log that knows only the promise.

A client makes an *attempt* under a mark of its own, sends it as often as it likes, and notes after each time what came
back: an answer, a refusal that says nothing was done, or nothing that tells. The mark is in the input, so that it can
be found in the log. What the judge finds wrong it names by the first word of each line, which ``KINDS`` explains.
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
    """An event of the log: its published id, the id of what it is about, and the mark of the attempt it began."""

    position: int
    id: str
    subject: str
    mark: str | None = None


class Answer(NamedTuple):
    """What a client was told: the id of what it made, and which event of it is how far up the log.

    ``exact`` answers name the position of an event of theirs, others one that is not before it. ``content`` is
    whatever a repeat has to say again, word by word.
    """

    id: str
    position: int
    exact: bool = True
    content: str = ""

    @property
    def lasting(self) -> tuple[object, ...]:
        """What a repeat has to say again."""
        return self.id, self.content, self.position if self.exact else None


class Attempt:
    """What became of one attempt: the answers it got, how often it was refused, how often nobody knows."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.answers: list[Answer] = []
        self.refusals: list[str] = []
        self.unknown = 0

    @property
    def surely_undone(self) -> bool:
        """Whether every time it was sent it was refused."""
        return not self.answers and not self.unknown and bool(self.refusals)


class Reading(NamedTuple):
    """What a reader of the feed saw, from the event after ``after`` on."""

    name: str
    after: int
    ids: Sequence[str]


class Record:
    """The record of all clients. Safe from any thread; note an attempt before it is sent."""

    def __init__(self) -> None:
        self._attempts: dict[str, Attempt] = {}
        self._lock = threading.Lock()

    def attempt(self, mark: str) -> None:
        """An attempt is about to be sent, for the first time or again."""
        with self._lock:
            self._attempts.setdefault(mark, Attempt(mark))

    def acknowledge(self, mark: str, answer: Answer) -> None:
        """It was answered."""
        with self._lock:
            self._attempts[mark].answers.append(answer)

    def refuse(self, mark: str, code: str) -> None:
        """It was refused with an error that promises that nothing was done."""
        with self._lock:
            self._attempts[mark].refusals.append(code)

    def lose(self, mark: str) -> None:
        """Nobody can say what became of it."""
        with self._lock:
            self._attempts[mark].unknown += 1

    def attempts(self) -> dict[str, Attempt]:
        """All attempts by mark."""
        with self._lock:
            return dict(self._attempts)

    def acknowledged(self) -> list[str]:
        """The marks that have an answer."""
        return [mark for mark, attempt in self.attempts().items() if attempt.answers]

    def undecided(self) -> list[str]:
        """The marks that were sent and have no answer."""
        return [mark for mark, attempt in self.attempts().items() if not attempt.answers and not attempt.surely_undone]

    def __str__(self) -> str:
        """The sums, for output of tests."""
        attempts = self.attempts().values()
        repeats = sum(max(len(attempt.answers) - 1, 0) for attempt in attempts)
        unknown = sum(attempt.unknown > 0 for attempt in attempts)
        return (
            f"{len(attempts)} attempts, {len(self.acknowledged())} acknowledged, {repeats} repeats,"
            f" {unknown} at some time unknown, {sum(attempt.surely_undone for attempt in attempts)} refused"
        )


def violations(record: Record, history: Sequence[Entry], readings: Sequence[Reading] = ()) -> list[str]:
    """Every broken promise, each in one line that begins with its kind."""
    found = [*_density(history), *_attempts(record, history)]
    for reading in readings:
        found += _reading(reading, history)
    return found


def check(record: Record, history: Sequence[Entry], readings: Sequence[Reading] = (), place: str = "") -> None:
    """Fail if a promise was broken; ``place`` says how to come to the same place again."""
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
