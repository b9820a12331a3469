"""The command ``python -m benchmarks.peers``: installs each peer, measures it beside Athena, and prints tables."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from benchmarks.__main__ import RESULTS, SIZES
from benchmarks.machine import described, load_average
from benchmarks.peers.lab import Lab
from benchmarks.peers.nats import nats
from benchmarks.peers.program import Missing
from benchmarks.peers.services import dbos, langgraph, prefect, restate, streams
from benchmarks.report import Report, Section
from benchmarks.scenarios import Bench, Failed

PEERS: dict[str, Callable[[Lab], Iterable[Section]]] = {
    "prefect": prefect,
    "restate": restate,
    "dbos": dbos,
    "langgraph": langgraph,
    "nats": nats,
    "streams": streams,
}


def main() -> int:
    """Measure the peers one after another. Report a missing peer with the reason, and fail."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description="Measure Athena beside its peers.")
    parser.add_argument("--only", action="append", choices=PEERS, help="peer to measure; may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    parser.add_argument("--seconds", type=float, default=2.5, help="seconds per variant and round (default: 2.5)")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="work-", dir=RESULTS))
    bench = Bench(place, SIZES["full"]._replace(rounds=arguments.rounds, seconds=arguments.seconds))
    lab = Lab(bench)
    report = Report(described(place), arguments.rounds, arguments.seconds, 0, [load_average()], bench.syncs, [])
    missing = 0
    try:
        for name in arguments.only or PEERS:
            try:
                for section in PEERS[name](lab):
                    report.sections.append(section)
                    print("\n".join(section.lines()), end="\n\n", flush=True)
            except (Missing, Failed) as why:
                missing += 1
                print(f"### {name}\n\nNot measured: {why}\n", flush=True)
            finally:
                lab.stop()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    report.load_average.append(load_average())
    print("\n".join([*report.head(), "", *lab.lines]))
    (RESULTS / time.strftime("peers-%Y%m%d-%H%M%S.json")).write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
