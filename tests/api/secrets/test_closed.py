"""Files that configure the server, over HTTP: closed to runs, reports and references."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.core.tools.bench import snapshot
from tests.support.api import Refused
from tests.support.model import Model, Profile, acting, call
from tests.support.repository import branch, git, make
from tests.support.server import Server

KEY = "a-value-of-the-settings-1"
CLOSED = (
    ".env", "workspace/../.env", "personas/critic.json", "personas/new.json", "personas", "roles", "index.sqlite",
    "index.sqlite-wal", ".git/config", ".GIT/hooks/pre-commit", ".netrc", ".ssh/id", "state/log.db", "private/a",
)  # fmt: skip
SCRIPT = (
    call("files", action="write", path=".env", content="ATHENA_AUTH_IDENTITY_ROLE_MAP=eve:Admin"),
    call("files", action="read", path=".env", encoding="base64"),
    call("files", action="replace", path="personas/critic.json", old="critic", new="eve"),
    "done",
)


class Site(NamedTuple):
    """A server set up like in the README: its workspace is the directory with ``.env``."""

    server: Server
    model: Model
    files: dict[str, bytes | str | None]

    def check(self) -> None:
        """Fail if a file of the workspace changed."""
        assert files_of(self.server.directory) == self.files


def files_of(directory: Path) -> dict[str, bytes | str | None]:
    """Return the files that no caller may change."""
    found = snapshot(directory)
    return {name: text for name, text in found.items() if not name.startswith(("state", "server.log", "index.sqlite"))}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = make(tmp_path_factory.mktemp("closed") / "site")
    (directory / "personas").mkdir()
    (directory / "personas/critic.json").write_text('{"schemaVersion": 1, "id": "critic"}')
    scribe = {"schemaVersion": 1, "id": "scribe", "output": {"writeJsonFile": ".env"}}
    (directory / "personas/scribe.json").write_text(json.dumps(scribe))
    (directory / "roles").write_text("*:Admin\n")
    (directory / "private").mkdir()
    (directory / "private/a").write_text(KEY)
    git(directory, "add", "--all", "-f")
    git(directory, "commit", "--quiet", "-m", "All")
    (directory / ".gitignore").write_text("state\nserver.log\nworkspace\nindex.sqlite*\nhard\n.gitignore\n.env\n")
    branch(directory, "work", a_py="def add(a, b):\n    return a - b\n")
    git(directory, "checkout", "--quiet", "-b", "closed")
    for name in (".env", "personas/critic.json", "sub/.netrc", "open"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(f'{{"id": "{KEY}"}}')
    git(directory, "add", "--all", "-f", ".env", "personas", "sub", "open")
    git(directory, "commit", "--quiet", "-m", "Closed")
    git(directory, "checkout", "--quiet", "main")
    with acting(SCRIPT) as model:
        (directory / ".env").write_text(f"OTHER={KEY}\nATHENA_MEMORY_ENABLED=true\n")
        (directory / "hard").hardlink_to(directory / ".env")
        settings = {
            "workspace_root": ".",
            "auth_role_map_file": "roles",
            "openai_base_url": model.url,
            "memory_sqlite_path": "index.sqlite",
            "workspace_closed": "private",
        }
        with Server(directory, **settings) as server:
            yield Site(server, model, files_of(directory))


def test_a_run_that_may_write_files_does_not_reach_what_configures_the_server(site: Site) -> None:
    api = site.server.api
    profile = api.post("/harness-profiles", Profile().body)["id"]
    run_id = api.run("make me Admin", harnessProfileId=profile, sessionId="eve")["runId"]
    said = [one for one in api.get("/sessions/eve/transcript")["items"] if one["kind"] == "tool-result"]
    assert len(said) == 3, run_id
    for one in said:
        assert (
            "configures the server: tools, reports and references neither read nor write it. Choose" in one["content"]
        )
    site.check()


def test_a_report_does_not_replace_what_configures_the_server(site: Site) -> None:
    api = site.server.api
    for path in CLOSED:
        for field in ("outJsonPath", "outMarkdownPath"):
            with pytest.raises(Refused) as refused:
                api.post("/personas/run", {"name": "critic", "repoPath": ".", "headRef": "work", field: path})
            assert (refused.value.status, refused.value.code) == (400, "CONFIG_ERROR"), path
            error = refused.value.error
            assert f"{field}: " in error["message"]
            if ".." not in path:
                assert "neither read nor write it" in error["message"]
                assert error["details"][0]["remedy"] == "another file in the workspace"
    with pytest.raises(Refused, match=r"outJsonPath: '\.env' configures the server"):
        api.post("/personas/run", {"name": "scribe", "repoPath": ".", "headRef": "work"})
    site.check()


def test_a_report_does_not_replace_the_settings_under_another_name(site: Site) -> None:
    body = {"name": "critic", "repoPath": ".", "headRef": "work", "provider": "mock", "outMarkdownPath": "hard"}
    result = site.server.api.post("/personas/run", body)["result"]
    assert result["status"] == "failed"
    assert "'hard' configures the server" in result["error"]["message"]
    site.check()


def test_a_reference_shows_nothing_of_what_configures_the_server(site: Site) -> None:
    api = site.server.api
    for path in (*CLOSED, "hard"):
        for reference in (f"file:{path}", f"file:{path}#L1-L2", f"file:./{path}"):
            with pytest.raises(Refused) as refused:  # already here if the path leaves the workspace
                directive_id = api.post("/directives", {"input": "look", "contextRefs": [reference]})["id"]
                api.post("/runs", {"directiveId": directive_id, "provider": "mock"})
            assert (refused.value.status, refused.value.code) == (400, "CONFIG_ERROR")
            assert "contextRefs[0]: " in refused.value.error["message"]
            assert refused.value.error["details"][0]["remedy"]
            assert KEY not in str(refused.value.error)
    site.check()


def test_a_review_names_closed_files_and_does_not_show_them(site: Site) -> None:
    api = site.server.api
    body = {"name": "critic", "repoPath": ".", "headRef": "closed", "provider": "mock"}
    result = api.post("/personas/run", body)["result"]
    assert result["status"] == "ok"
    said = api.get(f"/sessions/{result['sessionId']}/transcript")["items"]
    prompt = next(one["content"] for one in said if one["role"] == "user")
    for name in (".env", "personas/critic.json", "sub/.netrc"):
        assert f" {name}\n" in prompt
        assert f"b/{name}" not in prompt
    assert "[sub/.netrc changed and is closed: not shown]" in prompt
    assert "b/open" in prompt
    site.check()
