"""Fixtures of the tests of the command line."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in an empty directory."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # commands inherit deafness to Ctrl-C
    found = Terminal(tmp_path)
    yield found
    found.close()
    signal.signal(signal.SIGINT, before)
