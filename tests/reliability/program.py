"""Programs that tests run in processes of their own, to be killed, stopped, or refused their disk.

They print each attempt and each answer at once, in a line each: ``try MARK``,
``ack MARK ID POSITION``, ``refuse MARK CODE``, ``unknown MARK CODE``.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from athena_core.clock import SystemClock, SystemIds
from athena_core.decider import Context, Key, Outcome, Reader
from athena_core.domain import DECIDERS, EVENTS
from athena_core.domain.directive import DirectiveSpec
from athena_core.errors import AthenaError, OutcomeUnknown
from athena_core.event import Meta
from athena_core.log.codec import Codec
from athena_core.log.postgres.store import PostgresStore
from athena_core.log.sqlite.store import SqliteStore
from athena_core.log.writer import Log
from athena_core.services.catalog import directive_facts
from tests.reliability.oracle import Answer, Record

ROOT = Path(__file__).resolve().parents[2]
MARK = "attempt"
META = Meta(actor="test", correlation="00000000-0000-4000-8000-000000000000")
IDS = SystemIds()
RUNS = frozenset({"begin", "again"})
"""Marks that are sent as runs, by ``program_of_views``."""


class HurriedClock(SystemClock):
    """A clock with short seconds, so that what happens once a second happens often."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self._factor = factor

    def monotonic(self) -> float:
        return time.monotonic() * self._factor


@contextmanager
def unstarted_log(state_dir: Path, hurry: float = 1.0, url: str | None = None) -> Iterator[Log]:
    """Return a log whose writer has not begun: call ``start``."""
    store = SqliteStore(state_dir, IDS) if url is None else PostgresStore(url, state_dir, IDS)
    log = Log(store, Codec(EVENTS), DECIDERS, clock=HurriedClock(hurry), ids=IDS)
    try:
        yield log
    finally:
        log.close()


def create(log: Log, mark: str) -> Answer:
    """Create a directive under a mark, which is its idempotency key as well."""
    directive_id = IDS.new("dir")
    spec = DirectiveSpec(input=f"do {mark}", metadata={MARK: mark})

    def transaction(reader: Reader, context: Context) -> Outcome:
        return Outcome(facts=directive_facts(reader, context, directive_id, spec), subject=directive_id)

    committed = log.submit_in_thread(transaction, META, Key.of("test", "create", mark, mark.encode()))
    return Answer(committed.subject or "", committed.position)


def attempt(log: Log, record: Record, mark: str) -> None:
    record.attempt(mark)
    try:
        answer = create(log, mark)
    except OutcomeUnknown:
        record.lose(mark)
    except AthenaError as error:
        record.refuse(mark, error.code)
    else:
        record.acknowledge(mark, answer)


def settle(state_dir: Path, record: Record, *more: str) -> None:
    """Open the log as the next start does. Send everything again, and something new."""
    with unstarted_log(state_dir) as log:
        log.start()
        marks = [mark for mark in [*record.attempts(), *more] if mark not in RUNS]
        for mark in marks:
            attempt(log, record, mark)
    assert set(record.undecided()) <= RUNS


class Spoken(Record):
    """A record that prints each entry as well."""

    def attempt(self, mark: str) -> None:
        say("try", mark)
        super().attempt(mark)

    def acknowledge(self, mark: str, answer: Answer) -> None:
        say("ack", mark, answer.id, answer.position)
        super().acknowledge(mark, answer)

    def refuse(self, mark: str, code: str) -> None:
        say("refuse", mark, code)
        super().refuse(mark, code)

    def lose(self, mark: str) -> None:
        say("unknown", mark, "OUTCOME_UNKNOWN")
        super().lose(mark)


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def heard(text: str, record: Record | None = None) -> Record:
    """Return the record of a program from its output; attempts without an answer are unknown."""
    record = record or Record()
    open_marks: set[str] = set()
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        word, *rest = line.split()
        match word, rest:
            case "try", [mark]:
                record.attempt(mark)
                open_marks.add(mark)
            case "ack", [mark, name, position]:
                record.acknowledge(mark, Answer(name, int(position)))
                open_marks.discard(mark)
            case "refuse", [mark, code]:
                record.refuse(mark, code)
                open_marks.discard(mark)
            case "unknown", [mark, _]:
                record.lose(mark)
                open_marks.discard(mark)
    for mark in open_marks:
        record.lose(mark)
    return record


# Actions of a process


def append(state_dir: Path, name: str = "a", batch: str = "6", singles: str = "5") -> None:
    """Append a batch and then single events, with a checkpoint of the WAL after each; close."""
    record = Spoken()
    with unstarted_log(state_dir, hurry=1_000) as log:
        threads = [
            threading.Thread(target=attempt, args=(log, record, f"{name}-batch-{number}"), daemon=True)
            for number in range(int(batch))
        ]
        for thread in threads:
            thread.start()
        while log.waiting < len(threads):
            time.sleep(0.001)
        log.start()
        for thread in threads:
            thread.join()
        for number in range(int(singles)):
            attempt(log, record, f"{name}-single-{number}")


def write(state_dir: Path, name: str, threads: str) -> None:
    """Append from several threads until killed."""
    record = Spoken()
    with unstarted_log(state_dir) as log:
        log.start()
        say("ready")

        def work(number: int) -> None:
            for count in range(2**62):
                attempt(log, record, f"{name}-{number}-{count}")

        workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(int(threads))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


PROGRAMS: dict[str, Callable[..., None]] = {"append": append, "write": write}


# Running them


def command(program: str, state_dir: Path, *arguments: str) -> list[str]:
    module = "program" if program in PROGRAMS else "program_of_views"
    return [sys.executable, "-B", "-m", f"tests.reliability.{module}", program, str(state_dir), *arguments]


def environment() -> dict[str, str]:
    """Return the environment of a program, without the caller's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
    return kept | {"PYTHONPATH": str(ROOT)}


def started(line: Sequence[str], directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        line,
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def main() -> None:
    PROGRAMS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])


if __name__ == "__main__":
    main()
