"""The prose of the project: docstrings, comments, texts, docs and the names of tests, and the words that it avoids.

``python -m tests.support.words [PATH …]`` prints each place that breaks a rule, for the files below these paths.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support import tree

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("athena_core/", "athena_api/", "athena_cli/", "projections/", "clients/")

IN_PROSE = re.compile(
    r"\b(whoever|nobody|somebody|told?|tells|c(o|a)mes? to|sees? to|so many|for ever|none of a|by itself|at work)\b",
    re.IGNORECASE,
)
IN_CODE = re.compile(
    r"\b(whoever|nobody|somebody|told?|tells|c(o|a)mes? to|sees? to|as far as|so many|for ever|is no|none of a|that of"
    r"|those of|what is|by itself|at work)\b",
    re.IGNORECASE,
)
RIDDLE = re.compile(r"(What|Who|Whether|How|That|The same|It)\b")
"""First words that no docstring has: it must make sense alone, in a table or a tooltip."""
OPENING = re.compile(rf'"""\s*{RIDDLE.pattern}')
OUTSIDE = re.compile(
    r"\b(contract|decisions?|design|style|reliability|performance|proven|libraries|house|english)"
    r"(\.md)? ((and )?[A-Z]{1,2}\d+|\d+(\.\d+)?(?! [a-z]))\b"
)
"""A reference to a section of a document outside of the repository."""

EXEMPT: dict[tuple[str, str], str] = {}
"""Exempt phrases by path (or ``*``), with the reason; at most 20."""


class Prose(NamedTuple):
    """A text that people read, and its place."""

    path: str
    line: int
    kind: str
    """``docstring``, ``comment``, ``text``, ``name`` or ``docs``."""
    text: str


def _strings(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each string of an expression with its line; an f-string is one text, with ``{}`` for its values."""
    match node:
        case ast.JoinedStr():
            parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(parts)
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    yield from _strings(part.value)
        case ast.Constant(value=str() as text):
            yield node.lineno, text
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _strings(child)


def _python(path: str, text: str) -> Iterator[Prose]:
    module = ast.parse(text, path)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    strings: set[ast.AST] = set()
    for node in ast.walk(module):
        body = getattr(node, "body", ())
        for index, statement in enumerate(body if isinstance(body, list) else ()):
            match statement:
                case ast.Expr(value=ast.Constant(value=str() as value) as constant):
                    strings.add(constant)
                    kind = "docstring" if index == 0 and isinstance(node, documented) else "comment"
                    yield Prose(path, statement.lineno, kind, value)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Prose(path, node.lineno, "name", node.name.replace("_", " "))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield Prose(path, token.start[0], "comment", token.string)
    if path.startswith(PRODUCT):
        for node in strings:
            node.value = ""  # type: ignore[attr-defined]  # the docstrings were seen
        for line, value in _strings(module):
            if " " in value:
                yield Prose(path, line, "text", value)


def _markdown(path: str, text: str) -> Iterator[Prose]:
    fenced = False
    for line, value in enumerate(text.splitlines(), 1):
        if value.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield Prose(path, line, "docs", re.sub(r"`[^`]*`", "``", value))


def prose(path: str, text: str) -> Iterator[Prose]:
    """Yield the prose of a file. Files without prose and generated sources have none."""
    if path.endswith(".py"):
        yield from _python(path, text)
    elif path.endswith(".md"):
        yield from _markdown(path, text)
    elif path.endswith((".ts", ".tsx", ".css")) and "/generated" not in path:
        for line, value in enumerate(text.splitlines(), 1):
            yield Prose(path, line, "text", value)
    elif path == "Makefile" or path.startswith(".ci/"):
        for line, value in enumerate(text.splitlines(), 1):
            if "#" in value or "echo" in value:
                yield Prose(path, line, "comment", value)


class Fault(NamedTuple):
    """A place that breaks a rule."""

    path: str
    line: int
    problem: str


def faults(texts: Iterable[Prose]) -> Iterator[Fault]:
    """Yield the places that break a rule and are not exempt."""
    for piece in texts:
        text = " ".join(piece.text.split())  # a phrase may be broken over two lines
        for found in (IN_PROSE if piece.kind == "docs" else IN_CODE).finditer(text):
            if not any(path in {"*", piece.path} and phrase in text and found[0] in phrase for path, phrase in EXEMPT):
                yield Fault(piece.path, piece.line, f"'{found[0]}' in a {piece.kind}")
        if mark := OUTSIDE.search(text):
            yield Fault(piece.path, piece.line, f"'{mark[0]}' leads to no document of the repository")
        if piece.kind == "docstring" and (opening := RIDDLE.match(text)):
            yield Fault(piece.path, piece.line, f"a docstring that begins with '{opening[0]}'")


def faults_in(path: str, text: str) -> Iterator[Fault]:
    """Yield the faults of a file. Most files are clean, and are not parsed."""
    raw = " ".join(text.replace("_", " ").split())
    if any(found.search(raw) for found in (IN_CODE, OUTSIDE, OPENING)):
        yield from faults(prose(path, text))


def main(paths: list[str]) -> int:
    """Print the faults of the files below these paths; return how many there are."""
    count = 0
    for path in tree.files():
        if not paths or any(path == p or path.startswith(p.rstrip("/") + "/") for p in paths):
            try:
                text = (ROOT / path).read_text("utf-8")
            except UnicodeDecodeError:
                continue
            for fault in faults_in(path, text):
                count += 1
                print(f"{fault.path}:{fault.line}: {fault.problem}")
    print(count)
    return count


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
