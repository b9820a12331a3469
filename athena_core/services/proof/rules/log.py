"""Rules of every event, of any noun: times, versions, causes."""

from athena_core.log.codec import at_of
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet


class LogRules(RuleSet):
    """The versions of all streams and the current command. Called for each event, not by type."""

    NAMES = ("times", "versions", "envelope")

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.recorded_at = 0
        self.command = ""
        self.began: set[str] = set()
        """The streams that began in the current command."""

    def faults(self, row: Row) -> list[tuple[str, str]]:
        """Return the rules that the row itself breaks, with reasons.

        Times of recording never decrease, and no event is decided after it is recorded. Versions of a stream are 1, 2,
        3 and so on. The cause of an event precedes it.
        """
        found = []
        if row.extra is not None and (at := at_of(row)) > row.recorded_at:
            found.append(("times", f"decided {at - row.recorded_at} ms after it was recorded"))
        if row.recorded_at < self.recorded_at:
            found.append(("times", f"recorded {self.recorded_at - row.recorded_at} ms before its predecessor"))
        expected = self.versions.get(row.stream, 0) + 1
        if row.version != expected:
            found.append(("versions", f"{row.stream} has version {row.version}; expected {expected}"))
        if row.causation is not None and not 0 < row.causation < row.position:
            found.append(("envelope", f"caused by position {row.causation}, which is not an earlier one"))
        return found

    def advance(self, row: Row) -> None:
        """Apply a row, after the rules of its noun."""
        self.recorded_at = row.recorded_at
        if row.command_id != self.command:
            self.command = row.command_id
            self.began.clear()
        if row.stream not in self.versions:
            self.began.add(row.stream)
        self.versions[row.stream] = row.version
