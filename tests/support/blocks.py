"""The programs in documents: fenced blocks of Python below a mark such as ``<!-- run: python follow -->``."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support import tree

BLOCK = re.compile(r"^<!-- run: python ([\w-]+) -->\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> dict[str, str]:
    """Return the programs of a document by their names, in the order of the document."""
    return dict(BLOCK.findall((tree.ROOT / page).read_text("utf-8")))


def run(program: str, directory: Path, python: Path | str = sys.executable, seconds: float = 60) -> str:
    """Run a program in a directory and return its output. Fail with its errors if it exits with another code than 0."""
    done = subprocess.run(
        [python, "-P", "-W", "error", "-c", program],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout
