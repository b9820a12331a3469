"""Attacks on the kernel: mounts, namespaces, rights of root, keys, and calls with a large surface."""

import ctypes
import errno
import os
import resource
from contextlib import suppress

from tests.reliability.escapes.attack import (
    DIFFERS,
    HARMFUL,
    ROOT,
    Target,
    attack,
    call,
    error,
    escape,
    libc,
    permitted,
)

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x20000,
    0x2000000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4_096, 16_384, 1 << 18
MNT_DETACH = 2
ONLY_ROOT = "only root has the right"


def _in_child(name: str, *arguments: int) -> str:
    """Make a call that changes the caller, in a process of its own."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            call(name, *arguments)
            os._exit(0)
        except OSError as failure:
            os._exit(failure.errno or errno.EPERM)
    os.close(ours)
    os.close(theirs)
    _, status = os.waitpid(child, 0)
    if number := os.waitstatus_to_exitcode(status):
        raise error(number if number > 0 else errno.EPERM, name)
    return f"{name}: done"


@escape(ROOT, ONLY_ROOT)
def mount_a_file_system(target: Target) -> str:
    place = target["workspace"].encode()
    call("mount", b"none", place, b"tmpfs", 0, None)
    call("umount2", place, MNT_DETACH)
    return "a tmpfs was mounted"


@escape(ROOT, ONLY_ROOT)
def mount_proc(target: Target) -> str:
    place = target["workspace"].encode()
    call("mount", b"proc", place, b"proc", 0, None)
    call("umount2", place, MNT_DETACH)
    return "proc was mounted"


@escape(ROOT, ONLY_ROOT)
def mount_control_groups(target: Target) -> str:
    place = target["workspace"].encode()
    call("mount", b"cgroup", place, b"cgroup2", 0, None)
    call("umount2", place, MNT_DETACH)
    return "cgroups were mounted"


@escape(ROOT, ONLY_ROOT)
def bind_a_directory(target: Target) -> str:
    place = target["workspace"].encode()
    call("mount", b"/usr", place, None, MS_BIND, None)
    call("umount2", place, MNT_DETACH)
    return "/usr was bound"


@escape(HARMFUL, "outside, it would change the mounts of the machine")
def make_the_system_writable(_: Target) -> str:
    call("mount", b"none", b"/usr", None, MS_REMOUNT | MS_BIND, None)
    return "/usr is writable"


@escape(HARMFUL, "outside, it would change the mounts of the machine")
def make_proc_writable(_: Target) -> str:
    call("mount", b"none", b"/proc", None, MS_REMOUNT | MS_BIND, None)
    return "/proc is writable"


@escape(HARMFUL, "outside, nothing covers the file")
def uncover_a_closed_file(target: Target) -> str:
    call("umount2", f"{target['workspace']}/.env".encode(), MNT_DETACH)
    return "it was uncovered"


@escape(HARMFUL, "outside, it would change the mounts of the machine")
def share_the_mounts(_: Target) -> str:
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    return "the propagation was changed"


@escape(ROOT, ONLY_ROOT)
def mount_by_the_new_calls(_: Target) -> str:
    with suppress(OSError):
        os.close(call("fsopen", b"tmpfs", 0))
        return "fsopen"
    os.close(call("open_tree", -100, b"/usr", 1 | os.O_CLOEXEC))  # OPEN_TREE_CLONE
    return "open_tree"


@escape(HARMFUL, "outside, it would change the mounts of the machine")
def change_a_mount_by_its_attributes(_: Target) -> str:
    wanted = (ctypes.c_uint64 * 4)(0, MS_RDONLY, 0, 0)
    call("mount_setattr", -100, b"/usr", 0, ctypes.byref(wanted), 32)
    return "/usr is writable"


attack("make_a_user_namespace", DIFFERS, "a machine may forbid user namespaces")(
    lambda _: _in_child("unshare", CLONE_NEWUSER)
)


@escape(DIFFERS, "a machine may forbid user namespaces")
def make_a_user_namespace_by_clone(_: Target) -> str:
    child = call("clone", CLONE_NEWUSER | CLONE_NEWNS | 17, 0, 0, 0, 0)
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return "clone"


@escape(DIFFERS, "a machine may forbid user namespaces")
def make_a_user_namespace_by_clone3(_: Target) -> str:
    arguments = (ctypes.c_uint64 * 8)(CLONE_NEWUSER, 0, 0, 0, 17, 0, 0, 0)
    child = call("clone3", ctypes.byref(arguments), 64)
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return "clone3"


@escape(DIFFERS, "a machine may forbid user namespaces")
def become_root_of_a_namespace_and_mount(target: Target) -> str:
    """Get all capabilities in a nested user namespace, then mount over the workspace."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
            call("mount", b"none", target["workspace"].encode(), b"tmpfs", 0, None)
            os._exit(0)
        except OSError as failure:
            os._exit(failure.errno or errno.EPERM)
    os.close(ours)
    os.close(theirs)
    if number := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise error(number if number > 0 else errno.EPERM, "unshare, mount")
    return "mounted in a nested namespace"


