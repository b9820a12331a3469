"""Rules of erasure: a text is gone if and only if an event says so."""

from collections.abc import Iterator

from athena_core.domain import memory, plane
from athena_core.event import Position
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, Violation, follow, rule


class ErasureRules(RuleSet):
    """The texts that are gone, and those whose erasure is recorded."""

    def __init__(self) -> None:
        """Begin without erasures."""
        self.missing: set[Position] = set()
        """Where a text is gone, and no event before the present one says so."""
        self._erased: set[Position] = set()
        self._entries: dict[str, Position] = {}
        self._forgotten: list[tuple[str, Position]] = []

    @rule(plane.PayloadRedacted)
    def erasure(self, row: Row, event: plane.PayloadRedacted) -> str | None:
        """An erasure names a text before it, which is gone."""
        if event.target >= row.position:
            return f"{row.type} names position {event.target}, which is not before it"
        if event.target not in self.missing and event.target not in self._erased:
            return f"{row.type} names position {event.target}, whose text is there or never was"
        return None

    @follow(plane.PayloadRedacted)
    def erase(self, row: Row, event: plane.PayloadRedacted) -> None:
        """Note which text was erased."""
        self.missing.discard(event.target)
        self._erased.add(event.target)

    @follow(memory.MemoryRecorded)
    def record(self, row: Row, event: memory.MemoryRecorded) -> None:
        """Note where the text of an entry stands."""
        self._entries[row.stream] = row.position

    @follow(memory.MemoryForgotten)
    def forget(self, row: Row, event: memory.MemoryForgotten) -> None:
        """Note which entry was forgotten: the erasure of its text follows."""
        self._forgotten.append((row.stream, row.position))

    def finish(self) -> Iterator[Violation]:
        """Return the texts that are gone without a record, and the forgotten entries whose text was not erased."""
        for position in sorted(self.missing):
            yield Violation(
                rule="erasure", reason="its text is gone, and no payload.redacted says so", position=position
            )
        for entry, position in self._forgotten:
            if self._entries.get(entry) not in self._erased:
                reason = f"{entry} was forgotten, and no payload.redacted names its text"
                yield Violation(rule="erasure", reason=reason, position=position)
