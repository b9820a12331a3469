"""Tables and the buffer of rows."""

from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.domain.directive import DirectiveCreated
from athena_core.event import Recorded
from athena_core.store.sqlite import ViewConnection
from projections.projection import Projection, Rows, Table
from tests.projections.support import DATABASES


class Note(msgspec.Struct):
    shelf: str
    number: int
    text: str | None
    done: bool = False


class Number(msgspec.Struct):
    number: int


NOTE = Table("note", Note, key=("shelf", "number"), indexes=(("text", "number"),))
NUMBER = Table("number", Number, key=("number",))


def test_a_table_is_derived_from_its_row_class() -> None:
    assert NOTE.create == (
        "CREATE TABLE note (shelf TEXT NOT NULL, number INTEGER NOT NULL, text TEXT, done INTEGER NOT NULL,"
        " PRIMARY KEY (shelf, number)) STRICT, WITHOUT ROWID",
        "CREATE INDEX note_by_text_number ON note (text, number)",
    )
    assert NOTE.upsert == (
        "INSERT INTO note (shelf, number, text, done) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (shelf, number) DO UPDATE SET text = excluded.text, done = excluded.done"
    )
    assert NUMBER.create == ("CREATE TABLE number (number INTEGER NOT NULL, PRIMARY KEY (number)) STRICT",)
    assert NUMBER.upsert.endswith("DO NOTHING")


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

    @projection.on(DirectiveCreated)
    def once(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
        pass

    with pytest.raises(ValueError, match="already handles"):
        projection.on(DirectiveCreated)(once)


def test_a_needed_row_that_is_not_there_says_which(tmp_path: Path) -> None:
    connection = DATABASES.write(tmp_path / "a.db")
    connection.execute(NUMBER.create[0])
    with pytest.raises(LookupError, match="number has no row 7"):
        Rows(connection).need(NUMBER, 7)


KEYS = st.tuples(st.sampled_from("ab"), st.integers(0, 2))
STEPS = st.tuples(st.sampled_from(["put", "append", "delete", "edit", "get", "flush"]), KEYS, st.integers(0, 5))


@given(st.lists(STEPS, max_size=40))
def test_the_buffer_behaves_like_a_dictionary(steps: list[tuple[str, tuple[str, int], int]]) -> None:
    connection = ViewConnection(apsw.Connection(":memory:"))
    connection.execute(NOTE.create[0])
    rows, model = Rows(connection), {}
    for step, key, value in steps:
        if step == "put" or (step == "append" and key not in model):
            model[key] = Note(*key, str(value), value % 2 == 0)
            (rows.put if step == "put" else rows.append)(NOTE, Note(*key, str(value), value % 2 == 0))
        elif step == "delete":
            model.pop(key, None)
            rows.delete(NOTE, *key)
        elif step == "edit" and (found := rows.get(NOTE, *key)) is not None:
            found.text = None
            rows.put(NOTE, found)
            model[key] = msgspec.structs.replace(model[key], text=None)
        elif step == "get":
            assert rows.get(NOTE, *key) == model.get(key)
        elif step == "flush":
            rows.flush()
    rows.flush()
    assert [NOTE.load(row) for row in connection.execute(NOTE.scan)] == [model[key] for key in sorted(model)]
    connection.close()
