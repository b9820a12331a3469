"""The workspace: files by name, opened step by step, so that no name leads out of it or into what is closed."""

import copy
import errno
import fnmatch
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

import athena_core
from athena_core.settings import Settings
from athena_core.tools.refusal import PathRefused, ToolRefused

PATH_CHARS_MAX = 1_000
PATH_PARTS_MAX = 64
DIRECTORY_ENTRIES_MAX = 10_000
STATE_NAME = ".athena"
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
"""Names that are closed wherever they occur, in any case, with the reason."""

PACKAGES = ("athena_core", "athena_api", "athena_cli", "projections")
DATABASE_SUFFIXES = ("", "-wal", "-shm", "-journal")

Parts: TypeAlias = tuple[str, ...]
FileIdentity: TypeAlias = tuple[int, int]
"""Device and inode: what stays the same whatever a file is called."""

_numbers = count()


class DirectoryEntry(NamedTuple):
    """A name in a directory; ``parts`` lead to it from where the walk began."""

    parts: Parts
    mode: int
    size: int


def parts_of(path: str) -> Parts:
    """The names in a relative path. Raises PathRefused for one that is absolute, goes up or cannot be a path."""
    try:
        fits = len(path) <= PATH_CHARS_MAX and b"\0" not in path.encode()
    except UnicodeEncodeError:
        fits = False
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if not fits or len(parts) > PATH_PARTS_MAX:
        raise PathRefused(
            f"The path is no path: at most {PATH_CHARS_MAX} characters and {PATH_PARTS_MAX} parts, no NUL",
            "Name a file relative to the directory of the tool.",
        )
    if path.startswith("/") or ".." in parts:
        raise PathRefused(
            f"{path!r} is absolute or goes up with '..'",
            "Name it relative to the directory of the tool, outside of which nothing is in reach.",
        )
    return parts


class Workspace:
    """A directory and what is below it: the one gate for tools, reports, references and notes.

    A symbolic link is never followed, wherever it leads. What is closed is neither opened, written, deleted nor listed,
    with everything below it: ``CLOSED_NAMES``, ``personas`` in the root, the files in ``closed`` (by their place, and
    under any other name by their inode), and names or paths that match ``patterns``. What is in ``code`` is read only.

    Methods raise PathRefused for what the rules forbid, and OSError for what the system says. They block: call them in
    a thread, except ``check`` and ``closed``.
    """

    def __init__(
        self,
        root: Path,
        closed: Mapping[Path, str] | None = None,
        patterns: Iterable[str] = (),
        code: Iterable[Path] = (),
    ) -> None:
        """Open nothing yet; links in ``root`` itself are the operator's and are followed."""
        self.root = root
        self._files = dict(closed or {})
        self._paths = {parts: why for path, why in self._files.items() for parts in self._below(path)}
        self._paths[PERSONAS,] = CONFIGURES
        self._code = {parts for path in code for parts in self._below(path)}
        split = [pattern.casefold().rstrip("/").split("/") for pattern in patterns]
        names = [fnmatch.translate(parts[0]) for parts in split if len(parts) == 1]
        self._names = re.compile("|".join(names)) if names else None
        self._places = [[re.compile(fnmatch.translate(part)) for part in parts if part] for parts in split if parts[1:]]

    def with_personas(self) -> Self:
        """The same workspace with ``personas`` open, for the reader of definitions."""
        opened = copy.copy(self)
        opened._paths = {parts: why for parts, why in self._paths.items() if parts != (PERSONAS,)}
        return opened

    def closed(self, parts: Parts) -> tuple[Parts, str] | None:
        """The first part of a path that is closed by its name, and why; None where none is."""
        for end in range(1, len(parts) + 1):
            if (why := self._why(parts[:end])) is not None:
                return parts[:end], why
        return None

    def check(self, parts: Parts, *, write: bool = False) -> None:
        """Raise PathRefused for a path that is closed by its name, or with ``write`` is read only. Does not block."""
        if (found := self.closed(parts)) is not None:
            raise _refused(*found)
        if write and self._code:
            folded = _folded(parts)
            for end in range(1, len(parts) + 1):
                if folded[:end] in self._code:
                    name = "/".join(parts[:end])
                    raise PathRefused(f"{name!r} {RUNS} and is only read", "Choose another file.")

    @contextmanager
    def directory(self, parts: Parts, *, make: bool = False) -> Iterator[int]:
        """An open directory; with ``make`` it and those above it come into being."""
        self.check(parts)
        with self._directory(parts, self._identities(), make=make) as here:
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
        """A regular file as a whole; ``remedy`` is for one that is over the limit."""
        name, known = _name(parts), self._identities()
        self.check(parts)
        with self._directory(parts[:-1], known) as above:
            if not _is_file(above, name):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            file = os.open(name, FILE, dir_fd=above)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise PathRefused(f"{name!r} is no regular file", "Only regular files are read.")
            _not_known(status, known, parts)
            pieces: list[bytes] = []
            left = bytes_max + 1
            while left and (piece := os.read(file, min(left, CHUNK_BYTES))):
                pieces.append(piece)
                left -= len(piece)
        finally:
            os.close(file)
        if not left:
            raise PathRefused(f"{name!r} is over {bytes_max} bytes", remedy)
        return b"".join(pieces)

    def write(self, parts: Parts, data: bytes) -> None:
        """Put a file in place as a whole, with the directories above it; who reads sees the old or the new one."""
        name, known = _name(parts), self._identities()
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
        """Remove a regular file or an empty directory."""
        name, known = _name(parts), self._identities()
        self.check(parts, write=True)
        with self._directory(parts[:-1], known) as above:
            status = os.stat(name, dir_fd=above, follow_symlinks=False)
            _not_known(status, known, parts)
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(name, dir_fd=above)
            elif _is_file(above, name):
                os.unlink(name, dir_fd=above)

    def walk(self, parts: Parts, *, deep: bool) -> Iterator[DirectoryEntry]:
        """What is in a directory, by name; with ``deep`` also what is below. What is closed is left out."""
        self.check(parts)
        known = self._identities()
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
                continue  # gone meanwhile
            if self._why(parts) is not None or _identity(status) in known:
                continue
            yield DirectoryEntry(parts[begin:], status.st_mode, status.st_size)
            if deep and stat.S_ISDIR(status.st_mode) and len(parts) - begin <= PATH_PARTS_MAX:
                try:
                    there = _enter(here, parts, name, known, make=False)
                except (OSError, ToolRefused):
                    continue  # gone, exchanged or closed to us
                try:
                    yield from self._walk(there, parts, begin, known, deep=True)
                finally:
                    os.close(there)

    def _why(self, parts: Parts) -> str | None:
        """Why a path is closed by its name; what is above it is open."""
        folded = _folded(parts)
        if why := CLOSED_NAMES.get(folded[-1]) or self._paths.get(folded):
            return why
        listed = self._names is not None and self._names.match(folded[-1]) is not None
        for place in self._places:
            if len(place) == len(folded):
                listed |= all(one.match(part) for one, part in zip(place, folded, strict=True))
        return LISTED if listed else None

    def _identities(self) -> dict[FileIdentity, str]:
        """The closed files that exist now, by identity."""
        found: dict[FileIdentity, str] = {}
        for path, why in self._files.items():
            with suppress(OSError):  # there is none
                found[_identity(path.stat())] = why
        return found

    def _below(self, path: Path) -> set[Parts]:
        """A path from the root, with links followed and as it is written; none for what is outside, or the root."""
        roots = {self.root.absolute(), self.root.resolve()}
        found = {
            _folded(place.relative_to(root).parts)
            for place in (path.absolute(), path.resolve())
            for root in roots
            if place.is_relative_to(root)
        }
        return found - {()}


