"""Tests of the chain: a history proves itself, and every change of it is found where it is."""

import hashlib
from pathlib import Path

import apsw
import msgspec
import pytest

from athena_core.decider import Context, Outcome, Reader
from athena_core.event import Fact, Meta
from athena_core.log import chain
from athena_core.log.chain import ChainBroken
from athena_core.protocols import Cell, Row
from tests.core.log.pots import Filled, commit, enqueue, erase, fill, new_log, rows, stored

NULLABLE = ("causation", "session_id", "run_id", "extra", "text_hash")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Return a log of five rows, none of whose columns is NULL."""
    log = new_log(tmp_path)

    def transaction(reader: Reader, context: Context) -> Outcome:
        event = Filled(amount=1, label="same", source="spring")
        return Outcome(facts=(Fact(stream="pot_a", event=event, session_id="s", run_id="r"),) * 5)

    enqueue(log, transaction, meta=Meta(actor="ada", correlation="trace-1", causation=1))
    log.commit_waiting()
    log.close()
    return tmp_path


def change(directory: Path, statement: str, *values: Cell) -> None:
    """Change a row as anybody with access to the file can."""
    with apsw.Connection(str(directory / "log.db")) as database:
        database.execute(statement, values)
    database.close()


def another(value: Cell) -> Cell:
    """Return a different value of the same type."""
    match value:
        case bytes():
            return value[:-1] + bytes([value[-1] ^ 1])
        case int():
            return value + 100
        case _:
            return str(value) + "'"


def broken_at(directory: Path) -> int | None:
    """Return the position at which verification fails."""
    try:
        rows(directory)
    except ChainBroken as broken:
        return broken.position
    return None


def test_a_history_proves_itself(history: Path) -> None:
    found = rows(history)
    assert len(found) == 5
    assert all(value is not None for row in found for value in row)


@pytest.mark.parametrize("position", [1, 3, 5])
@pytest.mark.parametrize("column", Row._fields)
def test_a_change_of_any_column_is_found(history: Path, column: str, position: int) -> None:
    old: Cell = getattr(rows(history)[position - 1], column)
    change(history, f"UPDATE log SET {column} = ? WHERE position = ?", another(old), position)
    assert broken_at(history) == position


@pytest.mark.parametrize("column", NULLABLE)
def test_a_value_that_is_taken_away_is_found(history: Path, column: str) -> None:
    change(history, f"UPDATE log SET {column} = NULL WHERE position = 3")
    assert broken_at(history) == 3


@pytest.mark.parametrize("column", ["data", "text"])
def test_a_changed_payload_is_found_even_with_its_hash_made_to_fit(history: Path, column: str) -> None:
    forged = b'{"amount":2}'
    values = (forged, hashlib.sha256(forged).digest())
    change(history, f"UPDATE log SET {column} = ?, {column}_hash = ? WHERE position = 3", *values)
    assert broken_at(history) == 3


def test_a_row_that_is_taken_out_is_found(history: Path) -> None:
    change(history, "DELETE FROM log WHERE position = 3")
    assert broken_at(history) == 3


def test_two_rows_that_changed_places_are_found(history: Path) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        change(history, "UPDATE log SET position = ? WHERE position = ?", new, old)
    assert broken_at(history) == 2


def test_a_row_that_is_put_in_is_found(history: Path) -> None:
    change(
        history,
        "INSERT INTO log SELECT 6, stream, 6, type, schema_version, recorded_at, command_id, correlation, causation,"
        " actor, session_id, run_id, data, extra, data_hash, text_hash, chain, text FROM log WHERE position = 5",
    )
    assert broken_at(history) == 6


def test_a_text_may_be_erased_but_not_replaced(history: Path) -> None:
    change(history, "UPDATE log SET text = NULL WHERE position = 3")
    assert broken_at(history) is None
    change(history, "UPDATE log SET text = x'7b7d' WHERE position = 3")
    assert broken_at(history) == 3


def test_a_log_still_proves_itself_after_an_erasure_and_goes_on(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    commit(log, fill(label="one"), fill(label="two"))
    commit(log, erase(1), fill(label="three"))
    log.close()
    assert [row.text is None for row in rows(tmp_path)] == [True, False, False]


def test_equal_texts_have_different_hashes(history: Path) -> None:
    found = rows(history)
    salts = {msgspec.json.decode(row.text or b"")["salt"] for row in found}
    assert len(salts) == len({row.text_hash for row in found}) == 5
    assert {len(bytes.fromhex(salt)) for salt in salts} == {16}


def test_a_proof_may_begin_anywhere(history: Path) -> None:
    found = rows(history)
    assert len(list(chain.verify(found[2:], after=2, chain=found[1].chain))) == 3
    with pytest.raises(ChainBroken, match="position 3: the row does not match the chain"):
        list(chain.verify(found[2:], after=2, chain=found[0].chain))


def test_rows_before_the_broken_one_are_passed_on(history: Path) -> None:
    change(history, "UPDATE log SET actor = 'eve' WHERE position = 4")
    proved = chain.verify(stored(history))
    assert [next(proved).position for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ChainBroken):
        next(proved)


def test_time_that_goes_back_is_found() -> None:
    first = sealed(position=1, recorded_at=2, previous=chain.GENESIS)
    second = sealed(position=2, recorded_at=1, previous=first.chain)
    with pytest.raises(ChainBroken, match="position 2: recorded before its predecessor"):
        list(chain.verify([first, second]))


def sealed(*, position: int, recorded_at: int, previous: bytes) -> Row:
    """Return the row with a chain hash that fits."""
    data = b"{}"
    leaf = (position, "pot_a", position, "pot.filled", 1, recorded_at, "cmd_1", "trace", None, "ada", None, None)
    columns = (*leaf, data, None, hashlib.sha256(data).digest(), None)
    return Row(*columns, chain=chain.link(previous, columns), text=None)


def test_the_format_is_what_it_always_was() -> None:
    row = sealed(position=1, recorded_at=1_767_225_600_000, previous=chain.GENESIS)
    leaf = hashlib.sha256(msgspec.msgpack.encode(list(row[:16]))).digest()
    assert row.chain == hashlib.sha256(bytes(32) + leaf).digest()
    assert row.chain.hex() == "92cbdf665b38465c7009532f082a37b8e12eb09ff4881587be3955103fc0a215"
