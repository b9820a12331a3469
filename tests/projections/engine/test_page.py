"""Keyset pages and their cursors."""

import base64
import json
from collections.abc import Iterator

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.errors import CursorInvalid
from athena_core.log.sqlite.views import SqliteViewConnection
from projections.engine.page import (
    INLINE_BYTES_MAX,
    Keyset,
    Page,
    PageTooLarge,
    clamp,
    fill_page,
    inline,
)
from projections.engine.page import page_json as json_of

LIST = Keyset(kind="things", columns=(("at", "at", int), ("id", "id", str)))
AT = st.integers(-3, 3)
THING = st.tuples(AT, st.text(alphabet="abc", min_size=1, max_size=2))


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_limits_are_clamped() -> None:
    assert [clamp(limit) for limit in (None, -5, 0, 1, 500, 9999)] == [50, 1, 1, 1, 500, 500]
    assert clamp(None, 100) == 100


@given(st.integers(-(2**63), 2**63 - 1), st.text())
def test_a_cursor_comes_back_as_it_was(at: int, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    if len(name) < 200:
        assert LIST.decode(LIST.encode((at, name))) == [at, name]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MQ",
        "MTAw",
        "=",
        "a",
        "é",
        encoded(None),
        encoded([1]),
        encoded({}),
        encoded({"kind": "things"}),
        encoded({"kind": "others", "at": 1, "id": "a"}),
        encoded({"kind": "things", "at": "1", "id": "a"}),
        encoded({"kind": "things", "at": True, "id": "a"}),
        encoded({"kind": "things", "at": 1.5, "id": "a"}),
        encoded({"kind": "things", "at": 2**63, "id": "a"}),
        encoded({"kind": "things", "at": 1, "id": None}),
        encoded({"kind": "things", "at": 1, "id": "\ud800"}),
        encoded({"kind": "things", "at": 1, "id": "a", "more": 1}),
        encoded({"kind": "things", "at": 1, "id": "a" * 3_000}),
        encoded({"kind": "things", "at": 1, "id": "a"}) + "=",
        encoded({"kind": "things", "at": 1, "id": "a"}) + "\n",
        encoded([[[]]] * 200),
    ],
)
def test_a_cursor_that_is_not_of_the_list_is_invalid(text: str) -> None:
    with pytest.raises(CursorInvalid):
        LIST.decode(text)


@given(st.text() | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")))
def test_garbage_is_invalid(text: str) -> None:
    with pytest.raises(CursorInvalid):
        LIST.decode(text)


@given(st.sets(THING, max_size=12), st.lists(THING, max_size=6), st.integers(1, 4))
def test_pages_show_every_row_that_was_there_once_while_others_are_inserted(
    things: set[tuple[int, str]], later: list[tuple[int, str]], limit: int
) -> None:
    connection = SqliteViewConnection(apsw.Connection(":memory:"))
    connection.execute("CREATE TABLE thing (at INTEGER, id TEXT, PRIMARY KEY (at, id))")
    connection.executemany("INSERT INTO thing VALUES (?, ?)", sorted(things))
    seen: list[tuple[int, str]] = []
    cursor = None
    while True:
        page = LIST.page(
            connection, "SELECT at, id FROM thing", [("at > ?", -3)], cursor=cursor, limit=limit, show=lambda row: row
        )
        assert len(page.items) <= limit
        seen += [(int(str(at)), str(name)) for at, name in page.items]
        cursor = page.next_cursor
        if later:
            connection.execute("INSERT OR IGNORE INTO thing VALUES (?, ?)", later.pop())
        if cursor is None:
            break
    assert seen == sorted(set(seen), reverse=True)
    assert {thing for thing in things if thing[0] > -3} <= set(seen)
    connection.close()


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(1, 6), st.integers(1, 400))
def test_pages_cut_in_bytes_show_every_row_once_in_order(sizes: list[int], limit: int, bytes_max: int) -> None:
    connection = SqliteViewConnection(apsw.Connection(":memory:"))
    connection.execute("CREATE TABLE thing (at INTEGER, id TEXT, PRIMARY KEY (at, id))")
    rows = [(at, "a" * size) for at, size in enumerate(sizes)]
    connection.executemany("INSERT INTO thing VALUES (?, ?)", rows)
    seen: list[tuple[int | str | bytes | None, ...]] = []
    cursor = None
    while True:
        page = LIST.page(
            connection,
            "SELECT at, id FROM thing",
            (),
            cursor=cursor,
            limit=limit,
            show=lambda row: row,
            bytes_max=bytes_max,
        )
        assert len(page.items) <= limit
        assert len(page.items) <= 1 or len(json.dumps(page.items, separators=(",", ":"))) <= bytes_max + len("[]")
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
        assert page.items
    assert seen == rows[::-1]
    connection.close()


def test_rows_after_the_first_that_does_not_fit_are_not_read() -> None:
    read: list[int] = []

    def rows() -> Iterator[tuple[int | str, ...]]:
        for number in range(100):
            read.append(number)
            yield number, "a" * 1_000

    items, last, more = fill_page(rows(), 100, lambda row: row, 2_500)
    assert (len(items), last[0], more) == (2, 1, True)
    assert read == [0, 1, 2]


def test_an_item_larger_than_a_page_comes_alone() -> None:
    rows = [(0, "a" * 5_000), (1, "b"), (2, "c" * 5_000)]
    assert [len(fill_page(iter(rows[start:]), 9, lambda row: row, 1_000)[0]) for start in range(3)] == [1, 1, 1]
    assert fill_page(iter(rows[2:]), 9, lambda row: row, 1_000)[2] is False


@given(st.lists(st.text(max_size=5), max_size=5))
def test_items_are_turned_round_with_their_json(texts: list[str]) -> None:
    items, _, _ = fill_page(((text,) for text in texts), 9, lambda row: row[0])
    turned = items.backwards()
    assert turned == texts[::-1]
    pieces = json_of(Page(items=turned))
    assert pieces is not None
    assert json.loads(b"".join(pieces)) == {"items": texts[::-1]}


def test_a_page_that_is_too_large_for_the_event_loop_is_given_up_at_once() -> None:
    read: list[int] = []
    closed: list[bool] = []

    def rows() -> Iterator[tuple[int | str, ...]]:
        try:
            for number in range(100):
                read.append(number)
                yield number, "a" * (INLINE_BYTES_MAX // 4)
        finally:
            closed.append(True)

    with pytest.raises(PageTooLarge) as caught, inline():
        fill_page(rows(), 100, lambda row: row)
    assert (read, closed) == ([0, 1, 2, 3], [True]), caught
    with inline():
        assert len(fill_page(rows(), 3, lambda row: row)[0]) == 3
    assert len(fill_page(rows(), 9, lambda row: row)[0]) == 9
