"""Tests of new workspaces: what they hold, and that nothing of the source runs or leaves its place."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from athena_core.errors import ConfigError, WorkspaceDiskFull, WorkspaceMissing
from athena_core.services.workspaces.making import Made, Source, make, read_made
from athena_core.services.workspaces.snapshots import Snapshots
from athena_core.tools.workspace import Workspace
from tests.support.repository import branch, commit, git
from tests.support.repository import make as make_repository


class Bench:
    """A shared workspace, and the directory of the others."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shared = root / "shared"
        self.state = root / "state"
        self.state.mkdir()
        self.made = root / "own" / "wsp_1"
        self.files = self.made / "files"

    async def make(self, source: Source = "auto", room: int | None = None, *closed: str) -> Made:
        return await make(source, Workspace(self.shared, patterns=closed), self.made, self.state, bytes(32), room)

    def left_over(self) -> list[str]:
        return [path.name for place in (self.made.parent, self.state) if place.exists() for path in place.iterdir()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def tree(place: Path) -> set[str]:
    return {path.relative_to(place).as_posix() for path in place.rglob("*") if ".git" not in path.parts}


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_a_clone_has_the_commit_and_a_repository_of_its_own(bench: Bench, object_format: str) -> None:
    bench.shared.mkdir()
    git(bench.shared, "init", "--quiet", "--initial-branch=main", f"--object-format={object_format}")
    at = commit(bench.shared, "Begin", a_py="a = 1\n")
    (bench.shared / "a.py").write_text("not committed\n")
    (bench.shared / "new").touch()
    made = await bench.make()
    assert made == Made("clone", at, ((bench.shared / ".git" / "objects").resolve(),)) == read_made(bench.made)
    assert (bench.files / "a.py").read_text() == "a = 1\n"
    assert tree(bench.files) == {"a.py"}
    assert git(bench.files, "status", "--short", "--branch") == "## main"
    assert git(bench.files, "log", "--format=%H") == at
    commit(bench.files, "Change", a_py="a = 2\n")
    assert git(bench.shared, "rev-parse", "main") == at
    assert git(bench.files, "fsck") == ""
    assert not list((bench.shared / ".git").rglob("*.lock"))
    assert bench.left_over() == ["wsp_1"]


async def test_a_clone_takes_no_setting_hook_remote_or_branch(bench: Bench) -> None:
    make_repository(bench.shared)
    branch(bench.shared, "secret", c_py="c\n")
    mark, program = bench.root / "MARK", bench.root / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    commit(bench.shared, "Filter", _gitattributes="*.py filter=evil diff=evil\n*.txt text eol=crlf\n", d_txt="1\n2\n")
    for key in ("core.fsmonitor", "filter.evil.smudge", "filter.evil.clean", "filter.evil.process", "core.hooksPath"):
        git(bench.shared, "config", key, str(program))
    git(bench.shared, "config", "remote.origin.url", "https://user:canary@example.org/x")
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        (bench.shared / ".git" / "hooks" / name).write_text(program.read_text())
        (bench.shared / ".git" / "hooks" / name).chmod(0o755)
    await bench.make("clone")
    assert not mark.exists()
    assert (bench.files / "a.py").read_text().startswith("def add")
    assert (bench.files / "d.txt").read_bytes() == b"1\r\n2\r\n"
    assert "canary" not in (bench.files / ".git" / "config").read_text()
    assert git(bench.files, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert not (bench.files / ".git" / "hooks").exists()
    assert git(bench.files, "status", "--short") == ""


async def test_a_clone_keeps_a_detached_head_and_a_shallow_history(bench: Bench) -> None:
    make_repository(bench.root / "far")
    commit(bench.root / "far", "More", b_py="b\n")
    git(bench.root, "clone", "--quiet", "--depth=1", f"file://{bench.root}/far", "shared")
    git(bench.shared, "checkout", "--quiet", "--detach")
    at = git(bench.shared, "rev-parse", "HEAD")
    assert (await bench.make("clone")).commit == at
    assert git(bench.files, "log", "--format=%H") == at
    assert (bench.files / ".git" / "HEAD").read_text() == f"{at}\n"


async def test_a_clone_reads_alternates_of_the_source(bench: Bench) -> None:
    make_repository(bench.root / "far")
    git(bench.root, "clone", "--quiet", "--shared", "far", "shared")
    made = await bench.make("clone")
    assert made.objects == tuple((bench.root / name / ".git" / "objects").resolve() for name in ("shared", "far"))
    assert git(bench.files, "status", "--short") == ""


async def test_ignored_files_of_the_commit_are_recorded(bench: Bench) -> None:
    make_repository(bench.shared)
    (bench.shared / "build").mkdir()
    (bench.shared / "build" / "x").write_text("x\n")
    (bench.shared / "build" / "y").write_text("y\n")
    git(bench.shared, "add", "--force", "build/x")
    commit(bench.shared, "Ignore", _gitignore="build/\n")
    (bench.shared / ".git" / "info" / "exclude").write_text("*.secret\n")
    await bench.make("clone")
    snapshots = Snapshots(bench.made, Workspace(bench.files))
    before = await snapshots.take()
    assert before.files == 4
    (bench.files / "build" / "x").write_text("changed\n")
    (bench.files / "build" / "new").write_text("new\n")
    (bench.files / "a.secret").write_text("new\n")
    diff = await snapshots.diff(before.tree, (await snapshots.take()).tree)
    assert [file.path for file in diff.files] == ["build/x"]


@pytest.mark.parametrize("where", ["no-repository", "no-commit", "below", "broken"])
async def test_without_a_repository_auto_copies_and_clone_is_refused(bench: Bench, where: str) -> None:
    if where == "below":
        git(bench.root, "init", "--quiet")
        commit(bench.root, "Begin", a="a")
    bench.shared.mkdir()
    (bench.shared / "a").write_text("a")
    if where == "no-commit":
        git(bench.shared, "init", "--quiet")
    if where == "broken":
        commit(make_repository(bench.shared / "x").rename(bench.root / "y"), "More", b="b")
        (bench.root / "y" / ".git").rename(bench.shared / ".git")
        for path in (bench.shared / ".git" / "objects").glob("??"):
            subprocess.run(("rm", "-r", path), check=True)
    assert (await bench.make("auto")).source == "copy"
    assert (bench.files / "a").read_text() == "a"
    assert not (bench.files / ".git").exists()
    bench.made.rename(bench.root / "done")
    with pytest.raises(ConfigError, match="ATHENA_WORKSPACES_SOURCE"):
        await bench.make("clone")
    assert bench.left_over() == []


async def test_a_copy_leaves_out_closed_files_and_follows_nothing(bench: Bench) -> None:
    (bench.shared / "src" / "deep").mkdir(parents=True)
    (bench.shared / "src" / "deep" / "a.py").write_text("a\n")
    os.utime(bench.shared / "src" / "deep" / "a.py", ns=(1, 10**18))
    (bench.shared / "run").write_text("#!/bin/sh\n")
    (bench.shared / "run").chmod(0o6755)
    (bench.shared / "empty").mkdir()
    (bench.root / "secret").write_text("canary")
    (bench.shared / "link").symlink_to(bench.root / "secret")
    (bench.shared / "links").symlink_to(bench.root)
    os.mkfifo(bench.shared / "pipe")
    for name in (".env", "key.pem", "personas", ".git", ".ssh"):
        (bench.shared / name).mkdir()
        (bench.shared / name / "x").write_text("x")
    assert (await bench.make("copy", None, "*.pem")).source == "copy"
    assert tree(bench.files) == {"src", "src/deep", "src/deep/a.py", "run", "empty", "link", "links"}
    assert (bench.files / "link").readlink() == bench.root / "secret"
    assert (bench.files / "run").stat().st_mode & 0o7777 == 0o755
    assert (bench.files / "src" / "deep" / "a.py").stat().st_mtime_ns == 10**18
    assert bench.made.stat().st_mode & 0o777 == 0o700


async def test_a_copy_does_not_hold_the_other_workspaces(bench: Bench) -> None:
    bench.shared.mkdir()
    (bench.shared / "a").write_text("a")
    bench.made = bench.shared / "own" / "wsp_1"
    await bench.make("copy")
    assert tree(bench.made / "files") == {"a"}


@pytest.mark.parametrize("source", ["clone", "copy"])
async def test_a_source_that_does_not_fit_is_refused_and_leaves_nothing(bench: Bench, source: Source) -> None:
    make_repository(bench.shared)
    commit(bench.shared, "More", b="x" * 50_000)
    with pytest.raises(WorkspaceDiskFull, match="ATHENA_WORKSPACES_BYTES_MAX"):
        await bench.make(source, 10_000)
    assert bench.left_over() == []
    await bench.make(source, 100_000)


async def test_a_cancelled_workspace_leaves_nothing(bench: Bench) -> None:
    bench.shared.mkdir()
    for number in range(200):
        (bench.shared / str(number)).write_bytes(b"x" * 20_000)
    with anyio.move_on_after(0.005) as scope:
        await bench.make("copy")
    assert scope.cancelled_caught
    assert bench.left_over() == []


def without_a_record(bench: Bench) -> None:
    (bench.made / "made.json").unlink()


def moved(bench: Bench) -> None:
    bench.made.rename(bench.root / "elsewhere")


@pytest.mark.parametrize("lose", [without_a_record, moved])
async def test_a_workspace_that_is_not_here_is_missing(bench: Bench, lose: Callable[[Bench], None]) -> None:
    bench.shared.mkdir()
    assert await bench.make("empty") == Made("empty")
    lose(bench)
    with pytest.raises(WorkspaceMissing, match="ATHENA_WORKSPACES_DIR"):
        read_made(bench.made)


async def test_a_source_that_is_gone_is_an_error_of_the_system(bench: Bench) -> None:
    with pytest.raises(OSError, match="No such file"):
        await bench.make("copy")
    with pytest.raises(OSError, match="No such file"):
        await bench.make("auto")
    assert bench.left_over() == []


async def test_snapshots_do_not_need_the_source(bench: Bench) -> None:
    make_repository(bench.shared)
    await bench.make("clone")
    snapshots = Snapshots(bench.made, Workspace(bench.files))
    before = await snapshots.take()
    bench.shared.rename(bench.root / "gone")
    (bench.files / "a.py").write_text("a = 1\n")
    diff = await snapshots.diff(before.tree, (await snapshots.take()).tree)
    assert "+a = 1" in diff.text
