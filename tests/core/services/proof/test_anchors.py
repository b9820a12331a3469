"""Tests of anchors elsewhere: each kind of destination, the appended lines, and isolated failures."""

import asyncio
import json
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from athena_core.clock import CountingIds, FixedClock
from athena_core.decider import Outcome
from athena_core.domain import DECIDERS, EVENTS, plane
from athena_core.domain.anchor import AnchorBody, AnchorKept
from athena_core.errors import AnchorNotSent, ConfigError
from athena_core.event import Event, Fact, Meta
from athena_core.log.codec import Codec
from athena_core.log.sqlite.store import SqliteStore
from athena_core.log.writer import Log
from athena_core.services.proof import anchors as services
from athena_core.services.proof.anchors import (
    Anchors,
    Destination,
    Sender,
    append_anchor,
    check_outside,
    destination_of,
    fetch_anchors,
)
from athena_core.settings import load
from tests.support import repository
from tests.support.api import PATIENCE_SECONDS
from tests.support.repository import git
from tests.support.stub import Asked, Behaviour, Stub, choosing

LINE = AnchorBody(log_id="ab" * 8, position=7, chain="cd" * 32, at="2026-01-01T00:00:00.000Z")
NEXT = replace(LINE, position=8)
META = Meta(actor="ada", correlation="trace")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# Destinations


def test_a_destination_is_named_by_how_it_begins() -> None:
    assert destination_of("/var/kept") == Destination("file", "/var/kept")
    assert destination_of("kept") == Destination("file", str(Path.cwd() / "kept"))
    assert destination_of("git:/srv/anchors") == Destination("git", "/srv/anchors")
    assert destination_of("https://a.example/x").kind == "http"
    assert destination_of("athena:http://localhost:8787/") == Destination("athena", "http://localhost:8787")
    assert destination_of("https://me:secret@a.example:444/x?token=1").shown == "https://a.example:444/x"
    assert destination_of("athena:https://me:secret@a.example").shown == "athena:https://a.example"


@pytest.mark.parametrize(
    "text",
    ["http://a.example/x", "athena:http://a.example", "ftp://a/b", "https://", "https://a:0/", "git:", "", "a\0"],
)
def test_other_destinations_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        destination_of(text)


# Files


def test_lines_are_appended_to_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    append_anchor(path, LINE)
    append_anchor(path, NEXT)
    assert [line["position"] for line in lines(path)] == [7, 8]
    assert lines(path)[0] == {
        "logId": "ab" * 8, "position": 7, "chain": "cd" * 32, "at": "2026-01-01T00:00:00.000Z"
    }  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_torn_line_is_removed_and_no_whole_line_is(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    append_anchor(path, LINE)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    append_anchor(path, NEXT)
    assert path.read_bytes().startswith(whole)
    assert [line["position"] for line in lines(path)] == [7, 8]
    path.write_bytes(b"x" * 5_000)
    with pytest.raises(OSError, match="the last line is not an anchor"):
        append_anchor(path, NEXT)
    assert path.read_bytes() == b"x" * 5_000


def test_an_anchor_without_an_end_stays_and_other_files_are_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    append_anchor(path, LINE)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    append_anchor(path, NEXT)
    assert path.read_bytes().startswith(whole)
    assert [line["position"] for line in lines(path)] == [7, 8]
    for content in (b"my notes", b"my notes\n", whole + b"my notes", whole + b"{}", b"a\nb\nc\n", whole + b"x\n"):
        path.write_bytes(content)
        with pytest.raises(OSError, match="the last line is not an anchor"):
            append_anchor(path, NEXT)
        assert path.read_bytes() == content


@pytest.mark.parametrize(("place", "inside"), [("state", True), ("state/kept", True), ("state/../kept", False)])
def test_no_place_is_in_the_state_directory(tmp_path: Path, place: str, inside: bool) -> None:
    with pytest.raises(ConfigError, match="--to: .* is in the state directory") if inside else nullcontext():
        check_outside([Destination("file", str(tmp_path / place))], tmp_path / "state", "--to")


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("elsewhere")])
async def test_only_a_regular_file_is_written(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "kept")
    with pytest.raises(AnchorNotSent, match=r"kept: "):
        await Sender(tmp_path).send(LINE, Destination("file", str(tmp_path / "kept")))
    assert not (tmp_path / "elsewhere").exists()


# Git


