"""Tests of trees that attack the recorder: it runs nothing, reads nothing outside, ends, and records what changed."""

import os
import random
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import msgspec
import pytest

from athena_core.domain.workspace import DIFF_BYTES_MAX, DIFF_FILES_MAX
from athena_core.errors import WorkspaceDiskFull, WorkspaceLimit, WorkspaceMissing
from athena_core.services.workspaces.making import make
from athena_core.services.workspaces.packs import initialise
from athena_core.services.workspaces.recording import (
    CACHE_NAME,
    FILE_BYTES_MAX,
    LEFT_OUT_MAX,
    LeftOut,
    SnapshotCache,
    TreeRecorder,
)
from athena_core.services.workspaces.snapshots import Snapshots
from athena_core.services.workspaces.usage import DiskUsage, measure, size_of
from athena_core.system.box.trees import Stop, delete, delete_tree
from athena_core.tools.workspace import Workspace
from tests.support.repository import make as make_repository


class Place:
    """An empty workspace, its snapshots, and a program that leaves a mark when it runs."""

    def __init__(self, directory: Path, secret: Path) -> None:
        self.directory = directory
        self.files = directory / "files"
        self.git = directory / "git"
        self.secret = secret
        self.mark = directory.parent / "MARK"
        self.program = directory.parent / "program"
        self.program.write_text(f"#!/bin/sh\ntouch {self.mark}\ncat\n")
        self.program.chmod(0o755)
        self.snapshots = Snapshots(directory, Workspace(self.files, closed={secret: "is secret"}))

    async def take(self) -> str:
        return (await self.snapshots.take()).tree

    async def content(self) -> dict[str, str]:
        """Record the files, and return the lines that the diff adds, by path."""
        before, after = (await self.empty()), await self.take()
        diff = await self.snapshots.diff(before, after)
        return {file.path: (await self.snapshots.blob(after, file.path) or b"").decode() for file in diff.files}

    async def empty(self) -> str:
        """Return the snapshot of the workspace without files."""
        empty = self.directory / "empty"
        empty.mkdir(exist_ok=True)
        return TreeRecorder(empty, self.git, Workspace(empty), None, Stop("the test", 60)).record().tree


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    (tmp_path / "shared").mkdir()
    await make("empty", Workspace(tmp_path / "shared"), tmp_path / "own" / "wsp_1", tmp_path, bytes(32))
    (tmp_path / "secret").write_text("canary-4711\n")
    return Place(tmp_path / "own" / "wsp_1", tmp_path / "secret")


async def test_links_are_recorded_and_not_followed(place: Place) -> None:
    (place.files / "file").symlink_to(place.secret)
    (place.files / "directory").symlink_to(place.secret.parent)
    (place.files / "up").symlink_to("../git")
    (place.files / "loop").symlink_to("loop")
    found = await place.content()
    assert found == {
        "directory": str(place.secret.parent),
        "file": str(place.secret),
        "loop": "loop",
        "up": "../git",
    }


async def test_a_hard_link_to_a_closed_file_is_only_named(place: Place) -> None:
    (place.files / "copy").hardlink_to(place.secret)
    snapshot = await place.snapshots.take()
    assert snapshot.left_out == (LeftOut("copy", "closed"),)
    diff = await place.snapshots.diff(await place.empty(), snapshot.tree)
    assert diff.text == "[copy changed and its content is not recorded: not shown]\n"
    assert not diff.files[0].recorded
    assert await place.snapshots.blob(snapshot.tree, "copy") is None


async def test_special_files_do_not_block(place: Place) -> None:
    os.mkfifo(place.files / "pipe")
    os.mkfifo(place.files / ".gitignore")
    os.mkfifo(place.files / ".gitattributes")
    here = Path.cwd()
    os.chdir(place.files)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(here)
    if os.getuid() == 0:
        os.mknod(place.files / "zero", 0o20666, os.makedev(1, 5))
    (place.files / "a").write_text("a")
    snapshot = await place.snapshots.take()
    assert snapshot.files == 1
    assert {found.reason for found in snapshot.left_out} == {"special"}
    assert {"pipe", ".gitignore", ".gitattributes", "socket"} <= {found.path for found in snapshot.left_out}


