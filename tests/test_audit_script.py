"""The audit of locked versions: what it says of what pip-audit found, and of what it could not look up."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.tree import ROOT

SOUND = {"name": "anyio", "version": "4.12.0", "vulns": []}
UNKNOWN = {"name": "uvloop", "skip_reason": "Dependency not found on PyPI and could not be audited: uvloop (0.22.1)"}
HOLE = {"id": "PYSEC-2026-1", "fix_versions": ["2.1", "3.0"], "aliases": [], "description": "..."}
HOLED = {"name": "rich", "version": "2.0", "vulns": [HOLE, {**HOLE, "id": "PYSEC-2026-2", "fix_versions": []}]}
HOLES = ["rich 2.0: PYSEC-2026-1, fixed in 2.1, 3.0", "rich 2.0: PYSEC-2026-2, fixed in no release"]


@pytest.mark.parametrize(
    ("dependencies", "lines", "code"),
    [
        ([SOUND, SOUND], ["No known vulnerability in 2 versions."], 0),
        ([], ["Nothing was audited: 0 of 0 could not be looked up."], 0),
        ([UNKNOWN] * 51, ["Nothing was audited: 51 of 51 could not be looked up."], 0),
        (
            [SOUND, UNKNOWN, SOUND],
            ["No known vulnerability in 2 versions.", "Not audited: 1 of 3 could not be looked up: uvloop."],
            0,
        ),
        ([SOUND, HOLED], [*HOLES, "2 known vulnerabilities in 2 versions."], 1),
        (
            [HOLED, *[UNKNOWN] * 11],
            [
                *(*HOLES, "2 known vulnerabilities in 1 versions."),
                f"Not audited: 11 of 12 could not be looked up: {', '.join(['uvloop'] * 10)}, ….",
            ],
            1,
        ),
    ],
)
def test_what_was_not_looked_up_is_counted(
    tmp_path: Path, dependencies: list[dict[str, Any]], lines: list[str], code: int
) -> None:
    (tmp_path / "found.json").write_text(json.dumps({"dependencies": dependencies, "fixes": []}))
    command = [sys.executable, str(ROOT / ".ci" / "advisories.py"), str(tmp_path / "found.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines(), done.returncode, done.stderr) == (lines, code, "")
