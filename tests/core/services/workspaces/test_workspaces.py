"""Tests of the workspaces of runs: who makes them, what other processes may do meanwhile, and what references read."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import Context, Reader
from athena_core.domain import run, workspace
from athena_core.enums import WorkspaceMode
from athena_core.errors import (
    AthenaError,
    ConfigError,
    LeaseLost,
    Overloaded,
    WorkspaceDiskFull,
    WorkspaceLimit,
    WorkspaceMissing,
)
from athena_core.event import Meta
from athena_core.log.guards import Guards
from athena_core.services.workspaces.usage import DiskUsage
from athena_core.services.workspaces.workspaces import RunWorkspace, Workspaces
from athena_core.tools.refusal import PathRefused
from athena_core.tools.workspace import FileReader, Workspace
from tests.support import repository
from tests.support.events.run import CREATED, recorded


class Plane:
    """The guards of a log, and the workspaces of processes beside it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.own = directory / "own"
        self.state = directory / "state"
        self.state.mkdir()
        self.guards = Guards()
        self.ids = CountingIds()
        self.before_create: Callable[[], Awaitable[Any]] | None = None

    def process(self, source: str = "auto", bytes_max: int = 10**9) -> Workspaces:
        """Return the workspaces of another process."""
        self.root.mkdir(exist_ok=True)
        settings = cast(Any, SimpleNamespace(workspaces_source=source, state_dir=self.state))
        usage = DiskUsage(self.own, bytes_max)
        return Workspaces(cast(Any, self), Workspace(self.root), settings, self.ids, self.own, usage)

    async def submit(self, transaction: Any, meta: Meta) -> Any:
        return await self.commit(transaction)

    async def commit(self, transaction: Any) -> Any:
        if transaction.__name__ == "create" and self.before_create is not None:
            before, self.before_create = self.before_create, None
            await before()
        reader = cast(Reader, SimpleNamespace(guards=self.guards.of))
        outcome = transaction(reader, Context(now=1, ids=self.ids, meta=Meta(actor="", correlation="")))
        for fact in outcome.facts:
            for guard in workspace.DECIDER.guards(recorded(fact.event)):
                self.guards.apply(guard)
        return SimpleNamespace(answer=outcome.answer)

    async def open(
        self, process: Workspaces, opened: run.WorkspaceOpened | None = None, mode: WorkspaceMode = "session"
    ) -> RunWorkspace:
        return await process.open("run_1", request(mode), opened, self.commit)

    def made(self) -> list[str]:
        """Return the names in the directory of workspaces."""
        return sorted(path.name for path in self.own.iterdir()) if self.own.exists() else []


def request(mode: WorkspaceMode | None = "session") -> run.RunCreated:
    return replace(CREATED, harness_profile_snapshot=replace(CREATED.harness_profile_snapshot, workspace=mode))


@pytest.fixture
def plane(tmp_path: Path) -> Plane:
    return Plane(tmp_path)


async def test_the_first_run_makes_the_workspace_and_later_ones_find_it(plane: Plane) -> None:
    (plane.root / "a.txt").parent.mkdir()
    (plane.root / "a.txt").write_text("a")
    first = await plane.open(plane.process())
    assert first.files.is_own and first.readonly == ()
    assert first.files.read(("a.txt",), 10, "") == b"a"
    (first.files.root / "b.txt").write_text("b\n")
    second = await plane.open(plane.process())
    assert second.files.root == first.files.root
    assert first.opened is not None and second.opened is not None and first.opened.tree != second.opened.tree
    assert await second.changes(None) is not None
    assert await second.changes(second.opened.tree) is None
    changes = await first.changes(None)
    assert changes is not None and "+b\n" in changes.diff.text and changes.tree == second.opened.tree
    assert not (plane.root / "b.txt").exists()


async def test_a_run_without_an_own_workspace_touches_no_log_and_no_disk(plane: Plane) -> None:
    async def commit(transaction: Any) -> Any:
        raise AssertionError

    for mode in cast("list[WorkspaceMode | None]", [None, "shared"]):
        shared = await plane.process().open("run_1", request(mode), None, commit)
        assert shared.files.root == plane.root and shared.opened is None
        assert await shared.changes(None) is None
    assert plane.made() == []


