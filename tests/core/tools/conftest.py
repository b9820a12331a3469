"""Fixtures of the tests of tools."""

from pathlib import Path

import pytest

from tests.core.tools.bench import Workbench


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    """A workspace with secrets beside it."""
    return Workbench(tmp_path)
