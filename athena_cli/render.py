"""What a command shows: JSON as it came where somebody pipes it, something readable on a terminal."""

import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # a terminal might obey it
COLUMNS: Mapping[str, Sequence[str]] = {
    "events": ("createdAt", "type", "sessionId", "runId", "id"),
}


class Step(Protocol):
    """How far something long is."""

    @property
    def position(self) -> int:
        """The last position that is done."""

    @property
    def head(self) -> int:
        """The position that it goes to."""


S = TypeVar("S", bound=Step)


def show(data: bytes) -> None:
    """The data of an answer: one line of JSON, or on a terminal a table of its list, or its members."""
    if not sys.stdout.isatty():
        write(data)
        return
    import msgspec

    decoded = msgspec.json.decode(data)
    name = next((name for name in ("items", "events") if isinstance(decoded, dict) and name in decoded), None)
    if name is None:
        print(printable(msgspec.json.format(data, indent=2).decode()))
        return
    show_table(decoded[name], COLUMNS.get(name))
    if "nextCursor" in decoded:
        print(f"More: --cursor {decoded['nextCursor']}", file=sys.stderr)


def write(data: bytes) -> None:
    """One line to standard output, at once."""
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()


class Pages:
    """Shows pages of events as one list of the same shape, without keeping them."""

    def __init__(self) -> None:
        """Nothing was shown yet."""
        self._opened = self._filled = False

    def add(self, data: bytes) -> str | None:
        """Show the events of a page; return the cursor of the next one, if there is one."""
        import msgspec

        page = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        following = page.pop("nextCursor", None)
        events = bytes(page.pop("events"))
        if sys.stdout.isatty():
            show_table(msgspec.json.decode(events), COLUMNS["events"])
        else:
            inner = events[1:-1]
            opening = b"" if self._opened else b'{"events":['
            sys.stdout.buffer.write(opening + (b"," if self._filled and inner else b"") + inner)
            self._opened, self._filled = True, self._filled or bool(inner)
            if following is None:
                write(b"]," + msgspec.json.encode(page)[1:])
        return None if following is None else str(msgspec.json.decode(following))


def show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """A table of records; without ``columns`` of their plain members."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    plain = [name for row in rows for name, value in row.items() if not isinstance(value, dict | list)]
    names = columns or list(dict.fromkeys(plain))
    table = Table(*names, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(printable(str(row.get(name, "")))) for name in names))
    Console().print(table)


def printable(text: str) -> str:
    """The text without what a terminal would take for a command."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def last(steps: Iterable[S], title: str) -> S:
    """The last of the steps of something long; on a terminal a bar on standard error shows the others."""
    shown = _drawn(steps, title) if sys.stderr.isatty() else steps
    return deque(shown, maxlen=1).pop()


def _drawn(steps: Iterable[S], title: str) -> Iterator[S]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None, rate="")
        for step in steps:
            rate = f"{getattr(step, 'events_per_second', 0):,} events/s"
            progress.update(task, completed=step.position, total=step.head, rate=rate)
            yield step
