"""Checks of a state directory before any of its files is opened."""

import os
import shutil
import stat
from pathlib import Path

from athena_core.errors import ConfigError

START_BYTES_MIN = 256 << 10
"""The space for the files of a start: locks, a WAL and its index, heartbeats, pointers of views."""

NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "ceph", "glusterfs", "lustre"})


def check_directory(directory: Path) -> None:
    """Create a state directory if missing. Raise ConfigError if it cannot be used."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"ATHENA_STATE_DIR: cannot create {directory}: {error.strerror}") from error
    if not os.access(directory, os.W_OK):
        raise ConfigError(f"ATHENA_STATE_DIR: {directory} is not writable")
    check_space(directory)
    kind = file_system(directory)
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigError(f"ATHENA_STATE_DIR: {directory} is on {kind}; SQLite needs a local file system")


def check_space(directory: Path) -> None:
    """Raise ConfigError if a start needs more space than is left: each part of it would fail without a path."""
    free = shutil.disk_usage(directory).free
    if free < START_BYTES_MIN:
        raise ConfigError(
            f"ATHENA_STATE_DIR: no space is left for {directory} ({free >> 10} KiB free, a start needs"
            f" {START_BYTES_MIN >> 10}); free some space, then start again"
        )


def check_regular(path: Path, place: str) -> None:
    """Raise ConfigError unless ``path`` is missing, a regular file or a link to one. Opening a FIFO could block."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise ConfigError(f"{place}: {path} is a broken link") from None
        return
    except OSError as error:
        raise ConfigError(f"{place}: cannot read {path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{place}: {path} is not a regular file")


def check_presence(path: Path) -> None:
    """Raise ConfigError if parts of another log are present: SQLite would delete its WAL."""
    left = [name for name in ("log.db-wal", "log.anchor") if path.with_name(name).exists()]
    if left and not path.exists():
        raise ConfigError(
            f"ATHENA_STATE_DIR: {path} is missing, but {' and '.join(left)} of it exist. Put it back, or delete"
            " them to start a new log."
        )


def file_system(directory: Path) -> str:
    """Return the type of the file system of a directory, from the longest matching mount point."""
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
