"""Rules of erasure: a text is gone if and only if an event records its erasure."""

from collections.abc import Iterator

from athena_core.domain import memory, plane
from athena_core.event import Position
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, Violation, follow, rule


class ErasureRules(RuleSet):
    """The texts that are gone, and the erasures that are recorded."""

    def __init__(self) -> None:
        self.missing: set[Position] = set()
        """Positions whose text is gone without a record so far."""
        self._erased: set[Position] = set()
        self._entries: dict[str, Position] = {}
        self._forgotten: list[tuple[str, Position]] = []

    @rule(plane.PayloadRedacted)
    def erasure(self, row: Row, event: plane.PayloadRedacted) -> str | None:
        """An erasure names an earlier text, and that text is gone."""
        if event.target >= row.position:
            return f"{row.type} names position {event.target}, which is not an earlier one"
        if event.target not in self.missing and event.target not in self._erased:
            return f"{row.type} names position {event.target}, whose text still exists or never did"
        return None

    @follow(plane.PayloadRedacted)
    def erase(self, row: Row, event: plane.PayloadRedacted) -> None:
        """Record the erasure of a text."""
        self.missing.discard(event.target)
        self._erased.add(event.target)

    @follow(memory.MemoryRecorded)
    def record(self, row: Row, event: memory.MemoryRecorded) -> None:
        """Record the position of an entry's text."""
        self._entries[row.stream] = row.position

    @follow(memory.MemoryForgotten)
    def forget(self, row: Row, event: memory.MemoryForgotten) -> None:
        """Record a forgotten entry; the erasure of its text must follow."""
        self._forgotten.append((row.stream, row.position))

    def finish(self) -> Iterator[Violation]:
        """Yield texts that are gone without a record, and forgotten entries whose text was not erased."""
        for position in sorted(self.missing):
            yield Violation(
                rule="erasure", reason="its text is gone, but no payload.redacted records it", position=position
            )
        for entry, position in self._forgotten:
            if self._entries.get(entry) not in self._erased:
                reason = f"{entry} was forgotten, but no payload.redacted names its text"
                yield Violation(rule="erasure", reason=reason, position=position)
