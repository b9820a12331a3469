"""Requests that commands send to a control plane: connection options, sending, and printing the response."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from cyclopts import Group, Parameter

from athena_cli import render
from athena_cli.exit_codes import Failed, Misused
from athena_cli.flags import AS_OF, CONNECTION
from athena_cli.output.options import ListOptions, past_of
from athena_cli.output.shapes import NOTES
from athena_cli.render import OUTPUT, Output

if TYPE_CHECKING:
    from athena_cli.transport import Transport
    from athena_core.settings import Settings

PAGE_ITEMS_MAX = 500
WATCH_SECONDS = 2.0

T = TypeVar("T")


HIDDEN = Group("Connection", show=False)  # one page of help for all commands: `athena help connection`


def _connection(flag: str, metavar: str) -> Parameter:
    return Parameter(group=HIDDEN, metavar=metavar, help=CONNECTION[flag])


@Parameter(name="*")
@dataclass(frozen=True)
class ServerOptions:
    """Connection and output options of a command whose `--identity` is not the caller's."""

    transport: Annotated[Literal["api", "local", "auto"] | None, _connection("--transport", "api|local|auto")] = None
    api_base_url: Annotated[str | None, _connection("--api-base-url", "URL")] = None
    api_timeout_ms: Annotated[str | None, _connection("--api-timeout-ms", "MS")] = None
    output: Annotated[Output | None, OUTPUT] = None
    """Output format: a table, one JSON document, or a JSON line per record. Default: table on a terminal, else json."""

    @property
    def caller(self) -> str | None:
        """The identity that the options name, if any."""
        return None

    @property
    def past(self) -> str | None:
        """The moment in the past that a read is about, if any. Raise Misused."""
        return None


@Parameter(name="*")
@dataclass(frozen=True)
class ConnectionOptions(ServerOptions):
    """Connection and output options of a command. Defaults come from the settings."""

    identity: Annotated[str | None, _connection("--identity", "NAME")] = None

    @property
    def caller(self) -> str | None:
        return self.identity


@dataclass(frozen=True)
class PastOption:
    """The option of a command that can read the past."""

    as_of: Annotated[str | None, Parameter(metavar="MOMENT", help=AS_OF)] = None

    @property
    def past(self) -> str | None:
        """The moment to send. Raise Misused."""
        return None if self.as_of is None else past_of(self.as_of)


@Parameter(name="*")
@dataclass(frozen=True)
class ServerReadOptions(PastOption, ServerOptions):
    """Options of a command that can read the past, and whose `--identity` is not the caller's."""


@Parameter(name="*")
@dataclass(frozen=True)
class ReadOptions(PastOption, ConnectionOptions):
    """Connection and output options of a command that can read the past."""


def output_of(connection: ServerOptions | None) -> Output | None:
    """Return the output format of the options, if given."""
    return connection.output if connection else None


def machine_output_of(connection: ServerOptions | None) -> Literal["json", "jsonl"] | None:
    """Return the output format if it is a JSON format, else None."""
    output = output_of(connection)
    return output if output in {"json", "jsonl"} else None


def settings_of(connection: ServerOptions | None = None) -> "Settings":
    """Return the settings, overridden by the flags of this command. Raise ConfigError or Misused."""
    from athena_core.settings import SETTINGS, load

    settings = load()
    flags = connection or ServerOptions()
    given = {
        "ATHENA_CLI_TRANSPORT": ("--transport", flags.transport),
        "ATHENA_API_BASE_URL": ("--api-base-url", flags.api_base_url),
        "ATHENA_CLI_API_TIMEOUT_MS": ("--api-timeout-ms", flags.api_timeout_ms),
        "ATHENA_CLI_IDENTITY": ("--identity", flags.caller),
    }
    changes: dict[str, Any] = {}
    for setting in SETTINGS:
        flag, text = given.get(setting.variable, ("", None))
        if text is not None:
            try:
                changes[setting.name] = setting.parse(text)
            except ValueError as error:
                raise Misused(f"{flag}: {error}, not {text!r}") from error
    return settings.replace(**changes)


def call(connection: ServerOptions | None, work: "Callable[[Transport], Awaitable[T]]", *, detached: bool = False) -> T:
    """Connect to the plane, await ``work`` on the transport, and return its result. Raise ConfigError or Exit."""
    past = connection.past if connection else None
    return call_with(settings_of(connection), work, detached=detached, past=past)


def call_with(
    settings: "Settings",
    work: "Callable[[Transport], Awaitable[T]]",
    *,
    detached: bool = False,
    past: str | None = None,
) -> T:
    """Do ``call`` with settings, and reads as of a moment in the past."""
    import asyncio

    from athena_cli.transport import connect

    async def connected() -> T:
        async with connect(settings, detached=detached, past=past) as transport:
            return await work(transport)

    return asyncio.run(connected())


def request_data(connection: ServerOptions | None, operation_id: str, **parts: Any) -> bytes:
    """Send one request and return the ``data`` of the response, as JSON."""
    return call(connection, lambda transport: transport.request(operation_id, **parts))


