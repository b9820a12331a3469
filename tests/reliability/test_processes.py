"""Tests of several processes that write to one state directory, of which one is stopped for a while and continues."""

import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.reliability.history import history_of, open_runs
from tests.reliability.load import Burst, Clients, Readers, client_of
from tests.reliability.oracle import Answer, Entry, Record, check
from tests.reliability.program import command, environment, heard, settle
from tests.reliability.seed import fresh_seed
from tests.scale import sized
from tests.support.api import soon
from tests.support.records import judge
from tests.support.server import Server

PROCESSES = sized((2,), (2, 4), (2, 4))
ROUNDS = sized(1, 1, 10)
WRITING_SECONDS = sized(0.5, 1.5, 5.0)
STOPPED_SECONDS = sized(1.0, 1.5, 3.0)
TOO_LONG_SECONDS = 10.0  # a transaction waits five seconds for the lock
TRIES = 10
THREADS = 4
SHARE_MIN = 0.25  # of what would be exactly fair


class Writer:
    """A process that appends until it is killed, with its output in a file."""

    def __init__(self, state_dir: Path, name: str) -> None:
        self.name = name
        self._said = state_dir.with_name(f"said-{name}")
        self._complained = state_dir.with_name(f"complained-{name}")
        with self._said.open("wb") as said, self._complained.open("wb") as complained:
            self.process = subprocess.Popen(
                command("write", state_dir, name, str(THREADS)),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def until(self, happened: Callable[[str], bool]) -> None:
        for _ in soon():
            assert self.process.poll() is None, self._complained.read_text()
            if happened(self.said):
                return

    def more(self) -> None:
        """Wait for more acknowledgements than there were."""
        known = self.said.count("ack ")
        self.until(lambda said: said.count("ack ") > known)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it for a while, whatever it holds."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def writers(state_dir: Path, count: int) -> Iterator[list[Writer]]:
    state_dir.mkdir()
    found: list[Writer] = []
    try:
        for number in range(count):
            found.append(Writer(state_dir, f"w{number}"))
        for writer in found:
            writer.until(lambda said: said.count("ack ") > THREADS)
        yield found
    finally:
        for writer in found:
            writer.kill()


def judged(state_dir: Path, processes: Sequence[Writer]) -> tuple[Record, list[Entry]]:
    """Fail unless every process's acknowledgements hold, also after everything was sent again."""
    record = Record()
    for writer in processes:
        heard(writer.said, record)
    check(record, history_of(state_dir))
    settle(state_dir, record)
    history = history_of(state_dir)
    check(record, history)
    return record, history


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", PROCESSES)
def test_processes_take_turns(count: int, tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    with writers(state_dir, count) as processes:
        first = len(history_of(state_dir))
        time.sleep(WRITING_SECONDS)
        last = len(history_of(state_dir))
    _, history = judged(state_dir, processes)
    names = [str(entry.mark).partition("-")[0] for entry in history[first:last]]
    shares = Counter(names)
    print(f"{count} processes, {last - first} events: {dict(shares)}, longest turn {longest_turn(names)} events")
    assert min(shares[writer.name] for writer in processes) > SHARE_MIN * len(names) / count


def longest_turn(names: Sequence[str]) -> int:
    """Return the longest run of events of one process."""
    longest = current = 0
    for index, name in enumerate(names):
        current = current + 1 if index and name == names[index - 1] else 1
        longest = max(longest, current)
    return longest


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", PROCESSES)
def test_a_process_that_is_stopped_and_goes_on_breaks_no_promise(count: int, tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    rng = random.Random(fresh_seed("stopped"))
    with writers(state_dir, count) as processes:
        for _ in range(ROUNDS * count):
            with rng.choice(processes).stopped():
                time.sleep(rng.uniform(0, STOPPED_SECONDS))
            for writer in processes:
                writer.more()
    record, history = judged(state_dir, processes)
    print(f"{count} processes, {len(history)} events, {record}")


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_a_process_that_is_stopped_with_the_lock_delays_others_for_a_limited_time(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    refused = False
    with writers(state_dir, 2) as processes:
        one, other = processes
        for _ in range(TRIES):
            with one.stopped():
                refused = waits_too_long(other)
            for writer in processes:
                writer.more()
            if refused:
                break
    record, _ = judged(state_dir, processes)
    print(f"refused: {refused}; {record}")
    assert refused, f"not once in {TRIES} tries was the process stopped while it had the lock"


def waits_too_long(writer: Writer) -> bool:
    """Return whether a process is refused the lock. If not, the other one was stopped without it."""
    time.sleep(0.1)
    known = writer.said.count("ack ")
    end = time.monotonic() + TOO_LONG_SECONDS
    while time.monotonic() < end:
        said = writer.said
        if "OVERLOADED" in said:
            return True
        if said.count("ack ") > known:
            return False
        time.sleep(0.02)
    raise AssertionError("neither refused nor let through")


# Servers


class Watching:
    """Clients that write to one server and read from another: what was acknowledged must be there."""

    def __init__(self, servers: Sequence[Server], clients: Clients, seed: int) -> None:
        self.urls = [server.url for server in servers]
        self.frozen: str | None = None
        self.outcomes: Counter[str] = Counter()
        self._clients = clients
        self._seed = seed
        self._lock = threading.Lock()

    def begin(self, count: int) -> Burst:
        return Burst([self._work(number) for number in range(count)])

    def _work(self, number: int) -> Callable[[threading.Event], None]:
        rng = random.Random(f"{self._seed} watching {number}")

        def watch(stop: threading.Event) -> None:
            clients = {url: client_of(url) for url in self.urls}
            for count in range(2**62):
                if stop.is_set():
                    break
                awake = [url for url in self.urls if url != self.frozen]
                told = self._write(clients[rng.choice(awake)], f"{self._seed}-watched-{number}-{count}")
                if told is not None:
                    self._read(clients[rng.choice(awake)], told, rng)
            for client in clients.values():
                client.close()

        return watch

    def _write(self, client: httpx2.Client, mark: str) -> Answer | None:
        request = self._clients.directive(mark)
        if not self._clients.send(client, request):
            self._count("unwritten")
            return None
        return self._clients.record.attempts()[mark].answers[0]

    def _read(self, client: httpx2.Client, told: Answer, rng: random.Random) -> None:
        query = {} if rng.random() < 0.5 else {"minPosition": str(told.position)}
        response = client.get(f"/directives/{told.id}", params=query)
        found = response.json()
        if not found["ok"]:
            self._count(found["error"]["code"])
            assert found["error"]["code"] == "NOT_CAUGHT_UP", (
                told,
                found,
            )  # late answers say so and are never silently stale
        else:
            self._count("read")
            assert found["data"]["id"] == told.id
            assert int(response.headers["athena-position"]) >= told.position
        response = client.get("/events", params={"limit": "1"})
        assert response.json()["data"]["head"] >= told.position

    def _count(self, outcome: str) -> None:
        with self._lock:
            self.outcomes[outcome] += 1


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("count", PROCESSES)
def test_servers_share_a_state_directory_and_no_reader_is_older_than_its_promise(count: int, tmp_path: Path) -> None:
    seed = fresh_seed("servers")
    rng = random.Random(seed)
    record = Record()
    (tmp_path / "model.sh").write_text("sleep 0.1; echo done")
    model = {"local_provider_cmd": "/bin/sh", "local_provider_args": str(tmp_path / "model.sh")}
    clients = Clients(record, seed, "local-exec", runs=0.3)
    with ExitStack() as stack:
        readers = Readers(seed, pages=1, streams=2)
        stack.callback(readers.close)
        servers = [stack.enter_context(Server(tmp_path, **model)) for _ in range(count)]
        stack.callback(readers.at)
        state_dir = servers[0].state_dir
        readers.at(servers[-1].url)
        watching = Watching(servers, clients, seed)
        for _ in range(ROUNDS):
            works = [clients.burst(server.url, 2) for server in servers]
            works.append(watching.begin(count))
            time.sleep(WRITING_SECONDS)
            stopped = rng.choice(servers)
            watching.frozen = stopped.url
            stopped.signal(signal.SIGSTOP)  # with requests, runs, perhaps the views and the lock in its hands
            time.sleep(rng.uniform(0.2, STOPPED_SECONDS))
            stopped.signal(signal.SIGCONT)
            watching.frozen = None
            time.sleep(0.1)
            for work in works:
                work.stop()
            clients.settle(rng.choice(servers).url, 100, rng)  # mostly at another server than before
            for _ in soon():
                if not open_runs(state_dir):
                    break
            history = history_of(state_dir)
            readers.caught_up(len(history))
            check(record, history, readers.readings())
        judge(state_dir)
        readers.at()
        print(f"{count} servers, {len(history)} events, {record}; {dict(watching.outcomes)}; {clients.answers}")
        assert watching.outcomes["read"]
        for server in servers:
            server.stop()