@pytest.mark.parametrize("fresh", [True, False], ids=["without a commit", "with commits"])
async def test_an_anchor_is_committed_and_pushed_without_hooks_and_settings_of_the_repository(
    tmp_path: Path, fresh: bool
) -> None:
    place, remote, ran = tmp_path / "repo", tmp_path / "remote.git", tmp_path / "ran"
    if fresh:
        place.mkdir()
        git(place, "init", "--quiet", "--initial-branch=main")
    else:
        repository.make(place)
        (place / "staged.md").write_text("of somebody else")
        git(place, "add", "staged.md")
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(remote)], check=True)
    for hooks in (place / ".git" / "hooks", remote / "hooks"):
        for name in ("pre-commit", "post-commit", "pre-push", "pre-receive", "post-receive"):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
            (hooks / name).chmod(0o755)
    git(place, "remote", "add", "origin", "../remote.git")
    for name, value in (
        ("branch.main.remote", "origin"), ("branch.main.merge", "refs/heads/main"), ("commit.gpgSign", "true"),
        ("gpg.program", str(ran)), ("core.fsmonitor", f"touch {ran}"), ("user.name", "Mallory"),
    ):  # fmt: skip
        git(place, "config", name, value)
    for line in (LINE, NEXT):
        await Sender(tmp_path).send(line, Destination("git", str(place)))
    assert not ran.exists()
    git(place, "config", "core.fsmonitor", "false")
    name = f"{LINE.log_id}.anchors"
    assert [line["position"] for line in lines(place / name)] == [7, 8]
    assert git(place, "log", "--format=%an %s", "-n", "2", "--", name) == (
        f"Athena Anchor of {LINE.log_id} at 8\nAthena Anchor of {LINE.log_id} at 7"
    )
    assert git(remote, "rev-parse", "main") == git(place, "rev-parse", "HEAD")
    assert git(place, "status", "--porcelain") == ("" if fresh else "A  staged.md")
    assert not list(tmp_path.glob("git-*"))


async def test_a_place_without_a_repository_or_branch_is_a_failure(tmp_path: Path) -> None:
    to = Destination("git", str(tmp_path / "repo"))
    with pytest.raises(AnchorNotSent, match="is not a git repository"):
        await Sender(tmp_path).send(LINE, to)
    repository.make(tmp_path / "repo")
    git(tmp_path / "repo", "checkout", "--quiet", "--detach")
    with pytest.raises(AnchorNotSent, match="has no branch checked out"):
        await Sender(tmp_path).send(LINE, to)


# HTTP


def answering(*statuses: int) -> Callable[[Asked], Behaviour]:
    """Return a handler that gives these answers in turn and repeats the last one."""
    left = list(statuses)

    async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
        status = left.pop(0) if len(left) > 1 else left[0]
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\nlocation: http://localhost:9/\r\n\r\n".encode())
        await writer.drain()

    return lambda asked: behave


async def test_a_receiver_gets_a_line_and_a_store_an_object_that_is_never_replaced(tmp_path: Path) -> None:
    async with choosing(answering(201, 201, 412)) as stub:
        await Sender(tmp_path).send(LINE, destination_of(f"{stub.url}/take?it=1"))
        for _ in range(2):
            await Sender(tmp_path).send(LINE, destination_of(f"{stub.url}/bucket/"))
        post, put, again = stub.asked
    assert post.head.startswith("post /take?it=1 ")
    assert post.raw.endswith("}\n")
    assert post.body["position"] == 7
    assert put.head.startswith(f"put /bucket/{'ab' * 8}/00000000000000000007-{'cd' * 8}.json ")
    assert "if-none-match: *" in put.head
    assert (again.head, again.raw) == (put.head, put.raw)


@pytest.mark.parametrize(
    ("status", "words"),
    [(500, "the response was 500"), (302, "the response was 302"), (409, "one of the two histories")],
)
async def test_another_athena_gets_the_identity_and_its_refusal_is_a_failure(
    tmp_path: Path, status: int, words: str
) -> None:
    async with choosing(answering(200, status)) as stub:
        sender = Sender.of(load({"ATHENA_STATE_DIR": str(tmp_path), "ATHENA_CLI_IDENTITY": "plane-1"}, tmp_path))
        await sender.send(LINE, destination_of(f"athena:{stub.url}"))
        with pytest.raises(AnchorNotSent, match=words):
            await sender.send(LINE, destination_of(f"athena:{stub.url}/"))
        for asked in stub.asked:
            assert asked.head.startswith("post /api/v1/anchors ")
            assert "x-athena-identity: plane-1" in asked.head


async def test_another_athena_alone_gets_the_token(tmp_path: Path) -> None:
    token = "ath_" + "T0K3N" * 10
    sender = Sender.of(load({"ATHENA_CLI_IDENTITY": "plane-1", "ATHENA_ANCHOR_TOKEN": token}, tmp_path))
    async with choosing(answering(201, 307)) as stub:
        await sender.send(LINE, destination_of(f"athena:{stub.url}"))
        for place in (f"athena:{stub.url}", f"{stub.url}/take", f"{stub.url}/bucket/"):
            with pytest.raises(AnchorNotSent, match="the response was 307") as caught:
                await sender.send(LINE, destination_of(place))
            assert token not in repr(vars(caught.value))
    assert [f"authorization: bearer {token.lower()}" in asked.head for asked in stub.asked] == [
        True,
        True,
        False,
        False,
    ]
    assert not any("x-athena-identity" in asked.head for asked in stub.asked)
    assert token not in repr(sender)


def test_a_token_for_several_places_is_refused(tmp_path: Path) -> None:
    places = "athena:https://a.example,athena:https://b.example"
    with pytest.raises(ConfigError, match="ATHENA_ANCHOR_TOKEN: it is sent to one Athena"):
        load({"ATHENA_ANCHOR_TO": places, "ATHENA_ANCHOR_TOKEN": "x" * 16}, tmp_path)


