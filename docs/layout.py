"""The listing of the product's folders: the line of each, from its door plate, and its modules."""

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("athena_core", "projections", "athena_api", "athena_cli")
COLUMN, WIDTH = 22, 120


def listing() -> str:
    """Every folder with its line, and its modules below it, as a block of text."""
    return "\n".join(["```text", *(line for package in PACKAGES for line in _folder(ROOT / package, 0)), "```"])


def _folder(folder: Path, depth: int) -> Iterator[str]:
    plate = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    yield f"{'  ' * depth}{folder.name}/".ljust(COLUMN) + plate.partition("\n")[0]
    modules = sorted(path.stem for path in folder.glob("*.py") if path.stem not in {"__init__", "__main__"})
    for line in textwrap.wrap(" ".join(modules), WIDTH - COLUMN):
        yield " " * COLUMN + line
    for below in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield from _folder(below, depth + 1)
