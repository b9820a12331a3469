"""Private files: only the owner may read the state directory, whatever the umask and the directory's mode."""

import errno
import fnmatch
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
OTHERS = 0o077
FILES = ("*.anchor*", "*.lock", "log-*.db*", "log.db*", "log.turnstile", "snapshots.db*")
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FRESH_NAME = ".athena-new"
DIRECTORIES = ("api", "executors", "memory", "persona-runs", "views")

_log = logging.getLogger(__name__)


def opener(path: str, flags: int) -> int:
    """Open a file for ``open``. A created file is private."""
    return os.open(path, flags, FILE_MODE)


def create(path: Path) -> None:
    """Create a private file if it does not exist. Errors are left to the library that opens it."""
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, FILE_MODE))


def write(path: Path, content: bytes, *, sync: bool = False) -> None:
    """Write a private file; with ``sync`` durably. Raise OSError."""
    with open(path, "wb", opener=opener) as file:  # noqa: PTH123 - Path.open takes no opener
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def write_below(root: Path, name: str, content: bytes) -> None:
    """Write a private file below a directory that a program may have filled, without following a link there.

    What lies in the place of a directory of ``name`` is replaced, unless it is a directory. Raise OSError.
    """
    *above, last = name.split("/")
    here = os.open(root, DIRECTORY)
    try:
        for part in above:
            there = _enter(here, part)
            os.close(here)
            here = there
        with suppress(FileNotFoundError):
            os.unlink(FRESH_NAME, dir_fd=here)
        fresh = os.open(FRESH_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE, dir_fd=here)
        with os.fdopen(fresh, "wb") as file:
            file.write(content)
        os.replace(FRESH_NAME, last, src_dir_fd=here, dst_dir_fd=here)
    finally:
        os.close(here)


def _enter(here: int, name: str) -> int:
    """Open a directory in an open one, and make it if it is none."""
    try:
        return os.open(name, DIRECTORY, dir_fd=here)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise
        os.unlink(name, dir_fd=here)
    os.mkdir(name, DIRECTORY_MODE, dir_fd=here)
    return os.open(name, DIRECTORY, dir_fd=here)


def open_regular(path: Path, flags: int) -> int:
    """Open a regular file and return its descriptor. It is private if it is created. Never block on a FIFO or device.

    Raise OSError for anything else.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, FILE_MODE)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read(path: Path, bytes_max: int) -> bytes:
    """Read a regular file that is not a link, without blocking on a FIFO or device.

    Raise OSError for anything else, and for a file larger than ``bytes_max``.
    """
    with os.fdopen(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise OSError(errno.EFBIG, f"larger than {bytes_max} bytes")
    return content


def sync(path: Path) -> None:
    """Make the content of a file, or the names in a directory, durable. Raise OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def make_directory(path: Path, root: Path) -> None:
    """Create a private directory and its missing parents below ``root``. Raise OSError."""
    if path != root and path.is_relative_to(root):
        make_directory(path.parent, root)
    path.mkdir(exist_ok=True, mode=DIRECTORY_MODE)


def open_to_others(state_dir: Path) -> Iterator[tuple[Path, int]]:
    """Yield Athena's files and directories in a state directory that other users may read, with their modes.

    The state directory itself may be shared on purpose and may hold foreign files.
    """
    for path in _ours(state_dir):
        with suppress(OSError):
            mode = path.stat().st_mode
            if stat.S_IMODE(mode) & OTHERS and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                yield path, stat.S_IMODE(mode)


def matching(directory: Path, pattern: str) -> list[Path]:
    """Return the entries of a directory that match a pattern, sorted; an empty list if the directory does not exist.

    Raise OSError if it cannot be read: from Python 3.13 on, ``Path.glob`` reports nothing then.
    """
    try:
        with os.scandir(directory) as found:
            names = sorted(fnmatch.filter((entry.name for entry in found), pattern))
        return [directory / name for name in names]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _ours(state_dir: Path) -> Iterator[Path]:
    for pattern in FILES:
        yield from matching(state_dir, pattern)
    for name in DIRECTORIES:
        for place, _, files in os.walk(state_dir / name):
            yield Path(place)
            yield from (path for path in map(Path(place).joinpath, files) if not path.is_symlink())


def close_to_others(state_dir: Path) -> None:
    """Remove other users' rights from files that an older release or a person left open. Log their number."""
    closed = 0
    for path, mode in open_to_others(state_dir):
        with suppress(OSError):  # another user's, or deleted
            path.chmod(mode & ~OTHERS)
            closed += 1
    if closed:
        _log.warning("%s: closed %d files and directories that other users could read", state_dir, closed)
