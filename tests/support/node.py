"""The TypeScript client as a user has it: packed by npm, unpacked, type-checked with a program, and run by Node."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.support.process import ROOT
from tests.support.programs import lack

CLIENT = ROOT / "clients" / "typescript"
TOOLS = CLIENT / "node_modules" / ".bin"
MISSING = (
    lack("npm") if shutil.which("npm") is None else "" if TOOLS.is_dir() else lack("the console", remedy="make console")
)
"""The reason to skip tests of the client. `make check` runs `make console` where npm is."""
NAME = "@projectathena/client"
SETTINGS = {
    "compilerOptions": {
        "module": "NodeNext",
        "target": "ES2022",
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "verbatimModuleSyntax": True,
        "types": ["node"],
        "typeRoots": [str(CLIENT / "node_modules" / "@types")],
        "outDir": "built",
    },
    "include": ["*.ts"],
}


def pack(directory: Path) -> Path:
    """Build and pack the client in a directory. Return the tarball."""
    directory.mkdir(parents=True)
    subprocess.run([TOOLS / "tsc", "-p", "tsconfig.build.json", "--outDir", directory / "dist"], cwd=CLIENT, check=True)
    for name in ("package.json", "README.md", "LICENSE"):
        shutil.copy(CLIENT / name, directory)
    command = ["npm", "pack", "--silent", "--ignore-scripts"]
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    (tarball,) = directory.glob("*.tgz")
    return tarball


class Project:
    """A project of a user, with the client among its packages."""

    def __init__(self, directory: Path, tarball: Path) -> None:
        self.directory = directory
        self.client = directory / "node_modules" / NAME
        self.client.mkdir(parents=True)
        with tarfile.open(tarball) as packed:
            packed.extractall(self.client, filter="data")
        for part in (self.client / "package").iterdir():
            part.rename(self.client / part.name)
        (directory / "package.json").write_text(json.dumps({"type": "module", "private": True}))
        (directory / "tsconfig.json").write_text(json.dumps(SETTINGS))

    def build(self, **programs: str) -> str:
        """Write programs by name and compile them strictly. Return what the compiler reports."""
        for name, text in programs.items():
            (self.directory / f"{name}.ts").write_text(text, "utf-8")
        done = subprocess.run([TOOLS / "tsc"], cwd=self.directory, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def start(self, name: str, **environment: str) -> subprocess.Popen[str]:
        """Start a compiled program, with more variables in its environment."""
        return subprocess.Popen(
            ["node", f"built/{name}.js"],
            cwd=self.directory,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, name: str, **environment: str) -> str:
        """Run a compiled program. Return its output. Raise AssertionError if it fails."""
        with self.start(name, **environment) as process:
            output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return output
