"""The demo of the command line: its history keeps every promise, it needs no one, and nothing remains after it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from athena_cli.demo import script
from athena_cli.demo.fleet import LIMIT
from athena_cli.demo.history import write_history
from athena_cli.demo.process import settings_of
from athena_core.services.execution.progress import DECLINED, REFUSED, UNANSWERED
from tests.support.api import Api, soon
from tests.support.process import ROOT
from tests.support.records import judge

HOURS = 1


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with a short history."""
    directory = tmp_path_factory.mktemp("demo")
    (directory / "workspace").mkdir()
    asyncio.run(write_history(settings_of(directory, "http://127.0.0.1:9/v1"), HOURS))
    return directory


@pytest.mark.heavy
def test_the_history_verifies_and_replays(past: Path) -> None:
    judge(past / "state", "")
    settings = settings_of(past, "http://127.0.0.1:9/v1")
    replay = [sys.executable, "-m", "athena_cli", "replay", "--verify"]
    done = subprocess.run(replay, env=os.environ | settings, cwd=past, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_agents_of_the_script_follow_what_was_decided() -> None:
    tidied, invited = script.turns_of(script.TIDY)[-1], script.turns_of(script.INVITE)[-1]
    assert tidied.after("[exit status 0]").text == "The drafts are deleted."
    assert tidied.after(f"{REFUSED} The person wrote: later").text == "I kept the drafts, as you decided."
    values = '{"day": "2026-10-03", "place": "Graz", "guests": 80}'
    assert "in Graz on 2026-10-03! Cider and pears for 80 guests." in invited.after(values).text
    assert invited.after(DECLINED).text == invited.after(UNANSWERED).text == invited.refused


class Running:
    """A demo in a process of its own, without a terminal."""

    def __init__(self, directory: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "athena_cli", "demo", "--port", "0"],
            env=environment | {"TMPDIR": str(directory), "PYTHONPATH": f"{ROOT}:{ROOT / 'clients' / 'python'}"},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.directory = directory
        self.said = ""
        self.api: Api | None = None

    def ready(self) -> Api:
        """Wait for the banner. Return a client."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C to end" in line:
                break
        url = next((line.split()[1] for line in self.said.splitlines() if line.strip().startswith("Console")), "")
        assert url, self.said
        self.api = Api(url)
        return self.api

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.said += self.process.stdout.read()
        return self.process.wait()

    @property
    def left(self) -> list[str]:
        """The files of the demo, and the processes that still name its directory."""
        found = [str(path) for path in self.directory.iterdir()]
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"ATHENA_STATE_DIR={self.directory}".encode() in path.read_bytes():
                    found.append(str(path))
            except OSError:
                continue
        for path in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if str(path.readlink()).startswith(f"{self.directory}/"):
                    found.append(str(path))
            except OSError:
                continue
        return found


@contextmanager
def demo(directory: Path) -> Iterator[Running]:
    directory.mkdir()
    running = Running(directory)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        assert running.process.stdout is not None
        running.process.stdout.close()
        if running.api is not None:
            running.api.close()


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_two_demos_live_side_by_side_and_nothing_remains_after_them(tmp_path: Path) -> None:
    with demo(tmp_path / "one") as one, demo(tmp_path / "two") as two:
        first, second = one.ready(), two.ready()
        assert first.get("/capabilities")["demo"] is True
        assert first.get("/capabilities")["logId"] != second.get("/capabilities")["logId"]
        for _ in soon():
            fleet = first.get("/fleet/summary")
            running = first.items("/runs", status="running")
            if fleet["paused"] and fleet["queue"]["deadLetters"] and running and first.items("/schedules"):
                break
        asks = first.items("/asks")
        assert {ask["kind"] for ask in asks} == {"tool-permission", "question", "workflow-approval"}
        for ask in asks:
            if ask["kind"] == "tool-permission":
                body = {"subjectHash": ask["subjectHash"], "optionId": "deny"}
                first.post(f"/asks/{ask['id']}/answer", body)
                assert first.get(f"/runs/{ask['runId']}", wait=60)["output"] == "I kept the drafts, as you decided."
        assert first.get("/policy")["maxConcurrentRuns"] == LIMIT
        assert one.left
        assert one.end(signal.SIGTERM) == 0, one.said
        assert not one.left
        second.get("/fleet/summary")
        two.process.kill()  # its server ends with it
        for _ in soon():
            try:
                second.http.get(second.url + "/livez")
            except httpx2.ConnectError:
                return
            except httpx2.TransportError:  # it ended in the middle of an answer
                continue


@pytest.mark.heavy
def test_a_port_that_is_taken_and_a_directory_that_is_not_empty_are_refused(tmp_path: Path, past: Path) -> None:
    assert _refused(tmp_path, "--keep", str(past)).startswith("error: --keep:")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert _refused(tmp_path, "--port", str(taken.getsockname()[1])).startswith("error: --port:")
    assert _refused(tmp_path, "--port", "65536").startswith("error: --port:")


def test_the_setting_changes_one_field_and_nothing_else() -> None:
    sources = [path for name in ("athena_core", "athena_api", "projections") for path in (ROOT / name).rglob("*.py")]
    uses = [path.name for path in sources for line in path.read_text().splitlines() if "settings.demo" in line]
    assert uses == ["core.py"]


def _refused(directory: Path, *words: str) -> str:
    command: list[Any] = [sys.executable, "-m", "athena_cli", "demo", *words]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    return done.stderr