async def test_of_two_processes_that_make_one_at_once_the_later_deletes_its_own(plane: Plane) -> None:
    found: list[RunWorkspace] = []

    async def faster() -> None:
        found.append(await plane.open(plane.process()))

    plane.before_create = faster
    found.append(await plane.open(plane.process()))
    assert found[0].files.root == found[1].files.root
    assert plane.made() == [found[0].files.root.parent.name]


@pytest.mark.parametrize(("error", "left"), [(Overloaded("busy"), 0), (LeaseLost("unknown"), 1)])
async def test_a_workspace_that_was_not_recorded_is_deleted_unless_it_may_have_been(
    plane: Plane, error: AthenaError, left: int
) -> None:
    async def fail() -> None:
        raise error

    plane.before_create = fail
    with pytest.raises(type(error)):
        await plane.open(plane.process())
    assert len(plane.made()) == left


async def test_a_workspace_that_is_gone_is_missing_also_for_a_run_that_goes_on(plane: Plane) -> None:
    first = await plane.open(plane.process())
    first.files.root.parent.rename(plane.state / "elsewhere")
    for opened in (None, first.opened):
        with pytest.raises(WorkspaceMissing, match="ATHENA_WORKSPACES_DIR"):
            await plane.open(plane.process(), opened)
    assert plane.made() == []


async def test_the_content_before_a_run_is_the_one_that_its_first_executor_found(plane: Plane) -> None:
    first = await plane.open(plane.process())
    (first.files.root / "half.txt").write_text("half\n")
    second = await plane.open(plane.process(), first.opened)
    assert second.opened == first.opened
    changes = await second.changes(None)
    assert changes is not None and "+half\n" in changes.diff.text


async def test_no_further_workspace_is_made_beyond_the_limits(plane: Plane) -> None:
    plane.root.mkdir()
    (plane.root / "large").write_bytes(b"x" * 100_000)
    with pytest.raises(WorkspaceDiskFull):
        await plane.open(plane.process("copy", bytes_max=50_000))
    rows = [(workspace.WORKSPACE_GUARD, f"session:{number}", (f"wsp_{number}",)) for number in range(10_000)]
    plane.guards.load(rows)
    with pytest.raises(WorkspaceLimit):
        await plane.open(plane.process())
    plane.guards.load(rows[1:])
    await plane.open(plane.process())
    with pytest.raises(WorkspaceDiskFull):
        await plane.open(plane.process("copy", bytes_max=50_000))  # also if the session has one


async def test_references_are_read_from_the_source_until_the_workspace_is_made(plane: Plane) -> None:
    repository.make(plane.root)
    (plane.root / "a.py").write_text("uncommitted")
    (plane.root / "link").symlink_to("a.py")
    (plane.root / ".env").write_text("secret")
    repository.git(plane.root, "add", "link", ".env")
    repository.git(plane.root, "commit", "--quiet", "--message", "Link")
    names = [("a.py",), ("link",), (".env",), ("nowhere", "x")]
    profile = request().harness_profile_snapshot

    async def files_of(source: str) -> FileReader:
        return await plane.process(source).readable(profile, "s", None, names, 1_000)

    files = await files_of("auto")
    assert files.read(("a.py",), 1_000, "").startswith(b"def add")
    for name in (("link",), ("nowhere", "x")):
        with pytest.raises(FileNotFoundError):
            files.read(name, 1_000, "")
    with pytest.raises(PathRefused):
        files.read((".env",), 1_000, "")
    assert (await files_of("copy")).read(("a.py",), 1_000, "") == b"uncommitted"
    with pytest.raises(FileNotFoundError):
        (await files_of("empty")).read(("a.py",), 1_000, "")
    made = await plane.open(plane.process("empty"))
    (made.files.root / "a.py").write_text("in the workspace")
    assert (await files_of("auto")).read(("a.py",), 1_000, "") == b"in the workspace"
    assert (await plane.process().current(profile, "s")).files.root == made.files.root
    assert (await plane.process().current(profile, "other")).files.root == plane.root


async def test_references_without_a_repository_are_refused_only_where_one_must_be_cloned(plane: Plane) -> None:
    profile = request().harness_profile_snapshot
    with pytest.raises(ConfigError):
        await plane.process("clone").readable(profile, "s", None, (), 1_000)
    assert await plane.process("auto").readable(profile, "s", None, (), 1_000) is not None
