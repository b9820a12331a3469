"""The command that shows a demo fleet."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def demo(
    *,
    port: int | None = None,
    open_browser: Annotated[bool, Parameter(name="--open")] = True,
    keep: Path | None = None,
) -> None:
    """Show a demo fleet: a temporary server with scripted models and a day of history.

    It needs no key and no network. Ctrl-C ends it and deletes its files. A key in its terminal kills the server with
    SIGKILL and starts it again, to show that every run continues.

    Args:
        port: Listen port of the console; 8787 if absent and free, else any free port.
        open_browser: Open the console in a browser.
        keep: Empty directory for the log and the workspace of the demo, to keep them.
    """
    import asyncio
    from contextlib import suppress

    from athena_cli.demo.process import place, show
    from athena_cli.demo.terminal import Screen
    from athena_cli.private_server import free_port

    free_port(port)  # a taken port is refused before the history is written
    with place(keep) as directory, suppress(asyncio.CancelledError):
        asyncio.run(show(port, directory, Screen(opens=open_browser), kept=keep is not None))
