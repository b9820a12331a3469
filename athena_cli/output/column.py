"""The kinds of columns and fields, and their parts."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from athena_cli.output.values import (
    TIME,
    age,
    between,
    clock_time,
    date_time,
    distance,
    line,
    plain,
    short,
    size,
)
from athena_core.text import duration, money

Record = Mapping[str, Any]
Read = Callable[[Record], str]

ALWAYS = 0
WORD_CELLS_MAX = 28
SESSION_CELLS_MAX = 20
TEXT_CELLS_MIN = 16


class Column(NamedTuple):
    """A column of a table, or a field of a record.

    Columns of the highest ``rank`` are left out first where a terminal is narrow. A column of texts has ``least`` cells
    at least and shares the rest of the width; any other is as wide as its widest cell, up to ``most``.
    """

    name: str
    read: Read
    rank: int = ALWAYS
    least: int = 0
    most: int = WORD_CELLS_MAX
    right: bool = False
    money: bool = False
    """Amounts stand with their decimal points below each other."""


class ListTable(NamedTuple):
    """The columns of a list, the member that identifies a record (for ``-q``), and the text below a page of it."""

    id: str
    columns: tuple[Column, ...]
    below: Read | None = None


def at(record: Any, path: str) -> Any:
    """Return the member of a record at a path such as ``error.message``; None if there is none."""
    for name in path.split("."):
        if not isinstance(record, Mapping):
            return None
        record = record.get(name)
    return record


def text_of(value: object) -> str:
    """Return any value as one line of text."""
    if isinstance(value, dict | list):
        import msgspec

        return line(msgspec.json.encode(value).decode())
    return line(plain(value))


def first_of(record: Record, paths: Iterable[str]) -> str:
    """Return the first member that is there, as one line of text."""
    values = (at(record, path) for path in paths)
    return next((text_of(value) for value in values if value not in (None, "", [], {})), "")


def text(name: str, *paths: str, rank: int = ALWAYS, least: int = TEXT_CELLS_MIN) -> Column:
    """Return a column of texts: the first that is there."""
    return Column(name, lambda record: first_of(record, paths), rank, least)


def word(name: str, *paths: str, rank: int = ALWAYS, most: int = WORD_CELLS_MAX) -> Column:
    """Return a column of words, such as a status, a session or an identity."""
    return Column(name, lambda record: first_of(record, paths), rank, most=most)


def session(rank: int = ALWAYS) -> Column:
    """Return the column of sessions: names, and of a generated id the end. Commands take no part of either."""

    def read(record: Record) -> str:
        found = first_of(record, ("sessionId",))
        return found if short(found) == found else f"…{short(found)}"

    return Column("session", read, rank, most=SESSION_CELLS_MAX)


def key(name: str, *paths: str, rank: int = ALWAYS) -> Column:
    """Return a column of ids, in their short form."""
    return Column(name, lambda record: short(first_of(record, paths)), rank)


def number(name: str, path: str, rank: int = ALWAYS) -> Column:
    """Return a column of numbers."""
    return Column(name, lambda record: plain(at(record, path)), rank, right=True)


def joined(name: str, path: str, rank: int = ALWAYS, least: int = TEXT_CELLS_MIN) -> Column:
    """Return a column of lists of words."""
    return Column(name, lambda record: line(", ".join(map(str, at(record, path) or ()))), rank, least)


def cost(name: str, path: str, rank: int = ALWAYS, *, scale: float = 1) -> Column:
    """Return a column of money; ``scale`` is the number of micro-USD in a unit."""

    def read(record: Record) -> str:
        value = at(record, path)
        return "" if value is None else money(value * scale)

    return Column(name, read, rank, right=True, money=True)


def usd(name: str, path: str, rank: int = ALWAYS) -> Column:
    """Return a column of money that is given in USD."""
    return cost(name, path, rank, scale=1e6)


def ago(name: str, *paths: str, rank: int = ALWAYS) -> Column:
    """Return a column of ages."""
    return Column(name, lambda record: _dated(record, paths, age), rank)


def ahead(name: str, *paths: str, rank: int = ALWAYS) -> Column:
    """Return a column of distances to times that may come."""
    return Column(name, lambda record: _dated(record, paths, distance), rank)


def clock(name: str, *paths: str, rank: int = ALWAYS) -> Column:
    """Return a column of times, with the day unless it is today."""
    return Column(name, lambda record: _dated(record, paths, clock_time), rank)


def _dated(record: Record, paths: Iterable[str], shown: Callable[[str], str]) -> str:
    found = next((value for path in paths if isinstance(value := at(record, path), str)), "")
    return shown(found) if TIME.fullmatch(found) else found


def took(name: str, start: str, end: str, rank: int = ALWAYS) -> Column:
    """Return a column of durations between two times."""

    def read(record: Record) -> str:
        begun, ended = at(record, start), at(record, end)
        return between(begun, ended) if begun and ended else ""

    return Column(name, read, rank, right=True)


def lasting(name: str, path: str, rank: int = ALWAYS, *, scale: float = 1) -> Column:
    """Return a column of durations; ``scale`` is the number of milliseconds in a unit."""

    def read(record: Record) -> str:
        value = at(record, path)
        return "" if value is None else duration(value * scale)

    return Column(name, read, rank, right=True)


def weight(name: str, path: str, rank: int = ALWAYS) -> Column:
    """Return a column of sizes in bytes."""

    def read(record: Record) -> str:
        value = at(record, path)
        return "" if value is None else size(value)

    return Column(name, read, rank, right=True)


def dated(name: str, path: str, absent: str = "") -> Column:
    """Return a field with a time that has passed, or with the word for an absent one."""
    return Column(name, lambda record: date_time(found) if (found := at(record, path)) else absent)


def due(name: str, path: str) -> Column:
    """Return a field with a time that may come."""
    return Column(name, lambda record: date_time(found, ahead=True) if (found := at(record, path)) else "")


def whole(name: str, *paths: str) -> Column:
    """Return a field with whole ids or words, separated by spaces."""
    return Column(name, lambda record: line(" ".join(str(v) for path in paths if (v := at(record, path)) is not None)))
