"""Tests of snapshots: what an agent did to a tree is recorded, whatever it did."""

import os
import subprocess
from pathlib import Path

import pytest

from athena_core.services.workspaces.making import make
from athena_core.services.workspaces.snapshots import NOTHING, ChangedFile, Snapshots
from athena_core.tools.workspace import Workspace


class Place:
    """An empty workspace and its snapshots."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files = directory / "files"
        self.snapshots = Snapshots(directory, Workspace(self.files))

    async def take(self) -> str:
        return (await self.snapshots.take()).tree


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    (tmp_path / "shared").mkdir()
    await make("empty", Workspace(tmp_path / "shared"), tmp_path / "own" / "wsp_1", tmp_path, b"s" * 32)
    return Place(tmp_path / "own" / "wsp_1")


async def test_the_difference_of_two_snapshots_names_each_change(place: Place) -> None:
    (place.files / "a.txt").write_text("one\ntwo\n")
    (place.files / "b.txt").write_text("b\n")
    (place.files / "run").write_text("#!/bin/sh\n")
    before = await place.take()
    (place.files / "a.txt").write_text("one\n2\n3\n")
    (place.files / "b.txt").unlink()
    (place.files / "run").chmod(0o755)
    (place.files / "deep" / "er").mkdir(parents=True)
    (place.files / "deep" / "er" / "c\n.bin").write_bytes(b"\0\1")
    (place.files / os.fsdecode(b"caf\xe9")).write_text("x\n")
    (place.files / "out").symlink_to("/etc/passwd")
    after = await place.take()
    diff = await place.snapshots.diff(before, after)
    assert diff.files == (
        ChangedFile("a.txt", "modified", 2, 1, False, 0o100644, 0o100644),
        ChangedFile("b.txt", "deleted", 0, 1, False, 0o100644, 0),
        ChangedFile("caf\\xe9", "added", 1, 0, False, 0, 0o100644, exact=False),
        ChangedFile("deep/er/c\n.bin", "added", 0, 0, True, 0, 0o100644),
        ChangedFile("out", "added", 1, 0, False, 0, 0o120000),
        ChangedFile("run", "modified", 0, 0, False, 0o100644, 0o100755),
    )
    assert (diff.files_total, diff.binary_files, diff.added_lines, diff.removed_lines) == (6, 1, 4, 2)
    assert not diff.truncated
    assert "-two\n+2\n+3\n" in diff.text
    assert "root:" not in diff.text
    assert await place.snapshots.blob(before, "a.txt") == b"one\ntwo\n"
    assert await place.snapshots.blob(after, "deep/er/c\n.bin") == b"\0\1"
    assert await place.snapshots.blob(after, "b.txt") is None


async def test_nothing_changed_gives_the_same_tree_and_no_difference(place: Place) -> None:
    (place.files / "a.txt").write_text("one\n")
    before = await place.take()
    assert await place.take() == before
    assert await place.snapshots.diff(before, before) == NOTHING
    found = subprocess.run(
        ("git", "--git-dir", place.directory / "git", "fsck", "--strict"), check=True, capture_output=True, text=True
    )
    assert "error" not in found.stderr


async def test_equal_contents_of_two_workspaces_have_different_names(place: Place, tmp_path: Path) -> None:
    """The names are public, so they must confirm no guess of a content that was erased."""
    await make("empty", Workspace(tmp_path / "shared"), tmp_path / "own" / "wsp_2", tmp_path, bytes(range(32)))
    other = Place(tmp_path / "own" / "wsp_2")
    trees = []
    for one in (place, other):
        trees.append(await one.take())
        (one.files / "answer").write_text("yes\n")
        trees.append(await one.take())
    assert len(set(trees)) == 4
    assert [one.path for one in (await other.snapshots.diff(*trees[2:])).files] == ["answer"]
