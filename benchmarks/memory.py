"""The scenario of the memory: the cost of a search among few and among many passages."""

import http.client
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from athena_core.definitions.memory_chunks import CHUNK_LINES, OVERLAP_LINES
from benchmarks.machine import cpu_seconds
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed
from benchmarks.server import Server

FEW = 1_000
GROWTH = 5.0
FILE_CHUNKS = 200
RARE, RARE_CHUNKS = "needle", 5
QUERIES = {
    "a rare word": RARE,
    "a word of every passage": "deploy",
    "two words of every passage": "deploy service",
    "a question of words that no passage has together": f"how does {RARE} deploy the service in zanzibar",
}
LINES_STRIDE = CHUNK_LINES - OVERLAP_LINES
VOCABULARY = 5_000
SEARCH_MS_MAX = 60_000
INDEX_SECONDS_MAX = 600
SETTINGS = {
    "memory_enabled": "true",
    "memory_search_timeout_ms": str(SEARCH_MS_MAX),
}


def memory(bench: Bench) -> list[Section]:
    """Measure searches among 1,000 passages and among the passages of the size, by the frequency of the word."""
    many = f"{bench.size.memory_chunks:,} passages"
    few = f"{FEW:,} passages"
    servers = {name: _server(bench, count) for name, count in ((few, FEW), (many, bench.size.memory_chunks))}
    title = f"`GET /api/v1/memory/search`, 1 client, among {few} and {many}"
    section = Section("memory", title, "searches/s", {}, [], [])
    variants = {
        f"{what}, {name}": _searches(bench, server, query)
        for what, query in QUERIES.items()
        for name, server in servers.items()
    }
    section.measure(bench.rounds, variants)
    for what in QUERIES:
        over, under = f"{what}, {many}", f"{what}, {few}"
        section.ratio(over, under, figure="p50_ms", label=f"{what}: {many} / {few}, p50", at_most=GROWTH)
    section.notes.append(f"A rare word is in {RARE_CHUNKS} passages of both. The notes are in the page cache.")
    bench.stop()
    return [section]


def notes(directory: Path, chunks: int) -> None:
    """Create notes with ``passages`` passages. Each contains both common words, five contain the rare one."""
    chosen = random.Random(7)
    (directory / "memory").mkdir(parents=True)
    for first in range(0, chunks, FILE_CHUNKS):
        count = min(FILE_CHUNKS, chunks - first)
        lines = [f"word{chosen.randrange(VOCABULARY)} and" for _ in range(count * LINES_STRIDE + OVERLAP_LINES)]
        for number in range(count):
            lines[number * LINES_STRIDE + LINES_STRIDE // 2] = "deploy the service"
            if (first + number) % (chunks // RARE_CHUNKS) == 0:
                lines[number * LINES_STRIDE + LINES_STRIDE // 2 + 1] = RARE
        (directory / "memory" / f"{first}.md").write_text("\n".join(lines))


def _server(bench: Bench, chunks: int) -> Server:
    """Start a server with an index of ``passages`` passages."""
    place = bench.place("memory")
    workspace = place / "workspace"  # outside of the state directory, from which nothing is read
    notes(workspace, chunks)
    server = bench.server("athena", place, SETTINGS | {"workspace_root": str(workspace)})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=INDEX_SECONDS_MAX)
    until = time.monotonic() + INDEX_SECONDS_MAX
    while _search(connection, RARE, RARE_CHUNKS) != RARE_CHUNKS:
        if time.monotonic() > until:
            raise Failed(f"{chunks} passages were not indexed in {INDEX_SECONDS_MAX} s")
        time.sleep(0.1)
    connection.close()
    return server


def _searches(bench: Bench, server: Server, query: str) -> Callable[[], dict[str, float]]:
    """Return a measurement of sequential searches."""

    def measure() -> dict[str, float]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=INDEX_SECONDS_MAX)
        _search(connection, query, RARE_CHUNKS)
        took: list[float] = []
        cpu, began = cpu_seconds(server.pid), time.perf_counter()
        while (now := time.perf_counter()) - began < bench.seconds:
            if _search(connection, query, RARE_CHUNKS) != RARE_CHUNKS:
                raise Failed(f"a search for {query!r} did not find {RARE_CHUNKS} passages")
            took.append((time.perf_counter() - now) * 1e3)
        spent, seconds = cpu_seconds(server.pid) - cpu, time.perf_counter() - began
        connection.close()
        took.sort()
        return {
            "rate": len(took) / seconds,
            "cpu_us": spent / len(took) * 1e6,
            "p50_ms": took[len(took) // 2],
            "p99_ms": took[len(took) * 99 // 100],
        }

    return measure


def _search(connection: http.client.HTTPConnection, query: str, limit: int) -> int:
    """Return the number of results; none while indexing."""
    connection.request("GET", "/api/v1/memory/search?" + urlencode({"query": query, "maxResults": limit}))
    answer = connection.getresponse()
    body = json.loads(answer.read())
    if answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        return 0
    if not body["ok"]:
        raise Failed(f"search for {query!r}: {body['error']}")
    return len(body["data"])


MEMORY: dict[str, Callable[[Bench], list[Section]]] = {"memory": memory}
