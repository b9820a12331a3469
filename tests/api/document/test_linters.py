"""Spectral and Redocly warn about nothing in the API document but what ``lint.toml`` lists with a reason.

npm installs both. If it cannot, the test is skipped and names them.
"""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.programs import lack
from tests.support.server import Server

LINTERS = ("@stoplight/spectral-cli@6.16.3", "@redocly/cli@2.77.0")
ALLOWED = tomllib.loads(Path(__file__).with_name("lint.toml").read_text())["allowed"]

pytestmark = [pytest.mark.heavy, pytest.mark.sqlite, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shared: Server) -> Path:
    """Return a folder with both linters and the document that a server serves."""
    folder = tmp_path_factory.mktemp("linters")
    names = " and ".join(LINTERS)
    if shutil.which("npm") is None:
        pytest.skip(lack("npm"))
    (folder / "package.json").write_text('{"private": true}')
    (folder / "ruleset.yaml").write_text('extends: ["spectral:oas"]\n')
    (folder / "openapi.json").write_bytes(shared.api.http.get(shared.url + "/openapi.json").content)
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", *LINTERS]
    if subprocess.run(install, cwd=folder, check=False, capture_output=True).returncode:
        pytest.skip(f"{names} could not be installed")
    return folder


def allowed(tool: str) -> set[tuple[str, str]]:
    return {(entry["rule"], place) for entry in ALLOWED if entry["tool"] == tool for place in entry["places"]}


def lint(folder: Path, *command: str) -> str:
    """Return what a linter prints. Its exit code only says whether there is an error among the warnings."""
    done = subprocess.run(["npx", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout.strip(), done.stderr[-5_000:]
    return done.stdout


def test_spectral(folder: Path) -> None:
    found = json.loads(lint(folder, "spectral", "lint", "--ruleset=ruleset.yaml", "--format=json", "openapi.json"))
    warnings = {(it["code"], "".join("/" + str(part).replace("/", "~1") for part in it["path"])) for it in found}
    assert warnings == allowed("spectral")


def test_redocly(folder: Path) -> None:
    found = json.loads(lint(folder, "redocly", "lint", "--extends=recommended", "--format=json", "openapi.json"))
    warnings = {(it["ruleId"], it["location"][0]["pointer"].removeprefix("#")) for it in found["problems"]}
    assert warnings == allowed("redocly")


def test_each_exemption_has_a_reason() -> None:
    assert all(entry["reason"].endswith(".") and entry["tool"] in ("spectral", "redocly") for entry in ALLOWED)
