"""The scenarios of limits: the cost of an admission under a policy, and of the summary of a large fleet."""

from collections.abc import Callable

from benchmarks import loops
from benchmarks.history import with_runs
from benchmarks.load import put
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed, settled

CLIENTS = 16
FEW_RUNS = 1_000
MANY = 10_000_000
POLICY_COST = 1.15
FLEET_COST = 1.5
POLICY = {
    "schemaVersion": 1,
    "maxConcurrentRuns": MANY,
    "limits": [
        {"scope": "session", "max": MANY, "strategy": "enqueue"},
        {"scope": "provider", "max": MANY, "strategy": "reject"},
        {"scope": "provider", "key": "openai", "max": 5, "strategy": "reject"},
        {"scope": "harness-profile", "max": MANY, "strategy": "enqueue"},
    ],
    "defaultRunTimeoutMs": 60_000,
    "retryBudgetPerRun": 3,
    "costBudgetDailyUsd": 1_000_000,
}
"""Every limit that an admission checks; none is reached."""


def policy(bench: Bench) -> list[Section]:
    """Measure an admission with and without a policy."""
    free, twin, bound = (bench.server("athena", settings={"executor": "off"}) for _ in range(3))
    answer = bound.get(put("/api/v1/policy", POLICY, "connection: close"))
    if not answer.startswith(b"HTTP/1.1 200"):
        raise Failed(f"policy: {answer[:500].decode(errors='replace')}")
    section = Section("policy", f"Admission of runs, {CLIENTS} clients", "requests/s", {}, [], [])
    section.measure(
        bench.rounds,
        {
            "no policy": bench.load(free, "admissions", CLIENTS),
            "no policy, twin": bench.load(twin, "admissions", CLIENTS),
            "a policy with every limit": bench.load(bound, "admissions", CLIENTS),
        },
    )
    label = "CPU time each: a policy / none"
    section.ratio("a policy with every limit", "no policy", figure="cpu_us", label=label, at_most=POLICY_COST)
    section.ratio("no policy", "no policy, twin", figure="cpu_us", label="A/A, CPU time each: none / its twin")
    section.notes.append("`POST /runs` with `Prefer: respond-async`; the accepted runs are not executed.")
    bench.stop()
    return [section]


def fleet(bench: Bench) -> list[Section]:
    """Measure the summary of many runs beside the summary of a few."""
    variants: dict[str, Callable[[], dict[str, float]]] = {}
    for name, runs in ((f"{FEW_RUNS:,} runs", FEW_RUNS), ("the same, twin", FEW_RUNS), ("", bench.size.fleet_runs)):
        directory = with_runs(bench.place("fleet"), runs)
        loops.measured("replay", directory)
        server = bench.server("athena", directory)
        settled(server)
        variants[name or f"{runs:,} runs"] = bench.load(server, "summary", 1)
    few, twin, many = variants
    section = Section("fleet", "`GET /api/v1/fleet/summary`, 1 client", "requests/s", {}, [], [])
    section.measure(bench.rounds, variants)
    label = f"CPU time each: {many} / {few}"
    section.ratio(many, few, figure="cpu_us", label=label, at_most=FLEET_COST)
    section.ratio(few, many, label=f"time each: {many} / {few}", at_most=FLEET_COST)
    section.ratio(few, twin, figure="cpu_us", label=f"A/A, CPU time each: {few} / their twin")
    bench.stop()
    return [section]


LIMITS: dict[str, Callable[[Bench], list[Section]]] = {"policy": policy, "fleet": fleet}
