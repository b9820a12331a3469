"""Tests of the size of workspaces and of its bound."""

import os
from pathlib import Path

import pytest

from athena_core.errors import WorkspaceDiskFull
from athena_core.services.workspaces.making import make
from athena_core.services.workspaces.snapshots import Snapshots
from athena_core.services.workspaces.usage import DiskUsage, size_of
from athena_core.tools.workspace import Workspace


@pytest.fixture
async def own(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    for name in ("wsp_1", "wsp_2"):
        await make("empty", Workspace(tmp_path / "shared"), tmp_path / "own" / name, tmp_path, bytes(32))
    return tmp_path / "own"


async def test_all_workspaces_count_together(own: Path) -> None:
    usage = DiskUsage(own, 1_000_000)
    begin = await usage.used()
    for name in ("wsp_1", "wsp_2"):
        (own / name / "files" / "data").write_bytes(os.urandom(400_000))
    assert 800_000 <= await usage.used() - begin < 900_000
    assert await usage.room() <= 200_000
    (own / "wsp_1" / "files" / "more").write_bytes(os.urandom(300_000))
    with pytest.raises(WorkspaceDiskFull, match=r"of 1000000 \(ATHENA_WORKSPACES_BYTES_MAX\)"):
        await usage.room()


async def test_a_workspace_is_measured_again_after_a_snapshot(own: Path) -> None:
    usage, snapshots = DiskUsage(own, 10_000_000), Snapshots(own / "wsp_1", Workspace(own / "wsp_1" / "files"))
    await snapshots.take()
    begin = await usage.used()
    (own / "wsp_1" / "files" / "data").write_bytes(os.urandom(400_000))
    assert await usage.used() == begin
    await snapshots.take()
    assert await usage.used() - begin >= 800_000  # the file and its record


async def test_sparse_files_links_and_empty_files_count_what_they_take(own: Path) -> None:
    files = own / "wsp_1" / "files"
    begin = await size_of(files)
    (files / "sparse").touch()
    os.truncate(files / "sparse", 1 << 40)
    assert await size_of(files) - begin < 10_000
    (files / "data").write_bytes(os.urandom(100_000))
    for number in range(10):
        (files / f"link{number}").hardlink_to(files / "data")
    (files / "outside").symlink_to("/usr")
    assert 100_000 <= await size_of(files) - begin < 150_000
    for number in range(100):
        (files / f"empty{number}").touch()
    assert await size_of(files) - begin >= 150_000


async def test_no_directory_is_empty(tmp_path: Path) -> None:
    assert await DiskUsage(tmp_path / "none", 10).used() == 0
    assert await size_of(tmp_path / "none") == 0
