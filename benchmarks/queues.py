"""The scenarios of queues: enqueuing and draining items."""

import http.client
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.machine import cpu_seconds
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed, settled
from benchmarks.server import Server

CLIENTS = 16
QUEUES_AT_ONCE = 64
ITEMS_EACH = 10
REQUEST_SECONDS_MAX = 120


def queues(bench: Bench) -> list[Section]:
    """Measure items from the request to the queue, and from the queue to a completed run."""
    athena = bench.server("athena")
    enqueue = Section("enqueue", f"`POST /api/v1/work/enqueue`, {CLIENTS} clients", "items/s", {}, [], [])
    enqueue.measure(
        bench.rounds,
        {
            "Athena": _enqueues(bench, athena),
            f"Athena, `POST /directives` (requests/s), {CLIENTS} clients": bench.load(athena, "directives", CLIENTS),
        },
    )
    enqueue.notes.append(f"{ITEMS_EACH} items to a queue; each answer holds the whole queue. The load is plain Python.")
    title = f"Drains of {QUEUES_AT_ONCE} queues at once, {ITEMS_EACH} items each, a mock run for each item"
    drain = Section("drain", title, "items/s", {}, [], [])
    one = f"{ITEMS_EACH * 5} items in one queue"
    drain.measure(
        bench.rounds,
        {
            "Athena": _drains(bench, athena, QUEUES_AT_ONCE, ITEMS_EACH),
            one: _drains(bench, athena, 1, ITEMS_EACH * 5),
            "synchronous runs, 64 clients (runs/s)": bench.load(athena, "runs", 64),
            "synchronous runs, 1 client (runs/s)": bench.load(athena, "runs", 1),
        },
    )
    drain.ratio("Athena", "synchronous runs, 64 clients (runs/s)", label="drained items / runs of 64 clients")
    drain.ratio(one, "synchronous runs, 1 client (runs/s)", label="items of one queue / runs of one client")
    drain.notes.append("From the first request for a drain to the answer to the last; the items were enqueued before.")
    bench.stop()
    return [enqueue, drain]


def _enqueues(bench: Bench, server: Server) -> Callable[[], dict[str, float]]:
    """Return a measurement of items into new queues."""

    def measure() -> dict[str, float]:
        disk = bench.sync()
        sessions = [f"enqueue-{time.time_ns()}-{number}" for number in range(QUEUES_AT_ONCE)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            cpu, began = cpu_seconds(server.pid), time.perf_counter()
            list(pool.map(lambda session: _fill(server, session, ITEMS_EACH), sessions))
            seconds, spent = time.perf_counter() - began, cpu_seconds(server.pid) - cpu
        count = len(sessions) * ITEMS_EACH
        return {"rate": count / seconds, "cpu_us": spent / count * 1e6} | disk

    return measure


def _drains(bench: Bench, server: Server, count: int, items: int) -> Callable[[], dict[str, float]]:
    """Return a measurement that drains several queues at the same time."""

    def measure() -> dict[str, float]:
        disk = bench.sync()
        mark = time.time_ns()
        sessions = [f"drain-{mark}-{number}" for number in range(count)]
        with ThreadPoolExecutor(min(count, 16)) as pool:
            list(pool.map(lambda session: _fill(server, session, items), sessions))
        settled(server)
        with ThreadPoolExecutor(count) as pool:
            cpu, began = cpu_seconds(server.pid), time.perf_counter()
            done = list(pool.map(lambda session: _ask(server, f"/work/{session}/drain", {})["drainedItems"], sessions))
            seconds, spent = time.perf_counter() - began, cpu_seconds(server.pid) - cpu
        if done != [items] * count:
            raise Failed(f"drains: {sum(done)} of {items * count} items")
        return {"rate": count * items / seconds, "cpu_us": spent / (count * items) * 1e6} | disk

    return measure


def _fill(server: Server, session: str, items: int) -> None:
    for number in range(items):
        body = {"sessionId": session, "payload": f"item {number}", "mode": "followup"}
        _ask(server, "/work/enqueue", body)


def _ask(server: Server, path: str, body: object) -> dict[str, int]:
    """Return the data of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=REQUEST_SECONDS_MAX)
    try:
        connection.request("POST", "/api/v1" + path, json.dumps(body), {"content-type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if not answer["ok"]:
        raise Failed(f"{path}: {answer['error']}")
    data: dict[str, int] = answer["data"]
    return data


QUEUES: dict[str, Callable[[Bench], list[Section]]] = {"queues": queues}
