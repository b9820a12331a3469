"""The listing of the product's folders: the first docstring line of each, and its modules."""

import ast
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("athena_core", "projections", "athena_api", "athena_cli")
COLUMN, WIDTH = 22, 120
CONSOLE = "dashboard/src"


def listing() -> str:
    """Return every folder with its description and its modules, as a block of text."""
    return "\n".join(["```text", *(line for package in PACKAGES for line in _folder(ROOT / package, 0)), "```"])


def _folder(folder: Path, depth: int) -> Iterator[str]:
    plate = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    yield f"{'  ' * depth}{folder.name}/".ljust(COLUMN) + plate.partition("\n")[0]
    yield from _modules(path.stem for path in folder.glob("*.py") if path.stem not in {"__init__", "__main__"})
    for below in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield from _folder(below, depth + 1)
    if (folder / CONSOLE).exists():
        yield f"  {CONSOLE}/".ljust(COLUMN) + "The console, in TypeScript; its build is in static/."
        for below in (folder / CONSOLE, *sorted(path for path in (folder / CONSOLE).iterdir() if path.is_dir())):
            if below.name != "src":
                yield f"    {below.name}/"
            yield from _modules(path.stem for path in below.glob("*.ts*"))


def _modules(names: Iterable[str]) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(sorted(names)), WIDTH - COLUMN):
        yield " " * COLUMN + line
