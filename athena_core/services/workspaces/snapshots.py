"""Snapshots of the files of a workspace, and the difference of two.

A snapshot records each regular file and each link below ``files``: its content (of a link: its target) and whether
it may be executed. It does not record

- directories named ``.git``, ``.hg``, ``.svn`` or ``.jj`` at any depth, and empty directories,
- ignored files (``.gitignore``), unless an earlier snapshot or the commit of a clone has them,
- pipes, sockets and devices,
- owners, other permissions, times and extended attributes.

The content of files over 64 MiB, of closed files (``Workspace``), of files that cannot be read and of directories that
are nested too deeply is not recorded either. A snapshot notes that they are there and when they changed, and names up
to 1,000 of them. A directory that cannot be read counts as unchanged.

Objects are stored in ``git``, a bare repository of SHA-256 that only Athena writes. git never sees the files.
"""

import asyncio
import errno
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from athena_core.domain.workspace import DIFF_BYTES_MAX, DIFF_FILES_MAX
from athena_core.errors import Overloaded, WorkspaceMissing
from athena_core.services.workspaces.packs import salt_of
from athena_core.services.workspaces.recording import (
    FILE_BYTES_MAX,
    LEFT_OUT_MODE,
    LINK_MODE,
    Snapshot,
    TreeRecorder,
    readable,
)
from athena_core.system.box.trees import Stop, in_thread
from athena_core.system.git import Git, GitOutput
from athena_core.text import clean, one_line
from athena_core.tools.workspace import Workspace

FILES, GIT = "files", "git"
TAKE_SECONDS_MAX = 300.0
TRIES_MAX = 5
"""How often a snapshot is begun if another run moves directories meanwhile."""

LIST_SECONDS_MAX = 60.0
COMPARE_SECONDS_MAX = 10.0
"""Maximum time for comparing lines. Files can be made that take hours."""

LISTED_BYTES_MAX = 67_108_864
TREE = re.compile(r"[0-9a-f]{64}")
DIFF = ("diff-tree", "-r", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "--submodule=short")
SECTION = re.compile(rb"^(?=diff --git )", re.MULTILINE)
NAMED_MAX = 100
NAME_CHARS_MAX = 200
"""How many files a diff names that it does not show, and how much of a name."""

NOTE_BYTES = 64_000
"""The part of a diff that is kept for these names, if it is cut."""

EXACT_BYTES_MAX = 16_000_000
"""Maximum size of a diff that also has the content of binary files."""

Change: TypeAlias = Literal["added", "modified", "deleted", "retyped"]
CHANGES: dict[str, Change] = {"A": "added", "M": "modified", "D": "deleted", "T": "retyped"}


class ChangedFile(NamedTuple):
    """A file that differs between two snapshots.

    ``path`` is not ``exact`` if the name is not UTF-8. Modes are git's, 0 for a file that is not there: 0o120000
    is a link, 0o160000 a file whose content is not recorded. ``retyped``: a file became a link or such a file, or back.
    """

    path: str
    change: Change
    added: int
    removed: int
    binary: bool
    mode_before: int = 0
    mode_after: int = 0
    exact: bool = True

    @property
    def recorded(self) -> bool:
        """True if the contents before and after are recorded."""
        return LEFT_OUT_MODE not in (self.mode_before, self.mode_after)

    @property
    def is_link(self) -> bool:
        """True if it is a symbolic link before or after."""
        return LINK_MODE in (self.mode_before, self.mode_after)


class InexactFile(NamedTuple):
    """A file whose part of a diff is not UTF-8, so that the diff has U+FFFD for some bytes of ``data``."""

    path: str
    data: bytes


class TreeDiff(NamedTuple):
    """The difference of two snapshots: a unified diff, and the changed files.

    ``truncated``: the text lacks files, or ``files`` does, or lines were not counted. The counts are of all files,
    unless lines were not counted. ``inexact`` are files in the text, and ``missing`` the paths of those that it lacks.
    """

    text: str
    files: tuple[ChangedFile, ...]
    files_total: int
    binary_files: int
    added_lines: int
    removed_lines: int
    truncated: bool
    inexact: tuple[InexactFile, ...] = ()
    missing: tuple[str, ...] = ()


NOTHING = TreeDiff("", (), 0, 0, 0, 0, truncated=False)


