"""The files of a diff, read from its text: with names and lines that look like headers."""

import subprocess
from pathlib import Path

import pytest

from athena_core.mask import Mask
from athena_core.services.workspaces.patches import decided_diff, files_of
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


SALT = "0f" * 16
KEY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
TOKEN = "ghp_" + "a1" * 18
MASK = Mask({"own-key-of-athena": "ATHENA_OPENAI_API_KEY"})


def changed_text(tmp_path: Path, before: str, after: str) -> str:
    """Return the diff of two contents of a file."""
    place = make(tmp_path / "place")
    commit(place, "before", file=before)
    (place / "file").write_text(after)
    return subprocess.run(("git", "diff"), cwd=place, check=True, capture_output=True, text=True).stdout


CODE = ("import os", 'os.system("id")', "x = 1")
MARKED = ('"""Test key -----BEGIN PRIVATE KEY-----', *CODE, '-----END PRIVATE KEY-----"""')


def test_marks_of_the_author_hide_no_line_between_them(tmp_path: Path) -> None:
    diff = changed_text(tmp_path, "x\n", "x\n" + "\n".join(MARKED) + "\n")
    assert "os.system" not in Mask().hide(diff), "the mask for records does"
    assert decided_diff(diff, MASK, SALT) == (diff, diff, (), ())


@pytest.mark.parametrize(
    "secret", [f"t = {TOKEN}", "https://olga:s3cretpassword@host/x", "Bearer abcdefghij0123456789"]
)
def test_a_secret_in_a_diff_is_marked_where_it_stands(tmp_path: Path, secret: str) -> None:
    diff = changed_text(tmp_path, f"{secret}\n", "gone\n")
    decided = decided_diff(diff, MASK, SALT)
    assert decided.exact == diff
    (span,) = decided.hidden
    assert f"[hidden: {span.chars} characters, sha256 {span.sha256[:12]}]" in decided.shown
    assert len(diff) - span.chars == len(decided.shown) - len(f"[hidden: {span.chars} characters, sha256 {'x' * 12}]")


@pytest.mark.parametrize("sides", [("", "key"), ("key", ""), ("key", "and\\nkey"), ("top\nkey", "key\ntop")])
def test_a_key_over_several_lines_is_marked_on_each(tmp_path: Path, sides: tuple[str, str]) -> None:
    block = "\n".join(("-----BEGIN PRIVATE KEY-----", KEY + "1", KEY + "2", KEY + "3", "-----END PRIVATE KEY-----"))
    before, after = (side.replace("key", block) + "\n" for side in sides)
    diff = changed_text(tmp_path, before, after)
    decided = decided_diff(diff, MASK, SALT)
    assert KEY not in decided.shown
    assert KEY in decided.exact == diff
    pairs = list(zip(diff.split("\n"), decided.shown.split("\n"), strict=True))
    assert [one[:1] for one, _ in pairs] == [other[:1] for _, other in pairs], "hunk counts stay true"
    assert files_of(diff) == files_of(decided.shown)
    assert len(decided.hidden) == diff.count(KEY)


def test_a_secret_of_athena_is_named_in_a_diff(tmp_path: Path) -> None:
    decided = decided_diff(changed_text(tmp_path, "x\n", "own-key-of-athena\n"), MASK, SALT)
    assert "+[secret ATHENA_OPENAI_API_KEY]\n" in decided.shown
    assert (decided.exact, decided.hidden) == (decided.shown, ())


def test_a_diff_without_secrets_is_shown_as_it_is(diff: str) -> None:
    assert decided_diff(diff, MASK, SALT).shown == diff
    for end in range(0, len(diff), 7):
        assert decided_diff(diff[:end], MASK, SALT).shown == diff[:end]
