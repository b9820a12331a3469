"""Runs of a real language model through a server: watched while it writes, and cancelled in the middle."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.real_model.model_server import missing_packages
from tests.support.api import Api
from tests.support.server import Server

pytestmark = [
    pytest.mark.heavy,  # CI installs the packages before its second round
    pytest.mark.skipif(bool(missing_packages()), reason=f"not installed: {', '.join(missing_packages())}"),
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server whose provider ``openai`` is the small model."""
    command = [sys.executable, "-m", "examples.real_model.model_server"]
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root) as model:
        assert model.stdout
        url = model.stdout.readline().strip()
        try:
            settings = {"openai_base_url": f"{url}/v1", "runtime_run_timeout_ms": "600000"}
            with Server(tmp_path_factory.mktemp("real"), **settings) as server:
                yield server.api
        finally:
            model.terminate()


def test_a_chat_is_seen_as_it_is_written_and_remembered(api: Api) -> None:
    with api.stream("/sessions/chat/transcript/stream") as frames:
        run = api.start("What is the capital of France? One short sentence.", sessionId="chat", provider="openai")
        written: list[str] = []
        for frame in frames:
            if frame.event == "transcript.delta":
                written.append(frame.data["data"].get("text") or "")
            elif frame.event == "transcript.entry" and frame.data["data"]["role"] == "assistant":
                entry = frame.data["data"]
                break
    assert api.await_ending(run["runId"]) == "run.completed"
    assert "Paris" in entry["content"]
    assert len(written) > 3
    assert "".join(written) == entry["content"][: len("".join(written))]
    first = api.get(f"/runs/{run['runId']}")["usage"]
    second = api.run("And what did I ask you?", sessionId="chat", provider="openai")
    assert second["usage"]["inputTokens"] > first["inputTokens"] + first["outputTokens"], "it was told what was said"


def test_a_cancel_in_mid_stream_stops_the_model(api: Api) -> None:
    story = api.start("Write a long story about a fox.", sessionId="fox", provider="openai")
    with api.stream("/sessions/fox/transcript/stream") as frames:
        next(frame for frame in frames if frame.event == "transcript.delta")
    api.post(f"/run-control/by-run/{story['runId']}/cancel", {"reason": "enough"})
    assert api.await_ending(story["runId"]) == "run.cancelled"
    entries = api.get("/sessions/fox/transcript")["items"]
    assert [entry["role"] for entry in entries] == ["user"], "what was only begun is not recorded"
    assert api.run("Say yes.", sessionId="fox", provider="openai")["output"], "the model has room for the next one"
