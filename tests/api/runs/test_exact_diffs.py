"""Diffs that hide a part: what an apply writes is what was shown, or what was opened."""

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import repository
from tests.support.api import Json, Refused, opened
from tests.support.directed import directed
from tests.support.own_workspaces import Site, sh
from tests.support.pages import Shell
from tests.support.server import Server

TOKEN = "ghp_" + "a1" * 18


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("exact")
    repository.make(directory / "workspace")
    with directed() as model, Server(directory, openai_base_url=model.url, **shared_store) as server:
        yield Site(server, model)


def shared(site: Site) -> Path:
    return site.server.state_dir.parent / "workspace"


def writing(name: str, content: str) -> str:
    """Return a script that writes a file, in which no mask finds the content."""
    return f"echo {b64encode(content.encode()).decode()} | base64 -d > {name}"


def wrote(site: Site, name: str, content: str) -> str:
    """Return the id of a run that wrote a file of its own workspace."""
    script = writing(f"{name}.py", content)
    return site.run(name, sh(script), harnessProfileId=site.profile(), sessionId=name)


def refused(site: Site, run_id: str, **body: Any) -> str:
    with pytest.raises(Refused) as error:
        site.server.api.post(f"/runs/{run_id}/apply", body)
    assert error.value.status == 409
    return str(error.value.error["code"])


def opened_events(site: Site, run_id: str) -> list[Json]:
    events = site.server.api.events(types="workspace.exact-opened")
    return [one["payload"] for one in events if one["payload"]["runId"] == run_id]


def test_a_secret_is_never_compressed_beside_text_of_its_author(site: Site) -> None:
    """The length of a compressed answer shows what its texts share."""
    run_id = wrote(site, "beside", f"key = '{TOKEN}'\n" + "pears = 1\n" * 900)
    encodings = []
    for query in ({}, {"exact": "true"}):
        answer = site.server.api.http.get(f"/runs/{run_id}/diff", params=query, headers={"accept-encoding": "gzip"})
        assert (TOKEN in answer.json()["data"]["diff"]) is bool(query)
        encodings.append(answer.headers.get("content-encoding"))
    assert encodings == ["gzip", None]


