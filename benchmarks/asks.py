"""The scenario of asks: the inbox, one ask, and the list of runs, with few and with many parked runs."""

import json
from collections.abc import Callable

from benchmarks import loops
from benchmarks.history import with_asks
from benchmarks.load import closing
from benchmarks.report import Section
from benchmarks.scenarios import Bench, settled
from benchmarks.server import Server

FEW, MANY = 10, 10_000
CLIENTS = 8
TIMES = 1.3


def asks(bench: Bench) -> list[Section]:
    """Measure pages of open asks, and single ones, among ten parked runs and among ten thousand."""
    servers: dict[str, Server] = {}
    for number in (FEW, MANY):
        directory = with_asks(bench.place("asks"), number)
        loops.measured("replay", directory)
        servers[f"{number:,} asks"] = bench.server("athena", directory)
        settled(servers[f"{number:,} asks"])
    few, many = servers
    sections: list[Section] = []
    for what, paths in (
        ("the inbox", {name: [f"/api/v1/asks?limit={FEW}"] for name in servers}),
        ("what an operator may answer", {name: [f"/api/v1/asks?limit={FEW}&answerable=true"] for name in servers}),
        ("one ask", {name: _each(server) for name, server in servers.items()}),
        ("parked runs", {name: [f"/api/v1/runs?limit={FEW}&status=paused"] for name in servers}),
    ):
        section = Section(f"asks-{len(sections)}", f"{what}, {CLIENTS} clients", "requests/s", {}, [], [])
        variants = {name: _asked(bench, server, paths[name]) for name, server in servers.items()}
        section.measure(bench.rounds, variants)
        section.ratio(many, few, figure="cpu_us", label=f"CPU time each: {many} / {few}", at_most=TIMES)
        section.ratio(many, few, figure="p50_ms", label=f"p50: {many} / {few}", at_most=TIMES)
        sections.append(section)
    bench.stop()
    return sections


def _each(server: Server) -> list[str]:
    """Return the paths of the oldest open asks."""
    body = server.get(closing(f"/api/v1/asks?limit={FEW}")).partition(b"\r\n\r\n")[2]
    return [f"/api/v1/asks/{ask['id']}" for ask in json.loads(body)["data"]["items"]]


def _asked(bench: Bench, server: Server, paths: list[str]) -> Callable[[], dict[str, float]]:
    return bench.load(server, "asked", CLIENTS, paths=paths, anew=True)


ASKS: dict[str, Callable[[Bench], list[Section]]] = {"asks": asks}
