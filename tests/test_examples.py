"""The examples against a real server: nothing is lost or repeated when the client or the server is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from athena_core.clock import SystemIds
from tests.conftest import Serve
from tests.support.gate import Gates

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "examples" / "replay_client.py"
PATIENCE_SECONDS = 60.0

Json = dict[str, Any]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@contextmanager
def process(*command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@contextmanager
def server_at(port: int, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a server on a given port, so that another can follow it there; yield once it answers."""
    with process("-m", "tests.support.serving", str(port), ATHENA_STATE_DIR=str(directory)) as started:
        until(lambda: started.poll() is not None or answers(port))
        assert started.poll() is None
        yield started


def answers(port: int) -> bool:
    with suppress(httpx2.HTTPError):
        return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    return False


def copy(url: str, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the client to the head."""
    command = [sys.executable, str(CLIENT), str(file), "--url", url, "--once", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


def copied(file: Path) -> list[Json]:
    """Return the events on the complete lines of a file."""
    text = file.read_bytes() if file.exists() else b""
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]


class Author:
    """Creates directives one after another whatever happens to the server; keys make repetition harmless."""

    def __init__(self, url: str) -> None:
        self.acknowledged = 0
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Author":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        ids = SystemIds()
        with httpx2.Client(base_url=self._url, timeout=PATIENCE_SECONDS) as http:
            while not self._stop.is_set():
                key = {"idempotency-key": ids.trace()}
                while not self._stop.is_set():
                    with suppress(httpx2.HTTPError):
                        answer = http.post("/api/v1/directives", json={"input": "one more"}, headers=key)
                        if answer.status_code == 200:
                            self.acknowledged += 1
                            break
                    time.sleep(0.01)


@pytest.mark.heavy
def test_a_copy_of_the_feed_misses_and_repeats_nothing_though_server_and_client_are_killed(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "events.jsonl"
    url = f"http://127.0.0.1:{port}"
    state, client = tmp_path / "state", (str(CLIENT), str(file), "--url", url)
    with Author(url) as author:
        with server_at(port, state) as server, process(*client):
            until(lambda: len(copied(file)) > 50)
            server.send_signal(signal.SIGKILL)
            server.wait()
            seen = len(copied(file))
            with server_at(port, state):  # the same client goes on with it
                until(lambda: len(copied(file)) > seen + 50)
        with server_at(port, state):  # the client was killed, and its last line may be cut short
            seen = len(copied(file))
            with file.open("ab") as torn:
                torn.write(b'{"id":"AXh')
            with process(*client):
                until(lambda: len(copied(file)) > seen + 50)
    with server_at(port, state):
        assert copy(url, file).returncode == 0
        truth = tmp_path / "truth.jsonl"
        assert copy(url, truth).returncode == 0
        with httpx2.Client(base_url=url) as http:
            page = http.get("/api/v1/events", params={"limit": 500}).json()["data"]
            events: list[Json] = page["events"]
            while "nextCursor" in page:
                query = {"limit": 500, "cursor": page["nextCursor"]}
                page = http.get("/api/v1/events", params=query).json()["data"]
                events += page["events"]
    assert copied(file) == events == copied(truth)
    assert len(events) == page["head"]
    created = [event for event in events if event["type"] == "directive.created"]
    assert author.acknowledged <= len(created) <= author.acknowledged + 1
    assert [event["type"] for event in events].count("AUTHZ_MODE_ACTIVE") == 4


def test_the_copy_of_another_log_is_refused_in_plain_words_and_left_as_it_is(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    one, other = serve(tmp_path / "one"), serve(tmp_path / "other")
    one.api.run()
    assert copy(one.url, file).returncode == 0
    before = file.read_bytes()
    refused = copy(other.url, file)
    assert refused.returncode == 1
    assert "CURSOR_FOREIGN" in refused.stderr
    assert "start a new file" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert file.read_bytes() == before


def test_a_file_that_is_not_a_copy_stays_unchanged(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    for text in ("a letter\n", "a letter without an end", '{"id": 7}\nand more'):
        file = tmp_path / "letter"
        file.write_text(text)
        assert copy(server.url, file).returncode == 1
        assert file.read_text() == text


def test_only_one_client_writes_a_file(serve: Serve, tmp_path: Path) -> None:
    server, file = serve(), tmp_path / "events.jsonl"
    with process(str(CLIENT), str(file), "--url", server.url):
        until(lambda: len(copied(file)) > 0)
        refused = copy(server.url, file)
    assert refused.returncode == 1
    assert "another process" in refused.stderr


@pytest.mark.parametrize("once", [True, False])
def test_a_filter_shows_only_what_was_asked_for(serve: Serve, once: bool) -> None:
    server = serve()
    run_id = server.api.run()["runId"]
    options = ["--types", "run.completed", *(["--once"] if once else [])]
    with process(str(CLIENT), "--url", server.url, *options) as client:
        assert client.stdout is not None
        line = client.stdout.readline().split(" ")
        assert line[1:3] == ["run.completed", run_id]
        if once:
            assert client.wait(PATIENCE_SECONDS) == 0


# The audit of refusals


def audit(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "audit_rejections.py"), "--url", url, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


def test_an_auditor_sees_every_refusal_once_with_its_rule(serve: Serve, gates: Gates) -> None:
    server = serve(auth_enabled="true", auth_identity_role_map="ada:Admin", **gates.settings)
    ada, olga = server.client("ada"), server.client("olga")
    ada.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1})
    gate = gates["held"]
    holder = ada.start(gate.order)
    refusals = []
    for number in range(3):
        answer = (olga if number else ada).send("/runs", {"input": "me too", "sessionId": f"-s{number}"})
        refusals.append(answer.json()["error"]["details"]["runId"])
    gate.release()
    ada.await_ending(holder["runId"])
    lines = audit(server.url, "--identity", "vera").stdout.splitlines()
    table = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    assert [(row["runId"], row["actor"]) for row in table] == list(zip(refusals, ["ada", "olga", "olga"], strict=True))
    assert {row["rule"] for row in table} == {"policy.maxConcurrentRuns"}
    assert [(row["activeRuns"], row["limit"]) for row in table] == [("1", "1")] * 3
    assert table[0]["sessionId"] == "'-s0", "no spreadsheet takes a cell for a formula"
    events = {event["id"] for event in ada.events(types="policy.rejected")}
    assert {row["id"].removeprefix("rej_") for row in table} == events
    hers = audit(server.url, "--identity", "vera", "--actor", "olga", "--csv")
    assert [line.split(",")[3] for line in hers.stdout.splitlines()[1:]] == refusals[1:]
    assert hers.stderr == "2 refused; olga: 2\n"
    assert audit(server.url, "--identity", "vera", "--since", "2100-01-01T00:00:00Z").stdout.count("\n") == 1


def test_an_audit_that_the_server_refuses_says_why(serve: Serve) -> None:
    server = serve(auth_enabled="true")
    nobody, unreadable = audit(server.url), audit(server.url, "--identity", "vera", "--since", "yesterday")
    assert (nobody.returncode, unreadable.returncode) == (1, 1)
    assert "AUTH_IDENTITY_MISSING" in nobody.stderr
    assert "createdAfter" in unreadable.stderr
    assert "Traceback" not in nobody.stderr + unreadable.stderr
