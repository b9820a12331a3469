"""A list that is printed again and again on one screen, without flicker."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from athena_cli import render
from athena_cli.exit_codes import Misused

if TYPE_CHECKING:
    from athena_cli.output.options import ListOptions

INTERVAL_SECONDS = 2.0


def check_terminal(options: "ListOptions | None", output: str | None) -> bool:
    """Return True if a list is to be watched. Raise Misused where it cannot be."""
    if options is None or not options.watch:
        return False
    if output in {"json", "jsonl"} or options.quiet or not render.on_terminal():
        raise Misused("--watch needs a terminal and prints tables only. Use `athena events tail` in a pipe")
    return True


async def watch(read: Callable[[], Awaitable[bytes]], operation_id: str, options: "ListOptions") -> None:
    """Print what ``read`` returns every two seconds, until cancelled."""
    import asyncio

    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from athena_cli.output.values import now

    console = Console(highlight=False, markup=False)
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            lines, _ = render.shown(await read(), operation_id, options)
            head = Text(f"{now().astimezone():%H:%M:%S}  every {INTERVAL_SECONDS:g} s, Ctrl-C ends", style="dim")
            live.update(Group(head, *lines), refresh=True)
            await asyncio.sleep(INTERVAL_SECONDS)
