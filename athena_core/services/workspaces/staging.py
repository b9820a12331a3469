"""Staging: copies of recorded files in a private directory, read from the snapshots of a workspace by one process."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import anyio

from athena_core.errors import Overloaded, WorkspaceConflict, WorkspaceMissing
from athena_core.services.workspaces.snapshots import MISSING
from athena_core.system.git import OPTIONS
from athena_core.system.process import CHUNK_BYTES, CannotStart, Child, environment

STAGE_SECONDS_MAX = 300.0
STAGED_BYTES_MAX = 2 << 30
"""Maximum size of the files of one run, before and after it, that are applied."""


class RecordedFile(NamedTuple):
    """A file as of a snapshot, and the place of its copy."""

    tree: str
    path: str
    copy: Path


async def stage(git: Path, files: Sequence[RecordedFile]) -> None:
    """Copy recorded files from a repository of snapshots.

    Raise WorkspaceMissing if one is not there, WorkspaceConflict if they are too large,
    Overloaded if it takes too long, or OSError.
    """
    if not files:
        return
    try:
        argv = ("git", *OPTIONS, "cat-file", "--batch", "-z")
        child = await Child.start(argv, environment() | {"GIT_DIR": str(git.absolute())}, directory=git)
    except CannotStart as error:
        raise WorkspaceMissing(MISSING) from error
    try:
        child.feed(b"".join(f"{file.tree}:{file.path}\0".encode() for file in files))
        with anyio.move_on_after(STAGE_SECONDS_MAX) as deadline:
            left = STAGED_BYTES_MAX
            for file in files:
                left -= await _copy(child, file, left)
        if deadline.cancelled_caught:
            raise Overloaded(f"reading the recorded files took longer than {STAGE_SECONDS_MAX:.0f} s")
    finally:
        await child.end()


async def _copy(child: Child, file: RecordedFile, left: int) -> int:
    """Copy the next file of the output. Return its size."""
    words = (await child.output.readline()).split()
    if len(words) != 3 or words[1] != b"blob":
        raise WorkspaceMissing(MISSING)
    size = int(words[2])
    if size > left:
        problem = f"The changed files are larger than {STAGED_BYTES_MAX:,} bytes together. Copy them by hand."
        raise WorkspaceConflict(problem)
    rest = size
    with file.copy.open("xb") as copy:
        while rest and (piece := await child.output.read(min(rest, CHUNK_BYTES))):
            copy.write(piece)
            rest -= len(piece)
    if rest or await child.output.read(1) != b"\n":
        raise WorkspaceMissing(MISSING)
    return size
