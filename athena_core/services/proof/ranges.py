"""The chain in ranges: processes of their own prove it while the pass looks at the rules.

Each proves every hash of the rows in its range, and the chain from the stored value before them. That value is the last
one of the range before, which the process there has proven, so together they prove what one pass would. Each reads a
page at a time through a connection of its own, read-only, up to the head that was taken at the start.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from athena_core.errors import InternalError
from athena_core.event import Position, Value
from athena_core.log import chain
from athena_core.log.engine import open_archive
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.protocols import LogReader
from athena_core.services.proof.pages import Pages
from athena_core.services.proof.rule import Violation
from athena_core.system import supervisor

EVENTS_MIN = 100_000
"""Logs with fewer events are proven by the pass itself: it is over before another process has begun to help."""

PROCESSES_MAX = 4
"""How many processes help at most: the rules take twice as long as the chain, so more would only wait for them."""

PAGE_EVENTS = 500
FLAWS_MAX = 20
TRIES = 1_000
"""How many rows are looked at for one that a range can begin after."""

PROGRAM = (
    "import json, sys; line = sys.stdin.readline(); sys.path[:] = json.loads(line)['path'];"
    " from athena_core.services.proof.ranges import main; main(line)"
)
"""What a process does. It imports from where this one does, and from no working directory of its own."""


class RangeJob(Value):
    """What a process is given: where to import from, where the log is, and its range."""

    path: tuple[str, ...]
    file: str
    after: Position
    until: Position
    chain: str
    url: str | None = None


class RangeProof(Value):
    """What a process found in a range: how many rows, the chain value at its end, and the first flaws."""

    rows: int
    chain: str
    flaws: tuple[Violation, ...]
    flaw_count: int


class ChainRange(NamedTuple):
    """The positions after one up to another, and the stored chain value before them, in hex."""

    after: Position
    until: Position
    chain: str


def free_cores() -> int:
    """How many cores this process may use beside the one that it is on."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) - 1


class HelperProcesses(NamedTuple):
    """Where other processes find a log, a file or the URL of a database, how many help, and from which size on."""

    file: Path
    url: str | None = None
    processes: int | None = None
    """One for each free core if absent, up to ``PROCESSES_MAX``."""
    events_min: int = EVENTS_MIN

    def start(self, log: LogReader, head: Position) -> "RangeProofs | None":
        """Begin to prove a log; None where the pass does so itself, because it is short or no core is free."""
        count = min(free_cores(), PROCESSES_MAX) if self.processes is None else self.processes
        return RangeProofs(self, split_log(log, head, count)) if count > 0 and head >= max(self.events_min, 1) else None


def split_log(log: LogReader, head: Position, parts: int) -> list[ChainRange]:
    """Cut a log into ranges of about the same length, behind rows that are there."""
    begins = [0]
    for number in range(1, parts):
        found = _row_near(log, head * number // parts)
        if found is not None and found > begins[-1]:
            begins.append(found)
    return [
        ChainRange(after, until, _chain_at(log, after))
        for after, until in zip(begins, [*begins[1:], head], strict=True)
    ]


def _row_near(log: LogReader, position: Position) -> Position | None:
    """The first row from a position on that can be read; None where there is none near."""
    for candidate in range(position, position + TRIES):
        if _chain_at(log, candidate):
            return candidate
    return None


def _chain_at(log: LogReader, position: Position) -> str:
    if position == 0:
        return chain.GENESIS.hex()
    try:
        row = log.row(position)
    except Exception:  # whatever the database says about its own damage
        return ""
    return row.chain.hex() if row is not None and chain.whole(row) else ""


class RangeProofs:
    """The processes that prove a log. Close it in any case: it ends those that are left."""

    def __init__(self, place: HelperProcesses, ranges: Sequence[ChainRange]) -> None:
        """Start a process for each range."""
        self._ranges = ranges
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            for part in ranges:
                self.processes.append(_started(place, part))
        except BaseException:
            self.close()
            raise

    def proven(self) -> Iterator[RangeProof]:
        """What each found, in the order of the log. Raises InternalError for one that ended without an answer."""
        before = self._ranges[0].chain
        for part, process in zip(self._ranges, self.processes, strict=True):
            out, _ = process.communicate()
            try:
                found = msgspec.json.decode(out, type=RangeProof)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                why = out.decode(errors="replace").strip() or f"ended with exit code {process.returncode}"
                raise InternalError(
                    f"the process that proved positions {part.after + 1} to {part.until} did not answer: {why}"
                ) from error
            if before and before != part.chain:
                changed = Violation(rule="chain", reason="the row changed while it was verified", position=part.after)
                found = replace(found, flaws=(changed, *found.flaws), flaw_count=found.flaw_count + 1)
            before = found.chain
            yield found

    def close(self) -> None:
        """End the processes that are left."""
        for process in self.processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _started(place: HelperProcesses, part: ChainRange) -> "subprocess.Popen[bytes]":
    """Start a process and give it its job by standard input: a URL may hold a password, arguments are public."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the pass, which ends the others
    )
    assert process.stdin is not None
    path = tuple(str(Path(entry).absolute()) for entry in sys.path)
    job = RangeJob(path=path, file=str(place.file.absolute()), url=place.url, **part._asdict())
    with suppress(BrokenPipeError):  # it has ended, which is noticed when it should answer
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.flush()
    return process


def prove_range(log: LogReader, part: ChainRange) -> RangeProof:
    """Prove the rows of a range, each against the stored chain value before it."""
    after, previous = part.after, bytes.fromhex(part.chain) or None
    flaws: list[Violation] = []
    rows = count = 0
    pages = Pages(log, part.until, PAGE_EVENTS)
    while after < part.until and (page := pages.after(after)):
        if isinstance(page, Violation):
            after, previous, count = after + 1, None, count + 1
            flaws.append(page)
            continue
        for row in page:
            broken = chain.flaw(row, after, previous)
            rows += 1
            if broken is not None:
                count += 1
                if len(flaws) < FLAWS_MAX:
                    flaws.append(Violation(rule="chain", reason=broken.reason, position=broken.position))
                if not chain.whole(row):  # nothing more can be said about it
                    after += 1
                    continue
            after, previous = row.position, row.chain
    return RangeProof(rows=rows, chain="" if previous is None else previous.hex(), flaws=tuple(flaws), flaw_count=count)


NICE = 19
"""By how much helpers are nicer than their command: a server beside them goes first."""


def main(line: str) -> None:
    """Do the job of a line, and answer on standard output: what was found, or in words why not."""
    job = msgspec.json.decode(line, type=RangeJob)
    try:
        os.nice(NICE)
        supervisor.protect()
        if sys.platform == "linux":
            supervisor.prctl(supervisor.PR_SET_PDEATHSIG, signal.SIGKILL)
        reader = SqliteReader(Path(job.file), "") if job.url is None else open_archive(Path(), job.url).reader()
        answer = msgspec.json.encode(prove_range(reader, ChainRange(job.after, job.until, job.chain)))
        reader.close()
    except Exception as error:
        answer = f"{type(error).__name__}: {error}".encode()
    sys.stdout.buffer.write(answer)
