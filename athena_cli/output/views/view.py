"""The parts of a view, which shows one record: fields, texts, lists and commands, in their order."""

from collections.abc import Callable
from typing import NamedTuple

from athena_cli.output.column import Column, Read, Record, at


class Listed(NamedTuple):
    """A list inside of a record: its title, its member, its columns, and the records that are shown."""

    title: str
    path: str
    columns: tuple[Column, ...] | None = None
    where: Callable[[Record], bool] = bool
    wrapped: bool = False
    """Each record is one field: its first column is the name, its second the value, with all of its words."""


class View(NamedTuple):
    """The parts of a record in their order: fields in one line each, texts, lists, and commands to copy."""

    fields: tuple[Column, ...]
    texts: tuple[tuple[str, Read], ...] = ()
    lists: tuple[Listed, ...] = ()
    commands: tuple[tuple[str, Read], ...] = ()


def raw(title: str, path: str) -> tuple[str, Read]:
    """Return a text below the fields, with its lines as they are."""
    return title, lambda record: "" if (found := at(record, path)) is None else str(found)
