"""Tests that cut the power of a working log at any moment, over a file system that records each sync.

Not covered: files other than SQLite's (locks, pointers of generations), and disks that lie. The tests assume that the
first anchor is durable before any row; later ones only vouch for more.
"""

import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from athena_core.log import chain
from athena_core.log.anchor import Anchor, read_anchor, write_anchor
from athena_core.log.sqlite.store import SqliteStore
from athena_core.log.writer import Log
from tests.reliability.history import history_of
from tests.reliability.oracle import Answer, Record, violations
from tests.reliability.power import Act, Acts, Disk, Told, recorded
from tests.reliability.program import attempt, settle, unstarted_log
from tests.reliability.seed import fresh_seed
from tests.scale import sized

IMAGES = sized(100, 500, 20_000)
IMAGES_OF_ONE_HISTORY = 1_000
CONTROL_IMAGES = sized(40, 200, 1_000)
CLIENTS = 8
WRITES_OF_A_CLIENT = 12
HURRY = 50.0  # checkpoints come every 20 ms
IDLE_SECONDS = 1.5  # after one second without work the WAL is emptied
RESTARTED_SHARE = 0.05
ANCHORED = "the log has its first anchor"


class TellingRecord(Record):
    """A record that also notes among the acts of the disk when each client was answered."""

    def __init__(self, acts: Acts) -> None:
        super().__init__()
        self._acts = acts

    def acknowledge(self, mark: str, answer: Answer) -> None:
        super().acknowledge(mark, answer)
        self._acts.add(Told(mark))


def history_made(state_dir: Path, synchronous: str) -> tuple[list[Act], Record]:
    """Let clients write concurrently with readers and checkpoints. Return the acts of the disk and the answers."""
    with recorded() as acts:
        record = TellingRecord(acts)
        with unstarted_log(state_dir, hurry=HURRY) as log:
            if synchronous != "FULL":  # the log itself sets it
                set_synchronous(log, synchronous)
            log.start()
            acts.add(Told(ANCHORED))
            for turn in range(3):
                stop = threading.Event()
                clients = [
                    threading.Thread(target=write, args=(log, record, f"{turn}-{number}")) for number in range(CLIENTS)
                ]
                looking = threading.Thread(target=look, args=(log, stop))
                for thread in (looking, *clients):
                    thread.start()
                for client in clients:
                    client.join()
                stop.set()
                looking.join()
                if turn == 1:
                    emptied(log, record, state_dir / "log.db-wal")
    return acts.acts, record


def emptied(log: Log, record: Record, wal: Path) -> None:
    """Leave work for an idle writer, and check that it empties the WAL."""
    for number in range(20):
        attempt(log, record, f"idle-{number}-first")
        attempt(log, record, f"idle-{number}-second")  # so soon after that it is not moved at once
        end = time.monotonic() + IDLE_SECONDS
        while time.monotonic() < end:
            if not wal.stat().st_size:
                return
            time.sleep(0.01)
    raise AssertionError("the WAL was never emptied")


def set_synchronous(log: Log, synchronous: str) -> None:
    """Change one pragma: the control of this experiment."""
    assert isinstance(log.store, SqliteStore)
    connection = log.store._connection
    connection.pragma("synchronous", synchronous)
    assert connection.pragma("synchronous") == {"FULL": 2, "NORMAL": 1, "OFF": 0}[synchronous]


def write(log: Log, record: Record, name: str) -> None:
    for number in range(WRITES_OF_A_CLIENT):
        attempt(log, record, f"{name}-{number}")


def look(log: Log, stop: threading.Event) -> None:
    """Read now and then, which blocks checkpoints."""
    reader = log.reader()
    while not stop.is_set():
        for _ in reader.rows(0, 50):
            time.sleep(0.0002)
    reader.close()


def cuts(acts: list[Act], count: int, rng: random.Random) -> Iterator[tuple[int, Disk]]:
    """Yield moments of a history in order, with the disk at each."""
    disk = Disk()
    moments = sorted(rng.randrange(1, len(acts) + 1) for _ in range(count))
    done = 0
    for moment in moments:
        for act in acts[done:moment]:
            disk.follow(act)
        done = moment
        yield moment, disk