@escape(ROOT, ONLY_ROOT)
def make_other_namespaces(_: Target) -> str:
    for flag in (CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWPID, CLONE_NEWNET, 0x0400_0000, 0x0800_0000, 0x80):
        with suppress(OSError):
            return f"{_in_child('unshare', flag)} {flag:#x}"
    raise error(errno.EPERM, "unshare")


@escape(ROOT, ONLY_ROOT)
def enter_other_namespaces(_: Target) -> str:
    """Enter the namespaces of the init process that is visible, or its own again."""
    for process in ("1", "self"):
        for kind in ("user", "mnt", "net", "pid", "ipc", "uts", "cgroup"):
            with suppress(OSError):
                place = os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY)
                return f"{_in_child('setns', place, 0)} {kind}"
    raise error(errno.EPERM, "setns")


@escape(ROOT, ONLY_ROOT)
def change_the_root_directory(target: Target) -> str:
    child = os.fork()
    if not child:
        try:
            os.chroot(target["workspace"])
            os._exit(0)
        except OSError as failure:
            os._exit(failure.errno or errno.EPERM)
    if number := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise error(number if number > 0 else errno.EPERM, "chroot")
    return "chroot"


@escape(ROOT, "EINVAL follows only after the check of rights")
def exchange_the_root_mount(target: Target) -> str:
    place = target["workspace"].encode()
    return permitted("pivot_root", place, place)


@escape(DIFFERS, "a kernel may have no keys")
def read_a_key_of_the_server(target: Target) -> str:
    """Read a key in the keyring of the server's session, by its name and by its number."""
    canary = target["canary"].encode()
    numbers = [target["key"]]
    with suppress(OSError):
        numbers.insert(0, call("request_key", b"user", b"athena-test", None, 0))
    with suppress(OSError):
        numbers.insert(0, call("keyctl", 10, -3, b"user", b"athena-test", 0))  # search the session's keyring
    for number in numbers:
        held = ctypes.create_string_buffer(200)
        with suppress(OSError):
            call("keyctl", 11, number, held, 200)
            if canary in held.value:
                return "the key was read"
    raise error(errno.ENOKEY, "keyctl")


@escape(DIFFERS, "a kernel may have no keys")
def put_a_key_into_a_keyring_of_the_server(_: Target) -> str:
    """Leave a key where processes outside of the box could find it: in the keyrings of the user."""
    number = call("add_key", b"user", f"athena-planted-{os.getpid()}".encode(), b"x", 1, -4)
    call("keyctl", 9, number, -4)  # unlink
    return f"key {number}"


@escape(DIFFERS, "a kernel may restrict it")
def make_an_io_uring(_: Target) -> str:
    parameters = ctypes.create_string_buffer(200)
    os.close(call("io_uring_setup", 1, parameters))
    return "io_uring_setup"


