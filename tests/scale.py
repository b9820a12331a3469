"""The size of the heavy tests, from ``ATHENA_TEST_SCALE``: the same tests with other numbers."""

import os
from collections.abc import Iterable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

SCALES = ("quick", "ci", "full")
SCALE = os.environ.get("ATHENA_TEST_SCALE", "quick")

if SCALE not in SCALES:
    raise ValueError(f"ATHENA_TEST_SCALE: expected one of {', '.join(SCALES)} (it is {SCALE!r})")


def sized(quick: T, ci: T, full: T) -> T:
    """The value for this scale."""
    return (quick, ci, full)[SCALES.index(SCALE)]


def some_quick(cases: Iterable[str], quick: int) -> list[Any]:
    """Parameters of which only the first are tried by `make test`; the others are heavy."""
    return [pytest.param(case, marks=() if number < quick else pytest.mark.heavy) for number, case in enumerate(cases)]