@pytest.mark.parametrize("size", [FILE_BYTES_MAX + 1, 1 << 40])
async def test_a_file_that_becomes_too_large_is_named_and_not_taken_for_deleted(place: Place, size: int) -> None:
    (place.files / "data").write_text("small\n")
    before = await place.take()
    os.truncate(place.files / "data", size)
    (place.files / "z").write_text("z\n")
    snapshot = await place.snapshots.take()
    assert snapshot.left_out == (LeftOut("data", "too-large"),)
    diff = await place.snapshots.diff(before, snapshot.tree)
    assert [(file.path, file.change, file.recorded) for file in diff.files] == [
        ("data", "retyped", False),
        ("z", "added", True),
    ]
    assert "deleted" not in diff.text
    assert "Subproject" not in diff.text
    assert diff.text.endswith("+z\n")
    assert "[data changed" in diff.text
    os.utime(place.files / "data", ns=(1, 1))
    assert (await place.snapshots.diff(snapshot.tree, await place.take())).files_total == 1


async def test_more_files_than_the_limit_are_refused(place: Place) -> None:
    for number in range(11):
        (place.files / str(number)).touch()
    rules = Workspace(place.files)
    with pytest.raises(WorkspaceLimit, match="more than 10 files"):
        TreeRecorder(place.files, place.git, rules, None, Stop("the test", 60), files_max=10).record()
    assert not list((place.git / "objects" / "pack").iterdir())


async def test_many_left_out_files_are_counted_once(place: Place) -> None:
    for number in range(LEFT_OUT_MAX + 1):
        os.mkfifo(place.files / str(number))
    assert len((await place.snapshots.take()).left_out) == LEFT_OUT_MAX


def fsmonitor(place: Place, git: Path) -> None:
    (git / "config").write_text(
        f"[core]\n\tfsmonitor = {place.program}\n\thooksPath = {place.files}\n\tattributesFile = {place.files}/x\n"
        f'[diff]\n\texternal = {place.program}\n[diff "evil"]\n\tcommand = {place.program}\n'
        f'\ttextconv = {place.program}\n[filter "evil"]\n\tclean = {place.program}\n\tprocess = {place.program}\n'
    )


def repository(place: Place) -> Path:
    return make_repository(place.files / "nested") / ".git"


def repository_at_the_top(place: Place) -> Path:
    made = make_repository(place.files.parent / "made")
    (made / ".git").rename(place.files / ".git")
    return place.files / ".git"


def bare(place: Place) -> Path:
    made = make_repository(place.files.parent / "made")
    return (made / ".git").rename(place.files / "bare")


