"""The sandbox: a box of namespaces that bubblewrap builds around a command.

A boxed command sees a read-only system, a private ``/tmp``, ``/proc`` and ``/dev``, and its workspace. It has no
network, no capabilities and no way to other processes. When the supervisor of the command ends, the kernel ends
everything in the box.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from athena_core.system import supervisor
from athena_core.system.box import launch, relay, syscalls
from athena_core.system.box.closed import Closed
from athena_core.system.box.remedies import remedy_of
from athena_core.text import clean

PROVIDER = "bwrap"
HOST_NAME = "athena"
HOME = "/tmp/home"
SEARCHED = "/usr/local/bin:/usr/bin:/bin"
SYSTEM_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
MEBIBYTE = 1_048_576
ETC = tuple(
    Path("/etc") / name
    for name in (
        *("localtime", "alternatives", "os-release", "ssl/certs"),
        *("pki/tls/certs", "pki/ca-trust", "crypto-policies", "ca-certificates"),
    )
)
"""The files of /etc that programs need, beside copies. Everything else of /etc is absent. Each one is a mount."""

PROBE_SECONDS = 10
PROBLEM_CHARS_MAX = 300
TOO_LONG = f"no exit status within {PROBE_SECONDS} s"
FILTERED = "ended by a filter of system calls"
WORKSPACE = Path("/workspace")
"""The place of a workspace in the box of a run. It names no directory of the machine."""
FORBIDDEN_PLACES = tuple(Path(place) for place in ("/", "/proc", "/dev", "/sys"))
MOUNTS_MAX = 2_000
MOUNT_BYTES_MAX = 1_000_000
"""Maximum size of the options for mounts."""

AGENT_CPU_FACTOR, AGENT_MEMORY_FACTOR, AGENT_PROCESSES_FACTOR = 24, 2, 4
"""How much more than a command the box of an outside agent may take: it lives as long as the run."""
AGENT_WATCH_MS = 100


class SandboxRefused(Exception):
    """The box cannot be built as described. The message is the reason."""


class SandboxLimits(NamedTuple):
    """The limits of a box. All processes of the box share them, except ``file_bytes``."""

    cpu_seconds: int = 600
    memory_bytes: int = 2_048 * MEBIBYTE
    processes: int = 256
    """Maximum number of processes and threads."""
    file_bytes: int = 1_024 * MEBIBYTE
    """Maximum size of one file."""
    tmp_bytes: int = 256 * MEBIBYTE
    """Maximum size of /tmp, and of /dev/shm."""
    tmp_files: int = 65_536
    """Maximum number of files in /tmp, and in /dev/shm: an empty file takes memory of the kernel."""
    disk_free_bytes: int = 512 * MEBIBYTE
    """Free space of the workspace's file system below which the box is ended."""
    disk_bytes: int = 10_240 * MEBIBYTE
    """Maximum growth of that file system during the command. What other programs write there counts, too."""
    disk_files: int = 250_000
    """Maximum number of new files there, on file systems that count them."""
    watch_ms: int = 10
    """Milliseconds between two looks at the box, unless a look takes long. A box that lives long needs fewer."""

    def for_agent(self) -> "SandboxLimits":
        """Return the limits of a box that holds an outside agent and all the tools that it starts during a run."""
        return self._replace(
            cpu_seconds=self.cpu_seconds * AGENT_CPU_FACTOR,
            memory_bytes=self.memory_bytes * AGENT_MEMORY_FACTOR,
            processes=self.processes * AGENT_PROCESSES_FACTOR,
            tmp_bytes=self.tmp_bytes * AGENT_MEMORY_FACTOR,
            watch_ms=AGENT_WATCH_MS,
        )


DEFAULT_LIMITS = SandboxLimits()
SETTINGS_PREFIX = "ATHENA_SANDBOX_"
"""Beginning of the names of the settings of limits."""


