"""The command: ``python -m benchmarks`` measures, prints tables, and leaves the figures as JSON beside them."""

import argparse
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.identity import IDENTITIES
from benchmarks.limits import LIMITS
from benchmarks.machine import described, load_average
from benchmarks.memory import MEMORY
from benchmarks.queues import QUEUES
from benchmarks.report import Report
from benchmarks.runs import RUNS
from benchmarks.scenarios import DEADLINE_MS, SCENARIOS, Bench, Failed
from benchmarks.schedules import SCHEDULES

ALL = {**SCENARIOS, **RUNS, **LIMITS, **IDENTITIES, **QUEUES, **SCHEDULES, **MEMORY}
RESULTS = Path(__file__).resolve().parent / "results"
ASSERTED = 10.0  # the machine may be busy: only ten times the deadline fails


class Size(NamedTuple):
    """How much is measured."""

    seconds: float
    feed_events: int
    replay_events: int
    crowd: int
    fleet_runs: int
    schedules: int
    memory_chunks: int


SIZES = {
    "ci": Size(
        seconds=0.5,
        feed_events=20_000,
        replay_events=50_000,
        crowd=100,
        fleet_runs=20_000,
        schedules=1_000,
        memory_chunks=10_000,
    ),
    "full": Size(
        seconds=2.5,
        feed_events=100_000,
        replay_events=1_000_000,
        crowd=500,
        fleet_runs=1_000_000,
        schedules=10_000,
        memory_chunks=100_000,
    ),
}


def main() -> int:
    """Measure; fail if something was wrong, not if it was slow (but for ten times the product's deadline)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Athena beside its ceilings.")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    parser.add_argument("--seconds", type=float, help="seconds a variant and round (default: by size)")
    parser.add_argument("--only", action="append", choices=ALL, help="only this; may be repeated")
    parser.add_argument("--size", choices=SIZES, default="full", help="how much (default: full)")
    arguments = parser.parse_args()
    if platform.system() != "Linux":
        parser.error("the benchmarks pin processes and read CPU times as only Linux lets them")
    RESULTS.mkdir(exist_ok=True)
    size = SIZES[arguments.size]
    seconds = arguments.seconds or size.seconds
    place = Path(tempfile.mkdtemp(prefix="work-", dir=RESULTS))
    bench = Bench(
        place,
        rounds=arguments.rounds,
        seconds=seconds,
        feed_events=size.feed_events,
        replay_events=size.replay_events,
        crowd=size.crowd,
        fleet_runs=size.fleet_runs,
        schedules=size.schedules,
        memory_chunks=size.memory_chunks,
    )
    report = Report(
        machine=described(place),
        rounds=arguments.rounds,
        seconds=seconds,
        events=size.replay_events,
        load_average=[load_average()],
        sync_ms=bench.syncs,
        sections=[],
    )
    try:
        for name in arguments.only or ALL:
            for section in ALL[name](bench):
                report.sections.append(section)
                print("\n".join(section.lines()), end="\n\n", flush=True)
    except Failed as failed:
        print(f"Wrong: {failed}", file=sys.stderr)
        return 1
    finally:
        bench.stop()
        shutil.rmtree(place, ignore_errors=True)
    report.load_average.append(load_average())
    print("\n".join(report.head()))
    path = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    print(f"\nFigures: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    for section in report.sections:
        for ratio in section.ratios:
            if section.name == "stream" and ratio.goal == DEADLINE_MS and ratio.median > DEADLINE_MS * ASSERTED:
                print(f"Wrong: {ratio.label} is over ten times its deadline", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
