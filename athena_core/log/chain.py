"""The hash chain over the rows of a log, and its verification.

The format is permanent. A *leaf* is SHA-256 over the msgpack array of the first sixteen columns of a
row, all except ``chain`` and ``text``; ``chain`` is SHA-256 of the previous chain followed by the leaf.
The chain before the first row is 32 zero bytes. The chain covers text only by its hash, so that text can be erased.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import msgspec

from athena_core.event import Position
from athena_core.protocols import Row

GENESIS = bytes(32)
LEAF_COLUMNS = 16

_encode = msgspec.msgpack.Encoder().encode
_sha256 = hashlib.sha256


def digest(content: bytes) -> bytes:
    """Return the SHA-256 of a column."""
    return _sha256(content).digest()


def leaf(columns: tuple[object, ...]) -> bytes:
    """Return the hash that a row adds to the chain, from its first sixteen columns."""
    return _sha256(_encode(columns)).digest()


def link(previous: bytes, columns: tuple[object, ...]) -> bytes:
    """Return the chain value of a row from the previous chain value and the row's first sixteen columns."""
    return _sha256(previous + _sha256(_encode(columns)).digest()).digest()  # as `leaf`, without its frame


def follows(previous: bytes, rows: Sequence[Row]) -> bool:
    """Return True if the first row continues the chain value ``previous``."""
    return bool(rows) and link(previous, rows[0][:LEAF_COLUMNS]) == rows[0].chain


class ChainBroken(Exception):
    """The chain does not verify at a position."""

    def __init__(self, position: Position, reason: str) -> None:
        """Record the first faulty position."""
        super().__init__(f"position {position}: {reason}")
        self.position = position
        self.reason = reason


NEEDED = (int, str, int, str, int, int, str, str, int, str, str, str, bytes, bytes, bytes, bytes, bytes, bytes)
"""The type of each column of a row."""

OPTIONAL = frozenset({"causation", "session_id", "run_id", "extra", "text_hash", "text"})
"""Columns that may be absent."""

_CHOICES = [(kind, type(None)) if name in OPTIONAL else (kind,) for kind, name in zip(NEEDED, Row._fields, strict=True)]
WHOLE = frozenset(product(*_CHOICES))
"""Every combination of types that the columns of a row may have."""


def whole(row: Row) -> bool:
    """Return True if every column has a valid type. A damaged page of the file may lose or change columns."""
    return tuple(map(type, row)) in WHOLE


def flaw(row: Row, after: Position, previous: bytes | None) -> ChainBroken | None:
    """Return the fault of a row, if any: position, column types, and all three hashes are checked.

    ``after`` and ``previous`` are the position and chain value of the row before; ``previous`` is None if that row is
    unreadable.
    """
    # fmt: off
    (position, _, _, _, _, _, _, _, _, _, _, _, data, _, data_hash, text_hash, chain, text) = row
    # fmt: on
    if position != after + 1:
        return ChainBroken(after + 1, f"missing; the next row has position {position}")
    if tuple(map(type, row)) not in WHOLE:
        return ChainBroken(position, "a column is missing or of a wrong type")
    if _sha256(data).digest() != data_hash:
        return ChainBroken(position, "the payload does not match its hash")
    if text is not None and (text_hash is None or _sha256(text).digest() != text_hash):
        return ChainBroken(position, "the text does not match its hash")
    if previous is not None and link(previous, row[:LEAF_COLUMNS]) != chain:
        return ChainBroken(position, "the row does not match the chain")
    return None


def verify(rows: Iterable[Row], after: Position = 0, chain: bytes = GENESIS) -> Iterator[Row]:
    """Yield rows as they verify. Raise ChainBroken at the first fault.

    ``after`` and ``chain`` belong to the row before. Checked: positions, column types, all three hashes, time order.
    """
    recorded_at = 0
    for row in rows:
        broken = flaw(row, after, chain)
        if broken is not None:
            raise broken
        if row.recorded_at < recorded_at:
            raise ChainBroken(row.position, "recorded before its predecessor")
        after, chain, recorded_at = row.position, row.chain, row.recorded_at
        yield row
