"""Chunks of notes, the units of a memory search, and citations of them."""

from collections.abc import Iterator
from typing import NamedTuple

CHUNK_LINES = 40
OVERLAP_LINES = 10
CHUNK_CHARS_MAX = 16_000
"""Characters of a chunk that are searched. Only very long lines exceed this."""


class Stretch(NamedTuple):
    """A range of lines of a note, numbered from 1. ``number`` counts the chunks from 0."""

    number: int
    first: int
    last: int
    text: str


def lines_of(text: str) -> list[str]:
    """Return the lines of a note."""
    return text.removesuffix("\n").split("\n")


def stretches(text: str) -> Iterator[Stretch]:
    """Yield the chunks of a note: 40 lines each, 10 shared with the previous one. Blank chunks are left out."""
    lines = lines_of(text)
    starts = range(0, max(len(lines) - OVERLAP_LINES, 1), CHUNK_LINES - OVERLAP_LINES)
    for number, start in enumerate(starts):
        some = lines[start : start + CHUNK_LINES]
        part = "\n".join(some)[:CHUNK_CHARS_MAX]
        if part.strip():
            yield Stretch(number, start + 1, start + len(some), part)


def cited(place: str, first: int, last: int) -> str:
    """Return a citation of lines of a note, such as ``memory/plan.md#L3-L9``."""
    return f"{place}#L{first}" if first == last else f"{place}#L{first}-L{last}"
