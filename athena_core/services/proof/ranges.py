"""The chain in ranges: helper processes prove it while the pass checks the rules.

Each proves every hash of the rows in its range, and the chain from the stored value before them. The process of the
previous range has proven that value, so together they prove what one pass would. Each reads page by page through its
own read-only connection, up to the head at the start.
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
"""Shorter logs are proven by the pass alone: it ends before a helper process has started."""

PROCESSES_MAX = 4
"""The most helper processes. The rules take twice as long as the chain, so more would wait for the rules."""

PAGE_EVENTS = 500
FLAWS_MAX = 20
TRIES = 1_000
"""How many rows are tried to find one that a range can begin after."""

PROGRAM = (
    "import json, sys; line = sys.stdin.readline(); sys.path[:] = json.loads(line)['path'];"
    " from athena_core.services.proof.ranges import main; main(line)"
)
"""The program of a helper. It imports from the paths of this process, not from its working directory."""


class RangeJob(Value):
    """The job of a helper process: import paths, the place of the log, and its range."""

    path: tuple[str, ...]
    file: str
    after: Position
    until: Position
    chain: str
    url: str | None = None


class RangeProof(Value):
    """The result of a helper process: the row count, the chain value at its end, and the first flaws."""

    rows: int
    chain: str
    flaws: tuple[Violation, ...]
    flaw_count: int


class ChainRange(NamedTuple):
    """The positions after ``after`` up to ``until``, and the stored chain value before them, in hex."""

    after: Position
    until: Position
    chain: str


def free_cores() -> int:
    """Return how many cores this process may use beside its own."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) - 1


class HelperProcesses(NamedTuple):
    """Where helper processes find the log, how many there are, and from which log size on they help."""

    file: Path
    url: str | None = None
    processes: int | None = None
    """By default one for each free core, up to ``PROCESSES_MAX``."""
    events_min: int = EVENTS_MIN

    def start(self, log: LogReader, head: Position) -> "RangeProofs | None":
        """Start to prove a log. Return None if the log is short or no core is free."""
        count = min(free_cores(), PROCESSES_MAX) if self.processes is None else self.processes
        return RangeProofs(self, split_log(log, head, count)) if count > 0 and head >= max(self.events_min, 1) else None


def split_log(log: LogReader, head: Position, parts: int) -> list[ChainRange]:
    """Cut a log into ranges of about equal length that begin after readable rows."""
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
    """Return the first readable row from a position on, None if none is near."""
    for candidate in range(position, position + TRIES):
        if _chain_at(log, candidate):
            return candidate
    return None


def _chain_at(log: LogReader, position: Position) -> str:
    if position == 0:
        return chain.GENESIS.hex()
    try:
        row = log.row(position)
    except Exception:  # any error of a damaged database
        return ""
    return row.chain.hex() if row is not None and chain.whole(row) else ""


class RangeProofs:
    """The helper processes of one log. Always close it: that ends the remaining processes."""

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
        """Yield the result of each process in the order of the log. Raise InternalError if one gave no result."""
        before = self._ranges[0].chain
        for part, process in zip(self._ranges, self.processes, strict=True):
            out, _ = process.communicate()
            try:
                found = msgspec.json.decode(out, type=RangeProof)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                why = out.decode(errors="replace").strip() or f"ended with exit code {process.returncode}"
                raise InternalError(
                    f"the process that proved positions {part.after + 1} to {part.until} failed: {why}"
                ) from error
            if before and before != part.chain:
                changed = Violation(rule="chain", reason="the row changed while it was verified", position=part.after)
                found = replace(found, flaws=(changed, *found.flaws), flaw_count=found.flaw_count + 1)
            before = found.chain
            yield found

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _started(place: HelperProcesses, part: ChainRange) -> "subprocess.Popen[bytes]":
    """Start a process and send its job by standard input: a URL may hold a password, and arguments are public."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the pass, which ends the helpers
    )
    assert process.stdin is not None
    path = tuple(str(Path(entry).absolute()) for entry in sys.path)
    job = RangeJob(path=path, file=str(place.file.absolute()), url=place.url, **part._asdict())
    with suppress(BrokenPipeError):  # it has ended already, which is noticed when its answer is read
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.flush()
    return process


def prove_range(log: LogReader, part: ChainRange) -> RangeProof:
    """Prove the rows of a range, starting from the stored chain value before it."""
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
                if not chain.whole(row):  # nothing else of it can be checked
                    after += 1
                    continue
            after, previous = row.position, row.chain
    return RangeProof(rows=rows, chain="" if previous is None else previous.hex(), flaws=tuple(flaws), flaw_count=count)


NICE = 19
"""The niceness of helpers, so that a server beside them has priority."""


def main(line: str) -> None:
    """Do the job of a line, and write the result, or the error in words, to standard output."""
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
