"""Tests of the mirror: changes go both ways between a workspace and the copy that boxes see, except closed names."""

import errno
import fcntl
import os
import subprocess
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import pytest

from athena_core.system.box import mirror as mirrors
from athena_core.system.box.closed import FileIdentity, identity
from athena_core.system.box.mirror import LOCK, PREFIX, Access, Left, Mirror, MirrorTooLarge, Parts

SECRET = "canary-of-the-closed-file"
CLOSED = frozenset((".env", ".ssh", "secret.pem"))


def access(parts: Parts) -> Access:
    if parts[-1] == ".git":
        return "shown"
    return "closed" if parts[-1] in CLOSED else "open"


class Pair(NamedTuple):
    """A workspace and its mirror."""

    root: Path
    mirror: Mirror

    def sync(self) -> tuple[Left, ...]:
        return self.mirror.sync()[1]

    @property
    def tree(self) -> Path:
        return self.mirror.sync()[0]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    root, known = tmp_path / "work", tmp_path / "key"
    (root / "sub/.ssh").mkdir(parents=True)
    (root / ".git").mkdir()
    for name in (".env", "sub/.ssh/id", "sub/secret.pem", ".git/config"):
        (root / name).write_text(SECRET)
    known.write_text(SECRET)
    (root / "open.txt").write_text("shown")
    (root / "sub/inner.txt").write_text("inner")

    def closed() -> Iterable[FileIdentity]:
        return (identity(known.stat()),)

    return Pair(root, Mirror(root, access, closed, lambda: tmp_path / "mirrors"))


def files(root: Path) -> dict[str, str]:
    """Return the text of the files of a tree, and the targets of its links."""
    found = {}
    for path in root.rglob("*"):
        if path.is_symlink() or path.is_file():
            found[str(path.relative_to(root))] = str(path.readlink()) if path.is_symlink() else path.read_text()
    return found


def test_the_mirror_has_the_open_files_and_nothing_else(pair: Pair) -> None:
    assert files(pair.tree) == {"open.txt": "shown", "sub/inner.txt": "inner"}
    assert pair.mirror.shown == ((".git",),)


HOST = {
    "rename": "printf '%s' {0} {0} > new && mv new .env",
    "sed -i": "sed -i s/canary/canary-canary/ .env",
    "rotation": "mv sub/secret.pem sub/.ssh/old && printf '%s' {0} {0} > sub/secret.pem",
    "hard link": "ln .env linked",
    "hard link below a closed directory": "ln sub/.ssh/id sub/linked",
    "hard link to a file of the settings": "ln ../key linked",
    "a new closed file": "printf '%s' {0} > sub/.env",
    "a closed file in a new directory": "mkdir made && printf '%s' {0} > made/.env",
    "swap of a parent directory": "mv sub moved && mkdir sub && printf '%s' {0} > sub/.env",
    "a link to a closed file": "ln -s .env link",
    "a link above a closed file": "mv sub moved && ln -s . sub",
}
"""What a person or a program of the machine does in the workspace."""


@pytest.mark.parametrize("how", HOST)
def test_a_closed_file_stays_out_whatever_the_machine_does(pair: Pair, how: str) -> None:
    tree = pair.tree
    subprocess.run(("sh", "-c", HOST[how].format(SECRET)), cwd=pair.root, check=True)
    assert SECRET not in str(files(tree))  # before the next exchange, as a running box sees it
    pair.sync()
    assert SECRET not in str(files(tree))
    assert not [path for path in tree.rglob("*") if path.name in CLOSED]


def test_changes_go_both_ways(pair: Pair) -> None:
    tree = pair.tree
    (tree / "made/deep").mkdir(parents=True)
    (tree / "made/deep/x").write_text("x")
    (tree / "made/x").symlink_to("deep/x")
    (tree / "open.txt").write_text("changed")
    (tree / "open.txt").chmod(0o755)
    (tree / "sub/inner.txt").unlink()
    (pair.root / "theirs").write_text("theirs")
    assert pair.sync() == ()
    made = {"made/deep/x": "x", "made/x": "deep/x", "open.txt": "changed", "theirs": "theirs"}
    assert files(tree) == made
    assert made.items() <= files(pair.root).items()
    assert not (pair.root / "sub/inner.txt").exists()
    assert (pair.root / "open.txt").stat().st_mode & 0o777 == 0o755
    assert (pair.root / "open.txt").stat().st_mtime_ns == (tree / "open.txt").stat().st_mtime_ns
    for place in ("made/deep/x", "made/x", "open.txt"):
        (pair.root / place).unlink()
    (pair.root / "made/deep").rmdir()
    assert pair.sync() == ()
    assert files(tree) == {"theirs": "theirs"}


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_an_entry_may_become_another_kind(pair: Pair, kind: str) -> None:
    tree = pair.tree
    for place, name in ((tree, "open.txt"), (pair.root, "sub")):
        path = place / name
        os.system(f"rm -r {path}")
        if kind == "file":
            path.write_text("new")
        elif kind == "link":
            path.symlink_to("x")
        else:
            path.mkdir()
            (path / "in").write_text("new")
    assert pair.sync() == ()
    for name in ("open.txt", "sub"):
        assert files(tree / name) == files(pair.root / name)
        assert (tree / name).lstat().st_mode & 0o170000 == (pair.root / name).lstat().st_mode & 0o170000
    assert pair.sync() == ()


