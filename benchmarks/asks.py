"""The scenario of asks: the inbox, one ask, and the list of runs, with few and with many parked runs."""

import http.client
import json
import time
from collections.abc import Callable
from itertools import islice
from statistics import median

from benchmarks import loops
from benchmarks.history import with_asks
from benchmarks.load import closing
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed, settled
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
    answers = Section(f"asks-{len(sections)}", "an answer, one after another", "answers/s", {}, [], [])
    answers.measure(bench.rounds, {name: _answers(bench, server) for name, server in servers.items()})
    answers.ratio(many, few, figure="p50_ms", label=f"p50: {many} / {few}", at_most=TIMES)
    answers.notes.append("Each answer refuses a call. Then the run continues with the mock model.")
    bench.stop()
    return [*sections, answers]


def _each(server: Server) -> list[str]:
    """Return the paths of the oldest open asks."""
    body = server.get(closing(f"/api/v1/asks?limit={FEW}")).partition(b"\r\n\r\n")[2]
    return [f"/api/v1/asks/{ask['id']}" for ask in json.loads(body)["data"]["items"]]


def _asked(bench: Bench, server: Server, paths: list[str]) -> Callable[[], dict[str, float]]:
    return bench.load(server, "asked", CLIENTS, paths=paths, anew=True)


def _answers(bench: Bench, server: Server) -> Callable[[], dict[str, float]]:
    """Return a measurement of answers to some of the oldest asks."""
    body = json.loads(server.get(closing(f"/api/v1/asks?limit={FEW}")).partition(b"\r\n\r\n")[2])
    asks = iter(body["data"]["items"])
    each = FEW // bench.rounds

    def measure() -> dict[str, float]:
        disk = bench.sync()
        times = []
        for ask in islice(asks, each):
            began = time.perf_counter()
            _post(server, f"/api/v1/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], "optionId": "deny"})
            times.append(time.perf_counter() - began)
            settled(server)
        return {"rate": len(times) / sum(times), "p50_ms": median(times) * 1e3} | disk

    return measure


def _post(server: Server, path: str, body: object) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise Failed(f"{path}: {content[:500]!r}")
    finally:
        connection.close()


ASKS: dict[str, Callable[[Bench], list[Section]]] = {"asks": asks}
