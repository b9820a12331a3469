"""The size of the heavy tests, from ``ATHENA_TEST_SCALE``: the same tests with other numbers."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import pytest

T = TypeVar("T")

SCALES = ("quick", "ci", "full")
SCALE = os.environ.get("ATHENA_TEST_SCALE", "quick")

if SCALE not in SCALES:
    raise ValueError(f"ATHENA_TEST_SCALE: expected one of {', '.join(SCALES)} (it is {SCALE!r})")

TURN, TURNS = os.environ.get("ATHENA_TEST_TURN", ""), 3
ROOT = Path(__file__).parent
IN_TURN = (
    *("agents", "api/document/test_generators.py", "api/document/test_linters.py"),
    *("api/document/test_openapi_generator.py", "cli/test_demo.py", "console/test_demo.py"),
    *("core/providers/test_real_journeys.py", "mcp", "reliability/test_clients.py", "test_benchmarks.py"),
    *("test_deployment.py", "test_examples.py", "test_how_to.py", "test_image.py", "test_site.py", "test_units.py"),
)
"""Folders and files with heavy tests of pages and of other people's programs, which take the most time. A change
rarely breaks them. CI plays a third of these files for each commit, ``make proof`` plays all."""


def in_another_turn(path: Path) -> bool:
    """True if the heavy tests of this file are left to other commits."""
    name = path.relative_to(ROOT).as_posix()
    return TURN != "" and name.startswith(IN_TURN) and crc32(name.encode()) % TURNS != int(TURN) % TURNS


def sized(quick: T, ci: T, full: T) -> T:
    """The value for this scale."""
    return (quick, ci, full)[SCALES.index(SCALE)]


def some_quick(cases: Iterable[str], quick: int) -> list[Any]:
    """Parameters of which only the first are tried by `make test`; the others are heavy."""
    return [pytest.param(case, marks=() if number < quick else pytest.mark.heavy) for number, case in enumerate(cases)]


if __name__ == "__main__":
    heavy = [path for path in sorted(ROOT.rglob("test_*.py")) if "mark.heavy" in path.read_text()]
    left = [str(path.relative_to(ROOT)) for path in heavy if in_another_turn(path)]
    print(f"Heavy tests left to other commits: {', '.join(left) or 'none'}.")
