"""The scenarios of runs: throughput, time to the first token, and memory of many concurrent runs."""

import http.client
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks import talk
from benchmarks.counted import NAME as OBJECTS
from benchmarks.load import WORDS
from benchmarks.machine import resident_kib
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed, settled
from benchmarks.server import Server, free_port

EVENTS_PER_RUN = 9
RUNS_SHARES = {"Athena, synchronous": 0.08, "Athena, `respond-async`": 0.09}
POSTS_SHARES = {"Athena, synchronous": 0.2}
FIRST_TOKEN_MS = 10.0
TOKENS, PAUSE_MS = 20, 10
WAVES = 6
CROWD_TOKENS, CROWD_PAUSE_MS = 20, 200
GROWTH_MAX = 1.1
FILLING = 5
"""The number of small loads before the measured crowd, so that the caches of the database (2 of 16 MiB) are full."""

FILLING_RUNS = 150
"""The number of runs that fill the context of a session; a history has at most 200 entries."""

FLOW_STEPS, FLOW_SHARE, FLOW_SECONDS_MAX = 100, 0.6, 120.0
PROFILE = {
    "displayName": "Mock",
    "version": "v1",
    "config": {"provider": "mock", "model": "mock-model", "tools": ["none"]},
    "policies": {"timeoutMs": 60_000, "retryLimit": 1, "budgetUsd": 0},
}


def runs(bench: Bench) -> list[Section]:
    """Measure mock runs from the request to the end."""
    athena, group = bench.server("athena"), bench.server("group-commit")
    sections = []
    for clients in (1, 16, 64):
        who = f"{clients} clients" if clients > 1 else "1 client"
        title = f"Mock runs to completion, {who}"
        section = Section(f"runs-{clients}", title, "runs/s", {}, [], [])
        section.measure(
            bench.rounds,
            {
                "Athena, synchronous": bench.load(athena, "runs", clients),
                "Athena, `respond-async`": bench.load(athena, "runs-async", clients),
                "Athena, `POST /directives` (requests/s)": bench.load(athena, "directives", clients),
                "raw ASGI, group commit (requests/s)": bench.load(group, "directives", clients),
            },
        )
        for name, share in RUNS_SHARES.items():
            label = f"{name}: runs / requests of the ceiling"
            least = share if clients == 64 else None
            section.ratio(name, "raw ASGI, group commit (requests/s)", label=label, at_least=least)
        for name in RUNS_SHARES:
            label = f"{name}: runs / one-event requests"
            least = POSTS_SHARES.get(name) if clients == 64 else None
            section.ratio(name, "Athena, `POST /directives` (requests/s)", label=label, at_least=least)
        sections.append(section)
    sections[-1].notes.append(
        f"A run is {EVENTS_PER_RUN} events in two commits. Asynchronous ones count once all have ended; their p50 and"
        " p99 are those of the 202."
    )
    sections.append(_in_sessions(bench, athena))
    bench.stop()
    return sections


def _in_sessions(bench: Bench, athena: Server) -> Section:
    """Measure runs in a session with a full context, beside runs in separate sessions."""
    section = Section("runs-session", "Mock runs in a session with a full context, 1 client", "runs/s", {}, [], [])
    variants = {"new sessions": {"input": WORDS}, "a full session": fill(athena)}
    paths = ("/api/v1/runs",)
    section.measure(
        bench.rounds,
        {
            name: bench.load(athena, "asked", 1, paths=paths, body=msgspec.json.encode(body).decode())
            for name, body in variants.items()
        },
    )
    label = "CPU time each: a full session / new sessions"
    section.ratio("a full session", "new sessions", figure="cpu_us", label=label)
    section.notes.append(f"The session holds {FILLING_RUNS} runs when it begins: more than a context takes.")
    return section


def fill(server: Server) -> dict[str, str]:
    """Fill the context of a session. Return the body of one more run in it."""
    body = {"sessionId": "full", "input": WORDS}
    for _ in range(FILLING_RUNS):
        _post(server, "/runs", body)
    return body


def flows(bench: Bench) -> list[Section]:
    """Measure workflows of mock steps, sequentially and concurrently."""
    athena = bench.server("athena")
    profile = _post(athena, "/harness-profiles", PROFILE)["id"]
    directive = _post(athena, "/directives", {"input": "hello"})["id"]
    steps = [{"id": f"s{n}", "directiveId": directive, "harnessProfileId": profile} for n in range(FLOW_STEPS)]
    edges = [{"from": f"s{n}", "to": f"s{n + 1}"} for n in range(FLOW_STEPS - 1)]
    sections = []
    shapes: tuple[tuple[str, list[dict[str, str]], int], ...] = (("chain", edges, 1), ("fan", [], 64))
    for shape, dependencies, clients in shapes:
        definition = {"steps": steps, "dependencies": dependencies}
        workflow_id = _post(athena, "/workflows", {"definition": definition})["id"]
        who = f"{clients} clients" if clients > 1 else "1 client"
        section = Section(f"flow-{shape}", f"A workflow of {FLOW_STEPS} mock steps, {shape}", "steps/s", {}, [], [])
        runs_name = f"Athena, synchronous runs, {who} (runs/s)"
        variants = {
            f"Athena, {shape}": _flow(bench, athena, workflow_id),
            runs_name: bench.load(athena, "runs", clients),
        }
        section.measure(bench.rounds, variants)
        section.ratio(f"Athena, {shape}", runs_name, label=f"steps of a {shape} / runs, {who}", at_least=FLOW_SHARE)
        sections.append(section)
    sections[-1].notes.append("From the POST to the answer of the workflow run that is through; each step is a run.")
    bench.stop()
    return sections


