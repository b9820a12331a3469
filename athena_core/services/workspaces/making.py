"""Making a workspace: a clone of the shared workspace's repository, a copy of its files, or an empty directory.

A workspace ``<directory>`` holds ``files``, the tree that agents see, ``git``, the repository of its snapshots, and
``made.json``. It is made under a temporary name, so that it is there whole or not at all.

A clone has a repository of its own in ``files/.git``. It reads the objects of the source, and holds the branch of the
source at its commit, and no settings, hooks, remotes or other branches. Programs that attributes name do not run: a
file of Git LFS stays a pointer. Submodules are empty directories. A copy holds each regular file, directory and link of
the shared workspace that is not closed, with its times. Links are copied as links.
"""

import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import anyio
import msgspec
from anyio import to_thread

from athena_core.domain.workspace import FILES_MAX
from athena_core.enums import WorkspaceSource
from athena_core.errors import ConfigError, WorkspaceDiskFull, WorkspaceLimit, WorkspaceMissing
from athena_core.services.workspaces.ignores import IGNORE_BYTES_MAX
from athena_core.services.workspaces.packs import initialise
from athena_core.services.workspaces.recording import EXCLUDE_NAME, TRACKED_NAME
from athena_core.services.workspaces.snapshots import FILES, GIT, MISSING
from athena_core.system.box.trees import Entry, Stop, delete, identity, in_thread, walk
from athena_core.system.git import Git, Repository
from athena_core.system.private_file import read
from athena_core.tools.workspace import FILE, FRESH, Workspace

Source: TypeAlias = Literal["auto", "clone", "copy", "empty"]
"""The setting ``ATHENA_WORKSPACES_SOURCE``."""

SETTING = "ATHENA_WORKSPACES_SOURCE"
MADE_NAME = "made.json"
MAKING_PREFIX = ".making-"
MAKE_SECONDS_MAX = 600.0
LIST_BYTES_MAX = 268_435_456
CHUNK_BYTES = 1_048_576
OBJECT_STORES_MAX = 16
PRIVATE = 0o700
RECORD_BYTES_MAX = 65_536


class Made(NamedTuple):
    """A new workspace: its source, the commit of a clone, and the directories of objects that a clone reads."""

    source: WorkspaceSource
    commit: str | None = None
    objects: tuple[Path, ...] = ()


class _MadeRecord(msgspec.Struct):
    """The content of ``made.json``. It stands outside of ``files``, because agents may change their repository."""

    source: WorkspaceSource
    commit: str | None
    objects: tuple[str, ...]


async def make(
    source: Source, root: Workspace, target: Path, scratch: Path, salt: bytes, room: int | None = None
) -> Made:
    """Make the workspace ``target`` from the shared workspace ``root``, with at most ``room`` bytes.

    ``scratch`` is a directory that agents cannot open, ``salt`` are random bytes. Raise ConfigError if a clone is
    wanted without a repository that has a commit, WorkspaceDiskFull, WorkspaceLimit, Overloaded after 600 s, or
    OSError.
    """
    making = target.parent / f"{MAKING_PREFIX}{target.name}-{os.getpid()}"
    await to_thread.run_sync(_prepare, making, salt)
    try:
        made = await _fill(source, root, making, scratch, room)
        await to_thread.run_sync(_finish, making, made, target)
    finally:
        with anyio.CancelScope(shield=True), suppress(OSError):
            await in_thread("the deletion of a workspace", MAKE_SECONDS_MAX, partial(delete, making))
    return made


def read_made(target: Path) -> Made:
    """Return how a workspace was made. Raise WorkspaceMissing if it is not on this machine. It blocks."""
    try:
        found = msgspec.json.decode(read(target / MADE_NAME, RECORD_BYTES_MAX), type=_MadeRecord)
    except (OSError, msgspec.MsgspecError) as error:
        raise WorkspaceMissing(MISSING) from error
    return Made(found.source, found.commit, tuple(Path(path) for path in found.objects))


def _prepare(making: Path, salt: bytes) -> None:
    making.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    making.mkdir(mode=PRIVATE)
    (making / FILES).mkdir()
    initialise(making / GIT, salt)


