"""Runs whose commands have a sandbox, over HTTP."""

import sys
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Json, Refused
from tests.support.model import Profile, acting, call
from tests.support.programs import BOXED
from tests.support.server import Server

LOOKS = call("shell", command=["/bin/sh", "-c", "ls -A state; cat .env; id -u; echo made > made.txt; touch .git/hooks"])
VERIFIES = ({"id": "v", "kind": "command", "label": "Checked", "command": ["/bin/sh", "-c", "test -s made.txt"]},)


def create(api: Api, sandbox: Json) -> str:
    return str(api.post("/harness-profiles", {**Profile(verification=VERIFIES).body, "sandbox": sandbox})["id"])


def phases(api: Api, run_id: str) -> list[Json]:
    return [event["sandbox"] for event in api.events(runId=run_id, types="sandbox.lifecycle")]


@BOXED
def test_commands_see_their_workspace_and_nothing_of_the_server(serve: Serve) -> None:
    with acting([LOOKS, "done"]) as model:
        server = serve(openai_base_url=model.url, workspace_closed="state")
        api, work = server.api, server.workspace
        for place in (work / "state", work / ".git"):
            place.mkdir()
        (work / "state" / "secret").touch()
        (work / ".env").write_text("KEY=canary")
        assert api.get("/capabilities")["supportsSandbox"] is True
        assert api.get("/capabilities")["sandbox"] == {"available": True}
        run = api.start("go", harnessProfileId=create(api, {"mode": "required"}))["runId"]
        assert api.await_ending(run) == "run.completed"
        said = model.requests[-1]["messages"][-1]["content"]
        assert "secret" not in said and "canary" not in said and "Read-only file system" in said and "1000" in said
        assert (work / "made.txt").read_text() == "made\n"
        assert not (work / ".git" / "hooks").exists()
        assert api.get(f"/runs/{run}")["verificationStatus"] == "passed"
        ready, cleaned = phases(api, run)
        assert ready.pop("latencyMsStartup") >= 0
        common = {"schemaVersion": 1, "backend": "agent-sandbox", "provider": "bwrap", "network": "none"}
        assert ready == {**common, "phase": "ready", "isolationProfile": "high-security"}
        assert cleaned == {**common, "phase": "cleaned", "isolationProfile": "high-security"}
        says = [cause["says"] for cause in api.get(f"/runs/{run}/explain")["causes"]]
        assert "started the first command in a sandbox, without a network" in says


LACKS = {
    "not-installed": ("", "bubblewrap is not installed"),
    "failed": ("#!/bin/sh\necho bwrap: no >&2; exit 1", "bubblewrap failed: "),
}
"""The text of a bubblewrap, and the server's reason why it has no sandbox."""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has bubblewrap")
@pytest.mark.parametrize("lack", LACKS)
def test_a_run_that_requires_a_sandbox_fails_where_none_works(tmp_path: Path, lack: str) -> None:
    text, reason = LACKS[lack]
    program = tmp_path / "bwrap"
    program.write_text(text)
    program.chmod(0o755)
    steps, bubblewrap = (
        [call("shell", command=["/bin/sh", "-c", "touch made.txt"]), "done"],
        str(program) if text else "",
    )
    with (
        acting(steps) as model,
        Server(tmp_path / "server", openai_base_url=model.url, test_bubblewrap=bubblewrap) as server,
    ):
        api = server.api
        found = api.get("/capabilities")
        assert (found["supportsSandbox"], found["sandbox"]["available"]) == (False, False)
        assert found["sandbox"]["reason"].startswith(reason)

        run = api.start("go", harnessProfileId=create(api, {"mode": "required"}))["runId"]
        assert api.await_ending(run) == "run.failed"
        assert model.requests == [] and not (server.workspace / "made.txt").exists()
        *_, lifecycle, violation, failed = api.events(runId=run)
        assert (lifecycle["type"], failed["type"]) == ("sandbox.lifecycle", "run.failed")
        assert lifecycle["sandbox"]["phase"] == "required-unavailable"
        assert lifecycle["sandbox"]["reason"] == lack
        assert failed["payload"]["code"] == "SANDBOX_UNAVAILABLE"
        message = api.get(f"/runs/{run}")["error"]["message"]
        assert reason in message and found["sandbox"]["remedy"] in message
        assert violation["type"] == "safety.violation"
        source = violation["payload"].pop("source")
        assert (source["eventId"], source["type"]) == (lifecycle["id"], "sandbox.lifecycle")
        assert violation["payload"] == {
            **{"schemaVersion": 1, "category": "sandbox", "severity": "high", "outcome": "blocked"},
            **{"violationCode": "SANDBOX_REQUIRED_UNAVAILABLE", "actor": {"subject": "system", "role": "system"}},
        }
        says = [cause["says"] for cause in api.get(f"/runs/{run}/explain")["causes"]]
        assert any(one.startswith("no sandbox works here, and the run requires one: bubblewrap") for one in says)

        run = api.start("go", harnessProfileId=create(api, {"mode": "preferred"}))["runId"]
        assert api.await_ending(run) in ("run.completed", "run.failed")
        assert (server.workspace / "made.txt").exists()
        (fallback,) = phases(api, run)
        assert (fallback["phase"], fallback["reason"]) == ("fallback", lack)
        assert not api.events(runId=run, types="safety.violation")


