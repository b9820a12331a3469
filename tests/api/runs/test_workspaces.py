"""Runs in the workspaces of their sessions and workflow runs, over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import programs, repository
from tests.support.api import Json, Refused, until
from tests.support.asks import answer
from tests.support.directed import directed
from tests.support.model import call
from tests.support.own_workspaces import Site, at, sh
from tests.support.server import Server
from tests.support.workflow_builder import Builder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("workspaces")
    repository.make(directory / "workspace")
    with directed() as model, Server(directory, openai_base_url=model.url, **shared_store) as server:
        yield Site(server, model)


def test_two_sessions_change_one_file_at_once_and_neither_sees_the_other(site: Site, tmp_path: Path) -> None:
    api, profile = site.server.api, site.profile()
    runs = {}
    for name, other in (("ada", "bob"), ("bob", "ada")):
        meets = f"touch {tmp_path}/{name}; until test -e {tmp_path}/{other}; do sleep 0.02; done"
        said = site.model.script(f"{name} writes", sh(f"echo {name} > a.py; {meets}; cat a.py"), "done")
        runs[name] = api.start(said, **at(profile, f"two-{name}"))["runId"]
    for name, run_id in runs.items():
        assert api.await_ending(run_id) == "run.completed"
        assert site.model.results(f"{name} writes") == [f"[exit status 0]\n{name}\n"]
        assert (site.files(run_id) / "a.py").read_text() == f"{name}\n"
        assert f"+{name}\n" in site.diff(run_id)
        later = site.run(f"{name} reads", call("files", action="read", path="a.py"), **at(profile, f"two-{name}"))
        assert site.model.results(f"{name} reads")[-1] == f"{name}\n"
        assert site.files(later) == site.files(run_id)
        assert (site.changed(later)["files"], site.changed(later).get("evidenceId")) == (0, None)
    assert (site.server.workspace / "a.py").read_text().startswith("def add")


def test_a_run_in_the_shared_workspace_records_nothing_of_workspaces(site: Site) -> None:
    for workspace in (None, "shared"):
        write = call("files", action="write", path="shared.txt", content=f"{workspace}\n")
        run_id = site.run(f"shared {workspace}", write, harnessProfileId=site.profile(workspace))
        assert site.events(run_id) == []
        assert site.server.api.items(f"/runs/{run_id}/evidence") == []
        assert (site.server.workspace / "shared.txt").read_text() == f"{workspace}\n"


COMMIT = "git add -A && git -c user.name=a -c user.email=a@b.c commit -qm Change && git log --format=%s"


BOXED = pytest.param("required", marks=(programs.BOXED, pytest.mark.heavy))


@pytest.mark.parametrize("sandbox", [None, BOXED])
def test_an_agent_commits_in_its_clone_and_the_source_stays_as_it_is(site: Site, sandbox: str | None) -> None:
    before = repository.git(site.server.workspace, "rev-parse", "HEAD")
    script = f"commits {sandbox}"
    run_id = site.run(
        script,
        sh(f"echo more >> README.md && {COMMIT} && git status --short && cat .git/config"),
        harnessProfileId=site.profile(sandbox=sandbox),
    )
    said = site.model.results(script)[-1]
    assert said.startswith("[exit status 0]\nChange\nBegin\n"), said
    assert "remote" not in said
    assert "+more\n" in site.diff(run_id)
    assert ".git" not in site.diff(run_id).replace("diff --git", "")
    assert repository.git(site.server.workspace, "rev-parse", "HEAD") == before
    assert repository.git(site.server.workspace, "stash", "list") == ""


@pytest.mark.heavy
def test_a_verification_looks_into_the_workspace_of_its_run_and_the_diff_is_evidence(site: Site) -> None:
    command = {"id": "c", "kind": "command", "label": "Made", "command": ["/bin/sh", "-c", "grep -q own made.txt"]}
    diff = {"id": "d", "kind": "require-evidence", "label": "workspace-diff"}
    profile = site.profile(verification=(command, diff))
    made = site.run("makes a file", sh("echo own > made.txt"), harnessProfileId=profile)
    verified = site.server.api.get(f"/runs/{made}")
    assert verified["verificationStatus"] == "passed"
    labels = [one["label"] for one in site.server.api.items(f"/runs/{made}/evidence")]
    assert sorted(labels) == ["Made", "workspace-diff"]
    lazy = site.run("does nothing", harnessProfileId=profile)
    failures = site.server.api.get(f"/runs/{lazy}")["verificationFailures"]
    assert [failure["policyId"] for failure in failures] == ["c", "d"]


@pytest.mark.parametrize(
    "ending", ["run.failed", "run.cancelled", pytest.param("run.timed-out", marks=pytest.mark.heavy)]
)
def test_the_changes_of_a_run_are_recorded_however_it_ends(site: Site, ending: str) -> None:
    api, name = site.server.api, f"ends {ending}"
    slow = sh("echo half > half.txt; sleep 60")
    quick = sh("echo half > half.txt")
    fields: Json = {"max_turns": 2} if ending == "run.failed" else {"timeout_ms": 5_000} if "timed" in ending else {}
    said = site.model.script(name, *((quick, quick) if ending == "run.failed" else (slow, "done")))
    run_id = api.start(said, harnessProfileId=site.profile(**fields))["runId"]
    if ending == "run.cancelled":
        api.await_event("tool.called", runId=run_id)
        written = site.files(run_id) / "half.txt"
        until(lambda: written.exists() and written.read_text() == "half\n")
        api.post(f"/run-control/by-run/{run_id}/cancel")
    assert api.await_ending(run_id) == ending
    assert site.diff(run_id).endswith("+half\n")
    assert (site.changed(run_id)["files"], site.changed(run_id)["addedLines"]) == (1, 1)
    types = [one["type"] for one in api.events(runId=run_id)]
    assert types[-3:] == ["evidence.attached", "workspace.changed", ending]


@pytest.mark.heavy
def test_a_parked_run_that_goes_on_records_what_it_changed_in_all(site: Site) -> None:
    api = site.server.api
    write = call("files", action="write", path="b.txt", content="b\n")
    said = site.model.script("parks and goes on", write, sh("echo c > c.txt"), "done")
    run_id = api.start(said, harnessProfileId=site.profile(approval="ask", asks={"holdMs": 0}))["runId"]
    api.await_event("run.paused", runId=run_id)
    answer(api, run_id)
    assert api.await_ending(run_id) == "run.completed"
    assert [one["type"] for one in site.events(run_id)] == ["workspace.opened"] + ["workspace.changed"] * 2
    assert (site.changed(run_id)["files"], site.changed(run_id)["addedLines"]) == (2, 2)


def test_steps_of_a_workflow_hand_files_on_and_no_other_run_gets_them(site: Site) -> None:
    api, build = site.server.api, Builder(site.server.api)
    profile = site.profile("workflow-run")
    site.model.script("step one", sh("echo from one > handed.txt"), "done")
    site.model.script("step two", call("files", action="read", path="handed.txt"), "done")
    steps = [build.step(name, f"step {name}", harnessProfileId=profile) for name in ("one", "two")]
    run = build.resume(build.workflow(steps, "one>two"))
    assert run["status"] == "ok"
    assert site.model.results("step two") == ["from one\n"]
    one, two = (run["stepStates"][name]["runId"] for name in ("one", "two"))
    assert site.files(one) == site.files(two)
    assert (site.changed(one)["files"], site.changed(two)["files"]) == (1, 0)
    created = api.events(types="workspace.created")[-1]
    assert (created["payload"]["kind"], created["payload"]["owner"]) == ("workflow-run", run["id"])
    forged = {"workflowId": "wf", "workflowRunId": run["id"], "workflowStepId": "one"}
    foreign = site.run("step two", harnessProfileId=profile, metadata=forged)
    assert site.files(foreign) != site.files(one)
    again = api.post(f"/runs/{two}/retry", {}, respond_async=True)["runId"]
    api.await_ending(again)
    assert site.files(again) == site.files(one)


@pytest.mark.heavy
@pytest.mark.parametrize("sandbox", [None, BOXED])
def test_a_review_looks_into_the_workspace_of_its_session(site: Site, sandbox: str | None) -> None:
    profile, session_id = site.profile(sandbox=sandbox), f"reviewed-{sandbox}"
    personas = site.server.workspace / "personas"
    personas.mkdir(exist_ok=True)
    (personas / "critic.json").write_text(json.dumps({"schemaVersion": 1, "id": "critic", "harnessProfileId": profile}))
    made = site.run(f"is reviewed {sandbox}", sh(f"echo line >> README.md && {COMMIT}"), **at(profile, session_id))
    body = {"name": "critic", "repoPath": ".", "headRef": "HEAD", "baseRef": "HEAD~1", "sessionId": session_id}
    site.model.otherwise = json.dumps({"schemaVersion": 1, "mergeGate": "pass", "reportMarkdown": "ok", "findings": []})
    answer = site.server.api.post("/personas/run", body)
    assert answer["result"]["status"] == "ok"
    assert "+line\n" in site.model.requests[""][-1]["messages"][-1]["content"]
    head = repository.git(site.files(made), "rev-parse", "HEAD")
    body = {**body, "sessionId": f"other-{sandbox}", "headRef": head}
    with pytest.raises(Refused, match="no commit"):
        site.server.api.post("/personas/run", body)
