"""Attacks on files: the state, closed files, other workspaces, the system, and what a server would run later."""

import ctypes
import errno
import os
import signal
import stat
from contextlib import suppress
from pathlib import Path

from tests.reliability.escapes.attack import (
    DIFFERS,
    HARMFUL,
    ROOT,
    Target,
    attack,
    call,
    error,
    escape,
    found,
    libc,
    permitted,
)

AT_FDCWD = -100
FILES_READ_MAX = 500


def _read(target: Target, path: str | Path) -> str:
    return found(target, Path(path).read_bytes(), str(path))


def _write(path: str | Path) -> str:
    """Create a file, then delete it."""
    with open(path, "x") as file:
        file.write("escaped")
    os.unlink(path)
    return f"{path} was created"


def _openable(path: str | Path) -> str:
    """Open an existing file for writing, without writing."""
    os.close(os.open(path, os.O_WRONLY))
    return f"{path} is writable"


attack("read_the_log")(lambda target: _read(target, f"{target['state']}/log.db"))
attack("read_the_state_in_the_workspace")(lambda target: _read(target, f"{target['workspace']}/.athena/log.db"))
attack("read_a_closed_file")(lambda target: _read(target, f"{target['workspace']}/.env"))
attack("read_a_closed_directory")(lambda target: _read(target, f"{target['workspace']}/sub/.ssh/id"))
attack("read_a_key_in_the_home_directory")(lambda target: _read(target, f"{target['home']}/.ssh/id"))
attack("read_another_workspace")(lambda target: _read(target, f"{target['other']}/notes.txt"))


@escape()
def list_the_directory_of_workspaces(target: Target) -> str:
    names = os.listdir(Path(target["workspace"]).parent)
    if Path(target["other"]).name not in names:
        raise error(errno.ENOENT, f"only {names}")
    return f"it shows {names}"


attack("follow_a_link_to_the_log")(lambda target: _read(target, f"{target['workspace']}/link-to-log"))
attack("follow_a_link_to_a_directory")(lambda target: _read(target, f"{target['workspace']}/link-to-state/log.db"))


@escape()
def make_a_link_to_the_log_and_follow_it(target: Target) -> str:
    link = f"{target['workspace']}/made-link-{os.getpid()}"
    os.symlink(f"{target['state']}/log.db", link)
    try:
        return _read(target, link)
    finally:
        os.unlink(link)


attack("go_up_from_the_workspace")(
    lambda target: _read(target, f"{target['workspace']}/../{Path(target['other']).name}/notes.txt")
)


@escape()
def go_up_from_an_open_directory(target: Target) -> str:
    directory = os.open(target["workspace"], os.O_RDONLY)
    up = os.open("..", os.O_RDONLY, dir_fd=directory)
    with open(os.open(f"{Path(target['other']).name}/notes.txt", os.O_RDONLY, dir_fd=up)) as file:
        return found(target, file.read(), "the parent of the workspace")


@escape()
def link_a_closed_file(target: Target) -> str:
    made = f"{target['workspace']}/copy-of-env-{os.getpid()}"
    os.link(f"{target['workspace']}/.env", made)
    try:
        return _read(target, made)
    finally:
        os.unlink(made)


@escape()
def rename_a_closed_file(target: Target) -> str:
    closed, moved = f"{target['workspace']}/.env", f"{target['workspace']}/moved-{os.getpid()}"
    os.rename(closed, moved)
    try:
        return _read(target, moved)
    finally:
        os.rename(moved, closed)


@escape()
def rename_the_parent_of_a_closed_directory(target: Target) -> str:
    parent, moved = f"{target['workspace']}/sub", f"{target['workspace']}/moved-sub-{os.getpid()}"
    os.rename(parent, moved)
    try:
        return _read(target, f"{moved}/.ssh/id")
    finally:
        os.rename(moved, parent)


@escape(HARMFUL, "outside, it would delete the file for the other attacks")
def replace_a_closed_file(target: Target) -> str:
    os.unlink(f"{target['workspace']}/.env")
    return "it was deleted"


@escape()
def uncover_a_closed_file_through_the_init_process(target: Target) -> str:
    for path in (f"/proc/1/root{target['state']}/log.db", f"/proc/1/cwd{target['state']}/log.db"):
        with suppress(OSError):
            return _read(target, path)
    return _read(target, f"/proc/self/root{target['state']}/log.db")


@escape()
def read_by_the_handle_of_a_descriptor(target: Target) -> str:
    """Look for a descriptor in any visible process that leads out of the box."""
    for process in [name for name in os.listdir("/proc") if name.isdecimal()]:
        with suppress(OSError):
            for descriptor in os.listdir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    return _read(target, f"/proc/{process}/fd/{descriptor}{target['state']}/log.db")
    return _read(target, f"/proc/self/cwd/../{Path(target['other']).name}/notes.txt")


