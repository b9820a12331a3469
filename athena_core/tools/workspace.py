"""The workspace: files by name, each step from an open directory to the next, so that no name leads out of it."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

from athena_core.tools.tool import ToolRefused

PATH_CHARS_MAX = 1_000
PATH_PARTS_MAX = 64
DIRECTORY_ENTRIES_MAX = 10_000
STATE_NAME = ".athena"
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK_BYTES = 1_048_576

Parts: TypeAlias = tuple[str, ...]

_numbers = count()


class Entry(NamedTuple):
    """A name in a directory; ``parts`` lead to it from where the walk began."""

    parts: Parts
    mode: int
    size: int


def parts_of(path: str) -> Parts:
    """The names in a relative path. Raises ToolRefused for one that is absolute, goes up or cannot be a path."""
    try:
        fits = len(path) <= PATH_CHARS_MAX and b"\0" not in path.encode()
    except UnicodeEncodeError:
        fits = False
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if not fits or len(parts) > PATH_PARTS_MAX:
        raise ToolRefused(
            f"The path is no path: at most {PATH_CHARS_MAX} characters and {PATH_PARTS_MAX} parts, no NUL. "
            "Name a file relative to the directory of the tool."
        )
    if path.startswith("/") or ".." in parts:
        raise ToolRefused(
            f"{path!r} is absolute or goes up with '..'. Name it relative to the directory of the tool, "
            "outside of which nothing is in reach."
        )
    return parts


class Workspace:
    """A directory and what is below it. A symbolic link is never followed, wherever it leads.

    Names ``.athena``, and the state directory under whatever name, do not open. Every method may raise ToolRefused for
    what the rules forbid, and OSError for what the system says. Blocking: call it in a thread.
    """

    def __init__(self, root: Path, state_dir: Path | None = None) -> None:
        """Open nothing yet; links in ``root`` itself are the operator's and are followed."""
        self._root = root
        self._state_dir = state_dir

    @contextmanager
    def directory(self, parts: Parts, *, make: bool = False) -> Iterator[int]:
        """An open directory; with ``make`` it and those above it come into being."""
        here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._not_the_state(here, self._root.name)
            for part in parts:
                there = self._enter(here, part, make=make)
                os.close(here)
                here = there
            yield here
        finally:
            os.close(here)

    def read(self, parts: Parts, bytes_max: int, remedy: str) -> bytes:
        """A regular file as a whole; ``remedy`` is for one that is over the limit."""
        with self.directory(parts[:-1]) as above:
            name = _name(parts)
            if not _is_file(above, name):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            file = os.open(name, FILE, dir_fd=above)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise ToolRefused(f"{name!r} is no regular file. Only regular files are read.")
            pieces: list[bytes] = []
            left = bytes_max + 1
            while left and (piece := os.read(file, min(left, CHUNK_BYTES))):
                pieces.append(piece)
                left -= len(piece)
        finally:
            os.close(file)
        if not left:
            raise ToolRefused(f"{name!r} is over {bytes_max} bytes. {remedy}")
        return b"".join(pieces)

    def write(self, parts: Parts, data: bytes) -> None:
        """Put a file in place as a whole, with the directories above it; who reads sees the old or the new one."""
        _writable(parts)
        with self.directory(parts[:-1], make=True) as above:
            name = _name(parts)
            mode = None
            if _is_file(above, name):
                mode = stat.S_IMODE(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode) & 0o777
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
        _writable(parts)
        with self.directory(parts[:-1]) as above:
            name = _name(parts)
            if stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
                with self.directory(parts):
                    os.rmdir(name, dir_fd=above)
            elif _is_file(above, name):
                os.unlink(name, dir_fd=above)

    def walk(self, parts: Parts, *, deep: bool) -> Iterator[Entry]:
        """What is in a directory, by name; with ``deep`` also what is below. The state directory is left out."""
        with self.directory(parts) as here:
            yield from self._walk(here, (), deep=deep)

    def _walk(self, here: int, above: Parts, *, deep: bool) -> Iterator[Entry]:
        with os.scandir(here) as found:
            names = sorted(entry.name for entry in islice(found, DIRECTORY_ENTRIES_MAX))
        for name in names:
            try:
                status = os.stat(name, dir_fd=here, follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone meanwhile
            if name.casefold() == STATE_NAME or self._is_state(status):
                continue
            yield Entry((*above, name), status.st_mode, status.st_size)
            if deep and stat.S_ISDIR(status.st_mode) and len(above) < PATH_PARTS_MAX:
                try:
                    there = self._enter(here, name, make=False)
                except (OSError, ToolRefused):
                    continue  # gone, exchanged or closed to us
                try:
                    yield from self._walk(there, (*above, name), deep=True)
                finally:
                    os.close(there)

    def _enter(self, here: int, name: str, *, make: bool) -> int:
        if name.casefold() == STATE_NAME:
            raise ToolRefused(f"{name!r} is the server's own state and out of reach. Choose another name.")
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
            self._not_the_state(there, name)
        except BaseException:
            os.close(there)
            raise
        return there

    def _not_the_state(self, directory: int, name: str) -> None:
        if self._is_state(os.fstat(directory)):
            raise ToolRefused(f"{name!r} is the server's own state and out of reach. Choose another name.")

    def _is_state(self, status: os.stat_result) -> bool:
        if self._state_dir is None:
            return False
        try:
            return os.path.samestat(status, self._state_dir.stat())
        except OSError:
            return False  # there is none


def _name(parts: Parts) -> str:
    if not parts:
        raise ToolRefused("The path names the directory itself. Name a file in it.")
    if parts[-1].casefold() == STATE_NAME:
        raise ToolRefused(f"{parts[-1]!r} is the server's own state and out of reach. Choose another name.")
    return parts[-1]


def _writable(parts: Parts) -> None:
    if any(part.casefold() == ".git" for part in parts):
        raise ToolRefused(
            "What is in '.git' is run by git outside of the workspace, so it is only read. "
            "Change other files, or have a git command allowed in toolPolicies.shell.commands."
        )


def _is_file(above: int, name: str) -> bool:
    """Whether a regular file has the name; False if nothing has. Raises ToolRefused for something else."""
    try:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return False
    _not_a_link(status, name)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(status.st_mode):
        raise ToolRefused(f"{name!r} is a device, a pipe or a socket. Only regular files are touched.")
    return True


def _not_a_link(status: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise ToolRefused(f"{name!r} is a symbolic link, and links are not followed. Name what it leads to.")


def _fresh(above: int) -> tuple[str, int]:
    """A new empty file under a name that nobody has."""
    while True:
        name = f".athena-{os.getpid()}-{next(_numbers)}.tmp"
        with suppress(FileExistsError):
            return name, os.open(name, FRESH, 0o666, dir_fd=above)
