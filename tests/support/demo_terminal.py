"""The demo on a pseudo-terminal, as a person starts it: its output can be read, and its keys pressed."""

import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.api import soon
from tests.support.process import ROOT

READY_SECONDS = 60  # promised


class Terminal:
    """A demo on a pseudo-terminal."""

    def __init__(self, directory: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
        self._own, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "athena_cli", "demo", "--port", "0", "--no-open"],
            env=environment | {"TMPDIR": str(directory), "PYTHONPATH": f"{ROOT}:{ROOT / 'clients' / 'python'}"},
            cwd=directory,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.shown = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while part := os.read(self._own, 4_096):
                self.shown += re.sub(r"\x1b\[[\d;]*m", "", part.decode())
        except OSError:  # the terminal is closed
            return

    def press(self, key: str) -> None:
        os.write(self._own, key.encode())

    def until(self, pattern: str) -> str:
        """Return the first group of a pattern, once it is shown."""
        for _ in soon(10 * READY_SECONDS):
            if found := re.search(pattern, self.shown):
                return found[1]
            assert self.process.poll() is None, self.shown
        raise AssertionError(self.shown)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._own)


@contextmanager
def terminal(directory: Path) -> Iterator[Terminal]:
    found = Terminal(directory)
    try:
        yield found
    finally:
        found.close()
