"""The commands that tests of reliability run, and what they report."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.reliability.program import environment
from tests.support.api import PATIENCE_SECONDS
from tests.support.process import ROOT


def started(state_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "athena_cli", "api", "serve", "--port", "0"],
        cwd=state_dir.parent,
        env=environment() | {"ATHENA_STATE_DIR": str(state_dir)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def refuses(state_dir: Path, *words: str) -> None:
    """Fail unless the start ends with exit code 2 and one line that names all this."""
    done = started(state_dir)
    assert done.returncode == 2, done
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    for word in ("error: ", "ATHENA_STATE_DIR", *words):
        assert word in lines[0], lines[0]


def command(directory: Path, url: str, *words: str) -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "ATHENA_STATE_DIR": str(directory / "state"),
        "ATHENA_DATABASE_URL": url,
        "ATHENA_WORKSPACE_ROOT": str(directory),
    }
    done = subprocess.run(
        [sys.executable, "-m", "athena_cli", *words],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
