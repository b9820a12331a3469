"""The reads of the views, tested on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_core.clock import CountingIds
from athena_core.log.postgres.store import PostgresStore
from athena_core.log.postgres.views import PostgresGenerations
from tests.projections.memory_corner import Corner
from tests.projections.support import shown_in
from tests.support.postgres import Cluster

READS = tuple(
    f"test_{name}"
    for name in (
        "directives",
        "runs",
        "sessions",
        "fleet",
        "queues",
        "memory",
        "evidence",
        "templates",
        "policy",
        "feed",
        "asks",
        "ids",
    )
)
assert all(Path(__file__).with_name(f"{name}.py").exists() for name in READS), "a module was renamed"


@pytest.fixture(scope="session")
def schemas(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresGenerations]:
    """Yield schemas for views, in a database without a log."""
    directory: Path = tmp_path_factory.mktemp("anchor")
    with cluster.database() as url:
        PostgresStore(url, directory, CountingIds()).close()
        found = PostgresGenerations(url)
        yield found
        found.close()


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    chosen: str = getattr(request, "param", "sqlite")
    if chosen == "sqlite":
        yield chosen
        return
    schemas: PostgresGenerations = request.getfixturevalue("schemas")
    lock = schemas.builder_lock()
    assert lock.acquire()
    shown_in.append((schemas, lock))
    yield chosen
    shown_in.clear()
    for name in schemas.all():
        schemas.remove(name, lock)
    lock.release()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in READS:
        postgres = pytest.param("postgres", marks=pytest.mark.heavy)
        metafunc.parametrize("engine", ["sqlite", postgres], indirect=True)


@pytest.fixture
def corner(tmp_path: Path) -> Iterator[Corner]:
    found = Corner(tmp_path)
    yield found
    found.index.close()
