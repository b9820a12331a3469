"""Closed files of the shared workspace: boxed commands and agents neither read nor change what replaces them."""

from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.support.agent_model import shell
from tests.support.closed_files import ATTACKS, PATTERNS, Attack, check, lay_out
from tests.support.model import Profile, acting, call
from tests.support.outside_agents import agent_site
from tests.support.programs import BOXED

pytestmark = BOXED

ALLOW_ALL = ({"match": {}, "approval": "allow"},)


@pytest.mark.sqlite
@pytest.mark.parametrize("how", ATTACKS)
def test_a_command_gets_nothing_closed_whatever_the_machine_does(serve: Serve, tmp_path: Path, how: str) -> None:
    work = tmp_path / "server/workspace"
    attack = Attack(work, how)
    with acting([call("shell", command=["/bin/sh", "-c", attack.script]), "done"]) as model:
        api = serve(openai_base_url=model.url, workspace_closed=PATTERNS).api
        lay_out(work)
        profile = api.post("/harness-profiles", {**Profile().body, "sandbox": {"mode": "required"}})["id"]
        with attack:
            run = api.start("go", harnessProfileId=profile)["runId"]
            assert api.await_ending(run) == "run.completed"
        check(work, str(model.requests[-1]["messages"][-1]["content"]))


@pytest.mark.heavy
@pytest.mark.sqlite
@pytest.mark.parametrize("how", ATTACKS)
def test_an_agent_gets_nothing_closed_whatever_the_machine_does(tmp_path: Path, how: str) -> None:
    (tmp_path / "site").mkdir()
    with agent_site(tmp_path / "site", {"fake": ()}, workspace_closed=PATTERNS) as site:
        work, api = site.server.workspace, site.server.api
        lay_out(work)
        profile = site.profile(permissions=ALLOW_ALL, sandbox={"mode": "required"}, workspace="shared")
        with Attack(work, how) as attack:
            run = site.start("looks", shell(attack.script), "Seen.", profile=profile)
            assert api.await_ending(run) == "run.completed"
        session = api.get(f"/runs/{run}")["sessionId"]
        entries = api.items(f"/sessions/{session}/transcript")
        check(work, "".join(entry["content"] for entry in entries if entry["kind"] == "tool-result"))
