"""Tables on a terminal: columns are chosen by importance, and texts are cut to the width that is left."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from athena_cli.exit_codes import Misused
from athena_cli.operations import OPERATIONS
from athena_cli.output.column import ALWAYS, Column, Record
from athena_cli.output.columns import TABLES, generic, of_member
from athena_cli.output.values import COLOURS

if TYPE_CHECKING:
    from rich.text import Text

GAP = "  "
CELLS_MIN = 4
WIDE = 10_000
"""The width of output that is not a terminal: nothing is cut."""


def columns_of(operation_id: str | None, rows: Sequence[Record], chosen: str | None = None) -> tuple[Column, ...]:
    """Return the columns of a list: those that ``chosen`` names, or its own, or all scalar members.

    ``chosen`` is a list of names of columns or of members (``error.code``), separated by commas. Raise Misused.
    """
    table = TABLES.get(operation_id or "")
    own = table.columns if table else generic(list(rows))
    if chosen is None:
        return own
    known = {_plain_name(column.name): column for column in own}
    operation = OPERATIONS.get(operation_id or "")
    records = operation.records if operation else ()
    members = dict.fromkeys([*records, *(member for row in rows for member in row)])
    return tuple(_chosen(name.strip(), known, members, rows) for name in chosen.split(","))


def _plain_name(name: str) -> str:
    return name.lower().replace(" ", "-")


def _chosen(name: str, known: dict[str, Column], members: Iterable[str], rows: Sequence[Record]) -> Column:
    column = known.get(_plain_name(name))
    if column is not None:
        return column._replace(rank=ALWAYS)
    if name.partition(".")[0] not in members:
        names = ", ".join(dict.fromkeys([*known, *members]))
        raise Misused(f"--columns: no column {name!r}; there are {names}")
    return of_member(name, rows)


def ids_of(operation_id: str | None, rows: Iterable[Record]) -> Iterator[str]:
    """Yield the ids of records."""
    table = TABLES.get(operation_id or "")
    for row in rows:
        names = (table.id,) if table else ("id", "runId", "sessionId")
        yield str(next((row[name] for name in names if name in row), ""))


class Layout:
    """The columns of a table that fit in a width, with their widths."""

    def __init__(self, columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> None:
        """``cells`` are the texts of the rows, in the order of ``columns``."""
        from rich.cells import cell_len

        natural = [
            max([cell_len(column.name), *(cell_len(row[place]) for row in cells)])
            for place, column in enumerate(columns)
        ]
        empty = [bool(cells) and not any(row[place] for row in cells) for place in range(len(columns))]
        bounded = [
            most if column.least else min(most, max(column.most, len(column.name)))
            for column, most in zip(columns, natural, strict=True)
        ]
        least = [
            min(column.least, most) if column.least else most for column, most in zip(columns, bounded, strict=True)
        ]
        places = [place for place in range(len(columns)) if not (empty[place] and columns[place].rank > ALWAYS)]
        while len(places) > 1 and _total(least[place] for place in places) > width:
            last = max(places, key=lambda place: (columns[place].rank, place))
            if columns[last].rank == ALWAYS:
                break
            places.remove(last)
        while (excess := _total(least[place] for place in places) - width) > 0:
            widest = max(places, key=lambda place: least[place])
            if least[widest] <= CELLS_MIN:
                break
            least[widest] = bounded[widest] = max(CELLS_MIN, least[widest] - excess)
        self._columns = columns
        self._places = places
        self._widths = {place: least[place] for place in places}
        for wanted in (bounded, natural):  # texts first, then words that were shortened
            _widen(self._widths, wanted, width)

    @property
    def head(self) -> "Text":
        from rich.text import Text

        return Text(self._row([column.name.upper() for column in self._columns]), style="bold")

    def line(self, cells: Sequence[str]) -> "Text":
        """Return the line of a record."""
        from rich.text import Text

        text = Text()
        for place in self._places:
            name = self._columns[place].name
            style = COLOURS.get(cells[place], "") if name in {"status", "state", "gate", "result"} else ""
            text.append(self._cell(place, cells[place]), style=style)
            text.append(GAP)
        text.rstrip()
        return text

    def _row(self, cells: Sequence[str]) -> str:
        return GAP.join(self._cell(place, cells[place]) for place in self._places).rstrip()

    def _cell(self, place: int, text: str) -> str:
        column = self._columns[place]
        return fitted(text, self._widths[place], right=column.right, middle=not column.least)


def fitted(text: str, width: int, *, right: bool = False, middle: bool = False) -> str:
    """Return a text in exactly ``width`` cells, padded, or cut with an ellipsis at its end or in the ``middle``."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) > width and middle and text.isascii():  # names differ at the end as well
        return f"{text[: width // 2]}…{text[len(text) - (width - 1) // 2 :]}" if width > 0 else ""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    pad = " " * (width - cell_len(text))
    return pad + text if right else text + pad


def _total(widths: Iterable[int]) -> int:
    found = list(widths)
    return sum(found) + len(GAP) * (len(found) - 1)


def _widen(widths: dict[int, int], wanted: Sequence[int], width: int) -> None:
    """Share the rest of the width among the columns that want more, narrow ones first."""
    left = width - _total(widths.values())
    wanting = sorted((place for place in widths if wanted[place] > widths[place]), key=lambda place: wanted[place])
    while wanting and left > 0:
        each = max(left // len(wanting), 1)
        place = wanting.pop(0)
        given = min(wanted[place] - widths[place], each, left)
        widths[place] += given
        left -= given


def table_lines(columns: Sequence[Column], rows: Sequence[Record], width: int) -> "Iterator[Text]":
    """Yield the lines of a table: its head, and a line for each record."""
    read = [_pointed([column.read(row) for row in rows], column) for column in columns]
    cells = list(zip(*read, strict=True))
    layout = Layout(columns, cells, width)
    yield layout.head
    yield from map(layout.line, cells)


def _pointed(cells: list[str], column: Column) -> list[str]:
    """Return the cells of a column; amounts of money are padded, so that their decimal points stand in line."""
    if not column.money:
        return cells
    digits = [len(cell.partition(".")[2]) for cell in cells]
    return [cell and cell + " " * (max(digits) - own) for cell, own in zip(cells, digits, strict=True)]


STREAMED: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "streamEvents": ("listEvents", {"time": 8, "type": 24, "session": 16, "run": 8}),
    "streamSessionTranscript": ("getSessionTranscript", {"time": 8, "run": 8, "who": 9}),
}
"""The table of the records of a stream, and the widths of its columns: they cannot depend on what comes."""


def streamed_line(operation_id: str, record: Record, width: int) -> "Text":
    """Return the line of a record of a stream. Its last column takes the rest of the width."""
    from rich.text import Text

    name, widths = STREAMED[operation_id]
    columns = {column.name: column for column in TABLES[name].columns}
    last = next(column for column in columns.values() if column.least)
    texts = {name: columns[name].read(record) for name in widths}
    texts["time"] = texts["time"].rpartition(" ")[2]  # without the day: the records of a stream are of now
    parts = [fitted(texts[name], cells) for name, cells in widths.items()]
    rest = width - _total(widths.values()) - len(GAP)
    if rest < last.least:  # a narrow terminal has no place for the session
        parts = [part for part, name in zip(parts, widths, strict=True) if name != "session"]
        rest += widths.get("session", 0) + len(GAP)
    line = Text(GAP.join(parts) + GAP + fitted(last.read(record), max(rest, 1)))
    line.rstrip()
    return line
