"""Incidents: a bundle of the events between two moments, with what was read about them, in one file.

After the line ``end`` of the bundle (``bundle``) follow four lines ``{"part", "value"}``: the difference between the
two moments, the records that were open at both, the policy at both, and the explanations of the runs that failed
between them. The last line is ``{"sha256"}``, the hash of all lines before it.

The chain proves the events. The parts are derived from the whole log, so each is compared with the events in the file,
and the facts that no event in the file shows are counted as claims of the exporter.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import msgspec
from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.domain.policy import PolicyUpdated
from athena_core.domain.run import (
    STATUS_OF_ENDING,
    RunAnswered,
    RunAsked,
    RunCrashed,
    RunFailed,
    RunTimedOut,
)
from athena_core.enums import RunAskKind
from athena_core.errors import AthenaError
from athena_core.event import MARK_BYTES, Event, Position, Recorded, Value
from athena_core.log.anchor import Anchor
from athena_core.log.chain import ChainBroken
from athena_core.log.codec import decided_or
from athena_core.protocols import Row
from athena_core.services.proof.bundle import BundleHead, BundleProof, BundleScope, DerivedPart, Hash, head_of, prove
from athena_core.services.proof.explain import QUOTED, EventIdOf
from athena_core.text import escape_json

PartName: TypeAlias = Literal["diff", "open", "policy", "explanations"]
PARTS: tuple[PartName, ...] = get_args(PartName)
"""The parts of an incident, in their order."""

EXPLAINED_RUNS_MAX = 100
"""How many failed runs are explained: the first ones. The others are counted."""
OPEN_RECORDS_MAX = 10_000
"""How many open records of each kind are listed at a moment. A kind with more is named as cut."""

FAILURES = (RunFailed.TYPE, RunTimedOut.TYPE, RunCrashed.TYPE)
FOLLOWED_KINDS = ("run", "workflow-run", "message", "dead-letter", "review")
"""The kinds of open records whose end and beginning the diff names, so that the second list follows from the first."""
CLAIMS: Mapping[str, str] = {
    "diff": "The diff claims that records which can begin again were not there at the first moment.",
    "open": "What was open at the first moment is claimed, and the status and time of each open record.",
    "policy": "The policy at the first moment is claimed, because no event of the file replaced it.",
    "explanations": "The sentences of the explanations are claimed, and causes before the first moment.",
}
"""The notices about facts that only the exporter vouches for."""
TRUNCATED = "the bundle is truncated: its last line is missing; copy or export it again"

RUN_ASKS = frozenset(get_args(RunAskKind))
"""The kinds of asks that runs have. The approval of a workflow is an open record of its own kind."""


class IncidentEvent(Value, forbid_unknown_fields=True):
    """An event that a diff names."""

    id: str
    type: str
    created_at: str
    trace_id: str
    actor: str | None = None


class IncidentRecord(Value, forbid_unknown_fields=True):
    """A record of a diff."""

    kind: str
    id: str
    events: int
    last: IncidentEvent
    appeared: IncidentEvent | None = None
    ended: IncidentEvent | None = None

    def changes(self) -> Iterator[str]:
        """Yield what happened to it."""
        if self.appeared is not None:
            yield "appeared"
        if self.ended is not None:
            yield "ended"
        if self.appeared is None and self.ended is None:
            yield "changed"


class IncidentCount(Value, forbid_unknown_fields=True):
    """The numbers of records of a kind in a diff."""

    kind: str
    appeared: int
    ended: int
    changed: int


class IncidentEnd(Value, forbid_unknown_fields=True):
    """A moment of a diff."""

    position: Position
    id: str | None = None
    created_at: str | None = None


class IncidentDiff(Value, forbid_unknown_fields=True):
    """The difference between the two moments, as ``GET /diff`` gives it on one page."""

    from_: IncidentEnd = msgspec.field(name="from")
    to: IncidentEnd
    counts: tuple[IncidentCount, ...]
    items: tuple[IncidentRecord, ...]


class OpenRecord(Value, forbid_unknown_fields=True):
    """A record that had not ended at a moment. It holds no text."""

    kind: str
    id: str
    status: str | None = None
    since: str | None = None
    session_id: str | None = None


class OpenRecords(Value, forbid_unknown_fields=True):
    """The records that were open at the two moments. Of the kinds in ``cut`` only the first are listed."""

    from_: tuple[OpenRecord, ...] = msgspec.field(name="from")
    to: tuple[OpenRecord, ...]
    kinds: tuple[str, ...]
    """The kinds that were read: those that the caller may list."""
    cut: tuple[str, ...]


class PoliciesInForce(Value, forbid_unknown_fields=True):
    """The policy in force at the two moments; null if there was none."""

    from_: dict[str, Any] | None = msgspec.field(name="from")
    to: dict[str, Any] | None


class ExplainedCause(Value):
    """The members of a cause that are compared with its event."""

    event_id: str
    type: str
    at: str
    actor: str
    trace_id: str


class ExplainedRun(Value):
    """The members of an explanation that are compared with events."""

    run_id: str
    status: str
    causes: tuple[ExplainedCause, ...]


class Explanations(Value, forbid_unknown_fields=True):
    """The explanations of runs that failed, in the order of their ends. ``omitted`` counts the runs without one."""

    items: tuple[ExplainedRun, ...]
    omitted: int


class PartLine(Value, forbid_unknown_fields=True):
    """A line with a part of an incident."""

    part: PartName
    value: msgspec.Raw


class DigestLine(Value, forbid_unknown_fields=True):
    """The last line of an incident."""

    sha256: Hash


def incident_lines(bundle: Iterable[bytes], parts: Mapping[PartName, object]) -> Iterator[bytes]:
    """Yield the lines of an incident: its bundle, its parts and the hash."""
    digest = hashlib.sha256()
    for line in bundle:
        digest.update(line)
        yield line
    for name in PARTS:
        line = escape_json(msgspec.json.encode({"part": name, "value": parts[name]})) + b"\n"
        digest.update(line)
        yield line
    yield msgspec.json.encode({"sha256": digest.hexdigest()}) + b"\n"


def without_quotes(explanation: dict[str, Any]) -> dict[str, Any]:
    """Return an explanation without the sentences and the request that quote erasable text."""
    causes = [
        {name: value for name, value in cause.items() if name != "says" or cause["type"] not in QUOTED}
        for cause in explanation["causes"]
    ]
    return {name: value for name, value in explanation.items() if name != "request"} | {"causes": causes}


class SliceEvent(NamedTuple):
    """The columns of a proven event that parts are compared with."""

    position: Position
    stream: str
    version: int
    type: str
    recorded_at: int
    at: int
    trace_id: str
    actor: str


class EventNames(NamedTuple):
    """The ids of events: how a position and a mark are written, and how the position is read again."""

    named: EventIdOf
    position_of: Callable[[str], Position]
    """Return the position in an id. Raise ValueError or AthenaError."""


def prove_incident(
    lines: Iterable[bytes],
    names: Callable[[str], EventNames],
    decode: Callable[[Row], Recorded[Event]],
    anchors: Iterable[Anchor] = (),
) -> BundleProof:
    """Prove an incident: its bundle as ``prove`` does, then its hash, and each part by the events. Raise ChainBroken.

    ``names`` gives the ids of the events of a log.
    """
    source = iter(lines)
    first = next(source, b"")
    head = head_of(first)
    check = PartsCheck(head, names(head.log_id), decode)
    digest = hashlib.sha256()

    def bundle() -> Iterator[bytes]:
        line = first
        while line:
            digest.update(line)
            yield line
            line = b"" if line.startswith(b'{"end":') else next(source, b"")

    proof = prove(bundle(), check.note, anchors)
    values: list[tuple[PartName, bytes]] = []
    for name in PARTS:
        line = next(source, b"")
        if not line:
            raise ChainBroken(proof.last, TRUNCATED)
        digest.update(line)
        values.append((name, line))
    last = next(source, b"")
    if not last or next(source, None) is not None:
        raise ChainBroken(proof.last, TRUNCATED if not last else "there are lines after the last one; copy it again")
    if _decoded(last, DigestLine, proof.last).sha256 != digest.hexdigest():
        raise ChainBroken(proof.last, "the lines do not have the hash in the last one: the file was damaged or changed")
    derived = tuple(check.part(name, line) for name, line in values)
    claims = tuple(
        CLAIMS[part.name] for part in derived if part.claimed or part.name == "explanations" and part.checked
    )
    return replace(proof, derived=derived, notices=(*proof.notices, *claims))


def _decoded(line: bytes, kind: Any, position: Position) -> Any:
    """Return a line as a value. Raise ChainBroken."""
    try:
        return msgspec.json.decode(line, type=kind)
    except (ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise ChainBroken(position, f"a line after the events cannot be read: {error}") from error
    except RecursionError:
        raise ChainBroken(position, "a line after the events is nested too deeply") from None


class PartsCheck:
    """The comparison of the parts of an incident with its events."""

    def __init__(self, head: BundleHead, names: EventNames, decode: Callable[[Row], Recorded[Event]]) -> None:
        self._scope: BundleScope = head.scope
        self._after, self._to = head.after, head.scope.to or 0
        self._names, self._decode = names, decode
        self._events: dict[str, SliceEvent] = {}
        self._by_stream: dict[str, list[str]] = {}
        self._ended: set[str] = set()
        self._asked: dict[str, bool] = {}
        """The asks of runs that were asked or answered last, and whether they are open."""
        self._policies: list[PolicyUpdated] = []
        self._diff = IncidentDiff(from_=IncidentEnd(position=0), to=IncidentEnd(position=0), counts=(), items=())

    def note(self, row: Row) -> None:
        name = self._names.named(row.position, row.chain[:MARK_BYTES])
        at = decided_or(row.recorded_at, row.extra)
        self._events[name] = SliceEvent(
            row.position, row.stream, row.version, row.type, row.recorded_at, at, row.correlation, row.actor
        )
        self._by_stream.setdefault(row.stream, []).append(name)
        if row.type in STATUS_OF_ENDING:
            self._ended.add(row.stream)
        if row.type in {RunAsked.TYPE, RunAnswered.TYPE, PolicyUpdated.TYPE}:
            match self._decode(row).event:
                case RunAsked(ask_id=ask):
                    self._asked[ask] = True
                case RunAnswered(ask_id=ask):
                    self._asked[ask] = False
                case PolicyUpdated() as updated:
                    self._policies.append(updated)

    def part(self, name: PartName, line: bytes) -> DerivedPart:
        """Return how far a part is proven. Raise ChainBroken."""
        part = _decoded(line, PartLine, self._to)
        if part.part != name:
            raise ChainBroken(self._to, f"expected the part {name}, not {part.part}")
        match name:
            case "diff":
                return self._check_diff(_decoded(part.value, IncidentDiff, self._to))
            case "open":
                return self._check_open(_decoded(part.value, OpenRecords, self._to))
            case "policy":
                return self._check_policies(_decoded(part.value, PoliciesInForce, self._to))
            case "explanations":
                return self._check_explanations(_decoded(part.value, Explanations, self._to))

    def _refuse(self, part: PartName, reason: str, position: Position | None = None) -> ChainBroken:
        return ChainBroken(
            self._to if position is None else position, f"the part {part} does not fit the events: {reason}"
        )

    # The diff

    def _check_diff(self, diff: IncidentDiff) -> DerivedPart:
        """Compare every record with the events of its stream: there is one for each, and it has no others."""
        if (diff.from_.position, diff.to.position) != (self._after, self._to):
            raise self._refuse("diff", "it is about other moments")
        named = self._check_end(diff.to) if self._scope.whole else 0
        left = dict(self._by_stream)
        claimed = 0
        for record in diff.items:
            last = self._event("diff", record.last)
            names = left.pop(last.stream, [])
            if not names or record.events != len(names) or record.last.id != names[-1]:
                raise self._refuse("diff", f"{record.id} has other events", last.position)
            if record.id not in {last.stream, last.stream.partition(":")[2]}:
                raise self._refuse("diff", f"the events belong to another record than {record.id}", last.position)
            for event in (record.appeared, record.ended):
                if event is not None and self._event("diff", event).stream != last.stream:
                    raise self._refuse("diff", f"the events belong to another record than {record.id}", last.position)
            if record.kind == "run" and (record.ended is None) == (last.stream in self._ended):
                raise self._refuse("diff", f"the end of {record.id} is not the one that was recorded", last.position)
            begun = self._events[names[0]].version == 1
            claimed += not begun and record.appeared is not None
            named += 1 + record.events
        if left:
            stream, names = next(iter(left.items()))
            raise self._refuse("diff", f"it does not name {stream}", self._events[names[0]].position)
        self._check_counts(diff)
        self._diff = diff
        return DerivedPart(name="diff", checked=named, claimed=claimed)

    def _check_end(self, moment: IncidentEnd) -> int:
        """Compare the second moment with its event; the first one lies before the slice."""
        event = self._events.get(moment.id or "")
        if event is None or (event.position, iso(event.recorded_at)) != (moment.position, moment.created_at):
            raise self._refuse("diff", "its second moment is not the event of this position")
        return 1

    def _check_counts(self, diff: IncidentDiff) -> None:
        counted: dict[str, dict[str, int]] = {}
        for record in diff.items:
            counts = counted.setdefault(record.kind, {"appeared": 0, "ended": 0, "changed": 0})
            for change in record.changes():
                counts[change] += 1
        listed = {
            one.kind: {"appeared": one.appeared, "ended": one.ended, "changed": one.changed} for one in diff.counts
        }
        if listed != counted or len(listed) != len(diff.counts):
            raise self._refuse("diff", "its counts are not the numbers of its records")

    def _event(self, part: PartName, named: IncidentEvent) -> SliceEvent:
        """Return the event that a diff names. Raise ChainBroken if another one was recorded."""
        event = self._events.get(named.id)
        if event is None:
            raise self._refuse(part, f"{named.id[:40]!r} is not an event of the file")
        recorded = (event.type, iso(event.recorded_at), event.trace_id)
        if recorded != (named.type, named.created_at, named.trace_id) or named.actor not in {None, event.actor}:
            raise self._refuse(part, f"the event {named.id} was recorded otherwise", event.position)
        return event

    # Open records

    def _check_open(self, part: OpenRecords) -> DerivedPart:
        """Compare the records that were open at the end with those at the beginning and the events between."""
        before, after = _by_kind(part.from_), _by_kind(part.to)
        checked = claimed = 0
        for kind in dict.fromkeys((*part.kinds, *before, *after)):
            if kind not in part.kinds:
                raise self._refuse("open", f"it lists the kind {kind}, which was not read")
            first, second = before.get(kind, set()), after.get(kind, set())
            changes = self._turns(kind)
            if changes is None or kind in part.cut:
                claimed += len(first) + len(second)
                continue
            expected = first - changes.keys() | {one for one, is_open in changes.items() if is_open}
            if expected != second:
                wrong = sorted(expected ^ second)[0]
                raise self._refuse("open", f"{kind} {wrong[:80]} {'was' if wrong in expected else 'was not'} open")
            checked += len(second)
            claimed += len(first)
        return DerivedPart(name="open", checked=checked, claimed=claimed)

    def _turns(self, kind: str) -> dict[str, bool] | None:
        """Return the records of a kind that changed, and whether they are open then; None if events do not show it."""
        if kind == "ask":
            return self._asked
        if kind not in FOLLOWED_KINDS:
            return None
        changed = [one for one in self._diff.items if one.kind == kind and (one.appeared or one.ended)]
        return {one.id: one.ended is None for one in changed}

    # Policies

    def _check_policies(self, part: PoliciesInForce) -> DerivedPart:
        """Compare both policies with the changes between; without one they are the same policy."""
        if not self._scope.whole:
            return DerivedPart(name="policy", checked=0, claimed=2)
        if not self._policies:
            if part.from_ != part.to:
                raise self._refuse("policy", "it differs at the two moments, but no event replaced it")
            return DerivedPart(name="policy", checked=1, claimed=1)
        first, last = self._policies[0], self._policies[-1]
        before = None if part.from_ is None else {name: part.from_[name] for name in part.from_ if name != "updatedAt"}
        if before != msgspec.to_builtins(first.before):
            raise self._refuse("policy", "the one at the first moment is not the one that was replaced first")
        if part.to != msgspec.to_builtins(last.after) | {"updatedAt": last.updated_at}:
            raise self._refuse("policy", "the one at the second moment is not the last that was put in force")
        return DerivedPart(name="policy", checked=2, claimed=0)

    # Explanations

    def _check_explanations(self, part: Explanations) -> DerivedPart:
        """Compare the causes with the events. All runs that failed are explained, or counted."""
        failed = [event.stream for event in self._events.values() if event.type in FAILURES]
        explained = [one.run_id for one in part.items]
        if explained != failed[: len(explained)] or len(explained) + part.omitted != len(failed):
            raise self._refuse("explanations", "they are not about the runs that failed")
        checked = claimed = 0
        for run in part.items:
            for cause in run.causes:
                known = self._check_cause(run, cause)
                checked, claimed = checked + known, claimed + (not known)
        return DerivedPart(name="explanations", checked=checked, claimed=claimed)

    def _check_cause(self, run: ExplainedRun, cause: ExplainedCause) -> bool:
        """Return True if a cause is an event of the file, False if it lies before the slice. Raise ChainBroken."""
        event = self._events.get(cause.event_id)
        if event is None:
            try:
                position = self._names.position_of(cause.event_id)
            except (AthenaError, ValueError) as error:
                raise self._refuse("explanations", f"{cause.event_id[:40]!r} is not an event id") from error
            if position > self._after:
                raise self._refuse("explanations", f"{cause.event_id} is not an event of the file", position)
            return False
        recorded = (event.stream, event.type, iso(event.at), event.actor, event.trace_id)
        if recorded != (run.run_id, cause.type, cause.at, cause.actor, cause.trace_id):
            raise self._refuse("explanations", f"the event {cause.event_id} was recorded otherwise", event.position)
        return True


def _by_kind(records: Iterable[OpenRecord]) -> dict[str, set[str]]:
    """Return the ids of open records by kind."""
    found: dict[str, set[str]] = {}
    for one in records:
        found.setdefault(one.kind, set()).add(one.id)
    return found
