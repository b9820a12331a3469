"""Bundles: a slice of the log as one file that can be proven on another machine.

The file is JSON, line by line. The first line is ``{"bundle": 2, "logId", "scope", "redacted", "after", "chain",
"head", "complete"}``. It names the position before the slice with its chain value, the last position, and whether the
slice holds a whole run. The number is 3 if the scope is an interval, whose file goes on after ``end`` (``incident``).

The events follow by position. An event of the scope is ``{"row": {…}}``, with all columns (``data`` and ``text`` as
stored). Events outside of the scope are ``{"leaves": ["…", …]}``: the hash that each adds to the chain, in hex. The
last line is ``{"end": …, "chain": …}``. Bundles of release 0.1 have the number 1 and no ``complete``.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec

from athena_core.errors import ConfigError
from athena_core.event import Position, Value
from athena_core.log.anchor import Anchor
from athena_core.log.chain import GENESIS, LEAF_COLUMNS, ChainBroken, flaw, leaf, whole
from athena_core.log.port import StoreReader
from athena_core.protocols import Row
from athena_core.services.proof.rules.run import TRANSITIONS
from athena_core.text import escape_json

FORMAT = 3
SLICE = 2
"""The format of a bundle without an interval."""
OLDEST = 1
PAGE_EVENTS = 1_000
LINE_BYTES_MAX = 128 << 20
"""The longest line of a bundle, in bytes."""

BYTES = ("data", "extra", "text")
HEX = ("data_hash", "text_hash", "chain")

Integer = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class BundleScope(Value, forbid_unknown_fields=True):
    """The scope of a bundle: one run, one session, everything after a position, or the interval up to another one.

    An interval may be narrowed to the events of some sessions, of some runs, or of both, as the feed of a caller is.
    """

    run_id: str | None = None
    session_id: str | None = None
    after: Integer | None = None
    to: Integer | None = None
    sessions: tuple[str, ...] | None = None
    runs: tuple[str, ...] | None = None

    def holds(self, row: Row) -> bool:
        """Return True if the event belongs to the scope."""
        if self.run_id is not None:
            return self.run_id in {row.run_id, row.stream}
        if self.session_id is not None:
            return row.session_id == self.session_id
        return (
            (self.after or 0) < row.position
            and (self.to is None or row.position <= self.to)
            and (self.sessions is None or row.session_id in self.sessions)
            and (self.runs is None or row.run_id in self.runs)
        )

    @property
    def whole(self) -> bool:
        """Return True if every event between its ends belongs to the scope."""
        return all(names is None for names in (self.run_id, self.session_id, self.sessions, self.runs))


class BundleHead(Value, forbid_unknown_fields=True):
    """The first line of a bundle."""

    bundle: int
    log_id: str
    scope: BundleScope
    redacted: bool
    after: Integer
    chain: Hash
    head: Integer
    complete: bool | None = None


class BundleRow(Value, rename=None, forbid_unknown_fields=True):
    """The columns of an event in a bundle."""

    position: Integer
    stream: str
    version: Integer
    type: str
    schema_version: Integer
    recorded_at: Integer
    command_id: str
    correlation: str
    causation: Integer | None
    actor: str
    session_id: str | None
    run_id: str | None
    data: str
    extra: str | None
    data_hash: Hash
    text_hash: Hash | None
    chain: Hash
    text: str | None

    def row(self) -> Row:
        """Return the original row. Raise ValueError for text that is not Unicode."""
        cells: dict[str, Any] = {name: getattr(self, name) for name in Row._fields}
        cells |= {name: cells[name].encode() for name in BYTES if cells[name] is not None}
        cells |= {name: bytes.fromhex(cells[name]) for name in HEX if cells[name] is not None}
        return Row(**cells)


class BundleLine(Value, forbid_unknown_fields=True):
    """A later line of a bundle: an event, the leaves of other events, or the end with its chain value."""

    row: BundleRow | None = None
    leaves: Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=PAGE_EVENTS)] | None = None
    end: Integer | None = None
    chain: Hash | None = None


class DerivedPart(Value):
    """A part of an incident that was derived from the log, and not only from the events in the file.

    ``checked`` counts the facts that agree with the proven events, ``claimed`` the
    others, which no event of the file shows.
    """

    name: str
    checked: int
    claimed: int


class BundleProof(Value):
    """The proof of a bundle: ``events`` are in it, ``skipped`` only add their hash to the chain.

    If ``complete``, no event of its run or its interval is missing. ``notices`` name the gaps of the proof.
    ``derived`` are the parts of an incident that are no events.
    """

    ok: bool
    log_id: str
    scope: BundleScope
    redacted: bool
    first: Position
    last: Position
    chain: str
    events: int
    skipped: int
    without_text: int
    complete: bool
    compared: tuple[Position, ...]
    """The positions of the kept anchors inside the bundle."""
    notices: tuple[str, ...]
    derived: tuple[DerivedPart, ...] | None = None


class LineSource(Protocol):
    """A file of lines."""

    def readline(self, limit: int, /) -> bytes:
        """Return the next line, or its beginning up to the limit."""


def read_lines(file: LineSource) -> Iterator[bytes]:
    """Yield the lines of a bundle. Raise ChainBroken for a line that is too long."""
    number = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > LINE_BYTES_MAX:
            raise ChainBroken(0, f"line {number} is longer than {LINE_BYTES_MAX} bytes")
        yield line


class BundleExtent(NamedTuple):
    """The first and last position of a slice, and whether it holds a run from its first event to its end."""

    first: Position
    last: Position
    complete: bool


def export(log: StoreReader, scope: BundleScope, *, redact: bool, to: Position | None = None) -> Iterator[bytes]:
    """Yield the lines of a bundle, from the first event of a scope to its last, or to a position.

    With ``redact``, texts are left out. A scope without events gives a bundle with only a head and an end. Raise
    ConfigError for a position beyond the log or before the scope, and ChainBroken for a row that a bundle cannot hold.
    """
    first, last, complete = _extent(log, scope, to) if scope.to is None else _interval(log, scope.to, scope, to)
    before = log.row(first - 1) if first > 1 else None
    chain = GENESIS if before is None else before.chain
    yield _line(
        BundleHead(
            bundle=SLICE if scope.to is None else FORMAT,
            log_id=log.log_id,
            scope=scope,
            redacted=redact,
            after=max(first - 1, 0),
            chain=chain.hex(),
            head=last,
            complete=complete,
        )
    )
    skipped: list[str] = []
    for row in _rows(log, first - 1, last):
        if scope.holds(row):
            if skipped:
                yield _line({"leaves": skipped})
                skipped = []
            yield _line({"row": _columns(row, redact=redact)}, row.position)
        else:
            skipped.append(leaf(row[:LEAF_COLUMNS]).hex())
            if len(skipped) == PAGE_EVENTS:
                yield _line({"leaves": skipped})
                skipped = []
        chain = row.chain
    if skipped:
        yield _line({"leaves": skipped})
    yield _line({"end": last, "chain": chain.hex()})


def _extent(log: StoreReader, scope: BundleScope, to: Position | None) -> BundleExtent:
    """Return the extent of a slice; (1, 0) if the scope has no events."""
    head = log.head()
    if to is not None and to > head:
        raise ConfigError(f"--to: the log ends at position {head}")
    first, last, run_events = 0, 0, RunCompleteness(scope)
    for row in _rows(log, scope.after or 0, head if to is None else to):
        if scope.holds(row):
            first, last = first or row.position, row.position
            run_events.add(row)
    if to is not None and not first:
        raise ConfigError(f"--to: the scope has no events up to position {to}; give a later position")
    return BundleExtent(first or 1, last if to is None else to, run_events.complete)


def _interval(log: StoreReader, end: Position, scope: BundleScope, to: Position | None) -> BundleExtent:
    """Return the extent of an interval, with the events after it up to ``to``."""
    last = end if to is None else to
    if last > (head := log.head()):
        raise ConfigError(f"--to: the log ends at position {head}")
    if last < end:
        raise ConfigError(f"--to: position {to} lies before the end of the interval, {end}; give a later position")
    return BundleExtent((scope.after or 0) + 1, last, scope.whole)


class RunCompleteness:
    """The stream of a run in a bundle, checked event by event; a bundle of another scope is never complete."""

    def __init__(self, scope: BundleScope) -> None:
        self._stream = scope.run_id
        self.version = 0
        self.status = "new"

    def add(self, row: Row) -> bool:
        """Add an event. Return False if one is missing before it."""
        if row.stream != self._stream:
            return True
        self.version += 1
        self.status = TRANSITIONS.get((self.status, row.type), self.status)
        return row.version == self.version

    @property
    def complete(self) -> bool:
        """Return True if the run began and ended."""
        return self.status == "ended"


def _rows(log: StoreReader, after: Position, until: Position) -> Iterator[Row]:
    while after < until:
        rows = log.rows(after, PAGE_EVENTS, until)
        for row in rows:
            if row.position != after + 1:
                break
            if not whole(row):
                raise ChainBroken(row.position, "a column is missing or has the wrong type")
            after = row.position
            yield row
        else:
            if rows:
                continue
        raise ChainBroken(after + 1, "the row is missing from the log")


def _columns(row: Row, *, redact: bool) -> dict[str, Any]:
    columns: dict[str, Any] = row._asdict()
    if redact:
        columns["text"] = None
    try:
        columns |= {name: columns[name].decode() for name in BYTES if columns[name] is not None}
    except UnicodeDecodeError as error:
        raise ChainBroken(row.position, "the payload or the text is not UTF-8") from error
    return columns | {name: columns[name].hex() for name in HEX if columns[name] is not None}


def prove(
    lines: Iterable[bytes], note: Callable[[Row], None] = lambda row: None, anchors: Iterable[Anchor] = ()
) -> BundleProof:
    """Prove a bundle by its own lines: every hash, the chain, and no missing position. Raise ChainBroken.

    ``note`` is called with every event. Without ``anchors`` the first and last chain values are not compared with a
    trusted log. With anchors, at least one must lie inside the bundle, and each that does must have its chain value.
    """
    source = iter(lines)
    bundle = _Reading(head_of(next(source, b"")), anchors)
    for line in source:
        try:
            part = msgspec.json.decode(line, type=BundleLine)
            ended = bundle.take(part, note)
        except (ValueError, OverflowError, msgspec.MsgspecError) as error:
            raise ChainBroken(bundle.position + 1, f"the line cannot be read: {error}") from error
        except RecursionError:
            raise ChainBroken(bundle.position + 1, "the line is nested too deeply") from None
        if ended:
            break
    else:
        raise ChainBroken(bundle.position, "the bundle is truncated: its last line is missing; copy or export it again")
    if next(source, None) is not None:
        raise ChainBroken(bundle.position, "there are lines after the last one; copy or export the bundle again")
    return bundle.proof()


def head_of(line: bytes) -> BundleHead:
    """Return the first line of a bundle. Raise ChainBroken."""
    try:
        head = msgspec.json.decode(line, type=BundleHead)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ChainBroken(0, f"the first line does not begin a bundle: {error}") from error
    except RecursionError:
        raise ChainBroken(0, "the first line is nested too deeply") from None
    if not OLDEST <= head.bundle <= FORMAT:
        raise ChainBroken(0, f"the bundle has format {head.bundle}; this release reads {OLDEST} to {FORMAT}")
    scope = head.scope
    if (head.complete is None) != (head.bundle == OLDEST) or (scope.to is None) != (head.bundle <= SLICE):
        raise ChainBroken(0, "the first line does not have the fields of its format")
    named = scope.run_id is not None or scope.session_id is not None
    if scope.to is not None and (named or not (scope.after or 0) < scope.to <= head.head):
        raise ChainBroken(0, "the first line names an interval that does not lie inside the bundle")
    return head


class _Reading:
    """The state of reading a bundle: how far it is proven."""

    def __init__(self, head: BundleHead, anchors: Iterable[Anchor]) -> None:
        """Start at the position before the slice."""
        self.position, self._chain = head.after, bytes.fromhex(head.chain)
        self._head = head
        self._run_events = RunCompleteness(head.scope)
        self._recorded_at = 0
        self._events = self._skipped = self._without_text = 0
        self._chains: dict[Position, set[str]] = {}
        self._anchor_count = 0
        for anchor in anchors:
            if anchor.log_id != head.log_id:
                raise ChainBroken(0, f"the bundle belongs to log {head.log_id}, but the anchor to {anchor.log_id}")
            self._chains.setdefault(anchor.position, set()).add(anchor.chain)
            self._anchor_count += 1
        self._compared: list[Position] = []
        self._range = head.scope.run_id is None and head.scope.session_id is None
        if self._range and head.head and head.after != (head.scope.after or 0):
            raise ChainBroken(head.after + 1, "the bundle does not begin at the start of its scope")
        if head.after:
            self._compare()
        elif self._chain != GENESIS:
            raise ChainBroken(0, "the first chain value is not the one of an empty log")

    def take(self, part: BundleLine, note: Callable[[Row], None]) -> bool:
        """Add a line; return True for the last one. Raise ChainBroken, and ValueError for an invalid line."""
        match part:
            case BundleLine(row=BundleRow() as columns, leaves=None, end=None, chain=None):
                row = columns.row()
                self._take_row(row)
                note(row)
            case BundleLine(row=None, leaves=tuple(leaves), end=None, chain=None):
                for text in leaves:
                    self._skipped += 1
                    chain = hashlib.sha256(self._chain + bytes.fromhex(text)).digest()
                    self._advance(self.position + 1, chain)
                    self._check_skipped()
            case BundleLine(row=None, leaves=None, end=int(end), chain=str(chain)):
                if (end, chain, end) != (self.position, self._chain.hex(), self._head.head):
                    raise ChainBroken(self.position, "the end does not match the lines before it, or the first line")
                return True
            case _:
                raise ValueError("expected an event, leaves or an end")
        return False

    def _check_skipped(self) -> None:
        """Raise ChainBroken if the last event may not be left out."""
        scope = self._head.scope
        if scope.whole and (scope.to is None or self.position <= scope.to):
            raise ChainBroken(self.position, "an event is missing: a bundle of this scope must have every event")

    def _take_row(self, row: Row) -> None:
        broken = flaw(row, self.position, self._chain)
        if broken is not None:
            raise broken
        if row.recorded_at < self._recorded_at:
            raise ChainBroken(row.position, "recorded before its predecessor")
        if not self._head.scope.holds(row):
            raise ChainBroken(row.position, "the event does not belong to the scope of the bundle")
        if not self._run_events.add(row):
            expected = self._run_events.version
            raise ChainBroken(
                row.position, f"version {row.version} of the run comes next, but version {expected} is missing"
            )
        if row.text is not None and self._head.redacted:
            raise ChainBroken(row.position, "the event has text, but the bundle is marked as redacted")
        self._recorded_at = row.recorded_at
        self._events += 1
        self._without_text += row.text is None and row.text_hash is not None
        self._advance(row.position, row.chain)

    def _advance(self, position: Position, chain: bytes) -> None:
        if position > self._head.head:
            raise ChainBroken(position, f"the bundle continues beyond position {self._head.head}, its end")
        self.position, self._chain = position, chain
        self._compare()

    def _compare(self) -> None:
        """Compare the chain value with kept anchors of this position."""
        chains = self._chains.get(self.position)
        if chains is None:
            return
        if chains != {self._chain.hex()}:
            raise ChainBroken(self.position, "the chain value differs from the kept anchor")
        self._compared.append(self.position)

    def proof(self) -> BundleProof:
        """Return the proof, after the end of the bundle."""
        head = self._head
        complete = self._run_events.complete if head.scope.to is None else head.scope.whole
        if head.complete and not complete:
            raise ChainBroken(self.position, "the bundle is marked as complete, but its run does not end in it")
        if self._anchor_count and not self._compared:
            raise ChainBroken(
                self.position,
                f"{self._anchor_count} kept anchors, but not one between positions {head.after} and {self.position};"
                " export again, with --to and the position of an anchor",
            )
        return BundleProof(
            ok=True,
            log_id=head.log_id,
            scope=head.scope,
            redacted=head.redacted,
            first=head.after + 1,
            last=self.position,
            chain=self._chain.hex(),
            events=self._events,
            skipped=self._skipped,
            without_text=self._without_text,
            complete=bool(head.complete) and complete,
            compared=tuple(self._compared),
            notices=tuple(self._notices()),
        )

    def _notices(self) -> Iterator[str]:
        head, scope = self._head, self._head.scope
        if head.bundle == OLDEST:
            yield "Format 1 of release 0.1 proves less: it does not record whether a run had ended."
        elif scope.run_id is not None and not head.complete:
            yield f"Completeness is not proven: the bundle ends at position {self.position}, before the end of the run."
        if scope.session_id is not None:
            yield "Completeness is not proven: events of the session may have been left out."
        elif scope.to is not None and not scope.whole:
            yield "Completeness is not proven: events of the sessions and runs may have been left out."
        elif self._range and scope.to is None:
            yield f"Completeness is not proven: the log may continue after position {self.position}."
        if not self._compared:
            yield "No kept anchor was compared (--against): the log may have been rewritten as a whole."


def _line(part: object, position: Position = 0) -> bytes:
    line = escape_json(msgspec.json.encode(part)) + b"\n"
    if len(line) > LINE_BYTES_MAX:
        raise ChainBroken(position, f"the event needs a line of more than {LINE_BYTES_MAX} bytes")
    return line