@pytest.mark.parametrize("name", [".env", "sub/secret.pem", "new/.env", ".ssh"])
def test_a_closed_name_that_commands_make_is_left_out_and_named_once(pair: Pair, name: str) -> None:
    tree, before = pair.tree, files(pair.root)
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("ATHENA_AUTH_IDENTITY_ROLE_MAP=eve:Admin")
    assert [left.path for left in pair.sync()] == [name]
    assert pair.sync() == ()
    assert files(pair.root) == before


def test_what_changed_on_both_sides_is_left_as_the_workspace_has_it(pair: Pair) -> None:
    tree = pair.tree
    (tree / "open.txt").write_text("of a command")
    (pair.root / "open.txt").write_text("of a person")
    for place in (tree, pair.root):
        (place / "same").write_text("same")
    assert [left.path for left in pair.sync()] == ["open.txt"]
    for place in (tree, pair.root):
        assert (place / "open.txt").read_text() == "of a person"
        assert (place / "same").read_text() == "same"


def test_a_directory_with_something_closed_stays_and_comes_back(pair: Pair) -> None:
    tree = pair.tree
    (tree / "sub").rename(tree / "moved")
    assert [left.path for left in pair.sync()] == ["sub"]
    assert files(pair.root)["moved/inner.txt"] == "inner"
    assert files(pair.root)["sub/secret.pem"] == SECRET
    pair.sync()
    assert (tree / "sub").is_dir()


def test_links_that_commands_make_are_not_followed(pair: Pair, tmp_path: Path) -> None:
    tree, outside = pair.tree, tmp_path / "outside"
    outside.mkdir()
    (outside / "inner.txt").write_text(SECRET)
    (tree / "sub/inner.txt").unlink()
    (tree / "sub").rmdir()
    (tree / "sub").symlink_to(outside)
    (tree / ".git").symlink_to(outside)
    pair.sync()
    assert (outside / "inner.txt").read_text() == SECRET
    assert SECRET not in str({name: text for name, text in files(pair.root).items() if "inner" in name})
    assert not (tree / ".git").is_symlink()  # a mount would lie on its target


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES])
def test_a_directory_that_cannot_be_listed_does_not_look_empty(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    tree, true = pair.tree, mirrors._directory

    def troubled(root: Path, parts: Parts) -> AbstractContextManager[int]:
        if root == tree and parts == ("sub",):
            raise OSError(number, os.strerror(number))
        return true(root, parts)

    monkeypatch.setattr(mirrors, "_directory", troubled)
    with pytest.raises(OSError, match="Too many open") if number == errno.EMFILE else nullcontext():
        pair.sync()
    assert (pair.root / "sub/inner.txt").read_text() == "inner"


def test_the_size_of_a_workspace_is_bounded(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "BYTES_MAX", 9)
    with pytest.raises(MirrorTooLarge, match="more than 9 bytes"):
        pair.sync()


def test_mirrors_of_processes_that_ended_are_deleted_and_others_are_not(pair: Pair, tmp_path: Path) -> None:
    old, used = (tmp_path / "mirrors" / f"{PREFIX}{name}" for name in ("old", "used"))
    for place in (old, used):
        (place / "tree").mkdir(parents=True)
        (place / LOCK).touch()
    with (used / LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        tree = pair.tree
        assert not old.exists() and used.exists() and tree.exists()


def test_a_mirror_that_was_deleted_is_made_again_and_deletes_nothing(pair: Pair) -> None:
    os.system(f"rm -r {pair.tree.parent}")
    assert files(pair.tree) == {"open.txt": "shown", "sub/inner.txt": "inner"}
    assert (pair.root / "open.txt").exists()
