"""Evidence and verification over HTTP, with agents of a scripted model."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.examples import PROFILE
from tests.support.api import Json, Refused, refused_by
from tests.support.server import Server
from tests.support.stub import OPENAI, Asked, Behaviour, Stub, refuses, says, standing

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
POLICIES: list[Json] = [
    {"id": "evidence", "kind": "require-evidence", "label": "log", "evidenceType": "text"},
    {"id": "form", "kind": "json-schema", "label": "answer", "schema": SCHEMA},
    {"id": "word", "kind": "contains", "label": "word", "contains": '"n"'},
]


def acts(asked: Asked) -> Behaviour:
    """Perform the steps in the user's last message: a text, a tool call, or (null) an error."""
    messages = asked.body["messages"]
    last = max(place for place, message in enumerate(messages) if message["role"] == "user")
    done = sum(message["role"] == "assistant" for message in messages[last:])
    step = json.loads(messages[last]["content"])[done]
    if step is None:
        return refuses(400)
    if isinstance(step, str):
        return says(OPENAI.head, OPENAI.start, OPENAI.text(step), OPENAI.end(9, 3))
    name, arguments = step
    call = OPENAI.call(f"call_{done}", name, json.dumps(arguments))
    return says(OPENAI.head, OPENAI.start, call, OPENAI.end(9, 3))


def write(path: str, content: str = "x") -> list[Any]:
    return ["files", {"action": "write", "path": path, "content": content}]


def show(label: str = "log", content: str = "all is well") -> list[Any]:
    return ["evidence", {"label": label, "type": "text", "content": content}]


@pytest.fixture(scope="module")
def model() -> Iterator[Stub]:
    with standing(acts) as stub:
        yield stub


@pytest.fixture(scope="module")
def server(model: Stub, tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("agents"), openai_base_url=model.url + "/v1", **shared_store) as server:
        yield server


def profile(server: Server, policies: list[Json]) -> str:
    """Make a profile of the scripted model with writable files, and a shell for ``sh check.sh`` alone."""
    body = {
        **PROFILE,
        "config": {"provider": "openai", "model": "script", "tools": ["files", "evidence"]},
        "policies": {"timeoutMs": 60_000, "retryLimit": 1, "budgetUsd": 0},
        "toolPolicies": {"shell": {"commands": [["sh", "check.sh"]]}, "files": {"write": True}},
        "verificationPolicies": policies,
    }
    if not any(policy["kind"] == "command" for policy in policies):
        del body["toolPolicies"]["shell"]
    return str(server.api.post("/harness-profiles", body)["id"])


def test_a_run_that_shows_what_it_has_to_passes(server: Server, model: Stub) -> None:
    script = [write("a.txt"), show(), '{"n": 1}']
    result = server.api.run(json.dumps(script), harnessProfileId=profile(server, POLICIES))
    assert (result["verificationStatus"], result["evidenceCount"]) == ("passed", 3)
    wanted = model.asked[-1].body["response_format"]["json_schema"]
    assert wanted["schema"] == SCHEMA, "the model is told what is wanted"
    assert "verificationFailures" not in result
    path = f"/runs/{result['runId']}/evidence"
    records = server.api.items(path, limit=2)[::-1]
    told = [(one["label"], one["type"], one["source"], one["stale"], one.get("policyId")) for one in records]
    assert told == [
        ("log", "text", "tool", False, None),
        ("answer", "json", "model", False, "form"),
        ("word", "text", "model", False, "word"),
    ]
    contents = [server.api.get(f"{path}/{one['id']}") for one in records]
    assert [one["content"] for one in contents] == [
        {"kind": "text", "text": "all is well"},
        {"kind": "json", "value": {"n": 1}},
        {"kind": "text", "text": '{"n": 1}'},
    ]
    for one, bare in zip(contents, (b"all is well", b'{"n":1}', b'{"n": 1}'), strict=True):
        assert one["sha256"] == hashlib.sha256(bytes.fromhex(one["contentSalt"]) + bare).hexdigest()
        assert one["sizeBytes"] == len(bare)
    attached = server.api.events(types="evidence.attached", runId=result["runId"])
    assert [event["id"] for event in attached] == [one["eventId"] for one in records]
    assert "all is well" not in json.dumps(attached)


def test_a_run_that_fails_verification_lists_the_failures_and_keeps_its_output(server: Server) -> None:
    script = [show(), write("a.txt"), '{"m": "no"}']
    result = server.api.run(json.dumps(script), harnessProfileId=profile(server, POLICIES))
    assert (result["verificationStatus"], result["output"]) == ("verification-failed", '{"m": "no"}')
    failures = result["verificationFailures"]
    assert [failure["policyId"] for failure in failures] == ["evidence", "form", "word"]
    assert [failure["details"] for failure in failures] == [
        {"label": "log", "evidenceType": "text", "reason": "stale"},
        {"label": "answer", "problems": "2"},
        {"label": "word"},
    ]
    assert server.api.get(f"/runs/{result['runId']}")["verificationFailures"] == failures
    records = server.api.items(f"/runs/{result['runId']}/evidence")
    assert [(one["label"], one["stale"], one["source"]) for one in records] == [
        ("answer", False, "verifier"),
        ("log", True, "tool"),
    ]


