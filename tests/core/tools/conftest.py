"""Fixtures of the tests of tools."""

from pathlib import Path

import pytest

from tests.core.tools.bench import Workbench


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)
