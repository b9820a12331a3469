"""The scenario of the fan-out: deliveries a second to many subscribers, and the memory of an idle one.

``python -m benchmarks.fanout SPEC`` takes a ``Spec`` as JSON and prints a ``Fan`` as JSON.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import cast

import msgspec
import uvloop

from benchmarks import load
from benchmarks.load import DRAIN_SECONDS_MAX, WORDS, Http, Watch, connect, get, in_process_of_its_own, post
from benchmarks.machine import resident_kib
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed
from benchmarks.server import Server

POSTERS = 16
FILLING = 500
"""The number of events before the first subscriber, so that memory is read after warm-up."""

SETTLE_SECONDS = 0.5
LOOK_SECONDS = 0.01
SHARE, KIB_MAX, TIMES_P99 = 0.8, 16.0, 3.0
FANNED, EVENTS_PER_SECOND = 100, 1_000
SETTINGS = {"streams_per_identity_max": "10000"}


class Spec(msgspec.Struct, kw_only=True):
    """A load: the server, the number of subscribers, and the duration of posting at full speed.

    ``frame`` identifies an event in a stream; each stream starts with ``marks`` frames that look like events.
    """

    port: int
    pid: int
    subscribers: int
    seconds: float
    marks: int = 0
    append: str = "/api/v1/directives"
    stream: str = "/api/v1/events/stream?after=latest"
    frame: str = "\ndata: "


class Fan(msgspec.Struct, kw_only=True):
    """Deliveries a second with their costs, and the memory of an idle subscriber."""

    rate: float
    cpu_us: float
    load_cpu: float
    kib_each: float
    errors: int


class Subscriber(asyncio.Protocol):
    """A stream that counts its frames."""

    def __init__(self, spec: Spec) -> None:
        """Start without frames."""
        self.frames = 0
        self.heard = False
        self._path, self._frame = spec.stream, spec.frame.encode()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Request all new events."""
        cast(asyncio.Transport, transport).write(get(self._path))

    def data_received(self, data: bytes) -> None:
        """Count the frames, wherever the pieces end."""
        content, self.heard = self._rest + data, True
        self.frames += content.count(self._frame)
        self._rest = content[1 - len(self._frame) :]


async def fan(spec: Spec) -> Fan:
    """Open the streams, read the memory, then post and count."""
    loop = asyncio.get_running_loop()
    watch = Watch(load.Spec(kind="directives", port=spec.port, pid=spec.pid, clients=POSTERS, seconds=spec.seconds))
    request = post(spec.append, {"input": WORDS})
    posted = open_requests = 0
    wanted = FILLING

    def answered(connection: Http, data: bytes) -> None:
        nonlocal open_requests
        open_requests -= 1
        watch.errors += data[9:10] != b"2"
        if watch.measuring:
            watch.latencies.append(time.perf_counter() - connection.sent_at)
        go_on(connection)

    def go_on(connection: Http) -> None:
        nonlocal posted, open_requests
        if posted < wanted:
            posted += 1
            open_requests += 1
            connection.send(request)

    for _ in range(POSTERS):
        go_on(await connect(watch.spec, answered))
    await until(lambda: not open_requests)
    await asyncio.sleep(SETTLE_SECONDS)
    before = resident_kib(spec.pid)
    subscribers: list[Subscriber] = []
    for _ in range(spec.subscribers):
        _, subscriber = await loop.create_connection(partial(Subscriber, spec), "127.0.0.1", spec.port)
        subscribers.append(subscriber)
    await until(lambda: all(each.heard and each.frames == spec.marks for each in subscribers))
    await asyncio.sleep(SETTLE_SECONDS)
    kib_each = (resident_kib(spec.pid) - before) / spec.subscribers
    posted, wanted = 0, sys.maxsize
    for _ in range(POSTERS):  # idle connections may have timed out
        go_on(await connect(watch.spec, answered))
    await asyncio.sleep(watch.spec.warm_up_seconds)
    began = sum(subscriber.frames for subscriber in subscribers)

    def delivered() -> int:
        return sum(subscriber.frames for subscriber in subscribers) - began

    watch.start()
    await asyncio.sleep(spec.seconds)
    await until(lambda: bool(watch.latencies and delivered()))  # a busy machine may pause
    watch.stop()
    watch.things = delivered()
    wanted = 0
    await until(lambda: not open_requests and all(each.frames >= posted + spec.marks for each in subscribers))
    result = watch.result()
    return Fan(
        rate=result.rate,
        cpu_us=result.cpu_us,
        load_cpu=result.load_cpu,
        kib_each=kib_each,
        errors=result.errors + sum(each.frames != posted + spec.marks for each in subscribers),
    )


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds, or after a minute."""
    deadline = time.perf_counter() + DRAIN_SECONDS_MAX
    while not condition() and time.perf_counter() < deadline:
        await asyncio.sleep(LOOK_SECONDS)


def fanout(bench: Bench) -> Iterator[Section]:
    """Measure events to many subscribers, at full speed and at a rate."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # inherited by the servers and by the load
    variants = {
        "Athena": ("athena", 1),
        "raw ASGI fan-out, no disk": ("fan-out", 0),
        "the same, joined writes": ("fan-out-joined", 0),
    }
    for subscribers in bench.size.subscribers:
        title = f"SSE fan-out to {subscribers:,} subscribers"
        section = Section(f"fanout-{subscribers}", title, "deliveries/s", {}, [], [])
        measures = {name: partial(fanned, bench, of, subscribers, marks) for name, (of, marks) in variants.items()}
        section.measure(bench.rounds, measures)
        section.ratio("Athena", "raw ASGI fan-out, no disk", at_least=SHARE)
        section.ratio("Athena", "the same, joined writes")
        cpu = "CPU time each: Athena / raw ASGI fan-out"
        section.ratio("Athena", "raw ASGI fan-out, no disk", figure="cpu_us", label=cpu)
        if subscribers == max(bench.size.subscribers):
            section.limit("Athena", "kib_each", KIB_MAX)
            section.notes.append(
                f"{POSTERS} clients post one event after another, and each event goes to everybody; each measurement "
                "has a server of its own. Memory is what the process grew by, for each subscriber, before the first "
                "event (a hundred are too few to read it). Athena's events are durable before they are sent."
            )
        yield section
    yield at_a_rate(bench)