def request(
    connection: ServerOptions | None,
    operation_id: str,
    *,
    detached: bool = False,
    reshape: Callable[[Any], Any] | None = None,
    problem: Callable[[Any], str | None] | None = None,
    lines: Callable[[Any], list[str]] | None = None,
    options: ListOptions | None = None,
    cut: Callable[[bytes], bytes] | None = None,
    **parts: Any,
) -> None:
    """Send one request and print the response: cut or reshaped, or as ``lines`` of text without a JSON format.

    Raise Failed if ``problem`` finds an error in the response.
    """
    watched = check_terminal(options, connection)

    async def work(transport: "Transport") -> tuple[bytes, str | None]:
        async def read() -> bytes:
            return reshaped(await transport.request(operation_id, wait=not detached, **parts))

        if watched and options is not None:
            await watch(read, operation_id, options)
        return await transport.request(operation_id, wait=not detached, **parts), transport.following

    def reshaped(data: bytes) -> bytes:
        data = data if cut is None else cut(data)
        return data if reshape is None else json.encode(reshape(json.decode(data)))

    from msgspec import json

    data, following = call(connection, work, detached=detached)
    if lines is not None and machine_output_of(connection) is None:
        for line in lines(json.decode(data)):
            render.say(line)
        return
    data = reshaped(data)
    if (parts.get("query") or {}).get("format") == "csv":
        render.write_csv(data)
        if following is not None:
            render.note(f"More: --cursor {following}")
    else:
        render.show(data, output_of(connection), operation_id, options)
    if operation_id in NOTES and (advice := NOTES[operation_id](json.decode(data))) is not None:
        render.note(advice)
    if problem is not None and (wrong := problem(json.decode(data))) is not None:
        raise Failed(wrong, printed=True)


def check_terminal(options: ListOptions | None, connection: ServerOptions | None) -> bool:
    """Return True if a list is to be watched. Raise Misused where it cannot be."""
    if options is None or not options.watch:
        return False
    if connection is not None and connection.past is not None:
        raise Misused("--watch cannot be combined with --as-of: the past does not change")
    if machine_output_of(connection) or options.quiet or not render.on_terminal():
        raise Misused("--watch needs a terminal and prints tables only. In a pipe, use `athena events tail`")
    return True


async def watch(read: Callable[[], Awaitable[bytes]], operation_id: str, options: ListOptions) -> None:
    """Print the response of ``read`` every two seconds, until cancelled."""
    import asyncio

    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from athena_cli.output.values import now

    console = Console(highlight=False, markup=False)
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            lines, _ = render.shown(await read(), operation_id, options)
            head = Text(f"{now().astimezone():%H:%M:%S}  every {WATCH_SECONDS:g} s, Ctrl-C ends", style="dim")
            live.update(Group(head, *lines), refresh=True)
            await asyncio.sleep(WATCH_SECONDS)


def show_list(
    connection: ServerOptions | None,
    read: "Callable[[Transport], Awaitable[bytes]]",
    operation_id: str,
    options: ListOptions | None,
) -> None:
    """Print a list that ``read`` returns as JSON, once or again and again."""
    watched = check_terminal(options, connection)

    async def work(transport: "Transport") -> bytes:
        if watched and options is not None:
            await watch(lambda: read(transport), operation_id, options)
        return await read(transport)

    render.show(call(connection, work), output_of(connection), operation_id, options)


def request_all(
    connection: ServerOptions | None,
    operation_id: str,
    *,
    query: dict[str, str | None],
    options: ListOptions | None = None,
    cut: Callable[[bytes], bytes] | None = None,
    **parts: Any,
) -> None:
    """Request all pages of a list, up to one that ``cut`` makes the last, and print them as one list."""

    async def work(transport: "Transport") -> None:
        pages = render.ListOutput(output_of(connection), operation_id, options)
        query["limit"] = query.get("limit") or str(PAGE_ITEMS_MAX)
        if query.get("format") == "csv":
            render.write_csv(await transport.request(operation_id, query=query, **parts))
            while transport.following is not None:
                query["cursor"] = transport.following
                page = await transport.request(operation_id, query=query, **parts)
                render.write_csv(page.partition(b"\n")[2])  # without the header row
            return
        following: str | None = ""
        while following is not None:
            page = await transport.request(operation_id, query=query, **parts)
            following = pages.add(page if cut is None else cut(page))
            query["cursor"] = following
            query.pop("counts", None)  # the counts on the first page are of the whole list

    call(connection, work)


def follow(connection: ServerOptions | None, operation_id: str, *, query: dict[str, str | None], **parts: Any) -> None:
    """Print the records of a stream as they arrive, until Ctrl-C. Then print the last cursor.

    On a terminal a record is a line of text, otherwise a line of JSON.
    """
    from contextlib import aclosing

    last: str | None = None
    show = render.stream_printer(output_of(connection), operation_id)

    def lost(reason: str) -> None:
        render.note(f"Reconnecting: {reason}")

    async def work(transport: "Transport") -> None:
        nonlocal last
        cursor = query.pop("after", None)
        async with aclosing(transport.follow(operation_id, query=query, cursor=cursor, lost=lost, **parts)) as items:
            async for item in items:
                if item.cursor is None:  # live text, not a recorded entry
                    continue
                if item.record is not None:
                    show(item.record)
                last = item.cursor

    try:
        call(connection, work)
    finally:
        if last is not None:
            render.note(f"Cursor: {last}")


def text_of(given: str, flag: str) -> str:
    """Return a text, or for ``-`` the text on standard input without its last line end. Raise Misused."""
    if given != "-":
        return given
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise Misused(f"{flag}: standard input is not UTF-8") from error


def read_json(path: str, flag: str) -> dict[str, Any]:
    """Return the JSON object in a file; `-` is standard input. Raise Misused."""
    import msgspec

    try:
        text = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return msgspec.json.decode(text, type=dict[str, Any])
    except OSError as error:
        raise Misused(f"{flag}: cannot read {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise Misused(f"{flag}: {path} is not a JSON object: {error}") from error
