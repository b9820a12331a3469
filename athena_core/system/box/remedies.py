"""Remedies for a box that does not work: what to change in the kernel, the unit or the container, by name.

Bubblewrap stops at its first problem. Other problems that this process can find are named too, because each change of
a unit takes a restart.
"""

import ctypes
import errno
import os
import re
import socket
from pathlib import Path

SEE = "See docs/how-to/deployment.md for what a sandbox needs."
SYSCTLS = (
    ("kernel.unprivileged_userns_clone", "0", "Set the sysctl kernel.unprivileged_userns_clone=1."),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "1",
        "Allow user namespaces to bwrap in an AppArmor profile, or set the sysctl "
        "kernel.apparmor_restrict_unprivileged_userns=0.",
    ),
    ("user.max_user_namespaces", "0", "Set the sysctl user.max_user_namespaces to at least 1000."),
)
"""Settings of the kernel that forbid namespaces to ordinary users."""

NETLINK = "Add AF_NETLINK to RestrictAddressFamilies= of the systemd unit."
SUBSET = "Remove ProcSubset= from the systemd unit."
SET_IDS = "Remove RestrictSUIDSGID= and DynamicUser= from the systemd unit, because they refuse openat2."
HOSTNAME = "Remove ProtectHostname= from the systemd unit, or allow sethostname in its SystemCallFilter=."
MASKED = "Remove {} from the systemd unit; in a container, do not mask paths of /proc."
NAMESPACES = (
    "Remove RestrictNamespaces= from the systemd unit, and allow @process in its SystemCallFilter=; in a container, "
    "use a seccomp profile that allows user namespaces."
)
CALLS = (
    "Allow @system-service, @mount and sethostname in SystemCallFilter= of the systemd unit; in a container, use a "
    "seccomp and AppArmor profile that allows mounts in user namespaces."
)
TUNABLES, LOGS = "ProtectKernelTunables=", "ProtectKernelLogs="
EITHER = MASKED.format(f"{TUNABLES} and {LOGS}")
MESSAGES = tuple(
    (re.compile(words), remedy)
    for words, remedy in (
        ("Unknown option", "Install bubblewrap 0.6 or later."),
        ("NETLINK|[Aa]ddress family", NETLINK),
        ("overflowuid|overflowgid", SUBSET),
        ("not implemented", SET_IDS),
        ("hostname", HOSTNAME),
        ("mount proc|/proc/", EITHER),
        ("ENOSPC|No space left", "Raise the sysctl user.max_user_namespaces."),
        ("namespace|unshare|uid map|RTM_NEW", NAMESPACES),
        ("temporarily unavailable", "Raise TasksMax= and LimitNPROC= of the systemd unit."),
        ("temporary directory", "Set PrivateTmp=yes in the systemd unit, or a TMPDIR that its user may write to."),
        ("mount|slave|pivot_root|chroot|capset|not permitted|system call|exit status", CALLS),
    )
)
"""Messages of bubblewrap, and the remedy of each."""

OF_NAMESPACES = re.compile("namespace|unshare|uid map|RTM_NEW")
LOGS_PATH = "/proc/kmsg"
HARMLESS = "/proc/sys/fs/binfmt_misc"
"""A mount over an empty directory. The kernel does not mind it."""
OPENAT2 = 437
"""The number of the system call, on every machine that has a box."""


def remedy_of(problem: str) -> str:
    """Return what to do about a message of bubblewrap."""
    found = _sysctls() if OF_NAMESPACES.search(problem) else []
    found += _refused_by_unit()
    by_message = next((remedy for words, remedy in MESSAGES if words.search(problem)), None)
    if by_message and not (by_message == EITHER and any(TUNABLES in one or LOGS in one for one in found)):
        found.append(by_message)
    return " ".join(dict.fromkeys(found)) or SEE


def _sysctls() -> list[str]:
    found = []
    for setting, wrong, remedy in SYSCTLS:
        try:
            if Path("/proc/sys", *setting.split(".")).read_text().strip() == wrong and os.getuid() != 0:
                found.append(remedy)
        except OSError:
            continue  # this kernel does not have it
    return found


def _refused_by_unit() -> list[str]:
    """Return the remedies of the restrictions that this process can find out."""
    found = []
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()
    except OSError as error:
        found += [NETLINK] if error.errno == errno.EAFNOSUPPORT else []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(OPENAT2, -1, None, None, 0) != 0 and ctypes.get_errno() == errno.ENOSYS:
        found.append(SET_IDS)
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return found
    places = {fields[4] for fields in mounts if fields[4].startswith("/proc/")} - {HARMLESS}
    kinds = (TUNABLES, places - {LOGS_PATH}), (LOGS, places & {LOGS_PATH})
    if names := [name for name, masked in kinds if masked]:
        found.append(MASKED.format(" and ".join(names)))
    if any(fields[4] == "/proc" and "subset=pid" in fields[-1].split(",") for fields in mounts):
        found.append(SUBSET)
    return found
