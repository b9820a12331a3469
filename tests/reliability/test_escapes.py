"""Tests of the box: every escape of the corpus is denied, as root and as an ordinary user, and works outside."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import pytest

from athena_core.system.sandbox import WORKSPACE, probe
from tests.reliability.escapes.attack import ALWAYS, CORPUS, HARMFUL
from tests.reliability.escapes.attack import ROOT as BY_ROOT
from tests.reliability.escapes.bomb import BOMBS, DESCENDANTS, wait_with_descendants
from tests.reliability.escapes.corpus import FAMILIES
from tests.support.boxed import SharedPipe, paths, python_of
from tests.support.users import USERS

ROOT = Path(__file__).parents[2]
NEEDS = "athena_core.system.process"
CORPUS_MIN = 40
MEBIBYTE = 1 << 20
LIMITS = {
    **{"cpu_seconds": 1, "memory_bytes": 192 * MEBIBYTE, "processes": 48, "file_bytes": 32 * MEBIBYTE},
    **{"tmp_bytes": 32 * MEBIBYTE, "tmp_files": 1_000},
}
DISK_LIMITS = {"disk_bytes": 64 * MEBIBYTE, "disk_files": 1_000}
"""Limits far below the bounds of the bombs. What other programs write counts as growth of the disk, too."""

KILL_SECONDS = 1.0
TOLERANCE = 10
ANSWER_SECONDS_MAX = 10.0
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces"),
]


class Ending(NamedTuple):
    """The expected end of a bomb: the limit that ends it, or what it prints; the seconds after which it is stopped."""

    limit: str | None = None
    prints: str = ""
    seconds: float = 60.0


STOPPED = 1.5
PROCESSES, MEMORY, PROCESSOR = "processes and threads", "bytes of memory", "s of CPU time"
GROWTH, FILES, TMP_FILES = "grew by more", "new files on the disk", "files in /tmp"
ENDINGS = {
    "fork_bomb": Ending(PROCESSES),
    "fork_bomb_of_fork_bombs": Ending(PROCESSES),
    "thread_bomb": Ending(PROCESSES),
    "zombie_bomb": Ending(PROCESSES),
    "memory_bomb": Ending(MEMORY),
    "memory_bomb_of_many_processes": Ending(MEMORY),
    "memory_bomb_of_shared_pages": Ending(MEMORY),
    "memory_bomb_of_files_in_memory": Ending(prints="Function not implemented"),
    "memory_bomb_of_shared_segments": Ending(prints="[Errno 12] shmget"),
    "memory_bomb_of_sockets": Ending(prints="fills", seconds=STOPPED),  # see docs/why/threat-model.md
    "disk_bomb_in_tmp": Ending(prints="refused"),
    "disk_bomb_in_shm": Ending(prints="refused"),
    "disk_bomb_elsewhere": Ending(prints="refused"),
    "disk_bomb_in_the_workspace": Ending(GROWTH),
    "inode_bomb_in_tmp": Ending(TMP_FILES),
    "inode_bomb_in_the_workspace": Ending(FILES),
    "file_bomb_in_the_workspace": Ending(prints="File too large"),
    "sparse_file_bomb": Ending(prints="File too large"),
    "output_flood": Ending(prints="\1", seconds=STOPPED),
    "descriptor_bomb": Ending(prints="refused after"),
    "processor_bomb": Ending(PROCESSOR),
    "processor_bomb_of_short_processes": Ending(PROCESSOR),
    "stay_after_the_end": Ending(prints="left"),
    "stay_with_a_new_name": Ending(prints="left"),
    "stop_everything": Ending(prints="stopped", seconds=STOPPED),
    "kill_the_parents": Ending(prints="killed", seconds=STOPPED),
    "ignore_all_signals": Ending(seconds=STOPPED),
    "respawn": Ending(prints="runs", seconds=STOPPED),
}
"""Every bomb except ``wait_with_descendants``, which tests of a killed server use."""


class Victim:
    """A program that boxes commands, in a process of its own user."""

    def __init__(self, user: str | None) -> None:
        self.root = user is None and os.getuid() == 0
        self._place = Path(mkdtemp(prefix="athena-escapes-"))
        self._place.chmod(0o755)
        home = self._place / "victim"
        home.mkdir()
        if user is not None:
            shutil.chown(home, user)
        self.process = subprocess.Popen(
            (*python_of(user, NEEDS), str(ROOT / "tests/reliability/escapes/victim.py"), str(home)),
            cwd=home,
            env=paths(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.target = self._line()
        self.tree, self.pipes = Path(self.target["tree"]), Path(self.target["pipes"])

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the victim ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, argv: tuple[str, ...], *, boxed: bool, timeout: float, limits: dict[str, int] | None = None) -> None:
        """Send a command."""
        request = {"argv": argv, "boxed": boxed, "timeout": timeout, "limits": limits or {}}
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def run(self, argv: tuple[str, ...], **more: Any) -> dict[str, Any]:
        """Run a command. Return its end."""
        self.ask(argv, **more)
        return self._line()

    def attack(self, *names: str, boxed: bool) -> dict[str, dict[str, str]]:
        """Run attacks. Return their results by name."""
        target = json.dumps(self.target | {"boxed": boxed} | ({"workspace": str(WORKSPACE)} if boxed else {}))
        argv = (self.target["python"], "-m", "tests.reliability.escapes.corpus", target, *names)
        found = self.run(argv, boxed=boxed, timeout=60.0)
        lines = [json.loads(line) for line in found["output"].splitlines() if line.startswith('{"name"')]
        results = {line["name"]: line for line in lines}
        assert results, found
        return results

    def close(self) -> None:
        """End it, and delete its files."""
        self.process.kill()
        self.process.communicate()
        shutil.rmtree(self._place)


@pytest.fixture(scope="module", params=USERS)
def user(request: pytest.FixtureRequest) -> str | None:
    found: str | None = request.param
    return found


@pytest.fixture(scope="module")
def victim(user: str | None) -> Iterator[Victim]:
    assert probe().available, probe()
    with closing(Victim(user)) as found:
        yield found


def test_every_escape_is_denied_in_the_box(victim: Victim) -> None:
    names = CORPUS
    assert {row.run.__module__ for row in CORPUS.values()} == {family.__name__ for family in FAMILIES}
    results = victim.attack(*names, boxed=True)
    wrong = [row for row in results.values() if row["outcome"] != "denied"]
    print(f"{len(results) - len(wrong)} of {len(names)} escapes denied")
    assert not wrong, json.dumps(wrong, indent=1)
    assert results.keys() == names.keys()
    assert len(names) >= CORPUS_MIN
    assert Path(victim.target["state"], "log.db").read_text() == victim.target["canary"]


def test_the_same_escapes_work_outside_of_the_box(victim: Victim) -> None:
    names = CORPUS
    tried = {name for name, escape in names.items() if escape.works != HARMFUL}
    expected = {ALWAYS, BY_ROOT} if victim.root else {ALWAYS}
    must = {name for name in tried if names[name].works in expected}
    results = victim.attack(*sorted(tried), boxed=False)
    assert results.keys() == tried
    for name in sorted(tried - must):
        print(f"outside: {results[name]['outcome']} {name}: {results[name]['detail']} ({names[name].reason})")
    for name in sorted(names.keys() - tried):
        print(f"outside: not tried {name} ({names[name].reason})")
    powerless = [results[name] for name in must if results[name]["outcome"] != "escaped"]
    assert not powerless, json.dumps(powerless, indent=1)


def test_every_bomb_has_an_ending() -> None:
    assert ENDINGS.keys() == BOMBS.keys() - {wait_with_descendants.__name__}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_bomb_is_ended_and_hurts_nothing(name: str, victim: Victim) -> None:
    ending = ENDINGS[name]
    argv = (victim.target["python"], "-m", "tests.reliability.escapes.bomb", name, f"{victim.pipes}/{name}")
    limits = LIMITS | (DISK_LIMITS if ending.limit in {GROWTH, FILES} else {})
    with closing(SharedPipe(victim.pipes / name)) as pipe:
        found = victim.run(argv, boxed=True, timeout=ending.seconds, limits=limits)
        print(f"{name}: {found['seconds']:.2f} s, ended in {found['end_seconds']:.3f} s: {found['ending'][:80]}")
        assert pipe.bytes_until(None, 0.0) == 0, "a process was left"
    for file in victim.tree.glob("fill-*"):
        file.unlink()
    assert ending.limit is None or ending.limit in (found["problem"] or ""), found
    assert ending.prints in found["output"], found
    assert "escaped" not in found["output"], found
    assert found["end_seconds"] < TOLERANCE * KILL_SECONDS
    again = victim.run(("/bin/echo", "well"), boxed=True, timeout=ANSWER_SECONDS_MAX)
    assert (again["output"], again["status"]) == ("well\n", 0), again


def test_nothing_is_left_of_a_program_that_is_killed(user: str | None) -> None:
    with closing(Victim(user)) as victim, closing(SharedPipe(victim.pipes / "witness")) as pipe:
        argv = (
            victim.target["python"],
            "-m",
            "tests.reliability.escapes.bomb",
            "wait_with_descendants",
            str(pipe.path),
        )
        victim.ask(argv, boxed=True, timeout=100.0)
        assert pipe.bytes_until(DESCENDANTS + 1, 30.0) == DESCENDANTS + 1
        victim.process.send_signal(signal.SIGKILL)
        began = time.monotonic()
        assert pipe.bytes_until(None, TOLERANCE * KILL_SECONDS) == 0
        print(f"all {DESCENDANTS + 1} processes of the box ended {time.monotonic() - began:.3f} s after the kill")
