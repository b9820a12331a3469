"""Output of commands: tables on a terminal, unchanged JSON in a pipe."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeAlias, TypeVar

from cyclopts import Parameter

from athena_cli.output.options import ListOptions
from athena_cli.output.shapes import LISTS
from athena_core.text import escape_json, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

TERMINAL_CELLS = 80

Output: TypeAlias = Literal["table", "json", "jsonl"]
OUTPUT = Parameter(alias="-o", group="Output", metavar="table|json|jsonl", show_choices=False)


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


def show(
    data: bytes, output: str | None = None, operation_id: str | None = None, options: ListOptions | None = None
) -> None:
    """Print the data of a response as text, as one JSON line, or as one JSON line per record.

    Without ``output``, print text on a terminal and JSON in a pipe. ``operation_id`` chooses the columns or fields.
    Raise Misused if ``options`` name an unknown column.
    """
    chosen = options or ListOptions()
    if output is None:
        output = "table" if on_terminal() or chosen.columns else "json"
    if output == "json" and not chosen.quiet:
        write_document(data)
        return
    if output == "jsonl" and not chosen.quiet:
        for record in records_of(data):
            write(record)
        return
    if chosen.quiet:
        for id in ids_in(data, operation_id):
            say(id)
        return
    lines, cursor = shown(data, operation_id, chosen)
    draw(lines)
    if cursor is not None:
        note(f"More: --all, or --cursor {cursor}")


def shown(data: bytes, operation_id: str | None, options: ListOptions) -> tuple[Iterable["RenderableType"], str | None]:
    """Return the lines of a response, and the cursor of its next page. Raise Misused for an unknown column."""
    import msgspec

    from athena_cli.output.columns import TABLES
    from athena_cli.output.records import record_lines
    from athena_cli.output.tables import columns_of, table_lines

    decoded = msgspec.json.decode(data)
    rows = rows_of(decoded, operation_id)
    if rows is None:
        if isinstance(decoded, dict):
            return record_lines(decoded, operation_id, width()), None
        return ["None." if decoded is None else msgspec.json.format(data, indent=2).decode()], None
    cursor = decoded.get("nextCursor") if isinstance(decoded, dict) else None
    lines = table_lines(columns_of(operation_id, rows, options.columns), rows, width()) if rows else iter(["None."])
    table = TABLES.get(operation_id or "")
    below = table.below if table else None
    words = below(decoded) if rows and below else ""
    return (chain(lines, [words]) if words else lines), cursor


def ids_in(data: bytes, operation_id: str | None) -> Iterator[str]:
    """Yield the ids of the records of a response."""
    import msgspec

    from athena_cli.output.tables import ids_of

    decoded = msgspec.json.decode(data)
    rows = rows_of(decoded, operation_id)
    yield from ids_of(operation_id, [decoded] if rows is None else rows)


def rows_of(document: Any, operation_id: str | None) -> list[Any] | None:
    """Return the records of a response that is a list; None for any other."""
    from athena_cli.output.columns import TABLES
    from athena_cli.output.views.record_views import VIEWS

    if operation_id in VIEWS or (operation_id is not None and operation_id not in TABLES):
        return None
    name = _list_in(document) if isinstance(document, dict) else None
    listed = document if isinstance(document, list) else document[name] if name is not None else None
    return listed if listed is not None and all(isinstance(record, dict) for record in listed) else None


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


def write_document(data: bytes) -> None:
    """Write a JSON document to standard output: indented on a terminal, otherwise unchanged in one line."""
    import msgspec

    write(msgspec.json.format(data, indent=2) if on_terminal() else data)


def write_lines(lines: Iterable[bytes]) -> None:
    """Write lines of JSON, each with its line feed, to standard output."""
    sys.stdout.buffer.writelines(map(escape_json, lines))


def write_csv(data: bytes) -> None:
    """Write CSV with CR LF line ends to standard output, and flush."""
    lines = data.decode().rstrip("\r\n").split("\r\n")
    sys.stdout.buffer.write("".join(f"{printable(line)}\r\n" for line in lines).encode())
    sys.stdout.buffer.flush()


def write_text(text: str) -> None:
    """Write text to standard output as it is, for another program, and flush."""
    sys.stdout.buffer.write(text.encode(errors="replace"))
    sys.stdout.buffer.flush()


def say(text: str, *, end: str = "\n") -> None:
    """Write text to standard output, without control characters, and flush."""
    sys.stdout.write(printable(text) + end)
    sys.stdout.flush()


def note(text: str) -> None:
    """Write a line of text to standard error, without control characters."""
    print(printable(text), file=sys.stderr, flush=True)


def write_errors(text: str) -> None:
    """Write text to standard error as it is, and flush. Its words must be printable."""
    sys.stderr.write(text)
    sys.stderr.flush()


def on_terminal() -> bool:
    """Return True if standard output is a terminal."""
    return sys.stdout.isatty()


def errors_on_terminal() -> bool:
    """Return True if standard error is a terminal."""
    return sys.stderr.isatty()


class ListOutput:
    """Prints the pages of a list as one list, without keeping them in memory."""

    def __init__(
        self, output: str | None = None, operation_id: str | None = None, options: ListOptions | None = None
    ) -> None:
        """Print as ``output``; without it, as a table on a terminal and as JSON in a pipe."""
        self._options = options or ListOptions()
        self._operation_id = operation_id
        self._output = output or ("table" if on_terminal() or self._options.columns else "json")
        self._opened = self._filled = False
        self._rest: dict[str, Any] = {}

    def add(self, data: bytes) -> str | None:
        """Print the records of a page. Return the cursor of the next page, if any."""
        import msgspec

        page = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        following = page.pop("nextCursor", None)
        name = next(name for name in LISTS if name in page)
        records = bytes(page.pop(name))
        self._rest |= page
        if self._options.quiet:
            for id in ids_in(records, self._operation_id):
                say(id)
        elif self._output == "table":
            self._add_table(msgspec.json.decode(records), last=following is None)
        elif self._output == "jsonl":
            for record in records_of(records):
                write(record)
        else:
            inner = records[1:-1]
            opening = b"" if self._opened else b'{"' + name.encode() + b'":['
            sys.stdout.buffer.write(opening + (b"," if self._filled and inner else b"") + escape_json(inner))
            self._opened, self._filled = True, self._filled or bool(inner)
            if following is None:
                rest = msgspec.json.encode(self._rest)[1:]
                write(b"]" + (b"," if self._rest else b"") + rest)
        return None if following is None else str(msgspec.json.decode(following))

    def _add_table(self, rows: list[Any], *, last: bool) -> None:
        """Print the rows of a page, below the head of the first one."""
        from athena_cli.output.tables import columns_of, table_lines

        if rows:
            columns = columns_of(self._operation_id, rows, self._options.columns)
            draw(islice(table_lines(columns, rows, width()), int(self._filled), None))
            self._filled = True
        elif last and not self._filled:
            note("None.")


def stream_printer(output: str | None, operation_id: str) -> Callable[[bytes], None]:
    """Return a printer of the records of a stream: as a line of a table on a terminal, otherwise as a line of JSON."""
    if output in {"json", "jsonl"} or (output is None and not on_terminal()):
        return write
    import msgspec

    from athena_cli.output.tables import streamed_line

    def show_line(record: bytes) -> None:
        draw([streamed_line(operation_id, msgspec.json.decode(record), width())])

    return show_line


def draw(lines: "Iterable[RenderableType]") -> None:
    """Print lines of text, with colours on a terminal."""
    from rich.console import Console

    console = Console(width=width(), highlight=False, markup=False)
    for line in lines:
        if line == "None.":
            note("None.")
        else:
            console.print(line, soft_wrap=True)


def width() -> int:
    """Return the width of the terminal. Other output has no limit."""
    from shutil import get_terminal_size

    from athena_cli.output.tables import WIDE

    return get_terminal_size((TERMINAL_CELLS, 24)).columns if on_terminal() else WIDE


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
