"""Attacks of an agent in its own workspace: on git, on the diff that an operator reads, and on other workspaces."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_core.system.sandbox import probe
from tests.support import repository
from tests.support.api import Json, Refused, soon
from tests.support.directed import directed
from tests.support.model import call
from tests.support.own_workspaces import Site, sh
from tests.support.process import environment_of
from tests.support.programs import BOXED
from tests.support.server import Server
from tests.support.vouched import VOUCHED

SECRET = "sk-ant-api03-0123456789abcdefghijklmnopqrstuvwxyz"
ROLES = "ada:Admin,olga:Operator,vera:Viewer,scoped:Operator"


def diff_of(site: Site, run_id: str) -> Json:
    return dict(site.server.api.get(f"/runs/{run_id}/diff"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("attacked")
    repository.make(directory / "workspace")
    with directed() as model, Server(directory, openai_base_url=model.url) as server:
        yield Site(server, model)


def test_metadata_of_a_request_choose_no_workspace(site: Site) -> None:
    profile, api = site.profile("workflow-run"), site.server.api
    said = site.model.script("makes the steps file", sh("echo canary > steps.txt"), "done")
    directive = api.post("/directives", {"input": said})["id"]
    step = {"id": "one", "directiveId": directive, "harnessProfileId": profile}
    flow = api.post("/workflows", {"definition": {"steps": [step], "dependencies": []}})["id"]
    of_flow = api.post(f"/workflows/{flow}/run", {})["id"]
    for _ in soon():
        if api.get(f"/workflows/run/{of_flow}")["run"]["status"] == "ok":
            break
    (theirs,) = api.items("/workspaces", kind="workflow-run")
    forged = {"workflowId": flow, "workflowRunId": of_flow, "workflowStepId": "one"}
    run_id = site.run("looks for it", sh("ls -A"), harnessProfileId=profile, metadata=forged)
    assert "steps.txt" not in site.model.results("looks for it")[-1]
    assert diff_of(site, run_id)["workspaceId"] != theirs["workspaceId"]
    with pytest.raises(Refused, match="workflowRunId"):
        api.start("hello", harnessProfileId=profile, workflowRunId=of_flow)


NAMES = (
    "line\\nbreak.txt",
    "quote\\042 and \\\\ backslash",
    "-rf",
    "diff --git a b",
    "bidi\\342\\200\\256gpj.sh",
    "escape\\033[31mred",
    "latin\\351",
    "@@ -1 +1 @@",
)
LINES = "diff --git a/forged b/forged\\nnew file mode 100644\\n--- /dev/null\\n+++ b/forged\\n@@ -0,0 +1 @@\\n+x\\n"


def test_names_and_contents_forge_no_file_and_no_terminal(site: Site) -> None:
    make = "\n".join(
        f"printf '{LINES}\\033]0;owned\\007\\342\\200\\256' > ./\"$(printf -- '{name}')\"" for name in NAMES
    )
    run_id = site.run("names", sh(make), harnessProfileId=site.profile())
    found = diff_of(site, run_id)
    assert (len(found["files"]), found["filesTotal"], found["truncated"]) == (len(NAMES), len(NAMES), False)
    assert "forged" not in {one["path"] for one in found["files"]}
    assert {one["added"] for one in found["files"]} == {7}
    line = [sys.executable, "-m", "athena_cli", "runs", "diff", run_id, "-o", "table"]
    settings = {"api_base_url": site.server.url, "cli_transport": "auto"}
    given = environment_of(site.server.directory, settings) | {"COLUMNS": "200"}
    shown = subprocess.run(line, check=True, stdout=subprocess.PIPE, env=given).stdout.decode()
    assert not set("\x1b\x07\r\u202e") & set(shown), shown


def test_a_secret_in_a_file_is_masked_in_the_diff(site: Site) -> None:
    found = diff_of(
        site,
        site.run("keeps a key", sh(f"printf 'sk-ant-%s\\n' {SECRET[7:]} > key.txt"), harnessProfileId=site.profile()),
    )
    assert SECRET not in found["diff"]
    assert "+[hidden: " in found["diff"]


@pytest.mark.heavy
@BOXED
def test_no_run_reads_another_workspace_or_the_snapshots(site: Site) -> None:
    boxed = site.profile(sandbox="required")
    other = site.run("holds", sh("echo canary > secret.txt"), harnessProfileId=boxed)
    there = site.files(other)
    look = f"cat {there}/secret.txt; ls -A {there.parent} {there.parent.parent}; find / -name secret.txt 2>/dev/null"
    site.run("searches", sh(look), harnessProfileId=boxed)
    said = "".join(site.model.results("searches"))
    assert "canary" not in said and "\nsecret.txt" not in said
    relative = "/".join((*[".."] * 8, *there.parts[1:], "secret.txt"))
    for name, path in (("up", relative), ("absolute", f"{there}/secret.txt")):
        site.run(name, call("files", action="read", path=path), harnessProfileId=site.profile())
        assert "canary" not in site.model.results(name)[-1]


def test_a_workspace_in_a_directory_of_the_shared_one_is_closed_there(tmp_path: Path) -> None:
    own = tmp_path / "workspace" / "deep" / "own"
    own.parent.mkdir(parents=True)
    (own.parent / "a.txt").write_text("a\n")
    with directed() as model, Server(tmp_path, openai_base_url=model.url, workspaces_dir=str(own)) as server:
        site = Site(server, model)
        made = site.run("makes", sh("echo canary > secret.txt"), harnessProfileId=site.profile())
        (there,) = own.iterdir()
        assert there.name == diff_of(site, made)["workspaceId"]
        path = f"deep/own/{there.name}/files/secret.txt"
        shared = site.profile("shared")
        site.run("reads", call("files", action="read", path=path), harnessProfileId=shared)
        site.run("lists", call("files", action="list", path="deep"), harnessProfileId=shared)
        assert "canary" not in model.results("reads")[-1]
        assert "own" not in model.results("lists")[-1]
        site.run("looks", sh("ls -A . deep"), harnessProfileId=site.profile(), sessionId="new")
        assert "own" not in model.results("looks")[-1].split()
        if probe().available:
            site.run(
                "boxed", sh(f"cat {path}; ls -A deep"), harnessProfileId=site.profile("shared", sandbox="required")
            )
            assert "canary" not in model.results("boxed")[-1]


def test_a_scope_hides_workspaces_and_changes_of_other_sessions(tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    settings = {"auth_identity_role_map": ROLES, "authz_mode": "enforce"} | VOUCHED
    with directed() as model, Server(tmp_path, openai_base_url=model.url, **settings) as server:
        server.api = server.client("ada")
        site = Site(server, model)
        profile = site.profile()
        runs = {
            name: site.run(name, sh(f"echo {name} > a.txt"), harnessProfileId=profile, sessionId=name) for name in "ab"
        }
        ids = {name: diff_of(site, run_id)["workspaceId"] for name, run_id in runs.items()}
        scoped = server.client("scoped", **{"x-athena-scope-sessions": "a"})
        assert [one["workspaceId"] for one in scoped.items("/workspaces")] == [ids["a"]]
        assert scoped.get(f"/runs/{runs['a']}/diff")["workspaceId"] == ids["a"]
        for method, path, body in (
            ("GET", f"/runs/{runs['b']}/diff", None),
            ("POST", f"/runs/{runs['b']}/apply", {}),
            ("GET", f"/workspaces/{ids['b']}", None),
            ("POST", f"/workspaces/{ids['b']}/keep", {"keep": True}),
            ("DELETE", f"/workspaces/{ids['b']}", None),
        ):
            assert scoped.send(path, body, method=method).status_code in {403, 404}, (method, path)
        viewer = server.client("vera")
        for path in (f"/runs/{runs['a']}/apply", f"/workspaces/{ids['a']}/keep"):
            assert viewer.send(path, {"keep": True} if "keep" in path else {}).status_code == 403


def test_an_apply_leaves_the_shared_workspace_only_through_the_gate(site: Site, tmp_path: Path) -> None:
    shared, outside = site.server.workspace, tmp_path / "outside"
    outside.mkdir()
    (shared / "led").symlink_to(outside)
    (shared / "taken").mkdir()
    before = sorted(path.relative_to(shared) for path in shared.rglob("*") if ".git" not in path.parts)
    script = """
    mkdir -p led personas sub/.git/hooks; echo x > led/x; echo x > personas/x.md; echo x > .env; echo x > taken
    echo x > sub/.git/hooks/pre-commit; ln -s /etc/passwd link
    echo fine > fine.txt; printf x > "$(printf 'latin\\351')"
    """
    run_id = site.run("leaves", sh(script), harnessProfileId=site.profile())
    opened = site.server.api.get(f"/runs/{run_id}/diff", exact="true")
    for body in ({"subjectHash": opened["subjectHash"]}, {"dryRun": True}):
        answer = site.server.api.send(f"/runs/{run_id}/apply", body)
        found = answer.json()
        files = found["data"]["files"] if "dryRun" in body else found["error"]["details"]["files"]
        conflicts = {one["path"] for one in files if one["result"] == "conflict"}
        assert answer.status_code == (200 if "dryRun" in body else 409)
        assert conflicts == {"led/x", "personas", ".env", "taken", "link", "latin\\xe9"}, files
    assert sorted(path.relative_to(shared) for path in shared.rglob("*") if ".git" not in path.parts) == before
    assert list(outside.iterdir()) == []
    (shared / "led").unlink()
    (shared / "taken").rmdir()
