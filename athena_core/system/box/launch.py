"""The start and the limits of a box, as the supervisor of its command handles them.

Resource limits of the kernel count each process for itself, and leave root out of the number of processes. So the
supervisor watches the box as a whole: it reads the box's own /proc, which lists nothing but the box. To end one that
multiplies, it kills all of the box in a single call from inside of the box's namespaces.
"""

import _signal as signal  # type: ignore[import-not-found]  # the module signal would take 5 ms more
import ctypes
import os
import resource
import time

from athena_core.system.box import mounts, relay, syscalls

TYPE_CHECKING = False  # the module typing would take 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ENDED, MEMORY, PROCESSES, CPU, FILE, DISK, TMP_FILES, NOT_STARTED, NOT_WATCHED, CHANGED, GROWTH, FILES_MADE = map(
    bytes, ((number,) for number in range(12))
)
"""The ways a box ends, as reported to the server: like its command, at a limit, or before the command started."""

SECCOMP, PASSWD, GROUP, HOSTS, SWITCH, STATUS, BLOCK, ARGS, ENVIRONMENT = range(150, 159)
"""The descriptors that bubblewrap inherits. The supervisor moves its own descriptors there one after another, so
its own numbers are lower."""

ARGS_OPTION = ("--args", str(ARGS))
"""Bubblewrap reads its other options there, so that its command line, which the box can read, does not show them."""

SEPARATOR = "\x1f"
"""Between the limits, the home and the mounts of the workspace."""

USER_ID = 1_000
FILES = {
    PASSWD: ("/etc/passwd", f"athena:x:{USER_ID}:{USER_ID}:athena:/tmp/home:/bin/sh\n"),
    GROUP: ("/etc/group", f"athena:x:{USER_ID}:\n"),
    HOSTS: ("/etc/hosts", "127.0.0.1 localhost athena\n::1 localhost\n"),
    SWITCH: ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
}
COPIED = {240: "/etc/ld.so.cache", 241: "/etc/ssl/openssl.cnf", 242: "/etc/pki/tls/openssl.cnf"}
"""Descriptors of files of the machine that the box gets as copies, if the command line names them. A copy costs less
than a mount."""
OPTIONS: tuple[str, ...] = (
    *(word for number, (path, _) in FILES.items() for word in ("--perms", "0444", "--file", str(number), path)),
    *("--seccomp", str(SECCOMP), "--json-status-fd", str(STATUS), "--block-fd", str(BLOCK)),
)

FILES_OPEN_MAX = 4_096
SPARE_PROCESSES = 16
SPARE_SECONDS = 2
NICENESS = 5
"""Lower priority of a box, so that the server and the supervisor run first."""

WATCH_SECONDS_MAX = 0.2
COST_MAX = 1 / 20
"""Maximum share of a processor that the supervisor takes. With many processes it looks less often. Its own CPU time
counts, so that a box which keeps all processors busy is looked at as often as any other."""

CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
OWN_PIDS_SINCE = (6, 14)
"""The version of Linux since which a namespace has its own limit of pids."""
PIDS_RESERVED = 300
"""The pids that the kernel gives out only once in a namespace."""

KEYCTL_JOIN_SESSION_KEYRING = 1
SETUP_SECONDS = 0.0002
TMP = ("/tmp", "/dev/shm")
EXIT_AT_SIGNAL = 128
PAGE = resource.getpagesize()
TICKS = os.sysconf("SC_CLK_TCK")
UTIME, CUTIME, THREADS, STARTED, RSS = 11, 13, 17, 19, 21
"""Fields of /proc/PID/stat, counted from the state."""