attack("write_beside_the_workspace")(lambda target: _write(f"{target['other']}/escaped-{os.getpid()}"))
attack("write_into_the_state")(lambda target: _write(f"{target['state']}/escaped-{os.getpid()}"))
attack("write_into_the_system", ROOT, "only root may write there")(lambda _: _write(f"/usr/escaped-{os.getpid()}"))
attack("write_into_etc", ROOT, "only root may write there")(lambda _: _write(f"/etc/escaped-{os.getpid()}"))
attack("write_into_run", ROOT, "only root may write there")(lambda _: _write(f"/run/escaped-{os.getpid()}"))
attack("write_into_the_root", ROOT, "only root may write there")(lambda _: _write(f"/escaped-{os.getpid()}"))


@escape()
def write_into_the_tmp_of_the_machine(target: Target) -> str:
    """Write below a directory of the machine's /tmp."""
    return _write(f"{target['tmp']}/escaped-{os.getpid()}")


attack("read_the_shadow_passwords", ROOT, "only root may read it")(
    lambda _: f"{len(Path('/etc/shadow').read_bytes())} bytes"
)


@escape()
def read_the_users_of_the_machine(target: Target) -> str:
    names = [line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()]
    if "daemon" not in names:
        raise error(errno.ENOENT, f"only {names}")
    return "the passwd file of the machine"


@escape(HARMFUL, "outside, it would open programs of the machine for writing")
def write_the_program_behind_proc_exe(_: Target) -> str:
    problems = []
    for process in [name for name in os.listdir("/proc") if name.isdecimal()]:
        try:
            return _openable(f"/proc/{process}/exe")
        except OSError as failure:
            problems.append(failure)
    raise problems[0]


@escape(ROOT, "only root may make devices")
def make_a_device(target: Target) -> str:
    for directory in (target["workspace"], "/tmp"):
        path = f"{directory}/device-{os.getpid()}"
        with suppress(PermissionError):
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
            os.unlink(path)
            return f"{path} was made"
    raise error(errno.EPERM, "mknod")


@escape(ROOT, "only root may open them")
def open_a_device_of_the_machine(_: Target) -> str:
    names = ["mem", "kmsg", "vda", "sda", "nvme0n1", "dm-0", "loop-control", "fuse", "kvm", "net/tun", "vsock"]
    names += ("vhost-vsock", "userfaultfd", "mapper/control", "port", "hwrng", "input/event0", "snapshot", "console")
    opened = []
    for name in names:
        with suppress(OSError):
            os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK))
            opened.append(name)
    if not opened:
        raise error(errno.ENOENT, "devices")
    return f"opened: {opened}"


@escape(ROOT, "only root may change them")
def write_a_setting_of_the_kernel(_: Target) -> str:
    """Open core_pattern and others for writing: they make the kernel run programs outside of the box."""
    names = ("core_pattern", "modprobe", "hotplug", "poweroff_cmd", "hostname", "sysrq", "panic")
    places = [f"/proc/sys/kernel/{name}" for name in names] + ["/proc/sys/fs/binfmt_misc/register"]
    for place in places:
        with suppress(OSError):
            return _openable(place)
    return _openable("/proc/sys/vm/drop_caches")


attack("ask_for_a_system_request", DIFFERS, "a kernel may have no such file")(
    lambda _: _openable("/proc/sysrq-trigger")
)


@escape(ROOT, "only root may write there")
def write_any_other_file_of_proc(_: Target) -> str:
    """Look for a file of /proc, outside of the directories of processes, that opens for writing."""
    for directory, below, files in os.walk("/proc"):
        if directory == "/proc":
            below[:] = [name for name in below if not name.isdecimal() and "self" not in name]
        for name in files:
            with suppress(OSError):
                return _openable(f"{directory}/{name}")
    raise error(errno.EACCES, "/proc")


@escape(ROOT, "only root may write there")
def change_a_control_group(_: Target) -> str:
    for directory, _below, files in os.walk("/sys/fs/cgroup"):
        for name in files:
            if name in {"release_agent", "cgroup.procs", "tasks", "notify_on_release"}:
                with suppress(OSError):
                    return _openable(f"{directory}/{name}")
    for name in ("/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/ksm/run"):
        with suppress(OSError):
            return _openable(name)
    raise error(errno.ENOENT, "/sys")


