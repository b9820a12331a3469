"""The file ``.env``: ``KEY=value`` lines that only its owner may write."""

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path

from athena_core.errors import ConfigError
from athena_core.system import private_file

LINKS_MAX = 8  # symbolic links from .env to the file


def read_dotenv(path: Path, user: int | None = None) -> dict[str, str]:
    """Parse ``KEY=value`` lines. Lines that start with ``#`` are comments; quotes around a value are removed.

    Raise ConfigError if a user other than root and ``user`` (default: the effective user) may have written the
    file, because settings choose programs and destinations.
    """
    values: dict[str, str] = {}
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # a FIFO would block
            check_writers(path, os.fstat(file.fileno()), os.geteuid() if user is None else user)
            text = file.read().decode()
    except (FileNotFoundError, NotADirectoryError):
        return values
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    for line in text.splitlines():
        name, value = _parse(line)
        if name:
            values[name] = value
    return values


def update_dotenv(path: Path, values: Mapping[str, str]) -> None:
    """Set variables in a ``.env``, and keep its other lines and their order. The file becomes private.

    A link stays a link. Raise ConfigError as ``read_dotenv`` does, and OSError.
    """
    read_dotenv(path)
    if not path.exists():
        _check_folders(path, os.geteuid())
    target, left, lines = path.resolve(), dict(values), list[str]()
    for line in target.read_text().splitlines() if target.exists() else ():
        name = _parse(line)[0]
        if name not in values:
            lines.append(line)
        elif name in left:
            lines.append(f"{name}={_quoted(left.pop(name))}")
    lines += [f"{name}={_quoted(value)}" for name, value in left.items()]
    draft = target.with_name(f"{target.name}.new")
    draft.unlink(missing_ok=True)
    private_file.write(draft, "".join(f"{line}\n" for line in lines).encode(), sync=True)
    draft.replace(target)


def _parse(line: str) -> tuple[str, str]:
    """Return the name and value of a line; the name is empty for comments and other lines."""
    name, found, value = line.strip().partition("=")
    if not found or name.startswith("#"):
        return "", ""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return name.removeprefix("export ").strip(), value


def _quoted(value: str) -> str:
    """Return a value as it is written. Raise ValueError for line breaks and control characters."""
    if not value.isprintable():
        raise ValueError("a value of .env cannot hold control characters")
    return f'"{value}"' if value.strip("\"'") != value or " " in value or "#" in value else value


def check_writers(path: Path, opened: os.stat_result, user: int) -> None:
    """Raise ConfigError if another user may have written, linked or placed the opened file."""
    if not stat.S_ISREG(opened.st_mode):
        raise ConfigError(f"{path} is not a regular file. Remove it.")
    _check_owner(path, path, opened, user)
    _check_mode(path, path, opened)
    _check_folders(path, user)


def _check_folders(path: Path, user: int) -> None:
    """Raise ConfigError if another user may place a file at the path, or at a link on the way to it."""
    place = path
    for _ in range(LINKS_MAX):
        folder = place.parent.stat()
        if not folder.st_mode & stat.S_ISVTX:  # in a sticky directory only its owner may replace a file
            _check_owner(path, place.parent, folder, user)
            _check_mode(path, place.parent, folder)
        if not place.is_symlink():
            return
        _check_owner(path, place, place.lstat(), user)
        place = place.parent / place.readlink()
    raise ConfigError(f"{path}: more than {LINKS_MAX} links lead to the file. Link to the file itself.")


def _check_owner(path: Path, place: Path, status: os.stat_result, user: int) -> None:
    if status.st_uid not in {user, 0}:
        remedy = "Check the contents, then copy them to a directory of your own or run 'chown'."
        raise ConfigError(f"{path}: not read, because {place} belongs to user {_user_name(status.st_uid)}. {remedy}")


def _check_mode(path: Path, place: Path, status: os.stat_result) -> None:
    shared = status.st_mode & stat.S_IWGRP and not _is_private_group(status)
    if shared or status.st_mode & stat.S_IWOTH:
        remedy = f"Check the contents, then run 'chmod go-w {place}'."
        raise ConfigError(f"{path}: not read, because other users may write {place}. {remedy}")


def _is_private_group(status: os.stat_result) -> bool:
    """Return True if the group is the owner's private group (same name, no other member)."""
    try:
        owner, group = pwd.getpwuid(status.st_uid), grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return owner.pw_gid == group.gr_gid and owner.pw_name == group.gr_name and set(group.gr_mem) <= {owner.pw_name}


def _user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
