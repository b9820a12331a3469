"""Foreign and damaged files: every command reports them in one line, and never waits."""

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from tests.cli.conftest import Here
from tests.cli.terminal import Result, Terminal
from tests.reliability.tampering import append_rightly
from tests.scale import some_quick

FORGER = "CREATE TRIGGER forger AFTER INSERT ON log BEGIN UPDATE log SET actor = 'root'; END"
DROPPER = "CREATE TRIGGER dropper BEFORE INSERT ON log BEGIN SELECT RAISE(IGNORE); END"
VIEW = "ALTER TABLE log RENAME TO hidden; CREATE VIEW log AS SELECT * FROM hidden"
TARGET = "moved-to"
COMMANDS: dict[str, tuple[str, ...]] = {
    "start": ("run", "--session", "one", "--input", "more", "--transport", "local"),
    "verify": ("verify",),
    "replay": ("replay",),
    "replay --verify": ("replay", "--verify"),
    "export": ("export", "--since", "0"),
    "backup": ("backup", "copy.athena"),
    "move": ("move", "--to", "postgresql://athena@/nowhere?host=/nowhere"),
    "doctor": ("doctor", "--output", "json"),
    "redact": ("redact", "--session", "one", "--reason", "theirs"),
    "redact --audit": ("redact", "--audit"),
    "events list": ("events", "list", "--transport", "local"),
}
SCHEMAS = {"forger": FORGER, "dropper": DROPPER, "view": VIEW}


def changed(path: Path, statements: str) -> None:
    """Run statements on a database without Athena."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(statements)


def one_line(done: Result, *words: str) -> None:
    """Fail unless a command failed with one sentence that contains all these words; its code may follow."""
    assert done.code in {1, 2}, (done.code, done.out, done.err)
    lines = [line for line in done.err.splitlines() if not line.startswith(("Warning:", "{", "  "))]
    assert len(lines) == 1, done.err
    for word in ("error: ", *words):
        assert word in lines[0], lines[0]


@pytest.mark.parametrize("case", some_quick(SCHEMAS, 1))
def test_every_command_refuses_a_log_with_foreign_sql(case: str, history: Terminal, here: Here) -> None:
    changed(history.state_dir / "log.db", SCHEMAS[case])
    name = "log" if case == "view" else case
    for command, arguments in COMMANDS.items():
        done = here(*arguments)
        one_line(done, "log" if command == "doctor" else name)
    copy = history.directory / "theirs.athena"
    shutil.copy(history.state_dir / "log.db", copy)
    one_line(here("restore", str(copy), state_dir=str(history.directory / "other")), name)
    assert not (history.directory / "other" / "log.db").exists()
    assert not (history.directory / "copy.athena").exists()


PLACES: dict[str, Callable[[Path], object]] = {
    "no database": lambda path: path.write_bytes(b"[" * 100_000),
    "empty": Path.touch,
    "pipe": os.mkfifo,
    "directory": Path.mkdir,
    "link": lambda path: path.symlink_to(path.with_name("nothing")),
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("case", some_quick(PLACES, 1))
def test_every_command_refuses_a_file_that_is_not_a_log(case: str, terminal: Terminal, here: Here) -> None:
    terminal.state_dir.mkdir()
    path = terminal.state_dir / "log.db"
    PLACES[case](path)
    for command, arguments in COMMANDS.items():
        if (case, command) in {("empty", "start"), ("empty", "events list"), ("empty", "redact")}:
            continue  # to SQLite it is a new database
        one_line(here(*arguments))
    one_line(here("restore", str(path), state_dir=str(terminal.directory / "other")))
    if case != "pipe":  # a bundle may come through one
        one_line(here("verify", "--bundle", str(path)))


@pytest.mark.heavy
def test_a_damaged_page_is_one_line(history: Terminal, here: Here) -> None:
    path = history.state_dir / "log.db"
    changed(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    with closing(apsw.Connection(str(path))) as connection:
        root = int(connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'log'").get)
    size = int.from_bytes(content[16:18], "big")
    content[(root - 1) * size : root * size] = b"\xee" * size
    path.write_bytes(content)
    for command in ("export", "replay", "backup", "verify", "doctor", "redact --audit"):
        one_line(here(*COMMANDS[command]))


def test_rows_that_no_release_wrote_are_one_line(history: Terminal, here: Here) -> None:
    for kind, stream in (("directive.created", "dir_x"), ("dream.dreamt", "dream_x"), ("payload.redacted", "plane")):
        append_rightly(history.state_dir, kind, stream, b"[" * 1_000_000)
    for command in ("verify", "replay", "backup", "redact", "redact --audit"):
        one_line(here(*COMMANDS[command]))
    assert here(*COMMANDS["export"]).code == 0, "a bundle holds bytes, whatever they are"
