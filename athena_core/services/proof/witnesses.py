"""Anchors that were kept elsewhere: read within bounds, and compared with the log in the pass that runs anyway."""

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
"""How many kept anchors are compared in one pass: more than two years of one each five minutes."""


class WitnessLine(Anchor):
    """An anchor as a place keeps it: ``at`` is when it was taken, ``from`` who sent it to another Athena."""

    at: Instant | None = None
    sender: str | None = msgspec.field(name="from", default=None)


class Witness(NamedTuple):
    """An anchor, and where it was kept: the place, and the line there."""

    source: str
    line: int
    anchor: Anchor
    at: str | None = None
    sender: str | None = None

    def __str__(self) -> str:
        """Return the place, and who sent the anchor there, if that is known."""
        place = f"{self.source}, line {self.line}" if self.line else self.source
        return place if self.sender is None else f"{place}, from {self.sender}"


class ComparedAnchors(Value):
    """Anchors of one place that the log was compared with: how many, and the highest position that they vouch for.

    ``given_up`` are those of a branch that an accepted fork gave up; the log does not hold what they vouch for.
    """

    source: str
    position: Position
    count: int = 1
    given_up: int = 0


ForkName: TypeAlias = tuple[Position, bytes]
"""The position and the first bytes of the chain value of a ``log.forked``, as its event id has them."""


class AcceptedFork(NamedTuple):
    """An accepted fork: the row of ``log.forked``, and the position that the log went back to."""

    row: Row
    head: Position

    @property
    def name(self) -> ForkName:
        """What an operator names it by."""
        return self.row.position, self.row.chain[:MARK_BYTES]

    def gave_up(self, one: Witness) -> bool:
        """Return True if the anchor is of a later position, and was taken before the fork."""
        return one.at is not None and one.anchor.position > self.head and one.at <= iso(self.row.recorded_at)


def read_anchors(source: str, lines: BinaryIO) -> Iterator[Witness]:
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
            found = msgspec.json.decode(line, type=WitnessLine)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if line.endswith(b"\n"):
                raise ConfigError(f"{source}, line {number}: is no anchor (torn or damaged)") from None
        else:
            anchor = Anchor(log_id=found.log_id, position=found.position, chain=found.chain)
            yield Witness(source, number, anchor, found.at, found.sender)


class Witnesses:
    """Kept anchors by position, and what the log holds there; the same anchor of several lines is remembered once."""

    def __init__(
        self, witnesses: Iterable[Witness] = (), sources: Iterable[str] = (), forks: Iterable[ForkName] = ()
    ) -> None:
        """Take all of them; each of ``sources`` must have at least one. Raise ConfigError above ``LINES_MAX``.

        ``forks`` are those that the operator knows of: anchors of what they gave up contradict nothing.
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
                raise ConfigError(f"{one.source}: more than {LINES_MAX} anchors in all; compare the newest")
            self.add(one)

    def add(self, one: Witness) -> None:
        """Take one more."""
        anchor, place = one.anchor, (one.source, one.anchor.log_id)
        before = self._places.get(place) or ComparedAnchors(source=one.source, position=0, count=0)
        self._places[place] = ComparedAnchors(
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
        self._chains[row.position] = row.chain

    def fork(self, row: Row, head: Position) -> None:
        """Remember a ``log.forked``, in the order of the log, and the position that it went back to."""
        self._forks.append(AcceptedFork(row, head))

    def anchors(self) -> list[Anchor]:
        """Return every different anchor."""
        return [one.anchor for found in self._wanted.values() for one in found.values()]

    def compared(self, log_id: str) -> tuple[ComparedAnchors, ...]:
        """Return the places with anchors of this log, after ``contradictions``."""
        return tuple(
            replace(found, given_up=self._given_up[source])
            for (source, log), found in self._places.items()
            if log == log_id
        )

    def contradictions(self, log_id: str, head: Position) -> Iterator[Violation]:
        """Return how the log contradicts what was kept: another log, a missing row, another chain, a fork."""
        for source, count in self._sources.items():
            if not count:
                yield Violation(rule="anchor", reason=f"{source} holds no anchor")
        given_up: dict[ForkName, list[Witness]] = {}
        for position, found in sorted(self._wanted.items()):
            for one in found.values():
                chain = self._chains.get(position, bytes(32) if position == 0 else None)
                if one.anchor.log_id != log_id:
                    other = f"the anchor is of the log {one.anchor.log_id}; this one is {log_id} ({one})"
                    yield Violation(rule="anchor", reason=other)
                elif chain is not None and chain.hex() == one.anchor.chain:
                    continue
                elif fork := next((fork for fork in self._forks if fork.gave_up(one)), None):
                    given_up.setdefault(fork.name, []).append(one)
                elif chain is None:
                    cut = f"the log once reached position {position} and ends at {head} ({one})"
                    yield Violation(rule="anchor", reason=cut)
                else:
                    changed = f"the row is not the one that the anchor vouches for ({one})"
                    yield Violation(rule="anchor", reason=changed, position=position)
        yield from self._forked(given_up)

    def _forked(self, given_up: Mapping[ForkName, list[Witness]]) -> Iterator[Violation]:
        """Return the forks that gave up anchors and are not accepted, and those accepted that the log does not hold."""
        for fork in self._forks:
            witnesses = given_up.get(fork.name, [])
            if fork.name in self._accepted:
                self._given_up.update(one.source for one in witnesses)
            elif witnesses:
                yield Violation(
                    rule="forked",
                    reason=f"the log went back to position {fork.head}: anchors of what it gave up are kept"
                    f" ({len(witnesses)}, the first: {witnesses[0]}); if you accepted this fork, say so: --forked, with"
                    " the id of this event",
                    position=fork.row.position,
                )
        for name in sorted(self._accepted - {fork.name for fork in self._forks}):
            missing = f"the log.forked at position {name[0]} that --forked names is not there"
            yield Violation(rule="forked", reason=missing)
