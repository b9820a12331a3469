"""The scenario of shares: the latency of one identity beside 40 connections of another with the dearest reads.

``python -m benchmarks.shares PORT EVENTS`` sends such reads on 40 connections, without a pause.
"""

import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import loops
from benchmarks.beside import during
from benchmarks.history import written
from benchmarks.load import IDENTITY
from benchmarks.machine import cores, pin
from benchmarks.report import Section
from benchmarks.scenarios import Bench
from benchmarks.server import ROOT, Server

CONNECTIONS = 40
GREEDY = "greedy"
SHARE_TIMES = 5.0
CHUNK_BYTES = 64 << 10
LARGE_BODY = '{"input":"%s"}' % ("word " * 14_000)
SETTINGS = {
    "auth_enabled": "true",
    "auth_identity_role_map": f"{IDENTITY}:Operator,{GREEDY}:Viewer",
    "requests_per_second": "1000000",
}


def dearest(events: int) -> Iterator[str]:
    """Yield paths of reads that take long, each of another answer."""
    draw = random.Random()
    while True:
        yield f"/api/v1/diff?from=1&limit=1&counts=true&number={draw.random()}"
        yield f"/api/v1/runs?asOf={draw.randrange(1, events)}&limit=500"
        yield f"/api/v1/runs/facets?number={draw.random()}"


def read(port: int, events: int, sent: threading.Barrier) -> None:
    """Send reads on one connection, without end. Connect again where it ends."""
    first = True
    paths = dearest(events)
    while True:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for path in paths:
                request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nx-athena-identity: {GREEDY}\r\n\r\n"
                connection.sendall(request.encode())
                if first:
                    first = False
                    sent.wait()
                content = b""
                while b"\r\n\r\n" not in content and (piece := connection.recv(CHUNK_BYTES)):
                    content += piece
                head, _, body = content.partition(b"\r\n\r\n")
                _, found, length = head.lower().partition(b"\r\ncontent-length: ")
                missing = int(length.split()[0]) - len(body) if found else 0
                while missing > 0 and (piece := connection.recv(CHUNK_BYTES)):
                    missing -= len(piece)
                if not found or missing > 0:
                    break


@contextmanager
def read_greedily(server: Server, events: int) -> Iterator[None]:
    """Have another identity send the dearest reads, in another process."""
    command = [sys.executable, "-m", "benchmarks.shares", str(server.port), str(events)]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: pin(cores()[1]),  # noqa: PLW1509 - no threads here
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()  # until all have sent a read
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def shares(bench: Bench) -> list[Section]:
    """Measure writes, runs and probes of one identity beside reads of another."""
    events = bench.size.beside_events
    directory = written(bench.place("shares"), events)
    loops.measured("replay", directory)
    server = bench.server("athena", directory, settings=SETTINGS)
    section = Section(
        "shares",
        f"1 client beside {CONNECTIONS} connections of another identity with the dearest reads of {events:,} events",
        "requests/s",
        {},
        [],
        [],
    )
    loads = {
        "`POST /directives` of 70 KB": bench.load(server, "asked", 1, paths=["/api/v1/directives"], body=LARGE_BODY),
        "`POST /runs`": bench.load(server, "runs", 1),
        "`GET /livez`": bench.load(server, "asked", 1, paths=["/livez"]),
    }
    variants = {f"{name}, idle": load for name, load in loads.items()}
    beside = partial(read_greedily, server, events)
    variants |= {f"{name}, beside": during(load, beside) for name, load in loads.items()}
    section.measure(bench.rounds, variants)
    for name in loads:
        label = f"p99: {name}, beside / idle"
        section.ratio(f"{name}, beside", f"{name}, idle", figure="p99_ms", label=label, at_most=SHARE_TIMES)
    section.notes.append("The reads are diffs of the whole log, runs as of random positions, and facets.")
    bench.stop()
    return [section]


SHARES = {"shares": shares}


if __name__ == "__main__":
    begun = threading.Barrier(CONNECTIONS + 1)
    for _ in range(CONNECTIONS):
        threading.Thread(target=read, args=(int(sys.argv[1]), int(sys.argv[2]), begun), daemon=True).start()
    begun.wait()
    print(flush=True)
    threading.Event().wait()
