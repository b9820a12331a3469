"""Servers that the tests of a module share."""

from collections.abc import Iterator

import pytest

from tests.support.gate import Gates
from tests.support.server import Server


@pytest.fixture(scope="module")
def shared_gates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gates]:
    """A model for the shared server; gate names are unique within a module."""
    gates = Gates(tmp_path_factory.mktemp("gates"))
    yield gates
    gates.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, shared_gates: Gates) -> Iterator[Server]:
    """A server whose default model is the mock; provider ``local-exec`` is the gated one."""
    local = {name: value for name, value in shared_gates.settings.items() if name.startswith("local")}
    with Server(tmp_path_factory.mktemp("shared"), **local) as server:
        yield server
