"""Text that a terminal may obey: every such character is found, in text and in encoded JSON."""

import unicodedata

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from athena_core.text import escape_json, one_line, printable

OBEYED = "".join(
    chr(code)
    for code in range(0x3000)
    if unicodedata.category(chr(code)) in {"Cc", "Zl", "Zp"}
    or unicodedata.bidirectional(chr(code)) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    or chr(code) in "\u061c\u200e\u200f"
)
"""Control characters, line separators and bidi controls, by the tables of Unicode."""


def test_no_character_that_a_terminal_may_obey_stays_in_text() -> None:
    assert set(OBEYED) & set(printable(OBEYED)) == {"\n"}
    assert not set(OBEYED) & set(one_line(f"a{OBEYED}b"))
    assert printable("Grüße, שלום 👩‍👩‍👧\n") == "Grüße, שלום 👩‍👩‍👧\n"


@given(st.text(st.sampled_from(OBEYED + '"\\u\N{LATIN SMALL LETTER E WITH ACUTE}\u0800\u2010\U0001f600')))
def test_none_stays_in_json_whose_value_is_the_same(text: str) -> None:
    value = {text: [text]}
    escaped = escape_json(msgspec.json.encode(value))
    assert not set(OBEYED) & set(escaped.decode())
    assert msgspec.json.decode(escaped) == value
    assert escape_json(escaped) == escaped
