"""A virtual environment with the wheel of the Python client and what it requires, and nothing else of ours."""

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.tree import ROOT

CLIENT = ROOT / "clients" / "python"


def build(output: Path) -> Path:
    """Build the wheel of the client, with the installed hatchling and without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(output)]
    subprocess.run(command, cwd=CLIENT, check=True, capture_output=True)
    (wheel,) = output.glob("*.whl")
    return wheel


def requirements(names: list[str]) -> set[str]:
    """Return the names of the distributions that these require, and themselves, as they are installed here."""
    found: set[str] = set()
    while names:
        name = names.pop()
        if name not in found:
            found.add(name)
            required = map(Requirement, importlib.metadata.requires(name) or ())
            names += [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def environment(directory: Path) -> Path:
    """Make the environment, and return its interpreter."""
    venv.create(directory, with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(directory), "platbase": str(directory)}))
    with zipfile.ZipFile(build(directory / "wheel")) as wheel:
        wheel.extractall(site)
    (about,) = site.glob("*.dist-info")
    required = importlib.metadata.Distribution.at(about).requires or []
    for name in requirements([Requirement(one).name for one in required]):
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts:  # not a script
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(str(file.locate())), site / file)
    return directory / "bin" / "python"