def fanned(bench: Bench, name: str, subscribers: int, marks: int) -> dict[str, float]:
    """Measure once, with a new server."""
    disk = bench.sync()
    server = bench.server(name, settings=SETTINGS)
    spec = Spec(port=server.port, pid=server.pid, subscribers=subscribers, seconds=bench.seconds, marks=marks)
    found = measured(spec)
    bench.stop()
    return found | disk


def measured(spec: Spec) -> dict[str, float]:
    """Return the figures of a load in another process. Raise Failed if a subscriber missed an event."""
    found = msgspec.json.decode(in_process_of_its_own("benchmarks.fanout", spec), type=Fan)
    if found.errors:
        raise Failed(f"{spec.subscribers} subscribers of {spec.stream}: {found.errors} errors")
    figures = msgspec.structs.asdict(found)
    del figures["errors"]
    return figures


def at_a_rate(bench: Bench) -> Section:
    """Measure from the appending request to a hundred subscribers."""
    athena, joined = bench.server("athena"), bench.server("fan-out-joined")
    title = f"Append to SSE delivery, {EVENTS_PER_SECOND:,} events/s to {FANNED} subscribers"
    section = Section("fanout-rate", title, "deliveries/s", {}, [], [])

    def measure(server: Server) -> Callable[[], dict[str, float]]:
        return bench.load(server, "stream", FANNED, rate=EVENTS_PER_SECOND)

    ceiling = "raw ASGI fan-out, joined writes, no disk"
    section.measure(bench.rounds, {"Athena": measure(athena), ceiling: measure(joined)})
    label = "p99 ms: Athena / raw ASGI fan-out, joined writes"
    section.ratio("Athena", ceiling, figure="p99_ms", label=label, at_most=TIMES_P99)
    section.ratio("Athena", ceiling, figure="p50_ms", label=label.replace("p99", "p50"))
    section.ratio("Athena", ceiling, figure="cpu_us", label="CPU time each: Athena / the same")
    section.notes.append("From the moment a client sends its POST until a subscriber has read the event.")
    bench.stop()
    return section


def main() -> None:
    """Run the load of the argument."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(fan(msgspec.json.decode(sys.argv[1], type=Spec)))
    sys.stdout.write(msgspec.json.encode(found).decode())


FANOUTS: dict[str, Callable[[Bench], Iterable[Section]]] = {"fanout": fanout}

if __name__ == "__main__":
    main()
