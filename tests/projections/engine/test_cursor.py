"""Cursors of the feed."""

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.errors import CursorAhead, CursorForeign, CursorInvalid
from projections.engine.cursor import Cursor, event_id, parse_cursor, resolve
from tests.projections.history import LOG_ID, History


@pytest.fixture(scope="module")
def history() -> History:
    history = History()
    for number in range(5):
        history.directive(str(number))
    return history


@given(st.binary(min_size=8, max_size=8), st.integers(1, 2**63 - 1), st.binary(min_size=4, max_size=4))
def test_an_id_is_its_own_cursor(log: bytes, position: int, mark: bytes) -> None:
    text = event_id(log.hex(), position, mark)
    assert len(text) == 28
    assert parse_cursor(text) == Cursor(position=position, log_id=log.hex(), mark=mark)


def test_a_position_is_a_cursor_too(history: History) -> None:
    assert parse_cursor("0") == Cursor(position=0)
    assert [resolve(parse_cursor(text), history) for text in ("0", "3", "5")] == [0, 3, 5]


def test_a_cursor_of_this_log_is_its_position(history: History) -> None:
    for row in history.written:
        assert resolve(parse_cursor(event_id(LOG_ID, row.position, row.chain[:4])), history) == row.position


def test_a_cursor_of_another_log_or_another_history_is_foreign(history: History) -> None:
    mark = history.written[2].chain[:4]
    for text in (event_id("fedcba9876543210", 3, mark), event_id(LOG_ID, 4, mark)):
        with pytest.raises(CursorForeign):
            resolve(parse_cursor(text), history)


def test_a_cursor_beyond_the_head_is_ahead(history: History) -> None:
    for text in ("6", event_id(LOG_ID, 6, b"mark")):
        with pytest.raises(CursorAhead) as caught:
            resolve(parse_cursor(text), history)
        assert caught.value.details == {"position": 6, "head": 5}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MQ",
        "-1",
        "1.0",
        " 1",
        "1\n",
        "٣",
        "9" * 19,
        event_id(LOG_ID, 3, b"mark") + "=",
        event_id(LOG_ID, 3, b"mark")[:-1],
        event_id(LOG_ID, 3, b"mark").replace("A", "+"),
        event_id(LOG_ID, 3, b"mark") + "\n",
        base64.urlsafe_b64encode(bytes(21)).decode(),
        base64.urlsafe_b64encode(b"\x02" + bytes(19) + b"\x01").decode(),
        base64.urlsafe_b64encode(b"\x01" + bytes(8) + b"\xff" * 12).decode(),
    ],
)
def test_anything_else_is_invalid(text: str) -> None:
    with pytest.raises(CursorInvalid):
        parse_cursor(text)


@given(st.text() | st.text(alphabet="AQMabc019-_=+", min_size=20, max_size=30))
def test_garbage_is_nothing_but_a_cursor_error(text: str) -> None:
    history = History()
    history.directive("only")
    with suppress(CursorInvalid, CursorForeign, CursorAhead):
        assert resolve(parse_cursor(text), history) in {0, 1}
