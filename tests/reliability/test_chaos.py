"""Tests that break everything around servers and workers on one PostgreSQL, and ask the oracle about the rest."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from athena_core.domain import run
from athena_core.log import chain
from athena_core.log.engine import open_archive
from athena_core.protocols import Row
from tests.reliability.commands import command
from tests.reliability.history import entries
from tests.reliability.load import CLIENTS, Clients, Readers
from tests.reliability.oracle import Record, check
from tests.reliability.seed import fresh_seed
from tests.scale import SCALE, sized
from tests.support.api import soon
from tests.support.postgres import Cluster, own_cluster
from tests.support.proxy import Proxy
from tests.support.records import CODEC, all_rows, judge
from tests.support.server import Server
from tests.support.worker import Worker

SECONDS = sized(4.0, 10.0, 600.0)
PAUSES = sized((0.2, 1.0), (0.2, 3.0), (0.2, 15.0))
"""How long a process is stopped: up to longer than a leader may be."""

RESTS = (0.2, 1.0)
SWALLOWED_SHARE = 0.005
REPEATS = 200
MODEL = "sleep 0.1; echo done"
FOREIGN = "somebody else"
END_SESSIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = %s AND application_name <> %s AND random() < %s
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Cluster]:
    """Yield a database server that the test may stop."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(own_cluster())
        except LookupError as error:
            pytest.skip(str(error))
        yield found


