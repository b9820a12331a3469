"""Fixtures of all tests."""

import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest

from tests.scale import in_another_turn
from tests.support import postgres, programs
from tests.support.certificates import Pair, make_pair
from tests.support.gate import Gates
from tests.support.machine import Machine
from tests.support.process import ROOT
from tests.support.server import Server
from tests.support.timings import timings

# No deadlines: a machine may be busy. With a seed, the same chances every time.
hypothesis.settings.register_profile("athena", deadline=None, derandomize=bool(os.environ.get("ATHENA_TEST_SEED")))
hypothesis.settings.load_profile("athena")


OPEN_FILES = 8_192


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Serve(Protocol):
    """Starts a server that ends with the test."""

    def __call__(self, directory: Path | None = None, /, **settings: str) -> Server:
        """On a directory (default: one of the test), with settings."""


@pytest.fixture
def serve(tmp_path: Path, store: dict[str, str]) -> Iterator[Serve]:
    """Servers in processes of their own."""
    with ExitStack() as stack:

        def start(directory: Path | None = None, /, **settings: str) -> Server:
            return stack.enter_context(Server(directory or tmp_path / "server", **store | settings))

        yield start


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[Gates]:
    """A model that waits at gates."""
    found = Gates(tmp_path / "gates")
    yield found
    found.close()


@pytest.fixture
def machine() -> Machine:
    """A machine at midnight of 2026-01-01 UTC."""
    return Machine()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A certificate and its key that no test changes."""
    return make_pair(tmp_path_factory.mktemp("certificates") / "first")


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL server, the same for all tests of this process."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(postgres.cluster())
        except LookupError as error:
            pytest.skip(str(error))
        yield found


@pytest.fixture
def database(cluster: postgres.Cluster) -> Iterator[str]:
    """The URL of an empty database."""
    with cluster.database() as url:
        yield url


@pytest.fixture
def store(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings of the database of a test: files, unless it runs on PostgreSQL as well."""
    if getattr(request, "param", "files") == "files":
        return {}
    return {"database_url": request.getfixturevalue("database")}


@pytest.fixture(scope="module")
def shared_store(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of the database that the tests of a module share."""
    if getattr(request, "param", "files") == "files":
        yield {}
    else:
        cluster: postgres.Cluster = request.getfixturevalue("cluster")
        with cluster.database() as url:
            yield {"database_url": url}


def pytest_configure() -> None:
    """Raise the soft limit of open files, mostly 1,024: logs of tests stay open until the collector finds them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, OPEN_FILES)), hard))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of the API on both databases; on PostgreSQL it is heavy, unless it is marked ``both``.

    Those that are marked ``sqlite``, or have a database of their own, run once.
    """
    suite = Path(str(metafunc.definition.path)).relative_to(ROOT / "tests").parts[0]
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    if suite not in {"api", "between"} or "sqlite" in marks or "database" in metafunc.fixturenames:
        return
    both = ("files", pytest.param("postgres", marks=() if "both" in marks else pytest.mark.heavy))
    if "store" in metafunc.fixturenames:
        metafunc.parametrize("store", both, indirect=True, scope="function")
    if "shared_store" in metafunc.fixturenames:
        metafunc.parametrize("shared_store", both, indirect=True, scope="module")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Report in the last lines which files took long, which long tests say no reason, and what was skipped and why."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    took = [one for reports in reporter.stats.values() for one in reports if isinstance(one, pytest.TestReport)]
    for line in (*timings(took), *programs.summary(str(one.longrepr[2]) for one in skipped(took))):
        reporter.write_line(line)


def skipped(reports: Iterable[pytest.TestReport]) -> Iterator[Any]:
    """Yield the reports of tests that were skipped."""
    return (one for one in reports if one.outcome == "skipped" and isinstance(one.longrepr, tuple))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out other turns, and run the longest files first, so that none begins when all others have ended."""
    items[:] = [item for item in items if not is_left_out(item)]
    long, heavy = ({item.path for item in items if item.get_closest_marker(name)} for name in ("timeout", "heavy"))
    items.sort(key=lambda item: (item.path not in long, item.path not in heavy))


def is_left_out(item: pytest.Item) -> bool:
    """True for a heavy test that is left to other turns."""
    if not item.get_closest_marker("heavy"):
        return False
    given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return in_another_turn(item.path, on_postgres="postgres" in (given.get("store"), given.get("shared_store")))