def _finish(making: Path, made: Made, target: Path) -> None:
    record = _MadeRecord(made.source, made.commit, tuple(str(path) for path in made.objects))
    (making / MADE_NAME).write_bytes(msgspec.json.encode(record))
    making.rename(target)


async def _fill(source: Source, root: Workspace, making: Path, scratch: Path, room: int | None) -> Made:
    if source in ("auto", "clone"):
        try:
            return await _clone(root, making, scratch, room)
        except ConfigError:
            if source == "clone":
                raise
            await in_thread("the deletion of a workspace", MAKE_SECONDS_MAX, partial(delete, making / FILES))
            await to_thread.run_sync((making / FILES).mkdir)
    if source != "empty":
        copying = _Copying(root, making / FILES, room)
        await in_thread("copying the workspace", MAKE_SECONDS_MAX, copying.copy)
        return Made("copy")
    return Made("empty")


# Clones


@asynccontextmanager
async def source_of_clone(root: Workspace, scratch: Path) -> AsyncIterator[tuple[Repository, str]]:
    """Open the repository at the top of the shared workspace. Yield it with its commit, or raise ConfigError."""
    top = root.root.resolve()
    async with Repository.open(top, top, SETTING, scratch) as repository:
        if repository.place.worktree != top:
            raise ConfigError.of(SETTING, "the shared workspace is not the top of a git repository")
        yield repository, await repository.commit("HEAD", SETTING)


async def _clone(root: Workspace, making: Path, scratch: Path, room: int | None) -> Made:
    """Fill ``files`` from the repository at the top of the shared workspace. Raise ConfigError if there is none."""
    async with source_of_clone(root, scratch) as (repository, commit):
        branch = await repository.branch()
        await _check_size(repository, commit, room)
        common = repository.place.common
        shallow, exclude = common / "shallow", common / "info" / "exclude"
        objects = await to_thread.run_sync(_object_stores, common / "objects")
        arguments = (making / FILES / ".git", objects[0], commit, branch, repository.object_format, shallow)
        await to_thread.run_sync(_write_repository, *arguments)
    files = making / FILES
    git = Git(files, SETTING, {"GIT_DIR": str(files / ".git"), "GIT_WORK_TREE": str(files)})
    await git.run("read-tree", "--reset", "-u", commit, seconds_max=MAKE_SECONDS_MAX)
    listed = ("ls-files", "-z", "--cached", "--ignored", "--exclude-standard")
    tracked = await git.run(*listed, bytes_max=LIST_BYTES_MAX, seconds_max=MAKE_SECONDS_MAX)
    await to_thread.run_sync((making / GIT / TRACKED_NAME).write_bytes, tracked.data)
    with suppress(OSError):
        await to_thread.run_sync(_copy_small, exclude, making / GIT / EXCLUDE_NAME)
    return Made("clone", commit, objects)


async def _check_size(repository: Repository, commit: str, room: int | None) -> None:
    """Raise WorkspaceLimit or WorkspaceDiskFull if the files of a commit are too many or too large."""
    output = await repository.run("ls-tree", "-r", "-l", "-z", commit, bytes_max=LIST_BYTES_MAX, seconds_max=60.0)
    lines = output.data.split(b"\0")[:-1]
    if output.cut or len(lines) > FILES_MAX:
        raise _too_many()
    sizes = (line.split(b"\t", 1)[0].split()[-1] for line in lines)
    _check_room(sum(int(size) for size in sizes if size != b"-"), room)


def _object_stores(objects: Path) -> tuple[Path, ...]:
    """Return a directory of objects, and its alternates as git reads them. The operator wrote their names."""
    found: list[Path] = []
    wanted = [objects.resolve()]
    while wanted and len(found) < OBJECT_STORES_MAX:
        store = wanted.pop(0)
        if store in found or not (store / "pack").is_dir():
            continue
        found.append(store)
        with suppress(OSError):
            lines = os.fsdecode(read(store / "info" / "alternates", RECORD_BYTES_MAX)).split("\n")
            wanted += [(store / line).resolve() for line in lines if line and not line.startswith("#")]
    if not found or "\n" in str(found[0]) or str(found[0]).startswith('"'):
        raise ConfigError.of(SETTING, "the objects of the repository cannot be shared")
    return tuple(found)