class World:
    """Two servers, two workers, one database behind a proxy, and an unrelated transaction that never ends."""

    def __init__(self, directory: Path, cluster: Cluster, database: str, proxy: Proxy, seed: int) -> None:
        (directory / "model.sh").write_text(MODEL)
        assert cluster.postmaster is not None
        self.faults: Counter[str] = Counter()
        self.rng = random.Random(seed)
        self._postmaster = cluster.postmaster
        self._proxy = proxy
        self._database = database
        self._maintenance = cluster.url
        self.url = cluster.of(database)
        settings = {
            "database_url": f"postgresql://athena@127.0.0.1:{proxy.port}/{database}",
            "local_provider_cmd": "/bin/sh",
            "local_provider_args": str(directory / "model.sh"),
        }
        self.servers: list[Server] = [
            Server(directory / "inline", executor_max_runs="20", **settings),
            Server(directory / "off", executor="off", **settings),
        ]
        self.workers = [Worker(directory / f"worker-{number}", "--concurrency", "10", **settings) for number in (1, 2)]
        self.processes: list[Server | Worker] = [*self.servers, *self.workers]
        self.urls: list[str] = []
        self._foreign: psycopg.Connection[Any] | None = None
        self.readers = Readers(seed, pages=4, streams=4, patient=True)

    def start(self) -> None:
        for server in self.servers:
            self._start(server)
        for worker in self.workers:
            self._start(worker)
        self.hold()

    def _start(self, process: Server | Worker) -> None:
        """Start a process; it may lose its database before it is ready."""
        for _ in soon():
            with suppress(AssertionError):
                process.start()
                break
            self.faults["starts that failed"] += 1
        self.urls = [server.url for server in self.servers if server.url]
        self.readers.at(*self.urls)

    def hold(self) -> None:
        """Begin an unrelated transaction that writes something and stays open."""
        if self._foreign is not None:
            self._foreign.close()
        self._foreign = psycopg.connect(self.url, application_name=FOREIGN)
        self._foreign.execute("CREATE TABLE IF NOT EXISTS theirs (id bigint)")
        self._foreign.execute("INSERT INTO theirs VALUES (1)")

    # Disturbances

    def kill_server(self) -> None:
        server = self.rng.choice(self.servers)
        server.kill()
        self._start(server)

    def kill_worker(self) -> None:
        worker = self.rng.choice(self.workers)
        worker.kill()
        self._start(worker)

    def pause(self) -> None:
        """Stop a server or a worker with SIGSTOP, whatever it holds."""
        process = self.rng.choice(self.processes)
        process.signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(*PAUSES))
        process.signal(signal.SIGCONT)

    def end_sessions(self) -> None:
        share = self.rng.choice((0.2, 0.5, 1.0))
        with psycopg.connect(self._maintenance, autocommit=True) as session:
            session.execute(END_SESSIONS, (self._database, FOREIGN, share))

    def restart(self) -> None:
        self._postmaster.stop(self.rng.choice((signal.SIGINT, signal.SIGQUIT)))
        self._postmaster.start()
        self.hold()

    def suffer(self, seconds: float) -> None:
        """Cause all of this again and again."""
        faults: Sequence[Callable[[], None]] = (
            *(self.kill_server, self.kill_worker, self.pause),
            *(self.end_sessions, self.end_sessions, self.restart),
        )
        end = time.monotonic() + seconds
        deck: list[Callable[[], None]] = []
        self._proxy.arm(armed=True)
        while time.monotonic() < end:
            deck = deck or self.rng.sample(faults, len(faults))
            fault = deck.pop()
            fault()
            self.faults[fault.__name__] += 1
            time.sleep(self.rng.uniform(*RESTS))
            for process in self.processes:
                assert process.alive, f"it ended by itself:\n{process.log_path.read_text()[-5000:]}"
        self._proxy.arm(armed=False)
        self.faults["cut commits"] = self._proxy.cuts

    # The result

    def rows(self) -> list[Row]:
        archive = open_archive(self.servers[0].state_dir, self.url)
        try:
            return list(chain.verify(all_rows(archive.reader())))
        finally:
            archive.close()

    def open_runs(self) -> list[str]:
        archive = open_archive(self.servers[0].state_dir, self.url)
        try:
            return [key for kind, key, _ in archive.reader().guards() if kind in {"slot", "waiting"}]
        finally:
            archive.close()

    def stop(self) -> None:
        self.readers.at()
        for worker in self.workers:
            worker.signal(signal.SIGTERM)
        for server in self.servers:
            assert server.stop() == 0
        for worker in self.workers:
            assert worker.wait() == 0

    def kill(self) -> None:
        self.readers.at()
        for process in self.processes:
            process.kill()
        if self._foreign is not None:
            self._foreign.close()
        self.readers.close()


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_servers_and_workers_on_one_database_keep_their_promises_whatever_breaks(own: Cluster, tmp_path: Path) -> None:
    seed = fresh_seed("chaos")
    record = Record()
    clients = Clients(record, seed, "local-exec")
    with ExitStack() as stack:
        database = stack.enter_context(own.database())
        assert own.postmaster is not None
        proxy = stack.enter_context(Proxy(f"{own.postmaster.directory}/.s.PGSQL.5432", seed, SWALLOWED_SHARE))
        world = World(tmp_path, own, urlsplit(database).path[1:], proxy, seed)
        stack.callback(world.kill)
        world.start()
        burst = clients.roam(lambda: world.urls, CLIENTS)
        world.suffer(SECONDS)
        burst.stop()
        clients.settle(world.rng.choice(world.urls), REPEATS, world.rng)
        for _ in soon():
            if not world.open_runs():
                break
        rows = world.rows()
        history = entries(world.servers[0].api.get("/capabilities")["logId"], rows)
        world.readers.caught_up(len(history))
        readings = world.readers.readings()
        check(record, history, readings)
        world.stop()
        judge(world.servers[0].state_dir, world.url)
        for process in world.processes:
            process.check()
        assert command(tmp_path, world.url, "verify")["ok"]
        taken = Counter(
            event.because
            for row in rows
            if row.type == run.RunLeased.TYPE and isinstance(event := CODEC.decode(row).event, run.RunLeased)
        )
        runs = sum(row.type in run.ENDING_TYPES for row in rows)
        print(f"{SECONDS:g} s: {dict(world.faults)}; {record}; answers {clients.answers}")
        print(f"{len(rows)} events, {runs} runs ended, leases {dict(taken)}; {len(readings)} readings")
        if SCALE != "quick":
            assert taken["dead"] and world.faults["cut commits"]
