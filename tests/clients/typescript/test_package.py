"""The package: its files, its version, and what it imports."""

import json
import re
import subprocess
import tarfile
from pathlib import Path

from athena_core import __version__
from tests.support.node import CLIENT, NAME, Project


def test_it_holds_the_built_modules_with_types_and_nothing_else(tarball: Path) -> None:
    modules = [path.relative_to(CLIENT / "src").with_suffix("") for path in (CLIENT / "src").rglob("*.ts")]
    built = {f"dist/{module.as_posix()}{ending}" for module in modules for ending in (".js", ".d.ts")}
    with tarfile.open(tarball) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
    assert names == built | {"package.json", "README.md", "LICENSE"}


def test_it_has_the_version_of_the_server_and_needs_no_package(project: Project) -> None:
    manifest = json.loads((project.client / "package.json").read_text("utf-8"))
    assert manifest["version"] == __version__
    assert not {"dependencies", "peerDependencies", "optionalDependencies"} & manifest.keys()
    for module in (project.client / "dist").rglob("*.js"):
        imported = re.findall(r'(?:from|import) "([^"]+)"', module.read_text("utf-8"))
        assert all(name.startswith("./") or name.startswith("../") for name in imported), module.name


def test_node_loads_it_without_a_bundler(project: Project) -> None:
    names = {"Athena", "AthenaError", "Transport", "eventOf", "newKey", "pathOf"}
    program = (
        f'import * as client from "{NAME}"; import {{ getRun }} from "{NAME}/operations";'
        "console.log(JSON.stringify([Object.keys(client), getRun.path]));"
    )
    command = ["node", "--input-type=module", "--eval", program]
    done = subprocess.run(command, cwd=project.directory, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [sorted(names), "/runs/:runId"]
