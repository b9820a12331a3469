"""The scenario of PostgreSQL: the cost of a log in a database, and the gain of several processes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from benchmarks import load, talk
from benchmarks.load import Spec
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed, settled
from benchmarks.server import Server, Worker, free_port
from tests.support.postgres import own_cluster

DEFAULTS = {"shared_buffers": "128MB", "wal_level": "replica", "max_wal_senders": "10", "autovacuum": "on"}
"""the default of PostgreSQL; the tests use less"""

CLIENTS = 64
CEILING_SHARE, LIBRARY_TIMES = 0.5, 4.0
RATE, SUBSCRIBERS = 200, 4
CONCURRENCY, RUNS_AT_ONCE = 4, 32
TOKENS, PAUSE_MS, PAUSE_MS_SMALL = 2, 1_000, 100
WORKERS = (1, 2, 4)


class Databases:
    """Databases of one cluster on the measured disk, with the default durability of PostgreSQL."""

    def __init__(self, bench: Bench) -> None:
        """Start the cluster."""
        self._stack = ExitStack()
        bench.directory.chmod(0o711)  # as root, the server runs as another user
        self._cluster = self._stack.enter_context(own_cluster(bench.directory, **DEFAULTS))

    def settings(self, **more: str) -> dict[str, str]:
        """Return the settings of a server with a new database."""
        return {"database_url": self._stack.enter_context(self._cluster.database()), **more}

    def close(self) -> None:
        """Stop the cluster."""
        self._stack.close()


@contextmanager
def databases(bench: Bench) -> Iterator[Databases]:
    """Run a cluster while the context lasts. Stop its servers first."""
    found = Databases(bench)
    try:
        yield found
    finally:
        bench.stop()
        found.close()


def postgres(bench: Bench) -> Iterator[Section]:
    """Measure all PostgreSQL scenarios on one cluster."""
    for part in (post, processes, latency, workers):
        with databases(bench) as found:
            yield part(bench, found)


def post(bench: Bench, found: Databases) -> Section:
    """Measure one event per request, beside files and beside ceilings on the same cluster."""
    athena, twin = (bench.server("athena", settings=found.settings()) for _ in range(2))
    files = bench.server("athena")
    group = bench.server("group-commit-postgres", settings=found.settings())
    library = bench.server("recorder-postgres", settings=found.settings())
    title = f"`POST /api/v1/directives` on PostgreSQL, {CLIENTS} clients"
    section = Section("postgres-post", title, "requests/s", {}, [], [])
    section.measure(
        bench.rounds,
        {
            "Athena, PostgreSQL": bench.load(athena, "directives", CLIENTS),
            "Athena, PostgreSQL, twin": bench.load(twin, "directives", CLIENTS),
            "Athena, PostgreSQL, with `Idempotency-Key`": bench.load(athena, "keyed", CLIENTS),
            "Athena, SQLite": bench.load(files, "directives", CLIENTS),
            "raw ASGI, group commit and rows of views": bench.load(group, "directives", CLIENTS),
            "`PostgresApplicationRecorder`": bench.load(library, "directives", CLIENTS),
        },
    )
    ours, ceiling = "Athena, PostgreSQL", "raw ASGI, group commit and rows of views"
    section.ratio(ours, ceiling, at_least=CEILING_SHARE)
    section.ratio(ours, "`PostgresApplicationRecorder`", at_least=LIBRARY_TIMES)
    section.ratio(ours, "Athena, SQLite")
    section.ratio(ours, ceiling, figure="cpu_us", label="CPU time each: Athena / the ceiling")
    section.ratio(ours, "Athena, PostgreSQL, twin", label="A/A: Athena / its twin")
    section.notes.append("CPU time is that of the process that answers, not of the database.")
    return section


def processes(bench: Bench, found: Databases) -> Section:
    """Measure two servers beside one. Only the load is pinned to a core."""
    alone = bench.server("athena", settings=found.settings(), pinned=False)
    shared = found.settings()
    both = [bench.server("athena", settings=shared, pinned=False) for _ in range(2)]
    section = Section(
        "postgres-processes", f"`POST /api/v1/directives`, {CLIENTS} clients over processes", "requests/s", {}, [], []
    )
    variants = {"one process": together(bench, [alone]), "two processes": together(bench, both)}
    section.measure(bench.rounds, variants)
    section.ratio("two processes", "one process")
    section.ratio("two processes", "one process", figure="cpu_us", label="CPU time each: two / one")
    return section


def together(bench: Bench, servers: Sequence[Server]) -> Callable[[], dict[str, float]]:
    """Return a measurement of several servers at once, each with a share of the clients."""

    def measure() -> dict[str, float]:
        disk = bench.sync()
        for server in servers:
            settled(server)
        specs = [
            Spec(
                kind="directives",
                port=server.port,
                pid=server.pid,
                clients=CLIENTS // len(servers),
                seconds=bench.seconds,
            )
            for server in servers
        ]
        with ThreadPoolExecutor(len(specs)) as pool:
            results = list(pool.map(load.measured, specs))
        if any(result.errors for result in results):
            raise Failed(f"processes: {sum(result.errors for result in results)} errors")
        rate = sum(result.rate for result in results)
        return {
            "rate": rate,
            "cpu_us": sum(result.cpu_us * result.rate for result in results) / rate,
            "p50_ms": max(result.p50_ms for result in results),
            "p99_ms": max(result.p99_ms for result in results),
        } | disk

    return measure


def latency(bench: Bench, found: Databases) -> Section:
    """Measure from the appending request to subscribers of the same process and of another one."""
    on_database = found.settings()
    place = bench.place("shared")
    pairs = {
        "PostgreSQL": [bench.server("athena", settings=on_database) for _ in range(2)],
        "SQLite": [bench.server("athena", place) for _ in range(2)],
    }
    title = f"Append to SSE delivery, {RATE} events/s to {SUBSCRIBERS} subscribers"
    section = Section("postgres-latency", title, "deliveries/s", {}, [], [])
    variants = {}
    for name, (first, second) in pairs.items():
        variants[f"{name}, one process"] = bench.load(first, "stream", SUBSCRIBERS, rate=RATE)
        variants[f"{name}, from another process"] = bench.load(
            first, "stream", SUBSCRIBERS, rate=RATE, write_port=second.port
        )
    section.measure(bench.rounds, variants)
    for name in pairs:
        for figure in ("p50_ms", "p99_ms"):
            section.ratio(
                f"{name}, from another process",
                f"{name}, one process",
                figure=figure,
                label=f"{name}: {figure.removesuffix('_ms')} across processes / within one",
            )
    section.notes.append("From the moment a client sends its POST until a subscriber has read the event.")
    return section


def workers(bench: Bench, found: Databases) -> Section:
    """Measure runs that wait for their model, on one, two and four workers."""
    pause_ms = PAUSE_MS if bench.seconds >= 1 else PAUSE_MS_SMALL
    section = Section(
        "postgres-workers",
        f"{RUNS_AT_ONCE} runs with a model that takes {TOKENS * pause_ms} ms, workers of {CONCURRENCY} at a time",
        "runs/s",
        {},
        [],
        [],
    )
    measured = {}
    for count in WORKERS:
        port = free_port()
        settings = found.settings(
            default_provider="openai",
            default_model="stub",
            openai_base_url=f"http://127.0.0.1:{port}/v1",
            openai_api_key="none",
        )
        server = bench.server("athena", settings=settings | {"executor": "off"}, pinned=False)
        for _ in range(count):
            bench.worker(Worker(bench.place("worker"), settings, CONCURRENCY))
        measured["1 worker" if count == 1 else f"{count} workers"] = crowd(bench, server, port, pause_ms)
    section.measure(bench.rounds, measured)
    for count in WORKERS[1:]:
        section.ratio(f"{count} workers", "1 worker")
    most = CONCURRENCY * 1000 / (TOKENS * pause_ms)
    section.notes.append(
        f"A worker can do {most:g} runs a second at most, if nothing but the model takes time. Runs are asked for"
        " one after another, and count from the first request until all have ended."
    )
    return section


def crowd(bench: Bench, server: Server, port: int, pause_ms: int) -> Callable[[], dict[str, float]]:
    """Return a measurement of runs that workers execute."""
    spec = talk.Spec(
        kind="crowd",
        port=server.port,
        pid=server.pid,
        model_port=port,
        sessions=RUNS_AT_ONCE,
        tokens=TOKENS,
        pause_ms=pause_ms,
    )

    def measure() -> dict[str, float]:
        disk = bench.sync()
        done = talk.crowded(spec)
        if done.errors:
            raise Failed(f"workers: {done.errors} errors")
        return {"rate": done.runs / done.seconds, "at_once": float(done.at_once)} | disk

    return measure


POSTGRES: dict[str, Callable[[Bench], Iterator[Section]]] = {"postgres": postgres}
