"""Logs written by hand, for tests of proofs."""

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import apsw
from msgspec.structs import replace

from athena_core.clock import CountingIds, FixedClock
from athena_core.domain import DECIDERS, EVENTS, plane, policy, run
from athena_core.event import Event, Position
from athena_core.log.anchor import Anchor
from athena_core.log.chain import GENESIS, digest, link
from athena_core.log.codec import Codec, Encoded
from athena_core.log.guards import Guards
from athena_core.log.port import FORMAT
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.log.sqlite.store import SqliteStore
from athena_core.protocols import Row, StoredKey
from athena_core.services.proof import verify as verifying
from athena_core.services.proof.rules.precedence import PrecedenceRules
from athena_core.services.proof.verify import VerifyReport
from athena_core.services.proof.witnesses import Witnesses
from athena_core.values import Usage
from tests.support.events.run import (
    ASKED,
    BUDGETED,
    CALLED,
    COMPLETED,
    CREATED,
    DEAR,
    LEASED,
    PAID,
    PARTIAL,
    PAUSED,
    QUEUED,
    RESULT,
    RESUMED,
    SAID,
    STARTED,
    TAKEN,
)

CODEC = Codec(EVENTS)
LIMIT_ONE = policy.PolicyUpdated(
    schema_version=1, updated_at="", after=policy.Policy(schema_version=1, max_concurrent_runs=1)
)
SHOWN = run.EvidenceAttached(
    evidence_id="ev_1", evidence_type="text", size_bytes=1, sha256="", source="tool", workspace=False
)
CRASHED = run.RunCrashed(executor="exe_1", attempt=1)
FILLER = plane.AuthzModeActive(mode="off")


