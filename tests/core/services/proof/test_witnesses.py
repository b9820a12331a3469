"""Tests of kept anchors from any source: torn, too long or too many lines end in one error."""

import io
import json

import pytest

from athena_core.errors import ConfigError
from athena_core.log.anchor import LINE_BYTES_MAX, Anchor
from athena_core.services.proof import witnesses
from athena_core.services.proof.witnesses import Witness, Witnesses, read_anchors

LOG = "ab" * 8
ANCHOR = Anchor(log_id=LOG, position=7, chain="cd" * 32)
TAKEN = "2026-01-01T00:00:00.000Z"
LINE = json.dumps({"logId": LOG, "position": 7, "chain": "cd" * 32, "at": TAKEN}).encode()
SENT = LINE[:-1] + b', "from": "peer"}'


def read(content: bytes) -> list[Witness]:
    return list(read_anchors("kept", io.BytesIO(content)))


def test_anchors_are_read_with_their_lines() -> None:
    assert read(LINE + b"\n\n" + SENT) == [Witness("kept", 1, ANCHOR, TAKEN), Witness("kept", 3, ANCHOR, TAKEN, "peer")]
    assert str(read(SENT)[0]) == "kept, line 1, from peer"
    assert read(b"") == []


def test_a_torn_last_line_is_skipped() -> None:
    assert read(LINE + b"\n" + LINE[:40]) == [Witness("kept", 1, ANCHOR, TAKEN)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LINE + b"\n" + LINE[:40] + b"\n", "kept, line 2: not an anchor"),
        (LINE.replace(b"7", b"-7") + b"\n", "kept, line 1: not an anchor"),
        (LINE.replace(b"cd", b"CD") + b"\n", "kept, line 1: not an anchor"),
        (b"[" * 1_000 + b"\n", "kept, line 1: not an anchor"),
        (b"\xff\n", "kept, line 1: not an anchor"),
        (b" " * LINE_BYTES_MAX + LINE, f"kept, line 1: longer than {LINE_BYTES_MAX} bytes"),
        (b"x" * 10_000_000, f"kept, line 1: longer than {LINE_BYTES_MAX} bytes"),
    ],
)
def test_an_invalid_anchor_is_an_error_that_names_its_line(content: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(content)


def test_too_many_anchors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnesses, "LINES_MAX", 2)
    Witnesses([Witness("kept", 1, ANCHOR)] * 2)
    with pytest.raises(ConfigError, match="more than 2 anchors in all"):
        Witnesses([Witness("kept", 1, ANCHOR)] * 3)
