"""Git: reads a repository without a shell, with limits of time and size, ignoring its settings.

Settings of a repository can name programs in too many ways to list: filters, drivers, hooks, helpers, included files.
So git never reads them here. It gets a git directory of ours that links to the objects, references and index of the
repository. Its settings are copied from the repository by an allow-list.
"""

import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import anyio
from anyio import to_thread

from athena_core.errors import ConfigError, Overloaded
from athena_core.mask import Mask
from athena_core.outside_text import last_words
from athena_core.system.process import CHUNK_BYTES, CannotStart, Child, environment
from athena_core.system.sandbox import Sandbox

SECONDS_MAX = 20.0
BYTES_MAX = 1_000_000
DIFF_BYTES_MAX = 4_000_000
LINK_BYTES_MAX = 4_096
REF_CHARS_MAX = 255
REF = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_./@{}^~+#=-]*")
BRANCH = re.compile(r"refs/heads/[A-Za-z0-9_][A-Za-z0-9_./-]*")
HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
OPTIONS = ("-c", "core.quotePath=false", "-c", "attr.tree=", "-c", "core.bare=false")
"""``attr.tree=``: attributes come from files. They only set line endings, because no filter or driver is defined."""

AUTHOR = ("-c", "user.name=Athena", "-c", "user.email=athena@localhost", "-c", "gc.auto=0", "-c", "maintenance.auto=0")
WAYS = tuple(
    word
    for setting in ("allow=never", "https.allow=always", "ssh.allow=always", "file.allow=always")
    for word in ("-c", f"protocol.{setting}")
)
"""The transports that a push may use."""

RECEIVE_PACK = f"git -c core.hooksPath={os.devnull} receive-pack"
LINKED = frozenset({"objects", "refs", "reftable", "packed-refs", "logs", "shallow", "index"})
STORE = re.compile(r"[0-9a-f]{2}|pack")
LINKED_INFO = ("exclude", "sparse-checkout")
SETTINGS = frozenset(
    {
        *("core.autocrlf", "core.checkstat", "core.eol", "core.filemode", "core.ignorecase", "core.precomposeunicode"),
        *("core.sparsecheckout", "core.sparsecheckoutcone", "core.symlinks", "core.trustctime"),
        *("extensions.objectformat", "extensions.refstorage"),
    }
)
"""The settings that are copied. None can name a program or a file."""

SETTING = re.compile(r"[A-Za-z0-9]{1,40}")
EXTENSIONS_WITHOUT_EFFECT = frozenset(
    f"extensions.{name}"
    for name in ("noop", "noop-v1", "partialclone", "preciousobjects", "relativeworktrees", "worktreeconfig")
)
FORMATS = {"0", "1"}
TRUE = {"", "true", "yes", "on", "1"}


class GitOutput(NamedTuple):
    """The output of a git command: its exit status, data, whether the data was cut, and the ending in words."""

    status: int
    data: bytes
    cut: bool
    ending: str

    @property
    def text(self) -> str:
        """The output as text, without its last line end."""
        return self.data.decode(errors="replace").rstrip("\n")


class GitPaths(NamedTuple):
    """The paths of a repository: its worktree, its git directory, and the git directory shared by its worktrees."""

    worktree: Path
    git: Path
    common: Path


class Git:
    """Commands of git in a directory, with limits of time and size."""

    def __init__(self, directory: Path, field: str, variables: dict[str, str], sandbox: Sandbox | None = None) -> None:
        """Run git in ``directory`` with these variables; ``field`` is the request field or setting that named it."""
        self._sandbox = sandbox
        self._directory = directory
        self._field = field
        self._environment = environment() | variables

    async def ask(self, *arguments: str, bytes_max: int = BYTES_MAX, seconds_max: float = SECONDS_MAX) -> GitOutput:
        """Run git. Raise ConfigError if it cannot be started, Overloaded if it takes too long."""
        pieces: list[bytes] = []
        left = bytes_max
        try:
            argv = ("git", *OPTIONS, *arguments)
            where, box = self._directory.absolute(), self._sandbox
            child = await Child.start(argv, self._environment, directory=where, fed=False, sandbox=box)
        except CannotStart as error:
            raise ConfigError.of(self._field, f"git cannot be started: {error}") from error
        cut = False
        try:
            with anyio.move_on_after(seconds_max) as deadline:
                while not cut and (piece := await child.output.read(CHUNK_BYTES)):
                    pieces.append(piece[:left])
                    cut = len(piece) > left
                    left -= min(len(piece), left)
                if not cut:
                    await child.exited.wait()
            if deadline.cancelled_caught:
                raise Overloaded(f"git {arguments[0]} took longer than {seconds_max:.0f} s")
        finally:
            await child.end()
        if child.problem is not None:
            raise ConfigError.of(self._field, f"git cannot run in a sandbox: {child.problem}")
        return GitOutput(0 if cut else child.status or 0, b"".join(pieces), cut, child.ending(last_words(Mask())))

    async def run(self, *arguments: str, bytes_max: int = BYTES_MAX, seconds_max: float = SECONDS_MAX) -> GitOutput:
        """Run git like ``ask``. Raise ConfigError also if it fails."""
        output = await self.ask(*arguments, bytes_max=bytes_max, seconds_max=seconds_max)
        self._expect(output, arguments[0])
        return output

    def _expect(self, output: GitOutput, what: str) -> None:
        if output.status != 0:
            raise ConfigError.of(self._field, f"git {what} failed: {output.ending}")