def test_hidden_changes_are_applied_once_the_caller_opened_the_exact_diff(site: Site) -> None:
    api = site.server.api
    run_id = wrote(site, "hidden", f"key = '{TOKEN}'\n")
    diff = api.get(f"/runs/{run_id}/diff")
    (span,) = diff["hidden"]
    assert span["chars"] == len(TOKEN)
    assert f"+key = '[hidden: {len(TOKEN)} characters, sha256 {span['sha256'][:12]}]'\n" in diff["diff"]
    assert (diff["hiddenTotal"], diff["exactNeeded"], diff["addedLines"]) == (1, True, 1)
    shown = {"subjectHash": diff["subjectHash"]}
    assert api.post(f"/runs/{run_id}/apply", {"dryRun": True})["subjectHash"] == diff["subjectHash"]
    assert refused(site, run_id) == refused(site, run_id, **shown) == "EXACT_NOT_OPENED"
    assert not (shared(site) / "hidden.py").exists()
    exact = api.get(f"/runs/{run_id}/diff", exact="true")
    assert f"+key = '{TOKEN}'\n" in exact["diff"]
    assert exact["exact"] is True
    assert exact["subjectHash"] == diff["subjectHash"]
    assert api.get(f"/runs/{run_id}/diff", exact="true")["diff"] == exact["diff"]
    (event,) = opened_events(site, run_id)
    assert event["subjectSha256"] == diff["subjectHash"]
    assert TOKEN not in json.dumps(site.server.api.events(runId=run_id))
    (entry,) = [
        one
        for one in api.items("/governance/audit-trail", kind="workspace")
        if one["type"] == "workspace.exact-opened" and one["details"]["opened"] == run_id
    ]
    assert entry["details"]["subjectHash"] == diff["subjectHash"]
    assert refused(site, run_id) == "EXACT_NOT_OPENED", "the changes are named"
    key = {"idempotency-key": "apply-hidden"}
    for _ in range(2):
        assert opened(api.http.post(f"/runs/{run_id}/apply", json=shown, headers=key))["filesChanged"] == 1
    assert (shared(site) / "hidden.py").read_text() == f"key = '{TOKEN}'\n"
    assert api.post(f"/runs/{run_id}/apply", shown)["files"] == [{"path": "hidden.py", "result": "already"}]


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("binary", "printf 'a\\0b' > binary"),
        ("latin", "printf 'caf\\351\\n' > latin"),
        ("large", "head -c 1100000 /dev/zero | tr '\\0' 'x' | fold > large; echo 1 > zmall"),
        ("url", writing("url", "https://olga:s3cretpassword@host\n")),
        ("key", writing("key", f"-----BEGIN PRIVATE KEY-----\n{'MIIE' * 12}\n{'abcd' * 12}\n")),
    ],
)
def test_what_a_diff_does_not_show_is_opened_before_an_apply(site: Site, name: str, script: str) -> None:
    run_id = site.run(name, sh(script), harnessProfileId=site.profile(), sessionId=name)
    diff = site.server.api.get(f"/runs/{run_id}/diff")
    assert diff["exactNeeded"] is True
    shown = {"subjectHash": diff["subjectHash"]}
    assert refused(site, run_id, **shown) == "EXACT_NOT_OPENED"
    exact = site.server.api.get(f"/runs/{run_id}/diff", exact="true")
    assert exact.get("notShown") == ([name] if name == "latin" else None)
    assert exact["truncated"] is False
    assert site.server.api.post(f"/runs/{run_id}/apply", shown)["filesChanged"] == diff["filesTotal"]


def test_a_diff_says_which_files_it_lacks(site: Site) -> None:
    script = "head -c 1100000 /dev/zero | tr '\\0' 'x' | fold > lacks1; echo 1 > lacks2; printf 'caf\\351' > a"
    run_id = site.run("lacks", sh(script), harnessProfileId=site.profile(), sessionId="lacks")
    diff = site.server.api.get(f"/runs/{run_id}/diff")
    assert diff["truncated"] is True
    named = diff["diff"].split("diff --git")[0]
    assert "[lacks1 changed and the diff is too large: not shown whole]\n" in named
    assert "[lacks2 changed and the diff is too large: not shown whole]\n" in named
    assert "[a is not UTF-8: U+FFFD stands for other bytes]\n" in named


def test_a_repeated_or_past_read_records_nothing(site: Site) -> None:
    run_id = wrote(site, "past", f"key = '{TOKEN}'\n")
    with pytest.raises(Refused) as error:
        site.server.api.get(f"/runs/{run_id}/diff", exact="true", asOf=str(site.server.api.head()))
    assert error.value.error["code"] == "CONFIG_ERROR"
    assert opened_events(site, run_id) == []


@pytest.mark.heavy
def test_a_shown_diff_with_marks_cannot_be_applied(site: Site, tmp_path: Path) -> None:
    run_id = wrote(site, "patch", f"key = '{TOKEN}'\n")
    shell = Shell(tmp_path, api_base_url=site.server.url)
    with pytest.raises(AssertionError):
        shell.run(f"athena runs diff {run_id} --raw")
    with pytest.raises(AssertionError):
        shell.run(f"athena runs apply {run_id} --yes")
    assert TOKEN not in shell.run(f"athena runs diff {run_id}")
    shell.run(f"athena runs diff {run_id} --raw --exact | git -C {shared(site)} apply")
    assert (shared(site) / "patch.py").read_text() == f"key = '{TOKEN}'\n"
    assert json.loads(shell.run(f"athena runs apply {run_id} --yes"))["filesChanged"] == 0
