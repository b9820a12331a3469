"""Anchors that were kept elsewhere, compared with the log during the pass of the verification."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.errors import ConfigError
from athena_core.event import MARK_BYTES, Position, Value
from athena_core.log.anchor import LINE_BYTES_MAX, Anchor
from athena_core.protocols import Row
from athena_core.services.proof.rule import Violation
from athena_core.values import Instant

LINES_MAX = 250_000
"""How many kept anchors one pass compares: more than two years of one every five minutes."""


class WitnessLine(Anchor):
    """An anchor as a place keeps it: ``at`` is when it was made, ``from`` the sender if another Athena keeps it."""

    at: Instant | None = None
    sender: str | None = msgspec.field(name="from", default=None)


class Witness(NamedTuple):
    """An anchor with the place where it was kept, and the line there."""

    source: str
    line: int
    anchor: Anchor
    at: str | None = None
    sender: str | None = None

    def __str__(self) -> str:
        place = f"{self.source}, line {self.line}" if self.line else self.source
        return place if self.sender is None else f"{place}, from {self.sender}"


class ComparedAnchors(Value):
    """The anchors of one place that the log was compared with: their count and their highest position.

    ``given_up`` counts anchors of a branch that an accepted fork gave up; the log no longer holds their rows.
    """

    source: str
    position: Position
    count: int = 1
    given_up: int = 0


ForkName: TypeAlias = tuple[Position, bytes]
"""The position and the first bytes of the chain value of a ``log.forked``, as in its event id."""


class AcceptedFork(NamedTuple):
    """An accepted fork: the row of its ``log.forked``, and the position that the log went back to."""

    row: Row
    head: Position

    @property
    def name(self) -> ForkName:
        """Return the name by which an operator accepts the fork."""
        return self.row.position, self.row.chain[:MARK_BYTES]

    def gave_up(self, one: Witness) -> bool:
        """Return True if the anchor is of a later position and was made before the fork."""
        return one.at is not None and one.anchor.position > self.head and one.at <= iso(self.row.recorded_at)


def read_anchors(source: str, lines: BinaryIO) -> Iterator[Witness]:
    """Read anchors, one JSON object a line; other members are ignored. Raise ConfigError naming the line.

    A torn last line, as a crash leaves it, is ignored.
    """
    number = 0
    while line := lines.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise ConfigError(f"{source}, line {number}: longer than {LINE_BYTES_MAX} bytes, so not an anchor")
        if not line.strip():
            continue
        try:
            found = msgspec.json.decode(line, type=WitnessLine)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if line.endswith(b"\n"):
                raise ConfigError(f"{source}, line {number}: not an anchor (torn or damaged)") from None
        else:
            anchor = Anchor(log_id=found.log_id, position=found.position, chain=found.chain)
            yield Witness(source, number, anchor, found.at, found.sender)


class Witnesses:
    """Kept anchors by position, and the log's chain values there. Equal anchors are kept once."""

    def __init__(
        self, witnesses: Iterable[Witness] = (), sources: Iterable[str] = (), forks: Iterable[ForkName] = ()
    ) -> None:
        """Add anchors; each of ``sources`` must have at least one. Raise ConfigError above ``LINES_MAX``.

        ``forks`` are accepted by the operator: anchors of a branch that they gave up contradict nothing.
        """
        self._accepted = frozenset(forks)
        self._forks: list[AcceptedFork] = []
        self._given_up = Counter[str]()
        self._wanted: dict[Position, dict[str, Witness]] = {}
        self._chains: dict[Position, bytes] = {}
        self._sources = dict.fromkeys(sources, 0)
        self._places: dict[tuple[str, str], ComparedAnchors] = {}
        for number, one in enumerate(witnesses):
            if number >= LINES_MAX:
                raise ConfigError(f"{one.source}: more than {LINES_MAX} anchors in all; compare only the newest")
            self.add(one)

    def add(self, one: Witness) -> None:
        anchor, place = one.anchor, (one.source, one.anchor.log_id)
        before = self._places.get(place) or ComparedAnchors(source=one.source, position=0, count=0)
        self._places[place] = ComparedAnchors(
            source=one.source, position=max(before.position, anchor.position), count=before.count + 1
        )
        self._sources[one.source] = self._sources.get(one.source, 0) + 1
        self._wanted.setdefault(anchor.position, {}).setdefault(anchor.log_id + anchor.chain, one)

    @property
    def wanted(self) -> Mapping[Position, object]:
        """The positions whose rows ``see`` needs."""
        return self._wanted

    def see(self, row: Row) -> None:
        """Keep the chain value of a wanted row."""
        self._chains[row.position] = row.chain

    def fork(self, row: Row, head: Position) -> None:
        """Keep a ``log.forked`` and the position that it went back to; call it in the order of the log."""
        self._forks.append(AcceptedFork(row, head))

    def anchors(self) -> list[Anchor]:
        return [one.anchor for found in self._wanted.values() for one in found.values()]

    def compared(self, log_id: str) -> tuple[ComparedAnchors, ...]:
        """Return the places with anchors of this log. Call it after ``contradictions``."""
        return tuple(
            replace(found, given_up=self._given_up[source])
            for (source, log), found in self._places.items()
            if log == log_id
        )

    def contradictions(self, log_id: str, head: Position) -> Iterator[Violation]:
        """Yield how the log contradicts kept anchors: another log, a missing row, another chain, a fork."""
        for source, count in self._sources.items():
            if not count:
                yield Violation(rule="anchor", reason=f"{source} has no anchors")
        given_up: dict[ForkName, list[Witness]] = {}
        for position, found in sorted(self._wanted.items()):
            for one in found.values():
                chain = self._chains.get(position, bytes(32) if position == 0 else None)
                if one.anchor.log_id != log_id:
                    other = f"the anchor belongs to log {one.anchor.log_id}, but this is log {log_id} ({one})"
                    yield Violation(rule="anchor", reason=other)
                elif chain is not None and chain.hex() == one.anchor.chain:
                    continue
                elif fork := next((fork for fork in self._forks if fork.gave_up(one)), None):
                    given_up.setdefault(fork.name, []).append(one)
                elif chain is None:
                    cut = f"the log once reached position {position} but now ends at {head} ({one})"
                    yield Violation(rule="anchor", reason=cut)
                else:
                    changed = f"the row differs from the one that was anchored ({one})"
                    yield Violation(rule="anchor", reason=changed, position=position)
        yield from self._forked(given_up)

    def _forked(self, given_up: Mapping[ForkName, list[Witness]]) -> Iterator[Violation]:
        """Yield forks that gave up anchors and are not accepted, and accepted forks that the log does not hold."""
        for fork in self._forks:
            witnesses = given_up.get(fork.name, [])
            if fork.name in self._accepted:
                self._given_up.update(one.source for one in witnesses)
            elif witnesses:
                yield Violation(
                    rule="forked",
                    reason=f"the log went back to position {fork.head}, but anchors of later positions were kept"
                    f" ({len(witnesses)}, the first: {witnesses[0]}); if you accepted this fork, pass --forked with"
                    " the id of this event",
                    position=fork.row.position,
                )
        for name in sorted(self._accepted - {fork.name for fork in self._forks}):
            missing = f"--forked names a log.forked at position {name[0]}, which the log does not hold"
            yield Violation(rule="forked", reason=missing)
