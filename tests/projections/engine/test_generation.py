"""Pointers to generations: the switch to one never loses another that was just finished."""

from pathlib import Path

from projections.engine.generation import GenerationFiles
from tests.projections.support import DATABASES


def test_a_switch_forgets_its_own_candidate_and_keeps_a_newer_one(tmp_path: Path) -> None:
    files = GenerationFiles(tmp_path, DATABASES)
    lock = files.updater_lock()
    first, second = "views-1.db", "views-2.db"
    files.path(first).touch()
    files.path(second).touch()
    files.offer(first, lock)
    files.switch(first, lock)
    assert (files.current(), files.candidate()) == (first, None)
    files.offer(second, lock)  # a replay that ends while the updater is still switching
    files.switch(first, lock)
    assert (files.current(), files.candidate()) == (first, second)
