"""The scenarios of limits: what an admission costs under a policy, and a fleet's summary once it has grown."""

import time
from collections.abc import Callable

import msgspec

from benchmarks import loops
from benchmarks.history import written
from benchmarks.report import Section
from benchmarks.runs import EVENTS_PER_RUN
from benchmarks.scenarios import Bench, Failed, settled

CLIENTS = 16
UNDER_POLICY_MAX = 1.15
GROWN_MAX = 1.5
SMALL_RUNS = 1_000
SUMMARIES = 500
POLICY = {
    "schemaVersion": 1,
    "maxConcurrentRuns": 10_000,
    "limits": [
        {"scope": "provider", "max": 10_000, "strategy": "enqueue"},
        {"scope": "provider", "key": "openai", "max": 5, "strategy": "reject"},
        {"scope": "session", "max": 1, "strategy": "enqueue"},
        {"scope": "harness-profile", "max": 100, "strategy": "reject"},
    ],
    "costBudgetDailyUsd": 1_000_000,
    "retryBudgetPerRun": 3,
    "defaultRunTimeoutMs": 60_000,
}
SUMMARY = b"GET /api/v1/fleet/summary HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def policy(bench: Bench) -> list[Section]:
    """Mock runs under a policy with a limit of every kind, and under none."""
    free, limited = bench.server("athena"), bench.server("athena")
    body = msgspec.json.encode(POLICY)
    head = f"PUT /api/v1/policy HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    if b'"ok":true' not in (answer := limited.get(head.encode() + body)):
        raise Failed(f"the policy was not put: {answer[:500].decode(errors='replace')}")
    title = f"Mock runs to completion under a policy, {CLIENTS} clients"
    section = Section("policy", title, "runs/s", {}, [], [])
    section.measure(
        bench.rounds,
        {
            "Athena, no policy": bench.load(free, "runs", CLIENTS),
            "Athena, a limit of every kind": bench.load(limited, "runs", CLIENTS),
        },
    )
    limits, none = "Athena, a limit of every kind", "Athena, no policy"
    label = f"CPU time each: {limits} / {none}"
    section.ratio(limits, none, figure="cpu_us", label=label, at_most=UNDER_POLICY_MAX)
    bench.stop()
    return [section]


def fleet(bench: Bench) -> list[Section]:
    """The summary of a fleet of a thousand runs, and of one that is as large as the log of a replay."""

    def ask(events: int) -> Callable[[], dict[str, float]]:
        directory = written(bench.place(f"fleet-{events}"), events)
        loops.measured("replay", directory)
        server = bench.server("athena", directory)
        settled(server)

        def measure() -> dict[str, float]:
            took = []
            for _ in range(SUMMARIES):
                began = time.perf_counter()
                if b'"ok":true' not in server.get(SUMMARY):
                    raise Failed("no summary")
                took.append(time.perf_counter() - began)
            took.sort()
            return {"rate": len(took) / sum(took), "p50_ms": took[len(took) // 2] * 1e3, "p99_ms": took[-5] * 1e3}

        return measure

    small, large = SMALL_RUNS * EVENTS_PER_RUN, bench.replay_events
    few, many = f"Athena, {SMALL_RUNS:,} runs", f"Athena, {large // EVENTS_PER_RUN:,} runs"
    section = Section("fleet", "`GET /api/v1/fleet/summary`, one connection each", "requests/s", {}, [], [])
    section.measure(bench.rounds, {few: ask(small), many: ask(large)})
    section.ratio(many, few, figure="p50_ms", label=f"p50: {many} / {few}", at_most=GROWN_MAX)
    bench.stop()
    return [section]


LIMITS: dict[str, Callable[[Bench], list[Section]]] = {"policy": policy, "fleet": fleet}
