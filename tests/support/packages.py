"""The wheel and the source distribution: how they are built, and the names in them as they are committed."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from athena_core import __version__
from tests.support.tree import ROOT

LISTING = ROOT / "tests" / "packages.txt"
NAME = f"projectathena-{__version__}"
BUNDLE = re.compile(r"(?<=/dashboard/assets/index)-[\w-]{8}(?=\.)")


def build(source: Path, output: Path, *kinds: str) -> None:
    """Build packages (``sdist``, ``wheel``) from a tree, with the installed hatchling and without a network."""
    targets = [word for kind in kinds for word in ("--target", kind)]
    command = [sys.executable, "-m", "hatchling", "build", *targets, "--directory", str(output)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)


def names(output: Path) -> dict[str, set[str]]:
    """Return the names of the files in the packages of a folder, by kind, without the version and bundle hashes."""
    found = {}
    for path in output.glob("*.whl"):
        with zipfile.ZipFile(path) as wheel:
            found["wheel"] = {BUNDLE.sub("-*", name.replace(NAME, "projectathena")) for name in wheel.namelist()}
    for path in output.glob("*.tar.gz"):
        with tarfile.open(path) as sdist:
            found["sdist"] = {BUNDLE.sub("-*", name.removeprefix(NAME + "/")) for name in sdist.getnames()}
    return found


def listing(found: dict[str, set[str]]) -> str:
    """Return a line for each name: the packages that hold it, then the name."""
    lines = {
        name: " ".join(kind for kind in sorted(found) if name in found[kind]) for name in set().union(*found.values())
    }
    return "".join(f"{kinds:<11} {name}\n" for name, kinds in sorted(lines.items()))


def packages_text() -> str:
    """Build both packages from the tree and list what they hold."""
    with TemporaryDirectory() as output:
        build(ROOT, Path(output), "sdist", "wheel")
        return listing(names(Path(output)))
