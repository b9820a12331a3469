"""The workspaces of runs: the shared one, and one for each session or workflow run, made for its first run."""

import errno
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast
from weakref import WeakValueDictionary

import anyio
from anyio import to_thread

from athena_core.clock import Ids
from athena_core.decider import Context, Outcome, Reader, Transaction, facts_of
from athena_core.definitions.profile import HarnessSpec, workspace_owner
from athena_core.domain import run, workspace
from athena_core.enums import WorkspaceKind
from athena_core.errors import AthenaError, ConfigError, LeaseLost, WorkspaceDiskFull, WorkspaceMissing
from athena_core.event import Meta
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.services.workspaces.making import Source, make, read_made, source_of_clone
from athena_core.services.workspaces.packs import SALT_BYTES
from athena_core.services.workspaces.snapshots import FILES, GIT, Snapshots, TreeDiff
from athena_core.services.workspaces.usage import DiskUsage
from athena_core.settings import Settings
from athena_core.system.box.trees import delete_tree
from athena_core.tools.workspace import FileReader, Parts, Workspace

MISSING = (
    "the directory of workspace {} is not on this machine: another machine made it, or it was deleted by hand. Share"
    " ATHENA_WORKSPACES_DIR between the machines, or clean the workspace"
)
META = Meta(actor="system:workspaces", correlation="")
"""Never recorded: it only reads."""

Owner: TypeAlias = tuple[WorkspaceKind, str]
Commit: TypeAlias = Callable[[Transaction[str | None]], Awaitable[Committed[str | None]]]
"""Commits a transaction, and retries while the log is unavailable. Raises LeaseLost if the outcome is unknown."""


class Changes(NamedTuple):
    """The changes of a run in its workspace, and the content of the workspace after them.

    ``salt`` is of the hashes of hidden parts. Only the directory of the workspace has it.
    """

    tree: str
    diff: TreeDiff
    salt: str


class RunWorkspace:
    """The workspace of a run under one lease. ``readonly`` are paths that commands in a sandbox need beside it.

    For a workspace of its own, ``opened`` is the record of its content before the first step of the run.
    """

    def __init__(
        self,
        files: Workspace,
        readonly: tuple[Path, ...] = (),
        snapshots: Snapshots | None = None,
        opened: run.WorkspaceOpened | None = None,
    ) -> None:
        self.files = files
        self.readonly = readonly
        self.opened = opened
        self._snapshots = snapshots

    async def changes(self, recorded: str | None) -> Changes | None:
        """Return what the run has changed so far; None in the shared workspace.

        ``recorded`` is the content that was recorded last: return None if it is still the same. Raise AthenaError.
        """
        if self._snapshots is None or self.opened is None:
            return None
        try:
            tree = (await self._snapshots.take()).tree
        except OSError as error:
            raise _unusable(self.opened.workspace_id, error) from error
        if tree == recorded:
            return None
        return Changes(tree, await self._snapshots.diff(self.opened.tree, tree), self._snapshots.salt)


class CommittedFiles:
    """Some files of a commit, for references of a run whose workspace will be a clone of it."""

    def __init__(self, root: Workspace, contents: Mapping[Parts, bytes]) -> None:
        self._root = root
        self._contents = contents

    def read(self, parts: Parts, bytes_max: int, remedy: str) -> bytes:
        """Return a file. Raise PathRefused, or FileNotFoundError if the commit has none."""
        self._root.check(parts)
        content = self._contents.get(parts)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return content


