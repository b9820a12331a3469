"""The cursor of the feed: an event's id, which can be verified against the log and names the place after the event."""

import base64
import binascii
import functools
import re
import struct
from collections.abc import Iterable
from typing import Any

from athena_core.clock import ulid
from athena_core.errors import CursorAhead, CursorForeign, CursorInvalid
from athena_core.event import MARK_BYTES, Position, Recorded, Value
from athena_core.protocols import LogReader

VERSION = b"\x01"
ID = re.compile(r"[A-Za-z0-9_-]{28}")
DECIMAL = re.compile(r"[0-9]{1,18}")
ID_CHARS = 28
_pack = struct.Struct(f">9sQ{MARK_BYTES}s").pack  # packs only the first bytes of a chain
START_ANEW = "Start without a cursor."
URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Cursor(Value):
    """A place after ``position``. Log id and mark come from an event id; a bare position has neither."""

    position: Position
    log_id: str | None = None
    mark: bytes | None = None


@functools.lru_cache(maxsize=8)
def _prefix(log_id: str) -> bytes:
    return VERSION + bytes.fromhex(log_id)


def id_from(prefix: str, recorded: Recorded[Any]) -> str:
    """Return an id for a record whose event names none: a ULID of the event's time, position and mark."""
    return f"{prefix}_{ulid(recorded.at, recorded.position << 32 | int.from_bytes(recorded.mark))}"


def event_ids(log_id: str, rows: Iterable[tuple[Any, ...]]) -> list[str]:
    """Return the ids of events. A row begins with the position and ends with the chain.

    An id is 21 bytes: version, log, position, first bytes of the chain. That is a whole number of base64 groups, so a
    page of ids is encoded in one piece.
    """
    prefix = _prefix(log_id)
    packed = b"".join([_pack(prefix, row[0], row[-1]) for row in rows])
    text = binascii.b2a_base64(packed, newline=False).translate(URL_SAFE).decode()
    return [text[start : start + ID_CHARS] for start in range(0, len(text), ID_CHARS)]


def event_id(log_id: str, position: Position, chain: bytes) -> str:
    """Return the id of an event, 28 characters."""
    (made,) = event_ids(log_id, ((position, chain),))
    return made


def parse_cursor(text: str) -> Cursor:
    """Return the cursor in an event id or a decimal position. Raise CursorInvalid."""
    if DECIMAL.fullmatch(text):
        return Cursor(position=int(text))
    if ID.fullmatch(text):
        raw = base64.urlsafe_b64decode(text)
        position = int.from_bytes(raw[9:17], "big")
        if raw[:1] == VERSION and 0 < position < 2**63:
            return Cursor(position=position, log_id=raw[1:9].hex(), mark=raw[17:])
    raise CursorInvalid("The cursor is neither an event id nor a position.")


def resolve(cursor: Cursor, log: LogReader) -> Position:
    """Return the position of a cursor in this log. Raise CursorForeign or CursorAhead."""
    if cursor.log_id is not None and cursor.log_id != log.log_id:
        raise CursorForeign(f"The cursor belongs to another log. {START_ANEW}", {"position": cursor.position})
    row = None if cursor.mark is None else log.row(cursor.position)
    if row is None and cursor.position > (head := log.head()):
        details = {"position": cursor.position, "head": head}
        raise CursorAhead(
            f"The cursor is beyond the head of this log. {START_ANEW}",
            details,
        )
    if cursor.mark is not None and (row is None or row.chain[:MARK_BYTES] != cursor.mark):
        raise CursorForeign(
            f"The cursor belongs to another history of this log. {START_ANEW}",
            {"position": cursor.position},
        )
    return cursor.position
