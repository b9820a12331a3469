"""Delayed effects of a command are checked against the role that its author has by then."""

import json
import signal
from pathlib import Path

from tests.conftest import Serve
from tests.support.api import events_of, soon, until_caught_up
from tests.support.gate import Gates


def test_who_lost_his_role_causes_nothing_more(serve: Serve, gates: Gates, tmp_path: Path) -> None:
    roles = tmp_path / "roles"
    roles.write_text("ada:Admin\notto:Operator\n")
    settings = gates.settings | {
        "auth_enabled": "true",
        "auth_role_map_file": str(roles),
        "runtime_run_timeout_ms": "600000",
    }
    server = serve(**settings)
    personas = server.workspace / "personas"
    personas.mkdir()
    for name in ("ben", "bob"):
        (personas / f"{name}.json").write_text(json.dumps({"schemaVersion": 1, "id": name}))
    ada, otto = server.client("ada"), server.client("otto")
    held_gate, step_gate = gates["message"], gates["step"]
    send = {"fromPersona": "ben", "toPersona": "bob"}
    held = otto.post("/a2a/messages", send | {"payload": "hold message"})
    held_gate.arrival()
    waiting = otto.post("/a2a/messages", send | {"payload": "never"})

    directives = [otto.post("/directives", {"input": text})["id"] for text in ("hold step", "never")]
    config = {"provider": "local-exec", "model": "script", "tools": ["none"]}
    policies = {"timeoutMs": 600_000, "retryLimit": 1, "budgetUsd": 0.5}
    profile = ada.post(
        "/harness-profiles", {"displayName": "x", "version": "v1", "config": config, "policies": policies}
    )["id"]
    steps = [
        {"id": name, "directiveId": directive, "harnessProfileId": profile}
        for name, directive in zip("ab", directives, strict=True)
    ]
    definition = {"steps": steps, "dependencies": [{"from": "a", "to": "b"}]}
    workflow_id = otto.post("/workflows", {"definition": definition})["id"]
    run_id = ada.post(f"/workflows/{workflow_id}/run", {}, respond_async=True)["id"]
    step_gate.arrival()

    with ada.stream(after="latest", types="rbac.roles.loaded") as blocks:
        until_caught_up(blocks)
        roles.write_text("ada:Admin\notto:Viewer\n")
        server.signal(signal.SIGHUP)
        next(events_of(blocks))
    held_gate.release()
    step_gate.release()

    for _ in soon():
        second = ada.get(f"/a2a/messages/{waiting['messageId']}")
        if second["status"] == "failed":
            break
    assert ada.get(f"/a2a/messages/{held['messageId']}")["status"] == "completed"
    letter = ada.get(f"/a2a/dlq/{second['deadLetterId']}")
    assert letter["reason"] == "not-allowed"
    for _ in soon():
        run = ada.get(f"/workflows/run/{run_id}")
        if run["run"]["status"] not in {"pending", "queued", "running"}:
            break
    states = run["run"]["stepStates"]
    assert states["a"]["status"] == "ok", run
    assert states["b"]["status"] == "failed"
    assert "AUTHZ_DENIED" in json.dumps(states["b"])
    assert "never" not in [entry["content"] for entry in ada.get("/sessions/persona-bob/transcript")["items"]]
