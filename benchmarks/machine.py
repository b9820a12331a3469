"""The machine: its cores, its disk, its versions, and the CPU time of a process (Linux only)."""

import contextlib
import os
import platform
import sqlite3
import sysconfig
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import apsw

PACKAGES = ("apsw", "eventsourcing", "msgspec", "starlette", "uvicorn", "uvloop", "httptools")
SYNCS = 200
CPUCLOCK_SCHED = 2  # as clock_getcpuclockid(3) makes it of a pid: all threads, also those that ended
LOOPS, LOOP_TURNS = 5, 1_000_000
BLOCK = b"x" * 4_096
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """Return the core of the server and the core of the load; the same core if there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


def pin(*kept: int) -> None:
    """Pin this process, and its later threads and children, to some cores."""
    os.sched_setaffinity(0, kept)


def cpu_seconds(pid: int) -> float:
    """Return the user and kernel CPU time of a process, or of its group if it leads one."""
    if os.getpgid(pid) != pid:
        return time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)
    found = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            group, ticks = _ticks(path)
            found += ticks if group == pid else 0
    return found / TICKS


def _ticks(path: Path) -> tuple[int, int]:
    """Return the group of a process, and its CPU time."""
    fields = path.read_text("ascii", "replace").rpartition(") ")[2].split()
    return int(fields[2]), int(fields[11]) + int(fields[12])


def resident_kib(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE_BYTES / 1_024


def sync_ms(directory: Path) -> float:
    """Return the median time to append a 4 KiB block and ``fdatasync``, in milliseconds."""
    path = directory / "sync"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    found = []
    try:
        for _ in range(SYNCS):
            began = time.perf_counter()
            os.write(file, BLOCK)
            os.fdatasync(file)
            found.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(file)
        path.unlink()
    return median(found)


def load_average() -> float:
    """Return the load average of the last minute."""
    return round(os.getloadavg()[0], 2)


def described(directory: Path) -> dict[str, str]:
    """Return a description of the machine."""
    memory = PAGE_BYTES * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"{name} {version(name)}" for name in PACKAGES]
    return {
        "cpu": f"{len(os.sched_getaffinity(0))} x {_processor()}",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {_file_system(directory)}",
        "python": interpreter(),
        "sqlite": f"{apsw.sqlite_lib_version()} in apsw, {sqlite3.sqlite_version} in the standard library",
        "packages": ", ".join(versions),
    }


def interpreter() -> str:
    """Return the version of this interpreter, how it was built, and the time of a loop that does nothing else."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    optimized = "" if "--enable-optimizations" in options else "no "
    shared = "shared library" if sysconfig.get_config_var("Py_ENABLE_SHARED") else "static"
    found = []
    for _ in range(LOOPS):
        began, total = time.perf_counter(), 0
        for number in range(LOOP_TURNS):
            total += number
        found.append((time.perf_counter() - began) * 1000)
    build = f"{optimized}--enable-optimizations, {shared}, {platform.python_compiler()}"
    return f"{platform.python_version()} ({build}; {LOOP_TURNS:,} turns of a loop: {min(found):.3g} ms)"


def thread_seconds(pid: int) -> dict[int, float]:
    """Return the CPU time of each thread of a process, in order of their start."""
    found = {}
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            found[int(path.parent.name)] = int(path.read_text("ascii").split()[0]) / 1e9
    return dict(sorted(found.items()))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _file_system(directory: Path) -> str:
    place, best, kind = str(directory.resolve()), "", "unknown"
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():
        _, point, found, *_ = line.split(" ")
        if (place == point or place.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, found
    return kind
