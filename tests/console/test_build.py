"""The build of the console, and no address of a registry among its packages."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from athena_api.static_files import ROOT
from tests.support.programs import made

SOURCES = Path(__file__).resolve().parents[2] / "athena_api" / "dashboard"
CLIENT = Path(__file__).resolve().parents[2] / "clients" / "typescript"
TOOLS = SOURCES / "node_modules" / ".bin"


@pytest.mark.parametrize("place", [SOURCES, CLIENT], ids=lambda place: place.name)
def test_the_lock_names_no_registry(place: Path) -> None:
    packages = json.loads((place / "package-lock.json").read_text("utf-8"))["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert all("integrity" in package for name, package in packages.items() if name)


@pytest.mark.parametrize("place", [SOURCES, CLIENT], ids=lambda place: place.name)
def test_versions_are_exact(place: Path) -> None:
    manifest = json.loads((place / "package.json").read_text("utf-8"))
    versions = [*manifest.get("dependencies", {}).values(), *manifest["devDependencies"].values()]
    assert [version for version in versions if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


def test_the_licence_of_each_package_in_the_bundle_is_beside_it() -> None:
    imports = [line for file in (SOURCES / "src").rglob("*.ts*") for line in file.read_text("utf-8").splitlines()]
    package = re.compile(r"""^(?:import|export)(?! type)\b.* from "((?:@[\w-]+/)?[\w-]+)""")
    found = {match[1] for line in imports if (match := package.match(line))} - {"@projectathena/client", "node"}
    licences = (ROOT / "dashboard" / "LICENSES.txt").read_text("utf-8")
    assert found == {"preact", "@preact/signals"}
    assert all(f"{name}\n\nThe MIT License" in licences for name in found)


@pytest.mark.heavy
@made(TOOLS, "node and the tools of the console", "console")
def test_the_committed_bundle_is_built_from_the_sources(tmp_path: Path) -> None:
    build = [str(TOOLS / "vite"), "build", "--logLevel", "error", "--emptyOutDir", "--outDir", str(tmp_path / "built")]
    subprocess.run(build, cwd=SOURCES, check=True)
    assert contents(tmp_path / "built") == contents(ROOT / "dashboard"), "npm run build, and commit what it writes"


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
