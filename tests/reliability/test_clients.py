"""Clients over restarts: every event once and in order, and no run started twice, under load."""

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.console.browser import MISSING
from tests.reliability.history import judge_log, open_runs
from tests.reliability.oracle import Entry
from tests.reliability.program import MARK
from tests.reliability.seed import fresh_seed
from tests.scale import sized
from tests.support.api import soon
from tests.support.programs import lack
from tests.support.server import Server

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "followers"
TYPESCRIPT = ROOT / "clients" / "typescript"
CYCLES = sized(2, 6, 50)
EVENTS_A_CYCLE = (20, 300)
SLOW_SECONDS = 300.0
"""Far above anything measured, also on a busy machine."""

EVENTSOURCE = "eventsource@4.1.1"
PORTS = range(20_000, 30_000)
"""Below the ports from which clients connect: one that tries a port without a server could connect to itself."""


class Program(NamedTuple):
    """A program with its arguments after the URL, and the installed parts that it needs but lacks."""

    name: str
    command: Sequence[str]
    more: Sequence[str] = ()
    missing: Sequence[str] = ()


class Running:
    """A running program, whose lines are kept in a file."""

    def __init__(self, program: Program, url: str, folder: Path, *more: str) -> None:
        self.name = program.name
        self._lines = folder / f"{program.name}.out"
        self._errors = folder / f"{program.name}.err"
        command = [*program.command, url, *more, *program.more]
        with self._lines.open("wb") as out, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(command, stdout=out, stderr=errors, cwd=ROOT, start_new_session=True)

    def lines(self) -> list[str]:
        """Return its complete lines. Fail if it has ended."""
        assert self._process.poll() is None, f"{self.name} ended:\n{self._errors.read_text()[-3000:]}"
        return self.kept()

    def kept(self) -> list[str]:
        """Return its complete lines, also after its end."""
        whole, _, _ = self._lines.read_text().rpartition("\n")
        return whole.split("\n") if whole else []

    def kill(self) -> None:
        """Kill it, and what it has started."""
        with suppress(ProcessLookupError):  # it has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class World:
    """A server that is ended and started again, the followers of its events, and the starters of its load."""

    def __init__(self, folder: Path, followers: Sequence[Program], starters: Sequence[Program]) -> None:
        self.rng = random.Random(fresh_seed("clients"))
        self.server = Server(folder / "plane")
        self._port = free_port(self.rng)
        self.server.start(self._port)
        self.followers = [Running(program, self.server.url, folder) for program in followers]
        self.starters = [Running(program, self.server.url, folder, MARK, program.name) for program in starters]

    def cycle(self, number: int) -> None:
        """Let all followers catch up under load, then end the server: by SIGTERM and by SIGKILL in turn."""
        self._await(self.server.api.head())  # each has connected to this server
        started = [len(starter.lines()) for starter in self.starters]
        for _ in soon(SLOW_SECONDS):
            if all(len(starter.lines()) > count for starter, count in zip(self.starters, started, strict=True)):
                break
        self._await(self.server.api.head() + self.rng.randrange(*EVENTS_A_CYCLE), any_follower=True)
        if number % 2:
            assert self.server.stop() == 0
        else:
            self.server.kill()
        self.server.start(self._port)

    def settle(self) -> list[Entry]:
        """End the load, let all followers catch up, and return the history."""
        for starter in self.starters:
            starter.lines()
            starter.kill()
        for _ in soon():
            if not open_runs(self.server.state_dir):
                break
        assert self.server.stop() == 0  # a last request may have arrived meanwhile
        history = judge_log(self.server.state_dir)
        self.server.start(self._port)
        self._await(len(history))
        return history

    def _await(self, count: int, *, any_follower: bool = False) -> None:
        wanted = any if any_follower else all
        for _ in soon(SLOW_SECONDS):
            if wanted(len(follower.lines()) >= count for follower in self.followers):
                return

    def close(self) -> None:
        for program in (*self.followers, *self.starters):
            program.kill()
        self.server.kill()