def told_until(record: Record, acts: list[Act]) -> list[tuple[int, str]]:
    return [(index + 1, act.mark) for index, act in enumerate(acts) if isinstance(act, Told)]


def as_of(record: Record, told: set[str]) -> Record:
    """Return the answers up to a moment; everything else counts as attempted only."""
    then = Record()
    for mark, one in record.attempts().items():
        then.attempt(mark)
        if mark in told:
            then.acknowledge(mark, one.answers[0])
        else:
            then.lose(mark)
    return then


def judged(image: dict[str, bytes], state_dir: Path, then: Record) -> set[str]:
    """Return the faults of an image: broken promises, or corruption that SQLite or the chain finds."""
    shutil.rmtree(state_dir, ignore_errors=True)
    state_dir.mkdir()
    for name, content in image.items():
        (state_dir / name).write_bytes(content)
    if "log.db" not in image:
        return {"lost"} if then.acknowledged() else set()
    connection = apsw.Connection(str(state_dir / "log.db"), vfs="unix")  # recovers, as the next start does
    try:
        if connection.execute("PRAGMA integrity_check").get != "ok":
            return {"corrupt"}
        if not connection.execute("SELECT count(*) FROM sqlite_schema").get:
            return {"lost"} if then.acknowledged() else set()
    except apsw.Error:
        return {"corrupt"}
    finally:
        connection.close()
    try:
        history = history_of(state_dir)
    except (apsw.Error, chain.ChainBroken):  # SQLite would not notice half a page of a payload
        return {"corrupt"}
    return {line.partition(":")[0] for line in violations(then, history)}


def outcomes(state_dir: Path, count: int, synchronous: str, seed: int) -> tuple[Counter[str], int]:
    """Cut the power this often during one history. Count what went wrong and how much happened."""
    rng = random.Random(seed)
    acts, record = history_made(state_dir / "live", synchronous)
    told = told_until(record, acts)
    found: Counter[str] = Counter()
    for number, (moment, disk) in enumerate(cuts(acts, count, rng)):
        then = as_of(record, {mark for at, mark in told if at <= moment})
        wrong = judged(disk.images(rng), state_dir / "image", then)
        found.update(wrong)
        assert synchronous != "FULL" or not wrong, f"seed {seed}, cut {number} at act {moment} of {len(acts)}: {wrong}"
        if not wrong and rng.random() < RESTARTED_SHARE:
            if any(mark == ANCHORED and at <= moment for at, mark in told):
                copy_first_anchor(state_dir / "live", state_dir / "image")
            settle(state_dir / "image", then, "after")
            wrong = {line.partition(":")[0] for line in violations(then, history_of(state_dir / "image"))}
            assert not wrong, f"seed {seed}, after a start upon cut {number}: {wrong}"
            found["restarted"] += 1
    return found, len(acts)


def copy_first_anchor(live: Path, image: Path) -> None:
    """Restore the anchor that the log had before its first row."""
    anchor = read_anchor(live / "log.anchor")
    assert anchor is not None
    write_anchor(image / "log.anchor", Anchor(log_id=anchor.log_id, position=0, chain=chain.GENESIS.hex()))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return a directory in memory where possible: there are many images."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    path = memory / f"{tmp_path.name}-{os.getpid()}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged(place: Path) -> None:
    seed = fresh_seed("power")
    found: Counter[str] = Counter()
    acts = 0
    for first in range(0, IMAGES, IMAGES_OF_ONE_HISTORY):
        one = place / str(first)
        one.mkdir()
        wrong, number = outcomes(one, min(IMAGES_OF_ONE_HISTORY, IMAGES - first), "FULL", seed + first)
        found += wrong
        acts += number
        shutil.rmtree(one)
    print(f"FULL: {IMAGES} images of {acts} acts, {dict(found)}")
    assert set(found) <= {"restarted"}


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_the_same_cuts_find_what_a_log_without_syncs_loses(place: Path) -> None:
    seed = fresh_seed("power, control")
    for synchronous in ("NORMAL", "OFF"):
        one = place / synchronous
        one.mkdir()
        found, acts = outcomes(one, CONTROL_IMAGES, synchronous, seed)
        print(f"{synchronous}: {CONTROL_IMAGES} images of {acts} acts, {dict(found)}")
        assert found["lost"] > CONTROL_IMAGES / 10
