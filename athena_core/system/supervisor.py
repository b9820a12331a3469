"""The supervisor: a small process between the server and a command, which no descendant of the command can leave.

If the parent of a process ends, its nearest *subreaper* adopts the process. Each command has its own supervisor, which
is a subreaper. So all descendants stay below it, whatever session, group or environment they choose. The supervisor
kills the rest when the command ends, on SIGTERM, or when the process that started it ends (which the kernel
reports as SIGTERM). Then it exits with the command's status.

Run by path, without site-packages and with few imports: half of the cost of a command is the start of this file.
"""

import _signal as signal  # type: ignore[import-not-found]  # the module signal would take 5 ms more
import ctypes
import errno
import os
import sys
import time

TYPE_CHECKING = False  # the module typing would take 3 ms
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from athena_core.system.box.launch import Box

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
CAP_SYS_PTRACE = 19
CAPABILITY_VERSION = 0x20080522
ROUND_SECONDS_MAX = 0.1
NOTHING_STARTED = 1
OK = b"\0"

own_children: frozenset[int] | None = None
"""The children of this process when it became a subreaper; None if it is not one."""


def protect() -> None:
    """Adopt orphaned descendants, and hide this process's environment and memory from other processes of its user.

    For programs that start commands; call it first. The process then writes no core dumps, and only root can trace it.
    """
    global own_children  # noqa: PLW0603  (the state of the process)
    if sys.platform == "linux":
        prctl(PR_SET_DUMPABLE, 0)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        own_children = frozenset(children())


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process. Raise OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def renounce_tracing() -> None:
    """Give up the capability to trace any process, also for the programs that this process starts.

    A command of a server that runs as root could read the server's memory with it. Users without it lose nothing.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(CAP_SYS_PTRACE), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, then their upper halves
    if libc.capget(header, sets) == 0 and (sets[1] | sets[2]) & 1 << CAP_SYS_PTRACE:
        for number in range(3):
            sets[number] &= ~(1 << CAP_SYS_PTRACE)
        libc.capset(header, sets)


def children() -> list[int]:
    """Return the pids of the direct children of this process, zombies included."""
    found: list[int] = []
    try:
        for task in os.listdir("/proc/self/task"):
            found += map(int, _read(f"/proc/self/task/{task}/children").split())
    except (FileNotFoundError, ProcessLookupError):  # no CONFIG_PROC_CHILDREN, or a thread that just ended
        return _children_by_parent()
    return found


def _children_by_parent() -> list[int]:
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if int(_read(f"/proc/{name}/stat").rpartition(b") ")[2].split()[1]) == os.getpid():
                found.append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def kill_descendants() -> None:
    """Kill and reap until no child is left.

    Only direct children are killed, because the pid of a child that is not reaped cannot be reused. Their children are
    then adopted.
    """
    seconds = 0.0005
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in children():
            try:
                os.kill(pid, signal.SIGKILL)
            except PermissionError:  # it runs a setuid program
                continue
        time.sleep(seconds)
        seconds = min(seconds * 2, ROUND_SECONDS_MAX)


def end_as(status: int) -> None:
    """End this process with the status that ``waitpid`` returned."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))


def close_inherited(kept: int) -> None:
    """Close all descriptors of this process except standard ones and another one.

    uvloop leaves copies of the command's own pipes. Its tools could write there, and the end of its output would not
    show before all of them have ended.
    """
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:  # noqa: PLR2004 (standard error)
            try:  # noqa: SIM105 (contextlib would make the start slower)
                os.close(int(name))
            except OSError:  # the listing itself
                pass


class Order:
    """The order to a supervisor: the variables of the command, and for a box its limits and bubblewrap's options.

    It passes through a descriptor, because other processes can read command lines and environments.
    """

    def __init__(self, number: int) -> None:
        """Read and close the descriptor."""
        with open(number, "rb") as file:
            self.limits, count, *words = os.fsdecode(file.read()).split("\0")
        self.environment = dict(word.split("=", 1) for word in words[: int(count)])
        self.options = words[int(count) :]


def order(environment: "Mapping[str, str]", limits: str = "", options: "Sequence[str]" = ()) -> int:
    """Return a descriptor with an order. Raise OSError, and ValueError for words with a NUL."""
    words = [limits, str(len(environment)), *(f"{name}={value}" for name, value in environment.items()), *options]
    if any("\0" in word for word in words):
        raise ValueError("embedded null byte")
    number = os.memfd_create("order", os.MFD_CLOEXEC)
    with open(number, "wb", closefd=False) as file:
        file.write(os.fsencode("\0".join(words)))
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _stop(number: int, frame: object) -> None:
    kill_descendants()
    os.write(int(sys.argv[2]), OK)
    end_as(signal.SIGKILL)


def main(parent: int, report: int, number: int, argv: list[str]) -> None:
    """Run a command by the order in the descriptor ``number``, with limits in a box (see ``box/launch.py``).

    Write to ``report`` a byte about its start (errno or OK), and one once all descendants are dead: OK, or why the box
    was ended.
    """
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, _stop)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_DUMPABLE, 0)  # the command cannot trace this process, and there are no core dumps
    renounce_tracing()
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before PR_SET_PDEATHSIG took effect
        os._exit(NOTHING_STARTED)
    os.set_inheritable(report, False)
    ordered = Order(number)
    close_inherited(report)
    try:
        command = _box(argv, ordered) if ordered.limits else Command(argv, ordered.environment)
    except OSError as error:
        kill_descendants()
        os.write(report, bytes([error.errno or errno.ENOEXEC]))
        os._exit(NOTHING_STARTED)
    os.write(report, OK)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # only the command and its descendants hold the pipes
        os.dup2(null, stream)
    ending, status = command.wait()
    kill_descendants()
    os.write(report, ending)
    end_as(status)


class Command:
    """A command without a box."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        """Start it. Programs are searched in its own PATH. Raise OSError."""
        os.environ["PATH"] = environment.get("PATH", os.defpath)
        self.pid = os.posix_spawnp(
            argv[0], argv, environment, setsid=True, setsigdef=(signal.SIGPIPE, signal.SIGXFSZ), setsigmask=()
        )

    def wait(self) -> tuple[bytes, int]:
        """Wait for the end of the command. Return the byte to report and the status of ``waitpid``."""
        while (found := os.wait())[0] != self.pid:
            pass
        return OK, found[1]


def _box(argv: list[str], ordered: Order) -> "Box":
    sys.path.append(os.path.abspath(f"{__file__}/../../.."))
    from athena_core.system.box.launch import Box  # noqa: PLC0415  (other commands start without it)

    return Box(argv, ordered.limits, ordered.options, ordered.environment)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
