"""The files of a diff, read from its text: with names and lines that look like headers."""

import subprocess
from pathlib import Path

import pytest

from athena_core.services.workspaces.patches import files_of
from tests.support.repository import commit, git, make

ODD = ("a b", "tab\there", 'quo"te', "back\\slash", "new\nline", "é", "x b", "deep/a b")


@pytest.fixture
def diff(tmp_path: Path) -> str:
    place = make(tmp_path / "place")
    commit(place, "before", gone="1\n2\n", run="x\n", lines="-- a/x\n++ b/y\n@@ -1 +1 @@\ndiff --git a/q b/q\n")
    (place / "gone").unlink()
    (place / "run").chmod(0o755)
    (place / "lines").write_text("new\n")
    (place / "binary").write_bytes(b"\0")
    (place / "deep").mkdir()
    for name in ODD:
        (place / name).write_text("+++ b/z\n")
    git(place, "add", "--all")
    options = ("-c", "core.quotePath=false", "diff", "--cached", "--no-renames", "--no-color")
    return subprocess.run(("git", *options), cwd=place, check=True, capture_output=True, text=True).stdout


def test_the_files_of_a_diff_are_counted(diff: str) -> None:
    found = {file.path: (file.change, file.added, file.removed, file.binary) for file in files_of(diff)}
    assert found == {
        "gone": ("deleted", 0, 2, False),
        "run": ("modified", 0, 0, False),
        "lines": ("modified", 1, 4, False),
        "binary": ("added", 0, 0, True),
        **dict.fromkeys(ODD, ("added", 1, 0, False)),
    }


def test_any_cut_of_a_diff_can_be_read(diff: str) -> None:
    whole = {file.path for file in files_of(diff)}
    for end in range(0, len(diff), 7):
        assert len(files_of(diff[:end])) <= len(whole)
    assert files_of("") == []
