"""A machine of its own for units: the real systemd as the first process of namespaces.

An overlay in memory lies over the files of this machine, so that commands of an administrator change nothing
here. It shares the network and the kernel with this machine. Only root can start it.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.support import programs
from tests.support.tree import ROOT

SYSTEMD = Path("/usr/lib/systemd/systemd")
PROGRAMS = ("unshare", "nsenter", "systemctl", "systemd-analyze")
SECONDS = 60
PAUSE_SECONDS = 0.02
PREFIX = Path("/opt/athena")
"""The environment of Python that holds Athena, as the pages install it."""
PYTHON = Path("/opt/python")
SOURCE = Path("/opt/source")
"""The source of Athena, which the environment imports. It is mounted read-only: commands there may delete anything."""
OUT = Path("/out")
"""A directory that this machine shares."""
PASSED = re.compile(r"(PIP|SSL|HTTP|HTTPS|NO)_|.*_(proxy|PROXY)$")
"""The variables by which programs reach the registries of packages."""
SOCKET = Path("/run/postgresql/.s.PGSQL.5432")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

BOOT = """
echo $$ > "$1/cgroup.procs"
shift
exec unshare --mount --pid --cgroup --uts --ipc --fork --kill-child --propagation private sh -euc "$@"
"""
INIT = f"""
place=$1; root=$place/root; shift
mount -t tmpfs -o mode=755 none "$place/layer"
mkdir "$place/layer/upper" "$place/layer/work"
mount -t overlay -o "lowerdir=/,upperdir=$place/layer/upper,workdir=$place/layer/work" overlay "$root"
mkdir -p "$root{OUT}" "$root{PYTHON}" "$root{SOURCE}" "$root/run" "$root/old"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 none "$root/dev"
for name in {" ".join(DEVICES)}; do touch "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for name in dev/shm tmp; do mount -t tmpfs -o mode=1777 none "$root/$name"; done
mount -t tmpfs -o mode=755 none "$root/run"
mkdir -p "$root/run/systemd/system"
printf '[Unit]\\nDefaultDependencies=no\\n' > "$root/run/systemd/system/booted.target"
mount --bind "$place/out" "$root{OUT}"
mount --bind "$BASE" "$root{PYTHON}"
mount --bind "$TREE" "$root{SOURCE}"
for name in {PYTHON} {SOURCE}; do mount -o remount,bind,ro "$root$name"; done
while [ "$#" -gt 0 ]; do
    mkdir -p "$(dirname "$root$2")"
    touch "$root$2"
    mount --bind "$1" "$root$2"
    shift 2
done
mount --bind "$root/proc/sys/fs" "$root/proc/sys/fs"
mount -o remount,bind,ro "$root/proc/sys/fs"
cd "$root"
pivot_root . old
umount -l /old
rmdir /old
exec env -i PATH={PATH} container=athena LANG=C.UTF-8 {SYSTEMD} --system --unit=booted.target --show-status=no \
    --log-target=console --log-level=notice < /dev/null
"""


@cache
def lack() -> str | None:
    """Return the lack that prevents a machine of its own, None if nothing is missing."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return programs.lack(*missing)
    if not SYSTEMD.exists():
        return programs.lack("systemd")
    if os.getuid() != 0:
        return "only root starts systemd"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--cgroup", "--fork", "true"], capture_output=True, check=False
    )
    if tried.returncode != 0:
        return f"no namespaces: {tried.stderr.decode(errors='replace').strip()}"
    try:
        return None if os.access(_cgroups(), os.W_OK) else "the control groups are read-only"
    except LookupError as error:
        return str(error)


