"""The document and the server agree, as far as Schemathesis can tell by sending what it allows and what it forbids."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from athena_api.operations import OPERATIONS
from tests.conftest import Serve
from tests.reliability.seed import fresh_seed
from tests.scale import sized

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.heavy
@pytest.mark.timeout(sized(120, 900, 7_200))
def test_schemathesis_finds_nothing(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    command += ["run", server.url + "/openapi.json", "--no-color", f"--max-examples={sized(5, 100, 500)}"]
    command += [f"--seed={fresh_seed('schemathesis')}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    tested = sum(not row.stream for row in OPERATIONS)
    assert f"Tested: {tested}" in done.stdout, "an operation was left out:\n" + done.stdout[-5_000:]