@pytest.mark.parametrize(
    ("sandbox", "field"),
    [
        ({"mode": "always"}, "sandbox.mode"),
        ({}, "sandbox.mode"),
        ({"mode": "required", "network": "all"}, "sandbox.network"),
        ({"mode": "required", "network": "egress"}, "sandbox.network"),
        ({"mode": "required", "readOnly": ["tools"]}, "sandbox.readOnly[0]"),
        ({"mode": "required", "readOnly": ["/opt", "/opt/../root"]}, "sandbox.readOnly[1]"),
        ({"mode": "required", "readOnly": ["/opt//x"]}, "sandbox.readOnly[0]"),
        ({"mode": "required", "readOnly": ["//"]}, "sandbox.readOnly[0]"),
        ({"mode": "required", "readOnly": ["/proc/self"]}, "sandbox.readOnly[0]"),
        ({"mode": "required", "readOnly": ["/run"]}, "sandbox.readOnly[0]"),
        ({"mode": "required", "readOnly": ["/o\nt"]}, "sandbox.readOnly[0]"),
        ({"mode": "required", "readOnly": ["/" + "o" * 1_024]}, "sandbox.readOnly[0]"),
        ({"mode": "required", "readOnly": [f"/opt/{number}" for number in range(33)]}, "sandbox.readOnly"),
    ],
)
def test_a_wrong_sandbox_is_refused(shared: Server, sandbox: Json, field: str) -> None:
    with pytest.raises(Refused) as refused:
        create(shared.api, sandbox)
    assert (refused.value.status, refused.value.error["details"][0]["field"]) == (400, field)


ACTS = """
import http.client, sys
asked = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
asked.request("GET", "/api/v1/audit", headers={"x-athena-identity": "root"})
print("answered", asked.getresponse().status)
"""
"""Reads the audit trail as a person, over loopback."""


@pytest.mark.parametrize("stored", [False, True], ids=["new profile", "stored profile"])
def test_a_command_without_a_sandbox_never_acts_as_a_person(serve: Serve, stored: bool) -> None:
    commands = (("/usr/bin/env", "python3"),)
    with acting([]) as model:
        settings = {"openai_base_url": model.url, "auth_identity_role_map": "root:Admin"}
        server = serve(**settings) if stored else serve(**settings, auth_enabled="true")
        if stored:
            profile = server.api.post("/harness-profiles", Profile(commands=commands).body)["id"]
            server.stop()
            server.start(auth_enabled="true")
        api = server.client("root")
        port = server.url.rpartition(":")[2]
        model.script = [call("shell", command=["/usr/bin/env", "python3", "-c", ACTS, port]), "done"]
        if stored:
            run = api.start("go", harnessProfileId=profile)["runId"]
            assert api.await_ending(run) == "run.failed"
            assert "ATHENA_AUTH_PROXY_SECRET" in api.get(f"/runs/{run}")["error"]["message"]
            assert not model.requests
        else:
            with pytest.raises(Refused, match="harnessProfiles.create.sandbox.mode.*ATHENA_AUTH_PROXY_SECRET"):
                api.post("/harness-profiles", Profile(commands=commands).body)
