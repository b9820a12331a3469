"""The generator of the Python client's synchronous half: the asynchronous half with words replaced."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "clients" / "python" / "athena_client"
SOURCE, TARGET = CLIENT / "_async", CLIENT / "_sync"

HEAD = "# Generated from ../_async/{name} by `python -m docs.generate`; do not edit.\n"
GENERATED = frozenset({"operations.py"})
"""Files of the asynchronous half that are generated, too, with their synchronous text."""

WORDS = (
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\b_async\b", "_sync"),
    (r"\baclos(e|ing)\b", r"clos\1"),
    (r"\b__a(enter|exit|iter|next)__", r"__\1__"),
    (r"\breturn response\.aiter_bytes\b", "yield from response.iter_bytes"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\basynchronous\b", "synchronous"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"Generator\[(.+), None\]", r"Generator[\1, None, None]"),
    (r"^import asyncio\n", ""),
    (r"\bTasks may share\b", "Threads may share"),
    (r"Cancelling a task that waits or streams does", "Interrupting a thread that waits or streams does"),
    (r"\bA cancelled call closes\b", "An interrupted call closes"),
    (r"\bOne task\b", "One thread"),
)
"""Patterns of the asynchronous half and their replacements, applied in order."""


def sync_of(text: str) -> str:
    """Return a module of the asynchronous half as the synchronous one, formatted."""
    for pattern, replacement in WORDS:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return formatted(text)


def formatted(text: str) -> str:
    """Return the text of a module with sorted imports and wrapped lines. Raise CalledProcessError."""
    for command in (["check", "--select=I", "--fix", "--quiet"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET / "generated.py"), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return text


def files() -> Iterator[tuple[Path, str]]:
    """Yield each handwritten file of the client with its synchronous text."""
    for source in sorted(SOURCE.glob("*.py")):
        if source.name not in GENERATED:
            yield TARGET / source.name, HEAD.format(name=source.name) + sync_of(source.read_text("utf-8"))