@pytest.mark.parametrize("plant", [repository, repository_at_the_top, bare])
async def test_a_planted_repository_runs_nothing(place: Place, plant: Callable[[Place], Path]) -> None:
    fsmonitor(place, plant(place))
    for name in ("post-index-change", "reference-transaction", "pre-auto-gc"):
        (place.files / name).symlink_to(place.program)
    (place.files / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (place.files / ".gitmodules").write_text('[submodule "x"]\n\tpath = nested\n\turl = ../x\n\tupdate = !touch x\n')
    before = await place.take()
    (place.files / "a.py").write_text("a = 1\n")
    diff = await place.snapshots.diff(before, await place.take())
    assert "+a = 1" in diff.text
    assert not place.mark.exists()


async def test_files_of_a_nested_repository_are_files_and_its_git_directory_is_not_recorded(place: Place) -> None:
    make_repository(place.files / "nested")
    (place.files / "linked").mkdir()
    (place.files / "linked" / ".git").write_text(f"gitdir: {place.secret.parent}\n")
    (place.files / "linked" / "x").write_text("x")
    (place.files / "odd").mkdir()
    (place.files / "odd" / ".GIT").mkdir()
    (place.files / "odd" / ".GIT" / "config").write_text("x")
    assert set(await place.content()) == {"linked/x", "nested/README.md", "nested/a.py"}


async def test_attributes_neither_change_content_nor_hide_a_change(place: Place) -> None:
    (place.files / ".gitattributes").write_text(
        "* text eol=crlf ident working-tree-encoding=UTF-16 -diff\n*.bin binary\n[attr]x y\n* export-ignore\n"
    )
    (place.files / "a.txt").write_bytes(b"one\r\n$Id: 1 $\ntwo\n")
    before = await place.take()
    assert await place.snapshots.blob(before, "a.txt") == b"one\r\n$Id: 1 $\ntwo\n"
    (place.files / "a.txt").write_bytes(b"one\r\n$Id: 2 $\ntwo\n")
    (place.files / "b.bin").write_text("b\n")
    diff = await place.snapshots.diff(before, await place.take())
    assert (diff.binary_files, diff.added_lines, diff.removed_lines) == (0, 2, 1)
    assert "+$Id: 2 $" in diff.text


async def test_an_ignore_file_hides_new_files_but_no_change_and_deletes_nothing(place: Place) -> None:
    (place.files / "src").mkdir()
    (place.files / "src" / "a.py").write_text("a\n")
    (place.files / "src" / "b.py").write_text("b\n")
    before = await place.take()
    (place.files / ".gitignore").write_text("*\n")
    (place.files / "src" / "a.py").write_text("changed\n")
    (place.files / "src" / "new.py").write_text("new\n")
    (place.files / "src" / "b.py").unlink()
    diff = await place.snapshots.diff(before, await place.take())
    assert [(file.path, file.change) for file in diff.files] == [("src/a.py", "modified"), ("src/b.py", "deleted")]


NAMES = (
    *(b"line\nfeed", b"tab\t", b'quote"', b"back\\slash", b"-rf", b"--output=x", b"diff --git a b", b"\xff\xfe", b" "),
    *(b"git~1", b".git ", b".git.", "\u200c.git".encode(), b".gitmodules", b"..x", b"...", b"\x1b[31m", b"a" * 255),
    *(b":(top)x", b"*", b"HEAD", b"\r", "\u202e".encode(), b"@{u}", b"\n+++ b"),
)


async def test_any_name_is_recorded_with_its_content(place: Place) -> None:
    for number, name in enumerate(NAMES):
        with open(os.fsencode(place.files) + b"/" + name, "w") as file:  # noqa: PTH123 a name that is not text
            file.write(f"{number}\n")
    diff = await place.snapshots.diff(await place.empty(), await place.take())
    assert diff.files_total == len(NAMES) == diff.added_lines
    assert {file.path.encode() for file in diff.files if file.exact} == set(NAMES) - {b"\xff\xfe"}
    assert [file.path for file in diff.files if not file.exact] == ["\\xff\\xfe"]
    after = await place.take()
    for number, name in enumerate(NAMES):
        if name in {b"line\nfeed", b":(top)x", b"git~1"}:
            assert await place.snapshots.blob(after, name.decode()) == f"{number}\n".encode()
    diff.text.encode()


@pytest.mark.parametrize("depth", [210, pytest.param(1_100, marks=pytest.mark.heavy)])
async def test_directories_of_any_depth_are_measured_and_deleted(place: Place, depth: int) -> None:
    """The deepest path is longer than the system takes, and has more directories than there are descriptors."""
    here = os.open(place.files, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=here)
        there = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    end = os.open("end", os.O_WRONLY | os.O_CREAT, dir_fd=here)
    os.write(end, b"x" * 100_000)
    os.close(end)
    os.close(here)
    snapshot = await place.snapshots.take()
    assert [found.reason for found in snapshot.left_out] == ["too-deep"]
    await place.snapshots.diff(await place.empty(), snapshot.tree)
    assert await size_of(place.files) > 100_000 + depth * 512
    await delete_tree(place.directory)
    assert not place.directory.exists()


def test_a_directory_without_permissions_counts_as_unchanged_and_is_deleted() -> None:
    with tempfile.TemporaryDirectory() as name, as_ordinary_user(Path(name)) as place:
        files = place / "files"
        (files / "shut" / "in").mkdir(parents=True)
        (files / "listed").mkdir()
        for path in ("shut/a", "shut/in/b", "listed/c", "d"):
            (files / path).write_text(f"{path}\n")
        initialise(place / "git", bytes(32))
        stop, rules = Stop("the test", 60), Workspace(files)
        before = TreeRecorder(files, place / "git", rules, None, stop).record()
        (files / "shut").chmod(0)
        (files / "listed").chmod(0o400)
        (files / "d").chmod(0)
        (files / "e").write_text("e")
        (files / "e").chmod(0)
        recorder = TreeRecorder(files, place / "git", rules, None, stop)
        after = recorder.record()
        assert recorder.paths == {b"shut/a", b"shut/in/b", b"listed/c", b"d", b"e"}
        assert {found.path for found in after.left_out} == {"shut", "listed", "d", "e"}
        assert {found.reason for found in after.left_out} == {"unreadable"}
        assert before.tree != after.tree
        assert measure(files, stop) > 0
        delete(place / "files", stop)
        assert not files.exists()


@contextmanager
def as_ordinary_user(place: Path) -> Iterator[Path]:
    """Become an ordinary user who owns a directory, if this is root."""
    if os.getuid() != 0:
        yield place
        return
    os.chown(place, 65_534, 65_534)
    os.seteuid(65_534)
    try:
        yield place
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("times", [1, 4, 5])
async def test_a_directory_that_is_moved_away_while_it_is_read_leads_nowhere(place: Place, times: int) -> None:
    (place.files / "a" / "b").mkdir(parents=True)
    (place.files / "a" / "b" / "c").touch()
    mover = Mover(place, times)
    snapshots = Snapshots(place.directory, mover)
    if times == 5:
        with pytest.raises(OSError, match="moved"):
            await snapshots.take()
    else:
        assert (await snapshots.take()).files == 1
        assert mover.left == 0


class Mover(Workspace):
    """The rules of a workspace. Asked about ``c``, it moves the directory of it outside, and a new one to its place."""

    def __init__(self, place: Place, times: int) -> None:
        super().__init__(place.files)
        self._place = place
        self.left = times

    def why_closed(self, parts: tuple[str, ...]) -> str | None:
        if parts[-1] == "c" and self.left:
            self.left -= 1
            inner = self._place.files / "a" / "b"
            inner.rename(self._place.directory / f"moved{self.left}")
            inner.mkdir()
            (inner / "c").touch()
        return super().why_closed(parts)


async def test_a_directory_becomes_a_file_and_a_file_a_directory(place: Place) -> None:
    (place.files / "a").mkdir()
    (place.files / "a" / "x").write_text("x\n")
    (place.files / "b").write_text("b\n")
    before = await place.take()
    (place.files / "a" / "x").unlink()
    (place.files / "a").rmdir()
    (place.files / "a").write_text("a\n")
    (place.files / "b").unlink()
    (place.files / "b").mkdir()
    (place.files / "b" / "y").symlink_to("x")
    diff = await place.snapshots.diff(before, await place.take())
    changes = [(file.path, file.change) for file in diff.files]
    assert changes == [("a", "added"), ("a/x", "deleted"), ("b", "deleted"), ("b/y", "added")]


async def test_a_change_that_hides_its_time_is_seen(place: Place) -> None:
    (place.files / "a").write_text("one\n")
    os.utime(place.files / "a", ns=(1, 1))
    before = await place.take()
    (place.files / "a").write_text("two\n")
    os.utime(place.files / "a", ns=(1, 1))
    assert await place.take() != before


async def test_a_change_that_hides_its_time_is_seen_in_a_settled_file(place: Place) -> None:
    """A program can set the time of a change of the content, but not of the inode."""
    path, rules, stop = place.files / "a", Workspace(place.files), Stop("the test", 60)
    path.write_text("one\n")
    os.utime(path, ns=(1, 1))
    changed = path.stat().st_ctime_ns
    before = TreeRecorder(place.files, place.git, rules, None, stop, settled_ns=-(10**18)).record()
    while path.stat().st_ctime_ns == changed:
        path.write_text("two\n")
        os.utime(path, ns=(1, 1))
    assert TreeRecorder(place.files, place.git, rules, None, stop).record().tree != before.tree


async def test_a_file_that_changed_just_before_a_snapshot_is_read_again_in_the_next(place: Place) -> None:
    (place.files / "fresh").write_text("one\n")
    await place.take()
    (cached,) = msgspec.msgpack.decode((place.git / CACHE_NAME).read_bytes(), type=SnapshotCache).files
    assert cached.path == b"fresh"
    assert cached.stamp == ()


async def test_a_broken_cache_is_not_used(place: Place) -> None:
    (place.files / "a").write_text("one\n")
    before = await place.take()
    for content in (b"", b"\x93", b"{}", bytes(1000)):
        (place.git / CACHE_NAME).write_bytes(content)
        assert await place.take() == before


async def test_content_that_does_not_fit_is_refused_and_leaves_nothing(place: Place) -> None:
    (place.files / "a").write_bytes(os.urandom(100_000))
    with pytest.raises(WorkspaceDiskFull):
        await place.snapshots.take(room=10_000)
    assert not list((place.git / "objects" / "pack").iterdir())
    with pytest.raises(WorkspaceDiskFull, match="ATHENA_WORKSPACES_BYTES_MAX"):
        await DiskUsage(place.directory.parent, 50_000).room()
    assert await DiskUsage(place.directory.parent, 10_000_000).room() < 10_000_000 - 100_000
    await place.snapshots.take(room=1_000_000)


async def test_a_cancelled_snapshot_leaves_nothing(place: Place) -> None:
    for number in range(200):
        (place.files / str(number)).write_bytes(os.urandom(20_000))
    with anyio.move_on_after(0.005) as scope:
        await place.snapshots.take()
    assert scope.cancelled_caught
    assert not list((place.git / "objects" / "pack").iterdir())


async def test_snapshots_at_once_are_equal(place: Place) -> None:
    for number in range(50):
        (place.files / str(number)).write_text(f"{number}\n")
    found: list[str] = []

    async def take() -> None:
        found.append(await place.take())

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(take)
    assert len(set(found)) == 1
    assert (await place.snapshots.diff(await place.empty(), found[0])).files_total == 50


async def test_a_large_diff_is_cut_after_a_file(place: Place) -> None:
    line = "x" * 99 + "\n"
    for name in "abc":
        (place.files / name).write_text(line * 4_000)
    before, after = await place.empty(), await place.take()
    diff = await place.snapshots.diff(before, after)
    assert diff.truncated
    assert diff.text.count("diff --git") == 2
    assert diff.text.endswith(line)
    assert (diff.files_total, diff.added_lines) == (3, 12_000)
    (place.files / "a").write_text(line * 20_000)
    diff = await place.snapshots.diff(after, await place.take())
    assert diff.truncated
    assert DIFF_BYTES_MAX - 100 < len(diff.text.encode()) <= DIFF_BYTES_MAX
    (place.files / "a").write_bytes(b"\xff" * 900_000)
    diff = await place.snapshots.diff(after, await place.take())
    assert len(diff.text.encode()) <= DIFF_BYTES_MAX


async def test_a_snapshot_that_is_not_here_is_missing(place: Place) -> None:
    for tree in ("", "0" * 64, "--output=x", "HEAD", "f" * 40):
        with pytest.raises(WorkspaceMissing):
            await place.snapshots.diff(tree, await place.take())
        assert await place.snapshots.blob(tree, "a") is None
    await delete_tree(place.directory)
    with pytest.raises(WorkspaceMissing):
        await place.snapshots.take()
    with pytest.raises(WorkspaceMissing):
        await place.snapshots.diff("0" * 64, "1" * 64)


@pytest.mark.heavy
async def test_more_changed_files_than_listed_are_counted(place: Place) -> None:
    for number in range(DIFF_FILES_MAX + 5):
        (place.files / str(number)).write_text("x\n")
    diff = await place.snapshots.diff(await place.empty(), await place.take())
    assert (len(diff.files), diff.files_total, diff.added_lines) == (DIFF_FILES_MAX, *[DIFF_FILES_MAX + 5] * 2)
    assert diff.truncated


@pytest.mark.heavy
async def test_files_whose_lines_take_too_long_to_compare_are_listed(place: Place) -> None:
    trees = []
    for seed in (1, 2):
        chance = random.Random(seed)
        (place.files / "a").write_text("".join(chance.choice("ab\n") for _ in range(8_000_000)))
        trees.append(await place.take())
    diff = await place.snapshots.diff(*trees)
    assert diff.truncated
    assert [(file.path, file.change, file.binary) for file in diff.files] == [("a", "modified", False)]
