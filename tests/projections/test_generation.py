"""Pointers to generations: the switch to one never loses another that somebody has just finished."""

from pathlib import Path

from projections.generation import Files


def test_a_switch_forgets_its_own_candidate_and_keeps_a_newer_one(tmp_path: Path) -> None:
    files = Files(tmp_path)
    first, second = tmp_path / "views-1.db", tmp_path / "views-2.db"
    first.touch()
    second.touch()
    files.point(files.candidate, first)
    files.switch(first)
    assert (files.named(files.current), files.named(files.candidate)) == (first, None)
    files.point(files.candidate, second)  # a replay that ends while the keeper is still switching
    files.switch(first)
    assert (files.named(files.current), files.named(files.candidate)) == (first, second)
