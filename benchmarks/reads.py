"""The scenarios of size: reads among a million runs, and costs that grow with the log."""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks import loops
from benchmarks.history import RUNS_PER_SESSION, SHORT_RUN_EVENTS, with_runs, written
from benchmarks.load import Kind, closing
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed, settled
from benchmarks.server import Server
from projections.runs import NEWEST

FEW_RUNS, FEW_EVENTS = 1_000, 10_000
CLIENTS = 8
ROWS = 50
PLACES = 8
"""The number of places in a list, from its newest to its oldest page, at which pages and runs are read."""

SHARE, TIMES = 0.5, 1.3
RUN_PATTERN = re.compile(rb'"runId":"(run_[0-9A-Z]{26})"')


def reads(bench: Bench) -> list[Section]:
    """Measure reads of runs and lists among many runs, among few, and of static responses of the same size."""
    servers: dict[str, Server] = {}
    pages: dict[str, list[str]] = {}
    for runs in (FEW_RUNS, bench.size.fleet_runs):
        directory = with_runs(bench.place("reads"), runs)
        loops.measured("replay", directory)
        servers[f"{runs:,} runs"] = bench.server("athena", directory)
        settled(servers[f"{runs:,} runs"])
        pages[f"{runs:,} runs"] = _pages(runs)
    few, many = servers
    points = {name: _points(server, pages[name]) for name, server in servers.items()}
    raw, small = (_page(bench, servers[many], path) for path in (pages[many][0], points[many][0]))
    ceiling, own = f"raw ASGI, the bytes of a page of {ROWS}", "raw ASGI, the bytes of a run"
    again = f"Athena, {many}, asked again"
    sections: list[Section] = []
    for what, paths in (("one run after another", points), (f"pages of {ROWS}, newest to oldest", pages)):
        title = f"`GET /api/v1/runs`: {what}, {CLIENTS} clients"
        section = Section(f"reads-{len(sections)}", title, "requests/s", {}, [], [])
        variants = {
            f"Athena, {name}": _asked(bench, server, paths[name], anew=True) for name, server in servers.items()
        }
        variants[again] = _asked(bench, servers[many], paths[many])
        variants[ceiling] = _asked(bench, raw, ["/"])
        if paths is points:
            variants[own] = _asked(bench, small, ["/"])
        section.measure(bench.rounds, variants)
        over, under = f"Athena, {many}", f"Athena, {few}"
        section.ratio(over, ceiling, at_least=SHARE)
        section.ratio(again, ceiling)
        if paths is points:
            section.ratio(over, own)
            section.ratio(again, own)
        section.ratio(over, under, figure="p50_ms", label=f"p50: {many} / {few}", at_most=TIMES)
        section.ratio(over, under, figure="cpu_us", label=f"CPU time each: {many} / {few}", at_most=TIMES)
        sections.append(section)
    sections[-1].notes.append(
        f"Runs and pages are those of {PLACES} places between the newest and the oldest run, in turn, by id and by "
        "cursor; each request has a number that nobody reads, as what is asked again before the log moves is answered "
        "with the same bytes."
    )
    bench.stop()
    return sections


def _asked(bench: Bench, server: Server, paths: Sequence[str], *, anew: bool = False) -> Callable[[], dict[str, float]]:
    return bench.load(server, "asked", CLIENTS, paths=paths, anew=anew)


def body_of(server: Server, path: str) -> bytes:
    """Return the body of a successful response."""
    head, _, body = server.get(closing(path)).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Failed(f"{path}: {head[:100]!r} {body[:500]!r}")
    return body


def _pages(runs: int) -> list[str]:
    """Return the paths of pages from the newest to the oldest."""
    events = -(-runs // RUNS_PER_SESSION) * (1 + RUNS_PER_SESSION * SHORT_RUN_EVENTS)
    newest = f"/api/v1/runs?limit={ROWS}"
    places = (events * place // PLACES for place in range(PLACES - 1, 0, -1))
    return [newest, *(f"{newest}&cursor={NEWEST.encode((position,))}" for position in places)]


def _points(server: Server, pages: Sequence[str]) -> list[str]:
    """Return the paths of some runs of each page."""
    found = [
        run[1].decode() for page in pages for run in list(RUN_PATTERN.finditer(body_of(server, page)))[:: ROWS // 8]
    ]
    return [f"/api/v1/runs/{run}" for run in found]


def _page(bench: Bench, server: Server, path: str) -> Server:
    """Start a server that responds with the bytes of this response."""
    place = bench.place("page")
    place.mkdir()
    (place / "page").write_bytes(body_of(server, path))
    return bench.server("page", place)


def growth(bench: Bench) -> Iterator[Section]:
    """Measure the same requests with a short and with a long log."""
    short = written(bench.place("growth"), FEW_EVENTS)
    long = written(bench.place("growth"), bench.size.growth_events)
    for directory in (short, long):
        loops.measured("replay", directory)
    few, many = f"{FEW_EVENTS:,} events", f"{bench.size.growth_events:,} events"
    servers = {few: bench.server("athena", _copy(short, bench.place("short"))), many: bench.server("athena", long)}
    newest = f"/api/v1/runs?limit={ROWS}"
    runs = {name: _points(server, [newest]) for name, server in servers.items()}
    asked: tuple[tuple[str, Kind, int, dict[str, list[str]]], ...] = (
        ("`POST /api/v1/directives`", "directives", 1, {}),
        ("`POST /api/v1/directives`", "directives", 64, {}),
        ("`POST /api/v1/runs`, synchronous mock runs", "runs", 1, {}),
        ("`GET /api/v1/runs/:runId`", "asked", 1, runs),
        (f"`GET {newest}`", "asked", 1, dict.fromkeys(servers, [newest])),
        ("`GET /api/v1/events`", "events", 1, {}),
    )
    for number, (title, kind, clients, paths) in enumerate(asked, 1):
        who = f"{clients} clients" if clients > 1 else "1 client"
        section = Section(f"growth-{number}", f"{title}, {who}, {few} and {many}", "requests/s", {}, [], [])
        variants = {}
        for name, server in servers.items():
            load = bench.load(server, kind, clients, paths=paths.get(name, ()), anew=kind == "asked")
            template = short if name == few else None
            variants[name] = partial(_anew, server, template, load) if "POST" in title else load
        section.measure(bench.rounds, variants)
        section.ratio(many, few, figure="p50_ms", label=f"p50: {many} / {few}", at_most=TIMES)
        section.ratio(many, few, figure="cpu_us", label=f"CPU time each: {many} / {few}", at_most=TIMES)
        if number == len(asked):
            section.notes.append(
                "Both servers are started anew before each load of POSTs, the short log from a copy: it stays short."
            )
        yield section
    bench.stop()


def _copy(template: Path, directory: Path) -> Path:
    """Copy the directory again."""
    shutil.rmtree(directory, ignore_errors=True)
    return Path(shutil.copytree(template, directory))


def _anew(server: Server, template: Path | None, load: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Return the load on a newly started server, on a copy of the template, if any."""
    server.stop()
    if template is not None:
        _copy(template, server.directory)
    server.start()
    return load()


READS: dict[str, Callable[[Bench], Iterable[Section]]] = {"reads": reads, "growth": growth}