class BoxStart(NamedTuple):
    """The command line of a box, the options that bubblewrap reads from a descriptor, and the box's own variables."""

    argv: tuple[str, ...]
    options: tuple[str, ...]
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Sandbox:
    """The surroundings of a boxed command.

    ``workspace`` is writable, and shown at ``place``; None: at its own path. Paths in ``fixed`` are shown read-only
    inside of it: the directory above each, and its path, which is the same below the workspace. Paths in ``readonly``
    are shown read-only at their own paths. ``closed`` are paths that nothing shows; ``apart`` are directories that are
    left out of directories above them.

    ``proxy`` is the socket of the egress proxy, None if the box has no network. ``gateway`` is the socket of the model
    gateway of an outside agent, None for other commands. ``home`` is a directory of the machine that the box may write
    to, as its home; None for a home that ends with the box.
    """

    workspace: Path
    readonly: tuple[Path, ...] = ()
    closed: tuple[Path, ...] = ()
    apart: tuple[Path, ...] = ()
    fixed: tuple[tuple[Path, str], ...] = ()
    place: Path | None = None
    proxy: Path | None = None
    limits: SandboxLimits = DEFAULT_LIMITS
    gateway: Path | None = None
    home: Path | None = None

    @property
    def shown(self) -> Path:
        """The path of the workspace in the box."""
        return self.place or _absolute(self.workspace)

    def start(self, command: tuple[str, ...], directory: Path | None = None) -> BoxStart:
        """Return how bubblewrap starts a command in a directory of the box. It blocks. Raise SandboxRefused.

        It names descriptors that only the supervisor opens.
        """
        program = bubblewrap()
        if program is None:
            raise SandboxRefused("bubblewrap is not installed")
        variables = {"HOME": HOME, "TMPDIR": "/tmp"}
        if self.proxy is not None:
            variables |= relay.variables()
        if lanes := [f"{port}={place}" for port, _, place in self._lanes()]:
            command = (sys.executable, "-I", "-S", relay.SCRIPT, relay.ENVIRONMENT, ",".join(lanes), *command)
        options = (
            *_namespaces(),
            *_system(self.limits),
            *launch.OPTIONS,
            *self._mount_words(),
            *("--remount-ro", "/dev", "--remount-ro", "/proc", "--remount-ro", "/"),
            *("--chdir", str(directory or self.shown)),
        )
        return BoxStart((program, *launch.ARGS_OPTION, "--", *command), options, variables)

    @property
    def supervised(self) -> str:
        """The limits as the supervisor reads them."""
        limits = self.limits
        numbers = (
            *(limits.cpu_seconds, limits.memory_bytes, limits.processes, limits.file_bytes),
            *(limits.disk_free_bytes, limits.tmp_files, limits.disk_bytes, limits.disk_files, limits.watch_ms),
        )
        watched = ",".join((*map(str, numbers), str(self.workspace)))
        mounts = (str(self.shown), str(self.workspace), "", *(word for one in self._fixed() for word in one))
        return launch.SEPARATOR.join((watched, str(self.home or ""), *mounts))

    def _fixed(self) -> Iterator[tuple[str, str, str]]:
        """Yield where a read-only path of the workspace is shown, the directory above it, and its path below that."""
        for above, below in sorted(self.fixed, key=lambda one: one[1].count("/")):
            yield f"{self.shown}/{below}", str(above), below

    def problem(self, code: bytes) -> str | None:
        """Return the reason for the end of a box in words, None if it ended like its command."""
        limits = self.limits
        split = "Split the work into smaller commands"
        raised = f"{split}, or have an operator raise {SETTINGS_PREFIX}"
        return {
            launch.MEMORY: f"ended: more than {limits.memory_bytes} bytes of memory in the sandbox. "
            f"{raised}MEMORY_BYTES_MAX",
            launch.PROCESSES: f"ended: more than {limits.processes} processes and threads in the sandbox. "
            f"{raised}PROCESSES_MAX",
            launch.CPU: f"ended: more than {limits.cpu_seconds} s of CPU time in the sandbox. {raised}CPU_SECONDS_MAX",
            launch.FILE: f"ended: a file of more than {limits.file_bytes} bytes in the sandbox. {split}",
            launch.DISK: f"ended: less than {limits.disk_free_bytes} bytes are free on the disk of the workspace. "
            "Delete files, or ask an operator to make room",
            launch.GROWTH: f"ended: the files on the disk of the workspace grew by more than {limits.disk_bytes} bytes "
            f"while the command ran in the sandbox. Delete files. {raised}DISK_BYTES_MAX",
            launch.FILES_MADE: f"ended: more than {limits.disk_files} new files on the disk of the workspace while the "
            f"command ran in the sandbox. Delete files. {split}",
            launch.TMP_FILES: f"ended: more than {limits.tmp_files} files in /tmp or /dev/shm of the sandbox. {split}",
            launch.NOT_STARTED: "the sandbox could not start the command",
            launch.CHANGED: "not started: the workspace changed while the sandbox was built. Retry the command",
            launch.NOT_WATCHED: "ended: the limits of the sandbox could not be checked. Retry later",
        }.get(code)

    def _mount_words(self) -> list[str]:
        """Return the options for the mounts. Raise SandboxRefused if there are too many."""
        mounts = list(islice(self._mounts(), MOUNTS_MAX + 1))
        words = [word for mount in mounts for word in mount]
        if len(mounts) > MOUNTS_MAX or sum(map(len, words)) > MOUNT_BYTES_MAX:
            raise SandboxRefused(
                f"the sandbox would need more than {MOUNTS_MAX} mounts, such as {mounts[-1][-1]}. Have an operator "
                "delete repositories that are not needed, or name smaller directories in sandbox.readOnly"
            )
        return words

    def _mounts(self) -> Iterator[tuple[str, ...]]:
        """Yield the mounts, outer paths before inner ones.

        A directory that holds something closed is never mounted: a mount also shows files that are put there later.
        """
        workspace, shown = _absolute(self.workspace), self.shown
        if workspace in FORBIDDEN_PLACES or any(workspace.is_relative_to(place) for place in FORBIDDEN_PLACES[1:]):
            raise SandboxRefused(f"{workspace} cannot be the workspace of a sandbox")
        shared = Path(tempfile.gettempdir()).resolve()  # the sockets of egress proxies are there
        if shared.is_relative_to(workspace.resolve()):
            raise SandboxRefused(
                f"{workspace} holds the server's temporary directory. Set TMPDIR or choose another workspace"
            )
        if launch.SEPARATOR in "".join((str(workspace), *(word for one in self._fixed() for word in one))):
            raise SandboxRefused("a path of the workspace has a control character")
        yield from self._readable(shown)
        yield "--bind", str(workspace), str(shown)
        yield from (("--ro-bind", f"{above}/{below}", place) for place, above, below in self._fixed())
        if self.home is not None:
            yield "--bind", str(_own_directory(self.home)), HOME
        if lanes := list(self._lanes()):
            yield from (("--ro-bind", str(path), place) for _, path, place in lanes)
            yield "--ro-bind", relay.__file__, relay.SCRIPT
            yield "--perms", "0400", "--file", str(launch.ENVIRONMENT), relay.ENVIRONMENT

    def _readable(self, shown: Path) -> Iterator[tuple[str, ...]]:
        """Yield the mounts of the paths beside the workspace. Raise SandboxRefused for a closed path."""
        readonly = {_absolute(path) for path in self.readonly if os.path.lexists(path)} | set(_programs())
        closed = Closed(self.closed, self.apart, readonly)
        for path in sorted(readonly, key=lambda place: len(place.parts)):
            if self.place is not None and path.is_relative_to(shown):
                raise SandboxRefused(f"{path} cannot be shown: {shown} is the place of the workspace in a sandbox")
            if closed.covers(path):
                raise SandboxRefused(f"{path} is closed to commands in the sandbox")
            if not any(path.is_relative_to(outer) and path != outer for outer in readonly):
                yield from closed.shown(path, path)

    def _lanes(self) -> Iterator[tuple[int, Path, str]]:
        """Yield the port, the socket on the machine and the socket in the box of what the relay leads to."""
        if self.proxy is not None:
            yield relay.PORT, self.proxy, relay.SOCKET
        if self.gateway is not None:
            yield relay.GATEWAY_PORT, self.gateway, relay.GATEWAY_SOCKET


