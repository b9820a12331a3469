"""The processes of agents on this machine, as /proc shows them."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from athena_core.system import supervisor
from athena_core.system.box import relay
from athena_core.system.sandbox import WORKSPACE

OWN = (Path(supervisor.__file__).name.encode(), relay.SCRIPT.encode(), b"bwrap")
"""Words in the command lines of Athena's own processes around an agent."""
KIBIBYTE = 1024


class Process(NamedTuple):
    """A process. Its start distinguishes it from a later one with the same number."""

    pid: int
    started: str
    parent: int
    command: bytes

    @property
    def own(self) -> bool:
        """True for Athena's own processes: the supervisor, bubblewrap and the relay."""
        return any(word in self.command for word in OWN)

    @property
    def name(self) -> str:
        """The program and its arguments, for people."""
        return self.command.replace(b"\0", b" ").decode(errors="replace").strip()[:80]


def tree_of(root: int) -> list[Process]:
    """Return the living descendants of a process, parents before their children."""
    children: dict[int, list[Process]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdecimal() and (found := _process(place)) is not None:
            children.setdefault(found.parent, []).append(found)
    order, open_ = list[Process](), [root]
    while open_:
        below = children.get(open_.pop(), [])
        order += below
        open_ += [one.pid for one in below]
    return order


def of_directory(processes: Iterable[Process], directory: Path) -> list[Process]:
    """Return the processes that work in a directory, or in one below it, and processes of boxes that show it."""
    found = []
    for one in processes:
        place = Path(f"/proc/{one.pid}")
        with suppress(OSError):
            inside = Path(os.readlink(place / "cwd")).is_relative_to(directory)  # noqa: PTH115 - of another root
            if inside or Path(f"{place}/root{WORKSPACE}").samefile(directory):
                found.append(one)
    return found


def alive(processes: Iterable[Process]) -> list[Process]:
    """Return those that still live."""
    return [one for one in processes if (now := _process(Path(f"/proc/{one.pid}"))) and now.started == one.started]


def kill_agent(processes: Iterable[Process]) -> Process | None:
    """Kill the first process that is the agent's with SIGKILL. Return it, None if there is none."""
    for one in processes:
        if not one.own:
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
                return one
    return None


def memory_of(processes: Iterable[Process]) -> int:
    """Return the bytes of memory of processes. What they share counts once."""
    return sum(_proportional(one.pid) for one in processes)


def _process(place: Path) -> Process | None:
    try:
        fields = (place / "stat").read_bytes().rpartition(b") ")[2].split()
        if fields[0] in {b"Z", b"X"}:
            return None
        return Process(int(place.name), fields[19].decode(), int(fields[1]), (place / "cmdline").read_bytes())
    except (OSError, IndexError):
        return None


def _proportional(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * KIBIBYTE
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
