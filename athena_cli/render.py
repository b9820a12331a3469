"""Output of commands: tables on a terminal, unchanged JSON in a pipe."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypeAlias, TypeVar

from cyclopts import Parameter

from athena_core.text import escape_json, printable

COLUMNS: Mapping[str, Sequence[str]] = {
    "traceId": ("createdAt", "type", "sessionId", "runId", "id"),
    "runId": ("runId", "status", "sessionId", "provider", "model", "createdAt", "startedAt"),
    "scheduleId": ("startedAt", "status", "reason", "runId", "error", "nominalTime", "finishedAt"),
    "nextRunAt": ("id", "nextRunAt", "enabled", "paused", "everyMinutes", "cron", "timezone", "runAt", "sessionId"),
}
"""The columns of a table, by a member that identifies the kind of record.

The member is the first or second of such records, or anywhere in them if it is in ``ONLY``.
"""
ONLY = frozenset({"nextRunAt"})

Output: TypeAlias = Literal["table", "json", "jsonl"]
OUTPUT = Parameter(alias="-o")


@Parameter(name="*", group="Output")
@dataclass(frozen=True)
class OutputOptions:
    """Output options of a command that works directly on the state directory."""

    output: Annotated[Output | None, OUTPUT] = None
    """Output format: text (`table`), one JSON document, or JSON lines. Default: text on a terminal, else json."""


class ProgressStep(Protocol):
    """Progress of a long operation."""

    @property
    def position(self) -> int:
        """The last finished position."""

    @property
    def head(self) -> int:
        """The final position."""


S = TypeVar("S", bound=ProgressStep)


LISTS = ("items", "events", "tasks", "logs", "results")
"""The member names of lists in responses."""


def show(data: bytes, output: str | None = None) -> None:
    """Print the data of a response as a table, as one JSON line, or as one JSON line per record.

    Without ``output``, print a table on a terminal and JSON in a pipe.
    """
    if output is None:
        output = "table" if on_terminal() else "json"
    if output == "json":
        write(data)
        return
    import msgspec

    if output == "jsonl":
        for record in records_of(data):
            write(record)
        return
    decoded = msgspec.json.decode(data)
    name = _list_in(decoded) if isinstance(decoded, dict) else None
    listed = decoded if isinstance(decoded, list) else decoded[name] if name is not None else None
    if listed is None or not all(isinstance(record, dict) for record in listed):
        say(msgspec.json.format(data, indent=2).decode())
        return
    show_table(listed)
    rest = {} if isinstance(decoded, list) else decoded
    more = [f"{name} {value}" for name, value in rest.items() if name != "nextCursor" and is_plain(value)]
    if more:
        note(" · ".join(more))
    if "nextCursor" in rest:
        note(f"More: --cursor {rest['nextCursor']}")


def show_value(value: object, options: OutputOptions | None) -> None:
    """Print the result of a command that works directly on the state directory."""
    import msgspec

    show(msgspec.json.encode(value), options.output if options else None)


def _list_in(document: Mapping[str, Any]) -> str | None:
    """Return the member name of the list in a response, if it has one."""
    return next((name for name in LISTS if isinstance(document.get(name), list)), None)


def records_of(data: bytes) -> Iterator[bytes]:
    """Yield the unchanged records of the list in a response, or the response itself if it has no list."""
    import msgspec

    document = msgspec.json.decode(data, type=msgspec.Raw | list[msgspec.Raw] | dict[str, msgspec.Raw])
    if isinstance(document, dict):
        name = _list_in(msgspec.json.decode(data))
        document = data if name is None else msgspec.json.decode(document[name], type=list[msgspec.Raw])
    if isinstance(document, list):
        yield from map(bytes, document)
    else:
        yield data


def write(data: bytes) -> None:
    """Write one line of JSON to standard output, and flush."""
    sys.stdout.buffer.write(escape_json(data) + b"\n")
    sys.stdout.buffer.flush()


def write_lines(lines: Iterable[bytes]) -> None:
    """Write lines of JSON, each with its line feed, to standard output."""
    sys.stdout.buffer.writelines(map(escape_json, lines))


def write_csv(data: bytes) -> None:
    """Write CSV with CR LF line ends to standard output, and flush."""
    lines = data.decode().rstrip("\r\n").split("\r\n")
    sys.stdout.buffer.write("".join(f"{printable(line)}\r\n" for line in lines).encode())
    sys.stdout.buffer.flush()


def say(text: str, *, end: str = "\n") -> None:
    """Write text to standard output, without control characters, and flush."""
    sys.stdout.write(printable(text) + end)
    sys.stdout.flush()


def note(text: str) -> None:
    """Write a line of text to standard error, without control characters."""
    print(printable(text), file=sys.stderr, flush=True)


def on_terminal() -> bool:
    """Return True if standard output is a terminal."""
    return sys.stdout.isatty()


def errors_on_terminal() -> bool:
    """Return True if standard error is a terminal."""
    return sys.stderr.isatty()


class ListOutput:
    """Prints the pages of a list as one list, without keeping them in memory."""

    def __init__(self, output: str | None = None) -> None:
        """Print as ``output``; without it, as a table on a terminal and as JSON in a pipe."""
        self._output = output or ("table" if on_terminal() else "json")
        self._opened = self._filled = False

    def add(self, data: bytes) -> str | None:
        """Print the records of a page. Return the cursor of the next page, if any."""
        import msgspec

        page = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        following = page.pop("nextCursor", None)
        name = next(name for name in LISTS if name in page)
        records = bytes(page.pop(name))
        if self._output == "table":
            show_table(msgspec.json.decode(records))
        elif self._output == "jsonl":
            for record in records_of(records):
                write(record)
        else:
            inner = records[1:-1]
            opening = b"" if self._opened else b'{"' + name.encode() + b'":['
            sys.stdout.buffer.write(opening + (b"," if self._filled and inner else b"") + escape_json(inner))
            self._opened, self._filled = True, self._filled or bool(inner)
            if following is None:
                rest = msgspec.json.encode(page)[1:]
                write(b"]" + (b"," if page else b"") + rest)
        return None if following is None else str(msgspec.json.decode(following))


def show_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a table of records with the configured columns, or all scalar members, up to the width of the terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        note("None.")
        return
    plain = dict.fromkeys(name for row in rows for name, value in row.items() if is_plain(value))
    markers = (name for place, name in enumerate(plain) if name in COLUMNS and (place < 2 or name in ONLY))
    names = [*COLUMNS.get(next(markers, ""), plain)]
    names = [name for name in names if name in plain]
    cells = [[printable(_cell(row.get(name))) for name in names] for row in rows]
    console = Console()
    widths = [max([len(name), *(len(row[place]) for row in cells)]) + 3 for place, name in enumerate(names)]
    while len(names) > 1 and sum(widths[: len(names)]) > console.width:
        names.pop()
    table = Table(box=box.SIMPLE_HEAD)
    for name in names:
        table.add_column(Text(printable(name)))
    for row in cells:
        table.add_row(*map(Text, row[: len(names)]))
    console.print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def is_plain(value: object) -> bool:
    """Return True if a value is a scalar, which fits in a table cell."""
    return not isinstance(value, dict | list)


def last_step(steps: Iterable[S], title: str) -> S:
    """Run a long operation and return its last step. On a terminal, show a progress bar on standard error."""
    shown = _with_progress_bar(steps, title) if sys.stderr.isatty() else steps
    return deque(shown, maxlen=1).pop()


def _with_progress_bar(steps: Iterable[S], title: str) -> Iterator[S]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(" {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None, rate="")
        for step in steps:
            rate = f"{getattr(step, 'events_per_second', 0):,} events/s"
            progress.update(task, completed=step.position, total=step.head, rate=rate)
            yield step