def _cgroups() -> Path:
    """Return the root of the version 2 hierarchy of control groups."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise LookupError("no hierarchy of control groups, version 2, is mounted")


class Booted:
    """The machine, as a context. ``out`` is the directory that both see, as ``OUT`` there."""

    def __init__(self, directory: Path, files: Mapping[Path, Path] | None = None) -> None:
        """``files``: files of this machine, and their places there."""
        self.directory = directory
        own = Path(sys.base_prefix).is_relative_to("/usr")
        python = Path(os.path.realpath(sys.executable))
        self._home = python.parent if own else PYTHON / python.parent.relative_to(os.path.realpath(sys.base_prefix))
        self.python = self._home / python.name
        """The Python of these tests, which each user there may execute."""
        self._files = dict(files or {})
        self.out = directory / "out"
        self._group = _cgroups() / f"athena-test-{os.getpid()}-{directory.name}"
        self._pid = 0

    def __enter__(self) -> Self:
        for name in ("layer", "root", "out"):
            (self.directory / name).mkdir()
        self._group.mkdir()
        self._log = (self.directory / "console").open("wb")
        base = Path(sys.base_prefix) if not Path(sys.base_prefix).is_relative_to("/usr") else self.directory / "root"
        shown = [path for pair in self._files.items() for path in pair]
        self._process = subprocess.Popen(
            ["sh", "-euc", BOOT, "boot", self._group, INIT, "boot", self.directory, *shown],
            env={"PATH": os.environ["PATH"], "BASE": str(base), "TREE": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._wait()
            self.run("umount /proc/sys/fs")  # systemd would have raised limits of the kernel
            self.run(f"echo {PYTHON}/lib > /etc/ld.so.conf.d/athena-test.conf\nldconfig")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _wait(self) -> None:
        until = time.monotonic() + SECONDS
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        while time.monotonic() < until:
            assert self._process.poll() is None, self.console()
            self._pid = int(children.read_text().split()[0]) if children.read_text() else 0
            if self._pid and "athena" not in str(Path(f"/proc/{self._pid}/exe").readlink()):
                asked = subprocess.run(
                    self._words("systemctl", "is-system-running"), capture_output=True, text=True, check=False
                )
                if asked.stdout.strip() in {"running", "degraded"}:
                    return
            time.sleep(PAUSE_SECONDS)
        raise TimeoutError(self.console())

    def console(self) -> str:
        """Return what systemd and the units without another output printed."""
        return (self.directory / "console").read_text("utf-8", "replace")

    def _words(self, *words: str) -> tuple[str, ...]:
        enter = ("nsenter", f"--target={self._pid}", "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--wdns=/")
        passed = (f"{name}={text}" for name, text in os.environ.items() if PASSED.match(name))
        return (*enter, "env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", *passed, *words)

    def run(self, script: str, code: int | None = 0, seconds: float = SECONDS, directory: Path = SOURCE) -> str:
        """Run a script there as root until its first error. Return its output, errors included."""
        done = subprocess.run(
            self._words("sh", "-euc", f"cd {directory}\n{script}"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert code is None or done.returncode == code, f"{script}\n{done.stdout}\n{self.console()[-5000:]}"
        return done.stdout

    def path(self, place: str | Path) -> Path:
        """Return where this machine sees a path of that one."""
        return Path(f"/proc/{self._pid}/root{place}")

    def install(self) -> None:
        """Install the environment of these tests in /opt/athena, where each user may execute it."""
        packages = sysconfig.get_path("purelib")
        place = PREFIX / Path(packages).relative_to(sys.prefix)
        started = f'#!/bin/sh\nexec {PREFIX}/bin/python -m athena_cli "$@"\n'
        self.run(
            f"""
            mkdir -p {PREFIX}/bin {place}
            ln -s {self.python} {PREFIX}/bin/python
            printf 'home = {self._home}\n' > {PREFIX}/pyvenv.cfg
            cp -r {packages}/. {place}
            echo {SOURCE} > {place}/athena_test.pth
            cat > {PREFIX}/bin/athena <<'END'\n{started}END
            chmod -R go+rX {PREFIX}
            chmod 755 {PREFIX}/bin/athena
            """
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
        until = time.monotonic() + SECONDS
        for place in sorted(self._group.glob("**/"), reverse=True):
            while place.exists() and time.monotonic() < until:
                try:
                    place.rmdir()
                except OSError:
                    time.sleep(PAUSE_SECONDS)


def with_database(directory: Path, url: str) -> Booted:
    """Return a machine that reaches a PostgreSQL server of this one, also if it listens on a Unix socket only."""
    place = _place(url)
    return Booted(directory, {Path(place) / SOCKET.name: SOCKET} if place else {})


def url_there(url: str) -> str:
    """Return the URL of a database for programs of the machine."""
    place = _place(url)
    return url.replace(place, str(SOCKET.parent)) if place else url


def _place(url: str) -> str:
    """Return the directory of the server's Unix socket, empty if there is none."""
    host = parse_qs(urlsplit(url).query).get("host", [""])[0]
    return host if host.startswith("/") else ""
