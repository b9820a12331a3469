"""Git: what a repository of the workspace says, asked without a shell, within a time and a size."""

import re
from pathlib import Path
from typing import NamedTuple

import anyio

from athena_core.errors import ConfigError, Overloaded
from athena_core.process import CHUNK_BYTES, CannotStart, Child, environment

SECONDS_MAX = 20.0
BYTES_MAX = 1_000_000
DIFF_BYTES_MAX = 4_000_000
REF_CHARS_MAX = 255
REF = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_./@{}^~+#=-]*")
HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
QUIET = {  # nobody's settings but those of the repository, no questions, no writes
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_PAGER": "cat",
}
SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false")


class Printed(NamedTuple):
    """What git said: its exit status, its output, whether that was cut, and how it ended in words."""

    status: int
    data: bytes
    cut: bool
    ending: str

    @property
    def text(self) -> str:
        """The output as text, without the end of its last line."""
        return self.data.decode(errors="replace").rstrip("\n")


class Repository:
    """A repository in a directory."""

    def __init__(self, directory: Path, root: Path, field: str) -> None:
        """Ask nothing yet; ``field`` named the directory, and everything has to be inside ``root``."""
        self._directory = directory
        self._root = root
        self._field = field

    async def ask(self, *arguments: str, bytes_max: int = BYTES_MAX) -> Printed:
        """Have git answer. Raises ConfigError where there is no git, Overloaded where it takes too long."""
        pieces: list[bytes] = []
        left = bytes_max
        try:
            argv = ("git", *SAFE, *arguments)
            child = await Child.start(argv, environment() | QUIET, directory=self._directory, fed=False)
        except CannotStart as error:
            raise ConfigError.of(self._field, f"git cannot be started: {error}") from error
        cut = False
        try:
            with anyio.move_on_after(SECONDS_MAX) as deadline:
                while not cut and (piece := await child.output.read(CHUNK_BYTES)):
                    pieces.append(piece[:left])
                    cut = len(piece) > left
                    left -= min(len(piece), left)
                if not cut:
                    await child.exited.wait()
            if deadline.cancelled_caught:
                raise Overloaded(f"git {arguments[0]} took longer than {SECONDS_MAX:.0f} s")
        finally:
            await child.end()
        return Printed(0 if cut else child.status or 0, b"".join(pieces), cut, child.ending())

    async def check(self) -> None:
        """Raise ConfigError where this is no repository with a worktree, or one that is kept elsewhere."""
        found = await self.ask("rev-parse", "--is-inside-work-tree", "--show-toplevel", "--absolute-git-dir")
        if found.status != 0 or not found.text.startswith("true\n"):
            raise ConfigError.of(self._field, f"is no git repository ({found.ending})", "a git repository")
        root = self._root.resolve()
        for place in found.text.splitlines()[1:]:
            if not Path(place).resolve().is_relative_to(root):
                raise ConfigError.of(self._field, "belongs to a repository outside of the workspace")

    async def commit(self, ref: str, field: str) -> str:
        """The commit that a reference means. Raises ConfigError naming ``field``."""
        if len(ref) > REF_CHARS_MAX or not REF.fullmatch(ref) or ".." in ref:
            raise ConfigError.of(field, f"{ref[:80]!r} is no reference", "a branch, a tag or a commit")
        found = await self.ask("rev-parse", "--verify", "--quiet", ref + "^{commit}")
        if found.status != 0 or not HASH.fullmatch(found.text):
            raise ConfigError.of(field, f"no commit {ref!r} exists in the repository", "a branch, a tag or a commit")
        return found.text

    async def origin_head(self) -> str | None:
        """What the remote ``origin`` regards as its main branch."""
        found = await self.ask("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        return found.text if found.status == 0 else None

    async def dirty(self, but: tuple[str, ...]) -> list[str]:
        """What is changed or unknown in the worktree, apart from these paths."""
        left_out = [f":(exclude,top){path}" for path in but]
        found = await self.ask("status", "--porcelain", "--untracked-files=normal", "--", ":(top)", *left_out)
        if found.status != 0:
            raise ConfigError.of(self._field, f"git status failed: {found.ending}")
        return found.text.splitlines()

    async def fork(self, base: str, head: str) -> str:
        """Where a head left its base; the base itself where they have nothing in common."""
        found = await self.ask("merge-base", base, head)
        return found.text if found.status == 0 and HASH.fullmatch(found.text) else base

    async def diff(self, base: str, head: str, globs: tuple[str, ...]) -> tuple[str, bool]:
        """What changed between two commits, as a patch; and whether it was cut."""
        options = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
        found = await self.ask("diff", *options, base, head, "--", *globs, bytes_max=DIFF_BYTES_MAX)
        self._expect(found, "diff")
        return found.data.decode(errors="replace"), found.cut

    async def changed(self, base: str, head: str, globs: tuple[str, ...]) -> list[tuple[str, str]]:
        """The files that changed: a letter that says how (A, M, D, T), and the path."""
        found = await self.ask("diff", "--name-status", "-z", "--no-renames", base, head, "--", *globs)
        self._expect(found, "diff")
        parts = found.data.decode(errors="replace").split("\0")
        return list(zip(parts[0::2], parts[1::2], strict=False))

    async def file(self, commit: str, path: str, bytes_max: int) -> tuple[str, bool]:
        """A file as it is in a commit, and whether it was cut."""
        found = await self.ask("cat-file", "blob", f"{commit}:{path}", bytes_max=bytes_max)
        return (found.data.decode(errors="replace"), found.cut) if found.status == 0 else ("", False)

    def _expect(self, found: Printed, what: str) -> None:
        if found.status != 0:
            raise ConfigError.of(self._field, f"git {what} failed: {found.ending}")