class Snapshots:
    """The snapshots of one workspace."""

    def __init__(self, directory: Path, workspace: Workspace) -> None:
        """Take the directory of the workspace; ``workspace`` says which of its files are closed."""
        self._files = directory / FILES
        self._git = directory / GIT
        self._workspace = workspace

    @property
    def salt(self) -> str:
        """The salt of the snapshots, in hexadecimal. No log has it. Raise OSError."""
        return salt_of(self._git).hex()

    async def take(self, room: int | None = None) -> Snapshot:
        """Record the files as they are now, writing at most about ``room`` bytes.

        Files that change meanwhile are recorded as of some time during the call. Raise WorkspaceMissing,
        WorkspaceLimit if there are too many files, WorkspaceDiskFull, Overloaded after 300 s, or OSError.
        """
        if not (self._files.is_dir() and self._git.is_dir()):
            raise WorkspaceMissing(MISSING)
        arguments = (self._files, self._git, self._workspace, room)

        def record(stop: Stop) -> Snapshot:
            for tries in range(TRIES_MAX, 0, -1):
                try:
                    return TreeRecorder(*arguments, stop).record()
                except OSError as error:
                    if error.errno != errno.ESTALE or tries == 1:
                        raise
            raise AssertionError

        return await in_thread("recording a workspace", TAKE_SECONDS_MAX, record)

    async def diff(self, before: str, after: str, *, exact: bool = False) -> TreeDiff:
        """Return the difference of two snapshots. Hostile content can make it ``truncated``, but not fail.

        An ``exact`` one is not cut so soon, and has the content of binary files as git applies it.

        Raise WorkspaceMissing if a snapshot is not here.
        """
        if before == after:
            return NOTHING
        form, bytes_max = (("--patch", "--binary"), EXACT_BYTES_MAX) if exact else (("--patch",), DIFF_BYTES_MAX)
        listed = await self._ask("--raw", "-z", "--abbrev=64", before, after, bytes_max=LISTED_BYTES_MAX)
        if listed is None:
            raise WorkspaceMissing(MISSING)
        changed = _changed(listed.data)
        async with asyncio.TaskGroup() as tasks:
            counting = tasks.create_task(self._within("--numstat", "-z", before, after, bytes_max=LISTED_BYTES_MAX))
            writing = tasks.create_task(self._within(*form, before, after, bytes_max=bytes_max))
        counted, patch = counting.result(), writing.result()
        counts = _counts(counted.data) if counted else {}
        files = [_file(one, counts.get(one.path, (0, 0))) for one in changed]
        shown = _text(patch or NO_PATCH, changed, bytes_max)
        incomplete = listed.cut or counted is None or counted.cut or shown.cut or len(files) > DIFF_FILES_MAX
        return TreeDiff(
            shown.text,
            tuple(files[:DIFF_FILES_MAX]),
            len(files),
            sum(file.binary for file in files),
            sum(file.added for file in files),
            sum(file.removed for file in files),
            truncated=incomplete,
            inexact=shown.inexact,
            missing=shown.missing,
        )

    async def blob(self, tree: str, path: str) -> bytes | None:
        """Return a file as of a snapshot (of a link: its target), None if it is not there or not recorded."""
        if not TREE.fullmatch(tree) or "\0" in path:
            return None
        output = await self._runner().ask("cat-file", "blob", f"{tree}:{path}", bytes_max=FILE_BYTES_MAX)
        return output.data if output.status == 0 and not output.cut else None

    def _runner(self) -> Git:
        return Git(self._git, "workspace", {"GIT_DIR": str(self._git.absolute())})

    async def _ask(self, *arguments: str, bytes_max: int, seconds_max: float = LIST_SECONDS_MAX) -> GitOutput | None:
        """Run a diff. Return None if git does not have the trees."""
        if not all(TREE.fullmatch(tree) for tree in arguments[-2:]) or not self._git.is_dir():
            return None
        output = await self._runner().ask(*DIFF, *arguments, bytes_max=bytes_max, seconds_max=seconds_max)
        return output if output.status == 0 else None

    async def _within(self, *arguments: str, bytes_max: int) -> GitOutput | None:
        """Run a diff. Return None if it takes too long, too."""
        try:
            return await self._ask(*arguments, bytes_max=bytes_max, seconds_max=COMPARE_SECONDS_MAX)
        except Overloaded:
            return None


