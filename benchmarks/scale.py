"""A simulation of many runs a second: which part is full first with one log, with workers without one, with many logs.

``python -m benchmarks.scale`` prints the table of docs/why/scale.md. It measures nothing: ``Costs`` holds what was
measured or estimated before.
"""

import math
import random
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

SECONDS, WARM_UP_SECONDS = 8.0, 4.0
BATCH_MAX = 512
BUSY = 0.7
"""The share of its core that a worker uses, where the number of workers is chosen."""

RATES = (1_000, 10_000, 100_000)
SECOND = 1_000_000
SEED = 7


class Costs(NamedTuple):
    """The costs of a mock run, in µs of one core unless the name says otherwise."""

    accept: float = 90
    """Accept the request and answer it: the event loop's part of a POST."""

    execute: float = 180
    """Execute the run, without its events: the rest of the event loop's part."""

    decide: float = 170
    """Decide, encode and hash the events of the run: the writer's part without SQL."""

    insert: float = 50
    """Insert the rows: the part of the writer that holds the lock of the log."""

    follow: float = 285
    """Read, decode and fold the events of a run that another process wrote."""

    views: float = 150
    """Write the views of a run; one process of a log does it."""

    report: float = 40
    """Take the steps of a run in batches from a worker without a log (an estimate)."""

    commits: float = 3
    """Commits of a run: admission, lease, end."""

    file_ms: float = 0.3
    """A commit to a file, in ms: one sync."""

    database_ms: float = 1.8
    """A commit to a database, in ms: a round trip and one sync."""

    kilobytes: float = 11
    """Kilobytes that the events of a run write: once to the WAL, once to the log."""

    disk_mb: float = 1_000
    """Megabytes a second that a disk writes."""


class Design(NamedTuple):
    """A way to divide the work: who follows the log, and over how many logs the runs are spread."""

    name: str
    own_log: bool
    """Each worker writes to the log and follows it; else a server takes the steps of all."""

    logs: int = 1
    fullest: float = 0.0
    """The share of the runs in the fullest log; by default all logs have the same share."""

    alone: bool = False
    """One process does everything."""


class Outcome(NamedTuple):
    """The result of a simulation: the load of each part of a log, completed runs a second, and how long they took."""

    rate: float
    workers: int
    loads: Mapping[str, float]
    completed: float
    p99_ms: float

    @property
    def first(self) -> str:
        """Return the part with the highest load."""
        return max(self.loads, key=self.loads.__getitem__)


ALONE = Design("one process", own_log=True, alone=True)
FOLLOWED = Design("one log, workers follow it", own_log=True)
SERVED = Design("one log, workers need no log", own_log=False)
SPREAD = Design("100 logs, one a namespace, workers need no log", own_log=False, logs=100)
UNEVEN = SPREAD._replace(name="the same, a tenth of the runs in one namespace", fullest=0.1)
DESIGNS = (ALONE, FOLLOWED, SERVED, SPREAD, UNEVEN)
VIEWS = "the writer of the views"


def workers_for(design: Design, rate: float, costs: Costs) -> int:
    """Return the number of workers of one log. If following fills their cores, more of them do not help."""
    if design.alone:
        return 1
    each = costs.execute + (costs.accept + costs.decide if design.own_log else 0)
    room = SECOND * BUSY - (rate * costs.follow if design.own_log else 0)
    return math.ceil(rate * each / max(room, SECOND * BUSY / 10))


def loads(design: Design, rate: float, workers: int, costs: Costs) -> dict[str, float]:
    """Return the load of each part of one log: 1 is full."""
    accept, execute, decide, insert, follow, views, report = costs[:7]
    micros = {"the lock of the log": insert, VIEWS: follow + views}
    if design.alone:
        micros = {"the core of the process": accept + execute + decide + insert + views}
    elif design.own_log:
        micros["each worker"] = (accept + execute + decide + insert) / workers + follow * (1 - 1 / workers)
    else:
        micros |= {"the server's event loop": accept + report, "the server's writer": decide + insert}
        micros["each worker"] = execute / workers
    found = {name: rate * each / SECOND for name, each in micros.items()}
    return found | {"the disk": rate * costs.kilobytes / 1e3 / costs.disk_mb}


