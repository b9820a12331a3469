"""Recording a tree: its files become objects of a pack, and unchanged ones are recognised without being read."""

import errno
import os
import stat
from bisect import bisect_left
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from athena_core.domain.workspace import FILES_MAX
from athena_core.errors import WorkspaceDiskFull, WorkspaceLimit
from athena_core.services.workspaces.ignores import (
    IGNORE_BYTES_MAX,
    IGNORE_NAME,
    IgnoreFile,
    ignore_file,
)
from athena_core.services.workspaces.packs import Pack, name_of, salt_of, tree_content
from athena_core.system.box.trees import Entry, Stop, walk
from athena_core.system.private_file import read
from athena_core.tools.workspace import FILE, REPOSITORIES, Workspace

FILE_BYTES_MAX = 67_108_864
"""Maximum size of a file whose content is recorded."""

CHUNK_BYTES = 1_048_576
DEPTH_MAX = 200
"""Maximum number of directories above a file that is recorded."""

LEFT_OUT_MAX = 1_000
"""Maximum number of files that are named as left out."""

CACHE_BYTES_MAX = 1_000_000_000
CACHE_NAME = "athena-cache"
TRACKED_NAME = "athena-tracked"
EXCLUDE_NAME = "athena-exclude"
SETTLED_NS = 2_000_000_000
"""A file that changed so shortly before a snapshot is read again in the next one: its times may not change."""

DIRECTORY_MODE, FILE_MODE, PROGRAM_MODE, LINK_MODE, LEFT_OUT_MODE = 0o40000, 0o100644, 0o100755, 0o120000, 0o160000
"""Modes of entries of a git tree. Submodules are never recorded, so their mode marks what was left out."""

SALT_ENTRY = b".hg"
"""An entry of each root, equal in all snapshots of a workspace: a name in the log confirms no guess of the contents.

No file has this name in a snapshot, because repositories are not recorded.
"""

Reason: TypeAlias = Literal["too-large", "closed", "special", "unreadable", "too-deep"]


class LeftOut(NamedTuple):
    """A file or directory whose content a snapshot does not record, and the reason."""

    path: str
    reason: Reason


class Snapshot(NamedTuple):
    """The recorded state of a tree: the name of its git tree, and up to 1,000 files that were left out."""

    tree: str
    files: int
    left_out: tuple[LeftOut, ...]