async def test_an_unreachable_place_is_a_failure_that_names_no_secret(tmp_path: Path) -> None:
    with pytest.raises(AnchorNotSent) as caught:
        await Sender(tmp_path).send(LINE, destination_of("http://me:secret@127.0.0.1:9/x?token=secret"))
    assert "http://127.0.0.1:9/x: " in caught.value.message
    assert "secret" not in caught.value.message


# The server's own


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    ids = CountingIds()
    made = Log(SqliteStore(tmp_path / "state", ids), Codec(EVENTS), DECIDERS, clock=FixedClock(), ids=ids)
    made.start()
    yield made
    made.close()


def write(log: Log, event: Event, stream: str = plane.STREAM) -> None:
    log.submit_in_thread(lambda reader, context: Outcome(facts=(Fact(stream=stream, event=event),)), META)


STARTED = plane.AuthzModeActive(mode="off")


def anchors_to(log: Log, *places: Path) -> Anchors:
    to = [Destination("file", str(place)) for place in places]
    return Anchors(log, FixedClock(), Sender(log.store.anchor.parent), to, 60)


async def test_an_anchor_is_sent_when_the_head_has_moved_by_more_than_anchors_of_others(
    log: Log, tmp_path: Path
) -> None:
    anchors = anchors_to(log, tmp_path / "kept")
    await anchors.send()
    assert not (tmp_path / "kept").exists()
    write(log, STARTED)
    for _ in range(2):
        await anchors.send()
    assert [line["position"] for line in lines(tmp_path / "kept")] == [1]
    assert lines(tmp_path / "kept")[0]["chain"] == log.anchor.at_head().chain
    kept = AnchorKept(log_id="ab" * 8, position=7, chain="cd" * 32, at=LINE.at, sender="peer")
    write(log, kept, "anchor:abababababababab:7")
    await anchors.send()
    write(log, STARTED)
    await anchors.stop()
    assert [line["position"] for line in lines(tmp_path / "kept")] == [1, 3]


async def test_a_destination_that_fails_is_heard_and_hinders_no_other(log: Log, tmp_path: Path) -> None:
    anchors = anchors_to(log, tmp_path / "nowhere" / "kept", tmp_path / "kept")
    write(log, STARTED)
    await anchors.send()
    (problem,) = log.problems.failing()
    assert (problem.loop, problem.count) == ("anchors.send", 1)
    assert "nowhere/kept: No such file or directory" in problem.message
    assert [line["position"] for line in lines(tmp_path / "kept")] == [1]
    (tmp_path / "nowhere").mkdir()
    await anchors.send()
    assert log.problems.failing() == ()
    assert [line["position"] for line in lines(tmp_path / "nowhere" / "kept")] == [1]
    assert [line["position"] for line in lines(tmp_path / "kept")] == [1]


async def test_a_file_system_that_hangs_does_not_hold_up_a_stop(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr(services, "append_anchor", lambda path, line: free.wait())
    monkeypatch.setattr(services, "STOP_SECONDS_MAX", 0.05)
    write(log, STARTED)
    try:
        with anyio.fail_after(PATIENCE_SECONDS):
            await anchors_to(log, tmp_path / "kept").stop()
    finally:
        free.set()


async def test_a_file_system_that_hangs_is_a_problem_and_takes_one_thread(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, hanging, real = threading.Event(), tmp_path / "hangs", services.append_anchor
    monkeypatch.setattr(
        services, "append_anchor", lambda path, line: free.wait() if path == hanging else real(path, line)
    )
    monkeypatch.setattr(services, "SEND_SECONDS_MAX", 2.0)  # the other place answers within it
    anchors = anchors_to(log, hanging, tmp_path / "kept")
    said = []
    try:
        with anyio.fail_after(PATIENCE_SECONDS):
            for _ in range(3):
                write(log, STARTED)
                await anchors.send()
                (problem,) = log.problems.failing()
                said.append(problem.message.rpartition(": ")[2])
        assert said == ["no answer within 2 s", "an earlier write still hangs", "an earlier write still hangs"]
        assert [line["position"] for line in lines(tmp_path / "kept")] == [1, 2, 3]
        threads = [one for one in threading.enumerate() if one.name == "athena-anchor"]
        assert all(one.daemon for one in threads), "the end of the process waits for no other"
    finally:
        free.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    await anchors.send()
    assert log.problems.failing() == ()


async def test_a_place_that_drips_is_read_for_a_limited_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 100000\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()
        gone.set()

    monkeypatch.setattr(services, "FETCH_SECONDS_MAX", 0.3)
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/kept"
    try:
        with anyio.fail_after(PATIENCE_SECONDS):
            with pytest.raises(ConfigError, match="not read within"):
                await fetch_anchors(destination_of(url), LINE.log_id, Sender(tmp_path))
            if begun.is_set():  # on a busy machine the time may end before the connection exists
                await gone.wait()
    finally:
        server.close()
