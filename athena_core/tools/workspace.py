"""The workspace: opens files by name, step by step, so that no path leaves it or reaches a closed file."""

import copy
import errno
import fnmatch
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple, Protocol, Self, TypeAlias

import athena_core
from athena_core.settings import Settings
from athena_core.system.box.mirror import Access, Left, Mirror, MirrorTooLarge
from athena_core.system.sandbox import SandboxRefused
from athena_core.tools.refusal import PathRefused, ToolRefused

PATH_CHARS_MAX = 1_000
PATH_PARTS_MAX = 64
DIRECTORY_ENTRIES_MAX = 10_000
STATE_NAME = ".athena"
MIRRORS = "mirrors"
"""The directory below the state that holds the mirrors of the shared workspace."""
PERSONAS = "personas"
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK_BYTES = 1_048_576

STATE = "is the server's own state"
CONFIGURES = "configures the server"
CREDENTIALS = "may hold credentials"
LISTED = "is listed in ATHENA_WORKSPACE_CLOSED"
RUNS = "is run by the server"
CLOSED_NAMES: Mapping[str, str] = {
    STATE_NAME: STATE,
    **dict.fromkeys((".env", ".envrc"), CONFIGURES),
    **dict.fromkeys((".git", ".hg", ".svn", ".jj", ".git-credentials", ".netrc", "_netrc"), CREDENTIALS),
    **dict.fromkeys((".npmrc", ".pypirc", ".pgpass", ".ssh", ".gnupg", ".aws", ".kube", ".docker"), CREDENTIALS),
}
"""Names that are closed everywhere, ignoring case, with the reason."""
REPOSITORIES = frozenset((".git", ".hg", ".svn", ".jj"))
"""Closed names that commands in a sandbox may read, so that git works there, and change in an own workspace."""
PACKAGES = ("athena_core", "athena_api", "athena_cli", "projections")
DATABASE_SUFFIXES = ("", "-wal", "-shm", "-journal")

Parts: TypeAlias = tuple[str, ...]
FileIdentity: TypeAlias = tuple[int, int]
"""Device and inode, which identify a file under any name."""

_numbers = count()


class DirectoryEntry(NamedTuple):
    """An entry of a directory. ``parts`` lead to it from the start of the walk."""

    parts: Parts
    mode: int
    size: int


class FileReader(Protocol):
    """A place to read files from: a ``Workspace``, or files of a commit."""

    def read(self, parts: Parts, bytes_max: int, remedy: str) -> bytes:
        """Return a whole file. Raise PathRefused or OSError."""


class TreeInBox(NamedTuple):
    """The tree that a sandbox shows, and the paths in it that are read-only: the directory above each, and the path."""

    root: Path
    readonly: tuple[tuple[Path, str], ...] = ()


def parts_of(path: str) -> Parts:
    """Split a relative path into names. Raise PathRefused if it is absolute, goes up or is not a valid path."""
    try:
        fits = len(path) <= PATH_CHARS_MAX and b"\0" not in path.encode()
    except UnicodeEncodeError:
        fits = False
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if not fits or len(parts) > PATH_PARTS_MAX:
        raise PathRefused(
            f"The path is not valid: at most {PATH_CHARS_MAX} characters and {PATH_PARTS_MAX} parts, no NUL",
            "Give a path relative to the directory of the tool.",
        )
    if path.startswith("/") or ".." in parts:
        raise PathRefused(
            f"{path!r} is absolute or contains '..'",
            "Give a path relative to the directory of the tool. Files outside it cannot be reached.",
        )
    return parts


