"""The operations of the API as commands need them, from a generated table: loading the server's own would be slow."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Kind = str | tuple[str, ...]
"""A kind of value, or its choices: ``text``, ``int``, ``float``, ``bool``, ``texts`` (a list), or ``json``."""


class Member(NamedTuple):
    """A member of a query or body."""

    name: str
    kind: Kind
    required: bool = False


class CommandOperation(NamedTuple):
    """A method and path, below ``/api/v1``, with its parameters and the words of its command ("": it has none).

    ``records`` names the members of the records that a list answers. ``body`` is None if it takes none. ``accepted``
    is True if it may answer 202. ``athena_api.endpoint.operation.Operation`` describes the others.
    """

    id: str
    method: str
    path: str
    words: str
    summary: str
    roles: Sequence[str] = ()
    query: tuple[Member, ...] = ()
    body: tuple[Member, ...] | None = None
    records: Sequence[str] = ()
    narrows: Sequence[str] = ()
    paging: str | None = None
    accepted: bool = False
    past: bool = False
    stream: bool = False
    versioned: bool = False


def _member(name: str, kind: Any, required: bool = False) -> Member:
    return Member(name, kind if isinstance(kind, str) else tuple(kind), required)


def _operation(row: dict[str, Any]) -> CommandOperation:
    members: dict[str, Any] = {
        part: tuple(_member(*one) for one in row[part]) for part in ("query", "body") if part in row
    }
    return CommandOperation(**row | members)


TABLE = Path(__file__).with_name("operations.json")
"""Written by ``python -m docs.generate`` from the table of the server: one operation a line."""

OPERATIONS: Mapping[str, CommandOperation] = {row["id"]: _operation(row) for row in json.loads(TABLE.read_bytes())}
