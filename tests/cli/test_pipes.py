"""Output to a pipe may end on a terminal, so it holds no control sequence."""

import json
from pathlib import Path
from typing import NoReturn

import pytest

from athena_cli import app
from athena_cli.in_process import in_process
from athena_core.settings import load
from tests.cli.conftest import Here
from tests.cli.terminal import Result, Terminal

HOSTILE = "a \x1b[31m \x7f \x9b31m \x85 \u061c \u200e\u200f \u2028 \u202e \u2066 \u206f é"
RAW = {"\x1b", "\x7f", "\x9b", "\x85", "\u061c", "\u200e", "\u200f", "\u2028", "\u202e", "\u2066", "\u206f"}


def raw(result: Result) -> set[str]:
    """Return the characters of an output that a terminal may obey."""
    return RAW & set(result.out + result.err)


@pytest.fixture
def hostile(terminal: Terminal, here: Here) -> Terminal:
    """A terminal whose log holds hostile text in an input and an answer."""
    done = here("run", "--session", "s", "--input", HOSTILE)
    assert (raw(done), done.data["output"]) == (set(), f"Echo: user: {HOSTILE}")
    return terminal


def texts(value: object) -> str:
    if isinstance(value, dict | list):
        return "".join(texts(item) for item in (value.values() if isinstance(value, dict) else value))
    return value if isinstance(value, str) else ""


def test_json_on_a_pipe_holds_the_text_and_none_of_it_raw(hostile: Terminal, here: Here) -> None:
    for command, words in (
        (hostile.run, ["sessions", "transcript", "s"]),
        (here, ["sessions", "transcript", "s", "-o", "jsonl"]),
        (here, ["directives", "list", "--all"]),
    ):
        shown = command(*words)
        assert (shown.code, raw(shown)) == (0, set()), words
        assert HOSTILE in texts([json.loads(line) for line in shown.out.splitlines()]), words


def test_a_bundle_proves_itself_and_holds_none_of_it_raw(hostile: Terminal, here: Here) -> None:
    shown = here("export", "--session", "s")
    assert (shown.code, raw(shown)) == (0, set())
    stored = HOSTILE.replace("\x1b", "\\u001b")  # a text is JSON in the log
    assert stored in texts([json.loads(line) for line in shown.out.splitlines()])
    assert here("export", "--session", "s", "--out", "bundle").code == 0
    assert (hostile.directory / "bundle").read_text(encoding="utf-8") == shown.out
    assert here("verify", "--bundle", "bundle").data["ok"]


def test_text_sheets_and_complaints_hold_none_of_it(hostile: Terminal, here: Here) -> None:
    redacted = here("redact", "--session", "s", "--reason", f"=why {HOSTILE}")
    assert (redacted.code, raw(redacted)) == (1, set())  # other places repeat the text, the reason among them
    for words in (
        ["audit", "--format", "csv", "--all"],
        ["audit", "-o", "table"],
        ["redact", "--session", "s", "--reason", "x", HOSTILE],
        ["runs", "get", HOSTILE],
        [HOSTILE],
    ):
        shown = here(*words)
        assert raw(shown) == set(), words
        assert shown.out + shown.err, words
    assert "why a \ufffd[31m" in here("audit", "--format", "csv").out


async def test_a_command_says_what_fails_beside_it_without_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "a-key-that-nobody-may-see"
    named = {"ATHENA_STATE_DIR": str(tmp_path / "state"), "ATHENA_OPENAI_API_KEY": secret}
    async with in_process(load(named, tmp_path)) as transport:
        transport.plane.log.problems.report("memory.index", RuntimeError(f"sent {secret}"))
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert said["message"] == "memory.index failed (failure 1): RuntimeError"
    assert said["traceback"].startswith("RuntimeError: sent ")
    assert secret not in line


def test_a_traceback_holds_none_of_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def build() -> NoReturn:
        raise RuntimeError(HOSTILE)

    monkeypatch.setattr(app, "build", build)
    code = app.main([])
    shown = Result(code, *capsys.readouterr())
    assert (shown.code, raw(shown)) == (1, set())
    assert "Traceback (most recent call last)" in shown.err
