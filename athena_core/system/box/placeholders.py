"""Placeholders: empty files and directories where a box must find a mount, so that its command cannot make others.

Some names configure the server, or programs of its operators: a command may not make them where they do not exist. A
mount prevents that, but needs a file or directory to lie on. The supervisor makes these before the box, and removes
them after it. Boxes of one directory share them: each holds a shared lock on the directory, and the last removes them.
"""

import fcntl
import os
import stat
import time

MARK_SECONDS = 1_096_042_565
"""Modification time of a placeholder. It stays the same as long as nothing is written to it."""

LOCK_SECONDS_MAX = 2.0
PAUSE_SECONDS = 0.002
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def is_placeholder(status: os.stat_result) -> bool:
    """Return True for an empty file or a directory that a supervisor made, and that nothing was written to since."""
    empty = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_size == 0)
    return empty and int(status.st_mtime) == MARK_SECONDS


class Placeholders:
    """The placeholders of a box: paths relative to its workspace. Directories end with a slash."""

    def __init__(self, workspace: str, paths: list[str]) -> None:
        self._workspace = workspace
        self._paths = paths
        self._root = -1
        self._locked = False

    def place(self) -> None:
        """Make those that do not exist. Raise OSError, also if a path is something else now."""
        if not self._paths:
            return
        self._root = os.open(self._workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._lock()
        for path in self._paths:
            above, name = self._above(path)
            try:
                if path.endswith("/"):
                    os.mkdir(name, 0o755, dir_fd=above)
                else:
                    os.close(os.open(name, FRESH, 0o644, dir_fd=above))
                os.utime(name, (MARK_SECONDS, MARK_SECONDS), dir_fd=above, follow_symlinks=False)
            except FileExistsError:
                kind = os.stat(name, dir_fd=above, follow_symlinks=False).st_mode
                if not (stat.S_ISDIR(kind) if path.endswith("/") else stat.S_ISREG(kind)):
                    raise
            finally:
                os.close(above)

    def _lock(self) -> None:
        """Wait while another box removes its placeholders. Without locks they are never removed."""
        until = time.monotonic() + LOCK_SECONDS_MAX
        while True:
            try:
                fcntl.flock(self._root, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(PAUSE_SECONDS)
            except OSError:
                return  # the file system has none
            else:
                self._locked = True
                return

    def remove(self) -> None:
        """Remove them, unless they are in use by another box or hold something. The box must have ended."""
        root, self._root = self._root, -1
        if root < 0:
            return
        try:
            if self._locked:
                fcntl.flock(root, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for path in self._paths:
                    self._remove(root, path)
        except OSError:
            pass  # another box uses them, and removes them later
        finally:
            os.close(root)

    def _remove(self, root: int, path: str) -> None:
        try:
            above, name = self._above(path, root)
        except OSError:
            return
        try:
            if is_placeholder(os.stat(name, dir_fd=above, follow_symlinks=False)):
                if path.endswith("/"):
                    os.rmdir(name, dir_fd=above)
                else:
                    os.unlink(name, dir_fd=above)
        except OSError:
            return  # it is gone, or holds something
        finally:
            os.close(above)

    def _above(self, path: str, root: int = -1) -> tuple[int, str]:
        """Open the directory above a path without following links. Return it and the last name."""
        *parts, name = path.rstrip("/").split("/")
        here = os.dup(self._root if root < 0 else root)
        for part in parts:
            try:
                there = os.open(part, DIRECTORY, dir_fd=here)
            finally:
                os.close(here)
            here = there
        return here, name
