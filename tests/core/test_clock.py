"""Times as text: what is written is read back, and what is no time is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.clock import iso, milliseconds


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_is_read_back_as_it_was_written(instant: int) -> None:
    assert milliseconds(iso(instant), absolute=True) == instant


@pytest.mark.parametrize(
    "text", ["2026-01-31T12:00:00Z", "2026-01-31t13:00+01:00", "2026-01-31 12:00", "2026-01-31T06:30:00.000-0530"]
)
def test_many_spellings_of_one_instant(text: str) -> None:
    assert iso(milliseconds(text)) == "2026-01-31T12:00:00.000Z"


@pytest.mark.parametrize(
    "text", ["", "now", "2026-02-30", "2026-01-31T25:00Z", "1767225600", "2026-W05", "２０２６-01-01"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        milliseconds(text)


@pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31T12:00"])
def test_a_wall_time_is_no_instant(text: str) -> None:
    assert milliseconds(text) > 0
    with pytest.raises(ValueError):
        milliseconds(text, absolute=True)