MISSING = (
    "The directory of the workspace is not on this machine. Share ATHENA_WORKSPACES_DIR between the machines, or clean"
    " the workspace."
)


class _Changed(NamedTuple):
    """A line of the list of changes."""

    path: bytes
    letter: str
    before: int
    after: int


def _changed(listed: bytes) -> list[_Changed]:
    """Read the output of ``--raw -z``. A last entry that was cut is left out."""
    parts = listed.split(b"\0")[:-1]
    changed = []
    for head, path in zip(parts[0::2], parts[1::2], strict=False):
        before, after, _, _, letter = head.decode().removeprefix(":").split(" ")
        changed.append(_Changed(path, letter[:1], int(before, 8), int(after, 8)))
    return changed


def _counts(listed: bytes) -> dict[bytes, tuple[int, int] | None]:
    """Read the output of ``--numstat -z``: added and removed lines by path, None for a binary file."""
    counts: dict[bytes, tuple[int, int] | None] = {}
    for line in listed.split(b"\0")[:-1]:
        added, removed, path = line.split(b"\t", 2)
        counts[path] = None if added == b"-" else (int(added), int(removed))
    return counts


def _file(one: _Changed, count: tuple[int, int] | None) -> ChangedFile:
    """Describe a changed file; ``count`` is None if it is binary."""
    recorded = LEFT_OUT_MODE not in (one.before, one.after)
    added, removed = count if count and recorded else (0, 0)
    path = readable(one.path)
    return ChangedFile(
        path=path,
        change=CHANGES.get(one.letter, "modified"),
        added=added,
        removed=removed,
        binary=recorded and count is None,
        mode_before=one.before,
        mode_after=one.after,
        exact=path.encode() == one.path,
    )


class _Text(NamedTuple):
    """The text of a diff, whether it was cut, and its files that are not in it as they are."""

    text: str
    cut: bool
    inexact: tuple[InexactFile, ...]
    missing: tuple[str, ...]


NO_PATCH = GitOutput(0, b"", cut=True, ending="")


def _text(patch: GitOutput, changed: list[_Changed], bytes_max: int) -> _Text:
    """Return the diff. It is cut after a file, or in the first one.

    Files that are not in it as they are stand before the first file by name.
    """
    sections = iter(SECTION.split(patch.data)[1:])
    unrecorded = [_name(one.path) for one in changed if LEFT_OUT_MODE in (one.before, one.after)]
    note = _named(unrecorded, "changed and its content is not recorded: not shown")
    left = bytes_max - len(note.encode())
    if patch.cut or len(patch.data) > left:
        left -= NOTE_BYTES
    whole = list[tuple[bytes, str, bytes]]()
    cut, complete = patch.cut, not patch.cut
    for one in changed:
        own = b"".join(islice(sections, 2 if one.letter == "T" else 1))  # a retyped file is deleted and created
        if not own:
            break
        if LEFT_OUT_MODE in (one.before, one.after):
            continue
        text = clean(own.decode(errors="replace"))
        left -= len(text.encode())
        if left < 0 and whole:
            cut, complete = True, True
            break
        whole.append((one.path, text, own))
    there = {path for path, _, _ in (whole if complete else whole[:-1])}
    missing = [one.path for one in changed if one.path not in there and LEFT_OUT_MODE not in (one.before, one.after)]
    if not complete and len(whole) > 1:
        whole.pop()
    inexact = tuple(InexactFile(readable(path), own) for path, text, own in whole if text.encode() != own)
    note += _named([_name(path) for path in missing], "changed and the diff is too large: not shown whole")
    note += _named([one_line(one.path) for one in inexact], "is not UTF-8: U+FFFD stands for other bytes")
    data = "".join((note, *(text for _, text, _ in whole))).encode()
    text = data[:bytes_max].decode(errors="ignore")
    return _Text(text, cut or len(data) > bytes_max, inexact, tuple(map(readable, missing)))


def _name(path: bytes) -> str:
    return one_line(readable(path))


def _named(names: Sequence[str], why: str) -> str:
    """Return lines about files that a diff does not show."""
    lines = [f"[{name[:NAME_CHARS_MAX]} {why}]\n" for name in names[:NAMED_MAX]]
    if len(names) > NAMED_MAX:
        lines.append(f"[{len(names) - NAMED_MAX} more such files]\n")
    return "".join(lines)
