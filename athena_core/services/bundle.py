"""Bundles: a slice of the log as one file that proves itself on another machine.

Line by line, JSON. First ``{"bundle": 1, "logId", "scope", "redacted", "after", "chain", "head"}``: the place that the
slice follows, with its chain value, and the last position that it reaches. Then, in order of position, ``{"row": {…}}``
with all columns of an event (``data`` and ``text`` as the text that was stored), or ``{"leaves": ["…", …]}`` for events
that are not part of it: what each adds to the chain, in hex. Last ``{"end": …, "chain": …}``.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from athena_core.event import Position, Value
from athena_core.protocols import Row
from athena_core.store.chain import GENESIS, LEAF_COLUMNS, Broken, leaf, verify
from athena_core.store.port import StoreReader
from athena_core.text import escape_json

FORMAT = 1
PAGE_EVENTS = 1_000
BYTES = ("data", "extra", "text")
HEX = ("data_hash", "text_hash", "chain")


class Scope(Value):
    """What a bundle is of: one run, one session, or everything from a position on."""

    run_id: str | None = None
    session_id: str | None = None
    after: Position | None = None

    def holds(self, row: Row) -> bool:
        """Whether an event belongs to it."""
        if self.run_id is not None:
            return self.run_id in {row.run_id, row.stream}
        if self.session_id is not None:
            return row.session_id == self.session_id
        return row.position > (self.after or 0)


class Head(Value):
    """The first line."""

    bundle: int
    log_id: str
    scope: Scope
    redacted: bool
    after: Position
    chain: str
    head: Position


class Proof(Value):
    """What a bundle proves: ``events`` are in it, ``skipped`` are vouched for by what they add to the chain."""

    ok: bool
    log_id: str
    scope: Scope
    redacted: bool
    first: Position
    last: Position
    chain: str
    events: int
    skipped: int
    without_text: int


def export(log: StoreReader, scope: Scope, *, redact: bool) -> Iterator[bytes]:
    """The lines of a bundle, from the first event of a scope to its last.

    With ``redact`` without text. Nothing but the end marks a bundle of a scope without events.
    """
    first, last = _extent(log, scope)
    before = log.row(first - 1) if first > 1 else None
    chain = GENESIS if before is None else before.chain
    yield _line(
        Head(
            bundle=FORMAT,
            log_id=log.log_id,
            scope=scope,
            redacted=redact,
            after=max(first - 1, 0),
            chain=chain.hex(),
            head=last,
        )
    )
    skipped: list[str] = []
    for row in _rows(log, first - 1, last):
        if scope.holds(row):
            if skipped:
                yield _line({"leaves": skipped})
                skipped = []
            yield _line({"row": _shown(row, redact=redact)})
        else:
            skipped.append(leaf(row[:LEAF_COLUMNS]).hex())
            if len(skipped) == PAGE_EVENTS:
                yield _line({"leaves": skipped})
                skipped = []
        chain = row.chain
    yield _line({"end": last, "chain": chain.hex()})


def _extent(log: StoreReader, scope: Scope) -> tuple[Position, Position]:
    """The first and the last position of a scope; (1, 0) where nothing belongs to it."""
    first, last = 0, 0
    for row in _rows(log, scope.after or 0, log.head()):
        if scope.holds(row):
            first, last = first or row.position, row.position
    return first or 1, last


def _rows(log: StoreReader, after: Position, until: Position) -> Iterator[Row]:
    while after < until:
        rows = log.rows(after, PAGE_EVENTS, until)
        yield from rows
        after = rows[-1].position


def _shown(row: Row, *, redact: bool) -> dict[str, Any]:
    columns: dict[str, Any] = row._asdict()
    if redact:
        columns["text"] = None
    for name in BYTES:
        if columns[name] is not None:
            columns[name] = columns[name].decode()
    for name in HEX:
        if columns[name] is not None:
            columns[name] = columns[name].hex()
    return columns


def _stored(columns: dict[str, Any]) -> Row:
    found = dict(columns)
    for name in BYTES:
        if found[name] is not None:
            found[name] = found[name].encode()
    for name in HEX:
        if found[name] is not None:
            found[name] = bytes.fromhex(found[name])
    return Row(**found)


def prove(lines: Iterable[bytes], note: Callable[[Row], None] = lambda row: None) -> Proof:
    """Prove a bundle from its own lines: every hash, the chain over all positions, nothing missing. Raises Broken.

    ``note`` is called with every event. What it does not prove is that its first chain value, or its last, is that of
    a log that anybody trusts: compare them with an anchor.
    """
    source = iter(lines)
    try:
        head = msgspec.json.decode(next(source, b""), type=Head)
    except msgspec.MsgspecError as error:
        raise Broken(0, f"the first line is not that of a bundle: {error}") from error
    if head.bundle != FORMAT:
        raise Broken(0, f"the bundle has format {head.bundle}; this release reads {FORMAT}")
    position, chain = head.after, bytes.fromhex(head.chain)
    events = skipped = without = 0
    for line in source:
        try:
            part = msgspec.json.decode(line, type=dict[str, Any])
            if "end" in part:
                if (part["end"], part["chain"]) != (position if events or skipped else head.head, chain.hex()):
                    raise Broken(position, "the end is not where the last line leads")
                if next(source, None) is not None:
                    raise Broken(position, "there is more after the end")
                break
            if "leaves" in part:
                for text in part["leaves"]:
                    position, skipped = position + 1, skipped + 1
                    chain = hashlib.sha256(chain + bytes.fromhex(text)).digest()
                continue
            row = _stored(part["row"])
        except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
            raise Broken(position + 1, f"the line cannot be read: {error}") from error
        for _ in verify((row,), position, chain):
            position, chain, events = row.position, row.chain, events + 1
        if row.text is not None and head.redacted:
            raise Broken(position, "there is text, though the bundle says that it has none")
        without += row.text is None and row.text_hash is not None
        note(row)
    else:
        raise Broken(position, "the bundle was cut off: it has no end")
    return Proof(
        ok=True,
        log_id=head.log_id,
        scope=head.scope,
        redacted=head.redacted,
        first=head.after + 1,
        last=position,
        chain=chain.hex(),
        events=events,
        skipped=skipped,
        without_text=without,
    )


def _line(part: object) -> bytes:
    return escape_json(msgspec.json.encode(part)) + b"\n"
