"""The scenarios: measurements with their ceilings and goals."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec

from benchmarks import load, loops
from benchmarks.history import written
from benchmarks.load import Kind, Spec, closing
from benchmarks.machine import cores, cpu_seconds, pin, sync_ms
from benchmarks.report import Section
from benchmarks.server import ROOT, Server, Worker

FEED_LIMIT = 500
SUBSCRIBERS = 20
EVENTS_PER_SECOND = 1_000
DEADLINE_MS = 20.0
TIMES_P99 = 3.0
FIRST_ANSWER_MS, HELP_MS = 1_000.0, 250.0
SETTLE_SECONDS_MAX = 60.0
BY_THREAD = ("loop_us", "writer_us", "views_us")
CEILINGS = {
    "ceiling: raw ASGI under uvicorn, no disk, 64 clients": "nothing",
    "ceiling: a protocol on httptools, no disk, 64 clients": "protocol-nothing",
}
TRIES = 3
HEALTH = closing("/api/v1/admin/health")


class Failed(Exception):
    """A measured result is wrong."""


class Size(NamedTuple):
    """The size of the measurements."""

    seconds: float
    rounds: int
    feed_events: int
    replay_events: int
    crowd: int
    fleet_runs: int
    schedules: int
    memory_chunks: int
    subscribers: tuple[int, ...]
    growth_events: int
    beside_events: int
    past_events: int
    mixed_minutes: float
    mixed_rate: int = 100


class Bench:
    """One run of the benchmarks: its sizes, directory and servers."""

    def __init__(
        self, directory: Path, size: Size, *, base: Path | None = None, python: str = "", parts: Sequence[str] = ()
    ) -> None:
        """Use ``size``; ``base`` is a checkout and ``python`` an interpreter to measure beside, where possible."""
        self.directory = directory
        self.base, self.python, self.parts = base, python, parts
        self.size = size
        self.rounds = size.rounds
        self.seconds = size.seconds
        self.syncs: list[float] = []
        self._servers: list[Server] = []
        self._count = 0

    def server(
        self,
        name: str,
        directory: Path | None = None,
        settings: Mapping[str, str] | None = None,
        *,
        pinned: bool = True,
        code: Path = ROOT,
        python: str = "",
    ) -> Server:
        """Start a new server, in a new directory unless one is given."""
        place = directory or self.place(name)
        server = Server(name, place, settings, pinned=pinned, code=code, python=python or sys.executable)
        self._servers.append(server)
        return server.start()

    def worker(self, worker: Worker) -> None:
        """Start a worker. It is stopped with the servers."""
        self._servers.append(worker)
        worker.start()

    def place(self, name: str) -> Path:
        """Return the path of a new directory."""
        self._count += 1
        return self.directory / f"{self._count}-{name}"

    def stop(self) -> None:
        """Stop all servers and delete their files."""
        for server in self._servers:
            server.discard()
        self._servers.clear()

    def sync(self) -> dict[str, float]:
        """Measure the disk now."""
        self.syncs.append(sync_ms(self.directory))
        return {"sync_ms": self.syncs[-1]}

    def load(
        self, server: Server, kind: Kind, clients: int, *, by_thread: bool = False, **more: Any
    ) -> Callable[[], dict[str, float]]:
        """Return a measurement of a load."""

        def measure() -> dict[str, float]:
            disk = self.sync()
            if server.name == "athena":
                settled(server)  # finish projections of one load before the next
            spec = Spec(kind=kind, port=server.port, pid=server.pid, clients=clients, seconds=self.seconds, **more)
            result = load.measured(spec)
            if result.errors:
                raise Failed(f"{server.name}, {kind}, {clients} clients: {result.errors} errors")
            figures = msgspec.structs.asdict(result)
            del figures["errors"]
            if not by_thread:
                for name in BY_THREAD:
                    del figures[name]
            return figures | disk

        return measure


def ceilings(bench: Bench) -> dict[str, float]:
    """Return the CPU time of a POST that is only answered, for both HTTP servers."""
    found = {}
    for title, name in CEILINGS.items():
        found[title] = median(bench.load(bench.server(name), "directives", 64)()["cpu_us"] for _ in range(TRIES))
        bench.stop()
    return found


def post(bench: Bench) -> list[Section]:
    """Measure one event per request, at 1, 64 and 256 clients; none of the 256 may be rejected."""
    athena, twin = bench.server("athena"), bench.server("athena")
    group, save, nothing = bench.server("group-commit"), bench.server("application-save"), bench.server("nothing")
    protocol = bench.server("protocol-group-commit")
    sections = []
    for clients, share in ((64, 0.5), (1, 0.7), (256, None)):
        who = f"{clients} clients" if clients > 1 else "1 client"
        section = Section(f"post-{clients}", f"`POST /api/v1/directives`, {who}", "requests/s", {}, [], [])
        section.measure(
            bench.rounds,
            {
                "Athena": bench.load(athena, "directives", clients),
                "Athena, twin": bench.load(twin, "directives", clients),
                "Athena, with `Idempotency-Key`": bench.load(athena, "keyed", clients),
                "raw ASGI, group commit": bench.load(group, "directives", clients),
                "a protocol, group commit": bench.load(protocol, "directives", clients),
                "`Application.save`": bench.load(save, "directives", clients),
                "raw ASGI, no disk": bench.load(nothing, "directives", clients),
            },
        )
        section.ratio("Athena", "raw ASGI, group commit", at_least=share)
        section.ratio("Athena", "a protocol, group commit")
        late = TIMES_P99 if clients == 64 else None
        label = "p99 ms: Athena / group commit"
        section.ratio("Athena", "raw ASGI, group commit", figure="p99_ms", label=label, at_most=late)
        section.ratio("Athena", "`Application.save`", at_least=2 if clients == 64 else None)
        section.ratio("Athena, with `Idempotency-Key`", "raw ASGI, group commit")
        section.ratio("raw ASGI, group commit", "raw ASGI, no disk")
        section.ratio("Athena", "raw ASGI, group commit", figure="cpu_us", label="CPU time each: Athena / group commit")
        section.ratio("Athena", "Athena, twin", label="A/A: Athena / its twin")
        sections.append(section)
    sections[-1].notes.append("Every request succeeded, as in all loads; else the command fails.")
    bench.stop()
    return sections


def feed(bench: Bench) -> list[Section]:
    """Measure pages of the feed beside the bare scan."""
    directory = written(bench.place("feed"), bench.size.feed_events)
    athena = bench.server("athena", directory)
    settled(athena)
    title = f"`GET /api/v1/events?limit={FEED_LIMIT}` over {bench.size.feed_events:,} events, page after page"
    section = Section("feed", title, "events/s", {}, [], [])
    section.measure(
        bench.rounds,
        {
            "Athena, 1 client": bench.load(athena, "pages", 1, limit=FEED_LIMIT),
            "Athena, 8 clients": bench.load(athena, "pages", 8, limit=FEED_LIMIT),
            "Athena, lines, 1 client": bench.load(athena, "lines", 1),
            "raw scan": partial(scanned, bench, directory),
        },
    )
    section.ratio("Athena, 1 client", "raw scan", at_least=0.6)
    section.ratio("Athena, 8 clients", "raw scan")
    section.ratio("Athena, 1 client", "raw scan", figure="cpu_us", label="CPU time each: Athena / raw scan")
    section.ratio("Athena, lines, 1 client", "Athena, 1 client", label="lines / pages, 1 client")
    section.ratio("Athena, lines, 1 client", "Athena, 1 client", figure="cpu_us", label="CPU time each: lines / pages")
    section.notes.append("p50 and p99 are those of a page, or of all lines.")
    bench.stop()
    return [section]


def scanned(bench: Bench, directory: Path) -> dict[str, float]:
    """Measure the raw scan of a log."""
    done = loops.measured("scan", directory, bench.seconds)
    return {"rate": done.events / done.seconds, "cpu_us": done.cpu_seconds / done.events * 1e6}


def stream(bench: Bench) -> list[Section]:
    """Measure from the appending request to every subscriber."""
    athena, raw = bench.server("athena"), bench.server("fan-out")
    title = f"Append to SSE delivery, {EVENTS_PER_SECOND:,} events/s to {SUBSCRIBERS} subscribers"
    section = Section("stream", title, "deliveries/s", {}, [], [])
    section.measure(
        bench.rounds,
        {
            "Athena": bench.load(athena, "stream", SUBSCRIBERS, rate=EVENTS_PER_SECOND),
            "raw ASGI fan-out, no disk": bench.load(raw, "stream", SUBSCRIBERS, rate=EVENTS_PER_SECOND),
        },
    )
    section.limit("Athena", "p99_ms", DEADLINE_MS)
    section.ratio("Athena", "raw ASGI fan-out, no disk", figure="cpu_us", label="CPU time each: Athena / raw fan-out")
    section.notes.append("From the moment a client sends its POST until a subscriber has read the event.")
    bench.stop()
    return [section]


def replay(bench: Bench) -> list[Section]:
    """Measure the rebuild of all views."""
    directory = written(bench.place("replay"), bench.size.replay_events)
    digests: dict[str, set[str]] = {}

    def loop(name: str) -> Callable[[], dict[str, float]]:
        def measure() -> dict[str, float]:
            done = loops.measured(name, directory)
            for projection, digest in done.digests.items():
                digests.setdefault(projection, set()).add(digest)
            return {"rate": done.events / done.seconds, "cpu_us": done.cpu_seconds / done.events * 1e6} | bench.sync()

        return measure

    section = Section("replay", f"Replay of {bench.size.replay_events:,} events into all views", "events/s", {}, [], [])
    section.measure(bench.rounds, {"Athena": loop("replay"), "folded batches": loop("folded")})
    section.ratio("Athena", "folded batches", at_least=0.7)
    section.ratio("Athena", "folded batches", figure="cpu_us", label="CPU time each: Athena / folded batches")
    different = sorted(projection for projection, found in digests.items() if len(found) > 1)
    if different:
        raise Failed(f"the ceiling wrote other rows than the replay: {', '.join(different)}")
    section.notes.append("Both wrote the same rows, by digest.")
    return [section]


def start(bench: Bench) -> list[Section]:
    """Measure from the start of the process to the first 200 of ``/readyz``."""
    full = written(bench.place("start-full"), bench.size.replay_events)
    loops.measured("replay", full)
    empty = bench.place("start-empty")

    def begin(directory: Path, name: str = "athena") -> Callable[[], dict[str, float]]:
        def measure() -> dict[str, float]:
            server = bench.server(name, directory)
            cpu = cpu_seconds(server.pid)
            server.stop()
            return {"rate": server.ready_seconds * 1000, "cpu_us": cpu * 1e6} | bench.sync()

        return measure

    bare = bench.place("start-bare")
    begin(empty)(), begin(full)()
    title = "Start-up: from the start of the process to the first 200 on `/readyz`"
    section = Section("start", title, "ms", {}, [], [])
    variants = {"Athena, no events": begin(empty), f"Athena, {bench.size.replay_events:,} events": begin(full)}
    none, many = variants
    ceiling = "Starlette with the standard library's SQLite"
    section.measure(bench.rounds, variants | {ceiling: begin(bare, "bare")})
    section.ratio(many, none, at_most=1.2)
    section.ratio(none, ceiling)
    for name in variants:
        section.limit(name, "rate", FIRST_ANSWER_MS, label=f"{name}: ms")
    bench.stop()
    return [section, _commands(bench)]


def _commands(bench: Bench) -> Section:
    """Measure the command line beside an empty Python process."""

    def run(*arguments: str) -> Callable[[], dict[str, float]]:
        def measure() -> dict[str, float]:
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=subprocess.DEVNULL,
                preexec_fn=lambda: pin(cores()[0]),  # noqa: PLW1509 - this process has no threads
            )
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise Failed(f"{' '.join(arguments)}: {process.returncode}")
            return {"rate": seconds * 1000, "cpu_us": (used.ru_utime + used.ru_stime) * 1e6}

        return measure

    section = Section("start-help", "Start-up of a command: from its start to its end", "ms", {}, [], [])
    variants = {"`athena --help`": run("-m", "athena_cli", "--help"), "Python that does nothing": run("-c", "")}
    for variant in variants.values():
        variant()  # warm up bytecode and the file cache
    section.measure(bench.rounds, variants)
    helped, nothing = variants
    section.limit(helped, "rate", HELP_MS, label=f"{helped}: ms")
    section.ratio(helped, nothing)
    return section


def settled(server: Server) -> None:
    """Wait until the views have reached the head."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while b'"lag":0,' not in (health := server.get(HEALTH)):
        if time.monotonic() > deadline:
            raise Failed(f"{server.name}: the views do not reach the head: {health[:500].decode(errors='replace')}")


SCENARIOS: dict[str, Callable[[Bench], list[Section]]] = {
    "post": post,
    "feed": feed,
    "stream": stream,
    "replay": replay,
    "start": start,
}
