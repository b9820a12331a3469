"""The scenario of the past: reads as of random positions beside the same reads at the head, and what the past costs.

``python -m benchmarks.past DIRECTORY BLOCK_EVENTS`` rebuilds views with blocks of this size and prints ``Rebuilt`` as
JSON.
"""

import http.client
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from athena_core.clock import SystemClock
from athena_core.domain import EVENTS
from athena_core.log.codec import Codec
from athena_core.log.sqlite.reader import SqliteArchive
from athena_core.log.sqlite.views import SqliteDatabases
from athena_core.system import gc_tuning
from benchmarks import loops
from benchmarks.history import written
from benchmarks.machine import cores, cpu_seconds, pin
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed, settled
from benchmarks.server import Server
from projections import ALL
from projections.engine import generation
from projections.engine.projection import BLOCK_EVENTS
from projections.engine.projector import Projector

ONE, SOME = "one", "some"
READS = (
    ("one run", "/runs/{run}", ONE),
    ("one session", "/sessions/{session}", ONE),
    ("a transcript", "/sessions/{session}/transcript?limit=100", ONE),
    ("50 runs", "/runs?limit=50", SOME),
    ("50 runs of a status", "/runs?limit=50&status=completed", SOME),
    ("running runs", "/runs?limit=50&status=running", SOME),
    ("the fleet", "/fleet/summary", SOME),
)
"""The reads: their names, paths, and whether they show one object."""
COLD_MS, WARM_MS, LIST_MS = 100.0, 20.0, 300.0
TIMES_VIEWS, TIMES_REBUILD = 1.1, 1.25
PLACES = 8
"""Number of positions of a round at which each path is read."""
APART = 4
"""Number of blocks that must be read in between before a read of a block counts as the first one again."""
NO_BLOCK = 1 << 62
"""A size of blocks with which no block ends, so that nothing is added to the past."""
SELECT_RUN = "SELECT run_id, session_id FROM log WHERE position <= ? AND run_id <> '' ORDER BY position DESC LIMIT 1"


class Moment(NamedTuple):
    """A position, a run before it, and two more positions of its block: a later and an earlier one."""

    position: int
    run: str
    session: str
    later: int
    earlier: int


class Rebuilt(msgspec.Struct):
    """The events of a rebuild, its wall and CPU seconds, and the bytes of the views."""

    events: int
    seconds: float
    cpu_seconds: float
    size: int


def past(bench: Bench) -> Iterator[Section]:
    """Measure reads as of random positions, then rebuilds and sizes of views with and without the past."""
    directory = written(bench.place("past"), bench.size.past_events, "mixed")
    yield _rebuilds(bench, directory)
    loops.measured("replay", directory)
    server = bench.server("athena", directory)
    settled(server)
    title = f"Reads as of random positions among {bench.size.past_events:,} events, CPU time of the server"
    section = Section("past-reads", title, "", {name: {} for name, _, _ in READS}, [], [])
    chosen = _moments(directory, bench.size.past_events)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for _ in range(bench.rounds * PLACES):
        for name, path, _ in READS:
            for figure, spent in _read(server, connection, path, next(chosen)):
                section.samples[name].setdefault(figure, []).append(spent)
    connection.close()
    for name, _, kind in READS:
        section.most(name, "cold_ms", COLD_MS if kind == ONE else LIST_MS)
        for figure in ("again_ms", "later_ms", "earlier_ms") if kind == ONE else ():
            section.most(name, figure, WARM_MS, beyond="head_ms")
    section.notes.append(
        "The first read is in another block than the reads before it; the other three follow it. Each position is read"
        " once, so a goal is met if no position misses it."
    )
    bench.stop()
    yield section