def _write_repository(
    git: Path, objects: Path, commit: str, branch: str | None, object_format: str, shallow: Path
) -> None:
    """Write the repository of a clone, without an index."""
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (git / folder).mkdir(parents=True)
    (git / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
    lines = ["[core]", "repositoryFormatVersion = 1", "bare = false", "fileMode = true", "logAllRefUpdates = true"]
    lines += ["[extensions]", f"objectFormat = {object_format}"]
    (git / "config").write_text("\n".join(lines) + "\n")
    if branch is None:
        (git / "HEAD").write_text(f"{commit}\n")
    else:
        (git / "HEAD").write_text(f"ref: {branch}\n")
        (git / branch).parent.mkdir(parents=True, exist_ok=True)
        (git / branch).write_text(f"{commit}\n")
    if shallow.is_file():
        (git / "shallow").write_bytes(read(shallow, LIST_BYTES_MAX))


def _copy_small(source: Path, target: Path) -> None:
    target.write_bytes(read(source, IGNORE_BYTES_MAX))


# Copies


class _Copying:
    """A copy of the shared workspace while it is made."""

    def __init__(self, root: Workspace, target: Path, room: int | None) -> None:
        self._root = root
        self._target = target
        self._left = room
        self._closed = root.identities()
        self._own = identity(target.parent.parent.stat())
        self._count = 0

    def copy(self, stop: Stop) -> None:
        """Copy the tree. It blocks. Raise WorkspaceLimit, WorkspaceDiskFull, Overloaded or OSError."""
        self._stop = stop
        for entry in walk(self._root.root, stop):
            if entry.moment != "found" or self._is_closed(entry):
                continue
            self._count += 1
            if self._count > FILES_MAX:
                raise _too_many()
            target = self._target.joinpath(*entry.parts)
            kind = stat.S_IFMT(entry.status.st_mode)
            if kind == stat.S_IFDIR:
                target.mkdir()
                entry.enter = True
            elif kind == stat.S_IFLNK:
                with suppress(FileNotFoundError):
                    target.symlink_to(os.readlink(entry.name, dir_fd=entry.above))
            elif kind == stat.S_IFREG:
                self._file(entry, target)

    def _is_closed(self, entry: Entry) -> bool:
        found = identity(entry.status)
        return found in self._closed or found == self._own or self._root.why_closed(entry.parts) is not None

    def _file(self, entry: Entry, target: Path) -> None:
        """Copy a regular file. One that is deleted, replaced or cannot be read is left out."""
        try:
            source = os.open(entry.name, FILE, dir_fd=entry.above)
        except OSError:
            return
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode) or identity(status) in self._closed:
                return
            copy = os.open(target, FRESH, status.st_mode & 0o777 | 0o600)
            try:
                while piece := os.read(source, min(status.st_size + 1, CHUNK_BYTES)):
                    self._stop.check()
                    self._take(len(piece), entry)
                    view = memoryview(piece)
                    while view:
                        view = view[os.write(copy, view) :]
                os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(copy)
        finally:
            os.close(source)

    def _take(self, size: int, entry: Entry) -> None:
        if self._left is not None:
            self._left -= size
            if self._left < 0:
                raise _too_large(os.fsencode("/".join(entry.parts)).decode(errors="backslashreplace"))


def _check_room(size: int, room: int | None) -> None:
    if room is not None and size > room:
        raise _too_large(f"{size} bytes")


def _too_large(what: str) -> WorkspaceDiskFull:
    return WorkspaceDiskFull(
        f"The shared workspace does not fit below ATHENA_WORKSPACES_BYTES_MAX ({what}). Clean other workspaces, raise"
        " the bound, or set ATHENA_WORKSPACES_SOURCE=empty."
    )


def _too_many() -> WorkspaceLimit:
    return WorkspaceLimit(
        f"The shared workspace has more than {FILES_MAX} files. Delete some, or set ATHENA_WORKSPACES_SOURCE=empty."
    )
