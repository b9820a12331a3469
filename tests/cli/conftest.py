"""Fixtures of the tests of the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal, attentive


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in an empty directory."""
    with attentive():
        found = Terminal(tmp_path)
        yield found
        found.close()