class Workspaces:
    """Opens the workspaces of runs. It makes one for the first run of a session or workflow run."""

    def __init__(
        self, log: Log, shared: Workspace, settings: Settings, ids: Ids, directory: Path, usage: DiskUsage
    ) -> None:
        """``directory`` holds one directory for each workspace, named by its id."""
        self.shared = shared
        self._log = log
        self._ids = ids
        self._directory = directory
        self._source = cast(Source, settings.workspaces_source)
        self._usage = usage
        self._scratch = settings.state_dir
        self._making: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    # For runs

    async def open(
        self, run_id: str, request: run.RunRequest, opened: run.WorkspaceOpened | None, commit: Commit
    ) -> RunWorkspace:
        """Return the workspace of a run. The first run of a session or workflow run makes it.

        ``opened`` is the record of an earlier executor of the run. Raise WorkspaceMissing, WorkspaceLimit,
        WorkspaceDiskFull, the errors of reading the source, and LeaseLost.
        """
        owner = run.own_workspace(request)
        if owner is None:
            return RunWorkspace(self.shared)
        room = 0
        if opened is None:
            room = await self._usage.room()
            workspace_id = await self._find_or_make(run_id, owner, commit, room)
        else:
            workspace_id = opened.workspace_id
        files = await self._files(workspace_id)
        made = await to_thread.run_sync(read_made, self._directory / workspace_id)
        snapshots = Snapshots(self._directory / workspace_id, files)
        if opened is None:
            try:
                tree = (await snapshots.take(room)).tree
            except OSError as error:
                raise _unusable(workspace_id, error) from error
            opened = run.WorkspaceOpened(workspace_id=workspace_id, tree=tree)
        return RunWorkspace(files, made.objects, snapshots, opened)

    async def _find_or_make(self, run_id: str, owner: Owner, commit: Commit, room: int) -> str:
        place = workspace.place_of(*owner)
        lock = self._making.setdefault(place, anyio.Lock())
        async with lock:
            return (await commit(_find(place))).answer or await self._make(run_id, owner, commit, room)

    async def _make(self, run_id: str, owner: Owner, commit: Commit, room: int) -> str:
        """Make the workspace of an owner. Return the id of the one that was recorded first, by any process."""
        workspace_id = self._ids.new("wsp")
        target = self._directory / workspace_id
        try:
            made = await make(self._source, self.shared, target, self._scratch, self._ids.salt(SALT_BYTES), room)
        except OSError as error:
            raise _unusable(workspace_id, error) from error
        kind, name = owner
        created = workspace.WorkspaceCreated(
            workspace_id=workspace_id,
            kind=kind,
            owner=name,
            source=made.source,
            commit=made.commit,
            run_id=run_id,
        )
        try:
            first = (await commit(_create(created))).answer
        except LeaseLost:  # it may have been recorded
            raise
        except Exception:
            await self._remove(workspace_id)
            raise
        if first != workspace_id:
            await self._remove(workspace_id)
        return first or workspace_id

    async def _remove(self, workspace_id: str) -> None:
        with anyio.CancelScope(shield=True), suppress(OSError):
            await delete_tree(self._directory / workspace_id)

    async def _files(self, workspace_id: str) -> Workspace:
        """Return the files of a workspace. Raise WorkspaceMissing."""
        place = self._directory / workspace_id
        if not await to_thread.run_sync(lambda: (place / FILES).is_dir() and (place / GIT).is_dir()):
            raise WorkspaceMissing(MISSING.format(workspace_id))
        return self.shared.own(place / FILES)

    # For context references and reviews

    async def current(self, profile: HarnessSpec | None, session_id: str | None) -> RunWorkspace:
        """Return the workspace of the next run of a session; as long as the session has none, the shared one.

        It records nothing. Raise WorkspaceMissing.
        """
        owner = None if profile is None or session_id is None else workspace_owner(profile, session_id, None)
        workspace_id = None if owner is None else await self._id_of(owner)
        if workspace_id is None:
            return RunWorkspace(self.shared)
        made = await to_thread.run_sync(read_made, self._directory / workspace_id)
        return RunWorkspace(await self._files(workspace_id), made.objects)

    async def readable(
        self,
        profile: HarnessSpec | None,
        session_id: str,
        workflow_run_id: str | None,
        paths: Iterable[Parts],
        bytes_max: int,
    ) -> FileReader:
        """Return a reader of these files as the next run of a session or workflow run will find them.

        Before its workspace is made, they come from the source of it. Raise WorkspaceMissing, or ConfigError without
        a repository to clone.
        """
        owner = None if profile is None else workspace_owner(profile, session_id, workflow_run_id)
        if owner is None:
            return self.shared
        workspace_id = await self._id_of(owner)
        if workspace_id is not None:
            return await self._files(workspace_id)
        if self._source == "empty":
            return CommittedFiles(self.shared, {})
        if self._source == "copy":
            return self.shared
        try:
            return CommittedFiles(self.shared, await self._committed(paths, bytes_max))
        except ConfigError:
            if self._source == "clone":
                raise
            return self.shared

    async def _committed(self, paths: Iterable[Parts], bytes_max: int) -> Mapping[Parts, bytes]:
        """Return files of the commit that a clone would be made of. Raise ConfigError if there is none."""
        contents: dict[Parts, bytes] = {}
        async with source_of_clone(self.shared, self._scratch) as (repository, commit):
            for parts in paths:
                content = await repository.regular_file(commit, "/".join(parts), bytes_max)
                if content is not None:
                    contents[parts] = content
        return contents

    async def _id_of(self, owner: Owner) -> str | None:
        place = workspace.place_of(*owner)

        def find(reader: Reader, context: Context) -> Outcome[str | None]:
            return Outcome(answer=workspace.workspace_at(reader, place))

        return (await self._log.submit(find, META)).answer


def _unusable(workspace_id: str, error: OSError) -> AthenaError:
    """Return the error of a workspace that cannot be written or read."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkspaceDiskFull("the disk of ATHENA_WORKSPACES_DIR is full. Make room on it, then retry")
    return WorkspaceMissing(f"the directory of workspace {workspace_id} cannot be used: {error.strerror}")


def _find(place: str) -> Transaction[str | None]:
    """Return a transaction that finds the workspace of an owner. It raises WorkspaceLimit if none may be made."""

    def find(reader: Reader, context: Context) -> Outcome[str | None]:
        found = workspace.workspace_at(reader, place)
        if found is None:
            workspace.check_room(reader)
        return Outcome(answer=found)

    return find


def _create(created: workspace.WorkspaceCreated) -> Transaction[str | None]:
    """Return a transaction that records a workspace, unless its owner has one. The answer is the id of the first."""

    def create(reader: Reader, context: Context) -> Outcome[str | None]:
        first = workspace.workspace_at(reader, created.place)
        if first is not None:
            return Outcome(answer=first)
        workspace.check_room(reader)
        session_id = created.owner if created.kind == "session" else None
        facts = facts_of(created.workspace_id, (created,), session_id=session_id, run_id=created.run_id)
        return Outcome(facts=facts, answer=created.workspace_id)

    return create
