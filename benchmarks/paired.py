"""The scenarios of the path: Athena beside a base checkout and both ceilings, in turn in each round.

Parts are small, so that one change can be measured in a minute; ``speed`` adds the other rows of the table of goals.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import loops
from benchmarks.beside import beside
from benchmarks.fanout import at_a_rate
from benchmarks.history import with_runs, written
from benchmarks.load import CURSOR_PATTERN, WORDS, post
from benchmarks.proof import in_files
from benchmarks.reads import CLIENTS, ROWS, RUN_PATTERN, body_of
from benchmarks.report import Ratio, Section
from benchmarks.runs import fill
from benchmarks.scenarios import FEED_LIMIT, Bench, Failed, replay, scanned, settled
from benchmarks.server import ROOT, Server
from projections.runs import NEWEST

ATHENA, BASE = "Athena", "base"
OTHER = ", the other Python"
UVICORN, PROTOCOL = "raw ASGI under uvicorn", "a protocol on httptools"
RUNS, PAGE_RUNS, KEPT = 12_000, 500, 8
EVENTS_PER_SHORT_RUN, PAGE_GAP = 4, 4
"""The fewest events of a run in the log, and the distance between pages."""

WARM_UP_SECONDS = 0.3
POST_CPU, POST_SHARE, ONE_CPU, ONE_MS = 2.0, 0.5, 2.5, 0.3
RUN_SHARES = {"kept": 0.5, "fresh": 0.35}
PAGE_SHARES = {"kept": 0.5, "fresh": 0.2}
SCAN_SHARE, RUN_POSTS, FULL_TIMES = 1.5, 4.0, 2.0

Load = Callable[[], dict[str, float]]


class Pair:
    """Servers of this checkout, of the base and of another interpreter, each on its copy of the same log."""

    def __init__(self, bench: Bench, template: Path | None = None) -> None:
        """Start the servers."""
        self.bench = bench
        variants = {ATHENA: (ROOT, "")}
        if bench.base is not None:
            variants[BASE] = (bench.base, "")
        if bench.python:
            variants[ATHENA + OTHER] = (ROOT, bench.python)
        self.servers = {name: self._server(template, *variant) for name, variant in variants.items()}

    def _server(self, template: Path | None, code: Path, python: str) -> Server:
        place = self.bench.place("paired")
        if template is not None:
            shutil.copytree(template, place)
        server = self.bench.server("athena", place, code=code, python=python)
        settled(server)
        return server

    def loads(self, kind: Any, clients: int, suffix: str = "", **more: Any) -> dict[str, Load]:
        """Return the same load on each server."""
        return {name + suffix: self.load(server, kind, clients, **more) for name, server in self.servers.items()}

    def load(self, server: Server, kind: Any, clients: int, *, moved: bool = False, **more: Any) -> Load:
        """Return a load, with the CPU time of each thread. Move the log before it if ``moved``."""
        measure = self.bench.load(server, kind, clients, by_thread=True, warm_up_seconds=WARM_UP_SECONDS, **more)

        def after_a_move() -> dict[str, float]:
            append(server)
            return measure()

        return after_a_move if moved else measure

    def ceilings(self, kind: Any, clients: int, app: str, content: bytes = b"", **more: Any) -> dict[str, Load]:
        """Return the load on both ceilings; each answers with the content, if any."""
        found = {}
        names = {UVICORN: (app, ""), PROTOCOL: (f"protocol-{app}", "")}
        if self.bench.python:
            names[UVICORN + OTHER] = (app, self.bench.python)
        for name, (program, python) in names.items():
            place = self.bench.place(program)
            place.mkdir()
            (place / "page").write_bytes(content)
            server = self.bench.server(program, place, python=python)
            found[name] = self.load(server, kind, clients, **more)
        return found


def append(server: Server) -> None:
    """Append one event, so that no kept answer is current."""
    request = post("/api/v1/directives", {"input": WORDS}, "connection: close")
    if not server.get(request).startswith(b"HTTP/1.1 20"):
        raise Failed("a directive was refused")


def cpu(section: Section, over: str, under: str, at_most: float | None = None) -> None:
    """Add the ratio of the CPU times of two variants, if both were measured, also with the other interpreter."""
    for suffix in ("", OTHER):
        if over + suffix in section.samples and under + suffix in section.samples:
            label = f"CPU time each: {over}{suffix} / {under}{suffix}"
            section.ratio(over + suffix, under + suffix, figure="cpu_us", label=label, at_most=at_most)
            at_most = None


def posts(bench: Bench, clients: int) -> Section:
    """Measure one event a request."""
    who = f"{clients} clients" if clients > 1 else "1 client"
    section = Section(f"paired-post-{clients}", f"`POST /api/v1/directives`, {who}", "requests/s", {}, [], [])
    pair = Pair(bench)
    section.measure(
        bench.rounds,
        pair.loads("directives", clients) | pair.ceilings("directives", clients, "group-commit"),
    )
    many = clients > 1
    cpu(section, ATHENA, BASE)
    cpu(section, ATHENA, UVICORN, at_most=POST_CPU if many else ONE_CPU)
    cpu(section, ATHENA, PROTOCOL)
    section.ratio(ATHENA, UVICORN, label=f"rate: {ATHENA} / {UVICORN}", at_least=POST_SHARE if many else None)
    section.ratio(ATHENA, PROTOCOL, label=f"rate: {ATHENA} / {PROTOCOL}")
    if not many:
        found = section.samples[ATHENA]
        beyond = [p50 - 2 * sync for p50, sync in zip(found["p50_ms"], found["sync_ms"], strict=True)]
        section.ratios.append(Ratio(f"{ATHENA}: p50 ms beyond two syncs", beyond, ONE_MS, at_most=True, unit="ms"))
    return section


def reads(bench: Bench, what: str, how: str) -> Section:
    """Measure GETs of runs or of pages of them: the same again, or each once after the log has moved."""
    template = with_runs(bench.place("runs"), RUNS)
    loops.measured("replay", template)
    pair = Pair(bench, template)
    runs, pages = listed(pair.servers[ATHENA])
    paths = runs if what == "run" else pages
    if how == "kept":
        paths = paths[:: len(paths) // KEPT][:KEPT]
    file = bench.directory / f"{what}-{how}"
    file.write_text("\n".join(paths), "ascii")
    content = body_of(pair.servers[ATHENA], paths[0])
    more: dict[str, Any] = {"paths_file": str(file), "moved": how == "fresh"}
    title = {"run": "`GET /api/v1/runs/:runId`", "page": f"`GET /api/v1/runs?limit={ROWS}`"}[what]
    section = Section(f"paired-{what}-{how}", f"{title}, {how}, {CLIENTS} clients", "requests/s", {}, [], [])
    section.measure(
        bench.rounds,
        pair.loads("asked", CLIENTS, **more) | pair.ceilings("asked", CLIENTS, "page", content, paths=["/"]),
    )
    cpu(section, ATHENA, BASE)
    share = {"run": RUN_SHARES, "page": PAGE_SHARES}[what][how]
    section.ratio(ATHENA, UVICORN, label=f"rate: {ATHENA} / {UVICORN}", at_least=share)
    cpu(section, UVICORN, ATHENA)
    cpu(section, PROTOCOL, ATHENA)
    kept = f"{KEPT} requests in turn; the log stands still."
    section.notes.append(kept if how == "kept" else "No request is repeated in a round, before which the log moves.")
    return section


def listed(server: Server) -> tuple[list[str], list[str]]:
    """Return the paths of all runs, and of as many different pages of them."""
    path, runs = f"/api/v1/runs?limit={PAGE_RUNS}", list[str]()
    while path:
        found = body_of(server, path)
        runs += [run[1].decode() for run in RUN_PATTERN.finditer(found)]
        more = CURSOR_PATTERN.search(found, max(len(found) - 200, 0))
        path = f"/api/v1/runs?limit={PAGE_RUNS}&cursor={more[1].decode()}" if more else ""
    positions = range(RUNS * EVENTS_PER_SHORT_RUN, ROWS * PAGE_GAP, -PAGE_GAP)
    cursors = (NEWEST.encode((position,)) for position in positions)
    return [f"/api/v1/runs/{run}" for run in runs], [f"/api/v1/runs?limit={ROWS}&cursor={cursor}" for cursor in cursors]


def feed(bench: Bench) -> Section:
    """Measure pages of the feed that lie behind the head, beside the raw scan."""
    template = written(bench.place("feed"), bench.size.feed_events)
    pair = Pair(bench, template)
    title = f"`GET /api/v1/events?limit={FEED_LIMIT}` over {bench.size.feed_events:,} events, 1 client"
    section = Section("paired-feed", title, "events/s", {}, [], [])
    scan: dict[str, Load] = {"raw scan": partial(scanned, bench, template)}
    section.measure(bench.rounds, pair.loads("pages", 1, limit=FEED_LIMIT) | scan)
    cpu(section, ATHENA, BASE)
    section.ratio(ATHENA, "raw scan", label=f"rate: {ATHENA} / raw scan", at_least=SCAN_SHARE)
    cpu(section, "raw scan", ATHENA)
    return section


def runs(bench: Bench) -> Section:
    """Measure synchronous mock runs in one-event POSTs of the same server and round."""
    section = Section("paired-run", "Synchronous mock runs, 64 clients", "runs/s", {}, [], [])
    pair = Pair(bench)
    posted = ": `POST /directives`"
    section.measure(bench.rounds, pair.loads("runs", 64) | pair.loads("directives", 64, posted))
    cpu(section, ATHENA, BASE)
    for name in pair.servers:
        cpu(section, name, name + posted, at_most=RUN_POSTS if name == ATHENA else None)
    return section


def sessions(bench: Bench, *, full: bool) -> Section:
    """Measure runs in new sessions, and in one whose context is full."""
    kinds = {"": {"input": WORDS}}
    if full:
        kinds[": a full session"] = {"input": WORDS, "sessionId": "full"}
    title = f"Mock runs in new sessions{' and in a full one' if full else ''}, 1 client"
    section = Section("paired-full" if full else "paired-new", title, "runs/s", {}, [], [])
    pair = Pair(bench)
    variants: dict[str, Load] = {}
    for suffix, body in kinds.items():
        text = msgspec.json.encode(body).decode()
        variants |= pair.loads("asked", 1, suffix, paths=["/api/v1/runs"], body=text)
    if full:
        for server in pair.servers.values():
            fill(server)
    section.measure(bench.rounds, variants)
    for suffix in kinds:
        cpu(section, ATHENA + suffix, BASE + suffix)
    for name in pair.servers if full else ():
        cpu(section, f"{name}: a full session", name, at_most=FULL_TIMES if name == ATHENA else None)
    return section


PARTS: dict[str, Callable[[Bench], Section]] = {
    "post-64": partial(posts, clients=64),
    "post-1": partial(posts, clients=1),
    **{f"{what}-{how}": partial(reads, what=what, how=how) for what in ("run", "page") for how in ("kept", "fresh")},
    "feed": feed,
    "run": runs,
    "full": partial(sessions, full=True),
    "new": partial(sessions, full=False),
}


def paired(bench: Bench) -> Iterator[Section]:
    """Measure the parts that were asked for."""
    for name in bench.parts or PARTS:
        yield PARTS[name](bench)
        bench.stop()


def speed(bench: Bench) -> Iterator[Section]:
    """Measure every row of the table of goals."""
    yield from paired(bench)
    yield from replay(bench)
    yield in_files(bench)
    yield from beside(bench)
    yield at_a_rate(bench)


PAIRED: dict[str, Callable[[Bench], Iterable[Section]]] = {"paired": paired, "speed": speed}