def simulate(design: Design, rate: float, costs: Costs | None = None) -> Outcome:
    """Let runs arrive at random for some seconds, and follow each run of the fullest log to its last commit."""
    costs = costs or Costs()
    part = design.fullest or 1 / design.logs
    share = rate * part
    workers = workers_for(design, share, costs)
    found = loads(design, share, workers, costs)
    slowest = max(load for name, load in found.items() if name != VIEWS)  # late views stop no run
    database = design.own_log and not design.alone
    delays, arrived = committed(
        arrivals(share, share / slowest),
        workers if database else 1,
        (costs.database_ms if database else costs.file_ms) / 1e3,
        costs.insert / costs.commits / SECOND,
        round(costs.commits),
    )
    late = max(0.0, 1 - len(delays) / arrived)
    elsewhere = (design.logs - 1) * workers_for(design, rate * (1 - part) / max(design.logs - 1, 1), costs)
    p99_ms = sorted(delays)[int(len(delays) * 0.99)] * 1e3 if delays else math.inf
    completed = rate * (1 - late * (part if design.fullest else 1))
    return Outcome(rate, workers + elsewhere, found, completed, p99_ms)


def arrivals(rate: float, possible: float) -> Iterator[tuple[float, float]]:
    """Yield when each run arrives, and when the fullest part is done with it, at most ``possible`` runs a second."""
    source = random.Random(SEED)
    now = done = 0.0
    while True:
        now += source.expovariate(rate)
        done = max(now, done) + 1 / possible
        yield now, done


def committed(
    runs: Iterator[tuple[float, float]], writers: int, commit: float, insert: float, commits: int
) -> tuple[list[float], int]:
    """Return the delays of runs completed after the warm-up, and the number of runs that arrived in that time.

    Each run has some commits, one after another, by one of the writers. Writers take the lock of the log in turn; one
    turn commits whatever waits at that writer, at most a batch, with one sync.
    """
    waiting: list[deque[tuple[float, int]]] = [deque() for _ in range(writers)]
    turns: deque[int] = deque()
    delays: list[float] = []
    now, number, arrived = 0.0, 0, 0
    began, ready = next(runs)
    while now < SECONDS:
        while ready <= now:
            arrived += began >= WARM_UP_SECONDS
            number = (number + 1) % writers
            if not waiting[number]:
                turns.append(number)
            waiting[number].append((began, commits))
            began, ready = next(runs)
        if not turns:
            now = ready
            continue
        line = waiting[turn := turns.popleft()]
        batch = [line.popleft() for _ in range(min(len(line), BATCH_MAX))]
        now += commit + len(batch) * insert
        for start, left in batch:
            if left == 1:
                delays += [now - start] if now >= WARM_UP_SECONDS else ()
            else:
                line.append((start, left - 1))
        if line:
            turns.append(turn)
    while began < SECONDS:
        arrived += began >= WARM_UP_SECONDS
        began, _ = next(runs)
    return delays, arrived


def lines() -> Iterator[str]:
    """Return the table in Markdown."""
    yield "| design | runs/s asked | workers | completed/s | p99 ms | full first | its load | views |"
    yield "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |"
    for design in DESIGNS:
        for rate in RATES:
            found = simulate(design, rate)
            views = f"{found.loads[VIEWS]:.0%}" if VIEWS in found.loads else ""
            cells = (design.name, f"{rate:,}", f"{found.workers:,}", f"{found.completed:,.0f}", f"{found.p99_ms:,.0f}")
            yield f"| {' | '.join(cells)} | {found.first} | {found.loads[found.first]:.0%} | {views} |"


if __name__ == "__main__":
    print("\n".join(lines()))
