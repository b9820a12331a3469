"""The directories of workspaces on this machine: their paths, and their removal whatever agents left in them."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path

WORKSPACE_ID = re.compile(r"wsp_[0-9A-Za-z]{1,64}")
DELETED = ".deleted-"
"""Prefix of a directory whose removal has begun."""

MAKING = ".making-"
"""Prefix of a directory while it is made."""

ABANDONED_MS = 86_400_000
"""Age from which a directory that is being made was left by a process that ended."""

ENTRIES = 10_000
"""Number of entries of a directory that are in memory at a time."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OWNER = 0o700


class WorkspacePlaces:
    """The directory that holds one directory for each workspace, named by its id.

    ``files`` in it is the tree that agents see. ``git`` is Athena's repository of its contents, which they never see.
    Methods block: call them in a thread.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def at(self, workspace_id: str) -> Path:
        """Return the directory of a workspace."""
        return self.directory / workspace_id

    def files(self, workspace_id: str) -> Path:
        """Return the tree of a workspace."""
        return self.directory / workspace_id / "files"

    def git(self, workspace_id: str) -> Path:
        """Return the repository with the contents of a workspace at the beginning and the end of its runs."""
        return self.directory / workspace_id / "git"

    def making(self, workspace_id: str) -> Path:
        """Return the directory of a workspace while it is made."""
        return self.directory / f"{MAKING}{workspace_id}"

    def exists(self, workspace_id: str) -> bool:
        """Return True if the directory of a workspace is on this machine."""
        return self.files(workspace_id).is_dir() and self.git(workspace_id).is_dir()

    def ids(self) -> list[str]:
        """Return the ids of the workspaces on this machine."""
        return sorted(name for name in self._names() if WORKSPACE_ID.fullmatch(name))

    def remove(self, workspace_id: str) -> None:
        """Delete the directory of a workspace, if it is on this machine. Raise OSError.

        It vanishes at once under its name. A removal that was interrupted is finished by ``remove_rests``.
        """
        if not WORKSPACE_ID.fullmatch(workspace_id):
            raise ValueError(workspace_id)
        begun = self.directory / f"{DELETED}{workspace_id}"
        if begun.is_dir():  # an earlier removal was interrupted
            remove_tree(begun)
        with suppress(FileNotFoundError):
            self.at(workspace_id).rename(begun)
            remove_tree(begun)

    def remove_rests(self, now: int) -> None:
        """Finish removals that were interrupted, and remove what was being made a day ago. Raise OSError.

        ``now`` is in milliseconds since 1970.
        """
        for name in list(self._names()):
            place = self.directory / name
            if name.startswith(DELETED) or (name.startswith(MAKING) and _changed_at(place, now) < now - ABANDONED_MS):
                remove_tree(place)

    def _names(self) -> Iterator[str]:
        with suppress(FileNotFoundError), os.scandir(self.directory) as entries:
            yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def _changed_at(path: Path, now: int) -> int:
    """Return when a directory last changed, in milliseconds since 1970; ``now`` if it does not exist."""
    with suppress(FileNotFoundError):
        return path.lstat().st_mtime_ns // 1_000_000
    return now


def remove_tree(top: Path) -> None:
    """Delete a directory without following links, also where its owner took away its own rights. Raise OSError.

    Subdirectories move up before they are emptied, so no depth exhausts memory or open files.
    """
    numbers = count()
    with suppress(FileNotFoundError):
        _open_up(None, str(top))
        here = os.open(top, FOLDER)
        try:
            while entries := _entries(here):
                for name, folder in entries:
                    with suppress(FileNotFoundError):  # another process removes it too
                        if folder:
                            _clear(here, name, numbers)
                        else:
                            os.unlink(name, dir_fd=here)
        finally:
            os.close(here)
        top.rmdir()


def _clear(top: int, name: str, numbers: Iterator[int]) -> None:
    """Delete a subdirectory of ``top``. Its own subdirectories move to ``top``."""
    _open_up(top, name)
    there = os.open(name, FOLDER, dir_fd=top)
    try:
        while entries := _entries(there):
            for entry, folder in entries:
                if folder:
                    _open_up(there, entry)
                    os.rename(entry, _fresh(top, numbers), src_dir_fd=there, dst_dir_fd=top)
                else:
                    os.unlink(entry, dir_fd=there)
    finally:
        os.close(there)
    os.rmdir(name, dir_fd=top)


def _fresh(top: int, numbers: Iterator[int]) -> str:
    """Create an empty directory, which the next rename replaces, and return its name."""
    while True:
        name = f"{next(numbers)}.up"
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=top)
            return name


def _entries(folder: int) -> list[tuple[str, bool]]:
    """Return some entries of an open directory: name, and True for a directory."""
    with os.scandir(folder) as found:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in islice(found, ENTRIES)]


def _open_up(above: int | None, name: str) -> None:
    """Give the owner all rights to a directory, so that it can be emptied and moved."""
    status = os.stat(name, dir_fd=above, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode) and status.st_mode & OWNER != OWNER:
        with suppress(NotImplementedError):
            os.chmod(name, OWNER, dir_fd=above, follow_symlinks=False)
            return
        link = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        try:
            Path(f"/proc/self/fd/{link}").chmod(OWNER)
        finally:
            os.close(link)
