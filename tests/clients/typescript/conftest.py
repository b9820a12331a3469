"""The packed client and a project that uses it, shared by the tests of a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node import MISSING, Project, pack
from tests.support.server import Server


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package. A machine without Node or the packages skips and says so."""
    if MISSING:
        pytest.skip(MISSING)
    return pack(tmp_path_factory.mktemp("packed") / "package")


@pytest.fixture
def project(tarball: Path, tmp_path: Path) -> Project:
    """A project of a user."""
    return Project(tmp_path / "project", tarball)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with an empty log."""
    with Server(tmp_path / "served") as found:
        yield found
