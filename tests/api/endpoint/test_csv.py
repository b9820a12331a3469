"""Sheets: what goes in comes out, and nothing of it is a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_api.endpoint.csv import FORMULA, to_csv
from athena_core.event import Value


class Line(Value):
    """A record of a sheet."""

    who: str | None = None
    how_many: int = 0
    more: dict[str, str] | None = None


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def test_a_sheet_has_a_line_of_names_and_one_for_each_record() -> None:
    content = to_csv(("howMany", "who", "more"), [Line(who='a "b", c\nd', how_many=-3, more={"k": "=1"}), Line()])
    assert content.startswith(b"howMany,who,more\r\n")
    assert rows(content)[1:] == [["-3", 'a "b", c\nd', '{"k":"=1"}'], ["", "", ""]]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", '=HYPERLINK("http://x","y")']
)
def test_text_that_a_spreadsheet_would_execute_is_only_text(text: str) -> None:
    (_, (cell,)) = rows(to_csv(("who",), [Line(who=text)]))
    assert cell == "'" + text


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=5))
def test_any_text_stays_in_its_cell(texts: list[str]) -> None:
    found = [row[0] if row else "" for row in rows(to_csv(("who",), [Line(who=text) for text in texts]))[1:]]
    assert found == ["'" + text if text.startswith(FORMULA) else text for text in texts]