@escape(ROOT, "kernels restrict it to root")
def load_a_bpf_program(_: Target) -> str:
    attributes = (ctypes.c_uint32 * 32)(2, 4, 4, 1)  # an array of one entry
    os.close(call("bpf", 0, ctypes.byref(attributes), 128))
    return "a BPF map was made"


@escape(DIFFERS, "a kernel may restrict it")
def trace_by_perf_events(_: Target) -> str:
    attributes = (ctypes.c_uint32 * 32)(1, 128)
    attributes[10] = 1  # disabled
    os.close(call("perf_event_open", ctypes.byref(attributes), -1, 0, -1, 0))
    return "perf_event_open of the whole machine"


@escape(DIFFERS, "a kernel may restrict it")
def trace_itself_by_perf_events(_: Target) -> str:
    attributes = (ctypes.c_uint32 * 32)(1, 128)
    attributes[10] = 0x61  # disabled, without kernel and hypervisor
    os.close(call("perf_event_open", ctypes.byref(attributes), 0, -1, -1, 0))
    return "perf_event_open"


@escape(DIFFERS, "a kernel may restrict it")
def stall_the_kernel_by_userfaultfd(_: Target) -> str:
    os.close(call("userfaultfd", 1))
    return "userfaultfd"


@escape(ROOT, ONLY_ROOT)
def set_the_clock(_: Target) -> str:
    """Ask for an invalid tick: root gets EINVAL, others EPERM."""
    timex = (ctypes.c_long * 64)()
    ctypes.c_uint.from_buffer(timex).value = 0x4000  # ADJ_TICK
    return permitted("adjtimex", timex)


attack("restart_the_machine", ROOT, ONLY_ROOT)(lambda _: permitted("reboot", 0, 0, 0, None))
attack("load_a_module", DIFFERS, "a kernel may have no such call")(lambda _: permitted("init_module", None, 0, None))
attack("load_another_kernel", DIFFERS, "a kernel may have no such call")(
    lambda _: permitted("kexec_load", 0, 1 << 20, None, 0)
)
attack("swap_to_a_file", ROOT, ONLY_ROOT)(lambda _: permitted("swapon", b"/nonexistent", 0))
attack("account_for_processes", ROOT, ONLY_ROOT)(lambda _: permitted("acct", b"/nonexistent"))


@escape(DIFFERS, "a kernel may restrict it to root")
def read_the_messages_of_the_kernel(_: Target) -> str:
    held = ctypes.create_string_buffer(100)
    call("syslog", 3, held, 100)
    return "dmesg"


@escape(ROOT, ONLY_ROOT)
def name_the_host(_: Target) -> str:
    name = os.uname().nodename.encode()
    call("sethostname", name, len(name))
    return "sethostname"


@escape()
def raise_the_limits(_: Target) -> str:
    """Exceed the limits of the box: raise a soft or hard limit."""
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_NPROC):
        soft, hard = resource.getrlimit(limit)
        for wanted in (hard, hard + 1):
            with suppress(OSError, ValueError):
                if soft == resource.RLIM_INFINITY or wanted > soft:
                    resource.setrlimit(limit, (wanted, wanted))
                    return f"limit {limit} was raised from {soft} to {wanted}"
    raise error(errno.EPERM, "setrlimit")


@escape(HARMFUL, "outside, all is allowed")
def call_the_kernel_as_another_architecture(_: Target) -> str:
    """Evade a filter by a call of the 32-bit or x32 numbers."""
    if os.uname().machine != "x86_64":
        raise error(errno.ENOSYS, "not of this machine")
    if libc.syscall(ctypes.c_long(0x4000_0000 + 272), ctypes.c_long(CLONE_NEWUSER)) < 0:
        raise error(ctypes.get_errno(), "x32")
    return "x32 unshare"
