"""Tests of persona runs: a real repository, a real diff, a model that follows a script."""

import asyncio
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.examples import PROFILE
from tests.support.api import PATIENCE_SECONDS, Api, Refused, refused_by
from tests.support.model import turn_of
from tests.support.repository import branch, commit, git, make
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, Stub, standing

GOOD = {
    "schemaVersion": 1,
    "mergeGate": "pass",
    "reportMarkdown": "# Fine\n",
    "findings": [{"priority": "P3", "confidence": 7, "title": "Name", "message": "A longer one", "line": None}],
}
BAD = GOOD | {"findings": [{"priority": "P1", "confidence": 0.9, "title": "Minus", "message": "It subtracts"}]}
FENCED = f"Here you are:\n```json\n{json.dumps(GOOD)}\n```"
REPAIRED = "could not be read"


class Reviewer:
    """The model. Its answer depends on the branch, and on whether it is a repair."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.held = threading.Event()
        self.answers: dict[str, str] = {
            "good": json.dumps(GOOD),
            "bad": json.dumps(BAD),
            "fenced": FENCED,
            "mended": "I like it!",
            "hopeless": "I like it!",
        }

    def choose(self, asked: Asked) -> Behaviour:
        said = str(asked.body["messages"][-1]["content"])
        self.prompts.append(said)
        if REPAIRED in said:
            first = next(str(one["content"]) for one in asked.body["messages"] if "between main and" in one["content"])
            return turn_of(json.dumps(GOOD) if "and mended" in first else "still no JSON", 1)
        if "and held." in said:
            return self.hold
        found = re.search(r"between \S+ and (\S+)\.", said)
        return turn_of(self.answers.get(found[1] if found else "", json.dumps(GOOD)), 1)

    async def hold(self, stub: Stub, writer: asyncio.StreamWriter) -> None:
        """Answer once the test releases it."""
        await asyncio.to_thread(self.held.wait, PATIENCE_SECONDS)
        await turn_of(json.dumps(GOOD), 1)(stub, writer)


@pytest.fixture(scope="module")
def reviewer() -> Reviewer:
    return Reviewer()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, reviewer: Reviewer, shared_store: dict[str, str]
) -> Iterator[Server]:
    """A server with personas and a repository in its workspace."""
    directory = tmp_path_factory.mktemp("personas")
    workspace = directory / "workspace"
    library = make(workspace / "library")
    for name in ("good", "bad", "fenced", "mended", "hopeless", "held"):
        branch(library, name, a_py="def add(a, b):\n    return a - b\n", b_py=f"# {name}\n")
    branch(library, "large", a_py="x = 1\n" * 20_000, package_json="{}\n")
    make(directory / "outside")
    (workspace / "out").symlink_to(directory / "outside")
    personas = workspace / "personas"
    (personas / "scribe").mkdir(parents=True)
    (personas / "scribe" / "tone.md").write_text("Be terse.")
    critic = {"schemaVersion": 1, "id": "critic", "description": "Looks twice."}
    (personas / "critic.json").write_text(json.dumps(critic))
    (personas / "scribe" / "persona.json").write_text(
        json.dumps(
            {
                "schemaVersion": 1,
                "id": "scribe",
                "context": {"promptFiles": ["tone.md"]},
                "git": {"requireCleanWorktree": False, "baseRefDefault": "trunk"},
                "review": {"rubric": "Sums add.", "excludeGlobs": ["b.*"], "maxReferencedFiles": 1},
                "output": {"stdoutDefault": "md"},
            }
        )
    )
    (personas / "lost.json").write_text(
        json.dumps({"schemaVersion": 1, "id": "lost", "context": {"docFiles": ["../library/nowhere.md"]}})
    )
    with standing(reviewer.choose) as stub:
        settings = {"openai_base_url": stub.url + "/v1", "default_provider": "openai", "default_model": "gpt-4o-mini"}
        with Server(directory, **settings, **shared_store) as found:
            yield found


@pytest.fixture
def api(server: Server) -> Api:
    return server.api


def review(api: Api, head: str, **fields: Any) -> Any:
    """Review and wait for the result."""
    return api.post("/personas/run", {"name": "critic", "repoPath": "library", "headRef": head, **fields})


def test_code_review_needs_no_definition_and_the_workspace_may_replace_it(
    server: Server, api: Api, reviewer: Reviewer
) -> None:
    answer = review(api, "good", name="code-review")
    assert (answer["result"]["status"], answer["result"]["personaName"]) == ("ok", "code-review")
    assert "You are code-review. You review changes to code as a careful colleague." in reviewer.prompts[-1]
    assert "Report defects first" in reviewer.prompts[-1]
    own = server.workspace / "personas" / "code-review.json"
    own.write_text(json.dumps({"schemaVersion": 1, "id": "code-review", "description": "Sees little."}))
    try:
        review(api, "good", name="code-review")
        assert "You are code-review. Sees little." in reviewer.prompts[-1]
        own.write_text("{")
        assert refused_by(review, api, "good", name="code-review") == (400, "CONFIG_ERROR")
    finally:
        own.unlink()
    assert refused_by(review, api, "good", name="code-reviewer") == (400, "CONFIG_ERROR")


def test_a_change_is_reviewed_as_an_ordinary_run(server: Server, api: Api, reviewer: Reviewer) -> None:
    answer = review(api, "good", outJsonPath="reports/good.json", outMarkdownPath="reports/good.md", sessionId="desk")
    result = answer["result"]
    assert (result["status"], result["mergeGate"], result["sessionId"]) == ("ok", "pass", "desk")
    assert (result["baseRef"], result["baseRefResolvedFrom"], result["reportMarkdown"]) == ("main", "main", "# Fine\n")
    (finding,) = result["findings"]
    assert (finding["priority"], finding["confidence"]) == ("P3", 1.0)
    assert result["parseRetryAttempted"] is False
    prompt = reviewer.prompts[-1]
    assert "You are critic. Looks twice." in prompt
    assert "-    return a + b\n+    return a - b" in prompt
    run = api.get(f"/runs/{result['runId']}")
    assert (run["status"], run["sessionId"]) == ("completed", "desk")
    created = next(event for event in api.events(runId=result["runId"]) if event["type"] == "run.created")
    assert created["payload"]["personaName"] == "critic"
    files = server.state_dir / "persona-runs" / result["runId"]
    assert json.loads((files / "result.json").read_text()) == result
    assert json.loads((server.workspace / "reports" / "good.json").read_text())["runId"] == result["runId"]
    assert (server.workspace / "reports" / "good.md").read_text() == (files / "report.md").read_text() == "# Fine\n"
    (evidence,) = result["evidenceManifest"]
    assert evidence["sha256"] == hashlib.sha256((files / "diff.patch").read_bytes()).hexdigest()
    started, completed = api.events(types="persona.run.started,persona.run.completed", runId=result["runId"])
    head = git(server.workspace / "library", "rev-parse", "good")
    assert (started["payload"]["headCommit"], started["payload"]["files"]) == (head, 2)
    assert (completed["payload"]["status"], completed["payload"]["p3"]) == ("ok", 1)
    assert completed["payload"]["artifacts"]["outMarkdownPath"] == "reports/good.md"
    assert "Fine" not in json.dumps([started, completed]), "what the model wrote is text"


@pytest.mark.heavy
def test_every_form_of_the_output(api: Api) -> None:
    answer = review(api, "good", stdout="summary")
    result = answer["result"]
    place = f".athena/persona-runs/{result['runId']}"
    assert answer["stdout"].splitlines() == [
        "name: critic",
        f"runId: {result['runId']}",
        "status: ok",
        "compare: main..good",
        "evidence: 1",
        f"result: {place}/result.json",
        f"report: {place}/report.md",
    ]
    assert review(api, "good", stdout="none")["stdout"] == ""
    assert review(api, "good", stdout="md")["stdout"] == "# Fine\n"
    answer = review(api, "good", stdout="json")
    assert json.loads(answer["stdout"]) == answer["result"]
    assert answer["stdout"].startswith('{\n  "')


def test_a_p1_closes_the_gate(api: Api) -> None:
    result = review(api, "bad", baseRef="main")["result"]
    assert (result["status"], result["mergeGate"], result["baseRefResolvedFrom"]) == ("ok", "fail", "flag")
    assert result["modelOutputParsed"]["mergeGate"] == "pass"


def test_an_answer_is_found_in_its_wrapping(api: Api) -> None:
    assert review(api, "fenced")["result"]["status"] == "ok"


def test_an_unreadable_answer_is_asked_for_once_more(api: Api) -> None:
    result = review(api, "mended", sessionId="mended")["result"]
    assert (result["status"], result["parseRetryAttempted"]) == ("ok", True)
    assert result["usage"]["inputTokens"] == 2_000
    assert len(api.items("/runs", sessionId="mended")) == 2
    record = api.get(f"/personas/runs/{result['runId']}")
    assert record["repairRunId"] == result["repairRunId"]
    hopeless = review(api, "hopeless", sessionId="hopeless")["result"]
    assert (hopeless["status"], hopeless["mergeGate"], hopeless["findings"]) == ("failed", "fail", [])
    assert "contains no JSON object" in hopeless["parseError"]
    assert "could not be read" in hopeless["error"]["message"]
    assert len(api.items("/runs", sessionId="hopeless")) == 2


def test_a_model_that_fails_is_a_failed_result(api: Api) -> None:
    result = review(api, "good", provider="local-exec", model="x", sessionId="broken")["result"]
    assert result["status"] == "failed"  # /bin/cat repeats the prompt, twice
    result = review(api, "good", provider="anthropic", model="claude-nowhere")["result"]
    assert (result["status"], bool(result["error"]["message"])) == ("failed", True)


def test_the_mock_provider_passes_whatever_it_is_shown(api: Api) -> None:
    result = review(api, "bad", provider="mock")["result"]
    assert (result["status"], result["mergeGate"], result["findings"]) == ("ok", "pass", [])


def test_a_definition_selects_the_context(server: Server, api: Api, reviewer: Reviewer) -> None:
    git(server.workspace / "library", "update-ref", "refs/remotes/origin/main", "main")
    git(server.workspace / "library", "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
    (server.workspace / "library" / "dirt").write_text("x")
    try:
        answer = review(api, "good", name="scribe")
    finally:
        (server.workspace / "library" / "dirt").unlink()
    result, prompt = answer["result"], reviewer.prompts[-1]
    assert (result["baseRef"], result["baseRefResolvedFrom"]) == ("origin/main", "origin-head")
    assert answer["stdout"] == "# Fine\n"
    assert "Be terse." in prompt
    assert "Sums add." in prompt
    assert "# good" not in prompt, "b.py is left out"
    kinds = [(one["kind"], one["path"]) for one in result["contextManifest"]]
    assert kinds == [("prompt", "personas/scribe/tone.md"), ("changed", "a.py"), ("diff", "diff.patch")]
    assert [one["path"] for one in result["referencedFileSnapshots"]] == ["a.py"]


def test_a_diff_that_is_too_large_is_cut_and_says_so(api: Api, reviewer: Reviewer) -> None:
    result = review(api, "large")["result"]
    assert result["status"] == "ok"
    assert len(reviewer.prompts[-1]) < 30_000
    assert result["contextManifest"][-1]["truncated"] is True
    assert result["dependencyInspection"] == {
        "status": "ok",
        "detectedEcosystem": "npm",
        "changedManifests": ["package.json"],
    }


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "nobody"}, "name"),
    ({"name": ".."}, "name"),
    ({"name": "lost"}, "name"),
    ({"repoPath": "personas"}, "repoPath"),
    ({"repoPath": "nowhere"}, "repoPath"),
    ({"repoPath": "../outside"}, "repoPath"),
    ({"repoPath": "out"}, "repoPath"),
    ({"repoPath": "/etc"}, "repoPath"),
    ({"headRef": "nowhere"}, "headRef"),
    ({"headRef": "--output=x"}, "headRef"),
    ({"headRef": "good..main"}, "headRef"),
    ({"headRef": "good\nmain"}, "headRef"),
    ({"headRef": "HEAD:a.py"}, "headRef"),
    ({"baseRef": "-x"}, "baseRef"),
    ({"baseRef": "nowhere"}, "baseRef"),
    ({"outJsonPath": "/tmp/x.json"}, "outJsonPath"),
    ({"outMarkdownPath": "../x.md"}, "outMarkdownPath"),
    ({"outMarkdownPath": "library/.git/x.md"}, "outMarkdownPath"),
]


@pytest.mark.parametrize(("fields", "field"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_field_of_a_review_is_named(api: Api, fields: dict[str, Any], field: str) -> None:
    before = api.head()
    with pytest.raises(Refused) as refused:
        review(
            api, fields.get("headRef", "good"), **{name: value for name, value in fields.items() if name != "headRef"}
        )
    assert (refused.value.status, refused.value.code) == (400, "CONFIG_ERROR")
    assert field in refused.value.error["message"]
    if fields and refused.value.error["message"].startswith(field):
        (event,) = api.events(types="persona.run.failed", cursor=str(before))
        assert event["payload"]["personaName"] == fields.get("name", "critic")


def test_a_worktree_has_to_be_clean(server: Server, api: Api) -> None:
    dirt = server.workspace / "library" / "dirt.txt"
    dirt.write_text("x")
    try:
        with pytest.raises(Refused, match="not clean"):
            review(api, "good")
    finally:
        dirt.unlink()


def test_neither_reviews_nor_verifications_run_what_a_repository_names(server: Server, api: Api) -> None:
    """Plant settings in one repository, and files that look like another one, as any tool may write them."""
    mark, program = server.directory / "MARK", server.directory / "program"
    program.write_text(f"#!/bin/sh\necho $* >> {mark}\ncat\n")
    program.chmod(0o755)
    planted = make(server.workspace / "planted")
    branch(planted, "good", a_py="def add(a, b):\n    return a - b\n")
    for key in ("core.fsmonitor", "diff.external", "filter.evil.clean", "diff.evil.textconv", "core.pager"):
        git(planted, "config", key, str(program))
    (planted / ".git" / "info" / "attributes").write_text("*.py filter=evil diff=evil\n")
    os.utime(planted / "a.py", (0, 0))
    assert review(api, "good", repoPath="planted")["result"]["status"] == "ok"
    bare = planted / "src"
    for name in ("objects", "refs"):
        (bare / name).mkdir(parents=True)
    (bare / "HEAD").write_text("ref: refs/heads/main\n")
    (bare / "config").write_text(f"[core]\n\tworktree = .\n\tfsmonitor = {program}\n[diff]\n\texternal = {program}\n")
    with pytest.raises(Refused, match="not clean"):
        review(api, "good", repoPath="planted/src")
    command = ["git", "status", "--short"]
    profile = {
        **PROFILE,
        "config": {"provider": "mock", "model": "mock-model", "tools": ["files"]},
        "toolPolicies": {"shell": {"commands": [command], "directory": "planted/src"}},
        "verificationPolicies": [{"id": "v", "kind": "command", "label": "status", "command": command}],
    }
    result = api.run("hello", harnessProfileId=api.post("/harness-profiles", profile)["id"])
    assert result["verificationFailures"][0]["details"]["exitCode"] == "128"  # "cannot use bare repository"
    assert not mark.exists(), mark.read_text()


def test_a_report_that_cannot_be_written_fails_the_review(server: Server, api: Api) -> None:
    result = review(api, "good", outMarkdownPath="out/report.md")["result"]
    assert result["status"] == "failed"
    assert "symbolic link" in result["error"]["message"]
    assert not (server.directory / "outside" / "report.md").exists()


def test_a_review_obeys_the_limit_of_the_policy(server: Server, api: Api) -> None:
    try:
        folders = len(list((server.state_dir / "persona-runs").iterdir()))
        api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1, "costBudgetDailyUsd": 0.000001})
        with pytest.raises(Refused) as refused:
            review(api, "good")
        assert refused.value.status == 429
        assert len(list((server.state_dir / "persona-runs").iterdir())) == folders
    finally:
        api.put("/policy", {"schemaVersion": 1})


def test_a_review_need_not_be_waited_for_and_is_there_once(api: Api) -> None:
    body = {"name": "critic", "repoPath": "library", "headRef": "good"}
    answer = api.send("/personas/run", body, key="review-1", respond_async=True)
    record = answer.json()["data"]
    assert (answer.status_code, record["personaName"]) == (202, "critic")
    waited = api.send("/personas/run", body, key="review-1")
    assert (waited.status_code, waited.headers["idempotency-replayed"]) == (200, "true")
    assert waited.json()["data"]["result"]["runId"] == record["runId"]
    shown = api.get(f"/personas/runs/{record['runId']}")
    assert (shown["status"], shown["result"]) == ("ok", waited.json()["data"]["result"])
    assert record["runId"] in [one["runId"] for one in api.items("/personas/runs", name="critic", status="ok")]
    with pytest.raises(Refused, match="NOT_FOUND"):
        api.get("/personas/runs/run_unknown")


@pytest.mark.heavy
def test_a_review_goes_on_after_the_server_was_killed(tmp_path: Path, store: dict[str, str]) -> None:
    library = make(tmp_path / "workspace" / "library")
    branch(library, "mended", a_py="x = 1\n")
    commit(library, "Go on", c_py="y = 1\n")
    (tmp_path / "workspace" / "personas").mkdir()
    (tmp_path / "workspace" / "personas" / "critic.json").write_text('{"schemaVersion": 1, "id": "critic"}')
    reviewer = Reviewer()
    with standing(reviewer.choose) as stub:
        settings = {"openai_base_url": stub.url + "/v1", "default_provider": "openai", "default_model": "gpt-4o-mini"}
        with Server(tmp_path, **settings, **store) as server:
            body = {"name": "critic", "repoPath": "library", "headRef": "mended"}
            run_id = server.api.post("/personas/run", body, respond_async=True)["runId"]
            server.kill()
            server.start()
            (completed,) = [server.api.await_event("persona.run.completed")]
            assert completed["runId"] == run_id
            record = server.api.get(f"/personas/runs/{run_id}")
            assert (record["status"], record["result"]["parseRetryAttempted"]) == ("ok", True)


MARKED = '"""Test key -----BEGIN PRIVATE KEY-----\nimport os\nos.system("id")\n-----END PRIVATE KEY-----"""\n'


def test_code_between_marks_of_its_author_reaches_the_model(server: Server, api: Api, reviewer: Reviewer) -> None:
    branch(server.workspace / "library", "marked", a_py=MARKED, b_py=MARKED)
    result = review(api, "marked")["result"]
    assert reviewer.prompts[-1].count('+os.system("id")\n') == 2
    assert (result["mergeGate"], result.get("hidden"), result.get("notSeen")) == ("pass", None, None)


@pytest.mark.parametrize(
    ("head", "content", "named"),
    [
        ("token", f"t = 'ghp_{'a1' * 18}'\n", "parts that look like secrets: 1"),
        ("url", "u = 'https://olga:s3cretpassword@host'\n", "parts that look like secrets: 1"),
        ("block", f"-----BEGIN PRIVATE KEY-----\n{'MIIE' * 12}\n{'abcd' * 12}\n", "parts that look like secrets: 2"),
    ],
)
def test_a_review_that_did_not_see_all_of_the_change_cannot_pass(
    server: Server, api: Api, reviewer: Reviewer, head: str, content: str, named: str
) -> None:
    branch(server.workspace / "library", head, a_py=content)
    result = review(api, head)["result"]
    assert "[hidden: " in reviewer.prompts[-1]
    assert f"You are not shown: {named}." in reviewer.prompts[-1]
    assert (result["status"], result["mergeGate"], result["notSeen"]) == ("ok", "fail", [named])
    assert len(result["hidden"]) == int(named[-1])
    assert named in result["reportMarkdown"]
    completed = api.events(types="persona.run.completed", runId=result["runId"])[-1]
    assert completed["payload"]["mergeGate"] == "fail"


def test_binary_closed_and_cut_changes_close_the_gate(server: Server, api: Api) -> None:
    library = server.workspace / "library"
    git(library, "checkout", "-q", "-b", "unseen")
    (library / "logo").write_bytes(b"\0")
    (library / ".env").write_text("x")
    git(library, "add", "--force", "logo", ".env")
    git(library, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "unseen")
    git(library, "checkout", "-q", "main")
    result = review(api, "unseen")["result"]
    assert result["mergeGate"] == "fail"
    assert result["notSeen"] == ["closed files: 1 (.env)", "binary files: 1 (logo)"]
    cut = review(api, "large")["result"]
    assert cut["mergeGate"] == "fail"
    assert cut["notSeen"][0].startswith("the diff after its first ")
