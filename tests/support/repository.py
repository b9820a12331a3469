"""A git repository of the tests, quickly made and always the same."""

import os
import subprocess
from pathlib import Path

IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}


def git(place: Path, *arguments: str) -> str:
    """Run git in a directory. Return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | IDENTITY
    done = subprocess.run(["git", *arguments], cwd=place, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(place: Path, message: str, **files: str | None) -> str:
    """Write files (``_`` stands for a dot, None removes one), commit them, and name the commit."""
    for name, text in files.items():
        path = place / name.replace("_", ".")
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message", message)
    return git(place, "rev-parse", "HEAD")


def make(place: Path) -> Path:
    """Make a repository with branch ``main`` and one commit."""
    place.mkdir(parents=True)
    git(place, "init", "--quiet", "--initial-branch=main")
    commit(place, "Begin", a_py="def add(a, b):\n    return a + b\n", README_md="# Sums\n")
    return place


def branch(place: Path, name: str, **files: str | None) -> str:
    """Make a branch off main with one commit, and check out main again."""
    git(place, "checkout", "--quiet", "-b", name, "main")
    made = commit(place, f"Work on {name}", **files)
    git(place, "checkout", "--quiet", "main")
    return made
