"""Files of the state directory are their owner's alone, whatever the umask and the mode of the directory."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from athena_core.system.private_file import close_to_others, open_to_others
from tests.cli.conftest import Here
from tests.cli.terminal import Terminal
from tests.support.api import soon

MEMORY = {"memory_enabled": "true", "memory_include_transcripts": "true"}


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Set the umask of this process and of those that it starts."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(directory: Path) -> dict[str, int]:
    """Return the files below a directory, with the rights of others to each."""
    return {
        str(path.relative_to(directory)): stat.S_IMODE(path.lstat().st_mode) & 0o077
        for path in directory.rglob("*")
        if not path.is_symlink()
    }


def exposed(directory: Path) -> list[str]:
    """Return the files below a directory to which others have any right."""
    return sorted(name for name, mode in modes(directory).items() if mode)


@pytest.mark.parametrize("mask", [0o000, pytest.param(0o022, marks=pytest.mark.heavy)], ids=oct)
def test_every_file_is_private_in_a_directory_that_is_open(terminal: Terminal, here: Here, mask: int) -> None:
    with umask(mask):
        terminal.state_dir.mkdir(mode=0o755)
        terminal.state_dir.chmod(0o755)
        with terminal.server(**MEMORY):
            assert here("run", "--session", "s", "--input", "hello").code == 0
            assert here("memory", "search", "--query", "hello").code == 0
            wanted = {"log.db", "log.db-wal", "log.db-shm", "log.anchor", "views/views-1.db", "memory/index.sqlite"}
            for _ in soon():
                if wanted <= set(modes(terminal.state_dir)):
                    break
            assert exposed(terminal.state_dir) == []
        for words in (
            ["run", "--session", "s", "--input", "again", "--transport", "local"],
            ["backup", "copy.db"],
            ["export", "--session", "s", "--out", "bundle"],
            ["redact", "--session", "s", "--reason", "asked for"],
            ["replay"],
            ["api", "contracts"],
            ["restore", "copy.db"],
        ):
            assert here(*words).code == 0, words
            assert exposed(terminal.state_dir) == [], words
        for name in ("copy.db", "bundle"):
            assert stat.S_IMODE((terminal.directory / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(terminal.state_dir.stat().st_mode) == 0o755, "the directory itself is as the operator wants it"


def test_what_an_older_release_left_open_is_closed_at_the_start_and_said_in_one_line(history: Terminal) -> None:
    history.state_dir.chmod(0o755)
    for path in history.state_dir.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    ours = set(modes(history.state_dir))
    notes = history.state_dir / "notes-of-the-operator"
    notes.write_text("shared", encoding="utf-8")
    notes.chmod(0o644)
    with history.server() as server:
        assert exposed(history.state_dir) == [notes.name]
        line = server.complaint('{"time"')
        assert f"closed {len(ours)} files and directories that other users could read" in line
    assert history.run("verify").data["ok"]


def test_only_own_files_are_closed_and_links_are_not_followed(tmp_path: Path) -> None:
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    (state / "views").mkdir(parents=True)
    for path in (elsewhere, state / "log.db", state / "log-7.db-wal", state / "README", state / "views" / "views-1.db"):
        path.touch()
        path.chmod(0o666)
    (state / "views" / "link").symlink_to(elsewhere)
    close_to_others(state)
    assert exposed(state) == ["README"]
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o666
    assert list(open_to_others(state)) == []
