"""Tests of ignored files: the patterns mean what they mean to git."""

import random
import subprocess
from pathlib import Path

import pytest

from athena_core.services.workspaces.ignores import LINE_BYTES_MAX, IgnoreFile
from athena_core.services.workspaces.packs import initialise
from athena_core.services.workspaces.recording import TreeRecorder
from athena_core.system.box.trees import Stop
from athena_core.tools.workspace import Workspace
from tests.scale import sized

NAMES = ("a", "b", "ab", "a.log", "b.txt", "-x", "a b", "foo", "[z]", "x!", "#h", ".h", "*", "é")
PIECES = (
    *("a", "b", "foo", "*", "**", "?", "[ab]", "[!a]", "[a-c]", ".log", ".txt", "/", "/", "**/", "/**", "\\a", "\\*"),
    *("[[:alpha:]]", "[^b]", "*.log", " ", "#", "!", "x", "é", "[]a]", "[a", "[[:foo:]]", "-", "[a-]", "[/]", "***"),
)


def pattern(chance: random.Random) -> str:
    text = "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 4)))
    negative, directory = ("!" * (chance.random() < 0.2), "/" * (chance.random() < 0.2))
    return negative + text + directory + chance.choice(("", "", "", " ", "\\ "))


def plant(files: Path, chance: random.Random) -> None:
    """Write a tree with ignore files."""
    directories = [files]
    for _ in range(8):
        place = chance.choice(directories) / chance.choice(NAMES)
        if not place.exists():
            place.mkdir()
            directories.append(place)
    for place in directories:
        for name in chance.sample(NAMES, 6):
            if not (place / name).exists():
                (place / name).touch()
    for place in directories[:3]:
        end = chance.choice(("\n", "\r\n"))
        (place / ".gitignore").write_bytes(end.join(pattern(chance) for _ in range(4)).encode())


@pytest.mark.parametrize("seed", range(5))
def test_patterns_ignore_what_git_ignores(tmp_path: Path, seed: int) -> None:
    compare(tmp_path, seed)


@pytest.mark.heavy
def test_many_patterns_ignore_what_git_ignores(tmp_path: Path) -> None:
    for seed in range(5, sized(100, 500, 5_000)):
        (tmp_path / str(seed)).mkdir()
        compare(tmp_path / str(seed), seed)


def compare(place: Path, seed: int) -> None:
    files = place / "files"
    files.mkdir()
    plant(files, random.Random(seed))
    initialise(place / "git", bytes(32))
    subprocess.run(("git", "init", "--quiet", files), check=True)
    options = ("ls-files", "--others", "--exclude-standard", "-z")
    listed = subprocess.run(("git", "-C", files, *options), check=True, capture_output=True).stdout
    recorder = TreeRecorder(files, place / "git", Workspace(files), None, Stop("the test", 60))
    recorder.record()
    assert recorder.paths == set(listed.split(b"\0")) - {b""}


@pytest.mark.parametrize(
    "line",
    [
        b"*a" * (LINE_BYTES_MAX // 2),
        b"**/a/" * (LINE_BYTES_MAX // 5),
        b"/*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a/b",
        b"a**/" + b"*?" * 200 + b"/b",
        b"[" * 900,
    ],
)
def test_no_pattern_takes_long(line: bytes) -> None:
    """A match that backtracks would not end within the time limit of a test."""
    file = IgnoreFile(line)
    for name in (b"a" * 255, b"/".join([b"a" * 20] * 190)):
        file.decision(name, name.rpartition(b"/")[2], directory=False)


@pytest.mark.parametrize(
    ("content", "path", "ignored"),
    [
        (b"\xef\xbb\xbf*.log\n", b"x.log", True),
        (b"*.log\n!keep.log\n", b"keep.log", False),
        (b"out/*.txt", b"out/a.txt", True),
        (b"out/*.txt", b"out/a/b.txt", None),
        (b"a/**/b", b"a/b", True),
        (b"a/**/b", b"a/x/y/b", True),
        (b"build/", b"build", None),
        (b"#x\n\\#x\n", b"#x", True),
        (b"trailing\\ \n", b"trailing ", True),
        (b"\n\n", b"x", None),
    ],
)
def test_a_pattern_decides(content: bytes, path: bytes, ignored: bool | None) -> None:
    assert IgnoreFile(content).decision(path, path.rpartition(b"/")[2], directory=False) is ignored
