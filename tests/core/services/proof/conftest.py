"""A log that tests of proofs write by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forged_log import Forge


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Forge]:
    made = Forge(tmp_path)
    yield made
    made.store.close()
