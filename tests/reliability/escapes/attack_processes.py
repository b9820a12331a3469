"""Attacks on processes: the server, its other commands, the parent, and what a process inherits."""

import ctypes
import errno
import fcntl
import os
import signal
import termios
from contextlib import suppress
from pathlib import Path

from tests.reliability.escapes.attack import HARMFUL, Target, attack, call, error, escape, found

PTRACE_SEIZE = 0x4206


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _others(target: Target) -> list[int]:
    """Return the processes to look into: in the box all, outside only the one that the victim started for it."""
    return [process for process in _processes() if process != os.getpid()] if target["boxed"] else [target["neighbour"]]


@escape()
def see_the_server(target: Target) -> str:
    words = Path(f"/proc/{target['pid']}/cmdline").read_bytes()
    if b"victim.py" not in words and b"athena" not in words:
        raise error(errno.ESRCH, "another process has this number")
    return "its arguments"


@escape()
def see_any_process_of_the_machine(target: Target) -> str:
    """Look for a process that is none of the box; outside only for the victim."""
    for process in _processes() if target["boxed"] else [target["pid"]]:
        with suppress(OSError):
            words = Path(f"/proc/{process}/cmdline").read_bytes()
            if b"victim.py" in words or b"athena_cli" in words or b"/sbin/init" in words:
                return f"process {process}"
    raise error(errno.ESRCH, f"only {_processes()}")


@escape()
def read_the_environment_of_another_command(target: Target) -> str:
    for process in _others(target):
        with suppress(OSError):
            return found(target, Path(f"/proc/{process}/environ").read_bytes(), f"environ of {process}")
    raise error(errno.EACCES, "environ")


@escape()
def read_the_memory_of_another_command(target: Target) -> str:
    needle = b"memory-" + target["canary"].encode()[::-1]
    for process in _others(target):
        with suppress(OSError, ValueError), open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
            for line in Path(f"/proc/{process}/maps").read_text().splitlines():
                start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
                if " rw" in line and end - start < 1 << 24:
                    memory.seek(start)
                    with suppress(OSError):
                        if needle in memory.read(end - start):
                            return f"memory of {process}"
    raise error(errno.EACCES, "mem")


@escape()
def copy_the_memory_of_another_command(target: Target) -> str:
    held = ctypes.create_string_buffer(8)
    local = (ctypes.c_uint64 * 2)(ctypes.addressof(held), 8)
    remote = (ctypes.c_uint64 * 2)(target["address"], 8)
    call("process_vm_readv", target["neighbour"], ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    return "process_vm_readv"


@escape()
def trace_another_command(target: Target) -> str:
    call("ptrace", PTRACE_SEIZE, target["neighbour"], 0, 0)
    return "traced"


@escape(HARMFUL, "outside, the server is protected by itself")
def trace_the_server(target: Target) -> str:
    call("ptrace", PTRACE_SEIZE, target["pid"], 0, 0)
    return "traced"


@escape(HARMFUL, "outside, this is the init process of the machine")
def gain_rights_through_the_init_process(_: Target) -> str:
    """Trace the init process of the box. This must not give more rights than a process of the box has."""
    with open("/proc/1/status") as status, open("/proc/self/status") as own:
        names = ("CapPrm:", "CapInh:", "CapBnd:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:", "Uid:")
        first, ours = ([line for line in file if line.startswith(names)] for file in (status, own))
    call("ptrace", PTRACE_SEIZE, 1, 0, 0)
    if first != ours:
        return f"traced, with {first}"
    raise error(errno.EPERM, "it has the same rights")


@escape()
def signal_the_server(target: Target) -> str:
    os.kill(target["pid"], 0)
    if b"victim.py" not in Path(f"/proc/{target['pid']}/cmdline").read_bytes():
        raise error(errno.ESRCH, "another process has this number")
    return "it may be killed"


@escape()
def signal_another_command(target: Target) -> str:
    os.kill(target["neighbour"], 0)
    if (
        target["neighbour"] in _processes()
        and b"neighbour" in Path(f"/proc/{target['neighbour']}/cmdline").read_bytes()
    ):
        return "it may be killed"
    raise error(errno.ESRCH, "another process has this number")


@escape()
def open_a_descriptor_of_the_server(target: Target) -> str:
    os.close(call("pidfd_open", target["pid"], 0))
    if b"victim.py" not in Path(f"/proc/{target['pid']}/cmdline").read_bytes():
        raise error(errno.ESRCH, "another process has this number")
    return "pidfd_open"


@escape()
def change_the_priority_of_the_server(target: Target) -> str:
    call("setpriority", 0, target["neighbour"], os.getpriority(os.PRIO_PROCESS, target["neighbour"]))
    return "setpriority"


@escape(HARMFUL, "outside, there is nothing to leak")
def find_descriptors_of_the_server(_: Target) -> str:
    """Look for descriptors beyond the standard streams, here and in the init process."""
    known = (
        "/proc/",
        "anon_inode:[eventfd]",
        "anon_inode:[pidfd]",
        *(os.readlink(f"/proc/self/fd/{n}") for n in range(3)),
    )
    leaks = []
    for process in ("self", "1"):
        with suppress(OSError):
            for name in os.listdir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    place = os.readlink(f"/proc/{process}/fd/{name}")
                    if int(name) > 2 and not place.startswith(known):
                        leaks.append(f"{process}: {name} {place}")
    if not leaks:
        raise error(errno.ENOENT, "descriptors")
    return str(leaks)


attack("find_secrets_in_the_environment", HARMFUL, "outside, a command has the same clean environment")(
    lambda target: found(target, repr(dict(os.environ)), "the environment")
)


@escape(HARMFUL, "outside, a command has no terminal either")
def type_into_the_terminal(_: Target) -> str:
    """Put a key press into the terminal of the server."""
    problems: list[OSError] = []
    for name in (0, 1, 2, "/dev/tty", "/dev/console"):
        try:
            terminal = name if isinstance(name, int) else os.open(name, os.O_RDWR)
            fcntl.ioctl(terminal, termios.TIOCSTI, b"x")
            return f"typed into {name}"
        except OSError as failure:
            problems.append(failure)
    raise problems[-1]


@escape(HARMFUL, "outside, it would signal all processes of the user")
def kill_everything(target: Target) -> str:
    """Kill everything that may be killed, except the processes of this program."""
    if Path("/proc/1/comm").read_text().strip() != "bwrap" or target["pid"] in _processes():
        return "this is not the box, so nothing was tried"
    for process in {1, *_processes()} - {os.getpid(), os.getppid()}:
        os.kill(process, signal.SIGKILL)
    if 1 not in _processes():
        return "the init process was killed"
    raise error(errno.EPERM, "the victim and the box remain")
