"""Redaction on the command line: the words are gone from every file, the facts and the proof stay."""

import pytest

from tests.cli.conftest import Here
from tests.cli.terminal import Terminal

CANARY, OTHER = "canary-7f3a-sings", "sparrow-1c2d-stays"


def remains(terminal: Terminal, words: str) -> list[str]:
    """The files of the state directory that hold some words."""
    files = [path for path in terminal.state_dir.rglob("*") if path.is_file()]
    return [path.name for path in files if words.encode() in path.read_bytes()]


@pytest.mark.heavy
def test_what_was_written_is_gone_and_the_log_still_verifies(terminal: Terminal) -> None:
    for session, words in (("a", CANARY), ("b", OTHER)):
        result = terminal.run("run", "--session", session, "--input", words, "--transport", "local")
        assert result.code == 0, result.err
    assert remains(terminal, CANARY)
    done = terminal.run("redact", "--session", "a", "--reason", "asked to forget")
    assert done.code == 0, done.err
    assert done.data["redacted"] >= 3, "the directive, what was said, what was answered"
    assert remains(terminal, CANARY) == []
    assert remains(terminal, OTHER)
    assert terminal.run("verify").code == 0
    assert terminal.run("replay", "--verify").code == 0
    again = terminal.run("redact", "--session", "a", "--reason", "asked again")
    assert again.data["redacted"] == 0
    trail = terminal.run("audit", "--kind", "redaction", "--transport", "local").data
    assert len(trail["items"]) == done.data["redacted"]
    assert {item["reason"] for item in trail["items"]} == {"asked to forget"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--reason", "x"], 2, "one of --position, --run and --session"),
        (["--run", "a", "--session", "b", "--reason", "x"], 2, "one of --position, --run and --session"),
        (["--run", "run_none", "--reason", " "], 2, "--reason"),
        (["--run", "run_none", "--reason", "x"], 1, "no run 'run_none' exists"),
        (["--session", "none", "--reason", "x"], 1, "no session 'none' exists"),
        (["--position", "99999", "--reason", "x"], 1, "no event at position 99999"),
    ],
)
def test_what_cannot_be_redacted_is_said(
    history: Terminal, here: Here, arguments: list[str], code: int, words: str
) -> None:
    result = here("redact", *arguments)
    assert (result.code, words in result.err) == (code, True), result.err
