"""The packages: the wheel and the source distribution hold the committed names, whatever lies in the tree."""

import shutil
import tarfile
from pathlib import Path

import pytest

from tests.support import packages, tree
from tests.support.repository import git

SECRET = "ATHENA_OPENAI_API_KEY=canary"
CANARIES = (
    *(".env", ".env.local", "x.pem", "id_rsa", "server.key", "notes.txt", ".aws/credentials", "scratch/run.py"),
    *("athena_core/.env", "athena_core/x.pem", "athena_core/id_rsa", "athena_core/dump.sqlite", "athena_core/a.txt"),
    *("athena_core/.hidden/key.py", "athena_api/static/.env", "athena_api/static/key.pem", "projections/runs.py.orig"),
    *("athena_api/dashboard/.npmrc", "athena_api/dashboard/node_modules/x/setup.py", ".ci/token", "tests/.env"),
)


@pytest.fixture(scope="module")
def littered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with secrets and stray files in it; nothing there is ignored."""
    place: Path = tmp_path_factory.mktemp("littered")
    for name in [*tree.files(), *CANARIES]:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if name in CANARIES:
            (place / name).write_text(SECRET)
        else:
            shutil.copyfile(tree.ROOT / name, place / name)
    (place / ".gitignore").write_text("")
    return place


def test_packages_hold_the_committed_names_and_no_stray_file(littered: Path, tmp_path: Path) -> None:
    packages.build(littered, tmp_path, "sdist", "wheel")
    found = packages.listing(packages.names(tmp_path))
    added = set(found.splitlines()) ^ set(packages.LISTING.read_text("utf-8").splitlines())
    assert not added, f"tests/packages.txt differs in {sorted(added)}; if it should, run 'make docs' and commit it"
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        sdist.extractall(tmp_path, filter="data")
    packages.build(tmp_path / packages.NAME, tmp_path / "again", "wheel")
    assert packages.names(tmp_path / "again")["wheel"] == packages.names(tmp_path)["wheel"]


def test_the_tree_is_what_git_would_add(littered: Path, tmp_path: Path) -> None:
    shutil.copyfile(tree.ROOT / ".gitignore", littered / ".gitignore")
    for name in ("build/a.txt", "a/.venv/b.py", "a.pyc/c", "benchmarks/results/d.json", "e/results/f", ".coverage.1"):
        (littered / name).parent.mkdir(parents=True, exist_ok=True)
        (littered / name).touch()
    git(littered, "init", "--quiet")
    seen = git(littered, "ls-files", "-z", "--others", "--exclude-standard").split("\0")
    assert tree.files(littered) == sorted(filter(None, seen))
    assert not {".env", "x.pem", "server.key", "athena_core/.env", "tests/.env"} & set(tree.files(littered))


def test_a_pattern_that_is_more_than_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("a/b\n")
    with pytest.raises(ValueError, match="more than a name"):
        tree.files(tmp_path)
