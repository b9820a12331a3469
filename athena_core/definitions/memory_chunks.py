"""Notes: the stretches in which they are searched, and how a place in one is cited."""

from collections.abc import Iterator
from typing import NamedTuple

CHUNK_LINES = 40
OVERLAP_LINES = 10
CHUNK_CHARS_MAX = 16_000
"""What of a stretch is searched; only a note of very long lines has more."""


class Stretch(NamedTuple):
    """Some lines of a note, numbered from 1; ``number`` counts the stretches from 0."""

    number: int
    first: int
    last: int
    text: str


def lines_of(text: str) -> list[str]:
    """The lines of a note."""
    return text.removesuffix("\n").split("\n")


def stretches(text: str) -> Iterator[Stretch]:
    """A note in stretches of 40 lines, of which each shares 10 with the one before; blank ones are left out."""
    lines = lines_of(text)
    starts = range(0, max(len(lines) - OVERLAP_LINES, 1), CHUNK_LINES - OVERLAP_LINES)
    for number, start in enumerate(starts):
        some = lines[start : start + CHUNK_LINES]
        part = "\n".join(some)[:CHUNK_CHARS_MAX]
        if part.strip():
            yield Stretch(number, start + 1, start + len(some), part)


def cited(place: str, first: int, last: int) -> str:
    """Lines of a note as a citation: ``memory/plan.md#L3-L9``."""
    return f"{place}#L{first}" if first == last else f"{place}#L{first}-L{last}"
