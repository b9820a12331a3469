"""The page: part of a list, with an opaque keyset cursor that continues it."""

import base64
import binascii
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import msgspec

from athena_core.errors import CursorInvalid
from athena_core.event import Value
from athena_core.protocols import Cell, Connection
from athena_core.values import PAGE_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX
from projections.engine.context_block import ContextBlock

T = TypeVar("T")

ALPHABET = re.compile(r"[A-Za-z0-9_-]+")
CURSOR_CHARS_MAX = 2_000
INT64 = range(-(2**63), 2**63)

INLINE_BYTES_MAX = 256 << 10
"""Largest page in bytes of JSON that is read on the event loop."""

_inline: ContextVar[bool] = ContextVar("inline", default=False)


class PageTooLarge(Exception):
    """The page is too large to be read on the event loop."""


def inline() -> ContextBlock[bool]:
    """Make ``fill_page`` raise PageTooLarge within the block, for a page over ``INLINE_BYTES_MAX``."""
    return ContextBlock(_inline, True)


class Page(Value, Generic[T]):
    """Part of a list. ``nextCursor`` is present if more follows."""

    items: list[T]
    next_cursor: str | None = None


def clamp(limit: int | None, default: int = PAGE_ITEMS_DEFAULT) -> int:
    """Return the page size: 1 to 500."""
    return default if limit is None else max(1, min(limit, PAGE_ITEMS_MAX))


_encode = msgspec.json.Encoder().encode


class PageItems(list[T]):
    """The items of a page with the JSON of each. A page is encoded as it is read, to measure it, and not again."""

    def __init__(self, items: Iterable[T] = (), pieces: Iterable[bytes] = ()) -> None:
        super().__init__(items)
        self.pieces = list(pieces)

    def backwards(self) -> "PageItems[T]":
        """Return the items in reverse order."""
        return PageItems(reversed(self), reversed(self.pieces))


def fill_page(
    rows: Iterator[tuple[Cell, ...]], limit: int, show: Callable[[tuple[Cell, ...]], T], bytes_max: int = PAGE_BYTES_MAX
) -> tuple[PageItems[T], tuple[Cell, ...], bool]:
    """Return the items that fit into a page, the row of the last one, and True if a row follows.

    At most ``limit`` items of ``bytes_max`` bytes of JSON; one item always fits. Rows are read one by one, and none
    after the first that does not fit. ``show`` returns a value, or stored JSON as bytes. Raise PageTooLarge within
    ``inline``.
    """
    items: PageItems[T] = PageItems()
    pieces = items.pieces
    inline_max = INLINE_BYTES_MAX if _inline.get() else sys.maxsize
    size_max = min(bytes_max - 1, inline_max)
    last: tuple[Cell, ...] = ()
    size = 0
    for row in rows:
        if len(pieces) == limit:
            return items, last, True
        item = show(row)
        piece = item if isinstance(item, bytes) else _encode(item)
        size += len(piece) + 1
        if size > size_max:
            if pieces and size >= bytes_max:
                return items, last, True
            if size > inline_max:
                rows.close()  # type: ignore[attr-defined]  # the traceback would keep it open after its snapshot
                raise PageTooLarge
        items.append(item)
        pieces.append(piece)
        last = row
    return items, last, False


def page_json(page: Page[Any]) -> list[bytes] | None:
    """Return the JSON of a page in pieces, if its items were encoded as they were read."""
    if not isinstance(page.items, PageItems):
        return None
    parts = [b","] * (2 * len(page.items))
    parts[1::2] = page.items.pieces
    parts[:1] = [b'{"items":[']
    parts.append(b"]}" if page.next_cursor is None else b'],"nextCursor":"%b"}' % page.next_cursor.encode())
    return parts


def is_one_of(column: str, names: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Return the condition that a column has one of some values, with the values. PostgreSQL has no empty list."""
    return (f"{column} IN ({', '.join('?' * len(names))})" if names else "FALSE"), tuple(sorted(names))


def first(
    connection: Connection, statement: str, values: Sequence[Cell], show: Callable[[tuple[Cell, ...]], T]
) -> T | None:
    """Return the first row of a query in its JSON form, or None."""
    rows = list(connection.execute(statement, values))
    return show(rows[0]) if rows else None


class Keyset(Value):
    """The order of a list: columns that identify a row together, and their names in the cursor.

    It is newest first, or ``oldest_first``. The first columns of the list's SELECT are those columns.
    """

    kind: str
    columns: tuple[tuple[str, str, type], ...] = (("position", "position", int),)
    """Name in the cursor, column in SQL, type."""
    oldest_first: bool = False

    def encode(self, values: Sequence[Cell]) -> str:
        """Return the cursor that follows a row."""
        content = {"kind": self.kind} | {name: value for (name, _, _), value in zip(self.columns, values, strict=True)}
        return base64.urlsafe_b64encode(msgspec.json.encode(content)).rstrip(b"=").decode()

    def decode(self, text: str) -> list[str | int]:
        """Return the values of a cursor. Raise CursorInvalid."""
        content = _json(text)
        if not isinstance(content, dict) or content.get("kind") != self.kind or len(content) != len(self.columns) + 1:
            raise CursorInvalid(f"the cursor is not one of the list {self.kind!r}")
        values: list[Any] = []
        for name, _, kind in self.columns:
            value = content.get(name)
            if type(value) is not kind or (isinstance(value, int) and value not in INT64):
                raise CursorInvalid(f"the cursor is not one of the list {self.kind!r}")
            values.append(value)
        return values

    def page(
        self,
        connection: Connection,
        select: str,
        where: Sequence[tuple[str, Cell]],
        *,
        within: Mapping[str, frozenset[str] | None] | None = None,
        cursor: str | None,
        limit: int,
        show: Callable[[tuple[Cell, ...]], T],
        offset: int = 0,
        bytes_max: int = PAGE_BYTES_MAX,
    ) -> Page[T]:
        """Return a page of the rows of ``select``, cut as by ``fill_page``.

        A condition of ``where`` applies if its value is not None. ``within`` restricts columns to sets of values,
        unless a set is None. Without a cursor, ``offset`` rows are skipped.
        """
        conditions = [condition for condition, value in where if value is not None]
        values = [value for _, value in where if value is not None]
        for column, names in (within or {}).items():
            if names is not None:
                condition, some = is_one_of(column, names)
                conditions.append(condition)
                values += some
        columns = [column for _, column, _ in self.columns]
        if cursor is not None:
            beyond = ">" if self.oldest_first else "<"
            conditions.append(f"({', '.join(columns)}) {beyond} ({', '.join('?' * len(columns))})")
            values += self.decode(cursor)
            offset = 0
        restriction = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        order = ", ".join(column if self.oldest_first else f"{column} DESC" for column in columns)
        statement = f"{select}{restriction} ORDER BY {order} LIMIT ? OFFSET ?"
        rows = connection.stream(statement, (*values, limit + 1, offset))
        items, last, more = fill_page(rows, limit, show, bytes_max)
        return Page(items=items, next_cursor=self.encode(last[: len(columns)]) if more else None)


def _json(text: str) -> object:
    if len(text) > CURSOR_CHARS_MAX or not ALPHABET.fullmatch(text):
        return None
    try:
        content: object = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return content
