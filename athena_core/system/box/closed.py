"""Closed places: what no box shows, under any name.

A mount over a file goes away when the machine replaces the file by a rename. So nothing is covered: what holds a closed
place is not mounted, and a directory above one is built from its other entries.
"""

import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

FileIdentity: TypeAlias = tuple[int, int]
"""Device and inode, which identify a file under any name."""

SEARCHED_MAX = 500_000
"""Maximum number of entries of a tree that is searched for a box."""
LINKED_SEARCHED_MAX = 20_000
"""Maximum number of entries below closed directories that are searched for files with other names, nearest first."""


def identity(status: os.stat_result) -> FileIdentity:
    """Return the device and the inode of a file."""
    return status.st_dev, status.st_ino


class Closed:
    """Closed paths of the machine, and the readable trees that may hold them. It reads the disk."""

    def __init__(self, paths: Iterable[Path], apart: Iterable[Path], readable: Iterable[Path]) -> None:
        """``apart`` are directories that trees above them lack, though paths below them are not closed."""
        places = tuple(paths)
        self._places = {_real(path) for path in places}
        self._apart = {_real(path) for path in apart}
        if linked := linked_files(places):
            for tree in readable:
                self._places |= set(_with_identity(_real(tree), linked))

    def covers(self, path: Path) -> bool:
        """Return True for a closed path, and for a path below one."""
        real = _real(path)
        return real in self._places or not self._places.isdisjoint(real.parents)

    def shown(self, path: Path, source: Path) -> Iterator[tuple[str, ...]]:
        """Yield the read-only mounts that show ``source`` at ``path``: whole, or by entries above a closed place."""
        real = _real(source)
        missing = self._places | self._apart
        if not any(real in place.parents for place in missing):
            yield "--ro-bind", str(source), str(path)
            return
        yield "--perms", "0555", "--dir", str(path)
        try:
            with os.scandir(real) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            return  # not readable for commands either
        for entry in entries:
            there = real / entry.name
            if there in missing:
                continue
            if entry.is_symlink():
                yield "--symlink", os.readlink(there), str(path / entry.name)
            else:
                yield from self.shown(path / entry.name, there)


def linked_files(paths: Iterable[Path]) -> set[FileIdentity]:
    """Return the files at or below paths that have other names, too."""
    found, left = set[FileIdentity](), LINKED_SEARCHED_MAX
    waiting = deque(paths)
    while waiting and left > 0:
        path, left = waiting.popleft(), left - 1
        try:
            status = path.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                waiting += [path / name for name in os.listdir(path)]
        except OSError:
            continue  # it does not exist, or is not readable
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            found.add(identity(status))
    return found


def _with_identity(tree: Path, wanted: set[FileIdentity]) -> Iterator[Path]:
    left = SEARCHED_MAX
    for above, _, names in os.walk(tree):
        for name in names:
            path = Path(above, name)
            try:
                if identity(path.stat(follow_symlinks=False)) in wanted:
                    yield path
            except OSError:
                continue
        left -= len(names) + 1
        if left < 0:
            return


def _real(path: Path) -> Path:
    """Return the path without links, also of one that does not exist."""
    try:
        return path.resolve()
    except OSError:
        return Path(os.path.normpath(path.absolute()))
