"""Runs of a real language model through a server: watched, cancelled, cut by a budget, held to a schema.

No request waits for the model: a loaded machine may take a second for a few tokens. Runs end in time by themselves.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.real_model.model_server import missing_packages
from tests.support.api import ENDINGS, Api
from tests.support.programs import lack_of
from tests.support.repository import branch, commit, make
from tests.support.server import Server

PRICED = "gpt-4o-mini"
"""The name for the small model, which accepts any; this one has a price."""

QUESTION = "What is the capital of France? One short sentence."
"""The model ends its answer without a cap: once a budget is sent along, its server's own cap no longer holds."""

BUDGET_USD = 4 / 1e6
"""Enough for the question and the first three tokens of its answer."""

SCHEMA = {
    "type": "object",
    "properties": {"animal": {"type": "string", "maxLength": 20}, "legs": {"type": "integer", "maximum": 99}},
    "required": ["animal", "legs"],
    "additionalProperties": False,
}
RUN_TIMEOUT_MS = 600_000

pytestmark = [
    pytest.mark.heavy,  # CI installs the packages before its second round
    pytest.mark.skipif(bool(missing_packages()), reason=lack_of(*missing_packages())),
]


ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a server whose provider ``openai`` is the small model."""
    command = [sys.executable, "-m", "examples.real_model.model_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as model:
        assert model.stdout
        url = model.stdout.readline().strip()
        try:
            settings = {"openai_base_url": f"{url}/v1", "runtime_run_timeout_ms": str(RUN_TIMEOUT_MS)}
            with Server(tmp_path_factory.mktemp("real"), **settings) as server:
                yield server
        finally:
            model.terminate()


@pytest.fixture
def api(server: Server) -> Api:
    return server.api


def settled(api: Api, run: Any) -> Any:
    """Return a run once it has ended or is paused."""
    api.await_event("run.paused", *ENDINGS, runId=run["runId"])
    return api.get(f"/runs/{run['runId']}")


def profile(api: Api, *, budget_usd: float = 0, policies: tuple[object, ...] = ()) -> str:
    """Create a profile without tools: the model is too small for them."""
    body = {
        "displayName": "Small",
        "version": "v1",
        "config": {"provider": "openai", "model": PRICED, "tools": ["none"]},
        "policies": {"timeoutMs": RUN_TIMEOUT_MS, "retryLimit": 1, "budgetUsd": budget_usd},
        "verificationPolicies": list(policies),
    }
    return str(api.post("/harness-profiles", body)["id"])


def test_a_chat_is_seen_as_it_is_written_and_remembered(api: Api) -> None:
    with api.stream("/sessions/chat/transcript/stream") as frames:
        run = api.start(QUESTION, sessionId="chat", provider="openai")
        written: list[str] = []
        for frame in frames:
            if frame.event == "transcript.delta":
                written.append(frame.data["data"].get("text") or "")
            elif frame.event == "transcript.entry" and frame.data["data"]["role"] == "assistant":
                entry = frame.data["data"]
                break
    first = settled(api, run)
    assert first["status"] == "completed"
    assert "Paris" in entry["content"]
    assert len(written) > 3
    assert "".join(written) == entry["content"][: len("".join(written))]
    second = settled(api, api.start("And what did I ask you?", sessionId="chat", provider="openai"))
    told = first["usage"]["inputTokens"] + first["usage"]["outputTokens"]
    assert second["usage"]["inputTokens"] > told, "it was told what was said"


def test_a_cancel_in_mid_stream_stops_the_model(api: Api) -> None:
    story = api.start("Write a long story about a fox.", sessionId="fox", provider="openai")
    with api.stream("/sessions/fox/transcript/stream") as frames:
        next(frame for frame in frames if frame.event == "transcript.delta")
    api.post(f"/run-control/by-run/{story['runId']}/cancel", {"reason": "enough"})
    assert settled(api, story)["status"] == "cancelled"
    entries = api.get("/sessions/fox/transcript")["items"]
    assert [(entry["role"], entry.get("partial")) for entry in entries] == [("user", None), ("assistant", True)]
    after = settled(api, api.start("Say yes.", sessionId="fox", provider="openai"))
    assert (after["status"], bool(after["output"])) == ("completed", True), "the model has room for the next one"


def test_a_budget_cuts_an_answer_and_another_budget_lets_the_run_go_on(api: Api) -> None:
    costly = profile(api, budget_usd=BUDGET_USD)
    paused = settled(api, api.start(QUESTION, harnessProfileId=costly))
    assert (paused["status"], paused["paused"]["reason"]) == ("paused", "budget")
    assert 0 < paused["usage"]["outputTokens"] < 6
    assert "Paris" not in paused["output"]
    run_id = paused["runId"]
    with api.stream(types="run.resumed", runId=run_id) as frames:
        api.post(f"/runs/{run_id}/resume", {"budgetUsd": 1}, respond_async=True)
        next(frame for frame in frames if frame.event == "run.resumed")
    assert api.await_ending(run_id) == "run.completed"
    done = api.get(f"/runs/{run_id}")
    assert (done["status"], done["runId"]) == ("completed", run_id)
    assert "Paris" in done["output"]
    assert done["costMicroUsd"] > paused["costMicroUsd"] > 0
    assert api.types(runId=run_id, types="run.paused,run.resumed,run.completed") == [
        "run.paused",
        "run.resumed",
        "run.completed",
    ]


def test_an_answer_that_fits_its_schema_is_evidence(api: Api) -> None:
    policy = {"id": "form", "kind": "json-schema", "label": "answer", "schema": SCHEMA}
    said = "Name an animal and how many legs it has, as JSON."
    run = settled(api, api.start(said, harnessProfileId=profile(api, policies=(policy,))))
    assert (run["verificationStatus"], run["evidenceCount"]) == ("passed", 1)
    (record,) = api.items(f"/runs/{run['runId']}/evidence")
    evidence = api.get(f"/runs/{run['runId']}/evidence/{record['id']}")
    assert (evidence["label"], evidence["type"], evidence["policyId"]) == ("answer", "json", "form")
    assert evidence["content"]["value"] == json.loads(run["output"])
    assert set(evidence["content"]["value"]) == {"animal", "legs"}


@pytest.mark.timeout(1_200)  # it is asked twice, each time with some hundred words
def test_a_persona_reviews_a_small_change_of_this_project(server: Server, api: Api) -> None:
    """The quality of the model's answer does not matter: any output becomes a result with evidence."""
    text = (ROOT / "athena_core/system/signal.py").read_text()
    library = make(server.workspace / "library")
    commit(library, "The signal as it is", signal_py=text)
    branch(library, "reworded", signal_py=text.replace("Wake", "Rouse"))
    personas = server.workspace / "personas"
    personas.mkdir()
    (personas / "critic.json").write_text(json.dumps({"schemaVersion": 1, "id": "critic"}))
    asked = {"name": "critic", "repoPath": "library", "headRef": "reworded", "provider": "openai", "model": PRICED}
    run_id = api.post("/personas/run", asked, respond_async=True)["runId"]
    ended = api.await_event("persona.run.completed", "persona.run.failed", runId=run_id)
    assert ended["type"] == "persona.run.completed"
    record = api.get(f"/personas/runs/{run_id}")
    result = record["result"]
    print(record["status"], result.get("error"), result.get("usage"), repr(result["modelOutputRaw"])[:300], sep="\n")
    assert record["status"] == result["status"] in {"ok", "failed"}
    assert result["modelOutputRaw"].strip(), "the model said something"
    assert result["usage"]["outputTokens"] > 0
    assert result["parseRetryAttempted"] or result["status"] == "ok"
    assert result["mergeGate"] == "fail" or result["status"] == "ok"
    assert [one["kind"] for one in result["contextManifest"]] == ["diff"]
    files = server.state_dir / "persona-runs" / run_id
    assert "+" in (files / "diff.patch").read_text()
    assert json.loads((files / "result.json").read_text()) == result
