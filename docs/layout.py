"""The listing of the product's folders: the first docstring line of each, and its modules."""

import ast
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("athena_core", "projections", "athena_api", "athena_cli", "clients/python/athena_client")
COLUMN, WIDTH = 22, 120
CONSOLE = "dashboard/src"
TYPESCRIPT = "clients/typescript/src"


def listing() -> str:
    """Return every folder with its description and its modules, as a block of text."""
    packages = (line for package in PACKAGES for line in _folder(ROOT / package, 0))
    client = _sources(ROOT / TYPESCRIPT, TYPESCRIPT, "The client in TypeScript, with which the console is built.", 0)
    return "\n".join(["```text", *packages, *client, "```"])


def _folder(folder: Path, depth: int) -> Iterator[str]:
    plate = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    yield f"{'  ' * depth}{folder.name}/".ljust(COLUMN) + plate.partition("\n")[0]
    yield from _modules(path.stem for path in folder.glob("*.py") if path.stem not in {"__init__", "__main__"})
    for below in sorted(path.parent for path in folder.glob("*/__init__.py")):
        yield from _folder(below, depth + 1)
    if (folder / CONSOLE).exists():
        yield from _sources(folder / CONSOLE, CONSOLE, "The console, in TypeScript; its build is in static/.", 1)


def _sources(folder: Path, name: str, plate: str, depth: int) -> Iterator[str]:
    """Yield a folder of TypeScript with its modules, and the folders in it."""
    yield f"{'  ' * depth}{name}/ ".ljust(COLUMN) + plate
    for below in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if below != folder:
            yield f"{'  ' * (depth + 1)}{below.name}/"
        yield from _modules(path.stem for path in below.glob("*.ts*"))


def _modules(names: Iterable[str]) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(sorted(names)), WIDTH - COLUMN):
        yield " " * COLUMN + line
