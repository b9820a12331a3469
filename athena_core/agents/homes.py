"""The home directories of outside agents on this machine: one for each session, with what agents keep of it.

The log is the record of a session, and a home only helps an agent to go on faster. So a home may be removed whenever no
run of its session is admitted.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import msgspec

from athena_core.event import Position, Value
from athena_core.system import private_file

FOLDER = "agents"
"""Directory of the homes in the state directory."""
HOME, OWNER, LOCK = "home", "owner.json", "lock"
OWNER_BYTES_MAX = 4_096
DELETED = ".deleted-"
"""Prefix of a directory whose removal has begun."""


class HomeOwner(Value):
    """The session of a home, and a position of the log that is not after the creation of the home."""

    session_id: str
    position: Position


class AgentHome(NamedTuple):
    """A home on this machine, and its last use, in milliseconds since 1970."""

    session_id: str
    position: Position
    used_at: int


class HomeInUse(NamedTuple):
    """A home that a process has, until ``leave`` is called. It may block."""

    path: Path
    leave: Callable[[], object]


class AgentHomes:
    """The directory that holds a directory for each session, named by a hash of its id. Methods block."""

    def __init__(self, state_dir: Path, delete: Callable[[Path], None]) -> None:
        """``delete`` removes a tree, whatever agents left in it."""
        self.directory = state_dir / FOLDER
        self._delete = delete

    def at(self, session_id: str) -> Path:
        """Return the path of the home of a session."""
        return self._place(session_id) / HOME

    def make(self, session_id: str, position: Position) -> Path:
        """Return the home of a session, which is made if needed, and note that it is used now. Raise OSError.

        ``position`` is one of the log that is not after now.
        """
        place = self._place(session_id)
        private_file.make_directory(place, self.directory)
        if not (place / OWNER).exists():
            owner = HomeOwner(session_id=session_id, position=position)
            private_file.write(place / OWNER, msgspec.json.encode(owner))
        os.utime(place / OWNER)
        (place / HOME).mkdir(exist_ok=True, mode=private_file.DIRECTORY_MODE)
        return place / HOME

    def take(self, session_id: str, position: Position) -> "HomeInUse":
        """Take the home of a session for one process; see ``make``. Raise OSError.

        While another process has it, the process gets a home for itself, in which the agent has no sessions. That may
        happen if an executor that lost a run is frozen, or has not ended its agent yet.
        """
        home = self.make(session_id, position)
        lock = os.open(home.parent / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            spare = Path(mkdtemp(prefix=f"{HOME}-", dir=home.parent))
            return HomeInUse(spare, partial(self._delete, spare))
        return HomeInUse(home, partial(os.close, lock))

    def entries(self) -> Iterator[AgentHome]:
        """Yield the homes on this machine."""
        for name in self._names():
            if name.startswith(DELETED):
                continue
            path = self.directory / name / OWNER
            with suppress(OSError, msgspec.MsgspecError):  # it is being made or removed
                owner = msgspec.json.decode(private_file.read(path, OWNER_BYTES_MAX), type=HomeOwner)
                yield AgentHome(owner.session_id, owner.position, path.stat().st_mtime_ns // 1_000_000)

    def remove(self, session_id: str) -> None:
        """Delete the home of a session, if it is on this machine. It vanishes at once under its name. Raise OSError."""
        place = self._place(session_id)
        begun = self.directory / f"{DELETED}{place.name}"
        self._delete(begun)  # an earlier removal was interrupted
        with suppress(FileNotFoundError):
            place.rename(begun)
            self._delete(begun)

    def remove_rests(self) -> None:
        """Finish removals that were interrupted. Raise OSError."""
        for name in self._names():
            if name.startswith(DELETED):
                self._delete(self.directory / name)

    def _place(self, session_id: str) -> Path:
        return self.directory / hashlib.sha256(session_id.encode()).hexdigest()[:32]

    def _names(self) -> list[str]:
        try:
            with os.scandir(self.directory) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []
