"""The filter of system calls of a box, as a program for the kernel's seccomp.

Namespaces do not cover everything: keyrings, sockets of virtual machines and memory without an owner lie outside of
them, and old versions of bubblewrap cannot forbid further namespaces.
"""

import errno
import os
import struct

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, ERROR, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, ARCHITECTURE, FIRST, SECOND, THIRD, FOURTH, HALF = 0, 4, 16, 24, 32, 40, 4
"""Offsets in ``struct seccomp_data``. The lower half of an argument comes first on these machines."""

Line = tuple[int, int, int, int]
"""An instruction: code, how many to skip if true, if false, and its operand."""

ALLOWED: Line = (RETURN, 0, 0, ALLOW)

X32_BIT = 0x40000000
AUDIT_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = tuple(AUDIT_ARCHITECTURES)
NAMESPACES = 0x7E020000
"""All flags of ``clone`` that ask for a namespace; CLONE_NEWTIME lies in the bits of the signal."""

FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
SHARED_MEMORY_BYTES_MAX = 65_536
"""Maximum size of a System V segment: it lives on without a process, where no limit of the box counts it."""

REFUSED = {  # the numbers on x86_64 and aarch64; None where the call does not exist
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
MISSING = {  # programs do without these calls if the kernel does not have them
    "clone3": (435, 435),  # its flags lie in memory, which a filter cannot read
    "openat2": (437, 437),  # its mode lies in memory
    "memfd_create": (319, 279),  # memory without an owner
    "memfd_secret": (447, 447),
    "msgget": (68, 186),
}
MODES = {  # calls that set the mode of a file, and the place of the mode among their arguments
    SECOND: ((90, None), (91, 52), (133, None), (85, None)),  # chmod, fchmod, mknod, creat
    THIRD: ((268, 53), (452, 452), (259, 33)),  # fchmodat, fchmodat2, mknodat
}
OPENS = {(2, None): (SECOND, THIRD), (257, 56): (THIRD, FOURTH)}
"""``open`` and ``openat`` with the places of their flags and their mode."""

SET_IDS = 0o6000
"""A server that runs as root must not be left with a program that makes root of its users."""

CREATES = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE
FALLOCATE, CLONE, SOCKET, SHMGET = (285, 47), (56, 220), (41, 198), (29, 194)


KEYCTL = REFUSED["keyctl"][os.uname().machine == "aarch64"]


def program(machine: str = "") -> bytes:
    """Return the filter for a machine, by default this one. Raise ValueError if its system calls are not known here."""
    machine = machine or os.uname().machine
    column = MACHINES.index(machine)
    lines = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL_PROCESS),  # the numbers of other architectures mean other calls
        (LOAD, 0, 0, NUMBER),
    ]
    if machine == "x86_64":
        lines += [(JUMP_AT_LEAST, 0, 1, X32_BIT), _error(errno.ENOSYS)]
    for calls, number in ((REFUSED, errno.EPERM), (MISSING, errno.ENOSYS)):
        for call in calls.values():
            if (code := call[column]) is not None:
                lines += [(JUMP_EQUAL, 0, 1, code), _error(number)]
    lines += [(JUMP_EQUAL, 0, 1, FALLOCATE[column]), _error(errno.EOPNOTSUPP)]  # it would take the disk at once
    lines += _checked(CLONE[column], FIRST, (JUMP_ANY_BIT, 0, 1, NAMESPACES), _error(errno.EPERM))
    for place, calls_with_mode in MODES.items():
        for call in calls_with_mode:
            lines += _checked(call[column], place, (JUMP_ANY_BIT, 0, 1, SET_IDS), _error(errno.EPERM))
    for call, (flags, mode) in OPENS.items():
        creates = ((JUMP_ANY_BIT, 0, 3, CREATES), (LOAD, 0, 0, mode), (JUMP_ANY_BIT, 0, 1, SET_IDS))
        lines += _checked(call[column], flags, *creates, _error(errno.EPERM))
    large = ((JUMP_AT_LEAST, 2, 0, SHARED_MEMORY_BYTES_MAX + 1), (LOAD, 0, 0, SECOND + HALF), (JUMP_EQUAL, 1, 0, 0))
    lines += _checked(SHMGET[column], SECOND, *large, _error(errno.ENOMEM))
    known = [(JUMP_EQUAL, len(FAMILIES) - number, 0, family) for number, family in enumerate(FAMILIES)]
    lines += _checked(SOCKET[column], FIRST, *known, _error(errno.EAFNOSUPPORT))
    lines += [ALLOWED]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def _checked(number: int | None, offset: int, *lines: Line) -> tuple[Line, ...]:
    """Return the lines that check an argument of a call. Calls that pass them are allowed."""
    if number is None:
        return ()
    return ((JUMP_EQUAL, 0, len(lines) + 2, number), (LOAD, 0, 0, offset), *lines, ALLOWED)


def _error(number: int) -> Line:
    return (RETURN, 0, 0, ERROR | number)