def _flow(bench: Bench, athena: Server, workflow_id: str) -> Callable[[], dict[str, float]]:
    def measure() -> dict[str, float]:
        disk = bench.sync()
        settled(athena)
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < bench.seconds or not steps:
            run = _post(athena, f"/workflows/{workflow_id}/run", {})
            if run["status"] != "ok":
                raise Failed(f"workflow run {run['id']} is {run['status']}")
            steps += FLOW_STEPS
        return {"rate": steps / (time.perf_counter() - began)} | disk

    return measure


def _post(server: Server, path: str, body: object) -> Any:
    """Return the data of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=FLOW_SECONDS_MAX)
    try:
        connection.request("POST", f"/api/v1{path}", msgspec.json.encode(body))
        return msgspec.json.decode(connection.getresponse().read())["data"]
    finally:
        connection.close()


def tokens(bench: Bench) -> list[Section]:
    """Measure from the first token of a model to the subscriber of the transcript."""
    port = free_port()
    athena = bench.server("athena", settings=_settings(port))

    def measure(sessions: int) -> Callable[[], dict[str, float]]:
        def one() -> dict[str, float]:
            disk = bench.sync()
            settled(athena)
            spec = talk.Spec(
                kind="first",
                port=athena.port,
                pid=athena.pid,
                model_port=port,
                sessions=sessions,
                seconds=bench.seconds,
                tokens=TOKENS,
                pause_ms=PAUSE_MS,
            )
            result = talk.measured(spec)
            if result.errors:
                raise Failed(f"tokens, {sessions} sessions: {result.errors} errors")
            return {
                "rate": result.rate,
                "cpu_us": result.cpu_us,
                "p50_ms": result.p50_ms,
                "p99_ms": result.p99_ms,
                "load_cpu": result.load_cpu,
            } | disk

        return one

    title = f"First token to the subscriber of a transcript, {TOKENS} tokens {PAUSE_MS} ms apart"
    section = Section("tokens", title, "tokens/s", {}, [], [])
    section.measure(bench.rounds, {"1 session": measure(1), "16 sessions": measure(16)})
    section.limit("1 session", "p99_ms", FIRST_TOKEN_MS)
    section.limit("16 sessions", "p99_ms", FIRST_TOKEN_MS)
    section.notes.append(
        "From the moment the stub of a model writes its first token until the subscriber of that session has read it"
        " (p50 and p99); CPU time is that of a token, its share of the run included."
    )
    bench.stop()
    return [section]


def crowd(bench: Bench) -> list[Section]:
    """Measure many concurrent runs with a slow model, in repeated waves, in one process."""
    port = free_port()
    athena = bench.server("counted", settings=_settings(port))
    seconds = CROWD_TOKENS * CROWD_PAUSE_MS / 1000
    title = f"{bench.size.crowd} runs at once in one process, each with a model that takes {seconds:.0f} s"
    section = Section("crowd", title, "runs/s", {}, [], [])
    spec = talk.Spec(
        kind="crowd",
        port=athena.port,
        pid=athena.pid,
        model_port=port,
        sessions=bench.size.crowd,
        tokens=CROWD_TOKENS,
        pause_ms=CROWD_PAUSE_MS,
    )
    for _ in range(FILLING):
        bench.load(athena, "directives", 64)()
    settled(athena)
    for wave in range(1, WAVES + 1):
        found = talk.crowded(spec)
        if found.errors or found.at_once < bench.size.crowd:
            raise Failed(f"crowd: {found.errors} errors, {found.at_once} runs at once")
        settled(athena)
        section.samples[f"wave {wave}"] = {
            "rate": [found.runs / found.seconds],
            "at_once": [found.at_once],
            "peak_mib": [found.peak_mib],
            "objects": [objects(athena)],
            "rest_mib": [resident_kib(athena.pid) / 1_024],
        }
    for figure, of in (("rest_mib", "memory"), ("objects", "objects")):
        label = f"{of} after wave {WAVES} / after wave 2"
        section.ratio(f"wave {WAVES}", "wave 2", figure=figure, label=label, at_most=GROWTH_MAX)
    section.notes.append(
        "The sessions are those of the first wave; the caches of the database are full before it. Objects are those"
        " that Python's collector tracks."
    )
    bench.stop()
    return [section]


def _settings(port: int) -> dict[str, str]:
    return {
        "default_provider": "openai",
        "default_model": "stub",
        "openai_base_url": f"http://127.0.0.1:{port}/v1",
        "openai_api_key": "none",
    }


def objects(server: Server) -> float:
    """Return the number of objects of a server, after garbage collection."""
    path = server.directory / OBJECTS
    path.unlink(missing_ok=True)
    os.kill(server.pid, signal.SIGUSR1)
    while not path.exists():
        time.sleep(0.01)
    return float(path.read_text("ascii"))


RUNS: dict[str, Callable[[Bench], list[Section]]] = {"runs": runs, "flows": flows, "tokens": tokens, "crowd": crowd}
