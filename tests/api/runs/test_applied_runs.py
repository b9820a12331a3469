"""Changes of runs in their workspaces, over HTTP and on the command line: shown, applied, kept and cleaned."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import repository
from tests.support.api import Refused, opened
from tests.support.directed import directed
from tests.support.model import call
from tests.support.own_workspaces import Site, sh
from tests.support.pages import Shell
from tests.support.server import Server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("applied")
    repository.make(directory / "workspace")
    with directed() as model, Server(directory, openai_base_url=model.url, **shared_store) as server:
        yield Site(server, model)


def shared(site: Site) -> Path:
    return site.server.state_dir.parent / "workspace"


def test_a_run_is_shown_applied_and_applied_again(site: Site) -> None:
    api = site.server.api
    write = (call("files", action="write", path="new.txt", content="new\n"), sh("chmod +x new.txt"))
    run_id = site.run("apply me", *write, harnessProfileId=site.profile(), sessionId="apply")
    diff = api.get(f"/runs/{run_id}/diff")
    assert diff["recorded"] is True
    assert diff["files"] == [{"path": "new.txt", "change": "added", "added": 1, "removed": 0, "binary": False}]
    assert (diff["filesTotal"], diff["addedLines"], diff["applied"]) == (1, 1, [])
    assert "+new\n" in diff["diff"]
    assert not (shared(site) / "new.txt").exists()
    planned = api.post(f"/runs/{run_id}/apply", {"dryRun": True})
    assert (planned["dryRun"], planned["filesChanged"]) == (True, 1)
    assert not (shared(site) / "new.txt").exists()
    done = api.post(f"/runs/{run_id}/apply", {})
    assert done["files"] == [{"path": "new.txt", "result": "written"}]
    assert (shared(site) / "new.txt").read_text() == "new\n"
    assert (shared(site) / "new.txt").stat().st_mode & 0o100
    assert api.post(f"/runs/{run_id}/apply", {})["files"] == [{"path": "new.txt", "result": "already"}]
    (applied,) = api.get(f"/runs/{run_id}/diff")["applied"]
    assert applied["files"] == 1
    (entry,) = [
        one for one in api.items("/governance/audit-trail", kind="workspace") if one["type"] == "workspace.applied"
    ]
    assert (entry["target"], entry["details"]) == (diff["workspaceId"], {"applied": run_id, "files": 1})


def test_a_conflict_is_409_with_its_paths(site: Site) -> None:
    write = call("files", action="write", path="both.txt", content="run\n")
    run_id = site.run("conflict", write, harnessProfileId=site.profile(), sessionId="conflict")
    (shared(site) / "both.txt").write_text("hand\n")
    with pytest.raises(Refused) as refused:
        site.server.api.post(f"/runs/{run_id}/apply", {})
    assert refused.value.status == 409
    assert refused.value.error["code"] == "WORKSPACE_CONFLICT"
    assert [file["path"] for file in refused.value.error["details"]["files"]] == ["both.txt"]
    plan = site.server.api.post(f"/runs/{run_id}/apply", {"dryRun": True})
    assert [file["result"] for file in plan["files"]] == ["conflict"]


def test_runs_in_the_shared_workspace_have_no_diff(site: Site) -> None:
    run_id = site.run("shared", harnessProfileId=site.profile(None))
    for path in (f"/runs/{run_id}/diff", "/runs/run_unknown/diff"):
        with pytest.raises(Refused) as refused:
            site.server.api.get(path)
        assert refused.value.status == 404
    with pytest.raises(Refused) as refused:
        site.server.api.post(f"/runs/{run_id}/apply", {})
    assert refused.value.status == 404


def test_a_workspace_is_listed_kept_and_cleaned(site: Site) -> None:
    api = site.server.api
    run_id = site.run("clean", sh("echo x > x"), harnessProfileId=site.profile(), sessionId="clean")
    (found,) = api.get("/workspaces", sessionId="clean", status="active", kind="session")["items"]
    assert (found["sessionId"], found["source"], found["runs"], found["keep"]) == ("clean", "clone", 1, False)
    path = f"/workspaces/{found['workspaceId']}"
    assert api.get(path)["sizeBytes"] > 0
    assert "sizeBytes" not in api.get(path, asOf=str(api.head())), "no event has the size"
    assert api.post(f"{path}/keep", {"keep": True})["keep"] is True
    cleaned = opened(api.http.delete(path))
    assert (cleaned["status"], cleaned["cause"]) == ("cleaned", "requested")
    assert not site.files(run_id).parent.exists()
    assert opened(api.http.delete(path))["cleanedAt"] == cleaned["cleanedAt"]
    assert api.get("/workspaces", sessionId="clean", status="active")["items"] == []
    assert api.get(f"/runs/{run_id}/diff")["workspaceStatus"] == "cleaned"
    with pytest.raises(Refused) as refused:
        api.post(f"/runs/{run_id}/apply", {})
    assert refused.value.error["code"] == "WORKSPACE_MISSING"
    site.run("again", sh("echo y > y"), harnessProfileId=site.profile(), sessionId="clean")
    assert len(api.get("/workspaces", sessionId="clean")["items"]) == 2


@pytest.mark.heavy
def test_the_command_line_shows_and_applies(site: Site, tmp_path: Path) -> None:
    write = call("files", action="write", path="cli.txt", content="a\x1b[31mb\n")
    run_id = site.run("cli", write, harnessProfileId=site.profile(), sessionId="cli")
    shell = Shell(tmp_path, api_base_url=site.server.url)
    assert "+a\ufffd[31mb\n" in shell.run(f"athena runs diff {run_id}")
    assert "+a\x1b[31mb\n" in shell.run(f"athena runs diff {run_id} --raw")
    shell.run(f"athena runs diff {run_id} --raw | git -C {shared(site)} apply --check")
    assert json.loads(shell.run(f"athena runs diff {run_id} -o json"))["filesTotal"] == 1
    assert json.loads(shell.run(f"athena runs apply {run_id} --dry-run"))["dryRun"] is True
    with pytest.raises(AssertionError):
        shell.run(f"athena runs apply {run_id}")
    assert json.loads(shell.run(f"athena runs apply {run_id} --yes"))["filesChanged"] == 1
    assert (shared(site) / "cli.txt").read_text() == "a\x1b[31mb\n"
    (found,) = json.loads(shell.run("athena workspaces list --session cli"))["items"]
    assert json.loads(shell.run(f"athena workspaces keep {found['workspaceId']}"))["keep"] is True
    assert json.loads(shell.run(f"athena workspaces keep {found['workspaceId']} --release"))["keep"] is False
    assert json.loads(shell.run(f"athena workspaces clean {found['workspaceId']}"))["status"] == "cleaned"
