"""The lab: Athena and a peer, started on one core, under the same load in turn."""

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import msgspec

from benchmarks import load
from benchmarks.load import WORDS
from benchmarks.peers.program import Missing, Program
from benchmarks.report import Section, number, spread
from benchmarks.scenarios import BY_THREAD, Bench
from benchmarks.server import Server, answer_of, free_port
from tests.support.postgres import as_somebody, binaries

CLIENTS = 64
BODY = msgspec.json.encode({"input": WORDS}).decode()
DIRECTIVES, ASYNC, SYNC = (
    "Athena, `POST /directives`",
    "Athena, `POST /runs`, `respond-async` (accepted, while runs execute)",
    "Athena, `POST /runs`, synchronous",
)
CEILING = "raw ASGI, group commit"


class Lab:
    """The servers of one comparison."""

    def __init__(self, bench: Bench) -> None:
        """Start without servers."""
        self.bench = bench
        self.lines = [
            "| peer | its rate | its CPU µs each | beside | Athena's rate | in | Athena's rate / the peer's"
            " | CPU time each: the peer's / Athena's | goal | |",
            "| --- | ---: | ---: | --- | ---: | --- | ---: | ---: | ---: | --- |",
        ]
        self._programs: list[Program] = []

    def program(self, name: str, command: Sequence[object], **more: Any) -> Program:
        """Start a program in a new directory, or in the given one."""
        directory = more.pop("directory", None) or self.bench.place(name)
        self._programs.append(Program(command, directory, **more))
        return self._programs[-1]

    def postgres(self) -> str:
        """Start PostgreSQL with its package defaults, on this disk. Return its URL without the scheme."""
        programs = binaries()
        if programs is None:
            raise Missing("PostgreSQL is not installed")
        directory, port = self.bench.place("postgres"), free_port()
        directory.mkdir(parents=True)
        self.bench.directory.chmod(0o755)
        somebody = as_somebody()
        if somebody:
            shutil.chown(directory, somebody["user"], somebody["group"])
        data = directory / "data"
        initdb = [str(programs / "initdb"), "-D", str(data), "-U", "athena", "-A", "trust", "-E", "UTF8"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **somebody)
        command = [programs / "postgres", "-D", data, "-k", directory, "-p", str(port), "-c", "max_connections=300"]
        self.program("postgres", command, directory=directory, options=somebody)
        ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        deadline = time.monotonic() + 30
        while subprocess.run(ready, check=False).returncode:
            if time.monotonic() > deadline:
                raise Missing("PostgreSQL did not start")
            time.sleep(0.1)
        return f"athena@127.0.0.1:{port}/postgres"

    def asked(
        self,
        program: Program,
        port: int,
        path: str,
        body: str = "",
        *,
        clients: int = CLIENTS,
        fields: Sequence[str] = (),
        things: int = 1,
    ) -> Callable[[], dict[str, float]]:
        """Return a measurement of POSTs of this body, or of GETs; each request counts as ``things`` items."""

        def measure() -> dict[str, float]:
            disk = self.bench.sync()
            program.go_on()
            spec = load.Spec(
                kind="asked",
                port=port,
                pid=program.pid,
                clients=clients,
                seconds=self.bench.seconds,
                paths=[path],
                body=body,
                fields=fields,
            )
            result = load.measured(spec)
            program.halt()
            return succeeded(result, self.bench.seconds, things) | disk

        return measure

    def athena(self) -> tuple[Server, dict[str, Callable[[], dict[str, float]]]]:
        """Return Athena and the requests to it."""
        server, ceiling = self.bench.server("athena"), self.bench.server("group-commit")
        return server, {
            DIRECTIVES: self.bench.load(server, "directives", CLIENTS),
            ASYNC: self.bench.load(server, "runs-async", CLIENTS),
            SYNC: self.bench.load(server, "runs", CLIENTS),
            CEILING: self.bench.load(ceiling, "directives", CLIENTS),
        }

    def section(
        self, name: str, title: str, unit: str, variants: Mapping[str, Callable[[], dict[str, float]]]
    ) -> Section:
        """Measure, and print the section."""
        section = Section(f"peer-{name}", title, unit, {}, [], [])
        section.measure(self.bench.rounds, variants)
        return section

    def ratios(self, section: Section, peer: str, goals: Mapping[str, float | None]) -> None:
        """Compare Athena with a peer, by rate and by CPU time, and add the line to the summary."""
        theirs = section.samples[peer]
        for ours, goal in goals.items():
            rate = section.ratio(ours, peer, at_least=goal)
            cpu = section.ratio(peer, ours, figure="cpu_us", label=f"CPU time each: {peer} / {ours}")
            cells = (
                *(peer, spread(theirs["rate"]), spread(theirs["cpu_us"])),
                *(ours, number(median(section.samples[ours]["rate"])), section.unit),
                *(spread(rate.values), spread(cpu.values), rate.wanted, rate.verdict),
            )
            self.lines.append(f"| {' | '.join(cells)} |")

    def stop(self) -> None:
        """Stop all programs, in reverse order."""
        while self._programs:
            self._programs.pop().stop()
        self.bench.stop()


def succeeded(result: load.Result, seconds: float, things: int = 1) -> dict[str, float]:
    """Return the figures with the rate of successful requests, and the failures, if any."""
    figures = msgspec.structs.asdict(result)
    errors = figures.pop("errors")
    asked = result.rate * seconds
    figures["rate"] = max(asked - errors, 0) / seconds * things
    figures["cpu_us"] = result.cpu_us / things
    for name in BY_THREAD:
        del figures[name]
    return figures | ({"failed": errors / max(asked, 1)} if errors else {})


def answer(port: int, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
    """Return the content of a response. Raise Missing if it failed."""
    content = b"" if body is None else msgspec.json.encode(body)
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {kind}\r\n"
    found = answer_of(port, f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
    head_found, _, said = found.partition(b"\r\n\r\n")
    if head_found[9:10] != b"2":
        raise Missing(f"{method} {path}: {found[:500].decode(errors='replace')}")
    if b"transfer-encoding: chunked" in head_found.lower():
        said = said.partition(b"\r\n")[2].rpartition(b"\r\n0\r\n")[0]
    return msgspec.json.decode(said) if said.strip() else None