class Repository(Git):
    """A repository with a worktree. In a sandbox it can only be read."""

    def __init__(self, place: GitPaths, directory: Path, field: str, git: Path, sandbox: Sandbox | None = None) -> None:
        """Run git in ``directory``; the git directory ``git`` of ours stands for the repository's at ``place``."""
        super().__init__(directory, field, {"GIT_DIR": str(git), "GIT_WORK_TREE": str(place.worktree)}, sandbox)
        self._settings_found: dict[str, str] = {}
        self.place = place

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: Path,
        root: Path,
        field: str,
        scratch: Path,
        *,
        boxed: bool = False,
        objects: tuple[Path, ...] | None = None,
    ) -> AsyncIterator["Repository"]:
        """Open the repository of ``directory``; ``scratch`` is a directory that agents cannot open.

        ``boxed``: git runs in a sandbox, with ``root`` read-only and nothing of ``scratch`` but its own. ``objects``
        are the alternates, instead of the ones that the repository names. Raise ConfigError if there is none with a
        worktree, or if it is not wholly inside ``root``.
        """
        private = Path(await to_thread.run_sync(lambda: tempfile.mkdtemp(prefix="git-", dir=scratch)))
        try:
            try:
                place = await to_thread.run_sync(_find, directory.resolve(), root.resolve(), field)
                git = await to_thread.run_sync(_mirror, place, private, objects)
            except OSError as error:
                raise ConfigError.of(field, f"cannot be read: {error.strerror}") from error
            box = (root, scratch, private, objects or ())
            sandbox = await to_thread.run_sync(_box, *box) if boxed else None
            repository = cls(place, directory, field, git, sandbox)
            await repository._copy_settings(place, private)
            yield repository
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(lambda: shutil.rmtree(private, ignore_errors=True))

    async def _copy_settings(self, place: GitPaths, private: Path) -> None:
        """Copy the allowed settings. Raise ConfigError if the repository needs others."""
        settings = await self._settings(place.common / "config")
        if settings.get("extensions.worktreeconfig", "false").lower() in TRUE:
            settings |= await self._settings(place.git / "config.worktree")
        self._settings_found = settings
        if settings.get("core.bare", "false").lower() in TRUE and place.git == place.common:
            raise ConfigError.of(self._field, "is a repository without a worktree (core.bare)", "a git repository")
        unknown = [key for key in settings if key.startswith("extensions.") and key not in SETTINGS]
        if unknown := [key for key in unknown if key not in EXTENSIONS_WITHOUT_EFFECT]:
            raise ConfigError.of(self._field, f"needs {unknown[0]}, which is not supported", "a git repository")
        if settings.get("core.repositoryformatversion", "0") not in FORMATS:
            raise ConfigError.of(self._field, "has a core.repositoryformatversion which is not supported")
        lines = ["[core]", "repositoryFormatVersion = 1"]
        for key, value in settings.items():
            if key in SETTINGS and SETTING.fullmatch(value or "true"):
                section, name = key.split(".")
                lines += [f"[{section}]", f"{name} = {value or 'true'}"]
        await to_thread.run_sync((private / "common" / "config").write_text, "\n".join(lines))

    async def _settings(self, path: Path) -> dict[str, str]:
        """Read a file of settings without its includes; names are in lower case."""
        if not path.exists():
            return {}
        output = await self.ask("config", "--file", str(path), "--no-includes", "--null", "--list")
        self._expect(output, "config")
        pairs = (line.partition("\n") for line in output.text.split("\0") if line)
        return {key: value for key, _, value in pairs}

    async def commit(self, ref: str, field: str) -> str:
        """Return the commit of a reference. Raise ConfigError naming ``field``."""
        if len(ref) > REF_CHARS_MAX or not REF.fullmatch(ref) or ".." in ref:
            raise ConfigError.of(field, f"{ref[:80]!r} is not a valid git reference", "a branch, a tag or a commit")
        output = await self.ask("rev-parse", "--verify", "--quiet", ref + "^{commit}")
        if output.status != 0 or not HASH.fullmatch(output.text):
            raise ConfigError.of(field, f"no commit {ref!r} exists in the repository", "a branch, a tag or a commit")
        return output.text

    async def branch(self) -> str | None:
        """Return the full name of the branch that is checked out, None without one."""
        output = await self.ask("symbolic-ref", "--quiet", "HEAD")
        usable = BRANCH.fullmatch(output.text) and not re.search(r"\.\.|/\.|//|\.lock(/|$)|[/.]$", output.text)
        return output.text if output.status == 0 and usable else None

    @property
    def object_format(self) -> str:
        """The hash function of the repository: sha1 or sha256."""
        return self._settings_found.get("extensions.objectformat", "sha1")

    async def origin_head(self) -> str | None:
        """Return the main branch of the remote ``origin``, None if it is not known."""
        output = await self.ask("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        return output.text if output.status == 0 else None

    async def dirty(self, but: tuple[str, ...]) -> list[str]:
        """Return the changed and untracked files of the worktree, except these paths."""
        left_out = [f":(exclude,top){path}" for path in but]
        options = ("--porcelain", "--untracked-files=normal", "--ignore-submodules=dirty")  # dirty: skips submodules
        output = await self.ask("status", *options, "--", ":(top)", *left_out)
        if output.status != 0:
            raise ConfigError.of(self._field, f"git status failed: {output.ending}")
        return output.text.splitlines()

    async def fork(self, base: str, head: str) -> str:
        """Return the merge base of two commits; ``base`` itself if they have none."""
        output = await self.ask("merge-base", base, head)
        return output.text if output.status == 0 and HASH.fullmatch(output.text) else base

    async def diff(self, base: str, head: str, globs: tuple[str, ...]) -> tuple[str, bool]:
        """Return the changes between two commits as a patch, and whether it was cut."""
        options = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--submodule=short")
        output = await self.ask("diff", *options, base, head, "--", *globs, bytes_max=DIFF_BYTES_MAX)
        self._expect(output, "diff")
        return output.data.decode(errors="replace"), output.cut

    async def changed(self, base: str, head: str, globs: tuple[str, ...]) -> list[tuple[str, str]]:
        """Return the changed files: a letter for the change (A, M, D, T), and the path."""
        output = await self.ask("diff", "--name-status", "-z", "--no-renames", base, head, "--", *globs)
        self._expect(output, "diff")
        parts = output.data.decode(errors="replace").split("\0")
        return list(zip(parts[0::2], parts[1::2], strict=False))

    async def file(self, commit: str, path: str, bytes_max: int) -> tuple[str, bool]:
        """Return a file as of a commit, and whether it was cut."""
        output = await self.ask("cat-file", "blob", f"{commit}:{path}", bytes_max=bytes_max)
        return (output.data.decode(errors="replace"), output.cut) if output.status == 0 else ("", False)

    async def regular_file(self, commit: str, path: str, bytes_max: int) -> bytes | None:
        """Return a whole regular file as of a commit, None if there is none or it is larger."""
        listed = await self.ask("--literal-pathspecs", "ls-tree", "-z", commit, "--", path)
        head, _, name = listed.data.removesuffix(b"\0").partition(b"\t")
        if listed.status != 0 or not head.startswith(b"100") or name != path.encode():
            return None
        output = await self.ask("cat-file", "blob", head.split()[-1].decode(), bytes_max=bytes_max)
        return output.data if output.status == 0 and not output.cut else None

    async def record(self, path: str, message: str) -> None:
        """Commit one file of the worktree to the branch of ``HEAD``. Raise ConfigError.

        The commit's author is Athena: no user settings apply, and no hook runs.
        """
        branch = await self.ask("symbolic-ref", "--quiet", "HEAD")
        if branch.status != 0:
            raise ConfigError.of(self._field, "has no branch checked out", "check out a branch")
        self._expect(await self.ask("add", "--", path), "add")
        done = await self.ask(*AUTHOR, "commit", "--quiet", "--no-verify", "-m", message, "--only", "--", path)
        self._expect(done, "commit")

    async def push(self) -> None:
        """Push the branch to its upstream, if it has one. Raise ConfigError.

        Only https, ssh and file are allowed. Hooks of a remote on this machine do not run.
        """
        name = (await self.ask("symbolic-ref", "--quiet", "--short", "HEAD")).text
        known = self._settings_found
        remote, merge = known.get(f"branch.{name}.remote"), known.get(f"branch.{name}.merge")
        if remote is None or merge is None:
            return
        url = known.get(f"remote.{remote}.pushurl") or known.get(f"remote.{remote}.url")
        if url is None or url.startswith("-") or not BRANCH.fullmatch(merge):
            raise ConfigError.of(self._field, f"the upstream of {name!r} cannot be used")
        near = url.startswith("file://") or ("://" not in url and ":" not in url.partition("/")[0])
        options = (f"--receive-pack={RECEIVE_PACK}",) if near else ()
        self._expect(await self.ask(*WAYS, "push", "--quiet", *options, url, f"HEAD:{merge}"), "push")


def _box(root: Path, scratch: Path, private: Path, objects: tuple[Path, ...]) -> Sandbox:
    """Return the sandbox of git. Everything beside ``private`` in ``scratch`` is closed, if ``root`` contains it."""
    inside = scratch.resolve().is_relative_to(root.resolve())
    beside = (entry for entry in scratch.resolve().iterdir() if entry.name != private.name)
    return Sandbox(
        workspace=private.resolve(), readonly=(root.resolve(), *objects), closed=tuple(beside) if inside else ()
    )


def _find(directory: Path, root: Path, field: str) -> GitPaths:
    """Find the repository of a directory. Bare repositories do not count, because any directory can look like one."""
    for worktree in (directory, *directory.parents):
        dot = worktree / ".git"
        git = dot if dot.is_dir() else worktree / _line(dot, "gitdir: ") if dot.is_file() else None
        if git is None:
            continue
        common = git / _line(git / "commondir") if (git / "commondir").is_file() else git
        place = GitPaths(worktree, git.resolve(), common.resolve())
        if not all(path.is_relative_to(root) for path in place):
            raise ConfigError.of(field, "belongs to a repository outside the workspace")
        if not ((git / "HEAD").is_file() and (common / "objects").is_dir() and (common / "refs").is_dir()):
            break
        return place
    raise ConfigError.of(field, "is not a git repository", "a git repository")


def _line(path: Path, prefix: str = "") -> str:
    """Read the path that a file holds."""
    with path.open("rb") as file:
        return os.fsdecode(file.read(LINK_BYTES_MAX)).removeprefix(prefix).rstrip("\n")


def _mirror(place: GitPaths, private: Path, objects: tuple[Path, ...] | None) -> Path:
    """Make git directories that link to a repository's. Return the one that replaces ``place.git``."""
    common, git = private / "common", private / "git"
    _link(place.common, common)
    if objects is not None:
        _link_objects(place.common / "objects", common / "objects", objects)
    (common / "config").touch()
    if place.git == place.common:
        return common
    _link(place.git, git)
    (git / "commondir").write_text(str(common))
    return git


def _link(source: Path, target: Path) -> None:
    (target / "info").mkdir(parents=True)
    for entry in source.iterdir():
        if entry.name.endswith("HEAD") and entry.is_file():
            with entry.open("rb") as file:
                (target / entry.name).write_bytes(file.read(LINK_BYTES_MAX))  # git accepts no link for these
        elif entry.name in LINKED or entry.name.startswith("sharedindex."):
            (target / entry.name).symlink_to(entry)
    if not (source / "index").exists():
        (target / "index").symlink_to(source / "index")  # the first commit creates it
    for name in LINKED_INFO:
        (target / "info" / name).symlink_to(source / "info" / name)


def _link_objects(source: Path, target: Path, alternates: tuple[Path, ...]) -> None:
    """Replace a link to objects by a directory that links to them, with alternates of ours."""
    target.unlink()
    (target / "info").mkdir(parents=True)
    for entry in source.iterdir():
        if STORE.fullmatch(entry.name):
            (target / entry.name).symlink_to(entry)
    (target / "info" / "alternates").write_bytes(b"".join(os.fsencode(path) + b"\n" for path in alternates))