class CachedFile(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A file as it was recorded."""

    path: bytes
    mode: int
    name: bytes
    stamp: tuple[int, ...] = ()


class SnapshotCache(msgspec.Struct):
    """The files and trees of the last snapshot."""

    files: list[CachedFile]
    trees: list[bytes]


class TreeRecorder:
    """One snapshot of a tree while it is taken. It blocks."""

    def __init__(
        self,
        files: Path,
        directory: Path,
        workspace: Workspace,
        room: int | None,
        stop: Stop,
        *,
        files_max: int = FILES_MAX,
        settled_ns: int = SETTLED_NS,
    ) -> None:
        """Record ``files`` into the repository ``directory``, writing at most ``room`` bytes."""
        self._files = files
        self._directory = directory
        self._workspace = workspace
        self._closed = workspace.identities()
        self._room = room
        self._stop = stop
        self._files_max = files_max
        self._settle_ns = settled_ns
        cache = _cached(directory)
        self._before = {file.path: file for file in cache.files} if cache else _tracked(directory)
        self._above = {path[:at] for path in self._before for at in _slashes(path)}
        self._known = {file.name for file in self._before.values()} | set(cache.trees if cache else ())
        self._found: dict[bytes, CachedFile] = {}
        self._left_out: list[LeftOut] = []
        self._ignores: list[tuple[IgnoreFile | None, int]] = []
        self._exclude = _exclude(directory)
        self._ignore_bytes = IGNORE_BYTES_MAX
        self._ignored_from: int | None = None
        self._count = 0

    def record(self) -> Snapshot:
        """Record the tree. Raise WorkspaceLimit, WorkspaceDiskFull, Overloaded or OSError."""
        try:
            with Pack(self._directory) as self._pack:
                self._settled_ns = self._pack.began_ns - self._settle_ns
                for entry in walk(self._files, self._stop):
                    self._entry(entry)
                trees = self._trees()
                self._pack.finish()
            self._store(SnapshotCache(list(self._found.values()), [name for name, _ in trees.values()]))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise WorkspaceDiskFull("The disk of the workspaces is full. Make room, then retry.") from error
            raise
        return Snapshot(trees[b""][0].hex(), len(self._found), tuple(self._left_out[:LEFT_OUT_MAX]))

    @property
    def paths(self) -> set[bytes]:
        """The files that were recorded."""
        return set(self._found)

    # Files

    def _entry(self, entry: Entry) -> None:
        depth = len(entry.parents)
        if entry.moment == "left":
            if self._ignored_from == depth:
                self._ignored_from = None
            return
        if entry.name.casefold() in REPOSITORIES:
            return
        path = os.fsencode("/".join(entry.parts))
        if entry.moment == "unreadable":
            self._keep(path)
            self._leave_out(path, "unreadable")
            return
        self._count += 1
        if self._count > self._files_max:
            raise WorkspaceLimit(f"The workspace has more than {self._files_max} files. Delete some, then retry.")
        ignored = self._ignored(entry, path)
        if entry.is_directory:
            self._directory_found(entry, path, ignored=ignored)
        elif not ignored or path in self._before:
            self._file_found(entry, path)

    def _directory_found(self, entry: Entry, path: bytes, *, ignored: bool) -> None:
        if ignored and path not in self._above:
            return
        if self._workspace.why_closed(entry.parts) is not None:
            self._add_left_out(path, "closed", ())
        elif len(entry.parents) >= DEPTH_MAX:
            self._add_left_out(path, "too-deep", ())
        else:
            entry.enter = True
            if ignored and self._ignored_from is None:
                self._ignored_from = len(entry.parents)

    def _file_found(self, entry: Entry, path: bytes) -> None:
        status = entry.status
        kind = stat.S_IFMT(status.st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFLNK):
            self._leave_out(path, "special")
        elif self._workspace.why_closed(entry.parts) is not None or (status.st_dev, status.st_ino) in self._closed:
            self._add_left_out(path, "closed", (status.st_size, status.st_mtime_ns))
        elif kind == stat.S_IFLNK:
            with suppress(FileNotFoundError):  # deleted meanwhile
                self._add(path, LINK_MODE, os.fsencode(os.readlink(entry.name, dir_fd=entry.above)))
        elif (before := self._before.get(path)) is not None and before.stamp and before.stamp == _stamp(status):
            self._found[path] = before
        else:
            self._read(entry, path)

    def _read(self, entry: Entry, path: bytes) -> None:
        """Record the content of a regular file."""
        try:
            file = os.open(entry.name, FILE, dir_fd=entry.above)
        except FileNotFoundError:
            return  # deleted meanwhile
        except PermissionError:
            self._add_left_out(path, "unreadable", _stamp(entry.status))
            return
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):
                raise
            self._leave_out(path, "special")  # replaced meanwhile
            return
        with os.fdopen(file, "rb", buffering=0):
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                self._leave_out(path, "special")
                return
            if (status.st_dev, status.st_ino) in self._closed:
                self._add_left_out(path, "closed", (status.st_size, status.st_mtime_ns))
                return
            content = _content(file, status.st_size, self._stop)
        if content is None:
            self._add_left_out(path, "too-large", (status.st_size, status.st_mtime_ns))
            return
        settled = max(status.st_mtime_ns, status.st_ctime_ns) < self._settled_ns
        mode = PROGRAM_MODE if status.st_mode & stat.S_IXUSR else FILE_MODE
        self._add(path, mode, content, _stamp(status) if settled else ())

    def _add(self, path: bytes, mode: int, content: bytes, stamp: tuple[int, ...] = ()) -> None:
        name = name_of("blob", content)
        if name not in self._known:
            if self._room is not None and self._pack.size + len(content) // 2 > self._room:
                raise WorkspaceDiskFull(
                    "The changes do not fit below ATHENA_WORKSPACES_BYTES_MAX. Clean other workspaces, then retry."
                )
            self._pack.add("blob", name, content)
        self._found[path] = CachedFile(path, mode, name, stamp)

    def _add_left_out(self, path: bytes, reason: Reason, state: tuple[int, ...]) -> None:
        """Note that something is there, by a name that changes with its state."""
        self._found[path] = CachedFile(path, LEFT_OUT_MODE, name_of("blob", repr((reason, state)).encode()))
        self._leave_out(path, reason)

    def _leave_out(self, path: bytes, reason: Reason) -> None:
        if len(self._left_out) < LEFT_OUT_MAX:
            self._left_out.append(LeftOut(readable(path), reason))

    def _keep(self, directory: bytes) -> None:
        """Record a directory that cannot be read as it was in the last snapshot."""
        paths = sorted(self._before)
        for path in paths[bisect_left(paths, directory + b"/") : bisect_left(paths, directory + b"0")]:
            self._found[path] = self._before[path]

    # Ignored files

    def _ignored(self, entry: Entry, path: bytes) -> bool:
        depth = len(entry.parents)
        name = os.fsencode(entry.name)
        del self._ignores[depth + 1 :]
        if len(self._ignores) == depth:
            self._ignores.append((self._ignore_file(entry.above), len(path) - len(name)))
        if self._ignored_from is not None:
            return True
        for file, start in reversed(self._ignores):
            if file is not None:
                decision = file.decision(path[start:], name, directory=entry.is_directory)
                if decision is not None:
                    return decision
        return self._exclude is not None and bool(self._exclude.decision(path, name, directory=entry.is_directory))

    def _ignore_file(self, directory: int) -> IgnoreFile | None:
        """Read the ignore file of an open directory. One that is too large or no regular file does not count."""
        try:
            file = os.open(IGNORE_NAME, FILE, dir_fd=directory)
        except OSError:
            return None
        try:
            status = os.fstat(file)
            fits = stat.S_ISREG(status.st_mode) and status.st_size <= self._ignore_bytes
            content = os.read(file, self._ignore_bytes) if fits else b""
        except OSError:
            return None
        finally:
            os.close(file)
        self._ignore_bytes -= len(content)
        return ignore_file(content) if content else None

    # Trees

    def _trees(self) -> dict[bytes, tuple[bytes, int]]:
        """Write the trees, inner ones first. Return the name and mode of each by path."""
        entries = defaultdict[bytes, list[tuple[bytes, int, bytes]]](list)
        entries[b""].append((SALT_ENTRY, LEFT_OUT_MODE, salt_of(self._directory)))
        directories = {b""}
        for file in self._found.values():
            above, _, name = file.path.rpartition(b"/")
            entries[above].append((name, file.mode, file.name))
            if above not in directories:
                directories |= {above, *(above[:at] for at in _slashes(above))}
        trees: dict[bytes, tuple[bytes, int]] = {}
        for path in sorted(directories, key=lambda path: path.count(b"/") if path else -1, reverse=True):
            content = tree_content(entries[path])
            name = name_of("tree", content)
            if name not in self._known:
                self._pack.add("tree", name, content)
            trees[path] = name, DIRECTORY_MODE
            if path:
                above, _, own = path.rpartition(b"/")
                entries[above].append((own, DIRECTORY_MODE, name))
        return trees

    def _store(self, cache: SnapshotCache) -> None:
        made = self._directory / f"{CACHE_NAME}-{self._pack.path.name}"
        made.write_bytes(msgspec.msgpack.encode(cache))
        made.replace(self._directory / CACHE_NAME)


def readable(path: bytes) -> str:
    r"""Return a path as text; bytes that are not UTF-8 become ``\xNN``."""
    return path.decode(errors="backslashreplace")


def _slashes(path: bytes) -> list[int]:
    return [at for at, byte in enumerate(path) if byte == 0x2F]


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes with each change of a file."""
    return status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev


def _content(file: int, size: int, stop: Stop) -> bytes | None:
    """Read an open file of about this size. Return None if it is larger than the limit."""
    pieces: list[bytes] = []
    left = 0 if size > FILE_BYTES_MAX else FILE_BYTES_MAX + 1
    while left and (piece := os.read(file, min(left, size + 1, CHUNK_BYTES))):
        stop.check()
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces) if left else None


def _cached(directory: Path) -> SnapshotCache | None:
    """Return the last snapshot, None if there is none or it cannot be read."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.msgpack.decode(read(directory / CACHE_NAME, CACHE_BYTES_MAX), type=SnapshotCache)
    return None


def _tracked(directory: Path) -> dict[bytes, CachedFile]:
    """Return the files of a clone that belong to it although they are ignored."""
    with suppress(OSError):
        paths = read(directory / TRACKED_NAME, CACHE_BYTES_MAX).split(b"\0")
        return {path: CachedFile(path, FILE_MODE, b"") for path in paths if path}
    return {}


def _exclude(directory: Path) -> IgnoreFile | None:
    with suppress(OSError):
        return ignore_file(read(directory / EXCLUDE_NAME, IGNORE_BYTES_MAX))
    return None
