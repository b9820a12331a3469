"""Damaged pages and indexes: what a check names, what a repair keeps, and what a write that meets one leaves."""

import re
from contextlib import closing
from pathlib import Path

import apsw
import psycopg
import pytest

from athena_core.errors import StoreDamaged
from athena_core.log.engine import open_archive
from athena_core.log.port import Inspection, StoreFault
from athena_core.log.postgres.integrity import NO_AMCHECK, reindex
from athena_core.log.sqlite.connection import open_reader
from athena_core.log.sqlite.copies import repair
from athena_core.log.sqlite.integrity import inspect
from tests.core.log.pots import Deaths, commit, enqueue, fill, new_log, on_postgres, url_of

LEAVES = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path"
PAGE_BYTES = 4_096


def damage_leaf(path: Path, tree: str) -> list[str]:
    """Overwrite a leaf in the middle of a table or index; let no connection trust its memory. Return names in it."""
    with closing(apsw.Connection(str(path))) as other:
        leaves = [int(page) for (page,) in other.execute(LEAVES, (tree,))]
        other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)  # after a read, which opens the WAL
        place = (leaves[len(leaves) // 2] - 1) * PAGE_BYTES
        names = re.findall(rb"(?:pot|tok)_[0-9]{4}", path.read_bytes()[place : place + PAGE_BYTES])
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\xff" * PAGE_BYTES)
        other.execute("PRAGMA user_version = 1")
    return sorted(name.decode() for name in names)


@pytest.mark.sqlite
def test_a_transaction_that_meets_a_damaged_page_is_refused_and_those_beside_it_are_not(tmp_path: Path) -> None:
    deaths = Deaths()
    log = new_log(tmp_path, deaths=deaths)
    commit(log, *(fill(f"pot_{number:04}") for number in range(400)))
    hurt = damage_leaf(tmp_path / "log.db", "log_stream")[5]
    pots = ("pot_0000a", hurt, "pot_0000b", hurt, "pot_0000c")
    futures = [enqueue(log, fill(pot)) for pot in pots]
    while log.waiting:
        log.commit_waiting()
    answers = [future.exception(timeout=0) or future.result() for future in futures]
    assert [isinstance(answer, StoreDamaged) for answer in answers] == [pot == hurt for pot in pots]
    assert not deaths
    assert [problem.loop for problem in log.problems.failing()] == ["log.pages"]
    commit(log, fill("pot_0000d"), fill("pot_0000e"))
    assert sum(log.batches.counts) == 5, "once the damaged page is left alone, commits are shared again"
    log.close()


@pytest.mark.sqlite
def test_a_repair_rebuilds_an_index_but_leaves_a_log_with_a_damaged_table_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(new_log(tmp_path)) as log:
        commit(log, *(fill(f"pot_{number:04}") for number in range(400)))
    with closing(apsw.Connection(str(path))) as other, other:
        other.executemany("INSERT INTO token_use VALUES (?, 1)", [(f"tok_{number:04}",) for number in range(2_000)])
    damage_leaf(path, "log_stream")
    with closing(open_reader(path)) as reader:
        found = inspect(reader)
        assert [(fault.table, fault.index_name) for fault in found.faults] == [("log", "log_stream")]
    assert found.only_indexes
    repair(path)
    with closing(open_reader(path)) as reader:
        assert inspect(reader) == Inspection()
        counts = [reader.execute(f"SELECT count(*) FROM {table}").get for table in ("log", "token_use")]
        assert counts == [400, 2_000]
    damage_leaf(path, "token_use")
    before = path.read_bytes()
    with closing(open_reader(path)) as reader:
        assert not inspect(reader).only_indexes
    with pytest.raises(apsw.CorruptError):
        repair(path)
    assert path.read_bytes() == before
    assert not path.with_name("log.db.part").exists()


@pytest.mark.sqlite
def test_a_check_that_takes_too_long_says_so(tmp_path: Path) -> None:
    with closing(new_log(tmp_path)) as log:
        commit(log, *(fill(f"pot_{number:04}") for number in range(400)))
    with closing(open_reader(tmp_path / "log.db")) as reader:
        assert inspect(reader, -1.0).unchecked == "the check of pages did not end in -1 s"
        assert inspect(reader, 60.0) == Inspection()


def test_an_index_that_lacks_a_row_is_found_and_rebuilt_in_a_database(database: str, tmp_path: Path) -> None:
    on_postgres(tmp_path, database)
    with closing(new_log(tmp_path)) as log:
        commit(log, fill("pot_a"))
        with closing(open_archive(tmp_path, database)) as archive, closing(archive.reader()) as reader:
            assert reader.inspect() == Inspection(unchecked=NO_AMCHECK)
            with psycopg.connect(database, autocommit=True) as other:
                other.execute("CREATE EXTENSION amcheck")
            assert reader.inspect() == Inspection()
            ready = "UPDATE pg_index SET indisready = {} WHERE indexrelid = 'athena.log_stream'::regclass"
            with psycopg.connect(database, autocommit=True) as other:
                other.execute(ready.format("false").encode())
                other.execute("UPDATE athena.log SET stream = 'pot_b'")
                other.execute(ready.format("true").encode())
            (fault,) = reader.inspect().faults
            assert fault == StoreFault("log", "log_stream", fault.reason)
            assert "lacks matching index tuple" in fault.reason
            reindex(database, (fault,))
            assert reader.inspect() == Inspection()
    assert url_of(tmp_path) == database
