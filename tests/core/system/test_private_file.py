"""Private files: the entries of a directory, and an error where it cannot be read."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from athena_api.static_files import static_files
from athena_core.log.sqlite.locks import FileExecutorRegistry
from athena_core.system.private_file import matching


def test_the_entries_that_match_are_sorted_and_a_missing_directory_has_none(tmp_path: Path) -> None:
    for name in ("b.lock", "a.lock", "c.db"):
        (tmp_path / name).touch()
    assert matching(tmp_path, "*.lock") == [tmp_path / "a.lock", tmp_path / "b.lock"]
    assert matching(tmp_path / "missing", "*") == matching(tmp_path / "c.db", "*") == []


LISTINGS: dict[str, Callable[[FileExecutorRegistry, Path], object]] = {
    "a directory": lambda registry, directory: matching(directory, "*"),
    "the executors": lambda registry, directory: registry.registered(),
    "the console": lambda registry, directory: static_files.__wrapped__(),
}


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_directory_that_cannot_be_read_is_not_taken_for_empty(listing: str, tmp_path: Path) -> None:
    registry = FileExecutorRegistry(tmp_path, "exe_1", b"")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))  # no descriptor is left
    try:
        with pytest.raises(OSError, match="Too many open files"):
            LISTINGS[listing](registry, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        registry.leave()
