"""Tests of git: reading a repository runs nothing in it, whatever it holds."""

import json
import re
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from athena_core.definitions.profile import ShellPolicy, ToolPolicies
from athena_core.errors import ConfigError
from athena_core.mask import Mask
from athena_core.system.git import Repository
from athena_core.system.process import environment
from athena_core.tools.tool import ToolContext
from athena_core.tools.workspace import Workspace
from tests.core.tools.bench import Workbench
from tests.scale import sized
from tests.support.programs import BOXED
from tests.support.repository import commit, git, make


class Door(BaseHTTPRequestHandler):
    """A server that asks for a password on every request."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


DOOR = ThreadingHTTPServer(("127.0.0.1", 0), Door, bind_and_activate=False)


@pytest.fixture(scope="module", autouse=True)
def door() -> Iterator[None]:
    DOOR.server_bind()
    DOOR.server_activate()
    with DOOR:
        serving = threading.Thread(target=DOOR.serve_forever)
        serving.start()
        yield
        DOOR.shutdown()
        serving.join()


class Trap:
    """A repository whose last commit changes a file, and a program that leaves a mark when it runs."""

    def __init__(self, root: Path) -> None:
        self.mark = root / "MARK"
        self.program = root / "program"
        self.place = root / "workspace" / "library"

    @classmethod
    def build(cls, root: Path, object_format: str = "sha1") -> "Trap":
        trap = cls(root)
        trap.program.write_text(f'#!/bin/sh\necho "$0 $*" >> {shlex.quote(str(trap.mark))}\n[ "$1" = --deaf ] || cat\n')
        trap.program.chmod(0o755)
        trap.place.mkdir(parents=True)
        git(trap.place, "init", "--quiet", "--initial-branch=main", f"--object-format={object_format}")
        commit(trap.place, "Begin", a_py="a = 1\n", _gitattributes="*.txt text\n")
        git(trap.place, "tag", "base")
        commit(trap.place, "Change", a_py="a = 2\n", b_py="b = 1\n")
        git(trap.place, "tag", "head")
        return trap

    def set(self, key: str, value: str) -> None:
        git(self.place, "config", "--add", key, value)

    def attributes(self, line: str) -> None:
        with (self.place / ".gitattributes").open("a") as file:
            file.write(line + "\n")

    @property
    def ran(self) -> str:
        return self.mark.read_text() if self.mark.exists() else ""


def fsmonitor(trap: Trap) -> None:
    trap.set("core.fsmonitor", str(trap.program))


def external_diff(trap: Trap) -> None:
    trap.set("diff.external", str(trap.program))


def driver(trap: Trap) -> None:
    trap.attributes("*.py diff=evil")
    trap.set("diff.evil.command", str(trap.program))


def textconv(trap: Trap) -> None:
    trap.attributes("*.py diff=evil")
    trap.set("diff.evil.textconv", str(trap.program))


def clean_filter(trap: Trap) -> None:
    trap.attributes("*.py filter=evil")
    trap.set("filter.evil.clean", str(trap.program))


def smudge_filter(trap: Trap) -> None:
    trap.attributes("*.py filter=evil")
    trap.set("filter.evil.smudge", str(trap.program))


def process_filter(trap: Trap) -> None:
    trap.attributes("*.py filter=evil")
    trap.set("filter.evil.process", str(trap.program))


def attributes_file(trap: Trap) -> None:
    (trap.place.parent / "attributes").write_text("*.py filter=evil diff=evil\n")
    trap.set("core.attributesFile", str(trap.place.parent / "attributes"))
    trap.set("filter.evil.clean", str(trap.program))


def hooks_path(trap: Trap) -> None:
    for name in ("post-index-change", "post-checkout", "fsmonitor-watchman", "reference-transaction"):
        (trap.place / name).symlink_to(trap.program)
    trap.set("core.hooksPath", str(trap.place))


def pager(trap: Trap) -> None:
    trap.set("core.pager", str(trap.program))
    trap.set("core.editor", str(trap.program))


def ssh_command(trap: Trap) -> None:
    trap.set("remote.origin.url", "ssh://127.0.0.1:9/x")
    trap.set("core.sshCommand", f"{trap.program} --deaf")


def credential_helper(trap: Trap) -> None:
    trap.set("remote.origin.url", f"http://127.0.0.1:{DOOR.server_port}/x.git")
    trap.set("credential.helper", str(trap.program))


def alias(trap: Trap) -> None:
    for name in ("status", "diff", "log", "show", "checkout", "fetch", "ls-remote"):
        trap.set(f"alias.{name}", f"!{trap.program}")


def included(trap: Trap) -> None:
    (trap.place / "settings").write_text(f"[core]\n\tfsmonitor = {trap.program}\n")
    trap.set("includeIf.gitdir/i:**.path", "../settings")


def signature(trap: Trap) -> None:
    git(trap.place, "update-ref", "refs/heads/signed", signed(trap))
    git(trap.place, "symbolic-ref", "HEAD", "refs/heads/signed")
    trap.set("log.showSignature", "true")
    trap.set("gpg.program", str(trap.program))


def signed(trap: Trap) -> str:
    text = git(trap.place, "cat-file", "commit", "HEAD")
    head, _, message = text.partition("\n\n")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ\n -----END PGP SIGNATURE-----"
    (trap.place.parent / "commit").write_text(f"{head}\n{signature}\n\n{message}\n")
    return git(trap.place, "hash-object", "-t", "commit", "-w", str(trap.place.parent / "commit"))


def submodule(trap: Trap) -> None:
    """Add a submodule whose own settings and files name programs."""
    make(trap.place.parent / "module")
    git(trap.place, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../module", "module")
    git(
        trap.place,
        "config",
        "--file",
        "module/.git" if (trap.place / "module/.git").is_dir() else ".git/modules/module/config",
        "core.fsmonitor",
        str(trap.program),
    )
    git(trap.place, "commit", "--quiet", "--message", "Add")
    trap.set("submodule.module.update", f"!{trap.program}")
    trap.set("submodule.recurse", "true")
    (trap.place / "module" / "new").touch()


def remote_helper(trap: Trap) -> None:
    trap.set("protocol.ext.allow", "always")
    trap.set("remote.origin.url", f"ext::{trap.program} --deaf")


def embedded_bare(trap: Trap) -> None:
    """Write files that any tool may write and that git takes for a repository."""
    for name in ("objects", "refs"):
        (trap.place / "src" / name).mkdir(parents=True)
        (trap.place / "src" / name / "x").touch()
    (trap.place / "src" / "HEAD").write_text("ref: refs/heads/main\n")
    (trap.place / "src" / "config").write_text(
        f"[core]\n\trepositoryformatversion = 0\n\tworktree = .\n\tbare = false\n\tfsmonitor = {trap.program}\n"
        f"[diff]\n\texternal = {trap.program}\n"
    )


DRIVERS = (driver, textconv, clean_filter, smudge_filter, process_filter, attributes_file)
"""Settings that attributes choose. Attributes in files do not count for commands; our repositories have no drivers."""

SETTINGS = (
    *(signature, submodule, fsmonitor, hooks_path, ssh_command, credential_helper, included, remote_helper),
    *(embedded_bare, *DRIVERS),
)
"""Settings that the environment of a command overrides."""

ALWAYS = (pager, alias)
"""Settings that git itself ignores: without a terminal, and aliases of its own commands."""

LEFT = (external_diff,)
"""Settings that no environment overrides."""

COMMANDS = (
    *("status --short", "diff", "diff HEAD~1", "log -p -2", "show"),
    *("checkout --quiet HEAD~1 -- a.py", "ls-remote origin", "fetch origin"),
)


def samples() -> dict[str, ShellPolicy]:
    """Return the policies of the tool shell in the documentation."""
    pages = (Path(__file__).parents[3] / "docs").rglob("*.md")
    blocks = [(page.name, block) for page in pages for block in JSON.findall(page.read_text("utf-8"))]
    found = {name: json.loads(block)["toolPolicies"].get("shell") for name, block in blocks if "toolPolicies" in block}
    return {name: msgspec.convert(policy, ShellPolicy) for name, policy in found.items() if policy}


JSON = re.compile(r"^```json\n(\{.*?)^```", re.DOTALL | re.MULTILINE)
ATTACKS: tuple[tuple[str, ...], ...] = (
    *(("--output={place}/MARK",), ("--ext-diff", "--textconv"), ("--no-index", "{place}/secret", "/dev/null")),
    *(("{place}/secret", "/dev/null"), ("{place}/secret",), ("-O{place}/secret",), ("--rootdir={place}",), ()),
)


def dirty(trap: Trap) -> Path:
    """Make git read the files again. Return the directory in which it is called."""
    for path in trap.place.glob("*.py"):
        path.write_text(path.read_text() + "# more\n")
    trap.mark.unlink(missing_ok=True)
    return trap.place / "src" if (trap.place / "src").exists() else trap.place


async def call(trap: Trap, *commands: str) -> str:
    """Call the tool shell as a model and as a verification do. Return the last output."""
    bench = Workbench(trap.place.parents[1])
    where = dirty(trap).relative_to(bench.workspace).as_posix()
    for line in commands:
        policy = bench.bench(shell=ShellPolicy(commands=(("git",),)))
        result = await bench.call(policy, "shell", command=["git", *line.split()], directory=where)
    return result.content


async def review(trap: Trap) -> None:
    """Run every git command of a review."""
    bench = Workbench(trap.place.parents[1])
    async with Repository.open(dirty(trap), bench.workspace, "repoPath", bench.state) as found:
        assert await found.dirty(())
        base, head = await found.commit("base", "baseRef"), await found.commit("head", "headRef")
        assert await found.origin_head() is None
        assert await found.fork(base, head) == base
        patch, _ = await found.diff(base, head, (":(top)*.py",))
        assert "+a = 2" in patch
        assert await found.changed(base, head, (":(top)*.py",)) == [("M", "a.py"), ("A", "b.py")]
        assert await found.file(head, "a.py", 100) == ("a = 2\n", False)
    assert not list(bench.state.glob("git-*"))


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_git_as_a_tool_runs_nothing_that_a_repository_names(tmp_path: Path, object_format: str) -> None:
    trap = Trap.build(tmp_path, object_format)
    for plant in (*SETTINGS, *ALWAYS):
        if plant is not embedded_bare:
            plant(trap)
    await call(trap, *COMMANDS)
    assert trap.ran == ""


def test_samples_are_found() -> None:
    assert "tools.md" in samples()


@pytest.mark.parametrize("page", samples())
async def test_a_sample_of_the_documentation_gives_a_model_that_writes_files_nothing_else(
    tmp_path: Path, page: str
) -> None:
    policy = samples()[page]
    trap = Trap.build(tmp_path)
    bench = Workbench(tmp_path)
    (tmp_path / "secret").write_text("canary-4711\n")
    inside = trap.place / (policy.directory or "")
    loose = bench.workspace / (policy.directory or "loose")
    for plant in (*SETTINGS, *LEFT):
        plant(trap)
    for directory in (inside, loose):
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("conftest.py", "setup.py", "sitecustomize.py"):
            (directory / name).write_text(f"open({str(trap.mark)!r}, 'w').close()\n")
        (directory / "Makefile").write_text(f"all:\n\t{trap.program}\n")
        (directory / "package.json").write_text(json.dumps({"scripts": {"test": str(trap.program)}}))
    trap.mark.unlink(missing_ok=True)
    for root in (trap.place, bench.workspace):
        for command in policy.commands:
            for attack in ATTACKS:
                words = [*command, *(word.format(place=tmp_path) for word in attack)]
                where = ToolContext(workspace=Workspace(root), mask=Mask(), policies=ToolPolicies(shell=policy))
                result = await bench.call(where, "shell", command=words)
                assert "canary-4711" not in result.content, words
                assert trap.ran == "", words


async def test_git_as_a_tool_takes_no_directory_of_files_for_a_repository(tmp_path: Path) -> None:
    trap = Trap.build(tmp_path)
    embedded_bare(trap)
    assert "cannot use bare repository" in await call(trap, "diff", "status")
    assert trap.ran == ""


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_reading_a_repository_runs_nothing_that_it_names(tmp_path: Path, object_format: str) -> None:
    trap = Trap.build(tmp_path, object_format)
    for plant in (*SETTINGS, *ALWAYS, *LEFT):
        plant(trap)
    await review(trap)
    assert trap.ran == ""


async def test_a_linked_worktree_is_read_as_the_repository_that_it_belongs_to(tmp_path: Path) -> None:
    trap = Trap.build(tmp_path)
    git(trap.place, "config", "extensions.worktreeConfig", "true")
    git(trap.place, "worktree", "add", "--quiet", "-b", "side", "../side")
    side = trap.place.parent / "side"
    fsmonitor(trap)
    git(side, "config", "--worktree", "core.fsmonitor", str(trap.program))
    (side / "new").touch()
    trap.mark.unlink(missing_ok=True)
    async with Repository.open(side, trap.place.parent, "repoPath", tmp_path) as found:
        assert await found.dirty(()) == ["?? new"]
        assert await found.commit("side", "headRef") == await found.commit("head", "headRef")
        assert await found.commit("HEAD~1", "headRef") == await found.commit("base", "headRef")
    assert trap.ran == ""


@BOXED
async def test_git_in_a_sandbox_reads_the_same_and_writes_nothing(tmp_path: Path) -> None:
    trap = Trap.build(tmp_path)
    (trap.place / "new").touch()
    root, scratch = trap.place.parent, trap.place.parent / "state"
    scratch.mkdir()
    (scratch / "log.db").write_text("canary")
    found = []
    for boxed in (False, True):
        async with Repository.open(trap.place, root, "repoPath", scratch, boxed=boxed) as repository:
            head, base = await repository.commit("head", "headRef"), await repository.commit("base", "baseRef")
            found.append((head, await repository.diff(base, head, ()), await repository.dirty(())))
            aim = ("-c", "alias.look=!cat ../state/log.db; touch planted", "look")
            shown = (await repository.ask(*aim)).text  # the name of the log shows, its content does not
            assert (shown == "") == boxed == (not (trap.place / "planted").exists())
            (trap.place / "planted").unlink(missing_ok=True)
    assert found[0] == found[1]
    assert "?? new" in found[1][2]


async def test_settings_that_say_how_files_differ_are_copied(tmp_path: Path) -> None:
    trap = Trap.build(tmp_path)
    trap.set("core.fileMode", "false")
    git(trap.place, "config", "--unset", "core.fileMode", "true")
    (trap.place / "a.py").chmod(0o755)
    async with Repository.open(trap.place, trap.place.parent, "repoPath", tmp_path) as found:
        assert await found.dirty(()) == []


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("extensions.unheard", "1", "needs extensions.unheard"),
        ("core.repositoryFormatVersion", "2", "repositoryformatversion"),
        ("core.bare", "true", "without a worktree"),
    ],
)
async def test_a_repository_of_another_kind_is_refused(tmp_path: Path, key: str, value: str, problem: str) -> None:
    trap = Trap.build(tmp_path)
    trap.set(key, value)
    with pytest.raises(ConfigError, match=problem):
        async with Repository.open(trap.place, trap.place.parent, "repoPath", tmp_path):
            pass
    assert not list(tmp_path.glob("git-*"))


async def test_a_repository_outside_of_the_workspace_is_refused(tmp_path: Path) -> None:
    trap = Trap.build(tmp_path)
    outside = trap.place.parent.rename(tmp_path / "outside") / "library"
    trap.place.mkdir(parents=True)
    for pointer in (f"gitdir: {outside}/.git\n", "gitdir: ../../outside/library/.git\n"):
        (trap.place / ".git").write_text(pointer)
        with pytest.raises(ConfigError, match="outside the workspace"):
            async with Repository.open(trap.place, trap.place.parent, "repoPath", tmp_path):
                pass


@pytest.mark.heavy
@pytest.mark.parametrize("plant", sized((fsmonitor, clean_filter), *[(*SETTINGS, *LEFT)] * 2))
def test_each_of_these_would_run_otherwise(plant: Callable[[Trap], None], tmp_path: Path) -> None:
    trap = Trap.build(tmp_path)
    plant(trap)
    where = dirty(trap)
    variables = {name: value for name, value in environment().items() if not name.startswith("GIT_")}
    for line in COMMANDS:
        subprocess.run(
            ("git", *line.split()), cwd=where, env=variables, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    assert trap.ran


@pytest.mark.heavy
@pytest.mark.parametrize("plant", sized((fsmonitor, clean_filter), *[(*SETTINGS, *ALWAYS)] * 2))
async def test_git_as_a_tool_runs_none_of_these(plant: Callable[[Trap], None], tmp_path: Path) -> None:
    trap = Trap.build(tmp_path)
    plant(trap)
    await call(trap, *COMMANDS)
    assert trap.ran == ""


@pytest.mark.heavy
@pytest.mark.parametrize("plant", sized((external_diff, clean_filter), *[(*SETTINGS, *ALWAYS, *LEFT)] * 2))
async def test_reading_a_repository_runs_none_of_these(plant: Callable[[Trap], None], tmp_path: Path) -> None:
    trap = Trap.build(tmp_path)
    plant(trap)
    await review(trap)
    assert trap.ran == ""