def free_port(rng: random.Random) -> int:
    """Return a port on which nothing listens."""
    for port in rng.sample(PORTS, 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no port is free")


def proved(folder: Path, followers: Sequence[Program], starters: Sequence[Program]) -> str:
    """Run the cycles. Return what was counted, with the names of the programs that are not installed."""
    present = [program for program in followers if not program.missing]
    absent = {program.name: ", ".join(program.missing) for program in followers if program.missing}
    world = World(folder, present, starters)
    try:
        for number in range(CYCLES):
            world.cycle(number)
        history = world.settle()
        ids = [entry.id for entry in history]
        for follower in world.followers:
            lines = follower.lines()
            assert lines[: len(ids)] == ids, follower.name
            assert len(set(lines)) == len(lines), follower.name
        runs: dict[str, list[str]] = {}
        for entry in history:
            if entry.mark is not None:
                runs.setdefault(entry.mark, []).append(entry.subject)
        assert all(len(subjects) == 1 for subjects in runs.values()), "a run was started twice"
    finally:
        world.close()
    answered = dict(line.split(" ") for starter in world.starters for line in starter.kept())
    assert {mark: subjects[0] for mark, subjects in runs.items() if mark in answered} == answered
    world.server.check()
    names = ", ".join(program.name for program in present)
    return (
        f"{CYCLES} restarts, {len(ids)} events, {len(runs)} runs, {len(answered)} of them answered; each event once and"
        f" in order at {len(present)} of {len(followers)} clients: {names}; not installed: {absent or 'none'}"
    )


def installed(*modules: str) -> list[str]:
    """Return the modules that are missing."""
    return [module for module in modules if importlib.util.find_spec(module) is None]


def python(name: str, *modules: str, missing: Sequence[str] = ()) -> Program:
    return Program(
        name, (sys.executable, "-m", f"{__package__}.followers.{name}"), (), [*installed(*modules), *missing]
    )


def node(name: str, *more: str, missing: Sequence[str] = ()) -> Program:
    return Program(name, ("node", str(PROGRAMS / f"{name}.mjs")), more, missing)


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The folder of the built TypeScript client."""
    if shutil.which("npm") is None:
        pytest.skip(lack("npm"))
    folder = tmp_path_factory.mktemp("typescript")
    for command in (["npm", "ci", "--silent"], ["npx", "tsc", "-p", "tsconfig.build.json", "--outDir", str(folder)]):
        subprocess.run(command, cwd=TYPESCRIPT, check=True)
    yield str(folder)


@pytest.fixture(scope="module")
def eventsource(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The follower with npm's ``eventsource``."""
    folder = tmp_path_factory.mktemp("eventsource")
    (folder / "package.json").write_text("{}")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", EVENTSOURCE]
    done = subprocess.run(command, cwd=folder, check=False, timeout=120) if shutil.which("npm") else None
    return node("eventsource", str(folder), missing=[EVENTSOURCE] if done is None or done.returncode else [])


def starters() -> list[Program]:
    return [python("starter_blocking"), python("starter_async")]


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_our_clients_see_every_event_once_and_start_no_run_twice(tmp_path: Path, typescript: str) -> None:
    followers = [python("athena_blocking"), python("athena_async"), node("athena", typescript)]
    print(proved(tmp_path, followers, [*starters(), node("starter", typescript)]))


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_clients_of_other_people_see_every_event_once(tmp_path: Path, eventsource: Program) -> None:
    nodes = [] if shutil.which("node") else ["node"]
    curl = [] if shutil.which("curl") else ["curl"]
    followers = [
        eventsource,
        node("fetch", missing=nodes),
        python("chromium", missing=MISSING),
        python("httpx_sse_reader", "httpx_sse", "httpx"),
        python("sseclient_reader", "sseclient"),
        Program("curl", ("bash", str(PROGRAMS / "curl.sh")), (), curl),
    ]
    found = proved(tmp_path, followers, starters())
    print(found)
    missing = [f"{one.name} ({', '.join(one.missing)})" for one in followers if one.missing]
    if missing:
        pytest.skip(f"{len(missing)} of {len(followers)} clients are not installed: {'; '.join(missing)}. {found}")
