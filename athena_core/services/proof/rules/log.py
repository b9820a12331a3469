"""Rules of every event, whatever its noun: time, versions, commands."""

from athena_core.log.codec import at_of
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet


class LogRules(RuleSet):
    """The streams before an event, and the command that it may belong to. Called for each event, not by type."""

    NAMES = ("times", "versions", "envelope")

    def __init__(self) -> None:
        """Begin before the first event."""
        self.versions: dict[str, int] = {}
        self.recorded_at = 0
        self.command = ""
        self.began: set[str] = set()
        """The streams that began in the present command."""

    def faults(self, row: Row) -> list[tuple[str, str]]:
        """Return the rules that the row itself breaks, and how.

        The time of recording never decreases, nothing is decided after it, versions of a stream are 1, 2, 3, and what
        caused an event stands before it.
        """
        found = []
        if row.extra is not None and (at := at_of(row)) > row.recorded_at:
            found.append(("times", f"decided {at - row.recorded_at} ms after it was recorded"))
        if row.recorded_at < self.recorded_at:
            found.append(("times", f"recorded {self.recorded_at - row.recorded_at} ms before its predecessor"))
        expected = self.versions.get(row.stream, 0) + 1
        if row.version != expected:
            found.append(("versions", f"{row.stream} has version {row.version} where {expected} is due"))
        if row.causation is not None and not 0 < row.causation < row.position:
            found.append(("envelope", f"caused by position {row.causation}, which is not before it"))
        return found

    def advance(self, row: Row) -> None:
        """Take a row in, after the nouns did."""
        self.recorded_at = row.recorded_at
        if row.command_id != self.command:
            self.command = row.command_id
            self.began.clear()
        if row.stream not in self.versions:
            self.began.add(row.stream)
        self.versions[row.stream] = row.version
