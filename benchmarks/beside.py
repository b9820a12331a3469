"""The scenarios of background work: the latency of requests beside streams, backups and checks of a long log.

``python -m benchmarks.beside PORT STREAMS`` repeatedly reads streams of a server from the start of the log.
"""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from benchmarks import loops
from benchmarks.history import written
from benchmarks.load import closing, get
from benchmarks.machine import cores, pin
from benchmarks.report import Section
from benchmarks.scenarios import Bench
from benchmarks.server import ROOT, Server, answer_of

STREAMS = 3
CLIENTS = 8
STREAMS_TIMES, WORK_TIMES = 15.0, 3.0
CHUNK_BYTES = 256 << 10
CAUGHT_UP = b"event: caught-up"
PAUSE_SECONDS = 0.01

Load = Callable[[], dict[str, float]]


def follow(port: int) -> None:
    """Read a stream repeatedly, from the start of the log to its head."""
    request = get("/api/v1/events/stream")
    while True:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            end = b""
            while CAUGHT_UP not in end:
                content = connection.recv(CHUNK_BYTES)
                if not content:
                    break
                end = end[-len(CAUGHT_UP) :] + content


@contextmanager
def followed(server: Server, streams: int = STREAMS) -> Iterator[None]:
    """Have streams catch up repeatedly, in another process."""
    command = [sys.executable, "-m", "benchmarks.beside", str(server.port), str(streams)]
    process = subprocess.Popen(command, cwd=ROOT, preexec_fn=lambda: pin(cores()[1]))  # noqa: PLW1509 - no threads here
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def repeated(work: Callable[[threading.Event], object]) -> Iterator[None]:
    """Repeat some work in a thread while the context lasts."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            work(over)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def commanded(directory: Path, words: Sequence[str]) -> Callable[[threading.Event], None]:
    """Return work that runs a command on a state directory. It is killed when the load ends."""

    def work(over: threading.Event) -> None:
        target = directory / "copy.db"
        target.unlink(missing_ok=True)
        arguments = [str(target) if word == "FILE" else word for word in words]
        command = [sys.executable, "-m", "athena_cli", *arguments]
        environment = {"ATHENA_STATE_DIR": str(directory), "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None:
                if over.is_set():
                    process.kill()
                time.sleep(PAUSE_SECONDS)

    return work


COMMANDS: Mapping[str, Sequence[str]] = {
    "backup": ("backup", "FILE"),
    "verify": ("verify",),
    "replay": ("replay",),
    "replay --verify": ("replay", "--verify"),
}


def beside(bench: Bench) -> list[Section]:
    """Measure probes beside streams that catch up, and POSTs beside backups and checks."""
    directory = written(bench.place("beside"), bench.size.beside_events)
    loops.measured("replay", directory)
    server = bench.server("athena", directory)
    sections = [beside_streams(bench, server), beside_work(bench, server)]
    bench.stop()
    return sections


def beside_streams(bench: Bench, server: Server) -> Section:
    """Measure probes beside streams that catch up."""
    probes = Section(
        "beside-streams",
        f"`GET /livez`, 1 client, beside streams that catch up over {bench.size.beside_events:,} events",
        "requests/s",
        {},
        [],
        [],
    )
    probe = bench.load(server, "asked", 1, paths=["/livez"])
    many = f"beside {STREAMS} streams"
    probes.measure(bench.rounds, {"idle": probe, many: during(probe, partial(followed, server))})
    probes.ratio(many, "idle", figure="p99_ms", label=f"p99: {many} / idle", at_most=STREAMS_TIMES)
    return probes


def beside_work(bench: Bench, server: Server) -> Section:
    """Measure POSTs beside backups and checks."""
    posts = Section(
        "beside-work",
        f"`POST /api/v1/directives`, {CLIENTS} clients, beside work on {bench.size.beside_events:,} events",
        "requests/s",
        {},
        [],
        [],
    )
    post = bench.load(server, "directives", CLIENTS)

    def digests(over: threading.Event) -> None:
        answer_of(server.port, closing("/api/v1/admin/digests"))

    works = {f"beside `{name}`": commanded(server.directory, words) for name, words in COMMANDS.items()}
    works["beside `GET /admin/digests`"] = digests
    variants = {name: during(post, partial(repeated, work)) for name, work in works.items()}
    posts.measure(bench.rounds, {"idle": post, **variants})
    for name in works:
        posts.ratio(name, "idle", figure="p99_ms", label=f"p99: {name} / idle", at_most=WORK_TIMES)
    posts.notes.append("The work is repeated until the load ends; commands run in their own processes.")
    return posts


def during(load: Load, work: Callable[[], AbstractContextManager[None]]) -> Load:
    """Return a load that is measured while some work runs."""

    def measure() -> dict[str, float]:
        with work():
            return load()

    return measure


BESIDE = {"beside": beside}


if __name__ == "__main__":
    for _ in range(int(sys.argv[2])):
        threading.Thread(target=follow, args=(int(sys.argv[1]),), daemon=True).start()
    threading.Event().wait()
