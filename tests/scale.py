"""The size of the heavy tests from ``ATHENA_TEST_SCALE``, and the choice of those that the gate plays for a change."""

import ast
import os
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
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
SINCE = os.environ.get("ATHENA_TEST_SINCE", "")
"""The commit that a change began with. Heavy tests of what changed since then are never left to another turn."""

ROOT = Path(__file__).resolve().parents[1]
WINGS = {
    "tests/agents": ("athena_core/agents", "athena_core/services/execution/outside", "athena_core/gateway"),
    "tests/clients": ("clients", "athena_api/document"),
    "tests/console": ("athena_api/dashboard", "athena_api/static"),
    "tests/mcp": (
        "athena_core/mcp",
        "athena_api/mcp",
        "athena_core/services/execution/mcp",
        "athena_core/services/mcp",
    ),
    "tests/reliability": ("athena_core/log",),
}
"""Folders of the product by folders of tests that reach them through a server, and so import nothing of them."""

POSTGRES = ("athena_core/log/postgres/", "athena_core/log/sql/")


def in_another_turn(path: Path, *, on_postgres: bool = False) -> bool:
    """True if the heavy tests of this file, or its tests of SQLite on PostgreSQL, are left to other commits."""
    name = path.relative_to(ROOT).as_posix()
    if TURN == "" or crc32(name.encode()) % TURNS == int(TURN) % TURNS:
        return False
    return not any(one.startswith(POSTGRES) for one in changed()) if on_postgres else not touched(name, changed())


@cache
def changed() -> frozenset[str]:
    """Return the files that the change touches."""
    if not SINCE:
        return frozenset()
    command = ["git", "diff", "--name-only", SINCE, "HEAD"]
    return frozenset(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def touched(test: str, files: Iterable[str]) -> bool:
    """True if files of a change belong to a file of tests: itself, what it imports, and the parts that `WINGS` names.

    Imports are not followed further: each part of the product and each server of the tests reaches most others.
    """
    near = {test, *imported(test)}
    wings = tuple(f"{wing}/" for place, found in WINGS.items() if test.startswith(place) for wing in found)
    return any(name in near or name.startswith(wings) for name in files)


@cache
def imported(name: str) -> tuple[str, ...]:
    """Return the files of this project that a module imports."""
    tree = ast.parse((ROOT / name).read_text("utf-8"))
    return tuple(path for module in modules(tree) if (path := file_of(module)) is not None)


def modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names)


@cache
def file_of(module: str) -> str | None:
    path = module.replace(".", "/") + ".py"
    return path if (ROOT / path).is_file() else None


def sized(quick: T, ci: T, full: T) -> T:
    """The value for this scale."""
    return (quick, ci, full)[SCALES.index(SCALE)]


def some_quick(cases: Iterable[str], quick: int) -> list[Any]:
    """Parameters of which only the first are tried by `make test`; the others are heavy."""
    return [pytest.param(case, marks=() if number < quick else pytest.mark.heavy) for number, case in enumerate(cases)]


if __name__ == "__main__":
    heavy = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.heavy" in path.read_text("utf-8")]
    left = [path.relative_to(ROOT).as_posix() for path in heavy if in_another_turn(path)]
    print(f"{len(left)} of {len(heavy)} files with heavy tests are left to other commits.")
