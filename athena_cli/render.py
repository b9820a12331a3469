"""Output of commands: tables on a terminal, unchanged JSON in a pipe."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeAlias, TypeVar

from cyclopts import Parameter

from athena_cli.output.options import ListOptions
from athena_core.text import escape_json, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

TERMINAL_CELLS = 80

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


def show(
    data: bytes, output: str | None = None, operation_id: str | None = None, options: ListOptions | None = None
) -> None:
    """Print the data of a response as text, as one JSON line, or as one JSON line per record.

    Without ``output``, print text on a terminal and JSON in a pipe. ``operation_id`` chooses what is shown. Raise
    Misused if ``options`` name an unknown column.
    """
    chosen = options or ListOptions()
    if output is None:
        output = "table" if on_terminal() or chosen.columns else "json"
    if output == "json" and not chosen.quiet:
        write(data)
        return
    if output == "jsonl" and not chosen.quiet:
        for record in records_of(data):
            write(record)
        return
    import msgspec

    decoded = msgspec.json.decode(data)
    name = _list_in(decoded) if isinstance(decoded, dict) else None
    listed = decoded if isinstance(decoded, list) else decoded[name] if name is not None else None
    if listed is None or not all(isinstance(record, dict) for record in listed):
        show_record(decoded, operation_id)
        return
    show_table(listed, operation_id, chosen)
    rest = {} if isinstance(decoded, list) else decoded
    if "nextCursor" in rest and not chosen.quiet:
        note(f"More: --all, or --cursor {rest['nextCursor']}")


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

    def __init__(
        self, output: str | None = None, operation_id: str | None = None, options: ListOptions | None = None
    ) -> None:
        """Print as ``output``; without it, as a table on a terminal and as JSON in a pipe."""
        self._options = options or ListOptions()
        self._operation_id = operation_id
        self._output = output or ("table" if on_terminal() or self._options.columns else "json")
        self._opened = self._filled = False

    def add(self, data: bytes) -> str | None:
        """Print the records of a page. Return the cursor of the next page, if any."""
        import msgspec

        page = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        following = page.pop("nextCursor", None)
        name = next(name for name in LISTS if name in page)
        records = bytes(page.pop(name))
        if self._output == "table" or self._options.quiet:
            show_table(msgspec.json.decode(records), self._operation_id, self._options)
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


def show_table(
    rows: Sequence[Mapping[str, Any]], operation_id: str | None = None, options: ListOptions | None = None
) -> None:
    """Print a table of records up to the width of the terminal, or their ids."""
    from athena_cli.output.tables import columns_of, ids_of, table_lines

    chosen = options or ListOptions()
    if chosen.quiet:
        for id in ids_of(operation_id, rows):
            say(id)
    elif not rows:
        note("None.")
    else:
        draw(table_lines(columns_of(operation_id, rows, chosen.columns), rows, width()))


def show_record(document: object, operation_id: str | None = None) -> None:
    """Print a record as fields, texts and small tables; anything else as JSON."""
    if isinstance(document, dict):
        from athena_cli.output.records import record_lines

        draw(record_lines(document, operation_id, width()))
    elif document is None:
        note("None.")
    else:
        import msgspec

        say(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def draw(lines: "Iterable[RenderableType]") -> None:
    """Print lines of text, with colours on a terminal."""
    from rich.console import Console

    console = Console(width=width(), highlight=False)
    for line in lines:
        console.print(line, no_wrap=isinstance(line, str), soft_wrap=False)


def width() -> int:
    """Return the width of the terminal. Output that is no terminal has no end."""
    from shutil import get_terminal_size

    from athena_cli.output.tables import WIDE

    return get_terminal_size((TERMINAL_CELLS if on_terminal() else WIDE, 24)).columns


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
