"""Tests of anchors: a start beside an anchor that vouches for nothing, and what a kept anchor proves."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.tampering import statement
from tests.reliability.test_disk import refuses
from tests.support.server import Server

REFUSED_SECONDS_MAX = 10.0
"""Ten times what a start may take to refuse, with what the interpreter needs to start."""


def foreign(anchor: Path) -> None:
    anchor.write_bytes(b'{"logId":"0123456789abcdef","position":1,"chain":"' + b"0" * 64 + b'"}')


def instead(make: Callable[[Path], None]) -> Callable[[Path], None]:
    """What puts something else in the place of the anchor."""

    def replace(anchor: Path) -> None:
        anchor.unlink()
        make(anchor)

    return replace


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("spoil", "trouble", "words"),
    [
        (Path.unlink, "missing", "is missing"),
        (foreign, "foreign", "the anchor of another log, 0123456789abcdef"),
        (instead(os.mkfifo), "unreadable", "not a regular file"),
    ],
    ids=["gone", "foreign", "fifo"],
)
def test_a_cut_tail_beside_an_anchor_that_vouches_for_nothing_is_refused_once(
    tmp_path: Path, spoil: Callable[[Path], None], trouble: str, words: str
) -> None:
    with Server(tmp_path) as server:
        server.api.run("one")
        head = len(server.api.events())
        server.api.post("/directives", {"input": "lost"})
    statement(server.state_dir, ("DELETE FROM log WHERE position > ?", (head,)), ("DELETE FROM command", ()))
    spoil(server.state_dir / "log.anchor")
    began = time.monotonic()
    refuses(server.state_dir, words, "ATHENA_ACCEPT_FORK")
    assert time.monotonic() - began < REFUSED_SECONDS_MAX
    with Server(tmp_path, accept_fork="true") as server:
        forked = server.api.await_event("log.forked")
        assert forked["payload"] == {"head": head, "expected": head, "anchor": trouble}
        (entry,) = server.api.get("/governance/audit-trail", kind="fork")["items"]
        assert entry["details"] == {"anchor": trouble}
    with Server(tmp_path):
        pass  # it was accepted once and for all
