"""Servers that the tests of a module share, and the parts of a plane without a server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from athena_api.lifespan import plane_lifespan
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds
from athena_core.settings import load
from tests.support.gate import Gates
from tests.support.server import Server
from tests.support.workflow_builder import Builder


@pytest.fixture(scope="module")
def shared_gates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gates]:
    """A model for the shared server; gate names are unique within a module."""
    gates = Gates(tmp_path_factory.mktemp("gates"))
    yield gates
    gates.close()


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, shared_gates: Gates, shared_store: dict[str, str]
) -> Iterator[Server]:
    """A server whose default model is the mock; provider ``local-exec`` is the gated one."""
    local = {name: value for name, value in shared_gates.settings.items() if name.startswith("local")}
    with Server(tmp_path_factory.mktemp("shared"), **local, **shared_store) as server:
        yield server


@pytest.fixture(scope="module")
def build(shared: Server) -> Builder:
    return Builder(shared.api)


@pytest.fixture
async def parts(tmp_path: Path, store: dict[str, str]) -> AsyncIterator[ControlPlane]:
    """The parts of a running plane, in this process."""
    settings = {"ATHENA_STATE_DIR": str(tmp_path / "state"), "ATHENA_DATABASE_URL": store.get("database_url", "")}
    found = wire(load(settings, tmp_path), SystemClock(), SystemIds())
    async with plane_lifespan(found, serving=True):
        yield found
