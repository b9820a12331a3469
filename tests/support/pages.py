"""The code blocks of a how-to page: taken one by one, in their order, and run as a reader would."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from tests.support import tree
from tests.support.api import soon
from tests.support.nginx import free_port

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
GENERATED = re.compile(r"^<!-- ([\w.-]+): begin .*?^<!-- \1: end -->$", re.DOTALL | re.MULTILINE)
SECONDS = 120
PROFILE, RUN = "hp_01M87A", "run_01M87A"
"""The ids that the pages show."""


def blocks(name: str) -> list[tuple[str, str]]:
    """Return the blocks of a page that can run, each with its language.

    Parts that ``docs.generate`` writes are left out, and so are blocks of ``text``, which show output.
    """
    found = FENCE.findall(GENERATED.sub("", (tree.ROOT / name).read_text("utf-8")))
    return [(language, text) for language, text in found if language != "text"]


class Page:
    """The blocks of a page. Leaving the context fails if one of them was not taken."""

    def __init__(self, name: str, **changes: str) -> None:
        self.name = name
        self.changes = changes
        self._left = blocks(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            assert not self._left, f"{self.name}: no test runs\n{self._left[0][1]}"

    def take(self, language: str) -> str:
        """Return the next block, which must be in this language, with the changes of this machine."""
        assert self._left, f"{self.name} has no further block"
        found, text = self._left.pop(0)
        assert found == language, f"{self.name}: expected {language}, found {found}:\n{text}"
        return self.changed(text)

    def leave(self) -> None:
        """Leave the other blocks to another test."""
        self._left.clear()

    def changed(self, text: str) -> str:
        """Return a text with the changes of this machine."""
        for old, new in self.changes.items():
            text = text.replace(old, new)
        return text


class Shell:
    """A shell in a directory, whose ``athena`` is the one under test; keyword arguments are settings."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ATHENA_", "NO_COLOR"))}
        programs = directory / "programs"
        programs.mkdir()
        for name, words in {"athena": "-m athena_cli", "python": ""}.items():
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = {
            **kept,
            **{f"ATHENA_{name.upper()}": value for name, value in settings.items()},
            "PATH": f"{programs}:{kept['PATH']}",
            "PYTHONPATH": f"{tree.ROOT}:{tree.ROOT / 'clients' / 'python'}",
        }

    def run(self, script: str, code: int = 0, seconds: float = SECONDS) -> str:
        """Run a script until its first error. Return what it printed; fail if it ends with another exit code."""
        done = subprocess.run(
            ["sh", "-euc", script],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == code, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def begin(self, script: str) -> "subprocess.Popen[str]":
        """Start a script that goes on, in a process group of its own. Its output can be read."""
        return subprocess.Popen(
            ["sh", "-euc", f"exec {script}"],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )


class Terminal(Shell):
    """A new terminal for each block of a page: nothing of an earlier one is left, and ``athena`` is not on its path.

    The program is where ``make`` puts it in the source, which is the directory.
    """

    def __init__(self, directory: Path, home: Path, **settings: str) -> None:
        super().__init__(directory, **settings)
        programs, built = directory / "programs", directory / ".venv" / "bin"
        built.mkdir(parents=True)
        (programs / "athena").unlink()
        (built / "athena").write_text(
            f"#!{sys.executable}\nfrom athena_cli.app import main\n\nraise SystemExit(main())\n"
        )
        (built / "athena").chmod(0o755)
        kept = {name: value for name, value in self.environment.items() if name.startswith(("ATHENA_", "PYTHONPATH"))}
        self.environment = {**kept, "HOME": str(home), "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin"}


def words_of(shell: Shell, program: str, script: str) -> list[list[str]]:
    """Run a script of a page in which something that records its words stands in for a program. Return them."""
    place = shell.directory / "programs" / program
    place.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    place.chmod(0o755)
    return [json.loads(line) for line in shell.run(script).splitlines()]


@contextmanager
def served(shell: Shell, command: str) -> Iterator[None]:
    """Serve in the shell's directory, on a port of this machine, with the command of a page. Later commands call it."""
    port = free_port()
    url = shell.environment["ATHENA_API_BASE_URL"] = f"http://127.0.0.1:{port}"
    process = shell.begin(f"{command.strip()} --port {port}")
    try:
        for _ in soon():
            if is_ready(f"{url}/readyz"):
                break
            assert process.poll() is None
        yield
    finally:
        process.terminate()
        process.communicate()


def is_ready(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False
