"""The directories of workspaces on this machine: their paths, and their removal whatever agents left in them."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from athena_core.errors import Overloaded
from athena_core.system.box.trees import DELETE_SECONDS_MAX, Stop, delete

WORKSPACE_ID = re.compile(r"wsp_[0-9A-Za-z]{1,64}")
DELETED = ".deleted-"
"""Prefix of a directory whose removal has begun."""

MAKING = ".making-"
"""Prefix of a directory while it is made."""

ABANDONED_MS = 86_400_000
"""Age from which a directory that is being made was left by a process that ended."""


DELETED_MEANWHILE = {errno.ENOENT, errno.ESTALE}
"""What a deletion fails with if another process deletes the same directory."""


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
            delete_directory(begun)
        with suppress(FileNotFoundError):
            self.at(workspace_id).rename(begun)
            delete_directory(begun)

    def remove_rests(self, now: int) -> None:
        """Finish removals that were interrupted, and remove what was being made a day ago. Raise OSError.

        ``now`` is in milliseconds since 1970.
        """
        for name in list(self._names()):
            place = self.directory / name
            if name.startswith(DELETED) or (name.startswith(MAKING) and _changed_at(place, now) < now - ABANDONED_MS):
                delete_directory(place)

    def _names(self) -> Iterator[str]:
        with suppress(FileNotFoundError), os.scandir(self.directory) as entries:
            yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def delete_directory(path: Path) -> None:
    """Delete a directory, also while another process deletes it, whatever agents left in it.

    Raise OSError, also after ten minutes.
    """
    stop = Stop("the deletion of a workspace", DELETE_SECONDS_MAX)
    try:
        while not _deleted(path, stop):
            stop.check()
    except Overloaded as error:
        raise TimeoutError(error.message) from error


def _deleted(path: Path, stop: Stop) -> bool:
    """Delete a directory. Return False if another process deleted parts of it meanwhile. Raise OSError."""
    try:
        delete(path, stop)
    except OSError as error:
        if error.errno in DELETED_MEANWHILE:
            return False
        raise
    return True


def _changed_at(path: Path, now: int) -> int:
    """Return when a directory last changed, in milliseconds since 1970; ``now`` if it does not exist."""
    with suppress(FileNotFoundError):
        return path.lstat().st_mtime_ns // 1_000_000
    return now
