"""Tests of a restored log beside the anchor of the former one: it starts, unless the anchor vouches for more."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from athena_core.decider import Outcome
from athena_core.event import Fact
from athena_core.log.anchor import Anchor, read_anchor, write_anchor
from athena_core.log.sqlite.connection import open_reader
from athena_core.log.sqlite.copies import STEP_EVENTS
from athena_core.log.tools.backup import copy_log, restore_log
from tests.core.log.pots import Filled, alter, commit, enqueue, erase, fill, key, new_log, take
from tests.support.process import environment_of
from tests.support.programs import needs

FOREIGN = Anchor(log_id="ab" * 8, position=1, chain="00" * 32)


def torn(path: Path) -> None:
    path.write_bytes(b"{}")


def foreign(path: Path) -> None:
    write_anchor(path, FOREIGN)


def content(path: Path) -> dict[str, Sequence[object]]:
    """Return all rows of a log file by table."""
    with closing(open_reader(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {str(name): connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables}


@pytest.mark.sqlite
def test_a_copy_is_of_one_moment_without_one_long_read(tmp_path: Path) -> None:
    log, target = new_log(tmp_path), tmp_path / "copy.db"
    fact = Fact(stream="pot_a", event=Filled(amount=1, label="a secret"))
    commit(log, lambda reader, context: Outcome(facts=(fact,) * 3 * STEP_EVENTS))
    steps = copy_log(tmp_path / "log.db", target)
    assert (next(steps).position, next(steps).position) == (STEP_EVENTS, 2 * STEP_EVENTS)
    enqueue(log, take("a slot"), key("a key"))
    commit(log, *map(erase, range(1, 2 * STEP_EVENTS, 100)), fill())
    alter(tmp_path, f"UPDATE log SET type = 'payload.redacted' WHERE position = {3 * STEP_EVENTS + 2}")
    log.store.checkpoint_wal(truncate=True)
    assert (tmp_path / "log.db-wal").stat().st_size == 0, "no read holds the WAL between two steps"
    list(steps)
    assert content(target) == content(tmp_path / "log.db")
    assert target.read_bytes().count(b"a secret") == (tmp_path / "log.db").read_bytes().count(b"a secret")
    assert [len(content(target)[name]) for name in ("log", "command", "guard")] == [3 * STEP_EVENTS + 2, 1, 1]
    log.close()


@pytest.mark.parametrize(("spoil", "forks"), [(Path.unlink, False), (foreign, False), (torn, True)])
def test_a_copy_is_restored_beside_an_anchor_that_vouches_for_nothing_of_it(
    tmp_path: Path, spoil: Callable[[Path], None], forks: bool
) -> None:
    log = new_log(tmp_path)
    commit(log, fill())
    log.close()
    list(copy_log(tmp_path / "log.db", tmp_path / "copy.db"))
    place = tmp_path / "restored"
    place.mkdir()
    anchor = place / "log.anchor"
    foreign(anchor)
    spoil(anchor)
    assert restore_log(tmp_path / "copy.db", place).forks == forks
    again = new_log(place)
    assert (again.anchor.mismatch() is not None) == forks
    again.store.close()
    if not forks:
        assert read_anchor(anchor) == again.anchor.at_head()
    if spoil is foreign:
        assert read_anchor(place / f"{FOREIGN.log_id}.anchor") == FOREIGN


@needs("strace")
def test_a_restored_log_is_synced_before_it_has_its_name(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    commit(log, fill())
    log.close()
    list(copy_log(tmp_path / "log.db", tmp_path / "copy.db"))
    trace = tmp_path / "trace"
    line = ["strace", "-qq", "-y", "-o", str(trace), "-e", "trace=fsync,/rename", sys.executable, "-Bm", "athena_cli"]
    subprocess.run([*line, "restore", str(tmp_path / "copy.db")], check=True, env=environment_of(tmp_path, {}))
    calls = [line.partition("(")[0] for line in trace.read_text().splitlines()]  # only root can read the names
    assert calls == ["fsync", "rename", "fsync"] * 2, "the anchor and the log, each before and after its rename"