class Workspace:
    """A directory tree that tools, reports, references and notes are confined to.

    Symbolic links are never followed. Closed files and directories, with everything below them, are not opened,
    written, deleted or listed: ``CLOSED_NAMES``, ``personas`` in the root, the files in ``closed`` (by path, and under
    any other name by inode), and names or paths that match ``patterns``. Paths in ``code`` are read-only. ``is_own``
    is True for the workspace of a session or workflow run.

    Methods raise PathRefused for what the rules forbid, and OSError for failures of the system. They block: call them
    in a thread, except ``check`` and ``closed``.
    """

    def __init__(
        self,
        root: Path,
        closed: Mapping[Path, str] | None = None,
        patterns: Iterable[str] = (),
        code: Iterable[Path] = (),
        mirrors: Path | None = None,
    ) -> None:
        """Take the rules. Links in the path of ``root`` itself belong to the operator and are followed.

        The mirror for sandboxes is made in ``mirrors``; None: in the temporary directory.
        """
        self.root = self.shared_root = root
        self.is_own = False
        self.mirror: Mirror | None = Mirror(root, self._access, self.identities, lambda: mirrors or _temporary())
        self._files = dict(closed or {})
        self._paths = {parts: why for path, why in self._files.items() for parts in self._below(path)}
        self._paths[PERSONAS,] = CONFIGURES
        self._code = {parts for path in code for parts in self._below(path)}
        split = [pattern.casefold().rstrip("/").split("/") for pattern in patterns]
        names = [fnmatch.translate(parts[0]) for parts in split if len(parts) == 1]
        self._temporary = self._below(_temporary())  # the sockets of sandboxes are there
        self._names = re.compile("|".join(names)) if names else None
        self._places = [[re.compile(fnmatch.translate(part)) for part in parts if part] for parts in split if parts[1:]]

    def with_personas(self) -> Self:
        """Return the same workspace with ``personas`` open, for the reader of definitions."""
        opened = copy.copy(self)
        opened._paths = {parts: why for parts, why in self._paths.items() if parts != (PERSONAS,)}
        return opened

    def own(self, root: Path) -> Self:
        """Return another workspace, of a session or workflow run, with the same rules.

        The server runs no code from there, and commands in a sandbox may change its repositories.
        """
        owned = copy.copy(self)
        owned.root, owned.is_own, owned._code, owned.mirror = root, True, set(), None
        return owned

    def close(self, paths: Iterable[Path], why: str = CONFIGURES) -> None:
        """Close more files, also in a copy from ``with_personas`` if they exist. Safe while other threads read."""
        added = dict.fromkeys(paths, why)
        self._paths = {**self._paths, **{parts: why for path in added for parts in self._below(path)}}
        self._files.update(added)

    def closed(self, parts: Parts) -> tuple[Parts, str] | None:
        """Return the first closed part of a path and the reason; None if the path is open by name."""
        for end in range(1, len(parts) + 1):
            if (why := self.why_closed(parts[:end])) is not None:
                return parts[:end], why
        return None

    def check(self, parts: Parts, *, write: bool = False) -> None:
        """Raise PathRefused if a path is closed by name, or with ``write`` is read-only. Does not block."""
        if (found := self.closed(parts)) is not None:
            raise _refused(*found)
        if write and self._code:
            folded = _folded(parts)
            for end in range(1, len(parts) + 1):
                if folded[:end] in self._code:
                    name = "/".join(parts[:end])
                    raise PathRefused(f"{name!r} {RUNS} and is read-only", "Choose another file.")

    @contextmanager
    def directory(self, parts: Parts, *, make: bool = False) -> Iterator[int]:
        """Open a directory. With ``make`` create it and its parents if needed."""
        self.check(parts)
        with self._directory(parts, self.identities(), make=make) as here:
            yield here

    @contextmanager
    def _directory(self, parts: Parts, known: Mapping[FileIdentity, str], *, make: bool = False) -> Iterator[int]:
        here = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _not_known(os.fstat(here), known, (self.root.name,))
            for end, part in enumerate(parts, 1):
                there = _enter(here, parts[:end], part, known, make=make)
                os.close(here)
                here = there
            yield here
        finally:
            os.close(here)

    def read(self, parts: Parts, bytes_max: int, remedy: str) -> bytes:
        """Return a whole regular file. ``remedy`` is for a file over the limit."""
        return self.read_with_mode(parts, bytes_max, remedy)[0]

    def read_with_mode(self, parts: Parts, bytes_max: int, remedy: str) -> tuple[bytes, int]:
        """Return a whole regular file, and its mode."""
        name, known = _name(parts), self.identities()
        self.check(parts)
        with self._directory(parts[:-1], known) as above:
            if not _is_file(above, name):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            file = os.open(name, FILE, dir_fd=above)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise PathRefused(f"{name!r} is not a regular file", "Choose a regular file.")
            _not_known(status, known, parts)
            pieces: list[bytes] = []
            left = bytes_max + 1
            while left and (piece := os.read(file, min(left, CHUNK_BYTES))):
                pieces.append(piece)
                left -= len(piece)
        finally:
            os.close(file)
        if not left:
            raise PathRefused(f"{name!r} is larger than {bytes_max} bytes", remedy)
        return b"".join(pieces), status.st_mode

    def target(self, parts: Parts) -> bytes | None:
        """Return the target of a symbolic link, None for anything else."""
        name, known = _name(parts), self.identities()
        self.check(parts)
        with self._directory(parts[:-1], known) as above:
            if not stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
                return None
            return os.fsencode(os.readlink(name, dir_fd=above))

    def write(self, parts: Parts, data: bytes, *, executable: bool | None = None) -> None:
        """Replace a whole file, and create its parents. A concurrent reader gets either the old or the new content.

        It keeps its permissions; ``executable`` sets or clears those to execute it, for all who may read it.
        """
        name, known = _name(parts), self.identities()
        self.check(parts, write=True)
        with self._directory(parts[:-1], known, make=True) as above:
            mode = None
            if _is_file(above, name):
                status = os.stat(name, dir_fd=above, follow_symlinks=False)
                _not_known(status, known, parts)
                mode = stat.S_IMODE(status.st_mode) & 0o777
            fresh, file = _fresh(above)
            try:
                try:
                    view = memoryview(data)
                    while view:
                        view = view[os.write(file, view) :]
                    if executable is not None:
                        mode = stat.S_IMODE(os.fstat(file).st_mode) if mode is None else mode
                        mode = mode | (mode & 0o444) >> 2 if executable else mode & ~0o111
                    if mode is not None:
                        os.fchmod(file, mode)
                    os.fsync(file)
                finally:
                    os.close(file)
                os.replace(fresh, name, src_dir_fd=above, dst_dir_fd=above)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(fresh, dir_fd=above)
                raise
            os.fsync(above)

    def delete(self, parts: Parts) -> None:
        """Delete a regular file or an empty directory."""
        name, known = _name(parts), self.identities()
        self.check(parts, write=True)
        with self._directory(parts[:-1], known) as above:
            status = os.stat(name, dir_fd=above, follow_symlinks=False)
            _not_known(status, known, parts)
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(name, dir_fd=above)
            elif _is_file(above, name):
                os.unlink(name, dir_fd=above)

    def walk(self, parts: Parts, *, deep: bool) -> Iterator[DirectoryEntry]:
        """Yield the entries of a directory by name, with ``deep`` recursively. Closed entries are left out."""
        self.check(parts)
        known = self.identities()
        with self._directory(parts, known) as here:
            yield from self._walk(here, parts, len(parts), known, deep=deep)

    def _walk(
        self, here: int, above: Parts, begin: int, known: Mapping[FileIdentity, str], *, deep: bool
    ) -> Iterator[DirectoryEntry]:
        with os.scandir(here) as found:
            names = sorted(entry.name for entry in islice(found, DIRECTORY_ENTRIES_MAX))
        for name in names:
            parts = (*above, name)
            try:
                status = os.stat(name, dir_fd=here, follow_symlinks=False)
            except FileNotFoundError:
                continue  # deleted meanwhile
            if self.why_closed(parts) is not None or _identity(status) in known:
                continue
            yield DirectoryEntry(parts[begin:], status.st_mode, status.st_size)
            if deep and stat.S_ISDIR(status.st_mode) and len(parts) - begin <= PATH_PARTS_MAX:
                try:
                    there = _enter(here, parts, name, known, make=False)
                except (OSError, ToolRefused):
                    continue  # deleted, replaced or not readable
                try:
                    yield from self._walk(there, parts, begin, known, deep=True)
                finally:
                    os.close(there)

    @property
    def closed_paths(self) -> tuple[Path, ...]:
        """The paths that settings close, wherever they lie."""
        return tuple(self._files)

    def tree_in_box(self) -> TreeInBox:
        """Return the tree that sandboxes show: the own one of a session or workflow run, or else a mirror.

        Repositories of the shared workspace and code of the server are read-only. Raise SandboxRefused.
        """
        if self.mirror is None:
            return TreeInBox(self.root.absolute())
        tree, _ = self._sync(self.mirror)
        return TreeInBox(tree, tuple((self.root.absolute(), "/".join(parts)) for parts in self.mirror.shown))

    def sync_mirror(self) -> tuple[Left, ...]:
        """Carry changes between the workspace and the mirror that sandboxes show, if there is one.

        Return the changes of commands that were newly left out. Raise SandboxRefused.
        """
        return () if self.mirror is None or not self.mirror.made else self._sync(self.mirror)[1]

    def _sync(self, mirror: Mirror) -> tuple[Path, tuple[Left, ...]]:
        try:
            return mirror.sync()
        except MirrorTooLarge as error:
            raise SandboxRefused(str(error)) from error
        except OSError as error:
            problem = f"the files of the workspace cannot be copied for the sandbox: {error.strerror}"
            raise SandboxRefused(problem) from error

    def _access(self, parts: Parts) -> Access:
        """Return what commands in a sandbox may do with an entry of the shared workspace."""
        if parts[-1].casefold() in REPOSITORIES or (self._code and _folded(parts) in self._code):
            return "shown"
        return "closed" if self.why_closed(parts) is not None or _folded(parts) in self._temporary else "open"

    def why_closed(self, parts: Parts) -> str | None:
        """Return the reason why a path is closed by name, None if it is open. Its parents must be open."""
        folded = _folded(parts)
        if why := CLOSED_NAMES.get(folded[-1]) or self._paths.get(folded):
            return why
        listed = self._names is not None and self._names.match(folded[-1]) is not None
        for place in self._places:
            if len(place) == len(folded):
                listed |= all(one.match(part) for one, part in zip(place, folded, strict=True))
        return LISTED if listed else None

    def identities(self) -> dict[FileIdentity, str]:
        """Return the closed files that exist now, by identity."""
        found: dict[FileIdentity, str] = {}
        for path, why in tuple(self._files.items()):
            with suppress(OSError):  # it does not exist
                found[_identity(path.stat())] = why
        return found

    def _below(self, path: Path) -> set[Parts]:
        """Return a path relative to the root, as written and resolved; nothing if it is outside or the root itself."""
        roots = {self.root.absolute(), self.root.resolve()}
        found = {
            _folded(place.relative_to(root).parts)
            for place in (path.absolute(), path.resolve())
            for root in roots
            if place.is_relative_to(root)
        }
        return found - {()}


