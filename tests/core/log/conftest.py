"""The contract of a store: the tests of these modules run on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.log.pots import on_postgres, opened

CONTRACT = ("test_log", "test_processes", "test_tail", "test_eventsourcing", "test_token_uses")
"""Tests marked ``sqlite`` in them are about files, locks or hooks of that store."""


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    chosen: str = getattr(request, "param", "sqlite")
    if chosen == "postgres":
        directory: Path = request.getfixturevalue("tmp_path")
        on_postgres(directory, request.getfixturevalue("database"))
    yield chosen
    while opened:
        opened.pop().close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    name = metafunc.module.__name__.rpartition(".")[2]
    if name in CONTRACT and metafunc.cls is None and not list(metafunc.definition.iter_markers("sqlite")):
        metafunc.parametrize("engine", ["sqlite", "postgres"], indirect=True)
