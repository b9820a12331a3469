"""A run that is watched as it is written, and the fleet at a glance."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress

import pytest

from athena_core.services.execution.liveness import ProcessKind
from tests.cli.terminal import Terminal
from tests.support.api import Api, soon
from tests.support.gate import Gates
from tests.support.other_process import attending

TRANSPORTS = ["api", "local"]


def test_a_run_is_shown_as_it_is_written_with_its_end(terminal: Terminal, gates: Gates) -> None:
    gate = gates["told"]
    with terminal.served(**gates.settings):
        api = Api(terminal.settings["api_base_url"])
        run = api.start("tell told one two three", sessionId="s")
        watching = terminal.start("runs", "watch", run["runId"])
        text = ""
        for word in ("one ", "two ", "three "):
            while not text.endswith(word):
                text += watching.stdout.read(1)
            gate.release()
        ended = watching.end()
        api.close()
    assert (text, ended.out, ended.code) == ("one two three ", "\n", 0)
    told, end = ended.err.splitlines()
    assert told == "user: tell told one two three"
    assert re.fullmatch(rf"\[completed · {run['runId']} · 10 tokens \(estimated\) · \$0.00 · [\d.]+ m?s\]", end)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_run_that_has_ended_is_shown_whole(terminal: Terminal, transport: str) -> None:
    with terminal.served():
        api = Api(terminal.settings["api_base_url"])
        api.run("first", sessionId="s")
        run = api.run("hello", sessionId="s")
        record = api.get(f"/runs/{run['runId']}")
        api.close()
        shown = terminal.run("runs", "watch", run["runId"], "--transport", transport)
        assert (shown.code, shown.out) == (0, run["output"] + "\n")
        told = terminal.run("runs", "watch", run["runId"], "--transport", transport, "-o", "json")
        assert json.loads(told.out.removeprefix(run["output"] + "\n")) == record
        lines = terminal.run("runs", "watch", run["runId"], "--transport", transport, "-o", "jsonl").out.splitlines()
        assert [json.loads(line)["role"] for line in lines] == ["user", "assistant"]


def test_a_run_that_fails_is_a_failure_and_one_that_does_not_exist_too(terminal: Terminal, gates: Gates) -> None:
    with terminal.served(**gates.settings):
        api = Api(terminal.settings["api_base_url"])
        run = api.start("fail")
        api.close()
        watched = terminal.run("runs", "watch", run["runId"])
        assert watched.code == 1
        assert watched.err.splitlines()[-1].startswith(f"error: run {run['runId']} is failed: ")
        assert "NOT_FOUND" in terminal.run("runs", "watch", "run_nobody").err


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_top_shows_the_fleet_once(terminal: Terminal, gates: Gates, transport: str) -> None:
    gate = gates["shown"]
    with terminal.served(**gates.settings):
        api = Api(terminal.settings["api_base_url"])
        api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1, "costBudgetDailyUsd": 5})
        api.post("/schedules", {"id": "shown-schedule", "sessionId": "s", "input": "x", "everyMinutes": 15})
        api.start(gate.order, sessionId="shown-session")
        gate.arrival()
        assert api.send("/runs", {"input": "x", "sessionId": "refused-session"}).status_code == 429
        shown = terminal.run("top", "--once", "--transport", transport)
        gate.release()
        api.close()
    assert (shown.code, shown.err) == (0, "")
    for words in ("1 of 1", "of $5", "shown-session", "running", "refused-session", "shown-schedule"):
        assert words in shown.out, (words, shown.out)


@pytest.mark.heavy
def test_a_loop_that_fails_is_shown_by_top_and_the_doctor(terminal: Terminal) -> None:
    with terminal.served() as server:
        anchor = server.state_dir / "log.anchor"
        for _ in soon():  # a server replaces it from time to time
            with suppress(FileNotFoundError, FileExistsError):
                anchor.unlink()
                anchor.mkdir()
                break
        server.api.run("hello")
        for _ in soon():
            if any(one["problems"] for one in server.api.get("/workers")["items"]):  # with its next heartbeat
                break
        others: dict[str, tuple[ProcessKind, int]] = {"runner.claim": ("worker", 7), "views": ("server", 8)}
        with ExitStack() as stack:
            for loop, (kind, pid) in others.items():
                stack.enter_context(attending(server.state_dir, kind, pid, loop))
            frame = terminal.run("top", "--once", "--transport", "api").out
            doctor = terminal.run("doctor")
        assert frame.count("log.anchor failing (") == 1, "it is in the health and in the list of workers"
        (found,) = [one for one in json.loads(doctor.out)["findings"] if one["check"] == "background log.anchor"]
        assert (doctor.code, found["status"], "Is a directory" in found["says"]) == (1, "wrong", True)
        for loop, (kind, pid) in others.items():
            assert f"vm:{pid} {loop} failing (3 times" in frame
            (found,) = [one for one in json.loads(doctor.out)["findings"] if one["check"] == f"background {loop}"]
            assert found["says"].startswith(f"{kind} {pid} on vm: failing since ")
        anchor.rmdir()
        for _ in soon():
            if not server.api.get("/admin/health")["problems"]:
                break
        assert "background" not in terminal.run("doctor").out


def test_top_needs_a_terminal_unless_it_is_shown_once(terminal: Terminal) -> None:
    assert terminal.run("top").code == 2


def test_a_run_on_a_terminal_is_shown_as_it_is_written(terminal: Terminal) -> None:
    with terminal.served(local_provider_cmd="/bin/false") as server:
        shown = terminal.seen("run", "hello", "--session", "s")
        (run,) = server.api.items("/runs")
        assert [line.strip() for line in shown.splitlines()][:2] == ["user: hello", "Echo: user: hello"]
        assert re.search(rf"^\[completed · {run['runId']} · \d+ tokens · \$0.00 · \d", shown, re.MULTILINE)
        failed = terminal.seen("run", "hello", "--provider", "local-exec")
        assert "[failed (PROVIDER_ERROR: " in failed
        assert "error: run run_" in failed
        assert "see athena explain run_" in failed


def test_ctrl_c_of_a_run_on_a_terminal_cancels_it(terminal: Terminal) -> None:
    ours, theirs = pty.openpty()
    with terminal.served(local_provider_cmd="/bin/sleep", local_provider_args="1000") as server:
        command = [sys.executable, "-m", "athena_cli", "run", "hello", "--provider", "local-exec"]
        process = subprocess.Popen(
            command, cwd=terminal.directory, env=terminal.environment({}), stdin=theirs, stdout=theirs, stderr=theirs
        )
        server.api.await_event("run.started")
        shown = b""
        while b"user: hello" not in shown:
            shown += os.read(ours, 65_536)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert [run["status"] for run in server.api.items("/runs")] == ["cancelled"]
        shown += os.read(ours, 65_536)
        assert b"Cancelling the run." in shown
    os.close(ours)
    os.close(theirs)