def open_workspace(settings: Settings) -> Workspace:
    """Return the workspace of a server, with its configuration and state closed and its code read-only."""
    closed = dict.fromkeys(settings.files, CONFIGURES)
    if settings.auth_role_map_file is not None:
        closed[settings.auth_role_map_file] = CONFIGURES
    if settings.memory_sqlite_path:
        closed |= {Path(settings.memory_sqlite_path + suffix): STATE for suffix in DATABASE_SUFFIXES}
    closed[settings.state_dir] = STATE
    if settings.workspaces_dir is not None:
        closed[settings.workspaces_dir] = STATE
    code = [Path(sys.prefix), *(Path(athena_core.__file__).parents[1] / name for name in PACKAGES)]
    program = (settings.local_provider_cmd, *settings.local_provider_args)
    code += [Path(word) for word in program if Path(word).is_file()]
    mirrors = settings.state_dir / MIRRORS
    return Workspace(settings.workspace_root, closed, settings.workspace_closed, code, mirrors)


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def _folded(parts: Parts) -> Parts:
    return tuple(part.casefold() for part in parts)


def _identity(status: os.stat_result) -> FileIdentity:
    return status.st_dev, status.st_ino


def _refused(parts: Parts, why: str) -> PathRefused:
    problem = f"{'/'.join(parts)!r} {why}: tools, reports and references neither read nor write it"
    return PathRefused(problem, "Choose another file.")


