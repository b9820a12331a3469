"""The hash chain: what every row adds to it, and how a history is proved.

The format is permanent (decisions E1). A *leaf* is SHA-256 over the msgpack array of the first sixteen columns of a
row, which are all columns but ``chain`` and ``text``; ``chain`` is SHA-256 of the previous chain followed by the leaf.
The chain before the first row is 32 zero bytes. Text is in the chain by its own hash only, so that it can be erased.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from athena_core.event import Position
from athena_core.protocols import Row

GENESIS = bytes(32)
LEAF_COLUMNS = 16

_encode = msgspec.msgpack.Encoder().encode
_sha256 = hashlib.sha256


def digest(content: bytes) -> bytes:
    """SHA-256 of a column."""
    return _sha256(content).digest()


def leaf(columns: tuple[object, ...]) -> bytes:
    """What a row adds to the chain, from its first sixteen columns."""
    return _sha256(_encode(columns)).digest()


def link(previous: bytes, columns: tuple[object, ...]) -> bytes:
    """The chain value of a row, from the one before it and the row's first sixteen columns."""
    return _sha256(previous + leaf(columns)).digest()


def follows(previous: bytes, rows: Sequence[Row]) -> bool:
    """Return True if the first of these rows is chained to the row that has the chain value ``previous``."""
    return bool(rows) and link(previous, rows[0][:LEAF_COLUMNS]) == rows[0].chain


class Broken(Exception):
    """The history does not prove itself: where, and why."""

    def __init__(self, position: Position, reason: str) -> None:
        """Name the first position that is wrong."""
        super().__init__(f"position {position}: {reason}")
        self.position = position
        self.reason = reason


NEEDED = (int, str, int, str, int, int, str, str, int, str, str, str, bytes, bytes, bytes, bytes, bytes, bytes)
"""What each column of a row must be."""

OPTIONAL = frozenset({"causation", "session_id", "run_id", "extra", "text_hash", "text"})
"""Columns that may be absent."""

ABSENT = tuple(name in OPTIONAL for name in Row._fields)


def whole(row: Row) -> bool:
    """Whether every column is there, with its type (a damaged page of the file may lose or change them)."""
    return all(
        type(value) is needed or (value is None and absent)
        for needed, absent, value in zip(NEEDED, ABSENT, row, strict=True)
    )


def verify(rows: Iterable[Row], after: Position = 0, chain: bytes = GENESIS) -> Iterator[Row]:
    """Pass rows on while they prove themselves. Raises Broken at the first that does not.

    ``after`` and ``chain`` are the place that the rows follow. Checked: density, all three hashes, time order.
    """
    recorded_at = 0
    for row in rows:
        if row.position != after + 1:
            raise Broken(after + 1, f"missing; the next row has position {row.position}")
        if not whole(row):
            raise Broken(row.position, "a column is missing or of a wrong type")
        if digest(row.data) != row.data_hash:
            raise Broken(row.position, "the payload does not match its hash")
        if row.text is not None and (row.text_hash is None or digest(row.text) != row.text_hash):
            raise Broken(row.position, "the text does not match its hash")
        if link(chain, row[:LEAF_COLUMNS]) != row.chain:
            raise Broken(row.position, "the row does not match the chain")
        if row.recorded_at < recorded_at:
            raise Broken(row.position, "recorded before its predecessor")
        after, chain, recorded_at = row.position, row.chain, row.recorded_at
        yield row
