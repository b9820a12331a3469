"""Tests that kill a real server with SIGKILL at random moments under load, and ask the oracle each time."""

import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from athena_core.domain import run
from tests.reliability.history import history_of, open_runs, rows_of
from tests.reliability.load import Clients, Readers
from tests.reliability.oracle import Record, check
from tests.reliability.seed import fresh_seed
from tests.scale import sized
from tests.support.api import soon
from tests.support.records import CODEC, judge
from tests.support.server import Server

CYCLES = sized(3, 12, 1_000)
CYCLES_OF_ONE_LOG = 20
LOAD_SECONDS_MAX = 0.5
START_SECONDS_MAX = 0.4
START_KILLS_SHARE = 0.2
REPEATS = 100

MODEL = "sleep 0.1; echo done"  # slow enough that a server is often killed while it waits


class Life:
    """A state directory, its clients and readers, and the servers that are killed on it."""

    def __init__(self, directory: Path, seed: int) -> None:
        directory.mkdir()
        (directory / "model.sh").write_text(MODEL)
        model = {"local_provider_cmd": "/bin/sh", "local_provider_args": str(directory / "model.sh")}
        self.server = Server(directory, **model)
        self.rng = random.Random(seed)
        self.record = Record()
        self.clients = Clients(self.record, seed, "local-exec")
        self.readers = Readers(seed)
        self.kills = 0
        self.events = 0
        self.start()

    def start(self) -> None:
        """Start a server; some are killed before or just as they are ready."""
        while self.rng.random() < START_KILLS_SHARE:
            killer = threading.Thread(target=self._kill_later, args=(self.rng.uniform(0, START_SECONDS_MAX),))
            killer.start()
            with suppress(AssertionError, httpx2.TransportError):
                self.server.start()
            killer.join()
            self.server.kill()
            self.kills += 1
        self.server.start()
        self.readers.at(self.server.url)

    def _kill_later(self, seconds: float) -> None:
        time.sleep(seconds)
        with suppress(AssertionError):  # it has ended
            os.kill(self.server.pid, signal.SIGKILL)

    def cycle(self) -> None:
        """Load, kill and start. Then check every acknowledgement."""
        burst = self.clients.burst(self.server.url)
        time.sleep(self.rng.uniform(0.02, LOAD_SECONDS_MAX))
        self.kill()
        burst.join()
        self.start()
        self.clients.settle(self.server.url, REPEATS, self.rng)
        for _ in soon():
            if not open_runs(self.server.state_dir):
                break
        judge(self.server.state_dir)
        history = history_of(self.server.state_dir)
        self.readers.caught_up(len(history))
        check(self.record, history, self.readers.readings())
        self.events = len(history)

    def kill(self) -> None:
        self.readers.at()
        self.server.kill()
        self.kills += 1

    def close(self) -> None:
        self.readers.at()
        self.server.kill()
        self.readers.close()

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.events} events, {self.record}; answers {self.clients.answers};"
            f" {self.readers.resumes} resumes of {len(self.readers.readings())} readings"
        )


@pytest.mark.heavy
@pytest.mark.timeout(4 * 3600)
def test_a_server_killed_at_any_moment_keeps_what_it_promised(tmp_path: Path) -> None:
    seed = fresh_seed("kill")
    taken_over = 0
    for first in range(0, CYCLES, CYCLES_OF_ONE_LOG):
        life = Life(tmp_path / f"life-{first}", seed + first)
        try:
            for _ in range(first, min(first + CYCLES_OF_ONE_LOG, CYCLES)):
                life.cycle()
        finally:
            life.close()
        print(life)
        taken_over += take_overs(life.server.state_dir)
    print(f"{taken_over} runs were taken over")
    assert taken_over or CYCLES < 10, "no server died during a run: the load does not reach what it is there for"


def take_overs(state_dir: Path) -> int:
    """Return how often a run continued at another executor."""
    events = [CODEC.decode(row).event for row in rows_of(state_dir / "log.db")[1]]
    return sum(isinstance(event, run.RunLeased) and event.taken_from is not None for event in events)
