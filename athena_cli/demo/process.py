"""The process of the demo: it starts the plane, kills it at a key, and leaves nothing behind.

The server is a child process on a temporary directory. Only this process can kill it: no request does. The models and
the driver live here, so they survive the server, as models and clients do elsewhere.
"""

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from athena_cli.demo.driver import Driver
from athena_cli.demo.fleet import MODEL, Fleet
from athena_cli.demo.history import HOURS, write_history
from athena_cli.demo.model import ScriptedModel
from athena_cli.demo.terminal import Screen, keys
from athena_cli.exit_codes import Failed, Misused
from athena_cli.private_server import PrivateServer, free_port

AWAY_SECONDS = 3
"""Between the kill of the server and its start, long enough to be seen."""

LOST = "crashed"
"""The status of a run that did not survive its server."""


@contextmanager
def place(keep: Path | None) -> Iterator[Path]:
    """Yield the directory of the demo: a temporary one that is deleted at the end, or one to keep. Raise Misused."""
    if keep is None:
        directory = Path(tempfile.mkdtemp(prefix="athena-demo-"))
    else:
        directory = keep.absolute()
        try:
            directory.mkdir(parents=True, mode=0o700, exist_ok=True)
            if any(directory.iterdir()):
                raise Misused(f"--keep: {directory} is not empty")
        except OSError as error:
            raise Misused(f"--keep: {directory} cannot be used: {error.strerror}") from error
    try:
        yield directory
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)


def settings_of(directory: Path, model_url: str) -> dict[str, str]:
    """Return the settings of the demo's plane, as environment variables."""
    return {
        "ATHENA_STATE_DIR": str(directory / "state"),
        "ATHENA_WORKSPACE_ROOT": str(directory / "workspace"),
        "ATHENA_DEFAULT_PROVIDER": "openai",
        "ATHENA_DEFAULT_MODEL": MODEL,
        "ATHENA_OPENAI_BASE_URL": model_url,
        "ATHENA_ANTHROPIC_BASE_URL": model_url,  # nothing leaves this machine
        "ATHENA_DEMO": "true",
    }


class Demo:
    """A running demo, from its start to its end."""

    def __init__(self, server: PrivateServer, fleet: Fleet, screen: Screen) -> None:
        self._server = server
        self._fleet = fleet
        self._screen = screen
        self._end = asyncio.Event()
        self._acting: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Show the fleet until a key ends the demo, or until cancelled."""
        driving = asyncio.create_task(Driver(self._fleet).drive())
        watching = asyncio.create_task(self._watch())
        try:
            with keys(self._press):
                await self._end.wait()
        finally:
            for task in (driving, watching, self._acting):
                if task is not None:
                    task.cancel()

    def _press(self, key: str) -> None:
        """Act on a key. While an act lasts, only the end is accepted."""
        if key == "q":
            self._end.set()
        elif self._acting is not None and not self._acting.done():
            return
        elif key == "k":
            self._acting = asyncio.create_task(self._kill())
        elif key == "v":
            self._acting = asyncio.create_task(self._verify())

    async def _kill(self) -> None:
        """Kill the server, start it again, and verify the log."""
        before = [run["runId"] for run in await self._fleet.running()]
        pid = await self._server.kill()
        killed = time.monotonic()
        self._screen.say(f"Killed the server (process {pid}) with SIGKILL during {len(before)} runs.")
        await asyncio.sleep(AWAY_SECONDS)
        try:
            await self._server.start(self._fleet.http)
        except Failed as error:
            self._screen.say(str(error))
            self._end.set()
            return
        seconds = time.monotonic() - killed
        statuses = [(await self._fleet.run(run_id))["status"] for run_id in before]
        left = sum(status != LOST for status in statuses)
        pid = self._server.process.pid if self._server.process else 0
        self._screen.say(f"Back as process {pid} after {seconds:.1f} s: {left} of {len(before)} runs go on.")
        await self._verify()

    async def _verify(self) -> None:
        self._screen.say(f"athena verify: {await self._server.verify()}")

    async def _watch(self) -> None:
        """End the demo if the server ends without a key."""
        while True:
            await asyncio.sleep(1)
            process = self._server.process
            acting = self._acting is not None and not self._acting.done()
            if process is not None and process.returncode is not None and not acting:
                self._screen.say(f"The server ended unexpectedly. Its log: {self._server.log_path}")
                self._end.set()
                return


async def show(port: int | None, directory: Path, screen: Screen, *, kept: bool) -> None:
    """Run a demo in a directory until a key or a signal ends it. Raise Failed, and Misused if the port is taken."""
    end_at_signals()
    (directory / "workspace").mkdir()
    model = ScriptedModel()
    settings = settings_of(directory, await model.start())
    began = time.monotonic()
    screen.say(f"Writing {HOURS} hours of history ...")
    fleet = await write_history(settings)
    server = PrivateServer(directory, settings, free_port(port))
    try:
        async with httpx2.AsyncClient(base_url=server.url, timeout=10, trust_env=False) as http:
            fleet.http = http
            await server.start(http)
            screen.banner(server.url, directory, time.monotonic() - began, kept=kept)
            await Demo(server, fleet, screen).run()
    finally:
        with suppress(OSError):  # the terminal may be gone
            screen.say("Ending the demo.")
        await server.stop()
        model.close()


def end_at_signals() -> None:
    """Cancel this task at the first signal that ends programs. Ignore further ones while it cleans up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end() -> None:
        for number in numbers:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, end)
