"""Other processes on the same state directory: ``python -m tests.core.log.others <action> <directory> …``."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from athena_core.clock import SystemClock, SystemIds
from athena_core.decider import Context, Outcome, Reader
from athena_core.event import Fact
from athena_core.log.batch import BATCH_EVENTS_MAX
from athena_core.log.codec import Codec
from athena_core.log.writer import Log
from tests.core.log.pots import META, POTS, Filled, enqueue, store_at

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def other(what: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """Yield another process once it is ready. It works, or ends, when its input is closed."""
    command = [sys.executable, "-m", "tests.core.log.others", what, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.stdin.close()
            process.wait(timeout=60)


def hold(directory: Path) -> None:
    with store_at(directory, SystemIds()).exclusive():
        print("ready", flush=True)
        sys.stdin.read()


def append(directory: Path, mine: str, theirs: str, count: int) -> None:
    """Append events one by one, each with the last value seen of the other process. Print how often that changed."""
    log = Log(store_at(directory, SystemIds()), Codec(POTS.events), (POTS,), clock=SystemClock(), ids=SystemIds())
    log.start()
    print("ready", flush=True)
    sys.stdin.read()

    def transaction(reader: Reader, context: Context) -> Outcome[int]:
        seen = reader.state(POTS, theirs).level
        return Outcome(facts=(Fact(stream=mine, event=Filled(amount=1)),), answer=seen)

    seen = {log.submit_in_thread(transaction, META).answer for _ in range(count)}
    log.close()
    print(len(seen), flush=True)


def burst(directory: Path, mine: str, count: int) -> None:
    """Queue enough transactions for ``count`` commits without a pause."""
    log = Log(store_at(directory, SystemIds()), Codec(POTS.events), (POTS,), clock=SystemClock(), ids=SystemIds())
    batch = Outcome(facts=(Fact(stream=mine, event=Filled(amount=1)),) * BATCH_EVENTS_MAX)
    futures = [enqueue(log, lambda reader, context: batch) for _ in range(count)]
    print("ready", flush=True)
    sys.stdin.read()
    log.start()
    for future in futures:
        future.result()
    log.close()


if __name__ == "__main__":
    what, directory, *rest = sys.argv[1:]
    if what == "hold":
        hold(Path(directory))
    elif what == "append":
        append(Path(directory), rest[0], rest[1], int(rest[2]))
    else:
        burst(Path(directory), rest[0], int(rest[1]))
