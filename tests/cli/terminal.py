"""The terminal: commands as processes of their own, on one state directory, as a person or a script runs them."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, TextIO

from tests.support.api import PATIENCE_SECONDS, soon
from tests.support.forked import Command
from tests.support.server import Server

ROOT = Path(__file__).resolve().parents[2]
STYLES = re.compile(r"\x1b\[[0-9;]*m")
NOWHERE = "http://127.0.0.1:9"  # nothing listens on the port of discard


class Result:
    """The exit code and output of a command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def data(self) -> Any:
        """Its one line of JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out)


class Running:
    """A running command."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str], directory: Path) -> None:
        out, theirs = os.pipe()
        err, complaints = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        self._process = Command(arguments, environment, directory, (nothing, theirs, complaints))
        for stream in (nothing, theirs, complaints):
            os.close(stream)
        self.stdout = os.fdopen(out)
        self.stderr = os.fdopen(err)
        self.lines: list[str] = []

    def line(self) -> str:
        line = self.stdout.readline()
        assert line, self.stderr.read()
        self.lines.append(line.rstrip("\n"))
        return self.lines[-1]

    def read_until(self, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read lines of JSON until one matches."""
        while not done(record := json.loads(self.line())):
            pass
        return dict(record)

    def complaint(self, beginning: str) -> str:
        """Return the next line of standard error with this beginning."""
        for line in self.stderr:
            if line.startswith(beginning):
                return line.rstrip("\n")
        raise AssertionError(f"it never said {beginning!r}")

    @property
    def ended(self) -> bool:
        """Return True if it has ended."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """Wait for the end. Return the exit code."""
        return self._process.wait(PATIENCE_SECONDS)

    def end(self, number: signal.Signals | None = None) -> Result:
        """Send a signal, if one is given, and wait for the end."""
        if number is not None:
            self._process.send_signal(number)
        complaints: list[str] = []
        reader = Thread(target=lambda: complaints.append(_rest(self.stderr)))
        reader.start()
        out = _rest(self.stdout)
        reader.join()
        self.lines += out.splitlines()
        return Result(self.wait(), out, complaints[0])


def _rest(stream: TextIO) -> str:
    """Read the rest of a stream, unless it was closed."""
    return "" if stream.closed else stream.read()


class Screen:
    """A command that runs on a terminal of 80 columns."""

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str], directory: Path) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        given = {**environment, "TERM": "xterm", "NO_COLOR": "1"}
        self._process = Command(arguments, given, directory, (theirs, theirs, theirs), new_session=True)
        os.close(theirs)
        self.text = ""

    def read_until(self, text: str) -> str:
        """Return everything shown so far, without styles, once it contains a text."""
        for _ in soon(PATIENCE_SECONDS):
            if text in self.plain:
                break
            self._read()
        return self.plain

    @property
    def plain(self) -> str:
        return STYLES.sub("", self.text)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def echoes(self) -> bool:
        """Return True if the terminal echoes what a person types, and passes it on line by line."""
        flags = termios.tcgetattr(self._ours)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if one is given, read the rest and return the exit code."""
        if number is not None and self._process.poll() is None:
            self._process.send_signal(number)
        while self._read():
            pass
        return self._process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        self.end(signal.SIGKILL)
        os.close(self._ours)

    def _read(self) -> bool:
        """Read new output, within a second. Return False at the end."""
        ready = select.poll()  # select takes no descriptor above 1,023, of which other tests may hold many
        ready.register(self._ours, select.POLLIN)
        if not ready.poll(1_000):
            return True
        try:
            shown = os.read(self._ours, 65_536)
        except OSError:  # the other end is closed
            return False
        self.text += shown.decode(errors="replace").replace("\r\n", "\n")
        return bool(shown)


class Terminal:
    """Runs commands; keyword arguments are settings without their prefix, in lower case."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state_dir = directory / "state"
        self.settings = {"state_dir": str(self.state_dir), "api_base_url": NOWHERE, "cli_transport": "local"}
        self.variables: dict[str, str] = {}
        self._running: list[Running] = []
        self._screens: list[Screen] = []

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a command."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
        given = {f"ATHENA_{name.upper()}": value for name, value in {**self.settings, **settings}.items()}
        return {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'clients' / 'python'}", **given, **self.variables}

    def start(self, *arguments: str, **settings: str) -> Running:
        running = Running(arguments, self.environment(settings), self.directory)
        self._running.append(running)
        return running

    def run(self, *arguments: str, **settings: str) -> Result:
        return self.start(*arguments, **settings).end()

    def seen(self, *arguments: str, **settings: str) -> str:
        """Return the output on a screen of 200 columns."""
        ours, theirs = pty.openpty()
        environment = {**self.environment(settings), "COLUMNS": "200", "TERM": "xterm", "NO_COLOR": "1"}
        process = Command(arguments, environment, self.directory, (theirs, theirs, theirs))
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # the other end is closed
            while part := os.read(ours, 65_536):
                shown += part
        os.close(ours)
        process.wait(PATIENCE_SECONDS)
        return shown.decode()

    def screen(self, *arguments: str, **settings: str) -> Screen:
        """Start a command on a terminal of its own."""
        self._screens.append(Screen(arguments, self.environment(settings), self.directory))
        return self._screens[-1]

    @contextmanager
    def server(self, port: int = 0, /, **settings: str) -> Iterator[Running]:
        """A server; commands talk to it from now on."""
        running = self.start("api", "serve", "--port", str(port), **settings)
        self.settings |= {
            "api_base_url": f"http://127.0.0.1:{json.loads(running.line())['port']}",
            "cli_transport": "auto",
        }
        try:
            yield running
        finally:
            running.end(signal.SIGKILL)

    @contextmanager
    def served(self, **settings: str) -> Iterator[Server]:
        """A server that starts faster and is judged afterwards; commands talk to it from now on."""
        with Server(self.directory, **{**self.settings, **settings}) as server:
            self.settings |= {"api_base_url": server.url, "cli_transport": "auto"}
            yield server

    def close(self) -> None:
        """End all running commands."""
        for running in self._running:
            running.end(signal.SIGKILL)
            running.stdout.close()
            running.stderr.close()
        for screen in self._screens:
            screen.close()


@contextmanager
def attentive() -> Iterator[None]:
    """Reset SIGINT while commands are started: they would inherit that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
