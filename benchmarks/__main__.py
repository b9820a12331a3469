"""The command ``python -m benchmarks``: measures, prints tables, and writes the figures as JSON."""

import argparse
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from benchmarks.access_tokens import ACCESS_TOKENS
from benchmarks.asks import ASKS
from benchmarks.beside import BESIDE
from benchmarks.boxes import BOXES
from benchmarks.commands import COMMANDS
from benchmarks.fanout import FANOUTS
from benchmarks.footprint import FOOTPRINTS
from benchmarks.gateways import GATEWAYS
from benchmarks.identity import IDENTITIES
from benchmarks.limits import LIMITS
from benchmarks.machine import described, load_average
from benchmarks.memory import MEMORY
from benchmarks.paired import PAIRED, PARTS
from benchmarks.past import PAST
from benchmarks.postgres import POSTGRES
from benchmarks.proof import PROOF
from benchmarks.queues import QUEUES
from benchmarks.reads import READS
from benchmarks.report import Report, Section
from benchmarks.runs import RUNS
from benchmarks.scenarios import DEADLINE_MS, SCENARIOS, Bench, Failed, Size, ceilings
from benchmarks.schedules import SCHEDULES
from benchmarks.shares import SHARES

ALL: dict[str, Callable[[Bench], Iterable[Section]]] = {
    **SCENARIOS,
    **RUNS,
    **FANOUTS,
    **READS,
    **LIMITS,
    **IDENTITIES,
    **ACCESS_TOKENS,
    **QUEUES,
    **ASKS,
    **BOXES,
    **COMMANDS,
    **GATEWAYS,
    **SCHEDULES,
    **MEMORY,
    **FOOTPRINTS,
    **BESIDE,
    **SHARES,
    **PROOF,
    **PAST,
    **POSTGRES,
}
AGAIN = PAIRED
"""Scenarios that measure parts of others again, so they run only when they are asked for."""

RESULTS = Path(__file__).resolve().parent / "results"
ASSERTED = 10.0  # the machine may be busy, so only ten times the deadline fails


SIZES = {
    "quick": Size(
        seconds=0.1,
        rounds=1,
        feed_events=2_000,
        replay_events=2_000,
        crowd=10,
        fleet_runs=2_000,
        schedules=200,
        memory_chunks=1_000,
        subscribers=(20,),
        growth_events=20_000,
        beside_events=5_000,
        past_events=20_000,
        mixed_minutes=0.05,
    ),
    "short": Size(
        seconds=1.0,
        rounds=5,
        feed_events=20_000,
        replay_events=200_000,
        crowd=100,
        fleet_runs=20_000,
        schedules=1_000,
        memory_chunks=10_000,
        subscribers=(100,),
        growth_events=50_000,
        beside_events=50_000,
        past_events=100_000,
        mixed_minutes=0.5,
    ),
    "ci": Size(
        seconds=0.5,
        rounds=5,
        feed_events=20_000,
        replay_events=50_000,
        crowd=100,
        fleet_runs=20_000,
        schedules=1_000,
        memory_chunks=10_000,
        subscribers=(100, 1_000),
        growth_events=50_000,
        beside_events=50_000,
        past_events=100_000,
        mixed_minutes=0.5,
    ),
    "full": Size(
        seconds=2.5,
        rounds=5,
        feed_events=100_000,
        replay_events=1_000_000,
        crowd=500,
        fleet_runs=1_000_000,
        schedules=10_000,
        memory_chunks=100_000,
        subscribers=(100, 1_000, 5_000),
        growth_events=1_000_000,
        beside_events=150_000,
        past_events=1_000_000,
        mixed_minutes=8,
    ),
}


def main() -> int:
    """Measure. Fail if a result is wrong, or ten times slower than the product's deadline."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Athena beside its ceilings.")
    parser.add_argument("--size", choices=SIZES, default="full", help="size of the measurements (default: full)")
    parser.add_argument("--only", action="append", choices=ALL | AGAIN, help="scenario to measure; may be repeated")
    parser.add_argument("--part", action="append", choices=PARTS, help="part of `paired` to measure; may be repeated")
    parser.add_argument("--base", type=Path, help="checkout of an older release to measure in the same rounds")
    parser.add_argument("--python", default="", help="another interpreter to measure in `paired`, with all packages")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default: by size, 5 but for quick)")
    parser.add_argument("--seconds", type=float, help="seconds per variant and round (default: by size)")
    parser.add_argument("--growth-events", type=int, help="events in the long log of `growth` (default: by size)")
    parser.add_argument("--mixed-minutes", type=float, help="duration of the mixed load (default: by size)")
    parser.add_argument("--mixed-rate", type=int, help="requests a second of the mixed load (default: 100)")
    arguments = parser.parse_args()
    if platform.system() != "Linux":
        parser.error("the benchmarks require Linux, because they pin processes and read CPU times")
    RESULTS.mkdir(exist_ok=True)
    asked = ("rounds", "seconds", "growth_events", "mixed_minutes", "mixed_rate")
    size = SIZES[arguments.size]._replace(**{name: got for name in asked if (got := getattr(arguments, name))})
    place = Path(tempfile.mkdtemp(prefix="work-", dir=RESULTS))
    base = arguments.base.resolve() if arguments.base else None
    bench = Bench(place, size, base=base, python=arguments.python, parts=arguments.part or ())
    report = Report(
        machine=described(place),
        rounds=size.rounds,
        seconds=size.seconds,
        events=size.replay_events,
        load_average=[load_average()],
        sync_ms=bench.syncs,
        sections=[],
    )
    try:
        report.ceilings = ceilings(bench)
        for name in arguments.only or ALL:
            for section in (ALL | AGAIN)[name](bench):
                report.sections.append(section)
                print("\n".join(section.lines()), end="\n\n", flush=True)
    except Failed as failed:
        print(f"Wrong: {failed}", file=sys.stderr)
        return 1
    finally:
        bench.stop()
        shutil.rmtree(place, ignore_errors=True)
    report.load_average.append(load_average())
    print("\n".join([*report.head(), "", *report.goals()]))
    path = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    print(f"\nFigures: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    for section in report.sections:
        for ratio in section.ratios:
            if section.name == "stream" and ratio.goal == DEADLINE_MS and ratio.median > DEADLINE_MS * ASSERTED:
                print(f"Wrong: {ratio.label} took more than ten times its deadline", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
