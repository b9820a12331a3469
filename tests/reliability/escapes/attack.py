"""The corpus of escapes: attacks that run inside of the box, and outside of it to show that they work.

An attack either returns what it reached or raises OSError. Only the standard library is used, and nothing of Athena.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Callable
from typing import Any, NamedTuple

Target = dict[str, Any]
"""The places of the victim: paths, ports, pids and the canary to find."""

DENIALS = frozenset(
    (
        *(errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOENT, errno.ESRCH, errno.ENOSYS, errno.ENXIO, errno.ENODEV),
        *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT),
        *(errno.EXDEV, errno.EBUSY, errno.ETXTBSY, errno.ENOSPC, errno.ENOTTY, errno.EPROTONOSUPPORT, errno.ENOKEY),
        *(errno.EKEYREVOKED, errno.EOPNOTSUPP, errno.EUSERS, errno.ENOTDIR),
    )
)
"""Errors that deny an attack. Any other error means that the attack itself is broken."""

ALWAYS, ROOT, HARMFUL, DIFFERS = "always", "root", "harmful", "differs"
"""Where the attack works outside of the box: for any user, for root, not tried for the machine's sake, or depending
on the kernel and its settings."""

NUMBERS = {
    "x86_64": {
        **{"ptrace": 101, "mount": 165, "umount2": 166, "chroot": 161, "pivot_root": 155, "unshare": 272, "setns": 308},
        **{"clone": 56, "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298},
        **{"io_uring_setup": 425, "userfaultfd": 323, "name_to_handle_at": 303, "open_by_handle_at": 304},
        **{"process_vm_readv": 310, "adjtimex": 159, "reboot": 169, "init_module": 175, "kexec_load": 246},
        **{"swapon": 167, "acct": 163, "syslog": 103, "fsopen": 430, "open_tree": 428, "mount_setattr": 442},
        **{"fanotify_init": 300, "sethostname": 170, "quotactl": 179, "pidfd_open": 434, "setpriority": 141},
        **{"shmget": 29, "shmat": 30, "memfd_create": 319, "clone3": 435, "ioprio_set": 251, "personality": 135},
    },
    "aarch64": {
        **{"ptrace": 117, "mount": 40, "umount2": 39, "chroot": 51, "pivot_root": 41, "unshare": 97, "setns": 268},
        **{"clone": 220, "keyctl": 219, "add_key": 217, "request_key": 218, "bpf": 280, "perf_event_open": 241},
        **{"io_uring_setup": 425, "userfaultfd": 282, "name_to_handle_at": 264, "open_by_handle_at": 265},
        **{"process_vm_readv": 270, "adjtimex": 171, "reboot": 142, "init_module": 105, "kexec_load": 104},
        **{"swapon": 224, "acct": 89, "syslog": 116, "fsopen": 430, "open_tree": 428, "mount_setattr": 442},
        **{"fanotify_init": 262, "sethostname": 161, "quotactl": 60, "pidfd_open": 434, "setpriority": 140},
        **{"shmget": 194, "shmat": 196, "memfd_create": 279, "clone3": 435, "ioprio_set": 30, "personality": 92},
    },
}[platform.machine()]
"""The numbers of system calls."""

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


class Escape(NamedTuple):
    """An attack of the corpus."""

    run: Callable[[Target], str]
    works: str
    reason: str


CORPUS: dict[str, Escape] = {}


Attack = Callable[[Target], str]


def attack(name: str, works: str = ALWAYS, reason: str = "") -> Callable[[Attack], Attack]:
    """Add an attack to the corpus. ``works``: where it works outside of the box; ``reason``: why not everywhere."""

    def add(run: Attack) -> Attack:
        CORPUS[name] = Escape(run, works, reason)
        return run

    return add


def escape(works: str = ALWAYS, reason: str = "") -> Callable[[Attack], Attack]:
    """Add an attack under the name of its function."""
    return lambda run: attack(run.__name__, works, reason)(run)


def call(name: str, *arguments: Any) -> int:
    """Make a system call. Raise OSError."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result: int = libc.syscall(ctypes.c_long(NUMBERS[name]), *words)
    if result < 0:
        raise error(ctypes.get_errno(), name)
    return result


def error(number: int, name: str) -> OSError:
    """Return the OSError of an error number."""
    return OSError(number, os.strerror(number), name)


def permitted(name: str, *arguments: Any) -> str:
    """Make a system call with arguments that are refused only after the check of rights, so that it has no effect."""
    try:
        call(name, *arguments)
    except OSError as failure:
        if failure.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            raise
        return f"{name}: permitted, then {failure.strerror}"
    return f"{name}: done"


def found(target: Target, data: bytes | str, where: str) -> str:
    """Return where the canary was read. Raise OSError if it is not in the data."""
    text = data.decode(errors="replace") if isinstance(data, bytes) else data
    if target["canary"] not in text:
        raise error(errno.ENOENT, f"no canary in {where}")
    return f"the canary is in {where}"


def attempt(name: str, target: Target) -> dict[str, str]:
    """Run one attack. Return its name, outcome and details."""
    try:
        outcome, detail = "escaped", CORPUS[name].run(target)
    except OSError as failure:
        denied = failure.errno in DENIALS
        outcome, detail = "denied" if denied else "broken", f"{type(failure).__name__}: {failure}"
    except Exception as failure:  # a report, whatever happens
        outcome, detail = "broken", f"{type(failure).__name__}: {failure}"
    return {"name": name, "outcome": outcome, "detail": detail[:300]}