class Box:
    """A running box."""

    def __init__(
        self, argv: list[str], limits: str, options: "Sequence[str]", environment: "Mapping[str, str]"
    ) -> None:
        """Start bubblewrap and let the command begin once its limits hold. Raise OSError.

        ``limits``: CPU seconds, bytes of memory, processes, bytes of a file, free bytes of the disk, files in /tmp, new
        bytes and files on the disk, milliseconds between two looks, and the workspace, separated by commas; then the
        home (empty if the box has none on the machine) and three words for each mount (see ``mounts.in_place``), each
        after a separator.
        """
        limits, home, *shown = limits.split(SEPARATOR)
        *numbers, self._directory = limits.split(",", 9)
        self._cpu, self._memory, self._processes, self._file, *disk, watch = map(int, numbers)
        self._watch_seconds = watch / 1_000
        self._disk_free, self._tmp_files, self._disk_bytes, self._disk_files = disk
        self._disks = {os.stat(path).st_dev: (path, os.statvfs(path)) for path in (self._directory, home) if path}
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
        self._status, status = os.pipe()
        block, go = os.pipe()
        # its own writer: it never ends, so nothing runs unwatched
        blocked = os.open(f"/proc/self/fd/{block}", os.O_RDWR)
        os.close(block)
        ctypes.CDLL(None).syscall(syscalls.KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, None)  # an empty keyring of its own
        files = {SECCOMP: syscalls.program()} | {number: text.encode() for number, (_, text) in FILES.items()}
        files |= _with_variables(options, environment)
        sources = {number: _memory(data) for number, data in files.items()} | {STATUS: status, BLOCK: blocked}
        sources |= {
            number: os.open(path, os.O_RDONLY | os.O_CLOEXEC) for number, path in COPIED.items() if path in options
        }
        self.pid = os.posix_spawn(
            argv[0],
            argv,
            {},  # the command's variables are its own
            file_actions=[(os.POSIX_SPAWN_DUP2, source, number) for number, source in sources.items()],
            setsid=True,
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            setsigmask=(),
        )
        for source in sources.values():
            os.close(source)
        self._ended: int | None = None
        self._seen: dict[tuple[str, bytes], int] = {}
        self._gone_ticks = 0
        self._reported = b""
        self._first = self._first_process()
        self._proc = -1
        if self._first:
            helper = self._inside(self._limit_pids) if os.getuid() == 0 and own_pids() else 0  # while the box is built
            self._proc = self._own_proc(self._first)
            self._open_tmp()
            _wait_for(helper)
        self._changed = self._proc >= 0 and not mounts.in_place(self._first, shown)
        if self._changed:
            self._end()
        elif self._proc >= 0:
            self._limit(self._first)
            os.write(go, b"\0")
        os.close(go)

    def _first_process(self) -> int:
        """Return the pid of the box's first process; 0 if bubblewrap failed."""
        while b"\n" not in self._reported:
            piece = os.read(self._status, 4_096)
            if not piece:
                return 0
            self._reported += piece
        return int(self._reported.partition(b'"child-pid":')[2].partition(b",")[0].strip(b" }\n") or 0)

    def _own_proc(self, first: int) -> int:
        """Open the /proc of the box once it is built; the command has not begun then. Return -1 if the box ended."""
        host = os.stat("/proc").st_dev
        while not self._reap():
            try:
                proc = os.open(f"/proc/{first}/root" + "/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                time.sleep(SETUP_SECONDS)
                continue
            if os.fstat(proc).st_dev != host and os.access("1", os.F_OK, dir_fd=proc):  # not a directory for a mount
                return proc
            os.close(proc)
            time.sleep(SETUP_SECONDS)
        return -1

    def _open_tmp(self) -> None:
        """Open the file systems in memory that the box may fill."""
        self._tmp: list[int] = []
        for path in TMP if self._proc >= 0 else ():
            self._tmp.append(os.open(f"/proc/{self._first}/root" + path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def _limit(self, pid: int) -> None:
        """Limit a process and all that it starts."""
        spare = self._processes // 4 + SPARE_PROCESSES  # the watch ends the box before
        for kind, limit in (
            (resource.RLIMIT_CPU, self._cpu + SPARE_SECONDS),
            (resource.RLIMIT_DATA, 2 * self._memory),  # reserved memory, such as the stacks of threads, counts here
            (resource.RLIMIT_NPROC, self._processes + spare),
            (resource.RLIMIT_FSIZE, self._file),
            (resource.RLIMIT_NOFILE, FILES_OPEN_MAX),
            (resource.RLIMIT_CORE, 0),
        ):
            for_soft, for_hard = resource.prlimit(pid, kind)
            hard = limit if for_hard == resource.RLIM_INFINITY else min(limit, for_hard)
            soft = hard if for_soft == resource.RLIM_INFINITY else min(hard, for_soft)
            resource.prlimit(pid, kind, (soft, hard))
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)
        try:
            with open(f"/proc/{pid}/oom_score_adj", "w") as file:
                file.write("1000")  # if memory runs out, the kernel ends the box first
        except OSError:
            return  # no such file, or a container that forbids it

    def _limit_pids(self) -> None:
        """Limit the pids of the box: for root, because RLIMIT_NPROC does not bind it."""
        with open("/proc/sys/kernel/pid_max", "w") as file:
            file.write(str(PIDS_RESERVED + self._processes + SPARE_PROCESSES))

    def _inside(self, act: "Callable[[], None]") -> int:
        """Call a function in a child in the namespaces of the box. Return its pid, 0 if there is none."""
        try:
            helper = os.fork()
        except OSError:  # the machine has no room for another process
            return 0
        if helper:
            return helper
        try:
            box = os.pidfd_open(self._first)
            if ctypes.CDLL(None).setns(box, CLONE_NEWUSER | CLONE_NEWPID) == 0:
                if inner := os.fork():  # only children enter the namespace of pids
                    os.waitpid(inner, 0)
                else:
                    act()
        finally:
            os._exit(0)

    def wait(self) -> tuple[bytes, int]:
        """Wait until the box has ended or exceeds a limit. Return how it ended and the status of bubblewrap."""
        while not self._reap():
            before = time.process_time()
            try:
                exceeded = self._exceeded() if self._proc >= 0 else None
            except (OSError, ValueError, MemoryError):
                exceeded = NOT_WATCHED
            if exceeded:
                self._end()
                return exceeded, signal.SIGKILL
            seconds = max(self._watch_seconds, (time.process_time() - before) / COST_MAX)
            signal.sigtimedwait((signal.SIGCHLD,), min(seconds, WATCH_SECONDS_MAX))
        assert self._ended is not None
        return CHANGED if self._changed else self._ending(self._ended), self._ended

    def _end(self) -> None:
        """Kill the box. Its first process ends the rest, but must wait for a processor between all others."""
        _wait_for(self._inside(_kill_all))
        try:
            os.kill(self._first, signal.SIGKILL)
        except OSError:
            return  # it has ended

    def _reap(self) -> bool:
        """Reap what has ended. Return True once bubblewrap has."""
        try:
            while self._ended is None and (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self.pid:
                    self._ended = found[1]
        except ChildProcessError:  # reaped elsewhere
            self._ended = self._ended or signal.SIGKILL
        return self._ended is not None

    def _ending(self, status: int) -> bytes:
        """Return how the box ended. Bubblewrap reports the command's exit only if the command started."""
        while piece := os.read(self._status, 4_096):
            self._reported += piece
        if not os.WIFEXITED(status):
            return ENDED
        if b'"exit-code"' not in self._reported:
            return NOT_STARTED
        number = os.WEXITSTATUS(status) - EXIT_AT_SIGNAL
        return {int(signal.SIGXCPU): CPU, int(signal.SIGXFSZ): FILE}.get(number, ENDED)

    def _exceeded(self) -> bytes | None:
        """Return the limit that the box exceeds now, or None."""
        names = [name for name in os.listdir(self._proc) if name.isdecimal()]
        if len(names) > self._processes + 1:
            return PROCESSES
        ticks = threads = pages = 0
        seen: dict[tuple[str, bytes], int] = {}
        for name in names:
            fields = self._read(name, "stat").rpartition(b") ")[2].split()
            if fields:
                own, waited_for = (sum(map(int, fields[place : place + 2])) for place in (UTIME, CUTIME))
                ticks += own + waited_for
                seen[name, fields[STARTED]] = own
                threads += int(fields[THREADS])
                pages += int(fields[RSS])
        if threads > self._processes + 1:  # the first process of the box does not count
            return PROCESSES
        if max(ticks, self._ticks_of_all(names, seen)) > self._cpu * TICKS:
            return CPU
        if pages * PAGE > self._memory and self._shared_out(names) > self._memory:
            return MEMORY
        for place in self._tmp:
            held = os.fstatvfs(place)
            if held.f_files - held.f_ffree > self._tmp_files:
                return TMP_FILES
        return self._disk_exceeded()

    def _ticks_of_all(self, names: list[str], seen: dict[tuple[str, bytes], int]) -> int:
        """Return the time of all processes that were ever seen, each as it was last seen.

        ``seen`` is the own time of each process that could be read, by pid and start. If no parent waits for a process,
        the kernel forgets its time. If one does, the time appears among the parent's: so the two sums are not added.
        """
        unread = set(names).difference(name for name, _ in seen)
        for process, own in self._seen.items():
            if process[0] in unread:  # perhaps for want of descriptors: it would count twice if it came back
                seen[process] = own
            elif process not in seen:
                self._gone_ticks += own
        self._seen = seen
        return self._gone_ticks + sum(seen.values())

    def _disk_exceeded(self) -> bytes | None:
        """Return the limit of a file system that the box may fill, if it is exceeded now. Files of others count, too.

        The file systems are the ones of the workspace and of the home.
        """
        for path, before in self._disks.values():
            disk = os.statvfs(path)
            if disk.f_bavail * disk.f_frsize < self._disk_free:
                return DISK
            if (before.f_bfree - disk.f_bfree) * disk.f_frsize > self._disk_bytes:
                return GROWTH
            if disk.f_files - disk.f_ffree - (before.f_files - before.f_ffree) > self._disk_files:
                return FILES_MADE
        return None

    def _shared_out(self, names: list[str]) -> int:
        """Return the bytes of memory of processes. Pages that several of them share are counted once."""
        found = 0
        for name in names:
            for line in self._read(name, "smaps_rollup").splitlines():
                if line.startswith(b"Pss:"):
                    found += int(line.split()[1]) * 1_024
                    break
            else:  # it hides its memory, or has just ended
                fields = self._read(name, "stat").rpartition(b") ")[2].split()
                found += int(fields[RSS]) * PAGE if fields else 0
        return found

    def _read(self, name: str, file: str) -> bytes:
        """Return a file of a process of the box; empty if it has ended or forbids it."""
        try:
            number = os.open(f"{name}/{file}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        except OSError:
            return b""
        try:
            return os.read(number, 4_096)
        except OSError:
            return b""
        finally:
            os.close(number)


def own_pids(release: str = "") -> bool:
    """Return True if each namespace has a limit of pids of its own: otherwise it is the one of the machine."""
    major, _, rest = (release or os.uname().release).partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return major.isdecimal() and minor.isdecimal() and (int(major), int(minor)) >= OWN_PIDS_SINCE


def _wait_for(helper: int) -> None:
    try:
        if helper:
            os.waitpid(helper, 0)
    except ChildProcessError:
        return  # reaped already


def _kill_all() -> None:
    """Kill every process of this namespace but the first. A process that is being killed cannot start another one."""
    os.kill(-1, signal.SIGKILL)


def _with_variables(options: "Sequence[str]", environment: "Mapping[str, str]") -> dict[int, bytes]:
    """Return the options with the variables of the command, or the variables as a file for the relay of the box.

    They stand in the environment of no process but the command.
    """
    words, files = list(options), dict[int, bytes]()
    if relay.ENVIRONMENT in options:
        lines = (os.fsencode(f"{name}={value}") for name, value in environment.items())
        files[ENVIRONMENT] = b"\0".join(lines)
    else:
        words += [word for name, value in environment.items() for word in ("--setenv", name, value)]
    files[ARGS] = b"".join(os.fsencode(word) + b"\0" for word in words)
    return files


def _memory(data: bytes) -> int:
    """Return a file in memory."""
    number = os.memfd_create("box", os.MFD_CLOEXEC)
    os.write(number, data)
    os.lseek(number, 0, os.SEEK_SET)
    return number
