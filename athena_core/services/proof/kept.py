"""Anchors that were kept elsewhere: read within bounds, and compared with the log in the pass that runs anyway."""

from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, NamedTuple

import msgspec

from athena_core.errors import ConfigError
from athena_core.event import Position, Value
from athena_core.protocols import Row
from athena_core.store.anchor import Anchor

LINE_BYTES_MAX = 1_024
"""The longest line with an anchor, its end included."""

LINES_MAX = 250_000
"""How many kept anchors are compared in one pass: more than two years of one each five minutes."""


class Kept(NamedTuple):
    """An anchor, and where it was kept: the place, and the line there."""

    source: str
    line: int
    anchor: Anchor

    def __str__(self) -> str:
        """Return the place."""
        return f"{self.source}, line {self.line}" if self.line else self.source


class Compared(Value):
    """Anchors of one place that the log was compared with: how many, and the highest position that they vouch for."""

    source: str
    position: Position
    count: int = 1


def read_anchors(source: str, lines: BinaryIO) -> Iterator[Kept]:
    """Read anchors, one JSON object a line; other members are passed over. Raise ConfigError naming the line.

    A last line without an end, as a crash leaves it, is passed over if it is no anchor.
    """
    number = 0
    while line := lines.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise ConfigError(f"{source}, line {number}: longer than {LINE_BYTES_MAX} bytes, so it is no anchor")
        if not line.strip():
            continue
        try:
            yield Kept(source, number, msgspec.json.decode(line, type=Anchor))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if line.endswith(b"\n"):
                raise ConfigError(f"{source}, line {number}: is no anchor (torn or damaged)") from None


class Witnesses:
    """Kept anchors by position, and what the log holds there; the same anchor of several lines is remembered once."""

    def __init__(self, kept: Iterable[Kept] = (), sources: Iterable[str] = ()) -> None:
        """Take all of them; each of ``sources`` must have at least one. Raise ConfigError above ``LINES_MAX``."""
        self._wanted: dict[Position, dict[str, Kept]] = {}
        self._held: dict[Position, bytes] = {}
        self._sources = dict.fromkeys(sources, 0)
        self._places: dict[tuple[str, str], Compared] = {}
        for number, one in enumerate(kept):
            if number >= LINES_MAX:
                raise ConfigError(f"{one.source}: more than {LINES_MAX} anchors in all; compare the newest")
            self.add(one)

    def add(self, one: Kept) -> None:
        """Take one more."""
        anchor, place = one.anchor, (one.source, one.anchor.log_id)
        before = self._places.get(place) or Compared(source=one.source, position=0, count=0)
        self._places[place] = Compared(
            source=one.source, position=max(before.position, anchor.position), count=before.count + 1
        )
        self._sources[one.source] = self._sources.get(one.source, 0) + 1
        self._wanted.setdefault(anchor.position, {}).setdefault(anchor.log_id + anchor.chain, one)

    @property
    def wanted(self) -> Mapping[Position, object]:
        """The positions whose rows are to be shown to ``see``."""
        return self._wanted

    def see(self, row: Row) -> None:
        """Remember the chain value of a row that is wanted."""
        self._held[row.position] = row.chain

    def anchors(self) -> list[Anchor]:
        """Return every different anchor."""
        return [one.anchor for found in self._wanted.values() for one in found.values()]

    def compared(self, log_id: str) -> tuple[Compared, ...]:
        """Return the places with anchors of this log."""
        return tuple(found for (_, log), found in self._places.items() if log == log_id)

    def contradictions(self, log_id: str, head: Position) -> Iterator[tuple[str, Position | None]]:
        """Return how the log contradicts what was kept, and where: another log, a missing row, another chain."""
        for source, count in self._sources.items():
            if not count:
                yield f"{source} holds no anchor", None
        for position, found in sorted(self._wanted.items()):
            for one in found.values():
                held = self._held.get(position, bytes(32) if position == 0 else None)
                if one.anchor.log_id != log_id:
                    yield f"the anchor is of the log {one.anchor.log_id}; this one is {log_id} ({one})", None
                elif held is None:
                    yield f"the log once reached position {position} and ends at {head} ({one})", None
                elif held.hex() != one.anchor.chain:
                    yield f"the row is not the one that the anchor vouches for ({one})", position
