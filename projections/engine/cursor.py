"""The cursor of the feed: an event's id, which is the place after it, provable against the log (contract D10)."""

import base64
import binascii
import functools
import re
import struct
from collections.abc import Iterable
from typing import Any

from athena_core.errors import CursorAhead, CursorForeign, CursorInvalid
from athena_core.event import MARK_BYTES, Position, Value
from athena_core.protocols import LogReader

VERSION = b"\x01"
ID = re.compile(r"[A-Za-z0-9_-]{28}")
DECIMAL = re.compile(r"[0-9]{1,18}")
ID_CHARS = 28
_pack = struct.Struct(f">9sQ{MARK_BYTES}s").pack  # of a whole chain it takes the beginning
URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Cursor(Value):
    """A place after ``position``: as an event id with log and mark, as a bare position of this log without."""

    position: Position
    log_id: str | None = None
    mark: bytes | None = None


@functools.lru_cache(maxsize=8)
def _prefix(log_id: str) -> bytes:
    return VERSION + bytes.fromhex(log_id)


def event_ids(log_id: str, rows: Iterable[tuple[Any, ...]]) -> list[str]:
    """The ids of events, by rows that begin with the position and end with the chain.

    An id is 21 bytes: version, log, position, first bytes of the chain. That is a whole number of base64's groups, so
    those of a page are encoded in one piece.
    """
    prefix = _prefix(log_id)
    packed = b"".join([_pack(prefix, row[0], row[-1]) for row in rows])
    text = binascii.b2a_base64(packed, newline=False).translate(URL_SAFE).decode()
    return [text[start : start + ID_CHARS] for start in range(0, len(text), ID_CHARS)]


def event_id(log_id: str, position: Position, chain: bytes) -> str:
    """The id of one event, 28 characters."""
    (made,) = event_ids(log_id, ((position, chain),))
    return made


def parse_cursor(text: str) -> Cursor:
    """An event id or a decimal position; raises CursorInvalid."""
    if DECIMAL.fullmatch(text):
        return Cursor(position=int(text))
    if ID.fullmatch(text):
        raw = base64.urlsafe_b64decode(text)
        position = int.from_bytes(raw[9:17], "big")
        if raw[:1] == VERSION and 0 < position < 2**63:
            return Cursor(position=position, log_id=raw[1:9].hex(), mark=raw[17:])
    raise CursorInvalid("the cursor is neither an event id nor a position")


def resolve(cursor: Cursor, log: LogReader) -> Position:
    """The position that a cursor stands for in this log; raises CursorForeign or CursorAhead (decisions E7)."""
    if cursor.log_id is not None and cursor.log_id != log.log_id:
        raise CursorForeign("the cursor belongs to another log", {"position": cursor.position})
    head = log.head()
    if cursor.position > head:
        details = {"position": cursor.position, "head": head}
        raise CursorAhead("the cursor is beyond the head of this log", details)
    if cursor.mark is not None:
        row = log.row(cursor.position)
        if row is None or row.chain[:MARK_BYTES] != cursor.mark:
            raise CursorForeign("the cursor belongs to another history of this log", {"position": cursor.position})
    return cursor.position