@escape(ROOT, "only root may read without a path")
def open_a_file_by_handle(target: Target) -> str:
    """Open the log by a handle, which needs no path. Where the log has no handle here, use one of the workspace."""
    handle = (ctypes.c_ubyte * 136)()
    ctypes.c_uint.from_buffer(handle).value = 128
    mount_id = ctypes.c_int()
    path = f"{target['state']}/log.db"
    if not os.path.exists(path):
        path = target["workspace"]
    with suppress(OSError):
        call("name_to_handle_at", AT_FDCWD, path.encode(), handle, ctypes.byref(mount_id), 0)
    mount = os.open(target["workspace"], os.O_RDONLY)
    opened = call("open_by_handle_at", mount, handle, os.O_RDONLY)
    os.close(opened)
    return f"{path} was opened by handle"


@escape(HARMFUL, "outside, it would leave a program that runs as its owner")
def make_a_setuid_program(target: Target) -> str:
    """Leave a program in the workspace that runs as its owner, outside of the box too."""
    path = f"{target['workspace']}/suid-{os.getpid()}"
    Path(path).touch(mode=0o755)
    try:
        for mode in (0o4755, 0o2755):
            with suppress(OSError):
                os.chmod(path, mode)
            if os.stat(path).st_mode & 0o6000:
                return f"mode {oct(os.stat(path).st_mode)}"
        made = f"{path}-made"
        with suppress(OSError):
            os.close(os.open(made, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o4755))
            if os.stat(made).st_mode & 0o6000:
                os.unlink(made)
                return "by open"
        raise error(errno.EPERM, "chmod")
    finally:
        os.unlink(path)


@escape(ROOT, "only root may give files away")
def give_a_file_to_another_user(target: Target) -> str:
    path = f"{target['workspace']}/given-{os.getpid()}"
    Path(path).touch()
    try:
        for user in (0, 1, 12_345):
            with suppress(OSError):
                os.chown(path, user, user)
                return f"given to {user}"
        raise error(errno.EPERM, "chown")
    finally:
        os.unlink(path)


@escape(ROOT, "only root may grant capabilities")
def grant_capabilities_to_a_file(target: Target) -> str:
    path = f"{target['workspace']}/capable-{os.getpid()}"
    Path(path).touch()
    try:
        os.setxattr(path, "security.capability", bytes.fromhex("0100000200000080000000000000000000000000"))
        return "CAP_SETUID and more"
    finally:
        os.unlink(path)


@escape(DIFFERS, "the machine may have no setuid program")
def run_a_setuid_program(_: Target) -> str:
    """Run programs of root that are setuid: they must not gain anything."""
    if Path("/proc/self/status").read_text().partition("NoNewPrivs:\t")[2][:1] == "1":
        raise error(errno.EPERM, "no new privileges")
    return "setuid programs change the user"


@escape()
def plant_a_hook(target: Target) -> str:
    """Plant a hook in the repository of the workspace, which a later git outside of the box could run."""
    return _write(f"{target['workspace']}/.git/hooks/post-checkout-{os.getpid()}")


attack("change_the_settings_of_the_repository")(lambda target: _openable(f"{target['workspace']}/.git/config"))


@escape()
def move_the_repository_away(target: Target) -> str:
    place, moved = f"{target['workspace']}/.git", f"{target['workspace']}/moved-git-{os.getpid()}"
    os.rename(place, moved)
    os.rename(moved, place)
    return "another repository could be put in its place"


@escape()
def watch_the_state(target: Target) -> str:
    """Watch the files of the server by inotify."""
    descriptor = libc.inotify_init1(0)
    if descriptor < 0 or libc.inotify_add_watch(descriptor, f"{target['state']}/log.db".encode(), 0xFFF) < 0:
        raise error(ctypes.get_errno(), "inotify")
    return "the state is watched"


attack("watch_the_mounts", ROOT, "only root may watch mounts")(lambda _: permitted("fanotify_init", 0x4, 0))


@escape(HARMFUL, "outside, it would read the files of other programs")
def search_the_places_of_secrets(target: Target) -> str:
    """Look for the canary in every file that the box shows, below places that often hold secrets."""
    for place in ("/home", "/root", "/var/lib", "/var/log", "/srv", "/opt", "/mnt", "/media", "/run", target["tmp"]):
        read = 0
        for directory, _below, files in os.walk(place):
            for name in files:
                read += 1
                with suppress(OSError, ValueError):
                    if target["canary"].encode() in Path(directory, name).read_bytes()[:10_000]:
                        return f"{directory}/{name}"
            if read > FILES_READ_MAX:  # the box shows the Python of the server, which may be there
                break
        if os.path.isdir(place) and place == target["tmp"]:
            return place
    raise error(errno.ENOENT, "secrets")


@escape(DIFFERS, "the limit of core files may be 0 outside, too")
def leave_a_core_file(_: Target) -> str:
    """Crash, so that the kernel writes a core file or runs a program for it."""
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGSEGV)
    if os.WCOREDUMP(os.waitpid(child, 0)[1]):
        return "a core was dumped"
    raise error(errno.EPERM, "no core")
