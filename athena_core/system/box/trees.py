"""Directory trees that agents write: walks and deletions that follow no link, in threads that can be stopped."""

import asyncio
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import anyio
from anyio import to_thread

from athena_core.errors import Overloaded

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PATH_ONLY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
CHUNK_NAMES = 10_000
DELETE_SECONDS_MAX = 600.0
PRIVATE = 0o700

T = TypeVar("T")
Identity: TypeAlias = tuple[int, int]
Moment: TypeAlias = Literal["found", "left", "unreadable"]


class Stop:
    """The end of a piece of work in a thread: a deadline, or a request."""

    def __init__(self, what: str, seconds: float) -> None:
        """Begin now; ``what`` names the work in the error."""
        self._what = what
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._requested = threading.Event()

    def request(self) -> None:
        """End the work at its next check."""
        self._requested.set()

    def check(self) -> None:
        """Raise Overloaded if the work must end."""
        if self._requested.is_set() or time.monotonic() > self._deadline:
            raise Overloaded(f"{self._what} took longer than {self._seconds:.0f} s")


async def in_thread(what: str, seconds: float, work: Callable[[Stop], T]) -> T:
    """Run work in a thread. If the caller is cancelled, the work ends first. Raise Overloaded after ``seconds``."""
    stop = Stop(what, seconds)
    task = asyncio.ensure_future(to_thread.run_sync(work, stop))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.request()
        with anyio.CancelScope(shield=True), suppress(Exception):
            await task
        raise


class Entry:
    """An entry of a directory in a walk.

    ``above`` is the descriptor of its directory until the walk goes on. ``moment``: a directory is ``found``, and
    ``left`` after its content if ``enter`` was set, or ``unreadable`` if it cannot be entered.
    """

    __slots__ = ("above", "enter", "moment", "name", "parents", "status")

    def __init__(
        self, above: int, parents: list[str], name: str, status: os.stat_result, moment: Moment = "found"
    ) -> None:
        self.above = above
        self.parents = parents
        self.name = name
        self.status = status
        self.moment = moment
        self.enter = False

    @property
    def parts(self) -> tuple[str, ...]:
        """The names that lead to it from the root of the walk."""
        return (*self.parents, self.name)

    @property
    def is_directory(self) -> bool:
        """True for a directory, also for one that cannot be read."""
        return stat.S_ISDIR(self.status.st_mode)


def identity(status: os.stat_result) -> Identity:
    """Return the device and the inode of a file."""
    return status.st_dev, status.st_ino


def walk(root: Path, stop: Stop) -> Iterator[Entry]:
    """Yield the entries of a tree in no order. A directory is entered if ``enter`` of its entry is set.

    Only one directory is open at a time, so that no depth exhausts descriptors. Raise OSError if a directory is moved
    away meanwhile, Overloaded by ``stop``.
    """
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    parents: list[str] = []
    above: list[tuple[Iterator[str], os.stat_result]] = []
    names = iter(_names(here, stop))
    try:
        while True:
            for name in names:
                stop.check()
                try:
                    status = os.stat(name, dir_fd=here, follow_symlinks=False)
                except FileNotFoundError:
                    continue  # deleted meanwhile
                entry = Entry(here, parents, name, status)
                yield entry
                if entry.enter and entry.is_directory:
                    try:
                        there = os.open(name, DIRECTORY, dir_fd=here)
                    except OSError:
                        yield Entry(here, parents, name, status, "unreadable")
                        continue
                    try:
                        inside = iter(_names(there, stop))
                    except OSError:
                        os.close(there)
                        yield Entry(here, parents, name, status, "unreadable")
                        continue
                    above.append((names, os.fstat(here)))
                    os.close(here)
                    here, names = there, inside
                    parents.append(name)
                    break
            else:
                if not above:
                    return
                names, expected = above.pop()
                status = os.fstat(here)
                there = os.open("..", DIRECTORY, dir_fd=here)
                os.close(here)
                here = there
                if identity(os.fstat(here)) != identity(expected):
                    raise OSError(errno.ESTALE, "a directory was moved while it was read")
                yield Entry(here, parents, parents.pop(), status, "left")
    finally:
        os.close(here)


def _names(directory: int, stop: Stop) -> list[str]:
    """Return the names in an open directory that can be searched."""
    os.stat("..", dir_fd=directory)
    names: list[str] = []
    with os.scandir(directory) as found:
        while piece := [entry.name for entry in islice(found, CHUNK_NAMES)]:
            stop.check()
            names += piece
    return list(dict.fromkeys(names))  # a directory that changes meanwhile may list a name twice


async def delete_tree(path: Path) -> None:
    """Delete a tree or a file, whatever it contains. Nothing happens if it does not exist. Raise OSError."""
    await in_thread("the deletion of a workspace", DELETE_SECONDS_MAX, lambda stop: delete(path, stop))


def delete(path: Path, stop: Stop) -> None:
    """Delete a tree or a file; also directories without permissions, and trees of any depth. It blocks."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
    except FileNotFoundError:
        return
    above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _open_up(above, path.name)
        for entry in walk(path, stop):
            if entry.moment == "found" and entry.is_directory:
                _open_up(entry.above, entry.name)
                entry.enter = True
            elif entry.is_directory:
                os.rmdir(entry.name, dir_fd=entry.above)
            else:
                os.unlink(entry.name, dir_fd=entry.above)
        os.rmdir(path.name, dir_fd=above)
    finally:
        os.close(above)


def _open_up(above: int, name: str) -> None:
    """Give the owner all permissions of a directory, through a descriptor so that no link is followed."""
    with suppress(OSError):
        there = os.open(name, PATH_ONLY, dir_fd=above)
        try:
            Path(f"/proc/self/fd/{there}").chmod(PRIVATE)  # fchmod does not take such a descriptor
        finally:
            os.close(there)
