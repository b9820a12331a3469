"""The terminal of the demo: its banner, its messages and its keys."""

import os
import shutil
import sys
import termios
import tty
from asyncio import get_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import strftime

from rich.console import Console
from rich.markup import escape

from athena_cli.output.browser import open_browser
from athena_cli.render import on_terminal
from athena_core import __version__

DEFAULT_URL = "http://127.0.0.1:8787"


class Screen:
    """The output of the demo. Emphasis is written only to a terminal."""

    def __init__(self, *, opens: bool) -> None:
        """Open the console in a browser with ``opens``."""
        self._console = Console(highlight=False, soft_wrap=True)
        self._opens = opens

    def say(self, text: str) -> None:
        """Print a message with the time of day."""
        self._console.print(f"  [dim]{strftime('%H:%M:%S')}[/dim]  {escape(text)}")

    def banner(self, url: str, directory: Path, seconds: float, *, kept: bool) -> None:
        """Print the addresses, commands to try, and the keys. Open the console."""
        athena = escape(program())
        fate = "kept" if kept else "deleted at the end"
        lines = [
            "",
            f"  [bold]Athena {__version__}[/bold]   demo fleet, ready after {seconds:.0f} s",
            "",
            f"  Console    [bold]{url}[/bold]",
            f"  API docs   {url}/docs",
            f"  Files      {escape(str(directory))} ({fate})",
            "  Models     scripted: nothing leaves this machine, nothing costs money",
            "",
            "  Try in another terminal:",
            *([f"    export ATHENA_API_BASE_URL={url}"] if url != DEFAULT_URL else []),
            f"    {athena} top",
            f'    {athena} run "Why did sales of pears rise?"',
            f"    {athena} ps",
            f"    {athena} asks",
            "",
        ]
        end = "end the demo" if kept else "end the demo and forget it"
        if has_keys():
            lines += [
                "  Keys       [bold]k[/bold]  kill the server with SIGKILL, start it again, verify the log",
                "             [bold]v[/bold]  verify the log",
                f"             [bold]q[/bold]  {end} (or Ctrl-C)",
            ]
        else:
            lines.append(f"  Ctrl-C to {end}.")
        self._console.print("\n".join([*lines, ""]))
        if self._opens and on_terminal():
            open_browser(url)


def program() -> str:
    """Return the words that start this program from this directory."""
    if shutil.which("athena"):
        return "athena"
    name = Path(sys.argv[0])
    return os.path.relpath(name) if name.name == "athena" else "python -m athena_cli"


def has_keys() -> bool:
    """Return True if keys can be pressed."""
    return sys.stdin.isatty() and on_terminal()


@contextmanager
def keys(press: Callable[[str], None]) -> Iterator[None]:
    """Call ``press`` with each key while the context lasts. Do nothing without a terminal."""
    if not has_keys():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = get_running_loop()

    def read() -> None:
        typed = os.read(terminal, 64)
        if not typed:  # the terminal is gone
            loop.remove_reader(terminal)
        for key in typed.decode(errors="replace").lower():
            press(key)

    tty.setcbreak(terminal)
    loop.add_reader(terminal, read)
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