class Forge:
    """A writer of arbitrary rows with a correct chain and the guards that follow from them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ids = CountingIds()
        self.store = SqliteStore(directory, self.ids)
        self.position, self.chain, self.now = 0, GENESIS, 1_000_000
        self.versions: dict[str, int] = {}
        self.sessions: dict[str, str] = {}
        self.causation: Position | None = None
        self.run_of_next = self.session_of_next = ""
        self.guards = Guards()
        self.meta = {"log_id": self.store.log_id, "format": str(FORMAT)}
        self.keys: list[StoredKey] = []
        self.anchor: Anchor | None = None
        self.against: Witnesses | None = None

    def add(
        self, stream: str, *events: "Event | Plain", command: str | None = None, skip: int = 0, later: int = 1
    ) -> Position:
        """Append the events of one command to a stream. Return the last position."""
        command = command or self.ids.new("cmd")
        with self.store.exclusive():
            for event in events:
                self.now += later
                self.sessions[stream] = getattr(event, "session_id", None) or self.sessions.get(
                    stream, CREATED.session_id
                )
                encoded = event if isinstance(event, Plain) else CODEC.encode(event, lambda: bytes(16))
                self._insert(stream, encoded, command, skip)
        return self.position

    def _insert(self, stream: str, encoded: "Encoded | Plain", command: str, skip: int) -> None:
        self.position += 1
        version = self.versions[stream] = self.versions.get(stream, 0) + 1 + skip
        columns = (
            self.position,
            stream,
            version,
            encoded.type,
            encoded.schema_version,
            self.now,
            command,
            "trace",
            self.causation,
            "local",
            self.session_of_next or self.sessions[stream],
            self.run_of_next or stream,
            encoded.data,
            encoded.extra,
            digest(encoded.data),
            None if encoded.text is None else digest(encoded.text),
        )
        self.chain = link(self.chain, columns)
        row = Row(*columns, self.chain, encoded.text)
        self.store.insert([row])
        with suppress(ValueError):
            guards = [guard for decider in DECIDERS for guard in decider.guards(CODEC.decode(row))]
            made = [self.guards.apply(guard) for guard in guards]
            self.store.put_guards([(guard, self.position) for guard in made if guard])

    def erase(self, position: Position) -> None:
        self.add("plane", plane.PayloadRedacted(target=position))
        self.execute("UPDATE log SET text = NULL WHERE position = ?", position)

    def execute(self, statement: str, *values: Any) -> None:
        """Change the database without the knowledge of its readers."""
        connection = apsw.Connection(str(self.store.path))
        connection.execute(statement, values)
        connection.close()

    def key(self, first: Position, last: Position, subject: str | None = None) -> StoredKey:
        """Bind a key at the time at which its command was decided."""
        row = self.store.rows(first - 1, 1) if first > 0 else []
        return StoredKey(b"k", first, last, row[0].recorded_at if row else 0, subject)

    def report(self, *, whole: bool = False) -> VerifyReport:
        """Verify. Unless the history is ``whole``, it is abridged."""
        reader = SqliteReader(self.store.path, self.store.log_id)
        try:
            return run_to_the_end(reader, self, whole=whole)
        finally:
            reader.close()


class Plain(NamedTuple):
    """The columns of an event that this release would not write."""

    type: str
    schema_version: int = 1
    data: bytes = b"{}"
    extra: bytes | None = None
    text: bytes | None = None


def run_to_the_end(reader: verifying.VerifiedLog, forge: Forge, *, whole: bool = False) -> VerifyReport:
    steps = verifying.verify(
        reader,
        CODEC,
        FixedClock(),
        meta=forge.meta,
        anchor=forge.anchor,
        against=forge.against,
        keys=forge.keys,
    )
    *_, last = steps
    assert last.report is not None
    return last.report if whole else abridged(last.report)


def abridged(report: VerifyReport) -> VerifyReport:
    """Return the report without missing predecessors, for a history that leaves out sessions, directives and the like.

    Each row of the table of precedences has a test of its own.
    """
    found = tuple(one for one in report.violations if one.rule != PrecedenceRules.precedence.__name__)
    count = report.violation_count - len(report.violations) + len(found)
    return replace(report, violations=found, violation_count=count, ok=not count)


def whole_lives(forge: Forge) -> None:
    """Append every kind of event that a run may have."""
    forge.add("policy", LIMIT_ONE)
    forge.add("run_1", CREATED, LEASED, STARTED, SAID)
    forge.add("run_2", QUEUED)
    forge.add("run_3", replace(QUEUED, session_id="third"))
    forge.add("run_3", run.RunCancelled(cause="session-busy"))
    forge.add("run_4", *refusal(forge))
    forge.add("run_1", ASKED)
    ended = forge.ids.new("cmd")
    forge.add("run_1", PAID, run.RunCancelled(cause="requested"), command=ended)
    forge.add("run_2", CREATED, command=ended)
    forge.add("run_2", replace(LEASED, executor="exe_2"), STARTED)
    forge.add("run_2", replace(TAKEN, executor="exe_3", taken_from="exe_2"), run.RunStarted(attempt=2))
    forge.add("run_2", SAID, CALLED, replace(PAID, turn=1))
    forge.add("run_2", RESULT)
    forge.add("run_2", SHOWN)
    twice = Usage(total_tokens=6)
    forge.add("run_2", SAID, replace(PAID, turn=2), replace(COMPLETED, usage=twice, evidence_count=1))
    forge.add("run_1", replace(ASKED, status="not-running"))
    forge.add("plane", replace(ASKED, status="not-running"))
    forge.add("run_5", CREATED, LEASED, STARTED, CRASHED)
    forge.add("run_6", CREATED, LEASED, STARTED, PARTIAL, replace(PAID, failed=True), run.RunTimedOut(timeout_ms=1))
    forge.add("run_8", *rejection(forge))
    forge.add("run_9", BUDGETED, LEASED, STARTED, SAID, CALLED, DEAR)
    forge.add("run_9", RESULT, DEAR, PAUSED)
    forge.add("run_10", replace(QUEUED, parent_run_id="run_9"))
    forge.add("run_9", *refusal(forge))
    forge.add("run_10", ASKED, run.RunCancelled(cause="requested"))
    forge.add("run_9", RESUMED, replace(LEASED, token=2), STARTED)
    forge.add("run_9", replace(TAKEN, token=3, attempt=1, taken_from="exe_1", because="left"), STARTED)
    forge.add("run_9", replace(ASKED, cause="parent"), run.RunCancelled(cause="parent", forced=True))
    forge.add("run_7", CREATED, LEASED, STARTED)


def rejection(forge: Forge) -> tuple[Event, ...]:
    return (refusal(forge)[-1],)


def refusal(forge: Forge) -> tuple[Event, ...]:
    rejection = run.RunRejection(
        schema_version=1,
        timestamp="",
        policy_type="CONCURRENCY",
        limit=1,
        rejected_run_details=run.RejectedRunDetails(session_id="s"),
        reason="max-concurrent-runs-exceeded",
        active_runs=1,
    )
    violation = plane.SafetyViolation(
        schema_version=1,
        source=plane.ViolationSource(position=1, trace_id="t", type="t", created_at=""),
        category="policy",
        severity="high",
        outcome="blocked",
        violation_code="c",
        actor=plane.ViolationActor(subject="s", role="r"),
    )
    concurrency = run.PolicyConcurrencyRejected(rejection=rejection, active_runs=1, max_concurrent_runs=1, reason="r")
    return concurrency, violation, run.PolicyRejected(rejection=rejection)
