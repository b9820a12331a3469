"""The scenario of the proof: `athena verify` of a long log, on one core and on all, in files and in PostgreSQL."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec

from athena_core.services.proof.ranges import EVENTS_MIN
from benchmarks.history import write, written
from benchmarks.machine import cores
from benchmarks.postgres import databases
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed

ROOT = Path(__file__).resolve().parents[1]
DATABASE_SHARE = 10
TIMES_BASE, TIMES_MORE_CORES = 2.0, 1.1
MICRO = 1_000_000


def verified(settings: Mapping[str, str], code: Path, kept: frozenset[int]) -> dict[str, float]:
    """Run the command of a checkout on some cores. The rate excludes the start."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(code), **settings}
    with subprocess.Popen(
        [sys.executable, "-m", "athena_cli", "verify"],
        cwd=code,
        env=environment,
        stdout=subprocess.PIPE,
        preexec_fn=partial(os.sched_setaffinity, 0, kept),  # noqa: PLW1509 - no threads here
    ) as process:
        assert process.stdout is not None
        report = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"athena verify of {code} exited with code {process.returncode}")
    found = msgspec.json.decode(report)
    events = found["head"]
    return {
        "rate": events / found["seconds"],
        "cpu_us": (usage.ru_utime + usage.ru_stime) * MICRO / events,
        "peak_mib": usage.ru_maxrss / 1_024,
    }


def variants(settings: Mapping[str, str], base: Path | None) -> dict[str, Callable[[], dict[str, float]]]:
    """Return the variants: the command on one core, on all cores, and from the base checkout."""
    one, every = frozenset(cores()[:1]), frozenset(os.sched_getaffinity(0))
    found: dict[str, Callable[[], dict[str, float]]] = {
        "one core": partial(verified, settings, ROOT, one),
        f"all cores ({len(every)})": partial(verified, settings, ROOT, every),
    }
    if base is not None:
        found["base, one core"] = partial(verified, settings, base, one)
        found["base, all cores"] = partial(verified, settings, base, every)
    return found


def measured(bench: Bench, name: str, events: int, settings: Mapping[str, str]) -> Section:
    """Measure the verification of one log."""
    section = Section(f"proof-{name}", f"`athena verify`, {events:,} events in {name}", "events/s", {}, [], [])
    found = variants(settings, bench.base)
    section.measure(bench.rounds, found)
    one, every, *older = found
    long = events >= EVENTS_MIN
    section.ratio(every, one, at_least=TIMES_MORE_CORES if long and len(os.sched_getaffinity(0)) > 1 else None)
    if older:
        section.ratio(one, older[0], at_least=TIMES_BASE if long else None)
        section.ratio(every, older[1], at_least=TIMES_BASE if long else None)
    section.notes.append("The chain is proven by one process for each further core; the rules by one process.")
    return section


def in_files(bench: Bench) -> Section:
    """Measure a long log in files."""
    directory = written(bench.place("proof"), bench.size.replay_events)
    return measured(bench, "files", bench.size.replay_events, {"ATHENA_STATE_DIR": str(directory)})


def proof(bench: Bench) -> Iterator[Section]:
    """Measure a long log in files, and a log of a tenth of the size in a database."""
    yield in_files(bench)
    events = bench.size.replay_events
    with databases(bench) as found:
        url, place = found.settings()["database_url"], bench.place("proof-database")
        write(place, events // DATABASE_SHARE, url=url)
        settings = {"ATHENA_STATE_DIR": str(place), "ATHENA_DATABASE_URL": url}
        yield measured(bench, "PostgreSQL", events // DATABASE_SHARE, settings)


PROOF = {"proof": proof}
