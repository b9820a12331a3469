"""CONTRIBUTING: where changes start is true, and the example of a mutation touches what it says."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.support import tree

ROOT = Path(__file__).resolve().parent.parent
CHANGE = re.compile(r"^\| ([^|]+) \| `([^`]+)` \| ((?:`[^`|]+`(?:, )?)+) \|$", re.MULTILINE)
STEP = re.compile(r"^\d+\. `([^`]+)`", re.MULTILINE)
WORDS = re.compile(r"^<!-- a mutation: (.+) -->$", re.MULTILINE)
PRODUCT = ("athena_api/", "athena_cli/", "athena_core/", "projections/")
GENERATED = ("clients/", "athena_api/static/", "athena_cli/operations.json")
MUTATION_FILES_MAX = 9


def section(heading: str) -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


CHANGES = [
    (change, path, re.findall("`([^`]+)`", symbols))
    for change, path, symbols in CHANGE.findall(section("Where a change starts"))
]


@cache
def symbols(path: str) -> frozenset[str]:
    """Return the names that a Python file defines; members of classes after a dot."""

    def names(body: list[ast.stmt], prefix: str = "") -> set[str]:
        found: set[str] = set()
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    found |= names(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {
                    prefix + one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)
                }
        return found

    return frozenset(names(ast.parse((ROOT / path).read_text("utf-8")).body))


def test_twenty_changes_are_listed() -> None:
    assert len(CHANGES) >= 20
    assert section("Where a change starts").count("\n| ") == len(CHANGES) + 2, "a row that cannot be read"


@pytest.mark.parametrize(("change", "path", "names"), CHANGES, ids=[change for change, _, _ in CHANGES])
def test_a_change_starts_where_it_is_said(change: str, path: str, names: list[str]) -> None:
    assert (ROOT / path).is_file(), f"{change}: {path} does not exist"
    text = (ROOT / path).read_text("utf-8")
    for name in names:
        known = name in symbols(path) if path.endswith(".py") else re.search(rf"\b{re.escape(name)}\b", text)
        assert known, f"{change}: {path} defines no {name}"


def test_the_example_of_a_mutation_lists_every_file_that_it_touches() -> None:
    text = section("Adding a mutation")
    word = WORDS.search(text)
    assert word, "which words does the mutation leave in the files?"
    bearing = {
        name
        for name in tree.files()
        if name.startswith(PRODUCT)
        and not name.startswith(GENERATED)
        and re.search(word[1], (ROOT / name).read_text("utf-8", errors="replace"))
    }
    listed = {path for path in STEP.findall(text) if path.startswith(PRODUCT)}
    assert listed == bearing
    assert len(listed) <= MUTATION_FILES_MAX
