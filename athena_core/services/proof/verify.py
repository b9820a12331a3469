"""The verification of a log: one pass that checks the hash chain and the invariants of every decision.

It only reads, so it may run beside a server; commits after its start are not checked. It keeps the version of every
stream and the start of every command in memory: about 200 bytes a stream and 16 a command.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from athena_core.clock import Clock
from athena_core.decider import Decider, category
from athena_core.domain import DECIDERS, plane
from athena_core.errors import Overloaded
from athena_core.event import Position, Recorded, Unknown, Value
from athena_core.log import chain
from athena_core.log.anchor import Anchor
from athena_core.log.codec import Codec
from athena_core.log.guards import Guards
from athena_core.log.port import Inspection, SchemaReport
from athena_core.protocols import LogReader, Row, StoredKey
from athena_core.services.proof.pages import Pages
from athena_core.services.proof.ranges import HelperProcesses, RangeProof
from athena_core.services.proof.rule import Violation
from athena_core.services.proof.rules import Rules
from athena_core.services.proof.side_tables import (
    CommandIndex,
    GuardRow,
    guard_faults,
    holds_last_spent,
    key_faults,
    meta_faults,
    payload_faults,
)
from athena_core.services.proof.witnesses import ComparedAnchors, Witness, Witnesses

PAGE_EVENTS = 1_000
VIOLATIONS_MAX = 20
HEAD_TRIES = 1_000

GUARDING: Mapping[str, Decider[Any]] = {kind: decider for decider in DECIDERS for kind in decider.guarded}
"""The decider that folds the guards of an event type."""

ANCHOR = "log.anchor"
"""The name of the anchor in the state directory, as a source."""

NO_ANCHOR = (
    "no anchor was compared, so a cut end or a completely rewritten history would not be noticed;"
    " keep anchors elsewhere with `athena anchor --to`, and compare them with `athena verify --against`"
)
NO_KEYS = "idempotency keys"
NO_LOG = "rows, guards and keys: the tables do not have the columns of a log"
NOT_LOOKED_AT = (
    "views: `athena replay --verify` compares them with the log",
    "fingerprints and answers of idempotency keys, and keys that were deleted or moved to a command without one: they"
    " are not in the chain",
    "the clock of idempotency keys (`key_clock`) and the checkpoints of followers: setting that clock ahead expires"
    " keys early, so a repeated request would run again",
    "the last uses of tokens, which are not in the chain",
    "who wrote the rows of a valid chain, and which events were never written: a log cannot prove that about itself",
)
"""What no pass checks, and why; part of every report."""


class VerifiedLog(LogReader, Protocol):
    """The log to verify: its rows and its guards."""

    def guards(self) -> list[GuardRow]:
        """Return all guard rows."""

    def schema(self) -> SchemaReport:
        """Compare the schema with the one that this release creates."""

    def inspect(self) -> Inspection:
        """Check the pages of all tables, and each index against its table."""


class VerifyNotice(Value):
    """A harmless difference that the older release ``release`` left behind; no rule is broken."""

    rule: str
    release: str
    reason: str
    position: Position | None = None


class VerifyReport(Value):
    """The result of a verification: what was checked, the first violations, and sentences on what was not checked.

    ``keys`` is absent if idempotency keys were not checked.
    """

    ok: bool
    log_id: str
    head: Position
    chain: str
    streams: int
    runs: int
    open_runs: int
    commands: int
    guards: int
    unknown_events: int
    seconds: float
    events_per_second: int
    violation_count: int
    violations: tuple[Violation, ...]
    notices: tuple[VerifyNotice, ...]
    anchors: tuple[ComparedAnchors, ...]
    not_looked_at: tuple[str, ...]
    keys: int | None = None


class VerifyProgress(Value):
    """The progress of the pass; the last one carries the ``report``."""

    position: Position
    head: Position
    seconds: float
    events_per_second: int
    report: VerifyReport | None = None


# The pass


class Verifier:
    """One verification pass over a log."""

    def __init__(
        self, log: VerifiedLog, codec: Codec, helpers: HelperProcesses | None = None, witnesses: Witnesses | None = None
    ) -> None:
        """Read the head and the guards at one moment. ``helpers`` prove the chain in other processes."""
        self.position: Position = 0
        self.violations: list[Violation] = []
        self.violation_count = 0
        self.notices: list[VerifyNotice] = []
        schema = log.schema()
        self._readable = schema.readable
        for stray in schema.strays:
            self.note("schema", f"the log holds {stray}")
        try:
            self.head, self._stored_guards = _head_and_guards(log) if schema.readable else (0, [])
        except Overloaded:
            raise
        except Exception as error:  # missing columns, bytes that are not JSON, or any error of a damaged database
            self.head, self._stored_guards = 0, []
            self.note("guards", f"the guard rows cannot be read: {error}")
            with suppress(Exception):  # the check of the pages reports it
                self.head = log.head()
        self._ranges = helpers.start(log, self.head) if helpers is not None else None
        self._pages = Pages(log, self.head, PAGE_EVENTS)
        self._seen = 0
        self._log = log
        self._codec = codec
        self._chain: bytes | None = chain.GENESIS
        self._witnesses = witnesses or Witnesses()
        self._rules = Rules()
        self._commands = CommandIndex()
        self._guards = Guards()
        self._kinds = {kind for kind, _, _ in self._stored_guards}
        self._unknown = 0
        self._keys: int | None = None
        self._unchecked = ""

    def note(self, rule: str, reason: str, position: Position | None = None) -> None:
        """Count a violation, and keep it if there are few."""
        self._add(Violation(rule=rule, reason=reason, position=position))

    def _add(self, violation: Violation) -> None:
        self.violation_count += 1
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(violation)

    def page(self) -> bool:
        """Check the next page. Return False if there was none."""
        if not self._readable:
            return False
        rows = self._pages.after(self.position)
        if isinstance(rows, Violation):
            self.position, self._chain = self.position + 1, None  # unreadable: the next row has no predecessor
            self._add(rows)
            return True
        wanted = self._witnesses.wanted
        for row in rows:
            self._look(row)
            if row.position in wanted:
                self._witnesses.see(row)
        return bool(rows)

    def _read(self, after: Position, limit: int) -> list[Row]:
        """Return rows again, or rows behind the head; none if they cannot be read, which the pass reports elsewhere."""
        try:
            return self._log.rows(after, limit)
        except Exception:  # any error of a damaged database
            return []

    def _look(self, row: Row) -> None:
        self._seen += 1
        broken = chain.flaw(row, self.position, self._chain) if self._ranges is None else None
        if broken is not None:
            self.note("chain", broken.reason, broken.position)
        if (broken is not None or self._ranges is not None) and not chain.whole(row):
            self.position += 1  # nothing else of it can be checked
            return
        self.position, self._chain = row.position, row.chain
        recorded = self._decoded(row)
        for name, reason in self._rules.look(row, Unknown(type=row.type) if recorded is None else recorded.event):
            self.note(name, reason, row.position)
        self._commands.see(row)
        if recorded is not None and row.type in GUARDING:
            self._fold(recorded)
        if recorded is not None and isinstance(recorded.event, plane.LogForked):
            self._witnesses.fork(row, recorded.event.head)

    def _decoded(self, row: Row) -> Recorded[Any] | None:
        """Return the event in its envelope, None if it is damaged."""
        try:
            recorded = self._codec.decode(row)
        except (ValueError, KeyError) as error:
            self.note("decodable", str(error).removeprefix(f"position {row.position}, "), row.position)
            return None
        if isinstance(recorded.event, Unknown):
            self._unknown += 1
            for reason in payload_faults(row):
                self.note("decodable", reason, row.position)
        return recorded

    def _fold(self, recorded: Recorded[Any]) -> None:
        """Apply the guards of an event."""
        decider = GUARDING[recorded.type]
        if category(recorded.stream) == decider.category:
            for guard in decider.guards(recorded):
                self._kinds.add(guard.kind)
                self._guards.apply(guard)

    def finish(self, meta: Mapping[str, str], keys: Iterable[StoredKey] | None) -> None:
        """Check everything beside the rows, and add the findings of the helpers."""
        if not self._readable:
            return
        inspection = self._log.inspect()
        self._unchecked = inspection.unchecked
        for fault in inspection.faults:
            self.note("pages", str(fault))
        if self._ranges is not None:
            self._take_in(list(self._ranges.proven()))
        for position in self._commands.torn():
            self.note("commands", "the events of a command are interrupted by another command", position)
        self._look_for_later_erasures()
        for rules in self._rules.rule_sets:
            for violation in rules.finish():
                self._add(violation)
        for reason in guard_faults(self._stored_guards, self._guards, self._kinds):
            self.note("guards", reason)
        if holds_last_spent(self._stored_guards):
            reason = "the spending of the last day is in a row of release 0.1.0; the next start of a server moves it"
            self.notices.append(VerifyNotice(rule="guards", release="0.1.0", reason=reason))
        for reason in meta_faults(meta):
            self.note("meta", reason)
        for violation in self._witnesses.contradictions(self._log.log_id, self.head):
            self._add(violation)
        if keys is not None:
            self._keys = 0
            try:
                for reason in key_faults(self._counted(keys), self._commands, self.head, self._log, self._read):
                    self.note("keys", reason)
            except Exception as error:  # missing columns, or any error of a damaged database
                self.note("keys", f"the keys cannot be read: {error}")

    def _take_in(self, parts: list[RangeProof]) -> None:
        """Add the findings of the ranges, in the order of the log. Raise InternalError if a range was not proven."""
        known = self.violations
        noted = {violation.position for violation in known if violation.rule == "readable"}
        flaws = [flaw for part in parts for flaw in part.flaws if flaw.rule == "chain" or flaw.position not in noted]
        self.violation_count += len(flaws) + sum(part.flaw_count - len(part.flaws) for part in parts)
        self.violations = sorted((*flaws, *known), key=lambda one: one.position or 0)[:VIOLATIONS_MAX]
        ours = self._seen, "" if self._chain is None else self._chain.hex()
        if not self.violation_count and (sum(part.rows for part in parts), parts[-1].chain) != ours:
            self.note("chain", "the rows changed while they were verified")

    def close(self) -> None:
        if self._ranges is not None:
            self._ranges.close()

    def _look_for_later_erasures(self) -> None:
        """Add erasures that were recorded behind the head after the pass began: their texts are already gone."""
        missing, position = self._rules.erasure.missing, self.head
        while missing and self.position == self.head and (rows := self._read(position, PAGE_EVENTS)):
            for row in rows:
                with suppress(ValueError, KeyError):  # damaged; the next pass reports it
                    event = self._codec.decode(row).event if row.type == plane.PayloadRedacted.TYPE else None
                    if isinstance(event, plane.PayloadRedacted):
                        self._rules.erasure.erase(row, event)
            position = rows[-1].position

    def _counted(self, keys: Iterable[StoredKey]) -> Iterator[StoredKey]:
        for key in keys:
            self._keys = (self._keys or 0) + 1
            yield key

    def report(self, seconds: float) -> VerifyReport:
        """Return the report of the pass."""
        rules, log_id = self._rules, self._log.log_id
        anchors = self._witnesses.compared(log_id) if self._readable else ()
        return VerifyReport(
            ok=not self.violation_count,
            log_id=log_id,
            head=self.position,
            chain="" if self._chain is None else self._chain.hex(),
            streams=len(rules.log.versions),
            runs=rules.runs.count,
            open_runs=len(rules.runs.open),
            commands=len(self._commands.starts),
            guards=len(self._stored_guards),
            unknown_events=self._unknown,
            seconds=round(seconds, 3),
            events_per_second=_rate(self.position, seconds),
            violation_count=self.violation_count,
            violations=tuple(self.violations),
            notices=tuple(self.notices),
            anchors=anchors,
            not_looked_at=(
                *(() if self._readable else (NO_LOG,)),
                *(() if any(one.position or not self.head for one in anchors) else (NO_ANCHOR,)),
                *((NO_KEYS,) if self._keys is None else ()),
                *((f"pages and indexes of the database: {self._unchecked}",) if self._unchecked else ()),
                *NOT_LOOKED_AT,
            ),
            keys=self._keys,
        )


def verify(
    log: VerifiedLog,
    codec: Codec,
    clock: Clock,
    *,
    meta: Mapping[str, str],
    anchor: Anchor | None = None,
    against: Witnesses | None = None,
    keys: Iterable[StoredKey] | None = None,
    helpers: HelperProcesses | None = None,
) -> Iterator[VerifyProgress]:
    """Verify a log up to its current head, page by page; the last progress carries the report.

    ``meta`` and ``anchor`` are read before the rows, ``keys`` after them. ``against`` are anchors that were kept
    elsewhere. With ``helpers``, other processes prove the chain of a long log. Raise InternalError if one of them ends
    without an answer.
    """
    began = clock.monotonic()
    witnesses = against or Witnesses()
    if anchor is not None:
        witnesses.add(Witness(ANCHOR, 0, anchor))
    verifier = Verifier(log, codec, helpers, witnesses)
    try:
        while verifier.page():
            seconds = clock.monotonic() - began
            yield VerifyProgress(
                position=verifier.position,
                head=verifier.head,
                seconds=round(seconds, 3),
                events_per_second=_rate(verifier.position, seconds),
            )
        verifier.finish(meta, keys)
    finally:
        verifier.close()
    report = verifier.report(clock.monotonic() - began)
    yield VerifyProgress(
        position=verifier.position,
        head=verifier.head,
        seconds=report.seconds,
        events_per_second=report.events_per_second,
        report=report,
    )


def _head_and_guards(log: VerifiedLog) -> tuple[Position, list[GuardRow]]:
    """Return the head and the guards of one moment, with no commit in between."""
    for _ in range(HEAD_TRIES):
        head = log.head()
        guards = log.guards()
        if not all(type(kind) is str and type(key) is str for kind, key, _ in guards):
            raise ValueError("a column is missing")
        if log.head() == head:
            return head, guards
    raise Overloaded("the log is written to continuously; try again")


def _rate(events: int, seconds: float) -> int:
    return round(events / seconds) if seconds > 0 else 0
