"""The files of the project, read from the tree itself: a source archive has no git metadata."""

import os
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files(root: Path = ROOT) -> list[str]:
    """Return the paths of all files that no ``.gitignore`` names, relative to the root, with slashes, sorted."""
    return sorted(_below(root, "", ()))


def _below(folder: Path, prefix: str, ignored: tuple[str, ...]) -> Iterator[str]:
    listing = folder / ".gitignore"
    if listing.is_file():
        ignored = (*ignored, *_patterns(listing))
    with os.scandir(folder) as entries:
        for entry in entries:
            inside = entry.is_dir(follow_symlinks=False)
            spellings = {entry.name, entry.name + "/"} if inside else {entry.name}
            if entry.name == ".git" or any(fnmatchcase(name, pattern) for name in spellings for pattern in ignored):
                continue
            if inside:
                yield from _below(folder / entry.name, f"{prefix}{entry.name}/", ignored)
            elif entry.is_file():
                yield prefix + entry.name


def _patterns(listing: Path) -> Iterator[str]:
    for line in listing.read_text("utf-8").splitlines():
        pattern = line.strip()
        if pattern.startswith("!") or "/" in pattern[:-1] or "**" in pattern or "\\" in pattern:
            raise ValueError(f"{listing}: '{pattern}' is more than a name; teach tests/support/tree.py to read it")
        if pattern and not pattern.startswith("#"):
            yield pattern


if __name__ == "__main__":  # a list for tar, which quotes nothing
    sys.stdout.write("".join(f"{name}\0" for name in files()))