def _not_known(status: os.stat_result, known: Mapping[FileIdentity, str], parts: Parts) -> None:
    """Raise PathRefused for a closed file, under any name."""
    if (why := known.get(_identity(status))) is not None:
        raise _refused(parts, why)


def _enter(here: int, parts: Parts, name: str, known: Mapping[FileIdentity, str], *, make: bool) -> int:
    """Open a subdirectory of an open directory."""
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=here)
    try:
        there = os.open(name, DIRECTORY, dir_fd=here)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            _not_a_link(os.stat(name, dir_fd=here, follow_symlinks=False), name)
        raise
    try:
        _not_known(os.fstat(there), known, parts)
    except BaseException:
        os.close(there)
        raise
    return there


def _name(parts: Parts) -> str:
    if not parts:
        raise PathRefused("The path names the directory itself", "Give the path of a file in it.")
    return parts[-1]


def _is_file(above: int, name: str) -> bool:
    """Return True for a regular file, False if there is none. Raise PathRefused for anything else."""
    try:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return False
    _not_a_link(status, name)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise PathRefused(f"{name!r} is a device, a pipe or a socket", "Choose a regular file.")
    return True


def _not_a_link(status: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise PathRefused(f"{name!r} is a symbolic link, and links are not followed", "Give the path of its target.")


def _fresh(above: int) -> tuple[str, int]:
    """Create an empty file with an unused name."""
    while True:
        name = f".athena-{os.getpid()}-{next(_numbers)}.tmp"
        with suppress(FileExistsError):
            return name, os.open(name, FRESH, 0o666, dir_fd=above)
