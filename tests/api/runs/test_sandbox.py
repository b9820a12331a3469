"""Runs whose commands have a sandbox, over HTTP."""

import pytest

from athena_core.system.sandbox import probe
from tests.conftest import Serve
from tests.support.api import Api, Json, Refused
from tests.support.model import Profile, acting, call
from tests.support.server import Server

LOOKS = call("shell", command=["/bin/sh", "-c", "ls -A state; cat .env; id -u; echo made > made.txt; touch .git/hooks"])
VERIFIES = ({"id": "v", "kind": "command", "label": "Checked", "command": ["/bin/sh", "-c", "test -s made.txt"]},)


def create(api: Api, sandbox: Json) -> str:
    return str(api.post("/harness-profiles", {**Profile(verification=VERIFIES).body, "sandbox": sandbox})["id"])


def phases(api: Api, run_id: str) -> list[Json]:
    return [event["sandbox"] for event in api.events(runId=run_id, types="sandbox.lifecycle")]


@pytest.mark.skipif(not probe().available, reason="no sandbox works here")
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
