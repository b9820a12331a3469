"""Tables and the buffer of rows."""

import copy
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.domain.directive import DirectiveCreated
from athena_core.event import Recorded
from athena_core.log.sqlite.views import SqliteViewConnection
from projections.engine.projection import CACHED_ROWS_MAX, Buffers, Projection, Rows, Table, during, joined
from tests.projections.support import DATABASES


class Note(msgspec.Struct):
    shelf: str
    number: int
    text: str | None
    done: bool = False


class Tally(msgspec.Struct):
    shelf: str
    number: int
    amount: int = 0


class Page(msgspec.Struct):
    name: str
    number: int
    words: int = 0
    answer: bytes = b""


class Number(msgspec.Struct):
    number: int


NOTE = Table("note", Note, key=("shelf", "number"), indexes=(("text", "number"),))
KEPT = Table("kept", Note, key=("shelf", "number"), cached=True)
TALLY = Table("tally", Tally, key=("shelf", "number"))
NUMBER = Table("number", Number, key=("number",))


def test_a_table_is_derived_from_its_row_class() -> None:
    assert NOTE.create == (
        "CREATE TABLE note (shelf TEXT NOT NULL, number INTEGER NOT NULL, text TEXT, done INTEGER NOT NULL,"
        " since_ INTEGER NOT NULL, PRIMARY KEY (shelf, number)) STRICT, WITHOUT ROWID",
        "CREATE INDEX note_by_text_number ON note (text, number) WHERE text IS NOT NULL",
    )
    assert NOTE.create_past == (
        "CREATE TABLE IF NOT EXISTS note_past (shelf TEXT NOT NULL, number INTEGER NOT NULL, text TEXT,"
        " done INTEGER NOT NULL, since_ INTEGER NOT NULL, until_ INTEGER NOT NULL,"
        " PRIMARY KEY (shelf, number, until_)) STRICT, WITHOUT ROWID"
    )
    assert during(NOTE, 7).upsert == (
        "INSERT INTO note (shelf, number, text, done, since_) VALUES (?, ?, ?, ?, 7) ON CONFLICT (shelf, number)"
        " DO UPDATE SET text = excluded.text, done = excluded.done, since_ = excluded.since_"
    )
    assert NUMBER.create[0] == (
        "CREATE TABLE number (number INTEGER NOT NULL, since_ INTEGER NOT NULL, PRIMARY KEY (number)) STRICT"
    )
    assert during(NUMBER, 7).upsert.endswith(" ON CONFLICT (number) DO UPDATE SET since_ = excluded.since_")
    assert during(TALLY, 7).add.endswith(
        " DO UPDATE SET amount = tally.amount + excluded.amount, since_ = excluded.since_"
    )


def test_a_table_with_a_place_is_stored_by_it_and_encodes_each_answer_that_it_writes_once(tmp_path: Path) -> None:
    encoded: list[str] = []

    def answer_of(row: Page) -> bytes:
        encoded.append(row.name)
        return f"{row.name}{row.words}".encode()

    table = Table("page", Page, key=("name",), place="number", answer=answer_of, cached=True)
    assert table.create[0] == (
        "CREATE TABLE page (name TEXT NOT NULL, number INTEGER NOT NULL, words INTEGER NOT NULL, answer BLOB NOT NULL,"
        " since_ INTEGER NOT NULL, PRIMARY KEY (number), UNIQUE (name)) STRICT"
    )
    assert during(table, 7).upsert.endswith(
        " DO UPDATE SET words = excluded.words, answer = excluded.answer, since_ = excluded.since_"
    )
    connection = DATABASES.write(tmp_path / "a.db")
    for statement in table.create:
        connection.execute(statement)
    rows = Rows(connection)
    rows.append(table, Page("b", 1))
    rows.append(table, Page("a", 2))
    for _ in range(3):
        rows.change(table, "b").words += 1
    rows.flush()
    rows.change(table, "a").words = 7
    rows.flush()
    assert encoded == ["b", "a", "a"]
    assert list(connection.execute("SELECT number, answer FROM page ORDER BY number")) == [(1, b"b3"), (2, b"a7")]


@pytest.mark.parametrize("kind", [float, dict, str | int, list[str]])
def test_a_column_holds_text_integers_booleans_or_bytes(kind: Any) -> None:
    row = msgspec.defstruct("Odd", [("key", str), ("value", kind)])
    with pytest.raises(TypeError, match=r"odd\.value"):
        Table("odd", row, key=("key",))


def test_a_key_cannot_be_null() -> None:
    with pytest.raises(TypeError, match=r"odd\.key"):
        Table("odd", msgspec.defstruct("Odd", [("key", str | None)]), key=("key",))