@pytest.mark.parametrize(("said", "status", "code"), [("good", "passed", 0), ("bad", "verification-failed", 1)])
def test_a_command_judges_what_the_run_left_in_the_workspace(server: Server, said: str, status: str, code: int) -> None:
    (server.workspace / "check.sh").write_text("cat left.txt\ngrep -q good left.txt\n")
    policies = [{"id": "check", "kind": "command", "label": "check", "command": ["sh", "check.sh"]}]
    script = [write("left.txt", said), "done"]
    result = server.api.run(json.dumps(script), harnessProfileId=profile(server, policies))
    assert result["verificationStatus"] == status
    (record,) = server.api.items(f"/runs/{result['runId']}/evidence")
    assert (record["exitCode"], record["source"], record["policyId"]) == (code, "verifier", "check")
    content = server.api.get(f"/runs/{result['runId']}/evidence/{record['id']}")["content"]
    assert said in content["text"]
    if code:
        assert result["verificationFailures"][0]["details"]["exitCode"] == "1"


def test_nothing_that_a_model_wrote_is_public(server: Server) -> None:
    word = "plutonium"
    calls = [
        show(f"what {word} is"),
        [f"find_{word}", {"what": word}],
        ["files", {"action": "read", "path": word, "evidence": f"a file of {word}"}],
        ["files", {word: word}],
    ]
    script = json.dumps([*calls, f"{word} is everywhere"])
    result = server.api.run(script, harnessProfileId=profile(server, POLICIES))
    with pytest.raises(Refused, match="STUCK"):
        server.api.run(json.dumps([calls[1]] * 9), harnessProfileId=profile(server, []), sessionId=result["sessionId"])
    events = server.api.events(sessionId=result["sessionId"])
    assert {"tool.called", "evidence.attached", "run.completed", "run.failed"} <= {event["type"] for event in events}
    run_ids = {event["runId"] for event in events if "runId" in event}
    explained = [server.api.get(f"/runs/{run_id}/explain") for run_id in run_ids]
    assert word not in json.dumps([events, explained])
    entries = server.api.get(f"/sessions/{result['sessionId']}/transcript", limit=500)["items"]
    assert f"find_{word}" in {entry.get("toolName") for entry in entries}
    labels = {one["label"] for one in server.api.items(f"/runs/{result['runId']}/evidence")}
    assert f"what {word} is" in labels


def test_what_tools_did_is_in_the_transcript_and_in_the_next_context(server: Server, model: Stub) -> None:
    named = profile(server, [])
    server.api.run(json.dumps([show(), ["shell", {"command": ["ls"]}], "so"]), harnessProfileId=named, sessionId="s")
    entries = server.api.get("/sessions/s/transcript")["items"]
    told = [(entry["kind"], entry["role"], entry.get("toolName"), entry.get("isError")) for entry in entries]
    assert told == [
        ("message", "user", None, None),
        ("tool-call", "assistant", "evidence", None),
        ("tool-result", "tool", "evidence", None),
        ("tool-call", "assistant", "shell", True),
        ("tool-result", "tool", "shell", True),
        ("message", "assistant", None, None),
    ]
    assert json.loads(entries[1]["content"]) == show()[1]
    assert entries[3]["metadata"]["unknown-tool"] == "true"
    assert {entry["runStatus"] for entry in entries} == {"completed"}
    server.api.run(json.dumps(["again"]), harnessProfileId=named, sessionId="s")
    sent = model.asked[-1].body["messages"]
    roles = [message["role"] for message in sent]
    assert roles == ["user", *["assistant", "tool"] * 2, "assistant", "user"]
    for call, result in ((sent[1], sent[2]), (sent[3], sent[4])):
        assert [one["id"] for one in call["tool_calls"]] == [result["tool_call_id"]]


@pytest.mark.parametrize("path", ["/runs/run_nope/evidence", "/runs/run_nope/evidence/evd_nope"])
def test_evidence_of_an_unknown_run_is_not_found(shared: Server, path: str) -> None:
    assert refused_by(shared.api.get, path) == (404, "NOT_FOUND")


def test_a_run_without_evidence_has_an_empty_list(shared: Server) -> None:
    run_id = shared.api.run()["runId"]
    assert shared.api.get(f"/runs/{run_id}/evidence") == {"items": []}
    assert refused_by(shared.api.get, f"/runs/{run_id}/evidence/evd_nope")[1] == "NOT_FOUND"
