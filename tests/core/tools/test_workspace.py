"""Tests of closed paths: files that configure the server are closed under every name and for every access."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from athena_core.definitions.profile import FilesPolicy, ShellPolicy, ToolPolicies
from athena_core.errors import ConfigError
from athena_core.mask import Mask
from athena_core.services.context.compiler import resolve
from athena_core.settings import load
from athena_core.system.sandbox import SandboxRefused
from athena_core.tools.files import FilesTool
from athena_core.tools.refusal import PathRefused
from athena_core.tools.shell import ShellTool
from athena_core.tools.tool import CommandBox, ToolContext
from athena_core.tools.workspace import REPOSITORIES, Workspace, open_workspace
from tests.core.tools.bench import CANARY, snapshot
from tests.support.api import PATIENCE_SECONDS
from tests.support.programs import BOXED

FILES = (
    ".env", ".envrc", "sub/.env", "personas/critic.json", "personas/scribe/tone.md", ".git/config", "sub/.git/HEAD",
    ".git-credentials", ".netrc", ".npmrc", "sub/.pypirc", ".pgpass", ".ssh/id_ed25519", ".aws/credentials",
    ".docker/config.json", ".kube/config", ".hg/hgrc", "state/log.db", ".athena/log.anchor", "index.sqlite",
    "index.sqlite-wal", "conf/roles", "conf/key", "cert.pem", "sub/cert.pem", "deploy/keys/one", "Anchored/file",
    "conf/credentials.toml", "conf/tls.pem", "conf/github",
)  # fmt: skip
"""Closed paths that exist."""
LINKS = {
    "innocent": ".env",
    "sub/innocent": "conf/key",
    "roles.txt": "conf/roles",
    "token": "conf/github",
    "index": "index.sqlite",
}
"""Further names of closed files."""
SPELT = (".ENV", "sub/.Env", "Personas/critic.json", ".GIT/config", "./.env", "sub//.env", "personas", ".git", ".ssh")
ABSENT = (
    "new/.env", "personas/new.json", "PERSONAS/deep/new.md", "_netrc", "new/.netrc", "sub/.git/hooks/pre-commit",
    "index.sqlite-journal", "index.sqlite-shm", ".svn/auth", "new/key.PEM", "deploy/keys/two", ".athena/new",
)  # fmt: skip
"""Closed paths that do not exist and may not be made."""
CLOSED = (*FILES, *LINKS, *SPELT, *ABSENT)
OPEN = (
    ".env.example", "env", ".gitignore", ".github/workflows/ci.yml", "mypersonas/a", "sub/personas/a", "pem",
    "a.pem.txt", "sub/deploy/keys", "deploy/key", "sub/anchored/a", "conf/other", "athena/a", ".netrc.md",
)  # fmt: skip
ACTIONS: Mapping[str, dict[str, Any]] = {
    "list": {"action": "list"},
    "list deep": {"action": "list", "recursive": True},
    "read": {"action": "read"},
    "read base64": {"action": "read", "encoding": "base64"},
    "read lines": {"action": "read", "from_line": 1, "lines": 1},
    "write": {"action": "write", "content": "ATHENA_AUTH_IDENTITY_ROLE_MAP=eve:Admin"},
    "write base64": {"action": "write", "content": "QQ==", "encoding": "base64"},
    "edit": {"action": "replace", "old": CANARY, "new": "x"},
    "delete": {"action": "delete"},
}


class Site(NamedTuple):
    """A workspace as a server has it, and a bench in it."""

    root: Path
    workspace: Workspace

    def bench(self, directory: str | None = None) -> ToolContext:
        files = FilesPolicy(write=True, directory=directory)
        shell = ShellPolicy(commands=(("/bin/cat",),), directory=directory)
        return ToolContext(workspace=self.workspace, mask=Mask(), policies=ToolPolicies(files=files, shell=shell))

    async def files(self, path: str, action: dict[str, Any], directory: str | None = None) -> str:
        """Return the output of the tool; for a file in a listing the output for its directory."""
        return (await FilesTool().call(action | {"path": path}, self.bench(directory))).content


@pytest.fixture
def site(tmp_path: Path) -> Site:
    root = tmp_path / "workspace"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(CANARY)
    (root / ".env").write_text("# the settings\n")
    for name, target in LINKS.items():
        (root / name).hardlink_to(root / target)
    found = {
        "WORKSPACE_ROOT": str(root),
        "STATE_DIR": str(root / "state"),
        "MEMORY_SQLITE_PATH": str(root / "index.sqlite"),
        "AUTH_ROLE_MAP_FILE": str(root / "conf/roles"),
        "OPENAI_API_KEY_FILE": str(root / "conf/key"),
        "CREDENTIALS_FILE": str(root / "conf/credentials.toml"),
        "TLS_CERT_FILE": str(root / "conf/other"),
        "TLS_KEY_FILE": str(root / "conf/tls.pem"),
        "WORKSPACE_CLOSED": "*.pem, deploy/keys, /anchored",
        "LOCAL_PROVIDER_CMD": str(root / "provider.sh"),
    }
    (root / "provider.sh").write_text("#!/bin/sh\n")
    workspace = open_workspace(load({f"ATHENA_{name}": value for name, value in found.items()}, root))
    workspace.close([root / "conf/github"])
    return Site(root, workspace)


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_closed_path_is_refused_by_every_action(site: Site, action: str) -> None:
    before = snapshot(site.root)
    for path in CLOSED:
        if action.startswith("list") and path in LINKS:
            assert path not in await site.files("", {"action": "list", "recursive": True})
            continue
        with pytest.raises(PathRefused) as refused:
            await site.files(path, ACTIONS[action])
        assert "neither read nor write it. Choose another file." in str(refused.value), path
    assert snapshot(site.root) == before


@pytest.mark.parametrize("end", ["", "#L1"])
async def test_a_closed_path_cannot_be_context(site: Site, end: str) -> None:
    for path in CLOSED:
        reference = f"file:{path}{end}"
        with pytest.raises(ConfigError, match=r"contextRefs\[0\]: .* neither read nor write it") as refused:
            resolve((reference,), site.workspace, 1_000, b"", Mask())
        assert "Choose another file" not in refused.value.message, "which is for models"


@pytest.mark.parametrize("directory", ["personas/scribe", ".git"])
async def test_no_command_runs_in_a_closed_directory(site: Site, directory: str) -> None:
    with pytest.raises(PathRefused):
        await ShellTool().call({"command": ["/bin/cat", "x"], "directory": directory}, site.bench())


@pytest.mark.parametrize("directory", ["personas", "sub", "sub/..", "deploy", ".git", "state"])
async def test_a_directory_of_the_profile_opens_nothing(site: Site, directory: str) -> None:
    names = [name.removeprefix(f"{directory}/") for name in (*FILES, *ABSENT) if name.startswith(f"{directory}/")]
    before = snapshot(site.root)
    for name in names or [".env"]:
        for action in ACTIONS.values():
            with pytest.raises(Exception, match="neither read nor write|absolute or contains"):
                await site.files(name, action, directory)
    assert snapshot(site.root) == before


async def test_a_listing_names_nothing_that_is_closed(site: Site) -> None:
    listing = (await site.files("", {"action": "list", "recursive": True})).splitlines()
    assert listing == ["conf/", "deploy/", "provider.sh (10 bytes)", "sub/"]


async def test_a_similar_path_is_open(site: Site) -> None:
    for path in OPEN:
        await site.files(path, ACTIONS["write"] | {"content": "open"})
        assert await site.files(path, ACTIONS["read"]) == "open"
        assert path in await site.files("", {"action": "list", "recursive": True})
        assert resolve((f"file:{path}",), site.workspace, 1_000, b"", Mask()).contents == ("open",)
        await site.files(path, ACTIONS["delete"])


async def test_a_directory_that_holds_something_closed_stays(site: Site) -> None:
    assert "not empty" in await site.files("sub", ACTIONS["delete"])
    (site.root / "state").rename(site.root / "moved")
    assert "moved/" in await site.files("", ACTIONS["list"]), "which is no state directory any more"
    (site.root / "moved").rename(site.root / "state")


async def test_the_state_directory_is_known_by_its_inode(site: Site, tmp_path: Path) -> None:
    (site.root / "state").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").rename(site.root / "other")
    (site.root / "state").symlink_to(site.root / "other")
    with pytest.raises(PathRefused, match="is the server's own state"):
        await site.files("other/log.db", ACTIONS["read"])


async def test_programs_of_the_server_are_read_only(site: Site) -> None:
    assert await site.files("provider.sh", ACTIONS["read"]) == "#!/bin/sh\n"
    for action in ("write", "write base64", "delete"):
        with pytest.raises(PathRefused, match="is run by the server"):
            await site.files("provider.sh", ACTIONS[action])
    assert (site.root / "provider.sh").read_text() == "#!/bin/sh\n"


async def test_the_code_of_the_server_is_only_read() -> None:
    here = Path(__file__).resolve().parents[3]
    workspace = open_workspace(load({"ATHENA_WORKSPACE_ROOT": str(here)}, here))
    for path in ("athena_core/settings.py", "athena_cli/new.py", "projections/x"):
        workspace.check(tuple(path.split("/")))
        with pytest.raises(PathRefused, match="is run by the server"):
            workspace.check(tuple(path.split("/")), write=True)
    workspace.check(("docs", "tools.md"), write=True)


@pytest.mark.parametrize("wrong", ["..", "a/../b", "a/**", "/", "a,,b", "a,a"])
def test_a_wrong_pattern_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ATHENA_WORKSPACE_CLOSED"):
        load({"ATHENA_WORKSPACE_CLOSED": wrong}, tmp_path)


@BOXED
async def test_a_command_in_a_sandbox_finds_nothing_closed_but_repositories(site: Site) -> None:
    policy = ShellPolicy(commands=(("/bin/sh",),))
    bench = ToolContext(workspace=site.workspace, mask=Mask(), policies=ToolPolicies(shell=policy), box=CommandBox())

    async def said(script: str) -> list[str]:
        result = await ShellTool().call({"command": ["/bin/sh", "-c", script]}, bench)
        assert result.boxed_ms is not None
        return result.content.splitlines()[1:]

    open_file = site.root / "sub" / "open.txt"
    open_file.write_text(CANARY)
    found = {Path(line) for line in await said(f"grep -rlai {CANARY} . 2>/dev/null")}
    assert Path("sub/open.txt") in found
    assert all(REPOSITORIES & {part.casefold() for part in path.parts} for path in found - {Path("sub/open.txt")})
    before = snapshot(site.root)
    inside = [name for name in CLOSED if (site.root / name).exists()] + ["provider.sh"]
    await said(";".join(f"echo planted >> {name!r}; rm -rf {name!r}" for name in inside))
    assert snapshot(site.root) == before


@BOXED
async def test_links_that_were_planted_neither_mislead_a_sandbox_nor_stop_it(tmp_path: Path) -> None:
    root, outside = tmp_path / "work", tmp_path / "outside"
    (outside / ".git").mkdir(parents=True)
    (outside / ".git" / "config").write_text(CANARY)
    for number, target in enumerate(("/", "..", "../..", str(outside / ".git"), "/usr", "nowhere", ".git", "/proc/1")):
        for name in (".git", ".netrc", ".env", ".ssh", "personas"):
            place = root / f"sub-{number}" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
    (root / ".netrc").symlink_to("/")
    (root / ".gnupg").symlink_to(root)
    workspace = open_workspace(
        load({"ATHENA_WORKSPACE_ROOT": str(root), "ATHENA_STATE_DIR": str(tmp_path / "s")}, root)
    )
    policy = ShellPolicy(commands=(("/bin/sh",),))
    bench = ToolContext(workspace=workspace, mask=Mask(), policies=ToolPolicies(shell=policy), box=CommandBox())
    result = await ShellTool().call({"command": ["/bin/sh", "-c", "cat sub-*/.git/config; touch made"]}, bench)
    assert result.boxed_ms is not None and CANARY not in result.content
    assert (root / "made").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="a file of any kind")
@pytest.mark.parametrize("place", [".git", ".git/config", ".git/commondir"])
async def test_files_of_a_planted_repository_do_not_stop_a_command(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / place)
    policy = ShellPolicy(commands=(("true",),))
    bench = ToolContext(workspace=Workspace(tmp_path), mask=Mask(), policies=ToolPolicies(shell=policy))
    with anyio.fail_after(PATIENCE_SECONDS):
        assert not (await ShellTool().call({"command": ["true"]}, bench)).is_error


async def test_a_workspace_too_large_to_search_has_no_box(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("athena_core.system.box.mirror.SEARCHED_MAX", 5)
    with pytest.raises(SandboxRefused, match="more than 5 files"):
        site.workspace.tree_in_box()