def test_an_event_type_has_one_handler() -> None:
    projection = Projection("p", version=1, tables=())

    @projection.handler
    def once(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
        pass

    with pytest.raises(ValueError, match="already handles"):
        projection.handler(once)


def test_a_needed_row_that_is_not_there_says_which(tmp_path: Path) -> None:
    connection = DATABASES.write(tmp_path / "a.db")
    for statement in NUMBER.create:
        connection.execute(statement)
    with pytest.raises(LookupError, match="number has no row 7"):
        Rows(connection).need(NUMBER, 7)


KEYS = st.tuples(st.sampled_from("ab"), st.integers(0, 2))
STEPS = st.tuples(
    st.sampled_from(["put", "append", "insert", "delete", "edit", "change", "get", "flush", "roll back"]),
    KEYS,
    st.integers(0, 5),
)


@pytest.mark.parametrize("table", [NOTE, KEPT], ids=lambda table: table.name)
@given(st.lists(STEPS, max_size=40))
def test_the_buffer_behaves_like_a_dictionary(
    table: Table[Note], steps: list[tuple[str, tuple[str, int], int]]
) -> None:
    connection = SqliteViewConnection(apsw.Connection(":memory:"))
    for statement in table.create:
        connection.execute(statement)
    connection.execute("BEGIN")
    buffers = Buffers()
    rows = Rows(connection, buffers)
    model: dict[tuple[str, int], Note] = {}
    stored: dict[tuple[str, int], Note] = {}
    numbers = count()
    for step, key, value in steps:
        if step == "put" or (step == "append" and key not in model):
            model[key] = Note(*key, str(value), value % 2 == 0)
            (rows.put if step == "put" else rows.append)(table, Note(*key, str(value), value % 2 == 0))
        elif step == "insert":
            new = ("new", next(numbers))
            model[new] = Note(*new, str(value), value % 2 == 0)
            rows.insert(table, (*new, str(value), value % 2 == 0))
            assert value % 2 or rows.get(table, *new) == model[new]
        elif step == "delete":
            model.pop(key, None)
            rows.delete(table, *key)
        elif step == "edit" and (found := rows.get(table, *key)) is not None:
            found.text = None
            rows.put(table, found)
            model[key] = msgspec.structs.replace(model[key], text=None)
        elif step == "change" and key in model:
            rows.change(table, *key).text = "changed"
            model[key] = msgspec.structs.replace(model[key], text="changed")
        elif step == "change":
            with pytest.raises(LookupError):
                rows.change(table, *key)
        elif step == "get":
            assert rows.get(table, *key) == model.get(key)
        elif step == "flush":
            rows.flush()
            connection.execute("COMMIT")
            connection.execute("BEGIN")
            rows, stored = Rows(connection, buffers), copy.deepcopy(model)
        elif step == "roll back":
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")
            buffers.clear()
            rows, model = Rows(connection, buffers), copy.deepcopy(stored)
    rows.flush()
    assert [table.load(row) for row in connection.execute(table.scan)] == [model[key] for key in sorted(model)]
    connection.close()


@given(st.lists(st.tuples(KEYS, st.integers(-3, 3), st.booleans()), max_size=40))
def test_tallies_add_up_over_pages(additions: list[tuple[tuple[str, int], int, bool]]) -> None:
    connection = SqliteViewConnection(apsw.Connection(":memory:"))
    for statement in TALLY.create:
        connection.execute(statement)
    rows, sums = Rows(connection), Counter[tuple[str, int]]()
    for key, amount, page_ends in additions:
        rows.tally(TALLY, *key).amount += amount
        sums[key] += amount
        if page_ends:
            rows.flush()
    rows.flush()
    found = {(row.shelf, row.number): row.amount for row in map(TALLY.load, connection.execute(TALLY.scan))}
    assert found == dict(sums)
    connection.close()


def test_only_the_newest_rows_of_a_kept_table_stay_in_memory() -> None:
    connection = SqliteViewConnection(apsw.Connection(":memory:"))
    for statement in KEPT.create:
        connection.execute(statement)
    buffers = Buffers()
    rows = Rows(connection, buffers)
    for number in range(CACHED_ROWS_MAX + 2):
        rows.append(KEPT, Note("a", number, "x"))
    rows.flush()
    connection.execute("DELETE FROM kept")  # the rest comes from memory
    rows = Rows(connection, buffers)
    assert [rows.get(KEPT, "a", number) is None for number in range(4)] == [True, True, False, False]
    assert rows.get(KEPT, "a", CACHED_ROWS_MAX + 1) == Note("a", CACHED_ROWS_MAX + 1, "x")
    connection.close()


def test_many_rows_are_written_by_their_cells() -> None:
    connection = SqliteViewConnection(apsw.Connection(":memory:"))
    for statement in NUMBER.create:
        connection.execute(statement)
    rows = Rows(connection)
    rows.extend(NUMBER, [(1,), (2,)])
    rows.extend(NUMBER, iter([(3,)]))
    rows.flush()
    rows.flush()
    assert [NUMBER.load(row).number for row in connection.execute(NUMBER.scan)] == [1, 2, 3]
    connection.close()


def test_parts_of_a_read_model_are_joined() -> None:
    def part(name: str, table: Table[Any], version: int = 3) -> Projection:
        return Projection(name, version=version, tables=(table,))

    first, second = part("p", NUMBER), part("p", KEPT)

    @first.handler
    def directive_created(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
        pass

    whole = joined(first, second)
    assert (whole.name, whole.version, whole.tables) == ("p", 3, (NUMBER, KEPT))
    assert (whole.handlers, whole.events) == ({DirectiveCreated.TYPE: directive_created}, (DirectiveCreated,))
    for other in (part("q", KEPT), part("p", KEPT, version=4)):
        with pytest.raises(ValueError, match="another name or version"):
            joined(first, other)
