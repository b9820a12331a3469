"""Fixtures of the tests of the command line."""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from athena_cli import app
from tests.cli.terminal import Result, Terminal, attentive


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in an empty directory."""
    with attentive():
        found = Terminal(tmp_path)
        yield found
        found.close()


class Here(Protocol):
    """Runs a command to its end in this process."""

    def __call__(self, *arguments: str, **settings: str) -> Result:
        """Run with further settings."""


@pytest.fixture
def here(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """For tests that need many commands which end before they do anything."""

    def run(*arguments: str, **settings: str) -> Result:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("ATHENA_")]:
                patch.delenv(name)
            for name, value in terminal.environment(settings).items():
                patch.setenv(name, value)
            patch.chdir(terminal.directory)
            patch.setattr(logging.root, "handlers", list(logging.root.handlers))  # a server configures them for good
            code = app.main(arguments)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture(scope="session")
def runs_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with three runs in two sessions, one after the other, to be copied."""
    directory = tmp_path_factory.mktemp("before")
    terminal = Terminal(directory)
    for session in ("one", "two", "one"):
        done = terminal.run("run", "--session", session, "--input", f"said in {session}", "--transport", "local")
        assert done.code == 0, done.err
    terminal.close()
    return terminal.state_dir


@pytest.fixture
def history(terminal: Terminal, runs_before: Path) -> Terminal:
    """A terminal whose log holds two runs of session ``one`` and one of ``two`` between them."""
    shutil.copytree(runs_before, terminal.state_dir)
    return terminal
