"""Single records as people read them: aligned fields by importance, long texts below, lists as small tables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from athena_cli.output.column import Column, Record, at, text_of
from athena_cli.output.columns import generic, shown_member
from athena_cli.output.tables import GAP, fitted, table_lines
from athena_cli.output.values import COLOURS, TIME, date_time, line, plain
from athena_cli.output.views.record_views import view_of
from athena_cli.output.views.view import View
from athena_core.text import printable

if TYPE_CHECKING:
    from rich.text import Text

INDENT = 2
DEPTH_MAX = 3
LONG_CELLS = 100
HIDDEN = frozenset({"schemaVersion", "links", "transcriptPath", "queueDepth", "eventTypes"})
"""Members that say nothing to people."""

WORDS = re.compile(r"A2A|[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
CAPITALS = frozenset(("a2a", "api", "cpu", "csv", "dlq", "http", "json", "mcp", "sse", "tls", "url", "utc"))
"""Words of names that are written in capitals, as the console does."""

NAMES: Mapping[str, str] = {
    "harnessProfileId": "agent (profile)",
    "runTemplateId": "template",
    "costBudgetDailyUsd": "daily budget",
    "createdAt": "created",
    "updatedAt": "changed",
    "startedAt": "started",
    "finishedAt": "finished",
    "lastRunAt": "last run",
    "nextRunAt": "next run",
}
"""Names of members that their own words do not give."""


def record_lines(document: Mapping[str, Any], operation_id: str | None, width: int) -> "Iterator[Text]":
    """Yield the lines of a record, in order."""
    from rich.text import Text

    view = view_of(operation_id)
    if view is None or not _fits(view, document):
        yield from _all_of(document, width, 0)
        return
    shown = [(column.name, value) for column in view.fields if (value := column.read(document))]
    yield from _fields(shown, width, 0)
    for title, read in view.texts:
        if said := read(document):
            yield from _text(title, said, width, 0)
    for listed in view.lists:
        found = at(document, listed.path) or ()
        rows = [row for row in (found.values() if isinstance(found, Mapping) else found) if listed.where(row)]
        if rows and listed.wrapped and listed.columns:
            time, says = listed.columns
            yield _title(f"{listed.title} ({len(rows):,})", 0)
            yield from _fields([(time.read(row), says.read(row)) for row in rows], width, INDENT)
        elif rows:
            yield from _list(listed.title, rows, listed.columns, width, 0)
    for title, read in view.commands:
        if command := read(document):  # in one line, however long, so that it can be copied
            yield _title(title, 0)
            yield Text(" " * INDENT + command)


def _fits(view: View, document: Mapping[str, Any]) -> bool:
    """Return True if a response is the record that the view is for, and not an acknowledgement of it."""
    try:
        return bool(view.fields[0].read(document))
    except (KeyError, TypeError, AttributeError):
        return False


def label(member: str) -> str:
    """Return a member's name in words, without its unit: `jsonDepthMax` is `max JSON depth`."""
    if member in NAMES or not member.isascii() or not member.isalnum():
        return NAMES.get(member, member)
    parts = [part.lower() for part in WORDS.findall(member)]
    bound = parts[-1:] if parts[-1] in {"max", "min"} else []
    words = " ".join(parts[: -1 if bound else None])
    for unit in (" micro usd", " usd", " ms", " seconds", " id", " at"):
        words = words.removesuffix(unit) or words
    return " ".join(word.upper() if word in CAPITALS else word for word in (*bound, *words.split()))


def _all_of(document: Mapping[str, Any], width: int, indent: int) -> "Iterator[Text]":
    """Yield every member of a record: scalars and lists of them first, then long texts, records and lists."""
    fields: list[tuple[str, str]] = []
    below: list[tuple[str, Any]] = []
    for member, value in document.items():
        if value is None or member in HIDDEN:
            continue
        if _is_below(value):
            below.append((member, value))
        elif isinstance(value, list):
            fields.append((label(member), line(", ".join(map(plain, value))) or "none"))
        elif isinstance(value, str) and TIME.fullmatch(value):
            fields.append((label(member), date_time(value, ahead=True)))
        elif isinstance(value, str):
            fields.append((label(member), line(value)))
        else:
            fields.append((label(member), shown_member(member, value)))
    yield from _fields(fields, width, indent)
    for member, value in below:
        if isinstance(value, str):
            yield from _text(label(member), value, width, indent)
        elif isinstance(value, list):
            yield from _list(label(member), [one for one in value if isinstance(one, dict)], None, width, indent)
        elif value:
            yield _title(label(member), indent)
            yield from _inner(value, width, indent + INDENT)


def _is_below(value: object) -> bool:
    """Return True if a value has no place in the line of a field."""
    if isinstance(value, str):
        return len(value) > LONG_CELLS or "\n" in value
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))


def _inner(value: Mapping[str, Any], width: int, indent: int) -> "Iterator[Text]":
    """Yield a record inside of a record; records by name as a table."""
    rows = [{"name": name, **one} for name, one in value.items() if isinstance(one, dict)]
    if len(rows) == len(value) and len(rows) > 1:
        yield from _rows(rows, None, width, indent)
    elif indent >= DEPTH_MAX * INDENT:
        yield from _fields([(label(name), text_of(one)) for name, one in value.items()], width, indent)
    else:
        yield from _all_of(value, width, indent)


def _title(title: str, indent: int) -> "Text":
    from rich.text import Text

    return Text(f"{' ' * indent}{title[:1].upper()}{title[1:]}", style="bold")


def _fields(fields: Sequence[tuple[str, str]], width: int, indent: int) -> "Iterator[Text]":
    from rich.text import Text

    widest = max((len(name) for name, _ in fields), default=0)
    for name, value in fields:
        head = " " * indent + fitted(name, widest) + GAP
        room = max(width - len(head), 20)
        style = COLOURS.get(value.partition(" ")[0], "") if name in {"status", "state"} else ""
        for place, part in enumerate(_wrapped(value, room)):
            yield Text.assemble((head if place == 0 else " " * len(head), "dim"), (part, style))


def _wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines of at most ``width`` cells, broken between words where possible."""
    from rich.cells import cell_len, chop_cells

    lines = [""]
    for part in text.split(" "):
        if cell_len(lines[-1]) + cell_len(part) + bool(lines[-1]) <= width:
            lines[-1] = f"{lines[-1]} {part}" if lines[-1] else part
            continue
        pieces = chop_cells(part, width) or [""]
        lines += pieces
    return lines[1:] if lines[0] == "" and len(lines) > 1 else lines


def _text(title: str, value: str, width: int, indent: int) -> "Iterator[Text]":
    from rich.cells import cell_len
    from rich.text import Text

    yield _title(title, indent)
    room = max(width - indent - INDENT, 20)
    for part in printable(value.rstrip("\n")).split("\n"):
        for shown in [part] if cell_len(part) <= room else _wrapped(part, room):
            yield Text(" " * (indent + INDENT) + shown)


def _list(
    title: str, rows: Sequence[Record], columns: tuple[Column, ...] | None, width: int, indent: int
) -> "Iterator[Text]":
    yield _title(f"{title} ({len(rows):,})", indent)
    yield from _rows(rows, columns, width, indent + INDENT)


def _rows(rows: Sequence[Record], columns: tuple[Column, ...] | None, width: int, indent: int) -> "Iterator[Text]":
    from rich.text import Text

    found = columns or generic([{k: v for k, v in row.items() if k not in HIDDEN} for row in rows])
    for shown in table_lines(found, rows, width - indent):
        yield Text.assemble(" " * indent, shown)