def _moments(directory: Path, events: int) -> Iterator[Moment]:
    """Yield random moments, each in another block than those shortly before."""
    chosen, recent = random.Random(events), list[int]()
    log = apsw.Connection(str(directory / "log.db"), flags=apsw.SQLITE_OPEN_READONLY)
    while True:
        position = chosen.randrange(BLOCK_EVENTS // 2, events)
        begun = position - position % BLOCK_EVENTS
        if begun in recent and events > BLOCK_EVENTS * APART * 2:
            continue
        recent = [*recent, begun][-APART:]
        ((run, session),) = log.execute(SELECT_RUN, (chosen.randint(BLOCK_EVENTS // 2, position),))
        last = min(begun + BLOCK_EVENTS - 1, events)
        later, earlier = chosen.randint(position, last), chosen.randint(max(begun, 1), position)
        yield Moment(position, str(run), str(session), later, earlier)


def _read(
    server: Server, connection: http.client.HTTPConnection, template: str, moment: Moment
) -> Iterator[tuple[str, float]]:
    """Yield the CPU milliseconds of a read at the head and as of the positions of a moment."""
    path = "/api/v1" + template.format(run=moment.run, session=moment.session)
    path += f"{'&' if '?' in path else '?'}place={moment.position}"  # an unknown parameter: no cached answer fits
    for figure, position in (
        ("head_ms", None),
        ("cold_ms", moment.position),
        ("again_ms", moment.position),
        ("later_ms", moment.later),
        ("earlier_ms", moment.earlier),
    ):
        began = cpu_seconds(server.pid)
        connection.request("GET", path if position is None else f"{path}&asOf={position}")
        response = connection.getresponse()
        content = response.read()
        if response.status != http.HTTPStatus.OK and figure != "earlier_ms":  # there the run may not have been
            raise Failed(f"{path} as of {position}: {content[:500]!r}")
        yield figure, (cpu_seconds(server.pid) - began) * 1e3


def rebuilt(directory: Path, block_events: int) -> Rebuilt:
    """Rebuild all views of a log in a file of their own."""
    gc_tuning.tune_gc()
    path = directory / f"views-{block_events}.db"
    archive = SqliteArchive(directory / "log.db").reader()
    connection = SqliteDatabases().write(path)
    generation.create(connection, ALL, archive.log_id, 0)
    projector = Projector(connection, ALL, archive, Codec(EVENTS).decode, SystemClock(), block_events=block_events)
    stopwatch = loops.Stopwatch()
    while projector.step() is not None:
        pass
    done = stopwatch.done(projector.position, {})
    connection.close()
    archive.close()
    with apsw.Connection(str(path)) as file:
        file.execute("PRAGMA wal_checkpoint(truncate)")
    found = Rebuilt(done.events, done.seconds, done.cpu_seconds, path.stat().st_size)
    path.unlink()
    return found


def _rebuilds(bench: Bench, directory: Path) -> Section:
    """Measure rebuilds with and without the past."""

    def rebuild(block_events: int) -> dict[str, float]:
        command = [sys.executable, "-m", "benchmarks.past", str(directory), str(block_events)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, preexec_fn=lambda: pin(cores()[0]))  # noqa: PLW1509
        found = msgspec.json.decode(done.stdout, type=Rebuilt)
        return {
            "rate": found.events / found.seconds,
            "cpu_us": found.cpu_seconds / found.events * 1e6,
            "views_mib": found.size / 2**20,
        }

    section = Section("past-views", f"Rebuild of {bench.size.past_events:,} events", "events/s", {}, [], [])
    variants: dict[str, Callable[[], dict[str, float]]] = {
        "with the past": partial(rebuild, BLOCK_EVENTS),
        "without": partial(rebuild, NO_BLOCK),
    }
    section.measure(bench.rounds, variants)
    over, under = variants
    label = "MiB of views: with / without"
    section.ratio(over, under, figure="views_mib", label=label, at_most=TIMES_VIEWS)
    section.ratio(over, under, figure="cpu_us", label="CPU time each: with / without", at_most=TIMES_REBUILD)
    section.notes.append("The runs of 40 sessions take turns, so each edge of a block is within about 40 runs.")
    return section


def main() -> None:
    """Rebuild the views of the arguments."""
    directory, block_events = sys.argv[1:3]
    sys.stdout.write(msgspec.json.encode(rebuilt(Path(directory), int(block_events))).decode())


PAST: dict[str, Callable[[Bench], Iterable[Section]]] = {"past": past}

if __name__ == "__main__":
    main()