def _own_directory(path: Path) -> Path:
    """Return a directory that may be bound as a home. Raise SandboxRefused for a link or anything else."""
    if path.is_symlink() or not path.is_dir() or launch.SEPARATOR in str(path):
        raise SandboxRefused(f"the home of the agent is not a directory: {path}")
    return path


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


def _namespaces() -> tuple[str, ...]:
    return (
        *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
        *("--unshare-cgroup-try", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--uid", str(launch.USER_ID), "--gid", str(launch.USER_ID), "--hostname", HOST_NAME),
    )


def _system(limits: SandboxLimits) -> tuple[str, ...]:
    """Return the mounts of the system. /proc is read-only, because root owns the settings of the kernel there."""
    size = str(limits.tmp_bytes)
    return (
        *_usr(),
        *("--proc", "/proc", *_covered(), "--dev", "/dev", "--perms", "1777", "--size", size, "--tmpfs", "/dev/shm"),
        *("--perms", "1777", "--size", size, "--tmpfs", "/tmp", "--dir", HOME, "--dir", "/run", "--dir", "/var"),
        *("--symlink", "../tmp", "/var/tmp"),
    )


@cache
def _covered() -> tuple[str, ...]:
    """Return mounts over files of /proc that name the keys of the server's user."""
    names = (path for path in ("/proc/keys", "/proc/key-users") if Path(path).exists())
    return tuple(word for path in names for word in ("--ro-bind", os.devnull, path))


@cache
def _usr() -> tuple[str, ...]:
    """Return the mounts of programs, libraries and their configuration. Links lead to places that are mounted."""
    words = ["--ro-bind", "/usr", "/usr"]
    for number, copied in launch.COPIED.items():
        if Path(copied).is_file():
            words += ["--perms", "0444", "--file", str(number), copied]
    for path in (*map(Path, SYSTEM_LINKS), *ETC):
        target = path.resolve()
        if path.is_symlink() and target.is_relative_to("/usr"):
            words += ["--symlink", str(target), str(path)]
        elif target.exists():
            words += ["--ro-bind", str(path), str(path)]
    return tuple(words)


@cache
def _programs() -> tuple[Path, ...]:
    """Return the directories of this Python outside of /usr."""
    prefixes = {Path(prefix).absolute() for prefix in (sys.prefix, sys.base_prefix)}
    return tuple(prefix for prefix in sorted(prefixes) if not prefix.is_relative_to("/usr"))


@cache
def bubblewrap() -> str | None:
    """Return the path of bubblewrap, None if it is not installed."""
    return shutil.which("bwrap", path=SEARCHED)


LackOfSandbox: TypeAlias = Literal["not-supported", "not-installed", "failed"]
"""Why no sandbox works: not on such a machine, without bubblewrap, or bubblewrap is there and fails."""


class SandboxProbe(NamedTuple):
    """The result of trying a box on this machine: its version, or the reason and the remedy.

    ``lack`` is the code of the reason, which is recorded; None if a box works.
    """

    available: bool
    version: str | None = None
    reason: str | None = None
    remedy: str | None = None
    lack: LackOfSandbox | None = None


@cache
def probe() -> SandboxProbe:
    """Run a command in a box and return the result. It blocks for up to ten seconds; later calls return at once."""
    program = bubblewrap()
    if sys.platform != "linux":
        return SandboxProbe(False, None, "sandboxes need Linux", "Run the server on Linux.", "not-supported")
    if program is None:
        remedy = "Install the package bubblewrap."
        return SandboxProbe(False, None, "bubblewrap is not installed", remedy, "not-installed")
    if (machine := os.uname().machine) not in syscalls.MACHINES:
        remedy = f"Run the server on one of: {', '.join(syscalls.MACHINES)}."
        return SandboxProbe(False, None, f"the system calls of {machine} are not known", remedy, "not-supported")
    try:
        version = subprocess.run((program, "--version"), capture_output=True, timeout=PROBE_SECONDS, check=True)
        with tempfile.TemporaryDirectory(prefix="athena-probe-") as place:
            problem = _try(Sandbox(Path(place), limits=DEFAULT_LIMITS._replace(disk_free_bytes=0)))
    except subprocess.TimeoutExpired:
        return SandboxProbe(False, None, f"bubblewrap failed: {TOO_LONG}", remedy_of(TOO_LONG), "failed")
    except (OSError, subprocess.SubprocessError, SandboxRefused) as error:
        return SandboxProbe(False, None, f"bubblewrap failed: {error}", remedy_of(str(error)), "failed")
    number = version.stdout.decode(errors="replace").split()[-1]
    if problem is None:
        return SandboxProbe(True, number)
    return SandboxProbe(False, number, f"bubblewrap failed: {problem}", remedy_of(problem), "failed")


def _try(sandbox: Sandbox) -> str | None:
    """Run a command in the box. Return the problem, None if there is none."""
    reader, report = os.pipe()
    try:
        start = sandbox.start(("true",))
        order = supervisor.order({"PATH": SEARCHED, **start.variables}, sandbox.supervised, start.options)
        command = (sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), str(report), str(order))
        tried = subprocess.run(
            (*command, *start.argv),
            env={"PATH": SEARCHED},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
            pass_fds=(report, order),
        )
        os.close(order)
        os.close(report)
        report = -1
        ending = os.read(reader, 2)
    finally:
        os.close(reader)
        if report >= 0:
            os.close(report)
    if tried.returncode == 0 and ending == launch.ENDED + launch.ENDED:
        return None
    said = clean(tried.stderr.decode(errors="replace")).strip().splitlines()[-1:]
    if not said and tried.returncode in {-signal.SIGSYS, launch.EXIT_AT_SIGNAL + signal.SIGSYS}:
        return FILTERED
    return (said or [f"exit status {tried.returncode}"])[0].removeprefix("bwrap: ")[:PROBLEM_CHARS_MAX]