def open_workspace(settings: Settings) -> Workspace:
    """The workspace of a server, with what configures it and what it keeps closed, and what it runs read only."""
    closed = dict.fromkeys(settings.files, CONFIGURES)
    if settings.auth_role_map_file is not None:
        closed[settings.auth_role_map_file] = CONFIGURES
    if settings.memory_sqlite_path:
        closed |= {Path(settings.memory_sqlite_path + suffix): STATE for suffix in DATABASE_SUFFIXES}
    closed[settings.state_dir] = STATE
    code = [Path(sys.prefix), *(Path(athena_core.__file__).parents[1] / name for name in PACKAGES)]
    program = (settings.local_provider_cmd, *settings.local_provider_args)
    code += [Path(word) for word in program if Path(word).is_file()]
    return Workspace(settings.workspace_root, closed, settings.workspace_closed, code)


def _folded(parts: Parts) -> Parts:
    return tuple(part.casefold() for part in parts)


def _identity(status: os.stat_result) -> FileIdentity:
    return status.st_dev, status.st_ino


def _refused(parts: Parts, why: str) -> PathRefused:
    problem = f"{'/'.join(parts)!r} {why}: tools, reports and references neither read nor write it"
    return PathRefused(problem, "Choose another file.")


def _not_known(status: os.stat_result, known: Mapping[FileIdentity, str], parts: Parts) -> None:
    """Raise PathRefused for a closed file under whatever name."""
    if (why := known.get(_identity(status))) is not None:
        raise _refused(parts, why)


def _enter(here: int, parts: Parts, name: str, known: Mapping[FileIdentity, str], *, make: bool) -> int:
    """Open a directory in an open one."""
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
        raise PathRefused("The path names the directory itself", "Name a file in it.")
    return parts[-1]


def _is_file(above: int, name: str) -> bool:
    """Whether a regular file has the name; False if nothing has. Raises PathRefused for something else."""
    try:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return False
    _not_a_link(status, name)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise PathRefused(f"{name!r} is a device, a pipe or a socket", "Only regular files are touched.")
    return True


def _not_a_link(status: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise PathRefused(f"{name!r} is a symbolic link, and links are not followed", "Name what it leads to.")


def _fresh(above: int) -> tuple[str, int]:
    """A new empty file under a name that nobody has."""
    while True:
        name = f".athena-{os.getpid()}-{next(_numbers)}.tmp"
        with suppress(FileExistsError):
            return name, os.open(name, FRESH, 0o666, dir_fd=above)
