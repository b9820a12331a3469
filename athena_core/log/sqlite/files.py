"""The files of a state directory: whether a log can be there, checked before any of them is opened."""

import os
import stat
from pathlib import Path

from athena_core.errors import ConfigError

NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "ceph", "glusterfs", "lustre"})


def check_directory(directory: Path) -> None:
    """Make a state directory where there is none. Raises ConfigError for one that cannot be used."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"ATHENA_STATE_DIR: cannot create {directory}: {error.strerror}") from error
    if not os.access(directory, os.W_OK):
        raise ConfigError(f"ATHENA_STATE_DIR: {directory} is not writable")
    kind = file_system(directory)
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigError(f"ATHENA_STATE_DIR: {directory} is on {kind}; SQLite needs a local file system")


def check_regular(path: Path, place: str) -> None:
    """Raise ConfigError for what is there and no regular file, nor a link to one: opening it might never return."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise ConfigError(f"{place}: {path} is a link to nothing") from None
        return
    except OSError as error:
        raise ConfigError(f"{place}: cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{place}: {path} is not a regular file")


def check_presence(path: Path) -> None:
    """Refuse to begin a new log where another one was: SQLite would delete what is left of it, the WAL."""
    left = [name for name in ("log.db-wal", "log.anchor") if path.with_name(name).exists()]
    if left and not path.exists():
        raise ConfigError(
            f"ATHENA_STATE_DIR: {path} is missing, but {' and '.join(left)} of it are there:"
            " put it back, or delete them to begin a new log"
        )


def file_system(directory: Path) -> str:
    """The type of the file system that holds a directory, by the longest mount point above it."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    place = str(directory.resolve())
    best, kind = "", "unknown"
    for line in mounts.read_text().splitlines():
        _, point, found, *_ = line.split(" ")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind
