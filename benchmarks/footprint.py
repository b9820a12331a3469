"""The scenario of the memory of the process: idle, and under a continuous mixed load.

``python -m benchmarks.footprint SPEC`` takes a ``Spec`` as JSON, loads, and prints a ``Result`` as JSON.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import uvloop

from benchmarks import fanout
from benchmarks.load import (
    DRAIN_SECONDS_MAX,
    TICK_SECONDS,
    WORDS,
    Http,
    Result,
    Watch,
    connect,
    get,
    in_process_of_its_own,
    post,
)
from benchmarks.load import Spec as LoadSpec
from benchmarks.machine import resident_kib
from benchmarks.report import Ratio, Section
from benchmarks.runs import FILLING, GROWTH_MAX, objects
from benchmarks.scenarios import Bench, Failed, settled
from benchmarks.server import Server

CONNECTIONS, SUBSCRIBERS, SESSIONS = 16, 10, 200
CONNECTION_REQUESTS = 50
"""The number of requests after which a connection is replaced."""

SLICES, WARM_SLICES = 8, 3
"""The number of slices of a full-size run after which the caches of read connections are full."""

TIMES_BARE, GROWN_MIB_MAX, MIB_PER_HOUR_MAX = 3.0, 5.0, 1.0
IDLE_SECONDS, HOUR_MINUTES = 1.0, 60


class Spec(msgspec.Struct, kw_only=True):
    """The target and duration of a load; ``first`` is the number of the first request."""

    port: int
    pid: int
    seconds: float
    rate: int
    first: int


def requests(first: int) -> Iterator[bytes]:
    """Yield requests forever: writes, runs with and without waiting, reads."""
    number = first
    while True:
        session = f"mixed-{number % SESSIONS}"
        yield post("/api/v1/directives", {"input": WORDS})
        yield post("/api/v1/directives", {"input": WORDS}, f"idempotency-key: mixed-{number}")
        yield post("/api/v1/runs", {"input": WORDS, "sessionId": session})
        yield get("/api/v1/runs?limit=50")
        yield post("/api/v1/runs", {"input": WORDS, "sessionId": session + "-b"}, "prefer: respond-async")
        yield get("/api/v1/events?limit=100")
        yield post("/api/v1/runs", {"input": WORDS, "sessionId": session + "-c"}, "prefer: respond-async")
        yield get("/api/v1/fleet/summary")
        yield get("/api/v1/runs/active")
        yield get(f"/api/v1/runs?sessionId={session}")
        number += 1


async def mixed(spec: Spec) -> Result:
    """Send requests at a rate over short-lived connections, while subscribers come and go."""
    load = LoadSpec(kind="directives", port=spec.port, pid=spec.pid, clients=CONNECTIONS, seconds=spec.seconds)
    watch, source = Watch(load), requests(spec.first)
    subscriber = partial(fanout.Subscriber, fanout.Spec(port=spec.port, pid=spec.pid, subscribers=1, seconds=0.0))
    idle: deque[Http] = deque()
    used: dict[Http, int] = {}
    streams: list[asyncio.Transport] = []
    asked = answers = 0

    def answered(connection: Http, data: bytes) -> None:
        nonlocal answers
        answers += 1
        watch.latencies.append(time.perf_counter() - connection.sent_at)
        watch.errors += data[9:10] != b"2"
        idle.append(connection)

    watch.start()
    began = time.perf_counter()
    while (now := time.perf_counter()) < began + spec.seconds:
        while asked < (now - began) * spec.rate and (idle or len(used) < CONNECTIONS):
            connection = idle.popleft() if idle else await connect(load, answered)
            if used.get(connection, 0) >= CONNECTION_REQUESTS:
                del used[connection]
                connection.close()
                connection = await connect(load, answered)
            used[connection] = used.get(connection, 0) + 1
            asked += 1
            connection.send(next(source))
        if len(streams) <= (now - began) % SUBSCRIBERS:  # one more per second, then close all
            transport, _ = await asyncio.get_running_loop().create_connection(subscriber, "127.0.0.1", spec.port)
            streams.append(transport)
        elif len(streams) > SUBSCRIBERS - 1:
            while streams:
                streams.pop().close()
        await asyncio.sleep(TICK_SECONDS)
    deadline = time.perf_counter() + DRAIN_SECONDS_MAX
    while answers < asked and time.perf_counter() < deadline:
        await asyncio.sleep(TICK_SECONDS)
    watch.stop()
    watch.things, watch.errors = answers, watch.errors + asked - answers
    for transport in streams:
        transport.close()
    for connection in used:
        connection.close()
    return watch.result()


def footprint(bench: Bench) -> Iterator[Section]:
    """Measure the memory of the process."""
    yield _idle(bench)
    section = _under_load(bench)
    yield section
    if failed := sum(found["failed"][0] for found in section.samples.values()):
        raise Failed(f"mixed load: {failed:.0f} errors")


def _idle(bench: Bench) -> Section:
    """Measure a newly started server beside a minimal one."""
    section = Section("footprint-idle", "Memory of a server that has nothing to do", "MiB", {}, [], [])

    def resident(name: str) -> dict[str, float]:
        server = bench.server(name)
        time.sleep(IDLE_SECONDS)
        found = {"rate": resident_kib(server.pid) / 1_024}
        bench.stop()
        return found

    bare = "Starlette with the standard library's SQLite"
    section.measure(bench.rounds, {"Athena": partial(resident, "athena"), bare: partial(resident, "bare")})
    section.ratio("Athena", bare, at_most=TIMES_BARE)
    return section


def _under_load(bench: Bench) -> Section:
    """Measure a server under a mixed load at each eighth of its time; the first three are warm-up."""
    minutes = bench.size.mixed_minutes
    athena = bench.server("counted")
    for _ in range(FILLING):
        bench.load(athena, "directives", 64)()
    rate = bench.size.mixed_rate
    title = f"{minutes:g} minutes of mixed load, {rate} requests/s"
    section = Section("footprint", title, "requests/s", {}, [], [])
    for number in range(SLICES):
        seconds = minutes * 60 / SLICES
        spec = Spec(port=athena.port, pid=athena.pid, seconds=seconds, rate=rate, first=number << 32)
        found = msgspec.json.decode(in_process_of_its_own("benchmarks.footprint", spec), type=Result)
        settled(athena)
        section.samples[f"after {minutes * (number + 1) / SLICES:.3g} minutes"] = {
            "rate": [found.rate],
            "cpu_us": [found.cpu_us],
            "p50_ms": [found.p50_ms],
            "p99_ms": [found.p99_ms],
            "failed": [found.errors],
            "objects": [objects(athena)],
            "rest_mib": [resident_kib(athena.pid) / 1_024],
            "descriptors": [counted(athena, "fd")],
            "threads": [counted(athena, "task")],
            "wal_mib": [sum(path.stat().st_size for path in athena.directory.rglob("*-wal")) / 2**20],
        }
    slices = list(section.samples)
    warm, last = slices[WARM_SLICES - 1], slices[-1]
    grown = section.samples[last]["rest_mib"][0] - section.samples[warm]["rest_mib"][0]
    section.ratios.append(Ratio(f"MiB more than {warm}", [grown], GROWN_MIB_MAX, at_most=True))
    if minutes > HOUR_MINUTES:
        hours = minutes / HOUR_MINUTES * (SLICES - WARM_SLICES) / SLICES
        section.ratios.append(Ratio("MiB more an hour", [grown / hours], MIB_PER_HOUR_MAX, at_most=True))
    section.ratio(last, warm, figure="objects", label=f"objects / those {warm}", at_most=GROWTH_MAX)
    section.notes.append(
        "Directives with and without a key, runs that are waited for and runs that are not (in "
        f"{SESSIONS * 3} sessions), lists, the feed, the summary; connections last {CONNECTION_REQUESTS} requests, "
        "subscribers some seconds. Memory and objects are read at rest, after a collection; the caches of the database "
        "are full before it begins. "
        "Sessions that are always new would fill the cache of states, which takes 64 MiB at most."
    )
    bench.stop()
    return section


def counted(server: Server, what: str) -> float:
    """Return the number of open descriptors (``fd``) or of threads (``task``) of a server."""
    return float(sum(1 for _ in Path(f"/proc/{server.pid}/{what}").iterdir()))


def main() -> None:
    """Run the load of the argument."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(mixed(msgspec.json.decode(sys.argv[1], type=Spec)))
    sys.stdout.write(msgspec.json.encode(result).decode())


FOOTPRINTS: dict[str, Callable[[Bench], Iterable[Section]]] = {"footprint": footprint}

if __name__ == "__main__":
    main()
